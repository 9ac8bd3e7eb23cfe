// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: how many system calls what costs.  The library's ioctl() is this one.
 */
#include <stdarg.h>
#include <sys/ioctl.h>

#include "lib.h"

static _Atomic unsigned int calls[256], total;

int ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	calls[_IOC_NR(cmd)]++;
	total++;
	return syscall(SYS_ioctl, fd, cmd, arg);
}

/* How many since the last time, and how many of this kind. */
#define EXPECT_CALLS(cmd, n)				\
do {							\
	EXPECT_EQ(n, calls[_IOC_NR(cmd)]);		\
	EXPECT_EQ(n, total);				\
	forget();					\
} while (0)

#define EXPECT_NO_CALL()				\
do {							\
	EXPECT_EQ(0, total);				\
	forget();					\
} while (0)

static void forget(void)
{
	memset((void *)calls, 0, sizeof(calls));
	total = 0;
}

FIXTURE(calls) {
	struct aop_ctx *ctx;
	struct aop_ctx *far;
};

FIXTURE_SETUP(calls)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	ASSERT_EQ(0, aop_ctx_open(&self->far, NULL));
	forget();
}

FIXTURE_TEARDOWN(calls)
{
	aop_ctx_close(self->far);
	aop_ctx_close(self->ctx);
}

TEST_F(calls, W1_a_life_here)
{
	struct aop op;

	ASSERT_EQ(0, aop_init(&op, self->ctx));
	EXPECT_CALLS(AOP_IOC_CREATE, 1);
	aop_owner(&op);
	aop_state(&op);
	aop_status(&op);
	aop_result(&op);
	aop_asked(aop_owner(&op));
	aop_id(&op);
	EXPECT_EQ(-ETIME, aop_wait(&op, AOP_NOWAIT));
	aop_drop(aop_hold(&op));
	EXPECT_NO_CALL();
	ASSERT_EQ(0, aop_start(aop_owner(&op)));
	ASSERT_EQ(0, aop_progress(aop_owner(&op), 1, 2));
	ASSERT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_CALLS(AOP_IOC_SIGNAL, 3);
	EXPECT_EQ(0, aop_wait(&op, AOP_FOREVER));
	EXPECT_EQ(1, aop_get(&op, AOP_SEC(1)));
	EXPECT_NO_CALL();
	ASSERT_EQ(1, aop_join(&op));
	EXPECT_CALLS(AOP_IOC_DETACH, 1);
}

TEST_F(calls, an_end_takes_the_handle_along)
{
	struct aop op;

	ASSERT_EQ(0, aop_init(&op, self->ctx));
	ASSERT_EQ(0, aop_drop(&op));
	forget();
	ASSERT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_CALLS(AOP_IOC_SIGNAL, 1);
	aop_drop(&op);
	EXPECT_NO_CALL();
}

TEST_F(calls, W1_watching_from_elsewhere)
{
	struct seen a = { 0 }, b = { 0 };
	struct aop op, twin;

	ASSERT_EQ(0, aop_init(&op, self->ctx));
	ASSERT_EQ(0, aop_attach_id(&twin, self->far, aop_id(&op), 0));
	forget();
	ASSERT_EQ(0, aop_then(&twin, &a.w, see, NULL, AOP_INLINE));
	EXPECT_NO_CALL();
	ASSERT_EQ(0, aop_watch(&twin, &b.w, see, NULL, AOP_INLINE));
	EXPECT_CALLS(AOP_IOC_MODIFY, 1);
	aop_unwatch(&b.w);
	ASSERT_EQ(0, aop_watch(&twin, &b.w, see, NULL, AOP_INLINE));
	EXPECT_NO_CALL();
	aop_progress(aop_owner(&op), 1, 2);
	aop_done(aop_owner(&op), 1);
	forget();
	aop_ctx_dispatch(self->far);
	aop_ctx_dispatch(self->far);
	EXPECT_NO_CALL();
	EXPECT_EQ(1, a.calls);
	EXPECT_EQ(1, b.finals);
	EXPECT_EQ(1, aop_drop(&twin));
	EXPECT_CALLS(AOP_IOC_DETACH, 1);
}

/* Who does not watch progress any more is woken by it once more, and then no longer. */
TEST_F(calls, what_nobody_watches_is_not_queued_for_long)
{
	struct seen s = { 0 };
	struct aop op, twin;

	ASSERT_EQ(0, aop_init(&op, self->ctx));
	ASSERT_EQ(0, aop_attach_id(&twin, self->far, aop_id(&op), 0));
	ASSERT_EQ(0, aop_watch(&twin, &s.w, see, NULL, AOP_INLINE));
	aop_unwatch(&s.w);
	aop_progress(aop_owner(&op), 1, 2);
	forget();
	EXPECT_EQ(1, aop_ctx_dispatch(self->far));
	EXPECT_CALLS(AOP_IOC_MODIFY, 1);
	aop_progress(aop_owner(&op), 2, 2);
	EXPECT_FALSE(lib_readable(self->far));
	forget();
	ASSERT_EQ(0, aop_watch(&twin, &s.w, see, NULL, AOP_INLINE));
	EXPECT_CALLS(AOP_IOC_MODIFY, 1);
	aop_progress(aop_owner(&op), 2, 2);
	EXPECT_EQ(1, aop_ctx_dispatch(self->far));
	EXPECT_EQ(1, s.calls);
}

static void drop_it(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	aop_drop(w->op);
}

TEST_F(calls, what_callbacks_drop_is_given_back_together)
{
	enum { N = 40 };
	struct aop_watch w[N];
	struct aop op[N], twin[N];
	int i;

	for (i = 0; i < N; i++) {
		ASSERT_EQ(0, aop_init(&op[i], self->ctx));
		ASSERT_EQ(0, aop_attach_id(&twin[i], self->far, aop_id(&op[i]), 0));
		ASSERT_EQ(0, aop_then(&twin[i], &w[i], drop_it, NULL, AOP_INLINE));
	}
	aop_cork(self->ctx);
	for (i = 0; i < N; i++)
		aop_done(aop_owner(&op[i]), 1);
	aop_uncork(self->ctx);
	forget();
	EXPECT_EQ(N, aop_ctx_dispatch(self->far));
	EXPECT_CALLS(AOP_IOC_DETACH, 3);		/* 16, 16, 8 */
	for (i = 0; i < N; i++)
		aop_drop(&op[i]);
}

TEST_F(calls, a_cork_of_64_lives)
{
	enum { N = 64 };
	struct aop op[N], twin[N];
	int i;

	aop_cork(self->ctx);
	for (i = 0; i < N; i++)
		aop_init(&op[i], self->ctx);
	aop_uncork(self->ctx);
	EXPECT_CALLS(AOP_IOC_CREATE, 1);
	aop_cork(self->far);
	for (i = 0; i < N; i++)
		aop_attach_id(&twin[i], self->far, aop_id(&op[i]), 0);
	aop_uncork(self->far);
	EXPECT_CALLS(AOP_IOC_ATTACH, 1);
	aop_cork(self->ctx);
	for (i = 0; i < N; i++)
		aop_done(aop_owner(&op[i]), 1);
	for (i = 0; i < N; i++)
		aop_drop(&op[i]);
	aop_uncork(self->ctx);
	EXPECT_CALLS(AOP_IOC_SIGNAL, 1);		/* which takes the handles along */
	aop_cork(self->far);
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, aop_drop(&twin[i]));
	aop_uncork(self->far);
	EXPECT_CALLS(AOP_IOC_DETACH, 1);
}

static void *end_when_asked(void *arg)
{
	struct aop *op = arg;

	while (!aop_asked(aop_owner(op)))
		sched_yield();
	aop_cancelled(aop_owner(op), 0);
	return NULL;
}

TEST_F(calls, signal_and_wait_is_one_call)
{
	struct aop mine, theirs;
	struct seen s = { 0 };
	pthread_t thread;

	ASSERT_EQ(0, aop_init(&mine, self->ctx));
	ASSERT_EQ(0, aop_init(&theirs, self->ctx));
	aop_cork(self->ctx);
	forget();
	ASSERT_EQ(0, aop_done(aop_owner(&mine), 3));
	EXPECT_NO_CALL();
	EXPECT_EQ(-ETIME, aop_wait(&theirs, AOP_US(1)));
	EXPECT_CALLS(AOP_IOC_WAIT, 1);
	EXPECT_EQ(3, aop_result(&mine));
	EXPECT_EQ(0, aop_uncork(self->ctx));
	EXPECT_NO_CALL();

	/* One that somebody ends meanwhile. */
	ASSERT_EQ(0, aop_start(aop_owner(&theirs)));
	ASSERT_EQ(AOP_ASKED, aop_cancel(&theirs, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, end_when_asked, &theirs));
	EXPECT_EQ(0, aop_wait(&theirs, AOP_FOREVER));
	pthread_join(thread, NULL);
	ASSERT_EQ(0, aop_then(&theirs, &s.w, see, NULL, AOP_INLINE) ?: s.calls - 1);
}

TEST_F(calls, W9_any_and_all_of_many_are_one_call)
{
	enum { N = 100 };
	struct aop op[N], *ops[N], *g;
	struct aop_group group;
	int i;

	aop_cork(self->ctx);
	for (i = 0; i < N; i++) {
		aop_init(&op[i], self->ctx);
		ops[i] = &op[i];
	}
	aop_uncork(self->ctx);
	forget();
	EXPECT_EQ(-ETIME, aop_wait_any(ops, N, AOP_US(1)));
	EXPECT_CALLS(AOP_IOC_WAIT, 1);
	EXPECT_EQ(-ETIME, aop_wait_all(ops, N, AOP_US(1)));
	EXPECT_CALLS(AOP_IOC_WAIT, 1);
	g = aop_all(&group, NULL, ops, N, 0);
	EXPECT_CALLS(AOP_IOC_GROUP, 1);
	EXPECT_FALSE(aop_is_final(g));
}

#define MANY	16

/* S1: many calls, taken, answered and seen, with one system call each. */
TEST_F(calls, S1_a_batch)
{
	struct aop_request r[MANY];
	struct aop_call c[MANY];
	struct aop_port port, client;
	struct aop *ops[MANY];
	char reply[MANY][4];
	int i, k;

	ASSERT_EQ(0, aop_port_init(&port, self->far, AOP_PORT_OPTS(.name = "lib_calls",
								   .state = AOP_RUNNING)));
	aop_port_find(&client, self->ctx, "lib_calls");
	EXPECT_EQ(-ETIME, aop_serve(&port, r, MANY, AOP_NOWAIT));
	forget();
	aop_cork(self->far);
	for (k = 0; k < 2; k++) {
		aop_cork(self->ctx);
		for (i = 0; i < MANY; i++)
			ops[i] = aop_call(&client, &c[i], "ask", 4, reply[i], 4);
		EXPECT_EQ(AOP_PENDING, aop_state(ops[0]));
		EXPECT_NO_CALL();
		EXPECT_EQ(0, aop_uncork(self->ctx));
		EXPECT_CALLS(AOP_IOC_CALL, 1);
		/* The replies to the ones before go out with it. */
		ASSERT_EQ(MANY, aop_serve(&port, r, MANY, AOP_FOREVER));
		EXPECT_CALLS(AOP_IOC_SERVE, 1);
		for (i = 0; i < MANY; i++)
			EXPECT_EQ(0, aop_reply(&r[i], i, "yes", 4));
		EXPECT_NO_CALL();
		EXPECT_EQ(AOP_RUNNING, aop_state(ops[0]));
		EXPECT_EQ(-ETIME, aop_serve(&port, r, MANY, AOP_NOWAIT));
		EXPECT_CALLS(AOP_IOC_SERVE, 1);
		/* Not made in the same cork, so each is read alone. */
		EXPECT_EQ(0, aop_wait_all(ops, MANY, AOP_FOREVER));
		EXPECT_NO_CALL();
		for (i = 0; i < MANY; i++) {
			EXPECT_EQ(i, aop_join(ops[i]));
			EXPECT_EQ(4, aop_call_reply(&c[i]));
			EXPECT_STREQ("yes", reply[i]);
		}
		EXPECT_CALLS(AOP_IOC_MESSAGE, MANY);
	}
	EXPECT_EQ(0, aop_uncork(self->far));
}

struct echo {
	struct aop_port port;
	pthread_t thread;
	int64_t end;
};

static void *echo(void *arg)
{
	struct aop_request r[MANY];
	struct echo *e = arg;
	int i, n;

	while ((n = aop_serve(&e->port, r, MANY, AOP_FOREVER)) > 0)
		for (i = 0; i < n; i++)
			aop_reply(&r[i], i, r[i].msg, r[i].len);
	e->end = n;
	return NULL;
}

/* S1: with the wait that is for them, the calls bring their replies. */
TEST_F(calls, S1_calls_that_are_waited_for)
{
	struct aop_call c[MANY];
	struct aop *ops[MANY];
	struct aop_port client;
	char reply[MANY][4];
	struct echo e;
	int i;

	ASSERT_EQ(0, aop_port_init(&e.port, self->far, AOP_PORT_OPTS(.name = "lib_calls",
								     .state = AOP_RUNNING)));
	aop_port_find(&client, self->ctx, "lib_calls");
	ASSERT_EQ(0, pthread_create(&e.thread, NULL, echo, &e));
	forget();
	aop_cork(self->ctx);
	for (i = 0; i < MANY; i++)
		ops[i] = aop_call(&client, &c[i], "ask", 4, reply[i], 4);
	EXPECT_EQ(0, aop_wait_all(ops, MANY, AOP_FOREVER));
	EXPECT_EQ(1, calls[_IOC_NR(AOP_IOC_CALL)]);
	for (i = 0; i < MANY; i++) {
		EXPECT_EQ(4, aop_call_reply(&c[i]));
		EXPECT_LE(0, aop_result(ops[i]));
		EXPECT_EQ(1, aop_drop(ops[i]));
		EXPECT_STREQ("ask", reply[i]);
	}
	EXPECT_EQ(0, aop_uncork(self->ctx));
	EXPECT_EQ(1, calls[_IOC_NR(AOP_IOC_CALL)]);
	EXPECT_EQ(0, calls[_IOC_NR(AOP_IOC_MESSAGE)]);
	EXPECT_EQ(0, calls[_IOC_NR(AOP_IOC_WAIT)]);
	EXPECT_EQ(1, calls[_IOC_NR(AOP_IOC_DETACH)]);
	EXPECT_EQ(0, aop_done(aop_owner(&e.port.op), 0));
	pthread_join(e.thread, NULL);
	EXPECT_EQ(0, e.end);
}

TEST_HARNESS_MAIN
