// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * dump.c - which tasks a loop has, where each of them waits, and for how long
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "task.h"

static enum aop_task_state state_of(const struct task *t)
{
	if (tasks_of(t->loop)->current == t)
		return AOP_TASK_RUNS;
	if (t->state & TASK_QUEUED)
		return AOP_TASK_QUEUED;
	if (t->stage == STAGE_CHILDREN)
		return AOP_TASK_CHILDREN;
	if (t->stage >= STAGE_CLEANUP)
		return AOP_TASK_CLEANUP;
	return t->state & TASK_WAITING ? AOP_TASK_AWAITS : AOP_TASK_SLEEPS;
}

static int walk(struct task *t, uint32_t depth,
		int (*fn)(const struct aop_task_info *info, void *data), void *data)
{
	struct aop_task_info info;
	struct task *next;
	int ret = 0;

	for (; t && !ret; t = next) {
		next = t->next;
		info = (struct aop_task_info){
			.task = to_aop_task(t),
			.parent = t->parent ? to_aop_task(t->parent) : NULL,
			.name = t->name ? t->name : "?",
			.line = t->line,
			.depth = depth,
			.state = state_of(t),
			.flags = t->flags,
			.asked = t->state & TASK_ASKED ? 1 : 0,
			.awaits = t->state & TASK_WAITING ? t->awaits : NULL,
			.since = t->since,
			.polls = t->polls,
		};
		ret = fn(&info, data);
		if (!ret && t->children)
			ret = walk(t->children, depth + 1, fn, data);
	}
	return ret;
}

/**
 * aop_loop_tasks() - look at the tasks of a loop
 * @l: a loop
 * @fn: called for each, parents before their children, the youngest first; must not end
 *	or spawn any
 * @data: for @fn
 *
 * The loop's thread (aop_loop_post() gets there), which may be inside a task.
 *
 * Return: 0; or what @fn returned, if that was not 0: then it was the last; -EINVAL:
 * something is NULL; -EPERM: another thread than the loop's.
 */
int aop_loop_tasks(struct aop_loop *l,
		   int (*fn)(const struct aop_task_info *info, void *data), void *data)
{
	if (!l || !fn)
		return -EINVAL;
	if (!loop_is_mine(l))
		return -EPERM;
	return walk(tasks_of(l)->first, 0, fn, data);
}

/**
 * aop_loop_task_stats() - how many tasks a loop has had
 * @l: a loop
 * @s: out; @s->size is sizeof(struct aop_task_stats)
 *
 * The loop's thread.
 *
 * Return: 0; -EINVAL: @s->size is wrong, or something is NULL.
 */
int aop_loop_task_stats(struct aop_loop *l, struct aop_task_stats *s)
{
	const struct tasks *ts;

	if (!l || !s || s->size != sizeof(*s))
		return -EINVAL;
	ts = tasks_of(l);
	s->tasks = ts->nr;
	s->spawned = ts->spawned;
	s->ended = ts->ended;
	s->polls = ts->polls;
	s->wakes = ts->wakes;
	return 0;
}

/* Not dprintf(): it allocates. */
static int __attribute__((format(printf, 2, 3))) say(int fd, const char *format, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	return write(fd, text, n) == n ? 0 : -EIO;
}

struct printing {
	int64_t now;
	int fd;
};

static int print(const struct aop_task_info *i, void *data)
{
	static const char *const states[] = {
		[AOP_TASK_QUEUED] = "queued",
		[AOP_TASK_RUNS] = "runs",
		[AOP_TASK_AWAITS] = "awaits",
		[AOP_TASK_SLEEPS] = "sleeps",
		[AOP_TASK_CHILDREN] = "awaits its children",
		[AOP_TASK_CLEANUP] = "cleans up",
	};
	const struct printing *p = data;
	int64_t ms = (p->now - i->since) / 1000000;
	int ret;

	ret = say(p->fd, "%*s%s:%" PRIu32 " %s", 2 * (int)i->depth, "", i->name, i->line,
		  states[i->state]);
	if (ret >= 0 && i->awaits)
		ret = say(p->fd, " %p (%s)", (const void *)i->awaits,
			  aop_state_name(aop_state(i->awaits)));
	if (ret >= 0)
		ret = say(p->fd, "%s, for %" PRId64 ".%03d s, %" PRIu64 " polls\n",
			  i->asked ? ", asked to stop" : "", ms / 1000, (int)(ms % 1000),
			  i->polls);
	return ret < 0 ? -EIO : 0;
}

/**
 * aop_loop_dump() - write down what a loop does, for a person to read
 * @l: a loop
 * @fd: where to
 *
 * A line for each task: the function and line where it waits, indented by parent, what
 * it waits for, since when; and the counters.  Blocks as write(2) on @fd does.  The
 * loop's thread.
 *
 * Return: 0; -EINVAL: @l is NULL; -EPERM: another thread than the loop's; -EIO: it could
 * not be written.
 */
int aop_loop_dump(struct aop_loop *l, int fd)
{
	struct aop_loop_stats s = { .size = sizeof(s) };
	struct aop_task_stats ts = { .size = sizeof(ts) };
	struct printing p = { .fd = fd };
	int ret;

	if (!l)
		return -EINVAL;
	if (!loop_is_mine(l))
		return -EPERM;
	aop_loop_stats(l, &s);
	aop_loop_task_stats(l, &ts);
	ret = say(fd, "loop %p (%s): %" PRIu64 " turns, %" PRIu64 " sleeps, %" PRIu64
		  " calls, %" PRIu64 " events, %" PRIu64 " timers, %" PRIu64 " wakes\n",
		  (void *)l, aop_loop_engine(l), s.turns, s.sleeps, s.work, s.events, s.timers,
		  s.wakes);
	if (ret >= 0)
		ret = say(fd, "%" PRIu32 " tasks: %" PRIu64 " spawned, %" PRIu64 " ended, %"
			  PRIu64 " polls, %" PRIu64 " wakes\n", ts.tasks, ts.spawned, ts.ended,
			  ts.polls, ts.wakes);
	if (ret < 0)
		return -EIO;
	p.now = loop_now(l);
	return aop_loop_tasks(l, print, &p);
}
