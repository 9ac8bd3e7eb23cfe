// SPDX-License-Identifier: GPL-2.0
/*
 * Ops that a driver owns: include/linux/aop.h, the owner's side.  Who makes them, and
 * what happens when that goes, is in source.c.
 *
 * An owner is a part of its op's memory (aop_extra.owner), so that nothing here ever
 * looks into memory of the driver: a module that goes without its ops is found, and
 * its ops are ended, whatever it has done to its own data.
 *
 * End and cancel.  The owner hangs a hook on its op, which queues the work item.  The
 * function that ends the op takes the hook away under the home lock.  If the work
 * item is neither queued nor running then (busy is false), it never will be, and
 * that function releases the owner; else the work item does it at its end.
 *
 * Locks: see owner.h.
 */
#include <linux/hardirq.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "change.h"
#include "internal.h"
#include "owner.h"
#include "signalling.h"
#include "trace.h"

#define NEVER_ALONE	(AOP_MAX_LINKS + 1)

#define REASONS	(AOP_EV_ASKED | AOP_EV_ORPHAN | AOP_EV_FINAL)

/* Also of a driver that has gone without its ops. */
const struct aop_owner_ops aop_no_owner_ops;

static LLIST_HEAD(late);
static void late_work(struct work_struct *work);
static DECLARE_WORK(late_item, late_work);

/* ---- life of an owner -------------------------------------------------- */

/* Nothing calls the driver any more.  No lock is held. */
static __always_inline void __release_owner(struct aop_owner *owner, bool has_source)
{
	struct aop_source *source;

	if (owner->ops->release)
		owner->ops->release(owner->priv);
	source = owner->source;
	/* The owner may go with its op. */
	__aop_put(owner->op);
	if (has_source)
		aop_source_put(source);
}

/**
 * aop_owner_release() - the owner goes
 * @owner: ended, and not busy; whoever finds that calls this, once
 *
 * Context: any; no lock is held.  Calls the driver's release.
 */
void aop_owner_release(struct aop_owner *owner)
{
	__release_owner(owner, owner->source);
}

static void call_cancel(struct work_struct *work)
{
	struct aop_owner *owner = container_of(work, struct aop_owner, work);
	struct module *module = owner->source ? owner->source->module : NULL;
	struct aop_home *home = owner->op->home;
	bool cookie, ended;
	u32 why;

	for (;;) {
		spin_lock_irq(&home->lock);
		ended = owner->ended;
		if (ended || !owner->again) {
			owner->busy = false;
			break;
		}
		owner->again = false;
		why = aop_level(owner->op) & REASONS;
		spin_unlock_irq(&home->lock);
		if (!why)
			continue;
		cookie = aop_begin_signalling();
		owner->ops->cancel(owner, owner->priv, why);
		aop_end_signalling(cookie);
		/* Others may come and go as fast as the driver is told that the last one has. */
		cond_resched();
	}
	spin_unlock_irq(&home->lock);
	/* If it has not ended, it may be ended and freed by now. */
	if (ended)
		aop_owner_release(owner);
	module_put(module);
}

static void owner_hook(struct aop_run *run, struct aop *op, struct aop_hook *hook, u32 events)
{
	struct aop_owner *owner = container_of(hook, struct aop_owner, hook);

	if (!(events & REASONS) || !owner->ops->cancel)
		return;
	if (!owner->busy) {
		/* One that is going has to end its ops anyway. */
		if (owner->source && !try_module_get(owner->source->module))
			return;
		owner->busy = true;
		queue_work(aop_driver_wq, &owner->work);
	}
	owner->again = true;
}

static int check_opts(const struct aop_create_opts *opts, size_t *len)
{
	*len = opts->label ? strnlen(opts->label, AOP_LABEL_SIZE) : 0;
	if (*len == AOP_LABEL_SIZE)
		return -ENAMETOOLONG;
	if (opts->flags & ~AOP_CREATE_DETACHED || opts->mode & ~AOP_MODE_BITS ||
	    opts->state > AOP_RUNNING || opts->deadline < 0)
		return -EINVAL;
	return 0;
}

/**
 * aop_owner_create() - aop_create() of an op on any home, not registered yet
 * @home: of the op
 * @source: or NULL: what owns it is a part of aop itself
 * @ops: as there
 * @priv: as there
 * @opts: as there
 *
 * Context: may sleep.
 * Return: as there.
 */
struct aop_owner *aop_owner_create(struct aop_home *home, struct aop_source *source,
				   const struct aop_owner_ops *ops, void *priv,
				   const struct aop_create_opts *opts)
{
	struct aop_owner *owner;
	struct aop *op;
	size_t len;
	int ret = check_opts(opts, &len);

	if (ret)
		return ERR_PTR(ret);
	if (!aop_alloc(home, &op, 1))
		return ERR_PTR(-ENOMEM);
	aop_birth(op, ktime_get_ns(), opts->state, 0);
	op->detached = opts->flags & AOP_CREATE_DETACHED;
	op->owned = true;
	op->mode = opts->mode;
	ret = aop_alloc_extra(op, opts->label, len);
	if (ret) {
		op->id = 0;	/* no event tells of it, see trace.h */
		goto put;
	}
	op->extra->parent = opts->parent;
	trace_aop_create(op);
	ret = -ENOMEM;
	owner = kzalloc(sizeof(*owner), AOP_GFP);
	if (!owner)
		goto put;
	op->extra->owner = owner;
	owner->op = op;
	owner->source = source;
	owner->ops = ops ?: &aop_no_owner_ops;
	owner->priv = priv;
	owner->hook.func = owner_hook;
	owner->hook.user = home->user;
	INIT_WORK(&owner->work, call_cancel);

	spin_lock_irq(&home->lock);
	if (source && source->closed) {
		spin_unlock_irq(&home->lock);
		ret = -ESHUTDOWN;
		goto put;
	}
	/* Cannot fail: nobody else can have joined it. */
	if (owner->ops->cancel)
		WARN_ON_ONCE(aop_hook_locked(op, &owner->hook));
	owner->alone = source && !opts->deadline ? op->nr_links : NEVER_ALONE;
	if (source) {
		refcount_inc(&source->ref);
		hlist_add_head(&owner->node, &source->owners);
	}
	spin_unlock_irq(&home->lock);

	if (opts->deadline) {
		/* From now on it may end, and tell the driver so. */
		ret = aop_deadline_start(op, ktime_to_ns(opts->deadline));
		if (ret) {
			owner->ops = &aop_no_owner_ops;
			aop_let_go(owner);
			return ERR_PTR(ret);
		}
	}
	return owner;
put:
	aop_put(op);
	return ERR_PTR(ret);
}

/**
 * aop_create() - an op, owned by the calling driver
 * @source: of it
 * @ops: or NULL; must stay until the op has been released
 * @priv: for @ops
 * @opts: how it begins
 *
 * Nobody watches it yet, and until somebody has, it does not count as abandoned.
 * With a deadline, @ops->cancel may be called before this returns.  It must leave the end
 * of the op to who has called this then: the owner goes with it.
 *
 * Context: may sleep.
 * Return: its owner, until the driver ends it; or an ERR_PTR: -EINVAL or -ENAMETOOLONG
 * for @opts, -ENOMEM, -ESHUTDOWN when the source is being destroyed.
 */
struct aop_owner *aop_create(struct aop_source *source, const struct aop_owner_ops *ops,
			     void *priv, const struct aop_create_opts *opts)
{
	struct aop_owner *owner = aop_owner_create(source->home, source, ops, priv, opts);

	if (!IS_ERR(owner))
		aop_register(owner->op);
	return owner;
}
EXPORT_SYMBOL_GPL(aop_create);

/**
 * aop_owner_op() - the op that an owner drives
 * @owner: not ended
 *
 * Context: any.
 * Return: the op; no reference of its own comes with it: it stays while the owner does.
 */
struct aop *aop_owner_op(const struct aop_owner *owner)
{
	return owner->op;
}
EXPORT_SYMBOL_GPL(aop_owner_op);

/* ---- driving ----------------------------------------------------------- */

/*
 * With PREEMPT_RT the home lock sleeps.  Drivers whose handlers are threads there, as
 * all are by default, never notice; who asked for a true hard interrupt is told.
 */
static bool wrong_context(void)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		return false;
	return WARN_ONCE(in_hardirq() || irqs_disabled(),
			 "aop: an op is driven from a hard interrupt\n");
}

static __always_inline bool end_locked(struct aop_run *run, struct aop_owner *owner, u8 state,
				       u8 flags, s64 result, int *ret)
{
	struct aop *op = owner->op;

	/* First, so that it is not told of its own end. */
	if (!hlist_unhashed(&owner->hook.node))
		aop_unhook_locked(op, &owner->hook);
	if (owner->source)
		__hlist_del(&owner->node);
	if (state == AOP_CANCELLED && !result)
		result = op->reason ?: -ECANCELED;
	*ret = __aop_end_owned_locked(run, op, state, flags, result);
	owner->ended = true;
	return !owner->busy;
}

/**
 * aop_owner_end_locked() - the owner lets go
 * @run: the home of its op is locked by it
 * @owner: not ended
 * @state: final, unless the op is that already
 * @flags: AOP_F_*
 * @result: of the op; CANCELLED with 0: the requested reason
 * @ret: out: 0; -EALREADY when it had ended before
 *
 * Context: any.
 * Return: whether the caller has to call aop_owner_release() after the unlock; else
 * the work item does.
 */
bool aop_owner_end_locked(struct aop_run *run, struct aop_owner *owner, u8 state, u8 flags,
			  s64 result, int *ret)
{
	return end_locked(run, owner, state, flags, result, ret);
}

/* Somebody has to be told.  The home lock is held, and is dropped. */
static noinline int end_and_tell(struct aop_owner *owner, u8 state, u8 flags, s64 result, u64 now,
				 unsigned long irq)
{
	struct aop_run run AOP_UNINIT;
	bool idle;
	int ret;

	aop_run_begin(&run);
	run.home = owner->op->home;
	run.flags = irq;
	run.now = now;
	idle = end_locked(&run, owner, state, flags, result, &ret);
	aop_run_end(&run);
	if (idle)
		__release_owner(owner, owner->source);
	return ret;
}

/*
 * Most operations of a driver end while nobody looks: nothing is on their lists but
 * the owner's hook, which can stay there, since of a final op nothing more is told.
 */
static __always_inline int end(struct aop_owner *owner, u8 state, u8 flags, s64 result, u64 now)
{
	struct aop *op = owner->op;
	unsigned long irq;
	u32 word;

	spin_lock_irqsave(&op->home->lock, irq);
	word = op->word;
	if (unlikely(op->nr_links != owner->alone || owner->busy ||
		     AOP_FINAL(aop_word_state(word)))) {
		__release(&op->home->lock);	/* by its run: for sparse */
		return end_and_tell(owner, state, flags, result, now, irq);
	}
	__hlist_del(&owner->node);
	owner->ended = true;
	op->owned = false;
	if (state == AOP_CANCELLED) {
		if (!result)
			result = op->reason ?: -ECANCELED;
		op->reason = result;
	}
	op->result = result;
	op->time = max(now, op->time);
	word &= ~aop_word(~0, 0);
	__aop_publish(op, word | aop_word(state, flags | AOP_F_OVER), op->seq + 2);
	__aop_tell_others(op, AOP_EV_FINAL);
	spin_unlock_irqrestore(&op->home->lock, irq);
	__release_owner(owner, true);
	return 0;
}

static void late_work(struct work_struct *work)
{
	struct aop_owner *owner, *next;

	llist_for_each_entry_safe(owner, next, llist_reverse_order(llist_del_all(&late)), late)
		end(owner, owner->state, 0, owner->result, ktime_get_ns());
}

/**
 * aop_owner_flush_late() - end what a true hard interrupt of PREEMPT_RT has left to do
 *
 * Context: may sleep.
 */
void aop_owner_flush_late(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		flush_work(&late_item);
}

static __always_inline int end_here(struct aop_owner *owner, u8 state, s64 result, u64 now)
{
	if (likely(!wrong_context()))
		return end(owner, state, 0, result, now);
	owner->state = state;
	owner->result = result;
	llist_add(&owner->late, &late);
	queue_work(aop_wq, &late_item);
	return 0;
}

/**
 * aop_start() - accept a pending op
 * @owner: of it
 *
 * From now on a cancel is only a request.
 *
 * Context: any.
 * Return: 0; -EALREADY when it is final, and the driver has to end it all the same, to
 * let go; -EINVAL when it runs already; -EWOULDBLOCK in a hard interrupt of PREEMPT_RT.
 */
int aop_start(struct aop_owner *owner)
{
	struct aop *op = owner->op;
	struct aop_run run AOP_UNINIT;
	int ret;

	if (wrong_context())
		return -EWOULDBLOCK;
	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	ret = aop_start_locked(&run, op);
	aop_run_end(&run);
	return ret;
}
EXPORT_SYMBOL_GPL(aop_start);

/**
 * aop_progress() - new details, same state
 * @owner: of the op
 * @done: so far
 * @total: at the end, or 0 when not known
 *
 * Context: any.
 * Return: 0; -EALREADY when it is final, see aop_start(); -EWOULDBLOCK in a hard
 * interrupt of PREEMPT_RT.
 */
int aop_progress(struct aop_owner *owner, u64 done, u64 total)
{
	struct aop *op = owner->op;
	struct aop_run run AOP_UNINIT;
	int ret;

	if (wrong_context())
		return -EWOULDBLOCK;
	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	ret = aop_progress_locked(&run, op, done, total);
	aop_run_end(&run);
	return ret;
}
EXPORT_SYMBOL_GPL(aop_progress);

/**
 * aop_done() - end an op well
 * @owner: of it; gone afterwards, whatever this returns
 * @result: for the watchers
 *
 * Races with a deadline, with the cancel of a pending op and with nothing else: the
 * first wins.  May call the driver's release.
 *
 * Context: any.  In a true hard interrupt of PREEMPT_RT a work item ends it instead,
 * after one warning.
 * Return: 0; -EALREADY when it had ended before.
 */
int aop_done(struct aop_owner *owner, s64 result)
{
	return end_here(owner, AOP_DONE, result, ktime_get_ns());
}
EXPORT_SYMBOL_GPL(aop_done);

/**
 * aop_done_at() - aop_done(), at a time that the caller knows
 * @owner: as there
 * @result: as there
 * @now: CLOCK_MONOTONIC, as read a moment ago
 *
 * For who ends many in a row: to read the clock is a third of what aop_done() does.
 *
 * Context: as aop_done().
 * Return: as aop_done().
 */
int aop_done_at(struct aop_owner *owner, s64 result, ktime_t now)
{
	return end_here(owner, AOP_DONE, result, ktime_to_ns(now));
}
EXPORT_SYMBOL_GPL(aop_done_at);

/**
 * aop_fail() - end an op with an error
 * @owner: of it; gone afterwards, whatever this returns
 * @error: a negative errno
 *
 * Context: as aop_done().
 * Return: as aop_done().
 */
int aop_fail(struct aop_owner *owner, int error)
{
	if (WARN_ON_ONCE(!aop_result_fits(AOP_FAILED, error)))
		error = -EIO;
	return end_here(owner, AOP_FAILED, error, ktime_get_ns());
}
EXPORT_SYMBOL_GPL(aop_fail);

/**
 * aop_cancelled() - end an op because a cancel was requested
 * @owner: of it; gone afterwards, whatever this returns
 * @reason: negative; 0: the requested one, and -ECANCELED if there was no request
 *
 * Context: as aop_done().
 * Return: as aop_done().
 */
int aop_cancelled(struct aop_owner *owner, s32 reason)
{
	if (WARN_ON_ONCE(reason > 0))
		reason = 0;
	return end_here(owner, AOP_CANCELLED, reason, ktime_get_ns());
}
EXPORT_SYMBOL_GPL(aop_cancelled);

/**
 * aop_let_go() - drive an op no longer
 * @owner: of it; gone afterwards.  An op that is not final fails with -EOWNERDEAD, by
 *	the system
 *
 * Context: any, but a true hard interrupt of PREEMPT_RT.
 */
void aop_let_go(struct aop_owner *owner)
{
	end(owner, AOP_FAILED, AOP_F_SYSTEM, -EOWNERDEAD, ktime_get_ns());
}
EXPORT_SYMBOL_GPL(aop_let_go);

/**
 * aop_asked() - was a cancel requested?
 * @owner: of the op
 *
 * Context: any; takes no lock.
 * Return: the negative reason, or 0.
 */
s32 aop_asked(const struct aop_owner *owner)
{
	if (!(aop_level(owner->op) & AOP_EV_ASKED))
		return 0;
	return READ_ONCE(owner->op->reason);
}
EXPORT_SYMBOL_GPL(aop_asked);

