// SPDX-License-Identifier: GPL-2.0
/*
 * Ports between processes (S1, S9, S14, O5, K7, K8, K9): found by name, descriptor and id;
 * who calls; who dies, at any point: the survivor always gets an end, and nothing is left.
 */
#include "lib.h"

#define NAME	"lib_port"
#define OTHER	1234			/* a user */

FIXTURE(ports) {
	struct aop_ctx *ctx, *far;
	struct aop_port port, client;
	struct aop_request r;
	struct aop_call c;
	char reply[16];
	int p[2];
};

FIXTURE_SETUP(ports)
{
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, NULL));
	ASSERT_EQ(0, aop_ctx_open(&self->far, NULL));
	ASSERT_EQ(0, pipe(self->p));
}

FIXTURE_TEARDOWN(ports)
{
	aop_ctx_close(self->far);
	aop_ctx_close(self->ctx);
	close(self->p[0]);
	close(self->p[1]);
}

static struct aop *call(struct _test_data_ports *self)
{
	return aop_call(&self->client, &self->c, "ask", 4, self->reply, sizeof(self->reply));
}

/* A call through what was found is answered. */
static bool answered(struct _test_data_ports *self)
{
	struct aop *op = call(self);

	return aop_serve(&self->port, &self->r, 1, AOP_FOREVER) == 1 &&
	       !aop_reply(&self->r, 7, "answer", 7) && aop_join(op) == 7 &&
	       aop_call_reply(&self->c) == 7 && !strcmp(self->reply, "answer");
}

TEST_F(ports, O5_by_name_descriptor_and_id)
{
	int fd;

	ASSERT_EQ(0, aop_port_init(&self->port, self->ctx,
				   AOP_PORT_OPTS(.name = NAME, .state = AOP_RUNNING)));
	EXPECT_EQ(&self->client, aop_port_find(&self->client, self->far, NAME));
	EXPECT_TRUE(answered(self));
	/* It may only be called. */
	EXPECT_EQ(-EPERM, aop_serve(&self->client, &self->r, 1, AOP_NOWAIT));
	EXPECT_EQ(-EPERM, aop_join(aop_take_call(&self->client, &self->r)));
	EXPECT_EQ(-EPERM, aop_cancel(&self->client.op, 0));
	EXPECT_EQ(NULL, aop_owner(&self->client.op));
	EXPECT_EQ(1, aop_drop(&self->client.op));

	fd = aop_export(&self->port.op, AOP_MAY_CALL);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, aop_port_attach(&self->client, self->far, fd));
	EXPECT_TRUE(answered(self));
	EXPECT_EQ(1, aop_drop(&self->client.op));
	close(fd);
	EXPECT_EQ(-EBADF, aop_port_attach(&self->client, self->far, fd));
	EXPECT_EQ(-EBADF, aop_join(call(self)));
	/* Who may not look at it is not told of calls. */
	fd = aop_export(&self->port.op, AOP_MAY_SERVE);
	ASSERT_EQ(0, aop_port_attach(&self->client, self->far, fd));
	EXPECT_EQ(-ETIME, aop_serve(&self->client, &self->r, 1, AOP_NOWAIT));
	EXPECT_TRUE(aop_is_over(aop_take_call(&self->client, &self->r)));
	EXPECT_EQ(-EPERM, aop_result(&self->r.op));
	EXPECT_EQ(-EPERM, aop_join(call(self)));
	EXPECT_EQ(1, aop_drop(&self->client.op));
	close(fd);

	ASSERT_EQ(0, aop_port_attach_id(&self->client, self->far, aop_id(&self->port.op),
					AOP_MAY_CALL));
	EXPECT_TRUE(answered(self));
	/* Corked it has its handle when that is needed. */
	EXPECT_EQ(1, aop_drop(&self->client.op));
	aop_cork(self->far);
	ASSERT_EQ(0, aop_port_attach_id(&self->client, self->far, aop_id(&self->port.op),
					AOP_MAY_CALL));
	call(self);
	EXPECT_EQ(0, aop_uncork(self->far));
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_FOREVER));
	EXPECT_EQ(0, aop_reply(&self->r, 1, NULL, 0));
	EXPECT_EQ(1, aop_join(&self->c.op));
	EXPECT_EQ(-ENOENT, aop_port_attach_id(&self->client, self->far, UINT64_MAX, 0));
}

/* Calls that are corked are refused one by one, and uncork says so. */
TEST_F(ports, S1_full_while_corked)
{
	struct aop_call more;

	ASSERT_EQ(0, aop_port_init(&self->port, self->ctx,
				   AOP_PORT_OPTS(.name = NAME, .state = AOP_RUNNING,
						 .backlog = 2)));
	aop_port_find(&self->client, self->far, NAME);
	aop_cork(self->far);
	call(self);
	aop_call(&self->client, &more, "x", 2, NULL, 0);
	EXPECT_EQ(-EAGAIN, aop_uncork(self->far));
	EXPECT_EQ(-EAGAIN, aop_join(&more.op));
	EXPECT_EQ(AOP_PENDING, aop_state(&self->c.op));
	EXPECT_EQ(1, aop_drop(&self->c.op));
}

/* A child that waits for the other end to be closed; what it returns, run() does. */
static pid_t run(int (*fn)(struct _test_data_ports *self), struct _test_data_ports *self)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (aop_ctx_open(&self->ctx, NULL))
		_exit(99);
	_exit(fn(self));
}

static int call_as_another(struct _test_data_ports *self)
{
	aop_ctx_close(self->ctx);
	if (setresgid(OTHER, OTHER, OTHER) || setresuid(OTHER, OTHER, OTHER) ||
	    aop_ctx_open(&self->ctx, NULL))
		return 98;
	if (aop_result(&aop_port_find(&self->client, self->ctx, NAME ".mine")->op) != -EACCES)
		return 1;
	aop_port_find(&self->client, self->ctx, NAME);
	return aop_join(call(self)) == 5 ? 0 : 2;
}

TEST_F(ports, O5_who_calls_and_who_may)
{
	struct aop_port_name mine;
	struct aop_caller who;
	pid_t pid;

	ASSERT_EQ(0, aop_port_init(&self->port, self->ctx,
				   AOP_PORT_OPTS(.name = NAME, .state = AOP_RUNNING,
						 .mode = 0711)));
	ASSERT_EQ(0, aop_name_reserve(&mine, self->ctx, NAME ".mine", 0700, NULL));
	ASSERT_EQ(0, aop_name_bind(&mine, &self->port));
	pid = run(call_as_another, self);
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_FOREVER));
	EXPECT_EQ(0, (uintptr_t)self->r.msg % sizeof(uint64_t));
	aop_request_from(&self->r, &who);
	EXPECT_EQ(OTHER, who.uid);
	EXPECT_EQ(OTHER, who.gid);
	EXPECT_EQ(pid, who.pid);
	EXPECT_EQ(0, aop_reply(&self->r, 5, NULL, 0));
	EXPECT_EQ(0, lib_reap(pid));
}

static void ready(struct _test_data_ports *self)
{
	if (write(self->p[1], "x", 1) != 1)
		_exit(97);
}

static bool until_ready(struct _test_data_ports *self)
{
	char c;

	return read(self->p[0], &c, 1) == 1;
}

static int serve_named(struct _test_data_ports *self)
{
	struct aop_port_opts o = { .size = sizeof(o), .name = NAME, .state = AOP_RUNNING };

	if (aop_port_init(&self->port, self->ctx, &o))
		return 1;
	ready(self);
	if (aop_serve(&self->port, &self->r, 1, AOP_FOREVER) != 1)
		return 2;
	ready(self);
	pause();
	return 3;
}

/* K7: what it has taken, what is queued, and what comes later; its name is free again. */
TEST_F(ports, K7_the_server_dies)
{
	struct aop_call more[2];
	pid_t pid = run(serve_named, self);

	ASSERT_TRUE(until_ready(self));
	aop_port_find(&self->client, self->ctx, NAME);
	call(self);
	ASSERT_TRUE(until_ready(self));
	aop_call(&self->client, &more[0], "x", 2, NULL, 0);
	EXPECT_EQ(AOP_RUNNING, aop_state(&self->c.op));
	EXPECT_EQ(AOP_PENDING, aop_state(&more[0].op));
	kill(pid, SIGKILL);
	EXPECT_EQ(-EOWNERDEAD, aop_join(&self->c.op));
	EXPECT_EQ(-EOWNERDEAD, aop_join(&more[0].op));
	EXPECT_EQ(-EOWNERDEAD, aop_join(aop_call(&self->client, &more[1], "x", 2, NULL, 0)));
	EXPECT_EQ(128 + SIGKILL, lib_reap(pid));
	EXPECT_EQ(1, aop_drop(&self->client.op));
	EXPECT_EQ(-ENOENT, aop_result(&aop_port_find(&self->client, self->ctx, NAME)->op));
}

static int call_and_stay(struct _test_data_ports *self)
{
	aop_port_find(&self->client, self->ctx, NAME);
	call(self);
	ready(self);
	pause();
	return 1;
}

/* K8: taken, its server is told; queued, it is gone. */
TEST_F(ports, K8_the_client_dies)
{
	struct seen s = { 0 };
	pid_t pid[2];

	ASSERT_EQ(0, aop_port_init(&self->port, self->ctx,
				   AOP_PORT_OPTS(.name = NAME, .state = AOP_RUNNING)));
	pid[0] = run(call_and_stay, self);
	ASSERT_TRUE(until_ready(self));
	ASSERT_EQ(1, aop_serve(&self->port, &self->r, 1, AOP_FOREVER));
	pid[1] = run(call_and_stay, self);
	ASSERT_TRUE(until_ready(self));
	ASSERT_EQ(0, aop_on_asked(self->r.owner, &s.w, see, NULL, AOP_INLINE));
	EXPECT_EQ(0, aop_asked(self->r.owner));
	kill(pid[0], SIGKILL);
	kill(pid[1], SIGKILL);
	EXPECT_EQ(128 + SIGKILL, lib_reap(pid[0]));
	EXPECT_EQ(128 + SIGKILL, lib_reap(pid[1]));
	EXPECT_EQ(-EPIPE, aop_wait_asked(self->r.owner, AOP_FOREVER));
	while (!s.calls)
		lib_dispatch(self->ctx);
	EXPECT_EQ(0, aop_reply(&self->r, 0, "late", 5));
	EXPECT_EQ(-ETIME, aop_serve(&self->port, &self->r, 1, AOP_NOWAIT));
}

static int serve_attached(struct _test_data_ports *self)
{
	/* p[1]: the port's descriptor, since the supervisor keeps the port */
	if (aop_port_attach(&self->port, self->ctx, self->p[1]))
		return 1;
	while (aop_serve(&self->port, &self->r, 1, AOP_FOREVER) == 1) {
		if (!strcmp(self->r.msg, "die"))
			raise(SIGKILL);
		aop_reply(&self->r, 3, NULL, 0);
	}
	return 0;
}

/* A server dies with the call that it has taken; the next one has the others. */
TEST_F(ports, K7_served_by_another)
{
	struct aop_call c[3];
	pid_t pid;
	int fd;

	ASSERT_EQ(0, aop_port_init(&self->port, self->ctx,
				   AOP_PORT_OPTS(.name = NAME, .state = AOP_RUNNING)));
	fd = aop_export(&self->port.op, AOP_MAY_SERVE);
	ASSERT_LE(0, fd);
	ASSERT_EQ(self->p[1], dup2(fd, self->p[1]));
	close(fd);
	aop_port_find(&self->client, self->far, NAME);
	aop_call(&self->client, &c[0], "die", 4, NULL, 0);
	aop_call(&self->client, &c[1], "x", 2, NULL, 0);
	EXPECT_EQ(128 + SIGKILL, lib_reap(run(serve_attached, self)));
	EXPECT_EQ(-EOWNERDEAD, aop_join(&c[0].op));
	EXPECT_EQ(AOP_PENDING, aop_state(&c[1].op));
	pid = run(serve_attached, self);
	EXPECT_EQ(3, aop_join(&c[1].op));
	EXPECT_EQ(3, aop_join(aop_call(&self->client, &c[2], "x", 2, NULL, 0)));
	EXPECT_EQ(0, aop_done(aop_owner(&self->port.op), 0));
	EXPECT_EQ(0, lib_reap(pid));
}

/* ---- killed at any point ------------------------------------------------------- */

#define BATCH	8

/* All ops that there are, once they are `want`: work items free some. */
static long until_ops(long want)
{
	char line[64];
	long n = -1;
	FILE *f;

	do {
		f = fopen("/sys/kernel/debug/aop/counters", "re");
		while (f && fgets(line, sizeof(line), f) && sscanf(line, "ops %ld", &n) != 1)
			;
		if (f)
			fclose(f);
	} while (n != want && want >= 0 && !sched_yield());
	return n;
}

static int rounds(void)
{
	const char *s = getenv("AOP_ROUNDS");

	return s ? atoi(s) : 100;
}

static int serve_for_ever(struct _test_data_ports *self)
{
	struct aop_port_opts o = { .size = sizeof(o), .name = NAME, .state = AOP_RUNNING };
	struct aop_request r[BATCH];
	int i, n;

	if (aop_port_init(&self->port, self->ctx, &o))
		return 1;
	ready(self);
	aop_cork(self->ctx);
	while ((n = aop_serve(&self->port, r, BATCH, AOP_FOREVER)) > 0)
		for (i = 0; i < n; i++)
			aop_reply(&r[i], r[i].len, r[i].msg, r[i].len);
	return 2;
}

static void nap(unsigned int max)
{
	struct timespec t = { .tv_nsec = max ? rand() % max : 0 };

	nanosleep(&t, NULL);
}

struct killer {
	pthread_t thread;
	pid_t pid;
};

static void *killer(void *arg)
{
	struct killer *k = arg;

	nap(4000000);
	kill(k->pid, SIGKILL);
	return NULL;
}

/* Calls, by batches, until one says that the server is dead.  Returns how many had no end. */
static int call_until_dead(struct _test_data_ports *self, int *answers)
{
	struct aop *ops[BATCH];
	char reply[BATCH][8];
	int msg[BATCH];
	struct aop_call c[BATCH];
	int64_t result;
	bool dead = false;
	int i, bad = 0;

	while (!dead) {
		aop_cork(self->ctx);
		for (i = 0; i < BATCH; i++) {
			msg[i] = rand();
			ops[i] = aop_call(&self->client, &c[i], &msg[i], sizeof(int), reply[i], 8);
		}
		bad += aop_wait_all(ops, BATCH, AOP_FOREVER) != 0;
		for (i = 0; i < BATCH; i++) {
			result = aop_result(ops[i]);
			if (result == sizeof(int) && aop_call_reply(&c[i]) == sizeof(int) &&
			    !memcmp(reply[i], &msg[i], sizeof(int)))
				(*answers)++;
			else if (result == -EOWNERDEAD)
				dead = true;
			else
				bad++;
			bad += aop_drop(ops[i]) != 1;
		}
		aop_uncork(self->ctx);
	}
	return bad;
}

/* K9: the server is killed at any point of its life. */
TEST_F_TIMEOUT(ports, K9_server_killed_at_any_point, 300)
{
	unsigned int seed = getpid() ^ (unsigned int)aop_now();
	int i, answers = 0, bad = 0, n = rounds();
	long before = until_ops(-1);
	struct killer k;

	srand(seed);
	for (i = 0; i < n; i++) {
		k.pid = run(serve_for_ever, self);
		ASSERT_TRUE(until_ready(self));
		aop_port_find(&self->client, self->ctx, NAME);
		ASSERT_EQ(0, pthread_create(&k.thread, NULL, killer, &k));
		bad += call_until_dead(self, &answers);
		pthread_join(k.thread, NULL);
		EXPECT_EQ(1, aop_drop(&self->client.op));
		EXPECT_EQ(128 + SIGKILL, lib_reap(k.pid));
	}
	TH_LOG("seed %u: %d servers, %d answers", seed, n, answers);
	EXPECT_EQ(0, bad);
	EXPECT_EQ(before, until_ops(before));
}

static int call_for_ever(struct _test_data_ports *self)
{
	int answers = 0;

	aop_port_find(&self->client, self->ctx, NAME);
	ready(self);
	return call_until_dead(self, &answers);
}

/* K9: clients are killed at any point of theirs. */
TEST_F_TIMEOUT(ports, K9_client_killed_at_any_point, 300)
{
	unsigned int seed = getpid() ^ (unsigned int)aop_now();
	int i, j, got, ret, served = 0, late = 0, n = rounds();
	struct aop_request r[BATCH];
	long before = until_ops(-1);
	struct killer k;

	srand(seed);
	ASSERT_EQ(0, aop_port_init(&self->port, self->ctx,
				   AOP_PORT_OPTS(.name = NAME, .state = AOP_RUNNING)));
	for (i = 0; i < n; i++) {
		k.pid = run(call_for_ever, self);
		ASSERT_TRUE(until_ready(self));
		ASSERT_EQ(0, pthread_create(&k.thread, NULL, killer, &k));
		/* Until it is dead, and its calls are gone. */
		while ((got = aop_serve(&self->port, r, BATCH, AOP_MS(100))) > 0) {
			for (j = 0; j < got; j++) {
				ret = aop_reply(&r[j], r[j].len, r[j].msg, r[j].len);
				EXPECT_TRUE(!ret || ret == -EALREADY);
				late += ret != 0;
			}
			served += got;
		}
		EXPECT_EQ(-ETIME, got);
		pthread_join(k.thread, NULL);
		EXPECT_EQ(128 + SIGKILL, lib_reap(k.pid));
	}
	TH_LOG("seed %u: %d clients, %d calls served, %d too late", seed, n, served, late);
	EXPECT_EQ(0, aop_done(aop_owner(&self->port.op), 0));
	EXPECT_EQ(1, aop_drop(&self->port.op));
	EXPECT_EQ(before, until_ops(before));
}

TEST_HARNESS_MAIN
