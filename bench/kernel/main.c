// SPDX-License-Identifier: GPL-2.0
/*
 * What aop costs beside its peers: one table, in executed instructions.
 *
 *	kernel [--json] [ROW...]	(--list: their names)
 *
 * Each row is a thing that users do.  Its goal is a ratio of aop's raw calls to
 * the peer named in the row (for memory: bytes), and is from the issue that asked
 * for it; a goal that is missed is said, and is no failure.  Counts that are not
 * the same twice are one: exit status 1.
 */
#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

enum role {
	PEER = 1,		/* the one to beat */
	ALSO,			/* for comparison */
	RAW,			/* what is judged */
	LIB,			/* the same by way of libaop */
};

struct contender {
	enum role role;
	const char *name;
	contender_fn *fn;
	unsigned int n;		/* rounds of a pass */
	unsigned int per;	/* 0: 1 */
	unsigned int arg;
};

#define MAX_WHO	12

struct row {
	const char *name;
	const char *title;
	double goal;		/* 0: none */
	bool best;		/* the cheapest peer is the one to beat */
	bool memory;
	bool absolute;		/* the goal is a number, not a ratio */
	bool batch;
	double spread;		/* how far two passes may differ; 0: 1% */
	struct contender who[MAX_WHO + 1];
};

#define ANY(nr, rounds, ...) {							\
	{ PEER, "poll", many_poll_any, rounds, .arg = nr },			\
	{ ALSO, "epoll, all registered before", many_epoll_any, rounds, .arg = nr },	\
	__VA_ARGS__								\
	{ RAW, "aop: signal and wait", many_aop_any, rounds, .arg = nr },	\
}

#define ALL(nr, rounds) {							\
	{ PEER, "poll", many_poll_all, rounds, .arg = nr },			\
	{ RAW, "aop: signal and wait", many_aop_all, rounds, .arg = nr },	\
}

#define WATCHERS(nr) {								\
	{ PEER, "eventfd for each: write, read", many_read, 2000, .arg = nr },	\
	{ RAW, "aop: signal, take", many_watchers, 2000, .arg = nr },		\
}

#define PINGPONG {								\
	{ PEER, "eventfd", pp_eventfd, 1000 },					\
	{ ALSO, "eventfd + epoll", pp_eventfd_epoll, 1000 },			\
	{ PEER, "pipe", pp_pipe, 1000 },					\
	{ PEER, "unix socket", pp_socket, 1000 },				\
	{ PEER, "futex in shared memory", pp_futex, 1000 },			\
	{ PEER, "POSIX message queue", pp_mq, 1000 },				\
	{ PEER, "io_uring: MSG_RING and wait in one call", pp_uring, 1000 },	\
	{ ALSO, "aop: signal, epoll_wait, take", pp_raw_epoll, 1000 },		\
	{ ALSO, "aop: signal, blocking wait", pp_raw_blocking, 1000 },		\
	{ RAW, "aop: signal and wait in one call", pp_raw_wait, 1000 },		\
	{ LIB, "libaop: corked progress and aop_wait_change", pp_lib, 1000 },	\
}

static const struct row rows[] = {
	{ "memory", "an op with its owner and one watcher, bytes", .goal = 450, .memory = true,
	  .who = {
		{ PEER, "eventfd in epoll", eventfd_memory, 1 << 15 },
		{ RAW, "aop", raw_memory, 1 << 15 },
	} },
	{ "look", "look at a state", .who = {
		{ ALSO, "getppid()", getppid_call, 20000 },
		{ ALSO, "an ioctl of /dev/aop that does nothing", raw_empty, 20000 },
		{ ALSO, "aop, AOP_IOC_QUERY", raw_query, 20000 },
		{ RAW, "aop, mapped slot", raw_load, 20000 },
		{ LIB, "libaop: aop_state", lib_load, 20000 },
	} },
	{ "event", "one event, seen through epoll", .goal = 0.70, .who = {
		{ PEER, "eventfd: write, epoll_wait, read", eventfd_event, 5000 },
		{ ALSO, "pipe", way_pipe, 2000 },
		{ ALSO, "unix socket", way_socket, 2000 },
		{ ALSO, "POSIX message queue", way_mq, 2000 },
		{ ALSO, "signalfd", way_signalfd, 2000 },
		{ ALSO, "eventfd polled by io_uring", way_uring_poll, 2000 },
		{ ALSO, "io_uring: MSG_RING, registered eventfd", way_uring_eventfd, 2000 },
		{ RAW, "aop: signal, epoll_wait, take", raw_event, 5000 },
		{ ALSO, "aop: the same, of the final event", raw_event_final, 5000 },
		{ LIB, "libaop: progress, epoll_wait, dispatch", lib_event, 5000 },
	} },
	{ "ring", "one event, seen in the mapped ring", .goal = 0.40, .who = {
		{ PEER, "eventfd: write, epoll_wait, read", eventfd_event, 5000 },
		{ ALSO, "io_uring: MSG_RING, take", way_uring_msg, 5000 },
		{ RAW, "aop: signal, take", raw_ring, 5000 },
		{ LIB, "libaop: progress, dispatch", lib_ring, 5000 },
	} },
	{ "burst", "64 events, one epoll_wait", .goal = 0.10, .who = {
		{ PEER, "64 eventfds", eventfd_burst, 50, .arg = BURST },
		{ ALSO, "io_uring: 64 MSG_RING at once, take", way_uring_burst, 50, .arg = BURST },
		{ RAW, "aop: one signal call", raw_burst, 200, .arg = BURST },
		{ LIB, "libaop: corked", lib_burst, 200, .arg = BURST },
	} },
	{ "burst-1024", "1,024 events, one epoll_wait", .who = {
		{ PEER, "1,024 eventfds", eventfd_burst, 4, .arg = MANY },
		{ ALSO, "io_uring: 1,024 MSG_RING at once, take", way_uring_burst, 4, .arg = MANY },
		{ RAW, "aop: one signal call", raw_burst, 10, .arg = MANY },
		{ LIB, "libaop: corked", lib_burst, 10, .arg = MANY },
	} },
	{ "event-other", "one event, seen by another process, which then sleeps again", .who = {
		{ PEER, "eventfd + epoll", tell_eventfd, 1000 },
		{ ALSO, "pipe + epoll", tell_pipe, 1000 },
		{ ALSO, "unix socket + epoll", tell_socket, 1000 },
		{ ALSO, "POSIX message queue + epoll", tell_mq, 1000 },
		{ ALSO, "signalfd + epoll", tell_signalfd, 1000 },
		{ ALSO, "io_uring: MSG_RING, wait", tell_uring, 1000 },
		{ ALSO, "futex in shared memory", tell_futex, 1000 },
		{ RAW, "aop: signal, epoll_wait, take", tell_raw_epoll, 1000 },
		{ ALSO, "aop: signal, blocking wait", tell_raw_wait, 1000 },
	} },
	{ "life", "create, attach, complete, epoll_wait, see, release", .goal = 0.50,
	  .spread = 0.03, .who = {
		{ PEER, "eventfd in epoll", eventfd_life, 20000 },
		{ RAW, "aop", raw_life, 2000 },
		{ LIB, "libaop", lib_life, 2000 },
	} },
	{ "lives", "the same, 64 at a time, each", .goal = 0.09, .spread = 0.03, .who = {
		{ PEER, "eventfd in epoll, one by one", eventfd_life, 20000 },
		{ ALSO, "64 eventfds, one epoll_wait", eventfd_life_batch, 300, BURST },
		{ RAW, "aop", raw_life_batch, 100, BURST },
		{ LIB, "libaop: corked", lib_life_batch, 100, BURST },
	} },
	{ "cancel", "a request to cancel, seen, answered, and the answer seen", .who = {
		{ PEER, "two eventfds + epoll", cancel_eventfd, 1000 },
		{ ALSO, "io_uring: ASYNC_CANCEL of a poll", cancel_uring, 100 },
		{ RAW, "aop: cancel, end, both through epoll", cancel_aop, 1000 },
	} },
	{ "attach", "attach to what a descriptor stands for, and detach", .spread = 0.03, .who = {
		{ PEER, "epoll_ctl: add, delete", attach_epoll, 10000 },
		{ RAW, "aop: attach by descriptor, detach", attach_fd, 2000 },
		{ ALSO, "aop: attach by id, detach", attach_id, 2000 },
	} },
	{ "any-2", "one of 2 happens; wait for any", .who = ANY(2, 2000,
		{ ALSO, "futex_waitv", many_waitv_any, 2000, .arg = 2 },) },
	{ "any-64", "one of 64 happens; wait for any", .who = ANY(64, 500,
		{ ALSO, "futex_waitv", many_waitv_any, 500, .arg = 64 },) },
	{ "any-1024", "one of 1,024 happens; wait for any", .who = ANY(1024, 50, ) },
	{ "all-2", "both happen; wait for all", .who = ALL(2, 2000) },
	{ "all-64", "64 happen; wait for all", .who = ALL(64, 100) },
	{ "all-1024", "1,024 happen; wait for all", .who = ALL(1024, 5) },
	{ "watched", "an event of one op, of 1,000,000 watched", .goal = 1.10, .who = {
		{ PEER, "aop: of 1", many_watched, 2000, .arg = 1 },
		{ ALSO, "aop: of 1,000", many_watched, 2000, .arg = 1000 },
		{ RAW, "aop: of 1,000,000", many_watched, 2000, .arg = 1000000 },
		{ ALSO, "eventfd + epoll: of 1", many_eventfds, 2000, .arg = 1 },
		{ ALSO, "eventfd + epoll: of 1,000", many_eventfds, 2000, .arg = 1000 },
	} },
	{ "watchers-0", "signal; nobody watches", .who = {
		{ RAW, "aop: signal", many_watchers, 2000, .arg = 0 },
	} },
	{ "watchers-1", "signal; one watches its ring", .who = WATCHERS(1) },
	{ "watchers-8", "signal; 8 watch their rings", .who = WATCHERS(8) },
	{ "death", "a process is killed that had promised 1,000 things", .spread = 0.05, .who = {
		{ PEER, "1,000 pipes in epoll", death_pipes, 1 },
		{ ALSO, "pidfd in epoll: the process alone", death_pidfd, 1 },
		{ RAW, "aop: 1,000 ops", death_aop, 1 },
	} },
	{ "driver", "a driver ends an op; one sleeps in epoll", .goal = 1.2, .who = {
		{ PEER, "eventfd_signal()", driver_eventfd, 200 },
		{ RAW, "aop_done()", driver_watched, 200 },
	} },
	{ "driver-alone", "the same; nobody watches", .goal = 120, .absolute = true, .who = {
		{ RAW, "aop_done()", driver_held, 200 },
		{ ALSO, "aop_done_at(), the clock read before", driver_timed, 200 },
		{ ALSO, "aop_done() of an op that nobody holds", driver_freed, 200 },
	} },
	{ "list", "4096 ops listed by netlink, each", .who = {
		{ RAW, "aop: the dump, received", raw_list, 4, 4096 },
		{ LIB, "libaop: aop_monitor_list", lib_list, 4, 4096 },
	} },
	{ "news", "64 times create, complete, release, each; who is told by netlink", .who = {
		{ RAW, "aop: nobody listens", news_nobody, 50, BURST },
		{ ALSO, "aop: one who asked for others' ops", news_others, 50, BURST },
		{ ALSO, "aop: one who is told, and reads it", news_reader, 50, BURST },
	} },
	{ "uring", "one event, by io_uring", .who = {
		{ ALSO, "epoll: signal, epoll_wait, take", raw_event, 5000 },
		{ ALSO, "poll of the context, armed each time", uring_poll, 2000 },
		{ ALSO, "multishot poll of the context", uring_multishot, 2000 },
		{ ALSO, "a command that waits for the op", uring_wait, 2000 },
		{ ALSO, "multishot; a command signals", uring_signal, 2000 },
		{ ALSO, "libaop: progress, a turn of a loop, epoll", loop_epoll, 2000 },
		{ ALSO, "libaop: the same, io_uring", loop_uring, 2000 },
	} },
	{ "uring-burst", "64 events, by io_uring", .who = {
		{ ALSO, "epoll: one signal call, epoll_wait, take", raw_burst, 200, .arg = BURST },
		{ ALSO, "poll of the context, armed each time", uring_poll_burst, 200 },
		{ ALSO, "multishot poll of the context", uring_multishot_burst, 200 },
		{ ALSO, "64 commands that wait", uring_wait_burst, 50 },
		{ ALSO, "multishot; a command signals", uring_signal_burst, 200 },
	} },
	{ "pingpong", "two processes, a round; who is woken runs at once", .goal = 0.90,
	  .best = true, .who = PINGPONG },
	{ "pingpong-batch", "the same; who is woken waits for the processor",
	  .best = true, .batch = true, .who = PINGPONG },
	{ "call", "64 bytes there and back, both block; who is woken runs at once", .goal = 0.8,
	  .who = {
		{ PEER, "unix socket, SOCK_SEQPACKET", port_socket, 1000 },
		{ ALSO, "two pipes", port_pipe, 1000 },
		{ ALSO, "POSIX message queues", port_mqueue, 1000 },
		{ ALSO, "eventfd + shared memory", port_memory, 1000 },
		{ RAW, "aop: AOP_IOC_CALL, AOP_IOC_SERVE", port_raw, 1000 },
	} },
	{ "calls", "the same, 64 at a time, each", .goal = 0.15, .who = {
		{ PEER, "unix socket, one by one", port_socket, 1000 },
		{ ALSO, "unix socket, 64 sent, 64 received", port_socket_burst, 50, BURST },
		{ RAW, "aop: one call of each side", port_raw_burst, 100, BURST },
	} },
};

static bool json;
static bool unstable;

static void print_one(const struct row *r, const struct contender *c, const struct bench *b,
		      double each, const struct contender *peer, double peer_each)
{
	double n = (double)b->n * b->per;
	double again = fmax(b->count[0], b->count[1]) / n;
	bool judged = c->role == RAW && r->goal;
	bool ours = c->role >= RAW && peer;
	bool met = (r->memory || r->absolute ? each : each / peer_each) <= r->goal;

	if (json) {
		static const char *const roles[] = {
			[PEER] = "peer", [ALSO] = "also", [RAW] = "aop", [LIB] = "libaop",
		};

		printf("{\"row\":\"%s\",\"title\":\"%s\",\"who\":\"%s\",\"role\":\"%s\"",
		       r->name, r->title, c->name, roles[c->role]);
		printf(",\"n\":%.0f,\"unit\":\"%s\"", n, r->memory ? "bytes" : "instructions");
		printf(",\"each\":%.2f", each);
		if (r->spread)
			printf(",\"spread\":%g", r->spread);
		if (b->pass == PASS_CALLS)
			printf(",\"again\":%.2f,\"total\":%.0f,\"calls\":%.3f", again,
			       fmin(b->count[0], b->count[1]), b->calls / n);
		if (ours)
			printf(",\"peer\":\"%s\",\"ratio\":%.4f", peer->name, each / peer_each);
		if (judged)
			printf(",\"goal\":%g,\"met\":%s", r->goal, met ? "true" : "false");
		printf("}\n");
		return;
	}
	printf("  %-42s %9.0f", c->name, each);
	if (b->pass != PASS_CALLS)
		printf(" %7s", "");
	else
		printf(" %7.2f", b->calls / n);
	if (ours)
		printf(" %7.3f", each / peer_each);
	if (judged)
		printf("  %4g  %s", r->goal, met ? "met" : "MISSED");
	printf("\n");
}

static double count_one(const struct row *r, const struct contender *c, struct bench *b)
{
	double n, spread;

	/* What the row before has left to RCU and to work items; idle time is skipped. */
	usleep(500000);
	*b = (struct bench) {
		.n = c->n, .per = c->per ?: 1, .arg = c->arg, .batch = r->batch,
	};
	c->fn(b);
	if (b->pass == PASS_NONE && !r->memory)
		return 0;	/* this kernel has it not */
	n = (double)b->n * b->per;
	if (r->memory)
		return b->bytes / n;
	/* What RCU and the allocator put off may fall into one pass or the other. */
	spread = fabs((double)b->count[0] - b->count[1]) / b->count[0];
	if (spread > (r->spread ?: 0.01)) {
		fprintf(stderr, "%s, %s: %.1f and %.1f: not the same twice\n", r->name, c->name,
			b->count[0] / n, b->count[1] / n);
		unstable = true;
	}
	return fmin(b->count[0], b->count[1]) / n;
}

static void print_row(const struct row *r)
{
	const struct contender *c, *peer = NULL;
	struct bench b[MAX_WHO];
	double each[MAX_WHO], peer_each = 0;
	int i;

	for (i = 0, c = r->who; c->fn; c++, i++) {
		each[i] = count_one(r, c, &b[i]);
		if (c->role == PEER && (!peer || (r->best && each[i] < peer_each))) {
			peer = c;
			peer_each = each[i];
		}
	}
	if (!json)
		printf("%s: %s%s%s\n", r->name, r->title, r->best ? "; against the best, " : "",
		       r->best ? peer->name : "");
	for (i = 0, c = r->who; c->fn; c++, i++)
		if (each[i])
			print_one(r, c, &b[i], each[i], peer, peer_each);
	fflush(stdout);
}

static bool wanted(const struct row *r, int argc, char **argv)
{
	bool all = true;
	int i;

	for (i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		all = false;
		if (!strcmp(argv[i], r->name))
			return true;
	}
	return all;
}

/* A name that is none would make an empty table, and a profile of nothing. */
static bool all_known(int argc, char **argv)
{
	size_t row;
	int i;

	for (i = 1; i < argc; i++) {
		for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
			if (argv[i][0] == '-' || !strcmp(argv[i], rows[row].name))
				break;
		if (row == sizeof(rows) / sizeof(rows[0])) {
			fprintf(stderr, "no row is called %s: see --list\n", argv[i]);
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	struct rlimit room = { 1 << 16, 1 << 16 };
	struct utsname u;
	size_t i;

	for (i = 1; i < (size_t)argc; i++)
		if (!strcmp(argv[i], "--json"))
			json = true;
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			printf("%-16s%s\n", rows[i].name, rows[i].title);
		return 0;
	}
	if (!all_known(argc, argv))
		return 2;
	want(!setrlimit(RLIMIT_NOFILE, &room));
	uname(&u);
	if (!json) {
		printf("Executed instructions, user and kernel, Linux %s, gcc %s\n\n", u.release,
		       __VERSION__);
		printf("  %-42s %9s %7s %7s  %4s\n", "", "each", "calls", "ratio", "goal");
	}
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (wanted(&rows[i], argc, argv))
			print_row(&rows[i]);
	return unstable;
}
