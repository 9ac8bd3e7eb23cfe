// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * dispatch.c - a context's ready ring, and calling back what is due
 *
 * The kernel queues the slot of each handle that changed; <linux/aop.h> has the
 * protocol.  No system call is made to take what is queued.
 *
 * All of it runs with ctx->home.lock held, but for the callbacks.  Several threads
 * may dispatch; each takes a batch of its own.  What is called back is decided at
 * the op, from the status of now: a watch is due if that differs from what it was
 * told last.  So it does not matter who takes which index, or that a slot has gone
 * to another op since it was queued: the table says whose it is now, and the
 * generation in the status says whether slot and table speak of the same.
 *
 * After each callback everything is looked up again, since it may have ended the
 * op, the watch, or the other watches.
 */
#include <errno.h>

#include "shared.h"

#define BATCH		64	/* indexes taken at once */
#define LATER		16	/* handles given back at once */

/* What callbacks of the dispatch that this thread is in drop, when it is final. */
struct reap {
	struct reap *up;
	struct aop_ctx *ctx;
	uint32_t nr;
	struct aop_detach_entry later[LATER];
};

static TLS struct reap *reaping;

static void reap_submit(struct reap *r)
{
	if (r->nr)
		kernel_batch(r->ctx, AOP_IOC_DETACH, r->later, sizeof(r->later[0]), r->nr);
	r->nr = 0;
}

/*
 * Giving back a final op can be told from doing so a little later only by what it
 * costs; so the callbacks of one dispatch share the system call.
 */
void dispatch_detach(struct aop_ctx *ctx, uint64_t handle, uint32_t rights, bool final)
{
	struct reap *r = reaping;

	if (!final || !r || r->ctx != ctx) {
		kernel_detach(ctx, handle, rights);
		return;
	}
	if (r->nr == LATER)
		reap_submit(r);
	r->later[r->nr++] = (struct aop_detach_entry){ .handle = handle, .rights = rights };
}

/* The status of op, if its slot still is its own. */
static inline bool op_status(const struct op *op, struct aop_status *s)
{
	while (unlikely(!aop_try_status(to_aop(op), s)))
		;
	return s->gen == AOP_HANDLE_GEN(op->handle);
}

/* Run w, or have it run; it is due with s.  Has it become due again meanwhile? */
static bool watch_call(struct aop_ctx *ctx, struct watch *w, const struct aop_status *s)
{
	struct frame frame, *running;
	struct aop_exec *x = w->exec;
	bool last = false;

	if (w->next) {
		/* Behind the others: they are due too, and w may still be afterwards. */
		watch_unlink(w->op, w);
		watch_link(w->op, w);
	}
	if (!x) {
		running = ctx->home.frames ? frame_find(&ctx->home, w) : NULL;
		if (unlikely(running)) {	/* who runs it will see */
			running->again = true;
			return false;
		}
		last = watch_take(w, s);
	} else if (exec_push(x, w) != EXEC_SUBMIT) {
		return false;
	}

	/*
	 * Submitting is covered by a frame too, since x must outlast it; w may have
	 * been run by then, and be gone.
	 */
	frame_enter(&ctx->home, &frame, w, watcher(w));
	frame.last = last || x;
	lock_drop(&ctx->home.lock);
	if (x)
		exec_submit(x);
	else
		w->fn((struct aop_watch *)w, s);
	lock_take(&ctx->home.lock);
	frame_leave(&ctx->home, &frame);
	return frame.again;
}

/*
 * op was queued for what nobody watches (any more): once is enough.  A failure leaves
 * it as it was.
 */
static void narrow(struct aop_ctx *ctx, struct op *op)
{
	struct aop_modify_entry e = { .handle = op->handle, .mask = op->mask & DEFAULT_MASK };
	struct aop_status s;
	struct watch *w;

	s.word = aop_word_(to_aop(op));
	for (w = op->watches; w; w = w->next)
		e.mask |= watch_wants(w);
	if (!(op->mask & ~e.mask) || s.state >= AOP_DONE)
		return;
	if (!kernel_call(ctx, AOP_IOC_MODIFY_ONE, &e))
		op->mask = e.mask;
}

/* What slot `index` holds now: call back what is due. */
static void deliver(struct aop_ctx *ctx, uint32_t index)
{
	struct aop_status s;
	struct watch *w;
	struct op *op;
	uint32_t left;

	/* Pairs with op_bind(). */
	op = atomic_load_explicit(&ctx->table[index], memory_order_acquire);
	if (!op)
		return;
	if (!op->watches) {
		narrow(ctx, op);
		return;
	}
	/* At most one call for each, so that an op that never rests cannot hold us. */
	for (left = 1, w = op->watches->next; w; w = w->next)
		left++;
	for (;;) {
		if (!op_status(op, &s))
			return;
		for (w = op->watches; w && !watch_due(w, &s); w = w->next)
			;
		if (!w) {
			narrow(ctx, op);
			return;
		}
		if (likely(!watch_call(ctx, w, &s)) && !--left)
			return;
		op = atomic_load_explicit(&ctx->table[index], memory_order_acquire);
		if (!op)
			return;
	}
}

void dispatch_new(struct aop_ctx *ctx, struct watch *w)
{
	struct aop_status s;

	s.word = aop_word_(to_aop(w->op));
	if (w->kind == WATCH_OVER && likely(!(s.flags & AOP_F_OVER)))
		return;
	if (!op_status(w->op, &s))
		return;
	/* It is told of changes from here on; of the end and of reasons in any case. */
	if (w->kind == WATCH_CHANGES)
		w->seq = s.seq;
	if (watch_due(w, &s))
		watch_call(ctx, w, &s);
}

/* On an executor's thread, which has a frame for w in the executor's home. */
void dispatch_run(struct watch *w)
{
	struct aop_ctx *ctx = container_of(w->home, struct aop_ctx, home);
	struct aop_status s;
	struct frame frame;
	bool last;

	lock_take(&ctx->home.lock);
	if (!w->attached || !op_status(w->op, &s) || !watch_due(w, &s)) {
		lock_drop(&ctx->home.lock);
		return;
	}
	last = watch_take(w, &s);
	if (last)
		exec_last(w->exec, w);
	frame_enter(&ctx->home, &frame, w, watcher(w));
	frame.last = last;
	lock_drop(&ctx->home.lock);
	w->fn((struct aop_watch *)w, &s);
	lock_take(&ctx->home.lock);
	frame_leave(&ctx->home, &frame);
	lock_drop(&ctx->home.lock);
}

/**
 * aop_ctx_dispatch() - call back the watches of a context's ops that changed
 * @ctx: an opened context
 *
 * Takes what is in the ready ring and runs the watches that are due, each with the
 * newest status of its op.  No system call for that; one, once, when an op turns out
 * to be queued for what nobody watches any more.  Never blocks, but for what the
 * callbacks do.  Any thread, several at once, and from inside a callback;
 * not from a signal handler.
 *
 * At most the budget of aop_ctx_open() is handled, unless a loop on io_uring has the
 * context too: it sleeps until the ring was empty and is so no more, so nothing is left.
 * The descriptor of aop_ctx_fd() stays readable while more is there; who waits for it
 * edge-triggered dispatches until this returns 0.
 *
 * Return: the number of ops that were looked at; 0 when there were none; -EIO for a
 * context that was inherited by a fork.
 */
int aop_ctx_dispatch(struct aop_ctx *ctx)
{
	uint32_t edges = atomic_load_explicit(&ctx->edges, memory_order_relaxed);

	return dispatch_some(ctx, unlikely(edges) ? UINT32_MAX : ctx->budget);
}

int dispatch_some(struct aop_ctx *ctx, uint32_t budget)
{
	struct reap reap;
	uint32_t index[BATCH];
	uint32_t head, i, n, nr = 0;

	if (!ctx_queued(ctx))
		return ctx->dead ? -EIO : 0;

	reap.up = reaping;
	reap.ctx = ctx;
	reap.nr = 0;
	reaping = &reap;
	lock_take(&ctx->home.lock);
	while (nr < budget) {
		head = atomic_load_explicit(&ctx->head, memory_order_relaxed);
		/* Pairs with the kernel's store of tail: the places are written. */
		n = __atomic_load_n(&ctx->ring->tail, __ATOMIC_ACQUIRE) - head;
		if (!n)
			break;
		if (n > BATCH)
			n = BATCH;
		if (n > budget - nr)
			n = budget - nr;
		for (i = 0; i < n; i++)
			index[i] = __atomic_load_n(&ctx->ring->places[(head + i) & ctx->ring->mask],
						   __ATOMIC_RELAXED);
		head += n;
		atomic_store_explicit(&ctx->head, head, memory_order_relaxed);
		/* The places may be used again: pairs with the kernel's load of head. */
		atomic_store_explicit(ctx->head_page, head, memory_order_release);
		/*
		 * Head before slots; the kernel has slot before head.  So either it
		 * sees that the slot is out of the ring, and queues it, or we see what
		 * it wrote.
		 */
		atomic_thread_fence(memory_order_seq_cst);
		for (i = 0; i < n; i++)
			deliver(ctx, index[i]);
		nr += n;
	}
	lock_drop(&ctx->home.lock);
	reaping = reap.up;
	reap_submit(&reap);
	return nr;
}
