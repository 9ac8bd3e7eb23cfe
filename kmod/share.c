// SPDX-License-Identifier: GPL-2.0
/*
 * Handles for drivers: include/linux/aop.h, ops in the context of the calling process.
 * Descriptors of ops are in opfd.c.
 *
 * The context is pinned by its file for the time of a call; its table mutex is taken
 * as the calls of user space take it.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "internal.h"
#include "link.h"

/* Locks the table of a context of the calling process.  Returns its pinned file. */
static struct file *enter(int aop_fd, struct aop_ctx **ctx)
{
	struct file *file = fget(aop_fd);
	int ret = -EINVAL;

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op != &aop_ctx_fops)
		goto put;
	*ctx = file->private_data;
	ret = -EIO;
	if (!current->mm || (*ctx)->mm != current->mm)
		goto put;
	ret = -EINVAL;
	/* Pairs with the release in setup(). */
	if (!smp_load_acquire(&(*ctx)->nr_slots))
		goto put;
	aop_table_lock(*ctx);
	if (!(*ctx)->dead)
		return file;
	aop_table_unlock(*ctx);
	ret = -EIO;
put:
	fput(file);
	return ERR_PTR(ret);
}

static void leave(struct file *file, struct aop_ctx *ctx)
{
	aop_table_unlock(ctx);
	fput(file);
}

/**
 * aop_handle_create() - give the calling process a handle on an op
 * @aop_fd: its open /dev/aop, set up
 * @op: the handle gets a reference of its own
 * @rights: AOP_MAY_LOOK, AOP_MAY_CANCEL or both
 * @mask: AOP_EV_* that queue its slot; what holds already queues it now
 * @data: for its slot
 * @handle: out
 *
 * What of it holds already queues the slot before this returns, so @data should mean
 * something to the process even before it has seen @handle.
 *
 * Context: process, may sleep.
 * Return: 0; -EBADF; -EINVAL for other rights or mask, another kind of file, or one not
 * set up; -EIO when it belongs to another process; -ENOSPC, -EDQUOT, -EMFILE, -ENOMEM.
 */
int aop_handle_create(int aop_fd, struct aop *op, u32 rights, u32 mask, u64 data, u64 *handle)
{
	struct aop_run run AOP_UNINIT;
	struct aop_link *link;
	struct aop_ctx *ctx;
	struct file *file;
	int ret;

	if (!rights || rights & ~(AOP_MAY_LOOK | AOP_MAY_CANCEL) || mask & ~AOP_EV_ALL)
		return -EINVAL;
	file = enter(aop_fd, &ctx);
	if (IS_ERR(file))
		return PTR_ERR(file);
	if (!aop_links_alloc(ctx, &link, 1, &ret))
		goto leave;
	aop_run_begin(&run);
	ret = aop_link_attach(&run, link, aop_get(op), rights, mask, data);
	aop_run_end(&run);
	if (ret) {
		/* The caller has a reference, so this is not the last one. */
		aop_put(op);
		aop_link_free(link);
	} else {
		*handle = aop_handle(link);
	}
leave:
	leave(file, ctx);
	return ret;
}
EXPORT_SYMBOL_GPL(aop_handle_create);

/**
 * aop_handle_drop() - undo aop_handle_create(), when the process could not be told
 * @aop_fd: as there
 * @handle: from there
 *
 * Nothing happens if the process has detached it already.
 *
 * Context: process, may sleep.
 */
void aop_handle_drop(int aop_fd, u64 handle)
{
	struct aop_run run AOP_UNINIT;
	struct aop_link *link;
	struct aop_ctx *ctx;
	struct file *file = enter(aop_fd, &ctx);

	if (IS_ERR(file))
		return;
	link = aop_link_find(ctx, handle);
	if (!IS_ERR(link)) {
		aop_run_begin(&run);
		aop_run_lock(&run, link->op->home);
		aop_link_drop_locked(&run, link, AOP_MAY_PORT);
		aop_run_end(&run);
	}
	leave(file, ctx);
}
EXPORT_SYMBOL_GPL(aop_handle_drop);

/**
 * aop_from_handle() - the op of a handle that user space has passed
 * @aop_fd: the calling process' open /dev/aop
 * @handle: of it
 * @rights: AOP_MAY_LOOK, AOP_MAY_CANCEL or both: what the caller will do with it
 *
 * The reference does not count as a watcher; aop_watch() does.
 *
 * Context: process, may sleep.
 * Return: the op, to be given to aop_put(); ERR_PTR: -EBADF or -ESTALE for @handle,
 * -EPERM for rights that it has not got, and as aop_handle_create().
 */
struct aop *aop_from_handle(int aop_fd, u64 handle, u32 rights)
{
	struct aop_link *link;
	struct aop_ctx *ctx;
	struct file *file;
	struct aop *op;

	if (!rights || rights & ~(AOP_MAY_LOOK | AOP_MAY_CANCEL))
		return ERR_PTR(-EINVAL);
	file = enter(aop_fd, &ctx);
	if (IS_ERR(file))
		return ERR_CAST(file);
	link = aop_link_find(ctx, handle);
	if (IS_ERR(link))
		op = ERR_CAST(link);
	else if (rights & ~link->rights)
		op = ERR_PTR(-EPERM);
	else
		op = aop_get(link->op);
	leave(file, ctx);
	return op;
}
EXPORT_SYMBOL_GPL(aop_from_handle);
