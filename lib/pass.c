// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pass.c - ops between processes: by descriptor, by id, over a unix socket
 *
 * A passed op is one byte with one descriptor beside it, so it goes through stream,
 * datagram and seqpacket sockets alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "shared.h"

/**
 * aop_id() - the name of an op in the whole system
 * @op: an op
 *
 * It is never used twice while the module is loaded.  No system call unless the op
 * is corked.  Any thread.
 *
 * Return: the id; 0 for an op that could not begin, is not shared, or is of a forked
 * child's parent.
 */
uint64_t aop_id(const struct aop *op)
{
	struct op *o = to_op(op);

	if (unlikely(o->pending) && o->scope == &scope_shared)
		cork_need(o);
	return __atomic_load_n(&o->st->id, __ATOMIC_RELAXED);
}

/**
 * aop_export() - make a descriptor of an op
 * @op: an op of an opened context
 * @rights: AOP_MAY_*, which whoever attaches it may have; AOP_MAY_DRIVE moves to it
 *
 * The descriptor is the caller's: send it, attach it, poll it (readable when the op
 * is final), read a struct aop_status from it; then close it.  It is close-on-exec,
 * and counts as a watcher if it may look.  With AOP_MAY_DRIVE the owner's side of
 * this struct lets go, and closing the last copy unattached ends the op FAILED,
 * -EOWNERDEAD.  Two system calls at most; does not block.
 *
 * Return: the descriptor; -EPERM: the struct lacks one of @rights; -EINVAL: @rights
 * is none, or the op is not of a context; -EMFILE, -ENFILE: no descriptor is left,
 * and nothing moved; what the op failed with, if it could not begin; -EIO.
 */
int aop_export(struct aop *op, unsigned int rights)
{
	if (inproc(to_op(op)))
		return -EINVAL;
	return shared_export(to_op(op), rights);
}

static int check_ctx(const struct aop_ctx *ctx)
{
	if (likely(ctx > AOP_LOCAL))
		return 0;
	return -EINVAL;
}

/**
 * aop_attach() - get a handle on an op through its descriptor
 * @op: memory of the caller's, uninitialised, that stays where it is until dropped
 * @ctx: an opened context
 * @fd: from aop_export(), here or in another process; stays the caller's
 *
 * The handle has all rights that @fd has; the right to drive moves to it.  With an
 * error the op is FAILED, and all calls on it are safe.  One system call; does not
 * block.  Any thread; not a signal handler.
 *
 * Return: 0; -EBADF: @fd is not open; -EINVAL: it is no op's, or @ctx is no context;
 * -EPERM: no right is left in it; -EMFILE: too many watch this op; -ENOSPC, -EDQUOT,
 * -ENOMEM, -EIO: as aop_init_with().
 */
int aop_attach(struct aop *op, struct aop_ctx *ctx, int fd)
{
	int ret = check_ctx(ctx);

	return ret ? op_ended(to_op(op), ret) : shared_attach(to_op(op), ctx, fd);
}

/**
 * aop_attach_id() - get a handle on an op by its id
 * @op: memory of the caller's, uninitialised, that stays where it is until dropped
 * @ctx: an opened context
 * @id: of aop_id()
 * @rights: AOP_MAY_LOOK, AOP_MAY_CANCEL; 0: all that the op's mode allows
 *
 * Otherwise like aop_attach(); none when corked.
 *
 * Return: 0; -ENOENT: there is none that the caller may look at; -EACCES: it may be
 * looked at, but not cancelled; -EPERM: the right to drive is not given by id; or as
 * aop_attach().
 */
int aop_attach_id(struct aop *op, struct aop_ctx *ctx, uint64_t id, unsigned int rights)
{
	int ret = check_ctx(ctx);

	return ret ? op_ended(to_op(op), ret) : shared_attach_id(to_op(op), ctx, id, rights);
}

/* The right to drive cannot be taken back: see first whether sending can work. */
static int may_send(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int domain, ret;

	if (getsockopt(sock, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return -errno;
	if (domain != AF_UNIX)
		return -EINVAL;
	if (poll(&p, 1, 0) < 0)
		return -errno;
	if (p.revents & (POLLERR | POLLHUP))
		return -EPIPE;
	if (p.revents & POLLOUT)
		return 0;
	ret = fcntl(sock, F_GETFL);
	if (ret < 0)
		return -errno;
	return ret & O_NONBLOCK ? -EAGAIN : 0;
}

/**
 * aop_pass() - send an op to another process
 * @op: an op of an opened context
 * @sock: a connected unix socket of any type
 * @rights: AOP_MAY_*, which the receiver shall have; AOP_MAY_DRIVE moves to him
 *
 * For aop_take() at the other end: one byte with a descriptor.  Three system calls.
 * May block as sendmsg() on @sock does.  An op whose right to drive is passed and then
 * not taken, since the receiver is gone, ends FAILED, -EOWNERDEAD.
 *
 * Return: 0; -EAGAIN: @sock does not block and is full, and nothing moved; -EPIPE,
 * -ECONNRESET: nobody receives; -ENOTSOCK, -EINVAL: not a unix socket;
 * -ETOOMANYREFS: too many descriptors are on their way; or as aop_export().
 */
int aop_pass(struct aop *op, int sock, unsigned int rights)
{
	const bool moves = rights & AOP_MAY_DRIVE;
	int fd, ret;

	if (moves) {
		ret = may_send(sock);
		if (ret)
			return ret;
	}
	fd = aop_export(op, rights);
	if (fd < 0)
		return fd;
	/* Somebody else may fill it after we looked. */
	ret = fds_send(sock, "a", 1, &fd, 1, moves);
	close(fd);
	return ret;
}

/**
 * aop_take() - receive an op from another process
 * @op: memory of the caller's, uninitialised, that stays where it is until dropped
 * @ctx: an opened context
 * @sock: the other end of what aop_pass() sends to
 *
 * Blocks as recvmsg() on @sock does.  Five system calls.  With an error the op is
 * FAILED, and all calls on it are safe.
 *
 * Return: 0; -EAGAIN: @sock does not block and nothing is there; -EPIPE: the other
 * end is closed; -EBADMSG: what came is no op; -EMFILE: no descriptor is left, and it can
 * be tried again, unless another thread has taken the last one while this waited: then
 * the op is lost; or as aop_attach().
 */
int aop_take(struct aop *op, struct aop_ctx *ctx, int sock)
{
	int ret = check_ctx(ctx);
	char byte;
	int fd;

	if (ret)
		return op_ended(to_op(op), ret);
	ret = fds_receive(sock, &byte, 1, &fd, 1);
	if (ret <= 0)
		return op_ended(to_op(op), ret ? ret : -EBADMSG);
	ret = aop_attach(op, ctx, fd);
	close(fd);
	return ret;
}
