// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * node.c - sleeping until local ops have come so far
 *
 * Who waits hangs a node into each op's list, on his stack, and sleeps on a gate.
 * Who changes an op takes the nodes that have what they wait for out of the list
 * with the word locked, publishes the change, and then opens their gates.  The op is
 * not touched for that any more, and may be gone: its waiter cannot leave before his
 * gate is open, but everybody else can.  Opening is one exchange, and after it the
 * gate is not touched: the futex call names only an address, at which by then nobody
 * may sleep, or somebody else, who looks again.
 *
 * No wake is lost: a waiter links his node with the word locked, and only if the
 * status of then does not have what he waits for; each later change locks the word
 * too, and finds the node.
 */
#include <errno.h>
#include <linux/time_types.h>
#include <sys/eventfd.h>

#include "local.h"

/* A time of 64 bits: on 32 bit it is a call of its own, whatever libc's time_t is. */
#ifdef SYS_futex_time64
#define FUTEX_TIME64	SYS_futex_time64
#else
#define FUTEX_TIME64	SYS_futex
#endif

enum { CLOSED, OPEN, SLEEPING };

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

/* The word is locked: until it is not, or may not be. */
void word_wait(struct op *op)
{
	uint32_t *word = &op->own.word;
	uint32_t w;
	int i;

	/* It is held for some instructions, if its holder runs. */
	for (i = 0; i < 50; i++) {
		w = __atomic_load_n(word, __ATOMIC_RELAXED);
		if (!(w & WORD_LOCK))
			return;
		relax();
	}
	while (!(w & WORD_CONTENDED)) {
		if (!(w & WORD_LOCK))
			return;
		if (__atomic_compare_exchange_n(word, &w, w | WORD_CONTENDED, true,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			w |= WORD_CONTENDED;
	}
	futex_wait((_Atomic uint32_t *)word, w);
}

void gate_open(struct gate *gate)
{
	_Atomic uint32_t *word = &gate->word;

	/* Release: with the op's end, all that the owner did.  Pairs with gate_wait(). */
	if (atomic_exchange_explicit(word, OPEN, memory_order_acq_rel) == SLEEPING)
		futex_wake(word, INT32_MAX);
}

int gate_wait(struct gate *gate, int64_t deadline)
{
	struct __kernel_timespec at = {
		.tv_sec = deadline / 1000000000,
		.tv_nsec = deadline % 1000000000,
	};
	uint32_t closed = CLOSED;
	long ret;

	if (!atomic_compare_exchange_strong_explicit(&gate->word, &closed, SLEEPING,
						     memory_order_acquire,
						     memory_order_acquire) && closed == OPEN)
		return 0;
	for (;;) {
		ret = syscall(FUTEX_TIME64, &gate->word, FUTEX_WAIT_BITSET_PRIVATE, SLEEPING,
			      deadline < 0 ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
		if (atomic_load_explicit(&gate->word, memory_order_acquire) == OPEN)
			return 0;
		if (ret < 0 && errno == ETIMEDOUT)
			return -ETIME;
	}
}

struct node *nodes_take(struct op *op, struct aop_status to, uint32_t *word)
{
	struct node **p = &op->waiters, *n, *fired = NULL;

	while ((n = *p)) {
		if (!status_reached(&to, op->own.seq, n->goal)) {
			p = &n->next;
			continue;
		}
		*p = n->next;
		n->linked = 0;
		n->next = fired;
		fired = n;
	}
	if (!op->waiters)
		*word &= ~WORD_WAITERS;
	return fired;
}

void nodes_wake(struct node *n)
{
	struct waiter *w;
	struct node *next;

	for (; n; n = next) {
		next = n->next;
		w = n->waiter;
		if (w && atomic_fetch_sub_explicit(&w->need, 1, memory_order_acq_rel) == 1) {
			if (w->fd >= 0)
				eventfd_write(w->fd, 1);
			gate_open(&w->gate);
		}
		gate_open(&n->gate);	/* w, too, may be gone now */
	}
}

bool node_link(struct node *n, struct op *op, const struct goal *g, struct waiter *w)
{
	struct aop_status s;
	uint32_t word;

	n->goal = g;
	n->waiter = w;
	n->op = NULL;
	atomic_init(&n->gate.word, CLOSED);
	word = word_lock(op, 0);
	s.word = word;
	if (status_reached(&s, op->own.seq, g)) {
		word_unlock(op, word);
		return false;
	}
	n->op = op;
	n->linked = 1;
	n->next = op->waiters;
	op->waiters = n;
	word_unlock(op, word | WORD_WAITERS);
	return true;
}

void node_unlink(struct node *n)
{
	struct op *op = n->op;
	struct node **p;
	uint32_t word;

	/* If it is open, nobody else knows the node any more. */
	if (!op || atomic_load_explicit(&n->gate.word, memory_order_acquire) == OPEN)
		return;
	word = word_lock(op, 0);
	if (!n->linked) {
		/* Taken, and about to be opened. */
		word_unlock(op, word);
		gate_wait(&n->gate, AOP_FOREVER);
		return;
	}
	for (p = &op->waiters; *p != n; p = &(*p)->next)
		;
	*p = n->next;
	if (!op->waiters)
		word &= ~WORD_WAITERS;
	word_unlock(op, word);
}
