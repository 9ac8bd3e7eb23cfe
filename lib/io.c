// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * io.c - input and output as ops, the same for every engine
 *
 * An io is one call that the kernel shall make.  The engine starts it, and gives the
 * result to io_end() when the kernel no longer uses the buffers: also after a cancel.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

static void io_unlink(struct io *io)
{
	if (io->prev)
		io->prev->next = io->next;
	else
		io->loop->ios = io->next;
	if (io->next)
		io->next->prev = io->prev;
}

void io_end(struct io *io, int64_t result)
{
	struct aop_loop *l = io->loop;

	io_unlink(io);
	l->in_kernel--;
	l->alive--;
	if (unlikely(l->closing && result == -ECANCELED)) {
		if (l->asked_on)
			aop_unwatch(&io->asked);
		aop_let_go((struct aop_owner *)&io->op);
		return;
	}
	if (result == -ECANCELED && io->reason)
		result = io->reason;
	loop_end(l, &io->op, &io->asked, result);
}

static void io_cancel(struct io *io)
{
	if (io->kind == IO_SIGNAL)
		signal_cancel(io->loop, io);
	else
		io->loop->engine->cancel(io->loop, io);
}

static void io_asked(struct aop_watch *w, const struct aop_status *st)
{
	struct io *io = container_of(w, struct io, asked);
	bool first = !io->reason;

	(void)st;
	io->reason = aop_asked((struct aop_owner *)&io->op);
	if (first && io->reason)
		io_cancel(io);
}

void ios_close(struct aop_loop *l)
{
	struct io *io = l->ios;

	/* Callbacks may end others, and free them: begin again after each. */
	while (io) {
		if (io->reason) {
			io = io->next;
			continue;
		}
		io->reason = -ECANCELED;
		io_cancel(io);
		io = l->ios;
	}
	/* Until the kernel has let go of all buffers. */
	while (l->ios) {
		offload_take(l);
		if (!l->ios)
			break;
		if (work_fall_asleep(l))
			l->engine->wait(l, -1);
		work_wake_up(l);
	}
}

struct io *io_init(struct aop_loop *l, struct aop_io *aio, enum io_kind kind, int fd)
{
	struct io *io = (struct io *)aio;

	if (unlikely(!l || fd < 0)) {
		op_ended(to_op(&io->op), l ? -EBADF : -EINVAL);
		return NULL;
	}
	io->loop = l;
	io->kind = kind;
	io->fd = fd;
	io->state = 0;
	io->events = POLLIN;
	io->flags = 0;
	io->reason = 0;
	io->buf = NULL;
	io->len = 0;
	io->off = -1;
	io->done = 0;
	io->wait = NULL;
	if (unlikely(!loop_begin(l, &io->op, &io->asked, io_asked)))
		return NULL;
	io->prev = NULL;
	io->next = l->ios;
	if (io->next)
		io->next->prev = io;
	l->ios = io;
	l->in_kernel++;
	return io;
}

struct aop *io_begin(struct io *io)
{
	struct aop_loop *l = io->loop;
	struct aop *op = &io->op;

	l->engine->begin(l, io);
	if (unlikely(l->poke))
		loop_poke(l);
	return op;
}

/**
 * aop_ready() - begin an op that ends when a file is ready
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a descriptor that can be polled
 * @events: of poll(2): POLLIN, POLLOUT, POLLPRI, POLLRDHUP
 *
 * The result is those of @events that hold, POLLERR and POLLHUP.  For files that the
 * library does not read or write itself.
 *
 * About all ops on files: they are begun in the loop's thread.  @fd stays open until the
 * op is over.  Several may be in flight for one file; those of one direction are carried
 * out in turn (not in a certain order: with io_uring, or where each names its offset).
 * An op may be over when its function returns.  A cancel (aop_cancel(), or nobody watches
 * any more) ends it CANCELLED, or too late in any other way; until it is over, its
 * buffers are in use.
 *
 * Return: &@io->op; FAILED -EBADF, -EINVAL: bad arguments; -ESHUTDOWN: the loop is being
 * closed.
 */
struct aop *aop_ready(struct aop_loop *l, struct aop_io *io, int fd, unsigned int events)
{
	struct io *i;

	if (!events || events & ~(POLLIN | POLLOUT | POLLPRI | POLLRDHUP)) {
		op_ended(to_op(&io->op), -EINVAL);
		return &io->op;
	}
	i = io_init(l, io, IO_READY, fd);
	if (!i)
		return &io->op;
	i->events = events;
	return io_begin(i);
}

static struct aop *buffer_io(struct aop_loop *l, struct aop_io *aio, enum io_kind kind, int fd,
			     const void *buf, size_t len, int64_t off, int flags, int events)
{
	struct io *io = io_init(l, aio, kind, fd);

	if (unlikely(!io))
		return &aio->op;
	io->buf = (void *)buf;
	io->len = len > INT32_MAX - 4095 ? INT32_MAX - 4095 : len;
	io->off = off;
	io->flags = flags;
	io->events = events;
	return io_begin(io);
}

/**
 * aop_read() - begin to read from a file
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a descriptor
 * @buf: where to; the kernel's until the op is over
 * @len: how much at the most
 * @off: where from; -1: the file's position, which moves, or a file that has none
 *
 * The result is the number of bytes, which may be less than @len; 0 at the end.  Of
 * files that cannot be polled, as those on a disk, the epoll engine takes what can be had
 * without waiting, and leaves the rest to the loop's pool; there a call that has begun
 * cannot be stopped, and closing the loop waits for it.  Otherwise like aop_ready().
 *
 * Return: &@io->op, FAILED with what read(2) says, or aop_pool_open().
 */
struct aop *aop_read(struct aop_loop *l, struct aop_io *io, int fd, void *buf, size_t len,
		     int64_t off)
{
	return buffer_io(l, io, IO_READ, fd, buf, len, off, 0, POLLIN);
}

/**
 * aop_write() - begin to write to a file
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a descriptor
 * @buf: what; the kernel's until the op is over
 * @len: how much at the most
 * @off: where to; -1: the file's position, which moves, or a file that has none
 *
 * The result is the number of bytes, which may be less than @len.  Otherwise like
 * aop_read().
 *
 * Return: &@io->op, FAILED with what write(2) says, or aop_pool_open().
 */
struct aop *aop_write(struct aop_loop *l, struct aop_io *io, int fd, const void *buf,
		      size_t len, int64_t off)
{
	return buffer_io(l, io, IO_WRITE, fd, buf, len, off, 0, POLLOUT);
}

/**
 * aop_write_all() - begin to write all of it to a file
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a descriptor
 * @buf: what; the kernel's until the op is over
 * @len: how much
 * @off: where to; -1: the file's position, which moves, or a file that has none
 *
 * As aop_write(), again and again.  The result is @len; after an error or a cancel it is
 * not known how much was written.  Others that write to the same file meanwhile may come
 * in between.
 *
 * Return: &@io->op, FAILED with what write(2) says, or aop_pool_open().
 */
struct aop *aop_write_all(struct aop_loop *l, struct aop_io *io, int fd, const void *buf,
			  size_t len, int64_t off)
{
	return buffer_io(l, io, IO_WRITE_ALL, fd, buf, len, off, 0, POLLOUT);
}

/**
 * aop_fsync() - begin to bring a file's data to the disk
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a descriptor
 *
 * Of what was written, all is meant that was over before.  The epoll engine leaves the
 * call to the loop's pool, like those of aop_read().  Otherwise like aop_ready().
 *
 * Return: &@io->op, FAILED with what fsync(2) says, or aop_pool_open().
 */
struct aop *aop_fsync(struct aop_loop *l, struct aop_io *io, int fd)
{
	return buffer_io(l, io, IO_FSYNC, fd, NULL, 0, -1, 0, 0);
}

/**
 * aop_recv() - begin to receive from a socket
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a socket, non-blocking or not
 * @buf: where to; the kernel's until the op is over
 * @len: how much at the most
 * @flags: of recv(2)
 *
 * The result is the number of bytes; 0 at the end of a stream.  Otherwise like
 * aop_ready().
 *
 * Return: &@io->op, FAILED with what recv(2) says.
 */
struct aop *aop_recv(struct aop_loop *l, struct aop_io *io, int fd, void *buf, size_t len,
		     int flags)
{
	return buffer_io(l, io, IO_RECV, fd, buf, len, -1, flags, POLLIN);
}

/**
 * aop_send() - begin to send on a socket
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a socket, non-blocking or not
 * @buf: what; the kernel's until the op is over
 * @len: how much at the most
 * @flags: of send(2); MSG_NOSIGNAL is added
 *
 * The result is the number of bytes, which may be less than @len.  Otherwise like
 * aop_ready().
 *
 * Return: &@io->op, FAILED with what send(2) says.
 */
struct aop *aop_send(struct aop_loop *l, struct aop_io *io, int fd, const void *buf,
		     size_t len, int flags)
{
	return buffer_io(l, io, IO_SEND, fd, buf, len, -1, flags | MSG_NOSIGNAL, POLLOUT);
}

/**
 * aop_recvmsg() - begin to receive a message from a socket
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a socket, non-blocking or not
 * @msg: as of recvmsg(2); it and all it points to are the kernel's until the op is over
 * @flags: of recvmsg(2)
 *
 * Otherwise like aop_recv().
 *
 * Return: &@io->op, FAILED with what recvmsg(2) says.
 */
struct aop *aop_recvmsg(struct aop_loop *l, struct aop_io *io, int fd, struct msghdr *msg,
			int flags)
{
	return buffer_io(l, io, IO_RECVMSG, fd, msg, 0, -1, flags, POLLIN);
}

/**
 * aop_sendmsg() - begin to send a message on a socket
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a socket, non-blocking or not
 * @msg: as of sendmsg(2); it and all it points to are the kernel's until the op is over
 * @flags: of sendmsg(2); MSG_NOSIGNAL is added
 *
 * Otherwise like aop_send().
 *
 * Return: &@io->op, FAILED with what sendmsg(2) says.
 */
struct aop *aop_sendmsg(struct aop_loop *l, struct aop_io *io, int fd, const struct msghdr *msg,
			int flags)
{
	return buffer_io(l, io, IO_SENDMSG, fd, msg, 0, -1, flags | MSG_NOSIGNAL, POLLOUT);
}

/**
 * aop_accept() - begin to accept a connection
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a socket that listens; non-blocking if other processes accept from it too
 * @flags: of accept4(2)
 *
 * The result is the new descriptor, which is the caller's: also when it was too late to
 * cancel.  Otherwise like aop_ready().
 *
 * Return: &@io->op, FAILED with what accept4(2) says.
 */
struct aop *aop_accept(struct aop_loop *l, struct aop_io *io, int fd, int flags)
{
	return buffer_io(l, io, IO_ACCEPT, fd, NULL, 0, -1, flags, POLLIN);
}

/**
 * aop_connect() - begin to connect a socket
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @fd: a socket; the epoll engine makes it non-blocking for a moment
 * @addr: whom to; the kernel's until the op is over
 * @len: of @addr
 *
 * The result is 0.  After a cancel the socket is of no use any more.  Otherwise like
 * aop_ready().
 *
 * Return: &@io->op, FAILED with what connect(2) says.
 */
struct aop *aop_connect(struct aop_loop *l, struct aop_io *io, int fd,
			const struct sockaddr *addr, unsigned int len)
{
	return buffer_io(l, io, IO_CONNECT, fd, addr, len, -1, 0, POLLOUT);
}
