// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * members.c - groups that this process decides: members of any scopes
 *
 * The group drives its own op.  It has an inline watch on each member, that is called
 * once, when the member is final, and one on its own op, that is called when it is
 * asked to stop or abandoned.  Rules are those of the kernel's groups, kmod/group.c.
 *
 * The group is over when it watches nothing any more: `attached` counts the members
 * that have not called and were not unwatched, and those who walk over the members
 * just now.  Whoever makes it 0 ends the op, and touches nothing afterwards.
 *
 * A member is there until its callback has returned: its watcher may drop or join it
 * as he likes, and then waits for that.  Who cancels a member from another thread pins
 * it, and the member's callback waits until that is done.  Nobody waits for a callback.
 *
 * The lock protects struct group, and `called` of the members; it is not taken when
 * the group is private.  No lock is held while a member or the group's op is touched.
 */
#include <errno.h>
#include <string.h>

#include "inproc.h"
#include "members.h"

struct group {
	struct op op;
	struct watch asked;
	struct lock lock;
	uint32_t flags, nr, need;
	uint32_t counted, missed, cancelled;
	uint32_t pending;		/* members that are not final */
	uint32_t attached;
	_Atomic uint32_t pinned;	/* index + 1 of the member that is being asked */
	bool local, made, decided, asked_once;
	bool asking, ending, system;
	uint8_t state;			/* to end in; decided */
	int64_t result;
	const void *asker;		/* the thread that is asking */
	struct aop_member *members;
};

_Static_assert(sizeof(struct group) <= sizeof(struct aop_group), "struct group");

#define PIN_SLEEPER	0x80000000u	/* pinned: its callback sleeps until it is not */

/*
 * Has it called, or is it watched no more?  In a word of its watch that only watches
 * with an executor use.
 */
static uint8_t *called(struct aop_member *m)
{
	return &to_watch(&m->w)->queued;
}

static void group_lock(struct group *g)
{
	if (g->local)
		lock_take(&g->lock);
	else if (ASSERTS)
		assert_that(g->op.thread == self(),
			    "a private group's member ends on another thread: its private members should be local (AOP_ANY_THREAD)");
}

static void group_unlock(struct group *g)
{
	if (g->local)
		lock_drop(&g->lock);
}

static void decide(struct group *g, const struct aop_status *st, int64_t result)
{
	g->decided = 1;
	g->state = st ? st->state : AOP_DONE;
	g->system = st && st->flags & AOP_F_SYSTEM;
	g->result = st ? st->result : result;
}

static void count(struct group *g, uint32_t i, const struct aop_status *st)
{
	bool done = st->state == AOP_DONE;

	g->pending--;
	if (st->state == AOP_CANCELLED)
		g->cancelled++;
	if (done || !(g->flags & AOP_ONLY_DONE))
		g->counted++;
	else
		g->missed++;
	if (g->decided)
		return;
	if (!done && g->flags & AOP_FAIL_FAST)
		decide(g, st, 0);
	else if (g->counted == g->need)
		decide(g, NULL, g->flags & AOP_GROUP_WHICH ? i : g->counted);
	else if (g->missed > g->nr - g->need)
		decide(g, st, 0);
}

/* Nothing is watched any more.  Afterwards the group may be gone. */
static void end_op(struct group *g)
{
	struct aop_owner *o = (struct aop_owner *)&g->op;
	struct aop_status s = aop_status(to_aop(&g->op));

	if (!g->decided)			/* abandoned */
		aop_let_go(o);
	else if (s.flags & AOP_F_ASKED && g->cancelled)
		aop_cancelled(o, 0);
	else if (g->state == AOP_DONE)
		aop_done(o, g->result);
	else if (g->state == AOP_CANCELLED)
		aop_cancelled(o, g->result);
	else if (g->system)
		g->op.scope->signal(&g->op, DO_FAIL_BY_SYSTEM, g->result, 0);
	else
		aop_fail(o, g->result);
}

/* The lock is held, and dropped; so is one of attached.  The group may be gone then. */
static void leave(struct group *g)
{
	bool last = !--g->attached && g->ending;

	group_unlock(g);
	if (last)
		end_op(g);
}

/* Watch m no more; one that calls just now will find that the group is ending. */
static void leave_member(struct group *g, struct aop_member *m)
{
	if (*called(m) || aop_try_unwatch(&m->w))
		return;
	*called(m) = 1;
	g->attached--;
}

/*
 * Ask all that are not final to stop.  The lock is held, and dropped meanwhile; the
 * caller has one of attached.  Who asks meanwhile adds nothing: each is asked once.
 */
static void ask_members(struct group *g)
{
	struct aop_status s;
	uint32_t i;

	if (g->asking)
		return;
	g->asking = true;
	g->asker = self();
	s = aop_status(to_aop(&g->op));
	for (i = 0; i < g->nr; i++) {
		if (*called(&g->members[i]))
			continue;
		atomic_store_explicit(&g->pinned, i + 1, memory_order_relaxed);
		group_unlock(g);
		aop_cancel(g->members[i].op, s.reason);
		group_lock(g);
		/* First the word, then the wake: he may be about to sleep. */
		if (atomic_exchange_explicit(&g->pinned, 0, memory_order_relaxed) & PIN_SLEEPER)
			futex_wake(&g->pinned, INT32_MAX);
		if (g->ending)
			leave_member(g, &g->members[i]);
	}
	g->asking = false;
}

static void leave_members(struct group *g)
{
	uint32_t pinned = atomic_load_explicit(&g->pinned, memory_order_relaxed) & ~PIN_SLEEPER;
	uint32_t i;

	g->ending = true;
	/* Whoever has pinned one leaves it himself, when he is done with it. */
	for (i = 0; i < g->nr; i++)
		if (i + 1 != pinned)
			leave_member(g, &g->members[i]);
}

/* Go on as far as it can, and leave.  The lock is held, and dropped. */
static void go_on(struct group *g)
{
	if (g->made && g->decided && !g->ending) {
		if (!(g->flags & AOP_CANCEL_REST) || !g->pending) {
			leave_members(g);
		} else if (!g->asked_once) {
			g->asked_once = true;
			ask_members(g);
			if (!g->pending && !g->ending)
				leave_members(g);
		}
	}
	leave(g);
}

/* Until nobody else touches the member.  The lock is held, and dropped meanwhile. */
static void wait_for_pin(struct group *g, uint32_t i)
{
	uint32_t pinned;

	while (g->asker != self()) {
		pinned = atomic_load_explicit(&g->pinned, memory_order_relaxed);
		if ((pinned & ~PIN_SLEEPER) != i + 1)
			return;
		pinned |= PIN_SLEEPER;
		atomic_store_explicit(&g->pinned, pinned, memory_order_relaxed);
		group_unlock(g);
		futex_wait(&g->pinned, pinned);
		group_lock(g);
	}
}

static void member_final(struct aop_watch *w, const struct aop_status *st)
{
	struct aop_member *m = container_of(w, struct aop_member, w);
	struct group *g = w->data;
	uint32_t i = m - g->members;

	group_lock(g);
	if (unlikely(atomic_load_explicit(&g->pinned, memory_order_relaxed)))
		wait_for_pin(g, i);
	*called(m) = 1;
	count(g, i, st);
	go_on(g);
}

static void group_asked(struct aop_watch *w, const struct aop_status *st)
{
	struct group *g = w->data;

	group_lock(g);
	if (!g->attached) {		/* another thread was the last one, and ends it */
		group_unlock(g);
		return;
	}
	g->attached++;
	if (st->flags & AOP_F_ASKED) {
		ask_members(g);
		go_on(g);
		return;
	}
	if (!g->ending)			/* abandoned */
		leave_members(g);
	leave(g);
}

void members_group(struct aop_group *group, struct aop_member *m, struct op *const *ops, size_t n,
		   size_t need, uint32_t flags, struct aop_ctx *where)
{
	struct group *g = (struct group *)group;
	struct aop_status s = { .state = AOP_FAILED };
	int ret = 0;
	size_t i;

	memset(g, 0, sizeof(*g));
	inproc_init(&g->op, where, NULL);
	g->op.own.state = AOP_RUNNING;
	g->op.pending = OP_NO_OWNER;
	g->flags = flags;
	g->nr = n;
	g->need = need;
	g->pending = n;
	g->attached = n + 1;
	g->local = where == AOP_LOCAL;
	g->members = m;
	watch_add(&g->op, (struct aop_watch *)&g->asked, WATCH_ASKED, group_asked, g, NULL);
	for (i = 0; i < n; i++) {
		m[i].op = to_aop(ops[i]);
		if (!ret)
			ret = watch_add(ops[i], &m[i].w, WATCH_FINAL, member_final, g, NULL);
		if (!ret)
			continue;
		/* It could not be watched: nor will those behind it be. */
		group_lock(g);
		*called(&m[i]) = 1;
		g->attached--;
		s.flags = AOP_F_SYSTEM;
		s.result = ret;
		if (!g->decided)
			decide(g, &s, 0);
		g->flags &= ~AOP_CANCEL_REST;
		group_unlock(g);
	}
	group_lock(g);
	g->made = true;
	go_on(g);
}
