// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A pull pipe: the file is read chunk by chunk, each when it is asked for, and into the
 * place where the reader finds it.  There is never more than one chunk in memory.
 *
 *	pull [FILE]
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <aop.h>

enum { CHUNK = 65536 };

/* The producer: a file, and the end of the stream that it sends into. */
struct source {
	struct aop_loop *loop;
	struct aop_sender tx;
	struct aop_message chunk;
	struct aop_watch watch;
	struct aop_io io;
	int fd, reads;
};

static void has_read(struct aop_watch *w, const struct aop_status *st)
{
	struct source *s = w->data;
	int64_t n = aop_result(&s->io.op);

	(void)st;
	if (n > 0) {
		s->chunk.len = n;
		aop_stream_send(&s->tx, &s->chunk);	/* cannot fail */
		return;
	}
	aop_stream_discard(&s->tx, &s->chunk);
	if (n < 0)
		aop_sender_fail(&s->tx, n);
	aop_sender_end(&s->tx);
}

/* Nothing is there, and the consumer waits. */
static void more(struct aop_stream *stream, void *data)
{
	struct source *s = data;

	(void)stream;
	if (aop_stream_acquire(&s->tx, CHUNK, &s->chunk) < 0)
		return;				/* is being read already, or the end */
	s->reads++;
	aop_then(aop_read(s->loop, &s->io, s->fd, s->chunk.data, CHUNK, -1), &s->watch,
		 has_read, s, AOP_INLINE);
}

/* The consumer: a task that awaits one chunk after the other. */
struct consumer {
	struct aop_task task;
	struct aop_receiver rx;
	struct aop_transfer wait;
	struct aop_message chunk;
	uint64_t bytes, lines;
};

static int64_t consume(struct aop_task *t)
{
	struct consumer *c = aop_container(t, struct consumer, task);
	const char *p;
	int64_t ret;

	AOP_BEGIN(t);
	for (;;) {
		AOP_AWAIT(ret, aop_stream_receive(&c->rx, &c->wait, &c->chunk));
		if (ret <= 0)
			return ret;		/* the end, or why there is no more */
		c->bytes += c->chunk.len;
		for (p = c->chunk.data; (p = memchr(p, '\n', (char *)c->chunk.data +
						    c->chunk.len - p)); p++)
			c->lines++;
		aop_stream_retire(&c->rx, &c->chunk, 0);
	}
	AOP_END(0);
}

int main(int argc, char **argv)
{
	static _Alignas(16) char mem[AOP_STREAM_MEM(CHUNK, 1)];
	struct source s = { .fd = open(argc > 1 ? argv[1] : "/proc/self/exe", O_RDONLY) };
	struct consumer c = { .bytes = 0 };
	struct aop_stream stream;
	struct stat st;
	int64_t ret;

	if (s.fd < 0 || fstat(s.fd, &st) < 0 || aop_loop_open(&s.loop, NULL) < 0)
		return 1;
	ret = aop_stream_init(&stream, AOP_PRIVATE, mem, sizeof(mem),
			      AOP_STREAM_OPTS(.place = CHUNK, .places = 1, .more = more,
					      .data = &s));
	if (ret < 0)
		return 1;
	aop_sender_init(&s.tx, &stream, 0);
	aop_receiver_init(&c.rx, &stream, 0);

	ret = aop_loop_get(s.loop, aop_spawn(s.loop, &c.task, consume, NULL, 0));

	printf("%llu lines, %llu bytes in %d reads: %s\n", (unsigned long long)c.lines,
	       (unsigned long long)c.bytes, s.reads, ret ? aop_strerror(ret) : "complete");
	aop_receiver_drop(&c.rx);
	aop_sender_drop(&s.tx);
	aop_loop_close(s.loop);
	return ret || (S_ISREG(st.st_mode) && c.bytes != (uint64_t)st.st_size);
}
