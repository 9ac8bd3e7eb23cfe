/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port.h - what the files of ports share
 *
 *	port			the public calls, and who waits at a port: a taker, a client
 *				without room; their ops are of this process in every scope
 *	port_inproc port_shared	the backlog: here, or in the module
 *	port_name		names
 *
 * As with those who stand in a line, whoever takes a call (or a taker) out of it, under the
 * port's lock, is the only one to go on with it; before that he waits for the callback of a
 * cancel, which may still look at it.
 *
 * Lock order: names, or a port; never both.  No op is touched with either held.
 */
#ifndef AOP_PORT_INTERNAL_H
#define AOP_PORT_INTERNAL_H

#include "line.h"

/* op_ended() ports are of AOP_LOCAL; only the lock and `final` of one are used. */
struct port {
	struct aop op;
	struct aop_watch watches[2];
	struct aop_port_name name;	/* of aop_port_opts; text empty: none */
	struct aop_ctx *where;
	struct line takers, wanting;	/* for a call, for room; lock, as all below */
	struct lock lock;
	bool final;			/* nothing is queued any more */
	union {
		struct {				/* in process */
			uint32_t nr;			/* in calls */
			uint32_t backlog;		/* made once, and so is message */
			uint32_t message;
			struct line calls;
		};
		struct {				/* shared: port_shared.c */
			bool watching[2];		/* the watches are attached */
			bool pumping, again;
			bool full;			/* since somebody was told so */
			uint32_t told;			/* how often of room */
			void (*release)(struct aop *op);
		};
	};
};

struct call {
	struct waiter w;
	const void *msg;
	void *reply;
	size_t len, room, got;
	struct aop_sender replies;	/* the owner's side's; stream NULL: none */
	struct aop_receiver requests;
};

struct request {
	struct waiter w;
	char pad[offsetof(struct aop_request, owner) - sizeof(struct waiter)];	/* on 32 bit */
	struct aop_owner *owner;
	const void *msg;
	size_t len, room;
	struct aop_sender *replies;
	struct aop_receiver *requests;
	struct op call;			/* shared: the handle on it, as all below */
	uint32_t uid, gid;
	int32_t pid;
	bool shared;			/* else it is in its caller's memory */
	_Alignas(uint64_t) char buffer[AOP_MAX_MESSAGE];
};

struct name {
	char text[AOP_NAME_SIZE];
	struct aop_ctx *where;		/* NULL: is not reserved */
	struct name *next;		/* in process: names' lock, as all below */
	struct port *port;		/* with one watcher of its op */
	uint64_t mode;			/* shared */
};

_Static_assert(sizeof(struct port) <= sizeof(struct aop_port), "struct port");
_Static_assert(offsetof(struct port, name) == offsetof(struct aop_port, name), "struct port");
_Static_assert(sizeof(struct call) <= sizeof(struct aop_call), "struct call");
_Static_assert(offsetof(struct request, owner) == offsetof(struct aop_request, owner) &&
	       offsetof(struct request, call) == offsetof(struct aop_request, call) &&
	       offsetof(struct request, buffer) == offsetof(struct aop_request, buffer) &&
	       sizeof(struct request) == sizeof(struct aop_request), "struct request");
_Static_assert(sizeof(struct name) <= sizeof(struct aop_port_name), "struct name");

static inline struct port *to_port(struct aop_port *p)
{
	return (struct port *)p;
}

static inline struct call *to_call(struct waiter *w)
{
	return container_of(w, struct call, w);
}

static inline bool has_streams(const struct call *c)
{
	return c->replies.stream || c->requests.stream;
}

/* With an error nothing has begun that call_streams_leave() would not leave. */
int call_streams_begin(struct call *c, struct aop_ctx *where, const struct aop_call_opts *o);
/* Before the owner's side is let go of; no lock is held. */
void call_streams_leave(struct call *c, int64_t result);

static inline bool in_process(const struct aop_ctx *where)
{
	return where == AOP_PRIVATE || where == AOP_LOCAL;
}

static inline void port_lock(struct port *p)
{
	line_lock(&p->lock, p->where != AOP_PRIVATE);
}

static inline void port_unlock(struct port *p)
{
	line_unlock(&p->lock, p->where != AOP_PRIVATE);
}

/* ---- port.c -------------------------------------------------------------------- */

/* Make p one that failed before it began: error is returned. */
int port_failed(struct port *p, int error);
/* He was taken out of the takers' line, and there is no call: the next one is for him. */
void taker_return(struct port *p, struct waiter *w);
/* With the lock held: all of a line, for waiters_end(). */
struct waiter *line_empty(struct line *line, int64_t result);
/* Reserve and bind the name of the options, if there is one. */
int port_take_name(struct port *p, const struct aop_port_opts *o);

/* ---- the backlog ------------------------------------------------------------- */

int inproc_port_init(struct port *p, struct aop_ctx *where, const struct aop_port_opts *o);
void inproc_call(struct port *p, struct call *c, const struct aop_call_opts *o);
/* 1, 0: the port is final; -EAGAIN: there is none for who stands behind the takers. */
int inproc_take(struct port *p, struct request *r);
/* Calls for those who wait for one. */
void inproc_serve(struct port *p);
int inproc_reply(struct request *r, int64_t result, const void *msg, size_t len);
int inproc_delegate(struct request *r, struct port *to);

int shared_port_init(struct port *p, struct aop_ctx *ctx, const struct aop_port_opts *o);
/* p's op is bound, or has failed. */
void shared_port_begin(struct port *p, struct aop_ctx *ctx);
void shared_call(struct port *p, struct call *c, const struct aop_call_opts *o);
int shared_call_reply(struct call *c);
/* Made, as e says; it may have ended, and the reply be here. */
void shared_call_made(struct port *p, struct call *c, const struct aop_call_entry *e,
		      void (*release)(struct aop *op));
/* There was no room; told: p->told before. */
void shared_call_full(struct port *p, uint32_t told);
/* How many; -ETIME: none until t. */
int shared_take(struct port *p, struct request *const *r, size_t n, int64_t t);
/* Somebody has begun to wait in the line of port->watches[which]. */
int shared_watched(struct port *p, unsigned int which);
void shared_serve(struct port *p);
int shared_reply(struct request *r, int64_t result, const void *msg, size_t len);
int shared_delegate(struct request *r, struct port *to);

enum { PORT_TAKERS, PORT_WANTING };

/* ---- port_cork.c: false: this thread has not corked, so it goes out alone --------- */

struct cork;

bool port_cork_call(struct port *p, struct call *c, const struct aop_call_entry *e,
		    uint32_t told, void (*release)(struct aop *op));
bool port_cork_answer(struct aop_ctx *ctx, const struct aop_answer_entry *e);
/* For aop_serve(), which carries out what is returned and says so. */
struct aop_answer_entry *port_cork_answers(struct cork *cork, uint32_t *nr);
void port_cork_answered(struct cork *cork, uint32_t nr);

/* ---- names (port_name.c) ------------------------------------------------------- */

/* The port is final: no name leads to it.  How many watchers of it names have held. */
unsigned int names_forget(struct port *p);

#endif /* AOP_PORT_INTERNAL_H */
