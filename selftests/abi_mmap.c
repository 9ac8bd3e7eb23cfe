// SPDX-License-Identifier: GPL-2.0
/*
 * The file behind a context: SETUP, what mmap grants and refuses, and the calls
 * that it does not have.
 */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "harness.h"
#include "abi.h"

FIXTURE(file) {
	struct abi_ctx c;		/* set up, not mapped */
	long page;
};

FIXTURE_SETUP(file)
{
	self->page = sysconf(_SC_PAGESIZE);
	self->c.fd = abi_open_file();
	ASSERT_GE(self->c.fd, 0);
	ASSERT_EQ(0, abi_setup(&self->c, 64));
}

FIXTURE_TEARDOWN(file)
{
	abi_close(&self->c);
}

/* What mmap says: 0, and then it is unmapped again, or an errno. */
static int mapped(int fd, size_t size, int prot, int flags, off_t offset)
{
	void *p = mmap(NULL, size, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, size);
	return 0;
}

static int regrown(void *at, size_t from, size_t to)
{
	return mremap(at, from, to, MREMAP_MAYMOVE) == MAP_FAILED ? errno : 0;
}

/* ---- setup -------------------------------------------------------------------- */

TEST_F(file, setup_slots)
{
	static const uint32_t bad[] = { 0, AOP_MAX_SLOTS + 1, INT_MAX, 1U << 31, UINT_MAX };
	struct abi_ctx c = { .fd = abi_open_file() };
	unsigned int i;

	ASSERT_GE(c.fd, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, abi_setup(&c, bad[i])) TH_LOG("%u slots", bad[i]);
	}
	/* What failed has not set it up. */
	EXPECT_EQ(EINVAL, mapped(c.fd, self->page, PROT_READ, MAP_SHARED, 0));
	EXPECT_EQ(0, abi_setup(&c, 64));
	close(c.fd);
}

TEST_F(file, setup_twice)
{
	struct abi_ctx *c = &self->c, again = { .fd = c->fd };
	uint64_t h;

	EXPECT_EQ(-EBUSY, abi_setup(&again, 64));
	EXPECT_EQ(-EBUSY, abi_setup(&again, 128));
	EXPECT_EQ(0, again.slots);
	ASSERT_EQ(0, abi_map(c));
	EXPECT_EQ(63, c->ring->mask);
	h = abi_new(c, 1, 0);
	EXPECT_NE(0, h);
	EXPECT_EQ(-EBUSY, abi_setup(&again, 64));
	EXPECT_EQ(AOP_PENDING, abi_state(c, h));
}

TEST_F(file, unknown_ioctl)
{
	static const unsigned int bad[] = {
		_IO(AOP_IOC_TYPE, 20), _IO(AOP_IOC_TYPE, 255), _IO(0xba, 1), 0, UINT_MAX,
		AOP_IOC_SETUP | 1U << 30, AOP_IOC_SETUP | 8U << 16,
	};
	struct aop_ioc_setup s = { .size = sizeof(s), .slots = 64 };
	int bare = abi_open_file();
	unsigned int i;

	ASSERT_GE(bare, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-ENOTTY, abi_ioctl(self->c.fd, bad[i], &s)) TH_LOG("%u", i);
		EXPECT_EQ(-ENOTTY, abi_ioctl(bare, bad[i], &s)) TH_LOG("%u, before setup", i);
	}
	EXPECT_EQ(0, abi_ioctl(bare, AOP_IOC_SETUP, &s));
	close(bare);
}

TEST_F(file, no_read_write_seek)
{
	char b[64] = { 0 };

	EXPECT_EQ(-1, read(self->c.fd, b, sizeof(b)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->c.fd, b, sizeof(b)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(self->c.fd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, ftruncate(self->c.fd, 0));
}

/* ---- mmap --------------------------------------------------------------------- */

#define EXPECT_MAP(errno_, size_, prot_, flags_, offset_)			\
	EXPECT_EQ(errno_, mapped(self->c.fd, size_, prot_, flags_, offset_))

TEST_F(file, mmap_offset_and_size)
{
	struct abi_ctx *c = &self->c;
	long page = self->page;

	EXPECT_MAP(0, c->head_size, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	EXPECT_MAP(0, c->head_size, PROT_READ, MAP_SHARED, 0);
	EXPECT_MAP(0, c->area_size, PROT_READ, MAP_SHARED, c->area_offset);

	EXPECT_MAP(EINVAL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	EXPECT_MAP(EINVAL, c->head_size + c->area_size, PROT_READ, MAP_SHARED, 0);
	EXPECT_MAP(EINVAL, page, PROT_READ, MAP_SHARED, c->area_offset);
	EXPECT_MAP(EINVAL, c->area_size - page, PROT_READ, MAP_SHARED, c->area_offset);
	EXPECT_MAP(EINVAL, c->area_size + page, PROT_READ, MAP_SHARED, c->area_offset);
	EXPECT_MAP(EINVAL, c->area_size, PROT_READ, MAP_SHARED, c->area_offset + page);
	EXPECT_MAP(EINVAL, c->area_size - page, PROT_READ, MAP_SHARED, c->area_offset + page);
	EXPECT_MAP(EINVAL, c->area_size, PROT_READ, MAP_SHARED, 0);
	EXPECT_MAP(EINVAL, page, PROT_READ, MAP_SHARED, (off_t)INT_MAX / page * page);
	EXPECT_MAP(EINVAL, page, PROT_READ | PROT_WRITE, MAP_SHARED,
		   c->area_offset + c->area_size);
}

TEST_F(file, mmap_before_setup)
{
	int bare = abi_open_file();

	ASSERT_GE(bare, 0);
	EXPECT_EQ(EINVAL, mapped(bare, self->page, PROT_READ, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, mapped(bare, self->c.area_size, PROT_READ, MAP_SHARED,
				 self->c.area_offset));
	close(bare);
}

TEST_F(file, mmap_private)
{
	struct abi_ctx *c = &self->c;

	EXPECT_MAP(EINVAL, c->head_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	EXPECT_MAP(EINVAL, c->head_size, PROT_READ, MAP_PRIVATE, 0);
	EXPECT_MAP(EINVAL, c->area_size, PROT_READ, MAP_PRIVATE, c->area_offset);
	EXPECT_MAP(EINVAL, c->area_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, c->area_offset);
}

TEST_F(file, mmap_rights)
{
	struct abi_ctx *c = &self->c;

	EXPECT_MAP(EACCES, c->area_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->area_offset);
	EXPECT_MAP(EACCES, c->area_size, PROT_WRITE, MAP_SHARED, c->area_offset);
	EXPECT_MAP(EACCES, c->area_size, PROT_READ | PROT_EXEC, MAP_SHARED, c->area_offset);
	EXPECT_MAP(EACCES, c->head_size, PROT_READ | PROT_EXEC, MAP_SHARED, 0);
	EXPECT_MAP(EACCES, c->head_size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, 0);
}

TEST_F(file, mprotect_upgrade)
{
	struct abi_ctx *c = &self->c;

	ASSERT_EQ(0, abi_map(c));
	EXPECT_EQ(-1, mprotect(c->ring, c->area_size, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(c->ring, c->area_size, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect((char *)c->ring + c->slots_at, self->page, PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(c->head, c->head_size, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	/* Down, and back to what it was. */
	EXPECT_EQ(0, mprotect(c->ring, c->area_size, PROT_NONE));
	EXPECT_EQ(0, mprotect(c->ring, c->area_size, PROT_READ));
	EXPECT_EQ(63, c->ring->mask);
}

TEST_F(file, mremap_growth)
{
	struct abi_ctx *c = &self->c;

	ASSERT_EQ(0, abi_map(c));
	EXPECT_EQ(EFAULT, regrown(c->ring, c->area_size, c->area_size + self->page));
	EXPECT_EQ(EFAULT, regrown(c->head, c->head_size, c->head_size + self->page));
	EXPECT_EQ(63, c->ring->mask);
}

static sigjmp_buf fault;

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

/* Runs @touch and says which signal it met, or 0. */
static int touched(volatile char *at, bool write)
{
	struct sigaction sa = { .sa_handler = on_fault };
	int sig;

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sig = sigsetjmp(fault, 1);
	if (sig)
		return sig;
	if (write)
		*at = 1;
	else
		(void)*at;
	return 0;
}

TEST_F(file, K3_area_is_read_only)
{
	struct abi_ctx *c = &self->c;
	uint64_t h;

	ASSERT_EQ(0, abi_map(c));
	h = abi_new(c, 1, 0);
	ASSERT_NE(0, h);
	EXPECT_EQ(0, touched((char *)abi_slot(c, abi_index(h)), false));
	EXPECT_EQ(SIGSEGV, touched((char *)abi_slot(c, abi_index(h)), true));
	EXPECT_EQ(SIGSEGV, touched((char *)&c->ring->tail, true));
	EXPECT_EQ(AOP_PENDING, abi_state(c, h));

	/* Nor by way of the kernel, which writes for others: the answer would land there. */
	EXPECT_EQ(-1, pread(open("/dev/zero", O_RDONLY), c->ring, 64, 0));
	EXPECT_EQ(EFAULT, errno);
}

/* Slots come by and by; a page without one is no memory, and comes alive in place. */
TEST_F(file, K3_slots_on_demand)
{
	struct abi_ctx c;
	uint64_t h;
	int i, sig;

	ASSERT_EQ(0, abi_open(&c, 1024));
	sig = touched((char *)abi_slot(&c, 1023), false);
	EXPECT_TRUE(sig == 0 || sig == SIGBUS);
	for (i = 0; i < 1024; i++) {
		h = abi_new(&c, i, 0);
		ASSERT_NE(0, h);
		ASSERT_EQ(0, touched((char *)abi_slot(&c, abi_index(h)), false)) TH_LOG("%d", i);
		ASSERT_EQ(i, abi_slot(&c, abi_index(h))->data);
	}
	EXPECT_EQ(0, touched((char *)abi_slot(&c, 1023), false));
	abi_close(&c);
}

/* A mapping keeps the context alive when its descriptor is closed. */
TEST_F(file, mapping_after_close)
{
	struct abi_ctx *c = &self->c;
	struct aop_status s;
	uint64_t h;
	int fd;

	ASSERT_EQ(0, abi_map(c));
	h = abi_new(c, 1, 0);
	ASSERT_NE(0, h);
	fd = abi_export(c, h, AOP_MAY_LOOK);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, close(c->fd));
	c->fd = -1;
	EXPECT_EQ(AOP_PENDING, abi_state(c, h));
	EXPECT_EQ(-1, read(fd, &s, sizeof(s)));
	EXPECT_EQ(EAGAIN, errno);
	abi_unmap(c);
	EXPECT_EQ(sizeof(s), read(fd, &s, sizeof(s)));
	EXPECT_EQ(AOP_FAILED, s.state);
	EXPECT_EQ(-EOWNERDEAD, s.result);
	close(fd);
}

/* A child has no mapping, and gets -EIO for everything. */
TEST_F(file, K9_child_inherits_nothing)
{
	struct abi_ctx *c = &self->c;
	uint64_t h;

	ASSERT_EQ(0, abi_map(c));
	h = abi_new(c, 1, 0);
	ASSERT_NE(0, h);
	IN_CHILD() {
		EXPECT_EQ(SIGSEGV, touched((char *)c->ring, false));
		EXPECT_EQ(SIGSEGV, touched((char *)c->head, false));
		EXPECT_EQ(-EIO, abi_done(c, h, 0));
		EXPECT_EQ(EIO, mapped(c->fd, c->area_size, PROT_READ, MAP_SHARED, c->area_offset));
	}
	EXPECT_EQ(AOP_PENDING, abi_state(c, h));
	EXPECT_EQ(0, abi_done(c, h, 0));
}

TEST_HARNESS_MAIN
