// SPDX-License-Identifier: GPL-2.0
/*
 * Waking between threads, as libuv's benchmark-async.c, -async-pummel.c and
 * -million-async.c do it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

#include "bench.h"

#define PINGS		2000		/* of each thread */
#define CALLBACKS	5000
#define MILLION_NS	100000000

/* ---- async1 ... async8: ping-pong between the main loop and n others ---------- */

struct pair {
	enum side side;
	pthread_t thread;
	int main_seen, worker_sent;
	int *left;
	uv_loop_t uv_loop, *uv_main;
	uv_async_t uv_to_main, uv_to_worker;
	struct aop_loop *loop, *main;
	struct aop_work to_main, to_worker;
};

static void uv_worker_called(uv_async_t *a)
{
	struct pair *p = a->data;

	uv_async_send(&p->uv_to_main);
	if (++p->worker_sent >= PINGS)
		uv_close((uv_handle_t *)a, NULL);
}

static void uv_main_called(uv_async_t *a)
{
	struct pair *p = a->data;

	if (++p->main_seen >= PINGS)
		uv_close((uv_handle_t *)a, NULL);
	else
		uv_async_send(&p->uv_to_worker);
}

static void worker_called(struct aop_work *w)
{
	struct pair *p = (struct pair *)((char *)w - offsetof(struct pair, to_worker));

	aop_loop_post(p->main, &p->to_main);
	if (++p->worker_sent >= PINGS)
		aop_loop_stop(p->loop);
}

static void main_called(struct aop_work *w)
{
	struct pair *p = (struct pair *)((char *)w - offsetof(struct pair, to_main));

	if (++p->main_seen < PINGS)
		aop_loop_post(p->loop, &p->to_worker);
	else if (!--*p->left)
		aop_loop_stop(p->main);
}

static void *worker(void *arg)
{
	struct pair *p = arg;

	if (p->side == LIBUV)
		uv_run(&p->uv_loop, UV_RUN_DEFAULT);
	else
		aop_loop_run(p->loop, AOP_RUN_FOREVER);
	return NULL;
}

double run_async(enum side side, int n)
{
	struct pair *p = calloc(n, sizeof(*p));
	struct aop_loop *l = side == LIBUV ? NULL : open_loop(side);
	int i, left = n;
	uv_loop_t uv;
	int64_t t;

	must(!!p, "calloc");
	uv_loop_init(&uv);
	for (i = 0; i < n; i++) {
		p[i].side = side;
		p[i].left = &left;
		if (side == LIBUV) {
			uv_loop_init(&p[i].uv_loop);
			uv_async_init(&uv, &p[i].uv_to_main, uv_main_called);
			uv_async_init(&p[i].uv_loop, &p[i].uv_to_worker, uv_worker_called);
			p[i].uv_to_main.data = &p[i];
			p[i].uv_to_worker.data = &p[i];
		} else {
			p[i].loop = open_loop(side);
			p[i].main = l;
			p[i].to_main.run = main_called;
			p[i].to_worker.run = worker_called;
		}
		must(!pthread_create(&p[i].thread, NULL, worker, &p[i]), "pthread_create");
	}
	t = clock_ns(CLOCK_MONOTONIC);
	for (i = 0; i < n; i++) {
		if (side == LIBUV)
			uv_async_send(&p[i].uv_to_worker);
		else
			aop_loop_post(p[i].loop, &p[i].to_worker);
	}
	if (side == LIBUV)
		uv_run(&uv, UV_RUN_DEFAULT);
	else
		aop_loop_run(l, AOP_RUN_FOREVER);
	for (i = 0; i < n; i++)
		pthread_join(p[i].thread, NULL);
	t = clock_ns(CLOCK_MONOTONIC) - t;
	for (i = 0; i < n; i++) {
		if (side == LIBUV)
			uv_loop_close(&p[i].uv_loop);
		else
			aop_loop_close(p[i].loop);
	}
	uv_loop_close(&uv);
	aop_loop_close(l);
	free(p);
	return (double)t / n / PINGS;
}

/* ---- async_pummel: n threads send as fast as they can to one handle ------------- */

static struct pummel {
	enum side side;
	_Atomic int done;
	int callbacks;
	uv_async_t uv;
	struct aop_loop *loop;
	struct aop_work w;
} pummel;

static void uv_pummelled(uv_async_t *a)
{
	if (++pummel.callbacks < CALLBACKS)
		return;
	pummel.done = 1;
	uv_close((uv_handle_t *)a, NULL);
}

static void pummelled(struct aop_work *w)
{
	(void)w;
	if (++pummel.callbacks < CALLBACKS)
		return;
	pummel.done = 1;
	aop_loop_stop(pummel.loop);
}

static void *pummel_it(void *arg)
{
	(void)arg;
	while (!atomic_load_explicit(&pummel.done, memory_order_relaxed)) {
		if (pummel.side == LIBUV)
			uv_async_send(&pummel.uv);
		else
			aop_loop_post(pummel.loop, &pummel.w);
	}
	return NULL;
}

double run_pummel(enum side side, int n)
{
	pthread_t threads[8];
	uv_loop_t uv;
	int64_t t;
	int i;

	uv_loop_init(&uv);
	pummel.side = side;
	pummel.done = 0;
	pummel.callbacks = 0;
	pummel.w = (struct aop_work){ .run = pummelled };
	if (side == LIBUV)
		uv_async_init(&uv, &pummel.uv, uv_pummelled);
	else
		pummel.loop = open_loop(side);
	t = clock_ns(CLOCK_MONOTONIC);
	for (i = 0; i < n; i++)
		must(!pthread_create(&threads[i], NULL, pummel_it, NULL), "pthread_create");
	if (side == LIBUV)
		uv_run(&uv, UV_RUN_DEFAULT);
	else
		aop_loop_run(pummel.loop, AOP_RUN_FOREVER);
	t = clock_ns(CLOCK_MONOTONIC) - t;
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	if (side != LIBUV)
		aop_loop_close(pummel.loop);
	uv_loop_close(&uv);
	return (double)t / CALLBACKS;
}

/* ---- million_async: one thread sends to a million handles in turn ------------------ */

static struct million {
	enum side side;
	int n;
	_Atomic int done;
	uint64_t callbacks;
	uv_async_t *uv;
	uv_loop_t uv_loop;
	struct aop_loop *loop;
	struct aop_work *w;
} million;

static void uv_one(uv_async_t *a)
{
	(void)a;
	million.callbacks++;
}

static void one(struct aop_work *w)
{
	(void)w;
	million.callbacks++;
}

static void *send_to_all(void *arg)
{
	int i = 0;

	(void)arg;
	while (!atomic_load_explicit(&million.done, memory_order_relaxed)) {
		if (million.side == LIBUV)
			uv_async_send(&million.uv[i]);
		else
			aop_loop_post(million.loop, &million.w[i]);
		i = i + 1 == million.n ? 0 : i + 1;
	}
	return NULL;
}

static void uv_time_over(uv_timer_t *t)
{
	million.done = 1;
	uv_stop(t->loop);
}

double run_million_async(enum side side, int n)
{
	struct aop_timer timer;
	uv_timer_t uv_timer;
	pthread_t thread;
	int64_t t;
	int i;

	million = (struct million){ .side = side, .n = n };
	uv_loop_init(&million.uv_loop);
	if (side == LIBUV) {
		million.uv = calloc(n, sizeof(*million.uv));
		must(!!million.uv, "calloc");
		for (i = 0; i < n; i++)
			uv_async_init(&million.uv_loop, &million.uv[i], uv_one);
		uv_timer_init(&million.uv_loop, &uv_timer);
		uv_update_time(&million.uv_loop);
		uv_timer_start(&uv_timer, uv_time_over, MILLION_NS / 1000000, 0);
	} else {
		million.loop = open_loop(side);
		million.w = calloc(n, sizeof(*million.w));
		must(!!million.w, "calloc");
		for (i = 0; i < n; i++)
			million.w[i].run = one;
		aop_sleep(million.loop, &timer, MILLION_NS);
	}
	t = clock_ns(CLOCK_MONOTONIC);
	must(!pthread_create(&thread, NULL, send_to_all, NULL), "pthread_create");
	if (side == LIBUV)
		uv_run(&million.uv_loop, UV_RUN_DEFAULT);
	else
		aop_loop_get(million.loop, &timer.op);
	t = clock_ns(CLOCK_MONOTONIC) - t;
	million.done = 1;
	pthread_join(thread, NULL);
	if (side == LIBUV) {
		for (i = 0; i < n; i++)
			uv_close((uv_handle_t *)&million.uv[i], NULL);
		uv_close((uv_handle_t *)&uv_timer, NULL);
		uv_run(&million.uv_loop, UV_RUN_DEFAULT);
	} else {
		aop_loop_close(million.loop);
	}
	uv_loop_close(&million.uv_loop);
	free(million.uv);
	free(million.w);
	return (double)t / million.callbacks;
}
