// SPDX-License-Identifier: GPL-2.0
/*
 * Limits: of a context, of an operation, of a user, of a process, of a memory
 * cgroup (K8).  At each of them the answer is a clear error, what exists goes on
 * working, nothing is leaked, and below the limit all is well again.
 */
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "harness.h"
#include "abi.h"

FIXTURE(limits) {
	struct abi_ctx c;
	uint32_t max_handles;		/* to restore */
};

FIXTURE_SETUP(limits)
{
	ASSERT_EQ(0, abi_param_get("max_handles", &self->max_handles));
	ASSERT_EQ(0, abi_open(&self->c, 64));
	ASSERT_EQ(64, self->c.slots);
}

FIXTURE_TEARDOWN(limits)
{
	EXPECT_EQ(0, abi_param_set("max_handles", self->max_handles));
	abi_close(&self->c);
}

/* The operation ends, and everybody who holds it is told. */
static bool alive(struct abi_ctx *c, uint64_t h)
{
	return !abi_start(c, h) && !abi_progress(c, h, 1, 2) && abi_state(c, h) == AOP_RUNNING;
}

static int create(struct abi_ctx *c, uint64_t *handle)
{
	struct aop_create_entry e = { .mode = 0666, .mask = AOP_EV_FINAL };
	int ret = abi_create(c, &e);

	*handle = ret ? 0 : e.handle;
	return ret;
}

/* From now on somebody else, for good. */
static bool become(uid_t uid)
{
	return !setgroups(0, NULL) && !setresgid(uid, uid, uid) && !setresuid(uid, uid, uid);
}

/* ---- slots of a context -------------------------------------------------------------- */

TEST_F(limits, K8_slots)
{
	struct abi_ctx *c = &self->c;
	struct aop_create_entry e[70];
	uint64_t h, other, first;
	int i, fd;

	for (i = 0; i < 70; i++)
		e[i] = (struct aop_create_entry){ .mode = 0666, .mask = AOP_EV_FINAL };
	ASSERT_EQ(70, abi_batch(c->fd, AOP_IOC_CREATE, e, sizeof(e[0]), 70));
	for (i = 0; i < 70; i++) {
		EXPECT_EQ(i < 64 ? 0 : -ENOSPC, e[i].ret) TH_LOG("%d", i);
	}
	EXPECT_EQ(64, abi_handles(c));
	/* Whatever makes a handle. */
	EXPECT_EQ(-ENOSPC, create(c, &h));
	EXPECT_EQ(-ENOSPC, abi_attach_id(c, e[0].id, 0, 0, 0, &h));
	first = e[0].handle;
	EXPECT_EQ(-ENOSPC, abi_group(c, &first, 1, 1, 0, 0, &h));
	fd = abi_export(c, e[0].handle, AOP_MAY_DRIVE | AOP_MAY_LOOK);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-ENOSPC, abi_attach_fd(c, fd, AOP_MAY_DRIVE, 0, 0, &h));
	EXPECT_EQ(64, abi_handles(c));
	/* All of them work, the one that is on its way as well. */
	for (i = 1; i < 64; i++) {
		EXPECT_TRUE(alive(c, e[i].handle));
	}
	ASSERT_EQ(0, abi_detach(c, e[63].handle, 0));
	EXPECT_EQ(0, abi_attach_fd(c, fd, 0, 0, 0, &h));
	EXPECT_TRUE(alive(c, h));
	EXPECT_EQ(-ENOSPC, create(c, &other));
	ASSERT_EQ(0, abi_detach(c, e[62].handle, 0));
	EXPECT_EQ(0, create(c, &other));
	EXPECT_EQ(-ENOSPC, create(c, &h));
	close(fd);
}

/* ---- links of an operation ------------------------------------------------------------ */

TEST_F(limits, K8_links_of_an_op)
{
	struct abi_ctx *c = &self->c, big;
	uint64_t h, id, w[AOP_MAX_LINKS], more;
	struct aop_wait_entry we;
	int i, fd;

	ASSERT_EQ(0, abi_open(&big, 256));
	ASSERT_EQ(0, create(c, &h));
	id = abi_id(c, h);
	for (i = 1; i < AOP_MAX_LINKS; i++) {
		ASSERT_EQ(0, abi_attach_id(&big, id, AOP_MAY_LOOK, i, AOP_EV_FINAL, &w[i]))
			TH_LOG("%d", i);
	}
	EXPECT_EQ(-EMFILE, abi_attach_id(&big, id, AOP_MAY_LOOK, 0, 0, &more));
	EXPECT_EQ(-EMFILE, abi_attach_id(c, id, AOP_MAY_LOOK, 0, 0, &more));
	EXPECT_EQ(AOP_MAX_LINKS - 1, abi_handles(&big));
	EXPECT_EQ(1, abi_handles(c));
	/* A waiter and a group need a place as well; who only looks does not. */
	we = (struct aop_wait_entry){ .handle = h, .mask = AOP_EV_FINAL };
	EXPECT_EQ(-EMFILE, abi_wait(c, &we, 1, 1, AOP_FOREVER_NS));
	EXPECT_EQ(0, abi_look(c, h, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EMFILE, abi_group(c, &h, 1, 1, 0, 0, &more));
	EXPECT_EQ(1, abi_handles(c));
	/* A descriptor takes none. */
	fd = abi_export(c, h, AOP_MAY_LOOK);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(-EMFILE, abi_attach_fd(&big, fd, 0, 0, 0, &more));
	close(fd);
	/* One leaves, one comes; by turns of all kinds. */
	ASSERT_EQ(0, abi_detach(&big, w[1], 0));
	EXPECT_EQ(0, abi_group(c, &h, 1, 1, 0, AOP_EV_FINAL, &more));
	EXPECT_EQ(-EMFILE, abi_attach_id(&big, id, AOP_MAY_LOOK, 1, AOP_EV_FINAL, &w[1]));
	ASSERT_EQ(0, abi_detach(c, more, 0));
	/* A group may go a moment later. */
	do {
		i = abi_attach_id(&big, id, AOP_MAY_LOOK, 1, AOP_EV_FINAL, &w[1]);
	} while (i == -EMFILE);
	EXPECT_EQ(0, i);

	ASSERT_EQ(0, abi_done(c, h, 3));
	EXPECT_EQ(AOP_MAX_LINKS - 1, abi_drain(&big));
	for (i = 1; i < AOP_MAX_LINKS; i++) {
		EXPECT_EQ(AOP_DONE, abi_state(&big, w[i]));
	}
	abi_close(&big);
}

/* Another user gets a few places, and so does each. */
TEST_F(limits, K8_links_of_foreign_users)
{
	struct abi_ctx *c = &self->c;
	uint64_t h, id, w[AOP_MAX_FOREIGN], more;
	uid_t uid;
	int i;

	ASSERT_EQ(0, create(c, &h));
	id = abi_id(c, h);
	for (uid = 1000; uid < 1003; uid++) {
		IN_CHILD() {
			struct abi_ctx a, b;

			ASSERT_TRUE(become(uid));
			ASSERT_EQ(0, abi_open(&a, 64));
			ASSERT_EQ(0, abi_open(&b, 64));
			for (i = 0; i < AOP_MAX_FOREIGN; i++) {
				ASSERT_EQ(0, abi_attach_id(i % 2 ? &a : &b, id, 0, 0, 0, &w[i]));
			}
			EXPECT_EQ(-EMFILE, abi_attach_id(&a, id, 0, 0, 0, &more));
			EXPECT_EQ(-EMFILE, abi_attach_id(&b, id, AOP_MAY_LOOK, 0, 0, &more));
			EXPECT_EQ(-EMFILE, abi_group(&b, &w[0], 1, 1, 0, 0, &more));
			EXPECT_EQ(4, abi_handles(&a));
			EXPECT_EQ(4, abi_handles(&b));
			ASSERT_EQ(0, abi_detach(&b, w[0], 0));
			EXPECT_EQ(0, abi_attach_id(&a, id, 0, 0, 0, &more));
			EXPECT_EQ(-EMFILE, abi_attach_id(&b, id, 0, 0, 0, &more));
			/* Its own has no such bound. */
			ASSERT_EQ(0, create(&a, &more));
			for (i = 0; i < 2 * AOP_MAX_FOREIGN; i++) {
				EXPECT_EQ(0, abi_attach_id(&a, abi_id(&a, more), 0, 0, 0, &w[0]));
			}
		}
		/* What a foreign user does is no matter to the owner. */
		for (i = 0; i < AOP_MAX_FOREIGN; i++) {
			EXPECT_EQ(0, abi_attach_id(c, id, 0, 0, 0, &more));
		}
	}
}

/* While one sits on its places, another one still gets in. */
TEST_F(limits, K8_foreign_users_apart)
{
	struct abi_ctx *c = &self->c;
	int go[2], done[2];
	uint64_t h, id, w;
	pid_t sitter;
	char b;
	int i;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(done));
	ASSERT_EQ(0, create(c, &h));
	id = abi_id(c, h);
	sitter = fork();
	if (!sitter) {
		struct abi_ctx a;

		close(go[1]);
		ASSERT_TRUE(become(1000));
		ASSERT_EQ(0, abi_open(&a, 64));
		for (i = 0; i < AOP_MAX_FOREIGN; i++) {
			ASSERT_EQ(0, abi_attach_id(&a, id, 0, 0, 0, &w));
		}
		ASSERT_EQ(1, write(done[1], "x", 1));
		_exit(read(go[0], &b, 1));
	}
	close(done[1]);
	ASSERT_EQ(1, read(done[0], &b, 1));
	IN_CHILD() {
		struct abi_ctx a;

		ASSERT_TRUE(become(1001));
		ASSERT_EQ(0, abi_open(&a, 64));
		for (i = 0; i < AOP_MAX_FOREIGN; i++) {
			ASSERT_EQ(0, abi_attach_id(&a, id, 0, 0, 0, &w));
		}
		EXPECT_EQ(-EMFILE, abi_attach_id(&a, id, 0, 0, 0, &w));
	}
	IN_CHILD() {
		struct abi_ctx a;

		ASSERT_TRUE(become(1000));
		ASSERT_EQ(0, abi_open(&a, 64));
		EXPECT_EQ(-EMFILE, abi_attach_id(&a, id, 0, 0, 0, &w));
	}
	close(go[1]);
	child_reap(_metadata, sitter);
	/* The places of who has died are free. */
	IN_CHILD() {
		struct abi_ctx a;

		ASSERT_TRUE(become(1000));
		ASSERT_EQ(0, abi_open(&a, 64));
		EXPECT_EQ(0, abi_attach_id(&a, id, 0, 0, 0, &w));
	}
}

/* ---- handles of a user ----------------------------------------------------------------- */

TEST_F(limits, K8_quota_of_a_user)
{
	struct abi_ctx *c = &self->c;
	uint64_t theirs, id;

	ASSERT_EQ(0, create(c, &theirs));
	id = abi_id(c, theirs);
	ASSERT_EQ(0, abi_param_set("max_handles", 100));
	IN_CHILD() {
		struct abi_ctx a, b;
		uint64_t h[100], more;
		int i, fd;

		ASSERT_TRUE(become(1000));
		ASSERT_EQ(0, abi_open(&a, 128));
		ASSERT_EQ(0, abi_open(&b, 128));
		/* Over all contexts; what is attached counts, and so does a group. */
		for (i = 0; i < 60; i++) {
			ASSERT_EQ(0, create(&a, &h[i]));
		}
		for (; i < 98; i++) {
			ASSERT_EQ(0, create(&b, &h[i]));
		}
		ASSERT_EQ(0, abi_attach_id(&b, id, 0, 0, 0, &h[98]));
		ASSERT_EQ(0, abi_group(&a, h, 3, 2, 0, 0, &h[99]));
		EXPECT_EQ(-EDQUOT, create(&a, &more));
		EXPECT_EQ(-EDQUOT, create(&b, &more));
		EXPECT_EQ(-EDQUOT, abi_attach_id(&a, id, 0, 0, 0, &more));
		EXPECT_EQ(-EDQUOT, abi_group(&a, h, 3, 2, 0, 0, &more));
		EXPECT_EQ(61, abi_handles(&a));
		EXPECT_EQ(39, abi_handles(&b));
		EXPECT_TRUE(alive(&a, h[0]));
		EXPECT_TRUE(alive(&b, h[97]));
		/* A descriptor is no handle; one that is gone is none any more. */
		fd = abi_export(&a, h[1], AOP_MAY_DRIVE | AOP_MAY_LOOK);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(-EDQUOT, abi_attach_fd(&b, fd, 0, 0, 0, &more));
		ASSERT_EQ(0, abi_detach(&a, h[1], 0));
		EXPECT_EQ(0, abi_attach_fd(&b, fd, 0, 0, 0, &more));
		EXPECT_TRUE(alive(&b, more));
		EXPECT_EQ(-EDQUOT, create(&a, &more));
		abi_close(&b);
		EXPECT_EQ(0, create(&a, &more));
	}
	/* Another user has a quota of its own, and the first one has it back. */
	IN_CHILD() {
		struct abi_ctx a;
		uint64_t h;
		int i;

		ASSERT_TRUE(become(1001));
		ASSERT_EQ(0, abi_open(&a, 128));
		for (i = 0; i < 100; i++) {
			ASSERT_EQ(0, create(&a, &h));
		}
		EXPECT_EQ(-EDQUOT, create(&a, &h));
		IN_CHILD() {
			ASSERT_EQ(0, abi_open(&a, 128));
			EXPECT_EQ(-EDQUOT, create(&a, &h));
		}
	}
	IN_CHILD() {
		struct abi_ctx a;
		uint64_t h;
		int i;

		ASSERT_TRUE(become(1000));
		ASSERT_EQ(0, abi_open(&a, 128));
		for (i = 0; i < 100; i++) {
			ASSERT_EQ(0, create(&a, &h));
		}
		EXPECT_EQ(-EDQUOT, create(&a, &h));
	}
	EXPECT_TRUE(alive(c, theirs));
	/* Below what is held: nothing is taken away. */
	ASSERT_EQ(0, abi_param_set("max_handles", 0));
	EXPECT_EQ(-EDQUOT, create(c, &id));
	EXPECT_EQ(0, abi_done(c, theirs, 0));
}

/* ---- descriptors of a process ------------------------------------------------------------ */

TEST_F(limits, K8_export_without_a_descriptor)
{
	struct abi_ctx *c = &self->c;
	struct aop_ioc_query q;
	struct rlimit old, none;
	uint64_t h;
	uint32_t ops, after;
	int i, fd;

	ASSERT_EQ(0, create(c, &h));
	ASSERT_EQ(0, abi_param_get("ops", &ops));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(-EMFILE, abi_export(c, h, AOP_MAY_DRIVE)) TH_LOG("%d", i);
		ASSERT_EQ(-EMFILE, abi_export(c, h, AOP_MAY_ALL)) TH_LOG("%d", i);
		ASSERT_EQ(-EMFILE, abi_export(c, h, AOP_MAY_LOOK)) TH_LOG("%d", i);
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	ASSERT_EQ(0, abi_query(c, h, &q));
	EXPECT_EQ(AOP_MAY_ALL, q.rights);
	EXPECT_EQ(1, q.watchers);
	EXPECT_TRUE(alive(c, h));
	fd = abi_export(c, h, AOP_MAY_DRIVE);
	ASSERT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(AOP_FAILED, abi_state(c, h));
	/* It was the only operation here, and nothing of it was left behind. */
	ASSERT_EQ(0, abi_detach(c, h, 0));
	ASSERT_EQ(0, abi_param_get("ops", &after));
	EXPECT_EQ(ops - 1, after);
}

/* ---- groups -------------------------------------------------------------------------------- */

TEST_F(limits, W8_depth_of_groups)
{
	struct abi_ctx *c = &self->c;
	uint64_t h, g[AOP_MAX_DEPTH + 1], two[2], more;
	int i;

	ASSERT_EQ(0, create(c, &h));
	g[0] = h;
	for (i = 1; i <= AOP_MAX_DEPTH; i++) {
		ASSERT_EQ(0, abi_group(c, &g[i - 1], 1, 1, 0, AOP_EV_FINAL, &g[i])) TH_LOG("%d", i);
	}
	EXPECT_EQ(-ELOOP, abi_group(c, &g[AOP_MAX_DEPTH], 1, 1, 0, 0, &more));
	/* The deepest member counts, wherever it stands. */
	two[0] = h;
	two[1] = g[AOP_MAX_DEPTH];
	EXPECT_EQ(-ELOOP, abi_group(c, two, 2, 1, 0, 0, &more));
	EXPECT_EQ(AOP_MAX_DEPTH + 1, abi_handles(c));
	two[1] = g[AOP_MAX_DEPTH - 1];
	EXPECT_EQ(0, abi_group(c, two, 2, 2, 0, AOP_EV_FINAL, &more));
	ASSERT_EQ(0, abi_done(c, h, 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(c, more, AOP_EV_FINAL, 0));
	for (i = 1; i <= AOP_MAX_DEPTH; i++) {
		EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(c, g[i], AOP_EV_FINAL, 0));
		EXPECT_EQ(AOP_DONE, abi_state(c, g[i]));
	}
}

TEST_F(limits, W8_members_of_a_group)
{
	static struct aop_create_entry e[AOP_MAX_ENTRIES];
	static struct aop_signal_entry s[AOP_MAX_ENTRIES];
	static uint64_t h[AOP_MAX_ENTRIES + 1];
	struct abi_ctx c;
	struct aop_status st;
	struct aop_ioc_query q;
	uint64_t g, more;
	int i;

	ASSERT_EQ(0, abi_open(&c, 2 * AOP_MAX_ENTRIES));
	for (i = 0; i < AOP_MAX_ENTRIES; i++)
		e[i] = (struct aop_create_entry){ .mode = 0600 };
	ASSERT_EQ(AOP_MAX_ENTRIES,
		  abi_batch(c.fd, AOP_IOC_CREATE, e, sizeof(e[0]), AOP_MAX_ENTRIES));
	for (i = 0; i < AOP_MAX_ENTRIES; i++) {
		ASSERT_EQ(0, e[i].ret);
		h[i] = e[i].handle;
		s[i] = (struct aop_signal_entry){ .handle = h[i], .what = AOP_SIGNAL_DONE };
	}
	h[AOP_MAX_ENTRIES] = h[0];
	EXPECT_EQ(-EINVAL, abi_group(&c, h, AOP_MAX_ENTRIES + 1, 1, 0, 0, &more));
	ASSERT_EQ(0, abi_group(&c, h, AOP_MAX_ENTRIES, AOP_MAX_ENTRIES, 0, AOP_EV_FINAL, &g));
	ASSERT_EQ(0, abi_query(&c, g, &q));
	EXPECT_EQ(AOP_MAX_ENTRIES, q.members);
	EXPECT_EQ(AOP_MAX_ENTRIES, q.need);
	ASSERT_EQ(AOP_MAX_ENTRIES - 1,
		  abi_batch(c.fd, AOP_IOC_SIGNAL, s, sizeof(s[0]), AOP_MAX_ENTRIES - 1));
	EXPECT_EQ(AOP_RUNNING, abi_state(&c, g));
	EXPECT_EQ(0, abi_queued(&c));
	ASSERT_EQ(0, abi_done(&c, h[AOP_MAX_ENTRIES - 1], 0));
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&c, g, AOP_EV_FINAL, 0));
	ASSERT_EQ(0, abi_status(&c, g, &st));
	EXPECT_EQ(AOP_DONE, st.state);
	EXPECT_EQ(AOP_MAX_ENTRIES, st.result);
	EXPECT_EQ(1, abi_drain(&c));
	abi_close(&c);
}

/* A group that fails half-way through its members leaves no mark on the first half. */
TEST_F(limits, W8_group_undone)
{
	struct abi_ctx *c = &self->c, big;
	uint64_t free_op, full_op, m[2], more;
	struct aop_ioc_query q;
	int i;

	ASSERT_EQ(0, abi_open(&big, 256));
	ASSERT_EQ(0, create(c, &free_op));
	ASSERT_EQ(0, create(c, &full_op));
	for (i = 1; i < AOP_MAX_LINKS; i++) {
		ASSERT_EQ(0, abi_attach_id(&big, abi_id(c, full_op), AOP_MAY_LOOK, 0, 0, &more));
	}
	m[0] = free_op;
	m[1] = full_op;
	for (i = 0; i < 2 * AOP_MAX_LINKS; i++) {
		ASSERT_EQ(-EMFILE, abi_group(c, m, 2, 1, 0, 0, &more)) TH_LOG("%d", i);
	}
	EXPECT_EQ(2, abi_handles(c));
	for (i = 1; i < AOP_MAX_LINKS; i++) {
		ASSERT_EQ(0, abi_attach_id(&big, abi_id(c, free_op), AOP_MAY_LOOK, 0, 0, &more))
			TH_LOG("%d", i);
	}
	ASSERT_EQ(0, abi_query(c, free_op, &q));
	EXPECT_EQ(AOP_MAX_LINKS, q.watchers);
	abi_close(&big);
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define CG_ROOT	"/tmp/aop-cgroups"
#define CG	CG_ROOT "/aop-test"

static long long cg_get(const char *file)
{
	char path[128];
	long long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", CG, file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (fscanf(f, "%lld", &v) != 1)
		v = -EIO;
	fclose(f);
	return v;
}

static int cg_put(const char *file, const char *value)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", CG, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

#define MEMORY_BATCH	256

/* What the child in the cgroup tells, without printing: it has no memory for that. */
struct memory_report {
	int step;			/* how far it came */
	int ret;			/* of what failed first */
	int created;
	int good;
};

/*
 * Takes steps as @go is written to; the memory that it needs for itself it has from
 * the beginning.
 */
static void memory_child(int go, int done, struct memory_report *r)
{
	static struct aop_create_entry e[MEMORY_BATCH];
	static uint64_t h[1 << 18];
	struct abi_ctx c;
	char b;
	int i, n = 0, target = 16384;

	if (mlockall(MCL_CURRENT | MCL_FUTURE) || abi_open(&c, 1 << 18))
		return;
	for (r->step = 1;; r->step++) {
		if (write(done, "x", 1) != 1 || read(go, &b, 1) != 1)
			return;
		switch (r->step) {
		case 1:			/* some, then as many as there are */
		case 2:
			while (!r->ret && n < target) {
				for (i = 0; i < MEMORY_BATCH; i++)
					e[i] = (struct aop_create_entry){ .mask = AOP_EV_FINAL };
				abi_batch(c.fd, AOP_IOC_CREATE, e, sizeof(e[0]), MEMORY_BATCH);
				for (i = 0; i < MEMORY_BATCH; i++) {
					if (!e[i].ret)
						h[n++] = e[i].handle;
					else if (!r->ret)
						r->ret = e[i].ret;
				}
			}
			r->created = n;
			target = (1 << 18) - MEMORY_BATCH;
			break;
		case 3:			/* at the limit all of them still work */
			/* To look at the slots takes memory of this process: that comes later. */
			for (i = 0; i < n; i++)
				r->good += !abi_done(&c, h[i], i);
			break;
		case 4:			/* without a limit there are more */
			for (i = 0; i < n; i++)
				r->good += abi_state(&c, h[i]) == AOP_DONE;
			r->good += abi_drain(&c);
			r->ret = abi_new(&c, 0, 0) ? 0 : -errno;
			break;
		default:
			return;
		}
	}
}

TEST_F(limits, K8_memory_of_a_cgroup)
{
	struct memory_report *r;
	long long before, after;
	int go[2], done[2];
	char b, text[32];
	pid_t child;

	r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(r != MAP_FAILED);
	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(done));
	/* A mount namespace of its own, so that nothing stays when the test fails. */
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_TRUE(!mkdir(CG_ROOT, 0700) || errno == EEXIST);
	ASSERT_EQ(0, mount("none", CG_ROOT, "cgroup2", 0, NULL));
	ASSERT_TRUE(!rmdir(CG) || errno == ENOENT);
	ASSERT_EQ(0, mkdir(CG, 0700));
	ASSERT_EQ(0, cg_put("../cgroup.subtree_control", "+memory"));

	child = fork();
	if (!child) {
		close(done[0]);
		close(go[1]);
		if (cg_put("cgroup.procs", "0"))
			_exit(1);
		memory_child(go[0], done[1], r);
		_exit(0);
	}
	close(done[1]);
	close(go[0]);
	ASSERT_EQ(1, read(done[0], &b, 1));
	before = cg_get("memory.current");
	ASSERT_GE(before, 0);
	ASSERT_EQ(1, write(go[1], "x", 1));
	ASSERT_EQ(1, read(done[0], &b, 1));
	after = cg_get("memory.current");
	/* An operation with its slot and table entry: more than 200 bytes each. */
	EXPECT_EQ(16384, r->created);
	EXPECT_EQ(0, r->ret);
	EXPECT_GE(after - before, 16384 * 200) TH_LOG("%lld", after - before);

	snprintf(text, sizeof(text), "%lld", after + (2 << 20));
	ASSERT_EQ(0, cg_put("memory.max", text));
	ASSERT_EQ(1, write(go[1], "x", 1));
	ASSERT_EQ(1, read(done[0], &b, 1)) TH_LOG("died at the limit");
	EXPECT_EQ(-ENOMEM, r->ret);
	EXPECT_GT(r->created, 16384);
	EXPECT_LT(r->created, 16384 + (4 << 20) / 200);
	EXPECT_LE(cg_get("memory.current"), after + (2 << 20));
	TH_LOG("%lld bytes for 16384, %d more in 2 MB", after - before, r->created - 16384);

	ASSERT_EQ(1, write(go[1], "x", 1));
	ASSERT_EQ(1, read(done[0], &b, 1)) TH_LOG("died at the limit");
	EXPECT_EQ(r->created, r->good);

	ASSERT_EQ(0, cg_put("memory.max", "max"));
	ASSERT_EQ(1, write(go[1], "x", 1));
	ASSERT_EQ(1, read(done[0], &b, 1));
	EXPECT_EQ(0, r->ret);
	EXPECT_EQ(3 * r->created, r->good);
	close(go[1]);
	child_reap(_metadata, child);
	ASSERT_EQ(0, rmdir(CG));
}

TEST_HARNESS_MAIN
