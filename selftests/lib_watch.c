// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: being called back in shared scope, and detaching.
 */
#include "lib.h"

FIXTURE(watch) {
	struct aop_ctx *ctx;	/* the owner's */
	struct aop_ctx *far;	/* the watcher's */
	struct aop op;
	struct aop twin;
	struct aop_owner *o;
	struct seen s;
};

FIXTURE_SETUP(watch)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	ASSERT_EQ(0, aop_ctx_open(&self->far, NULL));
	ASSERT_EQ(0, aop_init(&self->op, self->ctx));
	self->o = aop_owner(&self->op);
	ASSERT_EQ(0, lib_twin(&self->twin, self->far, &self->op,
			      AOP_MAY_LOOK | AOP_MAY_CANCEL));
	memset(&self->s, 0, sizeof(self->s));
}

FIXTURE_TEARDOWN(watch)
{
	aop_ctx_close(self->far);
	aop_ctx_close(self->ctx);
}

TEST_F(watch, W5_none_at_creation_then_the_newest_and_the_last)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_watch(&self->twin, &s->w, see, NULL, AOP_INLINE));
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(0, s->calls);

	aop_progress(self->o, 1, 9);
	aop_progress(self->o, 2, 9);
	EXPECT_TRUE(lib_readable(self->far));
	EXPECT_EQ(1, aop_ctx_dispatch(self->far));
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(2, s->last.done);
	EXPECT_EQ(0, s->finals);
	EXPECT_FALSE(lib_readable(self->far));
	EXPECT_EQ(0, aop_ctx_dispatch(self->far));
	EXPECT_EQ(1, s->calls);

	aop_progress(self->o, 3, 9);
	aop_done(self->o, 42);
	EXPECT_LE(1, aop_ctx_dispatch(self->far));
	EXPECT_EQ(2, s->calls);
	EXPECT_EQ(1, s->finals);
	EXPECT_EQ(42, s->last.result);
	EXPECT_EQ(AOP_DONE, s->last.state);
	EXPECT_EQ(aop_status(&self->twin).seq, s->last.seq);	/* M8 */
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(2, s->calls);
	aop_unwatch(&s->w);
}

TEST_F(watch, W5_watching_a_final_op_calls_back_once)
{
	struct seen *s = &self->s;

	aop_fail(self->o, -EIO);
	ASSERT_EQ(0, aop_watch(&self->twin, &s->w, see, NULL, AOP_INLINE));
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(-EIO, s->last.result);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(1, s->calls);
}

TEST_F(watch, data_and_op_are_for_the_callback)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_watch(&self->twin, &s->w, see, s, AOP_INLINE));
	EXPECT_EQ(&self->twin, s->w.op);
	EXPECT_EQ(s, s->w.data);
}

/* The creator's own handle is queued for nothing until it is watched. */
TEST_F(watch, an_owner_is_not_woken_by_what_it_does)
{
	struct seen *s = &self->s;

	aop_progress(self->o, 1, 2);
	EXPECT_FALSE(lib_readable(self->ctx));
	ASSERT_EQ(0, aop_watch(&self->op, &s->w, see, NULL, AOP_INLINE));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(0, s->calls);
	aop_progress(self->o, 2, 2);
	EXPECT_EQ(1, aop_ctx_dispatch(self->ctx));
	EXPECT_EQ(1, s->calls);
}

/* What nobody watches for progress is not queued for it either. */
TEST_F(watch, a_handle_from_elsewhere_is_queued_for_the_end_only)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_then(&self->twin, &s->w, see, NULL, AOP_INLINE));
	aop_progress(self->o, 1, 2);
	EXPECT_FALSE(lib_readable(self->far));
	aop_done(self->o, 2);
	EXPECT_TRUE(lib_readable(self->far));
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(1, s->calls);
}

TEST_F(watch, M10_then_waits_for_over)
{
	struct aop op, twin;
	struct seen fin = { 0 }, over = { 0 };

	ASSERT_EQ(0, aop_init_with(&op, self->ctx, AOP_OPTS(.deadline = aop_until(1))));
	ASSERT_EQ(0, lib_twin(&twin, self->far, &op, AOP_MAY_LOOK));
	ASSERT_EQ(0, aop_wait(&twin, AOP_FOREVER));
	ASSERT_EQ(0, aop_watch(&twin, &fin.w, see, NULL, AOP_INLINE));
	ASSERT_EQ(0, aop_then(&twin, &over.w, see, NULL, AOP_INLINE));
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(1, fin.calls);
	EXPECT_EQ(0, over.calls);
	EXPECT_EQ(-EALREADY, aop_start(aop_owner(&op)));
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(1, fin.calls);
	EXPECT_EQ(1, over.calls);
	EXPECT_NE(0, over.last.flags & AOP_F_OVER);
	EXPECT_EQ(-ETIMEDOUT, over.last.result);
}

TEST_F(watch, many_watches_on_one_op)
{
	struct seen s[20];
	int i;

	memset(s, 0, sizeof(s));
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, (i & 1 ? aop_then : aop_watch)(&self->twin, &s[i].w, see, NULL,
							    AOP_INLINE));
	aop_progress(self->o, 1, 2);
	aop_ctx_dispatch(self->far);
	for (i = 0; i < 20; i++)
		EXPECT_EQ(!(i & 1), s[i].calls);
	aop_unwatch(&s[4].w);
	aop_unwatch(&s[5].w);
	aop_done(self->o, 1);
	aop_ctx_dispatch(self->far);
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(i != 4 && i != 5, s[i].finals);
		EXPECT_EQ((i != 5) + (i != 4 && !(i & 1)), s[i].calls);
	}
}

TEST_F(watch, W7_after_unwatch_nothing_is_called)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_watch(&self->twin, &s->w, see, NULL, AOP_INLINE));
	aop_progress(self->o, 1, 2);
	aop_unwatch(&s->w);
	aop_done(self->o, 1);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(0, s->calls);
	aop_unwatch(&s->w);		/* harmless */
	EXPECT_EQ(0, aop_try_unwatch(&s->w));
}

TEST_F(watch, W7_after_drop_nothing_is_called)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_watch(&self->twin, &s->w, see, NULL, AOP_INLINE));
	aop_progress(self->o, 1, 2);
	EXPECT_EQ(1, aop_drop(&self->twin));
	memset(&self->twin, 0xee, sizeof(self->twin));
	aop_done(self->o, 1);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(0, s->calls);
}

static void unwatch_self(struct aop_watch *w, const struct aop_status *st)
{
	see(w, st);
	aop_unwatch(w);
	memset(w, 0xee, sizeof(*w));
}

TEST_F(watch, W7_unwatch_inside_the_callback)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_watch(&self->twin, &s->w, unwatch_self, NULL, AOP_INLINE));
	aop_progress(self->o, 1, 2);
	aop_ctx_dispatch(self->far);
	aop_done(self->o, 1);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(0, s->finals);
}

struct heap {
	struct aop op;
	struct aop_watch w;
};

static int freed;

static void free_all(struct aop_watch *w, const struct aop_status *st)
{
	struct heap *h = w->data;

	(void)st;
	if (aop_drop(&h->op) == 1)
		freed++;
	memset(h, 0xee, sizeof(*h));
	free(h);
}

/* In the last callback, and in one before it: op and watch are freed. */
TEST_F(watch, W7_free_op_and_watch_inside_the_callback)
{
	struct heap *h;
	int i, last;

	freed = 0;
	for (i = 0; i < 100; i++) {
		last = i & 1;
		h = malloc(sizeof(*h));
		ASSERT_NE(NULL, h);
		ASSERT_EQ(0, aop_init(&self->op, self->ctx));
		ASSERT_EQ(0, lib_twin(&h->op, self->far, &self->op, AOP_MAY_LOOK));
		ASSERT_EQ(0, aop_watch(&h->op, &h->w, free_all, h, AOP_INLINE));
		if (last)
			aop_done(aop_owner(&self->op), 1);
		else
			aop_progress(aop_owner(&self->op), 1, 2);
		ASSERT_LE(1, aop_ctx_dispatch(self->far));
		ASSERT_EQ(i + 1, freed);
		if (!last)
			aop_done(aop_owner(&self->op), 1);
		aop_ctx_dispatch(self->far);
		aop_drop(&self->op);
	}
}

static struct aop_watch *victim;

static void unwatch_other(struct aop_watch *w, const struct aop_status *st)
{
	see(w, st);
	if (victim)
		aop_unwatch(victim);
}

TEST_F(watch, W7_a_callback_unwatches_another_that_is_due)
{
	struct seen a = { 0 }, b = { 0 };

	victim = &b.w;
	ASSERT_EQ(0, aop_watch(&self->twin, &a.w, unwatch_other, NULL, AOP_INLINE));
	ASSERT_EQ(0, aop_watch(&self->twin, &b.w, see, NULL, AOP_INLINE));
	aop_progress(self->o, 1, 2);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(1, a.calls);
	EXPECT_EQ(0, b.calls);
}

static struct aop *again;

static void watch_again(struct aop_watch *w, const struct aop_status *st)
{
	see(w, st);
	if (again && st->state >= AOP_DONE) {
		aop_watch(again, w, see, NULL, AOP_INLINE);
		again = NULL;
	}
}

TEST_F(watch, the_last_callback_may_use_its_watch_again)
{
	struct seen *s = &self->s;
	struct aop next;

	ASSERT_EQ(0, aop_init(&next, self->far));
	again = &next;
	ASSERT_EQ(0, aop_watch(&self->twin, &s->w, watch_again, NULL, AOP_INLINE));
	aop_done(self->o, 1);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(1, s->calls);
	aop_done(aop_owner(&next), 2);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(2, s->calls);
	EXPECT_EQ(2, s->last.result);
}

static struct aop_ctx *nested;

static void dispatch_more(struct aop_watch *w, const struct aop_status *st)
{
	see(w, st);
	aop_ctx_dispatch(nested);
}

TEST_F(watch, dispatch_inside_a_callback)
{
	struct seen s[3];
	struct aop op[3], twin[3];
	int i;

	memset(s, 0, sizeof(s));
	nested = self->far;
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, aop_init(&op[i], self->ctx));
		ASSERT_EQ(0, lib_twin(&twin[i], self->far, &op[i], AOP_MAY_LOOK));
		ASSERT_EQ(0, aop_watch(&twin[i], &s[i].w, dispatch_more, NULL, AOP_INLINE));
	}
	for (i = 0; i < 3; i++)
		aop_done(aop_owner(&op[i]), i);
	while (aop_ctx_dispatch(self->far))
		;
	for (i = 0; i < 3; i++)
		EXPECT_EQ(1, s[i].calls);
}

TEST_F(watch, the_budget_bounds_a_dispatch)
{
	struct aop_ctx_opts o = { .size = sizeof(o), .budget = 3 };
	struct aop_ctx *ctx;
	struct aop op[8], twin[8];
	struct seen s[8];
	int i;

	memset(s, 0, sizeof(s));
	ASSERT_EQ(0, aop_ctx_open(&ctx, &o));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, aop_init(&op[i], self->ctx));
		ASSERT_EQ(0, lib_twin(&twin[i], ctx, &op[i], AOP_MAY_LOOK));
		ASSERT_EQ(0, aop_then(&twin[i], &s[i].w, see, NULL, AOP_INLINE));
		aop_done(aop_owner(&op[i]), i);
	}
	EXPECT_EQ(3, aop_ctx_dispatch(ctx));
	EXPECT_TRUE(lib_readable(ctx));
	EXPECT_EQ(3, aop_ctx_dispatch(ctx));
	EXPECT_EQ(2, aop_ctx_dispatch(ctx));
	EXPECT_EQ(0, aop_ctx_dispatch(ctx));
	EXPECT_FALSE(lib_readable(ctx));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(1, s[i].calls);
	aop_ctx_close(ctx);
}

TEST_F(watch, bad_watches)
{
	struct seen *s = &self->s;

	EXPECT_EQ(-EINVAL, aop_watch(&self->twin, &s->w, NULL, NULL, AOP_INLINE));
	aop_unwatch(&s->w);
	EXPECT_EQ(-EPERM, aop_on_asked(NULL, &s->w, see, NULL, AOP_INLINE));
	aop_unwatch(&s->w);
	EXPECT_EQ(-EPERM, aop_on_asked((struct aop_owner *)&self->twin, &s->w, see, NULL,
				       AOP_INLINE));
	aop_unwatch(&s->w);
	aop_done(self->o, 1);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(0, s->calls);
}

/* ---- executors ------------------------------------------------------------ */

/* Runs work when told to. */
struct queue {
	struct aop_exec x;
	struct aop_work *first;
	int submits;
};

static void queue_submit(struct aop_exec *x, struct aop_work *w)
{
	struct queue *q = (struct queue *)x;

	w->next = q->first;
	q->first = w;
	q->submits++;
}

static int queue_run(struct queue *q)
{
	struct aop_work *w;
	int n = 0;

	while ((w = q->first)) {
		q->first = w->next;
		w->run(w);
		n++;
	}
	return n;
}

TEST_F(watch, W6_an_executor_runs_it)
{
	struct queue q = { .x.submit = queue_submit };
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_watch(&self->twin, &s->w, see, NULL, &q.x));
	aop_progress(self->o, 1, 9);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(0, s->calls);
	aop_progress(self->o, 2, 9);		/* seen as one with the first */
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(1, q.submits);
	queue_run(&q);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(2, s->last.done);
	aop_done(self->o, 1);
	aop_ctx_dispatch(self->far);
	queue_run(&q);
	EXPECT_EQ(2, s->calls);
	EXPECT_EQ(1, s->finals);
	queue_run(&q);
	EXPECT_EQ(2, s->calls);
}

TEST_F(watch, W7_unwatch_takes_it_out_of_the_executors_queue)
{
	struct queue q = { .x.submit = queue_submit };
	struct seen a = { 0 }, b = { 0 }, c = { 0 };

	ASSERT_EQ(0, aop_watch(&self->twin, &a.w, see, NULL, &q.x));
	ASSERT_EQ(0, aop_watch(&self->twin, &b.w, see, NULL, &q.x));
	ASSERT_EQ(0, aop_watch(&self->twin, &c.w, see, NULL, &q.x));
	aop_done(self->o, 1);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(1, q.submits);		/* for all three */
	aop_unwatch(&b.w);
	memset(&b.w, 0xee, sizeof(b.w));
	queue_run(&q);
	EXPECT_EQ(1, a.calls);
	EXPECT_EQ(0, b.calls);
	EXPECT_EQ(1, c.calls);
}

TEST_F(watch, W7_drop_takes_it_out_of_the_executors_queue)
{
	struct queue q = { .x.submit = queue_submit };
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_watch(&self->twin, &s->w, see, NULL, &q.x));
	aop_done(self->o, 1);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(1, aop_drop(&self->twin));
	memset(&self->twin, 0xee, sizeof(self->twin));
	queue_run(&q);
	EXPECT_EQ(0, s->calls);
}

TEST_F(watch, W6_watching_a_final_op_on_an_executor)
{
	struct queue q = { .x.submit = queue_submit };
	struct seen *s = &self->s;

	aop_done(self->o, 5);
	ASSERT_EQ(0, aop_then(&self->twin, &s->w, see, NULL, &q.x));
	EXPECT_EQ(0, s->calls);
	queue_run(&q);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(5, s->last.result);
}

TEST_F(watch, W7_free_inside_the_callback_on_an_executor)
{
	struct queue q = { .x.submit = queue_submit };
	struct heap *h = malloc(sizeof(*h));

	freed = 0;
	ASSERT_NE(NULL, h);
	ASSERT_EQ(0, lib_twin(&h->op, self->far, &self->op, AOP_MAY_LOOK));
	ASSERT_EQ(0, aop_watch(&h->op, &h->w, free_all, h, &q.x));
	aop_done(self->o, 5);
	aop_ctx_dispatch(self->far);
	queue_run(&q);
	EXPECT_EQ(1, freed);
	aop_ctx_dispatch(self->far);
	queue_run(&q);
}

static void run_now(struct aop_exec *x, struct aop_work *w)
{
	(void)x;
	w->run(w);
}

TEST_F(watch, an_executor_may_run_it_at_once)
{
	struct aop_exec x = { .submit = run_now };
	struct seen a = { 0 }, b = { 0 };

	ASSERT_EQ(0, aop_watch(&self->twin, &a.w, see, NULL, &x));
	ASSERT_EQ(0, aop_watch(&self->twin, &b.w, see, NULL, &x));
	aop_progress(self->o, 1, 1);
	aop_ctx_dispatch(self->far);
	aop_done(self->o, 1);
	aop_ctx_dispatch(self->far);
	EXPECT_EQ(2, a.calls);
	EXPECT_EQ(2, b.calls);
	EXPECT_EQ(1, a.finals);
}

/* ---- the owner's watch ------------------------------------------------------- */

TEST_F(watch, C2_the_owner_is_told_of_a_request)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(0, aop_asked(self->o));
	ASSERT_EQ(0, aop_on_asked(self->o, &s->w, see, NULL, AOP_INLINE));
	aop_progress(self->o, 1, 2);
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(0, s->calls);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->twin, -EINTR));
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->twin));
	EXPECT_EQ(-EINTR, aop_asked(self->o));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(-EINTR, s->last.reason);
	aop_progress(self->o, 2, 2);
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(0, aop_cancelled(self->o, 0));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(-EINTR, aop_result(&self->twin));
}

TEST_F(watch, on_asked_when_it_is_asked_already)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->twin, 0));
	ASSERT_EQ(0, aop_on_asked(self->o, &s->w, see, NULL, AOP_INLINE));
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(-ECANCELED, s->last.reason);
}

TEST_F(watch, C5_the_owner_is_told_when_nobody_watches)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_start(self->o));
	ASSERT_EQ(0, aop_on_asked(self->o, &s->w, see, NULL, AOP_INLINE));
	EXPECT_EQ(0, aop_drop(&self->op));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(0, s->calls);
	EXPECT_EQ(1, aop_drop(&self->twin));
	EXPECT_EQ(-EPIPE, aop_asked(self->o));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(0, aop_cancelled(self->o, -EPIPE));
}

static void stop(struct aop_watch *w, const struct aop_status *st)
{
	see(w, st);
	aop_cancelled(w->data, 0);
	memset(w, 0xee, sizeof(*w));
}

TEST_F(watch, the_owner_may_end_it_inside_on_asked)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_start(self->o));
	ASSERT_EQ(0, aop_on_asked(self->o, &s->w, stop, self->o, AOP_INLINE));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->twin, -EINTR));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->twin));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(1, s->calls);
}

TEST_F(watch, on_asked_is_told_of_the_deadline_once)
{
	struct aop op;
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_init_with(&op, self->ctx, AOP_OPTS(.deadline = AOP_MS(1))));
	ASSERT_EQ(0, aop_on_asked(aop_owner(&op), &s->w, see, NULL, AOP_INLINE));
	ASSERT_EQ(0, aop_wait(&op, AOP_FOREVER));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(-ETIMEDOUT, s->last.result);
	EXPECT_EQ(-EALREADY, aop_done(aop_owner(&op), 1));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(1, s->calls);
}

TEST_HARNESS_MAIN
