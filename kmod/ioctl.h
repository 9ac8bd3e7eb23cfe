/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls, and how they fetch what user space sent.  Batches are in batch.h.
 */
#ifndef AOP_IOCTL_H
#define AOP_IOCTL_H

#include <linux/types.h>
#include <linux/uaccess.h>

struct aop_ctx;
struct aop_run;
struct aop_signal_entry;

/* ---- uaccess.c --------------------------------------------------------- */

int aop_copy_odd(void *dst, size_t ksize, const void __user *src, size_t usize, size_t min);

/**
 * aop_copy_in() - fetch a struct whose size is known already
 * @dst: 8 byte words, like all structs of the ABI
 * @ksize: of it, constant
 * @src: from user space
 * @usize: of it there
 * @min: of its first version
 *
 * Word by word: for these sizes that is cheaper than a call.
 *
 * Context: may sleep.
 * Return: as aop_copy_odd().
 */
static __always_inline int aop_copy_in(void *dst, size_t ksize, const void __user *src,
				       size_t usize, size_t min)
{
	const u64 __user *from = src;
	u64 *to = dst;
	size_t i;

	if (unlikely(usize != ksize))
		return aop_copy_odd(dst, ksize, src, usize, min);
	if (!user_read_access_begin(from, ksize))
		return -EFAULT;
#pragma GCC unroll 32
	for (i = 0; i < ksize / 8; i++)
		unsafe_get_user(to[i], &from[i], fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

/**
 * aop_copy_struct() - fetch a struct that begins with its size
 * @dst: filled in, the size included
 * @ksize: of it, constant
 * @min: size of its first version
 * @src: from user space
 *
 * Context: may sleep.
 * Return: as aop_copy_odd().
 */
static __always_inline int aop_copy_struct(void *dst, size_t ksize, size_t min,
					   const void __user *src)
{
	const u64 __user *from = src;
	u64 *to = dst;
	size_t i;
	u32 size;
	int ret;

	/* As aop_copy_in(), but the first word says whether that is right. */
	if (likely(user_read_access_begin(from, ksize))) {
		unsafe_get_user(to[0], &from[0], fault);
		if (likely(*(u32 *)dst == ksize)) {
#pragma GCC unroll 32
			for (i = 1; i < ksize / 8; i++)
				unsafe_get_user(to[i], &from[i], fault);
			user_read_access_end();
			return 0;
		}
		user_read_access_end();
	}
	if (get_user(size, (const u32 __user *)src))
		return -EFAULT;
	ret = aop_copy_odd(dst, ksize, src, size, min);
	/* Fetched twice, but only the first value was ever used. */
	*(u32 *)dst = size;
	return ret;
fault:
	user_read_access_end();
	return -EFAULT;
}

int aop_get_bytes(void *dst, const void __user *src, u32 len);
int aop_put_bytes(void __user *dst, const void *src, u32 len);
u64 aop_host_ns(const struct aop_ctx *ctx, u64 ns);

/* ---- the calls --------------------------------------------------------- */

int aop_signal_one(struct aop_ctx *ctx, struct aop_run *run, const struct aop_signal_entry *e);
int aop_signal_fetched(struct aop_ctx *ctx, const struct aop_signal_entry *e);
int aop_signal_batch(struct aop_ctx *ctx, void __user *entries, u32 size, u32 nr, u32 *done);
int aop_cancel_batch(struct aop_ctx *ctx, void __user *entries, u32 size, u32 nr, u32 *done);

long aop_ioctl_signal(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_signal_one(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_create(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_create_one(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_attach(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_attach_one(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_wait(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_group(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_export(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_query(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_import(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_eventfd(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_port(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_call(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_serve(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_message(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_delegate(struct aop_ctx *ctx, void __user *arg);
long aop_ioctl_name(struct aop_ctx *ctx, void __user *arg);

#endif /* AOP_IOCTL_H */
