// SPDX-License-Identifier: GPL-2.0
/*
 * O4: ops of this process live in the caller's memory, and issuing, waiting for and
 * completing one allocates nothing.
 */
#include "any.h"

static _Atomic long allocated;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
	allocated++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	allocated++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	allocated++;
	return __real_realloc(p, size);
}

static void life(struct __test_metadata *_metadata, struct aop_ctx *where)
{
	struct aop_member m[2];
	struct aop_group g;
	struct aop op[2];
	struct seen s = { 0 };
	struct aop *ops[2] = { &op[0], &op[1] };
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, aop_init(&op[i], where));
	EXPECT_EQ(-ETIME, aop_wait(&op[0], AOP_US(10)));
	EXPECT_EQ(-ETIME, aop_wait_any(ops, 2, AOP_US(10)));
	EXPECT_EQ(0, aop_watch(&op[0], &s.w, see, NULL, AOP_INLINE));
	aop_all(&g, m, ops, 2, 0);
	EXPECT_EQ(0, aop_start(aop_owner(&op[0])));
	EXPECT_EQ(0, aop_progress(aop_owner(&op[0]), 1, 2));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&op[0], 0));
	EXPECT_EQ(0, aop_cancelled(aop_owner(&op[0]), 0));
	EXPECT_EQ(0, aop_done(aop_owner(&op[1]), 7));
	EXPECT_EQ(1, s.finals);
	EXPECT_EQ(2, aop_join(&g.op));
	EXPECT_EQ(-ECANCELED, aop_join(&op[0]));
	EXPECT_EQ(7, aop_join(&op[1]));
}

TEST(O4_nothing_is_allocated)
{
	struct aop_ctx *where[2] = { AOP_PRIVATE, AOP_LOCAL };
	long before;
	void *p;
	int i;

	p = malloc(1);
	__asm__ volatile("" : "+r"(p));		/* or it is left out */
	free(p);
	EXPECT_LT(0, allocated);		/* they are counted */
	for (i = 0; i < 2; i++) {
		before = allocated;
		life(_metadata, where[i]);
		EXPECT_EQ(before, allocated);
	}
}

TEST_HARNESS_MAIN
