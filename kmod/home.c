// SPDX-License-Identifier: GPL-2.0
/*
 * Homes: what the ops of one creator have in common, above all one lock, so that a
 * burst of signals takes it once.  A home outlives its context, since ops do.
 *
 * All but the lock and the count never changes.
 */
#include <linux/err.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <net/net_namespace.h>

#include "internal.h"

/**
 * aop_home_create() - a home for ops
 * @cred: whose they are
 *
 * The calling process is shown as their creator.
 *
 * Context: may sleep.
 * Return: the home, with one reference, or an ERR_PTR: -ENOMEM.
 */
struct aop_home *aop_home_create(const struct cred *cred)
{
	struct aop_home *home = kzalloc(sizeof(*home), AOP_GFP);

	if (!home)
		return ERR_PTR(-ENOMEM);
	home->user = aop_user_get(cred->euid);
	if (!home->user) {
		kfree(home);
		return ERR_PTR(-ENOMEM);
	}
	spin_lock_init(&home->lock);
	refcount_set(&home->ref, 1);
	home->cred = get_cred(cred);
	home->pid = get_pid(task_tgid(current));
	/* A task that is exiting has no namespaces any more. */
	home->net = (current->nsproxy ? current->nsproxy->net_ns : &init_net)->net_cookie;
	get_task_comm(home->comm, current->group_leader);
	return home;
}

/**
 * aop_home_put() - drop references on a home
 * @home: not used afterwards; its lock is not held
 * @nr: how many
 */
void aop_home_put(struct aop_home *home, unsigned int nr)
{
	if (!refcount_sub_and_test(nr, &home->ref))
		return;
	aop_user_put(home->user);
	put_cred(home->cred);
	put_pid(home->pid);
	kfree(home);
}

static u32 may(const struct aop *op, bool (*capable)(struct user_namespace *ns, int cap))
{
	const struct cred *cred = op->home->cred;
	u32 mode = op->mode, rights = 0, all = AOP_MAY_LOOK | AOP_MAY_CANCEL;

	if (op->extra && op->extra->port)
		all |= AOP_MAY_CALL;

	if (uid_eq(current_euid(), cred->euid))
		mode >>= 6;
	else if (in_egroup_p(cred->egid))
		mode >>= 3;
	if (mode & 4)
		rights |= AOP_MAY_LOOK;
	if (mode & 2)
		rights |= AOP_MAY_CANCEL;
	if (mode & 1)
		rights |= AOP_MAY_CALL;
	if (rights != all && capable(cred->user_ns, CAP_SYS_ADMIN))
		rights = all;
	return rights;
}

/**
 * aop_may_by_id() - what the caller may do with an op whose id it knows
 * @op: any
 *
 * Like a file: owner, group or others; a capability in the op's user namespace
 * stands for all of them.  The rights to drive and to serve are never had by id.
 *
 * Context: process.
 * Return: AOP_MAY_LOOK, AOP_MAY_CANCEL, AOP_MAY_CALL, some of them or 0.
 */
u32 aop_may_by_id(const struct aop *op)
{
	return may(op, ns_capable);
}

/**
 * aop_may_by_id_as() - the same for somebody else
 * @op: any
 * @cred: who
 *
 * For lists: that an op is not in it is nothing to be audited.
 *
 * Context: process.
 * Return: as aop_may_by_id().
 */
u32 aop_may_by_id_as(const struct aop *op, const struct cred *cred)
{
	const struct cred *old = override_creds(cred);
	u32 rights = may(op, ns_capable_noaudit);

	revert_creds(old);
	return rights;
}
