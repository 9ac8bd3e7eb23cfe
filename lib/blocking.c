// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * blocking.c - calls that the system only does blocking, as jobs of a pool
 *
 * Arguments are the caller's until the op is over.  A cancel that comes too late for
 * the queue lets the call go on: look at the result also after a cancel.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/stat.h>

#include "internal.h"

static int from_eai(int error)
{
	switch (error) {
	case 0:
		return 0;
	case EAI_SYSTEM:
		return -errno;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_SERVICE:
		return -ENOENT;
	case EAI_AGAIN:
		return -EBUSY;
	case EAI_FAIL:
		return -EIO;
	case EAI_FAMILY:
	case EAI_ADDRFAMILY:
		return -EAFNOSUPPORT;
	default:
		return -EINVAL;
	}
}

static int64_t lookup(struct aop_owner *o, void *arg)
{
	struct aop_lookup *r = arg;

	(void)o;
	r->error = getaddrinfo(r->node, r->service, r->hints, &r->list);
	if (r->error)
		r->list = NULL;
	return from_eai(r->error);
}

/**
 * aop_getaddrinfo() - find addresses by name
 * @p: a pool
 * @r: memory of the caller's, uninitialised, his again when the op is over
 * @node: as getaddrinfo(3)
 * @service: as getaddrinfo(3)
 * @hints: as getaddrinfo(3)
 *
 * With result 0 @r->list is the caller's to give to freeaddrinfo(); otherwise it is
 * NULL, and @r->error is 0 or what getaddrinfo() returned.
 *
 * Return: the op of @r->job, never NULL.  It ends DONE, 0, or FAILED: -ENOENT: no such
 * name or service; -EBUSY: the name server does not answer now; -EIO: it cannot;
 * -EAFNOSUPPORT; -ENOMEM; another errno of the system; or as aop_pool_run().
 */
struct aop *aop_getaddrinfo(struct aop_pool *p, struct aop_lookup *r, const char *node,
			    const char *service, const struct addrinfo *hints)
{
	r->node = node;
	r->service = service;
	r->hints = hints;
	r->list = NULL;
	r->error = 0;
	return aop_pool_run(p, &r->job, lookup, r);
}

static int64_t do_open(struct aop_owner *o, void *arg)
{
	struct aop_path *a = arg;
	int fd = openat(a->dirfd, a->path, a->flags, (mode_t)a->mode);

	(void)o;
	return fd < 0 ? -errno : fd;
}

/**
 * aop_openat() - open a file
 * @p: a pool
 * @a: memory of the caller's, uninitialised, his again when the op is over
 * @dirfd: as openat(2)
 * @path: as openat(2)
 * @flags: as openat(2)
 * @mode: as openat(2)
 *
 * Return: the op of @a->job, never NULL.  It ends DONE with the descriptor, which is
 * the caller's, or FAILED as openat(2) does or as aop_pool_run().
 */
struct aop *aop_openat(struct aop_pool *p, struct aop_path *a, int dirfd, const char *path,
		       int flags, uint32_t mode)
{
	a->dirfd = dirfd;
	a->path = path;
	a->flags = flags;
	a->mode = mode;
	a->buf = NULL;
	return aop_pool_run(p, &a->job, do_open, a);
}

static int64_t do_statx(struct aop_owner *o, void *arg)
{
	struct aop_path *a = arg;

	(void)o;
	return statx(a->dirfd, a->path, a->flags, a->mode, a->buf) < 0 ? -errno : 0;
}

/**
 * aop_statx() - look at a file's metadata
 * @p: a pool
 * @a: memory of the caller's, uninitialised, his again when the op is over
 * @dirfd: as statx(2)
 * @path: as statx(2)
 * @flags: as statx(2)
 * @mask: as statx(2)
 * @buf: out, when the result is 0
 *
 * Return: the op of @a->job, never NULL.  It ends DONE, 0, or FAILED as statx(2) does
 * or as aop_pool_run().
 */
struct aop *aop_statx(struct aop_pool *p, struct aop_path *a, int dirfd, const char *path,
		      int flags, uint32_t mask, struct statx *buf)
{
	a->dirfd = dirfd;
	a->path = path;
	a->flags = flags;
	a->mode = mask;
	a->buf = buf;
	return aop_pool_run(p, &a->job, do_statx, a);
}
