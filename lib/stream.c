// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream.c - streams of one process: the stream and its ends, and how they go
 *
 * stream.h describes the ring and who locks what.
 */
#include "inproc.h"
#include "opts.h"
#include "private.h"
#include "stream.h"

static struct stream *to_stream(struct aop_stream *s)
{
	return (struct stream *)s;
}

static struct sender *to_sender(struct aop_sender *tx)
{
	return (struct sender *)tx;
}

static struct receiver *to_receiver(struct aop_receiver *rx)
{
	return (struct receiver *)rx;
}

/*
 * Who cancels the bound op of a receiver just now (cancel_bound()), or looks after a side of
 * a shared stream (stream_shared.c): a frame's `w` is the struct receiver, the side.
 */
struct home stream_home = { .scope = &scope_local };

static struct home *home_of(const struct stream *s)
{
	return is_local(s) ? &stream_home : &private_frames;
}

int stream_make(struct stream *s, struct aop_ctx *where, const struct aop_stream_opts *o)
{
	uint32_t place = (o->place + 7) & ~7u, word = 0;
	uint64_t max = o->places < 4 ? o->place : (uint64_t)o->places / 2 * place;

	if (!o->place || o->place > SLOT_LEN / 2 || !o->places || o->places & (o->places - 1) ||
	    o->places > 1u << 30 || o->flags & ~STREAM_FLAGS || !size_fits(o->place, o->places))
		return -EINVAL;
	if (o->flags & (AOP_LOSSY | AOP_ON_ALL) && !(o->flags & AOP_BROADCAST))
		return -EINVAL;
	if (where == AOP_LOCAL && !barrier_init())
		word |= WORD_FENCE;
	if (o->flags & AOP_MANY_SENDERS)
		word |= WORD_SEND;
	if (o->flags & (AOP_MANY_RECEIVERS | AOP_BROADCAST))
		word |= WORD_RECEIVE;
	memset(s, 0, sizeof(*s));
	s->place = place;
	s->mask = o->places - 1;
	s->max = max > SLOT_LEN ? SLOT_LEN : max;
	s->flags = o->flags | (where == AOP_LOCAL ? STREAM_LOCAL : 0);
	atomic_init(&s->word, word);
	s->peer = &s->word;
	s->more = o->more;
	s->data = o->data;
	return 0;
}

/**
 * aop_stream_init() - begin a stream
 * @stream: memory of the caller's, uninitialised; there is nothing to destroy
 * @where: AOP_PRIVATE: for one thread; AOP_LOCAL: for any
 * @mem: the caller's, AOP_STREAM_MEM(@o->place, @o->places) bytes or more, from a multiple of 16
 * @size: bytes of @mem
 * @o: options: AOP_STREAM_OPTS(.place = ..., .places = ...)
 *
 * A message has at most half of the places, or one place if there is one.  Without
 * AOP_MANY_SENDERS one thread at a time sends, without AOP_MANY_RECEIVERS one receives;
 * those are the fastest.  @o->more is called by a receive that begins to wait, on its
 * thread, with no lock held: it may send.
 *
 * Stream and memory are the caller's again when all ends have been dropped and the calls
 * that did so have returned.  Does not block, allocates nothing.
 *
 * Return: 0; -EINVAL: something is NULL or 0, the number of places is not a power of two,
 * @mem is too small or begins elsewhere, or @where is another scope; -E2BIG: options of a
 * newer library.
 */
int aop_stream_init(struct aop_stream *stream, struct aop_ctx *where, void *mem, size_t size,
		    const struct aop_stream_opts *o)
{
	struct aop_stream_opts copy;
	struct slot *slots = mem;
	uint32_t i;
	int ret;

	if (!stream || !mem || !o || (where != AOP_PRIVATE && where != AOP_LOCAL))
		return -EINVAL;
	ret = opts_copy(&copy, sizeof(copy), o);
	if (!ret)
		ret = stream_make(to_stream(stream), where, &copy);
	if (ret)
		return ret;
	if ((uintptr_t)mem % 16 || size < AOP_STREAM_MEM(copy.place, copy.places))
		return -EINVAL;
	to_stream(stream)->slots = slots;
	to_stream(stream)->mem = (char *)(slots + copy.places);
	for (i = 0; i < copy.places; i++) {
		atomic_init(&slots[i].seq, 2 * i);
		atomic_init(&slots[i].len, 0);
		slots[i].asker = NULL;
	}
	return 0;
}

/**
 * aop_stream_lost() - how often there was no room
 * @stream: a stream
 *
 * Any thread in local scope.
 *
 * Return: how many aop_stream_try_push() and aop_stream_acquire() have met -EAGAIN.
 */
uint64_t aop_stream_lost(struct aop_stream *stream)
{
	return atomic_load_explicit(&to_stream(stream)->lost, memory_order_relaxed);
}

/* ---- senders ---------------------------------------------------------------------- */

/**
 * aop_sender_init() - begin to send
 * @sender: memory of the caller's, uninitialised, until it is dropped
 * @stream: a stream
 * @flags: AOP_DROP_ENDS: if this is the last to be dropped, that is the end, as if it had
 *	called aop_sender_end(); without it receivers get -EOWNERDEAD first.  AOP_ONE_SHOT:
 *	it sends one message, after which the stream ends; dropped without, receivers get
 *	-EOWNERDEAD.
 *
 * Any thread in local scope.  A sender is used by one thread at a time, unless the stream
 * was made with AOP_MANY_SENDERS.
 *
 * Return: 0; -EINVAL: something is NULL, or @flags are wrong; -EBUSY: there is another
 * sender, and this one or that one is AOP_ONE_SHOT; -EPERM: this is the receivers' side of
 * a shared stream.
 */
int aop_sender_init(struct aop_sender *sender, struct aop_stream *stream, unsigned int flags)
{
	struct sender *tx = to_sender(sender);
	struct stream *s = to_stream(stream);
	int ret = 0;

	if (!tx || !s || flags & ~(AOP_DROP_ENDS | AOP_ONE_SHOT))
		return -EINVAL;
	*tx = (struct sender){ .s = s, .flags = flags };
	stream_lock(s);
	if (s->flags & STREAM_RECEIVES)
		ret = -EPERM;
	else if (s->nr_tx && (flags & AOP_ONE_SHOT || s->one_shot))
		ret = -EBUSY;
	else
		s->nr_tx++;
	if (!ret)
		s->one_shot = flags & AOP_ONE_SHOT;
	if (!ret && flags & AOP_ONE_SHOT)
		word_set(s, word_of_stream(s) | WORD_SEND);
	stream_unlock(s);
	return ret;
}

/**
 * aop_sender_clone() - one more sender like another
 * @sender: memory of the caller's, uninitialised, until it is dropped
 * @of: a sender
 *
 * Any thread in local scope.
 *
 * Return: 0; -EINVAL: @of is to send one message.
 */
int aop_sender_clone(struct aop_sender *sender, struct aop_sender *of)
{
	if (to_sender(of)->flags & AOP_ONE_SHOT)
		return -EINVAL;
	return aop_sender_init(sender, of->stream, to_sender(of)->flags);
}

static bool end_locked(struct stream *s, int error)
{
	uint32_t word = word_of_stream(s);

	if (word & WORD_ENDED)
		return false;
	s->error = error;
	word_set(s, word | WORD_ENDED);
	if (s->shared)
		shared_ended(s, error);
	return true;
}

/*
 * The last sender has gone: what it has acquired, and not sent, nobody will send.  Receivers
 * may take messages meanwhile, but not go past such a place.
 */
static void give_up_places(struct stream *s)
{
	uint32_t pos = atomic_load_explicit(&s->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&s->tail, memory_order_relaxed), seq;
	struct slot *slot;

	while (pos != tail) {
		slot = slot_at(s, pos);
		seq = atomic_load_explicit(&slot->seq, memory_order_acquire);
		if (seq == 2 * pos) {
			commit(s, pos++, SLOT_SKIP | 1);
		} else if (seq == 2 * pos + 1) {
			pos += places_of(s, atomic_load_explicit(&slot->len,
								 memory_order_relaxed));
		} else {
			pos++;			/* retired, out of turn */
		}
	}
}

/* The senders have gone without a word: take with them what receivers have bound. */
void cancel_bound(struct stream *s, int error, const struct frame *side)
{
	const bool local = is_local(s);
	struct home *h = home_of(s);
	struct receiver *rx;
	struct frame frame;
	struct aop *op;

	for (;;) {
		stream_lock(s);
		for (rx = s->rxs; rx && !rx->bound; rx = rx->next)
			;
		if (!rx) {
			stream_unlock(s);
			return;
		}
		op = rx->bound;
		rx->bound = NULL;
		home_lock(h, is_local(s));
		frame_enter(h, &frame, (struct watch *)rx, NULL);
		home_unlock(h, is_local(s));
		stream_unlock(s);
		aop_cancel(op, error);
		home_lock(h, local);
		frame_leave(h, &frame);
		home_unlock(h, local);
		if (side && !side->w)
			return;			/* closed meanwhile: s is gone */
	}
}

/**
 * aop_sender_drop() - a sender goes
 * @sender: one; dead afterwards
 *
 * If it was the last, and nobody has ended the stream before, that is the end, and as it
 * was made an error (see aop_sender_init()); places that were acquired and not sent are
 * given up.  Ends ops of those who wait to receive, and so runs their inline callbacks.
 * Does not block.  Any thread in local scope; not a signal handler.
 */
void aop_sender_drop(struct aop_sender *sender)
{
	struct sender *tx = to_sender(sender);
	struct chain c = CHAIN_INIT(c);
	struct stream *s = tx->s;
	bool lost = false;

	stream_lock(s);
	if (!--s->nr_tx) {
		if (!s->shared)
			give_up_places(s);
		if (tx->flags & AOP_DROP_ENDS && !(tx->flags & AOP_ONE_SHOT))
			end_locked(s, 0);
		else
			lost = end_locked(s, -EOWNERDEAD);
		serve(s, &c);
	}
	stream_unlock(s);
	waiters_end(c.first);
	if (lost)
		cancel_bound(s, -EOWNERDEAD, NULL);
	if (s->shared)
		shared_ring(s);
}

static int end(struct stream *s, int error)
{
	struct chain c = CHAIN_INIT(c);
	bool first;

	stream_lock(s);
	first = end_locked(s, error);
	serve(s, &c);
	stream_unlock(s);
	waiters_end(c.first);
	if (s->shared)
		shared_ring(s);
	return first ? 0 : -EALREADY;
}

/**
 * aop_sender_end() - nothing will be sent any more
 * @sender: one of the senders; still to be dropped
 *
 * For all senders: what is sent afterwards is refused with -EPIPE, as is what waits for a
 * place.  Receivers get what is in the stream, and then 0.  Ends ops, and so runs their
 * inline callbacks.  Does not block.  Any thread in local scope; not a signal handler.
 *
 * Return: 0; -EALREADY: it has ended before.
 */
int aop_sender_end(struct aop_sender *sender)
{
	return end(to_sender(sender)->s, 0);
}

/**
 * aop_sender_fail() - nothing will be sent any more, and that is an error
 * @sender: one of the senders; still to be dropped
 * @error: -1 to -4095: each receiver gets it once, after the last message
 *
 * Otherwise like aop_sender_end().
 *
 * Return: 0; -EALREADY: it has ended before; -EINVAL: @error is none.
 */
int aop_sender_fail(struct aop_sender *sender, int error)
{
	if (error >= 0 || error < -4095)
		return -EINVAL;
	return end(to_sender(sender)->s, error);
}

/* ---- receivers -------------------------------------------------------------------- */

/**
 * aop_receiver_init() - begin to receive
 * @receiver: memory of the caller's, uninitialised, until it is dropped
 * @stream: a stream
 * @flags: 0
 *
 * In a broadcast the first one gets what is in the stream already, another one what is
 * sent from now on, and what stands behind that.  Any thread in local scope.
 *
 * Return: 0; -EINVAL: something is NULL, or @flags are wrong; -EPERM: this is the senders'
 * side of a shared stream.
 */
int aop_receiver_init(struct aop_receiver *receiver, struct aop_stream *stream,
		      unsigned int flags)
{
	struct receiver *rx = to_receiver(receiver);
	struct stream *s = to_stream(stream);
	struct receiver *other;

	if (!rx || !s || flags)
		return -EINVAL;
	stream_lock(s);
	for (other = s->rxs; ASSERTS && other; other = other->next)
		assert_that(other != rx, "a receiver is initialised again before it was dropped");
	*rx = (struct receiver){ .s = s };
	if (s->flags & STREAM_SENDS) {
		stream_unlock(s);
		return -EPERM;
	}
	rx->head = atomic_load_explicit(&s->head, memory_order_relaxed);
	if (s->flags & AOP_BROADCAST && s->nr_rx)
		rx->head = cast_begin(s);
	rx->done = rx->head;
	rx->next = s->rxs;
	s->rxs = rx;
	s->nr_rx++;
	word_set(s, word_of_stream(s) & ~WORD_DEAF);
	stream_unlock(s);
	return 0;
}

/* Nobody cancels what was bound to rx afterwards, but for the caller. */
static void forget_bound(struct stream *s, struct receiver *rx)
{
	struct home *h = home_of(s);

	home_lock(h, is_local(s));
	if (frame_forget(h, (struct watch *)rx) && is_local(s))
		frame_wait(h, (struct watch *)rx);
	home_unlock(h, is_local(s));
}

/**
 * aop_receiver_drop() - a receiver goes
 * @receiver: one, that nobody waits with and that has retired all that it got; dead
 *	afterwards
 *
 * If it was the last: what is in the stream is dropped, who asked gets -EPIPE, and so does
 * who sends from now on.  Ends ops, and so runs their inline callbacks.  Waits for the
 * cancel of what is bound, if another thread makes it just now.  Any thread in local
 * scope; not a signal handler.
 */
void aop_receiver_drop(struct aop_receiver *receiver)
{
	struct receiver *rx = to_receiver(receiver), **p;
	struct chain c = CHAIN_INIT(c);
	struct stream *s = rx->s;

	stream_lock(s);
	for (p = &s->rxs; *p != rx; p = &(*p)->next)
		;
	*p = rx->next;
	if (!--s->nr_rx) {
		word_set(s, word_of_stream(s) | WORD_DEAF);
		if (s->shared)
			shared_ended(s, 0);
	}
	if (s->flags & AOP_BROADCAST)
		cast_release(s, &c);
	serve(s, &c);
	stream_unlock(s);
	waiters_end(c.first);
	forget_bound(s, rx);
	if (s->shared)
		shared_ring(s);
}

/**
 * aop_receiver_bind() - something that goes with the senders
 * @receiver: a receiver
 * @op: an op of the caller's, as a task's, that stays until it is replaced or the receiver
 *	is dropped; NULL: none
 *
 * When the last sender is dropped without having ended the stream, and that is an error,
 * @op is cancelled with -EOWNERDEAD.  Waits for that if another thread does it just now.
 * Any thread in local scope.
 *
 * Return: 0; -EALREADY: the stream has ended before, and @op is not going to be cancelled.
 */
int aop_receiver_bind(struct aop_receiver *receiver, struct aop *op)
{
	struct receiver *rx = to_receiver(receiver);
	struct stream *s = rx->s;
	int ret = 0;

	stream_lock(s);
	if (word_of_stream(s) & WORD_ENDED)
		ret = op ? -EALREADY : 0;
	rx->bound = ret ? NULL : op;
	stream_unlock(s);
	forget_bound(s, rx);
	return ret;
}
