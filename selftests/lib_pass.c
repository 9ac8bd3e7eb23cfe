// SPDX-License-Identifier: GPL-2.0
/*
 * libaop: ops between processes.
 */
#include <sys/resource.h>

#include "lib.h"

FIXTURE(pass) {
	struct aop_ctx *ctx;
	struct aop op;
	struct aop_owner *o;
	int sv[2];
	int to_child[2];
};

FIXTURE_SETUP(pass)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	ASSERT_EQ(0, aop_init(&self->op, self->ctx));
	self->o = aop_owner(&self->op);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->sv));
}

FIXTURE_TEARDOWN(pass)
{
	close(self->sv[0]);
	close(self->sv[1]);
	aop_drop(&self->op);
	aop_ctx_close(self->ctx);
}

TEST_F(pass, K4_a_watcher_in_another_process)
{
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		struct aop_ctx *ctx;
		struct aop op;
		uint32_t seq = 0;

		if (aop_ctx_open(&ctx, NULL) || aop_take(&op, ctx, self->sv[1]))
			_exit(1);
		if (aop_owner(&op) || aop_cancel(&op, -EINTR) != AOP_ASKED)
			_exit(2);
		while (aop_status(&op).done != 3)
			if (aop_wait_change(&op, &seq, AOP_FOREVER))
				_exit(3);
		if (aop_get(&op, AOP_FOREVER) != 33 || aop_join(&op) != 33)
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(0, aop_start(self->o));
	EXPECT_EQ(0, aop_pass(&self->op, self->sv[0], AOP_MAY_LOOK | AOP_MAY_CANCEL));
	EXPECT_EQ(-EINTR, aop_wait_asked(self->o, AOP_FOREVER));
	EXPECT_EQ(0, aop_progress(self->o, 3, 3));
	EXPECT_EQ(0, aop_done(self->o, 33));
	EXPECT_EQ(0, lib_reap(pid));
}

TEST_F(pass, O1_the_right_to_drive_moves)
{
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		struct aop_ctx *ctx;
		struct aop op;

		if (aop_ctx_open(&ctx, NULL) || aop_take(&op, ctx, self->sv[1]))
			_exit(1);
		if (!aop_owner(&op) || aop_start(aop_owner(&op)) ||
		    aop_done(aop_owner(&op), 5))
			_exit(2);
		_exit(0);
	}
	EXPECT_EQ(0, aop_pass(&self->op, self->sv[0], AOP_MAY_DRIVE));
	EXPECT_EQ(NULL, aop_owner(&self->op));
	EXPECT_EQ(-EPERM, aop_done(self->o, 1));
	EXPECT_EQ(-EPERM, aop_pass(&self->op, self->sv[0], AOP_MAY_DRIVE));
	EXPECT_EQ(5, aop_get(&self->op, AOP_FOREVER));
	EXPECT_EQ(0, lib_reap(pid));
}

TEST_F(pass, M6_the_new_owner_dies)
{
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		struct aop_ctx *ctx;
		struct aop op;

		if (aop_ctx_open(&ctx, NULL) || aop_take(&op, ctx, self->sv[1]) ||
		    aop_start(aop_owner(&op)))
			_exit(1);
		raise(SIGKILL);
	}
	EXPECT_EQ(0, aop_pass(&self->op, self->sv[0],
			      AOP_MAY_LOOK | AOP_MAY_CANCEL | AOP_MAY_DRIVE));
	EXPECT_EQ(-EOWNERDEAD, aop_join(&self->op));
	EXPECT_EQ(128 + SIGKILL, lib_reap(pid));
}

TEST_F(pass, K4_rights_only_shrink)
{
	struct aop look, drive;

	EXPECT_EQ(-EINVAL, aop_export(&self->op, 0));
	EXPECT_EQ(-EINVAL, aop_export(&self->op, 0x8000));
	ASSERT_EQ(0, lib_twin(&look, self->ctx, &self->op, AOP_MAY_LOOK));
	EXPECT_EQ(-EPERM, aop_cancel(&look, 0));
	EXPECT_EQ(-EPERM, aop_export(&look, AOP_MAY_LOOK | AOP_MAY_CANCEL));
	EXPECT_EQ(-EPERM, aop_export(&look, AOP_MAY_DRIVE));
	EXPECT_EQ(aop_id(&self->op), aop_id(&look));

	/* One that may only drive has no watchers' side. */
	ASSERT_EQ(0, lib_twin(&drive, self->ctx, &self->op, AOP_MAY_DRIVE));
	EXPECT_EQ(-EINVAL, aop_drop(&drive));
	EXPECT_EQ(0, aop_start(aop_owner(&drive)));
	EXPECT_EQ(AOP_RUNNING, aop_state(&look));
	EXPECT_EQ(0, aop_done(aop_owner(&drive), 4));
	EXPECT_EQ(4, aop_result(&look));
	EXPECT_EQ(NULL, aop_owner(&drive));
	EXPECT_EQ(1, aop_drop(&look));
}

TEST_F(pass, all_kinds_of_sockets)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	struct aop op;
	int i, sv[2];

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, types[i], 0, sv));
		EXPECT_EQ(0, aop_pass(&self->op, sv[0], AOP_MAY_LOOK));
		EXPECT_EQ(0, aop_pass(&self->op, sv[0], AOP_MAY_LOOK));
		EXPECT_EQ(0, aop_take(&op, self->ctx, sv[1]));
		EXPECT_EQ(1, aop_drop(&op));
		EXPECT_EQ(0, aop_take(&op, self->ctx, sv[1]));
		EXPECT_EQ(aop_id(&self->op), aop_id(&op));
		EXPECT_EQ(1, aop_drop(&op));
		close(sv[0]);
		close(sv[1]);
	}
}

TEST_F(pass, what_take_says_when_no_op_comes)
{
	struct aop op;
	struct seen s = { 0 };
	int fd;

	fcntl(self->sv[1], F_SETFL, O_NONBLOCK);
	EXPECT_EQ(-EAGAIN, aop_take(&op, self->ctx, self->sv[1]));
	EXPECT_EQ(-EAGAIN, aop_result(&op));
	ASSERT_EQ(1, write(self->sv[0], "x", 1));
	EXPECT_EQ(-EBADMSG, aop_take(&op, self->ctx, self->sv[1]));
	EXPECT_EQ(-EINVAL, aop_take(&op, NULL, self->sv[1]));
	fd = open("/dev/null", O_RDWR);
	EXPECT_EQ(-ENOTSOCK, aop_take(&op, self->ctx, fd));
	EXPECT_EQ(-EBADF, aop_take(&op, self->ctx, -1));
	EXPECT_EQ(-EINVAL, aop_attach(&op, self->ctx, fd));
	close(fd);
	EXPECT_EQ(-EBADF, aop_attach(&op, self->ctx, fd));
	EXPECT_EQ(-EBADF, aop_attach(&op, self->ctx, -1));
	close(self->sv[0]);
	EXPECT_EQ(-EPIPE, aop_take(&op, self->ctx, self->sv[1]));
	/* One error path: it can be used like any other. */
	EXPECT_EQ(0, aop_watch(&op, &s.w, see, NULL, AOP_INLINE));
	EXPECT_EQ(1, s.calls);
	EXPECT_EQ(-EPIPE, s.last.result);
	EXPECT_EQ(1, aop_drop(&op));
}

TEST_F(pass, without_a_descriptor_left)
{
	struct rlimit old, none;
	struct aop op;
	int fd;

	EXPECT_EQ(0, aop_pass(&self->op, self->sv[0], AOP_MAY_LOOK));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	fd = dup(0);
	close(fd);
	none = old;
	none.rlim_cur = fd;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, aop_take(&op, self->ctx, self->sv[1]));
	EXPECT_EQ(1, aop_drop(&op));
	EXPECT_EQ(-EMFILE, aop_pass(&self->op, self->sv[0], AOP_MAY_LOOK | AOP_MAY_DRIVE));
	EXPECT_EQ(self->o, aop_owner(&self->op));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	/* K8: and it has not been lost. */
	EXPECT_EQ(0, aop_take(&op, self->ctx, self->sv[1]));
	EXPECT_EQ(aop_id(&self->op), aop_id(&op));
	EXPECT_EQ(1, aop_drop(&op));
}

/* Passing the right to drive into nowhere must not lose it. */
TEST_F(pass, O1_what_cannot_be_sent_is_kept)
{
	char junk[4096] = { 0 };
	int fd;

	EXPECT_EQ(-EBADF, aop_pass(&self->op, -1, AOP_MAY_DRIVE));
	fd = open("/dev/null", O_RDWR);
	EXPECT_EQ(-ENOTSOCK, aop_pass(&self->op, fd, AOP_MAY_DRIVE));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT_EQ(-EINVAL, aop_pass(&self->op, fd, AOP_MAY_DRIVE));
	close(fd);
	fcntl(self->sv[0], F_SETFL, O_NONBLOCK);
	while (write(self->sv[0], junk, sizeof(junk)) > 0)
		;
	EXPECT_EQ(-EAGAIN, aop_pass(&self->op, self->sv[0], AOP_MAY_DRIVE));
	EXPECT_EQ(-EAGAIN, aop_pass(&self->op, self->sv[0], AOP_MAY_LOOK));
	close(self->sv[1]);
	EXPECT_EQ(-EPIPE, aop_pass(&self->op, self->sv[0], AOP_MAY_DRIVE));
	EXPECT_EQ(-EPIPE, aop_pass(&self->op, self->sv[0], AOP_MAY_LOOK) ?: -EPIPE);
	EXPECT_EQ(self->o, aop_owner(&self->op));
	EXPECT_EQ(0, aop_done(self->o, 1));
}

TEST_F(pass, K7_by_id)
{
	struct aop op;

	EXPECT_EQ(-ENOENT, aop_attach_id(&op, self->ctx, 0, 0));
	EXPECT_EQ(-EPERM, aop_attach_id(&op, self->ctx, aop_id(&self->op), AOP_MAY_DRIVE));
	EXPECT_EQ(0, aop_attach_id(&op, self->ctx, aop_id(&self->op), 0));
	EXPECT_EQ(AOP_STOPPED, aop_cancel(&op, -EINTR));
	EXPECT_EQ(-EINTR, aop_result(&self->op));
	EXPECT_EQ(1, aop_drop(&op));
	EXPECT_EQ(-EINVAL, aop_attach_id(&op, AOP_PRIVATE, 1, 0));
	EXPECT_EQ(-EINVAL, aop_attach(&op, AOP_LOCAL, 1));
	EXPECT_EQ(0, aop_id(&op));
}

TEST_F(pass, an_ops_descriptor_is_readable_when_it_is_final)
{
	struct aop_status s;
	struct pollfd p = { .events = POLLIN };

	p.fd = aop_export(&self->op, AOP_MAY_LOOK);
	ASSERT_GE(p.fd, 0);
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(0, aop_done(self->o, 12));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(sizeof(s), read(p.fd, &s, sizeof(s)));
	EXPECT_EQ(12, s.result);
	close(p.fd);
}

TEST_HARNESS_MAIN
