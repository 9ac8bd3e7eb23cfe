// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * alarm.c - deadlines of ops of this process, which a loop keeps
 *
 * An op that was given a deadline and a loop may be private, and then all happens in the
 * loop's thread; or it is local, and another thread begins or ends it.  That thread does
 * not touch the wheel: it leaves the alarm in a list, under the lock, and posts the work
 * that puts it into the wheel or takes it out.  What is taken out later than the op ended
 * does no harm, since the alarm knows its op no more.
 *
 * The lock protects `op` and `firing` of local ops' alarms, the list, and the spare
 * alarms; the rest is the loop's thread's.  It is not held while an op is ended: who
 * disarms an alarm that just goes off waits for that on the loop's count of them.
 */
#include <errno.h>
#include <stdlib.h>

#include "loop.h"

struct loop_alarm {
	struct alarm alarm;
	struct wheel_node node;
	struct op *op;			/* NULL: disarmed */
	struct aop_loop *loop;
	struct loop_alarm *next;	/* spare, or left for the loop */
	bool local;
	bool firing;
	bool left;			/* in the list for the loop */
	bool awaited;			/* somebody waits until it has gone off */
};

static void alarm_lock(struct loop_alarm *a)
{
	if (a->local)
		lock_take(&a->loop->alarms.lock);
}

static void alarm_unlock(struct loop_alarm *a)
{
	if (a->local)
		lock_drop(&a->loop->alarms.lock);
}

/* Locked, if it is a local op's. */
static void put_back(struct loop_alarm *a)
{
	struct loop_alarm **spare = &a->loop->alarms.spare[a->local];

	a->next = *spare;
	*spare = a;
}

static void goes_off(struct wheel_node *n)
{
	struct loop_alarm *a = container_of(n, struct loop_alarm, node);
	struct aop_loop *l = a->loop;
	struct op *op;

	alarm_lock(a);
	op = a->op;
	if (op) {
		a->firing = true;
		alarm_unlock(a);
		op_expire(op);		/* who disarms us waits, and so it is still there */
		alarm_lock(a);
		a->firing = false;
		if (a->local) {
			atomic_fetch_add_explicit(&l->alarms.ended, 1, memory_order_relaxed);
			futex_wake(&l->alarms.ended, INT32_MAX);
		}
	}
	/* Else it was disarmed: by a callback, too. */
	if (!a->op && !a->left && !a->awaited)
		put_back(a);
	alarm_unlock(a);
}

/* With the lock held: the loop's thread shall see to it. */
static bool leave(struct loop_alarm *a)
{
	struct loop_alarm **list = &a->loop->alarms.left;

	if (a->left)
		return false;
	a->left = true;
	a->next = *list;
	*list = a;
	return !a->next;
}

static void disarm(struct alarm *alarm)
{
	struct loop_alarm *a = container_of(alarm, struct loop_alarm, alarm);
	struct aop_loop *l = a->loop;
	bool mine = loop_is_mine(l), post = false;
	uint32_t seen;

	alarm_lock(a);
	a->op = NULL;
	if (mine) {
		if (wheel_has(&a->node))
			loop_timer_del(l, &a->node);
		if (!a->firing && !a->left)
			put_back(a);
	} else {
		a->awaited = true;
		while (a->firing) {
			seen = atomic_load_explicit(&l->alarms.ended, memory_order_relaxed);
			lock_drop(&l->alarms.lock);
			futex_wait(&l->alarms.ended, seen);
			lock_take(&l->alarms.lock);
		}
		post = leave(a);
	}
	alarm_unlock(a);
	if (post)
		aop_loop_post(l, &l->alarms.work);
}

static struct alarm *arm(struct keeper *k, struct op *op, int64_t at)
{
	struct aop_loop *l = container_of(k, struct aop_loop, keeper);
	bool local = op->scope == &scope_local, mine = loop_is_mine(l), post = false;
	struct loop_alarm *a;

	if (local)
		lock_take(&l->alarms.lock);
	a = l->alarms.spare[local];
	if (a)
		l->alarms.spare[local] = a->next;
	if (local)
		lock_drop(&l->alarms.lock);
	if (!a)
		a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->alarm.disarm = disarm;
	a->node.fn = goes_off;
	a->node.place = 0;
	a->node.when = at;
	a->op = op;
	a->loop = l;
	a->local = local;
	a->firing = false;
	a->left = false;
	a->awaited = false;
	op->alarm = &a->alarm;
	if (mine) {
		loop_timer_add(l, &a->node, at);
	} else {
		lock_take(&l->alarms.lock);
		post = leave(a);
		lock_drop(&l->alarms.lock);
	}
	if (post)
		aop_loop_post(l, &l->alarms.work);
	return &a->alarm;
}

/* What other threads have left for the loop. */
static void see_to_them(struct aop_work *w)
{
	struct aop_loop *l = container_of(w, struct aop_loop, alarms.work);
	struct loop_alarm *a, *next;

	lock_take(&l->alarms.lock);
	a = l->alarms.left;
	l->alarms.left = NULL;
	for (; a; a = next) {
		next = a->next;
		a->left = false;
		if (a->op) {
			if (!wheel_has(&a->node))
				loop_timer_add(l, &a->node, a->node.when);
			continue;
		}
		if (wheel_has(&a->node))
			loop_timer_del(l, &a->node);
		put_back(a);
	}
	lock_drop(&l->alarms.lock);
}

void alarms_open(struct aop_loop *l)
{
	l->keeper.arm = arm;
	l->alarms.work.run = see_to_them;
}

bool alarm_is(const struct wheel_node *n)
{
	return n->fn == goes_off;
}

static void free_list(struct loop_alarm *a)
{
	struct loop_alarm *next;

	for (; a; a = next) {
		next = a->next;
		free(a);
	}
}

/* No op has a deadline here any more, but for those that misuse it. */
void alarms_close(struct aop_loop *l)
{
	see_to_them(&l->alarms.work);
	free_list(l->alarms.spare[0]);
	free_list(l->alarms.spare[1]);
}
