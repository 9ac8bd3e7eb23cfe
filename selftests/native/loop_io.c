// SPDX-License-Identifier: GPL-2.0
/*
 * Input and output, signals and children as ops of a loop, on both engines: F6, F15, F17,
 * M10, C1, C3, C4.
 */
#include <limits.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "loop.h"

FIXTURE(io) {
	struct aop_loop *loop;
	int sv[2];
	struct aop_io io[3];
	char buf[3][256];
};

LOOP_VARIANTS(io);

FIXTURE_SETUP(io)
{
	LOOP_OPEN(self->loop);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->sv));
}

FIXTURE_TEARDOWN(io)
{
	aop_loop_close(self->loop);
	close(self->sv[0]);
	close(self->sv[1]);
}

/* A turn that does not sleep, and then some that submit and poll. */
static void turns(struct aop_loop *l)
{
	int i;

	for (i = 0; i < 3; i++)
		aop_loop_run(l, AOP_RUN_READY);
}

TEST_F(io, F17_engine_is_as_told)
{
	EXPECT_STREQ(variant->engine, aop_loop_engine(self->loop));
	EXPECT_EQ(0, aop_loop_refused(self->loop));
}

TEST_F(io, send_and_recv)
{
	struct aop *r = aop_recv(self->loop, &self->io[0], self->sv[0], self->buf[0], 256, 0);

	turns(self->loop);
	EXPECT_FALSE(aop_is_final(r));
	EXPECT_EQ(5, aop_loop_get(self->loop, aop_send(self->loop, &self->io[1], self->sv[1],
						       "hello", 5, 0)));
	EXPECT_EQ(5, aop_loop_get(self->loop, r));
	EXPECT_EQ(0, memcmp("hello", self->buf[0], 5));
	/* What is there already */
	ASSERT_EQ(3, write(self->sv[1], "abc", 3));
	EXPECT_EQ(2, aop_loop_get(self->loop, aop_recv(self->loop, &self->io[0], self->sv[0],
						       self->buf[0], 2, 0)));
	EXPECT_EQ(1, aop_loop_get(self->loop, aop_recv(self->loop, &self->io[0], self->sv[0],
						       self->buf[0], 2, 0)));
	/* The end */
	shutdown(self->sv[1], SHUT_WR);
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_recv(self->loop, &self->io[0], self->sv[0],
						       self->buf[0], 2, 0)));
	EXPECT_EQ(AOP_DONE, aop_state(&self->io[0].op));
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

TEST_F(io, nonblocking_files_too)
{
	struct aop *r;

	fcntl(self->sv[0], F_SETFL, O_NONBLOCK);
	r = aop_recv(self->loop, &self->io[0], self->sv[0], self->buf[0], 256, 0);
	turns(self->loop);
	EXPECT_FALSE(aop_is_final(r));
	ASSERT_EQ(3, write(self->sv[1], "abc", 3));
	EXPECT_EQ(3, aop_loop_get(self->loop, r));
	r = aop_read(self->loop, &self->io[0], self->sv[0], self->buf[0], 256, -1);
	turns(self->loop);
	EXPECT_FALSE(aop_is_final(r));
	ASSERT_EQ(2, write(self->sv[1], "de", 2));
	EXPECT_EQ(2, aop_loop_get(self->loop, r));
	EXPECT_EQ(0, memcmp("de", self->buf[0], 2));
}

/* A file that was closed, and another one that has its number now. */
TEST_F(io, number_is_used_again)
{
	int i, sv[2], fd = self->sv[0];
	struct aop *r;

	for (i = 0; i < 3; i++) {
		r = aop_recv(self->loop, &self->io[0], fd, self->buf[0], 256, 0);
		turns(self->loop);
		ASSERT_EQ(1, write(self->sv[1], "x", 1));
		ASSERT_EQ(1, aop_loop_get(self->loop, r));
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
		ASSERT_EQ(fd, dup3(sv[0], fd, O_CLOEXEC));
		close(sv[0]);
		close(self->sv[1]);
		self->sv[1] = sv[1];
	}
}

TEST_F(io, messages)
{
	struct iovec out[2] = { { "ab", 2 }, { "cd", 2 } }, in = { self->buf[0], 256 };
	struct msghdr mo = { .msg_iov = out, .msg_iovlen = 2 };
	struct msghdr mi = { .msg_iov = &in, .msg_iovlen = 1 };

	EXPECT_EQ(4, aop_loop_get(self->loop, aop_sendmsg(self->loop, &self->io[0], self->sv[1],
							  &mo, 0)));
	EXPECT_EQ(4, aop_loop_get(self->loop, aop_recvmsg(self->loop, &self->io[0], self->sv[0],
							  &mi, 0)));
	EXPECT_EQ(0, memcmp("abcd", self->buf[0], 4));
}

/* Much more than the socket takes at once, while somebody reads it. */
TEST_F(io, write_all)
{
	const size_t len = 4 << 20;
	char *out = malloc(len), *in = malloc(len);
	size_t have = 0, i;
	struct aop *w;
	int64_t n;

	ASSERT_NE(NULL, out);
	ASSERT_NE(NULL, in);
	for (i = 0; i < len; i++)
		out[i] = i * 7 ^ i >> 8;
	w = aop_write_all(self->loop, &self->io[0], self->sv[1], out, len, -1);
	while (have < len) {
		n = aop_loop_get(self->loop, aop_recv(self->loop, &self->io[1], self->sv[0],
						      in + have, len - have, 0));
		ASSERT_LT(0, n);
		have += n;
	}
	EXPECT_EQ(len, aop_loop_get(self->loop, w));
	/* valgrind does not see what the kernel writes for io_uring. */
	if (!loop_under_valgrind())
		EXPECT_EQ(0, memcmp(in, out, len));
	free(in);
	free(out);
}

TEST_F(io, pipe)
{
	struct aop *r;
	char big[3 * PIPE_BUF];
	int p[2];

	memset(big, 'x', sizeof(big));
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	r = aop_read(self->loop, &self->io[0], p[0], self->buf[0], 256, -1);
	turns(self->loop);
	EXPECT_FALSE(aop_is_final(r));
	EXPECT_EQ(3, aop_loop_get(self->loop, aop_write(self->loop, &self->io[1], p[1], "abc", 3,
							-1)));
	EXPECT_EQ(3, aop_loop_get(self->loop, r));
	EXPECT_EQ(sizeof(big), aop_loop_get(self->loop,
					    aop_write_all(self->loop, &self->io[1], p[1], big,
							  sizeof(big), -1)));
	close(p[1]);
	close(p[0]);
	EXPECT_EQ(-EBADF, aop_loop_get(self->loop, aop_read(self->loop, &self->io[0], p[0],
							    self->buf[0], 256, -1)));
}

TEST_F(io, regular_file)
{
	FILE *f = tmpfile();
	int fd = fileno(f);

	ASSERT_NE(NULL, f);
	EXPECT_EQ(6, aop_loop_get(self->loop, aop_write(self->loop, &self->io[0], fd, "abcdef", 6,
							-1)));
	EXPECT_EQ(2, aop_loop_get(self->loop, aop_write_all(self->loop, &self->io[0], fd, "XY", 2,
							    2)));
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_fsync(self->loop, &self->io[0], fd)));
	EXPECT_EQ(6, aop_loop_get(self->loop, aop_read(self->loop, &self->io[0], fd, self->buf[0],
						       256, 0)));
	EXPECT_EQ(0, memcmp("abXYef", self->buf[0], 6));
	/* The position is behind what the first one wrote. */
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_read(self->loop, &self->io[0], fd, self->buf[0],
						       256, -1)));
	EXPECT_EQ(POLLIN, aop_loop_get(self->loop, aop_ready(self->loop, &self->io[0], fd,
							     POLLIN)));
	fclose(f);
}

TEST_F(io, ready)
{
	struct aop *in = aop_ready(self->loop, &self->io[0], self->sv[0], POLLIN);
	struct aop *pri = aop_ready(self->loop, &self->io[1], self->sv[0], POLLPRI);
	struct aop *r = aop_recv(self->loop, &self->io[2], self->sv[0], self->buf[0], 256, 0);

	turns(self->loop);
	EXPECT_FALSE(aop_is_final(in));
	ASSERT_EQ(1, write(self->sv[1], "x", 1));
	EXPECT_EQ(POLLIN, aop_loop_get(self->loop, in));
	EXPECT_EQ(1, aop_loop_get(self->loop, r));
	EXPECT_FALSE(aop_is_final(pri));
	EXPECT_EQ(POLLOUT, aop_loop_get(self->loop, aop_ready(self->loop, &self->io[0],
							      self->sv[0], POLLOUT)));
	/* Whoever waits learns of the end. */
	close(self->sv[1]);
	EXPECT_TRUE(aop_loop_get(self->loop, pri) & POLLHUP);
	self->sv[1] = -1;
}

/* Two in line for the same file get theirs. */
TEST_F(io, several_at_once)
{
	struct aop *r[2];

	r[0] = aop_recv(self->loop, &self->io[0], self->sv[0], self->buf[0], 1, 0);
	r[1] = aop_recv(self->loop, &self->io[1], self->sv[0], self->buf[1], 1, 0);
	turns(self->loop);
	ASSERT_EQ(2, write(self->sv[1], "ab", 2));
	EXPECT_EQ(1, aop_loop_get(self->loop, r[0]));
	EXPECT_EQ(1, aop_loop_get(self->loop, r[1]));
	EXPECT_EQ('a' + 'b', self->buf[0][0] + self->buf[1][0]);
}

TEST_F(io, accept_and_connect)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	struct aop *acc;
	int fd, s, c;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(0, bind(s, (struct sockaddr *)&a, len));
	ASSERT_EQ(0, getsockname(s, (struct sockaddr *)&a, &len));
	/* Nobody listens yet. */
	EXPECT_EQ(-ECONNREFUSED, aop_loop_get(self->loop,
					      aop_connect(self->loop, &self->io[0], c,
							  (struct sockaddr *)&a, len)));
	ASSERT_EQ(0, listen(s, 8));
	acc = aop_accept(self->loop, &self->io[0], s, SOCK_CLOEXEC);
	turns(self->loop);
	EXPECT_FALSE(aop_is_final(acc));
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_connect(self->loop, &self->io[1], c,
							  (struct sockaddr *)&a, len)));
	EXPECT_EQ(0, fcntl(c, F_GETFL) & O_NONBLOCK);
	fd = aop_loop_get(self->loop, acc);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(1, send(c, "x", 1, 0));
	EXPECT_EQ(1, aop_loop_get(self->loop, aop_recv(self->loop, &self->io[0], fd, self->buf[0],
						       9, 0)));
	close(fd);
	close(c);
	/* Non-blocking ones */
	fcntl(s, F_SETFL, O_NONBLOCK);
	c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	acc = aop_accept(self->loop, &self->io[0], s, SOCK_CLOEXEC);
	turns(self->loop);
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_connect(self->loop, &self->io[1], c,
							  (struct sockaddr *)&a, len)));
	fd = aop_loop_get(self->loop, acc);
	ASSERT_LE(0, fd);
	close(fd);
	close(c);
	close(s);
}

/* No descriptor is left: the op says so, and the next one works. */
TEST_F(io, out_of_descriptors)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct rlimit old, none;
	socklen_t len = sizeof(a.sun_family);
	int s, c, fd;

	if (loop_under_valgrind())
		SKIP(return, "valgrind keeps descriptors back");
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(0, bind(s, (struct sockaddr *)&a, len));
	len = sizeof(a);
	ASSERT_EQ(0, getsockname(s, (struct sockaddr *)&a, &len));
	ASSERT_EQ(0, listen(s, 8));
	ASSERT_EQ(0, connect(c, (struct sockaddr *)&a, len));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = 3;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, aop_loop_get(self->loop, aop_accept(self->loop, &self->io[0], s, 0)));
	EXPECT_EQ(-EMFILE, aop_loop_fd(self->loop));
	EXPECT_EQ(-EMFILE, aop_result(aop_sigwait(self->loop, &self->io[1], SIGUSR1)));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	/* io_uring's accept() has taken it from the queue in the meantime, on some kernels */
	close(c);
	c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(0, connect(c, (struct sockaddr *)&a, len));
	fd = aop_loop_get(self->loop, aop_accept(self->loop, &self->io[0], s, 0));
	EXPECT_LE(0, fd);
	close(fd);
	close(c);
	close(s);
}

TEST_F(io, open_without_descriptors)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = variant->flags };
	struct aop_loop *l = (void *)1;
	struct rlimit old, few;
	int fd = dup(0), i;

	close(fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	for (i = 0; i < 2; i++) {
		few = old;
		few.rlim_cur = fd + i;
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
		EXPECT_EQ(-EMFILE, aop_loop_open(&l, &o));
		EXPECT_EQ(NULL, l);
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
		/* Nothing is left behind. */
		EXPECT_EQ(fd, dup(0));
		close(fd);
	}
}

TEST_F(io, bad_input)
{
	struct aop_io *io = &self->io[0];

	EXPECT_EQ(-EINVAL, aop_result(aop_recv(NULL, io, 0, NULL, 0, 0)));
	EXPECT_EQ(-EBADF, aop_result(aop_recv(self->loop, io, -1, NULL, 0, 0)));
	EXPECT_EQ(-EINVAL, aop_result(aop_ready(self->loop, io, 0, 0)));
	EXPECT_EQ(-EINVAL, aop_result(aop_ready(self->loop, io, 0, 0x8000)));
	EXPECT_EQ(-EINVAL, aop_result(aop_sigwait(NULL, io, SIGUSR1)));
	EXPECT_EQ(-EINVAL, aop_result(aop_sigwait(self->loop, io, SIGKILL)));
	EXPECT_EQ(-EINVAL, aop_result(aop_sigwait(self->loop, io, 0)));
	EXPECT_EQ(-EINVAL, aop_result(aop_sigwait(self->loop, io, 1000)));
	if (!loop_under_valgrind())
		EXPECT_EQ(-EFAULT, aop_loop_get(self->loop, aop_send(self->loop, io, self->sv[0],
								     (void *)1, 9, 0)));
	EXPECT_EQ(-EBADF, aop_loop_get(self->loop, aop_recv(self->loop, io, 999, self->buf, 1,
							    0)));
	EXPECT_EQ(-EBADF, aop_loop_get(self->loop, aop_ready(self->loop, io, 999, POLLIN)));
	EXPECT_EQ(-EBADF, aop_loop_get(self->loop, aop_accept(self->loop, io, 999, 0)));
	EXPECT_EQ(-EBADF, aop_loop_get(self->loop, aop_fsync(self->loop, io, 999)));
	EXPECT_GT(0, aop_loop_get(self->loop, aop_child(self->loop, io, self->sv[0])));
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

/* ---- cancelling -------------------------------------------------------------- */

/* M10, C4: over only when the kernel has let go: what comes later is not in the buffer. */
TEST_F(io, M10_cancelled_buffer_is_ours)
{
	struct aop *r = aop_recv(self->loop, &self->io[0], self->sv[0], self->buf[0], 256, 0);

	turns(self->loop);
	EXPECT_EQ(AOP_ASKED, aop_cancel(r, -EINTR));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, r));
	EXPECT_EQ(AOP_CANCELLED, aop_state(r));
	ASSERT_EQ(1, write(self->sv[1], "x", 1));
	turns(self->loop);
	EXPECT_EQ(0, self->buf[0][0]);
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(r, 0));
	/* The byte is still there for the next one. */
	EXPECT_EQ(1, aop_loop_get(self->loop, aop_recv(self->loop, &self->io[1], self->sv[0],
						       self->buf[1], 256, 0)));
}

/* C3: both orders, by whoever comes first; never both, and no byte is lost. */
TEST_F(io, C3_cancel_races_with_data)
{
	int i, n, cancelled = 0, got = 0;
	struct aop *r;

	for (i = 0; i < 200; i++) {
		r = aop_recv(self->loop, &self->io[0], self->sv[0], self->buf[0], 1, 0);
		if (i % 4 >= 2)
			turns(self->loop);
		if (i % 2) {
			aop_cancel(r, 0);
			if (i % 8 >= 4)
				turns(self->loop);
			ASSERT_EQ(1, write(self->sv[1], "x", 1));
		} else {
			ASSERT_EQ(1, write(self->sv[1], "x", 1));
			aop_cancel(r, 0);
		}
		n = aop_loop_get(self->loop, r);
		if (n == 1) {
			got++;
			continue;
		}
		ASSERT_EQ(-ECANCELED, n);
		cancelled++;
		ASSERT_EQ(1, recv(self->sv[0], self->buf[1], 256, MSG_DONTWAIT));
	}
	EXPECT_EQ(200, got + cancelled);
	EXPECT_LT(0, cancelled);
}

/* F15: dropped while it waits: nothing is left that the loop would wait for. */
TEST_F(io, F15_dropped)
{
	struct aop *r = aop_recv(self->loop, &self->io[0], self->sv[0], self->buf[0], 1, 0);

	turns(self->loop);
	aop_drop(r);
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	EXPECT_TRUE(aop_is_over(r));
}

TEST_F(io, M10_close_waits_for_the_kernel)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = variant->flags };
	struct aop_loop *l;
	struct aop *r[3];
	int i;

	ASSERT_EQ(0, aop_loop_open(&l, &o));
	r[0] = aop_recv(l, &self->io[0], self->sv[0], self->buf[0], 256, 0);
	r[1] = aop_ready(l, &self->io[1], self->sv[0], POLLPRI);
	r[2] = aop_sigwait(l, &self->io[2], SIGUSR1);
	turns(l);
	aop_loop_close(l);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EOWNERDEAD, aop_result(r[i]));
		EXPECT_TRUE(aop_is_over(r[i]));
	}
	ASSERT_EQ(1, write(self->sv[1], "x", 1));
	EXPECT_EQ(0, self->buf[0][0]);
}

/* W4: a time limit, in both orders. */
TEST_F(io, W4_within)
{
	struct aop_within wi;

	EXPECT_EQ(-ETIMEDOUT,
		  aop_loop_get(self->loop,
			       aop_within(self->loop, &wi, AOP_MS(1),
					  aop_recv(self->loop, &self->io[0], self->sv[0],
						   self->buf[0], 9, 0))));
	ASSERT_EQ(1, write(self->sv[1], "x", 1));
	EXPECT_EQ(1, aop_loop_get(self->loop,
				  aop_within(self->loop, &wi, AOP_SEC(1000),
					     aop_recv(self->loop, &self->io[0], self->sv[0],
						      self->buf[0], 9, 0))));
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

/* ---- signals and children ------------------------------------------------------ */

TEST_F(io, signal)
{
	struct aop *s = aop_sigwait(self->loop, &self->io[0], SIGUSR1);
	struct aop *other = aop_sigwait(self->loop, &self->io[1], SIGUSR2);

	turns(self->loop);
	EXPECT_FALSE(aop_is_final(s));
	kill(getpid(), SIGUSR1);
	EXPECT_EQ(SIGUSR1, aop_loop_get(self->loop, s));
	EXPECT_FALSE(aop_is_final(other));
	/* One that comes while nobody waits is kept. */
	kill(getpid(), SIGUSR1);
	turns(self->loop);
	EXPECT_EQ(SIGUSR1, aop_loop_get(self->loop, aop_sigwait(self->loop, &self->io[0],
								SIGUSR1)));
	aop_cancel(other, 0);
	EXPECT_EQ(-ECANCELED, aop_loop_get(self->loop, other));
	/* All who wait for it get it. */
	s = aop_sigwait(self->loop, &self->io[0], SIGUSR1);
	other = aop_sigwait(self->loop, &self->io[1], SIGUSR1);
	kill(getpid(), SIGUSR1);
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	EXPECT_EQ(SIGUSR1, aop_result(s));
	EXPECT_EQ(SIGUSR1, aop_result(other));
}

static int child(int status)
{
	struct { int pidfd; pid_t pid; } c;

	c.pid = fork();
	if (!c.pid) {
		if (status < 0)
			kill(getpid(), -status);
		_exit(status);
	}
	c.pidfd = syscall(SYS_pidfd_open, c.pid, 0);
	return c.pidfd;
}

TEST_F(io, F6_child)
{
	int fd, status;

	if (loop_under_valgrind())
		SKIP(return, "valgrind does not know pidfd_open()");
	fd = child(7);
	ASSERT_LE(0, fd);
	status = aop_loop_get(self->loop, aop_child(self->loop, &self->io[0], fd));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(7, WEXITSTATUS(status));
	EXPECT_EQ(-ECHILD, aop_loop_get(self->loop, aop_child(self->loop, &self->io[0], fd)));
	close(fd);

	fd = child(-SIGTERM);
	ASSERT_LE(0, fd);
	status = aop_loop_get(self->loop, aop_child(self->loop, &self->io[0], fd));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGTERM, WTERMSIG(status));
	close(fd);
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG));
}

TEST_HARNESS_MAIN
