// SPDX-License-Identifier: GPL-2.0
/*
 * The state machine of one operation, M1 to M6, in shared scope.  What its status
 * tells, M7 to M10, is in status.c.
 */
#include "behave.h"

FIXTURE(state) {
	struct abi_ctx a;	/* the owner's */
	struct abi_ctx b;	/* a watcher's */
};

FIXTURE_SETUP(state)
{
	ASSERT_EQ(0, abi_open(&self->a, 64));
	ASSERT_EQ(0, abi_open(&self->b, 64));
}

FIXTURE_TEARDOWN(state)
{
	abi_close(&self->a);
	abi_close(&self->b);
}

/* ---- M1, M2 -------------------------------------------------------------- */

TEST_F(state, M1_five_states)
{
	unsigned int from, s;
	uint64_t h, w;

	for (s = AOP_PENDING; s < AOP_NR_STATES; s++) {
		h = born(&self->a, s);
		ASSERT_NE(0, h);
		EXPECT_EQ(s, abi_state(&self->a, h));
		EXPECT_EQ(way[s].result, status_of(&self->a, h).result);
		EXPECT_EQ(s >= AOP_DONE, abi_look(&self->a, h, AOP_EV_FINAL, 0) == AOP_EV_FINAL);
	}
	/* Each of the last four from both of the first two, seen from elsewhere. */
	for (from = AOP_PENDING; from <= AOP_RUNNING; from++) {
		for (s = from + 1; s < AOP_NR_STATES; s++) {
			h = born(&self->a, from);
			ASSERT_NE(0, h);
			w = watch(&self->a, h, &self->b, 0);
			ASSERT_NE(0, w);
			EXPECT_EQ(from, abi_state(&self->b, w));
			EXPECT_EQ(0, abi_signal(&self->a, h, way[s].what, way[s].value));
			EXPECT_ENDED(&self->b, w, s, way[s].result);
		}
	}
}

/*
 * M2 in words of its own: the header's table is what is tested, so it is no
 * witness.
 */
static const char *const legal[AOP_NR_STATES] = {
	[AOP_PENDING]	= "PRDFC",
	[AOP_RUNNING]	= "RDFC",
	[AOP_DONE]	= "",
	[AOP_FAILED]	= "",
	[AOP_CANCELLED]	= "",
};

static bool may(unsigned int from, unsigned int to)
{
	return strchr(legal[from], "PRDFC"[to]);
}

TEST_F(state, M2_the_table_says_what_the_text_says)
{
	unsigned int from, to;

	for (from = 0; from < 8; from++)
		for (to = 0; to < 8; to++)
			EXPECT_EQ(from < AOP_NR_STATES && to < AOP_NR_STATES && may(from, to),
				  aop_move_is_legal(from, to))
				TH_LOG("from %u to %u", from, to);
}

TEST_F(state, M2_every_transition_by_a_call)
{
	static const struct {
		uint32_t what;
		int64_t value;
		int to;			/* -1: the same */
	} say[] = {
		{ AOP_SIGNAL_START, 0, AOP_RUNNING },
		{ AOP_SIGNAL_PROGRESS, 5, -1 },
		{ AOP_SIGNAL_DONE, 9, AOP_DONE },
		{ AOP_SIGNAL_FAIL, -EIO, AOP_FAILED },
		{ AOP_SIGNAL_CANCELLED, -EPIPE, AOP_CANCELLED },
	};
	struct aop_status was, is;
	unsigned int from, to, i;
	int ret, want;
	uint64_t h;

	for (from = 0; from < AOP_NR_STATES; from++) {
		for (i = 0; i < ARRAY_SIZE(say); i++) {
			h = born(&self->a, from);
			ASSERT_NE(0, h);
			was = status_of(&self->a, h);
			abi_drain(&self->a);
			to = say[i].to < 0 ? from : say[i].to;
			if (say[i].what == AOP_SIGNAL_START && from == AOP_RUNNING)
				want = -EINVAL;		/* accepted twice */
			else if (may(from, to))
				want = 0;
			else
				want = -EALREADY;
			ret = abi_signal(&self->a, h, say[i].what, say[i].value);
			is = status_of(&self->a, h);
			EXPECT_EQ(want, ret)
				TH_LOG("state %u, signal %u", from, say[i].what);
			if (want) {
				EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)))
					TH_LOG("state %u, signal %u changed it", from,
					       say[i].what);
				EXPECT_EQ(0, abi_queued(&self->a));
			} else {
				EXPECT_EQ(to, is.state);
				EXPECT_NE(was.seq, is.seq);
				EXPECT_TRUE(reap_only(&self->a, h));
			}
		}
	}
}

/* ---- M3: the first completer wins, in both orders of every pair ------------ */

enum completer { OWNER, DEADLINE, CANCEL, DEATH };

FIXTURE(pair) {
	struct abi_ctx a, b;
};

FIXTURE_VARIANT(pair) {
	enum completer first, second;
};

#define PAIR(x, y, X, Y)							\
FIXTURE_VARIANT_ADD(pair, x##_then_##y) { .first = X, .second = Y }

PAIR(owner, deadline, OWNER, DEADLINE);
PAIR(owner, cancel, OWNER, CANCEL);
PAIR(owner, death, OWNER, DEATH);
PAIR(deadline, owner, DEADLINE, OWNER);
PAIR(deadline, cancel, DEADLINE, CANCEL);
PAIR(deadline, death, DEADLINE, DEATH);
PAIR(cancel, owner, CANCEL, OWNER);
PAIR(cancel, deadline, CANCEL, DEADLINE);
PAIR(cancel, death, CANCEL, DEATH);
PAIR(death, owner, DEATH, OWNER);
PAIR(death, deadline, DEATH, DEADLINE);
PAIR(death, cancel, DEATH, CANCEL);

FIXTURE_SETUP(pair)
{
	ASSERT_EQ(0, abi_open(&self->b, 64));
	self->a.fd = -1;
}

FIXTURE_TEARDOWN(pair)
{
	abi_close(&self->a);
	abi_close(&self->b);
}

/*
 * One completer does its part; for the deadline that is awaiting it, with a
 * second operation that has the same one as witness.
 */
static int complete(enum completer who, struct abi_ctx *a, uint64_t own, struct abi_ctx *b,
		    uint64_t see, uint64_t deadline)
{
	uint64_t witness;

	switch (who) {
	case OWNER:
		/* After its death nobody has the right; a watcher stands in. */
		return a->fd < 0 ? abi_done(b, see, 7) : abi_done(a, own, 7);
	case DEADLINE:
		witness = new_deadline(b, 0, deadline + 1);
		if (!witness || abi_wait_one(b, witness, AOP_EV_FINAL, 0) != AOP_EV_FINAL)
			return -EPROTO;
		return abi_wait_one(b, see, AOP_EV_FINAL, 0) == AOP_EV_FINAL ? 0 : -EPROTO;
	case CANCEL:
		return abi_cancel(b, see, -EINTR);
	default:
		abi_close(a);
		return 0;
	}
}

TEST_F(pair, M3_first_completer_wins_and_the_second_is_told)
{
	static const struct {
		unsigned int state;
		int64_t result;
		unsigned int flags;
	} end[] = {
		[OWNER]		= { AOP_DONE, 7, 0 },
		[DEADLINE]	= { AOP_FAILED, -ETIMEDOUT, AOP_F_SYSTEM },
		[CANCEL]	= { AOP_CANCELLED, -EINTR, AOP_F_ASKED },
		[DEATH]		= { AOP_FAILED, -EOWNERDEAD, AOP_F_SYSTEM },
	};
	static const unsigned int tested = AOP_F_SYSTEM | AOP_F_ASKED;
	uint64_t deadline, after = 20 * MSEC_NS;
	enum completer first = variant->first, second = variant->second;
	bool timed = first == DEADLINE || second == DEADLINE;
	struct aop_status one, two;
	uint64_t own, see;
	int ret;

	/* A deadline that is to be second may be too quick on a slow machine. */
	for (;; after *= 2) {
		ASSERT_EQ(0, abi_open(&self->a, 64));
		deadline = timed ? abi_now() + after : 0;
		own = new_deadline(&self->a, 0, deadline);
		ASSERT_NE(0, own);
		see = watch(&self->a, own, &self->b, 0);
		ASSERT_NE(0, see);
		ret = complete(first, &self->a, own, &self->b, see, deadline);
		one = status_of(&self->b, see);
		if (second != DEADLINE || one.result != -ETIMEDOUT)
			break;
		ASSERT_LT(after, 60 * ABI_SEC_NS);
		abi_close(&self->a);
	}
	EXPECT_EQ(first == CANCEL ? AOP_STOPPED : 0, ret);
	EXPECT_EQ(end[first].state, one.state);
	EXPECT_EQ(end[first].result, one.result);
	EXPECT_EQ(end[first].flags & tested, one.flags & tested);
	EXPECT_EQ(first == OWNER || first == DEATH, !!(one.flags & AOP_F_OVER));

	ret = complete(second, &self->a, own, &self->b, see, deadline);
	switch (second) {
	case OWNER:
		EXPECT_EQ(first == DEATH ? -EPERM : -EALREADY, ret);
		break;
	case CANCEL:
		EXPECT_EQ(AOP_TOO_LATE, ret);
		break;
	default:
		EXPECT_EQ(0, ret);
	}
	two = status_of(&self->b, see);
	EXPECT_TRUE(same_end(&one, &two));

	abi_close(&self->a);
	two = status_of(&self->b, see);
	EXPECT_TRUE(same_end(&one, &two));
	EXPECT_TRUE(two.flags & AOP_F_OVER);
}

/* An op that a deadline or a cancel ended: its owner is told by whatever it says. */
TEST_F(state, M3_the_late_owner_is_told_whatever_it_says)
{
	static const struct {
		uint32_t what;
		int64_t value;
	} late[] = {
		{ AOP_SIGNAL_START, 0 }, { AOP_SIGNAL_DONE, 1 },
		{ AOP_SIGNAL_FAIL, -EIO }, { AOP_SIGNAL_CANCELLED, 0 },
	};
	struct aop_status was, is;
	unsigned int i;
	uint64_t h;

	for (i = 0; i < ARRAY_SIZE(late); i++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		ASSERT_EQ(AOP_STOPPED, abi_cancel(&self->a, h, -ENOLINK));
		was = status_of(&self->a, h);
		/* Progress lets nobody go, and is told each time. */
		EXPECT_EQ(-EALREADY, abi_progress(&self->a, h, 1, 2));
		EXPECT_EQ(-EALREADY, abi_progress(&self->a, h, 1, 2));
		EXPECT_EQ(-EALREADY, abi_signal(&self->a, h, late[i].what, late[i].value));
		is = status_of(&self->a, h);
		EXPECT_TRUE(same_end(&was, &is));
		EXPECT_TRUE(is.flags & AOP_F_OVER);
		/* That let go: from now on it has no say at all. */
		EXPECT_EQ(0, rights_of(&self->a, h) & AOP_MAY_DRIVE);
		EXPECT_EQ(-EPERM, abi_signal(&self->a, h, late[i].what, late[i].value));
	}
}

/* ---- M4 ------------------------------------------------------------------ */

TEST_F(state, M4_progress_is_a_change)
{
	unsigned int state, round;
	struct aop_status st;
	uint64_t h, w, q;
	uint32_t seq;

	for (state = AOP_PENDING; state <= AOP_RUNNING; state++) {
		h = born(&self->a, state);
		ASSERT_NE(0, h);
		w = watch(&self->a, h, &self->b, AOP_EV_CHANGE);
		ASSERT_NE(0, w);
		q = watch(&self->a, h, &self->b, AOP_EV_FINAL);
		ASSERT_NE(0, q);
		abi_drain(&self->a);
		abi_drain(&self->b);
		for (round = 0; round < 3; round++) {
			seq = seq_of(&self->b, w);
			ASSERT_EQ(0, abi_look(&self->b, w, AOP_EV_CHANGE, seq));
			/* The same numbers again are news too. */
			EXPECT_EQ(0, abi_progress(&self->a, h, 10 + round / 2, 100));
			st = status_of(&self->b, w);
			EXPECT_NE(seq, st.seq);
			EXPECT_EQ(state, st.state);
			EXPECT_EQ(10 + round / 2, st.done);
			EXPECT_EQ(100, st.total);
			EXPECT_EQ(AOP_EV_CHANGE, abi_wait_one(&self->b, w, AOP_EV_CHANGE, seq));
			/* Told are those that wished for it. */
			EXPECT_TRUE(reap_only(&self->b, w));
			EXPECT_TRUE(reap_only(&self->a, h));
			/* But every slot shows it. */
			EXPECT_EQ(10 + round / 2, status_of(&self->b, q).done);
		}
	}
}

/* ---- M5 ------------------------------------------------------------------ */

TEST_F(state, M5_created_final_and_released_silently)
{
	struct aop_status was, is;
	unsigned int s, how;
	uint64_t h, w;

	for (s = AOP_DONE; s < AOP_NR_STATES; s++) {
		for (how = 0; how < 3; how++) {
			h = born(&self->a, s);
			ASSERT_NE(0, h);
			w = watch(&self->a, h, &self->b, AOP_EV_ALL & ~AOP_EV_ORPHAN);
			ASSERT_NE(0, w);
			/* Final when the watcher came: told once. */
			EXPECT_TRUE(reap_only(&self->b, w));
			EXPECT_ENDED(&self->b, w, s, way[s].result);
			was = status_of(&self->b, w);
			switch (how) {
			case 0:
				EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_LET_GO, 0));
				break;
			case 1:
				EXPECT_EQ(0, abi_detach(&self->a, h, 0));
				break;
			default:
				abi_close(&self->a);
				ASSERT_EQ(0, abi_open(&self->a, 64));
			}
			is = status_of(&self->b, w);
			EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)))
				TH_LOG("%s, released by way %u: %#x %#x", way[s].name, how,
				       was.flags, is.flags);
			EXPECT_EQ(0, abi_queued(&self->b));
			EXPECT_EQ(AOP_EV_OVER, abi_look(&self->b, w, AOP_EV_OVER, 0));
		}
	}
}

/* ---- M6 ------------------------------------------------------------------ */

TEST_F(state, M6_owner_gone_before_the_end)
{
	unsigned int state, how;
	uint64_t h, w;
	int fd;

	for (state = AOP_PENDING; state <= AOP_RUNNING; state++) {
		for (how = 0; how < 5; how++) {
			h = born(&self->a, state);
			ASSERT_NE(0, h);
			w = watch(&self->a, h, &self->b, AOP_EV_FINAL);
			ASSERT_NE(0, w);
			switch (how) {
			case 0:
				EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_LET_GO, 0));
				break;
			case 1:
				EXPECT_EQ(0, abi_detach(&self->a, h, AOP_MAY_DRIVE));
				break;
			case 2:
				EXPECT_EQ(0, abi_detach(&self->a, h, 0));
				break;
			case 3:
				fd = abi_export(&self->a, h, AOP_MAY_DRIVE);
				ASSERT_GE(fd, 0);
				EXPECT_EQ(state, abi_state(&self->b, w));
				close(fd);
				break;
			default:
				abi_close(&self->a);
				ASSERT_EQ(0, abi_open(&self->a, 64));
			}
			EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, w, AOP_EV_FINAL, 0));
			EXPECT_OWNER_DEAD(&self->b, w);
			EXPECT_TRUE(reap_only(&self->b, w));
		}
	}
}

TEST_F(state, M6_own_failure_with_the_same_errno_is_another_thing)
{
	uint64_t h, w;

	h = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, h);
	w = watch(&self->a, h, &self->b, 0);
	ASSERT_NE(0, w);
	EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_FAIL, -EOWNERDEAD));
	EXPECT_ENDED(&self->b, w, AOP_FAILED, -EOWNERDEAD);
	EXPECT_EQ(0, flags_of(&self->b, w) & AOP_F_SYSTEM);
}

TEST_F(state, M6_owner_gone_after_the_end)
{
	struct aop_status was, is;
	unsigned int s;
	uint64_t h, w;

	for (s = AOP_DONE; s < AOP_NR_STATES; s++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		w = watch(&self->a, h, &self->b, AOP_EV_ALL);
		ASSERT_NE(0, w);
		EXPECT_EQ(0, abi_signal(&self->a, h, way[s].what, way[s].value));
		abi_drain(&self->b);
		was = status_of(&self->b, w);
		abi_close(&self->a);
		is = status_of(&self->b, w);
		EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)));
		EXPECT_EQ(0, abi_queued(&self->b));
		ASSERT_EQ(0, abi_open(&self->a, 64));
	}
}

TEST_HARNESS_MAIN
