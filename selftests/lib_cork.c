// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: corks, which collect the calls of a thread.
 */
#include "lib.h"

FIXTURE(cork) {
	struct aop_ctx *ctx;
	struct aop_ctx *far;
};

FIXTURE_SETUP(cork)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	ASSERT_EQ(0, aop_ctx_open(&self->far, NULL));
}

FIXTURE_TEARDOWN(cork)
{
	aop_ctx_close(self->far);
	aop_ctx_close(self->ctx);
}

TEST_F(cork, signals_wait_for_uncork)
{
	struct aop op, twin;

	ASSERT_EQ(0, aop_init(&op, self->ctx));
	ASSERT_EQ(0, lib_twin(&twin, self->far, &op, AOP_MAY_LOOK));
	aop_cork(self->ctx);
	aop_cork(self->ctx);
	EXPECT_EQ(0, aop_progress(aop_owner(&op), 1, 2));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 5));
	EXPECT_EQ(AOP_PENDING, aop_state(&twin));
	EXPECT_EQ(0, aop_uncork(self->ctx));
	EXPECT_EQ(AOP_PENDING, aop_state(&twin));
	EXPECT_EQ(0, aop_uncork(self->ctx));
	EXPECT_EQ(AOP_DONE, aop_state(&twin));
	EXPECT_EQ(1, aop_status(&twin).done);
	EXPECT_EQ(5, aop_result(&twin));
	EXPECT_EQ(0, aop_uncork(self->ctx));	/* none is open */
}

TEST_F(cork, uncork_tells_the_first_error)
{
	struct aop op, late;

	ASSERT_EQ(0, aop_init(&op, self->ctx));
	ASSERT_EQ(0, aop_init(&late, self->ctx));
	ASSERT_EQ(AOP_STOPPED, aop_cancel(&late, 0));
	aop_cork(self->ctx);
	EXPECT_EQ(0, aop_done(aop_owner(&late), 5));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 5));
	EXPECT_EQ(-EALREADY, aop_uncork(self->ctx));
	EXPECT_EQ(AOP_DONE, aop_state(&op));
	EXPECT_TRUE(aop_is_over(&late));
	aop_cork(self->ctx);
	EXPECT_EQ(0, aop_uncork(self->ctx));
}

TEST_F(cork, whole_lives)
{
	enum { N = 200 };
	struct aop op[N], twin[N];
	char label[32];
	int i, round;

	for (round = 0; round < 3; round++) {
		aop_cork(self->ctx);
		for (i = 0; i < N; i++) {
			snprintf(label, sizeof(label), "op %d", i);
			ASSERT_EQ(0, aop_init_with(&op[i], self->ctx, AOP_OPTS(.label = label)));
			if (!i)
				EXPECT_EQ(AOP_PENDING, aop_state(&op[i]));
		}
		ASSERT_EQ(0, aop_uncork(self->ctx));
		aop_cork(self->far);
		for (i = 0; i < N; i++)
			ASSERT_EQ(0, aop_attach_id(&twin[i], self->far, aop_id(&op[i]), 0));
		ASSERT_EQ(0, aop_uncork(self->far));
		aop_cork(self->ctx);
		for (i = 0; i < N; i++)
			ASSERT_EQ(0, aop_done(aop_owner(&op[i]), i));
		for (i = 0; i < N; i++)
			ASSERT_EQ(1, aop_drop(&op[i]));
		ASSERT_EQ(0, aop_uncork(self->ctx));
		memset(op, 0xee, sizeof(op));
		ASSERT_LE(1, aop_ctx_dispatch(self->far));
		aop_cork(self->far);
		for (i = 0; i < N; i++) {
			ASSERT_EQ(i, aop_result(&twin[i]));
			ASSERT_EQ(1, aop_drop(&twin[i]));
		}
		ASSERT_EQ(0, aop_uncork(self->far));
	}
}

TEST_F(cork, the_first_call_that_needs_a_handle_submits)
{
	struct aop a, b, c, twin;

	aop_cork(self->ctx);
	EXPECT_EQ(0, aop_init(&a, self->ctx));
	EXPECT_NE(0, aop_id(&a));
	EXPECT_EQ(0, aop_init(&b, self->ctx));
	EXPECT_EQ(0, aop_start(aop_owner(&b)));
	EXPECT_EQ(AOP_RUNNING, aop_state(&b));
	EXPECT_EQ(0, aop_init(&c, self->ctx));
	EXPECT_EQ(AOP_STOPPED, aop_cancel(&c, 0));
	EXPECT_EQ(0, lib_twin(&twin, self->far, &a, AOP_MAY_LOOK));
	EXPECT_EQ(1, aop_drop(&twin));
	EXPECT_EQ(0, aop_init(&twin, self->ctx));
	EXPECT_EQ(0, aop_drop(&twin));
	EXPECT_EQ(0, aop_let_go(aop_owner(&twin)));
	EXPECT_EQ(0, aop_uncork(self->ctx));
}

TEST_F(cork, what_could_not_be_created_is_failed)
{
	struct aop_ctx_opts o = { .size = sizeof(o), .slots = 2 };
	struct aop op[1024], none;
	struct aop_ctx *ctx;
	int i;

	ASSERT_EQ(0, aop_ctx_open(&ctx, &o));
	for (i = 0; i < 1023 && !aop_init(&op[i], ctx); i++)
		;
	ASSERT_EQ(-ENOSPC, aop_result(&op[i]));
	aop_let_go(aop_owner(&op[0]));
	EXPECT_EQ(1, aop_drop(&op[0]));

	/* One place is left. */
	aop_cork(ctx);
	EXPECT_EQ(0, aop_init(&op[0], ctx));
	EXPECT_EQ(0, aop_init(&op[i], ctx));
	EXPECT_EQ(-ENOSPC, aop_uncork(ctx));
	EXPECT_EQ(AOP_PENDING, aop_state(&op[0]));
	EXPECT_NE(NULL, aop_owner(&op[0]));
	EXPECT_EQ(-ENOSPC, aop_result(&op[i]));
	EXPECT_EQ(NULL, aop_owner(&op[i]));

	aop_cork(ctx);
	EXPECT_EQ(0, aop_attach_id(&none, ctx, 1, 0));
	EXPECT_GT(0, aop_get(&none, AOP_FOREVER));
	EXPECT_GT(0, aop_uncork(ctx));

	/* The one that failed is used before it is known to have. */
	aop_cork(ctx);
	EXPECT_EQ(0, aop_init(&op[i], ctx));
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(&op[i], 0));
	EXPECT_EQ(0, aop_init(&op[i], ctx));
	EXPECT_EQ(1, aop_drop(&op[i]));
	EXPECT_EQ(0, aop_init(&op[i], ctx));
	EXPECT_EQ(NULL, aop_owner(&op[i]));
	EXPECT_EQ(0, aop_init(&op[i], ctx));
	EXPECT_EQ(-ENOSPC, aop_export(&op[i], AOP_MAY_LOOK));
	EXPECT_EQ(-ENOSPC, aop_uncork(ctx));
	aop_ctx_close(ctx);
}

/* The answer goes out with the wait for the next question, in one system call. */
struct side {
	struct aop_ctx *ctx;
	struct aop mine, theirs;
	int rounds;
};

static void *pong(void *arg)
{
	struct side *s = arg;
	uint32_t seq = 0;
	int i;

	for (i = 1; i <= s->rounds; i++) {
		/* ping i is there when done is i */
		while (aop_status(&s->theirs).done < (uint64_t)i)
			if (aop_wait_change(&s->theirs, &seq, AOP_FOREVER))
				return (void *)1;
		aop_cork(s->ctx);
		aop_progress(aop_owner(&s->mine), i, 0);
		if (i < s->rounds && aop_status(&s->theirs).done == (uint64_t)i &&
		    aop_wait_change(&s->theirs, &seq, AOP_FOREVER))
			return (void *)2;
		if (aop_uncork(s->ctx))
			return (void *)3;
	}
	return NULL;
}

TEST_F(cork, signal_and_wait)
{
	struct side a = { .ctx = self->ctx, .rounds = 2000 };
	struct side b = { .ctx = self->far, .rounds = 2000 };
	pthread_t thread;
	uint32_t seq = 0;
	void *bad;
	int i;

	ASSERT_EQ(0, aop_init(&a.mine, a.ctx));
	ASSERT_EQ(0, aop_init(&b.mine, b.ctx));
	ASSERT_EQ(0, lib_twin(&a.theirs, a.ctx, &b.mine, AOP_MAY_LOOK));
	ASSERT_EQ(0, lib_twin(&b.theirs, b.ctx, &a.mine, AOP_MAY_LOOK));
	ASSERT_EQ(0, pthread_create(&thread, NULL, pong, &b));
	for (i = 1; i <= a.rounds; i++) {
		aop_cork(a.ctx);
		ASSERT_EQ(0, aop_progress(aop_owner(&a.mine), i, 0));
		while (aop_status(&a.theirs).done < (uint64_t)i)
			ASSERT_EQ(0, aop_wait_change(&a.theirs, &seq, AOP_FOREVER));
		ASSERT_EQ(0, aop_uncork(a.ctx));
	}
	pthread_join(thread, &bad);
	EXPECT_EQ(NULL, bad);
}

/* A wait that need not sleep, and one for something else, submit all the same. */
TEST_F(cork, every_wait_submits)
{
	struct aop op[6], twin[6], final;
	struct aop *ops[2];
	int i;

	ASSERT_EQ(0, aop_init(&final, self->far));
	ASSERT_EQ(0, aop_done(aop_owner(&final), 0));
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, aop_init(&op[i], self->ctx));
		ASSERT_EQ(0, lib_twin(&twin[i], self->far, &op[i], AOP_MAY_LOOK));
	}
	aop_cork(self->ctx);
	EXPECT_EQ(0, aop_done(aop_owner(&op[0]), 1));
	EXPECT_EQ(0, aop_wait(&op[0], AOP_NOWAIT));
	EXPECT_EQ(1, aop_result(&twin[0]));

	EXPECT_EQ(0, aop_done(aop_owner(&op[1]), 1));
	EXPECT_EQ(0, aop_wait(&final, AOP_FOREVER));
	EXPECT_EQ(1, aop_result(&twin[1]));

	/* of another context than is waited for */
	EXPECT_EQ(0, aop_done(aop_owner(&op[2]), 1));
	EXPECT_EQ(0, aop_wait(&twin[2], AOP_FOREVER));

	EXPECT_EQ(0, aop_done(aop_owner(&op[3]), 1));
	EXPECT_EQ(0, aop_wait(&op[3], AOP_FOREVER));

	EXPECT_EQ(0, aop_done(aop_owner(&op[4]), 1));
	ops[0] = &op[4];
	ops[1] = &final;
	EXPECT_EQ(0, aop_wait_all(ops, 2, AOP_FOREVER));
	EXPECT_EQ(1, aop_result(&twin[4]));

	EXPECT_EQ(0, aop_done(aop_owner(&op[5]), 1));
	EXPECT_EQ(0, aop_uncork(self->ctx));
	for (i = 0; i < 6; i++)
		EXPECT_EQ(1, aop_result(&twin[i]));
}

static void *corks_and_ends(void *arg)
{
	struct aop *op = arg;

	aop_cork((struct aop_ctx *)op[1].own.id);
	aop_done(aop_owner(op), 6);
	return NULL;
}

TEST_F(cork, a_thread_that_ends_has_said_all)
{
	pthread_t thread;
	struct aop op[2];

	ASSERT_EQ(0, aop_init(&op[0], self->ctx));
	op[1].own.id = (uintptr_t)self->ctx;
	ASSERT_EQ(0, pthread_create(&thread, NULL, corks_and_ends, op));
	pthread_join(thread, NULL);
	EXPECT_EQ(6, aop_result(&op[0]));
}

TEST_F(cork, closing_a_context_submits)
{
	struct aop_ctx *ctx;
	struct aop op, twin;

	ASSERT_EQ(0, aop_ctx_open(&ctx, NULL));
	ASSERT_EQ(0, aop_init(&op, ctx));
	ASSERT_EQ(0, lib_twin(&twin, self->far, &op, AOP_MAY_LOOK));
	aop_cork(ctx);
	ASSERT_EQ(0, aop_done(aop_owner(&op), 6));
	aop_ctx_close(ctx);
	EXPECT_EQ(6, aop_result(&twin));
	aop_cork(NULL);
	EXPECT_EQ(0, aop_uncork(AOP_LOCAL));
}

TEST_HARNESS_MAIN
