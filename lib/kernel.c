// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kernel.c - calls of /dev/aop, and what ties a struct op to a handle
 *
 * A context's table says by slot whose it is, so that what the ready ring names is
 * found without trusting memory that its owner may have given back: who lets go of
 * an op takes it out of the table first.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "shared.h"

int kernel_call(struct aop_ctx *ctx, unsigned long cmd, void *arg)
{
	int ret = ioctl(ctx->fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

int kernel_batch(struct aop_ctx *ctx, unsigned long cmd, void *entries, size_t size,
		 uint32_t nr)
{
	struct aop_ioc_batch batch = {
		.size = sizeof(batch),
		.entries = (uintptr_t)entries,
		.entry_size = size,
		.nr = nr,
	};

	return kernel_call(ctx, cmd, &batch);
}

int kernel_detach(struct aop_ctx *ctx, uint64_t handle, uint32_t rights)
{
	struct aop_detach_entry e = { .handle = handle, .rights = rights };

	return kernel_call(ctx, AOP_IOC_DETACH_ONE, &e);
}

void op_prepare(struct op *op, struct aop_ctx *ctx, void (*release)(struct aop *op))
{
	op->st = &op->own;
	op->scope = &scope_shared;
	atomic_store_explicit(&op->sides, SIDE_WATCHER, memory_order_relaxed);
	op->pending = 1;
	op->release = release;
	op->ctx = ctx;
	memset(&op->own, 0, sizeof(op->own));
}

/* Slots below this were handed out once. */
static void used_up_to(struct aop_ctx *ctx, uint32_t end)
{
	uint32_t used = atomic_load_explicit(&ctx->used, memory_order_relaxed);

	while (used < end &&
	       !atomic_compare_exchange_weak_explicit(&ctx->used, &used, end,
						      memory_order_relaxed,
						      memory_order_relaxed))
		;
}

void op_bind(struct op *op, struct aop_ctx *ctx, void (*release)(struct aop *op),
	     uint64_t handle, uint32_t rights, uint32_t mask)
{
	uint32_t index = AOP_HANDLE_SLOT(handle);
	uint32_t sides = 0;

	if (rights & AOP_MAY_DRIVE)
		sides |= SIDE_OWNER;
	if (rights & ~AOP_MAY_DRIVE)
		sides |= SIDE_WATCHER;
	op->st = ctx_slot(ctx, handle);
	op->scope = &scope_shared;
	atomic_store_explicit(&op->sides, sides, memory_order_relaxed);
	op->rights = rights;
	op->mask = mask;
	op->pending = 0;
	op->corked = 0;
	op->release = release;
	op->watches = NULL;
	op->ctx = ctx;
	op->handle = handle;
	op->watched = 0;
	op->on_asked = 0;
	op->is_call = 0;
	op->born_over = rights & AOP_MAY_DRIVE && aop_is_over(to_aop(op));
	if (unlikely(op->born_over))		/* and so for ever */
		op->own = aop_status(to_aop(op));
	if (unlikely(index >= atomic_load_explicit(&ctx->used, memory_order_relaxed)))
		used_up_to(ctx, index + 1);
	/* Pairs with the load in dispatch: what was set above is seen there. */
	atomic_store_explicit(&ctx->table[index], op, memory_order_release);
}

/*
 * Under the lock, since a dispatch that found op in the table uses it under the
 * lock.  The slot may have gone to another op already: its entry stays.
 */
void op_unhook(struct op *op)
{
	struct aop_ctx *ctx = op->ctx;
	struct op *mine = op;

	lock_take(&ctx->home.lock);
	atomic_compare_exchange_strong_explicit(&ctx->table[AOP_HANDLE_SLOT(op->handle)], &mine,
						NULL, memory_order_relaxed,
						memory_order_relaxed);
	lock_drop(&ctx->home.lock);
}

int op_ended(struct op *op, int err)
{
	memset(op, 0, sizeof(*op));
	op->st = &op->own;
	op->scope = &scope_ended;
	op->own.state = AOP_FAILED;
	op->own.flags = AOP_F_SYSTEM | AOP_F_OVER;
	op->own.result = err;
	atomic_store_explicit(&op->sides, SIDE_WATCHER, memory_order_relaxed);
	return err;
}
