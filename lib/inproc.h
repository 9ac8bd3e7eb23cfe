/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inproc.h - what the two scopes of this process share
 *
 * private.c and local.c are the same state machine, once with plain loads and stores
 * and once with a lock in the op's word; so it stands here, as inline functions that
 * are told which (`local`, always a constant).
 *
 * A change is made in three steps: change_begin() locks, apply() writes the status,
 * change_end() publishes it, wakes, and calls back.  After the last one the op may be
 * gone, unless the caller knows better.
 */
#ifndef AOP_INPROC_H
#define AOP_INPROC_H

#include <errno.h>

#include "internal.h"

/* What can happen to an op besides enum aop_signal. */
enum {
	DO_FAIL_BY_SYSTEM = AOP_SIGNAL_LET_GO + 1, /* the owner, with what the system did */
	DO_ACCEPT,				/* start, but do not let go of a final one */
	DO_CANCEL,				/* value: the reason */
	DO_EXPIRE,				/* its deadline */
	DO_ABANDON,				/* the last watcher lets go */
};

#define AOP_F(word_flags)	((uint32_t)(word_flags) << 8)

static inline struct aop_status word_of(uint32_t word)
{
	struct aop_status s;

	s.word = word;
	return s;
}

/* Written for readers that may look at any time: aop_try_status(). */
#define put(field, value)	__atomic_store_n(&(field), value, __ATOMIC_RELAXED)

/*
 * The writer's side of aop_try_status(), between change_begin() and change_end().
 * On x86 nothing of this is an instruction of its own.
 */
static inline void write_begin(struct op *op, const bool local)
{
	put(op->own.seq, op->own.seq + 1);
	/* Pairs with the reader's last barrier: who sees the rest sees an odd seq. */
	if (local)
		atomic_thread_fence(memory_order_release);
	else
		atomic_signal_fence(memory_order_release);
}

static inline void write_end(struct op *op, const bool local)
{
	/* Pairs with the reader's first load. */
	if (local)
		__atomic_store_n(&op->own.seq, op->own.seq + 1, __ATOMIC_RELEASE);
	atomic_signal_fence(memory_order_release);
}

/* What a change makes of op. */
struct outcome {
	int ret;
	bool changed;
	bool leaves;			/* the owner lets go */
	struct aop_status to;		/* its new word */
};

static inline void move(struct op *op, struct outcome *out, uint8_t state, uint8_t flags,
			int64_t result)
{
	put(op->own.result, result);
	if (state == AOP_CANCELLED)
		put(op->own.reason, (int32_t)result);
	out->to.state = state;
	out->to.flags |= flags;
}

/*
 * Do `what` to op, whose word is now `word`: fill in all but the word.  Legal are the
 * moves of aop_move_is_legal(), and the first to end an op wins.
 */
static inline struct outcome apply(struct op *op, uint32_t word, uint32_t what, int64_t value,
				   uint64_t total, uint64_t now, const bool local)
{
	struct outcome out = { .changed = true };
	uint8_t state;
	bool final;

	out.to = word_of(word);
	out.to.pad = 0;
	state = out.to.state;
	final = !aop_move_is_legal(state, AOP_FAILED);

	if (what >= AOP_SIGNAL_DONE && what <= DO_FAIL_BY_SYSTEM) {
		out.to.flags |= AOP_F_OVER;
		out.leaves = true;
	}
	if (unlikely(final)) {
		switch (what) {
		case AOP_SIGNAL_START:
			/* It lets go: to say so to a caller who then ends is no use. */
			out.to.flags |= AOP_F_OVER;
			out.leaves = true;
			out.ret = -EALREADY;
			break;
		case AOP_SIGNAL_DONE:
		case AOP_SIGNAL_FAIL:
		case AOP_SIGNAL_CANCELLED:
		case DO_FAIL_BY_SYSTEM:
			out.ret = -EALREADY;
			break;
		case AOP_SIGNAL_LET_GO:
			break;
		case DO_CANCEL:
			out.ret = AOP_TOO_LATE;
			out.changed = false;
			return out;
		default:
			out.ret = -EALREADY;
			out.changed = false;
			return out;
		}
		/* Created final it was over before, and nothing changes. */
		out.changed = !(word_of(word).flags & AOP_F_OVER);
		if (likely(out.changed)) {
			write_begin(op, local);
			write_end(op, local);
		}
		return out;
	}
	switch (what) {
	case AOP_SIGNAL_START:
	case DO_ACCEPT:
		if (!aop_move_is_legal(state, AOP_RUNNING) || state == AOP_RUNNING) {
			out.ret = -EINVAL;
			out.changed = false;
			return out;
		}
		break;
	case DO_CANCEL:
		if (state != AOP_PENDING && out.to.flags & AOP_F_ASKED) {
			out.ret = AOP_ASKED;
			out.changed = false;
			return out;
		}
		break;
	case DO_ABANDON:
		if (op->flags & OP_DETACHED) {
			out.changed = false;
			return out;
		}
		break;
	}

	write_begin(op, local);
	switch (what) {
	case AOP_SIGNAL_START:
	case DO_ACCEPT:
		out.to.state = AOP_RUNNING;
		break;
	case AOP_SIGNAL_PROGRESS:
		put(op->own.done, (uint64_t)value);
		put(op->own.total, total);
		break;
	case AOP_SIGNAL_DONE:
		move(op, &out, AOP_DONE, 0, value);
		break;
	case AOP_SIGNAL_FAIL:
		move(op, &out, AOP_FAILED, 0, value);
		break;
	case AOP_SIGNAL_CANCELLED:
		if (!value)
			value = out.to.flags & AOP_F_ASKED ? op->own.reason : -ECANCELED;
		move(op, &out, AOP_CANCELLED, 0, value);
		break;
	case AOP_SIGNAL_LET_GO:
		move(op, &out, AOP_FAILED, AOP_F_SYSTEM, -EOWNERDEAD);
		break;
	case DO_FAIL_BY_SYSTEM:
		move(op, &out, AOP_FAILED, AOP_F_SYSTEM, value);
		break;
	case DO_CANCEL:
		if (state == AOP_PENDING) {
			move(op, &out, AOP_CANCELLED, AOP_F_ASKED, value);
			out.ret = AOP_STOPPED;
		} else {
			put(op->own.reason, (int32_t)value);
			out.to.flags |= AOP_F_ASKED;
			out.ret = AOP_ASKED;
		}
		break;
	case DO_EXPIRE:
		move(op, &out, AOP_FAILED, AOP_F_SYSTEM, -ETIMEDOUT);
		break;
	case DO_ABANDON:
		out.to.flags |= AOP_F_ORPHAN;
		break;
	}
	/* Of the last change of state or progress. */
	if (unlikely(op->flags & OP_TIMED) && (what < DO_CANCEL || out.to.state >= AOP_DONE))
		put(op->own.time, now);
	write_end(op, local);
	return out;
}

/* ---- calling back ------------------------------------------------------------ */

static inline void home_lock(struct home *h, const bool local)
{
	if (local)
		lock_take(&h->lock);
}

static inline void home_unlock(struct home *h, const bool local)
{
	if (local)
		lock_drop(&h->lock);
}

static inline void status_now(const struct op *op, struct aop_status *s, const bool local)
{
	if (!local) {
		*s = op->own;
		return;
	}
	/* No change can be going on, but a waiter may come or go. */
	while (!aop_try_status(to_aop(op), s))
		;
}

/*
 * Run w, which is due with s; the home is locked.  Returns whether op is to be looked
 * at again: it may be gone.
 *
 * Whoever was the only watch of a final op is out of its list now; so nothing of op
 * is touched after its callback, which may have given it back.
 */
static inline bool watch_call(struct home *h, struct op *op, struct watch *w,
			      struct aop_status *s, const bool local)
{
	struct frame frame, *running;
	struct aop_exec *x = w->exec;
	bool done;

	if (x) {
		if (exec_push(x, w) != EXEC_SUBMIT)
			return true;
		frame_enter(h, &frame, w, watcher(w));
		frame.alive = op;
		frame.last = true;	/* another may be where w was, and be due */
		home_unlock(h, local);
		exec_submit(x);		/* w may have been run, and be gone */
		home_lock(h, local);
		frame_leave(h, &frame);
		return frame.alive;
	}
	running = unlikely(h->frames) ? frame_find(h, w) : NULL;
	if (running) {			/* who runs it will see */
		running->again = true;
		return true;
	}
	do {
		done = watch_take(w, s) && !op->watches;
		frame_enter(h, &frame, w, watcher(w));
		frame.alive = op;
		frame.last = s->state >= AOP_DONE;
		home_unlock(h, local);
		w->fn((struct aop_watch *)w, s);
		home_lock(h, local);
		frame_leave(h, &frame);
		if (done || !frame.alive)
			return false;
		if (likely(!frame.again))
			return true;
		status_now(op, s, local);
	} while (watch_due(w, s));
	return true;
}

/* op has changed: call back what is due.  The home is locked, also afterwards. */
static inline void deliver(struct home *h, struct op *op, const bool local)
{
	struct aop_status s;
	struct watch *w;
	uint32_t left = 0;

	for (w = op->watches; w; w = w->next)
		left++;
	/* Each once, the first one behind the others: callbacks change the list. */
	while (left-- && (w = op->watches)) {
		if (w->next) {
			watch_unlink(op, w);
			watch_link(op, w);
		}
		status_now(op, &s, local);
		if (watch_due(w, &s) && !watch_call(h, op, w, &s, local))
			return;
	}
}

/* w was attached just now: is it due already? */
static inline void watch_new(struct home *h, struct op *op, struct watch *w, const bool local)
{
	struct aop_status s;

	status_now(op, &s, local);
	/* It is told of changes from here on; of the end and of reasons in any case. */
	if (w->kind == WATCH_CHANGES)
		w->seq = s.seq;
	if (unlikely(watch_due(w, &s)))
		watch_call(h, op, w, &s, local);
}

/* With the home locked.  Does another thread run w? */
static inline bool watch_forget(struct home *h, struct watch *w)
{
	bool elsewhere;

	if (w->attached)
		watch_unlink(w->op, w);
	elsewhere = unlikely(h->frames) && frame_forget(h, w);
	if (w->exec)
		elsewhere |= exec_forget(w->exec, w);
	return elsewhere;
}

static inline int watch_remove(struct home *h, struct watch *w, bool wait, const bool local)
{
	struct aop_exec *x = w->exec;
	bool busy;

	home_lock(h, local);
	busy = watch_forget(h, w);
	if (local && busy && wait)
		frame_wait(h, w);
	home_unlock(h, local);
	if (busy && !wait)
		return -EBUSY;
	if (busy && x)
		exec_wait(x, w);
	return 0;
}

/* The watches of the owner are forgotten when he lets go. */
static inline void forget_asked(struct home *h, struct op *op)
{
	struct watch *w, *next;

	for (w = op->watches; w; w = next) {
		next = w->next;
		if (w->kind == WATCH_ASKED)
			watch_forget(h, w);
	}
}

/*
 * Those of the watchers, when the last one lets go.  The home is locked.  Not those of
 * groups: a member goes on without its watchers.
 */
static inline void forget_watchers(struct home *h, struct op *op, const bool local)
{
	struct aop_exec *x;
	struct watch *w;

	for (;;) {
		for (w = op->watches; w && w->kind >= WATCH_ASKED; w = w->next)
			;
		if (!w)
			break;
		x = w->exec;
		if (!watch_forget(h, w) || !x)
			continue;
		/* It may be on its way from the executor's queue to op. */
		home_unlock(h, local);
		exec_wait(x, w);
		home_lock(h, local);
	}
	if (local && h->frames)
		frame_wait_op(h, op);
}

/* Does a group watch op?  It counts as one who does.  The home is locked. */
static inline bool grouped(const struct op *op)
{
	const struct watch *w;

	for (w = op->watches; w; w = w->next)
		if (w->kind == WATCH_FINAL)
			return true;
	return false;
}

/* On an executor's thread, which has a frame for w in the executor's home. */
static inline void watch_run(struct home *h, struct watch *w, const bool local)
{
	struct aop_status s;
	struct frame frame;

	home_lock(h, local);
	if (w->attached) {
		status_now(w->op, &s, local);
		if (watch_due(w, &s)) {
			frame_enter(h, &frame, w, watcher(w));
			frame.last = watch_take(w, &s);
			if (frame.last)
				exec_last(w->exec, w);
			home_unlock(h, local);
			w->fn((struct aop_watch *)w, &s);
			home_lock(h, local);
			frame_leave(h, &frame);
		}
	}
	home_unlock(h, local);
}

/* ---- time ----------------------------------------------------------------------- */

#define OP_CLOCK	(OP_TIMED | OP_DEADLINE | OP_ALARM)

static inline bool late(const struct op *op, int64_t now)
{
	return op->flags & OP_DEADLINE && now >= op->deadline;
}

/* Is it to be ended by whoever comes by? */
static inline bool is_late(const struct op *op)
{
	return unlikely(op->flags & OP_DEADLINE) && !aop_is_final(to_aop(op)) &&
	       late(op, aop_now());
}

#endif /* AOP_INPROC_H */
