// SPDX-License-Identifier: GPL-2.0
/*
 * The sample of a block reader, on a real disk: the guest's scratch disk, whose host
 * side answers reads of one sector with an error (selftests/vm/run -d).
 */
#include <linux/fs.h>

#include "driver.h"
#include "../kmod/samples/aop_samples.h"

#define MODULE	"samples/aop_blk_sample"
#define DISK	"/dev/vda"
#define BAD	(4ULL << 20)		/* where the bad sector is */
#define SIZE	(8ULL << 20)

FIXTURE(blk) {
	struct abi_ctx c;
	int dev;
	int disk;
};

FIXTURE_SETUP(blk)
{
	self->disk = open(DISK, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (self->disk < 0)
		SKIP(return, "no scratch disk: vm/run -d");
	ASSERT_EQ(0, driver_load(MODULE, ""));
	self->dev = driver_open(AOP_BLK_DEVICE);
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, abi_open(&self->c, 64));
}

FIXTURE_TEARDOWN(blk)
{
	if (self->disk < 0)
		return;
	abi_close(&self->c);
	close(self->dev);
	close(self->disk);
	EXPECT_EQ(0, driver_unload(MODULE));
}

/* Every 8 bytes of the disk say where they are. */
static uint64_t word_at(uint64_t pos)
{
	return (pos + 1) * 0x9e3779b97f4a7c15ULL;
}

static int fill(int disk, uint64_t from, uint64_t bytes)
{
	uint64_t *buf = aligned_alloc(4096, bytes), i;
	int ret = -ENOMEM;

	if (!buf)
		return ret;
	for (i = 0; i < bytes / 8; i++)
		buf[i] = word_at(from + i * 8);
	ret = pwrite(disk, buf, bytes, from) == (ssize_t)bytes ? 0 : -errno;
	free(buf);
	return ret;
}

/* Returns the descriptor of the op. */
static int begin(int dev, int disk, uint64_t from, uint64_t bytes)
{
	struct aop_blk_read x = { .offset = from, .bytes = bytes, .device = disk };
	int ret = abi_ioctl(dev, AOP_BLK_IOC_READ, &x);

	return ret ?: x.fd;
}

/* Waits for the end. */
static struct aop_status end_of(int fd)
{
	struct aop_status st = { 0 };

	if (read(fd, &st, sizeof(st)) != sizeof(st))
		st.state = 0xff;
	close(fd);
	return st;
}

TEST_F(blk, K5_the_data_is_what_the_disk_has)
{
	static uint64_t data[AOP_BLK_MAX / 8];
	static const uint64_t sizes[] = { 512, 4096, 65536, 65536 + 512, AOP_BLK_MAX };
	struct aop_status st;
	uint64_t from = 1536, k;
	unsigned int i, bad;
	int fd;

	ASSERT_EQ(0, fill(self->disk, 0, 2 * AOP_BLK_MAX));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fd = begin(self->dev, self->disk, from, sizes[i]);
		ASSERT_GE(fd, 0);
		st = end_of(fd);
		EXPECT_EQ(AOP_DONE, st.state);
		EXPECT_EQ(sizes[i], st.result);
		ASSERT_EQ(sizes[i], pread(self->dev, data, sizeof(data), 0));
		for (k = 0, bad = 0; k < sizes[i] / 8; k++)
			bad += data[k] != word_at(from + k * 8);
		EXPECT_EQ(0, bad);
	}
}

TEST_F(blk, M4_M7_progress_by_bytes)
{
	uint64_t h, done = 0;
	struct aop_status st;
	uint32_t seq;
	int fd;

	fd = begin(self->dev, self->disk, 0, AOP_BLK_MAX);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, abi_attach_fd(&self->c, fd, AOP_MAY_LOOK, 0, 0, &h));
	do {
		st = status_of(&self->c, h);
		seq = st.seq;
		EXPECT_LE(done, st.done);
		done = st.done;
		EXPECT_EQ(0, done % 65536);
		if (done)
			EXPECT_EQ(AOP_BLK_MAX, st.total);
		if (st.state == AOP_RUNNING)
			abi_wait_one(&self->c, h, AOP_EV_CHANGE, seq);
	} while (st.state == AOP_RUNNING);
	EXPECT_EQ(AOP_DONE, st.state);
	EXPECT_EQ(AOP_BLK_MAX - 65536, done);
	close(fd);
}

TEST_F(blk, K5_errors_of_the_block_layer_become_its_errnos)
{
	struct aop_status st;
	char byte;

	/* The host's side refuses this sector. */
	st = end_of(begin(self->dev, self->disk, BAD - 512, 1024));
	EXPECT_EQ(AOP_FAILED, st.state);
	EXPECT_EQ(-EIO, st.result);
	EXPECT_EQ(0, pread(self->dev, &byte, 1, 0));
	st = end_of(begin(self->dev, self->disk, BAD + 512, 1024));
	EXPECT_EQ(AOP_DONE, st.state);
	/* In the middle of a longer one, with progress up to there. */
	st = end_of(begin(self->dev, self->disk, BAD - 131072, 262144));
	EXPECT_EQ(AOP_FAILED, st.state);
	EXPECT_EQ(-EIO, st.result);
	EXPECT_EQ(131072, st.done);
	/* Behind the end of the disk. */
	st = end_of(begin(self->dev, self->disk, SIZE, 512));
	EXPECT_EQ(AOP_FAILED, st.state);
	EXPECT_EQ(-EIO, st.result);
}

TEST_F(blk, C2_C3_cancel_while_bios_are_on_their_way)
{
	int i, cancelled = 0;

	for (i = 0; i < 20; i++) {
		int fd = begin(self->dev, self->disk, 0, AOP_BLK_MAX);
		struct aop_status st;
		uint64_t h;
		int ret;

		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, abi_attach_fd(&self->c, fd, 0, 0, 0, &h));
		ret = abi_cancel(&self->c, h, -EINTR);
		st = end_of(fd);
		EXPECT_TRUE(ret == AOP_ASKED || ret == AOP_TOO_LATE);
		if (st.state == AOP_CANCELLED) {
			EXPECT_EQ(-EINTR, st.result);
			cancelled++;
		} else {
			EXPECT_EQ(AOP_DONE, st.state);
		}
		EXPECT_EQ(0, abi_detach(&self->c, h, 0));
	}
	EXPECT_LT(0, cancelled);
}

TEST_F(blk, K1_closing_while_bios_are_on_their_way)
{
	struct aop_status st;
	int i;

	for (i = 0; i < 10; i++) {
		int dev = driver_open(AOP_BLK_DEVICE);
		int fd = begin(dev, self->disk, 0, AOP_BLK_MAX);

		ASSERT_GE(fd, 0);
		EXPECT_EQ(-EBUSY, begin(dev, self->disk, 0, 512));
		close(dev);
		st = end_of(fd);
		EXPECT_EQ(AOP_DONE, st.state);
	}
}

TEST_F(blk, K8_what_is_refused)
{
	int null = open("/dev/null", O_RDONLY), write_only = open(DISK, O_WRONLY);

	EXPECT_EQ(-ENOTBLK, begin(self->dev, null, 0, 512));
	EXPECT_EQ(-EBADF, begin(self->dev, write_only, 0, 512));
	EXPECT_EQ(-EBADF, begin(self->dev, -1, 0, 512));
	EXPECT_EQ(-EINVAL, begin(self->dev, self->disk, 0, 0));
	EXPECT_EQ(-EINVAL, begin(self->dev, self->disk, 100, 512));
	EXPECT_EQ(-EINVAL, begin(self->dev, self->disk, 0, 100));
	EXPECT_EQ(-EINVAL, begin(self->dev, self->disk, 0, AOP_BLK_MAX + 512));
	close(null);
	close(write_only);
}

TEST_HARNESS_MAIN
