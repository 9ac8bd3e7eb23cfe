/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The ABI of /dev/aop: operations that are driven by one owner and observed by
 * any number of watchers.  aop(4) describes every call and every errno.
 *
 * Layouts are the same for 32 and 64 bit.  Every structure begins with its own
 * size, every array comes with the size of its entries, so that both can grow.
 * What this version does not know (flags, pads, trailing bytes) must be zero.
 * All times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef _UAPI_LINUX_AOP_H
#define _UAPI_LINUX_AOP_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define AOP_DEVICE	"/dev/aop"
#define AOP_ABI		0	/* of enum aop_state to the last ioctl below */

/* ---- states ------------------------------------------------------------ */

/**
 * enum aop_state - what an operation is doing
 * @AOP_PENDING: nobody has accepted it yet
 * @AOP_RUNNING: its owner has accepted it
 * @AOP_DONE: final: ended well, with a result
 * @AOP_FAILED: final: ended with a negative errno
 * @AOP_CANCELLED: final: ended because of a cancel, with its reason
 */
enum aop_state {
	AOP_PENDING,
	AOP_RUNNING,
	AOP_DONE,
	AOP_FAILED,
	AOP_CANCELLED,
};

#define AOP_NR_STATES	5

/*
 * The one table of legal transitions: a row per state an operation leaves, a bit
 * per state it may enter.  A state that may enter itself takes new details, such
 * as progress.  Final states have empty rows.
 */
#define AOP_MOVES_TABLE {						\
	/* AOP_PENDING */	0x1f,					\
	/* AOP_RUNNING */	0x1e,					\
	/* AOP_DONE */		0x00,					\
	/* AOP_FAILED */	0x00,					\
	/* AOP_CANCELLED */	0x00,					\
}

static inline int aop_move_is_legal(unsigned int from, unsigned int to)
{
	static const __u8 moves[AOP_NR_STATES] = AOP_MOVES_TABLE;

	return from < AOP_NR_STATES && to < AOP_NR_STATES && (moves[from] >> to & 1);
}

/* Flags beside the state. */
#define AOP_F_SYSTEM	0x01	/* ended by the system, not by its owner */
#define AOP_F_ASKED	0x02	/* a cancel was requested */
#define AOP_F_ORPHAN	0x04	/* abandoned: the last watcher let go */
#define AOP_F_LOST	0x08	/* out of sight on another host: may change again */
#define AOP_F_OVER	0x10	/* final, and the owner has let go too */

/**
 * struct aop_status - one operation as one watcher sees it; a cache line
 * @seq: of the newest change, compared for equality only; odd while written
 * @gen: of the slot that holds this: another one, another operation
 * @word: @state and @flags in one load; written after all but @seq
 * @state: enum aop_state
 * @flags: AOP_F_*
 * @pad: 0
 * @reason: of the first cancel request, or of AOP_CANCELLED
 * @result: once final: the result, the negative errno, or the negative reason
 * @done: progress so far
 * @total: progress at the end, 0 when not known
 * @time: of the last change of state or progress
 * @data: the watcher's own, as registered with the handle
 * @id: of the operation, never used twice while the module is loaded
 *
 * @word alone is always valid.  The whole is valid when @seq was even before it
 * was read, and @seq and @gen are the same afterwards.  A final status never
 * changes again, but for AOP_F_OVER, which may be added once.
 */
struct aop_status {
	__u32 seq;
	__u32 gen;
	union {
		__u32 word;
		struct {
			__u8 state;
			__u8 flags;
			__u16 pad;
		};
	};
	__s32 reason;
	__aligned_s64 result;
	__aligned_u64 done;
	__aligned_u64 total;
	__aligned_u64 time;
	__aligned_u64 data;
	__aligned_u64 id;
};

/*
 * A handle is the index of its slot and, never 0, the generation that the slot's
 * gen shows while the handle is valid.
 */
#define AOP_HANDLE_SLOT(handle)	((__u32)(handle))
#define AOP_HANDLE_GEN(handle)	((__u32)((handle) >> 32))

/* What a handle may do.  AOP_MAY_DRIVE has one holder: passing it on moves it. */
#define AOP_MAY_LOOK	0x1
#define AOP_MAY_CANCEL	0x2
#define AOP_MAY_DRIVE	0x4
#define AOP_MAY_ALL	0x7

/* What a handle on a port may do besides; held by any number. */
#define AOP_MAY_CALL	0x8
#define AOP_MAY_SERVE	0x10	/* take its calls */
#define AOP_MAY_PORT	0x1f	/* all that can be done with a port */

/* What a handle is queued for, and what a wait waits for. */
#define AOP_EV_FINAL	0x01	/* the state is final */
#define AOP_EV_OVER	0x02	/* final, and the owner has let go */
#define AOP_EV_CHANGE	0x04	/* any change: the sequence moved, or the state is final */
#define AOP_EV_ASKED	0x08	/* a cancel was requested */
#define AOP_EV_ORPHAN	0x10	/* abandoned, or watched again */
#define AOP_EV_ALL	0x1f

/* Of a handle with AOP_MAY_CALL, in its mask only: after -EAGAIN there is room again. */
#define AOP_EV_ROOM	0x20

/* ---- what is mapped ---------------------------------------------------- */

/*
 * Two mappings, both MAP_SHARED, with exactly the offsets and sizes that
 * AOP_IOC_SETUP gave.  The first, writable, is one page whose first u32 is the
 * consumer's head.  The second, read-only, holds the ready ring at its start and
 * the slots (struct aop_status, by index, stride bytes apart) behind it.
 *
 * The ring's places hold indexes of slots that changed.  The consumer reads tail
 * (load-acquire), copies the indexes between head and tail, publishes head
 * (store-release), executes a full barrier, and only then reads those slots and
 * looks at tail again.  A slot is in the ring at most once, so the ring, which
 * has a place for every slot, cannot overflow.  A slot may have been given to
 * another operation since it was queued: handle whatever it holds now.
 */
struct aop_ring {
	__u32 tail;		/* free running; the kernel writes it */
	__u32 mask;		/* places - 1 */
	__u32 pad[14];
	__u32 places[];		/* indexes of slots */
};

/* ---- calls ------------------------------------------------------------- */

#define AOP_MAX_SLOTS	(1 << 20)	/* of a context */
#define AOP_MAX_ENTRIES	1024		/* of one call; members of a group */
#define AOP_MAX_LINKS	128		/* handles, waiters and groups on one op */
#define AOP_MAX_FOREIGN	8		/* ... of one user who does not own the op */
#define AOP_MAX_DEPTH	8		/* of groups in groups */
#define AOP_LABEL_SIZE	64		/* of a label with its terminating 0 */
#define AOP_MAX_MESSAGE	512		/* bytes of a request or a reply */
#define AOP_MAX_BACKLOG	65536		/* calls queued at one port */

#define AOP_FOREVER_NS	(~(__u64)0)	/* a deadline that never comes */

/**
 * struct aop_ioc_features - what this module can do
 * @size: sizeof(struct aop_ioc_features)
 * @abi: out: AOP_ABI
 * @features: out: AOP_FEATURE_*
 * @max_entries: out: of one call
 * @max_slots: out: of one context
 * @max_links: out: handles, waiters and groups on one operation
 * @max_depth: out: of groups in groups
 */
struct aop_ioc_features {
	__u32 size;
	__u32 abi;
	__aligned_u64 features;
	__u32 max_entries;
	__u32 max_slots;
	__u32 max_links;
	__u32 max_depth;
};

#define AOP_FEATURE_GROUP	0x1	/* AOP_IOC_GROUP */
#define AOP_FEATURE_SIGNAL_WAIT	0x2	/* signals in AOP_IOC_WAIT */
#define AOP_FEATURE_URING	0x4	/* AOP_URING_* */
#define AOP_FEATURE_IMPORT	0x8	/* AOP_IOC_IMPORT, AOP_IOC_EVENTFD */
#define AOP_FEATURE_PORT	0x10	/* AOP_IOC_PORT, AOP_IOC_CALL, AOP_IOC_SERVE */

/**
 * struct aop_ioc_setup - once for each open file, before anything is created
 * @size: sizeof(struct aop_ioc_setup)
 * @flags: 0
 * @slots: in: how many handles at the most; out: rounded up to a power of two
 * @stride: out: bytes from one slot to the next
 * @head_size: out: bytes of the writable mapping, at offset 0
 * @slots_at: out: where in the read-only mapping the slots begin
 * @area_offset: out: the offset to map the read-only area at
 * @area_size: out: its size
 */
struct aop_ioc_setup {
	__u32 size;
	__u32 flags;
	__u32 slots;
	__u32 stride;
	__u32 head_size;
	__u32 slots_at;
	__aligned_u64 area_offset;
	__aligned_u64 area_size;
};

/**
 * struct aop_ioc_batch - one call for many
 * @size: sizeof(struct aop_ioc_batch)
 * @flags: 0
 * @entries: pointer to the entries; which struct depends on the call
 * @entry_size: size of one of them
 * @nr: how many, at most AOP_MAX_ENTRIES
 * @done: in: how many to skip; out: how many were handled, counting the skipped
 * @pad: 0
 *
 * An entry that fails says so in its ret, and the rest goes on.  The call itself
 * returns 0, and fails only for what is wrong with this struct or with the memory
 * behind it.
 */
struct aop_ioc_batch {
	__u32 size;
	__u32 flags;
	__aligned_u64 entries;
	__u32 entry_size;
	__u32 nr;
	__u32 done;
	__u32 pad;
};

/**
 * struct aop_create_entry - make an operation (AOP_IOC_CREATE)
 * @handle: out: a handle with all rights
 * @id: out: its id
 * @data: for the slot of the handle
 * @label: pointer to a string shorter than AOP_LABEL_SIZE, or 0
 * @parent: the id of an operation that this one is a part of, or 0; only shown
 * @deadline: when to end it with -ETIMEDOUT, or 0
 * @result: with a final @state: the result, negative errno, or negative reason
 * @flags: AOP_CREATE_*
 * @mask: AOP_EV_* that queue the handle's slot
 * @mode: who may attach by id: read bits to look, write bits to cancel
 * @state: to begin in
 * @ret: out: 0 or a negative errno
 */
struct aop_create_entry {
	__aligned_u64 handle;
	__aligned_u64 id;
	__aligned_u64 data;
	__aligned_u64 label;
	__aligned_u64 parent;
	__aligned_u64 deadline;
	__aligned_s64 result;
	__u32 flags;
	__u32 mask;
	__u16 mode;
	__u16 state;
	__s32 ret;
};

#define AOP_CREATE_DETACHED	0x1	/* goes on when nobody watches */

/**
 * struct aop_signal_entry - drive an operation (AOP_IOC_SIGNAL, AOP_IOC_WAIT)
 * @handle: with the right to drive
 * @what: enum aop_signal, and AOP_SIGNAL_DETACH
 * @ret: out: 0 or a negative errno
 * @value: DONE: the result; FAIL: a negative errno; CANCELLED: a negative
 *	reason, or 0 for the requested one; PROGRESS: done so far; else 0
 * @total: PROGRESS: done at the end, 0 when not known; else 0
 *
 * Ending lets go of the right to drive, also when it answers -EALREADY since
 * somebody else came first; so does an AOP_SIGNAL_START that answers that.
 */
struct aop_signal_entry {
	__aligned_u64 handle;
	__u32 what;
	__s32 ret;
	__aligned_s64 value;
	__aligned_u64 total;
};

/**
 * enum aop_signal - what an owner can say
 * @AOP_SIGNAL_START: accept a pending operation
 * @AOP_SIGNAL_PROGRESS: new details, same state
 * @AOP_SIGNAL_DONE: end well
 * @AOP_SIGNAL_FAIL: end with an error
 * @AOP_SIGNAL_CANCELLED: end because a cancel was requested
 * @AOP_SIGNAL_LET_GO: only let go; not final: fails with -EOWNERDEAD
 */
enum aop_signal {
	AOP_SIGNAL_START,
	AOP_SIGNAL_PROGRESS,
	AOP_SIGNAL_DONE,
	AOP_SIGNAL_FAIL,
	AOP_SIGNAL_CANCELLED,
	AOP_SIGNAL_LET_GO,
};

#define AOP_SIGNAL_DETACH	0x100	/* with an end: detach the handle too */

/**
 * struct aop_wait_entry - one operation to wait for
 * @handle: with the right to look or to drive
 * @mask: AOP_EV_* to wait for, any of them
 * @seq: for AOP_EV_CHANGE: the sequence number that the caller has seen
 * @events: out: those of @mask that hold; AOP_EV_CHANGE if the sequence differs or
 *	the state is final, so that no more changes of it can come
 * @pad: 0
 */
struct aop_wait_entry {
	__aligned_u64 handle;
	__u32 mask;
	__u32 seq;
	__u32 events;
	__u32 pad;
};

/**
 * struct aop_ioc_wait - signal, if wished, and wait for some of many
 * @size: sizeof(struct aop_ioc_wait)
 * @flags: 0
 * @entries: pointer to struct aop_wait_entry
 * @entry_size: size of one of them
 * @nr: how many, at most AOP_MAX_ENTRIES
 * @deadline: absolute; 0: look only; AOP_FOREVER_NS: none
 * @need: how many of the entries must have an event
 * @count: out: how many had
 * @signals: pointer to struct aop_signal_entry, carried out first; or 0
 * @signal_size: size of one of them
 * @nr_signals: how many, at most AOP_MAX_ENTRIES
 * @signalled: in: how many to skip; out: how many were handled.  Written before
 *	the call sleeps, so that repeating it after a signal repeats none of them
 * @pad: 0
 */
struct aop_ioc_wait {
	__u32 size;
	__u32 flags;
	__aligned_u64 entries;
	__u32 entry_size;
	__u32 nr;
	__aligned_u64 deadline;
	__u32 need;
	__u32 count;
	__aligned_u64 signals;
	__u32 signal_size;
	__u32 nr_signals;
	__u32 signalled;
	__u32 pad;
};

/**
 * struct aop_cancel_entry - request a cancel (AOP_IOC_CANCEL)
 * @handle: with the right to cancel
 * @reason: negative, handed to the owner; 0 stands for -ECANCELED
 * @ret: out: enum aop_cancel_answer or a negative errno
 */
struct aop_cancel_entry {
	__aligned_u64 handle;
	__s32 reason;
	__s32 ret;
};

/**
 * enum aop_cancel_answer - what became of a request to cancel
 * @AOP_ASKED: the owner has been told
 * @AOP_STOPPED: nobody had accepted it: it is AOP_CANCELLED now
 * @AOP_TOO_LATE: it is final; its status says how
 */
enum aop_cancel_answer {
	AOP_ASKED,
	AOP_STOPPED,
	AOP_TOO_LATE,
};

/**
 * struct aop_ioc_export - make a file descriptor of an operation
 * @size: sizeof(struct aop_ioc_export)
 * @flags: 0
 * @handle: whose operation
 * @rights: AOP_MAY_*, some of the handle's; AOP_MAY_DRIVE leaves the handle
 * @pad: 0
 *
 * The call returns the descriptor, close-on-exec.  It becomes readable when the
 * operation is final; reading it gives a struct aop_status and takes nothing.
 */
struct aop_ioc_export {
	__u32 size;
	__u32 flags;
	__aligned_u64 handle;
	__u32 rights;
	__u32 pad;
};

/**
 * struct aop_attach_entry - get a handle on an existing operation (AOP_IOC_ATTACH)
 * @handle: out
 * @id: with @fd -1: the id to look up; out: the id
 * @data: for the slot of the handle
 * @fd: from AOP_IOC_EXPORT; or -1
 * @rights: in: those wanted, 0: all that can be had; out: those got
 * @mask: AOP_EV_* that queue the handle's slot; what holds already queues it now
 * @ret: out: 0 or a negative errno
 */
struct aop_attach_entry {
	__aligned_u64 handle;
	__aligned_u64 id;
	__aligned_u64 data;
	__s32 fd;
	__u32 rights;
	__u32 mask;
	__s32 ret;
};

/**
 * struct aop_detach_entry - give up rights (AOP_IOC_DETACH)
 * @handle: whose
 * @rights: AOP_MAY_* to give up, 0: all; a handle without rights is gone
 * @ret: out: 0 or a negative errno
 */
struct aop_detach_entry {
	__aligned_u64 handle;
	__u32 rights;
	__s32 ret;
};

/**
 * struct aop_modify_entry - change what a handle is queued for (AOP_IOC_MODIFY)
 * @handle: whose
 * @data: for its slot
 * @mask: AOP_EV_*; what holds already queues the slot now
 * @ret: out: 0 or a negative errno
 */
struct aop_modify_entry {
	__aligned_u64 handle;
	__aligned_u64 data;
	__u32 mask;
	__s32 ret;
};

/**
 * struct aop_ioc_group - make an operation that others decide
 * @size: sizeof(struct aop_ioc_group)
 * @flags: AOP_GROUP_*
 * @members: pointer to u64 handles with the right to look
 * @nr: how many, at least 1 and at most AOP_MAX_ENTRIES
 * @need: how many of them decide it
 * @handle: out: a handle with the rights to look and to cancel
 * @id: out: its id
 * @data: for the slot of the handle
 * @label: as in struct aop_create_entry
 * @parent: as in struct aop_create_entry
 * @deadline: as in struct aop_create_entry
 * @mask: as in struct aop_create_entry
 * @mode: as in struct aop_create_entry
 *
 * It begins AOP_RUNNING and has no owner.  When @need members have counted it is
 * AOP_DONE; its result is their number, or with AOP_GROUP_WHICH the index of the
 * one that decided it.  When @need of them cannot count any more, or one ends
 * AOP_GROUP_FAIL_FAST, it ends as the member did that decided so.  A group that was
 * asked to cancel asks its members, and ends AOP_CANCELLED when it is decided and
 * one of them was.
 */
struct aop_ioc_group {
	__u32 size;
	__u32 flags;
	__aligned_u64 members;
	__u32 nr;
	__u32 need;
	__aligned_u64 handle;
	__aligned_u64 id;
	__aligned_u64 data;
	__aligned_u64 label;
	__aligned_u64 parent;
	__aligned_u64 deadline;
	__u32 mask;
	__u32 mode;
};

#define AOP_GROUP_CANCEL_REST	0x1	/* decided: cancel the others, wait for them */
#define AOP_GROUP_FAIL_FAST	0x2	/* one that failed or was cancelled decides */
#define AOP_GROUP_ONLY_DONE	0x4	/* only AOP_DONE counts */
#define AOP_GROUP_WHICH		0x8	/* the result is who decided, not how many */
#define AOP_GROUP_ALL_FLAGS	0xf

/**
 * struct aop_ioc_query - all about one operation
 * @size: sizeof(struct aop_ioc_query)
 * @flags: 0
 * @handle: whose operation; or 0
 * @id: with @handle 0: of an operation that the caller may look at; out: the id
 * @status: out: as of now
 * @created: out: when
 * @started: out: when it was accepted, or 0
 * @deadline: out: or 0
 * @parent: out: id or 0
 * @rights: out: AOP_MAY_* of the handle
 * @watchers: out: how many handles, descriptors and groups may look at it
 * @uid: out: of its creator, in the caller's user namespace
 * @gid: out: of its creator, in the caller's user namespace
 * @pid: out: of its creator's process, in the caller's pid namespace, or 0
 * @mode: out: as created
 * @members: out: of a group, else 0
 * @need: out: of a group, else 0
 * @label: out: 0-terminated
 */
struct aop_ioc_query {
	__u32 size;
	__u32 flags;
	__aligned_u64 handle;
	__aligned_u64 id;
	struct aop_status status;
	__aligned_u64 created;
	__aligned_u64 started;
	__aligned_u64 deadline;
	__aligned_u64 parent;
	__u32 rights;
	__u32 watchers;
	__u32 uid;
	__u32 gid;
	__s32 pid;
	__u32 mode;
	__u32 members;
	__u32 need;
	char label[AOP_LABEL_SIZE];
};

/**
 * struct aop_ioc_import - make an operation that ends when something else does
 * @size: sizeof(struct aop_ioc_import)
 * @flags: 0
 * @fd: an eventfd, or a sync_file; may be closed afterwards
 * @mask: as in struct aop_create_entry
 * @handle: out: a handle with the rights to look and to cancel
 * @id: out: its id
 * @data: as in struct aop_create_entry
 * @label: as in struct aop_create_entry
 * @parent: as in struct aop_create_entry
 * @deadline: as in struct aop_create_entry
 * @mode: as in struct aop_create_entry
 * @pad: 0
 *
 * It begins AOP_RUNNING.  It is AOP_DONE with 0 when the eventfd's counter is or becomes
 * more than 0, of which nothing is taken, or when the fence signals; AOP_FAILED with the
 * fence's error; and AOP_FAILED with -EOWNERDEAD, by the system, when the last
 * descriptor of an eventfd is closed.  Asked to cancel or abandoned, it ends.
 */
struct aop_ioc_import {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 mask;
	__aligned_u64 handle;
	__aligned_u64 id;
	__aligned_u64 data;
	__aligned_u64 label;
	__aligned_u64 parent;
	__aligned_u64 deadline;
	__u32 mode;
	__u32 pad;
};

/**
 * struct aop_ioc_eventfd - have an eventfd signalled when an operation changes
 * @size: sizeof(struct aop_ioc_eventfd)
 * @flags: 0
 * @handle: with the right to look or to drive; to remove, also 0: of all operations
 * @fd: the eventfd; may be closed afterwards
 * @mask: AOP_EV_* that signal it, what holds already does so now; 0: remove it
 *
 * Several changes may be signalled once.
 */
struct aop_ioc_eventfd {
	__u32 size;
	__u32 flags;
	__aligned_u64 handle;
	__s32 fd;
	__u32 mask;
};

/**
 * struct aop_ioc_port - make an operation that others can call
 * @size: sizeof(struct aop_ioc_port)
 * @flags: AOP_CREATE_*
 * @handle: out: a handle with all rights, AOP_MAY_PORT
 * @id: out: its id
 * @data: as in struct aop_create_entry
 * @label: as in struct aop_create_entry; its calls have the same
 * @parent: as in struct aop_create_entry
 * @deadline: as in struct aop_create_entry
 * @mask: as in struct aop_create_entry
 * @mode: who may attach by id: as in struct aop_create_entry, execute bits to call
 * @backlog: how many calls may be queued, 1 to AOP_MAX_BACKLOG; counts as so many handles
 * @message: bytes that a request may have, 0: AOP_MAX_MESSAGE
 * @state: AOP_PENDING: calls are queued, but not served before it is started;
 *	or AOP_RUNNING
 * @pad: 0
 *
 * Its progress is how many calls were taken of how many were made.  Its owner ends it
 * as any operation.  Calls that are queued then, and those that come later, end too,
 * by the system: of a port that is AOP_DONE with -ESHUTDOWN, else as the port did.
 */
struct aop_ioc_port {
	__u32 size;
	__u32 flags;
	__aligned_u64 handle;
	__aligned_u64 id;
	__aligned_u64 data;
	__aligned_u64 label;
	__aligned_u64 parent;
	__aligned_u64 deadline;
	__u32 mask;
	__u32 mode;
	__u32 backlog;
	__u32 message;
	__u32 state;
	__u32 pad;
};

/**
 * struct aop_call_entry - call a port
 * @port: handle with AOP_MAY_CALL
 * @message: pointer to the request
 * @reply: pointer to where the reply goes
 * @len: of the request
 * @room: for the reply, at most AOP_MAX_MESSAGE
 * @data: for the slot of the handle
 * @parent: as in struct aop_create_entry
 * @deadline: when to end it with -ETIMEDOUT, or 0
 * @fd: with AOP_CALL_FD: of a regular file, that the server gets as well; else 0
 * @mask: AOP_EV_* that queue the handle's slot
 * @flags: AOP_CALL_*
 * @ret: out: 0, or a negative errno when the call was not made
 * @handle: out: on the call, with the rights to look and to cancel; 0 when it was
 *	given up by AOP_CALLS_REAP
 * @id: out: of the call
 * @result: out: once final, as in struct aop_status
 * @state: out: enum aop_state
 * @reply_len: out: bytes of the reply
 *
 * The call is an operation.  Its owner is the port, and whoever takes it from there.
 */
struct aop_call_entry {
	__aligned_u64 port;
	__aligned_u64 message;
	__aligned_u64 reply;
	__u32 len;
	__u32 room;
	__aligned_u64 data;
	__aligned_u64 parent;
	__aligned_u64 deadline;
	__s32 fd;
	__u32 mask;
	__u32 flags;
	__s32 ret;
	__aligned_u64 handle;
	__aligned_u64 id;
	__aligned_s64 result;
	__u32 state;
	__u32 reply_len;
};

#define AOP_CALL_DETACHED	0x1	/* goes on when nobody watches */
#define AOP_CALL_FD		0x2	/* with a descriptor */

/**
 * struct aop_ioc_call - make calls, and wait for some of them to end
 * @size: sizeof(struct aop_ioc_call)
 * @flags: AOP_CALLS_*
 * @entries: pointer to struct aop_call_entry
 * @entry_size: size of one of them
 * @nr: how many, at most AOP_MAX_ENTRIES
 * @deadline: of the waiting, absolute; 0: do not wait; AOP_FOREVER_NS: none
 * @need: how many calls must have ended
 * @called: in: how many entries were carried out before; out: how many are.  Written
 *	before the call sleeps, so that repeating it after a signal repeats no call
 * @count: out: how many have ended, and entries that failed
 * @pad: 0
 */
struct aop_ioc_call {
	__u32 size;
	__u32 flags;
	__aligned_u64 entries;
	__u32 entry_size;
	__u32 nr;
	__aligned_u64 deadline;
	__u32 need;
	__u32 called;
	__u32 count;
	__u32 pad;
};

#define AOP_CALLS_REAP	0x1	/* give up the handles of those that have ended */
#define AOP_CALLS_WAIT	0x2	/* where a backlog is full, wait, up to the deadline */

/**
 * struct aop_answer_entry - answer a call, or drive any operation
 * @handle: as in struct aop_signal_entry
 * @what: as in struct aop_signal_entry
 * @ret: as in struct aop_signal_entry
 * @value: as in struct aop_signal_entry
 * @total: as in struct aop_signal_entry
 * @message: with an end of a call: pointer to the reply
 * @len: of the reply, at most the room that the caller has for it
 * @pad: 0
 */
struct aop_answer_entry {
	__aligned_u64 handle;
	__u32 what;
	__s32 ret;
	__aligned_s64 value;
	__aligned_u64 total;
	__aligned_u64 message;
	__u32 len;
	__u32 pad;
};

/**
 * struct aop_taken_entry - a call that was taken
 * @handle: out: with the right to drive
 * @id: out: of the call
 * @data: in: for the slot of the handle
 * @mask: in: AOP_EV_* that queue it
 * @flags: out: AOP_F_*, as of now: what was asked for before it was taken
 * @deadline: out: of the call, or 0
 * @offset: out: where in the buffer the request is
 * @len: out: of the request
 * @room: out: bytes that the reply may have
 * @fd: out: the descriptor that came with it, close-on-exec, or -1
 * @uid: out: of the caller, in the taker's user namespace
 * @gid: out: of the caller, in the taker's user namespace
 * @pid: out: of the caller's process, in the taker's pid namespace, or 0
 * @pad: 0
 */
struct aop_taken_entry {
	__aligned_u64 handle;
	__aligned_u64 id;
	__aligned_u64 data;
	__u32 mask;
	__u32 flags;
	__aligned_u64 deadline;
	__u32 offset;
	__u32 len;
	__u32 room;
	__s32 fd;
	__u32 uid;
	__u32 gid;
	__s32 pid;
	__u32 pad;
};

/**
 * struct aop_ioc_serve - answer calls, and take the next ones
 * @size: sizeof(struct aop_ioc_serve)
 * @flags: 0
 * @answers: pointer to struct aop_answer_entry, carried out first; or 0
 * @answer_size: size of one of them
 * @nr_answers: how many, at most AOP_MAX_ENTRIES
 * @answered: in: how many to skip; out: how many were handled.  Written before the call
 *	sleeps, so that repeating it after a signal repeats none of them
 * @taken_size: size of one of @taken
 * @port: handle with AOP_MAY_SERVE; 0 with @nr 0
 * @taken: pointer to struct aop_taken_entry
 * @nr: how many calls to take at the most, up to AOP_MAX_ENTRIES; 0: only answer
 * @count: out: how many were taken
 * @buffer: pointer to where their requests go
 * @buffer_size: of it
 * @left: out: how many calls are still queued
 * @deadline: absolute, to wait for the first call; 0: do not wait; AOP_FOREVER_NS: none
 *
 * To take a call accepts it: it is AOP_RUNNING.
 */
struct aop_ioc_serve {
	__u32 size;
	__u32 flags;
	__aligned_u64 answers;
	__u32 answer_size;
	__u32 nr_answers;
	__u32 answered;
	__u32 taken_size;
	__aligned_u64 port;
	__aligned_u64 taken;
	__u32 nr;
	__u32 count;
	__aligned_u64 buffer;
	__u32 buffer_size;
	__u32 left;
	__aligned_u64 deadline;
};

/**
 * struct aop_message_entry - read a message of a call (AOP_IOC_MESSAGE)
 * @handle: on the call; with the right to look, or AOP_MESSAGE_REQUEST to drive
 * @buffer: pointer to where it goes
 * @room: there
 * @len: out: of the message; it is copied only if it fits
 * @flags: AOP_MESSAGE_*
 * @ret: out: 0 or a negative errno
 * @result: out: as in struct aop_call_entry
 * @state: out: as in struct aop_call_entry
 * @pad: 0
 */
struct aop_message_entry {
	__aligned_u64 handle;
	__aligned_u64 buffer;
	__u32 room;
	__u32 len;
	__u32 flags;
	__s32 ret;
	__aligned_s64 result;
	__u32 state;
	__u32 pad;
};

#define AOP_MESSAGE_REQUEST	0x1	/* the request, not the reply */
#define AOP_MESSAGE_DETACH	0x2	/* give up the handle too, once it is read */

/**
 * struct aop_delegate_entry - hand a call on to another port (AOP_IOC_DELEGATE)
 * @handle: on the call, with the right to drive, which leaves it
 * @port: handle with AOP_MAY_CALL
 * @ret: out: 0 or a negative errno
 * @pad: 0
 *
 * Request, caller and watchers stay the same; the reply reaches the caller.
 */
struct aop_delegate_entry {
	__aligned_u64 handle;
	__aligned_u64 port;
	__s32 ret;
	__u32 pad;
};

#define AOP_NAME_SIZE	64	/* of a name with its terminating 0 */

/**
 * struct aop_ioc_name - names of ports, in one network namespace
 * @size: sizeof(struct aop_ioc_name)
 * @flags: 0
 * @name: pointer to a 0-terminated string of UTF-8, shorter than AOP_NAME_SIZE
 * @what: enum aop_name
 * @mode: RESERVE, BIND: execute bits, who may find it
 * @handle: BIND: on the port, with the right to drive; FIND: out, with AOP_MAY_CALL
 * @data: FIND: for the slot of the handle
 * @mask: FIND: AOP_EV_ROOM or 0
 * @pad: 0
 * @id: out: of the port that is bound to it, or 0
 * @uid: out: of who has reserved it, in the caller's user namespace
 * @pid: out: of who has reserved it, in the caller's pid namespace, or 0
 *
 * @id, @uid and @pid are filled in for 0, -EEXIST and -ENOTCONN.
 */
struct aop_ioc_name {
	__u32 size;
	__u32 flags;
	__aligned_u64 name;
	__u32 what;
	__u32 mode;
	__aligned_u64 handle;
	__aligned_u64 data;
	__u32 mask;
	__u32 pad;
	__aligned_u64 id;
	__u32 uid;
	__s32 pid;
};

/**
 * enum aop_name - what to do with a name
 * @AOP_NAME_RESERVE: have it, bound to nothing yet
 * @AOP_NAME_BIND: bind it to a port; reserves it, if it is free
 * @AOP_NAME_RELEASE: give it up
 * @AOP_NAME_FIND: get a handle on the port that is bound to it
 */
enum aop_name {
	AOP_NAME_RESERVE,
	AOP_NAME_BIND,
	AOP_NAME_RELEASE,
	AOP_NAME_FIND,
};

#define AOP_IOC_TYPE		0xB9
#define AOP_IOC_FEATURES	_IO(AOP_IOC_TYPE, 0)	/* struct aop_ioc_features */
#define AOP_IOC_SETUP		_IO(AOP_IOC_TYPE, 1)	/* struct aop_ioc_setup */
#define AOP_IOC_CREATE		_IO(AOP_IOC_TYPE, 2)	/* struct aop_create_entry */
#define AOP_IOC_SIGNAL		_IO(AOP_IOC_TYPE, 3)	/* struct aop_signal_entry */
#define AOP_IOC_WAIT		_IO(AOP_IOC_TYPE, 4)	/* struct aop_ioc_wait */
#define AOP_IOC_CANCEL		_IO(AOP_IOC_TYPE, 5)	/* struct aop_cancel_entry */
#define AOP_IOC_EXPORT		_IO(AOP_IOC_TYPE, 6)	/* struct aop_ioc_export */
#define AOP_IOC_ATTACH		_IO(AOP_IOC_TYPE, 7)	/* struct aop_attach_entry */
#define AOP_IOC_DETACH		_IO(AOP_IOC_TYPE, 8)	/* struct aop_detach_entry */
#define AOP_IOC_MODIFY		_IO(AOP_IOC_TYPE, 9)	/* struct aop_modify_entry */
#define AOP_IOC_GROUP		_IO(AOP_IOC_TYPE, 10)	/* struct aop_ioc_group */
#define AOP_IOC_QUERY		_IO(AOP_IOC_TYPE, 11)	/* struct aop_ioc_query */
#define AOP_IOC_IMPORT		_IO(AOP_IOC_TYPE, 12)	/* struct aop_ioc_import */
#define AOP_IOC_EVENTFD		_IO(AOP_IOC_TYPE, 13)	/* struct aop_ioc_eventfd */
#define AOP_IOC_PORT		_IO(AOP_IOC_TYPE, 14)	/* struct aop_ioc_port */
#define AOP_IOC_CALL		_IO(AOP_IOC_TYPE, 15)	/* struct aop_ioc_call */
#define AOP_IOC_SERVE		_IO(AOP_IOC_TYPE, 16)	/* struct aop_ioc_serve */
#define AOP_IOC_MESSAGE		_IO(AOP_IOC_TYPE, 17)	/* struct aop_message_entry */
#define AOP_IOC_DELEGATE	_IO(AOP_IOC_TYPE, 18)	/* struct aop_delegate_entry */
#define AOP_IOC_NAME		_IO(AOP_IOC_TYPE, 19)	/* struct aop_ioc_name */

/*
 * The calls that are batches, for one entry: the argument is the entry itself, its
 * size is in the number.  What would be its ret is what the call returns; ret itself
 * is not written, and not looked at.
 */
#define AOP_IOC_CREATE_ONE	_IOWR(AOP_IOC_TYPE, 2, struct aop_create_entry)
#define AOP_IOC_SIGNAL_ONE	_IOW(AOP_IOC_TYPE, 3, struct aop_signal_entry)
#define AOP_IOC_CANCEL_ONE	_IOW(AOP_IOC_TYPE, 5, struct aop_cancel_entry)
#define AOP_IOC_ATTACH_ONE	_IOWR(AOP_IOC_TYPE, 7, struct aop_attach_entry)
#define AOP_IOC_DETACH_ONE	_IOW(AOP_IOC_TYPE, 8, struct aop_detach_entry)
#define AOP_IOC_MODIFY_ONE	_IOW(AOP_IOC_TYPE, 9, struct aop_modify_entry)

/* ---- commands of io_uring ---------------------------------------------- */

/*
 * IORING_OP_URING_CMD on a context: cmd_op is one of AOP_URING_*, and the struct that
 * goes with it stands in cmd.  All other fields but fd, user_data and those that every
 * request has are 0.  The answer is res: 0 or more, or a negative errno.
 */

/**
 * struct aop_uring_wait - wait for one operation (AOP_URING_WAIT)
 * @handle: with the right to look or to drive
 * @mask: AOP_EV_* to wait for, any of them
 * @seq: for AOP_EV_CHANGE: the sequence number that the caller has seen
 *
 * res is those of @mask that hold, as in struct aop_wait_entry.
 */
struct aop_uring_wait {
	__aligned_u64 handle;
	__u32 mask;
	__u32 seq;
};

/**
 * struct aop_uring_batch - many entries (AOP_URING_SIGNAL, AOP_URING_CANCEL)
 * @entries: pointer to struct aop_signal_entry or struct aop_cancel_entry, which stay
 *	until the request has completed
 * @entry_size: size of one of them
 * @nr: how many, at most AOP_MAX_ENTRIES
 *
 * res is how many were handled; each entry has its answer in ret.
 */
struct aop_uring_batch {
	__aligned_u64 entries;
	__u32 entry_size;
	__u32 nr;
};

/**
 * struct aop_uring_unwait - end waits that pend (AOP_URING_UNWAIT)
 * @user_data: of the requests; those of all rings on this context
 * @pad: 0
 *
 * They complete with -ECANCELED.  res is how many they are.
 */
struct aop_uring_unwait {
	__aligned_u64 user_data;
	__aligned_u64 pad;
};

#define AOP_URING_WAIT		_IO(AOP_IOC_TYPE, 64)	/* struct aop_uring_wait */
#define AOP_URING_SIGNAL	_IO(AOP_IOC_TYPE, 65)	/* struct aop_uring_batch */
#define AOP_URING_CANCEL	_IO(AOP_IOC_TYPE, 66)	/* struct aop_uring_batch */
#define AOP_URING_UNWAIT	_IO(AOP_IOC_TYPE, 67)	/* struct aop_uring_unwait */

#endif /* _UAPI_LINUX_AOP_H */
