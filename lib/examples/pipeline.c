// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A pipeline of two threads, each with a loop of its own: one makes numbers, the other
 * adds them up.  The stream between them is bounded, so the faster one waits for the
 * slower one, and no thread ever blocks but in its loop.
 */
#include <pthread.h>
#include <stdio.h>
#include <aop.h>

enum { COUNT = 100000, PLACES = 64 };

struct stage {
	struct aop_task task;
	struct aop_sender tx;		/* one has this, */
	struct aop_receiver rx;		/* the other one this */
	struct aop_transfer wait;
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
		AOP_AWAIT(ret, aop_stream_push(&s->tx, &s->wait, &s->item, sizeof(s->item)));
		if (ret < 0)
			return ret;
	}
	aop_sender_drop(&s->tx);		/* the end */
	AOP_END(0);
}

static int64_t consume(struct aop_task *t)
{
	struct stage *s = aop_container(t, struct stage, task);
	int64_t ret;

	AOP_BEGIN(t);
	for (;;) {
		AOP_AWAIT(ret, aop_stream_pop(&s->rx, &s->wait, &s->item, sizeof(s->item)));
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
	static _Alignas(16) char mem[AOP_STREAM_MEM(sizeof(int64_t), PLACES)];
	static const struct aop_stream_opts opts = {
		.size = sizeof(opts), .place = sizeof(int64_t), .places = PLACES,
	};
	struct stage stages[2] = { { .run = produce }, { .run = consume } };
	struct aop_stream stream;
	pthread_t threads[2];
	int i;

	if (aop_stream_init(&stream, AOP_LOCAL, mem, sizeof(mem), &opts) < 0 ||
	    aop_sender_init(&stages[0].tx, &stream, AOP_DROP_ENDS) < 0 ||
	    aop_receiver_init(&stages[1].rx, &stream, 0) < 0)
		return 1;
	for (i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, stage_thread, &stages[i]))
			return 1;
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("%lld\n", (long long)stages[1].result);
	return stages[1].result != (int64_t)COUNT * (COUNT + 1) / 2;
}
