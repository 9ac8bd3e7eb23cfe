/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * private.h - the shortest way through private scope
 *
 * What a program does most: begin an op, watch it inline, end it, be called.  An op has
 * no scope while nothing else has happened to it: it is PENDING or RUNNING, has its owner
 * and one watcher, no options, at most one watch, which is inline, was attached before any
 * change but the start, and does not run; of its watch only op, data, fn, home (NULL) and
 * what stands behind seq are written.  So one comparison tells all that, and the public
 * calls look for it first; those that programs compile in place (<aop/inline.h>) as well.
 * Every other call makes it an op of scope_private for good: scope_of().  (Not in assertion
 * builds, which check each call.)
 */
#ifndef AOP_PRIVATE_H
#define AOP_PRIVATE_H

#include <string.h>

#include "internal.h"

/* The callbacks that this thread runs for private ops; its lock is never taken. */
extern TLS struct home private_frames;
/* What a private watch's home is: it only says the scope. */
extern struct home private_home;

/* The one with sides, and the bytes behind them. */
#define SIDES_WORD	(offsetof(struct op, sides) / sizeof(uint64_t))

static inline void inproc_begin(struct op *op, const struct scope *scope)
{
	op->st = &op->own;
	op->scope = scope;
	op->words[SIDES_WORD] = (struct op){
		.sides = scope == &scope_local ? SIDE_WATCHER : SIDE_OWNER | SIDE_WATCHER,
	}.words[SIDES_WORD];
	op->release = NULL;
	op->watches = NULL;
	op->label = NULL;
	op->deadline = 0;
	op->waiters = NULL;
	memset(&op->own, 0, sizeof(op->own));
	if (ASSERTS && scope == &scope_private)
		op->thread = self();
}

static inline bool is_quick(const struct op *op)
{
	return !ASSERTS && !op->scope;
}

/* The watch of such an op?  One that was never attached has no home, either. */
static inline bool is_quick_watch(const struct watch *w)
{
	return !w->home && w->attached;
}

/* A signal handler that looks finds seq odd while the rest is written. */
static inline void quick_begin(struct op *op)
{
	op->own.seq++;
	atomic_signal_fence(memory_order_release);
}

static inline void quick_end(struct op *op)
{
	atomic_signal_fence(memory_order_release);
	op->own.seq++;
}

static inline bool quick_start(struct op *op)
{
	if (op->own.state != AOP_PENDING || op->watches)
		return false;
	quick_begin(op);
	op->own.state = AOP_RUNNING;
	quick_end(op);
	return true;
}

static inline void quick_done(struct op *op, int64_t result)
{
	const struct aop_status end = { .state = AOP_DONE, .flags = AOP_F_OVER };
	struct watch *w = op->watches;

	quick_begin(op);
	op->own.result = result;
	op->own.word = end.word;
	quick_end(op);
	atomic_store_explicit(&op->sides, SIDE_WATCHER, memory_order_relaxed);
	op->scope = &scope_private;
	if (!w)
		return;
	op->watches = NULL;
	w->attached = 0;
	w->fn((struct aop_watch *)w, &op->own);	/* op and w may be gone afterwards */
}

#endif /* AOP_PRIVATE_H */
