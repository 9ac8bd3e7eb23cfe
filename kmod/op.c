// SPDX-License-Identifier: GPL-2.0
/*
 * The state machine of one op, and who is told of its changes.
 *
 * Every change is made under the lock of the op's home, by a function that ends
 * in _locked.  Completion by the owner, a deadline, the cancel of a pending op
 * and the death of the owner all go through aop_end_locked(): the first wins.
 *
 * A struct aop_run carries what cannot be finished under the lock: handles to
 * push to the rings (before the unlock, since the lock is what pins them), groups
 * to look at and ops to free (after it).  Callers of the _locked functions hold a
 * reference on the op; the run never drops the last one under the lock.
 *
 * All of it may be called from any context, hard interrupts included (but on
 * PREEMPT_RT, where the home lock sleeps), unless a function says otherwise.
 */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "change.h"
#include "internal.h"
#include "trace.h"

struct workqueue_struct *aop_wq;
struct workqueue_struct *aop_driver_wq;
static struct kmem_cache *op_cache;
DEFINE_PER_CPU(int, aop_op_counts);

/* Lets tests begin just before the wrap. */
unsigned int aop_seq_start;
module_param_named(seq_start, aop_seq_start, uint, 0644);
MODULE_PARM_DESC(seq_start, "sequence number that new ops begin with (for tests)");

/*
 * With these a burst of ends, and of beginnings, goes without the allocator.  Where memory
 * is watched for use after free, each op is freed at once, unless asked for otherwise.
 */
unsigned int aop_spare_ops = IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_SLUB_DEBUG_ON) ? 0 : 64;
module_param_named(spare_ops, aop_spare_ops, uint, 0644);
MODULE_PARM_DESC(spare_ops, "how many ops that ended a new context keeps for its next ones");

/* ---- life -------------------------------------------------------------- */

/**
 * aop_alloc() - memory for ops
 * @home: of their creator
 * @ops: filled in
 * @nr: how many
 *
 * The caller completes each with aop_birth(), and makes it known with
 * aop_register() at the end.
 *
 * Context: may sleep.
 * Return: @nr, each with one reference, or 0.
 */
u32 aop_alloc(struct aop_home *home, struct aop **ops, u32 nr)
{
	u32 i;

	if (nr == 1)
		ops[0] = kmem_cache_alloc(op_cache, AOP_GFP);
	else if (nr && !kmem_cache_alloc_bulk(op_cache, AOP_GFP, nr, (void **)ops))
		return 0;
	if (!nr || !ops[0])
		return 0;
	refcount_add(nr, &home->ref);
	this_cpu_add(aop_op_counts, nr);
	for (i = 0; i < nr; i++) {
		struct aop *op = ops[i];

		op->home = home;
		op->extra = NULL;
		op->news_kind = 0;
		INIT_HLIST_HEAD(&op->links);
		INIT_HLIST_HEAD(&op->hooks);
		INIT_HLIST_BL_NODE(&op->registered);
		init_waitqueue_head(&op->wq);
	}
	return nr;
}

/**
 * aop_alloc_extra() - memory for what only some ops have
 * @op: not known to anybody yet
 * @label: copied
 * @len: of it, without a 0 at its end
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int aop_alloc_extra(struct aop *op, const char *label, size_t len)
{
	return aop_alloc_extra_and(op, label, len, 0) ? 0 : -ENOMEM;
}

/**
 * aop_alloc_extra_and() - the same, with room for more
 * @op: not known to anybody yet
 * @label: copied; NULL: none yet, but room for it
 * @len: of it, without a 0 at its end
 * @more: bytes, which go with the extra; not cleared
 *
 * Context: may sleep.
 * Return: these, or NULL without memory.
 */
void *aop_alloc_extra_and(struct aop *op, const char *label, size_t len, size_t more)
{
	struct aop_extra *extra;
	size_t size = ALIGN(struct_size(extra, label, len + 1), sizeof(u64));

	extra = kmalloc(size + more, AOP_GFP);
	if (!extra)
		return NULL;
	extra->parent = 0;
	extra->deadline = NULL;
	extra->group = NULL;
	extra->owner = NULL;
	extra->port = NULL;
	extra->call = NULL;
	if (label)
		memcpy(extra->label, label, len);
	extra->label[label ? len : 0] = 0;
	op->extra = extra;
	return (void *)extra + size;
}

/* What can only be taken down where one may sleep: work items call aop_free() again. */
static bool still_busy(struct aop *op)
{
	if (!op->extra)
		return false;
	if (op->extra->group)
		aop_group_destroy(op);
	else if (op->extra->deadline)
		aop_deadline_destroy(op);
	else
		return false;
	return true;
}

static void free_many(struct aop_home *home, struct aop **ops, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		trace_aop_release(ops[i]);
		if (ops[i]->extra) {
			kfree(ops[i]->extra->owner);
			if (ops[i]->extra->port)
				aop_port_free(ops[i]->extra->port);
			if (ops[i]->extra->call)
				aop_call_free(ops[i]->extra->call);
			kfree(ops[i]->extra);
		}
	}
	if (nr == 1)
		kmem_cache_free(op_cache, ops[0]);
	else
		kmem_cache_free_bulk(op_cache, nr, (void **)ops);
	this_cpu_sub(aop_op_counts, nr);
	aop_home_put(home, nr);
}

/**
 * aop_free() - free an op that nobody refers to any more
 * @op: without references, links and hooks
 *
 * Context: any; no home lock is held.
 */
void aop_free(struct aop *op)
{
	aop_unregister(op);
	if (!still_busy(op))
		free_many(op->home, &op, 1);
}

/**
 * aop_get() - one more reference
 * @op: the caller has one
 *
 * Context: any.
 * Return: @op.
 */
struct aop *aop_get(struct aop *op)
{
	refcount_inc(&op->ref);
	return op;
}
EXPORT_SYMBOL_GPL(aop_get);

/**
 * aop_put() - drop a reference
 * @op: not used afterwards; no home lock is held
 *
 * Context: any, but a true hard interrupt of PREEMPT_RT.
 */
void aop_put(struct aop *op)
{
	__aop_put(op);
}
EXPORT_SYMBOL_GPL(aop_put);

/**
 * aop_put_locked() - drop a reference with the home lock held
 * @run: frees the op when no lock is held any more, if this was the last one
 * @op: not used afterwards
 */
void aop_put_locked(struct aop_run *run, struct aop *op)
{
	if (refcount_dec_and_test(&op->ref))
		aop_bury_locked(run, op);
}

/**
 * aop_bury_locked() - an op's last reference went, with some home lock held
 * @run: frees it when no lock is held any more
 * @op: without references
 */
void aop_bury_locked(struct aop_run *run, struct aop *op)
{
	op->dead = run->dead;
	run->dead = op;
}

/**
 * aop_free_spare() - a home's creator makes no more ops
 * @home: keeps none of those that end from now on
 *
 * Context: process.
 */
void aop_free_spare(struct aop_home *home)
{
	struct aop *op, *calls, *next;
	unsigned int nr = 0;

	spin_lock_irq(&home->lock);
	op = home->spare;
	calls = home->spare_calls;
	home->spare = NULL;
	home->spare_calls = NULL;
	home->spare_room = 0;
	home->spare_calls_room = 0;
	spin_unlock_irq(&home->lock);
	for (; op; op = next, nr++) {
		next = op->dead;
		kmem_cache_free(op_cache, op);
	}
	for (op = calls; op; op = next, nr++) {
		next = op->dead;
		kfree(op->extra);
		kmem_cache_free(op_cache, op);
	}
	if (nr)
		aop_home_put(home, nr);
}

/**
 * aop_birth() - the id and the first status of an op
 * @op: new, unknown to everybody else
 * @now: when
 * @state: to begin in
 * @result: of a final one, else 0
 */
void aop_birth(struct aop *op, u64 now, u16 state, s64 result)
{
	__aop_birth(op, aop_new_ids(1), now, state, result);
}

/* ---- runs -------------------------------------------------------------- */

/**
 * aop_run_flush() - push what is ready
 * @run: holds the home lock that pins it
 */
void aop_run_flush(struct aop_run *run)
{
	aop_ring_push(run->ctx, run->ready, run->nr);
	run->nr = 0;
}

/* Ops that died together mostly come from one home, and often from one slab. */
static void free_dead(struct aop_run *run)
{
	struct aop *ops[AOP_RUN_LINKS] AOP_UNINIT, *op, *next;
	u32 nr = 0;

	for (op = run->dead; op; op = next) {
		next = op->dead;
		aop_unregister(op);
		if (still_busy(op))
			continue;
		if (nr == AOP_RUN_LINKS || (nr && ops[0]->home != op->home)) {
			free_many(ops[0]->home, ops, nr);
			nr = 0;
		}
		ops[nr++] = op;
	}
	if (nr)
		free_many(ops[0]->home, ops, nr);
}

/**
 * aop_run_finish() - do what had to wait for the unlock
 * @run: holds no lock
 */
void aop_run_finish(struct aop_run *run)
{
	if (!llist_empty(&run->fired))
		aop_group_fired(run);
	if (run->dead)
		free_dead(run);
}

/* ---- changes ----------------------------------------------------------- */

/**
 * aop_status_of() - the whole status of an op
 * @op: its home lock is held
 * @time_offset: of the reader's time namespace
 * @st: filled in, but for gen and data
 */
void aop_status_of(const struct aop *op, s64 time_offset, struct aop_status *st)
{
	st->seq = op->seq;
	st->gen = 0;
	st->word = op->word;
	st->reason = op->reason;
	st->result = op->result;
	st->done = op->done;
	st->total = op->total;
	st->time = op->time + time_offset;
	st->data = 0;
	st->id = op->id;
	if (unlikely(op->extra) && op->extra->port)
		aop_port_progress(op->extra->port, &st->done, &st->total);
}

/**
 * aop_run_hooks() - tell waiters and groups of a change
 * @run: holds the home lock
 * @op: that changed
 * @events: AOP_EV_*
 */
void aop_run_hooks(struct aop_run *run, struct aop *op, u32 events)
{
	struct aop_hook *hook;
	struct hlist_node *next;

	hlist_for_each_entry_safe(hook, next, &op->hooks, node)
		hook->func(run, op, hook, events);
}

/* The rarer changes, that need not be inlined. */
static noinline void changed(struct aop_run *run, struct aop *op, u32 word, u32 events)
{
	__aop_changed(run, op, word, events);
}

/**
 * aop_start_locked() - accept a pending op
 * @run: holds the home lock
 * @op: PENDING
 *
 * Return: 0; -EALREADY when it is final; -EINVAL when it was accepted before.
 */
int aop_start_locked(struct aop_run *run, struct aop *op)
{
	u32 state = aop_word_state(op->word);

	if (AOP_FINAL(state))
		return -EALREADY;
	if (state != AOP_PENDING)
		return -EINVAL;
	op->time = aop_now_for(run, op);
	op->started = op->time;
	changed(run, op, aop_word(AOP_RUNNING, aop_word_flags(op->word)), 0);
	if (unlikely(op->extra) && op->extra->port)
		aop_port_started(op->extra->port);
	return 0;
}

/**
 * aop_progress_locked() - new details, same state
 * @run: holds the home lock
 * @op: PENDING or RUNNING
 * @done: so far
 * @total: at the end, or 0
 *
 * Return: 0; -EALREADY when it is final.
 */
int aop_progress_locked(struct aop_run *run, struct aop *op, u64 done, u64 total)
{
	return __aop_progress_locked(run, op, done, total);
}

/**
 * aop_end_locked() - end an op, whoever does it: the first one wins
 * @run: holds the home lock
 * @op: any state
 * @state: DONE, FAILED or CANCELLED
 * @flags: AOP_F_* to add
 * @result: for the status; negative with FAILED and CANCELLED
 *
 * Return: 0; -EALREADY when it was final before, and then nothing has changed.
 */
int aop_end_locked(struct aop_run *run, struct aop *op, u8 state, u8 flags, s64 result)
{
	return __aop_end_locked(run, op, state, flags, result);
}

/**
 * aop_end_owned_locked() - the owner ends an op, and lets go of it
 * @run: holds the home lock
 * @op: owned until now
 * @state: DONE, FAILED or CANCELLED
 * @flags: AOP_F_* to add
 * @result: for the status; negative with FAILED and CANCELLED
 *
 * Return: 0; -EALREADY when it was final before, and now is only over.
 */
int aop_end_owned_locked(struct aop_run *run, struct aop *op, u8 state, u8 flags, s64 result)
{
	return __aop_end_owned_locked(run, op, state, flags, result);
}

/**
 * aop_over_locked() - the owner of a final op has let go too
 * @run: holds the home lock
 * @op: final
 */
void aop_over_locked(struct aop_run *run, struct aop *op)
{
	if (!(aop_word_flags(op->word) & AOP_F_OVER))
		changed(run, op, op->word | aop_word(0, AOP_F_OVER), AOP_EV_OVER);
}

/**
 * aop_let_go_locked() - the right to drive is gone
 * @run: holds the home lock
 * @op: owned until now.  If not final, it fails with -EOWNERDEAD by the system
 */
void aop_let_go_locked(struct aop_run *run, struct aop *op)
{
	aop_end_owned_locked(run, op, AOP_FAILED, AOP_F_SYSTEM, -EOWNERDEAD);
}

/**
 * aop_cancel_locked() - request a cancel
 * @run: holds the home lock
 * @op: any state
 * @reason: negative
 *
 * Idempotent: the first request's reason is kept.
 *
 * Return: enum aop_cancel_answer.
 */
int aop_cancel_locked(struct aop_run *run, struct aop *op, s32 reason)
{
	u32 state = aop_word_state(op->word);

	trace_aop_cancel(op, reason);
	if (AOP_FINAL(state))
		return AOP_TOO_LATE;
	if (state == AOP_PENDING) {
		aop_end_locked(run, op, AOP_CANCELLED, AOP_F_ASKED, reason);
		return AOP_STOPPED;
	}
	if (aop_word_flags(op->word) & AOP_F_ASKED)
		return AOP_ASKED;
	op->reason = reason;
	changed(run, op, op->word | aop_word(0, AOP_F_ASKED), AOP_EV_ASKED);
	if (aop_group_of(op))
		aop_group_ask(op);
	return AOP_ASKED;
}

/* ---- watchers ---------------------------------------------------------- */

/**
 * aop_watch_locked() - one more handle, fd or group may look
 * @run: holds the home lock
 * @op: no longer abandoned
 */
void aop_watch_locked(struct aop_run *run, struct aop *op)
{
	__aop_watch_locked(run, op);
}

/**
 * aop_unwatch_locked() - one less handle, fd or group may look
 * @run: holds the home lock
 * @op: abandoned, if that was the last one, unless detached or final
 */
void aop_unwatch_locked(struct aop_run *run, struct aop *op)
{
	__aop_unwatch_locked(run, op);
}

/**
 * aop_orphan_locked() - the last watcher has let go
 * @run: holds the home lock
 * @op: not final, not detached
 *
 * A call that nobody has taken ends by that.
 */
void aop_orphan_locked(struct aop_run *run, struct aop *op)
{
	if (aop_call_orphaned_locked(run, op))
		return;
	changed(run, op, op->word | aop_word(0, AOP_F_ORPHAN), AOP_EV_ORPHAN);
}

/**
 * aop_unorphan_locked() - somebody watches again
 * @run: holds the home lock
 * @op: was abandoned
 */
void aop_unorphan_locked(struct aop_run *run, struct aop *op)
{
	if (!aop_is_final(op))
		changed(run, op, op->word & ~aop_word(0, AOP_F_ORPHAN), AOP_EV_ORPHAN);
}

/**
 * aop_foreigner_may_join() - may somebody else's handle or hook join an op?
 * @op: its home lock is held
 * @user: not the op's
 *
 * Others may not make the walk of somebody's op long, nor leave its owner no room:
 * a share for each of them, and half for all of them.
 *
 * Return: 0 or -EMFILE.
 */
int aop_foreigner_may_join(const struct aop *op, const struct aop_user *user)
{
	const struct aop_user *owner = op->home->user;
	unsigned int foreign = 0, own = 0;
	const struct aop_link *link;
	const struct aop_hook *hook;

	hlist_for_each_entry(link, &op->links, node) {
		foreign += link->ctx->home->user != owner;
		own += link->ctx->home->user == user;
	}
	hlist_for_each_entry(hook, &op->hooks, node) {
		foreign += hook->user != owner;
		own += hook->user == user;
	}
	return own < AOP_MAX_FOREIGN && foreign < AOP_MAX_LINKS / 2 ? 0 : -EMFILE;
}

/**
 * aop_link_modify_locked() - change what a handle is queued for
 * @run: holds the home lock
 * @link: in use; queued now if the mask asks for something that holds
 * @mask: AOP_EV_*
 * @data: the watcher's, for the slot
 */
void aop_link_modify_locked(struct aop_run *run, struct aop_link *link, u32 mask, u64 data)
{
	link->mask = mask;
	aop_slot_data(link, data);
	if (link->rights & AOP_SEES && mask & aop_level(link->op))
		aop_run_queue(run, link);
}

/**
 * aop_hook_locked() - tell a waiter or a group of all changes from now on
 * @op: its home lock is held
 * @hook: with func and user
 *
 * Return: 0 or -EMFILE.
 */
int aop_hook_locked(struct aop *op, struct aop_hook *hook)
{
	int ret = __aop_may_join(op, hook->user);

	if (ret)
		return ret;
	op->nr_links++;
	hlist_add_head(&hook->node, &op->hooks);
	return 0;
}

/**
 * aop_unhook_locked() - tell a waiter or a group of nothing any more
 * @op: its home lock is held
 * @hook: on its list
 */
void aop_unhook_locked(struct aop *op, struct aop_hook *hook)
{
	op->nr_links--;
	__hlist_del(&hook->node);
	hook->node.next = NULL;
	/* As hlist_del_init(), but a waiter looks for this without the lock. */
	smp_store_release(&hook->node.pprev, NULL);
}

/* ---- module ------------------------------------------------------------ */

/**
 * aop_op_count() - how many ops there are
 *
 * Exact when nothing is going on.
 */
unsigned int aop_op_count(void)
{
	int cpu, sum = 0;

	for_each_possible_cpu(cpu)
		sum += per_cpu(aop_op_counts, cpu);
	return sum;
}

/**
 * aop_op_settle() - wait until the last ops are gone
 *
 * Nobody makes ops any more, but some may still be ended and freed, by work items that
 * queue others.  The source of an import may fire up to then: the queue must take that,
 * which one that is being destroyed does not.
 *
 * Context: may sleep.
 */
void aop_op_settle(void)
{
	while (aop_op_count()) {
		flush_workqueue(aop_wq);
		schedule_timeout_uninterruptible(1);
	}
}

int __init aop_op_init(void)
{
	/* What __aop_progress_locked() makes of the table of transitions. */
	BUILD_BUG_ON(!aop_move_is_legal(AOP_PENDING, AOP_PENDING));
	BUILD_BUG_ON(!aop_move_is_legal(AOP_RUNNING, AOP_RUNNING));
	BUILD_BUG_ON(aop_move_is_legal(AOP_DONE, AOP_DONE));
	BUILD_BUG_ON(aop_move_is_legal(AOP_FAILED, AOP_FAILED));
	BUILD_BUG_ON(aop_move_is_legal(AOP_CANCELLED, AOP_CANCELLED));

	op_cache = kmem_cache_create("aop_op", sizeof(struct aop), 0, SLAB_ACCOUNT, NULL);
	if (!op_cache)
		return -ENOMEM;
	aop_wq = alloc_workqueue("aop", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	aop_driver_wq = alloc_workqueue("aop_driver", WQ_UNBOUND, 0);
	if (!aop_wq || !aop_driver_wq) {
		if (aop_driver_wq)
			destroy_workqueue(aop_driver_wq);
		if (aop_wq)
			destroy_workqueue(aop_wq);
		kmem_cache_destroy(op_cache);
		return -ENOMEM;
	}
	return 0;
}

/* No op is left but those that work items are freeing. */
void aop_op_exit(void)
{
	/* Deadlines that are just expiring: soft timers run as readers of RCU. */
	synchronize_rcu();
	/* Work items queue others: this waits for those as well. */
	destroy_workqueue(aop_driver_wq);
	destroy_workqueue(aop_wq);
	kmem_cache_destroy(op_cache);
}
