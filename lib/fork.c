// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fork.c - contexts, homes of local ops, and names of ports in a forked child
 *
 * A context belongs to the process that opened it: the kernel does not copy its
 * mappings to a child and refuses its calls.  So that the ops that a child finds in
 * its memory can be looked at, waited for and dropped, memory that says FAILED, -EIO
 * is put where the slots were, and an empty ring where the ring was.
 *
 * Ops of this process are copied, like all memory.  What other threads would have done
 * with them never happens in the child, which should let them be; but it may watch and
 * end ops of its own, and those share their homes with the ones it found.
 *
 * The list's lock is taken before a context's, these before those of the homes, and last
 * those of streams and of ports' names; all are held across the fork, so that nothing is
 * half done in the child.
 */
#include <errno.h>
#include <pthread.h>

#include "local.h"
#include "shared.h"

static struct lock list_lock;
static struct aop_ctx *contexts;		/* list_lock */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int no_handler;

static void before(void)
{
	struct aop_ctx *ctx;
	int i;

	lock_take(&list_lock);
	for (ctx = contexts; ctx; ctx = ctx->next)
		lock_take(&ctx->home.lock);
	for (i = 0; i < HOMES; i++)
		lock_take(&local_homes[i].lock);
	lock_take(&stream_home.lock);
	lock_take(&names_lock);
}

static void in_parent(void)
{
	struct aop_ctx *ctx;
	int i;

	lock_drop(&names_lock);
	lock_drop(&stream_home.lock);
	for (i = 0; i < HOMES; i++)
		lock_drop(&local_homes[i].lock);
	for (ctx = contexts; ctx; ctx = ctx->next)
		lock_drop(&ctx->home.lock);
	lock_drop(&list_lock);
}

/* Who slept on its lock has not come along. */
static void renew(struct home *h)
{
	home_forked(h);
	atomic_store_explicit(&h->lock.word, 0, memory_order_relaxed);
}

static void in_child(void)
{
	static const struct aop_status gone = {
		.state = AOP_FAILED,
		.flags = AOP_F_SYSTEM | AOP_F_OVER,
		.result = -EIO,
	};
	struct aop_ctx *ctx;
	int i;

	for (ctx = contexts; ctx; ctx = ctx->next) {
		/* If that fails they fault, as they would without us. */
		if (!ctx->dead)
			ctx_bury(ctx, &gone, false);
		ctx->dead = true;
		renew(&ctx->home);
	}
	for (i = 0; i < HOMES; i++)
		renew(&local_homes[i]);
	renew(&stream_home);
	atomic_store_explicit(&names_lock.word, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&fork_count, 1, memory_order_relaxed);
	cork_forked();
	atomic_store_explicit(&list_lock.word, 0, memory_order_relaxed);
}

_Atomic bool fork_handled;
_Atomic uint32_t fork_count = 1;

static void install(void)
{
	no_handler = -pthread_atfork(before, in_parent, in_child);
	atomic_store_explicit(&fork_handled, !no_handler, memory_order_relaxed);
}

int fork_handle(void)
{
	pthread_once(&once, install);
	return no_handler;
}

int fork_add(struct aop_ctx *ctx)
{
	int ret = fork_handle();

	if (ret)
		return ret;
	lock_take(&list_lock);
	ctx->next = contexts;
	ctx->prev = &contexts;
	if (contexts)
		contexts->prev = &ctx->next;
	contexts = ctx;
	lock_drop(&list_lock);
	return 0;
}

void fork_remove(struct aop_ctx *ctx)
{
	lock_take(&list_lock);
	*ctx->prev = ctx->next;
	if (ctx->next)
		ctx->next->prev = ctx->prev;
	lock_drop(&list_lock);
}
