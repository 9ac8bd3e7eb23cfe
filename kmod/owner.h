/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What owner.c and source.c share: ops that drivers own, and who makes them.
 *
 * Locks: home lock: aop_source.owners, and of an owner node, hook, busy, again, ended.
 */
#ifndef AOP_OWNER_H
#define AOP_OWNER_H

#include <linux/completion.h>
#include <linux/refcount.h>

#include "internal.h"

/**
 * struct aop_source - whoever creates ops in the kernel, for one user
 * @home: of all of them
 * @module: of the driver
 * @ref: one of the driver, one of each owner that is not released
 * @gone: @ref is 0
 * @owners: of ops that have not been ended by the driver
 * @closed: no more ops
 * @drained: all have been released
 * @all: on sources
 */
struct aop_source {
	struct aop_home *home;
	struct module *module;
	refcount_t ref;
	struct completion gone;
	struct hlist_head owners;
	bool closed;
	bool drained;
	struct list_head all;
};

/**
 * struct aop_owner - the right of a driver to drive one op
 * @op: a reference, until it is released
 * @source: or NULL, if the owner is a part of aop itself
 * @ops: not NULL; not touched once @ended and not @busy
 * @priv: the driver's
 * @node: on aop_source.owners
 * @hook: on the op
 * @work: calls @ops->cancel
 * @late: what an interrupt wanted that may not take the home lock
 * @result: the same
 * @state: the same
 * @alone: what op->nr_links is when nobody looks but we; NEVER_ALONE: end it the long way
 * @busy: the work item is queued or runs, and the module is pinned
 * @again: there was another reason meanwhile
 * @ended: the driver has let go
 */
struct aop_owner {
	struct aop *op;
	struct aop_source *source;
	const struct aop_owner_ops *ops;
	void *priv;
	struct hlist_node node;
	struct aop_hook hook;
	struct work_struct work;
	struct llist_node late;
	s64 result;
	u8 state;
	u8 alone;
	bool busy;
	bool again;
	bool ended;
};

extern const struct aop_owner_ops aop_no_owner_ops;

bool aop_owner_end_locked(struct aop_run *run, struct aop_owner *owner, u8 state, u8 flags,
			  s64 result, int *ret);
void aop_owner_release(struct aop_owner *owner);
void aop_owner_flush_late(void);

static __always_inline void aop_source_put(struct aop_source *source)
{
	if (refcount_dec_and_test(&source->ref))
		complete(&source->gone);
}

#endif /* AOP_OWNER_H */
