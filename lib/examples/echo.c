// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * TCP echo server: a task a connection, idle ones are closed, SIGINT ends it all.
 *
 *	echo [PORT]
 *
 * Without a port it takes any, and is visited once by a task of its own.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <aop.h>

static int64_t idle_limit = AOP_SEC(30);

/* --- a connection --------------------------------------------------------- */

struct conn {
	struct aop_task task;
	struct aop_io io;
	struct aop_within idle;
	int fd;
	char buf[4096];
};

static int64_t echo(struct aop_task *t)
{
	struct conn *c = aop_container(t, struct conn, task);
	int64_t n;

	AOP_BEGIN(t);
	for (;;) {
		AOP_AWAIT(n, aop_within(t->loop, &c->idle, idle_limit,
					aop_recv(t->loop, &c->io, c->fd, c->buf,
						 sizeof(c->buf), 0)));
		if (n <= 0)			/* hung up, idle, or we are cancelled */
			return n;
		AOP_AWAIT(n, aop_write_all(t->loop, &c->io, c->fd, c->buf, n, -1));
		if (n < 0)
			return n;
	}
	AOP_END(0);
}

/* Runs once, however the task ends; nobody watches it, so it may free itself. */
static int64_t hang_up(struct aop_task *t)
{
	struct conn *c = aop_container(t, struct conn, task);

	close(c->fd);
	free(c);
	return 0;
}

/* --- the server ----------------------------------------------------------- */

struct server {
	struct aop_task task;
	struct aop_io io;
	int fd;
};

static int64_t serve(struct aop_task *t)
{
	struct server *s = aop_container(t, struct server, task);
	struct conn *c;
	int64_t fd;

	AOP_BEGIN(t);
	for (;;) {
		AOP_AWAIT(fd, aop_accept(t->loop, &s->io, s->fd, SOCK_CLOEXEC));
		if (fd < 0)
			return fd;
		c = calloc(1, sizeof(*c));
		if (!c) {
			close(fd);
			continue;
		}
		c->fd = fd;
		/* Cancelled with us; and we are not over before it is. */
		aop_spawn(t->loop, &c->task, echo, hang_up, AOP_CHILD | AOP_DETACHED);
	}
	AOP_END(0);
}

/* --- a visitor ------------------------------------------------------------ */

struct visitor {
	struct aop_task task;
	struct aop_io io;
	struct sockaddr_in addr;
	int fd;
	char buf[16];
};

static int64_t visit(struct aop_task *t)
{
	struct visitor *v = aop_container(t, struct visitor, task);
	int64_t n;

	AOP_BEGIN(t);
	v->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AOP_AWAIT(n, aop_connect(t->loop, &v->io, v->fd, (struct sockaddr *)&v->addr,
				 sizeof(v->addr)));
	if (n < 0)
		return n;
	AOP_AWAIT(n, aop_write_all(t->loop, &v->io, v->fd, "hello", 5, -1));
	if (n < 0)
		return n;
	AOP_AWAIT(n, aop_recv(t->loop, &v->io, v->fd, v->buf, 5, MSG_WAITALL));
	if (n != 5 || memcmp(v->buf, "hello", 5))
		return -EPROTO;
	/* Say nothing: the server hangs up. */
	AOP_AWAIT(n, aop_recv(t->loop, &v->io, v->fd, v->buf, sizeof(v->buf), 0));
	AOP_END(n);
}

static int64_t leave(struct aop_task *t)
{
	close(aop_container(t, struct visitor, task)->fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct server s = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	socklen_t len = sizeof(addr);
	struct aop_loop *loop;
	struct aop_io sigint;
	struct visitor v = { .fd = -1 };
	int64_t r = 0;

	if (aop_loop_open(&loop, NULL) < 0 || s.fd < 0 ||
	    bind(s.fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(s.fd, 128) ||
	    getsockname(s.fd, (struct sockaddr *)&addr, &len)) {
		perror("echo");
		return 1;
	}
	printf("port %d, %s\n", ntohs(addr.sin_port), aop_loop_engine(loop));

	aop_spawn(loop, &s.task, serve, NULL, 0);
	if (argc > 1) {
		aop_loop_get(loop, aop_sigwait(loop, &sigint, SIGINT));
	} else {
		idle_limit = AOP_MS(50);
		v.addr = addr;
		r = aop_loop_get(loop, aop_spawn(loop, &v.task, visit, leave, 0));
		printf("visitor: %lld\n", (long long)r);
	}
	aop_cancel(&s.task.op, 0);
	aop_loop_get(loop, &s.task.op);
	aop_loop_close(loop);
	close(s.fd);
	return r ? 1 : 0;
}
