// SPDX-License-Identifier: GPL-2.0
/*
 * Streams between two processes (S8, K9): whole messages in order, whoever is killed when;
 * the survivor gets an end.
 */
#include <sys/mman.h>

#include "lib.h"

#define PLACES	64

struct msg {
	uint64_t nr, check;
};

/* The child: sends for ever, or count messages and an end. */
static void child(int sock, uint64_t count)
{
	struct aop_shared_stream side;
	struct aop_transfer t;
	struct aop_sender tx;
	struct aop_ctx *ctx;
	struct aop *op;
	struct msg m;

	if (aop_ctx_open(&ctx, NULL) || aop_stream_accept(&side, ctx, sock, NULL) != AOP_SENDS ||
	    aop_sender_init(&tx, &side.stream, 0))
		_exit(1);
	for (m.nr = 0; m.nr < count; m.nr++) {
		m.check = ~m.nr;
		op = aop_stream_push(&tx, &t, &m, sizeof(m));
		while (!aop_is_over(op))
			lib_dispatch(ctx);
		if (aop_join(op) != 1)
			_exit(2);
	}
	aop_sender_end(&tx);
	aop_sender_drop(&tx);
	aop_stream_close(&side);
	aop_ctx_close(ctx);
	_exit(0);
}

FIXTURE(between) {
	struct aop_shared_stream side;
	struct aop_receiver rx;
	struct aop_transfer t;
	struct aop_ctx *ctx;
	int sock[2];
	pid_t pid;
};

FIXTURE_SETUP(between)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
}

FIXTURE_TEARDOWN(between)
{
	aop_ctx_close(self->ctx);
}

/* Returns what the stream ends with; *nr: how many messages came before. */
static int64_t receive_all(struct aop_ctx *ctx, struct aop_receiver *rx, struct aop_transfer *t,
			   uint64_t *nr, uint64_t kill_at, pid_t pid)
{
	struct msg m = { 0 };
	struct aop *op;
	int64_t ret;

	for (*nr = 0;; ++*nr) {
		if (*nr == kill_at)
			kill(pid, SIGKILL);
		op = aop_stream_pop(rx, t, &m, sizeof(m));
		while (!aop_is_over(op))
			lib_dispatch(ctx);
		ret = aop_join(op);
		if (ret != 1)
			return ret;
		if (m.nr != *nr || m.check != ~m.nr)
			return -EBADMSG;
	}
}

static int begin(struct _test_data_between *self, uint64_t count)
{
	int ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->sock))
		return -errno;
	self->pid = fork();
	if (!self->pid)
		child(self->sock[1], count);
	close(self->sock[1]);
	ret = aop_stream_offer(&self->side, self->ctx, self->sock[0], AOP_RECEIVES,
			       AOP_STREAM_OPTS(.place = sizeof(struct msg), .places = PLACES));
	return ret ? ret : aop_receiver_init(&self->rx, &self->side.stream, 0);
}

static void end(struct _test_data_between *self, int *status)
{
	waitpid(self->pid, status, 0);
	aop_receiver_drop(&self->rx);
	aop_stream_close(&self->side);
	close(self->sock[0]);
}

TEST_F(between, S7_all_messages_and_the_end)
{
	uint64_t nr;
	int status;

	ASSERT_EQ(0, begin(self, 20000));
	EXPECT_EQ(0, receive_all(self->ctx, &self->rx, &self->t, &nr, UINT64_MAX, self->pid));
	EXPECT_EQ(20000, nr);
	end(self, &status);
	EXPECT_EQ(0, status);
}

TEST_F(between, S8_killed_at_any_point)
{
	uint64_t nr, at;
	int i, status;

	for (i = 0; i < 100; i++) {
		at = (uint64_t)i * i % 997;
		ASSERT_EQ(0, begin(self, UINT64_MAX));
		EXPECT_EQ(-EOWNERDEAD, receive_all(self->ctx, &self->rx, &self->t, &nr, at,
						   self->pid));
		EXPECT_LE(at, nr);
		end(self, &status);
		EXPECT_TRUE(WIFSIGNALED(status));
	}
}

/* ---- a peer that scribbles -------------------------------------------------------- */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* The child: writes whatever it likes into the memory of the stream, for ever. */
static void scribbler(int sock, uint32_t seed)
{
	size_t i, words = (256 + AOP_STREAM_MEM(sizeof(struct msg), PLACES)) / 4;
	struct aop_shared_stream side;
	struct aop_receiver rx;
	struct aop_sender tx;
	struct aop_ctx *ctx;
	char path[64], name[64];
	uint32_t *mem = NULL;
	int fd, role;
	ssize_t n;

	if (aop_ctx_open(&ctx, NULL))
		_exit(1);
	role = aop_stream_accept(&side, ctx, sock, NULL);
	if (role < 0 || (role == AOP_SENDS ? aop_sender_init(&tx, &side.stream, 0) :
			 aop_receiver_init(&rx, &side.stream, 0)))
		_exit(1);
	for (fd = 3; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		if (n <= 0)
			continue;
		name[n] = 0;
		if (strstr(name, "aop-stream"))
			mem = mmap(NULL, 4 * words, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	if (!mem || mem == MAP_FAILED)
		_exit(1);
	for (;;) {
		i = next_random(&seed) % words;
		if (next_random(&seed) % 2)
			mem[i] += next_random(&seed) % 5 - 2;
		else
			mem[i] = next_random(&seed) << next_random(&seed) % 9;
	}
}

/* Whatever stands there each call returns, and in the end there is an end (S8, K9). */
TEST_F(between, a_peer_that_scribbles)
{
	struct aop_message m;
	struct aop_sender tx;
	struct msg msg = { 0 };
	int i, k, status, role;
	int64_t ret, sum = 0;

	for (i = 0; i < 20; i++) {
		role = i % 2 ? AOP_SENDS : AOP_RECEIVES;
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->sock));
		self->pid = fork();
		if (!self->pid)
			scribbler(self->sock[1], i + 1);
		close(self->sock[1]);
		ASSERT_EQ(0, aop_stream_offer(&self->side, self->ctx, self->sock[0], role,
					      AOP_STREAM_OPTS(.place = sizeof(struct msg),
							      .places = PLACES)));
		if (role == AOP_SENDS) {
			ASSERT_EQ(0, aop_sender_init(&tx, &self->side.stream, 0));
		} else {
			ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->side.stream, 0));
		}
		for (k = 0; k < 5000; k++) {
			if (role == AOP_SENDS) {
				sum += aop_stream_try_push(&tx, &msg, sizeof(msg));
			} else if (k % 2) {
				aop_stream_try_pop(&self->rx, &msg, sizeof(msg));
			} else if (aop_stream_try_receive(&self->rx, &m) == 1) {
				memset(m.data, 0, m.len);
				aop_stream_retire(&self->rx, &m, 0);
			}
			aop_ctx_dispatch(self->ctx);
		}
		EXPECT_EQ(0, waitpid(self->pid, &status, WNOHANG));
		kill(self->pid, SIGKILL);
		waitpid(self->pid, &status, 0);
		EXPECT_TRUE(WIFSIGNALED(status));
		for (k = 0, ret = 1; ret && k < 4 * PLACES; k++) {
			struct aop *op = role == AOP_SENDS ?
				aop_stream_push(&tx, &self->t, &msg, sizeof(msg)) :
				aop_stream_pop(&self->rx, &self->t, &msg, sizeof(msg));

			while (!aop_is_over(op))
				lib_dispatch(self->ctx);
			ret = aop_join(op);
			if (role == AOP_SENDS && ret == -EPIPE)
				ret = 0;
		}
		EXPECT_EQ(0, ret);
		if (role == AOP_SENDS)
			aop_sender_drop(&tx);
		else
			aop_receiver_drop(&self->rx);
		aop_stream_close(&self->side);
		close(self->sock[0]);
	}
	TH_LOG("%lld", (long long)sum);
}

/*
 * A seal does not keep a peer from punching holes.  In huge pages, of which there are few,
 * that is no memory any more for who looks at it: such are refused.
 */
TEST(memory_of_huge_pages)
{
	const struct { uint32_t magic, version, place, places; } head = { 0x53504f41, 1, 64, 16 };
	const struct { uint32_t magic, side; } offer = { 0x53504f41, AOP_SENDS };
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int nr = open("/proc/sys/vm/nr_hugepages", O_WRONLY | O_CLOEXEC), sock[2], i, fd;
	union { struct cmsghdr align; char buf[CMSG_SPACE(3 * sizeof(int))]; } control = { 0 };
	struct iovec iov = { .iov_base = (void *)&offer, .iov_len = sizeof(offer) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	const size_t size = 2 << 20;
	struct aop_shared_stream side;
	struct cmsghdr *c;
	struct aop_ctx *ctx;
	void *mem;

	fd = memfd_create("huge", MFD_ALLOW_SEALING | MFD_HUGETLB);
	if (nr < 0 || fd < 0 || write(nr, "1", 1) != 1 || ftruncate(fd, size))
		SKIP(return, "no huge pages");
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		SKIP(return, "no huge page");
	memcpy(mem, &head, sizeof(head));
	munmap(mem, size);
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, seals));
	ASSERT_EQ(0, aop_ctx_open(&ctx, NULL));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock));
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(3 * sizeof(int));
	for (i = 0; i < 3; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	ASSERT_EQ((ssize_t)sizeof(offer), sendmsg(sock[0], &msg, 0));
	EXPECT_EQ(-EBADMSG, aop_stream_accept(&side, ctx, sock[1], NULL));
	close(sock[0]);
	close(sock[1]);
	close(fd);
	EXPECT_EQ(1, pwrite(nr, "0", 1, 0));
	close(nr);
	aop_ctx_close(ctx);
}

TEST_HARNESS_MAIN
