/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * local.h - the word of a local op, and those who sleep on it
 *
 * The one atomic word is own.word: state and flags, which everybody may read, and in
 * its pad bits of ours.  Whoever sets WORD_LOCK holds the op for a few instructions:
 * all writers of the status, and waiters that come or go.  Replacing the word unlocks
 * and publishes at once, and when the owner lets go this is his last touch: nobody
 * who sees AOP_F_OVER has to fear that somebody is still in there.
 *
 * Lock order: the home's lock (if the op is watched), then the word.
 */
#ifndef AOP_LOCAL_H
#define AOP_LOCAL_H

#include "inproc.h"

/* A bit of status.pad, as it stands in status.word. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define PAD_BIT(bit)	((uint32_t)(bit) << 16)
#else
#define PAD_BIT(bit)	((uint32_t)(bit))
#endif

#define WORD_LOCK	PAD_BIT(0x01)
#define WORD_WRITE	PAD_BIT(AOP_PAD_WRITE_)	/* a new status is being written */
#define WORD_CONTENDED	PAD_BIT(0x04)		/* somebody sleeps until it is unlocked */
#define WORD_WATCHED	PAD_BIT(0x08)		/* was, some time: take the home's lock */
#define WORD_WAITERS	PAD_BIT(0x10)		/* op->waiters is not empty */
#define WORD_LEFT	PAD_BIT(0x20)		/* the owner has let go: final, and for ever */
#define WORD_DROPPED	PAD_BIT(0x40)		/* so has the last watcher */
#define WORD_ON_ASKED	PAD_BIT(0x80)		/* the owner watched, some time */

/* What outlives a change. */
#define WORD_KEPT	(WORD_WATCHED | WORD_WAITERS | WORD_LEFT | WORD_DROPPED | WORD_ON_ASKED)

/* Where local ops that are watched are found, by address. */
#define HOMES	64
extern struct home local_homes[HOMES];

/* fork.c: does it see to them?  If not: let it. */
extern _Atomic bool fork_handled;
extern _Atomic uint32_t fork_count;	/* generations of this process, from 1 */

void word_wait(struct op *op);

/* Returns the word as it was, unlocked. */
static inline uint32_t word_lock(struct op *op, uint32_t bits)
{
	uint32_t w = __atomic_load_n(&op->own.word, __ATOMIC_RELAXED);

	for (;;) {
		if (unlikely(w & WORD_LOCK)) {
			word_wait(op);
			w = __atomic_load_n(&op->own.word, __ATOMIC_RELAXED);
			continue;
		}
		/* Acquire: what the one before wrote.  Pairs with word_unlock(). */
		if (likely(__atomic_compare_exchange_n(&op->own.word, &w, w | WORD_LOCK | bits,
						       true, __ATOMIC_ACQUIRE,
						       __ATOMIC_RELAXED)))
			return w;
	}
}

/* Publish and unlock; after it op may be gone. */
static inline void word_unlock(struct op *op, uint32_t to)
{
	uint32_t *word = &op->own.word;
	uint32_t old;

	/* Release: the status before its word.  Pairs with all who read the word. */
	old = __atomic_exchange_n(word, to, __ATOMIC_RELEASE);
	if (unlikely(old & WORD_CONTENDED))	/* at worst a stray wake */
		futex_wake((_Atomic uint32_t *)word, INT32_MAX);
}

/* Opened once, by the last touch of whoever opens it; then its waiter may free it. */
struct gate {
	_Atomic uint32_t word;
};

/* A thread that waits for some of several ops; on its stack. */
struct waiter {
	struct gate gate;
	_Atomic uint32_t need;		/* so many more: the one who makes it 0 opens */
	int fd;				/* -1, or an eventfd to write to besides */
};

/* It on one of them. */
struct node {
	struct node *next;		/* op's word lock */
	const struct goal *goal;
	struct waiter *waiter;		/* NULL: waits for this op alone */
	struct op *op;			/* NULL: was never linked */
	struct gate gate;
	uint32_t linked;		/* op's word lock */
};

void gate_open(struct gate *gate);
int  gate_wait(struct gate *gate, int64_t deadline);

/* With the word locked: those whose goal the new status reaches, out of the list. */
struct node *nodes_take(struct op *op, struct aop_status to, uint32_t *word);
void nodes_wake(struct node *fired);
/* False: op has reached the goal, and the node is not linked. */
bool node_link(struct node *node, struct op *op, const struct goal *g, struct waiter *w);
/* Afterwards nobody else touches the node. */
void node_unlink(struct node *node);

/* mixed.c: until one more of the ops, of any scopes, is final, or `until`. */
int mixed_wait(struct op *const *ops, size_t n, const struct goal *g, int64_t until);

#endif /* AOP_LOCAL_H */
