// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_IMPORT: ops that end when an eventfd is signalled or a fence is.
 *
 * The op's owner is a part of aop.  It holds the eventfd's context or the fence, not
 * the file, so closing works as always; and it takes nothing: the counter is as it
 * would be without it.  An eventfd whose last descriptor is closed can be signalled
 * by nobody who is known here: its op ends like one whose owner is gone.
 *
 * Wake-ups, fences, cancels and abandonment only say how it is to end (trigger()).
 * The first one counts, and queues the work item, once, which leaves the source and
 * ends the op where no lock is held.  So ops that import what others export in a circle
 * never wait for each other.  While it is being set up it is not armed: the work item
 * is queued at the end of that.
 *
 * Locks: aop_import.lock, a leaf, taken in wake-ups: how, armed.
 */
#include <linux/dma-fence.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/sync_file.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "ioctl.h"
#include "link.h"

enum how { NOT_YET, FIRED, CLOSED, STOPPED };

/**
 * struct aop_import - the owner's side of an imported op
 * @owner: of the op; ended by the work item and nobody else
 * @eventfd: or NULL; referenced
 * @fence: or NULL; referenced
 * @queue: of @eventfd
 * @wait: on @queue
 * @pt: hangs it there
 * @cb: on @fence
 * @work: ends the op
 * @lock: see above
 * @how: it ends
 * @armed: @work may be queued
 */
struct aop_import {
	struct aop_owner *owner;
	struct eventfd_ctx *eventfd;
	struct dma_fence *fence;
	wait_queue_head_t *queue;
	wait_queue_entry_t wait;
	poll_table pt;
	struct dma_fence_cb cb;
	struct work_struct work;
	spinlock_t lock;	/* see above */
	enum how how;
	bool armed;
};

static void trigger(struct aop_import *im, enum how how)
{
	unsigned long flags;

	spin_lock_irqsave(&im->lock, flags);
	if (im->how == NOT_YET) {
		im->how = how;
		if (im->armed)
			queue_work(aop_wq, &im->work);
	}
	spin_unlock_irqrestore(&im->lock, flags);
}

static void arm(struct aop_import *im)
{
	unsigned long flags;

	spin_lock_irqsave(&im->lock, flags);
	im->armed = true;
	if (im->how != NOT_YET)
		queue_work(aop_wq, &im->work);
	spin_unlock_irqrestore(&im->lock, flags);
}

/* ---- sources ----------------------------------------------------------- */

/* The eventfd's lock is held, interrupts are off. */
static int eventfd_woken(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct aop_import *im = container_of(wait, struct aop_import, wait);
	__poll_t events = key_to_poll(key);

	if (events & EPOLLIN)
		trigger(im, FIRED);
	else if (events & EPOLLHUP)
		trigger(im, CLOSED);
	return 0;
}

static void eventfd_queue(struct file *file, wait_queue_head_t *queue, poll_table *pt)
{
	struct aop_import *im = container_of(pt, struct aop_import, pt);

	im->queue = queue;
	add_wait_queue(queue, &im->wait);
}

/* The fence's lock is held, interrupts are off. */
static void fence_signalled(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	trigger(container_of(cb, struct aop_import, cb), FIRED);
}

static int find_source(struct aop_import *im, struct file *file, int fd)
{
	im->eventfd = eventfd_ctx_fileget(file);
	if (!IS_ERR(im->eventfd))
		return 0;
	im->eventfd = NULL;
	if (IS_ENABLED(CONFIG_SYNC_FILE))
		im->fence = sync_file_get_fence(fd);
	return im->fence ? 0 : -EINVAL;
}

static void join_source(struct aop_import *im, struct file *file)
{
	int ret;

	if (im->eventfd) {
		init_waitqueue_func_entry(&im->wait, eventfd_woken);
		init_poll_funcptr(&im->pt, eventfd_queue);
		if (vfs_poll(file, &im->pt) & EPOLLIN)
			trigger(im, FIRED);
		return;
	}
	ret = dma_fence_add_callback(im->fence, &im->cb, fence_signalled);
	if (ret)
		trigger(im, ret == -ENOENT ? FIRED : CLOSED);
}

static void put_source(struct aop_import *im)
{
	if (im->eventfd)
		eventfd_ctx_put(im->eventfd);
	if (im->fence)
		dma_fence_put(im->fence);
	kfree(im);
}

/* ---- the owner --------------------------------------------------------- */

static void import_work(struct work_struct *work)
{
	struct aop_import *im = container_of(work, struct aop_import, work);
	enum how how;
	int error = 0;

	/* Behind whoever has queued this, and may not have unlocked yet: arm() does. */
	spin_lock_irq(&im->lock);
	how = im->how;
	spin_unlock_irq(&im->lock);
	/* Both wait for a callback that is running: none comes after this. */
	if (im->queue)
		remove_wait_queue(im->queue, &im->wait);
	if (im->fence) {
		dma_fence_remove_callback(im->fence, &im->cb);
		error = min(dma_fence_get_status(im->fence), 0);
	}
	switch (how) {
	case FIRED:
		if (error)
			aop_fail(im->owner, error);
		else
			aop_done(im->owner, 0);
		break;
	case STOPPED:
		aop_cancelled(im->owner, 0);
		break;
	default:
		aop_let_go(im->owner);
	}
}

static void import_cancel(struct aop_owner *owner, void *priv, u32 why)
{
	trigger(priv, STOPPED);
}

static void import_release(void *priv)
{
	put_source(priv);
}

static const struct aop_owner_ops import_ops = {
	.cancel = import_cancel,
	.release = import_release,
};

/* ---- the call ---------------------------------------------------------- */

static int make(struct aop_ctx *ctx, struct aop_import *im, const struct aop_create_opts *opts,
		struct aop_ioc_import *ic)
{
	struct aop_run run AOP_UNINIT;
	struct aop_link *link;
	int ret;

	aop_table_lock(ctx);
	ret = -EIO;
	if (ctx->dead)
		goto unlock;
	if (!aop_links_alloc(ctx, &link, 1, &ret))
		goto unlock;
	im->owner = aop_owner_create(ctx->home, NULL, &import_ops, im, opts);
	if (IS_ERR(im->owner)) {
		ret = PTR_ERR(im->owner);
		aop_link_free(link);
		goto unlock;
	}
	ic->id = aop_owner_op(im->owner)->id;
	aop_run_begin(&run);
	/* Cannot fail: nobody else can find it yet. */
	WARN_ON_ONCE(aop_link_attach(&run, link, aop_get(aop_owner_op(im->owner)),
				     AOP_MAY_LOOK | AOP_MAY_CANCEL, ic->mask, ic->data));
	aop_register_locked(aop_owner_op(im->owner));
	aop_run_end(&run);
	ret = 0;
	ic->handle = aop_handle(link);
unlock:
	aop_table_unlock(ctx);
	return ret;
}

static void drop_handle(struct aop_ctx *ctx, u64 handle)
{
	struct aop_run run AOP_UNINIT;
	struct aop_link *link;

	aop_table_lock(ctx);
	link = aop_link_find(ctx, handle);
	if (!IS_ERR(link)) {
		aop_run_begin(&run);
		aop_run_lock(&run, link->op->home);
		aop_link_drop_locked(&run, link, AOP_MAY_PORT);
		aop_run_end(&run);
	}
	aop_table_unlock(ctx);
}

/**
 * aop_ioctl_import() - AOP_IOC_IMPORT
 * @ctx: of the calling process
 * @arg: struct aop_ioc_import
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, -E2BIG, -EFAULT for the struct and the label, -ENAMETOOLONG; -EBADF
 * for a descriptor that is not open, -EINVAL for one of another kind; -ENOSPC, -EDQUOT,
 * -ENOMEM; -EIO when the process has ended.
 */
long aop_ioctl_import(struct aop_ctx *ctx, void __user *arg)
{
	struct aop_ioc_import __user *out = arg;
	char label[AOP_LABEL_SIZE] = "";
	struct aop_create_opts opts = { .label = label, .state = AOP_RUNNING };
	struct aop_ioc_import ic;
	struct aop_import *im;
	struct file *file;
	long ret = aop_copy_struct(&ic, sizeof(ic), sizeof(ic), arg);

	if (ret)
		return ret;
	if (ic.flags || ic.pad || ic.mask & ~AOP_EV_ALL || ic.mode & ~AOP_MODE_BITS)
		return -EINVAL;
	if (ic.label) {
		ret = strncpy_from_user(label, u64_to_user_ptr(ic.label), sizeof(label));
		if (ret < 0)
			return ret;
		if (ret == sizeof(label))
			return -ENAMETOOLONG;
	}
	opts.parent = ic.parent;
	opts.mode = ic.mode;
	/* One at the beginning of time has passed as well, but 0 would be none. */
	if (ic.deadline && ic.deadline != AOP_FOREVER_NS)
		opts.deadline = ns_to_ktime(max_t(u64, aop_host_ns(ctx, ic.deadline), 1));

	file = fget(ic.fd);
	if (!file)
		return -EBADF;
	im = kzalloc(sizeof(*im), AOP_GFP);
	if (!im) {
		ret = -ENOMEM;
		goto put;
	}
	INIT_WORK(&im->work, import_work);
	spin_lock_init(&im->lock);
	ret = find_source(im, file, ic.fd);
	if (!ret)
		ret = make(ctx, im, &opts, &ic);
	if (ret) {
		put_source(im);
		goto put;
	}
	join_source(im, file);
	arm(im);
	if (put_user(ic.handle, &out->handle) || put_user(ic.id, &out->id)) {
		/* Abandoned, it ends. */
		drop_handle(ctx, ic.handle);
		ret = -EFAULT;
	}
put:
	fput(file);
	return ret;
}
