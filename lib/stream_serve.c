// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream_serve.c - those who wait for a message of a stream, for a place, for an answer
 *
 * Whoever changes the ring while somebody waits gives it to him here, so that a result of
 * 1 always means that the message has been sent or received.
 */
#include "stream.h"

/*
 * Shared, and the senders have ended: what they have acquired and not sent they never send.
 * Go past it to what was sent behind it, which is less than a lap away.
 */
static bool go_past_unsent(struct stream *s)
{
	uint32_t head = atomic_load_explicit(&s->head, memory_order_relaxed), n;

	for (n = 0; n <= s->mask; n++) {
		if (!is_sent(s, head + n))
			continue;
		/* If another thread has taken a message meanwhile, we look again. */
		if (n)
			atomic_compare_exchange_strong_explicit(&s->head, &head, head + n,
								memory_order_relaxed,
								memory_order_relaxed);
		return true;
	}
	return false;
}

/* What a receiver is told when there is no message. */
static int no_message(struct stream *s, struct receiver *rx)
{
	const bool cast = s->flags & AOP_BROADCAST;
	uint32_t head;

	if (!(word_of_stream(s) & WORD_ENDED))
		return -EAGAIN;
	head = cast ? rx->head : atomic_load_explicit(&s->head, memory_order_relaxed);
	if (!s->shared && head != atomic_load_explicit(&s->tail, memory_order_relaxed))
		return -EAGAIN;		/* acquired before the end: it may be sent yet */
	if (s->error && !rx->told) {
		rx->told = true;
		return s->error;
	}
	return 0;
}

int stream_next(struct stream *s, struct receiver *rx, size_t room, uint32_t *at, uint32_t *len,
		bool *passed)
{
	uint32_t word = word_of_stream(s), tries = 0;
	int ret;

	if (unlikely(word & WORD_BROKEN))
		return no_message(s, rx);
	if (s->flags & AOP_BROADCAST)
		ret = cast_claim(s, rx, room, at, len, passed);
	else
		ret = claim_message(s, room, at, len, passed);
	/* A bound: the peer may show us something, and take it away, for ever. */
	while (s->shared && ret == -EAGAIN && word & WORD_ENDED && tries++ <= s->mask &&
	       go_past_unsent(s))
		ret = claim_message(s, room, at, len, passed);
	if (unlikely(ret == -EPROTO))
		return stream_broken(s, rx);
	return ret == -EAGAIN ? no_message(s, rx) : ret;
}

void fill_message(struct stream *s, struct receiver *rx, struct aop_message *m, uint32_t pos,
		  uint32_t len)
{
	m->data = place_at(s, pos);
	m->len = len & SLOT_LEN;
	m->lost = 0;
	m->priv = (uint64_t)len << 32 | pos;
	if (rx && s->flags & AOP_LOSSY) {
		m->lost = rx->lost;
		rx->lost = 0;
	}
}

void retire(struct stream *s, struct receiver *rx, uint32_t pos, uint32_t len, int64_t value,
	    struct chain *c)
{
	struct slot *slot = slot_at(s, pos);

	if (s->flags & AOP_BROADCAST) {
		cast_retire(s, rx, pos, value, c);
		return;
	}
	if (len & SLOT_ASK && s->shared) {
		shared_answer(s, pos, value);
	} else if (len & SLOT_ASK && slot->asker) {
		slot->asker->in_ring = false;
		chain_add(c, &slot->asker->w, value);
	}
	release(s, pos, places_of(s, len));
}

int stream_broken(struct stream *s, struct receiver *rx)
{
	uint32_t word = word_of_stream(s);

	if (!(word & WORD_BROKEN))
		s->error = -EPROTO;
	word_set(s, word | WORD_ENDED | WORD_BROKEN | WORD_RECEIVE);
	return no_message(s, rx);
}

/* A message for a reader: false: there is none, nor will he be told why. */
static bool give(struct stream *s, struct transfer *t, struct chain *c)
{
	size_t room = t->kind == RECEIVE_POP ? t->len : SIZE_MAX;
	struct receiver *rx = t->end;
	uint32_t pos, len;
	bool passed;			/* serve() looks at the writers afterwards */
	int ret;

	ret = stream_next(s, rx, room, &pos, &len, &passed);
	if (ret == -EAGAIN)
		return false;
	if (ret > 0 && t->kind == RECEIVE_POP) {
		copy(t->w.to, place_at(s, pos), len & SLOT_LEN);
		retire(s, rx, pos, len, 1, c);
	} else if (ret > 0) {
		fill_message(s, rx, t->m, pos, len);
	}
	line_remove(&s->readers, &t->w);
	chain_add(c, &t->w, ret);
	return true;
}

/* A place for a writer. */
static bool put(struct stream *s, struct transfer *t, struct chain *c)
{
	struct sender *tx = t->end;
	uint32_t pos;

	if (word_of_stream(s) & (WORD_ENDED | WORD_DEAF)) {
		line_remove(&s->writers, &t->w);
		chain_add(c, &t->w, -EPIPE);
		return true;
	}
	while (claim_places(s, t->len, &pos))
		if (!(s->flags & AOP_LOSSY) || !cast_lose(s, c))
			return false;
	line_remove(&s->writers, &t->w);
	if (unlikely(tx))
		tx->used = true;
	if (t->kind == SEND_PLACE) {
		fill_message(s, NULL, t->m, pos, t->len);
		chain_add(c, &t->w, 1);
		return true;
	}
	copy(place_at(s, pos), t->w.from, t->len);
	if (t->kind == SEND_ASK) {
		t->pos = pos;
		t->in_ring = true;
		t->answered = false;
		if (s->shared)
			shared_ask(s, t, c);
		else
			slot_at(s, pos)->asker = t;
		commit(s, pos, t->len | SLOT_ASK);
	} else {
		commit(s, pos, t->len);
		chain_add(c, &t->w, 1);
	}
	if (unlikely(tx)) {
		word_set(s, word_of_stream(s) | WORD_ENDED);
		if (s->shared)
			shared_ended(s, 0);
	}
	return true;
}

/* Nobody receives: what is sent nevertheless is retired with -EPIPE. */
static void drain(struct stream *s, struct chain *c)
{
	uint32_t pos, len;
	bool passed;

	if (s->shared)
		return;
	if (s->flags & AOP_BROADCAST) {
		cast_release(s, c);
		return;
	}
	while (claim_message(s, SIZE_MAX, &pos, &len, &passed) > 0)
		retire(s, NULL, pos, len, -EPIPE, c);
}

static uint32_t with_waiters(const struct stream *s, uint32_t word)
{
	word &= ~(WORD_READERS | WORD_WRITERS);
	if (s->readers.first)
		word |= WORD_READERS;
	if (s->writers.first)
		word |= WORD_WRITERS;
	return word;
}

void serve(struct stream *s, struct chain *c)
{
	uint32_t word = word_of_stream(s);
	struct waiter *w, *next;
	bool more = true;

	/* First say that somebody waits, and then look: see stream.h. */
	if (s->shared) {
		shared_waits(s);
		shared_hear(s, c);
		shared_answers(s, c);
		word = word_of_stream(s);
	} else if (with_waiters(s, word) & ~word) {
		word = with_waiters(s, word);
		word_set(s, word);
		if (word & WORD_FENCE)
			atomic_thread_fence(memory_order_seq_cst);
		else if (is_local(s))
			barrier_heavy();
	}
	if (unlikely(word & WORD_DEAF))
		drain(s, c);
	while (more) {
		more = false;
		for (w = s->readers.first; w; w = next) {
			next = w->next;
			if (give(s, to_transfer(w), c))
				more = true;
			else if (!(s->flags & AOP_BROADCAST))
				break;
		}
		while ((w = s->writers.first) && put(s, to_transfer(w), c))
			more = true;
	}
	word_set(s, with_waiters(s, word_of_stream(s)));
}

/*
 * It may have sent, or retired: the peer may wait for that.  Before ops are ended, whose
 * callbacks may give back the stream.
 */
static void served(struct stream *s)
{
	if (s->shared)
		wake_if(s, WORD_READERS | WORD_WRITERS);
}

void stream_served(struct stream *s)
{
	if (s->shared) {
		shared_wake(s);
		return;
	}
	stream_serve(s);
}

void stream_serve(struct stream *s)
{
	struct chain c = CHAIN_INIT(c);

	stream_lock(s);
	serve(s, &c);
	stream_unlock(s);
	served(s);
	waiters_end(c.first);
}

/* Cancelled, or dropped.  What has been sent stays sent, but is not answered any more. */
static void stream_asked(struct aop_watch *watch, const struct aop_status *st)
{
	struct waiter *w = watch->data;
	struct transfer *t = to_transfer(w);
	struct chain c = CHAIN_INIT(c);
	struct stream *s = w->of;
	bool mine;

	(void)st;
	stream_lock(s);
	mine = w->queued || t->in_ring;
	if (w->queued)
		line_remove(t->kind <= SEND_ASK ? &s->writers : &s->readers, w);
	else if (t->in_ring && s->shared)
		shared_forget(s, t);
	else if (t->in_ring)
		slot_at(s, t->pos)->asker = NULL;
	t->in_ring = false;
	if (mine)
		serve(s, &c);
	stream_unlock(s);
	served(s);
	if (mine)
		waiter_cancelled(w);
	waiters_end(c.first);
}

struct aop *stream_wait(struct stream *s, struct transfer *t, enum transfer_kind kind, void *end)
{
	const bool reads = kind > SEND_ASK;
	struct chain c = CHAIN_INIT(c);
	bool more;

	t->in_ring = false;
	if (unlikely(waiter_init(&t->w, where_of(s), s, stream_asked)))
		return &t->w.op;
	t->end = end;
	t->kind = kind;
	stream_lock(s);
	line_add(reads ? &s->readers : &s->writers, &t->w);
	serve(s, &c);
	more = reads && (s->more || s->shared) && t->w.queued;
	stream_unlock(s);
	served(s);
	waiters_end(c.first);
	if (s->shared && reads && more)
		shared_asks_more(s);
	else if (more)
		s->more((struct aop_stream *)s, s->data);
	return &t->w.op;
}
