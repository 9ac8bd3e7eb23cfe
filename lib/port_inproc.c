// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * port_inproc.c - the backlog of a port of this process
 *
 * The owner side of a queued call is with its port.  Calls begin PENDING, so a cancel ends
 * one at once, and the callback only lets go.  They wait in the order in which they came,
 * those beyond the backlog too, since their memory is the callers'.
 *
 * port->lock protects the lines; in private scope it is not taken.
 */
#include <errno.h>
#include <string.h>

#include "inproc.h"
#include "port.h"

#define BACKLOG	64

/* w leaves the line of calls, locked.  Returns those who waited for that: to be ended. */
static struct waiter *calls_remove(struct port *p, struct waiter *w)
{
	line_remove(&p->calls, w);
	return --p->nr < p->backlog ? line_empty(&p->wanting, 1) : NULL;
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

static void fill(struct request *r, struct waiter *w)
{
	struct call *c = to_call(w);

	r->msg = c->msg;
	r->len = c->len;
	r->room = c->room;
	r->owner = aop_owner(&w->op);
	r->replies = c->replies.stream ? &c->replies : NULL;
	r->requests = c->requests.stream ? &c->requests : NULL;
	r->shared = false;
}

void inproc_serve(struct port *p)
{
	struct waiter *c, *w, *room;

	for (;;) {
		port_lock(p);
		c = p->calls.first;
		w = p->takers.first;
		if (!c || !w || aop_state(&p->op) == AOP_PENDING) {
			port_unlock(p);
			return;
		}
		room = calls_remove(p, c);
		line_remove(&p->takers, w);
		port_unlock(p);
		waiters_end(room);
		if (unlikely(!accept_call(c))) {
			taker_return(p, w);
			continue;
		}
		fill(container_of(w, struct request, w), c);
		aop_unwatch(&w->asked);
		aop_done(aop_owner(&w->op), 1);
	}
}

int inproc_take(struct port *p, struct request *r)
{
	struct waiter *w, *room;
	bool final;

	for (;;) {
		port_lock(p);
		w = p->calls.first;
		if (p->final || !w || p->takers.first || aop_state(&p->op) == AOP_PENDING) {
			final = p->final;
			port_unlock(p);
			return final ? 0 : -EAGAIN;
		}
		room = calls_remove(p, w);
		port_unlock(p);
		waiters_end(room);
		if (likely(accept_call(w))) {
			fill(r, w);
			return 1;
		}
	}
}

/* ---- the port ----------------------------------------------------------------------- */

static void port_started(struct aop_watch *watch, const struct aop_status *st)
{
	if (st->state != AOP_RUNNING)
		return;
	aop_unwatch(watch);
	inproc_serve(watch->data);
}

static void unwatch_chain(struct waiter *w)
{
	for (; w; w = w->next)
		aop_unwatch(&w->asked);
}

static void port_ended(struct aop_watch *watch, const struct aop_status *st)
{
	struct waiter *calls, *takers, *wanting, *next;
	struct aop_status cause = *st;
	struct port *p = watch->data;
	unsigned int held;

	port_lock(p);
	p->final = true;
	calls = line_empty(&p->calls, 0);
	takers = line_empty(&p->takers, 0);
	wanting = line_empty(&p->wanting, 1);
	p->nr = 0;
	port_unlock(p);
	held = names_forget(p);
	/* Those that are asked just now look at p. */
	unwatch_chain(calls);
	unwatch_chain(takers);
	unwatch_chain(wanting);
	/* Callbacks may give p back, if no name has held it. */
	for (; calls; calls = next) {
		next = calls->next;
		end_with_cause(calls, &cause);
	}
	waiters_end(takers);
	waiters_end(wanting);
	while (held--)
		aop_drop(&p->op);
}

int inproc_port_init(struct port *p, struct aop_ctx *where, const struct aop_port_opts *o)
{
	int ret;

	ret = aop_init_with(&p->op, where, &(const struct aop_opts){
				.size = sizeof(struct aop_opts), .flags = o->flags,
				.state = o->state, .label = p->name.text, .release = o->release });
	if (ret)
		return ret;
	p->where = where;
	p->backlog = o->backlog ? o->backlog : BACKLOG;
	p->message = o->message ? o->message : AOP_MAX_MESSAGE;
	ret = watch_add(to_op(&p->op), &p->watches[0], WATCH_KEPT, port_ended, p, AOP_INLINE);
	if (!ret && o->state == AOP_PENDING)
		ret = aop_watch(&p->op, &p->watches[1], port_started, p, AOP_INLINE);
	if (!ret)
		ret = port_take_name(p, o);
	if (ret) {
		/* Nobody else knows it; not a port that ended, but none. */
		aop_unwatch(&p->watches[1]);
		aop_unwatch(&p->watches[0]);
	}
	return ret;
}

/* ---- calling ------------------------------------------------------------------------- */

/* Cancelled, dropped, or late.  One that was delegated is its next server's to end. */
static void call_asked(struct aop_watch *watch, const struct aop_status *st)
{
	struct waiter *w = watch->data, *room = NULL;
	struct port *p = w->of;
	bool mine;

	if (st->state == AOP_RUNNING)
		return;
	port_lock(p);
	mine = w->queued;
	if (mine)
		room = calls_remove(p, w);
	port_unlock(p);
	if (mine)
		let_go(w);
	waiters_end(room);
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
	port_lock(p);
	final = p->final;
	full = !wait && p->nr >= p->backlog;
	/* If it was late before it stood in the line, the callback has found nothing to do. */
	if (!final && !full)
		late = aop_is_final(&w->op);
	if (!final && !full && !late) {
		line_add(&p->calls, w);
		p->nr++;
	}
	port_unlock(p);
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
	inproc_serve(p);
	return 0;
}

void inproc_call(struct port *p, struct call *c, const struct aop_call_opts *o)
{
	int ret = c->len > p->message ? -EMSGSIZE : 0;

	if (unlikely(ret)) {
		op_ended(to_op(&c->w.op), ret);
		to_op(&c->w.op)->release = o->release;
		return;
	}
	ret = aop_init_with(&c->w.op, p->where, &(const struct aop_opts){
				.size = sizeof(struct aop_opts),
				.flags = o->flags & ~AOP_CALL_WAIT,
				.label = p->name.text, .deadline = o->deadline,
				.loop = o->loop, .release = o->release });
	if (ret)
		return;
	c->replies.stream = NULL;
	c->requests.stream = NULL;
	if (unlikely(o->requests || o->replies))
		ret = call_streams_begin(c, p->where, o);
	if (likely(!ret))
		ret = enqueue(p, &c->w, o->flags & AOP_CALL_WAIT);
	if (unlikely(ret)) {
		call_streams_leave(c, ret);
		aop_fail(aop_owner(&c->w.op), ret);
	}
}

/* ---- answering ------------------------------------------------------------------------ */

int inproc_reply(struct request *r, int64_t result, const void *msg, size_t len)
{
	struct aop_owner *o = r->owner;
	struct call *c = container_of(owner_op(o), struct call, w.op);
	int ret;

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

int inproc_delegate(struct request *r, struct port *to)
{
	struct aop_owner *o = r->owner;
	int ret;

	if (to->where == AOP_PRIVATE ? !is_private(owner_op(o)) : is_private(owner_op(o)))
		return -EXDEV;
	if (r->len > to->message)
		return -EMSGSIZE;
	r->owner = NULL;
	ret = enqueue(to, container_of(owner_op(o), struct waiter, op), false);
	if (ret)
		r->owner = o;
	return ret;
}
