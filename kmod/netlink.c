// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: ops are listed, looked up, cancelled and subscribed to
 * by those who have no handle on them.  docs/netlink/aop.yaml specifies it.
 *
 * Whoever may send a message may send any of these: what it is answered is decided
 * for each op.
 */
#include <linux/module.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "compat.h"
#include "netlink.h"

#define STRETCH			1024	/* ops looked at while a subscription is locked */
#define DEFAULT_INTERVAL	(100 * NSEC_PER_MSEC)

static const struct nla_policy get_policy[AOP_A_FILTER + 1] = {
	[AOP_A_ID] = { .type = NLA_U64 },
	[AOP_A_FILTER] = NLA_POLICY_NESTED(aop_filter_policy),
};

static const struct nla_policy cancel_policy[AOP_A_REASON + 1] = {
	[AOP_A_ID] = { .type = NLA_U64 },
	[AOP_A_REASON] = NLA_POLICY_MAX(NLA_S32, -1),
};

static const struct nla_policy subscribe_policy[AOP_A_INTERVAL + 1] = {
	[AOP_A_FILTER] = NLA_POLICY_NESTED(aop_filter_policy),
	[AOP_A_INTERVAL] = { .type = NLA_U64 },
};

/* The op that a request names, with a reference, and what its sender may do with it. */
static struct aop *find_asked(struct genl_info *info, const struct aop_reader *reader,
			      u32 *rights)
{
	struct aop *op;

	if (GENL_REQ_ATTR_CHECK(info, AOP_A_ID)) {
		GENL_SET_ERR_MSG(info, "the id is missing");
		return ERR_PTR(-EINVAL);
	}
	op = aop_find(nla_get_u64(info->attrs[AOP_A_ID]));
	*rights = op ? aop_reader_may(reader, op) : 0;
	if (*rights)
		return op;
	if (op)
		aop_put(op);
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[AOP_A_ID],
			    "no operation with this id that you may look at");
	return ERR_PTR(-ENOENT);
}

/* ---- get ----------------------------------------------------------------- */

static int answer_get(struct genl_info *info, const struct aop_reader *reader, struct aop *op)
{
	struct aop_message m = {
		.portid = info->snd_portid,
		.seq = info->snd_seq,
		.cmd = AOP_CMD_GET,
		.members = true,
	};
	struct sk_buff *skb = nlmsg_new(aop_message_size(op, true), GFP_KERNEL);
	int ret;

	if (!skb)
		return -ENOMEM;
	ret = aop_message_put(skb, reader, op, &m);
	if (ret) {
		nlmsg_free(skb);
		return ret;
	}
	return genlmsg_reply(skb, info);
}

static int get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct aop_reader reader;
	struct aop *op;
	u32 rights;
	int ret;

	if (info->attrs[AOP_A_FILTER]) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[AOP_A_FILTER],
				    "a filter is for dumps");
		return -EINVAL;
	}
	aop_reader_init(&reader, skb);
	op = find_asked(info, &reader, &rights);
	ret = PTR_ERR_OR_ZERO(op);
	if (!ret) {
		ret = answer_get(info, &reader, op);
		aop_put(op);
	}
	aop_reader_exit(&reader);
	return ret;
}

/**
 * struct dump - a dump that goes on
 * @reader: who asked for it, whoever reads it
 * @filter: which ops
 * @bucket: of the op last sent
 * @id: of the op last sent
 */
struct dump {
	struct aop_reader reader;
	struct aop_filter filter;
	u32 bucket;
	u64 id;
};

static int get_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = aop_dump_attrs(cb);
	struct dump *dump;
	int ret;

	if (attrs[AOP_A_ID]) {
		NL_SET_ERR_MSG_ATTR(cb->extack, attrs[AOP_A_ID], "an id is not for dumps");
		return -EINVAL;
	}
	dump = kzalloc(sizeof(*dump), AOP_GFP);
	if (!dump)
		return -ENOMEM;
	aop_reader_init(&dump->reader, cb->skb);
	ret = aop_filter_parse(&dump->filter, attrs[AOP_A_FILTER], &dump->reader, cb->extack);
	if (ret) {
		aop_reader_exit(&dump->reader);
		kfree(dump);
		return ret;
	}
	cb->args[0] = (long)dump;
	return 0;
}

static int get_done(struct netlink_callback *cb)
{
	struct dump *dump = (struct dump *)cb->args[0];

	aop_reader_exit(&dump->reader);
	kfree(dump);
	return 0;
}

/* True: there may be more to look at, and room for it. */
static bool fill(struct sk_buff *skb, struct netlink_callback *cb, struct dump *dump)
{
	struct aop_message m = {
		.portid = NETLINK_CB(cb->skb).portid,
		.seq = cb->nlh->nlmsg_seq,
		.flags = NLM_F_MULTI,
		.cmd = AOP_CMD_GET,
		.dump = cb,
	};
	u32 bucket = dump->bucket;
	unsigned int nr = 0;
	u64 id = dump->id;
	struct aop *op;
	int ret;

	while (nr++ < STRETCH) {
		op = aop_find_next(&bucket, &id);
		if (!op)
			return false;
		ret = 0;
		if (aop_filter_match(&dump->filter, &dump->reader, op) &&
		    aop_reader_may(&dump->reader, op))
			ret = aop_message_put(skb, &dump->reader, op, &m);
		aop_put(op);
		if (ret)
			return false;
		dump->bucket = bucket;
		dump->id = id;
	}
	return true;
}

static int get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump *dump = (struct dump *)cb->args[0];
	struct aop_sub *sub;
	bool more;

	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		/*
		 * To a subscription nothing is sent meanwhile, so that a message which
		 * comes after this one is never older.  As long as the message is
		 * empty nothing in it can be.
		 */
		sub = aop_sub_lock(NETLINK_CB(cb->skb).sk);
		cb->seq = aop_registry_version() ?: 1;
		more = fill(skb, cb, dump);
		aop_sub_unlock(sub);
	} while (more && !skb->len);
	return skb->len;
}

/* ---- cancel -------------------------------------------------------------- */

static int request_cancel(struct aop *op, s32 reason)
{
	struct aop_run run AOP_UNINIT;
	int answer;

	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	answer = aop_cancel_locked(&run, op, reason);
	aop_run_end(&run);
	return answer;
}

/* The answer is made before the cancel is, so that it cannot fail afterwards. */
static int cancel_and_answer(struct genl_info *info, struct aop *op)
{
	struct nlattr *reason = info->attrs[AOP_A_REASON];
	struct sk_buff *skb = genlmsg_new(nla_total_size(sizeof(u32)), GFP_KERNEL);
	struct nlattr *answer;
	void *header;

	if (!skb)
		return -ENOMEM;
	header = genlmsg_put_reply(skb, info, &aop_family, 0, AOP_CMD_CANCEL);
	answer = header ? nla_reserve(skb, AOP_A_ANSWER, sizeof(u32)) : NULL;
	if (!answer) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	*(u32 *)nla_data(answer) = request_cancel(op, reason ? nla_get_s32(reason) : -ECANCELED);
	genlmsg_end(skb, header);
	return genlmsg_reply(skb, info);
}

static int cancel_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct aop_reader reader;
	struct aop *op;
	u32 rights;
	int ret;

	aop_reader_init(&reader, skb);
	op = find_asked(info, &reader, &rights);
	aop_reader_exit(&reader);
	if (IS_ERR(op))
		return PTR_ERR(op);
	if (rights & AOP_MAY_CANCEL) {
		ret = cancel_and_answer(info, op);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[AOP_A_ID],
				    "you may look at this operation, but not cancel it");
		ret = -EACCES;
	}
	aop_put(op);
	return ret;
}

/* ---- subscribe ----------------------------------------------------------- */

/* @skb: for the answer, with room for it. */
static int answer_subscribe(struct genl_info *info, const struct sock *sk, struct sk_buff *skb)
{
	struct aop_sub *sub;
	void *header;
	int ret;

	/* Sent before the lock is dropped: all later events come after it. */
	sub = aop_sub_lock(sk);
	header = genlmsg_put_reply(skb, info, &aop_family, 0, AOP_CMD_SUBSCRIBE);
	if (sub && header && !nla_put_u64_64bit(skb, AOP_A_EVENT, aop_sub_event(sub), AOP_A_PAD)) {
		genlmsg_end(skb, header);
		ret = genlmsg_reply(skb, info);
	} else {
		nlmsg_free(skb);
		ret = sub ? -EMSGSIZE : -ENOENT;
	}
	aop_sub_unlock(sub);
	return ret;
}

/* netlink_ns_capable() looks at the sender only, when the request names its receiver. */
static bool may_see_all(struct sk_buff *skb, const struct net *net)
{
	return file_ns_capable(NETLINK_CB(skb).sk->sk_socket->file, net->user_ns,
			       CAP_SYS_ADMIN) &&
	       ns_capable(net->user_ns, CAP_SYS_ADMIN);
}

static int subscribe_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *interval = info->attrs[AOP_A_INTERVAL];
	struct net *net = genl_info_net(info);
	struct aop_filter filter;
	struct aop_reader reader;
	struct sk_buff *answer;
	int ret;

	/* Who is told that it failed must not have a subscription. */
	answer = genlmsg_new(nla_total_size_64bit(sizeof(u64)), GFP_KERNEL);
	if (!answer)
		return -ENOMEM;
	aop_reader_init(&reader, skb);
	ret = aop_filter_parse(&filter, info->attrs[AOP_A_FILTER], &reader, info->extack);
	if (!ret && !filter.has_uid && !may_see_all(skb, net)) {
		GENL_SET_ERR_MSG(info, "without a uid in the filter this needs CAP_SYS_ADMIN");
		ret = -EPERM;
	}
	if (!ret) {
		ret = aop_subscribe(net, info->snd_portid, &reader, &filter,
				    interval ? nla_get_u64(interval) : DEFAULT_INTERVAL);
		if (ret == -EDQUOT)
			GENL_SET_ERR_MSG(info, "the user has too many subscriptions");
		if (ret == -EUSERS)
			GENL_SET_ERR_MSG(info, "all users together have too many subscriptions");
	}
	if (ret) {
		aop_reader_exit(&reader);
		nlmsg_free(answer);
		return ret;
	}
	return answer_subscribe(info, NETLINK_CB(skb).sk, answer);
}

static int unsubscribe_doit(struct sk_buff *skb, struct genl_info *info)
{
	int ret = aop_unsubscribe(NETLINK_CB(skb).sk);

	if (ret)
		GENL_SET_ERR_MSG(info, "this socket has no subscription");
	return ret;
}

/* ---- the family ---------------------------------------------------------- */

static const struct genl_ops commands[] = {
	{
		.cmd = AOP_CMD_GET,
		.doit = get_doit,
		.start = get_start,
		.dumpit = get_dumpit,
		.done = get_done,
		.policy = get_policy,
		.maxattr = ARRAY_SIZE(get_policy) - 1,
	}, {
		.cmd = AOP_CMD_CANCEL,
		.doit = cancel_doit,
		.policy = cancel_policy,
		.maxattr = ARRAY_SIZE(cancel_policy) - 1,
	}, {
		.cmd = AOP_CMD_SUBSCRIBE,
		.doit = subscribe_doit,
		.policy = subscribe_policy,
		.maxattr = ARRAY_SIZE(subscribe_policy) - 1,
	}, {
		.cmd = AOP_CMD_UNSUBSCRIBE,
		.doit = unsubscribe_doit,
	},
};

struct genl_family aop_family = {
	.name = AOP_FAMILY_NAME,
	.version = AOP_FAMILY_VERSION,
	.module = THIS_MODULE,
	.netnsok = true,
	/* A long dump keeps nobody else from using generic netlink. */
	.parallel_ops = true,
	.ops = commands,
	.n_ops = ARRAY_SIZE(commands),
};

int __init aop_netlink_init(void)
{
	int ret;

	aop_subscribe_init();
	ret = genl_register_family(&aop_family);
	if (ret)
		aop_subscribe_exit();
	return ret;
}

void aop_netlink_exit(void)
{
	genl_unregister_family(&aop_family);
	aop_subscribe_exit();
	aop_news_exit();
}
