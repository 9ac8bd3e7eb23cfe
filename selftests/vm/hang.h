/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where everybody in the guest hangs, told when a time limit is over: the
 * command line of each process and the kernel stack of each of its threads.
 */
#ifndef SELFTESTS_VM_HANG_H
#define SELFTESTS_VM_HANG_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The start of @path as a string, its NULs as spaces. */
static inline char *look_into(char *buf, size_t len, const char *path)
{
	ssize_t n = -1, i;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf, len - 1);
		close(fd);
	}
	for (i = 0; i < n; i++)
		if (!buf[i])
			buf[i] = ' ';
	buf[i] = 0;
	return buf;
}

static inline void tell_threads(int out, int pid)
{
	char path[64], text[4096];
	struct dirent *d;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (d = readdir(tasks))) {
		int tid = atoi(d->d_name);

		if (!tid)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", pid, tid);
		dprintf(out, "#   thread %d\n%s", tid, look_into(text, sizeof(text), path));
	}
	if (tasks)
		closedir(tasks);
}

static inline void tell_hang(int out)
{
	DIR *proc = opendir("/proc");
	char path[64], text[512];
	struct dirent *d;

	while (proc && (d = readdir(proc))) {
		int pid = atoi(d->d_name);

		/* Kernel threads have no command line; nor is it us who hang. */
		if (pid < 2 || pid == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
		if (!*look_into(text, sizeof(text), path))
			continue;
		dprintf(out, "# process %d: %s\n", pid, text);
		tell_threads(out, pid);
	}
	if (proc)
		closedir(proc);
}

#endif /* SELFTESTS_VM_HANG_H */
