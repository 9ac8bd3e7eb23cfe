// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting for any or all of many, watching many, and being watched by many.
 *
 * As in raw.c one process is owner and watcher: what is waited for has happened when
 * the wait begins, so that what is counted is the looking at all of them.
 */
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "../../selftests/abi.h"
#include "bench.h"

static struct abi_ctx own, see;
static struct aop_create_entry created[MANY];
static struct aop_attach_entry attached[MANY];
static struct aop_signal_entry signals[MANY];
static struct aop_wait_entry waits[MANY];

/* Up to MANY more ops of @own, watched in @see. */
static void more(unsigned int nr, uint32_t mask)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		created[i] = (struct aop_create_entry) { .mode = 0600, .state = AOP_RUNNING };
	want(abi_batch(own.fd, AOP_IOC_CREATE, created, sizeof(*created), nr) == (int)nr);
	for (i = 0; i < nr; i++) {
		want(!created[i].ret);
		attached[i] = (struct aop_attach_entry) {
			.id = created[i].id, .fd = -1, .rights = AOP_MAY_LOOK, .mask = mask,
		};
	}
	want(abi_batch(see.fd, AOP_IOC_ATTACH, attached, sizeof(*attached), nr) == (int)nr);
	for (i = 0; i < nr; i++)
		want(!attached[i].ret);
}

/* More than a user has by default. */
static void allow_many(void)
{
	FILE *f = fopen("/sys/module/aop/parameters/max_handles", "we");

	want(f && fprintf(f, "%u", 1 << 22) > 0 && !fclose(f));
}

static void open_many(unsigned int nr, uint32_t mask)
{
	unsigned int n;

	allow_many();
	want(!abi_open(&own, nr < 256 ? 256 : nr) && !abi_open(&see, nr < 256 ? 256 : nr));
	for (n = 0; n < nr; n += MANY)
		more(nr - n < MANY ? nr - n : MANY, mask);
}

static void close_many(void)
{
	abi_close(&own);
	abi_close(&see);
}

/* All of them in turn, but not in their order, so that few rounds stand for all. */
static unsigned int pick(unsigned int round, unsigned int nr)
{
	return round * 619 % nr;
}

/* ---- any and all --------------------------------------------------------- */

static void saw(unsigned int i)
{
	waits[i].seq = abi_slot(&see, abi_index(waits[i].handle))->seq;
}

static void wait_for(struct bench *b, unsigned int said)
{
	struct aop_ioc_wait w = {
		.size = sizeof(w),
		.entries = abi_u64(waits), .entry_size = sizeof(*waits), .nr = b->arg, .need = said,
		.deadline = AOP_FOREVER_NS,
	};
	unsigned int i, k, first;

	open_many(b->arg, 0);
	for (k = 0; k < b->arg; k++) {
		signals[k] = (struct aop_signal_entry) {
			.handle = created[k].handle, .what = AOP_SIGNAL_PROGRESS,
		};
		waits[k] = (struct aop_wait_entry) {
			.handle = attached[k].handle, .mask = AOP_EV_CHANGE,
		};
		saw(k);
	}
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			first = said == 1 ? pick(i, b->arg) : 0;
			if (said == 1)
				want(!ioctl(own.fd, AOP_IOC_SIGNAL_ONE, &signals[first]));
			else
				want(abi_batch(own.fd, AOP_IOC_SIGNAL, signals, sizeof(*signals),
					       said) == (int)said);
			want(!ioctl(see.fd, AOP_IOC_WAIT, &w) && w.count == said);
			for (k = 0; k < b->arg; k++)
				if (waits[k].events)
					saw(k);
		}
	close_many();
}

void many_aop_any(struct bench *b)
{
	wait_for(b, 1);
}

void many_aop_all(struct bench *b)
{
	wait_for(b, b->arg);
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

static struct pollfd fds[MANY];

static void poll_for(struct bench *b, unsigned int said)
{
	unsigned int i, k, first;

	for (k = 0; k < b->arg; k++) {
		fds[k] = (struct pollfd) { .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
		want(fds[k].fd >= 0);
	}
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			first = said == 1 ? pick(i, b->arg) : 0;
			for (k = first; k < first + said; k++)
				say(fds[k].fd);
			want(poll(fds, b->arg, -1) == (int)said);
			for (k = 0; k < b->arg; k++)
				if (fds[k].revents)
					hear(fds[k].fd);
		}
	for (k = 0; k < b->arg; k++)
		close(fds[k].fd);
}

void many_poll_any(struct bench *b)
{
	poll_for(b, 1);
}

void many_poll_all(struct bench *b)
{
	poll_for(b, b->arg);
}

/* Registered once, which no wait for n things can be that names them. */
static void epoll_for(struct bench *b)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev;
	unsigned int i, k;

	for (k = 0; k < b->arg; k++) {
		fds[k].fd = eventfd(0, EFD_CLOEXEC);
		ev = (struct epoll_event) { .events = EPOLLIN, .data.fd = fds[k].fd };
		want(!epoll_ctl(ep, EPOLL_CTL_ADD, fds[k].fd, &ev));
	}
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			say(fds[pick(i, b->arg)].fd);
			want(epoll_wait(ep, &ev, 1, -1) == 1);
			hear(ev.data.fd);
		}
	for (k = 0; k < b->arg; k++)
		close(fds[k].fd);
	close(ep);
}

void many_epoll_any(struct bench *b)
{
	epoll_for(b);
}

void many_eventfds(struct bench *b)
{
	epoll_for(b);
}

/* In shared memory; 128 at the most. */
void many_waitv_any(struct bench *b)
{
	static struct futex_waitv v[FUTEX_WAITV_MAX];
	static uint32_t word[FUTEX_WAITV_MAX];
	unsigned int i, k;

	want(b->arg <= FUTEX_WAITV_MAX);
	for (k = 0; k < b->arg; k++)
		v[k] = (struct futex_waitv) { .uaddr = (uintptr_t)&word[k], .flags = FUTEX_32 };
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			k = pick(i, b->arg);
			word[k]++;
			want(!syscall(SYS_futex, &word[k], FUTEX_WAKE, 1));
			/* It only says that some word has changed. */
			want(syscall(SYS_futex_waitv, v, b->arg, 0, NULL, 0) == -1);
			for (k = 0; k < b->arg; k++)
				v[k].val = word[k];
		}
}

/* ---- one among many ------------------------------------------------------ */

void many_watched(struct bench *b)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct aop_signal_entry s = { .what = AOP_SIGNAL_PROGRESS };
	unsigned int i;
	uint32_t index;

	open_many(b->arg, AOP_EV_CHANGE);
	want(!epoll_ctl(ep, EPOLL_CTL_ADD, see.fd, &ev));
	s.handle = created[0].handle;
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			s.value = i;
			want(!ioctl(own.fd, AOP_IOC_SIGNAL_ONE, &s));
			want(epoll_wait(ep, &ev, 1, -1) == 1);
			want(abi_reap(&see, &index, 1) == 1);
			want(index == abi_index(attached[0].handle));
		}
	close(ep);
	close_many();
}

/* ---- many who watch one -------------------------------------------------- */

/* Each takes the event out of its ring. */
void many_watchers(struct bench *b)
{
	struct aop_signal_entry s = { .what = AOP_SIGNAL_PROGRESS };
	struct abi_ctx c[8];
	struct aop_attach_entry a;
	unsigned int i, k;
	uint32_t index;

	open_many(1, 0);
	for (k = 0; k < b->arg; k++) {
		a = (struct aop_attach_entry) {
			.id = created[0].id, .fd = -1,
			.rights = AOP_MAY_LOOK, .mask = AOP_EV_CHANGE,
		};
		want(!abi_open(&c[k], 256) && !abi_attach(&c[k], &a));
	}
	s.handle = created[0].handle;
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			s.value = i;
			want(!ioctl(own.fd, AOP_IOC_SIGNAL_ONE, &s));
			for (k = 0; k < b->arg; k++)
				want(abi_reap(&c[k], &index, 1) == 1);
		}
	for (k = 0; k < b->arg; k++)
		abi_close(&c[k]);
	close_many();
}

/* An eventfd for each of them. */
void many_read(struct bench *b)
{
	unsigned int i, k;
	int fd[8];

	for (k = 0; k < b->arg; k++)
		fd[k] = eventfd(0, EFD_CLOEXEC);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			for (k = 0; k < b->arg; k++)
				say(fd[k]);
			for (k = 0; k < b->arg; k++)
				hear(fd[k]);
		}
	for (k = 0; k < b->arg; k++)
		close(fd[k]);
}
