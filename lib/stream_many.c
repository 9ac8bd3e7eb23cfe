// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream_many.c - several messages of one size by one call
 *
 * Each is in a slot of its own, as always; what a batch saves is all that is not the
 * message: one call, one barrier and one look whether somebody waits.  One sender and one
 * receiver go along the ring in runs that end where the ring does; others, one by one.
 *
 * Locks: none; see stream.h.
 */
#include "stream.h"

#define STEP	4		/* messages between two looks at the counters */

static uint32_t shorter(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

#define ALWAYS	inline __attribute__((always_inline))

static ALWAYS bool push_one(struct slot *slot, uint32_t seq, void *to, const void *msg, size_t len)
{
	/* Acquire: pairs with the stores of pop_one() and release(). */
	if (unlikely(atomic_load_explicit(&slot->seq, memory_order_acquire) != seq))
		return false;
	memcpy(to, msg, len);
	/* Release: the message.  Pairs with the loads of pop_one() and claim_message(). */
	atomic_store_explicit(&slot->both, slot_word(seq + 1, len), memory_order_release);
	return true;
}

static ALWAYS bool pop_one(struct slot *slot, uint32_t seq, uint32_t next, void *buf,
			   const void *from, size_t len)
{
	/*
	 * Acquire: pairs with the stores of push_one() and commit().  If it is of another
	 * size, or has a flag, it is for the others.
	 */
	if (unlikely(atomic_load_explicit(&slot->both, memory_order_acquire) !=
		     slot_word(seq, len)))
		return false;
	memcpy(buf, from, len);
	/* Release: we have read it.  Pairs with the loads of push_one() and claim_places(). */
	atomic_store_explicit(&slot->seq, next, memory_order_release);
	return true;
}

/* As many as there is room for, up to the end of the ring. */
static ALWAYS uint32_t push_run(struct stream *s, uint32_t pos, const char *msg, size_t len,
				size_t place, uint32_t n)
{
	struct slot *slot = slot_at(s, pos);
	char *to = place_at(s, pos);
	uint32_t i, k;

	pos *= 2;
	for (i = 0; n - i >= STEP; i += STEP) {
#pragma GCC unroll 4
		for (k = 0; k < STEP; k++)
			if (!push_one(slot + k, pos + 2 * k, to + k * place, msg + k * len, len))
				return i + k;
		slot += STEP;
		pos += 2 * STEP;
		to += STEP * place;
		msg += STEP * len;
	}
	for (; i < n; i++, slot++, pos += 2, to += place, msg += len)
		if (!push_one(slot, pos, to, msg, len))
			break;
	return i;
}

/* As many as there are of this size, up to the end of the ring. */
static ALWAYS uint32_t pop_run(struct stream *s, uint32_t pos, char *buf, size_t len,
			       size_t place, uint32_t n)
{
	const uint32_t lap = 2 * s->mask + 1;
	struct slot *slot = slot_at(s, pos);
	const char *from = place_at(s, pos);
	uint32_t i, k;

	pos = 2 * pos + 1;
	for (i = 0; n - i >= STEP; i += STEP) {
#pragma GCC unroll 4
		for (k = 0; k < STEP; k++)
			if (!pop_one(slot + k, pos + 2 * k, pos + 2 * k + lap, buf + k * len,
				     from + k * place, len))
				return i + k;
		slot += STEP;
		pos += 2 * STEP;
		from += STEP * place;
		buf += STEP * len;
	}
	for (; i < n; i++, slot++, pos += 2, from += place, buf += len)
		if (!pop_one(slot, pos, pos + lap, buf, from, len))
			break;
	return i;
}

/* A usual size, which the compiler copies in place; for itself, as it wants all registers. */
static __attribute__((noinline)) uint32_t push_run_64(struct stream *s, uint32_t pos,
						      const char *msg, uint32_t n)
{
	return push_run(s, pos, msg, 64, 64, n);
}

static __attribute__((noinline)) uint32_t pop_run_64(struct stream *s, uint32_t pos, char *buf,
						     uint32_t n)
{
	return pop_run(s, pos, buf, 64, 64, n);
}

/* Runs, until one ends before the ring does; pops: a constant. */
static ALWAYS uint32_t many(struct stream *s, _Atomic uint32_t *position, char *msg, size_t len,
			    uint32_t n, const bool pops)
{
	const bool usual = len == 64 && s->place == 64;
	uint32_t pos = atomic_load_explicit(position, memory_order_relaxed);
	uint32_t done = 0, want, got;

	do {
		want = shorter(n - done, straight(s, pos));
		if (pops)
			got = usual ? pop_run_64(s, pos, msg, want) :
			      pop_run(s, pos, msg, len, s->place, want);
		else
			got = usual ? push_run_64(s, pos, msg, want) :
			      push_run(s, pos, msg, len, s->place, want);
		pos += got;
		done += got;
		msg += got * len;
	} while (got == want && done < n);
	atomic_store_explicit(position, pos, memory_order_relaxed);
	return done;
}

/**
 * aop_stream_try_push_many() - send messages, as many as there is room for
 * @tx: a sender
 * @msgs: one after the other; copied
 * @len: how many bytes each has
 * @n: how many there are, 1 to INT_MAX
 *
 * As aop_stream_try_push() for one after the other, until one fails; cheaper.  Receivers may
 * see the first before the last is sent, and one that waits is woken after the last.
 *
 * Return: how many were sent, from the first on; what aop_stream_try_push() says, if none.
 */
int aop_stream_try_push_many(struct aop_sender *tx, const void *msgs, size_t len, unsigned int n)
{
	struct stream *s = ((struct sender *)tx)->s;
	uint32_t done = 0, word = word_of_stream(s);
	const char *msg = msgs;
	int ret;

	if (likely(!(word & (WORD_SEND | WORD_ENDED | WORD_DEAF | WORD_WRITERS)) &&
		   len <= s->place && n)) {
		done = many(s, &s->tail, (char *)msg, len, n, false);
		if (likely(done)) {
			wake_if(s, WORD_READERS | WORD_DEAF);
			return done;
		}
	}
	for (; done < n; done++) {
		ret = aop_stream_try_push(tx, msg + done * len, len);
		if (ret < 0)
			return done ? (int)done : ret;
	}
	return done;
}

/**
 * aop_stream_try_pop_many() - receive messages, as many as are there
 * @rx: a receiver
 * @buf: out: the messages; the one of number i is at @len * i
 * @len: how many bytes each has at the most; most quickly if it is what each has
 * @n: how many fit into @buf, 1 to INT_MAX
 *
 * As aop_stream_try_pop() for one after the other, until one fails; cheaper.  A sender that
 * waits is woken after the last.
 *
 * Return: how many were received; what aop_stream_try_pop() says, if none.
 */
int aop_stream_try_pop_many(struct aop_receiver *rx, void *buf, size_t len, unsigned int n)
{
	struct stream *s = ((struct receiver *)rx)->s;
	uint32_t done = 0, word = word_of_stream(s);
	int ret;

	if (likely(!(word & (WORD_RECEIVE | WORD_READERS)) && len <= s->place && n)) {
		done = many(s, &s->head, buf, len, n, true);
		if (likely(done)) {
			wake_if(s, WORD_WRITERS);
			return done;
		}
	}
	for (; done < n; done++) {
		ret = aop_stream_try_pop(rx, (char *)buf + done * len, len);
		if (ret <= 0)
			return done ? (int)done : ret;
	}
	return done;
}
