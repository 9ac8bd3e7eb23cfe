// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * group.c - ops that are decided by others
 *
 * Members that are all of one context make a group that the kernel decides: nothing
 * of ours runs, and nobody is woken, before that.  All others are members.c's.
 */
#include <errno.h>

#include "members.h"
#include "shared.h"

/* No member could begin, or all were let go of: what they make is known. */
static void decide(struct op *group, struct op *const *members, size_t n, size_t need,
		   uint32_t flags)
{
	size_t i, counted = 0, missed = 0;
	const struct aop_status *s;

	for (i = 0; i < n; i++) {
		s = &members[i]->own;
		if (s->state == AOP_DONE || !(flags & AOP_ONLY_DONE))
			counted++;
		else
			missed++;
		if (s->state != AOP_DONE && (flags & AOP_FAIL_FAST || missed > n - need)) {
			op_ended(group, s->result);
			group->own.state = s->state;
			return;
		}
		if (counted == need) {
			op_ended(group, flags & AOP_GROUP_WHICH ? i : counted);
			group->own.state = AOP_DONE;
			return;
		}
	}
}

static struct aop *make(struct aop_group *g, struct aop_member *m, struct aop *const *ops,
			size_t n, size_t k, uint32_t flags, uint32_t how)
{
	struct op *const *members = (struct op *const *)ops;
	struct op *group = to_op(&g->op);
	struct aop_ctx *ctx = NULL;
	bool private = false, here = false;
	size_t i;

	if (!n || !k || k > n ||
	    flags & ~(AOP_CANCEL_REST | AOP_FAIL_FAST | AOP_ONLY_DONE)) {
		op_ended(group, -EINVAL);
		return &g->op;
	}
	flags |= how;
	/* The members must have handles; and what was said about them comes first. */
	cork_submit_all();
	for (i = 0; i < n; i++) {
		private |= is_private(members[i]);
		here |= inproc(members[i]);
		if (members[i]->scope != &scope_shared)
			continue;
		here |= ctx && members[i]->ctx != ctx;
		ctx = members[i]->ctx;
	}
	if (here && (!m || n > INT32_MAX))
		op_ended(group, -EINVAL);
	else if (here)
		members_group(g, m, members, n, k, flags, private ? AOP_PRIVATE : AOP_LOCAL);
	else if (ctx)
		shared_group(group, ctx, members, n, k, flags);
	else
		decide(group, members, n, k, flags);
	return &g->op;
}

/**
 * aop_any() - an op that ends with the first of others
 * @g: memory of the caller's for it, until it is dropped
 * @m: memory for @n, until the group is over; not used, and may be NULL, when all
 *	members are of one context
 * @ops: the members
 * @n: how many; at most AOP_MAX_ENTRIES
 * @flags: AOP_CANCEL_REST: cancel the others then, and end when they have ended;
 *	AOP_ONLY_DONE: those that end DONE count, and if none does it ends as the last
 *	did; AOP_FAIL_FAST: one that does not end DONE makes it end like that
 *
 * It is DONE with the index of the member that came first.  Cancelling it cancels its
 * members.  It is an op like any other: it can be waited for, watched, exported, and a
 * member of a group.  Members may be dropped while it lives.  With AOP_CANCEL_REST a
 * loser may still have ended DONE before its cancel came: look at its result too.
 *
 * Where all members are of one context the kernel decides it.  Otherwise it is an op of
 * this process: private if a member is, else local.  It then learns of shared members
 * where their contexts are dispatched, and those must not be dropped before it is over.
 * All members of a private one end, and are dispatched, on its thread: for a group of a
 * loop's ops and local ones that other threads end the loop is opened with AOP_ANY_THREAD.
 *
 * In shared scope one system call; two more for each member that could not begin.  Does
 * not block.  Any thread; not a signal handler.
 *
 * Return: the op of @g, never NULL.  FAILED: -EINVAL: no members, or flags that do not
 * exist, or no @m; -E2BIG: too many; -EPERM: a member may not be looked at; -EMFILE: too
 * many watch a member; -ELOOP: groups of groups too deep; or as aop_init_with().
 */
struct aop *aop_any(struct aop_group *g, struct aop_member *m, struct aop *const *ops,
		    size_t n, unsigned int flags)
{
	return make(g, m, ops, n, 1, flags, AOP_GROUP_WHICH);
}

/**
 * aop_all() - an op that ends with the last of others
 * @g: memory of the caller's for it, until it is dropped
 * @m: memory for @n, until the group is over; not used, and may be NULL, when all
 *	members are of one context
 * @ops: the members
 * @n: how many; at most AOP_MAX_ENTRIES
 * @flags: as aop_any()
 *
 * It is DONE with @n.  Without flags how members ended does not matter; otherwise as
 * aop_any().
 *
 * Return: as aop_any().
 */
struct aop *aop_all(struct aop_group *g, struct aop_member *m, struct aop *const *ops,
		    size_t n, unsigned int flags)
{
	return make(g, m, ops, n, n, flags, 0);
}

/**
 * aop_some() - an op that ends with the k-th of others
 * @g: memory of the caller's for it, until it is dropped
 * @m: memory for @n, until the group is over; not used, and may be NULL, when all
 *	members are of one context
 * @ops: the members
 * @n: how many; at most AOP_MAX_ENTRIES
 * @k: how many of them decide it
 * @flags: as aop_any()
 *
 * It is DONE with how many counted.  Otherwise as aop_any().
 *
 * Return: as aop_any(); FAILED, -EINVAL also when @k is 0 or more than @n.
 */
struct aop *aop_some(struct aop_group *g, struct aop_member *m, struct aop *const *ops,
		     size_t n, size_t k, unsigned int flags)
{
	return make(g, m, ops, n, k, flags, 0);
}
