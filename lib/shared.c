// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * shared.c - the scope of ops that the kernel holds
 *
 * A struct op is a handle of a context.  Its two sides may be used by two threads:
 * the owner's by driving calls, the watchers' by all others; they meet in op->sides,
 * which says who is the last to let go.  System calls of one op's life: init 1 (or
 * take 3, attach 1), pass 3, each signal 1, a drop 1, waits 1 each time they sleep.
 * A handle that came from elsewhere is queued for its end, so that aop_then() costs
 * none, and aop_watch() one (to be told of progress); one that was made here is not
 * queued for anything until it is watched, since its own process ends it as a rule.
 */
#include <errno.h>
#include <string.h>

#include "shared.h"

/* ---- beginning ------------------------------------------------------------ */

static void fill_create(struct aop_create_entry *e, const struct aop_opts *o)
{
	e->handle = 0;
	e->id = 0;
	e->data = 0;
	e->parent = 0;
	e->deadline = 0;
	e->result = 0;
	e->flags = 0;
	e->mask = 0;
	e->mode = 0600;
	e->state = AOP_PENDING;
	e->ret = 0;
	if (!o)
		return;
	e->parent = o->parent;
	if (o->deadline && o->deadline != AOP_FOREVER)
		e->deadline = deadline_of(o->deadline);
	e->result = o->result;
	if (o->flags & AOP_DETACHED)
		e->flags = AOP_CREATE_DETACHED;
	if (o->mode)
		e->mode = o->mode;
	e->state = o->state;
}

int shared_init(struct op *op, struct aop_ctx *ctx, const struct aop_opts *o)
{
	void (*release)(struct aop *op) = o ? o->release : NULL;
	struct cork *c = cork_of(ctx);
	struct aop_create_entry e;
	int ret;

	if (c) {
		op_prepare(op, ctx, release);
		fill_create(cork_create(c, op, o ? o->label : NULL), o);
		return 0;
	}
	fill_create(&e, o);
	e.label = o ? (uintptr_t)o->label : 0;
	ret = kernel_call(ctx, AOP_IOC_CREATE_ONE, &e);
	if (unlikely(ret))
		return op_ended(op, ret);
	op_bind(op, ctx, release, e.handle, AOP_MAY_ALL, 0);
	return 0;
}

static void fill_attach(struct aop_attach_entry *e, int fd, uint64_t id, uint32_t rights)
{
	e->handle = 0;
	e->id = id;
	e->data = 0;
	e->fd = fd;
	e->rights = rights;
	e->mask = DEFAULT_MASK;
	e->ret = 0;
}

static int attach(struct op *op, struct aop_ctx *ctx, struct aop_attach_entry *e)
{
	int ret;

	ret = kernel_call(ctx, AOP_IOC_ATTACH_ONE, e);
	if (unlikely(ret))
		return op_ended(op, ret);
	op_bind(op, ctx, NULL, e->handle, e->rights, DEFAULT_MASK);
	return 0;
}

int shared_attach(struct op *op, struct aop_ctx *ctx, int fd)
{
	struct aop_attach_entry e;

	if (fd < 0)
		return op_ended(op, -EBADF);
	fill_attach(&e, fd, 0, 0);
	return attach(op, ctx, &e);
}

int shared_attach_id(struct op *op, struct aop_ctx *ctx, uint64_t id, uint32_t rights)
{
	struct cork *c = cork_of(ctx);
	struct aop_attach_entry e;

	if (c) {
		op_prepare(op, ctx, NULL);
		fill_attach(cork_attach(c, op), -1, id, rights);
		return 0;
	}
	fill_attach(&e, -1, id, rights);
	return attach(op, ctx, &e);
}

/* ---- driving --------------------------------------------------------------- */

/*
 * The owner's side lets go: his watches first, since after the signal the slot may
 * be another op's (dispatch sees that too, by the generation).
 */
void shared_forget_asked(struct op *op)
{
	struct aop_ctx *ctx = op->ctx;
	struct watch *w, *next;

	if (likely(!op->on_asked))
		return;
	lock_take(&ctx->home.lock);
	for (w = op->watches; w; w = next) {
		next = w->next;
		if (w->kind != WATCH_ASKED)
			continue;
		watch_unlink(op, w);
		frame_forget(&ctx->home, w);
		if (w->exec)
			exec_forget(w->exec, w);
	}
	lock_drop(&ctx->home.lock);
}

/*
 * This process has no more use for op: from now on it tells how it ended.  Not final:
 * nobody in this process will know.
 */
static void freed(struct op *op, uint32_t word, int64_t result)
{
	void (*release)(struct aop *op) = op->release;

	memset(&op->own, 0, sizeof(op->own));
	op->own.word = word;
	op->own.result = result;
	if (unlikely(op->own.state < AOP_DONE)) {
		op->own.state = AOP_FAILED;
		op->own.result = -ESTALE;
	}
	op->own.flags |= AOP_F_OVER;
	op->st = &op->own;
	op->scope = &scope_ended;
	if (release)
		release(to_aop(op));
}

/*
 * The owner's side is left before the system call that ends the op: whoever sees OVER
 * may give the struct back at once, so afterwards it is touched only if no watcher
 * is left.  Returns whether that is so.
 */
bool shared_owner_leaves(struct op *op)
{
	uint32_t sides;

	sides = atomic_fetch_sub_explicit(&op->sides, SIDE_OWNER, memory_order_acq_rel);
	/* Somebody else's memory by now: at worst a stray wake. */
	if (unlikely(sides & SIDE_SLEEPER))
		futex_wake(&op->sides, INT32_MAX);
	return sides < SIDE_WATCHER;
}

/* No side is left, and this is how it ended. */
void shared_owner_frees(struct op *op, uint32_t what, int64_t value, int ret)
{
	struct aop_status last;

	op_unhook(op);
	if (unlikely(op->born_over)) {
		freed(op, op->own.word, op->own.result);
		return;
	}
	last.word = 0;
	last.state = what - AOP_SIGNAL_DONE + AOP_DONE;
	if (ret || what == AOP_SIGNAL_LET_GO) {
		last.state = AOP_FAILED;
		value = ret ? ret : -EOWNERDEAD;
	}
	freed(op, last.word, value);
}

static int shared_signal(struct op *op, uint32_t what, int64_t value, uint64_t total)
{
	const bool ends = what >= AOP_SIGNAL_DONE;
	struct aop_signal_entry entry, *e = &entry;
	struct aop_ctx *ctx = op->ctx;
	struct cork *c = cork_of(ctx);
	bool alone = false;
	uint32_t sides;
	int ret = 0;

	if (unlikely(op->pending)) {
		cork_need(op);
		return op->scope->signal(op, what, value, total);
	}
	sides = atomic_load_explicit(&op->sides, memory_order_acquire);
	if (unlikely(!(sides & SIDE_OWNER)))
		return -EPERM;
	if (ends)
		shared_forget_asked(op);
	if (c) {
		if (what == AOP_SIGNAL_START) {
			cork_submit(c);
			c = NULL;
		} else {
			e = cork_signal(c, op);
		}
	}
	e->handle = op->handle;
	e->what = what;
	e->ret = 0;
	e->value = value;
	e->total = total;
	if (ends) {
		/* Nobody watches through this handle any more: it can go. */
		if (sides == SIDE_OWNER)
			e->what |= AOP_SIGNAL_DETACH;
		alone = shared_owner_leaves(op);
	}
	if (!c)
		ret = kernel_call(ctx, AOP_IOC_SIGNAL_ONE, e);
	if (unlikely(ret == -EALREADY && what == AOP_SIGNAL_START)) {
		/* Over since the call: see shared_drop(). */
		shared_forget_asked(op);
		alone = shared_owner_leaves(op);
	}
	if (alone)
		shared_owner_frees(op, what, value, ret);
	return ret;
}

/* ---- watching --------------------------------------------------------------- */

static int shared_cancel(struct op *op, int reason)
{
	struct aop_cancel_entry e = { .reason = reason };
	struct cork *c = cork_of(op->ctx);

	if (c)
		cork_submit(c);
	if (unlikely(op->scope != &scope_shared))
		return op->scope->cancel(op, reason);
	e.handle = op->handle;
	return kernel_call(op->ctx, AOP_IOC_CANCEL_ONE, &e);
}

static int shared_wait(struct op *const *ops, size_t n, size_t need, const struct goal *g,
		       int64_t deadline)
{
	struct aop_wait_entry on_stack[ON_STACK], *e = on_stack;
	struct aop_ctx *ctx = ops[0]->ctx;
	struct aop_ioc_wait wait;
	uint32_t nr = 0;
	struct cork *c;
	size_t i;
	int ret;

	if (unlikely(n > ON_STACK)) {
		e = scratch(n * sizeof(*e));
		if (!e)
			return -ENOMEM;
	}
	if (!(g->mask & ~(AOP_EV_FINAL | AOP_EV_OVER)) &&
	    port_cork_wait(ctx, ops, n, need, deadline, &ret))
		return ret;
	c = cork_begin_wait(ctx);
	for (i = 0; i < n; i++) {
		if (reached(ops[i], g)) {
			if (--need)
				continue;
			cork_submit_all();
			return 0;
		}
		if (unlikely(ops[i]->scope != &scope_shared || ops[i]->ctx != ctx))
			return -EXDEV;
		e[nr].handle = ops[i]->handle;
		e[nr].mask = g->mask;
		e[nr].seq = g->seq;
		e[nr].events = 0;
		e[nr].pad = 0;
		nr++;
	}
	if (unlikely(nr > AOP_MAX_ENTRIES))
		return -E2BIG;

	wait.size = sizeof(wait);
	wait.flags = 0;
	wait.entries = (uintptr_t)e;
	wait.entry_size = sizeof(*e);
	wait.nr = nr;
	wait.deadline = deadline < 0 ? AOP_FOREVER_NS : (uint64_t)deadline;
	wait.need = need;
	wait.count = 0;
	wait.signals = 0;
	wait.signal_size = sizeof(struct aop_signal_entry);
	wait.nr_signals = 0;
	wait.signalled = 0;
	wait.pad = 0;
	if (c)
		wait.signals = (uintptr_t)cork_signals(c, &wait.nr_signals);
	/* Repeating it signals nothing twice: wait.signalled says where it was. */
	do
		ret = kernel_call(ctx, AOP_IOC_WAIT, &wait);
	while (ret == -EINTR);
	if (c)
		cork_signalled(c, wait.signalled);
	return ret < 0 ? ret : 0;
}

static int shared_watch(struct op *op, struct watch *w)
{
	struct aop_ctx *ctx = op->ctx;
	struct aop_modify_entry e;
	int ret = 0;

	if (unlikely(op->pending)) {
		cork_need(op);
		return op->scope->watch(op, w);
	}
	if (w->kind == WATCH_ASKED &&
	    !(atomic_load_explicit(&op->sides, memory_order_relaxed) & SIDE_OWNER))
		return -EPERM;
	w->home = &ctx->home;
	lock_take(&ctx->home.lock);
	if (watch_wants(w) & ~op->mask) {
		e.handle = op->handle;
		e.data = 0;
		e.mask = op->mask | watch_wants(w);
		e.ret = 0;
		ret = kernel_call(ctx, AOP_IOC_MODIFY_ONE, &e);
		if (ret)
			goto out;
		op->mask = e.mask;
	}
	watch_link(op, w);
	if (w->kind == WATCH_ASKED)
		op->on_asked = 1;
	else
		op->watched = 1;
	/*
	 * What was queued and taken before is called here.  Later changes, and earlier
	 * ones that no dispatch has taken, are in the ring: a dispatch that took them
	 * held the lock before us, so that we see what it saw.
	 */
	dispatch_new(ctx, w);
out:
	lock_drop(&ctx->home.lock);
	return ret;
}

/* With the lock held.  Does another thread run w? */
static bool forget(struct aop_ctx *ctx, struct watch *w)
{
	bool elsewhere;

	if (w->attached)
		watch_unlink(w->op, w);
	elsewhere = frame_forget(&ctx->home, w);
	/* After a fork the executor's lock may be held for ever, and nothing runs. */
	if (w->exec && likely(!ctx->dead))
		elsewhere |= exec_forget(w->exec, w);
	return elsewhere;
}

static int shared_unwatch(struct watch *w, bool wait)
{
	struct aop_ctx *ctx = container_of(w->home, struct aop_ctx, home);
	struct aop_exec *x = w->exec;
	bool busy;

	lock_take(&ctx->home.lock);
	busy = forget(ctx, w);
	if (busy && wait)
		frame_wait(&ctx->home, w);
	lock_drop(&ctx->home.lock);
	if (busy && !wait)
		return -EBUSY;
	if (busy && x)
		exec_wait(x, w);
	return 0;
}

/*
 * The watchers' own watches; those for the owner stay.  Once it is out of the list
 * and we have to wait for its callback, a watch is only compared: the callback may
 * unwatch and free it.
 */
static void unwatch_all(struct op *op)
{
	struct aop_ctx *ctx = op->ctx;
	struct aop_exec *x;
	struct watch *w;

	lock_take(&ctx->home.lock);
	for (;;) {
		for (w = op->watches; w && w->kind == WATCH_ASKED; w = w->next)
			;
		if (!w)
			break;
		x = w->exec;
		if (!forget(ctx, w) || !x)
			continue;
		/* It may be on its way from the executor's queue to op. */
		lock_drop(&ctx->home.lock);
		exec_wait(x, w);
		lock_take(&ctx->home.lock);
	}
	frame_wait_op(&ctx->home, op);
	lock_drop(&ctx->home.lock);
}

/*
 * The op is over, so its owner is on his way out of aop_start(), which told him so: the
 * struct must outlast his last touch.  (Ending leaves before it makes the op over.)
 * An op that was created final is over from the start, and its owner may never come.
 */
static void wait_for_owner(struct op *op)
{
	uint32_t sides;

	sides = atomic_fetch_or_explicit(&op->sides, SIDE_SLEEPER, memory_order_acquire) |
		SIDE_SLEEPER;
	while (sides & SIDE_OWNER) {
		futex_wait(&op->sides, sides);
		sides = atomic_load_explicit(&op->sides, memory_order_acquire);
	}
	atomic_fetch_and_explicit(&op->sides, ~SIDE_SLEEPER, memory_order_relaxed);
}

static int shared_drop(struct op *op)
{
	struct aop_ctx *ctx = op->ctx;
	struct aop_status last;
	uint32_t sides, rights;
	int64_t result;
	uint64_t handle;
	struct cork *c;
	bool mine;

	if (unlikely(op->pending)) {
		cork_need(op);
		return op->scope->drop(op);
	}
	sides = atomic_load_explicit(&op->sides, memory_order_acquire);
	do {
		if (sides < SIDE_WATCHER)
			return -EINVAL;
		if (sides < 2 * SIDE_WATCHER)
			break;
	} while (!atomic_compare_exchange_weak_explicit(&op->sides, &sides,
							sides - SIDE_WATCHER,
							memory_order_acq_rel,
							memory_order_acquire));
	if (sides >= 2 * SIDE_WATCHER)
		return 0;

	/* The last watcher: no other can come, since holding takes one. */
	if (op->watched)
		unwatch_all(op);
	last.word = aop_word_(to_aop(op));
	result = __atomic_load_n(&op->st->result, __ATOMIC_RELAXED);
	if (unlikely(last.flags & AOP_F_OVER && sides & SIDE_OWNER && !ctx->dead &&
		     !op->born_over))
		wait_for_owner(op);
	handle = op->handle;
	rights = op->rights & ~AOP_MAY_DRIVE;
	mine = !(atomic_fetch_sub_explicit(&op->sides, SIDE_WATCHER, memory_order_acq_rel) &
		 SIDE_OWNER);
	/* Now op is either ours alone, or the owner's, who may free it. */
	if (mine)
		op_unhook(op);
	c = cork_of(ctx);
	if (unlikely(op->is_call) && mine && last.state >= AOP_DONE && call_reap(op, &last))
		;
	else if (c)
		cork_detach(c, mine ? op : NULL, handle, rights);
	else
		dispatch_detach(ctx, handle, rights, last.state >= AOP_DONE);
	if (!mine)
		return 0;
	freed(op, last.word, result);
	return 1;
}

const struct scope scope_shared = {
	.name = "shared",
	.signal = shared_signal,
	.cancel = shared_cancel,
	.wait = shared_wait,
	.watch = shared_watch,
	.unwatch = shared_unwatch,
	.run = dispatch_run,
	.drop = shared_drop,
};

/* ---- handing out -------------------------------------------------------------- */

int shared_export(struct op *op, uint32_t rights)
{
	struct aop_ioc_export e = { .size = sizeof(e), .rights = rights };
	struct cork *c = cork_of(op->ctx);
	int fd;

	if (c)
		cork_submit(c);
	if (op->scope != &scope_shared)
		return op->own.state == AOP_FAILED ? (int)op->own.result : -EINVAL;
	if (rights & AOP_MAY_DRIVE &&
	    !(atomic_load_explicit(&op->sides, memory_order_relaxed) & SIDE_OWNER))
		return -EPERM;
	e.handle = op->handle;
	fd = kernel_call(op->ctx, AOP_IOC_EXPORT, &e);
	if (fd >= 0 && rights & AOP_MAY_DRIVE) {
		shared_forget_asked(op);
		if (shared_owner_leaves(op))
			shared_owner_frees(op, AOP_SIGNAL_LET_GO, 0, 0);
	}
	return fd;
}

/* A member that is not of the kernel's is final: one made like it stands in for it. */
static int stand_in(struct aop_ctx *ctx, const struct op *op, uint64_t *handle)
{
	struct aop_create_entry e = {
		.state = op->own.state,
		.result = op->own.result,
	};
	int ret;

	ret = kernel_call(ctx, AOP_IOC_CREATE_ONE, &e);
	*handle = e.handle;
	return ret;
}

int shared_group(struct op *op, struct aop_ctx *ctx, struct op *const *members, size_t n,
		 size_t need, uint32_t flags)
{
	struct aop_ioc_group g = {
		.size = sizeof(g),
		.flags = flags,
		.nr = n,
		.need = need,
		.mask = DEFAULT_MASK,
		.mode = 0600,
	};
	uint64_t on_stack[ON_STACK], *handles = on_stack;
	size_t i, nr;
	int ret = 0;

	if (n > AOP_MAX_ENTRIES)
		return op_ended(op, -E2BIG);
	if (n > ON_STACK) {
		handles = scratch(n * sizeof(*handles));
		if (!handles)
			return op_ended(op, -ENOMEM);
	}
	for (nr = 0; nr < n && !ret; nr++) {
		if (members[nr]->scope == &scope_shared)
			handles[nr] = members[nr]->handle;
		else
			ret = stand_in(ctx, members[nr], &handles[nr]);
	}
	g.members = (uintptr_t)handles;
	if (ret)
		nr--;			/* this one was not made */
	else
		ret = kernel_call(ctx, AOP_IOC_GROUP, &g);
	/* The group holds them now. */
	for (i = 0; i < nr; i++)
		if (members[i]->scope != &scope_shared)
			kernel_detach(ctx, handles[i], 0);
	if (ret < 0)
		return op_ended(op, ret);
	op_bind(op, ctx, NULL, g.handle, AOP_MAY_LOOK | AOP_MAY_CANCEL, DEFAULT_MASK);
	return 0;
}
