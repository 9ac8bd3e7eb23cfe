// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of io_uring on a context: wait, signal, cancel, and end a wait.
 *
 * A signal or a cancel is done where it is issued.  A wait that finds nothing hangs a
 * hook on its op and pends.  Who ends it sets claimed, under the home lock of the op
 * and only if it is not set yet; so it is ended once, by one of
 *
 *	the hook, when the op changes;
 *	the kernel, when the ring or the task that submitted it goes (uring_cancel());
 *	AOP_URING_UNWAIT;
 *	whoever issues it, if one of these came before the hook was hung.
 *
 * The first may be in an interrupt, the third belongs to another request: these two
 * let task work of the submitter complete the command.  The other two complete it.
 *
 * A command that pends holds the context's file, so the context is there, until
 * io_uring_cmd_done().  A wait is freed after that: io_uring may ask to cancel up to
 * then, and finds it claimed.
 *
 * All this needs commands that can be cancelled, as 6.8 and later have them.  Earlier
 * kernels would wait for ever for a ring to go; there the context has no ->uring_cmd,
 * and they answer -EOPNOTSUPP themselves.
 *
 * Locks: ctx->waits_lock protects the tree of waits, by user_data; it is taken before
 * home locks, and held for one lookup at a time, however many they are.
 * uring_wait.claimed and .ret are under the home lock of the op.
 */
#include <linux/fs.h>
#include <linux/rbtree.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "internal.h"
#include "ioctl.h"
#include "trace.h"

#ifdef AOP_HAVE_URING

/**
 * struct uring_wait - an AOP_URING_WAIT that pends
 * @hook: on the op, unless claimed
 * @op: referenced
 * @cmd: valid until it is completed
 * @ctx: of the command's file
 * @node: in ctx->waits; or out of it, since AOP_URING_UNWAIT came
 * @user_data: of the request, for AOP_URING_UNWAIT
 * @mask: AOP_EV_*
 * @seq: that the caller has seen
 * @ret: of the command, once claimed
 * @claimed: somebody completes it, and nobody else will
 */
struct uring_wait {
	struct aop_hook hook;
	struct aop *op;
	struct io_uring_cmd *cmd;
	struct aop_ctx *ctx;
	struct rb_node node;
	u64 user_data;
	u32 mask;
	u32 seq;
	s32 ret;
	bool claimed;
};

static bool wait_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct uring_wait, node)->user_data <
	       rb_entry(b, struct uring_wait, node)->user_data;
}

static int wait_compare(const void *user_data, const struct rb_node *node)
{
	u64 of_node = rb_entry(node, struct uring_wait, node)->user_data;

	if (*(const u64 *)user_data == of_node)
		return 0;
	return *(const u64 *)user_data < of_node ? -1 : 1;
}

/* ctx->waits_lock is held. */
static void wait_remove(struct uring_wait *w)
{
	if (RB_EMPTY_NODE(&w->node))
		return;
	rb_erase(&w->node, &w->ctx->waits);
	RB_CLEAR_NODE(&w->node);
}

static struct uring_wait **wait_of(struct io_uring_cmd *cmd)
{
	return (struct uring_wait **)cmd->pdu;
}

/* The claimed wait ends.  Not in an interrupt; no lock is held. */
static void complete_wait(struct uring_wait *w, unsigned int issue_flags)
{
	struct aop_ctx *ctx = w->ctx;

	spin_lock(&ctx->waits_lock);
	wait_remove(w);
	spin_unlock(&ctx->waits_lock);
	trace_aop_wait_end(w->op->id, 1, min(w->ret, 0));
	/* The context may be gone after this. */
	io_uring_cmd_done(w->cmd, w->ret, 0, issue_flags);
	aop_put(w->op);
	kfree(w);
}

static void complete_in_task(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	complete_wait(*wait_of(cmd), issue_flags);
}

static void wait_changed(struct aop_run *run, struct aop *op, struct aop_hook *hook, u32 events)
{
	struct uring_wait *w = container_of(hook, struct uring_wait, hook);

	w->ret = aop_level_since(op, w->seq) & w->mask;
	if (!w->ret)
		return;
	aop_unhook_locked(op, hook);
	w->claimed = true;
	io_uring_cmd_complete_in_task(w->cmd, complete_in_task);
}

/*
 * Ends it with -ECANCELED, if nobody ends it yet.  Returns 0 if somebody does, else who
 * completes it: 1, the caller; 2, whoever issues it, since it is not hung yet.
 */
static int claim(struct uring_wait *w)
{
	struct aop *op = w->op;
	unsigned long flags;
	int who = 0;

	spin_lock_irqsave(&op->home->lock, flags);
	if (!w->claimed) {
		w->claimed = true;
		w->ret = -ECANCELED;
		who = 2;
		if (!hlist_unhashed(&w->hook.node)) {
			aop_unhook_locked(op, &w->hook);
			who = 1;
		}
	}
	spin_unlock_irqrestore(&op->home->lock, flags);
	return who;
}

/* The ring or the task goes.  Only commands that pend and are not done come here. */
static void uring_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct uring_wait *w = *wait_of(cmd);

	if (claim(w) == 1)
		complete_wait(w, issue_flags);
}

/* Hangs the hook.  Returns whether the wait pends now; else it is claimed. */
static bool hang(struct uring_wait *w)
{
	struct aop *op = w->op;
	unsigned long flags;
	bool hung = false;

	spin_lock_irqsave(&op->home->lock, flags);
	if (!w->claimed) {
		w->ret = aop_level_since(op, w->seq) & w->mask;
		if (!w->ret)
			w->ret = aop_hook_locked(op, &w->hook);
		hung = !w->ret;
		w->claimed = !hung;
	}
	spin_unlock_irqrestore(&op->home->lock, flags);
	return hung;
}

static struct aop *find_op(struct aop_ctx *ctx, u64 handle)
{
	struct aop_link *link;
	struct aop *op;

	aop_table_lock(ctx);
	link = ctx->dead ? ERR_PTR(-EIO) : aop_link_find(ctx, handle);
	if (IS_ERR(link))
		op = ERR_CAST(link);
	else if (!(link->rights & AOP_SEES))
		op = ERR_PTR(-EPERM);
	else
		op = aop_get(link->op);
	aop_table_unlock(ctx);
	return op;
}

static int uring_wait(struct aop_ctx *ctx, struct io_uring_cmd *cmd,
		      const struct aop_uring_wait *arg, u64 user_data, unsigned int issue_flags)
{
	struct uring_wait *w;
	struct aop *op;
	u32 events;

	if (!arg->mask || arg->mask & ~AOP_EV_ALL)
		return -EINVAL;
	op = find_op(ctx, arg->handle);
	if (IS_ERR(op))
		return PTR_ERR(op);
	events = aop_peek_since(op, arg->seq) & arg->mask;
	if (events) {
		aop_put(op);
		return events;
	}
	w = kzalloc(sizeof(*w), AOP_GFP);
	if (!w) {
		aop_put(op);
		return -ENOMEM;
	}
	w->hook.func = wait_changed;
	w->hook.user = ctx->home->user;
	w->op = op;
	w->cmd = cmd;
	w->ctx = ctx;
	w->user_data = user_data;
	w->mask = arg->mask;
	w->seq = arg->seq;
	*wait_of(cmd) = w;
	trace_aop_wait_begin(op->id, 1, 1, AOP_FOREVER_NS);
	spin_lock(&ctx->waits_lock);
	rb_add(&w->node, &ctx->waits, wait_before);
	spin_unlock(&ctx->waits_lock);
	/* Before the hook: once that hangs, the command may be gone at any moment. */
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	if (!hang(w))
		complete_wait(w, issue_flags);
	return -EIOCBQUEUED;
}

/* All with that user_data, in no order.  Each leaves the tree, so each is seen once. */
static int uring_unwait(struct aop_ctx *ctx, const struct aop_uring_unwait *arg)
{
	struct rb_node *node;
	struct uring_wait *w;
	int nr = 0, who;

	if (arg->pad)
		return -EINVAL;
	do {
		spin_lock(&ctx->waits_lock);
		node = rb_find(&arg->user_data, &ctx->waits, wait_compare);
		if (node) {
			w = rb_entry(node, struct uring_wait, node);
			wait_remove(w);
			who = claim(w);
			nr += !!who;
			if (who == 1)
				io_uring_cmd_complete_in_task(w->cmd, complete_in_task);
		}
		spin_unlock(&ctx->waits_lock);
		cond_resched();
		/* Others may begin some as fast as these are ended. */
	} while (node && !fatal_signal_pending(current));
	return nr ?: -ENOENT;
}

typedef int batch_fn(struct aop_ctx *ctx, void __user *entries, u32 size, u32 nr, u32 *done);

static int uring_batch(struct aop_ctx *ctx, const struct aop_uring_batch *arg, size_t min,
		       batch_fn *fn)
{
	void __user *entries = u64_to_user_ptr(arg->entries);
	u32 done = 0;
	int ret;

	if (arg->nr > AOP_MAX_ENTRIES || arg->entry_size < min)
		return -EINVAL;
	if (arg->entry_size > PAGE_SIZE)
		return -E2BIG;
	if (!access_ok(entries, (size_t)arg->nr * arg->entry_size))
		return -EFAULT;
	aop_table_lock(ctx);
	ret = ctx->dead ? -EIO : fn(ctx, entries, arg->entry_size, arg->nr, &done);
	aop_table_unlock(ctx);
	return done ?: ret;
}

/*
 * What is in the request, fetched once: io_uring issues it from the ring itself, and copies
 * it only when it has to be issued again, so user space may write there meanwhile.
 */
union command {
	struct aop_uring_wait wait;
	struct aop_uring_batch batch;
	struct aop_uring_unwait unwait;
	u64 words[2];
};

static int fetch(const struct io_uring_cmd *cmd, unsigned int issue_flags, union command *c,
		 u64 *user_data)
{
	const struct io_uring_sqe *sqe = cmd->sqe;
	const u64 *words = io_uring_sqe_cmd(sqe);

	c->words[0] = READ_ONCE(words[0]);
	c->words[1] = READ_ONCE(words[1]);
	*user_data = READ_ONCE(sqe->user_data);
	if (cmd->flags & IORING_URING_CMD_FIXED || READ_ONCE(sqe->addr) || READ_ONCE(sqe->len) ||
	    READ_ONCE(sqe->buf_index) || READ_ONCE(sqe->splice_fd_in))
		return -EINVAL;
	/* The second half of a large one. */
	if (issue_flags & IO_URING_F_SQE128 && memchr_inv(sqe + 1, 0, sizeof(*sqe)))
		return -EINVAL;
	return 0;
}

/**
 * aop_uring_cmd() - ->uring_cmd of a context
 * @cmd: from io_uring; of this context's file
 * @issue_flags: passed on
 *
 * Context: process; may sleep.  With IO_URING_F_CANCEL also a kernel thread, for the
 * process that has gone.
 * Return: the answer, see aop(4), or -EIOCBQUEUED.
 */
int aop_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct aop_ctx *ctx = cmd->file->private_data;
	union command c;
	u64 user_data;
	int ret;

	if (issue_flags & IO_URING_F_CANCEL) {
		uring_cancel(cmd, issue_flags);
		return 0;
	}
	if (current->mm != ctx->mm)
		return -EIO;
	/* Pairs with the release in setup(). */
	if (!smp_load_acquire(&ctx->nr_slots))
		return -EINVAL;
	ret = fetch(cmd, issue_flags, &c, &user_data);
	if (ret)
		return ret;
	switch (cmd->cmd_op) {
	case AOP_URING_WAIT:
		return uring_wait(ctx, cmd, &c.wait, user_data, issue_flags);
	case AOP_URING_SIGNAL:
		return uring_batch(ctx, &c.batch, sizeof(struct aop_signal_entry),
				   aop_signal_batch);
	case AOP_URING_CANCEL:
		return uring_batch(ctx, &c.batch, sizeof(struct aop_cancel_entry),
				   aop_cancel_batch);
	case AOP_URING_UNWAIT:
		return uring_unwait(ctx, &c.unwait);
	default:
		return -ENOTTY;
	}
}

#endif /* AOP_HAVE_URING */
