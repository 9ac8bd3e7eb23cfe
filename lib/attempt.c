// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * attempt.c - input and output by ordinary calls
 *
 * For the epoll engine.  It leaves the file's O_NONBLOCK alone, which is shared with
 * other processes, and says for each call that it must not block.  Files that know only
 * calls that block are left to a pool (offload.c), which makes them with io_block().
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loop.h"

static int64_t transfer(struct io *io, int flags)
{
	struct iovec iov = { (char *)io->buf + io->done, io->len - io->done };
	int64_t off = io->off < 0 ? -1 : io->off + (int64_t)io->done;
	ssize_t n;

	do {
		if (io->kind == IO_READ)
			n = preadv2(io->fd, &iov, 1, off, flags);
		else
			n = pwritev2(io->fd, &iov, 1, off, flags);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static bool is_regular(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode);
}

/*
 * A file that does not know RWF_NOWAIT: some pipes, terminals and devices.  One that is
 * ready does not block a read; nor a write of no more than a pipe takes at once.
 */
static int64_t transfer_ready(struct io *io, bool ready)
{
	size_t len = io->len;
	int64_t n;

	if (!ready)
		return -EAGAIN;
	/* Its readiness says nothing: files of FUSE. */
	if (is_regular(io->fd))
		return IO_BLOCKS;
	if (io->kind != IO_READ && len - io->done > PIPE_BUF)
		io->len = io->done + PIPE_BUF;
	n = transfer(io, 0);
	io->len = len;
	return n;
}

/* What a socket takes in a shorter call than pwritev2().  Or -ENOTSOCK. */
static int64_t write_socket(struct io *io)
{
	ssize_t n;

	do
		n = send(io->fd, (char *)io->buf + io->done, io->len - io->done, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int64_t attempt_transfer(struct io *io, bool ready)
{
	int64_t n = -ENOTSOCK;

	if (io->kind != IO_READ && io->flags && io->off < 0 && io->len)
		n = write_socket(io);
	if (n == -ENOTSOCK) {
		if (io->kind != IO_READ)
			io->flags = 0;
		n = transfer(io, RWF_NOWAIT);
	}
	if (n == -EOPNOTSUPP)
		n = transfer_ready(io, ready);
	if (n < 0)
		return n;
	io->done += n;
	if (io->done == io->len || (io->kind == IO_READ && !n))
		return io->done;
	if (io->kind == IO_WRITE_ALL)
		return -EAGAIN;
	if (!is_regular(io->fd))
		return io->done;
	/* Of a disk's file only what is in memory has come, unless that was the end. */
	n = io->kind == IO_READ ? transfer(io, RWF_NOWAIT) : -EAGAIN;
	if (n > 0)
		io->done += n;
	return n ? IO_BLOCKS : (int64_t)io->done;
}

int64_t io_block(struct io *io)
{
	int64_t n;

	switch (io->kind) {
	case IO_READ:
	case IO_WRITE:
	case IO_WRITE_ALL:
		do {
			n = transfer(io, 0);
			if (n > 0)
				io->done += n;
		} while (n > 0 && io->kind == IO_WRITE_ALL && io->done < io->len);
		return n < 0 && (io->kind == IO_WRITE_ALL || !io->done) ? n : (int64_t)io->done;
	default:
		return fsync(io->fd) ? -errno : 0;
	}
}

/*
 * Begun by the first call; a later one, when something has happened, says how it went,
 * and leaves the socket as a blocking one would.
 */
static int64_t attempt_connect(struct io *io)
{
	int flags, ret;

	flags = fcntl(io->fd, F_GETFL);
	if (flags < 0)
		return -errno;
	if (!(flags & O_NONBLOCK))
		fcntl(io->fd, F_SETFL, flags | O_NONBLOCK);
	ret = connect(io->fd, io->buf, io->len) ? -errno : 0;
	if (!(flags & O_NONBLOCK))
		fcntl(io->fd, F_SETFL, flags);
	if (ret == -EINPROGRESS || ret == -EALREADY || ret == -EINTR) {
		io->state = 1;
		return -EAGAIN;
	}
	return ret == -EISCONN && io->state ? 0 : ret;
}

int64_t io_attempt(struct io *io, bool ready)
{
	const int flags = io->flags | MSG_DONTWAIT;
	ssize_t n;

	for (;;) {
		switch (io->kind) {
		case IO_RECV:
			n = recv(io->fd, io->buf, io->len, flags);
			break;
		case IO_SEND:
			n = send(io->fd, io->buf, io->len, flags);
			break;
		case IO_RECVMSG:
			n = recvmsg(io->fd, io->buf, flags);
			break;
		case IO_SENDMSG:
			n = sendmsg(io->fd, io->buf, flags);
			break;
		case IO_ACCEPT:
			if (!ready)
				return -EAGAIN;
			n = accept4(io->fd, NULL, NULL, io->flags);
			break;
		case IO_CONNECT:
			return attempt_connect(io);
		case IO_CHILD:
			return child_try(io);
		case IO_FSYNC:
			return IO_BLOCKS;
		default:
			return attempt_transfer(io, ready);
		}
		if (n >= 0)
			return n;
		if (errno != EINTR)
			return -errno;
	}
}
