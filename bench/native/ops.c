// SPDX-License-Identifier: GPL-2.0
/*
 * Ops of one process beside their peers: how long, and beside what.
 *
 *	ops [-r ROUNDS] [ROW...]	a table: medians of the rounds (15), which take turns
 *	ops -c N ROW			N times one row, for callgrind
 *
 *	private		begin, watch, end, be called, in one thread
 *	query		look at the state
 *	spin		hand over between two threads that look; peer: one cache line
 *	sleep		hand over between two threads that sleep; peer: two futexes
 */
#include <aop.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_ROUNDS = 101 };

static volatile int64_t sink;

/* ---- one thread -------------------------------------------------------------- */

static void called(struct aop_watch *w, const struct aop_status *st)
{
	(void)w;
	sink = st->result;
}

static void private_ops(long n)
{
	struct aop_watch w;
	struct aop op;
	long i;

	for (i = 0; i < n; i++) {
		aop_init(&op, AOP_PRIVATE);
		aop_watch(&op, &w, called, NULL, AOP_INLINE);
		aop_done(aop_owner(&op), i);
	}
}

__attribute__((noinline)) static void call_by_pointer(long n)
{
	void (*volatile fn)(struct aop_watch *, const struct aop_status *) = called;
	struct aop_status st = { 0 };
	long i;

	for (i = 0; i < n; i++) {
		st.result = i;
		fn(NULL, &st);
	}
}

static void query(long n)
{
	struct aop op;
	long i;

	aop_init(&op, AOP_PRIVATE);
	for (i = 0; i < n; i++)
		sink = aop_state(&op);
}

static void load(long n)
{
	static volatile uint32_t word;
	long i;

	for (i = 0; i < n; i++)
		sink = word;
}

/* ---- two threads --------------------------------------------------------------- */

enum { RING = 1 << 10 };		/* ops that are ready at any time */

static struct aop ping[RING] __attribute__((aligned(64))), pong[RING] __attribute__((aligned(64)));
static _Atomic long line_a __attribute__((aligned(64))), line_b __attribute__((aligned(64)));
static _Atomic uint32_t futex_a __attribute__((aligned(64))), futex_b __attribute__((aligned(64)));

struct pair {
	void (*there)(long n);
	void (*back)(long n);
	long n;
};

static void *other(void *arg)
{
	struct pair *p = arg;

	p->back(p->n);
	return NULL;
}

static void hand_over(void (*there)(long n), void (*back)(long n), long n)
{
	struct pair p = { .back = back, .n = n };
	pthread_t t;

	if (pthread_create(&t, NULL, other, &p))
		exit(1);
	there(n);
	pthread_join(t, NULL);
}

static void wait_by_looking(struct aop *op)
{
	while (!aop_is_over(op))
		;
}

static void wait_asleep(struct aop *op)
{
	if (aop_wait(op, AOP_FOREVER))
		exit(1);
}

#define OPS(name, wait)							\
static void name##_there(long n)					\
{									\
	long i;								\
									\
	for (i = 0; i < n; i++) {					\
		aop_done(aop_owner(&ping[i]), i);			\
		wait(&pong[i]);						\
	}								\
}									\
									\
static void name##_back(long n)						\
{									\
	long i;								\
									\
	for (i = 0; i < n; i++) {					\
		wait(&ping[i]);						\
		aop_done(aop_owner(&pong[i]), i);			\
	}								\
}									\
									\
static void name(long n)						\
{									\
	long i;								\
									\
	for (; n > 0; n -= RING) {					\
		for (i = 0; i < RING; i++) {				\
			aop_init(&ping[i], AOP_LOCAL);			\
			aop_init(&pong[i], AOP_LOCAL);			\
		}							\
		hand_over(name##_there, name##_back, n < RING ? n : RING); \
	}								\
}

OPS(spin_ops, wait_by_looking)
OPS(sleep_ops, wait_asleep)

static void line_there(long n)
{
	long i;

	for (i = 1; i <= n; i++) {
		line_a = i;
		while (line_b != i)
			;
	}
}

static void line_back(long n)
{
	long i;

	for (i = 1; i <= n; i++) {
		while (line_a != i)
			;
		line_b = i;
	}
}

/* As the ops: a thread for each RING of them. */
static void line(long n)
{
	for (; n > 0; n -= RING) {
		line_a = 0;
		line_b = 0;
		hand_over(line_there, line_back, n < RING ? n : RING);
	}
}

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void post(_Atomic uint32_t *word, uint32_t value)
{
	*word = value;
	futex(word, FUTEX_WAKE, 1);
}

static void sleep_until(_Atomic uint32_t *word, uint32_t value)
{
	uint32_t seen;

	while ((seen = *word) != value)
		futex(word, FUTEX_WAIT, seen);
}

static void futex_there(long n)
{
	long i;

	for (i = 1; i <= n; i++) {
		post(&futex_a, i);
		sleep_until(&futex_b, i);
	}
}

static void futex_back(long n)
{
	long i;

	for (i = 1; i <= n; i++) {
		sleep_until(&futex_a, i);
		post(&futex_b, i);
	}
}

static void raw_futex(long n)
{
	for (; n > 0; n -= RING) {
		futex_a = 0;
		futex_b = 0;
		hand_over(futex_there, futex_back, n < RING ? n : RING);
	}
}

/* ---- the table -------------------------------------------------------------------- */

static const struct row {
	const char *name, *peer;
	void (*ours)(long n), (*theirs)(long n);
	long n;
	int per;			/* events in one of n */
	double goal;			/* ratio; or 0 */
} rows[] = {
	{ "private", "call", private_ops, call_by_pointer, 1000000, 1, 0 },
	{ "query", "load", query, load, 10000000, 1, 0 },
	{ "spin", "cache line", spin_ops, line, 32 * RING, 2, 2.0 },
	{ "sleep", "raw futex", sleep_ops, raw_futex, 8 * RING, 2, 1.1 },
};

static double run(const struct row *r, void (*fn)(long n))
{
	int64_t start = aop_now();

	fn(r->n);
	return (double)(aop_now() - start) / r->n / r->per;
}

static int smaller(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, n, sizeof(*v), smaller);
	return v[n / 2];
}

static void measure(const struct row *r, int rounds)
{
	static double ours[MAX_ROUNDS], theirs[MAX_ROUNDS];
	double a, b;
	int i;

	for (i = 0; i < rounds; i++) {
		ours[i] = run(r, r->ours);
		theirs[i] = run(r, r->theirs);
	}
	a = median(ours, rounds);
	b = median(theirs, rounds);
	printf("%-10s %9.2f ns   %-10s %9.2f ns   %5.2fx", r->name, a, r->peer, b, a / b);
	if (r->goal)
		printf("   (goal %.1fx)", r->goal);
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const struct row *r;
	int opt, i, rounds = 15;
	long count = 0;

	while ((opt = getopt(argc, argv, "r:c:")) != -1) {
		if (opt == 'r')
			rounds = atoi(optarg);
		else if (opt == 'c')
			count = atol(optarg);
		else
			return 2;
	}
	if (rounds < 1 || rounds > MAX_ROUNDS)
		return 2;
	for (r = rows; r < rows + sizeof(rows) / sizeof(rows[0]); r++) {
		for (i = optind; i < argc && strcmp(argv[i], r->name); i++)
			;
		if (i == argc && optind < argc)
			continue;
		if (count)
			r->ours(count);
		else
			measure(r, rounds);
	}
	return 0;
}
