// SPDX-License-Identifier: GPL-2.0
/*
 * Drivers that go: K1, K5 and M6 in every order of their end and of that of their
 * operations, and what keeps a driver from going.
 */
#include "driver_fixture.h"

#include <sys/eventfd.h>

/* How many lines of the kernel's log since @from say that ops were left. */
static int warnings(int kmsg)
{
	char line[2048];
	ssize_t n;
	int count = 0;

	while ((n = read(kmsg, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		count += !!strstr(line, "unfinished");
	}
	return count;
}

static int open_log(void)
{
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	lseek(kmsg, 0, SEEK_END);
	return kmsg;
}

TEST_F(driver, K5_M6_a_driver_that_destroys_its_source_leaves_nothing_waiting)
{
	int kmsg = open_log(), i;
	uint64_t h[8];

	for (i = 0; i < 8; i++) {
		h[i] = driver_handle(&self->c, self->dev, i, i % 2 ? SELFTEST_RUNNING : 0);
		ASSERT_NE(0, h[i]);
	}
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_DONE, 1));
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_DESTROY, 0));
	EXPECT_ENDED(&self->c, h[0], AOP_DONE, 1);
	for (i = 1; i < 8; i++) {
		EXPECT_OWNER_DEAD(&self->c, h[i]);
		EXPECT_EQ(1, told(self->dev, i).releases);
	}
	EXPECT_EQ(1, warnings(kmsg));
	/* Nothing was left: no warning. */
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_DESTROY, 0));
	EXPECT_EQ(0, warnings(kmsg));
	close(kmsg);
}

TEST_F(driver, K1_K5_M6_unloading_a_driver_that_forgot_its_ops)
{
	struct pollfd p = { .events = POLLIN };
	struct waiter t;
	struct aop_status st;
	uint64_t h, end;
	int kmsg = open_log();
	uint64_t left;

	p.fd = driver_op(self->dev, 0, SELFTEST_RUNNING | SELFTEST_LEFT);
	ASSERT_GE(p.fd, 0);
	ASSERT_EQ(0, abi_attach_fd(&self->c, p.fd, 0, 0, AOP_EV_FINAL, &h));
	left = driver_handle(&self->c, self->dev, 1, SELFTEST_LEFT);
	ASSERT_EQ(0, abi_group(&self->c, &left, 1, 1, 0, 0, &end));
	ASSERT_EQ(0, waiter_sleep(&t, &self->c, h, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EWOULDBLOCK, driver_unload(MODULE));

	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_FORGET, 0));
	close(self->dev);
	self->dev = -1;
	/* The data of the driver is freed, and its ops go on: as if it had leaked them. */
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, h));
	EXPECT_EQ(0, driver_unload(MODULE));

	EXPECT_OWNER_DEAD(&self->c, h);
	EXPECT_OWNER_DEAD(&self->c, left);
	EXPECT_EQ(0, waiter_join(&t));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, end, AOP_EV_FINAL, 0));
	EXPECT_EQ(1, poll(&p, 1, -1));
	EXPECT_EQ(sizeof(st), read(p.fd, &st, sizeof(st)));
	EXPECT_EQ(-EOWNERDEAD, st.result);
	EXPECT_EQ(AOP_TOO_LATE, abi_cancel(&self->c, h, 0));
	EXPECT_EQ(1, warnings(kmsg));
	close(p.fd);
	close(kmsg);
}

static void *read_one(void *arg)
{
	struct aop_status st = { 0 };

	if (read(*(int *)arg, &st, sizeof(st)) != sizeof(st))
		return NULL;
	return (void *)(intptr_t)-st.result;
}

/* Open, waited for in each way, and imported: by way of an eventfd, as all imports. */
TEST_F(driver, K1_K5_unloading_with_ops_open_waited_for_and_imported)
{
	struct aop_ioc_eventfd ex = { .size = sizeof(ex), .mask = AOP_EV_FINAL };
	struct aop_ioc_import im = { .size = sizeof(im) };
	int fd = driver_op(self->dev, 0, SELFTEST_RUNNING);
	int efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct waiter t;
	pthread_t reader;
	void *result;
	uint64_t h;

	ASSERT_EQ(0, abi_attach_fd(&self->c, fd, 0, 0, AOP_EV_FINAL, &h));
	ex.handle = h;
	ex.fd = efd;
	ASSERT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_EVENTFD, &ex));
	im.fd = efd;
	ASSERT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_IMPORT, &im));
	ASSERT_EQ(0, waiter_sleep(&t, &self->c, h, AOP_EV_FINAL, 0));
	ASSERT_EQ(0, pthread_create(&reader, NULL, read_one, &fd));
	/* aop itself cannot go while a driver uses it, whether or not there are ops. */
	EXPECT_EQ(-EWOULDBLOCK, unload());
	EXPECT_EQ(-EWOULDBLOCK, driver_unload(MODULE));
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_FORGET, 0));
	close(self->dev);
	self->dev = -1;
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, im.handle));
	EXPECT_EQ(0, driver_unload(MODULE));
	EXPECT_EQ(0, waiter_join(&t));
	EXPECT_OWNER_DEAD(&self->c, h);
	pthread_join(reader, &result);
	EXPECT_EQ(EOWNERDEAD, (intptr_t)result);
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, im.handle, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->c, im.handle, AOP_DONE, 0);
	/* They are still there, and so is aop. */
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(fd);
	close(efd);
}

TEST_F(driver, K1_unloading_a_driver_whose_ops_are_still_held)
{
	int fd = driver_op(self->dev, 0, 0);
	uint64_t h = driver_handle(&self->c, self->dev, 1, 0);
	struct aop_status st;

	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_DONE, 1));
	EXPECT_EQ(0, drive(self->dev, 1, SELFTEST_DONE, 2));
	close(self->dev);
	self->dev = -1;
	EXPECT_EQ(0, driver_unload(MODULE));
	EXPECT_EQ(sizeof(st), read(fd, &st, sizeof(st)));
	EXPECT_EQ(1, st.result);
	EXPECT_ENDED(&self->c, h, AOP_DONE, 2);
	EXPECT_EQ(AOP_TOO_LATE, abi_cancel(&self->c, h, 0));
	close(fd);
}

/* No open file holds the module any more: what does is its callback alone. */
TEST_F(driver, K1_K5_a_callback_that_runs_keeps_the_module)
{
	uint64_t h = driver_handle(&self->c, self->dev, 0, SELFTEST_RUNNING | SELFTEST_GATED);
	int ret;

	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, h, 0));
	until_at_gate(self->dev);
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_FORGET, 0));
	close(self->dev);
	self->dev = -1;
	EXPECT_EQ(-EWOULDBLOCK, driver_unload(MODULE));
	EXPECT_EQ(1, driver_param("aop_selftest", "at_gate"));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, h));
	EXPECT_EQ(0, driver_param_set("aop_selftest", "gate", 1));
	do {
		ret = driver_unload(MODULE);
	} while (ret == -EWOULDBLOCK && !sched_yield());
	EXPECT_EQ(0, ret);
	EXPECT_OWNER_DEAD(&self->c, h);
}

TEST_HARNESS_MAIN
