// SPDX-License-Identifier: GPL-2.0
/*
 * What a third attack on the module found: ports.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "behave.h"
#include "port.h"

#define BACKLOG	64

FIXTURE(brk3) {
	struct abi_ctx s, c;
	uint64_t port;			/* in s, all rights */
	uint64_t call;			/* in c, the right to call */
	struct port_taken t;
};

FIXTURE_SETUP(brk3)
{
	ASSERT_EQ(0, abi_open(&self->s, 1024));
	ASSERT_EQ(0, abi_open(&self->c, 1024));
	self->port = port_new(&self->s, BACKLOG);
	ASSERT_NE(0, self->port);
	self->call = share(&self->s, self->port, &self->c, AOP_MAY_CALL, 0);
	ASSERT_NE(0, self->call);
}

FIXTURE_TEARDOWN(brk3)
{
	abi_close(&self->c);
	abi_close(&self->s);
}

/* ---- room ---------------------------------------------------------------- */

/* Calls until there is no more room; returns how often, with the last handle. */
static int fill(struct abi_ctx *c, uint64_t port)
{
	struct aop_call_entry e = { .port = port, .flags = AOP_CALL_DETACHED };
	int n = 0;

	while (!port_calls(c, &e, 1, 0, 0, 0, NULL) && !e.ret) {
		abi_detach(c, e.handle, 0);
		n++;
	}
	return n;
}

struct sleeper {
	struct abi_ctx *c;
	uint64_t port;
	int ret;
	bool done;
};

static void *call_and_sleep(void *arg)
{
	struct sleeper *s = arg;
	struct aop_call_entry e = { .port = s->port, .flags = AOP_CALL_DETACHED };

	s->ret = port_calls(s->c, &e, 1, 0, abi_now() + 60000 * MSEC_NS, AOP_CALLS_WAIT, NULL);
	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/*
 * Others who take every place that comes free keep the backlog more than half full.  Who
 * has found none and waits for room, by its ready ring or asleep, gets it just the same.
 */
TEST_F(brk3, S1_room_for_who_waits_while_others_flood)
{
	struct sleeper sleeper = { .port = self->call, .c = &self->c };
	uint64_t flood[2], told;
	struct abi_ctx x;
	pthread_t thread;
	int i, rounds;

	ASSERT_EQ(0, abi_open(&x, 256));
	told = share(&self->s, self->port, &x, AOP_MAY_CALL, AOP_EV_ROOM);
	ASSERT_NE(0, told);
	for (i = 0; i < 2; i++) {
		flood[i] = share(&self->s, self->port, &self->s, AOP_MAY_CALL, 0);
		ASSERT_NE(0, flood[i]);
		fill(&self->s, flood[i]);
	}
	EXPECT_LT(0, fill(&x, told));
	EXPECT_EQ(0, abi_drain(&x));
	fill(&self->c, self->call);
	ASSERT_EQ(0, pthread_create(&thread, NULL, call_and_sleep, &sleeper));
	for (rounds = 0; rounds < 2 * BACKLOG ||
	     !__atomic_load_n(&sleeper.done, __ATOMIC_ACQUIRE); rounds++) {
		ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
		ASSERT_EQ(0, port_answer(&self->s, self->t.e[0].handle, 0, NULL, 0));
		for (i = 0; i < 2; i++)
			fill(&self->s, flood[i]);
		sched_yield();
	}
	EXPECT_EQ(1, abi_drain(&x));
	ASSERT_EQ(0, abi_done(&self->s, self->port, 0));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, sleeper.ret);
	abi_close(&x);
}

/* ---- what goes back ------------------------------------------------------ */

struct taker {
	struct abi_ctx *c;
	uint64_t port;
	struct aop_ioc_serve s;
	pid_t tid;
	int ret;
};

static void *serve_once(void *arg)
{
	struct taker *t = arg;

	__atomic_store_n(&t->tid, gettid(), __ATOMIC_RELEASE);
	t->ret = abi_ioctl(t->c->fd, AOP_IOC_SERVE, &t->s);
	return NULL;
}

/*
 * A call that was taken, but cannot be delivered, is queued again: of those who have seen
 * none meanwhile, and sleep or poll, somebody is told.
 */
TEST_F(brk3, S1_a_call_that_goes_back_wakes_another_server)
{
	size_t page = sysconf(_SC_PAGESIZE), size = sizeof(struct aop_taken_entry);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;
	struct uffdio_zeropage zero;
	struct taker bad, good;
	struct port_taken *t = &self->t;
	struct abi_ctx other;
	struct uffd_msg msg;
	pthread_t a, b;
	char *at;
	int uffd;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	at = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, mprotect(at + page, page, PROT_NONE));
	reg = (struct uffdio_register){
		.range = { .start = (uintptr_t)at, .len = page },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &reg));

	ASSERT_EQ(0, abi_open(&other, 64));
	good = (struct taker){
		.c = &other,
		.port = share(&self->s, self->port, &other, AOP_MAY_SERVE | AOP_MAY_LOOK,
			      AOP_EV_CHANGE),
	};
	ASSERT_NE(0, good.port);
	good.s = (struct aop_ioc_serve){
		.size = sizeof(good.s), .port = good.port, .taken = abi_u64(t->e),
		.taken_size = size, .nr = 1, .buffer = abi_u64(t->buffer),
		.buffer_size = sizeof(t->buffer), .deadline = abi_now() + 20000 * MSEC_NS,
	};
	/* The first entry is where nothing is yet, the second where nothing will be. */
	bad = (struct taker){ .c = &self->s };
	bad.s = good.s;
	bad.s.port = self->port;
	bad.s.taken = abi_u64(at + page - size);
	bad.s.nr = 2;
	bad.s.deadline = 0;
	ASSERT_NE(0, port_call(&self->c, self->call, NULL, 0, 0));
	ASSERT_NE(0, port_call(&self->c, self->call, NULL, 0, 0));
	ASSERT_EQ(0, pthread_create(&a, NULL, serve_once, &bad));
	ASSERT_EQ(sizeof(msg), read(uffd, &msg, sizeof(msg)));
	/* Both are taken. */
	EXPECT_EQ(-ETIME, port_take(&other, good.port, t, 1, 0));
	abi_drain(&other);
	ASSERT_EQ(0, pthread_create(&b, NULL, serve_once, &good));
	while (!__atomic_load_n(&good.tid, __ATOMIC_ACQUIRE))
		sched_yield();
	EXPECT_TRUE(until_asleep(good.tid));
	zero = (struct uffdio_zeropage){ .range = { .start = (uintptr_t)at, .len = page } };
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
	pthread_join(a, NULL);
	EXPECT_EQ(0, bad.ret);
	EXPECT_EQ(1, bad.s.count);
	EXPECT_EQ(1, abi_drain(&other));
	pthread_join(b, NULL);
	EXPECT_EQ(0, good.ret);
	EXPECT_EQ(1, good.s.count);
	abi_close(&other);
	close(uffd);
	munmap(at, 2 * page);
}


/* ---- who pays ------------------------------------------------------------ */

/* A call whose handle is gone is paid for by whom it waits for. */
TEST_F(brk3, K8_a_backlog_counts_as_handles)
{
	uint32_t max;
	uint64_t port, op;
	int i;

	ASSERT_EQ(0, abi_param_get("max_handles", &max));
	ASSERT_EQ(0, abi_param_set("max_handles", 1000));
	for (i = 0; i < 3; i++) {
		struct abi_ctx x;

		ASSERT_EQ(0, abi_open(&x, 64));
		port = port_new(&x, 900);
		EXPECT_NE(0, port);
		EXPECT_EQ(0, port_new(&self->s, 900));
		EXPECT_EQ(EDQUOT, errno);
		/* Its end gives it all back, whoever still looks at it. */
		op = share(&x, port, &self->s, AOP_MAY_LOOK, 0);
		EXPECT_NE(0, op);
		abi_close(&x);
	}
	EXPECT_EQ(0, abi_param_set("max_handles", max));
}

TEST_HARNESS_MAIN
