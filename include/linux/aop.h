/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The in-kernel side of aop: drivers own operations that user space watches, and
 * watch operations that others own.
 *
 * A driver makes a struct aop_source for each of its clients (an open file, say),
 * and ops from it with aop_create().  What it gets is a struct aop_owner, the one
 * right to drive that op: start, progress, and one of the functions that end it,
 * after which the owner is gone.  The user gets a descriptor or a handle.  Watchers
 * hold counted references on struct aop and can neither drive nor forge it.
 *
 *	->ioctl:	fd = get_unused_fd_flags(O_CLOEXEC);
 *			owner = aop_create(source, &my_ops, transfer, &opts);
 *			file = aop_file_create(aop_owner_op(owner), AOP_MAY_LOOK | AOP_MAY_CANCEL);
 *			queue the transfer
 *			fd_install(fd, file);
 *	interrupt:	aop_done(transfer->owner, bytes);
 *	my_ops.cancel:	stop the transfer if it still runs, then aop_cancelled(owner, 0);
 *	my_ops.release:	kfree(transfer);
 *
 * kmod/samples has two whole drivers.  Every function says from where it may be
 * called.  "Any context" includes hard interrupts, but on PREEMPT_RT only those
 * that are threads there.
 */
#ifndef _LINUX_AOP_H
#define _LINUX_AOP_H

#include <linux/export.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <uapi/linux/aop.h>

struct aop;
struct aop_owner;
struct aop_run;
struct aop_source;
struct aop_user;
struct cred;
struct file;
struct module;

/**
 * struct aop_owner_ops - what a driver is told of an op that it owns
 * @cancel: the driver should stop.  The mask says why: AOP_EV_ASKED, somebody asked
 *	it to cancel; AOP_EV_ORPHAN, nobody looks any more; AOP_EV_FINAL, the op ended
 *	without the driver, by its deadline or cancelled before it was started.  The
 *	driver ends the op, now or later and in whichever way, also a final one: that
 *	lets go of it.  Called in process context by a work item, with no lock of aop
 *	held and the driver's module pinned; never two at a time for one op, but
 *	possibly again when there is another reason.  It may run while another
 *	processor ends the op, so @priv must not go before @release.  May be NULL
 * @release: nothing of aop refers to the owner or to @priv any more, and no cancel
 *	runs.  Called once, by the function that ended the op or, when that came
 *	during a cancel, behind it in the work item: so it must not sleep.  May be NULL
 *
 * Neither is called any more when the module has gone without its ops.
 */
struct aop_owner_ops {
	void (*cancel)(struct aop_owner *owner, void *priv, u32 why);
	void (*release)(void *priv);
};

/**
 * struct aop_create_opts - how an op begins
 * @label: shown to whoever lists ops; copied; shorter than AOP_LABEL_SIZE; or NULL
 * @parent: the id of an op that this one is a part of, or 0; only shown
 * @deadline: when it ends by itself, on CLOCK_MONOTONIC; 0: never
 * @flags: AOP_CREATE_*
 * @mode: who may attach by id, as the bits of a file; 0: nobody
 * @state: AOP_PENDING: a cancel ends it as long as it is not started; or AOP_RUNNING
 */
struct aop_create_opts {
	const char *label;
	u64 parent;
	ktime_t deadline;
	u32 flags;
	u16 mode;
	u16 state;
};

/* ---- owning: source.c, owner.c ------------------------------------------ */

struct aop_source *__aop_source_create(struct module *module, const struct cred *cred);
void aop_source_drain(struct aop_source *source);
void aop_source_destroy(struct aop_source *source);

/**
 * aop_source_create() - a source of ops, of the calling module
 * @cred: whose ops they are: for attach by id, and whose share of the links is
 *	not foreign; usually file->f_cred or current_cred()
 *
 * Context: may sleep.
 * Return: the source, to be given to aop_source_destroy(); ERR_PTR(-ENOMEM).
 */
#define aop_source_create(cred)	__aop_source_create(THIS_MODULE, cred)

struct aop_owner *aop_create(struct aop_source *source, const struct aop_owner_ops *ops,
			     void *priv, const struct aop_create_opts *opts);
struct aop *aop_owner_op(const struct aop_owner *owner);

int aop_start(struct aop_owner *owner);
int aop_progress(struct aop_owner *owner, u64 done, u64 total);
int aop_done(struct aop_owner *owner, s64 result);
int aop_done_at(struct aop_owner *owner, s64 result, ktime_t now);
int aop_fail(struct aop_owner *owner, int error);
int aop_cancelled(struct aop_owner *owner, s32 reason);
void aop_let_go(struct aop_owner *owner);
s32 aop_asked(const struct aop_owner *owner);

/* ---- handing out, taking in: opfd.c, share.c ------------------------------------- */

struct file *aop_file_create(struct aop *op, u32 rights);
int aop_handle_create(int aop_fd, struct aop *op, u32 rights, u32 mask, u64 data, u64 *handle);
void aop_handle_drop(int aop_fd, u64 handle);
struct aop *aop_from_fd(int fd, u32 rights);
struct aop *aop_from_handle(int aop_fd, u64 handle, u32 rights);

/* ---- watching: watch.c --------------------------------------------------- */

/*
 * Private to aop: told of each change of an op, under the lock of its home.
 */
struct aop_hook {
	union {
		struct hlist_node node;		/* on the op, under that lock */
		struct llist_node fired;	/* off it, to be handled after the unlock */
	};
	/* Gets the AOP_EV_* of the change; may remove the hook, may not sleep. */
	void (*func)(struct aop_run *run, struct aop *op, struct aop_hook *hook, u32 events);
	struct aop_user *user;			/* whose share of AOP_MAX_LINKS it takes */
};

struct aop_watch;

/**
 * typedef aop_watch_fn - a watched op has changed
 * @watch: may be given to aop_unwatch() here, and then freed
 * @status: of the op, newer than at the call before; the times are the host's
 *
 * Context: a work item on the watcher's queue; no lock of aop is held.
 */
typedef void aop_watch_fn(struct aop_watch *watch, const struct aop_status *status);

/**
 * struct aop_watch - a callback on an op, in the driver's memory
 *
 * All of it is private, from aop_watch() to aop_unwatch().
 */
struct aop_watch {
	/* private: */
	struct aop *op;
	struct aop_hook hook;
	struct work_struct work;
	struct workqueue_struct *queue;
	aop_watch_fn *func;
	u32 mask;
	u32 seen;
	bool called;
};

struct aop *aop_get(struct aop *op);
void aop_put(struct aop *op);
u64 aop_id(const struct aop *op);
void aop_status(struct aop *op, struct aop_status *status);
int aop_cancel(struct aop *op, s32 reason);
int aop_wait(struct aop *op, u32 mask, ktime_t until);
int aop_watch(struct aop *op, struct aop_watch *watch, u32 mask, aop_watch_fn *func,
	      struct workqueue_struct *queue);
void aop_unwatch(struct aop_watch *watch);

/* ---- the rule of who may wait: signalling.c ------------------------------ */

/*
 * What must run before an op ends must not itself wait for an op, or two drivers
 * wait for each other.  Around all such code (from taking the request to ending its
 * op, the interrupt handler included) a driver says so, and lockdep then complains
 * of every lock that is taken in there and is held around an aop_wait() elsewhere.
 */
#ifdef CONFIG_LOCKDEP
bool aop_begin_signalling(void);
void aop_end_signalling(bool cookie);
#else
static inline bool aop_begin_signalling(void)
{
	return true;
}

static inline void aop_end_signalling(bool cookie)
{
}
#endif

#endif /* _LINUX_AOP_H */
