/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aop/pool.h - blocking work: a thread pool; part of <aop.h>
 *
 * What would block a loop (name resolution, file metadata, long computations) is
 * given to threads.  A job is an op: PENDING while it is queued, RUNNING when a
 * thread has taken it.
 */
#ifndef AOP_POOL_H
#define AOP_POOL_H

#include <aop.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct aop_pool;

struct aop_pool_opts {
	uint32_t size, flags;
	uint32_t threads;		/* 0: one a processor, at least 4 */
	uint32_t queue;			/* jobs that wait, at the most; 0: 1024 */
};

/* What a pool has done so far. */
struct aop_pool_stats {
	uint32_t size;			/* in: sizeof */
	uint32_t threads;
	uint32_t running, queued;	/* now */
	uint64_t done;			/* jobs that a thread has run */
	uint64_t stopped;		/* jobs that were taken back before that */
	uint64_t refused;		/* jobs that found the queue full */
};

struct aop_job {
	struct aop op;
	struct aop_watch asked;		/* the pool's */
	uint64_t priv[6];
};
#if UINTPTR_MAX > UINT32_MAX
AOP_SIZE(struct aop_job, 176 + sizeof(struct aop_watch));
#endif

/* What it returns is given to aop_end(). */
typedef int64_t aop_job_fn(struct aop_owner *o, void *arg);

int  aop_pool_open(struct aop_pool **p, const struct aop_pool_opts *o) AOP_CHECK;
void aop_pool_close(struct aop_pool *p);	/* waits for what runs */
struct aop_exec *aop_pool_exec(struct aop_pool *p);
int  aop_pool_stats(struct aop_pool *p, struct aop_pool_stats *s);
struct aop *aop_pool_run(struct aop_pool *p, struct aop_job *j, aop_job_fn *fn, void *arg);

/* --- what the system only does blocking ---------------------------------- */

struct addrinfo;
struct statx;

struct aop_lookup {
	struct aop_job job;
	const char *node, *service;
	const struct addrinfo *hints;
	struct addrinfo *list;		/* out: for freeaddrinfo() */
	int error;			/* out: EAI_*, for gai_strerror() */
};

struct aop_path {
	struct aop_job job;
	const char *path;
	struct statx *buf;
	int dirfd, flags;
	uint32_t mode;
};

/* Each is getaddrinfo(3), openat(2), statx(2), with an op that ends as it does. */
struct aop *aop_getaddrinfo(struct aop_pool *p, struct aop_lookup *r, const char *node,
			    const char *service, const struct addrinfo *hints);
struct aop *aop_openat(struct aop_pool *p, struct aop_path *a, int dirfd, const char *path,
		       int flags, uint32_t mode);
struct aop *aop_statx(struct aop_pool *p, struct aop_path *a, int dirfd, const char *path,
		      int flags, uint32_t mask, struct statx *buf);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif /* AOP_POOL_H */
