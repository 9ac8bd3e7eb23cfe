/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the numbers of a call become what it is made with: mostly values that make sense,
 * since nothing is found behind the first check otherwise.
 */
#ifndef SELFTESTS_FUZZ_VALUES_H
#define SELFTESTS_FUZZ_VALUES_H

#include <sys/mman.h>

#include "fuzz.h"

#define LEN(a)	(sizeof(a) / sizeof((a)[0]))

static inline int64_t value(uint16_t a)
{
	static const int64_t odd[] = {
		0, 1, -1, -2, -4095, -4096, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX, UINT32_MAX,
		-EOWNERDEAD, -ECANCELED, 4096, 1LL << 40, 77,
	};

	return a & 1 ? odd[(a >> 1) % LEN(odd)] : a >> 1;
}

static inline uint64_t until(uint16_t a)
{
	switch (a % 8) {
	case 0:
		return 0;
	case 1:
		return AOP_FOREVER_NS;
	case 2:
		return value(a >> 3);
	default:
		return abi_now() + (uint64_t)(a >> 3) * 1000;
	}
}

static inline struct abi_ctx *ctx(struct self *s, uint16_t a)
{
	return &s->w->ctx[a % CTXS];
}

static inline unsigned int among(unsigned int made, unsigned int places)
{
	return made < places ? made ? made : 1 : places;
}

/* Mostly one of the context that it is for. */
static inline uint64_t handle(struct self *s, uint16_t c, uint16_t a)
{
	unsigned int of = a >> 8 == 7 ? a % CTXS : c % CTXS;
	uint64_t h = s->w->handle[of][a % among(s->w->handles[of], HANDLES)];

	return a >> 12 == 15 ? h ^ 1ULL << (a >> 6 & 63) : h;
}

static inline uint64_t id(struct self *s, uint16_t a)
{
	return s->w->id[a % among(s->w->ids, IDS)];
}

static inline int opfd(struct self *s, uint16_t a)
{
	return s->w->opfd[a % among(s->w->opfds, FDS)];
}

static inline int event(struct self *s, uint16_t a)
{
	return s->w->event[a % among(s->w->events, FDS)];
}

/* What a waiter for changes would have seen: now, or something old. */
static inline uint32_t seq_of(struct self *s, uint16_t a, uint64_t h)
{
	struct abi_ctx *c = ctx(s, a);
	struct aop_ioc_query q;

	return abi_query(c, h, &q) ? 0 : q.status.seq;
}

/* Mostly all that a handle can be queued for. */
static inline uint32_t mask(uint16_t a)
{
	return a >> 13 == 7 ? a : a & AOP_EV_ALL;
}

static inline uint32_t next(unsigned int *made)
{
	return __atomic_fetch_add(made, 1, __ATOMIC_RELAXED);
}

static inline void keep(struct self *s, uint16_t c, uint64_t handle, uint64_t id)
{
	c %= CTXS;
	if (handle)
		s->w->handle[c][next(&s->w->handles[c]) % HANDLES] = handle;
	if (id)
		s->w->id[next(&s->w->ids) % IDS] = id;
}

static inline void keep_port(struct self *s, uint16_t c, uint64_t handle)
{
	c %= CTXS;
	if (handle)
		s->w->port[c][next(&s->w->ports[c]) % PORTS] = handle;
}

static inline void take_close(int *fd, int by)
{
	int old = __atomic_exchange_n(fd, by, __ATOMIC_RELAXED);

	if (old >= 0)
		close(old);
}

/*
 * Where the struct of a call goes: now and then its end, or its beginning, is not there.
 * @part: of the arena, so that several of one call do not overlap.
 */
static inline void *place(struct self *s, uint16_t a, unsigned int part, const void *what,
			  size_t size)
{
	char *p = s->arena + part * 2048;

	if (a >> 8 == 255)
		p = s->arena + ARENA - (a & 255) % (size + 1);
	else if (a >> 8 == 254)
		return (void *)(uintptr_t)value(a);
	/* Whatever does not fit is not there for the kernel either. */
	if (p + size > s->arena + ARENA)
		size = s->arena + ARENA - p;
	memcpy(p, what, size);
	return p;
}

/* Back out of the arena, where it is. */
static inline bool fetch(struct self *s, void *to, const void *from, size_t size)
{
	if ((char *)from < s->arena || (char *)from + size > s->arena + ARENA)
		return false;
	memcpy(to, from, size);
	return true;
}

static inline long call_struct(struct self *s, int fd, unsigned long cmd, void *st, size_t size,
			       uint16_t a)
{
	void *p = place(s, a, 0, st, size);
	long ret = abi_ioctl(fd, cmd, p);

	if (ret >= 0)
		fetch(s, st, p, size);
	return ret;
}

/* As a batch of one or more, or as the call for one. */
static inline long call_entries(struct self *s, int fd, unsigned long batch, unsigned long one,
				void *e, size_t size, unsigned int nr, uint16_t a)
{
	struct aop_ioc_batch b = { .size = sizeof(b), .entry_size = size, .nr = nr };
	void *p;
	long ret;

	if (nr == 1 && a & 1)
		return call_struct(s, fd, one, e, size, a);
	p = place(s, a << 1, 1, e, size * nr);
	b.entries = abi_u64(p);
	if (a % 64 == 2)
		b.entry_size = a >> 6;
	if (a % 64 == 4)
		b.done = 1;
	ret = call_struct(s, fd, batch, &b, sizeof(b), a);
	if (!fetch(s, e, p, size * nr))
		memset(e, 0, size * nr);
	return ret;
}

#endif /* SELFTESTS_FUZZ_VALUES_H */
