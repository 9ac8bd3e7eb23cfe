// SPDX-License-Identifier: GPL-2.0
/*
 * Streams between two processes (S8, K9): whole messages in order, whoever is killed when;
 * the survivor gets an end.
 */
#include "lib.h"

#define PLACES	64

struct msg {
	uint64_t nr, check;
};

/* The child: sends for ever, or count messages and an end. */
static void child(int sock, uint64_t count)
{
	struct aop_shared_stream side;
	struct aop_transfer t;
	struct aop_sender tx;
	struct aop_ctx *ctx;
	struct aop *op;
	struct msg m;

	if (aop_ctx_open(&ctx, NULL) || aop_stream_accept(&side, ctx, sock, NULL) != AOP_SENDS ||
	    aop_sender_init(&tx, &side.stream, 0))
		_exit(1);
	for (m.nr = 0; m.nr < count; m.nr++) {
		m.check = ~m.nr;
		op = aop_stream_push(&tx, &t, &m, sizeof(m));
		while (!aop_is_over(op))
			lib_dispatch(ctx);
		if (aop_join(op) != 1)
			_exit(2);
	}
	aop_sender_end(&tx);
	aop_sender_drop(&tx);
	aop_stream_close(&side);
	aop_ctx_close(ctx);
	_exit(0);
}

FIXTURE(between) {
	struct aop_shared_stream side;
	struct aop_receiver rx;
	struct aop_transfer t;
	struct aop_ctx *ctx;
	int sock[2];
	pid_t pid;
};

FIXTURE_SETUP(between)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
}

FIXTURE_TEARDOWN(between)
{
	aop_ctx_close(self->ctx);
}

/* Returns what the stream ends with; *nr: how many messages came before. */
static int64_t receive_all(struct aop_ctx *ctx, struct aop_receiver *rx, struct aop_transfer *t,
			   uint64_t *nr, uint64_t kill_at, pid_t pid)
{
	struct msg m = { 0 };
	struct aop *op;
	int64_t ret;

	for (*nr = 0;; ++*nr) {
		if (*nr == kill_at)
			kill(pid, SIGKILL);
		op = aop_stream_pop(rx, t, &m, sizeof(m));
		while (!aop_is_over(op))
			lib_dispatch(ctx);
		ret = aop_join(op);
		if (ret != 1)
			return ret;
		if (m.nr != *nr || m.check != ~m.nr)
			return -EBADMSG;
	}
}

static int begin(struct _test_data_between *self, uint64_t count)
{
	int ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->sock))
		return -errno;
	self->pid = fork();
	if (!self->pid)
		child(self->sock[1], count);
	close(self->sock[1]);
	ret = aop_stream_offer(&self->side, self->ctx, self->sock[0], AOP_RECEIVES,
			       AOP_STREAM_OPTS(.place = sizeof(struct msg), .places = PLACES));
	return ret ? ret : aop_receiver_init(&self->rx, &self->side.stream, 0);
}

static void end(struct _test_data_between *self, int *status)
{
	waitpid(self->pid, status, 0);
	aop_receiver_drop(&self->rx);
	aop_stream_close(&self->side);
	close(self->sock[0]);
}

TEST_F(between, S7_all_messages_and_the_end)
{
	uint64_t nr;
	int status;

	ASSERT_EQ(0, begin(self, 20000));
	EXPECT_EQ(0, receive_all(self->ctx, &self->rx, &self->t, &nr, UINT64_MAX, self->pid));
	EXPECT_EQ(20000, nr);
	end(self, &status);
	EXPECT_EQ(0, status);
}

TEST_F(between, S8_killed_at_any_point)
{
	uint64_t nr, at;
	int i, status;

	for (i = 0; i < 100; i++) {
		at = (uint64_t)i * i % 997;
		ASSERT_EQ(0, begin(self, UINT64_MAX));
		EXPECT_EQ(-EOWNERDEAD, receive_all(self->ctx, &self->rx, &self->t, &nr, at,
						   self->pid));
		EXPECT_LE(at, nr);
		end(self, &status);
		EXPECT_TRUE(WIFSIGNALED(status));
	}
}

TEST_HARNESS_MAIN
