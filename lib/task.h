/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * task.h - what task.c, each.c and dump.c know of tasks
 */
#ifndef AOP_TASK_INTERNAL_H
#define AOP_TASK_INTERNAL_H

#include "loop.h"

/* What is left to do of a task. */
enum task_stage {
	STAGE_POLL,
	STAGE_CHILDREN,			/* poll has returned: wait for the children */
	STAGE_CLEANUP,
	STAGE_END,			/* publish how it ended */
};

#define TASK_QUEUED	0x01u		/* work is in a queue of the loop's */
#define TASK_POLLED	0x02u		/* has been, some time */
#define TASK_WAITING	0x04u		/* waker is attached to what it awaits */
#define TASK_ASKED	0x08u		/* a cancel has come, */
#define TASK_SENT	0x10u		/* and was sent on to what it awaits */
#define TASK_DROPPED	0x20u		/* by the loop: not polled any more */

struct task {
	struct aop op;
	struct aop_loop *loop;
	struct aop *awaits;
	uint32_t line, flags;
	aop_poll_fn *poll, *cleanup;
	const char *name;
	struct aop_watch waker, asked;
	/* from here on the loop's thread only, but for post and posted */
	struct aop_work work;
	struct aop_work post;		/* spawned, or woken, by another thread */
	struct task *parent, *children;
	struct task *next, **prev;	/* of the parent's children, or the loop's */
	int64_t result;
	int64_t since;
	uint64_t polls;
	uint8_t state;			/* TASK_* */
	uint8_t stage;
	_Atomic uint8_t posted;
};

_Static_assert(sizeof(struct task) <= sizeof(struct aop_task), "struct task");
_Static_assert(offsetof(struct task, work) == offsetof(struct aop_task, priv), "struct task");

static inline struct task *to_task(const struct aop_task *t)
{
	return (struct task *)t;
}

static inline struct aop_task *to_aop_task(const struct task *t)
{
	return (struct aop_task *)t;
}

/* A loop's tasks. */
struct tasks {
	struct task *first;		/* those without a parent */
	struct task *current;		/* runs now */
	uint32_t nr;
	bool closing;
	uint64_t spawned, ended, polls, wakes;
};

_Static_assert(sizeof(struct tasks) <= sizeof(((struct loop_tasks *)0)->words), "struct tasks");

static inline struct tasks *tasks_of(struct aop_loop *l)
{
	return (struct tasks *)l->tasks.words;
}

/* Where a callback on op that must run in the loop's thread runs. */
static inline struct aop_exec *task_exec(struct aop_loop *l, const struct aop *op)
{
	return is_private(to_op(op)) ? AOP_INLINE : aop_loop_exec(l);
}

#endif /* AOP_TASK_INTERNAL_H */
