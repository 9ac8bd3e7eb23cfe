// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_EVENTFD: eventfds that are signalled when an op changes.
 *
 * A registration is a hook on the op.  It is told under the home lock, and leaves the
 * signal to a work item: eventfd_signal() wakes whoever waits, and that may be anybody,
 * also somebody who drives ops.  So several changes may become one signal, the last
 * one always has one, and circles of imports and exports take turns.
 *
 * A registration belongs to a context and goes with it.  It counts as a handle of the
 * user, and as one who looks at the op.
 *
 * Locks: ctx->lock, the table mutex: ctx->eventfds.  The work item takes no lock of
 * aop, so it may be waited for under that.
 */
#include <linux/eventfd.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "internal.h"
#include "ioctl.h"

/**
 * struct aop_eventfd - one registration
 * @hook: on the op
 * @node: on ctx->eventfds
 * @op: referenced
 * @eventfd: referenced
 * @work: signals it
 * @mask: AOP_EV_* that do
 */
struct aop_eventfd {
	struct aop_hook hook;
	struct list_head node;
	struct aop *op;
	struct eventfd_ctx *eventfd;
	struct work_struct work;
	u32 mask;
};

static void signal_work(struct work_struct *work)
{
	aop_eventfd_signal(container_of(work, struct aop_eventfd, work)->eventfd);
}

static void op_changed(struct aop_run *run, struct aop *op, struct aop_hook *hook, u32 events)
{
	struct aop_eventfd *e = container_of(hook, struct aop_eventfd, hook);

	if (events & e->mask)
		queue_work(aop_wq, &e->work);
}

/* The table mutex is held. */
static void remove(struct aop_ctx *ctx, struct aop_eventfd *e)
{
	struct aop_home *home = e->op->home;

	list_del(&e->node);
	spin_lock_irq(&home->lock);
	aop_unhook_locked(e->op, &e->hook);
	spin_unlock_irq(&home->lock);
	/* What has happened before this is signalled. */
	flush_work(&e->work);
	eventfd_ctx_put(e->eventfd);
	aop_put(e->op);
	kfree(e);
	aop_user_uncharge(ctx->home->user, 1);
}

/**
 * aop_eventfds_clear() - remove all registrations of a context
 * @ctx: its table mutex is held
 *
 * Context: may sleep.
 */
void aop_eventfds_clear(struct aop_ctx *ctx)
{
	struct aop_eventfd *e, *next;

	list_for_each_entry_safe(e, next, &ctx->eventfds, node) {
		remove(ctx, e);
		cond_resched();
	}
}

static int remove_matching(struct aop_ctx *ctx, const struct aop *op,
			   const struct eventfd_ctx *eventfd)
{
	struct aop_eventfd *e, *next;
	int ret = -ENOENT;

	list_for_each_entry_safe(e, next, &ctx->eventfds, node)
		if (e->eventfd == eventfd && (!op || e->op == op)) {
			remove(ctx, e);
			ret = 0;
		}
	return ret;
}

static int add(struct aop_ctx *ctx, struct aop *op, struct eventfd_ctx *eventfd, u32 mask)
{
	struct aop_eventfd *e;
	int ret;

	if (!aop_user_charge(ctx->home->user, 1))
		return -EDQUOT;
	ret = -ENOMEM;
	e = kzalloc(sizeof(*e), AOP_GFP);
	if (!e)
		goto uncharge;
	e->hook.func = op_changed;
	e->hook.user = ctx->home->user;
	e->op = op;
	e->eventfd = eventfd;
	e->mask = mask;
	INIT_WORK(&e->work, signal_work);
	spin_lock_irq(&op->home->lock);
	ret = aop_hook_locked(op, &e->hook);
	if (!ret && aop_level(op) & mask)
		queue_work(aop_wq, &e->work);
	spin_unlock_irq(&op->home->lock);
	if (ret)
		goto free;
	aop_get(op);
	list_add_tail(&e->node, &ctx->eventfds);
	return 0;
free:
	kfree(e);
uncharge:
	aop_user_uncharge(ctx->home->user, 1);
	return ret;
}

static int change(struct aop_ctx *ctx, const struct aop_ioc_eventfd *ev,
		  struct eventfd_ctx *eventfd)
{
	struct aop_link *link = NULL;

	if (ctx->dead)
		return -EIO;
	if (ev->handle || ev->mask) {
		link = aop_link_find(ctx, ev->handle);
		if (IS_ERR(link))
			return PTR_ERR(link);
		if (!(link->rights & AOP_SEES))
			return -EPERM;
	}
	if (!ev->mask)
		return remove_matching(ctx, link ? link->op : NULL, eventfd);
	return add(ctx, link->op, eventfd, ev->mask);
}

/**
 * aop_ioctl_eventfd() - AOP_IOC_EVENTFD
 * @ctx: of the calling process
 * @arg: struct aop_ioc_eventfd
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, -E2BIG, -EFAULT for the struct; -EBADF, -ESTALE, -EPERM for the
 * handle; -EBADF, -EINVAL for the descriptor; -EMFILE, -EDQUOT, -ENOMEM; -ENOENT when
 * there is nothing to remove; -EIO when the process has ended.
 */
long aop_ioctl_eventfd(struct aop_ctx *ctx, void __user *arg)
{
	struct eventfd_ctx *eventfd;
	struct aop_ioc_eventfd ev;
	long ret = aop_copy_struct(&ev, sizeof(ev), sizeof(ev), arg);

	if (ret)
		return ret;
	if (ev.flags || ev.mask & ~AOP_EV_ALL)
		return -EINVAL;
	eventfd = eventfd_ctx_fdget(ev.fd);
	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	aop_table_lock(ctx);
	ret = change(ctx, &ev, eventfd);
	aop_table_unlock(ctx);
	/* A registration keeps the reference. */
	if (ret || !ev.mask)
		eventfd_ctx_put(eventfd);
	return ret;
}
