// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * port.c - ports: the public calls, and who waits at a port
 *
 * Who waits to take a call, or for room, has an op of this process in every scope, and
 * stands in a line of the port; in shared scope the dispatch of its context serves them.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "opts.h"
#include "port.h"

#define AT_ONCE	64			/* calls that are taken */

static struct request *to_request(struct aop_request *r)
{
	return (struct request *)r;
}

/* ---- the port ----------------------------------------------------------------------- */

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

int port_take_name(struct port *p, const struct aop_port_opts *o)
{
	int ret;

	if (!o->name)
		return 0;
	ret = aop_name_reserve(&p->name, p->where, o->name, o->mode, NULL);
	if (ret)
		return ret;
	ret = aop_name_bind(&p->name, (struct aop_port *)p);
	if (ret)
		aop_name_release(&p->name);
	return ret;
}

/**
 * aop_port_init() - begin a port
 * @port: memory of the caller's, uninitialised, that stays where it is until dropped
 * @where: AOP_PRIVATE: for one thread's tasks; AOP_LOCAL: for any thread; or an opened
 *	context: for other processes too
 * @o: @o->size is sizeof(struct aop_port_opts), as AOP_PORT_OPTS() does it; or NULL
 *
 * Who serves it starts it (aop_start() on aop_owner()), and ends it as any op.  When nobody
 * watches it any more, and so, in process, nobody can call, its owner is asked to stop, unless
 * it is AOP_DETACHED; between processes clients do not count.  Its struct must be there while
 * anybody of this process uses it, and takers and clients that wait at it must have ended
 * before it is dropped.  In process callers hold a watcher of its op, and so does a name
 * until the port is final; so one that has a name may be answered 0 by aop_drop() on another
 * thread than the one that ends it, and release() tells.
 *
 * With an error its op is FAILED with that, and each call of it ends so.  Does not block.
 * Any thread in local and shared scope; not a signal handler.
 *
 * Return: 0; -EINVAL: an option is wrong, or @where is; -E2BIG: options of a newer
 * library; -EEXIST, -EILSEQ, -ENAMETOOLONG: as aop_name_reserve(); in shared scope also what
 * aop_init_with() may say.
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
		ret = where ? check_opts(&opts) : -EINVAL;
	if (!ret)
		ret = in_process(where) ? inproc_port_init(p, where, &opts) :
					  shared_port_init(p, where, &opts);
	return ret ? port_failed(p, ret) : 0;
}

static int attached(struct port *p, struct aop_ctx *ctx, int ret)
{
	if (ret)
		return port_failed(p, ret);
	p->where = ctx;
	return 0;
}

/**
 * aop_port_attach() - a port of another process, by descriptor
 * @port: memory of the caller's, uninitialised, that stays where it is until dropped
 * @ctx: an opened context
 * @fd: from aop_export() of the port's op, with AOP_MAY_CALL to call it, AOP_MAY_SERVE to
 *	take its calls, AOP_MAY_DRIVE to own it; stays the caller's
 *
 * aop_take_call() needs AOP_MAY_LOOK as well.  Otherwise like aop_attach().
 *
 * Return: as aop_attach().  With an error the port is FAILED, and calls of it end so.
 */
int aop_port_attach(struct aop_port *port, struct aop_ctx *ctx, int fd)
{
	memset(port, 0, sizeof(*port));
	return attached(to_port(port), ctx, aop_attach(&port->op, ctx, fd));
}

/**
 * aop_port_attach_id() - a port of another process, by the id of its op
 * @port: memory of the caller's, uninitialised, that stays where it is until dropped
 * @ctx: an opened context
 * @id: of aop_id()
 * @rights: AOP_MAY_CALL, AOP_MAY_LOOK, AOP_MAY_CANCEL; 0: all that the port's mode allows
 *
 * Return: as aop_attach_id().  With an error the port is FAILED, and calls of it end so.
 */
int aop_port_attach_id(struct aop_port *port, struct aop_ctx *ctx, uint64_t id,
		       unsigned int rights)
{
	memset(port, 0, sizeof(*port));
	return attached(to_port(port), ctx, aop_attach_id(&port->op, ctx, id, rights));
}

/* ---- who waits ------------------------------------------------------------------------ */

struct waiter *line_empty(struct line *line, int64_t result)
{
	struct waiter *w, *all = line->first;

	for (w = all; w; w = w->next) {
		w->queued = false;
		w->result = result;
	}
	*line = (struct line){ NULL, NULL };
	return all;
}

/* Cancelled, or dropped. */
static void waiter_asked(struct aop_watch *watch, const struct aop_status *st)
{
	struct waiter *w = watch->data;
	struct port *p = w->of;
	bool mine;

	(void)st;
	port_lock(p);
	mine = w->queued;
	if (mine)
		line_remove(w->n == PORT_WANTING ? &p->wanting : &p->takers, w);
	port_unlock(p);
	if (mine)
		waiter_cancelled(w);
}

void taker_return(struct port *p, struct waiter *w)
{
	bool final, asked;

	port_lock(p);
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
	port_unlock(p);
	if (!final && !asked)
		return;
	aop_unwatch(&w->asked);
	if (asked)
		waiter_cancelled(w);
	else
		aop_done(aop_owner(&w->op), 0);
}

static struct aop_ctx *scope_of_waiters(const struct port *p)
{
	return in_process(p->where) ? p->where : AOP_LOCAL;
}

/* Ends w, which waits for nothing. */
static struct aop *at_once(struct waiter *w, int64_t result)
{
	aop_unwatch(&w->asked);
	aop_end(aop_owner(&w->op), result);
	return &w->op;
}

/* ---- calling ------------------------------------------------------------------------- */

/**
 * aop_call_with() - call a port, with options
 * @port: a port that the caller holds
 * @call: memory of the caller's, uninitialised, his again when its op is over
 * @msg: the request; the caller's again when the op is over
 * @len: bytes of it
 * @reply: where the reply goes; or NULL
 * @room: bytes there
 * @o: @o->size is sizeof(struct aop_call_opts), as AOP_CALL_OPTS() does it; or NULL.
 *	flags: AOP_TIMED, AOP_DETACHED, AOP_CALL_WAIT
 *
 * The op is PENDING until a server takes the call: until then a cancel ends it, and so
 * does dropping it.  RUNNING it is the server's, who is asked.  A deadline ends it in any
 * case, but it is over only when the server has let go.  Calls of one caller are taken in
 * their order.
 *
 * Streams (@o->requests, @o->replies) are of the port's scope, and the caller's, who has
 * made his ends of them: a sender of requests, a receiver of replies.  The server has the
 * other ends, of AOP_DROP_ENDS.  However the call ends, they have been dropped when it is
 * over, so nobody waits in vain: with an error, also if no server ever took it, the
 * receiver is told that error.  Dropping the receiver tells the server -EPIPE.
 *
 * Where the backlog is full the call fails, and aop_port_room() waits for its turn.  With
 * AOP_CALL_WAIT it waits itself: in process as a PENDING op; in shared scope this thread
 * blocks until there is room, at most until the call's deadline.
 *
 * In process it may end the op of a taker, and so run its inline callbacks.  In shared scope
 * one system call; none when corked, and then @msg must stay too.  Does not block otherwise,
 * allocates nothing.  Any thread in local and shared scope; not a signal handler.
 *
 * Return: the op of @call, never NULL.  Its result is the server's; FAILED, -EAGAIN: the
 * backlog is full; -EMSGSIZE: @len is more than the port takes; -EINVAL: an option is
 * wrong; -EXDEV: a stream is of another scope, or the port is shared; as aop_sender_init() and
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
	if (!ret && opts.flags & ~(AOP_TIMED | AOP_DETACHED | AOP_CALL_WAIT))
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
	if (in_process(p->where))
		inproc_call(p, c, &opts);
	else
		shared_call(p, c, &opts);
	return &c->w.op;
}

/**
 * aop_call() - call a port
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
 * before it is dropped, or the one that has dropped it and was answered 1.  In shared scope
 * one system call, the first time, unless the call's op was dropped.
 *
 * Return: its bytes, 0 if there is none; -EINPROGRESS: the call is not over; -EFAULT: the
 * buffer is none.
 */
int aop_call_reply(struct aop_call *call)
{
	struct call *c = (struct call *)call;
	struct aop_status s;

	s.word = aop_word_(&c->w.op);
	if (!(s.flags & AOP_F_OVER))
		return -EINPROGRESS;
	/* A server that came too late may have written one. */
	if (s.flags & AOP_F_SYSTEM)
		return 0;
	return to_op(&c->w.op)->scope == &scope_shared ? shared_call_reply(c) : (int)c->got;
}

/**
 * aop_port_room() - wait for room in a port's backlog
 * @port: a port that the caller holds
 * @waiter: memory of the caller's, uninitialised, his again when its op is over
 *
 * For a client whose call has failed with -EAGAIN.  All that wait are told, so the next call
 * may find none again; a port that has ended tells them too.  In shared scope the op is of
 * AOP_LOCAL, and somebody has to dispatch the context.
 *
 * Does not block, allocates nothing; a system call the first time.  Any thread in local and
 * shared scope; not a signal handler.
 *
 * Return: the op of @waiter, never NULL: DONE, 1.
 */
struct aop *aop_port_room(struct aop_port *port, struct aop_waiter *waiter)
{
	struct waiter *w = to_waiter(waiter);
	struct port *p = to_port(port);
	bool full, shared;
	int ret = 0;

	shared = !in_process(p->where);
	if (unlikely(waiter_init(w, scope_of_waiters(p), p, waiter_asked)))
		return &w->op;
	w->n = PORT_WANTING;
	if (shared)
		ret = shared_watched(p, PORT_WANTING);
	if (unlikely(ret))
		return at_once(w, ret);
	port_lock(p);
	full = shared ? p->full : !p->final && p->nr >= p->backlog;
	if (full)
		line_add(&p->wanting, w);
	port_unlock(p);
	return full ? &w->op : at_once(w, 1);
}

/* ---- serving -------------------------------------------------------------------------- */

/* Up to n, without waiting. */
static int take(struct port *p, struct aop_request *r, size_t n)
{
	size_t got = 0;
	int ret = 1;

	while (got < n && ret == 1) {
		ret = inproc_take(p, to_request(&r[got]));
		got += ret == 1;
	}
	return got ? (int)got : ret;
}

/**
 * aop_serve() - take calls, and wait for the first
 * @port: a port
 * @r: memory of the caller's, uninitialised, @n of them; out: the calls
 * @n: how many at the most; 64 are taken at once
 * @t: AOP_NOWAIT, AOP_FOREVER, nanoseconds, or aop_until() a time
 *
 * Each call is RUNNING, and its owner side is the caller's: aop_reply(), aop_delegate(), or
 * any call that ends @r->owner.  Letting go of it unanswered ends it -EOWNERDEAD.  If it
 * has streams (@r->replies, @r->requests) only aop_reply() ends it.
 *
 * In shared scope one system call, which carries out the replies that this thread has
 * corked as well; needs AOP_MAY_SERVE.  In process it runs callbacks that watch the calls
 * inline, and those who stand in the line of aop_take_call() come first.  Allocates nothing,
 * but once in a thread where @n is more than 1.  Any thread in local and shared scope; not a
 * signal handler.
 *
 * Return: how many, 1 or more; 0: the port is final; -ETIME: none within @t (AOP_NOWAIT: none
 * now), or the port is PENDING; -EINVAL: @n is 0; -EDEADLK: the port is private, and @t
 * would be for ever; in shared scope also -EPERM: this struct may not serve; -ENOSPC: the
 * context has no free slot; -EMFILE: the next call has a descriptor, which is closed here, but
 * none is free, and the call waits; -ENOMEM.
 */
int aop_serve(struct aop_port *port, struct aop_request *r, size_t n, int64_t t)
{
	struct request *all[AT_ONCE];
	struct port *p = to_port(port);
	struct aop *op;
	size_t i;
	int ret;

	if (!n)
		return -EINVAL;
	if (n > AT_ONCE)
		n = AT_ONCE;
	for (i = 0; i < n; i++) {
		all[i] = to_request(&r[i]);
		all[i]->owner = NULL;
	}
	if (!in_process(p->where))
		return shared_take(p, all, n, t);
	ret = take(p, r, n);
	if (ret != -EAGAIN)
		return ret;
	if (t == AOP_NOWAIT)
		return -ETIME;
	op = aop_take_call(port, r);
	ret = aop_wait(op, t);
	if (ret)
		aop_cancel(op, ret);
	ret = aop_join(op);
	if (ret != 1 || n == 1)
		return ret;
	ret = take(p, r + 1, n - 1);
	return ret > 0 ? ret + 1 : 1;
}

/**
 * aop_take_call() - take a call as soon as there is one
 * @port: a port
 * @r: memory of the caller's, uninitialised, his again when its op is over; out: the call
 *
 * For tasks and loops: as aop_serve(), for one call, as an op.  Takers wait in their order;
 * one call wakes one.  Cancelling the op leaves the line, unless it ends with 1
 * nevertheless: then there is a call in @r.  So does dropping it, if that is answered 1.
 *
 * In shared scope the op is of AOP_LOCAL; somebody has to dispatch the context; needs
 * AOP_MAY_LOOK; one system call.  Does not block, allocates nothing.  Any thread in local
 * and shared scope; not a signal handler.
 *
 * Return: the op of @r, never NULL: DONE, 1, a call; DONE, 0, the port is final; else as
 * aop_serve().
 */
struct aop *aop_take_call(struct aop_port *port, struct aop_request *r)
{
	struct waiter *w = &to_request(r)->w;
	struct port *p = to_port(port);
	const bool shared = !in_process(p->where);
	bool final;
	int ret;

	r->owner = NULL;
	ret = shared ? -EAGAIN : inproc_take(p, to_request(r));
	if (ret != -EAGAIN)
		return waiter_ended(w, p->where, ret);
	if (unlikely(waiter_init(w, scope_of_waiters(p), p, waiter_asked)))
		return &w->op;
	w->n = PORT_TAKERS;
	ret = shared ? shared_watched(p, PORT_TAKERS) : 0;
	if (unlikely(ret))
		return at_once(w, ret);
	port_lock(p);
	final = p->final;
	if (!final)
		line_add(&p->takers, w);
	port_unlock(p);
	if (unlikely(final))
		return at_once(w, 0);
	if (shared)
		shared_serve(p);
	else
		inproc_serve(p);
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
 * In shared scope one system call; none when corked, until aop_serve() or aop_uncork().
 *
 * Return: as aop_end(); -EMSGSIZE: the caller has not that much room; -EPERM: it has been
 * answered.
 */
int aop_reply(struct aop_request *r, int64_t result, const void *msg, size_t len)
{
	if (!r->owner)
		return -EPERM;
	if (len > r->room)
		return -EMSGSIZE;
	return to_request(r)->shared ? shared_reply(to_request(r), result, msg, len) :
					  inproc_reply(to_request(r), result, msg, len);
}

/**
 * aop_delegate() - hand a call that was taken on to another port
 * @r: the call; its owner side is gone afterwards, unless there is an error
 * @to: a port of the same scope, or context
 *
 * Whoever takes it there answers it, and its caller gets that answer.  What the caller asks
 * for meanwhile, that one is told.  A port that is final ends the call with its cause.
 * The caller's watches for the owner (aop_on_asked()) must have been unwatched.
 *
 * Return: 0; -EAGAIN: the backlog of @to is full; -EMSGSIZE: it takes no such request;
 * -EXDEV: it is of another scope; -EPERM: the call has been answered, or this struct may not
 * call @to.
 */
int aop_delegate(struct aop_request *r, struct aop_port *to)
{
	struct port *p = to_port(to);

	if (!r->owner)
		return -EPERM;
	if (to_request(r)->shared == in_process(p->where))
		return -EXDEV;
	return in_process(p->where) ? inproc_delegate(to_request(r), p) :
				      shared_delegate(to_request(r), p);
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
	const struct request *req = (const struct request *)r;

	if (req->shared) {
		who->uid = req->uid;
		who->gid = req->gid;
		who->pid = req->pid;
		return;
	}
	who->uid = geteuid();
	who->gid = getegid();
	who->pid = getpid();
}
