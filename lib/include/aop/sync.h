/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aop/sync.h - mutex and semaphore whose waiting is an op; part of <aop.h>
 *
 * They park the task, not the thread, as a stream does (<aop/stream.h>), which is the
 * bounded queue.  Who waits stands in a line, first come first served, with a struct
 * aop_waiter of his own; cancelling or dropping its op takes him out of the line.  Scopes:
 * AOP_PRIVATE, AOP_LOCAL.  The try_ calls, and those that give back, never wait; in local
 * scope they are for any thread.
 */
#ifndef AOP_SYNC_H
#define AOP_SYNC_H

#include <aop.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* A place in a line. */
struct aop_waiter {
	struct aop op;
	struct aop_watch asked;		/* the line's */
	uint64_t priv[6];
};
#if UINTPTR_MAX > UINT32_MAX
AOP_SIZE(struct aop_waiter, 176 + sizeof(struct aop_watch));
#endif

struct aop_sem { uint64_t priv[4]; };
struct aop_mutex { struct aop_sem sem; };

/* --- mutex: result 0, locked ---------------------------------------------- */

int  aop_mutex_init(struct aop_mutex *m, struct aop_ctx *where);
struct aop *aop_mutex_lock(struct aop_mutex *m, struct aop_waiter *w);
int  aop_mutex_try_lock(struct aop_mutex *m) AOP_CHECK;		/* -EAGAIN */
int  aop_mutex_unlock(struct aop_mutex *m);			/* -EPERM: is not locked */

/* --- semaphore: result 0, taken -------------------------------------------- */

int  aop_sem_init(struct aop_sem *s, struct aop_ctx *where, uint32_t n);
struct aop *aop_sem_take(struct aop_sem *s, struct aop_waiter *w, uint32_t n);
int  aop_sem_try_take(struct aop_sem *s, uint32_t n) AOP_CHECK;	/* -EAGAIN */
int  aop_sem_give(struct aop_sem *s, uint32_t n);		/* -EOVERFLOW */

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif /* AOP_SYNC_H */
