// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * line.c - the ops of those who wait for a mutex, a semaphore, a stream
 */
#include <errno.h>

#include "line.h"

int waiter_init(struct waiter *w, struct aop_ctx *where, void *of, aop_watch_fn *asked)
{
	struct aop_owner *o;
	int ret = aop_init(&w->op, where);

	if (unlikely(ret))
		return ret;
	w->of = of;
	w->queued = false;
	o = aop_owner(&w->op);
	/* Nobody else knows it yet, so it cannot have been cancelled. */
	ret = aop_start(o);
	if (likely(!ret))
		ret = aop_on_asked(o, &w->asked, asked, w, AOP_INLINE);
	if (unlikely(ret))
		aop_fail(o, ret);
	return ret;
}

struct aop *waiter_ended(struct waiter *w, struct aop_ctx *where, int64_t result)
{
	if (unlikely(aop_init(&w->op, where)))
		return &w->op;
	aop_end(aop_owner(&w->op), result);
	return &w->op;
}

void waiters_end(struct waiter *chain)
{
	struct waiter *w, *next;

	for (w = chain; w; w = next) {
		next = w->next;
		aop_unwatch(&w->asked);
		aop_end(aop_owner(&w->op), w->result);
	}
}

void waiter_cancelled(struct waiter *w)
{
	struct aop_owner *o = aop_owner(&w->op);
	int reason = aop_asked(o);

	/* -EPIPE: nobody asked, but nobody watches either. */
	aop_cancelled(o, reason);
}
