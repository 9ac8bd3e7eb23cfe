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
#include "link.h"

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
	return __aop_link_end_locked(run, link, rights, state, flags, result);
}

/**
 * aop_link_moved_locked() - the right to drive is somewhere else now
 * @run: holds the home lock
 * @link: of it; free afterwards if no right is left
 */
void aop_link_moved_locked(struct aop_run *run, struct aop_link *link)
{
	__aop_link_shed(run, link, AOP_MAY_DRIVE);
	__aop_link_reap(run, link);
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
 * aop_handle_undo() - free a handle that could not be told to its process
 * @ctx: its table mutex is held since the handle was made
 * @run: holds the lock of the op's home afterwards
 * @handle: one of the table; if it had the right to drive, the op fails
 */
void aop_handle_undo(struct aop_ctx *ctx, struct aop_run *run, u64 handle)
{
	struct aop_link *link = aop_link_find(ctx, handle);

	aop_run_lock(run, link->op->home);
	aop_link_drop_locked(run, link, AOP_MAY_PORT);
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
		aop_link_drop_locked(&run, link, AOP_MAY_PORT);
		if (++nr % AOP_RUN_LINKS == 0) {
			aop_run_end(&run);
			cond_resched();
			aop_run_begin(&run);
		}
	}
	aop_run_end(&run);
}
