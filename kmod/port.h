/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ports: ops with a backlog of calls.  port.c owns the backlog, client.c who calls;
 * call.c, serve.c, delegate.c and name.c are the calls of user space.
 */
#ifndef AOP_PORT_H
#define AOP_PORT_H

#include <linux/build_bug.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "internal.h"

#define AOP_PORT_HASH	16

/**
 * struct aop_port - what a port is beside an op; a part of its memory
 * @op: the port
 * @lock: protects all below that changes, and what says so; inside home locks
 * @backlog: how many calls there may be
 * @message: bytes that a request may have
 * @label_size: of the label, with its 0
 * @nr: places that are taken: calls queued, and on the way to be
 * @queued: calls queued
 * @made: calls, ever
 * @taken: calls, ever
 * @closed: the op is final: no more calls
 * @state: with @closed: how calls end
 * @result: with @closed: how calls end
 * @users: with calls queued, the next one to be served first
 * @known: all users that call, by uid
 * @wanting: clients to be told of room
 * @servers: who sleeps for a call
 * @work: ends calls, tells of room; holds a reference while it is queued
 */
struct aop_port {
	struct aop *op;
	spinlock_t lock;	/* see above */
	u32 backlog;
	u32 message;
	u32 label_size;
	u32 nr;
	u32 queued;
	u64 made;
	u64 taken;
	bool closed;
	u8 state;
	s64 result;
	struct list_head users;
	struct hlist_head known[AOP_PORT_HASH];
	struct list_head wanting;
	wait_queue_head_t servers;
	struct work_struct work;
};

/**
 * struct aop_port_user - all clients of one user at one port
 * @known: on aop_port.known
 * @node: on aop_port.users while @clients is not empty
 * @clients: with calls queued, the next one to be served first
 * @user: who
 * @nr: places that the calls take
 * @ref: one of each client
 *
 * All under the lock of the port.
 */
struct aop_port_user {
	struct hlist_node known;
	struct list_head node;
	struct list_head clients;
	struct aop_user *user;
	u32 nr;
	u32 ref;
};

/**
 * struct aop_client - a handle that calls
 * @port: pinned by the handle and by each call
 * @user: whose handle
 * @node: on @user->clients while it has calls queued
 * @calls: queued, oldest first
 * @wanting: on @port->wanting: it found no room; who sleeps for it is there too
 * @room: who sleeps for room
 * @link: the handle, or NULL when that has lost AOP_MAY_CALL
 * @nr: places that its calls take
 * @ref: of the handle, each call queued, and who sleeps for room
 *
 * All under @port->lock, but the first two.
 */
struct aop_client {
	struct aop_port *port;
	struct aop_port_user *user;
	struct list_head node;
	struct list_head calls;
	struct list_head wanting;
	wait_queue_head_t room;
	struct aop_link *link;
	u32 nr;
	u32 ref;
};

/**
 * struct aop_call - what a call is beside an op; behind the extra of that
 * @op: the call
 * @port: it was made to, or delegated to; referenced
 * @client: while it is queued there, under the lock of the port; to change it to
 *	another port's, the home lock of @op is held as well
 * @node: on @client->calls
 * @file: that came with it, or NULL
 * @len: of the request
 * @room: for the reply
 * @reply_len: set under the home lock by who ends it
 * @size: bytes of @message
 * @message: the request, and in the next word behind it the reply
 */
struct aop_call {
	struct aop *op;
	struct aop_port *port;
	struct aop_client *client;
	struct list_head node;
	struct file *file;
	u32 len;
	u32 room;
	u32 reply_len;
	u32 size;
	u64 message[];
};

/* The one size that calls are kept in, and what that leaves for messages. */
#define AOP_CALL_KEPT	512
#define AOP_CALL_ROOM	(AOP_CALL_KEPT - sizeof(struct aop_extra) - AOP_LABEL_SIZE - \
			 sizeof(struct aop_call))

static inline struct aop_port *aop_port_of(const struct aop *op)
{
	return op->extra ? op->extra->port : NULL;
}

static inline struct aop_call *aop_call_of(const struct aop *op)
{
	return op->extra ? op->extra->call : NULL;
}

static inline void *aop_call_reply(struct aop_call *call)
{
	return (void *)call->message + ALIGN(call->len, sizeof(u64));
}

/**
 * aop_call_find() - a call by its handle
 * @ctx: of the calling process, its table locked
 * @handle: from user space
 * @right: that is needed
 * @link: out: the handle
 * @call: out: pinned by that
 *
 * Return: 0; -EBADF, -ESTALE; -EPERM; -EINVAL for what is no call.
 */
static __always_inline int aop_call_find(struct aop_ctx *ctx, u64 handle, u8 right,
					 struct aop_link **link, struct aop_call **call)
{
	int ret = aop_link_get_for(ctx, handle, right, link);

	if (unlikely(ret))
		return ret;
	*call = aop_call_of((*link)->op);
	return *call ? 0 : -EINVAL;
}

/* ---- client.c ---------------------------------------------------------- */

int aop_client_find(struct aop_ctx *ctx, u64 handle, struct aop_client **client);
void aop_client_put_locked(struct aop_client *client);
void aop_client_hold(struct aop_client *client);
void aop_client_release(struct aop_client *client);
void aop_client_places_locked(struct aop_client *client, int nr);
int aop_port_reserve(struct aop_client *client);
void aop_port_unreserve(struct aop_client *client);
int aop_port_wait_room(struct aop_ctx *ctx, struct aop_client *client, u64 deadline);
bool aop_port_tell_locked(struct aop_port *port);
void aop_port_freed_locked(struct aop_port *port);

/* ---- port.c ------------------------------------------------------------ */

void aop_port_kick_locked(struct aop_port *port);
bool aop_port_queue_locked(struct aop_run *run, struct aop_client *client, struct aop_call *call);
struct aop_call *aop_port_take(struct aop_port *port, u32 fits, struct aop_client **client);
void aop_port_took(struct aop_client *client);
void aop_port_untake_locked(struct aop_run *run, struct aop_client *client, struct aop_call *call);
void aop_port_ring(struct aop_run *run, struct aop_port *port, u32 nr, bool edge);

#endif /* AOP_PORT_H */
