// SPDX-License-Identifier: GPL-2.0
/*
 * Streams of one process beside their peers, in nanoseconds for a message of 8 bytes.
 *
 *	stream [-r ROUNDS] [ROW...]	a table: medians of the rounds (15), which take turns
 *	stream -c N ROW			N messages through one row, for callgrind
 *
 *	pair		one thread sends to another; peer: ck_ring, one to one
 *	many		three threads send to one; peer: GAsyncQueue
 *	same		one thread fills and empties, 64 at a time; peer: ck_ring
 *	shared		as same, in shared memory, messages of 64 bytes; no peer
 *	shared_many	... 64 of them by one call
 *	task		a task sends by an op, 64 at a time, which another one receives
 *
 * Both sides of pair look again when there is nothing, and yield, as the peer has to; both
 * of many sleep, as the peer does.
 */
#include <aop.h>
#include <ck_ring.h>
#include <glib.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ROUNDS = 101, PLACES = 4096, SENDERS = 3, BATCH = 64 };

static uint64_t mem[AOP_STREAM_MEM(8, PLACES) / 8] __attribute__((aligned(64)));
static struct aop_stream st __attribute__((aligned(64)));
static struct aop_sender tx[SENDERS];
static struct aop_receiver rx;
static volatile uint64_t sink;

static void die(const char *what)
{
	fprintf(stderr, "stream: %s\n", what);
	exit(1);
}

static void begin(struct aop_ctx *where, uint32_t flags, uint32_t places)
{
	struct aop_stream_opts o = {
		.size = sizeof(o), .flags = flags, .place = 8, .places = places,
	};
	int i;

	if (aop_stream_init(&st, where, mem, sizeof(mem), &o) || aop_receiver_init(&rx, &st, 0))
		die("cannot begin");
	for (i = 0; i < SENDERS; i++)
		if (aop_sender_init(&tx[i], &st, AOP_DROP_ENDS))
			die("cannot begin");
}

/* ---- threads ----------------------------------------------------------------------- */

struct part {
	long from, n;
	int nr;
};

/* As the peer does: sleep when there is nothing; here also when there is no room. */
static void *sleep_send(void *arg)
{
	struct aop_transfer t;
	struct part *p = arg;
	uint64_t i;

	for (i = p->from; i < (uint64_t)(p->from + p->n); i++)
		if (aop_stream_try_push(&tx[p->nr], &i, sizeof(i)) < 0)
			aop_join(aop_stream_push(&tx[p->nr], &t, &i, sizeof(i)));
	return NULL;
}

static void sleep_receive(long n)
{
	struct aop_transfer t;
	uint64_t sum = 0, v;
	long i;

	for (i = 0; i < n; i++) {
		if (aop_stream_try_pop(&rx, &v, sizeof(v)) < 0)
			aop_join(aop_stream_pop(&rx, &t, &v, sizeof(v)));
		sum += v;
	}
	if (sum != (uint64_t)n * (n + 1) / 2)
		die("messages got lost");
}

static void *stream_send(void *arg)
{
	struct part *p = arg;
	uint64_t i;

	for (i = p->from; i < (uint64_t)(p->from + p->n); i++)
		while (aop_stream_try_push(&tx[p->nr], &i, sizeof(i)) < 0)
			sched_yield();
	return NULL;
}

static void stream_receive(long n)
{
	uint64_t sum = 0, v;
	long i;

	for (i = 0; i < n; i++) {
		while (aop_stream_try_pop(&rx, &v, sizeof(v)) < 0)
			sched_yield();
		sum += v;
	}
	if (sum != (uint64_t)n * (n + 1) / 2)
		die("messages got lost");
}

static void share(long n, int senders, void *(*send)(void *arg), void (*receive)(long n))
{
	struct part parts[SENDERS];
	pthread_t threads[SENDERS];
	int i;

	for (i = 0; i < senders; i++) {
		parts[i].nr = i;
		parts[i].from = n / senders * i + 1;
		parts[i].n = i == senders - 1 ? n - n / senders * i : n / senders;
		if (pthread_create(&threads[i], NULL, send, &parts[i]))
			die("no thread");
	}
	receive(n);
	for (i = 0; i < senders; i++)
		pthread_join(threads[i], NULL);
}

static void pair(long n)
{
	begin(AOP_LOCAL, 0, PLACES);
	share(n, 1, stream_send, stream_receive);
}

static void many(long n)
{
	begin(AOP_LOCAL, AOP_MANY_SENDERS, PLACES);
	share(n, SENDERS, sleep_send, sleep_receive);
}

static ck_ring_t ring;
static ck_ring_buffer_t ring_mem[PLACES];

static void *ck_send(void *arg)
{
	struct part *p = arg;
	uintptr_t i;

	for (i = p->from; i < (uintptr_t)(p->from + p->n); i++)
		while (!ck_ring_enqueue_spsc(&ring, ring_mem, (void *)i))
			sched_yield();
	return NULL;
}

static void ck_receive(long n)
{
	uint64_t sum = 0;
	void *v;
	long i;

	for (i = 0; i < n; i++) {
		while (!ck_ring_dequeue_spsc(&ring, ring_mem, &v))
			sched_yield();
		sum += (uintptr_t)v;
	}
	if (sum != (uint64_t)n * (n + 1) / 2)
		die("messages got lost");
}

static void ck_pair(long n)
{
	ck_ring_init(&ring, PLACES);
	share(n, 1, ck_send, ck_receive);
}

static GAsyncQueue *queue;

static void *g_send(void *arg)
{
	struct part *p = arg;
	uintptr_t i;

	for (i = p->from; i < (uintptr_t)(p->from + p->n); i++)
		g_async_queue_push(queue, (void *)i);
	return NULL;
}

static void g_receive(long n)
{
	uint64_t sum = 0;
	long i;

	for (i = 0; i < n; i++)
		sum += (uintptr_t)g_async_queue_pop(queue);
	if (sum != (uint64_t)n * (n + 1) / 2)
		die("messages got lost");
}

static void g_many(long n)
{
	if (!queue)
		queue = g_async_queue_new();
	share(n, SENDERS, g_send, g_receive);
}

/* ---- one thread -------------------------------------------------------------------- */

static void same_in(struct aop_ctx *where, long n)
{
	uint64_t v;
	long i;
	int k;

	begin(where, 0, BATCH);
	for (i = 0; i < n; i += BATCH) {
		for (k = 0; k < BATCH; k++) {
			v = i + k;
			if (aop_stream_try_push(&tx[0], &v, sizeof(v)) < 0)
				die("full");
		}
		for (k = 0; k < BATCH; k++) {
			if (aop_stream_try_pop(&rx, &v, sizeof(v)) < 0)
				die("empty");
			sink += v;
		}
	}
}

static void same(long n)
{
	same_in(AOP_LOCAL, n);
}

static void same_private(long n)
{
	same_in(AOP_PRIVATE, n);
}

static void ck_same(long n)
{
	void *v;
	long i;
	int k;

	ck_ring_init(&ring, 2 * BATCH);
	for (i = 0; i < n; i += BATCH) {
		for (k = 0; k < BATCH; k++)
			if (!ck_ring_enqueue_spsc(&ring, ring_mem, (void *)(i + k)))
				die("full");
		for (k = 0; k < BATCH; k++) {
			if (!ck_ring_dequeue_spsc(&ring, ring_mem, &v))
				die("empty");
			sink += (uintptr_t)v;
		}
	}
}

/* Both sides are here, each with its own mapping; no system call but to begin and end. */
static void shared_by(long n, bool many)
{
	struct aop_stream_opts o = { .size = sizeof(o), .place = 64, .places = BATCH };
	static uint64_t v[BATCH][8];
	struct aop_shared_stream a, b;
	struct aop_receiver out;
	struct aop_sender in;
	long i;
	int k;

	if (aop_stream_pair(&a, &b, AOP_LOCAL, &o) || aop_sender_init(&in, &a.stream, 0) ||
	    aop_receiver_init(&out, &b.stream, 0))
		die("cannot begin");
	for (i = 0; i < n; i += BATCH) {
		if (many) {
			if (aop_stream_try_push_many(&in, v, sizeof(v[0]), BATCH) != BATCH)
				die("full");
			if (aop_stream_try_pop_many(&out, v, sizeof(v[0]), BATCH) != BATCH)
				die("empty");
			continue;
		}
		for (k = 0; k < BATCH; k++)
			if (aop_stream_try_push(&in, v, sizeof(v[0])) < 0)
				die("full");
		for (k = 0; k < BATCH; k++)
			if (aop_stream_try_pop(&out, v, sizeof(v[0])) < 0)
				die("empty");
	}
	aop_sender_drop(&in);
	aop_receiver_drop(&out);
	aop_stream_close(&a);
	aop_stream_close(&b);
}

static void shared(long n)
{
	shared_by(n, false);
}

static void shared_many(long n)
{
	shared_by(n, true);
}

/* ---- tasks --------------------------------------------------------------------------- */

static struct aop_loop *loop;

struct end {
	struct aop_task task;
	struct aop_transfer t;
	uint64_t i, n, v;
};

static int64_t sender(struct aop_task *t)
{
	struct end *e = aop_container(t, struct end, task);
	int64_t ret;

	AOP_BEGIN(t);
	for (e->i = 0; e->i < e->n; e->i++) {
		AOP_AWAIT(ret, aop_stream_push(&tx[0], &e->t, &e->i, sizeof(e->i)));
		if (ret != 1)
			return -EPROTO;
	}
	AOP_END(0);
}

static int64_t receiver(struct aop_task *t)
{
	struct end *e = aop_container(t, struct end, task);
	int64_t ret;

	AOP_BEGIN(t);
	for (e->i = 0; e->i < e->n; e->i++) {
		AOP_AWAIT(ret, aop_stream_pop(&rx, &e->t, &e->v, sizeof(e->v)));
		if (ret != 1 || e->v != e->i)
			return -EPROTO;
	}
	AOP_END(0);
}

/* So that only sending is counted: fill the stream by ops, and begin anew. */
static void task_send(long n)
{
	struct end e = { .n = PLACES };
	long i;

	if (!loop && aop_loop_open(&loop, NULL))
		die("no loop");
	for (i = 0; i < n; i += PLACES) {
		begin(AOP_PRIVATE, 0, PLACES);
		if (aop_loop_get(loop, aop_spawn(loop, &e.task, sender, NULL, 0)))
			die("a task failed");
	}
}

static void task_pair(long n)
{
	struct end a = { .n = n }, b = { .n = n };

	if (!loop && aop_loop_open(&loop, NULL))
		die("no loop");
	begin(AOP_PRIVATE, 0, BATCH);
	aop_spawn(loop, &a.task, sender, NULL, 0);
	aop_spawn(loop, &b.task, receiver, NULL, 0);
	if (aop_loop_get(loop, &a.task.op) || aop_loop_get(loop, &b.task.op))
		die("a task failed");
}

/* ---- the table ---------------------------------------------------------------------- */

static const struct row {
	const char *name, *peer;
	void (*ours)(long n), (*theirs)(long n);
	long n;
	double ratio, goal;		/* to the peer; nanoseconds; or 0 */
} rows[] = {
	{ "pair", "ck_ring", pair, ck_pair, 1 << 20, 1.0, 0 },
	{ "many", "GAsyncQueue", many, g_many, 1 << 18, 0.5, 0 },
	{ "same", "ck_ring", same, ck_same, 1 << 20, 0, 0 },
	{ "private", "ck_ring", same_private, ck_same, 1 << 20, 0, 0 },
	{ "shared", NULL, shared, NULL, 1 << 20, 0, 0 },
	{ "shared_many", NULL, shared_many, NULL, 1 << 20, 0, 0 },
	{ "task_send", NULL, task_send, NULL, 1 << 20, 0, 30 },
	{ "task_pair", NULL, task_pair, NULL, 1 << 18, 0, 0 },
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

static void measure(const struct row *r, int rounds)
{
	static double ours[MAX_ROUNDS], theirs[MAX_ROUNDS];
	double a, b;
	int i;

	for (i = 0; i < rounds; i++) {
		ours[i] = run(r, r->ours);
		if (r->theirs)
			theirs[i] = run(r, r->theirs);
	}
	a = median(ours, rounds);
	printf("%-11s %9.2f ns", r->name, a);
	if (r->theirs) {
		b = median(theirs, rounds);
		printf("   %-12s %9.2f ns   %5.2fx", r->peer, b, a / b);
	}
	if (r->ratio > 0)
		printf("   (goal %.1fx)", r->ratio);
	if (r->goal > 0)
		printf("   (goal %.0f ns)", r->goal);
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
