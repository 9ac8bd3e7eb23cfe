// SPDX-License-Identifier: GPL-2.0
/*
 * Which call is which, and the small ones: features, set-up, cancel, detach, modify.
 */
#include <linux/log2.h>
#include <linux/uaccess.h>

#include "batch.h"

/* ---- features and setup ------------------------------------------------ */

static long features(void __user *arg)
{
	struct aop_ioc_features f;
	int ret = aop_copy_struct(&f, sizeof(f), sizeof(f), arg);

	if (ret)
		return ret;
	f = (struct aop_ioc_features) {
		.size = f.size,
		.abi = AOP_ABI,
		.features = AOP_FEATURE_GROUP | AOP_FEATURE_SIGNAL_WAIT,
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

static void cancel_chunk(struct aop_ctx *ctx, struct aop_run *run, void *entries, u32 nr)
{
	struct aop_cancel_entry *e = entries;

	for (; nr--; e++) {
		struct aop_link *link = aop_link_find(ctx, e->handle);

		if (e->reason > 0) {
			e->ret = -EINVAL;
		} else if (IS_ERR(link)) {
			e->ret = PTR_ERR(link);
		} else if (!(link->rights & AOP_MAY_CANCEL)) {
			e->ret = -EPERM;
		} else {
			aop_run_lock(run, link->op->home);
			e->ret = aop_cancel_locked(run, link->op, e->reason ?: -ECANCELED);
		}
	}
}

static void detach_chunk(struct aop_ctx *ctx, struct aop_run *run, void *entries, u32 nr)
{
	struct aop_detach_entry *e = entries;

	for (; nr--; e++) {
		struct aop_link *link = aop_link_find(ctx, e->handle);

		if (e->rights & ~AOP_MAY_ALL) {
			e->ret = -EINVAL;
		} else if (IS_ERR(link)) {
			e->ret = PTR_ERR(link);
		} else if (e->rights & ~link->rights) {
			e->ret = -EPERM;
		} else {
			aop_run_lock(run, link->op->home);
			aop_link_drop_locked(run, link, e->rights ?: AOP_MAY_ALL);
		}
	}
}

static void modify_chunk(struct aop_ctx *ctx, struct aop_run *run, void *entries, u32 nr)
{
	struct aop_modify_entry *e = entries;

	for (; nr--; e++) {
		struct aop_link *link = aop_link_find(ctx, e->handle);

		if (e->mask & ~AOP_EV_ALL) {
			e->ret = -EINVAL;
		} else if (IS_ERR(link)) {
			e->ret = PTR_ERR(link);
		} else {
			aop_run_lock(run, link->op->home);
			aop_link_modify_locked(run, link, e->mask, e->data);
		}
	}
}

static const struct aop_batch_kind cancels = AOP_BATCH_KIND(cancel, 0);
static const struct aop_batch_kind detaches = AOP_BATCH_KIND(detach, 0);
static const struct aop_batch_kind modifies = AOP_BATCH_KIND(modify, 0);

/* ---- the switch -------------------------------------------------------- */

static long before_setup(struct aop_ctx *ctx, unsigned int cmd, void __user *arg)
{
	if (cmd == AOP_IOC_FEATURES)
		return features(arg);
	if (cmd == AOP_IOC_SETUP)
		return setup(ctx, arg);
	return cmd - AOP_IOC_FEATURES > AOP_IOC_QUERY - AOP_IOC_FEATURES ? -ENOTTY : -EINVAL;
}

/**
 * aop_ioctl() - a call of the process that the context belongs to
 * @ctx: of it
 * @cmd: AOP_IOC_*
 * @arg: pointer to the struct that goes with it
 *
 * Context: may sleep.
 * Return: what aop(4) says of the call.
 */
long aop_ioctl(struct aop_ctx *ctx, unsigned int cmd, void __user *arg)
{
	/* Pairs with the release in setup(). */
	if (unlikely(!smp_load_acquire(&ctx->nr_slots)))
		return before_setup(ctx, cmd, arg);
	/* First what is called most: retpolines make a switch walk. */
	if (cmd == AOP_IOC_SIGNAL)
		return aop_ioctl_signal(ctx, arg);
	if (cmd == AOP_IOC_WAIT)
		return aop_ioctl_wait(ctx, arg);

	switch (cmd) {
	case AOP_IOC_FEATURES:
		return features(arg);
	case AOP_IOC_SETUP:
		return setup(ctx, arg);
	case AOP_IOC_CREATE:
		return aop_ioctl_create(ctx, arg);
	case AOP_IOC_CANCEL:
		return aop_batch(ctx, &cancels, arg);
	case AOP_IOC_EXPORT:
		return aop_ioctl_export(ctx, arg);
	case AOP_IOC_ATTACH:
		return aop_ioctl_attach(ctx, arg);
	case AOP_IOC_DETACH:
		return aop_batch(ctx, &detaches, arg);
	case AOP_IOC_MODIFY:
		return aop_batch(ctx, &modifies, arg);
	case AOP_IOC_GROUP:
		return aop_ioctl_group(ctx, arg);
	case AOP_IOC_QUERY:
		return aop_ioctl_query(ctx, arg);
	default:
		return -ENOTTY;
	}
}
