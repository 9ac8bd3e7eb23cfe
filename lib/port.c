// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * port.c - ports of this process: calls, and who takes them
 *
 * port->lock protects both lines; in private scope it is not taken.  Calls wait in the
 * order in which they came, those beyond the backlog too, since their memory is the
 * callers': a full backlog only refuses those who do not want to wait.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "inproc.h"
#include "opts.h"
#include "port.h"

#define BACKLOG	64

static struct call *to_call(struct waiter *w)
{
	return container_of(w, struct call, w);
}

static void lock(struct port *p)
{
	line_lock(&p->lock, p->where == AOP_LOCAL);
}

static void unlock(struct port *p)
{
	line_unlock(&p->lock, p->where == AOP_LOCAL);
}

static void calls_remove(struct port *p, struct waiter *w)
{
	line_remove(&p->calls, w);
	p->nr--;
}

/* A call that its port does not take any more, since that has ended like st. */
static void end_with_cause(struct waiter *w, const struct aop_status *st)
{
	struct aop_owner *o = aop_owner(&w->op);
	int64_t error = st->state == AOP_DONE ? -ESHUTDOWN : st->result;

	call_streams_leave(to_call(w), error);
	if (st->state == AOP_CANCELLED) {
		aop_cancelled(o, error);
		return;
	}
	scope_of(owner_op(o))->signal(owner_op(o), DO_FAIL_BY_SYSTEM, error, 0);
}

/* A call that has ended; its streams end so. */
static void let_go(struct waiter *w)
{
	struct aop_owner *o = aop_owner(&w->op);

	call_streams_leave(to_call(w), aop_asked(o));
	aop_let_go(o);
}

/* It was taken: false: it has ended before, and its caller has it back. */
static bool accept_call(struct waiter *w)
{
	struct aop_owner *o = aop_owner(&w->op);

	aop_unwatch(&w->asked);
	/* -EINVAL: it was delegated, and runs. */
	if (likely(!has_streams(to_call(w))))
		return aop_start(o) != -EALREADY;
	if (scope_of(owner_op(o))->signal(owner_op(o), DO_ACCEPT, 0, 0) != -EALREADY)
		return true;
	let_go(w);
	return false;
}

static void fill(struct aop_request *r, struct waiter *w)
{
	struct call *c = to_call(w);

	r->msg = c->msg;
	r->len = c->len;
	r->room = c->room;
	r->owner = aop_owner(&w->op);
	r->replies = c->replies.stream ? &c->replies : NULL;
	r->requests = c->requests.stream ? &c->requests : NULL;
}

/* Of no use after all: the next call is for it again. */
static void return_taker(struct port *p, struct waiter *w)
{
	bool final, asked;

	lock(p);
	final = p->final;
	/* A cancel that came while it was out of the line has found nothing to do. */
	asked = aop_asked(aop_owner(&w->op));
	if (!final && !asked) {
		w->next = p->takers.first;
		w->prev = NULL;
		if (w->next)
			w->next->prev = w;
		else
			p->takers.last = w;
		p->takers.first = w;
		w->queued = true;
	}
	unlock(p);
	if (!final && !asked)
		return;
	aop_unwatch(&w->asked);
	if (asked)
		waiter_cancelled(w);
	else
		aop_done(aop_owner(&w->op), 0);
}

/* Calls for those who wait for one. */
static void serve(struct port *p)
{
	struct waiter *c, *w;

	for (;;) {
		lock(p);
		c = p->calls.first;
		w = p->takers.first;
		if (!c || !w || aop_state(&p->op) == AOP_PENDING) {
			unlock(p);
			return;
		}
		calls_remove(p, c);
		line_remove(&p->takers, w);
		unlock(p);
		if (unlikely(!accept_call(c))) {
			return_taker(p, w);
			continue;
		}
		fill(w->to, c);
		aop_unwatch(&w->asked);
		aop_done(aop_owner(&w->op), 1);
	}
}

/* ---- the port ----------------------------------------------------------------------- */

static void port_started(struct aop_watch *watch, const struct aop_status *st)
{
	if (st->state != AOP_RUNNING)
		return;
	aop_unwatch(watch);
	serve(watch->data);
}

static void port_ended(struct aop_watch *watch, const struct aop_status *st)
{
	struct port *p = watch->data;
	struct waiter *c, *w, *next;
	struct aop_status cause = *st;
	unsigned int held;

	lock(p);
	p->final = true;
	c = p->calls.first;
	w = p->takers.first;
	for (next = c; next; next = next->next)
		next->queued = false;
	for (next = w; next; next = next->next)
		next->queued = false;
	p->calls = (struct line){ NULL, NULL };
	p->takers = p->calls;
	p->nr = 0;
	unlock(p);
	held = names_forget(p);
	/* Those that are called just now look at p. */
	for (next = c; next; next = next->next)
		aop_unwatch(&next->asked);
	for (next = w; next; next = next->next)
		aop_unwatch(&next->asked);
	/* Callbacks may give p back, if no name has held it. */
	for (; c; c = next) {
		next = c->next;
		end_with_cause(c, &cause);
	}
	for (; w; w = next) {
		next = w->next;
		aop_done(aop_owner(&w->op), 0);
	}
	while (held--)
		aop_drop(&p->op);
}

static int check_opts(const struct aop_port_opts *o)
{
	if (o->flags & ~(AOP_TIMED | AOP_DETACHED) || o->backlog > AOP_MAX_BACKLOG ||
	    o->mode & ~0777 || o->message > AOP_MAX_MESSAGE || o->state > AOP_RUNNING)
		return -EINVAL;
	return 0;
}

int port_failed(struct port *p, int error)
{
	memset(p, 0, sizeof(*p));
	p->where = AOP_LOCAL;
	p->message = UINT32_MAX;
	p->final = true;
	return op_ended(to_op(&p->op), error);
}

static int begin(struct port *p, struct aop_ctx *where, const struct aop_port_opts *o)
{
	struct op *op = to_op(&p->op);
	int ret;

	ret = aop_init_with(&p->op, where, &(const struct aop_opts){
				.size = sizeof(struct aop_opts), .flags = o->flags,
				.state = o->state, .label = p->name.text, .release = o->release });
	if (ret)
		return ret;
	ret = watch_add(op, &p->ended, WATCH_KEPT, port_ended, p, AOP_INLINE);
	if (!ret && o->state == AOP_PENDING)
		ret = aop_watch(&p->op, &p->started, port_started, p, AOP_INLINE);
	if (!ret && o->name)
		ret = aop_name_reserve(&p->name, where, o->name, o->mode, NULL);
	if (!ret && o->name) {
		ret = aop_name_bind(&p->name, (struct aop_port *)p);
		if (ret)
			aop_name_release(&p->name);
	}
	if (ret) {
		/* Nobody else knows it; not a port that ended, but none. */
		aop_unwatch(&p->started);
		aop_unwatch(&p->ended);
	}
	return ret;
}

/**
 * aop_port_init() - begin a port
 * @port: memory of the caller's, uninitialised, that stays where it is until dropped
 * @where: AOP_PRIVATE: for one thread's tasks; AOP_LOCAL: for any thread
 * @o: @o->size is sizeof(struct aop_port_opts), as AOP_PORT_OPTS() does it; or NULL
 *
 * Who serves it starts it (aop_start() on aop_owner()), and ends it as any op.  Its struct
 * must be there while anybody uses it: callers hold a watcher of its op, and so does a
 * name until the port is final; so one that has a name may be answered 0 by aop_drop()
 * on another thread than the one that ends it, and release() tells.  When nobody watches it
 * any more, and so nobody can call, its owner is asked to stop, unless it is AOP_DETACHED.
 *
 * With an error its op is FAILED with that, and each call of it ends so.  Does not block.
 * Any thread in local scope; not a signal handler.
 *
 * Return: 0; -EINVAL: an option is wrong, or @where is; -E2BIG: options of a newer
 * library; -EEXIST, -EILSEQ, -ENAMETOOLONG: as aop_name_reserve(); -EOPNOTSUPP: @where is
 * a context.
 */
int aop_port_init(struct aop_port *port, struct aop_ctx *where, const struct aop_port_opts *o)
{
	struct aop_port_opts opts = { .size = sizeof(opts) };
	struct port *p = to_port(port);
	int ret = 0;

	memset(p, 0, sizeof(*p));
	if (o)
		ret = opts_copy(&opts, sizeof(opts), o);
	if (!ret)
		ret = check_opts(&opts);
	if (!ret && !in_process(where))
		ret = where ? -EOPNOTSUPP : -EINVAL;
	if (ret)
		return port_failed(p, ret);
	p->where = where;
	p->backlog = opts.backlog ? opts.backlog : BACKLOG;
	p->message = opts.message ? opts.message : AOP_MAX_MESSAGE;
	ret = begin(p, where, &opts);
	return ret ? port_failed(p, ret) : 0;
}

/**
 * aop_port_backlog() - how many calls are queued
 * @port: a port
 *
 * Those that wait for room are counted too.  Any thread in local scope, where it may be
 * different by the time it is looked at.
 *
 * Return: how many.
 */
size_t aop_port_backlog(struct aop_port *port)
{
	struct port *p = to_port(port);
	size_t n;

	lock(p);
	n = p->nr;
	unlock(p);
	return n;
}

/* ---- calling ------------------------------------------------------------------------- */

/* Cancelled, dropped, or late.  One that was delegated is its next server's to end. */
static void call_asked(struct aop_watch *watch, const struct aop_status *st)
{
	struct waiter *w = watch->data;
	struct port *p = w->of;
	bool mine;

	if (st->state == AOP_RUNNING)
		return;
	lock(p);
	mine = w->queued;
	if (mine)
		calls_remove(p, w);
	unlock(p);
	if (mine)
		let_go(w);
}

/* Queue c; with an error nothing has happened but that nobody watches for its cancel. */
static int enqueue(struct port *p, struct waiter *w, bool wait)
{
	bool final, late = false, full = false;
	struct aop_status cause;
	int ret;

	w->of = p;
	w->queued = false;
	ret = aop_on_asked(aop_owner(&w->op), &w->asked, call_asked, w, AOP_INLINE);
	if (unlikely(ret))
		return ret;
	lock(p);
	final = p->final;
	full = !wait && p->nr >= p->backlog;
	/* If it was late before it stood in the line, the callback has found nothing to do. */
	if (!final && !full)
		late = aop_is_final(&w->op);
	if (!final && !full && !late) {
		line_add(&p->calls, w);
		p->nr++;
	}
	unlock(p);
	if (unlikely(final || full || late)) {
		aop_unwatch(&w->asked);
		if (final) {
			cause = aop_status(&p->op);
			end_with_cause(w, &cause);
		} else if (late) {
			let_go(w);
		}
		return !final && full ? -EAGAIN : 0;
	}
	serve(p);
	return 0;
}

/**
 * aop_call_with() - call a port, with options
 * @port: a port that the caller holds
 * @call: memory of the caller's, uninitialised, his again when its op is over
 * @msg: the request; the caller's again when the op is over
 * @len: bytes of it
 * @reply: where the reply goes; or NULL
 * @room: bytes there
 * @o: @o->size is sizeof(struct aop_call_opts), as AOP_CALL_OPTS() does it; or NULL.
 *	flags: AOP_TIMED, AOP_DETACHED, AOP_CALL_TRY
 *
 * The op is PENDING until a server takes the call: until then a cancel ends it, and so
 * does dropping it.  RUNNING it is the server's, who is asked.  A deadline ends it in any
 * case, but it is over only when the server has let go.  Calls are taken in their order.
 *
 * Streams (@o->requests, @o->replies) are of the port's scope, and the caller's, who has
 * made his ends of them: a sender of requests, a receiver of replies.  The server has the
 * other ends, of AOP_DROP_ENDS.  However the call ends, they have been dropped when it is
 * over, so nobody waits in vain: with an error, also if no server ever took it, the
 * receiver is told that error.  Dropping the receiver tells the server -EPIPE.
 *
 * May end the op of a taker, and so run its inline callbacks.  Does not block, allocates
 * nothing.  Any thread in local scope; not a signal handler.
 *
 * Return: the op of @call, never NULL.  Its result is the server's; FAILED, -EAGAIN: the
 * backlog is full (AOP_CALL_TRY); -EMSGSIZE: @len is more than the port takes; -EINVAL:
 * an option is wrong; -EXDEV: a stream is of another scope; as aop_sender_init() and
 * aop_receiver_init() for one of @o; by the system, -EOWNERDEAD: the server let go; or how
 * the port ended.
 */
struct aop *aop_call_with(struct aop_port *port, struct aop_call *call, const void *msg,
			  size_t len, void *reply, size_t room, const struct aop_call_opts *o)
{
	struct aop_call_opts opts = { .size = sizeof(opts) };
	struct call *c = (struct call *)call;
	struct port *p = to_port(port);
	int ret = 0;

	if (o)
		ret = opts_copy(&opts, sizeof(opts), o);
	if (!ret && len > p->message)
		ret = -EMSGSIZE;
	if (!ret && opts.flags & ~(AOP_TIMED | AOP_DETACHED | AOP_CALL_TRY))
		ret = -EINVAL;
	if (ret) {
		op_ended(to_op(&c->w.op), ret);
		return &c->w.op;
	}
	c->msg = msg;
	c->len = len;
	c->reply = reply;
	c->room = reply ? room : 0;
	c->got = 0;
	c->replies.stream = NULL;
	c->requests.stream = NULL;
	ret = aop_init_with(&c->w.op, p->where, &(const struct aop_opts){
				.size = sizeof(struct aop_opts),
				.flags = opts.flags & ~AOP_CALL_TRY,
				.label = p->name.text, .deadline = opts.deadline,
				.loop = opts.loop, .release = opts.release });
	if (ret)
		return &c->w.op;
	if (unlikely(opts.requests || opts.replies))
		ret = call_streams_begin(c, p->where, &opts);
	if (likely(!ret))
		ret = enqueue(p, &c->w, !(opts.flags & AOP_CALL_TRY));
	if (unlikely(ret)) {
		call_streams_leave(c, ret);
		aop_fail(aop_owner(&c->w.op), ret);
	}
	return &c->w.op;
}

/**
 * aop_call() - call a port, and wait for room if it has none
 * @port: a port that the caller holds
 * @call: memory of the caller's, uninitialised, his again when its op is over
 * @msg: the request; the caller's again when the op is over
 * @len: bytes of it
 * @reply: where the reply goes; or NULL
 * @room: bytes there
 *
 * The same as aop_call_with() without options.
 *
 * Return: see aop_call_with().
 */
struct aop *aop_call(struct aop_port *port, struct aop_call *call, const void *msg, size_t len,
		     void *reply, size_t room)
{
	return aop_call_with(port, call, msg, len, reply, room, NULL);
}

/**
 * aop_call_reply() - how long the reply is
 * @call: a call
 *
 * Afterwards the reply is in the call's buffer.  Any thread that holds the call's op,
 * before it is dropped, or the one that has dropped it and was answered 1.
 *
 * Return: its bytes, 0 if there is none; -EINPROGRESS: the call is not over.
 */
int aop_call_reply(struct aop_call *call)
{
	struct call *c = (struct call *)call;
	struct aop_status s;

	s.word = aop_word_(&c->w.op);
	if (!(s.flags & AOP_F_OVER))
		return -EINPROGRESS;
	/* A server that came too late may have written one. */
	return s.flags & AOP_F_SYSTEM ? 0 : (int)c->got;
}

/* ---- serving -------------------------------------------------------------------------- */

static int try_take(struct port *p, struct aop_request *r)
{
	struct waiter *w;
	bool final;

	for (;;) {
		lock(p);
		w = p->calls.first;
		if (p->final || !w || p->takers.first || aop_state(&p->op) == AOP_PENDING) {
			final = p->final;
			unlock(p);
			return final ? 0 : -EAGAIN;
		}
		calls_remove(p, w);
		unlock(p);
		if (likely(accept_call(w))) {
			fill(r, w);
			return 1;
		}
	}
}

/**
 * aop_try_take_call() - take a call, or not
 * @port: a port
 * @r: memory of the caller's, uninitialised; out: the call
 *
 * The call is RUNNING, and its owner side is the caller's: aop_reply(), aop_delegate(), or
 * any call that ends @r->owner.  Letting go of it unanswered ends it -EOWNERDEAD.  If it
 * has streams (@r->replies, @r->requests) only aop_reply() ends it.
 *
 * Runs callbacks that watch the call inline.  Never waits.  Any thread in local scope;
 * not a signal handler.
 *
 * Return: 1; 0: the port is final; -EAGAIN: there is none now, others wait to take one,
 * or the port is PENDING.
 */
int aop_try_take_call(struct aop_port *port, struct aop_request *r)
{
	r->owner = NULL;
	return try_take(to_port(port), r);
}

static void take_asked(struct aop_watch *watch, const struct aop_status *st)
{
	struct waiter *w = watch->data;
	struct port *p = w->of;
	bool mine;

	(void)st;
	lock(p);
	mine = w->queued;
	if (mine)
		line_remove(&p->takers, w);
	unlock(p);
	if (mine)
		waiter_cancelled(w);
}

/**
 * aop_take_call() - take a call as soon as there is one
 * @port: a port
 * @r: memory of the caller's, uninitialised, his again when its op is over; out: the call
 *
 * As aop_try_take_call().  Takers wait in their order; one call wakes one.  Cancelling the
 * op leaves the line, unless it ends with 1 nevertheless: then there is a call in @r.  So
 * does dropping it, if that is answered 1.
 *
 * Does not block, allocates nothing.  Any thread in local scope; not a signal handler.
 *
 * Return: the op of @r, never NULL: DONE, 1, a call; DONE, 0, the port is final.
 */
struct aop *aop_take_call(struct aop_port *port, struct aop_request *r)
{
	struct waiter *w = (struct waiter *)r;
	struct port *p = to_port(port);
	bool final;
	int ret;

	r->owner = NULL;
	ret = try_take(p, r);
	if (ret != -EAGAIN)
		return waiter_ended(w, p->where, ret);
	if (unlikely(waiter_init(w, p->where, p, take_asked)))
		return &w->op;
	w->to = r;
	lock(p);
	final = p->final;
	if (!final)
		line_add(&p->takers, w);
	unlock(p);
	if (likely(!final)) {
		serve(p);
	} else {
		aop_unwatch(&w->asked);
		aop_done(aop_owner(&w->op), 0);
	}
	return &w->op;
}

/**
 * aop_reply() - answer a call
 * @r: a call that was taken; its owner side is gone afterwards, except for -EINVAL, -EMSGSIZE
 * @result: as for aop_end()
 * @msg: the reply, copied; or NULL
 * @len: bytes of it
 *
 * The call's streams are left first: who sends requests is told -EPIPE, and the replies
 * end, with the error if @result is one; otherwise when clones of @r->replies are dropped.
 *
 * Return: as aop_end(); -EMSGSIZE: the caller has not that much room; -EPERM: it has been
 * answered.
 */
int aop_reply(struct aop_request *r, int64_t result, const void *msg, size_t len)
{
	struct aop_owner *o = r->owner;
	struct call *c;
	int ret;

	if (!o)
		return -EPERM;
	if (len > r->room)
		return -EMSGSIZE;
	c = container_of(owner_op(o), struct call, w.op);
	if (len)
		memcpy(c->reply, msg, len);
	c->got = len;
	r->owner = NULL;
	if (unlikely(has_streams(c)) && (result >= -4095 || result == aop_asked(o)))
		call_streams_leave(c, result);
	ret = aop_end(o, result);
	if (ret == -EINVAL) {
		c->got = 0;
		r->owner = o;
	}
	return ret;
}

/**
 * aop_delegate() - hand a call that was taken on to another port
 * @r: the call; its owner side is gone afterwards, unless there is an error
 * @to: a port of the same scope
 *
 * Whoever takes it there answers it, and its caller gets that answer.  What the caller asks
 * for meanwhile, that one is told.  A port that is final ends the call with its cause.
 * The caller's watches for the owner (aop_on_asked()) must have been unwatched.
 *
 * Return: 0; -EAGAIN: the backlog of @to is full; -EMSGSIZE: it takes no such request;
 * -EXDEV: it is of another scope; -EPERM: the call has been answered.
 */
int aop_delegate(struct aop_request *r, struct aop_port *to)
{
	struct aop_owner *o = r->owner;
	struct port *p = to_port(to);
	int ret;

	if (!o)
		return -EPERM;
	if (p->where == AOP_PRIVATE ? !is_private(owner_op(o)) : is_private(owner_op(o)))
		return -EXDEV;
	if (r->len > p->message)
		return -EMSGSIZE;
	r->owner = NULL;
	ret = enqueue(p, container_of(owner_op(o), struct waiter, op), false);
	if (ret)
		r->owner = o;
	return ret;
}

/**
 * aop_request_from() - who has called
 * @r: a call that was taken
 * @who: out: ids of its caller, as this process sees them: they cannot be forged
 *
 * In process that is this process, which the system is asked for.  Any thread.
 */
void aop_request_from(const struct aop_request *r, struct aop_caller *who)
{
	(void)r;
	who->uid = geteuid();
	who->gid = getegid();
	who->pid = getpid();
}
