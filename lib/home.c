// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * home.c - who runs which callback, and how to wait for it
 *
 * A thread that is about to run a callback leaves a frame in the list of the home
 * that it runs it from.  The frame, not the watch, says that the callback runs, so
 * that the callback may free the watch.  A frame is on its thread's stack, and so
 * nobody sleeps on it: who waits for one sleeps on the home's count of frames that
 * ended, and looks again.
 *
 * All of this is called with the home's lock held, which protects the frames.
 */
#include <stddef.h>

#include "internal.h"

TLS char this_thread;

void frame_leave_slow(struct home *h, struct frame *f)
{
	struct frame **p = &h->frames;

	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	if (h->waiters) {
		atomic_fetch_add_explicit(&h->ended, 1, memory_order_relaxed);
		futex_wake(&h->ended, INT32_MAX);
	}
}

struct frame *frame_find(struct home *h, const struct watch *w)
{
	struct frame *f = h->frames;

	/* After a last call there may be another watch where that one was. */
	while (f && (f->w != w || f->last))
		f = f->next;
	return f;
}

/*
 * w is not to be run any more.  A callback that unwatches itself goes on, and its
 * frame no longer speaks of w.  Returns whether another thread runs it.
 */
bool frame_forget(struct home *h, const struct watch *w)
{
	bool elsewhere = false;
	struct frame *f;

	for (f = h->frames; f; f = f->next) {
		if (f->w != w)
			continue;
		f->again = false;
		if (f->thread == self())
			f->w = NULL;
		else
			elsewhere = true;
	}
	return elsewhere;
}

/* Until some frame has ended; the lock is dropped meanwhile. */
static void home_sleep(struct home *h)
{
	uint32_t seen = atomic_load_explicit(&h->ended, memory_order_relaxed);

	h->waiters++;
	lock_drop(&h->lock);
	futex_wait(&h->ended, seen);
	lock_take(&h->lock);
	h->waiters--;
}

/*
 * Until no other thread runs w; the lock is dropped meanwhile.  Only compares w:
 * the callback may free it.
 */
void frame_wait(struct home *h, const struct watch *w)
{
	struct frame *f = h->frames;

	while (f) {
		if (f->w == w && f->thread != self()) {
			home_sleep(h);
			f = h->frames;
		} else {
			f = f->next;
		}
	}
}

/* Callbacks that were the last ones are no longer in the op's list. */
void frame_wait_op(struct home *h, const struct op *op)
{
	struct frame *f = h->frames;

	while (f) {
		if (f->op == op && f->thread != self()) {
			home_sleep(h);
			f = h->frames;
			continue;
		}
		if (f->op == op)
			f->op = NULL;
		f = f->next;
	}
}

void frame_forget_op(struct home *h, const struct op *op)
{
	struct frame *f;

	for (f = h->frames; f; f = f->next)
		if (f->alive == op) {
			f->alive = NULL;
			f->by = self();
		}
}

/* A fork has happened: only this thread has come along. */
void home_forked(struct home *h)
{
	struct frame **p = &h->frames;

	while (*p) {
		if ((*p)->thread == self())
			p = &(*p)->next;
		else
			*p = (*p)->next;
	}
	h->waiters = 0;
}
