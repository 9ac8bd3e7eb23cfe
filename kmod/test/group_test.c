// SPDX-License-Identifier: GPL-2.0
/*
 * Groups: what decides them, and how that goes on from group to group.
 */
#include <linux/workqueue.h>

#include "kunit.h"

#define MEMBERS	3

/* A group with one reference, the caller's, or an ERR_PTR. */
static struct aop *group(struct kunit *test, struct aop **members, unsigned int nr,
			 unsigned int need, u32 flags)
{
	static const u8 may_cancel[MEMBERS] = { 1, 1, 1 };
	struct aop_group_opts opts = {
		.members = members, .may_cancel = may_cancel, .nr = nr, .need = need,
		.flags = flags,
	};
	struct aop *op = aop_test_op(test, AOP_RUNNING);
	struct aop_run run;
	int ret;

	aop_run_begin(&run);
	ret = aop_group_setup(&run, op, &opts);
	aop_run_end(&run);
	if (!ret)
		return op;
	aop_put(op);
	return ERR_PTR(ret);
}

struct decision {
	unsigned int need;
	u32 flags;
	u8 ends[MEMBERS];	/* of member 2, 1, 0, in this order */
	unsigned int after;	/* how many of these */
	u8 state;
	s64 result;
};

static const struct decision decisions[] = {
	{ 1, 0, { AOP_FAILED, AOP_DONE, AOP_DONE }, 1, AOP_DONE, 1 },
	{ 3, 0, { AOP_FAILED, AOP_DONE, AOP_DONE }, 3, AOP_DONE, 3 },
	{ 2, AOP_GROUP_WHICH, { AOP_DONE, AOP_DONE, AOP_DONE }, 2, AOP_DONE, 1 },
	{ 1, AOP_GROUP_ONLY_DONE, { AOP_FAILED, AOP_CANCELLED, AOP_DONE }, 3, AOP_DONE, 1 },
	{ 2, AOP_GROUP_ONLY_DONE, { AOP_FAILED, AOP_CANCELLED, AOP_DONE }, 2, AOP_CANCELLED, -11 },
	{ 3, AOP_GROUP_ONLY_DONE, { AOP_DONE, AOP_FAILED, AOP_DONE }, 2, AOP_FAILED, -11 },
	{ 3, AOP_GROUP_FAIL_FAST, { AOP_DONE, AOP_CANCELLED, AOP_DONE }, 2, AOP_CANCELLED, -11 },
};

/* Decided by exactly that member, also when some were final before. */
static void decided(struct kunit *test)
{
	unsigned int i, before;
	int m;

	for (i = 0; i < ARRAY_SIZE(decisions); i++) {
		const struct decision *d = &decisions[i];

		/* That many end before there is a group: not in the order of its members. */
		for (before = 0; before < 2; before++) {
			struct aop *members[MEMBERS], *op = NULL;
			unsigned int ended = 0;

			for (m = 0; m < MEMBERS; m++)
				members[m] = aop_test_op(test, AOP_RUNNING);
			for (m = MEMBERS - 1; m >= 0; m--) {
				u8 state = d->ends[MEMBERS - 1 - m];

				if (ended == before) {
					op = group(test, members, MEMBERS, d->need, d->flags);
					KUNIT_ASSERT_NOT_ERR_OR_NULL(test, op);
				}
				aop_test_end(members[m], state,
					     state == AOP_DONE ? m : -10 - m);
				ended++;
				if (op)
					KUNIT_EXPECT_EQ_MSG(test, ended >= d->after,
							    aop_is_final(op),
							    "row %u, end %u", i, ended);
			}
			KUNIT_EXPECT_EQ_MSG(test, d->state, aop_test_state(op), "row %u", i);
			KUNIT_EXPECT_EQ_MSG(test, d->result, op->result, "row %u", i);
			aop_put(op);
			for (m = 0; m < MEMBERS; m++)
				aop_put(members[m]);
		}
	}
}

/* One signal goes up through all groups of groups; one more is refused. */
static void nested(struct kunit *test)
{
	struct aop *ops[AOP_MAX_DEPTH + 1], *over;
	int i;

	ops[0] = aop_test_op(test, AOP_RUNNING);
	for (i = 1; i <= AOP_MAX_DEPTH; i++) {
		ops[i] = group(test, &ops[i - 1], 1, 1, 0);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ops[i]);
	}
	over = group(test, &ops[AOP_MAX_DEPTH], 1, 1, 0);
	KUNIT_EXPECT_EQ(test, -ELOOP, PTR_ERR_OR_ZERO(over));
	aop_test_end(ops[0], AOP_DONE, 0);
	for (i = AOP_MAX_DEPTH; i >= 0; i--) {
		KUNIT_EXPECT_EQ(test, (unsigned int)AOP_DONE, aop_test_state(ops[i]));
		aop_put(ops[i]);
	}
}

/* One signal ends as many groups as an op can have: some of them by a work item. */
static void wide(struct kunit *test)
{
	struct aop **groups = kunit_kcalloc(test, AOP_MAX_LINKS, sizeof(*groups), GFP_KERNEL);
	struct aop *op = aop_test_op(test, AOP_RUNNING), *over;
	unsigned int i, inline_ends = 0;

	KUNIT_ASSERT_NOT_NULL(test, groups);
	for (i = 0; i < AOP_MAX_LINKS; i++) {
		groups[i] = group(test, &op, 1, 1, 0);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, groups[i]);
	}
	over = group(test, &op, 1, 1, 0);
	KUNIT_EXPECT_EQ(test, -EMFILE, PTR_ERR_OR_ZERO(over));
	aop_test_end(op, AOP_DONE, 0);
	for (i = 0; i < AOP_MAX_LINKS; i++)
		inline_ends += aop_is_final(groups[i]);
	KUNIT_EXPECT_GE(test, inline_ends, 64u);
	flush_workqueue(aop_wq);
	for (i = 0; i < AOP_MAX_LINKS; i++) {
		KUNIT_EXPECT_TRUE(test, aop_is_final(groups[i]));
		aop_put(groups[i]);
	}
	aop_put(op);
}

/* The rest is cancelled, and waited for. */
static void cancels_the_rest(struct kunit *test)
{
	struct aop *members[MEMBERS], *op;
	int m;

	for (m = 0; m < MEMBERS; m++)
		members[m] = aop_test_op(test, m ? AOP_RUNNING : AOP_PENDING);
	op = group(test, members, MEMBERS, 1, AOP_GROUP_CANCEL_REST | AOP_GROUP_WHICH);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, op);
	aop_test_end(members[2], AOP_DONE, 0);
	KUNIT_EXPECT_FALSE(test, aop_is_final(op));
	flush_workqueue(aop_wq);
	KUNIT_EXPECT_EQ(test, (unsigned int)AOP_CANCELLED, aop_test_state(members[0]));
	KUNIT_EXPECT_TRUE(test, aop_level(members[1]) & AOP_EV_ASKED);
	KUNIT_EXPECT_FALSE(test, aop_is_final(op));
	/* The loser may end as it likes. */
	aop_test_end(members[1], AOP_DONE, 0);
	KUNIT_EXPECT_EQ(test, (unsigned int)AOP_DONE, aop_test_state(op));
	KUNIT_EXPECT_EQ(test, 2LL, op->result);
	aop_put(op);
	for (m = 0; m < MEMBERS; m++)
		aop_put(members[m]);
}

static struct kunit_case group_cases[] = {
	KUNIT_CASE(decided),
	KUNIT_CASE(nested),
	KUNIT_CASE(wide),
	KUNIT_CASE(cancels_the_rest),
	{}
};

struct kunit_suite aop_group_suite = {
	.name = "aop_group",
	.init = aop_test_init,
	.exit = aop_test_exit,
	.test_cases = group_cases,
};
