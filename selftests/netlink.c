// SPDX-License-Identifier: GPL-2.0
/*
 * The netlink family as the kernel's: who sees what (K7), in which namespace, and what
 * malformed messages are answered.
 */
#include <sys/prctl.h>

#include "file.h"
#include "nl.h"
#include "perm.h"

#define ROUNDS	400

FIXTURE(netlink) {
	struct abi_ctx c;
	struct nl nl;
	struct shared *s;
};

FIXTURE_SETUP(netlink)
{
	ASSERT_EQ(0, abi_open(&self->c, 128));
	ASSERT_EQ(0, nl_open(&self->nl));
	self->s = mmap(NULL, sizeof(*self->s), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->s != MAP_FAILED);
}

FIXTURE_TEARDOWN(netlink)
{
	mnl_socket_close(self->nl.sock);
	abi_close(&self->c);
}

/* ---- malformed messages --------------------------------------------------------------------- */

TEST_F(netlink, malformed_messages_say_why)
{
	static const struct {
		uint8_t cmd;
		uint16_t flags, type;
		uint8_t len, data[8];
		int err;
	} bad[] = {
		{ AOP_CMD_GET, 0, 0, 0, { 0 }, -EINVAL },		/* no id */
		{ AOP_CMD_GET, 0, AOP_A_ID, 4, { 1 }, -EINVAL },	/* a short one */
		{ AOP_CMD_GET, 0, AOP_A_ID, 8, { 0xff, 0xff, 0xff, 0xff, 0xff }, -ENOENT },
		{ AOP_CMD_GET, 0, AOP_A_FILTER, 0, { 0 }, -EINVAL },	/* not nested */
		{ AOP_CMD_GET, NLM_F_DUMP, AOP_A_ID, 8, { 1 }, -EINVAL },
		{ AOP_CMD_GET, 0, AOP_A_STATE, 4, { 1 }, -EINVAL },	/* not one of a request */
		{ AOP_CMD_GET, 0, 900, 4, { 1 }, -EINVAL },		/* unknown */
		{ AOP_CMD_CANCEL, 0, AOP_A_REASON, 4, { 5 }, -ERANGE },	/* positive */
		{ AOP_CMD_CANCEL, 0, 0, 0, { 0 }, -EINVAL },
		{ AOP_CMD_UNSUBSCRIBE, 0, 0, 0, { 0 }, -ENOENT },
	};
	struct nl *nl = &self->nl;
	struct nlmsghdr *nlh;
	char buf[256];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		nlh = request(nl, buf, nl->family, bad[i].cmd, bad[i].flags);
		if (bad[i].type)
			mnl_attr_put(nlh, bad[i].type, bad[i].len, bad[i].data);
		EXPECT_EQ(bad[i].err, talk(nl, nlh)) TH_LOG("message %zu: %s", i, nl->message);
		/* 6.1 gives no extended ack to what begins a dump. */
		if (!(bad[i].flags & NLM_F_DUMP)) {
			EXPECT_TRUE(nl->message[0]) TH_LOG("message %zu says nothing", i);
		}
	}
}

TEST_F(netlink, malformed_filters_say_why)
{
	static const struct {
		uint16_t type;
		uint8_t len, data[8];
	} bad[] = {
		{ AOP_A_FILTER_STATES, 4, { 0x20 } },
		{ AOP_A_FILTER_STATES, 2, { 1 } },
		{ AOP_A_FILTER_PID, 4, { 0 } },
		{ AOP_A_FILTER_UID, 4, { 0xff, 0xff, 0xff, 0xff } },
		{ AOP_A_FILTER_LABEL, 3, { 'a', 'b', 'c' } },
		{ AOP_A_FILTER_MAX_AGE, 4, { 1 } },
		{ 77, 4, { 1 } },
	};
	struct nl *nl = &self->nl;
	struct nlmsghdr *nlh;
	struct nlattr *nest;
	char buf[256];
	size_t i;
	int dump;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (dump = 0; dump < 2; dump++) {
			nlh = request(nl, buf, nl->family, dump ? AOP_CMD_GET : AOP_CMD_SUBSCRIBE,
				      dump ? NLM_F_DUMP : 0);
			nest = mnl_attr_nest_start(nlh, AOP_A_FILTER);
			mnl_attr_put(nlh, bad[i].type, bad[i].len, bad[i].data);
			mnl_attr_nest_end(nlh, nest);
			EXPECT_GT(0, talk(nl, nlh)) TH_LOG("filter %zu", i);
			if (!dump) {
				EXPECT_TRUE(nl->message[0]) TH_LOG("filter %zu says nothing", i);
			}
		}
}

/* Whatever the attributes are, there is an answer, and the family works afterwards. */
TEST_F(netlink, random_attributes)
{
	struct nl *nl = &self->nl;
	unsigned int seed = 12345;
	struct nlmsghdr *nlh;
	uint64_t junk[16];
	char buf[1024];
	int i, j, n;

	for (i = 0; i < ROUNDS; i++) {
		nlh = request(nl, buf, nl->family, rand_r(&seed) % 8,
			      rand_r(&seed) % 2 ? NLM_F_DUMP : 0);
		for (n = rand_r(&seed) % 5; n; n--) {
			for (j = 0; j < 16; j++)
				junk[j] = rand_r(&seed) * (uint64_t)rand_r(&seed);
			mnl_attr_put(nlh, rand_r(&seed) % 32 | (rand_r(&seed) % 2) << 15,
				     rand_r(&seed) % 64, junk);
		}
		EXPECT_GE(0, talk(nl, nlh));
	}
	ASSERT_NE(0, create(&self->c, 0600));
	EXPECT_EQ(1, list_all(nl));
}

/* ---- who sees what --------------------------------------------------------------------------- */

static void count_own(void *data, enum aop_news news, const struct aop_info *info)
{
	int *seen = data;

	seen[3] += news == AOP_NEWS_READY;
	if (info)
		seen[info->uid == geteuid() ? 0 : info->mode & 4 ? 1 : 2]++;
}

/* K6 K7: who is not privileged must name a uid, and is told of what it may look at. */
TEST_F(netlink, K7_unprivileged_subscriber)
{
	struct abi_ctx *c = &self->c;

	ASSERT_NE(0, create(c, 0600));
	ASSERT_NE(0, create(c, 0644));
	EXPECT_EQ(2, list_all(&self->nl));
	IN_CHILD() {
		struct aop_filter f = { .size = sizeof(f), .flags = AOP_FILTER_UID, .uid = 1000 };
		struct aop_monitor_opts o = { .size = sizeof(o), .filter = &f };
		struct aop_monitor *m;
		int seen[4] = { 0 };
		struct abi_ctx own;
		struct nl nl;

		ASSERT_TRUE(become(1000, 1000, 0));
		ASSERT_EQ(0, nl_open(&nl));
		EXPECT_EQ(-EPERM, subscribe_all(&nl));
		EXPECT_TRUE(nl.message[0]);
		EXPECT_EQ(1, list_all(&nl));
		ASSERT_EQ(0, abi_open(&own, 64));
		ASSERT_NE(0, create(&own, 0600));
		EXPECT_EQ(2, list_all(&nl));

		ASSERT_EQ(0, aop_monitor_open(&m, &o, count_own, seen));
		while (!seen[3])
			ASSERT_LE(0, aop_monitor_dispatch(m));
		EXPECT_EQ(1, seen[0]);
		EXPECT_EQ(0, seen[1]);
		aop_monitor_close(m);
		f.uid = 0;
		memset(seen, 0, sizeof(seen));
		ASSERT_EQ(0, aop_monitor_open(&m, &o, count_own, seen));
		while (!seen[3])
			ASSERT_LE(0, aop_monitor_dispatch(m));
		EXPECT_EQ(0, seen[0]);
		EXPECT_EQ(1, seen[1]);
		EXPECT_EQ(0, seen[2]);
		aop_monitor_close(m);
	}
}

/* K7: who follows another user's ops is told of changes of those that he may look at. */
TEST_F(netlink, K7_changes_of_another_user)
{
	int up[2];
	char b;

	ASSERT_EQ(0, pipe(up));
	IN_CHILD() {
		struct aop_filter f = { .size = sizeof(f), .flags = AOP_FILTER_UID };
		struct aop_monitor_opts o = { .size = sizeof(o), .filter = &f };
		struct aop_monitor *m;
		int seen[4] = { 0 };

		ASSERT_TRUE(become(1000, 1000, 0));
		ASSERT_EQ(0, aop_monitor_open(&m, &o, count_own, seen));
		while (!seen[3])
			ASSERT_LE(0, aop_monitor_dispatch(m));
		ASSERT_EQ(1, write(up[1], "x", 1));
		/* News come in order. */
		while (!seen[1])
			ASSERT_LE(0, aop_monitor_dispatch(m));
		EXPECT_EQ(0, seen[0]);
		EXPECT_EQ(0, seen[2]);
		aop_monitor_close(m);
	} else {
		close(up[1]);
		EXPECT_EQ(1, read(up[0], &b, 1));
		EXPECT_NE(0, create(&self->c, 0600));
		EXPECT_NE(0, create(&self->c, 0644));
	}
}

/* K7: a socket of somebody without rights gives none to what its user makes others send. */
TEST_F(netlink, K7_opener_and_sender)
{
	uint64_t id = create(&self->c, 0600);
	struct nlmsghdr *nlh;
	char buf[256];
	struct nl nl;

	ASSERT_NE(0, id);
	ASSERT_EQ(0, seteuid(1000));
	ASSERT_EQ(0, nl_open(&nl));
	ASSERT_EQ(0, seteuid(0));
	EXPECT_EQ(0, list_all(&nl));
	EXPECT_EQ(-EPERM, subscribe_all(&nl));
	nlh = request(&nl, buf, nl.family, AOP_CMD_CANCEL, 0);
	mnl_attr_put_u64(nlh, AOP_A_ID, id);
	EXPECT_EQ(-ENOENT, talk(&nl, nlh));
	mnl_socket_close(nl.sock);
	/* And the other way round. */
	ASSERT_EQ(0, seteuid(1000));
	EXPECT_EQ(0, list_all(&self->nl));
	ASSERT_EQ(0, seteuid(0));
	EXPECT_EQ(1, list_all(&self->nl));
	EXPECT_EQ(0, subscribe_all(&self->nl));
}

/* K7: nothing of one network namespace is seen in another, nor cancelled from there. */
TEST_F(netlink, K7_network_namespaces)
{
	uint64_t outer = create(&self->c, 0666);

	ASSERT_NE(0, outer);
	ASSERT_EQ(0, subscribe_all(&self->nl));
	IN_CHILD() {
		struct nlmsghdr *nlh;
		struct abi_ctx inner;
		char buf[256];
		struct nl nl;

		ASSERT_EQ(0, unshare(CLONE_NEWNET));
		ASSERT_EQ(0, nl_open(&nl));
		EXPECT_EQ(0, list_all(&nl));
		nlh = request(&nl, buf, nl.family, AOP_CMD_CANCEL, 0);
		mnl_attr_put_u64(nlh, AOP_A_ID, outer);
		EXPECT_EQ(-ENOENT, talk(&nl, nlh));
		ASSERT_EQ(0, abi_open(&inner, 64));
		ASSERT_NE(0, create(&inner, 0666));
		EXPECT_EQ(1, list_all(&nl));
		EXPECT_EQ(1, list_all(&self->nl));
		abi_close(&inner);
	}
	/* The first event is of what happens here. */
	ASSERT_NE(0, create(&self->c, 0600));
	EXPECT_EQ(2, list_all(&self->nl));
}

/* ---- user and process namespaces ------------------------------------------------------------- */

/* User 1000 is root of a user namespace, and its child the first process of a pid namespace. */
static pid_t enter_namespaces(void)
{
	/* So that /proc/self is one's own. */
	if (!become(1000, 1000, 0) || prctl(PR_SET_DUMPABLE, 1) ||
	    unshare(CLONE_NEWUSER | CLONE_NEWPID) || write_file("/proc/self/setgroups", "deny") ||
	    write_file("/proc/self/uid_map", "0 1000 1") ||
	    write_file("/proc/self/gid_map", "0 1000 1"))
		return -1;
	return fork();
}

static void first_listed(void *data, const struct aop_info *info)
{
	struct aop_info *first = data;

	if (!first->st.id)
		*first = *info;
}

/* In the namespaces; @outer is an op of the real root that all may look at. */
static void look_from_inside(struct __test_metadata *_metadata, struct shared *s, uint64_t outer)
{
	struct aop_filter f = { .size = sizeof(f), .flags = AOP_FILTER_UID };
	struct aop_info info = { .size = sizeof(info) };
	struct nlmsghdr *nlh;
	struct nlattr *nest;
	struct abi_ctx own;
	char buf[256];
	struct nl nl;

	ASSERT_EQ(0, abi_open(&own, 64));
	s->one = create(&own, 0644);
	ASSERT_NE(0, s->one);
	ASSERT_EQ(0, aop_monitor_get(s->one, &info));
	EXPECT_EQ(0, info.uid);
	EXPECT_EQ(0, info.gid);
	EXPECT_EQ(1, info.pid);
	/* Of who has no number here: the overflow uid, and no pid. */
	ASSERT_EQ(0, aop_monitor_get(outer, &info));
	EXPECT_EQ(65534, info.uid);
	EXPECT_EQ(65534, info.gid);
	EXPECT_EQ(0, info.pid);
	/* So in filters. */
	memset(&info, 0, sizeof(info));
	EXPECT_EQ(1, aop_monitor_list(&f, first_listed, &info));
	EXPECT_EQ(s->one, info.st.id);
	f.flags = 0;
	f.pid = 1;
	memset(&info, 0, sizeof(info));
	EXPECT_EQ(1, aop_monitor_list(&f, first_listed, &info));
	EXPECT_EQ(s->one, info.st.id);
	f.flags = AOP_FILTER_UID;
	f.pid = 0;
	f.uid = 5;
	EXPECT_EQ(-EINVAL, aop_monitor_list(&f, first_listed, &info));

	ASSERT_EQ(0, nl_open(&nl));
	EXPECT_EQ(2, list_all(&nl));
	/* Root here is not root of the network namespace. */
	EXPECT_EQ(-EPERM, subscribe_all(&nl));
	nlh = request(&nl, buf, nl.family, AOP_CMD_SUBSCRIBE, 0);
	nest = mnl_attr_nest_start(nlh, AOP_A_FILTER);
	mnl_attr_put_u32(nlh, AOP_A_FILTER_UID, 5);
	mnl_attr_nest_end(nlh, nest);
	EXPECT_EQ(-EINVAL, talk(&nl, nlh));
	EXPECT_NE(NULL, strstr(nl.message, "user namespace"));
	/* The other may be looked at, not cancelled. */
	nlh = request(&nl, buf, nl.family, AOP_CMD_CANCEL, 0);
	mnl_attr_put_u64(nlh, AOP_A_ID, outer);
	EXPECT_EQ(-EACCES, talk(&nl, nlh));
	EXPECT_TRUE(nl.message[0]);
	mnl_socket_close(nl.sock);

	/* In a network namespace of one's own one is, and sees what is there. */
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_EQ(0, nl_open(&nl));
	EXPECT_EQ(0, subscribe_all(&nl));
	EXPECT_EQ(0, list_all(&nl));
	EXPECT_EQ(-ENOENT, aop_monitor_get(s->one, &info));
	mnl_socket_close(nl.sock);
}

/* K7: ids are those of the reader's namespaces, and so are rights. */
TEST_F(netlink, K7_user_and_pid_namespaces)
{
	uint64_t outer = create(&self->c, 0644);
	int up[2], down[2], status;
	struct shared *s = self->s;
	char b;

	ASSERT_NE(0, outer);
	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	s->one = 0;
	IN_CHILD() {
		pid_t inner;

		close(up[0]);
		close(down[1]);
		inner = enter_namespaces();
		ASSERT_GE(inner, 0);
		if (!inner) {
			look_from_inside(_metadata, s, outer);
			b = write(up[1], "x", 1);
			/* The op lives until the others have looked at it. */
			b = read(down[0], &b, 1);
			_exit(_metadata->exit_code == KSFT_PASS ? 0 : 1);
		}
		s->told = inner;
		ASSERT_EQ(inner, waitpid(inner, &status, 0));
		EXPECT_EQ(0, status);
	} else {
		struct aop_info info = { .size = sizeof(info) };

		close(up[1]);
		close(down[0]);
		EXPECT_EQ(1, read(up[0], &b, 1));
		EXPECT_EQ(0, aop_monitor_get(s->one, &info));
		EXPECT_EQ(1000, info.uid);
		EXPECT_EQ(1000, info.gid);
		EXPECT_EQ(s->told, info.pid);
		close(down[1]);
	}
}

TEST_HARNESS_MAIN
