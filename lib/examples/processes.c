// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A server does three jobs; a client watches them from its own epoll loop.
 * The server dies half-way: every job that is open ends at once.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <aop.h>

enum { JOBS = 3 };

static int server(int sock)
{
	struct aop_ctx *ctx;
	struct aop op[JOBS];
	struct aop_owner *job[JOBS];
	int i, n, r = aop_ctx_open(&ctx, NULL);

	if (r < 0)
		return r;
	for (i = 0; i < JOBS && r >= 0; i++) {
		aop_init(&op[i], ctx);
		job[i] = aop_owner(&op[i]);
		r = aop_pass(&op[i], sock, AOP_MAY_LOOK | AOP_MAY_CANCEL);
		aop_drop(&op[i]);		/* we drive it, they watch */
		if (r >= 0)
			r = aop_start(job[i]);
	}
	for (n = 1; n <= 100 && r >= 0; n++) {
		usleep(20000);
		aop_cork(ctx);			/* one system call for all */
		for (i = 0; i < JOBS; i++)
			aop_progress(job[i], n, 100);
		aop_uncork(ctx);
	}
	aop_done(job[0], 100);
	return r;		/* jobs 1 and 2: FAILED, -EOWNERDEAD */
}

static int left = JOBS;

static void changed(struct aop_watch *w, const struct aop_status *st)
{
	printf("%s: %s, %llu%%", (char *)w->data, aop_state_name(st->state),
	       (unsigned long long)st->done);
	if (st->state == AOP_FAILED)
		printf(", %s", strerror(-st->result));
	puts("");
	if (st->state >= AOP_DONE)
		left--;
}

static int client(int sock)
{
	static char *names[JOBS] = { "a", "b", "c" };
	struct aop_ctx *ctx;
	struct aop op[JOBS];
	struct aop_watch watch[JOBS];
	struct epoll_event ev = { .events = EPOLLIN };
	int i, r, ep = epoll_create1(EPOLL_CLOEXEC);

	r = aop_ctx_open(&ctx, NULL);
	if (r < 0)
		return r;
	for (i = 0; i < JOBS; i++) {
		aop_take(&op[i], ctx, sock);	/* or it is FAILED: we are told */
		aop_watch(&op[i], &watch[i], changed, names[i], AOP_INLINE);
	}

	ev.data.ptr = ctx;
	epoll_ctl(ep, EPOLL_CTL_ADD, aop_ctx_fd(ctx), &ev);
	while (left && epoll_wait(ep, &ev, 1, -1) >= 0)
		aop_ctx_dispatch(ctx);		/* no system call in here */
	aop_ctx_close(ctx);
	return 0;
}

int main(void)
{
	int sv[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return 1;
	r = fork() ? client(sv[0]) : server(sv[1]);
	if (r < 0)
		fprintf(stderr, "processes: %s\n", aop_strerror(r));
	return r < 0;
}
