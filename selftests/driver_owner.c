// SPDX-License-Identifier: GPL-2.0
/*
 * A driver as owner: K5 from every context, M6, C1 to C5, M9.  The driver is
 * kmod/test/aop_selftest.c, which does what it is told.
 */
#include "driver_fixture.h"
#include "perm.h"

#include <sys/stat.h>

static const uint32_t contexts[] = { SELFTEST_PROCESS, SELFTEST_SOFTIRQ, SELFTEST_HARDIRQ };

static const struct {
	uint32_t what;
	int64_t value;
	unsigned int state;
} ends[] = {
	{ SELFTEST_DONE, 77, AOP_DONE },
	{ SELFTEST_FAIL, -EBADMSG, AOP_FAILED },
	{ SELFTEST_CANCELLED, -EINTR, AOP_CANCELLED },
};

TEST_F(driver, K5_M2_drives_from_every_context)
{
	struct aop_status st;
	unsigned int i, k;
	uint64_t h;
	int fd;

	for (i = 0; i < ARRAY_SIZE(contexts); i++) {
		if (contexts[i] == SELFTEST_HARDIRQ && is_rt())
			continue;
		for (k = 0; k < ARRAY_SIZE(ends); k++) {
			struct selftest_call c = {
				.what = SELFTEST_PROGRESS, .context = contexts[i], .index = 1,
				.value = 3, .total = 9,
			};

			fd = driver_op(self->dev, 1, 0);
			ASSERT_GE(fd, 0);
			ASSERT_EQ(0, abi_attach_fd(&self->c, fd, 0, 0, 0, &h));
			EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, rights_of(&self->c, h));
			EXPECT_EQ(AOP_PENDING, abi_state(&self->c, h));
			EXPECT_EQ(0, drive_in(self->dev, contexts[i], 1, SELFTEST_START, 0));
			EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, h));
			EXPECT_EQ(-EINVAL, drive_in(self->dev, contexts[i], 1, SELFTEST_START, 0));
			EXPECT_EQ(0, call(self->dev, &c));
			EXPECT_EQ(3, status_of(&self->c, h).done);
			EXPECT_EQ(9, status_of(&self->c, h).total);
			EXPECT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
			EXPECT_EQ(-1, read(fd, &st, sizeof(st)));
			EXPECT_EQ(EAGAIN, errno);
			EXPECT_EQ(0, drive_in(self->dev, contexts[i], 1, ends[k].what,
					      ends[k].value));
			EXPECT_ENDED(&self->c, h, ends[k].state, ends[k].value);
			EXPECT_EQ(AOP_F_OVER, flags_of(&self->c, h));
			EXPECT_EQ(sizeof(st), read(fd, &st, sizeof(st)));
			EXPECT_EQ(ends[k].value, st.result);
			EXPECT_EQ(1, told(self->dev, 1).releases);
			EXPECT_EQ(0, told(self->dev, 1).cancels);
			EXPECT_EQ(0, abi_detach(&self->c, h, 0));
			close(fd);
		}
	}
}

TEST_F(driver, M6_let_go_is_not_the_same_as_failing_with_that_errno)
{
	uint64_t h = driver_handle(&self->c, self->dev, 0, 0);

	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_LET_GO, 0));
	EXPECT_OWNER_DEAD(&self->c, h);
	h = driver_handle(&self->c, self->dev, 0, 0);
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_FAIL, -EOWNERDEAD));
	EXPECT_ENDED(&self->c, h, AOP_FAILED, -EOWNERDEAD);
	EXPECT_EQ(AOP_F_OVER, flags_of(&self->c, h));
}

TEST_F(driver, C1_cancel_of_a_pending_op_ends_it_and_the_driver_is_told)
{
	uint64_t h = driver_handle(&self->c, self->dev, 0, 0);

	EXPECT_EQ(AOP_STOPPED, abi_cancel(&self->c, h, -EINTR));
	EXPECT_ENDED(&self->c, h, AOP_CANCELLED, -EINTR);
	EXPECT_EQ(AOP_EV_FINAL, until_told(self->dev, 0, 1, 0).why & AOP_EV_FINAL);
	/* M10: the driver has not let go. */
	EXPECT_EQ(0, flags_of(&self->c, h) & AOP_F_OVER);
	EXPECT_EQ(0, told(self->dev, 0).releases);
	EXPECT_EQ(-EALREADY, drive(self->dev, 0, SELFTEST_START, 0));
	EXPECT_EQ(-EALREADY, drive(self->dev, 0, SELFTEST_DONE, 4));
	EXPECT_EQ(AOP_F_OVER, flags_of(&self->c, h) & AOP_F_OVER);
	EXPECT_ENDED(&self->c, h, AOP_CANCELLED, -EINTR);
	EXPECT_EQ(1, until_told(self->dev, 0, 1, 1).releases);
}

TEST_F(driver, C2_C4_cancel_of_a_running_op_is_a_request)
{
	uint64_t h = driver_handle(&self->c, self->dev, 0, SELFTEST_RUNNING);

	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_ASKED, 0));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, h, -ENOLINK));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, h));
	EXPECT_EQ(AOP_EV_ASKED, until_told(self->dev, 0, 1, 0).why);
	EXPECT_EQ(-ENOLINK, drive(self->dev, 0, SELFTEST_ASKED, 0));
	/* Idempotent: nobody is told again, and the first reason is kept. */
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, h, -EINTR));
	EXPECT_EQ(-ENOLINK, drive(self->dev, 0, SELFTEST_ASKED, 0));
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_CANCELLED, 0));
	EXPECT_ENDED(&self->c, h, AOP_CANCELLED, -ENOLINK);
	EXPECT_EQ(1, until_told(self->dev, 0, 1, 1).cancels);

	/* A reason of its own; and by its own cancel callback. */
	h = driver_handle(&self->c, self->dev, 1, SELFTEST_RUNNING);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, h, -ENOLINK));
	EXPECT_EQ(0, drive(self->dev, 1, SELFTEST_CANCELLED, -EIDRM));
	EXPECT_ENDED(&self->c, h, AOP_CANCELLED, -EIDRM);
	h = driver_handle(&self->c, self->dev, 2, SELFTEST_RUNNING | SELFTEST_ENDS);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, h, -ENOLINK));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, h, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->c, h, AOP_CANCELLED, -ENOLINK);
	EXPECT_EQ(1, until_told(self->dev, 2, 1, 1).releases);
}

TEST_F(driver, C3_done_before_and_after_the_request)
{
	uint64_t h = driver_handle(&self->c, self->dev, 0, SELFTEST_RUNNING);

	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_DONE, 1));
	EXPECT_EQ(AOP_TOO_LATE, abi_cancel(&self->c, h, 0));
	EXPECT_EQ(0, told(self->dev, 0).cancels);
	h = driver_handle(&self->c, self->dev, 1, SELFTEST_RUNNING);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, h, 0));
	EXPECT_EQ(0, drive(self->dev, 1, SELFTEST_DONE, 1));
	EXPECT_ENDED(&self->c, h, AOP_DONE, 1);
}

/* The private data of the driver goes after the last callback, wherever the end came. */
TEST_F(driver, K5_C2_release_waits_for_the_cancel_callback)
{
	unsigned int i;
	uint64_t h;

	for (i = 0; i < ARRAY_SIZE(contexts); i++) {
		if (contexts[i] == SELFTEST_HARDIRQ && is_rt())
			continue;
		EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_GATE, 0));
		h = driver_handle(&self->c, self->dev, i, SELFTEST_RUNNING | SELFTEST_GATED);
		EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, h, 0));
		until_at_gate(self->dev);
		/* While it runs the module stays. */
		EXPECT_EQ(-EWOULDBLOCK, driver_unload(MODULE));
		EXPECT_EQ(0, drive_in(self->dev, contexts[i], i, SELFTEST_DONE, 5));
		EXPECT_ENDED(&self->c, h, AOP_DONE, 5);
		EXPECT_EQ(AOP_F_OVER, flags_of(&self->c, h) & AOP_F_OVER);
		EXPECT_EQ(0, told(self->dev, i).releases);
		EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_GATE, 1));
		EXPECT_EQ(1, until_told(self->dev, i, 1, 1).releases);
		EXPECT_EQ(1, told(self->dev, i).cancels);
	}
}

/* What comes while the driver is being told is told by a second call, not forgotten. */
TEST_F(driver, C2_C5_another_reason_while_the_callback_runs)
{
	int fd = driver_op(self->dev, 0, SELFTEST_RUNNING | SELFTEST_GATED);
	struct selftest_call ask = { .what = SELFTEST_CANCEL, .fd = fd };

	EXPECT_EQ(AOP_ASKED, call(self->dev, &ask));
	until_at_gate(self->dev);
	EXPECT_EQ(AOP_EV_ASKED, told(self->dev, 0).why);
	close(fd);
	EXPECT_EQ(1, told(self->dev, 0).cancels);
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_GATE, 1));
	EXPECT_EQ(AOP_EV_ASKED | AOP_EV_ORPHAN, until_told(self->dev, 0, 2, 0).why);
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_CANCELLED, 0));
	EXPECT_EQ(2, until_told(self->dev, 0, 2, 1).cancels);
}

TEST_F(driver, C5_the_driver_is_told_when_nobody_looks_any_more)
{
	int fd = driver_op(self->dev, 0, SELFTEST_RUNNING);
	int detached = driver_op(self->dev, 1, SELFTEST_RUNNING | SELFTEST_DETACHED);

	close(detached);
	close(fd);
	EXPECT_EQ(AOP_EV_ORPHAN, until_told(self->dev, 0, 1, 0).why);
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_CANCELLED, 0));
	EXPECT_EQ(0, told(self->dev, 1).cancels);
	EXPECT_EQ(0, drive(self->dev, 1, SELFTEST_DONE, 0));
}

TEST_F(driver, M9_M10_a_deadline_ends_it_and_the_driver_lets_go_later)
{
	struct selftest_call c = {
		.what = SELFTEST_CREATE, .flags = SELFTEST_RUNNING, .value = abi_now() + MSEC_NS,
	};
	struct aop_status st;
	int fd = call(self->dev, &c);
	uint64_t h;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(sizeof(st), read(fd, &st, sizeof(st)));
	EXPECT_EQ(AOP_FAILED, st.state);
	EXPECT_EQ(AOP_F_SYSTEM, st.flags);
	EXPECT_EQ(-ETIMEDOUT, st.result);
	EXPECT_EQ(AOP_EV_FINAL, until_told(self->dev, 0, 1, 0).why);
	EXPECT_EQ(0, told(self->dev, 0).releases);
	ASSERT_EQ(0, abi_attach_fd(&self->c, fd, 0, 0, 0, &h));
	EXPECT_EQ(-EALREADY, drive(self->dev, 0, SELFTEST_DONE, 4));
	EXPECT_EQ(AOP_F_SYSTEM | AOP_F_OVER, flags_of(&self->c, h));
	EXPECT_EQ(1, until_told(self->dev, 0, 1, 1).releases);
	close(fd);
}

/* ---- races ---------------------------------------------------------------- */

struct canceller {
	struct race race;
	struct abi_ctx *c;
	uint64_t h;
	int ret;
	int rounds;
};

static void *cancel_rounds(void *arg)
{
	struct canceller *t = arg;
	int i;

	for (i = 1; i <= t->rounds; i++) {
		race_join(&t->race, i);
		t->ret = abi_cancel(t->c, t->h, 0);
		race_done(&t->race, i);
	}
	return NULL;
}

TEST_F(driver, K5_C3_a_request_races_with_the_end_from_an_interrupt)
{
	uint32_t context = is_rt() ? SELFTEST_SOFTIRQ : SELFTEST_HARDIRQ;
	struct canceller t = { .c = &self->c, .rounds = 400 };
	int i, early = 0, late = 0, stopped = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, cancel_rounds, &t));
	for (i = 1; i <= t.rounds; i++) {
		bool running = i % 2;
		int ret;

		/* All that the driver is told, it answers by ending the op. */
		t.h = driver_handle(&self->c, self->dev, 0, running ? SELFTEST_RUNNING : 0);
		race_begin(&t.race, i);
		ret = drive_in(self->dev, context, 0, SELFTEST_DONE, i);
		race_over(&t.race, i);
		switch (t.ret) {
		case AOP_TOO_LATE:
			late++;
			EXPECT_EQ(0, ret);
			EXPECT_EQ(0, told(self->dev, 0).cancels);
			break;
		case AOP_ASKED:
			early++;
			EXPECT_EQ(0, ret);
			EXPECT_TRUE(running);
			break;
		case AOP_STOPPED:
			stopped++;
			EXPECT_EQ(-EALREADY, ret);
			EXPECT_FALSE(running);
			break;
		default:
			EXPECT_EQ(0, t.ret);
		}
		EXPECT_EQ(1, until_told(self->dev, 0, 0, 1).releases);
		EXPECT_EQ(0, abi_detach(&self->c, t.h, 0));
		race_even_out(&t.race, t.ret != AOP_TOO_LATE);
	}
	pthread_join(thread, NULL);
	EXPECT_LT(0, early + stopped);
	EXPECT_LT(0, late);
}

/* ---- processes that die ----------------------------------------------------- */

TEST_F(driver, K9_SIGKILL_of_who_waits_for_a_drivers_op)
{
	int fd = driver_op(self->dev, 0, SELFTEST_RUNNING);
	struct aop_status st;
	pid_t pid = spawn();

	if (!pid)
		_exit(read(fd, &st, sizeof(st)) != sizeof(st));
	ASSERT_TRUE(until_asleep_in(pid, SYS_read));
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, reap_child(pid));
	EXPECT_EQ(0, told(self->dev, 0).cancels);
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_DONE, 6));
	EXPECT_EQ(sizeof(st), read(fd, &st, sizeof(st)));
	EXPECT_EQ(6, st.result);
	close(fd);
}

TEST_F(driver, K9_C2_SIGKILL_of_who_asked_to_cancel)
{
	int fd = driver_op(self->dev, 0, SELFTEST_RUNNING), ready[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	pid = spawn();
	if (!pid) {
		struct abi_ctx c;
		uint64_t h;

		if (abi_open(&c, 8) || abi_attach_fd(&c, fd, 0, 0, 0, &h) ||
		    abi_cancel(&c, h, -EDOM) != AOP_ASKED || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, reap_child(pid));
	/* The request stands. */
	EXPECT_EQ(AOP_EV_ASKED, until_told(self->dev, 0, 1, 0).why);
	EXPECT_EQ(-EDOM, drive(self->dev, 0, SELFTEST_ASKED, 0));
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_CANCELLED, 0));
	close(fd);
	close(ready[0]);
	close(ready[1]);
}

/* ---- whose they are -------------------------------------------------------------- */

/*
 * The credentials are those that the source was made with: here of who opened the device,
 * whoever calls it later.
 */
TEST_F(driver, K7_the_op_is_of_whom_the_driver_says)
{
	struct selftest_call c = { .what = SELFTEST_CREATE, .total = 4711 };
	struct aop_ioc_query q;
	uint64_t h, id;
	int fd, dev;

	ASSERT_EQ(0, chmod(AOP_SELFTEST_DEVICE, 0666));
	ASSERT_EQ(0, setegid(4321));
	ASSERT_EQ(0, seteuid(1234));
	dev = driver_open(AOP_SELFTEST_DEVICE);
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, setegid(0));
	ASSERT_GE(dev, 0);
	/* It makes another source, which is of the same user. */
	EXPECT_EQ(0, drive(dev, 0, SELFTEST_DESTROY, 0));
	fd = call(dev, &c);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, abi_attach_fd(&self->c, fd, 0, 0, 0, &h));
	ASSERT_EQ(0, abi_query(&self->c, h, &q));
	EXPECT_EQ(1234, q.uid);
	EXPECT_EQ(4321, q.gid);
	EXPECT_EQ(4711, q.parent);
	EXPECT_EQ(0600, q.mode);
	EXPECT_STREQ("selftest", q.label);
	id = q.id;
	/* By id: its user may, others may not. */
	IN_CHILD() {
		struct abi_ctx mine;

		ASSERT_EQ(0, abi_open(&mine, 8));
		ASSERT_TRUE(become(1234, 1, 0));
		EXPECT_EQ(0, abi_attach_id(&mine, id, 0, 0, 0, &h));
	}
	IN_CHILD() {
		struct abi_ctx mine;

		ASSERT_EQ(0, abi_open(&mine, 8));
		ASSERT_TRUE(become(1235, 1, 0));
		EXPECT_EQ(-ENOENT, abi_attach_id(&mine, id, 0, 0, 0, &h));
	}
	EXPECT_EQ(0, drive(dev, 0, SELFTEST_DONE, 0));
	close(fd);
	close(dev);
}

TEST_F(driver, K8_what_a_driver_may_not_ask_for)
{
	static const struct selftest_call good = {
		.what = SELFTEST_TRY, .flags = AOP_CREATE_DETACHED, .mask = 0666,
		.fd = AOP_MAY_LOOK, .total = AOP_LABEL_SIZE - 1, .pad = AOP_RUNNING,
	};
	struct selftest_call c;

#define TRIED(err, field, with)							\
do {										\
	c = good;								\
	c.field = with;								\
	EXPECT_EQ(err, call(self->dev, &c));					\
} while (0)
	TRIED(0, pad, AOP_PENDING);
	TRIED(0, value, INT64_MAX);
	TRIED(0, fd, AOP_MAY_LOOK | AOP_MAY_CANCEL);
	TRIED(-ENAMETOOLONG, total, AOP_LABEL_SIZE);
	TRIED(-EINVAL, flags, AOP_CREATE_DETACHED << 1);
	TRIED(-EINVAL, mask, 01000);
	TRIED(-EINVAL, mask, 0100);
	TRIED(-EINVAL, pad, AOP_DONE);
	TRIED(-EINVAL, value, -1);
	TRIED(-EINVAL, fd, 0);
	TRIED(-EINVAL, fd, AOP_MAY_DRIVE);
}

/* ---- handing out --------------------------------------------------------------- */

TEST_F(driver, O2_a_handle_is_given_only_in_the_callers_own_context)
{
	struct selftest_call c = {
		.what = SELFTEST_HANDLE, .aop_fd = self->c.fd, .mask = AOP_EV_FINAL, .value = 9,
	};
	int fd = driver_op(self->dev, 0, 0), bare = abi_open_file();

	EXPECT_EQ(0, call(self->dev, &c));
	EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, rights_of(&self->c, c.total));
	EXPECT_EQ(9, status_of(&self->c, c.total).data);
	c.aop_fd = -1;
	EXPECT_EQ(-EBADF, call(self->dev, &c));
	c.aop_fd = fd;
	EXPECT_EQ(-EINVAL, call(self->dev, &c));
	c.aop_fd = bare;
	EXPECT_EQ(-EINVAL, call(self->dev, &c));
	c.aop_fd = self->c.fd;
	c.mask = ~0u;
	EXPECT_EQ(-EINVAL, call(self->dev, &c));
	c.mask = 0;
	IN_CHILD() {
		EXPECT_EQ(-EIO, call(self->dev, &c));
	}
	EXPECT_EQ(0, drive(self->dev, 0, SELFTEST_DONE, 0));
	EXPECT_EQ(1, abi_drain(&self->c));
	close(bare);
	close(fd);
}

TEST_HARNESS_MAIN
