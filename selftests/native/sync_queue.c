// SPDX-License-Identifier: GPL-2.0
/*
 * The bounded queue (F14): a push pends when it is full, a pop when it is empty; and what
 * a stream needs of it (S1, S2, S7, S12).  The same in private and in local scope.
 */
#include "lib.h"

#define N	4

FIXTURE(queue) {
	struct aop_queue q;
	int mem[N];
	struct aop_waiter w[4];
	int item[4];
};

FIXTURE_VARIANT(queue) {
	struct aop_ctx *where;
};

FIXTURE_VARIANT_ADD(queue, private_) {
	.where = AOP_PRIVATE,
};

FIXTURE_VARIANT_ADD(queue, local) {
	.where = AOP_LOCAL,
};

FIXTURE_SETUP(queue)
{
	ASSERT_EQ(0, aop_queue_init(&self->q, variant->where, self->mem, sizeof(int), N));
}

FIXTURE_TEARDOWN(queue)
{
}

static int push(struct aop_queue *q, int i)
{
	return aop_queue_try_push(q, &i);
}

/* The next item, or what try_pop says minus 100. */
static int pop(struct aop_queue *q)
{
	int i, ret = aop_queue_try_pop(q, &i);

	return ret == 1 ? i : ret - 100;
}

TEST_F(queue, S1_first_in_first_out_and_bounded)
{
	int i, round;

	for (round = 0; round < 3; round++) {
		EXPECT_EQ(-EAGAIN - 100, pop(&self->q));
		for (i = 0; i < N; i++)
			EXPECT_EQ(1, push(&self->q, i));
		EXPECT_EQ(-EAGAIN, push(&self->q, i));
		EXPECT_EQ(N, aop_queue_count(&self->q));
		for (i = 0; i < N; i++)
			EXPECT_EQ(i, pop(&self->q));
		/* So that the places wrap. */
		EXPECT_EQ(1, push(&self->q, 77));
		EXPECT_EQ(77, pop(&self->q));
	}
	EXPECT_EQ(3, aop_queue_lost(&self->q));
}

TEST_F(queue, F14_a_pop_pends_when_it_is_empty)
{
	struct aop *a = aop_queue_pop(&self->q, &self->w[0], &self->item[0]);
	struct aop *b = aop_queue_pop(&self->q, &self->w[1], &self->item[1]);

	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(-EAGAIN - 100, pop(&self->q));
	EXPECT_EQ(1, push(&self->q, 5));
	/* S12: one item wakes one */
	EXPECT_EQ(1, aop_result(a));
	EXPECT_TRUE(aop_is_over(a));
	EXPECT_EQ(5, self->item[0]);
	EXPECT_FALSE(aop_is_final(b));
	EXPECT_EQ(1, push(&self->q, 6));
	EXPECT_EQ(1, aop_join(b));
	EXPECT_EQ(6, self->item[1]);
	EXPECT_EQ(1, aop_join(a));
	EXPECT_EQ(1, push(&self->q, 7));
	EXPECT_EQ(1, aop_join(aop_queue_pop(&self->q, &self->w[0], &self->item[0])));
	EXPECT_EQ(7, self->item[0]);
	EXPECT_EQ(0, aop_queue_lost(&self->q));
}

TEST_F(queue, F14_a_push_pends_when_it_is_full)
{
	int five = 5, six = 6, i;
	struct aop *a, *b;

	for (i = 0; i < N; i++)
		EXPECT_EQ(1, aop_join(aop_queue_push(&self->q, &self->w[0], &i)));
	a = aop_queue_push(&self->q, &self->w[0], &five);
	b = aop_queue_push(&self->q, &self->w[1], &six);
	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(0, pop(&self->q));
	EXPECT_EQ(1, aop_join(a));
	EXPECT_FALSE(aop_is_final(b));
	/* Nobody overtakes b. */
	EXPECT_EQ(-EAGAIN, push(&self->q, 99));
	EXPECT_EQ(1, pop(&self->q));
	EXPECT_EQ(1, aop_join(b));
	EXPECT_EQ(2, pop(&self->q));
	EXPECT_EQ(3, pop(&self->q));
	EXPECT_EQ(5, pop(&self->q));
	EXPECT_EQ(6, pop(&self->q));
}

TEST_F(queue, F15_cancelled_and_dropped_waits_leave_no_trace)
{
	int five = 5, six = 6, i;

	aop_queue_pop(&self->q, &self->w[0], &self->item[0]);
	aop_queue_pop(&self->q, &self->w[1], &self->item[1]);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->w[0].op, -EINTR));
	EXPECT_EQ(-EINTR, aop_join(&self->w[0].op));
	aop_drop(&self->w[1].op);
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->q, i));
	aop_queue_push(&self->q, &self->w[0], &five);
	aop_queue_push(&self->q, &self->w[1], &six);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->w[0].op, -EINTR));
	EXPECT_EQ(-EINTR, aop_join(&self->w[0].op));
	for (i = 0; i < N; i++)
		EXPECT_EQ(i, pop(&self->q));
	EXPECT_EQ(6, pop(&self->q));
	EXPECT_EQ(-EAGAIN - 100, pop(&self->q));
	EXPECT_EQ(1, aop_join(&self->w[1].op));
}

TEST_F(queue, S2_reserved_places_are_invisible_and_cannot_fail)
{
	int *a = aop_queue_reserve(&self->q), *b = aop_queue_reserve(&self->q);

	ASSERT_TRUE(a && b && a != b);
	EXPECT_EQ(1, push(&self->q, 3));
	EXPECT_EQ(0, aop_queue_count(&self->q));
	*b = 2;
	EXPECT_EQ(0, aop_queue_commit(&self->q, b));
	EXPECT_EQ(-EINVAL, aop_queue_commit(&self->q, b));
	EXPECT_EQ(-EAGAIN - 100, pop(&self->q));
	/* In the order of their reservation. */
	*a = 1;
	EXPECT_EQ(0, aop_queue_commit(&self->q, a));
	EXPECT_EQ(3, aop_queue_count(&self->q));
	EXPECT_EQ(1, pop(&self->q));
	EXPECT_EQ(2, pop(&self->q));
	EXPECT_EQ(3, pop(&self->q));
	EXPECT_EQ(-EINVAL, aop_queue_commit(&self->q, a));
	EXPECT_EQ(-EINVAL, aop_queue_commit(&self->q, NULL));
	EXPECT_EQ(-EINVAL, aop_queue_commit(&self->q, (char *)a + 1));
	EXPECT_EQ(-EINVAL, aop_queue_commit(&self->q, self->mem + N));
}

TEST_F(queue, both_lines_wait_while_all_places_are_open)
{
	int *p[N], five = 5, i;

	for (i = 0; i < N; i++)
		p[i] = aop_queue_reserve(&self->q);
	EXPECT_EQ(NULL, aop_queue_reserve(&self->q));
	EXPECT_EQ(1, aop_queue_lost(&self->q));
	aop_queue_pop(&self->q, &self->w[0], &self->item[0]);
	aop_queue_push(&self->q, &self->w[1], &five);
	aop_queue_pop(&self->q, &self->w[2], &self->item[2]);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->w[0].op, 0));
	EXPECT_EQ(-ECANCELED, aop_join(&self->w[0].op));
	EXPECT_FALSE(aop_is_final(&self->w[1].op));
	for (i = 0; i < N; i++) {
		*p[i] = i;
		EXPECT_EQ(0, aop_queue_commit(&self->q, p[i]));
	}
	EXPECT_EQ(1, aop_join(&self->w[2].op));
	EXPECT_EQ(0, self->item[2]);
	EXPECT_EQ(1, aop_join(&self->w[1].op));
	for (i = 1; i < N; i++)
		EXPECT_EQ(i, pop(&self->q));
	EXPECT_EQ(5, pop(&self->q));
}

TEST_F(queue, S7_the_end_comes_after_every_item)
{
	int *a, five = 5, i;

	EXPECT_EQ(1, push(&self->q, 1));
	a = aop_queue_reserve(&self->q);
	ASSERT_NE(NULL, a);
	aop_queue_end(&self->q);
	EXPECT_EQ(-EPIPE, push(&self->q, 2));
	EXPECT_EQ(NULL, aop_queue_reserve(&self->q));
	EXPECT_EQ(-EPIPE, aop_join(aop_queue_push(&self->q, &self->w[0], &five)));
	EXPECT_EQ(1, pop(&self->q));
	aop_queue_pop(&self->q, &self->w[0], &self->item[0]);
	aop_queue_pop(&self->q, &self->w[1], &self->item[1]);
	EXPECT_FALSE(aop_is_final(&self->w[0].op));
	*a = 9;
	EXPECT_EQ(0, aop_queue_commit(&self->q, a));
	EXPECT_EQ(1, aop_join(&self->w[0].op));
	EXPECT_EQ(9, self->item[0]);
	EXPECT_EQ(0, aop_join(&self->w[1].op));
	EXPECT_EQ(-100, pop(&self->q));
	EXPECT_EQ(0, aop_join(aop_queue_pop(&self->q, &self->w[0], &i)));
	aop_queue_end(&self->q);
	EXPECT_EQ(0, aop_queue_lost(&self->q));
}

TEST_F(queue, writers_that_wait_are_told_of_the_end)
{
	int i;

	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->q, i));
	aop_queue_push(&self->q, &self->w[0], &i);
	aop_queue_end(&self->q);
	EXPECT_EQ(-EPIPE, aop_join(&self->w[0].op));
	for (i = 0; i < N; i++)
		EXPECT_EQ(i, pop(&self->q));
	EXPECT_EQ(-100, pop(&self->q));
}

TEST_F(queue, bad_arguments)
{
	struct aop_queue q;

	EXPECT_EQ(-EINVAL, aop_queue_init(NULL, variant->where, self->mem, 4, 4));
	EXPECT_EQ(-EINVAL, aop_queue_init(&q, NULL, self->mem, 4, 4));
	EXPECT_EQ(-EINVAL, aop_queue_init(&q, variant->where, NULL, 4, 4));
	EXPECT_EQ(-EINVAL, aop_queue_init(&q, variant->where, self->mem, 0, 4));
	EXPECT_EQ(-EINVAL, aop_queue_init(&q, variant->where, self->mem, 4, 0));
	EXPECT_EQ(-EINVAL, aop_queue_init(&q, variant->where, self->mem, 4, SIZE_MAX));
}

/* More places than can be open, so that the bits wrap. */
TEST(S2_many_open_places)
{
	enum { PLACES = AOP_QUEUE_OPEN + 44 };
	static uint16_t mem[PLACES];
	uint16_t *p[PLACES], item;
	struct aop_queue q;
	int round, i, n;

	ASSERT_EQ(0, aop_queue_init(&q, AOP_LOCAL, mem, sizeof(*mem), PLACES));
	for (round = 0; round < 5; round++) {
		for (n = 0; (p[n] = aop_queue_reserve(&q)); n++)
			*p[n] = n;
		ASSERT_EQ(AOP_QUEUE_OPEN, n);
		/* Backwards: all are seen with the last. */
		for (i = n - 1; i; i--)
			ASSERT_EQ(0, aop_queue_commit(&q, p[i]));
		ASSERT_EQ(0, aop_queue_count(&q));
		ASSERT_EQ(0, aop_queue_commit(&q, p[0]));
		ASSERT_EQ(n, aop_queue_count(&q));
		for (i = 0; i < n; i++) {
			ASSERT_EQ(1, aop_queue_try_pop(&q, &item));
			ASSERT_EQ(i, item);
		}
	}
}

/* ---- threads ------------------------------------------------------------------------ */

#define WRITERS	3

struct traffic {
	struct aop_queue q;
	uint64_t mem[8];
	int rounds;
};

struct writer {
	struct traffic *t;
	uint64_t who;
};

static void *write_some(void *arg)
{
	struct writer *me = arg;
	struct aop_waiter w;
	uint64_t item, *place;
	int i;

	for (i = 0; i < me->t->rounds; i++) {
		item = me->who << 32 | i;
		place = i % 2 ? aop_queue_reserve(&me->t->q) : NULL;
		if (place) {
			*place = item;
			aop_queue_commit(&me->t->q, place);
		} else if (aop_join(aop_queue_push(&me->t->q, &w, &item)) != 1) {
			return me;
		}
	}
	return NULL;
}

/* Every item comes once, those of one writer in their order, whoever cancels what. */
TEST(S3_many_writers_and_a_reader_that_cancels)
{
	const bool slow = getenv("AOP_NATIVE") && strcmp(getenv("AOP_NATIVE"), "plain");
	struct traffic t = { .rounds = slow ? 500 : 5000 };
	struct writer me[WRITERS];
	uint64_t next[WRITERS] = { 0 }, item;
	pthread_t thread[WRITERS];
	struct aop_waiter w;
	int i, got = 0;
	int64_t ret;
	void *bad;

	ASSERT_EQ(0, aop_queue_init(&t.q, AOP_LOCAL, t.mem, sizeof(*t.mem), 8));
	for (i = 0; i < WRITERS; i++) {
		me[i] = (struct writer){ .t = &t, .who = i };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, write_some, &me[i]));
	}
	for (i = 0; got < WRITERS * t.rounds; i++) {
		aop_queue_pop(&t.q, &w, &item);
		if (i % 3 == 0)
			aop_cancel(&w.op, -EINTR);
		ret = aop_join(&w.op);
		if (ret == -EINTR)
			continue;
		ASSERT_EQ(1, ret);
		ASSERT_EQ(next[item >> 32], (uint32_t)item);
		next[item >> 32]++;
		got++;
	}
	for (i = 0; i < WRITERS; i++) {
		pthread_join(thread[i], &bad);
		EXPECT_EQ(NULL, bad);
	}
	EXPECT_EQ(-EAGAIN, aop_queue_try_pop(&t.q, &item));
}

TEST_HARNESS_MAIN
