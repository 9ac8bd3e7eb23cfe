/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aop.h - one shape for every asynchronous operation
 *
 * An op is a small state machine with an owner, who drives it, and watchers, who
 * look, wait, ask to cancel, or are called back.
 *
 *	PENDING -> RUNNING -> DONE | FAILED | CANCELLED
 *
 * Four rules hold everywhere:
 *
 * 1. An int function returns >= 0, or a negative errno.
 * 2. A function that begins something leaves an op that is safe to use, also when
 *    it could not begin: that op is FAILED with the reason.  One error path.
 * 3. The caller owns all memory.  FINAL says how an op ended; OVER (final, and
 *    the owner has let go) says that struct and buffers are the caller's again.
 * 4. Structs are never copied or moved between init and over.
 *
 * The comment at each function's definition, and the manual pages, say whether it
 * blocks, who may call it, who owns what, and every errno.
 */
#ifndef AOP_H
#define AOP_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/aop.h>		/* states, flags, struct aop_status, AOP_MAY_* */

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define AOP_CHECK	__attribute__((warn_unused_result))

#ifdef __cplusplus
#define AOP_SIZE(type, n)	static_assert(sizeof(type) == (n), "aop ABI")
#else
#define AOP_SIZE(type, n)	_Static_assert(sizeof(type) == (n), "aop ABI")
#endif

/* The library compiles these once more, as functions, for those who need symbols. */
#ifndef AOP_API_INLINE
#define AOP_API_INLINE	static inline
#endif

AOP_SIZE(struct aop_status, 64);

/* ------------------------------------------------------------------------
 * Time: one int64_t of nanoseconds wherever something may take time
 */

#define AOP_NOWAIT	INT64_C(0)
#define AOP_FOREVER	INT64_C(-1)
#define AOP_US(n)	((int64_t)(n) * 1000)
#define AOP_MS(n)	((int64_t)(n) * 1000000)
#define AOP_SEC(n)	((int64_t)(n) * 1000000000)

int64_t aop_now(void);			/* CLOCK_MONOTONIC */

/* A deadline, where a duration is asked for.  One that has passed is not -1. */
AOP_API_INLINE int64_t aop_until(int64_t at)
{
	return at > 1 ? -at : -2;
}

/* ------------------------------------------------------------------------
 * Where ops live.  The line that creates one is the only one that says it.
 */

struct aop_loop;
struct aop_ctx;				/* shared: processes and drivers */
#define AOP_PRIVATE	((struct aop_ctx *)1)	/* one thread: no atomics */
#define AOP_LOCAL	((struct aop_ctx *)2)	/* the threads of a process */

struct aop_ctx_opts {
	uint32_t size, flags;
	uint32_t slots;			/* handles at the most; 0: 4096 */
	uint32_t budget;		/* ops in one dispatch; 0: as many as slots */
};

int  aop_ctx_open(struct aop_ctx **ctx, const struct aop_ctx_opts *opts) AOP_CHECK;
void aop_ctx_close(struct aop_ctx *ctx);
int  aop_ctx_fd(struct aop_ctx *ctx);		/* readable: dispatch it */
int  aop_ctx_dispatch(struct aop_ctx *ctx);	/* runs watches, never blocks */

/*
 * This thread's calls are collected: creating, attaching, driving, dropping.
 * Uncork submits them, and so does every wait, in the same system call.
 */
void aop_cork(struct aop_ctx *ctx);
int  aop_uncork(struct aop_ctx *ctx);

/* ------------------------------------------------------------------------
 * The op
 */

struct aop {
	const struct aop_status *st;	/* &own, or a slot that the kernel writes */
	/* the library's, as all that ends in _ (<aop/inline.h>) */
	const void *scope_;
	uint32_t sides_, bits_;
	void *release_;
	struct aop_watch *watches_;
	unsigned char priv_[56 - 4 * sizeof(void *)];
	struct aop_status own;
};
AOP_SIZE(struct aop, 128);

struct aop_owner;			/* the right to drive; a struct aop inside */

struct aop_opts {
	uint32_t size, flags;
	uint32_t mode;			/* shared: who may attach by id; 0: 0600 */
	uint32_t state;			/* enum aop_state to begin in */
	int64_t result;			/* with a final state, as aop_result() says it */
	const char *label;		/* shared: copied; in process: must outlive the op */
	int64_t deadline;		/* aop_until() or relative; 0: none */
	struct aop_loop *loop;		/* in process: whose clock ends it then */
	uint64_t parent;		/* shared: id of what this is a part of, for tools */
	void (*release)(struct aop *op);/* both sides have let go */
};

#define AOP_TIMED	0x01		/* take times in private and local scope too */
#define AOP_DETACHED	0x02		/* goes on when nobody watches */

#ifndef __cplusplus
#define AOP_OPTS(...)	(&(const struct aop_opts){ \
				.size = sizeof(struct aop_opts), __VA_ARGS__ })
#endif

/* Creator: has both sides.  With an error the op is FAILED, and safe to use. */
int  aop_init(struct aop *op, struct aop_ctx *where);
int  aop_init_with(struct aop *op, struct aop_ctx *where, const struct aop_opts *o);
/* Hands out the right to drive: NULL if this struct has not got it. */
struct aop_owner *aop_owner(struct aop *op);

/* --- owner: drive ------------------------------------------------------- */

/*
 * Accept.  Before that touch nothing of the caller's.  -EALREADY: a cancel came
 * first, and the pointer is dead.
 */
int  aop_start(struct aop_owner *o) AOP_CHECK;
int  aop_progress(struct aop_owner *o, uint64_t done, uint64_t total);
/*
 * End, and let go: the pointer is dead afterwards, also when -EALREADY says that
 * somebody else ended it first.
 */
int  aop_done(struct aop_owner *o, int64_t result);
int  aop_fail(struct aop_owner *o, int error);
int  aop_cancelled(struct aop_owner *o, int reason);	/* 0: the asked one */
int  aop_end(struct aop_owner *o, int64_t result);	/* inverse of aop_result() */
int  aop_let_go(struct aop_owner *o);	/* not final: FAILED -EOWNERDEAD */

int  aop_asked(const struct aop_owner *o);	/* 0, or the reason to stop */
int  aop_wait_asked(struct aop_owner *o, int64_t t);	/* a sleep that cancel ends */

/* --- watcher: look (any thread, any time, signal handlers too) ----------- */

AOP_API_INLINE uint32_t aop_word_(const struct aop *op)
{
	return __atomic_load_n(&op->st->word, __ATOMIC_ACQUIRE);
}

AOP_API_INLINE enum aop_state aop_state(const struct aop *op)
{
	struct aop_status s;

	s.word = aop_word_(op);
	return (enum aop_state)s.state;
}

AOP_API_INLINE bool aop_is_final(const struct aop *op)
{
	struct aop_status s;

	s.word = aop_word_(op);
	return s.state >= AOP_DONE;
}

AOP_API_INLINE bool aop_is_over(const struct aop *op)
{
	struct aop_status s;

	s.word = aop_word_(op);
	return (s.flags & AOP_F_OVER) != 0;
}

/*
 * One number: DONE the result; FAILED its errno; CANCELLED its reason, always
 * negative; not final -EINPROGRESS.  For results that may be negative look at
 * aop_state() first.
 */
AOP_API_INLINE int64_t aop_result(const struct aop *op)
{
	if (!aop_is_final(op))
		return -EINPROGRESS;
	return __atomic_load_n(&op->st->result, __ATOMIC_RELAXED);
}

/* A negative answer in words; of -ENODEV: how to load the module. */
const char *aop_strerror(int64_t error);

/* ThreadSanitizer knows no fences; acquiring loads do the same for a little more. */
#ifdef __SANITIZE_THREAD__
#define AOP_PLAIN_	__ATOMIC_ACQUIRE
#define AOP_FENCE_()	do { } while (0)
#else
#define AOP_PLAIN_	__ATOMIC_RELAXED
#define AOP_FENCE_()	__atomic_thread_fence(__ATOMIC_ACQUIRE)
#endif

/*
 * In local scope the word itself says that it is about to be replaced, so that its
 * store can be the last of a change.
 */
#define AOP_PAD_WRITE_	0x02

AOP_API_INLINE bool aop_busy_(struct aop_status *s)
{
	uint32_t pad = s->pad;

	s->pad = 0;
	return (pad & AOP_PAD_WRITE_) != 0;
}

/*
 * The whole, newest status.  False: it is just being written, and of s only word
 * (state and flags) is good.  What a signal handler uses.
 */
AOP_API_INLINE bool aop_try_status(const struct aop *op, struct aop_status *s)
{
	const struct aop_status *st = op->st;

	/* Pairs with the writer's barrier between seq, odd, and the rest. */
	s->seq = __atomic_load_n(&st->seq, __ATOMIC_ACQUIRE);
	s->gen = __atomic_load_n(&st->gen, AOP_PLAIN_);
	s->word = __atomic_load_n(&st->word, AOP_PLAIN_);
	s->reason = __atomic_load_n(&st->reason, AOP_PLAIN_);
	s->result = __atomic_load_n(&st->result, AOP_PLAIN_);
	s->done = __atomic_load_n(&st->done, AOP_PLAIN_);
	s->total = __atomic_load_n(&st->total, AOP_PLAIN_);
	s->time = __atomic_load_n(&st->time, AOP_PLAIN_);
	s->data = __atomic_load_n(&st->data, AOP_PLAIN_);
	s->id = __atomic_load_n(&st->id, AOP_PLAIN_);
	/* Pairs with the writer's barrier between the rest and seq, even. */
	AOP_FENCE_();
	return !aop_busy_(s) && !(s->seq & 1) &&
	       __atomic_load_n(&st->seq, __ATOMIC_RELAXED) == s->seq &&
	       __atomic_load_n(&st->gen, __ATOMIC_RELAXED) == s->gen;
}

struct aop_status aop_status(const struct aop *op);	/* repeats it */

/* --- watcher: wait ------------------------------------------------------ */

/* 0, or -ETIME. */
int     aop_wait(struct aop *op, int64_t t) AOP_CHECK;	/* until final */
int     aop_wait_change(struct aop *op, uint32_t *seq, int64_t t) AOP_CHECK;
int64_t aop_get(struct aop *op, int64_t t);	/* wait, then result */
int64_t aop_join(struct aop *op);		/* until over, drop, result */

#ifndef __cplusplus
#define AOP_OPS(...)	((struct aop *const []){ __VA_ARGS__ }), \
	(sizeof((struct aop *[]){ __VA_ARGS__ }) / sizeof(struct aop *))
#endif

int  aop_wait_any(struct aop *const *ops, size_t n, int64_t t) AOP_CHECK; /* which */
int  aop_wait_all(struct aop *const *ops, size_t n, int64_t t) AOP_CHECK;
int  aop_wait_some(struct aop *const *ops, size_t n, size_t k, int64_t t) AOP_CHECK;

/* --- watcher: cancel and let go ----------------------------------------- */

int  aop_cancel(struct aop *op, int reason);	/* enum aop_cancel_answer; 0: -ECANCELED */
struct aop *aop_hold(struct aop *op);		/* one more watcher */
int  aop_drop(struct aop *op);		/* 1: the struct is free; 0: release() will tell */

/* --- watcher: be called back -------------------------------------------- */

struct aop_work {
	struct aop_work *next;		/* the executor's */
	void (*run)(struct aop_work *w);
};

/* Anything that runs work.  Zero but for submit; outlives the watches it runs. */
struct aop_exec {
	void (*submit)(struct aop_exec *x, struct aop_work *w);
	uint64_t priv[9];
};

#define AOP_INLINE	((struct aop_exec *)0)	/* where the change is learnt */

struct aop_watch {
	struct aop *op;
	void *data;
	void (*fn)(struct aop_watch *w, const struct aop_status *st);
	struct aop_exec *exec_;		/* the library's, as all below */
	void *home_;
	struct aop_watch *next_, *queue_;
	uint32_t seq_;
	uint8_t kind_, attached_, queued_, pad_;
};
#if UINTPTR_MAX > UINT32_MAX
AOP_SIZE(struct aop_exec, 80);
AOP_SIZE(struct aop_watch, 64);
#endif

typedef void aop_watch_fn(struct aop_watch *w, const struct aop_status *st);

/*
 * fn is called for the newest change (in process and inline: for each), the
 * sequence number tells what was skipped; and always for the last one, which is
 * the final one; at once if the op is final already.  Before that last call the
 * watch is detached.
 */
int  aop_watch(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
	       struct aop_exec *where);
/* Once, when the op is over: fn may free it. */
int  aop_then(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
	      struct aop_exec *where);
/* For the owner: whenever aop_asked() has a new reason to stop. */
int  aop_on_asked(struct aop_owner *o, struct aop_watch *w, aop_watch_fn *fn,
		  void *data, struct aop_exec *where);
/*
 * Afterwards fn does not run and *w is the caller's.  Waits for an fn that runs on
 * another thread, never for the one that it is called from.
 */
void aop_unwatch(struct aop_watch *w);
int  aop_try_unwatch(struct aop_watch *w) AOP_CHECK;	/* -EBUSY: runs just now */

/* --- groups: ops made of ops -------------------------------------------- */

#define AOP_CANCEL_REST	AOP_GROUP_CANCEL_REST	/* decided: cancel the others, end with them */
#define AOP_FAIL_FAST	AOP_GROUP_FAIL_FAST	/* one FAILED or CANCELLED decides */
#define AOP_ONLY_DONE	AOP_GROUP_ONLY_DONE	/* only DONE counts towards k */

struct aop_member { struct aop *op; struct aop_watch w; };
struct aop_group { struct aop op; uint64_t priv[18]; };

/*
 * Result: any: which; otherwise how many counted.  m: storage for n, unused and
 * free to be NULL when all members are of one context.  A loser may have ended DONE
 * before its cancel came: look at its result too.
 */
struct aop *aop_any(struct aop_group *g, struct aop_member *m,
		    struct aop *const *ops, size_t n, unsigned int flags);
struct aop *aop_all(struct aop_group *g, struct aop_member *m,
		    struct aop *const *ops, size_t n, unsigned int flags);
struct aop *aop_some(struct aop_group *g, struct aop_member *m,
		     struct aop *const *ops, size_t n, size_t k, unsigned int flags);

/* --- between processes: AOP_MAY_LOOK, _CANCEL, _DRIVE (moves: there is one) */

uint64_t aop_id(const struct aop *op);
int  aop_export(struct aop *op, unsigned int rights) AOP_CHECK;	/* an fd */
int  aop_attach(struct aop *op, struct aop_ctx *ctx, int fd);
int  aop_attach_id(struct aop *op, struct aop_ctx *ctx, uint64_t id, unsigned int rights);
int  aop_pass(struct aop *op, int sock, unsigned int rights);	/* export, send */
int  aop_take(struct aop *op, struct aop_ctx *ctx, int sock);	/* receive, attach */

/* ------------------------------------------------------------------------ */

const char *aop_state_name(enum aop_state s);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

/* ------------------------------------------------------------------------
 * What is built on ops
 */

#include <aop/inline.h>		/* the calls of private ops that are compiled in place */
#include <aop/loop.h>		/* the loop: timers, input and output, signals, children */
#include <aop/task.h>		/* functions that await ops */
#include <aop/pool.h>		/* blocking work: a thread pool */
#include <aop/sync.h>		/* mutex, semaphore */
#include <aop/stream.h>	/* bounded streams of messages */
#include <aop/port.h>		/* ports: calls and who serves them; actors */

#endif /* AOP_H */
