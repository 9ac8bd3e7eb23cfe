// SPDX-License-Identifier: GPL-2.0
/*
 * Ports among those who flood, interrupt and kill.
 */
#include "behave.h"
#include "port.h"

#define FOREVER	AOP_FOREVER_NS

FIXTURE(hostile) {
	struct abi_ctx s, c;
	uint64_t port;			/* in s, all rights */
	uint64_t call;			/* in c, the right to call */
	struct port_taken t;
};

FIXTURE_SETUP(hostile)
{
	ASSERT_EQ(0, abi_open(&self->s, 1024));
	ASSERT_EQ(0, abi_open(&self->c, 1024));
	self->port = port_new(&self->s, 64);
	ASSERT_NE(0, self->port);
	self->call = share(&self->s, self->port, &self->c, AOP_MAY_CALL, 0);
	ASSERT_NE(0, self->call);
}

FIXTURE_TEARDOWN(hostile)
{
	abi_close(&self->c);
	abi_close(&self->s);
}

/* Calls until there is no room. Returns how many. */
static unsigned int flood(struct abi_ctx *c, uint64_t port)
{
	unsigned int n = 0;

	while (port_call(c, port, NULL, 0, 0))
		n++;
	return errno == EAGAIN ? n : 0;
}

/* Takes and answers @nr. Returns whether @id was among them. */
static bool serve_some(struct abi_ctx *s, uint64_t port, struct port_taken *t, int nr, uint64_t id)
{
	bool found = false;
	int i, got = port_take(s, port, t, nr, 0);

	for (i = 0; i < got; i++) {
		found |= t->e[i].id == id;
		port_answer(s, t->e[i].handle, 0, NULL, 0);
	}
	return found;
}

/* Gives up the handles of all calls that have ended. */
static void tidy(struct abi_ctx *c)
{
	uint32_t index[64], n, i;

	while ((n = abi_reap(c, index, 64)))
		for (i = 0; i < n; i++) {
			struct aop_status s;

			abi_read_slot(abi_slot(c, index[i]), &s);
			if (s.gen)
				abi_detach(c, (uint64_t)s.gen << 32 | index[i], 0);
		}
}

/*
 * However full one keeps the backlog: a call of another handle finds a place, and is
 * served behind one call of the flood at the most.
 */
TEST_F(hostile, K8_a_flood_delays_others_by_one_call)
{
	struct abi_ctx v;
	uint64_t call;
	int i;

	ASSERT_EQ(0, abi_open(&v, 1024));
	call = share(&self->s, self->port, &v, AOP_MAY_CALL, 0);
	EXPECT_EQ(32, flood(&self->c, self->call));
	for (i = 0; i < 200; i++) {
		uint64_t h = port_call(&v, call, NULL, 0, 0);

		ASSERT_NE(0, h) TH_LOG("%d", i);
		flood(&self->c, self->call);
		ASSERT_TRUE(serve_some(&self->s, self->port, &self->t, 2, abi_id(&v, h)))
			TH_LOG("%d", i);
		tidy(&v);
		tidy(&self->c);
	}
	abi_close(&v);
}

/* The same when somebody floods by a hundred handles, and the victim is another user. */
TEST_F(hostile, K8_a_flood_by_many_handles)
{
	uint64_t many[100], call;
	struct abi_ctx v;
	unsigned int sum = 0;
	int i, k;

	for (i = 0; i < 100; i++) {
		many[i] = share(&self->s, self->port, &self->c, AOP_MAY_CALL, 0);
		ASSERT_NE(0, many[i]);
	}
	ASSERT_EQ(0, seteuid(1000));
	ASSERT_EQ(0, abi_open(&v, 64));
	ASSERT_EQ(0, seteuid(0));
	call = share(&self->s, self->port, &v, AOP_MAY_CALL, 0);
	for (i = 0; i < 100; i++)
		sum += flood(&self->c, many[i]);
	/* Seven eighths are all that one user gets. */
	EXPECT_EQ(56, sum);
	for (i = 0; i < 50; i++) {
		uint64_t h = port_call(&v, call, NULL, 0, 0);

		ASSERT_NE(0, h) TH_LOG("%d", i);
		for (k = 0; k < 100; k++)
			flood(&self->c, many[k]);
		ASSERT_TRUE(serve_some(&self->s, self->port, &self->t, 2, abi_id(&v, h)))
			TH_LOG("%d", i);
		tidy(&v);
		tidy(&self->c);
	}
	abi_close(&v);
}

/* ---- signals --------------------------------------------------------------- */

static void handler(int sig)
{
	(void)sig;
}

static void handle_signals(int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	sigaction(SIGUSR1, &sa, NULL);
}

struct sleeper {
	struct abi_ctx *c;
	unsigned long cmd;
	void *arg;
	pid_t tid;
	int ret;
	bool back;
	pthread_t thread;
};

static void *sleeper_run(void *arg)
{
	struct sleeper *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	s->ret = abi_ioctl(s->c->fd, s->cmd, s->arg);
	__atomic_store_n(&s->back, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool sleeper_start(struct sleeper *s)
{
	s->tid = 0;
	s->back = false;
	if (pthread_create(&s->thread, NULL, sleeper_run, s))
		return false;
	while (!__atomic_load_n(&s->tid, __ATOMIC_ACQUIRE))
		sched_yield();
	return until_asleep(s->tid);
}

/* Interrupt it, and let it sleep again, some times. */
static void poke(struct sleeper *s)
{
	long long before;
	int i;

	for (i = 0; i < 20; i++) {
		before = sleeps_of(s->tid);
		pthread_kill(s->thread, SIGUSR1);
		while (sleeps_of(s->tid) == before &&
		       !__atomic_load_n(&s->back, __ATOMIC_ACQUIRE))
			sched_yield();
	}
	until_asleep(s->tid);
}

/* Restarted, it waits on for what it has called, and calls nothing twice. */
TEST_F(hostile, a_call_that_is_interrupted)
{
	struct aop_call_entry e[2] = { { .port = self->call }, { .port = self->call } };
	struct aop_ioc_call call = {
		.size = sizeof(call), .entries = abi_u64(e), .entry_size = sizeof(e[0]), .nr = 2,
		.need = 2, .deadline = FOREVER, .flags = AOP_CALLS_REAP,
	};
	struct sleeper s = { .c = &self->c, .cmd = AOP_IOC_CALL, .arg = &call };
	struct aop_ioc_query q;
	int i;

	handle_signals(SA_RESTART);
	ASSERT_TRUE(sleeper_start(&s));
	EXPECT_EQ(2, call.called);
	poke(&s);
	ASSERT_EQ(0, abi_query(&self->s, self->port, &q));
	EXPECT_EQ(2, q.status.total);
	/* The other way: told of it, and continued by the program. */
	handle_signals(0);
	pthread_kill(s.thread, SIGUSR1);
	pthread_join(s.thread, NULL);
	EXPECT_EQ(-EINTR, s.ret);
	EXPECT_EQ(2, call.called);
	EXPECT_NE(0, e[0].handle);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(2, port_take(&self->s, self->port, &self->t, 64, 0));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, port_answer(&self->s, self->t.e[i].handle, 7, NULL, 0));
	pthread_join(s.thread, NULL);
	EXPECT_EQ(0, s.ret);
	EXPECT_EQ(2, call.count);
	EXPECT_EQ(AOP_DONE, e[0].state);
	EXPECT_EQ(0, e[1].handle);
	ASSERT_EQ(0, abi_query(&self->s, self->port, &q));
	EXPECT_EQ(2, q.status.total);
}

TEST_F(hostile, interrupted_while_it_waits_for_room)
{
	struct aop_call_entry e[40] = { 0 };
	struct aop_ioc_call call = {
		.size = sizeof(call), .entries = abi_u64(e), .entry_size = sizeof(e[0]), .nr = 40,
		.deadline = FOREVER, .flags = AOP_CALLS_WAIT,
	};
	struct sleeper s = { .c = &self->c, .cmd = AOP_IOC_CALL, .arg = &call };
	struct aop_ioc_query q;
	int i;

	for (i = 0; i < 40; i++)
		e[i].port = self->call;
	handle_signals(SA_RESTART);
	ASSERT_TRUE(sleeper_start(&s));
	/* Before it sleeps, not as it is interrupted. */
	EXPECT_EQ(32, call.called);
	poke(&s);
	EXPECT_EQ(32, call.called);
	/* Half of them gone, it may call again: only the first 32 are surely there. */
	ASSERT_EQ(32, port_take(&self->s, self->port, &self->t, 32, 0));
	for (i = 0; i < 32; i++)
		EXPECT_EQ(e[i].id, self->t.e[i].id) TH_LOG("%d", i);
	pthread_join(s.thread, NULL);
	EXPECT_EQ(0, s.ret);
	EXPECT_EQ(40, call.called);
	ASSERT_EQ(8, port_take(&self->s, self->port, &self->t, 64, 0));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(e[32 + i].id, self->t.e[i].id) TH_LOG("%d", i);
	ASSERT_EQ(0, abi_query(&self->s, self->port, &q));
	EXPECT_EQ(40, q.status.total);
}

/* Restarted, a server answers nothing twice; and the call that it was woken for stays. */
TEST_F(hostile, a_server_that_is_interrupted)
{
	uint64_t h = port_call(&self->c, self->call, NULL, 0, 0), next;
	struct aop_answer_entry a = { .what = AOP_SIGNAL_DONE, .value = 3 };
	struct aop_ioc_serve serve = {
		.size = sizeof(serve), .answers = abi_u64(&a), .answer_size = sizeof(a),
		.nr_answers = 1, .port = self->port, .nr = 1, .taken = abi_u64(self->t.e),
		.taken_size = sizeof(self->t.e[0]), .deadline = FOREVER,
	};
	struct sleeper s = { .c = &self->s, .cmd = AOP_IOC_SERVE, .arg = &serve };

	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	a.handle = self->t.e[0].handle;
	handle_signals(SA_RESTART);
	ASSERT_TRUE(sleeper_start(&s));
	EXPECT_ENDED(&self->c, h, AOP_DONE, 3);
	EXPECT_EQ(1, serve.answered);
	poke(&s);
	EXPECT_EQ(0, a.ret);
	handle_signals(0);
	pthread_kill(s.thread, SIGUSR1);
	pthread_join(s.thread, NULL);
	EXPECT_EQ(-EINTR, s.ret);
	EXPECT_EQ(0, a.ret);
	ASSERT_TRUE(sleeper_start(&s));
	next = port_call(&self->c, self->call, NULL, 0, 0);
	pthread_join(s.thread, NULL);
	EXPECT_EQ(0, s.ret);
	EXPECT_EQ(1, serve.count);
	EXPECT_EQ(abi_id(&self->c, next), self->t.e[0].id);
}

/* ---- killed at any moment -------------------------------------------------- */

/* Until it is killed. */
static void serve_for_ever(struct abi_ctx *s, uint64_t port)
{
	static struct port_taken t;
	struct aop_answer_entry a[64];
	int i, n = 0;

	for (;;) {
		n = port_serve(s, a, n, port, &t, 64, FOREVER);
		if (n < 0)
			_exit(1);
		for (i = 0; i < n; i++)
			a[i] = (struct aop_answer_entry){
				.handle = t.e[i].handle, .what = AOP_SIGNAL_DONE, .value = 5,
				.message = abi_u64(port_message(&t, i)), .len = t.e[i].len,
			};
	}
}

/* Calls until a call ends otherwise than well. Returns what it ended with. */
static int64_t call_until_it_fails(struct abi_ctx *c, uint64_t port, unsigned int *calls)
{
	struct aop_call_entry e[8];
	char reply[8][8];
	uint32_t i;

	for (;;) {
		for (i = 0; i < 8; i++)
			e[i] = (struct aop_call_entry){
				.port = port, .message = abi_u64("message"), .len = 8,
				.reply = abi_u64(reply[i]), .room = 8,
			};
		if (port_calls(c, e, 8, 8, FOREVER, AOP_CALLS_REAP | AOP_CALLS_WAIT, NULL))
			return -1;
		for (i = 0; i < 8; i++) {
			if (e[i].ret)
				return e[i].ret;
			if (e[i].state != AOP_DONE)
				return e[i].result;
			if (e[i].result != 5 || strcmp(reply[i], "message"))
				return -2;
			++*calls;
		}
	}
}

static void after_a_while(unsigned int *seed)
{
	struct timespec t = { .tv_nsec = rand_r(seed) % 3000000 };

	nanosleep(&t, NULL);
}

#define ROUNDS	100

/* K9: the server is killed: each time, each call comes to an end, and nothing is left. */
TEST_F(hostile, K9_servers_killed)
{
	unsigned int round, seed = 1, calls = 0;
	uint32_t before, after;

	ASSERT_EQ(0, abi_param_get("ops", &before));
	for (round = 0; round < ROUNDS; round++) {
		int sock[2], fd;
		uint64_t value, call;
		pid_t server, killer;

		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock));
		server = fork();
		ASSERT_GE(server, 0);
		if (!server) {
			struct abi_ctx s;
			uint64_t port;

			if (abi_open(&s, 256))
				_exit(1);
			port = port_new(&s, 64);
			fd = abi_export(&s, port, AOP_MAY_CALL);
			if (fd < 0 || send_fd(sock[1], fd, 0))
				_exit(2);
			close(fd);
			serve_for_ever(&s, port);
		}
		fd = recv_fd(sock[0], &value, 0);
		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, abi_attach_fd(&self->c, fd, 0, 0, 0, &call));
		close(fd);
		close(sock[0]);
		close(sock[1]);
		killer = fork();
		if (!killer) {
			seed += round;
			after_a_while(&seed);
			kill(server, SIGKILL);
			_exit(0);
		}
		EXPECT_EQ(-EOWNERDEAD, call_until_it_fails(&self->c, call, &calls));
		ASSERT_EQ(0, abi_detach(&self->c, call, 0));
		waitpid(killer, NULL, 0);
		waitpid(server, NULL, 0);
		EXPECT_EQ(1, abi_handles(&self->c));
	}
	EXPECT_NE(0, calls);
	/* What work items still do is soon done. */
	do {
		ASSERT_EQ(0, abi_param_get("ops", &after));
	} while (after != before && sched_yield() == 0);
}

/* K9: clients are killed in mid-call: the server goes on, for the others. */
TEST_F(hostile, K9_clients_killed)
{
	int fd = abi_export(&self->s, self->port, AOP_MAY_CALL);
	unsigned int round, seed = 7, calls = 0;
	uint32_t before, after;
	uint64_t done;

	ASSERT_EQ(0, abi_param_get("ops", &before));
	for (round = 0; round < ROUNDS; round++) {
		struct aop_ioc_query q;
		pid_t client = fork();

		ASSERT_GE(client, 0);
		if (!client) {
			struct abi_ctx c;
			uint64_t call;

			if (abi_open(&c, 256) || abi_attach_fd(&c, fd, 0, 0, 0, &call))
				_exit(1);
			call_until_it_fails(&c, call, &calls);
			_exit(2);
		}
		seed += round;
		done = rand_r(&seed) % 40;
		/* Served until that many calls were taken, then it is killed wherever it is. */
		do {
			int i, n = port_take(&self->s, self->port, &self->t, 1 + done % 8, FOREVER);

			ASSERT_GT(n, 0);
			for (i = 0; i < n; i++)
				port_answer(&self->s, self->t.e[i].handle, 5,
					    port_message(&self->t, i), self->t.e[i].len);
			done -= done < (unsigned int)n ? done : (unsigned int)n;
		} while (done);
		kill(client, SIGKILL);
		ASSERT_EQ(client, waitpid(client, NULL, 0));
		/* What it has left in the backlog went with it. */
		EXPECT_EQ(-ETIME, port_take(&self->s, self->port, &self->t, 1, 0));
		ASSERT_EQ(0, abi_query(&self->s, self->port, &q));
	}
	EXPECT_EQ(1, abi_handles(&self->s));
	do {
		ASSERT_EQ(0, abi_param_get("ops", &after));
	} while (after != before && sched_yield() == 0);
	close(fd);
}

/* Several servers, of which some are killed: what they had ends, what is queued is for the rest. */
TEST_F(hostile, K9_one_of_two_servers_killed)
{
	int fd = abi_export(&self->s, self->port, AOP_MAY_SERVE), sock[2], i;
	struct aop_call_entry e[4] = { 0 };
	pid_t server;
	char b;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock));
	for (i = 0; i < 4; i++)
		e[i].port = self->call;
	ASSERT_EQ(0, port_calls(&self->c, e, 4, 0, 0, 0, NULL));
	server = fork();
	if (!server) {
		struct abi_ctx s;
		uint64_t port;

		if (abi_open(&s, 64) || abi_attach_fd(&s, fd, 0, 0, 0, &port) ||
		    port_take(&s, port, &self->t, 2, 0) != 2 || write(sock[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	ASSERT_EQ(1, read(sock[0], &b, 1));
	EXPECT_EQ(AOP_RUNNING, status_of(&self->c, e[1].handle).state);
	kill(server, SIGKILL);
	ASSERT_EQ(server, waitpid(server, NULL, 0));
	EXPECT_OWNER_DEAD(&self->c, e[0].handle);
	EXPECT_OWNER_DEAD(&self->c, e[1].handle);
	EXPECT_EQ(AOP_PENDING, status_of(&self->c, e[2].handle).state);
	ASSERT_EQ(2, port_take(&self->s, self->port, &self->t, 4, 0));
	EXPECT_EQ(e[2].id, self->t.e[0].id);
	close(fd);
}

TEST_HARNESS_MAIN
