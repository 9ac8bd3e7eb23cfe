// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * wheel.c - a hierarchical timing wheel, exact to the nanosecond
 *
 * A level has 64 slots, and each slot of a level is as long as the level below it: 1
 * ns, 64 ns, 4 us, 262 us, 17 ms, 1 s, 69 s ...  A node stands on the level of the
 * highest six bits in which its key differs from `base`, in the slot that these bits
 * name.  So adding, taking out and moving cost the same few instructions for any
 * number of nodes, and what is due after `base` stands in slots after it.
 *
 * Time goes on: slots that are passed as a whole have expired; the nodes of a slot that
 * `base` has come into go down to lower levels, though not before the earliest of them
 * is due, which is what `min` is for: most timers never expire, and then are never
 * touched.  Nodes leave in the order of their keys, equal ones in the order in which
 * they were added: a passed slot's are sorted by merging the runs that are found in it,
 * and since timers mostly are set in the order in which they expire there is one run.
 *
 * Moving a node to a later time only writes that down: it is looked at when it would
 * have expired, and put where it belongs by then.
 */
#include "internal.h"
#include "wheel.h"

static void list_append(struct wheel_list *l, struct wheel_node *n)
{
	n->next = NULL;
	n->prev = l->last;
	if (l->last)
		l->last->next = n;
	else
		l->first = n;
	l->last = n;
}

static void list_remove(struct wheel_list *l, struct wheel_node *n)
{
	if (n->prev)
		n->prev->next = n->next;
	else
		l->first = n->next;
	if (n->next)
		n->next->prev = n->prev;
	else
		l->last = n->prev;
}

void wheel_init(struct wheel *w, int64_t now)
{
	w->base = now;
	w->next = WHEEL_NEVER;
}

/* n->key is after base. */
static void put(struct wheel *w, struct wheel_node *n)
{
	uint64_t differ = (uint64_t)n->key ^ (uint64_t)w->base;
	unsigned int level = (63 - __builtin_clzll(differ)) / WHEEL_BITS;
	unsigned int slot = (uint64_t)n->key >> (level * WHEEL_BITS) & (WHEEL_SLOTS - 1);
	unsigned int at = level * WHEEL_SLOTS + slot;
	uint64_t bit = UINT64_C(1) << slot;

	if (!(w->full[level] & bit)) {
		w->full[level] |= bit;
		w->levels |= 1u << level;
		w->min[at] = n->key;
	} else if (n->key < w->min[at]) {
		w->min[at] = n->key;
	}
	if (n->key < w->next)
		w->next = n->key;
	n->place = at + 1;
	list_append(&w->slots[at], n);
}

static void empty(struct wheel *w, unsigned int at)
{
	unsigned int level = at / WHEEL_SLOTS;

	w->full[level] &= ~(UINT64_C(1) << at % WHEEL_SLOTS);
	if (!w->full[level])
		w->levels &= ~(1u << level);
}

void wheel_add(struct wheel *w, struct wheel_node *n, int64_t when)
{
	n->key = when;
	n->when = when;
	if (likely(when > w->base)) {
		put(w, n);
		return;
	}
	n->place = WHEEL_DUE;
	list_append(&w->due, n);
}

void wheel_del(struct wheel *w, struct wheel_node *n)
{
	unsigned int at = n->place - 1;

	if (n->place == WHEEL_DUE) {
		list_remove(&w->due, n);
	} else {
		list_remove(&w->slots[at], n);
		if (!w->slots[at].first)
			empty(w, at);
		/* `min` and `next` stay: too early does no harm. */
	}
	n->place = 0;
	if (!w->levels)
		w->next = WHEEL_NEVER;
}

void wheel_move(struct wheel *w, struct wheel_node *n, int64_t when)
{
	if (when >= n->key && n->place != WHEEL_DUE) {
		n->when = when;
		return;
	}
	wheel_del(w, n);
	wheel_add(w, n, when);
}

/* Two lists, linked by next only, of which a's equals come first. */
static struct wheel_node *merge(struct wheel_node *a, struct wheel_node *b)
{
	struct wheel_node *first, **p = &first;

	while (a && b) {
		if (b->key < a->key) {
			*p = b;
			p = &b->next;
			b = b->next;
		} else {
			*p = a;
			p = &a->next;
			a = a->next;
		}
	}
	*p = a ? a : b;
	return first;
}

/* Cut the run off that *rest begins with. */
static struct wheel_node *cut_run(struct wheel_node **rest)
{
	struct wheel_node *run = *rest, *n = run;

	while (n->next && n->next->key >= n->key)
		n = n->next;
	*rest = n->next;
	n->next = NULL;
	return run;
}

/* The runs in it are merged pairwise: stack[i] holds 2^i of them, older ones above. */
static void sort(struct wheel_list *l)
{
	struct wheel_node *stack[64] = { NULL }, *rest = l->first, *n, *prev = NULL;
	unsigned int i, top = 0;

	while (rest) {
		n = cut_run(&rest);
		for (i = 0; stack[i]; i++) {
			n = merge(stack[i], n);
			stack[i] = NULL;
		}
		stack[i] = n;
		if (i > top)
			top = i;
	}
	for (n = NULL, i = 0; i <= top; i++)
		if (stack[i])
			n = merge(stack[i], n);
	l->first = n;
	for (; n; n = n->next) {
		n->prev = prev;
		prev = n;
	}
	l->last = prev;
}

/* A slot whose earliest node is due: the rest goes where it now belongs. */
static void spill(struct wheel *w, unsigned int at, int64_t now, struct wheel_list *expired,
		  bool *in_order)
{
	struct wheel_node *n = w->slots[at].first, *next;

	w->slots[at].first = NULL;
	w->slots[at].last = NULL;
	empty(w, at);
	for (; n; n = next) {
		next = n->next;
		__builtin_prefetch(next);
		n->key = n->when;
		if (n->key > now) {
			put(w, n);
			continue;
		}
		if (expired->last && expired->last->key > n->key)
			*in_order = false;
		n->place = WHEEL_DUE;
		list_append(expired, n);
	}
}

void wheel_advance(struct wheel *w, int64_t now)
{
	struct wheel_list expired = { NULL, NULL };
	uint32_t levels = w->levels;
	bool in_order = true;
	unsigned int level, at;
	uint64_t full;

	if (now < w->base)
		return;
	w->base = now;
	if (now < w->next)
		return;

	/* From the top, since what spills goes further down, and is not due yet. */
	while (levels) {
		level = 31 - __builtin_clz(levels);
		levels &= ~(1u << level);
		for (full = w->full[level]; full; full &= full - 1) {
			at = level * WHEEL_SLOTS + __builtin_ctzll(full);
			if (w->min[at] > now)
				break;
			spill(w, at, now, &expired, &in_order);
		}
	}
	w->next = WHEEL_NEVER;
	for (levels = w->levels; levels; levels &= levels - 1) {
		level = __builtin_ctz(levels);
		at = level * WHEEL_SLOTS + __builtin_ctzll(w->full[level]);
		if (w->min[at] < w->next)
			w->next = w->min[at];
	}
	if (!expired.first)
		return;
	if (!in_order)
		sort(&expired);
	/* Those that were due before are earlier. */
	if (w->due.last) {
		w->due.last->next = expired.first;
		expired.first->prev = w->due.last;
		w->due.last = expired.last;
	} else {
		w->due = expired;
	}
}

struct wheel_node *wheel_any(struct wheel *w)
{
	unsigned int level;

	if (w->due.first || !w->levels)
		return w->due.first;
	level = __builtin_ctz(w->levels);
	return w->slots[level * WHEEL_SLOTS + __builtin_ctzll(w->full[level])].first;
}
