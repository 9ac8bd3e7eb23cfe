// SPDX-License-Identifier: GPL-2.0
/*
 * Ids: from a 64-bit counter, so that one is never used twice, and the table that
 * finds an op by its id.  The table holds no references: an op leaves it before
 * it is freed, and is found only while its count can still be raised.
 *
 * Each bucket has a bit lock of its own, a leaf, taken with interrupts off since
 * ops are also freed in interrupts.
 */
#include <linux/bits.h>
#include <linux/hash.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/vmalloc.h>

#include "internal.h"

#define BUCKET_BITS	14
#define BUCKETS		BIT(BUCKET_BITS)

static struct hlist_bl_head *buckets;
static atomic64_t last_id = ATOMIC64_INIT(0);
static u64 key;			/* so that nobody can fill one bucket on purpose */

static struct hlist_bl_head *bucket_of(u64 id)
{
	return &buckets[hash_64(id ^ key, BUCKET_BITS)];
}

/**
 * aop_new_ids() - ids that no op has had before
 * @nr: how many
 *
 * Return: the first of them; the others follow.
 */
u64 aop_new_ids(unsigned int nr)
{
	return atomic64_add_return(nr, &last_id) - nr + 1;
}

/**
 * aop_register_locked() - let an op be found by its id
 * @op: complete
 *
 * Context: any, with interrupts off, as they are under a home lock.
 */
void aop_register_locked(struct aop *op)
{
	struct hlist_bl_head *bucket = bucket_of(op->id);

	hlist_bl_lock(bucket);
	hlist_bl_add_head(&op->registered, bucket);
	hlist_bl_unlock(bucket);
	/* After that, see news.c. */
	if (aop_news_wanted())
		aop_news_changed(op);
}

/**
 * aop_register() - aop_register_locked() with interrupts on or off
 * @op: complete
 *
 * Context: any.
 */
void aop_register(struct aop *op)
{
	unsigned long flags;

	local_irq_save(flags);
	aop_register_locked(op);
	local_irq_restore(flags);
}

/**
 * aop_unregister_locked() - let an op be found no longer
 * @op: without references, registered
 *
 * Context: any, with interrupts off, as they are under a home lock.
 */
void aop_unregister_locked(struct aop *op)
{
	struct hlist_bl_head *bucket = bucket_of(op->id);

	hlist_bl_lock(bucket);
	hlist_bl_del_init(&op->registered);
	hlist_bl_unlock(bucket);
}

/**
 * aop_unregister() - aop_unregister_locked() with interrupts on or off
 * @op: without references; may be unregistered already, or never have been
 *
 * Context: any.
 */
void aop_unregister(struct aop *op)
{
	unsigned long flags;

	if (hlist_bl_unhashed(&op->registered))
		return;
	local_irq_save(flags);
	aop_unregister_locked(op);
	local_irq_restore(flags);
}

/**
 * aop_find() - the op with an id, whoever may look at it
 * @id: from user space
 *
 * Context: any.
 * Return: the op, with a reference, or NULL.
 */
struct aop *aop_find(u64 id)
{
	struct hlist_bl_head *bucket = bucket_of(id);
	struct hlist_bl_node *node;
	struct aop *op, *found = NULL;
	unsigned long flags;

	local_irq_save(flags);
	hlist_bl_lock(bucket);
	hlist_bl_for_each_entry(op, node, bucket, registered)
		if (op->id == id) {
			if (refcount_inc_not_zero(&op->ref))
				found = op;
			break;
		}
	hlist_bl_unlock(bucket);
	local_irq_restore(flags);
	return found;
}

/**
 * aop_find_next() - walk over all ops
 * @bucket: 0 at first; where the walk is
 * @id: 0 at first; of the op before; that of the op found
 *
 * By buckets, and in each by id, so that an op which is there from the begin of the
 * walk to its end is found once, whatever comes and goes meanwhile.
 *
 * Context: process.
 * Return: the op, with a reference, or NULL at the end.
 */
struct aop *aop_find_next(u32 *bucket, u64 *id)
{
	struct hlist_bl_node *node;
	struct aop *op, *found;

	while (*bucket < BUCKETS) {
		struct hlist_bl_head *head = &buckets[*bucket];
		bool got = false;

		found = NULL;
		local_irq_disable();
		hlist_bl_lock(head);
		hlist_bl_for_each_entry(op, node, head, registered)
			if (op->id > *id && (!found || op->id < found->id))
				found = op;
		if (found) {
			*id = found->id;
			/* If not, it is just being freed: on to the next one. */
			got = refcount_inc_not_zero(&found->ref);
		}
		hlist_bl_unlock(head);
		local_irq_enable();
		if (got)
			return found;
		if (!found) {
			*id = 0;
			++*bucket;
		}
		cond_resched();
	}
	return NULL;
}

/**
 * aop_registry_version() - differs when ops came or went meanwhile
 *
 * As many as were born, and as many as died: each is known for another purpose, so
 * counting costs nothing.
 */
u32 aop_registry_version(void)
{
	u32 born = atomic64_read(&last_id);

	return 2 * born - aop_op_count();
}

int __init aop_registry_init(void)
{
	get_random_bytes(&key, sizeof(key));
	buckets = vzalloc(BUCKETS * sizeof(*buckets));
	return buckets ? 0 : -ENOMEM;
}

void aop_registry_exit(void)
{
	vfree(buckets);
}
