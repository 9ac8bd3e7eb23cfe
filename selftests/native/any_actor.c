// SPDX-License-Identifier: GPL-2.0
/*
 * Actors, in every scope: calls queue while one starts, and fail when it has stopped, with
 * the cause; it begins anew while callers hold its port; one loop serves it (S15).
 */
#include "any.h"
#include "loop.h"

struct counter {
	struct aop_actor actor;
	struct aop_timer timer;
	int64_t n;
	int begun, inside, cleaned;
	bool prepares;			/* takes its time */
};

FIXTURE(actor) {
	struct any any;
	struct aop_loop *loop;
	struct counter k;
	struct aop_call c[4];
	int64_t left;
	int failures;
};

ANY_VARIANTS(actor);

FIXTURE_SETUP(actor)
{
	struct aop_loop_opts epoll = { .size = sizeof(epoll), .flags = AOP_EPOLL };

	ANY_SETUP();
	memset(&self->k, 0, sizeof(self->k));
	/* valgrind runs no other thread while one is in io_uring_enter(). */
	ASSERT_EQ(0, aop_loop_open(&self->loop, loop_under_valgrind() ? &epoll : NULL));
	if (self->any.scope == ANY_SHARED)
		ASSERT_EQ(0, aop_loop_add(self->loop, self->any.where));
}

FIXTURE_TEARDOWN(actor)
{
	if (self->loop)
		aop_loop_close(self->loop);
	any_teardown(&self->any);
}

/* What is asked: n: add; STOP: return 0; else return it as an error, unanswered. */
#define STOP	1000000

static int64_t counter(struct aop_task *t)
{
	struct counter *k = aop_container(t, struct counter, actor.task);
	struct aop_actor *a = &k->actor;
	int64_t ret;
	int ask;

	AOP_BEGIN(t);
	k->begun++;
	if (k->prepares) {
		AOP_AWAIT(ret, aop_sleep(t->loop, &k->timer, AOP_SEC(1000)));
		if (ret < 0)
			return ret;
	}
	ret = aop_actor_ready(a);
	if (ret)
		return ret;
	for (;;) {
		AOP_AWAIT(ret, aop_actor_take(a));
		if (ret < 0)
			return ret;
		k->inside++;
		memcpy(&ask, a->request.msg, sizeof(ask));
		if (ask < 0)
			return ask;
		if (ask == STOP) {
			aop_reply(&a->request, 0, NULL, 0);
			return 5;
		}
		k->n += ask;
		k->inside--;
		aop_reply(&a->request, k->n, NULL, 0);
	}
	AOP_END(0);
}

static int64_t cleanup(struct aop_task *t)
{
	struct counter *k = aop_container(t, struct counter, actor.task);

	k->cleaned++;
	return 0;
}

static struct aop *spawn(struct _test_data_actor *self, const struct aop_actor_opts *o)
{
	struct aop_actor_opts opts = { .size = sizeof(opts) };

	if (o)
		opts = *o;
	opts.where = self->any.where;
	opts.cleanup = cleanup;
	return aop_actor_spawn(self->loop, &self->k.actor, counter, &opts);
}

static struct aop *ask(struct _test_data_actor *self, int i, const int *what)
{
	return aop_call(&self->k.actor.port, &self->c[i], what, sizeof(*what), NULL, 0);
}

/* All that can be done is done. */
static void turn(struct _test_data_actor *self)
{
	while (aop_loop_run(self->loop, AOP_RUN_READY) > 0)
		any_turn(&self->any);
}

static const int one = 1, two = 2, fails = -EIO, stop = STOP;

TEST_F(actor, calls_queue_while_it_starts)
{
	struct aop *op;

	self->k.prepares = true;
	op = spawn(self, NULL);
	EXPECT_EQ(0, self->k.begun);
	ask(self, 0, &one);
	turn(self);
	EXPECT_EQ(1, self->k.begun);
	ask(self, 1, &two);
	turn(self);
	EXPECT_EQ(AOP_PENDING, aop_state(op));
	EXPECT_EQ(AOP_PENDING, aop_state(&self->c[0].op));
	EXPECT_EQ(AOP_PENDING, aop_state(&self->c[1].op));
	EXPECT_EQ(0, aop_timer_set(&self->k.timer, 0));
	EXPECT_EQ(1, aop_loop_get(self->loop, &self->c[0].op));
	EXPECT_EQ(AOP_RUNNING, aop_state(op));
	EXPECT_EQ(3, aop_loop_get(self->loop, &self->c[1].op));
	ask(self, 0, &stop);
	EXPECT_EQ(0, aop_loop_get(self->loop, &self->c[0].op));
	EXPECT_EQ(5, aop_loop_get(self->loop, op));
	EXPECT_EQ(1, aop_drop(op));
}

/* Stopped, failed, killed, dropped, lost: what its calls are told, before and afterwards. */
TEST_F(actor, stopped)
{
	struct aop *op = spawn(self, NULL);

	ask(self, 0, &one);
	ask(self, 1, &stop);
	ask(self, 2, &two);
	EXPECT_EQ(5, aop_loop_get(self->loop, op));
	EXPECT_EQ(1, aop_join(&self->c[0].op));
	EXPECT_EQ(0, aop_join(&self->c[1].op));
	EXPECT_EQ(-ESHUTDOWN, aop_join(&self->c[2].op));
	EXPECT_EQ(-ESHUTDOWN, aop_join(ask(self, 3, &one)));
	EXPECT_EQ(1, self->k.cleaned);
	EXPECT_EQ(0, self->k.actor.restarts);
	EXPECT_EQ(1, aop_drop(op));
}

TEST_F(actor, failed)
{
	struct aop *op = spawn(self, NULL);

	ask(self, 0, &fails);
	ask(self, 1, &one);
	EXPECT_EQ(-EIO, aop_loop_get(self->loop, op));
	EXPECT_EQ(AOP_FAILED, aop_state(op));
	EXPECT_EQ(-EIO, aop_join(&self->c[0].op));
	EXPECT_EQ(-EIO, aop_join(&self->c[1].op));
	EXPECT_EQ(-EIO, aop_join(ask(self, 2, &one)));
	EXPECT_EQ(1, self->k.begun);
	EXPECT_EQ(1, aop_drop(op));
}

TEST_F(actor, killed)
{
	struct aop *op = spawn(self, NULL);

	ask(self, 0, &one);
	EXPECT_EQ(1, aop_loop_get(self->loop, &self->c[0].op));
	EXPECT_EQ(AOP_ASKED, aop_cancel(op, -EINTR));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, op));
	EXPECT_EQ(AOP_CANCELLED, aop_state(op));
	EXPECT_EQ(-EINTR, aop_join(ask(self, 0, &one)));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->c[0].op));
	EXPECT_EQ(1, aop_drop(op));
}

/* Those that have no end do not keep it: each call that is answered is followed by the next. */
static void call_again(struct aop_watch *w, const struct aop_status *st)
{
	struct _test_data_actor *self = w->data;
	struct aop *op = &self->c[0].op;

	(void)st;
	if (++self->failures == 100)
		aop_cancel(&self->k.actor.port.op, -EINTR);
	if (self->failures < 1000 && aop_result(op) > 0) {
		aop_drop(op);
		aop_then(ask(self, 0, &one), w, call_again, self, AOP_INLINE);
	}
}

TEST_F(actor, killed_while_calls_never_cease)
{
	struct aop *op = spawn(self, NULL);
	struct aop_watch w;

	aop_then(ask(self, 0, &one), &w, call_again, self, AOP_INLINE);
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, op));
	EXPECT_EQ(-EINTR, aop_join(&self->c[0].op));
	EXPECT_GE(102, self->failures);
	EXPECT_EQ(1, aop_drop(op));
}

/* Before it has run, and while it prepares: it is over only when the body has returned. */
TEST_F(actor, killed_while_it_starts)
{
	struct aop *op = spawn(self, NULL);

	ask(self, 0, &one);
	EXPECT_EQ(AOP_STOPPED, aop_cancel(op, -EINTR));
	EXPECT_FALSE(aop_is_over(op));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, op));
	EXPECT_EQ(0, self->k.begun);
	EXPECT_EQ(1, self->k.cleaned);
	EXPECT_EQ(-EINTR, aop_join(&self->c[0].op));
	EXPECT_EQ(1, aop_drop(op));

	self->k.prepares = true;
	op = spawn(self, NULL);
	ask(self, 0, &one);
	turn(self);
	EXPECT_EQ(AOP_STOPPED, aop_cancel(op, -EINTR));
	EXPECT_EQ(-EINTR, aop_join(&self->c[0].op));
	EXPECT_FALSE(aop_is_over(op));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, op));
	EXPECT_EQ(2, self->k.cleaned);
	EXPECT_EQ(1, aop_drop(op));
}

/* ... and does not look: being ready answers it, and does not let go. */
static int64_t careless(struct aop_task *t)
{
	struct counter *k = aop_container(t, struct counter, actor.task);

	AOP_BEGIN(t);
	k->begun++;
	aop_cancel(&k->actor.port.op, -EINTR);
	k->n = aop_actor_ready(&k->actor);
	k->inside = aop_is_over(&k->actor.port.op);
	AOP_END(0);
}

TEST_F(actor, killed_and_ready)
{
	struct aop *op = aop_actor_spawn(self->loop, &self->k.actor, careless,
					 AOP_ACTOR_OPTS(.where = self->any.where));

	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, op));
	EXPECT_EQ(-EALREADY, self->k.n);
	EXPECT_EQ(0, self->k.inside);
	EXPECT_EQ(1, aop_drop(op));
}

static int gone;

static void port_gone(struct aop *op)
{
	(void)op;
	gone++;
}

/* Who calls holds it; when the last one lets go it is stopped. */
TEST_F(actor, dropped)
{
	struct aop_port_opts port = { .size = sizeof(port), .release = port_gone };
	struct aop *op = spawn(self, AOP_ACTOR_OPTS(.port = &port));
	int64_t ret;

	gone = 0;
	aop_hold(op);
	ask(self, 0, &one);
	EXPECT_EQ(1, aop_loop_get(self->loop, &self->c[0].op));
	EXPECT_EQ(0, aop_drop(op));
	ask(self, 0, &one);
	EXPECT_EQ(2, aop_loop_get(self->loop, &self->c[0].op));
	ask(self, 0, &one);
	ask(self, 1, &one);
	EXPECT_EQ(0, aop_drop(op));
	EXPECT_EQ(0, gone);
	/* There is nothing else on the loop. */
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	EXPECT_EQ(1, gone);
	EXPECT_EQ(1, self->k.cleaned);
	/* The first had been given to it, if it need not be fetched; the second is never taken. */
	ret = aop_join(&self->c[0].op);
	EXPECT_TRUE(ret == 3 || (self->any.scope == ANY_SHARED && ret == -EPIPE));
	EXPECT_EQ(-EPIPE, aop_join(&self->c[1].op));
}

TEST_F(actor, lost)
{
	struct aop *op = spawn(self, NULL);

	ask(self, 0, &one);
	EXPECT_EQ(1, aop_loop_get(self->loop, &self->c[0].op));
	ask(self, 1, &one);
	aop_loop_close(self->loop);
	self->loop = NULL;
	EXPECT_EQ(-EOWNERDEAD, aop_result(op));
	EXPECT_EQ(-EOWNERDEAD, aop_join(&self->c[1].op));
	EXPECT_EQ(-EOWNERDEAD, aop_join(ask(self, 2, &one)));
	EXPECT_EQ(1, self->k.cleaned);
	EXPECT_EQ(1, aop_drop(op));
}

/* The call in hand, too. */
static int64_t takes_one(struct aop_task *t)
{
	struct counter *k = aop_container(t, struct counter, actor.task);
	int64_t ret;

	AOP_BEGIN(t);
	aop_actor_ready(&k->actor);
	AOP_AWAIT(ret, aop_actor_take(&k->actor));
	AOP_AWAIT(ret, aop_sleep(t->loop, &k->timer, AOP_SEC(1000)));
	AOP_END(ret);
}

TEST_F(actor, lost_with_a_call_in_hand)
{
	struct aop *op = aop_actor_spawn(self->loop, &self->k.actor, takes_one,
					 AOP_ACTOR_OPTS(.where = self->any.where));

	ask(self, 0, &one);
	turn(self);
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->c[0].op));
	aop_loop_close(self->loop);
	self->loop = NULL;
	EXPECT_EQ(-EOWNERDEAD, aop_join(&self->c[0].op));
	EXPECT_EQ(-EOWNERDEAD, aop_join(op));
}

/* ---- beginning anew ------------------------------------------------------------ */

static struct _test_data_actor *test;

static int64_t begin_anew(struct aop_actor *a, int64_t error)
{
	(void)a;
	if (error != -EIO)
		return -1;
	return ++test->failures < 3 ? AOP_MS(test->failures - 1) : -1;
}

/* The call in hand fails, the others wait for the next life; until it has had enough. */
TEST_F(actor, fails_and_begins_anew)
{
	struct aop *op;
	int i;

	test = self;
	op = spawn(self, AOP_ACTOR_OPTS(.failed = begin_anew));
	ask(self, 0, &one);
	ask(self, 1, &fails);
	ask(self, 2, &two);
	EXPECT_EQ(3, aop_loop_get(self->loop, &self->c[2].op));
	EXPECT_EQ(1, aop_join(&self->c[0].op));
	EXPECT_EQ(-EIO, aop_join(&self->c[1].op));
	EXPECT_EQ(AOP_RUNNING, aop_state(op));
	EXPECT_EQ(1, self->k.actor.restarts);
	EXPECT_EQ(2, self->k.begun);
	for (i = 0; i < 2; i++) {
		ask(self, 0, &fails);
		ask(self, 1, &one);
		EXPECT_EQ(-EIO, aop_loop_get(self->loop, &self->c[0].op));
		EXPECT_EQ(i ? -EIO : 4, aop_loop_get(self->loop, &self->c[1].op));
	}
	EXPECT_EQ(-EIO, aop_loop_get(self->loop, op));
	EXPECT_EQ(2, self->k.actor.restarts);
	EXPECT_EQ(3, self->failures);
	EXPECT_EQ(1, self->k.cleaned);
	EXPECT_EQ(1, aop_drop(op));
}

static int64_t in_a_while(struct aop_actor *a, int64_t error)
{
	(void)a;
	(void)error;
	return AOP_SEC(1000);
}

/* Its body has failed, but since it was asked to. */
TEST_F(actor, killed_it_does_not_begin_anew)
{
	struct aop *op = spawn(self, AOP_ACTOR_OPTS(.failed = in_a_while));

	ask(self, 0, &one);
	EXPECT_EQ(1, aop_loop_get(self->loop, &self->c[0].op));
	EXPECT_EQ(AOP_ASKED, aop_cancel(op, -EINTR));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, op));
	EXPECT_EQ(0, self->k.actor.restarts);
	EXPECT_EQ(1, aop_drop(op));
}

TEST_F(actor, killed_while_it_rests)
{
	struct aop *op = spawn(self, AOP_ACTOR_OPTS(.failed = in_a_while));

	ask(self, 0, &fails);
	EXPECT_EQ(-EIO, aop_loop_get(self->loop, &self->c[0].op));
	turn(self);
	ask(self, 0, &one);
	turn(self);
	EXPECT_EQ(AOP_PENDING, aop_state(&self->c[0].op));
	EXPECT_EQ(AOP_ASKED, aop_cancel(op, -EINTR));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, op));
	EXPECT_EQ(-EINTR, aop_join(&self->c[0].op));
	EXPECT_EQ(1, self->k.begun);
	EXPECT_EQ(1, aop_drop(op));
}

TEST_F(actor, lost_while_it_rests)
{
	struct aop *op = spawn(self, AOP_ACTOR_OPTS(.failed = in_a_while));

	ask(self, 0, &fails);
	EXPECT_EQ(-EIO, aop_loop_get(self->loop, &self->c[0].op));
	aop_loop_close(self->loop);
	self->loop = NULL;
	EXPECT_EQ(-EOWNERDEAD, aop_join(op));
}

static int64_t at_once(struct aop_actor *a, int64_t error)
{
	(void)error;
	return a->restarts < 1000 ? 0 : -1;
}

static int64_t hopeless(struct aop_task *t)
{
	(void)t;
	return -EIO;
}

static int64_t neighbour(struct aop_task *t)
{
	struct aop_actor *a = &test->k.actor;

	AOP_BEGIN(t);
	test->left = a->restarts;
	AOP_YIELD();
	test->left = a->restarts - test->left;
	AOP_END(0);
}

/* One that fails at once, and always, starves nobody. */
TEST_F(actor, others_run_between_two_lives)
{
	struct aop_task t = { .name = NULL };
	struct aop *op, *other;

	test = self;
	op = aop_actor_spawn(self->loop, &self->k.actor, hopeless,
			     AOP_ACTOR_OPTS(.where = self->any.where, .failed = at_once));
	other = aop_spawn(self->loop, &t, neighbour, NULL, 0);
	EXPECT_EQ(0, aop_loop_get(self->loop, other));
	EXPECT_GE(2, self->left);
	EXPECT_EQ(-EIO, aop_loop_get(self->loop, op));
	EXPECT_EQ(1000, self->k.actor.restarts);
}

TEST_F(actor, what_is_refused)
{
	union {
		struct aop_actor_opts o;
		char newer[sizeof(struct aop_actor_opts) + 8];
	} u;

	memset(&u, 0xff, sizeof(u));
	u.o.size = sizeof(u);
	EXPECT_EQ(-EINVAL, aop_join(aop_actor_spawn(NULL, &self->k.actor, counter, NULL)));
	EXPECT_EQ(-EINVAL, aop_join(aop_actor_spawn(self->loop, &self->k.actor, NULL, NULL)));
	EXPECT_EQ(-EINVAL, aop_join(spawn(self, AOP_ACTOR_OPTS(.flags = 1))));
	EXPECT_EQ(-EINVAL, aop_join(spawn(self, AOP_ACTOR_OPTS(.port =
						AOP_PORT_OPTS(.mode = 01000)))));
	EXPECT_EQ(-E2BIG, aop_join(aop_actor_spawn(self->loop, &self->k.actor, counter, &u.o)));
	/* Whoever calls it nevertheless is told. */
	EXPECT_EQ(-E2BIG, aop_join(ask(self, 0, &one)));
	EXPECT_EQ(0, self->k.begun);
}

/* ---- threads -------------------------------------------------------------------- */

struct caller {
	struct counter *k;
	pthread_t thread;
	int answered, rounds;
	int64_t last;
};

static void *calls(void *arg)
{
	struct caller *c = arg;
	struct aop_call call;
	int64_t ret;
	int i;

	for (i = 0; i < c->rounds; i++) {
		ret = aop_join(aop_call(&c->k->actor.port, &call, &one, sizeof(one), NULL, 0));
		if (ret < 0)
			break;
		/* One owner: it only ever grows. */
		if (ret <= c->last)
			return arg;
		c->last = ret;
		c->answered++;
	}
	aop_drop(&c->k->actor.port.op);
	return NULL;
}

static void *runs(void *arg)
{
	aop_loop_run(arg, AOP_RUN_ALL);
	return NULL;
}

/* S15: one thread owns it, whoever calls; it goes when the last caller has. */
TEST_F(actor, S15_one_owner_many_callers)
{
	struct caller c[3];
	pthread_t thread;
	struct aop *op;
	void *wrong;
	int i;

	if (self->any.scope == ANY_PRIVATE)
		SKIP(return, "private: one thread");
	op = spawn(self, NULL);
	for (i = 0; i < 3; i++) {
		c[i] = (struct caller){ .k = &self->k, .rounds = any_rounds(2000) };
		aop_hold(op);
	}
	ASSERT_EQ(0, pthread_create(&thread, NULL, runs, self->loop));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&c[i].thread, NULL, calls, &c[i]));
	aop_drop(op);
	for (i = 0; i < 3; i++) {
		pthread_join(c[i].thread, &wrong);
		EXPECT_EQ(NULL, wrong);
		EXPECT_EQ(c[i].rounds, c[i].answered);
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(3 * any_rounds(2000), self->k.n);
	EXPECT_EQ(0, self->k.inside);
	EXPECT_EQ(1, self->k.cleaned);
}

/* Killed in mid-traffic, and given back at once by who has waited for it. */
TEST_F(actor, killed_in_mid_traffic)
{
	int i, round, rounds = any_rounds(200);
	struct caller c[2];
	struct counter *k;
	pthread_t thread;
	struct aop *op;

	if (self->any.scope == ANY_PRIVATE)
		SKIP(return, "private: one thread");
	for (round = 0; round < rounds; round++) {
		k = calloc(1, sizeof(*k));
		ASSERT_NE(NULL, k);
		op = aop_actor_spawn(self->loop, &k->actor, counter, NULL);
		for (i = 0; i < 2; i++) {
			c[i] = (struct caller){ .k = k, .rounds = INT32_MAX };
			aop_hold(op);
		}
		ASSERT_EQ(0, pthread_create(&thread, NULL, runs, self->loop));
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_create(&c[i].thread, NULL, calls, &c[i]));
		for (i = 0; i < round % 8; i++)
			sched_yield();
		aop_cancel(op, -EINTR);
		for (i = 0; i < 2; i++)
			pthread_join(c[i].thread, NULL);
		EXPECT_EQ(-EINTR, aop_join(op));
		free(k);
		pthread_join(thread, NULL);
	}
}

TEST_HARNESS_MAIN
