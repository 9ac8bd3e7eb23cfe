/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests of libaop: what they have in common.
 */
#ifndef SELFTESTS_LIB_H
#define SELFTESTS_LIB_H

#include <aop.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* A callback that keeps what it was told. */
struct seen {
	struct aop_watch w;
	struct aop_status last;
	_Atomic int calls;
	_Atomic int finals;
	pthread_t thread;
};

static inline void see(struct aop_watch *w, const struct aop_status *st)
{
	struct seen *s = (struct seen *)((char *)w - offsetof(struct seen, w));

	s->last = *st;
	s->thread = pthread_self();
	s->finals += st->state >= AOP_DONE;
	s->calls++;
}

/* Is the context's descriptor readable? */
static inline bool lib_readable(struct aop_ctx *ctx)
{
	struct pollfd p = { .fd = aop_ctx_fd(ctx), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Block until there is something to dispatch, and do it. */
static inline int lib_dispatch(struct aop_ctx *ctx)
{
	struct pollfd p = { .fd = aop_ctx_fd(ctx), .events = POLLIN };

	if (poll(&p, 1, -1) != 1)
		return -errno;
	return aop_ctx_dispatch(ctx);
}

/* A second handle on op, in the same or another context, by descriptor. */
static inline int lib_twin(struct aop *twin, struct aop_ctx *ctx, struct aop *op,
			   unsigned int rights)
{
	int ret, fd = aop_export(op, rights);

	if (fd < 0)
		return fd;
	ret = aop_attach(twin, ctx, fd);
	close(fd);
	return ret;
}

/* What aop_wait() of an op of this process sleeps in. */
#ifdef SYS_futex_time64
#define LIB_SYS_WAIT	SYS_futex_time64
#else
#define LIB_SYS_WAIT	SYS_futex
#endif

/*
 * Return when a thread sleeps in system call @nr.  The kernel tells nobody when one
 * falls asleep, so look again and again.
 */
static inline void lib_until_asleep(const _Atomic int *tid, long nr)
{
	char path[64], buf[128], *end;
	bool there;
	FILE *f;

	for (;; sched_yield()) {
		if (!*tid)
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", *tid);
		f = fopen(path, "re");
		there = f && fgets(buf, sizeof(buf), f) && buf[0] != 'r' && atol(buf) == nr;
		if (f)
			fclose(f);
		if (!there)
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", *tid);
		f = fopen(path, "re");
		end = f && fgets(buf, sizeof(buf), f) ? strrchr(buf, ')') : NULL;
		if (f)
			fclose(f);
		if (end && end[1] && end[2] == 'S')
			return;
	}
}

/* A child that is to end with 0, and that this test ends with. */
static inline int lib_reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif /* SELFTESTS_LIB_H */
