// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of each kind (S11), and how replies and writers go that are not used (S9, S10):
 * a call whose streams go with it.
 */
#include "any.h"
#include "items.h"

#define PLACES	4

FIXTURE(kinds) {
	struct any any;
	struct aop_port port;
	struct aop_call c;
	struct aop_request r;
	struct aop_stream requests, replies;
	struct aop_sender tx;
	struct aop_receiver rx;
	struct aop_transfer t[2];
	_Alignas(16) char mem[2][AOP_STREAM_MEM(8, PLACES)];
	int item;
};

ANY_VARIANTS(kinds);

static int begin(struct aop_stream *s, struct aop_ctx *where, char *mem)
{
	return aop_stream_init(s, where, mem, AOP_STREAM_MEM(8, PLACES),
			       AOP_STREAM_OPTS(.place = 8, .places = PLACES));
}

FIXTURE_SETUP(kinds)
{
	ANY_SETUP();
	if (self->any.scope == ANY_SHARED)
		SKIP(return, "shared: streams do not go with a call");
	ASSERT_EQ(0, aop_port_init(&self->port, self->any.where,
				   AOP_PORT_OPTS(.backlog = 2, .state = AOP_RUNNING)));
	ASSERT_EQ(0, begin(&self->requests, self->any.where, self->mem[0]));
	ASSERT_EQ(0, begin(&self->replies, self->any.where, self->mem[1]));
	ASSERT_EQ(0, aop_sender_init(&self->tx, &self->requests, 0));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->replies, 0));
}

FIXTURE_TEARDOWN(kinds)
{
	any_teardown(&self->any);
}

static struct aop *call(struct _test_data_kinds *self, bool requests, bool replies,
			unsigned int flags)
{
	return aop_call_with(&self->port, &self->c, "x", 2, NULL, 0,
			     AOP_CALL_OPTS(.requests = requests ? &self->requests : NULL,
					   .replies = replies ? &self->replies : NULL,
					   .flags = flags));
}

TEST_F(kinds, S11_one_to_one)
{
	call(self, false, false, 0);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(NULL, self->r.replies);
	EXPECT_EQ(NULL, self->r.requests);
	EXPECT_EQ(0, aop_reply(&self->r, 7, NULL, 0));
	/* S9: used once. */
	EXPECT_EQ(-EPERM, aop_reply(&self->r, 8, NULL, 0));
	EXPECT_EQ(7, aop_join(&self->c.op));
}

/* S9: dropped unused the caller is told. */
TEST_F(kinds, S9_one_shot_dropped_unused)
{
	call(self, false, false, 0);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(0, aop_let_go(self->r.owner));
	EXPECT_EQ(-EOWNERDEAD, aop_join(&self->c.op));
}

/* The stream ends as the call does, and before it is over. */
TEST_F(kinds, S11_one_to_many)
{
	int i;

	call(self, false, true, 0);
	EXPECT_EQ(NOTHING, pop(&self->rx));
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(NULL, self->r.requests);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(1, push(self->r.replies, i));
	EXPECT_EQ(0, pop(&self->rx));
	EXPECT_EQ(0, aop_reply(&self->r, 3, NULL, 0));
	EXPECT_EQ(3, aop_join(&self->c.op));
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(2, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
}

/* S10: nothing sent is a clean end, too. */
TEST_F(kinds, S10_multi_writer_without_a_send)
{
	call(self, false, true, 0);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(0, aop_reply(&self->r, 0, NULL, 0));
	EXPECT_EQ(OVER, pop(&self->rx));
	EXPECT_EQ(0, aop_join(&self->c.op));
}

/* The server reads to the end, and answers once. */
TEST_F(kinds, S11_many_to_one)
{
	int i, sum = 0;

	EXPECT_EQ(1, push(&self->tx, 1));
	call(self, true, false, 0);
	EXPECT_EQ(1, push(&self->tx, 2));
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(NULL, self->r.replies);
	EXPECT_EQ(1, push(&self->tx, 3));
	EXPECT_EQ(0, aop_sender_end(&self->tx));
	while ((i = pop(self->r.requests)) != OVER)
		sum += i;
	EXPECT_EQ(0, aop_reply(&self->r, sum, NULL, 0));
	EXPECT_EQ(6, aop_join(&self->c.op));
	EXPECT_EQ(-EPIPE, push(&self->tx, 4));
	aop_sender_drop(&self->tx);
}

TEST_F(kinds, S11_many_to_many)
{
	int i;

	call(self, true, true, 0);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(1, push(&self->tx, i));
		EXPECT_EQ(1, push(self->r.replies, 2 * pop(self->r.requests)));
		EXPECT_EQ(2 * i, pop(&self->rx));
	}
	EXPECT_EQ(0, aop_sender_end(&self->tx));
	EXPECT_EQ(OVER, pop(self->r.requests));
	EXPECT_EQ(1, push(self->r.replies, 77));
	EXPECT_EQ(0, aop_reply(&self->r, 1, NULL, 0));
	EXPECT_EQ(77, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	EXPECT_EQ(1, aop_join(&self->c.op));
}

/* S9: what is clonable answers in order, also after the call itself was answered. */
TEST_F(kinds, S9_multi_use_outlives_the_call)
{
	struct aop_sender mine, other;

	call(self, false, true, 0);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	ASSERT_EQ(0, aop_sender_clone(&mine, self->r.replies));
	ASSERT_EQ(0, aop_sender_clone(&other, &mine));
	EXPECT_EQ(1, push(self->r.replies, 1));
	EXPECT_EQ(0, aop_reply(&self->r, 0, NULL, 0));
	EXPECT_EQ(0, aop_join(&self->c.op));
	EXPECT_EQ(1, push(&other, 2));
	EXPECT_EQ(1, push(&mine, 3));
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(2, pop(&self->rx));
	EXPECT_EQ(3, pop(&self->rx));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	aop_sender_drop(&other);
	EXPECT_EQ(NOTHING, pop(&self->rx));
	aop_sender_drop(&mine);
	EXPECT_EQ(OVER, pop(&self->rx));
}

/* S10: an error closes both, after what was sent. */
TEST_F(kinds, S10_the_server_fails)
{
	call(self, true, true, 0);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(1, push(self->r.replies, 1));
	EXPECT_EQ(-EINVAL, aop_reply(&self->r, -5000, NULL, 0));
	EXPECT_EQ(1, push(self->r.replies, 2));
	EXPECT_EQ(0, aop_reply(&self->r, -EIO, NULL, 0));
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(2, pop(&self->rx));
	EXPECT_EQ(ERROR(-EIO), pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	EXPECT_EQ(-EPIPE, push(&self->tx, 1));
	EXPECT_EQ(-EIO, aop_join(&self->c.op));
}

/* From the caller: the server is asked, and how it answers the stream says, too. */
TEST_F(kinds, S11_cancelled_by_the_caller)
{
	struct aop *wait;

	call(self, true, true, 0);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	wait = aop_stream_pop(&self->rx, &self->t[0], &self->item, 4);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->c.op, -EINTR));
	EXPECT_EQ(-EINTR, aop_asked(self->r.owner));
	EXPECT_FALSE(aop_is_final(wait));
	EXPECT_EQ(0, aop_reply(&self->r, aop_asked(self->r.owner), NULL, 0));
	EXPECT_EQ(-EINTR, aop_join(wait));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->c.op));
	EXPECT_EQ(-EINTR, aop_join(&self->c.op));
	EXPECT_EQ(-EPIPE, push(&self->tx, 1));
}

/* A reason that is no errno. */
TEST_F(kinds, cancelled_for_a_reason_of_ones_own)
{
	call(self, false, true, 0);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->c.op, -100000));
	EXPECT_EQ(0, aop_reply(&self->r, -100000, NULL, 0));
	EXPECT_EQ(ERROR(-ECANCELED), pop(&self->rx));
	EXPECT_EQ(-100000, aop_join(&self->c.op));
}

/* By what the caller does with his ends alone. */
TEST_F(kinds, S11_the_caller_goes)
{
	call(self, true, true, 0);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(1, push(&self->tx, 1));
	aop_sender_drop(&self->tx);
	aop_receiver_drop(&self->rx);
	EXPECT_EQ(-EPIPE, push(self->r.replies, 1));
	EXPECT_EQ(1, pop(self->r.requests));
	EXPECT_EQ(ERROR(-EOWNERDEAD), pop(self->r.requests));
	EXPECT_EQ(OVER, pop(self->r.requests));
	EXPECT_EQ(0, aop_drop(&self->c.op));
	EXPECT_EQ(-EPIPE, aop_asked(self->r.owner));
	EXPECT_EQ(0, aop_reply(&self->r, 0, NULL, 0));
}

/* S9: nobody ever takes it: the caller is told by the stream as well as by the call. */
TEST_F(kinds, S9_never_taken)
{
	static const struct {
		enum aop_state state;
		int64_t result, want;
	} ends[] = {
		{ AOP_DONE, 0, -ESHUTDOWN },
		{ AOP_FAILED, -EIO, -EIO },
		{ AOP_FAILED, -EOWNERDEAD, -EOWNERDEAD },
		{ AOP_CANCELLED, -EINTR, -EINTR },
	};
	struct aop_owner *o = aop_owner(&self->port.op);
	struct aop *wait;
	unsigned int i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		/* Queued, and called afterwards. */
		call(self, true, true, 0);
		wait = aop_stream_pop(&self->rx, &self->t[0], &self->item, 4);
		if (ends[i].state == AOP_DONE)
			aop_done(o, 0);
		else if (ends[i].result == -EOWNERDEAD)
			aop_let_go(o);
		else if (ends[i].state == AOP_FAILED)
			aop_fail(o, -EIO);
		else
			aop_cancelled(o, -EINTR);
		EXPECT_EQ(ends[i].want, aop_join(wait)) TH_LOG("%u", i);
		EXPECT_EQ(ends[i].want, aop_join(&self->c.op));
		EXPECT_EQ(-EPIPE, push(&self->tx, 1));
		ASSERT_EQ(0, begin(&self->replies, self->any.where, self->mem[1]));
		ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->replies, 0));
		call(self, false, true, 0);
		EXPECT_EQ(ERROR(ends[i].want), pop(&self->rx));
		EXPECT_EQ(OVER, pop(&self->rx));
		EXPECT_EQ(ends[i].want, aop_join(&self->c.op));
		EXPECT_EQ(1, aop_drop(&self->port.op));
		ASSERT_EQ(0, aop_port_init(&self->port, self->any.where,
					   AOP_PORT_OPTS(.state = AOP_RUNNING)));
		o = aop_owner(&self->port.op);
		ASSERT_EQ(0, begin(&self->requests, self->any.where, self->mem[0]));
		ASSERT_EQ(0, begin(&self->replies, self->any.where, self->mem[1]));
		ASSERT_EQ(0, aop_sender_init(&self->tx, &self->requests, 0));
		ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->replies, 0));
	}
}

/* Before a server has it: by a cancel, the deadline, a full backlog, a drop. */
TEST_F(kinds, S9_ended_while_it_is_queued)
{
	struct aop_call other[2];

	call(self, true, true, 0);
	EXPECT_EQ(AOP_STOPPED, aop_cancel(&self->c.op, -EINTR));
	EXPECT_EQ(ERROR(-EINTR), pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	EXPECT_EQ(-EPIPE, push(&self->tx, 1));
	EXPECT_EQ(-EINTR, aop_join(&self->c.op));
	EXPECT_EQ(-ETIME, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));

	ASSERT_EQ(0, begin(&self->replies, self->any.where, self->mem[1]));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->replies, 0));
	aop_call_with(&self->port, &self->c, "x", 2, NULL, 0,
		      AOP_CALL_OPTS(.replies = &self->replies, .deadline = 1));
	EXPECT_EQ(-ETIMEDOUT, aop_join(&self->c.op));
	EXPECT_EQ(ERROR(-ETIMEDOUT), pop(&self->rx));

	/* The server is the first to see that it is late. */
	ASSERT_EQ(0, begin(&self->replies, self->any.where, self->mem[1]));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->replies, 0));
	aop_call_with(&self->port, &self->c, "x", 2, NULL, 0,
		      AOP_CALL_OPTS(.replies = &self->replies, .deadline = 1));
	EXPECT_EQ(-ETIME, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(ERROR(-ETIMEDOUT), pop(&self->rx));
	EXPECT_EQ(-ETIMEDOUT, aop_join(&self->c.op));

	ASSERT_EQ(0, begin(&self->replies, self->any.where, self->mem[1]));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->replies, 0));
	aop_call(&self->port, &other[0], "x", 2, NULL, 0);
	aop_call(&self->port, &other[1], "x", 2, NULL, 0);
	call(self, false, true, 0);
	EXPECT_EQ(-EAGAIN, aop_join(&self->c.op));
	EXPECT_EQ(ERROR(-EAGAIN), pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	EXPECT_EQ(1, aop_drop(&other[0].op));
	EXPECT_EQ(1, aop_drop(&other[1].op));

	ASSERT_EQ(0, begin(&self->replies, self->any.where, self->mem[1]));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->replies, 0));
	call(self, false, true, 0);
	EXPECT_EQ(1, aop_drop(&self->c.op));
	EXPECT_EQ(ERROR(-EPIPE), pop(&self->rx));
}

/* The deadline comes while it is served: it is over when the server lets go. */
TEST_F(kinds, the_deadline_comes_while_it_is_served)
{
	aop_call_with(&self->port, &self->c, "x", 2, NULL, 0,
		      AOP_CALL_OPTS(.replies = &self->replies, .deadline = AOP_MS(20)));
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(-ETIMEDOUT, aop_get(&self->c.op, AOP_FOREVER));
	EXPECT_FALSE(aop_is_over(&self->c.op));
	EXPECT_EQ(1, push(self->r.replies, 1));
	EXPECT_EQ(-EALREADY, aop_reply(&self->r, 0, NULL, 0));
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	EXPECT_EQ(-ETIMEDOUT, aop_join(&self->c.op));
}

/* S14: the streams go with it. */
TEST_F(kinds, S14_delegated)
{
	struct aop_request r;
	struct aop_port to;

	ASSERT_EQ(0, aop_port_init(&to, self->any.where, AOP_PORT_OPTS(.state = AOP_RUNNING)));
	call(self, true, true, 0);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(1, push(self->r.replies, 1));
	EXPECT_EQ(0, aop_delegate(&self->r, &to));
	ASSERT_EQ(1, aop_serve(&to, &r, 1, AOP_NOWAIT));
	EXPECT_EQ(1, push(r.replies, 2));
	EXPECT_EQ(1, push(&self->tx, 3));
	EXPECT_EQ(3, pop(r.requests));
	EXPECT_EQ(0, aop_reply(&r, 0, NULL, 0));
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(2, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	EXPECT_EQ(0, aop_join(&self->c.op));
}

TEST_F(kinds, what_is_refused)
{
	bool local = self->any.scope == ANY_LOCAL;
	struct aop_receiver rx;
	struct aop_stream s;
	struct aop_sender tx;

	ASSERT_EQ(0, begin(&s, local ? AOP_PRIVATE : AOP_LOCAL, self->mem[1]));
	ASSERT_EQ(0, aop_receiver_init(&rx, &s, 0));
	EXPECT_EQ(-EXDEV, aop_join(aop_call_with(&self->port, &self->c, "x", 2, NULL, 0,
						 AOP_CALL_OPTS(.replies = &s))));
	/* There is one who sends alone. */
	ASSERT_EQ(0, begin(&self->replies, self->any.where, self->mem[1]));
	ASSERT_EQ(0, aop_sender_init(&tx, &self->replies, AOP_ONE_SHOT));
	EXPECT_EQ(-EBUSY, aop_join(call(self, true, true, 0)));
	EXPECT_EQ(-ETIME, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
}

/* ---- races -------------------------------------------------------------------- */

struct server {
	struct aop_port *port;
	pthread_t thread;
	int cancels;
};

/* Doubles what comes; stops when it is asked to. */
static void *doubles(void *arg)
{
	struct aop_transfer t;
	struct server *s = arg;
	struct aop_request r;
	int64_t ret;
	int i, n;

	while (aop_join(aop_take_call(s->port, &r)) == 1) {
		for (n = 0, ret = 1; ret == 1; n++) {
			ret = aop_join(aop_stream_pop(r.requests, &t, &i, sizeof(i)));
			i *= 2;
			if (ret == 1)
				ret = aop_join(aop_stream_push(r.replies, &t, &i, sizeof(i)));
			if (aop_asked(r.owner))
				ret = aop_asked(r.owner);
		}
		s->cancels += ret < 0;
		aop_reply(&r, ret, NULL, 0);
	}
	return NULL;
}

static void *cancels(void *arg)
{
	aop_cancel(arg, -EINTR);
	return NULL;
}

/*
 * The call is cancelled while it is queued, taken, served, answered: each time both streams
 * end, and when it is over they are the caller's.
 */
TEST_F(kinds, cancelled_at_any_point)
{
	int i, k, n, m, rounds = any_rounds(1000);
	struct server s = { .port = &self->port };
	int64_t ret, result;
	pthread_t thread;

	ANY_THREADS();
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, doubles, &s));
	for (i = 0; i < rounds; i++) {
		memset(self->mem, 0, sizeof(self->mem));
		ASSERT_EQ(0, begin(&self->requests, self->any.where, self->mem[0]));
		ASSERT_EQ(0, begin(&self->replies, self->any.where, self->mem[1]));
		ASSERT_EQ(0, aop_sender_init(&self->tx, &self->requests, 0));
		ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->replies, 0));
		if (i % 2) {
			call(self, true, true, 0);
			ASSERT_EQ(0, pthread_create(&thread, NULL, cancels, &self->c.op));
		} else {
			aop_call_with(&self->port, &self->c, "x", 2, NULL, 0,
				      AOP_CALL_OPTS(.requests = &self->requests,
						    .replies = &self->replies,
						    .deadline = AOP_US(i % 50)));
		}
		for (k = 0, n = 0, ret = 1; k < i % 7 && ret == 1; k++)
			ret = aop_join(aop_stream_push(&self->tx, &self->t[0], &k, 4));
		aop_sender_end(&self->tx);
		while ((ret = aop_join(aop_stream_pop(&self->rx, &self->t[1], &m, 4))) == 1)
			ASSERT_EQ(2 * n++, m);
		if (i % 2)
			pthread_join(thread, NULL);
		result = aop_join(&self->c.op);
		if (result >= 0) {
			ASSERT_EQ(k, n);
		} else {
			ASSERT_TRUE(result == -EINTR || result == -ETIMEDOUT);
		}
		ASSERT_TRUE(ret == 0 || ret == -EINTR || ret == -ETIMEDOUT);
		aop_sender_drop(&self->tx);
		aop_receiver_drop(&self->rx);
	}
	EXPECT_EQ(0, aop_done(aop_owner(&self->port.op), 0));
	pthread_join(s.thread, NULL);
	TH_LOG("%d of %d were stopped by the server", s.cancels, rounds);
}

TEST_HARNESS_MAIN
