// SPDX-License-Identifier: GPL-2.0
/*
 * Ports: calls, answers, and what becomes of both when somebody goes.
 */
#include "behave.h"
#include "port.h"

#define FOREVER	AOP_FOREVER_NS

FIXTURE(port) {
	struct abi_ctx s, c;		/* of the server and of the client; often one process */
	uint64_t port;			/* in s, all rights */
	uint64_t call;			/* in c, the right to call */
	struct port_taken t;
};

FIXTURE_SETUP(port)
{
	ASSERT_EQ(0, abi_open(&self->s, 256));
	ASSERT_EQ(0, abi_open(&self->c, 256));
	self->port = port_new(&self->s, 64);
	ASSERT_NE(0, self->port);
	self->call = share(&self->s, self->port, &self->c, AOP_MAY_CALL, 0);
	ASSERT_NE(0, self->call);
}

FIXTURE_TEARDOWN(port)
{
	abi_close(&self->c);
	abi_close(&self->s);
}

struct server {
	struct abi_ctx *c;
	uint64_t port;
	pthread_t thread;
	int ret;
	unsigned int served;
};

/* Answers each call with its own message, and its length as the result. */
static void *echo(void *arg)
{
	static __thread struct port_taken t;
	struct server *s = arg;
	struct aop_answer_entry a[64];
	int i, n = 0;

	for (;;) {
		n = port_serve(s->c, a, n, s->port, &t, 64, FOREVER);
		if (n < 0)
			break;
		for (i = 0; i < n; i++)
			a[i] = (struct aop_answer_entry){
				.handle = t.e[i].handle, .what = AOP_SIGNAL_DONE,
				.value = t.e[i].len, .len = t.e[i].len,
				.message = abi_u64(port_message(&t, i)),
			};
		s->served += n;
	}
	s->ret = n;
	return NULL;
}

TEST_F(port, a_call_is_answered)
{
	struct server s = { .c = &self->s, .port = self->port };
	char reply[AOP_MAX_MESSAGE] = { 0 };
	struct aop_call_entry e = {
		.port = self->call, .message = abi_u64("hello"), .len = 6,
		.reply = abi_u64(reply), .room = sizeof(reply),
	};
	long long handles = abi_handles(&self->c);

	ASSERT_EQ(0, pthread_create(&s.thread, NULL, echo, &s));
	ASSERT_EQ(0, port_ask(&self->c, &e, FOREVER));
	EXPECT_EQ(AOP_DONE, e.state);
	EXPECT_EQ(6, e.result);
	EXPECT_EQ(6, e.reply_len);
	EXPECT_STREQ("hello", reply);
	EXPECT_NE(0, e.id);
	EXPECT_EQ(0, e.handle);
	EXPECT_EQ(handles, abi_handles(&self->c));
	ASSERT_EQ(0, abi_done(&self->s, self->port, 0));
	pthread_join(s.thread, NULL);
	EXPECT_EQ(-ESHUTDOWN, s.ret);
}

/* S1 S4: in order; accepting is RUNNING; a call ends as it is answered, not as it is taken. */
TEST_F(port, S1_taken_in_order)
{
	uint64_t h[10];
	char text[8];
	int i;

	for (i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "call %d", i);
		h[i] = port_call(&self->c, self->call, text, sizeof(text), i);
		ASSERT_NE(0, h[i]);
		EXPECT_EQ(AOP_PENDING, status_of(&self->c, h[i]).state);
	}
	ASSERT_EQ(4, port_take(&self->s, self->port, &self->t, 4, 0));
	EXPECT_EQ(6, self->t.left);
	for (i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "call %d", i);
		EXPECT_STREQ(text, port_message(&self->t, i));
		EXPECT_EQ(abi_id(&self->c, h[i]), self->t.e[i].id);
		EXPECT_EQ(AOP_RUNNING, status_of(&self->c, h[i]).state);
		EXPECT_EQ(AOP_MAY_DRIVE, rights_of(&self->s, self->t.e[i].handle));
		EXPECT_EQ(getpid(), self->t.e[i].pid);
		EXPECT_EQ(geteuid(), self->t.e[i].uid);
		EXPECT_EQ(getegid(), self->t.e[i].gid);
		EXPECT_EQ(-1, self->t.e[i].fd);
		EXPECT_EQ(AOP_MAX_MESSAGE, self->t.e[i].room);
		EXPECT_EQ(0, port_answer(&self->s, self->t.e[i].handle, i, text, sizeof(text)));
		EXPECT_ENDED(&self->c, h[i], AOP_DONE, i);
	}
	EXPECT_EQ(AOP_PENDING, status_of(&self->c, h[4]).state);
	EXPECT_EQ(6, port_take(&self->s, self->port, &self->t, 64, 0));
	EXPECT_EQ(0, self->t.left);
	EXPECT_EQ(-ETIME, port_take(&self->s, self->port, &self->t, 64, 0));
}

/* The whole batch goes there and back in two calls of each side. */
TEST_F(port, a_batch)
{
	struct server s = { .c = &self->s, .port = self->port };
	struct aop_call_entry e[30];
	char text[30][16], reply[30][16];
	uint32_t count, i;

	memset(reply, 0, sizeof(reply));
	for (i = 0; i < 30; i++) {
		snprintf(text[i], sizeof(text[i]), "number %u", i);
		e[i] = (struct aop_call_entry){
			.port = self->call, .message = abi_u64(text[i]), .len = sizeof(text[i]),
			.reply = abi_u64(reply[i]), .room = sizeof(reply[i]),
		};
	}
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, echo, &s));
	ASSERT_EQ(0, port_calls(&self->c, e, 30, 30, FOREVER, AOP_CALLS_REAP, &count));
	EXPECT_EQ(30, count);
	for (i = 0; i < 30; i++) {
		EXPECT_EQ(0, e[i].ret);
		EXPECT_EQ(AOP_DONE, e[i].state);
		EXPECT_STREQ(text[i], reply[i]);
	}
	ASSERT_EQ(0, abi_done(&self->s, self->port, 0));
	pthread_join(s.thread, NULL);
	EXPECT_EQ(30, s.served);
}

/* S1: a flood gets half of the backlog, and there is a place for another. */
TEST_F(port, S1_full)
{
	uint64_t other = share(&self->s, self->port, &self->c, AOP_MAY_CALL, 0);
	struct aop_call_entry e = { .port = self->call };
	int i;

	ASSERT_NE(0, other);
	for (i = 0; i < 32; i++)
		ASSERT_NE(0, port_call(&self->c, self->call, NULL, 0, 0)) TH_LOG("%d", i);
	ASSERT_EQ(0, port_calls(&self->c, &e, 1, 1, 0, 0, NULL));
	EXPECT_EQ(-EAGAIN, e.ret);
	e.port = other;
	EXPECT_EQ(0, port_calls(&self->c, &e, 1, 0, 0, 0, NULL));
	EXPECT_EQ(0, e.ret);
	/* It waited behind one call, not behind all. */
	ASSERT_EQ(2, port_take(&self->s, self->port, &self->t, 2, 0));
	EXPECT_EQ(e.id, self->t.e[1].id);
}

TEST_F(port, wait_for_room)
{
	struct server s = { .c = &self->s, .port = self->port };
	struct aop_call_entry e[40] = { 0 };
	uint32_t count;
	int i;

	for (i = 0; i < 40; i++)
		e[i].port = self->call;
	EXPECT_EQ(-ETIME, port_calls(&self->c, e, 40, 0, abi_now() + MSEC_NS, AOP_CALLS_WAIT,
				     &count));
	EXPECT_NE(0, e[31].handle);
	EXPECT_EQ(0, e[32].handle);
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, echo, &s));
	memset(e, 0, sizeof(e));
	for (i = 0; i < 40; i++)
		e[i].port = self->call;
	ASSERT_EQ(0, port_calls(&self->c, e, 40, 40, FOREVER, AOP_CALLS_WAIT, &count));
	EXPECT_EQ(40, count);
	ASSERT_EQ(0, abi_done(&self->s, self->port, 0));
	pthread_join(s.thread, NULL);
	EXPECT_EQ(72, s.served);
}

/* S9: the right to answer is used once; dropped unused, the caller is told. */
TEST_F(port, S9_dropped_unused)
{
	uint64_t a = port_call(&self->c, self->call, NULL, 0, 0);
	uint64_t b = port_call(&self->c, self->call, NULL, 0, 0);

	ASSERT_EQ(2, port_take(&self->s, self->port, &self->t, 2, 0));
	EXPECT_EQ(0, abi_detach(&self->s, self->t.e[0].handle, 0));
	EXPECT_OWNER_DEAD(&self->c, a);
	EXPECT_EQ(0, port_answer(&self->s, self->t.e[1].handle, 1, NULL, 0));
	EXPECT_EQ(-ESTALE, port_answer(&self->s, self->t.e[1].handle, 2, NULL, 0));
	EXPECT_ENDED(&self->c, b, AOP_DONE, 1);
}

/* Several sleep for a call: each call wakes one, and each is taken once. */
TEST_F(port, S12_several_servers)
{
	static struct server s[4];
	struct aop_call_entry e[16] = { 0 };
	unsigned int i, k, sum = 0;

	for (i = 0; i < 4; i++) {
		s[i] = (struct server){ .c = &self->s, .port = self->port };
		ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, echo, &s[i]));
	}
	for (k = 0; k < 50; k++) {
		for (i = 0; i < 16; i++)
			e[i] = (struct aop_call_entry){ .port = self->call };
		ASSERT_EQ(0, port_calls(&self->c, e, 16, 16, FOREVER, AOP_CALLS_REAP, NULL));
		for (i = 0; i < 16; i++)
			ASSERT_EQ(AOP_DONE, e[i].state);
	}
	ASSERT_EQ(0, abi_done(&self->s, self->port, 0));
	for (i = 0; i < 4; i++) {
		pthread_join(s[i].thread, NULL);
		EXPECT_EQ(-ESHUTDOWN, s[i].ret);
		sum += s[i].served;
	}
	EXPECT_EQ(50 * 16, sum);
}

TEST_F(port, cancelled_before_it_is_taken)
{
	uint64_t a = port_call(&self->c, self->call, NULL, 0, 0);
	uint64_t b = port_call(&self->c, self->call, NULL, 0, 0);

	ASSERT_NE(0, a);
	ASSERT_NE(0, b);
	EXPECT_EQ(AOP_STOPPED, abi_cancel(&self->c, a, -EINTR));
	EXPECT_ENDED(&self->c, a, AOP_CANCELLED, -EINTR);
	EXPECT_NE(0, flags_of(&self->c, a) & AOP_F_OVER);
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 64, 0));
	EXPECT_EQ(abi_id(&self->c, b), self->t.e[0].id);
}

TEST_F(port, cancelled_after_it_was_taken)
{
	uint64_t a = port_call(&self->c, self->call, NULL, 0, 0);

	self->t.e[0].data = 77;
	self->t.e[0].mask = AOP_EV_ASKED;
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	EXPECT_EQ(AOP_ASKED, abi_cancel(&self->c, a, -EINTR));
	EXPECT_EQ(77, status_of(&self->s, self->t.e[0].handle).data);
	EXPECT_EQ(-EINTR, status_of(&self->s, self->t.e[0].handle).reason);
	EXPECT_LE(1, abi_drain(&self->s));
	EXPECT_EQ(0, abi_signal(&self->s, self->t.e[0].handle, AOP_SIGNAL_CANCELLED, 0));
	EXPECT_ENDED(&self->c, a, AOP_CANCELLED, -EINTR);
}

TEST_F(port, deadline_of_a_call)
{
	struct aop_call_entry e = { .port = self->call, .deadline = abi_now() + MSEC_NS };

	ASSERT_EQ(0, port_calls(&self->c, &e, 1, 1, FOREVER, 0, NULL));
	EXPECT_EQ(AOP_FAILED, e.state);
	EXPECT_EQ(-ETIMEDOUT, e.result);
	EXPECT_NE(0, flags_of(&self->c, e.handle) & AOP_F_OVER);
	EXPECT_EQ(-ETIME, port_take(&self->s, self->port, &self->t, 1, 0));
}

/* The port ends in each way: queued calls and later ones end with the cause. */
TEST_F(port, how_a_port_ends)
{
	static const struct {
		uint32_t what;
		int64_t value;
		int state;
		int64_t result;
	} ends[] = {
		{ AOP_SIGNAL_DONE, 5, AOP_FAILED, -ESHUTDOWN },
		{ AOP_SIGNAL_FAIL, -EIO, AOP_FAILED, -EIO },
		{ AOP_SIGNAL_CANCELLED, -EINTR, AOP_CANCELLED, -EINTR },
		{ AOP_SIGNAL_LET_GO, 0, AOP_FAILED, -EOWNERDEAD },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		uint64_t port = port_new(&self->s, 8), call, a, b;

		ASSERT_NE(0, port);
		call = share(&self->s, port, &self->c, AOP_MAY_CALL, 0);
		a = port_call(&self->c, call, NULL, 0, 0);
		ASSERT_NE(0, a);
		ASSERT_EQ(0, abi_signal(&self->s, port, ends[i].what, ends[i].value));
		EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, a, AOP_EV_FINAL, 0));
		EXPECT_ENDED(&self->c, a, ends[i].state, ends[i].result);
		EXPECT_EQ(AOP_F_SYSTEM | AOP_F_OVER, flags_of(&self->c, a));
		b = port_call(&self->c, call, NULL, 0, 0);
		ASSERT_NE(0, b);
		EXPECT_ENDED(&self->c, b, ends[i].state, ends[i].result);
		EXPECT_EQ(AOP_F_SYSTEM | AOP_F_OVER, flags_of(&self->c, b));
		EXPECT_EQ(-ESHUTDOWN, port_take(&self->s, port, &self->t, 1, FOREVER));
	}
}

/* While it is PENDING calls only queue; started, it serves them. */
TEST_F(port, starting_up)
{
	struct aop_ioc_port p = {
		.size = sizeof(p), .backlog = 8, .state = AOP_PENDING, .mode = 0700,
	};
	struct server s = { .c = &self->s };
	struct aop_call_entry e = { 0 };
	uint64_t h;

	ASSERT_EQ(0, abi_ioctl(self->s.fd, AOP_IOC_PORT, &p));
	e.port = share(&self->s, p.handle, &self->c, AOP_MAY_CALL, 0);
	h = port_call(&self->c, e.port, NULL, 0, 0);
	ASSERT_NE(0, h);
	EXPECT_EQ(-ETIME, port_take(&self->s, p.handle, &self->t, 1, 0));
	s.port = p.handle;
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, echo, &s));
	EXPECT_EQ(AOP_PENDING, status_of(&self->c, h).state);
	ASSERT_EQ(0, abi_start(&self->s, p.handle));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, h, AOP_EV_FINAL, 0));
	ASSERT_EQ(0, abi_done(&self->s, p.handle, 0));
	pthread_join(s.thread, NULL);
}

/* K9: the server is killed: what it has taken ends, and what is queued too. */
TEST_F(port, K9_server_killed)
{
	uint64_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				-1, 0);
	struct aop_call_entry e[2] = { 0 };
	int sock[2], fd, status;
	uint64_t value, call;
	pid_t pid;

	ASSERT_TRUE(shared != MAP_FAILED);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct abi_ctx s;
		uint64_t port;

		if (abi_open(&s, 64))
			_exit(1);
		port = port_new(&s, 8);
		fd = abi_export(&s, port, AOP_MAY_CALL);
		if (fd < 0 || send_fd(sock[1], fd, 0))
			_exit(2);
		port_take(&s, port, &self->t, 1, FOREVER);
		shared[0] = self->t.e[0].id;
		__atomic_store_n(&shared[1], 1, __ATOMIC_RELEASE);
		pause();
		_exit(3);
	}
	fd = recv_fd(sock[0], &value, 0);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, abi_attach_fd(&self->c, fd, 0, 0, 0, &call));
	close(fd);
	e[0].port = call;
	e[1].port = call;
	ASSERT_EQ(0, port_calls(&self->c, &e[0], 1, 0, 0, 0, NULL));
	while (!__atomic_load_n(&shared[1], __ATOMIC_ACQUIRE))
		sched_yield();
	EXPECT_EQ(e[0].id, shared[0]);
	ASSERT_EQ(0, port_calls(&self->c, &e[1], 1, 0, 0, 0, NULL));
	EXPECT_EQ(AOP_RUNNING, status_of(&self->c, e[0].handle).state);
	EXPECT_EQ(AOP_PENDING, status_of(&self->c, e[1].handle).state);
	kill(pid, SIGKILL);
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, e[0].handle, AOP_EV_FINAL, 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, e[1].handle, AOP_EV_FINAL, 0));
	EXPECT_OWNER_DEAD(&self->c, e[0].handle);
	EXPECT_OWNER_DEAD(&self->c, e[1].handle);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	munmap(shared, 4096);
}

/* The client goes: what is queued never reaches the server, what is taken is abandoned. */
TEST_F(port, client_gone)
{
	struct aop_call_entry kept = { .port = 0, .flags = AOP_CALL_DETACHED };
	struct abi_ctx c;
	uint64_t call;

	ASSERT_EQ(0, abi_open(&c, 64));
	call = share(&self->s, self->port, &c, AOP_MAY_CALL, 0);
	ASSERT_NE(0, port_call(&c, call, "a", 2, 0));
	self->t.e[0].mask = AOP_EV_ORPHAN;
	self->t.e[0].data = 5;
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	ASSERT_NE(0, port_call(&c, call, "b", 2, 0));
	kept.port = call;
	kept.message = abi_u64("c");
	kept.len = 2;
	ASSERT_EQ(0, port_calls(&c, &kept, 1, 0, 0, 0, NULL));
	abi_close(&c);
	EXPECT_NE(0, flags_of(&self->s, self->t.e[0].handle) & AOP_F_ORPHAN);
	EXPECT_LE(1, abi_drain(&self->s));
	EXPECT_EQ(0, port_answer(&self->s, self->t.e[0].handle, 0, NULL, 0));
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 64, 0));
	EXPECT_STREQ("c", port_message(&self->t, 0));
	EXPECT_EQ(0, port_answer(&self->s, self->t.e[0].handle, 0, NULL, 0));
}

TEST_HARNESS_MAIN
