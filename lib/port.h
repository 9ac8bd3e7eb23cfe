/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port.h - what the files of ports share
 *
 * In process the owner side of a queued call is with its port.  As with those who stand in
 * a line, whoever takes a call (or a taker) out of it, under the port's lock, is the only
 * one to go on with it; before that he waits for the callback of a cancel, which may still
 * look at it.  Calls begin PENDING, so a cancel ends one at once, and the callback only
 * lets go.
 *
 * Lock order: names, or a port; never both.  No op is touched with either held.
 */
#ifndef AOP_PORT_INTERNAL_H
#define AOP_PORT_INTERNAL_H

#include "line.h"

struct port {
	struct aop op;
	struct aop_watch ended, started;
	struct aop_port_name name;		/* of aop_port_opts; text empty: none */
	struct aop_ctx *where;
	struct line calls, takers;	/* lock, as all below */
	struct lock lock;
	uint32_t nr;			/* in calls */
	uint32_t backlog;		/* made once, and so is message */
	uint32_t message;
	bool final;			/* nothing is queued any more */
};

struct call {
	struct waiter w;
	const void *msg;
	void *reply;
	size_t len, room, got;
	struct aop_sender replies;	/* the owner's side's; stream NULL: none */
	struct aop_receiver requests;
};

struct name {
	char text[AOP_NAME_SIZE];
	struct aop_ctx *where;		/* NULL: is not reserved */
	struct name *next;		/* names' lock, as all below */
	struct port *port;		/* in process: with one watcher of its op */
};

_Static_assert(sizeof(struct port) <= sizeof(struct aop_port), "struct port");
_Static_assert(offsetof(struct port, name) == offsetof(struct aop_port, name), "struct port");
_Static_assert(sizeof(struct call) <= sizeof(struct aop_call), "struct call");
_Static_assert(sizeof(struct waiter) <= offsetof(struct aop_request, owner), "aop_request");
_Static_assert(sizeof(struct name) <= sizeof(struct aop_port_name), "struct name");

static inline struct port *to_port(struct aop_port *p)
{
	return (struct port *)p;
}

static inline bool in_process(const struct aop_ctx *where)
{
	return where == AOP_PRIVATE || where == AOP_LOCAL;
}

static inline bool has_streams(const struct call *c)
{
	return c->replies.stream || c->requests.stream;
}

/* With an error nothing has begun that call_streams_leave() would not leave. */
int call_streams_begin(struct call *c, struct aop_ctx *where, const struct aop_call_opts *o);
/* Before the owner's side is let go of; no lock is held. */
void call_streams_leave(struct call *c, int64_t result);

/* Make p one that failed before it began: error is returned. */
int port_failed(struct port *p, int error);
/* The port is final: no name leads to it.  How many watchers of it names have held. */
unsigned int names_forget(struct port *p);

#endif /* AOP_PORT_INTERNAL_H */
