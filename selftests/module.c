// SPDX-License-Identifier: GPL-2.0
/*
 * The module's own life, K1: it stays while anything of it is in use, goes when
 * nothing is, and comes again.
 *
 * Needs a kernel where nobody else uses /dev/aop at that time, and the module's
 * file to load it again (reload.h).  It says so when one is missing.
 */
#include "behave.h"
#include "reload.h"

#include <sys/epoll.h>

static long long users(void)
{
	return proc_number("/sys/module/aop/refcnt", "");
}

FIXTURE(module) {
	long long before;
};

FIXTURE_SETUP(module)
{
	self->before = users();
	ASSERT_LE(0, self->before);
}

FIXTURE_TEARDOWN(module)
{
}

/* Refused, and nothing broken by the attempt. */
#define EXPECT_IN_USE()								\
do {										\
	EXPECT_LT(self->before, users());					\
	EXPECT_EQ(-EWOULDBLOCK, unload());					\
} while (0)

TEST_F(module, K1_an_open_context_keeps_it)
{
	struct abi_ctx c;
	uint64_t h;
	int fd;

	fd = abi_open_file();
	ASSERT_GE(fd, 0);
	EXPECT_IN_USE();
	close(fd);
	EXPECT_EQ(self->before, users());
	ASSERT_EQ(0, abi_open(&c, 8));
	EXPECT_IN_USE();
	h = new_running(&c, AOP_EV_ALL);
	EXPECT_NE(0, h);
	EXPECT_EQ(0, abi_done(&c, h, 0));
	abi_close(&c);
	EXPECT_EQ(self->before, users());
}

TEST_F(module, K1_a_descriptor_of_an_operation_keeps_it)
{
	struct aop_status st;
	struct abi_ctx c;
	uint64_t h;
	int fd;

	ASSERT_EQ(0, abi_open(&c, 8));
	h = abi_new(&c, 0, 0);
	ASSERT_NE(0, h);
	fd = abi_export(&c, h, AOP_MAY_LOOK);
	ASSERT_GE(fd, 0);
	abi_close(&c);
	EXPECT_IN_USE();
	/* And it works, alone as it is. */
	EXPECT_EQ(sizeof(st), read(fd, &st, sizeof(st)));
	EXPECT_EQ(-EOWNERDEAD, st.result);
	close(fd);
	EXPECT_EQ(self->before, users());
}

TEST_F(module, K1_a_mapping_keeps_it)
{
	struct abi_ctx c;
	uint64_t h;

	ASSERT_EQ(0, abi_open(&c, 8));
	h = abi_new(&c, 0x1234, 0);
	ASSERT_NE(0, h);
	close(c.fd);
	EXPECT_IN_USE();
	/* Readable, and the context is there: its operation has not ended. */
	EXPECT_EQ(0x1234, status_of(&c, h).data);
	EXPECT_EQ(AOP_PENDING, abi_state(&c, h));
	c.fd = -1;
	abi_unmap(&c);
	EXPECT_EQ(self->before, users());
}

TEST_F(module, K1_an_epoll_set_does_not_outlive_it)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct abi_ctx c;

	ASSERT_EQ(0, abi_open(&c, 8));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, c.fd, &ev));
	EXPECT_IN_USE();
	abi_close(&c);
	/* An item of an epoll set goes with the file. */
	EXPECT_EQ(self->before, users());
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	close(ep);
}

TEST_F(module, K1_unloads_and_loads_again)
{
	uint64_t own[10], see[10], id = 0;
	struct abi_ctx a, b;
	int i, k, ret;

	if (!module_file())
		SKIP(return, "no AOP_KO: which file to load?");
	if (self->before)
		SKIP(return, "%lld others use it", self->before);
	for (k = 0; k < 3; k++) {
		ASSERT_EQ(0, unload());
		EXPECT_EQ(-ENOENT, abi_open_file());
		EXPECT_EQ(-1, access("/sys/module/aop", F_OK));
		ASSERT_EQ(0, load());
		/* The node comes with it; whoever makes it may need a moment. */
		while ((ret = abi_open(&a, 64)) == -ENOENT)
			sched_yield();
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, abi_open(&b, 64));
		/* Leave some of everything behind: handles, a deadline, groups. */
		for (i = 0; i < 10; i++) {
			own[i] = new_deadline(&a, AOP_EV_ALL,
					      i % 2 ? AOP_FOREVER_NS - 1 : 0);
			ASSERT_NE(0, own[i]);
			see[i] = watch(&a, own[i], &b, AOP_EV_ALL);
			ASSERT_NE(0, see[i]);
		}
		ASSERT_EQ(0, abi_group(&b, see, 10, 10, 0, 0, &id));
		ASSERT_EQ(0, abi_group(&b, &id, 1, 1, AOP_GROUP_CANCEL_REST, 0, &id));
		EXPECT_EQ(AOP_ASKED, abi_cancel(&b, id, 0));
		EXPECT_IN_USE();
		abi_close(&b);
		abi_close(&a);
		EXPECT_EQ(0, users());
	}
}

TEST_HARNESS_MAIN
