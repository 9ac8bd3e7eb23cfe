/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files that are knobs: what is written is one call.
 */
#ifndef SELFTESTS_FILE_H
#define SELFTESTS_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Returns 0 or -errno. */
static inline int write_file(const char *path, const char *what)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, what, strlen(what)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

#endif /* SELFTESTS_FILE_H */
