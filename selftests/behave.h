/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of behaviours share beyond the plain calls of abi.h: threads
 * that wait, processes that die, descriptors in messages, and looking at what
 * sleeps.
 *
 * ASSERT_* jumps out of the test function, so only that function may use it:
 * threads and children here return what they saw, and the test looks at it.
 */
#ifndef SELFTESTS_BEHAVE_H
#define SELFTESTS_BEHAVE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "harness.h"
#include "abi.h"
#include "pass.h"

#define MSEC_NS		1000000ULL

/* ---- looking ------------------------------------------------------------- */

/* The slot of a handle, as it was at one moment. */
static inline struct aop_status status_of(struct abi_ctx *c, uint64_t handle)
{
	struct aop_status st;

	abi_read_slot(abi_slot(c, abi_index(handle)), &st);
	return st;
}

static inline uint32_t seq_of(struct abi_ctx *c, uint64_t handle)
{
	return status_of(c, handle).seq;
}

static inline unsigned int flags_of(struct abi_ctx *c, uint64_t handle)
{
	return status_of(c, handle).flags;
}

static inline uint32_t rights_of(struct abi_ctx *c, uint64_t handle)
{
	struct aop_ioc_query q;

	return abi_query(c, handle, &q) ? 0 : q.rights;
}

static inline uint32_t watchers_of(struct abi_ctx *c, uint64_t handle)
{
	struct aop_ioc_query q;

	return abi_query(c, handle, &q) ? ~0u : q.watchers;
}

/* Whether two looks at a final status agree in all that never changes again. */
static inline bool same_end(const struct aop_status *a, const struct aop_status *b)
{
	return a->state == b->state && (a->flags | AOP_F_OVER) == (b->flags | AOP_F_OVER) &&
	       a->reason == b->reason && a->result == b->result && a->done == b->done &&
	       a->total == b->total && a->time == b->time && a->id == b->id;
}

/* How the operation behind a handle ended. */
#define EXPECT_ENDED(c, handle, want_state, want_result)			\
do {										\
	struct aop_status ended_ = status_of(c, handle);			\
										\
	EXPECT_EQ(want_state, ended_.state);					\
	EXPECT_EQ((int64_t)(want_result), ended_.result);			\
} while (0)

/* The owner went away: that, and said so by the system. */
#define EXPECT_OWNER_DEAD(c, handle)						\
do {										\
	EXPECT_ENDED(c, handle, AOP_FAILED, -EOWNERDEAD);			\
	EXPECT_EQ(AOP_F_SYSTEM | AOP_F_OVER,					\
		  flags_of(c, handle) & (AOP_F_SYSTEM | AOP_F_OVER));		\
} while (0)

/* ---- making -------------------------------------------------------------- */

static inline uint64_t new_running(struct abi_ctx *c, uint32_t mask)
{
	uint64_t h = abi_new(c, 0, mask);

	return h && !abi_start(c, h) ? h : 0;
}

static inline uint64_t new_deadline(struct abi_ctx *c, uint32_t mask, uint64_t deadline)
{
	struct aop_create_entry e = { .mask = mask, .mode = 0600, .deadline = deadline };

	return abi_create(c, &e) ? 0 : e.handle;
}

/* What a test says to get into a state, and what it must find there. */
static const struct {
	uint32_t what;
	int64_t value;
	int64_t result;
	const char *name;
} way[AOP_NR_STATES] = {
	[AOP_RUNNING]	= { AOP_SIGNAL_START, 0, 0, "running" },
	[AOP_DONE]	= { AOP_SIGNAL_DONE, 77, 77, "done" },
	[AOP_FAILED]	= { AOP_SIGNAL_FAIL, -EBADMSG, -EBADMSG, "failed" },
	[AOP_CANCELLED]	= { AOP_SIGNAL_CANCELLED, -EINTR, -EINTR, "cancelled" },
};

/* An operation that was created in @state. */
static inline uint64_t born(struct abi_ctx *c, unsigned int state)
{
	struct aop_create_entry e = {
		.state = state, .result = way[state].result, .mode = 0600, .mask = AOP_EV_ALL,
	};

	return abi_create(c, &e) ? 0 : e.handle;
}

/* A handle in @to on the operation of @handle in @from, or 0. */
static inline uint64_t share(struct abi_ctx *from, uint64_t handle, struct abi_ctx *to,
			     uint32_t rights, uint32_t mask)
{
	int fd = abi_export(from, handle, rights);
	uint64_t h = 0;

	if (fd < 0)
		return 0;
	abi_attach_fd(to, fd, rights, 0, mask, &h);
	close(fd);
	return h;
}

/* A watcher of it. */
static inline uint64_t watch(struct abi_ctx *from, uint64_t handle, struct abi_ctx *to,
			     uint32_t mask)
{
	return share(from, handle, to, AOP_MAY_LOOK | AOP_MAY_CANCEL, mask);
}

/* Whether the ring of @c holds exactly @handle; empties it. */
static inline bool reap_only(struct abi_ctx *c, uint64_t handle)
{
	uint32_t index[2];
	uint32_t n = abi_reap(c, index, 2);

	return n == 1 && index[0] == abi_index(handle);
}

/* ---- threads ------------------------------------------------------------- */

/* A line of /proc that begins with @key, as a number; -1 if there is none. */
static inline long long proc_number(const char *path, const char *key)
{
	char line[256];
	long long v = -1;
	FILE *f = fopen(path, "re");

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, strlen(key))) {
			v = strtoll(line + strlen(key), NULL, 10);
			break;
		}
	}
	fclose(f);
	return v;
}

/* How often a thread went to sleep of its own will. */
static inline long long sleeps_of(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	return proc_number(path, "voluntary_ctxt_switches:");
}

/* Is a thread asleep, and not just on its way to another processor's queue? */
static inline bool sleeps(pid_t tid)
{
	char path[64], buf[128], *end;
	FILE *f;
	bool ret;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	end = fgets(buf, sizeof(buf), f) ? strrchr(buf, ')') : NULL;
	ret = end && end[1] && end[2] == 'S';
	fclose(f);
	return ret;
}

/* The number, or else the letter, behind @after in a file of a thread; -1: none. */
static inline int proc_field(pid_t tid, const char *file, const char *after)
{
	char path[64], buf[256];
	ssize_t n;
	char *p;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	p = strstr(buf, after);
	if (!p || n <= 0)
		return -1;
	p += strlen(after);
	return *p >= '0' && *p <= '9' ? atoi(p) : *p;
}

/*
 * Return when a thread sleeps inside a system call: true; or is no more: false.  The
 * kernel tells nobody when one falls asleep, so look again and again.  "syscall"
 * alone also says so of one that is being woken, and "stat" alone of one that
 * sleeps elsewhere.  What the freezer has interrupted may go on as restart_syscall().
 */
static inline bool until_asleep_in(pid_t tid, long nr)
{
	int state, in;

	for (;;) {
		state = proc_field(tid, "stat", ") ");
		if (state == -1 || state == 'Z' || state == 'X')
			return false;
		in = proc_field(tid, "syscall", "");
		if (state == 'S' && (in == nr || in == SYS_restart_syscall) &&
		    proc_field(tid, "stat", ") ") == 'S')
			return true;
		sched_yield();
	}
}

static inline bool until_asleep(pid_t tid)
{
	return until_asleep_in(tid, SYS_ioctl);
}

/* One AOP_IOC_WAIT on a thread of its own. */
struct waiter {
	struct abi_ctx *c;
	struct aop_ioc_wait w;
	struct aop_wait_entry one;	/* for those that wait for one only */
	int ret;
	pid_t tid;
	pthread_t thread;
};

static inline void *waiter_run(void *arg)
{
	struct waiter *t = arg;

	__atomic_store_n(&t->tid, gettid(), __ATOMIC_RELEASE);
	t->ret = abi_ioctl(t->c->fd, AOP_IOC_WAIT, &t->w);
	return NULL;
}

static inline struct aop_ioc_wait wait_args(struct aop_wait_entry *entries, uint32_t nr,
					    uint32_t need, uint64_t deadline)
{
	return (struct aop_ioc_wait) {
		.size = sizeof(struct aop_ioc_wait),
		.entries = abi_u64(entries),
		.entry_size = sizeof(*entries),
		.nr = nr,
		.need = need,
		.deadline = deadline,
		.signal_size = sizeof(struct aop_signal_entry),
	};
}

/* Start it; @t->w is filled in. Returns 0 or -errno. */
static inline int waiter_start(struct waiter *t, struct abi_ctx *c)
{
	int ret;

	t->c = c;
	t->ret = 0;
	t->tid = 0;
	ret = pthread_create(&t->thread, NULL, waiter_run, t);
	if (ret)
		return -ret;
	while (!__atomic_load_n(&t->tid, __ATOMIC_ACQUIRE))
		sched_yield();
	return 0;
}

/* The same for one operation and for ever; 0 when it sleeps. */
static inline int waiter_sleep(struct waiter *t, struct abi_ctx *c, uint64_t handle,
			       uint32_t mask, uint32_t seq)
{
	int ret;

	t->one = (struct aop_wait_entry) { .handle = handle, .mask = mask, .seq = seq };
	t->w = wait_args(&t->one, 1, 1, AOP_FOREVER_NS);
	ret = waiter_start(t, c);
	if (ret)
		return ret;
	return until_asleep(t->tid) ? 0 : -EALREADY;
}

static inline int waiter_join(struct waiter *t)
{
	pthread_join(t->thread, NULL);
	return t->ret;
}

/* ---- races ----------------------------------------------------------------- */

/*
 * Two threads do a part each in rounds that begin together.  Who lost is earlier the
 * next time, further and further until it wins: so it stays a race, however fast the
 * machine is and whatever else it does.
 */
struct race {
	int round;		/* that may begin */
	int done;		/* that the second thread has ended */
	int delay;		/* whose part is later: > 0 the first's, < 0 the second's */
	int step;		/* what the delay was last changed by */
};

/* The first thread: begin round @round. */
static inline void race_begin(struct race *r, int round)
{
	int n;

	__atomic_store_n(&r->round, round, __ATOMIC_RELEASE);
	for (n = r->delay; n > 0; n--)
		__asm__ volatile("");
}

/* The second thread: the same. */
static inline void race_join(struct race *r, int round)
{
	int n;

	while (__atomic_load_n(&r->round, __ATOMIC_ACQUIRE) != round)
		sched_yield();
	for (n = r->delay; n < 0; n++)
		__asm__ volatile("");
}

/* The second thread: its part is done. */
static inline void race_done(struct race *r, int round)
{
	__atomic_store_n(&r->done, round, __ATOMIC_RELEASE);
}

/* The first thread: wait for that. */
static inline void race_over(struct race *r, int round)
{
	while (__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) != round)
		sched_yield();
}

/* The first thread, before the next round. */
static inline void race_even_out(struct race *r, bool first_lost)
{
	bool first_before = r->step < 0;

	if (first_before != first_lost || !r->step)
		r->step = first_lost ? -16 : 16;
	else if (abs(r->step) < 1 << 16)
		r->step *= 2;
	r->delay += r->step;
}

/* ---- processes ----------------------------------------------------------- */

/* A child that does not outlive the test. */
static inline pid_t spawn(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

/* What a child ended with: its status, or 128 and the signal. */
static inline int reap_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif /* SELFTESTS_BEHAVE_H */
