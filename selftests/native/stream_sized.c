// SPDX-License-Identifier: GPL-2.0
/*
 * Streams whose messages take several places (S1, S2), and what is no stream.
 */
#include "lib.h"

#define PLACES	16

FIXTURE(sized) {
	struct aop_stream s;
	struct aop_sender tx;
	struct aop_receiver rx;
	uint64_t mem[AOP_STREAM_MEM(8, PLACES) / 8] __attribute__((aligned(16)));
};

FIXTURE_VARIANT(sized) {
	struct aop_ctx *where;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(sized, private_) {
	.where = AOP_PRIVATE,
};

FIXTURE_VARIANT_ADD(sized, local_many) {
	.where = AOP_LOCAL,
	.flags = AOP_MANY_SENDERS | AOP_MANY_RECEIVERS,
};

FIXTURE_SETUP(sized)
{
	ASSERT_EQ(0, aop_stream_init(&self->s, variant->where, self->mem, sizeof(self->mem),
				     AOP_STREAM_OPTS(.place = 8, .places = PLACES,
						     .flags = variant->flags)));
	ASSERT_EQ(0, aop_sender_init(&self->tx, &self->s, 0));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->s, 0));
}

FIXTURE_TEARDOWN(sized)
{
}

/* Each begins where the one before ended, or at the start of the ring. */
TEST_F(sized, S2_messages_of_any_size_in_place)
{
	struct aop_message in, out;
	unsigned int i, len, real, k;

	for (i = 0; i < 2000; i++) {
		len = i * 7 % 65;
		ASSERT_EQ(0, aop_stream_acquire(&self->tx, len, &in));
		ASSERT_EQ(len, in.len);
		memset(in.data, i, len);
		real = i % 3 ? len : len / 2;
		in.len = real;
		ASSERT_EQ(0, aop_stream_send(&self->tx, &in));
		ASSERT_EQ(1, aop_stream_try_receive(&self->rx, &out));
		ASSERT_EQ(real, out.len);
		for (k = 0; k < real; k++)
			ASSERT_EQ((uint8_t)i, ((uint8_t *)out.data)[k]);
		ASSERT_EQ(0, aop_stream_retire(&self->rx, &out, 0));
		ASSERT_EQ(-EAGAIN, aop_stream_try_receive(&self->rx, &out));
	}
}

TEST_F(sized, S1_full_and_too_long)
{
	char buf[65] = "abc";
	struct aop_transfer t;
	struct aop_message m;

	EXPECT_EQ(-EMSGSIZE, aop_stream_try_push(&self->tx, buf, 65));
	EXPECT_EQ(-EMSGSIZE, aop_stream_acquire(&self->tx, 65, &m));
	EXPECT_EQ(-EMSGSIZE, aop_join(aop_stream_ask(&self->tx, &t, buf, 65)));
	EXPECT_EQ(1, aop_stream_try_push(&self->tx, buf, 64));
	EXPECT_EQ(1, aop_stream_try_push(&self->tx, buf, 56));
	EXPECT_EQ(-EAGAIN, aop_stream_try_push(&self->tx, buf, 9));
	EXPECT_EQ(1, aop_stream_try_push(&self->tx, buf, 0));
	EXPECT_EQ(-EAGAIN, aop_stream_try_push(&self->tx, buf, 0));
	/* It stays. */
	EXPECT_EQ(-EMSGSIZE, aop_stream_try_pop(&self->rx, buf, 63));
	EXPECT_EQ(-EMSGSIZE, aop_join(aop_stream_pop(&self->rx, &t, buf, 63)));
	EXPECT_EQ(1, aop_stream_try_pop(&self->rx, buf, 64));
	EXPECT_EQ(1, aop_stream_try_pop(&self->rx, buf, 64));
	EXPECT_EQ(1, aop_stream_try_pop(&self->rx, buf, 0));
	EXPECT_EQ(-EAGAIN, aop_stream_try_pop(&self->rx, buf, 64));
}

TEST(bad_arguments)
{
	uint64_t mem[AOP_STREAM_MEM(8, 4) / 8] __attribute__((aligned(16)));
	struct aop_stream s;
	struct aop_sender tx;
	struct aop_receiver rx;

#define INIT(where, mem, size, ...) \
	aop_stream_init(&s, where, mem, size, AOP_STREAM_OPTS(__VA_ARGS__))
	EXPECT_EQ(-EINVAL, INIT(NULL, mem, sizeof(mem), .place = 8, .places = 4));
	EXPECT_EQ(-EINVAL, INIT(AOP_LOCAL, NULL, sizeof(mem), .place = 8, .places = 4));
	EXPECT_EQ(-EINVAL, INIT(AOP_LOCAL, mem, sizeof(mem) - 1, .place = 8, .places = 4));
	EXPECT_EQ(-EINVAL, INIT(AOP_LOCAL, mem + 1, sizeof(mem), .place = 8, .places = 4));
	EXPECT_EQ(-EINVAL, INIT(AOP_LOCAL, mem, sizeof(mem), .place = 0, .places = 4));
	EXPECT_EQ(-EINVAL, INIT(AOP_LOCAL, mem, sizeof(mem), .place = 8, .places = 0));
	EXPECT_EQ(-EINVAL, INIT(AOP_LOCAL, mem, sizeof(mem), .place = 8, .places = 3));
	EXPECT_EQ(-EINVAL, INIT(AOP_LOCAL, mem, sizeof(mem), .place = 8, .places = 4,
				.flags = 0x80));
	EXPECT_EQ(-EINVAL, INIT(AOP_LOCAL, mem, sizeof(mem), .place = 8, .places = 4,
				.flags = AOP_LOSSY));
	ASSERT_EQ(0, INIT(AOP_LOCAL, mem, sizeof(mem), .place = 8, .places = 4));
	EXPECT_EQ(-EINVAL, aop_sender_init(NULL, &s, 0));
	EXPECT_EQ(-EINVAL, aop_sender_init(&tx, NULL, 0));
	EXPECT_EQ(-EINVAL, aop_sender_init(&tx, &s, 4));
	EXPECT_EQ(-EINVAL, aop_receiver_init(&rx, &s, 1));
	EXPECT_EQ(-EINVAL, aop_receiver_init(&rx, NULL, 0));
}

TEST_HARNESS_MAIN
