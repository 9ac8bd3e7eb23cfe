// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: ops made of ops, W8 and C6, members all of one context.
 */
#include "lib.h"

FIXTURE(group) {
	struct aop_ctx *ctx;
	struct aop op[4];
	struct aop *ops[4];
	struct aop_group g;
};

FIXTURE_SETUP(group)
{
	int i;

	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, aop_init(&self->op[i], self->ctx));
		self->ops[i] = &self->op[i];
	}
}

FIXTURE_TEARDOWN(group)
{
	aop_ctx_close(self->ctx);
}

TEST_F(group, W8_any)
{
	struct aop *g = aop_any(&self->g, NULL, self->ops, 4, 0);

	EXPECT_EQ(AOP_RUNNING, aop_state(g));
	EXPECT_EQ(NULL, aop_owner(g));
	EXPECT_EQ(-ETIME, aop_wait(g, AOP_MS(1)));
	aop_fail(aop_owner(&self->op[2]), -EIO);
	EXPECT_EQ(2, aop_get(g, AOP_FOREVER));
	EXPECT_EQ(AOP_DONE, aop_state(g));
	EXPECT_TRUE(aop_is_over(g));
	aop_done(aop_owner(&self->op[1]), 0);
	EXPECT_EQ(2, aop_join(g));
}

TEST_F(group, W8_all_and_some)
{
	struct aop_group s;
	struct aop *all = aop_all(&self->g, NULL, self->ops, 4, 0);
	struct aop *some = aop_some(&s, NULL, self->ops, 4, 3, 0);
	int i;

	for (i = 0; i < 4; i++) {
		EXPECT_EQ(i >= 3, aop_is_final(some));
		EXPECT_FALSE(aop_is_final(all));
		aop_done(aop_owner(&self->op[i]), i);
	}
	EXPECT_EQ(4, aop_join(all));
	EXPECT_EQ(3, aop_join(some));
}

TEST_F(group, W8_only_done_and_fail_fast)
{
	struct aop_group f;
	struct aop *done = aop_any(&self->g, NULL, self->ops, 4, AOP_ONLY_DONE);
	struct aop *fast = aop_all(&f, NULL, self->ops, 4, AOP_FAIL_FAST);

	aop_fail(aop_owner(&self->op[0]), -EIO);
	EXPECT_FALSE(aop_is_final(done));
	EXPECT_EQ(-EIO, aop_get(fast, AOP_FOREVER));
	EXPECT_EQ(AOP_FAILED, aop_state(fast));
	aop_done(aop_owner(&self->op[3]), 0);
	EXPECT_EQ(3, aop_get(done, AOP_FOREVER));
}

TEST_F(group, W8_cancel_the_rest_and_end_with_them)
{
	struct aop *g;
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, aop_start(aop_owner(&self->op[i])));
	g = aop_any(&self->g, NULL, self->ops, 4, AOP_CANCEL_REST);
	aop_done(aop_owner(&self->op[1]), 0);
	EXPECT_NE(0, aop_wait_asked(aop_owner(&self->op[0]), AOP_FOREVER));
	EXPECT_NE(0, aop_wait_asked(aop_owner(&self->op[2]), AOP_FOREVER));
	EXPECT_EQ(0, aop_wait(&self->op[3], AOP_FOREVER));	/* nobody had started it */
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->op[3]));
	EXPECT_FALSE(aop_is_final(g));
	aop_cancelled(aop_owner(&self->op[0]), 0);
	EXPECT_FALSE(aop_is_final(g));
	aop_done(aop_owner(&self->op[2]), 8);			/* too late to stop */
	EXPECT_EQ(1, aop_get(g, AOP_FOREVER));
	EXPECT_EQ(8, aop_result(&self->op[2]));
}

TEST_F(group, C6_cancelling_a_group_cancels_its_members)
{
	struct aop *g;

	ASSERT_EQ(0, aop_start(aop_owner(&self->op[0])));
	g = aop_all(&self->g, NULL, self->ops, 2, 0);
	EXPECT_EQ(AOP_ASKED, aop_cancel(g, -EINTR));
	EXPECT_EQ(-EINTR, aop_wait_asked(aop_owner(&self->op[0]), AOP_FOREVER));
	EXPECT_EQ(-EINTR, aop_get(&self->op[1], AOP_FOREVER));
	aop_cancelled(aop_owner(&self->op[0]), 0);
	EXPECT_EQ(0, aop_wait(g, AOP_FOREVER));
	EXPECT_EQ(AOP_CANCELLED, aop_state(g));
}

TEST_F(group, W8_nested_watched_and_exported)
{
	struct aop_group inner, outer;
	struct seen s = { 0 };
	struct aop *ops[2], far;

	ops[0] = aop_all(&inner, NULL, self->ops, 2, 0);
	ops[1] = &self->op[2];
	ASSERT_EQ(0, aop_then(aop_any(&outer, NULL, ops, 2, 0), &s.w, see, NULL, AOP_INLINE));
	ASSERT_EQ(0, lib_twin(&far, self->ctx, &outer.op, AOP_MAY_LOOK));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(0, s.calls);
	aop_done(aop_owner(&self->op[0]), 0);
	EXPECT_FALSE(lib_readable(self->ctx));		/* no wake before it is decided */
	aop_done(aop_owner(&self->op[1]), 0);
	EXPECT_EQ(0, aop_get(&far, AOP_FOREVER));
	while (!s.calls)
		ASSERT_LE(0, lib_dispatch(self->ctx));
	EXPECT_EQ(0, s.last.result);
}

TEST_F(group, members_may_be_dropped)
{
	struct aop *g;
	struct aop twin;

	ASSERT_EQ(0, lib_twin(&twin, self->ctx, &self->op[0], AOP_MAY_LOOK));
	self->ops[0] = &twin;
	g = aop_all(&self->g, NULL, self->ops, 1, 0);
	EXPECT_EQ(1, aop_drop(&twin));
	aop_done(aop_owner(&self->op[0]), 0);
	EXPECT_EQ(1, aop_get(g, AOP_FOREVER));
}

TEST_F(group, a_member_that_could_not_begin)
{
	struct aop_group g2, g3, g4;
	struct aop bad, bad2;
	struct aop *ops[3] = { &self->op[0], &bad, &self->op[1] };
	struct aop *none[2] = { &bad, &bad2 };
	struct aop *all;

	EXPECT_EQ(-EINVAL, aop_init(&bad, NULL));
	EXPECT_EQ(-EBADF, aop_attach(&bad2, self->ctx, -1));
	EXPECT_EQ(1, aop_result(aop_any(&self->g, NULL, ops, 3, 0)));
	EXPECT_EQ(-EINVAL, aop_result(aop_all(&g2, NULL, ops, 3, AOP_FAIL_FAST)));
	all = aop_all(&g3, NULL, ops, 3, 0);
	EXPECT_FALSE(aop_is_final(all));
	aop_done(aop_owner(&self->op[0]), 0);
	aop_done(aop_owner(&self->op[1]), 0);
	EXPECT_EQ(3, aop_get(all, AOP_FOREVER));

	EXPECT_EQ(2, aop_result(aop_all(&g4, NULL, none, 2, 0)));
	EXPECT_EQ(0, aop_result(aop_any(&g4, NULL, none, 2, 0)));
	EXPECT_EQ(-EBADF, aop_result(aop_any(&g4, NULL, none, 2, AOP_ONLY_DONE)));
	EXPECT_EQ(-EINVAL, aop_result(aop_all(&g4, NULL, none, 2, AOP_FAIL_FAST)));
	EXPECT_EQ(AOP_FAILED, aop_state(&g4.op));
	EXPECT_EQ(-EINVAL, aop_result(aop_all(&g4, NULL, none, 2, AOP_ONLY_DONE)));
}

TEST_F(group, many_members)
{
	enum { N = 300 };
	struct aop_ctx *ctx;
	struct aop op[N], *ops[N], *g;
	int i;

	ASSERT_EQ(0, aop_ctx_open(&ctx, NULL));
	aop_cork(ctx);
	for (i = 0; i < N; i++) {
		ASSERT_EQ(0, aop_init(&op[i], ctx));
		ops[i] = &op[i];
	}
	g = aop_all(&self->g, NULL, ops, N, 0);		/* gives them handles */
	EXPECT_EQ(AOP_RUNNING, aop_state(g));
	for (i = 0; i < N; i++)
		ASSERT_EQ(0, aop_done(aop_owner(&op[i]), 0));
	EXPECT_EQ(N, aop_join(g));
	EXPECT_EQ(0, aop_uncork(ctx));
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, aop_drop(&op[i]));
	aop_ctx_close(ctx);
}

TEST_F(group, bad_groups)
{
	static struct aop *lots[AOP_MAX_ENTRIES + 1];
	struct aop_ctx *ctx;
	struct aop other;
	struct aop *mixed[2] = { &self->op[0], &other };
	int i;

	EXPECT_EQ(-EINVAL, aop_result(aop_any(&self->g, NULL, self->ops, 0, 0)));
	EXPECT_EQ(-EINVAL, aop_result(aop_all(&self->g, NULL, self->ops, 0, 0)));
	EXPECT_EQ(-EINVAL, aop_result(aop_any(&self->g, NULL, self->ops, 2, 0x80)));
	EXPECT_EQ(-EINVAL, aop_result(aop_some(&self->g, NULL, self->ops, 2, 3, 0)));
	EXPECT_EQ(-EINVAL, aop_result(aop_some(&self->g, NULL, self->ops, 2, 0, 0)));
	EXPECT_EQ(-EINVAL, aop_result(aop_some(&self->g, NULL, self->ops, 2, 1,
					       AOP_GROUP_WHICH)));
	for (i = 0; i <= AOP_MAX_ENTRIES; i++)
		lots[i] = &self->op[0];
	EXPECT_EQ(-E2BIG, aop_result(aop_any(&self->g, NULL, lots, AOP_MAX_ENTRIES + 1, 0)));
	EXPECT_EQ(-EMFILE, aop_result(aop_any(&self->g, NULL, lots, AOP_MAX_ENTRIES, 0)));
	EXPECT_EQ(1, aop_drop(&self->g.op));

	ASSERT_EQ(0, aop_ctx_open(&ctx, NULL));
	ASSERT_EQ(0, aop_init(&other, ctx));
	EXPECT_EQ(-EINVAL, aop_result(aop_any(&self->g, NULL, mixed, 2, 0)));	/* no storage */
	aop_let_go(aop_owner(&other));
	EXPECT_EQ(1, aop_drop(&other));
	aop_ctx_close(ctx);
}

TEST_HARNESS_MAIN
