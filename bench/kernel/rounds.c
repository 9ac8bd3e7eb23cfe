// SPDX-License-Identifier: GPL-2.0
/*
 * There and back: a cancel and its answer, a handle come and gone, and a process that
 * dies with all that it had promised.
 */
#include <liburing.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../selftests/abi.h"
#include "bench.h"

static int new_epoll(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	want(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	return ep;
}

static void wait_in(int ep)
{
	struct epoll_event ev;

	want(epoll_wait(ep, &ev, 1, -1) == 1);
}

/* ---- cancel -------------------------------------------------------------- */

/* Both sides are in epoll; only what comes after the op's begin is counted. */
void cancel_aop(struct bench *b)
{
	struct aop_create_entry *made = calloc(b->n, sizeof(*made));
	struct aop_attach_entry *seen = calloc(b->n, sizeof(*seen));
	struct abi_ctx own, see;
	int owner, watcher;
	unsigned int i;
	uint32_t index;

	want(made && seen && !abi_open(&own, b->n) && !abi_open(&see, b->n));
	owner = new_epoll(own.fd);
	watcher = new_epoll(see.fd);
	do {
		for (i = 0; i < b->n; i++) {
			made[i] = (struct aop_create_entry) {
				.mode = 0600, .state = AOP_RUNNING, .mask = AOP_EV_ASKED,
			};
			want(!abi_create(&own, &made[i]));
			seen[i] = (struct aop_attach_entry) {
				.id = made[i].id, .fd = -1, .mask = AOP_EV_FINAL,
				.rights = AOP_MAY_LOOK | AOP_MAY_CANCEL,
			};
			want(!abi_attach(&see, &seen[i]));
		}
		if (!bench_pass(b))
			break;
		for (i = 0; i < b->n; i++) {
			want(abi_cancel(&see, seen[i].handle, -EINTR) == AOP_ASKED);
			wait_in(owner);
			want(abi_reap(&own, &index, 1) == 1);
			want(!abi_signal(&own, made[i].handle,
					 AOP_SIGNAL_CANCELLED | AOP_SIGNAL_DETACH, 0));
			wait_in(watcher);
			want(abi_reap(&see, &index, 1) == 1);
			want(abi_state(&see, seen[i].handle) == AOP_CANCELLED);
		}
		bench_stop(b);
		for (i = 0; i < b->n; i++)
			want(!abi_detach(&see, seen[i].handle, 0));
	} while (true);
	close(owner);
	close(watcher);
	abi_close(&own);
	abi_close(&see);
	free(made);
	free(seen);
}

static void say(int fd)
{
	uint64_t one = 1;

	want(write(fd, &one, sizeof(one)) == sizeof(one));
}

static void hear(int fd)
{
	uint64_t value;

	want(read(fd, &value, sizeof(value)) == sizeof(value));
}

/* One eventfd to ask by, one to answer. */
void cancel_eventfd(struct bench *b)
{
	int ask = eventfd(0, EFD_CLOEXEC), answer = eventfd(0, EFD_CLOEXEC);
	int owner = new_epoll(ask), watcher = new_epoll(answer);
	unsigned int i;

	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			say(ask);
			wait_in(owner);
			hear(ask);
			say(answer);
			wait_in(watcher);
			hear(answer);
		}
	close(owner);
	close(watcher);
	close(ask);
	close(answer);
}

/* The kernel cancels a poll of its own: nobody has to be asked. */
void cancel_uring(struct bench *b)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct io_uring ring;
	unsigned int i, k;

	want(!io_uring_queue_init(256, &ring, 0));
	do {
		for (i = 0; i < b->n; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			io_uring_prep_poll_add(sqe, fd, EPOLLIN);
			io_uring_sqe_set_data64(sqe, i + 1);
			want(io_uring_submit(&ring) == 1);
		}
		if (!bench_pass(b))
			break;
		for (i = 0; i < b->n; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
			struct io_uring_cqe *cqe;

			io_uring_prep_cancel64(sqe, i + 1, 0);
			io_uring_sqe_set_data64(sqe, 0);
			want(io_uring_submit_and_wait(&ring, 2) == 1);
			for (k = 0; k < 2; k++) {
				want(!io_uring_peek_cqe(&ring, &cqe));
				want(cqe->res == (cqe->user_data ? -ECANCELED : 0));
				io_uring_cqe_seen(&ring, cqe);
			}
		}
		bench_stop(b);
	} while (true);
	io_uring_queue_exit(&ring);
	close(fd);
}

/* ---- attach -------------------------------------------------------------- */

static void attach(struct bench *b, bool by_fd)
{
	struct aop_create_entry c = { .mode = 0600, .state = AOP_RUNNING };
	struct aop_attach_entry a;
	struct abi_ctx own, see;
	unsigned int i;
	int fd;

	want(!abi_open(&own, 256) && !abi_open(&see, 256) && !abi_create(&own, &c));
	fd = abi_export(&own, c.handle, AOP_MAY_LOOK);
	want(fd >= 0);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			a = (struct aop_attach_entry) {
				.id = by_fd ? 0 : c.id, .fd = by_fd ? fd : -1,
				.rights = AOP_MAY_LOOK, .mask = AOP_EV_FINAL,
			};
			want(!abi_attach(&see, &a));
			want(!abi_detach(&see, a.handle, 0));
		}
	close(fd);
	abi_close(&own);
	abi_close(&see);
}

void attach_fd(struct bench *b)
{
	attach(b, true);
}

void attach_id(struct bench *b)
{
	attach(b, false);
}

void attach_epoll(struct bench *b)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(0, EFD_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };
	unsigned int i;

	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			want(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
			want(!epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
		}
	close(fd);
	close(ep);
}

/* ---- the owner dies ------------------------------------------------------ */

enum { OPEN = 1000 };

struct promised {
	int ready;
	struct aop_create_entry made[OPEN];
};

static void sleep_for_ever(struct promised *s)
{
	__atomic_store_n(&s->ready, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
}

static pid_t fork_owner(struct promised *s, void (*owner)(struct promised *s, int *fd), int *fd)
{
	pid_t pid;

	s->ready = 0;
	pid = fork();
	want(pid >= 0);
	if (!pid) {
		owner(s, fd);
		sleep_for_ever(s);
	}
	while (!__atomic_load_n(&s->ready, __ATOMIC_ACQUIRE))
		usleep(1000);
	return pid;
}

static struct promised *promised_open(void)
{
	struct promised *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	want(s != MAP_FAILED);
	return s;
}

static void own_ops(struct promised *s, int *fd)
{
	static struct abi_ctx own;
	unsigned int i;

	(void)fd;
	want(!abi_open(&own, 1024));
	for (i = 0; i < OPEN; i++)
		s->made[i] = (struct aop_create_entry) { .mode = 0600, .state = AOP_RUNNING };
	want(abi_batch(own.fd, AOP_IOC_CREATE, s->made, sizeof(*s->made), OPEN) == OPEN);
}

void death_aop(struct bench *b)
{
	static struct aop_attach_entry a[OPEN];
	static struct aop_detach_entry d[OPEN];
	struct promised *s = promised_open();
	uint32_t index[OPEN], seen;
	struct abi_ctx see;
	int ep, status, i;
	pid_t pid;

	want(!abi_open(&see, 1024));
	ep = new_epoll(see.fd);
	do {
		pid = fork_owner(s, own_ops, NULL);
		for (i = 0; i < OPEN; i++)
			a[i] = (struct aop_attach_entry) {
				.id = s->made[i].id, .fd = -1, .rights = AOP_MAY_LOOK,
				.mask = AOP_EV_FINAL,
			};
		want(abi_batch(see.fd, AOP_IOC_ATTACH, a, sizeof(*a), OPEN) == OPEN);
		if (!bench_pass(b))
			break;
		want(!kill(pid, SIGKILL));
		for (seen = 0; seen < OPEN; ) {
			wait_in(ep);
			seen += abi_reap(&see, index, OPEN);
		}
		want(waitpid(pid, &status, 0) == pid);
		bench_stop(b);
		for (i = 0; i < OPEN; i++) {
			want(abi_state(&see, a[i].handle) == AOP_FAILED);
			d[i] = (struct aop_detach_entry) { .handle = a[i].handle };
		}
		want(abi_batch(see.fd, AOP_IOC_DETACH, d, sizeof(*d), OPEN) == OPEN);
	} while (true);
	want(!kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid);
	close(ep);
	abi_close(&see);
	munmap(s, sizeof(*s));
}

/* Keeps the other ends, that we have closed. */
static void own_pipes(struct promised *s, int *fd)
{
	(void)s;
	(void)fd;
}

void death_pipes(struct bench *b)
{
	struct promised *s = promised_open();
	struct epoll_event ev[OPEN];
	int in[OPEN], out[OPEN], ep, i, n, seen, status;
	pid_t pid;

	do {
		for (i = 0; i < OPEN; i++) {
			int fd[2];

			want(!pipe(fd));
			in[i] = fd[0];
			out[i] = fd[1];
		}
		pid = fork_owner(s, own_pipes, NULL);
		ep = epoll_create1(EPOLL_CLOEXEC);
		for (i = 0; i < OPEN; i++) {
			close(out[i]);
			ev[0] = (struct epoll_event) { .events = EPOLLIN, .data.fd = in[i] };
			want(!epoll_ctl(ep, EPOLL_CTL_ADD, in[i], ev));
		}
		if (!bench_pass(b))
			break;
		want(!kill(pid, SIGKILL));
		for (seen = 0; seen < OPEN; seen += n) {
			n = epoll_wait(ep, ev, OPEN, -1);
			want(n > 0);
			for (i = 0; i < n; i++) {
				want(ev[i].events & EPOLLHUP);
				want(!epoll_ctl(ep, EPOLL_CTL_DEL, ev[i].data.fd, NULL));
			}
		}
		want(waitpid(pid, &status, 0) == pid);
		bench_stop(b);
		for (i = 0; i < OPEN; i++)
			close(in[i]);
		close(ep);
	} while (true);
	want(!kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid);
	for (i = 0; i < OPEN; i++)
		close(in[i]);
	close(ep);
	munmap(s, sizeof(*s));
}

/* The process alone: who had asked it for what is to find out. */
void death_pidfd(struct bench *b)
{
	struct promised *s = promised_open();
	int pidfd, ep, status;
	pid_t pid;

	do {
		pid = fork_owner(s, own_pipes, NULL);
		pidfd = syscall(SYS_pidfd_open, pid, 0);
		want(pidfd >= 0);
		ep = new_epoll(pidfd);
		if (!bench_pass(b))
			break;
		want(!kill(pid, SIGKILL));
		wait_in(ep);
		want(waitpid(pid, &status, 0) == pid);
		bench_stop(b);
		close(ep);
		close(pidfd);
	} while (true);
	want(!kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid);
	close(ep);
	close(pidfd);
	munmap(s, sizeof(*s));
}
