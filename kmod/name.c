// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_NAME: names of ports, one table for each network namespace.
 *
 * A name belongs to the context that has reserved it, and is gone with that.  It may be
 * bound to a port that the context drives, and to another one later, so that callers
 * find the one that serves now.  Who may find it is said by its mode, as with a file.
 *
 * Locks: names_lock, a mutex inside aop_ctx.lock: the table, and all of a name.  A name
 * is on the list of its context under both.
 */
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/stringhash.h>
#include <linux/uaccess.h>

#include "change.h"
#include "ioctl.h"
#include "link.h"
#include "port.h"

static unsigned int max_names = 256;
module_param(max_names, uint, 0644);
MODULE_PARM_DESC(max_names, "names that one user may have reserved");

/**
 * struct port_name - one that is taken
 * @node: in the table
 * @mine: on aop_ctx.names
 * @ctx: whose
 * @op: a reference on the port, or NULL
 * @mode: execute bits: who may find it
 * @text: 0-terminated
 */
struct port_name {
	struct hlist_node node;
	struct list_head mine;
	struct aop_ctx *ctx;
	struct aop *op;
	u16 mode;
	char text[AOP_NAME_SIZE];
};

static DEFINE_HASHTABLE(names, 8);
static DEFINE_MUTEX(names_lock);

/* ---- text -------------------------------------------------------------- */

/* The length of the valid sequence at @s, which ends with a 0; 0: there is none. */
static unsigned int utf8_len(const u8 *s)
{
	static const u32 least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int i, len;
	u32 c;

	if (s[0] < 0x80)
		return 1;
	if ((s[0] & 0xe0) == 0xc0)
		len = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		len = 3;
	else if ((s[0] & 0xf8) == 0xf0)
		len = 4;
	else
		return 0;
	c = s[0] & (0x7f >> len);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	/* Not the shortest form, a half of a pair, beyond the end. */
	return c < least[len] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ? 0 : len;
}

static int fetch_text(char *text, u64 user)
{
	long len = strncpy_from_user(text, u64_to_user_ptr(user), AOP_NAME_SIZE);
	unsigned int at, n;

	if (len < 0)
		return len;
	if (len == AOP_NAME_SIZE)
		return -ENAMETOOLONG;
	if (!len)
		return -EINVAL;
	for (at = 0; at < len; at += n) {
		n = utf8_len((u8 *)text + at);
		if (!n)
			return -EILSEQ;
		/* What would spoil a list of names. */
		if ((u8)text[at] < 0x20 || text[at] == 0x7f)
			return -EINVAL;
	}
	return 0;
}

/* ---- the table: names_lock is held ------------------------------------- */

static u32 hash_of(const char *text, u64 net)
{
	return full_name_hash(&names, text, strlen(text)) ^ (u32)net;
}

static struct port_name *look_up(const char *text, u64 net)
{
	struct port_name *n;

	hash_for_each_possible(names, n, node, hash_of(text, net))
		if (n->ctx->home->net == net && !strcmp(n->text, text))
			return n;
	return NULL;
}

static void bind(struct port_name *n, struct aop *op)
{
	struct aop *old = n->op;

	n->op = op ? aop_get(op) : NULL;
	if (old)
		aop_put(old);
}

static struct port_name *reserve(struct aop_ctx *ctx, const char *text, int *err)
{
	struct aop_user *user = ctx->home->user;
	struct port_name *n;

	*err = -EDQUOT;
	if (user->names >= READ_ONCE(max_names))
		return NULL;
	n = kzalloc(sizeof(*n), AOP_GFP);
	*err = -ENOMEM;
	if (!n)
		return NULL;
	user->names++;
	n->ctx = ctx;
	strscpy(n->text, text, sizeof(n->text));
	list_add(&n->mine, &ctx->names);
	hash_add(names, &n->node, hash_of(text, ctx->home->net));
	return n;
}

static void release(struct port_name *n)
{
	bind(n, NULL);
	n->ctx->home->user->names--;
	list_del(&n->mine);
	hash_del(&n->node);
	kfree(n);
}

static bool may_find(const struct port_name *n)
{
	const struct cred *cred = n->ctx->home->cred;
	u32 mode = n->mode;

	if (uid_eq(current_euid(), cred->euid))
		mode >>= 6;
	else if (in_egroup_p(cred->egid))
		mode >>= 3;
	return mode & 1 || ns_capable(cred->user_ns, CAP_SYS_ADMIN);
}

/**
 * aop_names_clear() - give up all names of a context
 * @ctx: its table is locked
 *
 * Context: may sleep.
 */
void aop_names_clear(struct aop_ctx *ctx)
{
	struct port_name *n, *next;

	if (list_empty(&ctx->names))
		return;
	mutex_lock(&names_lock);
	list_for_each_entry_safe(n, next, &ctx->names, mine)
		release(n);
	mutex_unlock(&names_lock);
}

/* ---- the call ---------------------------------------------------------- */

static int bind_name(struct aop_ctx *ctx, struct aop_ioc_name *in, const char *text,
		     struct port_name **found)
{
	struct port_name *n = *found;
	struct aop_link *link;
	int ret = aop_link_get_for(ctx, in->handle, AOP_MAY_DRIVE, &link);

	if (ret)
		return ret;
	if (!aop_port_of(link->op))
		return -EINVAL;
	if (n && n->ctx != ctx)
		return -EEXIST;
	if (!n)
		n = reserve(ctx, text, &ret);
	if (!n)
		return ret;
	n->mode = in->mode;
	bind(n, link->op);
	*found = n;
	return 0;
}

static int reserve_name(struct aop_ctx *ctx, struct aop_ioc_name *in, const char *text,
			struct port_name **found)
{
	int ret;

	if (*found)
		return -EEXIST;
	*found = reserve(ctx, text, &ret);
	if (!*found)
		return ret;
	(*found)->mode = in->mode;
	return 0;
}

/* The handle can be written: that was tried. */
static int find_name(struct aop_ctx *ctx, struct aop_ioc_name *in, struct port_name *n)
{
	struct aop_run run AOP_UNINIT;
	struct aop_link *link;
	int ret;

	if (!n)
		return -ENOENT;
	if (!may_find(n))
		return -EACCES;
	if (!n->op || aop_is_final(n->op))
		return -ENOTCONN;
	if (!aop_links_alloc(ctx, &link, 1, &ret))
		return ret;
	aop_run_begin(&run);
	/* Cannot fail: it is not on the op's list. */
	WARN_ON_ONCE(aop_link_attach(&run, link, aop_get(n->op), AOP_MAY_CALL, in->mask,
				     in->data));
	aop_run_end(&run);
	in->handle = aop_handle(link);
	return 0;
}

static int name_locked(struct aop_ctx *ctx, struct aop_ioc_name *in, const char *text)
{
	struct port_name *n = look_up(text, ctx->home->net);
	const struct aop_home *home;
	int ret;

	switch (in->what) {
	case AOP_NAME_RESERVE:
		ret = reserve_name(ctx, in, text, &n);
		break;
	case AOP_NAME_BIND:
		ret = bind_name(ctx, in, text, &n);
		break;
	case AOP_NAME_RELEASE:
		if (!n || n->ctx != ctx)
			return n ? -EPERM : -ENOENT;
		release(n);
		return 0;
	default:
		ret = find_name(ctx, in, n);
	}
	if (ret && ret != -EEXIST && ret != -ENOTCONN)
		return ret;
	home = n->ctx->home;
	in->id = n->op && !aop_is_final(n->op) ? n->op->id : 0;
	in->uid = from_kuid_munged(current_user_ns(), home->cred->euid);
	in->pid = pid_vnr(home->pid);
	return ret;
}

static int check(const struct aop_ioc_name *in)
{
	bool sets = in->what == AOP_NAME_RESERVE || in->what == AOP_NAME_BIND;
	bool finds = in->what == AOP_NAME_FIND;

	if (in->flags || in->pad || in->what > AOP_NAME_FIND)
		return -EINVAL;
	if ((in->mode && !sets) || in->mode & ~0111 || (in->data && !finds) ||
	    (in->mask && !finds) || in->mask & ~AOP_EV_ROOM)
		return -EINVAL;
	return in->handle && !finds && in->what != AOP_NAME_BIND ? -EINVAL : 0;
}

/**
 * aop_ioctl_name() - AOP_IOC_NAME
 * @ctx: of the calling process
 * @arg: struct aop_ioc_name
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, -E2BIG, -EFAULT for the struct, -EINVAL, -ENAMETOOLONG, -EILSEQ for
 * the name; -EEXIST when it is somebody's, -ENOENT when it is nobody's, -EPERM when it is
 * to be released by another; -EACCES, -ENOTCONN when it is to be found; -EBADF, -ESTALE,
 * -EPERM, -EINVAL for a handle that is to be bound; -EDQUOT, -ENOSPC, -ENOMEM; -EIO when
 * the process has ended.
 */
long aop_ioctl_name(struct aop_ctx *ctx, void __user *arg)
{
	struct aop_ioc_name __user *out = arg;
	char text[AOP_NAME_SIZE];
	struct aop_ioc_name in;
	int ret = aop_copy_struct(&in, sizeof(in), sizeof(in), arg);

	if (ret)
		return ret;
	ret = check(&in);
	if (!ret)
		ret = fetch_text(text, in.name);
	if (ret)
		return ret;
	/* As it came, but it shows that it can be written. */
	if (put_user(in.handle, &out->handle) || put_user(in.id, &out->id))
		return -EFAULT;
	aop_table_lock(ctx);
	ret = -EIO;
	if (!ctx->dead) {
		mutex_lock(&names_lock);
		ret = name_locked(ctx, &in, text);
		mutex_unlock(&names_lock);
	}
	if ((!ret || ret == -EEXIST || ret == -ENOTCONN) &&
	    (put_user(in.handle, &out->handle) || put_user(in.id, &out->id) ||
	     put_user(in.uid, &out->uid) || put_user(in.pid, &out->pid))) {
		if (!ret && in.what == AOP_NAME_FIND) {
			struct aop_run run AOP_UNINIT;

			aop_run_begin(&run);
			aop_handle_undo(ctx, &run, in.handle);
			aop_run_end(&run);
		}
		ret = -EFAULT;
	}
	aop_table_unlock(ctx);
	return ret;
}
