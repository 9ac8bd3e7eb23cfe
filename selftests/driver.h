/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests with drivers share: the sample drivers and the driver of the tests.
 */
#ifndef SELFTESTS_DRIVER_H
#define SELFTESTS_DRIVER_H

#include "behave.h"
#include "driver_call.h"

/* With PREEMPT_RT nothing of aop may be called from a true hard interrupt. */
static inline bool is_rt(void)
{
	struct utsname u;

	return !uname(&u) && strstr(u.version, "PREEMPT_RT");
}

/* What the driver has been told of an op. */
struct told {
	int cancels;
	int releases;
	uint32_t why;
};

static inline struct told told(int dev, uint32_t index)
{
	struct selftest_call c = { .what = SELFTEST_OWNER_SEEN, .index = index };

	call(dev, &c);
	return (struct told) { c.value, c.total, c.mask };
}

/* Callbacks come from work items: look again until there have been as many. */
static inline struct told until_told(int dev, uint32_t index, int cancels, int releases)
{
	struct told t;

	do {
		t = told(dev, index);
	} while ((t.cancels < cancels || t.releases < releases) && !sched_yield());
	return t;
}

/* What a watch of the driver has seen. */
struct seen {
	int calls;
	uint32_t seq;
	uint32_t word;
	uint32_t repeats;
};

static inline struct seen seen(int dev, uint32_t index)
{
	struct selftest_call c = { .what = SELFTEST_WATCH_SEEN, .index = index };

	call(dev, &c);
	return (struct seen) { c.value, c.total, c.mask, c.flags };
}

static inline struct seen until_seen(int dev, uint32_t index, int calls)
{
	struct seen s;

	do {
		s = seen(dev, index);
	} while (s.calls < calls && !sched_yield());
	return s;
}

static inline void until_at_gate(int dev)
{
	while (drive(dev, 0, SELFTEST_AT_GATE, 0) < 1)
		sched_yield();
}

#endif /* SELFTESTS_DRIVER_H */
