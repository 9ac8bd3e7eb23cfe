// SPDX-License-Identifier: GPL-2.0
/*
 * Operations that end when an eventfd is signalled, and eventfds that are signalled
 * when an operation ends: alone, in a circle, at their limits, and when one side goes.
 */
#include "import.h"

static void until_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	poll(&p, 1, -1);
}

/* How it ended: the result, or for ever. */
static long long end_of(struct abi_ctx *c, uint64_t handle)
{
	if (abi_wait_one(c, handle, AOP_EV_OVER, 0) != AOP_EV_OVER)
		return -EPROTO;
	return status_of(c, handle).result;
}

/* ---- imports --------------------------------------------------------------------- */

TEST_F(import, W2_fires)
{
	uint64_t a, b;

	a = import(&self->c, self->efd, AOP_EV_FINAL);
	b = import(&self->c, self->efd, AOP_EV_FINAL);
	ASSERT_NE(0, a);
	ASSERT_NE(0, b);
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, a));
	EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, rights_of(&self->c, a));
	ASSERT_EQ(0, fire(self->efd, 5));
	EXPECT_EQ(0, end_of(&self->c, a));
	EXPECT_EQ(0, end_of(&self->c, b));
	EXPECT_EQ(AOP_DONE, abi_state(&self->c, a));
	/* Nothing was taken: so the next one ends at once. */
	a = import(&self->c, self->efd, 0);
	EXPECT_EQ(0, end_of(&self->c, a));
	EXPECT_EQ(5, take(self->efd));
	a = import(&self->c, self->efd, 0);
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, a));
}

TEST_F(import, M6_source_closed)
{
	uint64_t h = import(&self->c, self->efd, 0);
	int copy = dup(self->efd);

	ASSERT_NE(0, h);
	close(self->efd);
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, h));
	close(copy);
	self->efd = -1;
	EXPECT_EQ(-EOWNERDEAD, end_of(&self->c, h));
	EXPECT_TRUE(flags_of(&self->c, h) & AOP_F_SYSTEM);
}

TEST_F(import, C4_C5_M9_cancelled_abandoned_late)
{
	struct aop_ioc_import im = {
		.size = sizeof(im), .fd = self->efd, .deadline = abi_now() + 10 * MSEC_NS,
		.label = abi_u64("a label"), .parent = 4, .data = 9,
	};
	struct aop_ioc_query q;
	uint64_t h = import(&self->c, self->efd, 0);
	uint32_t ops = 0;

	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, h, -7));
	EXPECT_EQ(-7, end_of(&self->c, h));
	EXPECT_EQ(AOP_CANCELLED, abi_state(&self->c, h));
	ASSERT_EQ(0, abi_detach(&self->c, h, 0));
	ASSERT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_IMPORT, &im));
	EXPECT_EQ(-ETIMEDOUT, end_of(&self->c, im.handle));
	ASSERT_EQ(0, abi_query(&self->c, im.handle, &q));
	EXPECT_EQ(im.id, q.id);
	EXPECT_STREQ("a label", q.label);
	EXPECT_EQ(4, q.parent);
	EXPECT_EQ(9, status_of(&self->c, im.handle).data);
	ASSERT_EQ(0, abi_detach(&self->c, im.handle, 0));
	/* Nobody looks any more: it goes, though the eventfd stays. */
	h = import(&self->c, self->efd, 0);
	ASSERT_EQ(0, abi_detach(&self->c, h, 0));
	do {
		ASSERT_EQ(0, abi_param_get("ops", &ops));
	} while (ops);
	ASSERT_EQ(0, fire(self->efd, 1));
}

TEST_F(import, K7_bad_input)
{
	struct aop_ioc_import good = { .size = sizeof(good), .fd = self->efd }, im;
	int pipes[2];
	void *page;

	ASSERT_EQ(0, pipe(pipes));
#define REFUSED(err, field, value)						\
do {										\
	im = good;								\
	im.field = value;							\
	EXPECT_EQ(err, abi_ioctl(self->c.fd, AOP_IOC_IMPORT, &im));		\
} while (0)
	REFUSED(-EINVAL, size, sizeof(im) - 8);
	REFUSED(-E2BIG, size, 8192);
	REFUSED(-EINVAL, flags, 1);
	REFUSED(-EINVAL, pad, 1);
	REFUSED(-EINVAL, mask, AOP_EV_ALL + 1);
	REFUSED(-EINVAL, mode, 01000);
	REFUSED(-EBADF, fd, -1);
	REFUSED(-EBADF, fd, 1000);
	REFUSED(-EINVAL, fd, pipes[0]);
	REFUSED(-EINVAL, fd, self->c.fd);
	REFUSED(-EFAULT, label, 8);
	REFUSED(-ENAMETOOLONG, label,
		abi_u64("0123456789012345678901234567890123456789012345678901234567890123"));
	EXPECT_EQ(-EFAULT, abi_ioctl(self->c.fd, AOP_IOC_IMPORT, NULL));
	/* The answer cannot be written: there is none. */
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(page, &good, sizeof(good));
	ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, abi_ioctl(self->c.fd, AOP_IOC_IMPORT, page));
	EXPECT_EQ(0, abi_handles(&self->c));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(import, K8_limits)
{
	uint32_t before;
	uint64_t h = abi_new(&self->c, 0, 0);
	long long held = abi_fdinfo(self->c.fd, "user-handles");

	ASSERT_EQ(0, abi_param_get("max_handles", &before));
	ASSERT_EQ(0, abi_param_set("max_handles", held));
	EXPECT_EQ(0, import(&self->c, self->efd, 0));
	EXPECT_EQ(EDQUOT, errno);
	EXPECT_EQ(-EDQUOT, export(&self->c, h, self->efd, AOP_EV_FINAL));
	ASSERT_EQ(0, abi_param_set("max_handles", held + 1));
	EXPECT_EQ(0, export(&self->c, h, self->efd, AOP_EV_FINAL));
	EXPECT_EQ(held + 1, abi_fdinfo(self->c.fd, "user-handles"));
	EXPECT_EQ(-EDQUOT, export(&self->c, h, self->efd, AOP_EV_FINAL));
	EXPECT_EQ(0, export(&self->c, h, self->efd, 0));
	EXPECT_EQ(held, abi_fdinfo(self->c.fd, "user-handles"));
	ASSERT_EQ(0, abi_param_set("max_handles", before));
}

/* ---- exports --------------------------------------------------------------------- */

TEST_F(import, W3_export)
{
	uint64_t h = abi_new(&self->c, 0, 0);

	ASSERT_EQ(0, export(&self->c, h, self->efd, AOP_EV_FINAL));
	ASSERT_EQ(0, abi_start(&self->c, h));
	ASSERT_EQ(0, abi_progress(&self->c, h, 1, 2));
	ASSERT_EQ(0, abi_done(&self->c, h, 0));
	until_readable(self->efd);
	EXPECT_EQ(1, take(self->efd));
	EXPECT_EQ(0, export(&self->c, h, self->efd, 0));
	EXPECT_EQ(-ENOENT, export(&self->c, h, self->efd, 0));
	/* What holds already; and it is removed without its handle. */
	ASSERT_EQ(0, export(&self->c, h, self->efd, AOP_EV_OVER));
	until_readable(self->efd);
	ASSERT_EQ(0, abi_detach(&self->c, h, 0));
	EXPECT_EQ(0, export(&self->c, 0, self->efd, 0));
	EXPECT_EQ(-ENOENT, export(&self->c, 0, self->efd, 0));
	/* Removed before: nothing comes. */
	EXPECT_EQ(1, take(self->efd));
	h = abi_new(&self->c, 0, 0);
	ASSERT_EQ(0, export(&self->c, h, self->efd, AOP_EV_ALL));
	ASSERT_EQ(0, export(&self->c, h, self->efd, 0));
	ASSERT_EQ(0, abi_done(&self->c, h, 0));
	EXPECT_EQ(-EAGAIN, take(self->efd));
}

TEST_F(import, K7_K8_bad_exports)
{
	uint64_t h = abi_new(&self->c, 0, 0), blind = abi_again(&self->c, h, &self->c,
								AOP_MAY_CANCEL, 0);
	struct aop_ioc_eventfd e = {
		.size = sizeof(e), .handle = h, .fd = self->efd, .mask = 1, .flags = 1,
	};
	int i, ret = 0;

	EXPECT_EQ(-EINVAL, abi_ioctl(self->c.fd, AOP_IOC_EVENTFD, &e));
	e.flags = 0;
	e.size = 16;
	EXPECT_EQ(-EINVAL, abi_ioctl(self->c.fd, AOP_IOC_EVENTFD, &e));
	EXPECT_EQ(-EINVAL, export(&self->c, h, self->efd, AOP_EV_ALL + 1));
	EXPECT_EQ(-EBADF, export(&self->c, 0, self->efd, AOP_EV_FINAL));
	EXPECT_EQ(-EPERM, export(&self->c, blind, self->efd, AOP_EV_FINAL));
	EXPECT_EQ(-EBADF, export(&self->c, h, -1, AOP_EV_FINAL));
	EXPECT_EQ(-EINVAL, export(&self->c, h, self->c.fd, AOP_EV_FINAL));
	EXPECT_EQ(-EFAULT, abi_ioctl(self->c.fd, AOP_IOC_EVENTFD, NULL));
	for (i = 0; !ret; i++)
		ret = export(&self->c, h, self->efd, AOP_EV_FINAL);
	EXPECT_EQ(-EMFILE, ret);
	EXPECT_EQ(AOP_MAX_LINKS, i);
	/* All of them at once, and the context goes with many. */
	EXPECT_EQ(0, export(&self->c, h, self->efd, 0));
	EXPECT_EQ(-ENOENT, export(&self->c, h, self->efd, 0));
	for (i = 0; i < 50; i++)
		EXPECT_EQ(0, export(&self->c, h, self->efd, AOP_EV_FINAL));
}

/* Each ends the next, round and round, without anybody waiting for another. */
TEST_F(import, W8_a_circle)
{
	uint64_t h[2];
	int fd[2], i;

	for (i = 0; i < 2; i++)
		fd[i] = eventfd(0, EFD_CLOEXEC);
	for (i = 0; i < 2; i++) {
		h[i] = import(&self->c, fd[i], 0);
		ASSERT_NE(0, h[i]);
	}
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, export(&self->c, h[i], fd[!i], AOP_EV_ALL));
	ASSERT_EQ(0, fire(fd[0], 1));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, end_of(&self->c, h[i]));
	until_readable(fd[0]);
	until_readable(fd[1]);
	for (i = 0; i < 2; i++)
		close(fd[i]);
}

/* ---- who goes first --------------------------------------------------------------- */

enum { ROUNDS = 200 };

struct part {
	struct race race;
	int fd[ROUNDS + 1];
};

static void *fire_each(void *arg)
{
	struct part *p = arg;
	int i;

	for (i = 1; i <= ROUNDS; i++) {
		race_join(&p->race, i);
		fire(p->fd[i], 1);
		race_done(&p->race, i);
	}
	return NULL;
}

/* It fires, and is cancelled: one end, told once, whichever comes first. */
TEST_F(import, C3_fire_and_cancel_race)
{
	struct part *p = calloc(1, sizeof(*p));
	int i, fired = 0, cancelled = 0;
	pthread_t t;

	for (i = 1; i <= ROUNDS; i++)
		p->fd[i] = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(0, pthread_create(&t, NULL, fire_each, p));
	for (i = 1; i <= ROUNDS; i++) {
		uint64_t h = import(&self->c, p->fd[i], 0);
		unsigned int state;

		ASSERT_NE(0, h);
		race_begin(&p->race, i);
		ASSERT_LE(0, abi_cancel(&self->c, h, 0));
		end_of(&self->c, h);
		race_over(&p->race, i);
		state = abi_state(&self->c, h);
		fired += state == AOP_DONE;
		cancelled += state == AOP_CANCELLED;
		race_even_out(&p->race, state == AOP_DONE);
		ASSERT_EQ(0, abi_detach(&self->c, h, 0));
		close(p->fd[i]);
	}
	pthread_join(t, NULL);
	TH_LOG("%d fired, %d cancelled", fired, cancelled);
	EXPECT_EQ(ROUNDS, fired + cancelled);
	EXPECT_LT(0, fired);
	EXPECT_LT(0, cancelled);
	free(p);
}

static void *close_each(void *arg)
{
	struct part *p = arg;
	int i;

	for (i = 1; i <= ROUNDS; i++) {
		race_join(&p->race, i);
		close(p->fd[i]);
		race_done(&p->race, i);
	}
	return NULL;
}

/* The import and the closing of its source race with each other: it never waits on. */
TEST_F(import, M6_import_and_close_race)
{
	struct part *p = calloc(1, sizeof(*p));
	int i, error, closed = 0;
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, close_each, p));
	for (i = 1; i <= ROUNDS; i++) {
		uint64_t h;

		p->fd[i] = eventfd(i % 2, EFD_CLOEXEC);
		race_begin(&p->race, i);
		h = import(&self->c, p->fd[i], 0);
		error = errno;
		race_over(&p->race, i);
		race_even_out(&p->race, !h);
		if (h) {
			EXPECT_EQ(i % 2 ? 0 : -EOWNERDEAD, end_of(&self->c, h));
			ASSERT_EQ(0, abi_detach(&self->c, h, 0));
		} else {
			EXPECT_EQ(EBADF, error);
			closed++;
		}
	}
	pthread_join(t, NULL);
	TH_LOG("%d closed before", closed);
	EXPECT_LT(0, closed);
	EXPECT_GT(ROUNDS, closed);
	free(p);
}

struct guesser {
	struct abi_ctx c;
	uint64_t next;
	int met;
};

static void *guess_run(void *arg)
{
	struct guesser *g = arg;
	uint64_t id, h;

	while ((id = __atomic_load_n(&g->next, __ATOMIC_ACQUIRE)))
		if (!abi_attach_id(&g->c, id, AOP_MAY_LOOK, 0, 0, &h)) {
			abi_detach(&g->c, h, 0);
			__atomic_fetch_add(&g->met, 1, __ATOMIC_RELAXED);
		}
	return NULL;
}

/* Who guesses its id, looks and lets go, cannot be the last one: its importer looks first. */
TEST_F(import, C5_K7_who_guesses_the_id_of_an_import)
{
	struct guesser g = { .next = 1 };
	int i, stopped = 0;
	pthread_t t;

	ASSERT_EQ(0, abi_open(&g.c, 64));
	ASSERT_EQ(0, pthread_create(&t, NULL, guess_run, &g));
	for (i = 0; i < rounds(5000); i++) {
		struct aop_ioc_import im = {
			.size = sizeof(im), .fd = self->efd, .mode = 0600,
		};

		ASSERT_EQ(0, ioctl(self->c.fd, AOP_IOC_IMPORT, &im));
		stopped += status_of(&self->c, im.handle).state != AOP_RUNNING;
		__atomic_store_n(&g.next, im.id + 1, __ATOMIC_RELEASE);
		ASSERT_EQ(0, abi_detach(&self->c, im.handle, 0));
	}
	__atomic_store_n(&g.next, 0, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
	abi_close(&g.c);
	TH_LOG("guessed %d times", g.met);
	EXPECT_EQ(0, stopped);
}

TEST_HARNESS_MAIN
