/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shared.h - what the files of the shared scope share
 */
#ifndef AOP_SHARED_H
#define AOP_SHARED_H

#include "internal.h"

#define DEFAULT_SLOTS	4096

/* Of handles on ops that others drive: enough for aop_then() and the last call. */
#define DEFAULT_MASK	(AOP_EV_FINAL | AOP_EV_OVER)

/*
 * home.lock protects the table's use (an op that is in the table may be touched by
 * whoever holds it), the lists of watches and the masks of all ops in the table,
 * and the consumer's side of the ring.
 */
struct aop_ctx {
	struct home home;
	int fd;
	bool dead;			/* inherited by a fork: nothing works any more */
	uint32_t stride;
	uint32_t budget;
	_Atomic uint32_t edges;		/* loops that hear only when the ring was empty */
	_Atomic uint32_t head;		/* as published; home.lock to change it */
	_Atomic uint32_t *head_page;
	const struct aop_ring *ring;
	const char *slots;
	struct op *_Atomic *table;	/* by slot: whose it is */
	_Atomic uint32_t used;		/* slots below this were handed out once */
	uint32_t nr_slots;
	struct aop_ctx *next;		/* fork.c: all contexts */
	struct aop_ctx **prev;
	size_t head_size, area_size;
};

static inline const struct aop_status *ctx_slot(const struct aop_ctx *ctx, uint64_t handle)
{
	return (const void *)(ctx->slots + (size_t)AOP_HANDLE_SLOT(handle) * ctx->stride);
}

/* ---- ctx.c ------------------------------------------------------------------- */

int ctx_bury(struct aop_ctx *ctx, const struct aop_status *gone, bool readable);

/* ---- dispatch.c ------------------------------------------------------------- */

int dispatch_some(struct aop_ctx *ctx, uint32_t budget);

/* Is something queued, as far as is seen without the lock? */
static inline bool ctx_queued(const struct aop_ctx *ctx)
{
	return __atomic_load_n(&ctx->ring->tail, __ATOMIC_RELAXED) !=
	       atomic_load_explicit(&ctx->head, memory_order_relaxed);
}

/* ---- kernel.c: calls, and what ties an op to a handle --------------------- */

int  kernel_call(struct aop_ctx *ctx, unsigned long cmd, void *arg);
/* The call's errno; what became of each entry is in its ret. */
int  kernel_batch(struct aop_ctx *ctx, unsigned long cmd, void *entries, size_t size,
		  uint32_t nr);
int  kernel_detach(struct aop_ctx *ctx, uint64_t handle, uint32_t rights);

/* An op that waits in a cork; one that has a handle. */
void op_prepare(struct op *op, struct aop_ctx *ctx, void (*release)(struct aop *op));
void op_bind(struct op *op, struct aop_ctx *ctx, void (*release)(struct aop *op),
	     uint64_t handle, uint32_t rights, uint32_t mask);
/* Nobody finds op through the table any more. */
void op_unhook(struct op *op);

/* ---- cork.c: calls of this thread that wait to be submitted ---------------- */

struct cork;

struct cork *cork_of(struct aop_ctx *ctx);	/* NULL: none is open */
/* Room for one more, which the caller fills in; op has been prepared. */
struct aop_create_entry *cork_create(struct cork *c, struct op *op, const char *label);
struct aop_attach_entry *cork_attach(struct cork *c, struct op *op);
struct aop_signal_entry *cork_signal(struct cork *c, struct op *op);
/* op: if it is the caller's alone. */
void cork_detach(struct cork *c, struct op *op, uint64_t handle, uint32_t rights);
void cork_submit(struct cork *c);
void cork_submit_all(void);
bool cork_has_calls(void);
/*
 * For a wait in ctx: submit all but the signals of its own cork, if it has one; say
 * then how many of those were sent.
 */
struct cork *cork_begin_wait(struct aop_ctx *ctx);
struct aop_signal_entry *cork_signals(struct cork *c, uint32_t *nr);
void cork_signalled(struct cork *c, uint32_t nr);
void cork_forked(void);
/* All but what is of ports. */
void cork_submit_rest(struct cork *c);
struct aop_ctx *cork_ctx(struct cork *c);
/* A call that was collected has failed so. */
void cork_note(struct cork *c, int err);
void cork_close(struct aop_ctx *ctx);
/* op waits in a cork: give it a handle now, or the reason why not */
void cork_need(struct op *op);

/* What its handle must be queued for. */
static inline uint32_t watch_wants(const struct watch *w)
{
	static const uint8_t wants[] = {
		[WATCH_CHANGES] = AOP_EV_CHANGE,
		[WATCH_OVER] = AOP_EV_OVER,
		[WATCH_ASKED] = AOP_EV_ASKED | AOP_EV_ORPHAN | AOP_EV_FINAL,
		[WATCH_FINAL] = AOP_EV_FINAL,
		[WATCH_KEPT] = AOP_EV_FINAL,
		[WATCH_ROOM] = AOP_EV_ROOM,
	};

	return wants[w->kind];
}

/* ---- dispatch.c: the ready ring, and delivering ------------------------------ */

/* Detach, or leave it to the dispatch that this thread is in. */
void dispatch_detach(struct aop_ctx *ctx, uint64_t handle, uint32_t rights, bool later);
/* w has been linked: run it if it is due; ctx->home.lock is dropped and taken again. */
void dispatch_new(struct aop_ctx *ctx, struct watch *w);
void dispatch_run(struct watch *w);

/* ---- shared.c ---------------------------------------------------------------- */

/* The owner's side is about to let go by a call of its own: in this order, see there. */
void shared_forget_asked(struct op *op);
bool shared_owner_leaves(struct op *op);
void shared_owner_frees(struct op *op, uint32_t what, int64_t value, int ret);

int shared_init(struct op *op, struct aop_ctx *ctx, const struct aop_opts *o);
int shared_attach(struct op *op, struct aop_ctx *ctx, int fd);
int shared_attach_id(struct op *op, struct aop_ctx *ctx, uint64_t id, uint32_t rights);
int shared_export(struct op *op, uint32_t rights);
int shared_group(struct op *op, struct aop_ctx *ctx, struct op *const *members, size_t n,
		 size_t need, uint32_t flags);

/* ---- port_shared.c ------------------------------------------------------------ */

/* op, a call, has ended, and its last watcher lets go: has its handle gone with the reply? */
bool call_reap(struct op *op, const struct aop_status *last);

/* ---- port_cork.c: the part of a cork that is of ports --------------------------- */

struct port_cork;

struct port_cork **cork_port(struct cork *c);	/* cork.c; NULL there: none yet */
bool port_cork_pending(const struct port_cork *pc);
void port_cork_submit(struct cork *c, struct port_cork *pc);
/* If the n ops are the calls that are corked: make them, and wait for `need` of them. */
bool port_cork_wait(struct aop_ctx *ctx, struct op *const *ops, size_t n, size_t need,
		    int64_t deadline, int *ret);
void port_cork_forked(struct port_cork *pc);

/* ---- fork.c ------------------------------------------------------------------ */

int  fork_add(struct aop_ctx *ctx);
void fork_remove(struct aop_ctx *ctx);

#endif /* AOP_SHARED_H */
