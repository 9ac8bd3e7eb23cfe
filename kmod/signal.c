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
	ret = __aop_link_end_locked(run, link, e->what & AOP_SIGNAL_DETACH ? AOP_MAY_PORT :
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

/* Finds the handle, and takes the home lock of its op. */
static __always_inline int find_driver(struct aop_ctx *ctx, struct aop_run *run, u64 handle,
				       struct aop_link **link)
{
	int ret = aop_link_get_for(ctx, handle, AOP_MAY_DRIVE, link);

	if (unlikely(ret))
		return ret;
	aop_run_lock(run, (*link)->op->home);
	return 0;
}

static __always_inline int progress_one(struct aop_ctx *ctx, struct aop_run *run,
					const struct aop_signal_entry *e)
{
	struct aop_link *link;
	int ret = find_driver(ctx, run, e->handle, &link);

	if (unlikely(ret))
		return ret;
	if (unlikely(e->value < 0))
		return -EINVAL;
	return __aop_progress_locked(run, link->op, e->value, e->total);
}

static __always_inline int other_one(struct aop_ctx *ctx, struct aop_run *run,
				     const struct aop_signal_entry *e)
{
	struct aop_link *link;
	int ret = find_driver(ctx, run, e->handle, &link);

	if (unlikely(ret))
		return ret;
	return unlikely(e->what == AOP_SIGNAL_START) ? start(run, link, e) : end(run, link, e);
}

static __always_inline int signal_one(struct aop_ctx *ctx, struct aop_run *run, const void *entry)
{
	const struct aop_signal_entry *e = entry;

	return e->what == AOP_SIGNAL_PROGRESS ? progress_one(ctx, run, e) : other_one(ctx, run, e);
}

/*
 * Two loops, each as tight as it can be: signals of a kind mostly come together.
 * Both carry out entries at @e up to @end, and return the first of the other kind.
 */
static noinline struct aop_signal_entry *
progress_many(struct aop_ctx *ctx, struct aop_run *run, struct aop_signal_entry *e,
	      const struct aop_signal_entry *end, u32 *any)
{
	for (; e < end && e->what == AOP_SIGNAL_PROGRESS; e++) {
		e->ret = progress_one(ctx, run, e);
		*any |= e->ret;
	}
	return e;
}

static noinline struct aop_signal_entry *
other_many(struct aop_ctx *ctx, struct aop_run *run, struct aop_signal_entry *e,
	   const struct aop_signal_entry *end, u32 *any)
{
	for (; e < end && e->what != AOP_SIGNAL_PROGRESS; e++) {
		e->ret = other_one(ctx, run, e);
		*any |= e->ret;
	}
	return e;
}

static u32 signal_chunk(struct aop_ctx *ctx, struct aop_run *run, void *entries, u32 nr)
{
	struct aop_signal_entry *e = entries, *last = e + nr;
	u32 any = 0;

	while (e < last) {
		e = progress_many(ctx, run, e, last, &any);
		e = other_many(ctx, run, e, last, &any);
	}
	return any;
}

static const struct aop_batch_kind signals = {
	.one = signal_one,
	.chunk = signal_chunk,
	.words = sizeof(struct aop_signal_entry) / 8,
	.ret = offsetof(struct aop_signal_entry, ret) / 4,
};

/**
 * aop_signal_one() - carry out a signal
 * @ctx: of the calling process, its table locked
 * @run: holds the lock of the op's home afterwards
 * @e: its ret is not looked at
 *
 * Return: 0 or what the entry gets.
 */
int aop_signal_one(struct aop_ctx *ctx, struct aop_run *run, const struct aop_signal_entry *e)
{
	return signal_one(ctx, run, e);
}

/*
 * What matters most: new details of an op that was created here.  It needs neither the
 * table mutex nor a run.  Returns false for all else, and for what is wrong; then
 * nothing has happened.
 */
static __always_inline bool progress_own(struct aop_ctx *ctx, u64 handle, s64 done, u64 total)
{
	struct aop_link *link, *ready = NULL;
	struct aop_run run AOP_UNINIT;
	struct aop *op;
	bool hooks;
	u64 time;
	u32 seq;

	if (unlikely(done < 0 || !aop_link_own_lock(ctx, handle, &link)))
		return false;
	op = link->op;
	if (unlikely(!(link->rights & AOP_MAY_DRIVE) || aop_is_final(op) ||
		     aop_news_wanted())) {
		aop_link_own_unlock(ctx);
		return false;
	}
	seq = op->seq + 2;
	time = max(ktime_get_ns(), op->time);
	op->done = done;
	op->total = total;
	op->time = time;
	trace_aop_change(op, op->word, seq);
	hlist_for_each_entry(link, &op->links, node) {
		aop_slot_details(link, seq, time, done, total);
		if (link->mask & AOP_EV_CHANGE) {
			/* Mostly one; more are pushed one by one. */
			if (unlikely(ready))
				aop_ring_push(ready->ctx, &ready, 1);
			ready = link;
		}
	}
	smp_store_release(&op->seq, seq);	/* last, as in __aop_changed() */
	if (ready)
		aop_ring_push(ready->ctx, &ready, 1);
	hooks = !hlist_empty(&op->hooks);
	if (hooks) {
		aop_run_begin(&run);
		aop_run_hooks(&run, op, AOP_EV_CHANGE);
	}
	aop_link_own_unlock(ctx);
	if (hooks)
		aop_run_end(&run);
	return true;
}

/**
 * aop_signal_fetched() - carry out one signal that has been fetched already
 * @ctx: of the calling process, its table locked
 * @e: the signal
 *
 * Context: may sleep.
 * Return: what is to go into its ret.
 */
int aop_signal_fetched(struct aop_ctx *ctx, const struct aop_signal_entry *e)
{
	struct aop_run run AOP_UNINIT;
	int ret;

	if (likely(e->what == AOP_SIGNAL_PROGRESS) &&
	    likely(progress_own(ctx, e->handle, e->value, e->total)))
		return 0;
	aop_run_begin(&run);
	ret = signal_one(ctx, &run, e);
	aop_run_end(&run);
	return ret;
}

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

static noinline long signal_any(struct aop_ctx *ctx, u64 handle, u32 what, s64 value, u64 total)
{
	const struct aop_signal_entry e = {
		.handle = handle, .what = what, .value = value, .total = total,
	};
	struct aop_run run AOP_UNINIT;
	long ret = -EIO;

	aop_table_lock(ctx);
	if (likely(!ctx->dead)) {
		aop_run_begin(&run);
		ret = signal_one(ctx, &run, &e);
		aop_run_end(&run);
	}
	aop_table_unlock(ctx);
	return ret;
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
 * Return: what a batch would have in ret; -EFAULT; -EIO when the process has ended.
 */
long aop_ioctl_signal_one(struct aop_ctx *ctx, void __user *arg)
{
	struct aop_signal_entry __user *user = arg;
	u64 handle, total;
	s64 value;
	u32 what;

	if (!user_read_access_begin(user, sizeof(*user)))
		return -EFAULT;
	unsafe_get_user(what, &user->what, fault);
	unsafe_get_user(handle, &user->handle, fault);
	unsafe_get_user(value, &user->value, fault);
	unsafe_get_user(total, &user->total, fault);
	user_read_access_end();
	if (likely(what == AOP_SIGNAL_PROGRESS) && likely(progress_own(ctx, handle, value, total)))
		return 0;
	return signal_any(ctx, handle, what, value, total);
fault:
	user_read_access_end();
	return -EFAULT;
}
