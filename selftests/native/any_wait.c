// SPDX-License-Identifier: GPL-2.0
/*
 * Looking and waiting, W1 to W4 and W9, in every scope.
 */
#include "any.h"

enum { N = 4 };

FIXTURE(wait) {
	struct any any;
	struct aop op[N];
	struct aop *ops[N];
	struct aop_owner *o[N];
};

ANY_VARIANTS(wait);

FIXTURE_SETUP(wait)
{
	int i;

	ANY_SETUP();
	for (i = 0; i < N; i++) {
		ASSERT_EQ(0, aop_init(&self->op[i], self->any.where));
		self->ops[i] = &self->op[i];
		self->o[i] = aop_owner(&self->op[i]);
	}
}

FIXTURE_TEARDOWN(wait)
{
	any_teardown(&self->any);
}

TEST_F(wait, W2_returns_at_once_if_it_moved_or_is_final)
{
	uint32_t seq = aop_status(&self->op[0]).seq, old;

	EXPECT_EQ(-ETIME, aop_wait_change(&self->op[0], &seq, AOP_NOWAIT));
	aop_progress(self->o[0], 1, 2);
	EXPECT_EQ(0, aop_wait_change(&self->op[0], &seq, AOP_FOREVER));
	EXPECT_EQ(aop_status(&self->op[0]).seq, seq);
	old = seq;
	EXPECT_EQ(-ETIME, aop_wait_change(&self->op[0], &seq, AOP_MS(1)));
	EXPECT_EQ(old, seq);
	aop_done(self->o[0], 1);
	EXPECT_EQ(0, aop_wait_change(&self->op[0], &seq, AOP_FOREVER));
	EXPECT_EQ(0, aop_wait_change(&self->op[0], &seq, AOP_FOREVER));
}

TEST_F(wait, W3_a_sleep_that_nobody_could_end)
{
	uint32_t seq = aop_status(&self->op[0]).seq;

	if (self->any.scope != ANY_PRIVATE)
		SKIP(return, "another thread could");
	EXPECT_EQ(-EDEADLK, aop_wait(&self->op[0], AOP_FOREVER));
	EXPECT_EQ(-EDEADLK, aop_wait_change(&self->op[0], &seq, AOP_FOREVER));
	EXPECT_EQ(-EDEADLK, aop_get(&self->op[0], AOP_FOREVER));
	EXPECT_EQ(-EDEADLK, aop_join(&self->op[0]));
	EXPECT_EQ(-EDEADLK, aop_wait_any(self->ops, N, AOP_FOREVER));
	EXPECT_EQ(-EDEADLK, aop_wait_all(self->ops, N, AOP_FOREVER));
	EXPECT_EQ(-EDEADLK, aop_wait_asked(self->o[0], AOP_FOREVER));
	aop_done(self->o[0], 1);
	EXPECT_EQ(-EDEADLK, aop_wait_some(self->ops, N, 2, AOP_FOREVER));
	EXPECT_EQ(1, aop_join(&self->op[0]));
}

TEST_F(wait, W4_timeouts)
{
	struct aop *op = &self->op[0];
	int64_t before, at;

	EXPECT_EQ(-ETIME, aop_wait(op, AOP_NOWAIT));
	before = aop_now();
	EXPECT_EQ(-ETIME, aop_wait(op, AOP_MS(20)));
	EXPECT_GE(aop_now() - before, AOP_MS(20));
	at = aop_now() + AOP_MS(20);
	EXPECT_EQ(-ETIME, aop_wait(op, aop_until(at)));
	EXPECT_GE(aop_now(), at);
	EXPECT_EQ(-ETIME, aop_wait(op, aop_until(at)));
	EXPECT_EQ(-ETIME, aop_wait(op, aop_until(0)));
	EXPECT_EQ(-ETIME, aop_wait(op, aop_until(-5)));
	EXPECT_EQ(-ETIME, aop_get(op, AOP_NOWAIT));
	EXPECT_EQ(AOP_PENDING, aop_state(op));
	EXPECT_EQ(0, aop_done(self->o[0], 3));
	EXPECT_EQ(0, aop_wait(op, AOP_NOWAIT));
	EXPECT_EQ(3, aop_get(op, INT64_MAX));
}

TEST_F(wait, W9_many)
{
	struct aop **ops = self->ops;

	EXPECT_EQ(-EINVAL, aop_wait_any(ops, 0, 0));
	EXPECT_EQ(-EINVAL, aop_wait_some(ops, 2, 3, 0));
	EXPECT_EQ(-ETIME, aop_wait_any(ops, N, AOP_NOWAIT));
	EXPECT_EQ(-ETIME, aop_wait_any(ops, N, AOP_MS(1)));
	aop_fail(self->o[2], -EIO);
	EXPECT_EQ(2, aop_wait_any(ops, N, AOP_FOREVER));
	aop_done(self->o[1], 0);
	EXPECT_EQ(1, aop_wait_any(ops, N, AOP_FOREVER));
	EXPECT_EQ(2, aop_wait_some(ops, N, 2, AOP_FOREVER));
	EXPECT_EQ(-ETIME, aop_wait_some(ops, N, 3, AOP_MS(1)));
	EXPECT_EQ(-ETIME, aop_wait_all(ops, N, AOP_MS(1)));
	aop_done(self->o[0], 0);
	aop_done(self->o[3], 0);
	EXPECT_EQ(0, aop_wait_all(ops, N, AOP_FOREVER));
}

TEST_F(wait, W8_ops_of_several_scopes)
{
	struct aop other[2];
	struct aop *ops[3] = { &self->op[0], &other[0], &other[1] };

	ASSERT_EQ(0, aop_init(&other[0], AOP_PRIVATE));
	ASSERT_EQ(0, aop_init(&other[1], AOP_LOCAL));
	EXPECT_EQ(-ETIME, aop_wait_any(ops, 3, AOP_MS(1)));
	EXPECT_EQ(-ETIME, aop_wait_all(ops, 3, AOP_MS(1)));
	aop_done(aop_owner(&other[1]), 0);
	EXPECT_EQ(2, aop_wait_any(ops, 3, AOP_FOREVER));
	EXPECT_EQ(-ETIME, aop_wait_some(ops, 3, 2, AOP_MS(1)));
	aop_done(self->o[0], 0);
	EXPECT_EQ(2, aop_wait_some(ops, 3, 2, AOP_FOREVER));
	EXPECT_EQ(-EDEADLK, aop_wait_all(ops, 3, AOP_FOREVER));
	aop_done(aop_owner(&other[0]), 0);
	EXPECT_EQ(0, aop_wait_all(ops, 3, AOP_FOREVER));
}

/* ---- with a second thread --------------------------------------------------- */

struct waiting {
	pthread_t thread;
	struct aop *const *ops;
	int n;
	int64_t (*wait)(struct waiting *w);
	int64_t ret;
	_Atomic int tid;
};

static void *waiting_main(void *arg)
{
	struct waiting *w = arg;

	w->tid = syscall(SYS_gettid);
	w->ret = w->wait(w);
	return NULL;
}

static void waiting_start(struct waiting *w, int64_t (*wait)(struct waiting *w),
			  struct aop *const *ops, int n, bool shared)
{
	memset(w, 0, sizeof(*w));
	w->ops = ops;
	w->n = n;
	w->wait = wait;
	if (pthread_create(&w->thread, NULL, waiting_main, w))
		abort();
	lib_until_asleep(&w->tid, shared ? SYS_ioctl : LIB_SYS_WAIT);
}

static int64_t waiting_end(struct waiting *w)
{
	pthread_join(w->thread, NULL);
	return w->ret;
}

static int64_t get(struct waiting *w)
{
	return aop_get(w->ops[0], AOP_FOREVER);
}

static int64_t change(struct waiting *w)
{
	uint32_t seq = aop_status(w->ops[0]).seq;

	return aop_wait_change(w->ops[0], &seq, AOP_FOREVER) ?:
		(int64_t)aop_status(w->ops[0]).done;
}

static int64_t asked(struct waiting *w)
{
	return aop_wait_asked(aop_owner(w->ops[0]), AOP_FOREVER);
}

static int64_t any(struct waiting *w)
{
	return aop_wait_any(w->ops, w->n, AOP_FOREVER);
}

static int64_t all(struct waiting *w)
{
	return aop_wait_all(w->ops, w->n, AOP_FOREVER);
}

static int64_t join(struct waiting *w)
{
	return aop_join(w->ops[0]);
}

TEST_F(wait, W3_all_waiters_wake)
{
	struct waiting w[5];
	int i;

	ANY_THREADS();
	for (i = 0; i < 5; i++)
		waiting_start(&w[i], i & 1 ? any : get, self->ops, N,
			      self->any.scope == ANY_SHARED);
	EXPECT_EQ(0, aop_done(self->o[0], 77));
	for (i = 0; i < 5; i++)
		EXPECT_EQ(i & 1 ? 0 : 77, waiting_end(&w[i]));
}

TEST_F(wait, W2_a_change_wakes)
{
	struct waiting w;

	ANY_THREADS();
	waiting_start(&w, change, self->ops, 1, self->any.scope == ANY_SHARED);
	EXPECT_EQ(0, aop_progress(self->o[0], 4, 8));
	EXPECT_EQ(4, waiting_end(&w));
}

TEST_F(wait, W9_all_is_one_wake)
{
	struct waiting w;
	int i;

	ANY_THREADS();
	waiting_start(&w, all, self->ops, N, self->any.scope == ANY_SHARED);
	for (i = 0; i < N; i++) {
		lib_until_asleep(&w.tid, self->any.scope == ANY_SHARED ? SYS_ioctl : LIB_SYS_WAIT);
		aop_done(self->o[i], i);
	}
	EXPECT_EQ(0, waiting_end(&w));
}

TEST_F(wait, C2_a_cancel_ends_the_owners_sleep)
{
	struct waiting w;

	ANY_THREADS();
	ASSERT_EQ(0, aop_start(self->o[0]));
	waiting_start(&w, asked, self->ops, 1, self->any.scope == ANY_SHARED);
	EXPECT_EQ(AOP_ASKED, aop_cancel(self->ops[0], -EINTR));
	EXPECT_EQ(-EINTR, waiting_end(&w));
}

TEST_F(wait, C5_the_last_drop_ends_the_owners_sleep)
{
	struct waiting w;

	ANY_THREADS();
	waiting_start(&w, asked, self->ops, 1, self->any.scope == ANY_SHARED);
	EXPECT_EQ(0, aop_drop(self->ops[0]));
	EXPECT_EQ(-EPIPE, waiting_end(&w));
	aop_let_go(self->o[0]);
}

TEST_F(wait, M10_join_waits_for_over)
{
	struct waiting w;

	ANY_THREADS();
	EXPECT_EQ(AOP_STOPPED, aop_cancel(self->ops[0], -EINTR));
	waiting_start(&w, join, self->ops, 1, self->any.scope == ANY_SHARED);
	EXPECT_EQ(-EALREADY, aop_done(self->o[0], 1));
	EXPECT_EQ(-EINTR, waiting_end(&w));
}

TEST_HARNESS_MAIN
