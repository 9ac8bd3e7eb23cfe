// SPDX-License-Identifier: GPL-2.0
/*
 * Cancelling and letting go, C1 to C5, in every scope.
 */
#include "any.h"

FIXTURE(cancel) {
	struct any any;
	struct aop op;
	struct aop_owner *o;
};

ANY_VARIANTS(cancel);

FIXTURE_SETUP(cancel)
{
	ANY_SETUP();
	ASSERT_EQ(0, aop_init(&self->op, self->any.where));
	self->o = aop_owner(&self->op);
}

FIXTURE_TEARDOWN(cancel)
{
	any_teardown(&self->any);
}

TEST_F(cancel, C1_pending_is_stopped)
{
	EXPECT_EQ(-EINVAL, aop_cancel(&self->op, 5));
	EXPECT_EQ(AOP_STOPPED, aop_cancel(&self->op, -EINTR));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->op));
	EXPECT_EQ(-EINTR, aop_result(&self->op));
	EXPECT_FALSE(aop_is_over(&self->op));		/* M10: its owner holds it */
	EXPECT_EQ(-EINTR, aop_asked(self->o));
	EXPECT_EQ(-EALREADY, aop_start(self->o));
	EXPECT_TRUE(aop_is_over(&self->op));
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(&self->op, 0));
	EXPECT_EQ(-EINTR, aop_join(&self->op));
}

TEST_F(cancel, C1_running_is_asked_and_it_is_idempotent)
{
	uint32_t seq;

	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(0, aop_asked(self->o));		/* C2: at first false */
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op, 0));
	EXPECT_EQ(-ECANCELED, aop_asked(self->o));
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->op));
	EXPECT_NE(0, aop_status(&self->op).flags & AOP_F_ASKED);
	seq = aop_status(&self->op).seq;
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op, -EINTR));
	EXPECT_EQ(seq, aop_status(&self->op).seq);
	EXPECT_EQ(-ECANCELED, aop_asked(self->o));	/* the first reason */
	EXPECT_EQ(0, aop_done(self->o, 1));		/* C3: best effort */
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(&self->op, 0));
	EXPECT_EQ(1, aop_result(&self->op));
}

TEST_F(cancel, C2_calls_no_completion_callback)
{
	struct seen s = { 0 };

	ASSERT_EQ(0, aop_start(self->o));
	ASSERT_EQ(0, aop_then(&self->op, &s.w, see, NULL, AOP_INLINE));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op, 0));
	any_turn(&self->any);
	EXPECT_EQ(0, s.calls);
	aop_unwatch(&s.w);
}

TEST_F(cancel, C3_may_fail_after_the_request)
{
	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op, 0));
	EXPECT_EQ(0, aop_fail(self->o, -EIO));
	EXPECT_EQ(AOP_FAILED, aop_state(&self->op));
}

TEST_F(cancel, C4_the_owner_acknowledges)
{
	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op, -EINTR));
	EXPECT_EQ(0, aop_cancelled(self->o, 0));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->op));
	EXPECT_EQ(-EINTR, aop_result(&self->op));
	EXPECT_EQ(-EINTR, aop_status(&self->op).reason);
}

TEST_F(cancel, C4_with_a_reason_of_its_own)
{
	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op, -EINTR));
	EXPECT_EQ(0, aop_cancelled(self->o, -ESHUTDOWN));
	EXPECT_EQ(-ESHUTDOWN, aop_result(&self->op));
	EXPECT_EQ(-ESHUTDOWN, aop_status(&self->op).reason);
}

TEST_F(cancel, C4_though_nobody_asked)
{
	EXPECT_EQ(0, aop_cancelled(self->o, 0));
	EXPECT_EQ(-ECANCELED, aop_result(&self->op));
}

TEST_F(cancel, C4_by_one_number)
{
	struct aop op[4];
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, aop_init(&op[i], self->any.where));
		ASSERT_EQ(0, aop_start(aop_owner(&op[i])));
		if (i)
			EXPECT_EQ(AOP_ASKED, aop_cancel(&op[i], -EINTR));
	}
	EXPECT_EQ(0, aop_end(aop_owner(&op[0]), -EINTR));
	EXPECT_EQ(0, aop_end(aop_owner(&op[1]), -EINTR));
	EXPECT_EQ(0, aop_end(aop_owner(&op[2]), -EIO));
	EXPECT_EQ(0, aop_end(aop_owner(&op[3]), 3));
	EXPECT_EQ(AOP_FAILED, aop_state(&op[0]));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&op[1]));
	EXPECT_EQ(AOP_FAILED, aop_state(&op[2]));
	EXPECT_EQ(AOP_DONE, aop_state(&op[3]));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(1, aop_drop(&op[i]));
}

TEST_F(cancel, C5_abandoned)
{
	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(&self->op, aop_hold(&self->op));
	EXPECT_EQ(0, aop_drop(&self->op));
	EXPECT_EQ(0, aop_asked(self->o));
	EXPECT_EQ(0, aop_drop(&self->op));
	EXPECT_EQ(-EPIPE, aop_asked(self->o));
	EXPECT_EQ(-EPIPE, aop_wait_asked(self->o, AOP_FOREVER));
	EXPECT_EQ(0, aop_end(self->o, 6));
}

TEST_F(cancel, C5_detached_goes_on)
{
	struct aop op;
	struct aop_owner *o;

	ASSERT_EQ(0, aop_init_with(&op, self->any.where, AOP_OPTS(.flags = AOP_DETACHED)));
	o = aop_owner(&op);
	ASSERT_EQ(0, aop_start(o));
	EXPECT_EQ(0, aop_drop(&op));
	EXPECT_EQ(0, aop_asked(o));
	EXPECT_EQ(0, aop_done(o, 1));
}

TEST_F(cancel, C2_wait_asked)
{
	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(0, aop_wait_asked(self->o, AOP_NOWAIT));
	EXPECT_EQ(0, aop_wait_asked(self->o, AOP_MS(1)));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->op, -EINTR));
	EXPECT_EQ(-EINTR, aop_wait_asked(self->o, AOP_FOREVER));
	EXPECT_EQ(0, aop_cancelled(self->o, 0));
}

TEST_F(cancel, driving_with_nothing)
{
	EXPECT_EQ(-EPERM, aop_start(NULL));
	EXPECT_EQ(-EPERM, aop_progress(NULL, 1, 2));
	EXPECT_EQ(-EPERM, aop_done(NULL, 1));
	EXPECT_EQ(-EPERM, aop_fail(NULL, -1));
	EXPECT_EQ(-EPERM, aop_cancelled(NULL, 0));
	EXPECT_EQ(-EPERM, aop_let_go(NULL));
	EXPECT_EQ(-EPERM, aop_asked(NULL));
	EXPECT_EQ(-EPERM, aop_wait_asked(NULL, 0));
	EXPECT_EQ(AOP_PENDING, aop_state(&self->op));
}

TEST_HARNESS_MAIN
