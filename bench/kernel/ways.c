// SPDX-License-Identifier: GPL-2.0
/*
 * Other ways to tell of one event than an eventfd, each waited for by epoll, or as it
 * waits best.
 */
#include <liburing.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "ways.h"

/* ---- queues of the kernel ------------------------------------------------ */

void open_mq(int fd[2])
{
	struct mq_attr attr = { .mq_maxmsg = 8, .mq_msgsize = 8 };
	static const char name[] = "/aop-bench";

	mq_unlink(name);
	fd[1] = mq_open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600, &attr);
	fd[0] = mq_open(name, O_RDONLY | O_CLOEXEC);
	want(fd[0] >= 0 && fd[1] >= 0);
	mq_unlink(name);
}

/* What the calling process gets by it, which is blocked from now on. */
int open_signalfd(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	want(!sigprocmask(SIG_BLOCK, &set, NULL));
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	want(fd >= 0);
	return fd;
}

static void say_u64(int fd)
{
	uint64_t one = 1;

	want(write(fd, &one, sizeof(one)) == sizeof(one));
}

static void hear_u64(int fd)
{
	uint64_t value;

	want(read(fd, &value, sizeof(value)) == sizeof(value));
}

static void say_mq(int fd)
{
	uint64_t one = 1;

	want(!mq_send(fd, (char *)&one, sizeof(one), 0));
}

static void hear_mq(int fd)
{
	uint64_t value;

	want(mq_receive(fd, (char *)&value, sizeof(value), NULL) == sizeof(value));
}

static void say_signal(int fd)
{
	(void)fd;
	want(!sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 1 }));
}

static void hear_signal(int fd)
{
	struct signalfd_siginfo si;

	want(read(fd, &si, sizeof(si)) == sizeof(si));
}

static void through_epoll(struct bench *b, const int fd[2], void (*say)(int fd),
			  void (*hear)(int fd))
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	unsigned int i;

	want(!epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &ev));
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			say(fd[1]);
			want(epoll_wait(ep, &ev, 1, -1) == 1);
			hear(fd[0]);
		}
	close(ep);
	close(fd[0]);
	if (fd[1] != fd[0])
		close(fd[1]);
}

void way_pipe(struct bench *b)
{
	int fd[2];

	want(!pipe(fd));
	through_epoll(b, fd, say_u64, hear_u64);
}

void way_socket(struct bench *b)
{
	int fd[2];

	want(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	through_epoll(b, fd, say_u64, hear_u64);
}

void way_mq(struct bench *b)
{
	int fd[2];

	open_mq(fd);
	through_epoll(b, fd, say_mq, hear_mq);
}

void way_signalfd(struct bench *b)
{
	int fd = open_signalfd();

	through_epoll(b, (int[]){ fd, fd }, say_signal, hear_signal);
}

/* ---- io_uring ------------------------------------------------------------ */

static struct io_uring from, to;

static void open_rings(unsigned int entries)
{
	want(!io_uring_queue_init(entries, &from, 0));
	want(!io_uring_queue_init(entries, &to, 0));
}

static void close_rings(void)
{
	io_uring_queue_exit(&from);
	io_uring_queue_exit(&to);
}

/* Posts a completion to @to; what that was for @ring is not posted if it went well. */
void say_by_ring(struct io_uring *ring, struct io_uring *other, unsigned int nr)
{
	struct io_uring_sqe *sqe;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		sqe = io_uring_get_sqe(ring);
		io_uring_prep_msg_ring(sqe, other->ring_fd, 0, i, 0);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	}
	want(io_uring_submit(ring) == (int)nr);
}

static void take_from_ring(struct io_uring *ring, unsigned int nr)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(ring, head, cqe)
		n++;
	want(n == nr);
	io_uring_cq_advance(ring, n);
}

/* @to looks at its ring, and need not ask the kernel. */
void way_uring_msg(struct bench *b)
{
	unsigned int i;

	open_rings(8);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			say_by_ring(&from, &to, 1);
			take_from_ring(&to, 1);
		}
	close_rings();
}

void way_uring_burst(struct bench *b)
{
	unsigned int i;

	open_rings(b->arg);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			say_by_ring(&from, &to, b->arg);
			take_from_ring(&to, b->arg);
		}
	close_rings();
}

/* The same for a program that is in epoll: the ring tells its eventfd. */
void way_uring_eventfd(struct bench *b)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(0, EFD_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };
	unsigned int i;

	open_rings(8);
	want(!io_uring_register_eventfd(&to, fd));
	want(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			say_by_ring(&from, &to, 1);
			want(epoll_wait(ep, &ev, 1, -1) == 1);
			hear_u64(fd);
			take_from_ring(&to, 1);
		}
	close_rings();
	close(fd);
	close(ep);
}

/* An eventfd that a ring polls for ever, instead of epoll. */
void way_uring_poll(struct bench *b)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct io_uring_cqe *cqe;
	unsigned int i;

	open_rings(8);
	io_uring_prep_poll_multishot(io_uring_get_sqe(&to), fd, EPOLLIN);
	want(io_uring_submit(&to) == 1);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			say_u64(fd);
			want(!io_uring_wait_cqe(&to, &cqe));
			want(cqe->res & EPOLLIN && cqe->flags & IORING_CQE_F_MORE);
			io_uring_cqe_seen(&to, cqe);
			hear_u64(fd);
		}
	close_rings();
	close(fd);
}
