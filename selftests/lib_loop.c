// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: shared ops on a loop: its context is dispatched there, tasks await them, and
 * groups mix them with ops of this process.  On both engines.
 */
#include "native/loop.h"

FIXTURE(loop) {
	struct aop_ctx *far;	/* the owner's */
	struct aop_ctx *ctx;	/* the watcher's, which the loop dispatches */
	struct aop_loop *loop;
	struct aop op, twin;
	struct aop_owner *o;
	struct seen s;
	pthread_t thread;
};

LOOP_VARIANTS(loop);

FIXTURE_SETUP(loop)
{
	memset(&self->s, 0, sizeof(self->s));
	ASSERT_EQ(0, aop_ctx_open(&self->far, NULL));
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	ASSERT_EQ(0, aop_init(&self->op, self->far));
	self->o = aop_owner(&self->op);
	ASSERT_EQ(0, lib_twin(&self->twin, self->ctx, &self->op, AOP_MAY_LOOK | AOP_MAY_CANCEL));
	LOOP_OPEN(self->loop);
	ASSERT_EQ(0, aop_loop_add(self->loop, self->ctx));
}

FIXTURE_TEARDOWN(loop)
{
	aop_loop_close(self->loop);
	aop_ctx_close(self->ctx);
	aop_ctx_close(self->far);
}

static void *end_it(void *arg)
{
	aop_done(arg, 42);
	return NULL;
}

static void *cancel_it(void *arg)
{
	while (!aop_asked(arg))
		sched_yield();
	aop_cancelled(arg, 0);
	return NULL;
}

TEST_F(loop, W5_the_loop_calls_back)
{
	ASSERT_EQ(0, aop_watch(&self->twin, &self->s.w, see, NULL, AOP_INLINE));
	aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_EQ(0, self->s.calls);
	aop_progress(self->o, 1, 2);
	/* Whatever else a turn does, one comes that dispatches it. */
	while (!self->s.calls)
		ASSERT_LE(0, aop_loop_run(self->loop, AOP_RUN_ONCE));
	EXPECT_EQ(1, self->s.last.done);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_it, self->o));
	while (!self->s.finals)
		ASSERT_LE(0, aop_loop_run(self->loop, AOP_RUN_ONCE));
	pthread_join(self->thread, NULL);
	EXPECT_EQ(42, self->s.last.result);
	EXPECT_TRUE(pthread_equal(pthread_self(), self->s.thread));
	aop_unwatch(&self->s.w);
}

TEST_F(loop, W3_get_waits_for_a_shared_op)
{
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_it, self->o));
	EXPECT_EQ(42, aop_loop_get(self->loop, &self->twin));
	pthread_join(self->thread, NULL);
	/* Again, of an op that is over. */
	EXPECT_EQ(42, aop_loop_get(self->loop, &self->twin));
}

TEST_F(loop, contexts_come_and_go)
{
	EXPECT_EQ(-EALREADY, aop_loop_add(self->loop, self->ctx));
	EXPECT_EQ(-EINVAL, aop_loop_add(self->loop, AOP_LOCAL));
	EXPECT_EQ(-EINVAL, aop_loop_add(self->loop, NULL));
	EXPECT_EQ(-EXDEV, aop_loop_get(self->loop, &self->op));
	EXPECT_EQ(0, aop_loop_remove(self->loop, self->ctx));
	EXPECT_EQ(-ENOENT, aop_loop_remove(self->loop, self->ctx));
	EXPECT_EQ(-EXDEV, aop_loop_get(self->loop, &self->twin));

	/* Nobody dispatches it now. */
	ASSERT_EQ(0, aop_watch(&self->twin, &self->s.w, see, NULL, AOP_INLINE));
	aop_done(self->o, 1);
	aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_EQ(0, self->s.calls);
	/* What happened meanwhile is told when it is added again. */
	EXPECT_EQ(0, aop_loop_add(self->loop, self->ctx));
	while (!self->s.finals)
		ASSERT_LE(0, aop_loop_run(self->loop, AOP_RUN_ONCE));
	aop_unwatch(&self->s.w);
}

TEST_F(loop, in_a_foreign_loop)
{
	struct pollfd p = { .fd = aop_loop_fd(self->loop), .events = POLLIN };

	ASSERT_LE(0, p.fd);
	ASSERT_EQ(0, aop_watch(&self->twin, &self->s.w, see, NULL, AOP_INLINE));
	while (poll(&p, 1, 0))
		ASSERT_LE(0, aop_loop_dispatch(self->loop));
	EXPECT_EQ(0, self->s.calls);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_it, self->o));
	while (!self->s.finals) {
		ASSERT_EQ(1, poll(&p, 1, -1));
		ASSERT_LE(0, aop_loop_dispatch(self->loop));
	}
	pthread_join(self->thread, NULL);
	EXPECT_EQ(42, self->s.last.result);
	aop_unwatch(&self->s.w);
}

/* ---- budgets ---- */

struct few {
	struct aop_ctx *ctx;		/* takes one op in a dispatch */
	struct aop op[8], twin[8];
	struct seen s[8];
};

static int few_open(struct few *f, struct aop_ctx *far)
{
	struct aop_ctx_opts o = { .size = sizeof(o), .budget = 1 };
	int i, ret = aop_ctx_open(&f->ctx, &o);

	for (i = 0; i < 8 && !ret; i++) {
		memset(&f->s[i], 0, sizeof(f->s[i]));
		ret = aop_init(&f->op[i], far) ?:
		      lib_twin(&f->twin[i], f->ctx, &f->op[i], AOP_MAY_LOOK) ?:
		      aop_watch(&f->twin[i], &f->s[i].w, see, NULL, AOP_INLINE);
	}
	return ret;
}

static int few_finals(const struct few *f)
{
	int i, n = 0;

	for (i = 0; i < 8; i++)
		n += f->s[i].finals;
	return n;
}

static void few_close(struct few *f)
{
	int i;

	for (i = 0; i < 8; i++)
		aop_unwatch(&f->s[i].w);
	aop_ctx_close(f->ctx);
}

/* io_uring tells the loop that the ring fills: whoever dispatches besides leaves nothing. */
TEST_F(loop, others_leave_nothing_that_the_loop_would_not_hear_of)
{
	bool uring = variant->flags & AOP_URING;
	struct few f;
	int i;

	ASSERT_EQ(0, few_open(&f, self->far));
	ASSERT_EQ(0, aop_loop_add(self->loop, f.ctx));
	for (i = 0; i < 4; i++)
		aop_done(aop_owner(&f.op[i]), 0);
	EXPECT_EQ(uring ? 4 : 1, aop_ctx_dispatch(f.ctx));
	EXPECT_EQ(uring ? 4 : 1, few_finals(&f));
	while (few_finals(&f) < 4)
		ASSERT_LE(0, aop_loop_run(self->loop, AOP_RUN_ONCE));
	ASSERT_EQ(0, aop_loop_remove(self->loop, f.ctx));
	for (i = 4; i < 8; i++)
		aop_done(aop_owner(&f.op[i]), 0);
	EXPECT_EQ(1, aop_ctx_dispatch(f.ctx));
	few_close(&f);
}

/* What the budget leaves is announced again to who waits for the loop's descriptor. */
TEST_F(loop, a_budget_in_a_foreign_loop)
{
	struct pollfd p = { .fd = aop_loop_fd(self->loop), .events = POLLIN };
	struct few f;
	int i;

	ASSERT_LE(0, p.fd);
	ASSERT_EQ(0, few_open(&f, self->far));
	ASSERT_EQ(0, aop_loop_add(self->loop, f.ctx));
	for (i = 0; i < 8; i++)
		aop_done(aop_owner(&f.op[i]), 0);
	while (few_finals(&f) < 8) {
		ASSERT_EQ(1, poll(&p, 1, -1));
		ASSERT_LE(0, aop_loop_dispatch(self->loop));
	}
	ASSERT_EQ(0, aop_loop_remove(self->loop, f.ctx));
	few_close(&f);
}

/* ---- tasks ---- */

struct waiter {
	struct aop_task task;
	struct aop *op;
	struct aop local;
	struct aop_timer timer;
	struct aop_within limit;
	struct aop_group group;
	struct aop_member members[3];
	struct aop *ops[3];
	unsigned int flags;
	int64_t (*begin)(struct waiter *w);
};

static int64_t await_it(struct aop_task *t)
{
	struct waiter *w = aop_container(t, struct waiter, task);
	int64_t ret;

	AOP_BEGIN(t);
	AOP_AWAIT(ret, w->op);
	AOP_END(ret + 1);
}

static int64_t await_any(struct aop_task *t)
{
	struct waiter *w = aop_container(t, struct waiter, task);
	int64_t ret;

	AOP_BEGIN(t);
	AOP_AWAIT(ret, aop_any(&w->group, w->members, w->ops, 3, w->flags));
	AOP_END(ret);
}

static int64_t await_all(struct aop_task *t)
{
	struct waiter *w = aop_container(t, struct waiter, task);
	int64_t ret;

	AOP_BEGIN(t);
	AOP_AWAIT(ret, aop_all(&w->group, w->members, w->ops, 3, w->flags));
	AOP_END(ret);
}

static int64_t await_within(struct aop_task *t)
{
	struct waiter *w = aop_container(t, struct waiter, task);
	int64_t ret;

	AOP_BEGIN(t);
	AOP_AWAIT(ret, aop_within(t->loop, &w->limit, AOP_MS(1), w->op));
	AOP_END(ret);
}

TEST_F(loop, F6_a_task_awaits_a_shared_op)
{
	struct waiter w = { .op = &self->twin };
	struct aop *op = aop_spawn(self->loop, &w.task, await_it, NULL, 0);

	aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_FALSE(aop_is_final(op));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_it, self->o));
	EXPECT_EQ(43, aop_loop_get(self->loop, op));
	pthread_join(self->thread, NULL);
}

TEST_F(loop, C3_a_cancel_goes_on_to_the_shared_op)
{
	struct waiter w = { .op = &self->twin };
	struct aop *op = aop_spawn(self->loop, &w.task, await_it, NULL, 0);

	ASSERT_EQ(0, aop_start(self->o));
	aop_loop_run(self->loop, AOP_RUN_READY);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, cancel_it, self->o));
	EXPECT_EQ(AOP_ASKED, aop_cancel(op, -EPIPE));
	aop_loop_get(self->loop, op);
	pthread_join(self->thread, NULL);
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->twin));
	EXPECT_EQ(-EPIPE, aop_result(&self->twin));
}

TEST_F(loop, W4_a_limit_around_a_shared_op)
{
	struct waiter w = { .op = &self->twin };
	struct aop *op = aop_spawn(self->loop, &w.task, await_within, NULL, 0);

	ASSERT_EQ(0, aop_start(self->o));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, cancel_it, self->o));
	EXPECT_EQ(-ETIMEDOUT, aop_loop_get(self->loop, op));
	pthread_join(self->thread, NULL);
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->twin));
}

/* The timer is private, unless the loop is for any thread: then so is the group, and a
 * local member has to end on its thread, as by this work.
 */
struct ender {
	struct aop_work work;
	struct aop_owner *o;
};

static void end_here(struct aop_work *work)
{
	aop_done(aop_container(work, struct ender, work)->o, 42);
}

static void mix(struct waiter *w, struct aop_loop *l, struct aop *shared)
{
	aop_init(&w->local, AOP_LOCAL);
	w->ops[0] = &w->local;
	w->ops[1] = shared;
	w->ops[2] = aop_sleep(l, &w->timer, AOP_SEC(3600));
}

TEST_F(loop, any_of_three_scopes_decided_by_the_shared_one)
{
	struct waiter w = { .flags = 0 };

	mix(&w, self->loop, &self->twin);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_it, self->o));
	EXPECT_EQ(1, aop_loop_get(self->loop, aop_spawn(self->loop, &w.task, await_any, NULL, 0)));
	pthread_join(self->thread, NULL);
	EXPECT_FALSE(aop_is_final(&w.local));
	EXPECT_FALSE(aop_is_final(&w.timer.op));
	aop_cancel(&w.timer.op, 0);
	aop_done(aop_owner(&w.local), 0);
}

TEST_F(loop, any_of_three_scopes_cancels_the_shared_one)
{
	struct waiter w = { .flags = AOP_CANCEL_REST };
	struct ender e = { .work.run = end_here, };

	mix(&w, self->loop, &self->twin);
	e.o = aop_owner(&w.local);
	ASSERT_EQ(0, aop_start(self->o));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, cancel_it, self->o));
	ASSERT_EQ(0, aop_loop_post(self->loop, &e.work));
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_spawn(self->loop, &w.task, await_any, NULL, 0)));
	pthread_join(self->thread, NULL);
	EXPECT_EQ(AOP_DONE, aop_state(&w.local));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->twin));
	EXPECT_TRUE(aop_is_over(&w.timer.op));
}

TEST_F(loop, all_of_three_scopes)
{
	struct waiter w = { .flags = 0 };
	struct ender e = { .work.run = end_here, };

	mix(&w, self->loop, &self->twin);
	e.o = aop_owner(&w.local);
	aop_timer_set(&w.timer, AOP_MS(1));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_it, self->o));
	ASSERT_EQ(0, aop_loop_post(self->loop, &e.work));
	EXPECT_EQ(3, aop_loop_get(self->loop, aop_spawn(self->loop, &w.task, await_all, NULL, 0)));
	pthread_join(self->thread, NULL);
	EXPECT_EQ(42, aop_result(&self->twin));
}

/* A group that the kernel decides: one wake for the task, when it is decided. */
TEST_F(loop, a_group_of_shared_ops_only)
{
	struct aop more[2];
	struct waiter w = { .ops = { &self->twin, &more[0], &more[1] } };
	struct aop *op;
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, aop_init(&more[i], self->ctx));
	op = aop_spawn(self->loop, &w.task, await_all, NULL, 0);
	aop_loop_run(self->loop, AOP_RUN_READY);
	for (i = 0; i < 2; i++)
		aop_done(aop_owner(&more[i]), i);
	aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_FALSE(aop_is_final(op));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_it, self->o));
	EXPECT_EQ(3, aop_loop_get(self->loop, op));
	pthread_join(self->thread, NULL);
}

TEST_HARNESS_MAIN
