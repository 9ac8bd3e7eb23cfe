// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * within.c - a time limit around any op
 */
#include <errno.h>

#include "loop.h"

struct within {
	struct aop op;
	struct timer timer;
	struct aop_watch inner_over;
	struct aop_watch asked;
	struct aop_watch time_over;
	struct aop_loop *loop;
	struct aop *inner;
};

_Static_assert(sizeof(struct within) <= sizeof(struct aop_within), "struct within");

/*
 * The inner op is over, and the timer is ended if it is not: then nothing is left that
 * could call us, and the caller gets all of it back.
 */
static void inner_over(struct aop_watch *w, const struct aop_status *st)
{
	struct within *wi = container_of(w, struct within, inner_over);
	int64_t result = st->result;

	aop_unwatch(&wi->time_over);
	if (!aop_is_final(&wi->timer.op))
		aop_cancel(&wi->timer.op, 0);
	wi->loop->alive--;
	if (wi->loop->asked_on)
		aop_unwatch(&wi->asked);
	switch (st->state) {
	case AOP_DONE:
		aop_done((struct aop_owner *)&wi->op, result);
		break;
	case AOP_CANCELLED:
		aop_cancelled((struct aop_owner *)&wi->op, result);
		break;
	default:
		aop_fail((struct aop_owner *)&wi->op, result);
		break;
	}
}

static void time_over(struct aop_watch *w, const struct aop_status *st)
{
	struct within *wi = container_of(w, struct within, time_over);

	if (st->state == AOP_DONE)
		aop_cancel(wi->inner, -ETIMEDOUT);
}

static void within_asked(struct aop_watch *w, const struct aop_status *st)
{
	struct within *wi = container_of(w, struct within, asked);

	(void)st;
	aop_cancel(wi->inner, aop_asked((struct aop_owner *)&wi->op));
}

/**
 * aop_within() - begin an op that ends as another does, in a limited time
 * @l: a loop
 * @wi: memory of the caller's until the op is over
 * @t: as for aop_sleep()
 * @op: the other one, of any scope: as begun, so that calls nest; of another loop only
 *	if it is AOP_LOCAL
 *
 * When the time is over @op is cancelled with -ETIMEDOUT, which usually is how it then
 * ends: CANCELLED, -ETIMEDOUT.  It may have ended in any other way just before.  The op
 * is over when @op is, so that no buffer is in use then.  A cancel is handed on to @op.
 * @op is not dropped.  The loop's thread.
 *
 * Return: &@wi->op; FAILED -EINVAL: @l or @op is NULL; or an errno of aop_then(), and
 * @op goes on.
 */
struct aop *aop_within(struct aop_loop *l, struct aop_within *wi, int64_t t, struct aop *op)
{
	struct within *w = (struct within *)wi;
	int ret;

	if (unlikely(!l || !op)) {
		op_ended(to_op(&wi->op), -EINVAL);
		return &wi->op;
	}
	w->loop = l;
	w->inner = op;
	if (unlikely(!loop_begin(l, &w->op, &w->asked, within_asked)))
		return &wi->op;
	timer_begin(l, &w->timer, loop_deadline_of(l, t), 0);
	aop_then(&w->timer.op, &w->time_over, time_over, NULL, AOP_INLINE);
	/* At once, if it is over already. */
	ret = aop_then(op, &w->inner_over, inner_over, NULL, aop_loop_exec(l));
	if (unlikely(ret < 0)) {
		aop_unwatch(&w->time_over);
		aop_cancel(&w->timer.op, 0);
		l->alive--;
		loop_end(l, &w->op, &w->asked, ret);
	}
	return &wi->op;
}
