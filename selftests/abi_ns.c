// SPDX-License-Identifier: GPL-2.0
/*
 * Operations seen from other namespaces: whose root is privileged (K7), what uids
 * and pids are shown, and by which clock times are told (M9).
 */
#include <sched.h>

#include "perm.h"

/* Not in every libc's headers. */
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME	0x00000080
#endif

FIXTURE(ns) {
	struct abi_ctx c;
	struct shared *s;
};

FIXTURE_SETUP(ns)
{
	ASSERT_EQ(0, abi_open(&self->c, 128));
	self->s = mmap(NULL, sizeof(*self->s), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->s != MAP_FAILED);
}

FIXTURE_TEARDOWN(ns)
{
	abi_close(&self->c);
}

/* ---- user namespaces ------------------------------------------------------------------------ */

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static int map_ids(pid_t pid, const char *map)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	ret = put(path, map);
	if (ret)
		return ret;
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	return put(path, map);
}

/*
 * A child in a user namespace of its own, in which @map holds, starts as its root.
 * The child returns 0, and goes on when the map is there.
 */
static pid_t spawn_in_userns(const char *map)
{
	int ready[2], mapped[2];
	pid_t pid;
	char b;

	if (pipe(ready) || pipe(mapped))
		return -1;
	pid = spawn();
	if (!pid) {
		if (unshare(CLONE_NEWUSER) || write(ready[1], "x", 1) != 1 ||
		    read(mapped[0], &b, 1) != 1 || setresgid(0, 0, 0) || setresuid(0, 0, 0))
			_exit(2);
		return 0;
	}
	if (read(ready[0], &b, 1) != 1 || map_ids(pid, map) || write(mapped[1], "x", 1) != 1)
		return -1;
	close(ready[0]);
	close(ready[1]);
	close(mapped[0]);
	close(mapped[1]);
	return pid;
}

/* Root of a child namespace has nothing to say about the parent's operations. */
TEST_F(ns, K7_root_of_a_child_namespace)
{
	struct keeper k = keep(make_all_modes, self->s);
	uint64_t roots = create(&self->c, 0600);
	pid_t pid;

	ASSERT_GT(k.pid, 0);
	ASSERT_NE(0, roots);
	/* A root that is 1005 outside: other to the operations of 1000. */
	pid = spawn_in_userns("0 1005 1");
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct abi_ctx c;
		struct aop_ioc_query q;
		uint64_t h;
		int i;

		EXPECT_EQ(0, getuid());
		if (abi_open(&c, 64))
			_exit(3);
		for (i = 0; i < MODES; i++)
			check_one(_metadata, &c, self->s->id[i], mode_of(i) & 4, mode_of(i) & 2);
		EXPECT_EQ(-ENOENT, abi_query_id(&c, roots, &q));
		EXPECT_EQ(-ENOENT, abi_attach_id(&c, roots, 0, 0, 0, &h));
		_exit(0);
	}
	EXPECT_EQ(0, reap_child(pid));
	/* One that is 1000 outside owns them. */
	pid = spawn_in_userns("0 1000 1");
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct abi_ctx c;
		int i;

		if (abi_open(&c, 64))
			_exit(3);
		for (i = 0; i < MODES; i++)
			check_one(_metadata, &c, self->s->id[i], mode_of(i) & 0400,
				  mode_of(i) & 0200);
		_exit(0);
	}
	EXPECT_EQ(0, reap_child(pid));
	EXPECT_EQ(0, let_go(&k));
}

/* A process of its own namespace, with an operation of user 7 there. */
static bool make_as_7(struct shared *s)
{
	static struct abi_ctx c;

	if (setresgid(7, 7, 7) || setresuid(7, 7, 7) || abi_open(&c, 64))
		return false;
	s->one = create(&c, 0600);
	return s->one;
}

static bool enter(int userns, uid_t uid)
{
	if (setns(userns, CLONE_NEWUSER) || setresgid(0, 0, 0) || setresuid(0, 0, 0))
		return false;
	return !uid || (!setresgid(uid, uid, uid) && !setresuid(uid, uid, uid));
}

/* In the operation's own namespace root is privileged, and in those around it. */
TEST_F(ns, K7_privilege_in_the_ops_own_namespace)
{
	struct abi_ctx *c = &self->c;
	uint64_t open_to_all = create(c, 0666);
	struct aop_ioc_query q;
	int userns, hold[2];
	char path[64], b;
	pid_t pid;

	ASSERT_EQ(0, pipe(hold));
	pid = spawn_in_userns("0 1005 1\n7 1006 1\n9 1007 1");
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct keeper k;

		close(hold[1]);
		k = keep(make_as_7, self->s);
		if (k.pid < 0)
			_exit(3);
		__atomic_store_n(&self->s->told, 1, __ATOMIC_RELEASE);
		if (read(hold[0], &b, 1))
			_exit(4);
		_exit(let_go(&k));
	}
	close(hold[0]);
	while (!__atomic_load_n(&self->s->told, __ATOMIC_ACQUIRE)) {
		ASSERT_EQ(0, waitpid(pid, NULL, WNOHANG));
		sched_yield();
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	userns = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(userns, 0);

	/* From outside. */
	ASSERT_EQ(0, abi_query_id(c, self->s->one, &q));
	EXPECT_EQ(1006, q.uid);
	EXPECT_EQ(1006, q.gid);
	check_one(_metadata, c, self->s->one, true, true);
	IN_CHILD() {
		struct abi_ctx o;

		ASSERT_TRUE(become(1000, 1000, 0));
		ASSERT_EQ(0, abi_open(&o, 64));
		check_one(_metadata, &o, self->s->one, false, false);
	}
	/* From inside: its root, its owner, and somebody else. */
	IN_CHILD() {
		struct abi_ctx o;

		ASSERT_TRUE(enter(userns, 0));
		ASSERT_EQ(0, abi_open(&o, 64));
		check_one(_metadata, &o, self->s->one, true, true);
		ASSERT_EQ(0, abi_query_id(&o, self->s->one, &q));
		EXPECT_EQ(7, q.uid);
		EXPECT_EQ(7, q.gid);
		/* Whom it cannot name. */
		ASSERT_EQ(0, abi_query_id(&o, open_to_all, &q));
		EXPECT_EQ(65534, q.uid);
		EXPECT_EQ(65534, q.gid);
	}
	IN_CHILD() {
		struct abi_ctx o;

		ASSERT_TRUE(enter(userns, 7));
		ASSERT_EQ(0, abi_open(&o, 64));
		check_one(_metadata, &o, self->s->one, true, true);
	}
	IN_CHILD() {
		struct abi_ctx o;

		ASSERT_TRUE(enter(userns, 9));
		ASSERT_EQ(0, abi_open(&o, 64));
		check_one(_metadata, &o, self->s->one, false, false);
	}
	/* Root of a sibling namespace, with all capabilities there. */
	pid = spawn_in_userns("0 1008 1");
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct abi_ctx o;

		if (abi_open(&o, 64))
			_exit(3);
		check_one(_metadata, &o, self->s->one, false, false);
		_exit(0);
	}
	EXPECT_EQ(0, reap_child(pid));
	close(hold[1]);
	close(userns);
}

/* ---- pid namespaces -------------------------------------------------------------------------- */

TEST_F(ns, K7_pid_of_the_creator)
{
	struct abi_ctx *c = &self->c;
	uint64_t mine = create(c, 0666);
	int made[2], hold[2];
	struct aop_ioc_query q;
	pid_t outer, inner;
	char b;

	ASSERT_EQ(0, pipe(made));
	ASSERT_EQ(0, pipe(hold));
	ASSERT_EQ(0, abi_query_id(c, mine, &q));
	EXPECT_EQ(getpid(), q.pid);
	outer = spawn();
	if (!outer) {
		close(hold[1]);
		close(made[0]);
		ASSERT_EQ(0, unshare(CLONE_NEWPID));
		inner = fork();
		if (!inner) {
			struct abi_ctx o;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			ASSERT_EQ(1, getpid());
			ASSERT_EQ(0, abi_open(&o, 64));
			self->s->one = create(&o, 0666);
			ASSERT_EQ(0, abi_query_id(&o, self->s->one, &q));
			EXPECT_EQ(1, q.pid);
			/* Nobody that it could name. */
			ASSERT_EQ(0, abi_query_id(&o, mine, &q));
			EXPECT_EQ(0, q.pid);
			ASSERT_EQ(1, write(made[1], "x", 1));
			_exit(read(hold[0], &b, 1));
		}
		self->s->told = inner;
		ASSERT_EQ(1, write(made[1], "x", 1));
		close(made[1]);
		_exit(reap_child(inner));
	}
	close(hold[0]);
	close(made[1]);
	/* Of both: either may be the first. */
	ASSERT_EQ(1, read(made[0], &b, 1));
	ASSERT_EQ(1, read(made[0], &b, 1));
	ASSERT_EQ(0, abi_query_id(c, self->s->one, &q));
	EXPECT_EQ(self->s->told, q.pid);
	close(hold[1]);
	EXPECT_EQ(0, reap_child(outer));
}

static void *query_own(void *arg)
{
	struct abi_ctx *c = arg;
	struct aop_ioc_query q;
	uint64_t id = create(c, 0600);

	return !abi_query_id(c, id, &q) && q.pid == getpid() && gettid() != getpid() ? NULL : c;
}

/* Of the process, whichever thread made it. */
TEST_F(ns, K7_pid_of_a_thread)
{
	pthread_t t;
	void *bad;

	ASSERT_EQ(0, pthread_create(&t, NULL, query_own, &self->c));
	pthread_join(t, &bad);
	EXPECT_TRUE(!bad);
}

/* ---- time namespaces ------------------------------------------------------------------------- */

#define AHEAD_S		1000000ULL

/* M9 W4: all times are of the clock that the caller has. */
TEST_F(ns, M9_time_namespace)
{
	struct abi_ctx *c = &self->c;
	uint64_t outer = create(c, 0666);
	struct aop_ioc_query host;
	pid_t pid;

	if (access("/proc/self/ns/time", F_OK))
		SKIP(return, "this kernel has no time namespaces");
	ASSERT_NE(0, outer);
	ASSERT_EQ(0, abi_query_id(c, outer, &host));
	IN_CHILD() {
		ASSERT_EQ(0, unshare(CLONE_NEWTIME));
		ASSERT_EQ(0, put("/proc/self/timens_offsets", "monotonic 1000000 0"));
		pid = spawn();
		ASSERT_GE(pid, 0);
		if (!pid) {
			uint64_t before = abi_now(), deadline, h, w;
			struct aop_create_entry e = { .mask = AOP_EV_FINAL, .mode = 0666 };
			struct aop_wait_entry we;
			struct aop_ioc_query q;
			struct aop_status s;
			struct abi_ctx o;
			int fd;

			ASSERT_GE(before, AHEAD_S * ABI_SEC_NS);
			ASSERT_EQ(0, abi_open(&o, 64));
			h = abi_new(&o, 0, 0);
			ASSERT_NE(0, h);
			ASSERT_EQ(0, abi_start(&o, h));
			s = status_of(&o, h);
			EXPECT_GE(s.time, before);
			EXPECT_LE(s.time, abi_now());
			ASSERT_EQ(0, abi_query(&o, h, &q));
			EXPECT_GE(q.created, before);
			EXPECT_GE(q.started, q.created);
			EXPECT_EQ(s.time, q.started);
			EXPECT_EQ(s.time, q.status.time);
			EXPECT_LE(q.started, abi_now());

			/* A deadline of its own; the host's clock is far from there. */
			deadline = abi_now() + 10 * 1000 * 1000;
			e.deadline = deadline;
			ASSERT_EQ(0, abi_create(&o, &e));
			fd = abi_export(&o, e.handle, AOP_MAY_LOOK);
			ASSERT_GE(fd, 0);
			ASSERT_EQ(0, abi_query(&o, e.handle, &q));
			EXPECT_EQ(deadline, q.deadline);
			EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&o, e.handle, AOP_EV_FINAL, 0));
			s = status_of(&o, e.handle);
			EXPECT_EQ(-ETIMEDOUT, s.result);
			EXPECT_GE(s.time, deadline);
			EXPECT_LE(s.time, abi_now());
			ASSERT_EQ(sizeof(s), read(fd, &s, sizeof(s)));
			EXPECT_GE(s.time, deadline);
			EXPECT_LE(s.time, abi_now());

			/* And one of a wait. */
			we = (struct aop_wait_entry){ .handle = h, .mask = AOP_EV_FINAL };
			deadline = abi_now() + 10 * 1000 * 1000;
			EXPECT_EQ(-ETIME, abi_wait(&o, &we, 1, 1, deadline));
			EXPECT_GE(abi_now(), deadline);

			/* What another clock has stamped is shown by this one. */
			ASSERT_EQ(0, abi_attach_id(&o, outer, AOP_MAY_LOOK, 0, 0, &w));
			EXPECT_EQ(host.status.time + AHEAD_S * ABI_SEC_NS, status_of(&o, w).time);
			ASSERT_EQ(0, abi_query(&o, w, &q));
			EXPECT_EQ(host.created + AHEAD_S * ABI_SEC_NS, q.created);
			EXPECT_EQ(0, q.started);
			EXPECT_EQ(0, q.deadline);
			_exit(0);
		}
		EXPECT_EQ(0, reap_child(pid));
	}
}

TEST_HARNESS_MAIN
