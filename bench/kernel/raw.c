// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/aop by its calls alone: what the module costs.
 *
 * The owner and the watcher have a context each.  Which process a context belongs
 * to makes no difference to what is executed here, so that one process has both.
 */
#include <string.h>
#include <sys/epoll.h>

#include "../../selftests/abi.h"
#include "bench.h"

/* The number of entries is known where it matters, as it is in a real program. */
#undef __always_inline
#define __always_inline	inline __attribute__((always_inline))

/* An owner, a watcher who sleeps in epoll, and nr ops between them. */
struct pair {
	struct abi_ctx own, see;
	int ep;
	unsigned int nr;
	struct aop_create_entry create[MANY];
	struct aop_attach_entry attach[MANY];
	struct aop_signal_entry signal[MANY];
	struct aop_detach_entry detach[MANY];
};

static void pair_open(struct pair *p, uint32_t slots)
{
	struct epoll_event ev = { .events = EPOLLIN };

	memset(p->signal, 0, sizeof(p->signal));
	want(!abi_open(&p->own, slots) && !abi_open(&p->see, slots));
	p->ep = epoll_create1(EPOLL_CLOEXEC);
	want(!epoll_ctl(p->ep, EPOLL_CTL_ADD, p->see.fd, &ev));
}

static void pair_close(struct pair *p)
{
	if (p->ep >= 0)
		close(p->ep);
	abi_close(&p->own);
	abi_close(&p->see);
}

/* One entry has calls of its own, whose answer is the entry's. */
#define batch(c, cmd, entries, nr)						\
do {										\
	if ((nr) == 1)								\
		(entries)->ret = ioctl((c)->fd, cmd ## _ONE, entries);		\
	else									\
		want(abi_batch((c)->fd, cmd, entries, sizeof(*(entries)), nr) ==	\
		     (int)(nr));						\
} while (0)

static __always_inline void create(struct pair *p, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		p->create[i] = (struct aop_create_entry) { .mode = 0600, .state = AOP_RUNNING };
	batch(&p->own, AOP_IOC_CREATE, p->create, nr);
}

static __always_inline void attach(struct pair *p, unsigned int nr, uint32_t mask)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		want(!p->create[i].ret);
		p->attach[i] = (struct aop_attach_entry) {
			.id = p->create[i].id, .fd = -1, .rights = AOP_MAY_LOOK, .mask = mask,
		};
	}
	batch(&p->see, AOP_IOC_ATTACH, p->attach, nr);
}

/* What signal_all() says, but for the value. */
static __always_inline void prepare(struct pair *p, unsigned int nr, uint32_t what)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		p->signal[i].handle = p->create[i].handle;
		p->signal[i].what = what;
	}
}

static __always_inline void signal_all(struct pair *p, unsigned int nr, int64_t value)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		p->signal[i].value = value;
	batch(&p->own, AOP_IOC_SIGNAL, p->signal, nr);
	for (i = 0; i < nr; i++)
		want(!p->signal[i].ret);
}

static __always_inline void detach(struct pair *p, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		p->detach[i] = (struct aop_detach_entry) { .handle = p->attach[i].handle };
	batch(&p->see, AOP_IOC_DETACH, p->detach, nr);
}

static __always_inline void sleep_in_epoll(struct pair *p)
{
	struct epoll_event ev;

	want(epoll_wait(p->ep, &ev, 1, -1) == 1);
}

/* Take @nr events out of the ring, and look at the state of each. */
static __always_inline void take(struct pair *p, unsigned int nr, unsigned int state)
{
	uint32_t index[MANY], i;

	want(abi_reap(&p->see, index, MANY) == nr);
	for (i = 0; i < nr; i++)
		want((__atomic_load_n(&abi_slot(&p->see, index[i])->word, __ATOMIC_ACQUIRE) &
		      0xff) == state);
}

/* Who only looks at the ring is in no epoll. */
static __always_inline void events(struct bench *b, unsigned int nr, bool epoll)
{
	static struct pair p;
	unsigned int i;

	pair_open(&p, nr > 256 ? nr : 256);
	if (!epoll) {
		close(p.ep);
		p.ep = -1;
	}
	create(&p, nr);
	attach(&p, nr, AOP_EV_CHANGE);
	prepare(&p, nr, AOP_SIGNAL_PROGRESS);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			signal_all(&p, nr, i);
			if (epoll)
				sleep_in_epoll(&p);
			take(&p, nr, AOP_RUNNING);
		}
	pair_close(&p);
}

void raw_event(struct bench *b)
{
	events(b, 1, true);
}

void raw_ring(struct bench *b)
{
	events(b, 1, false);
}

void raw_burst(struct bench *b)
{
	if (b->arg == BURST)
		events(b, BURST, true);
	else
		events(b, MANY, true);
}

/* The last event of an op: only the signal, epoll_wait and the look are counted. */
void raw_event_final(struct bench *b)
{
	struct aop_create_entry *made = calloc(b->n, sizeof(*made));
	uint64_t *seen = calloc(b->n, sizeof(*seen));
	struct pair p;
	unsigned int i;

	want(made && seen);
	pair_open(&p, b->n);
	do {
		for (i = 0; i < b->n; i++) {
			create(&p, 1);
			attach(&p, 1, AOP_EV_FINAL);
			made[i] = p.create[0];
			seen[i] = p.attach[0].handle;
		}
		if (!bench_pass(b))
			break;
		for (i = 0; i < b->n; i++) {
			p.create[0] = made[i];
			prepare(&p, 1, AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH);
			signal_all(&p, 1, i);
			sleep_in_epoll(&p);
			take(&p, 1, AOP_DONE);
		}
		bench_stop(b);
		for (i = 0; i < b->n; i++) {
			p.attach[0].handle = seen[i];
			detach(&p, 1);
		}
	} while (true);
	pair_close(&p);
	free(made);
	free(seen);
}

static __always_inline void life(struct bench *b, unsigned int nr)
{
	struct pair p;
	unsigned int i;

	pair_open(&p, 256);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			create(&p, nr);
			attach(&p, nr, AOP_EV_FINAL);
			prepare(&p, nr, AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH);
			signal_all(&p, nr, i);
			sleep_in_epoll(&p);
			take(&p, nr, AOP_DONE);
			detach(&p, nr);
		}
	pair_close(&p);
}

void raw_life(struct bench *b)
{
	life(b, 1);
}

void raw_life_batch(struct bench *b)
{
	life(b, BURST);
}

void raw_memory(struct bench *b)
{
	static struct pair p;
	unsigned int i;

	/* Touched now, so that only the kernel's pages are counted. */
	memset(&p, 0xff, sizeof(p));
	memory_used();
	b->bytes = memory_used();
	pair_open(&p, b->n);
	for (i = 0; i < b->n; i += BURST) {
		create(&p, BURST);
		attach(&p, BURST, AOP_EV_FINAL);
		want(!p.attach[0].ret && !p.attach[BURST - 1].ret);
	}
	b->bytes = memory_used() - b->bytes;
	pair_close(&p);
}

/* ---- looking ----------------------------------------------------------- */

void raw_load(struct bench *b)
{
	struct pair p;
	unsigned int i;

	pair_open(&p, 256);
	create(&p, 1);
	attach(&p, 1, 0);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++)
			want(abi_state(&p.see, p.attach[0].handle) == AOP_RUNNING);
	pair_close(&p);
}

void raw_query(struct bench *b)
{
	struct aop_ioc_query q;
	struct pair p;
	unsigned int i;

	pair_open(&p, 256);
	create(&p, 1);
	attach(&p, 1, 0);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++)
			want(!abi_query(&p.see, p.attach[0].handle, &q));
	pair_close(&p);
}

/* What a call of a character device costs before it does anything. */
void raw_empty(struct bench *b)
{
	struct pair p;
	unsigned int i;

	pair_open(&p, 256);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++)
			want(ioctl(p.see.fd, 0xffff, 0) == -1);
	pair_close(&p);
}
