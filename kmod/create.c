// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_CREATE and AOP_IOC_GROUP: new ops, each with one handle.
 *
 * What fails on the way takes everything back, up to writing the handle to user
 * space, which is the last thing that can.
 */
#include <linux/slab.h>

#include "batch.h"
#include "link.h"
#include "trace.h"

/* How many entries come at once. */
#define MAX_CHUNK	(AOP_CHUNK_WORDS * 8 / sizeof(struct aop_create_entry))

static int copy_label(struct aop *op, const struct aop_create_entry *e)
{
	char label[AOP_LABEL_SIZE] AOP_UNINIT;
	long len = 0;

	if (e->label) {
		len = strncpy_from_user(label, u64_to_user_ptr(e->label), sizeof(label));
		if (len < 0)
			return len;
		if (len == sizeof(label))
			return -ENAMETOOLONG;
	}
	return aop_alloc_extra(op, label, len);
}

static int make_extra(struct aop_ctx *ctx, struct aop_run *run, struct aop *op,
		      const struct aop_create_entry *e, const struct aop_group_opts *group)
{
	int ret = copy_label(op, e);

	if (ret) {
		op->id = 0;	/* no event tells of it, see trace.h */
		return ret;
	}
	op->extra->parent = e->parent;
	/* From here on it can be ended: by its members, by its deadline. */
	trace_aop_create(op);
	if (group) {
		ret = aop_group_setup(run, op, group);
		if (ret)
			return ret;
	}
	if (e->deadline && e->deadline != AOP_FOREVER_NS && !AOP_FINAL(e->state))
		return aop_deadline_start(op, aop_host_ns(ctx, e->deadline));
	return 0;
}

static __always_inline void fill_in(struct aop *op, u64 id, u64 now,
				    const struct aop_create_entry *e, bool owned)
{
	__aop_birth(op, id, now, e->state, e->result);
	op->detached = e->flags & AOP_CREATE_DETACHED;
	op->owned = owned;
	op->mode = e->mode;
}

/* Fills in an op that nobody knows yet.  May sleep; the run holds no lock. */
static int make(struct aop_ctx *ctx, struct aop_run *run, struct aop *op,
		const struct aop_create_entry *e, const struct aop_group_opts *group)
{
	fill_in(op, aop_new_ids(1), aop_run_now(run), e, !group);
	if (e->label | e->parent | e->deadline || group)
		return make_extra(ctx, run, op, e, group);
	trace_aop_create(op);
	return 0;
}

/* Gives it a handle, and makes it known.  The run holds the home lock. */
static __always_inline void publish(struct aop_run *run, struct aop_link *link, struct aop *op,
				    struct aop_create_entry *e, u8 rights)
{
	__aop_link_first(run, link, op, rights, e->mask, e->data);
	aop_register_locked(op);
	e->handle = aop_handle(link);
	e->id = op->id;
}

static int check(const struct aop_create_entry *e)
{
	if (e->flags & ~AOP_CREATE_DETACHED || e->mask & ~AOP_EV_ALL || e->mode & ~AOP_MODE_BITS ||
	    !aop_result_fits(e->state, e->result))
		return -EINVAL;
	return 0;
}

/*
 * Entries with more to allocate than can be had from the ops that ended before: @have
 * of @got ops are there.  Returns how many could be made, each with its handle.
 */
static noinline u32 make_all(struct aop_ctx *ctx, struct aop_run *run, struct aop_create_entry *e,
			     u32 nr, struct aop_link **links, struct aop **ops, u32 have, u32 got,
			     int *err)
{
	u32 i, used = 0;

	if (have < got && !aop_alloc(ctx->home, ops + have, got - have)) {
		*err = -ENOMEM;
		while (got > have)
			aop_link_free(links[--got]);
	}
	for (i = 0; i < nr && used < got; i++) {
		if (e[i].ret)
			continue;
		/* Nobody can find it yet, but a deadline may end it any moment. */
		e[i].ret = make(ctx, run, ops[used], &e[i], NULL);
		if (!e[i].ret) {
			used++;
			continue;
		}
		aop_put(ops[used]);
		aop_link_free(links[used]);
		got--;
		links[used] = links[got];
		ops[used] = ops[got];
	}
	return got;
}

static __always_inline u32 create_chunk(struct aop_ctx *ctx, struct aop_run *run, void *entries,
					u32 nr)
{
	struct aop_create_entry *e = entries;
	struct aop_link *links[MAX_CHUNK] AOP_UNINIT;
	struct aop *ops[MAX_CHUNK] AOP_UNINIT;
	u32 i, have, got, wanted = 0, used = 0;
	u64 id = 0, now, extra = 0;
	int err;

	for (i = 0; i < nr; i++) {
		e[i].ret = check(&e[i]);
		wanted += !e[i].ret;
		extra |= e[i].label | e[i].parent | e[i].deadline;
	}
	got = aop_links_alloc(ctx, links, wanted, &err);
	now = aop_run_now(run);
	aop_run_lock(run, ctx->home);
	for (have = 0; have < got; have++) {
		ops[have] = __aop_reuse_locked(ctx->home);
		if (!ops[have])
			break;
	}
	if (unlikely(extra || have < got)) {
		aop_run_unlock(run);
		got = make_all(ctx, run, e, nr, links, ops, have, got, &err);
		aop_run_lock(run, ctx->home);
	} else {
		id = aop_new_ids(got);
	}
	for (i = 0; i < nr; i++) {
		if (unlikely(e[i].ret))
			continue;
		if (unlikely(used == got)) {
			e[i].ret = err;
			continue;
		}
		if (likely(id)) {
			fill_in(ops[used], id++, now, &e[i], true);
			trace_aop_create(ops[used]);
		}
		publish(run, links[used], ops[used], &e[i], AOP_MAY_ALL);
		used++;
	}
	return 0;
}

static void create_undo(struct aop_ctx *ctx, struct aop_run *run, void *entry)
{
	struct aop_create_entry *e = entry;

	if (!e->ret)
		aop_handle_undo(ctx, run, e->handle);
}

/* handle, id, and the word that ret is in. */
static const struct aop_batch_kind creates = {
	.chunk = create_chunk,
	.undo = create_undo,
	.words = sizeof(struct aop_create_entry) / 8,
	.ret = offsetof(struct aop_create_entry, ret) / 4,
	.out = 0x103,
};

/**
 * aop_ioctl_create() - AOP_IOC_CREATE
 * @ctx: of the calling process
 * @arg: struct aop_ioc_batch of struct aop_create_entry
 *
 * Context: may sleep.
 * Return: as aop_batch().
 */
long aop_ioctl_create(struct aop_ctx *ctx, void __user *arg)
{
	return aop_batch(ctx, &creates, arg);
}

/**
 * aop_ioctl_create_one() - AOP_IOC_CREATE_ONE
 * @ctx: of the calling process
 * @arg: struct aop_create_entry
 *
 * Context: may sleep.
 * Return: as aop_one().
 */
long aop_ioctl_create_one(struct aop_ctx *ctx, void __user *arg)
{
	return aop_one(ctx, &creates, arg);
}

static int find_members(struct aop_ctx *ctx, const struct aop_ioc_group *g, struct aop **members,
			u8 *may_cancel)
{
	const u64 __user *handles = u64_to_user_ptr(g->members);
	u32 i;

	for (i = 0; i < g->nr; i++) {
		struct aop_link *link;
		u64 handle;
		int ret;

		ret = get_user(handle, &handles[i]);
		if (!ret) {
			link = aop_link_find(ctx, handle);
			if (IS_ERR(link))
				ret = PTR_ERR(link);
			else if (!(link->rights & AOP_MAY_LOOK))
				ret = -EPERM;
			else if (g->flags & AOP_GROUP_CANCEL_REST &&
				 !(link->rights & AOP_MAY_CANCEL))
				ret = -EPERM;
		}
		if (ret) {
			while (i--)
				aop_put(members[i]);
			return ret;
		}
		members[i] = aop_get(link->op);
		may_cancel[i] = !!(link->rights & AOP_MAY_CANCEL);
	}
	return 0;
}

static long make_group(struct aop_ctx *ctx, struct aop_run *run, struct aop_ioc_group *g,
		       struct aop **members, u8 *may_cancel)
{
	struct aop_group_opts opts = {
		.members = members,
		.may_cancel = may_cancel,
		.nr = g->nr,
		.need = g->need,
		.flags = g->flags,
	};
	struct aop_create_entry e = {
		.data = g->data,
		.label = g->label,
		.parent = g->parent,
		.deadline = g->deadline,
		.mask = g->mask,
		.mode = g->mode,
		.state = AOP_RUNNING,
	};
	struct aop_link *link;
	struct aop *op;
	int ret;

	if (!aop_links_alloc(ctx, &link, 1, &ret))
		return ret;
	if (!aop_alloc(ctx->home, &op, 1)) {
		aop_link_free(link);
		return -ENOMEM;
	}
	ret = make(ctx, run, op, &e, &opts);
	if (ret) {
		aop_put(op);
		aop_link_free(link);
		return ret;
	}
	aop_run_lock(run, op->home);
	publish(run, link, op, &e, AOP_MAY_LOOK | AOP_MAY_CANCEL);
	g->handle = e.handle;
	g->id = e.id;
	return 0;
}

/**
 * aop_ioctl_group() - AOP_IOC_GROUP
 * @ctx: of the calling process
 * @arg: struct aop_ioc_group
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, -E2BIG, -EFAULT for the struct and its arrays; -EBADF, -ESTALE,
 * -EPERM for a member; -ELOOP, -EMFILE, -ENOSPC, -EDQUOT, -ENAMETOOLONG, -ENOMEM;
 * -EIO when the process has ended.
 */
long aop_ioctl_group(struct aop_ctx *ctx, void __user *arg)
{
	struct aop_ioc_group __user *out = arg;
	struct aop_run run AOP_UNINIT;
	struct aop_ioc_group g;
	struct aop **members;
	u32 i;
	int ret = aop_copy_struct(&g, sizeof(g), sizeof(g), arg);

	if (ret)
		return ret;
	if (g.flags & ~AOP_GROUP_ALL_FLAGS || g.mask & ~AOP_EV_ALL || g.mode & ~AOP_MODE_BITS ||
	    !g.nr || g.nr > AOP_MAX_ENTRIES || !g.need || g.need > g.nr)
		return -EINVAL;
	members = kvmalloc_array(g.nr, sizeof(*members) + 1, AOP_GFP);
	if (!members)
		return -ENOMEM;

	aop_table_lock(ctx);
	aop_run_begin(&run);
	/* Can the answer be written?  Better known before members are asked to stop. */
	ret = ctx->dead ? -EIO : 0;
	if (!ret && (put_user(0, &out->handle) || put_user(0, &out->id)))
		ret = -EFAULT;
	if (!ret)
		ret = find_members(ctx, &g, members, (u8 *)&members[g.nr]);
	if (!ret) {
		ret = make_group(ctx, &run, &g, members, (u8 *)&members[g.nr]);
		if (ret == -EMFILE) {
			/* Maybe in the way: groups that are gone, but still being freed. */
			flush_workqueue(aop_wq);
			ret = make_group(ctx, &run, &g, members, (u8 *)&members[g.nr]);
		}
		/* The group has references of its own. */
		for (i = 0; i < g.nr; i++)
			aop_put_locked(&run, members[i]);
	}
	aop_run_unlock(&run);
	if (!ret && (put_user(g.handle, &out->handle) || put_user(g.id, &out->id))) {
		struct aop_link *link = aop_link_find(ctx, g.handle);

		aop_run_lock(&run, link->op->home);
		aop_link_drop_locked(&run, link, AOP_MAY_PORT);
		ret = -EFAULT;
	}
	aop_run_end(&run);
	aop_table_unlock(ctx);
	kvfree(members);
	return ret;
}
