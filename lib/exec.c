// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * exec.c - callbacks that run elsewhere
 *
 * The watches that are due for an executor stand in a queue inside struct aop_exec;
 * the executor itself is only ever given one piece of work, which means "take the
 * next one".  So a watch can be taken back out of the queue, which an executor need
 * not know how to do, and many that become due at once cost one submit.  Whoever
 * takes one gives the work back before he runs it when there are more: a pool runs
 * them side by side, a loop in turn.
 *
 * An executor is run by threads, and they are not copied by a fork: in the child it is
 * foreign.  It runs nothing there, and its lock, which one of them may have held, is not
 * taken.
 *
 * The home's lock protects the queue and watch->queued.  It nests inside the locks
 * of the homes that watches come from.  No lock is held while submit or a callback
 * runs.
 */
#include <errno.h>
#include <stddef.h>

#include "internal.h"
#include "local.h"

struct exec {
	void (*submit)(struct aop_exec *x, struct aop_work *w);
	struct aop_work work;
	struct home home;
	struct watch *first, *last;
	uint32_t process;		/* whose it is: fork_count of then; 0: nobody's yet */
};

_Static_assert(sizeof(struct exec) <= sizeof(struct aop_exec), "struct exec");

#define EXEC_SUBMITTED	1u		/* home.flags: the executor has our work */

static struct exec *to_exec(struct aop_exec *x)
{
	return (struct exec *)x;
}

bool exec_foreign(const struct aop_exec *exec)
{
	uint32_t process = __atomic_load_n(&((const struct exec *)exec)->process,
					   __ATOMIC_RELAXED);

	return process && process != atomic_load_explicit(&fork_count, memory_order_relaxed);
}

void exec_adopt(struct aop_exec *exec)
{
	fork_handle();
	__atomic_store_n(&to_exec(exec)->process,
			 atomic_load_explicit(&fork_count, memory_order_relaxed),
			 __ATOMIC_RELAXED);
}

/* false: it is foreign, and there is nothing to lock. */
static bool exec_lock(struct exec *x)
{
	if (unlikely(exec_foreign((struct aop_exec *)x)))
		return false;
	if (unlikely(!__atomic_load_n(&x->process, __ATOMIC_RELAXED)))
		exec_adopt((struct aop_exec *)x);
	lock_take(&x->home.lock);
	return true;
}

/* With the lock held. */
static enum exec_push append(struct exec *x, struct watch *w)
{
	if (w->queued)
		return EXEC_WAS_THERE;
	w->queued = 1;
	w->queue = NULL;
	if (x->first)
		x->last->queue = w;
	else
		x->first = w;
	x->last = w;
	if (x->home.flags & EXEC_SUBMITTED)
		return EXEC_QUEUED;
	x->home.flags |= EXEC_SUBMITTED;
	return EXEC_SUBMIT;
}

static void exec_run(struct aop_work *work)
{
	struct exec *x = container_of(work, struct exec, work);
	struct frame frame, *running;
	struct watch *w;
	bool more;

	if (!exec_lock(x))
		return;
	x->home.flags &= ~EXEC_SUBMITTED;
	w = x->first;
	if (!w) {			/* unwatched in the meantime */
		lock_drop(&x->home.lock);
		return;
	}
	x->first = w->queue;
	w->queued = 0;
	more = x->first;
	if (more)
		x->home.flags |= EXEC_SUBMITTED;
	running = frame_find(&x->home, w);
	if (running)			/* callbacks of one watch never overlap */
		running->again = true;
	else
		frame_enter(&x->home, &frame, w, NULL);
	lock_drop(&x->home.lock);

	if (more)
		exec_submit((struct aop_exec *)x);
	if (running)
		return;
	/* submit() may have run something on this thread that has unwatched it. */
	if (frame.w)
		w->home->scope->run(w);

	if (!exec_lock(x))		/* fn has forked, and this is the child */
		return;
	more = frame.again && append(x, w) == EXEC_SUBMIT;
	frame_leave(&x->home, &frame);
	lock_drop(&x->home.lock);
	if (more)
		exec_submit((struct aop_exec *)x);
}

void exec_finish(struct aop_exec *exec)
{
	struct exec *x = to_exec(exec);

	while (x->first && !exec_foreign(exec))
		exec_run(&x->work);
}

enum exec_push exec_push(struct aop_exec *exec, struct watch *w)
{
	struct exec *x = to_exec(exec);
	enum exec_push ret;

	if (!exec_lock(x))
		return EXEC_WAS_THERE;
	ret = append(x, w);
	lock_drop(&x->home.lock);
	return ret;
}

void exec_submit(struct aop_exec *exec)
{
	struct exec *x = to_exec(exec);

	x->work.run = exec_run;
	x->submit(exec, &x->work);
}

static void unqueue(struct exec *x, struct watch *w)
{
	struct watch **p = &x->first, *prev = NULL;

	if (!w->queued)
		return;
	while (*p != w) {
		prev = *p;
		p = &prev->queue;
	}
	*p = w->queue;
	if (x->last == w)
		x->last = prev;
	w->queued = 0;
}

void exec_last(struct aop_exec *exec, struct watch *w)
{
	struct exec *x = to_exec(exec);
	struct frame *f;

	if (!exec_lock(x))
		return;
	unqueue(x, w);
	f = frame_find(&x->home, w);
	if (f)
		f->again = false;
	lock_drop(&x->home.lock);
}

bool exec_forget(struct aop_exec *exec, struct watch *w)
{
	struct exec *x = to_exec(exec);
	bool elsewhere;

	if (!exec_lock(x))
		return false;
	unqueue(x, w);
	elsewhere = frame_forget(&x->home, w);
	lock_drop(&x->home.lock);
	return elsewhere;
}

void exec_wait(struct aop_exec *exec, const struct watch *w)
{
	struct exec *x = to_exec(exec);

	if (!exec_lock(x))
		return;
	frame_wait(&x->home, w);
	lock_drop(&x->home.lock);
}
