// SPDX-License-Identifier: GPL-2.0
/*
 * Level, edge, oneshot and exclusive epoll on the descriptors of contexts and of
 * operations: W10.
 */
#include "behave.h"

#include <semaphore.h>
#include <sys/epoll.h>

FIXTURE(epoll) {
	struct abi_ctx a;	/* the owner's */
	struct abi_ctx b;	/* the waiters' */
	uint64_t own, see;	/* one operation in both */
};

FIXTURE_SETUP(epoll)
{
	ASSERT_EQ(0, abi_open(&self->a, 1024));
	ASSERT_EQ(0, abi_open(&self->b, 1024));
	self->own = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, self->own);
	self->see = watch(&self->a, self->own, &self->b, 0);
	ASSERT_NE(0, self->see);
}

FIXTURE_TEARDOWN(epoll)
{
	abi_close(&self->a);
	abi_close(&self->b);
}

static int add(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

/* What epoll says now, or 0. */
static uint32_t ready(int ep)
{
	struct epoll_event ev = { 0 };

	return epoll_wait(ep, &ev, 1, 0) == 1 ? ev.events : 0;
}

TEST_F(epoll, W10_context_level)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	uint64_t h, w;

	ASSERT_EQ(0, add(ep, self->b.fd, EPOLLIN));
	EXPECT_EQ(0, ready(ep));
	h = abi_new(&self->a, 0, 0);
	w = watch(&self->a, h, &self->b, AOP_EV_CHANGE);
	ASSERT_NE(0, w);
	EXPECT_EQ(0, ready(ep));
	ASSERT_EQ(0, abi_start(&self->a, h));
	EXPECT_EQ(EPOLLIN, ready(ep));
	EXPECT_EQ(EPOLLIN, ready(ep));
	EXPECT_TRUE(reap_only(&self->b, w));
	EXPECT_EQ(0, ready(ep));
	ASSERT_EQ(0, abi_done(&self->a, h, 0));
	EXPECT_EQ(EPOLLIN, ready(ep));
	close(ep);
}

TEST_F(epoll, W10_context_edge)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	uint64_t h, w;

	h = abi_new(&self->a, 0, 0);
	w = watch(&self->a, h, &self->b, AOP_EV_CHANGE);
	ASSERT_NE(0, w);
	ASSERT_EQ(0, add(ep, self->b.fd, EPOLLIN | EPOLLET));
	ASSERT_EQ(0, abi_start(&self->a, h));
	EXPECT_EQ(EPOLLIN, ready(ep));
	EXPECT_EQ(0, ready(ep));
	/* Emptied, so the next one is an edge; not looking at it is no loss. */
	EXPECT_TRUE(reap_only(&self->b, w));
	ASSERT_EQ(0, abi_progress(&self->a, h, 1, 2));
	EXPECT_EQ(EPOLLIN, ready(ep));
	EXPECT_TRUE(reap_only(&self->b, w));
	ASSERT_EQ(0, abi_done(&self->a, h, 0));
	EXPECT_EQ(EPOLLIN, ready(ep));
	close(ep);
}

TEST_F(epoll, W10_context_oneshot)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };
	uint64_t h;

	h = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, watch(&self->a, h, &self->b, AOP_EV_CHANGE));
	ASSERT_EQ(0, add(ep, self->b.fd, EPOLLIN | EPOLLONESHOT));
	ASSERT_EQ(0, abi_start(&self->a, h));
	EXPECT_EQ(EPOLLIN, ready(ep));
	abi_drain(&self->b);
	ASSERT_EQ(0, abi_progress(&self->a, h, 1, 2));
	EXPECT_EQ(0, ready(ep));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_MOD, self->b.fd, &ev));
	EXPECT_EQ(EPOLLIN, ready(ep));
	EXPECT_EQ(0, ready(ep));
	close(ep);
}

struct sleeper {
	int ep;
	int got;
	sem_t *woken;
	pthread_t thread;
};

static void *sleeper_run(void *arg)
{
	struct sleeper *s = arg;
	struct epoll_event ev;

	s->got = epoll_wait(s->ep, &ev, 1, -1);
	sem_post(s->woken);
	return NULL;
}

/* Start @n threads that sleep in epoll_wait on sets of their own. */
static int sleepers_start(struct sleeper *s, int n, int fd, uint32_t events, sem_t *woken)
{
	int i;

	for (i = 0; i < n; i++) {
		s[i].got = 0;
		s[i].woken = woken;
		s[i].ep = epoll_create1(EPOLL_CLOEXEC);
		if (s[i].ep < 0 || add(s[i].ep, fd, events) ||
		    pthread_create(&s[i].thread, NULL, sleeper_run, &s[i]))
			return -1;
	}
	return 0;
}

/* Exclusive: each event wakes at least one of those that still sleep. */
TEST_F(epoll, W10_context_exclusive)
{
	struct sleeper s[4];
	int i, woken = 0;
	sem_t sem;
	uint64_t h;

	h = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, watch(&self->a, h, &self->b, AOP_EV_CHANGE));
	ASSERT_EQ(0, sem_init(&sem, 0, 0));
	ASSERT_EQ(0, sleepers_start(s, 4, self->b.fd, EPOLLIN | EPOLLEXCLUSIVE, &sem));
	while (woken < 4) {
		ASSERT_EQ(0, abi_progress(&self->a, h, woken, 4));
		ASSERT_EQ(0, sem_wait(&sem));
		for (woken++; !sem_trywait(&sem); woken++)
			;
		abi_drain(&self->b);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(s[i].thread, NULL);
		EXPECT_EQ(1, s[i].got);
		close(s[i].ep);
	}
}

TEST_F(epoll, W10_op_fd_level_and_edge)
{
	int fd = abi_export(&self->a, self->own, AOP_MAY_LOOK);
	int level = epoll_create1(EPOLL_CLOEXEC), edge = epoll_create1(EPOLL_CLOEXEC);
	struct aop_status st;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, add(level, fd, EPOLLIN));
	ASSERT_EQ(0, add(edge, fd, EPOLLIN | EPOLLET));
	/* Readable when final, and for nothing else. */
	ASSERT_EQ(0, abi_start(&self->a, self->own));
	ASSERT_EQ(0, abi_progress(&self->a, self->own, 1, 2));
	ASSERT_EQ(AOP_ASKED, abi_cancel(&self->a, self->own, 0));
	EXPECT_EQ(0, ready(level));
	EXPECT_EQ(0, ready(edge));
	ASSERT_EQ(0, abi_done(&self->a, self->own, 3));
	EXPECT_EQ(EPOLLIN, ready(level));
	EXPECT_EQ(EPOLLIN, ready(edge));
	EXPECT_EQ(0, ready(edge));
	EXPECT_EQ(sizeof(st), read(fd, &st, sizeof(st)));
	EXPECT_EQ(3, st.result);
	EXPECT_EQ(EPOLLIN, ready(level));
	/* Added when it is readable already. */
	close(edge);
	edge = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_EQ(0, add(edge, fd, EPOLLIN | EPOLLET));
	EXPECT_EQ(EPOLLIN, ready(edge));
	EXPECT_EQ(0, ready(edge));
	close(level);
	close(edge);
	close(fd);
}

TEST_F(epoll, W10_op_fd_oneshot_and_exclusive)
{
	int fd = abi_export(&self->a, self->own, AOP_MAY_LOOK);
	int once = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };
	struct sleeper s[4];
	sem_t sem;
	int i;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, sem_init(&sem, 0, 0));
	ASSERT_EQ(0, add(once, fd, EPOLLIN | EPOLLONESHOT));
	ASSERT_EQ(0, sleepers_start(s, 4, fd, EPOLLIN | EPOLLEXCLUSIVE, &sem));
	ASSERT_EQ(0, abi_done(&self->a, self->own, 0));
	EXPECT_EQ(EPOLLIN, ready(once));
	EXPECT_EQ(0, ready(once));
	ASSERT_EQ(0, epoll_ctl(once, EPOLL_CTL_MOD, fd, &ev));
	EXPECT_EQ(EPOLLIN, ready(once));
	/* At least one of them; it stays readable for whoever looks again. */
	ASSERT_EQ(0, sem_wait(&sem));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(EPOLLIN, ready(s[i].ep));
		pthread_cancel(s[i].thread);
		pthread_join(s[i].thread, NULL);
		close(s[i].ep);
	}
	close(once);
	close(fd);
}

TEST_HARNESS_MAIN
