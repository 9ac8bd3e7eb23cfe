// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_QUERY: all about one op, as the caller may see it.
 */
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "ioctl.h"

static struct aop *query_target(struct aop_ctx *ctx, struct aop_ioc_query *q)
{
	struct aop_link *link;
	struct aop *op;

	if (!q->handle) {
		op = aop_find(q->id);
		if (op && !(aop_may_by_id(op) & AOP_MAY_LOOK)) {
			aop_put(op);
			op = NULL;
		}
		q->rights = 0;
		return op ?: ERR_PTR(-ENOENT);
	}
	aop_table_lock(ctx);
	link = ctx->dead ? ERR_PTR(-EIO) : aop_link_find(ctx, q->handle);
	if (IS_ERR(link)) {
		op = ERR_CAST(link);
	} else {
		q->rights = link->rights;
		op = aop_get(link->op);
	}
	aop_table_unlock(ctx);
	return op;
}

long aop_ioctl_query(struct aop_ctx *ctx, void __user *arg)
{
	struct user_namespace *ns = current_user_ns();
	struct aop_ioc_query q;
	unsigned long flags;
	struct aop *op;
	int ret = aop_copy_struct(&q, sizeof(q), sizeof(q), arg);

	if (ret)
		return ret;
	if (q.flags)
		return -EINVAL;
	op = query_target(ctx, &q);
	if (IS_ERR(op))
		return PTR_ERR(op);
	if (q.handle && !(q.rights & AOP_SEES)) {
		/* Who only may cancel is told that, and no more. */
		q = (struct aop_ioc_query) {
			.size = q.size,
			.handle = q.handle,
			.rights = q.rights,
		};
		aop_put(op);
		return copy_to_user(arg, &q, sizeof(q)) ? -EFAULT : 0;
	}

	spin_lock_irqsave(&op->home->lock, flags);
	aop_status_of(op, ctx->time_offset, &q.status);
	q.started = op->started ? op->started + ctx->time_offset : 0;
	q.watchers = op->watchers;
	spin_unlock_irqrestore(&op->home->lock, flags);
	q.id = op->id;
	q.created = op->created + ctx->time_offset;
	q.deadline = aop_deadline_of(op);
	if (q.deadline)
		q.deadline += ctx->time_offset;
	q.parent = op->extra ? op->extra->parent : 0;
	q.uid = from_kuid_munged(ns, op->home->cred->euid);
	q.gid = from_kgid_munged(ns, op->home->cred->egid);
	q.pid = pid_vnr(op->home->pid);
	q.mode = op->mode;
	aop_group_shape(op, &q.members, &q.need);
	memset(q.label, 0, sizeof(q.label));
	if (op->extra)
		strscpy(q.label, op->extra->label, sizeof(q.label));
	aop_put(op);
	return copy_to_user(arg, &q, sizeof(q)) ? -EFAULT : 0;
}
