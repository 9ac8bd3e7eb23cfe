// SPDX-License-Identifier: GPL-2.0
/*
 * Calls on files that block are made by a pool for the epoll engine, and the loop goes on:
 * F6, F17, M10, C3.  A slow file is one whose data comes into memory that a userfaultfd
 * holds back: the call sleeps in the kernel until the test lets it go on.
 */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "loop.h"

#define SLOW	3				/* pages */

FIXTURE(file) {
	struct aop_loop *loop;
	struct aop_pool *pool;
	struct aop_io io[3], wait;
	struct aop_timer tm;
	int proc, uffd;
	size_t page;
	char *slow;				/* memory that is filled by let_go() */
	char all[64];				/* what the file begins with */
};

FIXTURE_VARIANT(file) { uint32_t flags; uint32_t threads; };
FIXTURE_VARIANT_ADD(file, one_thread) { .flags = AOP_EPOLL, .threads = 1 };
FIXTURE_VARIANT_ADD(file, two_threads) { .flags = AOP_EPOLL, .threads = 2 };
FIXTURE_VARIANT_ADD(file, any_thread) { .flags = AOP_EPOLL | AOP_ANY_THREAD, .threads = 1 };

FIXTURE_SETUP(file)
{
	struct aop_pool_opts po = { .size = sizeof(po), .threads = variant->threads };
	struct aop_loop_opts o = { .size = sizeof(o), .flags = variant->flags };
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;

	if (loop_under_valgrind())
		SKIP(return, "valgrind looks at the memory itself");
	self->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (self->uffd < 0)
		SKIP(return, "no userfaultfd");
	self->page = sysconf(_SC_PAGESIZE);
	self->slow = mmap(NULL, SLOW * self->page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->slow);
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_API, &api));
	reg = (struct uffdio_register){
		.range = { (uintptr_t)self->slow, SLOW * self->page },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_REGISTER, &reg));
	/* A file that does not know RWF_NOWAIT, and no lock either. */
	self->proc = open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->proc);
	ASSERT_EQ(64, pread(self->proc, self->all, 64, 0));
	ASSERT_EQ(0, aop_pool_open(&self->pool, &po));
	o.pool = self->pool;
	ASSERT_EQ(0, aop_loop_open(&self->loop, &o));
}

FIXTURE_TEARDOWN(file)
{
	aop_loop_close(self->loop);
	aop_pool_close(self->pool);
	close(self->proc);
	close(self->uffd);
	munmap(self->slow, SLOW * self->page);
}

static struct aop *slow_read(FIXTURE_DATA(file) *self, int i)
{
	return aop_read(self->loop, &self->io[i], self->proc, self->slow + i * self->page, 64, 0);
}

/* The call sleeps in the kernel: until then the loop runs. */
static void until_it_sleeps(struct __test_metadata *_metadata, FIXTURE_DATA(file) *self)
{
	struct uffd_msg msg;

	ASSERT_EQ(POLLIN, aop_loop_get(self->loop, aop_ready(self->loop, &self->wait, self->uffd,
							     POLLIN)));
	ASSERT_EQ(sizeof(msg), read(self->uffd, &msg, sizeof(msg)));
	ASSERT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
}

static void let_go(FIXTURE_DATA(file) *self, int i)
{
	struct uffdio_zeropage z = {
		.range = { (uintptr_t)self->slow + i * self->page, self->page },
	};

	ioctl(self->uffd, UFFDIO_ZEROPAGE, &z);
}

TEST_F(file, F6_the_loop_goes_on)
{
	struct aop *r = slow_read(self, 0);

	until_it_sleeps(_metadata, self);
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_sleep(self->loop, &self->tm, AOP_MS(1))));
	EXPECT_FALSE(aop_is_final(r));
	let_go(self, 0);
	EXPECT_EQ(64, aop_loop_get(self->loop, r));
	EXPECT_EQ(0, memcmp(self->slow, self->all, 64));
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
}

/* C3, M10: a call that has begun cannot be stopped, and has its buffer until it is over. */
TEST_F(file, M10_cancelled_when_it_has_begun)
{
	struct aop *r = slow_read(self, 0);

	until_it_sleeps(_metadata, self);
	EXPECT_EQ(AOP_ASKED, aop_cancel(r, -EINTR));
	/* Something else that the loop does from begin to end. */
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_sleep(self->loop, &self->tm, AOP_MS(1))));
	EXPECT_FALSE(aop_is_over(r));
	let_go(self, 0);
	EXPECT_EQ(64, aop_loop_get(self->loop, r));
	EXPECT_EQ(AOP_DONE, aop_state(r));
	EXPECT_EQ(0, memcmp(self->slow, self->all, 64));
}

/* C3: the other order: it is not made any more. */
TEST_F(file, C3_cancelled_before_it_begins)
{
	struct aop *r[3];
	unsigned int i;

	for (i = 0; i < variant->threads; i++) {
		r[i] = slow_read(self, i);
		until_it_sleeps(_metadata, self);
	}
	/* All threads are busy. */
	r[i] = slow_read(self, i);
	EXPECT_EQ(AOP_ASKED, aop_cancel(r[i], -EINTR));
	/* The loop is asked in a turn, when others may cancel. */
	aop_loop_run(self->loop, AOP_RUN_READY);
	while (i--)
		let_go(self, i);
	i = variant->threads;
	EXPECT_EQ(-EINTR, aop_loop_get(self->loop, r[i]));
	EXPECT_EQ(AOP_CANCELLED, aop_state(r[i]));
	/* It did not touch its memory: nobody waits there. */
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	let_go(self, i);
	EXPECT_EQ(0, self->slow[i * self->page]);
}

/* With an offset each, as many as there are threads. */
TEST_F(file, side_by_side)
{
	struct aop *r[2];
	unsigned int i;

	for (i = 0; i < variant->threads; i++) {
		r[i] = slow_read(self, i);
		until_it_sleeps(_metadata, self);
	}
	while (i--) {
		let_go(self, i);
		EXPECT_EQ(64, aop_loop_get(self->loop, r[i]));
	}
}

/* At the file's position: one after the other, and those behind can be cancelled. */
TEST_F(file, M10_in_turn)
{
	char part[2][8];
	struct aop *r[3];

	r[0] = aop_read(self->loop, &self->io[0], self->proc, self->slow, 8, -1);
	r[1] = aop_read(self->loop, &self->io[1], self->proc, part[0], 8, -1);
	r[2] = aop_read(self->loop, &self->io[2], self->proc, part[1], 8, -1);
	until_it_sleeps(_metadata, self);
	EXPECT_EQ(AOP_ASKED, aop_cancel(r[1], 0));
	EXPECT_EQ(-ECANCELED, aop_loop_get(self->loop, r[1]));
	EXPECT_FALSE(aop_is_final(r[0]));
	EXPECT_FALSE(aop_is_final(r[2]));
	r[1] = aop_read(self->loop, &self->io[1], self->proc, part[0], 8, -1);
	let_go(self, 0);
	EXPECT_EQ(8, aop_loop_get(self->loop, r[0]));
	EXPECT_EQ(8, aop_loop_get(self->loop, r[1]));
	EXPECT_EQ(8, aop_loop_get(self->loop, r[2]));
	EXPECT_EQ(0, memcmp(self->slow, self->all, 8));
	EXPECT_EQ(0, memcmp(part[1], self->all + 8, 8));
	EXPECT_EQ(0, memcmp(part[0], self->all + 16, 8));
}

static _Atomic int closer;

static void *let_go_later(void *arg)
{
	lib_until_asleep(&closer, SYS_epoll_wait);
	let_go(arg, 0);
	return NULL;
}

static void must_not_run(struct aop_work *w)
{
	(void)w;
	abort();
}

/* The memory of what was posted is somebody else's when the loop is closed. */
static void post_and_forget(struct aop_loop *l)
{
	struct aop_work w[2] = { { .run = must_not_run }, { .run = must_not_run } };

	aop_loop_post(l, &w[0]);
	aop_loop_post(l, &w[1]);
	memset(w, 0xee, sizeof(w));
	__asm__ volatile("" :: "r"(w) : "memory");
}

/* M6, M10: closing waits for the call, and does not look at what the program has posted. */
TEST_F(file, M10_close_waits_for_the_call)
{
	pthread_t thread;
	struct aop *r[3];
	int i;

	r[0] = slow_read(self, 0);
	until_it_sleeps(_metadata, self);
	for (i = 1; i < 3; i++)
		r[i] = aop_read(self->loop, &self->io[i], self->proc, self->slow, 64, 0);
	post_and_forget(self->loop);
	closer = syscall(SYS_gettid);
	ASSERT_EQ(0, pthread_create(&thread, NULL, let_go_later, self));
	aop_loop_close(self->loop);
	self->loop = NULL;
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(aop_is_over(r[i]));
		/* A second thread of the pool may have begun with another. */
		if (i && aop_result(r[i]) != 64)
			EXPECT_EQ(-EOWNERDEAD, aop_result(r[i]));
	}
	EXPECT_EQ(64, aop_result(r[0]));
	pthread_join(thread, NULL);
}

/* ---- files of a disk; both engines ---------------------------------------------- */

FIXTURE(disk) {
	struct aop_loop *loop;
	struct aop_io io[4];
	FILE *f;
	int fd;
};

LOOP_VARIANTS(disk);

FIXTURE_SETUP(disk)
{
	LOOP_OPEN(self->loop);
	self->f = tmpfile();
	ASSERT_NE(NULL, self->f);
	self->fd = fileno(self->f);
}

FIXTURE_TEARDOWN(disk)
{
	aop_loop_close(self->loop);
	fclose(self->f);
}

/* Written, brought to the disk, forgotten by the memory, and read again. */
TEST_F(disk, there_and_back)
{
	const size_t len = 1 << 20;
	char *out = malloc(len), *in = calloc(1, len + 9);
	size_t have = 0, i;
	int64_t n;

	ASSERT_NE(NULL, out);
	ASSERT_NE(NULL, in);
	for (i = 0; i < len; i++)
		out[i] = i * 13 ^ i >> 9;
	EXPECT_EQ(len, aop_loop_get(self->loop, aop_write_all(self->loop, &self->io[0], self->fd,
							      out, len, -1)));
	EXPECT_EQ(0, aop_loop_get(self->loop, aop_fsync(self->loop, &self->io[0], self->fd)));
	posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
	for (;;) {
		n = aop_loop_get(self->loop, aop_read(self->loop, &self->io[0], self->fd, in + have,
						      len + 9 - have, have));
		ASSERT_LE(0, n);
		if (!n)
			break;
		have += n;
		ASSERT_GE(len, have);
	}
	EXPECT_EQ(len, have);
	if (!loop_under_valgrind())
		EXPECT_EQ(0, memcmp(in, out, len));
	free(in);
	free(out);
}

/* At the file's position, without waiting for each: with epoll they come in order. */
TEST_F(disk, many_in_flight)
{
	struct aop *w[4];
	char text[17] = "";
	int i;

	if (strcmp(variant->engine, "epoll"))
		SKIP(return, "io_uring keeps no order");
	for (i = 0; i < 4; i++)
		w[i] = aop_write(self->loop, &self->io[i], self->fd, "aaaabbbbccccdddd" + 4 * i, 4,
				 -1);
	EXPECT_EQ(0, aop_loop_run(self->loop, AOP_RUN_ALL));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(4, aop_result(w[i]));
	EXPECT_EQ(16, pread(self->fd, text, 16, 0));
	EXPECT_STREQ("aaaabbbbccccdddd", text);
}

/* A regular file that can be polled, which says nothing about its calls. */
TEST_F(disk, pollable)
{
	char want[2][16], part[2][16] = { "", "" };
	struct aop *r[2];
	int i, fd = open("/proc/version", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(16, pread(fd, want[i], 16, 16 * i));
		r[i] = aop_read(self->loop, &self->io[i], fd, part[i], 16, 16 * i);
	}
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(16, aop_loop_get(self->loop, r[i]));
		EXPECT_EQ(0, memcmp(want[i], part[i], 16));
	}
	close(fd);
}

TEST_F(disk, bad_input)
{
	struct aop_io *io = &self->io[0];
	int p[2], dir;
	char c = 0;

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, dir);
	EXPECT_EQ(-EINVAL, aop_loop_get(self->loop, aop_fsync(self->loop, io, p[0])));
	EXPECT_EQ(-EISDIR, aop_loop_get(self->loop, aop_read(self->loop, io, dir, &c, 1, -1)));
	EXPECT_EQ(-ENOTSOCK, aop_loop_get(self->loop, aop_accept(self->loop, io, self->fd, 0)));
	EXPECT_EQ(-ENOTSOCK, aop_loop_get(self->loop, aop_recv(self->loop, io, self->fd, &c, 1,
							       0)));
	EXPECT_EQ(-EBADF, aop_loop_get(self->loop, aop_write(self->loop, io, dir, &c, 1, 0)));
	close(p[0]);
	close(p[1]);
	close(dir);
}

TEST_HARNESS_MAIN
