/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aop/monitor.h - the operations of the system, seen from outside
 *
 * For tools: list the shared ops that one may look at, whoever made them, follow
 * their changes live, cancel one whose id is known.  It speaks generic netlink to the
 * module and needs no context.  What it tells is advice: changes are merged, and a
 * reader that is too slow loses some, is told how many, and is brought up to date.
 *
 * One sees the ops that one could attach to by id (opts.mode), of processes in the
 * same network namespace; ids of users and processes are translated into one's own
 * namespaces, times are CLOCK_MONOTONIC.
 */
#ifndef AOP_MONITOR_H
#define AOP_MONITOR_H

#include <aop.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* What is known of an op.  It grows at its end: size says how much there is. */
struct aop_info {
	uint32_t size;
	uint32_t watchers;		/* handles, descriptors and groups that may look */
	struct aop_status st;		/* but for gen and data */
	uint64_t created;		/* st.time of a final op is when it ended */
	uint64_t started;		/* 0: not accepted yet */
	uint64_t deadline;		/* 0: none */
	uint64_t parent;		/* id; 0: none */
	uint32_t uid, gid;		/* of its creator */
	int32_t pid;			/* of its creator's process; 0: in no namespace of ours */
	uint32_t mode;			/* who may attach by id, as a file's */
	uint32_t members;		/* of a group: aop_monitor_members() lists them */
	uint32_t need;			/* of a group: how many members decide it */
	char label[AOP_LABEL_SIZE];	/* "": none */
	char comm[16];			/* name of its creator's process */
};

/* Which ops.  All zero matches every one; all that is given must match. */
struct aop_filter {
	uint32_t size;
	uint32_t flags;			/* AOP_FILTER_* */
	uint32_t states;		/* 1 << state; 0: any */
	uint32_t uid;			/* with AOP_FILTER_UID */
	int32_t pid;			/* 0: any */
	uint32_t pad;
	uint64_t parent;		/* 0: any */
	int64_t min_age;		/* nanoseconds since it was created; 0: any */
	int64_t max_age;		/* 0: any */
	const char *label;		/* pattern with * ? []; NULL: any; copied */
};

#define AOP_FILTER_UID	0x1		/* uid counts, since 0 is one */

/* ------------------------------------------------------------------------
 * Once.  Each of these opens a socket, asks, and closes it; they block, shortly.
 */

typedef void aop_list_fn(void *data, const struct aop_info *info);

/* Calls fn for each op that matches, in no order; returns how many.  f: NULL: all. */
int  aop_monitor_list(const struct aop_filter *f, aop_list_fn *fn, void *data);
/* One op; info->size is sizeof(struct aop_info). */
int  aop_monitor_get(uint64_t id, struct aop_info *info) AOP_CHECK;
/* Ids of a group's members, n at the most; returns how many it has. */
int  aop_monitor_members(uint64_t id, uint64_t *ids, size_t n) AOP_CHECK;
/* enum aop_cancel_answer; reason 0: -ECANCELED. */
int  aop_monitor_cancel(uint64_t id, int reason);

/* ------------------------------------------------------------------------
 * Live
 */

struct aop_monitor;

enum aop_news {
	AOP_NEWS_LISTED,		/* info: part of the snapshot */
	AOP_NEWS_CHANGED,		/* info: new, or changed; the final one is the last */
	AOP_NEWS_READY,			/* the snapshot is complete: what was not told is gone */
	AOP_NEWS_LOST,			/* some were lost; a new snapshot and READY will follow */
};

/* info: NULL with READY and LOST; gone when fn returns. */
typedef void aop_monitor_fn(void *data, enum aop_news news, const struct aop_info *info);

struct aop_monitor_opts {
	uint32_t size, flags;
	const struct aop_filter *filter;	/* NULL: all, for the privileged */
	int64_t interval;		/* least time between news of progress; 0: 100 ms */
	int64_t resync;			/* least time between snapshots; 0: 250 ms */
	uint32_t buffer;		/* of the socket, in bytes; 0: 1 MiB, if one may */
	uint32_t budget;		/* news in one dispatch, about; 0: 4096 */
};

/* Subscribes; the snapshot comes by dispatch.  Unprivileged: the filter names a uid. */
int  aop_monitor_open(struct aop_monitor **m, const struct aop_monitor_opts *opts,
		      aop_monitor_fn *fn, void *data) AOP_CHECK;
void aop_monitor_close(struct aop_monitor *m);	/* not from fn */
int  aop_monitor_fd(struct aop_monitor *m);	/* readable: dispatch it */
int  aop_monitor_dispatch(struct aop_monitor *m);	/* calls fn, never blocks; how often */
/* Another filter, from now on, and a snapshot by it; may be called from fn. */
int  aop_monitor_filter(struct aop_monitor *m, const struct aop_filter *f);
uint64_t aop_monitor_lost(const struct aop_monitor *m);	/* news lost, ever */

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif /* AOP_MONITOR_H */
