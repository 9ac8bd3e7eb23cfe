// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream_cast.c - streams whose every message goes to each receiver
 *
 * Each receiver has a head of its own, and `done`: what it has retired, in order.  The
 * stream's head is the least of these.  All of it is under the stream's lock; senders
 * take it only to wake somebody, or, in a lossy stream, to make room.
 */
#include "stream.h"

static bool is_skip(const struct stream *s, uint32_t pos)
{
	return atomic_load_explicit(&slot_at(s, pos)->len, memory_order_relaxed) & SLOT_SKIP;
}

static uint32_t after(const struct stream *s, uint32_t pos)
{
	return pos + places_of(s, atomic_load_explicit(&slot_at(s, pos)->len,
						       memory_order_relaxed));
}

/* Free the record at head. */
static void release_first(struct stream *s, struct chain *c)
{
	uint32_t head = atomic_load_explicit(&s->head, memory_order_relaxed);
	struct slot *slot = slot_at(s, head);
	uint32_t len = atomic_load_explicit(&slot->len, memory_order_relaxed);
	struct transfer *t;

	if (!(len & SLOT_SKIP) && len & SLOT_ASK && slot->asker) {
		t = slot->asker;
		t->in_ring = false;
		chain_add(c, &t->w, t->answered ? t->w.result : -EPIPE);
	}
	release(s, head, places_of(s, len));
	atomic_store_explicit(&s->head, head + places_of(s, len), memory_order_relaxed);
}

void cast_release(struct stream *s, struct chain *c)
{
	uint32_t head = atomic_load_explicit(&s->head, memory_order_relaxed), least;
	struct receiver *rx;

	if (!s->rxs) {
		while (word_of_stream(s) & WORD_DEAF && is_sent(s, head)) {
			release_first(s, c);
			head = atomic_load_explicit(&s->head, memory_order_relaxed);
		}
		return;
	}
	least = s->rxs->done - head;
	for (rx = s->rxs->next; rx; rx = rx->next)
		if (rx->done - head < least)
			least = rx->done - head;
	least += head;
	while (atomic_load_explicit(&s->head, memory_order_relaxed) != least)
		release_first(s, c);
}

/*
 * Behind what has been sent, but not behind a place that is only acquired: it may be given
 * back, and nobody would retire it if the others went.
 */
uint32_t cast_begin(struct stream *s)
{
	uint32_t pos = atomic_load_explicit(&s->head, memory_order_relaxed);

	while (is_sent(s, pos))
		pos = after(s, pos);
	return pos;
}

int cast_claim(struct stream *s, struct receiver *rx, size_t room, uint32_t *at, uint32_t *len,
	       bool *passed)
{
	struct chain none = CHAIN_INIT(none);
	uint32_t next;

	for (;; rx->head = next) {
		if (!is_sent(s, rx->head))
			return -EAGAIN;
		if (!is_skip(s, rx->head))
			break;
		next = after(s, rx->head);
		if (rx->done != rx->head)
			continue;		/* until what is before it is retired */
		rx->done = next;
		cast_release(s, &none);		/* nobody asked anything there */
		*passed = true;
	}
	*len = atomic_load_explicit(&slot_at(s, rx->head)->len, memory_order_relaxed);
	if ((*len & SLOT_LEN) > room)
		return -EMSGSIZE;
	*at = rx->head;
	rx->head = after(s, rx->head);
	return 1;
}

void cast_retire(struct stream *s, struct receiver *rx, uint32_t pos, int64_t value,
		 struct chain *c)
{
	struct slot *slot = slot_at(s, pos);
	struct transfer *t = NULL;

	if (atomic_load_explicit(&slot->len, memory_order_relaxed) & SLOT_ASK)
		t = slot->asker;
	if (t && !(s->flags & AOP_ON_ALL)) {
		slot->asker = NULL;
		t->in_ring = false;
		chain_add(c, &t->w, value);
	} else if (t && (!t->answered || t->w.result >= 0)) {
		t->answered = true;
		t->w.result = value;
	}
	rx->done = after(s, pos);
	while (rx->done != rx->head && is_skip(s, rx->done))
		rx->done = after(s, rx->done);
	cast_release(s, c);
}

bool cast_lose(struct stream *s, struct chain *c)
{
	uint32_t head = atomic_load_explicit(&s->head, memory_order_relaxed);
	struct receiver *rx;

	if (!is_sent(s, head))
		return false;
	for (rx = s->rxs; rx; rx = rx->next)
		if (rx->done == head && rx->head != head)
			return false;		/* it is looking at it */
	for (rx = s->rxs; rx; rx = rx->next) {
		if (rx->done != head)
			continue;
		if (!is_skip(s, head))
			rx->lost++;
		rx->done = after(s, head);
		rx->head = rx->done;
	}
	if (s->rxs)
		cast_release(s, c);
	else
		release_first(s, c);
	return true;
}
