// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting in the kernel: W2 to W4, W8, W9.  Signal and wait in one call is in
 * signal_wait.c, epoll in epoll.c.
 */
#include "behave.h"
#include "slow.h"

#include <sys/epoll.h>

FIXTURE(wait) {
	struct abi_ctx a;	/* the owner's */
	struct abi_ctx b;	/* the waiters' */
	uint64_t own, see;	/* one operation in both */
};

FIXTURE_SETUP(wait)
{
	ASSERT_EQ(0, abi_open(&self->a, 1024));
	ASSERT_EQ(0, abi_open(&self->b, 1024));
	self->own = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, self->own);
	self->see = watch(&self->a, self->own, &self->b, 0);
	ASSERT_NE(0, self->see);
}

FIXTURE_TEARDOWN(wait)
{
	abi_close(&self->a);
	abi_close(&self->b);
}

/* ---- W2 ------------------------------------------------------------------ */

TEST_F(wait, W2_a_change_since_the_last_look_returns_at_once)
{
	struct aop_wait_entry e = { .handle = self->see, .mask = AOP_EV_CHANGE };
	int i;

	for (i = 0; i < 4; i++) {
		e.seq = seq_of(&self->b, self->see);
		EXPECT_EQ(-ETIME, abi_wait(&self->b, &e, 1, 1, 0));
		EXPECT_EQ(0, e.events);
		ASSERT_EQ(0, abi_progress(&self->a, self->own, i, 4));
		EXPECT_EQ(1, abi_wait(&self->b, &e, 1, 1, AOP_FOREVER_NS));
		EXPECT_EQ(AOP_EV_CHANGE, e.events);
		/* Looking consumes nothing: not seen is not seen. */
		EXPECT_EQ(1, abi_wait(&self->b, &e, 1, 1, AOP_FOREVER_NS));
	}
	ASSERT_EQ(0, abi_done(&self->a, self->own, 0));
	e.seq = seq_of(&self->b, self->see);
	e.mask = AOP_EV_FINAL;
	EXPECT_EQ(1, abi_wait(&self->b, &e, 1, 1, AOP_FOREVER_NS));
	EXPECT_EQ(AOP_EV_FINAL, e.events);
}

/* There will be no other change: whoever waited for one would wait for ever. */
TEST_F(wait, W2_what_is_final_returns_at_once)
{
	struct aop_wait_entry e = { .handle = self->see, .mask = AOP_EV_CHANGE };

	ASSERT_EQ(0, abi_done(&self->a, self->own, 0));
	e.seq = seq_of(&self->b, self->see);
	EXPECT_EQ(1, abi_wait(&self->b, &e, 1, 1, 0));
	EXPECT_EQ(AOP_EV_CHANGE, e.events);
}

#define ROUNDS	rounds(1500)

struct echo {
	struct abi_ctx *c;
	uint64_t ping, pong;
	uint32_t seq;		/* of ping, before the first round */
	int ret;
};

/* Answer each change of ping by one of pong; look first, then sleep. */
static void *echo_run(void *arg)
{
	struct echo *p = arg;
	int i, spin;

	for (i = 0; i < ROUNDS && !p->ret; i++) {
		/* Vary how far between look and sleep the change comes. */
		for (spin = 0; spin < i * 7 % 300; spin++)
			__asm__ volatile("");
		if (abi_wait_one(p->c, p->ping, AOP_EV_CHANGE, p->seq) != AOP_EV_CHANGE)
			p->ret = 1;
		p->seq = seq_of(p->c, p->ping);
		if (status_of(p->c, p->ping).done != i + 1)
			p->ret = 2;
		if (abi_progress(p->c, p->pong, i + 1, 0))
			p->ret = 3;
	}
	return NULL;
}

TEST_F(wait, W2_no_wake_is_lost_between_look_and_sleep)
{
	struct echo p = { .c = &self->b, .ping = self->see };
	pthread_t thread;
	uint64_t answer;
	uint32_t seq;
	int i, spin;

	p.pong = abi_new(&self->b, 0, 0);
	answer = watch(&self->b, p.pong, &self->a, 0);
	ASSERT_NE(0, answer);
	seq = seq_of(&self->a, answer);
	p.seq = seq_of(&self->b, self->see);
	ASSERT_EQ(0, pthread_create(&thread, NULL, echo_run, &p));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, abi_progress(&self->a, self->own, i + 1, 0));
		for (spin = 0; spin < i * 11 % 400; spin++)
			__asm__ volatile("");
		ASSERT_EQ(AOP_EV_CHANGE, abi_wait_one(&self->a, answer, AOP_EV_CHANGE, seq));
		seq = seq_of(&self->a, answer);
		ASSERT_EQ(i + 1, status_of(&self->a, answer).done);
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(0, p.ret);
}

struct teller {
	struct abi_ctx *c;
	uint64_t own;
	int ret, stop;
};

static void *tell_run(void *arg)
{
	struct teller *t = arg;
	int i;

	for (i = 0; !t->ret && !__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE); i++)
		t->ret = abi_progress(t->c, t->own, i, 0);
	return NULL;
}

/*
 * The slot of the newest handle is written first, those of many others after it: who
 * sees it there and waits for the next change is ahead of whoever makes this one.
 */
TEST_F(wait, W2_a_change_that_was_seen_is_not_told_again)
{
	struct aop_wait_entry e = { .mask = AOP_EV_CHANGE };
	struct teller t = { .c = &self->a, .own = self->own };
	unsigned int told = 0, again = 0;
	pthread_t thread;
	uint32_t seen;
	int i;

	for (i = 0; i < 100; i++)
		ASSERT_NE(0, abi_again(&self->a, self->own, &self->a, AOP_MAY_LOOK, 0));
	e.handle = watch(&self->a, self->own, &self->b, 0);
	ASSERT_NE(0, e.handle);
	ASSERT_EQ(0, pthread_create(&thread, NULL, tell_run, &t));
	while (told < ROUNDS) {
		/* Just now. */
		for (seen = e.seq; e.seq == seen; )
			e.seq = seq_of(&self->b, e.handle);
		if (abi_wait(&self->b, &e, 1, 1, AOP_FOREVER_NS) != 1)
			break;
		told++;
		again += seq_of(&self->b, e.handle) == e.seq;
	}
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, t.ret);
	EXPECT_EQ(ROUNDS, told);
	EXPECT_EQ(0, again);
}

/* Races of the end with a waiter that comes at the same time. */
TEST_F(wait, W2_the_end_races_with_the_waiter)
{
	struct waiter t;
	uint64_t h, w;
	int i, spin;

	for (i = 0; i < 150; i++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		w = watch(&self->a, h, &self->b, 0);
		ASSERT_NE(0, w);
		t.one = (struct aop_wait_entry) { .handle = w, .mask = AOP_EV_FINAL };
		t.w = wait_args(&t.one, 1, 1, AOP_FOREVER_NS);
		ASSERT_EQ(0, waiter_start(&t, &self->b));
		for (spin = 0; spin < i * 13 % 2000; spin++)
			__asm__ volatile("");
		ASSERT_EQ(0, abi_done(&self->a, h, i));
		ASSERT_EQ(0, waiter_join(&t));
		EXPECT_EQ(AOP_EV_FINAL, t.one.events);
		ASSERT_EQ(0, abi_detach(&self->a, h, 0));
		ASSERT_EQ(0, abi_detach(&self->b, w, 0));
	}
}

/* ---- W3 ------------------------------------------------------------------ */

TEST_F(wait, W3_all_waiters_wake)
{
	struct abi_ctx c[3];
	struct waiter t[24];
	uint64_t h[3];
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, abi_open(&c[i], 8));
		h[i] = watch(&self->a, self->own, &c[i], 0);
		ASSERT_NE(0, h[i]);
	}
	for (i = 0; i < 24; i++)
		ASSERT_EQ(0, waiter_sleep(&t[i], &c[i % 3], h[i % 3], AOP_EV_FINAL, 0));
	EXPECT_EQ(0, abi_done(&self->a, self->own, 1));
	for (i = 0; i < 24; i++) {
		EXPECT_EQ(0, waiter_join(&t[i]));
		EXPECT_EQ(AOP_EV_FINAL, t[i].one.events);
		EXPECT_EQ(1, t[i].w.count);
	}
	for (i = 0; i < 3; i++)
		abi_close(&c[i]);
}

/* ---- W4 ------------------------------------------------------------------ */

TEST_F(wait, W4_an_expired_wait_says_so_and_changes_nothing)
{
	struct aop_wait_entry e = { .handle = self->see, .mask = AOP_EV_FINAL };
	struct aop_status was = status_of(&self->b, self->see), is;
	uint64_t at;

	EXPECT_EQ(-ETIME, abi_wait(&self->b, &e, 1, 1, 0));
	EXPECT_EQ(-ETIME, abi_wait(&self->b, &e, 1, 1, 1));
	at = abi_now() + 20 * MSEC_NS;
	EXPECT_EQ(-ETIME, abi_wait(&self->b, &e, 1, 1, at));
	EXPECT_LE(at, abi_now());
	EXPECT_EQ(0, e.events);
	is = status_of(&self->b, self->see);
	EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)));
	/* Nothing of the waits is left behind either. */
	EXPECT_EQ(0, abi_done(&self->a, self->own, 0));
	EXPECT_EQ(1, abi_wait(&self->b, &e, 1, 1, 0));
	/* What holds counts, also when the time is over. */
	EXPECT_EQ(1, abi_wait(&self->b, &e, 1, 1, at));
}

TEST_F(wait, W4_deadlines_beyond_the_clock_are_for_ever)
{
	static const uint64_t far[] = {
		INT64_MAX, (uint64_t)INT64_MAX + 1, AOP_FOREVER_NS - 1, AOP_FOREVER_NS,
	};
	struct waiter t[ARRAY_SIZE(far)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(far); i++) {
		t[i].one = (struct aop_wait_entry) {
			.handle = self->see, .mask = AOP_EV_FINAL,
		};
		t[i].w = wait_args(&t[i].one, 1, 1, far[i]);
		ASSERT_EQ(0, waiter_start(&t[i], &self->b));
		EXPECT_TRUE(until_asleep(t[i].tid));
	}
	EXPECT_EQ(0, abi_done(&self->a, self->own, 0));
	for (i = 0; i < ARRAY_SIZE(far); i++)
		EXPECT_EQ(0, waiter_join(&t[i]));
}

TEST_F(wait, W4_a_deadline_that_comes_while_others_go_on)
{
	struct waiter forever, soon;

	ASSERT_EQ(0, waiter_sleep(&forever, &self->b, self->see, AOP_EV_FINAL, 0));
	soon.one = forever.one;
	soon.w = wait_args(&soon.one, 1, 1, abi_now() + 20 * MSEC_NS);
	ASSERT_EQ(0, waiter_start(&soon, &self->b));
	EXPECT_EQ(-ETIME, waiter_join(&soon));
	EXPECT_TRUE(until_asleep(forever.tid));
	EXPECT_EQ(0, abi_done(&self->a, self->own, 0));
	EXPECT_EQ(0, waiter_join(&forever));
}

/* ---- masks --------------------------------------------------------------- */

TEST_F(wait, W2_each_mask_wakes_for_what_it_says)
{
	static const uint32_t masks[] = { AOP_EV_CHANGE, AOP_EV_ASKED, AOP_EV_ORPHAN };
	struct waiter t[ARRAY_SIZE(masks)], fin, over;
	unsigned int i;

	/*
	 * The waiters sleep on the owner's handle, which may drive but not look,
	 * so that the operation can be abandoned.
	 */
	ASSERT_EQ(0, abi_detach(&self->a, self->own, AOP_MAY_LOOK | AOP_MAY_CANCEL));
	ASSERT_EQ(0, abi_start(&self->a, self->own));
	ASSERT_EQ(0, waiter_sleep(&fin, &self->a, self->own, AOP_EV_FINAL, 0));
	for (i = 0; i < ARRAY_SIZE(masks); i++)
		ASSERT_EQ(0, waiter_sleep(&t[i], &self->a, self->own, masks[i],
					  seq_of(&self->a, self->own)));
	EXPECT_EQ(0, abi_progress(&self->a, self->own, 1, 2));
	EXPECT_EQ(0, waiter_join(&t[0]));
	EXPECT_EQ(AOP_EV_CHANGE, t[0].one.events);
	EXPECT_TRUE(until_asleep(t[1].tid));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->b, self->see, -EINTR));
	EXPECT_EQ(0, waiter_join(&t[1]));
	EXPECT_EQ(AOP_EV_ASKED, t[1].one.events);
	EXPECT_TRUE(until_asleep(t[2].tid));
	EXPECT_EQ(0, abi_detach(&self->b, self->see, 0));
	EXPECT_EQ(0, waiter_join(&t[2]));
	EXPECT_EQ(AOP_EV_ORPHAN, t[2].one.events);
	EXPECT_TRUE(until_asleep(fin.tid));
	EXPECT_EQ(0, abi_done(&self->a, self->own, 0));
	EXPECT_EQ(0, waiter_join(&fin));
	EXPECT_EQ(AOP_EV_FINAL, fin.one.events);

	/* Final by another's hand, so over only later. */
	self->own = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, self->own);
	ASSERT_EQ(0, waiter_sleep(&fin, &self->a, self->own, AOP_EV_FINAL, 0));
	ASSERT_EQ(0, waiter_sleep(&over, &self->a, self->own, AOP_EV_OVER, 0));
	EXPECT_EQ(AOP_STOPPED, abi_cancel(&self->a, self->own, 0));
	EXPECT_EQ(0, waiter_join(&fin));
	EXPECT_TRUE(until_asleep(over.tid));
	EXPECT_EQ(-EALREADY, abi_start(&self->a, self->own));
	EXPECT_EQ(0, waiter_join(&over));
	EXPECT_EQ(AOP_EV_OVER, over.one.events);
}

TEST_F(wait, W2_events_are_those_of_the_mask_that_hold)
{
	uint32_t seq = seq_of(&self->b, self->see);

	EXPECT_EQ(0, abi_look(&self->b, self->see, AOP_EV_ALL, seq));
	ASSERT_EQ(0, abi_start(&self->a, self->own));
	EXPECT_EQ(AOP_EV_CHANGE, abi_look(&self->b, self->see, AOP_EV_ALL, seq));
	EXPECT_EQ(0, abi_look(&self->b, self->see, AOP_EV_ALL & ~AOP_EV_CHANGE, seq));
	ASSERT_EQ(AOP_ASKED, abi_cancel(&self->b, self->see, 0));
	EXPECT_EQ(AOP_EV_CHANGE | AOP_EV_ASKED,
		  abi_look(&self->b, self->see, AOP_EV_ALL, seq));
	ASSERT_EQ(0, abi_done(&self->a, self->own, 0));
	EXPECT_EQ(AOP_EV_CHANGE | AOP_EV_ASKED | AOP_EV_FINAL | AOP_EV_OVER,
		  abi_look(&self->b, self->see, AOP_EV_ALL, seq));
	EXPECT_EQ(AOP_EV_FINAL, abi_look(&self->b, self->see, AOP_EV_FINAL, seq));
}

/* ---- W8: k of n ---------------------------------------------------------- */

TEST_F(wait, W8_k_of_n)
{
	struct aop_wait_entry e[8];
	struct waiter t;
	uint64_t h[8];
	unsigned int need, i;

	for (need = 1; need <= 8; need++) {
		for (i = 0; i < 8; i++) {
			h[i] = abi_new(&self->a, 0, 0);
			ASSERT_NE(0, h[i]);
			e[i] = (struct aop_wait_entry) {
				.handle = watch(&self->a, h[i], &self->b, 0),
				.mask = AOP_EV_FINAL,
				.events = 0x55,
			};
			ASSERT_NE(0, e[i].handle);
		}
		t.w = wait_args(e, 8, need, AOP_FOREVER_NS);
		ASSERT_EQ(0, waiter_start(&t, &self->b));
		for (i = 0; i < need; i++) {
			/* Not before the last one that it needs. */
			EXPECT_TRUE(until_asleep(t.tid));
			ASSERT_EQ(0, abi_done(&self->a, h[7 - i], i));
		}
		EXPECT_EQ(0, waiter_join(&t));
		EXPECT_EQ(need, t.w.count);
		for (i = 0; i < 8; i++) {
			EXPECT_EQ(i >= 8 - need ? AOP_EV_FINAL : 0, e[i].events);
			abi_detach(&self->a, h[i], 0);
			abi_detach(&self->b, e[i].handle, 0);
		}
	}
}

TEST_F(wait, W8_the_same_operation_more_than_once)
{
	struct aop_wait_entry e[3] = {
		{ .handle = self->see, .mask = AOP_EV_FINAL },
		{ .handle = self->see, .mask = AOP_EV_CHANGE,
		  .seq = seq_of(&self->b, self->see) },
		{ .handle = self->see, .mask = AOP_EV_FINAL },
	};
	struct waiter t;

	t.w = wait_args(e, 3, 1, AOP_FOREVER_NS);
	ASSERT_EQ(0, waiter_start(&t, &self->b));
	EXPECT_TRUE(until_asleep(t.tid));
	ASSERT_EQ(0, abi_progress(&self->a, self->own, 1, 2));
	EXPECT_EQ(0, waiter_join(&t));
	EXPECT_EQ(1, t.w.count);
	EXPECT_EQ(AOP_EV_CHANGE, e[1].events);

	e[1].mask = AOP_EV_FINAL;
	t.w = wait_args(e, 3, 3, AOP_FOREVER_NS);
	ASSERT_EQ(0, waiter_start(&t, &self->b));
	EXPECT_TRUE(until_asleep(t.tid));
	ASSERT_EQ(0, abi_done(&self->a, self->own, 1));
	EXPECT_EQ(0, waiter_join(&t));
	EXPECT_EQ(3, t.w.count);
}

/* ---- W9 ------------------------------------------------------------------ */

/* Let @t, which sleeps, see @n changes, each of which it must be woken for. */
static int wake_n_times(struct abi_ctx *a, uint64_t own, struct abi_ctx *b, uint64_t see, int n)
{
	struct waiter t;
	int i;

	for (i = 0; i < n; i++) {
		if (waiter_sleep(&t, b, see, AOP_EV_CHANGE, seq_of(b, see)))
			return 1;
		if (abi_progress(a, own, i, n))
			return 2;
		if (waiter_join(&t))
			return 3;
	}
	return 0;
}

TEST_F(wait, W9_threads_on_other_operations_sleep_on)
{
	uint64_t other = abi_new(&self->a, 0, 0);
	uint64_t quiet = watch(&self->a, other, &self->b, 0);
	struct waiter bystander;
	long long before;

	ASSERT_NE(0, quiet);
	ASSERT_EQ(0, waiter_sleep(&bystander, &self->b, quiet, AOP_EV_FINAL, 0));
	before = sleeps_of(bystander.tid);
	ASSERT_LT(0, before);
	EXPECT_EQ(0, wake_n_times(&self->a, self->own, &self->b, self->see, 30));
	/* Changes of its own operation that it does not wait for, too. */
	EXPECT_EQ(0, abi_progress(&self->a, other, 1, 2));
	EXPECT_EQ(0, abi_start(&self->a, other));
	EXPECT_EQ(before, sleeps_of(bystander.tid));
	EXPECT_TRUE(until_asleep(bystander.tid));
	EXPECT_EQ(0, abi_done(&self->a, other, 0));
	EXPECT_EQ(0, waiter_join(&bystander));
}

/* A thread that waits for the next change of any of many, again and again. */
struct reader {
	struct abi_ctx *c;
	struct aop_wait_entry *e;
	int nr, rounds, ret;
	pid_t tid;
	long long slept;
	pthread_t thread;
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;
	struct aop_ioc_wait w;
	int i, k;

	__atomic_store_n(&r->tid, gettid(), __ATOMIC_RELEASE);
	r->slept = sleeps_of(r->tid);
	for (i = 0; i < r->rounds; i++) {
		w = wait_args(r->e, r->nr, 1, AOP_FOREVER_NS);
		if (abi_ioctl(r->c->fd, AOP_IOC_WAIT, &w) || w.count != 1)
			r->ret = 1;
		for (k = 0; k < r->nr; k++)
			if (r->e[k].events)
				r->e[k].seq = seq_of(r->c, r->e[k].handle);
	}
	r->slept = sleeps_of(r->tid) - r->slept;
	return NULL;
}

TEST_F(wait, W9_one_wake_for_one_event_whatever_the_number)
{
	static const int counts[] = { 1, 64, 500 };
	struct aop_wait_entry e[500];
	uint64_t h[500];
	struct reader r;
	unsigned int n;
	int i;

	for (i = 0; i < 500; i++) {
		h[i] = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h[i]);
		e[i] = (struct aop_wait_entry) {
			.handle = watch(&self->a, h[i], &self->b, 0),
			.mask = AOP_EV_CHANGE,
		};
		ASSERT_NE(0, e[i].handle);
	}
	for (n = 0; n < ARRAY_SIZE(counts); n++) {
		r = (struct reader) { .c = &self->b, .e = e, .nr = counts[n], .rounds = 20 };
		for (i = 0; i < r.nr; i++)
			e[i].seq = seq_of(&self->b, e[i].handle);
		ASSERT_EQ(0, pthread_create(&r.thread, NULL, reader_run, &r));
		while (!__atomic_load_n(&r.tid, __ATOMIC_ACQUIRE))
			sched_yield();
		for (i = 0; i < r.rounds; i++) {
			EXPECT_TRUE(until_asleep(r.tid));
			ASSERT_EQ(0, abi_progress(&self->a, h[i * 37 % r.nr], i, 0));
		}
		pthread_join(r.thread, NULL);
		EXPECT_EQ(0, r.ret);
		/* Page faults and locks may make it sleep too, but not 500 times. */
		EXPECT_LE(r.rounds, r.slept);
		EXPECT_GE(r.rounds + 5, r.slept)
			TH_LOG("%d operations", r.nr);
	}
}

/* A burst in one call wakes a poller of the context once. */
TEST_F(wait, W9_a_burst_wakes_the_poller_once)
{
	struct aop_signal_entry s[64];
	uint64_t h[64];
	int ep, i, round;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	ep = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_GE(ep, 0);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->b.fd, &ev));
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 64; i++) {
			h[i] = abi_new(&self->a, 0, 0);
			ASSERT_NE(0, watch(&self->a, h[i], &self->b, AOP_EV_FINAL));
			s[i] = (struct aop_signal_entry) {
				.handle = h[i], .what = AOP_SIGNAL_DONE,
			};
		}
		ASSERT_EQ(0, epoll_wait(ep, &ev, 1, 0));
		ASSERT_EQ(64, abi_batch(self->a.fd, AOP_IOC_SIGNAL, s, sizeof(*s), 64));
		EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 0));
		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
		EXPECT_EQ(64, abi_drain(&self->b));
	}
	close(ep);
}

struct poller {
	struct pollfd p[2];
	int got;
	pid_t tid;
	pthread_t thread;
};

static void *poller_run(void *arg)
{
	struct poller *t = arg;

	__atomic_store_n(&t->tid, gettid(), __ATOMIC_RELEASE);
	t->got = poll(t->p, 2, -1);
	return NULL;
}

/* An op's fd wakes for its end, a context for what was asked for, and for no more. */
TEST_F(wait, W9_pollers_sleep_on)
{
	struct poller t = { .p = { { .events = POLLIN }, { .events = POLLIN } } };
	long long before;
	int i;

	t.p[0].fd = abi_export(&self->a, self->own, AOP_MAY_LOOK);
	ASSERT_GE(t.p[0].fd, 0);
	t.p[1].fd = self->b.fd;
	ASSERT_EQ(0, abi_modify(&self->b, self->see, 0, AOP_EV_FINAL));
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, poller_run, &t));
	while (!__atomic_load_n(&t.tid, __ATOMIC_ACQUIRE))
		sched_yield();
	ASSERT_TRUE(until_asleep_in(t.tid, SYS_poll));
	before = sleeps_of(t.tid);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, abi_progress(&self->a, self->own, i, 10));
	ASSERT_EQ(0, abi_start(&self->a, self->own));
	ASSERT_EQ(AOP_ASKED, abi_cancel(&self->b, self->see, 0));
	EXPECT_TRUE(until_asleep_in(t.tid, SYS_poll));
	EXPECT_EQ(before, sleeps_of(t.tid));
	ASSERT_EQ(0, abi_done(&self->a, self->own, 0));
	pthread_join(t.thread, NULL);
	EXPECT_LE(1, t.got);
	close(t.p[0].fd);
}

TEST_HARNESS_MAIN
