// SPDX-License-Identifier: GPL-2.0
/*
 * Interleavings that are forced: another thread, or a callback, comes between two steps of
 * the library, from a call that the library makes there: an executor's submit(), a task's
 * poll function, or aop_cancel() and aop_done() where a group calls them, which are wrapped.
 */
#include <semaphore.h>

#include "any.h"
#include "wrapped.h"

/* ---- another thread that has something to do ------------------------------------------ */

struct other {
	pthread_t thread;
	_Atomic int tid;
	void (*fn)(void);
	_Atomic bool done;
	sem_t go;
};

static void *other_thread(void *arg)
{
	struct other *o = arg;

	o->tid = syscall(SYS_gettid);
	o->fn();
	o->done = true;
	/* It sleeps here, too, if nothing has kept it before. */
	while (sem_wait(&o->go))
		;
	return NULL;
}

/* Returns when it can do no more: false: it has done it. */
static bool other_is_kept(struct other *o, void (*fn)(void))
{
	memset(o, 0, sizeof(*o));
	o->fn = fn;
	sem_init(&o->go, 0, 0);
	if (pthread_create(&o->thread, NULL, other_thread, o))
		abort();
	lib_until_asleep(&o->tid, SYS_futex);
	return !o->done;
}

static void other_ends(struct other *o)
{
	sem_post(&o->go);
	pthread_join(o->thread, NULL);
}

static struct other other;
static int kept;			/* -1: it was not tried */

/* ---- executors: a watch is taken out of the queue, and does not run yet ------------------ */

static struct aop op[2];
static struct seen seen[2];
static struct aop_work *work;
static void (*in_submit)(void);
static int64_t said;

/* The first submit only remembers it; the second one comes while the first watch is due. */
static void submit(struct aop_exec *x, struct aop_work *w)
{
	void (*fn)(void) = work ? in_submit : NULL;

	(void)x;
	work = w;
	if (fn)
		fn();
}

static int run_two(void (*fn)(void))
{
	static struct aop_exec x = { .submit = submit };	/* outlives who waits for it */
	int i;

	work = NULL;
	in_submit = fn;
	kept = -1;
	memset(seen, 0, sizeof(seen));
	for (i = 0; i < 2; i++)
		if (aop_init(&op[i], AOP_LOCAL) ||
		    aop_watch(&op[i], &seen[i].w, see, NULL, &x))
			return -1;
	for (i = 0; i < 2; i++)
		aop_done(aop_owner(&op[i]), i);
	work->run(work);
	work->run(work);
	aop_unwatch(&seen[1].w);
	return seen[1].calls == 1 ? 0 : -1;
}

static void drop_first(void)
{
	said = aop_drop(&op[0]);
	memset(&seen[0].w, 0xee, sizeof(seen[0].w));
}

static void other_drops_first(void)
{
	kept = other_is_kept(&other, drop_first);
}

/* W8: who drops the op waits until nobody is on the way to it. */
TEST(W8_dropped_while_a_watch_is_on_its_way)
{
	ASSERT_EQ(0, run_two(other_drops_first));
	EXPECT_EQ(1, kept);
	other_ends(&other);
	EXPECT_EQ(1, said);
	EXPECT_EQ(0, seen[0].calls);
	EXPECT_EQ(1, aop_drop(&op[1]));
}

static void unwatch_first(void)
{
	aop_unwatch(&seen[0].w);
	memset(&seen[0].w, 0xee, sizeof(seen[0].w));
}

static void other_unwatches_first(void)
{
	kept = other_is_kept(&other, unwatch_first);
}

TEST(W7_unwatched_while_it_is_on_its_way)
{
	ASSERT_EQ(0, run_two(other_unwatches_first));
	EXPECT_EQ(1, kept);
	other_ends(&other);
	EXPECT_EQ(0, seen[0].calls);
	EXPECT_EQ(1, aop_drop(&op[0]));
	EXPECT_EQ(1, aop_drop(&op[1]));
}

static void try_unwatch_first(void)
{
	said = aop_try_unwatch(&seen[0].w);
}

static void other_tries_to_unwatch_first(void)
{
	kept = other_is_kept(&other, try_unwatch_first);
}

/* It is as good as running, but what was unwatched is not called. */
TEST(W7_not_called_any_more_though_busy)
{
	ASSERT_EQ(0, run_two(other_tries_to_unwatch_first));
	EXPECT_EQ(0, kept);
	other_ends(&other);
	EXPECT_EQ(-EBUSY, said);
	EXPECT_EQ(0, seen[0].calls);
	aop_unwatch(&seen[0].w);
	EXPECT_EQ(1, aop_drop(&op[0]));
	EXPECT_EQ(1, aop_drop(&op[1]));
}

/* Nobody waits for himself: an executor that runs something at once, in submit(). */
TEST(W7_unwatched_by_what_submit_runs)
{
	ASSERT_EQ(0, run_two(unwatch_first));
	EXPECT_EQ(0, seen[0].calls);
	EXPECT_EQ(1, aop_drop(&op[0]));
	EXPECT_EQ(1, aop_drop(&op[1]));
	ASSERT_EQ(0, run_two(drop_first));
	EXPECT_EQ(1, said);
	EXPECT_EQ(0, seen[0].calls);
	EXPECT_EQ(1, aop_drop(&op[1]));
}

/* ---- groups ------------------------------------------------------------------------------ */

static struct aop_group group;
static struct aop *in_cancel, *in_done;
static int ends;			/* of the group */

static void end_first(void)
{
	__real_aop_done(aop_owner(&op[0]), 1);
}

static void cancel_group(void)
{
	said = __real_aop_cancel(&group.op, 0);
}

int __wrap_aop_cancel(struct aop *op, int reason)
{
	if (op == in_cancel) {
		in_cancel = NULL;
		kept = other_is_kept(&other, end_first);
	}
	return __real_aop_cancel(op, reason);
}

int __wrap_aop_done(struct aop_owner *o, int64_t result)
{
	ends += o == (struct aop_owner *)&group.op;
	if (o == (struct aop_owner *)in_done) {
		in_done = NULL;
		kept = other_is_kept(&other, cancel_group);
	}
	return __real_aop_done(o, result);
}

static void two_of_a_group(struct aop_member *m)
{
	int i;

	for (i = 0; i < 2; i++)
		if (aop_init(&op[i], AOP_LOCAL) || aop_start(aop_owner(&op[i])))
			abort();
	aop_all(&group, m, AOP_OPS(&op[0], &op[1]), 0);
	kept = -1;
	ends = 0;
}

/* Who ends a member, and may give it back then, waits for him who asks it to stop. */
TEST(C6_a_member_ends_while_it_is_asked)
{
	struct aop_member m[2];

	two_of_a_group(m);
	in_cancel = &op[0];
	EXPECT_EQ(AOP_ASKED, aop_cancel(&group.op, 0));
	EXPECT_EQ(1, kept);
	other_ends(&other);
	EXPECT_NE(0, aop_asked(aop_owner(&op[1])));
	EXPECT_EQ(0, aop_cancelled(aop_owner(&op[1]), 0));
	EXPECT_EQ(-ECANCELED, aop_join(&group.op));
	EXPECT_EQ(1, aop_join(&op[0]));
	EXPECT_EQ(1, aop_drop(&op[1]));
}

/* The last member has left, the group is about to end, and only then a cancel comes. */
TEST(C6_cancelled_as_the_last_one_leaves)
{
	struct aop_member m[2];

	two_of_a_group(m);
	end_first();
	in_done = &group.op;
	EXPECT_EQ(0, __real_aop_done(aop_owner(&op[1]), 1));
	EXPECT_EQ(0, kept);
	other_ends(&other);
	EXPECT_EQ(AOP_ASKED, said);
	EXPECT_EQ(1, ends);
	EXPECT_EQ(2, aop_join(&group.op));
	EXPECT_EQ(1, aop_drop(&op[0]));
	EXPECT_EQ(1, aop_drop(&op[1]));
}

/* ---- tasks: what is on its way to one that has come to its end ----------------------------- */

enum { WAKES_ITSELF, IS_WOKEN, IS_CANCELLED };

struct mortal {
	struct aop_task task;
	struct aop_watch w;
	int way;
};

static int buried;
static struct mortal *woken;

static void bury(struct mortal *m)
{
	memset(m, 0xee, sizeof(*m));
	free(m);
	buried++;
}

static int64_t bury_it(struct aop_task *t)
{
	bury(aop_container(t, struct mortal, task));
	return 0;
}

static void bury_later(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	bury(w->data);
}

static void *wake(void *arg)
{
	(void)arg;
	aop_wake(&woken->task);
	return NULL;
}

static int64_t mortal(struct aop_task *t)
{
	struct mortal *m = aop_container(t, struct mortal, task);
	pthread_t thread;

	switch (m->way) {
	case WAKES_ITSELF:
		aop_wake(t);
		break;
	case IS_WOKEN:
		woken = m;
		if (pthread_create(&thread, NULL, wake, NULL))
			abort();
		pthread_join(thread, NULL);
		break;
	case IS_CANCELLED:
		aop_cancel(&t->op, 0);
		aop_drop(&t->op);
		break;
	}
	m->way = -1;
	return 0;
}

/* Once given back, nothing comes to it any more: F4, F7. */
TEST(F4_nothing_comes_to_a_task_that_has_ended)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = AOP_EPOLL };
	int way, detached, i, want = 0;
	struct aop_loop *l;
	struct mortal *m;

	ASSERT_EQ(0, aop_loop_open(&l, &o));
	buried = 0;
	for (way = WAKES_ITSELF; way <= IS_CANCELLED; way++)
		for (detached = 0; detached < 2; detached++) {
			if (way == IS_CANCELLED && detached)
				continue;	/* it drops itself */
			m = calloc(1, sizeof(*m));
			m->way = way;
			if (detached || way == IS_CANCELLED)
				aop_spawn(l, &m->task, mortal, bury_it,
					  AOP_ANY_THREAD | (detached ? AOP_DETACHED : 0));
			else
				ASSERT_EQ(0, aop_then(aop_spawn(l, &m->task, mortal, NULL,
								AOP_ANY_THREAD),
						      &m->w, bury_later, m, AOP_INLINE));
			for (i = 0; i < 5; i++)
				aop_loop_run(l, AOP_RUN_READY);
			EXPECT_EQ(++want, buried);
		}
	aop_loop_close(l);
}

TEST_HARNESS_MAIN
