// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * child.c - the end of a child process as an op
 */
#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

#include "loop.h"

/* What waitpid() would say; -EAGAIN: it has not ended. */
int64_t child_try(struct io *io)
{
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_PIDFD, io->fd, &info, WEXITED | WNOHANG) < 0)
		return -errno;
	if (!info.si_pid)
		return -EAGAIN;
	if (info.si_code == CLD_EXITED)
		return (info.si_status & 0xff) << 8;
	return info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
}

/**
 * aop_child() - begin an op that ends when a child process does
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @pidfd: of a child of this process: from pidfd_open(2), or clone(2) with CLONE_PIDFD;
 *	it stays the caller's
 *
 * The child is waited for, so that no zombie is left.  The result is what waitpid(2)
 * gives as status: look at it with WIFEXITED() and its like.  Otherwise like aop_ready().
 *
 * Return: &@io->op, FAILED with what waitid(2) says (-ECHILD: no child, or somebody else
 * has waited for it).
 */
struct aop *aop_child(struct aop_loop *l, struct aop_io *io, int pidfd)
{
	struct io *i = io_init(l, io, IO_CHILD, pidfd);

	return i ? io_begin(i) : &io->op;
}
