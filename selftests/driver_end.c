// SPDX-License-Identifier: GPL-2.0
/*
 * How an operation of a driver ends: while nobody looks, which is the short way, and in
 * races with everything else that may end it or begin to look at it.  The first one
 * wins, each loser is told so, and the driver's data is released once.
 */
#include "driver_fixture.h"

#include <poll.h>
#include <sys/epoll.h>

#define ROUNDS	300

/* From where a driver ends most of its operations. */
static uint32_t interrupt(void)
{
	return is_rt() ? SELFTEST_SOFTIRQ : SELFTEST_HARDIRQ;
}

/* ---- nobody looks -------------------------------------------------------------- */

TEST_F(driver, K5_M7_an_end_that_nobody_looks_at)
{
	static const struct {
		uint32_t what;
		int64_t value;
		unsigned int state;
		int64_t result;
	} ends[] = {
		{ SELFTEST_DONE, 77, AOP_DONE, 77 },
		{ SELFTEST_DONE_AT, 78, AOP_DONE, 78 },
		{ SELFTEST_FAIL, -EBADMSG, AOP_FAILED, -EBADMSG },
		{ SELFTEST_CANCELLED, -EINTR, AOP_CANCELLED, -EINTR },
		{ SELFTEST_CANCELLED, 0, AOP_CANCELLED, -ECANCELED },
	};
	static const uint32_t contexts[] = {
		SELFTEST_PROCESS, SELFTEST_SOFTIRQ, SELFTEST_HARDIRQ,
	};
	struct aop_status st, slot;
	unsigned int i, k;
	uint64_t before, h;
	int fd;

	for (i = 0; i < ARRAY_SIZE(contexts) * ARRAY_SIZE(ends); i++) {
		k = i % ARRAY_SIZE(ends);
		if (contexts[i / ARRAY_SIZE(ends)] == SELFTEST_HARDIRQ && is_rt())
			continue;
		fd = driver_op(self->dev, 0, k % 2 ? SELFTEST_RUNNING : 0);
		ASSERT_GE(fd, 0);
		before = abi_now();
		EXPECT_EQ(0, drive_in(self->dev, contexts[i / ARRAY_SIZE(ends)], 0, ends[k].what,
				      ends[k].value));
		EXPECT_EQ(1, told(self->dev, 0).releases);
		EXPECT_EQ(0, told(self->dev, 0).cancels);
		ASSERT_EQ(sizeof(st), read(fd, &st, sizeof(st)));
		EXPECT_EQ(ends[k].state, st.state);
		EXPECT_EQ(ends[k].result, st.result);
		EXPECT_EQ(AOP_F_OVER, st.flags);
		EXPECT_EQ(ends[k].state == AOP_CANCELLED ? ends[k].result : 0, st.reason);
		EXPECT_LE(before, st.time);
		EXPECT_GE(abi_now(), st.time);
		/* M8: those who come later see the same, under the same number. */
		ASSERT_EQ(0, abi_attach_fd(&self->c, fd, 0, 0, AOP_EV_ALL, &h));
		slot = status_of(&self->c, h);
		EXPECT_TRUE(same_end(&st, &slot));
		EXPECT_EQ(st.seq, slot.seq);
		EXPECT_TRUE(reap_only(&self->c, h));
		EXPECT_EQ(AOP_TOO_LATE, abi_cancel(&self->c, h, 0));
		EXPECT_EQ(0, abi_detach(&self->c, h, 0));
		close(fd);
	}
}

struct sleeper {
	pthread_t thread;
	int fd;
	int ep;			/* or -1: in read */
	int ret;
	pid_t tid;
};

static void *sleeper_run(void *arg)
{
	struct epoll_event ev;
	struct aop_status st;
	struct sleeper *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	if (s->ep >= 0)
		s->ret = epoll_wait(s->ep, &ev, 1, -1);
	else
		s->ret = read(s->fd, &st, sizeof(st)) == sizeof(st);
	return NULL;
}

/* Who only polls or reads its descriptor is neither a handle nor a waiter of the op. */
TEST_F(driver, K2_W3_who_sleeps_on_the_descriptor_is_woken)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct sleeper s[2];
	int i, k;

	for (i = 0; i < 20; i++) {
		int fd = driver_op(self->dev, 0, SELFTEST_RUNNING);
		int ep = epoll_create1(EPOLL_CLOEXEC);

		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
		for (k = 0; k < 2; k++) {
			s[k] = (struct sleeper) { .fd = fd, .ep = k ? ep : -1 };
			ASSERT_EQ(0, pthread_create(&s[k].thread, NULL, sleeper_run, &s[k]));
			while (!__atomic_load_n(&s[k].tid, __ATOMIC_ACQUIRE))
				sched_yield();
			ASSERT_TRUE(until_asleep_in(s[k].tid, k ? SYS_epoll_wait : SYS_read));
		}
		EXPECT_EQ(0, drive_in(self->dev, interrupt(), 0,
				      i % 2 ? SELFTEST_DONE : SELFTEST_DONE_AT, i));
		for (k = 0; k < 2; k++) {
			pthread_join(s[k].thread, NULL);
			EXPECT_EQ(1, s[k].ret);
		}
		close(ep);
		close(fd);
	}
}

/*
 * Nobody holds these, so nothing but the callback that is running keeps its end from
 * being the short one, which would release the driver's data under it.
 */
TEST_F(driver, K5_C2_release_waits_for_the_callback_of_an_op_that_nobody_holds)
{
	static const uint32_t whats[] = { SELFTEST_DONE, SELFTEST_DONE_AT, SELFTEST_FAIL };
	struct aop_status st;
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_SIZE(whats); i++) {
		struct selftest_call ask = { .what = SELFTEST_CANCEL };
		uint32_t context = i % 2 ? interrupt() : SELFTEST_PROCESS;

		EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_GATE, 0));
		ask.fd = driver_op(self->dev, 0, SELFTEST_RUNNING | SELFTEST_GATED);
		ASSERT_GE(ask.fd, 0);
		EXPECT_EQ(AOP_ASKED, call(self->dev, &ask));
		until_at_gate(self->dev);
		EXPECT_EQ(0, drive_in(self->dev, context, 0, whats[i / 2], -EIO));
		ASSERT_EQ(sizeof(st), read(ask.fd, &st, sizeof(st)));
		EXPECT_EQ(-EIO, st.result);
		EXPECT_EQ(0, told(self->dev, 0).releases);
		EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_GATE, 1));
		EXPECT_EQ(1, until_told(self->dev, 0, 1, 1).releases);
		EXPECT_EQ(1, told(self->dev, 0).cancels);
		close(ask.fd);
	}
}

/* ---- races ----------------------------------------------------------------- */

/* The second thread's part, in each round. */
struct part {
	struct race race;
	struct abi_ctx *c;
	void (*run)(struct part *p);
	pthread_t thread;
	int rounds;
	int fd;
	uint64_t h;
	int ret;
	unsigned int state;
};

static void *part_rounds(void *arg)
{
	struct part *p = arg;
	int i;

	for (i = 1; i <= p->rounds; i++) {
		race_join(&p->race, i);
		p->run(p);
		race_done(&p->race, i);
	}
	return NULL;
}

static void part_attach(struct part *p)
{
	p->ret = abi_attach_fd(p->c, p->fd, 0, 0, AOP_EV_FINAL, &p->h);
	if (p->ret)
		return;
	p->state = abi_state(p->c, p->h);
	/* W2: whichever came first, this returns. */
	p->ret = abi_wait_one(p->c, p->h, AOP_EV_FINAL, 0);
}

TEST_F(driver, W2_K5_the_end_races_with_who_begins_to_look)
{
	struct part p = { .c = &self->c, .run = part_attach, .rounds = ROUNDS };
	int i, first = 0, late = 0;

	ASSERT_EQ(0, pthread_create(&p.thread, NULL, part_rounds, &p));
	for (i = 1; i <= ROUNDS; i++) {
		p.fd = driver_op(self->dev, 0, SELFTEST_RUNNING);
		race_begin(&p.race, i);
		EXPECT_EQ(0, drive_in(self->dev, interrupt(), 0, SELFTEST_DONE, i));
		race_over(&p.race, i);
		ASSERT_EQ(AOP_EV_FINAL, p.ret);
		EXPECT_ENDED(&self->c, p.h, AOP_DONE, i);
		EXPECT_EQ(AOP_F_OVER, flags_of(&self->c, p.h));
		/* Told once, by the end or by the attach. */
		EXPECT_TRUE(reap_only(&self->c, p.h));
		EXPECT_EQ(1, told(self->dev, 0).releases);
		first += p.state == AOP_DONE;
		late += p.state != AOP_DONE;
		race_even_out(&p.race, p.state != AOP_DONE);
		EXPECT_EQ(0, abi_detach(&self->c, p.h, 0));
		close(p.fd);
	}
	pthread_join(p.thread, NULL);
	TH_LOG("%d ended first, %d last", first, late);
	EXPECT_LT(0, first);
	EXPECT_LT(0, late);
}

static void part_close(struct part *p)
{
	close(p->fd);
}

TEST_F(driver, C5_K5_the_end_races_with_the_last_watcher_that_goes)
{
	struct part p = { .run = part_close, .rounds = ROUNDS };
	int i, told_so = 0, first = 0;

	ASSERT_EQ(0, pthread_create(&p.thread, NULL, part_rounds, &p));
	for (i = 1; i <= ROUNDS; i++) {
		struct told t;

		p.fd = driver_op(self->dev, 0, SELFTEST_RUNNING);
		race_begin(&p.race, i);
		EXPECT_EQ(0, drive_in(self->dev, interrupt(), 0, SELFTEST_DONE, i));
		race_over(&p.race, i);
		/* The work item may find that it has ended meanwhile, and calls nobody. */
		t = until_told(self->dev, 0, 0, 1);
		EXPECT_GE(1, t.cancels);
		EXPECT_EQ(1, t.releases);
		told_so += t.cancels;
		first += !t.cancels;
		race_even_out(&p.race, t.cancels);
	}
	pthread_join(p.thread, NULL);
	TH_LOG("%d ended first, %d were abandoned first", first, told_so);
	EXPECT_LT(0, first);
	EXPECT_LT(0, told_so);
}

TEST_F(driver, M9_K5_the_end_races_with_a_deadline)
{
	int i, done = 0, expired = 0;
	int64_t offset = 0, step = 0;

	for (i = 1; i <= ROUNDS; i++) {
		struct selftest_call c = {
			.what = SELFTEST_CREATE, .flags = SELFTEST_RUNNING,
			.value = abi_now() + MSEC_NS,
		};
		int64_t until = c.value;
		struct aop_status st;
		int fd = call(self->dev, &c), ret;
		uint64_t h;

		ASSERT_GE(fd, 0);
		while ((int64_t)abi_now() < until + offset)
			;
		ret = drive_in(self->dev, i % 2 ? SELFTEST_PROCESS : interrupt(), 0,
			       SELFTEST_DONE, i);
		ASSERT_EQ(sizeof(st), read(fd, &st, sizeof(st)));
		if (ret) {
			EXPECT_EQ(-EALREADY, ret);
			EXPECT_EQ(AOP_FAILED, st.state);
			EXPECT_EQ(-ETIMEDOUT, st.result);
			expired++;
		} else {
			EXPECT_EQ(AOP_DONE, st.state);
			EXPECT_EQ(i, st.result);
			done++;
		}
		/* M10: over in either case; and of the deadline the driver may have heard. */
		EXPECT_EQ(AOP_F_OVER | (ret ? AOP_F_SYSTEM : 0), st.flags);
		EXPECT_EQ(1, until_told(self->dev, 0, 0, 1).releases);
		/* M3: the timer of a final op, if it still comes, changes nothing. */
		while (!ret && (int64_t)abi_now() < until + MSEC_NS)
			;
		ASSERT_EQ(0, abi_attach_fd(&self->c, fd, 0, 0, 0, &h));
		EXPECT_ENDED(&self->c, h, st.state, st.result);
		EXPECT_EQ(0, abi_detach(&self->c, h, 0));
		close(fd);
		/* Who lost is earlier the next time, further and further until it wins. */
		if (ret)
			step = step < 0 ? 2 * step : -1000;
		else
			step = step > 0 ? 2 * step : 1000;
		offset += step;
	}
	TH_LOG("%d done, %d expired", done, expired);
	EXPECT_LT(0, done);
	EXPECT_LT(0, expired);
}

static void part_cancel(struct part *p)
{
	p->ret = abi_cancel(p->c, p->h, -EDOM);
}

/*
 * A driver that goes, and somebody who asks it to cancel: it is told, answers, and
 * only then goes; or the op fails, and the request comes too late.
 */
TEST_F(driver, M6_C4_a_request_races_with_the_driver_that_goes)
{
	struct part p = { .c = &self->c, .run = part_cancel, .rounds = ROUNDS };
	int i, asked = 0, late = 0;

	ASSERT_EQ(0, pthread_create(&p.thread, NULL, part_rounds, &p));
	for (i = 1; i <= ROUNDS; i++) {
		int fd = driver_op(self->dev, 0, SELFTEST_RUNNING | SELFTEST_ENDS);

		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, abi_attach_fd(&self->c, fd, 0, 0, 0, &p.h));
		race_begin(&p.race, i);
		EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_DESTROY, 0));
		/* No callback runs or will be called. */
		EXPECT_EQ(1, told(self->dev, 0).releases);
		race_over(&p.race, i);
		if (p.ret == AOP_ASKED) {
			asked++;
			EXPECT_ENDED(&self->c, p.h, AOP_CANCELLED, -EDOM);
			EXPECT_EQ(1, told(self->dev, 0).cancels);
		} else {
			late++;
			EXPECT_EQ(AOP_TOO_LATE, p.ret);
			EXPECT_OWNER_DEAD(&self->c, p.h);
			EXPECT_EQ(0, told(self->dev, 0).cancels);
		}
		race_even_out(&p.race, p.ret == AOP_ASKED);
		EXPECT_EQ(0, abi_detach(&self->c, p.h, 0));
		close(fd);
	}
	pthread_join(p.thread, NULL);
	TH_LOG("%d asked in time, %d too late", asked, late);
	EXPECT_LT(0, asked);
	EXPECT_LT(0, late);
}

TEST_HARNESS_MAIN
