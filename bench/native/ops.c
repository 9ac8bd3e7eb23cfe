// SPDX-License-Identifier: GPL-2.0
/*
 * Ops of one process beside their peers: how long, and beside what.
 *
 *	ops [-r ROUNDS] [ROW...]	a table: ours and the peer's take turns
 *	ops -c N ROW			N times one row, for callgrind
 *
 *	private		begin, watch, end, be called, in one thread: medians of the rounds (15)
 *	query		look at the state
 *	look		hand over between two processors, by looking; peer: a cache line each way
 *	spin		the same by aop_wait(), which looks before it sleeps
 *	sleep		hand over between two threads of one processor; peer: a futex for each way
 */
#include <aop.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
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

/*
 * Rounds are short, so that most of them are over before anybody else gets one of the two
 * processors: a round in which that happens says nothing about what is measured, and so
 * what counts is the fastest tenth.  Ops are begun before the clock runs.
 */
enum { BURST = 256, BURSTS = 200 };

static struct aop ping[BURST] __attribute__((aligned(64)));
static struct aop pong[BURST] __attribute__((aligned(64)));
static _Atomic long line_a __attribute__((aligned(64))), line_b __attribute__((aligned(64)));
static _Atomic uint32_t futex_a __attribute__((aligned(64))), futex_b __attribute__((aligned(64)));

struct hand_over {
	void (*there)(void);		/* in this thread */
	void (*back)(void);		/* in the other one */
	bool ops;
};

static struct {
	sem_t begin;
	const struct hand_over *what;
	_Atomic int ready, over;
	pthread_t thread;
	bool there;
} other;

/* Both threads to one processor, or each to one of its own; 0: wherever they like. */
static void pin_both(int processors)
{
	static cpu_set_t all;
	cpu_set_t one;
	int cpu, n;

	if (!processors) {
		pthread_setaffinity_np(pthread_self(), sizeof(all), &all);
		pthread_setaffinity_np(other.thread, sizeof(all), &all);
		return;
	}
	if (sched_getaffinity(0, sizeof(all), &all))
		exit(1);
	for (cpu = n = 0; n < 2 && cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (!n)
			pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
		if (!n || processors == 2)
			pthread_setaffinity_np(other.thread, sizeof(one), &one);
		n++;
	}
}

/* Each thread those that it will end. */
static void begin(struct aop *ops)
{
	int i;

	for (i = 0; i < BURST; i++)
		aop_init(&ops[i], AOP_LOCAL);
}

static void *other_thread(void *arg)
{
	(void)arg;
	for (;;) {
		sem_wait(&other.begin);
		if (other.what->ops)
			begin(pong);
		other.ready = 1;
		other.what->back();
		other.over = 1;
	}
	return NULL;
}

static void until(_Atomic int *flag)
{
	while (!*flag)
		sched_yield();
}

/* Nanoseconds for one hand-over. */
static double one_burst(const struct hand_over *h)
{
	int64_t t;

	if (h->ops)
		begin(ping);
	line_a = 0;
	line_b = 0;
	futex_a = 0;
	futex_b = 0;
	other.what = h;
	other.ready = 0;
	other.over = 0;
	sem_post(&other.begin);
	until(&other.ready);
	t = aop_now();
	h->there();
	t = aop_now() - t;
	until(&other.over);
	return (double)t / BURST / 2;
}

static void look(struct aop *op)
{
	while (!aop_is_over(op))
		;
}

static void wait_for(struct aop *op)
{
	if (aop_wait(op, AOP_FOREVER))
		exit(1);
}

#define OPS(name, wait)							\
static void name##_there(void)						\
{									\
	long i;								\
									\
	for (i = 0; i < BURST; i++) {					\
		aop_done(aop_owner(&ping[i]), i);			\
		wait(&pong[i]);						\
	}								\
}									\
									\
static void name##_back(void)						\
{									\
	long i;								\
									\
	for (i = 0; i < BURST; i++) {					\
		wait(&ping[i]);						\
		aop_done(aop_owner(&pong[i]), i);			\
	}								\
}									\
									\
static const struct hand_over name = { name##_there, name##_back, true }

OPS(looked_at, look);
OPS(waited_for, wait_for);

static void line_there(void)
{
	long i;

	for (i = 1; i <= BURST; i++) {
		line_a = i;
		while (line_b != i)
			;
	}
}

static void line_back(void)
{
	long i;

	for (i = 1; i <= BURST; i++) {
		while (line_a != i)
			;
		line_b = i;
	}
}

static const struct hand_over line = { line_there, line_back, false };

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

static void futex_there(void)
{
	long i;

	for (i = 1; i <= BURST; i++) {
		post(&futex_a, i);
		sleep_until(&futex_b, i);
	}
}

static void futex_back(void)
{
	long i;

	for (i = 1; i <= BURST; i++) {
		sleep_until(&futex_a, i);
		post(&futex_b, i);
	}
}

static const struct hand_over raw_futex = { futex_there, futex_back, false };

/* ---- the table -------------------------------------------------------------------- */

static const struct row {
	const char *name, *peer;
	void (*ours)(long n), (*theirs)(long n);
	long n;
} rows[] = {
	{ "private", "call", private_ops, call_by_pointer, 1000000 },
	{ "query", "load", query, load, 10000000 },
};

static const struct pair_row {
	const char *name, *peer;
	const struct hand_over *ours, *theirs;
	int processors;
	double goal;			/* ratio; or 0 */
} pair_rows[] = {
	{ "look", "cache line", &looked_at, &line, 2, 2.0 },
	{ "spin", "cache line", &waited_for, &line, 2, 2.0 },
	{ "sleep", "raw futex", &waited_for, &raw_futex, 1, 1.1 },
};

static double run(const struct row *r, void (*fn)(long n))
{
	int64_t start = aop_now();

	fn(r->n);
	return (double)(aop_now() - start) / r->n;
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

static void print(const char *name, double a, const char *peer, double b, double goal)
{
	printf("%-10s %9.2f ns   %-10s %9.2f ns   %5.2fx", name, a, peer, b, a / b);
	if (goal)
		printf("   (goal %.1fx)", goal);
	printf("\n");
	fflush(stdout);
}

static void measure(const struct row *r, int rounds)
{
	static double ours[MAX_ROUNDS], theirs[MAX_ROUNDS];
	int i;

	for (i = 0; i < rounds; i++) {
		ours[i] = run(r, r->ours);
		theirs[i] = run(r, r->theirs);
	}
	print(r->name, median(ours, rounds), r->peer, median(theirs, rounds), 0);
}

static void measure_pair(const struct pair_row *r)
{
	static double ours[BURSTS], theirs[BURSTS];
	cpu_set_t all;
	int i;

	if (sched_getaffinity(0, sizeof(all), &all) || CPU_COUNT(&all) < r->processors) {
		printf("%-10s needs %d processors\n", r->name, r->processors);
		return;
	}
	if (!other.there && (sem_init(&other.begin, 0, 0) ||
			     pthread_create(&other.thread, NULL, other_thread, NULL)))
		exit(1);
	other.there = true;
	pin_both(r->processors);
	for (i = 0; i < BURSTS; i++) {
		ours[i] = one_burst(r->ours);
		theirs[i] = one_burst(r->theirs);
	}
	pin_both(0);
	qsort(ours, BURSTS, sizeof(*ours), smaller);
	qsort(theirs, BURSTS, sizeof(*theirs), smaller);
	print(r->name, ours[BURSTS / 10], r->peer, theirs[BURSTS / 10], r->goal);
}

static bool wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = optind; i < argc && strcmp(argv[i], name); i++)
		;
	return i < argc || optind == argc;
}

int main(int argc, char **argv)
{
	const struct pair_row *p;
	const struct row *r;
	int opt, rounds = 15;
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
		if (!wanted(r->name, argc, argv))
			continue;
		if (count)
			r->ours(count);
		else
			measure(r, rounds);
	}
	for (p = pair_rows; !count && p < pair_rows + sizeof(pair_rows) / sizeof(*pair_rows); p++)
		if (wanted(p->name, argc, argv))
			measure_pair(p);
	return 0;
}
