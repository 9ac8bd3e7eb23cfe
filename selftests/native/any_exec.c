// SPDX-License-Identifier: GPL-2.0
/*
 * Callbacks on an executor of other threads, in local and shared scope: where they run
 * (W6), and what may be detached and freed meanwhile, in both orders (W7).
 */
#include <semaphore.h>
#include <stdatomic.h>

#include "any.h"

#define THREADS	2

/* Threads that run what they are given, but none of it while they are held. */
struct runner {
	struct aop_exec x;
	pthread_t threads[THREADS];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct aop_work *work;		/* lock, like what follows */
	bool held, stop;
	int busy;
	_Atomic int begun;
};

static void runner_submit(struct aop_exec *x, struct aop_work *w)
{
	struct runner *r = (struct runner *)x;

	pthread_mutex_lock(&r->lock);
	if (r->work)
		abort();		/* the library has one piece of work */
	r->work = w;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void *runner_thread(void *arg)
{
	struct runner *r = arg;
	struct aop_work *w;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		while ((r->held || !r->work) && !r->stop)
			pthread_cond_wait(&r->changed, &r->lock);
		w = r->work;
		if (!w)
			break;
		r->work = NULL;
		r->busy++;
		pthread_mutex_unlock(&r->lock);
		r->begun++;
		w->run(w);
		pthread_mutex_lock(&r->lock);
		r->busy--;
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static void hold(struct runner *r, bool held)
{
	pthread_mutex_lock(&r->lock);
	r->held = held;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* Until they are through with what they were given, but for so many. */
static void drain_but(struct runner *r, int busy)
{
	pthread_mutex_lock(&r->lock);
	while (r->work || r->busy > busy)
		pthread_cond_wait(&r->changed, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

static void drain(struct runner *r)
{
	drain_but(r, 0);
}

/* Until one has just been given to the library, and a few instructions more. */
static void until_begun(struct runner *r, int nr, int more)
{
	int i;

	for (i = 1; r->begun < nr; i++)
		if (!(i % 1024))
			sched_yield();
	for (i = 0; i < more; i++)
		__asm__ volatile("" ::: "memory");
}

FIXTURE(exec) {
	struct any any;
	struct aop op;
	struct aop_owner *o;
	struct runner r;
};

ANY_VARIANTS(exec);

FIXTURE_SETUP(exec)
{
	struct runner *r = &self->r;
	int i;

	ANY_SETUP();
	ANY_THREADS();
	ASSERT_EQ(0, aop_init(&self->op, self->any.where));
	self->o = aop_owner(&self->op);
	memset(r, 0, sizeof(*r));
	r->x.submit = runner_submit;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&r->threads[i], NULL, runner_thread, r));
}

FIXTURE_TEARDOWN(exec)
{
	struct runner *r = &self->r;
	int i;

	pthread_mutex_lock(&r->lock);
	r->stop = true;
	r->held = false;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	for (i = 0; i < THREADS; i++)
		pthread_join(r->threads[i], NULL);
	any_teardown(&self->any);
}

/* A callback that says that it runs, and returns when it is let go. */
struct slow {
	struct aop_watch w;
	sem_t inside;
	_Atomic int until;		/* this thread sleeps: then it returns */
	_Atomic int calls, ended;
	pthread_t thread;
};

static void slow(struct aop_watch *w, const struct aop_status *st)
{
	struct slow *s = (struct slow *)((char *)w - offsetof(struct slow, w));

	(void)st;
	s->thread = pthread_self();
	s->calls++;
	sem_post(&s->inside);
	lib_until_asleep(&s->until, SYS_futex);
	s->ended++;
}

static void slow_init(struct slow *s)
{
	memset(s, 0, sizeof(*s));
	sem_init(&s->inside, 0, 0);
}

/* In shared scope somebody has to ask what has changed. */
static void turn_until_inside(FIXTURE_DATA(exec) *self, struct slow *s)
{
	any_turn(&self->any);
	while (sem_wait(&s->inside))
		;
}

TEST_F(exec, W7_unwatch_waits_for_a_callback_that_runs)
{
	struct slow s;

	slow_init(&s);
	ASSERT_EQ(0, aop_watch(&self->op, &s.w, slow, NULL, &self->r.x));
	aop_done(self->o, 1);
	turn_until_inside(self, &s);
	EXPECT_EQ(-EBUSY, aop_try_unwatch(&s.w));
	s.until = syscall(SYS_gettid);
	aop_unwatch(&s.w);
	EXPECT_EQ(1, s.ended);
	EXPECT_EQ(0, aop_try_unwatch(&s.w));
	EXPECT_TRUE(pthread_equal(s.thread, self->r.threads[0]) ||	/* W6 */
		    pthread_equal(s.thread, self->r.threads[1]));
	EXPECT_EQ(1, aop_drop(&self->op));
	drain(&self->r);
}

/* ... and for nothing that comes after it: what changes meanwhile is not delivered. */
TEST_F(exec, W7_unwatch_while_it_runs_and_the_op_changes)
{
	struct slow s;

	slow_init(&s);
	ASSERT_EQ(0, aop_watch(&self->op, &s.w, slow, NULL, &self->r.x));
	aop_progress(self->o, 1, 2);
	turn_until_inside(self, &s);
	aop_progress(self->o, 2, 2);
	any_turn(&self->any);
	drain_but(&self->r, 1);		/* the other thread has left it to this one */
	s.until = syscall(SYS_gettid);
	aop_unwatch(&s.w);
	EXPECT_EQ(1, s.calls);
	EXPECT_EQ(1, s.ended);
	memset(&s.w, 0xee, sizeof(s.w));
	aop_done(self->o, 1);
	any_turn(&self->any);
	drain(&self->r);
	EXPECT_EQ(1, s.calls);
}

/* W5: callbacks of one watch do not overlap, and the change meanwhile is not lost. */
TEST_F(exec, W5_one_at_a_time)
{
	struct slow s;

	slow_init(&s);
	ASSERT_EQ(0, aop_watch(&self->op, &s.w, slow, NULL, &self->r.x));
	aop_progress(self->o, 1, 2);
	turn_until_inside(self, &s);
	aop_done(self->o, 1);
	any_turn(&self->any);
	drain_but(&self->r, 1);
	EXPECT_EQ(1, s.calls);
	s.until = syscall(SYS_gettid);
	turn_until_inside(self, &s);
	aop_unwatch(&s.w);
	EXPECT_EQ(2, s.ended);
}

/* W6: several that become due at once are one piece of work, and each is called. */
TEST_F(exec, W6_due_at_once)
{
	enum { N = 5 };
	struct seen s[N] = { 0 };
	int i;

	hold(&self->r, true);
	for (i = 0; i < N; i++)
		ASSERT_EQ(0, aop_watch(&self->op, &s[i].w, see, NULL, &self->r.x));
	aop_done(self->o, 1);
	any_turn(&self->any);
	hold(&self->r, false);
	/* The work is given back before a callback is run: it is never away for good. */
	drain(&self->r);
	for (i = 0; i < N; i++) {
		aop_unwatch(&s[i].w);
		EXPECT_EQ(1, s[i].calls);
		EXPECT_EQ(1, s[i].finals);
	}
}

static void see_again(struct aop_watch *w, const struct aop_status *st)
{
	*(int *)w->data += st->state >= AOP_DONE;
}

/* W7: in its last callback the watch is the caller's, who may watch with it elsewhere. */
TEST_F(exec, W7_used_again_while_its_last_callback_runs)
{
	struct slow s;
	int again = 0;

	slow_init(&s);
	ASSERT_EQ(0, aop_watch(&self->op, &s.w, slow, NULL, &self->r.x));
	aop_done(self->o, 1);
	turn_until_inside(self, &s);
	ASSERT_EQ(0, aop_watch(&self->op, &s.w, see_again, &again, AOP_INLINE));
	while (!again)
		any_turn(&self->any);
	EXPECT_EQ(1, again);
	s.until = syscall(SYS_gettid);
	EXPECT_EQ(1, aop_drop(&self->op));
	drain(&self->r);
	EXPECT_EQ(1, s.ended);
}

/* The other order: it is queued, and has not begun. */
TEST_F(exec, W7_unwatch_before_it_runs)
{
	struct seen s = { 0 };

	hold(&self->r, true);
	ASSERT_EQ(0, aop_watch(&self->op, &s.w, see, NULL, &self->r.x));
	aop_done(self->o, 1);
	any_turn(&self->any);
	aop_unwatch(&s.w);
	memset(&s.w, 0xee, sizeof(s.w));
	EXPECT_EQ(1, aop_drop(&self->op));
	memset(&self->op, 0xee, sizeof(self->op));
	hold(&self->r, false);
	drain(&self->r);
	EXPECT_EQ(0, s.calls);
}

static void slow_unwatch(struct aop_watch *w, const struct aop_status *st)
{
	aop_unwatch(w);
	slow(w, st);
}

/* W7: once it has unwatched itself as well: nobody takes it for the one before. */
TEST_F(exec, W7_used_again_after_it_unwatched_itself)
{
	struct slow s;
	int again = 0;

	slow_init(&s);
	ASSERT_EQ(0, aop_watch(&self->op, &s.w, slow_unwatch, NULL, &self->r.x));
	aop_progress(self->o, 1, 2);
	turn_until_inside(self, &s);
	ASSERT_EQ(0, aop_watch(&self->op, &s.w, see_again, &again, &self->r.x));
	aop_done(self->o, 1);
	any_turn(&self->any);
	drain_but(&self->r, 1);
	EXPECT_EQ(1, again);
	s.until = syscall(SYS_gettid);
	EXPECT_EQ(1, aop_drop(&self->op));
	drain(&self->r);
}

/*
 * ... and while a thread takes it out of the queue: for nobody, if it is unwatched first; it
 * is freed at once.  Dropping the op detaches it as well.
 */
TEST_F(exec, W7_unwatch_when_it_begins_to_run)
{
	int i, nr, rounds = any_rounds(self->any.scope == ANY_SHARED ? 50 : 2000);
	struct seen *s;
	struct aop *op;

	for (i = 0; i < rounds; i++) {
		s = calloc(1, sizeof(*s));
		op = malloc(sizeof(*op));
		ASSERT_TRUE(s && op);
		ASSERT_EQ(0, aop_init(op, self->any.where));
		ASSERT_EQ(0, aop_watch(op, &s->w, see, NULL, &self->r.x));
		nr = self->r.begun + 1;
		aop_progress(aop_owner(op), 1, 2);
		any_turn(&self->any);
		until_begun(&self->r, nr, i % 128);
		if (i & 1) {
			aop_unwatch(&s->w);
			free(s);
			aop_done(aop_owner(op), 1);
			ASSERT_EQ(1, aop_join(op));
		} else {
			aop_done(aop_owner(op), 1);
			ASSERT_EQ(1, aop_drop(op));
			free(s);
		}
		free(op);
		drain(&self->r);
	}
}

struct gone {
	struct aop op;
	struct aop_watch w;
	struct runner *r;
	sem_t *freed;
	int wrong;
};

static void unwatch_itself(struct aop_watch *w, const struct aop_status *st)
{
	sem_t *called = w->data;

	(void)st;
	aop_unwatch(w);
	memset(w, 0xee, sizeof(*w));
	free(w);
	sem_post(called);
}

/* The watch is freed by its callback; the owner goes on meanwhile. */
TEST_F(exec, W7_the_watch_frees_itself_there)
{
	int i, rounds = any_rounds(self->any.scope == ANY_SHARED ? 50 : 500);
	struct aop_watch *w;
	sem_t called;
	struct aop op;

	sem_init(&called, 0, 0);
	for (i = 0; i < rounds; i++) {
		w = malloc(sizeof(*w));
		ASSERT_NE(NULL, w);
		ASSERT_EQ(0, aop_init(&op, self->any.where));
		ASSERT_EQ(0, aop_watch(&op, w, unwatch_itself, &called, &self->r.x));
		aop_progress(aop_owner(&op), 1, 2);
		any_turn(&self->any);
		while (i & 1 && sem_trywait(&called))	/* before, or while it runs */
			sched_yield();
		aop_done(aop_owner(&op), 1);
		any_turn(&self->any);
		while (!(i & 1) && sem_trywait(&called))
			sched_yield();
		ASSERT_EQ(1, aop_join(&op));
		drain(&self->r);
	}
}

static void free_at_the_end(struct aop_watch *w, const struct aop_status *st)
{
	sem_t *freed = w->data;

	if (st->state < AOP_DONE)
		return;
	memset(w, 0xee, sizeof(*w));
	free(w);
	sem_post(freed);
}

/* It ends while a thread is on its way to say that it has changed: one call says both. */
TEST_F(exec, W7_freed_by_a_call_that_says_more)
{
	int i, nr, rounds = any_rounds(self->any.scope == ANY_SHARED ? 50 : 2000);
	struct aop_watch *w;
	struct aop op;
	sem_t freed;

	sem_init(&freed, 0, 0);
	for (i = 0; i < rounds; i++) {
		w = malloc(sizeof(*w));
		ASSERT_NE(NULL, w);
		ASSERT_EQ(0, aop_init(&op, self->any.where));
		ASSERT_EQ(0, aop_watch(&op, w, free_at_the_end, &freed, &self->r.x));
		nr = self->r.begun + 1;
		aop_progress(aop_owner(&op), 1, 2);
		any_turn(&self->any);
		until_begun(&self->r, nr, i % 128);
		aop_done(aop_owner(&op), 1);
		any_turn(&self->any);
		while (sem_wait(&freed))
			;
		ASSERT_EQ(1, aop_join(&op));
		drain(&self->r);
	}
}

static void free_all(struct aop_watch *w, const struct aop_status *st)
{
	struct gone *g = w->data;
	sem_t *freed = g->freed;

	if (st->state < AOP_DONE)
		return;
	if (aop_drop(&g->op) != 1)
		abort();
	memset(g, 0xee, sizeof(*g));
	free(g);
	sem_post(freed);
}

/* The op, and the watch in the same memory; it is over before it is watched, or later. */
TEST_F(exec, W7_the_op_is_freed_there)
{
	int i, rounds = any_rounds(self->any.scope == ANY_SHARED ? 50 : 500);
	struct gone *g;
	struct aop_owner *o;
	sem_t freed;

	sem_init(&freed, 0, 0);
	for (i = 0; i < rounds; i++) {
		g = malloc(sizeof(*g));
		ASSERT_NE(NULL, g);
		g->freed = &freed;
		ASSERT_EQ(0, aop_init(&g->op, self->any.where));
		o = aop_owner(&g->op);
		if (i & 1)
			aop_done(o, 1);
		ASSERT_EQ(0, aop_then(&g->op, &g->w, free_all, g, &self->r.x));
		if (!(i & 1))
			aop_done(o, 1);
		any_turn(&self->any);
		while (sem_wait(&freed))
			;
		drain(&self->r);
	}
}

/* The last drop detaches like an unwatch: it waits too, and calls nothing later. */
TEST_F(exec, W7_drop_waits_for_a_callback_that_runs)
{
	struct slow s;

	slow_init(&s);
	ASSERT_EQ(0, aop_watch(&self->op, &s.w, slow, NULL, &self->r.x));
	aop_progress(self->o, 1, 2);
	turn_until_inside(self, &s);
	s.until = syscall(SYS_gettid);
	EXPECT_EQ(0, aop_drop(&self->op));
	EXPECT_EQ(1, s.ended);
	memset(&s.w, 0xee, sizeof(s.w));
	aop_done(self->o, 1);
	any_turn(&self->any);
	drain(&self->r);
	EXPECT_EQ(1, s.calls);
}

TEST_HARNESS_MAIN
