/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a row is counted.
 *
 * In a counting guest (selftests/vm/run -i) the time stamp counter counts executed
 * instructions, of user space and kernel together, so one look at it before and
 * one behind n rounds is all there is to measure.  A contender does
 *
 *	set up
 *	while (bench_pass(b))
 *		for (i = 0; i < b->n; i++)
 *			one round
 *	clean up
 *
 * and bench_pass() has it do so four times: to warm up, twice to count
 * instructions (the two must agree), and once to count system calls.
 *
 * One thread; nothing here has locks.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BURST	64
#define MANY	1024		/* entries of one call, at most */

enum pass { PASS_NONE, PASS_WARM, PASS_FIRST, PASS_SECOND, PASS_CALLS };

struct bench {
	unsigned int n;			/* rounds of a pass */
	unsigned int per;		/* what one round is divided by */
	unsigned int arg;		/* how many, where a contender has rows of many sizes */
	bool batch;			/* pingpong.c: who is woken has to wait */
	enum pass pass;
	bool stopped;
	uint64_t begin;
	uint64_t count[2];
	uint64_t calls;
	int counter;			/* of system calls: a descriptor */
	uint64_t bytes;			/* rows of memory fill in this alone */
};

bool bench_pass(struct bench *b);
void bench_stop(struct bench *b);

/* What must hold for the count to mean anything. */
#define want(cond)							\
do {									\
	if (!(cond))							\
		bench_die(__FILE__, __LINE__, #cond);			\
} while (0)

void bench_die(const char *file, int line, const char *what) __attribute__((noreturn, cold));

uint64_t memory_used(void);

typedef void contender_fn(struct bench *b);

/* peers.c */
contender_fn eventfd_event, eventfd_burst, eventfd_life, eventfd_life_batch, eventfd_memory;
contender_fn getppid_call;

/* ways.c: other ways to tell a process something */
contender_fn way_pipe, way_socket, way_mq, way_signalfd, way_uring_poll, way_uring_eventfd;
contender_fn way_uring_msg, way_uring_burst;

/* raw.c: the calls of /dev/aop as they are */
contender_fn raw_event, raw_event_final, raw_ring, raw_burst, raw_life, raw_life_batch, raw_memory;
contender_fn raw_load, raw_query, raw_empty;

/* many.c: waiting for many, watching many, being watched by many */
contender_fn many_aop_any, many_aop_all, many_poll_any, many_poll_all, many_epoll_any;
contender_fn many_waitv_any, many_watched, many_eventfds, many_watchers, many_read;

/* rounds.c: there and back */
contender_fn cancel_aop, cancel_eventfd, cancel_uring;
contender_fn attach_fd, attach_id, attach_epoll;
contender_fn death_aop, death_pipes, death_pidfd;

/* lib.c: by way of libaop */
contender_fn lib_event, lib_ring, lib_burst, lib_life, lib_life_batch, lib_load;

/* pingpong.c */
contender_fn pp_eventfd, pp_eventfd_epoll, pp_pipe, pp_socket, pp_futex, pp_mq, pp_uring;
contender_fn pp_raw_wait, pp_raw_blocking, pp_raw_epoll, pp_lib;
contender_fn tell_eventfd, tell_pipe, tell_socket, tell_mq, tell_signalfd, tell_futex, tell_uring;
contender_fn tell_raw_epoll, tell_raw_wait;

/* driver.c: in the kernel */
contender_fn driver_eventfd, driver_watched, driver_held, driver_timed, driver_freed;

/* ports.c */
contender_fn port_socket, port_socket_burst, port_pipe, port_mqueue, port_memory;
contender_fn port_raw, port_raw_burst;

/* netlink.c: seen from outside */
contender_fn raw_list, lib_list, news_nobody, news_others, news_reader;

/* uring.c */
contender_fn uring_poll, uring_multishot, uring_wait, uring_signal;
contender_fn uring_poll_burst, uring_multishot_burst, uring_wait_burst, uring_signal_burst;
contender_fn loop_epoll, loop_uring;

#endif /* BENCH_H */
