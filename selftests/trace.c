// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints and the counters: what they tell is what happened, in its order,
 * with the sequence numbers that everybody else sees (M8), and each beginning has
 * its end.
 *
 * The events are recorded in an instance of tracefs of its own, and told apart by
 * the ids of this test's operations, so whoever traces beside it does no harm.
 */
#include "behave.h"
#include "file.h"
#include "reload.h"

#include <linux/perf_event.h>
#include <sys/stat.h>

#define TRACEFS		"/sys/kernel/tracing"
#define INSTANCE	TRACEFS "/instances/aop_test"
#define COUNTERS	"/sys/kernel/debug/aop/counters"

/* ---- reading a trace ------------------------------------------------------- */

/* What was recorded of one operation, "event: fields" a line, without who and when. */
static char *story_of(uint64_t id)
{
	static char story[16384];
	char line[1024], key[32], *event;
	FILE *f = fopen(INSTANCE "/trace", "re");
	size_t len = 0;

	story[0] = 0;
	snprintf(key, sizeof(key), ": id=%llu ", (unsigned long long)id);
	while (f && fgets(line, sizeof(line), f)) {
		event = strstr(line, ": aop_");
		if (line[0] == '#' || !event || !strstr(event, key))
			continue;
		event += 2;
		if (len + strlen(event) < sizeof(story)) {
			strcpy(story + len, event);
			len += strlen(event);
		}
	}
	if (f)
		fclose(f);
	return story;
}

__attribute__((format(printf, 2, 3)))
static void expect_line(char *want, const char *fmt, ...)
{
	va_list ap;

	want += strlen(want);
	va_start(ap, fmt);
	vsprintf(want, fmt, ap);
	va_end(ap);
	strcat(want, "\n");
}

static void expect_change(char *want, uint64_t id, uint32_t seq, const char *states,
			  const char *flags, int result, int reason, const char *progress)
{
	expect_line(want, "aop_change: id=%llu seq=%u %s flags=%s result=%d reason=%d progress=%s",
		    (unsigned long long)id, seq, states, flags, result, reason, progress);
}

/* ---- the fixture ------------------------------------------------------------- */

FIXTURE(trace) {
	struct abi_ctx c;
	char want[4096];
};

FIXTURE_SETUP(trace)
{
	if (access(TRACEFS "/events/aop", F_OK))
		SKIP(return, "no tracefs here");
	rmdir(INSTANCE);
	ASSERT_EQ(0, mkdir(INSTANCE, 0700));
	/* Names of tasks would be recorded by patching the scheduler, which emulators dislike. */
	write_file(INSTANCE "/options/record-cmd", "0");
	ASSERT_EQ(0, write_file(INSTANCE "/events/aop/enable", "1"));
	ASSERT_EQ(0, abi_open(&self->c, 64));
	self->want[0] = 0;
}

FIXTURE_TEARDOWN(trace)
{
	if (self->c.fd > 0)
		abi_close(&self->c);
	write_file(INSTANCE "/events/aop/enable", "0");
	EXPECT_EQ(0, rmdir(INSTANCE));
}

TEST_F(trace, M8_a_life_is_told_in_its_order)
{
	struct aop_create_entry e = {
		.label = abi_u64("a label"), .parent = 77, .mode = 0600,
	};
	struct abi_ctx *c = &self->c;
	char *w = self->want;
	uint32_t seq[4];

	ASSERT_EQ(0, abi_create(c, &e));
	expect_line(w, "aop_create: id=%llu parent=77 state=pending label=a label", e.id);
	ASSERT_EQ(0, abi_start(c, e.handle));
	seq[0] = seq_of(c, e.handle);
	ASSERT_EQ(0, abi_progress(c, e.handle, 3, 10));
	seq[1] = seq_of(c, e.handle);
	ASSERT_EQ(AOP_ASKED, abi_cancel(c, e.handle, -5));
	seq[2] = seq_of(c, e.handle);
	ASSERT_EQ(AOP_ASKED, abi_cancel(c, e.handle, -6));
	ASSERT_EQ(0, abi_signal(c, e.handle, AOP_SIGNAL_CANCELLED, 0));
	seq[3] = seq_of(c, e.handle);
	ASSERT_EQ(AOP_TOO_LATE, abi_cancel(c, e.handle, -7));
	EXPECT_EQ(-EPERM, abi_done(c, e.handle, 0));
	ASSERT_EQ(0, abi_detach(c, e.handle, 0));

	expect_change(w, e.id, seq[0], "pending->running", "", 0, 0, "0/0");
	expect_change(w, e.id, seq[1], "running->running", "", 0, 0, "3/10");
	expect_line(w, "aop_cancel: id=%llu state=running reason=-5", e.id);
	expect_change(w, e.id, seq[2], "running->running", "asked", 0, -5, "3/10");
	/* Asked again: the request is told, and that nothing changed. */
	expect_line(w, "aop_cancel: id=%llu state=running reason=-6", e.id);
	expect_change(w, e.id, seq[3], "running->cancelled", "asked|over", -5, -5, "3/10");
	expect_line(w, "aop_cancel: id=%llu state=cancelled reason=-7", e.id);
	expect_line(w, "aop_release: id=%llu state=cancelled", e.id);
	EXPECT_STREQ(w, story_of(e.id));
}

TEST_F(trace, M5_M6_born_final_and_owner_death)
{
	struct aop_create_entry final = { .state = AOP_DONE, .result = 5, .mode = 0600 };
	struct aop_create_entry lost = { .state = AOP_RUNNING, .mode = 0600 };
	struct abi_ctx dying;
	char *w = self->want;
	uint64_t seen;
	uint32_t seq;

	ASSERT_EQ(0, abi_create(&self->c, &final));
	ASSERT_EQ(0, abi_detach(&self->c, final.handle, 0));
	expect_line(w, "aop_create: id=%llu parent=0 state=done label=", final.id);
	expect_line(w, "aop_release: id=%llu state=done", final.id);
	EXPECT_STREQ(w, story_of(final.id));

	ASSERT_EQ(0, abi_open(&dying, 4));
	ASSERT_EQ(0, abi_create(&dying, &lost));
	ASSERT_EQ(0, abi_attach_id(&self->c, lost.id, AOP_MAY_LOOK, 0, 0, &seen));
	abi_close(&dying);
	seq = seq_of(&self->c, seen);
	ASSERT_EQ(0, abi_detach(&self->c, seen, 0));
	w[0] = 0;
	expect_line(w, "aop_create: id=%llu parent=0 state=running label=", lost.id);
	expect_change(w, lost.id, seq, "running->failed", "system|over", -130, 0, "0/0");
	expect_line(w, "aop_release: id=%llu state=failed", lost.id);
	EXPECT_STREQ(w, story_of(lost.id));
}

/* Only waits that sleep; each that begins ends, and says how. */
TEST_F(trace, W2_W4_waits_begin_and_end)
{
	struct abi_ctx *c = &self->c;
	unsigned long long id;
	uint64_t h = abi_new(c, 0, 0), past = 1;
	struct aop_wait_entry late[2] = {
		{ .handle = h, .mask = AOP_EV_FINAL }, { .handle = h, .mask = AOP_EV_FINAL },
	};
	char *w = self->want;
	struct aop_status st;
	struct waiter t;
	int fd;

	id = abi_id(c, h);
	ASSERT_NE(0, id);
	EXPECT_EQ(0, abi_look(c, h, AOP_EV_FINAL, 0));
	EXPECT_EQ(-ETIME, abi_wait(c, late, 2, 2, past));
	ASSERT_EQ(0, waiter_sleep(&t, c, h, AOP_EV_FINAL, 0));
	ASSERT_EQ(0, abi_done(c, h, 4));
	EXPECT_EQ(0, waiter_join(&t));
	/* Final: neither of these sleeps. */
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(c, h, AOP_EV_FINAL, 0));
	fd = abi_export(c, h, AOP_MAY_LOOK);
	EXPECT_EQ(sizeof(st), read(fd, &st, sizeof(st)));
	close(fd);

	expect_line(w, "aop_create: id=%llu parent=0 state=pending label=", id);
	expect_line(w, "aop_wait_begin: id=%llu nr=2 need=2 deadline=1", id);
	expect_line(w, "aop_wait_end: id=%llu nr=2 ret=-62", id);
	expect_line(w, "aop_wait_begin: id=%llu nr=1 need=1 deadline=%llu", id, AOP_FOREVER_NS);
	expect_change(w, id, seq_of(c, h), "pending->done", "over", 4, 0, "0/0");
	expect_line(w, "aop_wait_end: id=%llu nr=1 ret=0", id);
	EXPECT_STREQ(w, story_of(id));
}

static void *read_one(void *arg)
{
	struct waiter *t = arg;
	struct aop_status st;

	__atomic_store_n(&t->tid, gettid(), __ATOMIC_RELEASE);
	t->ret = read(t->c->fd, &st, sizeof(st));
	return NULL;
}

TEST_F(trace, W2_a_read_that_sleeps)
{
	struct abi_ctx *c = &self->c, by_fd;
	unsigned long long id;
	uint64_t h = abi_new(c, 0, 0);
	struct waiter t = { .c = &by_fd };
	char *w = self->want;

	id = abi_id(c, h);
	by_fd.fd = abi_export(c, h, AOP_MAY_LOOK);
	ASSERT_GE(by_fd.fd, 0);
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, read_one, &t));
	while (!__atomic_load_n(&t.tid, __ATOMIC_ACQUIRE))
		sched_yield();
	ASSERT_TRUE(until_asleep_in(t.tid, SYS_read));
	ASSERT_EQ(0, abi_done(c, h, 4));
	EXPECT_EQ(sizeof(struct aop_status), waiter_join(&t));
	close(by_fd.fd);
	expect_line(w, "aop_create: id=%llu parent=0 state=pending label=", id);
	expect_line(w, "aop_wait_begin: id=%llu nr=1 need=1 deadline=%llu", id, AOP_FOREVER_NS);
	expect_change(w, id, seq_of(c, h), "pending->done", "over", 4, 0, "0/0");
	expect_line(w, "aop_wait_end: id=%llu nr=1 ret=0", id);
	EXPECT_STREQ(w, story_of(id));
}

/* A call that could not make its operation after all has not told of one. */
TEST_F(trace, what_never_was_is_not_told)
{
	struct aop_create_entry e = { .label = 1, .mode = 0600 };
	struct aop_create_entry next = { .mode = 0600 };
	uint64_t id;

	ASSERT_EQ(0, abi_create(&self->c, &next));
	id = next.id;
	EXPECT_EQ(-EFAULT, abi_create(&self->c, &e));
	ASSERT_EQ(0, abi_create(&self->c, &next));
	for (id++; id < next.id; id++)
		EXPECT_STREQ("", story_of(id));
	EXPECT_LT(id - 1, next.id);
}

/* The events as perf and bpftrace use them. */
TEST_F(trace, perf_counts_them)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .disabled = 0,
	};
	uint64_t count = 0, h;
	FILE *f = fopen(TRACEFS "/events/aop/aop_release/id", "re");
	unsigned int id;
	int fd, i;

	ASSERT_NE(NULL, f);
	ASSERT_EQ(1, fscanf(f, "%u", &id));
	fclose(f);
	attr.config = id;
	fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0 && errno == ENOSYS)
		SKIP(return, "no perf here");
	ASSERT_GE(fd, 0) TH_LOG("%m");
	for (i = 0; i < 10; i++) {
		h = abi_new(&self->c, 0, 0);
		ASSERT_EQ(0, abi_detach(&self->c, h, 0));
	}
	ASSERT_EQ(sizeof(count), read(fd, &count, sizeof(count)));
	EXPECT_EQ(10, count);
	close(fd);
}

/* ---- counters ------------------------------------------------------------------ */

static long long counter(const char *name)
{
	char line[128], key[64];
	long long value = -ENOENT;
	FILE *f = fopen(COUNTERS, "re");

	if (!f)
		return -errno;
	snprintf(key, sizeof(key), "%s ", name);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = atoll(line + strlen(key));
	fclose(f);
	return value;
}

FIXTURE(counters) {
};

FIXTURE_SETUP(counters)
{
	if (access(COUNTERS, F_OK))
		SKIP(return, "no debugfs here");
	ASSERT_EQ(0, write_file(COUNTERS, "1"));
}

FIXTURE_TEARDOWN(counters)
{
	write_file(COUNTERS, "0");
}

enum { STORM = 200 };

/* All that can become of one, and some waits; nothing is left when it returns. */
static void *storm(void *arg)
{
	struct abi_ctx c;
	uint64_t h;
	int i;

	if (abi_open(&c, 64))
		return "open";
	for (i = 0; i < STORM; i++) {
		struct aop_create_entry e = {
			.mode = 0600, .state = i % 8 == 7 ? AOP_DONE : AOP_PENDING,
			.deadline = i % 8 == 6 ? 1 : 0,
		};

		if (abi_create(&c, &e))
			return "create";
		h = e.handle;
		switch (i % 8) {
		case 0:
			abi_start(&c, h);
			abi_progress(&c, h, 1, 2);
			abi_done(&c, h, i);
			break;
		case 1:
			abi_signal(&c, h, AOP_SIGNAL_FAIL, -EIO);
			break;
		case 2:
			abi_cancel(&c, h, 0);
			break;
		case 3:
			abi_start(&c, h);
			abi_cancel(&c, h, 0);
			abi_signal(&c, h, AOP_SIGNAL_CANCELLED, 0);
			break;
		case 4:
			abi_detach(&c, h, AOP_MAY_DRIVE);
			break;
		case 6:
			if (abi_wait_one(&c, h, AOP_EV_FINAL, 0) != AOP_EV_FINAL)
				return "wait";
			break;
		}
		if (i % 8 != 5 && abi_detach(&c, h, 0))
			return "detach";
	}
	abi_close(&c);
	return arg;
}

/* Every one that was created has ended, and was released. */
TEST_F(counters, they_balance)
{
	long long created, ended;
	pthread_t t[4];
	void *why;
	int i;

	EXPECT_EQ(1, counter("counting"));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, storm, NULL));
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &why);
		EXPECT_EQ(NULL, why) TH_LOG("%s", (char *)why);
	}
	/* Timers of deadlines are let go of by work items: nobody tells when. */
	while (counter("ops"))
		sched_yield();
	created = counter("created");
	EXPECT_EQ(4 * STORM, created);
	EXPECT_EQ(created, counter("released"));
	EXPECT_EQ(4 * STORM / 8, counter("born_final"));
	EXPECT_EQ(4 * STORM / 8, counter("progressed"));
	EXPECT_EQ(4 * STORM / 8 * 2, counter("started"));
	EXPECT_EQ(4 * STORM / 8 * 2, counter("cancel_requests"));
	EXPECT_EQ(4 * STORM / 8, counter("done"));
	EXPECT_EQ(4 * STORM / 8 * 2, counter("cancelled"));
	/* By their owner, by its death twice, by their deadline. */
	EXPECT_EQ(4 * STORM / 8 * 4, counter("failed"));
	ended = counter("done") + counter("failed") + counter("cancelled");
	EXPECT_EQ(created - counter("born_final"), ended);
	EXPECT_EQ(counter("waits_begun"), counter("waits_ended"));
}

TEST_F(counters, off_they_stand_still)
{
	struct abi_ctx c;

	ASSERT_EQ(0, abi_open(&c, 4));
	ASSERT_NE(0, abi_new(&c, 0, 0));
	EXPECT_EQ(1, counter("created"));
	ASSERT_EQ(0, write_file(COUNTERS, "0"));
	EXPECT_EQ(0, counter("counting"));
	ASSERT_NE(0, abi_new(&c, 0, 0));
	EXPECT_EQ(1, counter("created"));
	/* Twice is as good as once, and on again begins at 0. */
	ASSERT_EQ(0, write_file(COUNTERS, "0"));
	ASSERT_EQ(0, write_file(COUNTERS, "1"));
	EXPECT_EQ(0, counter("created"));
	EXPECT_EQ(2, counter("ops"));
	abi_close(&c);
	EXPECT_EQ(2, counter("released"));
	EXPECT_EQ(-EINVAL, write_file(COUNTERS, "x"));
	EXPECT_EQ(1, counter("counting"));
}

TEST_F(counters, K7_not_for_everybody)
{
	IN_CHILD() {
		ASSERT_EQ(0, setresuid(12345, 12345, 12345));
		EXPECT_EQ(-EACCES, write_file(COUNTERS, "0"));
		EXPECT_EQ(-EACCES, counter("ops"));
	}
}

/* The module goes while its probes hang, and comes back without them. */
TEST_F(counters, K1_unload_while_counting)
{
	if (!module_file())
		SKIP(return, "no AOP_KO: which file to load?");
	ASSERT_EQ(0, unload());
	EXPECT_EQ(-1, access(COUNTERS, F_OK));
	ASSERT_EQ(0, load());
	EXPECT_EQ(0, counter("counting"));
}

TEST_HARNESS_MAIN
