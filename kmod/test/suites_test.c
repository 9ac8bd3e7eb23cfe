// SPDX-License-Identifier: GPL-2.0
/*
 * Runs all suites when the module is ready.  kunit_test_suites() would run them before
 * its init function on 6.1.
 */
#include "kunit.h"

static struct kunit_suite * const suites[] = {
	&aop_op_suite,
	&aop_ring_suite,
	&aop_group_suite,
	&aop_deadline_suite,
};

void aop_kunit_init(void)
{
	__kunit_test_suites_init(suites, ARRAY_SIZE(suites));
}

void aop_kunit_exit(void)
{
	__kunit_test_suites_exit((struct kunit_suite **)suites, ARRAY_SIZE(suites));
}
