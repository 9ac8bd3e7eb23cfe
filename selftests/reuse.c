// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of ops that ended is kept for the next ones of the same context: nothing of
 * the old one may show in the new one, whoever let go last (M1, K1, K7).
 */
#include <poll.h>

#include "harness.h"
#include "abi.h"

#define MANY	200		/* more than are kept */

FIXTURE(reuse) {
	struct abi_ctx own, see;
};

FIXTURE_SETUP(reuse)
{
	ASSERT_EQ(0, abi_open(&self->own, 2 * MANY));
	ASSERT_EQ(0, abi_open(&self->see, 2 * MANY));
}

FIXTURE_TEARDOWN(reuse)
{
	abi_close(&self->own);
	abi_close(&self->see);
}

static int make(struct abi_ctx *c, struct aop_create_entry *e)
{
	*e = (struct aop_create_entry) { .mode = 0600, .state = AOP_RUNNING };
	return abi_create(c, e);
}

static int find(struct abi_ctx *c, uint64_t id, uint64_t *handle)
{
	struct aop_attach_entry a = { .fd = -1, .id = id, .mask = AOP_EV_FINAL };
	int ret = abi_attach(c, &a);

	*handle = a.handle;
	return ret;
}

/* All that can be set is set; then the next op is as new as the first one was. */
TEST_F(reuse, M1_a_new_op_is_new)
{
	struct aop_create_entry old, new;
	struct aop_status st;
	uint64_t handle;
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, make(&self->own, &old));
		ASSERT_EQ(0, find(&self->see, old.id, &handle));
		EXPECT_EQ(0, abi_progress(&self->own, old.handle, 5, 7));
		EXPECT_EQ(AOP_ASKED, abi_cancel(&self->see, handle, -77));
		EXPECT_EQ(0, abi_signal(&self->own, old.handle,
					AOP_SIGNAL_CANCELLED | AOP_SIGNAL_DETACH, 0));
		EXPECT_EQ(0, abi_detach(&self->see, handle, 0));

		ASSERT_EQ(0, make(&self->own, &new));
		EXPECT_NE(old.id, new.id);
		EXPECT_NE(old.handle, new.handle);
		abi_status(&self->own, new.handle, &st);
		EXPECT_EQ(AOP_RUNNING, st.word);
		EXPECT_EQ(0, st.reason);
		EXPECT_EQ(0, st.result);
		EXPECT_EQ(0, st.done);
		EXPECT_EQ(0, st.total);
		EXPECT_EQ(new.id, st.id);
		EXPECT_EQ(-ENOENT, find(&self->see, old.id, &handle));
		EXPECT_EQ(0, find(&self->see, new.id, &handle));
		EXPECT_EQ(0, abi_detach(&self->see, handle, 0));
		EXPECT_EQ(0, abi_signal(&self->own, new.handle,
					AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH, 0));
	}
}

/* A watcher keeps an op that its owner has left: it is not given away. */
TEST_F(reuse, K7_not_while_somebody_watches)
{
	struct aop_create_entry old, new;
	struct aop_status st;
	uint64_t handle;

	ASSERT_EQ(0, make(&self->own, &old));
	ASSERT_EQ(0, find(&self->see, old.id, &handle));
	EXPECT_EQ(0, abi_signal(&self->own, old.handle, AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH, 9));
	ASSERT_EQ(0, make(&self->own, &new));
	EXPECT_EQ(0, abi_progress(&self->own, new.handle, 1, 2));
	abi_status(&self->see, handle, &st);
	EXPECT_EQ(AOP_DONE, st.state);
	EXPECT_EQ(9, st.result);
	EXPECT_EQ(old.id, st.id);
	EXPECT_EQ(0, st.done);
}

/* More than are kept, and their creator gone before the last watcher: in both orders. */
TEST_F(reuse, K1_many_and_the_creator_goes)
{
	static uint64_t handles[MANY];
	static struct aop_create_entry e[MANY];
	struct aop_status st;
	int round, i;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < MANY; i++) {
			ASSERT_EQ(0, make(&self->own, &e[i]));
			ASSERT_EQ(0, find(&self->see, e[i].id, &handles[i]));
		}
		for (i = 0; i < MANY; i++)
			ASSERT_EQ(0, abi_signal(&self->own, e[i].handle,
						AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH, i));
		if (round == 2)
			abi_close(&self->own);
		for (i = 0; i < MANY; i++) {
			abi_status(&self->see, handles[i], &st);
			ASSERT_EQ(i, st.result);
			ASSERT_EQ(0, abi_detach(&self->see, handles[i], 0));
		}
		EXPECT_EQ(0, abi_handles(&self->see));
	}
}

/* The old one had a descriptor, and its poller is woken; the new one has one later. */
TEST_F(reuse, K2_descriptors)
{
	struct aop_create_entry e;
	struct pollfd p = { .events = POLLIN };
	int i;

	for (i = 0; i < 4; i++) {
		struct aop_ioc_export x = { .size = sizeof(x), .rights = AOP_MAY_LOOK };

		ASSERT_EQ(0, make(&self->own, &e));
		if (i != 1) {
			x.handle = e.handle;
			p.fd = abi_ioctl(self->own.fd, AOP_IOC_EXPORT, &x);
			ASSERT_GE(p.fd, 0);
			EXPECT_EQ(0, poll(&p, 1, 0));
		}
		EXPECT_EQ(0, abi_signal(&self->own, e.handle,
					AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH, 0));
		if (i != 1) {
			EXPECT_EQ(1, poll(&p, 1, 0));
			close(p.fd);
		}
	}
}

TEST_HARNESS_MAIN
