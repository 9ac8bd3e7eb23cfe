// SPDX-License-Identifier: GPL-2.0
/*
 * The deadline of an op: a timer that ends it with -ETIMEDOUT.
 *
 * The timer holds no reference: its callback raises the count if that is not zero
 * yet.  So the op is freed only when the timer is certainly not running any more,
 * which a work item waits for.  Whoever ends the op before only tries to cancel it,
 * since the callback takes the home lock.
 */
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "internal.h"

struct aop_deadline {
	struct hrtimer timer;
	struct aop *op;
	struct work_struct free;
};

static enum hrtimer_restart deadline_expired(struct hrtimer *timer)
{
	struct aop_deadline *deadline = container_of(timer, struct aop_deadline, timer);
	struct aop *op = deadline->op;
	struct aop_run run AOP_UNINIT;

	if (!refcount_inc_not_zero(&op->ref))
		return HRTIMER_NORESTART;
	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	/* -EALREADY: somebody else was first, and that is fine. */
	aop_end_locked(&run, op, AOP_FAILED, AOP_F_SYSTEM, -ETIMEDOUT);
	aop_put_locked(&run, op);
	aop_run_end(&run);
	return HRTIMER_NORESTART;
}

static void free_work(struct work_struct *work)
{
	struct aop_deadline *deadline = container_of(work, struct aop_deadline, free);
	struct aop *op = deadline->op;

	hrtimer_cancel(&deadline->timer);
	op->extra->deadline = NULL;
	kfree(deadline);
	aop_free(op);
}

/**
 * aop_deadline_start() - give an op a deadline
 * @op: not final, with its extra, known to nobody else yet
 * @host_ns: CLOCK_MONOTONIC of the host; in the past: ends it soon
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int aop_deadline_start(struct aop *op, u64 host_ns)
{
	struct aop_deadline *deadline = kmalloc(sizeof(*deadline), AOP_GFP);

	if (!deadline)
		return -ENOMEM;
	aop_hrtimer_setup(&deadline->timer, deadline_expired, HRTIMER_MODE_ABS_SOFT);
	INIT_WORK(&deadline->free, free_work);
	deadline->op = op;
	op->extra->deadline = deadline;
	hrtimer_start(&deadline->timer, ns_to_ktime(min_t(u64, host_ns, KTIME_MAX)),
		      HRTIMER_MODE_ABS_SOFT);
	return 0;
}

/**
 * aop_deadline_cancel_locked() - an op became final before its deadline, or by it
 * @op: with a deadline; its home lock is held
 */
void aop_deadline_cancel_locked(struct aop *op)
{
	hrtimer_try_to_cancel(&op->extra->deadline->timer);
}

/**
 * aop_deadline_destroy() - free the timer of an op that nobody refers to any more
 * @op: with a deadline; a work item hands it to aop_free() when that is done
 *
 * Context: any.
 */
void aop_deadline_destroy(struct aop *op)
{
	queue_work(aop_wq, &op->extra->deadline->free);
}

/**
 * aop_deadline_of() - when, or 0
 * @op: any
 */
u64 aop_deadline_of(const struct aop *op)
{
	if (!op->extra || !op->extra->deadline)
		return 0;
	return ktime_to_ns(hrtimer_get_expires(&op->extra->deadline->timer));
}
