// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * membarrier.c - full barriers of which one side pays for both
 */
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "membarrier.h"

/* 0: not asked yet; 1: yes; 2: no.  Threads that ask at the same time get the same. */
static _Atomic int can;

static int membarrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0);
}

bool barrier_init(void)
{
	int is = atomic_load_explicit(&can, memory_order_relaxed);

	if (!is) {
		is = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) ? 2 : 1;
		atomic_store_explicit(&can, is, memory_order_relaxed);
	}
	return is == 1;
}

void barrier_heavy(void)
{
	if (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return;
	if (!membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
	    !membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return;
	/* It worked before: a filter forbids it now, and a wake-up could be lost. */
	fprintf(stderr, "libaop: membarrier() is not allowed any more\n");
	abort();
}
