// SPDX-License-Identifier: GPL-2.0
/*
 * Ops made of ops, W8 and C6, in every scope; and of several scopes.
 */
#include "any.h"

enum { N = 4 };

FIXTURE(group) {
	struct any any;
	struct aop op[N];
	struct aop *ops[N];
	struct aop_owner *o[N];
	struct aop_group g;
	struct aop_member m[N];
};

ANY_VARIANTS(group);

FIXTURE_SETUP(group)
{
	int i;

	ANY_SETUP();
	for (i = 0; i < N; i++) {
		ASSERT_EQ(0, aop_init(&self->op[i], self->any.where));
		self->ops[i] = &self->op[i];
		self->o[i] = aop_owner(&self->op[i]);
	}
}

FIXTURE_TEARDOWN(group)
{
	any_teardown(&self->any);
}

TEST_F(group, W8_any_tells_which)
{
	struct aop *g = aop_any(&self->g, self->m, self->ops, N, 0);

	EXPECT_EQ(AOP_RUNNING, aop_state(g));
	EXPECT_EQ(NULL, aop_owner(g));
	EXPECT_EQ(-ETIME, aop_wait(g, AOP_MS(1)));
	aop_fail(self->o[2], -EIO);
	EXPECT_EQ(2, aop_get(g, AOP_FOREVER));
	EXPECT_EQ(AOP_DONE, aop_state(g));
	EXPECT_TRUE(aop_is_over(g));
	EXPECT_EQ(0, aop_asked(self->o[1]));
	aop_done(self->o[1], 0);
	EXPECT_EQ(2, aop_join(g));
}

TEST_F(group, W8_all_and_some)
{
	struct aop_group s;
	struct aop_member m[N];
	struct aop *all = aop_all(&self->g, self->m, self->ops, N, 0);
	struct aop *some = aop_some(&s, m, self->ops, N, 3, 0);
	int i;

	for (i = 0; i < N; i++) {
		EXPECT_EQ(i >= 3, aop_is_final(some));
		EXPECT_FALSE(aop_is_final(all));
		aop_done(self->o[i], i);
	}
	EXPECT_EQ(4, aop_join(all));
	EXPECT_EQ(3, aop_join(some));
}

TEST_F(group, W8_only_done_and_fail_fast)
{
	struct aop_group f;
	struct aop_member m[N];
	struct aop *done = aop_any(&self->g, self->m, self->ops, N, AOP_ONLY_DONE);
	struct aop *fast = aop_all(&f, m, self->ops, N, AOP_FAIL_FAST);

	aop_fail(self->o[0], -EIO);
	EXPECT_FALSE(aop_is_final(done));
	EXPECT_EQ(-EIO, aop_get(fast, AOP_FOREVER));
	EXPECT_EQ(AOP_FAILED, aop_state(fast));
	EXPECT_EQ(0, aop_status(fast).flags & AOP_F_SYSTEM);
	aop_done(self->o[3], 0);
	EXPECT_EQ(3, aop_get(done, AOP_FOREVER));
}

TEST_F(group, W8_only_done_and_none_is)
{
	struct aop *g = aop_any(&self->g, self->m, self->ops, 2, AOP_ONLY_DONE);

	aop_fail(self->o[0], -EIO);
	EXPECT_FALSE(aop_is_final(g));
	aop_let_go(self->o[1]);
	EXPECT_EQ(-EOWNERDEAD, aop_get(g, AOP_FOREVER));
	EXPECT_NE(0, aop_status(g).flags & AOP_F_SYSTEM);
	EXPECT_EQ(-EOWNERDEAD, aop_join(g));
}

TEST_F(group, W8_cancel_the_rest_and_end_with_them)
{
	struct aop *g;
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, aop_start(self->o[i]));
	g = aop_any(&self->g, self->m, self->ops, N, AOP_CANCEL_REST);
	aop_done(self->o[1], 0);
	EXPECT_EQ(-ECANCELED, aop_wait_asked(self->o[0], AOP_FOREVER));
	EXPECT_EQ(-ECANCELED, aop_wait_asked(self->o[2], AOP_FOREVER));
	EXPECT_EQ(0, aop_wait(&self->op[3], AOP_FOREVER));	/* nobody had started it */
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->op[3]));
	EXPECT_FALSE(aop_is_final(g));
	aop_cancelled(self->o[0], 0);
	EXPECT_FALSE(aop_is_final(g));
	aop_done(self->o[2], 8);			/* too late to stop */
	EXPECT_EQ(1, aop_get(g, AOP_FOREVER));
	EXPECT_EQ(8, aop_result(&self->op[2]));
}

TEST_F(group, C6_cancelling_a_group_cancels_its_members)
{
	struct aop *g;

	ASSERT_EQ(0, aop_start(self->o[0]));
	g = aop_all(&self->g, self->m, self->ops, 2, 0);
	EXPECT_EQ(AOP_ASKED, aop_cancel(g, -EINTR));
	EXPECT_EQ(-EINTR, aop_wait_asked(self->o[0], AOP_FOREVER));
	EXPECT_EQ(-EINTR, aop_get(&self->op[1], AOP_FOREVER));
	EXPECT_EQ(0, aop_asked(self->o[2]));		/* never upward, nor sideways */
	aop_cancelled(self->o[0], 0);
	EXPECT_EQ(0, aop_wait(g, AOP_FOREVER));
	EXPECT_EQ(AOP_CANCELLED, aop_state(g));
	EXPECT_EQ(-EINTR, aop_join(g));
}

/* Both orders of the cancel and the end: too late, and not heeded. */
TEST_F(group, C6_cancelled_when_it_is_decided_and_before)
{
	struct aop *g = aop_all(&self->g, self->m, self->ops, 2, 0);
	struct aop *h;
	struct aop_group second;
	struct aop_member m[2];

	aop_done(self->o[0], 0);
	aop_done(self->o[1], 0);
	ASSERT_EQ(0, aop_wait(g, AOP_FOREVER));
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(g, -EINTR));
	EXPECT_EQ(2, aop_join(g));

	ASSERT_EQ(0, aop_start(self->o[2]));
	ASSERT_EQ(0, aop_start(self->o[3]));
	h = aop_all(&second, m, self->ops + 2, 2, 0);
	EXPECT_EQ(AOP_ASKED, aop_cancel(h, -EINTR));
	EXPECT_EQ(-EINTR, aop_wait_asked(self->o[2], AOP_FOREVER));
	EXPECT_EQ(-EINTR, aop_wait_asked(self->o[3], AOP_FOREVER));
	aop_done(self->o[2], 0);
	EXPECT_FALSE(aop_is_final(h));
	aop_done(self->o[3], 0);
	EXPECT_EQ(0, aop_wait(h, AOP_FOREVER));
	EXPECT_EQ(2, aop_join(h));
	EXPECT_EQ(0, aop_result(&self->op[2]));
}

TEST_F(group, C6_a_tree_of_groups)
{
	struct aop_group inner;
	struct aop_member m[2];
	struct aop *ops[2], *g;

	ops[0] = aop_all(&inner, m, self->ops, 2, 0);
	ops[1] = self->ops[2];
	g = aop_all(&self->g, self->m, ops, 2, 0);
	EXPECT_EQ(AOP_ASKED, aop_cancel(g, -EINTR));
	EXPECT_EQ(-EINTR, aop_get(g, AOP_FOREVER));
	EXPECT_EQ(-EINTR, aop_get(&self->op[0], AOP_FOREVER));
	EXPECT_EQ(-EINTR, aop_get(&self->op[2], AOP_FOREVER));
	EXPECT_EQ(-EINTR, aop_join(&inner.op));
	EXPECT_EQ(-EINTR, aop_join(g));
}

TEST_F(group, W8_nested_and_watched)
{
	struct aop_group inner;
	struct aop_member m[2];
	struct seen s = { 0 };
	struct aop *ops[2];

	ops[0] = aop_all(&inner, m, self->ops, 2, 0);
	ops[1] = self->ops[2];
	ASSERT_EQ(0, aop_then(aop_any(&self->g, self->m, ops, 2, 0), &s.w, see, NULL,
			      AOP_INLINE));
	any_turn(&self->any);
	aop_done(self->o[0], 0);
	any_turn(&self->any);
	EXPECT_EQ(0, s.calls);
	aop_done(self->o[1], 0);
	EXPECT_EQ(0, aop_get(&self->g.op, AOP_FOREVER));
	if (self->any.scope == ANY_SHARED)
		while (!s.calls)
			ASSERT_LE(0, lib_dispatch(self->any.where));
	EXPECT_EQ(1, s.calls);
	EXPECT_EQ(0, s.last.result);
	EXPECT_EQ(1, aop_drop(&inner.op));
	EXPECT_EQ(1, aop_drop(&self->g.op));
}

TEST_F(group, members_may_be_dropped)
{
	struct aop *g;

	if (self->any.scope == ANY_SHARED)
		SKIP(return, "an own handle is needed: lib_group has it");
	g = aop_all(&self->g, self->m, self->ops, 2, 0);
	EXPECT_EQ(0, aop_drop(&self->op[0]));
	EXPECT_EQ(0, aop_asked(self->o[0]));		/* the group watches it */
	aop_done(self->o[0], 0);
	EXPECT_FALSE(aop_is_final(g));
	aop_done(self->o[1], 0);
	EXPECT_EQ(1, aop_drop(&self->op[1]));
	EXPECT_EQ(2, aop_join(g));
}

TEST_F(group, a_group_may_be_dropped)
{
	struct aop *g = aop_all(&self->g, self->m, self->ops, 2, 0);

	aop_done(self->o[0], 0);
	EXPECT_EQ(1, aop_drop(g));
	memset(&self->g, 0xee, sizeof(self->g));
	memset(self->m, 0xee, sizeof(self->m));
	EXPECT_EQ(0, aop_asked(self->o[1]));
	EXPECT_EQ(0, aop_done(self->o[1], 0));
	EXPECT_EQ(1, aop_drop(&self->op[1]));
}

TEST_F(group, members_that_are_final)
{
	struct aop_group g2, g3;
	struct aop_member m[N];
	struct aop bad;
	struct aop *ops[3] = { &self->op[0], &bad, &self->op[1] };

	EXPECT_EQ(-EINVAL, aop_init(&bad, NULL));
	EXPECT_EQ(1, aop_get(aop_any(&self->g, self->m, ops, 3, 0), AOP_FOREVER));
	EXPECT_EQ(-EINVAL, aop_get(aop_all(&g2, m, ops, 3, AOP_FAIL_FAST), AOP_FOREVER));
	aop_done(self->o[0], 0);
	aop_done(self->o[1], 0);
	EXPECT_EQ(3, aop_get(aop_all(&g3, m, ops, 3, 0), AOP_FOREVER));
	EXPECT_EQ(3, aop_join(&g3.op));
	EXPECT_EQ(1, aop_drop(&bad));
}

TEST_F(group, bad_groups)
{
	EXPECT_EQ(-EINVAL, aop_join(aop_any(&self->g, self->m, self->ops, 0, 0)));
	EXPECT_EQ(-EINVAL, aop_join(aop_any(&self->g, self->m, self->ops, 2, 0x80)));
	EXPECT_EQ(-EINVAL, aop_join(aop_some(&self->g, self->m, self->ops, 2, 3, 0)));
	EXPECT_EQ(-EINVAL, aop_join(aop_some(&self->g, self->m, self->ops, 2, 0, 0)));
	if (self->any.scope != ANY_SHARED)
		EXPECT_EQ(-EINVAL, aop_join(aop_any(&self->g, NULL, self->ops, 2, 0)));
}

/* A member of another scope than the variant's. */
TEST_F(group, W8_mixed_scopes)
{
	struct aop_group g2;
	struct aop_member m[2];
	struct aop other;
	struct aop *ops[2] = { &self->op[0], &other };
	struct aop *any, *all;

	ASSERT_EQ(0, aop_init(&other, self->any.scope == ANY_LOCAL ? AOP_PRIVATE : AOP_LOCAL));
	any = aop_any(&self->g, self->m, ops, 2, AOP_CANCEL_REST);
	all = aop_all(&g2, m, ops, 2, 0);
	ASSERT_EQ(0, aop_start(self->o[0]));
	aop_done(aop_owner(&other), 1);
	any_turn(&self->any);
	EXPECT_FALSE(aop_is_final(any));
	EXPECT_FALSE(aop_is_final(all));
	EXPECT_EQ(-ECANCELED, aop_wait_asked(self->o[0], AOP_FOREVER));
	aop_cancelled(self->o[0], 0);
	any_turn(&self->any);
	EXPECT_EQ(1, aop_join(any));
	EXPECT_EQ(2, aop_join(all));
	EXPECT_EQ(1, aop_drop(&other));
}

TEST_HARNESS_MAIN
