// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: an op's life in shared scope, as one process sees it.
 */
#include "lib.h"
#include <sys/resource.h>

FIXTURE(life) {
	struct aop_ctx *ctx;
	struct aop op;
	struct aop_owner *o;
};

FIXTURE_SETUP(life)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	ASSERT_EQ(0, aop_init(&self->op, self->ctx));
	self->o = aop_owner(&self->op);
	ASSERT_NE(NULL, self->o);
}

FIXTURE_TEARDOWN(life)
{
	aop_ctx_close(self->ctx);
}

TEST_F(life, M1_pending_running_done)
{
	EXPECT_EQ(AOP_PENDING, aop_state(&self->op));
	EXPECT_FALSE(aop_is_final(&self->op));
	EXPECT_EQ(-EINPROGRESS, aop_result(&self->op));
	EXPECT_NE(0, aop_id(&self->op));

	EXPECT_EQ(0, aop_start(self->o));
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->op));
	EXPECT_EQ(-EINVAL, aop_start(self->o));		/* M2 */
	EXPECT_EQ(0, aop_done(self->o, -7));

	EXPECT_EQ(AOP_DONE, aop_state(&self->op));
	EXPECT_EQ(-7, aop_result(&self->op));
	EXPECT_TRUE(aop_is_final(&self->op));
	EXPECT_TRUE(aop_is_over(&self->op));
	EXPECT_EQ(NULL, aop_owner(&self->op));
	EXPECT_EQ(1, aop_drop(&self->op));
}

TEST_F(life, M1_failed)
{
	EXPECT_EQ(-EINVAL, aop_fail(self->o, 5));
	EXPECT_EQ(-EINVAL, aop_fail(self->o, 0));
	EXPECT_EQ(-EINVAL, aop_fail(self->o, -4096));
	EXPECT_EQ(AOP_PENDING, aop_state(&self->op));
	EXPECT_EQ(0, aop_fail(self->o, -ENOENT));
	EXPECT_EQ(AOP_FAILED, aop_state(&self->op));
	EXPECT_EQ(-ENOENT, aop_result(&self->op));
	EXPECT_EQ(0, aop_status(&self->op).flags & AOP_F_SYSTEM);
}

TEST_F(life, M3_a_second_end_is_too_late)
{
	struct aop_owner *o = self->o;

	EXPECT_EQ(0, aop_done(o, 1));
	EXPECT_EQ(-EPERM, aop_fail(o, -EIO));
	EXPECT_EQ(1, aop_result(&self->op));
}

TEST_F(life, M4_progress_is_a_change)
{
	struct aop_status a = aop_status(&self->op), b;

	EXPECT_EQ(0, aop_progress(self->o, 5, 10));
	b = aop_status(&self->op);
	EXPECT_NE(a.seq, b.seq);
	EXPECT_EQ(5, b.done);
	EXPECT_EQ(10, b.total);
	EXPECT_EQ(AOP_PENDING, b.state);
	EXPECT_EQ(0, aop_start(self->o));
	EXPECT_EQ(0, aop_progress(self->o, 6, 10));
	EXPECT_EQ(6, aop_status(&self->op).done);
	EXPECT_NE(0, aop_status(&self->op).time);
	EXPECT_EQ(-EINVAL, aop_progress(self->o, UINT64_MAX, 0));
}

TEST_F(life, M5_created_final)
{
	const struct aop_opts *opts = AOP_OPTS(.state = AOP_CANCELLED, .result = -EINTR);
	struct aop op;

	ASSERT_EQ(0, aop_init_with(&op, self->ctx, opts));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&op));
	EXPECT_EQ(-EINTR, aop_result(&op));
	EXPECT_EQ(0, aop_let_go(aop_owner(&op)));
	EXPECT_EQ(-EINTR, aop_result(&op));
	EXPECT_TRUE(aop_is_over(&op));
	EXPECT_EQ(1, aop_drop(&op));
}

TEST_F(life, M6_let_go)
{
	EXPECT_EQ(0, aop_let_go(self->o));
	EXPECT_EQ(AOP_FAILED, aop_state(&self->op));
	EXPECT_EQ(-EOWNERDEAD, aop_result(&self->op));
	EXPECT_NE(0, aop_status(&self->op).flags & AOP_F_SYSTEM);
}

TEST_F(life, M6_an_owners_own_failure_is_told_apart)
{
	EXPECT_EQ(0, aop_fail(self->o, -EOWNERDEAD));
	EXPECT_EQ(0, aop_status(&self->op).flags & AOP_F_SYSTEM);
}

TEST_F(life, M9_M10_a_deadline_is_final_but_not_over)
{
	struct aop op;

	ASSERT_EQ(0, aop_init_with(&op, self->ctx, AOP_OPTS(.deadline = AOP_MS(1))));
	EXPECT_EQ(0, aop_wait(&op, AOP_FOREVER));
	EXPECT_EQ(-ETIMEDOUT, aop_result(&op));
	EXPECT_NE(0, aop_status(&op).flags & AOP_F_SYSTEM);
	if (aop_owner(&op)) {
		EXPECT_FALSE(aop_is_over(&op));
		EXPECT_EQ(-ETIMEDOUT, aop_asked(aop_owner(&op)));
		EXPECT_EQ(-EALREADY, aop_done(aop_owner(&op), 1));
	}
	EXPECT_TRUE(aop_is_over(&op));
	EXPECT_EQ(-ETIMEDOUT, aop_result(&op));
	EXPECT_EQ(1, aop_drop(&op));
}

TEST_F(life, M9_start_after_the_deadline)
{
	struct aop op;
	struct aop_owner *o;

	ASSERT_EQ(0, aop_init_with(&op, self->ctx, AOP_OPTS(.deadline = aop_until(1))));
	o = aop_owner(&op);
	EXPECT_EQ(0, aop_wait(&op, AOP_FOREVER));
	EXPECT_FALSE(aop_is_over(&op));
	EXPECT_EQ(-EALREADY, aop_start(o));
	EXPECT_TRUE(aop_is_over(&op));
	EXPECT_EQ(NULL, aop_owner(&op));
	EXPECT_EQ(-EPERM, aop_done(o, 1));
}

TEST_F(life, aop_end_is_the_inverse_of_aop_result)
{
	static const struct {
		int ask;
		int64_t result;
		enum aop_state state;
	} t[] = {
		{ 0, 0, AOP_DONE },
		{ 0, INT64_MAX, AOP_DONE },
		{ 0, -EIO, AOP_FAILED },
		{ 0, -ECANCELED, AOP_FAILED },
		{ -EINTR, -EINTR, AOP_CANCELLED },
		{ -EINTR, -ECANCELED, AOP_CANCELLED },
		{ -EINTR, -EIO, AOP_FAILED },
		{ -EINTR, 3, AOP_DONE },
	};
	struct aop op;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ASSERT_EQ(0, aop_init(&op, self->ctx));
		ASSERT_EQ(0, aop_start(aop_owner(&op)));
		if (t[i].ask)
			ASSERT_EQ(AOP_ASKED, aop_cancel(&op, t[i].ask));
		EXPECT_EQ(0, aop_end(aop_owner(&op), t[i].result));
		EXPECT_EQ(t[i].state, aop_state(&op));
		EXPECT_EQ(t[i].result, aop_result(&op));
		EXPECT_EQ(1, aop_drop(&op));
	}
	EXPECT_EQ(-EINVAL, aop_end(self->o, -5000));
	EXPECT_EQ(-EPERM, aop_end(NULL, -5));
}

static _Atomic int released;

static void release(struct aop *op)
{
	released++;
	if (!aop_is_over(op))
		abort();
}

TEST_F(life, release_by_the_last_side_the_watcher)
{
	struct aop op;

	released = 0;
	ASSERT_EQ(0, aop_init_with(&op, self->ctx, AOP_OPTS(.release = release)));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(0, released);
	EXPECT_EQ(1, aop_drop(&op));
	EXPECT_EQ(1, released);
}

TEST_F(life, release_by_the_last_side_the_owner)
{
	struct aop op;
	struct aop_owner *o;

	released = 0;
	ASSERT_EQ(0, aop_init_with(&op, self->ctx, AOP_OPTS(.release = release)));
	o = aop_owner(&op);
	EXPECT_EQ(0, aop_drop(&op));
	EXPECT_EQ(0, released);
	EXPECT_EQ(0, aop_progress(o, 1, 2));
	EXPECT_EQ(0, released);
	EXPECT_EQ(0, aop_done(o, 1));
	EXPECT_EQ(1, released);
}

TEST_F(life, hold_and_drop)
{
	EXPECT_EQ(&self->op, aop_hold(&self->op));
	aop_hold(&self->op);
	EXPECT_EQ(0, aop_done(self->o, 9));
	EXPECT_EQ(0, aop_drop(&self->op));
	EXPECT_EQ(0, aop_drop(&self->op));
	EXPECT_EQ(9, aop_result(&self->op));
	EXPECT_EQ(1, aop_drop(&self->op));
}

TEST_F(life, a_dropped_op_is_safe_and_says_what_it_said)
{
	EXPECT_EQ(0, aop_done(self->o, 9));
	EXPECT_EQ(1, aop_drop(&self->op));
	EXPECT_EQ(9, aop_result(&self->op));
	EXPECT_EQ(-EINVAL, aop_drop(&self->op));
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(&self->op, 0));
	EXPECT_EQ(0, aop_wait(&self->op, AOP_FOREVER));
	EXPECT_EQ(NULL, aop_owner(&self->op));
	EXPECT_EQ(-EINVAL, aop_export(&self->op, AOP_MAY_LOOK));
}

/* The slot of one that was dropped goes to another, which must not be mixed up. */
TEST_F(life, slots_are_recycled)
{
	struct aop op[64];
	int i, round;

	for (round = 0; round < 100; round++) {
		for (i = 0; i < 64; i++)
			ASSERT_EQ(0, aop_init(&op[i], self->ctx));
		for (i = 0; i < 64; i++)
			ASSERT_EQ(0, aop_done(aop_owner(&op[i]), round * 64 + i));
		for (i = 0; i < 64; i++) {
			ASSERT_EQ(round * 64 + i, aop_result(&op[i]));
			ASSERT_EQ(1, aop_drop(&op[i]));
		}
	}
}

TEST_F(life, a_label_is_copied_and_may_be_too_long)
{
	char label[AOP_LABEL_SIZE + 1];
	struct aop op;

	memset(label, 'x', sizeof(label));
	label[AOP_LABEL_SIZE] = 0;
	EXPECT_EQ(-ENAMETOOLONG, aop_init_with(&op, self->ctx, AOP_OPTS(.label = label)));
	EXPECT_EQ(-ENAMETOOLONG, aop_result(&op));
	label[AOP_LABEL_SIZE - 1] = 0;
	EXPECT_EQ(0, aop_init_with(&op, self->ctx, AOP_OPTS(.label = label)));
}

TEST_F(life, O2_bad_options)
{
	struct aop_opts o = { .size = 4 };
	struct {
		struct aop_opts o;
		uint64_t more;
	} newer = { .o = { .size = sizeof(newer) } };
	struct aop op;

	EXPECT_EQ(-EINVAL, aop_init_with(&op, self->ctx, &o));
	EXPECT_EQ(AOP_FAILED, aop_state(&op));
	EXPECT_EQ(-EINVAL, aop_init_with(&op, self->ctx, AOP_OPTS(.flags = 0x80)));
	EXPECT_EQ(-EINVAL, aop_init_with(&op, self->ctx, AOP_OPTS(.state = 5)));
	EXPECT_EQ(-EINVAL, aop_init_with(&op, self->ctx, AOP_OPTS(.result = 5)));
	EXPECT_EQ(-EINVAL, aop_init_with(&op, self->ctx, AOP_OPTS(.state = AOP_FAILED)));
	EXPECT_EQ(-EINVAL, aop_init_with(&op, self->ctx, AOP_OPTS(.mode = 01000)));
	EXPECT_EQ(0, aop_init_with(&op, self->ctx, &newer.o));
	newer.more = 1;
	EXPECT_EQ(-E2BIG, aop_init_with(&op, self->ctx, &newer.o));
	EXPECT_EQ(-EINVAL, aop_init(&op, NULL));
}

TEST_F(life, O2_a_full_context)
{
	struct aop_ctx_opts o = { .size = sizeof(o), .slots = 4 };
	struct aop_ctx *ctx;
	struct aop op[1024];
	int i, ret;

	ASSERT_EQ(0, aop_ctx_open(&ctx, &o));
	for (i = 0; i < 1024; i++) {
		ret = aop_init(&op[i], ctx);
		if (ret)
			break;
	}
	EXPECT_LE(4, i);		/* rounded up */
	EXPECT_EQ(-ENOSPC, ret);
	EXPECT_EQ(-ENOSPC, aop_result(&op[i]));
	EXPECT_EQ(0, aop_done(aop_owner(&op[0]), 0));
	EXPECT_EQ(1, aop_drop(&op[0]));
	EXPECT_EQ(0, aop_init(&op[i], ctx));
	aop_ctx_close(ctx);
}

TEST_F(life, ctx_close_ends_what_is_left)
{
	struct aop_ctx *ctx;
	struct aop done, open;
	struct seen s = { 0 };

	ASSERT_EQ(0, aop_ctx_open(&ctx, NULL));
	ASSERT_EQ(0, aop_init(&done, ctx));
	ASSERT_EQ(0, aop_init(&open, ctx));
	ASSERT_EQ(0, aop_done(aop_owner(&done), 3));
	ASSERT_EQ(0, aop_watch(&open, &s.w, see, NULL, AOP_INLINE));
	aop_ctx_close(ctx);
	EXPECT_EQ(3, aop_result(&done));
	EXPECT_EQ(-ESTALE, aop_result(&open));
	EXPECT_TRUE(aop_is_over(&open));
	EXPECT_EQ(0, s.calls);
	EXPECT_EQ(-ESTALE, aop_get(&open, AOP_FOREVER));
	EXPECT_EQ(-EBADF, aop_cancel(&open, 0));
	aop_unwatch(&s.w);
	EXPECT_EQ(0, aop_drop(&open));
	EXPECT_EQ(-EBADF, aop_done(aop_owner(&open), 1));
	EXPECT_EQ(1, aop_drop(&done));
	aop_ctx_close(NULL);
}

TEST_F(life, ctx_options)
{
	struct aop_ctx_opts o = { .size = sizeof(o), .flags = 1 };
	struct aop_ctx *ctx = (void *)1;

	EXPECT_EQ(-EINVAL, aop_ctx_open(&ctx, &o));
	EXPECT_EQ(NULL, ctx);
	o.flags = 0;
	o.slots = AOP_MAX_SLOTS + 1;
	EXPECT_EQ(-EINVAL, aop_ctx_open(&ctx, &o));
	o.slots = 1;
	EXPECT_EQ(0, aop_ctx_open(&ctx, &o));
	EXPECT_NE(0, fcntl(aop_ctx_fd(ctx), F_GETFD) & FD_CLOEXEC);
	aop_ctx_close(ctx);
}

TEST_F(life, fd_exhaustion)
{
	struct rlimit old, none;
	struct aop_ctx *ctx;
	int fd, fd2;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	fd = dup(0);
	ASSERT_GE(fd, 0);
	close(fd);
	none = old;
	none.rlim_cur = fd;			/* the first one that is free */
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, aop_ctx_open(&ctx, NULL));
	EXPECT_EQ(-EMFILE, aop_export(&self->op, AOP_MAY_LOOK | AOP_MAY_DRIVE));
	EXPECT_EQ(self->o, aop_owner(&self->op));
	EXPECT_EQ(0, aop_done(self->o, 1));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	fd2 = dup(0);
	EXPECT_EQ(fd, fd2);			/* nothing has leaked */
	close(fd2);
}

TEST_HARNESS_MAIN
