// SPDX-License-Identifier: GPL-2.0
/*
 * Owner and watcher are two sides, O1 and O2: the right to drive has one holder,
 * is moved and never copied, and cannot be made up.
 */
#include "behave.h"

FIXTURE(owner) {
	struct abi_ctx a;
	struct abi_ctx b;
	uint64_t h;		/* in a, with all rights */
	uint64_t w;		/* in b, a watcher */
};

FIXTURE_SETUP(owner)
{
	ASSERT_EQ(0, abi_open(&self->a, 64));
	ASSERT_EQ(0, abi_open(&self->b, 64));
	self->h = abi_new(&self->a, 0, 0);
	ASSERT_NE(0, self->h);
	self->w = watch(&self->a, self->h, &self->b, 0);
	ASSERT_NE(0, self->w);
}

FIXTURE_TEARDOWN(owner)
{
	abi_close(&self->a);
	abi_close(&self->b);
}

static const struct {
	uint32_t what;
	int64_t value;
} says[] = {
	{ AOP_SIGNAL_START, 0 },
	{ AOP_SIGNAL_PROGRESS, 1 },
	{ AOP_SIGNAL_DONE, 1 },
	{ AOP_SIGNAL_FAIL, -EIO },
	{ AOP_SIGNAL_CANCELLED, -EIO },
	{ AOP_SIGNAL_LET_GO, 0 },
};

/* Whether nothing that an owner can say is heard from @handle. */
static bool cannot_drive(struct abi_ctx *c, uint64_t handle, int want)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(says); i++)
		if (abi_signal(c, handle, says[i].what, says[i].value) != want)
			return false;
	return true;
}

/* ---- O1: the two sides --------------------------------------------------- */

TEST_F(owner, O1_a_watcher_cannot_signal)
{
	static const uint32_t rights[] = {
		AOP_MAY_LOOK, AOP_MAY_CANCEL, AOP_MAY_LOOK | AOP_MAY_CANCEL,
	};
	struct aop_status was = status_of(&self->a, self->h), is;
	unsigned int i;
	uint64_t w;

	for (i = 0; i < ARRAY_SIZE(rights); i++) {
		w = share(&self->a, self->h, &self->b, rights[i], 0);
		ASSERT_NE(0, w);
		/* Who may not look is told nothing, not even this. */
		EXPECT_EQ(rights[i], rights_of(&self->b, w));
		EXPECT_TRUE(cannot_drive(&self->b, w, -EPERM));
		w = share(&self->a, self->h, &self->a, rights[i], 0);
		ASSERT_NE(0, w);
		EXPECT_TRUE(cannot_drive(&self->a, w, -EPERM));
	}
	is = status_of(&self->a, self->h);
	EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)));
	EXPECT_EQ(0, abi_done(&self->a, self->h, 3));
	EXPECT_ENDED(&self->b, self->w, AOP_DONE, 3);
}

TEST_F(owner, O1_the_right_moves)
{
	uint64_t to;
	int fd;

	fd = abi_export(&self->a, self->h, AOP_MAY_DRIVE);
	ASSERT_GE(fd, 0);
	/* On its way nobody has it. */
	EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, rights_of(&self->a, self->h));
	EXPECT_TRUE(cannot_drive(&self->a, self->h, -EPERM));
	EXPECT_EQ(AOP_PENDING, abi_state(&self->b, self->w));
	ASSERT_EQ(0, abi_attach_fd(&self->b, fd, AOP_MAY_DRIVE, 0, 0, &to));
	EXPECT_EQ(AOP_MAY_DRIVE, rights_of(&self->b, to));
	close(fd);
	/* It is with the handle now, and the descriptor is of no importance. */
	EXPECT_EQ(AOP_PENDING, abi_state(&self->b, self->w));
	EXPECT_TRUE(cannot_drive(&self->a, self->h, -EPERM));
	EXPECT_EQ(0, abi_start(&self->b, to));
	EXPECT_EQ(0, abi_done(&self->b, to, 4));
	EXPECT_ENDED(&self->a, self->h, AOP_DONE, 4);
}

TEST_F(owner, O1_the_right_is_never_copied)
{
	uint64_t one, two;
	int fd, dupped;

	fd = abi_export(&self->a, self->h, AOP_MAY_ALL);
	ASSERT_GE(fd, 0);
	dupped = dup(fd);
	ASSERT_GE(dupped, 0);
	/* A second descriptor cannot be made while it is out. */
	EXPECT_EQ(-EPERM, abi_export(&self->a, self->h, AOP_MAY_DRIVE));
	EXPECT_EQ(-EPERM, abi_export(&self->b, self->w, AOP_MAY_DRIVE));
	ASSERT_EQ(0, abi_attach_fd(&self->b, fd, AOP_MAY_DRIVE, 0, 0, &one));
	/* Nor taken out of either of them again. */
	EXPECT_EQ(-EPERM, abi_attach_fd(&self->b, fd, AOP_MAY_DRIVE, 0, 0, &two));
	EXPECT_EQ(-EPERM, abi_attach_fd(&self->a, dupped, AOP_MAY_ALL, 0, 0, &two));
	/* "All that can be had" is less now. */
	ASSERT_EQ(0, abi_attach_fd(&self->a, dupped, 0, 0, 0, &two));
	EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, rights_of(&self->a, two));
	close(fd);
	close(dupped);
	EXPECT_EQ(0, abi_done(&self->b, one, 1));
	EXPECT_ENDED(&self->b, self->w, AOP_DONE, 1);
}

TEST_F(owner, O1_a_copy_of_the_descriptor_keeps_it_alive)
{
	uint64_t to;
	int fd, dupped;

	fd = abi_export(&self->a, self->h, AOP_MAY_DRIVE);
	dupped = dup(fd);
	ASSERT_GE(dupped, 0);
	close(fd);
	EXPECT_EQ(AOP_PENDING, abi_state(&self->b, self->w));
	ASSERT_EQ(0, abi_attach_fd(&self->a, dupped, 0, 0, 0, &to));
	EXPECT_EQ(AOP_MAY_DRIVE, rights_of(&self->a, to));
	close(dupped);
	EXPECT_EQ(0, abi_done(&self->a, to, 1));
}

TEST_F(owner, O1_not_by_id)
{
	uint64_t id = abi_id(&self->a, self->h), h;

	EXPECT_EQ(-EPERM, abi_attach_id(&self->b, id, AOP_MAY_DRIVE, 0, 0, &h));
	EXPECT_EQ(-EPERM, abi_attach_id(&self->a, id, AOP_MAY_ALL, 0, 0, &h));
	ASSERT_EQ(0, abi_attach_id(&self->b, id, 0, 0, 0, &h));
	EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, rights_of(&self->b, h));
}

/* Every single bit of a good handle, and many numbers out of the blue. */
TEST_F(owner, O1_no_handle_can_be_made_up)
{
	uint64_t x = 88172645463325252ULL, forged;
	struct aop_status was, is;
	int i, ret;

	/* One more, so that a neighbour of the handle is in use. */
	ASSERT_NE(0, abi_new(&self->b, 0, 0));
	was = status_of(&self->a, self->h);
	for (i = 0; i < 1064; i++) {
		if (i < 64) {
			forged = self->h ^ 1ULL << i;
		} else {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			forged = i % 2 ? x : x & 0x0000000f0000003fULL;
		}
		/* Another context, in which it may be somebody's own. */
		ret = forged == self->w ? -EPERM :
		      abi_progress(&self->b, forged, 999, 0);
		if (ret)
			EXPECT_TRUE(ret == -EBADF || ret == -ESTALE || ret == -EPERM)
				TH_LOG("%#llx: %d", (unsigned long long)forged, ret);
		if (forged == self->h)
			continue;
		ret = abi_done(&self->a, forged, 999);
		EXPECT_TRUE(ret == -EBADF || ret == -ESTALE)
			TH_LOG("%#llx: %d", (unsigned long long)forged, ret);
	}
	is = status_of(&self->a, self->h);
	EXPECT_EQ(0, memcmp(&was, &is, sizeof(is)));
	EXPECT_EQ(0, abi_done(&self->a, self->h, 1));
}

/* A handle says nothing outside of the context that it is of. */
TEST_F(owner, O1_a_handle_is_of_its_context)
{
	struct abi_ctx c;
	int i;

	ASSERT_EQ(0, abi_open(&c, 4));
	EXPECT_EQ(-EBADF, abi_done(&c, self->h, 1));
	for (i = 0; i < 4; i++)
		ASSERT_NE(0, abi_new(&c, 0, 0));
	/* Whatever it is called there, it is not ours. */
	abi_done(&c, self->h, 1);
	EXPECT_EQ(AOP_PENDING, abi_state(&self->a, self->h));
	abi_close(&c);
	EXPECT_EQ(AOP_PENDING, abi_state(&self->b, self->w));
}

TEST_F(owner, O1_the_sides_move_independently)
{
	struct abi_ctx c;
	uint64_t drive, look, back;

	/* The owner side to c, the watcher side of the creator given up. */
	ASSERT_EQ(0, abi_open(&c, 8));
	drive = share(&self->a, self->h, &c, AOP_MAY_DRIVE, 0);
	ASSERT_NE(0, drive);
	look = watch(&self->b, self->w, &c, 0);
	ASSERT_NE(0, look);
	EXPECT_EQ(0, abi_detach(&self->a, self->h, 0));
	EXPECT_EQ(-ESTALE, abi_done(&self->a, self->h, 1));
	EXPECT_EQ(0, abi_start(&c, drive));
	/* And back. */
	back = share(&c, drive, &self->a, AOP_MAY_DRIVE, 0);
	ASSERT_NE(0, back);
	EXPECT_NE(0, abi_done(&c, drive, 1));
	abi_close(&c);
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->b, self->w));
	EXPECT_EQ(0, abi_done(&self->a, back, 6));
	EXPECT_ENDED(&self->b, self->w, AOP_DONE, 6);
}

/* To another process, which drives it from there on. */
TEST_F(owner, O1_to_another_process)
{
	int sock[2], fd;
	uint64_t value;
	struct abi_ctx c;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock));
	pid = spawn();
	if (!pid) {
		uint64_t h;

		close(sock[0]);
		fd = recv_fd(sock[1], &value, 0);
		if (fd < 0 || abi_open(&c, 4) ||
		    abi_attach_fd(&c, fd, AOP_MAY_DRIVE, 0, 0, &h))
			_exit(1);
		close(fd);
		if (abi_start(&c, h) || abi_progress(&c, h, 1, 2) || abi_done(&c, h, value))
			_exit(2);
		_exit(0);
	}
	fd = abi_export(&self->a, self->h, AOP_MAY_DRIVE);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, send_fd(sock[0], fd, 4711));
	close(fd);
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->b, self->w, AOP_EV_FINAL, 0));
	EXPECT_ENDED(&self->b, self->w, AOP_DONE, 4711);
	EXPECT_EQ(1, status_of(&self->b, self->w).done);
	EXPECT_EQ(0, reap_child(pid));
	close(sock[0]);
	close(sock[1]);
}

/* ---- O1 under race ------------------------------------------------------- */

struct racer {
	struct abi_ctx *c;
	uint64_t h;
	int fd, nr, ret;
	int *go;
	pthread_t thread;
};

static void at_once(struct racer *r)
{
	while (!__atomic_load_n(r->go, __ATOMIC_ACQUIRE))
		;
}

static void *end_run(void *arg)
{
	struct racer *r = arg;

	at_once(r);
	r->ret = abi_done(r->c, r->h, r->nr);
	return NULL;
}

static void *take_run(void *arg)
{
	struct racer *r = arg;

	at_once(r);
	r->ret = abi_attach_fd(r->c, r->fd, AOP_MAY_DRIVE, 0, 0, &r->h);
	return NULL;
}

static void *export_run(void *arg)
{
	struct racer *r = arg;

	at_once(r);
	r->ret = abi_export(r->c, r->h, AOP_MAY_DRIVE);
	return NULL;
}

TEST_F(owner, O1_threads_race_to_end_it)
{
	struct racer r[3];
	int round, i, go, won;
	uint64_t h;

	for (round = 0; round < 60; round++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		go = 0;
		for (i = 0; i < 3; i++) {
			r[i] = (struct racer) { .c = &self->a, .h = h, .nr = i, .go = &go };
			ASSERT_EQ(0, pthread_create(&r[i].thread, NULL, end_run, &r[i]));
		}
		__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
		for (won = -1, i = 0; i < 3; i++) {
			pthread_join(r[i].thread, NULL);
			if (!r[i].ret) {
				EXPECT_EQ(-1, won);
				won = i;
			} else {
				EXPECT_EQ(-EPERM, r[i].ret);
			}
		}
		EXPECT_ENDED(&self->a, h, AOP_DONE, won);
		ASSERT_EQ(0, abi_detach(&self->a, h, 0));
	}
}

TEST_F(owner, O1_threads_race_to_take_it)
{
	int round, i, go, won, fd;
	struct racer r[3];
	uint64_t h;

	for (round = 0; round < 60; round++) {
		h = abi_new(&self->a, 0, 0);
		fd = abi_export(&self->a, h, AOP_MAY_DRIVE);
		ASSERT_GE(fd, 0);
		go = 0;
		for (i = 0; i < 3; i++) {
			r[i] = (struct racer) {
				.c = i % 2 ? &self->a : &self->b, .fd = fd, .go = &go,
			};
			ASSERT_EQ(0, pthread_create(&r[i].thread, NULL, take_run, &r[i]));
		}
		__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
		for (won = -1, i = 0; i < 3; i++) {
			pthread_join(r[i].thread, NULL);
			if (!r[i].ret) {
				EXPECT_EQ(-1, won);
				won = i;
			} else {
				EXPECT_EQ(-EPERM, r[i].ret);
			}
		}
		close(fd);
		ASSERT_LE(0, won);
		EXPECT_EQ(AOP_PENDING, abi_state(&self->a, h));
		EXPECT_EQ(0, abi_done(r[won].c, r[won].h, round));
		EXPECT_ENDED(&self->a, h, AOP_DONE, round);
		abi_detach(r[won].c, r[won].h, 0);
		ASSERT_EQ(0, abi_detach(&self->a, h, 0));
	}
}

TEST_F(owner, O1_ending_it_races_with_moving_it)
{
	struct racer end, move;
	int round, go;
	uint64_t h;

	for (round = 0; round < 60; round++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		go = 0;
		end = (struct racer) { .c = &self->a, .h = h, .nr = round, .go = &go };
		move = end;
		ASSERT_EQ(0, pthread_create(&end.thread, NULL, end_run, &end));
		ASSERT_EQ(0, pthread_create(&move.thread, NULL, export_run, &move));
		__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
		pthread_join(end.thread, NULL);
		pthread_join(move.thread, NULL);
		if (end.ret) {
			EXPECT_EQ(-EPERM, end.ret);
			ASSERT_GE(move.ret, 0);
			EXPECT_EQ(AOP_PENDING, abi_state(&self->a, h));
			close(move.ret);
			EXPECT_OWNER_DEAD(&self->a, h);
		} else {
			EXPECT_EQ(-EPERM, move.ret);
			EXPECT_ENDED(&self->a, h, AOP_DONE, round);
		}
		ASSERT_EQ(0, abi_detach(&self->a, h, 0));
	}
}

/* ---- ending lets go ------------------------------------------------------ */

TEST_F(owner, O1_ending_lets_go)
{
	unsigned int i;
	uint64_t h;

	for (i = 2; i < ARRAY_SIZE(says); i++) {
		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		EXPECT_EQ(AOP_MAY_ALL, rights_of(&self->a, h));
		EXPECT_EQ(0, abi_signal(&self->a, h, says[i].what, says[i].value));
		EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, rights_of(&self->a, h));
		EXPECT_TRUE(cannot_drive(&self->a, h, -EPERM));
		EXPECT_EQ(-EPERM, abi_export(&self->a, h, AOP_MAY_DRIVE));
		/* The other side is where it was. */
		EXPECT_EQ(AOP_EV_FINAL, abi_look(&self->a, h, AOP_EV_FINAL, 0));

		h = abi_new(&self->a, 0, 0);
		ASSERT_NE(0, h);
		EXPECT_EQ(0, abi_signal(&self->a, h, says[i].what | AOP_SIGNAL_DETACH,
					says[i].value));
		EXPECT_EQ(-ESTALE, abi_look(&self->a, h, AOP_EV_FINAL, 0));
		EXPECT_TRUE(cannot_drive(&self->a, h, -ESTALE));
	}
}

TEST_F(owner, O1_what_was_said_wrongly_lets_nobody_go)
{
	EXPECT_EQ(-EINVAL, abi_signal(&self->a, self->h, AOP_SIGNAL_FAIL, 1));
	EXPECT_EQ(-EINVAL, abi_signal(&self->a, self->h, AOP_SIGNAL_CANCELLED, 1));
	EXPECT_EQ(-EINVAL, abi_signal(&self->a, self->h, 99, 0));
	EXPECT_EQ(AOP_MAY_ALL, rights_of(&self->a, self->h));
	EXPECT_EQ(0, abi_done(&self->a, self->h, 1));
}

/* ---- O2 ------------------------------------------------------------------ */

TEST_F(owner, O2_attached_before_use_and_detached_after)
{
	struct aop_wait_entry e = { .handle = self->w, .mask = AOP_EV_FINAL };
	struct aop_ioc_query q;
	uint64_t h;

	EXPECT_EQ(0, abi_detach(&self->b, self->w, 0));
	EXPECT_EQ(-ESTALE, abi_detach(&self->b, self->w, 0));
	EXPECT_EQ(-ESTALE, abi_cancel(&self->b, self->w, 0));
	EXPECT_EQ(-ESTALE, abi_modify(&self->b, self->w, 0, 0));
	EXPECT_EQ(-ESTALE, abi_query(&self->b, self->w, &q));
	EXPECT_EQ(-ESTALE, abi_export(&self->b, self->w, AOP_MAY_LOOK));
	EXPECT_EQ(-ESTALE, abi_wait(&self->b, &e, 1, 1, 0));
	EXPECT_EQ(-ESTALE, abi_group(&self->b, &self->w, 1, 1, 0, 0, &h));
	EXPECT_EQ(-ESTALE, abi_progress(&self->b, self->w, 1, 1));
	/* Its place is given to others, and the old handle stays dead. */
	h = watch(&self->a, self->h, &self->b, 0);
	ASSERT_NE(0, h);
	EXPECT_NE(self->w, h);
	EXPECT_EQ(-ESTALE, abi_cancel(&self->b, self->w, 0));
	EXPECT_EQ(AOP_PENDING, abi_state(&self->a, self->h));
}

TEST_F(owner, O2_rights_are_checked_where_it_is_attached)
{
	uint64_t look, h;
	int fd;

	fd = abi_export(&self->a, self->h, AOP_MAY_LOOK);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EPERM, abi_attach_fd(&self->b, fd, AOP_MAY_LOOK | AOP_MAY_CANCEL, 0, 0, &h));
	EXPECT_EQ(-EPERM, abi_attach_fd(&self->b, fd, AOP_MAY_CANCEL, 0, 0, &h));
	ASSERT_EQ(0, abi_attach_fd(&self->b, fd, AOP_MAY_LOOK, 0, 0, &look));
	close(fd);
	EXPECT_EQ(-EPERM, abi_cancel(&self->b, look, 0));
	/* And only shrink from there. */
	EXPECT_EQ(-EPERM, abi_export(&self->b, look, AOP_MAY_CANCEL));
	EXPECT_EQ(-EPERM, abi_export(&self->b, look, AOP_MAY_LOOK | AOP_MAY_CANCEL));
	EXPECT_EQ(-EPERM, abi_detach(&self->b, look, AOP_MAY_CANCEL));
	EXPECT_EQ(AOP_PENDING, abi_state(&self->b, look));
}

TEST_HARNESS_MAIN
