// SPDX-License-Identifier: GPL-2.0
/*
 * Deadlines, and who else would end the op, or free it, at that moment.
 */
#include <linux/delay.h>
#include <linux/workqueue.h>

#include "kunit.h"

#define ROUNDS	200

static void expect_timed_out(struct kunit *test, struct aop *op)
{
	KUNIT_EXPECT_EQ(test, (unsigned int)AOP_FAILED, aop_test_state(op));
	KUNIT_EXPECT_EQ(test, (s64)-ETIMEDOUT, op->result);
	KUNIT_EXPECT_TRUE(test, aop_word_flags(op->word) & AOP_F_SYSTEM);
}

/* One that has passed already ends the op as well. */
static void passed(struct kunit *test)
{
	struct aop *op = aop_test_op(test, AOP_PENDING);

	KUNIT_ASSERT_EQ(test, 0, aop_deadline_start(op, 1));
	KUNIT_EXPECT_EQ(test, 0, aop_wait(op, AOP_EV_FINAL, KTIME_MAX));
	expect_timed_out(test, op);
	KUNIT_EXPECT_EQ(test, -EALREADY, aop_test_end(op, AOP_DONE, 0));
	aop_put(op);
}

/* The owner or the timer: one of them wins, the other changes nothing. */
static void race_with_end(struct kunit *test)
{
	unsigned int i, late = 0;

	for (i = 0; i < ROUNDS; i++) {
		struct aop *op = aop_test_op(test, AOP_RUNNING);
		u64 soon = ktime_get_ns() + 20000;
		int ret;

		KUNIT_ASSERT_EQ(test, 0, aop_deadline_start(op, soon));
		/* Before, at about the same time, and behind. */
		while (ktime_get_ns() < soon + ((int)(i % 50) - 10) * 2000)
			cpu_relax();
		ret = aop_test_end(op, AOP_DONE, i);
		if (ret) {
			KUNIT_EXPECT_EQ(test, -EALREADY, ret);
			expect_timed_out(test, op);
			late++;
		} else {
			KUNIT_EXPECT_EQ(test, (unsigned int)AOP_DONE, aop_test_state(op));
			KUNIT_EXPECT_EQ(test, (s64)i, op->result);
		}
		aop_put(op);
	}
	kunit_info(test, "the timer was first %u times of %u\n", late, ROUNDS);
}

/* The last reference goes while the timer runs, is about to, or waits. */
static void race_with_free(struct kunit *test)
{
	unsigned int i, before;

	flush_workqueue(aop_wq);
	before = aop_op_count();
	for (i = 0; i < ROUNDS; i++) {
		struct aop *op = aop_test_op(test, AOP_RUNNING);
		u64 soon = ktime_get_ns() + (i % 4 ? i % 50 * 1000 : NSEC_PER_SEC * 3600ULL);

		KUNIT_ASSERT_EQ(test, 0, aop_deadline_start(op, soon));
		udelay(i % 20);
		aop_put(op);
	}
	/* A callback that still has its reference drops it in a moment. */
	while (aop_op_count() != before) {
		flush_workqueue(aop_wq);
		cond_resched();
	}
}

/* A deadline and a cancel of a pending op: the first one's reason stands. */
static void race_with_cancel(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		struct aop *op = aop_test_op(test, AOP_PENDING);
		u64 soon = ktime_get_ns() + 20000;
		int ret;

		KUNIT_ASSERT_EQ(test, 0, aop_deadline_start(op, soon));
		while (ktime_get_ns() < soon + ((int)(i % 50) - 10) * 2000)
			cpu_relax();
		ret = aop_cancel(op, -EINTR);
		if (ret == AOP_TOO_LATE) {
			expect_timed_out(test, op);
		} else {
			KUNIT_EXPECT_EQ(test, (int)AOP_STOPPED, ret);
			KUNIT_EXPECT_EQ(test, (unsigned int)AOP_CANCELLED, aop_test_state(op));
			KUNIT_EXPECT_EQ(test, (s64)-EINTR, op->result);
		}
		aop_put(op);
	}
}

static struct kunit_case deadline_cases[] = {
	KUNIT_CASE(passed),
	KUNIT_CASE(race_with_end),
	KUNIT_CASE(race_with_free),
	KUNIT_CASE(race_with_cancel),
	{}
};

struct kunit_suite aop_deadline_suite = {
	.name = "aop_deadline",
	.init = aop_test_init,
	.exit = aop_test_exit,
	.test_cases = deadline_cases,
};
