// SPDX-License-Identifier: GPL-2.0
/*
 * Streams in shared memory, both sides in this process, each with its own mapping: the
 * calls are those of any stream; a peer that scribbles does no harm.
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "any.h"
#include "items.h"

#define N	8

FIXTURE(shared) {
	struct aop_shared_stream a, b;
	struct aop_sender tx;
	struct aop_receiver rx;
	struct aop_transfer t[4];
	int item[4];
};

FIXTURE_SETUP(shared)
{
	ASSERT_EQ(0, aop_stream_pair(&self->a, &self->b, AOP_LOCAL,
				     AOP_STREAM_OPTS(.place = 8, .places = N)));
	ASSERT_EQ(0, aop_sender_init(&self->tx, &self->a.stream, 0));
	ASSERT_EQ(0, aop_receiver_init(&self->rx, &self->b.stream, 0));
}

FIXTURE_TEARDOWN(shared)
{
}

#define CLOSE()						\
	do {						\
		aop_sender_drop(&self->tx);		\
		aop_receiver_drop(&self->rx);		\
		aop_stream_close(&self->a);		\
		aop_stream_close(&self->b);		\
	} while (0)

TEST_F(shared, S1_bounded_and_in_order)
{
	struct aop_receiver rx;
	struct aop_sender tx;
	int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < N; i++)
			EXPECT_EQ(1, push(&self->tx, i));
		EXPECT_EQ(-EAGAIN, push(&self->tx, i));
		for (i = 0; i < N; i++)
			EXPECT_EQ(i, pop(&self->rx));
		EXPECT_EQ(NOTHING, pop(&self->rx));
	}
	EXPECT_EQ(-EPERM, aop_sender_init(&tx, &self->b.stream, 0));
	EXPECT_EQ(-EPERM, aop_receiver_init(&rx, &self->a.stream, 0));
	CLOSE();
}

TEST_F(shared, S1_both_sides_wait)
{
	struct aop *a;
	int i, five = 5;

	a = aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4);
	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(1, push(&self->tx, 1));
	EXPECT_EQ(1, aop_join(a));
	EXPECT_EQ(1, self->item[0]);
	for (i = 0; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	a = aop_stream_push(&self->tx, &self->t[0], &five, 4);
	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(0, pop(&self->rx));
	EXPECT_EQ(1, aop_join(a));
	for (i = 1; i < N; i++)
		EXPECT_EQ(i, pop(&self->rx));
	EXPECT_EQ(5, pop(&self->rx));
	CLOSE();
}

TEST_F(shared, S1_many_at_once)
{
	uint64_t in[2 * N], out[2 * N];
	int i, round, n, size = 77;

	for (i = 0; i < 2 * N; i++)
		in[i] = i;
	EXPECT_EQ(-EAGAIN, aop_stream_try_pop_many(&self->rx, out, 8, N));
	/* Each beginning and each number: over the ring's end, in steps and in ones. */
	for (round = 0; round < 3 * N; round++) {
		for (n = 1; n <= N; n++) {
			memset(out, 0xff, sizeof(out));
			ASSERT_EQ(n, aop_stream_try_push_many(&self->tx, in + round % N, 8, n));
			ASSERT_EQ(n, aop_stream_try_pop_many(&self->rx, out, 8, 2 * N));
			ASSERT_EQ(0, memcmp(out, in + round % N, n * 8));
			ASSERT_EQ(UINT64_MAX, out[n]);
		}
		/* The next round begins a place further. */
		ASSERT_EQ(1, push(&self->tx, 1));
		ASSERT_EQ(1, pop(&self->rx));
	}
	EXPECT_EQ(N, aop_stream_try_push_many(&self->tx, in, 8, 2 * N));
	EXPECT_EQ(-EAGAIN, aop_stream_try_push_many(&self->tx, in, 8, 1));
	EXPECT_EQ(3, aop_stream_try_pop_many(&self->rx, out, 8, 3));
	/* Of other sizes. */
	EXPECT_EQ(1, push(&self->tx, size));
	EXPECT_EQ(2, aop_stream_try_push_many(&self->tx, in, 8, 3));
	EXPECT_EQ(N - 3, aop_stream_try_pop_many(&self->rx, out, 8, 2 * N));
	EXPECT_EQ(-EMSGSIZE, aop_stream_try_pop_many(&self->rx, out, 3, 2 * N));
	EXPECT_EQ(3, aop_stream_try_pop_many(&self->rx, out, 8, 2 * N));
	EXPECT_EQ(0, memcmp(out, &size, sizeof(size)));
	EXPECT_EQ(1, out[2]);
	EXPECT_EQ(2, aop_stream_try_push_many(&self->tx, in, 8, 2));
	EXPECT_EQ(0, aop_sender_end(&self->tx));
	EXPECT_EQ(-EPIPE, aop_stream_try_push_many(&self->tx, in, 8, 2));
	EXPECT_EQ(2, aop_stream_try_pop_many(&self->rx, out, 8, 2 * N));
	EXPECT_EQ(0, aop_stream_try_pop_many(&self->rx, out, 8, 2 * N));
	CLOSE();
}

/* Who waits is woken by a batch. */
TEST_F(shared, S1_many_and_somebody_waits)
{
	uint64_t in[N] = { 1, 2, 3, 4, 5, 6, 7, 8 }, out[N];
	struct aop *a;

	a = aop_stream_pop(&self->rx, &self->t[0], &out[0], 8);
	EXPECT_EQ(N, aop_stream_try_push_many(&self->tx, in, 8, N));
	EXPECT_EQ(1, aop_join(a));
	EXPECT_EQ(1, out[0]);
	EXPECT_EQ(1, push(&self->tx, 9));
	a = aop_stream_push(&self->tx, &self->t[0], &in[0], 8);
	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(4, aop_stream_try_pop_many(&self->rx, out, 8, 4));
	EXPECT_EQ(1, aop_join(a));
	CLOSE();
}

TEST_F(shared, S2_in_place)
{
	struct aop_message m, n, out;

	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 32, &m));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 5, &n));
	memcpy(n.data, "abcd", 5);
	EXPECT_EQ(0, aop_stream_send(&self->tx, &n));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	memset(m.data, 7, 32);
	m.len = 30;
	EXPECT_EQ(0, aop_stream_send(&self->tx, &m));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx, &out));
	EXPECT_EQ(30, out.len);
	EXPECT_EQ(7, ((char *)out.data)[29]);
	EXPECT_EQ(0, aop_stream_retire(&self->rx, &out, 0));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx, &out));
	EXPECT_STREQ("abcd", out.data);
	EXPECT_EQ(0, aop_stream_retire(&self->rx, &out, 0));
	CLOSE();
}

TEST_F(shared, S4_asking)
{
	struct aop_message m, n;
	struct aop *a, *b, *c;
	int one = 1, i;

	a = aop_stream_ask(&self->tx, &self->t[0], &one, 4);
	b = aop_stream_ask(&self->tx, &self->t[1], &one, 4);
	c = aop_stream_ask(&self->tx, &self->t[2], &one, 4);
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx, &m));
	ASSERT_EQ(1, aop_stream_try_receive(&self->rx, &n));
	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(0, aop_stream_retire(&self->rx, &n, -ENOENT));
	EXPECT_EQ(-ENOENT, aop_join(b));
	EXPECT_FALSE(aop_is_final(a));
	EXPECT_EQ(0, aop_stream_retire(&self->rx, &m, INT64_C(1) << 40));
	EXPECT_EQ(INT64_C(1) << 40, aop_join(a));
	EXPECT_EQ(AOP_ASKED, aop_cancel(c, -EINTR));
	EXPECT_EQ(-EINTR, aop_join(c));
	EXPECT_EQ(1, pop(&self->rx));
	for (i = 0; i < 3 * N; i++) {
		a = aop_stream_ask(&self->tx, &self->t[0], &i, 4);
		EXPECT_FALSE(aop_is_final(a));
		EXPECT_EQ(i, pop(&self->rx));
		EXPECT_EQ(1, aop_join(a));
	}
	CLOSE();
}

TEST_F(shared, S7_the_end_after_every_message)
{
	EXPECT_EQ(1, push(&self->tx, 1));
	EXPECT_EQ(0, aop_sender_end(&self->tx));
	EXPECT_EQ(-EPIPE, push(&self->tx, 2));
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	CLOSE();
}

TEST_F(shared, S8_the_producer_is_lost)
{
	struct aop op;

	ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
	EXPECT_EQ(0, aop_receiver_bind(&self->rx, &op));
	EXPECT_EQ(1, push(&self->tx, 1));
	aop_sender_drop(&self->tx);
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(-EOWNERDEAD - 1000, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&op));
	aop_let_go(aop_owner(&op));
	aop_receiver_drop(&self->rx);
	aop_stream_close(&self->b);
	aop_stream_close(&self->a);
}

/* As when its process is killed: nothing is said, the doorbell ends. */
TEST_F(shared, S8_the_producer_is_killed)
{
	struct aop_message m;
	struct aop *a;

	EXPECT_EQ(1, push(&self->tx, 1));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m));
	*(int *)m.data = 2;
	EXPECT_EQ(1, push(&self->tx, 3));
	EXPECT_EQ(1, pop(&self->rx));
	a = aop_stream_pop(&self->rx, &self->t[0], &self->item[0], 4);
	EXPECT_FALSE(aop_is_final(a));
	aop_stream_close(&self->a);
	/* What it had begun is not seen, what it had sent is. */
	EXPECT_EQ(1, aop_join(a));
	EXPECT_EQ(3, self->item[0]);
	EXPECT_EQ(-EOWNERDEAD - 1000, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	aop_receiver_drop(&self->rx);
	aop_stream_close(&self->b);
}

/* Several that were begun, also of several places, and messages between and behind them. */
TEST_F(shared, S8_lost_with_gaps)
{
	struct aop_message m;

	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m));
	EXPECT_EQ(1, push(&self->tx, 1));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 24, &m));
	memset(m.data, 0x55, 24);
	EXPECT_EQ(1, push(&self->tx, 2));
	EXPECT_EQ(1, push(&self->tx, 3));
	ASSERT_EQ(0, aop_stream_acquire(&self->tx, 8, &m));
	EXPECT_EQ(NOTHING, pop(&self->rx));
	aop_sender_drop(&self->tx);
	EXPECT_EQ(1, pop(&self->rx));
	EXPECT_EQ(2, pop(&self->rx));
	EXPECT_EQ(3, pop(&self->rx));
	EXPECT_EQ(-EOWNERDEAD - 1000, pop(&self->rx));
	EXPECT_EQ(OVER, pop(&self->rx));
	aop_receiver_drop(&self->rx);
	aop_stream_close(&self->a);
	aop_stream_close(&self->b);
}

TEST_F(shared, the_consumer_is_killed)
{
	struct aop *a;
	int i = 0;

	a = aop_stream_ask(&self->tx, &self->t[0], &i, 4);
	for (i = 1; i < N; i++)
		EXPECT_EQ(1, push(&self->tx, i));
	aop_stream_push(&self->tx, &self->t[1], &i, 4);
	aop_stream_close(&self->b);
	EXPECT_EQ(-EPIPE, aop_join(a));
	EXPECT_EQ(-EPIPE, aop_join(&self->t[1].op));
	EXPECT_EQ(-EPIPE, push(&self->tx, 1));
	aop_sender_drop(&self->tx);
	aop_stream_close(&self->a);
}

struct pipe {
	struct aop_sender tx;
	int calls;
};

static void more(struct aop_stream *s, void *data)
{
	struct pipe *p = data;

	(void)s;
	push(&p->tx, p->calls++);
}

TEST(S6_more_across)
{
	struct aop_shared_stream a, b;
	struct pipe p = { .calls = 0 };
	struct aop_receiver rx;
	struct aop_transfer t;
	int i, item;

	ASSERT_EQ(0, aop_stream_pair(&a, &b, AOP_LOCAL,
				     AOP_STREAM_OPTS(.place = 8, .places = 2, .more = more,
						     .data = &p)));
	ASSERT_EQ(0, aop_sender_init(&p.tx, &a.stream, 0));
	ASSERT_EQ(0, aop_receiver_init(&rx, &b.stream, 0));
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(i, p.calls);
		EXPECT_EQ(1, aop_join(aop_stream_pop(&rx, &t, &item, 4)));
		EXPECT_EQ(i, item);
	}
	aop_sender_drop(&p.tx);
	aop_receiver_drop(&rx);
	aop_stream_close(&a);
	aop_stream_close(&b);
}

/* ---- threads ---------------------------------------------------------------------- */

struct side {
	struct aop_sender *tx;
	struct aop_receiver *rx;
	uint32_t count;
	uint64_t wrong;
};

static void *sends(void *arg)
{
	struct side *s = arg;
	struct aop_transfer t;
	uint64_t i;

	for (i = 0; i < s->count; i++) {
		if (i % 3 == 0)
			s->wrong += aop_join(aop_stream_ask(s->tx, &t, &i, sizeof(i))) != 1;
		else if (aop_stream_try_push(s->tx, &i, sizeof(i)) < 0)
			s->wrong += aop_join(aop_stream_push(s->tx, &t, &i, sizeof(i))) != 1;
	}
	s->wrong += aop_sender_end(s->tx) != 0;
	return NULL;
}

TEST_F(shared, S3_two_threads)
{
	struct side s = { .tx = &self->tx, .count = any_rounds(20000) };
	uint64_t i, item;
	pthread_t thread;
	int64_t ret;

	ASSERT_EQ(0, pthread_create(&thread, NULL, sends, &s));
	for (i = 0; (ret = aop_join(aop_stream_pop(&self->rx, &self->t[0], &item, 8))) == 1; i++)
		ASSERT_EQ(i, item);
	EXPECT_EQ(0, ret);
	EXPECT_EQ(s.count, i);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, s.wrong);
	CLOSE();
}

/* ---- a peer that scribbles -------------------------------------------------------- */

#define PLACES	16
#define BYTES	(256 + AOP_STREAM_MEM(16, PLACES))

struct scribbler {
	uint32_t *mem;
	uint32_t seed;
	_Atomic bool stop;
};

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Nonsense, and what nearly makes sense. */
static void *scribbles(void *arg)
{
	static const uint32_t nasty[] = {
		0, 1, 2, 3, 16, 17, 31, 32, 0x80000000, 0x80000001, 0x8000000f, 0x80000010,
		0x40000010, 0x3fffffff, 0xffffffff, 0x7fffffff, 0xc0000000, 0x1ff, 0x3ff,
	};
	struct scribbler *s = arg;
	uint32_t i, v;

	while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
		i = next_random(&s->seed) % (BYTES / 4);
		switch (next_random(&s->seed) % 4) {
		case 0:
			v = nasty[next_random(&s->seed) % (sizeof(nasty) / 4)];
			break;
		case 1:
			v = next_random(&s->seed);
			break;
		default:
			v = __atomic_load_n(&s->mem[i], __ATOMIC_RELAXED) +
			    next_random(&s->seed) % 5 - 2;
		}
		__atomic_store_n(&s->mem[i], v, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* The descriptor that was made last: the stream's. */
static int stream_fd(void)
{
	char path[64], name[64];
	int fd, found = -1;
	ssize_t n;

	for (fd = 3; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		if (n <= 0)
			continue;
		name[n] = 0;
		if (strstr(name, "aop-stream"))
			found = fd;
	}
	return found;
}

/*
 * Records to be skipped, without an end: two pages of the slots are forbidden in turn to who
 * receives, and each time he comes to one, all slots that he gave back are such records once
 * more.
 */
#define LONG	1024
#define PAGE	4096
#define LAPS	50

static struct {
	uint32_t *slots;		/* our own mapping: seq, len, value[2] */
	char *pages[2];			/* his */
	int traps;
} chain;

static void arm(void)
{
	int i;

	for (i = 0; i < LONG; i++) {
		chain.slots[4 * i] |= 1;
		chain.slots[4 * i + 1] = 0x80000001;
	}
}

static void trap(int sig, siginfo_t *si, void *uc)
{
	int at = (uintptr_t)si->si_addr / PAGE == (uintptr_t)chain.pages[1] / PAGE;

	(void)uc;
	if (!at && (uintptr_t)si->si_addr / PAGE != (uintptr_t)chain.pages[0] / PAGE) {
		signal(sig, SIG_DFL);
		return;
	}
	mprotect(chain.pages[at], PAGE, PROT_READ | PROT_WRITE);
	/* Without an end, but a test has to have one. */
	if (++chain.traps > 2 * LAPS)
		return;
	mprotect(chain.pages[!at], PAGE, PROT_NONE);
	arm();
}

TEST(a_chain_of_skipped_records_without_an_end)
{
	struct sigaction old, act = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO };
	size_t bytes = 256 + AOP_STREAM_MEM(8, LONG);
	struct aop_shared_stream a, b;
	struct aop_receiver rx;
	struct aop_message m;
	struct aop_sender tx;
	char *mem, *his;

	ASSERT_EQ(PAGE, sysconf(_SC_PAGESIZE));
	ASSERT_EQ(0, aop_stream_pair(&a, &b, AOP_LOCAL,
				     AOP_STREAM_OPTS(.place = 8, .places = LONG)));
	ASSERT_EQ(0, aop_sender_init(&tx, &a.stream, 0));
	ASSERT_EQ(0, aop_receiver_init(&rx, &b.stream, 0));
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, stream_fd(), 0);
	ASSERT_NE(MAP_FAILED, (void *)mem);
	chain.slots = (uint32_t *)(mem + 256);
	/* Where he has it. */
	ASSERT_EQ(1, push(&tx, 1));
	ASSERT_EQ(1, aop_stream_try_receive(&rx, &m));
	his = (char *)m.data - 256 - 16 * LONG;
	ASSERT_EQ(0, (uintptr_t)his % PAGE);
	EXPECT_EQ(0, aop_stream_retire(&rx, &m, 0));
	chain.pages[0] = his + PAGE;
	chain.pages[1] = his + 3 * PAGE;
	chain.traps = 0;
	ASSERT_EQ(0, sigaction(SIGSEGV, &act, &old));
	mprotect(chain.pages[1], PAGE, PROT_NONE);
	arm();
	EXPECT_EQ(-EPROTO, aop_stream_try_receive(&rx, &m));
	EXPECT_GE(4, chain.traps);
	EXPECT_LE(1, chain.traps);
	sigaction(SIGSEGV, &old, NULL);
	mprotect(his, bytes, PROT_READ | PROT_WRITE);
	/* Whatever stands there now. */
	EXPECT_EQ(0, aop_stream_try_receive(&rx, &m));
	aop_sender_drop(&tx);
	aop_receiver_drop(&rx);
	aop_stream_close(&a);
	aop_stream_close(&b);
	munmap(mem, bytes);
}

static void use_it(struct aop_sender *tx, struct aop_receiver *rx, uint32_t *seed, uint64_t *sum)
{
	struct aop_transfer t[2];
	struct aop_message m, held;
	char buf[128];
	size_t i;

	switch (next_random(seed) % 8) {
	case 0:
	case 1:
		memset(buf, 1, sizeof(buf));
		*sum += aop_stream_try_push(tx, buf, next_random(seed) % 128);
		break;
	case 2:
		if (!aop_stream_acquire(tx, next_random(seed) % 128, &m)) {
			memset(m.data, 2, m.len);
			m.len /= 1 + next_random(seed) % 2;
			*sum += next_random(seed) % 4 ? aop_stream_send(tx, &m) :
				aop_stream_discard(tx, &m);
		}
		break;
	case 3:
		aop_stream_ask(tx, &t[0], buf, 8);
		aop_stream_push(tx, &t[1], buf, 100);
		aop_cancel(&t[0].op, 0);
		aop_cancel(&t[1].op, 0);
		*sum += aop_join(&t[0].op) + aop_join(&t[1].op);
		break;
	case 4:
	case 5:
		*sum += aop_stream_try_pop(rx, buf, next_random(seed) % 128);
		break;
	case 6:
		if (aop_stream_try_receive(rx, &m) == 1) {
			for (i = 0; i < m.len; i++)
				*sum += ((volatile uint8_t *)m.data)[i];
			if (aop_stream_try_receive(rx, &held) == 1)
				aop_stream_retire(rx, &held, next_random(seed));
			aop_stream_retire(rx, &m, 3);
		}
		break;
	default:
		aop_stream_pop(rx, &t[0], buf, sizeof(buf));
		aop_cancel(&t[0].op, 0);
		*sum += aop_join(&t[0].op);
	}
}

/*
 * Whatever stands in the memory, each call returns, nothing outside is touched (ASan, and
 * the mapping's end), and the survivor gets an end.
 */
TEST(a_peer_that_scribbles_all_the_time)
{
	int round, i, rounds = any_rounds(200), fd;
	struct scribbler s = { .seed = 1 };
	struct aop_shared_stream a, b;
	struct aop_receiver rx;
	struct aop_sender tx;
	struct aop_transfer t;
	uint32_t seed = 7;
	uint64_t sum = 0;
	pthread_t thread;
	char buf[128];
	int64_t ret;

	for (round = 0; round < rounds; round++) {
		ASSERT_EQ(0, aop_stream_pair(&a, &b, AOP_LOCAL,
					     AOP_STREAM_OPTS(.place = 16, .places = PLACES,
							     .flags = round % 2 ? 0 :
							     AOP_MANY_SENDERS |
							     AOP_MANY_RECEIVERS)));
		ASSERT_EQ(0, aop_sender_init(&tx, &a.stream, 0));
		ASSERT_EQ(0, aop_receiver_init(&rx, &b.stream, 0));
		fd = stream_fd();
		ASSERT_LE(0, fd);
		s.mem = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, s.mem);
		s.stop = false;
		ASSERT_EQ(0, pthread_create(&thread, NULL, scribbles, &s));
		for (i = 0; i < 2000; i++)
			use_it(&tx, &rx, &seed, &sum);
		/* It still scribbles when the producer goes: there is an end. */
		aop_sender_drop(&tx);
		aop_stream_close(&a);
		for (i = 0; i < 4 * PLACES; i++) {
			ret = aop_join(aop_stream_pop(&rx, &t, buf, sizeof(buf)));
			if (ret == 0)
				break;
		}
		s.stop = true;
		ASSERT_EQ(0, pthread_join(thread, NULL));
		for (i = 0; ret && i < 4 * PLACES; i++)
			ret = aop_join(aop_stream_pop(&rx, &t, buf, sizeof(buf)));
		EXPECT_EQ(0, ret);
		aop_receiver_drop(&rx);
		aop_stream_close(&b);
		munmap(s.mem, BYTES);
	}
	TH_LOG("%d rounds, %llx", round, (unsigned long long)sum);
}

TEST_HARNESS_MAIN
