/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aop/port.h - ports: what can be called, and who serves it; part of <aop.h>
 *
 * A port is an op with a backlog of calls, and each call is an op.  A port that is PENDING
 * starts up: calls queue.  RUNNING it serves.  When it is final its queued calls end, and
 * those that come later: DONE gives them -ESHUTDOWN; FAILED its error (-EOWNERDEAD: let
 * go without an end); CANCELLED its reason.  So cancelling a port's op asks its server to
 * stop, and its owner, who need not be the server, ends it as any op.
 *
 * The owner side of a call is with the port, then with whoever took it, who answers it
 * once.  In process a port is one struct for client and server, and nothing is copied but
 * the reply.  Between processes each has a struct of his own, with the rights that he got:
 * AOP_MAY_CALL, AOP_MAY_SERVE; who has neither the right to look nor to drive is not told
 * how the port is, but its calls tell.  A server that dies ends the calls that it has taken,
 * -EOWNERDEAD; a client that dies lets go of its calls.
 */
#ifndef AOP_PORT_H
#define AOP_PORT_H

#include <aop.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* --- names: UTF-8, shorter than AOP_NAME_SIZE ------------------------------ */

struct aop_port;
struct aop_waiter;

/* A name that is reserved. */
struct aop_port_name {
	char text[AOP_NAME_SIZE];
	uint64_t priv[4];
};

/* Who has a name, and what it is bound to, if it is. */
struct aop_holder {
	struct aop_port *port;		/* in process; only to compare */
	uint64_t id;			/* between processes: of the port */
	uint32_t uid;
	int32_t pid;
};

/* -EEXIST: holder (or NULL) is told whose it is.  mode: x bits, who may find it; 0: 0100. */
int  aop_name_reserve(struct aop_port_name *n, struct aop_ctx *where, const char *name,
		      unsigned int mode, struct aop_holder *holder) AOP_CHECK;
int  aop_name_bind(struct aop_port_name *n, struct aop_port *p) AOP_CHECK;
int  aop_name_release(struct aop_port_name *n);

/* --- the port ------------------------------------------------------------ */

struct aop_port {
	struct aop op;
	struct aop_watch watches[2];	/* the port's */
	struct aop_port_name name;
	uint64_t priv[16];
};

struct aop_port_opts {
	uint32_t size, flags;		/* AOP_TIMED, AOP_DETACHED */
	const char *name;		/* reserved and bound while the port is there; or NULL */
	uint32_t backlog;		/* calls that may be queued; 0: 64 */
	uint32_t message;		/* bytes of a request at the most; 0: AOP_MAX_MESSAGE */
	uint32_t mode;			/* as a file's: x bits, who may call by name or id */
	uint32_t state;			/* AOP_PENDING, or AOP_RUNNING: serves at once */
	void (*release)(struct aop *op);
};

#define AOP_PORT_OPTS(...)	(&(const struct aop_port_opts){ \
					.size = sizeof(struct aop_port_opts), __VA_ARGS__ })

/* With an error the port is FAILED with that, and so is each call of it. */
int  aop_port_init(struct aop_port *p, struct aop_ctx *where, const struct aop_port_opts *o);
/*
 * What the name is bound to, with one more watcher: drop its op.  Never NULL: otherwise it
 * is p, FAILED, -ENOENT; -ENOTCONN: reserved and not bound.
 */
struct aop_port *aop_port_find(struct aop_port *p, struct aop_ctx *where, const char *name);
/* From a descriptor of aop_export(), or by id: AOP_MAY_CALL, _SERVE, ...; 0: all. */
int  aop_port_attach(struct aop_port *p, struct aop_ctx *ctx, int fd);
int  aop_port_attach_id(struct aop_port *p, struct aop_ctx *ctx, uint64_t id,
			unsigned int rights);

/* --- client ---------------------------------------------------------------- */

struct aop_call {
	struct aop op;
	struct aop_watch asked;		/* the port's */
	uint64_t priv[22];
};

struct aop_call_opts {
	uint32_t size, flags;
	int64_t deadline;		/* aop_until() or relative; 0: none */
	struct aop_loop *loop;		/* in process: whose clock ends it then */
	void (*release)(struct aop *op);
	/* In process: streams that go with it; the server has the other ends of them. */
	struct aop_stream *requests;	/* the caller sends: many to one */
	struct aop_stream *replies;	/* the caller receives: one to many */
};

#define AOP_CALL_WAIT	0x100		/* full: wait for room; else FAILED, -EAGAIN */

#define AOP_CALL_OPTS(...)	(&(const struct aop_call_opts){ \
					.size = sizeof(struct aop_call_opts), __VA_ARGS__ })

/* Result: the server's.  msg and reply are the caller's again when the op is over. */
struct aop *aop_call(struct aop_port *p, struct aop_call *c, const void *msg, size_t len,
		     void *reply, size_t room);
struct aop *aop_call_with(struct aop_port *p, struct aop_call *c, const void *msg, size_t len,
			  void *reply, size_t room, const struct aop_call_opts *o);
/* When it is over: how long the reply is that is in its buffer now. */
int  aop_call_reply(struct aop_call *c);
/* After -EAGAIN: DONE, 1, when it is worth trying again. */
struct aop *aop_port_room(struct aop_port *p, struct aop_waiter *w);

/* --- server ---------------------------------------------------------------- */

struct aop_request {
	struct aop op;			/* of the take */
	struct aop_watch asked;		/* the port's */
	uint64_t priv[6];

	/* a call that was taken: until it is answered */
	struct aop_owner *owner;	/* aop_asked(), aop_progress(), aop_fail(), ... */
	const void *msg;
	size_t len;
	size_t room;			/* that the caller has for the reply */
	struct aop_sender *replies;	/* the call's streams, or NULL; aop_reply() drops them */
	struct aop_receiver *requests;

	/* between processes */
	struct aop call;
	uint64_t from[2];
	char buffer[AOP_MAX_MESSAGE];
};

struct aop_caller { uint32_t uid, gid; int32_t pid; };

/* Up to n calls, each RUNNING; waits until t for the first.  0: the port is final; -ETIME. */
int  aop_serve(struct aop_port *p, struct aop_request *r, size_t n, int64_t t) AOP_CHECK;
/* Results: 1, a call; 0, the port is final. */
struct aop *aop_take_call(struct aop_port *p, struct aop_request *r);
/* aop_end() with a reply.  -EMSGSIZE: there is no room for it, and nothing happened. */
int  aop_reply(struct aop_request *r, int64_t result, const void *msg, size_t len);
/* To another port, whose server answers.  -EAGAIN: that is full, and it stays here. */
int  aop_delegate(struct aop_request *r, struct aop_port *to);
void aop_request_from(const struct aop_request *r, struct aop_caller *who);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#include <aop/actor.h>		/* objects with one owner, whom others call */

#endif /* AOP_PORT_H */
