// SPDX-License-Identifier: GPL-2.0
/*
 * Structs of user space that carry their size, so that both sides can grow: what
 * an older program does not send is zero, what a newer one sends beyond what is
 * known here must be zero.
 *
 * The usual case, that both sides know the same size, is inlined from ioctl.h.
 */
#include <linux/overflow.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "ioctl.h"

/**
 * aop_copy_odd() - fetch a struct of another size than the one known here
 * @dst: filled in; what user space does not send is 0
 * @ksize: of it
 * @src: from user space
 * @usize: of it there
 * @min: of its first version
 *
 * Context: may sleep.
 * Return: 0; -EFAULT; -EINVAL when it is too small; -E2BIG when it is larger than a
 * page, or larger than known here with something in its tail.
 */
int aop_copy_odd(void *dst, size_t ksize, const void __user *src, size_t usize, size_t min)
{
	if (usize < min)
		return -EINVAL;
	if (usize > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(dst, ksize, src, usize);
}

/**
 * aop_host_ns() - an absolute time of user space as the host counts it
 * @ctx: of the caller, with its time namespace
 * @ns: CLOCK_MONOTONIC there
 */
u64 aop_host_ns(const struct aop_ctx *ctx, u64 ns)
{
	s64 host;

	/* A clock behind the host's has times that the host's does not reach. */
	if (ns > KTIME_MAX || check_sub_overflow((s64)ns, ctx->time_offset, &host))
		return KTIME_MAX;
	return max_t(s64, host, 0);
}
