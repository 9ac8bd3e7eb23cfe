// SPDX-License-Identifier: GPL-2.0
/*
 * Local scope: races of the owner with watchers on two threads.  The struct is
 * filled with rubbish as soon as it is the watcher's again, so that a touch that
 * comes too late shows (a wrong result, a hang, or a report of a sanitizer).
 */
#include <stdatomic.h>

#include "any.h"

FIXTURE(race) {
	int rounds;
};

FIXTURE_SETUP(race)
{
	self->rounds = any_rounds(3000);
}

FIXTURE_TEARDOWN(race)
{
}

static _Atomic(struct aop_owner *) mail;
static _Atomic bool stop;
static _Atomic long busy;

static struct aop_owner *receive(void)
{
	struct aop_owner *o;

	while (!(o = atomic_exchange(&mail, NULL)) && !stop)
		sched_yield();
	return o;
}

static void *worker(void *how)
{
	struct aop_owner *o;
	long n = 0;

	while ((o = receive())) {
		n++;
		switch (*(const char *)how) {
		case 'd':		/* done */
			aop_done(o, n);
			break;
		case 's':		/* accept, tell, end */
			if (aop_start(o))
				break;
			aop_progress(o, 1, 2);
			if (aop_asked(o))
				aop_cancelled(o, 0);
			else
				aop_done(o, n);
			break;
		}
	}
	return NULL;
}

static void begin(pthread_t *t, const char *how)
{
	stop = false;
	if (pthread_create(t, NULL, worker, (void *)how))
		abort();
}

static void end(pthread_t t)
{
	stop = true;
	pthread_join(t, NULL);
}

/* In a loop that looks: let the others run too, if there are more than processors. */
static void sometimes(void)
{
	static unsigned int n;

	if (++n % 256 == 0)
		sched_yield();
}

/* As stack frames and heaps do it. */
static void reuse(struct aop *op)
{
	memset(op, 0xee, sizeof(*op));
	__asm__ volatile("" :: "r"(op) : "memory");
}

TEST_F(race, O1_joined_and_reused_at_once)
{
	struct aop op;
	pthread_t t;
	long i;

	begin(&t, "d");
	for (i = 1; i <= self->rounds; i++) {
		ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
		mail = aop_owner(&op);
		if (i & 1)
			while (!aop_is_over(&op))
				sometimes();
		ASSERT_EQ(i, aop_join(&op));
		reuse(&op);
	}
	end(t);
}

TEST_F(race, M10_over_and_reused_without_a_drop)
{
	struct aop op;
	pthread_t t;
	long i;

	begin(&t, "d");
	for (i = 1; i <= self->rounds; i++) {
		ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
		mail = aop_owner(&op);
		while (!aop_is_over(&op))
			sometimes();
		ASSERT_EQ(i, aop_result(&op));
		reuse(&op);
	}
	end(t);
}

static void released(struct aop *op)
{
	reuse(op);
	busy--;
}

/* Over from the start, so that neither side has a reason to wait for the other. */
TEST_F(race, M5_created_final_and_both_let_go)
{
	struct aop op;
	pthread_t t;
	long i, j;

	begin(&t, "d");
	for (i = 1; i <= self->rounds; i++) {
		busy++;
		ASSERT_EQ(0, aop_init_with(&op, AOP_LOCAL,
					   AOP_OPTS(.state = AOP_DONE, .release = released)));
		mail = aop_owner(&op);
		while (i & 1 && aop_owner(&op))
			sometimes();
		for (j = 0; j < i % 300; j++)
			__asm__ volatile("" ::: "memory");
		aop_drop(&op);
		while (busy)
			sched_yield();
	}
	end(t);
}

TEST_F(race, C3_cancel_against_the_end)
{
	int stopped = 0, cancelled = 0, done = 0;
	struct aop op;
	pthread_t t;
	int64_t r;
	long i, j;
	int ret;

	begin(&t, "s");
	for (i = 1; i <= self->rounds; i++) {
		ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
		mail = aop_owner(&op);
		/* Before it is accepted; when it is; and later. */
		while (i % 3 && aop_state(&op) == AOP_PENDING)
			sched_yield();
		for (j = 0; j < i % 200 && i % 3 == 2; j++)
			__asm__ volatile("" ::: "memory");
		ret = aop_cancel(&op, -EINTR);
		r = aop_join(&op);
		ASSERT_TRUE(r == i || r == -EINTR);
		ASSERT_TRUE(ret != AOP_STOPPED || r == -EINTR);
		ASSERT_TRUE(ret != AOP_TOO_LATE || r == i);
		stopped += ret == AOP_STOPPED;
		cancelled += r == -EINTR;
		done += r == i;
		reuse(&op);
	}
	end(t);
	EXPECT_LT(0, stopped);
	EXPECT_LT(0, cancelled);
	EXPECT_LT(0, done);
}

static void note_asked(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	*(bool *)w->data = true;
}

/* The owner wants to be told while he is asked: he learns it in one way or the other. */
static void *owner_who_watches(void *arg)
{
	struct aop_owner *o;
	struct aop_watch w;
	bool asked;

	(void)arg;
	while ((o = receive())) {
		asked = false;
		if (aop_on_asked(o, &w, note_asked, &asked, AOP_INLINE))
			abort();
		while (!aop_asked(o))
			sched_yield();
		aop_unwatch(&w);
		if (!asked)
			abort();
		aop_cancelled(o, 0);
	}
	return NULL;
}

TEST_F(race, C2_asked_while_the_owner_begins_to_watch)
{
	struct aop op;
	pthread_t t;
	long i, j;

	stop = false;
	ASSERT_EQ(0, pthread_create(&t, NULL, owner_who_watches, NULL));
	for (i = 1; i <= self->rounds; i++) {
		ASSERT_EQ(0, aop_init_with(&op, AOP_LOCAL,
					   AOP_OPTS(.state = AOP_RUNNING,
						    .flags = i & 1 ? AOP_TIMED : 0)));
		mail = aop_owner(&op);
		while (i & 2 && mail)
			sometimes();
		for (j = 0; j < i % 200; j++)
			__asm__ volatile("" ::: "memory");
		ASSERT_EQ(AOP_ASKED, aop_cancel(&op, -EINTR));
		ASSERT_EQ(-EINTR, aop_join(&op));
		reuse(&op);
	}
	end(t);
}

struct shared_op {
	struct aop op;
	int notes[2];			/* each watcher's */
};

static _Atomic(struct shared_op *) other;

static void read_notes(struct aop *op)
{
	struct shared_op *x = (struct shared_op *)op;

	if (x->notes[0] != 1 || x->notes[1] != 1)
		abort();
	free(x);
	busy--;
}

static void let_go_of(struct shared_op *x, int nr)
{
	x->notes[nr] = 1;
	aop_drop(&x->op);
}

static void *second_watcher(void *arg)
{
	struct shared_op *x;

	(void)arg;
	while (!stop) {
		x = atomic_exchange_explicit(&other, NULL, memory_order_acquire);
		if (x)
			let_go_of(x, 1);
		else
			sched_yield();
	}
	return NULL;
}

/* What each did before he let go is seen by the one who gives it back. */
TEST_F(race, O1_two_watchers_let_go)
{
	struct shared_op *x;
	pthread_t t;
	long i, j;

	stop = false;
	ASSERT_EQ(0, pthread_create(&t, NULL, second_watcher, NULL));
	for (i = 1; i <= self->rounds; i++) {
		x = malloc(sizeof(*x));
		ASSERT_NE(NULL, x);
		busy++;
		ASSERT_EQ(0, aop_init_with(&x->op, AOP_LOCAL, AOP_OPTS(.release = read_notes)));
		aop_hold(&x->op);
		aop_done(aop_owner(&x->op), 1);
		atomic_store_explicit(&other, x, memory_order_release);
		for (j = 0; j < i % 200; j++)
			__asm__ volatile("" ::: "memory");
		let_go_of(x, 0);
		while (busy)
			sched_yield();
	}
	end(t);
}

struct watched {
	struct aop op;
	struct aop_watch w;
};

static void free_it(struct aop_watch *w, const struct aop_status *st)
{
	struct watched *x = w->data;

	(void)st;
	aop_drop(&x->op);
	reuse(&x->op);
	free(x);
	busy--;
}

TEST_F(race, W7_the_callback_frees_the_op_on_the_owners_thread)
{
	pthread_t t;
	long i;

	begin(&t, "d");
	for (i = 1; i <= self->rounds; i++) {
		struct watched *x = malloc(sizeof(*x));

		ASSERT_NE(NULL, x);
		busy++;
		ASSERT_EQ(0, aop_init(&x->op, AOP_LOCAL));
		if (i & 1)
			aop_then(&x->op, &x->w, free_it, x, AOP_INLINE);
		mail = aop_owner(&x->op);
		while (i & 1 ? busy : !aop_is_final(&x->op))
			sched_yield();
		if (!(i & 1))
			aop_then(&x->op, &x->w, free_it, x, AOP_INLINE);
		while (busy)
			sched_yield();
	}
	end(t);
}

static void count(struct aop_watch *w, const struct aop_status *st)
{
	_Atomic int *running = w->data;

	(void)st;
	if (++*running != 1)
		abort();		/* they overlap */
	--*running;
}

TEST_F(race, W7_unwatch_and_drop_against_the_end)
{
	_Atomic int *running = malloc(sizeof(*running));
	struct aop_watch w, v;
	struct aop op;
	pthread_t t;
	long i, j;

	*running = 0;
	begin(&t, "s");
	for (i = 1; i <= self->rounds; i++) {
		_Atomic int *mine = malloc(sizeof(*mine));
		struct aop_owner *o;

		*mine = 0;
		ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
		o = aop_owner(&op);
		aop_hold(&op);
		ASSERT_EQ(0, aop_watch(&op, &w, count, mine, AOP_INLINE));
		ASSERT_EQ(0, aop_watch(&op, &v, count, running, AOP_INLINE));
		mail = o;
		for (j = 0; j < i % 300; j++)
			__asm__ volatile("" ::: "memory");
		aop_unwatch(&w);
		memset(&w, 0xee, sizeof(w));
		free(mine);		/* nothing runs any more */
		aop_drop(&op);
		aop_join(&op);
		memset(&v, 0xee, sizeof(v));
		reuse(&op);
	}
	end(t);
	free(running);
}

/* W1: a status that is read while it changes is one that was. */
TEST_F(race, W1_never_torn)
{
	struct aop_status s;
	struct aop op;
	pthread_t t;
	long i;

	begin(&t, "s");
	for (i = 1; i <= self->rounds; i++) {
		ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
		mail = aop_owner(&op);
		do {
			s = aop_status(&op);
			ASSERT_EQ(0, s.pad);
			ASSERT_EQ(s.state == AOP_DONE ? i : 0, s.result);
			ASSERT_EQ(s.done * 2, s.total);
			sometimes();
			ASSERT_EQ(2 * ((s.state != AOP_PENDING) + s.done + (s.state == AOP_DONE)),
				  s.seq);
		} while (!(s.flags & AOP_F_OVER));
		ASSERT_EQ(i, aop_join(&op));
		reuse(&op);
	}
	end(t);
}

TEST_F(race, W9_any_of_many)
{
	enum { N = 3 };
	struct aop op[N], *ops[N];
	pthread_t t;
	long i;
	int j;

	begin(&t, "d");
	for (i = 1; i <= self->rounds; i++) {
		for (j = 0; j < N; j++) {
			ASSERT_EQ(0, aop_init(&op[j], AOP_LOCAL));
			ops[j] = &op[j];
		}
		j = i % N;
		mail = aop_owner(&op[j]);
		ASSERT_EQ(j, aop_wait_any(ops, N, AOP_FOREVER));
		ASSERT_EQ(i, aop_join(&op[j]));
		for (j = 0; j < N; j++)
			reuse(&op[j]);
	}
	end(t);
}

TEST_F(race, W8_a_group_of_members_that_end_on_two_threads)
{
	struct aop_member m[2];
	struct aop_group g;
	struct aop op[2], *ops[2] = { &op[0], &op[1] };
	pthread_t t;
	int64_t r;
	long i;

	begin(&t, "d");
	for (i = 1; i <= self->rounds; i++) {
		ASSERT_EQ(0, aop_init(&op[0], AOP_LOCAL));
		ASSERT_EQ(0, aop_init(&op[1], AOP_LOCAL));
		if (i & 1)
			aop_any(&g, m, ops, 2, i & 2 ? AOP_CANCEL_REST : 0);
		else
			aop_all(&g, m, ops, 2, 0);
		mail = aop_owner(&op[0]);
		aop_done(aop_owner(&op[1]), -i);
		r = aop_join(&g.op);
		ASSERT_TRUE(i & 1 ? r == 0 || r == 1 : r == 2);
		reuse(&g.op);
		memset(m, 0xee, sizeof(m));
		aop_join(&op[0]);
		aop_join(&op[1]);
		reuse(&op[0]);
		reuse(&op[1]);
	}
	end(t);
}

/* C6, W8: a group is cancelled while its members end on another thread. */
TEST_F(race, C6_cancel_a_group_against_the_end_of_its_members)
{
	int ret, cancelled = 0, done = 0;
	struct aop_member m[2];
	struct aop_group g;
	struct aop op[2], *ops[2] = { &op[0], &op[1] };
	pthread_t t[2];
	int64_t r, of[2];
	long i, j;

	begin(&t[0], "s");
	ASSERT_EQ(0, pthread_create(&t[1], NULL, worker, "s"));
	for (i = 1; i <= self->rounds; i++) {
		ASSERT_EQ(0, aop_init(&op[0], AOP_LOCAL));
		ASSERT_EQ(0, aop_init(&op[1], AOP_LOCAL));
		aop_all(&g, m, ops, 2, 0);
		for (j = 0; j < 2; j++) {
			while (mail)
				sched_yield();
			mail = aop_owner(&op[j]);
		}
		while (i % 3 && aop_state(&op[i & 1]) == AOP_PENDING)
			sched_yield();
		for (j = 0; j < i % 200 && i % 3 == 2; j++)
			__asm__ volatile("" ::: "memory");
		ret = aop_cancel(&g.op, -EINTR);
		r = aop_join(&g.op);
		for (j = 0; j < 2; j++) {
			of[j] = aop_join(&op[j]);
			ASSERT_TRUE(of[j] > 0 || of[j] == -EINTR);
		}
		/* As its members did, not as it was asked. */
		ASSERT_TRUE(r == 2 || r == -EINTR);
		ASSERT_TRUE(ret == AOP_ASKED || (ret == AOP_TOO_LATE && r == 2));
		ASSERT_TRUE(r == 2 ? ret != AOP_ASKED || of[0] > 0 || of[1] > 0 :
			    of[0] < 0 || of[1] < 0);
		cancelled += of[0] < 0 || of[1] < 0;
		done += of[0] > 0 && of[1] > 0;
		reuse(&g.op);
		memset(m, 0xee, sizeof(m));
		reuse(&op[0]);
		reuse(&op[1]);
	}
	stop = true;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	EXPECT_LT(0, cancelled);
	EXPECT_LT(0, done);
}

TEST_HARNESS_MAIN
