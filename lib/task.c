// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * task.c - tasks: spawn, wake, await, cancel, end
 *
 * A task lives on one loop, and only the loop's thread touches it; what others do (spawn
 * and wake tasks that are for any thread, end what a task awaits, cancel it) comes
 * through the loop's posts and its executor.  So there are no locks here, and no atomics
 * but task->posted, which says that task->post is on its way.
 *
 * A task goes through its stages in step(), called from the loop's queues and nowhere
 * else: so nothing of a task runs inside spawn, wake or cancel, and a task never ends
 * while somebody walks the tree.  Being queued is one bit: wakes coalesce, one that comes
 * while the task runs queues it again, and the queue's order is the order of the wakes.
 *
 * The op is RUNNING from the start, so a cancel is a request, and the end is ours: first
 * the children are over, then cleanup has run, then the final state is published.  Of a
 * task that nobody watches nothing is touched once cleanup has returned, since it may
 * have freed it; so it is taken out of everything before that call, and put back if
 * cleanup wants to await something.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "task.h"

#define SPAWN_FLAGS	(AOP_DETACHED | AOP_LAZY | AOP_IDLE | AOP_CHILD | AOP_ANY_THREAD)

/* What comes from another thread to a task that is not for any thread. */
static void wrong_thread(const char *call, const struct task *t)
{
#ifdef AOP_ASSERT
	fprintf(stderr,
		"libaop: %s() of task %s in another thread than its loop's: spawn it with AOP_ANY_THREAD, or aop_loop_post()\n",
		call, t && t->name ? t->name : "?");
	abort();
#else
	(void)call;
	(void)t;
#endif
}

/* ---- queues, and the tree ------------------------------------------------------- */

static void enqueue(struct task *t)
{
	struct tasks *ts = tasks_of(t->loop);
	enum loop_queue q = LOOP_MAIN;

	if (t->state & TASK_QUEUED)
		return;
	t->state |= TASK_QUEUED;
	ts->wakes++;
	if (unlikely(t->flags & (AOP_LAZY | AOP_IDLE)) && !ts->closing)
		q = t->flags & AOP_IDLE ? LOOP_IDLE : LOOP_LAZY;
	loop_queue(t->loop, &t->work, q);
}

static void link_task(struct task *t)
{
	struct tasks *ts = tasks_of(t->loop);
	struct task **head = t->parent ? &t->parent->children : &ts->first;

	t->next = *head;
	if (t->next)
		t->next->prev = &t->next;
	t->prev = head;
	*head = t;
	ts->nr++;
	loop_hold(t->loop);
}

static void unlink_task(struct task *t)
{
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
	tasks_of(t->loop)->nr--;
	loop_unhold(t->loop);
}

/* ---- stages --------------------------------------------------------------------- */

static int64_t call(struct task *t, aop_poll_fn *fn)
{
	struct tasks *ts = tasks_of(t->loop);
	struct task *before = ts->current;
	int64_t ret;

	/*
	 * Woken by something else.  What it awaits may be seen to be over, and may be
	 * another op by the time that its waker would run.
	 */
	if (unlikely(t->state & TASK_WAITING)) {
		aop_unwatch(&t->waker);
		t->state &= ~TASK_WAITING;
	}
	ts->current = t;
	ts->polls++;
	t->polls++;
	ret = fn(to_aop_task(t));
	ts->current = before;
	return ret;
}

/* Returns whether it has come to its end. */
static bool poll_task(struct task *t)
{
	if (unlikely(t->state & TASK_DROPPED)) {
		/* Until then buffers of the task's may be in use. */
		if (t->state & TASK_WAITING)
			return false;
		t->result = -ECANCELED;
	} else if (unlikely((t->state & (TASK_ASKED | TASK_POLLED)) == TASK_ASKED)) {
		t->result = aop_asked(aop_owner(&t->op));
	} else {
		t->state |= TASK_POLLED;
		t->result = call(t, t->poll);
		if (t->result == AOP_MORE)
			return false;
	}
	if (unlikely(t->state & TASK_WAITING))
		aop_unwatch(&t->waker);
	t->state &= ~TASK_WAITING;
	t->line = 0;
	t->awaits = NULL;
	return true;
}

/* The loop, or another thread, is going to look at it once more. */
static bool in_use(struct task *t)
{
	/* Pairs with task_posted(), and with the loop's handing over of posts. */
	return t->state & TASK_QUEUED ||
	       atomic_load_explicit(&t->posted, memory_order_acquire);
}

/* Nobody has a watcher's side: then nobody can get one any more, either. */
static bool is_detached(struct task *t)
{
	struct op *op = to_op(&t->op);

	if (op->scope == &scope_local)
		return local_is_dropped(op);
	return atomic_load_explicit(&op->sides, memory_order_relaxed) < SIDE_WATCHER;
}

/* One task less; its memory may be gone. */
static void gone(struct aop_loop *l, struct task *parent)
{
	tasks_of(l)->ended++;
	if (parent && !parent->children && parent->stage == STAGE_CHILDREN)
		enqueue(parent);
}

/* Returns whether t is still there, and cleaned up. */
static bool clean_up(struct task *t)
{
	struct aop_loop *l = t->loop;
	struct task *parent = t->parent;

	if (!is_detached(t))
		return !t->cleanup || call(t, t->cleanup) != AOP_MORE;
	unlink_task(t);
	if (t->cleanup && call(t, t->cleanup) == AOP_MORE)
		link_task(t);
	else
		gone(l, parent);
	return false;
}

static void publish(struct task *t)
{
	struct aop_owner *o = (struct aop_owner *)&t->op;

	unlink_task(t);
	gone(t->loop, t->parent);
	/* It must end, and what poll returned may be no errno. */
	if (likely(t->result >= 0))
		aop_done(o, t->result);
	else if (aop_end(o, t->result) == -EINVAL)
		aop_fail(o, -EINVAL);
}

static void step(struct task *t)
{
	switch (t->stage) {
	case STAGE_POLL:
		if (!poll_task(t))
			return;
		t->stage = STAGE_CHILDREN;
		__attribute__((fallthrough));
	case STAGE_CHILDREN:
		if (t->children)
			return;
		/* One that is on its way from another thread must not come later. */
		if (unlikely(t->flags & AOP_ANY_THREAD))
			aop_unwatch(&t->asked);
		t->stage = STAGE_CLEANUP;
		__attribute__((fallthrough));
	case STAGE_CLEANUP:
		if (in_use(t) || !clean_up(t))
			return;
		t->stage = STAGE_END;
		__attribute__((fallthrough));
	case STAGE_END:
		if (!in_use(t))
			publish(t);
	}
}

static void task_run(struct aop_work *w)
{
	struct task *t = container_of(w, struct task, work);

	t->state &= ~TASK_QUEUED;
	step(t);
}

/* ---- cancelling ------------------------------------------------------------------ */

/* Once; what comes after that, as cleaning up, is awaited in peace. */
static void send_cancel(struct task *t, int reason)
{
	if (t->state & TASK_SENT || t->stage != STAGE_POLL)
		return;
	if (t->state & TASK_WAITING) {
		t->state |= TASK_SENT;
		aop_cancel(t->awaits, reason);
	} else {
		enqueue(t);		/* one that is written by hand may look */
	}
}

/* In the loop's thread: a cancel, and nothing else, since the op is detached. */
static void task_asked(struct aop_watch *w, const struct aop_status *st)
{
	struct task *t = w->data, *child;
	int reason = aop_asked(aop_owner(&t->op));

	(void)st;
	t->state |= TASK_ASKED;
	for (child = t->children; child; child = child->next)
		aop_cancel(&child->op, reason);
	send_cancel(t, reason);
}

/* ---- awaiting -------------------------------------------------------------------- */

static void task_woken(struct aop_watch *w, const struct aop_status *st)
{
	struct task *t = w->data;

	(void)st;
	t->state &= ~TASK_WAITING;
	enqueue(t);
}

/*
 * For AOP_AWAIT: have task->awaits wake the task.  Returns whether there is nothing to
 * wait for: it is over, or cannot be waited for, and then is -EINPROGRESS.
 */
bool aop_await_(struct aop_task *task)
{
	struct task *t = to_task(task);

	if (t->state & TASK_WAITING) {
		if (likely(t->waker.op == t->awaits))
			return false;		/* woken for nothing */
		aop_unwatch(&t->waker);
	}
	t->state |= TASK_WAITING;
	t->since = loop_now(t->loop);
	if (unlikely(aop_then(t->awaits, &t->waker, task_woken, t,
			      task_exec(t->loop, t->awaits)))) {
		t->state &= ~TASK_WAITING;
		return true;
	}
	if (unlikely(t->state & TASK_ASKED))
		send_cancel(t, aop_asked(aop_owner(&t->op)));
	return false;
}

/* For AOP_BEGIN: the line is none of its function's. */
void aop_bad_line_(struct aop_task *t)
{
	fprintf(stderr, "libaop: %s: the AOP_AWAIT on line %u is inside a switch\n",
		t->name ? t->name : "?", t->line);
	abort();
}

/**
 * aop_wake() - have a task polled
 * @task: a task that is not over
 *
 * For poll functions that are written by hand: what they wait for calls this.  Only
 * queues the task; wakes that come before it runs are one, one that comes while it
 * runs makes it run again, one for nothing is harmless.  Tasks run in the order of
 * their wakes.
 *
 * Does not block.  The loop's thread; any thread and signal handlers for a task that
 * was spawned with AOP_ANY_THREAD (who wakes one that may be over holds its op).
 */
void aop_wake(struct aop_task *task)
{
	struct task *t = to_task(task);

	if (likely(loop_is_mine(t->loop)))
		enqueue(t);
	else if (!(t->flags & AOP_ANY_THREAD))
		wrong_thread(__func__, t);
	else if (!atomic_exchange_explicit(&t->posted, 1, memory_order_acq_rel))
		aop_loop_post(t->loop, &t->post);
}

/* ---- beginning ------------------------------------------------------------------- */

static void tasks_close(struct aop_loop *l);

static void adopt(struct task *t)
{
	struct tasks *ts = tasks_of(t->loop);

	t->loop->tasks.close = tasks_close;
	t->since = loop_now(t->loop);
	link_task(t);
	ts->spawned++;
	if (unlikely(ts->closing))
		t->state |= TASK_DROPPED;
	enqueue(t);
}

static void task_posted(struct aop_work *w)
{
	struct task *t = container_of(w, struct task, post);

	/*
	 * Who wakes it from now on posts it again.  What those wrote who found 1 is seen by
	 * the poll to come: acquire, hence no plain store.  Pairs with aop_wake(), in_use().
	 */
	atomic_exchange_explicit(&t->posted, 0, memory_order_acq_rel);
	if (unlikely(!t->prev))
		adopt(t);
	else
		enqueue(t);
}

static void drop(struct task *t)
{
	struct task *child;

	t->state |= TASK_DROPPED;
	for (child = t->children; child; child = child->next)
		drop(child);
	send_cancel(t, -ECANCELED);
	enqueue(t);
}

/* Nobody but this thread could end a private op, and this thread is here. */
static bool give_up(struct task *t)
{
	bool any = false;

	for (; t; t = t->next) {
		if (t->children)
			any |= give_up(t->children);
		if (!(t->state & TASK_WAITING) || task_exec(t->loop, t->awaits))
			continue;
		aop_unwatch(&t->waker);
		t->state &= ~TASK_WAITING;
		enqueue(t);
		any = true;
	}
	return any;
}

/* The loop is being closed: cancel what is awaited, clean up, end. */
static void tasks_close(struct aop_loop *l)
{
	struct tasks *ts = tasks_of(l);
	struct task *t;
	int ret = 0;			/* the loop cannot run: inherited by a fork */

	ts->closing = true;
	for (t = ts->first; t; t = t->next)
		drop(t);
	while (ts->first && ret >= 0) {
		while (aop_loop_run(l, AOP_RUN_READY) > 0)
			;
		if (ts->first && !(l->alive == ts->nr && give_up(ts->first)))
			ret = aop_loop_run(l, AOP_RUN_ONCE);
	}
}

/**
 * aop_spawn() - begin a task
 * @l: a loop
 * @task: memory of the caller's, uninitialised (all but what surrounds it), his again
 *	when the op is over
 * @poll: the task: runs until it has to wait, and then returns AOP_MORE; what else it
 *	returns ends the task as aop_end() does (-EINVAL if that is not possible).  AOP_BEGIN
 *	and its like write most of it
 * @cleanup: NULL, or what to run after that, exactly once, also when the task is never
 *	polled since it was cancelled or the loop is closed.  May await in the same way; what
 *	else it returns is ignored
 * @flags: AOP_DETACHED: nobody watches it: the op returned is not the caller's, and
 *	cleanup may free the task; AOP_LAZY, AOP_IDLE: runs when nothing else is queued,
 *	when nothing is ready either; AOP_CHILD: of the task that runs: cancelled with it,
 *	and it is not over before; AOP_ANY_THREAD: its op is of local scope
 *
 * Only queues it: nothing of the task runs inside the call.  The task is over when its
 * children are, and cleanup has run, in that order.
 *
 * A cancel goes, once, to what the task awaits, or to what it awaits next, whose result
 * then usually is the reason; and to its children.  One that is cancelled before it was
 * polled is not polled.  Dropping the op detaches the task: it goes on to its end.
 *
 * Does not block, allocates nothing.  The loop's thread; with AOP_ANY_THREAD any thread,
 * which must know that the loop is not being closed.
 *
 * Return: the op of @task, never NULL.  FAILED, without @cleanup: -EINVAL: something is
 * NULL, @flags are wrong, or AOP_CHILD and no task runs; -EPERM: another thread than the
 * loop's, without AOP_ANY_THREAD or with AOP_CHILD.
 */
struct aop *aop_spawn(struct aop_loop *l, struct aop_task *task, aop_poll_fn *poll,
		      aop_poll_fn *cleanup, unsigned int flags)
{
	const bool any = flags & AOP_ANY_THREAD;
	struct task *t = to_task(task);
	bool mine;

	if (unlikely(!l || !poll || flags & ~SPAWN_FLAGS)) {
		op_ended(to_op(&t->op), -EINVAL);
		return &t->op;
	}
	mine = loop_is_mine(l);
	if (unlikely(!mine && (!any || flags & AOP_CHILD))) {
		wrong_thread(__func__, NULL);
		op_ended(to_op(&t->op), -EPERM);
		return &t->op;
	}
	t->parent = NULL;
	if (flags & AOP_CHILD) {
		t->parent = tasks_of(l)->current;
		if (unlikely(!t->parent)) {
			op_ended(to_op(&t->op), -EINVAL);
			return &t->op;
		}
	}
	aop_init(&t->op, any ? AOP_LOCAL : AOP_PRIVATE);
	to_op(&t->op)->flags |= OP_DETACHED;
	t->op.own.state = AOP_RUNNING;
	t->loop = l;
	t->awaits = NULL;
	t->line = 0;
	t->flags = flags;
	t->poll = poll;
	t->cleanup = cleanup;
	t->name = NULL;
	t->work = (struct aop_work){ .run = task_run };
	t->children = NULL;
	t->prev = NULL;
	t->polls = 0;
	t->state = 0;
	t->stage = STAGE_POLL;
	atomic_store_explicit(&t->posted, !mine, memory_order_relaxed);
	aop_on_asked(aop_owner(&t->op), &t->asked, task_asked, t,
		     any ? aop_loop_exec(l) : AOP_INLINE);
	if (flags & AOP_DETACHED)
		aop_drop(&t->op);
	if (any)
		t->post = (struct aop_work){ .run = task_posted };
	if (likely(mine))
		adopt(t);
	else
		aop_loop_post(l, &t->post);
	return &t->op;
}

/**
 * aop_task_owner() - a task's right to drive itself
 * @task: a task that is not over
 *
 * For aop_progress() and aop_asked(); ending it is the loop's.  The loop's thread.
 *
 * Return: the owner's side of its op.
 */
struct aop_owner *aop_task_owner(struct aop_task *task)
{
	return aop_owner(&task->op);
}

/**
 * aop_task_current() - the task that runs
 * @l: a loop
 *
 * The loop's thread.
 *
 * Return: the task whose poll or cleanup function runs just now; NULL: none.
 */
struct aop_task *aop_task_current(struct aop_loop *l)
{
	struct task *t = loop_is_mine(l) ? tasks_of(l)->current : NULL;

	return t ? to_aop_task(t) : NULL;
}
