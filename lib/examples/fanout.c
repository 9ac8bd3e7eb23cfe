// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Fan out, fan in: sum up files on a thread pool, four at a time, all within five
 * seconds.
 *
 *	fanout FILE...
 */
#include <stdio.h>
#include <aop.h>

enum { LIMIT = 4 };

struct sums {
	struct aop_each each;
	struct aop_pool *pool;
	char **files;
	struct {
		struct aop_job job;
		char *name;
	} slot[LIMIT];
};

/* In a thread of the pool. */
static int64_t sum(struct aop_owner *job, void *arg)
{
	FILE *f = fopen(arg, "r");
	int64_t n = 0;
	int c;

	if (!f)
		return -errno;
	while ((c = getc(f)) != EOF && !aop_asked(job))
		n += c;
	fclose(f);
	return c == EOF ? n : -ECANCELED;
}

/* Begin one more. */
static struct aop *next(struct aop_each *e, unsigned int slot)
{
	struct sums *s = aop_container(e, struct sums, each);

	if (!*s->files)
		return NULL;
	s->slot[slot].name = *s->files++;
	return aop_pool_run(s->pool, &s->slot[slot].job, sum, s->slot[slot].name);
}

/* One has ended. */
static int done(struct aop_each *e, unsigned int slot, int64_t result)
{
	struct sums *s = aop_container(e, struct sums, each);

	printf("%s: %lld\n", s->slot[slot].name, (long long)result);
	return 0;
}

int main(int argc, char **argv)
{
	char *me = argv[0];
	struct aop_member members[LIMIT];
	struct sums s = {
		.each = { .next = next, .done = done, .slots = members, .limit = LIMIT },
		.files = argc > 1 ? argv + 1 : (char *[]){ me, me, me, me, me, NULL },
	};
	struct aop_within timeout;
	struct aop_loop *loop;
	int64_t r;

	if (aop_loop_open(&loop, NULL) < 0 || aop_pool_open(&s.pool, NULL) < 0)
		return 1;
	r = aop_loop_get(loop, aop_within(loop, &timeout, AOP_SEC(5),
					  aop_for_each(loop, &s.each)));
	printf("%lld of %d\n", (long long)r, argc > 1 ? argc - 1 : 5);
	aop_pool_close(s.pool);
	aop_loop_close(loop);
	return r < 0;
}
