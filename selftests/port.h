/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls of ports as plain inline functions, as abi.h has the others.
 */
#ifndef SELFTESTS_PORT_H
#define SELFTESTS_PORT_H

#include "abi.h"

/* A port that serves, with all rights, or 0. */
static inline uint64_t port_new(struct abi_ctx *c, uint32_t backlog)
{
	struct aop_ioc_port p = {
		.size = sizeof(p), .backlog = backlog, .state = AOP_RUNNING, .mode = 0700,
		.label = abi_u64("port"),
	};
	int ret = abi_ioctl(c->fd, AOP_IOC_PORT, &p);

	if (ret)
		errno = -ret;
	return ret ? 0 : p.handle;
}

/* Returns 0 or -errno of the call itself; @count may be NULL. */
static inline int port_calls(struct abi_ctx *c, struct aop_call_entry *e, uint32_t nr,
			     uint32_t need, uint64_t deadline, uint32_t flags, uint32_t *count)
{
	struct aop_ioc_call call = {
		.size = sizeof(call), .flags = flags, .entries = abi_u64(e),
		.entry_size = sizeof(*e), .nr = nr, .need = need, .deadline = deadline,
	};
	int ret = abi_ioctl(c->fd, AOP_IOC_CALL, &call);

	if (count)
		*count = call.count;
	return ret;
}

/* A call that is not waited for; returns its handle, or 0 with errno. */
static inline uint64_t port_call(struct abi_ctx *c, uint64_t port, const void *message,
				 uint32_t len, uint64_t data)
{
	struct aop_call_entry e = {
		.port = port, .message = abi_u64(message), .len = len, .data = data,
		.room = AOP_MAX_MESSAGE, .mask = AOP_EV_FINAL,
	};
	int ret = port_calls(c, &e, 1, 0, 0, 0, NULL);

	if (!ret)
		ret = e.ret;
	if (ret)
		errno = -ret;
	return ret ? 0 : e.handle;
}

/* Call, wait for the end, and let go. Returns 0 or -errno; how it ended is in @e. */
static inline int port_ask(struct abi_ctx *c, struct aop_call_entry *e, uint64_t deadline)
{
	int ret = port_calls(c, e, 1, 1, deadline, AOP_CALLS_REAP, NULL);

	return ret ?: e->ret;
}

struct port_taken {
	struct aop_taken_entry e[64];
	char buffer[64 * AOP_MAX_MESSAGE];
	uint32_t left;
};

static inline const char *port_message(const struct port_taken *t, uint32_t i)
{
	return t->buffer + t->e[i].offset;
}

/* Answer, and take up to @nr. Returns how many, or -errno. */
static inline int port_serve(struct abi_ctx *c, struct aop_answer_entry *a, uint32_t nr_answers,
			     uint64_t port, struct port_taken *t, uint32_t nr, uint64_t deadline)
{
	struct aop_ioc_serve s = {
		.size = sizeof(s), .answers = abi_u64(a), .answer_size = sizeof(*a),
		.nr_answers = nr_answers, .port = nr ? port : 0,
		.taken = t ? abi_u64(t->e) : 0, .taken_size = sizeof(t->e[0]), .nr = nr,
		.buffer = t ? abi_u64(t->buffer) : 0, .buffer_size = t ? sizeof(t->buffer) : 0,
		.deadline = deadline,
	};
	int ret = abi_ioctl(c->fd, AOP_IOC_SERVE, &s);

	if (t)
		t->left = s.left;
	return ret < 0 ? ret : (int)s.count;
}

static inline int port_take(struct abi_ctx *c, uint64_t port, struct port_taken *t, uint32_t nr,
			    uint64_t deadline)
{
	return port_serve(c, NULL, 0, port, t, nr, deadline);
}

/* End a call well, with a reply. Returns what its entry gets. */
static inline int port_answer(struct abi_ctx *c, uint64_t handle, int64_t result,
			      const void *reply, uint32_t len)
{
	struct aop_answer_entry a = {
		.handle = handle, .what = AOP_SIGNAL_DONE, .value = result,
		.message = abi_u64(reply), .len = len,
	};
	int ret = port_serve(c, &a, 1, 0, NULL, 0, 0);

	return ret < 0 ? ret : a.ret;
}

#endif /* SELFTESTS_PORT_H */
