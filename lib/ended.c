// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ended.c - the scope of ops that nobody drives any more
 *
 * Ops that could not begin, and structs that were let go of: their final status is
 * in the struct itself.  So a program needs one error path only.
 */
#include <errno.h>

#include "internal.h"

static int ended_signal(struct op *op, uint32_t what, int64_t value, uint64_t total)
{
	(void)op;
	(void)what;
	(void)value;
	(void)total;
	return -EPERM;
}

static int ended_cancel(struct op *op, int reason)
{
	(void)op;
	(void)reason;
	return AOP_TOO_LATE;
}

static int ended_wait(struct op *const *ops, size_t n, size_t need, const struct goal *g,
		      int64_t deadline)
{
	(void)ops, (void)n, (void)need, (void)g, (void)deadline;
	return 0;		/* they have reached everything: look again */
}

/* Its lock protects the lists of watches of all ended ops. */
static struct home nowhere = { .scope = &scope_ended };

static int ended_watch(struct op *op, struct watch *w)
{
	w->home = &nowhere;
	if (w->kind == WATCH_ASKED)
		return -EPERM;		/* not reached: no owner, no call */
	if (!w->exec) {
		w->fn((struct aop_watch *)w, op->st);
		return 0;
	}
	lock_take(&nowhere.lock);
	watch_link(op, w);
	lock_drop(&nowhere.lock);
	if (exec_push(w->exec, w) == EXEC_SUBMIT)
		exec_submit(w->exec);
	return 0;
}

static int ended_unwatch(struct watch *w, bool wait)
{
	struct aop_exec *x = w->exec;
	bool busy;

	lock_take(&nowhere.lock);
	if (w->attached)
		watch_unlink(w->op, w);
	busy = x && exec_forget(x, w);
	lock_drop(&nowhere.lock);
	if (!busy)
		return 0;
	if (!wait)
		return -EBUSY;
	exec_wait(x, w);
	return 0;
}

static void ended_run(struct watch *w)
{
	struct frame frame;
	struct aop_status s;

	lock_take(&nowhere.lock);
	if (!w->attached) {
		lock_drop(&nowhere.lock);
		return;
	}
	watch_unlink(w->op, w);
	s = w->op->own;
	exec_last(w->exec, w);
	frame_enter(&nowhere, &frame, w, w->op);
	lock_drop(&nowhere.lock);
	w->fn((struct aop_watch *)w, &s);
	lock_take(&nowhere.lock);
	frame_leave(&nowhere, &frame);
	lock_drop(&nowhere.lock);
}

/* op is let go of; a watch that runs just now may be freed by its callback. */
static void unwatch_all(struct op *op)
{
	struct aop_exec *x;
	struct watch *w;

	lock_take(&nowhere.lock);
	while ((w = op->watches)) {
		x = w->exec;
		watch_unlink(op, w);
		if (!exec_forget(x, w))
			continue;
		lock_drop(&nowhere.lock);
		exec_wait(x, w);
		lock_take(&nowhere.lock);
	}
	frame_wait_op(&nowhere, op);
	lock_drop(&nowhere.lock);
}

static int ended_drop(struct op *op)
{
	uint32_t sides = atomic_load_explicit(&op->sides, memory_order_relaxed);
	void (*release)(struct aop *op) = op->release;

	if (sides < SIDE_WATCHER)
		return -EINVAL;
	if (atomic_fetch_sub_explicit(&op->sides, SIDE_WATCHER, memory_order_acq_rel) !=
	    SIDE_WATCHER)
		return 0;
	unwatch_all(op);
	if (release)
		release(to_aop(op));
	return 1;
}

const struct scope scope_ended = {
	.name = "ended",
	.signal = ended_signal,
	.cancel = ended_cancel,
	.wait = ended_wait,
	.watch = ended_watch,
	.unwatch = ended_unwatch,
	.run = ended_run,
	.drop = ended_drop,
};
