// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation, and every copy from or to user memory, fails once: ports.
 */
#include <sys/mman.h>

#include "fail_world.h"
#include "port.h"

static long call_port(struct world *w)
{
	w->made[0] = port_new(&w->c, 8);
	return w->made[0] ? 0 : -errno;
}

/* made[1] is a port in d, made[2] a handle in c to call it. */
static long call_and_forget(struct world *w)
{
	uint64_t h = port_call(&w->c, w->made[2], "ask", 4, 0);

	return h ? detach(w, h) : -errno;
}

/* Another handle on the port: it is a client that is made with its first call. */
static long call_first(struct world *w)
{
	struct aop_call_entry e = { .message = abi_u64("ask"), .len = 4, .deadline = LATE };
	uint64_t call = share(&w->d, w->made[1], &w->c, AOP_MAY_CALL, 0);
	long ret;

	if (!call)
		return -ENOMEM;
	e.port = call;
	ret = port_calls(&w->c, &e, 1, 0, 0, 0, NULL);
	if (!ret)
		ret = e.ret;
	if (e.handle)
		detach(w, e.handle);
	detach(w, call);
	return ret;
}

/* There and back with a descriptor; what was not taken is still queued. */
static long call_and_serve(struct world *w)
{
	struct aop_call_entry e = {
		.port = w->made[2], .message = abi_u64("ask"), .len = 4, .room = 8,
		.flags = AOP_CALL_FD, .fd = w->fd,
	};
	struct aop_message_entry m = { .room = 8 };
	static struct port_taken t;
	char reply[8];
	long ret = port_calls(&w->c, &e, 1, 0, 0, 0, NULL);

	if (!ret)
		ret = e.ret;
	if (ret)
		return ret;
	ret = port_take(&w->d, w->made[1], &t, 4, 0);
	if (ret == 1) {
		close(t.e[0].fd);
		ret = port_answer(&w->d, t.e[0].handle, 1, "reply", 6);
		if (ret)
			abi_detach(&w->d, t.e[0].handle, 0);
	} else if (abi_state(&w->c, e.handle) != AOP_PENDING) {
		ret = -EPROTO;
	}
	if (!ret) {
		m.handle = e.handle;
		m.buffer = abi_u64(reply);
		ret = abi_batch(w->c.fd, AOP_IOC_MESSAGE, &m, sizeof(m), 1);
		ret = ret < 0 ? ret : m.ret;
	}
	detach(w, e.handle);
	return ret;
}

/* To the same port again, by a handle of the one who serves. */
static long call_and_delegate(struct world *w)
{
	uint64_t h = port_call(&w->c, w->made[2], NULL, 0, 0);
	struct aop_delegate_entry e = { .port = w->made[1] };
	static struct port_taken t;
	long ret;

	if (!h)
		return -errno;
	ret = port_take(&w->d, w->made[1], &t, 1, 0);
	if (ret == 1) {
		e.handle = t.e[0].handle;
		ret = abi_batch(w->d.fd, AOP_IOC_DELEGATE, &e, sizeof(e), 1);
		ret = ret < 0 ? ret : e.ret;
		if (ret)
			abi_detach(&w->d, e.handle, 0);
	}
	detach(w, h);
	return ret;
}

static long call_name(struct world *w, uint32_t what, struct aop_ioc_name *n)
{
	*n = (struct aop_ioc_name){
		.size = sizeof(*n), .what = what, .name = abi_u64("fail"),
		.handle = what == AOP_NAME_BIND ? w->made[1] : 0,
	};
	return abi_ioctl(what == AOP_NAME_FIND ? w->c.fd : w->d.fd, AOP_IOC_NAME, n);
}

static long call_names(struct world *w)
{
	struct aop_ioc_name n, gone;
	long ret = call_name(w, AOP_NAME_BIND, &n);

	if (ret)
		return ret;
	ret = call_name(w, AOP_NAME_FIND, &n);
	if (!ret)
		detach(w, n.handle);
	/* A name cannot be had twice: each try shows that the last one has gone. */
	while (call_name(w, AOP_NAME_RELEASE, &gone))
		;
	return ret;
}

TEST_F(fail, ports)
{
	struct world *w = &self->w;

	SWEEP(3, call_port, undo_made);
	w->made[1] = port_new(&w->d, 8);
	w->made[2] = share(&w->d, w->made[1], &w->c, AOP_MAY_CALL, 0);
	ASSERT_NE(0, w->made[2]);
	w->fd = memfd_create("fail", MFD_CLOEXEC);
	ASSERT_GE(w->fd, 0);
	SWEEP(1, call_and_forget, NULL);
	SWEEP(4, call_first, NULL);
	SWEEP(3, call_and_serve, NULL);
	SWEEP(3, call_and_delegate, NULL);
	SWEEP(3, call_names, NULL);
	/* Nothing was left in the backlog. */
	EXPECT_EQ(0, call_and_serve(w));
	EXPECT_EQ(0, close(w->fd));
}

TEST_HARNESS_MAIN
