/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aop/task.h - tasks: functions that await ops; part of <aop.h>
 *
 * A task is a future: state (the struct around it), a poll function, a cleanup
 * function; and it is an op, so that one waits for it and cancels it.
 *
 *	struct hello {
 *		struct aop_task task;
 *		struct aop_timer timer;
 *		int i;
 *	};
 *
 *	static int64_t hello(struct aop_task *t)
 *	{
 *		struct hello *h = aop_container(t, struct hello, task);
 *		int64_t ret;
 *
 *		AOP_BEGIN(t);
 *		for (h->i = 0; h->i < 3; h->i++) {
 *			AOP_AWAIT(ret, aop_sleep(t->loop, &h->timer, AOP_SEC(1)));
 *			if (ret < 0)
 *				return ret;
 *			puts("hello");
 *		}
 *		AOP_END(0);
 *	}
 *
 *	ret = aop_loop_get(loop, aop_spawn(loop, &h.task, hello, NULL, 0));
 *
 * The macros are a switch on the line, and that is all of the magic.  Its limits:
 *
 * - A local variable does not live across AOP_AWAIT or AOP_YIELD: keep it in the struct
 *   (gcc warns, -Wmaybe-uninitialized).  Set those that are only a shorthand before
 *   AOP_BEGIN, as `h` above.
 * - No AOP_AWAIT inside a switch of your own: it stops with a message when it resumes.
 * - Not two of them on one line: that does not compile.
 * - A variable-length array must not be in scope at one: that does not compile either.
 */
#include <aop.h>		/* which has this one in its place */

#ifndef AOP_TASK_H
#define AOP_TASK_H

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct aop_loop;

struct aop_task {
	struct aop op;
	struct aop_loop *loop;
	struct aop *awaits;
	uint32_t line, flags;		/* where it awaits: shown by tools */
	int64_t (*poll)(struct aop_task *t);
	int64_t (*cleanup)(struct aop_task *t);
	const char *name;		/* AOP_BEGIN: of the function, unless it is set */
	struct aop_watch waker;		/* the loop's, as all below */
	struct aop_watch asked;
	uint64_t priv[14];
};
#if UINTPTR_MAX > UINT32_MAX
AOP_SIZE(struct aop_task, 288 + 2 * sizeof(struct aop_watch));
#endif

typedef int64_t aop_poll_fn(struct aop_task *t);

#define AOP_MORE	INT64_MIN	/* from poll: not finished, will be woken */

/* aop_spawn: beside AOP_DETACHED, which means that the caller drops it at once */
#define AOP_LAZY	0x10		/* runs when nothing else is queued */
#define AOP_IDLE	0x20		/* ... and nothing is ready either; one a turn */
#define AOP_CHILD	0x40		/* of the task that runs: a cancel tree */
/*	AOP_ANY_THREAD	0x80		   others may spawn, watch, cancel, wake it */

struct aop *aop_spawn(struct aop_loop *l, struct aop_task *t, aop_poll_fn *poll,
		      aop_poll_fn *cleanup, unsigned int flags);
void aop_wake(struct aop_task *t);
struct aop_owner *aop_task_owner(struct aop_task *t);	/* progress, asked */
struct aop_task *aop_task_current(struct aop_loop *l);

bool aop_await_(struct aop_task *t);		/* is it over?  if not, arrange */
void aop_bad_line_(struct aop_task *t) __attribute__((noreturn));

#define AOP_BEGIN(task)							\
	struct aop_task *const aop_task_ = (task);			\
									\
	switch (aop_task_->line) {					\
	default:							\
		aop_bad_line_(aop_task_);				\
	case 0:								\
		if (!aop_task_->name)					\
			aop_task_->name = __func__

/*
 * Begin an op, return here when it is over; res is its aop_result().  The op stays the
 * caller's: one in shared scope has to be dropped.
 */
#define AOP_AWAIT(res, begin) do {					\
		aop_task_->awaits = (begin);				\
		aop_task_->line = __LINE__;				\
		__attribute__((fallthrough));				\
	case __LINE__:							\
		if (!aop_is_over(aop_task_->awaits) &&			\
		    !aop_await_(aop_task_))				\
			return AOP_MORE;				\
		(res) = aop_result(aop_task_->awaits);			\
	} while (0)

/* Let the others run. */
#define AOP_YIELD() do {						\
		aop_wake(aop_task_);					\
		aop_task_->line = __LINE__;				\
		return AOP_MORE;					\
	case __LINE__:							\
		break;							\
	} while (0)

#define AOP_END(result)							\
	}								\
	return (result)

#define aop_container(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* --- many at once ------------------------------------------------------- */

/*
 * for_each_concurrent: next() begins one more in slot (0 .. limit - 1), or returns
 * NULL when there are no more; done() (may be NULL) gets each result, and stops it
 * with a negative one.  Never more than limit at once.
 */
struct aop_each {
	struct aop *(*next)(struct aop_each *e, unsigned int slot);
	int (*done)(struct aop_each *e, unsigned int slot, int64_t result);
	struct aop_member *slots;	/* limit of them */
	unsigned int limit, flags;	/* AOP_FAIL_FAST */
	struct aop op;
	struct aop_watch asked;
	uint64_t priv[10];
};

struct aop *aop_for_each(struct aop_loop *l, struct aop_each *e);

/* --- looking in ---------------------------------------------------------- */

enum aop_task_state {
	AOP_TASK_QUEUED,		/* will run */
	AOP_TASK_RUNS,			/* the one that asks */
	AOP_TASK_AWAITS,		/* an op */
	AOP_TASK_SLEEPS,		/* until aop_wake() */
	AOP_TASK_CHILDREN,		/* has returned, its children have not */
	AOP_TASK_CLEANUP,		/* cleans up, and awaits something there */
};

struct aop_task_info {
	const struct aop_task *task;
	const struct aop_task *parent;
	const char *name;		/* or "?" */
	uint32_t line;			/* 0: at the beginning */
	uint32_t depth;			/* of parents */
	enum aop_task_state state;
	uint32_t flags;			/* as spawned */
	uint32_t asked;			/* a cancel was asked for */
	const struct aop *awaits;	/* AOP_TASK_AWAITS, _CLEANUP: what */
	int64_t since;			/* aop_loop_now() when it came into that state */
	uint64_t polls;
};

struct aop_task_stats {
	uint32_t size;			/* in: sizeof */
	uint32_t tasks;			/* now */
	uint64_t spawned, ended;
	uint64_t polls, wakes;
};

/* Parents before children; stops when fn returns other than 0, and returns that. */
int  aop_loop_tasks(struct aop_loop *l,
		    int (*fn)(const struct aop_task_info *info, void *data), void *data);
int  aop_loop_task_stats(struct aop_loop *l, struct aop_task_stats *s);
int  aop_loop_dump(struct aop_loop *l, int fd);		/* as text */

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif /* AOP_TASK_H */
