/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aop/actor.h - actors: objects with one owner, whom all others call; part of <aop.h>
 *
 * An actor is a port and the task that serves it, its body, on one loop: so what the body
 * works on needs no lock.  Its op is the port's: PENDING while it prepares, and calls queue;
 * RUNNING from aop_actor_ready() on; and it ends as the body does, as do the calls that are
 * queued then or come later:
 *
 *	the body returns 0 or more	stopped: DONE; calls: -ESHUTDOWN
 *	it returns an error		failed: FAILED with that, and so are the calls
 *	somebody cancels the op		killed: the body is cancelled; CANCELLED with the reason
 *	nobody holds the op any more	dropped: the same, with -EPIPE
 *	its loop is closed		lost: FAILED, -EOWNERDEAD
 *
 *	static int64_t counter(struct aop_task *t)
 *	{
 *		struct counter *c = aop_container(t, struct counter, actor.task);
 *		struct aop_actor *a = &c->actor;
 *		int64_t n;
 *
 *		AOP_BEGIN(t);
 *		c->n = 0;
 *		aop_actor_ready(a);
 *		for (;;) {
 *			AOP_AWAIT(n, aop_actor_take(a));
 *			if (n < 0)
 *				return n;
 *			aop_reply(&a->request, ++c->n, NULL, 0);
 *		}
 *		AOP_END(0);
 *	}
 *
 * One that fails may begin anew (aop_actor_opts.failed): its callers hold the same port,
 * and their calls queue meanwhile.  In shared scope the loop must have the context
 * (aop_loop_add()), and a caller in another process is told by the kernel that it is lost.
 */
#ifndef AOP_ACTOR_H
#define AOP_ACTOR_H

#include <aop.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct aop_actor {
	struct aop_port port;		/* to call; its op is the actor's */
	struct aop_task task;
	struct aop_request request;	/* the body's: what it answers just now */
	uint64_t restarts;		/* how often it has begun anew */
	struct aop_timer timer;		/* the library's, as all below */
	struct aop_watch asked;
	uint64_t priv[6];
};

struct aop_actor_opts {
	uint32_t size, flags;
	struct aop_ctx *where;		/* the port's scope; NULL: AOP_LOCAL */
	const struct aop_port_opts *port;	/* or NULL */
	/* The body has failed: begin anew, after so long; negative: no. */
	int64_t (*failed)(struct aop_actor *a, int64_t error);
	aop_poll_fn *cleanup;		/* once, before the end is told; may await */
};

#define AOP_ACTOR_OPTS(...)	(&(const struct aop_actor_opts){ \
					.size = sizeof(struct aop_actor_opts), __VA_ARGS__ })

struct aop *aop_actor_spawn(struct aop_loop *l, struct aop_actor *a, aop_poll_fn *body,
			    const struct aop_actor_opts *o);
/* From the body: it serves now.  -EALREADY: it has been killed. */
int  aop_actor_ready(struct aop_actor *a);
/* From the body: the next call, in a->request.  Results: 1; or why it is to stop. */
struct aop *aop_actor_take(struct aop_actor *a);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif /* AOP_ACTOR_H */
