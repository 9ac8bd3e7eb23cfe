// SPDX-License-Identifier: GPL-2.0
/*
 * What the fuzzer can call: contexts, and what they do with operations.
 */
#include <poll.h>
#include <sys/epoll.h>

#include "values.h"

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

long do_open(struct self *s, const uint16_t *a)
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

long do_close(struct self *s, const uint16_t *a)
{
	take_close(&ctx(s, a[0])->fd, -1);
	return 0;
}

long do_setup(struct self *s, const uint16_t *a)
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

long do_features(struct self *s, const uint16_t *a)
{
	struct aop_ioc_features f = { .size = a[1] % 4 ? sizeof(f) : a[1] };

	return call_struct(s, ctx(s, a[0])->fd, AOP_IOC_FEATURES, &f, sizeof(f), a[2]);
}

long do_mmap(struct self *s, const uint16_t *a)
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

long do_poll(struct self *s, const uint16_t *a)
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

long do_reap(struct self *s, const uint16_t *a)
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

long do_fdinfo(struct self *s, const uint16_t *a)
{
	return abi_fdinfo(a[0] & 1 ? opfd(s, a[1]) : ctx(s, a[1])->fd, "none");
}

long do_raw(struct self *s, const uint16_t *a)
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

long do_create(struct self *s, const uint16_t *a)
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

long do_signal(struct self *s, const uint16_t *a)
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

long do_cancel(struct self *s, const uint16_t *a)
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

long do_detach(struct self *s, const uint16_t *a)
{
	struct aop_detach_entry e[16] = { };
	unsigned int i;

	for (i = 0; i < 16; i++) {
		e[i].handle = handle(s, a[0], a[1] + i);
		e[i].rights = a[2] % 4 ? 0 : a[2] >> 2 & AOP_MAY_PORT;
	}
	return call_entries(s, ctx(s, a[0])->fd, AOP_IOC_DETACH, AOP_IOC_DETACH_ONE, e,
			    sizeof(e[0]),
			    a[3] % 4 ? 1 : a[3] >> 2 & 15, a[4]);
}

long do_modify(struct self *s, const uint16_t *a)
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

long do_attach(struct self *s, const uint16_t *a)
{
	struct aop_attach_entry e[8] = { };
	unsigned int nr = a[4] % 4 ? 1 : a[4] >> 2 & 7, i;
	long ret;

	for (i = 0; i < nr; i++) {
		e[i].fd = a[1] & 1 ? opfd(s, a[1] >> 1) : -1;
		e[i].id = id(s, a[1] + i);
		e[i].rights = a[2] % 4 ? a[2] >> 2 & 3 : a[2] >> 2 & AOP_MAY_PORT;
		e[i].mask = mask(a[3]);
		e[i].data = a[3];
	}
	ret = call_entries(s, ctx(s, a[0])->fd, AOP_IOC_ATTACH, AOP_IOC_ATTACH_ONE, e, sizeof(e[0]),
			   nr, a[5]);
	for (i = 0; i < nr; i++) {
		keep(s, a[0], e[i].handle, 0);
		if (e[i].rights & (AOP_MAY_CALL | AOP_MAY_SERVE) || a[4] & 32)
			keep_port(s, a[0], e[i].handle);
	}
	return ret;
}

long do_export(struct self *s, const uint16_t *a)
{
	struct aop_ioc_export e = {
		.size = sizeof(e), .handle = handle(s, a[0], a[1]),
		.rights = a[2] % 4 ? a[2] >> 2 & 3 : a[2] >> 2 & AOP_MAY_PORT,
	};
	long ret = call_struct(s, ctx(s, a[0])->fd, AOP_IOC_EXPORT, &e, sizeof(e), a[3]);

	if (ret >= 0)
		take_close(&s->w->opfd[next(&s->w->opfds) % FDS], ret);
	return ret;
}

long do_opfd(struct self *s, const uint16_t *a)
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

long do_group(struct self *s, const uint16_t *a)
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

long do_query(struct self *s, const uint16_t *a)
{
	struct aop_ioc_query q = {
		.size = a[3] % 16 ? sizeof(q) : a[3], .handle = a[1] & 1 ? 0 : handle(s, a[0],
										      a[1] >> 1),
		.id = id(s, a[1] >> 1),
	};

	return call_struct(s, ctx(s, a[0])->fd, AOP_IOC_QUERY, &q, sizeof(q), a[2]);
}

long do_wait(struct self *s, const uint16_t *a)
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

long do_import(struct self *s, const uint16_t *a)
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

long do_eventfd(struct self *s, const uint16_t *a)
{
	struct aop_ioc_eventfd e = {
		.size = sizeof(e), .handle = a[1] % 8 ? handle(s, a[0], a[1] >> 3) : 0,
		.fd = event(s, a[2]), .mask = a[3] % 4 ? mask(a[3]) : 0,
	};

	return call_struct(s, ctx(s, a[0])->fd, AOP_IOC_EVENTFD, &e, sizeof(e), a[4]);
}
