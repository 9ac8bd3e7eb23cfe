// SPDX-License-Identifier: GPL-2.0
/*
 * The rule that what is needed to end an op must not wait for an op, told to lockdep.
 *
 * The rule is a lock that does not exist.  Whoever waits takes it for writing, and
 * drops it at once; whoever is on the way to ending an op holds it for reading.  So a
 * lock that is held around a wait, and taken on the way to an end, closes a circle
 * that lockdep reports, whether or not the two ever meet.
 *
 * Without lockdep there is nothing of this.
 */
#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/sched.h>

#include "internal.h"
#include "signalling.h"

#ifdef CONFIG_LOCKDEP
static struct lockdep_map aop_signalling_map = {
	.name = "aop_signalling",
};

/**
 * aop_begin_signalling() - from here to aop_end_signalling() an op depends on us
 *
 * Sections nest.  In an interrupt, and where sleeping is impossible anyway, there is
 * nothing to check.
 *
 * Context: any.
 * Return: a cookie for aop_end_signalling().
 */
bool aop_begin_signalling(void)
{
	if (lock_is_held(&aop_signalling_map) || !preemptible())
		return true;
	/* As if tried: what is held already does not wait for this. */
	lock_acquire(&aop_signalling_map, 0, 1, 1, 1, NULL, _RET_IP_);
	return false;
}
EXPORT_SYMBOL_GPL(aop_begin_signalling);

/**
 * aop_end_signalling() - no op depends on us any more
 * @cookie: from aop_begin_signalling()
 *
 * Context: any, the same as at the beginning.
 */
void aop_end_signalling(bool cookie)
{
	if (!cookie)
		lock_release(&aop_signalling_map, _RET_IP_);
}
EXPORT_SYMBOL_GPL(aop_end_signalling);

/**
 * aop_might_wait() - the caller may now wait for an op
 *
 * Context: process, outside of all signalling sections.
 */
void aop_might_wait(void)
{
	lock_acquire(&aop_signalling_map, 0, 0, 0, 1, NULL, _RET_IP_);
	lock_release(&aop_signalling_map, _RET_IP_);
}
#endif
