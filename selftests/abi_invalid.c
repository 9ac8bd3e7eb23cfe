// SPDX-License-Identifier: GPL-2.0
/*
 * The shape of the struct that is passed with each call of /dev/aop: size, flags,
 * pads, pointer.  Every refusal must leave everything as it was: the operation,
 * the number of handles, the number of descriptors.  That this is seen is what
 * works() shows: the same call, well formed, does change something.
 */
#include "invalid.h"

static const struct kind features_kind = {
	.cmd = AOP_IOC_FEATURES, .size = sizeof(struct aop_ioc_features),
	.pad_at = NONE, .ret_at = NONE, .looks = true,
};

static const struct kind setup_kind = {
	.cmd = AOP_IOC_SETUP, .size = sizeof(struct aop_ioc_setup),
	.pad_at = NONE, .ret_at = NONE,
};

static const struct kind export_kind = {
	.cmd = AOP_IOC_EXPORT, .size = sizeof(struct aop_ioc_export),
	.pad_at = offsetof(struct aop_ioc_export, pad), .ret_at = NONE, .only_in = true,
};

static const struct kind group_kind = {
	.cmd = AOP_IOC_GROUP, .size = sizeof(struct aop_ioc_group),
	.pad_at = NONE, .ret_at = NONE, .flags = AOP_GROUP_ALL_FLAGS,
};

static const struct kind query_kind = {
	.cmd = AOP_IOC_QUERY, .size = sizeof(struct aop_ioc_query),
	.pad_at = NONE, .ret_at = NONE, .looks = true,
};

/* Every call. */
FIXTURE_WITH_ENV(call)
KIND(call, features);
KIND(call, setup);
KIND(call, create);
KIND(call, signal);
KIND(call, wait);
KIND(call, cancel);
KIND(call, export);
KIND(call, attach);
KIND(call, detach);
KIND(call, modify);
KIND(call, group);
KIND(call, query);

/* Those with flags: any refuses those that it does not know. */
FIXTURE_WITH_ENV(flagged)
KIND(flagged, setup);
KIND(flagged, create);
KIND(flagged, signal);
KIND(flagged, wait);
KIND(flagged, cancel);
KIND(flagged, export);
KIND(flagged, attach);
KIND(flagged, detach);
KIND(flagged, modify);
KIND(flagged, group);
KIND(flagged, query);

/* Those with a pad in the struct. */
FIXTURE_WITH_ENV(padded)
KIND(padded, create);
KIND(padded, signal);
KIND(padded, wait);
KIND(padded, cancel);
KIND(padded, export);
KIND(padded, attach);
KIND(padded, detach);
KIND(padded, modify);

TEST_F(call, works)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	struct snap now;
	int ret;

	fill(e, k, buf);
	ret = call(e, k, buf);
	ASSERT_GE(ret, 0);
	EXPECT_EQ(k->cmd == AOP_IOC_EXPORT, ret > 0);
	if (k->ret_at != NONE) {
		EXPECT_EQ(k->cmd == AOP_IOC_CANCEL ? AOP_STOPPED : 0,
			  entry_ret(k, e->entries));
	}
	now = look(e);
	EXPECT_EQ(!k->looks, !!memcmp(&now, &e->before, sizeof(now)));
}

TEST_F(call, size_too_small)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	uint32_t size;

	for (size = 0; size < k->size; size++) {
		fill(e, k, buf);
		memcpy(buf, &size, sizeof(size));
		EXPECT_EQ(-EINVAL, call(e, k, buf)) TH_LOG("size %u", size);
	}
	EXPECT_UNCHANGED(e);
}

/* K10: a newer program that uses nothing new; up to a page. */
TEST_F(call, K10_size_bigger_zero_tail)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	uint32_t size = PAGE;

	fill(e, k, buf);
	memcpy(buf, &size, sizeof(size));
	EXPECT_LE(0, call(e, k, buf));
}

/* ... and one that does: wherever it is. */
TEST_F(call, K10_size_bigger_with_content)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	char buf[PAGE] __attribute__((aligned(8)));
	uint32_t size = PAGE, at;

	for (at = k->size; at < PAGE; at += at < k->size + 16 ? 1 : 509) {
		memset(buf, 0, sizeof(buf));
		fill(e, k, buf);
		memcpy(buf, &size, sizeof(size));
		buf[at] = 1;
		EXPECT_EQ(-E2BIG, call(e, k, buf)) TH_LOG("byte %u", at);
	}
	EXPECT_UNCHANGED(e);
}

TEST_F(call, size_above_a_page)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	static const uint32_t sizes[] = { PAGE + 1, 2 * PAGE, INT_MAX, 1U << 31, UINT_MAX };
	char *buf = e->room;
	unsigned int i;

	e->entries = e->room + PAGE + PAGE / 4;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(e->room, 0, 2 * PAGE);
		fill(e, k, buf);
		memcpy(buf, &sizes[i], sizeof(sizes[i]));
		memset(e->room + PAGE, 0, PAGE);
		EXPECT_EQ(-E2BIG, call(e, k, buf)) TH_LOG("size %u", sizes[i]);
	}
	EXPECT_UNCHANGED(e);
}

TEST_F(call, bad_struct_pointer)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	char *hole = e->room + 2 * PAGE;
	unsigned int part;

	EXPECT_EQ(-EFAULT, call(e, k, NULL));
	EXPECT_EQ(-EFAULT, call(e, k, (void *)-1UL));
	EXPECT_EQ(-EFAULT, call(e, k, (void *)(unsigned long)KERNEL_ADDRESS));
	EXPECT_EQ(-EFAULT, call(e, k, hole));
	/* Begins in memory, ends behind it: also in its first four bytes. */
	for (part = 1; part < k->size; part += part < 8 ? 1 : 4) {
		uint64_t buf[PAGE / 8] = { 0 };

		fill(e, k, buf);
		memcpy(hole - part, buf, part);
		EXPECT_EQ(-EFAULT, call(e, k, hole - part)) TH_LOG("part %u", part);
	}
	EXPECT_UNCHANGED(e);
}

TEST_F(call, struct_not_writable)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	int ret;

	e->entries = e->room + PAGE;
	fill(e, k, e->room);
	ASSERT_EQ(0, mprotect(e->room, PAGE, PROT_READ));
	ret = call(e, k, e->room);
	if (k->only_in) {
		EXPECT_GE(ret, 0);
	} else {
		EXPECT_EQ(-EFAULT, ret);
		EXPECT_UNCHANGED(e);
	}
	ASSERT_EQ(0, mprotect(e->room, PAGE, PROT_READ | PROT_WRITE));
}

TEST_F(call, before_setup)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };

	fill(e, k, buf);
	EXPECT_EQ(k->cmd == AOP_IOC_SETUP || k->cmd == AOP_IOC_FEATURES ? 0 : -EINVAL,
		  abi_ioctl(e->bare, k->cmd, buf));
	if (k->cmd != AOP_IOC_SETUP) {
		EXPECT_UNCHANGED(e);
	}
}

TEST_F(flagged, unknown_flag)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	uint32_t flags;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		flags = 1U << bit;
		if (flags & k->flags)
			continue;
		fill(e, k, buf);
		memcpy((char *)buf + 4, &flags, sizeof(flags));
		EXPECT_EQ(-EINVAL, call(e, k, buf)) TH_LOG("bit %d", bit);
	}
	EXPECT_UNCHANGED(e);
}

TEST_F(padded, pad_not_zero)
{
	const struct kind *k = variant->kind;
	struct env *e = &self->e;
	uint64_t buf[PAGE / 8] = { 0 };
	uint32_t pad;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		pad = 1U << bit;
		fill(e, k, buf);
		memcpy((char *)buf + k->pad_at, &pad, sizeof(pad));
		EXPECT_EQ(-EINVAL, call(e, k, buf)) TH_LOG("bit %d", bit);
	}
	EXPECT_UNCHANGED(e);
}

TEST_HARNESS_MAIN
