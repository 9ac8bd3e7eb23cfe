// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * loop.c - turns, contexts, opening and closing
 *
 * A turn looks at the contexts, asks the engine what ended, sleeping in it when there is
 * nothing else to do, ends the timers that are due, and runs work, each within a budget.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"
#include "opts.h"
#include "shared.h"

#define BUDGET		256
#define SPIN_MAX	50000u		/* ns: what a sleep and a wake cost, at the worst */
#define POLL_EVERY	8		/* turns, while there is work */

/* ---- time ---------------------------------------------------------------- */

int64_t loop_read_clock(struct aop_loop *l)
{
	int64_t now;

	if (likely(!l->clock))
		return aop_now();
	now = l->clock(l->data);
	/* The wheel does not turn back. */
	return now < l->wheel.base ? l->wheel.base : now;
}

/**
 * aop_loop_now() - the time of a loop's clock
 * @l: a loop
 *
 * During a turn it stands still, so that asking for it costs nothing; times that are
 * relative count from it.  The loop's thread.
 *
 * Return: nanoseconds, of CLOCK_MONOTONIC unless the loop has a clock of its own.
 */
int64_t aop_loop_now(struct aop_loop *l)
{
	return loop_now(l);
}

/* ---- turns --------------------------------------------------------------- */

static inline void pause_(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

static int run_timers(struct aop_loop *l)
{
	uint32_t left = l->budget;
	struct wheel_node *n;

	if (l->wheel.next != WHEEL_NEVER)
		wheel_advance(&l->wheel, loop_now(l));
	while ((n = l->wheel.due.first) && left) {
		wheel_del(&l->wheel, n);
		n->fn(n);
		left--;
	}
	l->stats.timers += l->budget - left;
	return l->budget - left;
}

/*
 * Before the thread sleeps it looks for a while, when its last waits were that short: a
 * sleep and a wake cost more, and for the other side too.  The processor is offered to
 * others meanwhile.
 */
static bool spin(struct aop_loop *l, int64_t from, int64_t limit)
{
	unsigned int i;

	do {
		for (i = 0; i < 40; i++) {
			if (!loop_nothing_posted(l) || l->engine->ready(l))
				return true;
			pause_();
		}
		sched_yield();
	} while (aop_now() - from < limit);
	return false;
}

/* Nothing is to be done until something happens, or `timeout` ns are over (-1: never). */
static int doze(struct aop_loop *l, int64_t timeout)
{
	int64_t from = aop_now(), limit;
	bool short_wait;
	int n;

	limit = timeout < 0 || timeout > SPIN_MAX ? SPIN_MAX : timeout;
	short_wait = l->spin && spin(l, from, limit);
	if (!short_wait && work_fall_asleep(l)) {
		l->stats.sleeps++;
		n = l->engine->wait(l, timeout);
		work_wake_up(l);
	} else {
		n = l->in_kernel ? l->engine->wait(l, 0) : 0;
	}
	/* Only what another thread posts can be seen without a call, in both engines. */
	l->spin = !loop_nothing_posted(l) && aop_now() - from < SPIN_MAX;
	l->now_valid = false;
	return n;
}

static int dispatch_contexts(struct aop_loop *l)
{
	struct loop_ctx *c, *next, *then;
	int ret, n = 0;

	for (c = l->contexts; c; c = next) {
		then = c->next;
		ret = dispatch_some(c->ctx, c->ctx->budget);
		/* A callback may have removed it: the rest has its turn next time. */
		for (next = l->contexts; next && next != then; next = next->next)
			;
		if (ret > 0)
			n += ret;
	}
	return n;
}

static int poll_engine(struct aop_loop *l, bool may_sleep, bool may_skip)
{
	int64_t timeout = 0, now;
	int n;

	if (may_sleep && !loop_has_work(l) && l->queue[LOOP_IDLE].first == WORK_END &&
	    !l->wheel.due.first) {
		timeout = -1;
		if (l->wheel.next != WHEEL_NEVER) {
			now = loop_now(l);
			timeout = l->wheel.next > now ? l->wheel.next - now : 0;
		}
	}
	if (l->clock && timeout > 0) {
		/* Somebody else's time passes by his command. */
		if (!l->advance)
			return doze(l, -1);
		n = l->in_kernel ? l->engine->wait(l, 0) : 0;
		if (!n && loop_nothing_posted(l)) {
			l->advance(l->data, l->wheel.next);
			l->now_valid = false;
		}
		return n;
	}
	if (timeout)
		return doze(l, timeout);
	if (!l->in_kernel || (may_skip && loop_has_work(l) && ++l->unpolled < POLL_EVERY &&
			      !l->engine->ready(l)))
		return 0;
	l->unpolled = 0;
	return l->engine->wait(l, 0);
}

/* Returns how much was done, or a negative errno of the engine. */
static int turn(struct aop_loop *l, bool may_sleep, bool may_skip)
{
	int n, events, work;

	l->stats.turns++;
	l->now_valid = false;
	work_take_posted(l);
	n = l->contexts ? dispatch_contexts(l) : 0;
	events = poll_engine(l, may_sleep && !n, may_skip);
	if (unlikely(events < 0))
		return events;
	l->stats.events += events;
	n += events + run_timers(l);
	work_take_posted(l);
	work = work_run_posted(l) + work_run_queues(l);
	if (!n && !work)
		work = work_run_idle(l);
	l->stats.work += work;
	return n + work;
}

static bool something_left(struct aop_loop *l)
{
	return l->alive || loop_has_work(l) || l->queue[LOOP_IDLE].first != WORK_END ||
	       !loop_nothing_posted(l);
}

static void enter(struct aop_loop *l)
{
	atomic_store_explicit(&l->thread, self(), memory_order_relaxed);
	l->running = true;
	l->poke = false;
	work_wake_up(l);
}

static void leave(struct aop_loop *l)
{
	bool more = !work_fall_asleep(l);

	l->running = false;
	l->engine->flush(l);
	if (!l->embedded)
		return;
	if (more)
		work_ring(l);
	else
		embed_arrange(l);
}

/**
 * aop_loop_run() - run a loop in this thread
 * @l: a loop, which belongs to this thread from now on
 * @how: AOP_RUN_ALL: until nothing is left that was begun on it or queued, or
 *	aop_loop_stop().  Watches and contexts do not count.  AOP_RUN_FOREVER: until
 *	aop_loop_stop().  AOP_RUN_ONCE: one turn, which sleeps until there is something to
 *	do.  AOP_RUN_READY: one turn, which does not sleep
 *
 * Blocks as said.  Not for callbacks of the same loop.
 *
 * Return: AOP_RUN_ALL: 0: nothing is left; AOP_RUN_ALL, AOP_RUN_FOREVER: 1: stopped;
 * otherwise how much was done, 0: nothing was.  -EDEADLK: called from a callback;
 * -EINVAL: @how is unknown; -EIO: it was opened before the fork that made this process; or
 * what the system said to the engine.
 */
int aop_loop_run(struct aop_loop *l, enum aop_run how)
{
	int ret;

	if (l->running)
		return -EDEADLK;
	if ((unsigned int)how > AOP_RUN_READY)
		return -EINVAL;
	if (unlikely(exec_foreign(&l->exec)))
		return -EIO;
	enter(l);
	if (how == AOP_RUN_ONCE || how == AOP_RUN_READY) {
		ret = turn(l, how == AOP_RUN_ONCE, false);
		l->stopping = false;
	} else {
		for (ret = 0; ret >= 0 && !l->stopping;) {
			if (how == AOP_RUN_ALL && !something_left(l))
				break;
			ret = turn(l, true, true);
		}
		if (ret >= 0)
			ret = l->stopping;
		l->stopping = false;
	}
	leave(l);
	return ret;
}

static bool has_context(const struct aop_loop *l, const struct aop_ctx *ctx)
{
	const struct loop_ctx *c = l->contexts;

	while (c && c->ctx != ctx)
		c = c->next;
	return c;
}

static void got(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	*(bool *)w->data = true;
}

/**
 * aop_loop_get() - run a loop until an op is over, and say how it ended
 * @l: a loop, which belongs to this thread from now on
 * @op: an op of any scope; the context of a shared one must have been added to the loop
 *
 * Blocks.  The op is not dropped.  Not for callbacks of the same loop.
 *
 * Return: as aop_result(); -EDEADLK: called from a callback; -ECANCELED: aop_loop_stop()
 * came first (aop_is_over() tells); -EXDEV: its context was not added to the loop; -EIO: as
 * aop_loop_run(); or an errno of aop_then().
 */
int64_t aop_loop_get(struct aop_loop *l, struct aop *op)
{
	struct aop_watch w;
	bool over = false;
	int ret;

	if (aop_is_over(op))
		return aop_result(op);
	if (l->running)
		return -EDEADLK;
	if (unlikely(exec_foreign(&l->exec)))
		return -EIO;
	if (to_op(op)->scope == &scope_shared && !has_context(l, to_op(op)->ctx))
		return -EXDEV;
	enter(l);
	ret = aop_then(op, &w, got, &over, &l->exec);
	if (ret >= 0) {
		while (!over && !l->stopping && ret >= 0)
			ret = turn(l, true, true);
		aop_unwatch(&w);
	}
	if (ret >= 0 && !over)
		ret = -ECANCELED;
	l->stopping = false;
	leave(l);
	return over ? aop_result(op) : ret;
}

/* ---- what the engine watches for us -------------------------------------- */

int loop_add_source(struct aop_loop *l, struct source *s)
{
	int ret = l->engine->add(l, s);

	if (ret >= 0)
		l->in_kernel++;
	return ret;
}

void loop_remove_source(struct aop_loop *l, struct source *s)
{
	l->in_kernel--;
	l->engine->remove(l, s);
}

static void context_ready(struct source *s)
{
	struct aop_ctx *ctx = container_of(s, struct loop_ctx, source)->ctx;

	/* What this leaves, dispatch_contexts() takes before the thread sleeps. */
	dispatch_some(ctx, ctx->budget);
}

/**
 * aop_loop_add() - have a loop dispatch a context
 * @l: a loop
 * @ctx: an opened context; aop_loop_remove() it before it is closed
 *
 * From now on the callbacks of the context's ops are called by the loop.  It may be
 * dispatched by others as well.  Allocates; the loop's thread.
 *
 * Return: 0; -EINVAL: no context; -EALREADY: it was added before; -ENOMEM; or what
 * epoll_ctl(2) says.
 */
int aop_loop_add(struct aop_loop *l, struct aop_ctx *ctx)
{
	struct loop_ctx *c;
	int ret;

	if (!l || ctx <= AOP_LOCAL)
		return -EINVAL;
	if (has_context(l, ctx))
		return -EALREADY;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->ctx = ctx;
	c->source.fd = aop_ctx_fd(ctx);
	c->source.ready = context_ready;
	c->source.drained = true;
	/* Before the ring may be found empty: others who dispatch leave it so. */
	atomic_fetch_add(&ctx->edges, l->engine->edges);
	ret = loop_add_source(l, &c->source);
	if (ret < 0) {
		atomic_fetch_sub(&ctx->edges, l->engine->edges);
		free(c);
		return ret;
	}
	c->next = l->contexts;
	l->contexts = c;
	if (l->poke)
		loop_poke(l);
	return 0;
}

/**
 * aop_loop_remove() - have a loop dispatch a context no more
 * @l: a loop
 * @ctx: a context
 *
 * The loop's thread; not from a callback of that context.
 *
 * Return: 0; -ENOENT: it was not added.
 */
int aop_loop_remove(struct aop_loop *l, struct aop_ctx *ctx)
{
	struct loop_ctx *c, **p = &l->contexts;

	while ((c = *p) && c->ctx != ctx)
		p = &c->next;
	if (!c)
		return -ENOENT;
	*p = c->next;
	loop_remove_source(l, &c->source);
	atomic_fetch_sub(&ctx->edges, l->engine->edges);
	free(c);
	return 0;
}

/* ---- ops that the loop drives -------------------------------------------- */

struct aop_owner *loop_begin(struct aop_loop *l, struct aop *op, struct aop_watch *asked,
			     aop_watch_fn *fn)
{
	struct aop_owner *o = (struct aop_owner *)op;

	loop_assert_mine(l, "begin it there, from work that is sent with aop_loop_post()");
	if (unlikely(l->closing)) {
		op_ended(to_op(op), -ESHUTDOWN);
		return NULL;
	}
	if (unlikely(aop_init(op, l->where) || aop_start(o)))
		return NULL;
	aop_on_asked(o, asked, fn, NULL, l->asked_on);
	l->alive++;
	return o;
}

/* ---- opening and closing ------------------------------------------------- */

static void door_opened(struct source *s)
{
	(void)s;
}

static int open_uring(struct aop_loop *l, const struct aop_loop_opts *o)
{
#ifdef AOP_WITHOUT_URING
	(void)l;
	(void)o;
	return -ENOSYS;
#else
	l->engine = &engine_uring;
	return l->engine->open(l, o);
#endif
}

static int open_engine(struct aop_loop *l, const struct aop_loop_opts *o)
{
	int ret;

	if (!(o->flags & AOP_EPOLL)) {
		ret = open_uring(l, o);
		if (!ret || o->flags & AOP_URING)
			return ret;
		l->refused = ret;
	}
	l->engine = &engine_epoll;
	return l->engine->open(l, o);
}

/**
 * aop_loop_open() - make a loop
 * @l: out: the loop, or NULL
 * @opts: NULL for the defaults; @opts->size is sizeof(struct aop_loop_opts).  With
 *	@opts->clock times are what that says, which must not be negative; it is never
 *	slept for a timer then: @opts->advance is called when nothing is left to do before
 *	the next one, and may let the time pass; without it others do that, and post.
 *	@opts->pool makes the calls on files that the epoll engine cannot make without
 *	blocking; it is closed after the loop.  Without one the loop opens its own when it
 *	comes to the first such call
 *
 * It uses io_uring where the system lets it and epoll otherwise: aop_loop_engine() and
 * aop_loop_refused() say which, and why.  AOP_EPOLL and AOP_URING insist.  It belongs to
 * this thread, or the one that runs it later; to no forked child.  Allocates.
 *
 * Return: 0; -EINVAL: bad options; -E2BIG: options of a newer library; -ENOSYS, -EPERM:
 * AOP_URING, and the system refuses it; -EMFILE, -ENFILE, -ENOMEM.
 */
int aop_loop_open(struct aop_loop **l, const struct aop_loop_opts *opts)
{
	struct aop_loop_opts o = { .size = sizeof(o) };
	struct aop_loop *loop;
	int ret;

	*l = NULL;
	ret = opts ? opts_copy(&o, sizeof(o), opts) : 0;
	if (ret)
		return ret;
	if (o.flags & ~(AOP_EPOLL | AOP_URING | AOP_SQPOLL | AOP_ANY_THREAD) ||
	    (o.flags & AOP_EPOLL && o.flags & (AOP_URING | AOP_SQPOLL)) ||
	    (o.advance && !o.clock) || o.budget > INT32_MAX / 4 || o.entries > 32768)
		return -EINVAL;
	loop = aligned_alloc(64, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	memset(loop, 0, sizeof(*loop));
	loop->budget = o.budget ? o.budget : BUDGET;
	loop->clock = o.clock;
	loop->advance = o.advance;
	loop->data = o.data;
	loop->pool = o.pool;
	loop->where = o.flags & AOP_ANY_THREAD ? AOP_LOCAL : AOP_PRIVATE;
	loop->asked_on = o.flags & AOP_ANY_THREAD ? &loop->exec : AOP_INLINE;
	alarms_open(loop);
	loop->alarm.fd = -1;
	atomic_init(&loop->thread, self());
	work_open(loop);
	wheel_init(&loop->wheel, 0);
	wheel_init(&loop->wheel, loop_read_clock(loop));
	loop->door.ready = door_opened;
	loop->door.edge = true;
	loop->door.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->door.fd < 0) {
		ret = -errno;
		goto no_door;
	}
	ret = open_engine(loop, &o);
	if (ret)
		goto no_engine;
	ret = loop->engine->add(loop, &loop->door);
	if (ret < 0)
		goto no_add;
	*l = loop;
	return 0;

no_add:
	loop->engine->close(loop);
no_engine:
	close(loop->door.fd);
no_door:
	free(loop);
	return ret;
}

/*
 * What ended just now, and is awaited by ops that the loop drives (aop_within(),
 * aop_for_each()), is on its way to them; not what the program has posted.
 */
static void run_the_rest(struct aop_loop *l)
{
	/* Its work may stand among what was posted, which may be gone. */
	do
		exec_finish(&l->exec);
	while (work_run_queues(l));
}

static void free_loop(struct aop_loop *l)
{
	l->engine->close(l);
	if (l->alarm.fd >= 0)
		close(l->alarm.fd);
	close(l->door.fd);
	free(l);
}

/**
 * aop_loop_close() - close a loop
 * @l: from aop_loop_open(); or NULL
 *
 * Ends what is left: tasks are cancelled and cleaned up; other ops that were begun on it
 * end FAILED, -EOWNERDEAD, after the kernel has let go of their buffers, for which this
 * waits.  Work that was posted and has not run does not run.  Contexts are removed.
 *
 * No other thread may use the loop any more, but for posts that have returned or been
 * run; watches on its executor must be gone, and ops over whose deadline it keeps, or
 * which others drive and aop_within() or aop_for_each() waits for.  Not from a callback of
 * the loop.  In a forked child it frees what came along, and ends nothing: the files that
 * the engine waits for are the parent's as well.
 */
void aop_loop_close(struct aop_loop *l)
{
	if (!l)
		return;
	if (exec_foreign(&l->exec)) {
		free_loop(l);
		return;
	}
	if (l->tasks.close)
		l->tasks.close(l);
	enter(l);
	l->closing = true;
	while (l->contexts)
		aop_loop_remove(l, l->contexts->ctx);
	ios_close(l);
	signals_close(l);
	timers_close(l);
	run_the_rest(l);
	alarms_close(l);
	work_close(l);
	if (l->alarm.fd >= 0)
		loop_remove_source(l, &l->alarm);
	offload_close(l);
	l->engine->remove(l, &l->door);
	free_loop(l);
}

/**
 * aop_loop_engine() - what a loop waits with
 * @l: a loop
 *
 * Any thread, signal handlers too.
 *
 * Return: "io_uring", "io_uring, SQPOLL", or "epoll".
 */
const char *aop_loop_engine(const struct aop_loop *l)
{
	return l->sqpoll ? "io_uring, SQPOLL" : l->engine->name;
}

/**
 * aop_loop_refused() - why a loop does not use io_uring
 * @l: a loop
 *
 * Any thread, signal handlers too.
 *
 * Return: 0: it does, or was told to use epoll; otherwise what the system said: -EPERM:
 * it is forbidden here (the sysctl io_uring_disabled, a container); -ENOSYS: the kernel has
 * not got it; -ENOMEM; ...
 */
int aop_loop_refused(const struct aop_loop *l)
{
	return l->refused;
}

/**
 * aop_loop_stats() - what a loop has done
 * @l: a loop
 * @stats: out; @stats->size is sizeof(struct aop_loop_stats)
 *
 * The loop's thread.
 *
 * Return: 0; -EINVAL: the size is too small for anything.
 */
int aop_loop_stats(struct aop_loop *l, struct aop_loop_stats *stats)
{
	struct aop_loop_stats s = {
		.turns = l->stats.turns,
		.sleeps = l->stats.sleeps,
		.work = l->stats.work,
		.events = l->stats.events,
		.timers = l->stats.timers,
		.wakes = l->stats.wakes,
		.alive = l->alive,
	};

	s.size = stats->size < sizeof(s) ? stats->size : sizeof(s);
	if (s.size < 2 * sizeof(uint32_t))
		return -EINVAL;
	memcpy(stats, &s, s.size);
	return 0;
}
