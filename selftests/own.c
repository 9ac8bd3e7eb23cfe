// SPDX-License-Identifier: GPL-2.0
/*
 * The shortest ways through the module, which leave out a lock or a wake that others
 * need: progress of an op by its creator, the first descriptor of an op, and an answer
 * that cannot be written.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#include "harness.h"
#include "abi.h"
#include "slow.h"

#define ROUNDS	300

FIXTURE(own) {
	struct abi_ctx own, see;
};

FIXTURE_SETUP(own)
{
	ASSERT_EQ(0, abi_open(&self->own, 256));
	ASSERT_EQ(0, abi_open(&self->see, 256));
}

FIXTURE_TEARDOWN(own)
{
	abi_close(&self->own);
	abi_close(&self->see);
}

/* Every handle whose mask asks for it is told, in one context and in others. */
TEST_F(own, M7_progress_reaches_each_watcher)
{
	uint64_t h = abi_new(&self->own, 1, AOP_EV_CHANGE), a, b, quiet;
	struct aop_status st;

	a = abi_again(&self->own, h, &self->see, AOP_MAY_LOOK, AOP_EV_CHANGE);
	b = abi_again(&self->own, h, &self->see, AOP_MAY_LOOK, AOP_EV_CHANGE);
	quiet = abi_again(&self->own, h, &self->see, AOP_MAY_LOOK, AOP_EV_FINAL);
	ASSERT_TRUE(h && a && b && quiet);
	abi_drain(&self->own);
	abi_drain(&self->see);
	EXPECT_EQ(0, abi_progress(&self->own, h, 5, 9));
	EXPECT_EQ(1, abi_drain(&self->own));
	EXPECT_EQ(2, abi_drain(&self->see));
	abi_status(&self->see, quiet, &st);
	EXPECT_EQ(5, st.done);
	EXPECT_EQ(9, st.total);
}

/* An entry of the table that was used for an own op, for another's, and for an own one. */
TEST_F(own, entries_change_sides)
{
	uint64_t mine, theirs, moved;
	int fd;

	mine = abi_new(&self->own, 1, 0);
	ASSERT_EQ(0, abi_signal(&self->own, mine, AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH, 0));
	theirs = abi_new(&self->see, 1, 0);
	fd = abi_export(&self->see, theirs, AOP_MAY_ALL);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, abi_attach_fd(&self->own, fd, AOP_MAY_ALL, 7, 0, &moved));
	EXPECT_EQ(abi_index(mine), abi_index(moved));
	EXPECT_EQ(-ESTALE, abi_progress(&self->own, mine, 1, 1));
	EXPECT_EQ(0, abi_progress(&self->own, moved, 2, 3));
	EXPECT_EQ(0, abi_signal(&self->own, moved, AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH, 0));
	EXPECT_EQ(-ESTALE, abi_progress(&self->own, moved, 4, 4));
	mine = abi_new(&self->own, 1, 0);
	EXPECT_EQ(abi_index(moved), abi_index(mine));
	EXPECT_EQ(-ESTALE, abi_progress(&self->own, moved, 4, 4));
	EXPECT_EQ(0, abi_progress(&self->own, mine, 1, 1));
	close(fd);
}

struct race {
	struct abi_ctx *c;
	uint64_t handle;
	uint32_t end;		/* AOP_SIGNAL_* */
	pthread_barrier_t gate;
	int ret, fd;
	bool ended_first;
};

static void *ender(void *arg)
{
	struct race *r = arg;

	pthread_barrier_wait(&r->gate);
	r->ret = abi_signal(r->c, r->handle, r->end, 0);
	return NULL;
}

/* Either it comes first and stays, or it is refused; what is final does not change. */
static void race_progress(struct __test_metadata *_metadata, struct abi_ctx *own,
			  struct abi_ctx *see, uint32_t end, int refused)
{
	struct race r = { .c = own, .end = end };
	unsigned int i, nr = rounds(ROUNDS);
	struct aop_status st, again;
	pthread_t thread;
	uint64_t watch;
	int64_t n, last;
	int ret;

	pthread_barrier_init(&r.gate, NULL, 2);
	for (i = 0; i < nr; i++) {
		r.handle = abi_new(own, 1, 0);
		watch = abi_again(own, r.handle, see, AOP_MAY_LOOK, 0);
		ASSERT_TRUE(r.handle && watch);
		ASSERT_EQ(0, pthread_create(&thread, NULL, ender, &r));
		pthread_barrier_wait(&r.gate);
		for (n = 1, last = 0; !(ret = abi_progress(own, r.handle, n, 0)); n++)
			last = n;
		abi_status(see, watch, &st);
		pthread_join(thread, NULL);
		EXPECT_EQ(0, r.ret);
		EXPECT_EQ(refused, ret);
		EXPECT_EQ(last, (int64_t)st.done);
		EXPECT_EQ(AOP_DONE, st.state);
		abi_status(see, watch, &again);
		EXPECT_EQ(0, memcmp(&st, &again, sizeof(st)));
		abi_detach(own, r.handle, 0);
		ASSERT_EQ(0, abi_detach(see, watch, 0));
	}
	pthread_barrier_destroy(&r.gate);
}

TEST_F(own, M3_progress_races_with_the_end)
{
	race_progress(_metadata, &self->own, &self->see, AOP_SIGNAL_DONE, -EPERM);
}

TEST_F(own, M3_progress_races_with_the_end_of_the_handle)
{
	race_progress(_metadata, &self->own, &self->see, AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH,
		      -ESTALE);
}

/* An op ends just when it gets its first descriptor: who sleeps on that one wakes. */
TEST_F(own, first_export_races_with_the_end)
{
	struct race r = { .c = &self->own, .end = AOP_SIGNAL_DONE };
	unsigned int i, nr = rounds(ROUNDS);
	struct aop_status st;
	pthread_t thread;
	struct pollfd p;

	pthread_barrier_init(&r.gate, NULL, 2);
	for (i = 0; i < nr; i++) {
		r.handle = abi_new(&self->own, 1, 0);
		ASSERT_NE(0, r.handle);
		ASSERT_EQ(0, pthread_create(&thread, NULL, ender, &r));
		/* Every other time the end is ahead by some system calls. */
		pthread_barrier_wait(&r.gate);
		if (i & 1)
			sched_yield();
		p = (struct pollfd) { abi_export(&self->own, r.handle, AOP_MAY_LOOK), POLLIN, 0 };
		ASSERT_LE(0, p.fd);
		ASSERT_EQ(1, poll(&p, 1, -1));
		ASSERT_EQ(sizeof(st), read(p.fd, &st, sizeof(st)));
		EXPECT_EQ(AOP_DONE, st.state);
		pthread_join(thread, NULL);
		close(p.fd);
		ASSERT_EQ(0, abi_detach(&self->own, r.handle, 0));
	}
	pthread_barrier_destroy(&r.gate);
}

struct flip {
	void *page;
	bool stop;
};

static void *flipper(void *arg)
{
	struct flip *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE)) {
		mprotect(f->page, 4096, PROT_READ);
		mprotect(f->page, 4096, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

/* Memory that cannot be written any more: what was made is taken back. */
TEST_F(own, an_answer_that_is_lost_leaves_nothing)
{
	unsigned int i, failed = 0, nr = rounds(10 * ROUNDS);
	struct aop_create_entry *e;
	struct aop_create_entry keep;
	struct flip f = { 0 };
	pthread_t thread;
	long long before;
	int ret;

	f.page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, f.page);
	e = f.page;
	*e = (struct aop_create_entry) { .mode = 0600, .state = AOP_RUNNING };
	before = abi_handles(&self->own);
	ASSERT_EQ(0, pthread_create(&thread, NULL, flipper, &f));
	for (i = 0; i < nr; i++) {
		ret = abi_ioctl(self->own.fd, AOP_IOC_CREATE_ONE, e);
		if (ret) {
			EXPECT_EQ(-EFAULT, ret);
			failed++;
			EXPECT_EQ(before, abi_handles(&self->own));
			continue;
		}
		keep = *e;
		EXPECT_EQ(before + 1, abi_handles(&self->own));
		ASSERT_EQ(0, abi_detach(&self->own, keep.handle, 0));
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(before, abi_handles(&self->own));
	TH_LOG("%u of %u calls had no memory to answer to", failed, nr);
}

TEST_HARNESS_MAIN
