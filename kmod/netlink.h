/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the netlink family share.  Arrows point down:
 *
 *	netlink		the family: commands, dumps		(no lock of its own)
 *	subscribe	which sockets are told of changes
 *	news		what they are told, and when		(subscriptions' mutex)
 *	message		an op as a message
 *	reader		who asks: rights, namespaces, filter
 */
#ifndef AOP_NETLINK_H
#define AOP_NETLINK_H

#include <net/genetlink.h>
#include <uapi/linux/aop_netlink.h>

#include "internal.h"

struct aop_sub;

extern struct genl_family aop_family;

/* ---- reader.c ------------------------------------------------------------ */

/**
 * struct aop_reader - who is shown ops
 * @sk: the socket, to tell it from others; a reference would keep a dump from ending with it
 * @net: cookie of the socket's network namespace
 * @opener: of the socket
 * @sender: of the request; its namespaces are what ids are translated into
 * @pid_ns: of the sender
 * @time_offset: of the sender's time namespace
 *
 * Like an open file it keeps the rights that the two had.
 */
struct aop_reader {
	struct sock *sk;
	u64 net;
	const struct cred *opener;
	const struct cred *sender;
	struct pid_namespace *pid_ns;
	s64 time_offset;
};

void aop_reader_init(struct aop_reader *reader, struct sk_buff *request);
void aop_reader_exit(struct aop_reader *reader);
u32 aop_reader_may(const struct aop_reader *reader, const struct aop *op);

/**
 * struct aop_filter - which ops
 * @states: 1 << state of those that match
 * @has_uid: @uid counts
 * @has_label: @label counts
 * @uid: of the creator
 * @pid: of the creator, in the reader's namespace; 0: any
 * @parent: id; 0: any
 * @min_age: ns since it was created
 * @max_age: ns since it was created
 * @label: a pattern
 */
struct aop_filter {
	u32 states;
	bool has_uid;
	bool has_label;
	kuid_t uid;
	u32 pid;
	u64 parent;
	u64 min_age;
	u64 max_age;
	char label[AOP_LABEL_SIZE];
};

extern const struct nla_policy aop_filter_policy[AOP_A_FILTER_MAX + 1];

int aop_filter_parse(struct aop_filter *filter, const struct nlattr *nest,
		     const struct aop_reader *reader, struct netlink_ext_ack *extack);
bool aop_filter_match(const struct aop_filter *filter, const struct aop_reader *reader,
		      const struct aop *op);

/* ---- message.c ----------------------------------------------------------- */

/**
 * struct aop_message - what a message is beside the op
 * @portid: of the receiver
 * @seq: of the request, or 0
 * @flags: NLM_F_*
 * @cmd: AOP_CMD_*
 * @event: number of the event, or 0
 * @members: list those of a group
 * @dump: that it is a part of, or NULL
 */
struct aop_message {
	u32 portid;
	u32 seq;
	int flags;
	u8 cmd;
	u64 event;
	bool members;
	struct netlink_callback *dump;
};

size_t aop_message_size(const struct aop *op, bool members);
int aop_message_put(struct sk_buff *skb, const struct aop_reader *reader, struct aop *op,
		    const struct aop_message *m);

/* ---- subscribe.c --------------------------------------------------------- */

int aop_subscribe(struct net *net, u32 portid, struct aop_reader *reader,
		  const struct aop_filter *filter, u64 interval);
int aop_unsubscribe(const struct sock *sk);
struct aop_sub *aop_sub_lock(const struct sock *sk);
void aop_sub_unlock(struct aop_sub *sub);
u64 aop_sub_event(const struct aop_sub *sub);
void aop_subscribe_init(void);
void aop_subscribe_exit(void);

/* ---- news.c -------------------------------------------------------------- */

void aop_news_exit(void);

#endif /* AOP_NETLINK_H */
