// SPDX-License-Identifier: GPL-2.0
/*
 * A sample driver: an engine that carries out transfers one after the other, and ends
 * their ops in its interrupt.  The engine is a timer, which expires in hard interrupt
 * context (in a thread on PREEMPT_RT, as interrupts do there).
 *
 * engine.lock protects the queue; who takes a transfer off it ends the op.  So of the
 * interrupt, the cancel callback and the close of the file only one ends it.  Ops may
 * be driven under that lock; they are ended outside of it, since that may call
 * dma_release().
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include <linux/aop.h>

#include "../compat.h"
#include "aop_samples.h"

static unsigned int tick_us = 1000;
module_param(tick_us, uint, 0644);
MODULE_PARM_DESC(tick_us, "how often the engine interrupts");

static unsigned int burst = 4096;
module_param(burst, uint, 0644);
MODULE_PARM_DESC(burst, "how many bytes it moves until then");

static unsigned int in_hard;
module_param(in_hard, uint, 0444);
MODULE_PARM_DESC(in_hard, "how many transfers were completed in hard interrupts");

/* An open file. */
struct client {
	struct aop_source *source;
};

struct transfer {
	struct list_head node;		/* on engine.queue; who takes it off ends the op */
	struct client *client;
	struct aop_owner *owner;
	u64 bytes;
	u64 done;
	bool stop;			/* cancelled before it was queued */
};

static struct {
	spinlock_t lock;		/* see above */
	struct list_head queue;
	struct transfer *current_one;	/* of the queue */
	struct hrtimer timer;
	bool ticking;
} engine;

static ktime_t tick(void)
{
	return ns_to_ktime((u64)tick_us * NSEC_PER_USEC);
}

/* One that is final already stays: dma_cancel() is on its way, and takes it off. */
static void start_next(void)
{
	struct transfer *t;

	engine.current_one = NULL;
	list_for_each_entry(t, &engine.queue, node)
		if (!aop_start(t->owner)) {
			engine.current_one = t;
			break;
		}
}

/* Real hardware would be told here to stop the one that runs. */
static bool take_off(struct transfer *t)
{
	lockdep_assert_held(&engine.lock);
	if (list_empty(&t->node))
		return false;
	list_del_init(&t->node);
	if (engine.current_one == t)
		start_next();
	return true;
}

static enum hrtimer_restart dma_interrupt(struct hrtimer *timer)
{
	struct transfer *t, *finished = NULL;
	bool more, cookie = aop_begin_signalling();
	unsigned long flags;

	spin_lock_irqsave(&engine.lock, flags);
	t = engine.current_one;
	if (t) {
		t->done = min(t->done + burst, t->bytes);
		if (t->done == t->bytes && take_off(t))
			finished = t;
		else
			/* -EALREADY: over its deadline.  dma_cancel() is on its way. */
			aop_progress(t->owner, t->done, t->bytes);
	}
	more = engine.current_one;
	engine.ticking = more;
	spin_unlock_irqrestore(&engine.lock, flags);

	if (finished) {
		in_hard += !!in_hardirq();
		aop_done(finished->owner, finished->bytes);
	}
	aop_end_signalling(cookie);
	if (!more)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(timer, tick());
	return HRTIMER_RESTART;
}

/* Cannot fail.  The transfer may be gone when this returns. */
static void dma_queue(struct transfer *t)
{
	unsigned long flags;
	bool stop;

	spin_lock_irqsave(&engine.lock, flags);
	stop = t->stop;
	if (!stop) {
		list_add_tail(&t->node, &engine.queue);
		if (!engine.current_one)
			start_next();
		if (engine.current_one && !engine.ticking) {
			engine.ticking = true;
			hrtimer_start(&engine.timer, tick(), HRTIMER_MODE_REL);
		}
	}
	spin_unlock_irqrestore(&engine.lock, flags);
	if (stop)
		aop_cancelled(t->owner, 0);
}

static void dma_cancel(struct aop_owner *owner, void *priv, u32 why)
{
	struct transfer *t = priv;
	unsigned long flags;
	bool mine;

	spin_lock_irqsave(&engine.lock, flags);
	mine = take_off(t);
	/* Either it has just been finished, or it is not queued yet. */
	t->stop = true;
	spin_unlock_irqrestore(&engine.lock, flags);
	if (mine)
		aop_cancelled(owner, 0);
}

static void dma_release(void *priv)
{
	kfree(priv);
}

static const struct aop_owner_ops dma_ops = {
	.cancel = dma_cancel,
	.release = dma_release,
};

/* ---- what user space calls --------------------------------------------- */

/* A descriptor or a handle; nothing that could fail comes after this. */
static long dma_hand_out(struct transfer *t, struct aop_dma_transfer *x, void __user *arg,
			 struct file **file)
{
	const u32 rights = AOP_MAY_LOOK | AOP_MAY_CANCEL;
	struct aop *op = aop_owner_op(t->owner);
	int ret;

	if (x->aop_fd >= 0) {
		ret = aop_handle_create(x->aop_fd, op, rights, x->mask, x->data, &x->handle);
		if (ret)
			return ret;
	} else {
		*file = aop_file_create(op, rights);
		if (IS_ERR(*file))
			return PTR_ERR(*file);
	}
	if (!copy_to_user(arg, x, sizeof(*x)))
		return 0;
	if (x->aop_fd >= 0)
		aop_handle_drop(x->aop_fd, x->handle);
	else
		fput(*file);
	return -EFAULT;
}

static long dma_transfer(struct client *client, void __user *arg)
{
	struct aop_create_opts opts = { .label = "dma transfer", .mode = 0600 };
	struct aop_dma_transfer x;
	struct file *file = NULL;
	struct transfer *t;
	long ret;

	if (copy_from_user(&x, arg, sizeof(x)))
		return -EFAULT;
	if (x.pad || !x.bytes || x.deadline > KTIME_MAX)
		return -EINVAL;
	opts.deadline = x.deadline;
	t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t)
		return -ENOMEM;
	INIT_LIST_HEAD(&t->node);
	t->client = client;
	t->bytes = x.bytes;
	x.fd = x.aop_fd < 0 ? get_unused_fd_flags(O_CLOEXEC) : -1;
	if (x.aop_fd < 0 && x.fd < 0) {
		kfree(t);
		return x.fd;
	}
	t->owner = aop_create(client->source, &dma_ops, t, &opts);
	if (IS_ERR(t->owner)) {
		ret = PTR_ERR(t->owner);
		kfree(t);
		goto put_fd;
	}
	ret = dma_hand_out(t, &x, arg, &file);
	if (ret) {
		/* dma_release() frees it, also when it has ended already. */
		aop_fail(t->owner, ret);
		goto put_fd;
	}
	dma_queue(t);
	if (file)
		fd_install(x.fd, file);
	return 0;
put_fd:
	if (x.fd >= 0)
		put_unused_fd(x.fd);
	return ret;
}

static long dma_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (cmd != AOP_DMA_IOC_TRANSFER)
		return -ENOTTY;
	return dma_transfer(file->private_data, (void __user *)arg);
}

static int dma_open(struct inode *inode, struct file *file)
{
	struct client *client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);

	if (!client)
		return -ENOMEM;
	client->source = aop_source_create(file->f_cred);
	if (IS_ERR(client->source)) {
		int ret = PTR_ERR(client->source);

		kfree(client);
		return ret;
	}
	file->private_data = client;
	return nonseekable_open(inode, file);
}

static struct transfer *take_one_of(struct client *client)
{
	struct transfer *t, *found = NULL;
	unsigned long flags;

	spin_lock_irqsave(&engine.lock, flags);
	list_for_each_entry(t, &engine.queue, node)
		if (t->client == client) {
			take_off(t);
			found = t;
			break;
		}
	spin_unlock_irqrestore(&engine.lock, flags);
	return found;
}

/* What the client has not waited for is cancelled.  Nothing is left behind. */
static int dma_close(struct inode *inode, struct file *file)
{
	struct client *client = file->private_data;
	struct transfer *t;

	while ((t = take_one_of(client)))
		aop_cancelled(t->owner, 0);
	/* The interrupt may just be ending one that it took off before. */
	aop_source_drain(client->source);
	aop_source_destroy(client->source);
	kfree(client);
	return 0;
}

static const struct file_operations dma_fops = {
	.owner = THIS_MODULE,
	.open = dma_open,
	.release = dma_close,
	.unlocked_ioctl = dma_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice dma_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "aop_dma_sample",
	.fops = &dma_fops,
	.mode = 0666,
};

static int __init dma_init(void)
{
	spin_lock_init(&engine.lock);
	INIT_LIST_HEAD(&engine.queue);
	aop_hrtimer_setup(&engine.timer, dma_interrupt, HRTIMER_MODE_REL);
	return misc_register(&dma_device);
}

/* Open files hold the module, so there are no clients.  A last tick may be due. */
static void __exit dma_exit(void)
{
	misc_deregister(&dma_device);
	hrtimer_cancel(&engine.timer);
}

module_init(dma_init);
module_exit(dma_exit);

MODULE_DESCRIPTION("Sample of a driver that owns aop operations: a DMA engine");
MODULE_LICENSE("GPL");
