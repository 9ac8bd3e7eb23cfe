// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * watch.c - being called back, in any scope
 */
#define AOP_NO_INLINE

#include <errno.h>

#include "private.h"

int watch_add(struct op *op, struct aop_watch *watch, enum watch_kind kind,
	      aop_watch_fn *fn, void *data, struct aop_exec *where)
{
	struct watch *w = to_watch(watch);

	w->op = op;
	w->data = data;
	w->fn = fn;
	w->exec = where;
	w->home = NULL;
	w->queue = NULL;
	w->seq = 0;
	w->kind = kind;
	w->attached = 0;
	w->queued = 0;
	w->pad = 0;
	if (unlikely(!op || !fn))
		return -EINVAL;
	if (unlikely(where && exec_foreign(where)))
		return -EIO;
	return scope_of(op)->watch(op, w);
}

/**
 * aop_watch() - be called back for changes of an op
 * @op: an op
 * @w: memory of the caller's, untouched while the watch is attached
 * @fn: what to call
 * @data: for @fn to find as w->data
 * @where: AOP_INLINE, or an executor, which runs @fn
 *
 * In shared scope AOP_INLINE means whoever calls aop_ctx_dispatch(); changes that come
 * before @fn is called are seen as one, the newest, in the copy that it is given.
 * The final status is always told, once; before that call the watch is detached, so
 * that @fn may free it and the op.  An op that is final already is told from here
 * (AOP_INLINE) or by the executor.
 *
 * In process AOP_INLINE means the thread that makes the change, which calls @fn once for
 * each, with the status of then.  Changes that come while @fn runs (it makes some
 * itself, or another thread does) are told when it returns, as one.  Do not read the
 * status that @fn is given after it has dropped the op.
 *
 * Calls of one watch never overlap.  No lock is held meanwhile: @fn may make every
 * call on any op.  One system call the first time that a handle is watched for
 * progress, or for anything when this process created it; else none.  Does not
 * block.  Any thread; not a signal handler.
 *
 * Return: 0; -EINVAL: @fn is NULL; -EIO: the context, or the executor, was made before the
 * fork that made this process; -ENOMEM: a fork
 * could not be provided for (local scope, the first watch of a process).  With an
 * error nothing is attached, and aop_unwatch() is harmless.
 */
int aop_watch(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
	      struct aop_exec *where)
{
	return watch_add(to_op(op), w, WATCH_CHANGES, fn, data, where);
}

/**
 * aop_then() - be called back once, when an op is over
 * @op: an op
 * @w: memory of the caller's, untouched while the watch is attached
 * @fn: what to call
 * @data: for @fn to find as w->data
 * @where: AOP_INLINE, or an executor, which runs @fn
 *
 * As aop_watch(), but only for OVER: final, and the owner no longer uses buffers of
 * the caller's.  The watch is detached before @fn is called.
 *
 * Return: as aop_watch().
 */
int aop_then(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
	     struct aop_exec *where)
{
	return watch_add(to_op(op), w, WATCH_OVER, fn, data, where);
}

/**
 * aop_on_asked() - be called back when there is a reason to stop
 * @o: the owner
 * @w: memory of the caller's, untouched while the watch is attached
 * @fn: what to call
 * @data: for @fn to find as w->data
 * @where: AOP_INLINE, or an executor, which runs @fn
 *
 * Whenever aop_asked() has a new answer other than 0; at once if it has one now.  The
 * calls that end the op detach the watch without waiting: where @fn runs on another
 * thread, aop_unwatch() before giving its memory back.
 *
 * Return: as aop_watch(); -EPERM: @o is NULL, or has let go.
 */
int aop_on_asked(struct aop_owner *o, struct aop_watch *w, aop_watch_fn *fn, void *data,
		 struct aop_exec *where)
{
	int ret = watch_add(owner_op(o), w, WATCH_ASKED, fn, data, where);

	return !o ? -EPERM : ret;
}

/**
 * aop_unwatch() - be called back no more
 * @w: a watch that was added once, and may have been detached since
 *
 * Afterwards its callback does not run and @w is the caller's.  Waits for a callback
 * that runs on another thread, never for the one that it is called from; two
 * callbacks that unwatch each other wait for ever.  No system call but to sleep.  Any
 * thread; not a signal handler; not after aop_ctx_close() has begun.
 */
void aop_unwatch(struct aop_watch *w)
{
	struct watch *watch = to_watch(w);

	if (is_quick_watch(watch))
		private_settle(watch->op);
	if (watch->home)
		watch->home->scope->unwatch(watch, true);
}

/**
 * aop_try_unwatch() - be called back no more, without waiting
 * @w: a watch that was added once, and may have been detached since
 *
 * Return: 0: as after aop_unwatch(); -EBUSY: its callback runs just now on another
 * thread.  No further call will begin; @w is the caller's when a later try says 0.
 */
int aop_try_unwatch(struct aop_watch *w)
{
	struct watch *watch = to_watch(w);

	if (is_quick_watch(watch))
		private_settle(watch->op);
	return watch->home ? watch->home->scope->unwatch(watch, false) : 0;
}
