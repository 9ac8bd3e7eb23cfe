// SPDX-License-Identifier: GPL-2.0
/*
 * The ready ring and the mapped slots: once and in order; recycled slots; wraps; a
 * consumer that writes nonsense; what a slot says (M8, W1, K3).
 */
#include <poll.h>
#include <pthread.h>

#include "harness.h"
#include "abi.h"

#define SLOTS	64

FIXTURE(ring) {
	struct abi_ctx c;		/* whose ring is looked at */
	struct abi_ctx o;		/* another one */
	uint32_t ring_start, seq_start;	/* to restore */
};

FIXTURE_SETUP(ring)
{
	ASSERT_EQ(0, abi_param_get("ring_start", &self->ring_start));
	ASSERT_EQ(0, abi_param_get("seq_start", &self->seq_start));
	ASSERT_EQ(0, abi_open(&self->c, SLOTS));
	ASSERT_EQ(0, abi_open(&self->o, SLOTS));
	ASSERT_EQ(SLOTS, self->c.slots);
}

FIXTURE_TEARDOWN(ring)
{
	EXPECT_EQ(0, abi_param_set("ring_start", self->ring_start));
	EXPECT_EQ(0, abi_param_set("seq_start", self->seq_start));
	abi_close(&self->o);
	abi_close(&self->c);
}

static bool readable(const struct abi_ctx *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && p.revents == POLLIN;
}

/* ---- order and number ------------------------------------------------------------ */

TEST_F(ring, K3_in_order)
{
	struct abi_ctx *c = &self->c;
	static const int order[] = { 3, 0, 7, 5, 1, 6, 2, 4 };
	uint64_t h[8];
	uint32_t index[16];
	int i;

	for (i = 0; i < 8; i++) {
		h[i] = abi_new(c, i, AOP_EV_FINAL);
		ASSERT_NE(0, h[i]);
	}
	EXPECT_EQ(0, abi_queued(c));
	EXPECT_FALSE(readable(c));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, abi_done(c, h[order[i]], i));
	}
	EXPECT_TRUE(readable(c));
	EXPECT_EQ(8, abi_reap(c, index, 16));
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(abi_index(h[order[i]]), index[i]);
		EXPECT_EQ(order[i], abi_slot(c, index[i])->data);
		EXPECT_EQ(i, abi_slot(c, index[i])->result);
	}
	EXPECT_FALSE(readable(c));
	EXPECT_EQ(0, abi_reap(c, index, 16));
}

TEST_F(ring, K3_queued_once_until_reaped)
{
	struct abi_ctx *c = &self->c;
	uint64_t h = abi_new(c, 0, AOP_EV_CHANGE);
	uint32_t index[4];
	int round, i;

	ASSERT_NE(0, h);
	for (round = 0; round < 200; round++) {
		for (i = 1; i <= 5; i++) {
			ASSERT_EQ(0, abi_progress(c, h, round * 10 + i, 0));
			ASSERT_EQ(1, abi_queued(c));
		}
		EXPECT_TRUE(readable(c));
		ASSERT_EQ(1, abi_reap(c, index, 4));
		ASSERT_EQ(abi_index(h), index[0]);
		EXPECT_EQ(round * 10 + 5, abi_slot(c, index[0])->done);
	}
}

/* Taken one by one: what has been taken may be queued again, the rest may not. */
TEST_F(ring, K3_partly_reaped)
{
	struct abi_ctx *c = &self->c;
	uint64_t h[4];
	uint32_t index;
	int i, round;

	for (i = 0; i < 4; i++) {
		h[i] = abi_new(c, i, AOP_EV_CHANGE);
		ASSERT_NE(0, h[i]);
		ASSERT_EQ(0, abi_progress(c, h[i], 0, 0));
	}
	for (round = 0; round < 300; round++) {
		ASSERT_EQ(4, abi_queued(c));
		ASSERT_EQ(1, abi_reap(c, &index, 1));
		ASSERT_EQ(abi_index(h[round % 4]), index);
		for (i = 0; i < 4; i++) {
			ASSERT_EQ(0, abi_progress(c, h[i], round, 0));
		}
	}
}

/* All slots at once fill the ring exactly; no change makes it more. */
TEST_F(ring, K3_full_ring)
{
	struct abi_ctx *c = &self->c;
	uint64_t h[SLOTS];
	bool seen[SLOTS] = { false };
	uint32_t index[SLOTS + 1];
	int i, round;

	for (i = 0; i < SLOTS; i++) {
		h[i] = abi_new(c, i, AOP_EV_CHANGE);
		ASSERT_NE(0, h[i]);
	}
	for (round = 0; round < 3; round++) {
		for (i = 0; i < SLOTS; i++) {
			ASSERT_EQ(0, abi_progress(c, h[i], round, 0));
		}
	}
	EXPECT_EQ(SLOTS, abi_queued(c));
	EXPECT_EQ(SLOTS, abi_reap(c, index, SLOTS + 1));
	for (i = 0; i < SLOTS; i++) {
		ASSERT_LT(index[i], SLOTS);
		EXPECT_FALSE(seen[index[i]]);
		seen[index[i]] = true;
	}
}

/* One call that ends all of them, and its effect on several contexts. */
TEST_F(ring, K3_batch_to_two_contexts)
{
	struct aop_signal_entry e[SLOTS] = { 0 };
	int i, round, n;
	uint64_t w;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < SLOTS; i++) {
			e[i].handle = abi_new(&self->c, i, AOP_EV_FINAL);
			ASSERT_NE(0, e[i].handle);
			e[i].what = AOP_SIGNAL_DONE;
			w = abi_again(&self->c, e[i].handle, &self->o, AOP_MAY_LOOK,
				      i % 2 ? AOP_EV_FINAL : AOP_EV_ASKED);
			ASSERT_NE(0, w);
		}
		ASSERT_EQ(SLOTS, abi_batch(self->c.fd, AOP_IOC_SIGNAL, e, sizeof(e[0]), SLOTS));
		EXPECT_EQ(SLOTS, abi_drain(&self->c));
		EXPECT_EQ(SLOTS / 2, abi_drain(&self->o));
		for (i = 0; i < SLOTS; i++) {
			EXPECT_EQ(0, e[i].ret);
			ASSERT_EQ(0, abi_detach(&self->c, e[i].handle, 0));
		}
		for (n = 0, i = 0; i < SLOTS; i++) {
			w = (uint64_t)abi_slot(&self->o, i)->gen << 32 | i;
			n += !abi_detach(&self->o, w, 0);
		}
		ASSERT_EQ(SLOTS, n);
	}
}

/* ---- recycling -------------------------------------------------------------------- */

/* A slot that is still queued gets another operation: one place, the new content. */
TEST_F(ring, K3_recycled_while_queued)
{
	struct abi_ctx *c = &self->c;
	uint64_t a, b[SLOTS], in_its_place;
	uint32_t index[4];
	int i, n, round;

	for (round = 0; round < 40; round++) {
		a = abi_new(c, 1, AOP_EV_FINAL);
		ASSERT_NE(0, a);
		ASSERT_EQ(0, abi_done(c, a, 1));
		ASSERT_EQ(1, abi_queued(c));
		ASSERT_EQ(0, abi_detach(c, a, 0));
		in_its_place = 0;
		for (n = 0; n < SLOTS && !in_its_place; n++) {
			b[n] = abi_new(c, 2, AOP_EV_FINAL);
			ASSERT_NE(0, b[n]);
			if (abi_index(b[n]) == abi_index(a))
				in_its_place = b[n];
		}
		ASSERT_NE(0, in_its_place);
		EXPECT_NE(a, in_its_place);
		EXPECT_EQ(1, abi_queued(c));
		if (round % 2) {
			ASSERT_EQ(0, abi_done(c, in_its_place, 7));
		}
		EXPECT_EQ(1, abi_queued(c));
		ASSERT_EQ(1, abi_reap(c, index, 4));
		EXPECT_EQ(abi_index(a), index[0]);
		EXPECT_EQ(2, abi_slot(c, index[0])->data);
		EXPECT_EQ(abi_gen(in_its_place), abi_slot(c, index[0])->gen);
		EXPECT_EQ(round % 2 ? AOP_DONE : AOP_PENDING, abi_slot(c, index[0])->state);
		/* Had it not ended yet, it is queued when it does. */
		if (!(round % 2)) {
			ASSERT_EQ(0, abi_done(c, in_its_place, 7));
			EXPECT_EQ(1, abi_drain(c));
		}
		for (i = 0; i < n; i++) {
			ASSERT_EQ(0, abi_detach(c, b[i], 0));
		}
		abi_drain(c);
	}
}

/* Hundreds of lives of each slot without one look at the ring. */
TEST_F(ring, K3_recycled_unread)
{
	struct abi_ctx *c = &self->c;
	struct aop_create_entry e[SLOTS];
	struct aop_signal_entry s[SLOTS];
	struct aop_detach_entry d[SLOTS];
	uint32_t tail = abi_tail(c);
	int i, round;

	for (round = 0; round < 300; round++) {
		for (i = 0; i < SLOTS; i++)
			e[i] = (struct aop_create_entry){ .mask = AOP_EV_ALL };
		ASSERT_EQ(SLOTS, abi_batch(c->fd, AOP_IOC_CREATE, e, sizeof(e[0]), SLOTS));
		for (i = 0; i < SLOTS; i++) {
			ASSERT_EQ(0, e[i].ret);
			s[i] = (struct aop_signal_entry){
				.handle = e[i].handle, .what = AOP_SIGNAL_DONE,
			};
			d[i] = (struct aop_detach_entry){ .handle = e[i].handle };
		}
		ASSERT_EQ(SLOTS, abi_batch(c->fd, AOP_IOC_SIGNAL, s, sizeof(s[0]), SLOTS));
		ASSERT_EQ(SLOTS, abi_tail(c) - tail);
		ASSERT_EQ(SLOTS, abi_batch(c->fd, AOP_IOC_DETACH, d, sizeof(d[0]), SLOTS));
		ASSERT_EQ(SLOTS, abi_tail(c) - tail);
	}
	EXPECT_EQ(0, abi_handles(c));
	EXPECT_EQ(SLOTS, abi_drain(c));
}

/* ---- wraps ------------------------------------------------------------------------ */

static const uint32_t starts[] = {
	0, 1, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, 0u - SLOTS, 0u - SLOTS - 1,
};

TEST_F(ring, K3_ring_index_wraps)
{
	struct abi_ctx c;
	unsigned int k;
	uint64_t h[3];
	int i, round;

	for (k = 0; k < ARRAY_SIZE(starts); k++) {
		ASSERT_EQ(0, abi_param_set("ring_start", starts[k]));
		ASSERT_EQ(0, abi_open(&c, SLOTS));
		EXPECT_EQ(starts[k], *c.head);
		EXPECT_EQ(starts[k], abi_tail(&c));
		EXPECT_FALSE(readable(&c));
		for (i = 0; i < 3; i++) {
			h[i] = abi_new(&c, i, AOP_EV_CHANGE);
			ASSERT_NE(0, h[i]);
		}
		for (round = 0; round < 60; round++) {
			for (i = 0; i < 3; i++) {
				ASSERT_EQ(0, abi_progress(&c, h[i], round, 0));
			}
			ASSERT_EQ(0, abi_progress(&c, h[round % 3], round, 1));
			ASSERT_EQ(3, abi_queued(&c)) TH_LOG("start %x", starts[k]);
			ASSERT_TRUE(readable(&c)) TH_LOG("start %x", starts[k]);
			/* Leave some of them over the wrap. */
			ASSERT_EQ(round % 4 ? 3 : 2, round % 4 ? abi_drain(&c) :
				  abi_reap(&c, (uint32_t[2]){ 0 }, 2));
			if (round % 4 == 0) {
				ASSERT_EQ(1, abi_drain(&c));
			}
			ASSERT_FALSE(readable(&c)) TH_LOG("start %x", starts[k]);
		}
		EXPECT_EQ(starts[k] + 180, abi_tail(&c));
		abi_close(&c);
	}
}

TEST_F(ring, M8_sequence_wraps)
{
	static const uint32_t first[] = { 0xfffffffe, 0xfffffffc, 0x7ffffffe, 0xffffffff };
	struct abi_ctx *c = &self->c;
	struct aop_status s;
	unsigned int k;
	uint32_t seq;
	uint64_t h;
	int i;

	for (k = 0; k < ARRAY_SIZE(first); k++) {
		ASSERT_EQ(0, abi_param_set("seq_start", first[k]));
		h = abi_new(c, 0, AOP_EV_CHANGE);
		ASSERT_NE(0, h);
		ASSERT_EQ(0, abi_status(c, h, &s));
		EXPECT_EQ(first[k] & ~1u, s.seq);
		for (i = 0; i < 6; i++) {
			seq = s.seq;
			EXPECT_EQ(0, abi_look(c, h, AOP_EV_CHANGE, seq));
			ASSERT_EQ(0, abi_progress(c, h, i, 9));
			ASSERT_EQ(0, abi_status(c, h, &s));
			EXPECT_EQ(i, s.done);
			EXPECT_EQ(0, s.seq & 1);
			EXPECT_NE(seq, s.seq);
			EXPECT_EQ(1, abi_drain(c));
			/* Equality only: what was seen last differs, whichever is the larger. */
			EXPECT_EQ(AOP_EV_CHANGE, abi_wait_one(c, h, AOP_EV_CHANGE, seq));
			EXPECT_EQ(0, abi_look(c, h, AOP_EV_CHANGE, s.seq));
		}
		ASSERT_EQ(0, abi_done(c, h, 1));
		ASSERT_EQ(0, abi_status(c, h, &s));
		EXPECT_EQ(AOP_DONE, s.state);
		abi_drain(c);
		ASSERT_EQ(0, abi_detach(c, h, 0));
	}
}

/* M8: all ways to look speak of the same change. */
TEST_F(ring, M8_one_sequence)
{
	struct abi_ctx *o = &self->o, *c = &self->c;
	struct aop_status a, b, f;
	struct aop_ioc_query q;
	uint64_t h = abi_new(o, 0, 0), w;
	int i, fd;

	ASSERT_NE(0, h);
	fd = abi_export(o, h, AOP_MAY_LOOK);
	ASSERT_GE(fd, 0);
	w = abi_again(o, h, c, AOP_MAY_LOOK, AOP_EV_CHANGE);
	ASSERT_NE(0, w);
	for (i = 0; i < 10; i++) {
		if (i == 9) {
			ASSERT_EQ(0, abi_done(o, h, 4));
		} else {
			ASSERT_EQ(0, abi_progress(o, h, i, 10));
		}
		ASSERT_EQ(0, abi_status(o, h, &a));
		ASSERT_EQ(0, abi_status(c, w, &b));
		ASSERT_EQ(0, abi_query(c, w, &q));
		EXPECT_EQ(a.seq, b.seq);
		EXPECT_EQ(a.seq, q.status.seq);
		EXPECT_EQ(a.time, b.time);
		EXPECT_EQ(a.time, q.status.time);
		EXPECT_EQ(a.done, q.status.done);
		EXPECT_EQ(1, abi_drain(c));
	}
	ASSERT_EQ(sizeof(f), read(fd, &f, sizeof(f)));
	EXPECT_EQ(a.seq, f.seq);
	EXPECT_EQ(a.time, f.time);
	EXPECT_EQ(4, f.result);
	EXPECT_EQ(a.id, f.id);
	close(fd);
}

/* ---- nonsense --------------------------------------------------------------------- */

/* One event goes through, whatever was before: the head is put in order first. */
static bool works(struct abi_ctx *c)
{
	uint64_t h;
	bool ok;

	__atomic_store_n(c->head, abi_tail(c), __ATOMIC_SEQ_CST);
	if (readable(c))
		return false;
	h = abi_new(c, 3, AOP_EV_FINAL);
	ok = h && !abi_done(c, h, 9) && readable(c) && abi_queued(c) == 1;
	ok = ok && abi_drain(c) == 1 && abi_state(c, h) == AOP_DONE;
	return !abi_detach(c, h, 0) && ok && !readable(c);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 32;
}

TEST_F(ring, K3_garbage_head)
{
	static const uint32_t ahead[] = {
		1, 2, 63, 64, 65, 128, 0x7fffffff, 0x80000000, 0xfffffff0,
	};
	struct abi_ctx *c = &self->c;
	uint32_t tail, start;
	uint64_t h[SLOTS / 2];
	unsigned int k, s;
	int i;

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		ASSERT_EQ(0, abi_param_set("ring_start", starts[s]));
		abi_close(c);
		ASSERT_EQ(0, abi_open(c, SLOTS));
		for (i = 0; i < SLOTS / 2; i++) {
			h[i] = abi_new(c, i, AOP_EV_CHANGE);
			ASSERT_NE(0, h[i]);
		}
		for (k = 0; k < 2 * ARRAY_SIZE(ahead); k++) {
			int32_t off = k % 2 ? ahead[k / 2] : -ahead[k / 2];

			start = abi_tail(c);
			__atomic_store_n(c->head, start + off, __ATOMIC_SEQ_CST);
			for (i = 0; i < SLOTS / 2; i++) {
				ASSERT_EQ(0, abi_progress(c, h[i], k, 0));
			}
			for (i = 0; i < SLOTS / 2; i++) {
				ASSERT_EQ(0, abi_progress(c, h[i], k, 1));
			}
			tail = abi_tail(c);
			/*
			 * Each of them once.  What the tail reaches by and by makes sense
			 * from then on: as if those had been read.
			 */
			EXPECT_GE(tail - start, SLOTS / 2) TH_LOG("start %x, %d", starts[s], off);
			EXPECT_LE(tail - start, SLOTS / 2 + (off > 0 && off <= SLOTS / 2 ? off : 0))
				TH_LOG("start %x, %d", starts[s], off);
			EXPECT_TRUE(works(c)) TH_LOG("start %x, %d", starts[s], off);
		}
	}
	EXPECT_TRUE(works(&self->o));
}

/* The ring never promises more than it has places, and never an index that is none. */
TEST_F(ring, K3_random_head)
{
	struct abi_ctx *c = &self->c;
	uint32_t tail, last = abi_tail(c);
	uint64_t rnd = 4711, h[SLOTS - 1];
	int i, round;

	for (i = 0; i < SLOTS - 1; i++) {
		h[i] = abi_new(c, i, AOP_EV_CHANGE);
		ASSERT_NE(0, h[i]);
	}
	for (round = 0; round < 20000; round++) {
		uint32_t r = next_random(&rnd);

		if (r % 3 == 0)
			__atomic_store_n(c->head, next_random(&rnd), __ATOMIC_RELAXED);
		else if (r % 3 == 1)
			__atomic_store_n(c->head, abi_tail(c) + (int)(r >> 8) % 200 - 100,
					 __ATOMIC_RELAXED);
		ASSERT_EQ(0, abi_progress(c, h[(r >> 4) % (SLOTS - 1)], round, 0));
		tail = abi_tail(c);
		/* One change, one place at the most. */
		ASSERT_LE(tail - last, 1);
		last = tail;
	}
	for (i = 0; i < SLOTS; i++) {
		EXPECT_LT(c->ring->places[i], SLOTS);
	}
	EXPECT_EQ(SLOTS - 1, c->ring->mask);
	EXPECT_TRUE(works(c));
}

/* The whole page is the consumer's: its other bytes mean nothing. */
TEST_F(ring, K3_garbage_page)
{
	struct abi_ctx *c = &self->c;

	memset((char *)c->head + 4, 0xff, c->head_size - 4);
	EXPECT_TRUE(works(c));
	memset(c->head, 0xff, c->head_size);
	EXPECT_TRUE(works(c));
}

static void *scribble(void *arg)
{
	struct abi_ctx *c = arg;
	uint64_t rnd = 42;
	int i;

	for (i = 0; i < 2000000; i++)
		__atomic_store_n(c->head, abi_tail(c) + (int)next_random(&rnd) % 130,
				 __ATOMIC_RELAXED);
	return NULL;
}

TEST_F(ring, K3_scribbled_upon)
{
	struct abi_ctx *c = &self->c;
	pthread_t t;
	uint64_t h[8];
	int i;

	for (i = 0; i < 8; i++) {
		h[i] = abi_new(c, i, AOP_EV_CHANGE);
		ASSERT_NE(0, h[i]);
	}
	ASSERT_EQ(0, pthread_create(&t, NULL, scribble, c));
	for (i = 0; i < 20000; i++) {
		ASSERT_EQ(0, abi_progress(c, h[i % 8], i, 0));
		readable(c);
	}
	pthread_join(t, NULL);
	EXPECT_TRUE(works(c));
	EXPECT_TRUE(works(&self->o));
}

/* ---- slots ------------------------------------------------------------------------ */

struct pair {
	struct abi_ctx *c;
	uint64_t handle;
	int rounds;
};

/* A few in one call: often enough to be met, not so often that a reader starves. */
static void *progress(void *arg)
{
	struct pair *p = arg;
	struct aop_signal_entry e[3];
	int i, k;

	for (i = 1; i <= p->rounds; i += 3) {
		for (k = 0; k < 3; k++) {
			e[k] = (struct aop_signal_entry){
				.handle = p->handle, .what = AOP_SIGNAL_PROGRESS,
				.value = (i + k) * 0x100000001LL,
				.total = (i + k) * 0x300000003LL,
			};
		}
		if (abi_batch(p->c->fd, AOP_IOC_SIGNAL, e, sizeof(e[0]), 3) != 3 || e[2].ret)
			return (void *)1;
	}
	return abi_done(p->c, p->handle, 5) ? (void *)1 : NULL;
}

/*
 * As abi_read_slot(), but from the end to the beginning: a writer that goes the other
 * way is met half-way, where the plain reader would follow behind it.
 */
static void read_backwards(const struct aop_status *slot, struct aop_status *to)
{
	const volatile uint64_t *from = (const volatile uint64_t *)slot;
	uint32_t seq;
	int i;

	for (;;) {
		seq = __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE);
		if (seq & 1)
			continue;
		for (i = sizeof(*slot) / 8 - 1; i >= 0; i--)
			((uint64_t *)to)[i] = from[i];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&slot->seq, __ATOMIC_RELAXED) == seq && to->seq == seq)
			return;
	}
}

/* W1: read while it is written, never torn, never older than before. */
TEST_F(ring, W1_never_torn)
{
	struct abi_ctx *o = &self->o, *c = &self->c;
	struct pair p = { .c = o, .handle = abi_new(o, 0, 0), .rounds = 3 * 100000 };
	unsigned int looks = 0, moved = 0;
	struct aop_status s, last;
	pthread_t t;
	uint64_t w;
	void *bad;

	ASSERT_NE(0, p.handle);
	w = abi_again(o, p.handle, c, AOP_MAY_LOOK, 0);
	ASSERT_NE(0, w);
	ASSERT_EQ(0, abi_modify(c, w, 0x1122334455667788ULL, 0));
	ASSERT_EQ(0, abi_status(c, w, &last));
	ASSERT_EQ(0, pthread_create(&t, NULL, progress, &p));
	do {
		if (looks++ % 2) {
			ASSERT_EQ(0, abi_status(c, w, &s));
		} else
			read_backwards(abi_slot(c, abi_index(w)), &s);
		ASSERT_EQ(3 * s.done, s.total);
		ASSERT_EQ(s.done >> 32, s.done & 0xffffffff);
		ASSERT_GE(s.done, last.done);
		ASSERT_GE(s.time, last.time);
		ASSERT_EQ(0x1122334455667788ULL, s.data);
		ASSERT_EQ(last.id, s.id);
		ASSERT_EQ(s.state == AOP_DONE ? 5 : 0, s.result);
		if (s.seq == last.seq) {
			ASSERT_EQ(0, memcmp(&s, &last, sizeof(s)));
		} else {
			moved++;
		}
		last = s;
	} while (s.state != AOP_DONE);
	pthread_join(t, &bad);
	EXPECT_TRUE(!bad);
	EXPECT_EQ(p.rounds * 0x100000001ULL, s.done);
	TH_LOG("%u looks, %u of them saw something new", looks, moved);
	EXPECT_GE(moved, 1);
}

TEST_HARNESS_MAIN
