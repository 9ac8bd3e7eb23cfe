// SPDX-License-Identifier: GPL-2.0
/*
 * aop/monitor.h beside a kernel that is made up here: what comes in which order, what is
 * lost, errors, and messages that are malformed (K6, M8).  The library's socket is one end
 * of a pair; a request is answered before its sendto() returns.  What lies behind a
 * message in the library's buffer may not be looked at: AddressSanitizer and memcheck see
 * to that.
 */
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/aop_netlink.h>
#include <linux/genetlink.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <aop/monitor.h>

#include "lib.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)		((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n)	((void)(p), (void)(n))
#endif
#include <valgrind/memcheck.h>

#define FAMILY	42
#define NR_OPS	4
#define ROUNDS	400

/* The kernel, of one thread; there is one socket at a time. */
static __thread struct kernel {
	int end;			/* ours of the pair; -1: none */
	struct aop_status op[NR_OPS];
	uint64_t event;			/* the last one */
	int family_err, subscribe_err, dump_err;	/* what is answered, once */
	bool full;			/* the next receive fails: -ENOBUFS */
	bool flood;			/* full when a subscription has been answered, once */
	bool overtake;			/* op 2 ends while it is listed */
	int subscribed, dumped;		/* requests */
	unsigned int seed;		/* not 0: what is sent is spoilt */
	char out[8192];
	size_t fill;
} k = { .end = -1 };

/* ---- messages ---- */

/* Some bytes changed, or cut off; the same for the same seed. */
static void spoil(void)
{
	int n;

	for (n = rand_r(&k.seed) % 4; n; n--)
		k.out[rand_r(&k.seed) % k.fill] = rand_r(&k.seed);
	/* Lengths are what matters most. */
	if (rand_r(&k.seed) % 4 == 0)
		k.out[rand_r(&k.seed) % k.fill & ~3u] = rand_r(&k.seed) % 32;
	if (rand_r(&k.seed) % 4 == 0)
		k.fill = rand_r(&k.seed) % k.fill + 1;
}

static void flush(void)
{
	if (!k.fill)
		return;
	if (k.seed)
		spoil();
	if (send(k.end, k.out, k.fill, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && !k.seed)
		abort();
	k.fill = 0;
}

static struct nlmsghdr *begin(uint16_t type, uint32_t seq, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(k.out + k.fill);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	nlh->nlmsg_seq = seq;
	return nlh;
}

static struct nlmsghdr *begin_genl(uint16_t type, uint32_t seq, uint16_t flags, uint8_t cmd)
{
	struct nlmsghdr *nlh = begin(type, seq, flags);
	struct genlmsghdr *genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));

	genl->cmd = cmd;
	genl->version = 1;
	return nlh;
}

static void end(struct nlmsghdr *nlh)
{
	k.fill += NLMSG_ALIGN(nlh->nlmsg_len);
}

static void put_err(uint16_t type, uint32_t seq, uint16_t flags, int err)
{
	struct nlmsghdr *nlh = begin(type, seq, flags);
	struct nlmsgerr *e = mnl_nlmsg_put_extra_header(nlh, sizeof(*e));

	e->error = err;
	end(nlh);
}

static void put_op(struct nlmsghdr *nlh, const struct aop_status *st)
{
	mnl_attr_put_u64(nlh, AOP_A_ID, st->id);
	mnl_attr_put_u32(nlh, AOP_A_SEQ, st->seq);
	mnl_attr_put_u32(nlh, AOP_A_STATE, st->state);
	mnl_attr_put_u32(nlh, AOP_A_REASON, st->reason);
	mnl_attr_put_u64(nlh, AOP_A_RESULT, st->result);
	mnl_attr_put_u64(nlh, AOP_A_TOTAL, UINT64_MAX);
	mnl_attr_put_strz(nlh, AOP_A_LABEL, "a label");
	mnl_attr_put_strz(nlh, AOP_A_COMM, "fifteen letters");
	mnl_attr_put_u32(nlh, AOP_A_UID, 1000);
}

/* As an event; with no op: that there is a gap before it. */
static void put_changed(const struct aop_status *st)
{
	struct nlmsghdr *nlh = begin_genl(FAMILY, 0, 0, AOP_CMD_CHANGED);

	if (st)
		put_op(nlh, st);
	mnl_attr_put_u64(nlh, AOP_A_EVENT, ++k.event);
	end(nlh);
}

/* ---- answers ---- */

static int taken(int *err)
{
	int ret = *err;

	*err = 0;
	return ret;
}

static void answer_dump(uint32_t seq)
{
	struct nlmsghdr *nlh;
	int i, err = taken(&k.dump_err);

	k.dumped++;
	if (err) {
		put_err(NLMSG_ERROR, seq, 0, err);
		return;
	}
	for (i = 0; i < NR_OPS; i++) {
		if (k.overtake && i == 2) {
			struct aop_status over = k.op[i];

			flush();
			over.state = AOP_DONE;
			over.seq += 2;
			put_changed(&over);
			flush();
		}
		nlh = begin_genl(FAMILY, seq, NLM_F_MULTI, AOP_CMD_GET);
		put_op(nlh, &k.op[i]);
		end(nlh);
	}
	flush();
	put_err(NLMSG_DONE, seq, NLM_F_MULTI, 0);
}

static uint64_t asked_id(const struct nlmsghdr *request)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, request, GENL_HDRLEN)
		if (mnl_attr_get_type(attr) == AOP_A_ID)
			return mnl_attr_get_u64(attr);
	return 0;
}

static void answer_one(const struct nlmsghdr *request, uint8_t cmd)
{
	uint32_t seq = request->nlmsg_seq;
	uint64_t id = asked_id(request);
	struct nlmsghdr *nlh;
	int i;

	if (!id || id > NR_OPS) {
		put_err(NLMSG_ERROR, seq, 0, -ENOENT);
		return;
	}
	nlh = begin_genl(FAMILY, seq, 0, cmd);
	if (cmd == AOP_CMD_CANCEL) {
		mnl_attr_put_u32(nlh, AOP_A_ANSWER, AOP_ASKED);
	} else {
		put_op(nlh, &k.op[id - 1]);
		for (i = 0; i < 3; i++)
			mnl_attr_put_u64(nlh, AOP_A_MEMBER, 10 + i);
	}
	end(nlh);
}

static void answer_subscribe(uint32_t seq)
{
	int err = taken(&k.subscribe_err);
	struct nlmsghdr *nlh;

	k.subscribed++;
	if (err) {
		put_err(NLMSG_ERROR, seq, 0, err);
		return;
	}
	nlh = begin_genl(FAMILY, seq, 0, AOP_CMD_SUBSCRIBE);
	mnl_attr_put_u64(nlh, AOP_A_EVENT, k.event);
	end(nlh);
	k.full |= k.flood;
	k.flood = false;
}

static void answer(const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	int err = 0;

	if (nlh->nlmsg_type == GENL_ID_CTRL) {
		err = taken(&k.family_err);
		if (err) {
			put_err(NLMSG_ERROR, nlh->nlmsg_seq, 0, err);
		} else {
			struct nlmsghdr *to = begin_genl(GENL_ID_CTRL, nlh->nlmsg_seq, 0,
							 CTRL_CMD_NEWFAMILY);
			unsigned int seed = k.seed;

			mnl_attr_put_u16(to, CTRL_ATTR_FAMILY_ID, FAMILY);
			end(to);
			/* Mostly something to begin with. */
			if (seed % 8)
				k.seed = 0;
			flush();
			k.seed = seed;
		}
	} else if (genl->cmd == AOP_CMD_SUBSCRIBE) {
		answer_subscribe(nlh->nlmsg_seq);
	} else if (nlh->nlmsg_flags & NLM_F_DUMP) {
		answer_dump(nlh->nlmsg_seq);
	} else {
		answer_one(nlh, genl->cmd);
	}
	flush();
}

/* ---- what the library calls ---- */

__typeof__(mnl_socket_close) __real_mnl_socket_close;
__typeof__(recv) __real_recv;

struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags)
{
	int ends[2];

	if (bus != NETLINK_GENERIC || k.end >= 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | flags, 0, ends))
		return NULL;
	k.end = ends[1];
	return mnl_socket_fdopen(ends[0]);
}

int __wrap_mnl_socket_bind(struct mnl_socket *nl, unsigned int groups, pid_t pid)
{
	return nl && !groups && pid == MNL_SOCKET_AUTOPID ? 0 : -1;
}

int __wrap_mnl_socket_close(struct mnl_socket *nl)
{
	close(k.end);
	k.end = -1;
	return __real_mnl_socket_close(nl);
}

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len)
{
	if (mnl_socket_get_fd(nl) < 0)
		return -1;
	answer(buf);
	return len;
}

ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags)
{
	ssize_t len;

	if (k.full) {
		k.full = false;
		errno = ENOBUFS;
		return -1;
	}
	ASAN_UNPOISON_MEMORY_REGION(buf, size);
	(void)VALGRIND_MAKE_MEM_UNDEFINED(buf, size);
	len = __real_recv(fd, buf, size, flags);
	if (len >= 0) {
		ASAN_POISON_MEMORY_REGION((char *)buf + len, size - len);
		(void)VALGRIND_MAKE_MEM_NOACCESS((char *)buf + len, size - len);
	}
	return len;
}

/* All that is answered is there: who waits for more would do so for ever. */
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t size)
{
	return __wrap_recv(mnl_socket_get_fd(nl), buf, size, MSG_DONTWAIT);
}

/* ---- what is told ---- */

struct told {
	int listed[NR_OPS + 1], changed[NR_OPS + 1], ready, lost, nr;
	struct aop_info last;
};

static void hear(void *data, enum aop_news news, const struct aop_info *info)
{
	struct told *t = data;

	t->nr++;
	t->ready += news == AOP_NEWS_READY;
	t->lost += news == AOP_NEWS_LOST;
	if (!info)
		return;
	/* Strings end, whatever was sent. */
	if (strlen(info->label) >= sizeof(info->label) || strlen(info->comm) >= sizeof(info->comm))
		abort();
	t->last = *info;
	if (info->st.id <= NR_OPS)
		(news == AOP_NEWS_LISTED ? t->listed : t->changed)[info->st.id]++;
}

static void list(void *data, const struct aop_info *info)
{
	hear(data, AOP_NEWS_LISTED, info);
}

static void reset(void)
{
	int i;

	k = (struct kernel) { .end = -1, .event = 7 };
	for (i = 0; i < NR_OPS; i++)
		k.op[i] = (struct aop_status) {
			.id = i + 1, .seq = 4, .state = AOP_RUNNING, .result = -5, .reason = -EIO,
		};
}

static int follow(struct aop_monitor **m, struct told *t)
{
	struct aop_monitor_opts o = { .size = sizeof(o), .resync = 1, .budget = 64 };

	memset(t, 0, sizeof(*t));
	return aop_monitor_open(m, &o, hear, t);
}

/* ---- tests ---- */

TEST(M8_what_is_asked_once)
{
	struct aop_info info = { .size = sizeof(info) };
	struct told t = { .nr = 0 };
	uint64_t ids[2];

	reset();
	EXPECT_EQ(NR_OPS, aop_monitor_list(NULL, list, &t));
	EXPECT_EQ(NR_OPS, t.nr);
	EXPECT_EQ(NR_OPS, t.last.st.id);
	EXPECT_EQ(AOP_RUNNING, t.last.st.state);
	EXPECT_EQ(-5, t.last.st.result);
	EXPECT_EQ(-EIO, t.last.st.reason);
	EXPECT_EQ(UINT64_MAX, t.last.st.total);
	EXPECT_EQ(0, t.last.st.done);
	EXPECT_EQ(1000, t.last.uid);
	EXPECT_STREQ("a label", t.last.label);
	EXPECT_STREQ("fifteen letters", t.last.comm);
	EXPECT_EQ(0, aop_monitor_get(3, &info));
	EXPECT_EQ(3, info.st.id);
	EXPECT_EQ(-ENOENT, aop_monitor_get(77, &info));
	EXPECT_EQ(3, aop_monitor_members(1, ids, 2));
	EXPECT_EQ(11, ids[1]);
	EXPECT_EQ(AOP_ASKED, aop_monitor_cancel(2, 0));
	EXPECT_EQ(-ENOENT, aop_monitor_cancel(77, 0));
	k.family_err = -ENOENT;
	EXPECT_EQ(-ENODEV, aop_monitor_get(3, &info));
	k.dump_err = -ENOMEM;
	EXPECT_EQ(-ENOMEM, aop_monitor_list(NULL, list, &t));
}

/* K6: an older state of the dump does not come after a newer one. */
TEST(K6_a_change_overtakes_the_snapshot)
{
	struct aop_monitor *m;
	struct told t;

	reset();
	k.overtake = true;
	ASSERT_EQ(0, follow(&m, &t));
	ASSERT_LT(0, aop_monitor_dispatch(m));
	EXPECT_EQ(1, t.ready);
	EXPECT_EQ(1, t.listed[1] & t.listed[2] & t.listed[4]);
	EXPECT_EQ(0, t.listed[3]);
	EXPECT_EQ(1, t.changed[3]);
	EXPECT_EQ(0, t.lost);
	put_changed(&k.op[0]);
	flush();
	EXPECT_EQ(1, aop_monitor_dispatch(m));
	EXPECT_EQ(1, t.changed[1]);
	EXPECT_EQ(0, aop_monitor_lost(m));
	aop_monitor_close(m);
}

static int until_ready(struct aop_monitor *m, struct told *t, int ready)
{
	struct pollfd p = { .fd = aop_monitor_fd(m), .events = POLLIN };
	int ret = aop_monitor_dispatch(m);

	while (ret >= 0 && t->ready < ready) {
		if (poll(&p, 1, -1) != 1)
			return -errno;
		ret = aop_monitor_dispatch(m);
	}
	return ret < 0 ? ret : 0;
}

/* K6: what is lost is counted and told once, and a new snapshot follows. */
TEST(K6_losses)
{
	struct aop_monitor *m;
	struct told t;

	reset();
	ASSERT_EQ(0, follow(&m, &t));
	ASSERT_EQ(0, until_ready(m, &t, 1));
	k.event += 5;
	put_changed(&k.op[1]);
	flush();
	ASSERT_EQ(0, until_ready(m, &t, 2));
	EXPECT_EQ(1, t.lost);
	EXPECT_EQ(5, aop_monitor_lost(m));
	EXPECT_EQ(2, t.listed[1]);
	EXPECT_EQ(1, t.changed[2]);
	/* The socket was full, and what was lost shows only in the answer. */
	k.event += 3;
	k.full = true;
	ASSERT_EQ(0, until_ready(m, &t, 3));
	EXPECT_EQ(2, t.lost);
	EXPECT_EQ(8, aop_monitor_lost(m));
	/* A message that only tells of a gap. */
	k.event += 2;
	put_changed(NULL);
	flush();
	ASSERT_EQ(0, until_ready(m, &t, 4));
	EXPECT_EQ(3, t.lost);
	EXPECT_EQ(10, aop_monitor_lost(m));
	aop_monitor_close(m);
}

/* K6: and so it is when the socket was full before the first answer was read. */
TEST(K6_opened_in_a_flood)
{
	struct aop_monitor *m;
	struct told t;

	reset();
	k.event = 0;
	k.flood = true;
	ASSERT_EQ(0, follow(&m, &t));
	k.event = 3;
	ASSERT_EQ(0, until_ready(m, &t, 1));
	EXPECT_EQ(2, k.subscribed);
	EXPECT_EQ(1, k.dumped);
	EXPECT_EQ(1, t.lost);
	EXPECT_EQ(3, aop_monitor_lost(m));
	EXPECT_EQ(1, t.listed[1]);
	aop_monitor_close(m);
}

/* What may pass is asked for again, what does not is an error. */
TEST(errors)
{
	struct aop_filter f = { .size = sizeof(f) };
	struct aop_monitor *m;
	struct told t;

	reset();
	k.subscribe_err = -EPERM;
	EXPECT_EQ(-EPERM, follow(&m, &t));
	EXPECT_EQ(NULL, m);
	k.dump_err = -EBUSY;
	ASSERT_EQ(0, follow(&m, &t));
	ASSERT_EQ(0, until_ready(m, &t, 1));
	EXPECT_EQ(2, k.dumped);
	EXPECT_EQ(1, t.listed[1]);
	k.subscribe_err = -ENOMEM;
	EXPECT_EQ(0, aop_monitor_filter(m, &f));
	ASSERT_EQ(0, until_ready(m, &t, 2));
	EXPECT_EQ(2, t.listed[1]);
	k.subscribe_err = -EPERM;
	EXPECT_EQ(0, aop_monitor_filter(m, &f));
	EXPECT_EQ(-EPERM, until_ready(m, &t, 3));
	aop_monitor_close(m);
}

/* Whatever comes: an error or a guess, but nothing is read that was not sent. */
TEST(malformed_messages)
{
	struct aop_info info = { .size = sizeof(info) };
	struct aop_filter f = { .size = sizeof(f) };
	int i, turn, opened = 0, ready = 0;
	struct aop_monitor *m;
	struct told t;
	uint64_t ids[2];

	for (i = 1; i <= ROUNDS; i++) {
		reset();
		k.seed = i;
		aop_monitor_list(NULL, list, &t);
		(void)!aop_monitor_get(1, &info);
		(void)!aop_monitor_members(1, ids, 2);
		(void)!aop_monitor_cancel(1, 0);
		k.overtake = true;
		if (follow(&m, &t))
			continue;
		opened++;
		for (turn = 0; turn < 6; turn++) {
			put_changed(&k.op[turn % NR_OPS]);
			put_changed(NULL);
			flush();
			if (turn == 3)
				(void)!aop_monitor_filter(m, &f);
			if (aop_monitor_dispatch(m) < 0)
				break;
		}
		ready += t.ready;
		aop_monitor_close(m);
	}
	/* Not all of it is in vain. */
	EXPECT_LT(ROUNDS / 4, opened);
	EXPECT_LT(0, ready);
}

static void *one_of_many(void *arg)
{
	struct aop_monitor *m;
	struct told t;
	int i, ret = 0;

	reset();
	for (i = 0; !ret && i < 20; i++) {
		ret = follow(&m, &t);
		if (ret)
			break;
		k.event += i % 2;
		put_changed(&k.op[1]);
		flush();
		ret = until_ready(m, &t, 1);
		aop_monitor_close(m);
	}
	*(int *)arg = ret;
	return NULL;
}

/* Monitors of several threads have nothing in common. */
TEST(a_monitor_each)
{
	pthread_t t[3];
	int i, ret[3];

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, one_of_many, &ret[i]));
	for (i = 0; i < 3; i++) {
		pthread_join(t[i], NULL);
		EXPECT_EQ(0, ret[i]);
	}
}

TEST_HARNESS_MAIN
