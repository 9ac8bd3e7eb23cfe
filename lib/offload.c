// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * offload.c - the calls on files that only block, made by a pool for a loop
 *
 * An io goes to the executor of the loop's pool as a piece of work, and comes back on
 * l->returned, of which the loop is told by one post, however many come back at once.  In
 * between the io belongs to the pool's thread, but for io->state, by which both decide
 * whether the call is made: who takes it from IO_QUEUED first.  A call that has begun
 * cannot be stopped; its buffers are in use until it is back.
 *
 * A way of its own, since a loop that is being closed must not look at what else was
 * posted, which may be gone: offload_take() forgets all that, l->take_returned with it, and
 * then looks at l->returned.  A thread that finds l->take_returned posted already, and
 * leaves it at that, has put its io there before: as with any other post (work.c).
 */
#include <errno.h>
#include <sched.h>

#include "loop.h"

static uint8_t state_of(const struct io *io)
{
	return __atomic_load_n(&io->state, __ATOMIC_RELAXED);
}

static bool leave_queue(struct io *io, uint8_t to)
{
	uint8_t from = IO_QUEUED;

	/* No more than who decides: the work's way there and back orders the rest. */
	return __atomic_compare_exchange_n(&io->state, &from, to, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

void offload_returned(struct aop_work *w)
{
	struct aop_loop *l = container_of(w, struct aop_loop, take_returned);
	struct aop_work *next;
	struct io *io;

	/* Acquire: what the call has written.  Pairs with make_call(). */
	w = atomic_exchange_explicit(&l->returned, NULL, memory_order_acquire);
	for (; w; w = next) {
		next = w->next;
		io = container_of(w, struct io, work);
		io->state = 0;
		l->engine->returned(l, io, io->result);
	}
}

/* By a thread of the pool. */
static void make_call(struct aop_work *w)
{
	struct io *io = container_of(w, struct io, work);
	struct aop_loop *l = io->loop;

	io->result = leave_queue(io, IO_RUNNING) ? io_block(io) : -ECANCELED;
	w->next = atomic_load_explicit(&l->returned, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&l->returned, &w->next, w,
						      memory_order_release,
						      memory_order_relaxed))
		;
	/* From here on the io may be gone, and the loop waits for us before it is. */
	aop_loop_post(l, &l->take_returned);
	/* The last touch: pairs with the load in offload_close(). */
	atomic_fetch_add_explicit(&l->nr_returned, 1, memory_order_release);
}

int offload(struct io *io)
{
	struct aop_loop *l = io->loop;
	struct aop_exec *x;
	int ret;

	if (!l->pool) {
		ret = aop_pool_open(&l->pool, NULL);
		if (ret)
			return ret;
		l->own_pool = true;
	}
	x = aop_pool_exec(l->pool);
	if (unlikely(exec_foreign(x)))
		return -EIO;
	io->state = IO_QUEUED;
	io->work.next = NULL;
	io->work.run = make_call;
	l->nr_offloaded++;
	x->submit(x, &io->work);
	return 0;
}

bool offloaded(const struct io *io)
{
	return state_of(io) >= IO_QUEUED;
}

bool offload_cancel(struct io *io)
{
	if (!offloaded(io))
		return false;
	leave_queue(io, IO_STOPPED);
	return true;
}

void offload_take(struct aop_loop *l)
{
	work_forget_posted(l);
	work_reset(&l->take_returned);
	offload_returned(&l->take_returned);
}

void offload_close(struct aop_loop *l)
{
	/* Who has given the last one back may not have told us yet. */
	while (atomic_load_explicit(&l->nr_returned, memory_order_acquire) != l->nr_offloaded)
		sched_yield();
	if (l->own_pool)
		aop_pool_close(l->pool);
}
