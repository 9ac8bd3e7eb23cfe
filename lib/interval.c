// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * interval.c - ticks, one each period
 */
#include <errno.h>

#include "loop.h"

struct interval {
	struct timer timer;
	struct aop_loop *loop;
	int64_t next;			/* when the next tick is due */
	int64_t period;
	enum aop_missed missed;
};

_Static_assert(sizeof(struct interval) <= sizeof(struct aop_interval), "struct interval");

/**
 * aop_interval_init() - prepare for ticks
 * @iv: memory of the caller's
 * @l: a loop
 * @t: when the first tick is due: as for aop_sleep()
 * @period: nanoseconds, from one tick to the next
 * @missed: what becomes of ticks that are due before the last one was taken:
 *	AOP_MISSED_BURST: each comes, at once, until all have; AOP_MISSED_SKIP: one comes
 *	for all, and the next one when it would have; AOP_MISSED_DELAY: one comes for all,
 *	and the next one a period later
 *
 * Begins nothing.  The loop's thread.
 *
 * Return: 0; -EINVAL: bad arguments.
 */
int aop_interval_init(struct aop_interval *iv, struct aop_loop *l, int64_t t, int64_t period,
		      enum aop_missed missed)
{
	struct interval *i = (struct interval *)iv;

	if (!l || period <= 0 || t == AOP_FOREVER || (unsigned int)missed > AOP_MISSED_DELAY)
		return -EINVAL;
	i->timer.node.place = 0;
	i->loop = l;
	i->next = loop_deadline_of(l, t);
	i->period = period;
	i->missed = missed;
	return 0;
}

static int64_t later(int64_t t, int64_t by)
{
	return t > INT64_MAX - by ? INT64_MAX : t + by;
}

/**
 * aop_tick() - begin an op that ends with the next tick
 * @iv: from aop_interval_init(); the last tick, if there was one, is over
 *
 * The result is the number of periods that the tick stands for: 1, or more when some
 * were missed and the policy is not AOP_MISSED_BURST.  A cancelled tick is lost.
 * Otherwise like aop_sleep().
 *
 * Return: &@iv->timer.op; the last tick again, when it is not over; FAILED as
 * aop_sleep().
 */
struct aop *aop_tick(struct aop_interval *iv)
{
	struct interval *i = (struct interval *)iv;
	int64_t at = i->next, now, periods = 1;

	if (unlikely(wheel_has(&i->timer.node)))
		return &iv->timer.op;
	now = loop_now(i->loop);
	if (at <= now && i->missed != AOP_MISSED_BURST)
		periods += (now - at) / i->period;
	if (i->missed == AOP_MISSED_DELAY && at <= now)
		i->next = later(now, i->period);
	else
		i->next = later(at, periods * i->period);
	timer_begin(i->loop, &i->timer, at, periods);
	return &iv->timer.op;
}
