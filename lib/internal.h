/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * internal.h - what the files of libaop share
 *
 * Layers, arrows down only:
 *
 *	pass group		made of the public calls
 *	op wait watch		the public calls, the same for every scope
 *	shared ended		scope back ends: one struct scope each
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
	const void *thread;
	bool again;			/* due again while it ran */
};

/* Its address is what only this thread has. */
extern TLS char this_thread;

static inline const void *self(void)
{
	return &this_thread;
}

void frame_leave_slow(struct home *h, struct frame *f);

static inline void frame_enter(struct home *h, struct frame *f, const struct watch *w,
			       const struct op *op)
{
	f->w = w;
	f->op = op;
	f->thread = self();
	f->again = false;
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
void home_forked(struct home *h);

/* Memory of this thread's for one call, freed with the thread; or NULL. */
void *scratch(size_t size);

/* ---- executors (exec.c) --------------------------------------------------- */

enum exec_push { EXEC_WAS_THERE, EXEC_QUEUED, EXEC_SUBMIT };

/* Queue w to be run by x.  On EXEC_SUBMIT call exec_submit(), with no lock held. */
enum exec_push exec_push(struct aop_exec *x, struct watch *w);
void exec_submit(struct aop_exec *x);
/* w is detached and its last call comes now: after it nothing may be left of w. */
void exec_last(struct aop_exec *x, struct watch *w);
/* w is unwatched: out of the queue with it.  Does another thread run it? */
bool exec_forget(struct aop_exec *x, struct watch *w);
void exec_wait(struct aop_exec *x, const struct watch *w);

/* ---- the op --------------------------------------------------------------- */

/*
 * Who in this process holds the struct: whoever leaves last ends its life.  One bit
 * for the owner's side, one that says that a watcher sleeps until that is gone, and
 * the rest counts watchers.
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
			uint8_t mask;		/* AOP_EV_* of the handle; home lock */
			uint8_t pending;	/* waits in its thread's cork */
			uint8_t corked;		/* owner: where in the cork its end is, + 1 */
			void (*release)(struct aop *op);
			struct watch *watches;	/* home lock */
			/* shared scope only */
			struct aop_ctx *ctx;
			uint64_t handle;
			uint8_t watched;	/* was, some time; home lock to set it */
			uint8_t on_asked;	/* owner: was, some time */
		};
		uint64_t words[8];
	};
	/* all scopes: st points here until, and after, the kernel writes a slot */
	struct aop_status own;
};

_Static_assert(offsetof(struct op, st) == offsetof(struct aop, st), "struct op");
_Static_assert(sizeof(struct op) == sizeof(struct aop), "struct op");
_Static_assert(offsetof(struct op, own) == offsetof(struct aop, own), "struct op");

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

static inline bool reached(const struct op *op, const struct goal *g)
{
	struct aop_status s;

	s.word = aop_word_(to_aop(op));
	if (s.flags & g->flags || (g->final && s.state >= AOP_DONE))
		return true;
	/* If it is just being written, it has changed. */
	return g->mask & AOP_EV_CHANGE &&
	       __atomic_load_n(&op->st->seq, __ATOMIC_RELAXED) != g->seq;
}

/* aop_asked() of a status. */
int status_asked(const struct aop_status *s);

/* ---- the watch ------------------------------------------------------------ */

enum watch_kind {
	WATCH_CHANGES,			/* aop_watch() */
	WATCH_OVER,			/* aop_then() */
	WATCH_ASKED,			/* aop_on_asked() */
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
_Static_assert(offsetof(struct watch, exec) <= offsetof(struct aop_watch, priv), "struct watch");

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
	 * Sleep until `need` of the n ops have reached the goal, or -ETIME; -EXDEV if
	 * those that have not are not all of one scope.  The calls that this thread
	 * has corked are submitted.  May return 0 early: the caller looks again.
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

/* Make op one that failed before it began: -err is returned. */
int op_ended(struct op *op, int err);

#endif /* AOP_INTERNAL_H */
