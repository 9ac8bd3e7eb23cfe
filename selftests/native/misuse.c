// SPDX-License-Identifier: GPL-2.0
/*
 * What a caller's mistakes are answered: the documented errno, or, where the library was
 * built with AOP_ASSERT (the variant asan), a message that names the mistake, and an abort.
 */
#include "any.h"

static struct aop op;
static struct aop_owner *owner;

static void *drive(void *arg)
{
	(void)arg;
	aop_done(owner, 1);
	return NULL;
}

static int by_another_thread(void)
{
	pthread_t t;

	if (aop_init(&op, AOP_PRIVATE))
		return 1;
	owner = aop_owner(&op);
	if (pthread_create(&t, NULL, drive, NULL))
		return 1;
	pthread_join(t, NULL);
	return 0;
}

static int driven_after_the_end(struct aop_ctx *where)
{
	if (aop_init(&op, where))
		return 1;
	owner = aop_owner(&op);
	if (aop_done(owner, 1))
		return 1;
	return aop_done(owner, 2) == -EPERM && aop_result(&op) == 1 ? 0 : 1;
}

static int private_after_the_end(void)
{
	return driven_after_the_end(AOP_PRIVATE);
}

static int local_after_the_end(void)
{
	return driven_after_the_end(AOP_LOCAL);
}

static int dropped_twice(struct aop_ctx *where)
{
	if (aop_init(&op, where))
		return 1;
	owner = aop_owner(&op);
	if (aop_drop(&op))
		return 1;
	return aop_drop(&op) == -EINVAL ? 0 : 1;
}

static int private_dropped_twice(void)
{
	return dropped_twice(AOP_PRIVATE);
}

static int local_dropped_twice(void)
{
	return dropped_twice(AOP_LOCAL);
}

/* A private group, since one member is; the other one ends elsewhere. */
static int group_ends_elsewhere(void)
{
	static struct aop_member m[2];
	static struct aop_group g;
	static struct aop mine;
	struct aop *ops[2] = { &mine, &op };
	pthread_t t;

	if (aop_init(&mine, AOP_PRIVATE) || aop_init(&op, AOP_LOCAL))
		return 1;
	owner = aop_owner(&op);
	aop_any(&g, m, ops, 2, 0);
	if (pthread_create(&t, NULL, drive, NULL))
		return 1;
	pthread_join(t, NULL);
	return 0;
}

static int receiver_twice(void)
{
	static uint64_t mem[AOP_STREAM_MEM(8, 2) / 8] __attribute__((aligned(16)));
	struct aop_stream_opts o = { .size = sizeof(o), .place = 8, .places = 2 };
	static struct aop_receiver rx;
	static struct aop_stream s;

	if (aop_stream_init(&s, AOP_LOCAL, mem, sizeof(mem), &o) || aop_receiver_init(&rx, &s, 0))
		return 1;
	return aop_receiver_init(&rx, &s, 0) ? 1 : 0;
}

static const struct {
	const char *name;
	int (*fn)(void);
	const char *says;
	bool harmless;			/* without assertions it answers an errno */
} cases[] = {
	{ "private, another thread", by_another_thread,
	  "a private op is used by another thread: create it with AOP_LOCAL", false },
	{ "private group, a member on another thread", group_ends_elsewhere,
	  "a private group's member ends on another thread", false },
	{ "private, after the end", private_after_the_end, "that its owner has let go of", true },
	{ "local, after the end", local_after_the_end, "that its owner has let go of", true },
	{ "private, dropped twice", private_dropped_twice, "that nobody holds", true },
	{ "local, dropped twice", local_dropped_twice, "that nobody holds", true },
	{ "a receiver, begun twice", receiver_twice, "a receiver is initialised again", false },
};

/* O1, F13 */
TEST(mistakes_are_named)
{
	char said[512];
	int fd[2], ret;
	size_t i, n;
	ssize_t got;
	pid_t pid;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!any_asserts() && !cases[i].harmless)
			continue;
		TH_LOG("%s", cases[i].name);
		ASSERT_EQ(0, pipe(fd));
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			dup2(fd[1], 2);
			_exit(cases[i].fn());
		}
		close(fd[1]);
		for (n = 0; n < sizeof(said) - 1; n += got) {
			got = read(fd[0], said + n, sizeof(said) - 1 - n);
			if (got <= 0)
				break;
		}
		said[n] = 0;
		close(fd[0]);
		ret = lib_reap(pid);
		EXPECT_EQ(any_asserts() ? 128 + SIGABRT : 0, ret);
		if (any_asserts())
			EXPECT_NE(NULL, strstr(said, cases[i].says));
	}
}

/* No owner, no scope, or one of this process where a context is asked for: an errno. */
TEST(what_is_missing_is_answered)
{
	static const struct aop_stream_opts o = { .size = sizeof(o), .place = 8, .places = 2 };
	static struct aop_shared_stream a, b;
	struct aop_watch w;

	EXPECT_EQ(-EPERM, aop_start(NULL));
	EXPECT_EQ(-EPERM, aop_progress(NULL, 1, 2));
	EXPECT_EQ(-EPERM, aop_done(NULL, 0));
	EXPECT_EQ(-EPERM, aop_fail(NULL, -EIO));
	EXPECT_EQ(-EPERM, aop_cancelled(NULL, 0));
	EXPECT_EQ(-EPERM, aop_end(NULL, 0));
	EXPECT_EQ(-EPERM, aop_end(NULL, -EIO));
	EXPECT_EQ(-EPERM, aop_let_go(NULL));
	EXPECT_EQ(-EPERM, aop_asked(NULL));
	EXPECT_EQ(-EINVAL, aop_attach(&op, AOP_LOCAL, 0));
	EXPECT_EQ(-EINVAL, aop_attach_id(&op, AOP_PRIVATE, 1, 0));
	EXPECT_EQ(-EINVAL, aop_take(&op, NULL, 0));
	EXPECT_EQ(-EINVAL, aop_result(&op));
	EXPECT_EQ(-EINVAL, aop_stream_pair(NULL, &b, AOP_LOCAL, &o));
	EXPECT_EQ(-EINVAL, aop_stream_pair(&a, NULL, AOP_LOCAL, &o));
	EXPECT_EQ(-EINVAL, aop_stream_pair(&a, &b, AOP_PRIVATE, &o));
	EXPECT_EQ(-EINVAL, aop_stream_pair(&a, &b, AOP_LOCAL, NULL));
	EXPECT_EQ(-EINVAL, aop_stream_offer(&a, AOP_LOCAL, 0, AOP_SENDS, &o));
	EXPECT_EQ(-EINVAL, aop_stream_offer(&a, NULL, 0, AOP_SENDS, &o));
	EXPECT_EQ(-EINVAL, aop_stream_accept(&a, AOP_LOCAL, 0, NULL));
	EXPECT_EQ(-EINVAL, aop_stream_accept(NULL, AOP_LOCAL, 0, NULL));
	ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
	EXPECT_EQ(-EINVAL, aop_watch(&op, &w, NULL, NULL, AOP_INLINE));
	EXPECT_EQ(-EINVAL, aop_cancel(&op, 1));
	EXPECT_EQ(-EINVAL, aop_fail(aop_owner(&op), 1));
	EXPECT_EQ(-EINVAL, aop_cancelled(aop_owner(&op), 1));
	EXPECT_EQ(-EINVAL, aop_end(aop_owner(&op), -4096));
	EXPECT_EQ(-EINVAL, aop_export(&op, AOP_MAY_LOOK));
	EXPECT_EQ(-EINVAL, aop_pass(&op, 0, AOP_MAY_LOOK));
	EXPECT_EQ(AOP_PENDING, aop_state(&op));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(NULL, aop_owner(&op));
	EXPECT_EQ(1, aop_join(&op));
}

TEST_HARNESS_MAIN
