// SPDX-License-Identifier: GPL-2.0
/*
 * What AOP_IOC_WAIT and AOP_IOC_GROUP accept and refuse: counts, masks, the
 * signals of a wait, the members of a group.  abi_invalid.c has the shape of the
 * structs.  What is refused has signalled nothing.
 */
#include <limits.h>

#include "harness.h"
#include "abi.h"

FIXTURE(wait) {
	struct abi_ctx c;
	uint64_t handle;		/* to wait for */
	uint64_t driven;		/* to signal */
	struct aop_wait_entry entry;
	struct aop_signal_entry signal;
	struct aop_ioc_wait w;
};

FIXTURE_SETUP(wait)
{
	ASSERT_EQ(0, abi_open(&self->c, 64));
	self->handle = abi_new(&self->c, 1, 0);
	self->driven = abi_new(&self->c, 2, 0);
	ASSERT_NE(0, self->handle);
	ASSERT_NE(0, self->driven);
	self->entry = (struct aop_wait_entry){
		.handle = self->handle, .mask = AOP_EV_FINAL,
	};
	self->signal = (struct aop_signal_entry){
		.handle = self->driven, .what = AOP_SIGNAL_DONE, .value = 5, .ret = 99,
	};
	self->w = (struct aop_ioc_wait){
		.size = sizeof(self->w),
		.entries = abi_u64(&self->entry),
		.entry_size = sizeof(self->entry),
		.nr = 1,
		.signals = abi_u64(&self->signal),
		.signal_size = sizeof(self->signal),
		.nr_signals = 1,
	};
}

FIXTURE_TEARDOWN(wait)
{
	abi_close(&self->c);
}

static int do_wait(FIXTURE_DATA(wait) *self)
{
	return abi_ioctl(self->c.fd, AOP_IOC_WAIT, &self->w);
}

/* The signal has not been given, and a later call would still give it. */
#define EXPECT_NOT_SIGNALLED() do {						\
	EXPECT_EQ(AOP_PENDING, abi_state(&self->c, self->driven));		\
	EXPECT_EQ(99, self->signal.ret);					\
	EXPECT_EQ(2, abi_handles(&self->c));					\
} while (0)

/* The witness of the others: as it is set up, it signals. */
TEST_F(wait, W4_look_only_signals)
{
	EXPECT_EQ(0, do_wait(self));
	EXPECT_EQ(0, self->w.count);
	EXPECT_EQ(1, self->w.signalled);
	EXPECT_EQ(0, self->signal.ret);
	EXPECT_EQ(0, self->entry.events);
	EXPECT_EQ(AOP_DONE, abi_state(&self->c, self->driven));
}

/* Without entries it is a batch of signals; without both, nothing. */
TEST_F(wait, no_entries)
{
	self->w.entries = 0;
	self->w.entry_size = sizeof(self->entry);
	self->w.nr = 0;
	EXPECT_EQ(0, do_wait(self));
	EXPECT_EQ(1, self->w.signalled);
	EXPECT_EQ(0, self->w.count);
	EXPECT_EQ(AOP_DONE, abi_state(&self->c, self->driven));
	self->w.signals = 0;
	self->w.nr_signals = 0;
	self->w.signalled = 0;
	EXPECT_EQ(0, do_wait(self));
}

TEST_F(wait, need_above_nr)
{
	static const uint32_t bad[] = { 2, 1024, INT_MAX, UINT_MAX };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		self->w.need = bad[i];
		EXPECT_EQ(-EINVAL, do_wait(self)) TH_LOG("need %u", bad[i]);
	}
	EXPECT_NOT_SIGNALLED();
}

TEST_F(wait, bad_mask)
{
	int bit;

	self->entry.mask = 0;
	EXPECT_EQ(-EINVAL, do_wait(self));
	for (bit = 5; bit < 32; bit++) {
		self->entry.mask = 1U << bit | AOP_EV_FINAL;
		EXPECT_EQ(-EINVAL, do_wait(self)) TH_LOG("bit %d", bit);
	}
	EXPECT_NOT_SIGNALLED();
}

TEST_F(wait, pad_of_an_entry)
{
	int bit;

	for (bit = 0; bit < 32; bit++) {
		self->entry.pad = 1U << bit;
		EXPECT_EQ(-EINVAL, do_wait(self)) TH_LOG("bit %d", bit);
	}
	EXPECT_NOT_SIGNALLED();
}

TEST_F(wait, bad_handle)
{
	uint64_t gone = abi_new(&self->c, 0, 0);

	ASSERT_NE(0, gone);
	ASSERT_EQ(0, abi_detach(&self->c, gone, 0));
	self->entry.handle = 0;
	EXPECT_EQ(-EBADF, do_wait(self));
	self->entry.handle = gone;
	EXPECT_EQ(-ESTALE, do_wait(self));
	EXPECT_NOT_SIGNALLED();
}

TEST_F(wait, right_missing)
{
	uint64_t h = abi_new(&self->c, 0, 0);

	ASSERT_EQ(0, abi_detach(&self->c, h, AOP_MAY_LOOK | AOP_MAY_DRIVE));
	self->entry.handle = h;
	EXPECT_EQ(-EPERM, do_wait(self));
	ASSERT_EQ(0, abi_detach(&self->c, h, 0));
	EXPECT_NOT_SIGNALLED();
}

/* The last of many is as bad as the first. */
TEST_F(wait, bad_handle_among_many)
{
	struct aop_wait_entry e[8];
	int i;

	for (i = 0; i < 8; i++)
		e[i] = self->entry;
	e[7].handle = 0;
	self->w.entries = abi_u64(e);
	self->w.nr = 8;
	self->w.need = 1;
	EXPECT_EQ(-EBADF, do_wait(self));
	EXPECT_NOT_SIGNALLED();
}

TEST_F(wait, signals_counts)
{
	static const uint32_t many[] = { AOP_MAX_ENTRIES + 1, INT_MAX, 1U << 31, UINT_MAX };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(many); i++) {
		self->w.nr_signals = many[i];
		EXPECT_EQ(-EINVAL, do_wait(self)) TH_LOG("nr_signals %u", many[i]);
		self->w.nr_signals = 1;
		self->w.signalled = many[i];
		EXPECT_EQ(-EINVAL, do_wait(self)) TH_LOG("signalled %u", many[i]);
		EXPECT_EQ(many[i], self->w.signalled);
		self->w.signalled = 0;
	}
	self->w.signalled = 2;
	EXPECT_EQ(-EINVAL, do_wait(self));
	self->w.signalled = 0;
	self->w.signals = 0;
	EXPECT_EQ(-EINVAL, do_wait(self));
	EXPECT_NOT_SIGNALLED();
}

TEST_F(wait, signals_skipped)
{
	self->w.signalled = 1;
	EXPECT_EQ(0, do_wait(self));
	EXPECT_EQ(1, self->w.signalled);
	EXPECT_NOT_SIGNALLED();
}

TEST_F(wait, signal_size)
{
	static const uint32_t big[] = { 4097, 8192, INT_MAX, UINT_MAX };
	struct {
		struct aop_signal_entry s;
		uint64_t tail;
	} longer = { self->signal, 0 };
	unsigned int i;

	for (i = 0; i < sizeof(self->signal); i++) {
		self->w.signal_size = i;
		EXPECT_EQ(-EINVAL, do_wait(self)) TH_LOG("%u", i);
	}
	for (i = 0; i < ARRAY_SIZE(big); i++) {
		self->w.signal_size = big[i];
		EXPECT_EQ(-E2BIG, do_wait(self)) TH_LOG("%u", big[i]);
	}
	EXPECT_NOT_SIGNALLED();

	/* In a signal's own tail: as in AOP_IOC_SIGNAL, that one is refused. */
	self->w.signals = abi_u64(&longer);
	self->w.signal_size = sizeof(longer);
	longer.tail = 1ULL << 63;
	EXPECT_EQ(0, do_wait(self));
	EXPECT_EQ(-E2BIG, longer.s.ret);
	EXPECT_NOT_SIGNALLED();
	longer.tail = 0;
	self->w.signalled = 0;
	EXPECT_EQ(0, do_wait(self));
	EXPECT_EQ(0, longer.s.ret);
	EXPECT_EQ(AOP_DONE, abi_state(&self->c, self->driven));
}

TEST_F(wait, signals_pointer)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint64_t bad[] = {
		1, abi_u64(page) + 4096, abi_u64(page) + 4096 - 8, 0xffff888000000000ULL, -1ULL,
		-32ULL, 1ULL << 63,
	};
	unsigned int i;

	ASSERT_TRUE(page != MAP_FAILED);
	ASSERT_EQ(0, munmap(page + 4096, 4096));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		self->w.signals = bad[i];
		EXPECT_EQ(-EFAULT, do_wait(self)) TH_LOG("%u", i);
		EXPECT_EQ(0, self->w.signalled);
	}
	memcpy(page, &self->signal, sizeof(self->signal));
	ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
	self->w.signals = abi_u64(page);
	EXPECT_EQ(-EFAULT, do_wait(self));
	EXPECT_EQ(0, self->w.signalled);
	EXPECT_NOT_SIGNALLED();
	munmap(page, 4096);
}

/* A signal that is refused says so itself, and the wait goes on. */
TEST_F(wait, signal_refused)
{
	struct aop_signal_entry s[3] = {
		{ .handle = 0, .what = AOP_SIGNAL_DONE },
		{ .handle = self->driven, .what = 1000 },
		{ .handle = self->handle, .what = AOP_SIGNAL_DONE, .value = 8 },
	};

	self->w.signals = abi_u64(s);
	self->w.nr_signals = 3;
	self->w.need = 1;
	self->w.deadline = AOP_FOREVER_NS;
	EXPECT_EQ(0, do_wait(self));
	EXPECT_EQ(3, self->w.signalled);
	EXPECT_EQ(-EBADF, s[0].ret);
	EXPECT_EQ(-EINVAL, s[1].ret);
	EXPECT_EQ(0, s[2].ret);
	EXPECT_EQ(1, self->w.count);
	EXPECT_EQ(AOP_EV_FINAL, self->entry.events);
	EXPECT_NOT_SIGNALLED();
}

/* W4: what has expired says so, with all that is known. */
TEST_F(wait, W4_expired)
{
	struct aop_wait_entry e[2] = {
		{ .handle = self->handle, .mask = AOP_EV_FINAL, .events = 77 },
		{ .handle = self->driven, .mask = AOP_EV_FINAL, .events = 77 },
	};
	struct aop_status before, after;

	ASSERT_EQ(0, abi_done(&self->c, self->driven, 0));
	ASSERT_EQ(0, abi_status(&self->c, self->handle, &before));
	self->w.entries = abi_u64(e);
	self->w.nr = 2;
	self->w.need = 2;
	self->w.nr_signals = 0;
	self->w.signals = 0;
	self->w.count = 77;
	EXPECT_EQ(-ETIME, do_wait(self));
	EXPECT_EQ(1, self->w.count);
	EXPECT_EQ(0, e[0].events);
	EXPECT_EQ(AOP_EV_FINAL, e[1].events);
	self->w.deadline = abi_now();
	e[0].events = 77;
	e[1].events = 77;
	self->w.count = 77;
	EXPECT_EQ(-ETIME, do_wait(self));
	EXPECT_EQ(1, self->w.count);
	EXPECT_EQ(0, e[0].events);
	EXPECT_EQ(AOP_EV_FINAL, e[1].events);
	self->w.deadline = abi_now() + 20 * 1000 * 1000;
	EXPECT_EQ(-ETIME, do_wait(self));
	EXPECT_LE(self->w.deadline, abi_now());
	ASSERT_EQ(0, abi_status(&self->c, self->handle, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
}

/* ---- group -------------------------------------------------------------------- */

static int group(FIXTURE_DATA(wait) *self, const struct aop_ioc_group *how)
{
	struct aop_ioc_group g = *how;

	g.size = sizeof(g);
	return abi_ioctl(self->c.fd, AOP_IOC_GROUP, &g);
}

#define EXPECT_NO_GROUP() do {							\
	struct aop_ioc_query q_;						\
										\
	EXPECT_EQ(2, abi_handles(&self->c));					\
	EXPECT_EQ(0, abi_query(&self->c, self->handle, &q_));			\
	EXPECT_EQ(1, q_.watchers);						\
} while (0)

TEST_F(wait, W8_group_counts)
{
	uint64_t m[2] = { self->handle, self->driven };
	struct aop_ioc_group g = { .members = abi_u64(m), .nr = 2, .need = 1, .mode = 0600 };
	static const uint32_t many[] = { AOP_MAX_ENTRIES + 1, INT_MAX, 1U << 31, UINT_MAX };
	unsigned int i;

	g.need = 0;
	EXPECT_EQ(-EINVAL, group(self, &g));
	g.need = 3;
	EXPECT_EQ(-EINVAL, group(self, &g));
	g.need = UINT_MAX;
	EXPECT_EQ(-EINVAL, group(self, &g));
	g.need = 1;
	g.nr = 0;
	EXPECT_EQ(-EINVAL, group(self, &g));
	g.need = 0;
	EXPECT_EQ(-EINVAL, group(self, &g));
	g.need = 1;
	for (i = 0; i < ARRAY_SIZE(many); i++) {
		g.nr = many[i];
		EXPECT_EQ(-EINVAL, group(self, &g)) TH_LOG("nr %u", many[i]);
	}
	EXPECT_NO_GROUP();
	g.nr = 2;
	EXPECT_EQ(0, group(self, &g));
	EXPECT_EQ(3, abi_handles(&self->c));
}

TEST_F(wait, group_bits)
{
	struct aop_ioc_group g = { .members = abi_u64(&self->handle), .nr = 1, .need = 1 };
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if (1U << bit & ~AOP_GROUP_ALL_FLAGS) {
			g.flags = 1U << bit;
			EXPECT_EQ(-EINVAL, group(self, &g)) TH_LOG("flag %d", bit);
			g.flags = 0;
		}
		if (1U << bit & ~AOP_EV_ALL) {
			g.mask = 1U << bit;
			EXPECT_EQ(-EINVAL, group(self, &g)) TH_LOG("mask %d", bit);
			g.mask = 0;
		}
		if (1U << bit & ~0666) {
			g.mode = 1U << bit;
			EXPECT_EQ(-EINVAL, group(self, &g)) TH_LOG("mode %d", bit);
			g.mode = 0;
		}
	}
	EXPECT_NO_GROUP();
}

TEST_F(wait, group_members)
{
	uint64_t gone = abi_new(&self->c, 0, 0), blind = abi_new(&self->c, 0, 0);
	uint64_t m[3] = { self->handle, self->driven, 0 };
	struct aop_ioc_group g = { .members = abi_u64(m), .nr = 3, .need = 1, .mode = 0600 };
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint64_t bad[] = {
		0, 1, abi_u64(page) + 4096, abi_u64(page) + 4096 - 16, 0xffff888000000000ULL,
		-1ULL, -24ULL, 1ULL << 63,
	};
	unsigned int i;

	ASSERT_TRUE(page != MAP_FAILED);
	ASSERT_EQ(0, munmap(page + 4096, 4096));
	memcpy(page + 4096 - 16, m, 16);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		g.members = bad[i];
		EXPECT_EQ(-EFAULT, group(self, &g)) TH_LOG("%u", i);
	}
	g.members = abi_u64(m);
	EXPECT_EQ(-EBADF, group(self, &g));
	ASSERT_EQ(0, abi_detach(&self->c, gone, 0));
	m[2] = gone;
	EXPECT_EQ(-ESTALE, group(self, &g));
	ASSERT_EQ(0, abi_detach(&self->c, blind, AOP_MAY_LOOK));
	m[2] = blind;
	EXPECT_EQ(-EPERM, group(self, &g));
	ASSERT_EQ(0, abi_detach(&self->c, blind, 0));
	EXPECT_NO_GROUP();
	/* Read only is enough for them. */
	memcpy(page, m, 16);
	ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
	g.members = abi_u64(page);
	g.nr = 2;
	EXPECT_EQ(0, group(self, &g));
	munmap(page, 4096);
}

TEST_HARNESS_MAIN
