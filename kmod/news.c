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
 * Nothing is missed: a change that does not see aop_news_wanted() was made in a
 * section of the op's home lock (or, if the op is new, of the registry's lock) before
 * the one in which a dump that follows the subscription looks at the op, so the dump
 * shows it.
 *
 * Nobody makes others pay: ops of which no subscription can be told, by its uid, are
 * put on no list; each user has a share of the lists, and what is lost for want of room
 * is lost to those who are told of that user's ops; no section of aop_subs_lock is long.
 *
 * Locks: aop_subs_lock, a mutex, protects subscriptions; only who holds it takes ops off
 * the lists.  news_lock, a leaf inside the home locks, interrupts off, protects both
 * lists, what says on which an op is, and the counts of listeners and of what is lost.
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/netlink.h>

#include "compat.h"
#include "news.h"

#define BATCH		512		/* ops in one section of aop_subs_lock */

enum { NEWS_NONE, NEWS_CHANGED, NEWS_PROGRESSED, NEWS_MARKER };

DEFINE_MUTEX(aop_subs_lock);	/* see above */
LIST_HEAD(aop_subs);

/* Not a static branch: any user may subscribe, and may not make us patch code for it. */
bool aop_news_on __read_mostly;

/* They use memory. */
static unsigned int max_news = 131072;
module_param(max_news, uint, 0644);
MODULE_PARM_DESC(max_news, "changed operations of one user that wait to be told by netlink");

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

/* Of its user's ops, or of all?  Set before the dump, as aop_news_on is. */
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

/* ---- sending: aop_subs_lock is held ------------------------------------------ */

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

	list_for_each_entry(sub, &aop_subs, node) {
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

	mutex_lock(&aop_subs_lock);
	while (nr++ < BATCH && (op = next_changed())) {
		list_for_each_entry(sub, &aop_subs, node)
			tell(sub, op);
		aop_put(op);
	}
	send_all();
	mutex_unlock(&aop_subs_lock);
	if (nr > BATCH)
		queue_work(aop_wq, work);
}

/* ---- progress: aop_subs_lock is held ----------------------------------------- */

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

	mutex_lock(&aop_subs_lock);
	spin_lock_irq(&news_lock);
	list_add_tail(&end.news, &progressed);
	spin_unlock_irq(&news_lock);
	list_for_each_entry(sub, &aop_subs, node)
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
	list_for_each_entry(sub, &aop_subs, node) {
		least = min(least, sub->interval);
		if (has_progress(sub, NULL))
			next = min(next, sub->due);
	}
	mutex_unlock(&aop_subs_lock);
	/* Queued already it cannot be queued sooner for a subscription that has nothing yet. */
	if (next != S64_MAX)
		queue_delayed_work(aop_wq, &progress_item,
				   nsecs_to_jiffies(min(max(next, now) - now, least)) + 1);
}

/* ---- joining and leaving: aop_subs_lock is held --------------------------- */

static unsigned int *listeners_to(struct aop_user *about)
{
	return about ? &about->listeners : &listeners;
}

/**
 * aop_news_follow() - tell a subscription of one user's ops, or of all users'
 * @sub: has joined
 * @about: the user, with a reference that is taken over; NULL: all users
 *
 * In one section: if it is the same as before, nothing is missed, nor a loss forgotten.
 */
void aop_news_follow(struct aop_sub *sub, struct aop_user *about)
{
	struct aop_user *old = sub->about;

	spin_lock_irq(&news_lock);
	++*listeners_to(about);
	--*listeners_to(old);
	sub->event += lost_of(sub) - sub->lost;
	sub->about = about;
	sub->lost = lost_of(sub);
	spin_unlock_irq(&news_lock);
	if (old)
		aop_user_put(old);
	mod_delayed_work(aop_wq, &progress_item, 0);
}

/**
 * aop_news_join() - there is another subscription, at first to the ops of all users
 * @sub: new
 */
void aop_news_join(struct aop_sub *sub)
{
	sub->marker.news_kind = NEWS_MARKER;
	list_add_tail(&sub->node, &aop_subs);
	spin_lock_irq(&news_lock);
	list_add_tail(&sub->marker.news, &progressed);
	listeners++;
	sub->lost = lost_of(sub);
	spin_unlock_irq(&news_lock);
	WRITE_ONCE(aop_news_on, true);
}

/**
 * aop_news_leave() - undo aop_news_join()
 * @sub: has joined
 */
void aop_news_leave(struct aop_sub *sub)
{
	list_del(&sub->node);
	spin_lock_irq(&news_lock);
	list_del(&sub->marker.news);
	--*listeners_to(sub->about);
	spin_unlock_irq(&news_lock);
	if (sub->about)
		aop_user_put(sub->about);
	WRITE_ONCE(aop_news_on, !list_empty(&aop_subs));
	/* What it alone waited for comes off the lists. */
	queue_work(aop_wq, &changed_item);
	mod_delayed_work(aop_wq, &progress_item, 0);
}

/* No op and no subscription is left, but work items may still be about to see that. */
void aop_news_exit(void)
{
	cancel_work_sync(&changed_item);
	cancel_delayed_work_sync(&progress_item);
}
