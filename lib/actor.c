// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * actor.c - actors: a port, and the task that serves it
 *
 * The task is detached, and its op is nobody's: what is watched and cancelled is the
 * port's.  So its cleanup, which ends that, is the last to touch the actor.  All of this
 * runs in the loop's thread, but for aop_actor_spawn(), and so there are no locks.
 */
#include <errno.h>

#include "inproc.h"
#include "opts.h"
#include "port.h"
#include "task.h"

struct actor {
	struct aop_port port;
	struct aop_task task;
	struct aop_request request;
	uint64_t restarts;
	struct aop_timer timer;
	struct aop_watch asked;
	aop_poll_fn *body, *cleanup;
	int64_t (*failed)(struct aop_actor *a, int64_t error);
	bool rests;			/* until timer is over, then it begins anew */
	bool begins;
};

_Static_assert(sizeof(struct actor) <= sizeof(struct aop_actor), "struct actor");
_Static_assert(offsetof(struct actor, asked) == offsetof(struct aop_actor, asked), "actor");

static struct actor *to_actor(struct aop_task *t)
{
	return container_of(t, struct actor, task);
}

/* The call in hand, which the body has left unanswered. */
static void answer(struct actor *a, int64_t result)
{
	if (result >= 0)
		result = -ESHUTDOWN;
	if (a->request.owner && aop_reply(&a->request, result, NULL, 0) == -EINVAL)
		aop_reply(&a->request, -EINVAL, NULL, 0);
}

/* The body has returned: for how long is it to rest?  Negative: it does not begin anew. */
static int64_t rest(struct actor *a, int64_t ret)
{
	answer(a, ret);
	if (ret >= 0 || !a->failed || aop_asked(aop_owner(&a->port.op)))
		return -1;
	return a->failed((struct aop_actor *)a, ret);
}

static int64_t actor_poll(struct aop_task *t)
{
	struct actor *a = to_actor(t);
	int64_t ret, time;

	if (a->rests) {
		if (!aop_is_over(t->awaits) && !aop_await_(t))
			return AOP_MORE;
		a->rests = false;
		a->begins = true;
	}
	if (a->begins) {
		a->begins = false;
		ret = aop_asked(aop_owner(&a->port.op));
		if (ret)
			return ret;
	}
	ret = a->body(t);
	if (ret == AOP_MORE)
		return ret;
	time = rest(a, ret);
	if (time < 0)
		return ret;
	a->restarts++;
	a->rests = true;
	t->line = 0;
	t->awaits = aop_sleep(t->loop, &a->timer, time);
	/* Also if that is over: then it is woken, and others run first. */
	return aop_await_(t) ? aop_result(t->awaits) : AOP_MORE;
}

static int64_t actor_cleanup(struct aop_task *t)
{
	const bool lost = to_task(t)->state & TASK_DROPPED;
	int64_t ret = to_task(t)->result;
	struct actor *a = to_actor(t);
	struct aop_owner *o = aop_owner(&a->port.op);

	answer(a, lost ? -EOWNERDEAD : ret);
	if (a->cleanup && a->cleanup(t) == AOP_MORE)
		return AOP_MORE;
	aop_unwatch(&a->asked);
	/* The last touch. */
	if (lost)
		aop_let_go(o);
	else if (aop_end(o, ret) == -EINVAL)
		aop_fail(o, -EINVAL);
	return 0;
}

/* The port's op was cancelled, or nobody holds it any more. */
static void actor_asked(struct aop_watch *w, const struct aop_status *st)
{
	struct actor *a = w->data;
	int reason = aop_asked(aop_owner(&a->port.op));

	(void)st;
	aop_cancel(&a->task.op, reason);
}

/**
 * aop_actor_spawn() - begin an actor
 * @l: a loop
 * @actor: memory of the caller's, uninitialised (all but what surrounds it), his again
 *	when the op is over
 * @body: what it does, as a task's poll function: prepares, calls aop_actor_ready(), and
 *	awaits aop_actor_take() until it returns; with a cancel it gets the reason
 *	from what it awaits, and should return that.  A call in @actor->request that it leaves
 *	unanswered ends as it does
 * @o: @o->size is sizeof(struct aop_actor_opts), as AOP_ACTOR_OPTS() does it; or NULL.
 *	@o->where: AOP_PRIVATE, if only the loop's thread calls; @o->failed: is asked, in the
 *	loop's thread, when the body has returned an error and nobody has asked it to stop
 *
 * Nothing of the body runs inside this call.  Besides the call in hand it may take others
 * from @actor->port, into requests of its own, which it must answer itself, also when it
 * fails.  Beginning anew, @body is called as for the first time; children of its task go on.
 *
 * Cancelling the op is asking the actor to stop, and so is dropping the last hold of it:
 * whoever calls should have one (aop_hold()).  @actor->port is given up as any port is, with
 * aop_drop().
 *
 * Does not block, allocates nothing.  The loop's thread; another one if the port's scope is
 * local, and the loop is not being closed.
 *
 * Return: the op of @actor->port, never NULL.  FAILED: -EINVAL: something is NULL, or an
 * option is wrong; -E2BIG: options of a newer library; or as aop_port_init().
 */
struct aop *aop_actor_spawn(struct aop_loop *l, struct aop_actor *actor, aop_poll_fn *body,
			    const struct aop_actor_opts *o)
{
	struct aop_actor_opts opts = { .size = sizeof(opts) };
	struct actor *a = (struct actor *)actor;
	struct aop_ctx *where = AOP_LOCAL;
	bool private;
	int ret = 0;

	if (o)
		ret = opts_copy(&opts, sizeof(opts), o);
	if (opts.where)
		where = opts.where;
	if (!ret && (!l || !body || opts.flags))
		ret = -EINVAL;
	if (ret)
		port_failed(to_port(&a->port), ret);
	else
		ret = aop_port_init(&a->port, where, opts.port);
	if (ret)
		return &a->port.op;
	private = where == AOP_PRIVATE;
	a->body = body;
	a->cleanup = opts.cleanup;
	a->failed = opts.failed;
	a->rests = false;
	a->begins = true;
	a->restarts = 0;
	a->request.owner = NULL;
	a->task.name = NULL;
	ret = aop_on_asked(aop_owner(&a->port.op), &a->asked, actor_asked, a,
			   private ? AOP_INLINE : aop_loop_exec(l));
	if (ret) {
		aop_fail(aop_owner(&a->port.op), ret);
		return &a->port.op;
	}
	aop_spawn(l, &a->task, actor_poll, actor_cleanup,
		  AOP_DETACHED | (private ? 0 : AOP_ANY_THREAD));
	return &a->port.op;
}

/**
 * aop_actor_ready() - it serves now
 * @actor: an actor, from its body
 *
 * Those who have called already are served.  Again, after it has begun anew, it does
 * nothing.  The loop's thread.  In shared scope the op is over at once if it is killed at
 * this very moment: who gives the actor's memory back must know that the body has returned.
 *
 * Return: 0; -EALREADY: it has been killed before, and the body should return.
 */
int aop_actor_ready(struct aop_actor *actor)
{
	struct op *op = to_op(&actor->port.op);

	if (aop_state(&actor->port.op) == AOP_RUNNING)
		return 0;
	/* Not aop_start(): the op must not be over before the body has returned. */
	if (in_process(to_port(&actor->port)->where))
		return scope_of(op)->signal(op, DO_ACCEPT, 0, 0);
	if (aop_is_final(&actor->port.op))
		return -EALREADY;
	return aop_start(aop_owner(&actor->port.op));
}

/**
 * aop_actor_take() - the next call, as soon as there is one
 * @actor: an actor, from its body
 *
 * As aop_take_call() into @actor->request, but that who is asked to stop gets no more calls,
 * however many there are.  The one before must have been answered, or delegated.  The
 * loop's thread.
 *
 * Return: the op of @actor->request, never NULL: DONE, 1: a call; CANCELLED with the reason
 * that the actor is asked to stop with.
 */
struct aop *aop_actor_take(struct aop_actor *actor)
{
	int reason = aop_asked(aop_owner(&actor->port.op));

	if (likely(!reason))
		return aop_take_call(&actor->port, &actor->request);
	actor->request.owner = NULL;
	aop_init(&actor->request.op, AOP_PRIVATE);
	aop_cancelled(aop_owner(&actor->request.op), reason);
	return &actor->request.op;
}
