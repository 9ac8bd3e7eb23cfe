// SPDX-License-Identifier: GPL-2.0
/*
 * The ready ring, where its positions wrap around: in the ring, and in the 32 bits that
 * user space sees.
 */
#include <linux/irqflags.h>

#include "kunit.h"

#define SLOTS	((u32)AOP_CHUNK)

struct ring_test {
	struct aop_ctx ctx;
	wait_queue_entry_t waiter;
	unsigned int woken;
};

static int woken(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	container_of(wait, struct ring_test, waiter)->woken++;
	return 0;
}

static void start_at(struct ring_test *t, u64 pos)
{
	struct aop_ctx *ctx = &t->ctx;
	u32 i;

	ctx->head = pos;
	ctx->tail = pos;
	*ctx->user_head = pos;
	ctx->ring->tail = pos;
	for (i = 0; i < SLOTS; i++)
		ctx->chunks[0].links[i].pos = 0;
}

static int ring_init(struct kunit *test)
{
	struct ring_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	test->priv = t;
	mutex_init(&t->ctx.lock);
	init_waitqueue_head(&t->ctx.wq);
	init_waitqueue_func_entry(&t->waiter, woken);
	add_wait_queue(&t->ctx.wq, &t->waiter);
	t->ctx.nr_slots = SLOTS;
	return aop_ring_alloc(&t->ctx, SLOTS) ?: aop_chunk_add(&t->ctx);
}

static void ring_exit(struct kunit *test)
{
	struct ring_test *t = test->priv;

	if (t)
		aop_ring_free(&t->ctx);
}

/* As a change would, with the home lock. */
static void push(struct ring_test *t, u32 first, u32 nr)
{
	struct aop_link *links[AOP_RUN_LINKS];
	unsigned long flags;
	u32 i;

	for (i = 0; i < nr; i++)
		links[i] = &t->ctx.chunks[0].links[first + i];
	local_irq_save(flags);
	aop_ring_push(&t->ctx, links, nr);
	local_irq_restore(flags);
}

static u32 place(struct ring_test *t, u64 pos)
{
	return t->ctx.ring->places[pos & (SLOTS - 1)];
}

/* Positions around which something wraps, with room for three before it. */
static const u64 edges[] = { 0, SLOTS - 3, U32_MAX - 2, (1ULL << 40) - 3 };

/* Queued once until the consumer has passed it, and then again. */
static void wrap_around(struct kunit *test)
{
	struct ring_test *t = test->priv;
	unsigned int e;
	u32 i;

	for (e = 0; e < ARRAY_SIZE(edges); e++) {
		u64 at = edges[e];

		start_at(t, at);
		push(t, 0, 6);
		KUNIT_EXPECT_EQ(test, at + 6, t->ctx.tail);
		KUNIT_EXPECT_EQ(test, (u32)(at + 6), t->ctx.ring->tail);
		for (i = 0; i < 6; i++)
			KUNIT_EXPECT_EQ(test, i, place(t, at + i));
		push(t, 0, 6);
		KUNIT_EXPECT_EQ(test, at + 6, t->ctx.tail);
		WRITE_ONCE(*t->ctx.user_head, (u32)(at + 4));
		push(t, 0, 6);
		KUNIT_EXPECT_EQ(test, at + 10, t->ctx.tail);
		for (i = 0; i < 4; i++)
			KUNIT_EXPECT_EQ(test, i, place(t, at + 6 + i));
		KUNIT_EXPECT_TRUE(test, aop_ring_ready(&t->ctx));
		WRITE_ONCE(*t->ctx.user_head, (u32)(at + 10));
		KUNIT_EXPECT_FALSE(test, aop_ring_ready(&t->ctx));
	}
}

/* A head that is not between the last good one and the tail is as if not written. */
static void senseless_heads(struct kunit *test)
{
	static const s32 bad[] = { -1, 4, -3, S32_MIN, S32_MAX };
	struct ring_test *t = test->priv;
	unsigned int e, i;

	for (e = 0; e < ARRAY_SIZE(edges); e++) {
		start_at(t, edges[e]);
		push(t, 0, 3);
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			WRITE_ONCE(*t->ctx.user_head, (u32)edges[e] + bad[i]);
			push(t, 0, 3);
			KUNIT_EXPECT_EQ(test, edges[e], t->ctx.head);
			KUNIT_EXPECT_EQ(test, edges[e] + 3, t->ctx.tail);
			KUNIT_EXPECT_TRUE(test, aop_ring_ready(&t->ctx));
		}
		WRITE_ONCE(*t->ctx.user_head, (u32)edges[e] + 3);
		push(t, 0, 3);
		KUNIT_EXPECT_EQ(test, edges[e] + 6, t->ctx.tail);
	}
}

/* A wake when the push found the ring empty, and no other. */
static void wakes(struct kunit *test)
{
	struct ring_test *t = test->priv;
	unsigned int e;

	for (e = 0; e < ARRAY_SIZE(edges); e++) {
		start_at(t, edges[e]);
		t->woken = 0;
		push(t, 0, 2);
		KUNIT_EXPECT_EQ(test, 1u, t->woken);
		push(t, 2, 2);
		WRITE_ONCE(*t->ctx.user_head, (u32)edges[e] + 1);
		push(t, 4, 2);
		KUNIT_EXPECT_EQ(test, 1u, t->woken);
		WRITE_ONCE(*t->ctx.user_head, (u32)edges[e] + 6);
		push(t, 5, 1);
		KUNIT_EXPECT_EQ(test, 2u, t->woken);
	}
}

/* Whatever the order, no place is lost, none taken twice. */
static void never_overflows(struct kunit *test)
{
	struct ring_test *t = test->priv;
	bool queued[AOP_CHUNK] = { };
	u32 seed = 1, i, nr;
	u64 head, at = U32_MAX - 200;
	int step;

	start_at(t, at);
	head = at;
	for (step = 0; step < 2000; step++) {
		seed = seed * 1103515245 + 12345;
		nr = (seed >> 16) % 5 + 1;
		i = (seed >> 20) % (SLOTS - nr);
		push(t, i, nr);
		while (nr--)
			queued[i + nr] = true;
		KUNIT_ASSERT_LE(test, t->ctx.tail - head, (u64)SLOTS);
		if (seed & 1 << 28)
			continue;
		for (nr = (seed >> 10) % 16; nr && head != t->ctx.tail; nr--) {
			i = place(t, head++);
			KUNIT_ASSERT_TRUE(test, queued[i]);
			queued[i] = false;
		}
		WRITE_ONCE(*t->ctx.user_head, (u32)head);
	}
	for (; head != t->ctx.tail; head++)
		queued[place(t, head)] = false;
	for (i = 0; i < SLOTS; i++)
		KUNIT_EXPECT_FALSE(test, queued[i]);
	KUNIT_EXPECT_GT(test, head, (u64)U32_MAX);
}

static struct kunit_case ring_cases[] = {
	KUNIT_CASE(wrap_around),
	KUNIT_CASE(senseless_heads),
	KUNIT_CASE(wakes),
	KUNIT_CASE(never_overflows),
	{}
};

struct kunit_suite aop_ring_suite = {
	.name = "aop_ring",
	.init = ring_init,
	.exit = ring_exit,
	.test_cases = ring_cases,
};
