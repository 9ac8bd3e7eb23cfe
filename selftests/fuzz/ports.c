// SPDX-License-Identifier: GPL-2.0
/*
 * What the fuzzer can call: ports.
 */
#include <stddef.h>

#include "values.h"

#define CALLS	8
#define BYTES	1536		/* for messages, of a part of the arena */

/* Mostly a port; now and then whatever there is. */
static uint64_t port(struct self *s, uint16_t c, uint16_t a)
{
	c %= CTXS;
	return a % 16 == 15 ? handle(s, c, a >> 4) :
			      s->w->port[c][a % among(s->w->ports[c], PORTS)];
}

static uint64_t taken(struct self *s, uint16_t c, uint16_t a)
{
	c %= CTXS;
	return a % 16 == 15 ? handle(s, c, a >> 4) :
			      s->w->taken[c][a % among(s->w->taken_calls[c], TAKEN)];
}

/* Where a message is, or is to go. */
static uint64_t message(struct self *s, uint16_t a)
{
	static const char text[BYTES] = "fuzz";

	return abi_u64(place(s, a % 16 ? 0 : a >> 4 << 8, 4 + a % 3, text, BYTES));
}

static uint32_t length(uint16_t a)
{
	return a % 4 ? a % 64 : a % 600;
}

long do_port(struct self *s, const uint16_t *a)
{
	struct aop_ioc_port p = {
		.size = sizeof(p), .flags = a[1] & 1,
		.backlog = a[1] % 8 ? a[1] >> 3 & 15 : value(a[1]),
		.message = a[2] % 4 ? 0 : a[2] >> 2, .state = a[2] % 8 != 1, .mode = 0700,
		.mask = mask(a[3]), .label = a[3] & 1 ? abi_u64("fuzz") : 0,
		.deadline = a[4] % 4 ? 0 : until(a[4] >> 2),
	};
	long ret = call_struct(s, ctx(s, a[0])->fd, AOP_IOC_PORT, &p, sizeof(p), a[5]);

	if (!ret) {
		keep(s, a[0], p.handle, p.id);
		keep_port(s, a[0], p.handle);
	}
	return ret;
}

long do_call(struct self *s, const uint16_t *a)
{
	struct aop_call_entry e[CALLS] = { };
	struct aop_ioc_call c = {
		.size = sizeof(c), .flags = a[1] & 3, .entry_size = sizeof(e[0]),
		.nr = a[1] % 8 ? 1 : a[1] >> 3 & 7, .need = a[2] & 1 ? a[2] >> 1 & 3 : 0,
		.deadline = until(a[3]), .called = a[2] % 64 == 62,
	};
	unsigned int i;
	void *at;
	long ret;

	for (i = 0; i < CALLS; i++) {
		e[i].port = port(s, a[0], a[4] + i);
		e[i].message = message(s, a[2] >> 4);
		e[i].reply = message(s, (a[2] >> 4) + 1);
		e[i].len = length(a[5]);
		e[i].room = length(a[5] >> 4);
		e[i].deadline = a[5] % 8 ? 0 : until(a[5] >> 3);
		e[i].parent = a[4] & 16 ? id(s, a[4]) : 0;
		e[i].flags = a[4] >> 5 & 3;
		if (e[i].flags & AOP_CALL_FD)
			e[i].fd = a[4] & 128 ? s->w->file : event(s, a[4]);
		e[i].mask = mask(a[3]);
	}
	at = place(s, a[1] << 2, 1, e, sizeof(e));
	c.entries = abi_u64(at);
	if (a[1] % 61 == 60)
		c.entry_size = a[2] % 64;
	ret = call_struct(s, ctx(s, a[0])->fd, AOP_IOC_CALL, &c, sizeof(c), a[5]);
	if (fetch(s, e, at, sizeof(e)))
		for (i = 0; i < c.nr; i++)
			keep(s, a[0], e[i].handle, e[i].id);
	return ret;
}

long do_serve(struct self *s, const uint16_t *a)
{
	static const uint8_t ends[] = {
		AOP_SIGNAL_DONE, AOP_SIGNAL_FAIL, AOP_SIGNAL_CANCELLED, AOP_SIGNAL_LET_GO,
	};
	struct aop_answer_entry e[CALLS] = { };
	struct aop_taken_entry t[CALLS] = { };
	struct aop_ioc_serve v = {
		.size = sizeof(v), .port = port(s, a[0], a[1]), .answer_size = sizeof(e[0]),
		.nr_answers = a[2] % 4 ? a[2] >> 2 & 1 : a[2] >> 2 & 7, .answered = a[2] % 64 == 60,
		.taken_size = sizeof(t[0]), .nr = a[3] % 4 ? 1 : a[3] >> 2 & 7,
		.buffer = message(s, a[3] >> 4), .buffer_size = a[3] % 16 ? BYTES : a[3] >> 4,
		.deadline = until(a[4]),
	};
	unsigned int i, c = a[0] % CTXS;
	void *at;
	long ret;

	for (i = 0; i < CALLS; i++) {
		e[i].handle = taken(s, c, a[5] + i);
		e[i].what = ends[a[5] % 8 < 5 ? 0 : a[5] >> 3 & 3] |
			    (a[5] & 64 ? AOP_SIGNAL_DETACH : 0);
		e[i].value = e[i].what == AOP_SIGNAL_FAIL || e[i].what == AOP_SIGNAL_CANCELLED ?
			     -(a[5] % 4000) - 1 : value(a[5]);
		e[i].len = length(a[5] >> 2);
		e[i].message = message(s, a[5] >> 6);
		t[i].mask = mask(a[4]);
	}
	v.answers = abi_u64(place(s, a[2] << 2, 1, e, sizeof(e)));
	at = place(s, a[3] << 2, 2, t, sizeof(t));
	v.taken = abi_u64(at);
	if (!v.nr && a[1] & 1)
		v.port = 0;
	ret = call_struct(s, ctx(s, c)->fd, AOP_IOC_SERVE, &v, sizeof(v), a[1]);
	if (ret < 0 || !fetch(s, t, at, sizeof(t)))
		return ret;
	for (i = 0; i < v.count && i < CALLS; i++) {
		keep(s, c, t[i].handle, t[i].id);
		s->w->taken[c][next(&s->w->taken_calls[c]) % TAKEN] = t[i].handle;
		if (t[i].fd > 2)
			close(t[i].fd);
	}
	return ret;
}

/* No call for one: always a batch. */
static long batch(struct self *s, const uint16_t *a, unsigned long cmd, void *e, size_t size)
{
	return call_entries(s, ctx(s, a[0])->fd, cmd, 0, e, size, a[1] & 3, a[5] & ~1);
}

long do_message(struct self *s, const uint16_t *a)
{
	struct aop_message_entry e[4] = { };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		e[i].flags = a[2] & 3;
		e[i].handle = a[2] & 1 ? taken(s, a[0], a[3] + i) : handle(s, a[0], a[3] + i);
		e[i].buffer = message(s, a[4]);
		e[i].room = length(a[4] >> 4);
	}
	return batch(s, a, AOP_IOC_MESSAGE, e, sizeof(e[0]));
}

long do_delegate(struct self *s, const uint16_t *a)
{
	struct aop_delegate_entry e[4] = { };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		e[i].handle = taken(s, a[0], a[2] + i);
		e[i].port = port(s, a[0], a[3]);
	}
	return batch(s, a, AOP_IOC_DELEGATE, e, sizeof(e[0]));
}

long do_name(struct self *s, const uint16_t *a)
{
	static const char * const name[] = {
		"fuzz", "fuzz2", "", "\xff\xfe", "fuzz",
		"a name that is so long that it has more bytes than a name of a port may ever have",
	};
	bool bind = a[1] % 4 == AOP_NAME_BIND, find = a[1] % 4 == AOP_NAME_FIND;
	bool sets = bind || a[1] % 4 == AOP_NAME_RESERVE;
	struct aop_ioc_name n = {
		.size = sizeof(n), .what = a[1] % 32 == 31 ? a[1] : a[1] % 4,
		.name = abi_u64(name[a[2] % LEN(name)]),
		.handle = bind || a[1] % 16 == 15 ? port(s, a[0], a[3]) : 0,
		.mode = sets ? a[4] & 0111 : 0, .mask = find ? a[4] & AOP_EV_ROOM : 0,
		.data = find ? a[4] : 0,
	};
	long ret;

	if (a[2] % 32 == 31)
		n.name = message(s, a[2] >> 5);
	ret = call_struct(s, ctx(s, a[0])->fd, AOP_IOC_NAME, &n, sizeof(n), a[5]);
	if (!ret && n.what == AOP_NAME_FIND) {
		keep(s, a[0], n.handle, 0);
		keep_port(s, a[0], n.handle);
	}
	return ret;
}
