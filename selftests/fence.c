// SPDX-License-Identifier: GPL-2.0
/*
 * Operations that end when a fence does: real ones, of vgem (a device without
 * hardware, whose fences its user signals), or of sw_sync where the kernel has that
 * (those of `make check-debug`).  import.c has what holds for all imports.
 */
#include "behave.h"
#include "sw_sync.h"

#include <linux/dma-buf.h>
#include <sys/ioctl.h>

/* From the kernel's drm.h, drm_mode.h and vgem_drm.h, which Debian ships with libdrm. */
struct dumb {
	uint32_t height, width, bpp, flags;
	uint32_t handle, pitch;
	uint64_t size;
};

struct prime {
	uint32_t handle, flags;
	int32_t fd;
};

struct vgem_attach {
	uint32_t handle, flags, out_fence, pad;
};

struct vgem_signal {
	uint32_t fence, flags;
};

#define DUMB_CREATE	_IOWR('d', 0xb2, struct dumb)
#define PRIME_TO_FD	_IOWR('d', 0x2d, struct prime)
#define VGEM_ATTACH	_IOWR('d', 0x41, struct vgem_attach)
#define VGEM_SIGNAL	_IOW('d', 0x42, struct vgem_signal)
#define VGEM_WRITE	0x1

FIXTURE(fence) {
	struct abi_ctx c;
	int dev;
	int sync;	/* the file of the fence */
	bool sw;
	uint32_t vgem;	/* its number there */
};

static int vgem_fence(FIXTURE_DATA(fence) *self)
{
	struct dumb dumb = { .height = 16, .width = 16, .bpp = 32 };
	struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW, .fd = -1 };
	struct prime prime = { .flags = O_CLOEXEC | O_RDWR };
	struct vgem_attach attach = { .flags = VGEM_WRITE };
	int ret;

	if (ioctl(self->dev, DUMB_CREATE, &dumb))
		return -errno;
	prime.handle = dumb.handle;
	if (ioctl(self->dev, PRIME_TO_FD, &prime))
		return -errno;
	attach.handle = dumb.handle;
	ret = ioctl(self->dev, VGEM_ATTACH, &attach) ? -errno : 0;
	self->vgem = attach.out_fence;
	if (!ret && ioctl(prime.fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export))
		ret = -errno;
	close(prime.fd);
	return ret ?: export.fd;
}

static int sw_fence(FIXTURE_DATA(fence) *self)
{
	struct sw_sync_create create = { .value = 1, .name = "aop" };

	return ioctl(self->dev, SW_SYNC_CREATE, &create) ? -errno : create.fence;
}

static int fire(FIXTURE_DATA(fence) *self)
{
	struct vgem_signal signal = { .fence = self->vgem };
	uint32_t one = 1;

	if (self->sw)
		return ioctl(self->dev, SW_SYNC_INC, &one) ? -errno : 0;
	return ioctl(self->dev, VGEM_SIGNAL, &signal) ? -errno : 0;
}

FIXTURE_SETUP(fence)
{
	self->sw = true;
	self->dev = open(SW_SYNC, O_RDWR | O_CLOEXEC);
	if (self->dev < 0) {
		self->sw = false;
		/* The modules of the guest's kernel are where scripts/kernel put them. */
		if (access("/dev/dri/card0", F_OK) &&
		    system("modprobe -d $HOME/.cache/aop/kernel-$(uname -r) vgem 2>&1"))
			SKIP(return, "neither sw_sync nor vgem");
		self->dev = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
	}
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, abi_open(&self->c, 256));
	self->sync = self->sw ? sw_fence(self) : vgem_fence(self);
	ASSERT_GE(self->sync, 0);
}

FIXTURE_TEARDOWN(fence)
{
	if (self->dev < 0)
		return;
	abi_close(&self->c);
	if (self->sync >= 0)
		close(self->sync);
	close(self->dev);
}

static uint64_t import(struct abi_ctx *c, int fd, uint64_t deadline)
{
	struct aop_ioc_import im = {
		.size = sizeof(im), .fd = fd, .mask = AOP_EV_FINAL, .deadline = deadline,
	};

	return ioctl(c->fd, AOP_IOC_IMPORT, &im) ? 0 : im.handle;
}

static long long end_of(struct abi_ctx *c, uint64_t handle)
{
	if (abi_wait_one(c, handle, AOP_EV_OVER, 0) != AOP_EV_OVER)
		return -EPROTO;
	return status_of(c, handle).result;
}

TEST_F(fence, W2_signalled)
{
	uint64_t a = import(&self->c, self->sync, 0), b = import(&self->c, self->sync, 0);

	ASSERT_NE(0, a);
	ASSERT_NE(0, b);
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, a));
	ASSERT_EQ(0, fire(self));
	EXPECT_EQ(0, end_of(&self->c, a));
	EXPECT_EQ(AOP_DONE, abi_state(&self->c, a));
	EXPECT_EQ(0, end_of(&self->c, b));
	/* One that was signalled before: at once. */
	a = import(&self->c, self->sync, 0);
	EXPECT_EQ(0, end_of(&self->c, a));
	EXPECT_EQ(AOP_DONE, abi_state(&self->c, a));
}

/* The op holds the fence, not the file. */
TEST_F(fence, K5_file_closed)
{
	uint64_t h = import(&self->c, self->sync, 0);

	ASSERT_NE(0, h);
	close(self->sync);
	self->sync = -1;
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, h));
	ASSERT_EQ(0, fire(self));
	EXPECT_EQ(0, end_of(&self->c, h));
	EXPECT_EQ(AOP_DONE, abi_state(&self->c, h));
}

/* Who would have signalled it goes: vgem signals what is left, sw_sync with an error. */
TEST_F(fence, M6_device_closed)
{
	uint64_t h = import(&self->c, self->sync, 0);

	ASSERT_NE(0, h);
	close(self->dev);
	EXPECT_EQ(self->sw ? -ENOENT : 0, end_of(&self->c, h));
	EXPECT_EQ(self->sw ? AOP_FAILED : AOP_DONE, abi_state(&self->c, h));
	self->dev = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* The fence outlives what waited for it: cancelled, late, abandoned, closed with it. */
TEST_F(fence, C4_C5_M9_ended_before_it)
{
	uint64_t h = import(&self->c, self->sync, 0);

	ASSERT_NE(0, h);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, h, 0));
	EXPECT_EQ(-ECANCELED, end_of(&self->c, h));
	EXPECT_EQ(AOP_CANCELLED, abi_state(&self->c, h));
	h = import(&self->c, self->sync, 1);
	ASSERT_NE(0, h);
	EXPECT_EQ(-ETIMEDOUT, end_of(&self->c, h));
	h = import(&self->c, self->sync, 0);
	ASSERT_NE(0, h);
	EXPECT_EQ(0, abi_detach(&self->c, h, 0));
	ASSERT_NE(0, import(&self->c, self->sync, 0));
	abi_close(&self->c);
	EXPECT_EQ(0, fire(self));
	ASSERT_EQ(0, abi_open(&self->c, 256));
}

TEST_HARNESS_MAIN
