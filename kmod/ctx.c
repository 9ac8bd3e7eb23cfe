// SPDX-License-Identifier: GPL-2.0
/*
 * An open /dev/aop: to whom it belongs, when it ends, and who may poll it.
 *
 * A context belongs to the process (mm) that opened it; whoever else got hold of
 * the file gets -EIO, as with KVM.  It ends with that process: in ->flush, while
 * the opener's files are closed at exit, or in ->release, whichever comes first.
 * So neither a forked child, a copy in flight, nor a fixed file of io_uring keeps
 * the ops of a dead owner alive.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/time_namespace.h>

#include "compat.h"
#include "internal.h"

/**
 * aop_time_offset() - from the host's CLOCK_MONOTONIC to the caller's, in ns
 */
s64 aop_time_offset(void)
{
#ifdef CONFIG_TIME_NS
	return timespec64_to_ns(&current->nsproxy->time_ns->offsets.monotonic);
#else
	return 0;
#endif
}

/**
 * aop_poll_queue() - poll_wait(), with a bound on how many poll the same
 * @file: polled
 * @wq: pinned by it
 * @wait: as ->poll got it
 * @crowded: of the file: set when there were too many once; all are told so from then
 *	on, since who is not on the queue would never be woken
 *
 * Who wakes the queue may be another user than those who poll, and walks all of them.
 *
 * Context: ->poll.
 */
void aop_poll_queue(struct file *file, wait_queue_head_t *wq, poll_table *wait, bool *crowded)
{
	struct wait_queue_entry *entry;
	unsigned int nr = 0;

	spin_lock_irq(&wq->lock);
	list_for_each_entry(entry, &wq->head, entry)
		nr++;
	spin_unlock_irq(&wq->lock);
	if (nr < AOP_MAX_POLLERS)
		poll_wait(file, wq, wait);
	else
		WRITE_ONCE(*crowded, true);
}

static int ctx_open(struct inode *inode, struct file *file)
{
	struct aop_ctx *ctx;

	if (!current->mm)
		return -EIO;
	ctx = kzalloc(sizeof(*ctx), AOP_GFP);
	if (!ctx)
		return -ENOMEM;
	ctx->home = aop_home_create(current_cred());
	if (IS_ERR(ctx->home)) {
		int ret = PTR_ERR(ctx->home);

		kfree(ctx);
		return ret;
	}
	ctx->home->spare_room = READ_ONCE(aop_spare_ops);
	ctx->home->spare_calls_room = ctx->home->spare_room;
	mutex_init(&ctx->lock);
	init_waitqueue_head(&ctx->wq);
	INIT_LIST_HEAD(&ctx->eventfds);
	INIT_LIST_HEAD(&ctx->names);
	ctx->waits = RB_ROOT;
	spin_lock_init(&ctx->waits_lock);
	mmgrab(current->mm);
	ctx->mm = current->mm;
	ctx->time_offset = aop_time_offset();
	file->private_data = ctx;
	return nonseekable_open(inode, file);
}

static void ctx_end(struct aop_ctx *ctx)
{
	aop_table_lock(ctx);
	ctx->dead = true;
	aop_names_clear(ctx);
	aop_table_clear(ctx);
	aop_eventfds_clear(ctx);
	aop_table_unlock(ctx);
	wake_up_poll(&ctx->wq, EPOLLERR | EPOLLHUP);
}

/*
 * Called for each close of a descriptor.  The context ends when it is the opener that
 * closes it at its exit, in the last of its threads (a thread may have a table of
 * files of its own), or in an exec, which has exchanged the mm.
 */
static int ctx_flush(struct file *file, fl_owner_t id)
{
	struct aop_ctx *ctx = file->private_data;

	if (task_tgid(current) != ctx->home->pid)
		return 0;
	if (current->mm ? current->mm != ctx->mm : !atomic_read(&current->signal->live))
		ctx_end(ctx);
	return 0;
}

static int ctx_release(struct inode *inode, struct file *file)
{
	struct aop_ctx *ctx = file->private_data;

	ctx_end(ctx);
	kvfree(ctx->hooks);
	aop_ring_free(ctx);
	aop_free_spare(ctx->home);
	aop_home_put(ctx->home, 1);
	mmdrop(ctx->mm);
	kfree(ctx);
	return 0;
}

static int ctx_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct aop_ctx *ctx = file->private_data;

	if (current->mm != ctx->mm)
		return -EIO;
	return aop_ring_mmap(ctx, vma);
}

static __poll_t ctx_poll(struct file *file, poll_table *wait)
{
	struct aop_ctx *ctx = file->private_data;
	__poll_t events = 0;

	if (!poll_does_not_wait(wait))
		aop_poll_queue(file, &ctx->wq, wait, &ctx->crowded);
	/* Pairs with the release in setup(). */
	if (smp_load_acquire(&ctx->nr_slots) && aop_ring_ready(ctx))
		events = EPOLLIN | EPOLLRDNORM;
	if (unlikely(READ_ONCE(ctx->crowded) | READ_ONCE(ctx->dead)))
		events |= ctx->dead ? EPOLLERR | EPOLLHUP : EPOLLERR;
	return events;
}

static void ctx_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct aop_ctx *ctx = file->private_data;

	seq_printf(m, "slots:\t%u\n", READ_ONCE(ctx->nr_slots));
	seq_printf(m, "handles:\t%u\n", READ_ONCE(ctx->nr_used));
	seq_printf(m, "ready:\t%u\n", (u32)(READ_ONCE(ctx->tail) - READ_ONCE(ctx->head)));
	seq_printf(m, "uid:\t%u\n",
		   from_kuid_munged(seq_user_ns(m), ctx->home->cred->euid));
	seq_printf(m, "user-handles:\t%u\n", atomic_read(&ctx->home->user->handles));
}

const struct file_operations aop_ctx_fops = {
	.owner = THIS_MODULE,
	.open = ctx_open,
	.flush = ctx_flush,
	.release = ctx_release,
	.unlocked_ioctl = aop_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = ctx_mmap,
	.poll = ctx_poll,
#ifdef AOP_HAVE_URING
	.uring_cmd = aop_uring_cmd,
#endif
	.show_fdinfo = ctx_show_fdinfo,
};
