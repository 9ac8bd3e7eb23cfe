// SPDX-License-Identifier: GPL-2.0
/*
 * What else can be done with a call: AOP_IOC_DELEGATE hands it on to another port,
 * AOP_IOC_MESSAGE reads its request or its reply once more.
 */
#include <linux/uaccess.h>

#include "batch.h"
#include "link.h"
#include "port.h"

/* ---- delegate ---------------------------------------------------------- */

static int delegate_one(struct aop_ctx *ctx, struct aop_run *run, const void *entry)
{
	const struct aop_delegate_entry *e = entry;
	struct aop_port *port, *old;
	struct aop_client *client;
	struct aop_call *call;
	struct aop_link *link;
	struct aop *op;
	bool edge;
	int ret;

	if (e->pad)
		return -EINVAL;
	aop_run_unlock(run);
	ret = aop_call_find(ctx, e->handle, AOP_MAY_DRIVE, &link, &call);
	if (!ret)
		ret = aop_client_find(ctx, e->port, &client);
	if (ret)
		return ret;
	port = client->port;
	if (call->len > port->message)
		return -EMSGSIZE;
	ret = aop_port_reserve(client);
	if (ret)
		return ret;

	op = aop_get(call->op);
	aop_run_lock(run, op->home);
	if (aop_is_final(op))
		ret = -EALREADY;
	aop_link_moved_locked(run, link);
	old = call->port;
	aop_get(port->op);
	call->port = port;
	edge = aop_port_queue_locked(run, client, call);
	aop_put_locked(run, old->op);
	aop_put_locked(run, op);
	if (!ret)
		/* Its handle is in the locked table, so it is still there. */
		aop_port_ring(run, port, 1, edge);
	return ret;
}

static const struct aop_batch_kind delegates = AOP_BATCH_KIND(delegate);

/**
 * aop_ioctl_delegate() - AOP_IOC_DELEGATE
 * @ctx: of the calling process
 * @arg: struct aop_ioc_batch of struct aop_delegate_entry
 *
 * Context: may sleep.
 * Return: as aop_batch().
 */
long aop_ioctl_delegate(struct aop_ctx *ctx, void __user *arg)
{
	return aop_batch(ctx, &delegates, arg);
}

/* ---- messages ---------------------------------------------------------- */

static int message_one(struct aop_ctx *ctx, struct aop_run *run, const void *entry)
{
	struct aop_message_entry *e = (struct aop_message_entry *)entry;
	bool request = e->flags & AOP_MESSAGE_REQUEST;
	struct aop_call *call;
	struct aop_link *link;
	struct aop *op;
	u32 len;
	int ret;

	e->len = 0;
	if (e->flags & ~(AOP_MESSAGE_REQUEST | AOP_MESSAGE_DETACH) || e->pad ||
	    (request && e->flags & AOP_MESSAGE_DETACH))
		return -EINVAL;
	aop_run_unlock(run);
	ret = aop_call_find(ctx, e->handle, request ? AOP_MAY_DRIVE : AOP_MAY_LOOK, &link, &call);
	if (ret)
		return ret;
	op = call->op;
	/* Pairs with the release in __aop_changed(): result and reply are there. */
	e->state = aop_word_state(smp_load_acquire(&op->word));
	if (!request && !AOP_FINAL(e->state))
		return -EAGAIN;
	e->result = AOP_FINAL(e->state) ? op->result : 0;
	len = request ? call->len : call->reply_len;
	e->len = len;
	if (len > e->room)
		return -EMSGSIZE;
	if (len && aop_put_bytes(u64_to_user_ptr(e->buffer),
				 request ? call->message : aop_call_reply(call), len))
		return -EFAULT;
	if (e->flags & AOP_MESSAGE_DETACH) {
		aop_run_lock(run, op->home);
		aop_link_drop_locked(run, link, AOP_MAY_PORT);
	}
	return 0;
}

/* len, ret, result and state. */
static const struct aop_batch_kind messages = {
	.one = message_one,
	.words = sizeof(struct aop_message_entry) / 8,
	.ret = offsetof(struct aop_message_entry, ret) / 4,
	.out = 0x3c,
};

/**
 * aop_ioctl_message() - AOP_IOC_MESSAGE
 * @ctx: of the calling process
 * @arg: struct aop_ioc_batch of struct aop_message_entry
 *
 * Context: may sleep.
 * Return: as aop_batch().
 */
long aop_ioctl_message(struct aop_ctx *ctx, void __user *arg)
{
	return aop_batch(ctx, &messages, arg);
}
