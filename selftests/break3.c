// SPDX-License-Identifier: GPL-2.0
/*
 * What a third attack on the module found: ports.
 */
#include <pthread.h>
#include <sched.h>

#include "behave.h"
#include "port.h"

#define BACKLOG	64

FIXTURE(brk3) {
	struct abi_ctx s, c;
	uint64_t port;			/* in s, all rights */
	uint64_t call;			/* in c, the right to call */
	struct port_taken t;
};

FIXTURE_SETUP(brk3)
{
	ASSERT_EQ(0, abi_open(&self->s, 1024));
	ASSERT_EQ(0, abi_open(&self->c, 1024));
	self->port = port_new(&self->s, BACKLOG);
	ASSERT_NE(0, self->port);
	self->call = share(&self->s, self->port, &self->c, AOP_MAY_CALL, 0);
	ASSERT_NE(0, self->call);
}

FIXTURE_TEARDOWN(brk3)
{
	abi_close(&self->c);
	abi_close(&self->s);
}

/* ---- room ---------------------------------------------------------------- */

/* Calls until there is no more room; returns how often, with the last handle. */
static int fill(struct abi_ctx *c, uint64_t port)
{
	struct aop_call_entry e = { .port = port, .flags = AOP_CALL_DETACHED };
	int n = 0;

	while (!port_calls(c, &e, 1, 0, 0, 0, NULL) && !e.ret) {
		abi_detach(c, e.handle, 0);
		n++;
	}
	return n;
}

struct sleeper {
	struct abi_ctx *c;
	uint64_t port;
	int ret;
	bool done;
};

static void *call_and_sleep(void *arg)
{
	struct sleeper *s = arg;
	struct aop_call_entry e = { .port = s->port, .flags = AOP_CALL_DETACHED };

	s->ret = port_calls(s->c, &e, 1, 0, abi_now() + 60000 * MSEC_NS, AOP_CALLS_WAIT, NULL);
	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/*
 * Others who take every place that comes free keep the backlog more than half full.  Who
 * has found none and waits for room, by its ready ring or asleep, gets it just the same.
 */
TEST_F(brk3, S1_room_for_who_waits_while_others_flood)
{
	struct sleeper sleeper = { .port = self->call, .c = &self->c };
	uint64_t flood[2], told;
	struct abi_ctx x;
	pthread_t thread;
	int i, rounds;

	ASSERT_EQ(0, abi_open(&x, 256));
	told = share(&self->s, self->port, &x, AOP_MAY_CALL, AOP_EV_ROOM);
	ASSERT_NE(0, told);
	for (i = 0; i < 2; i++) {
		flood[i] = share(&self->s, self->port, &self->s, AOP_MAY_CALL, 0);
		ASSERT_NE(0, flood[i]);
		fill(&self->s, flood[i]);
	}
	EXPECT_LT(0, fill(&x, told));
	EXPECT_EQ(0, abi_drain(&x));
	fill(&self->c, self->call);
	ASSERT_EQ(0, pthread_create(&thread, NULL, call_and_sleep, &sleeper));
	for (rounds = 0; rounds < 2 * BACKLOG ||
	     !__atomic_load_n(&sleeper.done, __ATOMIC_ACQUIRE); rounds++) {
		ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
		ASSERT_EQ(0, port_answer(&self->s, self->t.e[0].handle, 0, NULL, 0));
		for (i = 0; i < 2; i++)
			fill(&self->s, flood[i]);
		sched_yield();
	}
	EXPECT_EQ(1, abi_drain(&x));
	ASSERT_EQ(0, abi_done(&self->s, self->port, 0));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, sleeper.ret);
	abi_close(&x);
}

TEST_HARNESS_MAIN
