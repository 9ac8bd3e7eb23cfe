// SPDX-License-Identifier: GPL-2.0
/*
 * What tasks cost: the three measurements of tokio's runtime benchmarks that say it best.
 *
 *	task [ROUNDS]
 *
 * Prints nanoseconds for each, the median of the rounds, and the fastest and slowest.
 * No peer runs beside it: tokio would be 86 packages and 312 MB more on a fresh machine.
 * The measurements take turns, so that what disturbs the machine disturbs all of them.
 *
 *	spawn_join	spawn a task that is ready at once, and await it from a task
 *	yield_many	one AOP_YIELD() of each of 200 tasks in turn
 *	ping_pong	a value to another task and one back, over two streams of one place
 *	stream		one value from task to task over a stream of 64 places
 */
#include <aop.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ROUNDS	101

static struct aop_loop *loop;

/* ---- spawn + join ---------------------------------------------------------- */

enum { SPAWNS = 20000 };

struct spawner {
	struct aop_task task, child;
	int i;
};

static int64_t ready(struct aop_task *t)
{
	(void)t;
	return 1;
}

static int64_t spawner(struct aop_task *t)
{
	struct spawner *s = aop_container(t, struct spawner, task);
	int64_t got;

	AOP_BEGIN(t);
	for (s->i = 0; s->i < SPAWNS; s->i++) {
		AOP_AWAIT(got, aop_spawn(t->loop, &s->child, ready, NULL, 0));
		if (got != 1)
			return -EPROTO;
	}
	AOP_END(SPAWNS);
}

static int64_t spawn_join(void)
{
	struct spawner s;

	return aop_loop_get(loop, aop_spawn(loop, &s.task, spawner, NULL, 0));
}

/* ---- yield ------------------------------------------------------------------ */

enum { YIELDERS = 200, YIELDS = 500 };

struct yielder {
	struct aop_task task;
	int i;
};

static int64_t yielder(struct aop_task *t)
{
	struct yielder *y = aop_container(t, struct yielder, task);

	AOP_BEGIN(t);
	for (y->i = 0; y->i < YIELDS; y->i++)
		AOP_YIELD();
	AOP_END(0);
}

static int64_t yield_many(void)
{
	static struct yielder y[YIELDERS];
	int i;

	for (i = 0; i < YIELDERS; i++)
		aop_spawn(loop, &y[i].task, yielder, NULL, AOP_DETACHED);
	return aop_loop_run(loop, AOP_RUN_ALL) < 0 ? -1 : YIELDERS * YIELDS;
}

/* ---- streams ----------------------------------------------------------------- */

enum { PINGS = 20000, ITEMS = 50000 };

struct pipe {
	struct aop_stream s;
	struct aop_sender tx;
	struct aop_receiver rx;
	uint64_t mem[AOP_STREAM_MEM(sizeof(int), 64) / 8] __attribute__((aligned(16)));
};

static int pipe_init(struct pipe *p, uint32_t places)
{
	return aop_stream_init(&p->s, AOP_PRIVATE, p->mem, sizeof(p->mem),
			       AOP_STREAM_OPTS(.place = sizeof(int), .places = places)) ||
	       aop_sender_init(&p->tx, &p->s, 0) || aop_receiver_init(&p->rx, &p->s, 0);
}

struct player {
	struct aop_task task;
	struct pipe *in, *out;
	struct aop_transfer t;
	int i, n, item;
	bool first;
};

static int64_t player(struct aop_task *t)
{
	struct player *p = aop_container(t, struct player, task);
	int64_t ret;

	AOP_BEGIN(t);
	for (p->i = 0; p->i < p->n; p->i++) {
		if (p->out && (p->first || !p->in)) {
			AOP_AWAIT(ret, aop_stream_push(&p->out->tx, &p->t, &p->i, sizeof(int)));
			if (ret != 1)
				return -EPROTO;
		}
		if (p->in) {
			AOP_AWAIT(ret, aop_stream_pop(&p->in->rx, &p->t, &p->item, sizeof(int)));
			if (ret != 1 || p->item != p->i)
				return -EPROTO;
		}
		if (p->out && p->in && !p->first) {
			AOP_AWAIT(ret, aop_stream_push(&p->out->tx, &p->t, &p->i, sizeof(int)));
			if (ret != 1)
				return -EPROTO;
		}
	}
	AOP_END(p->n);
}

static int64_t play(struct player *a, struct player *b)
{
	aop_spawn(loop, &a->task, player, NULL, 0);
	aop_spawn(loop, &b->task, player, NULL, 0);
	if (aop_loop_get(loop, &a->task.op) < 0)
		return -1;
	return aop_loop_get(loop, &b->task.op);
}

static int64_t ping_pong(void)
{
	struct pipe there, back;
	struct player a = { .in = &back, .out = &there, .n = PINGS, .first = true };
	struct player b = { .in = &there, .out = &back, .n = PINGS };

	if (pipe_init(&there, 1) || pipe_init(&back, 1))
		return -1;
	return play(&a, &b);
}

static int64_t stream(void)
{
	struct pipe q;
	struct player a = { .out = &q, .n = ITEMS }, b = { .in = &q, .n = ITEMS };

	if (pipe_init(&q, 64))
		return -1;
	return play(&a, &b);
}

/* ---- measuring ---------------------------------------------------------------- */

static struct bench {
	const char *name;
	int64_t (*run)(void);
	double goal;			/* nanoseconds; 0: none */
	double ns[MAX_ROUNDS];
} benches[] = {
	{ .name = "spawn_join", .run = spawn_join, .goal = 50 },
	{ .name = "yield_many", .run = yield_many, .goal = 10 },
	{ .name = "ping_pong", .run = ping_pong },
	{ .name = "stream", .run = stream },
};

enum { BENCHES = sizeof(benches) / sizeof(*benches) };

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 21, round, i;
	struct bench *b;
	int64_t from, n;

	if (rounds < 1 || rounds > MAX_ROUNDS || aop_loop_open(&loop, NULL))
		return 1;
	/* The first round warms up. */
	for (round = -1; round < rounds; round++) {
		for (i = 0; i < BENCHES; i++) {
			b = &benches[i];
			from = aop_now();
			n = b->run();
			if (n <= 0) {
				fprintf(stderr, "%s failed: %" PRId64 "\n", b->name, n);
				return 1;
			}
			if (round >= 0)
				b->ns[round] = (double)(aop_now() - from) / n;
		}
	}
	printf("%-12s %8s %8s %8s %8s  ns, %d rounds, %s\n", "", "median", "min", "max", "goal",
	       rounds, aop_loop_engine(loop));
	for (i = 0; i < BENCHES; i++) {
		b = &benches[i];
		qsort(b->ns, rounds, sizeof(*b->ns), compare);
		printf("%-12s %8.1f %8.1f %8.1f", b->name, b->ns[rounds / 2], b->ns[0],
		       b->ns[rounds - 1]);
		if (b->goal)
			printf(" %8.1f", b->goal);
		puts("");
	}
	puts("no peer: tokio (librust-tokio-dev, rustc) is not among the packages of scripts/deps");
	aop_loop_close(loop);
	return 0;
}
