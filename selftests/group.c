// SPDX-License-Identifier: GPL-2.0
/*
 * Combinators are operations that the kernel decides: W8, and C6 where a group
 * cancels by itself.
 */
#include "behave.h"

FIXTURE(group) {
	struct abi_ctx a;	/* owns the members */
	struct abi_ctx b;	/* watches them, and makes groups */
};

FIXTURE_SETUP(group)
{
	ASSERT_EQ(0, abi_open(&self->a, 2048));
	ASSERT_EQ(0, abi_open(&self->b, 2048));
}

FIXTURE_TEARDOWN(group)
{
	abi_close(&self->a);
	abi_close(&self->b);
}

/* @n running operations of @a, watched in @b. */
static int members(struct abi_ctx *a, struct abi_ctx *b, int n, uint64_t *own, uint64_t *see)
{
	int i;

	for (i = 0; i < n; i++) {
		own[i] = new_running(a, 0);
		if (!own[i])
			return -1;
		see[i] = watch(a, own[i], b, 0);
		if (!see[i])
			return -1;
	}
	return 0;
}

static void drop(struct abi_ctx *c, const uint64_t *h, int n)
{
	while (n--)
		abi_detach(c, h[n], 0);
}

static bool final(struct abi_ctx *c, uint64_t h)
{
	return abi_state(c, h) >= AOP_DONE;
}

/* ---- what a group is ----------------------------------------------------- */

TEST_F(group, W8_a_group_is_an_operation_without_an_owner)
{
	uint64_t own[3], see[3], g;
	struct aop_ioc_query q;
	struct pollfd p = { .events = POLLIN };
	struct aop_status st;
	struct waiter fin;

	ASSERT_EQ(0, members(&self->a, &self->b, 3, own, see));
	ASSERT_EQ(0, abi_group(&self->b, see, 3, 2, 0, AOP_EV_FINAL, &g));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->b, g));
	ASSERT_EQ(0, abi_query(&self->b, g, &q));
	EXPECT_EQ(3, q.members);
	EXPECT_EQ(2, q.need);
	EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, q.rights);
	EXPECT_EQ(-EPERM, abi_done(&self->b, g, 1));
	EXPECT_EQ(-EPERM, abi_export(&self->b, g, AOP_MAY_DRIVE));
	/* Pollable, shareable, and waited for like any other. */
	p.fd = abi_export(&self->b, g, AOP_MAY_LOOK);
	ASSERT_GE(p.fd, 0);
	EXPECT_EQ(0, poll(&p, 1, 0));
	ASSERT_EQ(0, waiter_sleep(&fin, &self->b, g, AOP_EV_FINAL, 0));
	ASSERT_EQ(0, abi_done(&self->a, own[2], 0));
	EXPECT_TRUE(until_asleep(fin.tid));
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(0, abi_queued(&self->b));
	ASSERT_EQ(0, abi_done(&self->a, own[0], 0));
	EXPECT_EQ(0, waiter_join(&fin));
	EXPECT_EQ(1, poll(&p, 1, -1));
	EXPECT_EQ(sizeof(st), read(p.fd, &st, sizeof(st)));
	EXPECT_EQ(AOP_DONE, st.state);
	EXPECT_EQ(2, st.result);
	EXPECT_TRUE(st.flags & AOP_F_OVER);
	EXPECT_TRUE(reap_only(&self->b, g));
	close(p.fd);
}

TEST_F(group, W8_k_of_n)
{
	uint64_t own[5], see[5], g;
	int n, k, which, i, at, decider = -1;

	for (n = 1; n <= 5; n++) {
		for (k = 1; k <= n; k++) {
			for (which = 0; which < 2; which++) {
				ASSERT_EQ(0, members(&self->a, &self->b, n, own, see));
				ASSERT_EQ(0, abi_group(&self->b, see, n, k,
						       which ? AOP_GROUP_WHICH : 0, 0, &g));
				for (i = 0; i < n; i++) {
					/* Not in their order. */
					at = (i * 2 + 1) % n;
					if (n % 2 == 0)
						at = n - 1 - i;
					EXPECT_EQ(i >= k, final(&self->b, g));
					ASSERT_EQ(0, abi_done(&self->a, own[at], 50 + i));
					if (i == k - 1)
						decider = at;
				}
				/* And what came later changed nothing. */
				EXPECT_ENDED(&self->b, g, AOP_DONE, which ? decider : k);
				drop(&self->a, own, n);
				drop(&self->b, see, n);
				drop(&self->b, &g, 1);
			}
		}
	}
}

/* ---- every combination of flags, against a model of the header's words ------ */

enum kind { K_DONE, K_FAIL, K_CANCELLED, NR_KINDS };

static const struct {
	uint32_t what;
	int64_t value;
	unsigned int state;
} ends[NR_KINDS] = {
	[K_DONE]	= { AOP_SIGNAL_DONE, 60, AOP_DONE },
	[K_FAIL]	= { AOP_SIGNAL_FAIL, -EIO, AOP_FAILED },
	[K_CANCELLED]	= { AOP_SIGNAL_CANCELLED, -EPIPE, AOP_CANCELLED },
};

struct model {
	unsigned int flags, n, need;
	unsigned int ended, counted;
	bool decided;
	unsigned int state;
	int64_t result;
};

static void model_end(struct model *m, unsigned int index, enum kind kind)
{
	m->ended++;
	if (kind == K_DONE || !(m->flags & AOP_GROUP_ONLY_DONE))
		m->counted++;
	if (m->decided)
		return;
	if (kind != K_DONE && m->flags & AOP_GROUP_FAIL_FAST) {
		m->state = ends[kind].state;
		m->result = ends[kind].value;
	} else if (m->counted == m->need) {
		m->state = AOP_DONE;
		m->result = m->flags & AOP_GROUP_WHICH ? index : m->counted;
	} else if (m->counted + m->n - m->ended < m->need) {
		/* Out of reach: as the one that made it so. */
		m->state = ends[kind].state;
		m->result = ends[kind].value;
	} else {
		return;
	}
	m->decided = true;
}

static bool model_final(const struct model *m)
{
	return m->decided && (!(m->flags & AOP_GROUP_CANCEL_REST) || m->ended == m->n);
}

static bool model_agrees(const struct model *m, struct abi_ctx *c, uint64_t g)
{
	struct aop_status st = status_of(c, g);

	if (!model_final(m))
		return st.state == AOP_RUNNING;
	return st.state == m->state && st.result == m->result && st.flags & AOP_F_OVER;
}

TEST_F(group, W8_all_flags_and_all_ends)
{
	static const int order[2][3] = { { 0, 1, 2 }, { 2, 0, 1 } };
	uint64_t own[3], see[3], g;
	unsigned int flags, need, kinds, i, o, at;
	enum kind kind[3];
	struct model m;

	for (flags = 0; flags <= AOP_GROUP_ALL_FLAGS; flags++) {
		for (need = 1; need <= 3; need++) {
			for (kinds = 0; kinds < 27; kinds++) {
				kind[0] = kinds % 3;
				kind[1] = kinds / 3 % 3;
				kind[2] = kinds / 9;
				o = (kinds + need) % 2;
				m = (struct model) { .flags = flags, .n = 3, .need = need };
				ASSERT_EQ(0, members(&self->a, &self->b, 3, own, see));
				ASSERT_EQ(0, abi_group(&self->b, see, 3, need, flags, 0, &g));
				for (i = 0; i < 3; i++) {
					at = order[o][i];
					ASSERT_EQ(0, abi_signal(&self->a, own[at],
								ends[kind[at]].what,
								ends[kind[at]].value));
					model_end(&m, at, kind[at]);
					EXPECT_TRUE(model_agrees(&m, &self->b, g))
						TH_LOG("flags %#x need %u kinds %u%u%u step %u",
						       flags, need, kind[0], kind[1], kind[2], i);
				}
				drop(&self->b, &g, 1);
				drop(&self->b, see, 3);
				drop(&self->a, own, 3);
			}
		}
	}
}

/* The same with members that had ended before the group was made. */
TEST_F(group, W8_members_that_are_final_already)
{
	unsigned int flags, need, kinds, before, i;
	uint64_t own[3], see[3], g;
	enum kind kind[3];
	struct model m;

	for (flags = 0; flags <= AOP_GROUP_ALL_FLAGS; flags++) {
		for (need = 1; need <= 3; need++) {
			for (before = 1; before <= 3; before++) {
				kinds = (flags * 7 + need * 5 + before) % 27;
				kind[0] = kinds % 3;
				kind[1] = kinds / 3 % 3;
				kind[2] = kinds / 9;
				m = (struct model) { .flags = flags, .n = 3, .need = need };
				ASSERT_EQ(0, members(&self->a, &self->b, 3, own, see));
				for (i = 0; i < before; i++) {
					ASSERT_EQ(0, abi_signal(&self->a, own[i],
								ends[kind[i]].what,
								ends[kind[i]].value));
					model_end(&m, i, kind[i]);
				}
				ASSERT_EQ(0, abi_group(&self->b, see, 3, need, flags, 0, &g));
				EXPECT_TRUE(model_agrees(&m, &self->b, g))
					TH_LOG("flags %#x need %u kinds %u%u%u, %u before", flags,
					       need, kind[0], kind[1], kind[2], before);
				for (; i < 3; i++) {
					ASSERT_EQ(0, abi_signal(&self->a, own[i],
								ends[kind[i]].what,
								ends[kind[i]].value));
					model_end(&m, i, kind[i]);
					EXPECT_TRUE(model_agrees(&m, &self->b, g));
				}
				EXPECT_TRUE(final(&self->b, g));
				drop(&self->b, &g, 1);
				drop(&self->b, see, 3);
				drop(&self->a, own, 3);
			}
		}
	}
}

TEST_F(group, W8_a_group_that_is_final_when_made_is_told_once)
{
	uint64_t own, see, g;

	ASSERT_EQ(0, members(&self->a, &self->b, 1, &own, &see));
	ASSERT_EQ(0, abi_done(&self->a, own, 0));
	ASSERT_EQ(0, abi_group(&self->b, &see, 1, 1, 0, AOP_EV_FINAL, &g));
	EXPECT_TRUE(final(&self->b, g));
	EXPECT_TRUE(reap_only(&self->b, g));
	EXPECT_EQ(0, abi_queued(&self->b));
}

/* ---- cancel the rest ------------------------------------------------------ */

TEST_F(group, W8_cancel_rest_asks_and_waits)
{
	uint64_t own[4], see[4], pending, g;
	struct waiter fin;

	ASSERT_EQ(0, members(&self->a, &self->b, 3, own, see));
	pending = abi_new(&self->a, 0, 0);
	see[3] = watch(&self->a, pending, &self->b, 0);
	ASSERT_NE(0, see[3]);
	ASSERT_EQ(0, abi_group(&self->b, see, 4, 1, AOP_GROUP_CANCEL_REST | AOP_GROUP_WHICH,
			       AOP_EV_FINAL, &g));
	ASSERT_EQ(0, waiter_sleep(&fin, &self->b, g, AOP_EV_FINAL, 0));
	ASSERT_EQ(0, abi_done(&self->a, own[1], 5));
	/* C6: those that run are asked, and the one that does not is stopped. */
	EXPECT_EQ(AOP_EV_ASKED, abi_wait_one(&self->a, own[0], AOP_EV_ASKED, 0));
	EXPECT_EQ(AOP_EV_ASKED, abi_wait_one(&self->a, own[2], AOP_EV_ASKED, 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->a, pending, AOP_EV_FINAL, 0));
	EXPECT_EQ(AOP_CANCELLED, abi_state(&self->a, pending));
	EXPECT_EQ(0, flags_of(&self->a, own[1]) & AOP_F_ASKED);
	/* Decided, but not final: the losers have not ended. */
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->b, g));
	EXPECT_TRUE(until_asleep(fin.tid));
	EXPECT_EQ(0, abi_signal(&self->a, own[0], AOP_SIGNAL_CANCELLED, 0));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->b, g));
	EXPECT_TRUE(until_asleep(fin.tid));
	/* A loser may also win. */
	EXPECT_EQ(0, abi_done(&self->a, own[2], 6));
	EXPECT_EQ(0, waiter_join(&fin));
	EXPECT_ENDED(&self->b, g, AOP_DONE, 1);
	EXPECT_TRUE(reap_only(&self->b, g));
}

TEST_F(group, W8_without_cancel_rest_nobody_is_asked)
{
	uint64_t own[3], see[3], g;

	ASSERT_EQ(0, members(&self->a, &self->b, 3, own, see));
	ASSERT_EQ(0, abi_group(&self->b, see, 3, 1, AOP_GROUP_FAIL_FAST, 0, &g));
	ASSERT_EQ(0, abi_signal(&self->a, own[0], AOP_SIGNAL_FAIL, -EIO));
	EXPECT_ENDED(&self->b, g, AOP_FAILED, -EIO);
	/* Nor when it is released. */
	EXPECT_EQ(0, abi_detach(&self->b, g, 0));
	EXPECT_EQ(0, abi_look(&self->a, own[1], AOP_EV_ASKED, 0));
	EXPECT_EQ(0, abi_done(&self->a, own[1], 0));
	EXPECT_EQ(0, flags_of(&self->a, own[1]) & AOP_F_ASKED);
}

TEST_F(group, W8_a_cancelled_group_ends_cancelled)
{
	uint64_t own[2], see[2], g;

	ASSERT_EQ(0, members(&self->a, &self->b, 2, own, see));
	ASSERT_EQ(0, abi_group(&self->b, see, 2, 2, 0, 0, &g));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->b, g, -ENOLINK));
	EXPECT_EQ(AOP_EV_ASKED, abi_wait_one(&self->a, own[0], AOP_EV_ASKED, 0));
	EXPECT_EQ(AOP_EV_ASKED, abi_wait_one(&self->a, own[1], AOP_EV_ASKED, 0));
	EXPECT_EQ(0, abi_signal(&self->a, own[0], AOP_SIGNAL_CANCELLED, 0));
	EXPECT_EQ(0, abi_signal(&self->a, own[1], AOP_SIGNAL_CANCELLED, 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, g, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->b, g, AOP_CANCELLED, -ENOLINK);
	EXPECT_EQ(AOP_TOO_LATE, abi_cancel(&self->b, g, -ENOLINK));
}

/* ---- members of all sorts -------------------------------------------------- */

TEST_F(group, W8_duplicates_count_each)
{
	uint64_t own[2], see[2], h[3], g;

	ASSERT_EQ(0, members(&self->a, &self->b, 2, own, see));
	h[0] = see[0];
	h[1] = see[0];
	h[2] = see[1];
	ASSERT_EQ(0, abi_group(&self->b, h, 3, 2, 0, 0, &g));
	ASSERT_EQ(0, abi_done(&self->a, own[0], 0));
	EXPECT_ENDED(&self->b, g, AOP_DONE, 2);

	/* By another handle on the same operation, too; and final before. */
	h[1] = watch(&self->b, see[1], &self->b, 0);
	ASSERT_NE(0, h[1]);
	ASSERT_EQ(0, abi_group(&self->b, h, 3, 3, 0, 0, &g));
	EXPECT_FALSE(final(&self->b, g));
	ASSERT_EQ(0, abi_done(&self->a, own[1], 0));
	EXPECT_ENDED(&self->b, g, AOP_DONE, 3);
}

TEST_F(group, W8_nested_to_the_last_level)
{
	uint64_t own, h[AOP_MAX_DEPTH + 1], g;
	int i;

	own = new_running(&self->a, 0);
	ASSERT_NE(0, own);
	h[0] = watch(&self->a, own, &self->b, 0);
	ASSERT_NE(0, h[0]);
	for (i = 1; i <= AOP_MAX_DEPTH; i++)
		ASSERT_EQ(0, abi_group(&self->b, &h[i - 1], 1, 1, 0, AOP_EV_FINAL, &h[i]));
	EXPECT_EQ(-ELOOP, abi_group(&self->b, &h[AOP_MAX_DEPTH], 1, 1, 0, 0, &g));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->b, h[AOP_MAX_DEPTH]));
	ASSERT_EQ(0, abi_done(&self->a, own, 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, h[AOP_MAX_DEPTH], AOP_EV_FINAL, 0));
	for (i = 1; i <= AOP_MAX_DEPTH; i++)
		EXPECT_ENDED(&self->b, h[i], AOP_DONE, 1);
	EXPECT_EQ(AOP_MAX_DEPTH, abi_drain(&self->b));
}

/* Any of (all of two, a third), and the errors of below come up. */
TEST_F(group, W8_nested_of_different_kinds)
{
	uint64_t own[3], see[3], in[2], any;
	int how;

	for (how = 0; how < 3; how++) {
		ASSERT_EQ(0, members(&self->a, &self->b, 3, own, see));
		ASSERT_EQ(0, abi_group(&self->b, see, 2, 2, AOP_GROUP_FAIL_FAST, 0, &in[0]));
		in[1] = see[2];
		ASSERT_EQ(0, abi_group(&self->b, in, 2, 1,
				       AOP_GROUP_WHICH | AOP_GROUP_FAIL_FAST, 0, &any));
		switch (how) {
		case 0:
			ASSERT_EQ(0, abi_done(&self->a, own[1], 0));
			EXPECT_FALSE(final(&self->b, any));
			ASSERT_EQ(0, abi_done(&self->a, own[0], 0));
			EXPECT_ENDED(&self->b, any, AOP_DONE, 0);
			break;
		case 1:
			ASSERT_EQ(0, abi_done(&self->a, own[2], 0));
			EXPECT_ENDED(&self->b, any, AOP_DONE, 1);
			EXPECT_FALSE(final(&self->b, in[0]));
			break;
		case 2:
			ASSERT_EQ(0, abi_signal(&self->a, own[1], AOP_SIGNAL_FAIL, -EDOM));
			EXPECT_ENDED(&self->b, any, AOP_FAILED, -EDOM);
			break;
		}
	}
}

TEST_F(group, W8_the_death_of_an_owner_decides_like_any_failure)
{
	uint64_t own[2], see[2], all, fast;

	ASSERT_EQ(0, members(&self->a, &self->b, 2, own, see));
	ASSERT_EQ(0, abi_group(&self->b, see, 2, 2, 0, 0, &all));
	ASSERT_EQ(0, abi_group(&self->b, see, 2, 2, AOP_GROUP_FAIL_FAST, 0, &fast));
	abi_close(&self->a);
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, all, AOP_EV_FINAL, 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, fast, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->b, all, AOP_DONE, 2);
	EXPECT_ENDED(&self->b, fast, AOP_FAILED, -EOWNERDEAD);
}

TEST_F(group, W8_watched_when_the_members_handles_are_gone)
{
	uint64_t own[3], see[3], g;

	ASSERT_EQ(0, members(&self->a, &self->b, 3, own, see));
	ASSERT_EQ(0, abi_group(&self->b, see, 3, 3, 0, 0, &g));
	drop(&self->b, see, 3);
	/* The group is their watcher now. */
	EXPECT_EQ(2, watchers_of(&self->a, own[0]));
	ASSERT_EQ(0, abi_done(&self->a, own[0], 0));
	ASSERT_EQ(0, abi_signal(&self->a, own[1], AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH, 0));
	EXPECT_FALSE(final(&self->b, g));
	/* The third's owner just goes. */
	ASSERT_EQ(0, abi_detach(&self->a, own[2], 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, g, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->b, g, AOP_DONE, 3);
}

/* ---- deadlines -------------------------------------------------------------- */

TEST_F(group, W8_a_deadline_of_its_own)
{
	uint64_t own[2], see[2];
	struct aop_ioc_group g = { .size = sizeof(g), .nr = 2, .need = 1, .mode = 0600 };
	struct aop_status was, is;

	ASSERT_EQ(0, members(&self->a, &self->b, 2, own, see));
	g.members = abi_u64(see);
	g.deadline = abi_now() + 20 * MSEC_NS;
	ASSERT_EQ(0, abi_ioctl(self->b.fd, AOP_IOC_GROUP, &g));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, g.handle, AOP_EV_FINAL, 0));
	EXPECT_LE(g.deadline, abi_now());
	EXPECT_ENDED(&self->b, g.handle, AOP_FAILED, -ETIMEDOUT);
	EXPECT_TRUE(flags_of(&self->b, g.handle) & AOP_F_SYSTEM);
	EXPECT_TRUE(flags_of(&self->b, g.handle) & AOP_F_OVER);
	/* Its members go on, and what they do decides nothing any more. */
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->a, own[0]));
	was = status_of(&self->b, g.handle);
	ASSERT_EQ(0, abi_done(&self->a, own[0], 0));
	is = status_of(&self->b, g.handle);
	EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)));

	/* The other way round: decided, and then its time comes. */
	g.members = abi_u64(&see[1]);
	g.nr = 1;
	g.deadline = AOP_FOREVER_NS - 1;
	ASSERT_EQ(0, abi_ioctl(self->b.fd, AOP_IOC_GROUP, &g));
	ASSERT_EQ(0, abi_done(&self->a, own[1], 0));
	EXPECT_ENDED(&self->b, g.handle, AOP_DONE, 1);
}

/* ---- many ------------------------------------------------------------------- */

static int done_all(struct abi_ctx *c, const uint64_t *h, unsigned int n)
{
	static struct aop_signal_entry s[AOP_MAX_ENTRIES];
	unsigned int i;

	for (i = 0; i < n; i++)
		s[i] = (struct aop_signal_entry) { .handle = h[i], .what = AOP_SIGNAL_DONE };
	return abi_batch(c->fd, AOP_IOC_SIGNAL, s, sizeof(*s), n);
}

TEST_F(group, W8_1024_members)
{
	static uint64_t own[AOP_MAX_ENTRIES];
	static struct aop_create_entry e[AOP_MAX_ENTRIES];
	uint64_t all, most, any;
	int i;

	for (i = 0; i < AOP_MAX_ENTRIES; i++)
		e[i] = (struct aop_create_entry) { .state = AOP_RUNNING, .mode = 0600 };
	ASSERT_EQ(AOP_MAX_ENTRIES,
		  abi_batch(self->a.fd, AOP_IOC_CREATE, e, sizeof(*e), AOP_MAX_ENTRIES));
	for (i = 0; i < AOP_MAX_ENTRIES; i++) {
		ASSERT_EQ(0, e[i].ret);
		own[i] = e[i].handle;
	}
	ASSERT_EQ(0, abi_group(&self->a, own, 1024, 1024, 0, AOP_EV_FINAL, &all));
	ASSERT_EQ(0, abi_group(&self->a, own, 1024, 1000, 0, AOP_EV_FINAL, &most));
	ASSERT_EQ(0, abi_group(&self->a, own, 1024, 1, AOP_GROUP_WHICH, AOP_EV_FINAL, &any));
	ASSERT_EQ(0, abi_done(&self->a, own[777], 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->a, any, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->a, any, AOP_DONE, 777);
	EXPECT_TRUE(reap_only(&self->a, any));
	ASSERT_EQ(777, done_all(&self->a, own, 777));
	ASSERT_EQ(221, done_all(&self->a, own + 778, 221));
	EXPECT_FALSE(final(&self->a, most));
	ASSERT_EQ(1, done_all(&self->a, own + 999, 1));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->a, most, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->a, most, AOP_DONE, 1000);
	EXPECT_FALSE(final(&self->a, all));
	ASSERT_EQ(24, done_all(&self->a, own + 1000, 24));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->a, all, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->a, all, AOP_DONE, 1024);
	EXPECT_EQ(2, abi_drain(&self->a));
}

/* More than one signal completes by itself: the rest comes soon, each once. */
TEST_F(group, W8_one_signal_decides_100_groups)
{
	struct aop_wait_entry e[100];
	uint64_t own, g;
	int i;

	own = new_running(&self->a, 0);
	ASSERT_NE(0, own);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, abi_group(&self->a, &own, 1, 1, 0, AOP_EV_FINAL, &g));
		e[i] = (struct aop_wait_entry) { .handle = g, .mask = AOP_EV_FINAL };
	}
	ASSERT_EQ(0, abi_done(&self->a, own, 0));
	EXPECT_EQ(100, abi_wait(&self->a, e, 100, 100, AOP_FOREVER_NS));
	for (i = 0; i < 100; i++)
		EXPECT_ENDED(&self->a, e[i].handle, AOP_DONE, 1);
	EXPECT_EQ(100, abi_drain(&self->a));
}

/* 20 groups on 20 operations each, nested in one more, by one call. */
TEST_F(group, W8_one_call_decides_a_tree)
{
	uint64_t own[20], g[20], top;
	int i;

	for (i = 0; i < 20; i++) {
		own[i] = new_running(&self->a, 0);
		ASSERT_NE(0, own[i]);
	}
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, abi_group(&self->a, own, 20, i + 1, 0, 0, &g[i]));
	ASSERT_EQ(0, abi_group(&self->a, g, 20, 20, 0, AOP_EV_FINAL, &top));
	ASSERT_EQ(20, done_all(&self->a, own, 20));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->a, top, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->a, top, AOP_DONE, 20);
	for (i = 0; i < 20; i++)
		EXPECT_ENDED(&self->a, g[i], AOP_DONE, i + 1);
	EXPECT_TRUE(reap_only(&self->a, top));
}

/* ---- released, and raced ------------------------------------------------------ */

/* An undecided group that is released lets go of its members, every time. */
TEST_F(group, W8_released_undecided)
{
	uint64_t own, see, g, id;
	int i;

	own = new_running(&self->a, 0);
	ASSERT_NE(0, own);
	id = abi_id(&self->a, own);
	/* Only the group watches, so that its end is an event: abandoned. */
	ASSERT_EQ(0, abi_detach(&self->a, own, AOP_MAY_LOOK | AOP_MAY_CANCEL));
	for (i = 0; i < AOP_MAX_LINKS + 20; i++) {
		ASSERT_EQ(0, abi_attach_id(&self->b, id, AOP_MAY_LOOK, 0, 0, &see));
		ASSERT_EQ(0, abi_group(&self->b, &see, 1, 1, 0, 0, &g));
		ASSERT_EQ(0, abi_detach(&self->b, see, 0));
		EXPECT_EQ(0, abi_look(&self->a, own, AOP_EV_ORPHAN, 0));
		ASSERT_EQ(0, abi_detach(&self->b, g, 0));
		ASSERT_EQ(AOP_EV_ORPHAN, abi_wait_one(&self->a, own, AOP_EV_ORPHAN, 0));
		EXPECT_EQ(0, watchers_of(&self->a, own));
	}
	EXPECT_EQ(0, abi_done(&self->a, own, 0));
}

#define RACES	200

struct ender {
	struct race race;
	struct abi_ctx *c;
	uint64_t h;
	int ret;
	pthread_t thread;
};

/* Ends a member in every round. */
static void *end_run(void *arg)
{
	struct ender *r = arg;
	int i;

	for (i = 1; i <= RACES; i++) {
		race_join(&r->race, i);
		if (abi_done(r->c, r->h, i))
			r->ret = i;
		race_done(&r->race, i);
	}
	return NULL;
}

TEST_F(group, W8_two_members_end_at_once)
{
	uint64_t own[2], see[2], all, any, which;
	struct ender r = { .c = &self->a };
	int64_t first;
	int i;

	ASSERT_EQ(0, pthread_create(&r.thread, NULL, end_run, &r));
	for (i = 1; i <= RACES; i++) {
		ASSERT_EQ(0, members(&self->a, &self->b, 2, own, see));
		ASSERT_EQ(0, abi_group(&self->b, see, 2, 2, 0, AOP_EV_FINAL, &all));
		ASSERT_EQ(0, abi_group(&self->b, see, 2, 1, 0, AOP_EV_FINAL, &any));
		ASSERT_EQ(0, abi_group(&self->b, see, 2, 1, AOP_GROUP_WHICH, AOP_EV_FINAL,
				       &which));
		r.h = own[0];
		race_begin(&r.race, i);
		ASSERT_EQ(0, abi_done(&self->a, own[1], 0));
		race_over(&r.race, i);
		ASSERT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, all, AOP_EV_FINAL, 0));
		ASSERT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, any, AOP_EV_FINAL, 0));
		ASSERT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, which, AOP_EV_FINAL, 0));
		EXPECT_ENDED(&self->b, all, AOP_DONE, 2);
		EXPECT_ENDED(&self->b, any, AOP_DONE, 1);
		first = status_of(&self->b, which).result;
		EXPECT_TRUE(first == 0 || first == 1);
		race_even_out(&r.race, first == 0);
		EXPECT_EQ(3, abi_drain(&self->b));
		drop(&self->b, &all, 1);
		drop(&self->b, &any, 1);
		drop(&self->b, &which, 1);
		drop(&self->b, see, 2);
		drop(&self->a, own, 2);
	}
	pthread_join(r.thread, NULL);
	EXPECT_EQ(0, r.ret);
}

/* A member ends while its group is made, and while it is released. */
TEST_F(group, W8_a_member_ends_while_its_group_comes_or_goes)
{
	struct ender r = { .c = &self->a };
	uint64_t own[3], see[3], g;
	int i;

	ASSERT_EQ(0, pthread_create(&r.thread, NULL, end_run, &r));
	for (i = 1; i <= RACES; i++) {
		ASSERT_EQ(0, members(&self->a, &self->b, 3, own, see));
		r.h = own[1];
		if (i % 2) {
			race_begin(&r.race, i);
			ASSERT_EQ(0, abi_group(&self->b, see, 3, 1, AOP_GROUP_WHICH,
					       AOP_EV_FINAL, &g));
			race_even_out(&r.race, final(&self->b, g));
			race_over(&r.race, i);
			ASSERT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, g, AOP_EV_FINAL, 0));
			EXPECT_ENDED(&self->b, g, AOP_DONE, 1);
			EXPECT_TRUE(reap_only(&self->b, g));
			drop(&self->b, &g, 1);
		} else {
			ASSERT_EQ(0, abi_group(&self->b, see, 3, 1,
					       i % 4 ? AOP_GROUP_CANCEL_REST : 0, 0, &g));
			race_begin(&r.race, i);
			drop(&self->b, &g, 1);
			race_over(&r.race, i);
		}
		EXPECT_ENDED(&self->b, see[1], AOP_DONE, i);
		drop(&self->b, see, 3);
		drop(&self->a, own, 3);
	}
	pthread_join(r.thread, NULL);
	EXPECT_EQ(0, r.ret);
}

/* And while its group is cancelled: the member's own end is what counts. */
TEST_F(group, W8_a_member_ends_while_its_group_is_cancelled)
{
	struct ender r = { .c = &self->a };
	uint64_t own[2], see[2], g;
	struct aop_status st;
	int i, answer;

	ASSERT_EQ(0, pthread_create(&r.thread, NULL, end_run, &r));
	for (i = 1; i <= RACES; i++) {
		ASSERT_EQ(0, members(&self->a, &self->b, 2, own, see));
		ASSERT_EQ(0, abi_group(&self->b, see, 2, 1, AOP_GROUP_ONLY_DONE, AOP_EV_FINAL, &g));
		r.h = own[0];
		race_begin(&r.race, i);
		answer = abi_cancel(&self->b, g, -ENOLINK);
		EXPECT_TRUE(answer == AOP_ASKED || answer == AOP_TOO_LATE);
		race_over(&r.race, i);
		ASSERT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, g, AOP_EV_FINAL, 0));
		st = status_of(&self->b, g);
		EXPECT_EQ(AOP_DONE, st.state);
		EXPECT_EQ(1, st.result);
		EXPECT_EQ(answer == AOP_ASKED, !!(st.flags & AOP_F_ASKED));
		race_even_out(&r.race, answer == AOP_TOO_LATE);
		EXPECT_ENDED(&self->b, see[0], AOP_DONE, i);
		EXPECT_TRUE(reap_only(&self->b, g));
		drop(&self->b, &g, 1);
		drop(&self->b, see, 2);
		drop(&self->a, own, 2);
	}
	pthread_join(r.thread, NULL);
	EXPECT_EQ(0, r.ret);
}

TEST_HARNESS_MAIN
