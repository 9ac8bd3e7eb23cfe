// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * sync.c - mutex and semaphore that park the task, not the thread
 *
 * A mutex is a semaphore of one.  sem->lock protects count and line; in private scope
 * it is not taken.  The line is served strictly in order: who comes while others wait
 * waits behind them, so nobody starves, and what is given back goes to the first in
 * the line without being free in between.
 */
#include <errno.h>

#include "line.h"

struct sem {
	struct lock lock;
	uint32_t local;
	uint32_t count;			/* free */
	uint32_t max;			/* mutex: 1; otherwise UINT32_MAX */
	struct line line;
};

_Static_assert(sizeof(struct sem) <= sizeof(struct aop_sem), "struct sem");

static struct sem *to_sem(struct aop_sem *s)
{
	return (struct sem *)s;
}

static struct aop_ctx *where_of(const struct sem *s)
{
	return s->local ? AOP_LOCAL : AOP_PRIVATE;
}

static int init(struct sem *s, struct aop_ctx *where, uint32_t n, uint32_t max)
{
	if (!s || (where != AOP_PRIVATE && where != AOP_LOCAL))
		return -EINVAL;
	*s = (struct sem){ .local = where == AOP_LOCAL, .count = n, .max = max };
	return 0;
}

/* With the lock held: whom what is free is enough for. */
static struct waiter *serve(struct sem *s)
{
	struct waiter *chain = NULL, **end = &chain, *w;

	while ((w = s->line.first) && w->n <= s->count) {
		s->count -= w->n;
		end = line_serve(&s->line, w, 0, end);
	}
	return chain;
}

/* Others may be served when one that wanted more than there is goes away. */
static void sem_asked(struct aop_watch *watch, const struct aop_status *st)
{
	struct waiter *w = watch->data, *chain = NULL;
	struct sem *s = w->of;
	bool mine;

	(void)st;
	line_lock(&s->lock, s->local);
	mine = w->queued;
	if (mine) {
		line_remove(&s->line, w);
		chain = serve(s);
	}
	line_unlock(&s->lock, s->local);
	if (mine)
		waiter_cancelled(w);
	waiters_end(chain);
}

static int try_take(struct sem *s, uint32_t n)
{
	int ret = -EAGAIN;

	line_lock(&s->lock, s->local);
	if (!s->line.first && s->count >= n) {
		s->count -= n;
		ret = 0;
	}
	line_unlock(&s->lock, s->local);
	return ret;
}

static struct aop *take(struct sem *s, struct waiter *w, uint32_t n)
{
	struct waiter *chain;

	if (likely(!try_take(s, n)))
		return waiter_ended(w, where_of(s), 0);
	if (unlikely(waiter_init(w, where_of(s), s, sem_asked)))
		return &w->op;
	w->n = n;
	line_lock(&s->lock, s->local);
	line_add(&s->line, w);
	chain = serve(s);		/* something may have been given since */
	line_unlock(&s->lock, s->local);
	waiters_end(chain);
	return &w->op;
}

static int give(struct sem *s, uint32_t n, int too_much)
{
	struct waiter *chain = NULL;
	int ret = 0;

	line_lock(&s->lock, s->local);
	if (likely(n <= s->max - s->count)) {
		s->count += n;
		chain = serve(s);
	} else {
		ret = too_much;
	}
	line_unlock(&s->lock, s->local);
	waiters_end(chain);
	return ret;
}

/* ---- semaphore ---------------------------------------------------------------- */

/**
 * aop_sem_init() - begin a semaphore
 * @s: memory of the caller's, uninitialised; there is nothing to destroy
 * @where: AOP_PRIVATE: for one thread; AOP_LOCAL: for any
 * @n: how many are free
 *
 * Return: 0; -EINVAL: @s is NULL, or @where is another scope.
 */
int aop_sem_init(struct aop_sem *s, struct aop_ctx *where, uint32_t n)
{
	return init(to_sem(s), where, n, UINT32_MAX);
}

/**
 * aop_sem_take() - take from a semaphore, or stand in its line
 * @s: a semaphore
 * @w: memory of the caller's, uninitialised, his again when the op is over
 * @n: how many
 *
 * First come, first served: who wants many is not overtaken by those who want few.
 * Cancelling or dropping the op leaves the line.  A cancel may come too late: a result
 * of 0 always means that they were taken.
 *
 * Does not block, allocates nothing.  Any thread in local scope; not a signal handler.
 *
 * Return: the op of @w, never NULL: DONE, 0, when they are the caller's.
 */
struct aop *aop_sem_take(struct aop_sem *s, struct aop_waiter *w, uint32_t n)
{
	return take(to_sem(s), to_waiter(w), n);
}

/**
 * aop_sem_try_take() - take from a semaphore, or not
 * @s: a semaphore
 * @n: how many
 *
 * Never waits.  Any thread in local scope.
 *
 * Return: 0: taken; -EAGAIN: there are not enough, or others wait.
 */
int aop_sem_try_take(struct aop_sem *s, uint32_t n)
{
	return try_take(to_sem(s), n);
}

/**
 * aop_sem_give() - give to a semaphore
 * @s: a semaphore
 * @n: how many
 *
 * Ends the ops of those in the line for whom it is enough, and so runs their inline
 * callbacks.  Never waits.  Any thread in local scope; not a signal handler.
 *
 * Return: 0; -EOVERFLOW: there would be more than UINT32_MAX, and nothing happened.
 */
int aop_sem_give(struct aop_sem *s, uint32_t n)
{
	return give(to_sem(s), n, -EOVERFLOW);
}

/* ---- mutex -------------------------------------------------------------------- */

/**
 * aop_mutex_init() - begin a mutex
 * @m: memory of the caller's, uninitialised; there is nothing to destroy
 * @where: AOP_PRIVATE: for one thread's tasks; AOP_LOCAL: for any thread's
 *
 * Return: 0; -EINVAL: @m is NULL, or @where is another scope.
 */
int aop_mutex_init(struct aop_mutex *m, struct aop_ctx *where)
{
	return init(m ? to_sem(&m->sem) : NULL, where, 1, 1);
}

/**
 * aop_mutex_lock() - lock a mutex, or stand in its line
 * @m: a mutex
 * @w: memory of the caller's, uninitialised, his again when the op is over
 *
 * The lock belongs to who awaited the op, not to a thread; a task that locks twice
 * waits for itself.  Otherwise as aop_sem_take().
 *
 * Return: the op of @w, never NULL: DONE, 0, when the mutex is the caller's.
 */
struct aop *aop_mutex_lock(struct aop_mutex *m, struct aop_waiter *w)
{
	return take(to_sem(&m->sem), to_waiter(w), 1);
}

/**
 * aop_mutex_try_lock() - lock a mutex, or not
 * @m: a mutex
 *
 * Never waits.  Any thread in local scope.
 *
 * Return: 0: locked; -EAGAIN: somebody else has it.
 */
int aop_mutex_try_lock(struct aop_mutex *m)
{
	return try_take(to_sem(&m->sem), 1);
}

/**
 * aop_mutex_unlock() - unlock a mutex
 * @m: a mutex that the caller has locked
 *
 * The first in the line has it then, without its being free in between.  Otherwise as
 * aop_sem_give().
 *
 * Return: 0; -EPERM: it was not locked.
 */
int aop_mutex_unlock(struct aop_mutex *m)
{
	return give(to_sem(&m->sem), 1, -EPERM);
}
