// SPDX-License-Identifier: GPL-2.0
/*
 * The ABI in numbers: sizes, offsets, values and the table of transitions, as
 * literals that hold for 32 and for 64 bit.  A number that must be changed here
 * is a program that breaks.  The second half asks the kernel whether it keeps
 * the table (M1, M2, M3, M5).
 */
#include <stddef.h>

#include "harness.h"
#include "abi.h"

#define SIZE(s, n)	_Static_assert(sizeof(struct s) == (n), #s)
#define AT(s, f, n)	_Static_assert(offsetof(struct s, f) == (n), #s "." #f)
#define IS(what, n)	_Static_assert((what) == (n), #what)

SIZE(aop_status, 64);
AT(aop_status, seq, 0);
AT(aop_status, gen, 4);
AT(aop_status, word, 8);
AT(aop_status, state, 8);
AT(aop_status, flags, 9);
AT(aop_status, pad, 10);
AT(aop_status, reason, 12);
AT(aop_status, result, 16);
AT(aop_status, done, 24);
AT(aop_status, total, 32);
AT(aop_status, time, 40);
AT(aop_status, data, 48);
AT(aop_status, id, 56);

SIZE(aop_ring, 64);
AT(aop_ring, tail, 0);
AT(aop_ring, mask, 4);
AT(aop_ring, pad, 8);
AT(aop_ring, places, 64);

SIZE(aop_ioc_features, 32);
AT(aop_ioc_features, size, 0);
AT(aop_ioc_features, abi, 4);
AT(aop_ioc_features, features, 8);
AT(aop_ioc_features, max_entries, 16);
AT(aop_ioc_features, max_slots, 20);
AT(aop_ioc_features, max_links, 24);
AT(aop_ioc_features, max_depth, 28);

SIZE(aop_ioc_setup, 40);
AT(aop_ioc_setup, size, 0);
AT(aop_ioc_setup, flags, 4);
AT(aop_ioc_setup, slots, 8);
AT(aop_ioc_setup, stride, 12);
AT(aop_ioc_setup, head_size, 16);
AT(aop_ioc_setup, slots_at, 20);
AT(aop_ioc_setup, area_offset, 24);
AT(aop_ioc_setup, area_size, 32);

SIZE(aop_ioc_batch, 32);
AT(aop_ioc_batch, size, 0);
AT(aop_ioc_batch, flags, 4);
AT(aop_ioc_batch, entries, 8);
AT(aop_ioc_batch, entry_size, 16);
AT(aop_ioc_batch, nr, 20);
AT(aop_ioc_batch, done, 24);
AT(aop_ioc_batch, pad, 28);

SIZE(aop_create_entry, 72);
AT(aop_create_entry, handle, 0);
AT(aop_create_entry, id, 8);
AT(aop_create_entry, data, 16);
AT(aop_create_entry, label, 24);
AT(aop_create_entry, parent, 32);
AT(aop_create_entry, deadline, 40);
AT(aop_create_entry, result, 48);
AT(aop_create_entry, flags, 56);
AT(aop_create_entry, mask, 60);
AT(aop_create_entry, mode, 64);
AT(aop_create_entry, state, 66);
AT(aop_create_entry, ret, 68);

SIZE(aop_signal_entry, 32);
AT(aop_signal_entry, handle, 0);
AT(aop_signal_entry, what, 8);
AT(aop_signal_entry, ret, 12);
AT(aop_signal_entry, value, 16);
AT(aop_signal_entry, total, 24);

SIZE(aop_wait_entry, 24);
AT(aop_wait_entry, handle, 0);
AT(aop_wait_entry, mask, 8);
AT(aop_wait_entry, seq, 12);
AT(aop_wait_entry, events, 16);
AT(aop_wait_entry, pad, 20);

SIZE(aop_ioc_wait, 64);
AT(aop_ioc_wait, size, 0);
AT(aop_ioc_wait, flags, 4);
AT(aop_ioc_wait, entries, 8);
AT(aop_ioc_wait, entry_size, 16);
AT(aop_ioc_wait, nr, 20);
AT(aop_ioc_wait, deadline, 24);
AT(aop_ioc_wait, need, 32);
AT(aop_ioc_wait, count, 36);
AT(aop_ioc_wait, signals, 40);
AT(aop_ioc_wait, signal_size, 48);
AT(aop_ioc_wait, nr_signals, 52);
AT(aop_ioc_wait, signalled, 56);
AT(aop_ioc_wait, pad, 60);

SIZE(aop_cancel_entry, 16);
AT(aop_cancel_entry, handle, 0);
AT(aop_cancel_entry, reason, 8);
AT(aop_cancel_entry, ret, 12);

SIZE(aop_ioc_export, 24);
AT(aop_ioc_export, size, 0);
AT(aop_ioc_export, flags, 4);
AT(aop_ioc_export, handle, 8);
AT(aop_ioc_export, rights, 16);
AT(aop_ioc_export, pad, 20);

SIZE(aop_attach_entry, 40);
AT(aop_attach_entry, handle, 0);
AT(aop_attach_entry, id, 8);
AT(aop_attach_entry, data, 16);
AT(aop_attach_entry, fd, 24);
AT(aop_attach_entry, rights, 28);
AT(aop_attach_entry, mask, 32);
AT(aop_attach_entry, ret, 36);

SIZE(aop_detach_entry, 16);
AT(aop_detach_entry, handle, 0);
AT(aop_detach_entry, rights, 8);
AT(aop_detach_entry, ret, 12);

SIZE(aop_modify_entry, 24);
AT(aop_modify_entry, handle, 0);
AT(aop_modify_entry, data, 8);
AT(aop_modify_entry, mask, 16);
AT(aop_modify_entry, ret, 20);

SIZE(aop_ioc_group, 80);
AT(aop_ioc_group, size, 0);
AT(aop_ioc_group, flags, 4);
AT(aop_ioc_group, members, 8);
AT(aop_ioc_group, nr, 16);
AT(aop_ioc_group, need, 20);
AT(aop_ioc_group, handle, 24);
AT(aop_ioc_group, id, 32);
AT(aop_ioc_group, data, 40);
AT(aop_ioc_group, label, 48);
AT(aop_ioc_group, parent, 56);
AT(aop_ioc_group, deadline, 64);
AT(aop_ioc_group, mask, 72);
AT(aop_ioc_group, mode, 76);

SIZE(aop_ioc_query, 216);
AT(aop_ioc_query, size, 0);
AT(aop_ioc_query, flags, 4);
AT(aop_ioc_query, handle, 8);
AT(aop_ioc_query, id, 16);
AT(aop_ioc_query, status, 24);
AT(aop_ioc_query, created, 88);
AT(aop_ioc_query, started, 96);
AT(aop_ioc_query, deadline, 104);
AT(aop_ioc_query, parent, 112);
AT(aop_ioc_query, rights, 120);
AT(aop_ioc_query, watchers, 124);
AT(aop_ioc_query, uid, 128);
AT(aop_ioc_query, gid, 132);
AT(aop_ioc_query, pid, 136);
AT(aop_ioc_query, mode, 140);
AT(aop_ioc_query, members, 144);
AT(aop_ioc_query, need, 148);
AT(aop_ioc_query, label, 152);

IS(AOP_PENDING, 0);
IS(AOP_RUNNING, 1);
IS(AOP_DONE, 2);
IS(AOP_FAILED, 3);
IS(AOP_CANCELLED, 4);
IS(AOP_NR_STATES, 5);

IS(AOP_F_SYSTEM, 0x01);
IS(AOP_F_ASKED, 0x02);
IS(AOP_F_ORPHAN, 0x04);
IS(AOP_F_LOST, 0x08);
IS(AOP_F_OVER, 0x10);

IS(AOP_MAY_LOOK, 1);
IS(AOP_MAY_CANCEL, 2);
IS(AOP_MAY_DRIVE, 4);
IS(AOP_MAY_ALL, 7);
IS(AOP_MAY_CALL, 8);
IS(AOP_MAY_SERVE, 16);
IS(AOP_MAY_PORT, 31);
IS(AOP_EV_ROOM, 0x20);

IS(AOP_EV_FINAL, 0x01);
IS(AOP_EV_OVER, 0x02);
IS(AOP_EV_CHANGE, 0x04);
IS(AOP_EV_ASKED, 0x08);
IS(AOP_EV_ORPHAN, 0x10);
IS(AOP_EV_ALL, 0x1f);

IS(AOP_CREATE_DETACHED, 1);
IS(AOP_SIGNAL_START, 0);
IS(AOP_SIGNAL_PROGRESS, 1);
IS(AOP_SIGNAL_DONE, 2);
IS(AOP_SIGNAL_FAIL, 3);
IS(AOP_SIGNAL_CANCELLED, 4);
IS(AOP_SIGNAL_LET_GO, 5);
IS(AOP_SIGNAL_DETACH, 0x100);
IS(AOP_ASKED, 0);
IS(AOP_STOPPED, 1);
IS(AOP_TOO_LATE, 2);
IS(AOP_GROUP_CANCEL_REST, 1);
IS(AOP_GROUP_FAIL_FAST, 2);
IS(AOP_GROUP_ONLY_DONE, 4);
IS(AOP_GROUP_WHICH, 8);
IS(AOP_GROUP_ALL_FLAGS, 15);

IS(AOP_MAX_SLOTS, 1048576);
IS(AOP_MAX_ENTRIES, 1024);
IS(AOP_MAX_LINKS, 128);
IS(AOP_MAX_FOREIGN, 8);
IS(AOP_MAX_DEPTH, 8);
IS(AOP_LABEL_SIZE, 64);
IS(AOP_FOREVER_NS, 0xffffffffffffffffULL);

SIZE(aop_ioc_import, 72);
AT(aop_ioc_import, size, 0);
AT(aop_ioc_import, flags, 4);
AT(aop_ioc_import, fd, 8);
AT(aop_ioc_import, mask, 12);
AT(aop_ioc_import, handle, 16);
AT(aop_ioc_import, id, 24);
AT(aop_ioc_import, data, 32);
AT(aop_ioc_import, label, 40);
AT(aop_ioc_import, parent, 48);
AT(aop_ioc_import, deadline, 56);
AT(aop_ioc_import, mode, 64);
AT(aop_ioc_import, pad, 68);

SIZE(aop_ioc_eventfd, 24);
AT(aop_ioc_eventfd, size, 0);
AT(aop_ioc_eventfd, flags, 4);
AT(aop_ioc_eventfd, handle, 8);
AT(aop_ioc_eventfd, fd, 16);
AT(aop_ioc_eventfd, mask, 20);

IS(AOP_FEATURE_IMPORT, 0x8);
IS(AOP_IOC_IMPORT, 0xb90c);
IS(AOP_IOC_EVENTFD, 0xb90d);

SIZE(aop_ioc_port, 80);
AT(aop_ioc_port, size, 0);
AT(aop_ioc_port, flags, 4);
AT(aop_ioc_port, handle, 8);
AT(aop_ioc_port, id, 16);
AT(aop_ioc_port, data, 24);
AT(aop_ioc_port, label, 32);
AT(aop_ioc_port, parent, 40);
AT(aop_ioc_port, deadline, 48);
AT(aop_ioc_port, mask, 56);
AT(aop_ioc_port, mode, 60);
AT(aop_ioc_port, backlog, 64);
AT(aop_ioc_port, message, 68);
AT(aop_ioc_port, state, 72);
AT(aop_ioc_port, pad, 76);

SIZE(aop_call_entry, 104);
AT(aop_call_entry, port, 0);
AT(aop_call_entry, message, 8);
AT(aop_call_entry, reply, 16);
AT(aop_call_entry, len, 24);
AT(aop_call_entry, room, 28);
AT(aop_call_entry, data, 32);
AT(aop_call_entry, parent, 40);
AT(aop_call_entry, deadline, 48);
AT(aop_call_entry, fd, 56);
AT(aop_call_entry, mask, 60);
AT(aop_call_entry, flags, 64);
AT(aop_call_entry, ret, 68);
AT(aop_call_entry, handle, 72);
AT(aop_call_entry, id, 80);
AT(aop_call_entry, result, 88);
AT(aop_call_entry, state, 96);
AT(aop_call_entry, reply_len, 100);

SIZE(aop_ioc_call, 48);
AT(aop_ioc_call, size, 0);
AT(aop_ioc_call, flags, 4);
AT(aop_ioc_call, entries, 8);
AT(aop_ioc_call, entry_size, 16);
AT(aop_ioc_call, nr, 20);
AT(aop_ioc_call, deadline, 24);
AT(aop_ioc_call, need, 32);
AT(aop_ioc_call, called, 36);
AT(aop_ioc_call, count, 40);
AT(aop_ioc_call, pad, 44);

SIZE(aop_answer_entry, 48);
AT(aop_answer_entry, handle, 0);
AT(aop_answer_entry, what, 8);
AT(aop_answer_entry, ret, 12);
AT(aop_answer_entry, value, 16);
AT(aop_answer_entry, total, 24);
AT(aop_answer_entry, message, 32);
AT(aop_answer_entry, len, 40);
AT(aop_answer_entry, pad, 44);

SIZE(aop_taken_entry, 72);
AT(aop_taken_entry, handle, 0);
AT(aop_taken_entry, id, 8);
AT(aop_taken_entry, data, 16);
AT(aop_taken_entry, mask, 24);
AT(aop_taken_entry, flags, 28);
AT(aop_taken_entry, deadline, 32);
AT(aop_taken_entry, offset, 40);
AT(aop_taken_entry, len, 44);
AT(aop_taken_entry, room, 48);
AT(aop_taken_entry, fd, 52);
AT(aop_taken_entry, uid, 56);
AT(aop_taken_entry, gid, 60);
AT(aop_taken_entry, pid, 64);
AT(aop_taken_entry, pad, 68);

SIZE(aop_ioc_serve, 80);
AT(aop_ioc_serve, size, 0);
AT(aop_ioc_serve, flags, 4);
AT(aop_ioc_serve, answers, 8);
AT(aop_ioc_serve, answer_size, 16);
AT(aop_ioc_serve, nr_answers, 20);
AT(aop_ioc_serve, answered, 24);
AT(aop_ioc_serve, taken_size, 28);
AT(aop_ioc_serve, port, 32);
AT(aop_ioc_serve, taken, 40);
AT(aop_ioc_serve, nr, 48);
AT(aop_ioc_serve, count, 52);
AT(aop_ioc_serve, buffer, 56);
AT(aop_ioc_serve, buffer_size, 64);
AT(aop_ioc_serve, left, 68);
AT(aop_ioc_serve, deadline, 72);

SIZE(aop_message_entry, 48);
AT(aop_message_entry, handle, 0);
AT(aop_message_entry, buffer, 8);
AT(aop_message_entry, room, 16);
AT(aop_message_entry, len, 20);
AT(aop_message_entry, flags, 24);
AT(aop_message_entry, ret, 28);
AT(aop_message_entry, result, 32);
AT(aop_message_entry, state, 40);
AT(aop_message_entry, pad, 44);

SIZE(aop_delegate_entry, 24);
AT(aop_delegate_entry, handle, 0);
AT(aop_delegate_entry, port, 8);
AT(aop_delegate_entry, ret, 16);
AT(aop_delegate_entry, pad, 20);

SIZE(aop_ioc_name, 64);
AT(aop_ioc_name, size, 0);
AT(aop_ioc_name, flags, 4);
AT(aop_ioc_name, name, 8);
AT(aop_ioc_name, what, 16);
AT(aop_ioc_name, mode, 20);
AT(aop_ioc_name, handle, 24);
AT(aop_ioc_name, data, 32);
AT(aop_ioc_name, mask, 40);
AT(aop_ioc_name, pad, 44);
AT(aop_ioc_name, id, 48);
AT(aop_ioc_name, uid, 56);
AT(aop_ioc_name, pid, 60);

IS(AOP_FEATURE_PORT, 0x10);
IS(AOP_MAX_MESSAGE, 512);
IS(AOP_MAX_BACKLOG, 65536);
IS(AOP_NAME_SIZE, 64);
IS(AOP_CALL_DETACHED, 1);
IS(AOP_CALL_FD, 2);
IS(AOP_CALLS_REAP, 1);
IS(AOP_CALLS_WAIT, 2);
IS(AOP_MESSAGE_REQUEST, 1);
IS(AOP_MESSAGE_DETACH, 2);
IS(AOP_NAME_RESERVE, 0);
IS(AOP_NAME_BIND, 1);
IS(AOP_NAME_RELEASE, 2);
IS(AOP_NAME_FIND, 3);
IS(AOP_IOC_PORT, 0xb90e);
IS(AOP_IOC_CALL, 0xb90f);
IS(AOP_IOC_SERVE, 0xb910);
IS(AOP_IOC_MESSAGE, 0xb911);
IS(AOP_IOC_DELEGATE, 0xb912);
IS(AOP_IOC_NAME, 0xb913);

SIZE(aop_uring_wait, 16);
AT(aop_uring_wait, handle, 0);
AT(aop_uring_wait, mask, 8);
AT(aop_uring_wait, seq, 12);

SIZE(aop_uring_batch, 16);
AT(aop_uring_batch, entries, 0);
AT(aop_uring_batch, entry_size, 8);
AT(aop_uring_batch, nr, 12);

SIZE(aop_uring_unwait, 16);
AT(aop_uring_unwait, user_data, 0);
AT(aop_uring_unwait, pad, 8);

IS(AOP_FEATURE_GROUP, 0x1);
IS(AOP_FEATURE_SIGNAL_WAIT, 0x2);
IS(AOP_FEATURE_URING, 0x4);

IS(AOP_URING_WAIT, 0xb940);
IS(AOP_URING_SIGNAL, 0xb941);
IS(AOP_URING_CANCEL, 0xb942);
IS(AOP_URING_UNWAIT, 0xb943);

IS(AOP_IOC_FEATURES, 0xb900);
IS(AOP_IOC_SETUP, 0xb901);
IS(AOP_IOC_CREATE, 0xb902);
IS(AOP_IOC_SIGNAL, 0xb903);
IS(AOP_IOC_WAIT, 0xb904);
IS(AOP_IOC_CANCEL, 0xb905);
IS(AOP_IOC_EXPORT, 0xb906);
IS(AOP_IOC_ATTACH, 0xb907);
IS(AOP_IOC_DETACH, 0xb908);
IS(AOP_IOC_MODIFY, 0xb909);
IS(AOP_IOC_GROUP, 0xb90a);
IS(AOP_IOC_QUERY, 0xb90b);

IS(AOP_IOC_CREATE_ONE, 0xc048b902);
IS(AOP_IOC_SIGNAL_ONE, 0x4020b903);
IS(AOP_IOC_CANCEL_ONE, 0x4010b905);
IS(AOP_IOC_ATTACH_ONE, 0xc028b907);
IS(AOP_IOC_DETACH_ONE, 0x4010b908);
IS(AOP_IOC_MODIFY_ONE, 0x4018b909);

/* [from][to], written out by hand so that it can disagree with the header. */
static const bool legal[5][5] = {
	/*		  PENDING RUNNING DONE	 FAILED CANCELLED */
	/* PENDING */	{ true,	 true,	 true,	 true,	 true },
	/* RUNNING */	{ false, true,	 true,	 true,	 true },
	/* DONE */	{ false, false,	 false,	 false,	 false },
	/* FAILED */	{ false, false,	 false,	 false,	 false },
	/* CANCELLED */	{ false, false,	 false,	 false,	 false },
};

static const int64_t result_of[5] = { 0, 0, 42, -EIO, -ECANCELED };

FIXTURE(layout) {
	struct abi_ctx c;
};

FIXTURE_SETUP(layout)
{
	ASSERT_EQ(0, abi_open(&self->c, 64));
}

FIXTURE_TEARDOWN(layout)
{
	abi_close(&self->c);
}

/* M1 M2 */
TEST_F(layout, M2_the_header_has_the_table)
{
	unsigned int from, to;

	for (from = 0; from < 8; from++) {
		for (to = 0; to < 40; to++) {
			EXPECT_EQ(from < 5 && to < 5 && legal[from][to],
				  aop_move_is_legal(from, to))
				TH_LOG("from %u to %u", from, to);
		}
	}
	EXPECT_EQ(0, aop_move_is_legal(~0U, 0));
	EXPECT_EQ(0, aop_move_is_legal(0, ~0U));
}

TEST_F(layout, features)
{
	struct aop_ioc_features f = { .size = sizeof(f) };

	ASSERT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_FEATURES, &f));
	EXPECT_EQ(32, f.size);
	EXPECT_EQ(AOP_ABI, f.abi);
	/* Commands of io_uring depend on the kernel: see uring_cmd.c. */
	EXPECT_EQ(AOP_FEATURE_GROUP | AOP_FEATURE_SIGNAL_WAIT | AOP_FEATURE_IMPORT |
		  AOP_FEATURE_PORT,
		  f.features & ~AOP_FEATURE_URING);
	EXPECT_EQ(1024, f.max_entries);
	EXPECT_EQ(1048576, f.max_slots);
	EXPECT_EQ(128, f.max_links);
	EXPECT_EQ(8, f.max_depth);
}

/* What SETUP answers is what mmap then keeps; the rest cannot be known. */
TEST_F(layout, geometry)
{
	struct abi_ctx *c = &self->c, big;
	long page = sysconf(_SC_PAGESIZE);

	EXPECT_EQ(64, c->slots);
	EXPECT_EQ(page, c->head_size);
	EXPECT_GE(c->stride, sizeof(struct aop_status));
	EXPECT_EQ(0, c->stride % 64);
	EXPECT_EQ(0, c->slots_at % 64);
	EXPECT_GE(c->slots_at, sizeof(struct aop_ring) + 4 * c->slots);
	EXPECT_GE(c->area_size, c->slots_at + (uint64_t)c->slots * c->stride);
	EXPECT_EQ(0, c->area_size % page);
	EXPECT_EQ(0, c->area_offset % page);
	EXPECT_GE(c->area_offset, c->head_size);
	EXPECT_EQ(63, c->ring->mask);

	ASSERT_EQ(0, abi_open(&big, 100));
	EXPECT_EQ(128, big.slots);
	EXPECT_EQ(127, big.ring->mask);
	abi_close(&big);
	ASSERT_EQ(0, abi_open(&big, 1));
	EXPECT_GE(big.slots, 1);
	EXPECT_EQ(0, big.slots & (big.slots - 1));
	EXPECT_EQ(big.slots - 1, big.ring->mask);
	abi_close(&big);
	ASSERT_EQ(0, abi_open(&big, AOP_MAX_SLOTS));
	EXPECT_EQ(AOP_MAX_SLOTS, big.slots);
	abi_close(&big);
}

static uint64_t create_in(struct abi_ctx *c, unsigned int state)
{
	struct aop_create_entry e = {
		.mask = AOP_EV_FINAL, .mode = 0600, .state = state, .result = result_of[state],
	};

	return abi_create(c, &e) ? 0 : e.handle;
}

/* M5: in each state; M1: which of them are final. */
TEST_F(layout, M5_created_in_every_state)
{
	struct abi_ctx *c = &self->c;
	struct aop_status s;
	unsigned int state;
	uint64_t h;

	for (state = 0; state < 5; state++) {
		uint64_t before = abi_now();

		h = create_in(c, state);
		ASSERT_NE(0, h);
		ASSERT_EQ(0, abi_status(c, h, &s));
		EXPECT_EQ(state, s.state);
		EXPECT_EQ(state >= AOP_DONE ? AOP_F_OVER : 0, s.flags);
		EXPECT_EQ(0, s.pad);
		EXPECT_EQ(0, s.seq & 1);
		EXPECT_EQ(result_of[state], s.result);
		EXPECT_EQ(state == AOP_CANCELLED ? -ECANCELED : 0, s.reason);
		EXPECT_EQ(0, s.done);
		EXPECT_EQ(0, s.total);
		EXPECT_EQ(abi_id(c, h), s.id);
		EXPECT_NE(0, s.id);
		EXPECT_GE(s.time, before);
		EXPECT_LE(s.time, abi_now());
		EXPECT_EQ(state >= AOP_DONE ? AOP_EV_FINAL : 0, abi_look(c, h, AOP_EV_FINAL, 0));
		EXPECT_EQ(state >= AOP_DONE, abi_drain(c));

		/* The owner of what began final lets go of nothing. */
		EXPECT_EQ(0, abi_detach(c, h, AOP_MAY_DRIVE));
		ASSERT_EQ(0, abi_status(c, h, &s));
		if (state >= AOP_DONE) {
			EXPECT_EQ(state, s.state);
			EXPECT_EQ(result_of[state], s.result);
			EXPECT_EQ(AOP_F_OVER, s.flags);
			EXPECT_EQ(0, abi_drain(c));
		} else {
			EXPECT_EQ(AOP_FAILED, s.state);
			EXPECT_EQ(-EOWNERDEAD, s.result);
			EXPECT_EQ(AOP_F_SYSTEM | AOP_F_OVER, s.flags);
			EXPECT_EQ(1, abi_drain(c));
		}
		EXPECT_EQ(0, abi_detach(c, h, 0));
	}
}

/* What an owner says to move an operation to a state. */
static struct aop_signal_entry move_to(uint64_t handle, unsigned int from, unsigned int to)
{
	struct aop_signal_entry e = { .handle = handle };

	switch (to) {
	case AOP_PENDING:
		/* There is no way back to it; stay, with new details. */
		e.what = AOP_SIGNAL_PROGRESS;
		e.value = 3;
		e.total = 9;
		break;
	case AOP_RUNNING:
		if (from == AOP_RUNNING) {
			e.what = AOP_SIGNAL_PROGRESS;
			e.value = 3;
			e.total = 9;
		} else {
			e.what = AOP_SIGNAL_START;
		}
		break;
	case AOP_DONE:
		e.what = AOP_SIGNAL_DONE;
		e.value = result_of[to];
		break;
	case AOP_FAILED:
		e.what = AOP_SIGNAL_FAIL;
		e.value = result_of[to];
		break;
	case AOP_CANCELLED:
		e.what = AOP_SIGNAL_CANCELLED;
		e.value = result_of[to];
		break;
	}
	return e;
}

/* M2 M3: every pair of states. */
TEST_F(layout, M2_every_pair)
{
	struct abi_ctx *c = &self->c;
	struct aop_status before, after;
	struct aop_signal_entry e;
	unsigned int from, to;
	uint64_t h;
	int ret;

	for (from = 0; from < 5; from++) {
		for (to = 0; to < 5; to++) {
			if (from == AOP_RUNNING && to == AOP_PENDING)
				continue;	/* nobody can say it */
			h = create_in(c, from);
			ASSERT_NE(0, h);
			ASSERT_EQ(0, abi_status(c, h, &before));
			e = move_to(h, from, to);
			ret = abi_one(c, AOP_IOC_SIGNAL, &e);
			ASSERT_EQ(0, abi_status(c, h, &after));
			if (legal[from][to]) {
				EXPECT_EQ(0, ret) TH_LOG("from %u to %u", from, to);
				EXPECT_EQ(to, after.state);
				EXPECT_NE(before.seq, after.seq);
				EXPECT_EQ(0, after.seq & 1);
				EXPECT_EQ(result_of[to], after.result);
				EXPECT_GE(after.time, before.time);
				if (e.what == AOP_SIGNAL_PROGRESS) {
					EXPECT_EQ(3, after.done);
					EXPECT_EQ(9, after.total);
				}
			} else {
				EXPECT_EQ(-EALREADY, ret) TH_LOG("from %u to %u", from, to);
				EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)))
					TH_LOG("from %u to %u", from, to);
			}
			EXPECT_EQ(0, abi_detach(c, h, 0));
		}
	}
}

/* M2: the one move of the table that a signal could mean but does not allow. */
TEST_F(layout, M2_start_twice)
{
	struct abi_ctx *c = &self->c;
	uint64_t h = create_in(c, AOP_RUNNING);
	struct aop_status before, after;

	ASSERT_NE(0, h);
	ASSERT_EQ(0, abi_status(c, h, &before));
	EXPECT_EQ(-EINVAL, abi_start(c, h));
	ASSERT_EQ(0, abi_status(c, h, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_EQ(0, abi_done(c, h, 1));
}

/* M3: the second completer is told so, once; after that it is no owner any more. */
TEST_F(layout, M3_second_completer)
{
	static const uint32_t end[] = {
		AOP_SIGNAL_START, AOP_SIGNAL_DONE, AOP_SIGNAL_FAIL, AOP_SIGNAL_CANCELLED,
		AOP_SIGNAL_LET_GO,
	};
	struct abi_ctx *c = &self->c;
	struct aop_ioc_query q;
	struct aop_status s;
	unsigned int i;
	uint64_t h;
	int64_t v;

	for (i = 0; i < ARRAY_SIZE(end); i++) {
		v = end[i] == AOP_SIGNAL_FAIL ? -EIO : 0;
		h = abi_new(c, 0, 0);
		ASSERT_NE(0, h);
		/* Nobody has accepted it: the cancel is first. */
		ASSERT_EQ(AOP_STOPPED, abi_cancel(c, h, -EINTR));
		/* Progress of it is refused, and keeps the right. */
		EXPECT_EQ(-EALREADY, abi_progress(c, h, 1, 2));
		ASSERT_EQ(0, abi_query(c, h, &q));
		EXPECT_EQ(AOP_MAY_ALL, q.rights);
		EXPECT_EQ(0, q.status.flags & AOP_F_OVER);
		EXPECT_EQ(0, abi_look(c, h, AOP_EV_OVER, 0));

		EXPECT_EQ(end[i] == AOP_SIGNAL_LET_GO ? 0 : -EALREADY, abi_signal(c, h, end[i], v))
			TH_LOG("signal %u", end[i]);
		ASSERT_EQ(0, abi_query(c, h, &q));
		EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, q.rights) TH_LOG("signal %u", end[i]);
		EXPECT_NE(0, q.status.flags & AOP_F_OVER) TH_LOG("signal %u", end[i]);
		EXPECT_EQ(AOP_EV_OVER, abi_look(c, h, AOP_EV_OVER, 0));
		EXPECT_EQ(-EPERM, abi_signal(c, h, end[i], v));

		ASSERT_EQ(0, abi_status(c, h, &s));
		EXPECT_EQ(AOP_CANCELLED, s.state);
		EXPECT_EQ(-EINTR, s.reason);
		EXPECT_EQ(-EINTR, s.result);
		EXPECT_EQ(0, abi_detach(c, h, 0));
	}
}

/* M6 M7: an owner's own -EOWNERDEAD is not the system's. */
TEST_F(layout, M6_owner_dead_by_whom)
{
	struct abi_ctx *c = &self->c;
	uint64_t own = abi_new(c, 0, 0), sys = abi_new(c, 0, 0);
	struct aop_status s;

	ASSERT_NE(0, own);
	ASSERT_NE(0, sys);
	ASSERT_EQ(0, abi_signal(c, own, AOP_SIGNAL_FAIL, -EOWNERDEAD));
	ASSERT_EQ(0, abi_signal(c, sys, AOP_SIGNAL_LET_GO, 0));
	ASSERT_EQ(0, abi_status(c, own, &s));
	EXPECT_EQ(AOP_FAILED, s.state);
	EXPECT_EQ(-EOWNERDEAD, s.result);
	EXPECT_EQ(AOP_F_OVER, s.flags);
	ASSERT_EQ(0, abi_status(c, sys, &s));
	EXPECT_EQ(AOP_FAILED, s.state);
	EXPECT_EQ(-EOWNERDEAD, s.result);
	EXPECT_EQ(AOP_F_OVER | AOP_F_SYSTEM, s.flags);
}

/* Old and new programs: a struct may be longer if its tail is zero; see abi_invalid too. */
TEST_F(layout, K10_longer_struct)
{
	struct {
		struct aop_ioc_features f;
		uint64_t future[4];
	} x = { .f.size = sizeof(x) };

	EXPECT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_FEATURES, &x));
	EXPECT_EQ(1024, x.f.max_entries);
}

TEST_HARNESS_MAIN
