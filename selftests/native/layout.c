// SPDX-License-Identifier: GPL-2.0
/*
 * What programs that were compiled before must find where it was: the words that
 * <aop/inline.h> and the inline functions of <aop.h> read and write, the sizes of what the
 * caller allocates, and the status, which both halves and processes of both sizes share.
 * Built for 64 and for 32 bit.
 */
#include "lib.h"

#define P	sizeof(void *)

TEST(op)
{
	EXPECT_EQ(128, sizeof(struct aop));
	EXPECT_EQ(0, offsetof(struct aop, st));
	EXPECT_EQ(P, offsetof(struct aop, scope_));
	EXPECT_EQ(2 * P, offsetof(struct aop, sides_));
	EXPECT_EQ(2 * P + 4, offsetof(struct aop, bits_));
	EXPECT_EQ(2 * P + 8, offsetof(struct aop, release_));
	EXPECT_EQ(3 * P + 8, offsetof(struct aop, watches_));
	EXPECT_EQ(64, offsetof(struct aop, own));
}

TEST(watch)
{
	EXPECT_EQ(0, offsetof(struct aop_watch, op));
	EXPECT_EQ(P, offsetof(struct aop_watch, data));
	EXPECT_EQ(2 * P, offsetof(struct aop_watch, fn));
	EXPECT_EQ(3 * P, offsetof(struct aop_watch, exec_));
	EXPECT_EQ(4 * P, offsetof(struct aop_watch, home_));
	EXPECT_EQ(5 * P, offsetof(struct aop_watch, next_));
	EXPECT_EQ(6 * P, offsetof(struct aop_watch, queue_));
	EXPECT_EQ(7 * P, offsetof(struct aop_watch, seq_));
	EXPECT_EQ(7 * P + 4, offsetof(struct aop_watch, kind_));
	EXPECT_EQ(7 * P + 5, offsetof(struct aop_watch, attached_));
	EXPECT_EQ(7 * P + 6, offsetof(struct aop_watch, queued_));
	EXPECT_EQ(7 * P + 8, sizeof(struct aop_watch));
}

TEST(status)
{
	EXPECT_EQ(64, sizeof(struct aop_status));
	EXPECT_EQ(0, offsetof(struct aop_status, seq));
	EXPECT_EQ(4, offsetof(struct aop_status, gen));
	EXPECT_EQ(8, offsetof(struct aop_status, word));
	EXPECT_EQ(12, offsetof(struct aop_status, reason));
	EXPECT_EQ(16, offsetof(struct aop_status, result));
	EXPECT_EQ(24, offsetof(struct aop_status, done));
	EXPECT_EQ(32, offsetof(struct aop_status, total));
	EXPECT_EQ(40, offsetof(struct aop_status, time));
	EXPECT_EQ(48, offsetof(struct aop_status, data));
	EXPECT_EQ(56, offsetof(struct aop_status, id));
}

/* What is written in place is what the function writes. */
TEST(written_in_place)
{
	struct aop op;
	struct seen s = { 0 };

	memset(&op, 0xee, sizeof(op));
	ASSERT_EQ(0, aop_init(&op, AOP_PRIVATE));
	EXPECT_EQ(&op.own, op.st);
	EXPECT_EQ(AOP_PENDING, aop_state(&op));
	ASSERT_EQ(0, aop_watch(&op, &s.w, see, NULL, AOP_INLINE));
	EXPECT_EQ(&s.w, op.watches_);
	EXPECT_EQ(&op, s.w.op);
	EXPECT_EQ(0, aop_done(aop_owner(&op), INT64_C(0x123456789a)));
	EXPECT_EQ(INT64_C(0x123456789a), s.last.result);
	EXPECT_EQ(1, s.finals);
	EXPECT_EQ(INT64_C(0x123456789a), aop_join(&op));
}

TEST_HARNESS_MAIN
