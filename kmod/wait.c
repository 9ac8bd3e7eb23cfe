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

static int fetch_entry(struct aop_ctx *ctx, struct aop_wait_hook *h, const void __user *user,
		       u32 size)
{
	struct aop_wait_entry e AOP_UNINIT;
	struct aop_link *link;
	int ret = aop_copy_in(&e, sizeof(e), user, size, sizeof(e));

	if (ret)
		return ret;
	if (!e.mask || e.mask & ~AOP_EV_ALL || e.pad)
		return -EINVAL;
	link = aop_link_find(ctx, e.handle);
	if (IS_ERR(link))
		return PTR_ERR(link);
	if (!(link->rights & AOP_SEES))
		return -EPERM;
	aop_wait_hook_init(h, link->op, e.mask, e.seq);
	return 0;
}

static int put_answers(const struct aop_wait_hook *hooks, const struct aop_ioc_wait *w, u32 count,
		       struct aop_ioc_wait __user *arg)
{
	void __user *entries = u64_to_user_ptr(w->entries);
	u32 i;

	if (!user_write_access_begin(arg, sizeof(*arg)))
		return -EFAULT;
	/* The entries have passed access_ok() as well. */
	for (i = 0; i < w->nr; i++) {
		struct aop_wait_entry __user *e = entries + (size_t)i * w->entry_size;

		unsafe_put_user(hooks[i].events, &e->events, fault);
	}
	unsafe_put_user(count, &arg->count, fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

static int sleep(struct waiter *waiter, u64 deadline, const struct aop_ctx *ctx)
{
	ktime_t until = ns_to_ktime(aop_host_ns(ctx, deadline));
	int ret = 0;

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
	struct waiter waiter = {
		.task = current,
		.missing = ATOMIC_INIT(need),
	};
	unsigned long flags;
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
		spin_lock_irqsave(&op->home->lock, flags);
		h->events = aop_wait_events(h);
		if (h->events)
			atomic_dec(&waiter.missing);
		else
			ret = aop_hook_locked(op, &h->hook);
		spin_unlock_irqrestore(&op->home->lock, flags);
	}
	if (!ret)
		ret = sleep(&waiter, deadline, ctx);
	while (i--) {
		struct aop_wait_hook *h = &hooks[i];
		struct aop *op = h->op;

		/* Pairs with the release in aop_unhook_locked(): it has fired. */
		if (!smp_load_acquire(&h->hook.node.pprev))
			continue;
		spin_lock_irqsave(&op->home->lock, flags);
		if (!hlist_unhashed(&h->hook.node))
			aop_unhook_locked(op, &h->hook);
		spin_unlock_irqrestore(&op->home->lock, flags);
	}
	trace_aop_wait_end(id, nr, ret);
	return ret;
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
static int begin(struct aop_ctx *ctx, struct aop_ioc_wait *w, struct aop_wait_hook *hooks, u32 *got,
		 void __user *arg)
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
	struct aop_wait_hook stack[ON_STACK] AOP_UNINIT, *hooks = stack;
	struct aop_ioc_wait w AOP_UNINIT;
	bool signals;
	u32 count, got, i;
	int ret = aop_copy_struct(&w, sizeof(w), sizeof(w), arg);

	if (ret)
		return ret;
	ret = check(&w);
	if (ret)
		return ret;
	if (w.nr > ON_STACK) {
		hooks = kvmalloc_array(w.nr, sizeof(*hooks), AOP_GFP);
		if (!hooks)
			return -ENOMEM;
	}

	signals = w.signalled < w.nr_signals;
	ret = begin(ctx, &w, hooks, &got, arg);
	if (ret)
		goto put;
	count = aop_wait_look(hooks, w.nr);
	if (count < w.need && signals) {
		cond_resched();
		count = aop_wait_look(hooks, w.nr);
	}
	if (count < w.need) {
		ret = w.deadline ? aop_wait_sleep(ctx, hooks, w.nr, w.need, w.deadline) : -ETIME;
		for (i = 0, count = 0; i < w.nr; i++)
			count += !!hooks[i].events;
	}
	if ((!ret || ret == -ETIME) && put_answers(hooks, &w, count, arg))
		ret = -EFAULT;
put:
	for (i = 0; i < got; i++)
		aop_put(hooks[i].op);
	if (hooks != stack)
		kvfree(hooks);
	return ret;
}
