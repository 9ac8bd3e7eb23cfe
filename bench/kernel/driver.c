// SPDX-License-Identifier: GPL-2.0
/*
 * What a driver pays to end an op, beside eventfd_signal() to the same watcher.
 *
 * Counted in the kernel, around that one call (kmod/test/aop_selftest.c).  The watcher
 * is a thread that sleeps in epoll; the only processor goes to it when we sleep.  The
 * lower quartile of all rounds, so that neither a timer tick counts, nor what the
 * scheduler does now and then.
 */
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "../../selftests/driver_call.h"
#include "bench.h"

#define MODULE	"test/aop_selftest"
#define ROUND_US	200

struct watcher {
	int ep;
	int eventfd;		/* or -1 */
	struct abi_ctx c;
	bool stop;
	pthread_t thread;
};

static void *watch_run(void *arg)
{
	struct watcher *w = arg;
	struct epoll_event ev;
	uint32_t index[4];
	uint64_t count;

	for (;;) {
		want(epoll_wait(w->ep, &ev, 1, -1) == 1);
		if (__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
			return NULL;
		if (w->eventfd >= 0)
			want(read(w->eventfd, &count, sizeof(count)) == sizeof(count));
		else
			want(abi_reap(&w->c, index, 4) == 1);
	}
}

static void watch_begin(struct watcher *w, int eventfd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	w->eventfd = eventfd;
	w->stop = false;
	w->ep = epoll_create1(EPOLL_CLOEXEC);
	want(!abi_open(&w->c, 256));
	want(!epoll_ctl(w->ep, EPOLL_CTL_ADD, eventfd >= 0 ? eventfd : w->c.fd, &ev));
	want(!pthread_create(&w->thread, NULL, watch_run, w));
	usleep(ROUND_US);
}

static void watch_end(struct watcher *w)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = eventfd(1, EFD_CLOEXEC);

	__atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
	want(!epoll_ctl(w->ep, EPOLL_CTL_ADD, fd, &ev));
	pthread_join(w->thread, NULL);
	close(fd);
	close(w->ep);
	abi_close(&w->c);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Two passes of rounds; each is the cost of one call. */
static void count(struct bench *b, uint64_t (*round)(int dev, struct watcher *w),
		  int dev, struct watcher *w)
{
	uint64_t *cost = calloc(b->n, sizeof(*cost));
	unsigned int pass, i;

	want(cost);
	round(dev, w);
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < b->n; i++)
			cost[i] = round(dev, w);
		qsort(cost, b->n, sizeof(*cost), compare);
		b->count[pass] = cost[b->n / 4] * b->n;
	}
	b->pass = PASS_SECOND;
	free(cost);
}

static int driver_begin(void)
{
	int dev;

	want(!driver_load(MODULE, ""));
	dev = driver_open(AOP_SELFTEST_DEVICE);
	want(dev >= 0);
	return dev;
}

static void driver_end(int dev)
{
	close(dev);
	want(!driver_unload(MODULE));
}

static uint64_t cost_of(int dev, uint32_t what, int fd)
{
	struct selftest_call c = { .what = what, .fd = fd };

	want(!call(dev, &c));
	return c.total;
}

static uint64_t eventfd_round(int dev, struct watcher *w)
{
	uint64_t cost = cost_of(dev, SELFTEST_EVENTFD, w->eventfd);

	usleep(ROUND_US);
	return cost;
}

void driver_eventfd(struct bench *b)
{
	int dev = driver_begin(), fd = eventfd(0, EFD_CLOEXEC);
	struct watcher w;

	watch_begin(&w, fd);
	count(b, eventfd_round, dev, &w);
	watch_end(&w);
	close(fd);
	driver_end(dev);
}

static int create_op(int dev, uint32_t flags)
{
	struct selftest_call c = {
		.what = SELFTEST_CREATE, .flags = SELFTEST_RUNNING | flags,
	};
	int fd = call(dev, &c);

	want(fd >= 0);
	return fd;
}

static uint64_t watched_round(int dev, struct watcher *w)
{
	struct selftest_call c = {
		.what = SELFTEST_HANDLE, .aop_fd = w->c.fd, .mask = AOP_EV_FINAL,
	};
	int fd = create_op(dev, 0);
	uint64_t cost;

	want(!call(dev, &c));
	close(fd);
	cost = cost_of(dev, SELFTEST_DONE, -1);
	usleep(ROUND_US);
	want(!abi_detach(&w->c, c.total, 0));
	return cost;
}

void driver_watched(struct bench *b)
{
	int dev = driver_begin();
	struct watcher w;

	watch_begin(&w, -1);
	count(b, watched_round, dev, &w);
	watch_end(&w);
	driver_end(dev);
}

/* An open descriptor that nobody waits for. */
static uint64_t held(int dev, uint32_t what)
{
	int fd = create_op(dev, 0);
	uint64_t cost = cost_of(dev, what, -1);

	close(fd);
	return cost;
}

static uint64_t held_round(int dev, struct watcher *w)
{
	(void)w;
	return held(dev, SELFTEST_DONE);
}

void driver_held(struct bench *b)
{
	int dev = driver_begin();

	count(b, held_round, dev, NULL);
	driver_end(dev);
}

static uint64_t timed_round(int dev, struct watcher *w)
{
	(void)w;
	return held(dev, SELFTEST_DONE_AT);
}

void driver_timed(struct bench *b)
{
	int dev = driver_begin();

	count(b, timed_round, dev, NULL);
	driver_end(dev);
}

static uint64_t freed_round(int dev, struct watcher *w)
{
	(void)w;
	close(create_op(dev, SELFTEST_DETACHED));
	return cost_of(dev, SELFTEST_DONE, -1);
}

void driver_freed(struct bench *b)
{
	int dev = driver_begin();

	count(b, freed_round, dev, NULL);
	driver_end(dev);
}
