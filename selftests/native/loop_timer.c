// SPDX-License-Identifier: GPL-2.0
/*
 * Timers, intervals and time limits: F11, F12, W4, on both engines.
 */
#include "loop.h"

FIXTURE(timer) {
	struct aop_loop *loop;
};

LOOP_VARIANTS(timer);

FIXTURE_SETUP(timer)
{
	LOOP_OPEN(self->loop);
}

FIXTURE_TEARDOWN(timer)
{
	aop_loop_close(self->loop);
}

TEST_F(timer, F12_fixed)
{
	int64_t before = aop_now();
	struct aop_timer t;

	ASSERT_EQ(0, aop_loop_get(self->loop, aop_sleep(self->loop, &t, AOP_MS(3))));
	EXPECT_LE(AOP_MS(3), aop_now() - before);
	EXPECT_EQ(AOP_DONE, aop_state(&t.op));
	EXPECT_TRUE(aop_is_over(&t.op));
	/* At an absolute time; one that is over comes at once. */
	ASSERT_EQ(0, aop_loop_get(self->loop, aop_sleep(self->loop, &t, aop_until(before))));
	before = aop_now();
	ASSERT_EQ(0, aop_loop_get(self->loop,
				  aop_sleep(self->loop, &t, aop_until(before + AOP_MS(2)))));
	EXPECT_LE(before + AOP_MS(2), aop_now());
	ASSERT_EQ(0, aop_loop_get(self->loop, aop_sleep(self->loop, &t, 0)));
}

/* The expiry is not inside the call that begins it. */
TEST_F(timer, F12_zero_is_the_next_turn)
{
	struct aop_timer t;

	EXPECT_EQ(AOP_RUNNING, aop_state(aop_sleep(self->loop, &t, 0)));
	EXPECT_LT(0, aop_loop_run(self->loop, AOP_RUN_READY));
	EXPECT_EQ(AOP_DONE, aop_state(&t.op));
}

TEST_F(timer, F12_run_ends_with_the_last_timer)
{
	struct aop_timer t[3];
	int i;

	for (i = 0; i < 3; i++)
		aop_sleep(self->loop, &t[i], AOP_MS(i));
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(AOP_DONE, aop_state(&t[i].op));
}

/* Moved or cancelled after the expiry: harmless, and it says so. */
TEST_F(timer, F12_too_late)
{
	struct aop_timer t;

	ASSERT_EQ(0, aop_loop_get(self->loop, aop_sleep(self->loop, &t, 1)));
	EXPECT_EQ(-EALREADY, aop_timer_set(&t, AOP_SEC(1)));
	EXPECT_EQ(-EALREADY, aop_timer_later(&t, AOP_SEC(1)));
	EXPECT_EQ(-EALREADY, aop_timer_sooner(&t, 0));
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(&t.op, 0));
	EXPECT_EQ(AOP_DONE, aop_state(&t.op));
	EXPECT_EQ(-1, aop_loop_next(self->loop));
}

TEST_F(timer, F12_cancel)
{
	struct aop_timer t;

	aop_sleep(self->loop, &t, AOP_SEC(1000));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&t.op, -EINTR));
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&t.op));
	EXPECT_EQ(-EINTR, aop_result(&t.op));
	EXPECT_TRUE(aop_is_over(&t.op));
	EXPECT_EQ(-EALREADY, aop_timer_set(&t, 0));
	EXPECT_EQ(-1, aop_loop_next(self->loop));
}

/* F15: who drops what he waits for is not waited for. */
TEST_F(timer, F15_dropped)
{
	static struct aop_timer t;

	aop_sleep(self->loop, &t, AOP_SEC(1000));
	aop_drop(&t.op);
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	EXPECT_TRUE(aop_is_over(&t.op));
}

TEST_F(timer, F12_close_ends_it)
{
	struct aop_loop_opts opts = { .size = sizeof(opts), .flags = variant->flags };
	struct aop_loop *loop;
	struct aop_timer t;

	ASSERT_EQ(0, aop_loop_open(&loop, &opts));
	aop_sleep(loop, &t, AOP_FOREVER);
	aop_loop_close(loop);
	EXPECT_EQ(-EOWNERDEAD, aop_result(&t.op));
	EXPECT_TRUE(aop_status(&t.op).flags & AOP_F_SYSTEM);
	EXPECT_TRUE(aop_is_over(&t.op));
}

TEST_F(timer, bad_input)
{
	struct aop_interval iv;
	struct aop_within wi;
	struct aop_timer t;

	EXPECT_EQ(-EINVAL, aop_result(aop_sleep(NULL, &t, 0)));
	EXPECT_EQ(-EALREADY, aop_timer_set(&t, 0));
	EXPECT_EQ(-EINVAL, aop_result(aop_within(NULL, &wi, 0, &t.op)));
	EXPECT_EQ(-EINVAL, aop_result(aop_within(self->loop, &wi, 0, NULL)));
	EXPECT_EQ(-EINVAL, aop_interval_init(&iv, NULL, 0, 1, AOP_MISSED_BURST));
	EXPECT_EQ(-EINVAL, aop_interval_init(&iv, self->loop, 0, 0, AOP_MISSED_BURST));
	EXPECT_EQ(-EINVAL, aop_interval_init(&iv, self->loop, AOP_FOREVER, 1, AOP_MISSED_BURST));
	EXPECT_EQ(-EINVAL, aop_interval_init(&iv, self->loop, 0, 1, 3));
	EXPECT_EQ(-EINVAL, aop_loop_run(self->loop, 4));
}

/* ---- a time limit around an op ------------------------------------------ */

TEST_F(timer, W4_within_is_in_time)
{
	struct aop_within wi;
	struct aop_timer t;

	ASSERT_EQ(0, aop_loop_get(self->loop, aop_within(self->loop, &wi, AOP_SEC(1000),
							 aop_sleep(self->loop, &t, 1000))));
	EXPECT_TRUE(aop_is_over(&t.op));
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

TEST_F(timer, W4_within_is_too_late)
{
	struct aop_within wi;
	struct aop_timer t;

	ASSERT_EQ(-ETIMEDOUT,
		  aop_loop_get(self->loop, aop_within(self->loop, &wi, 1000,
						      aop_sleep(self->loop, &t, AOP_SEC(1000)))));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&wi.op));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&t.op));
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

TEST_F(timer, W4_within_nests)
{
	struct aop_within wi[2];
	struct aop_timer t;

	aop_within(self->loop, &wi[1], AOP_SEC(1000),
		   aop_within(self->loop, &wi[0], AOP_SEC(1000),
			      aop_sleep(self->loop, &t, AOP_SEC(1000))));
	aop_cancel(&wi[1].op, -EPIPE);
	ASSERT_EQ(-EPIPE, aop_loop_get(self->loop, &wi[1].op));
	EXPECT_EQ(-EPIPE, aop_result(&t.op));
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

TEST_F(timer, W4_within_of_what_failed)
{
	struct aop_within wi;
	struct aop_io io;

	ASSERT_EQ(-EBADF,
		  aop_loop_get(self->loop, aop_within(self->loop, &wi, AOP_SEC(1000),
						      aop_recv(self->loop, &io, -1, NULL, 0, 0))));
	EXPECT_EQ(AOP_FAILED, aop_state(&wi.op));
}

/* ---- virtual time ---------------------------------------------------------- */

FIXTURE(virtual) {
	struct aop_loop *loop;
	struct fake_clock clock;
};

LOOP_VARIANTS(virtual);

FIXTURE_SETUP(virtual)
{
	struct aop_loop_opts o = {
		.size = sizeof(o),
		.flags = variant->flags,
		.clock = fake_now,
		.advance = fake_advance,
		.data = &self->clock,
	};
	int ret = aop_loop_open(&self->loop, &o);

	if (variant->flags & AOP_URING && (ret == -EPERM || ret == -ENOSYS))
		SKIP(return, "io_uring is refused");
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(virtual)
{
	aop_loop_close(self->loop);
}

/* A year passes in no time, and to the nanosecond. */
TEST_F(virtual, F11_years)
{
	const int64_t year = AOP_SEC(31556952);
	int64_t before = aop_now();
	struct aop_timer t;
	int i;

	for (i = 1; i <= 10; i++) {
		ASSERT_EQ(0, aop_loop_get(self->loop, aop_sleep(self->loop, &t, year + i)));
		EXPECT_EQ(self->clock.now, aop_loop_now(self->loop));
	}
	EXPECT_EQ(10 * year + 55, self->clock.now);
	EXPECT_EQ(10, self->clock.advanced);
	EXPECT_GT(AOP_SEC(60), aop_now() - before);
}

struct order {
	struct aop_timer t;
	struct aop_watch w;
	int64_t when;
	int number;			/* -1: moved */
};

struct ordered {
	struct fake_clock *clock;
	int64_t last;
	int last_number, wrong, n;
};

static struct ordered ordered;

static void in_order(struct aop_watch *w, const struct aop_status *st)
{
	struct order *o = (struct order *)((char *)w - offsetof(struct order, w));

	if (st->state != AOP_DONE || ordered.clock->now != o->when || o->when < ordered.last ||
	    (o->when == ordered.last && o->number >= 0 && o->number < ordered.last_number))
		ordered.wrong++;
	if (o->when != ordered.last)
		ordered.last_number = -1;
	ordered.last = o->when;
	if (o->number >= 0)
		ordered.last_number = o->number;
	ordered.n++;
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Of any distance: each at its time, in order, equal ones as they were begun. */
TEST_F(virtual, F12_order)
{
	const int n = 2000;
	struct order *o = calloc(n, sizeof(*o));
	uint64_t x = 88172645463325252ull;
	int i;

	ASSERT_NE(NULL, o);
	ordered = (struct ordered){ .clock = &self->clock };
	for (i = 0; i < n; i++) {
		/* from 1 ns to 36 years, and every third one like the one before */
		if (i % 3 || !i)
			o[i].when = 1 + (next_random(&x) >> (4 + i % 50));
		else
			o[i].when = o[i - 1].when;
		o[i].number = i;
		aop_sleep(self->loop, &o[i].t, aop_until(o[i].when));
		aop_then(&o[i].t.op, &o[i].w, in_order, NULL, AOP_INLINE);
	}
	/* Some are moved: then only the time counts. */
	for (i = 0; i < n; i += 7) {
		o[i].when = 2 + (next_random(&x) >> 20) * 2;
		o[i].number = -1;
		ASSERT_EQ(0, aop_timer_set(&o[i].t, aop_until(o[i].when)));
	}
	for (i = 1; i < n; i += 7) {
		if (o[i].when > INT64_MAX / 4)
			continue;
		o[i].when += (next_random(&x) >> 20) * 2 + 1;
		o[i].number = -1;
		ASSERT_EQ(0, aop_timer_later(&o[i].t, aop_until(o[i].when)));
		ASSERT_EQ(1, aop_timer_later(&o[i].t, aop_until(o[i].when - 1)));
	}
	for (i = 2; i < n; i += 7) {
		o[i].when = o[i].when / 2 + 1;
		o[i].number = -1;
		ASSERT_LE(0, aop_timer_sooner(&o[i].t, aop_until(o[i].when)));
		ASSERT_EQ(1, aop_timer_sooner(&o[i].t, aop_until(o[i].when + 1)));
	}
	ASSERT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	EXPECT_EQ(n, ordered.n);
	EXPECT_EQ(0, ordered.wrong);
	for (i = 0; i < n; i++)
		EXPECT_TRUE(aop_is_over(&o[i].t.op));
	free(o);
}

/* All that expired at once, because the time took a leap, comes in order too. */
TEST_F(virtual, F12_order_after_a_leap)
{
	const int n = 1000;
	struct order *o = calloc(n, sizeof(*o));
	uint64_t x = 88172645463325252ull;
	int i;

	ASSERT_NE(NULL, o);
	ordered = (struct ordered){ .clock = &self->clock };
	for (i = 0; i < n; i++) {
		o[i].number = i;
		aop_sleep(self->loop, &o[i].t,
			  aop_until(AOP_SEC(5) + (next_random(&x) % 300) * AOP_MS(1)));
		aop_then(&o[i].t.op, &o[i].w, in_order, NULL, AOP_INLINE);
	}
	x = 88172645463325252ull;
	for (i = 0; i < n; i++)
		o[i].when = AOP_SEC(5) + (next_random(&x) % 300) * AOP_MS(1);
	self->clock.now = AOP_SEC(7);
	while (aop_loop_run(self->loop, AOP_RUN_READY) > 0)
		;
	EXPECT_EQ(n, ordered.n);
	/* Only the clock is wrong: it says 7 s for all of them. */
	EXPECT_EQ(n, ordered.wrong);
	ordered = (struct ordered){ .clock = &self->clock };
	free(o);
}

/* Nobody sleeps for a clock that only others move. */
TEST_F(virtual, F11_by_hand)
{
	struct fake_clock clock = { .now = 100 };
	struct aop_loop_opts o = {
		.size = sizeof(o),
		.flags = variant->flags,
		.clock = fake_now,
		.data = &clock,
	};
	struct aop_loop *loop;
	struct aop_timer t;

	ASSERT_EQ(0, aop_loop_open(&loop, &o));
	aop_sleep(loop, &t, 10);
	EXPECT_EQ(110, aop_loop_next(loop));
	EXPECT_EQ(0, aop_loop_run(loop, AOP_RUN_READY));
	clock.now = 109;
	EXPECT_EQ(0, aop_loop_run(loop, AOP_RUN_READY));
	EXPECT_FALSE(aop_is_final(&t.op));
	clock.now = 110;
	EXPECT_EQ(1, aop_loop_run(loop, AOP_RUN_READY));
	EXPECT_TRUE(aop_is_final(&t.op));
	/* Time that goes back stands still. */
	clock.now = 50;
	EXPECT_EQ(110, aop_loop_now(loop));
	aop_loop_close(loop);
}

static int64_t tick(struct aop_loop *l, struct aop_interval *iv)
{
	return aop_loop_get(l, aop_tick(iv));
}

TEST_F(virtual, F12_interval_burst)
{
	struct aop_interval iv;
	int64_t i;

	ASSERT_EQ(0, aop_interval_init(&iv, self->loop, 10, 10, AOP_MISSED_BURST));
	for (i = 1; i <= 3; i++) {
		EXPECT_EQ(1, tick(self->loop, &iv));
		EXPECT_EQ(10 * i, self->clock.now);
	}
	self->clock.now = 65;		/* 40, 50 and 60 were missed */
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(1, tick(self->loop, &iv));
		EXPECT_EQ(65, self->clock.now);
	}
	EXPECT_EQ(1, tick(self->loop, &iv));
	EXPECT_EQ(70, self->clock.now);
}

TEST_F(virtual, F12_interval_skip)
{
	struct aop_interval iv;

	ASSERT_EQ(0, aop_interval_init(&iv, self->loop, 0, 10, AOP_MISSED_SKIP));
	EXPECT_EQ(1, tick(self->loop, &iv));
	self->clock.now = 35;		/* 10, 20, 30 */
	EXPECT_EQ(3, tick(self->loop, &iv));
	EXPECT_EQ(35, self->clock.now);
	EXPECT_EQ(1, tick(self->loop, &iv));
	EXPECT_EQ(40, self->clock.now);
}

TEST_F(virtual, F12_interval_delay)
{
	struct aop_interval iv;

	ASSERT_EQ(0, aop_interval_init(&iv, self->loop, 10, 10, AOP_MISSED_DELAY));
	EXPECT_EQ(1, tick(self->loop, &iv));
	self->clock.now = 35;		/* 20, 30 */
	EXPECT_EQ(2, tick(self->loop, &iv));
	EXPECT_EQ(1, tick(self->loop, &iv));
	EXPECT_EQ(45, self->clock.now);
}

TEST_F(virtual, F12_interval_cancelled_tick)
{
	struct aop_interval iv;

	ASSERT_EQ(0, aop_interval_init(&iv, self->loop, 10, 10, AOP_MISSED_BURST));
	EXPECT_EQ(aop_tick(&iv), aop_tick(&iv));
	aop_cancel(&iv.timer.op, 0);
	EXPECT_EQ(-ECANCELED, aop_loop_get(self->loop, &iv.timer.op));
	EXPECT_EQ(1, tick(self->loop, &iv));
	EXPECT_EQ(20, self->clock.now);
}

TEST_HARNESS_MAIN
