/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fences that user space signals: of drivers/dma-buf/sw_sync.c, which has no uapi header.
 */
#ifndef SELFTESTS_SW_SYNC_H
#define SELFTESTS_SW_SYNC_H

#include <stdint.h>
#include <sys/ioctl.h>

struct sw_sync_create {
	uint32_t value;
	char name[32];
	int32_t fence;
};

#define SW_SYNC_CREATE	_IOWR('W', 0, struct sw_sync_create)
#define SW_SYNC_INC	_IOW('W', 1, uint32_t)
#define SW_SYNC		"/sys/kernel/debug/sync/sw_sync"

#endif /* SELFTESTS_SW_SYNC_H */
