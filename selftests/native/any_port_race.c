// SPDX-License-Identifier: GPL-2.0
/*
 * Ports and many threads, in local and shared scope: S1, S12, O5.
 */
#include "any_port.h"

struct server {
	struct aop_port *port;
	pthread_t thread;
	int64_t end;
	int served;
};

/* Answers each call with its own message, and one of four not at all. */
static void *serve(void *arg)
{
	struct server *s = arg;
	struct aop_request r;

	while ((s->end = aop_serve(s->port, &r, 1, AOP_FOREVER)) == 1) {
		if (++s->served % 4)
			aop_reply(&r, r.len, r.msg, r.len);
		else
			aop_let_go(r.owner);
	}
	return NULL;
}

struct client {
	struct aop_port *port;
	pthread_t thread;
	int rounds, answered, other;
	bool cancels;
};

static void *client(void *arg)
{
	struct client *k = arg;
	char reply[8];
	struct aop_call c;
	int64_t result;
	int i;

	for (i = 0; i < k->rounds; i++) {
		aop_call_with(k->port, &c, &i, sizeof(i), reply, sizeof(reply),
			      AOP_CALL_OPTS(.flags = AOP_CALL_WAIT));
		if (k->cancels && i % 2)
			aop_cancel(&c.op, 0);
		result = aop_join(&c.op);
		if (result == sizeof(i) && aop_call_reply(&c) == sizeof(i) &&
		    !memcmp(reply, &i, sizeof(i)))
			k->answered++;
		else if (result == -EOWNERDEAD || (result == -ECANCELED && k->cancels && i % 2))
			k->other++;
		else if (result == -ESHUTDOWN)
			break;
	}
	return NULL;
}

/* Several servers, several clients, of whom some cancel: each call ends, and once. */
TEST_F(port, many_threads)
{
	struct server s[2];
	struct client k[3];
	int i, served = 0;

	ANY_THREADS();
	for (i = 0; i < 2; i++) {
		s[i] = (struct server){ .port = &self->port };
		ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, serve, &s[i]));
	}
	for (i = 0; i < 3; i++) {
		k[i] = (struct client){ .port = &self->port, .rounds = any_rounds(2000),
					.cancels = i };
		ASSERT_EQ(0, pthread_create(&k[i].thread, NULL, client, &k[i]));
	}
	for (i = 0; i < 3; i++)
		pthread_join(k[i].thread, NULL);
	EXPECT_EQ(0, aop_done(aop_owner(&self->port.op), 0));
	for (i = 0; i < 2; i++) {
		pthread_join(s[i].thread, NULL);
		EXPECT_EQ(0, s[i].end);
		served += s[i].served;
	}
	for (i = 0; i < 3; i++)
		EXPECT_EQ(k[i].rounds, k[i].answered + k[i].other) TH_LOG("%d", i);
	EXPECT_LE(k[0].rounds, served);
	EXPECT_EQ(1, aop_drop(&self->port.op));
}

/* The port ends in the middle of it: nobody is left in silence. */
TEST_F(port, ends_in_mid_traffic)
{
	int i, round, rounds = any_rounds(200);

	ANY_THREADS();
	for (round = 0; round < rounds; round++) {
		struct aop_port port;
		struct server s = { .port = &port };
		struct client k[2];

		ASSERT_EQ(0, aop_port_init(&port, self->any.where, NULL));
		ASSERT_EQ(0, pthread_create(&s.thread, NULL, serve, &s));
		for (i = 0; i < 2; i++) {
			k[i] = (struct client){ .port = &port, .rounds = INT32_MAX, .cancels = i };
			ASSERT_EQ(0, pthread_create(&k[i].thread, NULL, client, &k[i]));
		}
		ASSERT_EQ(0, aop_start(aop_owner(&port.op)));
		for (i = 0; i < round % 8; i++)
			sched_yield();
		EXPECT_EQ(0, aop_done(aop_owner(&port.op), 0));
		for (i = 0; i < 2; i++)
			pthread_join(k[i].thread, NULL);
		pthread_join(s.thread, NULL);
		EXPECT_EQ(0, s.end);
		EXPECT_EQ(1, aop_drop(&port.op));
	}
}

static void *cancel_take(void *arg)
{
	aop_cancel(arg, 0);
	return NULL;
}

/* A taker is cancelled while a call comes, in both orders: the call goes to one of two. */
TEST_F(port, taker_is_cancelled_while_a_call_comes)
{
	int i, rounds = any_rounds(500);
	pthread_t thread;
	int64_t got;

	ANY_THREADS();
	for (i = 0; i < rounds; i++) {
		aop_take_call(&self->port, &self->r[0]);
		aop_take_call(&self->port, &self->r[1]);
		if (i & 1)
			CALL(0, "x");
		ASSERT_EQ(0, pthread_create(&thread, NULL, cancel_take, &self->r[0].op));
		if (!(i & 1))
			CALL(0, "x");
		pthread_join(thread, NULL);
		any_turn(&self->any);
		got = aop_join(&self->r[0].op);
		if (got == 1) {
			EXPECT_EQ(AOP_ASKED, aop_cancel(&self->r[1].op, 0));
			EXPECT_EQ(-ECANCELED, aop_join(&self->r[1].op));
			EXPECT_EQ(0, aop_reply(&self->r[0], 5, NULL, 0));
		} else {
			EXPECT_EQ(-ECANCELED, got);
			EXPECT_EQ(1, aop_join(&self->r[1].op));
			EXPECT_EQ(0, aop_reply(&self->r[1], 5, NULL, 0));
		}
		ASSERT_EQ(5, aop_join(&self->c[0].op));
	}
}

static void *find_and_call(void *arg)
{
	struct aop_port mem, *p;
	struct aop_call c;
	int64_t result;
	char reply[2];
	int *bad = arg;

	do {
		p = aop_port_find(&mem, AOP_LOCAL, "svc");
		result = aop_join(aop_call(p, &c, "x", 2, reply, sizeof(reply)));
		*bad += result != -ESHUTDOWN && result != -ENOENT && result != -EOWNERDEAD &&
			result != 2;
		aop_drop(&p->op);
	} while (result != -ENOENT);
	return NULL;
}

static void port_gone(struct aop *op)
{
	free(op);
}

/* It is found while it ends: it is there until nobody has it any more. */
TEST_F(port, O5_found_while_it_ends)
{
	int i, round, bad[2] = { 0, 0 }, rounds = any_rounds(200);
	pthread_t thread[2];

	if (self->any.scope != ANY_LOCAL)
		SKIP(return, "local scope");
	for (round = 0; round < rounds; round++) {
		struct aop_port *port = malloc(sizeof(*port));
		struct server s = { .port = port };

		ASSERT_EQ(0, aop_port_init(port, AOP_LOCAL,
					   AOP_PORT_OPTS(.name = "svc", .release = port_gone,
							 .state = AOP_RUNNING)));
		ASSERT_EQ(0, pthread_create(&s.thread, NULL, serve, &s));
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, find_and_call, &bad[i]));
		for (i = 0; i < round % 4; i++)
			sched_yield();
		EXPECT_EQ(0, aop_done(aop_owner(&port->op), 0));
		for (i = 0; i < 2; i++)
			pthread_join(thread[i], NULL);
		pthread_join(s.thread, NULL);
		aop_drop(&port->op);
	}
	EXPECT_EQ(0, bad[0] + bad[1]);
}

TEST_HARNESS_MAIN
