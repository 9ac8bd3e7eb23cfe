// SPDX-License-Identifier: GPL-2.0
/*
 * An op as a netlink message.
 */
#include <linux/pid.h>

#include "compat.h"
#include "netlink.h"

#define U32_SIZE	nla_total_size(sizeof(u32))
#define U64_SIZE	nla_total_size_64bit(sizeof(u64))

/**
 * aop_message_size() - room for one message
 * @op: any
 * @members: with those of a group
 */
size_t aop_message_size(const struct aop *op, bool members)
{
	u32 nr = 0, need;

	if (members)
		aop_group_shape(op, &nr, &need);
	return GENL_HDRLEN + 11 * U32_SIZE + (10 + nr) * U64_SIZE +
	       nla_total_size(AOP_LABEL_SIZE) + nla_total_size(sizeof(op->home->comm));
}

static int put_u64(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_u64_64bit(skb, type, value, AOP_A_PAD);
}

/* What is 0 when there is none. */
static int put_u64_if(struct sk_buff *skb, int type, u64 value)
{
	return value ? put_u64(skb, type, value) : 0;
}

static int put_u32_if(struct sk_buff *skb, int type, u32 value)
{
	return value ? nla_put_u32(skb, type, value) : 0;
}

/* A dump of very many is mostly made of attributes: those that say nothing are left out. */
static int put_status(struct sk_buff *skb, const struct aop_status *st)
{
	return put_u64(skb, AOP_A_ID, st->id) ||
	       nla_put_u32(skb, AOP_A_SEQ, st->seq) ||
	       nla_put_u32(skb, AOP_A_STATE, st->state) ||
	       put_u32_if(skb, AOP_A_FLAGS, st->flags) ||
	       put_u32_if(skb, AOP_A_REASON, st->reason) ||
	       put_u64_if(skb, AOP_A_RESULT, st->result) ||
	       put_u64_if(skb, AOP_A_DONE, st->done) ||
	       put_u64_if(skb, AOP_A_TOTAL, st->total) ||
	       put_u64(skb, AOP_A_TIME, st->time);
}

static int put_creator(struct sk_buff *skb, const struct aop_reader *reader,
		       const struct aop_home *home)
{
	struct user_namespace *ns = reader->sender->user_ns;
	u32 pid = pid_nr_ns(home->pid, reader->pid_ns);

	return nla_put_u32(skb, AOP_A_UID, from_kuid_munged(ns, home->cred->euid)) ||
	       nla_put_u32(skb, AOP_A_GID, from_kgid_munged(ns, home->cred->egid)) ||
	       (pid && nla_put_u32(skb, AOP_A_PID, pid)) ||
	       nla_put_string(skb, AOP_A_COMM, home->comm);
}

static int put_group(struct sk_buff *skb, const struct aop *op, bool list)
{
	u32 i, members, need;

	aop_group_shape(op, &members, &need);
	if (!members)
		return 0;
	if (nla_put_u32(skb, AOP_A_MEMBERS, members) || nla_put_u32(skb, AOP_A_NEED, need))
		return -EMSGSIZE;
	for (i = 0; list && i < members; i++)
		if (put_u64(skb, AOP_A_MEMBER, aop_group_member(op, i)))
			return -EMSGSIZE;
	return 0;
}

/**
 * aop_message_put() - append a message that shows an op
 * @skb: with room for more
 * @reader: who may look at it
 * @op: as it is now; its home lock is not held
 * @m: the rest
 *
 * Context: process.
 * Return: 0, or -EMSGSIZE, and then nothing was appended.
 */
int aop_message_put(struct sk_buff *skb, const struct aop_reader *reader, struct aop *op,
		    const struct aop_message *m)
{
	void *header = genlmsg_put(skb, m->portid, m->seq, &aop_family, m->flags, m->cmd);
	u64 started, deadline = aop_deadline_of(op);
	struct aop_status st;
	u32 watchers;

	if (!header)
		return -EMSGSIZE;
	spin_lock_irq(&op->home->lock);
	aop_status_of(op, reader->time_offset, &st);
	started = op->started;
	watchers = op->watchers;
	spin_unlock_irq(&op->home->lock);

	if (m->dump)
		genl_dump_check_consistent(m->dump, header);
	if (put_status(skb, &st) ||
	    put_u64(skb, AOP_A_CREATED, op->created + reader->time_offset) ||
	    put_u64_if(skb, AOP_A_STARTED, started ? started + reader->time_offset : 0) ||
	    put_u64_if(skb, AOP_A_DEADLINE, deadline ? deadline + reader->time_offset : 0) ||
	    put_u64_if(skb, AOP_A_PARENT, op->extra ? op->extra->parent : 0) ||
	    (op->extra && op->extra->label[0] &&
	     nla_put_string(skb, AOP_A_LABEL, op->extra->label)) ||
	    put_creator(skb, reader, op->home) ||
	    nla_put_u32(skb, AOP_A_MODE, op->mode) ||
	    nla_put_u32(skb, AOP_A_WATCHERS, watchers) ||
	    put_group(skb, op, m->members) ||
	    put_u64_if(skb, AOP_A_EVENT, m->event)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}
