/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loading the sample drivers and the driver of the tests, and calling the latter.
 */
#ifndef SELFTESTS_DRIVER_H
#define SELFTESTS_DRIVER_H

#include "behave.h"
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

/* A parameter of a driver, or -errno. */
static inline long long driver_param(const char *module, const char *name)
{
	char path[128];
	long long v;
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, name);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	n = fscanf(f, "%lld", &v);
	fclose(f);
	return n == 1 ? v : -EIO;
}

/* With PREEMPT_RT nothing of aop may be called from a true hard interrupt. */
static inline bool is_rt(void)
{
	struct utsname u;

	return !uname(&u) && strstr(u.version, "PREEMPT_RT");
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

/* What the driver has been told of an op. */
struct told {
	int cancels;
	int releases;
	uint32_t why;
};

static inline struct told told(int dev, uint32_t index)
{
	struct selftest_call c = { .what = SELFTEST_OWNER_SEEN, .index = index };

	call(dev, &c);
	return (struct told) { c.value, c.total, c.mask };
}

/* Callbacks come from work items: look again until there have been as many. */
static inline struct told until_told(int dev, uint32_t index, int cancels, int releases)
{
	struct told t;

	do {
		t = told(dev, index);
	} while ((t.cancels < cancels || t.releases < releases) && !sched_yield());
	return t;
}

/* What a watch of the driver has seen. */
struct seen {
	int calls;
	uint32_t seq;
	uint32_t word;
};

static inline struct seen seen(int dev, uint32_t index)
{
	struct selftest_call c = { .what = SELFTEST_WATCH_SEEN, .index = index };

	call(dev, &c);
	return (struct seen) { c.value, c.total, c.mask };
}

static inline struct seen until_seen(int dev, uint32_t index, int calls)
{
	struct seen s;

	do {
		s = seen(dev, index);
	} while (s.calls < calls && !sched_yield());
	return s;
}

static inline void until_at_gate(int dev)
{
	while (drive(dev, 0, SELFTEST_AT_GATE, 0) < 1)
		sched_yield();
}

#endif /* SELFTESTS_DRIVER_H */
