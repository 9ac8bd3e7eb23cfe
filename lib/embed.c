// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * embed.c - a loop that lives in somebody else's
 *
 * Who embeds the loop waits for the engine's descriptor, which a timerfd and the door
 * make readable: `poke` says that he has gone to wait, and must be told of what is begun
 * or queued outside of a turn.  All of this is for the loop's thread.
 */
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop.h"
#include "shared.h"

/* A budget has left something in a context, and no more is heard of that. */
static bool contexts_left(const struct aop_loop *l)
{
	const struct loop_ctx *c;

	for (c = l->engine->edges ? l->contexts : NULL; c; c = c->next)
		if (ctx_queued(c->ctx))
			return true;
	return false;
}

/**
 * aop_loop_next() - when a foreign loop has to dispatch at the latest
 * @l: a loop
 *
 * For loops that cannot wait for aop_loop_fd(), which is readable in time by itself.
 * It may be too early, never too late.  The loop's thread, outside of its callbacks.
 *
 * Return: absolute, by the loop's clock; now or earlier when there is work; -1: no timer
 * is set.
 */
int64_t aop_loop_next(struct aop_loop *l)
{
	enum loop_queue q;

	if (l->wheel.due.first || contexts_left(l))
		return l->wheel.base;
	for (q = 0; q < LOOP_QUEUES; q++)
		if (l->queue[q].first != WORK_END)
			return l->wheel.base;
	return l->wheel.next == WHEEL_NEVER ? -1 : l->wheel.next;
}

/* Tell who waits for our descriptor when to come back. */
void embed_arrange(struct aop_loop *l)
{
	l->poke = false;
	if (loop_has_work(l) || l->wheel.due.first || l->queue[LOOP_IDLE].first != WORK_END ||
	    contexts_left(l)) {
		work_ring(l);
		return;
	}
	l->poke = true;
	loop_alarm(l);
}

void loop_poke(struct aop_loop *l)
{
	l->poke = false;
	work_ring(l);
}

void loop_alarm(struct aop_loop *l)
{
	struct itimerspec t = { .it_value.tv_sec = 0 };
	int64_t when = l->wheel.due.first ? l->wheel.base : l->wheel.next;

	if (l->clock || when >= l->alarm_at)
		return;
	l->alarm_at = when;
	if (when < 1)
		when = 1;			/* 0 would disarm it */
	t.it_value.tv_sec = when / INT64_C(1000000000);
	t.it_value.tv_nsec = when % INT64_C(1000000000);
	timerfd_settime(l->alarm.fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void alarm_went_off(struct source *s)
{
	container_of(s, struct aop_loop, alarm)->alarm_at = WHEEL_NEVER;
}

/**
 * aop_loop_fd() - what a foreign event loop waits for
 * @l: a loop
 *
 * The descriptor is readable (EPOLLIN) when aop_loop_dispatch() has something to do:
 * also for timers, posts of other threads and what was begun meanwhile.  Add it to any
 * loop; do not read, pass or close it.  The first call sets up a timer; the loop's thread.
 *
 * Return: the descriptor, which stays the loop's; -EMFILE, -ENFILE, -ENOMEM.
 */
int aop_loop_fd(struct aop_loop *l)
{
	int ret, fd = l->engine->fd(l);

	if (l->embedded || fd < 0)
		return fd;
	l->alarm.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->alarm.fd < 0)
		return -errno;
	l->alarm.edge = true;
	l->alarm.ready = alarm_went_off;
	l->alarm_at = WHEEL_NEVER;
	/* From now on the engine is asked each time: door and alarm make it readable. */
	ret = loop_add_source(l, &l->alarm);
	if (ret < 0) {
		close(l->alarm.fd);
		l->alarm.fd = -1;
		return ret;
	}
	l->embedded = true;
	if (!l->running) {
		l->engine->flush(l);
		embed_arrange(l);
	}
	return fd;
}

/**
 * aop_loop_dispatch() - one turn that does not sleep
 * @l: a loop, which belongs to this thread from now on
 *
 * What a foreign loop calls when aop_loop_fd() is readable.  What the budget leaves is
 * announced there again.
 *
 * Return: as aop_loop_run().
 */
int aop_loop_dispatch(struct aop_loop *l)
{
	return aop_loop_run(l, AOP_RUN_READY);
}
