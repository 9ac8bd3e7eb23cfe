// SPDX-License-Identifier: GPL-2.0
/*
 * Which change queues a handle with which mask, and what holds already when a
 * handle or a mask is new.
 */
#include "harness.h"
#include "abi.h"

FIXTURE(events) {
	struct abi_ctx c;		/* whose ring is looked at */
	struct abi_ctx o;		/* where the operations are driven */
};

FIXTURE_SETUP(events)
{
	ASSERT_EQ(0, abi_open(&self->c, 64));
	ASSERT_EQ(0, abi_open(&self->o, 64));
}

FIXTURE_TEARDOWN(events)
{
	abi_close(&self->o);
	abi_close(&self->c);
}

/* What may happen, and which bits of a mask it must queue. */
enum step {
	START, PROGRESS, DONE, FAIL, CANCELLED, LET_GO, ASK_RUNNING, ASK_AGAIN, ASK_PENDING,
	OVER_LATER, DETACH_OWNER, NR_STEPS,
};

static const struct {
	const char *name;
	bool running;
	uint32_t events;
} steps[NR_STEPS] = {
	[START]		= { "start", false, AOP_EV_CHANGE },
	[PROGRESS]	= { "progress", true, AOP_EV_CHANGE },
	[DONE]		= { "done", true, AOP_EV_CHANGE | AOP_EV_FINAL | AOP_EV_OVER },
	[FAIL]		= { "fail", true, AOP_EV_CHANGE | AOP_EV_FINAL | AOP_EV_OVER },
	[CANCELLED]	= { "cancelled", true, AOP_EV_CHANGE | AOP_EV_FINAL | AOP_EV_OVER },
	[LET_GO]	= { "let go", true, AOP_EV_CHANGE | AOP_EV_FINAL | AOP_EV_OVER },
	[ASK_RUNNING]	= { "ask", true, AOP_EV_CHANGE | AOP_EV_ASKED },
	[ASK_AGAIN]	= { "ask again", true, 0 },
	[ASK_PENDING]	= { "ask what is pending", false,
			    AOP_EV_CHANGE | AOP_EV_ASKED | AOP_EV_FINAL },
	[OVER_LATER]	= { "over after a cancel", false, AOP_EV_CHANGE | AOP_EV_OVER },
	[DETACH_OWNER]	= { "owner detached", true, AOP_EV_CHANGE | AOP_EV_FINAL | AOP_EV_OVER },
};

static int prepare(struct abi_ctx *c, uint64_t h, enum step s)
{
	if (steps[s].running && abi_start(c, h))
		return -1;
	if (s == ASK_AGAIN)
		return abi_cancel(c, h, -EINTR) == AOP_ASKED ? 0 : -1;
	if (s == OVER_LATER)
		return abi_cancel(c, h, 0) == AOP_STOPPED ? 0 : -1;
	return 0;
}

static int take(struct abi_ctx *c, uint64_t h, enum step s)
{
	switch (s) {
	case START:
		return abi_start(c, h);
	case PROGRESS:
		return abi_progress(c, h, 1, 2);
	case DONE:
		return abi_done(c, h, 0);
	case FAIL:
		return abi_signal(c, h, AOP_SIGNAL_FAIL, -EIO);
	case CANCELLED:
		return abi_signal(c, h, AOP_SIGNAL_CANCELLED, 0);
	case LET_GO:
	case OVER_LATER:
		return abi_signal(c, h, AOP_SIGNAL_LET_GO, 0);
	case ASK_RUNNING:
	case ASK_AGAIN:
		return abi_cancel(c, h, -EINTR) == AOP_ASKED ? 0 : -1;
	case ASK_PENDING:
		return abi_cancel(c, h, 0) == AOP_STOPPED ? 0 : -1;
	case DETACH_OWNER:
		return abi_detach(c, h, AOP_MAY_DRIVE);
	default:
		return -ENOSYS;
	}
}

/* M4 for progress: same state, and yet a change. */
TEST_F(events, M4_masks)
{
	struct abi_ctx *o = &self->o, *c = &self->c;
	uint64_t h, w;
	uint32_t mask;
	int s;

	for (s = 0; s < NR_STEPS; s++) {
		for (mask = 0; mask <= AOP_EV_ALL; mask++) {
			h = abi_new(o, 0, 0);
			ASSERT_NE(0, h);
			ASSERT_EQ(0, prepare(o, h, s));
			w = abi_again(o, h, c, AOP_MAY_LOOK, mask);
			ASSERT_NE(0, w);
			abi_drain(c);
			ASSERT_EQ(0, take(o, h, s)) TH_LOG("%s", steps[s].name);
			EXPECT_EQ(!!(steps[s].events & mask), abi_drain(c))
				TH_LOG("%s, mask %x", steps[s].name, mask);
			EXPECT_EQ(0, abi_drain(o));
			ASSERT_EQ(0, abi_detach(c, w, 0));
			ASSERT_EQ(0, abi_detach(o, h, 0));
		}
	}
}

/* C5: abandoned, watched again, for a handle that only drives. */
TEST_F(events, C5_mask_orphan)
{
	struct abi_ctx *o = &self->o, *c = &self->c;
	uint64_t h, w;
	uint32_t mask;

	for (mask = 0; mask <= AOP_EV_ALL; mask++) {
		uint32_t queued = !!(mask & (AOP_EV_ORPHAN | AOP_EV_CHANGE));

		h = abi_new(c, 0, mask);
		ASSERT_NE(0, h);
		ASSERT_EQ(0, abi_detach(c, h, AOP_MAY_LOOK));
		EXPECT_EQ(queued, abi_drain(c)) TH_LOG("abandoned, mask %x", mask);
		EXPECT_EQ(AOP_F_ORPHAN, abi_slot(c, abi_index(h))->flags);
		w = abi_again(c, h, o, AOP_MAY_LOOK, 0);
		ASSERT_NE(0, w);
		EXPECT_EQ(queued, abi_drain(c)) TH_LOG("watched again, mask %x", mask);
		EXPECT_EQ(0, abi_slot(c, abi_index(h))->flags);
		ASSERT_EQ(0, abi_detach(o, w, 0));
		EXPECT_EQ(queued, abi_drain(c)) TH_LOG("abandoned again, mask %x", mask);
		ASSERT_EQ(0, abi_detach(c, h, 0));
		abi_drain(c);
	}
}

/* What holds when a handle comes, or gets another mask, queues it at once. */
TEST_F(events, K3_what_holds_queues_now)
{
	static const struct {
		const char *name;
		uint32_t holds;
	} kinds[] = {
		{ "pending", 0 },
		{ "running, asked", AOP_EV_ASKED },
		{ "done", AOP_EV_FINAL | AOP_EV_OVER | AOP_EV_CHANGE },
		{ "stopped, not over", AOP_EV_FINAL | AOP_EV_ASKED | AOP_EV_CHANGE },
		{ "abandoned", AOP_EV_ORPHAN },
	};
	struct abi_ctx *o = &self->o, *c = &self->c;
	uint64_t h, w;
	uint32_t mask;
	unsigned int k;
	int fd;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (mask = 0; mask <= AOP_EV_ALL; mask++) {
			uint32_t queued = !!(mask & kinds[k].holds);

			h = abi_new(o, 0, 0);
			ASSERT_NE(0, h);
			if (k == 1) {
				ASSERT_EQ(0, abi_start(o, h));
				ASSERT_EQ(AOP_ASKED, abi_cancel(o, h, 0));
			} else if (k == 2) {
				ASSERT_EQ(0, abi_done(o, h, 0));
			} else if (k == 3) {
				ASSERT_EQ(AOP_STOPPED, abi_cancel(o, h, 0));
			} else if (k == 4) {
				ASSERT_EQ(0, abi_detach(o, h, AOP_MAY_LOOK));
			}
			if (k == 4) {
				/* By the owner: whoever else looks would end that. */
				fd = abi_export(o, h, AOP_MAY_DRIVE);
				ASSERT_GE(fd, 0);
				ASSERT_EQ(0, abi_attach_fd(c, fd, AOP_MAY_DRIVE, 0, mask, &w));
				close(fd);
			} else {
				w = abi_again(o, h, c, AOP_MAY_LOOK, mask);
				ASSERT_NE(0, w);
			}
			EXPECT_EQ(queued, abi_drain(c))
				TH_LOG("attach to %s, mask %x", kinds[k].name, mask);
			ASSERT_EQ(0, abi_modify(c, w, 5, 0));
			EXPECT_EQ(0, abi_drain(c)) TH_LOG("%s, no mask", kinds[k].name);
			EXPECT_EQ(5, abi_slot(c, abi_index(w))->data);
			ASSERT_EQ(0, abi_modify(c, w, 6, mask));
			EXPECT_EQ(queued, abi_drain(c))
				TH_LOG("modify of %s, mask %x", kinds[k].name, mask);
			EXPECT_EQ(6, abi_slot(c, abi_index(w))->data);
			ASSERT_EQ(0, abi_detach(c, w, 0));
			ASSERT_EQ(0, abi_detach(o, h, 0));
		}
	}
}

/* K7: who may only cancel is told of nothing, whatever it asks for. */
TEST_F(events, K7_who_may_only_cancel)
{
	struct abi_ctx *o = &self->o, *c = &self->c;
	uint64_t h, w;
	uint32_t mask;

	for (mask = 0; mask <= AOP_EV_ALL; mask++) {
		h = abi_new(o, 0, 0);
		ASSERT_NE(0, h);
		ASSERT_EQ(0, abi_start(o, h));
		ASSERT_EQ(0, abi_detach(o, h, AOP_MAY_LOOK));
		w = abi_again(o, h, c, AOP_MAY_CANCEL, mask);
		ASSERT_NE(0, w);
		ASSERT_EQ(0, abi_modify(c, w, 5, mask));
		ASSERT_EQ(AOP_ASKED, abi_cancel(c, w, -EINTR));
		ASSERT_EQ(0, abi_progress(o, h, 3, 4));
		ASSERT_EQ(0, abi_done(o, h, 9));
		ASSERT_EQ(0, abi_modify(c, w, 6, mask));
		EXPECT_EQ(0, abi_drain(c)) TH_LOG("mask %x", mask);
		EXPECT_EQ(0, abi_word(c, w)) TH_LOG("mask %x", mask);
		EXPECT_EQ(0, abi_slot(c, abi_index(w))->result);
		EXPECT_EQ(0, abi_slot(c, abi_index(w))->done);
		EXPECT_EQ(6, abi_slot(c, abi_index(w))->data);
		EXPECT_EQ(abi_gen(w), abi_slot(c, abi_index(w))->gen);
		ASSERT_EQ(0, abi_detach(c, w, 0));
		ASSERT_EQ(0, abi_detach(o, h, 0));
	}
}

/* After modify the old mask counts no longer. */
TEST_F(events, modify_replaces_the_mask)
{
	struct abi_ctx *c = &self->c;
	uint64_t h = abi_new(c, 0, AOP_EV_CHANGE);

	ASSERT_NE(0, h);
	ASSERT_EQ(0, abi_modify(c, h, 0, AOP_EV_FINAL));
	ASSERT_EQ(0, abi_progress(c, h, 1, 0));
	EXPECT_EQ(0, abi_drain(c));
	ASSERT_EQ(0, abi_done(c, h, 0));
	EXPECT_EQ(1, abi_drain(c));
}

/* W7: a handle that is gone is queued for nothing any more. */
TEST_F(events, W7_detached_is_silent)
{
	struct abi_ctx *o = &self->o, *c = &self->c;
	uint64_t h = abi_new(o, 0, 0), w;

	ASSERT_NE(0, h);
	w = abi_again(o, h, c, AOP_MAY_LOOK, AOP_EV_ALL);
	ASSERT_NE(0, w);
	abi_drain(c);
	ASSERT_EQ(0, abi_detach(c, w, 0));
	ASSERT_EQ(0, abi_start(o, h));
	ASSERT_EQ(0, abi_done(o, h, 0));
	EXPECT_EQ(0, abi_queued(c));
}

TEST_HARNESS_MAIN
