// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fds.c - descriptors over a unix socket
 *
 * What comes is not trusted: there may be other control messages in front of it (one who set
 * SO_PASSCRED gets credentials first), and more descriptors than were asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"

#ifndef SCM_PIDFD
#define SCM_PIDFD	0x04		/* who set SO_PASSPIDFD gets one */
#endif

int fds_send(int sock, const void *data, size_t len, const int *fds, size_t nr, bool must)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct pollfd writable = { .fd = sock, .events = POLLOUT };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};
	struct cmsghdr *c = &control.align;
	ssize_t n;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nr * sizeof(int));
	for (;;) {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
		if (n >= 0)
			return (size_t)n == len ? 0 : -EMSGSIZE;
		if (errno == EINTR)
			continue;
		if (!must || (errno != EAGAIN && errno != EWOULDBLOCK))
			return -errno;
		poll(&writable, 1, -1);
	}
}

/*
 * Are that many descriptors free?  A message whose descriptors find no room is gone, so
 * this is looked at first.  like: any that is open.
 */
static int fds_free(int like, size_t nr)
{
	int fd = fcntl(like, F_DUPFD_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	ret = nr > 1 ? fds_free(like, nr - 1) : 0;
	close(fd);
	return ret;
}

/* All that the control messages carry: the first nr, and the others are closed. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t nr)
{
	size_t i, n, got = 0;
	struct cmsghdr *c;
	int fd;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET ||
		    (c->cmsg_type != SCM_RIGHTS && c->cmsg_type != SCM_PIDFD))
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (c->cmsg_type == SCM_RIGHTS && got++ < nr)
				fds[got - 1] = fd;
			else
				close(fd);
		}
	}
	return got;
}

int fds_receive(int sock, void *data, size_t len, int *fds, size_t nr)
{
	union {
		struct cmsghdr align;
		char buf[512];		/* a security label may be long */
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	int ret = fds_free(sock, nr);
	size_t got, i;
	ssize_t n;

	if (ret)
		return ret;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	got = take_fds(&msg, fds, nr);
	ret = got;
	if (got < nr && msg.msg_flags & MSG_CTRUNC)
		ret = -EMFILE;
	else if (!n)
		ret = -EPIPE;
	else if ((size_t)n != len || msg.msg_flags & MSG_TRUNC)
		ret = -EBADMSG;
	for (i = 0; ret < 0 && i < got && i < nr; i++) {
		close(fds[i]);
		fds[i] = -1;
	}
	return ret;
}
