/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Descriptors in messages, each with a number.
 */
#ifndef SELFTESTS_PASS_H
#define SELFTESTS_PASS_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Send @value, and @fd unless it is -1. Returns 0 or -errno. */
static inline int send_fd(int sock, int fd, uint64_t value)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} u = { .buf = { 0 } };
	struct iovec iov = { .iov_base = &value, .iov_len = sizeof(value) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	if (fd >= 0) {
		m.msg_control = u.buf;
		m.msg_controllen = sizeof(u.buf);
		cm = CMSG_FIRSTHDR(&m);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Receive what send_fd sent. Returns the descriptor, -EPIPE at the end, or -errno. */
static inline int recv_fd(int sock, uint64_t *value, int flags)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} u;
	struct iovec iov = { .iov_base = value, .iov_len = sizeof(*value) };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = u.buf, .msg_controllen = sizeof(u.buf),
	};
	struct cmsghdr *cm;
	ssize_t n;
	int fd;

	do {
		n = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n != sizeof(*value))
		return -EPIPE;
	cm = CMSG_FIRSTHDR(&m);
	if (!cm)
		return -ENOMSG;
	memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	return fd;
}

#endif /* SELFTESTS_PASS_H */
