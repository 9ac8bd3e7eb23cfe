/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kselftest_harness.h, which comes out of the kernel's source package and not
 * out of this tree, made fit for these tests: it does not build without the
 * warnings that the rest of the tree is built with, and its time limit is too
 * short for an emulated machine.  Test only with TEST_F: there the expectations
 * of forked children count too.
 */
#ifndef SELFTESTS_HARNESS_H
#define SELFTESTS_HARNESS_H

#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "kselftest_harness.h"
#pragma GCC diagnostic pop

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 120

/* setjmp and fork in the test's wrapper; nothing there is live across them. */
#pragma GCC diagnostic ignored "-Wclobbered"

/*
 * Run what follows in a child that shares the expectations, and wait for it:
 *
 *	IN_CHILD() { EXPECT_EQ(...); }
 *
 * An assertion in it ends the child only; one that fails or dies fails the test.
 */
#define IN_CHILD()							\
	for (pid_t child_ = child_fork(_metadata); child_ >= 0;		\
	     child_ = child_ ? (child_reap(_metadata, child_), -1) : (_exit(0), -1)) \
		if (!child_)

static inline pid_t child_fork(struct __test_metadata *_metadata)
{
	pid_t child = fork();

	ASSERT_GE(child, 0);
	return child;
}

static inline void child_reap(struct __test_metadata *_metadata, pid_t child)
{
	int status = -1;

	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

#endif /* SELFTESTS_HARNESS_H */
