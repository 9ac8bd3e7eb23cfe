// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cork.c - calls of a thread that are submitted together
 *
 * A thread that corks a context gets a struct cork of its own for it, kept for the
 * next time and freed with the thread; nothing here is seen by other threads, so
 * nothing is locked.  Four kinds of calls are collected; submitting makes one
 * system call for each kind that there is, in the order create, attach, signal,
 * detach; calls of ports come first, and replies last (port_cork.c).  An op that waits
 * to be created or attached reads as PENDING; the first call that needs its handle
 * submits.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shared.h"

#define ROOM 64			/* of each kind; also what struct op's `corked` counts */

struct cork {
	struct cork *next;
	struct aop_ctx *ctx;	/* NULL: free for any */
	uint32_t depth;
	int error;		/* the first one */
	union {
		struct {
			uint16_t creates, attaches, signals, detaches;
		};
		uint64_t any;
	};
	struct port_cork *port;	/* NULL: none was ever needed */
	struct op *created[ROOM];
	struct op *attached[ROOM];
	struct aop_create_entry create[ROOM];
	struct aop_attach_entry attach[ROOM];
	struct aop_signal_entry signal[ROOM];
	struct aop_detach_entry detach[ROOM];
	char label[ROOM][AOP_LABEL_SIZE];
};

static TLS struct cork *corks;	/* all of this thread */
static TLS uint32_t open_corks;

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int no_key;

/* The thread ends: what it still had to say is said. */
static void thread_ends(void *unused)
{
	struct cork *c;

	(void)unused;
	while ((c = corks)) {
		if (c->depth)
			cork_submit(c);
		corks = c->next;
		free(c->port);
		free(c);
	}
	open_corks = 0;
}

static void make_key(void)
{
	no_key = pthread_key_create(&key, thread_ends);
}

static struct cork *find(const struct aop_ctx *ctx)
{
	struct cork *c;

	for (c = corks; c; c = c->next)
		if (c->ctx == ctx)
			return c;
	return NULL;
}

struct cork *cork_of(struct aop_ctx *ctx)
{
	struct cork *c = corks;

	if (likely(!open_corks))
		return NULL;
	if (unlikely(c->ctx != ctx))
		c = find(ctx);
	return c && c->depth ? c : NULL;
}

void cork_note(struct cork *c, int err)
{
	if (err < 0 && !c->error)
		c->error = err;
}

static void finish_op(struct cork *c, struct op *op, int err, uint64_t handle,
		      uint32_t rights, uint32_t mask)
{
	void (*release)(struct aop *op) = op->release;

	if (likely(!err)) {
		op_bind(op, op->ctx, release, handle, rights, mask);
		return;
	}
	op_ended(op, err);
	op->release = release;
	cork_note(c, err);
}

static void submit_creates(struct cork *c)
{
	uint32_t i, nr = c->creates;
	int err;

	c->creates = 0;
	err = kernel_batch(c->ctx, AOP_IOC_CREATE, c->create, sizeof(c->create[0]), nr);
	for (i = 0; i < nr; i++) {
		struct aop_create_entry *e = &c->create[i];

		finish_op(c, c->created[i], err ? err : e->ret, e->handle, AOP_MAY_ALL,
			  e->mask);
	}
}

static void submit_attaches(struct cork *c)
{
	uint32_t i, nr = c->attaches;
	int err;

	c->attaches = 0;
	err = kernel_batch(c->ctx, AOP_IOC_ATTACH, c->attach, sizeof(c->attach[0]), nr);
	for (i = 0; i < nr; i++) {
		struct aop_attach_entry *e = &c->attach[i];

		finish_op(c, c->attached[i], err ? err : e->ret, e->handle, e->rights,
			  e->mask);
	}
}

static void submit_signals(struct cork *c)
{
	uint32_t i, nr = c->signals;
	int err;

	c->signals = 0;
	err = kernel_batch(c->ctx, AOP_IOC_SIGNAL, c->signal, sizeof(c->signal[0]), nr);
	for (i = 0; i < nr; i++)
		cork_note(c, err ? err : c->signal[i].ret);
}

static void submit_detaches(struct cork *c)
{
	uint32_t nr = c->detaches;
	int err;

	c->detaches = 0;
	err = kernel_batch(c->ctx, AOP_IOC_DETACH, c->detach, sizeof(c->detach[0]), nr);
	cork_note(c, err);		/* of the single ones aop_drop() says nothing either */
}

static bool port_pending(const struct cork *c)
{
	return unlikely(c->port) && port_cork_pending(c->port);
}

void cork_submit_rest(struct cork *c)
{
	if (c->creates)
		submit_creates(c);
	if (c->attaches)
		submit_attaches(c);
	if (c->signals)
		submit_signals(c);
	if (c->detaches)
		submit_detaches(c);
}

void cork_submit(struct cork *c)
{
	if (port_pending(c))
		port_cork_submit(c, c->port);
	else
		cork_submit_rest(c);
}

struct aop_ctx *cork_ctx(struct cork *c)
{
	return c->ctx;
}

struct port_cork **cork_port(struct cork *c)
{
	return &c->port;
}

struct aop_create_entry *cork_create(struct cork *c, struct op *op, const char *label)
{
	struct aop_create_entry *e;
	uint32_t i;

	if (unlikely(c->creates == ROOM))
		cork_submit(c);
	i = c->creates++;
	c->created[i] = op;
	e = &c->create[i];
	e->label = 0;
	if (label) {
		/* One too long stays unterminated, for the kernel to refuse. */
		strncpy(c->label[i], label, AOP_LABEL_SIZE);
		e->label = (uintptr_t)c->label[i];
	}
	atomic_store_explicit(&op->sides, SIDE_OWNER | SIDE_WATCHER, memory_order_relaxed);
	return e;
}

struct aop_attach_entry *cork_attach(struct cork *c, struct op *op)
{
	if (unlikely(c->attaches == ROOM))
		cork_submit(c);
	c->attached[c->attaches] = op;
	return &c->attach[c->attaches++];
}

struct aop_signal_entry *cork_signal(struct cork *c, struct op *op)
{
	if (unlikely(c->signals == ROOM))
		cork_submit(c);
	op->corked = c->signals + 1;
	return &c->signal[c->signals++];
}

void cork_detach(struct cork *c, struct op *op, uint64_t handle, uint32_t rights)
{
	/*
	 * Its end is in here too: one entry does both.  The owner's side has let go,
	 * so nobody else writes op->corked; it may be of another cork, long ago.
	 */
	if (op && op->corked && op->corked <= c->signals) {
		struct aop_signal_entry *e = &c->signal[op->corked - 1];

		if (e->handle == handle && e->what != AOP_SIGNAL_START &&
		    e->what != AOP_SIGNAL_PROGRESS) {
			e->what |= AOP_SIGNAL_DETACH;
			return;
		}
	}
	if (c->detaches == ROOM)
		cork_submit(c);
	c->detach[c->detaches++] = (struct aop_detach_entry){
		.handle = handle, .rights = rights,
	};
}

/*
 * Ops that are waited for must have handles.  The detaches go before the signals,
 * which cannot hurt: they never give up the right to drive.
 */
struct cork *cork_begin_wait(struct aop_ctx *ctx)
{
	struct cork *c, *mine = NULL;

	if (likely(!open_corks))
		return NULL;
	for (c = corks; c; c = c->next) {
		if (!c->depth)
			continue;
		if (c->ctx != ctx) {
			cork_submit(c);
			continue;
		}
		mine = c;
		if (port_pending(c))
			port_cork_submit(c, c->port);
		if (unlikely(c->creates))
			submit_creates(c);
		if (unlikely(c->attaches))
			submit_attaches(c);
		if (unlikely(c->detaches))
			submit_detaches(c);
	}
	return mine;
}

struct aop_signal_entry *cork_signals(struct cork *c, uint32_t *nr)
{
	*nr = c->signals;
	return *nr ? c->signal : NULL;
}

/* The first nr signals have been carried out. */
void cork_signalled(struct cork *c, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		cork_note(c, c->signal[i].ret);
	c->signals -= nr;
	if (unlikely(c->signals))
		memmove(c->signal, c->signal + nr, c->signals * sizeof(c->signal[0]));
}

void cork_submit_all(void)
{
	struct cork *c;

	if (likely(!open_corks))
		return;
	for (c = corks; c; c = c->next)
		if (c->depth)
			cork_submit(c);
}

bool cork_has_calls(void)
{
	struct cork *c;

	if (likely(!open_corks))
		return false;
	for (c = corks; c; c = c->next)
		if (c->any || port_pending(c))
			return true;
	return false;
}

void cork_need(struct op *op)
{
	struct cork *c = cork_of(op->ctx);

	if (c)
		cork_submit(c);
}

/* What the parent had collected is the parent's to submit. */
void cork_forked(void)
{
	struct cork *c;

	uint32_t i;

	for (c = corks; c; c = c->next) {
		for (i = 0; i < c->creates; i++)
			op_ended(c->created[i], -EIO);
		for (i = 0; i < c->attaches; i++)
			op_ended(c->attached[i], -EIO);
		c->any = 0;
		if (c->port)
			port_cork_forked(c->port);
	}
}

void cork_close(struct aop_ctx *ctx)
{
	struct cork *c = cork_of(ctx);

	if (!c)
		return;
	cork_submit(c);
	c->depth = 0;
	c->ctx = NULL;
	open_corks--;
}

/* One for ctx: that of a context which is not corked any more, or a new one. */
static struct cork *add(struct aop_ctx *ctx)
{
	struct cork *c;

	for (c = corks; c && c->depth; c = c->next)
		;
	if (!c) {
		pthread_once(&once, make_key);
		c = no_key ? NULL : calloc(1, sizeof(*c));
		if (!c)
			return NULL;
		if (pthread_setspecific(key, c)) {
			free(c);
			return NULL;
		}
		c->next = corks;
		corks = c;
	}
	c->ctx = ctx;
	return c;
}

/**
 * aop_cork() - collect this thread's calls
 * @ctx: an opened context
 *
 * From now on aop_init(), aop_attach_id(), aop_progress(), the calls that end an
 * op, and aop_drop() of ops in @ctx are collected when this thread makes them, and
 * answer 0.  They are submitted, in one system call for each of these four kinds,
 * by aop_uncork(), by each wait of this thread (which sends what drives together
 * with the wait), and by each other call that needs them.  Corks nest.  Other
 * threads must not use an op that waits to be created.
 *
 * Does not block.  The first cork of a thread allocates; when there is no memory
 * nothing is collected and all calls work as without it.  Not for signal handlers.
 */
void aop_cork(struct aop_ctx *ctx)
{
	struct cork *c = corks;

	if (unlikely(ctx <= AOP_LOCAL))
		return;
	if (!c || c->ctx != ctx)
		c = find(ctx);
	if (unlikely(!c))
		c = add(ctx);
	if (unlikely(!c))
		return;
	if (!c->depth++) {
		c->error = 0;
		open_corks++;
	}
}

/**
 * aop_uncork() - submit what this thread collected
 * @ctx: an opened context
 *
 * What ends the outermost cork submits; also when the others were submitted by a
 * wait before.  Does not block.  Not for signal handlers.
 *
 * Return: 0, or the first errno that any collected call since aop_cork() ended
 * with: those of the calls themselves, or -EIO in a forked child.
 */
int aop_uncork(struct aop_ctx *ctx)
{
	struct cork *c;

	if (unlikely(ctx <= AOP_LOCAL))
		return 0;
	c = cork_of(ctx);
	if (!c || --c->depth)
		return 0;
	open_corks--;
	if (c->any || port_pending(c))
		cork_submit(c);
	return c->error;
}
