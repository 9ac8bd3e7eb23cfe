/* SPDX-License-Identifier: GPL-2.0 */
/*
 * others.c: each returns nanoseconds for one of what it counts
 */
#ifndef BENCH_LOOP_OTHERS_H
#define BENCH_LOOP_OTHERS_H

double run_libevent_async(int n);
double run_libevent_timers(int n);
double run_glib_async(int n);

#endif /* BENCH_LOOP_OTHERS_H */
