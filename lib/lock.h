/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.h - a futex lock of four bytes
 *
 * Held for a few lines, never across a callback.  The word is 0 free, 1 held,
 * 2 held and somebody may sleep.
 */
#ifndef AOP_LOCK_H
#define AOP_LOCK_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

struct lock {
	_Atomic uint32_t word;
};

static inline void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static inline void futex_wake(_Atomic uint32_t *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static inline bool lock_try(struct lock *l)
{
	uint32_t unlocked = 0;

	return atomic_compare_exchange_strong_explicit(&l->word, &unlocked, 1,
						       memory_order_acquire,
						       memory_order_relaxed);
}

static inline void lock_take(struct lock *l)
{
	if (lock_try(l))
		return;
	while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire))
		futex_wait(&l->word, 2);
}

static inline void lock_drop(struct lock *l)
{
	if (atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2)
		futex_wake(&l->word, 1);
}

#endif /* AOP_LOCK_H */
