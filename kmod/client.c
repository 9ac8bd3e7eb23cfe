// SPDX-License-Identifier: GPL-2.0
/*
 * Who calls a port, and the places in its backlog.
 *
 * Fairness.  Each handle that calls (a client) has a queue of its own.  Those of one
 * user take turns, and so do the users: whoever floods a port with calls delays the
 * next call of somebody else by one call (port.c).  Places are shared out here: a client
 * may have fewer than there are free ones, so one alone gets half of the backlog and
 * there is always a place for another; and a user, with however many handles, seven
 * eighths.
 *
 * A client lives as long as its handle and its queued calls.
 *
 * Locks: aop_port.lock, see port.c.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uidgid.h>

#include "internal.h"
#include "port.h"
#include "waiting.h"

#define USER_SHARE	7	/* times the free places */
#define TELL_MAX	32	/* clients in one section of the lock */

/* ---- clients ----------------------------------------------------------- */

static struct aop_client **client_at(struct aop_link *link)
{
	struct aop_chunk *chunk = &link->ctx->chunks[link->index / AOP_CHUNK];

	return chunk->clients ? &chunk->clients[link->index % AOP_CHUNK] : NULL;
}

static struct hlist_head *known_at(struct aop_port *port, const struct aop_user *user)
{
	return &port->known[__kuid_val(user->uid) % AOP_PORT_HASH];
}

/**
 * aop_client_put_locked() - drop a reference
 * @client: not used afterwards; the lock of its port is held
 */
void aop_client_put_locked(struct aop_client *client)
{
	struct aop_port_user *user = client->user;

	if (--client->ref)
		return;
	kfree(client);
	if (--user->ref)
		return;
	hlist_del(&user->known);
	aop_user_put(user->user);
	kfree(user);
}

static struct aop_client *client_create(struct aop_link *link)
{
	struct aop_port *port = aop_port_of(link->op);
	struct aop_user *who = link->ctx->home->user;
	struct aop_chunk *chunk = &link->ctx->chunks[link->index / AOP_CHUNK];
	struct aop_port_user *user, *found = NULL;
	struct aop_client *client;

	if (!chunk->clients)
		chunk->clients = kcalloc(AOP_CHUNK, sizeof(*chunk->clients), AOP_GFP);
	client = kzalloc(sizeof(*client), AOP_GFP);
	user = kzalloc(sizeof(*user), AOP_GFP);
	if (!chunk->clients || !client || !user) {
		kfree(client);
		kfree(user);
		return NULL;
	}
	client->port = port;
	INIT_LIST_HEAD(&client->node);
	INIT_LIST_HEAD(&client->calls);
	INIT_LIST_HEAD(&client->wanting);
	init_waitqueue_head(&client->room);
	client->link = link;
	client->ref = 1;
	spin_lock_irq(&port->lock);
	hlist_for_each_entry(found, known_at(port, who), known)
		if (found->user == who)
			break;
	if (!found) {
		found = user;
		INIT_LIST_HEAD(&user->node);
		INIT_LIST_HEAD(&user->clients);
		user->user = aop_user_again(who);
		hlist_add_head(&user->known, known_at(port, who));
		user = NULL;
	}
	found->ref++;
	client->user = found;
	spin_unlock_irq(&port->lock);
	kfree(user);
	chunk->clients[link->index % AOP_CHUNK] = client;
	return client;
}

/**
 * aop_client_find() - who calls, by the handle on the port
 * @ctx: of the calling process, its table locked
 * @handle: from user space
 * @client: out: pinned by the handle
 *
 * Context: may sleep.
 * Return: 0; -EBADF, -ESTALE; -EPERM without the right to call; -ENOMEM.
 */
int aop_client_find(struct aop_ctx *ctx, u64 handle, struct aop_client **client)
{
	struct aop_client **at;
	struct aop_link *link;
	int ret = aop_link_get_for(ctx, handle, AOP_MAY_CALL, &link);

	if (ret)
		return ret;
	at = client_at(link);
	*client = at && *at ? *at : client_create(link);
	return *client ? 0 : -ENOMEM;
}

/**
 * aop_client_detach_locked() - a handle has lost the right to call
 * @link: of a context whose table is locked; its home lock is held
 *
 * What it has called stays queued.
 */
void aop_client_detach_locked(struct aop_link *link)
{
	struct aop_client **at = client_at(link), *client;
	struct aop_port *port;

	if (!at || !*at)
		return;
	client = *at;
	*at = NULL;
	port = client->port;
	spin_lock(&port->lock);
	client->link = NULL;
	list_del_init(&client->wanting);
	/* Who sleeps there has looked under our lock, as in tell(). */
	if (waitqueue_active(&client->room))
		wake_up_all(&client->room);
	aop_client_put_locked(client);
	spin_unlock(&port->lock);
}

/* ---- places ------------------------------------------------------------ */

static bool has_room(const struct aop_client *client)
{
	const struct aop_port *port = client->port;
	u32 room = port->backlog > port->nr ? port->backlog - port->nr : 0;

	return client->nr < room && client->user->nr < (u64)room * USER_SHARE;
}

/**
 * aop_client_places_locked() - count places
 * @client: whose calls take them; the lock of its port is held
 * @nr: how many more
 */
void aop_client_places_locked(struct aop_client *client, int nr)
{
	client->nr += nr;
	client->user->nr += nr;
	client->port->nr += nr;
}

/* It may try again. */
static void tell(struct aop_client *client)
{
	list_del_init(&client->wanting);
	/* No barrier: who sleeps has looked under our lock, on the queue before that. */
	if (waitqueue_active(&client->room))
		wake_up_all(&client->room);
	/* Pinned by the port's lock, which its end takes to leave the list. */
	if (READ_ONCE(client->link->mask) & AOP_EV_ROOM)
		aop_ring_push(client->link->ctx, &client->link, 1);
}

/**
 * aop_port_tell_locked() - some of those that found no room may try again
 * @port: its lock is held
 *
 * Return: whether there are more.
 */
bool aop_port_tell_locked(struct aop_port *port)
{
	unsigned int nr = 0;

	while (nr++ < TELL_MAX && !list_empty(&port->wanting))
		tell(list_first_entry(&port->wanting, struct aop_client, wanting));
	return !list_empty(&port->wanting);
}

/*
 * Others may take each place that comes free, so that there are never many.  Who has half
 * of what it could have is told just the same; one is looked at for each place.
 */
static void tell_one(struct aop_port *port)
{
	struct aop_client *client;

	client = list_first_entry_or_null(&port->wanting, struct aop_client, wanting);
	if (!client)
		return;
	if (!has_room(client) || client->nr * 2 > port->backlog - port->nr) {
		list_move_tail(&client->wanting, &port->wanting);
		return;
	}
	tell(client);
}

/**
 * aop_port_freed_locked() - places were freed
 * @port: its lock is held
 *
 * When half of them are, whoever found none may try again.
 */
void aop_port_freed_locked(struct aop_port *port)
{
	if (port->nr > port->backlog / 2)
		tell_one(port);
	else if (!list_empty(&port->wanting) && aop_port_tell_locked(port))
		aop_port_kick_locked(port);
}

/* There is no room: it is to be told. */
static void want(struct aop_client *client)
{
	if (list_empty(&client->wanting))
		list_add_tail(&client->wanting, &client->port->wanting);
}

/**
 * aop_port_reserve() - a place in the backlog
 * @client: who wants to call
 *
 * A port that has ended has places for all, in a backlog that takes no calls.
 *
 * Return: 0, to be given to aop_port_queue_locked() or aop_port_unreserve(); -EAGAIN.
 */
int aop_port_reserve(struct aop_client *client)
{
	struct aop_port *port = client->port;
	int ret = 0;

	spin_lock_irq(&port->lock);
	if (port->closed || has_room(client)) {
		aop_client_places_locked(client, 1);
	} else {
		want(client);
		ret = -EAGAIN;
	}
	spin_unlock_irq(&port->lock);
	return ret;
}

/**
 * aop_port_unreserve() - undo aop_port_reserve()
 * @client: the same
 */
void aop_port_unreserve(struct aop_client *client)
{
	struct aop_port *port = client->port;

	spin_lock_irq(&port->lock);
	aop_client_places_locked(client, -1);
	aop_port_freed_locked(port);
	spin_unlock_irq(&port->lock);
}

static bool ready_to_try(struct aop_client *client)
{
	struct aop_port *port = client->port;
	bool ret;

	spin_lock_irq(&port->lock);
	/* Without its handle it is to find that out. */
	ret = port->closed || !client->link || has_room(client);
	if (!ret)
		/* Woken, but another was faster. */
		want(client);
	spin_unlock_irq(&port->lock);
	return ret;
}

/**
 * aop_client_hold() - keep a client and its port without the table mutex
 * @client: pinned by its handle
 */
void aop_client_hold(struct aop_client *client)
{
	struct aop_port *port = client->port;

	aop_get(port->op);
	spin_lock_irq(&port->lock);
	client->ref++;
	spin_unlock_irq(&port->lock);
}

/**
 * aop_client_release() - undo aop_client_hold()
 * @client: not used afterwards; the table may be locked
 */
void aop_client_release(struct aop_client *client)
{
	struct aop_port *port = client->port;

	spin_lock_irq(&port->lock);
	aop_client_put_locked(client);
	spin_unlock_irq(&port->lock);
	aop_put(port->op);
}

/**
 * aop_port_wait_room() - sleep until it is worth trying again
 * @ctx: of the calling process, its table not locked
 * @client: held
 * @deadline: of user space
 *
 * Context: sleeps, interruptible and freezable.
 * Return: 0; -ETIME; -ERESTARTSYS.
 */
int aop_port_wait_room(struct aop_ctx *ctx, struct aop_client *client, u64 deadline)
{
	DEFINE_WAIT(wait);
	int ret;

	for (;;) {
		/* Pairs with waitqueue_active() in tell(), by the port's lock. */
		prepare_to_wait(&client->room, &wait, TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		ret = 0;
		if (ready_to_try(client))
			break;
		ret = deadline ? aop_nap(ctx, deadline) : -ETIME;
		if (ret)
			break;
	}
	finish_wait(&client->room, &wait);
	return ret;
}
