// SPDX-License-Identifier: GPL-2.0
/*
 * Broadcasts (S3): each receiver gets each message; a slow one holds the senders back, or
 * loses and is told how many (S13); asking ends on any or on all.
 */
#include "items.h"
#include "lib.h"

#define N	4

FIXTURE(cast) {
	struct aop_stream s;
	struct aop_sender tx;
	struct aop_receiver rx[3];
	struct aop_transfer t[4];
	uint64_t mem[AOP_STREAM_MEM(8, N) / 8] __attribute__((aligned(16)));
	int item[4];
};

FIXTURE_VARIANT(cast) {
	struct aop_ctx *where;
};

FIXTURE_VARIANT_ADD(cast, private_) {
	.where = AOP_PRIVATE,
};

FIXTURE_VARIANT_ADD(cast, local) {
	.where = AOP_LOCAL,
};

FIXTURE_SETUP(cast)
{
}

FIXTURE_TEARDOWN(cast)
{
}

static int begin(struct _test_data_cast *self, struct aop_ctx *where, uint32_t flags)
{
	int ret;

	ret = aop_stream_init(&self->s, where, self->mem, sizeof(self->mem),
			      AOP_STREAM_OPTS(.place = 8, .places = N,
					      .flags = AOP_BROADCAST | flags));
	ret = ret ? ret : aop_sender_init(&self->tx, &self->s, 0);
	ret = ret ? ret : aop_receiver_init(&self->rx[0], &self->s, 0);
	return ret ? ret : aop_receiver_init(&self->rx[1], &self->s, 0);
}

#define BEGIN(flags)	ASSERT_EQ(0, begin(self, variant->where, flags))

TEST_F(cast, S3_each_gets_each_and_the_slow_one_holds_back)
{
	int i, five = 5;
	struct aop *a;

	BEGIN(0);
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	for (i = 0; i < N; i++)
		EXPECT_EQ(i, pop(&self->rx[0]));
	EXPECT_EQ(NOTHING, pop(&self->rx[0]));
	EXPECT_EQ(-EAGAIN, push(&self->tx, 4));
	EXPECT_EQ(0, pop(&self->rx[1]));
	EXPECT_EQ(1, push(&self->tx, 4));
	a = aop_stream_push(&self->tx, &self->t[0], &five, 4);
	EXPECT_FALSE(aop_is_final(a));
	/* S12 does not hold here: one message wakes both. */
	EXPECT_EQ(4, pop(&self->rx[0]));
	aop_stream_pop(&self->rx[0], &self->t[1], &self->item[1], 4);
	EXPECT_EQ(1, pop(&self->rx[1]));
	EXPECT_EQ(1, aop_join(a));
	EXPECT_EQ(1, aop_join(&self->t[1].op));
	EXPECT_EQ(5, self->item[1]);
	for (i = 2; i < 6; i++)
		EXPECT_EQ(i, pop(&self->rx[1]));
	aop_stream_pop(&self->rx[0], &self->t[1], &self->item[1], 4);
	aop_stream_pop(&self->rx[1], &self->t[2], &self->item[2], 4);
	EXPECT_EQ(1, push(&self->tx, 6));
	EXPECT_EQ(1, aop_join(&self->t[1].op));
	EXPECT_EQ(1, aop_join(&self->t[2].op));
	EXPECT_EQ(6, self->item[1]);
	EXPECT_EQ(6, self->item[2]);
}

TEST_F(cast, S3_who_comes_late_and_who_goes)
{
	int i;

	BEGIN(0);
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	ASSERT_EQ(0, aop_receiver_init(&self->rx[2], &self->s, 0));
	EXPECT_EQ(NOTHING, pop(&self->rx[2]));
	for (i = 0; i < N; i++)
		EXPECT_EQ(i, pop(&self->rx[0]));
	EXPECT_EQ(-EAGAIN, push(&self->tx, 4));
	/* It does not hold back any more. */
	aop_receiver_drop(&self->rx[1]);
	EXPECT_EQ(1, push(&self->tx, 4));
	EXPECT_EQ(4, pop(&self->rx[0]));
	EXPECT_EQ(4, pop(&self->rx[2]));
	aop_sender_drop(&self->tx);
	EXPECT_EQ(-EOWNERDEAD - 1000, pop(&self->rx[0]));
	EXPECT_EQ(-EOWNERDEAD - 1000, pop(&self->rx[2]));
	EXPECT_EQ(OVER, pop(&self->rx[0]));
	EXPECT_EQ(OVER, pop(&self->rx[2]));
}

TEST_F(cast, S3_asking_ends_on_any)
{
	struct aop_message m, n;
	struct aop *a;
	int one = 1;

	BEGIN(0);
	a = aop_stream_ask(&self->tx, &self->t[0], &one, 4);
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[0], &m));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[1], &n));
	EXPECT_EQ(0, aop_stream_retire(&self->rx[1], &n, 11));
	EXPECT_EQ(11, aop_join(a));
	EXPECT_EQ(0, aop_stream_retire(&self->rx[0], &m, 10));
	EXPECT_EQ(NOTHING, pop(&self->rx[0]));
}

TEST_F(cast, S3_asking_ends_on_all)
{
	struct aop_message m, n;
	struct aop *a, *b, *c;
	int one = 1;

	BEGIN(AOP_ON_ALL);
	a = aop_stream_ask(&self->tx, &self->t[0], &one, 4);
	b = aop_stream_ask(&self->tx, &self->t[1], &one, 4);
	c = aop_stream_ask(&self->tx, &self->t[2], &one, 4);
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[0], &m));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[1], &n));
	EXPECT_EQ(0, aop_stream_retire(&self->rx[1], &n, 11));
	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(0, aop_stream_retire(&self->rx[0], &m, 10));
	EXPECT_EQ(10, aop_join(a));
	/* An error counts, in either order. */
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[0], &m));
	EXPECT_EQ(0, aop_stream_retire(&self->rx[0], &m, -EDOM));
	EXPECT_EQ(1, pop(&self->rx[1]));
	EXPECT_EQ(-EDOM, aop_join(b));
	/* Who goes does not count. */
	EXPECT_EQ(1, pop(&self->rx[0]));
	EXPECT_FALSE(aop_is_final(c));
	aop_receiver_drop(&self->rx[1]);
	EXPECT_EQ(1, aop_join(c));
	aop_receiver_drop(&self->rx[0]);
	EXPECT_EQ(-EPIPE, push(&self->tx, 1));
}

TEST_F(cast, nobody_receives_any_more)
{
	int one = 1;

	BEGIN(AOP_ON_ALL);
	aop_stream_ask(&self->tx, &self->t[0], &one, 4);
	EXPECT_EQ(1, push(&self->tx, 2));
	aop_receiver_drop(&self->rx[0]);
	EXPECT_FALSE(aop_is_final(&self->t[0].op));
	aop_receiver_drop(&self->rx[1]);
	EXPECT_EQ(-EPIPE, aop_join(&self->t[0].op));
	EXPECT_EQ(-EPIPE, push(&self->tx, 3));
}

TEST_F(cast, messages_are_retired_in_their_order)
{
	struct aop_message m, n;

	BEGIN(0);
	EXPECT_EQ(1, push(&self->tx, 1));
	EXPECT_EQ(1, push(&self->tx, 2));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[0], &m));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[0], &n));
	EXPECT_EQ(-EINVAL, aop_stream_retire(&self->rx[0], &n, 0));
	EXPECT_EQ(0, aop_stream_retire(&self->rx[0], &m, 0));
	EXPECT_EQ(0, aop_stream_retire(&self->rx[0], &n, 0));
}

/* Places that were given back are passed over, by each. */
TEST_F(cast, S2_what_was_given_back_is_passed_over)
{
	struct aop_message m[3], out;
	int round, i;

	BEGIN(0);
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 3; i++) {
			ASSERT_EQ(0, aop_stream_acquire(&self->tx, 4, &m[i]));
			*(int *)m[i].data = i;
		}
		EXPECT_EQ(0, aop_stream_discard(&self->tx, &m[round % 3]));
		for (i = 0; i < 3; i++)
			if (i != round % 3)
				EXPECT_EQ(0, aop_stream_send(&self->tx, &m[i]));
		ASSERT_EQ(1, aop_stream_try_receive(&self->rx[0], &out));
		for (i = 0; i < 3; i++)
			if (i != round % 3)
				EXPECT_EQ(i, pop(&self->rx[1]));
		EXPECT_EQ(NOTHING, pop(&self->rx[1]));
		EXPECT_EQ(0, aop_stream_retire(&self->rx[0], &out, 0));
		EXPECT_LE(0, pop(&self->rx[0]));
		EXPECT_EQ(NOTHING, pop(&self->rx[0]));
	}
}

TEST_F(cast, S13_a_slow_reader_loses_and_is_told_how_many)
{
	struct aop_message m;
	int i;

	BEGIN(AOP_LOSSY);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(i, pop(&self->rx[0]));
	for (; i < 10; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[0], &m));
	EXPECT_EQ(6, *(int *)m.data);
	EXPECT_EQ(3, m.lost);
	EXPECT_EQ(0, aop_stream_retire(&self->rx[0], &m, 0));
	ASSERT_EQ(1, aop_join(aop_stream_receive(&self->rx[0], &self->t[0], &m)));
	EXPECT_EQ(7, *(int *)m.data);
	EXPECT_EQ(0, m.lost);
	EXPECT_EQ(0, aop_stream_retire(&self->rx[0], &m, 0));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[1], &m));
	EXPECT_EQ(6, *(int *)m.data);
	EXPECT_EQ(6, m.lost);
	EXPECT_EQ(0, aop_stream_lost(&self->s));
}

TEST_F(cast, S13_what_is_looked_at_is_not_lost)
{
	struct aop_message m;
	int i;

	BEGIN(AOP_LOSSY);
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[0], &m));
	EXPECT_EQ(-EAGAIN, push(&self->tx, N));
	aop_stream_push(&self->tx, &self->t[0], &i, 4);
	EXPECT_FALSE(aop_is_final(&self->t[0].op));
	EXPECT_EQ(0, *(int *)m.data);
	EXPECT_EQ(0, aop_stream_retire(&self->rx[0], &m, 0));
	EXPECT_EQ(1, aop_join(&self->t[0].op));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[1], &m));
	EXPECT_EQ(1, *(int *)m.data);
	EXPECT_EQ(1, m.lost);
}

/* With nobody who receives yet the oldest are lost. */
TEST_F(cast, S13_nobody_receives_yet)
{
	struct aop_message m;
	int i;

	ASSERT_EQ(0, aop_stream_init(&self->s, variant->where, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = 8, .places = N,
						     .flags = AOP_BROADCAST | AOP_LOSSY)));
	ASSERT_EQ(0, aop_sender_init(&self->tx, &self->s, 0));
	for (i = 0; i < 10; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	ASSERT_EQ(0, aop_receiver_init(&self->rx[0], &self->s, 0));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx[0], &m));
	EXPECT_EQ(6, *(int *)m.data);
}

TEST_HARNESS_MAIN
