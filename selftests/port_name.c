// SPDX-License-Identifier: GPL-2.0
/*
 * O5: names of ports.
 */
#include "behave.h"
#include "port.h"

FIXTURE(name) {
	struct abi_ctx s, c;
	uint64_t port;
};

FIXTURE_SETUP(name)
{
	ASSERT_EQ(0, abi_open(&self->s, 64));
	ASSERT_EQ(0, abi_open(&self->c, 64));
	self->port = port_new(&self->s, 8);
	ASSERT_NE(0, self->port);
}

FIXTURE_TEARDOWN(name)
{
	abi_close(&self->c);
	abi_close(&self->s);
}

static int name(struct abi_ctx *c, struct aop_ioc_name *n, uint32_t what, const char *text,
		uint64_t handle, uint32_t mode)
{
	*n = (struct aop_ioc_name){
		.size = sizeof(*n), .what = what, .name = abi_u64(text), .handle = handle,
		.mode = mode,
	};
	return abi_ioctl(c->fd, AOP_IOC_NAME, n);
}

TEST_F(name, O5_reserve_bind_find_release)
{
	struct aop_ioc_name n;
	uint64_t id = abi_id(&self->s, self->port), h;

	EXPECT_EQ(-ENOENT, name(&self->c, &n, AOP_NAME_FIND, "svc", 0, 0));
	ASSERT_EQ(0, name(&self->s, &n, AOP_NAME_RESERVE, "svc", 0, 0100));
	EXPECT_EQ(0, n.id);
	EXPECT_EQ(getpid(), n.pid);
	EXPECT_EQ(-EEXIST, name(&self->s, &n, AOP_NAME_RESERVE, "svc", 0, 0100));
	EXPECT_EQ(-ENOTCONN, name(&self->c, &n, AOP_NAME_FIND, "svc", 0, 0));
	EXPECT_EQ(getpid(), n.pid);
	EXPECT_EQ(-EPERM, name(&self->c, &n, AOP_NAME_RELEASE, "svc", 0, 0));
	ASSERT_EQ(0, name(&self->s, &n, AOP_NAME_BIND, "svc", self->port, 0100));
	EXPECT_EQ(id, n.id);
	/* A clash tells who has it. */
	EXPECT_EQ(-EEXIST, name(&self->c, &n, AOP_NAME_RESERVE, "svc", 0, 0100));
	EXPECT_EQ(id, n.id);
	EXPECT_EQ(getpid(), n.pid);
	EXPECT_EQ(geteuid(), n.uid);
	ASSERT_EQ(0, name(&self->c, &n, AOP_NAME_FIND, "svc", 0, 0));
	EXPECT_EQ(id, n.id);
	EXPECT_EQ(AOP_MAY_CALL, rights_of(&self->c, n.handle));
	EXPECT_NE(0, port_call(&self->c, n.handle, NULL, 0, 0));
	h = n.handle;
	ASSERT_EQ(0, name(&self->s, &n, AOP_NAME_RELEASE, "svc", 0, 0));
	EXPECT_EQ(-ENOENT, name(&self->c, &n, AOP_NAME_FIND, "svc", 0, 0));
	EXPECT_EQ(-ENOENT, name(&self->s, &n, AOP_NAME_RELEASE, "svc", 0, 0));
	/* The handle stays. */
	EXPECT_NE(0, port_call(&self->c, h, NULL, 0, 0));
}

/* One port ends, the next one takes its name over: a clash comes from others only. */
TEST_F(name, O5_bound_anew)
{
	uint64_t next = port_new(&self->s, 8), theirs = port_new(&self->c, 8);
	struct aop_ioc_name n;

	ASSERT_EQ(0, name(&self->s, &n, AOP_NAME_BIND, "svc", self->port, 0100));
	ASSERT_EQ(0, abi_done(&self->s, self->port, 0));
	EXPECT_EQ(-ENOTCONN, name(&self->c, &n, AOP_NAME_FIND, "svc", 0, 0));
	EXPECT_EQ(-EEXIST, name(&self->c, &n, AOP_NAME_BIND, "svc", theirs, 0100));
	ASSERT_EQ(0, name(&self->s, &n, AOP_NAME_BIND, "svc", next, 0100));
	ASSERT_EQ(0, name(&self->c, &n, AOP_NAME_FIND, "svc", 0, 0));
	EXPECT_EQ(abi_id(&self->s, next), n.id);
	/* It goes with who has it. */
	abi_close(&self->s);
	EXPECT_EQ(-ENOENT, name(&self->c, &n, AOP_NAME_FIND, "svc", 0, 0));
	EXPECT_EQ(0, name(&self->c, &n, AOP_NAME_BIND, "svc", theirs, 0100));
}

TEST_F(name, O5_text)
{
	static const struct {
		const char *text;
		int want;
	} t[] = {
		{ "", -EINVAL }, { "a\nb", -EINVAL }, { "\x7f", -EINVAL },
		{ "gr\xc3\xbc\xc3\x9f", 0 }, { "\xe2\x82\xac", 0 }, { "\xf0\x9f\x98\x80", 0 },
		{ "\xf4\x8f\xbf\xbf", 0 }, { "\xf4\x90\x80\x80", -EILSEQ },
		{ "\xc3", -EILSEQ }, { "\x80", -EILSEQ }, { "\xc0\x80", -EILSEQ },
		{ "\xc1\xbf", -EILSEQ }, { "\xe0\x9f\xbf", -EILSEQ },
		{ "\xed\xa0\x80", -EILSEQ }, { "\xed\x9f\xbf", 0 }, { "\xee\x80\x80", 0 },
		{ "\xf0\x8f\xbf\xbf", -EILSEQ }, { "\xf8\x88\x80\x80\x80", -EILSEQ },
		{ "\xff", -EILSEQ }, { "a\xe2\x82", -EILSEQ }, { "a/b.c-d e", 0 },
	};
	char longest[AOP_NAME_SIZE + 1];
	struct aop_ioc_name n;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		EXPECT_EQ(t[i].want, name(&self->s, &n, AOP_NAME_RESERVE, t[i].text, 0, 0))
			TH_LOG("%u", i);
	memset(longest, 'x', sizeof(longest));
	longest[AOP_NAME_SIZE] = 0;
	EXPECT_EQ(-ENAMETOOLONG, name(&self->s, &n, AOP_NAME_RESERVE, longest, 0, 0));
	longest[AOP_NAME_SIZE - 1] = 0;
	EXPECT_EQ(0, name(&self->s, &n, AOP_NAME_RESERVE, longest, 0, 0));
	EXPECT_EQ(-EFAULT, name(&self->s, &n, AOP_NAME_RESERVE, (char *)8, 0, 0));
}

TEST_F(name, bad_structs)
{
	struct aop_ioc_name n;
	uint64_t other = abi_new(&self->s, 0, 0);

	EXPECT_EQ(-EINVAL, name(&self->s, &n, 4, "x", 0, 0));
	EXPECT_EQ(-EINVAL, name(&self->s, &n, AOP_NAME_FIND, "x", 0, 0100));
	EXPECT_EQ(-EINVAL, name(&self->s, &n, AOP_NAME_RELEASE, "x", self->port, 0));
	EXPECT_EQ(-EINVAL, name(&self->s, &n, AOP_NAME_RESERVE, "x", self->port, 0));
	EXPECT_EQ(-EINVAL, name(&self->s, &n, AOP_NAME_BIND, "x", self->port, 0200));
	EXPECT_EQ(-EINVAL, name(&self->s, &n, AOP_NAME_BIND, "x", other, 0));
	EXPECT_EQ(-EBADF, name(&self->s, &n, AOP_NAME_BIND, "x", 0, 0));
	ASSERT_EQ(0, abi_detach(&self->s, self->port, AOP_MAY_DRIVE));
	EXPECT_EQ(-EPERM, name(&self->s, &n, AOP_NAME_BIND, "x", self->port, 0));
	EXPECT_EQ(-ENOENT, name(&self->s, &n, AOP_NAME_FIND, "x", 0, 0));
}

/* K7 O5: who may find it; K8: who squats on names has only so many. */
TEST_F(name, K7_K8_others)
{
	struct aop_ioc_name n;

	ASSERT_EQ(0, name(&self->s, &n, AOP_NAME_BIND, "mine", self->port, 0100));
	ASSERT_EQ(0, name(&self->s, &n, AOP_NAME_BIND, "all", self->port, 0111));
	IN_CHILD() {
		struct abi_ctx c;
		char text[24];
		int i, ret = 0;

		EXPECT_EQ(0, setresgid(1000, 1000, 1000));
		EXPECT_EQ(0, setresuid(1000, 1000, 1000));
		EXPECT_EQ(0, abi_open(&c, 64));
		EXPECT_EQ(-EACCES, name(&c, &n, AOP_NAME_FIND, "mine", 0, 0));
		EXPECT_EQ(0, name(&c, &n, AOP_NAME_FIND, "all", 0, 0));
		EXPECT_EQ(-EPERM, name(&c, &n, AOP_NAME_RELEASE, "all", 0, 0));
		for (i = 0; !ret && i < 1000; i++) {
			snprintf(text, sizeof(text), "squat %d", i);
			ret = name(&c, &n, AOP_NAME_RESERVE, text, 0, 0);
		}
		EXPECT_EQ(-EDQUOT, ret);
		EXPECT_EQ(257, i);
		EXPECT_EQ(0, name(&c, &n, AOP_NAME_RELEASE, "squat 7", 0, 0));
		EXPECT_EQ(0, name(&c, &n, AOP_NAME_RESERVE, "last", 0, 0));
	}
	/* All gone with it, and so is what it took of its quota. */
	EXPECT_EQ(0, name(&self->c, &n, AOP_NAME_RESERVE, "squat 5", 0, 0));
}

/* K7: each network namespace has names of its own. */
TEST_F(name, K7_network_namespaces)
{
	struct aop_ioc_name n;

	ASSERT_EQ(0, name(&self->s, &n, AOP_NAME_BIND, "svc", self->port, 0111));
	IN_CHILD() {
		struct abi_ctx c;

		EXPECT_EQ(0, unshare(CLONE_NEWNET));
		EXPECT_EQ(0, abi_open(&c, 64));
		EXPECT_EQ(-ENOENT, name(&c, &n, AOP_NAME_FIND, "svc", 0, 0));
		EXPECT_EQ(0, name(&c, &n, AOP_NAME_RESERVE, "svc", 0, 0));
	}
}

TEST_HARNESS_MAIN
