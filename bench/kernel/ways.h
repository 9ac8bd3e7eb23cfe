/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What pingpong.c does by the means of ways.c.
 */
#ifndef BENCH_WAYS_H
#define BENCH_WAYS_H

struct io_uring;

void open_mq(int fd[2]);
int open_signalfd(void);
void say_by_ring(struct io_uring *ring, struct io_uring *other, unsigned int nr);

#endif /* BENCH_WAYS_H */
