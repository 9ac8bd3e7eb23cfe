/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How often to repeat what is a matter of chance: less where KASAN and lockdep look
 * at each step, since a time limit holds for all kernels.
 */
#ifndef SELFTESTS_SLOW_H
#define SELFTESTS_SLOW_H

#include <stdbool.h>
#include <string.h>
#include <sys/utsname.h>

/* scripts/kernel calls its kernels so. */
static inline bool slow_kernel(void)
{
	struct utsname u;

	return !uname(&u) && strstr(u.release, "-aop-");
}

static inline int rounds(int n)
{
	return slow_kernel() ? n / 10 : n;
}

#endif /* SELFTESTS_SLOW_H */
