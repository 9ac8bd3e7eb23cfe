// SPDX-License-Identifier: GPL-2.0
/*
 * build/bench/loop [-r ROUNDS] [ROW...]
 *
 * Rows have the names and the meaning of libuv's own benchmarks.  In each round every
 * side runs once, in turn; what is printed are medians, and how many times longer libuv
 * takes.  libevent and GLib are in the rows that they can do the same way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "others.h"

#define MAX_ROUNDS	101

static const struct row {
	const char *name, *unit;
	double (*run)(enum side side, int n);
	int n;
	double (*libevent)(int n), (*glib)(int n);
} rows[] = {
	{ "async1", "ping", run_async, 1, .libevent = run_libevent_async,
	  .glib = run_glib_async },
	{ "async2", "ping", run_async, 2, .libevent = run_libevent_async,
	  .glib = run_glib_async },
	{ "async4", "ping", run_async, 4, .libevent = run_libevent_async,
	  .glib = run_glib_async },
	{ "async8", "ping", run_async, 8, .libevent = run_libevent_async,
	  .glib = run_glib_async },
	{ "async_pummel_1", "callback", run_pummel, 1, .glib = NULL },
	{ "async_pummel_8", "callback", run_pummel, 8, .glib = NULL },
	{ "million_async", "callback", run_million_async, 1000000, .glib = NULL },
	{ "million_timers", "timer (cpu)", run_million_timers, 1000000,
	  .libevent = run_libevent_timers },
	{ "tcp_echo_1", "message", run_echo, 1, .glib = NULL },
	{ "tcp_echo_64", "message", run_echo, 64, .glib = NULL },
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

static double median(double *t, int n)
{
	qsort(t, n, sizeof(*t), by_size);
	return t[n / 2];
}

static void print_one(double ns)
{
	if (ns)
		printf(" %10.1f", ns);
	else
		printf(" %10s", "-");
}

static void measure(const struct row *r, int rounds, bool uring)
{
	double t[SIDES][MAX_ROUNDS], event[MAX_ROUNDS], glib[MAX_ROUNDS], ns[SIDES] = { 0 };
	int s, i;

	for (i = 0; i < rounds; i++) {
		for (s = 0; s < SIDES; s++)
			if (s != AOP_ON_URING || uring)
				t[s][i] = r->run(s, r->n);
		if (r->libevent)
			event[i] = r->libevent(r->n);
		if (r->glib)
			glib[i] = r->glib(r->n);
	}
	for (s = 0; s < SIDES; s++)
		if (s != AOP_ON_URING || uring)
			ns[s] = median(t[s], rounds);
	printf("%-16s %-12s", r->name, r->unit);
	print_one(ns[AOP_ON_EPOLL]);
	print_one(ns[AOP_ON_URING]);
	print_one(ns[LIBUV]);
	print_one(r->libevent ? median(event, rounds) : 0);
	print_one(r->glib ? median(glib, rounds) : 0);
	printf(" %9.2f %9.2f\n", ns[LIBUV] / ns[AOP_ON_EPOLL],
	       uring ? ns[LIBUV] / ns[AOP_ON_URING] : 0);
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
	printf("ns for each, medians of %-6d%10s %10s %10s %10s %10s %9s %9s\n", rounds, "epoll",
	       "io_uring", "libuv", "libevent", "GLib", "uv/epoll", "uv/uring");
	for (r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
		for (i = optind; i < argc && strcmp(argv[i], rows[r].name); i++)
			;
		if (optind == argc || i < argc)
			measure(&rows[r], rounds, uring);
	}
	return 0;
}
