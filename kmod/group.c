// SPDX-License-Identifier: GPL-2.0
/*
 * Groups: ops that others decide, k of n.
 *
 * A group holds a reference on each member, and hangs a hook on those that are not
 * final.  A member does not hold the group: its hook fires under the member's home
 * lock, raises the group's count if that is not zero yet, and leaves the rest to
 * the signaller, who looks at the group when it holds no lock any more.  So the
 * locks of member and group never nest, and no cycle of references can be made
 * (members exist before their group, and never change).
 *
 * One signal completes at most INLINE_MAX groups itself.  The rest, all that is
 * signalled from an interrupt, all cancels that a group sends, and the freeing of
 * groups are done by work items.
 *
 * Members may become final while others are still being added: they are counted,
 * but nothing is ended or cancelled before the group is made.
 *
 * Locks: struct aop_group is protected by the home lock of the group's op, but for
 * what never changes after aop_group_setup(); member.hook by the member's.
 */
#include <linux/llist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "internal.h"

#define INLINE_MAX	64

/**
 * struct aop_member - one of the ops that decide a group
 * @hook: on the member while it is not final
 * @group: whose
 * @op: the member, referenced; NULL until it is one
 * @may_cancel: the group's creator had the right to
 */
struct aop_member {
	struct aop_hook hook;
	struct aop_group *group;
	struct aop *op;
	bool may_cancel;
};

/**
 * struct aop_group - what makes an op a group
 * @op: the group itself
 * @flags: AOP_GROUP_*
 * @nr: members
 * @need: how many of them must count
 * @counted: how many have
 * @missed: how many are final and do not count
 * @cancelled: how many were cancelled
 * @pending: members that are not final
 * @made: all members are in
 * @asked: the members have been asked to stop
 * @decided: the three below are valid
 * @state: to end in
 * @flags_at_end: AOP_F_SYSTEM, if who decided it was ended so
 * @result: to end with
 * @ask: cancels its members
 * @free: lets go of its members
 * @members: nr of them
 */
struct aop_group {
	struct aop *op;
	u32 flags;
	u32 nr;
	u32 need;
	u32 counted;
	u32 missed;
	u32 cancelled;
	u32 pending;
	bool made;
	bool asked;
	bool decided;
	u8 state;
	u8 flags_at_end;
	s64 result;
	struct work_struct ask;
	struct work_struct free;
	struct aop_member members[];
};

/* Hooks that fired where no group could be looked at. */
static LLIST_HEAD(deferred);
static void deferred_work(struct work_struct *work);
static DECLARE_WORK(deferred_item, deferred_work);

/* ---- deciding ---------------------------------------------------------- */

static void decide(struct aop_group *group, u8 state, u8 flags, s64 result)
{
	group->decided = true;
	group->state = state;
	group->flags_at_end = flags & AOP_F_SYSTEM;
	group->result = result;
}

/* A member is final.  The home lock of the group is held. */
static void count_member(struct aop_group *group, const struct aop_member *member)
{
	const struct aop *op = member->op;
	u32 state = aop_word_state(READ_ONCE(op->word));
	bool done = state == AOP_DONE;

	group->pending--;
	if (state == AOP_CANCELLED)
		group->cancelled++;
	if (done || !(group->flags & AOP_GROUP_ONLY_DONE))
		group->counted++;
	else
		group->missed++;
	if (group->decided)
		return;
	/* A final status never changes, so it may be read without its lock. */
	if (!done && group->flags & AOP_GROUP_FAIL_FAST)
		decide(group, state, aop_word_flags(op->word), op->result);
	else if (group->counted == group->need)
		decide(group, AOP_DONE, 0, group->flags & AOP_GROUP_WHICH ?
		       member - group->members : group->counted);
	else if (group->missed > group->nr - group->need)
		decide(group, state, aop_word_flags(op->word), op->result);
}

/* Goes on with a group that has been decided.  Its home lock is held. */
static void finish(struct aop_run *run, struct aop_group *group)
{
	struct aop *op = group->op;

	if (!group->made || !group->decided)
		return;
	if (group->flags & AOP_GROUP_CANCEL_REST && group->pending) {
		if (!group->asked)
			aop_group_ask(op);
		return;
	}
	/* -EALREADY: its deadline was first. */
	if (aop_word_flags(op->word) & AOP_F_ASKED && group->cancelled)
		aop_end_locked(run, op, AOP_CANCELLED, 0, op->reason);
	else
		aop_end_locked(run, op, group->state, group->flags_at_end, group->result);
}

/* ---- hooks ------------------------------------------------------------- */

static void member_changed(struct aop_run *run, struct aop *op, struct aop_hook *hook, u32 events)
{
	struct aop_member *member = container_of(hook, struct aop_member, hook);

	if (!(events & AOP_EV_FINAL))
		return;
	/* If it is being freed, that takes the hook away. */
	if (!refcount_inc_not_zero(&member->group->op->ref))
		return;
	aop_unhook_locked(op, hook);
	llist_add(&hook->fired, &run->fired);
}

/* A member's hook has fired, with a reference on the group.  No lock is held. */
static void look_at(struct aop_run *run, struct aop_hook *hook)
{
	struct aop_member *member = container_of(hook, struct aop_member, hook);
	struct aop_group *group = member->group;
	struct aop *op = group->op;

	/* From now on aop_group_destroy() looks at it as one that was never hung. */
	INIT_HLIST_NODE(&hook->node);
	aop_run_lock(run, op->home);
	count_member(group, member);
	finish(run, group);
	aop_put_locked(run, op);
	aop_run_unlock(run);
}

static void defer(struct llist_node *node)
{
	struct llist_node *next;

	for (; node; node = next) {
		next = node->next;
		llist_add(node, &deferred);
	}
}

/* Looks at one after the other; what that fires joins the list. */
static void look_at_all(struct aop_run *run, unsigned int max)
{
	struct llist_node *first, *rest = NULL;
	unsigned int nr = 0;

	for (;;) {
		if (!rest) {
			rest = llist_del_all(&run->fired);
			/* First fired, first looked at. */
			rest = llist_reverse_order(rest);
		}
		if (!rest)
			return;
		if (nr++ == max)
			break;
		first = rest;
		rest = rest->next;
		look_at(run, container_of(first, struct aop_hook, fired));
	}
	/* What is left of these, and what those before have fired. */
	defer(rest);
	defer(llist_reverse_order(llist_del_all(&run->fired)));
	queue_work(aop_wq, &deferred_item);
}

/**
 * aop_group_fired() - look at the groups whose members became final
 * @run: holds no lock
 *
 * Context: any; in interrupts it is left to a work item.
 */
void aop_group_fired(struct aop_run *run)
{
	look_at_all(run, in_task() ? INLINE_MAX : 0);
}

static void deferred_work(struct work_struct *work)
{
	struct aop_run run AOP_UNINIT;
	struct llist_node *node, *next;

	llist_for_each_safe(node, next, llist_reverse_order(llist_del_all(&deferred))) {
		aop_run_begin(&run);
		look_at(&run, container_of(node, struct aop_hook, fired));
		aop_run_end(&run);
		cond_resched();
	}
}

/* ---- cancelling -------------------------------------------------------- */

static void ask_work(struct work_struct *work)
{
	struct aop_group *group = container_of(work, struct aop_group, ask);
	struct aop *op = group->op;
	s32 reason = READ_ONCE(op->reason) ?: -ECANCELED;
	struct aop_run run AOP_UNINIT;
	u32 i;

	for (i = 0; i < group->nr; i++) {
		struct aop_member *member = &group->members[i];

		if (!member->may_cancel)
			continue;
		aop_run_begin(&run);
		aop_run_lock(&run, member->op->home);
		aop_cancel_locked(&run, member->op, reason);
		aop_run_end(&run);
		cond_resched();
	}
	aop_put(op);
}

/**
 * aop_group_ask() - request the cancel of all members that are not final
 * @op: the group; its home lock is held
 *
 * Context: any; a work item does it, so this never takes another lock.
 */
void aop_group_ask(struct aop *op)
{
	op->extra->group->asked = true;
	aop_get(op);
	/* Queued already: that one has its reference, and asks all the same. */
	if (!queue_work(aop_wq, &op->extra->group->ask))
		refcount_dec(&op->ref);
}

/* ---- life -------------------------------------------------------------- */

/*
 * The group watches its members no longer.  Those whose hook has just fired still
 * refer to it, and it to them, until it is freed.
 */
static void leave_members(struct aop_run *run, struct aop_group *group)
{
	u32 i;

	/* One without an op was never added, nor were those behind it. */
	for (i = 0; i < group->nr && group->members[i].op; i++) {
		struct aop_member *member = &group->members[i];

		aop_run_lock(run, member->op->home);
		if (!hlist_unhashed(&member->hook.node))
			aop_unhook_locked(member->op, &member->hook);
		aop_unwatch_locked(run, member->op);
		aop_run_unlock(run);
		cond_resched();
	}
}

static void free_work(struct work_struct *work)
{
	struct aop_group *group = container_of(work, struct aop_group, free);
	struct aop *op = group->op;
	struct aop_run run AOP_UNINIT;
	u32 i;

	aop_run_begin(&run);
	if (group->made)
		leave_members(&run, group);
	for (i = 0; i < group->nr && group->members[i].op; i++)
		aop_put_locked(&run, group->members[i].op);
	aop_run_end(&run);
	op->extra->group = NULL;
	kvfree(group);
	aop_free(op);
}

/**
 * aop_group_setup() - make an op a group
 * @run: holds no lock, nor does it afterwards
 * @op: RUNNING, with its extra, known to nobody else
 * @opts: members, and how they decide it
 *
 * Members that are final already are counted now, in their order; the group may
 * be final when this returns.
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM; -ELOOP when groups are nested too deep; -EMFILE when too many
 * look at a member already.  After an error freeing the op undoes the rest.
 */
int aop_group_setup(struct aop_run *run, struct aop *op, const struct aop_group_opts *opts)
{
	struct aop_group *group;
	int ret = 0;
	u32 i;

	for (i = 0; i < opts->nr; i++)
		op->depth = max_t(u8, op->depth, opts->members[i]->depth + 1);
	if (op->depth > AOP_MAX_DEPTH)
		return -ELOOP;
	group = kvzalloc(struct_size(group, members, opts->nr), AOP_GFP);
	if (!group)
		return -ENOMEM;
	group->op = op;
	group->flags = opts->flags;
	group->nr = opts->nr;
	group->need = opts->need;
	group->pending = opts->nr;
	INIT_WORK(&group->ask, ask_work);
	INIT_WORK(&group->free, free_work);
	op->extra->group = group;

	for (i = 0; i < opts->nr && !ret; i++) {
		struct aop_member *member = &group->members[i];
		bool final;

		member->hook.func = member_changed;
		member->hook.user = op->home->user;
		member->group = group;
		member->may_cancel = opts->may_cancel[i];

		aop_run_lock(run, opts->members[i]->home);
		final = aop_is_final(opts->members[i]);
		if (!final)
			ret = aop_hook_locked(opts->members[i], &member->hook);
		if (!ret) {
			member->op = aop_get(opts->members[i]);
			aop_watch_locked(run, member->op);
		}
		aop_run_unlock(run);
		if (final) {
			aop_run_lock(run, op->home);
			count_member(group, member);
			aop_run_unlock(run);
		}
	}
	if (ret) {
		/* Now, so that nothing is left of it when the caller is told. */
		leave_members(run, group);
		return ret;
	}
	aop_run_lock(run, op->home);
	group->made = true;
	finish(run, group);
	aop_run_unlock(run);
	return 0;
}

/**
 * aop_group_destroy() - free a group that nobody refers to any more
 * @op: the group; a work item hands it to aop_free() when its members are let go
 *
 * Context: any.
 */
void aop_group_destroy(struct aop *op)
{
	queue_work(aop_wq, &op->extra->group->free);
}

/**
 * aop_group_shape() - how many members, and how many of them decide
 * @op: any
 * @members: out: 0 if it is no group
 * @need: out: 0 if it is no group
 */
void aop_group_shape(const struct aop *op, u32 *members, u32 *need)
{
	const struct aop_group *group = aop_group_of(op);

	*members = group ? group->nr : 0;
	*need = group ? group->need : 0;
}

/**
 * aop_group_member() - the id of a member
 * @op: a group
 * @index: below the number of its members
 */
u64 aop_group_member(const struct aop *op, u32 index)
{
	return aop_group_of(op)->members[index].op->id;
}
