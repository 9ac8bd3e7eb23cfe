// SPDX-License-Identifier: GPL-2.0
/*
 * What else can be done with calls and ports: read messages later, pass descriptors,
 * delegate, be told of room, poll, be listed.
 */
#include <sys/resource.h>
#include <sys/syscall.h>

#include "behave.h"
#include "port.h"

#define FOREVER	AOP_FOREVER_NS

FIXTURE(calls) {
	struct abi_ctx s, c;
	uint64_t port;			/* in s, all rights */
	uint64_t call;			/* in c, the right to call */
	struct port_taken t;
};

FIXTURE_SETUP(calls)
{
	ASSERT_EQ(0, abi_open(&self->s, 256));
	ASSERT_EQ(0, abi_open(&self->c, 256));
	self->port = port_new(&self->s, 64);
	ASSERT_NE(0, self->port);
	self->call = share(&self->s, self->port, &self->c, AOP_MAY_CALL, 0);
	ASSERT_NE(0, self->call);
}

FIXTURE_TEARDOWN(calls)
{
	abi_close(&self->c);
	abi_close(&self->s);
}

static int message(struct abi_ctx *c, struct aop_message_entry *e)
{
	int ret = abi_batch(c->fd, AOP_IOC_MESSAGE, e, sizeof(*e), 1);

	return ret < 0 ? ret : e->ret;
}

static int delegate(struct abi_ctx *c, uint64_t handle, uint64_t port)
{
	struct aop_delegate_entry e = { .handle = handle, .port = port };
	int ret = abi_batch(c->fd, AOP_IOC_DELEGATE, &e, sizeof(e), 1);

	return ret < 0 ? ret : e.ret;
}

TEST_F(calls, messages_once_more)
{
	uint64_t h = port_call(&self->c, self->call, "ask", 4, 0);
	char text[16] = { 0 };
	struct aop_message_entry e = {
		.handle = h, .buffer = abi_u64(text), .room = sizeof(text),
	}, r = {
		.buffer = abi_u64(text), .room = sizeof(text), .flags = AOP_MESSAGE_REQUEST,
	};

	EXPECT_EQ(-EAGAIN, message(&self->c, &e));
	e.flags = AOP_MESSAGE_REQUEST;
	EXPECT_EQ(-EPERM, message(&self->c, &e));
	e.flags = 0;
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	EXPECT_EQ(-EAGAIN, message(&self->c, &e));
	EXPECT_EQ(AOP_RUNNING, e.state);
	r.handle = self->t.e[0].handle;
	EXPECT_EQ(0, message(&self->s, &r));
	EXPECT_EQ(4, r.len);
	EXPECT_STREQ("ask", text);
	r.flags = 0;
	EXPECT_EQ(-EPERM, message(&self->s, &r));
	EXPECT_EQ(0, port_answer(&self->s, r.handle, 9, "answer", 7));
	e.room = 6;
	e.flags = AOP_MESSAGE_DETACH;
	EXPECT_EQ(-EMSGSIZE, message(&self->c, &e));
	EXPECT_EQ(7, e.len);
	e.room = 7;
	EXPECT_EQ(0, message(&self->c, &e));
	EXPECT_EQ(7, e.len);
	EXPECT_EQ(9, e.result);
	EXPECT_EQ(AOP_DONE, e.state);
	EXPECT_STREQ("answer", text);
	EXPECT_EQ(-ESTALE, message(&self->c, &e));
	e.handle = abi_new(&self->c, 0, 0);
	EXPECT_EQ(-EINVAL, message(&self->c, &e));
	e.handle = self->call;
	EXPECT_EQ(-EPERM, message(&self->c, &e));
}

/* A reply comes only with the end that it belongs to, and only if there is room. */
TEST_F(calls, replies_that_are_none)
{
	uint64_t h = port_call(&self->c, self->call, NULL, 0, 0), other = abi_new(&self->s, 0, 0);
	struct aop_answer_entry a = { .message = abi_u64("x"), .len = 1 };
	char big[AOP_MAX_MESSAGE + 1] = { 0 }, text[8] = { 0 };
	struct aop_message_entry e = { .handle = h, .buffer = abi_u64(text), .room = 8 };
	int value[] = { AOP_SIGNAL_START, AOP_SIGNAL_PROGRESS, AOP_SIGNAL_LET_GO, 77 };
	unsigned int i;

	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	a.handle = self->t.e[0].handle;
	for (i = 0; i < ARRAY_SIZE(value); i++) {
		a.what = value[i];
		EXPECT_EQ(0, port_serve(&self->s, &a, 1, 0, NULL, 0, 0));
		EXPECT_EQ(-EINVAL, a.ret) TH_LOG("%d", value[i]);
	}
	EXPECT_EQ(-EMSGSIZE, port_answer(&self->s, a.handle, 0, big, sizeof(big)));
	EXPECT_EQ(-EFAULT, port_answer(&self->s, a.handle, 0, (void *)8, 8));
	EXPECT_EQ(-EINVAL, port_answer(&self->s, other, 0, "x", 1));
	/* A result that cannot be: refused, and no reply is left of it. */
	a.what = AOP_SIGNAL_FAIL;
	a.value = 5;
	EXPECT_EQ(0, port_serve(&self->s, &a, 1, 0, NULL, 0, 0));
	EXPECT_EQ(-EINVAL, a.ret);
	a.value = -EIO;
	a.len = 0;
	EXPECT_EQ(0, port_serve(&self->s, &a, 1, 0, NULL, 0, 0));
	EXPECT_EQ(0, a.ret);
	EXPECT_EQ(0, message(&self->c, &e));
	EXPECT_EQ(0, e.len);
	EXPECT_EQ(-EIO, e.result);
	/* Somebody was first. */
	h = port_call(&self->c, self->call, NULL, 0, 0);
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	ASSERT_EQ(0, port_answer(&self->s, self->t.e[0].handle, 0, "first", 6));
	EXPECT_EQ(-ESTALE, port_answer(&self->s, self->t.e[0].handle, 0, "last", 5));
}

/* S14: handed on, twice, and the reply goes to who asked; who that was does not change. */
TEST_F(calls, S14_delegate)
{
	uint64_t second = port_new(&self->s, 8), third = port_new(&self->s, 8);
	char reply[16] = { 0 };
	struct aop_call_entry e = {
		.port = self->call, .message = abi_u64("ask"), .len = 4,
		.reply = abi_u64(reply), .room = sizeof(reply),
	};
	struct aop_ioc_call call = {
		.size = sizeof(call), .entries = abi_u64(&e), .entry_size = sizeof(e), .nr = 1,
		.need = 1, .called = 1, .deadline = FOREVER, .flags = AOP_CALLS_REAP,
	};
	int pid;

	ASSERT_EQ(0, port_calls(&self->c, &e, 1, 0, 0, 0, NULL));
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	pid = self->t.e[0].pid;
	EXPECT_EQ(0, delegate(&self->s, self->t.e[0].handle, second));
	EXPECT_EQ(-ESTALE, abi_done(&self->s, self->t.e[0].handle, 0));
	EXPECT_EQ(AOP_RUNNING, status_of(&self->c, e.handle).state);
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, e.handle, -EINTR));
	ASSERT_EQ(1, port_take(&self->s, second, &self->t, 1, 0));
	EXPECT_EQ(AOP_F_ASKED, self->t.e[0].flags);
	EXPECT_EQ(0, delegate(&self->s, self->t.e[0].handle, third));
	ASSERT_EQ(1, port_take(&self->s, third, &self->t, 1, 0));
	EXPECT_EQ(pid, self->t.e[0].pid);
	EXPECT_EQ(e.id, self->t.e[0].id);
	EXPECT_STREQ("ask", port_message(&self->t, 0));
	EXPECT_EQ(0, port_answer(&self->s, self->t.e[0].handle, 3, "far", 4));
	ASSERT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_CALL, &call));
	EXPECT_EQ(AOP_DONE, e.state);
	EXPECT_EQ(3, e.result);
	EXPECT_STREQ("far", reply);
}

TEST_F(calls, delegate_to_what_is_none)
{
	uint64_t h = port_call(&self->c, self->call, "four", 4, 0), full = port_new(&self->s, 1);
	uint64_t gone = port_new(&self->s, 8), other = abi_new(&self->s, 0, 0), x;
	struct aop_ioc_port small = {
		.size = sizeof(small), .backlog = 1, .message = 3, .state = AOP_RUNNING,
	};

	ASSERT_EQ(0, abi_ioctl(self->s.fd, AOP_IOC_PORT, &small));
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	x = self->t.e[0].handle;
	EXPECT_EQ(-EPERM, delegate(&self->s, x, other));
	EXPECT_EQ(-EBADF, delegate(&self->s, x, 0));
	EXPECT_EQ(-EINVAL, delegate(&self->s, other, full));
	EXPECT_EQ(-EPERM, delegate(&self->c, h, self->call));
	EXPECT_EQ(-EMSGSIZE, delegate(&self->s, x, small.handle));
	ASSERT_NE(0, port_call(&self->s, full, NULL, 0, 0));
	EXPECT_EQ(-EAGAIN, delegate(&self->s, x, full));
	EXPECT_EQ(AOP_RUNNING, status_of(&self->c, h).state);
	/* One that has ended hands back its cause. */
	ASSERT_EQ(0, abi_done(&self->s, gone, 0));
	EXPECT_EQ(0, delegate(&self->s, x, gone));
	EXPECT_ENDED(&self->c, h, AOP_FAILED, -ESHUTDOWN);
	/* Who is too late is told so. */
	ASSERT_NE(0, port_call(&self->c, self->call, NULL, 0, 0));
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	ASSERT_EQ(0, port_calls(&self->c, &(struct aop_call_entry){
			.port = self->call, .deadline = abi_now() + 50 * MSEC_NS },
			1, 0, 0, 0, NULL));
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->s, self->t.e[0].handle, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EALREADY, delegate(&self->s, self->t.e[0].handle, self->port));
	EXPECT_EQ(-ESTALE, abi_done(&self->s, self->t.e[0].handle, 0));
}

/* S14: to a context, the right to drive goes as that of any operation does. */
TEST_F(calls, S14_exported_to_another_context)
{
	uint64_t h = port_call(&self->c, self->call, NULL, 0, 0), moved;
	struct abi_ctx x;

	ASSERT_EQ(0, abi_open(&x, 64));
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	moved = share(&self->s, self->t.e[0].handle, &x, AOP_MAY_DRIVE, 0);
	ASSERT_NE(0, moved);
	EXPECT_EQ(-ESTALE, abi_done(&self->s, self->t.e[0].handle, 0));
	EXPECT_EQ(0, port_answer(&x, moved, 8, NULL, 0));
	EXPECT_ENDED(&self->c, h, AOP_DONE, 8);
	abi_close(&x);
}

static int call_with_fd(struct abi_ctx *c, uint64_t port, int fd, struct aop_call_entry *e)
{
	*e = (struct aop_call_entry){ .port = port, .fd = fd, .flags = AOP_CALL_FD };

	return port_calls(c, e, 1, 0, 0, 0, NULL) ?: e->ret;
}

TEST_F(calls, a_descriptor_goes_with_it)
{
	int fd = syscall(SYS_memfd_create, "x", 1), sock[2], p[2];
	struct aop_call_entry e;
	char c = 0;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	ASSERT_EQ(0, pipe(p));
	EXPECT_EQ(-EINVAL, call_with_fd(&self->c, self->call, sock[0], &e));
	EXPECT_EQ(-EINVAL, call_with_fd(&self->c, self->call, p[0], &e));
	EXPECT_EQ(-EINVAL, call_with_fd(&self->c, self->call, self->c.fd, &e));
	EXPECT_EQ(-EBADF, call_with_fd(&self->c, self->call, 12345, &e));
	EXPECT_EQ(-EBADF, call_with_fd(&self->c, self->call, -1, &e));
	e = (struct aop_call_entry){ .port = self->call, .fd = fd };
	EXPECT_EQ(0, port_calls(&self->c, &e, 1, 0, 0, 0, NULL));
	EXPECT_EQ(-EINVAL, e.ret);
	ASSERT_EQ(0, call_with_fd(&self->c, self->call, fd, &e));
	ASSERT_EQ(1, write(fd, "y", 1));
	close(fd);
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	fd = self->t.e[0].fd;
	ASSERT_GE(fd, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(1, pread(fd, &c, 1, 0));
	EXPECT_EQ('y', c);
	close(fd);
	EXPECT_EQ(0, port_answer(&self->s, self->t.e[0].handle, 0, NULL, 0));
}

/* K8: no descriptor is free in mid-pass: the call waits where it is, and nothing is lost. */
TEST_F(calls, K8_descriptors_exhausted)
{
	int fd = syscall(SYS_memfd_create, "x", 1), used[256], n = 0, i;
	struct aop_call_entry e[4];
	struct rlimit old, few = { .rlim_cur = 128, .rlim_max = 128 };

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	few.rlim_max = old.rlim_max;
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, call_with_fd(&self->c, self->call, fd, &e[i]));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	while (n < 256 && (used[n] = dup(fd)) >= 0)
		n++;
	/* Two are free: two calls are delivered, the third is not taken. */
	ASSERT_LE(2, n);
	close(used[--n]);
	close(used[--n]);
	EXPECT_EQ(2, port_take(&self->s, self->port, &self->t, 4, 0));
	EXPECT_EQ(2, self->t.left);
	EXPECT_EQ(e[0].id, self->t.e[0].id);
	EXPECT_EQ(e[1].id, self->t.e[1].id);
	used[n++] = self->t.e[0].fd;
	used[n++] = self->t.e[1].fd;
	EXPECT_EQ(-EMFILE, port_take(&self->s, self->port, &self->t, 4, 0));
	EXPECT_EQ(2, self->t.left);
	EXPECT_EQ(AOP_PENDING, status_of(&self->c, e[2].handle).state);
	while (n)
		close(used[--n]);
	EXPECT_EQ(2, port_take(&self->s, self->port, &self->t, 4, 0));
	EXPECT_EQ(e[2].id, self->t.e[0].id);
	EXPECT_EQ(e[3].id, self->t.e[1].id);
	EXPECT_EQ(AOP_RUNNING, status_of(&self->c, e[2].handle).state);
	close(self->t.e[0].fd);
	close(self->t.e[1].fd);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	close(fd);
}

/*
 * S1: what cannot be delivered goes back to where it was, not only among the calls of
 * its handle, but in the turns of handles and of users as well.
 */
TEST_F(calls, S1_put_back_in_order)
{
	uint64_t other = share(&self->s, self->port, &self->c, AOP_MAY_CALL, 0), their, id[7];
	static const int fails_at[] = { 2, 0, 1, 3 };
	unsigned int i, at = 0;
	struct abi_ctx v;

	ASSERT_EQ(0, seteuid(1000));
	ASSERT_EQ(0, abi_open(&v, 64));
	ASSERT_EQ(0, seteuid(0));
	their = share(&self->s, self->port, &v, AOP_MAY_CALL, 0);
	id[0] = abi_id(&self->c, port_call(&self->c, self->call, NULL, 0, 0));
	id[4] = abi_id(&self->c, port_call(&self->c, self->call, NULL, 0, 0));
	id[6] = abi_id(&self->c, port_call(&self->c, self->call, NULL, 0, 0));
	id[2] = abi_id(&self->c, port_call(&self->c, other, NULL, 0, 0));
	id[1] = abi_id(&v, port_call(&v, their, NULL, 0, 0));
	id[3] = abi_id(&v, port_call(&v, their, NULL, 0, 0));
	id[5] = abi_id(&v, port_call(&v, their, NULL, 0, 0));
	for (i = 0; i < ARRAY_SIZE(fails_at); i++) {
		int k, bad = fails_at[i], got;

		self->t.e[bad].mask = ~0U;
		got = port_take(&self->s, self->port, &self->t, 7, 0);
		self->t.e[bad].mask = 0;
		ASSERT_EQ(bad ?: -EINVAL, got) TH_LOG("%u", i);
		for (k = 0; k < got; k++)
			EXPECT_EQ(id[at++], self->t.e[k].id) TH_LOG("%u, call %u", i, at - 1);
		EXPECT_EQ(7 - at, self->t.left);
	}
	EXPECT_EQ(1, port_take(&self->s, self->port, &self->t, 7, 0));
	EXPECT_EQ(id[6], self->t.e[0].id);
	abi_close(&v);
}

/* The server's ring: once as the backlog becomes non-empty; its progress counts calls. */
TEST_F(calls, the_ready_ring_of_a_server)
{
	struct pollfd p = { .fd = self->s.fd, .events = POLLIN };
	struct aop_ioc_query q;

	ASSERT_EQ(0, abi_modify(&self->s, self->port, 55, AOP_EV_CHANGE));
	abi_drain(&self->s);
	EXPECT_EQ(0, poll(&p, 1, 0));
	ASSERT_NE(0, port_call(&self->c, self->call, NULL, 0, 0));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(1, abi_drain(&self->s));
	ASSERT_NE(0, port_call(&self->c, self->call, NULL, 0, 0));
	EXPECT_EQ(0, abi_drain(&self->s));
	ASSERT_EQ(0, abi_query(&self->s, self->port, &q));
	EXPECT_EQ(0, q.status.done);
	EXPECT_EQ(2, q.status.total);
	EXPECT_STREQ("port", q.label);
	ASSERT_EQ(2, port_take(&self->s, self->port, &self->t, 8, 0));
	ASSERT_EQ(0, abi_query(&self->s, self->port, &q));
	EXPECT_EQ(2, q.status.done);
	EXPECT_EQ(2, q.status.total);
	ASSERT_EQ(0, abi_query(&self->s, self->t.e[0].handle, &q));
	EXPECT_STREQ("port", q.label);
	ASSERT_NE(0, port_call(&self->c, self->call, NULL, 0, 0));
	EXPECT_EQ(1, abi_drain(&self->s));
}

/* A caller that does not sleep is told of room once it has found none. */
TEST_F(calls, told_of_room)
{
	uint64_t call;
	int i, n = 0;

	ASSERT_EQ(0, abi_modify(&self->c, self->call, 66, AOP_EV_ROOM));
	while ((call = port_call(&self->c, self->call, NULL, 0, 0)))
		n++;
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(32, n);
	EXPECT_EQ(0, abi_drain(&self->c));
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	EXPECT_EQ(1, abi_drain(&self->c));
	for (i = 1; i < n; i++)
		ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	EXPECT_EQ(0, abi_drain(&self->c));
	EXPECT_NE(0, port_call(&self->c, self->call, NULL, 0, 0));
	/* What a port cannot be waited for. */
	EXPECT_EQ(-EINVAL, abi_wait_one(&self->s, self->port, AOP_EV_ROOM, 0));
}

/* K7: each right alone, and what comes by id. */
TEST_F(calls, K7_rights)
{
	uint64_t look = share(&self->s, self->port, &self->c, AOP_MAY_LOOK, 0);
	uint64_t serve = share(&self->s, self->port, &self->c, AOP_MAY_SERVE, 0), h;
	struct aop_call_entry e = { .port = look };

	EXPECT_EQ(0, port_calls(&self->c, &e, 1, 0, 0, 0, NULL));
	EXPECT_EQ(-EPERM, e.ret);
	e.port = serve;
	EXPECT_EQ(0, port_calls(&self->c, &e, 1, 0, 0, 0, NULL));
	EXPECT_EQ(-EPERM, e.ret);
	EXPECT_EQ(-EPERM, port_take(&self->c, self->call, &self->t, 1, 0));
	EXPECT_EQ(-EPERM, port_take(&self->c, look, &self->t, 1, 0));
	EXPECT_EQ(-ETIME, port_take(&self->c, serve, &self->t, 1, 0));
	EXPECT_EQ(-EPERM, abi_done(&self->c, serve, 0));
	EXPECT_EQ(-EPERM, abi_cancel(&self->c, self->call, 0));
	EXPECT_EQ(-EPERM, abi_wait_one(&self->c, self->call, AOP_EV_FINAL, 0));
	/* Neither counts as a watcher. */
	EXPECT_EQ(2, watchers_of(&self->s, self->port));
	/* What by id is had. */
	EXPECT_EQ(0, abi_attach_id(&self->c, abi_id(&self->s, self->port), 0, 0, 0, &h));
	EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL | AOP_MAY_CALL, rights_of(&self->c, h));
	EXPECT_EQ(-EPERM, abi_attach_id(&self->c, abi_id(&self->s, self->port), AOP_MAY_SERVE, 0,
					0, &h));
	h = abi_new(&self->s, 0, 0);
	EXPECT_EQ(-EACCES, abi_attach_id(&self->c, abi_id(&self->s, h), AOP_MAY_CALL, 0, 0, &h));
}

/* The caller is whom the kernel saw open the context, in the taker's eyes. */
TEST_F(calls, K7_who_calls)
{
	uint64_t port = port_new(&self->s, 8);
	int fd = abi_export(&self->s, port, AOP_MAY_CALL);
	pid_t pid = fork();
	uint64_t call;
	int status;

	if (!pid) {
		struct aop_call_entry e = { .room = 0 };
		struct abi_ctx c;

		if (setresgid(1001, 1001, 1001) || setresuid(1000, 1000, 1000) ||
		    abi_open(&c, 64) || abi_attach_fd(&c, fd, 0, 0, 0, &call))
			_exit(1);
		e.port = call;
		_exit(port_ask(&c, &e, FOREVER) || e.state != AOP_DONE ? 2 : 0);
	}
	ASSERT_EQ(1, port_take(&self->s, port, &self->t, 1, FOREVER));
	EXPECT_EQ(pid, self->t.e[0].pid);
	EXPECT_EQ(1000, self->t.e[0].uid);
	EXPECT_EQ(1001, self->t.e[0].gid);
	EXPECT_EQ(0, port_answer(&self->s, self->t.e[0].handle, 0, NULL, 0));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
}

TEST_HARNESS_MAIN
