// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An epoll loop that exists already drives everything of aop through one descriptor.
 */
#include <stdio.h>
#include <sys/epoll.h>
#include <aop.h>

static void tick(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	puts(w->data);
}

int main(void)
{
	struct aop_loop *loop;
	struct aop_timer timer;
	struct aop_watch watch;
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0 || aop_loop_open(&loop, NULL) < 0)
		return 1;
	epoll_ctl(ep, EPOLL_CTL_ADD, aop_loop_fd(loop), &ev);

	aop_then(aop_sleep(loop, &timer, AOP_MS(200)), &watch, tick, "a moment",
		 AOP_INLINE);

	while (!aop_is_over(&timer.op) && epoll_wait(ep, &ev, 1, -1) > 0)
		aop_loop_dispatch(loop);	/* never blocks */
	aop_loop_close(loop);
	return 0;
}
