/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bench/loop - aop's loop beside libuv, interleaved in one run
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <aop.h>
#include <stdint.h>
#include <time.h>

/* Who is measured. */
enum side { AOP_ON_EPOLL, AOP_ON_URING, LIBUV, SIDES };

static inline int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

struct aop_loop *open_loop(enum side side);
void must(int ok, const char *what);

/* Each returns nanoseconds for one of what it counts. */
double run_async(enum side side, int n);
double run_pummel(enum side side, int n);
double run_million_async(enum side side, int n);
double run_million_timers(enum side side, int n);
double run_echo(enum side side, int n);

#endif /* BENCH_LOOP_H */
