// SPDX-License-Identifier: GPL-2.0
/*
 * build/bench/loop [-r ROUNDS] [ROW...]
 *
 * Rows have the names and the meaning of libuv's own benchmarks.  In each round every
 * side runs once, in turn; what is printed are medians, and how many times longer libuv
 * takes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define MAX_ROUNDS	101

static const struct row {
	const char *name, *unit;
	double (*run)(enum side side, int n);
	int n;
} rows[] = {
	{ "async1", "ping", run_async, 1 },
	{ "async2", "ping", run_async, 2 },
	{ "async4", "ping", run_async, 4 },
	{ "async8", "ping", run_async, 8 },
	{ "async_pummel_1", "callback", run_pummel, 1 },
	{ "async_pummel_8", "callback", run_pummel, 8 },
	{ "million_async", "callback", run_million_async, 1000000 },
	{ "million_timers", "timer (cpu)", run_million_timers, 1000000 },
	{ "tcp_echo_1", "message", run_echo, 1 },
	{ "tcp_echo_64", "message", run_echo, 64 },
};

void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

struct aop_loop *open_loop(enum side side)
{
	struct aop_loop_opts o = {
		.size = sizeof(o),
		.flags = side == AOP_ON_URING ? AOP_URING : AOP_EPOLL,
	};
	struct aop_loop *l;
	int ret = aop_loop_open(&l, &o);

	errno = -ret;
	must(!ret, "aop_loop_open");
	return l;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const struct row *r, int rounds, bool uring)
{
	double t[SIDES][MAX_ROUNDS], median[SIDES] = { 0 };
	int s, i;

	for (i = 0; i < rounds; i++)
		for (s = 0; s < SIDES; s++)
			if (s != AOP_ON_URING || uring)
				t[s][i] = r->run(s, r->n);
	for (s = 0; s < SIDES; s++) {
		if (s == AOP_ON_URING && !uring)
			continue;
		qsort(t[s], rounds, sizeof(double), by_size);
		median[s] = t[s][rounds / 2];
	}
	printf("%-16s %-12s %10.1f %10.1f %10.1f %9.2f %9.2f\n", r->name, r->unit,
	       median[AOP_ON_EPOLL], median[AOP_ON_URING], median[LIBUV],
	       median[LIBUV] / median[AOP_ON_EPOLL],
	       uring ? median[LIBUV] / median[AOP_ON_URING] : 0);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = AOP_URING };
	struct aop_loop *l;
	bool uring = !aop_loop_open(&l, &o);
	int c, i, rounds = 11;
	size_t r;

	aop_loop_close(l);
	while ((c = getopt(argc, argv, "r:")) != -1) {
		if (c != 'r')
			return 2;
		rounds = atoi(optarg);
	}
	if (rounds < 1 || rounds > MAX_ROUNDS)
		return 2;
	printf("ns for each, medians of %d     %16s %10s %10s %9s %9s\n", rounds, "epoll",
	       "io_uring", "libuv", "uv/epoll", "uv/uring");
	for (r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
		for (i = optind; i < argc && strcmp(argv[i], rows[r].name); i++)
			;
		if (optind == argc || i < argc)
			measure(&rows[r], rounds, uring);
	}
	return 0;
}
