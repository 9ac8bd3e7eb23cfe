/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wheel.h - a hierarchical timing wheel, exact to the nanosecond
 *
 * See wheel.c.  One thread uses a wheel; no locks.
 */
#ifndef AOP_WHEEL_H
#define AOP_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_BITS	6
#define WHEEL_SLOTS	64			/* WHEEL_BITS of a time */
#define WHEEL_LEVELS	11			/* 66 bits: all of an int64_t */
#define WHEEL_NEVER	INT64_MAX
#define WHEEL_DUE	UINT16_MAX

struct wheel_node {
	struct wheel_node *next, *prev;
	int64_t key;				/* where it stands: not after `when` */
	int64_t when;				/* when it is due */
	void (*fn)(struct wheel_node *n);
	uint16_t place;				/* 0: nowhere; WHEEL_DUE; or 1 + number of a slot */
};

struct wheel_list {
	struct wheel_node *first, *last;
};

struct wheel {
	int64_t base;				/* all slots before it are empty */
	int64_t next;				/* no key is smaller; WHEEL_NEVER: none */
	uint32_t levels;			/* a bit for each level that has nodes */
	struct wheel_list due;			/* expired, in order */
	uint64_t full[WHEEL_LEVELS];		/* a bit for each slot that has nodes */
	int64_t min[WHEEL_LEVELS * WHEEL_SLOTS];	/* no key in the slot is smaller */
	struct wheel_list slots[WHEEL_LEVELS * WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, int64_t now);
void wheel_add(struct wheel *w, struct wheel_node *n, int64_t when);
void wheel_del(struct wheel *w, struct wheel_node *n);
/* n is in the wheel, and shall be due at another time. */
void wheel_move(struct wheel *w, struct wheel_node *n, int64_t when);
/* What is due at `now` goes to the end of w->due. */
void wheel_advance(struct wheel *w, int64_t now);
/* Some node that is left, or NULL. */
struct wheel_node *wheel_any(struct wheel *w);

static inline bool wheel_has(const struct wheel_node *n)
{
	return n->place;
}

#endif /* AOP_WHEEL_H */
