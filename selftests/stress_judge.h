/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What stress.c knows about each operation, in memory that all its processes share,
 * and how it judges an end by it.
 *
 * Who ends an operation writes down what it is going to say, then says it, then
 * writes down the answer.  Whoever may cause another end (cancels, moves the right
 * away, is killed) writes that down before as well.  So whatever a watcher sees can
 * be judged at once.  All fields are accessed atomically but for those that are
 * written before the one that announces them.
 */
#ifndef SELFTESTS_STRESS_JUDGE_H
#define SELFTESTS_STRESS_JUDGE_H

#include <stdarg.h>
#include <stdio.h>

#include "abi.h"

#define PROCESSES	6
#define DRIVERS		2
#define LIVES		256		/* of a process, one after the other */
#define MAX_OPS		131072
#define SLOTS		512
#define OWN		12		/* what a driver holds of each kind */
#define SEE		12
#define MAX_WATCHED	160		/* what the watcher of a process waits for */
#define RECENT		64

#define REASON		(-ENOLINK)	/* of every cancel */
#define NO_OP		UINT32_MAX	/* instead of a serial: a group */
#define WATCHED		0x10000000000ULL	/* in the data of a handle: the watcher's */

/* Reasons for an operation to end otherwise than its owner says. */
#define MAY_DIE		0x1		/* the right to drive is on its way, or let go */
#define MAY_CANCEL	0x2
#define MAY_EXPIRE	0x4

enum answer { NONE, FIRST, TOO_LATE };

/* What is known about an operation, by its serial number. */
struct truth {
	uint64_t id;
	uint64_t deadline;
	uint64_t seen;			/* digest of its end, by the first who saw it */
	int64_t said_result;
	uint32_t owner;			/* process and life; 0: on its way */
	uint32_t reasons;
	uint32_t said_state;		/* 0: nothing yet */
	uint32_t answer;		/* to the owner */
	uint32_t seen_as;		/* FIRST: what the owner said; TOO_LATE: not that */
};

static struct shared {
	uint32_t serials;		/* how many operations there were */
	uint32_t steps;			/* how many are left to take */
	uint32_t stop;
	uint32_t wrong;
	uint32_t seen;			/* ends that were looked at */
	uint32_t recent[RECENT];
	uint8_t dying[PROCESSES][LIVES];
	const char *doing[PROCESSES][DRIVERS + 1];
	struct truth ops[MAX_OPS];
} *sh;

static int mail[2];			/* [0]: everybody takes from it; [1]: everybody sends */
static int token[2];			/* something for the killer to do */

#define LOAD(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define STORE(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

__attribute__((format(printf, 1, 2)))
static void complain(const char *fmt, ...)
{
	char buf[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (__atomic_fetch_add(&sh->wrong, 1, __ATOMIC_RELAXED) < 20)
		fprintf(stderr, "wrong: %s\n", buf);
}

/* ---- chance ---------------------------------------------------------------- */

static uint64_t next(uint64_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng * 0x2545f4914f6cdd1dULL >> 16;
}

static uint32_t pick(uint64_t *rng, uint32_t n)
{
	return next(rng) % n;
}

static bool chance(uint64_t *rng, uint32_t percent)
{
	return pick(rng, 100) < percent;
}

static uint64_t seeded(uint64_t seed, uint32_t stream)
{
	uint64_t rng = (seed + 1) * 0x9e3779b97f4a7c15ULL ^ (stream + 1) * 0xbf58476d1ce4e5b9ULL;
	int i;

	rng |= 1;
	for (i = 0; i < 8; i++)
		next(&rng);
	return rng;
}

/* ---- judging an end ---------------------------------------------------------- */

static uint64_t digest(const struct aop_status *st)
{
	const uint64_t part[] = {
		st->state, st->flags & ~AOP_F_OVER, (uint32_t)st->reason, st->result, st->done,
		st->total, st->time, st->id,
	};
	uint64_t h = 0xcbf29ce484222325ULL;
	unsigned int i;

	for (i = 0; i < sizeof(part) / sizeof(*part); i++)
		h = (h ^ part[i]) * 0x100000001b3ULL ^ h >> 29;
	return h | 1;
}

static bool may_be_dead(const struct truth *t)
{
	uint32_t owner = LOAD(&t->owner);

	return LOAD(&t->reasons) & MAY_DIE || !owner ||
	       LOAD(&sh->dying[(owner >> 16) - 1][owner & 0xffff]);
}

static bool is_what_was_said(const struct truth *t, const struct aop_status *st)
{
	return LOAD(&t->said_state) == st->state && !(st->flags & AOP_F_SYSTEM) &&
	       t->said_result == st->result;
}

static bool has_a_cause(const struct truth *t, const struct aop_status *st)
{
	uint32_t reasons = LOAD(&t->reasons);

	if (is_what_was_said(t, st))
		return true;
	switch (st->state) {
	case AOP_CANCELLED:
		return reasons & MAY_CANCEL && st->flags & AOP_F_ASKED &&
		       (st->result == REASON || st->result == -ECANCELED);
	case AOP_FAILED:
		if (!(st->flags & AOP_F_SYSTEM))
			return false;
		if (st->result == -ETIMEDOUT)
			return reasons & MAY_EXPIRE && st->time >= t->deadline;
		return st->result == -EOWNERDEAD && may_be_dead(t);
	}
	return false;
}

/* Somebody sees the end of operation @serial. */
static void judge(uint32_t serial, const struct aop_status *st)
{
	struct truth *t;
	uint64_t d = digest(st), was = 0;

	if (serial == NO_OP)
		return;
	t = &sh->ops[serial];
	if (st->id != LOAD(&t->id) && LOAD(&t->id))
		complain("op %u: another's status", serial);
	if (!has_a_cause(t, st))
		complain("op %u: state %u flags %#x result %lld has no cause: said %u %lld %#x %#x",
			 serial, st->state, st->flags, (long long)st->result, t->said_state,
			 (long long)t->said_result, t->reasons, t->owner);
	if (__atomic_compare_exchange_n(&t->seen, &was, d, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		STORE(&t->seen_as, is_what_was_said(t, st) ? FIRST : TOO_LATE);
	else if (was != d)
		complain("op %u: two watchers saw two ends", serial);
	__atomic_fetch_add(&sh->seen, 1, __ATOMIC_RELAXED);
}

/* When all is over: what owners were answered is what watchers saw. */
static void judge_answers(uint32_t *first, uint32_t *late)
{
	uint32_t i;

	for (i = 0; i < sh->serials && i < MAX_OPS; i++) {
		const struct truth *t = &sh->ops[i];

		*first += t->answer == FIRST;
		*late += t->answer == TOO_LATE;
		if (t->answer != NONE && t->seen_as != NONE && t->answer != t->seen_as)
			complain("op %u: its owner was answered %u, watchers saw %u", i,
				 t->answer, t->seen_as);
	}
}

#endif /* SELFTESTS_STRESS_JUDGE_H */
