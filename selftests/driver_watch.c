// SPDX-License-Identifier: GPL-2.0
/*
 * A driver as watcher: W2, W4, W5, W7, C1.  It watches ops of this process; the driver
 * is kmod/test/aop_selftest.c.
 */
#include "driver.h"

#define MODULE	"test/aop_selftest"

FIXTURE(driver) {
	struct abi_ctx c;
	int dev;
	uint64_t h;		/* of an op of ours, RUNNING */
	int fd;			/* of it */
};

FIXTURE_SETUP(driver)
{
	ASSERT_EQ(0, driver_load(MODULE, ""));
	self->dev = driver_open(AOP_SELFTEST_DEVICE);
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, abi_open(&self->c, 64));
	self->h = new_running(&self->c, 0);
	self->fd = abi_export(&self->c, self->h, AOP_MAY_LOOK | AOP_MAY_CANCEL);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(driver)
{
	close(self->fd);
	close(self->dev);
	abi_close(&self->c);
	EXPECT_EQ(0, driver_unload(MODULE));
}

static int driver_watch(int dev, uint32_t index, int fd, uint32_t mask, uint32_t flags)
{
	struct selftest_call c = {
		.what = SELFTEST_WATCH, .index = index, .fd = fd, .mask = mask, .flags = flags,
	};

	return call(dev, &c);
}

static int driver_wait(int dev, int fd, uint32_t mask, int64_t until)
{
	struct selftest_call c = {
		.what = SELFTEST_WAIT, .fd = fd, .mask = mask, .value = until,
	};

	return call(dev, &c);
}

#define STATE(word)	((word) & 0xff)

/* ---- callbacks -------------------------------------------------------------- */

TEST_F(driver, W5_changes_merge_and_the_last_one_is_told_once)
{
	struct seen s;
	int i;

	ASSERT_EQ(0, driver_watch(self->dev, 0, self->fd, AOP_EV_CHANGE, 0));
	EXPECT_EQ(0, seen(self->dev, 0).calls);
	EXPECT_EQ(0, abi_progress(&self->c, self->h, 1, 0));
	EXPECT_EQ(1, until_seen(self->dev, 0, 1).calls);
	for (i = 0; i < 50; i++)
		EXPECT_EQ(0, abi_progress(&self->c, self->h, i, 0));
	EXPECT_EQ(0, abi_done(&self->c, self->h, 7));
	do {
		s = seen(self->dev, 0);
	} while (STATE(s.word) != AOP_DONE);
	EXPECT_GE(52, s.calls);
	EXPECT_EQ(seq_of(&self->c, self->h), s.seq);
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_UNWATCH, 0));
	/* Not twice, and nothing later. */
	EXPECT_EQ(s.calls, seen(self->dev, 0).calls);
}

/*
 * The work item of one change may begin when the next is just being made, and is then
 * queued again for that, which it finds already: it must not tell it twice.  Many handles
 * make a batch of changes long, so that it begins in the midst of one.
 */
TEST_F(driver, W5_no_change_is_told_twice)
{
	static struct aop_signal_entry s[512];
	unsigned int i, k, nr;
	struct seen now;

	for (i = 0; i < 50; i++)
		ASSERT_NE(0, abi_again(&self->c, self->h, &self->c, AOP_MAY_LOOK, 0));
	ASSERT_EQ(0, driver_watch(self->dev, 0, self->fd, AOP_EV_CHANGE, 0));
	for (i = 0; i < 200; i++) {
		nr = 32 * (1 + i % 16);
		for (k = 0; k < nr; k++)
			s[k] = (struct aop_signal_entry) {
				.handle = self->h, .what = AOP_SIGNAL_PROGRESS, .value = k,
			};
		ASSERT_EQ(nr, abi_batch(self->c.fd, AOP_IOC_SIGNAL, s, sizeof(s[0]), nr));
		do {
			now = seen(self->dev, 0);
		} while (now.seq != seq_of(&self->c, self->h) && !sched_yield());
	}
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_UNWATCH, 0));
	now = seen(self->dev, 0);
	TH_LOG("%d calls", now.calls);
	EXPECT_EQ(0, now.repeats);
	EXPECT_EQ(0, abi_done(&self->c, self->h, 0));
}

TEST_F(driver, W5_a_mask_and_what_holds_already)
{
	ASSERT_EQ(0, driver_watch(self->dev, 0, self->fd, AOP_EV_FINAL, 0));
	ASSERT_EQ(0, driver_watch(self->dev, 1, self->fd, AOP_EV_ASKED, 0));
	EXPECT_EQ(0, abi_progress(&self->c, self->h, 1, 0));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, self->h, 0));
	EXPECT_EQ(1, until_seen(self->dev, 1, 1).calls);
	EXPECT_EQ(0, seen(self->dev, 0).calls);
	EXPECT_EQ(0, abi_done(&self->c, self->h, 7));
	EXPECT_EQ(AOP_DONE, STATE(until_seen(self->dev, 0, 1).word));
	ASSERT_EQ(0, driver_watch(self->dev, 2, self->fd, AOP_EV_FINAL, 0));
	EXPECT_EQ(AOP_DONE, STATE(until_seen(self->dev, 2, 1).word));
	EXPECT_EQ(1, seen(self->dev, 2).calls);
	EXPECT_EQ(-EINVAL, driver_watch(self->dev, 3, self->fd, 0, 0));
	EXPECT_EQ(-EINVAL, driver_watch(self->dev, 3, self->fd, 0x100, 0));
}

TEST_F(driver, W5_C5_a_watch_counts_as_a_watcher)
{
	uint32_t before = watchers_of(&self->c, self->h);

	ASSERT_EQ(0, driver_watch(self->dev, 0, self->fd, AOP_EV_FINAL, 0));
	EXPECT_EQ(before + 1, watchers_of(&self->c, self->h));
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_UNWATCH, 0));
	EXPECT_EQ(before, watchers_of(&self->c, self->h));
}

TEST_F(driver, W7_a_callback_frees_its_own_watch)
{
	uint32_t before = watchers_of(&self->c, self->h);
	int i;

	ASSERT_EQ(0, driver_watch(self->dev, 0, self->fd, AOP_EV_CHANGE, SELFTEST_ONCE));
	EXPECT_EQ(0, abi_progress(&self->c, self->h, 1, 0));
	EXPECT_EQ(1, until_seen(self->dev, 0, 1).calls);
	EXPECT_EQ(before, watchers_of(&self->c, self->h));
	for (i = 2; i < 20; i++)
		EXPECT_EQ(0, abi_progress(&self->c, self->h, i, 0));
	EXPECT_EQ(1, seen(self->dev, 0).calls);
}

/* What happens while its last callback runs is not told by another one, of memory that is freed. */
TEST_F(driver, W7_a_callback_frees_its_own_watch_that_is_due_again)
{
	const uint32_t flags = SELFTEST_ORDERED | SELFTEST_GATED | SELFTEST_ONCE;
	uint32_t before = watchers_of(&self->c, self->h);

	ASSERT_EQ(0, driver_watch(self->dev, 0, self->fd, AOP_EV_CHANGE, flags));
	EXPECT_EQ(0, abi_progress(&self->c, self->h, 1, 0));
	until_at_gate(self->dev);
	EXPECT_EQ(0, abi_progress(&self->c, self->h, 2, 0));
	/* On the same queue: behind whatever is due. */
	ASSERT_EQ(0, driver_watch(self->dev, 1, self->fd, AOP_EV_FINAL, SELFTEST_ORDERED));
	EXPECT_EQ(0, abi_done(&self->c, self->h, 0));
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_GATE, 1));
	EXPECT_EQ(1, until_seen(self->dev, 1, 1).calls);
	EXPECT_EQ(1, seen(self->dev, 0).calls);
	EXPECT_EQ(before + 1, watchers_of(&self->c, self->h));
}

struct unwatcher {
	int dev;
	int ret;
	pid_t tid;
};

static void *unwatch_thread(void *arg)
{
	struct unwatcher *u = arg;

	__atomic_store_n(&u->tid, gettid(), __ATOMIC_RELEASE);
	u->ret = drive(u->dev, 0, SELFTEST_UNWATCH, 0);
	return NULL;
}

/* A task in the kernel that waits for a work item sleeps without being interruptible. */
static void until_blocked(pid_t tid)
{
	while (proc_field(tid, "stat", ") ") != 'D')
		sched_yield();
}

TEST_F(driver, W7_unwatch_waits_for_a_callback_that_runs)
{
	struct unwatcher u = { .dev = self->dev, .ret = -1 };
	pthread_t thread;

	ASSERT_EQ(0, driver_watch(self->dev, 0, self->fd, AOP_EV_CHANGE, SELFTEST_GATED));
	EXPECT_EQ(0, abi_progress(&self->c, self->h, 1, 0));
	until_at_gate(self->dev);
	/* One more is due when that returns, and must not come. */
	EXPECT_EQ(0, abi_progress(&self->c, self->h, 2, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, unwatch_thread, &u));
	while (!__atomic_load_n(&u.tid, __ATOMIC_ACQUIRE))
		sched_yield();
	until_blocked(u.tid);
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_GATE, 1));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, u.ret);
	EXPECT_EQ(1, seen(self->dev, 0).calls);
}

TEST_F(driver, W6_callbacks_run_on_the_queue_that_the_driver_chose)
{
	const uint32_t flags = SELFTEST_ORDERED | SELFTEST_GATED;

	ASSERT_EQ(0, driver_watch(self->dev, 0, self->fd, AOP_EV_FINAL, flags));
	ASSERT_EQ(0, driver_watch(self->dev, 1, self->fd, AOP_EV_FINAL, flags));
	ASSERT_EQ(0, driver_watch(self->dev, 2, self->fd, AOP_EV_FINAL, 0));
	EXPECT_EQ(0, abi_done(&self->c, self->h, 7));
	until_at_gate(self->dev);
	EXPECT_EQ(1, until_seen(self->dev, 2, 1).calls);
	/* On that queue, one waits for the other. */
	EXPECT_EQ(1, drive(self->dev, 0, SELFTEST_AT_GATE, 0));
	EXPECT_EQ(1, seen(self->dev, 0).calls + seen(self->dev, 1).calls);
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_GATE, 1));
	EXPECT_EQ(1, until_seen(self->dev, 0, 1).calls);
	EXPECT_EQ(1, until_seen(self->dev, 1, 1).calls);
}

TEST_F(driver, W5_K5_a_driver_watches_its_own_op)
{
	int fd = driver_op(self->dev, 0, SELFTEST_RUNNING);

	ASSERT_EQ(0, driver_watch(self->dev, 0, fd, AOP_EV_FINAL, 0));
	EXPECT_EQ(0, drive_in(self->dev, is_rt() ? SELFTEST_SOFTIRQ : SELFTEST_HARDIRQ, 0,
			      SELFTEST_DONE, 3));
	EXPECT_EQ(AOP_DONE, STATE(until_seen(self->dev, 0, 1).word));
	close(fd);
}

TEST_F(driver, O2_K7_what_a_driver_takes_has_rights)
{
	struct selftest_call c = {
		.what = SELFTEST_WATCH, .fd = -1, .aop_fd = self->c.fd, .mask = AOP_EV_FINAL,
	};
	uint64_t only_cancel = share(&self->c, self->h, &self->c, AOP_MAY_CANCEL, 0);
	int fd = abi_export(&self->c, self->h, AOP_MAY_CANCEL);
	int look = abi_export(&self->c, self->h, AOP_MAY_LOOK);

	EXPECT_EQ(-EPERM, driver_watch(self->dev, 0, fd, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EPERM, driver_wait(self->dev, fd, AOP_EV_FINAL, INT64_MAX));
	EXPECT_EQ(-EINVAL, driver_watch(self->dev, 0, self->dev, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EINVAL, driver_watch(self->dev, 0, self->c.fd, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EBADF, driver_watch(self->dev, 0, 999, AOP_EV_FINAL, 0));
	c.value = only_cancel;
	EXPECT_EQ(-EPERM, call(self->dev, &c));
	c.value = self->h + (1ULL << 32);
	EXPECT_EQ(-ESTALE, call(self->dev, &c));
	c.value = 0;
	EXPECT_EQ(-EBADF, call(self->dev, &c));
	c.value = self->h;
	EXPECT_EQ(0, call(self->dev, &c));
	c = (struct selftest_call) { .what = SELFTEST_CANCEL, .fd = look };
	EXPECT_EQ(-EPERM, call(self->dev, &c));
	close(fd);
	close(look);
}

TEST_F(driver, C1_a_driver_asks_to_cancel)
{
	struct selftest_call c = { .what = SELFTEST_CANCEL, .fd = self->fd, .value = -EDOM };

	EXPECT_EQ(AOP_ASKED, call(self->dev, &c));
	EXPECT_EQ(AOP_F_ASKED, flags_of(&self->c, self->h));
	EXPECT_EQ(-EDOM, status_of(&self->c, self->h).reason);
	c.value = 1;
	EXPECT_EQ(-EINVAL, call(self->dev, &c));
	EXPECT_EQ(0, abi_done(&self->c, self->h, 7));
	c.value = 0;
	EXPECT_EQ(AOP_TOO_LATE, call(self->dev, &c));
}

/* ---- waiting ------------------------------------------------------------------ */

struct sleeper {
	int dev;
	int fd;
	uint32_t mask;
	int ret;
	pid_t tid;
	pthread_t thread;
};

static void *sleeper_run(void *arg)
{
	struct sleeper *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	s->ret = driver_wait(s->dev, s->fd, s->mask, INT64_MAX);
	return NULL;
}

static bool sleeper_start(struct sleeper *s)
{
	if (pthread_create(&s->thread, NULL, sleeper_run, s))
		return false;
	while (!__atomic_load_n(&s->tid, __ATOMIC_ACQUIRE))
		sched_yield();
	return until_asleep(s->tid);
}

TEST_F(driver, W2_W3_waits_in_a_driver)
{
	static const uint32_t masks[] = { AOP_EV_CHANGE, AOP_EV_FINAL, AOP_EV_OVER };
	struct sleeper s[3];
	int i;

	for (i = 0; i < 3; i++) {
		s[i] = (struct sleeper) { .dev = self->dev, .fd = self->fd, .mask = masks[i] };
		ASSERT_TRUE(sleeper_start(&s[i]));
	}
	EXPECT_EQ(0, abi_progress(&self->c, self->h, 1, 0));
	pthread_join(s[0].thread, NULL);
	EXPECT_EQ(0, s[0].ret);
	EXPECT_TRUE(until_asleep(s[1].tid));
	EXPECT_EQ(0, abi_done(&self->c, self->h, 7));
	for (i = 1; i < 3; i++) {
		pthread_join(s[i].thread, NULL);
		EXPECT_EQ(0, s[i].ret);
	}
	EXPECT_EQ(0, driver_wait(self->dev, self->fd, AOP_EV_FINAL, 0));
}

TEST_F(driver, W4_waits_in_a_driver_end)
{
	EXPECT_EQ(-ETIME, driver_wait(self->dev, self->fd, AOP_EV_FINAL, 0));
	EXPECT_EQ(-ETIME, driver_wait(self->dev, self->fd, AOP_EV_FINAL, abi_now() + MSEC_NS));
	EXPECT_EQ(-EINVAL, driver_wait(self->dev, self->fd, 0, 0));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, self->h));
}

static int caught;

static void catch(int sig)
{
	(void)sig;
	__atomic_fetch_add(&caught, 1, __ATOMIC_SEQ_CST);
}

/* A handler that restarts calls is not seen by who waits; any other ends the wait. */
TEST_F(driver, W2_signals_and_waits_in_a_driver)
{
	struct sigaction act = { .sa_handler = catch, .sa_flags = SA_RESTART };
	struct sleeper s = { .dev = self->dev, .fd = self->fd, .mask = AOP_EV_FINAL };
	int i;

	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	act.sa_flags = 0;
	ASSERT_EQ(0, sigaction(SIGUSR2, &act, NULL));
	ASSERT_TRUE(sleeper_start(&s));
	for (i = 1; i <= 3; i++) {
		EXPECT_EQ(0, pthread_kill(s.thread, SIGUSR1));
		while (__atomic_load_n(&caught, __ATOMIC_SEQ_CST) < i)
			sched_yield();
		ASSERT_TRUE(until_asleep(s.tid));
	}
	EXPECT_EQ(0, pthread_kill(s.thread, SIGUSR2));
	pthread_join(s.thread, NULL);
	EXPECT_EQ(-EINTR, s.ret);
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, self->h));
	EXPECT_EQ(0, abi_done(&self->c, self->h, 7));
}

TEST_F(driver, K9_SIGKILL_of_who_waits_in_a_driver)
{
	pid_t pid = spawn();

	if (!pid)
		_exit(driver_wait(self->dev, self->fd, AOP_EV_FINAL, INT64_MAX));
	ASSERT_TRUE(until_asleep(pid));
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, reap_child(pid));
	EXPECT_EQ(0, abi_done(&self->c, self->h, 7));
}

TEST_HARNESS_MAIN
