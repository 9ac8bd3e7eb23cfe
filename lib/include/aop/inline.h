/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aop/inline.h - beginning and watching a private op, in place; part of <aop.h>
 *
 * What a program does most with an op of its own thread costs a few stores; a call, and
 * looking at constants, would cost as much again.  So these four are compiled in place
 * for an op of which the library knows nothing yet: its scope_ is NULL until anything
 * but this happens to it.  In all other cases they call the function of the same name,
 * which does the same for every op, and is what a program gets that takes the address, is
 * written in another language, or defines AOP_NO_INLINE.  (Not in assertion builds, in
 * which each call is checked.)
 *
 * What they write is part of the ABI.
 */
#ifndef AOP_INLINE_H
#define AOP_INLINE_H

#include <aop.h>

#if !defined(AOP_NO_INLINE) && !defined(AOP_ASSERT)

#ifdef __cplusplus
extern "C" {
#endif

#define AOP_BOTH_SIDES_	5u		/* of sides_: the owner, and one watcher */

static inline int aop_init_(struct aop *op, struct aop_ctx *where)
{
	if (where != AOP_PRIVATE)
		return aop_init(op, where);
	op->st = &op->own;
	op->scope_ = NULL;
	op->sides_ = AOP_BOTH_SIDES_;
	op->bits_ = 0;
	op->release_ = NULL;
	op->watches_ = NULL;
	__builtin_memset(&op->own, 0, sizeof(op->own));
	return 0;
}

static inline struct aop_owner *aop_owner_(struct aop *op)
{
	return op->scope_ ? aop_owner(op) : (struct aop_owner *)op;
}

/* The first watch, inline.  The library writes the rest when it has to know it. */
static inline bool aop_attach_(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
			       struct aop_exec *where, uint8_t kind)
{
	if (where || !fn || !op || op->scope_ || op->watches_)
		return false;
	w->op = op;
	w->data = data;
	w->fn = fn;
	w->home_ = NULL;
	w->kind_ = kind;
	w->attached_ = 1;
	w->queued_ = 0;
	w->pad_ = 0;
	op->watches_ = w;
	return true;
}

static inline int aop_watch_(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
			     struct aop_exec *where)
{
	return aop_attach_(op, w, fn, data, where, 0) ? 0 : aop_watch(op, w, fn, data, where);
}

static inline int aop_then_(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
			    struct aop_exec *where)
{
	return aop_attach_(op, w, fn, data, where, 1) ? 0 : aop_then(op, w, fn, data, where);
}

#define aop_init(op, where)			aop_init_(op, where)
#define aop_owner(op)				aop_owner_(op)
#define aop_watch(op, w, fn, data, where)	aop_watch_(op, w, fn, data, where)
#define aop_then(op, w, fn, data, where)	aop_then_(op, w, fn, data, where)

#ifdef __cplusplus
}
#endif

#endif /* AOP_NO_INLINE, AOP_ASSERT */
#endif /* AOP_INLINE_H */
