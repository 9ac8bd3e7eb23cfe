/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What aop_selftest.ko lets a test program do in the kernel: each function of
 * include/linux/aop.h as a call, from the context that it wants.
 */
#ifndef AOP_SELFTEST_H
#define AOP_SELFTEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define AOP_SELFTEST_DEVICE	"/dev/aop_selftest"

#define SELFTEST_PLACES	64		/* for owners and for watches of an open file */

enum selftest_what {
	SELFTEST_CREATE,	/* index: value: deadline, total: parent; returns a descriptor */
	SELFTEST_TRY,		/* create, let go: flags, mask: mode, pad: state, value: deadline,
				 * total: length of the label, fd: rights of a file of it
				 */
	SELFTEST_HANDLE,	/* of index in aop_fd: mask, value: data; out: total */
	SELFTEST_START,
	SELFTEST_PROGRESS,	/* value, total */
	SELFTEST_DONE,		/* value */
	SELFTEST_DONE_AT,	/* value; now */
	SELFTEST_FAIL,		/* value */
	SELFTEST_CANCELLED,	/* value */
	SELFTEST_LET_GO,
	SELFTEST_ASKED,
	SELFTEST_OWNER_SEEN,	/* out: value: cancels, total: releases, mask: the last why */
	SELFTEST_WATCH,		/* index: fd, or aop_fd and value: handle; mask, flags */
	SELFTEST_UNWATCH,	/* index */
	SELFTEST_WATCH_SEEN,	/* out: value: calls, total: newest seq, mask: its word,
				 * flags: how many told what the one before had told
				 */
	SELFTEST_WAIT,		/* fd, mask, value: until */
	SELFTEST_CANCEL,	/* fd, value: reason */
	SELFTEST_GATE,		/* value: what waits at the gate may go on, or must wait */
	SELFTEST_AT_GATE,	/* how many wait there */
	SELFTEST_DESTROY,	/* the source, with whatever it has */
	SELFTEST_FORGET,	/* close and unload leave everything behind */
	SELFTEST_EVENTFD,	/* fd: signal it; out: total: what it cost */
};

enum selftest_context {
	SELFTEST_PROCESS,
	SELFTEST_SOFTIRQ,
	SELFTEST_HARDIRQ,	/* also with PREEMPT_RT */
};

#define SELFTEST_GATED		0x1	/* its callback waits at the gate */
#define SELFTEST_ONCE		0x2	/* its callback unwatches and frees the watch */
#define SELFTEST_ENDS		0x4	/* its cancel callback acknowledges */
#define SELFTEST_RUNNING	0x8	/* begins AOP_RUNNING */
#define SELFTEST_DETACHED	0x10
#define SELFTEST_LOCKED		0x20	/* wait, destroy, drive: with a lock held that all take */
#define SELFTEST_ORDERED	0x40	/* its callback is on a queue where each waits */
#define SELFTEST_LEFT		0x80	/* its driver forgets it, and must not be told of its end */

/**
 * struct selftest_call - call one function
 * @what: enum selftest_what
 * @context: enum selftest_context; only for what drives an op
 * @index: of the owner or watch
 * @fd: see above
 * @aop_fd: see above
 * @mask: see above
 * @flags: SELFTEST_*
 * @pad: see above, or 0
 * @value: see above
 * @total: see above; out: of DONE and EVENTFD: the cost in ticks of the processor
 */
struct selftest_call {
	__u32 what;
	__u32 context;
	__u32 index;
	__s32 fd;
	__s32 aop_fd;
	__u32 mask;
	__u32 flags;
	__u32 pad;
	__s64 value;
	__u64 total;
};

#define AOP_SELFTEST_IOC_CALL	_IO('d', 0x92)	/* struct selftest_call */

#endif /* AOP_SELFTEST_H */
