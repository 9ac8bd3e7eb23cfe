// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_SIGNAL: owners drive their ops.
 */
#include "batch.h"
#include "link.h"

/* The home lock is held; the right to drive has been checked. */
static __always_inline int end(struct aop_run *run, struct aop_link *link,
			       const struct aop_signal_entry *e)
{
	u32 what = e->what & ~AOP_SIGNAL_DETACH;
	s64 result = e->value;
	u8 state, flags = 0;
	int ret;

	if (e->total)
		return -EINVAL;
	switch (what) {
	case AOP_SIGNAL_DONE:
		state = AOP_DONE;
		break;
	case AOP_SIGNAL_FAIL:
		state = AOP_FAILED;
		break;
	case AOP_SIGNAL_CANCELLED:
		state = AOP_CANCELLED;
		if (!result)
			result = link->op->reason ?: -ECANCELED;
		break;
	case AOP_SIGNAL_LET_GO:
		if (result)
			return -EINVAL;
		state = AOP_FAILED;
		flags = AOP_F_SYSTEM;
		result = -EOWNERDEAD;
		break;
	default:
		return -EINVAL;
	}
	if (!aop_result_fits(state, result))
		return -EINVAL;
	ret = __aop_link_end_locked(run, link, e->what & AOP_SIGNAL_DETACH ? AOP_MAY_ALL :
				    AOP_MAY_DRIVE, state, flags, result);
	/* Who lets go has nothing to say that could come too late. */
	return what == AOP_SIGNAL_LET_GO ? 0 : ret;
}

static int start(struct aop_run *run, struct aop_link *link, const struct aop_signal_entry *e)
{
	int ret;

	if (e->value || e->total)
		return -EINVAL;
	ret = aop_start_locked(run, link->op);
	if (ret == -EALREADY)
		aop_link_drop_locked(run, link, AOP_MAY_DRIVE);
	return ret;
}

static __always_inline int signal_one(struct aop_ctx *ctx, struct aop_run *run, const void *entry)
{
	const struct aop_signal_entry *e = entry;
	struct aop_link *link = aop_link_find(ctx, e->handle);

	if (IS_ERR(link))
		return PTR_ERR(link);
	if (unlikely(!(link->rights & AOP_MAY_DRIVE)))
		return -EPERM;
	aop_run_lock(run, link->op->home);
	if (e->what == AOP_SIGNAL_PROGRESS)
		return unlikely(e->value < 0) ? -EINVAL :
			__aop_progress_locked(run, link->op, e->value, e->total);
	if (e->what == AOP_SIGNAL_START)
		return start(run, link, e);
	return end(run, link, e);
}

static const struct aop_batch_kind signals = AOP_BATCH_KIND(signal);

/**
 * aop_signal_batch() - carry out signals
 * @ctx: of the calling process, its table locked
 * @entries: struct aop_signal_entry, access_ok() throughout
 * @size: of one
 * @nr: how many
 * @done: in: how many to skip; out: how many were handled
 *
 * Context: may sleep.
 * Return: 0, or -EFAULT when user memory ended before the entries did.
 */
int aop_signal_batch(struct aop_ctx *ctx, void __user *entries, u32 size, u32 nr, u32 *done)
{
	return aop_entries(ctx, &signals, entries, size, nr, done);
}

/**
 * aop_ioctl_signal() - AOP_IOC_SIGNAL
 * @ctx: of the calling process
 * @arg: struct aop_ioc_batch of struct aop_signal_entry
 *
 * Context: may sleep.
 * Return: as aop_batch().
 */
long aop_ioctl_signal(struct aop_ctx *ctx, void __user *arg)
{
	return aop_batch(ctx, &signals, arg);
}

/**
 * aop_ioctl_signal_one() - AOP_IOC_SIGNAL_ONE
 * @ctx: of the calling process
 * @arg: struct aop_signal_entry
 *
 * Context: may sleep.
 * Return: as aop_one().
 */
long aop_ioctl_signal_one(struct aop_ctx *ctx, void __user *arg)
{
	return aop_one(ctx, &signals, arg);
}
