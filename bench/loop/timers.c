// SPDX-License-Identifier: GPL-2.0
/*
 * A million timers, begun and expired, as libuv's benchmark-million-timers.c: a thousand
 * for each millisecond.  Processor time is counted, since most of the time is waited.
 */
#include <stdlib.h>
#include <uv.h>

#include "bench.h"

static uint64_t expired;

static void uv_expired(uv_timer_t *t)
{
	(void)t;
	expired++;
}

static void over(struct aop_watch *w, const struct aop_status *st)
{
	(void)w;
	(void)st;
	expired++;
}

struct timer {
	struct aop_timer t;
	struct aop_watch w;
};

static int64_t aop_timers(enum side side, int n)
{
	struct timer *timers = malloc(n * sizeof(*timers));
	struct aop_loop *l = open_loop(side);
	int64_t t, at = aop_now();
	int i;

	must(!!timers, "malloc");
	for (i = 0; i < n; i++)
		timers[i].t.priv[0] = 1;		/* the memory is there */
	t = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (i = 0; i < n; i++) {
		if (i % 1000 == 0)
			at += AOP_MS(1);
		aop_then(aop_sleep(l, &timers[i].t, aop_until(at)), &timers[i].w, over, NULL,
			 AOP_INLINE);
	}
	aop_loop_run(l, AOP_RUN_ALL);
	t = clock_ns(CLOCK_THREAD_CPUTIME_ID) - t;
	aop_loop_close(l);
	free(timers);
	return t;
}

static int64_t uv_timers(int n)
{
	uv_timer_t *timers = malloc(n * sizeof(*timers));
	int64_t t, timeout = 0;
	uv_loop_t l;
	int i;

	must(!!timers, "malloc");
	uv_loop_init(&l);
	for (i = 0; i < n; i++)
		uv_timer_init(&l, &timers[i]);
	t = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (i = 0; i < n; i++) {
		if (i % 1000 == 0)
			timeout++;
		uv_timer_start(&timers[i], uv_expired, timeout, 0);
	}
	uv_run(&l, UV_RUN_DEFAULT);
	t = clock_ns(CLOCK_THREAD_CPUTIME_ID) - t;
	for (i = 0; i < n; i++)
		uv_close((uv_handle_t *)&timers[i], NULL);
	uv_run(&l, UV_RUN_DEFAULT);
	uv_loop_close(&l);
	free(timers);
	return t;
}

double run_million_timers(enum side side, int n)
{
	int64_t t;

	expired = 0;
	t = side == LIBUV ? uv_timers(n) : aop_timers(side, n);
	must(expired == (uint64_t)n, "timers");
	return (double)t / n;
}
