/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A subscription, as those see it who make it (subscribe.c) and who tell it (news.c).
 */
#ifndef AOP_NEWS_H
#define AOP_NEWS_H

#include "netlink.h"

/**
 * struct aop_sub - one subscription
 * @node: in aop_subs
 * @net: of the socket, which pins it until it tells us of its end
 * @portid: of the socket
 * @file: the socket's; not a reference, but its release waits until we are told of it,
 *	so while aop_subs_lock is held it is there
 * @reader: who
 * @filter: which ops
 * @about: the one user of whose ops it is told, with a reference; NULL: all users'
 * @lost: count of what was lost of them, when it was last told
 * @interval: ns between news of progress
 * @due: when it may be told of progress again
 * @event: number of the last message, sent or lost
 * @behind: messages were lost, and no later one has said so yet
 * @marker: in progressed; an op of which nothing else is used
 * @skb: messages to send; NULL but in a section of aop_subs_lock
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

/* Protects subscriptions, and the list of them. */
extern struct mutex aop_subs_lock;
extern struct list_head aop_subs;

void aop_news_follow(struct aop_sub *sub, struct aop_user *about);
void aop_news_join(struct aop_sub *sub);
void aop_news_leave(struct aop_sub *sub);

#endif /* AOP_NEWS_H */
