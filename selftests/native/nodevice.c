// SPDX-License-Identifier: GPL-2.0
/*
 * libaop on a machine without /dev/aop: what asks for shared scope is told so,
 * and can go on.
 */
#include "lib.h"

FIXTURE(nodevice) {
	struct aop op;
};

FIXTURE_SETUP(nodevice)
{
	if (!access(AOP_DEVICE, F_OK))
		SKIP(return, "there is " AOP_DEVICE);
}

FIXTURE_TEARDOWN(nodevice)
{
}

TEST_F(nodevice, opening_a_context)
{
	struct aop_ctx *ctx = (void *)self;

	EXPECT_EQ(-ENODEV, aop_ctx_open(&ctx, NULL));
	EXPECT_EQ(NULL, ctx);
	aop_ctx_close(ctx);
	EXPECT_EQ(-EINVAL, aop_init(&self->op, ctx));
	EXPECT_EQ(-EINVAL, aop_join(&self->op));
}

TEST(answers_in_words)
{
	EXPECT_NE(NULL, strstr(aop_strerror(-ENODEV), "modprobe aop"));
	EXPECT_STREQ("No error", aop_strerror(0));
	EXPECT_STREQ("No error", aop_strerror(INT64_MAX));
	EXPECT_STREQ(strerrordesc_np(EINVAL), aop_strerror(-EINVAL));
	EXPECT_STREQ("An unknown error", aop_strerror(-4000));
	EXPECT_STREQ("An unknown error", aop_strerror(INT64_MIN));
	EXPECT_STREQ(strerrordesc_np(EINPROGRESS), aop_strerror(-EINPROGRESS));
}

TEST_HARNESS_MAIN
