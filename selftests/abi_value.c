// SPDX-License-Identifier: GPL-2.0
/*
 * What the fields that are passed to /dev/aop may hold: handles, rights, masks,
 * states, reasons, values, labels.  abi_invalid.c has the shape around them.
 * Each refusal leaves the operation and the table of handles as they were.
 */
#include <limits.h>

#include "harness.h"
#include "abi.h"

FIXTURE(value) {
	struct abi_ctx c;
	uint64_t handle;
	struct aop_status before;
};

FIXTURE_SETUP(value)
{
	ASSERT_EQ(0, abi_open(&self->c, 64));
	self->handle = abi_new(&self->c, 7, AOP_EV_ALL);
	ASSERT_NE(0, self->handle);
	ASSERT_EQ(0, abi_status(&self->c, self->handle, &self->before));
	abi_drain(&self->c);
}

FIXTURE_TEARDOWN(value)
{
	abi_close(&self->c);
}

#define EXPECT_UNCHANGED(nr_) do {						\
	struct aop_status now_;							\
										\
	EXPECT_EQ(0, abi_status(&self->c, self->handle, &now_));		\
	EXPECT_EQ(0, memcmp(&self->before, &now_, sizeof(now_)));		\
	EXPECT_EQ(nr_, abi_handles(&self->c));					\
	EXPECT_EQ(0, abi_queued(&self->c));					\
} while (0)

/* ---- handles ------------------------------------------------------------------ */

enum use {
	USE_SIGNAL, USE_WAIT, USE_WAIT_SIGNAL, USE_CANCEL, USE_EXPORT, USE_DETACH, USE_MODIFY,
	USE_GROUP, USE_QUERY, NR_USES,
};

static const char * const use_name[NR_USES] = {
	"signal", "wait", "wait's signal", "cancel", "export", "detach", "modify", "group", "query",
};

/* What each of them needs, any of it; 0: just a handle. */
static const uint32_t use_needs[NR_USES] = {
	AOP_MAY_DRIVE, AOP_MAY_LOOK | AOP_MAY_DRIVE, AOP_MAY_DRIVE, AOP_MAY_CANCEL, 0, 0, 0,
	AOP_MAY_LOOK, 0,
};

/* Do something harmless, and otherwise in order, with a handle. */
static int use(struct abi_ctx *c, enum use how, uint64_t handle)
{
	struct aop_signal_entry s = { .handle = handle, .what = AOP_SIGNAL_PROGRESS };
	struct aop_ioc_wait w = {
		.size = sizeof(w),
		.entry_size = sizeof(struct aop_wait_entry),
		.signals = abi_u64(&s),
		.signal_size = sizeof(s),
		.nr_signals = 1,
	};
	struct aop_ioc_query q;
	uint64_t group;
	int ret;

	switch (how) {
	case USE_SIGNAL:
		return abi_progress(c, handle, 0, 0);
	case USE_WAIT:
		return abi_look(c, handle, AOP_EV_FINAL, 0);
	case USE_WAIT_SIGNAL:
		ret = abi_ioctl(c->fd, AOP_IOC_WAIT, &w);
		return ret ? ret : s.ret;
	case USE_CANCEL:
		return abi_cancel(c, handle, 0);
	case USE_EXPORT:
		ret = abi_export(c, handle, AOP_MAY_LOOK);
		if (ret >= 0)
			close(ret);
		return ret;
	case USE_DETACH:
		return abi_detach(c, handle, 0);
	case USE_MODIFY:
		return abi_modify(c, handle, 7, AOP_EV_ALL);
	case USE_GROUP:
		return abi_group(c, &handle, 1, 1, 0, 0, &group);
	case USE_QUERY:
		return handle ? abi_query(c, handle, &q) : -EBADF;
	default:
		return -ENOSYS;
	}
}

TEST_F(value, handle_that_never_was)
{
	struct abi_ctx *c = &self->c;
	uint32_t free_index = abi_index(self->handle) ^ 1;
	const uint64_t gen = self->handle >> 32 << 32;
	const uint64_t bad[] = {
		0, gen | c->slots, gen | (c->slots - 1 + 64), gen | AOP_MAX_SLOTS, gen | INT_MAX,
		gen | 1U << 31, gen | UINT_MAX, ~0ULL, abi_index(self->handle),
	};
	const uint64_t unused[] = { gen | free_index, 1ULL << 32 | free_index };
	unsigned int i;
	int how;

	for (how = 0; how < NR_USES; how++) {
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			EXPECT_EQ(-EBADF, use(c, how, bad[i]))
				TH_LOG("%s of %llx", use_name[how], (unsigned long long)bad[i]);
		}
	}
	EXPECT_UNCHANGED(1);

	/* Made up, but in the table: nobody can tell it from one of the past. */
	for (how = 0; how < NR_USES; how++) {
		for (i = 0; i < ARRAY_SIZE(unused); i++) {
			int ret = use(c, how, unused[i]);

			EXPECT_TRUE(ret == -EBADF || ret == -ESTALE)
				TH_LOG("%s: %d", use_name[how], ret);
		}
	}
	EXPECT_UNCHANGED(1);
}

TEST_F(value, handle_with_another_generation)
{
	struct abi_ctx *c = &self->c;
	const uint64_t wrong[] = {
		self->handle + (1ULL << 32), self->handle - (1ULL << 32),
		self->handle ^ (1ULL << 63), self->handle ^ (1ULL << 62),
	};
	unsigned int i;
	int how;

	for (how = 0; how < NR_USES; how++) {
		for (i = 0; i < ARRAY_SIZE(wrong); i++) {
			if (wrong[i] >> 32) {
				EXPECT_EQ(-ESTALE, use(c, how, wrong[i]))
					TH_LOG("%s", use_name[how]);
			}
		}
	}
	EXPECT_UNCHANGED(1);
}

/* Detached, then its slot in the hands of another operation. */
TEST_F(value, O2_handle_stale)
{
	struct abi_ctx *c = &self->c;
	uint64_t gone = abi_new(c, 1, 0), next, more[63];
	int how, i, n = 0;

	ASSERT_NE(0, gone);
	ASSERT_EQ(0, abi_detach(c, gone, 0));
	for (how = 0; how < NR_USES; how++) {
		EXPECT_EQ(-ESTALE, use(c, how, gone)) TH_LOG("%s, detached", use_name[how]);
	}
	EXPECT_UNCHANGED(1);

	/* The table is full when its slot must have been used again. */
	for (i = 0; i < 63; i++) {
		next = abi_new(c, 2, 0);
		ASSERT_NE(0, next);
		if (abi_index(next) == abi_index(gone)) {
			EXPECT_NE(abi_gen(next), abi_gen(gone));
			n++;
		}
		more[i] = next;
	}
	EXPECT_EQ(1, n);
	for (how = 0; how < NR_USES; how++) {
		EXPECT_EQ(-ESTALE, use(c, how, gone)) TH_LOG("%s, recycled", use_name[how]);
	}
	for (i = 0; i < 63; i++) {
		EXPECT_EQ(AOP_PENDING, abi_state(c, more[i]));
	}
	EXPECT_UNCHANGED(64);
}

/* A handle is of its context only. */
TEST_F(value, handle_of_another_context)
{
	struct abi_ctx other;
	int how;

	ASSERT_EQ(0, abi_open(&other, 64));
	for (how = 0; how < NR_USES; how++) {
		int ret = use(&other, how, self->handle);

		EXPECT_TRUE(ret == -EBADF || ret == -ESTALE) TH_LOG("%s: %d", use_name[how], ret);
	}
	EXPECT_UNCHANGED(1);
	abi_close(&other);
}

/* O1: each call, with each set of rights. */
TEST_F(value, O1_rights_of_a_handle)
{
	struct abi_ctx *c = &self->c;
	struct aop_ioc_query q;
	uint32_t rights;
	uint64_t h;
	int how, ret;

	for (how = 0; how < NR_USES; how++) {
		for (rights = 1; rights <= AOP_MAY_ALL; rights++) {
			h = abi_new(c, 0, 0);
			ASSERT_NE(0, h);
			/* Cancel stops what nobody accepted; keep it alive. */
			ASSERT_EQ(0, abi_start(c, h));
			if (rights != AOP_MAY_ALL) {
				ASSERT_EQ(0, abi_detach(c, h, AOP_MAY_ALL & ~rights));
			}
			ASSERT_EQ(0, abi_query(c, h, &q));
			ASSERT_EQ(rights, q.rights);
			ret = use(c, how, h);
			if (how == USE_EXPORT) {
				EXPECT_EQ(rights & AOP_MAY_LOOK ? 1 : -EPERM, ret < 0 ? ret : 1);
			} else if (!use_needs[how] || rights & use_needs[how]) {
				int answer = 0;

				/* Without its owner the operation has ended. */
				if (how == USE_CANCEL && !(rights & AOP_MAY_DRIVE))
					answer = AOP_TOO_LATE;
				if (how == USE_WAIT && !(rights & AOP_MAY_DRIVE))
					answer = AOP_EV_FINAL;
				EXPECT_EQ(answer, ret) TH_LOG("%s with %x", use_name[how], rights);
			} else {
				EXPECT_EQ(-EPERM, ret) TH_LOG("%s with %x", use_name[how], rights);
			}
			EXPECT_EQ(how == USE_DETACH ? -ESTALE : 0, abi_detach(c, h, 0));
		}
	}
}

/* What a handle does not have it cannot pass on, not even together with what it has. */
TEST_F(value, O1_export_of_missing_rights)
{
	struct abi_ctx *c = &self->c;
	uint32_t has, wants;
	uint64_t h;
	int fd;

	for (has = 1; has <= AOP_MAY_ALL; has++) {
		for (wants = 1; wants <= AOP_MAY_ALL; wants++) {
			h = abi_new(c, 0, 0);
			ASSERT_NE(0, h);
			if (has != AOP_MAY_ALL) {
				ASSERT_EQ(0, abi_detach(c, h, AOP_MAY_ALL & ~has));
			}
			fd = abi_export(c, h, wants);
			EXPECT_EQ(wants & ~has ? -EPERM : 1, fd < 0 ? fd : 1)
				TH_LOG("has %x, wants %x", has, wants);
			if (fd >= 0)
				close(fd);
			/* With the owner right alone, moving it away leaves nothing to detach. */
			EXPECT_EQ(has == AOP_MAY_DRIVE && wants == AOP_MAY_DRIVE ? -ESTALE : 0,
				  abi_detach(c, h, 0));
		}
	}
	EXPECT_UNCHANGED(1);
}

TEST_F(value, export_bad_rights)
{
	int bit;

	EXPECT_EQ(-EINVAL, abi_export(&self->c, self->handle, 0));
	for (bit = 5; bit < 32; bit++) {
		EXPECT_EQ(-EINVAL, abi_export(&self->c, self->handle, 1U << bit | AOP_MAY_LOOK));
	}
	EXPECT_UNCHANGED(1);
}

TEST_F(value, detach_bad_rights)
{
	struct abi_ctx *c = &self->c;
	uint64_t h;
	int bit;

	for (bit = 5; bit < 32; bit++) {
		EXPECT_EQ(-EINVAL, abi_detach(c, self->handle, 1U << bit | AOP_MAY_LOOK));
	}
	EXPECT_UNCHANGED(1);

	h = abi_new(c, 0, 0);
	ASSERT_NE(0, h);
	ASSERT_EQ(0, abi_detach(c, h, AOP_MAY_CANCEL));
	EXPECT_EQ(-EPERM, abi_detach(c, h, AOP_MAY_CANCEL | AOP_MAY_DRIVE));
	EXPECT_EQ(AOP_PENDING, abi_state(c, h));
	EXPECT_EQ(0, abi_detach(c, h, AOP_MAY_LOOK | AOP_MAY_DRIVE));
	EXPECT_EQ(-ESTALE, abi_detach(c, h, 0));
}

/* ---- create ------------------------------------------------------------------- */

static int create(struct abi_ctx *c, uint32_t flags, uint32_t mask, uint16_t mode, uint16_t state,
		  int64_t result)
{
	struct aop_create_entry e = {
		.flags = flags, .mask = mask, .mode = mode, .state = state, .result = result,
	};

	return abi_create(c, &e);
}

TEST_F(value, create_bad_bits)
{
	struct abi_ctx *c = &self->c;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if (1U << bit & ~AOP_CREATE_DETACHED) {
			EXPECT_EQ(-EINVAL, create(c, 1U << bit, 0, 0600, 0, 0)) TH_LOG("%d", bit);
		}
		if (1U << bit & ~AOP_EV_ALL) {
			EXPECT_EQ(-EINVAL, create(c, 0, 1U << bit, 0600, 0, 0)) TH_LOG("%d", bit);
		}
	}
	for (bit = 0; bit < 16; bit++) {
		if (1U << bit & ~0666) {
			EXPECT_EQ(-EINVAL, create(c, 0, 0, 1U << bit, 0, 0)) TH_LOG("%d", bit);
		}
	}
	EXPECT_UNCHANGED(1);
}

TEST_F(value, create_bad_state)
{
	static const uint16_t bad[] = { 5, 6, 255, 256, 258, 0x8000, 0xffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, create(&self->c, 0, 0, 0600, bad[i], 0)) TH_LOG("%u", bad[i]);
	}
	EXPECT_UNCHANGED(1);
}

TEST_F(value, create_bad_result)
{
	static const int64_t no_errno[] = {
		0, 1, INT_MAX, INT64_MAX, -4096, INT_MIN, INT64_MIN, 1LL << 32, -(1LL << 32) - 5,
	};
	static const int64_t no_reason[] = {
		0, 1, INT_MAX, INT64_MAX, INT_MIN - 1LL, INT64_MIN, 1LL << 32, -(1LL << 32) - 5,
	};
	static const int64_t nothing[] = { 1, -1, INT64_MAX, INT64_MIN, 1LL << 32 };
	struct abi_ctx *c = &self->c;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(no_errno); i++) {
		EXPECT_EQ(-EINVAL, create(c, 0, 0, 0600, AOP_FAILED, no_errno[i])) TH_LOG("%u", i);
	}
	for (i = 0; i < ARRAY_SIZE(no_reason); i++) {
		EXPECT_EQ(-EINVAL, create(c, 0, 0, 0600, AOP_CANCELLED, no_reason[i]))
			TH_LOG("%u", i);
	}
	for (i = 0; i < ARRAY_SIZE(nothing); i++) {
		EXPECT_EQ(-EINVAL, create(c, 0, 0, 0600, AOP_PENDING, nothing[i])) TH_LOG("%u", i);
		EXPECT_EQ(-EINVAL, create(c, 0, 0, 0600, AOP_RUNNING, nothing[i])) TH_LOG("%u", i);
	}
	EXPECT_UNCHANGED(1);

	EXPECT_EQ(0, create(c, 0, 0, 0600, AOP_FAILED, -1));
	EXPECT_EQ(0, create(c, 0, 0, 0600, AOP_FAILED, -4095));
	EXPECT_EQ(0, create(c, 0, 0, 0600, AOP_CANCELLED, -1));
	EXPECT_EQ(0, create(c, 0, 0, 0600, AOP_CANCELLED, INT_MIN));
	EXPECT_EQ(0, create(c, 0, 0, 0600, AOP_DONE, INT64_MIN));
	EXPECT_EQ(0, create(c, 0, 0, 0600, AOP_DONE, INT64_MAX));
	EXPECT_EQ(7, abi_handles(c));
}

static int labelled(struct abi_ctx *c, uint64_t label, uint64_t *handle)
{
	struct aop_create_entry e = { .label = label, .mode = 0600 };
	int ret = abi_create(c, &e);

	*handle = e.handle;
	return ret;
}

static int group_labelled(struct abi_ctx *c, uint64_t member, uint64_t label, uint64_t *handle)
{
	struct aop_ioc_group g = {
		.size = sizeof(g), .members = abi_u64(&member), .nr = 1, .need = 1, .mode = 0600,
		.label = label,
	};
	int ret = abi_ioctl(c->fd, AOP_IOC_GROUP, &g);

	*handle = g.handle;
	return ret;
}

/* M7, and its edges: at the end of memory as well. */
TEST_F(value, M7_label)
{
	struct abi_ctx *c = &self->c;
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *end = page + 4096;
	struct aop_ioc_query q;
	const uint64_t bad[] = {
		1, abi_u64(end), abi_u64(end) - 1, 0xffff888000000000ULL, 1ULL << 63, -1ULL, -64ULL,
	};
	uint64_t h, g;
	unsigned int i;

	ASSERT_TRUE(page != MAP_FAILED);
	ASSERT_EQ(0, munmap(end, 4096));

	memset(page, 'x', 4096);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EFAULT, labelled(c, bad[i], &h)) TH_LOG("%u", i);
		EXPECT_EQ(-EFAULT, group_labelled(c, self->handle, bad[i], &g)) TH_LOG("%u", i);
	}
	EXPECT_EQ(-ENAMETOOLONG, labelled(c, abi_u64(page), &h));
	EXPECT_EQ(-ENAMETOOLONG, labelled(c, abi_u64(end - AOP_LABEL_SIZE), &h));
	EXPECT_EQ(-ENAMETOOLONG, group_labelled(c, self->handle, abi_u64(page), &g));
	EXPECT_UNCHANGED(1);

	/* The longest there is, directly before the hole. */
	end[-1] = 0;
	ASSERT_EQ(0, labelled(c, abi_u64(end - AOP_LABEL_SIZE), &h));
	ASSERT_EQ(0, abi_query(c, h, &q));
	EXPECT_STREQ(end - AOP_LABEL_SIZE, q.label);
	ASSERT_EQ(0, labelled(c, abi_u64(end - 1), &h));
	ASSERT_EQ(0, abi_query(c, h, &q));
	EXPECT_STREQ("", q.label);
	ASSERT_EQ(0, group_labelled(c, self->handle, abi_u64(end - 4), &g));
	ASSERT_EQ(0, abi_query(c, g, &q));
	EXPECT_STREQ("xxx", q.label);
	ASSERT_EQ(0, labelled(c, 0, &h));
	ASSERT_EQ(0, abi_query(c, h, &q));
	EXPECT_STREQ("", q.label);
	munmap(page, 4096);
}

/* ---- signal ------------------------------------------------------------------- */

/* Each is refused, and the right to drive stays where it is. */
TEST_F(value, signal_bad_value)
{
	static const struct {
		uint32_t what;
		int64_t value;
		uint64_t total;
	} bad[] = {
		{ 6, 0, 0 }, { 0xff, 0, 0 }, { 1U << 31, 0, 0 }, { UINT_MAX, 0, 0 },
		{ AOP_SIGNAL_DETACH | AOP_SIGNAL_START, 0, 0 },
		{ AOP_SIGNAL_DETACH | AOP_SIGNAL_PROGRESS, 0, 0 },
		{ AOP_SIGNAL_DETACH | 6, 0, 0 },
		{ AOP_SIGNAL_DONE | 0x200, 0, 0 }, { AOP_SIGNAL_DONE | 0x10000, 0, 0 },
		{ AOP_SIGNAL_START, 1, 0 }, { AOP_SIGNAL_START, INT64_MIN, 0 },
		{ AOP_SIGNAL_START, 1LL << 32, 0 }, { AOP_SIGNAL_START, 0, 1 },
		{ AOP_SIGNAL_LET_GO, 1, 0 }, { AOP_SIGNAL_LET_GO, -1, 0 },
		{ AOP_SIGNAL_LET_GO, 0, 1 },
		{ AOP_SIGNAL_DONE, 0, 1 }, { AOP_SIGNAL_DONE, 0, 1ULL << 63 },
		{ AOP_SIGNAL_FAIL, 0, 0 }, { AOP_SIGNAL_FAIL, 1, 0 },
		{ AOP_SIGNAL_FAIL, INT64_MAX, 0 }, { AOP_SIGNAL_FAIL, -4096, 0 },
		{ AOP_SIGNAL_FAIL, INT64_MIN, 0 }, { AOP_SIGNAL_FAIL, -(1LL << 32) - 5, 0 },
		{ AOP_SIGNAL_FAIL, -EIO, 1 },
		{ AOP_SIGNAL_CANCELLED, 1, 0 }, { AOP_SIGNAL_CANCELLED, INT64_MAX, 0 },
		{ AOP_SIGNAL_CANCELLED, INT_MIN - 1LL, 0 },
		{ AOP_SIGNAL_CANCELLED, INT64_MIN, 0 }, { AOP_SIGNAL_CANCELLED, -EINTR, 1 },
		{ AOP_SIGNAL_PROGRESS, -1, 0 }, { AOP_SIGNAL_PROGRESS, INT64_MIN, 1 },
	};
	struct abi_ctx *c = &self->c;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, abi_signal4(c, self->handle, bad[i].what, bad[i].value,
					       bad[i].total)) TH_LOG("%u", i);
	}
	EXPECT_UNCHANGED(1);
	EXPECT_EQ(0, abi_done(c, self->handle, 0));
}

TEST_F(value, M7_signal_good_values)
{
	static const struct {
		uint32_t what;
		int64_t value, result;
		uint32_t state;
	} good[] = {
		{ AOP_SIGNAL_DONE, INT64_MAX, INT64_MAX, AOP_DONE },
		{ AOP_SIGNAL_DONE, INT64_MIN, INT64_MIN, AOP_DONE },
		{ AOP_SIGNAL_FAIL, -1, -1, AOP_FAILED },
		{ AOP_SIGNAL_FAIL, -4095, -4095, AOP_FAILED },
		{ AOP_SIGNAL_CANCELLED, -1, -1, AOP_CANCELLED },
		{ AOP_SIGNAL_CANCELLED, INT_MIN, INT_MIN, AOP_CANCELLED },
		{ AOP_SIGNAL_CANCELLED, 0, -ECANCELED, AOP_CANCELLED },
	};
	struct abi_ctx *c = &self->c;
	struct aop_status s;
	unsigned int i;
	uint64_t h;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		h = abi_new(c, 0, 0);
		ASSERT_NE(0, h);
		ASSERT_EQ(0, abi_progress(c, h, INT64_MAX, UINT64_MAX));
		EXPECT_EQ(0, abi_signal(c, h, good[i].what, good[i].value));
		ASSERT_EQ(0, abi_status(c, h, &s));
		EXPECT_EQ(good[i].state, s.state) TH_LOG("%u", i);
		EXPECT_EQ(good[i].result, s.result) TH_LOG("%u", i);
		EXPECT_EQ(INT64_MAX, s.done);
		EXPECT_EQ(UINT64_MAX, s.total);
	}
}

/* C4: the reason that was asked for, or the owner's own. */
TEST_F(value, C4_reason)
{
	struct abi_ctx *c = &self->c;
	struct aop_status s;
	uint64_t a = abi_new(c, 0, 0), b = abi_new(c, 0, 0);

	ASSERT_NE(0, a);
	ASSERT_NE(0, b);
	ASSERT_EQ(0, abi_start(c, a));
	ASSERT_EQ(0, abi_start(c, b));
	EXPECT_EQ(AOP_ASKED, abi_cancel(c, a, -EINTR));
	EXPECT_EQ(AOP_ASKED, abi_cancel(c, b, -EINTR));
	EXPECT_EQ(0, abi_signal(c, a, AOP_SIGNAL_CANCELLED, 0));
	EXPECT_EQ(0, abi_signal(c, b, AOP_SIGNAL_CANCELLED, -EDOM));
	ASSERT_EQ(0, abi_status(c, a, &s));
	EXPECT_EQ(-EINTR, s.reason);
	EXPECT_EQ(-EINTR, s.result);
	ASSERT_EQ(0, abi_status(c, b, &s));
	EXPECT_EQ(-EDOM, s.reason);
	EXPECT_EQ(-EDOM, s.result);
}

/* One bad entry does not harm its neighbours. */
TEST_F(value, signal_rest_goes_on)
{
	struct abi_ctx *c = &self->c;
	uint64_t a = abi_new(c, 0, 0), b = abi_new(c, 0, 0);
	struct aop_signal_entry e[] = {
		{ .handle = a, .what = AOP_SIGNAL_DONE, .value = 1, .ret = 99 },
		{ .handle = 0, .what = AOP_SIGNAL_DONE, .value = 2, .ret = 99 },
		{ .handle = self->handle, .what = 77, .ret = 99 },
		{ .handle = a, .what = AOP_SIGNAL_DONE, .value = 3, .ret = 99 },
		{ .handle = b, .what = AOP_SIGNAL_DONE, .value = 4, .ret = 99 },
	};
	struct aop_status s;

	EXPECT_EQ(5, abi_batch(c->fd, AOP_IOC_SIGNAL, e, sizeof(e[0]), 5));
	EXPECT_EQ(0, e[0].ret);
	EXPECT_EQ(-EBADF, e[1].ret);
	EXPECT_EQ(-EINVAL, e[2].ret);
	EXPECT_EQ(-EPERM, e[3].ret);
	EXPECT_EQ(0, e[4].ret);
	ASSERT_EQ(0, abi_status(c, a, &s));
	EXPECT_EQ(1, s.result);
	ASSERT_EQ(0, abi_status(c, b, &s));
	EXPECT_EQ(4, s.result);
	EXPECT_UNCHANGED(3);
}

TEST_F(value, cancel_bad_reason)
{
	static const int32_t bad[] = { 1, EINTR, INT_MAX };
	struct abi_ctx *c = &self->c;
	struct aop_status s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, abi_cancel(c, self->handle, bad[i]));
	}
	EXPECT_UNCHANGED(1);
	EXPECT_EQ(AOP_STOPPED, abi_cancel(c, self->handle, INT_MIN));
	ASSERT_EQ(0, abi_status(c, self->handle, &s));
	EXPECT_EQ(INT_MIN, s.reason);
	/* Checked also when it is too late to matter. */
	EXPECT_EQ(-EINVAL, abi_cancel(c, self->handle, 1));
	EXPECT_EQ(AOP_TOO_LATE, abi_cancel(c, self->handle, 0));
}

/* ---- attach, modify, query ---------------------------------------------------- */

TEST_F(value, attach_bad_bits)
{
	struct abi_ctx *c = &self->c;
	uint64_t id = abi_id(c, self->handle), h;
	int fd = abi_export(c, self->handle, AOP_MAY_LOOK);
	int bit;

	ASSERT_GE(fd, 0);
	for (bit = 0; bit < 32; bit++) {
		if (1U << bit & ~AOP_MAY_PORT) {
			EXPECT_EQ(-EINVAL, abi_attach_fd(c, fd, 1U << bit, 0, 0, &h));
			EXPECT_EQ(-EINVAL, abi_attach_id(c, id, 1U << bit, 0, 0, &h));
		}
		if (1U << bit & ~(AOP_EV_ALL | AOP_EV_ROOM)) {
			EXPECT_EQ(-EINVAL, abi_attach_fd(c, fd, 0, 0, 1U << bit, &h));
			EXPECT_EQ(-EINVAL, abi_attach_id(c, id, 0, 0, 1U << bit, &h));
		}
	}
	EXPECT_EQ(-EPERM, abi_attach_id(c, id, AOP_MAY_DRIVE, 0, 0, &h));
	EXPECT_EQ(-EPERM, abi_attach_id(c, id, AOP_MAY_ALL, 0, 0, &h));
	EXPECT_UNCHANGED(1);
	close(fd);
}

TEST_F(value, attach_and_query_of_no_operation)
{
	struct abi_ctx *c = &self->c;
	uint64_t gone = abi_new(c, 0, 0), gone_id = abi_id(c, gone), h;
	uint64_t id = abi_id(c, self->handle);
	const uint64_t bad[] = {
		0, ~0ULL, 1ULL << 63, id + (1ULL << 32), id ^ (1ULL << 62), gone_id,
	};
	struct aop_ioc_query q;
	unsigned int i;

	ASSERT_NE(0, gone_id);
	ASSERT_NE(id, gone_id);
	EXPECT_EQ(0, abi_query_id(c, gone_id, &q));
	ASSERT_EQ(0, abi_detach(c, gone, 0));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-ENOENT, abi_attach_id(c, bad[i], 0, 0, 0, &h)) TH_LOG("%u", i);
		EXPECT_EQ(-ENOENT, abi_query_id(c, bad[i], &q)) TH_LOG("%u", i);
	}
	EXPECT_UNCHANGED(1);
}

TEST_F(value, modify_bad_mask)
{
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if (1U << bit & ~(AOP_EV_ALL | AOP_EV_ROOM)) {
			EXPECT_EQ(-EINVAL, abi_modify(&self->c, self->handle, 9, 1U << bit));
		}
	}
	EXPECT_UNCHANGED(1);
}

TEST_HARNESS_MAIN
