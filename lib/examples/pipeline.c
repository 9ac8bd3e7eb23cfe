// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A pipeline of two threads, each with a loop of its own: one makes numbers, the other
 * adds them up.  The queue between them is bounded, so the faster one waits for the
 * slower one, and no thread ever blocks but in its loop.
 */
#include <pthread.h>
#include <stdio.h>
#include <aop.h>

enum { COUNT = 100000, PLACES = 64 };

struct stage {
	struct aop_task task;
	struct aop_queue *queue;
	struct aop_waiter wait;
	aop_poll_fn *run;
	int64_t item, sum;
	int64_t result;
};

static int64_t produce(struct aop_task *t)
{
	struct stage *s = aop_container(t, struct stage, task);
	int64_t ret;

	AOP_BEGIN(t);
	for (s->item = 1; s->item <= COUNT; s->item++) {
		AOP_AWAIT(ret, aop_queue_push(s->queue, &s->wait, &s->item));
		if (ret < 0)
			return ret;
	}
	aop_queue_end(s->queue);
	AOP_END(0);
}

static int64_t consume(struct aop_task *t)
{
	struct stage *s = aop_container(t, struct stage, task);
	int64_t ret;

	AOP_BEGIN(t);
	for (;;) {
		AOP_AWAIT(ret, aop_queue_pop(s->queue, &s->wait, &s->item));
		if (ret <= 0)
			return ret < 0 ? ret : s->sum;
		s->sum += s->item;
	}
	AOP_END(0);
}

static void *stage_thread(void *arg)
{
	struct stage *s = arg;
	struct aop_loop *loop;

	s->result = aop_loop_open(&loop, NULL);
	if (s->result < 0)
		return NULL;
	s->result = aop_loop_get(loop, aop_spawn(loop, &s->task, s->run, NULL, 0));
	aop_loop_close(loop);
	return NULL;
}

int main(void)
{
	int64_t mem[PLACES];
	struct aop_queue queue;
	struct stage stages[2] = {
		{ .queue = &queue, .run = produce },
		{ .queue = &queue, .run = consume },
	};
	pthread_t threads[2];
	int i;

	if (aop_queue_init(&queue, AOP_LOCAL, mem, sizeof(*mem), PLACES) < 0)
		return 1;
	for (i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, stage_thread, &stages[i]))
			return 1;
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("%lld\n", (long long)stages[1].result);
	return stages[1].result != (int64_t)COUNT * (COUNT + 1) / 2;
}
