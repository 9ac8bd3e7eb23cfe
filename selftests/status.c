// SPDX-License-Identifier: GPL-2.0
/*
 * What the status of an operation tells, M7 to M10, in shared scope: details, one
 * sequence number, deadlines, and that final is not over.
 */
#include "behave.h"

FIXTURE(status) {
	struct abi_ctx a;	/* the owner's */
	struct abi_ctx b;	/* a watcher's */
};

FIXTURE_SETUP(status)
{
	ASSERT_EQ(0, abi_open(&self->a, 64));
	ASSERT_EQ(0, abi_open(&self->b, 64));
}

FIXTURE_TEARDOWN(status)
{
	abi_close(&self->a);
	abi_close(&self->b);
}

/* ---- M7 ------------------------------------------------------------------ */

TEST_F(status, M7_result_is_64_bits)
{
	static const int64_t values[] = {
		0, 1, -1, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 0x123456789abcdef0,
	};
	struct aop_ioc_query q;
	unsigned int i;
	uint64_t h, w;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		w = watch(&self->a, h, &self->b, 0);
		ASSERT_NE(0, w);
		EXPECT_EQ(0, abi_done(&self->a, h, values[i]));
		EXPECT_ENDED(&self->b, w, AOP_DONE, values[i]);
		EXPECT_EQ(0, abi_query(&self->b, w, &q));
		EXPECT_EQ(values[i], q.status.result);
	}
}

TEST_F(status, M7_failures_and_reasons)
{
	static const int values[] = { -1, -EPROTO, -4095 };
	struct aop_status st;
	unsigned int i;
	uint64_t h;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_FAIL, values[i]));
		st = status_of(&self->a, h);
		EXPECT_EQ(AOP_FAILED, st.state);
		EXPECT_EQ(values[i], st.result);
		EXPECT_EQ(0, st.reason);
		EXPECT_EQ(0, st.flags & (AOP_F_SYSTEM | AOP_F_ASKED));

		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_CANCELLED, values[i]));
		st = status_of(&self->a, h);
		EXPECT_EQ(AOP_CANCELLED, st.state);
		EXPECT_EQ(values[i], st.result);
		EXPECT_EQ(values[i], st.reason);
	}
	h = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, h);
	EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_CANCELLED, INT32_MIN));
	EXPECT_EQ(INT32_MIN, status_of(&self->a, h).reason);
}

TEST_F(status, M7_progress_and_label)
{
	static const uint64_t big = (uint64_t)INT64_MAX;
	char label[AOP_LABEL_SIZE];
	struct aop_create_entry e = { .label = abi_u64(label), .parent = 12345, .mode = 0640 };
	struct aop_ioc_query q;
	struct aop_status st;

	memset(label, 'x', sizeof(label) - 2);
	strcpy(label + sizeof(label) - 3, "\xc3\xa9");
	ASSERT_EQ(0, abi_create(&self->a, &e));
	EXPECT_EQ(0, abi_progress(&self->a, e.handle, big, ~0ULL));
	st = status_of(&self->a, e.handle);
	EXPECT_EQ(big, st.done);
	EXPECT_EQ(~0ULL, st.total);
	/* It may also go back, or not know the end. */
	EXPECT_EQ(0, abi_progress(&self->a, e.handle, 3, 0));
	EXPECT_EQ(0, abi_done(&self->a, e.handle, 0));
	ASSERT_EQ(0, abi_query(&self->a, e.handle, &q));
	EXPECT_STREQ(label, q.label);
	EXPECT_EQ(12345, q.parent);
	EXPECT_EQ(0640, q.mode);
	EXPECT_EQ(3, q.status.done);
	EXPECT_EQ(0, q.status.total);
	EXPECT_EQ(getpid(), q.pid);
	EXPECT_EQ(getuid(), q.uid);
	EXPECT_EQ(getgid(), q.gid);
}

TEST_F(status, M7_times)
{
	struct aop_ioc_query q;
	uint64_t t[5], h;
	int i;

	t[0] = abi_now();
	h = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, h);
	t[1] = abi_now();
	ASSERT_EQ(0, abi_query(&self->a, h, &q));
	EXPECT_EQ(0, q.started);
	EXPECT_EQ(0, q.deadline);
	ASSERT_EQ(0, abi_start(&self->a, h));
	t[2] = abi_now();
	EXPECT_LE(t[1], status_of(&self->a, h).time);
	EXPECT_GE(t[2], status_of(&self->a, h).time);
	ASSERT_EQ(0, abi_progress(&self->a, h, 1, 2));
	t[3] = abi_now();
	EXPECT_LE(t[2], status_of(&self->a, h).time);
	EXPECT_GE(t[3], status_of(&self->a, h).time);
	ASSERT_EQ(0, abi_done(&self->a, h, 0));
	t[4] = abi_now();
	ASSERT_EQ(0, abi_query(&self->a, h, &q));
	EXPECT_LE(t[0], q.created);
	EXPECT_GE(t[1], q.created);
	EXPECT_LE(t[1], q.started);
	EXPECT_GE(t[2], q.started);
	EXPECT_LE(t[3], q.status.time);
	EXPECT_GE(t[4], q.status.time);

	/* Ended without ever being accepted; accepted from the start; born dead. */
	for (i = 0; i < 3; i++) {
		h = born(&self->a, i == 1 ? AOP_RUNNING : i ? AOP_DONE : AOP_PENDING);
		ASSERT_NE(0, h);
		if (i < 2)
			ASSERT_EQ(0, abi_done(&self->a, h, 0));
		ASSERT_EQ(0, abi_query(&self->a, h, &q));
		EXPECT_EQ(i == 1 ? q.created : 0, q.started);
		EXPECT_LE(q.created, q.status.time);
	}
}

/* A request to cancel is a change, but not one of state or progress. */
TEST_F(status, M7_time_is_of_state_and_progress)
{
	uint64_t h, time;
	uint32_t seq;

	h = new_running(&self->a, 0);
	ASSERT_NE(0, h);
	time = status_of(&self->a, h).time;
	seq = seq_of(&self->a, h);
	ASSERT_EQ(AOP_ASKED, abi_cancel(&self->a, h, -EINTR));
	EXPECT_NE(seq, seq_of(&self->a, h));
	EXPECT_EQ(time, status_of(&self->a, h).time);
}

/* ---- M8 ------------------------------------------------------------------ */

static int agree(struct abi_ctx *c, uint64_t h, int fd)
{
	struct aop_status slot = status_of(c, h), st;
	struct aop_ioc_query q;
	ssize_t n;

	if (slot.seq & 1)
		return 1;
	if (abi_query(c, h, &q) || q.status.seq != slot.seq || q.status.word != slot.word ||
	    q.status.id != q.id || slot.id != q.id)
		return 2;
	/* A final one has changed for whoever asks. */
	if ((slot.state < AOP_DONE && abi_look(c, h, AOP_EV_CHANGE, slot.seq)) ||
	    abi_look(c, h, AOP_EV_CHANGE, slot.seq - 2) != AOP_EV_CHANGE ||
	    abi_look(c, h, AOP_EV_CHANGE, slot.seq + 2) != AOP_EV_CHANGE)
		return 3;
	n = read(fd, &st, sizeof(st));
	if (slot.state < AOP_DONE)
		return n < 0 && errno == EAGAIN ? 0 : 4;
	if (n != sizeof(st) || st.seq != slot.seq || st.id != slot.id || !same_end(&st, &slot) ||
	    st.word != slot.word)
		return 5;
	return 0;
}

TEST_F(status, M8_all_ways_to_look_agree)
{
	uint64_t own, h, w;
	uint32_t seq, last = 1;
	int fd, i;

	own = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, own);
	fd = abi_export(&self->a, own, AOP_MAY_LOOK);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	h = watch(&self->a, own, &self->b, 0);
	w = watch(&self->a, own, &self->a, AOP_EV_ALL);
	ASSERT_NE(0, h);
	ASSERT_NE(0, w);
	for (i = 0; i < 7; i++) {
		switch (i) {
		case 1:
			ASSERT_EQ(0, abi_progress(&self->a, own, 1, 3));
			break;
		case 2:
			ASSERT_EQ(0, abi_start(&self->a, own));
			break;
		case 3:
			ASSERT_EQ(0, abi_progress(&self->a, own, 2, 3));
			break;
		case 4:
			ASSERT_EQ(AOP_ASKED, abi_cancel(&self->b, h, -EINTR));
			break;
		case 5:
			/* Not the last watcher: no change. */
			ASSERT_EQ(0, abi_detach(&self->a, w, 0));
			break;
		case 6:
			ASSERT_EQ(0, abi_done(&self->a, own, 3));
			break;
		}
		EXPECT_EQ(0, agree(&self->a, own, fd));
		EXPECT_EQ(0, agree(&self->b, h, fd));
		seq = seq_of(&self->b, h);
		EXPECT_EQ(seq, seq_of(&self->a, own));
		EXPECT_EQ(i == 5, last == seq);
		last = seq;
	}
	/* Attached afterwards: the same change is the newest. */
	abi_attach_fd(&self->b, fd, 0, 0, 0, &w);
	ASSERT_NE(0, w);
	EXPECT_EQ(last, seq_of(&self->b, w));
	close(fd);
}

/* ---- M9 ------------------------------------------------------------------ */

TEST_F(status, M9_deadline_ends_it_by_itself)
{
	struct aop_ioc_query q;
	struct aop_status st;
	uint64_t h, at;
	int i;

	for (i = 0; i < 2; i++) {
		at = abi_now() + 30 * MSEC_NS;
		h = new_deadline(&self->a, AOP_EV_FINAL, at);
		ASSERT_NE(0, h);
		if (i)
			/* It may have been too late for this. */
			abi_start(&self->a, h);
		ASSERT_EQ(0, abi_query(&self->a, h, &q));
		EXPECT_EQ(at, q.deadline);
		EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->a, h, AOP_EV_FINAL, 0));
		EXPECT_LE(at, abi_now());
		st = status_of(&self->a, h);
		EXPECT_EQ(AOP_FAILED, st.state);
		EXPECT_EQ(-ETIMEDOUT, st.result);
		EXPECT_TRUE(st.flags & AOP_F_SYSTEM);
		EXPECT_LE(at, st.time);
		EXPECT_TRUE(reap_only(&self->a, h));
	}
}

TEST_F(status, M9_deadline_in_the_past)
{
	static const uint64_t past[] = { 1, 1000 };
	unsigned int i;
	uint64_t h;

	for (i = 0; i <= ARRAY_SIZE(past); i++) {
		h = new_deadline(&self->a, AOP_EV_FINAL,
				 i < ARRAY_SIZE(past) ? past[i] : abi_now() - 1);
		ASSERT_NE(0, h);
		EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->a, h, AOP_EV_FINAL, 0));
		EXPECT_ENDED(&self->a, h, AOP_FAILED, -ETIMEDOUT);
		EXPECT_TRUE(flags_of(&self->a, h) & AOP_F_SYSTEM);
		EXPECT_EQ(-EALREADY, abi_start(&self->a, h));
	}
}

/* The monotonic clock in ns ends far beyond what an s64 of seconds would. */
TEST_F(status, M9_deadline_far_away)
{
	static const uint64_t far[] = {
		INT64_MAX - 1, INT64_MAX, (uint64_t)INT64_MAX + 1, AOP_FOREVER_NS - 1,
		AOP_FOREVER_NS,
	};
	unsigned int i;
	uint64_t h;

	for (i = 0; i < ARRAY_SIZE(far); i++) {
		h = new_deadline(&self->a, 0, far[i]);
		ASSERT_NE(0, h);
		EXPECT_EQ(AOP_PENDING, abi_state(&self->a, h));
		EXPECT_EQ(0, abi_start(&self->a, h));
		EXPECT_EQ(0, abi_done(&self->a, h, i));
		EXPECT_ENDED(&self->a, h, AOP_DONE, i);
	}
}

/* Many at once, half of them ended first: each ends once, in its own way. */
TEST_F(status, M9_many_deadlines)
{
	struct aop_wait_entry e[48];
	struct aop_status st;
	uint64_t at = abi_now() + 50 * MSEC_NS, h[48];
	bool done[48] = { false };
	int i;

	for (i = 0; i < 48; i++) {
		h[i] = new_deadline(&self->a, 0, at + i % 8);
		ASSERT_NE(0, h[i]);
		e[i] = (struct aop_wait_entry) { .handle = h[i], .mask = AOP_EV_FINAL };
	}
	for (i = 0; i < 48; i += 2)
		done[i] = !abi_done(&self->a, h[i], i);
	EXPECT_EQ(48, abi_wait(&self->a, e, 48, 48, AOP_FOREVER_NS));
	for (i = 0; i < 48; i++) {
		st = status_of(&self->a, h[i]);
		EXPECT_EQ(done[i] ? AOP_DONE : AOP_FAILED, st.state);
		EXPECT_EQ(done[i] ? i : -ETIMEDOUT, st.result);
	}
}

/* ---- M10 ----------------------------------------------------------------- */

TEST_F(status, M10_over_only_when_the_owner_lets_go)
{
	struct aop_status was, is;
	struct waiter over;
	uint64_t h, w;
	int how;

	for (how = 0; how < 5; how++) {
		h = new_deadline(&self->a, 0, abi_now() + 10 * MSEC_NS);
		ASSERT_NE(0, h);
		/* Accepted, unless the machine was slower than the deadline. */
		abi_progress(&self->a, h, 1, 2);
		w = watch(&self->a, h, &self->b, AOP_EV_OVER);
		ASSERT_NE(0, w);
		ASSERT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, w, AOP_EV_FINAL, 0));
		was = status_of(&self->b, w);
		EXPECT_EQ(-ETIMEDOUT, was.result);
		EXPECT_EQ(0, was.flags & AOP_F_OVER);
		EXPECT_EQ(0, abi_queued(&self->b));
		EXPECT_EQ(0, abi_look(&self->b, w, AOP_EV_OVER, 0));
		EXPECT_TRUE(rights_of(&self->a, h) & AOP_MAY_DRIVE);
		/* A sleeper of the one kind is not woken by the other. */
		ASSERT_EQ(0, waiter_sleep(&over, &self->b, w, AOP_EV_OVER, 0));
		switch (how) {
		case 0:
			EXPECT_EQ(-EALREADY, abi_done(&self->a, h, 5));
			break;
		case 1:
			EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_LET_GO, 0));
			break;
		case 2:
			EXPECT_EQ(0, abi_detach(&self->a, h, AOP_MAY_DRIVE));
			break;
		case 3:
			EXPECT_EQ(-EALREADY, abi_start(&self->a, h));
			break;
		case 4:
			abi_close(&self->a);
			ASSERT_EQ(0, abi_open(&self->a, 64));
			break;
		}
		EXPECT_EQ(0, waiter_join(&over));
		EXPECT_EQ(AOP_EV_OVER, over.one.events);
		is = status_of(&self->b, w);
		EXPECT_TRUE(same_end(&was, &is));
		EXPECT_TRUE(is.flags & AOP_F_OVER);
		EXPECT_NE(was.seq, is.seq);
		EXPECT_TRUE(reap_only(&self->b, w));
	}
}

TEST_F(status, M10_an_end_by_the_owner_is_both_at_once)
{
	unsigned int s;
	uint32_t seq;
	uint64_t h;

	for (s = AOP_DONE; s < AOP_NR_STATES; s++) {
		h = new_running(&self->a, AOP_EV_ALL);
		ASSERT_NE(0, h);
		abi_drain(&self->a);
		ASSERT_EQ(0, abi_signal(&self->a, h, way[s].what, way[s].value));
		seq = seq_of(&self->a, h);
		EXPECT_EQ(AOP_EV_FINAL | AOP_EV_OVER,
			  abi_look(&self->a, h, AOP_EV_FINAL | AOP_EV_OVER, 0));
		EXPECT_TRUE(reap_only(&self->a, h));
		EXPECT_EQ(0, abi_detach(&self->a, h, AOP_MAY_CANCEL));
		EXPECT_EQ(seq, seq_of(&self->a, h));
	}
}

TEST_F(status, M10_cancel_of_a_pending_one_leaves_it_to_its_owner)
{
	uint64_t h, w;

	h = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, h);
	w = watch(&self->a, h, &self->b, AOP_EV_FINAL | AOP_EV_OVER);
	ASSERT_NE(0, w);
	ASSERT_EQ(AOP_STOPPED, abi_cancel(&self->b, w, 0));
	EXPECT_EQ(0, flags_of(&self->b, w) & AOP_F_OVER);
	EXPECT_TRUE(reap_only(&self->b, w));
	EXPECT_EQ(-EALREADY, abi_start(&self->a, h));
	EXPECT_TRUE(flags_of(&self->b, w) & AOP_F_OVER);
	EXPECT_TRUE(reap_only(&self->b, w));
}

TEST_HARNESS_MAIN
