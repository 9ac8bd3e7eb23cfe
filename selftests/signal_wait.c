// SPDX-License-Identifier: GPL-2.0
/*
 * Signal and wait in one call: W2 and W4 for it, and that a Unix signal, a stop
 * or the freezer at any point of it neither repeats nor drops a signal.
 *
 * The witness is AOP_SIGNAL_DONE: the first one answers 0, any other one -EPERM,
 * and an entry that was never handled keeps the number it was filled with.
 */
#include "behave.h"
#include "file.h"

#include <semaphore.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define BATCH		8
#define UNTOUCHED	0x5a5a

FIXTURE(swait) {
	struct abi_ctx a;	/* who signals and waits */
	struct abi_ctx b;	/* who answers */
};

FIXTURE_SETUP(swait)
{
	ASSERT_EQ(0, abi_open(&self->a, 256));
	ASSERT_EQ(0, abi_open(&self->b, 256));
}

FIXTURE_TEARDOWN(swait)
{
	abi_close(&self->a);
	abi_close(&self->b);
}

/* ---- a round: BATCH operations to end, and an answer to wait for ----------- */

struct round {
	struct aop_signal_entry s[BATCH];
	uint64_t last_seen;		/* by b: the last of them */
	uint64_t answer;		/* b owns it */
	struct aop_wait_entry e;	/* a waits for it */
	struct aop_ioc_wait w;
};

static int round_make(struct round *r, struct abi_ctx *a, struct abi_ctx *b)
{
	int i;

	for (i = 0; i < BATCH; i++) {
		r->s[i] = (struct aop_signal_entry) {
			.handle = abi_new(a, 0, 0),
			.what = AOP_SIGNAL_DONE,
			.value = 100 + i,
			.ret = UNTOUCHED,
		};
		if (!r->s[i].handle)
			return -1;
	}
	r->last_seen = watch(a, r->s[BATCH - 1].handle, b, 0);
	r->answer = abi_new(b, 0, 0);
	r->e = (struct aop_wait_entry) {
		.handle = watch(b, r->answer, a, 0), .mask = AOP_EV_FINAL,
	};
	r->w = wait_args(&r->e, 1, 1, AOP_FOREVER_NS);
	r->w.signals = abi_u64(r->s);
	r->w.nr_signals = BATCH;
	return r->last_seen && r->e.handle ? 0 : -1;
}

/* Each was signalled exactly once, and the answer was seen. Or what is wrong. */
static int round_check(struct round *r, struct abi_ctx *a)
{
	struct aop_status st;
	int i;

	if (r->w.signalled != BATCH)
		return 1;
	for (i = 0; i < BATCH; i++) {
		if (r->s[i].ret)
			return r->s[i].ret == UNTOUCHED ? 2 : 3;
		st = status_of(a, r->s[i].handle);
		if (st.state != AOP_DONE || st.result != 100 + i)
			return 4;
	}
	return r->w.count == 1 && r->e.events == AOP_EV_FINAL ? 0 : 5;
}

static void round_drop(struct round *r, struct abi_ctx *a, struct abi_ctx *b)
{
	int i;

	for (i = 0; i < BATCH; i++)
		abi_detach(a, r->s[i].handle, 0);
	abi_detach(a, r->e.handle, 0);
	abi_detach(b, r->answer, 0);
	abi_detach(b, r->last_seen, 0);
}

/* ---- without anybody in between -------------------------------------------- */

TEST_F(swait, W2_signals_come_first)
{
	struct aop_wait_entry e;
	struct aop_signal_entry s = { .what = AOP_SIGNAL_DONE, .value = 5, .ret = UNTOUCHED };
	struct aop_ioc_wait w = wait_args(&e, 1, 1, AOP_FOREVER_NS);

	/* It waits for what it ends itself: in any other order for ever. */
	s.handle = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, s.handle);
	e = (struct aop_wait_entry) { .handle = s.handle, .mask = AOP_EV_FINAL };
	w.signals = abi_u64(&s);
	w.nr_signals = 1;
	EXPECT_EQ(0, abi_ioctl(self->a.fd, AOP_IOC_WAIT, &w));
	EXPECT_EQ(0, s.ret);
	EXPECT_EQ(1, w.signalled);
	EXPECT_EQ(1, w.count);
	EXPECT_EQ(AOP_EV_FINAL, e.events);
	EXPECT_ENDED(&self->a, s.handle, AOP_DONE, 5);
}

TEST_F(swait, W2_skipped_ones_are_not_signalled)
{
	struct round r;
	int i;

	ASSERT_EQ(0, round_make(&r, &self->a, &self->b));
	ASSERT_EQ(0, abi_done(&self->b, r.answer, 0));
	r.w.signalled = 3;
	EXPECT_EQ(0, abi_ioctl(self->a.fd, AOP_IOC_WAIT, &r.w));
	EXPECT_EQ(BATCH, r.w.signalled);
	for (i = 0; i < BATCH; i++) {
		EXPECT_EQ(i < 3 ? UNTOUCHED : 0, r.s[i].ret);
		EXPECT_EQ(i < 3 ? AOP_PENDING : AOP_DONE, abi_state(&self->a, r.s[i].handle));
	}
	/* All of them: only a wait. */
	EXPECT_EQ(0, abi_ioctl(self->a.fd, AOP_IOC_WAIT, &r.w));
	EXPECT_EQ(UNTOUCHED, r.s[0].ret);
}

TEST_F(swait, W2_one_that_fails_says_so_and_the_rest_goes_on)
{
	struct round r;
	int i;

	ASSERT_EQ(0, round_make(&r, &self->a, &self->b));
	ASSERT_EQ(0, abi_done(&self->b, r.answer, 0));
	r.s[2].handle = 0;
	r.s[5].what = 0x77;
	EXPECT_EQ(0, abi_ioctl(self->a.fd, AOP_IOC_WAIT, &r.w));
	EXPECT_EQ(BATCH, r.w.signalled);
	EXPECT_EQ(1, r.w.count);
	for (i = 0; i < BATCH; i++)
		EXPECT_EQ(i == 2 ? -EBADF : i == 5 ? -EINVAL : 0, r.s[i].ret);
}

TEST_F(swait, W4_an_expired_wait_has_signalled)
{
	struct round r;
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, round_make(&r, &self->a, &self->b));
		r.w.deadline = i ? abi_now() + 5 * MSEC_NS : 0;
		EXPECT_EQ(-ETIME, abi_ioctl(self->a.fd, AOP_IOC_WAIT, &r.w));
		EXPECT_EQ(BATCH, r.w.signalled);
		EXPECT_EQ(0, r.w.count);
		EXPECT_EQ(AOP_DONE, abi_state(&self->b, r.last_seen));
		ASSERT_EQ(0, abi_done(&self->b, r.answer, 0));
		EXPECT_EQ(0, abi_ioctl(self->a.fd, AOP_IOC_WAIT, &r.w));
		EXPECT_EQ(0, round_check(&r, &self->a));
	}
}

TEST_F(swait, W2_the_count_is_written_before_the_sleep)
{
	struct waiter t;
	struct round r;

	ASSERT_EQ(0, round_make(&r, &self->a, &self->b));
	t.w = r.w;
	ASSERT_EQ(0, waiter_start(&t, &self->a));
	EXPECT_TRUE(until_asleep(t.tid));
	EXPECT_EQ(BATCH, __atomic_load_n(&t.w.signalled, __ATOMIC_RELAXED));
	EXPECT_EQ(AOP_DONE, abi_state(&self->b, r.last_seen));
	ASSERT_EQ(0, abi_done(&self->b, r.answer, 0));
	EXPECT_EQ(0, waiter_join(&t));
	r.w = t.w;
	EXPECT_EQ(0, round_check(&r, &self->a));
}

/* ---- interrupted while it sleeps: the same every time ----------------------- */

static int caught;

static void catch(int sig)
{
	(void)sig;
	__atomic_fetch_add(&caught, 1, __ATOMIC_SEQ_CST);
}

static void catch_usr1(int flags)
{
	struct sigaction sa = { .sa_handler = catch, .sa_flags = flags };

	sigaction(SIGUSR1, &sa, NULL);
	__atomic_store_n(&caught, 0, __ATOMIC_SEQ_CST);
}

static void until_caught(int n)
{
	while (__atomic_load_n(&caught, __ATOMIC_SEQ_CST) < n)
		sched_yield();
}

TEST_F(swait, W2_a_handler_without_restart_ends_the_sleep)
{
	struct waiter t;
	struct round r;

	catch_usr1(0);
	ASSERT_EQ(0, round_make(&r, &self->a, &self->b));
	t.w = r.w;
	ASSERT_EQ(0, waiter_start(&t, &self->a));
	EXPECT_TRUE(until_asleep(t.tid));
	ASSERT_EQ(0, tgkill(getpid(), t.tid, SIGUSR1));
	EXPECT_EQ(-EINTR, waiter_join(&t));
	EXPECT_EQ(1, caught);
	EXPECT_EQ(BATCH, t.w.signalled);
	/* The same struct once more: nothing is signalled again. */
	ASSERT_EQ(0, waiter_start(&t, &self->a));
	EXPECT_TRUE(until_asleep(t.tid));
	ASSERT_EQ(0, abi_done(&self->b, r.answer, 0));
	EXPECT_EQ(0, waiter_join(&t));
	r.w = t.w;
	EXPECT_EQ(0, round_check(&r, &self->a));
}

TEST_F(swait, W2_a_handler_with_restart_goes_on_by_itself)
{
	struct waiter t;
	struct round r;
	int i;

	catch_usr1(SA_RESTART);
	ASSERT_EQ(0, round_make(&r, &self->a, &self->b));
	t.w = r.w;
	ASSERT_EQ(0, waiter_start(&t, &self->a));
	for (i = 1; i <= 20; i++) {
		EXPECT_TRUE(until_asleep(t.tid));
		ASSERT_EQ(0, tgkill(getpid(), t.tid, SIGUSR1));
		until_caught(i);
	}
	EXPECT_TRUE(until_asleep(t.tid));
	ASSERT_EQ(0, abi_done(&self->b, r.answer, 0));
	EXPECT_EQ(0, waiter_join(&t));
	r.w = t.w;
	EXPECT_EQ(0, round_check(&r, &self->a));
}

/* Restarts do not move an absolute deadline. */
TEST_F(swait, W4_restarted_and_still_in_time)
{
	uint64_t at = abi_now() + 500 * MSEC_NS;
	struct waiter t;
	struct round r;

	catch_usr1(SA_RESTART);
	ASSERT_EQ(0, round_make(&r, &self->a, &self->b));
	t.w = r.w;
	t.w.deadline = at;
	ASSERT_EQ(0, waiter_start(&t, &self->a));
	while (abi_now() < at) {
		if (tgkill(getpid(), t.tid, SIGUSR1))
			break;
		sched_yield();
	}
	EXPECT_EQ(-ETIME, waiter_join(&t));
	EXPECT_LE(at, abi_now());
	EXPECT_EQ(BATCH, t.w.signalled);
	EXPECT_LT(0, caught);
}

/* ---- interrupted anywhere --------------------------------------------------- */

struct answerer {
	struct abi_ctx *b;
	struct round *r;
	sem_t go;
	int rounds, ret;
	bool sweep;
	pthread_t thread;
};

/* Answer when the last of the batch has ended. */
static void *answer_run(void *arg)
{
	struct answerer *p = arg;
	int i, spin;

	for (i = 0; i < p->rounds; i++) {
		while (sem_wait(&p->go))
			;
		if (abi_wait_one(p->b, p->r->last_seen, AOP_EV_FINAL, 0) != AOP_EV_FINAL)
			p->ret = 1;
		/* Not before the signals of this round came, or few would find the call. */
		until_caught(p->sweep ? i + 1 :
			     __atomic_load_n(&caught, __ATOMIC_SEQ_CST) + i % 4);
		for (spin = 0; spin < i * 17 % 3000; spin++)
			__asm__ volatile("");
		if (abi_done(p->b, p->r->answer, i))
			p->ret = 2;
	}
	return NULL;
}

struct pounder {
	pid_t victim;
	int stop;
	pthread_t thread;
};

/* As often as the victim's handler keeps up, so that it gets on as well. */
static void *pound_run(void *arg)
{
	struct pounder *p = arg;
	int sent = 0;

	while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&caught, __ATOMIC_SEQ_CST) < sent) {
			sched_yield();
			continue;
		}
		tgkill(getpid(), p->victim, SIGUSR1);
		sent++;
	}
	return NULL;
}

/*
 * @rounds rounds under fire, either from a thread or from a timer whose delay
 * sweeps over the whole call. Returns 0 or what is wrong; *@interrupted is how
 * many calls said so.
 */
static int under_fire(struct abi_ctx *a, struct abi_ctx *b, int rounds, bool sweep,
		      int *interrupted)
{
	struct sigevent sev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct pounder pound = { .victim = gettid() };
	struct answerer ans = { .b = b, .rounds = rounds, .sweep = sweep };
	struct itimerspec at = { 0 };
	struct round r;
	timer_t timer;
	int i, ret = 0, bad = 0;

	*interrupted = 0;
	ans.r = &r;
	sem_init(&ans.go, 0, 0);
	sev._sigev_un._tid = gettid();
	if (sweep ? timer_create(CLOCK_MONOTONIC, &sev, &timer) :
		    pthread_create(&pound.thread, NULL, pound_run, &pound))
		return -1;
	if (pthread_create(&ans.thread, NULL, answer_run, &ans))
		return -1;
	for (i = 0; i < rounds; i++) {
		/* A signal ends sleeps, and nothing else sleeps for long. */
		if (round_make(&r, a, b)) {
			bad = 100;
			break;
		}
		sem_post(&ans.go);
		if (sweep) {
			at.it_value.tv_nsec = 1 + i * 1500;
			timer_settime(timer, 0, &at, NULL);
		}
		do {
			ret = abi_ioctl(a->fd, AOP_IOC_WAIT, &r.w);
			*interrupted += ret == -EINTR;
		} while (ret == -EINTR);
		if (!bad)
			bad = ret ? 10 - ret : round_check(&r, a);
		round_drop(&r, a, b);
	}
	if (sweep) {
		timer_delete(timer);
	} else {
		__atomic_store_n(&pound.stop, 1, __ATOMIC_RELEASE);
		pthread_join(pound.thread, NULL);
	}
	if (bad != 100)
		pthread_join(ans.thread, NULL);
	return bad ? bad : ans.ret;
}

TEST_F(swait, W2_pounded_without_restart)
{
	int interrupted;

	catch_usr1(0);
	EXPECT_EQ(0, under_fire(&self->a, &self->b, 150, false, &interrupted));
	EXPECT_LT(0, interrupted);
	TH_LOG("%d signals, %d calls interrupted", caught, interrupted);
}

TEST_F(swait, W2_pounded_with_restart)
{
	int interrupted;

	catch_usr1(SA_RESTART);
	EXPECT_EQ(0, under_fire(&self->a, &self->b, 150, false, &interrupted));
	EXPECT_LT(0, caught);
	EXPECT_EQ(0, interrupted);
}

TEST_F(swait, W2_a_timer_at_every_point)
{
	int interrupted;

	catch_usr1(0);
	EXPECT_EQ(0, under_fire(&self->a, &self->b, 250, true, &interrupted));
	EXPECT_EQ(250, caught);
	EXPECT_LT(0, interrupted);
	TH_LOG("%d signals, %d calls interrupted", caught, interrupted);
}

/* ---- stopped and frozen ------------------------------------------------------ */

/*
 * A child signals progress of its own operation, waits for one of ours, says on
 * @up what the wait returned, and stays until @down ends.
 */
static void child_run(uint64_t theirs, int up, int down)
{
	struct aop_wait_entry e = { .mask = AOP_EV_FINAL };
	struct aop_signal_entry s = { .what = AOP_SIGNAL_PROGRESS, .value = 1 };
	struct aop_ioc_wait w = wait_args(&e, 1, 1, AOP_FOREVER_NS);
	struct aop_create_entry own = { .mode = 0600 };
	struct abi_ctx c;
	uint64_t h, said;

	if (abi_open(&c, 8) || abi_create(&c, &own) ||
	    abi_attach_id(&c, theirs, AOP_MAY_LOOK, 0, 0, &h))
		_exit(1);
	e.handle = h;
	s.handle = own.handle;
	w.signals = abi_u64(&s);
	w.nr_signals = 1;
	if (send_fd(up, -1, own.id))
		_exit(2);
	said = -abi_ioctl(c.fd, AOP_IOC_WAIT, &w);
	if (!said && (w.signalled != 1 || s.ret || w.count != 1))
		said = EPROTO;
	if (send_fd(up, -1, said))
		_exit(3);
	if (recv_fd(down, &said, 0) != -EPIPE)
		_exit(4);
	_exit(0);
}

struct child {
	pid_t pid;
	int up, down;
	uint64_t ours;		/* handle: what it waits for */
	uint64_t theirs;	/* handle: what it drives */
	uint32_t seq;		/* of that, once it sleeps */
};

static int child_start(struct child *k, struct abi_ctx *a)
{
	int up[2], down[2];
	uint64_t id;

	k->ours = abi_new(a, 0, 0);
	if (!k->ours || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, up) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, down))
		return -1;
	id = abi_id(a, k->ours);
	k->pid = spawn();
	if (!k->pid) {
		close(up[0]);
		close(down[0]);
		child_run(id, up[1], down[1]);
	}
	close(up[1]);
	close(down[1]);
	k->up = up[0];
	k->down = down[0];
	if (recv_fd(k->up, &id, 0) != -ENOMSG ||
	    abi_attach_id(a, id, AOP_MAY_LOOK, 0, 0, &k->theirs))
		return -1;
	if (!until_asleep(k->pid))
		return -1;
	k->seq = seq_of(a, k->theirs);
	return status_of(a, k->theirs).done == 1 ? 0 : -1;
}

/* End what it waits for. Returns 0 when the wait went well and signalled once. */
static int child_finish(struct child *k, struct abi_ctx *a)
{
	uint64_t said;

	if (!until_asleep(k->pid))
		return 5;
	if (seq_of(a, k->theirs) != k->seq)
		return 1;
	if (abi_done(a, k->ours, 0))
		return 2;
	if (recv_fd(k->up, &said, 0) != -ENOMSG || said)
		return 3;
	if (seq_of(a, k->theirs) != k->seq)
		return 4;
	close(k->down);
	close(k->up);
	return reap_child(k->pid);
}

TEST_F(swait, W2_stopped_and_continued)
{
	struct child k;
	int i, status;

	ASSERT_EQ(0, child_start(&k, &self->a));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, kill(k.pid, SIGSTOP));
		ASSERT_EQ(k.pid, waitpid(k.pid, &status, WUNTRACED));
		ASSERT_TRUE(WIFSTOPPED(status));
		ASSERT_EQ(0, kill(k.pid, SIGCONT));
		ASSERT_EQ(k.pid, waitpid(k.pid, &status, WCONTINUED));
		EXPECT_TRUE(until_asleep(k.pid));
	}
	EXPECT_EQ(0, child_finish(&k, &self->a));
}

static int write_to(const char *dir, const char *file, const char *what)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return write_file(path, what);
}

/* Return when cgroup.events says "frozen @want". */
static int until_frozen(const char *dir, int want)
{
	struct pollfd p = { .events = POLLPRI };
	char path[128];

	snprintf(path, sizeof(path), "%s/cgroup.events", dir);
	p.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (p.fd < 0)
		return -errno;
	for (;;) {
		char buf[128] = "";
		char *found;

		if (pread(p.fd, buf, sizeof(buf) - 1, 0) < 0)
			break;
		found = strstr(buf, "frozen ");
		if (!found)
			break;
		if (atoi(found + strlen("frozen ")) == want) {
			close(p.fd);
			return 0;
		}
		poll(&p, 1, -1);
	}
	close(p.fd);
	return -EIO;
}

TEST_F(swait, W2_frozen_and_thawed)
{
	char base[] = "/tmp/aop-cgroup-XXXXXX", dir[64], pid[16];
	struct child k;
	int i;

	ASSERT_NE(NULL, mkdtemp(base));
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("cgroup2", base, "cgroup2", 0, NULL)) {
		rmdir(base);
		SKIP(return, "no cgroup2 here: %s", strerror(errno));
	}
	snprintf(dir, sizeof(dir), "%s/aop-%d", base, getpid());
	ASSERT_EQ(0, mkdir(dir, 0700));
	ASSERT_EQ(0, child_start(&k, &self->a));
	snprintf(pid, sizeof(pid), "%d", k.pid);
	ASSERT_EQ(0, write_to(dir, "cgroup.procs", pid));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, write_to(dir, "cgroup.freeze", "1"));
		EXPECT_EQ(0, until_frozen(dir, 1));
		EXPECT_EQ(k.seq, seq_of(&self->a, k.theirs));
		if (i == 2)
			/* What ends while it is frozen is seen after the thaw. */
			EXPECT_EQ(0, abi_done(&self->a, k.ours, 0));
		EXPECT_EQ(0, write_to(dir, "cgroup.freeze", "0"));
		EXPECT_EQ(0, until_frozen(dir, 0));
		if (i < 2)
			EXPECT_TRUE(until_asleep(k.pid));
	}
	{
		uint64_t said = 1;

		EXPECT_EQ(-ENOMSG, recv_fd(k.up, &said, 0));
		EXPECT_EQ(0, said);
		EXPECT_EQ(k.seq, seq_of(&self->a, k.theirs));
	}
	close(k.down);
	EXPECT_EQ(0, reap_child(k.pid));
	rmdir(dir);
	umount2(base, MNT_DETACH);
	rmdir(base);
}

TEST_HARNESS_MAIN
