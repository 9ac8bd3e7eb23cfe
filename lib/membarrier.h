/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * membarrier.h - full barriers of which one side pays for both
 *
 * Where one side is in a hurry and the other goes to sleep anyway, the latter has the
 * kernel run a full barrier on every processor that runs a thread of this process; the
 * former only keeps its own order, which barrier_light() tells the compiler.
 */
#ifndef AOP_MEMBARRIER_H
#define AOP_MEMBARRIER_H

#include <stdatomic.h>
#include <stdbool.h>

/* Can barrier_heavy() be used?  Asks the kernel once. */
bool barrier_init(void);
void barrier_heavy(void);

static inline void barrier_light(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

#endif /* AOP_MEMBARRIER_H */
