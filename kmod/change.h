/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The inner part of each change, inlined: on the paths that user space waits for,
 * a call for each step would cost as much as the step.  op.c has all of it as
 * functions for everybody else, and says what they do.
 *
 * Everything here is called with the home lock of the op held, by the run.
 */
#ifndef AOP_CHANGE_H
#define AOP_CHANGE_H

#include <linux/percpu.h>
#include <linux/poll.h>

#include "internal.h"
#include "slot.h"
#include "trace.h"

/*
 * The first status of an op that is unknown to everybody else.  Of a final one there
 * is nothing left to drive: it is over, too.
 */
static __always_inline void __aop_birth(struct aop *op, u64 id, u64 now, u16 state, s64 result)
{
	refcount_set(&op->ref, 1);
	op->depth = 0;
	op->nr_links = 0;
	op->watchers = 0;
	op->exported = false;
	op->seq = aop_seq_start & ~1u;
	op->word = aop_word(state, AOP_FINAL(state) ? AOP_F_OVER : 0);
	op->reason = state == AOP_CANCELLED ? result : 0;
	op->result = result;
	op->done = 0;
	op->total = 0;
	op->time = now;
	op->created = now;
	op->started = state == AOP_RUNNING ? now : 0;
	op->id = id;
}

/* An op that ended and was kept, or NULL. */
static __always_inline struct aop *__aop_reuse_locked(struct aop_home *home)
{
	struct aop *op = home->spare;

	if (op) {
		home->spare = op->dead;
		home->spare_room++;
		INIT_HLIST_HEAD(&op->links);
		this_cpu_inc(aop_op_counts);
	}
	return op;
}

/* Queues a handle for the ring of its context, when the run pushes. */
static __always_inline void aop_run_queue(struct aop_run *run, struct aop_link *link)
{
	struct aop_ctx *ctx = link->ctx;
	unsigned int nr = run->nr;

	if (unlikely(run->ctx != ctx || nr == AOP_RUN_LINKS)) {
		if (nr)
			aop_run_flush(run);
		nr = 0;
		run->ctx = ctx;
	}
	run->ready[nr++] = link;
	run->nr = nr;
}

/* A run reads the clock once, if at all, and may come later to an op than others did. */
static __always_inline u64 aop_run_now(struct aop_run *run)
{
	if (!run->now)
		run->now = ktime_get_ns();
	return run->now;
}

static __always_inline u64 aop_now_for(struct aop_run *run, const struct aop *op)
{
	return max(aop_run_now(run), op->time);
}

/*
 * For those who look without the lock.  After the slots: whoever is told of a change
 * finds it there.  Pairs with the acquires in aop_level() and aop_peek_since().
 */
static __always_inline void __aop_publish(struct aop *op, u32 word, u32 seq)
{
	trace_aop_change(op, word, seq);
	smp_store_release(&op->seq, seq);	/* see above */
	smp_store_release(&op->word, word);	/* see above */
}

/* A change was published: tell those who are neither links nor hooks. */
static __always_inline void __aop_tell_others(struct aop *op, u32 events)
{
	/* All of them, exclusive ones too: what became readable stays so for each. */
	if ((events & AOP_EV_FINAL) && unlikely(op->exported) && wq_has_sleeper(&op->wq))
		__wake_up(&op->wq, TASK_NORMAL, 0, poll_to_key(EPOLLIN | EPOLLRDNORM));
	if (aop_news_wanted())
		aop_news_changed(op);
}

/* One change was made: number it, publish it, tell those who asked for it. */
static __always_inline void __aop_changed(struct aop_run *run, struct aop *op, u32 word,
					  u32 events)
{
	u32 seq = op->seq + 2;
	s32 reason = op->reason;
	s64 result = op->result;
	u64 time = op->time;
	struct aop_link *link;

	events |= AOP_EV_CHANGE;
	hlist_for_each_entry(link, &op->links, node) {
		struct aop_status *slot = link->slot;

		aop_slot_lock(slot, seq);
		aop_slot_time(slot, link, time);
		aop_slot_state(slot, reason, result, word);
		aop_slot_unlock(slot, seq);
		if (link->mask & events)
			aop_run_queue(run, link);
	}
	__aop_publish(op, word, seq);
	if (unlikely(!hlist_empty(&op->hooks)))
		aop_run_hooks(run, op, events);
	__aop_tell_others(op, events);
}

static __always_inline int __aop_progress_locked(struct aop_run *run, struct aop *op, u64 done,
						 u64 total)
{
	u32 seq = op->seq + 2;
	struct aop_link *link;
	u64 time;

	/* Who may have new details may have them in his state. */
	if (unlikely(aop_is_final(op)))
		return -EALREADY;
	time = aop_now_for(run, op);
	op->done = done;
	op->total = total;
	op->time = time;
	trace_aop_change(op, op->word, seq);
	hlist_for_each_entry(link, &op->links, node) {
		aop_slot_details(link, seq, time, done, total);
		if (link->mask & AOP_EV_CHANGE)
			aop_run_queue(run, link);
	}
	smp_store_release(&op->seq, seq);	/* last, as in __aop_publish() */
	if (unlikely(!hlist_empty(&op->hooks)))
		aop_run_hooks(run, op, AOP_EV_CHANGE);
	if (aop_news_wanted())
		aop_news_progressed(op);
	return 0;
}

static __always_inline int __aop_end_locked(struct aop_run *run, struct aop *op, u8 state,
					    u8 flags, s64 result)
{
	u32 events = AOP_EV_FINAL, word = op->word;
	const struct aop_extra *extra = op->extra;

	if (unlikely(!aop_move_is_legal(aop_word_state(word), state)))
		return -EALREADY;
	/* Before the next line: a call that is queued belongs to the port. */
	if (unlikely(extra && (extra->deadline || extra->port || extra->call)))
		aop_extra_ended_locked(run, op, state, result);
	/* Without an owner nobody is left to let go. */
	if (!op->owned)
		flags |= AOP_F_OVER;
	if (flags & AOP_F_OVER)
		events |= AOP_EV_OVER;
	if (flags & AOP_F_ASKED)
		events |= AOP_EV_ASKED;
	if (state == AOP_CANCELLED)
		op->reason = result;
	op->result = result;
	op->time = aop_now_for(run, op);
	__aop_changed(run, op, aop_word(state, aop_word_flags(word) | flags), events);
	return 0;
}

static __always_inline int __aop_end_owned_locked(struct aop_run *run, struct aop *op, u8 state,
						  u8 flags, s64 result)
{
	int ret;

	op->owned = false;
	ret = __aop_end_locked(run, op, state, flags, result);
	if (unlikely(ret))
		aop_over_locked(run, op);
	return ret;
}

static __always_inline void __aop_watch_locked(struct aop_run *run, struct aop *op)
{
	op->watchers++;
	if (unlikely(aop_word_flags(op->word) & AOP_F_ORPHAN))
		aop_unorphan_locked(run, op);
}

static __always_inline void __aop_unwatch_locked(struct aop_run *run, struct aop *op)
{
	if (--op->watchers || aop_is_final(op) || op->detached)
		return;
	aop_orphan_locked(run, op);
}

static __always_inline int __aop_may_join(const struct aop *op, const struct aop_user *user)
{
	if (unlikely(op->nr_links >= AOP_MAX_LINKS))
		return -EMFILE;
	return likely(user == op->home->user) ? 0 : aop_foreigner_may_join(op, user);
}

#endif /* AOP_CHANGE_H */
