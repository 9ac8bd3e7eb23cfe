/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loading the sample drivers and the driver of the tests, and calling the latter: for
 * tests and for the benchmark.
 */
#ifndef SELFTESTS_DRIVER_CALL_H
#define SELFTESTS_DRIVER_CALL_H

#include <sched.h>

#include "abi.h"
#include "reload.h"
#include "../kmod/test/aop_selftest.h"

/* @name: of a module, as "samples/aop_dma_sample".  Returns 0 or -errno. */
static inline int driver_load(const char *name, const char *params)
{
	const char *aop = module_file();
	char path[2 * PATH_MAX];
	int fd, ret;

	if (!aop)
		return -ENOENT;
	snprintf(path, sizeof(path), "%.*s/kmod/%s.ko", (int)(strrchr(aop, '/') - aop), aop, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, params, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* Returns 0 or -errno: -EWOULDBLOCK while it is in use. */
static inline int driver_unload(const char *name)
{
	const char *slash = strchr(name, '/');

	return syscall(SYS_delete_module, slash ? slash + 1 : name, O_NONBLOCK) ? -errno : 0;
}

/* Its device; the node may need a moment. */
static inline int driver_open(const char *device)
{
	int fd;

	while ((fd = open(device, O_RDWR | O_CLOEXEC)) < 0 && errno == ENOENT)
		sched_yield();
	return fd < 0 ? -errno : fd;
}

static inline FILE *driver_param_open(const char *module, const char *name, const char *how)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, name);
	return fopen(path, how);
}

static inline int driver_param_set(const char *module, const char *name, int value)
{
	FILE *f = driver_param_open(module, name, "we");

	if (!f)
		return -errno;
	fprintf(f, "%d", value);
	return fclose(f) ? -errno : 0;
}

/* A parameter of a driver, or -errno. */
static inline long long driver_param(const char *module, const char *name)
{
	FILE *f = driver_param_open(module, name, "re");
	long long v;
	int n;

	if (!f)
		return -errno;
	n = fscanf(f, "%lld", &v);
	fclose(f);
	return n == 1 ? v : -EIO;
}

/* ---- the driver of the tests ---------------------------------------------- */

static inline int call(int dev, struct selftest_call *c)
{
	return abi_ioctl(dev, AOP_SELFTEST_IOC_CALL, c);
}

/* What the driver does with an op of its own, from some context. */
static inline int drive_in(int dev, uint32_t context, uint32_t index, uint32_t what, int64_t value)
{
	struct selftest_call c = {
		.what = what, .context = context, .index = index, .value = value,
	};

	return call(dev, &c);
}

static inline int drive(int dev, uint32_t index, uint32_t what, int64_t value)
{
	return drive_in(dev, SELFTEST_PROCESS, index, what, value);
}

/* Returns the descriptor of an op of the driver. */
static inline int driver_op(int dev, uint32_t index, uint32_t flags)
{
	struct selftest_call c = { .what = SELFTEST_CREATE, .index = index, .flags = flags };

	return call(dev, &c);
}

#endif /* SELFTESTS_DRIVER_CALL_H */
