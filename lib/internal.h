/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * internal.h - what the files of libaop share
 *
 * Layers, arrows down only:
 *
 *	pass group members	made of the public calls
 *	op wait watch		the public calls, the same for every scope
 *	shared ended		scope back ends: one struct scope each
 *	private local node	those of this process: inproc.h has what they share
 *	dispatch		shared: reaps a context's ready ring
 *	cork			shared: collects a thread's calls
 *	ctx fork		shared: contexts, handles, ioctls
 *	exec home		who runs a callback, and waiting for it
 *	lock scratch		memory and sleep
 *
 * The public structs are opaque words; the structs here are how we see them (the
 * library is compiled with -fno-strict-aliasing).  A scope of its own may use the
 * words of struct op behind `watches`, and of struct watch behind `kind`, as it
 * likes.
 */
#ifndef AOP_INTERNAL_H
#define AOP_INTERNAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "aop.h"
#include "lock.h"

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* Our thread-local words are few; so they are found without a call. */
#define TLS	_Thread_local __attribute__((tls_model("initial-exec")))

/* More ops than this in one call: per-thread memory instead of the stack. */
#define ON_STACK	64

struct frame;
struct op;
struct scope;
struct watch;

/* ---- running callbacks (home.c) ------------------------------------------ */

/*
 * Where callbacks are run from: a context, an executor.  Who runs one leaves a
 * frame here, on his stack, so that unwatch can wait for it; after the callback
 * nothing of the watch is touched, for it may be gone.
 */
struct home {
	const struct scope *scope;	/* what watches that come from here are of */
	struct lock lock;
	_Atomic uint32_t ended;		/* frames that ended while somebody waited */
	struct frame *frames;		/* lock */
	uint32_t waiters;		/* lock */
	uint32_t flags;			/* whose home: its own; lock */
};

struct frame {
	struct frame *next;
	const struct watch *w;		/* NULL: unwatched by its own callback */
	const struct op *op;		/* whose watcher; NULL: dropped by its own callback */
	const struct op *alive;		/* in process: NULL when the op is gone */
	const void *thread;
	bool again;			/* due again while it ran */
	const void *by;			/* in process: and which thread did that */
	bool last;			/* w is detached: it may be gone, or another */
};

/* Its address is what only this thread has. */
extern TLS char this_thread;

static inline const void *self(void)
{
	return &this_thread;
}

void frame_leave_slow(struct home *h, struct frame *f);

extern struct home stream_home;		/* stream.c; fork.c renews it */
extern struct lock names_lock;		/* port_name.c; and holds it */
int fork_handle(void);

static inline void frame_enter(struct home *h, struct frame *f, const struct watch *w,
			       const struct op *op)
{
	f->w = w;
	f->op = op;
	f->alive = NULL;
	f->by = NULL;
	f->thread = self();
	f->again = false;
	f->last = false;
	f->next = h->frames;
	h->frames = f;
}

static inline void frame_leave(struct home *h, struct frame *f)
{
	if (likely(h->frames == f && !h->waiters))
		h->frames = f->next;
	else
		frame_leave_slow(h, f);
}

struct frame *frame_find(struct home *h, const struct watch *w);
bool frame_forget(struct home *h, const struct watch *w);
void frame_wait(struct home *h, const struct watch *w);
/* The same for all callbacks of watchers of op, which is dropped. */
void frame_wait_op(struct home *h, const struct op *op);
/* In process: op is given back, whoever still runs a callback of it. */
void frame_forget_op(struct home *h, const struct op *op);
void home_forked(struct home *h);

/* Memory of this thread's for one call, freed with the thread; or NULL. */
void *scratch(size_t size);

/* ---- executors (exec.c) --------------------------------------------------- */

enum exec_push { EXEC_WAS_THERE, EXEC_QUEUED, EXEC_SUBMIT };

/* Queue w to be run by x.  On EXEC_SUBMIT call exec_submit(), with no lock held. */
enum exec_push exec_push(struct aop_exec *x, struct watch *w);
void exec_submit(struct aop_exec *x);
/* Run all that is queued; the executor is not going to. */
void exec_finish(struct aop_exec *x);
/* w is detached and its last call comes now: after it nothing may be left of w. */
void exec_last(struct aop_exec *x, struct watch *w);
/* w is unwatched: out of the queue with it.  Does another thread run it? */
bool exec_forget(struct aop_exec *x, struct watch *w);
void exec_wait(struct aop_exec *x, const struct watch *w);
/* Was it made, or used, before the fork that made this process? */
bool exec_foreign(const struct aop_exec *x);
/* It is this process's. */
void exec_adopt(struct aop_exec *x);

/* ---- the op --------------------------------------------------------------- */

/*
 * Who in this process holds the struct: whoever leaves last ends its life.  One bit
 * for the owner's side (not in local scope, where the word says it), one that says that a
 * watcher sleeps until that is gone, and the rest counts watchers.
 */
#define SIDE_OWNER	1u
#define SIDE_SLEEPER	2u
#define SIDE_WATCHER	4u

struct op {
	union {
		struct {
			const struct aop_status *st;
			const struct scope *scope;
			_Atomic uint32_t sides;
			uint8_t rights;		/* AOP_MAY_* that the handle came with */
			union {
				uint8_t mask;	/* AOP_EV_* of the handle; home lock */
				uint8_t flags;	/* in process: OP_* */
			};
			uint8_t pending;	/* waits in its thread's cork */
			uint8_t corked;		/* owner: where in the cork its end is, + 1 */
			void (*release)(struct aop *op);
			struct watch *watches;	/* home lock */
			union {
				struct {	/* shared scope */
					struct aop_ctx *ctx;
					uint64_t handle;
					uint8_t watched; /* was once; home lock to set it */
					uint8_t on_asked; /* owner: was, some time */
					uint8_t born_over; /* created final */
					uint8_t is_call; /* of a port: port_shared.c */
				};
				struct {	/* in process */
					const char *label;
					union {
						int64_t deadline;	/* OP_DEADLINE */
						struct alarm *alarm;	/* OP_ALARM */
					};
					union {
						struct node *waiters;	/* local: word lock */
						const void *thread;	/* private: AOP_ASSERT */
					};
				};
			};
		};
		uint64_t words[8];
	};
	/* all scopes: st points here until, and after, the kernel writes a slot */
	struct aop_status own;
};

_Static_assert(offsetof(struct op, st) == offsetof(struct aop, st), "struct op");
_Static_assert(sizeof(struct op) == sizeof(struct aop), "struct op");
_Static_assert(offsetof(struct op, own) == offsetof(struct aop, own), "struct op");
/* What <aop/inline.h> writes. */
_Static_assert(offsetof(struct op, scope) == offsetof(struct aop, scope_) &&
	       offsetof(struct op, sides) == offsetof(struct aop, sides_) &&
	       offsetof(struct op, rights) == offsetof(struct aop, bits_) &&
	       offsetof(struct op, release) == offsetof(struct aop, release_) &&
	       offsetof(struct op, watches) == offsetof(struct aop, watches_), "struct op");

/* flags of an op in process: */
#define OP_TIMED	0x01		/* its changes take the time */
#define OP_DETACHED	0x02		/* is not abandoned */
#define OP_DEADLINE	0x04		/* whoever comes by ends it */
#define OP_ALARM	0x08		/* a loop ends it */
#define OP_ON_ASKED	0x10		/* private: the owner watched, some time */

/* pending of an op in process: it drives itself. */
#define OP_NO_OWNER	2

static inline struct op *to_op(const struct aop *op)
{
	return (struct op *)op;
}

static inline struct op *owner_op(const struct aop_owner *o)
{
	return (struct op *)o;
}

static inline struct aop *to_aop(const struct op *op)
{
	return (struct aop *)op;
}

/* The absolute time that t means: >= 0, or AOP_FOREVER. */
static inline int64_t deadline_of(int64_t t)
{
	int64_t now;

	if (t == AOP_FOREVER || t == AOP_NOWAIT)
		return t;
	if (t < 0)
		return t == INT64_MIN ? INT64_MAX : -t;
	now = aop_now();
	return t > INT64_MAX - now ? INT64_MAX : now + t;
}

/* What is waited for: AOP_EV_*, and what that means for a status. */
struct goal {
	uint32_t mask;
	uint32_t seq;			/* for AOP_EV_CHANGE: what has been seen */
	uint8_t flags;			/* any of these AOP_F_* */
	bool final;			/* or a final state */
};

#define GOAL_FINAL	{ .mask = AOP_EV_FINAL, .final = true }
#define GOAL_OVER	{ .mask = AOP_EV_OVER, .flags = AOP_F_OVER }
#define GOAL_CHANGE(s)	{ .mask = AOP_EV_CHANGE, .seq = (s), .final = true }
#define GOAL_ASKED	{ .mask = AOP_EV_ASKED | AOP_EV_ORPHAN | AOP_EV_FINAL, \
			  .flags = AOP_F_ASKED | AOP_F_ORPHAN, .final = true }

static inline bool status_reached(const struct aop_status *s, uint32_t seq, const struct goal *g)
{
	if (s->flags & g->flags || (g->final && s->state >= AOP_DONE))
		return true;
	return g->mask & AOP_EV_CHANGE && seq != g->seq;
}

static inline bool reached(const struct op *op, const struct goal *g)
{
	struct aop_status s;

	s.word = aop_word_(to_aop(op));
	/* If it is just being written, it has changed. */
	return status_reached(&s, __atomic_load_n(&op->st->seq, __ATOMIC_RELAXED), g);
}

/* aop_asked() of a status. */
int status_asked(const struct aop_status *s);
/* The enum aop_signal that aop_end() stands for, or -EINVAL. */
int op_end_as(const struct aop_owner *o, int64_t result);

/* ---- the watch ------------------------------------------------------------ */

enum watch_kind {
	WATCH_CHANGES,			/* aop_watch() */
	WATCH_OVER,			/* aop_then() */
	WATCH_ASKED,			/* aop_on_asked() */
	WATCH_FINAL,			/* a group, its members: once */
	WATCH_KEPT,			/* a port, its end: once, and is no watcher */
	WATCH_ROOM,			/* shared: a port, whenever it is queued */
};

struct watch {
	struct op *op;
	void *data;
	aop_watch_fn *fn;
	struct aop_exec *exec;
	struct home *home;		/* op may be gone before the watch is */
	struct watch *next;		/* in op->watches; home lock */
	struct watch *queue;		/* in the executor's queue; its lock */
	uint32_t seq;			/* newest that fn was called for */
	uint8_t kind;
	uint8_t attached;		/* in op->watches; home lock */
	uint8_t queued;			/* in the executor's queue; its lock */
	uint8_t pad;
};

_Static_assert(sizeof(struct watch) <= sizeof(struct aop_watch), "struct watch");
_Static_assert(offsetof(struct watch, exec) == offsetof(struct aop_watch, exec_) &&
	       offsetof(struct watch, home) == offsetof(struct aop_watch, home_) &&
	       offsetof(struct watch, kind) == offsetof(struct aop_watch, kind_) &&
	       offsetof(struct watch, attached) == offsetof(struct aop_watch, attached_) &&
	       WATCH_CHANGES == 0 && WATCH_OVER == 1, "struct watch");

static inline struct watch *to_watch(const struct aop_watch *w)
{
	return (struct watch *)w;
}

/* At the end, so that they take turns. */
static inline void watch_link(struct op *op, struct watch *w)
{
	struct watch **p = &op->watches;

	while (*p)
		p = &(*p)->next;
	*p = w;
	w->next = NULL;
	w->attached = 1;
}

static inline void watch_unlink(struct op *op, struct watch *w)
{
	struct watch **p = &op->watches;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	w->attached = 0;
}

/* watch.c: what aop_watch() does, for any kind. */
int watch_add(struct op *op, struct aop_watch *watch, enum watch_kind kind,
	      aop_watch_fn *fn, void *data, struct aop_exec *where);

static inline bool watch_due(struct watch *w, const struct aop_status *s)
{
	int asked;

	switch (w->kind) {
	case WATCH_CHANGES:
		return s->state >= AOP_DONE || s->seq != w->seq;
	case WATCH_OVER:
		return s->flags & AOP_F_OVER;
	case WATCH_FINAL:
	case WATCH_KEPT:
		return s->state >= AOP_DONE;
	case WATCH_ROOM:
		return true;
	default:
		/* seq is the reason that it was told */
		asked = status_asked(s);
		if (!asked)
			w->seq = 0;
		return asked && (uint32_t)asked != w->seq;
	}
}

/* w is about to be called with s.  The last call: detach it.  Is it that? */
static inline bool watch_take(struct watch *w, const struct aop_status *s)
{
	w->seq = w->kind == WATCH_ASKED ? (uint32_t)status_asked(s) : s->seq;
	if (s->state < AOP_DONE)
		return false;
	watch_unlink(w->op, w);
	return true;
}

/* Whose drop waits for the callback: those for the owner are not the watchers'. */
static inline const struct op *watcher(const struct watch *w)
{
	return w->kind == WATCH_ASKED ? NULL : w->op;
}

/* ---- scopes --------------------------------------------------------------- */

/*
 * A back end.  Arguments were checked by the public call; op->scope leads here.
 */
struct scope {
	const char *name;
	/* Drive: enum aop_signal.  Ending lets go of the owner's side. */
	int (*signal)(struct op *op, uint32_t what, int64_t value, uint64_t total);
	int (*cancel)(struct op *op, int reason);
	/*
	 * Sleep until `need` of the n ops have reached the goal, or -ETIME.  Those that
	 * have not are all of one context, or all of this process.  The calls that this
	 * thread has corked are submitted.  May return 0 early: the caller looks again.
	 */
	int (*wait)(struct op *const *ops, size_t n, size_t need, const struct goal *g,
		    int64_t deadline);
	/* w is filled in but for the list; it is called at once if it is due. */
	int (*watch)(struct op *op, struct watch *w);
	int (*unwatch)(struct watch *w, bool wait);
	/* Called by an executor's thread, with w's frame in place. */
	void (*run)(struct watch *w);
	/* One watcher lets go. */
	int (*drop)(struct op *op);
};

extern const struct scope scope_ended;		/* could not begin, or is let go of */
extern const struct scope scope_shared;
extern const struct scope scope_private;
extern const struct scope scope_local;

/* ---- in process ------------------------------------------------------------ */

/*
 * How a loop keeps an op's deadline: the first member of struct aop_loop (which
 * struct aop_opts names).  arm() answers NULL for want of memory; at the time, the
 * loop calls op_expire() on its own thread, with no lock held.
 */
struct keeper {
	struct alarm *(*arm)(struct keeper *k, struct op *op, int64_t at);
};

/*
 * The loop's own, with this at its start.  disarm() is called once, by the thread
 * that ends op, before op is over, with no lock held: afterwards op_expire() is not
 * called, nor running on another thread; the alarm is the loop's again.  It may be
 * called inside op_expire(), by a callback.
 */
struct alarm {
	void (*disarm)(struct alarm *a);
};

/* End op with -ETIMEDOUT, by the system, unless it is final.  Calls back. */
void op_expire(struct op *op);

/* The two scopes of this process; o may be NULL; options were checked. */
int  inproc_init(struct op *op, struct aop_ctx *where, const struct aop_opts *o);
/* As scope->wait(), for ops of both and for ended ones. */
int  inproc_wait(struct op *const *ops, size_t n, size_t need, const struct goal *g,
		 int64_t deadline);

/* A private op is of no scope until anything unusual happens to it: private.h. */
const struct scope *private_settle(struct op *op);

static inline const struct scope *scope_of(struct op *op)
{
	return likely(op->scope) ? op->scope : private_settle(op);
}

static inline bool is_private(const struct op *op)
{
	return !op->scope || op->scope == &scope_private;
}

static inline bool inproc(const struct op *op)
{
	return is_private(op) || op->scope == &scope_local;
}

/* Is the owner's side of a local op in use? */
bool local_has_owner(const struct op *op);
/* Has its last watcher let go, and is he through with it? */
bool local_is_dropped(struct op *op);

/* When to look again: deadline, or when one of the ops has its own, if no loop does. */
int64_t inproc_until(struct op *const *ops, size_t n, int64_t deadline);
/* Those of the ops whose deadline has passed are ended.  Was there one? */
bool inproc_expire(struct op *const *ops, size_t n);
void private_expire(struct op *op);
void local_expire(struct op *op);

/* What assertion builds (-DAOP_ASSERT) say of a caller's mistake before they abort. */
void misuse(const char *what) __attribute__((noreturn, cold));

#ifdef AOP_ASSERT
#define ASSERTS	1
#else
#define ASSERTS	0
#endif

static inline void assert_that(bool cond, const char *what)
{
	if (ASSERTS && unlikely(!cond))
		misuse(what);
}

extern const struct scope scope_gone;

/* op was given back: in assertion builds whoever still uses it is caught. */
static inline void op_gone(struct op *op)
{
	if (ASSERTS)
		op->scope = &scope_gone;
}

/* Make op one that failed before it began: -err is returned. */
int op_ended(struct op *op, int err);

#endif /* AOP_INTERNAL_H */
