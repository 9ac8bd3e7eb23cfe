// SPDX-License-Identifier: GPL-2.0
/*
 * Streams between threads (S1 to S4, S12): every message comes once and whole, those of one
 * sender in their order, whoever waits, cancels and goes.
 */
#include <stdatomic.h>

#include "any.h"

#define PLACES	8

struct msg {
	uint32_t from, nr;
	uint64_t check;			/* of both */
};

static uint64_t check_of(const struct msg *m)
{
	return (m->from * 31 + m->nr) * UINT64_C(0x9e3779b97f4a7c15);
}

enum way { WAY_TRY, WAY_OP, WAY_PLACE, WAY_ASK, WAY_MIXED };

struct side {
	struct aop_stream *s;
	struct aop_sender *tx;
	struct aop_receiver *rx;
	uint32_t nr, count;
	enum way way;
	uint32_t flags;
	uint64_t got, wrong, told;
	uint32_t next[4];		/* of each sender */
};

FIXTURE(race) {
	struct aop_stream s;
	uint64_t mem[AOP_STREAM_MEM(sizeof(struct msg), PLACES) / 8] __attribute__((aligned(16)));
};

FIXTURE_VARIANT(race) {
	int senders, receivers;
	uint32_t flags;
	enum way send, receive;
};

FIXTURE_VARIANT_ADD(race, one_to_one_try) {
	.senders = 1, .receivers = 1, .send = WAY_TRY, .receive = WAY_TRY,
};

FIXTURE_VARIANT_ADD(race, one_to_one_wait) {
	.senders = 1, .receivers = 1, .send = WAY_OP, .receive = WAY_OP,
};

FIXTURE_VARIANT_ADD(race, one_to_one_mixed) {
	.senders = 1, .receivers = 1, .send = WAY_MIXED, .receive = WAY_MIXED,
};

FIXTURE_VARIANT_ADD(race, many_to_one_wait) {
	.senders = 3, .receivers = 1, .send = WAY_OP, .receive = WAY_OP,
	.flags = AOP_MANY_SENDERS,
};

FIXTURE_VARIANT_ADD(race, many_to_one_mixed) {
	.senders = 3, .receivers = 1, .send = WAY_MIXED, .receive = WAY_MIXED,
	.flags = AOP_MANY_SENDERS,
};

FIXTURE_VARIANT_ADD(race, many_to_many_ask) {
	.senders = 2, .receivers = 2, .send = WAY_ASK, .receive = WAY_PLACE,
	.flags = AOP_MANY_SENDERS | AOP_MANY_RECEIVERS,
};

FIXTURE_VARIANT_ADD(race, many_to_many_mixed) {
	.senders = 3, .receivers = 3, .send = WAY_MIXED, .receive = WAY_MIXED,
	.flags = AOP_MANY_SENDERS | AOP_MANY_RECEIVERS,
};

FIXTURE_VARIANT_ADD(race, broadcast_mixed) {
	.senders = 2, .receivers = 2, .send = WAY_MIXED, .receive = WAY_MIXED,
	.flags = AOP_MANY_SENDERS | AOP_BROADCAST,
};

FIXTURE_VARIANT_ADD(race, broadcast_ask_all) {
	.senders = 2, .receivers = 2, .send = WAY_ASK, .receive = WAY_PLACE,
	.flags = AOP_MANY_SENDERS | AOP_BROADCAST | AOP_ON_ALL,
};

FIXTURE_SETUP(race)
{
	ASSERT_EQ(0, aop_stream_init(&self->s, AOP_LOCAL, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = sizeof(struct msg),
						     .places = PLACES, .flags = variant->flags)));
}

FIXTURE_TEARDOWN(race)
{
}

static enum way way_of(const struct side *me, uint32_t i)
{
	return me->way == WAY_MIXED ? (enum way)((i * 2654435761u >> 13) % WAY_MIXED) : me->way;
}

static void *sends(void *arg)
{
	struct side *me = arg;
	struct aop_message place;
	struct aop_transfer t;
	struct aop *op;
	struct msg m;
	uint32_t i;

	for (i = 0; i < me->count; i++) {
		m.from = me->nr;
		m.nr = i;
		m.check = check_of(&m);
		switch (way_of(me, i)) {
		case WAY_TRY:
			while (aop_stream_try_push(me->tx, &m, sizeof(m)) == -EAGAIN)
				sched_yield();
			break;
		case WAY_PLACE:
			if (i % 5 == 0) {
				me->wrong += aop_join(aop_stream_place(me->tx, &t, sizeof(m),
								       &place)) != 1;
				me->wrong += aop_stream_discard(me->tx, &place) != 0;
			}
			me->wrong += aop_join(aop_stream_place(me->tx, &t, sizeof(m), &place)) != 1;
			memcpy(place.data, &m, sizeof(m));
			me->wrong += aop_stream_send(me->tx, &place) != 0;
			break;
		case WAY_ASK:
			me->wrong += aop_join(aop_stream_ask(me->tx, &t, &m, sizeof(m))) < 0;
			break;
		default:
			op = aop_stream_push(me->tx, &t, &m, sizeof(m));
			if (i % 3 == 0)
				aop_cancel(op, -EINTR);
			if (aop_join(op) != 1)
				i--;		/* it is not in the stream: once more */
		}
	}
	aop_sender_drop(me->tx);
	return NULL;
}

static void looks_at(struct side *me, const struct msg *m)
{
	me->got++;
	if (m->check != check_of(m) || m->from >= 4) {
		me->wrong++;
		return;
	}
	/* In their order; several receivers have gaps. */
	if (m->nr < me->next[m->from])
		me->wrong++;
	me->next[m->from] = m->nr + 1;
}

static void *receives(void *arg)
{
	struct side *me = arg;
	struct aop_message place;
	struct aop_transfer t;
	struct aop *op;
	struct msg m;
	int64_t ret;
	uint32_t i;

	for (i = 0;; i++) {
		switch (way_of(me, i)) {
		case WAY_TRY:
			ret = aop_stream_try_pop(me->rx, &m, sizeof(m));
			if (ret == -EAGAIN) {
				sched_yield();
				continue;
			}
			break;
		case WAY_PLACE:
			ret = aop_join(aop_stream_receive(me->rx, &t, &place));
			if (ret == 1) {
				memcpy(&m, place.data, sizeof(m));
				me->wrong += aop_stream_retire(me->rx, &place, m.nr) != 0;
			}
			break;
		default:
			op = aop_stream_pop(me->rx, &t, &m, sizeof(m));
			if (i % 3 == 0)
				aop_cancel(op, -EINTR);
			ret = aop_join(op);
			if (ret == -EINTR)
				continue;
		}
		if (ret != 1)
			break;
		looks_at(me, &m);
	}
	me->told = -ret;
	aop_receiver_drop(me->rx);
	return NULL;
}

TEST_F(race, S3_every_message_once_and_whole)
{
	struct aop_sender tx[3];
	struct aop_receiver rx[3];
	struct side s[3] = { 0 }, r[3] = { 0 };
	pthread_t threads[6];
	uint64_t got = 0, total;
	int i, n = 0, each = any_rounds(4000);

	for (i = 0; i < variant->senders; i++) {
		ASSERT_EQ(0, aop_sender_init(&tx[i], &self->s, AOP_DROP_ENDS));
		s[i] = (struct side){ .tx = &tx[i], .nr = i, .count = each, .way = variant->send };
	}
	for (i = 0; i < variant->receivers; i++) {
		ASSERT_EQ(0, aop_receiver_init(&rx[i], &self->s, 0));
		r[i] = (struct side){ .rx = &rx[i], .nr = i, .way = variant->receive };
	}
	for (i = 0; i < variant->receivers; i++)
		ASSERT_EQ(0, pthread_create(&threads[n++], NULL, receives, &r[i]));
	for (i = 0; i < variant->senders; i++)
		ASSERT_EQ(0, pthread_create(&threads[n++], NULL, sends, &s[i]));
	while (n--)
		ASSERT_EQ(0, pthread_join(threads[n], NULL));
	total = (uint64_t)each * variant->senders;
	for (i = 0; i < variant->senders; i++)
		EXPECT_EQ(0, s[i].wrong);
	for (i = 0; i < variant->receivers; i++) {
		EXPECT_EQ(0, r[i].wrong);
		EXPECT_EQ(0, r[i].told);
		got += r[i].got;
	}
	EXPECT_EQ(variant->flags & AOP_BROADCAST ? total * variant->receivers : total, got);
}

/* ---- lossy ---------------------------------------------------------------------- */

static void *sends_fast(void *arg)
{
	struct side *me = arg;
	struct msg m;
	uint32_t i;

	for (i = 0; i < me->count; i++) {
		m.from = me->nr;
		m.nr = i;
		m.check = check_of(&m);
		while (aop_stream_try_push(me->tx, &m, sizeof(m)) == -EAGAIN)
			sched_yield();
	}
	aop_sender_drop(me->tx);
	return NULL;
}

/* What was seen and what was said to be lost is everything. */
TEST(S13_seen_and_lost_are_all)
{
	uint64_t mem[AOP_STREAM_MEM(sizeof(struct msg), PLACES) / 8] __attribute__((aligned(16)));
	struct side s = { .count = any_rounds(20000) };
	uint64_t seen = 0, lost = 0;
	struct aop_message m;
	struct aop_receiver rx;
	struct aop_stream st;
	struct aop_transfer t;
	struct aop_sender tx;
	pthread_t thread;
	int64_t ret;

	ASSERT_EQ(0, aop_stream_init(&st, AOP_LOCAL, mem, sizeof(mem),
				     AOP_STREAM_OPTS(.place = sizeof(struct msg), .places = PLACES,
						     .flags = AOP_BROADCAST | AOP_LOSSY)));
	ASSERT_EQ(0, aop_sender_init(&tx, &st, AOP_DROP_ENDS));
	ASSERT_EQ(0, aop_receiver_init(&rx, &st, 0));
	s.tx = &tx;
	ASSERT_EQ(0, pthread_create(&thread, NULL, sends_fast, &s));
	while ((ret = aop_join(aop_stream_receive(&rx, &t, &m))) == 1) {
		EXPECT_EQ(check_of(m.data), ((struct msg *)m.data)->check);
		lost += m.lost;
		EXPECT_EQ(seen + lost, ((struct msg *)m.data)->nr);
		seen++;
		ASSERT_EQ(0, aop_stream_retire(&rx, &m, 0));
	}
	EXPECT_EQ(0, ret);
	EXPECT_EQ(s.count, seen + lost);
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

/* ---- ends -------------------------------------------------------------------------- */

struct leaver {
	struct aop_sender *tx;
	struct aop_receiver *rx;
	pthread_barrier_t *start;
	bool first;
};

static void *leaves(void *arg)
{
	struct leaver *l = arg;

	pthread_barrier_wait(l->start);
	if (l->tx)
		aop_sender_drop(l->tx);
	else
		aop_receiver_drop(l->rx);
	return NULL;
}

/* S8: whoever goes first, and whatever waits meanwhile ends. */
TEST(S8_one_side_goes_while_the_other_waits)
{
	uint64_t mem[AOP_STREAM_MEM(8, 2) / 8] __attribute__((aligned(16)));
	int round, rounds = any_rounds(600), item;
	struct aop_transfer t[3];
	struct aop_stream st;
	struct aop_sender tx;
	struct aop_receiver rx;
	pthread_barrier_t start;
	pthread_t thread;
	int64_t ret;

	for (round = 0; round < rounds; round++) {
		struct leaver l = { .start = &start };

		ASSERT_EQ(0, pthread_barrier_init(&start, NULL, 2));
		ASSERT_EQ(0, aop_stream_init(&st, AOP_LOCAL, mem, sizeof(mem),
					     AOP_STREAM_OPTS(.place = 8, .places = 2)));
		ASSERT_EQ(0, aop_sender_init(&tx, &st, 0));
		ASSERT_EQ(0, aop_receiver_init(&rx, &st, 0));
		if (round & 1)
			l.tx = &tx;
		else
			l.rx = &rx;
		ASSERT_EQ(0, pthread_create(&thread, NULL, leaves, &l));
		if (round & 2)
			pthread_barrier_wait(&start);
		if (round & 1) {
			aop_stream_pop(&rx, &t[0], &item, 4);
			if (!(round & 2))
				pthread_barrier_wait(&start);
			EXPECT_EQ(-EOWNERDEAD, aop_join(&t[0].op));
			EXPECT_EQ(0, aop_join(aop_stream_pop(&rx, &t[0], &item, 4)));
		} else {
			aop_stream_ask(&tx, &t[0], &round, 4);
			aop_stream_push(&tx, &t[1], &round, 4);
			aop_stream_push(&tx, &t[2], &round, 4);
			if (!(round & 2))
				pthread_barrier_wait(&start);
			EXPECT_EQ(-EPIPE, aop_join(&t[0].op));
			ret = aop_join(&t[1].op);
			EXPECT_TRUE(ret == 1 || ret == -EPIPE);
			EXPECT_EQ(-EPIPE, aop_join(&t[2].op));
		}
		ASSERT_EQ(0, pthread_join(thread, NULL));
		if (round & 1)
			aop_receiver_drop(&rx);
		else
			aop_sender_drop(&tx);
		pthread_barrier_destroy(&start);
	}
}

struct single {
	struct aop_sender tx;
	_Atomic int got;
	int rounds;
};

static void *sends_single(void *arg)
{
	struct single *p = arg;
	int i, j;

	for (i = 1; i <= p->rounds; i++) {
		for (j = 0; j < i % 256; j++)
			__asm__ volatile("" ::: "memory");
		if (aop_stream_try_push(&p->tx, &i, sizeof(i)) != 1)
			abort();
		for (j = 1; atomic_load_explicit(&p->got, memory_order_acquire) != i; j++)
			if (!(j % 256))
				sched_yield();
	}
	return NULL;
}

/* S1: a message that is sent just when the receiver begins to wait is not missed. */
TEST(S1_sent_while_it_begins_to_wait)
{
	uint64_t mem[AOP_STREAM_MEM(8, 4) / 8] __attribute__((aligned(16)));
	struct single p = { .rounds = any_rounds(1000) };
	struct aop_receiver rx;
	struct aop_transfer t;
	struct aop_stream st;
	pthread_t thread;
	int i, j, got;

	ASSERT_EQ(0, aop_stream_init(&st, AOP_LOCAL, mem, sizeof(mem),
				     AOP_STREAM_OPTS(.place = 8, .places = 4)));
	ASSERT_EQ(0, aop_sender_init(&p.tx, &st, 0));
	ASSERT_EQ(0, aop_receiver_init(&rx, &st, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, sends_single, &p));
	for (i = 1; i <= p.rounds; i++) {
		aop_stream_pop(&rx, &t, &got, sizeof(got));
		for (j = 1; !aop_is_over(&t.op); j++)
			if (!(j % 256))
				sched_yield();
		ASSERT_EQ(1, aop_join(&t.op));
		ASSERT_EQ(i, got);
		atomic_store_explicit(&p.got, i, memory_order_release);
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
	aop_sender_drop(&p.tx);
	aop_receiver_drop(&rx);
}

/* S8: what is bound may end, and be unbound, while the producer goes. */
TEST(S8_unbinding_while_the_producer_goes)
{
	uint64_t mem[AOP_STREAM_MEM(8, 2) / 8] __attribute__((aligned(16)));
	int round, rounds = any_rounds(600), asked = 0;
	struct leaver l;
	struct aop_stream st;
	struct aop_sender tx;
	struct aop_receiver rx;
	pthread_barrier_t start;
	pthread_t thread;

	for (round = 0; round < rounds; round++) {
		struct aop *op = malloc(sizeof(*op));

		ASSERT_NE(NULL, op);
		ASSERT_EQ(0, pthread_barrier_init(&start, NULL, 2));
		ASSERT_EQ(0, aop_stream_init(&st, AOP_LOCAL, mem, sizeof(mem),
					     AOP_STREAM_OPTS(.place = 8, .places = 2)));
		ASSERT_EQ(0, aop_sender_init(&tx, &st, 0));
		ASSERT_EQ(0, aop_receiver_init(&rx, &st, 0));
		ASSERT_EQ(0, aop_init(op, AOP_LOCAL));
		ASSERT_EQ(0, aop_receiver_bind(&rx, op));
		l = (struct leaver){ .start = &start, .tx = &tx };
		ASSERT_EQ(0, pthread_create(&thread, NULL, leaves, &l));
		pthread_barrier_wait(&start);
		if (round & 1)
			sched_yield();
		aop_receiver_drop(&rx);
		asked += aop_is_final(op);
		aop_fail(aop_owner(op), -EIO);
		aop_drop(op);
		free(op);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		pthread_barrier_destroy(&start);
	}
	TH_LOG("cancelled in %d of %d rounds", asked, rounds);
}

TEST_HARNESS_MAIN
