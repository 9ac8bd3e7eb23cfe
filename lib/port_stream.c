// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * port_stream.c - streams that go with a call
 *
 * A call has an end of each of its streams, which belong to the owner's side as the call
 * itself does: the port's, then the server's.  Whoever lets go of the owner's side leaves
 * them first; so when the call is over nobody on that side uses the streams any more,
 * but for clones of the sender.
 *
 * Locks: none of its own; no lock of a port is held here, since leaving calls back.
 */
#include "port.h"
#include "stream.h"

static struct stream *stream_of(struct aop_stream *s)
{
	return (struct stream *)s;
}

static bool same_scope(struct aop_stream *s, struct aop_ctx *where)
{
	return !s || where_of(stream_of(s)) == where;
}

int call_streams_begin(struct call *c, struct aop_ctx *where, const struct aop_call_opts *o)
{
	int ret = 0;

	if (!same_scope(o->requests, where) || !same_scope(o->replies, where))
		return -EXDEV;
	if (o->replies)
		ret = aop_sender_init(&c->replies, o->replies, AOP_DROP_ENDS);
	if (ret) {
		c->replies.stream = NULL;
		return ret;
	}
	if (o->requests)
		ret = aop_receiver_init(&c->requests, o->requests, 0);
	if (ret)
		c->requests.stream = NULL;
	return ret;
}

void call_streams_leave(struct call *c, int64_t result)
{
	struct aop_receiver *requests = &c->requests;
	struct aop_sender *replies = &c->replies;

	if (requests->stream) {
		aop_receiver_drop(requests);
		requests->stream = NULL;
	}
	if (replies->stream) {
		/* A reason to cancel need not be an errno. */
		if (result < 0 && aop_sender_fail(replies, result) == -EINVAL)
			aop_sender_fail(replies, -ECANCELED);
		aop_sender_drop(replies);
		replies->stream = NULL;
	}
}
