// SPDX-License-Identifier: GPL-2.0
/*
 * A loop inside somebody else's: its descriptor is readable when there is something to do
 * (W10), on both engines.
 */
#include "loop.h"

FIXTURE(embed) {
	struct aop_loop *loop;
};

LOOP_VARIANTS(embed);

FIXTURE_SETUP(embed)
{
	if (variant->flags & AOP_URING && loop_under_valgrind())
		SKIP(return, "valgrind runs no other thread while one is in io_uring_enter()");
	LOOP_OPEN(self->loop);
}

FIXTURE_TEARDOWN(embed)
{
	aop_loop_close(self->loop);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

TEST_F(embed, W10_fd_is_readable_for_timers)
{
	struct aop_timer t;
	struct pollfd p = { .fd = aop_loop_fd(self->loop), .events = POLLIN };

	ASSERT_LE(0, p.fd);
	EXPECT_EQ(p.fd, aop_loop_fd(self->loop));
	aop_loop_dispatch(self->loop);
	EXPECT_FALSE(readable(p.fd));
	aop_sleep(self->loop, &t, AOP_MS(2));
	while (!aop_is_over(&t.op)) {
		ASSERT_TRUE(poll(&p, 1, -1) == 1 || errno == EINTR);
		ASSERT_LE(0, aop_loop_dispatch(self->loop));
	}
	aop_loop_dispatch(self->loop);
	EXPECT_FALSE(readable(p.fd));
	/* A sooner one begun while the alarm is set for a later one */
	aop_sleep(self->loop, &t, AOP_SEC(1000));
	aop_loop_dispatch(self->loop);
	ASSERT_EQ(0, aop_timer_sooner(&t, AOP_MS(1)));
	while (!aop_is_over(&t.op)) {
		ASSERT_TRUE(poll(&p, 1, -1) == 1 || errno == EINTR);
		ASSERT_LE(0, aop_loop_dispatch(self->loop));
	}
}

TEST_F(embed, W10_fd_is_readable_for_files)
{
	struct pollfd p = { .fd = aop_loop_fd(self->loop), .events = POLLIN };
	struct aop_io io;
	char buf[9];
	int sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	aop_loop_dispatch(self->loop);
	aop_recv(self->loop, &io, sv[0], buf, 9, 0);
	aop_loop_dispatch(self->loop);
	aop_loop_dispatch(self->loop);
	EXPECT_FALSE(readable(p.fd));
	ASSERT_EQ(1, write(sv[1], "x", 1));
	while (!aop_is_over(&io.op)) {
		ASSERT_TRUE(poll(&p, 1, -1) == 1 || errno == EINTR);
		ASSERT_LE(0, aop_loop_dispatch(self->loop));
	}
	EXPECT_EQ(1, aop_result(&io.op));
	/* Begun outside: the foreign loop is told that there is something to submit. */
	aop_recv(self->loop, &io, sv[0], buf, 9, 0);
	aop_cancel(&io.op, 0);
	while (!aop_is_over(&io.op)) {
		ASSERT_TRUE(poll(&p, 1, -1) == 1 || errno == EINTR);
		ASSERT_LE(0, aop_loop_dispatch(self->loop));
	}
	close(sv[0]);
	close(sv[1]);
}

static int nr_run;

static void count(struct aop_work *w)
{
	(void)w;
	nr_run++;
}

TEST_F(embed, budget_is_announced)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = variant->flags, .budget = 2 };
	struct aop_work w[5] = { 0 };
	int i, turns = 0;
	struct aop_loop *l;

	ASSERT_EQ(0, aop_loop_open(&l, &o));
	ASSERT_LE(0, aop_loop_fd(l));
	for (i = 0; i < 5; i++) {
		w[i].run = count;
		aop_loop_post(l, &w[i]);
	}
	while (readable(aop_loop_fd(l))) {
		aop_loop_dispatch(l);
		EXPECT_EQ(turns < 2 ? 2 * turns + 2 : 5, nr_run);
		turns++;
	}
	EXPECT_EQ(5, nr_run);
	aop_loop_close(l);
}

TEST_HARNESS_MAIN
