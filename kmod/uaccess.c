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

/* Words at any address, or the kernel's own copying. */
static bool by_words(const void __user *user)
{
	return IS_ENABLED(CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS) ||
	       IS_ALIGNED((unsigned long)user, sizeof(u64));
}

/**
 * aop_get_bytes() - fetch a message
 * @dst: of 8 byte words
 * @src: from user space
 * @len: bytes, some hundred at most
 *
 * What copy_from_user() checks of @dst costs more than to copy so few.
 *
 * Context: may sleep.
 * Return: 0 or -EFAULT.
 */
int aop_get_bytes(void *dst, const void __user *src, u32 len)
{
	if (!by_words(src))
		return copy_from_user(dst, src, len) ? -EFAULT : 0;
	if (!user_read_access_begin(src, len))
		return -EFAULT;
	for (; len >= 4 * sizeof(u64); len -= 4 * sizeof(u64)) {
		unsafe_get_user(((u64 *)dst)[0], (const u64 __user *)src + 0, fault);
		unsafe_get_user(((u64 *)dst)[1], (const u64 __user *)src + 1, fault);
		unsafe_get_user(((u64 *)dst)[2], (const u64 __user *)src + 2, fault);
		unsafe_get_user(((u64 *)dst)[3], (const u64 __user *)src + 3, fault);
		dst += 4 * sizeof(u64);
		src += 4 * sizeof(u64);
	}
	for (; len >= sizeof(u64); len -= sizeof(u64)) {
		unsafe_get_user(*(u64 *)dst, (const u64 __user *)src, fault);
		dst += sizeof(u64);
		src += sizeof(u64);
	}
	for (; len; len--)
		unsafe_get_user(*(u8 *)dst++, (const u8 __user *)src++, fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

/**
 * aop_put_bytes() - hand out a message
 * @dst: to user space
 * @src: of 8 byte words
 * @len: bytes, some hundred at most
 *
 * Context: may sleep.
 * Return: 0 or -EFAULT.
 */
int aop_put_bytes(void __user *dst, const void *src, u32 len)
{
	if (!by_words(dst))
		return copy_to_user(dst, src, len) ? -EFAULT : 0;
	if (!user_write_access_begin(dst, len))
		return -EFAULT;
	for (; len >= 4 * sizeof(u64); len -= 4 * sizeof(u64)) {
		unsafe_put_user(((const u64 *)src)[0], (u64 __user *)dst + 0, fault);
		unsafe_put_user(((const u64 *)src)[1], (u64 __user *)dst + 1, fault);
		unsafe_put_user(((const u64 *)src)[2], (u64 __user *)dst + 2, fault);
		unsafe_put_user(((const u64 *)src)[3], (u64 __user *)dst + 3, fault);
		dst += 4 * sizeof(u64);
		src += 4 * sizeof(u64);
	}
	for (; len >= sizeof(u64); len -= sizeof(u64)) {
		unsafe_put_user(*(const u64 *)src, (u64 __user *)dst, fault);
		dst += sizeof(u64);
		src += sizeof(u64);
	}
	for (; len; len--) {
		unsafe_put_user(*(const u8 *)src, (u8 __user *)dst, fault);
		dst++;
		src++;
	}
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
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
