// SPDX-License-Identifier: GPL-2.0
/*
 * io_uring on the descriptors of aop: poll and read, pending, completing,
 * cancelled, given up (K2).  Skipped, and visibly, where io_uring is not to be had.
 */
#include <dirent.h>
#include <liburing.h>

#include "behave.h"

FIXTURE(uring) {
	struct io_uring ring;
	struct abi_ctx c;
	uint64_t handle;
	int fd;				/* of the operation */
};

FIXTURE_SETUP(uring)
{
	int ret = io_uring_queue_init(256, &self->ring, 0);

	if (ret == -ENOSYS || ret == -EPERM)
		SKIP(return, "io_uring is off here: %s", strerror(-ret));
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, abi_open(&self->c, 256));
	self->handle = abi_new(&self->c, 1, AOP_EV_FINAL);
	ASSERT_NE(0, self->handle);
	self->fd = abi_export(&self->c, self->handle, AOP_MAY_LOOK);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(uring)
{
	close(self->fd);
	abi_close(&self->c);
	io_uring_queue_exit(&self->ring);
}

static int submit_read(struct io_uring *ring, int fd, struct aop_status *s, uint64_t data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read(sqe, fd, s, sizeof(*s), 0);
	io_uring_sqe_set_data64(sqe, data);
	return io_uring_submit(ring);
}

/* The next completion: its result, and whose. */
static int reap(struct io_uring *ring, uint64_t *data)
{
	struct io_uring_cqe *cqe;
	int ret = io_uring_wait_cqe(ring, &cqe);

	if (ret)
		return ret;
	ret = cqe->res;
	*data = cqe->user_data;
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

static bool nothing(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;

	return io_uring_peek_cqe(ring, &cqe) == -EAGAIN;
}

static int threads(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

TEST_F(uring, K2_read_pends_and_completes)
{
	struct aop_status s = { 0 };
	uint64_t data;

	ASSERT_EQ(1, submit_read(&self->ring, self->fd, &s, 4));
	EXPECT_TRUE(nothing(&self->ring));
	ASSERT_EQ(0, abi_start(&self->c, self->handle));
	ASSERT_EQ(0, abi_progress(&self->c, self->handle, 1, 2));
	EXPECT_TRUE(nothing(&self->ring));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 99));
	EXPECT_EQ(sizeof(s), reap(&self->ring, &data));
	EXPECT_EQ(4, data);
	EXPECT_EQ(AOP_DONE, s.state);
	EXPECT_EQ(99, s.result);
	/* Final already: at once, and again. */
	memset(&s, 0, sizeof(s));
	ASSERT_EQ(1, submit_read(&self->ring, self->fd, &s, 5));
	EXPECT_EQ(sizeof(s), reap(&self->ring, &data));
	EXPECT_EQ(99, s.result);
}

TEST_F(uring, K2_read_errors)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
	struct aop_status s;
	uint64_t data;
	int blind = abi_export(&self->c, self->handle, AOP_MAY_CANCEL);

	io_uring_prep_read(sqe, self->fd, &s, sizeof(s) - 1, 0);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(-EINVAL, reap(&self->ring, &data));
	ASSERT_GE(blind, 0);
	ASSERT_EQ(1, submit_read(&self->ring, blind, &s, 0));
	EXPECT_EQ(-EPERM, reap(&self->ring, &data));
	close(blind);
	/* Not to wait is said in the request; O_NONBLOCK io_uring takes for its own to obey. */
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_read(sqe, self->fd, &s, sizeof(s), 0);
	sqe->rw_flags = RWF_NOWAIT;
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(-EAGAIN, reap(&self->ring, &data));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(1, submit_read(&self->ring, self->fd, &s, 0));
	EXPECT_TRUE(nothing(&self->ring));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 3));
	EXPECT_EQ(sizeof(s), reap(&self->ring, &data));
	EXPECT_EQ(3, s.result);
}

/* Many that wait: by polling, none of them by a thread that sleeps for it. */
TEST_F(uring, K2_many_reads_no_worker)
{
	static struct aop_status s[100];
	static uint64_t h[100];
	static int fd[100];
	bool seen[100] = { false };
	uint64_t data;
	int i;

	for (i = 0; i < 100; i++) {
		h[i] = abi_new(&self->c, i, 0);
		ASSERT_NE(0, h[i]);
		fd[i] = abi_export(&self->c, h[i], AOP_MAY_LOOK);
		ASSERT_GE(fd[i], 0);
		ASSERT_EQ(1, submit_read(&self->ring, fd[i], &s[i], i));
	}
	EXPECT_TRUE(nothing(&self->ring));
	EXPECT_EQ(1, threads());
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, abi_done(&self->c, h[(i * 37) % 100], (i * 37) % 100 + 1000));
	}
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(sizeof(s[0]), reap(&self->ring, &data));
		ASSERT_LT(data, 100);
		EXPECT_FALSE(seen[data]);
		seen[data] = true;
		EXPECT_EQ(data + 1000, s[data].result);
	}
	EXPECT_EQ(1, threads());
	for (i = 0; i < 100; i++)
		close(fd[i]);
}

TEST_F(uring, K2_poll_of_an_operation)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
	uint64_t data;

	io_uring_prep_poll_add(sqe, self->fd, POLLIN);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	ASSERT_EQ(0, abi_progress(&self->c, self->handle, 1, 2));
	EXPECT_TRUE(nothing(&self->ring));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	EXPECT_EQ(POLLIN, reap(&self->ring, &data));
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_poll_add(sqe, self->fd, POLLIN);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(POLLIN, reap(&self->ring, &data));
}

TEST_F(uring, K2_poll_of_a_context)
{
	struct abi_ctx *c = &self->c;
	uint64_t data;
	int round;

	ASSERT_EQ(0, abi_modify(c, self->handle, 0, AOP_EV_CHANGE));
	for (round = 0; round < 100; round++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

		io_uring_prep_poll_add(sqe, c->fd, POLLIN);
		ASSERT_EQ(1, io_uring_submit(&self->ring));
		EXPECT_TRUE(nothing(&self->ring));
		ASSERT_EQ(0, abi_progress(c, self->handle, round, 0));
		EXPECT_EQ(POLLIN, reap(&self->ring, &data));
		EXPECT_EQ(1, abi_drain(c));
	}
}

/* One request, an event for each time that the ring stopped being empty. */
TEST_F(uring, K2_multishot_poll_of_a_context)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
	struct abi_ctx *c = &self->c;
	struct io_uring_cqe *cqe;
	uint64_t data;
	int round;

	ASSERT_EQ(0, abi_modify(c, self->handle, 0, AOP_EV_CHANGE));
	io_uring_prep_poll_multishot(sqe, c->fd, POLLIN);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	for (round = 0; round < 100; round++) {
		EXPECT_TRUE(nothing(&self->ring));
		ASSERT_EQ(0, abi_progress(c, self->handle, round, 0));
		ASSERT_EQ(0, io_uring_wait_cqe(&self->ring, &cqe));
		EXPECT_EQ(POLLIN, cqe->res);
		EXPECT_TRUE(cqe->flags & IORING_CQE_F_MORE);
		io_uring_cqe_seen(&self->ring, cqe);
		EXPECT_EQ(1, abi_drain(c));
	}
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY);
	io_uring_sqe_set_data64(sqe, 8);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	reap(&self->ring, &data);
	reap(&self->ring, &data);
}

TEST_F(uring, K2_read_cancelled)
{
	struct io_uring_sqe *sqe;
	struct aop_status s;
	uint64_t data;
	int i, ret;

	ASSERT_EQ(1, submit_read(&self->ring, self->fd, &s, 7));
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_cancel64(sqe, 7, 0);
	io_uring_sqe_set_data64(sqe, 8);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	for (i = 0; i < 2; i++) {
		ret = reap(&self->ring, &data);
		EXPECT_EQ(data == 7 ? -ECANCELED : 0, ret);
	}
	/* The operation knows nothing of it. */
	EXPECT_EQ(AOP_PENDING, abi_state(&self->c, self->handle));
	EXPECT_EQ(0, flags_of(&self->c, self->handle));
	EXPECT_EQ(0, abi_done(&self->c, self->handle, 0));
}

/* The ring goes while a read pends: so does its hold on the descriptor. */
TEST_F(uring, K2_ring_exits_with_a_read_pending)
{
	struct io_uring ring;
	struct aop_status s;
	int fd = abi_export(&self->c, self->handle, AOP_MAY_DRIVE | AOP_MAY_LOOK);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, io_uring_queue_init(8, &ring, 0));
	ASSERT_EQ(1, submit_read(&ring, fd, &s, 0));
	close(fd);
	EXPECT_EQ(AOP_PENDING, abi_state(&self->c, self->handle));
	io_uring_queue_exit(&ring);
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, self->handle, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EOWNERDEAD, status_of(&self->c, self->handle).result);
}

struct many {
	struct abi_ctx *c;
	uint64_t h[100];
};

static void *end_all(void *arg)
{
	struct many *m = arg;
	int i;

	for (i = 0; i < 100; i++)
		abi_done(m->c, m->h[i], i);
	return NULL;
}

/* Reads are submitted while the ends come from another thread; none is left behind. */
TEST_F(uring, W2_reads_race_with_the_end)
{
	static struct aop_status s[100];
	static int fd[100];
	struct many x = { .c = &self->c };
	uint64_t data;
	pthread_t t;
	int i, round;

	for (round = 0; round < 50; round++) {
		for (i = 0; i < 100; i++) {
			x.h[i] = abi_new(&self->c, i, 0);
			ASSERT_NE(0, x.h[i]);
			fd[i] = abi_export(&self->c, x.h[i], AOP_MAY_LOOK);
			ASSERT_GE(fd[i], 0);
		}
		ASSERT_EQ(0, pthread_create(&t, NULL, end_all, &x));
		for (i = 0; i < 100; i++) {
			ASSERT_EQ(1, submit_read(&self->ring, fd[i], &s[i], i));
		}
		for (i = 0; i < 100; i++) {
			ASSERT_EQ(sizeof(s[0]), reap(&self->ring, &data));
			EXPECT_EQ(data, s[data].result);
		}
		pthread_join(t, NULL);
		for (i = 0; i < 100; i++) {
			close(fd[i]);
			ASSERT_EQ(0, abi_detach(&self->c, x.h[i], 0));
		}
	}
}

TEST_HARNESS_MAIN
