/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unloading the module and loading it again, from $AOP_KO, or from what was built
 * beside this program for the kernel that runs.
 */
#ifndef SELFTESTS_RELOAD_H
#define SELFTESTS_RELOAD_H

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* NULL when there is none. */
static inline const char *module_file(void)
{
	static char path[PATH_MAX + 128];
	char self[PATH_MAX] = "";
	struct utsname u;

	if (getenv("AOP_KO"))
		return getenv("AOP_KO");
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || uname(&u))
		return NULL;
	snprintf(path, sizeof(path), "%s/../%s/aop.ko", dirname(self), u.release);
	return access(path, R_OK) ? NULL : path;
}

/* Returns 0 or -errno: -EWOULDBLOCK while it is in use. */
static inline int unload(void)
{
	return syscall(SYS_delete_module, "aop", O_NONBLOCK) ? -errno : 0;
}

static inline int load(void)
{
	int fd = open(module_file(), O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

#endif /* SELFTESTS_RELOAD_H */
