// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream_shared.c - streams between processes, once they have begun (stream_offer.c)
 *
 * The memory is a sealed memfd that both sides map: a head, the slots, the places.  It
 * holds no index and no pointer.  Positions are private to each side, and all that is read
 * from the other side is read once and checked (claim_message()), or only compared: so
 * whatever he writes there, nothing outside is read or written, nobody loops, and the worst
 * is that the stream ends with -EPROTO, or says nonsense.  A message is there when its slot
 * says so, which is the last that its sender writes: what a killed one had begun is never
 * seen.
 *
 * Sending and receiving make no system call.  Who waits sets a bit in his word of the head,
 * has a full barrier, and looks at the ring; who has changed the ring has a full barrier, and
 * looks at that bit: one of them sees the other.  He then takes the bit away, so that he
 * rings once, with a progress of his doorbell, an op that he owns and the other one
 * watches.  That one dispatches its context, looks at the ring, and sets the bit again if
 * he still waits.  If the doorbell's owner dies, the op ends: so the other one learns it.
 *
 * Locks: as in stream.h, each side its own.  rings: how many rings are wanted: the one who
 * makes it 1 drives the doorbell, for all.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stream_shared.h"

/* ---- the doorbell ------------------------------------------------------------------ */

static void ring(struct shared_stream *ss)
{
	uint32_t seen = 1;

	if (atomic_fetch_add_explicit(&ss->rings, 1, memory_order_acq_rel))
		return;			/* who rings just now does it once more */
	do {
		aop_progress((struct aop_owner *)&ss->mine, seen, 0);
	} while (!atomic_compare_exchange_strong_explicit(&ss->rings, &seen, 0,
							  memory_order_acq_rel,
							  memory_order_acquire));
}

void shared_wake(struct stream *s)
{
	uint32_t bit = s->flags & STREAM_SENDS ? WORD_READERS : WORD_WRITERS;

	/* The bit is his: he sets it again before he looks for the last time. */
	if (atomic_fetch_and_explicit(s->peer, ~bit, memory_order_acq_rel) & bit)
		ring(s->shared);
}

void shared_waits(struct stream *s)
{
	struct shared_stream *ss = s->shared;
	uint32_t bit = s->flags & STREAM_SENDS ? WORD_WRITERS : WORD_READERS;

	if (!s->readers.first && !s->writers.first && !ss->asked)
		return;
	atomic_fetch_or_explicit(&my(ss)->word, bit, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

void shared_ended(struct stream *s, int error)
{
	struct shared_stream *ss = s->shared;

	atomic_store_explicit(&my(ss)->error, error, memory_order_relaxed);
	/* Release: what was sent before.  Pairs with hear(). */
	atomic_fetch_or_explicit(&my(ss)->word, SHM_ENDED, memory_order_release);
}

void shared_ring(struct stream *s)
{
	ring(s->shared);
}

void shared_asks_more(struct stream *s)
{
	if (atomic_load_explicit(s->peer, memory_order_relaxed) & SHM_MORE)
		ring(s->shared);
}

/* What the other side says about itself; it may lie. */
static void hear(struct shared_stream *ss, bool dead, struct chain *c)
{
	uint32_t word = atomic_load_explicit(&other(ss)->word, memory_order_acquire);
	int error = atomic_load_explicit(&other(ss)->error, memory_order_relaxed);
	struct stream *s = &ss->s;
	uint32_t i, mine = word_of_stream(s);

	if (!(word & SHM_ENDED) && !dead)
		return;
	if (!(word & SHM_ENDED))
		error = -EOWNERDEAD;
	else if (error > 0 || error < -4095)
		error = -EPROTO;
	if (ss->side == SENDS) {
		word_set(s, mine | WORD_DEAF);
		shared_answers(s, c);
		for (i = 0; ss->asked && i <= s->mask; i++) {
			if (!ss->askers[i])
				continue;
			ss->askers[i]->in_ring = false;
			chain_add(c, &ss->askers[i]->w, -EPIPE);
			ss->askers[i] = NULL;
			ss->asked--;
		}
	} else if (!(mine & WORD_ENDED)) {
		s->error = error;
		word_set(s, mine | WORD_ENDED);
	}
}

void shared_hear(struct stream *s, struct chain *c)
{
	hear(s->shared, false, c);
}

/* frame->w: is this side still there?  Callbacks may close it. */
static void look(struct shared_stream *ss, bool dead, const struct frame *frame)
{
	struct chain c = CHAIN_INIT(c);
	struct stream *s = &ss->s;
	bool lost, more;

	stream_lock(s);
	hear(ss, dead, &c);
	serve(s, &c);
	lost = ss->side == RECEIVES && word_of_stream(s) & WORD_ENDED && s->error == -EOWNERDEAD;
	more = s->more && ss->side == SENDS && !(word_of_stream(s) & (WORD_ENDED | WORD_DEAF)) &&
	       atomic_load_explicit(&other(ss)->word, memory_order_acquire) & WORD_READERS;
	stream_unlock(s);
	wake_if(s, WORD_READERS | WORD_WRITERS);
	waiters_end(c.first);
	if (lost && frame->w)
		cancel_bound(s, -EOWNERDEAD, frame);
	if (more && frame->w)
		s->more((struct aop_stream *)s, s->data);
}

/* Once more, as long as somebody who found us here wants that: see part(). */
static void look_after(struct shared_stream *ss, bool dead, struct frame *frame)
{
	bool again;

	do {
		look(ss, dead, frame);
		lock_take(&stream_home.lock);
		again = frame->again;
		frame->again = false;
		if (!again)
			frame_leave(&stream_home, frame);
		lock_drop(&stream_home.lock);
		dead = true;
	} while (again);
}

/* The other side has rung, or its doorbell is gone. */
void shared_heard(struct aop_watch *w, const struct aop_status *st)
{
	struct shared_stream *ss = w->data;
	struct frame frame;

	lock_take(&stream_home.lock);
	frame_enter(&stream_home, &frame, (struct watch *)ss, NULL);
	lock_drop(&stream_home.lock);
	look_after(ss, st->state >= AOP_DONE, &frame);
}

/* ---- asking ------------------------------------------------------------------------- */

static void answered(struct shared_stream *ss, uint32_t i, struct chain *c)
{
	struct slot *slot = &ss->s.slots[i];
	struct transfer *t = ss->askers[i];
	uint64_t high = atomic_load_explicit(&slot->value[1], memory_order_relaxed);
	int64_t value;

	value = (int64_t)(high << 32 |
			  atomic_load_explicit(&slot->value[0], memory_order_relaxed));
	ss->askers[i] = NULL;
	ss->asked--;
	t->in_ring = false;
	chain_add(c, &t->w, value < -4095 ? -EPROTO : value);
}

void shared_answers(struct stream *s, struct chain *c)
{
	struct shared_stream *ss = s->shared;
	uint32_t i;

	for (i = 0; ss->asked && i <= s->mask; i++)
		if (ss->askers[i] && !is_sent(s, ss->askers[i]->pos))
			answered(ss, i, c);
}

void shared_ask(struct stream *s, struct transfer *t, struct chain *c)
{
	struct shared_stream *ss = s->shared;
	uint32_t i = t->pos & s->mask;

	if (ss->askers[i])
		answered(ss, i, c);
	ss->askers[i] = t;
	ss->asked++;
	/* Before the message is there: who retires it looks at this. */
	shared_waits(s);
}

void shared_forget(struct stream *s, struct transfer *t)
{
	struct shared_stream *ss = s->shared;
	uint32_t i = t->pos & s->mask;

	if (ss->askers[i] != t)
		return;
	ss->askers[i] = NULL;
	ss->asked--;
}

void shared_answer(struct stream *s, uint32_t pos, int64_t value)
{
	struct slot *slot = slot_at(s, pos);

	atomic_store_explicit(&slot->value[0], (uint32_t)value, memory_order_relaxed);
	atomic_store_explicit(&slot->value[1], (uint32_t)((uint64_t)value >> 32),
			      memory_order_relaxed);
}

/* ---- the end -------------------------------------------------------------------------- */

void shared_close(struct shared_stream *ss)
{
	if (ss->fd >= 0)
		close(ss->fd);
	munmap(ss->shm, ss->size);
	free(ss->askers);
}

/*
 * The sides of one process part, and nobody is with this one afterwards.  The other one,
 * if it is to be told by us: then we have a frame with it, and it stays as long as frame->w
 * does.  Who has such a frame waits for nobody.
 */
static struct shared_stream *part(struct shared_stream *ss, struct frame *frame)
{
	struct home *h = &stream_home;
	struct shared_stream *other;
	struct frame *f;

	lock_take(&h->lock);
	if (frame_forget(h, (struct watch *)ss))
		frame_wait(h, (struct watch *)ss);
	other = ss->here;		/* there until it has parted from us */
	if (other) {
		ss->here = NULL;
		other->here = NULL;
		for (f = h->frames; f; f = f->next)
			if (f->w == (struct watch *)other && f->thread != self())
				break;
		if (f) {
			f->again = true;	/* it tells itself */
			other = NULL;
		} else {
			frame_enter(h, frame, (struct watch *)other, NULL);
		}
	}
	lock_drop(&h->lock);
	return other;
}

static void leave(struct frame *frame)
{
	lock_take(&stream_home.lock);
	frame_leave(&stream_home, frame);
	lock_drop(&stream_home.lock);
}

/**
 * aop_stream_close() - a side goes
 * @side: a side whose senders or receivers have been dropped; its memory is the caller's
 *	afterwards
 *
 * If they have not said that it ends the other side learns it as a loss.  Waits for a
 * callback of its doorbell that runs on another thread, not for the one that it is called
 * from.  Any thread; the other side's may close that at the same time.
 */
void aop_stream_close(struct aop_shared_stream *side)
{
	struct shared_stream *ss = to_shared(side);
	struct aop_owner *o = aop_owner(&ss->mine);
	struct shared_stream *other;
	struct frame frame;

	aop_unwatch(&ss->watch);
	other = part(ss, &frame);
	if (o)
		aop_let_go(o);
	if (other && frame.w)
		look_after(other, true, &frame);
	else if (other)
		leave(&frame);
	if (ss->watched)
		aop_drop(&ss->theirs);
	aop_drop(&ss->mine);
	shared_close(ss);
}
