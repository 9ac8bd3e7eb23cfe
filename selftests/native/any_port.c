// SPDX-License-Identifier: GPL-2.0
/*
 * Ports and their calls, in every scope: S1, S4, S9, S12, S14.
 */
#include "any_port.h"

#define TEXT(s)	(s), sizeof(s)

/* S1 S4: in order; taken it is RUNNING; it ends as it is answered, not as it is taken. */
TEST_F(port, S1_S4_taken_in_order)
{
	char text[3][8] = { "one", "two", "three" };
	int i;

	for (i = 0; i < 3; i++) {
		aop_call(&self->port, &self->c[i], text[i], 8, self->reply[i], 16);
		EXPECT_EQ(AOP_PENDING, aop_state(&self->c[i].op));
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1, take(&self->port, &self->r[i]));
		EXPECT_STREQ(text[i], self->r[i].msg);
		EXPECT_EQ(8, self->r[i].len);
		EXPECT_EQ(16, self->r[i].room);
		EXPECT_EQ(AOP_RUNNING, aop_state(&self->c[i].op));
		EXPECT_EQ(-EINPROGRESS, aop_call_reply(&self->c[i]));
	}
	EXPECT_EQ(-ETIME, take(&self->port, &self->r[3]));
	EXPECT_EQ(NULL, self->r[3].owner);
	for (i = 2; i >= 0; i--) {
		EXPECT_EQ(-EMSGSIZE, aop_reply(&self->r[i], 0, text[0], 17));
		EXPECT_EQ(-EINVAL, aop_reply(&self->r[i], -5000, NULL, 0));
		EXPECT_EQ(0, aop_reply(&self->r[i], i, text[2 - i], 6));
		EXPECT_EQ(-EPERM, aop_reply(&self->r[i], i, NULL, 0));
		EXPECT_EQ(6, aop_call_reply(&self->c[i]));
		EXPECT_STREQ(text[2 - i], self->reply[i]);
		EXPECT_EQ(i, aop_join(&self->c[i].op));
	}
}

TEST_F(port, caller_is_known)
{
	struct aop_caller who = { .uid = 77 };

	CALL(0, "x");
	ASSERT_EQ(1, take(&self->port, &self->r[0]));
	aop_request_from(&self->r[0], &who);
	EXPECT_EQ(geteuid(), who.uid);
	EXPECT_EQ(getegid(), who.gid);
	EXPECT_EQ(getpid(), who.pid);
	EXPECT_EQ(0, aop_fail(self->r[0].owner, -EIO));
	EXPECT_EQ(0, aop_call_reply(&self->c[0]));
	EXPECT_EQ(-EIO, aop_join(&self->c[0].op));
}

static void fill_up(struct __test_metadata *_metadata, struct _test_data_port *self, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		CALL(i, "x");
		ASSERT_EQ(AOP_PENDING, aop_state(&self->c[i].op));
	}
}

/* How many one client may queue: between processes there is always a place for another. */
static int places(struct _test_data_port *self)
{
	return self->any.scope == ANY_SHARED ? 3 : 6;
}

/* S1: full: fail now, wait for room, in a time or without one. */
TEST_F(port, S1_full)
{
	int i, n = places(self);
	struct aop_waiter w[2];

	EXPECT_EQ(1, aop_join(aop_port_room(&self->port, &w[0])));
	fill_up(_metadata, self, n);
	CALL(n, "x");
	EXPECT_TRUE(aop_is_over(&self->c[n].op));
	EXPECT_EQ(-EAGAIN, aop_join(&self->c[n].op));
	for (i = 0; i < 2; i++) {
		aop_port_room(&self->port, &w[i]);
		EXPECT_FALSE(aop_is_final(&w[i].op));
	}
	EXPECT_EQ(AOP_ASKED, aop_cancel(&w[0].op, 0));
	EXPECT_EQ(-ECANCELED, aop_join(&w[0].op));
	aop_call_with(&self->port, &self->c[7], "x", 2, NULL, 0,
		      AOP_CALL_OPTS(.deadline = 1, .flags = AOP_CALL_WAIT));
	EXPECT_EQ(-ETIMEDOUT, aop_get(&self->c[7].op, AOP_FOREVER));
	EXPECT_EQ(-ETIMEDOUT, aop_join(&self->c[7].op));
	any_turn(&self->any);
	EXPECT_FALSE(aop_is_final(&w[1].op));
	for (i = 0; i < n; i++) {
		ASSERT_EQ(1, take(&self->port, &self->r[0]));
		EXPECT_EQ(0, aop_reply(&self->r[0], i, NULL, 0));
	}
	any_turn(&self->any);
	EXPECT_EQ(1, aop_join(&w[1].op));
	for (i = 0; i < n; i++)
		EXPECT_EQ(i, aop_join(&self->c[i].op));
	CALL(0, "x");
	EXPECT_EQ(AOP_PENDING, aop_state(&self->c[0].op));
	EXPECT_EQ(1, aop_drop(&self->c[0].op));
}

static void *take_all(void *arg)
{
	struct _test_data_port *self = arg;
	int i, n = places(self);

	for (i = 0; i < n + 1; i++) {
		if (aop_serve(&self->port, self->r, 1, AOP_FOREVER) != 1)
			break;
		aop_reply(self->r, i, NULL, 0);
	}
	return NULL;
}

/* S1: who waits for room has his turn after those that were first. */
TEST_F(port, S1_waits_for_room)
{
	int i, n = places(self);
	pthread_t thread;

	ANY_THREADS();
	fill_up(_metadata, self, n);
	ASSERT_EQ(0, pthread_create(&thread, NULL, take_all, self));
	aop_call_with(&self->port, &self->c[n], "last", 5, NULL, 0,
		      AOP_CALL_OPTS(.flags = AOP_CALL_WAIT));
	EXPECT_EQ(n, aop_join(&self->c[n].op));
	for (i = 0; i < n; i++)
		EXPECT_EQ(i, aop_join(&self->c[i].op));
	pthread_join(thread, NULL);
}

/* Who waits for room is told of the end as well. */
TEST_F(port, S1_no_room_any_more)
{
	int i, n = places(self);
	struct aop_waiter w;

	EXPECT_EQ(1, aop_join(aop_port_room(&self->port, &w)));
	fill_up(_metadata, self, n);
	CALL(n, "x");
	EXPECT_EQ(-EAGAIN, aop_join(&self->c[n].op));
	aop_port_room(&self->port, &w);
	EXPECT_FALSE(aop_is_final(&w.op));
	EXPECT_EQ(0, aop_done(aop_owner(&self->port.op), 0));
	for (i = 0; i < n; i++)
		EXPECT_EQ(-ESHUTDOWN, aop_join(&self->c[i].op));
	any_turn(&self->any);
	EXPECT_EQ(1, aop_join(&w.op));
	EXPECT_EQ(1, aop_drop(&self->port.op));
}

/* Many at once, in their order; for private ports nobody else could come. */
TEST_F(port, S1_many_at_once)
{
	char text[3][8] = { "one", "two", "three" };
	struct aop_port port;
	int i;

	ASSERT_EQ(0, aop_port_init(&port, self->any.where, AOP_PORT_OPTS(.state = AOP_RUNNING)));
	EXPECT_EQ(-EINVAL, aop_serve(&port, self->r, 0, AOP_NOWAIT));
	EXPECT_EQ(-ETIME, aop_serve(&port, self->r, 4, AOP_NOWAIT));
	EXPECT_EQ(-ETIME, aop_serve(&port, self->r, 4, 1));
	for (i = 0; i < 3; i++)
		aop_call(&port, &self->c[i], text[i], 8, self->reply[i], 16);
	ASSERT_EQ(2, aop_serve(&port, self->r, 2, AOP_FOREVER));
	ASSERT_EQ(1, aop_serve(&port, self->r + 2, 2, AOP_FOREVER));
	EXPECT_EQ(NULL, self->r[3].owner);
	for (i = 0; i < 3; i++) {
		EXPECT_STREQ(text[i], self->r[i].msg);
		EXPECT_EQ(0, aop_reply(&self->r[i], i, text[2 - i], 6));
	}
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(i, aop_join(&self->c[i].op));
		EXPECT_EQ(6, aop_call_reply(&self->c[i]));
		EXPECT_STREQ(text[2 - i], self->reply[i]);
	}
	EXPECT_EQ(0, aop_done(aop_owner(&port.op), 0));
	EXPECT_EQ(0, aop_serve(&port, self->r, 4, AOP_FOREVER));
	EXPECT_EQ(1, aop_drop(&port.op));
	if (self->any.scope == ANY_PRIVATE)
		EXPECT_EQ(-EDEADLK, aop_serve(&self->port, self->r, 1, AOP_FOREVER));
}

/* S12: takers wait in their order, and one call wakes one. */
TEST_F(port, S12_takers_wait)
{
	int i;

	for (i = 0; i < 3; i++)
		aop_take_call(&self->port, &self->r[i]);
	EXPECT_EQ(-ETIME, take(&self->port, &self->r[3]));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->r[1].op, 0));
	EXPECT_EQ(-ECANCELED, aop_join(&self->r[1].op));
	CALL(0, "a");
	any_turn(&self->any);
	EXPECT_EQ(1, aop_join(&self->r[0].op));
	EXPECT_STREQ("a", self->r[0].msg);
	EXPECT_FALSE(aop_is_final(&self->r[2].op));
	CALL(1, "b");
	any_turn(&self->any);
	EXPECT_EQ(1, aop_join(&self->r[2].op));
	EXPECT_STREQ("b", self->r[2].msg);
	EXPECT_EQ(0, aop_reply(&self->r[2], 2, NULL, 0));
	EXPECT_EQ(0, aop_reply(&self->r[0], 1, NULL, 0));
	EXPECT_EQ(1, aop_join(&self->c[0].op));
	EXPECT_EQ(2, aop_join(&self->c[1].op));
}

/* More takers than are served at once: each is told of the end. */
TEST_F(port, S12_many_takers_at_the_end)
{
	struct aop_request r[40];
	int i, n = sizeof(r) / sizeof(r[0]);

	for (i = 0; i < n; i++)
		aop_take_call(&self->port, &r[i]);
	any_turn(&self->any);
	EXPECT_EQ(0, aop_done(aop_owner(&self->port.op), 0));
	any_turn(&self->any);
	for (i = 0; i < n; i++) {
		ASSERT_TRUE(aop_is_over(&r[i].op)) TH_LOG("%d", i);
		EXPECT_EQ(0, aop_join(&r[i].op));
	}
	EXPECT_EQ(1, aop_drop(&self->port.op));
}

TEST_F(port, cancelled_before_and_after_it_is_taken)
{
	CALL(0, "a");
	CALL(1, "b");
	EXPECT_EQ(AOP_STOPPED, aop_cancel(&self->c[0].op, -EINTR));
	EXPECT_TRUE(aop_is_over(&self->c[0].op));
	EXPECT_EQ(-EINTR, aop_join(&self->c[0].op));
	ASSERT_EQ(1, take(&self->port, &self->r[0]));
	EXPECT_STREQ("b", self->r[0].msg);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->c[1].op, -EINTR));
	EXPECT_FALSE(aop_is_final(&self->c[1].op));
	EXPECT_EQ(-EINTR, aop_asked(self->r[0].owner));
	EXPECT_EQ(0, aop_cancelled(self->r[0].owner, 0));
	EXPECT_EQ(-EINTR, aop_join(&self->c[1].op));
}

/* Nobody waits for it: queued it is gone, taken its server is told. */
TEST_F(port, dropped)
{
	CALL(0, "a");
	CALL(1, "b");
	EXPECT_EQ(1, aop_drop(&self->c[0].op));
	ASSERT_EQ(1, take(&self->port, &self->r[0]));
	EXPECT_STREQ("b", self->r[0].msg);
	/* In process the server has the struct as well. */
	EXPECT_EQ(self->any.scope == ANY_SHARED, aop_drop(&self->c[1].op));
	EXPECT_EQ(-EPIPE, aop_asked(self->r[0].owner));
	EXPECT_EQ(0, aop_reply(&self->r[0], 0, NULL, 0));
}

/* S9: dropped unused, the caller is told; and a reply that comes too late is none. */
TEST_F(port, S9_dropped_unused)
{
	CALL(0, "a");
	ASSERT_EQ(1, take(&self->port, &self->r[0]));
	EXPECT_EQ(0, aop_let_go(self->r[0].owner));
	EXPECT_EQ(-EOWNERDEAD, aop_join(&self->c[0].op));
	aop_call_with(&self->port, &self->c[1], "x", 2, self->reply[1], 16,
		      AOP_CALL_OPTS(.deadline = AOP_MS(200)));
	ASSERT_EQ(1, take(&self->port, &self->r[1]));
	EXPECT_EQ(-ETIMEDOUT, aop_get(&self->c[1].op, AOP_FOREVER));
	EXPECT_EQ(-ETIMEDOUT, aop_asked(self->r[1].owner));
	EXPECT_EQ(-EALREADY, aop_reply(&self->r[1], 0, TEXT("late")));
	EXPECT_EQ(0, aop_call_reply(&self->c[1]));
	EXPECT_EQ(-ETIMEDOUT, aop_join(&self->c[1].op));
}

static int end_as(struct aop_owner *o, int state, int64_t result)
{
	switch (state) {
	case AOP_DONE:
		return aop_done(o, result);
	case AOP_FAILED:
		return aop_fail(o, result);
	case AOP_CANCELLED:
		return aop_cancelled(o, result);
	default:
		return aop_let_go(o);
	}
}

/* Each way to end: calls that are queued, later ones, and takers. */
TEST_F(port, how_a_port_ends)
{
	static const struct {
		int state;
		int64_t result, want;
	} ends[] = {
		{ AOP_DONE, 5, -ESHUTDOWN },
		{ AOP_FAILED, -EIO, -EIO },
		{ AOP_CANCELLED, -EINTR, -EINTR },
		{ AOP_PENDING, 0, -EOWNERDEAD },
	};
	struct aop_owner *o;
	struct aop_port port;
	unsigned int i, k;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, aop_port_init(&port, self->any.where, NULL));
		o = aop_owner(&port.op);
		aop_take_call(&port, &self->r[0]);
		aop_call(&port, &self->c[0], "a", 2, NULL, 0);
		aop_call(&port, &self->c[1], "b", 2, NULL, 0);
		EXPECT_EQ(0, end_as(o, ends[i].state, ends[i].result));
		any_turn(&self->any);
		EXPECT_EQ(0, aop_join(&self->r[0].op));
		EXPECT_EQ(NULL, self->r[0].owner);
		aop_call(&port, &self->c[2], "c", 2, NULL, 0);
		for (k = 0; k < 3; k++) {
			EXPECT_EQ(0, aop_wait(&self->c[k].op, AOP_FOREVER));
			EXPECT_EQ(ends[i].state == AOP_CANCELLED ? AOP_CANCELLED : AOP_FAILED,
				  aop_state(&self->c[k].op));
			EXPECT_EQ(ends[i].want, aop_join(&self->c[k].op));
		}
		EXPECT_EQ(0, aop_join(aop_take_call(&port, &self->r[0])));
		EXPECT_EQ(0, take(&port, &self->r[0]));
		EXPECT_EQ(1, aop_drop(&port.op));
	}
}

/* What was taken before is answered after the port's end. */
TEST_F(port, taken_before_the_end)
{
	CALL(0, "a");
	CALL(1, "b");
	ASSERT_EQ(1, take(&self->port, &self->r[0]));
	EXPECT_EQ(0, aop_done(aop_owner(&self->port.op), 0));
	EXPECT_EQ(-ESHUTDOWN, aop_join(&self->c[1].op));
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->c[0].op));
	EXPECT_EQ(0, aop_reply(&self->r[0], 7, NULL, 0));
	EXPECT_EQ(7, aop_join(&self->c[0].op));
	EXPECT_EQ(1, aop_drop(&self->port.op));
}

/* While it is PENDING calls only queue; started, it serves them. */
TEST_F(port, starting_up)
{
	struct aop_port port;

	ASSERT_EQ(0, aop_port_init(&port, self->any.where, NULL));
	aop_call(&port, &self->c[0], "a", 2, NULL, 0);
	EXPECT_EQ(-ETIME, take(&port, &self->r[0]));
	aop_take_call(&port, &self->r[0]);
	EXPECT_FALSE(aop_is_final(&self->r[0].op));
	EXPECT_EQ(0, aop_start(aop_owner(&port.op)));
	any_turn(&self->any);
	EXPECT_EQ(1, aop_join(&self->r[0].op));
	EXPECT_EQ(0, aop_reply(&self->r[0], 3, NULL, 0));
	EXPECT_EQ(3, aop_join(&self->c[0].op));
	/* Cancelled before it has started, it is over with what it has queued. */
	EXPECT_EQ(0, aop_done(aop_owner(&port.op), 0));
	EXPECT_EQ(1, aop_drop(&port.op));
	ASSERT_EQ(0, aop_port_init(&port, self->any.where, NULL));
	aop_call(&port, &self->c[0], "a", 2, NULL, 0);
	EXPECT_EQ(AOP_STOPPED, aop_cancel(&port.op, -EINTR));
	any_turn(&self->any);
	EXPECT_EQ(-EINTR, aop_join(&self->c[0].op));
	EXPECT_EQ(-EALREADY, aop_start(aop_owner(&port.op)));
	EXPECT_EQ(1, aop_drop(&port.op));
}

/* S14: handed on, twice; the reply goes to who asked. */
TEST_F(port, S14_delegate)
{
	struct aop_port second, third;

	ASSERT_EQ(0, aop_port_init(&second, self->any.where,
				   AOP_PORT_OPTS(.state = AOP_RUNNING)));
	ASSERT_EQ(0, aop_port_init(&third, self->any.where,
				   AOP_PORT_OPTS(.state = AOP_RUNNING, .backlog = 1,
						 .message = 4)));
	CALL(0, "ask");
	ASSERT_EQ(1, take(&self->port, &self->r[0]));
	EXPECT_EQ(0, aop_delegate(&self->r[0], &second));
	EXPECT_EQ(-EPERM, aop_delegate(&self->r[0], &second));
	/* It runs, so the cancel is for whoever takes it next. */
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->c[0].op));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&self->c[0].op, -EINTR));
	ASSERT_EQ(1, take(&second, &self->r[1]));
	EXPECT_EQ(-EINTR, aop_asked(self->r[1].owner));
	EXPECT_EQ(0, aop_delegate(&self->r[1], &third));
	ASSERT_EQ(1, take(&third, &self->r[2]));
	EXPECT_STREQ("ask", self->r[2].msg);
	EXPECT_EQ(0, aop_reply(&self->r[2], 3, TEXT("far")));
	EXPECT_EQ(4, aop_call_reply(&self->c[0]));
	EXPECT_STREQ("far", self->reply[0]);
	EXPECT_EQ(3, aop_join(&self->c[0].op));

	/* To what takes it not, or is full, or has ended. */
	CALL(1, "longer");
	CALL(2, "b");
	aop_call(&third, &self->c[3], "x", 2, NULL, 0);
	ASSERT_EQ(1, take(&self->port, &self->r[1]));
	ASSERT_EQ(1, take(&self->port, &self->r[2]));
	EXPECT_EQ(-EMSGSIZE, aop_delegate(&self->r[1], &third));
	EXPECT_EQ(-EAGAIN, aop_delegate(&self->r[2], &third));
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->c[2].op));
	EXPECT_EQ(0, aop_fail(aop_owner(&third.op), -EIO));
	any_turn(&self->any);
	EXPECT_EQ(-EIO, aop_join(&self->c[3].op));
	EXPECT_EQ(0, aop_delegate(&self->r[2], &third));
	EXPECT_EQ(-EIO, aop_join(&self->c[2].op));
	EXPECT_EQ(0, aop_reply(&self->r[1], 1, NULL, 0));
	EXPECT_EQ(1, aop_join(&self->c[1].op));
}

TEST_F(port, what_is_refused)
{
	struct aop_port port;
	char big[AOP_MAX_MESSAGE + 1] = "";

	EXPECT_EQ(-EINVAL, aop_port_init(&port, NULL, NULL));
	EXPECT_EQ(-EINVAL, aop_port_init(&port, self->any.where, AOP_PORT_OPTS(.flags = 0x100)));
	EXPECT_EQ(-EINVAL, aop_port_init(&port, self->any.where,
					 AOP_PORT_OPTS(.backlog = AOP_MAX_BACKLOG + 1)));
	EXPECT_EQ(-EINVAL, aop_port_init(&port, self->any.where, AOP_PORT_OPTS(.mode = 01000)));
	EXPECT_EQ(-EINVAL, aop_port_init(&port, self->any.where,
					 AOP_PORT_OPTS(.state = AOP_DONE)));
	EXPECT_EQ(-EINVAL, aop_port_init(&port, self->any.where,
					 AOP_PORT_OPTS(.message = AOP_MAX_MESSAGE + 1)));
	/* A port that could not begin ends its calls so. */
	EXPECT_EQ(-EINVAL, aop_join(aop_call(&port, &self->c[0], big, 1, NULL, 0)));
	EXPECT_EQ(0, take(&port, &self->r[0]));
	EXPECT_EQ(1, aop_drop(&port.op));
	EXPECT_EQ(-EMSGSIZE, aop_join(aop_call(&self->port, &self->c[0], big, sizeof(big),
					       NULL, 0)));
	EXPECT_EQ(-EINVAL, aop_join(aop_call_with(&self->port, &self->c[0], big, 1, NULL, 0,
						  AOP_CALL_OPTS(.flags = 0x1000))));
}

TEST_HARNESS_MAIN
