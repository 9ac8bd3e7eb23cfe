// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_CALL: call ports, and wait for the answers, in one go.
 *
 * The entries are carried out in their order, each before the next is looked at: the
 * answer is written to user space first, then the call enters the backlog, and nothing
 * can fail any more.  Where a call has to wait for room, it waits with nothing but its
 * client held, and is made anew.
 *
 * The call sleeps only when all entries have been carried out and user space has been
 * told so: repeated after a signal it only waits on, for what the entries' handles
 * refer to then.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "change.h"
#include "ioctl.h"
#include "link.h"
#include "port.h"
#include "waiting.h"

#define ON_STACK	2
#define HOOKS_KEPT	64

/**
 * struct calling - one AOP_IOC_CALL on its way
 * @ctx: of the calling process
 * @c: from user space
 * @run: of the entries
 * @client: of the last entry, while the table is locked, or NULL
 * @handle: of that
 * @port: that calls were queued at, and whose servers do not know yet
 * @nr: how many
 * @edge: its backlog was empty before
 * @hooks: for the calls that are waited for, or NULL
 * @hung: hooks in use
 * @over: entries that need not be waited for: they failed, or were reaped
 */
struct calling {
	struct aop_ctx *ctx;
	struct aop_ioc_call c;
	struct aop_run run;
	struct aop_client *client;
	u64 handle;
	struct aop_port *port;
	u32 nr;
	bool edge;
	struct aop_wait_hook *hooks;
	u32 hung;
	u32 over;
};

static struct aop_call_entry __user *entry_at(const struct calling *cl, u32 i)
{
	return u64_to_user_ptr(cl->c.entries) + (size_t)i * cl->c.entry_size;
}

static void tell_servers(struct calling *cl)
{
	if (cl->port)
		aop_port_ring(&cl->run, cl->port, cl->nr, cl->edge);
	cl->port = NULL;
	cl->nr = 0;
	cl->edge = false;
}

static void wait_for(struct calling *cl, struct aop *op, u32 i)
{
	if (!cl->hooks)
		return;
	aop_wait_hook_init(&cl->hooks[cl->hung], op, AOP_EV_FINAL, 0);
	cl->hooks[cl->hung++].index = i;
}

static struct file *file_of(const struct aop_call_entry *e)
{
	struct file *file;

	if (!(e->flags & AOP_CALL_FD))
		return NULL;
	file = fget(e->fd);
	if (!file)
		return ERR_PTR(-EBADF);
	/* What can refer to other files could come to refer to itself. */
	if (S_ISREG(file_inode(file)->i_mode))
		return file;
	fput(file);
	return ERR_PTR(-EINVAL);
}

static int check_entry(const struct aop_call_entry *e, const struct aop_port *port)
{
	if (e->flags & ~(AOP_CALL_DETACHED | AOP_CALL_FD) || e->mask & ~AOP_EV_ALL ||
	    (e->fd && !(e->flags & AOP_CALL_FD)))
		return -EINVAL;
	return e->len > port->message || e->room > AOP_MAX_MESSAGE ? -EMSGSIZE : 0;
}

/* ---- the op ------------------------------------------------------------ */

/**
 * aop_call_free() - what goes with the op of a call, but its memory
 * @call: not queued; no home lock is held
 *
 * Context: any.
 */
void aop_call_free(struct aop_call *call)
{
	if (call->file)
		fput(call->file);
	if (call->port)
		aop_put(call->port->op);
}

/**
 * aop_call_keep_locked() - keep a call for the next one of its home
 * @run: holds the home lock
 * @op: without references; with an extra
 *
 * Return: false when it is none, of another size than most, or there is no more room.
 */
bool aop_call_keep_locked(struct aop_run *run, struct aop *op)
{
	struct aop_call *call = op->extra->call;
	struct aop_home *home = op->home;

	if (!call || !home->spare_calls_room || call->size != AOP_CALL_ROOM || call->file ||
	    op->extra->deadline)
		return false;
	trace_aop_release(op);
	aop_unregister_locked(op);
	this_cpu_dec(aop_op_counts);
	aop_put_locked(run, call->port->op);
	call->port = NULL;
	op->dead = home->spare_calls;
	home->spare_calls = op;
	home->spare_calls_room--;
	return true;
}

/* A call that was kept: an op with memory for a call, or NULL. */
static struct aop *reuse_locked(struct aop_home *home)
{
	struct aop *op = home->spare_calls;

	if (!op)
		return NULL;
	home->spare_calls = op->dead;
	home->spare_calls_room++;
	INIT_HLIST_HEAD(&op->links);
	this_cpu_inc(aop_op_counts);
	refcount_set(&op->ref, 1);
	return op;
}

/*
 * An op with memory for a call, which is not one yet.  Most often that of a call that
 * has ended.
 */
static struct aop *alloc(struct calling *cl, u32 size)
{
	struct aop_home *home = cl->ctx->home;
	struct aop_call *call;
	struct aop *op = NULL;

	size = ALIGN(size, sizeof(u64));
	if (size <= AOP_CALL_ROOM) {
		size = AOP_CALL_ROOM;
		aop_run_lock(&cl->run, home);
		op = reuse_locked(home);
		aop_run_unlock(&cl->run);
		if (op)
			return op;
	}
	if (!aop_alloc(home, &op, 1))
		return NULL;
	refcount_set(&op->ref, 1);
	op->id = 0;	/* no event tells of it, see trace.h */
	call = aop_alloc_extra_and(op, NULL, AOP_LABEL_SIZE - 1, sizeof(*call) + size);
	if (!call) {
		aop_put(op);
		return NULL;
	}
	op->extra->call = call;
	call->op = op;
	call->port = NULL;
	call->client = NULL;
	call->file = NULL;
	call->size = size;
	return op;
}

/* What is beside the op.  Nobody knows it yet. */
static int fill_in(struct aop *op, const struct aop_call_entry *e, struct aop_port *port)
{
	struct aop_call *call = op->extra->call;
	struct file *file;

	if (e->len && aop_get_bytes(call->message, u64_to_user_ptr(e->message), e->len))
		return -EFAULT;
	file = file_of(e);
	if (IS_ERR(file))
		return PTR_ERR(file);
	memcpy(op->extra->label, port->op->extra->label, port->label_size);
	op->extra->parent = e->parent;
	call->port = port;
	aop_get(port->op);
	call->file = file;
	call->len = e->len;
	call->room = e->room;
	call->reply_len = 0;
	return 0;
}

/* With a place reserved.  Returns 0 or what the entry gets; -EFAULT is the call's. */
static int make(struct calling *cl, struct aop_client *client, struct aop_call_entry *e,
		struct aop_call_entry __user *user, struct aop **made)
{
	struct aop_ctx *ctx = cl->ctx;
	struct aop_port *port = client->port;
	struct aop_link *link;
	struct aop *op;
	bool edge;
	int ret;

	if (!aop_links_alloc(ctx, &link, 1, &ret))
		return ret;
	op = alloc(cl, ALIGN(e->len, sizeof(u64)) + e->room);
	if (!op) {
		ret = -ENOMEM;
		goto free_link;
	}
	__aop_birth(op, aop_new_ids(1), aop_run_now(&cl->run), AOP_PENDING, 0);
	op->detached = e->flags & AOP_CALL_DETACHED;
	op->owned = true;
	op->mode = 0600;
	ret = fill_in(op, e, port);
	if (ret) {
		op->id = 0;	/* no event tells of it, see trace.h */
		goto put_op;
	}
	trace_aop_create(op);
	if (e->deadline && e->deadline != AOP_FOREVER_NS) {
		ret = aop_deadline_start(op, aop_host_ns(ctx, e->deadline));
		if (ret)
			goto put_op;
	}
	ret = -EFAULT;
	if (!user_write_access_begin(user, sizeof(*user)))
		goto put_op;
	unsafe_put_user(aop_handle(link), &user->handle, fault);
	unsafe_put_user(op->id, &user->id, fault);
	unsafe_put_user(0, &user->ret, fault);
	user_write_access_end();

	/* Nothing fails from here on. */
	*made = op;
	aop_run_lock(&cl->run, op->home);
	edge = aop_port_queue_locked(&cl->run, client, aop_call_of(op));
	__aop_link_first(&cl->run, link, op, AOP_MAY_LOOK | AOP_MAY_CANCEL, e->mask, e->data);
	aop_register_locked(op);
	aop_run_unlock(&cl->run);
	if (cl->port != port)
		tell_servers(cl);
	cl->port = port;
	cl->edge |= edge;
	cl->nr++;
	return 0;
fault:
	user_write_access_end();
put_op:
	aop_put(op);
free_link:
	aop_link_free(link);
	return ret;
}

/* Calls mostly go to one port together. */
static int find_client(struct calling *cl, u64 handle)
{
	int ret;

	if (cl->client && cl->handle == handle)
		return 0;
	ret = aop_client_find(cl->ctx, handle, &cl->client);
	if (ret)
		cl->client = NULL;
	cl->handle = handle;
	return ret;
}

/* Returns 0, or -EAGAIN with a client that is held and waits for room, or -EFAULT. */
static int call_one(struct calling *cl, u32 i, struct aop_client **wait)
{
	struct aop_call_entry __user *user = entry_at(cl, i);
	struct aop_call_entry e AOP_UNINIT;
	struct aop_client *client;
	struct aop *op = NULL;
	int ret = aop_copy_in(&e, sizeof(e), user, cl->c.entry_size, sizeof(e));

	if (ret == -EFAULT)
		return ret;
	if (!ret)
		ret = find_client(cl, e.port);
	client = cl->client;
	if (!ret)
		ret = check_entry(&e, client->port);
	if (!ret) {
		ret = aop_port_reserve(client);
		if (ret && cl->c.flags & AOP_CALLS_WAIT) {
			aop_client_hold(client);
			*wait = client;
			return ret;
		}
		if (!ret) {
			ret = make(cl, client, &e, user, &op);
			if (ret)
				aop_port_unreserve(client);
		}
	}
	if (!ret) {
		wait_for(cl, op, i);
		return 0;
	}
	cl->over++;
	return put_user(ret, &user->ret) ? -EFAULT : 0;
}

/* An entry that an earlier call has carried out. */
static int again(struct calling *cl, u32 i)
{
	struct aop_call_entry __user *user = entry_at(cl, i);
	struct aop_call *call;
	struct aop_link *link;
	u64 handle;
	s32 ret;

	if (get_user(ret, &user->ret) || get_user(handle, &user->handle))
		return -EFAULT;
	if (ret || !handle) {
		cl->over++;
		return 0;
	}
	ret = aop_call_find(cl->ctx, handle, AOP_MAY_LOOK, &link, &call);
	if (!ret)
		wait_for(cl, link->op, i);
	return ret;
}

/* Carries out what it can.  The table is locked. */
static int call_some(struct calling *cl, struct aop_client **wait)
{
	struct aop_ioc_call *c = &cl->c;
	int ret = cl->ctx->dead ? -EIO : 0;

	cl->client = NULL;
	aop_run_begin(&cl->run);
	while (!ret && c->called < c->nr) {
		ret = call_one(cl, c->called, wait);
		c->called += !ret;
		if (c->called % AOP_RUN_LINKS == 0) {
			tell_servers(cl);
			cond_resched();
		}
	}
	tell_servers(cl);
	aop_run_end(&cl->run);
	return ret;
}

static int begin(struct calling *cl, struct aop_ioc_call __user *arg)
{
	struct aop_ctx *ctx = cl->ctx;
	struct aop_client *wait;
	int ret = 0;
	u32 i;

	aop_table_lock(ctx);
	for (i = 0; i < cl->c.called && !ret && cl->hooks; i++)
		ret = again(cl, i);
	while (!ret && cl->c.called < cl->c.nr) {
		wait = NULL;
		ret = call_some(cl, &wait);
		aop_table_unlock(ctx);
		/* Before any sleep: a call that is restarted must not call again. */
		if (put_user(cl->c.called, &arg->called))
			ret = -EFAULT;
		if (wait) {
			if (ret == -EAGAIN)
				ret = aop_port_wait_room(ctx, wait, cl->c.deadline);
			aop_client_release(wait);
		}
		if (ret || cl->c.called == cl->c.nr)
			return ret;
		aop_table_lock(ctx);
	}
	aop_table_unlock(ctx);
	return ret;
}

/*
 * How a call has ended, for its entry.  Only the owner wrote the reply, before that.
 * Returns 1, with the handle of the entry, 0 when the call has not ended, or -EFAULT.
 */
static int harvest(const struct calling *cl, struct aop *op, u32 i, u64 *handle)
{
	struct aop_call_entry __user *user = entry_at(cl, i);
	struct aop_call *call = aop_call_of(op);
	u32 state = aop_word_state(smp_load_acquire(&op->word));	/* see aop_level() */
	u32 room;
	u64 to;

	if (!AOP_FINAL(state))
		return put_user(state, &user->state) ? -EFAULT : 0;
	if (!user_access_begin(user, sizeof(*user)))
		return -EFAULT;
	unsafe_get_user(to, &user->reply, fault);
	unsafe_get_user(room, &user->room, fault);
	unsafe_get_user(*handle, &user->handle, fault);
	unsafe_put_user(op->result, &user->result, fault);
	unsafe_put_user(state, &user->state, fault);
	unsafe_put_user(call->reply_len, &user->reply_len, fault);
	user_access_end();
	if (call->reply_len && aop_put_bytes(u64_to_user_ptr(to), aop_call_reply(call),
					     min(call->reply_len, room)))
		return -EFAULT;
	return 1;
fault:
	user_access_end();
	return -EFAULT;
}

/* Gives up the handle of a call that has ended; user space may have done so already. */
static int reap(struct calling *cl, struct aop_wait_hook *hook, u64 handle)
{
	struct aop_call_entry __user *user = entry_at(cl, hook->index);
	struct aop *op = hook->op;
	struct aop_link *link;

	if (put_user(0, &user->handle))
		return -EFAULT;
	link = aop_link_find(cl->ctx, handle);
	if (IS_ERR(link) || link->op != op)
		return 0;
	/* Ours first, so that the handle's is the last one, and the op is kept. */
	aop_run_lock(&cl->run, op->home);
	hook->op = NULL;
	aop_put_locked(&cl->run, op);
	aop_link_drop_locked(&cl->run, link, AOP_MAY_LOOK | AOP_MAY_CANCEL);
	aop_run_unlock(&cl->run);
	return 0;
}

static int finish(struct calling *cl, struct aop_ioc_call __user *arg)
{
	bool reaps = cl->c.flags & AOP_CALLS_REAP;
	u32 i, count = cl->over;
	u64 handle;
	int ret = 0;

	if (reaps) {
		aop_table_lock(cl->ctx);
		aop_run_begin(&cl->run);
	}
	for (i = 0; i < cl->hung && ret >= 0; i++) {
		ret = harvest(cl, cl->hooks[i].op, cl->hooks[i].index, &handle);
		if (ret <= 0)
			continue;
		count++;
		if (reaps)
			ret = reap(cl, &cl->hooks[i], handle);
	}
	if (reaps) {
		aop_run_end(&cl->run);
		aop_table_unlock(cl->ctx);
	}
	return ret < 0 || put_user(count, &arg->count) ? -EFAULT : 0;
}

static int wait(struct calling *cl)
{
	u32 need = cl->c.need > cl->over ? cl->c.need - cl->over : 0;
	u32 count = aop_wait_look(cl->hooks, cl->hung);

	if (count >= need)
		return 0;
	if (!cl->c.deadline)
		return -ETIME;
	/* Who was just woken may answer before we would sleep. */
	cond_resched();
	if (aop_wait_look(cl->hooks, cl->hung) >= need)
		return 0;
	return aop_wait_sleep(cl->ctx, cl->hooks, cl->hung, need, cl->c.deadline);
}

/* Memory for hooks: one piece is kept for the next call. */
static struct aop_wait_hook *hooks_get(struct aop_ctx *ctx, u32 nr)
{
	struct aop_wait_hook *hooks;

	if (nr > HOOKS_KEPT)
		return kvmalloc_array(nr, sizeof(*hooks), AOP_GFP);
	hooks = xchg(&ctx->hooks, NULL);
	return hooks ?: kvmalloc_array(HOOKS_KEPT, sizeof(*hooks), AOP_GFP);
}

static void hooks_put(struct aop_ctx *ctx, struct aop_wait_hook *hooks, u32 nr)
{
	if (nr > HOOKS_KEPT || cmpxchg(&ctx->hooks, NULL, hooks))
		kvfree(hooks);
}

static int check(const struct aop_ioc_call *c)
{
	if (c->flags & ~(AOP_CALLS_REAP | AOP_CALLS_WAIT) || c->pad ||
	    c->nr > AOP_MAX_ENTRIES || c->need > c->nr || c->called > c->nr ||
	    c->entry_size < sizeof(struct aop_call_entry))
		return -EINVAL;
	if (c->entry_size > PAGE_SIZE)
		return -E2BIG;
	if (!access_ok(u64_to_user_ptr(c->entries), (size_t)c->nr * c->entry_size))
		return -EFAULT;
	return 0;
}

/**
 * aop_ioctl_call() - AOP_IOC_CALL
 * @ctx: of the calling process
 * @arg: struct aop_ioc_call
 *
 * Context: sleeps, interruptible and freezable, with no lock held.
 * Return: 0; -ETIME when the deadline came first; -ERESTARTSYS; -EINVAL, -E2BIG, -EFAULT
 * for the struct and its arrays; -EBADF, -ESTALE, -EPERM, -EINVAL for a handle of an
 * entry that was carried out before; -EMFILE when too many look at a call; -ENOMEM; -EIO
 * when the process has ended.
 */
long aop_ioctl_call(struct aop_ctx *ctx, void __user *arg)
{
	struct aop_wait_hook stack[ON_STACK] AOP_UNINIT;
	struct calling cl AOP_UNINIT;
	bool waits;
	u32 i;
	int ret = aop_copy_struct(&cl.c, sizeof(cl.c), sizeof(cl.c), arg);

	if (ret)
		return ret;
	ret = check(&cl.c);
	if (ret)
		return ret;
	cl.ctx = ctx;
	cl.port = NULL;
	cl.nr = 0;
	cl.edge = false;
	cl.hooks = NULL;
	cl.hung = 0;
	cl.over = 0;
	waits = cl.c.need || cl.c.flags & AOP_CALLS_REAP;
	if (waits) {
		cl.hooks = stack;
		if (cl.c.nr > ON_STACK) {
			cl.hooks = hooks_get(ctx, cl.c.nr);
			if (!cl.hooks)
				return -ENOMEM;
		}
	}

	ret = begin(&cl, arg);
	if (!ret && waits)
		ret = wait(&cl);
	if (!ret || ret == -ETIME) {
		if (finish(&cl, arg))
			ret = -EFAULT;
	}
	for (i = 0; i < cl.hung; i++)
		if (cl.hooks[i].op)
			aop_put(cl.hooks[i].op);
	if (cl.hooks && cl.hooks != stack)
		hooks_put(ctx, cl.hooks, cl.c.nr);
	return ret;
}
