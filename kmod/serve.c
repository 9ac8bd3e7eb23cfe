// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_SERVE: answer calls, and take the next ones, in one go; AOP_IOC_MESSAGE.
 *
 * A call that is taken leaves the backlog first, so that nobody else takes it, then
 * what user space is told of it is written, and only when that has worked is it
 * accepted and gets its handle.  What cannot be delivered goes back, as the next one.
 *
 * Sleeping servers are woken one for each call.  Who was woken and takes nothing
 * after all, because of a signal or an error, wakes the next one.
 */
#include <linux/cred.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "batch.h"
#include "compat.h"
#include "link.h"
#include "port.h"
#include "waiting.h"

#define TAKE_CHUNK	16	/* on the stack */

/* ---- answers ----------------------------------------------------------- */

/* What the owner of a call says stays here until that has ended. */
static int put_reply(struct aop_ctx *ctx, struct aop_run *run, const struct aop_answer_entry *e,
		     struct aop_call **found)
{
	u32 what = e->what & ~AOP_SIGNAL_DETACH;
	struct aop_call *call;
	struct aop_link *link;
	int ret = aop_call_find(ctx, e->handle, AOP_MAY_DRIVE, &link, &call);

	if (ret)
		return ret;
	if (what < AOP_SIGNAL_DONE || what > AOP_SIGNAL_CANCELLED)
		return -EINVAL;
	if (e->len > call->room)
		return -EMSGSIZE;
	/* Nobody else has the right to drive while the table is locked. */
	aop_run_unlock(run);
	if (aop_get_bytes(aop_call_reply(call), u64_to_user_ptr(e->message), e->len))
		return -EFAULT;
	aop_run_lock(run, link->op->home);
	*found = call;
	return 0;
}

static int answer_one(struct aop_ctx *ctx, struct aop_run *run, const void *entry)
{
	const struct aop_answer_entry *e = entry;
	struct aop_call *call = NULL;
	int ret;

	BUILD_BUG_ON(offsetof(struct aop_answer_entry, total) !=
		     offsetof(struct aop_signal_entry, total));
	if (e->pad)
		return -EINVAL;
	if (e->len) {
		ret = put_reply(ctx, run, e, &call);
		if (ret)
			return ret;
		/* Before it is final, so that whoever sees that sees this. */
		if (!aop_is_final(call->op))
			call->reply_len = e->len;
		else
			call = NULL;
	}
	ret = aop_signal_one(ctx, run, entry);
	/* Refused: it goes on. */
	if (ret && call)
		call->reply_len = 0;
	return ret;
}

static const struct aop_batch_kind answers = AOP_BATCH_KIND(answer);

static noinline int answer_all(struct aop_ctx *ctx, struct aop_ioc_serve *s)
{
	return aop_entries(ctx, &answers, u64_to_user_ptr(s->answers), s->answer_size,
			   s->nr_answers, &s->answered);
}

/* ---- taking ------------------------------------------------------------ */

/**
 * struct serving - one AOP_IOC_SERVE on its way
 * @ctx: of the calling process
 * @s: from user space, but for what changes
 * @at: where in the buffer the next request goes
 * @back: calls that were taken and went back, while others may have seen none
 * @home: of the last caller that was told of; only compared, while a call of it is held
 * @uid: of that
 * @gid: of that
 * @pid: of that
 */
struct serving {
	struct aop_ctx *ctx;
	struct aop_ioc_serve s;
	u32 at;
	u32 back;
	const struct aop_home *home;
	u32 uid;
	u32 gid;
	s32 pid;
};

struct taken {
	struct aop_call *call;
	struct aop_client *client;
	struct aop_link *link;
	u64 data;
	u32 mask;
};

static int find_port(struct aop_ctx *ctx, u64 handle, struct aop_port **port)
{
	struct aop_link *link;
	int ret = aop_link_get_for(ctx, handle, AOP_MAY_SERVE, &link);

	if (ret)
		return ret;
	*port = aop_port_of(link->op);
	return 0;
}

/* Calls mostly come together. */
static void who_calls(struct serving *sv, const struct aop_home *home)
{
	struct user_namespace *ns = current_user_ns();

	sv->home = home;
	sv->uid = from_kuid_munged(ns, home->cred->euid);
	sv->gid = from_kgid_munged(ns, home->cred->egid);
	sv->pid = pid_vnr(home->pid);
}

/* Writes all that user space gets to know of a call. */
static int tell(struct serving *sv, struct taken *t)
{
	const struct aop_home *home = t->call->op->home;
	struct aop_taken_entry __user *user = u64_to_user_ptr(sv->s.taken) +
					      (size_t)sv->s.count * sv->s.taken_size;
	const struct aop_call *call = t->call;
	u64 deadline = aop_deadline_of(call->op);
	int fd = -1;

	if (!user_read_access_begin(user, sizeof(*user)))
		return -EFAULT;
	unsafe_get_user(t->data, &user->data, unreadable);
	unsafe_get_user(t->mask, &user->mask, unreadable);
	user_read_access_end();
	if (t->mask & ~AOP_EV_ALL)
		return -EINVAL;
	if (call->len && aop_put_bytes(u64_to_user_ptr(sv->s.buffer) + sv->at, call->message,
				       call->len))
		return -EFAULT;
	if (call->file) {
		fd = aop_receive_fd(call->file, O_CLOEXEC);
		if (fd < 0)
			return fd;
	}
	if (home != sv->home)
		who_calls(sv, home);
	if (!user_write_access_begin(user, sizeof(*user)))
		goto close;
	unsafe_put_user(aop_handle(t->link), &user->handle, fault);
	unsafe_put_user(call->op->id, &user->id, fault);
	unsafe_put_user(aop_word_flags(READ_ONCE(call->op->word)), &user->flags, fault);
	unsafe_put_user(deadline ? deadline + sv->ctx->time_offset : 0, &user->deadline, fault);
	unsafe_put_user(sv->at, &user->offset, fault);
	unsafe_put_user(call->len, &user->len, fault);
	unsafe_put_user(call->room, &user->room, fault);
	unsafe_put_user(fd, &user->fd, fault);
	unsafe_put_user(sv->uid, &user->uid, fault);
	unsafe_put_user(sv->gid, &user->gid, fault);
	unsafe_put_user(sv->pid, &user->pid, fault);
	unsafe_put_user(0, &user->pad, fault);
	user_write_access_end();
	sv->at = ALIGN(sv->at + call->len, 8);
	return 0;
unreadable:
	user_read_access_end();
	return -EFAULT;
fault:
	user_write_access_end();
close:
	if (fd >= 0)
		close_fd(fd);
	return -EFAULT;
}

/*
 * Accepts a call, and gives it its handle.  One that has ended meanwhile is handed
 * over just the same, as if it had done so a little later.
 */
static void accept(struct aop_run *run, struct taken *t)
{
	struct aop *op = t->call->op;
	struct aop_link *link = t->link;

	aop_run_lock(run, op->home);
	if (aop_word_state(op->word) == AOP_PENDING)
		aop_start_locked(run, op);
	/* Beyond AOP_MAX_LINKS, if need be: its owner always has a place. */
	link->op = op;
	link->rights = AOP_MAY_DRIVE;
	link->mask = t->mask;
	op->nr_links++;
	hlist_add_head(&link->node, &op->links);
	aop_slot_begin(link, op, t->data);
	if (t->mask & aop_level(op))
		aop_run_queue(run, link);
	if (op->home == link->ctx->home)
		WRITE_ONCE(link->own, true);
}

/* Takes calls out of the backlog.  Returns how many; the reason for none in @err. */
static u32 fetch(struct serving *sv, struct aop_port *port, struct taken *taken, u32 want,
		 int *err)
{
	u32 nr, at = sv->at, size = sv->s.buffer_size;

	*err = 0;
	spin_lock_irq(&port->lock);
	for (nr = 0; nr < want; nr++) {
		struct taken *t = &taken[nr];
		struct aop_call *call = aop_port_take(port, size > at ? size - at : 0, &t->client);

		if (IS_ERR_OR_NULL(call)) {
			*err = PTR_ERR_OR_ZERO(call);
			break;
		}
		t->call = call;
		at = ALIGN(at + call->len, 8);
	}
	spin_unlock_irq(&port->lock);
	return nr;
}

/* Up to a chunk.  Returns how many, or why none was taken. */
static noinline int take_some(struct serving *sv, struct aop_port *port)
{
	struct aop_link *links[TAKE_CHUNK] AOP_UNINIT;
	struct taken taken[TAKE_CHUNK] AOP_UNINIT;
	u32 want = min_t(u32, sv->s.nr - sv->s.count, TAKE_CHUNK);
	struct aop_run run AOP_UNINIT;
	u32 i, got, nr, told;
	int err, why = 0;

	/* Most often there is nothing. */
	if (!READ_ONCE(port->queued) && !READ_ONCE(port->closed))
		return 0;
	want = min(want, max(READ_ONCE(port->queued), 1U));
	got = aop_links_alloc(sv->ctx, links, want, &err);
	if (!got)
		return err;
	nr = fetch(sv, port, taken, got, &err);
	aop_run_begin(&run);
	sv->home = NULL;
	for (told = 0; told < nr; told++) {
		taken[told].link = links[told];
		why = tell(sv, &taken[told]);
		if (why)
			break;
		sv->s.count++;
	}
	for (i = nr; i-- > told; ) {
		struct aop_call *call = taken[i].call;

		sv->back++;
		/* The newest first: the oldest is to be the first again. */
		aop_run_lock(&run, call->op->home);
		aop_port_untake_locked(&run, taken[i].client, call);
	}
	for (i = 0; i < told; i++)
		accept(&run, &taken[i]);
	aop_run_end(&run);
	if (told) {
		spin_lock_irq(&port->lock);
		for (i = 0; i < told; i++)
			aop_port_took(taken[i].client);
		spin_unlock_irq(&port->lock);
	}
	for (i = told; i < got; i++)
		aop_link_free(links[i]);
	return told ? told : why ?: err;
}

/* What went back is told of as if it had just come. */
static noinline void ring_again(struct serving *sv, struct aop_port *port)
{
	struct aop_run run AOP_UNINIT;

	aop_run_begin(&run);
	aop_port_ring(&run, port, sv->back, true);
	aop_run_end(&run);
}

/* All that there are and fit.  The table is locked. */
static int take(struct serving *sv, struct aop_port *port)
{
	int ret;

	if (sv->ctx->dead)
		return -EIO;
	sv->s.count = 0;
	sv->at = 0;
	sv->back = 0;
	do {
		ret = take_some(sv, port);
		cond_resched();
	} while (ret > 0 && sv->s.count < sv->s.nr);
	if (sv->back)
		ring_again(sv, port);
	return sv->s.count ? 0 : ret;
}

/* Sleeps until there is a call to take, or there never will be. */
static int wait_call(struct aop_ctx *ctx, struct aop_port *port, u64 deadline)
{
	DEFINE_WAIT(wait);
	int ret;

	for (;;) {
		/* Pairs with wq_has_sleeper() in aop_port_ring(). */
		prepare_to_wait_exclusive(&port->servers, &wait,
					  TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		ret = 0;
		if (READ_ONCE(port->closed) ||
		    (READ_ONCE(port->queued) &&
		     aop_word_state(READ_ONCE(port->op->word)) != AOP_PENDING))
			break;
		ret = aop_nap(ctx, deadline);
		if (ret)
			break;
	}
	finish_wait(&port->servers, &wait);
	return ret;
}

static int serve(struct serving *sv, void __user *arg)
{
	struct aop_ioc_serve __user *user = arg;
	struct aop_ctx *ctx = sv->ctx;
	struct aop_ioc_serve *s = &sv->s;
	struct aop_port *port = NULL;
	bool looked = false;
	int ret;

	aop_table_lock(ctx);
	ret = ctx->dead ? -EIO : 0;
	if (!ret && s->nr)
		ret = find_port(ctx, s->port, &port);
	if (!ret && s->answered < s->nr_answers) {
		/* Ahead, as in AOP_IOC_WAIT. */
		ret = put_user(s->nr_answers, &user->answered);
		if (!ret)
			ret = answer_all(ctx, s);
		if (s->answered != s->nr_answers)
			put_user(s->answered, &user->answered);
		/* An answer may have given up the port's handle. */
		if (!ret && s->nr)
			ret = find_port(ctx, s->port, &port);
	}
	if (ret || !s->nr) {
		aop_table_unlock(ctx);
		return ret;
	}
	aop_get(port->op);
	for (;;) {
		ret = take(sv, port);
		aop_table_unlock(ctx);
		if (ret || s->count)
			break;
		if (!s->deadline) {
			ret = -ETIME;
			break;
		}
		/* Whom the answers woke may call again before we would sleep. */
		if (!looked)
			cond_resched();
		else
			ret = wait_call(ctx, port, s->deadline);
		looked = true;
		if (ret)
			break;
		aop_table_lock(ctx);
		ret = find_port(ctx, s->port, &port);
		if (ret) {
			aop_table_unlock(ctx);
			break;
		}
	}
	s->left = READ_ONCE(port->queued);
	/* Maybe we were woken for one that we did not take. */
	if (ret && s->left)
		wake_up(&port->servers);
	aop_put(port->op);
	return ret;
}

static int check(const struct aop_ioc_serve *s)
{
	if (s->flags || s->nr > AOP_MAX_ENTRIES || s->nr_answers > AOP_MAX_ENTRIES ||
	    s->answered > s->nr_answers || (!s->nr && s->port))
		return -EINVAL;
	if ((s->nr && s->taken_size < sizeof(struct aop_taken_entry)) ||
	    (s->nr_answers && s->answer_size < sizeof(struct aop_answer_entry)))
		return -EINVAL;
	if ((s->nr && s->taken_size > PAGE_SIZE) || (s->nr_answers && s->answer_size > PAGE_SIZE))
		return -E2BIG;
	if (!access_ok(u64_to_user_ptr(s->taken), (size_t)s->nr * s->taken_size) ||
	    !access_ok(u64_to_user_ptr(s->answers), (size_t)s->nr_answers * s->answer_size) ||
	    !access_ok(u64_to_user_ptr(s->buffer), s->buffer_size))
		return -EFAULT;
	return 0;
}

/**
 * aop_ioctl_serve() - AOP_IOC_SERVE
 * @ctx: of the calling process
 * @arg: struct aop_ioc_serve
 *
 * Context: sleeps, interruptible and freezable, with no lock held.
 * Return: 0; -ETIME when the deadline came first; -ESHUTDOWN when the port has ended;
 * -ERESTARTSYS; -EINVAL, -E2BIG, -EFAULT for the struct and its arrays; -EBADF, -ESTALE,
 * -EPERM for the port, and then nothing was answered; -EMSGSIZE when the next request
 * does not fit; -EMFILE for its descriptor; -ENOSPC, -EDQUOT, -ENOMEM; -EIO when
 * the process has ended.
 */
long aop_ioctl_serve(struct aop_ctx *ctx, void __user *arg)
{
	struct aop_ioc_serve __user *user = arg;
	struct serving sv AOP_UNINIT;
	int ret = aop_copy_struct(&sv.s, sizeof(sv.s), sizeof(sv.s), arg);

	if (ret)
		return ret;
	ret = check(&sv.s);
	if (ret)
		return ret;
	sv.ctx = ctx;
	sv.s.count = 0;
	sv.s.left = 0;
	/* Known before calls are taken: these can be written. */
	if (put_user(0, &user->count) || put_user(0, &user->left))
		return -EFAULT;
	ret = serve(&sv, arg);
	if (put_user(sv.s.count, &user->count) || put_user(sv.s.left, &user->left))
		ret = -EFAULT;
	return ret;
}
