/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What calls that wait for ops share: wait.c.
 */
#ifndef AOP_WAITING_H
#define AOP_WAITING_H

#include "internal.h"

struct waiter;

/**
 * struct aop_wait_hook - one op that a task waits for
 * @hook: on the op while the task sleeps
 * @waiter: the task
 * @op: a reference
 * @mask: AOP_EV_* to wait for
 * @seq: for AOP_EV_CHANGE
 * @events: those of @mask that hold; under the home lock of @op while the hook hangs
 * @index: the caller's
 */
struct aop_wait_hook {
	struct aop_hook hook;
	struct waiter *waiter;
	struct aop *op;
	u32 mask;
	u32 seq;
	u32 events;
	u32 index;
};

static __always_inline void aop_wait_hook_init(struct aop_wait_hook *h, struct aop *op, u32 mask,
					       u32 seq)
{
	INIT_HLIST_NODE(&h->hook.node);
	refcount_inc(&op->ref);
	h->op = op;
	h->mask = mask;
	h->seq = seq;
	h->events = 0;
}

/* The home lock is held. */
static inline u32 aop_wait_events(const struct aop_wait_hook *h)
{
	return aop_level_since(h->op, h->seq) & h->mask;
}

/* The first look: no locks, and so an answer that may be too old, never wrong. */
static __always_inline u32 aop_wait_look(struct aop_wait_hook *hooks, u32 nr)
{
	u32 i, count = 0;

	for (i = 0; i < nr; i++) {
		hooks[i].events = aop_peek_since(hooks[i].op, hooks[i].seq) & hooks[i].mask;
		count += !!hooks[i].events;
	}
	return count;
}

int aop_wait_sleep(struct aop_ctx *ctx, struct aop_wait_hook *hooks, u32 nr, u32 need,
		   u64 deadline);
int aop_nap(struct aop_ctx *ctx, u64 deadline);

#endif /* AOP_WAITING_H */
