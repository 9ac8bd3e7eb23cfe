// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * port_shared.c - ports whose backlog is in the module
 *
 * A call is a handle of the client's, and one of the server's on the same op.  Takers stand
 * in a line of this process; a dispatch that hears that calls have come takes some for them,
 * one thread at a time: who finds another at it has him look again.  Clients without room
 * stand in a line as well.  The module tells each handle of room once, after it has said
 * -EAGAIN; so `full` is what the newest -EAGAIN said, unless room was told of since that
 * call began.
 *
 * port->lock protects the lines and what goes with them.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "port.h"
#include "shared.h"

#define BACKLOG		64
#define BATCH		16		/* takers served by one system call */
#define NOT_READ	SIZE_MAX	/* call->got: the reply is with the module */

static uint64_t handle_of(const struct port *p)
{
	return to_op(&p->op)->handle;
}

/* Of a port that could not begin, or was dropped, there is none. */
static int no_port(const struct port *p)
{
	struct op *op = to_op(&p->op);

	if (unlikely(op->pending))
		cork_need(op);
	return likely(op->scope == &scope_shared) ? 0 : (int)op->own.result;
}

/* ---- the port ----------------------------------------------------------------------- */

static void port_released(struct aop *op)
{
	struct port *p = (struct port *)op;

	aop_name_release(&p->name);
	if (p->release)
		p->release(op);
}

int shared_port_init(struct port *p, struct aop_ctx *ctx, const struct aop_port_opts *o)
{
	struct aop_ioc_port e = {
		.size = sizeof(e),
		.flags = o->flags & AOP_DETACHED ? AOP_CREATE_DETACHED : 0,
		.label = (uintptr_t)o->name,
		.mode = o->mode ? o->mode : 0700,
		.backlog = o->backlog ? o->backlog : BACKLOG,
		.message = o->message,
		.state = o->state,
	};
	struct op *op = to_op(&p->op);
	int ret;

	ret = kernel_call(ctx, AOP_IOC_PORT, &e);
	if (ret)
		return ret;
	p->where = ctx;
	op_bind(op, ctx, NULL, e.handle, AOP_MAY_PORT, 0);
	ret = port_take_name(p, o);
	if (ret) {
		/* Nobody else knows it; not a port that ended, but none. */
		aop_let_go(aop_owner(&p->op));
		aop_drop(&p->op);
		return ret;
	}
	p->release = o->release;
	op->release = o->name ? port_released : o->release;
	return 0;
}

/* Calls have come, or it has started, or ended. */
static void port_changed(struct aop_watch *watch, const struct aop_status *st)
{
	(void)st;
	shared_serve(watch->data);
}

static void room_told(struct aop_watch *watch, const struct aop_status *st)
{
	struct port *p = watch->data;
	struct waiter *w;

	(void)st;
	port_lock(p);
	p->told++;
	p->full = false;
	w = line_empty(&p->wanting, 1);
	port_unlock(p);
	waiters_end(w);
}

int shared_watched(struct port *p, unsigned int which)
{
	struct op *op = to_op(&p->op);
	bool first;
	int ret;

	ret = no_port(p);
	if (unlikely(ret))
		return ret;
	if (which == PORT_TAKERS && !(op->rights & AOP_MAY_LOOK))
		return -EPERM;
	port_lock(p);
	first = !p->watching[which];
	p->watching[which] = true;
	port_unlock(p);
	if (likely(!first))
		return 0;
	/* Who waits without it meanwhile is served by us: for room it is called now. */
	ret = which == PORT_TAKERS ?
	      watch_add(op, &p->watches[0], WATCH_CHANGES, port_changed, p, AOP_INLINE) :
	      watch_add(op, &p->watches[1], WATCH_ROOM, room_told, p, AOP_INLINE);
	if (unlikely(ret)) {
		port_lock(p);
		p->watching[which] = false;
		port_unlock(p);
	}
	return ret;
}

/* ---- calling ------------------------------------------------------------------------- */

static void fill_entry(struct aop_call_entry *e, const struct port *p, const struct call *c,
		       const struct aop_call_opts *o)
{
	memset(e, 0, sizeof(*e));
	e->port = handle_of(p);
	e->message = (uintptr_t)c->msg;
	e->reply = (uintptr_t)c->reply;
	e->len = c->len;
	e->room = c->room < AOP_MAX_MESSAGE ? c->room : AOP_MAX_MESSAGE;
	if (o->deadline && o->deadline != AOP_FOREVER)
		e->deadline = deadline_of(o->deadline);
	e->mask = DEFAULT_MASK;
	if (o->flags & AOP_DETACHED)
		e->flags = AOP_CALL_DETACHED;
}

/* One call, whose entry says what became of it; or why not. */
static int make_call(struct port *p, struct aop_call_entry *e, bool wait)
{
	struct aop_ioc_call call = {
		.size = sizeof(call),
		.flags = wait ? AOP_CALLS_WAIT : 0,
		.entries = (uintptr_t)e,
		.entry_size = sizeof(*e),
		.nr = 1,
		.deadline = wait ? e->deadline ? e->deadline : AOP_FOREVER_NS : 0,
	};
	int ret;

	do
		ret = kernel_call(p->where, AOP_IOC_CALL, &call);
	while (ret == -EINTR);
	if (unlikely(ret))
		return ret == -ETIME ? -ETIMEDOUT : ret;
	return e->ret;
}

/* The module will tell of room, unless it has done so since. */
void shared_call_full(struct port *p, uint32_t told)
{
	port_lock(p);
	if (p->told == told)
		p->full = true;
	port_unlock(p);
}

void shared_call_made(struct port *p, struct call *c, const struct aop_call_entry *e,
		      void (*release)(struct aop *op))
{
	struct op *op = to_op(&c->w.op);

	c->got = c->room ? NOT_READ : 0;
	if (e->state >= AOP_DONE)
		c->got = e->reply_len;
	op_bind(op, p->where, release, e->handle, AOP_MAY_LOOK | AOP_MAY_CANCEL, DEFAULT_MASK);
	op->is_call = 1;
}

void shared_call(struct port *p, struct call *c, const struct aop_call_opts *o)
{
	uint32_t told = __atomic_load_n(&p->told, __ATOMIC_RELAXED);
	const bool waits = o->flags & AOP_CALL_WAIT;
	struct aop_call_entry e;
	int ret;

	ret = no_port(p);
	if (unlikely(!ret && (o->requests || o->replies)))
		ret = -EXDEV;
	if (unlikely(!ret && c->len > AOP_MAX_MESSAGE))
		ret = -EMSGSIZE;
	if (likely(!ret)) {
		fill_entry(&e, p, c, o);
		if (!waits && port_cork_call(p, c, &e, told, o->release))
			return;
		ret = make_call(p, &e, waits);
	}
	if (likely(!ret)) {
		shared_call_made(p, c, &e, o->release);
		return;
	}
	if (ret == -EAGAIN)
		shared_call_full(p, told);
	op_ended(to_op(&c->w.op), ret);
	to_op(&c->w.op)->release = o->release;
}

static int read_reply(struct call *c, uint32_t flags)
{
	struct op *op = to_op(&c->w.op);
	struct aop_message_entry e = {
		.handle = op->handle,
		.buffer = (uintptr_t)c->reply,
		.room = c->room < UINT32_MAX ? c->room : UINT32_MAX,
		.flags = flags,
	};
	int ret;

	ret = kernel_batch(op->ctx, AOP_IOC_MESSAGE, &e, sizeof(e), 1);
	if (!ret)
		ret = e.ret;
	if (!ret)
		c->got = e.len;
	return ret;
}

int shared_call_reply(struct call *c)
{
	int ret = c->got == NOT_READ ? read_reply(c, 0) : 0;

	return ret ? ret : (int)c->got;
}

bool call_reap(struct op *op, const struct aop_status *last)
{
	struct call *c = container_of(to_aop(op), struct call, w.op);
	bool gone = false;

	/* What the system ended has no reply. */
	if (c->got == NOT_READ && !(last->flags & AOP_F_SYSTEM))
		gone = !read_reply(c, AOP_MESSAGE_DETACH);
	if (c->got == NOT_READ)
		c->got = 0;
	return gone;
}

/* ---- taking ---------------------------------------------------------------------------- */

static void taken(struct request *r, struct aop_ctx *ctx, const struct aop_taken_entry *e)
{
	op_bind(&r->call, ctx, NULL, e->handle, AOP_MAY_DRIVE, 0);
	r->owner = (struct aop_owner *)&r->call;
	r->msg = r->buffer;
	r->len = e->len;
	r->room = e->room;
	r->replies = NULL;
	r->requests = NULL;
	r->uid = e->uid;
	r->gid = e->gid;
	r->pid = e->pid;
	r->shared = true;
	/* It is not asked for, but a client can send one. */
	if (unlikely(e->fd >= 0))
		close(e->fd);
}

int shared_take(struct port *p, struct request *const *r, size_t n, int64_t t)
{
	struct aop_taken_entry one, *e = &one;
	char *buffer = r[0]->buffer;
	struct aop_ioc_serve s;
	struct cork *cork;
	size_t i;
	int ret;

	ret = no_port(p);
	if (unlikely(ret))
		return ret;
	if (n > 1) {
		e = scratch(n * (sizeof(*e) + AOP_MAX_MESSAGE));
		if (!e)
			return -ENOMEM;
		buffer = (char *)(e + n);
	}
	for (i = 0; i < n; i++) {
		e[i].data = 0;
		e[i].mask = 0;
	}
	memset(&s, 0, sizeof(s));
	s.size = sizeof(s);
	s.taken_size = sizeof(*e);
	s.port = handle_of(p);
	s.taken = (uintptr_t)e;
	s.nr = n;
	s.buffer = (uintptr_t)buffer;
	s.buffer_size = n * AOP_MAX_MESSAGE;
	if (t != AOP_NOWAIT)
		s.deadline = t == AOP_FOREVER ? AOP_FOREVER_NS : (uint64_t)deadline_of(t);
	cork = cork_of(p->where);
	if (cork) {
		s.answer_size = sizeof(struct aop_answer_entry);
		s.answers = (uintptr_t)port_cork_answers(cork, &s.nr_answers);
	}
	do
		ret = kernel_call(p->where, AOP_IOC_SERVE, &s);
	while (ret == -EINTR);
	if (s.answers)
		port_cork_answered(cork, s.answered);
	if (ret)
		return ret == -ESHUTDOWN ? 0 : ret;
	for (i = 0; i < s.count; i++) {
		if (n > 1)
			memcpy(r[i]->buffer, buffer + e[i].offset, e[i].len);
		taken(r[i], p->where, &e[i]);
	}
	return s.count;
}

/* With the lock held: up to BATCH of those who wait, in their order. */
static size_t takers_remove(struct port *p, struct request **r)
{
	struct waiter *w;
	size_t n = 0;

	while (n < BATCH && (w = p->takers.first)) {
		line_remove(&p->takers, w);
		r[n++] = container_of(w, struct request, w);
	}
	return n;
}

/* The port is final, or cannot be served. */
static void takers_end(struct port *p, struct request **r, size_t n, int result)
{
	struct waiter *rest = NULL;
	size_t i;

	port_lock(p);
	if (!result) {
		p->final = true;
		rest = line_empty(&p->takers, 0);
	}
	p->pumping = false;
	port_unlock(p);
	/* Callbacks may give p back. */
	for (i = 0; i < n; i++) {
		aop_unwatch(&r[i]->w.asked);
		aop_end(aop_owner(&r[i]->w.op), result);
	}
	waiters_end(rest);
}

void shared_serve(struct port *p)
{
	struct request *r[BATCH];
	int got, i;
	size_t n;

	port_lock(p);
	p->again = true;
	if (p->pumping) {
		port_unlock(p);
		return;
	}
	p->pumping = true;
	while (p->again) {
		p->again = false;
		n = takers_remove(p, r);
		if (!n)
			break;
		port_unlock(p);
		got = shared_take(p, r, n, AOP_NOWAIT);
		if (got <= 0 && got != -ETIME) {
			takers_end(p, r, n, got);
			return;
		}
		for (i = n; i > got && i > 0; i--)
			taker_return(p, &r[i - 1]->w);
		for (i = 0; i < got; i++) {
			aop_unwatch(&r[i]->w.asked);
			aop_done(aop_owner(&r[i]->w.op), 1);
		}
		port_lock(p);
		/* There may be as many more. */
		p->again |= got == (int)n;
	}
	p->pumping = false;
	port_unlock(p);
}

/* ---- answering --------------------------------------------------------------------------- */

static int answer(struct aop_ctx *ctx, struct aop_answer_entry *e)
{
	struct aop_ioc_serve s = {
		.size = sizeof(s),
		.answers = (uintptr_t)e,
		.answer_size = sizeof(*e),
		.nr_answers = 1,
	};
	int ret;

	ret = kernel_call(ctx, AOP_IOC_SERVE, &s);
	return ret ? ret : e->ret;
}

int shared_reply(struct request *r, int64_t result, const void *msg, size_t len)
{
	struct aop_owner *o = r->owner;
	struct aop_answer_entry e;
	struct op *op = &r->call;
	int ret, what;

	what = op_end_as(o, result);
	if (unlikely(what < 0))
		return what;
	r->owner = NULL;
	if (!len && !cork_of(op->ctx))
		return op->scope->signal(op, what, result, 0);
	if (unlikely(!aop_owner(to_aop(op))))
		return -EPERM;
	shared_forget_asked(op);
	e = (struct aop_answer_entry){
		.handle = op->handle,
		.what = what | AOP_SIGNAL_DETACH,
		.value = result,
		.message = (uintptr_t)msg,
		.len = len,
	};
	shared_owner_leaves(op);
	ret = port_cork_answer(op->ctx, &e) ? 0 : answer(op->ctx, &e);
	shared_owner_frees(op, what, result, ret);
	return ret;
}

int shared_delegate(struct request *r, struct port *to)
{
	struct op *op = &r->call;
	struct aop_delegate_entry e = { .handle = op->handle, .port = handle_of(to) };
	int ret = no_port(to);

	if (!ret && op->ctx != to->where)
		ret = -EXDEV;
	if (!ret)
		ret = kernel_batch(op->ctx, AOP_IOC_DELEGATE, &e, sizeof(e), 1);
	if (!ret)
		ret = e.ret;
	/* It has ended meanwhile, and so it stays. */
	if (ret && ret != -EALREADY)
		return ret;
	r->owner = NULL;
	shared_forget_asked(op);
	shared_owner_leaves(op);
	shared_owner_frees(op, AOP_SIGNAL_LET_GO, 0, 0);
	return 0;
}
