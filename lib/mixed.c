// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * mixed.c - waiting for ops that are not all of one scope or context
 *
 * Each shared op is exported, since its descriptor is readable when it is final, and
 * local ones write to an eventfd: then all of them are polled for.  That takes some
 * system calls for each op, and wakes for each that becomes final; who waits often
 * watches instead.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "local.h"
#include "shared.h"

static int poll_until(struct pollfd *fds, nfds_t n, int64_t until)
{
	struct timespec t;
	int64_t left;
	int ret;

	do {
		left = until < 0 ? 0 : until - aop_now();
		if (left < 0)
			left = 0;
		t.tv_sec = left / 1000000000;
		t.tv_nsec = left % 1000000000;
		ret = ppoll(fds, n, until < 0 ? NULL : &t, NULL);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	return ret ? 0 : -ETIME;
}

/* Until one more of the n ops is final, or `until`. */
int mixed_wait(struct op *const *ops, size_t n, const struct goal *g, int64_t until)
{
	struct node *nodes = scratch(n * sizeof(*nodes) + (n + 1) * sizeof(struct pollfd));
	struct waiter w = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	struct pollfd *fds = (struct pollfd *)(nodes + n);
	nfds_t nr = 1;
	size_t i;
	int ret = 0;

	if (w.fd < 0)
		return -errno;
	if (!nodes) {
		close(w.fd);
		return -ENOMEM;
	}
	fds[0] = (struct pollfd){ .fd = w.fd, .events = POLLIN };
	atomic_init(&w.gate.word, 0);
	atomic_init(&w.need, 1);
	for (i = 0; i < n && !ret; i++) {
		nodes[i].op = NULL;
		if (reached(ops[i], g))
			continue;	/* was counted before */
		if (ops[i]->scope == &scope_shared) {
			fds[nr].events = POLLIN;
			fds[nr].fd = shared_export(ops[i], AOP_MAY_LOOK);
			if (fds[nr].fd < 0)
				ret = fds[nr].fd;
			else
				nr++;
		} else if (ops[i]->scope == &scope_local && !node_link(&nodes[i], ops[i], g, &w)) {
			eventfd_write(w.fd, 1);
		}
	}
	if (!ret)
		ret = poll_until(fds, nr, until);
	while (i--)
		node_unlink(&nodes[i]);
	while (nr--)
		close(fds[nr].fd);
	return ret;
}
