// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: cancelling, C1 to C5, and abandonment.
 */
#include "lib.h"

FIXTURE(cancel) {
	struct aop_ctx *ctx;
	struct aop_ctx *far;
	struct aop op;
	struct aop twin;
	struct aop_owner *o;
};

FIXTURE_SETUP(cancel)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	ASSERT_EQ(0, aop_ctx_open(&self->far, NULL));
	ASSERT_EQ(0, aop_init(&self->op, self->ctx));
	self->o = aop_owner(&self->op);
	ASSERT_EQ(0, lib_twin(&self->twin, self->far, &self->op,
			      AOP_MAY_LOOK | AOP_MAY_CANCEL));
}

FIXTURE_TEARDOWN(cancel)
{
	aop_ctx_close(self->far);
	aop_ctx_close(self->ctx);
}

TEST_F(cancel, C1_pending_is_stopped)
{
	EXPECT_EQ(-EINVAL, aop_cancel(&self->twin, 5));
	EXPECT_EQ(AOP_STOPPED, aop_cancel(&self->twin, -EINTR));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->op));
	EXPECT_EQ(-EINTR, aop_result(&self->op));
	EXPECT_FALSE(aop_is_over(&self->op));		/* M10: its owner holds it */
	EXPECT_EQ(-EALREADY, aop_start(self->o));
	EXPECT_TRUE(aop_is_over(&self->op));
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(&self->twin, 0));
}

TEST_F(cancel, C1_running_is_asked_and_it_is_idempotent)
{
	uint32_t seq;

	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(0, aop_asked(self->o));		/* C2: at first false */
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->twin, 0));
	EXPECT_EQ(-ECANCELED, aop_asked(self->o));
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->op));
	EXPECT_NE(0, aop_status(&self->twin).flags & AOP_F_ASKED);
	seq = aop_status(&self->twin).seq;
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->twin, 0));
	EXPECT_EQ(seq, aop_status(&self->twin).seq);
	EXPECT_EQ(0, aop_done(self->o, 1));		/* C3: best effort */
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(&self->twin, 0));
	EXPECT_EQ(1, aop_result(&self->twin));
}

TEST_F(cancel, C4_the_owner_acknowledges)
{
	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->twin, -EINTR));
	EXPECT_EQ(-EINVAL, aop_cancelled(self->o, 1));
	EXPECT_EQ(0, aop_cancelled(self->o, 0));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->twin));
	EXPECT_EQ(-EINTR, aop_result(&self->twin));
	EXPECT_EQ(-EINTR, aop_status(&self->twin).reason);
}

TEST_F(cancel, C4_with_a_reason_of_its_own)
{
	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->twin, -EINTR));
	EXPECT_EQ(0, aop_cancelled(self->o, -ESHUTDOWN));
	EXPECT_EQ(-ESHUTDOWN, aop_result(&self->twin));
}

TEST_F(cancel, C4_though_nobody_asked)
{
	EXPECT_EQ(0, aop_cancelled(self->o, 0));
	EXPECT_EQ(-ECANCELED, aop_result(&self->twin));
}

TEST_F(cancel, C5_abandoned_and_watched_again)
{
	uint64_t id = aop_id(&self->op);
	struct aop late;

	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(0, aop_drop(&self->op));
	EXPECT_EQ(0, aop_asked(self->o));
	EXPECT_EQ(1, aop_drop(&self->twin));
	EXPECT_EQ(-EPIPE, aop_asked(self->o));
	EXPECT_EQ(-EPIPE, aop_wait_asked(self->o, AOP_FOREVER));
	ASSERT_EQ(0, aop_attach_id(&late, self->far, id, 0));
	EXPECT_EQ(0, aop_asked(self->o));
	EXPECT_EQ(0, aop_end(self->o, 6));
	EXPECT_EQ(6, aop_result(&late));
}

TEST_F(cancel, C5_detached_goes_on)
{
	struct aop op;
	struct aop_owner *o;

	ASSERT_EQ(0, aop_init_with(&op, self->ctx, AOP_OPTS(.flags = AOP_DETACHED)));
	o = aop_owner(&op);
	ASSERT_EQ(0, aop_start(o));
	EXPECT_EQ(0, aop_drop(&op));
	EXPECT_EQ(0, aop_asked(o));
	EXPECT_EQ(0, aop_done(o, 1));
}

TEST_F(cancel, without_the_right_to)
{
	struct aop look;

	ASSERT_EQ(0, lib_twin(&look, self->far, &self->op, AOP_MAY_LOOK));
	EXPECT_EQ(-EPERM, aop_cancel(&look, 0));
	EXPECT_EQ(0, aop_asked(self->o));
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
	/* A watcher's struct is no owner, whatever one casts. */
	EXPECT_EQ(-EPERM, aop_done((struct aop_owner *)&self->twin, 1));
	EXPECT_EQ(AOP_PENDING, aop_state(&self->op));
}

TEST_HARNESS_MAIN
