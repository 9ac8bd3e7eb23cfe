/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream.h - the ring of a stream, and what its files share
 *
 * A place has a slot.  Positions count places and never go back; place and slot of
 * position p are those of index p modulo the number of places, and slot.seq says whose
 * they are:
 *
 *	2 * p		free, for whoever acquires position p
 *	2 * p + 1	a message begins here, for whoever receives position p
 *
 * A sender moves `tail` over as many places as he needs, once all of them are free; then
 * they are his, and nobody looks at them.  Sending writes the first slot's seq.  Who
 * receives moves `head` over the message; retiring it writes the seq of each of its slots,
 * for the next lap.  So the two sides look at each other's slots only, and neither at the
 * other's position.  With many senders (receivers) a position is moved by compare and
 * exchange, otherwise by a plain store.
 *
 * A message that would not fit before the end of the ring has a record to be skipped in
 * front of it; a discarded one is such a record too.
 *
 * Waiting: lock protects the lines of those who wait, the list of receivers, the
 * counts of both ends, `word`, the slots' askers; in private scope it is not taken.  Who
 * is going to wait sets his bit in `word`, has a full barrier, and looks at the ring once
 * more; who has changed a slot has a full barrier, and looks at `word`: one of the two
 * sees the other.  The former's is barrier_heavy(), the latter's barrier_light(), or both
 * are fences where the kernel has none (WORD_FENCE); selftests/model/sleeper.pml tries all
 * orders of the two.  Then serve() matches them, under the lock, also for the one receiver or
 * sender there is, who waits.
 *
 * In a broadcast each receiver has a head of its own, under the lock; a message is retired
 * when all have retired it (stream_cast.c).
 */
#ifndef AOP_STREAM_INTERNAL_H
#define AOP_STREAM_INTERNAL_H

#include <errno.h>
#include <string.h>

#include "line.h"
#include "membarrier.h"

struct slot {
	union {
		struct {
			_Atomic uint32_t seq;
			_Atomic uint32_t len;	/* SLOT_*; with SLOT_SKIP: how many places */
		};
		_Atomic uint64_t both;		/* slot_word() */
	};
	union {					/* SLOT_ASK: */
		struct transfer *asker;		/* who waits for the answer; lock */
		_Atomic uint32_t value[2];	/* shared: the answer */
	};
};

static inline uint64_t slot_word(uint32_t seq, uint32_t len)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return seq | (uint64_t)len << 32;
#else
	return len | (uint64_t)seq << 32;
#endif
}

#define SLOT_SKIP	0x80000000u
#define SLOT_ASK	0x40000000u
#define SLOT_LEN	0x3fffffffu

/* stream->word: */
#define WORD_READERS	0x1u			/* somebody waits for a message */
#define WORD_WRITERS	0x2u			/* ... for a place */
#define WORD_ENDED	0x4u			/* nothing will be sent any more */
#define WORD_DEAF	0x8u			/* nobody receives any more */
#define WORD_SEND	0x10u			/* sending is not the quick way: see push() */
#define WORD_RECEIVE	0x20u			/* nor receiving: see pop() */
#define WORD_FENCE	0x40u			/* local, and without barrier_heavy() */

#define WORD_BROKEN	0x80u			/* shared: the peer does not keep to the rules */

/* stream->flags, beside AOP_*: */
#define STREAM_LOCAL	0x100u
#define STREAM_SENDS	0x200u			/* shared: what this side does */
#define STREAM_RECEIVES	0x400u
#define STREAM_FLAGS	(AOP_MANY_SENDERS | AOP_MANY_RECEIVERS | AOP_BROADCAST | AOP_LOSSY | \
			 AOP_ON_ALL)

struct shared_stream;

struct stream {
	/* made once, but for word, which changes when somebody goes to sleep */
	struct slot *slots;
	char *mem;
	uint32_t place, mask, max, flags;
	_Atomic uint32_t word;
	uint32_t pad;
	_Atomic uint32_t *peer;			/* where those on the other side say they wait */
	struct shared_stream *shared;		/* NULL: both sides are here */
	uint64_t pad_made[1];

	/* senders' */
	_Atomic uint32_t tail;
	uint32_t pad_tail;
	_Atomic uint64_t lost;
	uint64_t pad_senders[6];

	/* receivers' */
	_Atomic uint32_t head;			/* broadcast: what all have retired */
	uint32_t pad_head[15];

	struct lock lock;
	int error;				/* with WORD_ENDED */
	struct line readers, writers;
	struct receiver *rxs;
	uint32_t nr_rx, nr_tx;
	bool one_shot;				/* the only sender is */
	void (*more)(struct aop_stream *s, void *data);
	void *data;
};

struct sender {
	struct stream *s;
	uint32_t flags;
	bool used;
};

struct receiver {
	struct stream *s;
	struct receiver *next;			/* lock, as all below */
	struct aop *bound;
	uint32_t head, done;			/* broadcast: next, and retired up to */
	uint64_t lost;
	bool told;				/* of the error */
};

enum transfer_kind { SEND_PUSH, SEND_PLACE, SEND_ASK, RECEIVE_POP, RECEIVE_MESSAGE };

struct transfer {
	struct waiter w;
	void *end;				/* struct receiver; struct sender: one-shot */
	struct aop_message *m;
	size_t len;				/* bytes: of the message, of the buffer */
	uint32_t pos;
	uint8_t kind;				/* enum transfer_kind */
	bool in_ring;				/* SEND_ASK: waits for the answer; lock */
	bool answered;				/* ... and has one, in w.result; lock */
};

_Static_assert(sizeof(struct stream) <= sizeof(struct aop_stream), "struct stream");
_Static_assert(_Alignof(struct stream) <= _Alignof(struct aop_stream), "struct stream");
_Static_assert(sizeof(struct sender) <= sizeof(struct aop_sender), "struct sender");
_Static_assert(sizeof(struct receiver) <= sizeof(struct aop_receiver), "struct receiver");
_Static_assert(sizeof(struct transfer) <= sizeof(struct aop_transfer), "struct transfer");
_Static_assert(sizeof(struct slot) == 16, "AOP_STREAM_MEM()");

/* Ops to end once the lock is dropped. */
struct chain {
	struct waiter *first, **end;
};

#define CHAIN_INIT(c)	{ .end = &(c).first }

static inline void chain_add(struct chain *c, struct waiter *w, int64_t result)
{
	w->result = result;
	w->next = NULL;
	*c->end = w;
	c->end = &w->next;
}

static inline struct transfer *to_transfer(struct waiter *w)
{
	return container_of(w, struct transfer, w);
}

/* A message of a few words, as most are, without a call. */
static inline void copy(void *to, const void *from, size_t len)
{
	if (likely(len == 8))
		memcpy(to, from, 8);
	else if (len == 64)
		memcpy(to, from, 64);
	else if (len)			/* there may be no memory, either */
		memcpy(to, from, len);
}

/* On 32 bit the memory's size may be more than can be said. */
static inline bool size_fits(uint32_t place, uint32_t places)
{
	return places * (uint64_t)(sizeof(struct slot) + 8 + place) < SIZE_MAX / 2;
}

static inline bool is_local(const struct stream *s)
{
	return s->flags & STREAM_LOCAL;
}

static inline struct aop_ctx *where_of(const struct stream *s)
{
	return is_local(s) ? AOP_LOCAL : AOP_PRIVATE;
}

static inline void stream_lock(struct stream *s)
{
	line_lock(&s->lock, is_local(s));
}

static inline void stream_unlock(struct stream *s)
{
	line_unlock(&s->lock, is_local(s));
}

/* Acquire: who waits no more has moved our position before he said so. */
static inline uint32_t word_of_stream(struct stream *s)
{
	return atomic_load_explicit(&s->word, memory_order_acquire);
}

/* A slot was changed, and word is going to be looked at; word: as it was before. */
static inline void changed_slot(uint32_t word)
{
	if (unlikely(word & WORD_FENCE))
		atomic_thread_fence(memory_order_seq_cst);
	else
		barrier_light();
}

/* With the lock held. */
static inline void word_set(struct stream *s, uint32_t word)
{
	atomic_store_explicit(&s->word, word, memory_order_release);
}

/* ---- the ring --------------------------------------------------------------------- */

static inline struct slot *slot_at(const struct stream *s, uint32_t pos)
{
	return &s->slots[pos & s->mask];
}

static inline char *place_at(const struct stream *s, uint32_t pos)
{
	return s->mem + (size_t)(pos & s->mask) * s->place;
}

/* Places up to the end of the ring. */
static inline uint32_t straight(const struct stream *s, uint32_t pos)
{
	return s->mask + 1 - (pos & s->mask);
}

static inline uint32_t places_of(const struct stream *s, uint32_t len)
{
	if (len & SLOT_SKIP)
		return len & SLOT_LEN;
	len &= SLOT_LEN;
	return likely(len <= s->place) ? 1 : (len + s->place - 1) / s->place;
}

static inline void commit_slot(struct slot *slot, uint32_t pos, uint32_t len)
{
	atomic_store_explicit(&slot->len, len, memory_order_relaxed);
	/* Release: the message.  Pairs with the load in claim_message(). */
	atomic_store_explicit(&slot->seq, 2 * pos + 1, memory_order_release);
}

static inline void commit(struct stream *s, uint32_t pos, uint32_t len)
{
	commit_slot(slot_at(s, pos), pos, len);
}

static inline void release_slot(const struct stream *s, struct slot *slot, uint32_t pos)
{
	/* Release: we have read the message.  Pairs with the load in claim_places(). */
	atomic_store_explicit(&slot->seq, 2 * (pos + s->mask + 1), memory_order_release);
}

static inline void release(struct stream *s, uint32_t pos, uint32_t n)
{
	for (; n; n--, pos++)
		release_slot(s, slot_at(s, pos), pos);
}

/* True: position was `from`, and is moved to `to`. */
static inline bool advance(_Atomic uint32_t *position, uint32_t *from, uint32_t to, bool many)
{
	if (many)
		/* Acquire: what was written into a place that was given back, see discard. */
		return atomic_compare_exchange_weak_explicit(position, from, to,
							     memory_order_acquire,
							     memory_order_relaxed);
	atomic_store_explicit(position, to, memory_order_relaxed);
	return true;
}

/* Is a message there?  In shared scope the peer may say so as he likes. */
static inline bool is_sent(const struct stream *s, uint32_t pos)
{
	return atomic_load_explicit(&slot_at(s, pos)->seq, memory_order_acquire) == 2 * pos + 1;
}

/* 0: places for len bytes, which begin at *at, are ours; -EAGAIN: there are not so many. */
static inline int claim_places(struct stream *s, size_t len, uint32_t *at)
{
	const bool many = s->flags & AOP_MANY_SENDERS;
	const uint32_t want = places_of(s, len);
	uint32_t pos, i, n, skip, seq, seen;

	pos = atomic_load_explicit(&s->tail, memory_order_relaxed);
again:
	skip = unlikely(want > straight(s, pos)) ? straight(s, pos) : 0;
	n = skip + want;
	for (i = 0; i < n; i++) {
		seq = atomic_load_explicit(&slot_at(s, pos + i)->seq, memory_order_acquire);
		if (likely(seq == 2 * (pos + i)))
			continue;
		seen = pos;
		pos = atomic_load_explicit(&s->tail, memory_order_relaxed);
		if (!many || pos == seen)
			return -EAGAIN;
		goto again;			/* it is somebody else's by now */
	}
	if (unlikely(!advance(&s->tail, &pos, pos + n, many)))
		goto again;
	if (unlikely(skip))
		commit(s, pos, SLOT_SKIP | skip);
	*at = pos + skip;
	return 0;
}

/*
 * 1: the message that begins at *at, *len long, is ours; -EAGAIN: there is none;
 * -EMSGSIZE: it has more than room bytes; -EPROTO: the peer makes no sense.
 *
 * *len is read once, and what passes here lies inside the ring, whoever writes there.
 * *passed: places were made free on the way, for which somebody may wait.
 */
static inline int claim_message(struct stream *s, size_t room, uint32_t *at, uint32_t *len,
				bool *passed)
{
	const bool many = s->flags & AOP_MANY_RECEIVERS;
	uint32_t pos, seen, n, skipped = 0;
	struct slot *slot;

	pos = atomic_load_explicit(&s->head, memory_order_relaxed);
	for (;;) {
		slot = slot_at(s, pos);
		if (atomic_load_explicit(&slot->seq, memory_order_acquire) != 2 * pos + 1) {
			seen = pos;
			pos = atomic_load_explicit(&s->head, memory_order_relaxed);
			if (!many || pos == seen)
				return -EAGAIN;
			continue;
		}
		*len = atomic_load_explicit(&slot->len, memory_order_relaxed);
		n = places_of(s, *len);
		if (unlikely(n - 1 >= straight(s, pos)))
			return -EPROTO;
		if (unlikely(!(*len & SLOT_SKIP) && (*len & SLOT_LEN) > room)) {
			seen = pos;
			pos = atomic_load_explicit(&s->head, memory_order_relaxed);
			if (!many || pos == seen)
				return -EMSGSIZE;
			continue;
		}
		if (unlikely(!advance(&s->head, &pos, pos + n, many)))
			continue;
		if (likely(!(*len & SLOT_SKIP))) {
			*at = pos;
			return 1;
		}
		release(s, pos, n);
		*passed = true;
		skipped += n;
		if (unlikely(s->shared && skipped > s->mask + 1))
			return -EPROTO;
		pos = atomic_load_explicit(&s->head, memory_order_relaxed);
	}
}

/* stream.c: all but the memory; o was copied. */
int  stream_make(struct stream *s, struct aop_ctx *where, const struct aop_stream_opts *o);
extern struct home stream_home;
/*
 * The senders have gone without a word; no lock is held.  side: NULL, or a frame whose w
 * says whether the side, and so s, is still there.
 */
void cancel_bound(struct stream *s, int error, const struct frame *side);

/* ---- stream_serve.c: those who wait ---------------------------------------------------- */

/* With the lock held: match those who wait with what is there. */
void serve(struct stream *s, struct chain *c);
/* A slot was changed: is there anybody to serve? */
void stream_served(struct stream *s);
/* Somebody may be, on this side. */
void stream_serve(struct stream *s);
/* With the lock held: claim_message() has said -EPROTO. */
int  stream_broken(struct stream *s, struct receiver *rx);

static inline void wake_if(struct stream *s, uint32_t bits)
{
	changed_slot(word_of_stream(s));
	if (unlikely(atomic_load_explicit(s->peer, memory_order_acquire) & bits))
		stream_served(s);
}

/* t stands in a line, or has been answered before; its op. */
struct aop *stream_wait(struct stream *s, struct transfer *t, enum transfer_kind kind, void *end);
/* With the lock held: a message, as claim_message() says, or what the receiver is told instead. */
int  stream_next(struct stream *s, struct receiver *rx, size_t room, uint32_t *at, uint32_t *len,
		 bool *passed);
/* With the lock held. */
void retire(struct stream *s, struct receiver *rx, uint32_t pos, uint32_t len, int64_t value,
	    struct chain *c);
void fill_message(struct stream *s, struct receiver *rx, struct aop_message *m, uint32_t pos,
		  uint32_t len);

/* ---- stream_shared.c: what is different between processes ------------------------------- */

/* Wake the peer, who said that he waits. */
void shared_wake(struct stream *s);
/* With the lock held: somebody here waits, and says so. */
void shared_waits(struct stream *s);
/* With the lock held: answers that have come.  An ask for the place at pos. */
void shared_answers(struct stream *s, struct chain *c);
void shared_ask(struct stream *s, struct transfer *t, struct chain *c);
void shared_forget(struct stream *s, struct transfer *t);
void shared_answer(struct stream *s, uint32_t pos, int64_t value);
/* With the lock held: this side ends it.  Then, with no lock held, the peer is told. */
void shared_ended(struct stream *s, int error);
void shared_ring(struct stream *s);
/* With the lock held: has the peer ended it? */
void shared_hear(struct stream *s, struct chain *c);
/* Somebody here begins to wait: the peer may want to know. */
void shared_asks_more(struct stream *s);

/* ---- stream_cast.c: each receiver gets each message; with the lock held ---------------- */

/* Where a receiver begins that comes late. */
uint32_t cast_begin(struct stream *s);
int  cast_claim(struct stream *s, struct receiver *rx, size_t room, uint32_t *at, uint32_t *len,
		bool *passed);
void cast_retire(struct stream *s, struct receiver *rx, uint32_t pos, int64_t value,
		 struct chain *c);
/* What all who are left have retired is free. */
void cast_release(struct stream *s, struct chain *c);
/* Lossy: the slow ones lose the first message; false: one of them looks at it. */
bool cast_lose(struct stream *s, struct chain *c);

#endif /* AOP_STREAM_INTERNAL_H */
