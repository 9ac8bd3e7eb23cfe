// SPDX-License-Identifier: GPL-2.0
/*
 * Local scope: what a forked child finds when other threads were busy.
 */
#include "any.h"

static _Atomic bool stop;
static _Atomic long rounds;

static void hold_it(struct aop_watch *w, const struct aop_status *st)
{
	(void)w;
	(void)st;
}

/* Holds the locks of all homes in turn, most of the time. */
static void *busy(void *arg)
{
	struct aop op[128];
	struct aop_watch w[128];
	int i;

	(void)arg;
	while (!stop) {
		for (i = 0; i < 128; i++)
			if (aop_init(&op[i], AOP_LOCAL) ||
			    aop_watch(&op[i], &w[i], hold_it, NULL, AOP_INLINE))
				abort();
		for (i = 0; i < 128; i++) {
			aop_unwatch(&w[i]);
			aop_done(aop_owner(&op[i]), 1);
			aop_drop(&op[i]);
		}
		rounds++;
	}
	return NULL;
}

static int in_child(void)
{
	struct aop op[128];
	struct seen s[128];
	int i;

	/* Of all homes. */
	for (i = 0; i < 128; i++) {
		memset(&s[i], 0, sizeof(s[i]));
		if (aop_init(&op[i], AOP_LOCAL) ||
		    aop_watch(&op[i], &s[i].w, see, NULL, AOP_INLINE) ||
		    aop_done(aop_owner(&op[i]), i) || s[i].calls != 1 ||
		    aop_join(&op[i]) != i)
			return 1;
	}
	return 0;
}

TEST(a_child_watches_while_its_parents_threads_did)
{
	int i, n = any_rounds(200);
	pthread_t thread[2];
	long seen;

	stop = false;
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, busy, NULL));
	while (!rounds)
		sched_yield();
	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		ASSERT_GE(pid, 0);
		if (!pid)
			_exit(in_child());
		ASSERT_EQ(0, lib_reap(pid));
	}
	/* And the parent's threads go on. */
	seen = rounds;
	while (rounds == seen)
		sched_yield();
	stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

/* ---- names of ports ------------------------------------------------------------------ */

/* Holds the names' lock most of the time, with a list that is long to look through. */
static void *names(void *arg)
{
	static struct aop_port_name n[2][256];
	const int me = *(int *)arg;
	struct aop_port port;
	char text[32];
	int i;

	for (i = 0; i < 256; i++) {
		snprintf(text, sizeof(text), "%d of %d", i, me);
		if (aop_name_reserve(&n[me][i], AOP_LOCAL, text, 0, NULL))
			abort();
	}
	while (!stop) {
		aop_port_find(&port, AOP_LOCAL, "nobody's");
		aop_drop(&port.op);
		rounds++;
	}
	for (i = 0; i < 256; i++)
		aop_name_release(&n[me][i]);
	return NULL;
}

static int name_in_child(void)
{
	struct aop_port_name name;

	alarm(20);
	return aop_name_reserve(&name, AOP_LOCAL, "child's", 0, NULL) ||
	       aop_name_release(&name);
}

TEST(O5_a_child_names_a_port_while_its_parents_threads_did)
{
	int i, n = any_rounds(200), me[2] = { 0, 1 };
	pthread_t thread[2];

	stop = false;
	rounds = 0;
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, names, &me[i]));
	while (!rounds)
		sched_yield();
	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		ASSERT_GE(pid, 0);
		if (!pid)
			_exit(name_in_child());
		ASSERT_EQ(0, lib_reap(pid));
	}
	stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

/* From inside a callback: its frame comes along, and the child may unwatch it. */
static void fork_inside(struct aop_watch *w, const struct aop_status *st)
{
	pid_t pid = fork();

	see(w, st);
	if (!pid) {
		aop_unwatch(w);
		_exit(in_child());
	}
	if (lib_reap(pid))
		abort();
}

TEST(a_fork_inside_a_callback)
{
	struct seen s = { 0 };
	struct aop op;

	ASSERT_EQ(0, aop_init(&op, AOP_LOCAL));
	ASSERT_EQ(0, aop_watch(&op, &s.w, fork_inside, NULL, AOP_INLINE));
	EXPECT_EQ(0, aop_done(aop_owner(&op), 1));
	EXPECT_EQ(1, s.calls);
	EXPECT_EQ(1, aop_join(&op));
}

TEST_HARNESS_MAIN
