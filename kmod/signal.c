// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_SIGNAL: owners drive their ops.
 */
#include "batch.h"

static int end(struct aop_run *run, struct aop_link *link, u32 what, u8 state, u8 flags,
	       s64 result)
{
	return aop_link_end_locked(run, link, what & AOP_SIGNAL_DETACH ? AOP_MAY_ALL :
				   AOP_MAY_DRIVE, state, flags, result);
}

/* The home lock is held; the right to drive has been checked. */
static int drive(struct aop_run *run, struct aop_link *link, const struct aop_signal_entry *e)
{
	struct aop *op = link->op;
	s64 value = e->value;
	int ret;

	if (e->total && e->what != AOP_SIGNAL_PROGRESS)
		return -EINVAL;
	switch (e->what & ~AOP_SIGNAL_DETACH) {
	case AOP_SIGNAL_START:
		if (value || e->what & AOP_SIGNAL_DETACH)
			return -EINVAL;
		ret = aop_start_locked(run, op);
		if (ret == -EALREADY)
			aop_link_drop_locked(run, link, AOP_MAY_DRIVE);
		return ret;
	case AOP_SIGNAL_PROGRESS:
		if (value < 0 || e->what & AOP_SIGNAL_DETACH)
			return -EINVAL;
		return aop_progress_locked(run, op, value, e->total);
	case AOP_SIGNAL_DONE:
		return end(run, link, e->what, AOP_DONE, 0, value);
	case AOP_SIGNAL_FAIL:
		if (!aop_result_fits(AOP_FAILED, value))
			return -EINVAL;
		return end(run, link, e->what, AOP_FAILED, 0, value);
	case AOP_SIGNAL_CANCELLED:
		if (!value)
			value = op->reason ?: -ECANCELED;
		if (!aop_result_fits(AOP_CANCELLED, value))
			return -EINVAL;
		return end(run, link, e->what, AOP_CANCELLED, 0, value);
	case AOP_SIGNAL_LET_GO:
		if (value)
			return -EINVAL;
		end(run, link, e->what, AOP_FAILED, AOP_F_SYSTEM, -EOWNERDEAD);
		return 0;
	default:
		return -EINVAL;
	}
}

static void signal_chunk(struct aop_ctx *ctx, struct aop_run *run, void *entries, u32 nr)
{
	struct aop_signal_entry *e = entries;

	for (; nr--; e++) {
		struct aop_link *link = aop_link_find(ctx, e->handle);

		if (IS_ERR(link)) {
			e->ret = PTR_ERR(link);
		} else if (!(link->rights & AOP_MAY_DRIVE)) {
			e->ret = -EPERM;
		} else {
			aop_run_lock(run, link->op->home);
			e->ret = drive(run, link, e);
		}
	}
}

static const struct aop_batch_kind signals = AOP_BATCH_KIND(signal, 0);

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
