// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream_receive.c - receiving from a stream, by value and in place
 */
#include "stream.h"

static struct receiver *to_receiver(struct aop_receiver *rx)
{
	return (struct receiver *)rx;
}

/* Under the lock: broadcasts, and the end. */
static int claim_slow(struct stream *s, struct receiver *rx, size_t room, uint32_t *at,
		      uint32_t *len)
{
	struct chain c = CHAIN_INIT(c);
	bool passed = false;
	int ret;

	stream_lock(s);
	ret = stream_next(s, rx, room, at, len, &passed);
	if (unlikely(passed))
		serve(s, &c);
	stream_unlock(s);
	waiters_end(c.first);
	return ret;
}

static inline int claim(struct stream *s, struct receiver *rx, size_t room, uint32_t *at,
			uint32_t *len)
{
	uint32_t word = word_of_stream(s);
	bool passed = false;
	int ret;

	if (unlikely(s->flags & AOP_BROADCAST))
		return claim_slow(s, rx, room, at, len);
	if (unlikely(word & (WORD_READERS | WORD_BROKEN)))
		return word & WORD_BROKEN ? claim_slow(s, rx, room, at, len) : -EAGAIN;
	ret = claim_message(s, room, at, len, &passed);
	if (unlikely(passed))
		wake_if(s, WORD_WRITERS);
	if (unlikely(ret == -EPROTO)) {
		stream_lock(s);
		ret = stream_broken(s, rx);
		stream_unlock(s);
		return ret;
	}
	/* All that was sent before the end was there when we looked. */
	if (unlikely(ret == -EAGAIN && word & WORD_ENDED))
		ret = claim_slow(s, rx, room, at, len);
	return ret;
}

static inline void retired(struct stream *s, struct receiver *rx, uint32_t pos, uint32_t len,
			   int64_t value)
{
	struct chain c = CHAIN_INIT(c);

	if (likely(!(len & SLOT_ASK) && !(s->flags & AOP_BROADCAST))) {
		release(s, pos, places_of(s, len));
		wake_if(s, WORD_WRITERS);
		return;
	}
	if (s->shared) {
		shared_answer(s, pos, value);
		release(s, pos, places_of(s, len));
		wake_if(s, WORD_WRITERS);
		return;
	}
	stream_lock(s);
	retire(s, rx, pos, len, value, &c);
	serve(s, &c);
	stream_unlock(s);
	waiters_end(c.first);
}

static __attribute__((noinline)) int pop_slow(struct receiver *rx, void *buf, size_t room)
{
	struct stream *s = rx->s;
	uint32_t pos, len;
	int ret;

	ret = claim(s, rx, room, &pos, &len);
	if (likely(ret > 0)) {
		copy(buf, place_at(s, pos), len & SLOT_LEN);
		retired(s, rx, pos, len, 1);
	}
	return ret;
}

/* One receiver, a message of one place that nobody asked: in a few lines. */
static inline __attribute__((always_inline))
int pop(struct receiver *rx, void *buf, size_t room)
{
	struct stream *s = rx->s;
	uint32_t word = word_of_stream(s), pos, len;
	struct slot *slot;

	if (unlikely(word & (WORD_RECEIVE | WORD_READERS)))
		return pop_slow(rx, buf, room);
	pos = atomic_load_explicit(&s->head, memory_order_relaxed);
	slot = slot_at(s, pos);
	if (atomic_load_explicit(&slot->seq, memory_order_acquire) != 2 * pos + 1)
		return word & WORD_ENDED ? pop_slow(rx, buf, room) : -EAGAIN;
	len = atomic_load_explicit(&slot->len, memory_order_relaxed);
	if (unlikely(len > s->place || len > room))	/* or has a flag */
		return pop_slow(rx, buf, room);
	atomic_store_explicit(&s->head, pos + 1, memory_order_relaxed);
	copy(buf, place_at(s, pos), len);
	release_slot(s, slot, pos);
	changed_slot(word);
	if (unlikely(atomic_load_explicit(s->peer, memory_order_acquire) & WORD_WRITERS))
		stream_served(s);
	return 1;
}

/**
 * aop_stream_try_pop() - receive a message, or not
 * @rx: a receiver
 * @buf: out: the message
 * @room: how many bytes @buf has
 *
 * May end the ops of senders, and so run their inline callbacks.  Never waits; without a
 * sender that waits or asks, and without AOP_BROADCAST, it takes no lock.  One thread at a
 * time, with AOP_MANY_RECEIVERS any number; not a signal handler.
 *
 * Return: 1; 0: the end; -EAGAIN: there is nothing now, or others wait; -EMSGSIZE: it is
 * longer than @room, and stays; or what the senders failed with, once: -EOWNERDEAD: they
 * have gone without a word.
 */
int aop_stream_try_pop(struct aop_receiver *rx, void *buf, size_t room)
{
	return pop(to_receiver(rx), buf, room);
}

/**
 * aop_stream_pop() - receive a message as soon as there is one
 * @rx: a receiver
 * @t: memory of the caller's, uninitialised, his again when the op is over
 * @buf: out: the message, before the op is over, if it ends with 1
 * @room: how many bytes @buf has
 *
 * Receivers wait in their order; one message wakes one (in a broadcast all).  Cancelling
 * or dropping the op leaves the line; a result of 1 always means that there is a message in
 * @buf.
 *
 * Does not block, allocates nothing.  As aop_stream_try_pop() otherwise.
 *
 * Return: the op of @t, never NULL, which ends as aop_stream_try_pop() says.
 */
struct aop *aop_stream_pop(struct aop_receiver *rx, struct aop_transfer *t, void *buf,
			   size_t room)
{
	struct transfer *tr = (struct transfer *)t;
	struct stream *s = to_receiver(rx)->s;
	int ret = pop(to_receiver(rx), buf, room);

	if (likely(ret != -EAGAIN))
		return waiter_ended(&tr->w, where_of(s), ret);
	tr->w.to = buf;
	tr->len = room;
	return stream_wait(s, tr, RECEIVE_POP, rx);
}

static int receive(struct receiver *rx, struct aop_message *m)
{
	uint32_t pos, len;
	int ret;

	ret = claim(rx->s, rx, SIZE_MAX, &pos, &len);
	if (likely(ret > 0))
		fill_message(rx->s, rx, m, pos, len);
	return ret;
}

/**
 * aop_stream_try_receive() - receive a message in place, or not
 * @rx: a receiver
 * @m: out: where it is, how long, and how many were lost before it (AOP_LOSSY)
 *
 * The place is the caller's until aop_stream_retire().  A lossy stream cannot lose what a
 * receiver looks at, so its senders meet -EAGAIN meanwhile when it is full.
 *
 * Return: as aop_stream_try_pop(), but for -EMSGSIZE.
 */
int aop_stream_try_receive(struct aop_receiver *rx, struct aop_message *m)
{
	return receive(to_receiver(rx), m);
}

/**
 * aop_stream_receive() - receive a message in place as soon as there is one
 * @rx: a receiver
 * @t: memory of the caller's, uninitialised, his again when the op is over
 * @m: out, if the op ends with 1: as of aop_stream_try_receive()
 *
 * As aop_stream_pop() otherwise.
 *
 * Return: the op of @t, never NULL, which ends as aop_stream_try_receive() says.
 */
struct aop *aop_stream_receive(struct aop_receiver *rx, struct aop_transfer *t,
			       struct aop_message *m)
{
	struct transfer *tr = (struct transfer *)t;
	struct stream *s = to_receiver(rx)->s;
	int ret = receive(to_receiver(rx), m);

	if (likely(ret != -EAGAIN))
		return waiter_ended(&tr->w, where_of(s), ret);
	tr->m = m;
	return stream_wait(s, tr, RECEIVE_MESSAGE, rx);
}

/**
 * aop_stream_retire() - give back the place of a message that was received
 * @rx: the receiver
 * @m: the message; dead afterwards.  In a broadcast in their order, otherwise in any
 * @value: what aop_stream_ask() ends with: 0 or more, or -1 to -4095
 *
 * May end the ops of senders, and so run their inline callbacks.  Does not block.  Any
 * thread in local scope; not a signal handler.
 *
 * Return: 0; -EINVAL: @m is no such message, or not the next, or @value is less, and
 * nothing happened.
 */
int aop_stream_retire(struct aop_receiver *rx, struct aop_message *m, int64_t value)
{
	struct receiver *r = to_receiver(rx);
	struct stream *s = r->s;
	uint32_t pos = m->priv, len = m->priv >> 32;

	if (unlikely(!m->data || m->data != place_at(s, pos) || value < -4095 ||
		     (!s->shared && !is_sent(s, pos))))
		return -EINVAL;
	if (unlikely(s->flags & AOP_BROADCAST && pos != r->done))
		return -EINVAL;
	m->data = NULL;
	retired(s, r, pos, len, value);
	return 0;
}
