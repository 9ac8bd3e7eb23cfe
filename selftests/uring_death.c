// SPDX-License-Identifier: GPL-2.0
/*
 * K9 with io_uring: a ring that outlives the owner has the context's file in its
 * table, where no descriptor of any process names it.
 */
#include "behave.h"

#include <liburing.h>

FIXTURE(uring) {
	struct abi_ctx c;
	int sock[2];
};

FIXTURE_SETUP(uring)
{
	ASSERT_EQ(0, abi_open(&self->c, 16));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->sock));
}

FIXTURE_TEARDOWN(uring)
{
	abi_close(&self->c);
	close(self->sock[0]);
	close(self->sock[1]);
}

/*
 * The owner registers its context with a ring, and forks a child that closes the
 * context's descriptor and keeps the ring.
 */
static void owner_run(int sock)
{
	struct aop_create_entry e = { .state = AOP_RUNNING, .mode = 0600 };
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	struct abi_ctx c;
	uint64_t value;

	if (abi_open(&c, 8) || abi_create(&c, &e))
		_exit(1);
	if (io_uring_queue_init(4, &ring, 0)) {
		send_fd(sock, -1, 0);
		_exit(2);
	}
	if (io_uring_register_files(&ring, &c.fd, 1))
		_exit(3);
	switch (fork()) {
	case -1:
		_exit(4);
	case 0:
		close(c.fd);
		send_fd(sock, -1, e.id);
		/* After the owner's death: a poll of the file in the table. */
		if (recv_fd(sock, &value, 0) != -ENOMSG)
			_exit(5);
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_poll_add(sqe, 0, POLLIN);
		sqe->flags |= IOSQE_FIXED_FILE;
		if (io_uring_submit(&ring) != 1 || io_uring_wait_cqe(&ring, &cqe))
			_exit(6);
		send_fd(sock, -1, (uint32_t)cqe->res);
		recv_fd(sock, &value, 0);
		_exit(0);
	}
	for (;;)
		pause();
}

TEST_F(uring, K9_while_a_ring_has_it_as_a_fixed_file)
{
	struct aop_status st;
	uint64_t id, w, events;
	pid_t pid;

	pid = spawn();
	if (!pid) {
		close(self->sock[0]);
		owner_run(self->sock[1]);
	}
	ASSERT_EQ(-ENOMSG, recv_fd(self->sock[0], &id, 0));
	if (!id) {
		reap_child(pid);
		SKIP(return, "no io_uring here");
	}
	ASSERT_EQ(0, abi_attach_id(&self->c, id, AOP_MAY_LOOK, 0, AOP_EV_FINAL, &w));
	ASSERT_EQ(AOP_RUNNING, abi_state(&self->c, w));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, w, AOP_EV_FINAL, 0));
	st = status_of(&self->c, w);
	EXPECT_EQ(AOP_FAILED, st.state);
	EXPECT_EQ(-EOWNERDEAD, st.result);
	EXPECT_EQ(AOP_F_SYSTEM | AOP_F_OVER, st.flags & (AOP_F_SYSTEM | AOP_F_OVER));
	/* Who waits for the op may be told before the ring is. */
	EXPECT_EQ(1, poll(&(struct pollfd){ .fd = self->c.fd, .events = POLLIN }, 1, -1));
	EXPECT_TRUE(reap_only(&self->c, w));
	EXPECT_EQ(128 + SIGKILL, reap_child(pid));
	/* The ring did have it all the time. */
	ASSERT_EQ(0, send_fd(self->sock[0], -1, 0));
	ASSERT_EQ(-ENOMSG, recv_fd(self->sock[0], &events, 0));
	EXPECT_TRUE((int32_t)events > 0 && events & POLLERR)
		TH_LOG("%d", (int32_t)events);
}

TEST_HARNESS_MAIN
