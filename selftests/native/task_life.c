// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a task: F1 to F5, F7, F10, F15, F16, on both engines; malloc is counted (O4).
 */
#include <stdatomic.h>

#include "lib.h"

/* O4: counted here, done by the C library. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTED
static _Atomic uint64_t allocations;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	allocations++;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	allocations++;
	return __libc_realloc(p, size);
}
#endif

FIXTURE(task) {
	struct aop_loop *loop;
};

FIXTURE_VARIANT(task) {
	uint32_t engine;
};

FIXTURE_VARIANT_ADD(task, epoll) {
	.engine = AOP_EPOLL,
};

FIXTURE_VARIANT_ADD(task, uring) {
	.engine = AOP_URING,
};

FIXTURE_SETUP(task)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = variant->engine };
	int ret = aop_loop_open(&self->loop, &o);

	if (ret && variant->engine == AOP_URING)
		SKIP(return, "no io_uring");
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(task)
{
	aop_loop_close(self->loop);
}

/* ---- a task that counts what happens to it ------------------------------------------- */

struct counted {
	struct aop_task task;
	struct aop *awaits;		/* or NULL */
	int polls, cleanups;
	int rounds;			/* yields first */
	int64_t got, result;
	bool final_at_cleanup;
};

static int64_t counted(struct aop_task *t)
{
	struct counted *c = aop_container(t, struct counted, task);

	c->polls++;
	AOP_BEGIN(t);
	while (c->rounds--)
		AOP_YIELD();
	if (c->awaits) {
		AOP_AWAIT(c->got, c->awaits);
		if (c->got < 0)
			return c->got;
	}
	AOP_END(c->result);
}

static int64_t cleaned(struct aop_task *t)
{
	struct counted *c = aop_container(t, struct counted, task);

	c->cleanups++;
	c->final_at_cleanup = aop_is_final(&t->op);
	return 0;
}

static struct aop *spawn(struct aop_loop *l, struct counted *c, unsigned int flags)
{
	return aop_spawn(l, &c->task, counted, cleaned, flags);
}

/* F3: nothing of it runs before the loop does. */
TEST_F(task, F3_spawn_only_schedules)
{
	struct counted c = { .result = 42 };
	struct aop *op = spawn(self->loop, &c, 0);

	EXPECT_EQ(0, c.polls);
	EXPECT_EQ(AOP_RUNNING, aop_state(op));
	EXPECT_EQ(42, aop_loop_get(self->loop, op));
	EXPECT_EQ(1, c.polls);
	/* F1: once, and before anybody is told */
	EXPECT_EQ(1, c.cleanups);
	EXPECT_FALSE(c.final_at_cleanup);
	EXPECT_TRUE(aop_is_over(op));
	aop_drop(op);
}

/* F2: an op is a future. */
TEST_F(task, F2_awaits_an_op)
{
	struct counted c = { .result = 1 };
	struct aop op;

	aop_init(&op, AOP_PRIVATE);
	c.awaits = &op;
	spawn(self->loop, &c, 0);
	aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_EQ(1, c.polls);
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_READY));
	EXPECT_EQ(1, c.polls);
	aop_done(aop_owner(&op), 9);
	EXPECT_EQ(1, c.polls);
	EXPECT_EQ(1, aop_loop_get(self->loop, &c.task.op));
	EXPECT_EQ(9, c.got);
	/* The second poll learned it from the op's state. */
	EXPECT_EQ(2, c.polls);
	aop_drop(&op);
}

TEST_F(task, F4_join_and_detach)
{
	struct counted child = { .rounds = 3, .result = 5 }, c = { .result = 1 };
	struct counted gone = { .rounds = 3, .result = 5 };

	c.awaits = spawn(self->loop, &child, 0);
	spawn(self->loop, &c, 0);
	/* Detached, it still runs to its end. */
	aop_drop(spawn(self->loop, &gone, 0));
	EXPECT_EQ(1, aop_loop_get(self->loop, &c.task.op));
	EXPECT_EQ(5, c.got);
	EXPECT_EQ(1, child.cleanups);
	aop_loop_run(self->loop, AOP_RUN_ALL);
	EXPECT_EQ(1, gone.cleanups);
	EXPECT_EQ(4, gone.polls);
}

static int64_t free_me(struct aop_task *t)
{
	free(aop_container(t, struct counted, task));
	return 0;
}

TEST_F(task, F16_a_detached_task_frees_itself)
{
	struct counted *c;
	int i;

	for (i = 0; i < 3; i++) {
		c = calloc(1, sizeof(*c));
		ASSERT_NE(NULL, c);
		c->rounds = i;
		aop_spawn(self->loop, &c->task, counted, free_me, AOP_DETACHED);
	}
	/* F5: ends when nothing is left */
	EXPECT_LE(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

TEST_F(task, F5_an_immediate_one_does_not_wait)
{
	struct aop_loop_stats before = { .size = sizeof(before) }, after = before;
	struct counted c = { .result = 3 };

	ASSERT_EQ(0, aop_loop_stats(self->loop, &before));
	EXPECT_EQ(3, aop_loop_get(self->loop, spawn(self->loop, &c, 0)));
	ASSERT_EQ(0, aop_loop_stats(self->loop, &after));
	EXPECT_EQ(before.sleeps, after.sleeps);
	EXPECT_LE(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

/* ---- F7, F10: order -------------------------------------------------------------------- */

static char order[64];
static int length;

struct letter {
	struct aop_task task;
	char name;
	int rounds;
	struct letter *wakes;		/* a sleeper, once, after waking itself */
};

static int64_t write_letter(struct aop_task *t)
{
	struct letter *l = aop_container(t, struct letter, task);

	AOP_BEGIN(t);
	while (l->rounds--) {
		order[length++] = l->name;
		aop_wake(t);
		if (l->wakes)
			aop_wake(&l->wakes->task);
		l->wakes = NULL;
		AOP_YIELD();
	}
	AOP_END(0);
}

/* By hand, without an op to await. */
static int64_t sleeper(struct aop_task *t)
{
	struct letter *l = aop_container(t, struct letter, task);

	if (l->rounds-- > 0)
		return AOP_MORE;
	order[length++] = l->name;
	return 0;
}

TEST_F(task, F7_in_the_order_of_their_wakes)
{
	struct letter a = { .name = 'a', .rounds = 3 }, b = { .name = 'b', .rounds = 3 };
	struct letter s = { .name = 's', .rounds = 1 };

	memset(order, 0, sizeof(order));
	length = 0;
	a.wakes = &s;
	aop_spawn(self->loop, &s.task, sleeper, NULL, 0);
	aop_spawn(self->loop, &a.task, write_letter, NULL, 0);
	aop_spawn(self->loop, &b.task, write_letter, NULL, 0);
	EXPECT_LE(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	/* a wakes itself before s. */
	EXPECT_STREQ("abasbab", order);
}

TEST_F(task, F7_spurious_wakes_are_harmless)
{
	struct counted c = { .result = 1 };
	struct aop op;
	int i;

	aop_init(&op, AOP_PRIVATE);
	c.awaits = &op;
	spawn(self->loop, &c, 0);
	for (i = 0; i < 100; i++) {
		aop_wake(&c.task);
		aop_wake(&c.task);
		aop_loop_run(self->loop, AOP_RUN_READY);
	}
	/* 100 in a row, two at a time: each was one poll */
	EXPECT_EQ(100, c.polls);
	EXPECT_FALSE(aop_is_final(&c.task.op));
	aop_done(aop_owner(&op), 0);
	aop_wake(&c.task);
	EXPECT_EQ(1, aop_loop_get(self->loop, &c.task.op));
	EXPECT_EQ(101, c.polls);
	aop_drop(&op);
}

static int64_t wake_and_end(struct aop_task *t)
{
	aop_wake(t);
	return 4;
}

TEST_F(task, F7_a_wake_of_a_running_task)
{
	struct counted c = { .result = 0 };

	/* One that ends all the same: its cleanup is not run twice, nor too early. */
	EXPECT_EQ(4, aop_loop_get(self->loop, aop_spawn(self->loop, &c.task, wake_and_end,
							cleaned, 0)));
	EXPECT_EQ(1, c.cleanups);
}

TEST_F(task, F10_main_then_lazy_then_idle)
{
	struct letter i = { .name = 'i', .rounds = 1 }, l = { .name = 'l', .rounds = 2 };
	struct letter m = { .name = 'm', .rounds = 3 }, j = { .name = 'j', .rounds = 1 };

	memset(order, 0, sizeof(order));
	length = 0;
	aop_spawn(self->loop, &i.task, write_letter, NULL, AOP_IDLE);
	aop_spawn(self->loop, &j.task, write_letter, NULL, AOP_IDLE);
	aop_spawn(self->loop, &l.task, write_letter, NULL, AOP_LAZY);
	aop_spawn(self->loop, &m.task, write_letter, NULL, 0);
	EXPECT_LE(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	EXPECT_STREQ("mmmllij", order);
}

static int64_t for_ever(struct aop_task *t)
{
	struct counted *c = aop_container(t, struct counted, task);

	AOP_BEGIN(t);
	while (!aop_asked(aop_task_owner(t))) {
		c->polls++;
		AOP_YIELD();
	}
	AOP_END(aop_asked(aop_task_owner(t)));
}

/* A timer and a pipe get their turn beside a task that never rests. */
TEST_F(task, F10_a_task_that_yields_for_ever_starves_nobody)
{
	struct counted c = { .result = 0 };
	struct aop_timer tm;
	struct aop_io io;
	int fd[2];

	ASSERT_EQ(0, pipe(fd));
	spawn(self->loop, &c, 0);
	EXPECT_EQ(0, aop_loop_get(self->loop, &c.task.op));
	aop_spawn(self->loop, &c.task, for_ever, cleaned, 0);
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_sleep(self->loop, &tm, AOP_MS(1))));
	aop_ready(self->loop, &io, fd[0], POLLIN);
	ASSERT_EQ(1, write(fd[1], "x", 1));
	EXPECT_EQ(POLLIN, aop_loop_get(self->loop, &io.op));
	EXPECT_LT(1, c.polls);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&c.task.op, -EINTR));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, &c.task.op));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&c.task.op));
	close(fd[0]);
	close(fd[1]);
}

/* ---- O4 ----------------------------------------------------------------------------------- */

TEST_F(task, O4_allocates_nothing)
{
#ifdef COUNTED
	struct counted c[8], join;
	uint64_t before = 0;
	struct aop_timer tm;
	int round, i;

	for (round = 0; round < 3; round++) {
		/* What is set up for the first time may be allocated. */
		if (round == 1)
			before = allocations;
		for (i = 0; i < 8; i++) {
			c[i] = (struct counted){ .rounds = i, .result = i };
			spawn(self->loop, &c[i], i % 2 ? AOP_ANY_THREAD : 0);
		}
		join = (struct counted){ .awaits = &c[7].task.op, .result = 1 };
		EXPECT_EQ(1, aop_loop_get(self->loop, spawn(self->loop, &join, 0)));
		EXPECT_EQ(0, aop_loop_get(self->loop, aop_sleep(self->loop, &tm, 1)));
	}
	EXPECT_EQ(before, allocations);
#else
	SKIP(return, "the sanitizer has its own malloc");
#endif
}

/* ---- F15, F1: the loop is closed ----------------------------------------------------------- */

TEST_F(task, F15_closing_drops_what_is_left)
{
	struct counted unpolled = { .result = 1 }, waits = { .result = 1 }, stuck = waits;
	struct aop_timer tm;
	struct aop op;

	aop_init(&op, AOP_PRIVATE);
	waits.awaits = aop_sleep(self->loop, &tm, AOP_SEC(1000));
	stuck.awaits = &op;		/* nobody will ever end it */
	spawn(self->loop, &waits, 0);
	spawn(self->loop, &stuck, 0);
	aop_loop_run(self->loop, AOP_RUN_READY);
	spawn(self->loop, &unpolled, AOP_IDLE);
	aop_loop_close(self->loop);
	self->loop = NULL;
	EXPECT_EQ(0, unpolled.polls);
	EXPECT_EQ(1, unpolled.cleanups);
	EXPECT_EQ(1, waits.cleanups);
	EXPECT_EQ(1, waits.polls);
	EXPECT_EQ(1, stuck.cleanups);
	EXPECT_TRUE(aop_is_over(&tm.op));
	EXPECT_EQ(-ECANCELED, aop_result(&waits.task.op));
	EXPECT_EQ(-ECANCELED, aop_result(&unpolled.task.op));
	EXPECT_EQ(-ECANCELED, aop_result(&stuck.task.op));
	aop_drop(&op);
}

struct careful {
	struct aop_task task;
	struct aop_timer tm;
	int cleanups, ended;
	int64_t got;
};

static int64_t wait_long(struct aop_task *t)
{
	struct careful *c = aop_container(t, struct careful, task);

	AOP_BEGIN(t);
	AOP_AWAIT(c->got, aop_sleep(t->loop, &c->tm, AOP_SEC(1000)));
	AOP_END(c->got);
}

/* Cleaning up may await, whatever ended the task. */
static int64_t wait_once_more(struct aop_task *t)
{
	struct careful *c = aop_container(t, struct careful, task);

	AOP_BEGIN(t);
	c->cleanups++;
	AOP_AWAIT(c->got, aop_sleep(t->loop, &c->tm, AOP_MS(1)));
	c->ended += c->got == 0;
	AOP_END(0);
}

TEST_F(task, F1_cleanup_may_await)
{
	struct careful a = { .ended = 0 }, b = a;

	aop_spawn(self->loop, &a.task, wait_long, wait_once_more, 0);
	aop_spawn(self->loop, &b.task, wait_long, wait_once_more, 0);
	aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&a.task.op, -EINTR));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, &a.task.op));
	EXPECT_EQ(1, a.cleanups);
	EXPECT_EQ(1, a.ended);
	aop_loop_close(self->loop);
	self->loop = NULL;
	EXPECT_EQ(-ECANCELED, aop_result(&b.task.op));
	EXPECT_EQ(1, b.cleanups);
	EXPECT_EQ(1, b.ended);
}

TEST_F(task, bad_arguments)
{
	struct counted c = { .result = 0 };

	EXPECT_EQ(-EINVAL, aop_result(aop_spawn(NULL, &c.task, counted, NULL, 0)));
	EXPECT_EQ(-EINVAL, aop_result(aop_spawn(self->loop, &c.task, NULL, NULL, 0)));
	EXPECT_EQ(-EINVAL, aop_result(spawn(self->loop, &c, 0x8000)));
	EXPECT_EQ(-EINVAL, aop_result(spawn(self->loop, &c, AOP_CHILD)));
	EXPECT_EQ(0, c.cleanups);
	EXPECT_EQ(NULL, aop_task_current(self->loop));
}

static int64_t no_errno(struct aop_task *t)
{
	(void)t;
	return -100000;
}

TEST_F(task, a_result_that_is_no_errno)
{
	struct aop_task t;

	EXPECT_EQ(-EINVAL, aop_loop_get(self->loop, aop_spawn(self->loop, &t, no_errno, NULL, 0)));
}

static int64_t in_a_switch(struct aop_task *t)
{
	struct counted *c = aop_container(t, struct counted, task);

	AOP_BEGIN(t);
	switch (c->rounds) {
	case 0:
		AOP_YIELD();
	}
	AOP_END(0);
}

/* The macros' one silent mistake is not silent. */
TEST_F(task, an_await_inside_a_switch_stops)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = variant->engine };
	struct counted c = { .rounds = 0 };
	struct aop_loop *loop;
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		close(2);
		/* A loop belongs to no forked child. */
		if (aop_loop_open(&loop, &o))
			_exit(1);
		aop_spawn(loop, &c.task, in_a_switch, NULL, 0);
		aop_loop_run(loop, AOP_RUN_READY);
		aop_loop_run(loop, AOP_RUN_READY);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST_HARNESS_MAIN
