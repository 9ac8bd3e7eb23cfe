// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Several processes log through one.  A producer writes into memory that it shares with the
 * logger, without a system call, and never waits: what finds no room is counted.  Whatever
 * happens to a producer, what it has sent is in the log.  Needs /dev/aop.
 *
 *	loggers [FILE]
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <aop.h>

enum { PRODUCERS = 3, LINES = 20000, PLACES = 256 };

struct line {
	uint32_t nr;			/* those that were lost leave a gap */
	int len;
	char text[56];
};

/* ---- a producer ------------------------------------------------------------- */

static int producer(int nr, int sock)
{
	struct aop_shared_stream side;
	struct aop_transfer wait;
	struct aop_loop *loop;
	struct aop_sender tx;
	struct aop_ctx *ctx;
	struct line l;
	int ret;

	if (aop_ctx_open(&ctx, NULL) < 0 || aop_loop_open(&loop, NULL) < 0)
		return 1;
	ret = aop_stream_accept(&side, ctx, sock, NULL);
	if (ret < 0 || aop_sender_init(&tx, &side.stream, 0) < 0)
		return 1;
	aop_loop_add(loop, ctx);
	for (l.nr = 0; l.nr < LINES; l.nr++) {
		l.len = snprintf(l.text, sizeof(l.text), "%d: line %u\n", nr, l.nr);
		if (aop_stream_try_push(&tx, &l, sizeof(l)) == -EPIPE)
			return 1;	/* there is no logger any more */
		if (nr == 0 && l.nr == LINES / 2)
			raise(SIGKILL);
	}
	/* The last one says how many there were; for that it waits. */
	l.len = snprintf(l.text, sizeof(l.text), "%d: %llu lost\n", nr,
			 (unsigned long long)aop_stream_lost(&side.stream));
	if (aop_loop_get(loop, aop_stream_push(&tx, &wait, &l, sizeof(l))) != 1)
		return 1;
	aop_sender_end(&tx);
	aop_sender_drop(&tx);
	aop_stream_close(&side);
	aop_loop_close(loop);
	aop_ctx_close(ctx);
	return 0;
}

/* ---- the logger: a task for each producer ------------------------------------- */

struct source {
	struct aop_task task;
	struct aop_shared_stream side;
	struct aop_receiver rx;
	struct aop_transfer wait;
	struct aop_io io;
	struct line line;
	pid_t pid;
	int fd;
	uint32_t next, lines, lost;
};

static int64_t write_out(struct aop_task *t)
{
	struct source *s = aop_container(t, struct source, task);
	int64_t ret;

	AOP_BEGIN(t);
	for (;;) {
		AOP_AWAIT(ret, aop_stream_pop(&s->rx, &s->wait, &s->line, sizeof(s->line)));
		if (ret <= 0)
			return ret;	/* 0: the end; -EOWNERDEAD: it was killed */
		s->lost += s->line.nr - s->next;
		s->next = s->line.nr + 1;
		s->lines++;
		AOP_AWAIT(ret, aop_write_all(t->loop, &s->io, s->fd, s->line.text, s->line.len,
					     -1));
		if (ret < 0)
			return ret;
	}
	AOP_END(0);
}

int main(int argc, char **argv)
{
	static struct source s[PRODUCERS];
	struct aop *op[PRODUCERS];
	struct aop_loop *loop;
	struct aop_ctx *ctx;
	int i, ret, fd, sv[2], status, wrong = 0;
	int64_t end;

	fd = open(argc > 1 ? argv[1] : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0644);
	ret = aop_ctx_open(&ctx, NULL);
	if (fd < 0 || ret < 0) {
		fprintf(stderr, "loggers: %s\n", aop_strerror(ret));
		return 1;
	}
	for (i = 0; i < PRODUCERS; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
			return 1;
		s[i].pid = fork();
		if (!s[i].pid)
			return producer(i, sv[1]);
		s[i].fd = fd;
		ret = aop_stream_offer(&s[i].side, ctx, sv[0], AOP_RECEIVES,
				       AOP_STREAM_OPTS(.place = sizeof(struct line),
						       .places = PLACES));
		if (ret < 0)
			return 1;
		aop_receiver_init(&s[i].rx, &s[i].side.stream, 0);
		close(sv[0]);
		close(sv[1]);
	}
	if (aop_loop_open(&loop, NULL) < 0)
		return 1;
	aop_loop_add(loop, ctx);
	for (i = 0; i < PRODUCERS; i++)
		op[i] = aop_spawn(loop, &s[i].task, write_out, NULL, 0);
	for (i = 0; i < PRODUCERS; i++) {
		end = aop_loop_get(loop, op[i]);
		waitpid(s[i].pid, &status, 0);
		printf("%d: %u lines, %u lost: %s\n", i, s[i].lines, s[i].lost,
		       end ? aop_strerror(end) : "complete");
		/* The first was killed, half-way; of the others each line is accounted for. */
		wrong |= i ? end || status || s[i].lines + s[i].lost != LINES + 1 :
			 end != -EOWNERDEAD || s[i].lines + s[i].lost > LINES / 2 + 1;
		aop_receiver_drop(&s[i].rx);
		aop_stream_close(&s[i].side);
	}
	aop_loop_close(loop);
	aop_ctx_close(ctx);
	return wrong;
}
