/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a slot is written: the status of an op as one handle shows it to user space.
 *
 * Writers hold the home lock of the op.  Readers retry: a slot is whole when its seq
 * was even before it was read, and seq and gen are the same afterwards.
 */
#ifndef AOP_SLOT_H
#define AOP_SLOT_H

#include <linux/preempt.h>

#include "internal.h"

/* Between the odd seq and the even one. */
static __always_inline void aop_slot_lock(struct aop_status *slot, u32 seq)
{
	/* With PREEMPT_RT a reader of higher priority would wait for us for ever. */
	preempt_disable_nested();
	WRITE_ONCE(slot->seq, seq | 1);
	/* Pairs with the reader's fence before it reads seq the second time. */
	smp_wmb();
}

static __always_inline void aop_slot_unlock(struct aop_status *slot, u32 seq)
{
	/* Pairs with the reader's acquire of seq. */
	smp_store_release(&slot->seq, seq);
	preempt_enable_nested();
}

static __always_inline void aop_slot_state(struct aop_status *slot, s32 reason, s64 result,
					   u32 word)
{
	WRITE_ONCE(slot->reason, reason);
	WRITE_ONCE(slot->result, result);
	/* Who sees a final word in one load sees its result: the reader's acquire. */
	smp_store_release(&slot->word, word);
}

static __always_inline void aop_slot_progress(struct aop_status *slot, u64 done, u64 total)
{
	WRITE_ONCE(slot->done, done);
	WRITE_ONCE(slot->total, total);
}

static __always_inline void aop_slot_time(struct aop_status *slot, const struct aop_link *link,
					  u64 time)
{
	WRITE_ONCE(slot->time, time + link->ctx->time_offset);
}

static __always_inline void aop_slot_details(const struct aop_link *link, u32 seq, u64 time,
					     u64 done, u64 total)
{
	struct aop_status *slot = link->slot;

	aop_slot_lock(slot, seq);
	aop_slot_time(slot, link, time);
	aop_slot_progress(slot, done, total);
	aop_slot_unlock(slot, seq);
}

/* The slot shows an op for the first time. */
static __always_inline void aop_slot_begin(const struct aop_link *link, const struct aop *op,
					   u64 data)
{
	struct aop_status *slot = link->slot;

	aop_slot_lock(slot, op->seq);
	WRITE_ONCE(slot->gen, link->gen);
	WRITE_ONCE(slot->id, op->id);
	WRITE_ONCE(slot->data, data);
	aop_slot_progress(slot, op->done, op->total);
	aop_slot_time(slot, link, op->time);
	aop_slot_state(slot, op->reason, op->result, op->word);
	aop_slot_unlock(slot, op->seq);
}

/* The watcher's user data, which no change of the op touches. */
static __always_inline void aop_slot_data(const struct aop_link *link, u64 data)
{
	struct aop_status *slot = link->slot;
	u32 seq = slot->seq;

	aop_slot_lock(slot, seq);
	WRITE_ONCE(slot->data, data);
	aop_slot_unlock(slot, seq);
}

/* A handle that is shown nothing, not even whose it is. */
static __always_inline void aop_slot_blank(const struct aop_link *link, u64 data)
{
	struct aop_status *slot = link->slot;

	aop_slot_lock(slot, slot->seq);
	WRITE_ONCE(slot->gen, link->gen);
	WRITE_ONCE(slot->word, 0);
	WRITE_ONCE(slot->reason, 0);
	WRITE_ONCE(slot->result, 0);
	WRITE_ONCE(slot->done, 0);
	WRITE_ONCE(slot->total, 0);
	WRITE_ONCE(slot->time, 0);
	WRITE_ONCE(slot->data, data);
	WRITE_ONCE(slot->id, 0);
	aop_slot_unlock(slot, 0);
}

/*
 * The handle is about to be freed.  Its index may still be in the ring: the consumer
 * finds no data and skips it.
 */
static __always_inline void aop_slot_clear(const struct aop_link *link)
{
	struct aop_status *slot = link->slot;
	u32 seq = slot->seq;

	aop_slot_lock(slot, seq);
	WRITE_ONCE(slot->gen, 0);
	WRITE_ONCE(slot->data, 0);
	WRITE_ONCE(slot->id, 0);
	aop_slot_unlock(slot, seq);
}

#endif /* AOP_SLOT_H */
