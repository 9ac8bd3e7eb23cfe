// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: threads against each other.  Each round is a race that either side may win;
 * what must hold holds in both orders, and memory is filled with junk as soon as it
 * is the caller's again.
 */
#include <limits.h>

#include "lib.h"
#include "slow.h"

#define ROUNDS	rounds(1500)

FIXTURE(race) {
	struct aop_ctx *ctx;
	struct aop_ctx *far;
};

FIXTURE_SETUP(race)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	ASSERT_EQ(0, aop_ctx_open(&self->far, NULL));
}

FIXTURE_TEARDOWN(race)
{
	aop_ctx_close(self->far);
	aop_ctx_close(self->ctx);
}

/* One round is begun by a store and ends when the helper has said so. */
struct helper {
	pthread_t thread;
	_Atomic int round, done;
	void (*fn)(void *arg);
	void *arg;
};

static void *helper_run(void *arg)
{
	struct helper *h = arg;
	int i;

	for (i = 1;; i++) {
		while (h->round < i)
			sched_yield();
		if (h->round == INT_MAX)
			return NULL;
		h->fn(h->arg);
		h->done = i;
	}
}

static void helper_start(struct helper *h, void (*fn)(void *arg), void *arg)
{
	h->round = 0;
	h->done = 0;
	h->fn = fn;
	h->arg = arg;
	if (pthread_create(&h->thread, NULL, helper_run, h))
		abort();
}

static void helper_go(struct helper *h)
{
	h->round++;
}

static void helper_wait(struct helper *h)
{
	while (h->done < h->round)
		sched_yield();
}

static void helper_end(struct helper *h)
{
	h->round = INT_MAX;
	pthread_join(h->thread, NULL);
}

/* A few loads, different each round, so that every order is met. */
static void jitter(int i)
{
	volatile int n = (i * 7919LL) % 4001 * ((i & 3) + 1);

	while (n-- > 0)
		;
}

/* ---- dispatch against unwatch and drop ------------------------------------------ */

struct bell {
	struct aop_watch w;
	_Atomic int inside, calls;
	_Atomic bool dead;
	bool bad;
};

static void ring(struct aop_watch *w, const struct aop_status *st)
{
	struct bell *b = (struct bell *)w;

	(void)st;
	if (b->inside++ || b->dead)
		b->bad = true;
	b->calls++;
	jitter(b->calls);
	if (b->dead)
		b->bad = true;
	b->inside--;
}

static void dispatch_some(void *arg)
{
	struct aop_ctx *ctx = arg;
	int i;

	for (i = 0; i < 20; i++)
		aop_ctx_dispatch(ctx);
}

TEST_F(race, W7_unwatch_against_dispatch)
{
	struct helper a, b;
	struct bell bell;
	struct aop op, twin;
	int i;

	helper_start(&a, dispatch_some, self->far);
	helper_start(&b, dispatch_some, self->far);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, aop_init(&op, self->ctx));
		ASSERT_EQ(0, lib_twin(&twin, self->far, &op, AOP_MAY_LOOK));
		memset(&bell, 0, sizeof(bell));
		ASSERT_EQ(0, aop_watch(&twin, &bell.w, ring, NULL, AOP_INLINE));
		helper_go(&a);
		helper_go(&b);
		aop_progress(aop_owner(&op), 1, 2);
		if (i & 1)
			aop_done(aop_owner(&op), 1);
		else
			aop_progress(aop_owner(&op), 2, 2);
		jitter(i);
		if (i & 2)
			aop_unwatch(&bell.w);
		else
			while (aop_try_unwatch(&bell.w) == -EBUSY)
				sched_yield();
		bell.dead = true;
		ASSERT_EQ(0, bell.inside);
		ASSERT_FALSE(bell.bad);
		memset(&bell.w, 0xee, sizeof(bell.w));
		aop_done(aop_owner(&op), 1);
		aop_drop(&op);
		aop_drop(&twin);
		memset(&twin, 0xee, sizeof(twin));
		helper_wait(&a);
		helper_wait(&b);
		ASSERT_FALSE(bell.bad);
	}
	helper_end(&a);
	helper_end(&b);
}

TEST_F(race, W7_drop_against_dispatch)
{
	struct helper a, b;
	struct bell bell;
	struct aop op, twin;
	int i;

	helper_start(&a, dispatch_some, self->far);
	helper_start(&b, dispatch_some, self->far);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, aop_init(&op, self->ctx));
		ASSERT_EQ(0, lib_twin(&twin, self->far, &op, AOP_MAY_LOOK));
		memset(&bell, 0, sizeof(bell));
		ASSERT_EQ(0, aop_watch(&twin, &bell.w, ring, NULL, AOP_INLINE));
		helper_go(&a);
		helper_go(&b);
		aop_progress(aop_owner(&op), 1, 2);
		jitter(i);
		if (i & 1)
			aop_done(aop_owner(&op), 1);
		ASSERT_EQ(1, aop_drop(&twin));
		bell.dead = true;
		memset(&twin, 0xee, sizeof(twin));
		memset(&bell.w, 0xee, sizeof(bell.w));
		aop_done(aop_owner(&op), 1);
		aop_drop(&op);
		helper_wait(&a);
		helper_wait(&b);
		ASSERT_FALSE(bell.bad);
	}
	helper_end(&a);
	helper_end(&b);
}

/* The last call is never lost and never made twice, whoever dispatches. */
TEST_F(race, W5_exactly_one_last_call)
{
	enum { N = 32 };
	struct seen s[N];
	struct aop op[N], twin[N];
	struct helper a, b;
	int i, j;

	helper_start(&a, dispatch_some, self->far);
	helper_start(&b, dispatch_some, self->far);
	for (j = 0; j < ROUNDS / 10; j++) {
		memset(s, 0, sizeof(s));
		for (i = 0; i < N; i++) {
			ASSERT_EQ(0, aop_init(&op[i], self->ctx));
			ASSERT_EQ(0, lib_twin(&twin[i], self->far, &op[i], AOP_MAY_LOOK));
		}
		helper_go(&a);
		helper_go(&b);
		for (i = 0; i < N; i++) {
			/* Watching races with the end, and with its dispatch. */
			ASSERT_EQ(0, aop_progress(aop_owner(&op[i]), 1, 2));
			ASSERT_EQ(0, aop_done(aop_owner(&op[i]), i));
			ASSERT_EQ(0, aop_watch(&twin[i], &s[i].w, see, NULL, AOP_INLINE));
		}
		helper_wait(&a);
		helper_wait(&b);
		aop_ctx_dispatch(self->far);
		for (i = 0; i < N; i++) {
			ASSERT_EQ(1, s[i].finals);
			ASSERT_EQ(i, s[i].last.result);
			aop_drop(&op[i]);
			ASSERT_EQ(1, aop_drop(&twin[i]));
		}
	}
	helper_end(&a);
	helper_end(&b);
}

struct ender {
	struct aop op[32];
	int n;
};

static void end_all(void *arg)
{
	struct ender *e = arg;
	int i;

	for (i = 0; i < e->n; i++)
		aop_done(aop_owner(&e->op[i]), i);
}

TEST_F(race, W5_watch_against_the_end)
{
	enum { N = 32 };
	static struct ender e;
	struct seen s[N];
	struct aop twin[N];
	struct helper h;
	int i, j, left;

	helper_start(&h, end_all, &e);
	e.n = N;
	for (j = 0; j < ROUNDS / 10; j++) {
		memset(s, 0, sizeof(s));
		for (i = 0; i < N; i++) {
			ASSERT_EQ(0, aop_init(&e.op[i], self->ctx));
			ASSERT_EQ(0, lib_twin(&twin[i], self->far, &e.op[i], AOP_MAY_LOOK));
		}
		helper_go(&h);
		for (i = 0; i < N; i++)
			ASSERT_EQ(0, (i & 1 ? aop_then : aop_watch)(&twin[i], &s[i].w, see,
								    NULL, AOP_INLINE));
		do {
			for (left = i = 0; i < N; i++)
				left += !s[i].finals;
			if (left)
				ASSERT_LE(0, lib_dispatch(self->far));
		} while (left);
		helper_wait(&h);
		for (i = 0; i < N; i++) {
			ASSERT_EQ(1, s[i].finals);
			aop_drop(&e.op[i]);
			ASSERT_EQ(1, aop_drop(&twin[i]));
		}
	}
	helper_end(&h);
}

/* ---- an executor with threads ------------------------------------------------------ */

struct pool {
	struct aop_exec x;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct aop_work *first;
	bool stop;
	pthread_t thread[2];
};

static void pool_submit(struct aop_exec *x, struct aop_work *w)
{
	struct pool *p = (struct pool *)x;

	pthread_mutex_lock(&p->lock);
	w->next = p->first;
	p->first = w;
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

static void *pool_run(void *arg)
{
	struct pool *p = arg;
	struct aop_work *w;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		w = p->first;
		if (w) {
			p->first = w->next;
			pthread_mutex_unlock(&p->lock);
			w->run(w);
			pthread_mutex_lock(&p->lock);
			continue;
		}
		if (p->stop)
			break;
		pthread_cond_wait(&p->more, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void pool_start(struct pool *p)
{
	int i;

	memset(p, 0, sizeof(*p));
	p->x.submit = pool_submit;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	for (i = 0; i < 2; i++)
		if (pthread_create(&p->thread[i], NULL, pool_run, p))
			abort();
}

static void pool_stop(struct pool *p)
{
	int i;

	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < 2; i++)
		pthread_join(p->thread[i], NULL);
}

TEST_F(race, W7_unwatch_and_drop_against_a_pool)
{
	struct helper h;
	struct bell bell;
	struct aop op, twin;
	struct pool p;
	int i;

	pool_start(&p);
	helper_start(&h, dispatch_some, self->far);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, aop_init(&op, self->ctx));
		ASSERT_EQ(0, lib_twin(&twin, self->far, &op, AOP_MAY_LOOK));
		memset(&bell, 0, sizeof(bell));
		ASSERT_EQ(0, aop_watch(&twin, &bell.w, ring, NULL, &p.x));
		helper_go(&h);
		aop_progress(aop_owner(&op), 1, 2);
		aop_ctx_dispatch(self->far);
		aop_progress(aop_owner(&op), 2, 2);
		if (i & 1)
			aop_done(aop_owner(&op), 1);
		aop_ctx_dispatch(self->far);
		jitter(i);
		if (i & 2) {
			aop_unwatch(&bell.w);
			bell.dead = true;
			memset(&bell.w, 0xee, sizeof(bell.w));
		}
		ASSERT_EQ(1, aop_drop(&twin));
		bell.dead = true;
		ASSERT_EQ(0, bell.inside);
		memset(&twin, 0xee, sizeof(twin));
		memset(&bell.w, 0xee, sizeof(bell.w));
		aop_done(aop_owner(&op), 1);
		aop_drop(&op);
		helper_wait(&h);
		ASSERT_FALSE(bell.bad);
	}
	helper_end(&h);
	pool_stop(&p);
}

/* Each callback frees its watch and op; all come, none twice. */
struct once {
	struct aop op;
	struct aop_watch w;
};

static _Atomic int onces;

static void free_once(struct aop_watch *w, const struct aop_status *st)
{
	struct once *o = w->data;

	if (st->state < AOP_DONE)
		return;
	aop_drop(&o->op);
	memset(o, 0xee, sizeof(*o));
	free(o);
	onces++;
}

TEST_F(race, W7_free_in_callbacks_of_a_pool)
{
	struct helper h;
	struct once *o;
	struct pool p;
	struct aop op;
	int i;

	onces = 0;
	pool_start(&p);
	helper_start(&h, dispatch_some, self->far);
	for (i = 0; i < ROUNDS; i++) {
		o = malloc(sizeof(*o));
		ASSERT_NE(NULL, o);
		ASSERT_EQ(0, aop_init(&op, self->ctx));
		ASSERT_EQ(0, lib_twin(&o->op, self->far, &op, AOP_MAY_LOOK));
		ASSERT_EQ(0, aop_watch(&o->op, &o->w, free_once, o, i & 1 ? &p.x : AOP_INLINE));
		helper_go(&h);
		aop_progress(aop_owner(&op), 1, 2);
		aop_ctx_dispatch(self->far);
		aop_done(aop_owner(&op), 1);
		aop_ctx_dispatch(self->far);
		aop_drop(&op);
		helper_wait(&h);
	}
	while (onces < ROUNDS)
		aop_ctx_dispatch(self->far);
	helper_end(&h);
	pool_stop(&p);
	EXPECT_EQ(ROUNDS, onces);
}

/* ---- calls of one watch ------------------------------------------------------- */

/* A callback that stays inside until it is let out. */
struct door {
	struct seen s;
	_Atomic int inside, most;
	_Atomic bool open;
};

static void stay(struct aop_watch *w, const struct aop_status *st)
{
	struct door *d = (struct door *)w;
	int n;

	see(w, st);		/* first: who sees the door taken also sees the call counted */
	n = ++d->inside;
	if (n > d->most)
		d->most = n;
	while (!d->open)
		sched_yield();
	d->inside--;
}

static void dispatch_once(void *arg)
{
	aop_ctx_dispatch(arg);
}

/*
 * While one thread is inside, another takes the next change from the ring: it must not
 * call, and what it took must not be lost.
 */
static void never_overlap(struct __test_metadata *_metadata, struct aop_ctx *ctx,
			  struct aop_ctx *far, struct aop_exec *x)
{
	struct door d = { .open = false };
	struct aop op, twin;
	struct helper h;

	ASSERT_EQ(0, aop_init(&op, ctx));
	ASSERT_EQ(0, lib_twin(&twin, far, &op, AOP_MAY_LOOK));
	ASSERT_EQ(0, aop_watch(&twin, &d.s.w, stay, NULL, x));
	helper_start(&h, dispatch_once, far);
	ASSERT_EQ(0, aop_progress(aop_owner(&op), 1, 3));
	helper_go(&h);
	while (!d.inside)
		sched_yield();
	ASSERT_EQ(0, aop_progress(aop_owner(&op), 2, 3));
	EXPECT_EQ(1, aop_ctx_dispatch(far));
	ASSERT_EQ(0, aop_progress(aop_owner(&op), 3, 3));
	EXPECT_EQ(1, aop_ctx_dispatch(far));
	EXPECT_EQ(1, d.s.calls);
	d.open = true;
	helper_wait(&h);
	while (d.s.calls < 2)		/* what is lost is never called */
		sched_yield();
	aop_unwatch(&d.s.w);
	EXPECT_EQ(3, d.s.last.done);
	EXPECT_EQ(2, d.s.calls);
	EXPECT_EQ(1, d.most);
	helper_end(&h);
	aop_drop(&twin);
}

TEST_F(race, W5_calls_of_a_watch_never_overlap)
{
	never_overlap(_metadata, self->ctx, self->far, AOP_INLINE);
}

TEST_F(race, W5_calls_of_a_watch_never_overlap_in_a_pool)
{
	struct pool p;

	pool_start(&p);
	never_overlap(_metadata, self->ctx, self->far, &p.x);
	pool_stop(&p);
}

/* ---- owner against watcher ------------------------------------------------------------ */

struct pair {
	struct aop op;
	struct aop_owner *o;
	int what, ret;
	struct bell bell;
	bool on_asked;
	struct aop_ctx *ctx;
};

static void drive(void *arg)
{
	struct pair *p = arg;

	jitter(p->what);
	if (p->on_asked)
		aop_on_asked(p->o, &p->bell.w, ring, NULL, AOP_INLINE);
	p->ret = aop_start(p->o);
	if (!p->ret) {
		aop_progress(p->o, 1, 1);
		if (p->what & 1 && aop_asked(p->o))
			p->ret = aop_cancelled(p->o, 0);
		else
			p->ret = aop_done(p->o, 7);
	}
	if (p->on_asked) {
		aop_unwatch(&p->bell.w);
		p->bell.dead = true;
	}
}

/* A cancel against accepting and ending: one wins, and both sides agree on it. */
TEST_F(race, C3_cancel_against_the_end)
{
	int64_t result;
	int i, answer, won[3] = { 0 };
	struct helper h;
	struct pair p;

	helper_start(&h, drive, &p);
	for (i = 0; i < ROUNDS; i++) {
		memset(&p, 0, sizeof(p));
		ASSERT_EQ(0, aop_init(&p.op, self->ctx));
		p.o = aop_owner(&p.op);
		p.what = i;
		helper_go(&h);
		jitter(i * 3);
		answer = aop_cancel(&p.op, -EINTR);
		ASSERT_LE(0, answer);
		ASSERT_GE(AOP_TOO_LATE, answer);
		won[answer]++;
		result = aop_join(&p.op);
		helper_wait(&h);
		if (answer == AOP_STOPPED) {
			ASSERT_EQ(-EINTR, result);
			ASSERT_EQ(-EALREADY, p.ret);
		} else if (answer == AOP_TOO_LATE) {
			ASSERT_EQ(7, result);
			ASSERT_EQ(0, p.ret);
		} else {
			ASSERT_EQ(0, p.ret);
			ASSERT_TRUE(result == 7 || result == -EINTR);
		}
	}
	helper_end(&h);
	TH_LOG("asked %d, stopped %d, too late %d", won[0], won[1], won[2]);
}

/* The owner's watch against its end, and the end against dropping the struct. */
TEST_F(race, C2_on_asked_against_the_end)
{
	struct helper h, d;
	struct pair p;
	int i;

	p.ctx = self->ctx;
	helper_start(&h, drive, &p);
	helper_start(&d, dispatch_some, self->ctx);
	for (i = 0; i < ROUNDS; i++) {
		memset(&p, 0, sizeof(p));
		ASSERT_EQ(0, aop_init(&p.op, self->ctx));
		p.o = aop_owner(&p.op);
		p.what = i;
		p.on_asked = true;
		helper_go(&d);
		helper_go(&h);
		jitter(i * 5);
		ASSERT_LE(0, aop_cancel(&p.op, -EINTR));
		helper_wait(&h);
		ASSERT_FALSE(p.bell.bad);
		ASSERT_LE(0, aop_wait(&p.op, AOP_FOREVER));
		ASSERT_EQ(1, aop_drop(&p.op));
		helper_wait(&d);
		ASSERT_FALSE(p.bell.bad);
	}
	helper_end(&h);
	helper_end(&d);
}

static _Atomic int released;

static void count_release(struct aop *op)
{
	memset(op, 0xee, sizeof(*op));
	released++;
}

static void end_it(void *arg)
{
	struct pair *p = arg;

	jitter(p->what * 11);
	aop_done(p->o, 7);
}

/* O1: the sides let go in either order, and the last one releases, once. */
TEST_F(race, O1_release_is_called_once)
{
	struct helper h;
	struct pair p;
	int i;

	released = 0;
	helper_start(&h, end_it, &p);
	for (i = 0; i < ROUNDS; i++) {
		memset(&p, 0, sizeof(p));
		ASSERT_EQ(0, aop_init_with(&p.op, self->ctx, AOP_OPTS(.release = count_release)));
		p.o = aop_owner(&p.op);
		p.what = i;
		helper_go(&h);
		jitter(i);
		aop_drop(&p.op);
		helper_wait(&h);
		ASSERT_EQ(i + 1, released);
	}
	helper_end(&h);
}

static void drop_it(void *arg)
{
	struct pair *p = arg;

	p->ret = aop_drop(&p->op);
}

TEST_F(race, one_of_two_watchers_drops_last)
{
	struct helper h;
	struct pair p;
	int i, ret;

	helper_start(&h, drop_it, &p);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, aop_init(&p.op, self->ctx));
		aop_hold(&p.op);
		ASSERT_EQ(0, aop_done(aop_owner(&p.op), 1));
		helper_go(&h);
		ret = aop_drop(&p.op);
		helper_wait(&h);
		ASSERT_EQ(1, ret + p.ret);
	}
	helper_end(&h);
}

/* A deadline against the end, and joining against both. */
TEST_F(race, M3_deadline_against_the_end)
{
	struct helper h;
	struct pair p;
	int64_t result;
	int i;

	helper_start(&h, end_it, &p);
	for (i = 0; i < ROUNDS / 3; i++) {
		memset(&p, 0, sizeof(p));
		ASSERT_EQ(0, aop_init_with(&p.op, self->ctx,
					   AOP_OPTS(.deadline = AOP_US(i % 50 * 10 + 1))));
		p.o = aop_owner(&p.op);
		p.what = i;
		helper_go(&h);
		result = aop_join(&p.op);
		ASSERT_TRUE(result == 7 || result == -ETIMEDOUT);
		memset(&p.op, 0xee, sizeof(p.op));
		helper_wait(&h);
	}
	helper_end(&h);
}

TEST_HARNESS_MAIN
