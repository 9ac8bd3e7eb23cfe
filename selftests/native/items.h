/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Streams of ints, as tests use them: push() and pop() never wait.
 */
#ifndef SELFTESTS_NATIVE_ITEMS_H
#define SELFTESTS_NATIVE_ITEMS_H

#include <aop/stream.h>
#include <errno.h>

static inline int push(struct aop_sender *tx, int i)
{
	return aop_stream_try_push(tx, &i, sizeof(i));
}

/* The next item; or what the stream says instead, below -1000. */
static inline int pop(struct aop_receiver *rx)
{
	int i, ret = aop_stream_try_pop(rx, &i, sizeof(i));

	return ret == 1 ? i : ret - 1000;
}

#define NOTHING		(-EAGAIN - 1000)
#define OVER		(0 - 1000)
#define ERROR(e)	((e) - 1000)

#endif /* SELFTESTS_NATIVE_ITEMS_H */
