// SPDX-License-Identifier: GPL-2.0
/*
 * The state machine, M1 to M10, in every scope.
 */
#include "any.h"

FIXTURE(state) {
	struct any any;
	struct aop op;
	struct aop_owner *o;
};

ANY_VARIANTS(state);

FIXTURE_SETUP(state)
{
	ANY_SETUP();
	ASSERT_EQ(0, aop_init(&self->op, self->any.where));
	self->o = aop_owner(&self->op);
	ASSERT_NE(NULL, self->o);
}

FIXTURE_TEARDOWN(state)
{
	any_teardown(&self->any);
}

TEST_F(state, M1_begins_pending)
{
	struct aop_status s = aop_status(&self->op);

	EXPECT_EQ(AOP_PENDING, aop_state(&self->op));
	EXPECT_FALSE(aop_is_final(&self->op));
	EXPECT_FALSE(aop_is_over(&self->op));
	EXPECT_EQ(-EINPROGRESS, aop_result(&self->op));
	EXPECT_EQ(0, s.flags);
	EXPECT_EQ(0, s.done);
	EXPECT_EQ(0, s.total);
}

TEST_F(state, M2_pending_to_running_to_done)
{
	EXPECT_EQ(0, aop_start(self->o));
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->op));
	EXPECT_EQ(-EINVAL, aop_start(self->o));
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->op));
	EXPECT_EQ(0, aop_done(self->o, 42));
	EXPECT_EQ(AOP_DONE, aop_state(&self->op));
	EXPECT_EQ(42, aop_result(&self->op));
	EXPECT_TRUE(aop_is_over(&self->op));
	EXPECT_EQ(1, aop_drop(&self->op));
}

TEST_F(state, M2_straight_from_pending)
{
	struct aop op[3];
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, aop_init(&op[i], self->any.where));
	EXPECT_EQ(0, aop_done(aop_owner(&op[0]), -7));
	EXPECT_EQ(0, aop_fail(aop_owner(&op[1]), -EIO));
	EXPECT_EQ(0, aop_cancelled(aop_owner(&op[2]), -EINTR));
	EXPECT_EQ(AOP_DONE, aop_state(&op[0]));
	EXPECT_EQ(-7, aop_result(&op[0]));
	EXPECT_EQ(AOP_FAILED, aop_state(&op[1]));
	EXPECT_EQ(-EIO, aop_result(&op[1]));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&op[2]));
	EXPECT_EQ(-EINTR, aop_result(&op[2]));
	EXPECT_EQ(-EINTR, aop_status(&op[2]).reason);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(1, aop_drop(&op[i]));
}

TEST_F(state, M2_bad_ends_are_refused_and_change_nothing)
{
	uint32_t seq = aop_status(&self->op).seq;

	EXPECT_EQ(-EINVAL, aop_fail(self->o, 0));
	EXPECT_EQ(-EINVAL, aop_fail(self->o, 5));
	EXPECT_EQ(-EINVAL, aop_fail(self->o, -5000));
	EXPECT_EQ(-EINVAL, aop_cancelled(self->o, 1));
	EXPECT_EQ(-EINVAL, aop_progress(self->o, UINT64_MAX, 0));
	EXPECT_EQ(-EINVAL, aop_end(self->o, INT64_MIN));
	EXPECT_EQ(seq, aop_status(&self->op).seq);
	EXPECT_EQ(AOP_PENDING, aop_state(&self->op));
	EXPECT_EQ(self->o, aop_owner(&self->op));
}

TEST_F(state, M3_the_first_completer_wins_the_later_is_told)
{
	struct aop_status s;

	EXPECT_EQ(AOP_STOPPED, aop_cancel(&self->op, -EINTR));
	s = aop_status(&self->op);
	EXPECT_EQ(-EALREADY, aop_progress(self->o, 1, 2));
	EXPECT_FALSE(aop_is_over(&self->op));
	EXPECT_EQ(-EALREADY, aop_done(self->o, 1));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&self->op));
	EXPECT_EQ(-EINTR, aop_result(&self->op));
	EXPECT_EQ(s.result, aop_status(&self->op).result);
	EXPECT_EQ(s.done, aop_status(&self->op).done);
	EXPECT_TRUE(aop_is_over(&self->op));
	EXPECT_EQ(1, aop_drop(&self->op));
}

TEST_F(state, M4_progress_is_a_change)
{
	uint32_t seq = aop_status(&self->op).seq;
	struct aop_status s;

	EXPECT_EQ(0, aop_progress(self->o, 1, 10));	/* PENDING to PENDING */
	s = aop_status(&self->op);
	EXPECT_NE(seq, s.seq);
	EXPECT_EQ(AOP_PENDING, s.state);
	EXPECT_EQ(1, s.done);
	EXPECT_EQ(10, s.total);
	EXPECT_EQ(0, aop_start(self->o));
	seq = aop_status(&self->op).seq;
	EXPECT_NE(seq, s.seq);
	EXPECT_EQ(0, aop_progress(self->o, 1, 10));	/* the same again counts too */
	EXPECT_NE(seq, aop_status(&self->op).seq);
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->op));
}

TEST_F(state, M5_created_final)
{
	struct aop done, failed, cancelled, bad;

	ASSERT_EQ(0, aop_init_with(&done, self->any.where,
				   AOP_OPTS(.state = AOP_DONE, .result = 5)));
	EXPECT_EQ(5, aop_result(&done));
	EXPECT_EQ(5, aop_get(&done, AOP_FOREVER));
	EXPECT_EQ(0, aop_let_go(aop_owner(&done)));
	EXPECT_EQ(5, aop_result(&done));
	EXPECT_EQ(AOP_DONE, aop_state(&done));
	EXPECT_EQ(0, aop_status(&done).flags & AOP_F_SYSTEM);
	EXPECT_TRUE(aop_is_over(&done));
	ASSERT_EQ(0, aop_init_with(&failed, self->any.where,
				   AOP_OPTS(.state = AOP_FAILED, .result = -EIO)));
	ASSERT_EQ(0, aop_init_with(&cancelled, self->any.where,
				   AOP_OPTS(.state = AOP_CANCELLED, .result = -EINTR)));
	EXPECT_EQ(-EIO, aop_result(&failed));
	EXPECT_EQ(AOP_FAILED, aop_state(&failed));
	EXPECT_EQ(-EINTR, aop_result(&cancelled));
	EXPECT_EQ(-EINTR, aop_status(&cancelled).reason);
	EXPECT_EQ(AOP_CANCELLED, aop_state(&cancelled));
	EXPECT_EQ(-EALREADY, aop_done(aop_owner(&failed), 1));
	EXPECT_EQ(-EALREADY, aop_start(aop_owner(&cancelled)));
	EXPECT_EQ(1, aop_drop(&done));
	EXPECT_EQ(1, aop_drop(&failed));
	EXPECT_EQ(1, aop_drop(&cancelled));

	EXPECT_EQ(-EINVAL, aop_init_with(&bad, self->any.where,
					 AOP_OPTS(.state = AOP_FAILED, .result = 1)));
	EXPECT_EQ(-EINVAL, aop_init_with(&bad, self->any.where, AOP_OPTS(.state = 9)));
	EXPECT_EQ(-EINVAL, aop_init_with(&bad, self->any.where, AOP_OPTS(.flags = 0x100)));
	EXPECT_EQ(AOP_FAILED, aop_state(&bad));
	EXPECT_EQ(-EINVAL, aop_join(&bad));
}

/* It is over from the start: there is nothing that its owner could still touch. */
TEST_F(state, M5_created_final_is_over)
{
	struct aop_status before;
	struct seen s = { 0 };
	struct aop op;

	ASSERT_EQ(0, aop_init_with(&op, self->any.where,
				   AOP_OPTS(.state = AOP_DONE, .result = 5)));
	EXPECT_TRUE(aop_is_over(&op));
	before = aop_status(&op);
	ASSERT_EQ(0, aop_then(&op, &s.w, see, NULL, AOP_INLINE));
	any_turn(&self->any);
	EXPECT_EQ(1, s.calls);
	EXPECT_EQ(0, aop_let_go(aop_owner(&op)));
	any_turn(&self->any);
	EXPECT_EQ(1, s.calls);
	EXPECT_EQ(before.seq, aop_status(&op).seq);
	EXPECT_EQ(NULL, aop_owner(&op));
	EXPECT_EQ(5, aop_join(&op));
}

static int final_releases;
static int64_t final_result;

static void release_final(struct aop *op)
{
	final_releases++;
	final_result = aop_result(op);
}

/* The watcher does not wait for an owner who has no reason to come soon. */
TEST_F(state, M5_created_final_and_dropped_first)
{
	static int (*const end[])(struct aop_owner *o) = { aop_let_go, aop_start };
	struct aop op;
	size_t i;

	for (i = 0; i < 2; i++) {
		final_releases = 0;
		ASSERT_EQ(0, aop_init_with(&op, self->any.where,
					   AOP_OPTS(.state = AOP_FAILED, .result = -EIO,
						    .release = release_final)));
		EXPECT_EQ(-EIO, aop_get(&op, AOP_FOREVER));
		EXPECT_EQ(0, aop_drop(&op));
		EXPECT_EQ(0, final_releases);
		EXPECT_EQ(i ? -EALREADY : 0, end[i](aop_owner(&op)));
		EXPECT_EQ(1, final_releases);
		EXPECT_EQ(-EIO, final_result);
	}
}

TEST_F(state, M5_created_running)
{
	struct aop op;

	ASSERT_EQ(0, aop_init_with(&op, self->any.where, AOP_OPTS(.state = AOP_RUNNING)));
	EXPECT_EQ(AOP_RUNNING, aop_state(&op));
	EXPECT_EQ(-EINVAL, aop_start(aop_owner(&op)));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(1, aop_join(&op));
}

TEST_F(state, M6_owner_gone_before_the_end)
{
	EXPECT_EQ(0, aop_let_go(self->o));
	EXPECT_EQ(AOP_FAILED, aop_state(&self->op));
	EXPECT_EQ(-EOWNERDEAD, aop_result(&self->op));
	EXPECT_NE(0, aop_status(&self->op).flags & AOP_F_SYSTEM);
	EXPECT_EQ(NULL, aop_owner(&self->op));
	EXPECT_EQ(-EOWNERDEAD, aop_join(&self->op));
}

TEST_F(state, M6_an_owners_own_failure_is_another_thing)
{
	EXPECT_EQ(0, aop_fail(self->o, -EOWNERDEAD));
	EXPECT_EQ(-EOWNERDEAD, aop_result(&self->op));
	EXPECT_EQ(0, aop_status(&self->op).flags & AOP_F_SYSTEM);
}

TEST_F(state, M7_times_on_request)
{
	int64_t t0 = aop_now(), t1;
	struct aop op;

	ASSERT_EQ(0, aop_init_with(&op, self->any.where, AOP_OPTS(.flags = AOP_TIMED)));
	t1 = aop_status(&op).time;
	EXPECT_LE(t0, t1);
	EXPECT_EQ(0, aop_start(aop_owner(&op)));
	EXPECT_LE(t1, (int64_t)aop_status(&op).time);
	t1 = aop_status(&op).time;
	EXPECT_EQ(AOP_ASKED, aop_cancel(&op, 0));
	EXPECT_EQ(t1, (int64_t)aop_status(&op).time);
	EXPECT_EQ(0, aop_done(aop_owner(&op), 0));
	EXPECT_LE(t1, (int64_t)aop_status(&op).time);
	EXPECT_GE(aop_now(), (int64_t)aop_status(&op).time);
	EXPECT_EQ(1, aop_drop(&op));
	if (self->any.scope != ANY_SHARED) {
		EXPECT_EQ(0, aop_status(&self->op).time);
		aop_done(self->o, 0);
		EXPECT_EQ(0, aop_status(&self->op).time);
	}
}

TEST_F(state, M8_each_change_has_a_number)
{
	uint32_t seq[6];
	int i, j;

	seq[0] = aop_status(&self->op).seq;
	aop_progress(self->o, 1, 2);
	seq[1] = aop_status(&self->op).seq;
	ASSERT_EQ(0, aop_start(self->o));
	seq[2] = aop_status(&self->op).seq;
	aop_cancel(&self->op, 0);
	seq[3] = aop_status(&self->op).seq;
	aop_cancel(&self->op, 0);
	EXPECT_EQ(seq[3], aop_status(&self->op).seq);	/* nothing new */
	aop_progress(self->o, 2, 2);
	seq[4] = aop_status(&self->op).seq;
	aop_cancelled(self->o, 0);
	seq[5] = aop_status(&self->op).seq;
	for (i = 0; i < 6; i++) {
		EXPECT_EQ(0, seq[i] & 1);
		for (j = 0; j < i; j++)
			EXPECT_NE(seq[i], seq[j]);
	}
}

TEST_F(state, M9_a_deadline_ends_it)
{
	struct aop op;
	struct aop_owner *o;
	int ms, ret = -EALREADY;

	/* Where all is slow it passes before the start. */
	for (ms = 5; ret == -EALREADY; ms *= 2) {
		ASSERT_EQ(0, aop_init_with(&op, self->any.where,
					   AOP_OPTS(.deadline = AOP_MS(ms))));
		o = aop_owner(&op);
		ret = aop_start(o);
		if (ret)
			aop_drop(&op);
	}
	ASSERT_EQ(0, ret);
	EXPECT_EQ(0, aop_wait(&op, AOP_FOREVER));
	EXPECT_EQ(AOP_FAILED, aop_state(&op));
	EXPECT_EQ(-ETIMEDOUT, aop_result(&op));
	EXPECT_NE(0, aop_status(&op).flags & AOP_F_SYSTEM);
	EXPECT_FALSE(aop_is_over(&op));		/* M10: its owner holds it */
	EXPECT_EQ(-ETIMEDOUT, aop_asked(o));
	EXPECT_EQ(-EALREADY, aop_done(o, 1));
	EXPECT_EQ(-ETIMEDOUT, aop_join(&op));
}

TEST_F(state, M9_a_deadline_in_the_past_is_noticed_by_any_call)
{
	struct aop op[4];
	int i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, aop_init_with(&op[i], self->any.where,
					   AOP_OPTS(.deadline = aop_until(1))));
	if (self->any.scope == ANY_SHARED)
		EXPECT_EQ(0, aop_wait(&op[3], AOP_FOREVER));
	EXPECT_EQ(0, aop_wait(&op[3], AOP_NOWAIT));
	if (self->any.scope == ANY_SHARED)
		for (i = 0; i < 3; i++)
			EXPECT_EQ(0, aop_wait(&op[i], AOP_FOREVER));
	EXPECT_EQ(-EALREADY, aop_start(aop_owner(&op[0])));
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(&op[1], 0));
	EXPECT_EQ(-EALREADY, aop_progress(aop_owner(&op[2]), 1, 2));
	for (i = 1; i < 4; i++)
		EXPECT_EQ(-EALREADY, aop_done(aop_owner(&op[i]), 0));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-ETIMEDOUT, aop_join(&op[i]));
}

TEST_F(state, M9_one_that_is_not_reached_does_nothing)
{
	struct aop op;

	ASSERT_EQ(0, aop_init_with(&op, self->any.where, AOP_OPTS(.deadline = AOP_SEC(3600))));
	EXPECT_EQ(-ETIME, aop_wait(&op, AOP_MS(1)));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(1, aop_join(&op));
}

TEST_F(state, O1_dropped_in_either_order)
{
	struct aop op;

	EXPECT_EQ(0, aop_drop(&self->op));
	EXPECT_EQ(0, aop_done(self->o, 1));

	ASSERT_EQ(0, aop_init(&op, self->any.where));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(1, aop_drop(&op));
}

static int released;

static void release(struct aop *op)
{
	(void)op;
	released++;
}

TEST_F(state, O1_the_last_to_let_go_releases)
{
	const struct aop_opts *opts = AOP_OPTS(.release = release);
	struct aop op;

	ASSERT_EQ(0, aop_init_with(&op, self->any.where, opts));
	EXPECT_EQ(0, aop_drop(&op));
	EXPECT_EQ(0, released);
	EXPECT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(1, released);

	ASSERT_EQ(0, aop_init_with(&op, self->any.where, opts));
	EXPECT_EQ(&op, aop_hold(&op));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(0, aop_drop(&op));
	EXPECT_EQ(1, released);
	EXPECT_EQ(1, aop_result(&op));
	EXPECT_EQ(1, aop_drop(&op));
	EXPECT_EQ(2, released);
}

TEST_HARNESS_MAIN
