/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the kernels that aop runs on differ: 6.1 to 6.12 and PREEMPT_RT.  Every
 * version test of the module is in this file.
 */
#ifndef AOP_COMPAT_H
#define AOP_COMPAT_H

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_mod(struct vm_area_struct *vma, vm_flags_t set, vm_flags_t clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#endif

static inline void aop_hrtimer_setup(struct hrtimer *timer,
				     enum hrtimer_restart (*fn)(struct hrtimer *),
				     enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	hrtimer_init(timer, CLOCK_MONOTONIC, mode);
	timer->function = fn;
#else
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, mode);
#endif
}

static inline void aop_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

/* A new descriptor of a file that came from another process. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#define aop_receive_fd(file, flags)	receive_fd(file, flags)
#else
#define aop_receive_fd(file, flags)	receive_fd(file, NULL, flags)
#endif

/* Of a string in a trace event, whose source has been an argument once. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define aop_assign_str(dst, ...)	__assign_str(dst, __VA_ARGS__)
#else
#define aop_assign_str(dst, ...)	__assign_str(dst)
#endif

/* Commands of io_uring, where the kernel can cancel those that pend: 6.7, and its header 6.8. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0) && defined(CONFIG_IO_URING)
#include <linux/io_uring/cmd.h>
#define AOP_HAVE_URING
#endif

/* A reference on a file that may be about to be released: false, once it is. */
static inline bool aop_get_live_file(struct file *file)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	return atomic_long_inc_not_zero(&file->f_count);
#else
	return file_ref_get(&file->f_ref);
#endif
}

/* The attributes of the request that began a dump: where net/genetlink.h is included. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define aop_dump_attrs(cb)	(genl_dumpit_info(cb)->attrs)
#else
#define aop_dump_attrs(cb)	(genl_info_dump(cb)->attrs)
#endif

#endif /* AOP_COMPAT_H */
