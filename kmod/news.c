// SPDX-License-Identifier: GPL-2.0
/*
 * News: who is told of changes by netlink.
 *
 * While there are subscriptions, an op that changes is put on a list, with a
 * reference, unless it is there already: so changes merge, and nothing is allocated
 * where an op is signalled.  Work items take the ops off and make messages of what
 * they are then.
 *
 * There are two lists.  Ops on `changed` have a new state or new flags, or are new
 * themselves; all subscriptions are told at once.  Those on `progressed` have new
 * details only, which each subscription is told at intervals of its own: a marker in
 * the list stands behind what it was told of, an op that progresses again moves to
 * the end, and what all markers have passed is taken off.
 *
 * Nothing is missed: a change that does not see `aop_news_wanted` was made in a
 * section of the op's home lock (or, if the op is new, of the registry's lock) before
 * the one in which a dump that follows the subscription looks at the op, so the dump
 * shows it.
 *
 * Nobody makes others pay: ops of which no subscription can be told, by its uid, are
 * put on no list; each user has a share of the lists, and what is lost for want of room
 * is lost to those who are told of that user's ops; a user has few subscriptions, and
 * all users together not many; no section of subs_lock is long.
 *
 * Locks: subs_lock, a mutex, protects subscriptions; only who holds it takes ops off
 * the lists.  news_lock, a leaf inside the home locks, interrupts off, protects both
 * lists, what says on which an op is, and the counts of listeners and of what is lost.
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "compat.h"
#include "netlink.h"

#define MAX_SUBS	32		/* of one user */
#define BATCH		512		/* ops in one section of subs_lock */
#define MIN_INTERVAL	NSEC_PER_MSEC

enum { NEWS_NONE, NEWS_CHANGED, NEWS_PROGRESSED, NEWS_MARKER };

/**
 * struct aop_sub - one subscription
 * @node: in subs
 * @net: of the socket, which pins it until it tells us of its end
 * @portid: of the socket
 * @file: the socket's; not a reference, but its release waits until we are told of it,
 *	so while subs_lock is held it is there
 * @reader: who
 * @filter: which ops
 * @about: the one user of whose ops it is told, with a reference; NULL: all users'
 * @lost: count of what was lost of them, when it was last told
 * @interval: ns between news of progress
 * @due: when it may be told of progress again
 * @event: number of the last message, sent or lost
 * @behind: messages were lost, and no later one has said so yet
 * @marker: in progressed; an op of which nothing else is used
 * @skb: messages to send; NULL but in a section of subs_lock
 */
struct aop_sub {
	struct list_head node;
	struct net *net;
	u32 portid;
	struct file *file;
	struct aop_reader reader;
	struct aop_filter filter;
	struct aop_user *about;
	u64 lost;
	u64 interval;
	u64 due;
	u64 event;
	bool behind;
	struct aop marker;
	struct sk_buff *skb;
};

/* Not a static branch: any user may subscribe, and may not make us patch code for it. */
bool aop_news_wanted __read_mostly;

/* They use memory. */
static unsigned int max_news = 131072;
module_param(max_news, uint, 0644);
MODULE_PARM_DESC(max_news, "changed operations of one user that wait to be told by netlink");

static unsigned int max_subscriptions = 256;
module_param(max_subscriptions, uint, 0644);
MODULE_PARM_DESC(max_subscriptions, "netlink subscriptions of all users, but for CAP_SYS_RESOURCE");

static DEFINE_MUTEX(subs_lock);
static LIST_HEAD(subs);
static unsigned int nr_subs;

static DEFINE_SPINLOCK(news_lock);
static LIST_HEAD(changed);
static LIST_HEAD(progressed);
static unsigned int listeners;	/* to the ops of all users */
static u64 lost;		/* changes of ops of any user, for want of room */

static void changed_work(struct work_struct *work);
static void progress_work(struct work_struct *work);
static DECLARE_WORK(changed_item, changed_work);
static DECLARE_DELAYED_WORK(progress_item, progress_work);

/* ---- where ops change ---------------------------------------------------- */

/* Of its user's ops, or of all?  Set before the dump, as aop_news_wanted is. */
static bool anybody_listens(const struct aop *op)
{
	return READ_ONCE(listeners) || READ_ONCE(op->home->user->listeners);
}

/* Puts it on a list, and says whether that list was empty. */
static bool put_on(struct aop *op, u8 kind)
{
	struct list_head *list = kind == NEWS_CHANGED ? &changed : &progressed;
	struct aop_user *user = op->home->user;
	bool first = list_empty(list);

	if (op->news_kind != NEWS_NONE) {
		list_move_tail(&op->news, list);
	} else if (user->news < READ_ONCE(max_news)) {
		aop_get(op);
		user->news++;
		list_add_tail(&op->news, list);
	} else {
		user->lost++;
		lost++;
		return true;
	}
	op->news_kind = kind;
	return first;
}

/**
 * aop_news_changed() - tell subscribers of an op that is new, or has another state or flags
 * @op: the caller has a reference
 *
 * Context: any, home locks may be held.
 */
void aop_news_changed(struct aop *op)
{
	unsigned long flags;
	bool first = false;

	if (!anybody_listens(op))
		return;
	spin_lock_irqsave(&news_lock, flags);
	if (op->news_kind != NEWS_CHANGED)
		first = put_on(op, NEWS_CHANGED);
	spin_unlock_irqrestore(&news_lock, flags);
	if (first)
		queue_work(aop_wq, &changed_item);
}

/**
 * aop_news_progressed() - tell subscribers of an op that has new details
 * @op: the caller has a reference
 *
 * Context: any, home locks may be held.
 */
void aop_news_progressed(struct aop *op)
{
	unsigned long flags;

	if (!anybody_listens(op))
		return;
	spin_lock_irqsave(&news_lock, flags);
	if (op->news_kind != NEWS_CHANGED)
		put_on(op, NEWS_PROGRESSED);
	spin_unlock_irqrestore(&news_lock, flags);
	/* While it is queued this is one atomic operation. */
	queue_delayed_work(aop_wq, &progress_item, 1);
}

/* ---- sending: subs_lock is held ------------------------------------------ */

static void send(struct aop_sub *sub)
{
	struct sk_buff *skb = sub->skb;

	if (!skb)
		return;
	sub->skb = NULL;
	/* Once it is being closed, its number may be somebody else's. */
	if (!aop_get_live_file(sub->file)) {
		nlmsg_free(skb);
		return;
	}
	/* Lost: the socket's reader gets -ENOBUFS, and the numbers have a gap. */
	genlmsg_unicast(sub->net, skb, sub->portid);
	/* If this was the last one, a work item of its own closes it: nothing waits here. */
	fput(sub->file);
}

static bool make_room(struct aop_sub *sub)
{
	if (!sub->skb)
		sub->skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	return sub->skb;
}

/* A message without an op: it only says that there is a gap before it. */
static void tell_behind(struct aop_sub *sub)
{
	void *header;

	if (!make_room(sub))
		return;
	header = genlmsg_put(sub->skb, 0, 0, &aop_family, 0, AOP_CMD_CHANGED);
	if (header && !nla_put_u64_64bit(sub->skb, AOP_A_EVENT, sub->event + 1, AOP_A_PAD)) {
		sub->event++;
		sub->behind = false;
		genlmsg_end(sub->skb, header);
	} else if (header) {
		genlmsg_cancel(sub->skb, header);
	}
	send(sub);
}

static void tell(struct aop_sub *sub, struct aop *op)
{
	struct aop_message m = { .cmd = AOP_CMD_CHANGED };

	if (!aop_filter_match(&sub->filter, &sub->reader, op) ||
	    !aop_reader_may(&sub->reader, op))
		return;
	m.event = ++sub->event;
	if (sub->skb && !aop_message_put(sub->skb, &sub->reader, op, &m))
		return;
	send(sub);
	if (!make_room(sub) || aop_message_put(sub->skb, &sub->reader, op, &m))
		sub->behind = true;
}

static void take_off(struct aop *op)
{
	list_del(&op->news);
	op->news_kind = NEWS_NONE;
	op->home->user->news--;
}

static struct aop *next_changed(void)
{
	struct aop *op;

	spin_lock_irq(&news_lock);
	op = list_first_entry_or_null(&changed, struct aop, news);
	if (op)
		take_off(op);
	spin_unlock_irq(&news_lock);
	return op;
}

/* How much was lost, for want of room, of what it is told; under news_lock. */
static u64 lost_of(const struct aop_sub *sub)
{
	return sub->about ? sub->about->lost : lost;
}

static void send_all(void)
{
	struct aop_sub *sub;
	u64 more;

	list_for_each_entry(sub, &subs, node) {
		spin_lock_irq(&news_lock);
		more = lost_of(sub) - sub->lost;
		sub->lost += more;
		spin_unlock_irq(&news_lock);
		sub->event += more;
		if (more || sub->behind)
			tell_behind(sub);
		send(sub);
	}
}

static void changed_work(struct work_struct *work)
{
	unsigned int nr = 0;
	struct aop_sub *sub;
	struct aop *op;

	mutex_lock(&subs_lock);
	while (nr++ < BATCH && (op = next_changed())) {
		list_for_each_entry(sub, &subs, node)
			tell(sub, op);
		aop_put(op);
	}
	send_all();
	mutex_unlock(&subs_lock);
	if (nr > BATCH)
		queue_work(aop_wq, work);
}

/* ---- progress: subs_lock is held ----------------------------------------- */

/* The next op before the end that a subscription is to be told of, with a reference. */
static struct aop *step(struct aop_sub *sub, struct aop *end)
{
	struct aop *op = &sub->marker;

	spin_lock_irq(&news_lock);
	do
		op = list_next_entry(op, news);
	while (op != end && op->news_kind == NEWS_MARKER);
	if (op != end) {
		list_move(&sub->marker.news, &op->news);
		aop_get(op);
	}
	spin_unlock_irq(&news_lock);
	return op != end ? op : NULL;
}

/* The first op that every subscription was told of, off the list, or NULL. */
static struct aop *next_told(void)
{
	struct aop *op;

	spin_lock_irq(&news_lock);
	op = list_first_entry_or_null(&progressed, struct aop, news);
	if (op && op->news_kind == NEWS_MARKER)
		op = NULL;
	if (op)
		take_off(op);
	spin_unlock_irq(&news_lock);
	return op;
}

/* Is there an op that a subscription was not told of, before an end? */
static bool has_progress(struct aop_sub *sub, struct aop *end)
{
	struct list_head *pos, *last = end ? &end->news : &progressed;
	bool ret = false;

	spin_lock_irq(&news_lock);
	for (pos = sub->marker.news.next; pos != last && !ret; pos = pos->next)
		ret = list_entry(pos, struct aop, news)->news_kind != NEWS_MARKER;
	spin_unlock_irq(&news_lock);
	return ret;
}

/*
 * True: that was all, and its marker is behind the end.  Otherwise the marker stays where
 * it has got to, and the rest is for the next section.
 */
static bool tell_progress(struct aop_sub *sub, struct aop *end)
{
	unsigned int nr = 0;
	struct aop *op;

	while (nr++ < BATCH) {
		op = step(sub, end);
		if (!op) {
			spin_lock_irq(&news_lock);
			list_move(&sub->marker.news, &end->news);
			spin_unlock_irq(&news_lock);
			return true;
		}
		tell(sub, op);
		aop_put(op);
		cond_resched();
	}
	return false;
}

static void progress_work(struct work_struct *work)
{
	/* What progresses again meanwhile is for the next time. */
	struct aop end = { .news_kind = NEWS_MARKER };
	u64 now = ktime_get_ns(), least = S64_MAX / 2, next = S64_MAX;
	struct aop_sub *sub;
	struct aop *op;

	mutex_lock(&subs_lock);
	spin_lock_irq(&news_lock);
	list_add_tail(&end.news, &progressed);
	spin_unlock_irq(&news_lock);
	list_for_each_entry(sub, &subs, node)
		if (sub->due <= now && has_progress(sub, &end) && tell_progress(sub, &end))
			sub->due = now + sub->interval;
	spin_lock_irq(&news_lock);
	list_del(&end.news);
	spin_unlock_irq(&news_lock);
	while ((op = next_told())) {
		aop_put(op);
		cond_resched();
	}
	send_all();
	list_for_each_entry(sub, &subs, node) {
		least = min(least, sub->interval);
		if (has_progress(sub, NULL))
			next = min(next, sub->due);
	}
	mutex_unlock(&subs_lock);
	/* Queued already it cannot be queued sooner for a subscription that has nothing yet. */
	if (next != S64_MAX)
		queue_delayed_work(aop_wq, &progress_item,
				   nsecs_to_jiffies(min(max(next, now) - now, least)) + 1);
}

/* ---- subscriptions ------------------------------------------------------- */

static struct aop_sub *find(const struct sock *sk)
{
	struct aop_sub *sub;

	list_for_each_entry(sub, &subs, node)
		if (sub->reader.sk == sk)
			return sub;
	return NULL;
}

/* Of one that is being closed; its number may be another's already. */
static struct aop_sub *find_closed(const struct net *net, u32 portid)
{
	struct aop_sub *sub;

	list_for_each_entry(sub, &subs, node)
		if (sub->portid == portid && net_eq(sub->net, net) && !file_count(sub->file))
			return sub;
	return NULL;
}

static int may_have_another(const struct aop_reader *reader)
{
	struct aop_sub *sub;
	unsigned int nr = 0;

	list_for_each_entry(sub, &subs, node)
		nr += uid_eq(sub->reader.opener->euid, reader->opener->euid);
	if (nr >= MAX_SUBS)
		return -EDQUOT;
	return nr_subs < READ_ONCE(max_subscriptions) || capable(CAP_SYS_RESOURCE) ? 0 : -EUSERS;
}

/* From now on it is told of one user's ops, or, with NULL, of all users'. */
static void listen_to(struct aop_sub *sub, struct aop_user *about)
{
	spin_lock_irq(&news_lock);
	if (about)
		about->listeners++;
	else
		listeners++;
	sub->about = about;
	sub->lost = lost_of(sub);
	spin_unlock_irq(&news_lock);
}

static void listen_no_more(struct aop_sub *sub)
{
	struct aop_user *about = sub->about;

	spin_lock_irq(&news_lock);
	if (about)
		about->listeners--;
	else
		listeners--;
	spin_unlock_irq(&news_lock);
	if (about)
		aop_user_put(about);
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
	sub->marker.news_kind = NEWS_MARKER;
	list_add_tail(&sub->node, &subs);
	nr_subs++;
	spin_lock_irq(&news_lock);
	list_add_tail(&sub->marker.news, &progressed);
	spin_unlock_irq(&news_lock);
	WRITE_ONCE(aop_news_wanted, true);
	return sub;
}

/* A new one, or the one that the socket has, without what is to be replaced. */
static struct aop_sub *renew(struct net *net, u32 portid, const struct aop_reader *reader)
{
	struct aop_sub *sub = find(reader->sk);
	int ret;

	if (sub) {
		listen_no_more(sub);
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
	mutex_lock(&subs_lock);
	sub = renew(net, portid, reader);
	if (!IS_ERR(sub)) {
		sub->reader = *reader;
		sub->filter = *filter;
		sub->interval = clamp_t(u64, interval, MIN_INTERVAL, S64_MAX / 2);
		sub->due = 0;
		listen_to(sub, about);
		about = NULL;
		mod_delayed_work(aop_wq, &progress_item, 0);
	}
	mutex_unlock(&subs_lock);
	if (about)
		aop_user_put(about);
	return PTR_ERR_OR_ZERO(sub);
}

static void remove(struct aop_sub *sub)
{
	list_del(&sub->node);
	nr_subs--;
	listen_no_more(sub);
	spin_lock_irq(&news_lock);
	list_del(&sub->marker.news);
	spin_unlock_irq(&news_lock);
	WRITE_ONCE(aop_news_wanted, !list_empty(&subs));
}

/* It was removed, and subs_lock is not held any more. */
static void end(struct aop_sub *sub)
{
	/* What it alone waited for comes off the lists. */
	queue_work(aop_wq, &changed_item);
	mod_delayed_work(aop_wq, &progress_item, 0);
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

	mutex_lock(&subs_lock);
	sub = find(sk);
	if (!sub)
		mutex_unlock(&subs_lock);
	return sub;
}

/**
 * aop_sub_unlock() - undo aop_sub_lock()
 * @sub: what it has returned
 */
void aop_sub_unlock(struct aop_sub *sub)
{
	if (sub)
		mutex_unlock(&subs_lock);
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
	    !READ_ONCE(aop_news_wanted))
		return NOTIFY_DONE;
	mutex_lock(&subs_lock);
	sub = find_closed(n->net, n->portid);
	if (sub)
		remove(sub);
	mutex_unlock(&subs_lock);
	if (sub)
		end(sub);
	return NOTIFY_DONE;
}

static struct notifier_block sockets = {
	.notifier_call = socket_gone,
};

/* Cannot fail. */
void __init aop_news_init(void)
{
	netlink_register_notifier(&sockets);
}

/* No op and no subscription is left, but work items may still be about to see that. */
void aop_news_exit(void)
{
	netlink_unregister_notifier(&sockets);
	cancel_work_sync(&changed_item);
	cancel_delayed_work_sync(&progress_item);
}
