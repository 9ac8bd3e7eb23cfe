// SPDX-License-Identifier: GPL-2.0
/*
 * Who is shown ops by netlink, and which: rights, namespaces, filters.
 *
 * Both must be allowed what is asked: who opened the socket, and who sends the
 * request.  Otherwise a program with privileges could be made to ask for others, by
 * giving it a socket to write to.
 */
#include <linux/file.h>
#include <linux/glob.h>
#include <linux/pid_namespace.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "netlink.h"

/**
 * aop_reader_init() - who sends a request
 * @reader: filled in; aop_reader_exit() undoes this
 * @request: received just now, by the sender's own call
 *
 * Context: process.
 */
void aop_reader_init(struct aop_reader *reader, struct sk_buff *request)
{
	struct sock *sk = NETLINK_CB(request).sk;

	reader->sk = sk;
	reader->net = sock_net(sk)->net_cookie;
	reader->opener = get_cred(sk->sk_socket->file->f_cred);
	reader->sender = get_current_cred();
	reader->pid_ns = get_pid_ns(task_active_pid_ns(current));
	reader->time_offset = aop_time_offset();
}

/**
 * aop_reader_exit() - undo aop_reader_init()
 * @reader: not used afterwards
 */
void aop_reader_exit(struct aop_reader *reader)
{
	put_cred(reader->opener);
	put_cred(reader->sender);
	put_pid_ns(reader->pid_ns);
}

/**
 * aop_reader_may() - what a reader may do with an op
 * @reader: who
 * @op: any
 *
 * Context: process.
 * Return: AOP_MAY_LOOK, AOP_MAY_CANCEL, both or 0.
 */
u32 aop_reader_may(const struct aop_reader *reader, const struct aop *op)
{
	u32 rights;

	if (op->home->net != reader->net)
		return 0;
	rights = aop_may_by_id_as(op, reader->sender);
	if (rights && reader->opener != reader->sender)
		rights &= aop_may_by_id_as(op, reader->opener);
	return rights & AOP_MAY_LOOK ? rights : 0;
}

/* ---- filters ------------------------------------------------------------- */

const struct nla_policy aop_filter_policy[AOP_A_FILTER_MAX + 1] = {
	[AOP_A_FILTER_STATES] = NLA_POLICY_MASK(NLA_U32, BIT(AOP_NR_STATES) - 1),
	[AOP_A_FILTER_UID] = { .type = NLA_U32 },
	[AOP_A_FILTER_PID] = NLA_POLICY_MIN(NLA_U32, 1),
	[AOP_A_FILTER_LABEL] = { .type = NLA_NUL_STRING, .len = AOP_LABEL_SIZE - 1 },
	[AOP_A_FILTER_PARENT] = { .type = NLA_U64 },
	[AOP_A_FILTER_MIN_AGE] = { .type = NLA_U64 },
	[AOP_A_FILTER_MAX_AGE] = { .type = NLA_U64 },
};

/**
 * aop_filter_parse() - a filter out of a request
 * @filter: filled in
 * @nest: AOP_A_FILTER, validated; NULL: all match
 * @reader: whose ids are meant
 * @extack: told what is wrong
 *
 * Return: 0; -EINVAL for an id that does not exist in the reader's namespace.
 */
int aop_filter_parse(struct aop_filter *filter, const struct nlattr *nest,
		     const struct aop_reader *reader, struct netlink_ext_ack *extack)
{
	struct nlattr *tb[AOP_A_FILTER_MAX + 1];
	int ret;

	*filter = (struct aop_filter){ .states = ~0u, .max_age = ~0ULL };
	if (!nest)
		return 0;
	ret = nla_parse_nested(tb, AOP_A_FILTER_MAX, nest, aop_filter_policy, extack);
	if (ret)
		return ret;
	if (tb[AOP_A_FILTER_STATES])
		filter->states = nla_get_u32(tb[AOP_A_FILTER_STATES]);
	if (tb[AOP_A_FILTER_UID]) {
		filter->uid = make_kuid(reader->sender->user_ns,
					nla_get_u32(tb[AOP_A_FILTER_UID]));
		filter->has_uid = true;
		if (!uid_valid(filter->uid)) {
			NL_SET_ERR_MSG_ATTR(extack, tb[AOP_A_FILTER_UID],
					    "no such uid in this user namespace");
			return -EINVAL;
		}
	}
	if (tb[AOP_A_FILTER_PID])
		filter->pid = nla_get_u32(tb[AOP_A_FILTER_PID]);
	if (tb[AOP_A_FILTER_LABEL]) {
		nla_strscpy(filter->label, tb[AOP_A_FILTER_LABEL], sizeof(filter->label));
		filter->has_label = true;
	}
	if (tb[AOP_A_FILTER_PARENT])
		filter->parent = nla_get_u64(tb[AOP_A_FILTER_PARENT]);
	if (tb[AOP_A_FILTER_MIN_AGE])
		filter->min_age = nla_get_u64(tb[AOP_A_FILTER_MIN_AGE]);
	if (tb[AOP_A_FILTER_MAX_AGE])
		filter->max_age = nla_get_u64(tb[AOP_A_FILTER_MAX_AGE]);
	return 0;
}

/**
 * aop_filter_match() - is that op meant?
 * @filter: from aop_filter_parse()
 * @reader: whose pids are meant
 * @op: any
 *
 * Takes no lock: of what may change it only looks at the state.
 */
bool aop_filter_match(const struct aop_filter *filter, const struct aop_reader *reader,
		      const struct aop *op)
{
	const struct aop_extra *extra = op->extra;

	if (!(filter->states >> aop_word_state(READ_ONCE(op->word)) & 1))
		return false;
	if (filter->has_uid && !uid_eq(filter->uid, op->home->cred->euid))
		return false;
	if (filter->pid && filter->pid != pid_nr_ns(op->home->pid, reader->pid_ns))
		return false;
	if (filter->parent && filter->parent != (extra ? extra->parent : 0))
		return false;
	if (filter->has_label && !glob_match(filter->label, extra ? extra->label : ""))
		return false;
	if (filter->min_age || filter->max_age != ~0ULL) {
		u64 age = ktime_get_ns() - op->created;

		return age >= filter->min_age && age <= filter->max_age;
	}
	return true;
}
