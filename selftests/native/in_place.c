// SPDX-License-Identifier: GPL-2.0
/*
 * The calls of private ops that are compiled in place do what the functions of the same
 * name do, in every mixture with each other, and whatever comes next (O4, W5).
 *
 * A life is a number: each decimal digit says what happens next, and of each call it says
 * which of the two is made.  What is seen is written down, and compared.
 */
#include <stdio.h>
#include <string.h>

#include "any.h"

/* Who makes the calls. */
struct way {
	int (*init)(struct aop *op, struct aop_ctx *where);
	struct aop_owner *(*owner)(struct aop *op);
	int (*watch)(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
		     struct aop_exec *where);
	int (*then)(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
		    struct aop_exec *where);
};

static int init_in_place(struct aop *op, struct aop_ctx *where)
{
	return aop_init(op, where);
}

static struct aop_owner *owner_in_place(struct aop *op)
{
	return aop_owner(op);
}

static int watch_in_place(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
			  struct aop_exec *where)
{
	return aop_watch(op, w, fn, data, where);
}

static int then_in_place(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
			 struct aop_exec *where)
{
	return aop_then(op, w, fn, data, where);
}

/* The address of a function is the function's, not that of what is compiled in place. */
static const struct way ways[] = {
	{ aop_init, aop_owner, aop_watch, aop_then },
	{ init_in_place, owner_in_place, watch_in_place, then_in_place },
	{ init_in_place, aop_owner, aop_watch, then_in_place },
	{ aop_init, owner_in_place, watch_in_place, aop_then },
};

struct notes {
	char text[1024];
	size_t len;
};

static void note(struct notes *n, const char *what, int64_t value)
{
	n->len += snprintf(n->text + n->len, sizeof(n->text) - n->len, " %s=%lld", what,
			   (long long)value);
	if (n->len >= sizeof(n->text))
		abort();
}

static void called(struct aop_watch *w, const struct aop_status *st)
{
	struct notes *n = w->data;

	note(n, "call", st->state);
	note(n, "seq", st->seq);
	note(n, "result", st->result);
}

enum { WATCH, THEN, START, PROGRESS, UNWATCH, HOLD, CANCEL, ASKED, END, DROP, STEPS };

static void live(const struct way *way, unsigned int steps, struct notes *n)
{
	struct aop_watch w[2], asked;
	struct aop_status s;
	unsigned int step, nr = 0, held = 1;
	bool owner = true, on_asked = false;
	struct aop op;

	memset(&op, 0xee, sizeof(op));
	memset(w, 0xee, sizeof(w));
	note(n, "init", way->init(&op, AOP_PRIVATE));
	for (; steps; steps /= STEPS) {
		step = steps % STEPS;
		if ((step == WATCH || step == THEN) && nr < 2) {
			note(n, "watch", (step == WATCH ? way->watch : way->then)
			     (&op, &w[nr], called, n, AOP_INLINE));
			nr++;
		} else if (step == START && owner) {
			note(n, "start", aop_start(way->owner(&op)));
		} else if (step == PROGRESS && owner) {
			note(n, "progress", aop_progress(way->owner(&op), steps, 0));
		} else if (step == UNWATCH && nr) {
			note(n, "unwatch", aop_try_unwatch(&w[--nr]));
		} else if (step == HOLD) {
			note(n, "hold", aop_hold(&op) == &op);
			held++;
		} else if (step == CANCEL) {
			note(n, "cancel", aop_cancel(&op, -77));
		} else if (step == ASKED && owner && !on_asked) {
			note(n, "asked", aop_on_asked(way->owner(&op), &asked, called, n,
						      AOP_INLINE));
			on_asked = true;
		} else if (step == END && owner) {
			note(n, "done", aop_done(way->owner(&op), steps));
		} else if (step == DROP && held > 1) {
			note(n, "drop", aop_drop(&op));
			held--;
		}
		owner = way->owner(&op);
		s = aop_status(&op);
		note(n, "is", s.state);
		note(n, "flags", s.flags);
		note(n, "at", s.seq);
	}
	if (owner)
		note(n, "end", aop_end(way->owner(&op), -5));
	while (held--)
		note(n, "gone", aop_drop(&op));
	note(n, "owner", !!way->owner(&op));
}

TEST(all_ways_are_one)
{
	static struct notes first, other;
	unsigned int steps, w;

	/* All lives of five steps. */
	for (steps = 0; steps < 100000; steps++) {
		first.len = 0;
		live(&ways[0], steps, &first);
		for (w = 1; w < sizeof(ways) / sizeof(*ways); w++) {
			other.len = 0;
			live(&ways[w], steps, &other);
			ASSERT_STREQ(first.text, other.text)
				TH_LOG("way %u, steps %05u, backwards", w, steps);
		}
	}
}

TEST(other_scopes_and_bad_arguments_go_to_the_function)
{
	struct aop_watch w;
	struct aop op;

	EXPECT_EQ(-EINVAL, aop_init(&op, NULL));
	EXPECT_EQ(NULL, aop_owner(&op));
	EXPECT_EQ(-EINVAL, aop_result(&op));
	EXPECT_EQ(0, aop_init(&op, AOP_LOCAL));
	EXPECT_EQ(-EINVAL, aop_watch(&op, &w, NULL, NULL, AOP_INLINE));
	aop_unwatch(&w);
	EXPECT_EQ(-EINVAL, aop_then(NULL, &w, called, NULL, AOP_INLINE));
	aop_unwatch(&w);
	EXPECT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(1, aop_drop(&op));
	EXPECT_EQ(0, aop_init(&op, AOP_PRIVATE));
	EXPECT_EQ(-EINVAL, aop_watch(&op, &w, NULL, NULL, AOP_INLINE));
	EXPECT_EQ(-EINVAL, aop_then(NULL, &w, called, NULL, AOP_INLINE));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(1, aop_drop(&op));
}

TEST_HARNESS_MAIN
