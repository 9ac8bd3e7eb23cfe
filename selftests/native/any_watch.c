// SPDX-License-Identifier: GPL-2.0
/*
 * Being called back, W5 to W7, in every scope.
 */
#include "any.h"

FIXTURE(watch) {
	struct any any;
	struct aop op;
	struct aop_owner *o;
	struct seen s;
};

ANY_VARIANTS(watch);

FIXTURE_SETUP(watch)
{
	ANY_SETUP();
	ASSERT_EQ(0, aop_init(&self->op, self->any.where));
	self->o = aop_owner(&self->op);
	memset(&self->s, 0, sizeof(self->s));
}

FIXTURE_TEARDOWN(watch)
{
	any_teardown(&self->any);
}

TEST_F(watch, W5_none_at_creation_then_one_for_each_change)
{
	struct seen *s = &self->s;
	int i;

	ASSERT_EQ(0, aop_watch(&self->op, &s->w, see, self, AOP_INLINE));
	any_turn(&self->any);
	EXPECT_EQ(0, s->calls);
	EXPECT_EQ(self, s->w.data);
	EXPECT_EQ(&self->op, s->w.op);
	for (i = 1; i <= 3; i++) {
		EXPECT_EQ(0, aop_progress(self->o, i, 3));
		any_turn(&self->any);
		EXPECT_EQ(i, s->calls);
		EXPECT_EQ(i, s->last.done);
		EXPECT_EQ(aop_status(&self->op).seq, s->last.seq);	/* M8 */
	}
	EXPECT_EQ(0, aop_start(self->o));
	any_turn(&self->any);
	EXPECT_EQ(AOP_RUNNING, s->last.state);
	EXPECT_EQ(0, s->finals);
	EXPECT_EQ(0, aop_done(self->o, 42));
	any_turn(&self->any);
	EXPECT_EQ(5, s->calls);
	EXPECT_EQ(1, s->finals);
	EXPECT_EQ(42, s->last.result);
	EXPECT_EQ(AOP_DONE, s->last.state);
	any_turn(&self->any);
	EXPECT_EQ(5, s->calls);
	aop_unwatch(&s->w);
	EXPECT_EQ(1, aop_drop(&self->op));
}

TEST_F(watch, W5_inline_in_process_exactly_one_per_change)
{
	struct seen *s = &self->s;
	int i;

	if (self->any.scope == ANY_SHARED)
		SKIP(return, "shared: they may coalesce");
	ASSERT_EQ(0, aop_watch(&self->op, &s->w, see, NULL, AOP_INLINE));
	for (i = 1; i <= 100; i++) {
		aop_progress(self->o, i, 100);
		EXPECT_EQ(i, s->calls);
		EXPECT_EQ(i, s->last.done);
	}
}

TEST_F(watch, W5_a_final_op_calls_once)
{
	struct seen *s = &self->s, over = { 0 };

	EXPECT_EQ(0, aop_fail(self->o, -EIO));
	ASSERT_EQ(0, aop_watch(&self->op, &s->w, see, NULL, AOP_INLINE));
	ASSERT_EQ(0, aop_then(&self->op, &over.w, see, NULL, AOP_INLINE));
	any_turn(&self->any);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(1, over.calls);
	EXPECT_EQ(-EIO, s->last.result);
}

TEST_F(watch, M10_then_waits_for_over)
{
	struct seen fin = { 0 }, over = { 0 };

	ASSERT_EQ(0, aop_watch(&self->op, &fin.w, see, NULL, AOP_INLINE));
	ASSERT_EQ(0, aop_then(&self->op, &over.w, see, NULL, AOP_INLINE));
	EXPECT_EQ(0, aop_progress(self->o, 1, 2));
	EXPECT_EQ(AOP_STOPPED, aop_cancel(&self->op, -EINTR));
	any_turn(&self->any);
	EXPECT_EQ(1, fin.finals);
	EXPECT_EQ(0, over.calls);
	EXPECT_EQ(-EALREADY, aop_start(self->o));
	any_turn(&self->any);
	EXPECT_EQ(1, fin.finals);
	EXPECT_EQ(1, over.calls);
	EXPECT_NE(0, over.last.flags & AOP_F_OVER);
	EXPECT_EQ(-EINTR, over.last.result);
}

TEST_F(watch, many_watches)
{
	struct seen s[20];
	int i;

	memset(s, 0, sizeof(s));
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, (i & 1 ? aop_then : aop_watch)(&self->op, &s[i].w, see, NULL,
							    AOP_INLINE));
	aop_progress(self->o, 1, 2);
	any_turn(&self->any);
	for (i = 0; i < 20; i++)
		EXPECT_EQ(!(i & 1), s[i].calls);
	aop_unwatch(&s[4].w);
	aop_unwatch(&s[5].w);
	aop_done(self->o, 1);
	any_turn(&self->any);
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(i != 4 && i != 5, s[i].finals);
		EXPECT_EQ((i != 5) + (i != 4 && !(i & 1)), s[i].calls);
	}
}

TEST_F(watch, W7_after_unwatch_nothing_is_called)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_watch(&self->op, &s->w, see, NULL, AOP_INLINE));
	aop_unwatch(&s->w);
	aop_done(self->o, 1);
	any_turn(&self->any);
	EXPECT_EQ(0, s->calls);
	aop_unwatch(&s->w);		/* harmless */
	EXPECT_EQ(0, aop_try_unwatch(&s->w));
}

TEST_F(watch, W7_after_drop_nothing_is_called)
{
	struct seen *s = &self->s, t = { 0 };

	ASSERT_EQ(0, aop_watch(&self->op, &s->w, see, NULL, AOP_INLINE));
	ASSERT_EQ(0, aop_then(&self->op, &t.w, see, NULL, AOP_INLINE));
	EXPECT_EQ(0, aop_drop(&self->op));
	aop_done(self->o, 1);
	any_turn(&self->any);
	EXPECT_EQ(0, s->calls);
	EXPECT_EQ(0, t.calls);
}

static void unwatch_self(struct aop_watch *w, const struct aop_status *st)
{
	see(w, st);
	aop_unwatch(w);
	memset(w, 0xee, sizeof(*w));
}

TEST_F(watch, W7_unwatch_inside_the_callback)
{
	struct seen *s = &self->s, other = { 0 };

	ASSERT_EQ(0, aop_watch(&self->op, &s->w, unwatch_self, NULL, AOP_INLINE));
	ASSERT_EQ(0, aop_watch(&self->op, &other.w, see, NULL, AOP_INLINE));
	aop_progress(self->o, 1, 2);
	any_turn(&self->any);
	aop_done(self->o, 1);
	any_turn(&self->any);
	EXPECT_EQ(1, s->calls);
	EXPECT_LE(1, other.calls);
	EXPECT_EQ(1, other.finals);
}

static struct seen *victim;

static void unwatch_other(struct aop_watch *w, const struct aop_status *st)
{
	see(w, st);
	aop_unwatch(&victim->w);
	memset(&victim->w, 0xee, sizeof(victim->w));
}

TEST_F(watch, W7_unwatch_another_inside_the_callback)
{
	struct seen *s = &self->s, other = { 0 };

	victim = &other;
	ASSERT_EQ(0, aop_watch(&self->op, &s->w, unwatch_other, NULL, AOP_INLINE));
	ASSERT_EQ(0, aop_watch(&self->op, &other.w, see, NULL, AOP_INLINE));
	aop_done(self->o, 1);
	any_turn(&self->any);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(0, other.calls);
}

struct gone {
	struct aop op;
	struct aop_watch w;
	int *calls;
};

static void free_both(struct aop_watch *w, const struct aop_status *st)
{
	struct gone *g = w->data;

	if (st->state < AOP_DONE)
		return;
	++*g->calls;
	if (aop_drop(&g->op)) {
		memset(g, 0xee, sizeof(*g));
		free(g);
	}
}

TEST_F(watch, W7_the_callback_frees_watch_and_op)
{
	struct gone *g = malloc(sizeof(*g));
	int calls = 0;

	ASSERT_NE(NULL, g);
	g->calls = &calls;
	ASSERT_EQ(0, aop_init(&g->op, self->any.where));
	ASSERT_EQ(0, aop_watch(&g->op, &g->w, free_both, g, AOP_INLINE));
	aop_progress(aop_owner(&g->op), 1, 2);
	aop_done(aop_owner(&g->op), 1);
	any_turn(&self->any);
	EXPECT_EQ(1, calls);
}

TEST_F(watch, W7_the_callback_frees_an_op_that_has_another_watch)
{
	struct gone *g = malloc(sizeof(*g));
	struct seen *s = &self->s;
	int calls = 0;

	ASSERT_NE(NULL, g);
	g->calls = &calls;
	ASSERT_EQ(0, aop_init(&g->op, self->any.where));
	ASSERT_EQ(0, aop_watch(&g->op, &g->w, free_both, g, AOP_INLINE));
	ASSERT_EQ(0, aop_watch(&g->op, &s->w, see, g, AOP_INLINE));
	aop_done(aop_owner(&g->op), 1);
	any_turn(&self->any);
	EXPECT_EQ(1, calls);
	EXPECT_GE(1, s->calls);
}

static void drive_on(struct aop_watch *w, const struct aop_status *st)
{
	struct seen *s = (struct seen *)((char *)w - offsetof(struct seen, w));
	static int depth;

	depth++;
	see(w, st);
	if (depth != 1)
		s->calls = 1000;		/* calls of one watch overlapped */
	if (st->state < AOP_DONE) {
		if (st->done < 5)
			aop_progress(w->data, st->done + 1, 5);
		else
			aop_done(w->data, 77);
	}
	depth--;
}

TEST_F(watch, W7_the_callback_drives_the_op)
{
	struct seen *s = &self->s, other = { 0 };

	ASSERT_EQ(0, aop_watch(&self->op, &s->w, drive_on, self->o, AOP_INLINE));
	ASSERT_EQ(0, aop_watch(&self->op, &other.w, see, NULL, AOP_INLINE));
	aop_progress(self->o, 1, 5);
	any_turn(&self->any);
	EXPECT_EQ(6, s->calls);
	EXPECT_EQ(1, s->finals);
	EXPECT_EQ(77, s->last.result);
	EXPECT_EQ(1, other.finals);
	EXPECT_EQ(1, aop_drop(&self->op));
}

static void again(struct aop_watch *w, const struct aop_status *st)
{
	struct any *any = w->data;
	struct aop *op = w->op;
	struct seen *s = (struct seen *)((char *)w - offsetof(struct seen, w));

	(void)st;
	aop_drop(op);
	if (++s->calls == 10)
		return;
	/* The same memory, for another life. */
	aop_init(op, any->where);
	aop_then(op, w, again, any, AOP_INLINE);
	aop_done(aop_owner(op), 1);
}

TEST_F(watch, W7_the_callback_begins_the_op_anew)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_then(&self->op, &s->w, again, &self->any, AOP_INLINE));
	aop_done(self->o, 1);
	any_turn(&self->any);
	EXPECT_EQ(10, s->calls);
}

/* --- executors ------------------------------------------------------------ */

struct later {
	struct aop_exec x;
	struct aop_work *work;
	int submits;
};

static void later_submit(struct aop_exec *x, struct aop_work *w)
{
	struct later *l = (struct later *)x;

	l->work = w;
	l->submits++;
}

static int later_run(struct later *l)
{
	struct aop_work *w;
	int n = 0;

	while ((w = l->work)) {
		l->work = NULL;
		w->run(w);
		n++;
	}
	return n;
}

TEST_F(watch, W6_on_an_executor_the_newest_and_the_last)
{
	struct later l = { .x.submit = later_submit };
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_watch(&self->op, &s->w, see, NULL, &l.x));
	aop_progress(self->o, 1, 9);
	aop_progress(self->o, 2, 9);
	any_turn(&self->any);
	EXPECT_EQ(0, s->calls);
	EXPECT_EQ(1, l.submits);
	EXPECT_EQ(1, later_run(&l));
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(2, s->last.done);
	aop_progress(self->o, 3, 9);
	aop_done(self->o, 4);
	any_turn(&self->any);
	later_run(&l);
	EXPECT_EQ(2, s->calls);
	EXPECT_EQ(1, s->finals);
	EXPECT_EQ(4, s->last.result);
}

TEST_F(watch, W7_unwatched_while_in_the_executors_queue)
{
	struct later l = { .x.submit = later_submit };
	struct seen *s = &self->s, t = { 0 };

	ASSERT_EQ(0, aop_watch(&self->op, &s->w, see, NULL, &l.x));
	ASSERT_EQ(0, aop_then(&self->op, &t.w, see, NULL, &l.x));
	aop_done(self->o, 4);
	any_turn(&self->any);
	aop_unwatch(&s->w);
	memset(&s->w, 0xee, sizeof(s->w));
	EXPECT_EQ(1, aop_drop(&self->op));
	memset(&self->op, 0xee, sizeof(self->op));
	later_run(&l);
	EXPECT_EQ(0, s->calls);
	EXPECT_EQ(0, t.calls);
}

TEST_F(watch, W6_an_executor_that_runs_at_once)
{
	struct seen *s = &self->s;
	struct later l = { .x.submit = later_submit };

	aop_done(self->o, 4);
	ASSERT_EQ(0, aop_watch(&self->op, &s->w, see, NULL, &l.x));
	EXPECT_EQ(0, s->calls);
	later_run(&l);
	EXPECT_EQ(1, s->calls);
}

/* --- the owner's ------------------------------------------------------------ */

TEST_F(watch, C2_on_asked_tells_the_owner)
{
	struct seen *s = &self->s;

	ASSERT_EQ(0, aop_start(self->o));
	ASSERT_EQ(0, aop_on_asked(self->o, &s->w, see, NULL, AOP_INLINE));
	aop_progress(self->o, 1, 2);
	any_turn(&self->any);
	EXPECT_EQ(0, s->calls);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op, -EINTR));
	any_turn(&self->any);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(-EINTR, s->last.reason);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op, -EPERM));
	any_turn(&self->any);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(0, aop_cancelled(self->o, 0));
	any_turn(&self->any);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(-EPERM, aop_on_asked(NULL, &s->w, see, NULL, AOP_INLINE));
}

static void acknowledge(struct aop_watch *w, const struct aop_status *st)
{
	see(w, st);
	aop_cancelled(w->data, 0);
}

TEST_F(watch, C4_acknowledged_where_it_is_asked)
{
	struct seen *s = &self->s, over = { 0 };

	ASSERT_EQ(0, aop_start(self->o));
	ASSERT_EQ(0, aop_on_asked(self->o, &s->w, acknowledge, self->o, AOP_INLINE));
	ASSERT_EQ(0, aop_then(&self->op, &over.w, see, NULL, AOP_INLINE));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op, -EINTR));
	any_turn(&self->any);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(1, over.calls);
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->op));
	EXPECT_EQ(1, aop_drop(&self->op));
}

static int released;

static void release(struct aop *op)
{
	memset(op, 0xee, sizeof(*op));
	released++;
}

static void give_up(struct aop_watch *w, const struct aop_status *st)
{
	see(w, st);
	aop_let_go(w->data);
}

TEST_F(watch, C5_abandoned_and_ended_where_that_is_told)
{
	struct seen *s = &self->s;
	struct aop op;

	ASSERT_EQ(0, aop_init_with(&op, self->any.where, AOP_OPTS(.release = release)));
	ASSERT_EQ(0, aop_start(aop_owner(&op)));
	ASSERT_EQ(0, aop_on_asked(aop_owner(&op), &s->w, give_up, aop_owner(&op), AOP_INLINE));
	EXPECT_EQ(self->any.scope != ANY_SHARED, aop_drop(&op));
	any_turn(&self->any);
	EXPECT_EQ(1, s->calls);
	EXPECT_EQ(1, released);
}

TEST_F(watch, bad_calls)
{
	struct seen *s = &self->s;

	EXPECT_EQ(-EINVAL, aop_watch(&self->op, &s->w, NULL, NULL, AOP_INLINE));
	EXPECT_EQ(-EINVAL, aop_watch(NULL, &s->w, see, NULL, AOP_INLINE));
	aop_unwatch(&s->w);
	EXPECT_EQ(0, aop_try_unwatch(&s->w));
	aop_done(self->o, 1);
	EXPECT_EQ(0, s->calls);
}

TEST_HARNESS_MAIN
