// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * local.c - the scope of ops that the threads of a process share
 *
 * local.h says how the op's word locks and publishes.  op->sides counts the watchers; that
 * the owner has left, and that the last watcher has, the word says (AOP_F_OVER does not do
 * for the former: an op that was created final is over before).  Whoever leaves last finds
 * that of the other one there, and gives the struct back.  So all that the end of an op
 * writes is in the line of its status, which those who wait for it look at anyway.
 *
 * Ops that are watched are found in one of a few homes, by address; its lock protects
 * the op's list of watches, and says who runs a callback.  While it is held nobody
 * changes the op, so each change is delivered before the next one is made, unless
 * its callback still runs: then whoever runs it calls it once more.
 */
#include "local.h"

struct home local_homes[HOMES] = { [0 ... HOMES - 1] = { .scope = &scope_local } };

static struct home *home_of(const struct op *op)
{
	uintptr_t x = (uintptr_t)op / sizeof(*op);

	return &local_homes[(x ^ x / HOMES) % HOMES];
}

/* Both sides have let go. */
static void freed(struct op *op)
{
	void (*release)(struct aop *op) = op->release;

	op_gone(op);
	if (release)
		release(to_aop(op));
}

bool local_has_owner(const struct op *op)
{
	return !(__atomic_load_n(&op->own.word, __ATOMIC_ACQUIRE) & WORD_LEFT);
}

/* Lock op for a change, and its home (*h is NULL or locked before) if it is watched. */
static uint32_t change_begin(struct op *op, struct home **h)
{
	uint32_t word;

	for (;;) {
		word = __atomic_load_n(&op->own.word, __ATOMIC_RELAXED);
		if (unlikely(word & WORD_WATCHED && !*h)) {
			*h = home_of(op);
			lock_take(&(*h)->lock);
		}
		word = word_lock(op, WORD_WRITE);
		if (likely(!(word & WORD_WATCHED) || *h))
			return word;
		word_unlock(op, word);
	}
}

static int change(struct op *op, uint32_t what, int64_t value, uint64_t total)
{
	int64_t now = op->flags & OP_TIMED ? aop_now() : 0;
	struct node *fired = NULL;
	struct home *h = NULL;
	struct outcome out;
	bool alone = false, watched;
	uint32_t word, to;

	word = change_begin(op, &h);
	out = apply(op, word, what, value, total, now, true);
	if (unlikely(!out.changed && !out.leaves)) {
		word_unlock(op, word);
		goto out;
	}
	to = out.to.word | (word & WORD_KEPT);
	if (word & WORD_WAITERS)
		fired = nodes_take(op, out.to, &to);
	if (out.leaves) {
		if (unlikely(word & WORD_ON_ASKED))
			forget_asked(h, op);
		to |= WORD_LEFT;
		alone = word & WORD_DROPPED;
	}
	/* Looked at before, since who sees that it is over may use the struct again. */
	watched = h && op->watches;
	/* The last touch, unless it is watched, or ours alone. */
	word_unlock(op, to);
	if (fired)
		nodes_wake(fired);
	if (watched)
		deliver(h, op, true);
	if (h && alone)
		frame_forget_op(h, op);
out:
	if (h)
		lock_drop(&h->lock);
	if (alone)
		freed(op);
	return out.ret;
}

void local_expire(struct op *op)
{
	change(op, DO_EXPIRE, 0, 0);
}

/* True: op was ended here, and callbacks may have given it back. */
static inline bool look_at_clock(struct op *op)
{
	if (likely(!is_late(op)))
		return false;
	local_expire(op);
	return true;
}

/* The owner comes by.  False: he was called back from here, and has let go. */
static bool owner_looks_at_clock(struct op *op)
{
	struct home *h = home_of(op);
	struct frame frame;
	bool still;

	lock_take(&h->lock);
	frame_enter(h, &frame, NULL, NULL);
	frame.alive = op;
	lock_drop(&h->lock);
	look_at_clock(op);
	lock_take(&h->lock);
	frame_leave(h, &frame);
	still = frame.alive && local_has_owner(op);
	lock_drop(&h->lock);
	return still;
}

static int local_signal(struct op *op, uint32_t what, int64_t value, uint64_t total)
{
	const bool owned = local_has_owner(op);
	int ret;

	assert_that(owned, "an op is driven that its owner has let go of");
	if (unlikely(!owned))
		return -EPERM;
	if (unlikely(op->flags & (OP_DEADLINE | OP_ALARM))) {
		if (op->flags & OP_DEADLINE && !owner_looks_at_clock(op))
			return -EALREADY;
		if (op->flags & OP_ALARM && what == AOP_SIGNAL_START) {
			/* A cancel may come until then; it must not let go with an alarm. */
			ret = change(op, DO_ACCEPT, 0, 0);
			if (ret != -EALREADY)
				return ret;
		}
		if (op->flags & OP_ALARM && what != AOP_SIGNAL_PROGRESS && what != DO_ACCEPT)
			op->alarm->disarm(op->alarm);
	}
	return change(op, what, value, total);
}

static int local_cancel(struct op *op, int reason)
{
	if (aop_is_final(to_aop(op)))
		return AOP_TOO_LATE;
	if (unlikely(look_at_clock(op)))
		return AOP_TOO_LATE;
	return change(op, DO_CANCEL, reason ? reason : -ECANCELED, 0);
}

static int local_watch(struct op *op, struct watch *w)
{
	const uint32_t bits = WORD_WATCHED | (w->kind == WATCH_ASKED ? WORD_ON_ASKED : 0);
	struct home *h = home_of(op);
	uint32_t word;
	bool ended;
	int ret;

	if (w->kind == WATCH_ASKED && !local_has_owner(op))
		return -EPERM;
	if (unlikely(!atomic_load_explicit(&fork_handled, memory_order_relaxed))) {
		ret = fork_handle();
		if (ret)
			return ret;
	}
	ended = is_late(op);
	lock_take(&h->lock);
	w->home = h;
	watch_link(op, w);
	/* Changes that are made without the home's lock come before this, and are seen. */
	if ((__atomic_load_n(&op->own.word, __ATOMIC_RELAXED) & bits) != bits) {
		word = word_lock(op, 0);
		word_unlock(op, word | bits);
	}
	if (likely(!ended))
		watch_new(h, op, w, true);
	lock_drop(&h->lock);
	/* Last: a callback may give op back, and w with it. */
	if (unlikely(ended))
		local_expire(op);
	return 0;
}

static int local_unwatch(struct watch *w, bool wait)
{
	return watch_remove(w->home, w, wait, true);
}

static void local_run(struct watch *w)
{
	watch_run(w->home, w, true);
}

static int last_drop(struct op *op)
{
	struct node *fired = NULL;
	struct home *h = NULL;
	struct outcome out;
	struct frame frame;
	uint32_t word, to;

	/* Acquire: with LEFT, all that the owner did. */
	word = __atomic_load_n(&op->own.word, __ATOMIC_ACQUIRE);
	if (likely((word & (WORD_LOCK | WORD_WATCHED | WORD_LEFT)) == WORD_LEFT)) {
		atomic_store_explicit(&op->sides, 0, memory_order_relaxed);
		freed(op);
		return 1;
	}
	if (word & WORD_WATCHED) {
		h = home_of(op);
		lock_take(&h->lock);
		forget_watchers(h, op, true);
	}
	word = change_begin(op, &h);
	atomic_store_explicit(&op->sides, 0, memory_order_relaxed);
	if (word & WORD_LEFT) {
		word_unlock(op, word);
		if (h) {
			/* From inside a callback: the groups have not been told yet. */
			deliver(h, op, true);
			frame_forget_op(h, op);
			lock_drop(&h->lock);
		}
		freed(op);
		return 1;
	}
	out.changed = false;
	if (!h || !grouped(op))
		out = apply(op, word, DO_ABANDON, 0, 0, 0, true);
	to = word;
	if (out.changed)
		to = out.to.word | (word & WORD_KEPT);
	to |= WORD_DROPPED;
	if (out.changed && word & WORD_WAITERS)
		fired = nodes_take(op, out.to, &to);
	word_unlock(op, to);
	/* From here on it is the owner's, who may end it and give it back. */
	if (fired)
		nodes_wake(fired);
	if (!h)
		return 0;
	frame_enter(h, &frame, NULL, NULL);
	frame.alive = op;
	if (out.changed)
		deliver(h, op, true);
	frame_leave(h, &frame);
	lock_drop(&h->lock);
	/* The owner, called from here, may have ended it. */
	return !frame.alive && frame.by == self();
}

bool local_is_dropped(struct op *op)
{
	/* Pairs with last_drop(), which does not touch a detached op after that. */
	return __atomic_load_n(&op->own.word, __ATOMIC_ACQUIRE) & WORD_DROPPED;
}

static int local_drop(struct op *op)
{
	uint32_t sides = atomic_load_explicit(&op->sides, memory_order_acquire);

	assert_that(sides >= SIDE_WATCHER, "an op is dropped that nobody holds");
	do {
		if (unlikely(sides < SIDE_WATCHER))
			return -EINVAL;
		if (sides < 2 * SIDE_WATCHER)
			return last_drop(op);
	} while (!atomic_compare_exchange_weak_explicit(&op->sides, &sides,
							sides - SIDE_WATCHER,
							memory_order_acq_rel,
							memory_order_acquire));
	return 0;
}

const struct scope scope_local = {
	.name = "local",
	.signal = local_signal,
	.cancel = local_cancel,
	.wait = inproc_wait,
	.watch = local_watch,
	.unwatch = local_unwatch,
	.run = local_run,
	.drop = local_drop,
};
