/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the two sample drivers offer to user space.
 */
#ifndef AOP_SAMPLES_H
#define AOP_SAMPLES_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define AOP_DMA_DEVICE	"/dev/aop_dma_sample"
#define AOP_BLK_DEVICE	"/dev/aop_blk_sample"

/**
 * struct aop_dma_transfer - queue a transfer
 * @bytes: how many; every tick of the engine moves some
 * @deadline: ns of CLOCK_MONOTONIC, or 0
 * @data: for the slot of the handle
 * @aop_fd: an open /dev/aop, to get a handle; -1: to get a descriptor
 * @mask: AOP_EV_* that queue the handle's slot
 * @handle: out: with @aop_fd
 * @fd: out: without it
 * @pad: 0
 */
struct aop_dma_transfer {
	__aligned_u64 bytes;
	__aligned_u64 deadline;
	__aligned_u64 data;
	__s32 aop_fd;
	__u32 mask;
	__aligned_u64 handle;
	__s32 fd;
	__u32 pad;
};

/**
 * struct aop_blk_read - read a range of a block device into the file's buffer
 * @offset: in bytes, a multiple of the device's block size
 * @bytes: the same, at most AOP_BLK_MAX
 * @device: a descriptor of the block device, open for reading
 * @fd: out: of the op; once that is AOP_DONE, read(2) gives the data
 */
struct aop_blk_read {
	__aligned_u64 offset;
	__aligned_u64 bytes;
	__s32 device;
	__s32 fd;
};

#define AOP_BLK_MAX	0x100000

#define AOP_DMA_IOC_TRANSFER	_IO('d', 0x90)	/* struct aop_dma_transfer */
#define AOP_BLK_IOC_READ	_IO('d', 0x91)	/* struct aop_blk_read */

#endif /* AOP_SAMPLES_H */
