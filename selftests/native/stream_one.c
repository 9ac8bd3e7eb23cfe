// SPDX-License-Identifier: GPL-2.0
/*
 * Streams of one process, by one thread: order and bounds (S1), places (S2), answers (S4),
 * who asks for more (S5, S6), and all the ways to come to an end (S7 to S10, S12).  The
 * same in private and in local scope; stream_cast.c has broadcasts, stream_race.c threads.
 */
#include "items.h"
#include "lib.h"

#define N	4

FIXTURE(stream) {
	struct aop_stream s;
	struct aop_sender tx;
	struct aop_receiver rx;
	struct aop_transfer t[4];
	uint64_t mem[AOP_STREAM_MEM(8, N) / 8] __attribute__((aligned(16)));
	int more, item[4];
	bool ends;
};

FIXTURE_VARIANT(stream) {
	struct aop_ctx *where;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(stream, private_) {
	.where = AOP_PRIVATE,
};

FIXTURE_VARIANT_ADD(stream, local) {
	.where = AOP_LOCAL,
};

FIXTURE_VARIANT_ADD(stream, local_many) {
	.where = AOP_LOCAL,
	.flags = AOP_MANY_SENDERS | AOP_MANY_RECEIVERS,
};

FIXTURE_SETUP(stream)
{
	ASSERT_EQ(0, aop_stream_init(&self->s, variant->where, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = 8, .places = N,
						     .flags = variant->flags)));
	ASSERT_EQ(0, aop_sender_init(&self->tx, &self->s, 0));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->s, 0));
}

FIXTURE_TEARDOWN(stream)
{
}

/* S15: who pushes never waits: what finds no room is refused at once, and counted. */
TEST_F(stream, S1_first_in_first_out_and_bounded)
{
	int i, round;

	for (round = 0; round < 3; round++) {
		EXPECT_EQ(NOTHING, pop(&self->rx));
		for (i = 0; i < N; i++)
			EXPECT_EQ(1, push(&self->tx, i));
		EXPECT_EQ(-EAGAIN, push(&self->tx, i));
		for (i = 0; i < N; i++)
			EXPECT_EQ(i, pop(&self->rx));
		EXPECT_EQ(1, push(&self->tx, 77));
		EXPECT_EQ(77, pop(&self->rx));
	}
	EXPECT_EQ(3, aop_stream_lost(&self->s));
}

TEST_F(stream, S1_F14_a_push_waits_in_its_turn)
{
	int five = 5, six = 6, i;
	struct aop *a, *b;

	for (i = 0; i < N; i++)
		EXPECT_EQ(1, aop_join(aop_stream_push(&self->tx, &self->t[0], &i, 4)));
	a = aop_stream_push(&self->tx, &self->t[0], &five, 4);
	b = aop_stream_push(&self->tx, &self->t[1], &six, 4);
	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(0, pop(&self->rx));
	EXPECT_EQ(1, aop_join(a));
	EXPECT_FALSE(aop_is_final(b));
	/* Nobody overtakes b. */
	EXPECT_EQ(-EAGAIN, push(&self->tx, 99));
	for (i = 1; i < N; i++)
		EXPECT_EQ(i, pop(&self->rx));
	EXPECT_EQ(1, aop_join(b));
	EXPECT_EQ(5, pop(&self->rx));
	EXPECT_EQ(6, pop(&self->rx));
	EXPECT_EQ(NOTHING, pop(&self->rx));
}

TEST_F(stream, S1_a_push_waits_for_a_time)
{
	struct aop_within within;
	struct aop_loop *loop;
	int i, five = 5;
	struct aop *op;

	ASSERT_EQ(0, aop_loop_open(&loop, NULL));
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	op = aop_stream_push(&self->tx, &self->t[0], &five, 4);
	op = aop_within(loop, &within, AOP_MS(1), op);
	EXPECT_EQ(-ETIMEDOUT, aop_loop_get(loop, op));
	EXPECT_EQ(-ETIMEDOUT, aop_result(&self->t[0].op));
	for (i = 0; i < N; i++)
		EXPECT_EQ(i, pop(&self->rx));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	aop_loop_close(loop);
}

TEST_F(stream, S12_F14_one_message_wakes_one_of_two_readers)
{
	struct aop *a = aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4);
	struct aop *b = aop_stream_pop(&self->rx, &self->t[1], &self->item[1], 4);

	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	EXPECT_EQ(1, push(&self->tx, 5));
	EXPECT_EQ(1, aop_join(a));
	EXPECT_EQ(5, self->item[0]);
	EXPECT_FALSE(aop_is_final(b));
	EXPECT_EQ(1, push(&self->tx, 6));
	EXPECT_EQ(1, aop_join(b));
	EXPECT_EQ(6, self->item[1]);
}

TEST_F(stream, S5_the_value_comes_before_or_after_who_waits)
{
	EXPECT_EQ(1, push(&self->tx, 1));
	EXPECT_EQ(1, aop_join(aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4)));
	EXPECT_EQ(1, self->item[0]);
	aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4);
	EXPECT_EQ(1, push(&self->tx, 2));
	EXPECT_EQ(1, aop_join(&self->t[0].op));
	EXPECT_EQ(2, self->item[0]);
}

TEST_F(stream, F15_cancelled_and_dropped_waits_leave_no_trace)
{
	int five = 5, six = 6, i;

	aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4);
	aop_stream_pop(&self->rx, &self->t[1], &self->item[1], 4);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->t[0].op, -EINTR));
	EXPECT_EQ(-EINTR, aop_join(&self->t[0].op));
	aop_drop(&self->t[1].op);
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	aop_stream_push(&self->tx, &self->t[0], &five, 4);
	aop_stream_push(&self->tx, &self->t[1], &six, 4);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->t[0].op, -EINTR));
	EXPECT_EQ(-EINTR, aop_join(&self->t[0].op));
	for (i = 0; i < N; i++)
		EXPECT_EQ(i, pop(&self->rx));
	EXPECT_EQ(6, pop(&self->rx));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	EXPECT_EQ(1, aop_join(&self->t[1].op));
}

TEST_F(stream, S2_what_is_acquired_is_invisible_and_cannot_fail)
{
	struct aop_message a, b, bad;

	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 4, &a));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 4, &b));
	EXPECT_EQ(1, push(&self->tx, 3));
	*(int *)b.data = 2;
	EXPECT_EQ(0, aop_stream_send(&self->tx, &b));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	EXPECT_EQ(0, aop_sender_end(&self->tx));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	*(int *)a.data = 1;
	bad = a;
	EXPECT_EQ(0, aop_stream_send(&self->tx, &a));
	EXPECT_EQ(-EINVAL, aop_stream_send(&self->tx, &a));
	EXPECT_EQ(-EINVAL, aop_stream_send(&self->tx, &bad));
	EXPECT_EQ(-EINVAL, aop_stream_discard(&self->tx, &bad));
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(2, pop(&self->rx));
	EXPECT_EQ(3, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
}

/* Whichever is given back first, nobody sees it, and there is room again. */
TEST_F(stream, S2_what_is_acquired_can_be_given_back)
{
	struct aop_message m[N], one;
	int i, order;

	for (order = 0; order < 2; order++) {
		for (i = 0; i < N; i++)
			ASSERT_EQ(0, aop_stream_acquire(&self->tx, 4, &m[i]));
		EXPECT_EQ(-EAGAIN, aop_stream_acquire(&self->tx, 4, &one));
		for (i = 0; i < N; i++)
			EXPECT_EQ(0, aop_stream_discard(&self->tx, &m[order ? N - 1 - i : i]));
		EXPECT_EQ(NOTHING, pop(&self->rx));
		for (i = 0; i < N; i++)
			EXPECT_EQ(1, push(&self->tx, i));
		for (i = 0; i < N; i++)
			EXPECT_EQ(i, pop(&self->rx));
	}
}

TEST_F(stream, S2_waits_for_a_place)
{
	struct aop_message m;
	struct aop *a, *b;
	int i;

	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	a = aop_stream_place(&self->tx, &self->t[0], 4, &m);
	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(0, pop(&self->rx));
	EXPECT_EQ(1, aop_join(a));
	/* One who waits behind it gets it when it is given back. */
	b = aop_stream_push(&self->tx, &self->t[1], &i, 4);
	EXPECT_FALSE(aop_is_final(b));
	EXPECT_EQ(0, aop_stream_discard(&self->tx, &m));
	EXPECT_EQ(1, aop_join(b));
	for (i = 1; i < N; i++)
		EXPECT_EQ(i, pop(&self->rx));
	EXPECT_EQ(N, pop(&self->rx));
}

TEST_F(stream, S4_asking_ends_when_the_message_is_retired)
{
	struct aop_message m, n;
	int one = 1, two = 2;
	struct aop *a, *b;

	a = aop_stream_ask(&self->tx, &self->t[0], &one, 4);
	b = aop_stream_ask(&self->tx, &self->t[1], &two, 4);
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx, &m));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx, &n));
	EXPECT_EQ(1, *(int *)m.data);
	EXPECT_EQ(sizeof(int), m.len);
	EXPECT_FALSE(aop_is_final(a));
	/* In any order. */
	EXPECT_EQ(0, aop_stream_retire(&self->rx, &n, -ENOENT));
	EXPECT_EQ(-EINVAL, aop_stream_retire(&self->rx, &n, 0));
	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(-ENOENT, aop_join(b));
	EXPECT_EQ(-EINVAL, aop_stream_retire(&self->rx, &m, INT64_MIN));
	EXPECT_EQ(0, aop_stream_retire(&self->rx, &m, INT64_MAX));
	EXPECT_EQ(INT64_MAX, aop_join(a));
}

TEST_F(stream, S4_who_asks_waits_for_a_place_and_may_give_up)
{
	int i, ask = 9;
	struct aop *a;

	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	a = aop_stream_ask(&self->tx, &self->t[0], &ask, 4);
	EXPECT_EQ(0, pop(&self->rx));
	EXPECT_FALSE(aop_is_final(a));
	/* It is in the stream: it arrives, but who asked does not wait. */
	EXPECT_EQ(AOP_ASKED, aop_cancel(a, -EINTR));
	EXPECT_EQ(-EINTR, aop_join(a));
	memset(&self->t[0], 0xff, sizeof(self->t[0]));
	for (i = 1; i < N; i++)
		EXPECT_EQ(i, pop(&self->rx));
	EXPECT_EQ(9, pop(&self->rx));

	/* It is not: it does not. */
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	a = aop_stream_ask(&self->tx, &self->t[0], &ask, 4);
	EXPECT_EQ(AOP_ASKED, aop_cancel(a, -EINTR));
	EXPECT_EQ(-EINTR, aop_join(a));
	for (i = 0; i < N; i++)
		EXPECT_EQ(i, pop(&self->rx));
	EXPECT_EQ(NOTHING, pop(&self->rx));
}

TEST_F(stream, S7_the_end_comes_after_every_message)
{
	struct aop *a;

	EXPECT_EQ(1, push(&self->tx, 1));
	EXPECT_EQ(1, push(&self->tx, 2));
	EXPECT_EQ(0, aop_sender_end(&self->tx));
	EXPECT_EQ(-EALREADY, aop_sender_end(&self->tx));
	EXPECT_EQ(-EPIPE, push(&self->tx, 3));
	EXPECT_EQ(-EPIPE, aop_join(aop_stream_ask(&self->tx, &self->t[0], &self->more, 4)));
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(1, aop_join(aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4)));
	EXPECT_EQ(2, self->item[0]);
	a = aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4);
	EXPECT_EQ(AOP_DONE, aop_state(a));
	EXPECT_EQ(0, aop_join(a));
	/* S8: whatever comes after it */
	aop_sender_drop(&self->tx);
	EXPECT_EQ(OVER, pop(&self->rx));
}

/* S12: a stream without a message works, and its end wakes all who wait. */
TEST_F(stream, S7_the_end_wakes_who_waits)
{
	struct aop *a = aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4);
	struct aop *b = aop_stream_pop(&self->rx, &self->t[1], &self->item[1], 4);

	EXPECT_EQ(0, aop_sender_end(&self->tx));
	EXPECT_EQ(0, aop_join(a));
	EXPECT_EQ(0, aop_join(b));
}

TEST_F(stream, S7_the_end_refuses_who_waits_to_send)
{
	int i;

	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	aop_stream_push(&self->tx, &self->t[0], &i, 4);
	EXPECT_EQ(0, aop_sender_end(&self->tx));
	EXPECT_EQ(-EPIPE, aop_join(&self->t[0].op));
	for (i = 0; i < N; i++)
		EXPECT_EQ(i, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
}

TEST_F(stream, S8_a_lost_producer_is_an_error_and_then_the_end)
{
	struct aop_sender other;

	ASSERT_EQ(0, aop_sender_clone(&other, &self->tx));
	EXPECT_EQ(1, push(&self->tx, 1));
	EXPECT_EQ(1, push(&other, 2));
	aop_sender_drop(&self->tx);
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(1, push(&other, 3));
	aop_sender_drop(&other);
	EXPECT_EQ(2, pop(&self->rx));
	EXPECT_EQ(3, pop(&self->rx));
	EXPECT_EQ(-EOWNERDEAD - 1000, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
}

TEST_F(stream, S8_who_waits_is_told_of_a_lost_producer)
{
	struct aop *a = aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4);

	aop_sender_drop(&self->tx);
	EXPECT_EQ(AOP_FAILED, aop_state(a));
	EXPECT_EQ(-EOWNERDEAD, aop_join(a));
	EXPECT_EQ(0, aop_join(aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4)));
}

TEST_F(stream, S8_places_that_a_lost_producer_had_acquired_are_given_up)
{
	struct aop_message m;

	EXPECT_EQ(1, push(&self->tx, 1));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m));
	EXPECT_EQ(1, push(&self->tx, 2));
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	aop_sender_drop(&self->tx);
	EXPECT_EQ(2, pop(&self->rx));
	EXPECT_EQ(-EOWNERDEAD - 1000, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
}

static int64_t read_on(struct aop_task *t);

struct reader {
	struct aop_task task;
	struct aop_transfer t;
	struct aop_receiver *rx;
	int item, polls, cleanups;
};

static int64_t read_on(struct aop_task *t)
{
	struct reader *r = aop_container(t, struct reader, task);
	int64_t ret;

	AOP_BEGIN(t);
	for (;;) {
		AOP_AWAIT(ret, aop_stream_pop(r->rx, &r->t, &r->item, 4));
		r->polls++;
		if (ret <= 0)
			return ret;
	}
	AOP_END(0);
}

static int64_t clean_up(struct aop_task *t)
{
	aop_container(t, struct reader, task)->cleanups++;
	return 0;
}

/* S8, F1: the task that reads is cancelled, and cleans up. */
TEST_F(stream, S8_a_task_goes_with_the_producer)
{
	struct reader r = { .rx = &self->rx };
	struct aop_loop *loop;

	ASSERT_EQ(0, aop_loop_open(&loop, NULL));
	aop_spawn(loop, &r.task, read_on, clean_up, 0);
	EXPECT_EQ(0, aop_receiver_bind(&self->rx, &r.task.op));
	EXPECT_EQ(1, push(&self->tx, 1));
	EXPECT_LE(0, aop_loop_run(loop, AOP_RUN_READY));
	EXPECT_EQ(1, r.polls);
	aop_sender_drop(&self->tx);
	EXPECT_EQ(AOP_F_ASKED, aop_status(&r.task.op).flags & AOP_F_ASKED);
	EXPECT_EQ(-EOWNERDEAD, aop_loop_get(loop, &r.task.op));
	EXPECT_EQ(1, r.cleanups);
	EXPECT_EQ(-EALREADY, aop_receiver_bind(&self->rx, &r.task.op));
	EXPECT_EQ(0, aop_receiver_bind(&self->rx, NULL));
	aop_loop_close(loop);
}

TEST_F(stream, S8_a_clean_end_takes_nothing_with_it)
{
	struct aop op;

	ASSERT_EQ(0, aop_init(&op, variant->where));
	EXPECT_EQ(0, aop_receiver_bind(&self->rx, &op));
	EXPECT_EQ(0, aop_sender_end(&self->tx));
	aop_sender_drop(&self->tx);
	EXPECT_EQ(AOP_PENDING, aop_state(&op));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 0));
}

TEST_F(stream, a_lost_consumer_ends_what_is_sent)
{
	struct aop_message m;
	int i = 0;

	aop_stream_ask(&self->tx, &self->t[0], &i, 4);
	EXPECT_EQ(1, push(&self->tx, 2));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 4, &m));
	EXPECT_EQ(1, push(&self->tx, 3));
	aop_stream_push(&self->tx, &self->t[1], &i, 4);
	EXPECT_FALSE(aop_is_final(&self->t[1].op));
	aop_receiver_drop(&self->rx);
	EXPECT_EQ(-EPIPE, aop_join(&self->t[0].op));
	EXPECT_EQ(-EPIPE, aop_join(&self->t[1].op));
	EXPECT_EQ(-EPIPE, push(&self->tx, 4));
	EXPECT_EQ(0, aop_stream_send(&self->tx, &m));
	EXPECT_EQ(-EPIPE, aop_join(aop_stream_ask(&self->tx, &self->t[0], &i, 4)));
	aop_sender_drop(&self->tx);
}

TEST_F(stream, S10_a_one_shot_writer_sends_once)
{
	struct aop_sender tx;

	EXPECT_EQ(-EBUSY, aop_sender_init(&tx, &self->s, AOP_ONE_SHOT));
	ASSERT_EQ(0, aop_stream_init(&self->s, variant->where, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = 8, .places = N)));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->s, 0));
	ASSERT_EQ(0, aop_sender_init(&self->tx, &self->s, AOP_ONE_SHOT));
	EXPECT_EQ(-EINVAL, aop_sender_clone(&tx, &self->tx));
	EXPECT_EQ(1, push(&self->tx, 1));
	EXPECT_EQ(-EPIPE, push(&self->tx, 2));
	EXPECT_EQ(-EPIPE, aop_join(aop_stream_ask(&self->tx, &self->t[0], &self->more, 4)));
	aop_sender_drop(&self->tx);
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
}

TEST_F(stream, S10_a_one_shot_writer_that_asks)
{
	ASSERT_EQ(0, aop_stream_init(&self->s, variant->where, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = 8, .places = N)));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->s, 0));
	ASSERT_EQ(0, aop_sender_init(&self->tx, &self->s, AOP_ONE_SHOT));
	aop_stream_pop(&self->rx, &self->t[1], &self->item[1], 4);
	aop_stream_pop(&self->rx, &self->t[2], &self->item[2], 4);
	EXPECT_EQ(1, aop_join(aop_stream_ask(&self->tx, &self->t[0], &self->more, 4)));
	EXPECT_EQ(1, aop_join(&self->t[1].op));
	EXPECT_EQ(0, aop_join(&self->t[2].op));
	EXPECT_EQ(-EPIPE, push(&self->tx, 2));
}

/* ... whose place was given back may still send. */
TEST_F(stream, S10_a_one_shot_writer_dropped_unused_is_an_error)
{
	struct aop_message m;

	ASSERT_EQ(0, aop_stream_init(&self->s, variant->where, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = 8, .places = N)));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->s, 0));
	ASSERT_EQ(0, aop_sender_init(&self->tx, &self->s, AOP_ONE_SHOT | AOP_DROP_ENDS));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 4, &m));
	EXPECT_EQ(-EPIPE, push(&self->tx, 1));
	EXPECT_EQ(0, aop_stream_discard(&self->tx, &m));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 4, &m));
	aop_sender_drop(&self->tx);
	EXPECT_EQ(-EOWNERDEAD - 1000, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
}

TEST_F(stream, S10_a_multi_writer_that_is_dropped_is_a_clean_end)
{
	struct aop_sender a, b;

	ASSERT_EQ(0, aop_stream_init(&self->s, variant->where, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = 8, .places = N)));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->s, 0));
	ASSERT_EQ(0, aop_sender_init(&a, &self->s, AOP_DROP_ENDS));
	/* S9: clonable, in order */
	ASSERT_EQ(0, aop_sender_clone(&b, &a));
	EXPECT_EQ(1, push(&b, 1));
	EXPECT_EQ(1, push(&a, 2));
	aop_sender_drop(&a);
	EXPECT_EQ(1, push(&b, 3));
	aop_sender_drop(&b);
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(2, pop(&self->rx));
	EXPECT_EQ(3, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
}

TEST_F(stream, S10_both_can_close_with_an_error)
{
	struct aop_receiver other;

	ASSERT_EQ(0, aop_receiver_init(&other, &self->s, 0));
	EXPECT_EQ(-EINVAL, aop_sender_fail(&self->tx, 1));
	EXPECT_EQ(-EINVAL, aop_sender_fail(&self->tx, -4096));
	EXPECT_EQ(1, push(&self->tx, 1));
	EXPECT_EQ(0, aop_sender_fail(&self->tx, -EDOM));
	EXPECT_EQ(-EALREADY, aop_sender_fail(&self->tx, -EIO));
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(-EDOM - 1000, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	EXPECT_EQ(-EDOM - 1000, pop(&other));
	EXPECT_EQ(OVER, pop(&other));
}

/* ---- more ------------------------------------------------------------------------- */

struct pipe {
	struct aop_sender tx;
	int calls, next, batch, stop;
};

static void more(struct aop_stream *s, void *data)
{
	struct pipe *p = data;
	int i;

	(void)s;
	p->calls++;
	for (i = 0; i < p->batch && p->next < p->stop; i++)
		push(&p->tx, p->next++);
	if (p->next == p->stop)
		aop_sender_end(&p->tx);
}

/* One place, one message in memory: made when it is asked for, and once. */
TEST_F(stream, S6_pull_one_by_one)
{
	struct pipe p = { .batch = 1, .stop = 5 };
	int i;

	ASSERT_EQ(0, aop_stream_init(&self->s, variant->where, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = 8, .places = 1, .more = more,
						     .data = &p, .flags = variant->flags)));
	ASSERT_EQ(0, aop_sender_init(&p.tx, &self->s, 0));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->s, 0));
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(i, p.calls);
		EXPECT_EQ(NOTHING, pop(&self->rx));
		EXPECT_EQ(1, aop_join(aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4)));
		EXPECT_EQ(i, self->item[0]);
	}
	EXPECT_EQ(0, aop_join(aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4)));
	EXPECT_EQ(5, p.calls);
}

TEST_F(stream, S6_pull_in_batches)
{
	struct pipe p = { .batch = 3, .stop = 7 };
	int i;

	ASSERT_EQ(0, aop_stream_init(&self->s, variant->where, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = 8, .places = N, .more = more,
						     .data = &p, .flags = variant->flags)));
	ASSERT_EQ(0, aop_sender_init(&p.tx, &self->s, 0));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->s, 0));
	for (i = 0; i < 7; i++) {
		EXPECT_EQ(1, aop_join(aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4)));
		EXPECT_EQ(i, self->item[0]);
		EXPECT_EQ(i / 3 + 1, p.calls);
	}
	EXPECT_EQ(OVER, pop(&self->rx));
}

/* S5: who answers later was asked once, at the first poll. */
TEST_F(stream, S5_the_request_is_sent_once)
{
	struct pipe p = { .batch = 0, .stop = 7 };
	struct aop *a;

	ASSERT_EQ(0, aop_stream_init(&self->s, variant->where, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = 8, .places = N, .more = more,
						     .data = &p, .flags = variant->flags)));
	ASSERT_EQ(0, aop_sender_init(&p.tx, &self->s, 0));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->s, 0));
	EXPECT_EQ(0, p.calls);
	a = aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4);
	EXPECT_EQ(1, p.calls);
	EXPECT_EQ(-ETIME, aop_wait(a, 0));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	EXPECT_EQ(1, p.calls);
	EXPECT_EQ(1, push(&p.tx, 4));
	EXPECT_EQ(1, aop_join(a));
	EXPECT_EQ(1, p.calls);
}

TEST_HARNESS_MAIN
