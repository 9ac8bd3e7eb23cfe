/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One test source for private, local and shared scope (O6): only any_init() names
 * one.  In shared scope callbacks run when a context is dispatched, which
 * any_turn() does; in process they have run before it is called.  Without
 * /dev/aop the shared variants are skipped.
 */
#ifndef SELFTESTS_ANY_H
#define SELFTESTS_ANY_H

#include "lib.h"

enum any_scope { ANY_PRIVATE, ANY_LOCAL, ANY_SHARED };

struct any {
	enum any_scope scope;
	struct aop_ctx *where;		/* what aop_init() is given */
};

/* The fixture's first member is `struct any any`. */
#define ANY_VARIANTS(fixture)						\
	FIXTURE_VARIANT(fixture) { enum any_scope scope; };		\
	FIXTURE_VARIANT_ADD(fixture, private) { .scope = ANY_PRIVATE };	\
	FIXTURE_VARIANT_ADD(fixture, local) { .scope = ANY_LOCAL };	\
	FIXTURE_VARIANT_ADD(fixture, shared) { .scope = ANY_SHARED }

/* In FIXTURE_SETUP. */
#define ANY_SETUP()							\
	do {								\
		int any_ret_ = any_setup(&self->any, variant->scope);	\
									\
		if (any_ret_ == -ENODEV)				\
			SKIP(return, "no " AOP_DEVICE);			\
		ASSERT_EQ(0, any_ret_);					\
	} while (0)

static inline int any_setup(struct any *a, enum any_scope scope)
{
	a->scope = scope;
	if (scope == ANY_SHARED)
		return aop_ctx_open(&a->where, NULL);
	a->where = scope == ANY_PRIVATE ? AOP_PRIVATE : AOP_LOCAL;
	return 0;
}

static inline void any_teardown(struct any *a)
{
	if (a->scope == ANY_SHARED)
		aop_ctx_close(a->where);
}

/* All callbacks that are due have run afterwards. */
static inline void any_turn(struct any *a)
{
	if (a->scope == ANY_SHARED)
		while (aop_ctx_dispatch(a->where) > 0)
			;
}

/* For tests that need a second thread. */
#define ANY_THREADS()							\
	do {								\
		if (self->any.scope == ANY_PRIVATE)			\
			SKIP(return, "private: one thread");		\
	} while (0)

/* For tests that check assertions' job, which then abort. */
static inline bool any_asserts(void)
{
	const char *native = getenv("AOP_NATIVE");

	return native && !strcmp(native, "asan");
}

/* As many rounds of a race as this variant of the build can do in a second. */
static inline int any_rounds(int rounds)
{
	const char *native = getenv("AOP_NATIVE");

	if (!native || !strcmp(native, "memcheck"))
		return rounds / 20 + 1;
	return rounds;
}

#endif /* SELFTESTS_ANY_H */
