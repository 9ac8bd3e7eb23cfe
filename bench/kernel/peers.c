// SPDX-License-Identifier: GPL-2.0
/*
 * What users do today: an eventfd for each thing that may happen, watched by epoll.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

static int new_eventfd(int ep)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	want(fd >= 0);
	want(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	return fd;
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

/* Waits until @nr are ready, and takes them. */
static void hear_all(int ep, int nr)
{
	struct epoll_event ev[MANY];
	int i;

	want(epoll_wait(ep, ev, MANY, -1) == nr);
	for (i = 0; i < nr; i++)
		hear(ev[i].data.fd);
}

void eventfd_event(struct bench *b)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), fd = new_eventfd(ep);
	unsigned int i;

	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			say(fd);
			hear_all(ep, 1);
		}
	close(fd);
	close(ep);
}

void eventfd_burst(struct bench *b)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), fd[MANY];
	unsigned int i, k;

	for (k = 0; k < b->arg; k++)
		fd[k] = new_eventfd(ep);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			for (k = 0; k < b->arg; k++)
				say(fd[k]);
			hear_all(ep, b->arg);
		}
	for (k = 0; k < b->arg; k++)
		close(fd[k]);
	close(ep);
}

void eventfd_life(struct bench *b)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), fd;
	unsigned int i;

	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			fd = new_eventfd(ep);
			say(fd);
			hear_all(ep, 1);
			close(fd);
		}
	close(ep);
}

void eventfd_life_batch(struct bench *b)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), fd[BURST];
	unsigned int i, k;

	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			for (k = 0; k < BURST; k++)
				fd[k] = new_eventfd(ep);
			for (k = 0; k < BURST; k++)
				say(fd[k]);
			hear_all(ep, BURST);
			for (k = 0; k < BURST; k++)
				close(fd[k]);
		}
	close(ep);
}

void eventfd_memory(struct bench *b)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), first = -1, last = -1;
	unsigned int i;

	b->bytes = memory_used();
	for (i = 0; i < b->n; i++) {
		last = new_eventfd(ep);
		if (first < 0)
			first = last;
	}
	b->bytes = memory_used() - b->bytes;
	want(!close_range(first, last, 0));
	close(ep);
}

void getppid_call(struct bench *b)
{
	unsigned int i;

	while (bench_pass(b))
		for (i = 0; i < b->n; i++)
			want(syscall(SYS_getppid) > 0);
}
