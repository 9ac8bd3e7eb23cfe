// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation, and every copy from or to user memory, fails once: what a driver calls.
 */
#include "driver.h"
#include "fail_world.h"

static int dev;

static long call_driver_open(struct world *w)
{
	w->fd = open(AOP_SELFTEST_DEVICE, O_RDWR | O_CLOEXEC);
	return w->fd < 0 ? -errno : 0;
}

static long call_driver_op(struct world *w)
{
	struct selftest_call c = { .what = SELFTEST_CREATE, .value = LATE };

	w->fd = call(dev, &c);
	return w->fd;
}

static long undo_driver_op(struct world *w)
{
	close(w->fd);
	drive(dev, 0, SELFTEST_LET_GO, 0);
	return 0;
}

static long call_driver_handle(struct world *w)
{
	struct selftest_call c = {
		.what = SELFTEST_HANDLE, .index = 1, .aop_fd = w->c.fd, .mask = AOP_EV_ALL,
	};
	long ret = call(dev, &c);

	w->made[0] = c.total;
	return ret;
}

static long call_driver_watch(struct world *w)
{
	struct selftest_call c = {
		.what = SELFTEST_WATCH, .index = 2, .fd = w->other_fd, .mask = AOP_EV_FINAL,
	};

	return call(dev, &c);
}

static long undo_driver_watch(struct world *w)
{
	struct selftest_call c = { .what = SELFTEST_UNWATCH, .index = 2 };

	(void)w;
	return call(dev, &c);
}

static long call_driver_wait(struct world *w)
{
	struct selftest_call c = {
		.what = SELFTEST_WAIT, .fd = w->other_fd, .mask = AOP_EV_FINAL,
		.value = w->now + 1000,
	};
	long ret = call(dev, &c);

	return ret == -ETIME ? 0 : ret;
}

static long call_driver_destroy(struct world *w)
{
	struct selftest_call c = { .what = SELFTEST_DESTROY };

	(void)w;
	return call(dev, &c);
}

TEST_F(fail, driver)
{
	struct world *w = &self->w;
	int fd, ret;

	ASSERT_EQ(0, driver_load("test/aop_selftest", ""));
	dev = driver_open(AOP_SELFTEST_DEVICE);
	ASSERT_GE(dev, 0);
	SWEEP(3, call_driver_open, undo_fd);
	SWEEP(2, call_driver_destroy, NULL);
	SWEEP(4, call_driver_op, undo_driver_op);
	fd = driver_op(dev, 1, SELFTEST_RUNNING);
	ASSERT_GE(fd, 0);
	ASSERT_GE(fill_page(w), 0);
	SWEEP(2, call_driver_handle, undo_made);
	SWEEP(1, call_driver_watch, undo_driver_watch);
	SWEEP(1, call_driver_wait, NULL);
	EXPECT_EQ(2, watchers_of(&w->d, w->other));
	close(fd);
	drive(dev, 1, SELFTEST_LET_GO, 0);
	close(dev);
	/* Work items that call the driver for the last time hold it. */
	while ((ret = driver_unload("test/aop_selftest")) == -EWOULDBLOCK)
		sched_yield();
	EXPECT_EQ(0, ret);
}

TEST_HARNESS_MAIN
