// SPDX-License-Identifier: GPL-2.0
/*
 * Drivers that watch: include/linux/aop.h, the other side.
 *
 * A watch is a hook on the op that queues a work item, on a queue that the watcher
 * chose.  Work items do not overlap themselves and merge, so its callback runs in
 * process context, never twice at once, and sees the newest status; and a callback may
 * end other ops, whichever home they have.
 *
 * Locks: of a watch, seen and called under the home lock of the op.
 */
#include <linux/freezer.h>
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/sched/signal.h>

#include "internal.h"
#include "signalling.h"

/* ---- looking ----------------------------------------------------------- */

/**
 * aop_id() - the id of an op
 * @op: the caller has a reference
 *
 * Context: any.
 * Return: a number that no other op has while the module is loaded.
 */
u64 aop_id(const struct aop *op)
{
	return op->id;
}
EXPORT_SYMBOL_GPL(aop_id);

/**
 * aop_status() - the whole status of an op, as of one moment
 * @op: the caller has a reference
 * @status: filled in; times are the host's CLOCK_MONOTONIC, gen and data are 0
 *
 * Context: any, but a true hard interrupt of PREEMPT_RT.
 */
void aop_status(struct aop *op, struct aop_status *status)
{
	unsigned long flags;

	spin_lock_irqsave(&op->home->lock, flags);
	aop_status_of(op, 0, status);
	spin_unlock_irqrestore(&op->home->lock, flags);
}
EXPORT_SYMBOL_GPL(aop_status);

/**
 * aop_cancel() - request a cancel
 * @op: the caller has a reference, and the right to cancel it
 * @reason: negative; 0 stands for -ECANCELED
 *
 * Idempotent: the first request's reason is kept.  Never waits for the owner.
 *
 * Context: any, but a true hard interrupt of PREEMPT_RT.
 * Return: enum aop_cancel_answer; -EINVAL for a positive reason.
 */
int aop_cancel(struct aop *op, s32 reason)
{
	struct aop_run run AOP_UNINIT;
	int ret;

	if (reason > 0)
		return -EINVAL;
	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	ret = aop_cancel_locked(&run, op, reason ?: -ECANCELED);
	aop_run_end(&run);
	return ret;
}
EXPORT_SYMBOL_GPL(aop_cancel);

/* ---- waiting ----------------------------------------------------------- */

struct sleeper {
	struct aop_hook hook;
	struct task_struct *task;
	u32 mask;
	bool woken;
};

static void wake_sleeper(struct aop_run *run, struct aop *op, struct aop_hook *hook, u32 events)
{
	struct sleeper *s = container_of(hook, struct sleeper, hook);

	if (!((events | aop_level(op)) & s->mask) || s->woken)
		return;
	WRITE_ONCE(s->woken, true);
	/* Pairs with set_current_state() in sleep_for(). */
	wake_up_process(s->task);
}

static int sleep_for(struct sleeper *s, ktime_t until)
{
	int ret = 0;

	for (;;) {
		/* Pairs with wake_up_process() in wake_sleeper(). */
		set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		if (READ_ONCE(s->woken) || ret)
			break;
		if (signal_pending(current))
			ret = -ERESTARTSYS;
		else if (!schedule_hrtimeout_range(until == KTIME_MAX ? NULL : &until,
						   current->timer_slack_ns, HRTIMER_MODE_ABS))
			ret = -ETIME;
	}
	__set_current_state(TASK_RUNNING);
	return READ_ONCE(s->woken) ? 0 : ret;
}

/**
 * aop_wait() - sleep until something holds of an op
 * @op: the caller has a reference
 * @mask: AOP_EV_*: any of them; AOP_EV_CHANGE is a change from now on, or final
 * @until: CLOCK_MONOTONIC; KTIME_MAX: no end; in the past: only look
 *
 * Does not count as a watcher.  Must not be called with a lock held, nor anywhere,
 * that is needed to end an op: see aop_begin_signalling().
 *
 * Context: process, sleeps: interruptible and freezable.
 * Return: 0; -ETIME; -ERESTARTSYS; -EMFILE when too many look at the op; -EINVAL.
 */
int aop_wait(struct aop *op, u32 mask, ktime_t until)
{
	struct sleeper s = {
		.hook.func = wake_sleeper,
		.hook.user = op->home->user,
		.task = current,
		.mask = mask,
	};
	int ret = 0;

	if (!mask || mask & ~AOP_EV_ALL)
		return -EINVAL;
	aop_might_wait();
	might_sleep();
	spin_lock_irq(&op->home->lock);
	if (aop_level(op) & mask)
		s.woken = true;
	else
		ret = aop_hook_locked(op, &s.hook);
	spin_unlock_irq(&op->home->lock);
	if (ret || s.woken)
		return ret;
	ret = sleep_for(&s, until);
	/* Behind the lock no hook of ours runs any more. */
	spin_lock_irq(&op->home->lock);
	aop_unhook_locked(op, &s.hook);
	spin_unlock_irq(&op->home->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(aop_wait);

/* ---- being called back ------------------------------------------------- */

static void call_watch(struct work_struct *work)
{
	struct aop_watch *watch = container_of(work, struct aop_watch, work);
	struct aop *op = watch->op;
	struct aop_status status;
	bool stale;

	spin_lock_irq(&op->home->lock);
	aop_status_of(op, 0, &status);
	/* A change between queueing this and running it has been told already. */
	stale = watch->called && watch->seen == status.seq;
	watch->called = true;
	watch->seen = status.seq;
	spin_unlock_irq(&op->home->lock);
	/* It may free the watch. */
	if (!stale)
		watch->func(watch, &status);
}

static void watch_hook(struct aop_run *run, struct aop *op, struct aop_hook *hook, u32 events)
{
	struct aop_watch *watch = container_of(hook, struct aop_watch, hook);

	if (events & watch->mask)
		queue_work(watch->queue, &watch->work);
}

/**
 * aop_watch() - be called back when an op changes
 * @op: the watch gets a reference of its own, and counts as a watcher
 * @watch: memory of the caller, until aop_unwatch()
 * @mask: AOP_EV_*: for which changes; what holds already calls back at once
 * @func: called by a work item; changes may merge, the last one is always told
 * @queue: to call it on; NULL: one of aop's own, for short callbacks.  A callback that
 *	unwatches itself runs on for a moment: its module has a queue of its own, and
 *	destroys that before it goes
 *
 * Context: any, but a true hard interrupt of PREEMPT_RT.
 * Return: 0; -EMFILE when too many look at the op; -EINVAL.
 */
int aop_watch(struct aop *op, struct aop_watch *watch, u32 mask, aop_watch_fn *func,
	      struct workqueue_struct *queue)
{
	struct aop_run run AOP_UNINIT;
	int ret;

	if (!mask || mask & ~AOP_EV_ALL)
		return -EINVAL;
	watch->op = op;
	watch->hook.func = watch_hook;
	watch->hook.user = op->home->user;
	INIT_WORK(&watch->work, call_watch);
	watch->queue = queue ?: aop_driver_wq;
	watch->func = func;
	watch->mask = mask;
	watch->called = false;
	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	ret = aop_hook_locked(op, &watch->hook);
	if (!ret) {
		aop_get(op);
		aop_watch_locked(&run, op);
		if (aop_level(op) & mask)
			queue_work(watch->queue, &watch->work);
	}
	aop_run_end(&run);
	return ret;
}
EXPORT_SYMBOL_GPL(aop_watch);

/**
 * aop_unwatch() - be called back no longer
 * @watch: the caller's again; its callback does not run when this returns, unless this
 *	was called by it
 *
 * Context: may sleep, to wait for a callback that runs; the watch's own callback too,
 * where it does not wait.
 */
void aop_unwatch(struct aop_watch *watch)
{
	struct aop *op = watch->op;
	struct aop_run run AOP_UNINIT;

	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	aop_unhook_locked(op, &watch->hook);
	aop_unwatch_locked(&run, op);
	aop_run_end(&run);
	if (current_work() == &watch->work)
		/* It may have been queued again while it runs. */
		cancel_work(&watch->work);
	else
		cancel_work_sync(&watch->work);
	aop_put(op);
}
EXPORT_SYMBOL_GPL(aop_unwatch);
