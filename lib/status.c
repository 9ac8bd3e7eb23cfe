// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * status.c - what can be seen of an op without any call; and the time
 *
 * The header's inline functions are compiled here as well.
 */
#define AOP_API_INLINE

#include <errno.h>
#include <time.h>

#include "internal.h"

int status_asked(const struct aop_status *s)
{
	/* Final, while its owner still drives it: the system has ended it. */
	if (s->state >= AOP_DONE)
		return s->state != AOP_DONE ? (int)s->result : -EALREADY;
	if (s->flags & AOP_F_ASKED)
		return s->reason < 0 ? s->reason : -ECANCELED;
	return s->flags & AOP_F_ORPHAN ? -EPIPE : 0;
}

/**
 * aop_status() - the whole status of an op
 * @op: an op
 *
 * Never torn, always the newest; repeats the look while it is being written, which
 * takes a few instructions.  No system call.  Any thread; in a signal handler
 * aop_try_status() is the one that cannot wait for its own thread.
 *
 * Return: a copy of the status.
 */
struct aop_status aop_status(const struct aop *op)
{
	struct aop_status s;

	while (!aop_try_status(op, &s))
		;
	return s;
}

/**
 * aop_now() - the time that deadlines and statuses are in
 *
 * Any thread, signal handlers too.
 *
 * Return: nanoseconds of CLOCK_MONOTONIC.
 */
int64_t aop_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/**
 * aop_state_name() - a state in a word
 * @s: a state
 *
 * Return: "pending", "running", "done", "failed", "cancelled"; "?" for others.
 */
const char *aop_state_name(enum aop_state s)
{
	static const char *const names[AOP_NR_STATES] = {
		[AOP_PENDING] = "pending",
		[AOP_RUNNING] = "running",
		[AOP_DONE] = "done",
		[AOP_FAILED] = "failed",
		[AOP_CANCELLED] = "cancelled",
	};

	return (unsigned int)s < AOP_NR_STATES ? names[s] : "?";
}
