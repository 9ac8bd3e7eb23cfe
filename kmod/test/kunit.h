/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the KUnit tests share.  They are a part of aop.ko, on kernels with KUnit only:
 * they test its inside, and run when it is loaded.
 */
#ifndef AOP_KUNIT_H
#define AOP_KUNIT_H

#include <kunit/test.h>

#include "../internal.h"

extern struct kunit_suite aop_op_suite, aop_ring_suite, aop_group_suite, aop_deadline_suite;

/* A home of the test's own, as test->priv: the init of a suite. */
static inline int aop_test_init(struct kunit *test)
{
	struct aop_home *home = aop_home_create(current_cred());

	test->priv = IS_ERR(home) ? NULL : home;
	return PTR_ERR_OR_ZERO(home);
}

/* The exit of a suite.  Ops that are still being freed have references of their own. */
static inline void aop_test_exit(struct kunit *test)
{
	if (test->priv)
		aop_home_put(test->priv, 1);
}

/* An op with one reference, the caller's. */
static inline struct aop *aop_test_op(struct kunit *test, u16 state)
{
	struct aop *op;

	KUNIT_ASSERT_EQ(test, 1u, aop_alloc(test->priv, &op, 1));
	aop_birth(op, ktime_get_ns(), state, AOP_FINAL(state) && state != AOP_DONE ? -EIO : 0);
	op->detached = false;
	op->owned = false;
	op->mode = 0;
	KUNIT_ASSERT_EQ(test, 0, aop_alloc_extra(op, "kunit", 5));
	return op;
}

static inline int aop_test_end(struct aop *op, u8 state, s64 result)
{
	struct aop_run run;
	int ret;

	aop_run_begin(&run);
	aop_run_lock(&run, op->home);
	ret = aop_end_locked(&run, op, state, 0, result);
	aop_run_end(&run);
	return ret;
}

static inline unsigned int aop_test_state(const struct aop *op)
{
	return aop_word_state(READ_ONCE(op->word));
}

#endif /* AOP_KUNIT_H */
