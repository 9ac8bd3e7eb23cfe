/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aop/loop.h - the loop: timers, files and sockets, signals, children
 *
 * A loop runs in one thread.  It ends the ops that were begun on it, and runs the
 * callbacks that name it.  What begins something returns the op begun, never NULL;
 * if it could not begin, that op is FAILED.
 *
 * Calls are for the loop's thread, except where "any thread" is said.  The comment
 * at each function's definition has the rest.
 */
#include <aop.h>		/* which has this one in its place */

#ifndef AOP_LOOP_H
#define AOP_LOOP_H

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct aop_loop;
struct aop_pool;

struct aop_loop_opts {
	uint32_t size, flags;
	uint32_t entries;		/* io_uring: submission queue; 0: 256 */
	uint32_t budget;		/* callbacks in one turn; 0: 256 */
	int64_t (*clock)(void *data);	/* virtual time: what time is it? */
	/* ... and nothing is left to do before `until`: -1 when no timer is set */
	void (*advance)(void *data, int64_t until);
	void *data;
	struct aop_pool *pool;		/* epoll: of calls on files that block; NULL: its own */
};

#define AOP_EPOLL	0x1		/* this engine or none; else the best there is */
#define AOP_URING	0x2
#define AOP_SQPOLL	0x4		/* io_uring: a kernel thread submits, shared by all loops */
#define AOP_ANY_THREAD	0x80		/* its ops are AOP_LOCAL: others may watch and cancel */

enum aop_run {
	AOP_RUN_ALL,			/* until nothing is left that could end, or be run */
	AOP_RUN_FOREVER,		/* until aop_loop_stop() */
	AOP_RUN_ONCE,			/* one turn, which may sleep */
	AOP_RUN_READY			/* one turn, which does not */
};

int  aop_loop_open(struct aop_loop **l, const struct aop_loop_opts *opts) AOP_CHECK;
void aop_loop_close(struct aop_loop *l);	/* ends what is left on it */
int  aop_loop_run(struct aop_loop *l, enum aop_run how);
void aop_loop_stop(struct aop_loop *l);		/* any thread, signal handlers too */
int64_t aop_loop_get(struct aop_loop *l, struct aop *op);	/* run until it is over */

/* in somebody else's loop */
int  aop_loop_fd(struct aop_loop *l);		/* readable, also for timers: dispatch */
int64_t aop_loop_next(struct aop_loop *l);	/* when to dispatch for timers; -1: none */
int  aop_loop_dispatch(struct aop_loop *l);	/* as AOP_RUN_READY */

/* any thread, signal handlers too; 1: was there already */
int  aop_loop_post(struct aop_loop *l, struct aop_work *w);
struct aop_exec *aop_loop_exec(struct aop_loop *l);	/* any thread */

int  aop_loop_add(struct aop_loop *l, struct aop_ctx *ctx);
int  aop_loop_remove(struct aop_loop *l, struct aop_ctx *ctx);
int64_t aop_loop_now(struct aop_loop *l);
const char *aop_loop_engine(const struct aop_loop *l);	/* "epoll", "io_uring" */
int  aop_loop_refused(const struct aop_loop *l);	/* why it is not io_uring */

struct aop_loop_stats {
	uint32_t size, flags;
	uint64_t turns;			/* of the loop */
	uint64_t sleeps;		/* turns that waited in the kernel */
	uint64_t work;			/* callbacks run: posted, or of executor and tasks */
	uint64_t events;		/* files and sockets that were ready, or ended */
	uint64_t timers;		/* that expired */
	uint64_t wakes;			/* times that another thread woke it */
	uint64_t alive;			/* what AOP_RUN_ALL waits for, now */
};

int  aop_loop_stats(struct aop_loop *l, struct aop_loop_stats *stats);

/* --- timers ------------------------------------------------------------- */

struct aop_timer { struct aop op; uint64_t priv[16]; };

/* DONE with 0 when the time is over: nanoseconds from aop_loop_now(), or aop_until() */
struct aop *aop_sleep(struct aop_loop *l, struct aop_timer *tm, int64_t t);
/* -EALREADY: has expired, or was cancelled */
int  aop_timer_set(struct aop_timer *tm, int64_t t);
int  aop_timer_later(struct aop_timer *tm, int64_t t);	/* only ever later: cheapest */
int  aop_timer_sooner(struct aop_timer *tm, int64_t t);	/* only ever sooner */

/* Ends as op does, when op is over; op is cancelled with -ETIMEDOUT at t. */
struct aop_within { struct aop op; struct aop_timer timer; uint64_t priv[28]; };
struct aop *aop_within(struct aop_loop *l, struct aop_within *wi, int64_t t,
		       struct aop *op);

enum aop_missed {
	AOP_MISSED_BURST,		/* catch up: one after the other at once */
	AOP_MISSED_SKIP,		/* one for all, then again in step */
	AOP_MISSED_DELAY		/* one for all, the next a whole period later */
};

struct aop_interval { struct aop_timer timer; uint64_t priv[4]; };

/* The first tick at t, then one each period. */
int  aop_interval_init(struct aop_interval *iv, struct aop_loop *l, int64_t t,
		       int64_t period, enum aop_missed missed);
/* DONE with the number of periods that it stands for, 1 unless some were missed */
struct aop *aop_tick(struct aop_interval *iv);

/* --- input and output ---------------------------------------------------- */

struct aop_io { struct aop op; uint64_t priv[20]; };

struct sockaddr;
struct msghdr;

/* The result is the poll(2) events that hold. */
struct aop *aop_ready(struct aop_loop *l, struct aop_io *io, int fd, unsigned int events);

/* The result is the number of bytes; off -1: at the file's position, or no file. */
struct aop *aop_read(struct aop_loop *l, struct aop_io *io, int fd, void *buf,
		     size_t len, int64_t off);
struct aop *aop_write(struct aop_loop *l, struct aop_io *io, int fd, const void *buf,
		      size_t len, int64_t off);
struct aop *aop_write_all(struct aop_loop *l, struct aop_io *io, int fd, const void *buf,
			  size_t len, int64_t off);
struct aop *aop_fsync(struct aop_loop *l, struct aop_io *io, int fd);

struct aop *aop_recv(struct aop_loop *l, struct aop_io *io, int fd, void *buf,
		     size_t len, int flags);
struct aop *aop_send(struct aop_loop *l, struct aop_io *io, int fd, const void *buf,
		     size_t len, int flags);
struct aop *aop_recvmsg(struct aop_loop *l, struct aop_io *io, int fd, struct msghdr *msg,
			int flags);
struct aop *aop_sendmsg(struct aop_loop *l, struct aop_io *io, int fd,
			const struct msghdr *msg, int flags);
/* The result is the new descriptor; flags: SOCK_CLOEXEC, SOCK_NONBLOCK */
struct aop *aop_accept(struct aop_loop *l, struct aop_io *io, int fd, int flags);
struct aop *aop_connect(struct aop_loop *l, struct aop_io *io, int fd,
			const struct sockaddr *addr, unsigned int len);

/* --- signals, children ---------------------------------------------------- */

/* The result is signo.  Blocks the signal in this thread: block it in all others. */
struct aop *aop_sigwait(struct aop_loop *l, struct aop_io *io, int signo);
/* The result is the status as of waitpid(2): WIFEXITED(), ... */
struct aop *aop_child(struct aop_loop *l, struct aop_io *io, int pidfd);

#if UINTPTR_MAX > UINT32_MAX
AOP_SIZE(struct aop_timer, 256);
AOP_SIZE(struct aop_interval, 288);
AOP_SIZE(struct aop_io, 288);
AOP_SIZE(struct aop_within, 608);
#endif

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif /* AOP_LOOP_H */
