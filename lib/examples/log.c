// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Log from many threads; one thread writes.  Nobody waits for the disk.
 *
 *	log [FILE]
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <aop.h>

enum { LINE = 256, LINES = 1024 };

struct log {
	struct aop_task task;
	struct aop_stream stream;
	struct aop_sender tx;
	struct aop_receiver rx;
	struct aop_transfer wait;
	struct aop_message line;
	struct aop_io io;
	int fd;
};

/* Any thread.  Never blocks: when the stream is full the line is counted lost. */
static void log_line(struct log *l, const char *fmt, ...)
{
	struct aop_message line;
	va_list ap;
	int len;

	if (aop_stream_acquire(&l->tx, LINE, &line) < 0)
		return;
	va_start(ap, fmt);
	len = vsnprintf(line.data, LINE, fmt, ap);
	line.len = len < LINE ? len : LINE - 1;
	va_end(ap);
	aop_stream_send(&l->tx, &line);
}

static int64_t write_out(struct aop_task *t)
{
	struct log *l = aop_container(t, struct log, task);
	int64_t n;

	AOP_BEGIN(t);
	for (;;) {
		AOP_AWAIT(n, aop_stream_receive(&l->rx, &l->wait, &l->line));
		if (n <= 0)
			return n;		/* the end, after the last line */
		/* It is written from where it was put. */
		AOP_AWAIT(n, aop_write_all(t->loop, &l->io, l->fd, l->line.data,
					   l->line.len, -1));
		aop_stream_retire(&l->rx, &l->line, 0);
		if (n < 0)
			return n;
	}
	AOP_END(0);
}

static void *log_thread(void *arg)
{
	struct log *l = arg;
	struct aop_loop *loop;

	if (aop_loop_open(&loop, NULL) < 0)
		return arg;
	aop_loop_get(loop, aop_spawn(loop, &l->task, write_out, NULL, 0));
	aop_loop_close(loop);
	return NULL;
}

int main(int argc, char **argv)
{
	static _Alignas(16) char mem[AOP_STREAM_MEM(LINE, LINES)];
	static const struct aop_stream_opts opts = {
		.size = sizeof(opts), .place = LINE, .places = LINES, .flags = AOP_MANY_SENDERS,
	};
	static struct log l;
	pthread_t thread;
	void *failed;
	int i;

	l.fd = open(argc > 1 ? argv[1] : "/dev/null",
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (l.fd < 0 ||
	    aop_stream_init(&l.stream, AOP_LOCAL, mem, sizeof(mem), &opts) < 0 ||
	    aop_sender_init(&l.tx, &l.stream, AOP_DROP_ENDS) < 0 ||
	    aop_receiver_init(&l.rx, &l.stream, 0) < 0 ||
	    pthread_create(&thread, NULL, log_thread, &l))
		return 1;

	for (i = 0; i < 100000; i++)
		log_line(&l, "line %d\n", i);

	aop_sender_drop(&l.tx);			/* the end */
	pthread_join(thread, &failed);
	printf("%llu lost\n", (unsigned long long)aop_stream_lost(&l.stream));
	return failed ? 1 : 0;
}
