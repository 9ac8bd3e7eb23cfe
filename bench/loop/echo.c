// SPDX-License-Identifier: GPL-2.0
/*
 * TCP echo on loopback: one server thread with n connections, and one client thread, the
 * same for all, that keeps one message in flight on each.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "bench.h"

#define MESSAGE		64
#define TIME_NS		100000000
#define MAX_CONNS		64

/* ---- the client ------------------------------------------------------------------ */

struct client {
	int fd[MAX_CONNS], n;
	uint64_t messages;
	int64_t time;
};

static void *client(void *arg)
{
	struct client *c = arg;
	char buf[MESSAGE] = "";
	struct epoll_event ev[MAX_CONNS];
	int ep = epoll_create1(0), i, n;
	int64_t begin = clock_ns(CLOCK_MONOTONIC), now = begin;

	for (i = 0; i < c->n; i++) {
		ev[0].events = EPOLLIN;
		ev[0].data.fd = c->fd[i];
		epoll_ctl(ep, EPOLL_CTL_ADD, c->fd[i], ev);
		must(send(c->fd[i], buf, MESSAGE, 0) == MESSAGE, "send");
	}
	while (now - begin < TIME_NS) {
		n = epoll_wait(ep, ev, MAX_CONNS, -1);
		for (i = 0; i < n; i++) {
			must(recv(ev[i].data.fd, buf, MESSAGE, 0) == MESSAGE, "recv");
			must(send(ev[i].data.fd, buf, MESSAGE, 0) == MESSAGE, "send");
		}
		c->messages += n;
		now = clock_ns(CLOCK_MONOTONIC);
	}
	c->time = now - begin;
	for (i = 0; i < c->n; i++)
		shutdown(c->fd[i], SHUT_WR);
	for (i = 0; i < c->n; i++)
		while (recv(c->fd[i], buf, MESSAGE, 0) > 0)
			;
	close(ep);
	return NULL;
}

static void make_connections(struct client *c, int *server, int n)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int i, one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(!bind(s, (struct sockaddr *)&a, len) && !listen(s, n) &&
	     !getsockname(s, (struct sockaddr *)&a, &len), "listen");
	for (i = 0; i < n; i++) {
		c->fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		must(!connect(c->fd[i], (struct sockaddr *)&a, len), "connect");
		server[i] = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		must(server[i] >= 0, "accept4");
		setsockopt(c->fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(server[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	c->n = n;
	close(s);
}

/* ---- aop --------------------------------------------------------------------------- */

struct conn {
	struct aop_loop *l;
	struct aop_io io;
	struct aop_watch w;
	int fd;
	char buf[4096];
};

static void received(struct aop_watch *w, const struct aop_status *st);

static void sent(struct aop_watch *w, const struct aop_status *st)
{
	struct conn *c = w->data;

	if (st->state == AOP_DONE)
		aop_then(aop_recv(c->l, &c->io, c->fd, c->buf, sizeof(c->buf), 0), &c->w,
			 received, c, AOP_INLINE);
}

static void received(struct aop_watch *w, const struct aop_status *st)
{
	struct conn *c = w->data;

	if (st->result > 0)
		aop_then(aop_write_all(c->l, &c->io, c->fd, c->buf, st->result, -1), &c->w, sent,
			 c, AOP_INLINE);
}

static void aop_server(enum side side, int *fd, int n, struct client *cl)
{
	struct conn *c = calloc(n, sizeof(*c));
	struct aop_loop *l = open_loop(side);
	pthread_t thread;
	int i;

	must(!!c, "calloc");
	for (i = 0; i < n; i++) {
		c[i].l = l;
		c[i].fd = fd[i];
		aop_then(aop_recv(l, &c[i].io, fd[i], c[i].buf, sizeof(c[i].buf), 0), &c[i].w,
			 received, &c[i], AOP_INLINE);
	}
	must(!pthread_create(&thread, NULL, client, cl), "pthread_create");
	aop_loop_run(l, AOP_RUN_ALL);
	for (i = 0; i < n; i++)
		close(fd[i]);
	pthread_join(thread, NULL);
	aop_loop_close(l);
	free(c);
}

/* ---- libuv -------------------------------------------------------------------------- */

struct uv_conn {
	uv_tcp_t tcp;
	uv_write_t req;
	char buf[4096];
};

static void uv_room(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	struct uv_conn *c = (struct uv_conn *)h;

	(void)size;
	*buf = uv_buf_init(c->buf, sizeof(c->buf));
}

static void uv_sent(uv_write_t *req, int status)
{
	(void)req;
	(void)status;
}

static void uv_received(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct uv_conn *c = (struct uv_conn *)s;
	uv_buf_t out;

	if (n < 0) {
		uv_close((uv_handle_t *)s, NULL);
	} else if (n > 0) {
		out = uv_buf_init(buf->base, n);
		uv_write(&c->req, s, &out, 1, uv_sent);
	}
}

static void uv_server(int *fd, int n, struct client *cl)
{
	struct uv_conn *c = calloc(n, sizeof(*c));
	pthread_t thread;
	uv_loop_t l;
	int i;

	must(!!c, "calloc");
	uv_loop_init(&l);
	for (i = 0; i < n; i++) {
		uv_tcp_init(&l, &c[i].tcp);
		uv_tcp_open(&c[i].tcp, fd[i]);
		uv_read_start((uv_stream_t *)&c[i].tcp, uv_room, uv_received);
	}
	must(!pthread_create(&thread, NULL, client, cl), "pthread_create");
	uv_run(&l, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	uv_loop_close(&l);
	free(c);
}

double run_echo(enum side side, int n)
{
	struct client c = { .n = 0 };
	int server[MAX_CONNS], i;

	make_connections(&c, server, n);
	if (side == LIBUV)
		uv_server(server, n, &c);
	else
		aop_server(side, server, n, &c);
	for (i = 0; i < n; i++)
		close(c.fd[i]);
	return (double)c.time / c.messages;
}
