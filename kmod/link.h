/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Handles come and go: inlined into the calls whose main work that is.  table.c has
 * the rest, and says what is protected by what.
 *
 * Everything here is called with the table mutex of the handle's context held.
 */
#ifndef AOP_LINK_H
#define AOP_LINK_H

#include "change.h"

/**
 * aop_links_alloc() - entries for more handles
 * @ctx: whose table
 * @links: filled in: to be given to aop_link_attach() or aop_link_free()
 * @nr: how many
 * @err: when there are less: -ENOSPC when all slots are in use, -EDQUOT over the
 *	user's limit, -ENOMEM
 *
 * Context: may sleep.
 * Return: how many there are.
 */
static __always_inline u32 aop_links_alloc(struct aop_ctx *ctx, struct aop_link **links, u32 nr,
					   int *err)
{
	u32 i, paid = aop_user_charge(ctx->home->user, nr);
	int ret = -EDQUOT;

	for (i = 0; i < paid; i++) {
		if (unlikely(!ctx->free)) {
			ret = aop_chunk_add(ctx);
			if (ret)
				break;
			ret = -EDQUOT;
		}
		links[i] = ctx->free;
		ctx->free = links[i]->next;
	}
	*err = ret;
	ctx->nr_used += i;
	ctx->nr_uncharge += paid - i;
	return i;
}

/**
 * aop_link_free() - an entry is free again
 * @link: on no op's list
 */
static __always_inline void aop_link_free(struct aop_link *link)
{
	struct aop_ctx *ctx = link->ctx;

	link->op = NULL;
	if (unlikely(!++link->gen))
		link->gen = 1;
	link->next = ctx->free;
	ctx->free = link;
	ctx->nr_used--;
	ctx->nr_uncharge++;
}

/**
 * aop_link_attach() - make an entry a handle on an op
 * @run: takes the home lock, and leaves it held
 * @link: from aop_links_alloc(); the caller frees it if this fails
 * @op: a reference is taken over, unless this fails
 * @rights: AOP_MAY_*
 * @mask: AOP_EV_*
 * @data: the watcher's
 *
 * Publishes the slot, and queues it if its mask asks for something that holds.
 *
 * Return: 0 or -EMFILE.
 */
static __always_inline int aop_link_attach(struct aop_run *run, struct aop_link *link,
					   struct aop *op, u8 rights, u32 mask, u64 data)
{
	int ret;

	link->op = op;
	link->rights = rights;
	link->mask = mask;
	aop_run_lock(run, op->home);
	if (likely(rights & AOP_SEES)) {
		ret = __aop_may_join(op, link->ctx->home->user);
		if (unlikely(ret))
			return ret;
		op->nr_links++;
		hlist_add_head(&link->node, &op->links);
		aop_slot_begin(link, op, data);
		if (unlikely(mask & aop_level(op)))
			aop_run_queue(run, link);
	} else {
		aop_slot_blank(link, data);
	}
	if (rights & AOP_MAY_LOOK)
		__aop_watch_locked(run, op);
	if (op->home == link->ctx->home)
		WRITE_ONCE(link->own, true);
	return 0;
}

/* The handle that an op is born with: nobody else can have joined it yet. */
static __always_inline void __aop_link_first(struct aop_run *run, struct aop_link *link,
					     struct aop *op, u8 rights, u32 mask, u64 data)
{
	link->op = op;
	link->rights = rights;
	link->mask = mask;
	WRITE_ONCE(link->own, true);
	op->nr_links = 1;
	op->watchers = 1;
	hlist_add_head(&link->node, &op->links);
	aop_slot_begin(link, op, data);
	if (unlikely(mask) && mask & aop_level(op))
		aop_run_queue(run, link);
}

/* Takes rights away; a handle that may not see any more is shown nothing. */
static __always_inline void __aop_link_shed(struct aop_run *run, struct aop_link *link, u8 rights)
{
	u8 had = link->rights, left = had & ~rights;

	link->rights = left;
	if (unlikely(had & rights & AOP_MAY_CALL))
		aop_client_detach_locked(link);
	if (!(had & AOP_SEES) || left & AOP_SEES)
		return;
	/* It may be among those that wait to be pushed. */
	if (run->nr && run->ctx == link->ctx)
		aop_run_flush(run);
	link->op->nr_links--;
	__hlist_del(&link->node);
	if (unlikely(left))
		aop_slot_blank(link, link->slot->data);
}

/*
 * The last reference went, with the op's own home lock held: it is kept for its
 * home's next op, if there is room, or freed when no lock is held any more.
 */
static __always_inline void __aop_retire_locked(struct aop_run *run, struct aop *op)
{
	struct aop_home *home = op->home;

	if (unlikely(op->extra || !home->spare_room)) {
		if (!op->extra || !aop_call_keep_locked(run, op))
			aop_bury_locked(run, op);
		return;
	}
	trace_aop_release(op);
	aop_unregister_locked(op);
	this_cpu_dec(aop_op_counts);
	op->dead = home->spare;
	home->spare = op;
	home->spare_room--;
}

/* A handle without rights is gone. */
static __always_inline void __aop_link_reap(struct aop_run *run, struct aop_link *link)
{
	struct aop *op = link->op;

	if (link->rights)
		return;
	aop_slot_clear(link);
	WRITE_ONCE(link->own, false);
	aop_link_free(link);
	if (refcount_dec_and_test(&op->ref))
		__aop_retire_locked(run, op);
}

/* See aop_link_end_locked() in table.c. */
static __always_inline int __aop_link_end_locked(struct aop_run *run, struct aop_link *link,
						 u8 rights, u8 state, u8 flags, s64 result)
{
	struct aop *op = link->op;
	int ret = 0;

	rights &= link->rights;
	/* First, so that a handle is not told of what its own end causes. */
	__aop_link_shed(run, link, rights);
	if (rights & AOP_MAY_DRIVE)
		ret = __aop_end_owned_locked(run, op, state, flags, result);
	if (rights & AOP_MAY_LOOK)
		__aop_unwatch_locked(run, op);
	__aop_link_reap(run, link);
	return ret;
}

#endif /* AOP_LINK_H */
