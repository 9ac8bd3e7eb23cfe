// SPDX-License-Identifier: GPL-2.0
/*
 * One side of a shared stream is killed, at any point (S8, K9), thousands of times: what it
 * has sent arrives whole and in order, what it had begun is never seen, and the other side
 * gets an end.  The killed one is a child that uses a side of its parent's; that it died the
 * parent says by closing that side, as the kernel does by ending its doorbell
 * (selftests/lib_stream.c).  So nobody waits here: doorbells do not reach over a fork.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "any.h"

#define PLACES	64
#define THREADS	2

struct msg {
	uint32_t from, nr, words, fill[20];
};

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static uint32_t word(const struct msg *m, uint32_t i)
{
	return (m->from + 1) * 0x9e3779b1u + m->nr * 31 + i;
}

static size_t size_of(const struct msg *m)
{
	return offsetof(struct msg, fill) + 4 * (size_t)m->words;
}

static void write_msg(struct msg *m, uint32_t from, uint32_t nr, uint32_t words)
{
	uint32_t i;

	m->from = from;
	m->nr = nr;
	m->words = words;
	for (i = 0; i < words; i++)
		m->fill[i] = word(m, i);
}

static bool is_whole(const struct msg *m, size_t len)
{
	uint32_t i;

	if (len < offsetof(struct msg, fill) || m->words > 20 || m->from >= THREADS)
		return false;
	for (i = 0; i < m->words; i++)
		if (m->fill[i] != word(m, i))
			return false;
	return true;
}

FIXTURE(kill) {
	struct aop_shared_stream a, b;
	struct aop_sender tx;
	struct aop_receiver rx;
	uint32_t seed, next[THREADS];
	int threads;
	pid_t pid;
};

FIXTURE_VARIANT(kill) {
	int threads;
};

FIXTURE_VARIANT_ADD(kill, one_thread) {
	.threads = 1,
};

FIXTURE_VARIANT_ADD(kill, two_threads) {
	.threads = 2,
};

FIXTURE_SETUP(kill)
{
	self->threads = variant->threads;
	self->seed = getenv("SEED") ? strtoul(getenv("SEED"), NULL, 0) : 1;
	TH_LOG("SEED=%u", self->seed);
}

FIXTURE_TEARDOWN(kill)
{
}

struct worker {
	struct _test_data_kill *self;
	uint32_t from, seed;
};

/* ---- the child ------------------------------------------------------------------- */

/* By value, in place, in place and given back, also longer than a place. */
static void *sends(void *arg)
{
	struct worker *w = arg;
	struct aop_sender *tx = &w->self->tx;
	struct aop_message m;
	struct msg msg;
	uint32_t nr = 0, words;

	for (;;) {
		words = next_random(&w->seed) % 21;
		if (next_random(&w->seed) % 2) {
			write_msg(&msg, w->from, nr, words);
			nr += aop_stream_try_push(tx, &msg, size_of(&msg)) == 1;
			continue;
		}
		if (aop_stream_acquire(tx, sizeof(msg), &m))
			continue;
		write_msg(m.data, w->from, nr, words);
		m.len = size_of(m.data);
		if (next_random(&w->seed) % 4) {
			nr++;
			aop_stream_send(tx, &m);
		} else {
			((struct msg *)m.data)->words = 21;
			aop_stream_discard(tx, &m);
		}
	}
	return NULL;
}

static void *receives(void *arg)
{
	struct worker *w = arg;
	struct aop_receiver *rx = &w->self->rx;
	struct aop_message m;
	struct msg msg;

	for (;;) {
		if (next_random(&w->seed) % 2)
			aop_stream_try_pop(rx, &msg, sizeof(msg));
		else if (aop_stream_try_receive(rx, &m) == 1)
			aop_stream_retire(rx, &m, 7);
	}
	return NULL;
}

static pid_t child(struct _test_data_kill *self, void *(*fn)(void *))
{
	struct worker w[THREADS];
	pthread_t thread;
	pid_t pid = fork();
	int i;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < THREADS; i++)
		w[i] = (struct worker){ .self = self, .from = i,
					.seed = next_random(&self->seed) };
	if (self->threads > 1 && pthread_create(&thread, NULL, fn, &w[1]))
		_exit(1);
	fn(&w[0]);
	_exit(1);
}

static int begin(struct _test_data_kill *self)
{
	unsigned int many = self->threads > 1 ? AOP_MANY_SENDERS | AOP_MANY_RECEIVERS : 0;
	int ret;

	memset(self->next, 0, sizeof(self->next));
	next_random(&self->seed);
	ret = aop_stream_pair(&self->a, &self->b, AOP_LOCAL,
			      AOP_STREAM_OPTS(.place = 16, .places = PLACES, .flags = many));
	if (!ret)
		ret = aop_sender_init(&self->tx, &self->a.stream, 0);
	return ret ? ret : aop_receiver_init(&self->rx, &self->b.stream, 0);
}

static int killed(struct _test_data_kill *self)
{
	int status;

	kill(self->pid, SIGKILL);
	waitpid(self->pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

/* ---- the parent ------------------------------------------------------------------- */

/* 1; otherwise what the stream says; -EBADMSG: what came is not what was sent. */
static int receive(struct _test_data_kill *self)
{
	struct aop_message m;
	struct msg msg;
	bool good;
	int ret;

	if (next_random(&self->seed) % 2) {
		ret = aop_stream_try_pop(&self->rx, &msg, sizeof(msg));
		if (ret != 1)
			return ret;
		good = is_whole(&msg, sizeof(msg));
	} else {
		ret = aop_stream_try_receive(&self->rx, &m);
		if (ret != 1)
			return ret;
		good = is_whole(m.data, m.len) && m.len == size_of(m.data);
		memcpy(&msg, m.data, offsetof(struct msg, fill));
		aop_stream_retire(&self->rx, &m, 0);
	}
	if (!good || msg.nr != self->next[msg.from])
		return -EBADMSG;
	self->next[msg.from]++;
	return 1;
}

TEST_F(kill, S8_the_producer_at_any_point)
{
	int i, n, ret, round, rounds = any_rounds(250);
	uint64_t all = 0, late = 0;

	for (round = 0; round < rounds; round++) {
		ASSERT_EQ(0, begin(self));
		self->pid = child(self, sends);
		ASSERT_LT(0, self->pid);
		n = next_random(&self->seed) % 64;
		for (i = 0; i < n; i += ret == 1) {
			ret = receive(self);
			ASSERT_TRUE(ret == 1 || ret == -EAGAIN) TH_LOG("%d, round %d", ret, round);
			if (ret == -EAGAIN)
				sched_yield();
		}
		all += n;
		ASSERT_EQ(SIGKILL, killed(self));
		aop_stream_close(&self->a);
		for (i = 0; i <= PLACES && (ret = receive(self)) == 1; i++)
			late++;
		ASSERT_EQ(-EOWNERDEAD, ret) TH_LOG("round %d", round);
		ASSERT_EQ(0, receive(self));
		aop_receiver_drop(&self->rx);
		aop_stream_close(&self->b);
	}
	TH_LOG("%d killed; %llu messages, %llu of them afterwards", rounds,
	       (unsigned long long)(all + late), (unsigned long long)late);
}

TEST_F(kill, S8_the_consumer_at_any_point)
{
	int i, n, ret, round, rounds = any_rounds(250), answered = 0;
	struct aop_transfer t[2];
	struct msg msg;
	int64_t value;

	for (round = 0; round < rounds; round++) {
		ASSERT_EQ(0, begin(self));
		self->pid = child(self, receives);
		ASSERT_LT(0, self->pid);
		write_msg(&msg, 0, 0, 3);
		/* There is room: they wait for an answer only. */
		for (i = 0; i < 2; i++)
			aop_stream_ask(&self->tx, &t[i], &msg, size_of(&msg));
		n = next_random(&self->seed) % 64;
		while (n > 0) {
			ret = aop_stream_try_push(&self->tx, &msg, size_of(&msg));
			ASSERT_TRUE(ret == 1 || ret == -EAGAIN) TH_LOG("%d", ret);
			n -= ret == 1;
			if (ret == -EAGAIN)
				sched_yield();
		}
		ASSERT_EQ(SIGKILL, killed(self));
		aop_stream_close(&self->b);
		for (i = 0; i < 2; i++) {
			value = aop_join(&t[i].op);
			ASSERT_TRUE(value == 1 || value == 7 || value == -EPIPE)
				TH_LOG("%lld", (long long)value);
			answered += value > 0;
		}
		ASSERT_EQ(-EPIPE, aop_stream_try_push(&self->tx, &msg, size_of(&msg)));
		aop_sender_drop(&self->tx);
		aop_stream_close(&self->a);
	}
	TH_LOG("%d killed, %d of %d asks answered", rounds, answered, 2 * rounds);
}

TEST_HARNESS_MAIN
