// SPDX-License-Identifier: GPL-2.0
/*
 * The state machine of one op: which moves it makes, and who may look at it.
 */
#include <linux/slab.h>

#include "kunit.h"

/* The calls that make each move, or refuse to. */
static int move_to(struct aop *op, u8 state)
{
	struct aop_run run;
	int ret;

	if (AOP_FINAL(state))
		return aop_test_end(op, state, state == AOP_DONE ? 7 : -EPIPE);
	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	ret = aop_start_locked(&run, op);
	aop_run_end(&run);
	return ret;
}

/* The calls agree with the table, and what they refuse changes nothing. */
static void transitions(struct kunit *test)
{
	unsigned int from, to;

	for (from = 0; from < AOP_NR_STATES; from++) {
		for (to = AOP_RUNNING; to < AOP_NR_STATES; to++) {
			/* Once started it cannot be started again, nor ended twice. */
			bool legal = from == AOP_PENDING || (from == AOP_RUNNING && AOP_FINAL(to));
			struct aop *op = aop_test_op(test, from);
			struct aop_status before, after;
			int ret;

			aop_status(op, &before);
			ret = move_to(op, to);
			aop_status(op, &after);
			KUNIT_EXPECT_EQ_MSG(test, legal, !ret, "%u to %u", from, to);
			if (from != to)
				KUNIT_EXPECT_EQ(test, legal, !!aop_move_is_legal(from, to));
			if (legal) {
				KUNIT_EXPECT_EQ(test, to, aop_test_state(op));
				KUNIT_EXPECT_EQ(test, before.seq + 2, after.seq);
				KUNIT_EXPECT_GE(test, after.time, before.time);
			} else {
				KUNIT_EXPECT_EQ(test, 0, memcmp(&before, &after, sizeof(after)));
			}
			aop_put(op);
		}
	}
}

/* The first cancel's reason is kept; the owner may end it as it likes. */
static void cancel_then_end(struct kunit *test)
{
	struct aop *op = aop_test_op(test, AOP_RUNNING);

	KUNIT_EXPECT_EQ(test, (int)AOP_ASKED, aop_cancel(op, -EINTR));
	KUNIT_EXPECT_EQ(test, (int)AOP_ASKED, aop_cancel(op, -EPERM));
	KUNIT_EXPECT_EQ(test, -EINTR, op->reason);
	KUNIT_EXPECT_EQ(test, 0, aop_test_end(op, AOP_DONE, 1));
	KUNIT_EXPECT_EQ(test, (int)AOP_TOO_LATE, aop_cancel(op, 0));
	KUNIT_EXPECT_EQ(test, -EALREADY, aop_test_end(op, AOP_FAILED, -EIO));
	KUNIT_EXPECT_EQ(test, (unsigned int)AOP_DONE, aop_test_state(op));
	aop_put(op);
}

static void no_hook(struct aop_run *run, struct aop *op, struct aop_hook *hook, u32 events)
{
}

/* How many hooks of a user an op takes; adds them at *@hook. */
static unsigned int hang(struct aop *op, struct aop_hook **hook, struct aop_user *user)
{
	unsigned int nr = 0;
	int ret;

	do {
		(*hook)->func = no_hook;
		(*hook)->user = user;
		spin_lock_irq(&op->home->lock);
		ret = aop_hook_locked(op, *hook);
		spin_unlock_irq(&op->home->lock);
		if (!ret) {
			(*hook)++;
			nr++;
		}
	} while (!ret);
	return ret == -EMFILE ? nr : UINT_MAX;
}

/* Each stranger has a share, all of them a half, and the owner all that is left. */
static void limit_of_links(struct kunit *test)
{
	struct aop_hook *hooks = kunit_kcalloc(test, AOP_MAX_LINKS + 1, sizeof(*hooks), GFP_KERNEL);
	unsigned int i, nr, strangers = AOP_MAX_LINKS / 2 / AOP_MAX_FOREIGN;
	struct aop *op = aop_test_op(test, AOP_PENDING);
	struct aop_hook *hook = hooks;
	struct aop_user *users[AOP_MAX_LINKS / 2 / AOP_MAX_FOREIGN + 1];

	KUNIT_ASSERT_NOT_NULL(test, hooks);
	for (i = 0; i <= strangers; i++) {
		users[i] = aop_user_get(KUIDT_INIT(100000 + i));
		KUNIT_ASSERT_NOT_NULL(test, users[i]);
		nr = hang(op, &hook, users[i]);
		KUNIT_EXPECT_EQ(test, nr, i < strangers ? AOP_MAX_FOREIGN : 0u);
	}
	nr = hang(op, &hook, op->home->user);
	KUNIT_EXPECT_EQ(test, nr, AOP_MAX_LINKS / 2u);
	KUNIT_EXPECT_EQ(test, (unsigned int)op->nr_links, (unsigned int)AOP_MAX_LINKS);
	spin_lock_irq(&op->home->lock);
	while (hook-- > hooks)
		aop_unhook_locked(op, hook);
	spin_unlock_irq(&op->home->lock);
	KUNIT_EXPECT_EQ(test, (unsigned int)op->nr_links, 0u);
	for (i = 0; i <= strangers; i++)
		aop_user_put(users[i]);
	aop_put(op);
}

/* What is beyond the limit is not counted. */
static void limit_of_handles(struct kunit *test)
{
	struct aop_user *user = aop_user_get(KUIDT_INIT(100000));
	unsigned int max;

	KUNIT_ASSERT_NOT_NULL(test, user);
	max = aop_user_charge(user, S32_MAX);
	KUNIT_EXPECT_EQ(test, max, (unsigned int)atomic_read(&user->handles));
	if (max && max < S32_MAX) {
		KUNIT_EXPECT_EQ(test, 0u, aop_user_charge(user, 3));
		aop_user_uncharge(user, 2);
		KUNIT_EXPECT_EQ(test, 1u, aop_user_charge(user, 1));
		KUNIT_EXPECT_EQ(test, 1u, aop_user_charge(user, 3));
		KUNIT_EXPECT_EQ(test, max, (unsigned int)atomic_read(&user->handles));
	}
	aop_user_uncharge(user, max);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&user->handles));
	aop_user_put(user);
}

static struct kunit_case op_cases[] = {
	KUNIT_CASE(transitions),
	KUNIT_CASE(cancel_then_end),
	KUNIT_CASE(limit_of_links),
	KUNIT_CASE(limit_of_handles),
	{}
};

struct kunit_suite aop_op_suite = {
	.name = "aop_op",
	.init = aop_test_init,
	.exit = aop_test_exit,
	.test_cases = op_cases,
};
