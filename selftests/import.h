/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A context, an eventfd, and operations that end when it is signalled.
 */
#ifndef SELFTESTS_IMPORT_H
#define SELFTESTS_IMPORT_H

#include "behave.h"
#include "slow.h"

#include <sys/eventfd.h>

FIXTURE(import) {
	struct abi_ctx c;
	int efd;
};

FIXTURE_SETUP(import)
{
	ASSERT_EQ(0, abi_open(&self->c, 256));
	self->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_GE(self->efd, 0);
}

FIXTURE_TEARDOWN(import)
{
	abi_close(&self->c);
	if (self->efd >= 0)
		close(self->efd);
}

/* Returns the handle, or 0 with errno. */
static inline uint64_t import(struct abi_ctx *c, int fd, uint32_t mask)
{
	struct aop_ioc_import im = { .size = sizeof(im), .fd = fd, .mask = mask, .mode = 0600 };

	return ioctl(c->fd, AOP_IOC_IMPORT, &im) ? 0 : im.handle;
}

/* mask 0 removes. */
static inline int export(struct abi_ctx *c, uint64_t handle, int fd, uint32_t mask)
{
	struct aop_ioc_eventfd e = {
		.size = sizeof(e), .handle = handle, .fd = fd, .mask = mask,
	};

	return abi_ioctl(c->fd, AOP_IOC_EVENTFD, &e);
}

static inline int fire(int fd, uint64_t n)
{
	return write(fd, &n, sizeof(n)) == sizeof(n) ? 0 : -errno;
}

static inline long long take(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? (long long)n : -errno;
}

#endif /* SELFTESTS_IMPORT_H */
