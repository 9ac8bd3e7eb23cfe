// SPDX-License-Identifier: GPL-2.0
/*
 * Who may see and cancel what, by its id (K7): users, groups and modes; and
 * processes that got hold of another one's context (K9).
 */
#include <sys/syscall.h>

#include "perm.h"

FIXTURE(perm) {
	struct abi_ctx c;
	struct shared *s;
};

FIXTURE_SETUP(perm)
{
	ASSERT_EQ(0, abi_open(&self->c, 128));
	self->s = mmap(NULL, sizeof(*self->s), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->s != MAP_FAILED);
}

FIXTURE_TEARDOWN(perm)
{
	abi_close(&self->c);
}

/* Who looks, and by which of the three pairs of bits: shift in mode. */
static const struct {
	const char *name;
	uid_t uid;
	gid_t gid, extra;
	int shift;
} lookers[] = {
	{ "owner", 1000, 1000, 0, 6 },
	{ "owner with another group", 1000, 2000, 0, 6 },
	{ "group", 1001, 1000, 0, 3 },
	{ "supplementary group", 1001, 1001, 1000, 3 },
	{ "other", 1001, 1001, 0, 0 },
	{ "other with another group", 1001, 1001, 1002, 0 },
};

TEST_F(perm, K7_modes)
{
	struct keeper k = keep(make_all_modes, self->s);
	unsigned int w;
	int i;

	ASSERT_GT(k.pid, 0);
	for (w = 0; w < ARRAY_SIZE(lookers); w++) {
		IN_CHILD() {
			struct abi_ctx c;

			ASSERT_TRUE(become(lookers[w].uid, lookers[w].gid, lookers[w].extra));
			ASSERT_EQ(0, abi_open(&c, 64));
			for (i = 0; i < MODES; i++) {
				int bits = mode_of(i) >> lookers[w].shift;

				check_one(_metadata, &c, self->s->id[i], bits & 4, bits & 2);
				if (_metadata->exit_code) {
					TH_LOG("%s, mode %o", lookers[w].name, mode_of(i));
					break;
				}
			}
		}
	}
	/* Privilege sees all. */
	for (i = 0; i < MODES; i++)
		check_one(_metadata, &self->c, self->s->id[i], true, true);
	EXPECT_EQ(0, let_go(&k));
	/* They have ended with their process; nobody holds them. */
	for (i = 0; i < MODES; i++) {
		struct aop_ioc_query q;

		EXPECT_EQ(-ENOENT, abi_query_id(&self->c, self->s->id[i], &q));
	}
}

/* Root without its capability is a user like any other. */
TEST_F(perm, K7_root_without_privilege)
{
	struct keeper k = keep(make_all_modes, self->s);

	ASSERT_GT(k.pid, 0);
	IN_CHILD() {
		struct {
			uint32_t version;
			int pid;
		} head = { 0x20080522, 0 };
		struct {
			uint32_t effective, permitted, inheritable;
		} none[2] = { { 0 } };
		struct abi_ctx c;
		int i;

		ASSERT_EQ(0, syscall(SYS_capset, &head, none));
		ASSERT_EQ(0, abi_open(&c, 64));
		for (i = 0; i < MODES; i++)
			check_one(_metadata, &c, self->s->id[i], mode_of(i) & 4, mode_of(i) & 2);
	}
	EXPECT_EQ(0, let_go(&k));
}

/* The bits are checked when attaching, and by the identity of then. */
TEST_F(perm, O2_checked_when_attaching)
{
	struct abi_ctx *c = &self->c;
	uint64_t id = create(c, 0666);

	ASSERT_NE(0, id);
	IN_CHILD() {
		struct abi_ctx o;
		uint64_t h, private;
		struct aop_ioc_query q;

		/* Opened with privilege, used without. */
		ASSERT_EQ(0, abi_open(&o, 64));
		private = create(c, 0600);
		EXPECT_EQ(0, private);		/* not this process's context */
		ASSERT_EQ(0, abi_attach_id(&o, id, 0, 0, 0, &h));
		ASSERT_TRUE(become(1000, 1000, 0));
		EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, rights_of(&o, h));
		EXPECT_EQ(AOP_STOPPED, abi_cancel(&o, h, -EINTR));
		EXPECT_EQ(0, abi_query_id(&o, id, &q));
	}
	id = create(c, 0600);
	IN_CHILD() {
		struct abi_ctx o;
		struct aop_ioc_query q;
		uint64_t h;

		ASSERT_EQ(0, abi_open(&o, 64));
		EXPECT_EQ(0, abi_query_id(&o, id, &q));
		ASSERT_TRUE(become(1000, 1000, 0));
		EXPECT_EQ(-ENOENT, abi_query_id(&o, id, &q));
		EXPECT_EQ(-ENOENT, abi_attach_id(&o, id, 0, 0, 0, &h));
	}
}

/* Whoever may open it may use it, all of it. */
TEST_F(perm, K7_unprivileged)
{
	IN_CHILD() {
		struct abi_ctx a, b;
		uint64_t h, w, g;
		int fd;

		ASSERT_TRUE(become(65534, 65534, 0));
		ASSERT_EQ(0, abi_open(&a, 64));
		ASSERT_EQ(0, abi_open(&b, 64));
		h = abi_new(&a, 1, AOP_EV_FINAL);
		ASSERT_NE(0, h);
		ASSERT_EQ(0, abi_attach_id(&b, abi_id(&a, h), 0, 2, AOP_EV_FINAL, &w));
		ASSERT_EQ(0, abi_group(&b, &w, 1, 1, 0, AOP_EV_FINAL, &g));
		fd = abi_export(&a, h, AOP_MAY_DRIVE);
		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, abi_attach_fd(&a, fd, 0, 0, 0, &w));
		EXPECT_EQ(0, abi_start(&a, w));
		EXPECT_EQ(AOP_ASKED, abi_cancel(&a, h, 0));
		EXPECT_EQ(0, abi_signal(&a, w, AOP_SIGNAL_CANCELLED, 0));
		EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(&b, g, AOP_EV_FINAL, 0));
		EXPECT_EQ(-EACCES, abi_param_set("max_handles", 1));
		close(fd);
	}
}

/* Groups: a handle's rights are what counts, not the id's. */
TEST_F(perm, K7_group_has_a_mode_of_its_own)
{
	struct abi_ctx *c = &self->c;
	uint64_t h = abi_new(c, 0, 0);
	struct aop_ioc_group g = {
		.size = sizeof(g), .members = abi_u64(&h), .nr = 1, .need = 1, .mode = 0604,
	};

	ASSERT_NE(0, h);
	ASSERT_EQ(0, abi_ioctl(c->fd, AOP_IOC_GROUP, &g));
	IN_CHILD() {
		struct abi_ctx o;
		uint64_t w;

		ASSERT_TRUE(become(1000, 1000, 0));
		ASSERT_EQ(0, abi_open(&o, 64));
		EXPECT_EQ(-ENOENT, abi_attach_id(&o, abi_id(c, h), 0, 0, 0, &w));
		EXPECT_EQ(-EACCES, abi_attach_id(&o, g.id, AOP_MAY_CANCEL, 0, 0, &w));
		EXPECT_EQ(0, abi_attach_id(&o, g.id, 0, 0, 0, &w));
		EXPECT_EQ(AOP_MAY_LOOK, rights_of(&o, w));
	}
}

/* ---- other processes ----------------------------------------------------------------------- */

/* K9: a child that inherited the file: every call, whatever it says. */
TEST_F(perm, K9_context_of_another_process)
{
	struct abi_ctx *c = &self->c;
	uint64_t h = abi_new(c, 1, AOP_EV_FINAL);
	struct aop_status before, after;

	ASSERT_NE(0, h);
	ASSERT_EQ(0, abi_status(c, h, &before));
	IN_CHILD() {
		struct aop_ioc_features f = { .size = sizeof(f) };
		struct aop_ioc_setup s = { .size = sizeof(s), .slots = 64 };
		struct aop_ioc_query q;
		uint64_t w;
		unsigned int cmd;

		EXPECT_EQ(-EIO, abi_ioctl(c->fd, AOP_IOC_FEATURES, &f));
		EXPECT_EQ(-EIO, abi_ioctl(c->fd, AOP_IOC_SETUP, &s));
		EXPECT_EQ(0, abi_new(c, 0, 0));
		EXPECT_EQ(EIO, errno);
		EXPECT_EQ(-EIO, abi_done(c, h, 0));
		EXPECT_EQ(-EIO, abi_wait_one(c, h, AOP_EV_FINAL, 0));
		EXPECT_EQ(-EIO, abi_cancel(c, h, 0));
		EXPECT_EQ(-EIO, abi_export(c, h, AOP_MAY_LOOK));
		EXPECT_EQ(-EIO, abi_attach_id(c, before.id, 0, 0, 0, &w));
		EXPECT_EQ(-EIO, abi_detach(c, h, 0));
		EXPECT_EQ(-EIO, abi_modify(c, h, 0, 0));
		EXPECT_EQ(-EIO, abi_group(c, &h, 1, 1, 0, 0, &w));
		EXPECT_EQ(-EIO, abi_query(c, h, &q));
		for (cmd = 0; cmd < 16; cmd++) {
			EXPECT_EQ(-EIO, abi_ioctl(c->fd, _IO(AOP_IOC_TYPE, cmd), NULL));
		}
		EXPECT_EQ(-EIO, abi_map(c));
		c->head_size = c->area_size;
		EXPECT_EQ(-EIO, abi_map(c));
		/* Closing its copy is no end of anything. */
		close(c->fd);
	}
	ASSERT_EQ(0, abi_status(c, h, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_EQ(1, abi_handles(c));
	EXPECT_EQ(0, abi_queued(c));
	EXPECT_EQ(0, abi_done(c, h, 0));
	EXPECT_EQ(1, abi_drain(c));
}

/* The same in the other direction: sent by the one who opened it. */
TEST_F(perm, K9_context_sent_to_another_process)
{
	int sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
	IN_CHILD() {
		struct abi_ctx c;

		ASSERT_EQ(0, abi_open(&c, 64));
		ASSERT_NE(0, abi_new(&c, 0, 0));
		ASSERT_EQ(0, send_fd(sv[1], c.fd, 0));
	}
	{
		struct aop_ioc_features f = { .size = sizeof(f) };
		uint64_t v;
		int fd = recv_fd(sv[0], &v, 0);

		ASSERT_GE(fd, 0);
		EXPECT_EQ(-EIO, abi_ioctl(fd, AOP_IOC_FEATURES, &f));
		/* Its process is dead, and took its handles along. */
		EXPECT_EQ(0, abi_fdinfo(fd, "handles"));
		close(fd);
	}
}

TEST_HARNESS_MAIN
