// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: ops that could not begin are safe to use; names and times.  Needs no module.
 */
#include "lib.h"

FIXTURE(ended) {
	struct aop op;
};

FIXTURE_SETUP(ended)
{
	EXPECT_EQ(-EINVAL, aop_init(&self->op, NULL));
}

FIXTURE_TEARDOWN(ended)
{
}

TEST_F(ended, every_call_answers)
{
	struct aop *op = &self->op, *ops[1] = { op };
	uint32_t seq = 0;

	EXPECT_EQ(AOP_FAILED, aop_state(op));
	EXPECT_TRUE(aop_is_final(op));
	EXPECT_TRUE(aop_is_over(op));
	EXPECT_EQ(-EINVAL, aop_result(op));
	EXPECT_EQ(AOP_F_SYSTEM | AOP_F_OVER, aop_status(op).flags);
	EXPECT_EQ(0, aop_wait(op, AOP_FOREVER));
	EXPECT_EQ(0, aop_wait_change(op, &seq, AOP_FOREVER));
	EXPECT_EQ(-EINVAL, aop_get(op, AOP_FOREVER));
	EXPECT_EQ(0, aop_wait_any(ops, 1, AOP_FOREVER));
	EXPECT_EQ(0, aop_wait_all(ops, 1, AOP_FOREVER));
	EXPECT_EQ(1, aop_wait_some(ops, 1, 1, AOP_FOREVER));
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(op, 0));
	EXPECT_EQ(NULL, aop_owner(op));
	EXPECT_EQ(0, aop_id(op));
	EXPECT_EQ(-EINVAL, aop_export(op, AOP_MAY_LOOK));
	EXPECT_EQ(-EINVAL, aop_pass(op, 0, AOP_MAY_LOOK));
	aop_hold(op);
	EXPECT_EQ(0, aop_drop(op));
	EXPECT_EQ(-EINVAL, aop_join(op));
	EXPECT_EQ(-EINVAL, aop_drop(op));
}

TEST_F(ended, W5_a_watch_is_called_once)
{
	struct seen a = { 0 }, b = { 0 };

	EXPECT_EQ(0, aop_watch(&self->op, &a.w, see, NULL, AOP_INLINE));
	EXPECT_EQ(0, aop_then(&self->op, &b.w, see, NULL, AOP_INLINE));
	EXPECT_EQ(1, a.calls);
	EXPECT_EQ(1, b.calls);
	EXPECT_EQ(-EINVAL, a.last.result);
	aop_unwatch(&a.w);
	EXPECT_EQ(0, aop_try_unwatch(&b.w));
}

struct queue {
	struct aop_exec x;
	struct aop_work *first;
};

static void queue_submit(struct aop_exec *x, struct aop_work *w)
{
	struct queue *q = (struct queue *)x;

	w->next = q->first;
	q->first = w;
}

static void queue_run(struct queue *q)
{
	struct aop_work *w;

	while ((w = q->first)) {
		q->first = w->next;
		w->run(w);
	}
}

TEST_F(ended, W7_on_an_executor)
{
	struct queue q = { .x.submit = queue_submit };
	struct seen a = { 0 }, b = { 0 }, c = { 0 };

	EXPECT_EQ(0, aop_watch(&self->op, &a.w, see, NULL, &q.x));
	EXPECT_EQ(0, aop_watch(&self->op, &b.w, see, NULL, &q.x));
	EXPECT_EQ(0, a.calls);
	aop_unwatch(&a.w);
	queue_run(&q);
	EXPECT_EQ(0, a.calls);
	EXPECT_EQ(1, b.calls);
	EXPECT_EQ(0, aop_then(&self->op, &c.w, see, NULL, &q.x));
	EXPECT_EQ(1, aop_drop(&self->op));
	memset(&self->op, 0xee, sizeof(self->op));
	queue_run(&q);
	EXPECT_EQ(0, c.calls);
}

static int released;

static void release(struct aop *op)
{
	(void)op;
	released++;
}

TEST_F(ended, release_is_called_for_what_could_not_begin)
{
	struct aop op;

	released = 0;
	EXPECT_EQ(-EINVAL, aop_init_with(&op, NULL, AOP_OPTS(.release = release)));
	EXPECT_EQ(0, released);
	EXPECT_EQ(1, aop_drop(&op));
	EXPECT_EQ(1, released);
}

TEST_F(ended, W8_groups_of_them)
{
	struct aop *ops[2] = { &self->op, &self->op };
	struct aop_group g;

	EXPECT_EQ(0, aop_join(aop_any(&g, NULL, ops, 2, 0)));
	EXPECT_EQ(2, aop_join(aop_all(&g, NULL, ops, 2, 0)));
	EXPECT_EQ(-EINVAL, aop_join(aop_all(&g, NULL, ops, 2, AOP_FAIL_FAST)));
}

TEST_F(ended, names_and_times)
{
	int64_t now = aop_now();

	EXPECT_EQ(0, strcmp("pending", aop_state_name(AOP_PENDING)));
	EXPECT_EQ(0, strcmp("running", aop_state_name(AOP_RUNNING)));
	EXPECT_EQ(0, strcmp("done", aop_state_name(AOP_DONE)));
	EXPECT_EQ(0, strcmp("failed", aop_state_name(AOP_FAILED)));
	EXPECT_EQ(0, strcmp("cancelled", aop_state_name(AOP_CANCELLED)));
	EXPECT_EQ(0, strcmp("?", aop_state_name(77)));
	EXPECT_LT(0, now);
	EXPECT_LE(now, aop_now());
	EXPECT_EQ(-now, aop_until(now));
	EXPECT_GT(AOP_FOREVER, aop_until(1));
	EXPECT_GT(AOP_FOREVER, aop_until(0));
	EXPECT_GT(AOP_FOREVER, aop_until(INT64_MIN));
}

TEST_HARNESS_MAIN
