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

struct line {
	int len;
	char text[252];
};

struct log {
	struct aop_task task;
	struct aop_queue queue;
	struct aop_waiter wait;
	struct aop_io io;
	struct line line;
	int fd;
};

/* Any thread.  Never blocks: when the queue is full the line is counted lost. */
static void log_line(struct log *l, const char *fmt, ...)
{
	struct line *line = aop_queue_reserve(&l->queue);
	va_list ap;

	if (!line)
		return;
	va_start(ap, fmt);
	line->len = vsnprintf(line->text, sizeof(line->text), fmt, ap);
	if (line->len >= (int)sizeof(line->text))
		line->len = sizeof(line->text) - 1;
	va_end(ap);
	aop_queue_commit(&l->queue, line);
}

static int64_t write_out(struct aop_task *t)
{
	struct log *l = aop_container(t, struct log, task);
	int64_t n;

	AOP_BEGIN(t);
	for (;;) {
		AOP_AWAIT(n, aop_queue_pop(&l->queue, &l->wait, &l->line));
		if (n <= 0)
			return n;		/* the end, after the last line */
		AOP_AWAIT(n, aop_write_all(t->loop, &l->io, l->fd, l->line.text,
					   l->line.len, -1));
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
	static struct line lines[1024];
	static struct log l;
	pthread_t thread;
	void *failed;
	int i;

	l.fd = open(argc > 1 ? argv[1] : "/dev/null",
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (l.fd < 0 ||
	    aop_queue_init(&l.queue, AOP_LOCAL, lines, sizeof(*lines), 1024) < 0 ||
	    pthread_create(&thread, NULL, log_thread, &l))
		return 1;

	for (i = 0; i < 100000; i++)
		log_line(&l, "line %d\n", i);

	aop_queue_end(&l.queue);
	pthread_join(thread, &failed);
	printf("%llu lost\n", (unsigned long long)aop_queue_lost(&l.queue));
	return failed ? 1 : 0;
}
