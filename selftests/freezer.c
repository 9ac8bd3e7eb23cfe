// SPDX-License-Identifier: GPL-2.0
/*
 * K11 with a system that goes to sleep: its freezer stops every process, those too that
 * wait for an operation, and afterwards each waits on as if nothing had been.  One that
 * could not be stopped would make the kernel give up and answer -EBUSY.
 *
 * Only the freezer is tried (/sys/power/pm_test), no device is.
 */
#include "driver.h"
#include "file.h"

#include <poll.h>

#define MODULE	"test/aop_selftest"

FIXTURE(freezer) {
	struct abi_ctx c;
	int dev;
	int fd;			/* of an op of the driver */
	uint64_t h;
};

FIXTURE_SETUP(freezer)
{
	self->dev = -1;
	if (write_file("/sys/power/pm_test", "freezer"))
		SKIP(return, "this kernel cannot try its freezer");
	write_file("/sys/module/suspend/parameters/pm_test_delay", "0");
	ASSERT_EQ(0, driver_load(MODULE, ""));
	self->dev = driver_open(AOP_SELFTEST_DEVICE);
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, abi_open(&self->c, 64));
	self->fd = driver_op(self->dev, 0, SELFTEST_RUNNING);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, abi_attach_fd(&self->c, self->fd, 0, 0, AOP_EV_FINAL, &self->h));
}

FIXTURE_TEARDOWN(freezer)
{
	if (self->dev < 0)
		return;
	write_file("/sys/power/pm_test", "none");
	close(self->fd);
	abi_close(&self->c);
	close(self->dev);
	EXPECT_EQ(0, driver_unload(MODULE));
}

enum way { IN_READ, IN_POLL, IN_WAIT, IN_DRIVER, WAYS };

static const long calls[WAYS] = { SYS_read, SYS_poll, SYS_ioctl, SYS_ioctl };

struct sleeper {
	pthread_t thread;
	enum way way;
	int dev, fd;
	struct abi_ctx *c;
	uint64_t h;
	bool ok;
	pid_t tid;
};

static void *sleeper_run(void *arg)
{
	struct sleeper *s = arg;
	struct selftest_call in_driver = {
		.what = SELFTEST_WAIT, .fd = s->fd, .mask = AOP_EV_FINAL, .value = INT64_MAX,
	};
	struct pollfd p = { .fd = s->c->fd, .events = POLLIN };
	struct aop_status st;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	switch (s->way) {
	case IN_READ:
		s->ok = read(s->fd, &st, sizeof(st)) == sizeof(st) && st.result == 5;
		break;
	case IN_POLL:
		s->ok = poll(&p, 1, -1) == 1;
		break;
	case IN_WAIT:
		s->ok = abi_wait_one(s->c, s->h, AOP_EV_FINAL, 0) == AOP_EV_FINAL;
		break;
	default:
		s->ok = !call(s->dev, &in_driver);
	}
	return NULL;
}

TEST_F(freezer, K11_W2_all_waits_sleep_through_a_suspend)
{
	struct sleeper s[WAYS];
	int i, round;

	for (i = 0; i < WAYS; i++) {
		s[i] = (struct sleeper) {
			.way = i, .dev = self->dev, .fd = self->fd, .c = &self->c, .h = self->h,
		};
		ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, sleeper_run, &s[i]));
		while (!__atomic_load_n(&s[i].tid, __ATOMIC_ACQUIRE))
			sched_yield();
		ASSERT_TRUE(until_asleep_in(s[i].tid, calls[i]));
	}
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, write_file("/sys/power/state", "freeze"));
		for (i = 0; i < WAYS; i++)
			EXPECT_TRUE(until_asleep_in(s[i].tid, calls[i]));
	}
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, self->h));
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_DONE, 5));
	for (i = 0; i < WAYS; i++) {
		pthread_join(s[i].thread, NULL);
		EXPECT_TRUE(s[i].ok) TH_LOG("%d", i);
	}
}

TEST_HARNESS_MAIN
