// SPDX-License-Identifier: GPL-2.0
/*
 * Names of ports, in every scope: O5.
 */
#include "any_port.h"

TEST_F(port, O5_reserve_bind_find_release)
{
	struct aop_holder holder = { .pid = 0 };
	struct aop_port_name name, other;
	struct aop_port port, none, *p;

	p = aop_port_find(&port, self->any.where, "svc");
	EXPECT_EQ(&port, p);
	EXPECT_EQ(-ENOENT, aop_result(&p->op));
	EXPECT_EQ(-ENOENT, aop_join(aop_call(p, &self->c[0], "x", 2, NULL, 0)));
	EXPECT_EQ(1, aop_drop(&p->op));
	ASSERT_EQ(0, aop_name_reserve(&name, self->any.where, "svc", 0700, NULL));
	p = aop_port_find(&port, self->any.where, "svc");
	EXPECT_EQ(-ENOTCONN, aop_result(&p->op));
	EXPECT_EQ(1, aop_drop(&p->op));
	ASSERT_EQ(0, aop_name_bind(&name, &self->port));
	/* A clash tells who has it. */
	EXPECT_EQ(-EEXIST, aop_name_reserve(&other, self->any.where, "svc", 0700, &holder));
	EXPECT_EQ(aop_id(&self->port.op), holder.id);
	EXPECT_EQ(self->any.scope == ANY_SHARED ? NULL : &self->port, holder.port);
	EXPECT_EQ(getpid(), holder.pid);
	EXPECT_EQ(geteuid(), holder.uid);
	EXPECT_EQ(-EINVAL, aop_name_release(&other));
	EXPECT_EQ(-EEXIST, aop_port_init(&none, self->any.where, AOP_PORT_OPTS(.name = "svc")));
	p = aop_port_find(&port, self->any.where, "svc");
	EXPECT_EQ(self->any.scope == ANY_SHARED ? &port : &self->port, p);
	aop_call(p, &self->c[0], "x", 2, NULL, 0);
	ASSERT_EQ(1, take(&self->port, &self->r[0]));
	EXPECT_EQ(0, aop_reply(&self->r[0], 1, NULL, 0));
	EXPECT_EQ(1, aop_join(&self->c[0].op));
	EXPECT_EQ(0, aop_name_release(&name));
	EXPECT_EQ(-ENOENT, aop_result(&aop_port_find(&none, self->any.where, "svc")->op));
	/* Who has found it has it still. */
	aop_call(p, &self->c[0], "x", 2, NULL, 0);
	EXPECT_EQ(0, aop_done(aop_owner(&self->port.op), 0));
	EXPECT_EQ(-ESHUTDOWN, aop_join(&self->c[0].op));
	EXPECT_EQ(p == &port, aop_drop(&p->op));
	EXPECT_EQ(1, aop_drop(&self->port.op));
}

/* One port ends, the next one takes its name over; a name of its own goes with it. */
TEST_F(port, O5_bound_anew)
{
	struct aop_port_name name;
	struct aop_port port, mem, *p;

	ASSERT_EQ(0, aop_name_reserve(&name, self->any.where, "svc", 0700, NULL));
	ASSERT_EQ(0, aop_name_bind(&name, &self->port));
	EXPECT_EQ(0, aop_done(aop_owner(&self->port.op), 0));
	EXPECT_EQ(1, aop_drop(&self->port.op));
	p = aop_port_find(&mem, self->any.where, "svc");
	EXPECT_EQ(-ENOTCONN, aop_result(&p->op));
	ASSERT_EQ(0, aop_port_init(&port, self->any.where, AOP_PORT_OPTS(.name = "own")));
	ASSERT_EQ(0, aop_name_bind(&name, &port));
	p = aop_port_find(&mem, self->any.where, "own");
	EXPECT_EQ(self->any.scope == ANY_SHARED ? &mem : &port, p);
	EXPECT_EQ(p == &mem, aop_drop(&p->op));
	EXPECT_EQ(0, aop_done(aop_owner(&port.op), 0));
	EXPECT_EQ(-EPERM, aop_name_bind(&name, &port));
	EXPECT_EQ(1, aop_drop(&port.op));
	EXPECT_EQ(-ENOENT, aop_result(&aop_port_find(&mem, self->any.where, "own")->op));
	EXPECT_EQ(0, aop_name_release(&name));
	EXPECT_EQ(-EINVAL, aop_name_release(&name));
}

TEST_F(port, O5_text)
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
	struct aop_port_name n;
	unsigned int i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		EXPECT_EQ(t[i].want, aop_name_reserve(&n, self->any.where, t[i].text, 0, NULL))
			TH_LOG("%u", i);
		EXPECT_EQ(t[i].want ? -EINVAL : 0, aop_name_release(&n));
	}
	memset(longest, 'x', sizeof(longest));
	longest[AOP_NAME_SIZE] = 0;
	EXPECT_EQ(-ENAMETOOLONG, aop_name_reserve(&n, self->any.where, longest, 0, NULL));
	longest[AOP_NAME_SIZE - 1] = 0;
	EXPECT_EQ(0, aop_name_reserve(&n, self->any.where, longest, 0, NULL));
	EXPECT_EQ(0, aop_name_release(&n));
	EXPECT_EQ(-EINVAL, aop_name_reserve(&n, self->any.where, NULL, 0, NULL));
	EXPECT_EQ(-EINVAL, aop_name_reserve(&n, self->any.where, "x", 01000, NULL));
}

TEST_HARNESS_MAIN
