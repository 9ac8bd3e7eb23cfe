/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests of the loop: the same test on both engines.
 */
#ifndef SELFTESTS_NATIVE_LOOP_H
#define SELFTESTS_NATIVE_LOOP_H

#include "lib.h"

#define LOOP_VARIANTS(fixture)							\
	FIXTURE_VARIANT(fixture) { uint32_t flags; const char *engine; };	\
	FIXTURE_VARIANT_ADD(fixture, epoll) {					\
		.flags = AOP_EPOLL, .engine = "epoll",				\
	};									\
	FIXTURE_VARIANT_ADD(fixture, uring) {					\
		.flags = AOP_URING, .engine = "io_uring",			\
	};									\
	FIXTURE_VARIANT_ADD(fixture, epoll_any_thread) {			\
		.flags = AOP_EPOLL | AOP_ANY_THREAD, .engine = "epoll",		\
	};									\
	FIXTURE_VARIANT_ADD(fixture, uring_any_thread) {			\
		.flags = AOP_URING | AOP_ANY_THREAD, .engine = "io_uring",	\
	}

/* The system may refuse io_uring: a loop that insists says so, and there is no test. */
#define LOOP_OPEN(loop) do {								\
	struct aop_loop_opts opts_ = { .size = sizeof(opts_), .flags = variant->flags };	\
	int ret_ = aop_loop_open(&(loop), &opts_);					\
											\
	if (variant->flags & AOP_URING && (ret_ == -EPERM || ret_ == -ENOSYS))		\
		SKIP(return, "io_uring is refused");					\
	ASSERT_EQ(0, ret_);								\
	ASSERT_STREQ(variant->engine, aop_loop_engine(loop));				\
} while (0)

static inline bool loop_under_valgrind(void)
{
	const char *v = getenv("AOP_NATIVE");

	return v && !strcmp(v, "memcheck");
}

/* ... which is slow. */
static inline int loop_rounds(int n)
{
	return loop_under_valgrind() ? (n + 19) / 20 : n;
}

/* Time that passes on command. */
struct fake_clock {
	int64_t now;
	int advanced;
};

static inline int64_t fake_now(void *data)
{
	return ((struct fake_clock *)data)->now;
}

static inline void fake_advance(void *data, int64_t until)
{
	struct fake_clock *c = data;

	c->now = until;
	c->advanced++;
}

#endif /* SELFTESTS_NATIVE_LOOP_H */
