// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * offload.c - the calls on files that only block, made by a pool for a loop
 *
 * An io goes to the executor of the loop's pool as a piece of work, and the same piece of
 * work comes back as a post.  In between the io belongs to the pool's thread, but for
 * io->state, by which both decide whether the call is made: who takes it from IO_QUEUED
 * first.  A call that has begun cannot be stopped; its buffers are in use until it is back.
 */
#include <errno.h>

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

static void came_back(struct aop_work *w)
{
	struct io *io = container_of(w, struct io, work);

	io->state = 0;
	io->loop->engine->returned(io->loop, io, io->result);
}

/* By a thread of the pool. */
static void make_call(struct aop_work *w)
{
	struct io *io = container_of(w, struct io, work);

	io->result = leave_queue(io, IO_RUNNING) ? io_block(io) : -ECANCELED;
	w->next = NULL;
	w->run = came_back;
	aop_loop_post(io->loop, w);
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
	work_run_posted_if(l, came_back);
}

void offload_close(struct aop_loop *l)
{
	if (l->own_pool)
		aop_pool_close(l->pool);
}
