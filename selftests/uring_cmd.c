// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of io_uring on a context: wait, signal, cancel, end a wait.  Every wait
 * that pends completes once, whoever comes first: its operation, another command, the
 * ring's end, the end of the thread or the process that submitted it.
 *
 * Kernels before 6.8 cannot cancel commands; there all of them are refused.
 */
#include "behave.h"

#include <liburing.h>
#include <stddef.h>

FIXTURE(uring) {
	struct io_uring ring;
	struct abi_ctx c;
	uint64_t handle;
	bool commands;			/* the kernel has them */
};

FIXTURE_VARIANT(uring) {
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(uring, plain) {
};

FIXTURE_VARIANT_ADD(uring, deferred) {
	.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
};

FIXTURE_SETUP(uring)
{
	struct aop_ioc_features f = { .size = sizeof(f) };
	int ret = io_uring_queue_init(256, &self->ring, variant->flags);

	if (ret == -ENOSYS || ret == -EPERM)
		SKIP(return, "io_uring is off here: %s", strerror(-ret));
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, abi_open(&self->c, 256));
	ASSERT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_FEATURES, &f));
	self->commands = f.features & AOP_FEATURE_URING;
	self->handle = abi_new(&self->c, 1, 0);
	ASSERT_NE(0, self->handle);
}

FIXTURE_TEARDOWN(uring)
{
	abi_close(&self->c);
	io_uring_queue_exit(&self->ring);
}

static struct io_uring_sqe *prepare(struct io_uring *ring, int fd, uint32_t op, const void *arg,
				    uint64_t data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	memset(sqe, 0, sizeof(*sqe) << !!(ring->flags & IORING_SETUP_SQE128));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->user_data = data;
	sqe->cmd_op = op;
	memcpy((char *)sqe + offsetof(struct io_uring_sqe, addr3), arg, 16);
	return sqe;
}

static struct io_uring_sqe *prepare_wait(struct io_uring *ring, struct abi_ctx *c, uint64_t handle,
					 uint32_t mask, uint32_t seq, uint64_t data)
{
	struct aop_uring_wait w = { .handle = handle, .mask = mask, .seq = seq };

	return prepare(ring, c->fd, AOP_URING_WAIT, &w, data);
}

static int submit_wait(struct io_uring *ring, struct abi_ctx *c, uint64_t handle, uint32_t mask,
		       uint64_t data)
{
	prepare_wait(ring, c, handle, mask, 0, data);
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

	io_uring_get_events(ring);
	return io_uring_peek_cqe(ring, &cqe) == -EAGAIN;
}

/* Submit what is prepared, and wait for its answer. */
static int now(struct io_uring *ring)
{
	uint64_t data;
	int ret = io_uring_submit(ring);

	return ret == 1 ? reap(ring, &data) : -EPROTO;
}

static int unwait(struct io_uring *ring, struct abi_ctx *c, uint64_t which)
{
	struct aop_uring_unwait u = { .user_data = which };

	prepare(ring, c->fd, AOP_URING_UNWAIT, &u, 1 << 20);
	return io_uring_submit(ring);
}

/* ---- what they do -------------------------------------------------------------- */

TEST_F(uring, K2_refused_where_it_cannot_be_cancelled)
{
	struct aop_uring_wait w = { .handle = self->handle, .mask = AOP_EV_FINAL };
	uint32_t op;

	if (self->commands)
		SKIP(return, "this kernel can cancel commands");
	for (op = AOP_URING_WAIT; op <= AOP_URING_UNWAIT; op++) {
		prepare(&self->ring, self->c.fd, op, &w, 0);
		EXPECT_EQ(-EOPNOTSUPP, now(&self->ring));
	}
}

TEST_F(uring, W2_wait_pends_and_completes)
{
	uint64_t data;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	ASSERT_EQ(1, submit_wait(&self->ring, &self->c, self->handle, AOP_EV_FINAL, 4));
	EXPECT_TRUE(nothing(&self->ring));
	ASSERT_EQ(0, abi_start(&self->c, self->handle));
	ASSERT_EQ(0, abi_progress(&self->c, self->handle, 1, 2));
	EXPECT_TRUE(nothing(&self->ring));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 99));
	EXPECT_EQ(AOP_EV_FINAL, reap(&self->ring, &data));
	EXPECT_EQ(4, data);
	EXPECT_EQ(99, status_of(&self->c, self->handle).result);
	EXPECT_TRUE(nothing(&self->ring));
}

TEST_F(uring, W2_what_holds_completes_at_once)
{
	uint32_t seq = seq_of(&self->c, self->handle);
	uint64_t data;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	prepare_wait(&self->ring, &self->c, self->handle, AOP_EV_CHANGE, seq, 1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_TRUE(nothing(&self->ring));
	ASSERT_EQ(0, abi_progress(&self->c, self->handle, 1, 2));
	EXPECT_EQ(AOP_EV_CHANGE, reap(&self->ring, &data));
	prepare_wait(&self->ring, &self->c, self->handle, AOP_EV_CHANGE, seq, 2);
	EXPECT_EQ(AOP_EV_CHANGE, now(&self->ring));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	prepare_wait(&self->ring, &self->c, self->handle, AOP_EV_ALL & ~AOP_EV_CHANGE, 0, 3);
	EXPECT_EQ(AOP_EV_FINAL | AOP_EV_OVER, now(&self->ring));
}

/* By the deadline's timer, in an interrupt; and by a worker of io_uring. */
TEST_F(uring, M9_deadline_and_worker)
{
	struct io_uring_sqe *sqe;
	uint64_t h, data;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	h = new_deadline(&self->c, 0, abi_now() + 20 * MSEC_NS);
	ASSERT_EQ(1, submit_wait(&self->ring, &self->c, h, AOP_EV_FINAL, 1));
	EXPECT_EQ(AOP_EV_FINAL, reap(&self->ring, &data));
	EXPECT_EQ(-ETIMEDOUT, status_of(&self->c, h).result);
	sqe = prepare_wait(&self->ring, &self->c, self->handle, AOP_EV_FINAL, 0, 2);
	sqe->flags |= IOSQE_ASYNC;
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_TRUE(nothing(&self->ring));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	EXPECT_EQ(AOP_EV_FINAL, reap(&self->ring, &data));
}

TEST_F(uring, M2_C1_signal_and_cancel)
{
	struct aop_signal_entry s[3] = {
		{ .handle = self->handle, .what = AOP_SIGNAL_START },
		{ .handle = 0, .what = AOP_SIGNAL_START },
		{ .handle = self->handle, .what = AOP_SIGNAL_PROGRESS, .value = 3, .total = 9 },
	};
	struct aop_cancel_entry x = { .handle = self->handle, .reason = -7, .ret = -1 };
	struct aop_uring_batch b = { abi_u64(s), sizeof(*s), 3 };

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	prepare(&self->ring, self->c.fd, AOP_URING_SIGNAL, &b, 0);
	EXPECT_EQ(3, now(&self->ring));
	EXPECT_EQ(0, s[0].ret);
	EXPECT_EQ(-EBADF, s[1].ret);
	EXPECT_EQ(0, s[2].ret);
	EXPECT_EQ(3, status_of(&self->c, self->handle).done);
	b = (struct aop_uring_batch) { abi_u64(&x), sizeof(x), 1 };
	prepare(&self->ring, self->c.fd, AOP_URING_CANCEL, &b, 0);
	EXPECT_EQ(1, now(&self->ring));
	EXPECT_EQ(AOP_ASKED, x.ret);
	EXPECT_EQ(-7, status_of(&self->c, self->handle).reason);
	s[0].what = AOP_SIGNAL_CANCELLED;
	b = (struct aop_uring_batch) { abi_u64(s), sizeof(*s), 1 };
	prepare(&self->ring, self->c.fd, AOP_URING_SIGNAL, &b, 0);
	EXPECT_EQ(1, now(&self->ring));
	EXPECT_EQ(AOP_CANCELLED, abi_state(&self->c, self->handle));
	b.nr = 0;
	prepare(&self->ring, self->c.fd, AOP_URING_SIGNAL, &b, 0);
	EXPECT_EQ(0, now(&self->ring));
}

TEST_F(uring, W7_unwait)
{
	uint64_t data;
	int i, cancelled = 0;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	/* Among others, with less and with more. */
	for (i = 0; i < 9; i++)
		ASSERT_EQ(1, submit_wait(&self->ring, &self->c, self->handle, AOP_EV_FINAL,
					 i % 3 == 1 ? 5 : i + 1000 * (i % 3)));
	ASSERT_EQ(1, unwait(&self->ring, &self->c, 5));
	for (i = 0; i < 4; i++) {
		int ret = reap(&self->ring, &data);

		if (data == 5)
			cancelled += ret == -ECANCELED;
		else
			EXPECT_EQ(3, ret);
	}
	EXPECT_EQ(3, cancelled);
	EXPECT_TRUE(nothing(&self->ring));
	ASSERT_EQ(1, unwait(&self->ring, &self->c, 5));
	EXPECT_EQ(-ENOENT, reap(&self->ring, &data));
	/* The operation knows nothing of it. */
	EXPECT_EQ(0, flags_of(&self->c, self->handle));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	for (i = 0; i < 6; i++) {
		EXPECT_EQ(AOP_EV_FINAL, reap(&self->ring, &data));
		EXPECT_NE(5, data);
	}
	EXPECT_TRUE(nothing(&self->ring));
}

/* The kernel's own cancel may or may not reach commands; none is lost or told twice. */
TEST_F(uring, W7_async_cancel)
{
	struct io_uring_sqe *sqe;
	uint64_t data;
	int ret;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	ASSERT_EQ(1, submit_wait(&self->ring, &self->c, self->handle, AOP_EV_FINAL, 5));
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_cancel64(sqe, 5, 0);
	io_uring_sqe_set_data64(sqe, 8);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	ret = reap(&self->ring, &data);
	EXPECT_EQ(8, data);
	TH_LOG("answer: %d", ret);
	if (ret) {
		EXPECT_TRUE(nothing(&self->ring));
		ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	}
	EXPECT_EQ(ret ? AOP_EV_FINAL : -ECANCELED, reap(&self->ring, &data));
	EXPECT_EQ(5, data);
	EXPECT_TRUE(nothing(&self->ring));
}

/* ---- memory that changes ------------------------------------------------------- */

struct flipper {
	struct io_uring_sqe *sqe;	/* NULL: the end */
	uint64_t good, bad;		/* its second word of the command */
	pthread_t thread;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	struct io_uring_sqe *sqe;
	uint64_t *words;

	while ((sqe = __atomic_load_n(&f->sqe, __ATOMIC_ACQUIRE))) {
		words = (uint64_t *)((char *)sqe + offsetof(struct io_uring_sqe, addr3));
		__atomic_store_n(&words[1], f->bad, __ATOMIC_RELAXED);
		__atomic_store_n(&words[1], f->good, __ATOMIC_RELAXED);
	}
	return NULL;
}

/*
 * Another thread writes into the request while it is looked at: what was checked is
 * what is used.  Every answer is that of one of the two, and there at once.
 */
TEST_F(uring, K7_a_request_that_changes_meanwhile)
{
	struct aop_uring_wait wait = { .mask = AOP_EV_FINAL }, wrong = { .mask = 1u << 31 };
	static struct aop_signal_entry s[AOP_MAX_ENTRIES + 1];
	struct aop_uring_batch batch = { abi_u64(s), sizeof(s[0]), 1 }, many = batch;
	int i, k, ret, good[2] = { 0 }, bad[2] = { 0 };
	uint64_t data;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	wait.handle = self->handle;
	many.nr = AOP_MAX_ENTRIES + 1;
	for (k = 0; k < 2; k++) {
		struct flipper f;

		memcpy(&f.good, k ? (char *)&batch + 8 : (char *)&wait + 8, 8);
		memcpy(&f.bad, k ? (char *)&many + 8 : (char *)&wrong + 8, 8);
		f.sqe = &self->ring.sq.sqes[0];
		ASSERT_EQ(0, pthread_create(&f.thread, NULL, flip, &f));
		/* Until both have been seen: it may take a while until the two threads overlap. */
		for (i = 0; i < 1000 || !good[k] || !bad[k]; i++) {
			struct io_uring_sqe *sqe;

			if (k)
				sqe = prepare(&self->ring, self->c.fd, AOP_URING_SIGNAL, &batch, 1);
			else
				sqe = prepare(&self->ring, self->c.fd, AOP_URING_WAIT, &wait, 1);
			__atomic_store_n(&f.sqe, sqe, __ATOMIC_RELEASE);
			ASSERT_EQ(1, io_uring_submit(&self->ring));
			ASSERT_FALSE(nothing(&self->ring));
			ret = reap(&self->ring, &data);
			EXPECT_TRUE(ret == -EINVAL || ret == (k ? 1 : AOP_EV_FINAL))
				TH_LOG("%d", ret);
			good[k] += ret > 0;
			bad[k] += ret < 0;
		}
		__atomic_store_n(&f.sqe, NULL, __ATOMIC_RELEASE);
		pthread_join(f.thread, NULL);
		TH_LOG("%d were good, %d bad", good[k], bad[k]);
	}
}

/* ---- what is refused ------------------------------------------------------------ */

TEST_F(uring, K7_bad_waits)
{
	struct abi_ctx *c = &self->c;
	uint64_t stale = abi_new(c, 0, 0), blind;
	struct aop_uring_unwait u = { .user_data = 1, .pad = 1 };
	struct aop_uring_wait w = { .handle = self->handle, .mask = AOP_EV_FINAL };
	struct io_uring_sqe *sqe;
	struct abi_ctx fresh;
	int fd;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	ASSERT_EQ(0, abi_detach(c, stale, 0));
#define REFUSED(err, handle, mask)						\
do {										\
	prepare_wait(&self->ring, c, handle, mask, 0, 0);			\
	EXPECT_EQ(err, now(&self->ring));					\
} while (0)
	REFUSED(-EINVAL, self->handle, 0);
	REFUSED(-EINVAL, self->handle, AOP_EV_ALL + 1);
	REFUSED(-EBADF, 0, AOP_EV_FINAL);
	REFUSED(-ESTALE, stale, AOP_EV_FINAL);
	blind = abi_again(c, self->handle, c, AOP_MAY_CANCEL, 0);
	ASSERT_NE(0, blind);
	REFUSED(-EPERM, blind, AOP_EV_FINAL);
	prepare(&self->ring, c->fd, AOP_URING_UNWAIT + 1, &w, 0);
	EXPECT_EQ(-ENOTTY, now(&self->ring));
	prepare(&self->ring, c->fd, AOP_IOC_WAIT, &w, 0);
	EXPECT_EQ(-ENOTTY, now(&self->ring));
	prepare(&self->ring, c->fd, AOP_URING_UNWAIT, &u, 0);
	EXPECT_EQ(-EINVAL, now(&self->ring));
	/* Fields that it does not know. */
	sqe = prepare(&self->ring, c->fd, AOP_URING_WAIT, &w, 0);
	sqe->addr = 8;
	EXPECT_EQ(-EINVAL, now(&self->ring));
	sqe = prepare(&self->ring, c->fd, AOP_URING_WAIT, &w, 0);
	sqe->len = 1;
	EXPECT_EQ(-EINVAL, now(&self->ring));
	sqe = prepare(&self->ring, c->fd, AOP_URING_WAIT, &w, 0);
	sqe->buf_index = 1;
	EXPECT_EQ(-EINVAL, now(&self->ring));
	sqe = prepare(&self->ring, c->fd, AOP_URING_WAIT, &w, 0);
	sqe->splice_fd_in = 1;
	EXPECT_EQ(-EINVAL, now(&self->ring));
	/* Before SETUP; and no other file of aop has commands. */
	fresh.fd = abi_open_file();
	prepare(&self->ring, fresh.fd, AOP_URING_WAIT, &w, 0);
	EXPECT_EQ(-EINVAL, now(&self->ring));
	close(fresh.fd);
	fd = abi_export(c, self->handle, AOP_MAY_LOOK);
	prepare(&self->ring, fd, AOP_URING_WAIT, &w, 0);
	EXPECT_EQ(-EOPNOTSUPP, now(&self->ring));
	close(fd);
	EXPECT_TRUE(nothing(&self->ring));
}

TEST_F(uring, K7_bad_batches)
{
	struct aop_signal_entry s[2] = {
		{ .handle = self->handle, .what = AOP_SIGNAL_START },
		{ .handle = self->handle, .what = AOP_SIGNAL_PROGRESS, .value = 1 },
	};
	struct abi_ctx *c = &self->c;
	const struct {
		int ret;
		struct aop_uring_batch b;
	} bad[] = {
		{ -EINVAL, { abi_u64(s), sizeof(*s), AOP_MAX_ENTRIES + 1 } },
		{ -EINVAL, { abi_u64(s), sizeof(*s) - 8, 1 } },
		{ -E2BIG, { abi_u64(s), 4104, 1 } },
		{ -EFAULT, { 0, sizeof(*s), 1 } },
		{ -EFAULT, { ~0ULL << 12, sizeof(*s), 1 } },
	};
	unsigned int i;
	char *page;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		prepare(&self->ring, c->fd, AOP_URING_SIGNAL, &bad[i].b, 0);
		EXPECT_EQ(bad[i].ret, now(&self->ring)) TH_LOG("%u", i);
	}
	EXPECT_EQ(AOP_PENDING, abi_state(c, self->handle));
	/* The memory ends behind the first. */
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + 4096, 4096));
	memcpy(page + 4096 - sizeof(*s), s, sizeof(*s));
	{
		struct aop_uring_batch b = { abi_u64(page + 4096 - sizeof(*s)), sizeof(*s), 2 };

		prepare(&self->ring, c->fd, AOP_URING_SIGNAL, &b, 0);
		EXPECT_EQ(1, now(&self->ring));
	}
	EXPECT_EQ(AOP_RUNNING, abi_state(c, self->handle));
	munmap(page, 4096);
}

/* Requests with 128 bytes: the half that is not known is 0. */
TEST_F(uring, K10_large_requests)
{
	struct aop_uring_wait w = { .handle = self->handle, .mask = AOP_EV_FINAL };
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	uint64_t data;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	ASSERT_EQ(0, io_uring_queue_init(8, &ring, IORING_SETUP_SQE128 | IORING_SETUP_CQE32));
	sqe = prepare(&ring, self->c.fd, AOP_URING_WAIT, &w, 3);
	((char *)sqe)[127] = 1;
	EXPECT_EQ(-EINVAL, now(&ring));
	prepare(&ring, self->c.fd, AOP_URING_WAIT, &w, 3);
	ASSERT_EQ(1, io_uring_submit(&ring));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	EXPECT_EQ(AOP_EV_FINAL, reap(&ring, &data));
	io_uring_queue_exit(&ring);
}

/* The context is its opener's, whoever has the ring. */
TEST_F(uring, K7_another_process)
{
	struct io_uring ring;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	ASSERT_EQ(0, io_uring_queue_init(8, &ring, 0));
	IN_CHILD() {
		prepare_wait(&ring, &self->c, self->handle, AOP_EV_FINAL, 0, 0);
		EXPECT_EQ(-EIO, now(&ring));
	}
	io_uring_queue_exit(&ring);
}

TEST_F(uring, K8_too_many_on_one)
{
	uint64_t data;
	int i, ret;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	/* One link is the handle's. */
	for (i = 1; i < AOP_MAX_LINKS; i++)
		ASSERT_EQ(1, submit_wait(&self->ring, &self->c, self->handle, AOP_EV_FINAL, i));
	EXPECT_TRUE(nothing(&self->ring));
	ASSERT_EQ(1, submit_wait(&self->ring, &self->c, self->handle, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EMFILE, reap(&self->ring, &data));
	EXPECT_EQ(0, data);
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	for (i = 1; i < AOP_MAX_LINKS; i++) {
		ret = reap(&self->ring, &data);
		EXPECT_EQ(AOP_EV_FINAL, ret);
	}
	EXPECT_TRUE(nothing(&self->ring));
}

/* ---- who goes first -------------------------------------------------------------- */

static long long users(void)
{
	return proc_number("/sys/module/aop/refcnt", "");
}

/* A kernel thread cleans up behind a ring: nobody tells when. */
static void until_users(long long want)
{
	while (users() != want)
		sched_yield();
}

TEST_F(uring, K1_ring_exits_with_waits_pending)
{
	long long before = users();
	struct io_uring ring;
	struct abi_ctx c;
	uint64_t h;
	int i;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	ASSERT_EQ(0, abi_open(&c, 8));
	h = abi_new(&c, 0, 0);
	ASSERT_EQ(0, io_uring_queue_init(64, &ring, 0));
	for (i = 0; i < 50; i++)
		ASSERT_EQ(1, submit_wait(&ring, &c, h, AOP_EV_FINAL, i));
	/* They hold the file, until the ring lets go of them. */
	abi_close(&c);
	EXPECT_EQ(before + 1, users());
	io_uring_queue_exit(&ring);
	until_users(before);
}

static void killed_one(int sock)
{
	struct aop_create_entry e = { .mode = 0600 };
	struct io_uring ring;
	struct abi_ctx c;
	int i;

	if (abi_open(&c, 8) || abi_create(&c, &e) || io_uring_queue_init(64, &ring, 0))
		_exit(1);
	for (i = 0; i < 50; i++)
		if (submit_wait(&ring, &c, e.handle, AOP_EV_FINAL, i) != 1)
			_exit(2);
	send_fd(sock, -1, e.id);
	for (;;)
		pause();
}

TEST_F(uring, K9_killed_with_waits_pending)
{
	long long before = users();
	uint64_t id, seen;
	int sock[2];
	pid_t pid;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock));
	pid = spawn();
	if (!pid)
		killed_one(sock[1]);
	ASSERT_EQ(-ENOMSG, recv_fd(sock[0], &id, 0));
	ASSERT_EQ(0, abi_attach_id(&self->c, id, AOP_MAY_LOOK, 0, 0, &seen));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, seen, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EOWNERDEAD, status_of(&self->c, seen).result);
	EXPECT_EQ(128 + SIGKILL, reap_child(pid));
	until_users(before);
	close(sock[0]);
	close(sock[1]);
}

struct part {
	struct io_uring *ring;
	struct abi_ctx *c;
	uint64_t handle;
	struct race race;
	int rounds;
	uint64_t h[4096];
	int ret;
};

static void *submit_and_go(void *arg)
{
	struct part *p = arg;

	p->ret = submit_wait(p->ring, p->c, p->handle, AOP_EV_FINAL, 9);
	return NULL;
}

/* The thread that submitted it is gone when it ends: a worker of the kernel completes it. */
TEST_F(uring, K9_thread_exits_with_a_wait_pending)
{
	struct part *p = calloc(1, sizeof(*p));
	struct io_uring ring;
	uint64_t data;
	pthread_t t;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	ASSERT_EQ(0, io_uring_queue_init(8, &ring, 0));
	p->ring = &ring;
	p->c = &self->c;
	p->handle = self->handle;
	ASSERT_EQ(0, pthread_create(&t, NULL, submit_and_go, p));
	pthread_join(t, NULL);
	EXPECT_EQ(1, p->ret);
	EXPECT_TRUE(nothing(&ring));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	EXPECT_EQ(AOP_EV_FINAL, reap(&ring, &data));
	EXPECT_EQ(9, data);
	io_uring_queue_exit(&ring);
	free(p);
}

static void *end_each(void *arg)
{
	struct part *p = arg;
	int i;

	for (i = 1; i <= p->rounds; i++) {
		race_join(&p->race, i);
		p->ret |= abi_done(p->c, p->h[i], i);
		race_done(&p->race, i);
	}
	return NULL;
}

/* The end and an unwait race: one of them completes it, and they agree on which. */
TEST_F(uring, W7_the_end_and_an_unwait_race)
{
	struct part *p = calloc(1, sizeof(*p));
	int i, k, ended = 0, cancelled = 0;
	uint64_t data;
	pthread_t t;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	p->c = &self->c;
	p->rounds = 300;
	ASSERT_EQ(0, pthread_create(&t, NULL, end_each, p));
	for (i = 1; i <= p->rounds; i++) {
		int wait = 0, answer = 0;

		p->h[i] = abi_new(&self->c, 0, 0);
		ASSERT_NE(0, p->h[i]);
		ASSERT_EQ(1, submit_wait(&self->ring, &self->c, p->h[i], AOP_EV_FINAL, i));
		race_begin(&p->race, i);
		ASSERT_EQ(1, unwait(&self->ring, &self->c, i));
		for (k = 0; k < 2; k++) {
			int ret = reap(&self->ring, &data);

			*(data == (uint64_t)i ? &wait : &answer) = ret;
		}
		race_over(&p->race, i);
		EXPECT_TRUE(nothing(&self->ring));
		EXPECT_TRUE((wait == AOP_EV_FINAL && answer == -ENOENT) ||
			    (wait == -ECANCELED && answer == 1))
			TH_LOG("%d, %d", wait, answer);
		ended += wait == AOP_EV_FINAL;
		cancelled += wait == -ECANCELED;
		race_even_out(&p->race, wait == AOP_EV_FINAL);
		ASSERT_EQ(0, abi_detach(&self->c, p->h[i], 0));
	}
	pthread_join(t, NULL);
	EXPECT_EQ(0, p->ret);
	EXPECT_LT(0, ended);
	EXPECT_LT(0, cancelled);
	TH_LOG("%d ended, %d cancelled", ended, cancelled);
	free(p);
}

/* The end and the submission race: none is left behind. */
TEST_F(uring, W2_the_end_and_a_wait_race)
{
	struct part *p = calloc(1, sizeof(*p));
	uint64_t data;
	pthread_t t;
	int i, ret;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	p->c = &self->c;
	p->rounds = 300;
	ASSERT_EQ(0, pthread_create(&t, NULL, end_each, p));
	for (i = 1; i <= p->rounds; i++) {
		bool pended;

		p->h[i] = abi_new(&self->c, 0, 0);
		ASSERT_NE(0, p->h[i]);
		prepare_wait(&self->ring, &self->c, p->h[i], AOP_EV_FINAL, 0, i);
		race_begin(&p->race, i);
		pended = abi_state(&self->c, p->h[i]) == AOP_PENDING;
		ASSERT_EQ(1, io_uring_submit(&self->ring));
		ret = reap(&self->ring, &data);
		EXPECT_EQ(AOP_EV_FINAL, ret);
		EXPECT_EQ(i, data);
		race_over(&p->race, i);
		race_even_out(&p->race, !pended);
		ASSERT_EQ(0, abi_detach(&self->c, p->h[i], 0));
	}
	pthread_join(t, NULL);
	EXPECT_EQ(0, p->ret);
	free(p);
}

/* The end and the ring's exit race: nothing is touched that is gone. */
TEST_F(uring, K1_the_end_and_the_ring_exit_race)
{
	struct part *p = calloc(1, sizeof(*p));
	struct io_uring ring;
	pthread_t t;
	int i, k;

	if (!self->commands)
		SKIP(return, "this kernel cannot cancel commands");
	p->c = &self->c;
	p->rounds = 40;
	ASSERT_EQ(0, pthread_create(&t, NULL, end_each, p));
	for (i = 1; i <= p->rounds; i++) {
		p->h[i] = abi_new(&self->c, 0, 0);
		ASSERT_EQ(0, io_uring_queue_init(16, &ring, 0));
		for (k = 0; k < 10; k++)
			prepare_wait(&ring, &self->c, p->h[i], AOP_EV_FINAL, 0, i);
		ASSERT_EQ(10, io_uring_submit(&ring));
		p->race.delay = (i % 2) ? i * 500 : -i * 500;
		race_begin(&p->race, i);
		io_uring_queue_exit(&ring);
		race_over(&p->race, i);
		ASSERT_EQ(0, abi_detach(&self->c, p->h[i], 0));
	}
	pthread_join(t, NULL);
	EXPECT_EQ(0, p->ret);
	free(p);
}

TEST_HARNESS_MAIN
