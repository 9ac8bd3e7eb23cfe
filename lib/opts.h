/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * opts.h - option structs that carry their size
 */
#ifndef AOP_OPTS_H
#define AOP_OPTS_H

#include <errno.h>
#include <stdint.h>
#include <string.h>

/*
 * Copy the options of a caller that was compiled with an older or a newer header:
 * what he does not know is 0, what we do not know must be.
 */
static inline int opts_copy(void *to, uint32_t size, const void *from)
{
	uint32_t theirs = *(const uint32_t *)from;
	uint32_t i;

	if (theirs < 2 * sizeof(uint32_t))
		return -EINVAL;
	for (i = size; i < theirs; i++)
		if (((const char *)from)[i])
			return -E2BIG;
	memset(to, 0, size);
	memcpy(to, from, theirs < size ? theirs : size);
	return 0;
}

#endif /* AOP_OPTS_H */
