// SPDX-License-Identifier: GPL-2.0
/*
 * What a review of streams broke: wakes that got lost, places that nobody gave back, and
 * callbacks that give back what the library still goes through.
 */
#include <sched.h>
#include <dirent.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "any.h"
#include "items.h"

#define N	4

FIXTURE(stream) {
	struct aop_stream *s;
	struct aop_sender tx;
	struct aop_receiver rx;
	struct aop_transfer t[3];
	uint64_t *mem;
	char buf[64];
	int called;
};

FIXTURE_VARIANT(stream) {
	struct aop_ctx *where;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(stream, private_) {
	.where = AOP_PRIVATE,
};

FIXTURE_VARIANT_ADD(stream, local) {
	.where = AOP_LOCAL,
};

FIXTURE_VARIANT_ADD(stream, local_many) {
	.where = AOP_LOCAL,
	.flags = AOP_MANY_SENDERS | AOP_MANY_RECEIVERS,
};

FIXTURE_SETUP(stream)
{
}

FIXTURE_TEARDOWN(stream)
{
}

/* Memory of its own, so that who looks at it too late is seen. */
#define BEGIN(flags_, places_)								\
	do {										\
		self->s = malloc(sizeof(*self->s));					\
		self->mem = malloc(AOP_STREAM_MEM(8, places_));		\
		ASSERT_EQ(0, aop_stream_init(self->s, variant->where, self->mem,	\
					     AOP_STREAM_MEM(8, places_),		\
					     AOP_STREAM_OPTS(.place = 8, .places = (places_), \
							     .flags = variant->flags |	\
								      (flags_))));	\
		ASSERT_EQ(0, aop_sender_init(&self->tx, self->s, 0));			\
		ASSERT_EQ(0, aop_receiver_init(&self->rx, self->s, 0));			\
	} while (0)

#define END()										\
	do {										\
		free(self->s);								\
		free(self->mem);							\
	} while (0)

/* A receiver that only finds discarded places has made room all the same. */
TEST_F(stream, S1_who_passes_over_places_wakes_who_waits_for_them)
{
	struct aop_message m[2];
	int seven = 7;
	struct aop *op;

	BEGIN(0, 2);
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m[0]));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m[1]));
	op = aop_stream_push(&self->tx, &self->t[0], &seven, 4);
	EXPECT_EQ(0, aop_stream_discard(&self->tx, &m[0]));
	EXPECT_FALSE(aop_is_final(op));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	EXPECT_TRUE(aop_is_final(op));
	EXPECT_EQ(0, aop_stream_discard(&self->tx, &m[1]));
	EXPECT_EQ(7, pop(&self->rx));
	EXPECT_EQ(1, aop_join(op));
	aop_sender_drop(&self->tx);
	aop_receiver_drop(&self->rx);
	END();
}

/* ... in a broadcast, too. */
TEST_F(stream, S3_who_passes_over_places_wakes_who_waits_for_them)
{
	struct aop_message m[2];
	int seven = 7;
	struct aop *op;

	BEGIN(AOP_BROADCAST, 2);
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m[0]));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m[1]));
	op = aop_stream_push(&self->tx, &self->t[0], &seven, 4);
	EXPECT_EQ(0, aop_stream_discard(&self->tx, &m[0]));
	EXPECT_FALSE(aop_is_final(op));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	EXPECT_TRUE(aop_is_final(op));
	EXPECT_EQ(0, aop_stream_discard(&self->tx, &m[1]));
	EXPECT_EQ(7, pop(&self->rx));
	EXPECT_EQ(1, aop_join(op));
	aop_sender_drop(&self->tx);
	aop_receiver_drop(&self->rx);
	END();
}

/* ... also when it holds the message behind them. */
TEST_F(stream, S1_who_passes_over_places_and_looks_at_a_message)
{
	struct aop_message m[2], in;
	int seven = 7;
	struct aop *op;

	BEGIN(0, 2);
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m[0]));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m[1]));
	op = aop_stream_push(&self->tx, &self->t[0], &seven, 4);
	EXPECT_EQ(0, aop_stream_discard(&self->tx, &m[0]));
	EXPECT_EQ(0, aop_stream_send(&self->tx, &m[1]));
	EXPECT_EQ(1, aop_stream_try_receive(&self->rx, &in));
	EXPECT_TRUE(aop_is_final(op));
	EXPECT_EQ(0, aop_stream_retire(&self->rx, &in, 0));
	EXPECT_EQ(7, pop(&self->rx));
	EXPECT_EQ(1, aop_join(op));
	aop_sender_drop(&self->tx);
	aop_receiver_drop(&self->rx);
	END();
}

/* A late receiver begins behind a place that is not sent yet; then it is the only one. */
TEST_F(stream, S2_S3_a_late_receiver_and_a_place_that_is_not_sent)
{
	struct aop_receiver late;
	struct aop_message m, n;
	int i;

	BEGIN(AOP_BROADCAST, 2);
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, sizeof(int), &m));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, sizeof(int), &n));
	ASSERT_EQ(0, aop_receiver_init(&late, self->s, 0));
	aop_receiver_drop(&self->rx);
	*(int *)m.data = 1;
	*(int *)n.data = 2;
	EXPECT_EQ(0, aop_stream_send(&self->tx, &n));
	EXPECT_EQ(0, aop_stream_send(&self->tx, &m));
	EXPECT_EQ(1, pop(&late));
	EXPECT_EQ(2, pop(&late));
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(1, push(&self->tx, i));
		EXPECT_EQ(i, pop(&late));
	}
	aop_sender_drop(&self->tx);
	aop_receiver_drop(&late);
	END();
}

/* ... or is given back, and another message stands there. */
TEST_F(stream, S2_S3_a_late_receiver_and_a_place_that_is_given_back)
{
	struct aop_receiver late;
	struct aop_message m;
	int i;

	BEGIN(AOP_BROADCAST, 2);
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m));
	ASSERT_EQ(0, aop_receiver_init(&late, self->s, 0));
	EXPECT_EQ(0, aop_stream_discard(&self->tx, &m));
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(1, push(&self->tx, i));
		EXPECT_EQ(i, pop(&late));
		EXPECT_EQ(i, pop(&self->rx));
	}
	aop_sender_drop(&self->tx);
	aop_receiver_drop(&self->rx);
	aop_receiver_drop(&late);
	END();
}

FIXTURE_DATA(stream) *torn;

static void tear_down(struct aop_watch *w, const struct aop_status *st)
{
	(void)w;
	(void)st;
	aop_sender_drop(&torn->tx);
	aop_receiver_drop(&torn->rx);
	free(torn->s);
	free(torn->mem);
	torn->called++;
}

/* All ends are dropped, and those calls have returned, when the cancel has. */
TEST_F(stream, W7_a_cancelled_wait_tears_the_stream_down)
{
	struct aop_watch w;
	struct aop *op;

	BEGIN(0, N);
	torn = self;
	op = aop_stream_pop(&self->rx, &self->t[0], self->buf, sizeof(self->buf));
	ASSERT_EQ(0, aop_then(op, &w, tear_down, NULL, AOP_INLINE));
	EXPECT_EQ(AOP_ASKED, aop_cancel(op, -EINTR));
	EXPECT_EQ(1, self->called);
	EXPECT_EQ(-EINTR, aop_join(op));
}

/* A push that waits, and its sender has gone: another one holds the stream open. */
TEST_F(stream, S1_a_push_outlives_its_sender)
{
	struct aop_sender *tx = malloc(sizeof(*tx));
	int seven = 7;
	struct aop *op;

	BEGIN(0, 1);
	ASSERT_EQ(0, aop_sender_clone(tx, &self->tx));
	EXPECT_EQ(1, push(tx, 1));
	op = aop_stream_push(tx, &self->t[0], &seven, 4);
	aop_sender_drop(tx);
	free(tx);
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(1, aop_join(op));
	EXPECT_EQ(7, pop(&self->rx));
	aop_sender_drop(&self->tx);
	aop_receiver_drop(&self->rx);
	END();
}

/* Without a byte there is no need of memory, on any way through. */
TEST_F(stream, messages_of_nothing)
{
	struct aop_message m;
	struct aop *op;

	BEGIN(0, 1);
	EXPECT_EQ(1, aop_stream_try_push(&self->tx, NULL, 0));
	op = aop_stream_push(&self->tx, &self->t[0], NULL, 0);
	EXPECT_EQ(1, aop_stream_try_pop(&self->rx, NULL, 0));
	EXPECT_EQ(1, aop_join(op));
	EXPECT_EQ(1, aop_stream_try_pop(&self->rx, NULL, 0));
	op = aop_stream_pop(&self->rx, &self->t[0], NULL, 0);
	EXPECT_EQ(1, aop_stream_try_push(&self->tx, NULL, 0));
	EXPECT_EQ(1, aop_join(op));
	op = aop_stream_ask(&self->tx, &self->t[0], NULL, 0);
	EXPECT_EQ(1, aop_stream_try_receive(&self->rx, &m));
	EXPECT_EQ(0, m.len);
	EXPECT_EQ(0, aop_stream_retire(&self->rx, &m, 5));
	EXPECT_EQ(5, aop_join(op));
	aop_sender_drop(&self->tx);
	aop_receiver_drop(&self->rx);
	END();
}

/* It is the only one, whoever comes first. */
TEST_F(stream, S10_nobody_sends_beside_a_one_shot_writer)
{
	struct aop_sender one, other;

	BEGIN(0, N);
	EXPECT_EQ(-EBUSY, aop_sender_init(&one, self->s, AOP_ONE_SHOT));
	aop_sender_drop(&self->tx);
	aop_receiver_drop(&self->rx);
	ASSERT_EQ(0, aop_stream_init(self->s, variant->where, self->mem, AOP_STREAM_MEM(8, N),
				     AOP_STREAM_OPTS(.place = 8, .places = N,
						     .flags = variant->flags)));
	ASSERT_EQ(0, aop_sender_init(&one, self->s, AOP_ONE_SHOT));
	EXPECT_EQ(-EBUSY, aop_sender_init(&other, self->s, 0));
	aop_sender_drop(&one);
	END();
}

/* On 32 bit that is 4 GiB and some bytes, and seems to be those few. */
TEST(more_memory_than_there_are_addresses)
{
	const struct aop_stream_opts *o = AOP_STREAM_OPTS(.place = 4096 - 16, .places = 1 << 20);
	uint64_t mem[8] __attribute__((aligned(16)));
	struct aop_shared_stream a, b;
	struct aop_stream s;

	EXPECT_EQ(-EINVAL, aop_stream_init(&s, AOP_PRIVATE, mem, sizeof(mem), o));
	if (sizeof(size_t) == 4)
		EXPECT_EQ(-EINVAL, aop_stream_pair(&a, &b, AOP_LOCAL, o));
}

/* ---- in shared memory ------------------------------------------------------------------ */

struct pair {
	struct aop_shared_stream *a, *b;
	struct aop_sender tx;
	struct aop_receiver rx;
	struct aop_transfer t;
	struct aop_watch w;
	char buf[8];
	int64_t result;
	int called;
};

static void pair_begin(struct __test_metadata *_metadata, struct pair *p)
{
	memset(p, 0, sizeof(*p));
	p->a = malloc(sizeof(*p->a));
	p->b = malloc(sizeof(*p->b));
	ASSERT_EQ(0, aop_stream_pair(p->a, p->b, AOP_LOCAL,
				     AOP_STREAM_OPTS(.place = 8, .places = N)));
	ASSERT_EQ(0, aop_sender_init(&p->tx, &p->a->stream, 0));
	ASSERT_EQ(0, aop_receiver_init(&p->rx, &p->b->stream, 0));
}

static void close_receiver(struct aop_watch *w, const struct aop_status *st)
{
	struct pair *p = w->data;

	p->result = st->result;
	aop_receiver_drop(&p->rx);
	aop_stream_close(p->b);
	free(p->b);
	p->called++;
}

/* Who is told by the doorbell goes at once. */
TEST(W7_a_side_is_closed_by_the_callback_of_its_doorbell)
{
	struct aop *op;
	struct pair p;

	pair_begin(_metadata, &p);
	op = aop_stream_pop(&p.rx, &p.t, p.buf, sizeof(p.buf));
	ASSERT_EQ(0, aop_then(op, &p.w, close_receiver, &p, AOP_INLINE));
	aop_sender_drop(&p.tx);
	EXPECT_EQ(1, p.called);
	EXPECT_EQ(-EOWNERDEAD, p.result);
	aop_stream_close(p.a);
	free(p.a);
	EXPECT_EQ(-EOWNERDEAD, aop_join(op));
}

static void drop_and_close(struct aop_watch *w, const struct aop_status *st)
{
	struct pair *p = w->data;

	if (!(st->flags & AOP_F_ASKED))
		return;
	aop_receiver_drop(&p->rx);
	aop_stream_close(p->b);
	free(p->b);
	p->called++;
}

/* ... or what was bound does. */
TEST(W7_a_side_is_closed_by_what_is_cancelled_with_the_senders)
{
	struct aop bound;
	struct pair p;

	pair_begin(_metadata, &p);
	ASSERT_EQ(0, aop_init(&bound, AOP_LOCAL));
	ASSERT_EQ(0, aop_start(aop_owner(&bound)));
	ASSERT_EQ(0, aop_watch(&bound, &p.w, drop_and_close, &p, AOP_INLINE));
	ASSERT_EQ(0, aop_on_asked(aop_owner(&bound), &p.t.asked, drop_and_close, &p,
				  AOP_INLINE));
	aop_unwatch(&p.w);
	ASSERT_EQ(0, aop_receiver_bind(&p.rx, &bound));
	aop_sender_drop(&p.tx);
	EXPECT_EQ(1, p.called);
	aop_stream_close(p.a);
	free(p.a);
	EXPECT_EQ(0, aop_done(aop_owner(&bound), 0));
	EXPECT_EQ(0, aop_join(&bound));
}

static _Atomic int at_the_gate;

static void *closes_sender(void *arg)
{
	struct pair *p = arg;

	atomic_fetch_add(&at_the_gate, 1);
	while (atomic_load(&at_the_gate) < 2)
		sched_yield();
	aop_sender_drop(&p->tx);
	aop_stream_close(p->a);
	free(p->a);
	return NULL;
}

/* Each side has a thread of its own, and they go at the same time. */
TEST(both_sides_are_closed_at_the_same_time)
{
	int i, n = any_rounds(200);
	pthread_t thread;
	struct pair p;

	for (i = 0; i < n; i++) {
		pair_begin(_metadata, &p);
		atomic_store(&at_the_gate, 0);
		ASSERT_EQ(0, pthread_create(&thread, NULL, closes_sender, &p));
		atomic_fetch_add(&at_the_gate, 1);
		while (atomic_load(&at_the_gate) < 2)
			sched_yield();
		aop_receiver_drop(&p.rx);
		aop_stream_close(p.b);
		free(p.b);
		ASSERT_EQ(0, pthread_join(thread, NULL));
	}
}

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Who offers may send what he likes: nothing of it stays. */
TEST(more_descriptors_than_an_offer_has)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	char text[8] = "AOPS";
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf };
	const int zeros[8] = { 0 };
	/* Nobody looks at it. */
	struct aop_ctx *ctx = (struct aop_ctx *)&control;
	struct aop_shared_stream side;
	struct cmsghdr *c;
	int sock[2], n, before;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	before = open_files();
	for (n = 1; n <= 8; n++) {
		if (n == 3)
			continue;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), zeros, n * sizeof(int));
		ASSERT_EQ(8, sendmsg(sock[0], &msg, 0));
		EXPECT_GT(0, aop_stream_accept(&side, ctx, sock[1], NULL));
		EXPECT_EQ(before, open_files()) {
			TH_LOG("%d descriptors", n);
		}
	}
}

TEST_HARNESS_MAIN
