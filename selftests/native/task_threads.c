// SPDX-License-Identifier: GPL-2.0
/*
 * Tasks and threads: several loops (F8), tasks for any thread, wakes that coalesce (F13),
 * work of the pool awaited by tasks (F6), and tasks that wait for each other's locks (F14).
 */
#include <stdatomic.h>

#include "lib.h"

static int slower(int rounds)
{
	const char *variant = getenv("AOP_NATIVE");

	return variant && strcmp(variant, "plain") ? rounds / 20 : rounds;
}

/* ---- a loop in a thread ---- */

struct runner {
	pthread_t thread;
	struct aop_loop *loop;
	uint32_t engine;
	struct aop ready, stop;
	int ret;
};

static void *run_thread(void *arg)
{
	struct runner *r = arg;
	struct aop_loop_opts o = { .size = sizeof(o), .flags = r->engine };

	r->ret = aop_loop_open(&r->loop, &o);
	aop_end(aop_owner(&r->ready), r->ret);
	if (r->ret)
		return NULL;
	aop_loop_get(r->loop, &r->stop);
	aop_loop_close(r->loop);
	return NULL;
}

static int64_t runner_start(struct runner *r, uint32_t engine)
{
	r->engine = engine;
	aop_init(&r->ready, AOP_LOCAL);
	aop_init(&r->stop, AOP_LOCAL);
	if (pthread_create(&r->thread, NULL, run_thread, r))
		return -EAGAIN;
	return aop_join(&r->ready);
}

static void runner_stop(struct runner *r)
{
	aop_done(aop_owner(&r->stop), 0);
	pthread_join(r->thread, NULL);
}

FIXTURE(threads) {
	struct runner a, b;
	struct aop_loop *here;
	struct aop_pool *pool;
};

FIXTURE_VARIANT(threads) {
	uint32_t engine;
};

FIXTURE_VARIANT_ADD(threads, epoll) {
	.engine = AOP_EPOLL,
};

FIXTURE_VARIANT_ADD(threads, uring) {
	.engine = AOP_URING,
};

FIXTURE_SETUP(threads)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = variant->engine };
	struct aop_pool_opts p = { .size = sizeof(p), .threads = 2 };
	int ret;

	/* It keeps all other threads from running while one sleeps in io_uring_enter(). */
	if (variant->engine == AOP_URING && getenv("AOP_NATIVE") &&
	    !strcmp(getenv("AOP_NATIVE"), "memcheck"))
		SKIP(return, "valgrind does not know io_uring");
	ret = aop_loop_open(&self->here, &o);
	if (ret && variant->engine == AOP_URING)
		SKIP(return, "no io_uring");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, aop_pool_open(&self->pool, &p));
	ASSERT_EQ(0, runner_start(&self->a, variant->engine));
	ASSERT_EQ(0, runner_start(&self->b, variant->engine));
}

FIXTURE_TEARDOWN(threads)
{
	runner_stop(&self->a);
	runner_stop(&self->b);
	aop_loop_close(self->here);
	aop_pool_close(self->pool);
}

/* ---- tasks ---- */

struct where {
	struct aop_task task;
	struct aop_timer tm;
	pthread_t first, last;
	int64_t got;
	int64_t cleanups;
};

static int64_t look_around(struct aop_task *t)
{
	struct where *w = aop_container(t, struct where, task);

	AOP_BEGIN(t);
	w->first = pthread_self();
	AOP_AWAIT(w->got, aop_sleep(t->loop, &w->tm, AOP_US(100)));
	w->last = pthread_self();
	AOP_END(w->got < 0 ? w->got : 11);
}

static int64_t cleaned(struct aop_task *t)
{
	aop_container(t, struct where, task)->cleanups++;
	return 0;
}

/* Spawned from here, run there, and the result read here. */
TEST_F(threads, F8_a_loop_keeps_its_tasks)
{
	struct where w[2] = { 0 };
	int i;

	for (i = 0; i < slower(200); i++) {
		aop_spawn(self->a.loop, &w[0].task, look_around, cleaned, AOP_ANY_THREAD);
		aop_spawn(self->b.loop, &w[1].task, look_around, cleaned, AOP_ANY_THREAD);
		ASSERT_EQ(11, aop_join(&w[0].task.op));
		ASSERT_EQ(11, aop_join(&w[1].task.op));
		ASSERT_TRUE(pthread_equal(w[0].first, self->a.thread));
		ASSERT_TRUE(pthread_equal(w[0].last, self->a.thread));
		ASSERT_TRUE(pthread_equal(w[1].last, self->b.thread));
	}
	EXPECT_EQ(i, w[0].cleanups);
}

/* C3: both orders, and whatever is between them */
TEST_F(threads, C3_cancelled_from_another_thread)
{
	struct where w = { 0 };
	int i, rounds = slower(1000);
	int64_t ret;

	for (i = 0; i < rounds; i++) {
		aop_spawn(self->a.loop, &w.task, look_around, cleaned, AOP_ANY_THREAD);
		if (i % 3 == 1)
			sched_yield();
		if (i % 3 == 2)
			ret = aop_wait(&w.task.op, AOP_US(80));
		aop_cancel(&w.task.op, -EINTR);
		ret = aop_join(&w.task.op);
		ASSERT_TRUE(ret == 11 || ret == -EINTR);
	}
	EXPECT_EQ(rounds, w.cleanups);
}

/* ---- F4: detached from another thread ---- */

static int64_t at_once(struct aop_task *t)
{
	(void)t;
	return 3;
}

static int64_t poison_when_detached(struct aop_task *t)
{
	struct where *w = aop_container(t, struct where, task);
	_Atomic int64_t *cleanups = (_Atomic int64_t *)(intptr_t)w->got;

	memset(w, 0xee, sizeof(*w));
	++*cleanups;
	return 0;
}

static int64_t count_cleanup(struct aop_task *t)
{
	++*(_Atomic int64_t *)(intptr_t)aop_container(t, struct where, task)->got;
	return 0;
}

/*
 * The drop comes before the task has begun, while it ends, and when it is over; it is
 * cleaned up once, and over when the drop says so.  Detached from the start, nothing of it
 * is touched once it is cleaned up.
 */
TEST_F(threads, F4_dropped_while_it_ends)
{
	enum { N = 16 };
	int i, j, k, rounds = slower(200), early = 0, late = 0;
	_Atomic int64_t cleanups = 0;
	struct where last, *w;

	for (i = 0; i < rounds; i++) {
		w = calloc(N, sizeof(*w));
		ASSERT_NE(NULL, w);
		for (j = 0; j < N; j++) {
			w[j].got = (intptr_t)&cleanups;
			if (j % 4 == 3) {
				aop_spawn(self->a.loop, &w[j].task, at_once, poison_when_detached,
					  AOP_ANY_THREAD | AOP_DETACHED);
				continue;
			}
			aop_spawn(self->a.loop, &w[j].task, at_once, count_cleanup,
				  AOP_ANY_THREAD);
			for (k = 0; k < i % 64 * (j % 4) * 20; k++)
				__asm__ volatile("" ::: "memory");
			if (i % 8 == 0 && j % 4 == 2)
				ASSERT_EQ(0, aop_wait(&w[j].task.op, AOP_FOREVER));
			if (aop_drop(&w[j].task.op)) {
				late++;
				ASSERT_EQ(3, aop_result(&w[j].task.op));
				memset(&w[j].task, 0xee, sizeof(w[j].task));
			} else {
				early++;
			}
		}
		/* The loop is through with them when it has run one more. */
		aop_spawn(self->a.loop, &last.task, at_once, NULL, AOP_ANY_THREAD);
		ASSERT_EQ(3, aop_join(&last.task.op));
		ASSERT_EQ((i + 1) * N, cleanups);
		free(w);
	}
	EXPECT_LT(0, early);
	EXPECT_LT(0, late);
}

/* ---- F13: wakes from other threads ---- */

struct sink {
	struct aop_task task;
	_Atomic uint64_t sent;
	uint64_t polls;
	_Atomic uint64_t seen;
	uint64_t target;
};

static int64_t sink(struct aop_task *t)
{
	struct sink *s = aop_container(t, struct sink, task);
	uint64_t sent;

	s->polls++;
	sent = atomic_load_explicit(&s->sent, memory_order_acquire);
	atomic_store_explicit(&s->seen, sent, memory_order_release);
	return sent == s->target ? 0 : AOP_MORE;
}

static void *send_some(void *arg)
{
	struct sink *s = arg;
	uint64_t i, n = (s->target - 1) / 2;

	for (i = 0; i < n; i++) {
		s->sent++;
		aop_wake(&s->task);
	}
	return NULL;
}

/* No wake is lost; many are one. */
TEST_F(threads, F13_wakes_of_other_threads)
{
	/* One more, so that it is not over while they wake it. */
	struct sink s = { .target = 2 * slower(20000) + 1 };
	struct aop *op = aop_spawn(self->a.loop, &s.task, sink, NULL, AOP_ANY_THREAD);
	pthread_t t[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, send_some, &s));
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	EXPECT_FALSE(aop_is_final(op));
	s.sent++;
	aop_wake(&s.task);
	EXPECT_EQ(0, aop_join(op));
	EXPECT_EQ(s.target, s.seen);
	EXPECT_GE(s.target + 1, s.polls);
}

static _Atomic bool enough;

static int64_t keep_awake(struct aop_task *t)
{
	AOP_BEGIN(t);
	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		AOP_YIELD();
	AOP_END(0);
}

/*
 * A wake that comes while the task begins to run is seen by this run, or makes another.
 * The loop does not sleep, so that it takes the first wake while the second one comes.
 */
TEST_F(threads, F13_a_wake_while_it_begins_to_run)
{
	struct sink s = { .target = UINT64_MAX };
	struct aop *op = aop_spawn(self->a.loop, &s.task, sink, NULL, AOP_ANY_THREAD);
	int i, j, rounds = slower(4000);
	struct aop_task spins;

	enough = false;
	aop_spawn(self->a.loop, &spins, keep_awake, NULL, AOP_ANY_THREAD);
	for (i = 0; i < rounds; i++) {
		aop_wake(&s.task);
		for (j = 0; j < i % 512; j++)
			__asm__ volatile("" ::: "memory");
		atomic_store_explicit(&s.sent, i, memory_order_release);
		aop_wake(&s.task);
		while (atomic_load_explicit(&s.seen, memory_order_acquire) != (uint64_t)i)
			sched_yield();
	}
	s.sent = UINT64_MAX;
	aop_wake(&s.task);
	EXPECT_EQ(0, aop_join(op));
	enough = true;
	EXPECT_EQ(0, aop_join(&spins.op));
}

struct wrong {
	struct aop_task task;
	int how;
};

static void *wrong_thread(void *arg)
{
	struct wrong *w = arg;

	if (w->how)
		aop_spawn(w->task.loop, &w->task, sink, NULL, 0);
	else
		aop_wake(&w->task);
	return NULL;
}

static int64_t never(struct aop_task *t)
{
	(void)t;
	return AOP_MORE;
}

/* In assertion builds the mistake stops with a message that names the right call. */
TEST_F(threads, F13_the_wrong_thread_is_told)
{
	char text[512] = "";
	int how, status, err[2];
	struct wrong w[2];
	pthread_t t;
	pid_t pid;

#ifdef __SANITIZE_THREAD__
	SKIP(return, "no threads after a fork");
#endif
	for (how = 0; how < 2; how++) {
		w[how].how = how;
		aop_spawn(self->here, &w[how].task, never, NULL, 0);
		ASSERT_EQ(0, pipe(err));
		fflush(NULL);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			signal(SIGABRT, SIG_DFL);
			dup2(err[1], 2);
			pthread_create(&t, NULL, wrong_thread, &w[how]);
			pthread_join(t, NULL);
			/* A private task is spawned on its own thread only. */
			_exit(how && aop_result(&w[how].task.op) != -EPERM);
		}
		close(err[1]);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
#ifdef AOP_ASSERT
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		EXPECT_LT(0, read(err[0], text, sizeof(text) - 1));
		EXPECT_NE(NULL, strstr(text, "AOP_ANY_THREAD"));
		EXPECT_NE(NULL, strstr(text, "aop_loop_post()"));
#else
		EXPECT_EQ(0, status);
		EXPECT_EQ(0, read(err[0], text, sizeof(text) - 1));
#endif
		close(err[0]);
	}
	/* Before what is on this stack goes. */
	aop_loop_close(self->here);
	self->here = NULL;
}

/* ---- F6: a task awaits all kinds of work ---- */

struct mixed {
	struct aop_task task;
	struct aop_pool *pool;
	struct aop_job job;
	struct aop_io io;
	struct aop_timer tm;
	int fd[2];
	char byte;
	pthread_t worker;
};

static int64_t work(struct aop_owner *o, void *arg)
{
	struct mixed *m = arg;

	(void)o;
	m->worker = pthread_self();
	return write(m->fd[1], "x", 1);
}

static int64_t mixed(struct aop_task *t)
{
	struct mixed *m = aop_container(t, struct mixed, task);
	int64_t ret;

	AOP_BEGIN(t);
	AOP_AWAIT(ret, aop_sleep(t->loop, &m->tm, 1));
	if (ret)
		return ret;
	AOP_AWAIT(ret, aop_pool_run(m->pool, &m->job, work, m));
	if (ret != 1)
		return ret;
	AOP_AWAIT(ret, aop_read(t->loop, &m->io, m->fd[0], &m->byte, 1, -1));
	AOP_END(ret == 1 ? m->byte : ret);
}

TEST_F(threads, F6_three_kinds_of_work)
{
	struct mixed m = { .pool = self->pool };
	int i;

	ASSERT_EQ(0, pipe(m.fd));
	for (i = 0; i < slower(100); i++) {
		ASSERT_EQ('x', aop_loop_get(self->here, aop_spawn(self->here, &m.task, mixed, NULL,
								  0)));
		ASSERT_FALSE(pthread_equal(pthread_self(), m.worker));
	}
	close(m.fd[0]);
	close(m.fd[1]);
}

struct busy {
	struct aop_task task;
	struct aop_pool *pool;
	struct aop_job job;
	struct aop began;
	bool over_at_cleanup;
};

static int64_t until_asked(struct aop_owner *o, void *arg)
{
	struct busy *b = arg;

	aop_done(aop_owner(&b->began), 0);
	return aop_wait_asked(o, AOP_FOREVER);
}

static int64_t busy(struct aop_task *t)
{
	struct busy *b = aop_container(t, struct busy, task);
	int64_t ret;

	AOP_BEGIN(t);
	AOP_AWAIT(ret, aop_pool_run(b->pool, &b->job, until_asked, b));
	AOP_END(ret);
}

static int64_t look_at_job(struct aop_task *t)
{
	struct busy *b = aop_container(t, struct busy, task);

	b->over_at_cleanup = aop_is_over(&b->job.op);
	return 0;
}

/* M10: what the task awaits may use its memory until it is over, also after a cancel. */
TEST_F(threads, M10_dropped_when_what_it_awaits_is_over)
{
	struct busy b = { .pool = self->pool };

	aop_init(&b.began, AOP_LOCAL);
	aop_spawn(self->here, &b.task, busy, look_at_job, 0);
	aop_loop_run(self->here, AOP_RUN_READY);
	ASSERT_EQ(0, aop_wait(&b.began, AOP_FOREVER));
	aop_loop_close(self->here);
	self->here = NULL;
	EXPECT_TRUE(b.over_at_cleanup);
	EXPECT_EQ(-ECANCELED, aop_result(&b.task.op));
}

/* ---- F14: a lock between tasks of different loops ---- */

struct account {
	struct aop_mutex m;
	int inside, overlaps;		/* m */
	uint64_t total;			/* m */
};

struct clerk {
	struct aop_task task;
	struct account *account;
	struct aop_waiter w;
	struct aop_timer tm;
	int i, rounds;
};

static int64_t clerk(struct aop_task *t)
{
	struct clerk *c = aop_container(t, struct clerk, task);
	int64_t ret;

	AOP_BEGIN(t);
	for (c->i = 0; c->i < c->rounds; c->i++) {
		AOP_AWAIT(ret, aop_mutex_lock(&c->account->m, &c->w));
		if (ret)
			return ret;
		if (c->account->inside++)
			c->account->overlaps++;
		/* The task is parked with the lock, the thread is not. */
		AOP_YIELD();
		c->account->inside--;
		c->account->total++;
		aop_mutex_unlock(&c->account->m);
	}
	AOP_END(0);
}

TEST_F(threads, F14_tasks_of_two_loops_and_one_mutex)
{
	struct account account = { .total = 0 };
	struct clerk c[4];
	int i, rounds = slower(2000);

	ASSERT_EQ(0, aop_mutex_init(&account.m, AOP_LOCAL));
	for (i = 0; i < 4; i++) {
		c[i] = (struct clerk){ .account = &account, .rounds = rounds };
		aop_spawn(i % 2 ? self->a.loop : self->b.loop, &c[i].task, clerk, NULL,
			  AOP_ANY_THREAD);
	}
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, aop_join(&c[i].task.op));
	EXPECT_EQ(0, account.overlaps);
	EXPECT_EQ(4 * rounds, account.total);
}

/* ---- the loop of a thread is dumped from there only ---- */

TEST_F(threads, others_may_not_look_in)
{
	struct aop_task_info info;

	EXPECT_EQ(-EPERM, aop_loop_tasks(self->a.loop, (void *)&info, NULL));
	EXPECT_EQ(-EPERM, aop_loop_dump(self->a.loop, 1));
	EXPECT_EQ(NULL, aop_task_current(self->a.loop));
}

TEST_HARNESS_MAIN
