// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_ATTACH: handles on ops that exist, by descriptor or by id.
 *
 * Here, and only here, rights and limits are checked: what holds a handle may use
 * it.
 */
#include <linux/file.h>

#include "batch.h"
#include "link.h"

/* Who runs as the creator did needs no capabilities. */
static __always_inline u32 may_by_id(const struct aop *op)
{
	if (likely((op->mode & 0700) == 0600 && uid_eq(current_euid(), op->home->cred->euid)))
		return AOP_MAY_LOOK | AOP_MAY_CANCEL;
	return aop_may_by_id(op);
}

static __always_inline int attach_by_id(struct aop_run *run, struct aop_link *link,
					const struct aop_attach_entry *e)
{
	struct aop *op = aop_find(e->id);
	u32 may, want = e->rights;
	int ret;

	if (!op)
		return -ENOENT;
	may = may_by_id(op);
	if (!want)
		want = may;
	if (!(may & (AOP_MAY_LOOK | AOP_MAY_CALL)))
		ret = -ENOENT;
	else if (want & (AOP_MAY_DRIVE | AOP_MAY_SERVE))
		ret = -EPERM;
	else if (want & ~may)
		ret = -EACCES;
	else
		ret = aop_link_attach(run, link, op, want, e->mask, e->data);
	if (!ret)
		return want;
	/* Maybe the last one, and under the home lock if attaching failed. */
	aop_run_unlock(run);
	aop_put(op);
	return ret;
}

static noinline int attach_by_fd(struct aop_run *run, struct aop_link *link,
				 const struct aop_attach_entry *e)
{
	struct file *file = fget(e->fd);
	int ret;

	if (!file)
		return -EBADF;
	ret = aop_fd_attach(run, link, file, e);
	/* The op may go with the file only after its home has been unlocked. */
	aop_run_unlock(run);
	fput(file);
	return ret;
}

static __always_inline u32 attach_chunk(struct aop_ctx *ctx, struct aop_run *run, void *entries,
					u32 nr)
{
	struct aop_link *links[AOP_RUN_LINKS] AOP_UNINIT;
	struct aop_attach_entry *e = entries;
	u32 used = 0, got;
	int ret, err;

	got = aop_links_alloc(ctx, links, nr, &err);
	for (; nr--; e++) {
		struct aop_link *link = links[used];

		if (e->rights & ~AOP_MAY_PORT || e->mask & ~AOP_MASK_ALL) {
			e->ret = -EINVAL;
			continue;
		}
		if (used == got) {
			e->ret = err;
			continue;
		}
		ret = likely(e->fd == -1) ? attach_by_id(run, link, e) : attach_by_fd(run, link, e);
		if (ret < 0) {
			e->ret = ret;
			continue;
		}
		e->rights = ret;
		e->handle = aop_handle(link);
		e->id = link->op->id;
		used++;
	}
	while (used < got)
		aop_link_free(links[used++]);
	return 0;
}

/* The right to drive, if it came with this, is gone: the op fails. */
static void attach_undo(struct aop_ctx *ctx, struct aop_run *run, void *entry)
{
	struct aop_attach_entry *e = entry;

	if (!e->ret)
		aop_handle_undo(ctx, run, e->handle);
}

/* All but data. */
static const struct aop_batch_kind attachs = {
	.chunk = attach_chunk,
	.undo = attach_undo,
	.words = sizeof(struct aop_attach_entry) / 8,
	.ret = offsetof(struct aop_attach_entry, ret) / 4,
	.out = 0x1b,
};

/**
 * aop_ioctl_attach() - AOP_IOC_ATTACH
 * @ctx: of the calling process
 * @arg: struct aop_ioc_batch of struct aop_attach_entry
 *
 * Context: may sleep.
 * Return: as aop_batch().
 */
long aop_ioctl_attach(struct aop_ctx *ctx, void __user *arg)
{
	return aop_batch(ctx, &attachs, arg);
}

/**
 * aop_ioctl_attach_one() - AOP_IOC_ATTACH_ONE
 * @ctx: of the calling process
 * @arg: struct aop_attach_entry
 *
 * Context: may sleep.
 * Return: as aop_one().
 */
long aop_ioctl_attach_one(struct aop_ctx *ctx, void __user *arg)
{
	return aop_one(ctx, &attachs, arg);
}
