// SPDX-License-Identifier: GPL-2.0
/*
 * What the fuzzer can call.  Each call is made of its numbers alone, and mostly of
 * values that make sense, since nothing is found behind the first check otherwise.
 */
#include <linux/aop_netlink.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../driver_call.h"
#include "fuzz.h"

#define LEN(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- values -------------------------------------------------------------- */

static int64_t value(uint16_t a)
{
	static const int64_t odd[] = {
		0, 1, -1, -2, -4095, -4096, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX, UINT32_MAX,
		-EOWNERDEAD, -ECANCELED, 4096, 1LL << 40, 77,
	};

	return a & 1 ? odd[(a >> 1) % LEN(odd)] : a >> 1;
}

static uint64_t until(uint16_t a)
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

static struct abi_ctx *ctx(struct self *s, uint16_t a)
{
	return &s->w->ctx[a % CTXS];
}

static unsigned int among(unsigned int made, unsigned int places)
{
	return made < places ? made ? made : 1 : places;
}

/* Mostly one of the context that it is for. */
static uint64_t handle(struct self *s, uint16_t c, uint16_t a)
{
	unsigned int of = a >> 8 == 7 ? a % CTXS : c % CTXS;
	uint64_t h = s->w->handle[of][a % among(s->w->handles[of], HANDLES)];

	return a >> 12 == 15 ? h ^ 1ULL << (a >> 6 & 63) : h;
}

static uint64_t id(struct self *s, uint16_t a)
{
	return s->w->id[a % among(s->w->ids, IDS)];
}

static int opfd(struct self *s, uint16_t a)
{
	return s->w->opfd[a % among(s->w->opfds, FDS)];
}

static int event(struct self *s, uint16_t a)
{
	return s->w->event[a % among(s->w->events, FDS)];
}

/* What a waiter for changes would have seen: now, or something old. */
static uint32_t seq_of(struct self *s, uint16_t a, uint64_t h)
{
	struct abi_ctx *c = ctx(s, a);
	struct aop_ioc_query q;

	return abi_query(c, h, &q) ? 0 : q.status.seq;
}

/* Mostly all that a handle can be queued for. */
static uint32_t mask(uint16_t a)
{
	return a >> 13 == 7 ? a : a & AOP_EV_ALL;
}

static uint32_t next(unsigned int *made)
{
	return __atomic_fetch_add(made, 1, __ATOMIC_RELAXED);
}

static void keep(struct self *s, uint16_t c, uint64_t handle, uint64_t id)
{
	c %= CTXS;
	if (handle)
		s->w->handle[c][next(&s->w->handles[c]) % HANDLES] = handle;
	if (id)
		s->w->id[next(&s->w->ids) % IDS] = id;
}

static void take_close(int *fd, int by)
{
	int old = __atomic_exchange_n(fd, by, __ATOMIC_RELAXED);

	if (old >= 0)
		close(old);
}

/*
 * Where the struct of a call goes: now and then its end, or its beginning, is not there.
 * @part: of the arena, so that several of one call do not overlap.
 */
static void *place(struct self *s, uint16_t a, unsigned int part, const void *what, size_t size)
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
static bool fetch(struct self *s, void *to, const void *from, size_t size)
{
	if ((char *)from < s->arena || (char *)from + size > s->arena + ARENA)
		return false;
	memcpy(to, from, size);
	return true;
}

static long call_struct(struct self *s, int fd, unsigned long cmd, void *st, size_t size,
			uint16_t a)
{
	void *p = place(s, a, 0, st, size);
	long ret = abi_ioctl(fd, cmd, p);

	if (ret >= 0)
		fetch(s, st, p, size);
	return ret;
}

/* As a batch of one or more, or as the call for one. */
static long call_entries(struct self *s, int fd, unsigned long batch, unsigned long one, void *e,
			 size_t size, unsigned int nr, uint16_t a)
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

/* ---- contexts ------------------------------------------------------------ */

static void stale(struct self *s, struct abi_ctx *c)
{
	struct abi_ctx *old = &s->w->stale[__atomic_fetch_add(&s->w->nr_stale, 1,
							      __ATOMIC_RELAXED)];

	*old = *c;
	c->head = NULL;
	c->ring = NULL;
	old->fd = -1;
}

static long do_open(struct self *s, const uint16_t *a)
{
	struct abi_ctx *c = ctx(s, a[0]), fresh = { .fd = abi_open_file() };

	if (fresh.fd < 0)
		return fresh.fd;
	if (a[1] % 4) {
		abi_setup(&fresh, a[2] % 512);
		if (fresh.slots && a[1] % 8 != 1)
			abi_map(&fresh);
	}
	/* Not all at once; the mappings of the old one stay, and with them its file, to the end. */
	stale(s, c);
	take_close(&c->fd, fresh.fd);
	c->slots = fresh.slots;
	c->head = fresh.head;
	c->ring = fresh.ring;
	c->slots_at = fresh.slots_at;
	c->area_size = fresh.area_size;
	c->area_offset = fresh.area_offset;
	c->head_size = fresh.head_size;
	return 0;
}

static long do_close(struct self *s, const uint16_t *a)
{
	take_close(&ctx(s, a[0])->fd, -1);
	return 0;
}

static long do_setup(struct self *s, const uint16_t *a)
{
	struct aop_ioc_setup st = {
		.size = a[2] % 16 ? (uint32_t)sizeof(st) : a[2] >> 4, .slots = value(a[1]),
		.flags = a[2] % 32 == 1,
	};

	/* Half a gigabyte is not what is looked for. */
	if (st.slots > 1 << 16 && a[2] % 8)
		st.slots &= 0xfff;
	return call_struct(s, ctx(s, a[0])->fd, AOP_IOC_SETUP, &st, sizeof(st), a[3]);
}

static long do_features(struct self *s, const uint16_t *a)
{
	struct aop_ioc_features f = { .size = a[1] % 4 ? sizeof(f) : a[1] };

	return call_struct(s, ctx(s, a[0])->fd, AOP_IOC_FEATURES, &f, sizeof(f), a[2]);
}

static long do_mmap(struct self *s, const uint16_t *a)
{
	struct abi_ctx *c = ctx(s, a[0]);
	bool head = a[1] & 1;
	size_t size = head ? 4096 : c->area_size;
	int prot = a[2] % 4 ? (head ? PROT_READ | PROT_WRITE : PROT_READ) : a[2] >> 2 & 7;
	volatile char *p;

	if (a[1] % 16 == 2)
		size += 4096;
	p = mmap(NULL, size ? size : 4096, prot, a[1] % 32 == 4 ? MAP_PRIVATE : MAP_SHARED, c->fd,
		 head ? 0 : a[1] % 8 == 6 ? a[3] * 4096 : c->area_offset);
	if (p == MAP_FAILED)
		return -errno;
	/* Its pages as far as they are surely there: a signal would end us otherwise. */
	if (prot & PROT_READ && (head || c->slots))
		(void)*p;
	if (a[3] & 1)
		mprotect((void *)p, 4096, a[3] >> 1 & 7);
	munmap((void *)p, size);
	return 0;
}

static long do_poll(struct self *s, const uint16_t *a)
{
	struct pollfd p[3] = {
		{ .fd = ctx(s, a[0])->fd, .events = POLLIN },
		{ .fd = opfd(s, a[1]), .events = POLLIN },
		{ .fd = ctx(s, a[2])->fd, .events = POLLIN },
	};
	struct epoll_event e = { .events = EPOLLIN | (a[3] & 1 ? EPOLLET : 0) };
	int ep, i;
	long ret;

	if (a[3] % 4)
		return poll(p, 3, a[4] % 4);
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < 3; i++)
		epoll_ctl(ep, EPOLL_CTL_ADD, p[i].fd, &e);
	ret = epoll_wait(ep, &e, 1, a[4] % 4);
	close(ep);
	return ret;
}

static long do_reap(struct self *s, const uint16_t *a)
{
	struct abi_ctx *c = ctx(s, a[0]);
	uint32_t index[16], n;

	if (!c->head || !c->ring)
		return 0;
	n = abi_tail(c);
	__atomic_store_n(c->head, a[1] % 8 ? n : n + value(a[2]), __ATOMIC_RELEASE);
	(void)index;
	return n;
}

static long do_fdinfo(struct self *s, const uint16_t *a)
{
	return abi_fdinfo(a[0] & 1 ? opfd(s, a[1]) : ctx(s, a[1])->fd, "none");
}

static long do_raw(struct self *s, const uint16_t *a)
{
	unsigned long cmd = _IOC(a[0] & 3, a[0] & 4 ? 0 : AOP_IOC_TYPE, a[1] % 20, a[0] >> 3);
	uint64_t raw[32];
	unsigned int i;

	for (i = 0; i < 32; i++)
		raw[i] = value(a[2] + i * a[3]);
	raw[0] = (raw[0] & ~0xffffffffULL) | a[4] % 256;
	return call_struct(s, ctx(s, a[5])->fd, cmd, raw, sizeof(raw), a[5]);
}

/* ---- operations ---------------------------------------------------------- */

static long do_create(struct self *s, const uint16_t *a)
{
	static const char * const label[] = {
		"", "fuzz", "a label that has more letters than fit, so that it is refused by all",
	};
	unsigned int nr = a[1] % 4 ? 1 : a[1] % 40, i;
	struct aop_create_entry e[40];
	long ret;

	memset(e, 0, sizeof(e));
	for (i = 0; i < nr; i++) {
		e[i].data = a[2];
		e[i].mask = mask(a[2]);
		e[i].state = a[3] % 8 ? a[3] & 1 : a[3] >> 3 & 7;
		e[i].result = e[i].state == AOP_DONE ? value(a[4]) : e[i].state > 1 ?
			      -(a[4] % 5000) : 0;
		e[i].flags = a[3] >> 6 & 1;
		e[i].mode = a[3] >> 7 & 0666;
		if (a[4] & 1)
			e[i].label = abi_u64(label[(a[4] >> 1) % 3]);
		if (a[4] & 16)
			e[i].parent = id(s, a[4]);
		if (a[4] & 32)
			e[i].deadline = until(a[5]);
	}
	ret = call_entries(s, ctx(s, a[0])->fd, AOP_IOC_CREATE, AOP_IOC_CREATE_ONE, e, sizeof(e[0]),
			   nr, a[5]);
	for (i = 0; i < nr; i++)
		keep(s, a[0], e[i].handle, e[i].id);
	return ret;
}

static void fill_signal(struct self *s, uint16_t c, struct aop_signal_entry *e, uint16_t h,
			uint16_t what,
			uint16_t v)
{
	e->handle = handle(s, c, h);
	e->what = what % 16 ? what % 6 : what >> 4;
	if (what & 64 && e->what >= AOP_SIGNAL_DONE)
		e->what |= AOP_SIGNAL_DETACH;
	if (e->what != AOP_SIGNAL_START && (e->what & 0xff) != AOP_SIGNAL_LET_GO)
		e->value = (e->what & 0xff) == AOP_SIGNAL_FAIL ? -(v % 4000) - 1 :
			   (e->what & 0xff) == AOP_SIGNAL_CANCELLED ? -(v % 4000) : value(v);
	if (e->what == AOP_SIGNAL_PROGRESS)
		e->total = v;
	if (v % 61 == 7)
		e->value = value(v);
}

static long do_signal(struct self *s, const uint16_t *a)
{
	unsigned int nr = a[1] % 4 ? 1 : a[1] % 20, i;
	struct aop_signal_entry e[20];

	memset(e, 0, sizeof(e));
	for (i = 0; i < nr; i++)
		fill_signal(s, a[0], &e[i], a[2] + i, a[3] + i * (a[1] >> 5), a[4]);
	return call_entries(s, ctx(s, a[0])->fd, AOP_IOC_SIGNAL, AOP_IOC_SIGNAL_ONE, e,
			    sizeof(e[0]),
			    nr, a[5]);
}

static long do_cancel(struct self *s, const uint16_t *a)
{
	struct aop_cancel_entry e[4] = { };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		e[i].handle = handle(s, a[0], a[1] + i);
		e[i].reason = a[2] & 1 ? value(a[2]) : -(a[2] >> 1);
	}
	return call_entries(s, ctx(s, a[0])->fd, AOP_IOC_CANCEL, AOP_IOC_CANCEL_ONE, e,
			    sizeof(e[0]),
			    a[3] % 4 ? 1 : 4, a[4]);
}

static long do_detach(struct self *s, const uint16_t *a)
{
	struct aop_detach_entry e[16] = { };
	unsigned int i;

	for (i = 0; i < 16; i++) {
		e[i].handle = handle(s, a[0], a[1] + i);
		e[i].rights = a[2] % 4 ? 0 : a[2] >> 2 & 15;
	}
	return call_entries(s, ctx(s, a[0])->fd, AOP_IOC_DETACH, AOP_IOC_DETACH_ONE, e,
			    sizeof(e[0]),
			    a[3] % 4 ? 1 : a[3] >> 2 & 15, a[4]);
}

static long do_modify(struct self *s, const uint16_t *a)
{
	struct aop_modify_entry e[4] = { };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		e[i].handle = handle(s, a[0], a[1] + i);
		e[i].mask = mask(a[2]);
		e[i].data = a[3];
	}
	return call_entries(s, ctx(s, a[0])->fd, AOP_IOC_MODIFY, AOP_IOC_MODIFY_ONE, e,
			    sizeof(e[0]),
			    a[3] % 4 ? 1 : 4, a[4]);
}

static long do_attach(struct self *s, const uint16_t *a)
{
	struct aop_attach_entry e[8] = { };
	unsigned int nr = a[4] % 4 ? 1 : a[4] >> 2 & 7, i;
	long ret;

	for (i = 0; i < nr; i++) {
		e[i].fd = a[1] & 1 ? opfd(s, a[1] >> 1) : -1;
		e[i].id = id(s, a[1] + i);
		e[i].rights = a[2] % 4 ? a[2] >> 2 & 3 : a[2] >> 2 & 15;
		e[i].mask = mask(a[3]);
		e[i].data = a[3];
	}
	ret = call_entries(s, ctx(s, a[0])->fd, AOP_IOC_ATTACH, AOP_IOC_ATTACH_ONE, e, sizeof(e[0]),
			   nr, a[5]);
	for (i = 0; i < nr; i++)
		keep(s, a[0], e[i].handle, 0);
	return ret;
}

static long do_export(struct self *s, const uint16_t *a)
{
	struct aop_ioc_export e = {
		.size = sizeof(e), .handle = handle(s, a[0], a[1]),
		.rights = a[2] % 4 ? a[2] >> 2 & 3 : a[2] >> 2 & 15,
	};
	long ret = call_struct(s, ctx(s, a[0])->fd, AOP_IOC_EXPORT, &e, sizeof(e), a[3]);

	if (ret >= 0)
		take_close(&s->w->opfd[next(&s->w->opfds) % FDS], ret);
	return ret;
}

static long do_opfd(struct self *s, const uint16_t *a)
{
	struct aop_status st;
	int fd = opfd(s, a[0]);

	if (a[1] % 8 == 0)
		take_close(&s->w->opfd[a[0] % among(s->w->opfds, FDS)], -1);
	else if (a[1] & 1)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	if (a[1] % 8 == 2)
		return read(fd, place(s, a[2], 0, &st, sizeof(st)), a[3] % 128);
	return read(fd, &st, sizeof(st));
}

static long do_group(struct self *s, const uint16_t *a)
{
	struct aop_ioc_group g = {
		.size = sizeof(g), .flags = a[1] & 15, .nr = a[2] % 12, .need = a[3] % 4 ?
			a[3] % 12 : 1,
		.mask = AOP_EV_ALL, .mode = 0600, .deadline = a[5] & 1 ? until(a[5] >> 1) : 0,
		.parent = id(s, a[3]),
	};
	uint64_t members[12];
	unsigned int i;
	long ret;

	for (i = 0; i < 12; i++)
		members[i] = handle(s, a[0], a[4] + i);
	g.members = abi_u64(place(s, a[1] << 1, 1, members, sizeof(members)));
	ret = call_struct(s, ctx(s, a[0])->fd, AOP_IOC_GROUP, &g, sizeof(g), a[5]);
	if (!ret)
		keep(s, a[0], g.handle, g.id);
	return ret;
}

static long do_query(struct self *s, const uint16_t *a)
{
	struct aop_ioc_query q = {
		.size = a[3] % 16 ? sizeof(q) : a[3], .handle = a[1] & 1 ? 0 : handle(s, a[0],
										      a[1] >> 1),
		.id = id(s, a[1] >> 1),
	};

	return call_struct(s, ctx(s, a[0])->fd, AOP_IOC_QUERY, &q, sizeof(q), a[2]);
}

static long do_wait(struct self *s, const uint16_t *a)
{
	struct aop_wait_entry e[8] = { };
	struct aop_signal_entry g[4] = { };
	struct aop_ioc_wait w = {
		.size = sizeof(w), .entry_size = sizeof(e[0]), .nr = a[1] % 9,
		.need = a[1] >> 4 & 3,
		.deadline = until(a[2]), .signal_size = sizeof(g[0]),
		.nr_signals = a[3] % 4 ? 0 : a[3] >> 2 & 3, .signalled = a[3] % 64 == 8,
	};
	unsigned int i;

	for (i = 0; i < 8; i++) {
		e[i].handle = handle(s, a[0], a[4] + i);
		e[i].mask = a[4] & 32 ? AOP_EV_FINAL | AOP_EV_CHANGE : (a[4] >> 6 & AOP_EV_ALL);
		e[i].seq = a[4] & 64 ? 0 : seq_of(s, a[0], e[i].handle);
	}
	for (i = 0; i < 4; i++)
		fill_signal(s, a[0], &g[i], a[5] + i, a[3], a[5]);
	w.entries = abi_u64(place(s, a[1] << 2, 1, e, sizeof(e)));
	w.signals = abi_u64(place(s, a[3] << 2, 2, g, sizeof(g)));
	if (a[1] % 61 == 60)
		w.entry_size = a[2] % 64;
	return call_struct(s, ctx(s, a[0])->fd, AOP_IOC_WAIT, &w, sizeof(w), a[5]);
}

static long do_import(struct self *s, const uint16_t *a)
{
	struct aop_ioc_import i = {
		.size = sizeof(i), .fd = event(s, a[1]), .mask = mask(a[2]), .mode = 0600,
		.label = a[3] & 1 ? abi_u64("imported") : 0, .deadline = a[3] & 2 ?
			 until(a[3] >> 2) : 0,
		.parent = id(s, a[3]),
	};
	long ret = call_struct(s, ctx(s, a[0])->fd, AOP_IOC_IMPORT, &i, sizeof(i), a[4]);

	if (!ret)
		keep(s, a[0], i.handle, i.id);
	return ret;
}

static long do_eventfd(struct self *s, const uint16_t *a)
{
	struct aop_ioc_eventfd e = {
		.size = sizeof(e), .handle = a[1] % 8 ? handle(s, a[0], a[1] >> 3) : 0,
		.fd = event(s, a[2]), .mask = a[3] % 4 ? mask(a[3]) : 0,
	};

	return call_struct(s, ctx(s, a[0])->fd, AOP_IOC_EVENTFD, &e, sizeof(e), a[4]);
}

/* From drivers/dma-buf/sw_sync.c. */
struct sw_sync_create {
	uint32_t value;
	char name[32];
	int32_t fence;
};

#define SW_SYNC_CREATE	_IOWR('W', 0, struct sw_sync_create)
#define SW_SYNC_INC	_IOW('W', 1, uint32_t)

static long do_source(struct self *s, const uint16_t *a)
{
	int *fd = &s->w->event[a[0] % 6 < 2 ? next(&s->w->events) % FDS :
			       a[1] % among(s->w->events, FDS)];
	struct sw_sync_create c = { .value = a[2] % 4, .name = "fuzz" };
	uint64_t one = value(a[2]);
	uint32_t inc = 1;

	switch (a[0] % 6) {
	case 0:
		take_close(fd, eventfd(a[2] & 1, EFD_CLOEXEC | EFD_NONBLOCK));
		return 0;
	case 1:
		if (s->w->sync >= 0 && !ioctl(s->w->sync, SW_SYNC_CREATE, &c))
			take_close(fd, c.fence);
		return 0;
	case 2:
		return ioctl(s->w->sync, SW_SYNC_INC, &inc);
	case 3:
		take_close(fd, -1);
		return 0;
	case 4:
		return read(*fd, &one, sizeof(one));
	default:
		return write(*fd, &one, sizeof(one));
	}
}

/* ---- other processes ------------------------------------------------------ */

/* One that owns, watches and waits, and is killed, or ends. */
static long do_child(struct self *s, const uint16_t *a)
{
	struct abi_ctx c;
	uint64_t h;
	pid_t pid = fork();
	int i;

	if (pid < 0)
		return -errno;
	if (!pid) {
		/* A context of the parent, which is none of ours. */
		abi_query_id(ctx(s, a[0]), id(s, a[1]), &(struct aop_ioc_query) { });
		if (abi_open(&c, 64))
			_exit(1);
		for (i = 0; i < a[2] % 4; i++)
			abi_new(&c, i, AOP_EV_ALL);
		if (!abi_attach_fd(&c, opfd(s, a[1]), 0, 1, AOP_EV_ALL, &h) && a[3] & 1)
			abi_start(&c, h);
		if (!abi_attach_id(&c, id(s, a[1]), 0, 1, AOP_EV_ALL, &h) && a[3] & 2)
			abi_wait_one(&c, h, AOP_EV_FINAL, 0);
		_exit(0);
	}
	if (a[4] & 1)
		usleep(a[4] % 4096);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

/* ---- netlink --------------------------------------------------------------- */

struct message {
	struct nlmsghdr h;
	struct genlmsghdr g;
	char attrs[1024];
};

static void *attr(struct message *m, uint16_t type, const void *data, size_t size)
{
	struct nlattr *a = (void *)((char *)m + NLMSG_ALIGN(m->h.nlmsg_len));

	if ((char *)a + NLA_ALIGN(size) + NLA_HDRLEN > (char *)(m + 1))
		return a;
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + size;
	if (size)
		memcpy(a + 1, data, size);
	m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len) + NLA_ALIGN(a->nla_len);
	return a;
}

static long drain(int fd)
{
	char buf[8192];
	long ret, sum = 0;

	while ((ret = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		sum += ret;
	return sum;
}

static void filter(struct self *s, struct message *m, const uint16_t *a)
{
	struct nlattr *nest = attr(m, AOP_A_FILTER | NLA_F_NESTED, NULL, 0);
	uint32_t word = value(a[4]), bits = a[3];
	uint64_t number = a[4] & 1 ? id(s, a[4]) : (uint64_t)value(a[4]);
	static const char label[] = "fuzz";

	if (bits & 1)
		attr(m, AOP_A_FILTER_STATES, &word, 4);
	if (bits & 2)
		attr(m, AOP_A_FILTER_UID, &(uint32_t) { a[4] & 2 ? word : 0 }, 4);
	if (bits & 4)
		attr(m, AOP_A_FILTER_PID, &(uint32_t) { a[4] & 4 ? word : (uint32_t)getpid() }, 4);
	if (bits & 8)
		attr(m, AOP_A_FILTER_LABEL, label, a[4] % 6);
	if (bits & 16)
		attr(m, AOP_A_FILTER_PARENT, &number, 8);
	if (bits & 32)
		attr(m, AOP_A_FILTER_MIN_AGE, &number, 8);
	if (bits & 64)
		attr(m, AOP_A_FILTER_MAX_AGE, &number, 8);
	if (bits % 31 == 30)
		attr(m, bits >> 5 & 15, &number, bits >> 9 & 7);
	nest->nla_len = (char *)m + m->h.nlmsg_len - (char *)nest;
}

static long do_netlink(struct self *s, const uint16_t *a)
{
	int *fd = &s->w->netlink[a[5] & 1];
	struct message m = {
		.h = {
			.nlmsg_type = s->w->family,
			.nlmsg_flags = NLM_F_REQUEST | (a[0] & 16 ? NLM_F_ACK : 0),
			.nlmsg_len = NLMSG_LENGTH(sizeof(struct genlmsghdr)),
		},
		.g = { .cmd = a[0] % 8 ? a[0] % 4 + 1 : a[0] >> 8, .version = 1 },
	};
	int32_t reason = -(a[2] % 5000);

	if (a[0] % 64 == 63) {
		take_close(fd, socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
		return 0;
	}
	if (m.g.cmd == AOP_CMD_GET && a[0] & 32)
		m.h.nlmsg_flags |= NLM_F_DUMP;
	if (a[1] % 8 && !(m.h.nlmsg_flags & NLM_F_DUMP) && m.g.cmd != AOP_CMD_SUBSCRIBE)
		attr(&m, AOP_A_ID, &(uint64_t) { id(s, a[1]) }, 8);
	if (a[2] & 1 && m.g.cmd == AOP_CMD_CANCEL)
		attr(&m, AOP_A_REASON, &reason, 4);
	if (m.g.cmd == AOP_CMD_SUBSCRIBE && a[2] & 2)
		attr(&m, AOP_A_INTERVAL, &(int64_t) { value(a[2]) }, 8);
	if (a[2] & 4 && (m.g.cmd == AOP_CMD_SUBSCRIBE || m.h.nlmsg_flags & NLM_F_DUMP))
		filter(s, &m, a);
	if (a[2] % 64 == 63)
		attr(&m, a[3] % 40, a, a[3] >> 8 & 15);
	if (a[1] % 128 == 127)
		m.h.nlmsg_len -= a[1] >> 7 & 3;
	send(*fd, &m, m.h.nlmsg_len, MSG_DONTWAIT);
	return a[5] & 2 ? 0 : drain(*fd);
}

/* ---- a driver --------------------------------------------------------------- */

static long do_driver(struct self *s, const uint16_t *a)
{
	struct world *w = s->w;
	uint8_t *owned = &w->owned[a[1] % 8], *watched = &w->watched[a[1] % 8];
	struct selftest_call c = {
		.index = a[1] % 8, .fd = opfd(s, a[2]), .context = a[3] % 3, .value = value(a[4]),
		.total = a[5], .aop_fd = ctx(s, a[2])->fd, .mask = AOP_EV_ALL,
	};
	static const uint8_t ends[] = {
		SELFTEST_DONE, SELFTEST_FAIL, SELFTEST_CANCELLED, SELFTEST_LET_GO,
	};
	long ret = -EAGAIN;

	/* These two need no owner, and may sleep. */
	if (a[0] % 16 == 14 || a[0] % 16 == 15) {
		c.what = a[0] % 16 == 14 ? SELFTEST_WAIT : SELFTEST_CANCEL;
		c.value = a[0] % 16 == 14 ? (int64_t)abi_now() + a[4] * 10 : -(a[4] % 4000) - 1;
		return call(w->dev, &c);
	}
	pthread_mutex_lock(&w->driver);
	switch (a[0] % 16) {
	case 0 ... 3:
		if (*owned)
			break;
		c.what = SELFTEST_CREATE;
		c.flags = a[3] & (SELFTEST_RUNNING | SELFTEST_DETACHED);
		c.value = a[4] & 1 ? 0 : abi_now() + a[4] * 100;
		ret = call(w->dev, &c);
		if (ret < 0)
			break;
		*owned = 1;
		take_close(&w->opfd[next(&w->opfds) % FDS], ret);
		break;
	case 4 ... 7:
		if (!*owned)
			break;
		c.what = a[0] & 16 ? SELFTEST_START : a[0] & 32 ? SELFTEST_ASKED :
			 SELFTEST_PROGRESS;
		ret = call(w->dev, &c);
		break;
	case 8 ... 9:
		if (!*owned)
			break;
		*owned = 0;
		c.what = ends[a[0] >> 4 & 3];
		if (c.what == SELFTEST_FAIL || c.what == SELFTEST_CANCELLED)
			c.value = -(a[4] % 4000) - 1;
		ret = call(w->dev, &c);
		break;
	case 10:
		if (!*owned)
			break;
		c.what = SELFTEST_HANDLE;
		ret = call(w->dev, &c);
		if (!ret)
			keep(s, a[2], c.total, 0);
		break;
	case 11:
		if (*watched)
			break;
		c.what = SELFTEST_WATCH;
		if (a[2] & 1) {
			c.fd = -1;
			c.value = handle(s, a[2], a[4]);
		}
		c.mask = mask(a[3]);
		ret = call(w->dev, &c);
		*watched = !ret;
		break;
	case 12:
		if (!*watched)
			break;
		*watched = 0;
		c.what = SELFTEST_UNWATCH;
		ret = call(w->dev, &c);
		break;
	case 13:
		c.what = SELFTEST_DESTROY;
		ret = call(w->dev, &c);
		memset(w->owned, 0, sizeof(w->owned));
	}
	pthread_mutex_unlock(&w->driver);
	return ret;
}

/* ---- knobs -------------------------------------------------------------------- */

static long write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	long ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text));
	close(fd);
	return ret;
}

static long do_knob(struct self *s, const uint16_t *a)
{
	static const struct {
		const char *name;
		uint32_t values[4];
	} knob[] = {
		{ "seq_start", { 0, 0xfffffff0, 0x7ffffffe, 2 } },
		{ "ring_start", { 0, 0xfffffff8, 0x7fffffff, 64 } },
		{ "spare_ops", { 0, 1, 64, 8 } },
		{ "max_handles", { 1 << 20, 1 << 20, 40, 1000 } },
	};
	char line[64];

	(void)s;
	if (a[0] % 4 == 0)
		return write_to("/sys/kernel/debug/aop/counters", a[1] & 1 ? "1" : "0");
	if (a[0] % 4 == 1) {
		FILE *f = fopen("/sys/kernel/debug/aop/counters", "re");

		while (f && fgets(line, sizeof(line), f))
			;
		return f ? fclose(f) : -errno;
	}
	return abi_param_set(knob[a[1] % LEN(knob)].name, knob[a[1] % LEN(knob)].values[a[2] % 4]);
}

const struct kind kinds[] = {
	{ "open", do_open, 4 },
	{ "close", do_close, 2 },
	{ "setup", do_setup, 2 },
	{ "features", do_features, 1 },
	{ "mmap", do_mmap, 2 },
	{ "poll", do_poll, 4 },
	{ "reap", do_reap, 4 },
	{ "fdinfo", do_fdinfo, 1 },
	{ "raw", do_raw, 2 },
	{ "create", do_create, 16 },
	{ "signal", do_signal, 12 },
	{ "cancel", do_cancel, 5 },
	{ "detach", do_detach, 5 },
	{ "modify", do_modify, 3 },
	{ "attach", do_attach, 8 },
	{ "export", do_export, 6 },
	{ "opfd", do_opfd, 3 },
	{ "group", do_group, 8 },
	{ "query", do_query, 3 },
	{ "wait", do_wait, 8 },
	{ "import", do_import, 6 },
	{ "eventfd", do_eventfd, 4 },
	{ "source", do_source, 6 },
	{ "child", do_child, 1 },
	{ "netlink", do_netlink, 8 },
	{ "driver", do_driver, 10 },
	{ "knob", do_knob, 1 },
};

const unsigned int nr_kinds = LEN(kinds);

/* ---- the world ----------------------------------------------------------------- */

/* What nobody can do without is there from the start. */
void world_begin(struct world *w)
{
	uint16_t family = w->family;
	unsigned int i;

	memset(w, 0, sizeof(*w));
	w->family = family;
	pthread_mutex_init(&w->driver, NULL);
	for (i = 0; i < FDS; i++) {
		w->opfd[i] = -1;
		w->event[i] = i ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	for (i = 0; i < 2; i++)
		w->netlink[i] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	for (i = 0; i < CTXS; i++) {
		w->ctx[i].fd = -1;
		if (i < 2)
			abi_open(&w->ctx[i], 64 << i);
		else
			w->ctx[i].fd = abi_open_file();
	}
	w->events = 1;
	w->sync = open("/sys/kernel/debug/sync/sw_sync", O_RDWR | O_CLOEXEC);
	w->dev = open(AOP_SELFTEST_DEVICE, O_RDWR | O_CLOEXEC);
}

void world_end(struct world *w)
{
	unsigned int i;

	for (i = 0; i < CTXS; i++)
		abi_close(&w->ctx[i]);
	for (i = 0; i < w->nr_stale; i++)
		abi_unmap(&w->stale[i]);
	for (i = 0; i < FDS; i++) {
		take_close(&w->opfd[i], -1);
		take_close(&w->event[i], -1);
	}
	for (i = 0; i < 2; i++)
		take_close(&w->netlink[i], -1);
	take_close(&w->sync, -1);
	take_close(&w->dev, -1);
	abi_param_set("max_handles", 1 << 20);
}
