// SPDX-License-Identifier: GPL-2.0
/*
 * Ports: AOP_IOC_PORT, and the backlog of calls.
 *
 * A port is an op with a backlog.  A call is an op of its caller's, which the port
 * owns while it is queued, and then whoever takes it.
 *
 * Users take turns, and so do the clients of each; client.c says who these are, and
 * shares the places out.  Until it ends, the user who made a port pays for the whole
 * backlog, as for so many handles: what is queued needs no handle of anybody's.
 *
 * A call leaves the backlog as it is taken, or as it ends: whoever ends it, under its
 * home lock, takes it out (aop_extra_ended_locked()).  When the port ends, a work item
 * ends what is queued, and tells all who sleep.
 *
 * References.  A call has one on its port for as long as it lives; the backlog has
 * one on each call.  A port whose backlog is not empty therefore stays; but only its
 * owner keeps it from ending, and ending empties the backlog.
 *
 * Locks: aop_port.lock, a spinlock, inside home locks, outside those of rings and of
 * the wait queues of ports.  Taken with interrupts off, since ops end in interrupts.
 */
#include <linux/slab.h>

#include "change.h"
#include "ioctl.h"
#include "link.h"
#include "port.h"

/* ---- the backlog ------------------------------------------------------- */

static void put_in_turn(struct aop_client *client)
{
	struct aop_port_user *user = client->user;

	if (list_empty(&user->clients))
		list_add_tail(&user->node, &client->port->users);
	list_add_tail(&client->node, &user->clients);
}

static void leave_turn(struct aop_client *client)
{
	struct aop_port_user *user = client->user;

	list_del_init(&client->node);
	if (list_empty(&user->clients))
		list_del_init(&user->node);
}

static void unqueue(struct aop_call *call)
{
	struct aop_client *client = call->client;

	list_del(&call->node);
	call->client = NULL;
	client->port->queued--;
	aop_client_places_locked(client, -1);
	if (list_empty(&client->calls))
		leave_turn(client);
}

static struct aop_call *first_call(struct aop_port *port)
{
	struct aop_port_user *user;
	struct aop_client *client;

	user = list_first_entry_or_null(&port->users, struct aop_port_user, node);
	if (!user)
		return NULL;
	client = list_first_entry(&user->clients, struct aop_client, node);
	return list_first_entry(&client->calls, struct aop_call, node);
}

/**
 * aop_port_queue_locked() - a call enters the backlog
 * @run: holds the home lock of the call
 * @client: with a place reserved for it, which is used up
 * @call: of @client's port; ended here if that has ended
 *
 * Return: whether the backlog was empty before.
 */
bool aop_port_queue_locked(struct aop_run *run, struct aop_client *client, struct aop_call *call)
{
	struct aop_port *port = client->port;
	struct aop *op = call->op;
	bool edge = false, closed;

	spin_lock(&port->lock);
	closed = port->closed;
	if (closed || aop_is_final(op)) {
		aop_client_places_locked(client, -1);
		aop_port_freed_locked(port);
	} else {
		call->client = client;
		client->ref++;
		aop_get(op);
		if (list_empty(&client->calls))
			put_in_turn(client);
		list_add_tail(&call->node, &client->calls);
		port->made++;
		edge = !port->queued++;
	}
	spin_unlock(&port->lock);
	if (closed)
		/* What it says no longer changes once it is closed. */
		aop_end_owned_locked(run, op, port->state, AOP_F_SYSTEM, port->result);
	else if (aop_is_final(op))
		aop_let_go_locked(run, op);
	return edge;
}

/**
 * aop_port_take() - the next call, out of turn with all that came before
 * @port: its lock is held
 * @fits: bytes that its request may have
 * @client: out: whose, with a reference for aop_port_took()
 *
 * Return: the call, with the reference that the backlog had; NULL when there is none;
 * ERR_PTR: -EMSGSIZE, -ESHUTDOWN.
 */
struct aop_call *aop_port_take(struct aop_port *port, u32 fits, struct aop_client **client)
{
	struct aop_port_user *user;
	struct aop_call *call;

	if (port->closed)
		return ERR_PTR(-ESHUTDOWN);
	call = first_call(port);
	/* Until it is started, calls only queue. */
	if (!call || aop_word_state(READ_ONCE(port->op->word)) == AOP_PENDING)
		return NULL;
	if (call->len > fits)
		return ERR_PTR(-EMSGSIZE);
	*client = call->client;
	user = (*client)->user;
	unqueue(call);
	port->taken++;
	/* The others first. */
	if (!list_empty(&(*client)->calls) && !list_is_singular(&user->clients))
		list_move_tail(&(*client)->node, &user->clients);
	if (!list_empty(&user->clients) && !list_is_singular(&port->users))
		list_move_tail(&user->node, &port->users);
	return call;
}

/**
 * aop_port_took() - a call has been handed over
 * @client: from aop_port_take(); the port's lock is held
 */
void aop_port_took(struct aop_client *client)
{
	aop_port_freed_locked(client->port);
	aop_client_put_locked(client);
}

/**
 * aop_port_untake_locked() - undo aop_port_take(): the call is the next one again
 * @run: holds the home lock of the call
 * @client: from there; its reference goes
 * @call: from there; ended, if the port has ended meanwhile
 */
void aop_port_untake_locked(struct aop_run *run, struct aop_client *client, struct aop_call *call)
{
	struct aop_port *port = client->port;
	struct aop *op = call->op;
	bool closed;

	spin_lock(&port->lock);
	port->taken--;
	closed = port->closed;
	if (closed || aop_is_final(op)) {
		aop_client_put_locked(client);
	} else {
		/* All to the front, where they were. */
		list_move(&client->user->node, &port->users);
		list_move(&client->node, &client->user->clients);
		list_add(&call->node, &client->calls);
		call->client = client;
		port->queued++;
		aop_client_places_locked(client, 1);
	}
	spin_unlock(&port->lock);
	if (!closed && !aop_is_final(op))
		return;
	if (closed)
		aop_end_owned_locked(run, op, port->state, AOP_F_SYSTEM, port->result);
	else
		aop_let_go_locked(run, op);
	aop_put_locked(run, op);
}

/**
 * aop_port_ring() - calls were queued: tell servers
 * @run: holds no lock afterwards
 * @port: pinned
 * @nr: how many calls
 * @edge: the backlog was empty before
 *
 * Who polls is told when the backlog is no longer empty, and takes calls until there
 * are none; of those who sleep for a call one is woken for each.
 */
void aop_port_ring(struct aop_run *run, struct aop_port *port, u32 nr, bool edge)
{
	u64 done, total;

	if (edge) {
		aop_run_lock(run, port->op->home);
		aop_port_progress(port, &done, &total);
		aop_progress_locked(run, port->op, done, total);
	}
	aop_run_unlock(run);
	if (wq_has_sleeper(&port->servers))
		wake_up_nr(&port->servers, nr);
}

/* ---- what the op says, and its end ------------------------------------- */

/**
 * aop_port_progress() - calls taken of calls made
 * @port: pinned
 * @done: out
 * @total: out
 */
void aop_port_progress(struct aop_port *port, u64 *done, u64 *total)
{
	unsigned long flags;

	spin_lock_irqsave(&port->lock, flags);
	*done = port->taken;
	*total = port->made;
	spin_unlock_irqrestore(&port->lock, flags);
}

/**
 * aop_port_started() - it serves from now on
 * @port: its home lock is held
 */
void aop_port_started(struct aop_port *port)
{
	wake_up_all(&port->servers);
}

/**
 * aop_port_kick_locked() - have the work item tell, and end, what is to be
 * @port: its lock or the home lock of its op is held
 */
void aop_port_kick_locked(struct aop_port *port)
{
	/* The work item drops it. */
	aop_get(port->op);
	if (!queue_work(aop_wq, &port->work))
		/* It is queued, with a reference: this is not the last one. */
		refcount_dec(&port->op->ref);
}

static void port_ended(struct aop_port *port, u8 state, s64 result)
{
	spin_lock(&port->lock);
	port->closed = true;
	port->state = state == AOP_DONE ? AOP_FAILED : state;
	port->result = state == AOP_DONE ? -ESHUTDOWN : result;
	spin_unlock(&port->lock);
	aop_user_uncharge(port->op->home->user, port->backlog);
	aop_port_kick_locked(port);
}

static void call_ended(struct aop_run *run, struct aop_call *call)
{
	struct aop_port *port = call->port;
	struct aop_client *client;

	spin_lock(&port->lock);
	client = call->client;
	if (client) {
		unqueue(call);
		aop_port_freed_locked(port);
		aop_client_put_locked(client);
	}
	spin_unlock(&port->lock);
	if (!client)
		return;
	/* The port was its owner. */
	call->op->owned = false;
	aop_put_locked(run, call->op);
}

/**
 * aop_extra_ended_locked() - an op is about to be final
 * @run: holds the home lock
 * @op: with an extra
 * @state: that it will have
 * @result: that it will have
 */
void aop_extra_ended_locked(struct aop_run *run, struct aop *op, u8 state, s64 result)
{
	struct aop_extra *extra = op->extra;

	if (extra->deadline)
		aop_deadline_cancel_locked(op);
	if (extra->port)
		port_ended(extra->port, state, result);
	if (extra->call)
		call_ended(run, extra->call);
}

/**
 * aop_call_orphaned_locked() - nobody waits for an op any more
 * @run: holds the home lock
 * @op: any that is not final
 *
 * Return: whether it was a call that nobody has taken, and therefore has ended.
 */
bool aop_call_orphaned_locked(struct aop_run *run, struct aop *op)
{
	struct aop_call *call = aop_call_of(op);

	/* If it is taken just now, it ends before its owner has it. */
	if (!call || !READ_ONCE(call->client))
		return false;
	aop_end_locked(run, op, AOP_CANCELLED, AOP_F_SYSTEM | AOP_F_ORPHAN, -ECANCELED);
	return true;
}

/* Ends some of what is queued at a port that has ended.  Returns how many. */
static unsigned int end_some(struct aop_port *port)
{
	struct aop_run run AOP_UNINIT;
	struct aop_call *call;
	unsigned int nr;

	aop_run_begin(&run);
	for (nr = 0; nr < AOP_RUN_LINKS; nr++) {
		aop_run_unlock(&run);
		spin_lock_irq(&port->lock);
		call = port->closed ? first_call(port) : NULL;
		if (call)
			aop_get(call->op);
		spin_unlock_irq(&port->lock);
		if (!call)
			break;
		/* Nobody takes it any more; it leaves the backlog as it ends. */
		aop_run_lock(&run, call->op->home);
		aop_end_owned_locked(&run, call->op, port->state, AOP_F_SYSTEM, port->result);
		aop_put_locked(&run, call->op);
	}
	aop_run_end(&run);
	return nr;
}

static void port_work(struct work_struct *work)
{
	struct aop_port *port = container_of(work, struct aop_port, work);
	bool closed, more;

	while (end_some(port))
		cond_resched();
	do {
		spin_lock_irq(&port->lock);
		closed = port->closed;
		more = (closed || port->nr <= port->backlog / 2) && aop_port_tell_locked(port);
		spin_unlock_irq(&port->lock);
		cond_resched();
	} while (more);
	if (closed)
		wake_up_all(&port->servers);
	aop_put(port->op);
}

/**
 * aop_port_free() - with its op
 * @port: without calls and clients
 */
void aop_port_free(struct aop_port *port)
{
	kfree(port);
}

/* ---- the call ---------------------------------------------------------- */

static int make(struct aop_ctx *ctx, struct aop_ioc_port *p, struct aop_ioc_port __user *out)
{
	struct aop_run run AOP_UNINIT;
	char label[AOP_LABEL_SIZE];
	struct aop_port *port;
	struct aop_link *link;
	struct aop *op;
	long len = 0;
	u32 i, paid;
	int ret;

	if (p->label) {
		len = strncpy_from_user(label, u64_to_user_ptr(p->label), sizeof(label));
		if (len < 0)
			return len;
		if (len == sizeof(label))
			return -ENAMETOOLONG;
	}
	if (!aop_links_alloc(ctx, &link, 1, &ret))
		return ret;
	ret = -ENOMEM;
	if (!aop_alloc(ctx->home, &op, 1))
		goto free_link;
	aop_birth(op, ktime_get_ns(), p->state, 0);
	op->detached = p->flags & AOP_CREATE_DETACHED;
	op->owned = true;
	op->mode = p->mode;
	p->handle = aop_handle(link);
	p->id = op->id;
	port = kzalloc(sizeof(*port), AOP_GFP);
	if (!port || aop_alloc_extra(op, label, len)) {
		kfree(port);
		goto put_op;
	}
	op->extra->parent = p->parent;
	op->extra->port = port;
	port->op = op;
	spin_lock_init(&port->lock);
	port->backlog = p->backlog;
	port->message = p->message ?: AOP_MAX_MESSAGE;
	port->label_size = len + 1;
	INIT_LIST_HEAD(&port->users);
	for (i = 0; i < AOP_PORT_HASH; i++)
		INIT_HLIST_HEAD(&port->known[i]);
	INIT_LIST_HEAD(&port->wanting);
	init_waitqueue_head(&port->servers);
	INIT_WORK(&port->work, port_work);
	trace_aop_create(op);
	/* Nothing but the deadline can have an effect from here on. */
	ret = -EFAULT;
	if (put_user(p->handle, &out->handle) || put_user(p->id, &out->id))
		goto put_op;
	/* Until it ends. */
	paid = aop_user_charge(op->home->user, p->backlog);
	ret = paid < p->backlog ? -EDQUOT : 0;
	if (!ret && p->deadline && p->deadline != AOP_FOREVER_NS)
		ret = aop_deadline_start(op, aop_host_ns(ctx, p->deadline));
	if (ret) {
		aop_user_uncharge(op->home->user, paid);
		goto put_op;
	}
	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	__aop_link_first(&run, link, op, AOP_MAY_PORT, p->mask, p->data);
	aop_register_locked(op);
	aop_run_end(&run);
	return 0;
put_op:
	if (!op->extra)
		op->id = 0;	/* no event tells of it, see trace.h */
	aop_put(op);
free_link:
	aop_link_free(link);
	return ret;
}

/**
 * aop_ioctl_port() - AOP_IOC_PORT
 * @ctx: of the calling process
 * @arg: struct aop_ioc_port
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, -E2BIG, -EFAULT for the struct and the label, -ENAMETOOLONG;
 * -ENOSPC, -EDQUOT, -ENOMEM; -EIO when the process has ended.
 */
long aop_ioctl_port(struct aop_ctx *ctx, void __user *arg)
{
	struct aop_ioc_port p;
	long ret = aop_copy_struct(&p, sizeof(p), sizeof(p), arg);

	if (ret)
		return ret;
	if (p.flags & ~AOP_CREATE_DETACHED || p.pad || p.mask & ~AOP_MASK_ALL ||
	    p.mode & ~AOP_PORT_MODE_BITS || !p.backlog || p.backlog > AOP_MAX_BACKLOG ||
	    p.message > AOP_MAX_MESSAGE || p.state > AOP_RUNNING)
		return -EINVAL;
	aop_table_lock(ctx);
	ret = ctx->dead ? -EIO : make(ctx, &p, arg);
	aop_table_unlock(ctx);
	return ret;
}
