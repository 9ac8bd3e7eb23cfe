// SPDX-License-Identifier: GPL-2.0
/*
 * Sleeping for events: a context and an operation's own descriptor in poll,
 * select and epoll, level, edge, oneshot and exclusive (K2, W10, W3); and a
 * consumer against a signaller, where no event may be lost in any of them.
 *
 * A lost event shows as a consumer that sleeps for ever: the harness ends it.
 */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "harness.h"
#include "slow.h"
#include "abi.h"

/* ---- a consumer against a signaller ------------------------------------------------- */

enum way { SPIN, POLL, SELECT, LEVEL, EDGE, ONESHOT, EXCLUSIVE };

FIXTURE(race) {
	struct abi_ctx c;		/* the consumer's */
	struct abi_ctx o;		/* the signaller's */
	sem_t room;
	pthread_mutex_t reaping;
	int rounds;
	int seen;			/* final ones */
	int failed;
	enum way way;
};

FIXTURE_VARIANT(race) {
	enum way way;
	int consumers;
	bool own;			/* consumer and signaller share a context */
};

FIXTURE_VARIANT_ADD(race, spin) { .way = SPIN, .consumers = 1 };
FIXTURE_VARIANT_ADD(race, poll) { .way = POLL, .consumers = 1 };
FIXTURE_VARIANT_ADD(race, poll_own) { .way = POLL, .consumers = 1, .own = true };
FIXTURE_VARIANT_ADD(race, select) { .way = SELECT, .consumers = 1 };
FIXTURE_VARIANT_ADD(race, level) { .way = LEVEL, .consumers = 1 };
FIXTURE_VARIANT_ADD(race, edge) { .way = EDGE, .consumers = 1 };
FIXTURE_VARIANT_ADD(race, edge_own) { .way = EDGE, .consumers = 1, .own = true };
FIXTURE_VARIANT_ADD(race, oneshot) { .way = ONESHOT, .consumers = 1 };
FIXTURE_VARIANT_ADD(race, exclusive) { .way = EXCLUSIVE, .consumers = 2 };

FIXTURE_SETUP(race)
{
	self->way = variant->way;
	self->rounds = rounds(sizeof(long) == 8 ? 20000 : 5000);
	ASSERT_EQ(0, abi_open(&self->c, 64));
	if (variant->own)
		self->o = self->c;
	else {
		ASSERT_EQ(0, abi_open(&self->o, 64));
	}
	ASSERT_EQ(0, sem_init(&self->room, 0, 24));
	ASSERT_EQ(0, pthread_mutex_init(&self->reaping, NULL));
}

FIXTURE_TEARDOWN(race)
{
	if (!variant->own)
		abi_close(&self->o);
	abi_close(&self->c);
}

static bool sleep_until_ready(FIXTURE_DATA(race) *self, int ep)
{
	struct pollfd p = { .fd = self->c.fd, .events = POLLIN };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };
	fd_set set;

	switch (self->way) {
	case SPIN:
		return true;
	case POLL:
		return poll(&p, 1, -1) == 1 && p.revents == POLLIN;
	case SELECT:
		FD_ZERO(&set);
		FD_SET(self->c.fd, &set);
		return select(self->c.fd + 1, &set, NULL, NULL, NULL) == 1;
	case ONESHOT:
		if (epoll_ctl(ep, EPOLL_CTL_MOD, self->c.fd, &ev))
			return false;
		/* fall through */
	default:
		return epoll_wait(ep, &ev, 1, -1) == 1 && ev.events == EPOLLIN;
	}
}

static int make_epoll(FIXTURE_DATA(race) *self)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (self->way == EDGE)
		ev.events |= EPOLLET;
	else if (self->way == ONESHOT)
		ev.events |= EPOLLONESHOT;
	else if (self->way == EXCLUSIVE)
		ev.events |= EPOLLEXCLUSIVE;
	return epoll_ctl(ep, EPOLL_CTL_ADD, self->c.fd, &ev) ? -1 : ep;
}

/* The last event has been seen: wake the other consumer too. */
static bool finished(FIXTURE_DATA(race) *self)
{
	return __atomic_load_n(&self->seen, __ATOMIC_ACQUIRE) >= self->rounds ||
	       __atomic_load_n(&self->failed, __ATOMIC_ACQUIRE);
}

/* Takes all there is; false when something is wrong. */
static bool consume(FIXTURE_DATA(race) *self)
{
	uint32_t index[16], n, i;
	struct aop_status s;

	while ((n = abi_reap(&self->c, index, 16))) {
		for (i = 0; i < n; i++) {
			abi_read_slot(abi_slot(&self->c, index[i]), &s);
			/* A stale index whose slot is between two operations. */
			if (!s.data || s.state < AOP_DONE)
				continue;
			if (s.state != AOP_DONE || s.result != (int64_t)(s.data ^ 0x5a5a) ||
			    s.done != s.data)
				return false;
			if (abi_detach(&self->c, (uint64_t)s.gen << 32 | index[i], 0))
				return false;
			__atomic_add_fetch(&self->seen, 1, __ATOMIC_ACQ_REL);
			sem_post(&self->room);
		}
	}
	return true;
}

static void *consumer(void *arg)
{
	FIXTURE_DATA(race) *self = arg;
	int ep = make_epoll(self);
	bool ok = ep >= 0;

	while (ok && !finished(self)) {
		ok = sleep_until_ready(self, ep);
		/* The ring has one consumer at a time; exclusive waiters take turns. */
		pthread_mutex_lock(&self->reaping);
		ok = ok && consume(self);
		pthread_mutex_unlock(&self->reaping);
	}
	if (!ok) {
		__atomic_store_n(&self->failed, 1, __ATOMIC_RELEASE);
		sem_post(&self->room);
	}
	close(ep);
	return NULL;
}

/* One operation: made here, watched there; two changes that may merge, and the end. */
static bool signal_one(FIXTURE_DATA(race) *self, uint64_t n, bool own)
{
	uint64_t h = abi_new(&self->o, own ? n : 0, own ? AOP_EV_ALL : 0), w;
	struct aop_signal_entry e = {
		.handle = h,
		.what = AOP_SIGNAL_DONE | (own ? 0 : AOP_SIGNAL_DETACH),
		.value = n ^ 0x5a5a,
	};

	if (!h)
		return false;
	if (!own && abi_attach_id(&self->c, abi_id(&self->o, h), AOP_MAY_LOOK, n, AOP_EV_ALL, &w))
		return false;
	if (abi_progress(&self->o, h, n, 0))
		return false;
	return !abi_one(&self->o, AOP_IOC_SIGNAL, &e);
}

TEST_F_TIMEOUT(race, W2_no_event_is_lost, 600)
{
	pthread_t t[2];
	int i;

	for (i = 0; i < variant->consumers; i++) {
		ASSERT_EQ(0, pthread_create(&t[i], NULL, consumer, self));
	}
	for (i = 1; i <= self->rounds && !self->failed; i++) {
		while (sem_wait(&self->room))
			;
		ASSERT_TRUE(self->failed || signal_one(self, i, variant->own))
			TH_LOG("round %d", i);
	}
	if (variant->consumers > 1) {
		/* Each of the last events wakes one; go on until none is left asleep. */
		for (i = 0; i < variant->consumers; i++) {
			while (pthread_tryjoin_np(t[i], NULL)) {
				uint64_t h = abi_new(&self->c, 0, AOP_EV_FINAL);

				ASSERT_NE(0, h);
				ASSERT_EQ(0, abi_done(&self->c, h, 0));
				ASSERT_EQ(0, abi_detach(&self->c, h, 0));
			}
		}
	} else {
		pthread_join(t[0], NULL);
	}
	EXPECT_EQ(0, self->failed);
	EXPECT_EQ(self->rounds, self->seen);
	EXPECT_EQ(0, abi_handles(&self->c));
}

/*
 * The same, tighter: a change is one call, and the next one comes when the consumer
 * is on its way to sleep.  Here a change that is not seen stops the signaller.
 */
#define CHANGING	8

struct tight {
	FIXTURE_DATA(race) *self;
	uint64_t seen[CHANGING];	/* newest progress, by data - 1 */
	int stop;
};

static bool look_at_changes(struct tight *t)
{
	struct abi_ctx *c = &t->self->c;
	uint32_t index[4], n, i;
	struct aop_status s;

	while ((n = abi_reap(c, index, 4))) {
		for (i = 0; i < n; i++) {
			abi_read_slot(abi_slot(c, index[i]), &s);
			/* Of the one that only wakes, or what it left behind. */
			if (s.data == ~0ULL || !s.data)
				continue;
			if (s.data > CHANGING || s.done < t->seen[s.data - 1])
				return false;
			__atomic_store_n(&t->seen[s.data - 1], s.done, __ATOMIC_RELEASE);
		}
	}
	return true;
}

static void *change_consumer(void *arg)
{
	struct tight *t = arg;
	FIXTURE_DATA(race) *self = t->self;
	int ep = make_epoll(self);
	bool ok = ep >= 0;

	while (ok && !__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		ok = sleep_until_ready(self, ep);
		pthread_mutex_lock(&self->reaping);
		ok = ok && look_at_changes(t);
		pthread_mutex_unlock(&self->reaping);
	}
	if (!ok)
		__atomic_store_n(&self->failed, 1, __ATOMIC_RELEASE);
	close(ep);
	return NULL;
}

TEST_F_TIMEOUT(race, W2_no_change_is_lost, 600)
{
	struct tight t = { .self = self };
	uint64_t h[CHANGING], w;
	pthread_t thread[2];
	uint32_t random = 1;
	int i, k;

	for (i = 0; i < CHANGING; i++) {
		h[i] = abi_new(&self->o, i + 1, variant->own ? AOP_EV_CHANGE : 0);
		ASSERT_NE(0, h[i]);
		if (!variant->own) {
			ASSERT_EQ(0, abi_attach_id(&self->c, abi_id(&self->o, h[i]),
						   AOP_MAY_LOOK, i + 1, AOP_EV_CHANGE, &w));
		}
	}
	for (i = 0; i < variant->consumers; i++) {
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, change_consumer, &t));
	}
	for (i = 1; i <= self->rounds; i++) {
		k = i % CHANGING;
		ASSERT_EQ(0, abi_progress(&self->o, h[k], i, 0));
		random = random * 1103515245 + 12345;
		/* Mostly one by one, sometimes a few that may merge. */
		if (random >> 16 & 3)
			while (__atomic_load_n(&t.seen[k], __ATOMIC_ACQUIRE) != (uint64_t)i &&
			       !__atomic_load_n(&self->failed, __ATOMIC_ACQUIRE))
				;
		ASSERT_EQ(0, self->failed);
	}
	/* Wake them all until they have seen that it is over. */
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < variant->consumers; i++) {
		while (pthread_tryjoin_np(thread[i], NULL)) {
			uint64_t last = abi_new(&self->c, ~0ULL, AOP_EV_CHANGE);

			ASSERT_NE(0, last);
			ASSERT_EQ(0, abi_done(&self->c, last, 0));
			sched_yield();
			ASSERT_EQ(0, abi_detach(&self->c, last, 0));
		}
	}
	EXPECT_EQ(0, self->failed);
}

/* ---- one thing at a time -------------------------------------------------------------- */

FIXTURE(fds) {
	struct abi_ctx c;
	uint64_t handle;
	int fd;				/* of the operation, or of the context */
	bool ctx;
};

FIXTURE_VARIANT(fds) {
	bool ctx;
};

FIXTURE_VARIANT_ADD(fds, context) { .ctx = true };
FIXTURE_VARIANT_ADD(fds, operation) { .ctx = false };

FIXTURE_SETUP(fds)
{
	ASSERT_EQ(0, abi_open(&self->c, 64));
	self->handle = abi_new(&self->c, 1, AOP_EV_FINAL);
	ASSERT_NE(0, self->handle);
	self->ctx = variant->ctx;
	self->fd = variant->ctx ? dup(self->c.fd) :
				  abi_export(&self->c, self->handle, AOP_MAY_LOOK);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(fds)
{
	close(self->fd);
	abi_close(&self->c);
}

static int polled(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

static int selected(int fd)
{
	struct timeval now = { 0 };
	fd_set in, out, ex;
	int n;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&ex);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	FD_SET(fd, &ex);
	n = select(fd + 1, &in, &out, &ex, &now);
	return n <= 0 ? n : FD_ISSET(fd, &in) ? n : -1;
}

/* One more of what makes the descriptor readable, for a context. */
static bool another(struct abi_ctx *c)
{
	uint64_t h = abi_new(c, 2, AOP_EV_FINAL);

	return h && !abi_done(c, h, 0);
}

TEST_F(fds, K2_poll_select)
{
	EXPECT_EQ(0, polled(self->fd));
	EXPECT_EQ(0, selected(self->fd));
	ASSERT_EQ(0, abi_start(&self->c, self->handle));
	ASSERT_EQ(0, abi_progress(&self->c, self->handle, 1, 2));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, self->handle, 0));
	EXPECT_EQ(0, polled(self->fd));
	EXPECT_EQ(0, selected(self->fd));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	EXPECT_EQ(POLLIN, polled(self->fd));
	EXPECT_EQ(1, selected(self->fd));
	/* A context until its ring is empty, an operation for ever. */
	EXPECT_EQ(1, abi_drain(&self->c));
	EXPECT_EQ(self->ctx ? 0 : POLLIN, polled(self->fd));
	EXPECT_EQ(self->ctx ? 0 : 1, selected(self->fd));
}

static int epoll_with(int fd, uint32_t flags)
{
	struct epoll_event ev = { .events = EPOLLIN | flags };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) ? -errno : ep;
}

static int events(int ep)
{
	struct epoll_event ev;
	int n = epoll_wait(ep, &ev, 1, 0);

	return n <= 0 ? n : (int)ev.events;
}

TEST_F(fds, W10_level)
{
	int ep = epoll_with(self->fd, 0);

	ASSERT_GE(ep, 0);
	EXPECT_EQ(0, events(ep));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	EXPECT_EQ(EPOLLIN, events(ep));
	EXPECT_EQ(EPOLLIN, events(ep));
	abi_drain(&self->c);
	EXPECT_EQ(self->ctx ? 0 : EPOLLIN, events(ep));
	/* Added when it is ready already. */
	if (self->ctx) {
		ASSERT_TRUE(another(&self->c));
	}
	close(ep);
	ep = epoll_with(self->fd, 0);
	EXPECT_EQ(EPOLLIN, events(ep));
	close(ep);
}

TEST_F(fds, W10_edge)
{
	int ep = epoll_with(self->fd, EPOLLET);

	ASSERT_GE(ep, 0);
	EXPECT_EQ(0, events(ep));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	EXPECT_EQ(EPOLLIN, events(ep));
	EXPECT_EQ(0, events(ep));
	if (self->ctx) {
		/* Again after the ring was emptied. */
		EXPECT_EQ(1, abi_drain(&self->c));
		EXPECT_EQ(0, events(ep));
		ASSERT_TRUE(another(&self->c));
		EXPECT_EQ(EPOLLIN, events(ep));
		EXPECT_EQ(0, events(ep));
		EXPECT_EQ(1, abi_drain(&self->c));
	}
	/* Added when it is ready already: that is an edge too. */
	if (self->ctx) {
		ASSERT_TRUE(another(&self->c));
	}
	close(ep);
	ep = epoll_with(self->fd, EPOLLET);
	EXPECT_EQ(EPOLLIN, events(ep));
	EXPECT_EQ(0, events(ep));
	close(ep);
}

TEST_F(fds, W10_oneshot)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };
	int ep = epoll_with(self->fd, EPOLLONESHOT);

	ASSERT_GE(ep, 0);
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	EXPECT_EQ(EPOLLIN, events(ep));
	EXPECT_EQ(0, events(ep));
	if (self->ctx) {
		ASSERT_TRUE(another(&self->c));
	}
	EXPECT_EQ(0, events(ep));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_MOD, self->fd, &ev));
	EXPECT_EQ(EPOLLIN, events(ep));
	EXPECT_EQ(0, events(ep));
	abi_drain(&self->c);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_MOD, self->fd, &ev));
	EXPECT_EQ(self->ctx ? 0 : EPOLLIN, events(ep));
	close(ep);
}

/* Nested: an epoll set in another one. */
TEST_F(fds, W10_nested)
{
	int inner = epoll_with(self->fd, 0), outer;

	ASSERT_GE(inner, 0);
	outer = epoll_with(inner, 0);
	ASSERT_GE(outer, 0);
	EXPECT_EQ(0, events(outer));
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	EXPECT_EQ(EPOLLIN, events(outer));
	abi_drain(&self->c);
	EXPECT_EQ(self->ctx ? 0 : EPOLLIN, events(outer));
	close(outer);
	close(inner);
}

/* ---- several sleepers ------------------------------------------------------------------ */

struct sleeper {
	int fd;
	int ep;				/* or -1: poll */
	int got;
	pthread_t thread;
};

static void *sleeper(void *arg)
{
	struct sleeper *s = arg;
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	struct epoll_event ev = { 0 };

	if (s->ep < 0) {
		if (poll(&p, 1, -1) == 1)
			__atomic_store_n(&s->got, p.revents, __ATOMIC_RELEASE);
	} else if (epoll_wait(s->ep, &ev, 1, -1) == 1) {
		__atomic_store_n(&s->got, ev.events, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Returns when thread @tid of this process is in one of the states @state. */
static void until_asleep(int tid, const char *state)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	for (;;) {
		f = fopen(path, "re");
		if (!f)
			return;
		if (fgets(line, sizeof(line), f) && strchr(state, strrchr(line, ')')[2])) {
			fclose(f);
			return;
		}
		fclose(f);
		sched_yield();
	}
}

struct named {
	struct sleeper *s;
	int tid;
};

static void *named_sleeper(void *arg)
{
	struct named *n = arg;

	__atomic_store_n(&n->tid, gettid(), __ATOMIC_RELEASE);
	return sleeper(n->s);
}

static void start_asleep(struct sleeper *s)
{
	struct named n = { .s = s };

	pthread_create(&s->thread, NULL, named_sleeper, &n);
	while (!__atomic_load_n(&n.tid, __ATOMIC_ACQUIRE))
		sched_yield();
	until_asleep(n.tid, "S");
}

/* W3: all of them, by one event. */
TEST_F(fds, W3_all_pollers_wake)
{
	struct sleeper s[4];
	int i;

	for (i = 0; i < 4; i++) {
		s[i] = (struct sleeper){ .fd = self->fd, .ep = -1 };
		if (i % 2)
			s[i].ep = epoll_with(self->fd, i == 3 ? EPOLLET : 0);
		start_asleep(&s[i]);
	}
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	for (i = 0; i < 4; i++) {
		pthread_join(s[i].thread, NULL);
		EXPECT_EQ(POLLIN, s[i].got);
		if (s[i].ep >= 0)
			close(s[i].ep);
	}
}

/* EPOLLEXCLUSIVE: at least one for an event, and none is left out for ever. */
TEST_F(fds, W10_exclusive)
{
	struct sleeper s[3];
	int i, left = 3;

	for (i = 0; i < 3; i++) {
		s[i] = (struct sleeper){
			.fd = self->fd, .ep = epoll_with(self->fd, EPOLLEXCLUSIVE),
		};
		ASSERT_GE(s[i].ep, 0);
		start_asleep(&s[i]);
	}
	ASSERT_EQ(0, abi_done(&self->c, self->handle, 0));
	while (left) {
		for (i = 0; i < 3; i++) {
			if (s[i].fd < 0 || pthread_tryjoin_np(s[i].thread, NULL))
				continue;
			EXPECT_EQ(EPOLLIN, s[i].got);
			close(s[i].ep);
			s[i].fd = -1;
			left--;
			/* The final operation stays readable; who still sleeps looks anew. */
			if (!self->ctx) {
				int j;

				for (j = 0; j < 3; j++) {
					struct epoll_event ev = { .events = EPOLLIN };

					if (s[j].fd < 0)
						continue;
					epoll_ctl(s[j].ep, EPOLL_CTL_DEL, self->fd, NULL);
					epoll_ctl(s[j].ep, EPOLL_CTL_ADD, self->fd, &ev);
				}
			} else {
				abi_drain(&self->c);
				ASSERT_TRUE(another(&self->c));
			}
		}
		sched_yield();
	}
}

TEST_HARNESS_MAIN
