/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fault injection of the calling thread (Documentation/fault-injection): the nth
 * allocation or copy from or to user memory from now on fails, whatever it is for.
 */
#ifndef SELFTESTS_FAIL_NTH_H
#define SELFTESTS_FAIL_NTH_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

/* Allocations that may sleep and single pages too, and no trace in the log of each. */
static inline int inject_setup(void)
{
	static const char * const set[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[128];
	size_t i;
	int ret = access("/proc/thread-self/fail-nth", W_OK) ? -errno : 0;

	for (i = 0; i < sizeof(set) / sizeof(set[0]) && !ret; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", set[i][0]);
		ret = write_file(path, set[i][1]);
	}
	return ret;
}

/* Returns the descriptor for the two below, for the calling thread. */
static inline int inject_open(void)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static inline int inject_nth(int fd, unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	return pwrite(fd, text, strlen(text), 0) < 0 ? -errno : 0;
}

/* Returns whether something failed since inject_nth(), and lets nothing fail any more. */
static inline bool inject_end(int fd)
{
	char text[16] = "";
	bool failed = false;

	/* To read how many are left is a copy to user memory too, and so is to write it. */
	if (pread(fd, text, sizeof(text) - 1, 0) > 0)
		failed = !strtoul(text, NULL, 10);
	while (pwrite(fd, "0", 1, 0) < 0)
		;
	return failed;
}

#endif /* SELFTESTS_FAIL_NTH_H */
