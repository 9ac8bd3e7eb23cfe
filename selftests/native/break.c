// SPDX-License-Identifier: GPL-2.0
/*
 * What a review of the operations of one process broke: callbacks that give back what
 * the library still goes through, and wakes that came too early or at the wrong time.
 */
#include <poll.h>
#include <pty.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>

#include "any.h"
#include "loop.h"

/* ---- ops ------------------------------------------------------------------------- */

FIXTURE(inside) {
	struct any any;
};

FIXTURE_VARIANT(inside) { enum any_scope scope; };
FIXTURE_VARIANT_ADD(inside, private) { .scope = ANY_PRIVATE };
FIXTURE_VARIANT_ADD(inside, local) { .scope = ANY_LOCAL };

FIXTURE_SETUP(inside)
{
	ASSERT_EQ(0, any_setup(&self->any, variant->scope));
}

FIXTURE_TEARDOWN(inside)
{
}

static void drop_and_free(struct aop_watch *w, const struct aop_status *st)
{
	struct aop *op = w->data;

	(void)st;
	if (aop_drop(op) == 1)
		free(op);
}

/* The callback before the group's gives the member back. */
TEST_F(inside, W7_W8_member_is_freed_before_its_group_is_told)
{
	struct aop *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));
	struct aop_member m[2];
	struct aop_group g;
	struct aop_watch w;
	struct aop *all;

	ASSERT_EQ(0, aop_init(a, self->any.where));
	ASSERT_EQ(0, aop_init(b, self->any.where));
	ASSERT_EQ(0, aop_then(a, &w, drop_and_free, a, AOP_INLINE));
	all = aop_all(&g, m, AOP_OPS(a, b), 0);
	EXPECT_EQ(0, aop_done(aop_owner(a), 1));	/* a is gone */
	EXPECT_EQ(0, aop_done(aop_owner(b), 1));
	EXPECT_TRUE(aop_is_over(all));
	EXPECT_EQ(2, aop_result(all));
	EXPECT_EQ(1, aop_drop(all));
	EXPECT_EQ(1, aop_drop(b));
	free(b);
}

static void end_it(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	aop_cancelled(w->data, 0);
}

static void count_call(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	++*(int *)w->data;
}

/* A deadline that a call notices has the owner told, who ends it, and it is freed. */
TEST_F(inside, M9_a_call_that_is_late_ends_and_frees_it)
{
	struct aop_watch over, asked, late;
	struct aop *op;
	int64_t at;
	int i, calls = 0;

	for (i = 0; i < 7; i++) {
		op = malloc(sizeof(*op));
		/* Far enough for valgrind to come to the loop before. */
		at = aop_now() + AOP_MS(200);
		ASSERT_EQ(0, aop_init_with(op, self->any.where,
					   AOP_OPTS(.state = AOP_RUNNING,
						    .deadline = aop_until(at))));
		if (i != 4)
			ASSERT_EQ(0, aop_then(op, &over, drop_and_free, op, AOP_INLINE));
		ASSERT_EQ(0, aop_on_asked(aop_owner(op), &asked, end_it, aop_owner(op),
					  AOP_INLINE));
		while (aop_now() < at)
			;
		switch (i) {
		case 0:
			EXPECT_EQ(AOP_TOO_LATE, aop_cancel(op, 0));
			break;
		case 1:
			EXPECT_EQ(-EALREADY, aop_progress(aop_owner(op), 1, 2));
			break;
		case 2:
			EXPECT_EQ(-EALREADY, aop_done(aop_owner(op), 1));
			break;
		case 3:
			EXPECT_EQ(-EALREADY, aop_let_go(aop_owner(op)));
			break;
		case 4:			/* it stays its watcher's */
			EXPECT_EQ(-EALREADY, aop_done(aop_owner(op), 1));
			EXPECT_EQ(-ETIMEDOUT, aop_result(op));
			EXPECT_EQ(1, aop_drop(op));
			free(op);
			break;
		case 5:			/* the new watch goes with it */
			EXPECT_EQ(0, aop_watch(op, &late, count_call, &calls, AOP_INLINE));
			EXPECT_GE(1, calls);
			aop_unwatch(&late);
			break;
		case 6:
			EXPECT_EQ(0, aop_on_asked(aop_owner(op), &late, count_call, &calls,
						  AOP_INLINE));
			aop_unwatch(&late);
			break;
		}
	}
}

/* An executor that runs its work at once. */
static void at_once(struct aop_exec *x, struct aop_work *w)
{
	(void)x;
	w->run(w);
}

static int told;
static struct aop *second;

static void tell(struct aop_watch *w, const struct aop_status *st)
{
	(void)w;
	(void)st;
	told++;
}

static void use_watch_again(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	aop_then(second, w, tell, NULL, AOP_INLINE);
	aop_done(aop_owner(second), 0);
}

/* The watch's memory is used for another while the thread is still in submit(). */
TEST_F(inside, W7_watch_used_again_inside_submit)
{
	struct aop_exec x = { .submit = at_once };
	struct aop ops[64], other;
	struct aop_watch w;
	int i;

	told = 0;
	/* In local scope: some of them are of the same home. */
	for (i = 0; i < 64; i++) {
		ASSERT_EQ(0, aop_init(&other, self->any.where));
		ASSERT_EQ(0, aop_init(&ops[i], self->any.where));
		second = &ops[i];
		ASSERT_EQ(0, aop_then(&other, &w, use_watch_again, NULL, &x));
		ASSERT_EQ(0, aop_done(aop_owner(&other), 0));
		ASSERT_EQ(i + 1, told);
		ASSERT_EQ(1, aop_drop(&ops[i]));
		ASSERT_EQ(1, aop_drop(&other));
	}
}

/* ---- loops ----------------------------------------------------------------------- */

FIXTURE(broken) {
	struct aop_loop *loop;
};

LOOP_VARIANTS(broken);

FIXTURE_SETUP(broken)
{
	LOOP_OPEN(self->loop);
}

FIXTURE_TEARDOWN(broken)
{
	aop_loop_close(self->loop);
}

struct again {
	struct aop_io io;
	struct aop_watch w;
	struct aop_loop *loop;
	int fd, calls;
};

static void read_one(struct aop_watch *w, const struct aop_status *st)
{
	struct again *a = w->data;
	char c;

	if (st->state != AOP_DONE)
		return;
	if (++a->calls > 3 || read(a->fd, &c, 1) != 1)
		return;
	aop_then(aop_ready(a->loop, &a->io, a->fd, POLLIN), &a->w, read_one, a,
		 AOP_INLINE);
}

/* Readiness of before is no reason to call who asks again; and the loop goes on. */
TEST_F(broken, W5_ready_is_asked_for_again_in_its_callback)
{
	struct again a = { .loop = self->loop };
	int p[2], i;

	if (variant->flags & AOP_ANY_THREAD)
		SKIP(return, "what its ops call, they call from the loop's queue");
	ASSERT_EQ(0, pipe2(p, O_NONBLOCK));
	a.fd = p[0];
	ASSERT_EQ(0, aop_then(aop_ready(a.loop, &a.io, a.fd, POLLIN), &a.w, read_one, &a,
			      AOP_INLINE));
	ASSERT_EQ(1, write(p[1], "x", 1));
	for (i = 0; i < 5; i++)
		aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_EQ(1, a.calls);
	ASSERT_EQ(1, write(p[1], "y", 1));
	for (i = 0; i < 5; i++)
		aop_loop_run(self->loop, AOP_RUN_READY);
	EXPECT_EQ(2, a.calls);
	aop_cancel(&a.io.op, 0);
	aop_loop_get(self->loop, &a.io.op);
	close(p[0]);
	close(p[1]);
}

struct restless {
	struct aop_io io;
	struct aop_watch w;
	struct aop_loop *loop;
	int fd, calls;
	char c;
	bool reads, enough;
};

static void begin_again(struct aop_watch *w, const struct aop_status *st)
{
	struct restless *r = w->data;
	struct aop *op;

	if (st->state != AOP_DONE || r->enough || st->result == 0)
		return;
	r->calls++;
	op = r->reads ? aop_recv(r->loop, &r->io, r->fd, &r->c, 1, 0) :
	     aop_ready(r->loop, &r->io, r->fd, POLLIN | POLLOUT);
	aop_then(op, &r->w, begin_again, r, AOP_INLINE);
}

struct restless_task {
	struct aop_task task;
	struct restless r;
};

static int64_t restless_task(struct aop_task *t)
{
	struct restless *r = &aop_container(t, struct restless_task, task)->r;
	int64_t ret;

	AOP_BEGIN(t);
	while (!r->enough) {
		AOP_AWAIT(ret, r->reads ? aop_recv(r->loop, &r->io, r->fd, &r->c, 1, 0) :
			  aop_ready(r->loop, &r->io, r->fd, POLLIN));
		if (ret <= 0)
			break;
		r->calls++;
	}
	AOP_END(0);
}

/* Who begins again what ends at once does not keep the loop from everything else. */
TEST_F(broken, F10_what_ends_at_once_is_begun_again_and_again)
{
	struct restless_task t;
	struct restless r;
	char bytes[5000] = "";
	int sv[2], file, reads, i;

	file = memfd_create("file", 0);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, 1));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	for (reads = 0; reads < 2; reads++) {
		if (reads)
			ASSERT_EQ(sizeof(bytes), write(sv[1], bytes, sizeof(bytes)));
		memset(&r, 0, sizeof(r));
		r.loop = self->loop;
		r.fd = reads ? sv[0] : file;
		r.reads = reads;
		memset(&t, 0, sizeof(t));
		t.r = r;
		aop_then(aop_ready(r.loop, &r.io, r.fd, POLLIN), &r.w, begin_again, &r, AOP_INLINE);
		aop_spawn(r.loop, &t.task, restless_task, NULL, 0);
		/* Each turn comes to its end, with something done but not everything. */
		for (i = 0; i < 20; i++) {
			ASSERT_LE(0, aop_loop_run(self->loop, AOP_RUN_READY));
			ASSERT_LT(r.calls + t.r.calls, 1500 * (i + 1));
		}
		EXPECT_LT(0, r.calls);
		EXPECT_LT(0, t.r.calls);
		r.enough = true;
		t.r.enough = true;
		aop_cancel(&r.io.op, 0);
		aop_cancel(&t.r.io.op, 0);
		aop_loop_get(self->loop, &t.task.op);
		aop_loop_get(self->loop, &r.io.op);
	}
	close(file);
	close(sv[0]);
	close(sv[1]);
}

/* The first read takes all there is; the second must not block the loop. */
TEST_F(broken, W1_a_terminal_with_two_reads)
{
	struct aop_io io[2];
	struct termios raw;
	char buf[2][2];
	int master, slave, i;

	ASSERT_EQ(0, openpty(&master, &slave, NULL, NULL, NULL));
	ASSERT_EQ(0, tcgetattr(slave, &raw));
	cfmakeraw(&raw);
	ASSERT_EQ(0, tcsetattr(slave, TCSANOW, &raw));
	for (i = 0; i < 2; i++)
		aop_read(self->loop, &io[i], slave, buf[i], 2, -1);
	ASSERT_EQ(2, write(master, "ab", 2));
	while (!aop_is_over(&io[0].op) && !aop_is_over(&io[1].op))
		aop_loop_run(self->loop, AOP_RUN_ONCE);
	EXPECT_NE(aop_is_over(&io[0].op), aop_is_over(&io[1].op));
	ASSERT_EQ(2, write(master, "cd", 2));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(2, aop_loop_get(self->loop, &io[i].op));
	close(master);
	close(slave);
}

struct pair {
	struct aop_io *other;
	struct aop_watch w;
};

static void cancel_other(struct aop_watch *w, const struct aop_status *st)
{
	struct pair *p = w->data;

	(void)st;
	if (!p->other)
		return;
	aop_cancel(&p->other->op, 0);
	if (aop_is_over(&p->other->op))
		free(p->other);
	p->other = NULL;
}

/* While a loop is closed, a callback ends and frees the op that would be next. */
TEST_F(broken, C6_close_with_ops_that_end_each_other)
{
	struct aop_io *io[3];
	struct pair pair = { NULL };
	char buf[3];
	int p[2], i;

	if (variant->flags & AOP_ANY_THREAD)
		SKIP(return, "what its ops call, they call from the loop's queue");
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	for (i = 0; i < 3; i++) {
		io[i] = malloc(sizeof(*io[i]));
		aop_read(self->loop, io[i], p[0], &buf[i], 1, -1);
	}
	pair.other = io[1];
	ASSERT_EQ(0, aop_then(&io[2]->op, &pair.w, cancel_other, &pair, AOP_INLINE));
	aop_loop_close(self->loop);
	self->loop = NULL;
	EXPECT_TRUE(aop_is_over(&io[0]->op));
	EXPECT_TRUE(aop_is_over(&io[2]->op));
	free(io[0]);
	free(io[2]);
	if (variant->flags & AOP_URING)
		free(io[1]);
	close(p[0]);
	close(p[1]);
}

/* What waits for ops that close ends is over too, and nothing of the loop is used later. */
TEST_F(broken, M6_close_ends_what_waits_for_other_ops)
{
	struct aop_within within;
	struct aop_io io;
	char c;
	int p[2];

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	aop_within(self->loop, &within, AOP_SEC(1000),
		   aop_read(self->loop, &io, p[0], &c, 1, -1));
	aop_loop_close(self->loop);
	self->loop = NULL;
	EXPECT_TRUE(aop_is_over(&io.op));
	EXPECT_TRUE(aop_is_over(&within.op));
	EXPECT_EQ(-EOWNERDEAD, aop_result(&within.op));
	aop_drop(&io.op);
	aop_drop(&within.op);
	close(p[0]);
	close(p[1]);
}

static void not_run(struct aop_work *w)
{
	(void)w;
	abort();
}

/* What was posted, and not run, may be gone when the loop is closed. */
static void post_from_this_stack(struct aop_loop *l)
{
	struct aop_work w = { .run = not_run };

	aop_loop_post(l, &w);
	memset(&w, 0xee, sizeof(w));
	__asm__ volatile("" :: "r"(&w) : "memory");
}

TEST_F(broken, M6_close_does_not_touch_what_was_posted)
{
	post_from_this_stack(self->loop);
	aop_loop_close(self->loop);
	self->loop = NULL;
}

struct reads {
	struct aop_each each;
	struct aop_member slots[2];
	struct aop_io io[2];
	struct aop_loop *loop;
	char buf[2];
	int fd;
};

static struct aop *next_read(struct aop_each *e, unsigned int slot)
{
	struct reads *r = aop_container(e, struct reads, each);

	return aop_read(r->loop, &r->io[slot], r->fd, &r->buf[slot], 1, -1);
}

TEST_F(broken, F9_close_ends_for_each)
{
	struct reads r = {
		.each = { .next = next_read, .slots = r.slots, .limit = 2 },
		.loop = self->loop,
	};
	int p[2];

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	r.fd = p[0];
	aop_for_each(self->loop, &r.each);
	aop_loop_run(self->loop, AOP_RUN_READY);
	aop_loop_close(self->loop);
	self->loop = NULL;
	EXPECT_TRUE(aop_is_over(&r.each.op));
	EXPECT_EQ(-EOWNERDEAD, aop_result(&r.each.op));
	close(p[0]);
	close(p[1]);
}

/* C6: what next() begins after it has itself asked all to stop is asked, too. */
static struct aop *next_read_and_cancel(struct aop_each *e, unsigned int slot)
{
	struct aop *op = next_read(e, slot);

	aop_cancel(&e->op, -EINTR);
	return op;
}

TEST_F(broken, C6_for_each_cancelled_by_its_next)
{
	struct reads r = {
		.each = { .next = next_read_and_cancel, .slots = r.slots, .limit = 2 },
		.loop = self->loop,
	};
	int p[2];

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	r.fd = p[0];
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, aop_for_each(self->loop, &r.each)));
	EXPECT_EQ(-EINTR, aop_result(&r.io[0].op));
	close(p[0]);
	close(p[1]);
}

/* ---- tasks ----------------------------------------------------------------------- */

struct awaits {
	struct aop_task task;
	struct aop op;
	int rounds;
	int64_t result;
	atomic_bool waits;
};

static struct aop *begin_op(struct awaits *a)
{
	aop_init(&a->op, AOP_LOCAL);
	a->waits = true;
	return &a->op;
}

static int64_t awaits_often(struct aop_task *t)
{
	struct awaits *a = aop_container(t, struct awaits, task);

	AOP_BEGIN(t);
	for (a->rounds = 0; a->rounds < 3; a->rounds++)
		AOP_AWAIT(a->result, begin_op(a));
	AOP_END(0);
}

/*
 * A wake that comes just before the op's own: the task sees that the op is over, and
 * awaits a new one in the same memory.
 */
TEST_F(broken, F7_woken_for_nothing_when_the_op_is_over)
{
	struct awaits a = { .rounds = 0 };
	int i, turns;

	aop_spawn(self->loop, &a.task, awaits_often, NULL, 0);
	for (i = 0; i < 3; i++) {
		for (turns = 0; turns < 10 && !a.waits; turns++)
			aop_loop_run(self->loop, AOP_RUN_READY);
		ASSERT_TRUE(a.waits);
		a.waits = false;
		aop_wake(&a.task);
		aop_done(aop_owner(&a.op), i);
	}
	EXPECT_EQ(0, aop_loop_get(self->loop, &a.task.op));
}

TEST_HARNESS_MAIN
