// SPDX-License-Identifier: GPL-2.0
/*
 * Cancelling has two sides, C1 to C6: a request with a reason, and an owner that
 * acknowledges, or ends it in another way, or is not there any more.
 */
#include "behave.h"

FIXTURE(cancel) {
	struct abi_ctx a;	/* the owner's */
	struct abi_ctx b;	/* a watcher's */
};

FIXTURE_SETUP(cancel)
{
	ASSERT_EQ(0, abi_open(&self->a, 128));
	ASSERT_EQ(0, abi_open(&self->b, 128));
}

FIXTURE_TEARDOWN(cancel)
{
	abi_close(&self->a);
	abi_close(&self->b);
}

/* ---- C1 ------------------------------------------------------------------ */

TEST_F(cancel, C1_pending_is_stopped)
{
	static const struct {
		int32_t said, kept;
	} reason[] = {
		{ 0, -ECANCELED }, { -1, -1 }, { -EINTR, -EINTR }, { INT32_MIN, INT32_MIN },
	};
	struct aop_status st;
	unsigned int i;
	uint64_t h, w;

	for (i = 0; i < ARRAY_SIZE(reason); i++) {
		h = abi_new(&self->a, 0, AOP_EV_FINAL);
		ASSERT_NE(0, h);
		w = watch(&self->a, h, &self->b, AOP_EV_FINAL);
		ASSERT_NE(0, w);
		EXPECT_EQ(AOP_STOPPED, abi_cancel(&self->b, w, reason[i].said));
		st = status_of(&self->a, h);
		EXPECT_EQ(AOP_CANCELLED, st.state);
		EXPECT_EQ(reason[i].kept, st.reason);
		EXPECT_EQ(reason[i].kept, st.result);
		EXPECT_TRUE(st.flags & AOP_F_ASKED);
		EXPECT_TRUE(reap_only(&self->a, h));
		EXPECT_TRUE(reap_only(&self->b, w));
	}
}

TEST_F(cancel, C1_running_is_asked)
{
	struct aop_status st;
	uint64_t h, w;

	h = new_running(&self->a, 0);
	ASSERT_NE(0, h);
	w = watch(&self->a, h, &self->b, 0);
	ASSERT_NE(0, w);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->b, w, -ENOLINK));
	st = status_of(&self->a, h);
	EXPECT_EQ(AOP_RUNNING, st.state);
	EXPECT_EQ(-ENOLINK, st.reason);
	EXPECT_EQ(AOP_F_ASKED, st.flags);
}

TEST_F(cancel, C1_final_is_too_late)
{
	static const struct {
		uint32_t what;
		int64_t value;
	} end[] = {
		{ AOP_SIGNAL_DONE, 4 }, { AOP_SIGNAL_FAIL, -EIO },
		{ AOP_SIGNAL_CANCELLED, -EINTR }, { AOP_SIGNAL_LET_GO, 0 },
	};
	struct aop_status was, is;
	unsigned int i;
	uint64_t h, w;

	for (i = 0; i < ARRAY_SIZE(end); i++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		w = watch(&self->a, h, &self->b, AOP_EV_ALL);
		ASSERT_NE(0, w);
		ASSERT_EQ(0, abi_signal(&self->a, h, end[i].what, end[i].value));
		abi_drain(&self->b);
		was = status_of(&self->b, w);
		EXPECT_EQ(AOP_TOO_LATE, abi_cancel(&self->b, w, -ENOLINK));
		EXPECT_EQ(AOP_TOO_LATE, abi_cancel(&self->a, h, 0));
		is = status_of(&self->b, w);
		EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)));
		EXPECT_EQ(0, abi_queued(&self->b));
	}
}

TEST_F(cancel, C1_idempotent)
{
	struct aop_status was, is;
	uint64_t h, w;
	int i;

	h = new_running(&self->a, AOP_EV_ASKED);
	ASSERT_NE(0, h);
	w = watch(&self->a, h, &self->b, 0);
	ASSERT_NE(0, w);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->b, w, -ENOLINK));
	EXPECT_TRUE(reap_only(&self->a, h));
	was = status_of(&self->a, h);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(AOP_ASKED, abi_cancel(i % 2 ? &self->a : &self->b, i % 2 ? h : w,
						-ENOLINK));
	is = status_of(&self->a, h);
	EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)));
	EXPECT_EQ(0, abi_queued(&self->a));

	h = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, h);
	EXPECT_EQ(AOP_STOPPED, abi_cancel(&self->a, h, -ENOLINK));
	EXPECT_EQ(AOP_TOO_LATE, abi_cancel(&self->a, h, -ENOLINK));
}

/* The reason is that of the first request; the others change nothing. */
TEST_F(cancel, C1_the_first_reason_counts)
{
	struct aop_status was, is;
	uint64_t h;

	h = new_running(&self->a, AOP_EV_ALL);
	ASSERT_NE(0, h);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->a, h, -ENOLINK));
	abi_drain(&self->a);
	was = status_of(&self->a, h);
	EXPECT_EQ(-ENOLINK, was.reason);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->a, h, -EINTR));
	is = status_of(&self->a, h);
	EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)));
	EXPECT_EQ(0, abi_queued(&self->a));
	EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_CANCELLED, 0));
	EXPECT_EQ(-ENOLINK, status_of(&self->a, h).result);
}

/* It does not wait for the owner, not even for one that is stopped. */
TEST_F(cancel, C1_never_blocks)
{
	struct aop_create_entry e = { .mode = 0600, .state = AOP_RUNNING };
	int sock[2], status;
	struct abi_ctx c;
	uint64_t id, w;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock));
	pid = spawn();
	if (!pid) {
		if (abi_open(&c, 8) || abi_create(&c, &e) || send_fd(sock[1], -1, e.id))
			_exit(1);
		raise(SIGSTOP);
		/* Continued: acknowledge what came meanwhile. */
		if (abi_wait_one(&c, e.handle, AOP_EV_ASKED, 0) != AOP_EV_ASKED ||
		    abi_signal(&c, e.handle, AOP_SIGNAL_CANCELLED, 0))
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(-ENOMSG, recv_fd(sock[0], &id, 0));
	ASSERT_EQ(0, abi_attach_id(&self->b, id, 0, 0, 0, &w));
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->b, w, -EINTR));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->b, w, -EINTR));
	ASSERT_EQ(0, kill(pid, SIGCONT));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, w, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->b, w, AOP_CANCELLED, -EINTR);
	EXPECT_EQ(0, reap_child(pid));
	close(sock[0]);
	close(sock[1]);
}

/* ---- C2 ------------------------------------------------------------------ */

TEST_F(cancel, C2_a_request_is_no_completion)
{
	struct waiter fin;
	struct pollfd p = { .events = POLLIN };
	uint64_t h, w;

	h = new_running(&self->a, AOP_EV_ASKED);
	ASSERT_NE(0, h);
	w = watch(&self->a, h, &self->b, AOP_EV_FINAL | AOP_EV_OVER);
	ASSERT_NE(0, w);
	p.fd = abi_export(&self->b, w, AOP_MAY_LOOK);
	ASSERT_GE(p.fd, 0);
	ASSERT_EQ(0, waiter_sleep(&fin, &self->b, w, AOP_EV_FINAL, 0));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->b, w, -EINTR));
	/* The owner is told, and nobody else of a completion. */
	EXPECT_TRUE(reap_only(&self->a, h));
	EXPECT_EQ(0, abi_queued(&self->b));
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_TRUE(until_asleep(fin.tid));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->b, w));
	EXPECT_EQ(0, abi_done(&self->a, h, 0));
	EXPECT_EQ(0, waiter_join(&fin));
	EXPECT_EQ(1, poll(&p, 1, 0));
	close(p.fd);
}

TEST_F(cancel, C2_the_flag_is_false_at_first_and_stays_when_set)
{
	unsigned int state;
	uint64_t h;

	for (state = AOP_PENDING; state < AOP_NR_STATES; state++) {
		struct aop_create_entry e = {
			.mode = 0600, .state = state,
			.result = state > AOP_DONE ? -EIO : 0,
		};

		ASSERT_EQ(0, abi_create(&self->a, &e));
		EXPECT_EQ(0, flags_of(&self->a, e.handle) & AOP_F_ASKED);
		EXPECT_EQ(0, abi_look(&self->a, e.handle, AOP_EV_ASKED, 0));
	}
	h = new_running(&self->a, 0);
	ASSERT_NE(0, h);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->a, h, 0));
	EXPECT_EQ(AOP_EV_ASKED, abi_look(&self->a, h, AOP_EV_ASKED, 0));
	EXPECT_EQ(0, abi_progress(&self->a, h, 1, 2));
	EXPECT_TRUE(flags_of(&self->a, h) & AOP_F_ASKED);
	EXPECT_EQ(AOP_EV_ASKED, abi_look(&self->a, h, AOP_EV_ASKED, 0));
	EXPECT_EQ(0, abi_done(&self->a, h, 0));
	EXPECT_TRUE(flags_of(&self->a, h) & AOP_F_ASKED);
	EXPECT_EQ(AOP_EV_ASKED, abi_look(&self->a, h, AOP_EV_ASKED, 0));
}

TEST_F(cancel, C2_an_owner_that_sleeps_is_told)
{
	struct waiter asked;
	uint64_t h, w;

	h = new_running(&self->a, 0);
	ASSERT_NE(0, h);
	w = watch(&self->a, h, &self->b, 0);
	ASSERT_NE(0, w);
	ASSERT_EQ(0, waiter_sleep(&asked, &self->a, h, AOP_EV_ASKED, 0));
	/* News of another kind is none for it. */
	EXPECT_EQ(0, abi_progress(&self->a, h, 1, 2));
	EXPECT_TRUE(until_asleep(asked.tid));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->b, w, 0));
	EXPECT_EQ(0, waiter_join(&asked));
	EXPECT_EQ(AOP_EV_ASKED, asked.one.events);
	EXPECT_EQ(-ECANCELED, status_of(&self->a, h).reason);
}

/* ---- C3 ------------------------------------------------------------------ */

TEST_F(cancel, C3_asked_and_yet_ended_otherwise)
{
	struct aop_status st;
	uint64_t h;
	int how;

	for (how = 0; how < 4; how++) {
		h = new_running(&self->a, 0);
		ASSERT_NE(0, h);
		EXPECT_EQ(AOP_ASKED, abi_cancel(&self->a, h, -EINTR));
		switch (how) {
		case 0:
			EXPECT_EQ(0, abi_done(&self->a, h, 8));
			break;
		case 1:
			EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_FAIL, -EIO));
			break;
		case 2:
			EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_LET_GO, 0));
			break;
		case 3:
			EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_CANCELLED, 0));
			break;
		}
		st = status_of(&self->a, h);
		EXPECT_EQ(how == 0 ? AOP_DONE : how == 3 ? AOP_CANCELLED : AOP_FAILED, st.state);
		EXPECT_EQ(how == 0 ? 8 : how == 1 ? -EIO : how == 2 ? -EOWNERDEAD : -EINTR,
			  st.result);
		EXPECT_EQ(-EINTR, st.reason);
		EXPECT_TRUE(st.flags & AOP_F_ASKED);
	}
}

#define RACES	300

struct canceller {
	struct race race;
	struct abi_ctx *c;
	uint64_t h;
	int answer;
	pthread_t thread;
};

static void *cancel_run(void *arg)
{
	struct canceller *r = arg;
	int i;

	for (i = 1; i <= RACES; i++) {
		race_join(&r->race, i);
		r->answer = abi_cancel(r->c, r->h, -EINTR);
		race_done(&r->race, i);
	}
	return NULL;
}

TEST_F(cancel, C3_the_end_and_a_cancel_race)
{
	struct canceller r = { .c = &self->b };
	int i, asked = 0, late = 0;
	struct aop_status st;
	uint64_t h;

	ASSERT_EQ(0, pthread_create(&r.thread, NULL, cancel_run, &r));
	for (i = 1; i <= RACES; i++) {
		h = new_running(&self->a, 0);
		ASSERT_NE(0, h);
		r.h = watch(&self->a, h, &self->b, 0);
		ASSERT_NE(0, r.h);
		race_begin(&r.race, i);
		ASSERT_EQ(0, abi_done(&self->a, h, i));
		race_over(&r.race, i);
		st = status_of(&self->b, r.h);
		EXPECT_EQ(AOP_DONE, st.state);
		EXPECT_EQ(i, st.result);
		/* What the answer says is what is seen. */
		ASSERT_TRUE(r.answer == AOP_ASKED || r.answer == AOP_TOO_LATE);
		EXPECT_EQ(r.answer == AOP_ASKED, !!(st.flags & AOP_F_ASKED));
		EXPECT_EQ(r.answer == AOP_ASKED ? -EINTR : 0, st.reason);
		asked += r.answer == AOP_ASKED;
		late += r.answer == AOP_TOO_LATE;
		race_even_out(&r.race, r.answer == AOP_ASKED);
		abi_detach(&self->a, h, 0);
		abi_detach(&self->b, r.h, 0);
	}
	pthread_join(r.thread, NULL);
	TH_LOG("asked %d, too late %d", asked, late);
}

TEST_F(cancel, C3_acceptance_and_a_cancel_race)
{
	struct canceller r = { .c = &self->b };
	int i, ret, accepted = 0, stopped = 0;
	struct aop_status st;
	uint64_t h;

	ASSERT_EQ(0, pthread_create(&r.thread, NULL, cancel_run, &r));
	for (i = 1; i <= RACES; i++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		r.h = watch(&self->a, h, &self->b, 0);
		ASSERT_NE(0, r.h);
		race_begin(&r.race, i);
		ret = abi_start(&self->a, h);
		race_over(&r.race, i);
		st = status_of(&self->b, r.h);
		EXPECT_TRUE(st.flags & AOP_F_ASKED);
		EXPECT_EQ(-EINTR, st.reason);
		if (ret) {
			EXPECT_EQ(-EALREADY, ret);
			EXPECT_EQ(AOP_STOPPED, r.answer);
			EXPECT_EQ(AOP_CANCELLED, st.state);
			EXPECT_TRUE(st.flags & AOP_F_OVER);
			stopped++;
		} else {
			EXPECT_EQ(AOP_ASKED, r.answer);
			EXPECT_EQ(AOP_RUNNING, st.state);
			accepted++;
		}
		race_even_out(&r.race, ret);
		abi_detach(&self->a, h, 0);
		abi_detach(&self->b, r.h, 0);
	}
	pthread_join(r.thread, NULL);
	TH_LOG("accepted %d, stopped %d", accepted, stopped);
}

/* ---- C4 ------------------------------------------------------------------ */

TEST_F(cancel, C4_acknowledged_with_the_given_reason_or_its_own)
{
	static const struct {
		int asked, said, kept;
	} c[] = {
		{ -ENOLINK, 0, -ENOLINK }, { -ENOLINK, -EPIPE, -EPIPE },
		{ 0, 0, -ECANCELED }, { 0, -EPIPE, -EPIPE },
		/* The owner may also give up by itself. */
		{ 1, 0, -ECANCELED }, { 1, -EPIPE, -EPIPE },
	};
	struct aop_status st;
	unsigned int i;
	uint64_t h;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		h = new_running(&self->a, 0);
		ASSERT_NE(0, h);
		if (c[i].asked <= 0)
			ASSERT_EQ(AOP_ASKED, abi_cancel(&self->a, h, c[i].asked));
		EXPECT_EQ(0, abi_signal(&self->a, h, AOP_SIGNAL_CANCELLED, c[i].said));
		st = status_of(&self->a, h);
		EXPECT_EQ(AOP_CANCELLED, st.state);
		EXPECT_EQ(c[i].kept, st.reason);
		EXPECT_EQ(c[i].kept, st.result);
		EXPECT_EQ(c[i].asked <= 0, !!(st.flags & AOP_F_ASKED));
		EXPECT_EQ(0, st.flags & AOP_F_SYSTEM);
	}
}

/* ---- C5 ------------------------------------------------------------------ */

/* An operation in @a that only drives there, watched by *@w in @b. */
static uint64_t split(struct abi_ctx *a, struct abi_ctx *b, uint32_t flags, uint64_t *w)
{
	struct aop_create_entry e = {
		.mode = 0600, .flags = flags, .state = AOP_RUNNING, .mask = AOP_EV_ORPHAN,
	};

	if (abi_create(a, &e))
		return 0;
	*w = watch(a, e.handle, b, 0);
	if (!*w || abi_detach(a, e.handle, AOP_MAY_LOOK | AOP_MAY_CANCEL))
		return 0;
	return e.handle;
}

TEST_F(cancel, C5_the_owner_is_told_when_the_last_watcher_leaves)
{
	struct waiter orphan;
	uint64_t h, w, w2;
	uint32_t seq;

	h = split(&self->a, &self->b, 0, &w);
	ASSERT_NE(0, h);
	w2 = watch(&self->b, w, &self->b, 0);
	ASSERT_NE(0, w2);
	EXPECT_EQ(2, watchers_of(&self->a, h));
	ASSERT_EQ(0, waiter_sleep(&orphan, &self->a, h, AOP_EV_ORPHAN, 0));
	seq = seq_of(&self->a, h);
	EXPECT_EQ(0, abi_detach(&self->b, w, 0));
	EXPECT_EQ(1, watchers_of(&self->a, h));
	EXPECT_EQ(0, flags_of(&self->a, h) & AOP_F_ORPHAN);
	EXPECT_EQ(seq, seq_of(&self->a, h));
	EXPECT_EQ(0, abi_queued(&self->a));
	EXPECT_TRUE(until_asleep(orphan.tid));
	EXPECT_EQ(0, abi_detach(&self->b, w2, AOP_MAY_LOOK));
	EXPECT_EQ(0, watchers_of(&self->a, h));
	EXPECT_EQ(AOP_F_ORPHAN, flags_of(&self->a, h) & AOP_F_ORPHAN);
	EXPECT_NE(seq, seq_of(&self->a, h));
	EXPECT_TRUE(reap_only(&self->a, h));
	EXPECT_EQ(0, waiter_join(&orphan));
	EXPECT_EQ(AOP_EV_ORPHAN, orphan.one.events);
	/* It goes on as long as its owner wishes. */
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->a, h));
	EXPECT_EQ(0, abi_done(&self->a, h, 0));
}

TEST_F(cancel, C5_a_later_watcher_clears_it)
{
	uint64_t h, w, id;
	int i;

	h = split(&self->a, &self->b, 0, &w);
	ASSERT_NE(0, h);
	id = abi_id(&self->b, w);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, abi_detach(&self->b, w, 0));
		EXPECT_TRUE(reap_only(&self->a, h));
		EXPECT_TRUE(flags_of(&self->a, h) & AOP_F_ORPHAN);
		ASSERT_EQ(0, abi_attach_id(&self->b, id, AOP_MAY_LOOK, 0, 0, &w));
		EXPECT_TRUE(reap_only(&self->a, h));
		EXPECT_EQ(0, flags_of(&self->a, h) & AOP_F_ORPHAN);
		EXPECT_EQ(0, abi_look(&self->a, h, AOP_EV_ORPHAN, 0));
	}
}

TEST_F(cancel, C5_detached_opts_out)
{
	uint64_t h, w;
	uint32_t seq;

	h = split(&self->a, &self->b, AOP_CREATE_DETACHED, &w);
	ASSERT_NE(0, h);
	seq = seq_of(&self->a, h);
	EXPECT_EQ(0, abi_detach(&self->b, w, 0));
	EXPECT_EQ(0, watchers_of(&self->a, h));
	EXPECT_EQ(seq, seq_of(&self->a, h));
	EXPECT_EQ(0, flags_of(&self->a, h) & AOP_F_ORPHAN);
	EXPECT_EQ(0, abi_queued(&self->a));
}

TEST_F(cancel, C5_whatever_kind_of_watcher_was_the_last)
{
	uint64_t h, w, g, id;
	int fd, how, sock[2];
	pid_t pid;

	for (how = 0; how < 4; how++) {
		h = split(&self->a, &self->b, 0, &w);
		ASSERT_NE(0, h);
		switch (how) {
		case 0:			/* a descriptor */
			fd = abi_export(&self->b, w, AOP_MAY_LOOK);
			ASSERT_GE(fd, 0);
			EXPECT_EQ(0, abi_detach(&self->b, w, 0));
			EXPECT_EQ(0, flags_of(&self->a, h) & AOP_F_ORPHAN);
			close(fd);
			break;
		case 1:			/* a context */
			abi_close(&self->b);
			ASSERT_EQ(0, abi_open(&self->b, 128));
			break;
		case 2:			/* a process */
			id = abi_id(&self->b, w);
			ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock));
			pid = spawn();
			if (!pid) {
				struct abi_ctx c;

				if (abi_open(&c, 4) ||
				    abi_attach_id(&c, id, AOP_MAY_LOOK, 0, 0, &w) ||
				    send_fd(sock[1], -1, 1))
					_exit(1);
				pause();
			}
			ASSERT_EQ(-ENOMSG, recv_fd(sock[0], &id, 0));
			EXPECT_EQ(0, abi_detach(&self->b, w, 0));
			EXPECT_EQ(0, flags_of(&self->a, h) & AOP_F_ORPHAN);
			kill(pid, SIGKILL);
			EXPECT_EQ(128 + SIGKILL, reap_child(pid));
			close(sock[0]);
			close(sock[1]);
			break;
		case 3:			/* a group */
			ASSERT_EQ(0, abi_group(&self->b, &w, 1, 1, 0, 0, &g));
			EXPECT_EQ(0, abi_detach(&self->b, w, 0));
			EXPECT_EQ(0, flags_of(&self->a, h) & AOP_F_ORPHAN);
			EXPECT_EQ(0, abi_detach(&self->b, g, 0));
			break;
		}
		EXPECT_EQ(AOP_EV_ORPHAN, abi_wait_one(&self->a, h, AOP_EV_ORPHAN, 0));
		EXPECT_EQ(0, abi_done(&self->a, h, 0));
		abi_drain(&self->a);
	}
}

/* Abandoned is nothing that happens to what has ended. */
TEST_F(cancel, C5_not_after_the_end)
{
	struct aop_status was, is;
	uint64_t h, w;

	h = abi_new(&self->a, 0, AOP_EV_ORPHAN);
	ASSERT_NE(0, h);
	w = watch(&self->a, h, &self->b, 0);
	ASSERT_NE(0, w);
	EXPECT_EQ(0, abi_detach(&self->a, h, AOP_MAY_LOOK | AOP_MAY_CANCEL));
	EXPECT_EQ(AOP_STOPPED, abi_cancel(&self->b, w, 0));
	was = status_of(&self->a, h);
	EXPECT_EQ(0, abi_detach(&self->b, w, 0));
	EXPECT_EQ(0, watchers_of(&self->a, h));
	is = status_of(&self->a, h);
	EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)));
	EXPECT_EQ(0, abi_queued(&self->a));
}

/* ---- C6 ------------------------------------------------------------------ */

TEST_F(cancel, C6_a_group_hands_it_to_its_members)
{
	uint64_t own[4], see[4], g;
	struct aop_wait_entry e[2];
	int i;

	for (i = 0; i < 4; i++) {
		own[i] = i % 2 ? new_running(&self->a, AOP_EV_ASKED) : abi_new(&self->a, 0, 0);
		ASSERT_NE(0, own[i]);
		see[i] = watch(&self->a, own[i], &self->b, 0);
		ASSERT_NE(0, see[i]);
	}
	ASSERT_EQ(0, abi_done(&self->a, own[2], 5));
	ASSERT_EQ(0, abi_group(&self->b, see, 4, 4, 0, AOP_EV_FINAL, &g));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->b, g, -ENOLINK));
	/* The one that nobody accepted is stopped, the others are asked. */
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->a, own[0], AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->a, own[0], AOP_CANCELLED, -ENOLINK);
	e[0] = (struct aop_wait_entry) { .handle = own[1], .mask = AOP_EV_ASKED };
	e[1] = (struct aop_wait_entry) { .handle = own[3], .mask = AOP_EV_ASKED };
	EXPECT_EQ(2, abi_wait(&self->a, e, 2, 2, AOP_FOREVER_NS));
	EXPECT_EQ(-ENOLINK, status_of(&self->a, own[1]).reason);
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->a, own[1]));
	EXPECT_ENDED(&self->a, own[2], AOP_DONE, 5);
	EXPECT_EQ(0, flags_of(&self->a, own[2]) & AOP_F_ASKED);
	/* It has no completion of its own: that is up to them. */
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->b, g));
	EXPECT_EQ(AOP_F_ASKED, flags_of(&self->b, g));
	EXPECT_EQ(-ENOLINK, status_of(&self->b, g).reason);
	EXPECT_EQ(0, abi_signal(&self->a, own[1], AOP_SIGNAL_CANCELLED, 0));
	EXPECT_EQ(0, abi_done(&self->a, own[3], 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, g, AOP_EV_FINAL, 0));
}

TEST_F(cancel, C6_never_upward)
{
	uint64_t own[3], in[2], inner, outer;
	int i;

	for (i = 0; i < 3; i++) {
		own[i] = new_running(&self->a, 0);
		ASSERT_NE(0, own[i]);
	}
	ASSERT_EQ(0, abi_group(&self->a, own, 2, 2, 0, 0, &inner));
	in[0] = inner;
	in[1] = own[2];
	ASSERT_EQ(0, abi_group(&self->a, in, 2, 2, 0, 0, &outer));
	/* A member, then the inner group: what is above and beside is not asked. */
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->a, own[0], 0));
	EXPECT_EQ(0, abi_look(&self->a, inner, AOP_EV_ASKED, 0));
	EXPECT_EQ(0, abi_look(&self->a, own[1], AOP_EV_ASKED, 0));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->a, inner, -EPIPE));
	EXPECT_EQ(AOP_EV_ASKED, abi_wait_one(&self->a, own[1], AOP_EV_ASKED, 0));
	EXPECT_EQ(0, abi_look(&self->a, outer, AOP_EV_ASKED, 0));
	EXPECT_EQ(0, abi_look(&self->a, own[2], AOP_EV_ASKED, 0));
	/* And downward through all levels. */
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->a, outer, -ENOLINK));
	EXPECT_EQ(AOP_EV_ASKED, abi_wait_one(&self->a, own[2], AOP_EV_ASKED, 0));
	EXPECT_EQ(-ENOLINK, status_of(&self->a, own[2]).reason);
	EXPECT_EQ(-EPIPE, status_of(&self->a, own[1]).reason);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, abi_signal(&self->a, own[i], AOP_SIGNAL_CANCELLED, 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->a, outer, AOP_EV_FINAL, 0));
}

TEST_F(cancel, C6_through_two_levels)
{
	uint64_t own, inner, outer;

	own = new_running(&self->a, 0);
	ASSERT_NE(0, own);
	ASSERT_EQ(0, abi_group(&self->a, &own, 1, 1, 0, 0, &inner));
	ASSERT_EQ(0, abi_group(&self->a, &inner, 1, 1, 0, 0, &outer));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->a, outer, -ENOLINK));
	EXPECT_EQ(AOP_EV_ASKED, abi_wait_one(&self->a, own, AOP_EV_ASKED, 0));
	EXPECT_EQ(-ENOLINK, status_of(&self->a, own).reason);
	EXPECT_EQ(AOP_EV_ASKED, abi_look(&self->a, inner, AOP_EV_ASKED, 0));
}

/* A group is no way around a missing right: looking is enough to be a member. */
TEST_F(cancel, C6_only_members_that_its_maker_may_cancel)
{
	uint64_t own[2], see[2], g;
	int i;

	for (i = 0; i < 2; i++) {
		own[i] = new_running(&self->a, 0);
		ASSERT_NE(0, own[i]);
		see[i] = share(&self->a, own[i], &self->b,
			       i ? AOP_MAY_LOOK | AOP_MAY_CANCEL : AOP_MAY_LOOK, 0);
		ASSERT_NE(0, see[i]);
	}
	EXPECT_EQ(-EPERM, abi_cancel(&self->b, see[0], 0));
	ASSERT_EQ(0, abi_group(&self->b, see, 2, 2, 0, 0, &g));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->b, g, 0));
	EXPECT_EQ(AOP_EV_ASKED, abi_wait_one(&self->a, own[1], AOP_EV_ASKED, 0));
	EXPECT_EQ(0, flags_of(&self->a, own[0]) & AOP_F_ASKED);
}

TEST_HARNESS_MAIN
