/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver of the tests, loaded for each test, and nothing left of it afterwards.
 */
#ifndef SELFTESTS_DRIVER_FIXTURE_H
#define SELFTESTS_DRIVER_FIXTURE_H

#include "driver.h"

#define MODULE	"test/aop_selftest"

FIXTURE(driver) {
	struct abi_ctx c;
	int dev;
	uint32_t ops;		/* when nothing had begun */
};

FIXTURE_SETUP(driver)
{
	ASSERT_EQ(0, abi_param_get("ops", &self->ops));
	ASSERT_EQ(0, driver_load(MODULE, ""));
	self->dev = driver_open(AOP_SELFTEST_DEVICE);
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, abi_open(&self->c, 64));
}

FIXTURE_TEARDOWN(driver)
{
	uint32_t ops;

	abi_close(&self->c);
	if (self->dev >= 0)
		close(self->dev);
	/* Some tests have unloaded it. */
	driver_unload(MODULE);
	EXPECT_EQ(-ENOENT, driver_unload(MODULE));
	/* Ops with a deadline are freed by a work item. */
	do {
		EXPECT_EQ(0, abi_param_get("ops", &ops));
	} while (ops > self->ops && !sched_yield());
}

/* A handle on an op of the driver, which has no descriptor then; or 0. */
static inline uint64_t driver_handle(struct abi_ctx *c, int dev, uint32_t index, uint32_t flags)
{
	int fd = driver_op(dev, index, flags);
	uint64_t h = 0;

	if (fd < 0)
		return 0;
	abi_attach_fd(c, fd, 0, 0, AOP_EV_ALL, &h);
	close(fd);
	return h;
}

#endif /* SELFTESTS_DRIVER_FIXTURE_H */
