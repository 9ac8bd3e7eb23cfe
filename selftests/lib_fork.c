// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: what a forked child finds.
 */
#include "lib.h"

FIXTURE(forked) {
	struct aop_ctx *ctx;
	struct aop op, done, group_op;
	struct aop_group group;
	struct seen s;
};

FIXTURE_SETUP(forked)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	ASSERT_EQ(0, aop_init(&self->op, self->ctx));
	ASSERT_EQ(0, aop_init(&self->done, self->ctx));
	ASSERT_EQ(0, aop_done(aop_owner(&self->done), 5));
	memset(&self->s, 0, sizeof(self->s));
	ASSERT_EQ(0, aop_watch(&self->op, &self->s.w, see, NULL, AOP_INLINE));
}

FIXTURE_TEARDOWN(forked)
{
	aop_unwatch(&self->s.w);
	aop_drop(&self->op);
	aop_drop(&self->done);
	aop_ctx_close(self->ctx);
}

/* Every call on what was inherited answers, none faults, none reaches the parent. */
TEST_F(forked, a_child_gets_errors)
{
	struct aop_owner *o = aop_owner(&self->op);
	uint32_t seq = 0;

	aop_progress(o, 1, 2);		/* queued, and for the parent only */
	IN_CHILD() {
		struct aop *ops[2] = { &self->op, &self->done };
		struct seen s = { 0 };
		struct aop op;

		EXPECT_EQ(AOP_FAILED, aop_state(&self->op));
		EXPECT_EQ(-EIO, aop_result(&self->op));
		EXPECT_EQ(-EIO, aop_result(&self->done));
		EXPECT_TRUE(aop_is_over(&self->op));
		EXPECT_NE(0, aop_status(&self->op).flags & AOP_F_SYSTEM);
		EXPECT_EQ(0, aop_id(&self->op));
		EXPECT_EQ(0, aop_wait(&self->op, AOP_FOREVER));
		EXPECT_EQ(0, aop_wait_change(&self->op, &seq, AOP_FOREVER));
		EXPECT_EQ(0, aop_wait_any(ops, 2, AOP_FOREVER));
		EXPECT_EQ(0, aop_wait_all(ops, 2, AOP_FOREVER));
		EXPECT_EQ(-EIO, aop_asked(o));
		EXPECT_EQ(-EIO, aop_start(o));
		EXPECT_EQ(-EIO, aop_progress(o, 3, 4));
		EXPECT_EQ(-EIO, aop_cancel(&self->op, 0));
		EXPECT_EQ(-EIO, aop_export(&self->op, AOP_MAY_LOOK));
		EXPECT_EQ(-EIO, aop_pass(&self->op, 0, AOP_MAY_LOOK));
		EXPECT_EQ(-EIO, aop_init(&op, self->ctx));
		EXPECT_EQ(-EIO, aop_attach_id(&op, self->ctx, 1, 0));
		EXPECT_EQ(-EIO, aop_ctx_dispatch(self->ctx));
		EXPECT_EQ(0, self->s.calls);
		/* called back for the end that it sees, or told why not */
		EXPECT_EQ(-EIO, aop_then(&self->op, &s.w, see, NULL, AOP_INLINE));
		EXPECT_EQ(-EIO, aop_result(aop_any(&self->group, NULL, ops, 2, 0)));
		EXPECT_EQ(-EIO, aop_done(o, 9));
		aop_unwatch(&self->s.w);
		EXPECT_EQ(1, aop_drop(&self->op));
		EXPECT_EQ(-EIO, aop_join(&self->done));
		aop_ctx_close(self->ctx);
	}
	EXPECT_EQ(AOP_PENDING, aop_state(&self->op));
	EXPECT_EQ(1, aop_status(&self->op).done);
	EXPECT_EQ(1, aop_ctx_dispatch(self->ctx));
	EXPECT_EQ(1, self->s.calls);
	EXPECT_EQ(0, aop_done(o, 7));
	EXPECT_EQ(7, aop_result(&self->op));
	EXPECT_EQ(5, aop_result(&self->done));
}

TEST_F(forked, a_child_opens_its_own)
{
	uint64_t id = aop_id(&self->op);

	IN_CHILD() {
		struct aop_ctx *ctx;
		struct aop op;

		ASSERT_EQ(0, aop_ctx_open(&ctx, NULL));
		ASSERT_EQ(0, aop_attach_id(&op, ctx, id, 0));
		EXPECT_EQ(AOP_PENDING, aop_state(&op));
		/* A grandchild has neither. */
		IN_CHILD() {
			EXPECT_EQ(-EIO, aop_result(&op));
			EXPECT_EQ(-EIO, aop_result(&self->op));
		}
		EXPECT_EQ(AOP_STOPPED, aop_cancel(&op, -EINTR));
		EXPECT_EQ(1, aop_drop(&op));
		aop_ctx_close(ctx);
	}
	EXPECT_EQ(-EINTR, aop_result(&self->op));
}

TEST_F(forked, what_was_corked_is_the_parents)
{
	struct aop op;

	aop_cork(self->ctx);
	ASSERT_EQ(0, aop_init(&op, self->ctx));
	ASSERT_EQ(0, aop_done(aop_owner(&self->op), 7));
	ASSERT_EQ(0, aop_init(&self->group_op, self->ctx));
	IN_CHILD() {
		EXPECT_EQ(-EIO, aop_result(&self->group_op));
		EXPECT_EQ(0, aop_uncork(self->ctx));
		_exit(0);
	}
	EXPECT_EQ(AOP_PENDING, aop_state(&self->group_op));
	EXPECT_EQ(0, aop_uncork(self->ctx));
	EXPECT_EQ(7, aop_result(&self->op));
	EXPECT_NE(0, aop_id(&self->group_op));
	aop_drop(&op);
	aop_drop(&self->group_op);
}

/* A fork while other threads hold every lock that there is. */
static _Atomic bool stop;

static void *busy(void *arg)
{
	struct aop_ctx *ctx = arg;
	struct seen s = { 0 };
	struct aop op;

	while (!stop) {
		if (aop_init(&op, ctx) || aop_watch(&op, &s.w, see, NULL, AOP_INLINE) ||
		    aop_done(aop_owner(&op), 1))
			return (void *)1;
		aop_ctx_dispatch(ctx);
		aop_unwatch(&s.w);
		aop_drop(&op);
	}
	return NULL;
}

TEST_F(forked, fork_while_threads_are_busy)
{
	pthread_t thread[2];
	void *bad;
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, busy, self->ctx));
	for (i = 0; i < 50; i++) {
		pid_t pid = fork();

		ASSERT_GE(pid, 0);
		if (!pid) {
			struct aop_ctx *ctx;

			aop_unwatch(&self->s.w);
			aop_drop(&self->op);
			if (aop_ctx_dispatch(self->ctx) != -EIO)
				_exit(1);
			aop_ctx_close(self->ctx);
			if (aop_ctx_open(&ctx, NULL) || aop_init(&self->op, ctx) ||
			    aop_done(aop_owner(&self->op), 1) || aop_join(&self->op) != 1)
				_exit(2);
			aop_ctx_close(ctx);
			_exit(0);
		}
		ASSERT_EQ(0, lib_reap(pid));
	}
	stop = true;
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], &bad);
		EXPECT_EQ(NULL, bad);
	}
}

/* From inside a callback: its frame comes along, and can be left. */
static void fork_inside(struct aop_watch *w, const struct aop_status *st)
{
	pid_t pid = fork();

	see(w, st);
	if (!pid) {
		aop_unwatch(w);
		_exit(aop_ctx_dispatch(w->data) == -EIO ? 0 : 1);
	}
	if (lib_reap(pid))
		abort();
}

TEST_F(forked, fork_inside_a_callback)
{
	struct seen s = { 0 };
	struct aop op;

	ASSERT_EQ(0, aop_init(&op, self->ctx));
	ASSERT_EQ(0, aop_watch(&op, &s.w, fork_inside, self->ctx, AOP_INLINE));
	ASSERT_EQ(0, aop_done(aop_owner(&op), 1));
	aop_ctx_dispatch(self->ctx);
	EXPECT_EQ(1, s.calls);
	aop_drop(&op);
}

TEST_HARNESS_MAIN
