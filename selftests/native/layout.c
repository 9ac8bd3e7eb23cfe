// SPDX-License-Identifier: GPL-2.0
/*
 * What programs that were compiled before must find where it was: the words that
 * <aop/inline.h> and the inline functions of <aop.h> read and write, the sizes of what the
 * caller allocates, and the status, which both halves and processes of both sizes share.
 * Built for 64 and for 32 bit.
 */
#include "lib.h"

#define P	sizeof(void *)

TEST(op)
{
	EXPECT_EQ(128, sizeof(struct aop));
	EXPECT_EQ(0, offsetof(struct aop, st));
	EXPECT_EQ(P, offsetof(struct aop, scope_));
	EXPECT_EQ(2 * P, offsetof(struct aop, sides_));
	EXPECT_EQ(2 * P + 4, offsetof(struct aop, bits_));
	EXPECT_EQ(2 * P + 8, offsetof(struct aop, release_));
	EXPECT_EQ(3 * P + 8, offsetof(struct aop, watches_));
	EXPECT_EQ(64, offsetof(struct aop, own));
}

TEST(watch)
{
	EXPECT_EQ(0, offsetof(struct aop_watch, op));
	EXPECT_EQ(P, offsetof(struct aop_watch, data));
	EXPECT_EQ(2 * P, offsetof(struct aop_watch, fn));
	EXPECT_EQ(3 * P, offsetof(struct aop_watch, exec_));
	EXPECT_EQ(4 * P, offsetof(struct aop_watch, home_));
	EXPECT_EQ(5 * P, offsetof(struct aop_watch, next_));
	EXPECT_EQ(6 * P, offsetof(struct aop_watch, queue_));
	EXPECT_EQ(7 * P, offsetof(struct aop_watch, seq_));
	EXPECT_EQ(7 * P + 4, offsetof(struct aop_watch, kind_));
	EXPECT_EQ(7 * P + 5, offsetof(struct aop_watch, attached_));
	EXPECT_EQ(7 * P + 6, offsetof(struct aop_watch, queued_));
	EXPECT_EQ(7 * P + 8, sizeof(struct aop_watch));
}

TEST(status)
{
	EXPECT_EQ(64, sizeof(struct aop_status));
	EXPECT_EQ(0, offsetof(struct aop_status, seq));
	EXPECT_EQ(4, offsetof(struct aop_status, gen));
	EXPECT_EQ(8, offsetof(struct aop_status, word));
	EXPECT_EQ(12, offsetof(struct aop_status, reason));
	EXPECT_EQ(16, offsetof(struct aop_status, result));
	EXPECT_EQ(24, offsetof(struct aop_status, done));
	EXPECT_EQ(32, offsetof(struct aop_status, total));
	EXPECT_EQ(40, offsetof(struct aop_status, time));
	EXPECT_EQ(48, offsetof(struct aop_status, data));
	EXPECT_EQ(56, offsetof(struct aop_status, id));
}

/* The memory of a stream between processes, which may be of both sizes. */
struct memory {
	uint32_t magic, version, place, places, pad[28];
	struct { uint32_t word; int32_t error; uint32_t pad[14]; } side[2];
	struct { uint32_t seq, len; uint64_t value; } slot[4];
	char data[4][16];
};

/* The memfd of the one stream that there is. */
static int find_memory(void)
{
	char path[32], name[64];
	ssize_t len;
	int fd;

	for (fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, name, sizeof(name) - 1);
		if (len > 0 && !strncmp(name, "/memfd:aop-stream", 17))
			return fd;
	}
	return -1;
}

TEST(shared_stream)
{
	static const struct memory want = {
		.magic = 0x53504f41, .version = 1, .place = 16, .places = 4,
		/* The sender has ended, with an error. */
		.side = { { .word = 0x100, .error = -EIO } },
		/* Answered, and free for the next lap; received; a long one, and its rest. */
		.slot = { { 8, 0x40000005, (uint64_t)-7 }, { 10, 3 }, { 5, 32 }, { 6 } },
		.data = { "01234", "abc", "ABCDEFGHIJKLMNOP", "QRSTUVWXYZabcdef" },
	};
	struct aop_shared_stream a, b;
	struct aop_receiver rx;
	struct aop_transfer t;
	struct aop_message m;
	struct aop_sender tx;
	struct memory got;
	struct aop *op;
	char text[16];
	int fd;

	ASSERT_EQ(sizeof(want), 256 + AOP_STREAM_MEM(16, 4));
	ASSERT_EQ(0, aop_stream_pair(&a, &b, AOP_LOCAL, AOP_STREAM_OPTS(.place = 16, .places = 4)));
	ASSERT_EQ(0, aop_sender_init(&tx, &a.stream, 0));
	ASSERT_EQ(0, aop_receiver_init(&rx, &b.stream, 0));
	fd = find_memory();
	ASSERT_LE(0, fd);
	op = aop_stream_ask(&tx, &t, "01234", 5);
	ASSERT_EQ(1, aop_stream_try_receive(&rx, &m));
	EXPECT_EQ(0, aop_stream_retire(&rx, &m, -7));
	EXPECT_EQ(-7, aop_result(op));
	aop_drop(op);
	op = aop_stream_pop(&rx, &t, text, sizeof(text));
	ASSERT_EQ((ssize_t)sizeof(got), pread(fd, &got, sizeof(got), 0));
	EXPECT_EQ(1, got.side[1].word);		/* it waits */
	EXPECT_EQ(1, aop_stream_try_push(&tx, "abc", 3));
	EXPECT_EQ(1, aop_join(op));
	EXPECT_EQ(1, aop_stream_try_push(&tx, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", 32));
	EXPECT_EQ(0, aop_sender_fail(&tx, -EIO));
	ASSERT_EQ((ssize_t)sizeof(got), pread(fd, &got, sizeof(got), 0));
	EXPECT_EQ(0, memcmp(&want, &got, sizeof(got))) {
		const uint32_t *w = (const uint32_t *)&want, *g = (const uint32_t *)&got;
		size_t i;

		for (i = 0; i < sizeof(got) / 4; i++)
			if (w[i] != g[i])
				TH_LOG("word %zu: %#x, not %#x", i, g[i], w[i]);
	}
	aop_sender_drop(&tx);
	aop_receiver_drop(&rx);
	aop_stream_close(&a);
	aop_stream_close(&b);
}

/* 64-bit atomics are in them: on i386 a uint64_t alone may lie across two cache lines. */
TEST(streams)
{
	EXPECT_EQ(8, _Alignof(struct aop_stream));
	EXPECT_EQ(8, _Alignof(struct aop_shared_stream));
	EXPECT_EQ(448, sizeof(struct aop_stream));
}

/* What is written in place is what the function writes. */
TEST(written_in_place)
{
	struct aop op;
	struct seen s = { 0 };

	memset(&op, 0xee, sizeof(op));
	ASSERT_EQ(0, aop_init(&op, AOP_PRIVATE));
	EXPECT_EQ(&op.own, op.st);
	EXPECT_EQ(AOP_PENDING, aop_state(&op));
	ASSERT_EQ(0, aop_watch(&op, &s.w, see, NULL, AOP_INLINE));
	EXPECT_EQ(&s.w, op.watches_);
	EXPECT_EQ(&op, s.w.op);
	EXPECT_EQ(0, aop_done(aop_owner(&op), INT64_C(0x123456789a)));
	EXPECT_EQ(INT64_C(0x123456789a), s.last.result);
	EXPECT_EQ(1, s.finals);
	EXPECT_EQ(INT64_C(0x123456789a), aop_join(&op));
}

TEST_HARNESS_MAIN
