/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * loop.h - what the files of the loop share
 *
 * Layers, arrows down only:
 *
 *	task interval within	made of what is below
 *	timer io signal child	ops that the loop ends
 *	embed			inside a foreign loop
 *	loop			turns, contexts, opening and closing
 *	work			queues, and what other threads post
 *	engine_*		epoll or io_uring: starts, cancels and ends input and output
 *	offload			calls that block, made by a pool
 *	wheel			what is due when
 *
 * A loop belongs to a thread, the one that ran it last: everything here is for that
 * thread, without locks and atomics, but for `posted` (work.c) and what says so.
 */
#ifndef AOP_LOOP_INTERNAL_H
#define AOP_LOOP_INTERNAL_H

#include "internal.h"
#include "wheel.h"

#ifdef AOP_ASSERT
#include <stdio.h>
#include <stdlib.h>
#endif

struct engine;
struct io;

/* Work that is in a queue has a next that is not NULL: the last one's is this. */
#define WORK_END	((struct aop_work *)1)

enum loop_queue { LOOP_MAIN, LOOP_LAZY, LOOP_IDLE, LOOP_POSTED, LOOP_QUEUES };

struct loop_fifo {
	struct aop_work *first, *last;	/* first is WORK_END when empty */
};

/* A descriptor of the loop's own that stays with the engine: readable, ready() is called. */
struct source {
	struct source *next;
	void (*ready)(struct source *s);
	int fd;
	bool edge;			/* nobody reads it: once for each time it is written */
	bool drained;			/* nothing of it is left when the thread sleeps */
	bool on;			/* engine */
	uint64_t number;		/* engine */
};

struct loop_ctx {
	struct source source;
	struct aop_loop *loop;
	struct aop_ctx *ctx;
	struct loop_ctx *next;
};

/* What the layer of tasks keeps with a loop. */
struct loop_tasks {
	uint64_t words[8];
	void (*close)(struct aop_loop *l);
};

struct loop_stats {
	uint64_t turns, sleeps, work, events, timers, wakes;
};

/* Deadlines that others put into our care (alarm.c). */
struct loop_alarms {
	struct lock lock;
	_Atomic uint32_t ended;		/* that went off */
	struct loop_alarm *spare[2];	/* of private ops; of local ones: lock */
	struct loop_alarm *left;	/* by other threads: lock */
	struct aop_work work;
};

struct aop_loop {
	struct keeper keeper;		/* first: what struct aop_opts leads to */
	/* the thread's */
	struct loop_fifo queue[LOOP_QUEUES];
	_Atomic(const void *) thread;
	uint64_t alive;			/* what AOP_RUN_ALL waits for */
	struct aop_ctx *where;		/* scope of its ops */
	struct aop_exec *asked_on;	/* where their owner is asked to stop */
	int64_t now;			/* valid during a turn once it was asked for */
	bool now_valid;
	bool running;
	bool stopping;
	bool asleep;			/* we were last to set `posted`, to ASLEEP */
	bool embedded;			/* somebody else waits for our descriptor */
	bool poke;			/* he must be told of what is begun or queued */
	uint32_t budget;
	const struct engine *engine;
	void *engine_data;
	uint32_t in_kernel;		/* ios and sources that only the engine can end */
	struct io *ios;			/* in flight */
	struct loop_ctx *contexts;
	struct loop_tasks tasks;
	struct loop_stats stats;
	struct source door;		/* an eventfd: others write it to wake us */
	struct source alarm;		/* a timerfd, when embedded */
	int64_t alarm_at;
	int refused;			/* why it is not io_uring */
	bool spin;			/* looking before a sleep pays */
	bool closing;
	bool sqpoll;			/* engine */
	bool own_pool;
	uint8_t unpolled;		/* turns since the engine was asked */
	struct aop_work stop;
	struct aop_exec exec;
	struct signals *signals;
	struct aop_pool *pool;		/* of calls that block; NULL: none yet */
	uint64_t nr_offloaded;		/* calls that it was given */
	struct loop_alarms alarms;
	int64_t (*clock)(void *data);
	void (*advance)(void *data, int64_t until);
	void *data;
	struct wheel wheel;

	/* everybody's: on a line of its own */
	_Alignas(64) _Atomic(struct aop_work *) posted;
	_Atomic uint64_t rung;		/* times that the door was rung, and is done with */

	/* offload.c */
	_Atomic(struct aop_work *) returned;	/* of ios that are back, by w->next */
	_Atomic uint64_t nr_returned;	/* of which the pool's threads are done with us */
	struct aop_work take_returned;
};

/* ---- the engine ---------------------------------------------------------- */

struct engine {
	const char *name;
	int (*open)(struct aop_loop *l, const struct aop_loop_opts *o);
	void (*close)(struct aop_loop *l);
	int (*fd)(struct aop_loop *l);
	/* Start io, whose op runs; io_end() comes from here or from wait(). */
	void (*begin)(struct aop_loop *l, struct io *io);
	/* Stop it: io_end() comes from here or later. */
	void (*cancel)(struct aop_loop *l, struct io *io);
	int (*add)(struct aop_loop *l, struct source *s);
	void (*remove)(struct aop_loop *l, struct source *s);
	/* Submit, sleep until `timeout` ns are over (-1: no limit), and end what ended. */
	int (*wait)(struct aop_loop *l, int64_t timeout);
	/* Is there something that wait() would end, as far as can be seen without a call? */
	bool (*ready)(struct aop_loop *l);
	/* What offload() was to do is done, with this result.  NULL: it is never called. */
	void (*returned)(struct aop_loop *l, struct io *io, int64_t result);
	/* Submit what was begun. */
	void (*flush)(struct aop_loop *l);
	bool edges;			/* a drained source is heard of when it fills, only */
};

extern const struct engine engine_epoll;
extern const struct engine engine_uring;

/* ---- queues -------------------------------------------------------------- */

void loop_poke(struct aop_loop *l);

static inline bool loop_is_mine(const struct aop_loop *l)
{
	return atomic_load_explicit(&l->thread, memory_order_relaxed) == self();
}

#ifdef AOP_ASSERT
#define loop_assert_mine(l, instead) do {						\
	if (!loop_is_mine(l)) {								\
		fprintf(stderr, "libaop: %s() of a loop of another thread: %s\n",	\
			__func__, instead);						\
		abort();								\
	}										\
} while (0)
#else
#define loop_assert_mine(l, instead)	((void)(l), (void)(instead))
#endif

/*
 * This thread only.  w->next is NULL, or w is in a queue already and nothing happens.
 * Work is queued either here or by aop_loop_post(), not now here and now there.
 */
static inline void loop_queue(struct aop_loop *l, struct aop_work *w, enum loop_queue q)
{
	struct loop_fifo *f = &l->queue[q];

	if (unlikely(w->next))
		return;
	w->next = WORK_END;
	if (f->first == WORK_END)
		f->first = w;
	else
		f->last->next = w;
	f->last = w;
	if (unlikely(l->poke))
		loop_poke(l);
}

/* On the right one of the two ways. */
void loop_submit(struct aop_loop *l, struct aop_work *w);

static inline bool loop_has_work(const struct aop_loop *l)
{
	return l->queue[LOOP_POSTED].first != WORK_END || l->queue[LOOP_MAIN].first != WORK_END ||
	       l->queue[LOOP_LAZY].first != WORK_END;
}

static inline bool loop_nothing_posted(const struct aop_loop *l)
{
	return !atomic_load_explicit(&l->posted, memory_order_relaxed);
}

/* Move what was posted to its queue, in the order in which it came. */
void work_take_posted(struct aop_loop *l);
/* Run what is queued, within the budget: how much? */
int work_run_posted(struct aop_loop *l);
int work_run_queues(struct aop_loop *l);
int work_run_idle(struct aop_loop *l);
/* The loop is being closed: what was posted may be gone.  Awake. */
void work_forget_posted(struct aop_loop *l);
/* w is about to be run: who posts it from here on queues it again. */
void work_reset(struct aop_work *w);
/* From here on who posts has to ring; false: something was posted meanwhile. */
bool work_fall_asleep(struct aop_loop *l);
void work_wake_up(struct aop_loop *l);
/* Make the door readable.  Any thread. */
void work_ring(struct aop_loop *l);
void work_open(struct aop_loop *l);
void work_close(struct aop_loop *l);

static inline void loop_hold(struct aop_loop *l)
{
	l->alive++;
}

static inline void loop_unhold(struct aop_loop *l)
{
	l->alive--;
}

int loop_add_source(struct aop_loop *l, struct source *s);
void loop_remove_source(struct aop_loop *l, struct source *s);

/* ---- time ---------------------------------------------------------------- */

int64_t loop_read_clock(struct aop_loop *l);

/* During a turn the time is read at most twice. */
static inline int64_t loop_now(struct aop_loop *l)
{
	if (!l->running)
		return loop_read_clock(l);
	if (!l->now_valid) {
		l->now = loop_read_clock(l);
		l->now_valid = true;
	}
	return l->now;
}

/* deadline_of() by the loop's clock; INT64_MAX: never. */
static inline int64_t loop_deadline_of(struct aop_loop *l, int64_t t)
{
	int64_t now;

	if (t < 0)
		return t == AOP_FOREVER || t == INT64_MIN ? INT64_MAX : -t;
	now = loop_now(l);
	return t > INT64_MAX - now ? INT64_MAX : now + t;
}

/* Tell who waits for our descriptor when to come back. */
void embed_arrange(struct aop_loop *l);
/* Something is due at `when`: is the one who waits for our descriptor told in time? */
void loop_alarm(struct aop_loop *l);

static inline void loop_timer_add(struct aop_loop *l, struct wheel_node *n, int64_t when)
{
	wheel_add(&l->wheel, n, when);
	if (unlikely(l->poke))
		loop_alarm(l);
}

static inline void loop_timer_move(struct aop_loop *l, struct wheel_node *n, int64_t when)
{
	wheel_move(&l->wheel, n, when);
	if (unlikely(l->poke))
		loop_alarm(l);
}

static inline void loop_timer_del(struct aop_loop *l, struct wheel_node *n)
{
	wheel_del(&l->wheel, n);
}

/* ---- ops that the loop drives -------------------------------------------- */

/* A loop's op begins: it runs, and fn is called when there is a reason to stop. */
struct aop_owner *loop_begin(struct aop_loop *l, struct aop *op, struct aop_watch *asked,
			     aop_watch_fn *fn);

/* ... and ends: result as for aop_end(). */
static inline void loop_end(struct aop_loop *l, struct aop *op, struct aop_watch *asked,
			    int64_t result)
{
	/* On its way from another thread: its memory is in the op's struct. */
	if (unlikely(l->asked_on))
		aop_unwatch(asked);
	if (likely(result >= 0))
		aop_done((struct aop_owner *)op, result);
	else
		aop_end((struct aop_owner *)op, result);
}

/* ---- timers (timer.c) ---------------------------------------------------- */

struct timer {
	struct aop op;
	struct aop_watch asked;
	struct wheel_node node;
	struct aop_loop *loop;
	int64_t result;
};

_Static_assert(sizeof(struct timer) <= sizeof(struct aop_timer), "struct timer");

void timer_begin(struct aop_loop *l, struct timer *tm, int64_t when, int64_t result);
void timers_close(struct aop_loop *l);

/* ---- deadlines of ops (alarm.c) --------------------------------------------- */

void alarms_open(struct aop_loop *l);
void alarms_close(struct aop_loop *l);
bool alarm_is(const struct wheel_node *n);

/* ---- input and output (io.c) --------------------------------------------- */

enum io_kind {
	IO_READY, IO_READ, IO_WRITE, IO_WRITE_ALL, IO_FSYNC, IO_RECV, IO_SEND, IO_RECVMSG,
	IO_SENDMSG, IO_ACCEPT, IO_CONNECT, IO_SIGNAL, IO_CHILD,
};

struct io {
	struct aop op;
	struct aop_watch asked;
	struct aop_loop *loop;
	struct io *next, *prev;		/* loop->ios */
	struct io *wait;		/* engine: next in line for the same descriptor */
	uint8_t kind;
	uint8_t state;			/* engine; IO_QUEUED and above: offload.c */
	uint16_t events;		/* POLLIN, POLLOUT: what it waits for */
	int32_t fd;
	int32_t flags;			/* or number of a signal; of a write: a socket, perhaps */
	int32_t reason;			/* to stop, when it was asked for; or 0 */
	void *buf;			/* or message, address */
	size_t len;
	union {
		int64_t off;
		int64_t result;		/* of the pool's call, which needs off no more */
	};
	size_t done;			/* IO_WRITE_ALL: so far */
	struct aop_work work;		/* offload.c */
};

_Static_assert(sizeof(struct io) <= sizeof(struct aop_io), "struct io");

/* What the kernel said: >= 0, or -errno.  io's memory may be gone afterwards. */
void io_end(struct io *io, int64_t result);
void ios_close(struct aop_loop *l);
/* Fill in and begin; NULL: it could not, and its op says why. */
struct io *io_init(struct aop_loop *l, struct aop_io *io, enum io_kind kind, int fd);
/* ... and give it to the engine. */
struct aop *io_begin(struct io *io);

/* ---- making the calls ourselves (attempt.c) ------------------------------ */

/* It can only be made as io_block(). */
#define IO_BLOCKS	INT64_MIN

/*
 * The call, without blocking: its result; -EAGAIN: it would block; or IO_BLOCKS.
 * ready: poll said that it will not.
 */
int64_t io_attempt(struct io *io, bool ready);
/* The call, as long as it takes: for any thread. */
int64_t io_block(struct io *io);
int64_t child_try(struct io *io);

/* ---- ... and having them made (offload.c) -------------------------------- */

enum { IO_QUEUED = 0x80, IO_RUNNING, IO_STOPPED };	/* io->state */

/* Have a pool call io_block(); the engine's returned() is told.  Or -errno. */
int offload(struct io *io);
bool offloaded(const struct io *io);
/* Is it with the pool?  If so it comes back: unmade, when it has not begun. */
bool offload_cancel(struct io *io);
void offload_returned(struct aop_work *take_returned);
/* Take what has come back; what else was posted is forgotten. */
void offload_take(struct aop_loop *l);
void offload_close(struct aop_loop *l);

/* ---- signals (signal.c) -------------------------------------------------- */

void signals_close(struct aop_loop *l);
void signal_cancel(struct aop_loop *l, struct io *io);

#endif /* AOP_LOOP_INTERNAL_H */
