// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_WAIT: carry out signals, then sleep until k of n ops have an event.
 *
 * The order pays: first the signals, then a chance for whom they woke to run, then
 * a second look, and only if that finds too little are hooks hung and does the
 * caller sleep.  A server that answers and takes the next request seldom sleeps.
 *
 * Waiting does not use the ready ring: threads of one context may each wait for ops
 * of their own.  Waiters refer to ops, not to handles, which may be detached
 * meanwhile.
 *
 * Why no wake is lost: a hook is hung and the op is looked at in one go under the
 * home lock, where all changes are made; the waiter sets its task state before it
 * reads how many events are missing, and hooks lower that before they wake.
 *
 * Locks: aop_wait_hook.events under the op's home lock while the hook hangs.
 */
#include <linux/freezer.h>
#include <linux/hrtimer.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "ioctl.h"
#include "trace.h"
#include "waiting.h"

struct waiter {
	struct task_struct *task;
	atomic_t missing;		/* entries that need an event; <= 0: enough */
};

#define ON_STACK	4

static void wait_changed(struct aop_run *run, struct aop *op, struct aop_hook *hook, u32 events)
{
	struct aop_wait_hook *h = container_of(hook, struct aop_wait_hook, hook);

	h->events = aop_wait_events(h);
	if (!h->events)
		return;
	/* Pairs with set_current_state() in sleep(). */
	if (atomic_dec_return(&h->waiter->missing) == 0)
		wake_up_process(h->waiter->task);
	/* The waiter may be gone as soon as it sees this. */
	aop_unhook_locked(op, hook);
}

/* Finds the op of an entry that was fetched, and refers to it.  The table is locked. */
static __always_inline int find_op(struct aop_ctx *ctx, struct aop_wait_hook *h,
				   const struct aop_wait_entry *e)
{
	struct aop_link *link;
	int ret = aop_link_get_for(ctx, e->handle, AOP_SEES, &link);

	if (unlikely(!e->mask || e->mask & ~AOP_EV_ALL || e->pad))
		return -EINVAL;
	if (unlikely(ret))
		return ret;
	aop_wait_hook_init(h, link->op, e->mask, e->seq);
	return 0;
}

static int fetch_entry(struct aop_ctx *ctx, struct aop_wait_hook *h, const void __user *user,
		       u32 size)
{
	struct aop_wait_entry e AOP_UNINIT;
	int ret = aop_copy_in(&e, sizeof(e), user, size, sizeof(e));

	return ret ?: find_op(ctx, h, &e);
}

static __always_inline int put_answers(const struct aop_wait_hook *hooks, u32 nr, u64 at,
				       u32 size, u32 count, struct aop_ioc_wait __user *arg)
{
	void __user *entries = u64_to_user_ptr(at);
	u32 i;

	if (!user_write_access_begin(arg, sizeof(*arg)))
		return -EFAULT;
	/* The entries have passed access_ok() as well. */
	for (i = 0; i < nr; i++) {
		struct aop_wait_entry __user *e = entries + (size_t)i * size;

		unsafe_put_user(hooks[i].events, &e->events, fault);
	}
	unsafe_put_user(count, &arg->count, fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

static __always_inline int sleep(struct waiter *waiter, u64 deadline, const struct aop_ctx *ctx)
{
	ktime_t until = 0;
	int ret = 0;

	if (deadline != AOP_FOREVER_NS)
		until = ns_to_ktime(aop_host_ns(ctx, deadline));

	for (;;) {
		/* Pairs with the atomic in wait_changed(). */
		set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		if (atomic_read(&waiter->missing) <= 0)
			break;
		if (ret)
			break;
		if (signal_pending(current)) {
			ret = -ERESTARTSYS;
			break;
		}
		if (deadline == AOP_FOREVER_NS)
			schedule();
		else if (!schedule_hrtimeout_range(&until, current->timer_slack_ns,
						   HRTIMER_MODE_ABS))
			ret = -ETIME;
	}
	__set_current_state(TASK_RUNNING);
	return atomic_read(&waiter->missing) <= 0 ? 0 : ret;
}

static __always_inline int hang_and_sleep(struct aop_ctx *ctx, struct aop_wait_hook *hooks,
					  u32 nr, u32 need, u64 deadline)
{
	struct waiter waiter = {
		.task = current,
		.missing = ATOMIC_INIT(need),
	};
	u64 id = nr ? hooks[0].op->id : 0;
	int ret = 0;
	u32 i;

	trace_aop_wait_begin(id, nr, need, deadline);
	for (i = 0; i < nr && !ret; i++) {
		struct aop_wait_hook *h = &hooks[i];
		struct aop *op = h->op;

		h->hook.func = wait_changed;
		h->hook.user = ctx->home->user;
		h->waiter = &waiter;
		spin_lock_irq(&op->home->lock);
		h->events = aop_wait_events(h);
		if (h->events)
			atomic_dec(&waiter.missing);
		else
			ret = aop_hook_locked(op, &h->hook);
		spin_unlock_irq(&op->home->lock);
	}
	if (!ret)
		ret = sleep(&waiter, deadline, ctx);
	while (i--) {
		struct aop_wait_hook *h = &hooks[i];
		struct aop *op = h->op;

		/* Pairs with the release in aop_unhook_locked(): it has fired. */
		if (!smp_load_acquire(&h->hook.node.pprev))
			continue;
		spin_lock_irq(&op->home->lock);
		if (!hlist_unhashed(&h->hook.node))
			aop_unhook_locked(op, &h->hook);
		spin_unlock_irq(&op->home->lock);
	}
	trace_aop_wait_end(id, nr, ret);
	return ret;
}

/**
 * aop_wait_sleep() - hang hooks, and sleep until enough of them have fired
 * @ctx: of the calling process
 * @hooks: initialised; each has its events afterwards
 * @nr: how many
 * @need: how many of them must have events
 * @deadline: of user space
 *
 * Context: sleeps, interruptible and freezable, with no lock held.
 * Return: 0; -ETIME; -ERESTARTSYS; -EMFILE when too many look at an op.
 */
int aop_wait_sleep(struct aop_ctx *ctx, struct aop_wait_hook *hooks, u32 nr, u32 need,
		   u64 deadline)
{
	return hang_and_sleep(ctx, hooks, nr, need, deadline);
}

/**
 * aop_nap() - sleep until woken
 * @ctx: of the calling process
 * @deadline: of user space
 *
 * Context: on a wait queue, in the state to sleep in; no lock held.
 * Return: 0; -ETIME; -ERESTARTSYS.
 */
int aop_nap(struct aop_ctx *ctx, u64 deadline)
{
	ktime_t until;

	if (signal_pending(current))
		return -ERESTARTSYS;
	if (deadline == AOP_FOREVER_NS) {
		schedule();
		return 0;
	}
	until = ns_to_ktime(aop_host_ns(ctx, deadline));
	if (schedule_hrtimeout_range(&until, current->timer_slack_ns, HRTIMER_MODE_ABS))
		return 0;
	return -ETIME;
}

static int check(const struct aop_ioc_wait *w)
{
	if (w->flags || w->pad || w->nr > AOP_MAX_ENTRIES || w->need > w->nr ||
	    w->nr_signals > AOP_MAX_ENTRIES || w->signalled > w->nr_signals)
		return -EINVAL;
	if (w->nr && w->entry_size < sizeof(struct aop_wait_entry))
		return -EINVAL;
	if (w->nr_signals && (!w->signals || w->signal_size < sizeof(struct aop_signal_entry)))
		return -EINVAL;
	if ((w->nr && w->entry_size > PAGE_SIZE) || (w->nr_signals && w->signal_size > PAGE_SIZE))
		return -E2BIG;
	if (!access_ok(u64_to_user_ptr(w->entries), (size_t)w->nr * w->entry_size) ||
	    !access_ok(u64_to_user_ptr(w->signals), (size_t)w->nr_signals * w->signal_size))
		return -EFAULT;
	return 0;
}

/* Fetches all, then signals, in one go under the table mutex. */
static int begin(struct aop_ctx *ctx, struct aop_ioc_wait *w, struct aop_wait_hook *hooks,
		 u32 *got, void __user *arg)
{
	u32 __user *signalled = &((struct aop_ioc_wait __user *)arg)->signalled;
	int ret = 0;

	*got = 0;
	aop_table_lock(ctx);
	if (ctx->dead)
		ret = -EIO;
	for (; *got < w->nr && !ret; *got += !ret)
		ret = fetch_entry(ctx, &hooks[*got],
				  u64_to_user_ptr(w->entries) + (size_t)*got * w->entry_size,
				  w->entry_size);
	if (!ret && w->signalled < w->nr_signals) {
		/*
		 * Ahead, so that what cannot be written is found in time, and before
		 * any sleep: a call that is restarted must not signal again.
		 */
		ret = put_user(w->nr_signals, signalled);
		if (!ret)
			ret = aop_signal_batch(ctx, u64_to_user_ptr(w->signals), w->signal_size,
					       w->nr_signals, &w->signalled);
		if (w->signalled != w->nr_signals)
			put_user(w->signalled, signalled);
	}
	aop_table_unlock(ctx);
	return ret;
}

/* Looks, and sleeps if need be.  Returns 0 or -ETIME with @count, or an error. */
static __always_inline int look_and_sleep(struct aop_ctx *ctx, struct aop_wait_hook *hooks,
					  u32 nr, u32 need, u64 deadline, bool signals,
					  u32 *count)
{
	int ret;
	u32 i;

	*count = aop_wait_look(hooks, nr);
	if (*count < need && signals) {
		cond_resched();
		*count = aop_wait_look(hooks, nr);
	}
	if (*count >= need)
		return 0;
	ret = deadline ? hang_and_sleep(ctx, hooks, nr, need, deadline) : -ETIME;
	for (i = 0, *count = 0; i < nr; i++)
		*count += !!hooks[i].events;
	return ret;
}

static noinline long wait_for_many(struct aop_ctx *ctx, struct aop_ioc_wait *w,
				   struct aop_ioc_wait __user *arg)
{
	struct aop_wait_hook stack[ON_STACK] AOP_UNINIT, *hooks = stack;
	bool signals = w->signalled < w->nr_signals;
	u32 count, got, i;
	int ret = check(w);

	if (ret)
		return ret;
	if (w->nr > ON_STACK) {
		hooks = kvmalloc_array(w->nr, sizeof(*hooks), AOP_GFP);
		if (!hooks)
			return -ENOMEM;
	}
	ret = begin(ctx, w, hooks, &got, arg);
	if (!ret) {
		ret = look_and_sleep(ctx, hooks, w->nr, w->need, w->deadline, signals, &count);
		if ((!ret || ret == -ETIME) &&
		    put_answers(hooks, w->nr, w->entries, w->entry_size, count, arg))
			ret = -EFAULT;
	}
	for (i = 0; i < got; i++)
		aop_put(hooks[i].op);
	if (hooks != stack)
		kvfree(hooks);
	return ret;
}

/* ---- one op, and one signal at the most ---------------------------------- */

struct single {
	struct aop_ioc_wait w;
	struct aop_wait_entry entry;
	struct aop_signal_entry signal;
};

/*
 * Fetches a call of that kind, all in one go, and writes ahead what it will answer.
 * Returns false for all else, and for what is wrong; @s->w has been fetched, if it could
 * be, and what was written is what stands there anyway, or will be put right.
 */
static __always_inline bool fetch_single(struct single *s, struct aop_ioc_wait __user *arg)
{
	const u64 __user *from = (const u64 __user *)arg;
	struct aop_signal_entry __user *signal;
	struct aop_wait_entry __user *entry;
	u64 *to = (u64 *)&s->w;
	size_t i;

	if (unlikely(!user_access_begin(arg, sizeof(*arg))))
		return false;
#pragma GCC unroll 16
	for (i = 0; i < sizeof(s->w) / 8; i++)
		unsafe_get_user(to[i], &from[i], fault);
	entry = u64_to_user_ptr(s->w.entries);
	signal = u64_to_user_ptr(s->w.signals);
	if (unlikely(s->w.size != sizeof(s->w) || s->w.flags | s->w.pad | s->w.signalled ||
		     s->w.nr != 1 || s->w.need != 1 || s->w.nr_signals > 1 ||
		     s->w.entry_size != sizeof(*entry) || !access_ok(entry, sizeof(*entry))))
		goto fault;
	unsafe_get_user(s->entry.handle, &entry->handle, fault);
	unsafe_get_user(*(u64 *)&s->entry.mask, (u64 __user *)&entry->mask, fault);
	unsafe_get_user(s->entry.pad, &entry->pad, fault);
	if (s->w.nr_signals) {
		if (unlikely(s->w.signal_size != sizeof(*signal) || !signal ||
			     !access_ok(signal, sizeof(*signal))))
			goto fault;
		unsafe_get_user(s->signal.handle, &signal->handle, fault);
		unsafe_get_user(s->signal.what, &signal->what, fault);
		unsafe_get_user(s->signal.value, &signal->value, fault);
		unsafe_get_user(s->signal.total, &signal->total, fault);
		unsafe_put_user(0, &signal->ret, fault);
		unsafe_put_user(1, &arg->signalled, fault);
	}
	user_access_end();
	return true;
fault:
	user_access_end();
	return false;
}

static __always_inline long wait_for_one(struct aop_ctx *ctx, struct single *s,
					 struct aop_ioc_wait __user *arg)
{
	struct aop_signal_entry __user *signal = u64_to_user_ptr(s->w.signals);
	bool signals = s->w.nr_signals;
	struct aop_wait_hook hook AOP_UNINIT;
	int told = 0, ret;
	u32 count;

	aop_table_lock(ctx);
	ret = unlikely(ctx->dead) ? -EIO : find_op(ctx, &hook, &s->entry);
	if (likely(!ret) && signals)
		told = aop_signal_fetched(ctx, &s->signal);
	aop_table_unlock(ctx);
	if (unlikely(ret)) {
		if (signals)
			put_user(0, &arg->signalled);
		return ret;
	}
	if (unlikely(told) && put_user(told, &signal->ret))
		ret = -EFAULT;
	if (likely(!ret))
		ret = look_and_sleep(ctx, &hook, 1, 1, s->w.deadline, signals, &count);
	if ((!ret || ret == -ETIME) &&
	    unlikely(put_answers(&hook, 1, s->w.entries, sizeof(s->entry), count, arg)))
		ret = -EFAULT;
	if (unlikely(refcount_dec_and_test(&hook.op->ref)))
		aop_free(hook.op);
	return ret;
}

/**
 * aop_ioctl_wait() - AOP_IOC_WAIT
 * @ctx: of the calling process
 * @arg: struct aop_ioc_wait
 *
 * Context: sleeps, interruptible and freezable, with no lock held.
 * Return: 0; -ETIME when the deadline came first; -ERESTARTSYS; -EINVAL, -E2BIG,
 * -EFAULT for the struct and its arrays; -EBADF, -ESTALE, -EPERM for a handle that
 * it would wait for, and then nothing was signalled; -EMFILE when too many look at
 * an op; -ENOMEM.
 */
long aop_ioctl_wait(struct aop_ctx *ctx, void __user *arg)
{
	struct single s AOP_UNINIT;
	int ret;

	if (likely(fetch_single(&s, arg)))
		return wait_for_one(ctx, &s, arg);
	ret = aop_copy_struct(&s.w, sizeof(s.w), sizeof(s.w), arg);
	return ret ?: wait_for_many(ctx, &s.w, arg);
}
