// SPDX-License-Identifier: GPL-2.0
/*
 * What a review of the module found to break it, each with a test whose name says
 * what must not happen.  Raw calls only.
 */
#include "behave.h"
#include "slow.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/time.h>

FIXTURE(brk) {
	struct abi_ctx a;	/* the owner's */
	struct abi_ctx b;	/* a watcher's */
};

FIXTURE_SETUP(brk)
{
	ASSERT_EQ(0, abi_open(&self->a, 512));
	ASSERT_EQ(0, abi_open(&self->b, 512));
}

FIXTURE_TEARDOWN(brk)
{
	abi_close(&self->a);
	abi_close(&self->b);
}

/* Two threads that meet, and then go on within some ten nanoseconds. */
static void meet(unsigned int *at, unsigned int round)
{
	__atomic_add_fetch(at, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(at, __ATOMIC_ACQUIRE) < 2 * round)
		;
}

static void spin(unsigned int n)
{
	while (n--)
		__asm__ volatile("" ::: "memory");
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static bool one_cpu(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) < 2;
}

/* A pending operation that others may look at. */
static uint64_t new_public(struct abi_ctx *c, uint64_t *id)
{
	struct aop_create_entry e = { .mode = 0666 };

	if (abi_create(c, &e))
		return 0;
	*id = e.id;
	return e.handle;
}

/* Attach @nr times by id in one call. Returns how many could. */
static int attach_many(struct abi_ctx *c, uint64_t id, uint32_t mask, unsigned int nr,
		       struct aop_attach_entry *e)
{
	unsigned int i;
	int got = 0;

	for (i = 0; i < nr; i++)
		e[i] = (struct aop_attach_entry) {
			.fd = -1, .id = id, .rights = AOP_MAY_LOOK, .mask = mask,
		};
	if (abi_batch(c->fd, AOP_IOC_ATTACH, e, sizeof(*e), nr) != (int)nr)
		return -1;
	for (i = 0; i < nr; i++)
		got += !e[i].ret;
	return got;
}

static void detach_many(struct abi_ctx *c, const struct aop_attach_entry *e, unsigned int nr)
{
	struct aop_detach_entry d[128] = { 0 };
	unsigned int i;

	for (i = 0; i < nr; i++)
		d[i].handle = e[i].handle;
	abi_batch(c->fd, AOP_IOC_DETACH, d, sizeof(*d), nr);
}

/* ---- wakes --------------------------------------------------------------- */

#define RACES	rounds(5000)

struct poller {
	unsigned int met;
	int fd;
	bool read;
	int ret;
};

static void *poller_run(void *arg)
{
	struct poller *p = arg;
	struct pollfd pfd = { .events = POLLIN };
	unsigned int i;

	on_cpu(1);
	for (i = 1; i <= RACES; i++) {
		meet(&p->met, 2 * i - 1);
		pfd.fd = p->fd;
		p->ret = poll(&pfd, 1, 5000);
		meet(&p->met, 2 * i);
		if (p->ret != 1)
			break;
	}
	return NULL;
}

/* W2, K2: the poller joins the wait queue just when the operation becomes final. */
TEST_F(brk, W2_no_poller_of_an_op_sleeps_through_its_end)
{
	struct poller p = { 0 };
	unsigned int i, delay = 0;
	pthread_t t;
	uint64_t h;

	if (one_cpu())
		SKIP(return, "one processor");
	on_cpu(0);
	ASSERT_EQ(0, pthread_create(&t, NULL, poller_run, &p));
	for (i = 1; i <= RACES; i++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		p.fd = abi_export(&self->a, h, AOP_MAY_LOOK);
		ASSERT_GE(p.fd, 0);
		meet(&p.met, 2 * i - 1);
		spin(delay);
		delay = (delay + 7) % 2000;
		/* Nothing else to be told: the shortest way from the state to the queue. */
		abi_signal(&self->a, h, AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH, 0);
		meet(&p.met, 2 * i);
		close(p.fd);
		if (p.ret != 1)
			break;
	}
	EXPECT_EQ(1, p.ret) TH_LOG("round %u: asleep though it is final", i);
	pthread_join(t, NULL);
}

/* ---- rights -------------------------------------------------------------- */

TEST_F(brk, K7_who_may_only_cancel_sees_nothing)
{
	uint64_t h = new_running(&self->a, 0);
	struct aop_ioc_query q;
	struct aop_status st;
	uint64_t w = 0;
	int fd;

	ASSERT_NE(0, h);
	fd = abi_export(&self->a, h, AOP_MAY_CANCEL);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, abi_attach_fd(&self->b, fd, 0, 7, AOP_EV_ALL, &w));
	abi_drain(&self->b);
	EXPECT_EQ(0, abi_progress(&self->a, h, 5, 10));
	EXPECT_EQ(0, abi_done(&self->a, h, 4711));
	st = status_of(&self->b, w);
	EXPECT_EQ(0, st.result) TH_LOG("the slot shows the result");
	EXPECT_EQ(0, st.done) TH_LOG("the slot shows the progress");
	EXPECT_NE(AOP_DONE, st.state) TH_LOG("the slot shows the state");
	EXPECT_EQ(0, abi_queued(&self->b)) TH_LOG("the ring tells of it");
	EXPECT_EQ(0, abi_query(&self->b, w, &q));
	EXPECT_EQ(AOP_MAY_CANCEL, q.rights);
	EXPECT_EQ(0, q.id) TH_LOG("the query tells whose it is");
	EXPECT_EQ(0, q.status.word) TH_LOG("the query tells the state");
	EXPECT_EQ(0, q.created) TH_LOG("the query tells the time");
	EXPECT_EQ(-ENODATA, abi_fdinfo(fd, "state")) TH_LOG("fdinfo tells of it");
	close(fd);
}

/* K7, O1: the same for a handle that gave up looking. */
TEST_F(brk, K7_who_gave_up_looking_sees_no_more)
{
	uint64_t h = new_running(&self->a, 0), w;
	struct aop_status st;

	ASSERT_NE(0, h);
	w = watch(&self->a, h, &self->b, 0);
	ASSERT_NE(0, w);
	ASSERT_EQ(0, abi_detach(&self->b, w, AOP_MAY_LOOK));
	EXPECT_EQ(0, abi_done(&self->a, h, 4711));
	st = status_of(&self->b, w);
	EXPECT_NE(4711, st.result);
	EXPECT_NE(AOP_DONE, st.state);
}

/* ---- one truth ----------------------------------------------------------- */

struct looker {
	struct abi_ctx *c;
	uint64_t handle;
	unsigned int met, rounds;
	unsigned int late;
};

static void *looker_run(void *arg)
{
	struct looker *l = arg;
	unsigned int i;

	on_cpu(1);
	for (i = 1; i <= l->rounds; i++) {
		meet(&l->met, 2 * i - 1);
		while (abi_look(l->c, l->handle, AOP_EV_FINAL, 0) != AOP_EV_FINAL)
			;
		l->late += abi_state(l->c, l->handle) != AOP_DONE;
		meet(&l->met, 2 * i);
	}
	return NULL;
}

/* M8: what a wait has said, the slot of the same handle says too. */
TEST_F(brk, M8_no_wait_is_ahead_of_the_slot)
{
	struct looker l = { .c = &self->b, .rounds = 2000 };
	struct aop_attach_entry e[120];
	struct aop_attach_entry first;
	pthread_t t;
	uint64_t h, id;
	unsigned int i;

	if (one_cpu())
		SKIP(return, "one processor");
	on_cpu(0);
	ASSERT_EQ(0, pthread_create(&t, NULL, looker_run, &l));
	for (i = 1; i <= l.rounds; i++) {
		h = new_public(&self->a, &id);
		ASSERT_NE(0, h);
		ASSERT_EQ(1, attach_many(&self->b, id, 0, 1, &first));
		ASSERT_EQ(120, attach_many(&self->a, id, 0, 120, e));
		l.handle = first.handle;
		meet(&l.met, 2 * i - 1);
		spin(2000);
		abi_done(&self->a, h, 1);
		meet(&l.met, 2 * i);
		detach_many(&self->a, e, 120);
		abi_detach(&self->a, h, 0);
		abi_detach(&self->b, first.handle, 0);
	}
	pthread_join(t, NULL);
	EXPECT_EQ(0, l.late) TH_LOG("%u of %u ends were not in the slot yet", l.late, l.rounds);
}

struct pusher {
	struct abi_ctx *c;
	uint64_t handle;
	uint64_t last;		/* time that the last progress was published with */
	bool go;
};

static void *pusher_run(void *arg)
{
	struct pusher *p = arg;
	uint64_t n = 0, t;

	on_cpu(1);
	while (!abi_progress(p->c, p->handle, ++n, 0)) {
		t = status_of(p->c, p->handle).time;
		/* The end may have come since. */
		if (!(abi_state(p->c, p->handle) >= AOP_DONE))
			p->last = t;
		__atomic_store_n(&p->go, true, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* M7: a batch reads the clock once, and comes to its last entry much later. */
TEST_F(brk, M7_no_op_ends_before_its_last_progress)
{
	struct aop_attach_entry links[120];
	struct aop_cancel_entry e[16];
	unsigned int i, round, back = 0;
	struct aop_status st;
	struct abi_ctx c;
	uint64_t id;

	if (one_cpu())
		SKIP(return, "one processor");
	on_cpu(0);
	ASSERT_EQ(0, abi_open(&c, 4096));
	for (round = 0; round < 20; round++) {
		struct pusher p = { .c = &self->b };
		pthread_t t;

		memset(e, 0, sizeof(e));
		for (i = 0; i < 15; i++) {
			e[i].handle = new_public(&c, &id);
			ASSERT_NE(0, e[i].handle);
			ASSERT_EQ(120, attach_many(&c, id, AOP_EV_ALL, 120, links));
		}
		p.handle = abi_new(&self->b, 0, 0);
		ASSERT_NE(0, p.handle);
		e[15].handle = watch(&self->b, p.handle, &c, 0);
		ASSERT_NE(0, e[15].handle);
		ASSERT_EQ(0, pthread_create(&t, NULL, pusher_run, &p));
		while (!__atomic_load_n(&p.go, __ATOMIC_ACQUIRE))
			;
		ASSERT_EQ(16, abi_batch(c.fd, AOP_IOC_CANCEL, e, sizeof(*e), 16));
		EXPECT_EQ(AOP_STOPPED, e[15].ret);
		pthread_join(t, NULL);
		st = status_of(&self->b, p.handle);
		EXPECT_EQ(AOP_CANCELLED, st.state);
		back += st.time < p.last;
		abi_close(&c);
		ASSERT_EQ(0, abi_open(&c, 4096));
	}
	EXPECT_EQ(0, back) TH_LOG("%u of %u ended before their last progress", back, round);
	abi_close(&c);
}

/* ---- real time ------------------------------------------------------------- */

static void *progress_run(void *arg)
{
	struct looker *l = arg;
	uint64_t n = 0;

	on_cpu(0);
	while (!__atomic_load_n(&l->met, __ATOMIC_RELAXED))
		abi_progress(l->c, l->handle, ++n, 0);
	return NULL;
}

/*
 * W1: a reader of higher priority came while its own processor was writing the slot.
 * Only with PREEMPT_RT can it: there the lock is no reason not to be preempted.
 */
TEST_F(brk, W1_no_realtime_reader_spins_on_a_preempted_writer)
{
	struct sched_param prio = { .sched_priority = 50 };
	const struct timespec nap = { .tv_nsec = 100000 };
	struct looker l = { .c = &self->a };
	struct aop_status *slot;
	struct timespec began, now;
	unsigned int stuck = 0;
	pthread_t t;
	uint64_t since;
	time_t end;

	l.handle = new_running(&self->a, 0);
	ASSERT_NE(0, l.handle);
	slot = abi_slot(&self->a, abi_index(l.handle));
	ASSERT_EQ(0, pthread_create(&t, NULL, progress_run, &l));
	on_cpu(0);
	if (sched_setscheduler(0, SCHED_FIFO, &prio)) {
		l.met = 1;
		pthread_join(t, NULL);
		SKIP(return, "no real-time priority");
	}
	clock_gettime(CLOCK_MONOTONIC, &began);
	end = began.tv_sec + 8;
	do {
		nanosleep(&nap, NULL);
		since = abi_now();
		while (__atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE) & 1)
			if (abi_now() - since > 20 * MSEC_NS) {
				stuck++;
				break;
			}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (!stuck && now.tv_sec < end);
	prio.sched_priority = 0;
	sched_setscheduler(0, SCHED_OTHER, &prio);
	l.met = 1;
	pthread_join(t, NULL);
	EXPECT_EQ(0, stuck) TH_LOG("the slot stays odd as long as the reader runs");
}

/* ---- others ---------------------------------------------------------------- */

#define STRANGERS	17

/* K8: foreign users have shares, but all of them together must leave room. */
TEST_F(brk, K8_strangers_leave_the_owner_room_to_wait)
{
	struct aop_attach_entry e[8];
	struct aop_wait_entry w;
	int ready[2], go[2], i;
	uint64_t h, id;
	char byte;

	h = new_public(&self->a, &id);
	ASSERT_NE(0, h);
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	for (i = 0; i < STRANGERS; i++) {
		pid_t pid = spawn();
		struct abi_ctx c;

		ASSERT_GE(pid, 0);
		if (pid)
			continue;
		close(go[1]);
		if (setresgid(2000 + i, 2000 + i, 2000 + i) ||
		    setresuid(2000 + i, 2000 + i, 2000 + i) || abi_open(&c, 8))
			_exit(1);
		attach_many(&c, id, 0, 8, e);
		if (write(ready[1], "", 1) != 1)
			_exit(2);
		/* Until the test hangs up. */
		_exit(read(go[0], &byte, 1));
	}
	for (i = 0; i < STRANGERS; i++)
		ASSERT_EQ(1, read(ready[0], &byte, 1));
	w = (struct aop_wait_entry) { .handle = h, .mask = AOP_EV_FINAL };
	EXPECT_EQ(-ETIME, abi_wait(&self->a, &w, 1, 1, abi_now() + 20 * MSEC_NS));
	EXPECT_NE(0, watch(&self->a, h, &self->a, 0));
	close(go[1]);
	while (wait(NULL) > 0)
		;
}

/* DESIGN: nobody lengthens another's walk.  A wake walks all who poll. */
TEST_F(brk, K8_pollers_of_one_context_are_bounded)
{
	struct epoll_event ev = { .events = EPOLLIN };
	uint64_t h = new_running(&self->a, 0);
	int ep[300], told = 0, i;

	ASSERT_NE(0, h);
	for (i = 0; i < 300; i++) {
		ep[i] = epoll_create1(EPOLL_CLOEXEC);
		ASSERT_GE(ep[i], 0);
		ASSERT_EQ(0, epoll_ctl(ep[i], EPOLL_CTL_ADD, self->a.fd, &ev));
		ev.events = EPOLLIN;
	}
	/* More than it takes: they are told, since not all can be woken. */
	for (i = 0; i < 300; i++)
		if (epoll_wait(ep[i], &ev, 1, 0) == 1 && ev.events == EPOLLERR)
			told++;
	EXPECT_LE(300 - 256, told);
	for (i = 0; i < 300; i++)
		close(ep[i]);
}

/* Up to the bound nobody is. */
TEST_F(brk, K8_pollers_up_to_the_bound_are_woken)
{
	struct epoll_event ev = { .events = EPOLLIN };
	uint64_t h = abi_new(&self->a, 0, AOP_EV_FINAL);
	int ep[256], woken = 0, i;

	ASSERT_NE(0, h);
	for (i = 0; i < 256; i++) {
		ep[i] = epoll_create1(EPOLL_CLOEXEC);
		ASSERT_GE(ep[i], 0);
		ASSERT_EQ(0, epoll_ctl(ep[i], EPOLL_CTL_ADD, self->a.fd, &ev));
	}
	ASSERT_EQ(0, abi_done(&self->a, h, 0));
	for (i = 0; i < 256; i++)
		if (epoll_wait(ep[i], &ev, 1, 0) == 1 && ev.events == EPOLLIN)
			woken++;
	EXPECT_EQ(256, woken);
	for (i = 0; i < 256; i++)
		close(ep[i]);
}

/* ---- time ------------------------------------------------------------------ */

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME	0x80
#endif

static void nothing(int sig)
{
	(void)sig;
}

/* W4: a clock that is behind the host's must not make the far future the past. */
TEST_F(brk, W4_the_far_future_is_not_over_in_a_time_namespace)
{
	int fd;

	if (unshare(CLONE_NEWTIME))
		SKIP(return, "no time namespace");
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "monotonic -1 0\n", 15) != 15)
		SKIP(return, "no time namespace");
	close(fd);
	IN_CHILD() {
		struct aop_wait_entry w = { .mask = AOP_EV_FINAL };
		struct aop_create_entry e = { .deadline = INT64_MAX, .mode = 0600 };
		struct itimerval soon = { .it_value.tv_usec = 100000 };
		struct sigaction sa = { .sa_handler = nothing };
		struct abi_ctx c;

		ASSERT_EQ(0, abi_open(&c, 8));
		ASSERT_EQ(0, abi_create(&c, &e));
		w.handle = e.handle;
		usleep(20000);
		EXPECT_EQ(AOP_PENDING, abi_state(&c, e.handle))
			TH_LOG("its deadline is in 292 years");
		w.handle = abi_new(&c, 0, 0);
		sigaction(SIGALRM, &sa, NULL);
		setitimer(ITIMER_REAL, &soon, NULL);
		EXPECT_EQ(-EINTR, abi_wait(&c, &w, 1, 1, INT64_MAX));
		abi_close(&c);
	}
}

/* ---- limits ---------------------------------------------------------------- */

TEST_F(brk, K8_no_limit_is_no_limit)
{
	uint32_t was;

	ASSERT_EQ(0, abi_param_get("max_handles", &was));
	ASSERT_EQ(0, abi_param_set("max_handles", UINT32_MAX));
	EXPECT_NE(0, abi_new(&self->a, 0, 0)) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(0, abi_param_set("max_handles", was));
}

/* K8: what was given up is free again, not some time later. */
TEST_F(brk, K8_groups_that_are_gone_take_no_room)
{
	uint64_t h = new_running(&self->a, 0), g;
	int i;
	int ret = 0;

	ASSERT_NE(0, h);
	for (i = 0; i < rounds(20000) && !ret; i++) {
		ret = abi_group(&self->a, &h, 1, 1, 0, 0, &g);
		if (!ret)
			ret = abi_detach(&self->a, g, 0);
	}
	EXPECT_EQ(0, ret) TH_LOG("group %u: %s", i, strerror(-ret));
}

/* W8: a group whose handle cannot be told has asked nobody to stop. */
TEST_F(brk, W8_a_group_that_cannot_be_told_has_no_effect)
{
	struct aop_create_entry e = { .state = AOP_DONE, .mode = 0600 };
	struct aop_ioc_group *g;
	uint64_t m[2];

	ASSERT_EQ(0, abi_create(&self->a, &e));
	m[0] = e.handle;
	m[1] = new_running(&self->a, 0);
	ASSERT_NE(0, m[1]);
	g = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, g);
	*g = (struct aop_ioc_group) {
		.size = sizeof(*g), .flags = AOP_GROUP_CANCEL_REST,
		.members = abi_u64(m), .nr = 2, .need = 1,
	};
	ASSERT_EQ(0, mprotect(g, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, abi_ioctl(self->a.fd, AOP_IOC_GROUP, g));
	usleep(50000);
	EXPECT_EQ(0, flags_of(&self->a, m[1])) TH_LOG("it was asked to stop");
	munmap(g, 4096);
}

/* ---- whose context ----------------------------------------------------------- */

struct heir {
	struct abi_ctx *c;
	uint64_t h;
	pid_t main_tid;
	bool ready;
};

static void *heir_run(void *arg)
{
	struct heir *s = arg;

	if (unshare(CLONE_FILES))
		_exit(2);
	__atomic_store_n(&s->ready, true, __ATOMIC_RELEASE);
	while (proc_field(s->main_tid, "stat", ") ") != 'Z')
		usleep(1000);
	/* The process, its memory and the descriptor are all still here. */
	_exit(abi_progress(s->c, s->h, 1, 2) ? 1 : 0);
}

/* K9: a process that lives keeps its context, whichever of its threads ends. */
TEST_F(brk, K9_not_while_a_thread_with_a_table_of_its_own_lives)
{
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		struct abi_ctx c;
		struct heir s = { .c = &c, .main_tid = getpid() };
		pthread_t t;

		if (abi_open(&c, 8))
			_exit(3);
		s.h = new_running(&c, 0);
		if (!s.h || pthread_create(&t, NULL, heir_run, &s))
			_exit(3);
		while (!__atomic_load_n(&s.ready, __ATOMIC_ACQUIRE))
			usleep(1000);
		syscall(SYS_exit, 0);
	}
	EXPECT_EQ(0, reap_child(pid));
}

TEST_HARNESS_MAIN
