// SPDX-License-Identifier: GPL-2.0
/*
 * Cancel trees (C6), tasks that are detached by default (C5), one cancel for one await,
 * many at once (F9), and looking in.
 */
#include "lib.h"

FIXTURE(tree) {
	struct aop_loop *loop;
};

FIXTURE_VARIANT(tree) {
	uint32_t engine;
};

FIXTURE_VARIANT_ADD(tree, epoll) {
	.engine = AOP_EPOLL,
};

FIXTURE_VARIANT_ADD(tree, uring) {
	.engine = AOP_URING,
};

FIXTURE_SETUP(tree)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = variant->engine };
	int ret = aop_loop_open(&self->loop, &o);

	if (ret && variant->engine == AOP_URING)
		SKIP(return, "no io_uring");
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(tree)
{
	aop_loop_close(self->loop);
}

/* ---- a family -------------------------------------------------------------------------- */

struct node {
	struct aop_task task;
	struct aop_timer tm;
	struct node *child[2];
	int64_t sleep, got;
	int order;			/* of its cleanup */
};

static int cleanups;

static int64_t clean(struct aop_task *t)
{
	struct node *n = aop_container(t, struct node, task);

	n->order = ++cleanups;
	return 0;
}

static int64_t parent(struct aop_task *t)
{
	struct node *n = aop_container(t, struct node, task);
	int i;

	AOP_BEGIN(t);
	for (i = 0; i < 2; i++)
		if (n->child[i])
			aop_spawn(t->loop, &n->child[i]->task, parent, clean, AOP_CHILD);
	if (n->sleep) {
		AOP_AWAIT(n->got, aop_sleep(t->loop, &n->tm, n->sleep));
		if (n->got < 0)
			return n->got;
	}
	AOP_END(1);
}

TEST_F(tree, C6_a_cancel_goes_down_and_not_up)
{
	struct node leaf = { .sleep = AOP_SEC(1000) }, other = leaf;
	struct node mid = { .sleep = AOP_SEC(1000), .child = { &leaf, &other } };
	struct node top = { .sleep = AOP_SEC(1000), .child = { &mid } };
	int i;

	cleanups = 0;
	aop_spawn(self->loop, &top.task, parent, clean, 0);
	for (i = 0; i < 4; i++)
		aop_loop_run(self->loop, AOP_RUN_READY);
	ASSERT_NE(0, other.task.line);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&leaf.task.op, -EPERM));
	EXPECT_EQ(-EPERM, aop_loop_get(self->loop, &leaf.task.op));
	EXPECT_FALSE(aop_is_final(&mid.task.op));
	EXPECT_FALSE(aop_is_final(&other.task.op));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&top.task.op, -EINTR));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, &top.task.op));
	EXPECT_EQ(-EINTR, aop_result(&mid.task.op));
	EXPECT_EQ(-EINTR, aop_result(&other.task.op));
	EXPECT_EQ(AOP_CANCELLED, aop_state(&other.task.op));
	EXPECT_EQ(1, leaf.order);
	EXPECT_EQ(2, other.order);
	EXPECT_EQ(3, mid.order);
	EXPECT_EQ(4, top.order);
}

TEST_F(tree, a_task_is_over_when_its_children_are)
{
	struct node leaf = { .sleep = AOP_MS(5) }, top = { .child = { &leaf } };

	cleanups = 0;
	EXPECT_EQ(1, aop_loop_get(self->loop, aop_spawn(self->loop, &top.task, parent, clean, 0)));
	EXPECT_TRUE(aop_is_over(&leaf.task.op));
	EXPECT_EQ(1, aop_result(&leaf.task.op));
	EXPECT_EQ(1, leaf.order);
	EXPECT_EQ(2, top.order);
}

TEST_F(tree, a_cancel_reaches_children_of_one_that_has_returned)
{
	struct node leaf = { .sleep = AOP_SEC(1000) }, top = { .child = { &leaf } };

	aop_spawn(self->loop, &top.task, parent, clean, 0);
	aop_loop_run(self->loop, AOP_RUN_READY);
	aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&top.task.op, -EINTR));
	EXPECT_EQ(1, aop_loop_get(self->loop, &top.task.op));
	EXPECT_EQ(-EINTR, aop_result(&leaf.task.op));
}

TEST_F(tree, C1_one_that_was_not_polled_never_is)
{
	struct node n = { .sleep = 1 };

	cleanups = 0;
	aop_spawn(self->loop, &n.task, parent, clean, 0);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&n.task.op, -EINTR));
	EXPECT_EQ(AOP_ASKED, aop_cancel(&n.task.op, -EPERM));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, &n.task.op));
	EXPECT_EQ(1, n.order);
	EXPECT_EQ(0, n.task.line);
	EXPECT_EQ(NULL, n.task.name);
	EXPECT_EQ(AOP_TOO_LATE, aop_cancel(&n.task.op, 0));
}

struct twice {
	struct aop_task task;
	struct aop_timer tm;
	int64_t first, second;
};

static int64_t sleep_twice(struct aop_task *t)
{
	struct twice *w = aop_container(t, struct twice, task);

	AOP_BEGIN(t);
	AOP_AWAIT(w->first, aop_sleep(t->loop, &w->tm, AOP_SEC(1000)));
	AOP_AWAIT(w->second, aop_sleep(t->loop, &w->tm, AOP_MS(1)));
	AOP_END(7);
}

TEST_F(tree, C3_a_cancel_goes_to_one_await_and_may_be_ignored)
{
	struct twice w;

	aop_spawn(self->loop, &w.task, sleep_twice, NULL, 0);
	aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&w.task.op, -EINTR));
	EXPECT_EQ(7, aop_loop_get(self->loop, &w.task.op));
	EXPECT_EQ(-EINTR, w.first);
	EXPECT_EQ(0, w.second);
	EXPECT_EQ(AOP_DONE, aop_state(&w.task.op));
}

static int64_t yield_then_sleep(struct aop_task *t)
{
	struct twice *w = aop_container(t, struct twice, task);

	AOP_BEGIN(t);
	AOP_YIELD();
	AOP_AWAIT(w->first, aop_sleep(t->loop, &w->tm, AOP_SEC(1000)));
	AOP_END(w->first);
}

TEST_F(tree, a_cancel_that_comes_between_awaits_goes_to_the_next)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = variant->engine, .budget = 1 };
	struct aop_loop *l;
	struct twice w;

	ASSERT_EQ(0, aop_loop_open(&l, &o));
	aop_spawn(l, &w.task, yield_then_sleep, NULL, 0);
	aop_loop_run(l, AOP_RUN_READY);
	ASSERT_NE(0, w.task.line);
	EXPECT_EQ(NULL, w.task.awaits);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&w.task.op, -EINTR));
	EXPECT_EQ(-EINTR, aop_loop_get(l, &w.task.op));
	EXPECT_EQ(-EINTR, w.first);
	aop_loop_close(l);
}

/* C5: nobody watches, and it goes on; nothing asks it to stop. */
static int64_t ask_myself(struct aop_task *t)
{
	struct twice *w = aop_container(t, struct twice, task);

	AOP_BEGIN(t);
	AOP_AWAIT(w->first, aop_sleep(t->loop, &w->tm, AOP_MS(1)));
	w->second = aop_asked(aop_task_owner(t));
	AOP_END(0);
}

static int64_t at_once(struct aop_task *t)
{
	(void)t;
	return 1;
}

static int64_t sleep_and_clean(struct aop_task *t)
{
	struct node *n = aop_container(t, struct node, task);

	AOP_BEGIN(t);
	AOP_AWAIT(n->got, aop_sleep(t->loop, &n->tm, n->sleep));
	n->order = ++cleanups;
	AOP_END(0);
}

/* What is awaited in cleaning up is awaited in peace. */
TEST_F(tree, F1_a_cancel_that_comes_while_it_cleans_up)
{
	struct node n = { .sleep = AOP_MS(5) };
	int i;

	cleanups = 0;
	aop_spawn(self->loop, &n.task, at_once, sleep_and_clean, 0);
	for (i = 0; i < 2; i++)
		aop_loop_run(self->loop, AOP_RUN_READY);
	ASSERT_NE(0, n.task.line);
	EXPECT_EQ(AOP_ASKED, aop_cancel(&n.task.op, -EINTR));
	EXPECT_EQ(1, aop_loop_get(self->loop, &n.task.op));
	EXPECT_EQ(0, n.got);
	EXPECT_EQ(1, n.order);
}

TEST_F(tree, C5_tasks_are_detached_by_default)
{
	struct twice w = { .first = -1, .second = -1 };

	aop_drop(aop_spawn(self->loop, &w.task, ask_myself, NULL, 0));
	EXPECT_LE(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	EXPECT_EQ(0, w.first);
	EXPECT_EQ(0, w.second);
}

/* ---- F9: many at once -------------------------------------------------------------------- */

#define LIMIT	3

struct many {
	struct aop_each each;
	struct aop_member slots[LIMIT];
	struct aop_timer tm[LIMIT];
	struct aop op[LIMIT];
	struct aop_loop *loop;
	int n, begun, active, most, ended, fails_at;
	bool at_once;
	int64_t sum, last;
};

static struct aop *begin(struct aop_each *e, unsigned int slot)
{
	struct many *m = aop_container(e, struct many, each);
	struct aop *op = &m->op[slot];

	if (m->begun == m->n)
		return NULL;
	m->begun++;
	if (++m->active > m->most)
		m->most = m->active;
	if (m->begun == m->fails_at || m->at_once) {
		aop_init(op, AOP_PRIVATE);
		aop_end(aop_owner(op), m->begun == m->fails_at ? -EDOM : m->begun);
		return op;
	}
	return aop_sleep(m->loop, &m->tm[slot], AOP_US(100));
}

static int ended(struct aop_each *e, unsigned int slot, int64_t result)
{
	struct many *m = aop_container(e, struct many, each);

	m->active--;
	m->ended++;
	m->sum += result;
	m->last = result;
	return slot < LIMIT ? 0 : -ERANGE;
}

static void many_init(struct many *m, struct aop_loop *l, int n)
{
	*m = (struct many){
		.each = { .next = begin, .done = ended, .limit = LIMIT },
		.loop = l,
		.n = n,
	};
	m->each.slots = m->slots;
}

TEST_F(tree, F9_never_more_than_the_limit)
{
	struct aop *op;
	struct many m;

	many_init(&m, self->loop, 20);
	op = aop_for_each(self->loop, &m.each);
	EXPECT_EQ(0, m.begun);
	EXPECT_EQ(20, aop_loop_get(self->loop, op));
	EXPECT_EQ(LIMIT, m.most);
	EXPECT_EQ(20, m.ended);
	EXPECT_EQ(0, m.active);
	many_init(&m, self->loop, 0);
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_for_each(self->loop, &m.each)));
}

TEST_F(tree, F9_those_that_are_over_at_once)
{
	struct many m;

	many_init(&m, self->loop, 1000);
	m.at_once = true;
	EXPECT_EQ(1000, aop_loop_get(self->loop, aop_for_each(self->loop, &m.each)));
	EXPECT_EQ(1000 * 1001 / 2, m.sum);
	EXPECT_GE(LIMIT, m.most);
}

TEST_F(tree, F9_an_error_stops_the_try_form_only)
{
	struct many m;

	many_init(&m, self->loop, 10);
	m.fails_at = 2;
	EXPECT_EQ(10, aop_loop_get(self->loop, aop_for_each(self->loop, &m.each)));
	many_init(&m, self->loop, 1000);
	m.fails_at = 2;
	m.each.flags = AOP_FAIL_FAST;
	EXPECT_EQ(-EDOM, aop_loop_get(self->loop, aop_for_each(self->loop, &m.each)));
	EXPECT_GE(LIMIT, m.begun);
	EXPECT_EQ(m.begun, m.ended);
}

TEST_F(tree, F9_a_cancel_stops_it)
{
	struct aop *op;
	struct many m;

	many_init(&m, self->loop, 1000);
	op = aop_for_each(self->loop, &m.each);
	aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_EQ(LIMIT, m.active);
	EXPECT_EQ(AOP_ASKED, aop_cancel(op, -EINTR));
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, op));
	EXPECT_EQ(0, m.active);
	EXPECT_GE(2 * LIMIT, m.begun);
	EXPECT_EQ(m.begun, m.ended);
}

static int stop_at_three(struct aop_each *e, unsigned int slot, int64_t result)
{
	struct many *m = aop_container(e, struct many, each);

	ended(e, slot, result);
	return m->ended == 3 ? -ENOSPC : 0;
}

TEST_F(tree, F9_done_may_stop_it)
{
	struct many m;

	many_init(&m, self->loop, 1000);
	m.each.done = stop_at_three;
	EXPECT_EQ(-ENOSPC, aop_loop_get(self->loop, aop_for_each(self->loop, &m.each)));
	EXPECT_GE(3 + LIMIT, m.begun);
	many_init(&m, self->loop, 5);
	m.each.done = NULL;
	EXPECT_EQ(5, aop_loop_get(self->loop, aop_for_each(self->loop, &m.each)));
}

TEST_F(tree, F9_bad_arguments)
{
	struct many m;

	many_init(&m, self->loop, 1);
	EXPECT_EQ(-EINVAL, aop_result(aop_for_each(NULL, &m.each)));
	m.each.limit = 0;
	EXPECT_EQ(-EINVAL, aop_result(aop_for_each(self->loop, &m.each)));
	m.each.limit = 1;
	m.each.flags = 0x80;
	EXPECT_EQ(-EINVAL, aop_result(aop_for_each(self->loop, &m.each)));
	m.each.flags = 0;
	m.each.next = NULL;
	EXPECT_EQ(-EINVAL, aop_result(aop_for_each(self->loop, &m.each)));
}

/* ---- looking in ----------------------------------------------------------------------------- */

static struct aop_task_info infos[8];
static int nr_infos;

static int note(const struct aop_task_info *info, void *data)
{
	infos[nr_infos++] = *info;
	return nr_infos == *(int *)data ? 55 : 0;
}

TEST_F(tree, dump_shows_who_waits_where)
{
	struct aop_task_stats ts = { .size = sizeof(ts) }, wrong = { .size = 1 };
	struct node leaf = { .sleep = AOP_SEC(1000) }, top = { .child = { &leaf } };
	struct node fresh = { .sleep = 1 };
	char text[2048] = "";
	int limit = 0, fd[2];

	aop_spawn(self->loop, &top.task, parent, clean, 0);
	aop_loop_run(self->loop, AOP_RUN_READY);
	aop_loop_run(self->loop, AOP_RUN_READY);
	aop_spawn(self->loop, &fresh.task, parent, clean, AOP_LAZY);
	nr_infos = 0;
	ASSERT_EQ(0, aop_loop_tasks(self->loop, note, &limit));
	ASSERT_EQ(3, nr_infos);
	EXPECT_EQ(&fresh.task, infos[0].task);
	EXPECT_EQ(AOP_TASK_QUEUED, infos[0].state);
	EXPECT_EQ(0, infos[0].line);
	EXPECT_EQ(&top.task, infos[1].task);
	EXPECT_EQ(AOP_TASK_CHILDREN, infos[1].state);
	EXPECT_EQ(&leaf.task, infos[2].task);
	EXPECT_EQ(&top.task, infos[2].parent);
	EXPECT_EQ(1, infos[2].depth);
	EXPECT_EQ(AOP_TASK_AWAITS, infos[2].state);
	EXPECT_EQ(&leaf.tm.op, infos[2].awaits);
	EXPECT_STREQ("parent", infos[2].name);
	EXPECT_EQ(leaf.task.line, infos[2].line);
	EXPECT_EQ(1, infos[2].polls);
	EXPECT_GE(aop_loop_now(self->loop), infos[2].since);
	EXPECT_LT(0, infos[2].since);
	limit = 2;
	nr_infos = 0;
	EXPECT_EQ(55, aop_loop_tasks(self->loop, note, &limit));
	EXPECT_EQ(2, nr_infos);
	EXPECT_EQ(-EINVAL, aop_loop_tasks(self->loop, NULL, NULL));
	EXPECT_EQ(-EINVAL, aop_loop_tasks(NULL, note, NULL));

	ASSERT_EQ(0, aop_loop_task_stats(self->loop, &ts));
	EXPECT_EQ(3, ts.tasks);
	EXPECT_EQ(3, ts.spawned);
	EXPECT_EQ(0, ts.ended);
	EXPECT_EQ(2, ts.polls);
	EXPECT_EQ(-EINVAL, aop_loop_task_stats(self->loop, &wrong));

	ASSERT_EQ(0, pipe(fd));
	EXPECT_EQ(0, aop_loop_dump(self->loop, fd[1]));
	EXPECT_LT(0, read(fd[0], text, sizeof(text) - 1));
	EXPECT_NE(NULL, strstr(text, "3 tasks: 3 spawned, 0 ended, 2 polls"));
	EXPECT_NE(NULL, strstr(text, "awaits its children"));
	EXPECT_NE(NULL, strstr(text, "\n  parent:"));
	EXPECT_NE(NULL, strstr(text, "(running), for 0."));
	EXPECT_EQ(-EINVAL, aop_loop_dump(NULL, fd[1]));
	close(fd[0]);
	close(fd[1]);
	EXPECT_EQ(-EIO, aop_loop_dump(self->loop, fd[1]));
	/* Before what is on this stack goes. */
	aop_loop_close(self->loop);
	self->loop = NULL;
}

TEST_HARNESS_MAIN
