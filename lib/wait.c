// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * wait.c - blocking until ops have come so far
 *
 * Look, spin a little, sleep in the scope, look again.  What is looked at is the
 * inline status, so nothing is ever said that the caller could not see.
 *
 * Spinning pays only where the other side runs at the same time, and soon: not on one
 * processor, no longer than it helped this thread lately, and hardly ever when it did not.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "local.h"
#include "shared.h"

#define SPIN_MAX	1000	/* looks, with a pause of 40 to 140 cycles each */
#define SPIN_PAUSE	1023	/* waits, at the most, until it is tried once more */

static size_t count(struct op *const *ops, size_t n, size_t need, const struct goal *g)
{
	size_t i, have = 0;

	for (i = 0; i < n && have < need; i++)
		have += reached(ops[i], g);
	return have;
}

/* Of the machine: a thread that is bound to one may well wait for another one's. */
static int processors(void)
{
	static _Atomic int known;
	int n = atomic_load_explicit(&known, memory_order_relaxed);

	if (likely(n))
		return n;
	n = sysconf(_SC_NPROCESSORS_CONF);
	n = n < 1 ? 2 : n;
	atomic_store_explicit(&known, n, memory_order_relaxed);
	return n;
}

static inline void pause_(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/* What spinning brought this thread lately. */
static TLS struct {
	int32_t looks;			/* that it took when it helped, about; 0: it did not */
	uint16_t pause, left;		/* waits without it: last time, from now on */
} spun = { .looks = SPIN_MAX / 4 };

static bool spin(struct op *const *ops, size_t n, size_t need, const struct goal *g)
{
	const bool trial = !spun.looks;
	int32_t i, max;

	if (processors() == 1 || n > ON_STACK || is_private(*ops))
		return false;
	if (spun.left) {
		spun.left--;
		return false;
	}
	/* Two that sleep and wake each other begin to look again only if one looks long. */
	max = 2 * spun.looks + 10;
	if (trial || max > SPIN_MAX)
		max = SPIN_MAX;
	for (i = 0; i < max; i++) {
		pause_();
		if (count(ops, n, need, g) == need) {
			spun.looks = trial ? i + 1 : spun.looks + (i + 8 - spun.looks) / 8;
			spun.pause = 0;
			return true;
		}
	}
	spun.looks -= (spun.looks + 7) / 8;
	if (trial)
		spun.pause = 2 * spun.pause + 1 < SPIN_PAUSE ? 2 * spun.pause + 1 : SPIN_PAUSE;
	spun.left = spun.pause;
	return false;
}

/* Can both be waited for in one call of their scope? */
static bool alike(const struct op *a, const struct op *b)
{
	if (a->scope != &scope_shared)
		return b->scope != &scope_shared;
	return b->scope == &scope_shared && a->ctx == b->ctx;
}

/* Sleep until need of the n ops are there, or -ETIME; early: the caller looks again. */
static int sleep_for(struct op *const *ops, size_t n, size_t need, const struct goal *g,
		     int64_t deadline)
{
	struct op *first = NULL;
	int64_t until;
	size_t i;
	int ret;

	for (i = 0; i < n; i++) {
		if (reached(ops[i], g))
			continue;
		if (!first)
			first = ops[i];
		else if (!alike(first, ops[i]))
			break;
	}
	if (!first)
		return 0;
	if (likely(i == n))
		return scope_of(first)->wait(ops, n, need, g, deadline);
	cork_submit_all();
	until = inproc_until(ops, n, deadline);
	ret = mixed_wait(ops, n, g, until);
	if (ret == -ETIME && until != deadline) {
		inproc_expire(ops, n);
		return 0;
	}
	return ret;
}

/* 0, or -ETIME, or what went wrong. */
static int wait_for(struct op *const *ops, size_t n, size_t need, const struct goal *g,
		    int64_t t)
{
	int64_t deadline;
	int ret;

	if (likely(!cork_has_calls())) {
		if (count(ops, n, need, g) == need)
			return 0;
		if (inproc_expire(ops, n) && count(ops, n, need, g) == need)
			return 0;
		if (t == AOP_NOWAIT)
			return -ETIME;
		if (spin(ops, n, need, g))
			return 0;
	} else if (t == AOP_NOWAIT || count(ops, n, need, g) == need) {
		/* What is corked goes out with the wait, or without one. */
		cork_submit_all();
		inproc_expire(ops, n);
		return count(ops, n, need, g) == need ? 0 : -ETIME;
	}
	deadline = deadline_of(t);
	for (;;) {
		ret = sleep_for(ops, n, need, g, deadline);
		if (unlikely(ret && ret != -ETIME))
			return ret;
		if (count(ops, n, need, g) == need)
			return 0;
		if (ret)
			return ret;
	}
}

/**
 * aop_wait() - wait until an op is final
 * @op: an op
 * @t: AOP_NOWAIT, AOP_FOREVER, nanoseconds, or aop_until() a time
 *
 * Returns at once when it is; otherwise looks for some microseconds at the most,
 * and then blocks: a private op's thread until the op's deadline or the end of @t, since
 * it cannot be driven meanwhile; run a loop instead.  Signals that are handled do not
 * end it.  What this thread has corked is submitted, that of the same context in the
 * same system call.  Any thread, any number of them.  Final is not over: a deadline or a
 * cancel may have ended it while its owner still uses buffers of the caller's.
 *
 * Return: 0; -ETIME: not within @t; -EDEADLK: the op is private, and has no deadline, so
 * that nobody could end it while its thread sleeps for ever.  In shared scope also
 * -EMFILE: too many wait for this op already (AOP_MAX_LINKS); -EPERM: this handle may
 * not look; -ENOMEM.
 */
int aop_wait(struct aop *op, int64_t t)
{
	const struct goal g = GOAL_FINAL;
	struct op *o = to_op(op);

	return wait_for(&o, 1, 1, &g, t);
}

/**
 * aop_wait_change() - wait until an op is not as it was
 * @op: an op
 * @seq: in: the sequence number that the caller has seen, at first 0; out: the newest
 * @t: AOP_NOWAIT, AOP_FOREVER, nanoseconds, or aop_until() a time
 *
 * Returns at once if the op has changed since, or is final.  Otherwise like aop_wait().
 *
 * Return: as aop_wait().
 */
int aop_wait_change(struct aop *op, uint32_t *seq, int64_t t)
{
	const struct goal g = GOAL_CHANGE(*seq);
	struct op *o = to_op(op);
	int ret = wait_for(&o, 1, 1, &g, t);

	if (!ret)
		*seq = aop_status(op).seq;
	return ret;
}

/**
 * aop_get() - wait until an op is final, and say how it ended
 * @op: an op
 * @t: AOP_NOWAIT, AOP_FOREVER, nanoseconds, or aop_until() a time
 *
 * Return: as aop_result(); or as aop_wait() when it is not 0.
 */
int64_t aop_get(struct aop *op, int64_t t)
{
	int ret = aop_wait(op, t);

	return ret ? ret : aop_result(op);
}

/**
 * aop_join() - wait until an op is over, drop it, and say how it ended
 * @op: an op whose watchers' side the caller holds alone; his again afterwards
 *
 * Blocks without a limit; not for an op that was created final, which is over from the
 * start.  Otherwise like aop_wait().
 *
 * Return: as aop_result().  An errno of aop_wait() means that it could not wait, and
 * has dropped nothing: aop_is_over() tells.
 */
int64_t aop_join(struct aop *op)
{
	const struct goal g = GOAL_OVER;
	struct op *o = to_op(op);
	int64_t result;
	int ret;

	ret = wait_for(&o, 1, 1, &g, AOP_FOREVER);
	if (ret)
		return ret;
	result = aop_result(op);
	ret = aop_drop(op);
	return ret < 0 ? ret : result;
}

/**
 * aop_wait_any() - wait until one of many ops is final
 * @ops: the ops
 * @n: how many; at most AOP_MAX_ENTRIES shared ones that are not final
 * @t: AOP_NOWAIT, AOP_FOREVER, nanoseconds, or aop_until() a time
 *
 * One system call, and one wake, for any number of one context, and of this process.
 * Where contexts and scopes are mixed it works too, but takes some system calls for
 * each op, and a wake for each that becomes final.  Otherwise like aop_wait().
 *
 * Return: the index of the first in the array that is final; or as aop_wait();
 * -EINVAL: @n is 0; -E2BIG: too many; -EMFILE, -ENFILE: mixed, and no descriptor is
 * left.
 */
int aop_wait_any(struct aop *const *ops, size_t n, int64_t t)
{
	int ret = aop_wait_some(ops, n, 1, t);
	size_t i;

	if (ret < 0)
		return ret;
	for (i = 0; !aop_is_final(ops[i]); i++)
		;
	return i;
}

/**
 * aop_wait_all() - wait until all of many ops are final
 * @ops: the ops, of any scope
 * @n: how many
 * @t: AOP_NOWAIT, AOP_FOREVER, nanoseconds, or aop_until() a time
 *
 * One system call, and one wake, for each context and each AOP_MAX_ENTRIES.
 * Otherwise like aop_wait().
 *
 * Return: 0; or as aop_wait().
 */
int aop_wait_all(struct aop *const *ops, size_t n, int64_t t)
{
	const struct goal g = GOAL_FINAL;
	struct op *const *o = (struct op *const *)ops;
	size_t i, end;
	int ret;

	if (t > 0)
		t = aop_until(deadline_of(t));
	for (i = 0; i < n; i = end) {
		/* As many in turn as can be waited for at once. */
		for (end = i + 1; end < n && end - i < AOP_MAX_ENTRIES; end++)
			if (!alike(o[end], o[i]))
				break;
		ret = wait_for(o + i, end - i, end - i, &g, t);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * aop_wait_some() - wait until k of many ops are final
 * @ops: the ops
 * @n: how many; at most AOP_MAX_ENTRIES shared ones that are not final
 * @k: how many of them to wait for
 * @t: AOP_NOWAIT, AOP_FOREVER, nanoseconds, or aop_until() a time
 *
 * Otherwise like aop_wait_any().
 *
 * Return: how many are final, @k or more; or as aop_wait_any(); -EINVAL also when @k is
 * more than @n.
 */
int aop_wait_some(struct aop *const *ops, size_t n, size_t k, int64_t t)
{
	const struct goal g = GOAL_FINAL;
	int ret;

	if (!n || k > n || n > INT32_MAX)
		return -EINVAL;
	ret = k ? wait_for((struct op *const *)ops, n, k, &g, t) : 0;
	return ret ? ret : (int)count((struct op *const *)ops, n, n, &g);
}

/**
 * aop_wait_asked() - sleep, until there is a reason to stop
 * @o: the owner
 * @t: AOP_NOWAIT, AOP_FOREVER, nanoseconds, or aop_until() a time
 *
 * What an owner calls instead of sleep().  Blocks; otherwise like aop_wait().
 *
 * Return: 0: the time is over; negative: as aop_asked(), or an errno of aop_wait().
 */
int aop_wait_asked(struct aop_owner *o, int64_t t)
{
	const struct goal g = GOAL_ASKED;
	struct op *op = owner_op(o);
	int ret;

	if (unlikely(!o))
		return -EPERM;
	ret = wait_for(&op, 1, 1, &g, t);
	if (ret)
		return ret == -ETIME ? 0 : ret;
	return aop_asked(o);
}
