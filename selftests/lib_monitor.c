// SPDX-License-Identifier: GPL-2.0
/*
 * Operations seen from outside through libaop: lists, and monitors that follow them
 * (K6), with the sequence numbers that everybody else sees (M8).
 */
#include <aop/monitor.h>
#include <sys/epoll.h>

#include "lib.h"

#define SEEN	4096		/* more than any test makes ops */

/* What a monitor told of each op, by the number in its label. */
struct view {
	struct aop_monitor *m;
	struct aop_info op[SEEN];
	int told[SEEN];
	int after_end[SEEN];		/* told of after its end, but for OVER */
	int ready, lost, other;
	uint64_t fence;			/* id */
};

static int number(const struct aop_info *info)
{
	int n = -1;

	if (sscanf(info->label, "t%d", &n) != 1 || n < 0 || n >= SEEN)
		return -1;
	return n;
}

static void see_news(void *data, enum aop_news news, const struct aop_info *info)
{
	struct view *v = data;
	int n;

	v->ready += news == AOP_NEWS_READY;
	v->lost += news == AOP_NEWS_LOST;
	if (!info)
		return;
	n = number(info);
	if (n < 0) {
		v->other++;
		return;
	}
	if (v->op[n].st.id == info->st.id && v->op[n].st.state >= AOP_DONE &&
	    info->st.state != v->op[n].st.state)
		v->after_end[n]++;
	v->op[n] = *info;
	v->told[n]++;
}

/* Dispatch until *what is at least this; a loss of it all shows as a time-out. */
static int until(struct view *v, const int *what, int least)
{
	struct pollfd p = { .fd = aop_monitor_fd(v->m), .events = POLLIN };
	int ret;

	while (*what < least) {
		if (poll(&p, 1, -1) != 1)
			return -errno;
		ret = aop_monitor_dispatch(v->m);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int make(struct aop *op, struct aop_ctx *ctx, int n)
{
	char label[16];

	snprintf(label, sizeof(label), "t%d", n);
	return aop_init_with(op, ctx, AOP_OPTS(.label = label));
}

FIXTURE(monitor) {
	struct aop_ctx *ctx;
	struct view *v;
};

FIXTURE_SETUP(monitor)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	self->v = calloc(1, sizeof(*self->v));
	ASSERT_TRUE(self->v);
}

FIXTURE_TEARDOWN(monitor)
{
	aop_monitor_close(self->v->m);
	free(self->v);
	aop_ctx_close(self->ctx);
}

/* ---- once -------------------------------------------------------------------- */

static void keep_one(void *data, const struct aop_info *info)
{
	struct view *v = data;

	see_news(v, AOP_NEWS_LISTED, info);
}

TEST_F(monitor, M7_M8_get_shows_what_the_slot_does)
{
	struct aop_info info = { .size = sizeof(info) };
	struct aop_status s;
	struct aop op;

	ASSERT_EQ(0, aop_init_with(&op, self->ctx,
				   AOP_OPTS(.label = "t1", .mode = 0640, .parent = 77,
					    .deadline = AOP_SEC(900))));
	ASSERT_EQ(0, aop_start(aop_owner(&op)));
	ASSERT_EQ(0, aop_progress(aop_owner(&op), 3, 9));
	ASSERT_EQ(0, aop_monitor_get(aop_id(&op), &info));
	s = aop_status(&op);
	s.gen = 0;
	EXPECT_EQ(0, memcmp(&s, &info.st, sizeof(s)));
	EXPECT_STREQ("t1", info.label);
	EXPECT_EQ(0640, info.mode);
	EXPECT_EQ(77, info.parent);
	EXPECT_EQ(getpid(), info.pid);
	EXPECT_EQ(geteuid(), info.uid);
	EXPECT_EQ(getegid(), info.gid);
	EXPECT_EQ(1, info.watchers);
	EXPECT_EQ(0, info.members);
	EXPECT_LE(info.created, info.started);
	EXPECT_LE(info.started, info.st.time);
	EXPECT_GT(info.deadline, info.created);
	EXPECT_STREQ(program_invocation_short_name, info.comm);
	EXPECT_EQ(0, aop_fail(aop_owner(&op), -EXDEV));
	ASSERT_EQ(0, aop_monitor_get(aop_id(&op), &info));
	EXPECT_EQ(AOP_FAILED, info.st.state);
	EXPECT_EQ(-EXDEV, info.st.result);
	EXPECT_EQ(AOP_F_OVER, info.st.flags);
	aop_drop(&op);
	EXPECT_EQ(-ENOENT, aop_monitor_get(info.st.id, &info));
}

TEST_F(monitor, list_by_filter)
{
	struct aop_filter f = { .size = sizeof(f), .label = "t[0-9]*" };
	struct view *v = self->v;
	struct aop op[6];
	int i;

	for (i = 0; i < 6; i++)
		ASSERT_EQ(0, make(&op[i], self->ctx, i));
	ASSERT_EQ(0, aop_start(aop_owner(&op[1])));
	EXPECT_EQ(0, aop_done(aop_owner(&op[2]), 5));
	EXPECT_EQ(6, aop_monitor_list(&f, keep_one, v));
	for (i = 0; i < 6; i++) {
		EXPECT_EQ(1, v->told[i]);
		EXPECT_EQ(aop_id(&op[i]), v->op[i].st.id);
		EXPECT_EQ(aop_state(&op[i]), v->op[i].st.state);
	}
	f.states = 1 << AOP_RUNNING | 1 << AOP_DONE;
	EXPECT_EQ(2, aop_monitor_list(&f, keep_one, v));
	f.states = 0;
	f.label = "t3";
	EXPECT_EQ(1, aop_monitor_list(&f, keep_one, v));
	f.label = "t";
	EXPECT_EQ(0, aop_monitor_list(&f, keep_one, v));
	f.label = "t?";
	f.flags = AOP_FILTER_UID;
	f.uid = geteuid() + 1;
	EXPECT_EQ(0, aop_monitor_list(&f, keep_one, v));
	f.uid = geteuid();
	f.pid = getpid();
	EXPECT_EQ(6, aop_monitor_list(&f, keep_one, v));
	f.pid = 1;
	EXPECT_EQ(0, aop_monitor_list(&f, keep_one, v));
	f.pid = 0;
	f.min_age = AOP_SEC(100000000);
	EXPECT_EQ(0, aop_monitor_list(&f, keep_one, v));
	f.min_age = 0;
	f.max_age = AOP_SEC(100000000);
	EXPECT_EQ(6, aop_monitor_list(&f, keep_one, v));
	f.parent = 12;
	EXPECT_EQ(0, aop_monitor_list(&f, keep_one, v));
	f.label = "0123456789012345678901234567890123456789012345678901234567890123";
	EXPECT_EQ(-ENAMETOOLONG, aop_monitor_list(&f, keep_one, v));
	f.label = NULL;
	f.flags = 0x80;
	EXPECT_EQ(-EINVAL, aop_monitor_list(&f, keep_one, v));
	for (i = 0; i < 6; i++)
		aop_drop(&op[i]);
}

TEST_F(monitor, group_members)
{
	struct aop a, b, *ops[] = { &a, &b };
	struct aop_info info = { .size = sizeof(info) };
	uint64_t ids[2] = { 0 };
	struct aop_group g;

	ASSERT_EQ(0, make(&a, self->ctx, 0));
	ASSERT_EQ(0, make(&b, self->ctx, 1));
	aop_some(&g, NULL, ops, 2, 1, 0);
	ASSERT_EQ(0, aop_monitor_get(aop_id(&g.op), &info));
	EXPECT_EQ(2, info.members);
	EXPECT_EQ(1, info.need);
	EXPECT_EQ(2, aop_monitor_members(aop_id(&g.op), ids, 1));
	EXPECT_EQ(0, ids[1]);
	EXPECT_EQ(2, aop_monitor_members(aop_id(&g.op), ids, 2));
	EXPECT_EQ(aop_id(&a), ids[0]);
	EXPECT_EQ(aop_id(&b), ids[1]);
	EXPECT_EQ(0, aop_monitor_members(aop_id(&a), ids, 2));
	aop_drop(&g.op);
	aop_drop(&a);
	aop_drop(&b);
}

TEST_F(monitor, C1_cancel_by_id)
{
	uint64_t id;
	struct aop op;

	ASSERT_EQ(0, make(&op, self->ctx, 0));
	id = aop_id(&op);
	EXPECT_EQ(-EINVAL, aop_monitor_cancel(id, 1));
	ASSERT_EQ(0, aop_start(aop_owner(&op)));
	EXPECT_EQ(AOP_ASKED, aop_monitor_cancel(id, -EXDEV));
	EXPECT_EQ(AOP_ASKED, aop_monitor_cancel(id, -EPIPE));
	EXPECT_EQ(-EXDEV, aop_asked(aop_owner(&op)));
	EXPECT_EQ(0, aop_cancelled(aop_owner(&op), 0));
	EXPECT_EQ(AOP_TOO_LATE, aop_monitor_cancel(id, 0));
	EXPECT_EQ(-EXDEV, aop_result(&op));
	aop_drop(&op);
	EXPECT_EQ(-ENOENT, aop_monitor_cancel(id, 0));
	ASSERT_EQ(0, make(&op, self->ctx, 0));
	EXPECT_EQ(AOP_STOPPED, aop_monitor_cancel(aop_id(&op), 0));
	EXPECT_EQ(-ECANCELED, aop_result(&op));
	aop_drop(&op);
}

/* ---- live -------------------------------------------------------------------- */

TEST_F(monitor, K6_M8_snapshot_then_changes)
{
	struct view *v = self->v;
	struct aop op[3];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, make(&op[i], self->ctx, i));
	ASSERT_EQ(0, aop_monitor_open(&v->m, NULL, see_news, v));
	ASSERT_EQ(0, until(v, &v->ready, 1));
	EXPECT_EQ(1, v->told[0]);
	EXPECT_EQ(1, v->told[1]);
	/* One that is new. */
	ASSERT_EQ(0, make(&op[2], self->ctx, 2));
	ASSERT_EQ(0, until(v, &v->told[2], 1));
	EXPECT_EQ(AOP_PENDING, v->op[2].st.state);
	EXPECT_EQ(aop_status(&op[2]).seq, v->op[2].st.seq);
	ASSERT_EQ(0, aop_start(aop_owner(&op[0])));
	ASSERT_EQ(0, until(v, &v->told[0], 2));
	EXPECT_EQ(AOP_RUNNING, v->op[0].st.state);
	EXPECT_EQ(aop_status(&op[0]).seq, v->op[0].st.seq);
	ASSERT_EQ(0, aop_progress(aop_owner(&op[0]), 1, 2));
	ASSERT_EQ(0, until(v, &v->told[0], 3));
	EXPECT_EQ(1, v->op[0].st.done);
	EXPECT_EQ(2, v->op[0].st.total);
	EXPECT_EQ(aop_status(&op[0]).seq, v->op[0].st.seq);
	/* Gone before anybody could look at it: its end is told all the same. */
	EXPECT_EQ(0, aop_done(aop_owner(&op[0]), 42));
	aop_drop(&op[0]);
	ASSERT_EQ(0, until(v, &v->told[0], 4));
	EXPECT_EQ(AOP_DONE, v->op[0].st.state);
	EXPECT_EQ(42, v->op[0].st.result);
	EXPECT_EQ(0, v->lost);
	EXPECT_EQ(0, aop_monitor_lost(v->m));
	EXPECT_EQ(1, v->ready);
	aop_drop(&op[1]);
	aop_drop(&op[2]);
}

/* With an interval that does not end during the test only state is told, and the end. */
TEST_F(monitor, K6_progress_is_limited_and_the_end_is_not)
{
	struct view *v = self->v, *often = calloc(1, sizeof(*often));
	struct aop op[2];
	int i, told;

	ASSERT_TRUE(often);
	ASSERT_EQ(0, make(&op[0], self->ctx, 0));
	ASSERT_EQ(0, aop_start(aop_owner(&op[0])));
	ASSERT_EQ(0, aop_monitor_open(&v->m, &(struct aop_monitor_opts){
		.size = sizeof(struct aop_monitor_opts), .interval = AOP_SEC(100000) },
		see_news, v));
	ASSERT_EQ(0, until(v, &v->ready, 1));
	ASSERT_EQ(0, aop_progress(aop_owner(&op[0]), 1, 0));
	told = v->told[0];
	ASSERT_EQ(0, until(v, &v->told[0], told + 1));
	told = v->told[0];
	ASSERT_EQ(0, aop_monitor_open(&often->m, &(struct aop_monitor_opts){
		.size = sizeof(struct aop_monitor_opts), .interval = 1 }, see_news, often));
	ASSERT_EQ(0, until(often, &often->ready, 1));
	for (i = 2; i < 300; i++) {
		ASSERT_EQ(0, aop_progress(aop_owner(&op[0]), i, 0));
	}
	/* Who wants to know it has been told, and the other one before him. */
	while (often->op[0].st.done != 299)
		ASSERT_EQ(0, until(often, &often->told[0], often->told[0] + 1));
	aop_monitor_close(often->m);
	free(often);
	/* A state that is told later. */
	ASSERT_EQ(0, make(&op[1], self->ctx, 1));
	ASSERT_EQ(0, until(v, &v->told[1], 1));
	EXPECT_EQ(told, v->told[0]);
	EXPECT_EQ(1, v->op[0].st.done);
	EXPECT_EQ(0, aop_done(aop_owner(&op[0]), 0));
	ASSERT_EQ(0, until(v, &v->told[0], told + 1));
	EXPECT_EQ(AOP_DONE, v->op[0].st.state);
	EXPECT_EQ(299, v->op[0].st.done);
	aop_drop(&op[0]);
	aop_drop(&op[1]);
}

/* Progress that follows does not make a change wait for the end of the interval. */
TEST_F(monitor, K6_progress_does_not_hold_up_a_change)
{
	struct view *v = self->v;
	struct aop op[50];
	int i;

	for (i = 0; i < 50; i++)
		ASSERT_EQ(0, make(&op[i], self->ctx, i));
	ASSERT_EQ(0, aop_monitor_open(&v->m, &(struct aop_monitor_opts){
		.size = sizeof(struct aop_monitor_opts), .interval = AOP_SEC(100000) },
		see_news, v));
	ASSERT_EQ(0, until(v, &v->ready, 1));
	/* The interval begins. */
	ASSERT_EQ(0, aop_start(aop_owner(&op[0])));
	ASSERT_EQ(0, aop_progress(aop_owner(&op[0]), 1, 0));
	while (!v->op[0].st.done)
		ASSERT_EQ(0, until(v, &v->told[0], v->told[0] + 1));
	/* By one call: the work item that tells changes does not come in between each time. */
	aop_cork(self->ctx);
	for (i = 1; i < 50; i++) {
		ASSERT_EQ(0, aop_start(aop_owner(&op[i])));
		ASSERT_EQ(0, aop_progress(aop_owner(&op[i]), 1, 0));
	}
	ASSERT_LE(0, aop_uncork(self->ctx));
	for (i = 1; i < 50; i++)
		while (v->op[i].st.state != AOP_RUNNING)
			ASSERT_EQ(0, until(v, &v->told[i], v->told[i] + 1));
	for (i = 0; i < 50; i++)
		aop_drop(&op[i]);
}

struct driver {
	struct aop_ctx *ctx;
	int from;
	_Atomic int end;		/* not beyond this */
	_Atomic bool last;		/* that end is the last word */
	_Atomic int ended;
	int failed;
};

/* Ops that are made, driven and ended, each with its number as the result. */
static void *drive(void *arg)
{
	struct driver *d = arg;
	struct aop op;
	int i;

	for (i = d->from;; i++) {
		while (i >= d->end) {
			if (d->last)
				return NULL;
			sched_yield();
		}
		if (make(&op, d->ctx, i) || aop_start(aop_owner(&op)) ||
		    aop_progress(aop_owner(&op), i, 2 * i) || aop_done(aop_owner(&op), i))
			d->failed++;
		aop_drop(&op);
		d->ended++;
	}
}

/* Whatever a monitor comes upon, snapshot or changes, it is told of every end, last. */
TEST_F(monitor, K6_nothing_is_missed_between)
{
	struct driver d = { .ctx = self->ctx };
	struct view *v = self->v;
	int round, i, begun, end;
	pthread_t t;

	for (round = 0; round < 4; round++) {
		memset(v, 0, sizeof(*v));
		d.ended = 0;
		d.last = false;
		d.end = 500;
		ASSERT_EQ(0, pthread_create(&t, NULL, drive, &d));
		while (d.ended < 20 * round)
			sched_yield();
		ASSERT_EQ(0, aop_monitor_open(&v->m, NULL, see_news, v));
		begun = d.ended;
		end = 600;
		d.end = end;
		d.last = true;
		pthread_join(t, NULL);
		EXPECT_EQ(0, d.failed);
		ASSERT_EQ(0, until(v, &v->ready, 1));
		ASSERT_EQ(0, until(v, &v->told[end - 1], 1));
		while (v->op[end - 1].st.state != AOP_DONE)
			ASSERT_EQ(0, until(v, &v->told[end - 1], v->told[end - 1] + 1));
		EXPECT_EQ(0, v->lost);
		/* The one that was driven just then may have ended before. */
		for (i = begun + 1; i < end; i++) {
			/* The last one may have been listed as done before others are told. */
			while (v->op[i].st.state != AOP_DONE)
				ASSERT_EQ(0, until(v, &v->told[i], v->told[i] + 1));
			EXPECT_EQ(i, v->op[i].st.result);
			EXPECT_EQ(0, v->after_end[i]);
		}
		aop_monitor_close(v->m);
		v->m = NULL;
	}
}

/* A reader that is far too slow is told so, and ends up with the truth. */
TEST_F(monitor, K6_flood_into_a_tiny_buffer)
{
	struct aop_monitor_opts o = { .size = sizeof(o), .buffer = 1, .resync = 1 };
	struct driver d = { .ctx = self->ctx, .from = 100, .end = 900, .last = true };
	struct view *v = self->v;
	struct aop op[100];
	int i;

	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, make(&op[i], self->ctx, i));
	ASSERT_EQ(0, aop_monitor_open(&v->m, &o, see_news, v));
	ASSERT_EQ(0, until(v, &v->ready, 1));
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, aop_start(aop_owner(&op[i])));
	drive(&d);
	EXPECT_EQ(0, d.failed);
	for (i = 0; i < 100; i += 2)
		EXPECT_EQ(0, aop_done(aop_owner(&op[i]), i));
	ASSERT_EQ(0, until(v, &v->lost, 1));
	ASSERT_EQ(0, until(v, &v->ready, 2));
	EXPECT_GT(aop_monitor_lost(v->m), 0);
	/* What changed just before READY may come after it. */
	for (i = 0; i < 100; i++) {
		struct aop_status s = aop_status(&op[i]);

		while (v->op[i].st.seq != s.seq)
			ASSERT_EQ(0, until(v, &v->told[i], v->told[i] + 1));
		EXPECT_EQ(s.state, v->op[i].st.state);
		EXPECT_EQ(s.result, v->op[i].st.result);
		EXPECT_EQ(0, v->after_end[i]);
	}
	for (i = 0; i < 100; i++)
		aop_drop(&op[i]);
}

TEST_F(monitor, another_filter)
{
	struct aop_filter f = { .size = sizeof(f), .label = "t1" };
	struct view *v = self->v;
	struct aop op[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, make(&op[i], self->ctx, i));
	ASSERT_EQ(0, aop_monitor_open(&v->m, &(struct aop_monitor_opts){
		.size = sizeof(struct aop_monitor_opts), .filter = &f }, see_news, v));
	ASSERT_EQ(0, until(v, &v->ready, 1));
	EXPECT_EQ(0, v->told[0]);
	EXPECT_EQ(1, v->told[1]);
	f.label = "t0";
	ASSERT_EQ(0, aop_monitor_filter(v->m, &f));
	ASSERT_EQ(0, until(v, &v->ready, 2));
	EXPECT_EQ(1, v->told[0]);
	EXPECT_EQ(1, v->told[1]);
	ASSERT_EQ(0, aop_start(aop_owner(&op[1])));
	ASSERT_EQ(0, aop_start(aop_owner(&op[0])));
	ASSERT_EQ(0, until(v, &v->told[0], 2));
	EXPECT_EQ(1, v->told[1]);
	EXPECT_EQ(0, v->lost);
	for (i = 0; i < 2; i++)
		aop_drop(&op[i]);
}

/* ---- the end of a subscriber ------------------------------------------------- */

static int module_users(void)
{
	FILE *f = fopen("/sys/module/aop/refcnt", "re");
	int n = -1;

	if (!f || fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* K1 K6: killed in mid-dump, or while it never reads, it leaves nothing behind. */
TEST_F(monitor, K6_subscriber_is_killed)
{
	struct aop_monitor_opts o = { .size = sizeof(o), .buffer = 1, .budget = 1 };
	int i, round, ready[2], users = module_users();
	static struct aop op[200];
	pid_t pid;
	char b;

	ASSERT_GT(users, 0);
	for (i = 0; i < 200; i++)
		ASSERT_EQ(0, make(&op[i], self->ctx, i));
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			if (aop_monitor_open(&self->v->m, &o, see_news, self->v))
				_exit(1);
			if (round)
				aop_monitor_dispatch(self->v->m);
			if (write(ready[1], "x", 1) != 1)
				_exit(2);
			pause();
		}
		close(ready[1]);
		ASSERT_EQ(1, read(ready[0], &b, 1));
		close(ready[0]);
		EXPECT_GT(module_users(), users);
		for (i = 0; i < 200; i++)
			ASSERT_EQ(0, aop_progress(aop_owner(&op[i]), i, 0));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		EXPECT_EQ(128 + SIGKILL, lib_reap(pid));
		/* The kernel frees a socket that was cut short in a dump some time later. */
		while (module_users() != users)
			sched_yield();
	}
	for (i = 0; i < 200; i++)
		aop_drop(&op[i]);
}

TEST_HARNESS_MAIN
