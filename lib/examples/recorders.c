// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A command pool belongs to one thread, and many threads record into it.  Its owner is an
 * actor: what that works on needs no lock, and a recorder waits for its own call only.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <aop.h>

enum { RECORDERS = 4, FRAMES = 500, DRAWS = 8 };

/* What a recorder hands over: a frame of commands. */
struct frame {
	int recorder, nr, draws[DRAWS];
};

/* As a driver's: nothing in here may be used by two threads. */
struct pool {
	struct aop_actor actor;
	int last[RECORDERS];		/* frame of each recorder */
	uint64_t frames, sum;
};

/* Returns what the recorder is answered. */
static int64_t submit(struct pool *p, const struct frame *f)
{
	int i;

	if (f->nr != ++p->last[f->recorder])
		return -EBADMSG;	/* they come in order */
	for (i = 0; i < DRAWS; i++)
		p->sum += f->draws[i];
	return ++p->frames;
}

/* The actor: its state is here, and calls come one by one. */
static int64_t owner(struct aop_task *t)
{
	struct pool *p = aop_container(t, struct pool, actor.task);
	int64_t ret;

	AOP_BEGIN(t);
	memset(p->last, 0, sizeof(p->last));
	p->frames = 0;
	p->sum = 0;
	aop_actor_ready(&p->actor);	/* who has called already is served now */
	for (;;) {
		AOP_AWAIT(ret, aop_actor_take(&p->actor));
		if (ret < 0)
			return ret;	/* nobody holds it any more, or somebody stops it */
		ret = submit(p, p->actor.request.msg);
		aop_reply(&p->actor.request, ret, NULL, 0);
	}
	AOP_END(0);
}

static void *owner_thread(void *loop)
{
	aop_loop_run(loop, AOP_RUN_ALL);
	return NULL;
}

struct recorder {
	struct pool *pool;
	pthread_t thread;
	int nr;
	int64_t error;
};

static void *record(void *arg)
{
	struct recorder *r = arg;
	struct frame f = { .recorder = r->nr };
	struct aop_call call;
	int64_t ret = 0;
	int i;

	while (f.nr < FRAMES && ret >= 0) {
		f.nr++;
		for (i = 0; i < DRAWS; i++)
			f.draws[i] = f.nr + i;
		ret = aop_join(aop_call(&r->pool->actor.port, &call, &f, sizeof(f), NULL, 0));
	}
	r->error = ret < 0 ? ret : 0;
	aop_drop(&r->pool->actor.port.op);	/* one who calls it less */
	return NULL;
}

int main(void)
{
	static struct recorder r[RECORDERS];
	static struct pool pool;
	struct aop_loop *loop;
	pthread_t thread;
	struct aop *op;
	int i, failed = 0;
	uint64_t want = 0;

	for (i = 1; i <= FRAMES; i++)
		want += RECORDERS * (DRAWS * i + DRAWS * (DRAWS - 1) / 2);
	if (aop_loop_open(&loop, NULL) < 0)
		return 1;
	op = aop_actor_spawn(loop, &pool.actor, owner, NULL);
	for (i = 0; i < RECORDERS; i++) {
		r[i] = (struct recorder){ .pool = &pool, .nr = i };
		aop_hold(op);
		if (pthread_create(&r[i].thread, NULL, record, &r[i]))
			return 1;
	}
	aop_drop(op);			/* the last recorder to go takes the pool with it */
	if (pthread_create(&thread, NULL, owner_thread, loop))
		return 1;
	for (i = 0; i < RECORDERS; i++) {
		pthread_join(r[i].thread, NULL);
		failed |= r[i].error < 0;
	}
	pthread_join(thread, NULL);
	aop_loop_close(loop);
	printf("%llu frames, sum %llu\n", (unsigned long long)pool.frames,
	       (unsigned long long)pool.sum);
	return failed || pool.frames != RECORDERS * FRAMES || pool.sum != want;
}
