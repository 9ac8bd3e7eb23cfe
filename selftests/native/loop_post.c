// SPDX-License-Identifier: GPL-2.0
/*
 * Work that is posted to a loop, and what wakes it, on both engines: F8, F13, W5, W6, W9, M9.
 */
#include <sys/epoll.h>
#include <stdatomic.h>
#include <stddef.h>

#include "loop.h"

FIXTURE(post) {
	struct aop_loop *loop;
};

LOOP_VARIANTS(post);

FIXTURE_SETUP(post)
{
	if (variant->flags & AOP_URING && loop_under_valgrind())
		SKIP(return, "valgrind runs no other thread while one is in io_uring_enter()");
	LOOP_OPEN(self->loop);
}

FIXTURE_TEARDOWN(post)
{
	aop_loop_close(self->loop);
}

static struct aop_loop_stats stats_of(struct aop_loop *l)
{
	struct aop_loop_stats s = { .size = sizeof(s) };

	aop_loop_stats(l, &s);
	return s;
}

struct note {
	struct aop_work w;
	int number;
	int *order;
	int *n;
};

static void note(struct aop_work *w)
{
	struct note *x = (struct note *)w;

	x->order[(*x->n)++] = x->number;
}

TEST_F(post, F13_runs_in_order_and_once)
{
	int order[11], n = 0, i;
	struct note x[10] = { 0 };

	for (i = 0; i < 10; i++) {
		x[i] = (struct note){ .w.run = note, .number = i, .order = order, .n = &n };
		EXPECT_EQ(0, aop_loop_post(self->loop, &x[i].w));
		EXPECT_EQ(1, aop_loop_post(self->loop, &x[i].w));
	}
	EXPECT_EQ(0, n);
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	ASSERT_EQ(10, n);
	for (i = 0; i < 10; i++)
		EXPECT_EQ(i, order[i]);
	/* It may be posted again. */
	EXPECT_EQ(0, aop_loop_post(self->loop, &x[0].w));
	EXPECT_EQ(1, aop_loop_run(self->loop, AOP_RUN_READY));
	EXPECT_EQ(11, n);
}

/* One wake-up write however many signals. */
TEST_F(post, F13_coalesces)
{
	int order[100], n = 0, i;
	struct note x[100] = { 0 };
	struct aop_loop_stats s;

	aop_loop_run(self->loop, AOP_RUN_READY);
	s = stats_of(self->loop);
	for (i = 0; i < 100; i++) {
		x[i] = (struct note){ .w.run = note, .number = i, .order = order, .n = &n };
		EXPECT_EQ(0, aop_loop_post(self->loop, &x[i].w));
	}
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	EXPECT_EQ(100, n);
	EXPECT_EQ(s.wakes + 1, stats_of(self->loop).wakes);
}

TEST_F(post, bad_input)
{
	struct aop_loop_opts o = { .size = sizeof(o) };
	struct aop_work w = { 0 };
	struct aop_loop *l = (void *)1;

	EXPECT_EQ(-EINVAL, aop_loop_post(self->loop, NULL));
	EXPECT_EQ(-EINVAL, aop_loop_post(NULL, &w));
	EXPECT_EQ(-EINVAL, aop_loop_post(self->loop, &w));
	EXPECT_EQ(-EINVAL, aop_loop_add(self->loop, NULL));
	EXPECT_EQ(-EINVAL, aop_loop_add(self->loop, AOP_LOCAL));
	EXPECT_EQ(-ENOENT, aop_loop_remove(self->loop, NULL));
	aop_loop_close(NULL);
	o.flags = 0x40;
	EXPECT_EQ(-EINVAL, aop_loop_open(&l, &o));
	EXPECT_EQ(NULL, l);
	o.flags = AOP_EPOLL | AOP_URING;
	EXPECT_EQ(-EINVAL, aop_loop_open(&l, &o));
	o.flags = AOP_EPOLL | AOP_SQPOLL;
	EXPECT_EQ(-EINVAL, aop_loop_open(&l, &o));
	o.flags = 0;
	o.advance = fake_advance;
	EXPECT_EQ(-EINVAL, aop_loop_open(&l, &o));
	o.advance = NULL;
	o.entries = 1 << 20;
	EXPECT_EQ(-EINVAL, aop_loop_open(&l, &o));
	o.size = 1;
	EXPECT_EQ(-EINVAL, aop_loop_open(&l, &o));
}

static void run_again(struct aop_work *w)
{
	struct note *x = (struct note *)w;

	x->number = aop_loop_run((struct aop_loop *)x->order, AOP_RUN_ONCE);
}

TEST_F(post, not_inside_itself)
{
	struct note x = { .w.run = run_again, .order = (int *)self->loop };

	aop_loop_post(self->loop, &x.w);
	aop_loop_run(self->loop, AOP_RUN_ALL);
	EXPECT_EQ(-EDEADLK, x.number);
}

struct yields {
	struct aop_work w;
	struct aop_loop *loop;
	int n;
};

static void yield(struct aop_work *w)
{
	struct yields *y = (struct yields *)w;

	y->n++;
	aop_loop_post(y->loop, w);
}

/* F10: work that never ends does not keep timers from expiring. */
TEST_F(post, F10_budget)
{
	struct yields y = { .w.run = yield, .loop = self->loop };
	struct aop_timer t;

	aop_loop_post(self->loop, &y.w);
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_sleep(self->loop, &t, AOP_MS(2))));
	EXPECT_LT(0, y.n);
	EXPECT_LT(0, aop_loop_run(self->loop, AOP_RUN_READY));
	aop_loop_stop(self->loop);
	EXPECT_EQ(1, aop_loop_run(self->loop, AOP_RUN_FOREVER));
}

/* ---- from other threads ------------------------------------------------------ */

struct poster {
	struct aop_loop *loop;
	struct aop_work w;
	_Atomic int written;		/* before each post */
	int seen;			/* by the loop */
	int rounds, runs;
	pthread_t thread;
};

static void receive(struct aop_work *w)
{
	struct poster *p = (struct poster *)((char *)w - offsetof(struct poster, w));

	p->runs++;
	p->seen = atomic_load_explicit(&p->written, memory_order_relaxed);
	if (p->seen == p->rounds)
		aop_loop_stop(p->loop);
}

static void *post_rounds(void *arg)
{
	struct poster *p = arg;
	int i;

	for (i = 1; i <= p->rounds; i++) {
		atomic_store_explicit(&p->written, i, memory_order_relaxed);
		aop_loop_post(p->loop, &p->w);
		if (!(i % 64))
			sched_yield();
	}
	return NULL;
}

/*
 * What was written before a post is seen by a run after it: the last one above all, or
 * this waits for ever.
 */
TEST_F(post, F13_no_post_is_lost)
{
	struct poster p = { .loop = self->loop, .w.run = receive };
	int i, starts = loop_rounds(60);

	for (i = 0; i < starts; i++) {
		p.rounds = 1 + i * 37 % 500;
		p.written = 0;
		p.runs = 0;
		ASSERT_EQ(0, pthread_create(&p.thread, NULL, post_rounds, &p));
		ASSERT_EQ(1, aop_loop_run(self->loop, AOP_RUN_FOREVER));
		pthread_join(p.thread, NULL);
		EXPECT_EQ(p.rounds, p.seen);
		EXPECT_GE(p.rounds, p.runs);
		/* A post may have come after the stop, and have stopped it once more. */
		while (aop_loop_run(self->loop, AOP_RUN_READY) > 0)
			;
	}
}

/* ---- a second post while the work begins ---- */

struct again {
	/* The two that the post is about are not on one line, as to be seen out of order. */
	_Alignas(64) struct aop_work w;
	_Alignas(64) _Atomic int written;
	_Atomic int seen;
	_Alignas(64) struct aop_work spin;
	struct aop_loop *loop;
	int rounds;
};

static void receive_again(struct aop_work *w)
{
	struct again *a = (struct again *)((char *)w - offsetof(struct again, w));
	int got = atomic_load_explicit(&a->written, memory_order_relaxed);

	atomic_store_explicit(&a->seen, got, memory_order_release);
	if (got == a->rounds)
		aop_loop_stop(a->loop);
}

/* The loop does not sleep: it takes what is posted at once. */
static void spin(struct aop_work *w)
{
	struct again *a = (struct again *)((char *)w - offsetof(struct again, spin));

	if (a->seen != a->rounds)
		aop_loop_post(a->loop, w);
}

static void *post_twice(void *arg)
{
	struct again *a = arg;
	int i, j;

	for (i = 1; i <= a->rounds; i++) {
		aop_loop_post(a->loop, &a->w);
		for (j = 0; j < i % 256; j++)
			__asm__ volatile("" ::: "memory");
		atomic_store_explicit(&a->written, i, memory_order_relaxed);
		aop_loop_post(a->loop, &a->w);
		for (j = 1; atomic_load_explicit(&a->seen, memory_order_acquire) != i; j++)
			if (!(j % 256))
				sched_yield();
	}
	return NULL;
}

/* It sees what was written before, or runs once more. */
TEST_F(post, F13_posted_while_it_begins_to_run)
{
	struct again a = {
		.w.run = receive_again, .spin.run = spin, .loop = self->loop,
		.rounds = loop_rounds(500),
	};
	pthread_t t;

	EXPECT_EQ(0, aop_loop_post(self->loop, &a.spin));
	ASSERT_EQ(0, pthread_create(&t, NULL, post_twice, &a));
	EXPECT_EQ(1, aop_loop_run(self->loop, AOP_RUN_FOREVER));
	pthread_join(t, NULL);
	while (aop_loop_run(self->loop, AOP_RUN_READY) > 0)
		;
	EXPECT_EQ(a.rounds, a.seen);
}

static void *end_it(void *arg)
{
	aop_done(arg, 42);
	return NULL;
}

/* W6: an op that another thread ends calls back on the loop, and wakes it. */
TEST_F(post, W6_ended_elsewhere)
{
	int i, rounds = loop_rounds(100);
	struct aop op;
	pthread_t t;

	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
		ASSERT_EQ(0, pthread_create(&t, NULL, end_it, aop_owner(&op)));
		ASSERT_EQ(42, aop_loop_get(self->loop, &op));
		pthread_join(t, NULL);
	}
}

/* A loop that is closed right after the work that was posted has run. */
TEST_F(post, close_races_with_the_door)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = variant->flags };
	int i, rounds = loop_rounds(100);
	struct aop_loop *l;
	struct aop op;
	pthread_t t;

	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, aop_loop_open(&l, &o));
		ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
		ASSERT_EQ(0, pthread_create(&t, NULL, end_it, aop_owner(&op)));
		ASSERT_EQ(42, aop_loop_get(l, &op));
		aop_loop_close(l);
		pthread_join(t, NULL);
	}
}

static void *cancel_it(void *arg)
{
	aop_cancel(arg, -EINTR);
	return NULL;
}

/* With AOP_ANY_THREAD others may cancel what was begun, and it is ended by the loop. */
TEST_F(post, C1_cancelled_from_another_thread)
{
	int i, rounds = loop_rounds(100);
	int64_t n;
	struct aop_timer timer;
	pthread_t t;

	if (!(variant->flags & AOP_ANY_THREAD))
		SKIP(return, "its ops are this thread's");
	for (i = 0; i < rounds; i++) {
		aop_sleep(self->loop, &timer, i % 2 ? AOP_SEC(1000) : AOP_US(20));
		ASSERT_EQ(0, pthread_create(&t, NULL, cancel_it, &timer.op));
		n = aop_loop_get(self->loop, &timer.op);
		pthread_join(t, NULL);
		EXPECT_TRUE(n == -EINTR || (!n && !(i % 2)));
	}
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

static void *stop_it(void *arg)
{
	aop_loop_stop(arg);
	return NULL;
}

TEST_F(post, stop)
{
	struct aop_timer t;
	pthread_t th;

	aop_sleep(self->loop, &t, AOP_SEC(1000));
	ASSERT_EQ(0, pthread_create(&th, NULL, stop_it, self->loop));
	EXPECT_EQ(1, aop_loop_run(self->loop, AOP_RUN_FOREVER));
	pthread_join(th, NULL);
	aop_loop_stop(self->loop);
	EXPECT_EQ(1, aop_loop_run(self->loop, AOP_RUN_ALL));
	aop_loop_stop(self->loop);
	EXPECT_EQ(-ECANCELED, aop_loop_get(self->loop, &t.op));
	EXPECT_FALSE(aop_is_final(&t.op));
	aop_cancel(&t.op, 0);
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

static struct aop_loop *stop_by_signal;

static void on_signal(int signo)
{
	(void)signo;
	aop_loop_stop(stop_by_signal);
}

TEST_F(post, stop_from_a_signal_handler)
{
	struct sigaction sa = { .sa_handler = on_signal };

	stop_by_signal = self->loop;
	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	EXPECT_EQ(1, aop_loop_run(self->loop, AOP_RUN_FOREVER));
}

struct opener {
	uint32_t flags;
	struct aop_loop *loop;
	int ret;
};

static void *open_it(void *arg)
{
	struct aop_loop_opts o = { .size = sizeof(o) };
	struct opener *op = arg;

	o.flags = op->flags;
	op->ret = aop_loop_open(&op->loop, &o);
	return NULL;
}

/* F8: opened here, run there. */
TEST_F(post, F8_opened_in_another_thread)
{
	struct opener o = { .flags = variant->flags };
	struct aop_timer t;
	pthread_t th;

	ASSERT_EQ(0, pthread_create(&th, NULL, open_it, &o));
	pthread_join(th, NULL);
	ASSERT_EQ(0, o.ret);
	EXPECT_LE(0, aop_loop_run(o.loop, AOP_RUN_READY));
	EXPECT_EQ(0, aop_loop_get(o.loop, aop_sleep(o.loop, &t, 1000)));
	aop_loop_close(o.loop);
}

/* ---- M9: deadlines of ops -------------------------------------------------------- */

TEST_F(post, M9_ends_an_op_in_this_thread)
{
	struct aop_ctx *where[] = { AOP_PRIVATE, AOP_LOCAL };
	struct aop op, other;
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, aop_init_with(&op, where[i], AOP_OPTS(.deadline = AOP_MS(1),
								   .loop = self->loop)));
		ASSERT_EQ(0, aop_init_with(&other, where[i], AOP_OPTS(.deadline = AOP_SEC(1000),
								      .loop = self->loop)));
		ASSERT_EQ(0, aop_start(aop_owner(&op)));
		while (!aop_is_final(&op))
			aop_loop_run(self->loop, AOP_RUN_ONCE);
		EXPECT_EQ(-ETIMEDOUT, aop_result(&op));
		EXPECT_TRUE(aop_status(&op).flags & AOP_F_SYSTEM);
		/* M10: the owner has not let go. */
		EXPECT_FALSE(aop_is_over(&op));
		EXPECT_EQ(-EALREADY, aop_done(aop_owner(&op), 1));
		EXPECT_TRUE(aop_is_over(&op));
		/* One that ends in time is not heard of again. */
		EXPECT_EQ(0, aop_done(aop_owner(&other), 1));
		EXPECT_EQ(-1, aop_loop_next(self->loop));
		EXPECT_EQ(1, aop_drop(&op));
		EXPECT_EQ(1, aop_drop(&other));
	}
}

struct race {
	struct aop_loop *loop;
	int rounds, done, late;
	_Atomic bool over;
};

/* Begins ops with a deadline that another thread's loop keeps, and ends them about then. */
static void *race_with_deadline(void *arg)
{
	struct race *r = arg;
	struct aop op;
	int i, ret;

	for (i = 0; i < r->rounds; i++) {
		ret = aop_init_with(&op, AOP_LOCAL, AOP_OPTS(.deadline = AOP_US(1 + i % 50),
							     .loop = r->loop));
		if (ret || aop_start(aop_owner(&op)) < 0) {
			r->late += !ret;
			aop_drop(&op);
			continue;
		}
		if (i % 3 == 1)
			ret = aop_wait(&op, AOP_SEC(100));
		else if (i % 3 == 2)
			usleep(i % 50);
		ret = aop_done(aop_owner(&op), 1);
		r->done += !ret;
		r->late += ret == -EALREADY;
		aop_drop(&op);
	}
	r->over = true;
	aop_loop_stop(r->loop);
	return NULL;
}

TEST_F(post, M9_races_with_the_end_in_another_thread)
{
	struct race r = { .loop = self->loop, .rounds = loop_rounds(1500) };
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, race_with_deadline, &r));
	while (!r.over)
		ASSERT_LE(0, aop_loop_run(self->loop, AOP_RUN_FOREVER));
	pthread_join(t, NULL);
	EXPECT_EQ(r.rounds, r.done + r.late);
	EXPECT_LT(0, r.late);
	aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_EQ(-1, aop_loop_next(self->loop));
}

/* In epoll, level- and edge-triggered: what another thread posts, and what is left over. */
TEST_F(post, W10_epoll_in_epoll)
{
	struct poster p = { .loop = self->loop, .w.run = receive, .rounds = 300 };
	uint32_t how[] = { EPOLLIN, EPOLLIN | EPOLLET };
	struct epoll_event ev;
	unsigned int i;
	int ep;

	for (i = 0; i < 2; i++) {
		ep = epoll_create1(EPOLL_CLOEXEC);
		ev.events = how[i];
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, aop_loop_fd(self->loop), &ev));
		p.written = 0;
		p.seen = 0;
		ASSERT_EQ(0, pthread_create(&p.thread, NULL, post_rounds, &p));
		while (p.seen != p.rounds) {
			/* Completions of io_uring may interrupt it, as signals do. */
			if (epoll_wait(ep, &ev, 1, -1) < 0) {
				ASSERT_EQ(EINTR, errno);
				continue;
			}
			ASSERT_LE(0, aop_loop_dispatch(self->loop));
		}
		pthread_join(p.thread, NULL);
		aop_loop_dispatch(self->loop);
		close(ep);
	}
}

/* ---- W9: many ops, one that ends ------------------------------------------------- */

TEST_F(post, W9_one_turn_for_one_event)
{
	enum { N = 64 };
	struct aop_io io[N];
	int sv[N][2], i;
	char buf[N];
	struct aop_loop_stats before, after;

	for (i = 0; i < N; i++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv[i]));
		aop_recv(self->loop, &io[i], sv[i][0], &buf[i], 1, 0);
	}
	for (i = 0; i < 3; i++)
		aop_loop_run(self->loop, AOP_RUN_READY);
	before = stats_of(self->loop);
	EXPECT_EQ(N, before.alive);
	ASSERT_EQ(1, write(sv[33][1], "x", 1));
	EXPECT_EQ(1, aop_loop_run(self->loop, AOP_RUN_ONCE));
	after = stats_of(self->loop);
	EXPECT_EQ(before.turns + 1, after.turns);
	EXPECT_EQ(before.events + 1, after.events);
	EXPECT_TRUE(aop_is_over(&io[33].op));
	for (i = 0; i < N; i++) {
		aop_cancel(&io[i].op, 0);
		close(sv[i][1]);
	}
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	for (i = 0; i < N; i++)
		close(sv[i][0]);
}

/* ---- F13: the wrong thread ---- */

static void *begin_elsewhere(void *arg)
{
	struct aop_timer tm;

	aop_sleep(arg, &tm, 1);
	return NULL;
}

/* In assertion builds the mistake stops with a message that names the right call. */
TEST_F(post, F13_beginning_on_the_wrong_thread_is_told)
{
#if defined(AOP_ASSERT) && !defined(__SANITIZE_THREAD__)
	char text[512] = "";
	int status, err[2];
	pthread_t t;
	pid_t pid;

	ASSERT_EQ(0, pipe(err));
	fflush(NULL);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		dup2(err[1], 2);
		pthread_create(&t, NULL, begin_elsewhere, self->loop);
		pthread_join(t, NULL);
		_exit(0);
	}
	close(err[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT_LT(0, read(err[0], text, sizeof(text) - 1));
	EXPECT_NE(NULL, strstr(text, "another thread"));
	EXPECT_NE(NULL, strstr(text, "aop_loop_post()"));
	close(err[0]);
#else
	(void)begin_elsewhere;
	SKIP(return, "no assertions in this build");
#endif
}

TEST_HARNESS_MAIN
