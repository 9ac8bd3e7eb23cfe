// SPDX-License-Identifier: GPL-2.0
/*
 * O4: ops of this process live in the caller's memory, and issuing, waiting for and
 * completing one allocates nothing; nor do timers, I/O, tasks, groups, jobs and streams of
 * callbacks of a loop that has done each before.
 */
#include "any.h"
#include "loop.h"

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

/* ---- the loop: once it has done each thing, nothing more is allocated -------------- */

struct hop {
	struct aop_task task;
	struct aop_timer tm;
};

static int64_t hop(struct aop_task *t)
{
	struct hop *h = aop_container(t, struct hop, task);
	int64_t ret;

	AOP_BEGIN(t);
	AOP_YIELD();
	AOP_AWAIT(ret, aop_sleep(t->loop, &h->tm, AOP_US(1)));
	AOP_END(ret);
}

struct one_each {
	struct aop_each each;
	struct aop_member slots[2];
	struct aop_timer tm[2];
	struct aop_loop *loop;
	int left;
};

static struct aop *next(struct aop_each *e, unsigned int slot)
{
	struct one_each *o = aop_container(e, struct one_each, each);

	return o->left-- > 0 ? aop_sleep(o->loop, &o->tm[slot], AOP_US(1)) : NULL;
}

static int64_t job(struct aop_owner *o, void *arg)
{
	(void)o;
	return *(int *)arg;
}

static void turn(struct __test_metadata *_metadata, struct aop_loop *l, struct aop_pool *p,
		 const int *sv, int file)
{
	struct aop_io in, out;
	struct aop_timer tm[3];
	struct aop_member m[2];
	struct aop_group g;
	struct aop_within wi;
	struct aop_interval iv;
	struct hop h = { 0 };
	struct one_each each = { .left = 5, .loop = l };
	struct seen s = { 0 };
	struct aop *r, *ops[2];
	struct aop_job j;
	struct aop op;
	char c[8];
	int i, seven = 7;

	/* I/O of each kind */
	r = aop_recv(l, &in, sv[0], c, 8, 0);
	EXPECT_EQ(2, aop_loop_get(l, aop_send(l, &out, sv[1], "ab", 2, 0)));
	EXPECT_EQ(2, aop_loop_get(l, r));
	r = aop_ready(l, &in, sv[0], POLLIN);
	aop_cancel(r, 0);
	EXPECT_EQ(-ECANCELED, aop_loop_get(l, r));
	EXPECT_EQ(8, aop_loop_get(l, aop_write_all(l, &out, file, "12345678", 8, 0)));
	EXPECT_EQ(8, aop_loop_get(l, aop_read(l, &in, file, c, 8, 0)));
	EXPECT_EQ(0, aop_loop_get(l, aop_fsync(l, &in, file)));
	/* timers, time limits, intervals */
	EXPECT_EQ(0, aop_loop_get(l, aop_sleep(l, &tm[0], AOP_US(1))));
	EXPECT_EQ(-ETIMEDOUT, aop_loop_get(l, aop_within(l, &wi, AOP_US(1),
							 aop_sleep(l, &tm[0], AOP_SEC(99)))));
	EXPECT_EQ(0, aop_interval_init(&iv, l, AOP_US(1), AOP_US(1), AOP_MISSED_SKIP));
	EXPECT_LT(0, aop_loop_get(l, aop_tick(&iv)));
	/* a group, and for_each */
	ops[0] = aop_sleep(l, &tm[0], AOP_US(1));
	ops[1] = aop_sleep(l, &tm[1], AOP_SEC(99));
	EXPECT_EQ(0, aop_loop_get(l, aop_any(&g, m, ops, 2, AOP_CANCEL_REST)));
	each.each.next = next;
	each.each.slots = each.slots;
	each.each.limit = 2;
	EXPECT_LE(0, aop_loop_get(l, aop_for_each(l, &each.each)));
	/* a task, and a job */
	EXPECT_EQ(0, aop_loop_get(l, aop_spawn(l, &h.task, hop, NULL, 0)));
	EXPECT_EQ(7, aop_loop_get(l, aop_pool_run(p, &j, job, &seven)));
	/* a stream of callbacks, on the loop and on the pool */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
		ASSERT_EQ(0, aop_watch(&op, &s.w, see, NULL, i ? aop_pool_exec(p) :
				       aop_loop_exec(l)));
		for (seven = 1; seven < 50; seven++) {
			EXPECT_EQ(0, aop_progress(aop_owner(&op), seven, 50));
			EXPECT_LE(0, aop_loop_run(l, AOP_RUN_READY));
		}
		EXPECT_EQ(0, aop_done(aop_owner(&op), 0));
		EXPECT_EQ(0, aop_loop_run(l, AOP_RUN_ALL));
		aop_unwatch(&s.w);
		EXPECT_EQ(0, aop_join(&op));
		seven = 7;
	}
}

TEST(O4_nor_by_a_loop)
{
	const uint32_t engines[] = { AOP_EPOLL, AOP_URING, AOP_EPOLL | AOP_ANY_THREAD };
	struct aop_loop_opts o = { .size = sizeof(o) };
	struct aop_pool *pool;
	struct aop_loop *l;
	int sv[2], ret;
	size_t i, round;
	long before = 0;
	FILE *f;

	f = tmpfile();
	ASSERT_NE(NULL, f);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	ASSERT_EQ(0, aop_pool_open(&pool, NULL));
	for (i = 0; i < 3; i++) {
		/* Valgrind lets no other thread run while one sleeps in io_uring_enter(). */
		if (engines[i] == AOP_URING && loop_under_valgrind())
			continue;
		o.flags = engines[i];
		o.pool = pool;
		ret = aop_loop_open(&l, &o);
		if (ret == -EPERM || ret == -ENOSYS)
			continue;
		ASSERT_EQ(0, ret);
		/* The first time tables grow. */
		for (round = 0; round < 3; round++) {
			if (round)
				before = allocated;
			turn(_metadata, l, pool, sv, fileno(f));
			if (round)
				EXPECT_EQ(before, allocated);
		}
		aop_loop_close(l);
	}
	aop_pool_close(pool);
	close(sv[0]);
	close(sv[1]);
	fclose(f);
}

TEST_HARNESS_MAIN
