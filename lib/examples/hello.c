// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One thread, one op: drive it, look at it, be called back by it.
 */
#include <stdio.h>
#include <aop.h>

static void changed(struct aop_watch *w, const struct aop_status *st)
{
	printf("%s: %s, %llu of %llu\n", (char *)w->data, aop_state_name(st->state),
	       (unsigned long long)st->done, (unsigned long long)st->total);
}

int main(void)
{
	struct aop op;
	struct aop_watch watch;
	struct aop_owner *owner;

	aop_init(&op, AOP_PRIVATE);		/* one thread: no atomics, no locks */
	aop_watch(&op, &watch, changed, "hello", AOP_INLINE);

	owner = aop_owner(&op);			/* what drives takes only this */
	aop_progress(owner, 1, 2);
	aop_done(owner, 42);			/* ends it, and lets go */
	return aop_join(&op) == 42 ? 0 : 1;
}
