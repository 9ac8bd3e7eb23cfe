// SPDX-License-Identifier: GPL-2.0
/*
 * Subscriptions: which sockets are told of changes by netlink, and how many may be.
 *
 * A user has few, and all users together not many, so that nobody takes them all or
 * makes each change dear.  A subscription ends when its socket tells us of its end.
 *
 * Locks: aop_subs_lock, see news.c, which tells them.
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "news.h"

#define MAX_SUBS	32		/* of one user */
#define MIN_INTERVAL	NSEC_PER_MSEC

static unsigned int max_subscriptions = 256;
module_param(max_subscriptions, uint, 0644);
MODULE_PARM_DESC(max_subscriptions, "netlink subscriptions of all users, but for CAP_SYS_RESOURCE");

static unsigned int nr_subs;

static struct aop_sub *find(const struct sock *sk)
{
	struct aop_sub *sub;

	list_for_each_entry(sub, &aop_subs, node)
		if (sub->reader.sk == sk)
			return sub;
	return NULL;
}

/* Of one that is being closed; its number may be another's already. */
static struct aop_sub *find_closed(const struct net *net, u32 portid)
{
	struct aop_sub *sub;

	list_for_each_entry(sub, &aop_subs, node)
		if (sub->portid == portid && net_eq(sub->net, net) && !file_count(sub->file))
			return sub;
	return NULL;
}

static int may_have_another(const struct aop_reader *reader)
{
	struct aop_sub *sub;
	unsigned int nr = 0;

	list_for_each_entry(sub, &aop_subs, node)
		nr += uid_eq(sub->reader.opener->euid, reader->opener->euid);
	if (nr >= MAX_SUBS)
		return -EDQUOT;
	return nr_subs < READ_ONCE(max_subscriptions) || capable(CAP_SYS_RESOURCE) ? 0 : -EUSERS;
}

static struct aop_sub *begin(struct net *net, u32 portid, const struct sock *sk)
{
	struct aop_sub *sub;

	/* The socket does not hold the module: each subscription does. */
	if (!try_module_get(THIS_MODULE))
		return NULL;
	sub = kzalloc(sizeof(*sub), AOP_GFP);
	if (!sub) {
		module_put(THIS_MODULE);
		return NULL;
	}
	sub->net = net;
	sub->portid = portid;
	sub->file = sk->sk_socket->file;
	nr_subs++;
	aop_news_join(sub);
	return sub;
}

/* A new one, or the one that the socket has, without what is to be replaced. */
static struct aop_sub *renew(struct net *net, u32 portid, const struct aop_reader *reader)
{
	struct aop_sub *sub = find(reader->sk);
	int ret;

	if (sub) {
		aop_reader_exit(&sub->reader);
		return sub;
	}
	ret = may_have_another(reader);
	if (ret)
		return ERR_PTR(ret);
	return begin(net, portid, reader->sk) ?: ERR_PTR(-ENOMEM);
}

/**
 * aop_subscribe() - tell a socket of changes, or change of which
 * @net: of the socket
 * @portid: of the socket
 * @reader: taken over if this succeeds
 * @filter: copied
 * @interval: ns between news of progress
 *
 * Context: may sleep.
 * Return: 0; -EDQUOT when the user has too many; -EUSERS when all users together have,
 * and the caller has no CAP_SYS_RESOURCE; -ENOMEM.
 */
int aop_subscribe(struct net *net, u32 portid, struct aop_reader *reader,
		  const struct aop_filter *filter, u64 interval)
{
	struct aop_user *about = NULL;
	struct aop_sub *sub;

	if (filter->has_uid) {
		about = aop_user_get(filter->uid);
		if (!about)
			return -ENOMEM;
	}
	mutex_lock(&aop_subs_lock);
	sub = renew(net, portid, reader);
	if (!IS_ERR(sub)) {
		sub->reader = *reader;
		sub->filter = *filter;
		sub->interval = clamp_t(u64, interval, MIN_INTERVAL, S64_MAX / 2);
		sub->due = 0;
		aop_news_follow(sub, about);
		about = NULL;
	}
	mutex_unlock(&aop_subs_lock);
	if (about)
		aop_user_put(about);
	return PTR_ERR_OR_ZERO(sub);
}

static void remove(struct aop_sub *sub)
{
	nr_subs--;
	aop_news_leave(sub);
}

/* It was removed, and aop_subs_lock is not held any more. */
static void end(struct aop_sub *sub)
{
	aop_reader_exit(&sub->reader);
	kfree(sub);
	module_put(THIS_MODULE);
}

/**
 * aop_unsubscribe() - tell a socket no more
 * @sk: the socket
 *
 * Context: may sleep.
 * Return: 0; -ENOENT when it is told nothing.
 */
int aop_unsubscribe(const struct sock *sk)
{
	struct aop_sub *sub = aop_sub_lock(sk);

	if (!sub)
		return -ENOENT;
	remove(sub);
	aop_sub_unlock(sub);
	end(sub);
	return 0;
}

/**
 * aop_sub_lock() - let a subscription be sent nothing for the moment
 * @sk: the socket
 *
 * What is sent by others until aop_sub_unlock() is newer than all it was told.
 *
 * Context: may sleep.
 * Return: the subscription, or NULL, and then nothing is held.
 */
struct aop_sub *aop_sub_lock(const struct sock *sk)
{
	struct aop_sub *sub;

	mutex_lock(&aop_subs_lock);
	sub = find(sk);
	if (!sub)
		mutex_unlock(&aop_subs_lock);
	return sub;
}

/**
 * aop_sub_unlock() - undo aop_sub_lock()
 * @sub: what it has returned
 */
void aop_sub_unlock(struct aop_sub *sub)
{
	if (sub)
		mutex_unlock(&aop_subs_lock);
}

/**
 * aop_sub_event() - number of the last event of a subscription
 * @sub: locked
 */
u64 aop_sub_event(const struct aop_sub *sub)
{
	return sub->event;
}

/* A socket is closed.  All kinds of them come here. */
static int socket_gone(struct notifier_block *nb, unsigned long what, void *data)
{
	const struct netlink_notify *n = data;
	struct aop_sub *sub;

	if (what != NETLINK_URELEASE || n->protocol != NETLINK_GENERIC ||
	    !aop_news_wanted())
		return NOTIFY_DONE;
	mutex_lock(&aop_subs_lock);
	sub = find_closed(n->net, n->portid);
	if (sub)
		remove(sub);
	mutex_unlock(&aop_subs_lock);
	if (sub)
		end(sub);
	return NOTIFY_DONE;
}

static struct notifier_block sockets = {
	.notifier_call = socket_gone,
};

/* Cannot fail. */
void __init aop_subscribe_init(void)
{
	netlink_register_notifier(&sockets);
}

void aop_subscribe_exit(void)
{
	netlink_unregister_notifier(&sockets);
}
