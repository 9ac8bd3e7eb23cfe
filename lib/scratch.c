// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * scratch.c - memory of a thread for calls on more ops than fit on the stack
 *
 * It grows to the largest call that the thread made and is freed with the thread.
 * Whoever uses it is done with it before he calls anything that might use it too.
 */
#include <pthread.h>
#include <stdlib.h>

#include "internal.h"

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int no_key;

static void make_key(void)
{
	no_key = pthread_key_create(&key, free);
}

void *scratch(size_t size)
{
	static TLS size_t have;
	void *p;

	pthread_once(&once, make_key);
	if (no_key)
		return NULL;
	p = pthread_getspecific(key);
	if (p && size <= have)
		return p;
	p = realloc(p, size);
	if (!p)
		return NULL;
	have = size;
	if (pthread_setspecific(key, p)) {
		free(p);
		p = NULL;
	}
	return p;
}
