// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * timer.c - ops that end when a time is over
 *
 * All of it is for the loop's thread.  Nothing is allocated, and the cost is the same for
 * any number of timers.
 */
#include <errno.h>

#include "loop.h"

static struct timer *to_timer(struct aop_timer *tm)
{
	return (struct timer *)tm;
}

static void timer_end(struct timer *tm, int64_t result)
{
	struct aop_loop *l = tm->loop;

	l->alive--;
	loop_end(l, &tm->op, &tm->asked, result);
}

static void timer_due(struct wheel_node *n)
{
	struct timer *tm = container_of(n, struct timer, node);

	timer_end(tm, tm->result);
}

static void timer_asked(struct aop_watch *w, const struct aop_status *st)
{
	struct timer *tm = container_of(w, struct timer, asked);
	int reason = aop_asked((struct aop_owner *)&tm->op);

	(void)st;
	if (!wheel_has(&tm->node))
		return;
	loop_timer_del(tm->loop, &tm->node);
	timer_end(tm, reason ? reason : -ECANCELED);
}

void timer_begin(struct aop_loop *l, struct timer *tm, int64_t when, int64_t result)
{
	tm->node.place = 0;
	tm->loop = l;
	tm->result = result;
	if (unlikely(!loop_begin(l, &tm->op, &tm->asked, timer_asked)))
		return;
	tm->node.fn = timer_due;
	loop_timer_add(l, &tm->node, when);
}

void timers_close(struct aop_loop *l)
{
	struct wheel_node *n;
	struct timer *tm;

	while ((n = wheel_any(&l->wheel))) {
		wheel_del(&l->wheel, n);
		assert_that(!alarm_is(n), "a loop is closed that keeps the deadline of an op");
		if (alarm_is(n))
			continue;
		tm = container_of(n, struct timer, node);
		l->alive--;
		if (l->asked_on)
			aop_unwatch(&tm->asked);
		aop_let_go((struct aop_owner *)&tm->op);
	}
}

/**
 * aop_sleep() - begin an op that ends when a time is over
 * @l: a loop
 * @tm: memory of the caller's until the op is over
 * @t: nanoseconds from aop_loop_now(), or aop_until() a time; 0: in the next turn;
 *	AOP_FOREVER: only by a cancel
 *
 * It ends DONE, 0; or CANCELLED, at once, when that is asked for or nobody watches any
 * more.  Timers end in the order of their times, those of one time in the order in which
 * they were begun (if none was moved), and never early.
 *
 * Return: &@tm->op; FAILED -EINVAL: @l is NULL; -ESHUTDOWN: the loop is being closed.
 */
struct aop *aop_sleep(struct aop_loop *l, struct aop_timer *tm, int64_t t)
{
	if (unlikely(!l)) {
		to_timer(tm)->node.place = 0;
		op_ended(to_op(&tm->op), -EINVAL);
		return &tm->op;
	}
	timer_begin(l, to_timer(tm), loop_deadline_of(l, t), 0);
	return &tm->op;
}

/**
 * aop_timer_set() - move a timer
 * @tm: a timer that was begun, and may be over
 * @t: as for aop_sleep()
 *
 * Return: 0; -EALREADY: it has expired, or was cancelled, and nothing happened.
 */
int aop_timer_set(struct aop_timer *tm, int64_t t)
{
	struct timer *timer = to_timer(tm);

	if (unlikely(!wheel_has(&timer->node)))
		return -EALREADY;
	loop_assert_mine(timer->loop, "timers are moved by work that is sent with aop_loop_post()");
	loop_timer_move(timer->loop, &timer->node, loop_deadline_of(timer->loop, t));
	return 0;
}

/**
 * aop_timer_later() - move a timer to a later time
 * @tm: a timer that was begun, and may be over
 * @t: as for aop_sleep()
 *
 * What is put off again and again, as the timeout of a connection: only written down,
 * which is the cheapest that there is.  A time that is not later changes nothing.
 *
 * Return: 0; 1: it is due later than that already; -EALREADY: it has expired, or was
 * cancelled, and nothing happened.
 */
int aop_timer_later(struct aop_timer *tm, int64_t t)
{
	struct timer *timer = to_timer(tm);
	int64_t when;

	if (unlikely(!wheel_has(&timer->node)))
		return -EALREADY;
	loop_assert_mine(timer->loop, "timers are moved by work that is sent with aop_loop_post()");
	when = loop_deadline_of(timer->loop, t);
	if (when < timer->node.when)
		return 1;
	loop_timer_move(timer->loop, &timer->node, when);
	return 0;
}

/**
 * aop_timer_sooner() - move a timer to an earlier time
 * @tm: a timer that was begun, and may be over
 * @t: as for aop_sleep(); a time that is not earlier changes nothing
 *
 * Return: 0; 1: it is due sooner than that already; -EALREADY: it has expired, or was
 * cancelled, and nothing happened.
 */
int aop_timer_sooner(struct aop_timer *tm, int64_t t)
{
	struct timer *timer = to_timer(tm);
	int64_t when;

	if (unlikely(!wheel_has(&timer->node)))
		return -EALREADY;
	loop_assert_mine(timer->loop, "timers are moved by work that is sent with aop_loop_post()");
	when = loop_deadline_of(timer->loop, t);
	if (when > timer->node.when)
		return 1;
	loop_timer_move(timer->loop, &timer->node, when);
	return 0;
}
