// SPDX-License-Identifier: GPL-2.0
/*
 * Mutex and semaphore park no thread (F14): who cannot have it has an op, and leaves the
 * line by cancelling or dropping it (F15).  The same in private and in local scope.
 */
#include "lib.h"

FIXTURE(line) {
	struct aop_ctx *where;
	struct aop_mutex m;
	struct aop_sem s;
	struct aop_waiter w[4];
};

FIXTURE_VARIANT(line) {
	struct aop_ctx *where;
};

FIXTURE_VARIANT_ADD(line, private_) {
	.where = AOP_PRIVATE,
};

FIXTURE_VARIANT_ADD(line, local) {
	.where = AOP_LOCAL,
};

FIXTURE_SETUP(line)
{
	self->where = variant->where;
	ASSERT_EQ(0, aop_mutex_init(&self->m, self->where));
	ASSERT_EQ(0, aop_sem_init(&self->s, self->where, 2));
}

FIXTURE_TEARDOWN(line)
{
}

TEST_F(line, F14_a_mutex_has_one_holder)
{
	struct aop *a = aop_mutex_lock(&self->m, &self->w[0]);
	struct aop *b = aop_mutex_lock(&self->m, &self->w[1]);
	struct aop *c = aop_mutex_lock(&self->m, &self->w[2]);

	EXPECT_TRUE(aop_is_over(a));
	EXPECT_EQ(0, aop_result(a));
	EXPECT_FALSE(aop_is_final(b));
	EXPECT_FALSE(aop_is_final(c));
	EXPECT_EQ(-EAGAIN, aop_mutex_try_lock(&self->m));
	EXPECT_EQ(0, aop_mutex_unlock(&self->m));
	/* In the order in which they came, and never free in between. */
	EXPECT_TRUE(aop_is_over(b));
	EXPECT_FALSE(aop_is_final(c));
	EXPECT_EQ(-EAGAIN, aop_mutex_try_lock(&self->m));
	EXPECT_EQ(0, aop_mutex_unlock(&self->m));
	EXPECT_TRUE(aop_is_over(c));
	EXPECT_EQ(0, aop_mutex_unlock(&self->m));
	EXPECT_EQ(-EPERM, aop_mutex_unlock(&self->m));
	EXPECT_EQ(0, aop_mutex_try_lock(&self->m));
	EXPECT_EQ(0, aop_mutex_unlock(&self->m));
	EXPECT_EQ(0, aop_join(a));
	EXPECT_EQ(0, aop_join(b));
	EXPECT_EQ(0, aop_join(c));
}

TEST_F(line, F15_a_cancel_leaves_the_line)
{
	struct aop *a = aop_mutex_lock(&self->m, &self->w[0]);
	struct aop *b = aop_mutex_lock(&self->m, &self->w[1]);
	struct aop *c = aop_mutex_lock(&self->m, &self->w[2]);

	EXPECT_EQ(AOP_ASKED, aop_cancel(b, -EINTR));
	EXPECT_TRUE(aop_is_over(b));
	EXPECT_EQ(AOP_CANCELLED, aop_state(b));
	EXPECT_EQ(-EINTR, aop_join(b));
	EXPECT_EQ(0, aop_mutex_unlock(&self->m));
	EXPECT_TRUE(aop_is_over(c));
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(c, 0));
	EXPECT_EQ(0, aop_join(c));
	EXPECT_EQ(0, aop_join(a));
}

TEST_F(line, F15_a_drop_leaves_the_line)
{
	struct aop *a = aop_mutex_lock(&self->m, &self->w[0]);

	aop_drop(aop_mutex_lock(&self->m, &self->w[1]));
	memset(&self->w[1], 0xee, sizeof(self->w[1]));
	EXPECT_EQ(0, aop_mutex_unlock(&self->m));
	EXPECT_EQ(0, aop_mutex_try_lock(&self->m));
	EXPECT_EQ(0, aop_join(a));
}

TEST_F(line, a_semaphore_counts)
{
	struct aop *a = aop_sem_take(&self->s, &self->w[0], 1);
	struct aop *b = aop_sem_take(&self->s, &self->w[1], 3);
	struct aop *c = aop_sem_take(&self->s, &self->w[2], 1);

	EXPECT_TRUE(aop_is_over(a));
	EXPECT_FALSE(aop_is_final(b));
	/* There would be one, but b came first. */
	EXPECT_FALSE(aop_is_final(c));
	EXPECT_EQ(-EAGAIN, aop_sem_try_take(&self->s, 1));
	EXPECT_EQ(0, aop_sem_give(&self->s, 1));
	EXPECT_FALSE(aop_is_final(b));
	EXPECT_EQ(0, aop_sem_give(&self->s, 2));
	EXPECT_TRUE(aop_is_over(b));
	EXPECT_TRUE(aop_is_over(c));
	EXPECT_EQ(-EAGAIN, aop_sem_try_take(&self->s, 1));
	EXPECT_EQ(0, aop_sem_try_take(&self->s, 0));
	EXPECT_EQ(0, aop_join(a) | aop_join(b) | aop_join(c));
}

TEST_F(line, who_leaves_makes_room_for_those_behind)
{
	struct aop *b = aop_sem_take(&self->s, &self->w[1], 3);
	struct aop *c = aop_sem_take(&self->s, &self->w[2], 2);

	EXPECT_FALSE(aop_is_final(b));
	EXPECT_FALSE(aop_is_final(c));
	aop_cancel(b, 0);
	EXPECT_TRUE(aop_is_over(c));
	EXPECT_EQ(-ECANCELED, aop_join(b));
	EXPECT_EQ(0, aop_join(c));
}

TEST_F(line, too_many)
{
	EXPECT_EQ(-EOVERFLOW, aop_sem_give(&self->s, UINT32_MAX));
	EXPECT_EQ(0, aop_sem_try_take(&self->s, 2));
	EXPECT_EQ(0, aop_sem_give(&self->s, UINT32_MAX));
	EXPECT_EQ(-EOVERFLOW, aop_sem_give(&self->s, 1));
}

static void unlock(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	aop_mutex_unlock(w->data);
}

/* Inline callbacks may give it back at once, and free their waiter. */
TEST_F(line, callbacks_may_call)
{
	struct aop *a = aop_mutex_lock(&self->m, &self->w[0]);
	struct aop_watch w[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, aop_then(aop_mutex_lock(&self->m, &self->w[1 + i]), &w[i], unlock,
				      &self->m, AOP_INLINE));
	EXPECT_EQ(0, aop_mutex_unlock(&self->m));
	EXPECT_TRUE(aop_is_over(&self->w[2].op));
	EXPECT_EQ(0, aop_mutex_try_lock(&self->m));
	EXPECT_EQ(0, aop_join(a));
}

TEST_F(line, wrong_scope)
{
	struct aop_ctx *not_a_scope = NULL;

	EXPECT_EQ(-EINVAL, aop_mutex_init(&self->m, not_a_scope));
	EXPECT_EQ(-EINVAL, aop_mutex_init(NULL, self->where));
	EXPECT_EQ(-EINVAL, aop_sem_init(&self->s, not_a_scope, 1));
	EXPECT_EQ(-EINVAL, aop_sem_init(NULL, self->where, 1));
}

/* ---- threads ------------------------------------------------------------------------ */

struct shared {
	struct aop_mutex m;
	int rounds;
	int inside;			/* mutex */
	uint64_t total;			/* mutex */
	int overlaps;			/* mutex */
};

static void *compete(void *arg)
{
	struct shared *s = arg;
	struct aop_waiter w;
	uint64_t got = 0;
	int i;

	for (i = 0; i < s->rounds; i++) {
		aop_mutex_lock(&s->m, &w);
		if (i % 3 == 0)
			aop_cancel(&w.op, -EINTR);
		if (aop_join(&w.op))
			continue;
		if (s->inside++)
			s->overlaps++;
		s->total++;
		s->inside--;
		got++;
		aop_mutex_unlock(&s->m);
	}
	return (void *)(intptr_t)got;
}

/* Cancels race with the unlock that serves them: each end is one or the other. */
TEST(F14_threads_and_cancels)
{
	const bool slow = getenv("AOP_NATIVE") && strcmp(getenv("AOP_NATIVE"), "plain");
	struct shared s = { .rounds = slow ? 300 : 3000 };
	uint64_t got = 0;
	pthread_t t[3];
	void *ret;
	int i;

	ASSERT_EQ(0, aop_mutex_init(&s.m, AOP_LOCAL));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, compete, &s));
	for (i = 0; i < 3; i++) {
		pthread_join(t[i], &ret);
		got += (uintptr_t)ret;
	}
	EXPECT_EQ(0, s.overlaps);
	EXPECT_EQ(got, s.total);
	EXPECT_LE(2 * s.rounds, got);
	EXPECT_EQ(0, aop_mutex_try_lock(&s.m));
}

TEST_HARNESS_MAIN
