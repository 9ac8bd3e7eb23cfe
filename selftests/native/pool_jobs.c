// SPDX-License-Identifier: GPL-2.0
/*
 * Jobs of a thread pool are ops (F6): they run off the caller's thread, can be taken back
 * for certain until they have begun (C1), and are asked to stop after that (C2, C3).
 */
#include <netdb.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "lib.h"

/* A job that tells when it runs, and ends when it is let. */
struct gate {
	struct aop_job job;
	struct aop began, let;
	_Atomic int calls;
	pthread_t thread;
};

static int64_t stand(struct aop_owner *o, void *arg)
{
	struct gate *g = arg;

	(void)o;
	g->calls++;
	g->thread = pthread_self();
	aop_done(aop_owner(&g->began), 0);
	return aop_get(&g->let, AOP_FOREVER);
}

static void gate_init(struct gate *g)
{
	g->calls = 0;
	aop_init(&g->began, AOP_LOCAL);
	aop_init(&g->let, AOP_LOCAL);
}

static int64_t square(struct aop_owner *o, void *arg)
{
	int64_t n = (intptr_t)arg;

	(void)o;
	return n * n;
}

/* One thread, room for two: what the tests need to know who waits. */
FIXTURE(pool) {
	struct aop_pool *pool;
	struct gate gate;
};

FIXTURE_SETUP(pool)
{
	struct aop_pool_opts o = { .size = sizeof(o), .threads = 1, .queue = 2 };

	ASSERT_EQ(0, aop_pool_open(&self->pool, &o));
	gate_init(&self->gate);
}

FIXTURE_TEARDOWN(pool)
{
	aop_pool_close(self->pool);
}

/* From here on the pool's thread is busy, until let_go(). */
static struct aop *occupy(struct aop_pool *p, struct gate *g)
{
	struct aop *op = aop_pool_run(p, &g->job, stand, g);

	return aop_wait(&g->began, AOP_FOREVER) ? NULL : op;
}

static int64_t let_go(struct gate *g)
{
	aop_done(aop_owner(&g->let), 7);
	return aop_join(&g->job.op);
}

TEST_F(pool, F6_runs_in_a_thread_of_its_own)
{
	ASSERT_NE(NULL, occupy(self->pool, &self->gate));
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->gate.job.op));
	EXPECT_FALSE(pthread_equal(pthread_self(), self->gate.thread));
	EXPECT_EQ(7, let_go(&self->gate));
	EXPECT_EQ(1, self->gate.calls);
}

TEST_F(pool, results_and_errors)
{
	struct aop_job j;

	EXPECT_EQ(144, aop_join(aop_pool_run(self->pool, &j, square, (void *)12)));
	/* No errno, and no op that never ends either. */
	EXPECT_EQ(-EINVAL, aop_join(aop_pool_run(NULL, &j, square, NULL)));
	EXPECT_EQ(-EINVAL, aop_join(aop_pool_run(self->pool, &j, NULL, NULL)));
}

static int64_t nonsense(struct aop_owner *o, void *arg)
{
	(void)o;
	(void)arg;
	return -5000;
}

TEST_F(pool, a_result_that_is_no_errno)
{
	struct aop_job j;

	EXPECT_EQ(-EINVAL, aop_join(aop_pool_run(self->pool, &j, nonsense, NULL)));
}

TEST_F(pool, C1_a_cancel_before_it_began_always_succeeds)
{
	struct aop_job j;
	struct aop *op;

	ASSERT_NE(NULL, occupy(self->pool, &self->gate));
	op = aop_pool_run(self->pool, &j, square, (void *)3);
	EXPECT_EQ(AOP_PENDING, aop_state(op));
	EXPECT_EQ(AOP_STOPPED, aop_cancel(op, -EINTR));
	/* It is over although the pool's only thread is busy. */
	EXPECT_TRUE(aop_is_over(op));
	EXPECT_EQ(-EINTR, aop_join(op));
	EXPECT_EQ(7, let_go(&self->gate));
}

static int64_t until_asked(struct aop_owner *o, void *arg)
{
	aop_done(aop_owner(arg), 0);
	return aop_wait_asked(o, AOP_FOREVER);
}

TEST_F(pool, C2_a_cancel_afterwards_is_a_request)
{
	struct aop began;
	struct aop_job j;
	struct aop *op;

	aop_init(&began, AOP_LOCAL);
	op = aop_pool_run(self->pool, &j, until_asked, &began);
	ASSERT_EQ(0, aop_wait(&began, AOP_FOREVER));
	EXPECT_EQ(AOP_ASKED, aop_cancel(op, -EINTR));
	EXPECT_EQ(-EINTR, aop_get(op, AOP_FOREVER));
	EXPECT_EQ(AOP_CANCELLED, aop_state(op));
	EXPECT_EQ(-EINTR, aop_join(op));
}

TEST_F(pool, a_full_queue_refuses)
{
	struct aop_pool_stats s = { .size = sizeof(s) };
	struct aop_job j[3];

	ASSERT_NE(NULL, occupy(self->pool, &self->gate));
	aop_pool_run(self->pool, &j[0], square, (void *)1);
	aop_pool_run(self->pool, &j[1], square, (void *)2);
	EXPECT_EQ(-EAGAIN, aop_join(aop_pool_run(self->pool, &j[2], square, (void *)3)));
	ASSERT_EQ(0, aop_pool_stats(self->pool, &s));
	EXPECT_EQ(2, s.queued);
	EXPECT_EQ(1, s.running);
	EXPECT_EQ(1, s.refused);
	/* A place that is given back is free. */
	EXPECT_EQ(AOP_STOPPED, aop_cancel(&j[0].op, 0));
	EXPECT_EQ(-ECANCELED, aop_join(&j[0].op));
	aop_pool_run(self->pool, &j[2], square, (void *)3);
	EXPECT_EQ(7, let_go(&self->gate));
	EXPECT_EQ(4, aop_join(&j[1].op));
	EXPECT_EQ(9, aop_join(&j[2].op));
	ASSERT_EQ(0, aop_pool_stats(self->pool, &s));
	EXPECT_EQ(3, s.done);
	EXPECT_EQ(1, s.stopped);
	EXPECT_EQ(0, s.queued);
	EXPECT_EQ(1, s.threads);
}

TEST_F(pool, dropping_one_that_waits_takes_it_back)
{
	struct aop_pool_stats s = { .size = sizeof(s) };
	struct aop_job j;

	ASSERT_NE(NULL, occupy(self->pool, &self->gate));
	aop_drop(aop_pool_run(self->pool, &j, stand, NULL));
	ASSERT_EQ(0, aop_pool_stats(self->pool, &s));
	EXPECT_EQ(0, s.queued);
	EXPECT_EQ(7, let_go(&self->gate));
}

TEST_F(pool, closing_lets_go_of_what_waits)
{
	struct aop_job j;

	ASSERT_NE(NULL, occupy(self->pool, &self->gate));
	aop_pool_run(self->pool, &j, square, (void *)3);
	aop_done(aop_owner(&self->gate.let), 7);
	aop_pool_close(self->pool);
	self->pool = NULL;
	EXPECT_TRUE(aop_is_over(&self->gate.job.op));
	EXPECT_TRUE(aop_is_over(&j.op));
	if (aop_state(&j.op) == AOP_FAILED) {
		EXPECT_EQ(-EOWNERDEAD, aop_join(&j.op));
	} else {
		EXPECT_EQ(9, aop_join(&j.op));
	}
}

struct late {
	struct aop_watch w;
	pthread_t thread;
	struct aop called;
};

static void note(struct aop_watch *w, const struct aop_status *st)
{
	struct late *l = w->data;

	(void)st;
	l->thread = pthread_self();
	aop_done(aop_owner(&l->called), 0);
}

/* W6: the watcher chooses a pool */
TEST_F(pool, W6_callbacks_run_there)
{
	struct late l;
	struct aop op;

	aop_init(&l.called, AOP_LOCAL);
	aop_init(&op, AOP_LOCAL);
	ASSERT_EQ(0, aop_then(&op, &l.w, note, &l, aop_pool_exec(self->pool)));
	aop_done(aop_owner(&op), 1);
	ASSERT_EQ(0, aop_wait(&l.called, AOP_FOREVER));
	EXPECT_FALSE(pthread_equal(pthread_self(), l.thread));
	aop_unwatch(&l.w);
	aop_join(&op);
}

TEST_F(pool, jobs_and_callbacks_take_turns)
{
	struct late l;
	struct aop_job j;
	struct aop op;

	ASSERT_NE(NULL, occupy(self->pool, &self->gate));
	aop_init(&l.called, AOP_LOCAL);
	aop_init(&op, AOP_LOCAL);
	aop_done(aop_owner(&op), 1);
	aop_pool_run(self->pool, &j, square, (void *)5);
	ASSERT_EQ(0, aop_then(&op, &l.w, note, &l, aop_pool_exec(self->pool)));
	EXPECT_EQ(7, let_go(&self->gate));
	EXPECT_EQ(25, aop_join(&j.op));
	ASSERT_EQ(0, aop_wait(&l.called, AOP_FOREVER));
	aop_unwatch(&l.w);
	aop_drop(&op);
}

TEST_F(pool, bad_options)
{
	struct aop_pool_opts o = { .size = sizeof(o), .flags = 1 };
	struct aop_pool_stats s = { .size = 4 };
	struct aop_pool *p = self->pool;

	EXPECT_EQ(-EINVAL, aop_pool_open(NULL, NULL));
	EXPECT_EQ(-EINVAL, aop_pool_open(&p, &o));
	EXPECT_EQ(NULL, p);
	o.flags = 0;
	o.threads = 1 << 20;
	EXPECT_EQ(-EINVAL, aop_pool_open(&p, &o));
	EXPECT_EQ(-EINVAL, aop_pool_stats(self->pool, &s));
	aop_pool_close(NULL);
}

TEST_F(pool, as_many_threads_as_it_says)
{
	struct aop_pool_opts o = { .size = sizeof(o), .threads = 3 };
	struct gate g[3];
	struct aop_pool *p;
	int i;

	ASSERT_EQ(0, aop_pool_open(&p, &o));
	for (i = 0; i < 3; i++) {
		gate_init(&g[i]);
		aop_pool_run(p, &g[i].job, stand, &g[i]);
	}
	/* All run at once, or this never ends. */
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, aop_wait(&g[i].began, AOP_FOREVER));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(7, let_go(&g[i]));
	aop_pool_close(p);
	ASSERT_EQ(0, aop_pool_open(&p, NULL));
	aop_pool_close(p);
}

/* ---- C3: a cancel and a thread that takes the job, in both orders ----------------- */

TEST_F(pool, C3_cancel_races_with_the_start)
{
	const int rounds = getenv("AOP_NATIVE") && !strcmp(getenv("AOP_NATIVE"), "memcheck") ?
			   100 : 2000;
	int i, answer, stopped = 0;
	struct aop_job j;
	int64_t result;

	for (i = 0; i < rounds; i++) {
		aop_pool_run(self->pool, &j, square, (void *)3);
		if (i % 2)
			sched_yield();
		answer = aop_cancel(&j.op, -EINTR);
		result = aop_join(&j.op);
		if (answer == AOP_STOPPED) {
			ASSERT_EQ(-EINTR, result);
			stopped++;
		} else {
			ASSERT_EQ(9, result);
		}
	}
	ASSERT_LE(0, stopped);
}

/* ---- helpers ------------------------------------------------------------------------ */

TEST_F(pool, F6_names_and_files)
{
	char dir[] = "/tmp/aop-pool-XXXXXX", path[64];
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	struct aop_lookup r;
	struct aop_path a;
	struct statx stx;
	int64_t fd;

	EXPECT_EQ(0, aop_join(aop_getaddrinfo(self->pool, &r, "127.0.0.1", "80", &hints)));
	ASSERT_NE(NULL, r.list);
	EXPECT_EQ(AF_INET, r.list->ai_family);
	freeaddrinfo(r.list);
	aop_getaddrinfo(self->pool, &r, "not an address", "80", &hints);
	EXPECT_EQ(-ENOENT, aop_join(&r.job.op));
	EXPECT_EQ(NULL, r.list);
	EXPECT_EQ(EAI_NONAME, r.error);

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	EXPECT_EQ(-ENOENT, aop_join(aop_statx(self->pool, &a, AT_FDCWD, path, 0, STATX_SIZE,
					      &stx)));
	EXPECT_EQ(-ENOENT, aop_join(aop_openat(self->pool, &a, AT_FDCWD, path, O_RDONLY, 0)));
	fd = aop_join(aop_openat(self->pool, &a, AT_FDCWD, path, O_WRONLY | O_CREAT, 0600));
	ASSERT_LE(0, fd);
	EXPECT_EQ(5, write(fd, "hello", 5));
	EXPECT_EQ(0, aop_join(aop_statx(self->pool, &a, AT_FDCWD, path, 0, STATX_SIZE, &stx)));
	EXPECT_EQ(5, stx.stx_size);
	close(fd);
	unlink(path);
	rmdir(dir);
}

TEST_HARNESS_MAIN
