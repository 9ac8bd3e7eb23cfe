// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A task that takes what comes first: an item, or a while of silence.
 */
#include <stdio.h>
#include <aop.h>

struct reader {
	struct aop_task task;
	struct aop_receiver rx;
	struct aop_transfer wait;
	struct aop_timer quiet;
	struct aop_group first;
	struct aop_member members[2];
	int item, items, silences;
};

static int64_t reader(struct aop_task *t)
{
	struct reader *r = aop_container(t, struct reader, task);
	int64_t which;

	AOP_BEGIN(t);
	for (;;) {
		AOP_AWAIT(which,
			  aop_any(&r->first, r->members,
				  AOP_OPS(aop_stream_pop(&r->rx, &r->wait, &r->item,
							 sizeof(r->item)),
					  aop_sleep(t->loop, &r->quiet, AOP_MS(20))),
				  AOP_CANCEL_REST));
		if (which < 0)
			return which;			/* we were cancelled */
		if (aop_state(&r->wait.op) != AOP_DONE) {
			puts("quiet");
			r->silences++;
			continue;
		}
		if (!aop_result(&r->wait.op))		/* the end */
			return 0;
		printf("%d\n", r->item);		/* also when it came second */
		r->items++;
	}
	AOP_END(0);
}

struct writer {
	struct aop_task task;
	struct aop_sender tx;
	struct aop_timer pause;
	int i;
};

static int64_t writer(struct aop_task *t)
{
	struct writer *w = aop_container(t, struct writer, task);
	int64_t ret;

	AOP_BEGIN(t);
	for (w->i = 0; w->i < 5; w->i++) {
		if (aop_stream_try_push(&w->tx, &w->i, sizeof(w->i)) < 0)
			return -ENOSPC;
		if (w->i != 2)
			continue;
		AOP_AWAIT(ret, aop_sleep(t->loop, &w->pause, AOP_MS(50)));
		if (ret < 0)
			return ret;
	}
	aop_sender_drop(&w->tx);		/* the end */
	AOP_END(0);
}

int main(void)
{
	static _Alignas(16) char mem[AOP_STREAM_MEM(sizeof(int), 16)];
	static const struct aop_stream_opts opts = {
		.size = sizeof(opts), .place = sizeof(int), .places = 16,
	};
	struct reader r = { .items = 0 };
	struct writer w = { .i = 0 };
	struct aop_stream stream;
	struct aop_loop *loop;

	if (aop_loop_open(&loop, NULL) < 0 ||
	    aop_stream_init(&stream, AOP_PRIVATE, mem, sizeof(mem), &opts) < 0 ||
	    aop_sender_init(&w.tx, &stream, AOP_DROP_ENDS) < 0 ||
	    aop_receiver_init(&r.rx, &stream, 0) < 0)
		return 1;
	aop_spawn(loop, &r.task, reader, NULL, 0);
	aop_spawn(loop, &w.task, writer, NULL, 0);
	aop_loop_run(loop, AOP_RUN_ALL);	/* until nothing is left */
	aop_loop_close(loop);
	return r.items != 5 || !r.silences;
}
