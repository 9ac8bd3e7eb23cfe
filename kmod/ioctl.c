// SPDX-License-Identifier: GPL-2.0
/*
 * Which call is which, and the small ones: features, set-up, cancel, detach, modify.
 */
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "batch.h"
#include "compat.h"
#include "link.h"

/* ---- features and setup ------------------------------------------------ */

#ifdef AOP_HAVE_URING
#define URING_FEATURE	AOP_FEATURE_URING
#else
#define URING_FEATURE	0
#endif

static long features(void __user *arg)
{
	struct aop_ioc_features f;
	int ret = aop_copy_struct(&f, sizeof(f), sizeof(f), arg);

	if (ret)
		return ret;
	f = (struct aop_ioc_features) {
		.size = f.size,
		.abi = AOP_ABI,
		.features = AOP_FEATURE_GROUP | AOP_FEATURE_SIGNAL_WAIT | AOP_FEATURE_IMPORT |
			    AOP_FEATURE_PORT | URING_FEATURE,
		.max_entries = AOP_MAX_ENTRIES,
		.max_slots = AOP_MAX_SLOTS,
		.max_links = AOP_MAX_LINKS,
		.max_depth = AOP_MAX_DEPTH,
	};
	return copy_to_user(arg, &f, sizeof(f)) ? -EFAULT : 0;
}

static long setup(struct aop_ctx *ctx, void __user *arg)
{
	struct aop_ioc_setup s;
	u32 slots;
	int ret = aop_copy_struct(&s, sizeof(s), sizeof(s), arg);

	if (ret)
		return ret;
	if (s.flags || !s.slots || s.slots > AOP_MAX_SLOTS)
		return -EINVAL;
	slots = roundup_pow_of_two(max_t(u32, s.slots, AOP_CHUNK));
	s = (struct aop_ioc_setup) {
		.size = s.size,
		.slots = slots,
		.stride = sizeof(struct aop_status),
		.head_size = PAGE_SIZE,
		.slots_at = aop_ring_bytes(slots),
		.area_offset = PAGE_SIZE,
		.area_size = aop_ring_bytes(slots) + (u64)slots * sizeof(struct aop_status),
	};

	aop_table_lock(ctx);
	if (ctx->dead)
		ret = -EIO;
	else if (ctx->nr_slots)
		ret = -EBUSY;
	else
		ret = aop_ring_alloc(ctx, slots);
	if (!ret && copy_to_user(arg, &s, sizeof(s)))
		ret = -EFAULT;
	if (!ret)
		/* All that mmap and poll need.  Pairs with their acquires. */
		smp_store_release(&ctx->nr_slots, slots);
	else if (!ctx->nr_slots)
		aop_ring_free(ctx);
	aop_table_unlock(ctx);
	return ret;
}

/* ---- cancel, detach, modify -------------------------------------------- */

static __always_inline int cancel_one(struct aop_ctx *ctx, struct aop_run *run, const void *entry)
{
	const struct aop_cancel_entry *e = entry;
	struct aop_link *link;
	int ret = aop_link_get_for(ctx, e->handle, AOP_MAY_CANCEL, &link);

	if (e->reason > 0)
		return -EINVAL;
	if (unlikely(ret))
		return ret;
	aop_run_lock(run, link->op->home);
	return aop_cancel_locked(run, link->op, e->reason ?: -ECANCELED);
}

static __always_inline int detach_one(struct aop_ctx *ctx, struct aop_run *run, const void *entry)
{
	const struct aop_detach_entry *e = entry;
	struct aop_link *link;
	int ret = aop_link_get(ctx, e->handle, &link);
	u8 rights;

	if (unlikely(e->rights & ~AOP_MAY_PORT))
		return -EINVAL;
	if (unlikely(ret))
		return ret;
	if (unlikely(e->rights & ~link->rights))
		return -EPERM;
	rights = link->rights;
	if (e->rights)
		rights &= e->rights;
	aop_run_lock(run, link->op->home);
	if (unlikely(rights & AOP_MAY_DRIVE))
		aop_link_drop_locked(run, link, rights);
	else
		__aop_link_end_locked(run, link, rights & ~AOP_MAY_DRIVE, 0, 0, 0);
	return 0;
}

static __always_inline int modify_one(struct aop_ctx *ctx, struct aop_run *run, const void *entry)
{
	const struct aop_modify_entry *e = entry;
	struct aop_link *link;
	int ret = aop_link_get(ctx, e->handle, &link);

	if (e->mask & ~AOP_MASK_ALL)
		return -EINVAL;
	if (unlikely(ret))
		return ret;
	aop_run_lock(run, link->op->home);
	aop_link_modify_locked(run, link, e->mask, e->data);
	return 0;
}

/* Not inlined into the switch: the stack of one would be that of all. */
#define CALL(name)								\
static const struct aop_batch_kind name##s = AOP_BATCH_KIND(name);		\
										\
static noinline long ioctl_##name(struct aop_ctx *ctx, void __user *arg)	\
{										\
	return aop_batch(ctx, &name##s, arg);					\
}										\
										\
static noinline long ioctl_##name##_one(struct aop_ctx *ctx, void __user *arg)	\
{										\
	return aop_one(ctx, &name##s, arg);					\
}

CALL(cancel)
CALL(detach)
CALL(modify)

/**
 * aop_cancel_batch() - request cancels
 * @ctx: of the calling process, its table locked
 * @entries: struct aop_cancel_entry, access_ok() throughout
 * @size: of one
 * @nr: how many
 * @done: in: how many to skip; out: how many were handled
 *
 * Context: may sleep.
 * Return: 0, or -EFAULT when user memory ended before the entries did.
 */
int aop_cancel_batch(struct aop_ctx *ctx, void __user *entries, u32 size, u32 nr, u32 *done)
{
	return aop_entries(ctx, &cancels, entries, size, nr, done);
}

/* ---- the switch -------------------------------------------------------- */

static bool is_call(unsigned int cmd)
{
	switch (cmd) {
	case AOP_IOC_FEATURES ... AOP_IOC_NAME:
	case AOP_IOC_CREATE_ONE:
	case AOP_IOC_SIGNAL_ONE:
	case AOP_IOC_CANCEL_ONE:
	case AOP_IOC_ATTACH_ONE:
	case AOP_IOC_DETACH_ONE:
	case AOP_IOC_MODIFY_ONE:
		return true;
	default:
		return false;
	}
}

static long before_setup(struct aop_ctx *ctx, unsigned int cmd, void __user *arg)
{
	if (cmd == AOP_IOC_FEATURES)
		return features(arg);
	if (cmd == AOP_IOC_SETUP)
		return setup(ctx, arg);
	return is_call(cmd) ? -EINVAL : -ENOTTY;
}

/**
 * aop_ioctl() - ->unlocked_ioctl of a context
 * @file: of the context; other processes than its own are refused
 * @cmd: AOP_IOC_*
 * @argument: pointer to the struct that goes with it
 *
 * Context: may sleep.
 * Return: what aop(4) says of the call.
 */
long aop_ioctl(struct file *file, unsigned int cmd, unsigned long argument)
{
	struct aop_ctx *ctx = file->private_data;
	void __user *arg = (void __user *)argument;

	if (unlikely(current->mm != ctx->mm))
		return -EIO;
	/* Pairs with the release in setup(). */
	if (unlikely(!smp_load_acquire(&ctx->nr_slots)))
		return before_setup(ctx, cmd, arg);
	/* First what is called most: retpolines make a switch walk. */
	if (cmd == AOP_IOC_SIGNAL_ONE)
		return aop_ioctl_signal_one(ctx, arg);
	if (cmd == AOP_IOC_WAIT)
		return aop_ioctl_wait(ctx, arg);
	if (cmd == AOP_IOC_CALL)
		return aop_ioctl_call(ctx, arg);
	if (cmd == AOP_IOC_SERVE)
		return aop_ioctl_serve(ctx, arg);

	switch (cmd) {
	case AOP_IOC_SIGNAL:
		return aop_ioctl_signal(ctx, arg);
	case AOP_IOC_CREATE_ONE:
		return aop_ioctl_create_one(ctx, arg);
	case AOP_IOC_ATTACH_ONE:
		return aop_ioctl_attach_one(ctx, arg);
	case AOP_IOC_DETACH_ONE:
		return ioctl_detach_one(ctx, arg);
	case AOP_IOC_MODIFY_ONE:
		return ioctl_modify_one(ctx, arg);
	case AOP_IOC_CANCEL_ONE:
		return ioctl_cancel_one(ctx, arg);
	case AOP_IOC_FEATURES:
		return features(arg);
	case AOP_IOC_SETUP:
		return setup(ctx, arg);
	case AOP_IOC_CREATE:
		return aop_ioctl_create(ctx, arg);
	case AOP_IOC_CANCEL:
		return ioctl_cancel(ctx, arg);
	case AOP_IOC_EXPORT:
		return aop_ioctl_export(ctx, arg);
	case AOP_IOC_ATTACH:
		return aop_ioctl_attach(ctx, arg);
	case AOP_IOC_DETACH:
		return ioctl_detach(ctx, arg);
	case AOP_IOC_MODIFY:
		return ioctl_modify(ctx, arg);
	case AOP_IOC_GROUP:
		return aop_ioctl_group(ctx, arg);
	case AOP_IOC_QUERY:
		return aop_ioctl_query(ctx, arg);
	case AOP_IOC_IMPORT:
		return aop_ioctl_import(ctx, arg);
	case AOP_IOC_EVENTFD:
		return aop_ioctl_eventfd(ctx, arg);
	case AOP_IOC_PORT:
		return aop_ioctl_port(ctx, arg);
	case AOP_IOC_MESSAGE:
		return aop_ioctl_message(ctx, arg);
	case AOP_IOC_DELEGATE:
		return aop_ioctl_delegate(ctx, arg);
	case AOP_IOC_NAME:
		return aop_ioctl_name(ctx, arg);
	default:
		return -ENOTTY;
	}
}
