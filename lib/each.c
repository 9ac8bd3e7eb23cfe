// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * each.c - many ops, a few at a time
 *
 * The loop's thread only.  New ones are begun from the loop's queue, never from inside
 * the callback of one that ended: ops that are over at once cannot make it recurse, and
 * others get their turn.  Slots that are free are a list through the `data` of their
 * unused watches.
 */
#include <errno.h>

#include "task.h"

#define BURST	32			/* begun in one go */

struct each {
	struct aop *(*next)(struct aop_each *e, unsigned int slot);
	int (*done)(struct aop_each *e, unsigned int slot, int64_t result);
	struct aop_member *slots;
	unsigned int limit, flags;
	struct aop op;
	struct aop_watch asked;
	struct aop_loop *loop;
	struct aop_work work;
	struct aop_member *free;
	uint32_t active;
	bool stopped;			/* begin no more */
	int64_t counted;
	int64_t error;			/* 0, or what stopped it */
	int reason;			/* that others are then asked with */
};

_Static_assert(sizeof(struct each) <= sizeof(struct aop_each), "struct each");
_Static_assert(offsetof(struct each, op) == offsetof(struct aop_each, op), "struct each");
_Static_assert(offsetof(struct each, loop) == offsetof(struct aop_each, priv), "struct each");

static struct aop_each *to_aop_each(struct each *e)
{
	return (struct aop_each *)e;
}

static void free_slot(struct each *e, struct aop_member *m)
{
	m->op = NULL;
	m->w.data = e->free;
	e->free = m;
}

/* Those that run are asked to stop, with a reason or the usual one. */
static void stop(struct each *e, int64_t error, int reason)
{
	unsigned int i;

	e->stopped = true;
	if (e->error)
		return;
	e->error = error;
	e->reason = reason;
	for (i = 0; i < e->limit; i++)
		if (e->slots[i].op)
			aop_cancel(e->slots[i].op, reason);
}

static void one_over(struct aop_watch *w, const struct aop_status *st)
{
	struct aop_member *m = container_of(w, struct aop_member, w);
	struct each *e = w->data;
	int64_t result = aop_result(m->op);
	int ret = 0;

	(void)st;
	if (e->done)
		ret = e->done(to_aop_each(e), m - e->slots, result);
	free_slot(e, m);
	e->active--;
	e->counted++;
	if (!ret && result < 0 && e->flags & AOP_FAIL_FAST)
		ret = result;
	if (ret < 0)
		stop(e, ret, 0);
	loop_queue(e->loop, &e->work, LOOP_MAIN);
}

static bool begin_one(struct each *e)
{
	struct aop_member *m = e->free;
	struct aop *op;

	if (unlikely(e->loop->closing))
		stop(e, -EOWNERDEAD, 0);
	if (e->stopped || !m)
		return false;
	op = e->next(to_aop_each(e), m - e->slots);
	if (!op) {
		e->stopped = true;
		return false;
	}
	e->free = m->w.data;
	e->active++;
	m->op = op;
	if (unlikely(e->error))		/* next() has stopped it */
		aop_cancel(op, e->reason);
	if (likely(!aop_then(op, &m->w, one_over, e, task_exec(e->loop, op))))
		return true;
	/* It goes on, unseen: what its slot holds is not ours to use again. */
	e->active--;
	m->op = NULL;
	stop(e, -EIO, 0);
	return false;
}

static void each_run(struct aop_work *w)
{
	struct each *e = container_of(w, struct each, work);
	int i;

	for (i = 0; i < BURST && begin_one(e); i++)
		;
	if (i == BURST) {
		loop_queue(e->loop, &e->work, LOOP_MAIN);
	} else if (e->stopped && !e->active && !e->work.next) {
		loop_unhold(e->loop);
		loop_end(e->loop, &e->op, &e->asked, e->error ? e->error : e->counted);
	}
}

static void each_asked(struct aop_watch *w, const struct aop_status *st)
{
	struct each *e = container_of(w, struct each, asked);
	int reason = aop_asked(aop_owner(&e->op));

	(void)st;
	stop(e, reason, reason == -EPIPE ? 0 : reason);
	loop_queue(e->loop, &e->work, LOOP_MAIN);
}

/**
 * aop_for_each() - begin many ops, so that a few run at a time
 * @l: a loop
 * @each: memory of the caller's, zero but for @each->next (begins one more in a slot, or
 *	returns NULL when there are no more), @each->done (NULL, or what gets each result;
 *	a negative answer stops it), @each->slots (memory for @each->limit), @each->limit (how
 *	many run at a time) and @each->flags (0 or AOP_FAIL_FAST: the first one that does not
 *	end DONE stops it); his again when the op is over
 *
 * Nothing is called from inside.  A slot is used again when its op is over and done has
 * returned; done drops ops of shared scope.  Stopping it, and cancelling or dropping its
 * op, cancels what runs and begins no more; it is over when all are.
 *
 * Does not block, allocates nothing.  The loop's thread.
 *
 * Return: the op of @each, never NULL: DONE with how many there were; or as what stopped
 * it: the result, done's answer, the reason of a cancel.  FAILED, -EINVAL: something is
 * missing; -EIO: an op could not be watched.
 */
struct aop *aop_for_each(struct aop_loop *l, struct aop_each *each)
{
	struct each *e = (struct each *)each;
	unsigned int i;

	if (unlikely(!l || !e->next || !e->slots || !e->limit || e->flags & ~AOP_FAIL_FAST)) {
		op_ended(to_op(&e->op), -EINVAL);
		return &e->op;
	}
	e->loop = l;
	e->work = (struct aop_work){ .run = each_run };
	e->free = NULL;
	for (i = e->limit; i--; )
		free_slot(e, &e->slots[i]);
	e->active = 0;
	e->stopped = false;
	e->counted = 0;
	e->error = 0;
	/* Begun last: with it calls may come. */
	if (!loop_begin(l, &e->op, &e->asked, each_asked))
		return &e->op;
	loop_queue(l, &e->work, LOOP_MAIN);
	return &e->op;
}
