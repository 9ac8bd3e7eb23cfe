// SPDX-License-Identifier: GPL-2.0
/*
 * Handles: the table of a context.  An entry is the link that an op tells of its
 * changes, so a handle costs no allocation of its own.
 *
 * All of it is called with the table mutex of the context held, which protects
 * which entries are free and what the others refer to.  A handle is generation
 * and index: a stale one is refused until the generation has wrapped.
 */
#include <linux/sched.h>

#include "internal.h"
#include "slot.h"

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
u32 aop_links_alloc(struct aop_ctx *ctx, struct aop_link **links, u32 nr, int *err)
{
	u32 i, paid = aop_user_charge(ctx->home->user, nr);

	*err = -EDQUOT;
	for (i = 0; i < paid; i++) {
		if (!ctx->free) {
			*err = aop_chunk_add(ctx);
			if (*err)
				break;
			*err = -EDQUOT;
		}
		links[i] = ctx->free;
		ctx->free = links[i]->next;
	}
	ctx->nr_used += i;
	ctx->nr_uncharge += paid - i;
	return i;
}

/**
 * aop_link_free() - an entry is free again
 * @link: on no op's list
 */
void aop_link_free(struct aop_link *link)
{
	struct aop_ctx *ctx = link->ctx;

	link->op = NULL;
	if (!++link->gen)
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
 * Return: 0 or -EMFILE.
 */
int aop_link_attach(struct aop_run *run, struct aop_link *link, struct aop *op, u8 rights,
		    u32 mask, u64 data)
{
	int ret;

	link->op = op;
	link->rights = rights;
	link->mask = mask;
	aop_run_lock(run, op->home);
	if (rights & AOP_SEES) {
		ret = aop_link_locked(run, op, link, data);
		if (ret)
			return ret;
	} else {
		aop_slot_blank(link, data);
	}
	if (rights & AOP_MAY_LOOK)
		aop_watch_locked(run, op);
	return 0;
}

/* Takes rights away; a handle that may not see any more is shown nothing. */
static void shed(struct aop_run *run, struct aop_link *link, u8 rights)
{
	bool saw = link->rights & AOP_SEES;

	link->rights &= ~rights;
	if (!saw || link->rights & AOP_SEES)
		return;
	aop_unlink_locked(run, link);
	if (link->rights)
		aop_slot_blank(link, link->slot->data);
}

/* A handle without rights is gone. */
static void reap(struct aop_run *run, struct aop_link *link)
{
	struct aop *op = link->op;

	if (link->rights)
		return;
	aop_slot_clear(link);
	aop_link_free(link);
	aop_put_locked(run, op);
}

/**
 * aop_link_end_locked() - give up rights; with the right to drive, end the op
 * @run: holds the home lock
 * @link: of it; free afterwards if no right is left
 * @rights: AOP_MAY_* to give up
 * @state: as for aop_end_owned_locked(); used with AOP_MAY_DRIVE only
 * @flags: the same
 * @result: the same
 *
 * Return: 0, or with AOP_MAY_DRIVE -EALREADY when the op was final before.
 */
int aop_link_end_locked(struct aop_run *run, struct aop_link *link, u8 rights, u8 state,
			u8 flags, s64 result)
{
	struct aop *op = link->op;
	int ret = 0;

	rights &= link->rights;
	/* First, so that a handle is not told of what its own end causes. */
	shed(run, link, rights);
	if (rights & AOP_MAY_DRIVE)
		ret = aop_end_owned_locked(run, op, state, flags, result);
	if (rights & AOP_MAY_LOOK)
		aop_unwatch_locked(run, op);
	reap(run, link);
	return ret;
}

/**
 * aop_link_moved_locked() - the right to drive is somewhere else now
 * @run: holds the home lock
 * @link: of it; free afterwards if no right is left
 */
void aop_link_moved_locked(struct aop_run *run, struct aop_link *link)
{
	shed(run, link, AOP_MAY_DRIVE);
	reap(run, link);
}

/**
 * aop_link_drop_locked() - give up rights; with the right to drive, let go
 * @run: holds the home lock
 * @link: of it; free afterwards if no right is left
 * @rights: AOP_MAY_* to give up
 */
void aop_link_drop_locked(struct aop_run *run, struct aop_link *link, u8 rights)
{
	aop_link_end_locked(run, link, rights, AOP_FAILED, AOP_F_SYSTEM, -EOWNERDEAD);
}

/**
 * aop_table_clear() - detach every handle
 * @ctx: its process has ended or has closed it
 *
 * Context: may sleep.
 */
void aop_table_clear(struct aop_ctx *ctx)
{
	struct aop_run run AOP_UNINIT;
	u32 i, nr = 0;

	aop_run_begin(&run);
	for (i = 0; i < ctx->nr_chunks * AOP_CHUNK && ctx->nr_used; i++) {
		struct aop_link *link = &ctx->chunks[i / AOP_CHUNK].links[i % AOP_CHUNK];

		if (!link->op)
			continue;
		aop_run_lock(&run, link->op->home);
		aop_link_drop_locked(&run, link, AOP_MAY_ALL);
		if (++nr % AOP_RUN_LINKS == 0) {
			aop_run_end(&run);
			cond_resched();
			aop_run_begin(&run);
		}
	}
	aop_run_end(&run);
}
