// SPDX-License-Identifier: GPL-2.0
/*
 * An op as a file descriptor of its own: to be polled, read, sent over a unix
 * socket and attached elsewhere with the same rights or less.
 *
 * It becomes readable when the op is final and for nothing else.  Reading gives the
 * status and takes nothing.  While it may look it counts as a watcher, so that an
 * op on its way to another process is not abandoned.
 *
 * aop_file.rights are protected by the home lock of the op.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "internal.h"
#include "ioctl.h"
#include "link.h"
#include "trace.h"

struct aop_file {
	struct aop *op;
	u32 rights;
	bool crowded;		/* see aop_poll_queue() */
};

static int opfd_release(struct inode *inode, struct file *file)
{
	struct aop_file *af = file->private_data;
	struct aop *op = af->op;
	struct aop_run run AOP_UNINIT;

	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	if (af->rights & AOP_MAY_DRIVE)
		aop_let_go_locked(&run, op);
	if (af->rights & AOP_MAY_LOOK)
		aop_unwatch_locked(&run, op);
	aop_put_locked(&run, op);
	aop_run_end(&run);
	kfree(af);
	return 0;
}

static __poll_t opfd_poll(struct file *file, poll_table *wait)
{
	struct aop_file *af = file->private_data;
	__poll_t events = 0;

	if (!poll_does_not_wait(wait))
		aop_poll_queue(file, &af->op->wq, wait, &af->crowded);
	if (READ_ONCE(af->crowded))
		events |= EPOLLERR;
	/* On the queue before the state.  Pairs with wq_has_sleeper() in __aop_changed(). */
	smp_mb();
	if (!(READ_ONCE(af->rights) & AOP_MAY_LOOK))
		return EPOLLERR;
	if (aop_is_final(af->op))
		events |= EPOLLIN | EPOLLRDNORM;
	return events;
}

static ssize_t opfd_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct aop_file *af = file->private_data;
	struct aop *op = af->op;
	struct aop_status st;
	unsigned long flags;
	int ret;

	if (!(READ_ONCE(af->rights) & AOP_MAY_LOOK))
		return -EPERM;
	if (iov_iter_count(to) < sizeof(st))
		return -EINVAL;
	if (!aop_is_final(op)) {
		if (file->f_flags & O_NONBLOCK || iocb->ki_flags & IOCB_NOWAIT)
			return -EAGAIN;
		trace_aop_wait_begin(op->id, 1, 1, AOP_FOREVER_NS);
		ret = wait_event_freezable(op->wq, aop_is_final(op));
		trace_aop_wait_end(op->id, 1, ret);
		if (ret)
			return ret;
	}
	spin_lock_irqsave(&op->home->lock, flags);
	aop_status_of(op, aop_time_offset(), &st);
	spin_unlock_irqrestore(&op->home->lock, flags);
	return copy_to_iter(&st, sizeof(st), to) == sizeof(st) ? sizeof(st) : -EFAULT;
}

static void opfd_show_fdinfo(struct seq_file *m, struct file *file)
{
	static const char * const states[] = {
		"pending", "running", "done", "failed", "cancelled",
	};
	struct aop_file *af = file->private_data;
	struct aop *op = af->op;
	struct aop_status st;
	unsigned long flags;
	u32 rights, watchers;

	spin_lock_irqsave(&op->home->lock, flags);
	aop_status_of(op, aop_time_offset(), &st);
	rights = af->rights;
	watchers = op->watchers;
	spin_unlock_irqrestore(&op->home->lock, flags);

	seq_printf(m, "id:\t%llu\n", st.id);
	seq_printf(m, "rights:\t0x%x\n", rights);
	if (!(rights & AOP_SEES))
		return;
	seq_printf(m, "state:\t%s\n", states[st.state]);
	seq_printf(m, "flags:\t0x%x\n", st.flags);
	seq_printf(m, "watchers:\t%u\n", watchers);
	if (op->extra && op->extra->label[0]) {
		seq_puts(m, "label:\t");
		seq_escape(m, op->extra->label, "\n\\");
		seq_putc(m, '\n');
	}
}

static const struct file_operations opfd_fops = {
	.owner = THIS_MODULE,
	.release = opfd_release,
	.poll = opfd_poll,
	.read_iter = opfd_read_iter,
	.llseek = noop_llseek,
	.show_fdinfo = opfd_show_fdinfo,
};

/* A file without rights, which nobody knows yet; with a reference on the op. */
static struct file *opfd_create(struct aop *op)
{
	struct aop_file *af = kzalloc(sizeof(*af), AOP_GFP);
	struct file *file;

	if (!af)
		return ERR_PTR(-ENOMEM);
	file = anon_inode_getfile("[aop]", &opfd_fops, af, O_RDONLY);
	if (IS_ERR(file)) {
		kfree(af);
		return file;
	}
	/* io_uring then polls it, and parks no worker in a read. */
	file->f_mode |= FMODE_NOWAIT;
	af->op = aop_get(op);
	return file;
}

static void opfd_grant_locked(struct aop_run *run, struct file *file, u32 rights)
{
	struct aop_file *af = file->private_data;

	af->rights = rights;
	/* Before anybody can poll it: changes look for pollers from now on. */
	af->op->exported = true;
	if (rights & AOP_MAY_LOOK)
		aop_watch_locked(run, af->op);
}

/**
 * aop_file_create() - make a file of an op, as AOP_IOC_EXPORT does
 * @op: the file gets a reference of its own
 * @rights: AOP_MAY_LOOK, AOP_MAY_CANCEL or both
 *
 * The file counts as a watcher while it is open, if it may look.  The caller reserves
 * a descriptor with get_unused_fd_flags() before there is anything to undo, and calls
 * fd_install() when nothing can fail any more; in between, fput() undoes this.
 *
 * Context: may sleep.
 * Return: the file; ERR_PTR: -EINVAL for other rights, -ENFILE, -ENOMEM.
 */
struct file *aop_file_create(struct aop *op, u32 rights)
{
	struct aop_run run AOP_UNINIT;
	struct file *file;

	if (!rights || rights & ~(AOP_MAY_LOOK | AOP_MAY_CANCEL))
		return ERR_PTR(-EINVAL);
	file = opfd_create(op);
	if (IS_ERR(file))
		return file;
	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	opfd_grant_locked(&run, file, rights);
	aop_run_end(&run);
	return file;
}
EXPORT_SYMBOL_GPL(aop_file_create);

/**
 * aop_from_fd() - the op of a descriptor that user space has passed
 * @fd: from AOP_IOC_EXPORT or aop_file_create()
 * @rights: AOP_MAY_LOOK, AOP_MAY_CANCEL or both: what the caller will do with it
 *
 * The reference does not count as a watcher; aop_watch() does.
 *
 * Context: process; the descriptor is one of the calling process.
 * Return: the op, to be given to aop_put(); ERR_PTR: -EBADF, -EINVAL for another kind
 * of file, -EPERM for rights that it has not got.
 */
struct aop *aop_from_fd(int fd, u32 rights)
{
	struct file *file = fget(fd);
	struct aop_file *af;
	struct aop *op;

	if (!file)
		return ERR_PTR(-EBADF);
	af = file->private_data;
	if (file->f_op != &opfd_fops || !rights || rights & ~(AOP_MAY_LOOK | AOP_MAY_CANCEL))
		op = ERR_PTR(-EINVAL);
	else if (rights & ~READ_ONCE(af->rights))
		op = ERR_PTR(-EPERM);
	else
		op = aop_get(af->op);
	fput(file);
	return op;
}
EXPORT_SYMBOL_GPL(aop_from_fd);

/**
 * aop_ioctl_export() - AOP_IOC_EXPORT
 * @ctx: of the calling process
 * @arg: struct aop_ioc_export
 *
 * Nothing can fail once the right to drive has moved.
 *
 * Return: the descriptor; -EINVAL, -E2BIG, -EFAULT for the struct; -EBADF, -ESTALE
 * for the handle; -EPERM for rights it has not got; -EMFILE, -ENFILE, -ENOMEM.
 */
long aop_ioctl_export(struct aop_ctx *ctx, void __user *arg)
{
	struct aop_ioc_export ex;
	struct aop_run run AOP_UNINIT;
	struct aop_link *link;
	struct file *file;
	int fd, ret;

	ret = aop_copy_struct(&ex, sizeof(ex), sizeof(ex), arg);
	if (ret)
		return ret;
	if (ex.flags || ex.pad || !ex.rights || ex.rights & ~AOP_MAY_PORT)
		return -EINVAL;

	aop_table_lock(ctx);
	link = ctx->dead ? ERR_PTR(-EIO) : aop_link_find(ctx, ex.handle);
	if (IS_ERR(link)) {
		ret = PTR_ERR(link);
		goto unlock;
	}
	if (ex.rights & ~link->rights) {
		ret = -EPERM;
		goto unlock;
	}
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		ret = fd;
		goto unlock;
	}
	file = opfd_create(link->op);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		ret = PTR_ERR(file);
		goto unlock;
	}
	aop_run_begin(&run);
	aop_run_lock(&run, link->op->home);
	opfd_grant_locked(&run, file, ex.rights);
	if (ex.rights & AOP_MAY_DRIVE)
		aop_link_moved_locked(&run, link);
	aop_run_end(&run);
	aop_table_unlock(ctx);
	fd_install(fd, file);
	return fd;
unlock:
	aop_table_unlock(ctx);
	return ret;
}

/**
 * aop_fd_attach() - make a free handle one on the op of a descriptor
 * @run: takes the home lock, and leaves it held
 * @link: from aop_link_alloc(); the caller frees it if this fails
 * @file: any
 * @entry: with the rights that are wanted; 0: all that it gives
 *
 * Return: the rights; -EINVAL for another kind of file; -EPERM for rights that it
 * has not got (any more); -EMFILE.
 */
int aop_fd_attach(struct aop_run *run, struct aop_link *link, struct file *file,
		  const struct aop_attach_entry *entry)
{
	struct aop_file *af = file->private_data;
	u32 rights;
	int ret;

	if (file->f_op != &opfd_fops)
		return -EINVAL;
	aop_run_lock(run, af->op->home);
	rights = entry->rights ?: af->rights;
	if (!rights || rights & ~af->rights)
		return -EPERM;
	ret = aop_link_attach(run, link, aop_get(af->op), rights, entry->mask, entry->data);
	if (ret) {
		aop_put_locked(run, af->op);
		return ret;
	}
	af->rights &= ~(rights & AOP_MAY_DRIVE);
	return rights;
}
