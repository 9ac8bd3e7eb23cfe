// SPDX-License-Identifier: GPL-2.0
/*
 * Owners that die, K9 and M6: whatever else still holds their context's file, the
 * watchers see FAILED, -EOWNERDEAD, by the system, and are told by an event.
 *
 * Whether it comes at once is what the order of calls shows: nothing else is ended
 * between the kill and the event that is waited for.
 */
#include "behave.h"

#include <spawn.h>

static int pidfd_of(pid_t pid)
{
	return syscall(SYS_pidfd_open, pid, 0);
}

FIXTURE(death) {
	struct abi_ctx c;	/* the watcher's */
	int sock[2];		/* ours, the owner's */
};

FIXTURE_SETUP(death)
{
	ASSERT_EQ(0, abi_open(&self->c, 64));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->sock));
}

FIXTURE_TEARDOWN(death)
{
	abi_close(&self->c);
	close(self->sock[0]);
	close(self->sock[1]);
}

/* An owner in a process of its own, with one operation that runs. */
struct owner {
	pid_t pid;
	uint64_t w;		/* our handle on its operation */
	int fd;			/* a descriptor of it */
	int ctx_fd;		/* number of its context's file, over there */
};

/* What an owner does before it says that it is ready. Not 0: it failed. */
typedef int owner_fn(struct abi_ctx *c, uint64_t h, int sock);

static void owner_run(owner_fn *fn, int sock)
{
	struct aop_create_entry e = { .state = AOP_RUNNING, .mode = 0600 };
	struct abi_ctx c;
	int fd;

	if (abi_open(&c, 64) || abi_create(&c, &e))
		_exit(1);
	fd = abi_export(&c, e.handle, AOP_MAY_LOOK);
	if (fd < 0 || send_fd(sock, fd, c.fd))
		_exit(2);
	close(fd);
	if (fn && fn(&c, e.handle, sock))
		_exit(3);
	if (send_fd(sock, -1, 0))
		_exit(4);
	for (;;)
		pause();
}

static int owner_ready(int sock)
{
	uint64_t value;

	return recv_fd(sock, &value, 0) == -ENOMSG && !value ? 0 : -1;
}

/* Start one, and return when we watch its operation; it is not ready yet. */
static int owner_begin(struct owner *o, struct abi_ctx *c, int *sock, owner_fn *fn)
{
	uint64_t value;

	o->pid = spawn();
	if (!o->pid) {
		close(sock[0]);
		owner_run(fn, sock[1]);
	}
	o->fd = recv_fd(sock[0], &value, 0);
	o->ctx_fd = value;
	if (o->fd < 0 || abi_attach_fd(c, o->fd, 0, 0, AOP_EV_FINAL, &o->w))
		return -1;
	return abi_state(c, o->w) == AOP_RUNNING ? 0 : -1;
}

static int owner_start(struct owner *o, struct abi_ctx *c, int *sock, owner_fn *fn)
{
	return owner_begin(o, c, sock, fn) || owner_ready(sock[0]);
}

/*
 * Wait for the end by a sleep in the kernel and by poll, each for ever, and look
 * at it. Returns 0 or what is wrong.
 */
static int until_dead(struct owner *o, struct abi_ctx *c)
{
	struct pollfd p[2] = {
		{ .fd = o->fd, .events = POLLIN },
		{ .fd = c->fd, .events = POLLIN },
	};
	struct aop_status st;

	if (abi_wait_one(c, o->w, AOP_EV_FINAL, 0) != AOP_EV_FINAL)
		return 1;
	if (poll(p, 1, -1) != 1 || poll(p + 1, 1, -1) != 1 || !reap_only(c, o->w))
		return 2;
	st = status_of(c, o->w);
	if (st.state != AOP_FAILED || st.result != -EOWNERDEAD)
		return 3;
	if ((st.flags & (AOP_F_SYSTEM | AOP_F_OVER)) != (AOP_F_SYSTEM | AOP_F_OVER))
		return 4;
	close(o->fd);
	return 0;
}

static int kill_and_see(struct owner *o, struct abi_ctx *c)
{
	int ret;

	if (kill(o->pid, SIGKILL))
		return -1;
	/* Not even reaped is it, when its operations end. */
	ret = until_dead(o, c);
	if (reap_child(o->pid) != 128 + SIGKILL)
		return -2;
	return ret;
}

/* ---- killed, alone and while others hold the file --------------------------- */

TEST_F(death, K9_killed)
{
	struct owner o;

	ASSERT_EQ(0, owner_start(&o, &self->c, self->sock, NULL));
	EXPECT_EQ(0, kill_and_see(&o, &self->c));
}

TEST_F(death, K9_exits_without_a_word)
{
	struct owner o;

	ASSERT_EQ(0, owner_start(&o, &self->c, self->sock, NULL));
	ASSERT_EQ(0, kill(o.pid, SIGTERM));
	EXPECT_EQ(0, until_dead(&o, &self->c));
	EXPECT_EQ(128 + SIGTERM, reap_child(o.pid));
}

/* Has a child that keeps the file until we hang up, and tells what it may do. */
static int fork_a_child(struct abi_ctx *c, uint64_t h, int sock)
{
	uint64_t value;
	pid_t pid = fork();

	if (pid)
		return pid < 0;
	/* Not until we are asked, after the owner's death. */
	if (recv_fd(sock, &value, 0) != -ENOMSG)
		_exit(1);
	send_fd(sock, -1, -abi_done(c, h, 1));
	recv_fd(sock, &value, 0);
	_exit(0);
}

TEST_F(death, K9_while_a_forked_child_holds_the_file)
{
	struct owner o;
	uint64_t value;

	ASSERT_EQ(0, owner_start(&o, &self->c, self->sock, fork_a_child));
	EXPECT_EQ(0, kill_and_see(&o, &self->c));
	/* It does hold it, and has nothing of it. */
	ASSERT_EQ(0, send_fd(self->sock[0], -1, 0));
	ASSERT_EQ(-ENOMSG, recv_fd(self->sock[0], &value, 0));
	EXPECT_EQ(EIO, value);
}

/* Has a child that shares the table of descriptors itself, not a copy of it. */
static int share_the_table(struct abi_ctx *c, uint64_t h, int sock)
{
	uint64_t value;
	long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	if (pid)
		return pid < 0;
	if (recv_fd(sock, &value, 0) != -ENOMSG)
		_exit(1);
	send_fd(sock, -1, -abi_done(c, h, 1));
	recv_fd(sock, &value, 0);
	_exit(0);
}

/*
 * Whoever shares the table has the descriptors as much as the one that was killed:
 * they are closed, and the operations end, when the last of them is gone.
 */
TEST_F(death, K9_when_the_last_that_shares_the_table_is_gone)
{
	struct owner o;
	uint64_t value;

	ASSERT_EQ(0, owner_start(&o, &self->c, self->sock, share_the_table));
	ASSERT_EQ(0, kill(o.pid, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, reap_child(o.pid));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, o.w));
	/* What it has of them is no more than anybody else's copy. */
	ASSERT_EQ(0, send_fd(self->sock[0], -1, 0));
	ASSERT_EQ(-ENOMSG, recv_fd(self->sock[0], &value, 0));
	EXPECT_EQ(EIO, value);
	ASSERT_EQ(0, send_fd(self->sock[0], -1, 0));
	EXPECT_EQ(0, until_dead(&o, &self->c));
}

/* Closes its descriptor when we have a copy of it. */
static int close_when_told(struct abi_ctx *c, uint64_t h, int sock)
{
	uint64_t value;

	(void)h;
	if (send_fd(sock, -1, 0) || recv_fd(sock, &value, 0) != -ENOMSG)
		return 1;
	abi_close(c);
	return 0;
}

TEST_F(death, M6_closed_by_its_owner_and_then_by_the_last_who_has_a_copy)
{
	int pidfd, copy;
	struct owner o;

	ASSERT_EQ(0, owner_start(&o, &self->c, self->sock, close_when_told));
	pidfd = pidfd_of(o.pid);
	ASSERT_GE(pidfd, 0);
	copy = syscall(SYS_pidfd_getfd, pidfd, o.ctx_fd, 0);
	ASSERT_GE(copy, 0);
	close(pidfd);
	ASSERT_EQ(0, send_fd(self->sock[0], -1, 0));
	ASSERT_EQ(0, owner_ready(self->sock[0]));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, o.w));
	close(copy);
	EXPECT_EQ(0, until_dead(&o, &self->c));
	ASSERT_EQ(0, kill(o.pid, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, reap_child(o.pid));
}

/* Sends its context's file to itself, and us the end where it would arrive. */
static int put_in_flight(struct abi_ctx *c, uint64_t h, int sock)
{
	int way[2];

	(void)h;
	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, way) || send_fd(way[0], c->fd, 0) ||
	       send_fd(sock, way[1], 0);
}

TEST_F(death, K9_while_a_copy_is_in_flight)
{
	struct pollfd p = { .events = POLLIN };
	struct owner o;
	uint64_t value;
	int arrives;

	ASSERT_EQ(0, owner_begin(&o, &self->c, self->sock, put_in_flight));
	arrives = recv_fd(self->sock[0], &value, 0);
	ASSERT_GE(arrives, 0);
	ASSERT_EQ(0, owner_ready(self->sock[0]));
	EXPECT_EQ(0, kill_and_see(&o, &self->c));
	p.fd = recv_fd(arrives, &value, 0);
	ASSERT_GE(p.fd, 0);
	EXPECT_EQ(1, poll(&p, 1, -1));
	EXPECT_TRUE(p.revents & POLLERR);
	close(p.fd);
	close(arrives);
}

TEST_F(death, K9_while_we_have_a_copy_by_pidfd_getfd)
{
	struct aop_ioc_features f = { .size = sizeof(f) };
	int pidfd, copy;
	struct owner o;

	ASSERT_EQ(0, owner_start(&o, &self->c, self->sock, NULL));
	pidfd = pidfd_of(o.pid);
	ASSERT_GE(pidfd, 0);
	copy = syscall(SYS_pidfd_getfd, pidfd, o.ctx_fd, 0);
	ASSERT_GE(copy, 0);
	EXPECT_EQ(-EIO, abi_ioctl(copy, AOP_IOC_FEATURES, &f));
	EXPECT_EQ(0, kill_and_see(&o, &self->c));
	EXPECT_EQ(-EIO, abi_ioctl(copy, AOP_IOC_FEATURES, &f));
	close(copy);
	close(pidfd);
}

/* ---- what it was doing -------------------------------------------------------- */

/* Sleeps for ever on an operation of its own. */
static void *sleep_on(void *arg)
{
	struct abi_ctx *c = arg;

	abi_wait_one(c, abi_new(c, 0, 0), AOP_EV_FINAL, 0);
	return NULL;
}

static int sleep_in_main(struct abi_ctx *c, uint64_t h, int sock)
{
	send_fd(sock, -1, 0);
	abi_wait_one(c, h, AOP_EV_FINAL, 0);
	return 1;
}

TEST_F(death, K9_while_it_sleeps_in_a_wait)
{
	struct owner o;

	ASSERT_EQ(0, owner_start(&o, &self->c, self->sock, sleep_in_main));
	EXPECT_TRUE(until_asleep(o.pid));
	EXPECT_EQ(0, kill_and_see(&o, &self->c));
}

/* Half of the threads sleep, half are in and out of calls all the time. */
static void *be_busy(void *arg)
{
	struct abi_ctx *c = arg;
	uint64_t h;
	int i;

	for (i = 0;; i++) {
		h = abi_new(c, 0, AOP_EV_ALL);
		abi_progress(c, h, i, 0);
		if (i % 2)
			abi_done(c, h, 0);
		abi_detach(c, h, 0);
	}
	return NULL;
}

static int have_threads(struct abi_ctx *c, uint64_t h, int sock)
{
	pthread_t t;
	int i;

	(void)h;
	(void)sock;
	for (i = 0; i < 10; i++)
		if (pthread_create(&t, NULL, i % 2 ? be_busy : sleep_on, c))
			return 1;
	return 0;
}

TEST_F(death, K9_with_many_threads_at_work)
{
	struct owner o;
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, owner_start(&o, &self->c, self->sock, have_threads));
		EXPECT_EQ(0, kill_and_see(&o, &self->c));
	}
}

/* The thread that opened it is nobody special. */
static void *open_elsewhere(void *arg)
{
	return (void *)(long)abi_open(arg, 8);
}

TEST_F(death, K9_not_when_the_opening_thread_ends)
{
	struct abi_ctx c;
	uint64_t h, w;
	pthread_t t;
	void *ret;

	ASSERT_EQ(0, pthread_create(&t, NULL, open_elsewhere, &c));
	ASSERT_EQ(0, pthread_join(t, &ret));
	ASSERT_NULL(ret);
	h = new_running(&c, 0);
	ASSERT_NE(0, h);
	w = watch(&c, h, &self->c, 0);
	ASSERT_NE(0, w);
	EXPECT_EQ(0, abi_done(&c, h, 3));
	EXPECT_ENDED(&self->c, w, AOP_DONE, 3);
	abi_close(&c);
}

/* ---- files that are closed, but not the owner's last ------------------------- */

static void *leave_the_files(void *arg)
{
	(void)arg;
	return (void *)(long)unshare(CLONE_FILES);
}

TEST_F(death, K9_not_when_somebody_else_closes_it)
{
	uint64_t h, w;
	pthread_t t;
	pid_t pid;
	void *ret;
	int fd;
	struct abi_ctx a;

	ASSERT_EQ(0, abi_open(&a, 8));
	h = new_running(&a, 0);
	ASSERT_NE(0, h);
	w = watch(&a, h, &self->c, 0);
	ASSERT_NE(0, w);
	/* A copy in the same process. */
	fd = dup(a.fd);
	ASSERT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, w));
	/* The original, and the copy stays. */
	fd = fcntl(a.fd, F_DUPFD_CLOEXEC, 100);
	ASSERT_GE(fd, 0);
	close(a.fd);
	a.fd = fd;
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, w));
	/* A child that closes it, and one that just exits. */
	pid = spawn();
	if (!pid)
		_exit(close(a.fd));
	EXPECT_EQ(0, reap_child(pid));
	pid = spawn();
	if (!pid)
		_exit(0);
	EXPECT_EQ(0, reap_child(pid));
	pid = spawn();
	if (!pid)
		for (;;)
			pause();
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, reap_child(pid));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, w));
	/* One that shares our memory until it execs, and closes it with that. */
	ASSERT_EQ(0, posix_spawn(&pid, "/bin/true", NULL, NULL,
				 (char *[]) { "true", NULL }, environ));
	EXPECT_EQ(0, reap_child(pid));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, w));
	/* A thread that takes a table of its own away with it. */
	ASSERT_EQ(0, pthread_create(&t, NULL, leave_the_files, NULL));
	ASSERT_EQ(0, pthread_join(t, &ret));
	EXPECT_NULL(ret);
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, w));
	EXPECT_EQ(0, abi_progress(&a, h, 1, 2));
	/* Now it is the last. */
	abi_close(&a);
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, w, AOP_EV_FINAL, 0));
	EXPECT_OWNER_DEAD(&self->c, w);
}

/* M6: the sleeper has the file in its hands, so the end comes when it leaves. */
TEST_F(death, M6_closed_while_a_thread_waits_in_it)
{
	uint64_t other, there, h, w;
	struct abi_ctx a;
	struct waiter t;

	other = new_running(&self->c, 0);
	ASSERT_NE(0, other);
	ASSERT_EQ(0, abi_open(&a, 8));
	h = new_running(&a, 0);
	ASSERT_NE(0, h);
	w = watch(&a, h, &self->c, 0);
	ASSERT_NE(0, w);
	there = watch(&self->c, other, &a, 0);
	ASSERT_NE(0, there);
	ASSERT_EQ(0, waiter_sleep(&t, &a, there, AOP_EV_FINAL, 0));
	abi_close(&a);
	/* Asleep and not disturbed. */
	EXPECT_TRUE(until_asleep(t.tid));
	EXPECT_EQ(0, abi_done(&self->c, other, 0));
	EXPECT_EQ(0, waiter_join(&t));
	EXPECT_EQ(AOP_EV_FINAL, t.one.events);
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, w, AOP_EV_FINAL, 0));
	EXPECT_OWNER_DEAD(&self->c, w);
}

/* ---- exec ---------------------------------------------------------------------- */

#define EXEC_HELPER	"exec-helper"

/* The new image: say what the inherited file is worth, and stay. */
static int exec_helper(char **argv)
{
	struct aop_ioc_features f = { .size = sizeof(f) };
	int sock = atoi(argv[2]), fd = atoi(argv[3]);

	if (send_fd(sock, -1, -abi_ioctl(fd, AOP_IOC_FEATURES, &f)))
		return 1;
	for (;;)
		pause();
}

static int exec_now(int sock, int fd)
{
	char a[16], b[16];

	snprintf(a, sizeof(a), "%d", sock);
	snprintf(b, sizeof(b), "%d", fd);
	fcntl(sock, F_SETFD, 0);
	execl("/proc/self/exe", "death", EXEC_HELPER, a, b, NULL);
	return 1;
}

static int exec_closing(struct abi_ctx *c, uint64_t h, int sock)
{
	(void)h;
	return exec_now(sock, c->fd);
}

static int exec_keeping(struct abi_ctx *c, uint64_t h, int sock)
{
	(void)h;
	fcntl(c->fd, F_SETFD, 0);
	return exec_now(sock, c->fd);
}

TEST_F(death, K9_exec_with_close_on_exec)
{
	struct owner o;
	uint64_t value;

	ASSERT_EQ(0, owner_begin(&o, &self->c, self->sock, exec_closing));
	EXPECT_EQ(0, until_dead(&o, &self->c));
	ASSERT_EQ(-ENOMSG, recv_fd(self->sock[0], &value, 0));
	EXPECT_EQ(EBADF, value);
	ASSERT_EQ(0, kill(o.pid, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, reap_child(o.pid));
}

/* The new image cannot drive what the old one began; its end is an end as well. */
TEST_F(death, K9_exec_without_close_on_exec)
{
	struct owner o;
	uint64_t value;

	ASSERT_EQ(0, owner_begin(&o, &self->c, self->sock, exec_keeping));
	ASSERT_EQ(-ENOMSG, recv_fd(self->sock[0], &value, 0));
	EXPECT_EQ(EIO, value);
	EXPECT_EQ(0, kill_and_see(&o, &self->c));
}

/* ---- the right to drive, on its way ------------------------------------------- */

static int send_the_right(struct abi_ctx *c, uint64_t h, int sock)
{
	int fd = abi_export(c, h, AOP_MAY_DRIVE);

	if (fd < 0 || send_fd(sock, fd, 0))
		return 1;
	return close(fd);
}

TEST_F(death, K9_the_right_had_left_the_process)
{
	struct owner o;
	uint64_t value, h;
	int fd, i;

	/* In the queue of a socket when its sender is killed; then taken, or not. */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, owner_begin(&o, &self->c, self->sock, send_the_right));
		fd = recv_fd(self->sock[0], &value, MSG_PEEK);
		ASSERT_GE(fd, 0);
		close(fd);
		ASSERT_EQ(0, kill(o.pid, SIGKILL));
		EXPECT_EQ(128 + SIGKILL, reap_child(o.pid));
		EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, o.w));
		fd = recv_fd(self->sock[0], &value, 0);
		ASSERT_GE(fd, 0);
		if (i) {
			close(fd);
			EXPECT_EQ(0, until_dead(&o, &self->c));
		} else {
			ASSERT_EQ(0, abi_attach_fd(&self->c, fd, AOP_MAY_DRIVE, 0, 0, &h));
			close(fd);
			EXPECT_EQ(0, abi_done(&self->c, h, 5));
			EXPECT_ENDED(&self->c, o.w, AOP_DONE, 5);
			abi_drain(&self->c);
			close(o.fd);
		}
		/* "Ready", if it came to that. */
		recv_fd(self->sock[0], &value, MSG_DONTWAIT);
	}
}

/* Undelivered, and the socket goes: the right goes with it. */
TEST_F(death, K9_the_right_is_lost_on_its_way)
{
	int way[2], fd;
	uint64_t h, w;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, way));
	h = new_running(&self->c, 0);
	ASSERT_NE(0, h);
	w = watch(&self->c, h, &self->c, 0);
	ASSERT_NE(0, w);
	fd = abi_export(&self->c, h, AOP_MAY_DRIVE);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, send_fd(way[0], fd, 0));
	close(fd);
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, w));
	close(way[0]);
	close(way[1]);
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&self->c, w, AOP_EV_FINAL, 0));
	EXPECT_OWNER_DEAD(&self->c, w);
}

/* ---- many ------------------------------------------------------------------------ */

static int have_many(struct abi_ctx *c, uint64_t h, int sock)
{
	static struct aop_create_entry e[1000];
	int i;

	(void)h;
	for (i = 0; i < 1000; i++)
		e[i] = (struct aop_create_entry) { .mode = 0600, .state = i % 2 };
	if (abi_batch(c->fd, AOP_IOC_CREATE, e, sizeof(*e), 1000) != 1000)
		return 1;
	for (i = 0; i < 1000; i++)
		if (e[i].ret || (i % 50 == 0 && send_fd(sock, -1, e[i].id)))
			return 1;
	return 0;
}

TEST_F(death, K9_all_of_a_thousand)
{
	struct aop_wait_entry e[20];
	struct owner o;
	uint64_t id, h;
	int i;

	o.pid = spawn();
	if (!o.pid) {
		struct abi_ctx c;

		if (abi_open(&c, 2048) || have_many(&c, 0, self->sock[1]))
			_exit(1);
		for (;;)
			pause();
	}
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(-ENOMSG, recv_fd(self->sock[0], &id, 0));
		ASSERT_EQ(0, abi_attach_id(&self->c, id, AOP_MAY_LOOK, 0, 0, &h));
		e[i] = (struct aop_wait_entry) { .handle = h, .mask = AOP_EV_FINAL };
	}
	ASSERT_EQ(0, kill(o.pid, SIGKILL));
	EXPECT_EQ(20, abi_wait(&self->c, e, 20, 20, AOP_FOREVER_NS));
	for (i = 0; i < 20; i++)
		EXPECT_OWNER_DEAD(&self->c, e[i].handle);
	EXPECT_EQ(128 + SIGKILL, reap_child(o.pid));
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], EXEC_HELPER))
		return exec_helper(argv);
	return test_harness_run(argc, argv);
}
