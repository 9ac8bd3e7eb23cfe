/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fuzzer's own terms: a program is a list of calls, each for one of two threads,
 * with a few small numbers that say what it is made with.  What calls share lives in
 * a world, which is new for each program.
 */
#ifndef SELFTESTS_FUZZ_H
#define SELFTESTS_FUZZ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>

#include "../abi.h"

#define THREADS		2
#define ARGS		6
#define MAX_CALLS	24

struct call {
	uint8_t kind;			/* index into kinds */
	uint8_t thread;
	uint16_t arg[ARGS];
};

struct prog {
	unsigned int nr;
	struct call call[MAX_CALLS];
};

#define CTXS		3
#define HANDLES		12
#define IDS		8
#define FDS		6
#define PORTS		4
#define TAKEN		8

/*
 * Calls of both threads use it at the same time and without a lock: what they find may
 * be closed or detached by then, and that is intended.  Only who takes a descriptor out
 * closes it.
 */
struct world {
	struct abi_ctx ctx[CTXS];
	struct abi_ctx stale[MAX_CALLS];	/* mappings of those that are closed */
	unsigned int nr_stale;
	uint64_t handle[CTXS][HANDLES];
	uint64_t id[IDS];
	uint64_t port[CTXS][PORTS];	/* to call, to serve, or both */
	uint64_t taken[CTXS][TAKEN];	/* calls */
	int opfd[FDS];			/* exported; -1: none */
	int event[FDS];			/* eventfds, fences */
	int sync;			/* sw_sync or -1 */
	int netlink[2];
	int file;			/* to go with calls */
	uint16_t family;
	int dev;			/* of the driver of the tests, or -1 */
	pthread_mutex_t driver;		/* who drives must not race with the end: its contract */
	uint8_t owned[8];
	uint8_t watched[8];
	/* How many there have been of each; the newest take the places of the oldest. */
	unsigned int handles[CTXS];
	unsigned int ports[CTXS], taken_calls[CTXS];
	unsigned int ids, opfds, events;
};

/* What a call is made with: user memory that others write to meanwhile. */
#define ARENA		(8 * 4096)

struct self {
	struct world *w;
	char *arena;			/* ARENA bytes, and behind them nothing */
	unsigned int nr;
};

typedef long run_fn(struct self *self, const uint16_t *arg);

struct kind {
	const char *name;
	run_fn *run;
	unsigned int weight;
};

extern const struct kind kinds[];
extern const unsigned int nr_kinds;

/* ops.c */
run_fn do_open, do_close, do_setup, do_features, do_mmap, do_poll, do_reap, do_fdinfo,
	do_raw, do_create, do_signal, do_cancel, do_detach, do_modify, do_attach, do_export,
	do_opfd, do_group, do_query, do_wait, do_import, do_eventfd;

/* around.c */
run_fn do_source, do_child, do_netlink, do_driver, do_knob;

/* ports.c */
run_fn do_port, do_call, do_serve, do_message, do_delegate, do_name;

void world_begin(struct world *w);
void world_end(struct world *w);

#endif /* SELFTESTS_FUZZ_H */
