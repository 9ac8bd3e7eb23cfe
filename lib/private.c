// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * private.c - the scope of ops that one thread uses
 *
 * Plain loads and stores: no atomics, no locks, no system calls.  All callbacks come
 * from the calls that make a change, on this thread; who runs one is known from the
 * frames in a home of the thread's own, whose lock is never taken.
 *
 * A signal handler of the thread may look: seq is odd while the rest is written.
 */
#include "inproc.h"
#include "private.h"

TLS struct home private_frames;
struct home private_home = { .scope = &scope_private };

static inline void check_thread(const struct op *op)
{
	assert_that(op->thread == self(),
		    "a private op is used by another thread: create it with AOP_LOCAL");
}

static inline uint32_t sides_of(const struct op *op)
{
	return atomic_load_explicit(&op->sides, memory_order_relaxed);
}

static inline void set_sides(struct op *op, uint32_t sides)
{
	atomic_store_explicit(&op->sides, sides, memory_order_relaxed);
}

/* Both sides have let go. */
static void freed(struct op *op)
{
	void (*release)(struct aop *op) = op->release;

	if (unlikely(private_frames.frames))
		frame_forget_op(&private_frames, op);
	op_gone(op);
	if (release)
		release(to_aop(op));
}

static int change(struct op *op, uint32_t what, int64_t value, uint64_t total)
{
	int64_t now = op->flags & OP_TIMED ? aop_now() : 0;
	struct outcome out;

	out = apply(op, op->own.word, what, value, total, now, false);
	if (!out.changed)
		return out.ret;
	put(op->own.word, out.to.word);
	atomic_signal_fence(memory_order_release);
	put(op->own.seq, op->own.seq + 1);
	if (op->watches)
		deliver(&private_frames, op, false);
	return out.ret;
}

void private_expire(struct op *op)
{
	change(op, DO_EXPIRE, 0, 0);
}

/* True: op was ended here, and callbacks may have given it back. */
static inline bool look_at_clock(struct op *op)
{
	if (likely(!is_late(op)))
		return false;
	private_expire(op);
	return true;
}

/* The owner comes by.  False: he was called back from here, and has let go. */
static bool owner_looks_at_clock(struct op *op)
{
	struct frame frame;

	frame_enter(&private_frames, &frame, NULL, NULL);
	frame.alive = op;
	look_at_clock(op);
	frame_leave(&private_frames, &frame);
	return frame.alive && sides_of(op) & SIDE_OWNER;
}

static int private_signal(struct op *op, uint32_t what, int64_t value, uint64_t total)
{
	uint32_t sides;
	bool ends;
	int ret;

	check_thread(op);
	assert_that(sides_of(op) & SIDE_OWNER, "an op is driven that its owner has let go of");
	if (unlikely(!(sides_of(op) & SIDE_OWNER)))
		return -EPERM;
	if (unlikely(op->flags & OP_DEADLINE) && !owner_looks_at_clock(op))
		return -EALREADY;
	ends = (what >= AOP_SIGNAL_DONE && what != DO_ACCEPT) ||
	       (what == AOP_SIGNAL_START && aop_is_final(to_aop(op)));
	if (!ends)
		return change(op, what, value, total);

	if (unlikely(op->flags & OP_ALARM))
		op->alarm->disarm(op->alarm);
	if (unlikely(op->flags & OP_ON_ASKED))
		forget_asked(&private_frames, op);
	sides = sides_of(op) & ~SIDE_OWNER;
	set_sides(op, sides);
	if (sides)
		return change(op, what, value, total);	/* op may be gone now */
	ret = change(op, what, value, total);
	freed(op);
	return ret;
}

static int private_cancel(struct op *op, int reason)
{
	check_thread(op);
	if (unlikely(look_at_clock(op)))
		return AOP_TOO_LATE;
	return change(op, DO_CANCEL, reason ? reason : -ECANCELED, 0);
}

static int private_watch(struct op *op, struct watch *w)
{
	check_thread(op);
	if (w->kind == WATCH_ASKED) {
		if (!(sides_of(op) & SIDE_OWNER))
			return -EPERM;
		op->flags |= OP_ON_ASKED;
	}
	w->home = &private_home;
	watch_link(op, w);
	/* Last: a callback may give op back, and w with it. */
	if (unlikely(is_late(op)))
		private_expire(op);
	else
		watch_new(&private_frames, op, w, false);
	return 0;
}

static int private_unwatch(struct watch *w, bool wait)
{
	return watch_remove(&private_frames, w, wait, false);
}

static void private_run(struct watch *w)
{
	watch_run(&private_frames, w, false);
}

/* Tell the owner, who may end it at once: is the struct free then? */
static int abandon(struct op *op)
{
	struct frame frame;

	if (!op->watches) {
		change(op, DO_ABANDON, 0, 0);
		return 0;
	}
	if (grouped(op))
		return 0;
	frame_enter(&private_frames, &frame, NULL, NULL);
	frame.alive = op;
	change(op, DO_ABANDON, 0, 0);
	frame_leave(&private_frames, &frame);
	return !frame.alive;
}

static int private_drop(struct op *op)
{
	uint32_t sides = sides_of(op);

	check_thread(op);
	assert_that(sides >= SIDE_WATCHER, "an op is dropped that nobody holds");
	if (unlikely(sides < SIDE_WATCHER))
		return -EINVAL;
	sides -= SIDE_WATCHER;
	if (sides >= SIDE_WATCHER) {
		set_sides(op, sides);
		return 0;
	}
	if (op->watches)
		forget_watchers(&private_frames, op, false);
	set_sides(op, sides);
	if (sides)
		return abandon(op);
	/* From inside the callback of one watch: the groups have not been told yet. */
	if (unlikely(op->watches))
		deliver(&private_frames, op, false);
	freed(op);
	return 1;
}

const struct scope scope_private = {
	.name = "private",
	.signal = private_signal,
	.cancel = private_cancel,
	.wait = inproc_wait,
	.watch = private_watch,
	.unwatch = private_unwatch,
	.run = private_run,
	.drop = private_drop,
};

/* ---- an op of which nothing is known yet -------------------------------------- */

/* It is to be like every other from now on: fill in what private.h has left out. */
const struct scope *private_settle(struct op *op)
{
	struct watch *w = op->watches;

	op->scope = &scope_private;
	if (ASSERTS)
		op->thread = self();
	if (w) {
		w->exec = NULL;
		w->home = &private_home;
		w->next = NULL;
		w->seq = op->own.seq;	/* nothing has changed since it was attached */
	}
	return &scope_private;
}
