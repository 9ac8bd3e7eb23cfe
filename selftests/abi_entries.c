// SPDX-License-Identifier: GPL-2.0
/*
 * The arrays that calls of /dev/aop carry: size of an entry, how many, where.
 * abi_invalid.c has the struct around them, abi_value.c what is in them.
 */
#include "invalid.h"

/* Whatever carries entries. */
FIXTURE_WITH_ENV(carry)
KIND(carry, create);
KIND(carry, signal);
KIND(carry, wait);
KIND(carry, cancel);
KIND(carry, attach);
KIND(carry, detach);
KIND(carry, modify);

/* ... and says how many it has done. */
FIXTURE_WITH_ENV(batch)
KIND(batch, create);
KIND(batch, signal);
KIND(batch, cancel);
KIND(batch, attach);
KIND(batch, detach);
KIND(batch, modify);

struct shape {
	uint64_t *entries;
	uint32_t *entry_size;
	uint32_t *nr;
	uint32_t *done;
};

static struct shape shape_of(const struct kind *k, void *buf)
{
	struct aop_ioc_batch *b = buf;
	struct aop_ioc_wait *w = buf;

	if (k->cmd == AOP_IOC_WAIT)
		return (struct shape){ (uint64_t *)&w->entries, &w->entry_size, &w->nr, NULL };
	return (struct shape){ (uint64_t *)&b->entries, &b->entry_size, &b->nr, &b->done };
}

TEST_F(carry, entry_size_too_small)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	struct shape s = shape_of(k, buf);
	uint32_t size;

	for (size = 0; size < k->entry_size; size++) {
		fill(e, k, buf);
		*s.entry_size = size;
		EXPECT_EQ(-EINVAL, call(e, k, buf)) TH_LOG("size %u", size);
	}
	EXPECT_UNCHANGED(e);
}

TEST_F(carry, entry_size_above_a_page)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	static const uint32_t sizes[] = { PAGE + 1, 2 * PAGE, INT_MAX, 1U << 31, UINT_MAX };
	uint64_t buf[PAGE / 8] = { 0 };
	struct shape s = shape_of(k, buf);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(e, k, buf);
		*s.entry_size = sizes[i];
		EXPECT_EQ(-E2BIG, call(e, k, buf)) TH_LOG("size %u", sizes[i]);
	}
	EXPECT_UNCHANGED(e);
}

TEST_F(carry, K10_entry_bigger_zero_tail)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	struct shape s = shape_of(k, buf);

	e->entries = e->room + PAGE / 4;
	if (k->cmd != AOP_IOC_WAIT)
		e->entries = e->room;
	fill(e, k, buf);
	/* The signals of a wait lie behind; they must not count as its tail. */
	*s.entry_size = k->cmd == AOP_IOC_WAIT ? PAGE / 2 : PAGE;
	EXPECT_EQ(0, call(e, k, buf));
	if (k->ret_at != NONE) {
		EXPECT_LE(0, entry_ret(k, e->entries));
	}
}

/* The entry is refused and not its neighbours; a wait is refused as a whole. */
TEST_F(carry, K10_entry_bigger_with_content)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	struct shape s = shape_of(k, buf);
	uint32_t size = k->entry_size + 16, at;
	uint32_t expected = 0;

	for (at = k->entry_size; at < size; at++) {
		memset(e->room, 0, 2 * PAGE);
		fill(e, k, buf);
		*s.entry_size = size;
		e->entries[at] = 1;
		if (k->cmd == AOP_IOC_WAIT) {
			EXPECT_EQ(-E2BIG, call(e, k, buf)) TH_LOG("byte %u", at);
		} else {
			EXPECT_EQ(0, call(e, k, buf)) TH_LOG("byte %u", at);
			EXPECT_EQ(-E2BIG, entry_ret(k, e->entries)) TH_LOG("byte %u", at);
			EXPECT_EQ(1, *s.done);
		}
	}
	EXPECT_UNCHANGED(e);

	if (k->cmd == AOP_IOC_WAIT)
		return;
	/* The second of two. */
	memset(e->room, 0, 2 * PAGE);
	fill(e, k, buf);
	*s.entry_size = size;
	*s.nr = 2;
	e->entries[size - 1] = 1;
	fill_entry(e, k->cmd, e->entries + size);
	EXPECT_EQ(0, call(e, k, buf));
	EXPECT_EQ(2, *s.done);
	EXPECT_EQ(-E2BIG, entry_ret(k, e->entries));
	if (k->cmd == AOP_IOC_CANCEL)
		expected = AOP_STOPPED;
	EXPECT_EQ(expected, entry_ret(k, e->entries + size));
}

TEST_F(carry, too_many_entries)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	static const uint32_t many[] = {
		AOP_MAX_ENTRIES + 1, 1U << 24, INT_MAX, 1U << 31, UINT_MAX,
	};
	uint64_t buf[PAGE / 8] = { 0 };
	struct shape s = shape_of(k, buf);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(many); i++) {
		fill(e, k, buf);
		*s.nr = many[i];
		EXPECT_EQ(-EINVAL, call(e, k, buf)) TH_LOG("nr %u", many[i]);
		/* The product of both is 0, or small, in 32 bit. */
		fill(e, k, buf);
		*s.nr = many[i];
		*s.entry_size = 1U << 8;
		EXPECT_EQ(-EINVAL, call(e, k, buf)) TH_LOG("nr %u", many[i]);
	}
	EXPECT_UNCHANGED(e);
}

TEST_F(batch, done_above_nr)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	static const uint32_t skip[] = { 2, AOP_MAX_ENTRIES, INT_MAX, 1U << 31, UINT_MAX };
	uint64_t buf[PAGE / 8] = { 0 };
	struct shape s = shape_of(k, buf);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(skip); i++) {
		fill(e, k, buf);
		*s.done = skip[i];
		EXPECT_EQ(-EINVAL, call(e, k, buf)) TH_LOG("done %u", skip[i]);
		EXPECT_EQ(skip[i], *s.done);
	}
	EXPECT_UNCHANGED(e);
}

/* Nothing to do is not an error; and what is skipped is not looked at. */
TEST_F(batch, no_entries)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	struct shape s = shape_of(k, buf);

	fill(e, k, buf);
	*s.nr = 0;
	EXPECT_EQ(0, call(e, k, buf));
	EXPECT_EQ(0, *s.done);
	fill(e, k, buf);
	*s.done = 1;
	EXPECT_EQ(0, call(e, k, buf));
	EXPECT_EQ(1, *s.done);
	EXPECT_UNCHANGED(e);
}

TEST_F(batch, done_skips)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	struct shape s = shape_of(k, buf);
	char *second = e->entries + k->entry_size;
	uint32_t untouched = 0x12345678;

	fill(e, k, buf);
	memset(e->entries, 0, k->entry_size);
	memcpy(e->entries + k->ret_at, &untouched, sizeof(untouched));
	fill_entry(e, k->cmd, second);
	*s.nr = 2;
	*s.done = 1;
	EXPECT_EQ(0, call(e, k, buf));
	EXPECT_EQ(2, *s.done);
	EXPECT_EQ(untouched, entry_ret(k, e->entries));
	EXPECT_EQ(k->cmd == AOP_IOC_CANCEL ? AOP_STOPPED : 0, entry_ret(k, second));
}

TEST_F(carry, bad_entries_pointer)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	struct shape s = shape_of(k, buf);
	uint64_t hole = abi_u64(e->room + 2 * PAGE);
	const uint64_t bad[] = {
		0, 1, hole, hole - 1, hole - 8, KERNEL_ADDRESS, 1ULL << 63, -1ULL, -8ULL,
		-(uint64_t)k->entry_size, 0x7fffffffffffULL, 1ULL << 56,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		fill(e, k, buf);
		*s.entries = bad[i];
		EXPECT_EQ(-EFAULT, call(e, k, buf)) TH_LOG("pointer %u", i);
		if (s.done) {
			EXPECT_EQ(0, *s.done) TH_LOG("pointer %u", i);
		}
	}
	EXPECT_UNCHANGED(e);
}

/* The array ends where memory ends: what could be read has been done, and is counted. */
TEST_F(carry, entries_fault_half_way)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	struct shape s = shape_of(k, buf);
	struct snap now;

	e->entries = e->room + 2 * PAGE - k->entry_size;
	if (k->cmd == AOP_IOC_WAIT) {
		fill_entry(e, AOP_IOC_WAIT, e->entries);
		e->entries = e->room;
		fill(e, k, buf);
		*s.entries = abi_u64(e->room + 2 * PAGE - k->entry_size);
	} else {
		fill(e, k, buf);
	}
	*s.nr = 2;
	EXPECT_EQ(-EFAULT, call(e, k, buf));
	now = look(e);
	if (k->cmd == AOP_IOC_WAIT) {
		EXPECT_UNCHANGED(e);
	} else {
		EXPECT_EQ(1, *s.done);
		EXPECT_NE(0, memcmp(&now, &e->before, sizeof(now)));
	}
}

/* Answers cannot be written: then the question has had no effect. */
TEST_F(carry, entries_not_writable)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };

	fill(e, k, buf);
	ASSERT_EQ(0, mprotect(e->room, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, call(e, k, buf));
	ASSERT_EQ(0, mprotect(e->room, PAGE, PROT_READ | PROT_WRITE));
	if (k->cmd != AOP_IOC_WAIT) {
		EXPECT_EQ(0, shape_of(k, buf).done[0]);
	}
	EXPECT_UNCHANGED(e);
}

TEST_HARNESS_MAIN
