/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the module share.  Arrows point one way:
 *
 *	main, ioctl, uring, ...   the calls          (fetch, check, answer; ioctl.h)
 *	netlink, news             who lists and follows ops (netlink.h)
 *	    ctx, table            contexts, handles  (table mutex)
 *	    owner, source, watch, share  the calls of drivers (include/linux/aop.h)
 *	    group, deadline,      who else ends ops
 *	    import, eventfd,
 *	    port
 *	    op, home              the state machine  (home lock)
 *	    ring                  slots, ready ring  (wait queue lock)
 *	    registry, user        ids, quotas        (leaf locks)
 *
 * Locks, in the order they are taken:
 *
 *	aop_ctx.lock	mutex: the handle table of one context
 *	names_lock	mutex: names of ports (name.c)
 *	aop_ctx.waits_lock	spinlock: its waits by io_uring (uring.c)
 *	aop_home.lock	spinlock, irqs off: all ops that one context created, with
 *			their lists of links and hooks.  Two are never held at once
 *	aop_port.lock	spinlock: the backlog of one port (port.c)
 *	aop_ctx.wq.lock	spinlock: the ready ring of one context
 *	op->wq.lock	spinlock: who polls or reads the fds of an op
 *
 * References point down only: handle to op, fd to op, group to members, timer to
 * op, op to home.  No op ever refers to a context or a file, but for the links on
 * its list, which their context removes, under the home lock, before it goes.
 */
#ifndef AOP_INTERNAL_H
#define AOP_INTERNAL_H

#include <linux/cred.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/list_bl.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/rbtree_types.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/aop.h>

struct aop;
struct aop_call;
struct aop_client;
struct aop_ctx;
struct aop_port;
struct aop_wait_hook;
struct aop_run;
struct file;
struct io_uring_cmd;
struct pid;
struct poll_table_struct;
struct seq_file;

/* What only handles on ports have, and what a mask may be. */
#define AOP_MAY_PORT_ONLY	(AOP_MAY_CALL | AOP_MAY_SERVE)
#define AOP_MASK_ALL		(AOP_EV_ALL | AOP_EV_ROOM)

/* Who only may cancel is shown nothing. */
#define AOP_SEES	(AOP_MAY_LOOK | AOP_MAY_DRIVE)

/* Large arrays on the stack need not be cleared by INIT_STACK_ALL_ZERO. */
#define AOP_UNINIT	__attribute__((__uninitialized__))

/*
 * For all that user space can cause: accounted to its memory cgroup, and at the
 * cgroup's limit an error, neither the OOM killer nor a report in the log.
 */
#define AOP_GFP		(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

#define AOP_FINAL(state)	((state) >= AOP_DONE)

/* ---- user.c: how many handles a user holds ----------------------------- */

struct aop_user {
	struct hlist_node node;		/* users_lock */
	refcount_t ref;
	kuid_t uid;
	atomic_t handles;
	unsigned int names;		/* names_lock */
	unsigned int listeners;		/* these three: news.c, its news_lock */
	unsigned int news;
	u64 lost;
};

struct aop_user *aop_user_get(kuid_t uid);
struct aop_user *aop_user_again(struct aop_user *user);
void aop_user_put(struct aop_user *user);
unsigned int aop_user_charge(struct aop_user *user, unsigned int n);
void aop_user_uncharge(struct aop_user *user, unsigned int n);

/* ---- op.c: the state machine ------------------------------------------- */

/**
 * struct aop_home - what all ops that one context created have in common
 * @lock: protects every op of the home; outlives the context, since ops may
 * @ref: one of the context, one of each op
 * @user: whose quota and whose share of the links is not foreign
 * @cred: of the opener: uid, gid and user namespace for attach by id
 * @pid: of the opener's process, only to be shown
 * @spare: ops that ended, for the next ones; under @lock.  Each keeps its reference
 * @spare_room: for how many more; under @lock
 * @spare_calls_room: the same for @spare_calls
 * @spare_calls: calls that ended, with their extra, as @spare
 * @net: cookie of its network namespace: netlink does not cross it
 * @comm: of the opener's process, only to be shown
 */
struct aop_home {
	spinlock_t lock;	/* see above */
	refcount_t ref;
	struct aop_user *user;
	const struct cred *cred;
	struct pid *pid;
	struct aop *spare;
	unsigned int spare_room;
	unsigned int spare_calls_room;
	struct aop *spare_calls;
	u64 net;
	char comm[TASK_COMM_LEN];
};

struct aop_home *aop_home_create(const struct cred *cred);
void aop_home_put(struct aop_home *home, unsigned int nr);

/**
 * struct aop_link - a handle: the entry of a context's table, on the op's list
 * @node: on op->links with AOP_SEES, under the home lock
 * @next: of a free entry: the next free one, under the table mutex
 * @op: NULL when free.  Set and cleared under the table mutex
 * @ctx: whose table this is; never changes
 * @slot: the mapped status; written under the home lock
 * @pos: ring position behind the one it was last queued at; under ctx->wq.lock,
 *	and kept when the entry is recycled
 * @gen: generation, half of the handle; under the table mutex
 * @index: of the entry and its slot; never changes
 * @mask: AOP_EV_*, under the home lock
 * @rights: AOP_MAY_*, under the table mutex and, to change, the home lock
 * @own: in use for an op of its own context's home; under that home's lock, which
 *	then pins all the above
 */
struct aop_link {
	union {
		struct hlist_node node;
		struct aop_link *next;
	};
	struct aop *op;
	struct aop_ctx *ctx;
	struct aop_status *slot;
	u64 pos;
	u32 gen;
	u32 index;
	u8 mask;
	u8 rights;
	bool own;
};

/**
 * struct aop - one operation
 * @ref: handles, fds, waiters, groups, an expiring deadline
 * @depth: of groups below it
 * @nr_links: how many links and hooks
 * @detached: nobody is told when the last watcher lets go
 * @owned: somebody holds the right to drive
 * @home: its lock protects all below, but what never changes
 * @links: handles with AOP_SEES
 * @dead: when the last reference is gone: the next one to free
 * @hooks: waiters and groups
 * @watchers: handles, fds and groups that may look
 * @mode: who may attach by id
 * @exported: it has, or had, a descriptor: somebody may sleep on @wq
 * @news_kind: which list it is on by @news, see news.c; 0: none
 * @seq: of the newest change
 * @word: state and flags, as in struct aop_status
 * @reason: of the cancel
 * @result: once final
 * @done: progress
 * @total: progress
 * @time: of the newest change of state or progress
 * @created: never changes
 * @started: or 0
 * @id: never changes
 * @registered: in the registry
 * @extra: or NULL; never changes
 * @wq: who polls or reads its fds
 * @news: for those who are told by netlink; under the lock of the lists, as @news_kind
 */
struct aop {
	refcount_t ref;
	u8 depth;
	u8 nr_links;
	bool detached;
	bool owned;
	struct aop_home *home;
	union {
		struct hlist_head links;
		struct aop *dead;
	};
	struct hlist_head hooks;
	u32 watchers;
	u16 mode;
	bool exported;
	u8 news_kind;
	u32 seq;
	u32 word;
	s32 reason;
	s64 result;
	u64 done;
	u64 total;
	u64 time;
	u64 created;
	u64 started;
	u64 id;
	struct hlist_bl_node registered;
	struct aop_extra *extra;
	wait_queue_head_t wq;
	struct list_head news;
};

/**
 * struct aop_extra - what only some ops have
 * @parent: id, or 0
 * @deadline: or NULL
 * @group: or NULL
 * @owner: or NULL, if it is not a driver that drives or drove it
 * @port: or NULL
 * @call: or NULL; behind the label
 * @label: 0-terminated, may be empty
 *
 * Nothing of it changes once the op is known to others.
 */
struct aop_extra {
	u64 parent;
	struct aop_deadline *deadline;
	struct aop_group *group;
	struct aop_owner *owner;
	struct aop_port *port;
	struct aop_call *call;
	char label[];
};

static inline struct aop_group *aop_group_of(const struct aop *op)
{
	return op->extra ? op->extra->group : NULL;
}

#define AOP_RUN_LINKS	32

/**
 * struct aop_run - one caller's way through changes of many ops
 * @home: whose lock is held, or NULL
 * @flags: of that lock
 * @now: the time of the changes, read once; 0: not yet
 * @ctx: whose ring the links in @ready go to
 * @nr: how many
 * @ready: links to queue, pinned by the home lock
 * @fired: hooks of groups to look at when no lock is held
 * @dead: ops whose last reference went under the lock
 *
 * A batch goes in two passes: the slots are written first, and then pushed
 * together, with one barrier and one wake.
 */
struct aop_run {
	struct aop_home *home;
	unsigned long flags;
	u64 now;
	struct aop_ctx *ctx;
	unsigned int nr;
	struct llist_head fired;
	struct aop *dead;
	struct aop_link *ready[AOP_RUN_LINKS];
};

void aop_run_flush(struct aop_run *run);
void aop_ring_push(struct aop_ctx *ctx, struct aop_link **links, unsigned int nr);
void aop_run_finish(struct aop_run *run);

/**
 * aop_run_begin() - begin to change ops
 * @run: on the caller's stack, not initialised
 */
static __always_inline void aop_run_begin(struct aop_run *run)
{
	run->home = NULL;
	run->now = 0;
	run->ctx = NULL;
	run->nr = 0;
	run->dead = NULL;
	init_llist_head(&run->fired);
}

/**
 * aop_run_unlock() - push what is ready, then unlock
 * @run: may hold no lock
 */
static __always_inline void aop_run_unlock(struct aop_run *run)
{
	struct aop_home *home = run->home;

	if (!home)
		return;
	if (run->nr)
		aop_ring_push(run->ctx, run->ready, run->nr);
	run->nr = 0;
	run->home = NULL;
	__acquire(&home->lock);		/* by aop_run_lock(): for sparse */
	spin_unlock_irqrestore(&home->lock, run->flags);
}

/**
 * aop_run_lock() - take the lock of a home, instead of the one held so far
 * @run: remembers it
 * @home: pinned by an op that the caller has a reference on
 */
static __always_inline void aop_run_lock(struct aop_run *run, struct aop_home *home)
{
	if (run->home == home)
		return;
	aop_run_unlock(run);
	spin_lock_irqsave(&home->lock, run->flags);
	__release(&home->lock);		/* by aop_run_unlock(): for sparse */
	run->home = home;
}

/**
 * aop_run_end() - unlock, and do what had to wait for that
 * @run: done with afterwards
 */
static __always_inline void aop_run_end(struct aop_run *run)
{
	aop_run_unlock(run);
	if (unlikely(run->dead || !llist_empty(&run->fired)))
		aop_run_finish(run);
}

extern struct workqueue_struct *aop_wq;	/* for what cannot be done where it is found */
/* For what drivers do, who may wait for us: nothing of aop's waits for this one. */
extern struct workqueue_struct *aop_driver_wq;

DECLARE_PER_CPU(int, aop_op_counts);
extern unsigned int aop_seq_start;
extern unsigned int aop_spare_ops;

int aop_op_init(void);
void aop_op_exit(void);
unsigned int aop_op_count(void);
void aop_op_settle(void);

u32 aop_alloc(struct aop_home *home, struct aop **ops, u32 nr);
int aop_alloc_extra(struct aop *op, const char *label, size_t len);
void *aop_alloc_extra_and(struct aop *op, const char *label, size_t len, size_t more);
void aop_free(struct aop *op);

/* aop_put(), inlined. */
static __always_inline void __aop_put(struct aop *op)
{
	if (refcount_dec_and_test(&op->ref))
		aop_free(op);
}

void aop_put_locked(struct aop_run *run, struct aop *op);
void aop_bury_locked(struct aop_run *run, struct aop *op);
void aop_free_spare(struct aop_home *home);

static inline unsigned int aop_word_state(u32 word)
{
	return ((const struct aop_status){ .word = word }).state;
}

static inline u32 aop_word_flags(u32 word)
{
	return ((const struct aop_status){ .word = word }).flags;
}

static inline u32 aop_word(u8 state, u8 flags)
{
	/* As in struct aop_status, but of four bytes only: no compiler clears more. */
	union {
		struct {
			u8 state;
			u8 flags;
			u16 pad;
		};
		u32 word;
	} w = { { state, flags, 0 } };

	BUILD_BUG_ON(offsetof(struct aop_status, flags) != offsetof(struct aop_status, word) + 1);
	return w.word;
}

static inline bool aop_is_final(const struct aop *op)
{
	return AOP_FINAL(aop_word_state(READ_ONCE(op->word)));
}

/**
 * aop_level() - which AOP_EV_* hold now, whoever asks
 * @op: its home lock is held, or a slightly older answer is good enough
 *
 * A final op has no more changes to come: it counts as AOP_EV_CHANGE too.
 */
static inline u32 aop_level(const struct aop *op)
{
	/* Pairs with the release in changed(): its slots show it already. */
	u32 word = smp_load_acquire(&op->word), flags = aop_word_flags(word), ev = 0;

	if (AOP_FINAL(aop_word_state(word)))
		ev |= AOP_EV_FINAL | AOP_EV_CHANGE;
	if (likely(!flags))
		return ev;
	if (flags & AOP_F_OVER)
		ev |= AOP_EV_OVER;
	if (flags & AOP_F_ASKED)
		ev |= AOP_EV_ASKED;
	if (flags & AOP_F_ORPHAN)
		ev |= AOP_EV_ORPHAN;
	return ev;
}

/**
 * aop_level_since() - aop_level(), AOP_EV_CHANGE included
 * @op: its home lock is held
 * @seq: the sequence number that the caller has seen
 */
static inline u32 aop_level_since(const struct aop *op, u32 seq)
{
	u32 events = aop_level(op);

	if (op->seq != seq)
		events |= AOP_EV_CHANGE;
	return events;
}

/**
 * aop_peek_since() - the same without the lock: maybe too little, never too much
 * @op: the caller has a reference
 * @seq: the sequence number that the caller has seen
 *
 * Context: process, interrupts on.
 */
static inline u32 aop_peek_since(struct aop *op, u32 seq)
{
	u32 events = aop_level(op);
	/* Pairs with the release in changed() and progressed(). */
	u32 now = smp_load_acquire(&op->seq);

	if (unlikely(now + 2 == seq)) {
		/* Slots are written first: is the change that was seen just being made? */
		spin_lock_irq(&op->home->lock);
		now = op->seq;
		spin_unlock_irq(&op->home->lock);
	}
	if (now != seq)
		events |= AOP_EV_CHANGE;
	return events;
}

void aop_birth(struct aop *op, u64 now, u16 state, s64 result);
void aop_status_of(const struct aop *op, s64 time_offset, struct aop_status *st);

int aop_start_locked(struct aop_run *run, struct aop *op);
int aop_progress_locked(struct aop_run *run, struct aop *op, u64 done, u64 total);
int aop_end_locked(struct aop_run *run, struct aop *op, u8 state, u8 flags, s64 result);
int aop_end_owned_locked(struct aop_run *run, struct aop *op, u8 state, u8 flags, s64 result);
void aop_let_go_locked(struct aop_run *run, struct aop *op);
int aop_cancel_locked(struct aop_run *run, struct aop *op, s32 reason);

void aop_run_hooks(struct aop_run *run, struct aop *op, u32 events);
void aop_over_locked(struct aop_run *run, struct aop *op);
void aop_orphan_locked(struct aop_run *run, struct aop *op);
void aop_unorphan_locked(struct aop_run *run, struct aop *op);
int aop_foreigner_may_join(const struct aop *op, const struct aop_user *user);
void aop_watch_locked(struct aop_run *run, struct aop *op);
void aop_unwatch_locked(struct aop_run *run, struct aop *op);
void aop_link_modify_locked(struct aop_run *run, struct aop_link *link, u32 mask, u64 data);
int aop_hook_locked(struct aop *op, struct aop_hook *hook);
void aop_unhook_locked(struct aop *op, struct aop_hook *hook);
u32 aop_may_by_id(const struct aop *op);
u32 aop_may_by_id_as(const struct aop *op, const struct cred *cred);

/* ---- registry.c: ids --------------------------------------------------- */

int aop_registry_init(void);
void aop_registry_exit(void);
u64 aop_new_ids(unsigned int nr);
void aop_register(struct aop *op);
void aop_register_locked(struct aop *op);
void aop_unregister(struct aop *op);
void aop_unregister_locked(struct aop *op);
struct aop *aop_find(u64 id);
struct aop *aop_find_next(u32 *bucket, u64 *id);
u32 aop_registry_version(void);

/* ---- deadline.c -------------------------------------------------------- */

int aop_deadline_start(struct aop *op, u64 host_ns);
void aop_deadline_cancel_locked(struct aop *op);
void aop_deadline_destroy(struct aop *op);
u64 aop_deadline_of(const struct aop *op);

/* ---- group.c ----------------------------------------------------------- */

struct aop_group_opts {
	struct aop **members;		/* the group gets references of its own */
	const u8 *may_cancel;		/* the creator may cancel that member */
	unsigned int nr;
	unsigned int need;
	u32 flags;			/* AOP_GROUP_* */
};

int aop_group_setup(struct aop_run *run, struct aop *op, const struct aop_group_opts *opts);
void aop_group_ask(struct aop *op);
void aop_group_destroy(struct aop *op);
void aop_group_fired(struct aop_run *run);
void aop_group_shape(const struct aop *op, u32 *members, u32 *need);
u64 aop_group_member(const struct aop *op, u32 index);

/* ---- port.c ------------------------------------------------------------ */

void aop_extra_ended_locked(struct aop_run *run, struct aop *op, u8 state, s64 result);
bool aop_call_orphaned_locked(struct aop_run *run, struct aop *op);
void aop_port_started(struct aop_port *port);
void aop_port_progress(struct aop_port *port, u64 *done, u64 *total);
void aop_port_free(struct aop_port *port);

/* ---- client.c, call.c: what has to do with ports -------------------------- */

void aop_client_detach_locked(struct aop_link *link);
void aop_call_free(struct aop_call *call);
bool aop_call_keep_locked(struct aop_run *run, struct aop *op);

/* ---- owner.c, source.c: ops that drivers own ------------------------------ */

#define AOP_MODE_BITS	0666
#define AOP_PORT_MODE_BITS 0777

struct aop_owner *aop_owner_create(struct aop_home *home, struct aop_source *source,
				   const struct aop_owner_ops *ops, void *priv,
				   const struct aop_create_opts *opts);
int aop_driver_init(void);
void aop_driver_exit(void);

/**
 * aop_result_fits() - may an op in this state have that result?
 * @state: from user space
 * @result: from user space
 */
static inline bool aop_result_fits(u16 state, s64 result)
{
	switch (state) {
	case AOP_DONE:
		return true;
	case AOP_FAILED:
		return result < 0 && result >= -MAX_ERRNO;
	case AOP_CANCELLED:
		return result < 0 && result >= S32_MIN;
	default:
		return state <= AOP_RUNNING && !result;
	}
}

/* ---- ring.c: slots and the ready ring ----------------------------------- */

#define AOP_CHUNK	(PAGE_SIZE / sizeof(struct aop_status))

/**
 * struct aop_chunk - a page of slots with their table entries
 * @slots: the page that user space maps read-only; published with release
 * @links: AOP_CHUNK of them
 * @clients: of those that have called a port; NULL while there were none
 */
struct aop_chunk {
	struct aop_status *slots;
	struct aop_link *links;
	struct aop_client **clients;
};

/**
 * struct aop_ctx - an open /dev/aop
 * @lock: protects the table: which entries are free, what they refer to
 * @mm: of the opener; others get -EIO.  Only compared, but held
 * @time_offset: of the opener's time namespace, added to times in slots
 * @dead: its process ended; under @lock
 * @crowded: see aop_poll_queue()
 * @home: of the ops created here
 * @nr_slots: 0 before AOP_IOC_SETUP; a power of two; published last
 * @chunks: for all slots; filled on demand
 * @nr_chunks: how many are there; under @lock, published with release
 * @free: free entries; under @lock
 * @nr_used: entries in use; under @lock
 * @nr_uncharge: entries freed since @lock was taken
 * @eventfds: registered here; under @lock
 * @hooks: memory for the next AOP_IOC_CALL, or NULL; exchanged
 * @names: reserved here; under @lock, see name.c
 * @waits: commands of io_uring that pend; under @waits_lock
 * @waits_lock: taken before home locks
 * @wq: who polls the context; its lock protects all below
 * @ring: mapped read-only
 * @user_head: mapped writable: whatever the consumer wrote
 * @head: the last value of it that made sense, as 64 bits
 * @tail: where the next index goes, as 64 bits
 */
struct aop_ctx {
	struct mutex lock;	/* see above */
	struct mm_struct *mm;
	s64 time_offset;
	bool dead;
	bool crowded;
	struct aop_home *home;
	u32 nr_slots;
	struct aop_chunk *chunks;
	u32 nr_chunks;
	struct aop_link *free;
	u32 nr_used;
	u32 nr_uncharge;
	struct list_head eventfds;
	struct list_head names;
	struct aop_wait_hook *hooks;
	struct rb_root waits;
	spinlock_t waits_lock;	/* see above */
	wait_queue_head_t wq;
	struct aop_ring *ring;
	u32 *user_head;
	u64 head;
	u64 tail;
};

int aop_ring_alloc(struct aop_ctx *ctx, u32 slots);
void aop_ring_free(struct aop_ctx *ctx);
int aop_chunk_add(struct aop_ctx *ctx);

/**
 * aop_ring_ready() - is there something in the ring?
 * @ctx: after AOP_IOC_SETUP
 *
 * Context: ->poll, hence no lock; the head of ring.c says why that is enough.
 */
static __always_inline bool aop_ring_ready(const struct aop_ctx *ctx)
{
	u32 tail = READ_ONCE(ctx->ring->tail);
	u32 head = READ_ONCE(ctx->head);
	u32 user = READ_ONCE(*ctx->user_head);

	if (user - head <= tail - head)
		head = user;
	return head != tail;
}

int aop_ring_mmap(struct aop_ctx *ctx, struct vm_area_struct *vma);
u32 aop_ring_bytes(u32 slots);

/* ---- table.c: handles --------------------------------------------------- */

static inline u64 aop_handle(const struct aop_link *link)
{
	return (u64)link->gen << 32 | link->index;
}

/**
 * aop_link_get() - what a handle refers to
 * @ctx: whose table
 * @handle: from user space
 * @found: the entry
 *
 * Return: 0; -EBADF for what was never a handle here; -ESTALE for what is none any
 * more.
 */
static __always_inline int aop_link_get(struct aop_ctx *ctx, u64 handle, struct aop_link **found)
{
	u32 index = AOP_HANDLE_SLOT(handle), gen = AOP_HANDLE_GEN(handle);
	u32 chunk = index / AOP_CHUNK;
	struct aop_link *link;

	if (unlikely(chunk >= ctx->nr_chunks))
		return -EBADF;
	chunk = array_index_nospec(chunk, ctx->nr_chunks);
	link = &ctx->chunks[chunk].links[index % AOP_CHUNK];
	if (unlikely(link->gen != gen || !link->op))
		return gen ? -ESTALE : -EBADF;
	*found = link;
	return 0;
}

/**
 * aop_link_get_for() - aop_link_get() for who needs a right
 * @ctx: whose table
 * @handle: from user space
 * @rights: one of these will do
 * @found: the entry
 *
 * Return: as aop_link_get(); -EPERM.
 */
static __always_inline int aop_link_get_for(struct aop_ctx *ctx, u64 handle, u8 rights,
					    struct aop_link **found)
{
	int ret = aop_link_get(ctx, handle, found);

	if (unlikely(ret))
		return ret;
	return unlikely(!((*found)->rights & rights)) ? -EPERM : 0;
}

/**
 * aop_link_own_lock() - take the home lock and find a handle under it alone
 * @ctx: whose table, not necessarily locked
 * @handle: from user space
 * @found: the entry
 *
 * For handles on ops that were created here, so that the home is known before the
 * handle is: such a handle comes and goes under the lock of that home.
 *
 * Context: process, interrupts on.
 * Return: true, with the lock of @ctx->home held; false, with nothing held, when it is not
 * of that kind, or not a handle at all.
 */
static __always_inline bool aop_link_own_lock(struct aop_ctx *ctx, u64 handle,
					      struct aop_link **found)
{
	u32 index = AOP_HANDLE_SLOT(handle), chunk = index / AOP_CHUNK;
	/* Pairs with the release in aop_chunk_add(). */
	u32 nr_chunks = smp_load_acquire(&ctx->nr_chunks);
	struct aop_link *link;

	if (unlikely(chunk >= nr_chunks))
		return false;
	chunk = array_index_nospec(chunk, nr_chunks);
	link = &ctx->chunks[chunk].links[index % AOP_CHUNK];
	spin_lock_irq(&ctx->home->lock);
	/* Set by others under other locks, but then it is false, and stays so. */
	if (likely(READ_ONCE(link->own) && link->gen == AOP_HANDLE_GEN(handle))) {
		__release(&ctx->home->lock);	/* by aop_link_own_unlock(): for sparse */
		*found = link;
		return true;
	}
	spin_unlock_irq(&ctx->home->lock);
	return false;
}

/**
 * aop_link_own_unlock() - undo aop_link_own_lock()
 * @ctx: its home is unlocked
 */
static __always_inline void aop_link_own_unlock(struct aop_ctx *ctx)
{
	__acquire(&ctx->home->lock);	/* by aop_link_own_lock(): for sparse */
	spin_unlock_irq(&ctx->home->lock);
}

/**
 * aop_link_find() - aop_link_get() for who is in no hurry
 * @ctx: whose table
 * @handle: from user space
 *
 * Return: the entry, or an ERR_PTR.
 */
static inline struct aop_link *aop_link_find(struct aop_ctx *ctx, u64 handle)
{
	struct aop_link *link;
	int ret = aop_link_get(ctx, handle, &link);

	return ret ? ERR_PTR(ret) : link;
}

int aop_link_end_locked(struct aop_run *run, struct aop_link *link, u8 rights, u8 state,
			u8 flags, s64 result);
void aop_link_moved_locked(struct aop_run *run, struct aop_link *link);
void aop_link_drop_locked(struct aop_run *run, struct aop_link *link, u8 rights);
void aop_handle_undo(struct aop_ctx *ctx, struct aop_run *run, u64 handle);

/**
 * aop_table_lock() - nothing about the handles of a context changes but by us
 * @ctx: whose table
 */
static inline void aop_table_lock(struct aop_ctx *ctx)
{
	mutex_lock(&ctx->lock);
}

/**
 * aop_table_unlock() - undo aop_table_lock()
 * @ctx: whose user is credited for all handles that were freed meanwhile, at once
 */
static inline void aop_table_unlock(struct aop_ctx *ctx)
{
	if (ctx->nr_uncharge) {
		aop_user_uncharge(ctx->home->user, ctx->nr_uncharge);
		ctx->nr_uncharge = 0;
	}
	mutex_unlock(&ctx->lock);
}

void aop_table_clear(struct aop_ctx *ctx);
void aop_eventfds_clear(struct aop_ctx *ctx);
void aop_names_clear(struct aop_ctx *ctx);

/* ---- ctx.c, ioctl.c, opfd.c: the calls ---------------------------------- */

extern const struct file_operations aop_ctx_fops;

#define AOP_MAX_POLLERS	256		/* of one context or one op, by all their fds */

s64 aop_time_offset(void);
void aop_poll_queue(struct file *file, wait_queue_head_t *wq, struct poll_table_struct *wait,
		    bool *crowded);
long aop_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
int aop_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);
int aop_fd_attach(struct aop_run *run, struct aop_link *link, struct file *file,
		  const struct aop_attach_entry *entry);

/* ---- netlink.c, news.c: what is told to other processes ------------------- */

extern bool aop_news_on;

/* Does anybody listen?  AOP_WITHOUT_NEWS: the module of bench/without. */
static __always_inline bool aop_news_wanted(void)
{
#ifdef AOP_WITHOUT_NEWS
	return false;
#else
	return unlikely(READ_ONCE(aop_news_on));
#endif
}

void aop_news_changed(struct aop *op);
void aop_news_progressed(struct aop *op);
int aop_netlink_init(void);
void aop_netlink_exit(void);

/* ---- test/suites_test.c: tests of the inside ------------------------------ */

#if IS_ENABLED(CONFIG_KUNIT)
void aop_kunit_init(void);
void aop_kunit_exit(void);
#else
static inline void aop_kunit_init(void)
{
}

static inline void aop_kunit_exit(void)
{
}
#endif

/* ---- debugfs.c: counters ------------------------------------------------ */

void aop_debugfs_init(void);
void aop_debugfs_exit(void);

#endif /* AOP_INTERNAL_H */
