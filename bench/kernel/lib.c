// SPDX-License-Identifier: GPL-2.0
/*
 * The same rows by the public calls of libaop: what its users pay.
 */
#include <sys/epoll.h>
#include <unistd.h>

#include <aop.h>

#include "bench.h"

struct pair {
	struct aop_ctx *own, *see;
	int ep;
	unsigned int seen;
	struct aop mine[MANY], theirs[MANY];
	struct aop_owner *owner[MANY];
	struct aop_watch watch[MANY];
};

static void pair_open(struct pair *p)
{
	struct epoll_event ev = { .events = EPOLLIN };

	want(!aop_ctx_open(&p->own, NULL) && !aop_ctx_open(&p->see, NULL));
	p->ep = epoll_create1(EPOLL_CLOEXEC);
	want(!epoll_ctl(p->ep, EPOLL_CTL_ADD, aop_ctx_fd(p->see), &ev));
	p->seen = 0;
}

static void pair_close(struct pair *p)
{
	if (p->ep >= 0)
		close(p->ep);
	aop_ctx_close(p->own);
	aop_ctx_close(p->see);
}

static void changed(struct aop_watch *w, const struct aop_status *st)
{
	struct pair *p = w->data;

	want(st->state == AOP_RUNNING);
	p->seen++;
}

static void over(struct aop_watch *w, const struct aop_status *st)
{
	struct pair *p = w->data;

	want(st->state == AOP_DONE);
	p->seen++;
	want(aop_drop(w->op) == 1);
}

/* A cork costs something too: for one op a program would have none. */
static void begin(struct pair *p, unsigned int nr, aop_watch_fn *fn)
{
	unsigned int i;

	if (nr > 1) {
		aop_cork(p->own);
		aop_cork(p->see);
	}
	for (i = 0; i < nr; i++)
		aop_init_with(&p->mine[i], p->own, AOP_OPTS(.state = AOP_RUNNING));
	if (nr > 1)
		want(!aop_uncork(p->own));
	for (i = 0; i < nr; i++) {
		p->owner[i] = aop_owner(&p->mine[i]);
		aop_attach_id(&p->theirs[i], p->see, aop_id(&p->mine[i]), AOP_MAY_LOOK);
	}
	if (nr > 1)
		want(!aop_uncork(p->see));
	for (i = 0; i < nr; i++) {
		if (fn == over)
			want(!aop_then(&p->theirs[i], &p->watch[i], fn, p, AOP_INLINE));
		else
			want(!aop_watch(&p->theirs[i], &p->watch[i], fn, p, AOP_INLINE));
	}
}

static void sleep_in_epoll(struct pair *p)
{
	struct epoll_event ev;

	want(epoll_wait(p->ep, &ev, 1, -1) == 1);
}

/* Who only looks at the ring is in no epoll. */
static void events(struct bench *b, unsigned int nr, bool epoll)
{
	static struct pair p;
	unsigned int i, k;

	pair_open(&p);
	if (!epoll) {
		close(p.ep);
		p.ep = -1;
	}
	begin(&p, nr, changed);
	aop_ctx_dispatch(p.see);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			if (nr > 1)
				aop_cork(p.own);
			for (k = 0; k < nr; k++)
				want(!aop_progress(p.owner[k], i, 0));
			if (nr > 1)
				want(!aop_uncork(p.own));
			if (epoll)
				sleep_in_epoll(&p);
			p.seen = 0;
			/* By its budget, so that a program's other work has its turn. */
			while (p.seen < nr)
				want(aop_ctx_dispatch(p.see) > 0);
		}
	for (k = 0; k < nr; k++)
		aop_unwatch(&p.watch[k]);
	pair_close(&p);
}

void lib_event(struct bench *b)
{
	events(b, 1, true);
}

void lib_ring(struct bench *b)
{
	events(b, 1, false);
}

void lib_burst(struct bench *b)
{
	events(b, b->arg, true);
}

static void life(struct bench *b, unsigned int nr)
{
	static struct pair p;
	unsigned int i, k;

	pair_open(&p);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			begin(&p, nr, over);
			if (nr > 1)
				aop_cork(p.own);
			for (k = 0; k < nr; k++) {
				want(!aop_done(p.owner[k], i));
				want(aop_drop(&p.mine[k]) == 1);
			}
			if (nr > 1)
				want(!aop_uncork(p.own));
			sleep_in_epoll(&p);
			p.seen = 0;
			want(aop_ctx_dispatch(p.see) == (int)nr && p.seen == nr);
		}
	pair_close(&p);
}

void lib_life(struct bench *b)
{
	life(b, 1);
}

void lib_life_batch(struct bench *b)
{
	life(b, BURST);
}

void lib_load(struct bench *b)
{
	static struct pair p;
	unsigned int i;

	pair_open(&p);
	aop_init_with(&p.mine[0], p.own, AOP_OPTS(.state = AOP_RUNNING));
	while (bench_pass(b))
		for (i = 0; i < b->n; i++)
			want(aop_state(&p.mine[0]) == AOP_RUNNING);
	aop_let_go(aop_owner(&p.mine[0]));
	aop_drop(&p.mine[0]);
	pair_close(&p);
}
