// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: blocking, in shared scope.
 */
#include "lib.h"
#include "slow.h"

#define N	1500

FIXTURE(wait) {
	struct aop_ctx *ctx;
	struct aop op[4];
	struct aop *ops[4];
};

FIXTURE_SETUP(wait)
{
	int i;

	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, aop_init(&self->op[i], self->ctx));
		self->ops[i] = &self->op[i];
	}
}

FIXTURE_TEARDOWN(wait)
{
	aop_ctx_close(self->ctx);
}

/* A thread that waits, and what it was told. */
struct waiting {
	pthread_t thread;
	_Atomic int tid;
	int64_t (*fn)(struct aop *op);
	struct aop *op;
	int64_t ret;
};

static void *waiting_run(void *arg)
{
	struct waiting *w = arg;

	w->tid = gettid();
	w->ret = w->fn(w->op);
	return NULL;
}

/* Returns when it sleeps. */
static void waiting_start(struct waiting *w, int64_t (*fn)(struct aop *op), struct aop *op)
{
	w->fn = fn;
	w->op = op;
	w->tid = 0;
	if (pthread_create(&w->thread, NULL, waiting_run, w))
		abort();
	lib_until_asleep(&w->tid, SYS_ioctl);
}

static int64_t waiting_end(struct waiting *w)
{
	pthread_join(w->thread, NULL);
	return w->ret;
}

static int64_t get(struct aop *op)
{
	return aop_get(op, AOP_FOREVER);
}

static int64_t change(struct aop *op)
{
	uint32_t seq = aop_status(op).seq;

	return aop_wait_change(op, &seq, AOP_FOREVER) ?: (int64_t)aop_status(op).done;
}

static int64_t asked(struct aop *op)
{
	return aop_wait_asked(aop_owner(op), AOP_FOREVER);
}

TEST_F(wait, W3_all_waiters_wake)
{
	struct waiting w[5];
	int i;

	for (i = 0; i < 5; i++)
		waiting_start(&w[i], get, &self->op[0]);
	EXPECT_EQ(0, aop_done(aop_owner(&self->op[0]), 77));
	for (i = 0; i < 5; i++)
		EXPECT_EQ(77, waiting_end(&w[i]));
}

TEST_F(wait, W2_a_change_wakes)
{
	struct waiting w;

	waiting_start(&w, change, &self->op[0]);
	EXPECT_EQ(0, aop_progress(aop_owner(&self->op[0]), 4, 8));
	EXPECT_EQ(4, waiting_end(&w));
}

TEST_F(wait, W2_returns_at_once_if_it_moved_or_is_final)
{
	uint32_t seq = 0, old;

	if (aop_status(&self->op[0]).seq == 0)
		EXPECT_EQ(-ETIME, aop_wait_change(&self->op[0], &seq, AOP_NOWAIT));
	aop_progress(aop_owner(&self->op[0]), 1, 2);
	EXPECT_EQ(0, aop_wait_change(&self->op[0], &seq, AOP_FOREVER));
	EXPECT_EQ(aop_status(&self->op[0]).seq, seq);
	old = seq;
	EXPECT_EQ(-ETIME, aop_wait_change(&self->op[0], &seq, AOP_MS(1)));
	EXPECT_EQ(old, seq);
	aop_done(aop_owner(&self->op[0]), 1);
	EXPECT_EQ(0, aop_wait_change(&self->op[0], &seq, AOP_FOREVER));
	EXPECT_EQ(0, aop_wait_change(&self->op[0], &seq, AOP_FOREVER));
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
	EXPECT_EQ(0, aop_done(aop_owner(op), 3));
	EXPECT_EQ(0, aop_wait(op, AOP_NOWAIT));
	EXPECT_EQ(3, aop_get(op, INT64_MAX));
}

TEST_F(wait, M10_join_waits_for_over)
{
	struct waiting w;
	struct aop op;

	ASSERT_EQ(0, aop_init_with(&op, self->ctx, AOP_OPTS(.deadline = AOP_MS(1))));
	EXPECT_EQ(-ETIMEDOUT, aop_get(&op, AOP_FOREVER));
	waiting_start(&w, aop_join, &op);
	EXPECT_EQ(-EALREADY, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(-ETIMEDOUT, waiting_end(&w));
	EXPECT_EQ(-EINVAL, aop_drop(&op));
}

static void nothing(int signo)
{
	(void)signo;
}

TEST_F(wait, a_signal_handler_does_not_end_a_wait)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct waiting w;

	sigaction(SIGUSR1, &sa, NULL);
	waiting_start(&w, get, &self->op[0]);
	pthread_kill(w.thread, SIGUSR1);
	lib_until_asleep(&w.tid, SYS_ioctl);
	EXPECT_EQ(0, aop_done(aop_owner(&self->op[0]), 8));
	EXPECT_EQ(8, waiting_end(&w));
}

TEST_F(wait, wait_asked_is_ended_by_a_cancel)
{
	struct waiting w;

	ASSERT_EQ(0, aop_start(aop_owner(&self->op[0])));
	EXPECT_EQ(0, aop_wait_asked(aop_owner(&self->op[0]), AOP_MS(1)));
	waiting_start(&w, asked, &self->op[0]);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op[0], -EINTR));
	EXPECT_EQ(-EINTR, waiting_end(&w));
	EXPECT_EQ(-EPERM, aop_wait_asked(NULL, 0));
}

TEST_F(wait, wait_asked_is_ended_by_the_last_watcher)
{
	struct waiting w;
	struct aop twin;

	ASSERT_EQ(0, lib_twin(&twin, self->ctx, &self->op[0], AOP_MAY_LOOK));
	ASSERT_EQ(0, aop_drop(&self->op[0]));
	waiting_start(&w, asked, &self->op[0]);
	EXPECT_EQ(1, aop_drop(&twin));
	EXPECT_EQ(-EPIPE, waiting_end(&w));
}

TEST_F(wait, wait_any)
{
	struct aop **ops = self->ops;

	EXPECT_EQ(-EINVAL, aop_wait_any(ops, 0, 0));
	EXPECT_EQ(-ETIME, aop_wait_any(ops, 4, AOP_NOWAIT));
	EXPECT_EQ(-ETIME, aop_wait_any(ops, 4, AOP_MS(1)));
	aop_fail(aop_owner(ops[2]), -EIO);
	EXPECT_EQ(2, aop_wait_any(ops, 4, AOP_FOREVER));
	aop_done(aop_owner(ops[1]), 0);
	EXPECT_EQ(1, aop_wait_any(ops, 4, AOP_FOREVER));
}

struct many {
	struct aop **ops;
	size_t n, k;
};

static struct many many;

static int64_t any(struct aop *unused)
{
	(void)unused;
	return aop_wait_any(many.ops, many.n, AOP_FOREVER);
}

static int64_t some(struct aop *unused)
{
	(void)unused;
	return aop_wait_some(many.ops, many.n, many.k, AOP_FOREVER);
}

static int64_t all(struct aop *unused)
{
	(void)unused;
	return aop_wait_all(many.ops, many.n, AOP_FOREVER);
}

TEST_F(wait, W9_any_of_many_sleeping)
{
	struct waiting w;

	many = (struct many){ self->ops, 4, 0 };
	waiting_start(&w, any, NULL);
	aop_done(aop_owner(self->ops[3]), 0);
	EXPECT_EQ(3, waiting_end(&w));
}

TEST_F(wait, some_and_all_sleeping)
{
	struct waiting s, a;

	many = (struct many){ self->ops, 4, 3 };
	aop_done(aop_owner(self->ops[0]), 0);
	waiting_start(&s, some, NULL);
	waiting_start(&a, all, NULL);
	aop_done(aop_owner(self->ops[3]), 0);
	lib_until_asleep(&s.tid, SYS_ioctl);
	aop_done(aop_owner(self->ops[1]), 0);
	EXPECT_EQ(3, waiting_end(&s));
	lib_until_asleep(&a.tid, SYS_ioctl);
	aop_done(aop_owner(self->ops[2]), 0);
	EXPECT_EQ(0, waiting_end(&a));
	EXPECT_EQ(4, aop_wait_some(self->ops, 4, 1, 0));
	EXPECT_EQ(-EINVAL, aop_wait_some(self->ops, 4, 5, 0));
	EXPECT_EQ(0, aop_wait_all(self->ops, 0, 0));
}

TEST_F(wait, many_ops_use_memory_of_the_thread)
{
	static struct aop op[N];
	static struct aop *ops[N];
	struct waiting w;
	int i;

	for (i = 0; i < N; i++) {
		ASSERT_EQ(0, aop_init(&op[i], self->ctx));
		ops[i] = &op[i];
	}
	EXPECT_EQ(-E2BIG, aop_wait_any(ops, N, AOP_MS(1)));
	many = (struct many){ ops, 1000, 0 };
	waiting_start(&w, any, NULL);
	aop_done(aop_owner(&op[999]), 0);
	EXPECT_EQ(999, waiting_end(&w));

	/* All has no limit. */
	many.n = N;
	waiting_start(&w, all, NULL);
	for (i = 0; i < N; i++)
		if (i != 999)
			aop_done(aop_owner(&op[i]), i);
	EXPECT_EQ(0, waiting_end(&w));
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, aop_drop(&op[i]));
}

TEST_F(wait, ops_of_two_contexts)
{
	struct aop_ctx *other;
	struct aop op;
	struct aop *ops[2] = { &op, &self->op[0] };

	ASSERT_EQ(0, aop_ctx_open(&other, NULL));
	ASSERT_EQ(0, aop_init(&op, other));
	EXPECT_EQ(-ETIME, aop_wait_any(ops, 2, AOP_NOWAIT));
	EXPECT_EQ(-ETIME, aop_wait_any(ops, 2, AOP_MS(1)));
	EXPECT_EQ(-ETIME, aop_wait_all(ops, 2, AOP_MS(1)));
	aop_done(aop_owner(&op), 0);
	EXPECT_EQ(0, aop_wait_any(ops, 2, AOP_FOREVER));
	EXPECT_EQ(-ETIME, aop_wait_all(ops, 2, AOP_MS(1)));
	aop_done(aop_owner(&self->op[0]), 0);
	EXPECT_EQ(0, aop_wait_all(ops, 2, AOP_FOREVER));
	aop_ctx_close(other);
}

TEST_F(wait, a_failed_op_among_others)
{
	struct aop bad;
	struct aop *ops[2] = { &self->op[0], &bad };

	EXPECT_EQ(-EINVAL, aop_init(&bad, NULL));
	EXPECT_EQ(1, aop_wait_any(ops, 2, AOP_FOREVER));
	EXPECT_EQ(-ETIME, aop_wait_all(ops, 2, AOP_MS(1)));
	aop_done(aop_owner(&self->op[0]), 0);
	EXPECT_EQ(0, aop_wait_all(ops, 2, AOP_FOREVER));
}

/* ---- no wake is lost ---------------------------------------------------------- */

static struct aop *_Atomic mail;

static void *answer(void *arg)
{
	long i, n = (long)arg;
	struct aop *op;

	for (i = 0; i < n; i++) {
		while (!(op = __atomic_exchange_n(&mail, NULL, __ATOMIC_ACQ_REL)))
			sched_yield();
		aop_done(aop_owner(op), i);
	}
	return NULL;
}

TEST_F(wait, W2_no_wake_is_lost_between_look_and_sleep)
{
	const long n = rounds(20000);
	pthread_t thread;
	struct aop op;
	long i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, answer, (void *)n));
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, aop_init(&op, self->ctx));
		__atomic_store_n(&mail, &op, __ATOMIC_RELEASE);
		ASSERT_EQ(i, aop_join(&op));
	}
	pthread_join(thread, NULL);
}

/* A whole status is one that its writer wrote. */
static void *torn(void *arg)
{
	struct aop *op = arg;
	struct aop_status s;
	uint64_t last = 0;

	do {
		s = aop_status(op);
		if (s.total != 2 * s.done || s.done < last)
			return (void *)1;
		last = s.done;
	} while (s.state < AOP_DONE);
	return NULL;
}

TEST_F(wait, W1_a_status_is_never_torn)
{
	struct aop *op = &self->op[0];
	pthread_t thread;
	void *bad;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, torn, op));
	for (i = 1; i < 30000; i++)
		ASSERT_EQ(0, aop_progress(aop_owner(op), i, 2 * i));
	aop_done(aop_owner(op), 0);
	pthread_join(thread, &bad);
	EXPECT_EQ(NULL, bad);
}

TEST_HARNESS_MAIN
