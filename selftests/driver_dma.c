// SPDX-License-Identifier: GPL-2.0
/*
 * The sample of a DMA engine: K5 from hard interrupts that nobody in the test asked
 * for, C1 to C4 of queued and of running transfers, C5, K1.
 */
#include "driver.h"
#include "../kmod/samples/aop_samples.h"

#define MODULE	"samples/aop_dma_sample"
#define BURST	4096
#define ENDLESS	0x4000000000000ULL

FIXTURE(dma) {
	struct abi_ctx c;
	int dev;
	uint32_t ops;
};

FIXTURE_SETUP(dma)
{
	ASSERT_EQ(0, abi_param_get("ops", &self->ops));
	ASSERT_EQ(0, driver_load(MODULE, "tick_us=500"));
	self->dev = driver_open(AOP_DMA_DEVICE);
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, abi_open(&self->c, 64));
}

FIXTURE_TEARDOWN(dma)
{
	uint32_t ops;

	abi_close(&self->c);
	if (self->dev >= 0)
		close(self->dev);
	EXPECT_EQ(0, driver_unload(MODULE));
	/* Those with a deadline are freed by a work item. */
	do {
		EXPECT_EQ(0, abi_param_get("ops", &ops));
	} while (ops > self->ops && !sched_yield());
}

/* Returns a handle, or 0. */
static uint64_t transfer(struct abi_ctx *c, int dev, uint64_t bytes, uint64_t data,
			 uint64_t deadline)
{
	struct aop_dma_transfer x = {
		.bytes = bytes, .deadline = deadline, .data = data, .aop_fd = c->fd,
		.mask = AOP_EV_FINAL,
	};

	return abi_ioctl(dev, AOP_DMA_IOC_TRANSFER, &x) ? 0 : x.handle;
}

/* Returns a descriptor. */
static int transfer_fd(int dev, uint64_t bytes)
{
	struct aop_dma_transfer x = { .bytes = bytes, .aop_fd = -1 };
	int ret = abi_ioctl(dev, AOP_DMA_IOC_TRANSFER, &x);

	return ret ?: x.fd;
}

static void until_state(struct abi_ctx *c, uint64_t h, unsigned int state)
{
	while (abi_state(c, h) != state)
		sched_yield();
}

TEST_F(dma, K5_M4_transfers_are_completed_in_hard_interrupts)
{
	struct pollfd p = { .fd = self->c.fd, .events = POLLIN };
	uint32_t index[64], n = 0, i;
	uint64_t h[8];

	for (i = 0; i < 8; i++) {
		h[i] = transfer(&self->c, self->dev, (i + 1) * BURST, i + 1, 0);
		ASSERT_NE(0, h[i]);
	}
	/* One after the other, in the order of the queue. */
	while (n < 8) {
		ASSERT_EQ(1, poll(&p, 1, -1));
		n += abi_reap(&self->c, index + n, 64 - n);
	}
	EXPECT_EQ(8, n);
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(abi_index(h[i]), index[i]);
		EXPECT_ENDED(&self->c, h[i], AOP_DONE, (i + 1) * BURST);
		if (i)
			EXPECT_EQ(i * BURST, status_of(&self->c, h[i]).done);
		EXPECT_EQ(i + 1, status_of(&self->c, h[i]).data);
	}
	EXPECT_EQ(is_rt() ? 0 : 8, driver_param("aop_dma_sample", "in_hard"));
}

TEST_F(dma, C1_cancel_of_a_queued_transfer_stops_it)
{
	uint64_t first = transfer(&self->c, self->dev, 20 * BURST, 1, 0);
	uint64_t second = transfer(&self->c, self->dev, ENDLESS, 2, 0);
	uint64_t third = transfer(&self->c, self->dev, BURST, 3, 0);

	EXPECT_EQ(AOP_PENDING, abi_state(&self->c, second));
	EXPECT_EQ(AOP_STOPPED, abi_cancel(&self->c, second, -EINTR));
	EXPECT_ENDED(&self->c, second, AOP_CANCELLED, -EINTR);
	EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, second, AOP_EV_OVER, 0));
	EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, third, AOP_EV_OVER, 0));
	EXPECT_ENDED(&self->c, first, AOP_DONE, 20 * BURST);
	EXPECT_ENDED(&self->c, third, AOP_DONE, BURST);
}

TEST_F(dma, C2_C4_cancel_of_the_running_transfer)
{
	uint64_t first = transfer(&self->c, self->dev, ENDLESS, 1, 0);
	uint64_t second = transfer(&self->c, self->dev, BURST, 2, 0);

	until_state(&self->c, first, AOP_RUNNING);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, first, -EINTR));
	EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, first, AOP_EV_OVER, 0));
	EXPECT_ENDED(&self->c, first, AOP_CANCELLED, -EINTR);
	EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, second, AOP_EV_OVER, 0));
	EXPECT_ENDED(&self->c, second, AOP_DONE, BURST);
	EXPECT_EQ(AOP_TOO_LATE, abi_cancel(&self->c, second, 0));
}

TEST_F(dma, C3_cancels_that_race_with_the_interrupt)
{
	int i, done = 0, cancelled = 0;
	uint64_t h;

	for (i = 0; i < 200; i++) {
		h = transfer(&self->c, self->dev, BURST, 1, 0);
		ASSERT_NE(0, h);
		if (i % 4 == 0)
			abi_wait_one(&self->c, h, AOP_EV_FINAL, 0);
		EXPECT_LE(0, abi_cancel(&self->c, h, 0));
		EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, h, AOP_EV_OVER, 0));
		done += abi_state(&self->c, h) == AOP_DONE;
		cancelled += abi_state(&self->c, h) == AOP_CANCELLED;
		EXPECT_EQ(0, abi_detach(&self->c, h, 0));
	}
	EXPECT_EQ(200, done + cancelled);
	EXPECT_LT(0, done);
	EXPECT_LT(0, cancelled);
}

TEST_F(dma, M9_M10_deadlines_of_a_running_and_of_a_queued_transfer)
{
	uint64_t soon = abi_now() + 5 * MSEC_NS;
	uint64_t first = transfer(&self->c, self->dev, ENDLESS, 1, soon);
	uint64_t second = transfer(&self->c, self->dev, BURST, 2, soon);
	uint64_t third = transfer(&self->c, self->dev, BURST, 3, 0);

	EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, first, AOP_EV_OVER, 0));
	EXPECT_ENDED(&self->c, first, AOP_FAILED, -ETIMEDOUT);
	EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, second, AOP_EV_OVER, 0));
	EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, third, AOP_EV_OVER, 0));
	EXPECT_ENDED(&self->c, third, AOP_DONE, BURST);
}

/* Over before it is queued, or just then: whoever comes second stops it. */
TEST_F(dma, M9_M10_deadlines_that_have_passed_already)
{
	uint64_t h, last;
	int i;

	for (i = 0; i < 50; i++) {
		h = transfer(&self->c, self->dev, ENDLESS, 1, 1);
		ASSERT_NE(0, h);
		EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, h, AOP_EV_OVER, 0));
		EXPECT_ENDED(&self->c, h, AOP_FAILED, -ETIMEDOUT);
		EXPECT_EQ(0, abi_detach(&self->c, h, 0));
	}
	/* None of them is in the way. */
	last = transfer(&self->c, self->dev, BURST, 1, 0);
	EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, last, AOP_EV_OVER, 0));
	EXPECT_ENDED(&self->c, last, AOP_DONE, BURST);
}

TEST_F(dma, C5_K2_an_abandoned_transfer_is_taken_off_the_queue)
{
	struct pollfd p = { .events = POLLIN };
	int endless = transfer_fd(self->dev, ENDLESS);

	ASSERT_GE(endless, 0);
	p.fd = transfer_fd(self->dev, BURST);
	ASSERT_GE(p.fd, 0);
	EXPECT_EQ(0, poll(&p, 1, 0));
	close(endless);
	EXPECT_EQ(1, poll(&p, 1, -1));
	close(p.fd);
}

TEST_F(dma, K1_K9_nothing_is_left_of_a_client_that_goes)
{
	int fd = transfer_fd(self->dev, ENDLESS), dev;
	uint64_t h = transfer(&self->c, self->dev, ENDLESS, 1, 0), other;
	struct aop_status st;
	pid_t pid;

	EXPECT_EQ(-EWOULDBLOCK, driver_unload(MODULE));
	/* A client that is killed while another one has transfers. */
	pid = spawn();
	if (!pid) {
		struct abi_ctx c;

		dev = driver_open(AOP_DMA_DEVICE);
		close(self->dev);
		if (dev < 0 || abi_open(&c, 8) || !transfer(&c, dev, ENDLESS, 1, 0))
			_exit(1);
		raise(SIGKILL);
	}
	EXPECT_EQ(128 + SIGKILL, reap_child(pid));
	dev = driver_open(AOP_DMA_DEVICE);
	other = transfer(&self->c, dev, BURST, 1, 0);
	close(self->dev);
	self->dev = -1;
	EXPECT_EQ(sizeof(st), read(fd, &st, sizeof(st)));
	EXPECT_EQ(AOP_CANCELLED, st.state);
	EXPECT_EQ(AOP_CANCELLED, abi_state(&self->c, h));
	EXPECT_EQ(AOP_EV_OVER, abi_wait_one(&self->c, other, AOP_EV_OVER, 0));
	EXPECT_ENDED(&self->c, other, AOP_DONE, BURST);
	close(dev);
	close(fd);
}

TEST_F(dma, K8_a_call_that_fails_has_no_effect)
{
	struct aop_dma_transfer *x = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long long handles = abi_handles(&self->c);
	struct abi_ctx none = { .fd = self->dev };
	int fd, next;
	uint32_t ops;

	ASSERT_NE(MAP_FAILED, x);
	fd = dup(0);
	close(fd);
	EXPECT_EQ(0, transfer(&self->c, self->dev, 0, 0, 0));
	EXPECT_EQ(0, transfer(&none, self->dev, BURST, 0, 0));
	*x = (struct aop_dma_transfer) { .bytes = BURST, .aop_fd = -1 };
	ASSERT_EQ(0, mprotect(x, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, abi_ioctl(self->dev, AOP_DMA_IOC_TRANSFER, x));
	ASSERT_EQ(0, mprotect(x, 4096, PROT_READ | PROT_WRITE));
	x->aop_fd = self->c.fd;
	ASSERT_EQ(0, mprotect(x, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, abi_ioctl(self->dev, AOP_DMA_IOC_TRANSFER, x));
	EXPECT_EQ(handles, abi_handles(&self->c));
	next = dup(0);
	EXPECT_EQ(fd, next);
	close(next);
	munmap(x, 4096);
	/* The descriptor's file goes with the task's work, a little later. */
	do {
		EXPECT_EQ(0, abi_param_get("ops", &ops));
	} while (ops > self->ops && !sched_yield());
}

TEST_HARNESS_MAIN
