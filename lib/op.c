// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * op.c - beginning, driving, cancelling and letting go of an op, in any scope
 *
 * What is the same everywhere is done here: arguments are checked, and options
 * read.  The rest is the scope's.
 */
#define AOP_NO_INLINE

#include <errno.h>
#include <string.h>

#include "opts.h"
#include "private.h"
#include "shared.h"

#define MAX_ERRNO	4095

static bool is_error(int64_t e)
{
	return e < 0 && e >= -MAX_ERRNO;
}

/**
 * aop_init() - begin an op, PENDING
 * @op: memory of the caller's, uninitialised, that stays where it is until dropped
 * @where: the scope: AOP_PRIVATE, AOP_LOCAL, or an opened context
 *
 * The struct has both sides: aop_owner() gives the owner's, all other calls are the
 * watcher's.  The same as aop_init_with() without options.
 *
 * Return: see aop_init_with().
 */
int aop_init(struct aop *op, struct aop_ctx *where)
{
	if (likely(where == AOP_PRIVATE))
		inproc_begin(to_op(op), ASSERTS ? &scope_private : NULL);
	else if (where == AOP_LOCAL)
		inproc_begin(to_op(op), &scope_local);
	else if (where)
		return shared_init(to_op(op), where, NULL);
	else
		return op_ended(to_op(op), -EINVAL);
	return 0;
}

static int check_opts(const struct aop_opts *o)
{
	if (o->flags & ~(AOP_TIMED | AOP_DETACHED))
		return -EINVAL;
	if (o->state <= AOP_RUNNING)
		return o->result ? -EINVAL : 0;
	switch (o->state) {
	case AOP_DONE:
		return 0;
	case AOP_FAILED:
		return is_error(o->result) ? 0 : -EINVAL;
	case AOP_CANCELLED:
		return o->result < 0 && o->result >= INT32_MIN ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

/**
 * aop_init_with() - begin an op, with options
 * @op: memory of the caller's, uninitialised, that stays where it is until dropped
 * @where: the scope: AOP_PRIVATE, for this thread alone; AOP_LOCAL, for the threads of
 *	this process; or an opened context, for other processes too
 * @o: @o->size is sizeof(struct aop_opts), as AOP_OPTS() does it; read only during
 *	the call (shared scope copies the label)
 *
 * With an error the op is FAILED with that error, and all calls on it are safe; so
 * a program may look at the result only where it waits.  In shared scope one system
 * call, none when corked (then the op reads as PENDING until it is submitted).  Does
 * not block.  Any thread; not a signal handler.
 *
 * In process the label must outlive the op, times are taken with AOP_TIMED only, and a
 * deadline is kept by @o->loop on its thread (which a private op shares with it); if
 * that is NULL it takes effect at the next call on the op, or the next wait for it.
 *
 * With a final @o->state the op is over from the start, and nobody has to drive it; its
 * owner's side is there all the same, and is let go of as usual, by any call that ends it
 * (which answers -EALREADY) or aop_let_go().
 *
 * Return: 0; -EINVAL: @where is NULL, or an option is wrong; -E2BIG: options of a
 * newer library; -ENAMETOOLONG: the label has AOP_LABEL_SIZE bytes or more; -ENOSPC:
 * the context has no free slot; -EDQUOT: the user has too many; -ENOMEM; -EIO: the
 * context is another process's.
 */
int aop_init_with(struct aop *op, struct aop_ctx *where, const struct aop_opts *o)
{
	struct aop_opts copy;
	int ret = 0;

	if (!o)
		return aop_init(op, where);
	if (unlikely(o->size != sizeof(*o))) {
		ret = opts_copy(&copy, sizeof(copy), o);
		o = &copy;
	}
	if (likely(!ret))
		ret = check_opts(o);
	if (unlikely(ret))
		return op_ended(to_op(op), ret);
	if (where > AOP_LOCAL)
		ret = shared_init(to_op(op), where, o);
	else
		ret = where ? inproc_init(to_op(op), where, o) : op_ended(to_op(op), -EINVAL);
	if (unlikely(ret))
		to_op(op)->release = o->release;
	return ret;
}

/**
 * aop_owner() - the right to drive an op
 * @op: an op
 *
 * The same memory under another type: what drives takes only that.  There is one
 * owner of an op, so one thread at a time drives; it may hand the pointer on.  Does
 * not block; any thread.
 *
 * Return: the owner's side; NULL if this struct has it not, or no more.
 */
struct aop_owner *aop_owner(struct aop *op)
{
	struct op *o = to_op(op);

	if (unlikely(o->pending)) {
		if (o->pending == OP_NO_OWNER)
			return NULL;
		cork_need(o);
	}
	if (o->scope == &scope_local ? !local_has_owner(o) :
	    !(atomic_load_explicit(&o->sides, memory_order_acquire) & SIDE_OWNER))
		return NULL;
	return (struct aop_owner *)op;
}

/* ---- driving ---------------------------------------------------------------- */

/*
 * All of these: in shared scope one system call, none when corked (aop_start()
 * excepted).  They do not block, and take no lock that a callback could hold; in shared
 * scope a signal handler may make them too, unless its thread has corked or set
 * aop_on_asked().  In process they call back what watches inline, and a signal handler
 * may make them only for an op that its thread does not use meanwhile.  One thread at a
 * time for one owner.
 *
 * After the call that ended it the pointer is dead.  Using it nevertheless answers -EPERM
 * as long as the memory is still that op; a library built with -DAOP_ASSERT aborts.
 */

static int drive(struct aop_owner *o, uint32_t what, int64_t value, uint64_t total)
{
	if (unlikely(!o))
		return -EPERM;
	return scope_of(owner_op(o))->signal(owner_op(o), what, value, total);
}

/**
 * aop_start() - accept an op: PENDING to RUNNING
 * @o: the owner
 *
 * Before this returned 0 the owner touches nothing of those who wait, since until
 * then a cancel ends the op, and its buffers are theirs again.
 *
 * Return: 0; -EALREADY: it is final already, by a cancel or its deadline: the owner
 * has let go and forgets the pointer; -EINVAL: it runs already; -EPERM: @o is NULL.
 */
int aop_start(struct aop_owner *o)
{
	if (likely(o) && is_quick(owner_op(o)) && quick_start(owner_op(o)))
		return 0;
	return drive(o, AOP_SIGNAL_START, 0, 0);
}

/**
 * aop_progress() - tell how far it is
 * @o: the owner
 * @done: so far
 * @total: at the end; 0: not known
 *
 * Return: 0; -EALREADY: it is final already, by its deadline or a cancel (the owner
 * still has to end it); -EPERM: @o is NULL.
 */
int aop_progress(struct aop_owner *o, uint64_t done, uint64_t total)
{
	if (unlikely(done > INT64_MAX))
		return -EINVAL;
	return drive(o, AOP_SIGNAL_PROGRESS, done, total);
}

/**
 * aop_done() - end an op well, and let go
 * @o: the owner; dead afterwards
 * @result: for the watchers
 *
 * When the watchers' side of the same struct was dropped before, release() is called
 * from here.
 *
 * Return: 0; -EALREADY: somebody else ended it first (a cancel, the deadline), and
 * his end stands; -EPERM: @o is NULL.
 */
int aop_done(struct aop_owner *o, int64_t result)
{
	if (likely(o) && likely(is_quick(owner_op(o)))) {
		quick_done(owner_op(o), result);
		return 0;
	}
	return drive(o, AOP_SIGNAL_DONE, result, 0);
}

/**
 * aop_fail() - end an op with an error, and let go
 * @o: the owner; dead afterwards, except for -EINVAL
 * @error: -1 to -4095
 *
 * Return: as aop_done(); -EINVAL: @error is none, and nothing happened.
 */
int aop_fail(struct aop_owner *o, int error)
{
	if (unlikely(!is_error(error)))
		return -EINVAL;
	return drive(o, AOP_SIGNAL_FAIL, error, 0);
}

/**
 * aop_cancelled() - end an op because that was asked for, and let go
 * @o: the owner; dead afterwards, except for -EINVAL
 * @reason: negative; 0: the one that was asked with (nobody asked: -ECANCELED)
 *
 * Return: as aop_done(); -EINVAL: @reason is positive, and nothing happened.
 */
int aop_cancelled(struct aop_owner *o, int reason)
{
	if (unlikely(reason > 0))
		return -EINVAL;
	return drive(o, AOP_SIGNAL_CANCELLED, reason, 0);
}

int op_end_as(const struct aop_owner *o, int64_t result)
{
	int asked;

	if (result >= 0)
		return AOP_SIGNAL_DONE;
	asked = o ? aop_asked(o) : 0;
	if (asked && (result == asked || result == -ECANCELED))
		return AOP_SIGNAL_CANCELLED;
	return is_error(result) ? AOP_SIGNAL_FAIL : -EINVAL;
}

/**
 * aop_end() - end an op by one number, and let go
 * @o: the owner; dead afterwards, except for -EINVAL
 * @result: what aop_result() shall say: 0 or more is DONE.  A negative one is
 *	CANCELLED if a cancel was asked for and it is that reason or -ECANCELED,
 *	else FAILED
 *
 * Return: as aop_fail().
 */
int aop_end(struct aop_owner *o, int64_t result)
{
	int what;

	if (result >= 0)
		return aop_done(o, result);
	what = op_end_as(o, result);
	return what < 0 ? what : drive(o, what, result, 0);
}

/**
 * aop_let_go() - let go without an end
 * @o: the owner; dead afterwards
 *
 * An op that is not final becomes FAILED, -EOWNERDEAD, by the system.
 *
 * Return: 0; -EPERM: @o is NULL.
 */
int aop_let_go(struct aop_owner *o)
{
	return drive(o, AOP_SIGNAL_LET_GO, 0, 0);
}

/**
 * aop_asked() - is there a reason to stop?
 * @o: the owner
 *
 * No system call, never blocks; any thread that may use @o, signal handlers too.
 *
 * Return: 0: go on; otherwise negative: the reason that a cancel was asked with; or
 * what the system ended the op with (-ETIMEDOUT: its deadline); or -EPIPE: nobody
 * watches any more (and it is not AOP_DETACHED).
 */
int aop_asked(const struct aop_owner *o)
{
	struct aop_status s;

	if (unlikely(!o))
		return -EPERM;
	s.word = aop_word_(to_aop(owner_op(o)));
	if (likely(s.state < AOP_DONE && !(s.flags & (AOP_F_ASKED | AOP_F_ORPHAN))))
		return 0;
	s = aop_status(to_aop(owner_op(o)));
	return status_asked(&s);
}

/* ---- cancelling, holding, letting go ------------------------------------------ */

/**
 * aop_cancel() - ask an op's owner to stop
 * @op: an op
 * @reason: negative, given to the owner; 0: -ECANCELED
 *
 * A request changes no state and calls nothing back, unless nobody had accepted the
 * op.  It may be made again, and races with the end as it likes: afterwards the op
 * may end in any way.  One system call in shared scope; does not block.  Any thread that holds @op.
 *
 * Return: AOP_ASKED: the owner has been told; AOP_STOPPED: nobody had accepted it,
 * and it is CANCELLED; AOP_TOO_LATE: it was final.  -EINVAL: @reason is positive;
 * -EPERM: this handle may not; -EIO: the context is another process's.
 */
int aop_cancel(struct aop *op, int reason)
{
	if (unlikely(reason > 0))
		return -EINVAL;
	return scope_of(to_op(op))->cancel(to_op(op), reason);
}

/**
 * aop_hold() - one more watcher of the same struct
 * @op: an op whose watchers' side the caller holds
 *
 * Then aop_drop() must be called once more.  No system call; any thread.
 *
 * Return: @op.
 */
struct aop *aop_hold(struct aop *op)
{
	_Atomic uint32_t *sides = &to_op(op)->sides;

	if (scope_of(to_op(op)) == &scope_private)
		atomic_store_explicit(sides, atomic_load_explicit(sides, memory_order_relaxed) +
				      SIDE_WATCHER, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(sides, SIDE_WATCHER, memory_order_relaxed);
	return op;
}

/**
 * aop_drop() - a watcher lets go
 * @op: an op; not touched afterwards by a caller who was answered 0
 *
 * The last one unwatches what aop_watch() and aop_then() added, waiting for a
 * callback that runs on another thread, and gives up the handle.  The op goes on; an
 * op that nobody watches any more, in no process, tells its owner so.  One system
 * call, none when corked; what callbacks drop of ops that are final, in one.  Not
 * for signal handlers.
 *
 * Return: 1: this struct is the caller's again (release() has been called if there
 * is one); 0: others hold it, or the owner's side is in use, and release() will
 * tell; -EINVAL: the caller holds no watcher's side of it.
 */
int aop_drop(struct aop *op)
{
	return scope_of(to_op(op))->drop(to_op(op));
}
