/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * line.h - those who wait for a mutex, a semaphore, a stream, in their order
 *
 * A waiter's op is accepted (RUNNING) as soon as it stands in a line, so a cancel is a
 * request, and whoever takes the waiter out of the line, under the line's lock, is the
 * only one to end it: the side that has something for it, or the callback that a
 * cancel runs.  The former collects those whom it can serve in a chain and ends them
 * when the lock is dropped, since ending calls back.  Before that it waits for a
 * callback that runs on another thread: that one still looks at the waiter.
 */
#ifndef AOP_LINE_H
#define AOP_LINE_H

#include "internal.h"

struct waiter {
	struct aop op;
	struct aop_watch asked;
	void *of;			/* whose line it stands in */
	struct waiter *next, *prev;	/* its lock */
	union {
		void *to;		/* stream: where the message goes */
		const void *from;	/* stream: where it is */
		uint64_t n;		/* semaphore: how many it takes */
	};
	int64_t result;			/* in a chain: what to end with */
	bool queued;			/* its lock */
};

_Static_assert(sizeof(struct waiter) <= sizeof(struct aop_waiter), "struct waiter");
_Static_assert(offsetof(struct waiter, asked) == offsetof(struct aop_waiter, asked), "waiter");

struct line {
	struct waiter *first, *last;
};

static inline struct waiter *to_waiter(struct aop_waiter *w)
{
	return (struct waiter *)w;
}

/* In private scope there is nobody to exclude. */
static inline void line_lock(struct lock *l, bool local)
{
	if (local)
		lock_take(l);
}

static inline void line_unlock(struct lock *l, bool local)
{
	if (local)
		lock_drop(l);
}

static inline void line_add(struct line *line, struct waiter *w)
{
	w->next = NULL;
	w->prev = line->last;
	if (line->last)
		line->last->next = w;
	else
		line->first = w;
	line->last = w;
	w->queued = true;
}

static inline void line_remove(struct line *line, struct waiter *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		line->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		line->last = w->prev;
	w->queued = false;
}

/* Out of the line, into the chain that ends at *end. */
static inline struct waiter **line_serve(struct line *line, struct waiter *w, int64_t result,
					 struct waiter **end)
{
	line_remove(line, w);
	w->result = result;
	w->next = NULL;
	*end = w;
	return &w->next;
}

/* A waiter of scope `where`, in no line yet; if that fails its op has ended. */
int  waiter_init(struct waiter *w, struct aop_ctx *where, void *of, aop_watch_fn *asked);
/* One whose op is over at once. */
struct aop *waiter_ended(struct waiter *w, struct aop_ctx *where, int64_t result);
/* Ends a chain; no lock is held. */
void waiters_end(struct waiter *chain);
/* One that a cancel, or a drop, has taken out of the line. */
void waiter_cancelled(struct waiter *w);

#endif /* AOP_LINE_H */
