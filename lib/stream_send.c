// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream_send.c - sending into a stream, by value and in place
 */
#include "stream.h"

static struct sender *to_sender(struct aop_sender *tx)
{
	return (struct sender *)tx;
}

/* Full, as far as claim_places() sees; others may wait, or there is something to lose. */
static int claim_slow(struct stream *s, size_t len, uint32_t *at)
{
	struct chain c = CHAIN_INIT(c);
	int ret = -EAGAIN;

	if (s->flags & AOP_LOSSY) {
		stream_lock(s);
		if (!s->writers.first)
			while ((ret = claim_places(s, len, at)) && cast_lose(s, &c))
				;
		stream_unlock(s);
		waiters_end(c.first);
	}
	return ret;
}

static inline int claim(struct sender *tx, size_t len, uint32_t *at)
{
	struct stream *s = tx->s;
	uint32_t word = word_of_stream(s);
	int ret;

	if (unlikely(len > s->max))
		return -EMSGSIZE;
	if (unlikely(word & (WORD_ENDED | WORD_DEAF | WORD_WRITERS) || tx->used))
		return word & (WORD_ENDED | WORD_DEAF) || tx->used ? -EPIPE : -EAGAIN;
	ret = claim_places(s, len, at);
	if (unlikely(ret))
		ret = claim_slow(s, len, at);
	if (likely(!ret) && unlikely(tx->flags & AOP_ONE_SHOT))
		tx->used = true;
	return ret;
}

/* Who waits in a line: only a one-shot sender, which is the last, is told what happened. */
static void *end_of(struct sender *tx)
{
	return unlikely(tx->flags & AOP_ONE_SHOT) ? tx : NULL;
}

static void count_lost(struct stream *s)
{
	if (is_local(s))
		atomic_fetch_add_explicit(&s->lost, 1, memory_order_relaxed);
	else
		atomic_store_explicit(&s->lost, atomic_load_explicit(&s->lost,
								     memory_order_relaxed) + 1,
				      memory_order_relaxed);
}

/* pos has been committed. */
static inline void sent(struct sender *tx)
{
	if (unlikely(tx->flags & AOP_ONE_SHOT))
		aop_sender_end((struct aop_sender *)tx);
	wake_if(tx->s, WORD_READERS | WORD_DEAF);
}

static __attribute__((noinline)) int push_slow(struct sender *tx, const void *msg, size_t len)
{
	struct stream *s = tx->s;
	uint32_t pos;
	int ret;

	ret = claim(tx, len, &pos);
	if (unlikely(ret))
		return ret;
	copy(place_at(s, pos), msg, len);
	commit(s, pos, len);
	sent(tx);
	return 1;
}

/* One sender, a message of one place, nobody waits: what the others do, in a few lines. */
static inline __attribute__((always_inline))
int push(struct sender *tx, const void *msg, size_t len)
{
	struct stream *s = tx->s;
	uint32_t word = word_of_stream(s), pos;
	struct slot *slot;

	if (unlikely(word & (WORD_SEND | WORD_ENDED | WORD_DEAF | WORD_WRITERS) ||
		     len > s->place))
		return push_slow(tx, msg, len);
	pos = atomic_load_explicit(&s->tail, memory_order_relaxed);
	slot = slot_at(s, pos);
	if (unlikely(atomic_load_explicit(&slot->seq, memory_order_acquire) != 2 * pos))
		return push_slow(tx, msg, len);
	atomic_store_explicit(&s->tail, pos + 1, memory_order_relaxed);
	copy(place_at(s, pos), msg, len);
	commit_slot(slot, pos, len);
	changed_slot(word);
	if (unlikely(atomic_load_explicit(s->peer, memory_order_acquire) &
		     (WORD_READERS | WORD_DEAF)))
		stream_served(s);
	return 1;
}

/**
 * aop_stream_try_push() - send a message, or not
 * @tx: a sender
 * @msg: copied
 * @len: how many bytes
 *
 * May end the op of a receiver, and so run its inline callbacks.  Never waits; without a
 * receiver that waits it takes no lock.  One thread at a time, with AOP_MANY_SENDERS any
 * number; not a signal handler.
 *
 * Return: 1; -EAGAIN: the stream is full, or others wait for a place; counted by
 * aop_stream_lost(); -EPIPE: it has ended, or nobody receives any more; -EMSGSIZE.
 */
int aop_stream_try_push(struct aop_sender *tx, const void *msg, size_t len)
{
	int ret = push(to_sender(tx), msg, len);

	if (unlikely(ret == -EAGAIN))
		count_lost(to_sender(tx)->s);
	return ret;
}

/**
 * aop_stream_push() - send a message as soon as there is room
 * @tx: a sender
 * @t: memory of the caller's, uninitialised, his again when the op is over
 * @msg: copied some time before the op is over, unless it is cancelled
 * @len: how many bytes
 *
 * Senders wait in their order.  Cancelling or dropping the op leaves the line; a result of
 * 1 always means that the message is in the stream.
 *
 * Does not block, allocates nothing.  As aop_stream_try_push() otherwise.
 *
 * Return: the op of @t, never NULL: DONE, 1; or FAILED, -EPIPE, -EMSGSIZE.
 */
struct aop *aop_stream_push(struct aop_sender *tx, struct aop_transfer *t, const void *msg,
			    size_t len)
{
	struct transfer *tr = (struct transfer *)t;
	struct stream *s = to_sender(tx)->s;
	int ret = push(to_sender(tx), msg, len);

	if (likely(ret != -EAGAIN))
		return waiter_ended(&tr->w, where_of(s), ret);
	tr->w.from = msg;
	tr->len = len;
	return stream_wait(s, tr, SEND_PUSH, end_of(to_sender(tx)));
}

/**
 * aop_stream_acquire() - a place to write a message in
 * @tx: a sender
 * @len: how many bytes it will have at the most
 * @m: out: data, and len
 *
 * Nobody sees the message before aop_stream_send(), which cannot fail; those behind it
 * wait for it.  Whoever does not want to send it any more gives it back with
 * aop_stream_discard().  Never waits, otherwise as aop_stream_try_push().
 *
 * Return: 0; otherwise as aop_stream_try_push().
 */
int aop_stream_acquire(struct aop_sender *tx, size_t len, struct aop_message *m)
{
	struct stream *s = to_sender(tx)->s;
	uint32_t pos;
	int ret;

	ret = claim(to_sender(tx), len, &pos);
	if (likely(!ret))
		fill_message(s, NULL, m, pos, len);
	else if (ret == -EAGAIN)
		count_lost(s);
	return ret;
}

/**
 * aop_stream_place() - a place to write a message in, as soon as there is one
 * @tx: a sender
 * @t: memory of the caller's, uninitialised, his again when the op is over
 * @len: how many bytes it will have at the most
 * @m: out, if the op ends with 1: as of aop_stream_acquire()
 *
 * As aop_stream_push() otherwise.
 *
 * Return: the op of @t, never NULL: DONE, 1: send or discard @m; or FAILED, -EPIPE,
 * -EMSGSIZE.
 */
struct aop *aop_stream_place(struct aop_sender *tx, struct aop_transfer *t, size_t len,
			     struct aop_message *m)
{
	struct transfer *tr = (struct transfer *)t;
	struct stream *s = to_sender(tx)->s;
	uint32_t pos;
	int ret;

	ret = claim(to_sender(tx), len, &pos);
	if (ret != -EAGAIN) {
		if (!ret)
			fill_message(s, NULL, m, pos, len);
		return waiter_ended(&tr->w, where_of(s), ret ? ret : 1);
	}
	tr->m = m;
	tr->len = len;
	return stream_wait(s, tr, SEND_PLACE, end_of(to_sender(tx)));
}

/* Is m a place that was acquired, and is neither sent nor discarded? */
static bool is_open(const struct stream *s, const struct aop_message *m)
{
	uint32_t pos = m->priv;

	if (!m->data || m->data != place_at(s, pos) || m->len > m->priv >> 32)
		return false;
	/* In shared scope the peer may have written anything there. */
	return s->shared ||
	       atomic_load_explicit(&slot_at(s, pos)->seq, memory_order_relaxed) == 2 * pos;
}

/**
 * aop_stream_send() - send a message that was written in its place
 * @tx: the sender that acquired it
 * @m: it; its len may be less than what was acquired; dead afterwards
 *
 * Cannot fail for what was acquired, also after the end.  Otherwise as
 * aop_stream_try_push().
 *
 * Return: 0; -EINVAL: @m is no acquired place, or is longer, and nothing happened.
 */
int aop_stream_send(struct aop_sender *tx, struct aop_message *m)
{
	struct stream *s = to_sender(tx)->s;
	uint32_t pos = m->priv, had, need;

	if (unlikely(!is_open(s, m)))
		return -EINVAL;
	had = places_of(s, m->priv >> 32);
	need = places_of(s, m->len);
	m->data = NULL;
	if (unlikely(need < had))
		commit(s, pos + need, SLOT_SKIP | (had - need));
	commit(s, pos, m->len);
	sent(to_sender(tx));
	return 0;
}

/**
 * aop_stream_discard() - give back a place
 * @tx: the sender that acquired it
 * @m: it; dead afterwards
 *
 * Return: as aop_stream_send().
 */
int aop_stream_discard(struct aop_sender *tx, struct aop_message *m)
{
	struct stream *s = to_sender(tx)->s;
	uint32_t pos = m->priv, n, tail;

	if (unlikely(!is_open(s, m)))
		return -EINVAL;
	n = places_of(s, m->priv >> 32);
	m->data = NULL;
	to_sender(tx)->used = false;
	/* The last one of all: nobody has seen that the tail was ever there. */
	tail = pos + n;
	if (!is_local(s) && atomic_load_explicit(&s->tail, memory_order_relaxed) == tail)
		atomic_store_explicit(&s->tail, pos, memory_order_relaxed);
	else if (!is_local(s) ||
		 !atomic_compare_exchange_strong_explicit(&s->tail, &tail, pos,
							  memory_order_release,
							  memory_order_relaxed))
		commit(s, pos, SLOT_SKIP | n);
	wake_if(s, WORD_READERS | WORD_WRITERS | WORD_DEAF);
	if (s->shared && word_of_stream(s) & WORD_WRITERS)
		stream_serve(s);
	return 0;
}

/**
 * aop_stream_ask() - send a message, and wait until it is retired
 * @tx: a sender
 * @t: memory of the caller's, uninitialised, his again when the op is over
 * @msg: copied some time before the op is over
 * @len: how many bytes
 *
 * Waits for a place, as aop_stream_push(), and then for the receiver: the op ends with
 * what the message is retired with (in a broadcast by the first; with AOP_ON_ALL by the
 * last, and the first error counts).  A receive by value retires it with 1.
 *
 * Cancelling or dropping the op takes back a message that has no place yet; one that is in
 * the stream arrives, and its answer is dropped.
 *
 * Does not block, allocates nothing, takes the stream's lock.  As aop_stream_try_push()
 * otherwise.
 *
 * Return: the op of @t, never NULL; FAILED, -EPIPE: the stream has ended, or the last
 * receiver has gone; -EMSGSIZE.
 */
struct aop *aop_stream_ask(struct aop_sender *tx, struct aop_transfer *t, const void *msg,
			   size_t len)
{
	struct transfer *tr = (struct transfer *)t;
	struct sender *sender = to_sender(tx);
	struct stream *s = sender->s;

	if (len > s->max || sender->used)
		return waiter_ended(&tr->w, where_of(s), sender->used ? -EPIPE : -EMSGSIZE);
	tr->w.from = msg;
	tr->len = len;
	return stream_wait(s, tr, SEND_ASK, end_of(sender));
}
