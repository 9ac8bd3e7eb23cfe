// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A worker thread counts; the main thread shows how far it is, and gives up.
 */
#include <pthread.h>
#include <stdio.h>
#include <aop.h>

static void *count(void *arg)
{
	struct aop_owner *job = arg;
	uint64_t i, n = 1000;

	if (aop_start(job) < 0)			/* cancelled before it began */
		return NULL;
	for (i = 0; i < n && !aop_wait_asked(job, AOP_MS(1)); i++)
		aop_progress(job, i + 1, n);
	if (i == n)
		aop_done(job, i);
	else
		aop_cancelled(job, 0);		/* with the reason that was given */
	return NULL;
}

int main(void)
{
	struct aop op;
	pthread_t thread;
	uint32_t seq = 0;
	int64_t result, until = aop_until(aop_now() + AOP_MS(300));

	aop_init(&op, AOP_LOCAL);
	if (pthread_create(&thread, NULL, count, aop_owner(&op)))
		return 1;

	while (aop_wait_change(&op, &seq, until) == 0 && !aop_is_final(&op)) {
		struct aop_status st = aop_status(&op);

		printf("\r%llu/%llu", (unsigned long long)st.done,
		       (unsigned long long)st.total);
	}
	aop_cancel(&op, -ETIMEDOUT);
	result = aop_join(&op);			/* op is ours again: it may go */
	printf("\n%lld\n", (long long)result);
	pthread_join(thread, NULL);
	return result == 1000 || result == -ETIMEDOUT ? 0 : 1;
}
