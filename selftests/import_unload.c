// SPDX-License-Identifier: GPL-2.0
/*
 * Imports, and the module that goes: at once behind their process, before the work items have
 * run that abandon them, and while their source is signalled.
 */
#include "file.h"
#include "import.h"
#include "reload.h"

TEST_F(import, K1_K9_killed_and_unloaded)
{
	uint32_t ops = 1;
	pid_t pid = spawn();

	if (!pid) {
		struct abi_ctx c;
		int i;

		if (abi_open(&c, 64))
			_exit(1);
		for (i = 0; i < 20; i++) {
			uint64_t h = import(&c, self->efd, 0);

			if (!h || export(&c, h, self->efd, AOP_EV_ALL))
				_exit(2);
		}
		raise(SIGKILL);
	}
	EXPECT_EQ(128 + SIGKILL, reap_child(pid));
	while (ops)
		ASSERT_EQ(0, abi_param_get("ops", &ops));
	/* What was made in this context goes with it, and the module right behind. */
	ASSERT_NE(0, import(&self->c, self->efd, 0));
	EXPECT_EQ(-EWOULDBLOCK, unload());
	abi_close(&self->c);
	if (!module_file())
		SKIP(return, "no AOP_KO: which file to load?");
	ASSERT_EQ(0, unload());
	ASSERT_EQ(0, fire(self->efd, 1));
	ASSERT_EQ(0, load());
}

/* ---- work items that come late ------------------------------------------------------ */

#define WORKERS		"/sys/devices/virtual/workqueue/cpumask"
#define RT_RUNTIME	"/proc/sys/kernel/sched_rt_runtime_us"

static int get_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	close(fd);
	text[n < 0 ? 0 : n] = 0;
	return n < 0 ? -errno : 0;
}

static int run_on(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(pid, sizeof(set), &set);
}

/* Who unloads waits for RCU, whose thread must not be held up with the workers. */
static int keep_rcu_going(void)
{
	char path[64], name[32];
	int pid, ret = -ESRCH;

	for (pid = 2; pid < 100; pid++) {
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		if (!get_text(path, name, sizeof(name)) &&
		    (!strcmp(name, "rcu_preempt\n") || !strcmp(name, "rcu_sched\n")))
			ret = run_on(pid, 0);
	}
	return ret;
}

enum { IDLE, HELD, LET_GO, FAILED };

/* Where this runs no work item does. */
static void *hold_workers(void *arg)
{
	const struct sched_param prio = { .sched_priority = 1 };
	uint64_t end = abi_now() + 30000 * MSEC_NS;
	int *hold = arg;

	if (run_on(0, 1) || sched_setscheduler(0, SCHED_FIFO, &prio)) {
		__atomic_store_n(hold, FAILED, __ATOMIC_RELEASE);
		return NULL;
	}
	__atomic_store_n(hold, HELD, __ATOMIC_RELEASE);
	while (__atomic_load_n(hold, __ATOMIC_ACQUIRE) == HELD)
		if (abi_now() > end)
			__atomic_store_n(hold, FAILED, __ATOMIC_RELEASE);
	return NULL;
}

struct unloader {
	pid_t tid;
	int ret;
	int over;
};

static void *unload_run(void *arg)
{
	struct unloader *u = arg;

	__atomic_store_n(&u->tid, gettid(), __ATOMIC_RELEASE);
	do
		u->ret = unload();
	while (u->ret == -EWOULDBLOCK);
	__atomic_store_n(&u->over, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* It waits for work items, or has not waited. */
static void until_waiting(struct unloader *u, const int *hold)
{
	char path[64], stack[4096] = "";
	pid_t tid;

	while (!(tid = __atomic_load_n(&u->tid, __ATOMIC_ACQUIRE)))
		sched_yield();
	snprintf(path, sizeof(path), "/proc/self/task/%d/stack", tid);
	while (!__atomic_load_n(&u->over, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(hold, __ATOMIC_ACQUIRE) == HELD &&
	       !(strstr(stack, "flush_workqueue") && strstr(stack, "aop_")))
		if (get_text(path, stack, sizeof(stack)))
			break;
}

/*
 * Nobody but a group looks at this import.  The module goes before the work item runs that
 * frees the group, and so abandons the import, whose owner a work item of another queue tells;
 * and meanwhile the import's source may fire.  The module waits for all that.
 */
TEST_F(import, K1_W8_work_items_that_run_only_while_the_module_goes)
{
	char workers[256], runtime[64];
	uint64_t h, group;
	int i, hold;

	if (!module_file())
		SKIP(return, "no AOP_KO: which file to load?");
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || !access("/sys/kernel/realtime", F_OK))
		SKIP(return, "no processor that can be kept from work items");
	ASSERT_EQ(0, get_text(WORKERS, workers, sizeof(workers)));
	ASSERT_EQ(0, get_text(RT_RUNTIME, runtime, sizeof(runtime)));
	for (i = 0; i < 2; i++) {
		struct unloader u = { .ret = 1 };
		pthread_t holder, t;

		h = import(&self->c, self->efd, 0);
		ASSERT_NE(0, h);
		ASSERT_EQ(0, abi_group(&self->c, &h, 1, 1, 0, 0, &group));
		ASSERT_EQ(0, run_on(0, 0));
		ASSERT_EQ(0, keep_rcu_going());
		ASSERT_EQ(0, write_file(WORKERS, "2"));
		ASSERT_EQ(0, write_file(RT_RUNTIME, "-1"));
		hold = IDLE;
		ASSERT_EQ(0, pthread_create(&holder, NULL, hold_workers, &hold));
		while (__atomic_load_n(&hold, __ATOMIC_ACQUIRE) == IDLE)
			sched_yield();
		abi_close(&self->c);
		ASSERT_EQ(0, pthread_create(&t, NULL, unload_run, &u));
		until_waiting(&u, &hold);
		EXPECT_EQ(0, u.over);
		EXPECT_EQ(HELD, hold);
		if (i)
			fire(self->efd, 1);
		__atomic_store_n(&hold, LET_GO, __ATOMIC_RELEASE);
		pthread_join(holder, NULL);
		pthread_join(t, NULL);
		EXPECT_EQ(0, u.ret);
		EXPECT_EQ(0, write_file(RT_RUNTIME, runtime));
		EXPECT_EQ(0, write_file(WORKERS, workers));
		ASSERT_EQ(0, load());
		while (abi_open(&self->c, 256))
			sched_yield();
	}
}

static void *fire_on(void *arg)
{
	int *fd = arg, efd;

	while ((efd = __atomic_load_n(fd, __ATOMIC_ACQUIRE)) >= 0) {
		fire(efd, 1);
		take(efd);
	}
	return NULL;
}

/* A source goes on firing while the last import of it goes, and the module behind it. */
TEST_F(import, K1_fires_while_the_module_goes)
{
	int fd = self->efd, i, k;
	/* Where KUnit is, each loading runs its tests too. */
	int times = slow_kernel() ? 1 : 6;
	pthread_t t;

	if (!module_file())
		SKIP(return, "no AOP_KO: which file to load?");
	ASSERT_EQ(0, pthread_create(&t, NULL, fire_on, &fd));
	for (i = 0; i < times; i++) {
		for (k = 0; k < 200; k++)
			ASSERT_NE(0, import(&self->c, self->efd, 0));
		abi_close(&self->c);
		while (unload() == -EWOULDBLOCK)
			sched_yield();
		ASSERT_EQ(0, load());
		while (abi_open(&self->c, 256))
			sched_yield();
	}
	__atomic_store_n(&fd, -1, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
}

TEST_HARNESS_MAIN
