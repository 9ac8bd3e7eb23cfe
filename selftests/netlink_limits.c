// SPDX-License-Identifier: GPL-2.0
/*
 * Subscribers by netlink and what they may cost others: their number, what is lost to
 * whom, numbers of sockets that are used again, dumps that are long (K6, K8).
 */
#include <poll.h>

#include "nl.h"
#include "perm.h"

#define MAX_SUBS	32	/* of one user, see kmod/news.c */
#define LISTED		2500	/* more than a dump looks at in one go */

static int subscribe_to(struct nl *nl, uint32_t uid)
{
	char buf[256];
	struct nlmsghdr *nlh = request(nl, buf, nl->family, AOP_CMD_SUBSCRIBE, 0);
	struct nlattr *nest = mnl_attr_nest_start(nlh, AOP_A_FILTER);

	mnl_attr_put_u32(nlh, AOP_A_FILTER_UID, uid);
	mnl_attr_nest_end(nlh, nest);
	return talk(nl, nlh);
}

FIXTURE(limits) {
	struct abi_ctx c;
	struct nl nl;
	struct shared *s;
	uint32_t max_news, max_subscriptions;
};

FIXTURE_SETUP(limits)
{
	ASSERT_EQ(0, abi_open(&self->c, 4096));
	ASSERT_EQ(0, nl_open(&self->nl));
	self->s = mmap(NULL, sizeof(*self->s), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->s != MAP_FAILED);
	ASSERT_EQ(0, abi_param_get("max_news", &self->max_news));
	ASSERT_EQ(0, abi_param_get("max_subscriptions", &self->max_subscriptions));
}

FIXTURE_TEARDOWN(limits)
{
	EXPECT_EQ(0, abi_param_set("max_news", self->max_news));
	EXPECT_EQ(0, abi_param_set("max_subscriptions", self->max_subscriptions));
	mnl_socket_close(self->nl.sock);
	abi_close(&self->c);
}

/* ---- how many subscriptions ---- */

TEST_F(limits, K8_subscriptions_of_a_user)
{
	static struct nl nl[MAX_SUBS + 1];
	int i;

	IN_CHILD() {
		ASSERT_TRUE(become(1000, 1000, 0));
		for (i = 0; i <= MAX_SUBS; i++)
			ASSERT_EQ(0, nl_open(&nl[i]));
		for (i = 0; i < MAX_SUBS; i++)
			ASSERT_EQ(0, subscribe_to(&nl[i], 1000));
		EXPECT_EQ(-EDQUOT, subscribe_to(&nl[MAX_SUBS], 1000));
		EXPECT_TRUE(nl[MAX_SUBS].message[0]);
		/* Another filter for one that is there; and room that comes free. */
		EXPECT_EQ(0, subscribe_to(&nl[3], 0));
		mnl_socket_close(nl[0].sock);
		EXPECT_EQ(0, subscribe_to(&nl[MAX_SUBS], 1000));
		/* Others have their own. */
		IN_CHILD() {
			ASSERT_EQ(0, nl_open(&nl[0]));
			EXPECT_EQ(-EDQUOT, subscribe_to(&nl[0], 1000));
		}
	}
	EXPECT_EQ(0, subscribe_all(&self->nl));
}

TEST_F(limits, K8_subscriptions_of_all_users)
{
	int user;

	ASSERT_EQ(0, abi_param_set("max_subscriptions", 2));
	ASSERT_EQ(0, subscribe_all(&self->nl));
	for (user = 1000; user < 1002; user++)
		IN_CHILD() {
			struct nl first, second;

			ASSERT_TRUE(become(user, user, 0));
			ASSERT_EQ(0, nl_open(&first));
			ASSERT_EQ(0, nl_open(&second));
			ASSERT_EQ(0, subscribe_to(&first, user));
			EXPECT_EQ(-EUSERS, subscribe_to(&second, user));
			EXPECT_TRUE(second.message[0]);
		}
	/* The privileged always may. */
	IN_CHILD() {
		struct nl nl[3];
		int i;

		for (i = 0; i < 3; i++) {
			ASSERT_EQ(0, nl_open(&nl[i]));
			EXPECT_EQ(0, subscribe_all(&nl[i]));
		}
	}
}

/* ---- what is lost, to whom ---- */

struct follower {
	struct aop_monitor *m;
	int lost, ready, listed;
	uint64_t last;			/* id of the op that was told last */
};

static void follow_news(void *data, enum aop_news news, const struct aop_info *info)
{
	struct follower *f = data;

	f->lost += news == AOP_NEWS_LOST;
	f->ready += news == AOP_NEWS_READY;
	f->listed += news == AOP_NEWS_LISTED;
	if (info)
		f->last = info->st.id;
}

static int follow_user(struct follower *f, uint32_t uid)
{
	struct aop_filter filter = {
		.size = sizeof(filter), .flags = AOP_FILTER_UID, .uid = uid,
	};
	struct aop_monitor_opts o = { .size = sizeof(o), .filter = &filter, .resync = 1 };

	memset(f, 0, sizeof(*f));
	return aop_monitor_open(&f->m, &o, follow_news, f);
}

static int follow_until(struct follower *f, const int *what, int least)
{
	struct pollfd p = { .fd = aop_monitor_fd(f->m), .events = POLLIN };
	int ret = 0;

	while (ret >= 0 && *what < least) {
		if (poll(&p, 1, -1) != 1)
			return -errno;
		ret = aop_monitor_dispatch(f->m);
	}
	return ret < 0 ? ret : 0;
}

/* In one section of a lock, so that no work item can keep up. */
static bool flood(struct shared *s)
{
	static struct aop_create_entry e[256];
	static struct abi_ctx c;
	int i;

	for (i = 0; i < 256; i++)
		e[i].mode = 0600;
	if (!become(1000, 1000, 0) || abi_open(&c, 512))
		return false;
	s->told = 1;
	return abi_batch(c.fd, AOP_IOC_CREATE, e, sizeof(e[0]), 256) == 256;
}

/* K6 K8: who fills his share of the lists takes nothing from those who follow others. */
TEST_F(limits, K6_K8_a_flood_is_lost_to_its_own_followers)
{
	struct follower all, his, ours;
	struct aop_monitor_opts o = { .size = sizeof(o), .resync = 1 };
	struct keeper k;
	uint64_t id;

	memset(&all, 0, sizeof(all));
	ASSERT_EQ(0, aop_monitor_open(&all.m, &o, follow_news, &all));
	ASSERT_EQ(0, follow_user(&his, 1000));
	ASSERT_EQ(0, follow_user(&ours, 0));
	ASSERT_EQ(0, follow_until(&all, &all.ready, 1));
	ASSERT_EQ(0, follow_until(&his, &his.ready, 1));
	ASSERT_EQ(0, follow_until(&ours, &ours.ready, 1));
	ASSERT_EQ(0, abi_param_set("max_news", 8));
	k = keep(flood, self->s);
	ASSERT_LT(0, k.pid);
	/* The new snapshot has all of them. */
	ASSERT_EQ(0, follow_until(&his, &his.ready, 2));
	EXPECT_LT(0, his.lost);
	EXPECT_LT(0, aop_monitor_lost(his.m));
	EXPECT_LE(256, his.listed);
	ASSERT_EQ(0, follow_until(&all, &all.ready, 2));
	EXPECT_LT(0, all.lost);
	EXPECT_LT(0, aop_monitor_lost(all.m));
	id = create(&self->c, 0600);
	ASSERT_NE(0, id);
	while (ours.last != id)
		ASSERT_LE(0, aop_monitor_dispatch(ours.m));
	EXPECT_EQ(0, ours.lost);
	EXPECT_EQ(0, aop_monitor_lost(ours.m));
	let_go(&k);
	aop_monitor_close(all.m);
	aop_monitor_close(his.m);
	aop_monitor_close(ours.m);
}

/* K6: more comes than the socket takes, before the answer to its first request is read. */
#define OPENED	200

struct flood {
	struct abi_ctx *c;
	_Atomic bool stop;
	uint64_t last;
};

static void *flood_until(void *arg)
{
	struct aop_create_entry e;
	struct flood *f = arg;
	int ret = 0;

	while (!f->stop && !ret) {
		e = (struct aop_create_entry) { .mode = 0600 };
		ret = abi_create(f->c, &e) ?: abi_detach(f->c, e.handle, 0);
	}
	f->last = create(f->c, 0600);
	return NULL;
}

TEST_F(limits, K6_opened_in_a_flood)
{
	struct aop_monitor_opts o = { .size = sizeof(o), .buffer = 1, .resync = 1 };
	struct flood flood = { .c = &self->c };
	struct follower f = { .m = NULL };
	struct pollfd p = { .events = POLLIN };
	pthread_t t;
	int i, ret = 0;

	ASSERT_EQ(0, pthread_create(&t, NULL, flood_until, &flood));
	for (i = 0; i < OPENED && !ret; i++) {
		aop_monitor_close(f.m);
		ret = aop_monitor_open(&f.m, &o, follow_news, &f);
	}
	flood.stop = true;
	ASSERT_EQ(0, pthread_join(t, NULL));
	ASSERT_EQ(0, ret);
	/* However much was lost, in the end all is known. */
	p.fd = aop_monitor_fd(f.m);
	for (f.ready = 0; !f.ready || f.last != flood.last;) {
		ASSERT_EQ(1, poll(&p, 1, -1));
		ASSERT_LE(0, aop_monitor_dispatch(f.m));
	}
	aop_monitor_close(f.m);
}

#define RENEWED	3000

struct renewed {
	struct abi_ctx *c;
	_Atomic bool ended;
};

static void *create_many(void *arg)
{
	struct renewed *r = arg;
	int i;

	for (i = 0; i < RENEWED && create(r->c, 0600); i++)
		;
	r->ended = true;
	return (void *)(intptr_t)i;
}

/* Subscribes again: the number of the last event, and how many messages of events came. */
static int renew(struct nl *nl, uint64_t *event, unsigned int *told)
{
	char buf[256];
	const struct nlmsghdr *nlh = request(nl, buf, nl->family, AOP_CMD_SUBSCRIBE, 0);
	const uint32_t seq = nlh->nlmsg_seq;
	const struct nlattr *attr;
	int len;

	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		len = mnl_socket_recvfrom(nl->sock, nl->buf, sizeof(nl->buf));
		if (len < 0)
			return -errno;
		for (nlh = (void *)nl->buf; mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len)) {
			if (nlh->nlmsg_type == NLMSG_ERROR)
				return 0;
			*told += !nlh->nlmsg_seq;
			mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
				if (nlh->nlmsg_seq == seq && mnl_attr_get_type(attr) == AOP_A_EVENT)
					*event = mnl_attr_get_u64(attr);
		}
	}
}

/* K6: there is room for none, so each change is an event that was lost, also while renewing. */
TEST_F(limits, K6_a_subscription_that_is_renewed_misses_nothing)
{
	struct renewed r = { .c = &self->c };
	const int room = 8192 * RENEWED;
	unsigned int told = 0;
	uint64_t event, first;
	pthread_t t;
	void *nr;

	/* For a message about each: none is lost on its way. */
	ASSERT_EQ(0, setsockopt(mnl_socket_get_fd(self->nl.sock), SOL_SOCKET, SO_RCVBUFFORCE, &room,
				sizeof(room)));
	ASSERT_EQ(0, abi_param_set("max_news", 0));
	ASSERT_EQ(0, renew(&self->nl, &first, &told));
	ASSERT_EQ(0, told);
	ASSERT_EQ(0, pthread_create(&t, NULL, create_many, &r));
	while (!r.ended)
		ASSERT_EQ(0, renew(&self->nl, &event, &told));
	ASSERT_EQ(0, pthread_join(t, &nr));
	ASSERT_EQ(RENEWED, (intptr_t)nr);
	ASSERT_EQ(0, renew(&self->nl, &event, &told));
	EXPECT_EQ(RENEWED, event - first - told);
}

/* ---- long dumps ---- */

static int dump_label(struct nl *nl, const char *label)
{
	char buf[256];
	struct nlmsghdr *nlh = request(nl, buf, nl->family, AOP_CMD_GET, NLM_F_DUMP);
	struct nlattr *nest = mnl_attr_nest_start(nlh, AOP_A_FILTER);
	int ret;

	mnl_attr_put_strz(nlh, AOP_A_FILTER_LABEL, label);
	mnl_attr_nest_end(nlh, nest);
	ret = talk(nl, nlh);
	return ret ? ret : nl->nr;
}

/* A dump looks at so many ops at a time, and ends only behind the last of them. */
TEST_F(limits, a_dump_in_stretches)
{
	struct aop_create_entry e;
	int i;

	for (i = 0; i < LISTED; i++) {
		e = (struct aop_create_entry) { .mode = 0600 };
		if (i == LISTED / 2)
			e.label = (uintptr_t)"needle";
		ASSERT_EQ(0, abi_create(&self->c, &e));
	}
	EXPECT_EQ(1, dump_label(&self->nl, "needle"));
	EXPECT_EQ(0, dump_label(&self->nl, "nothing"));
	EXPECT_EQ(LISTED, list_all(&self->nl));
	/* As one who is told of changes, too. */
	ASSERT_EQ(0, subscribe_to(&self->nl, 4242));
	EXPECT_EQ(1, dump_label(&self->nl, "needle"));
	EXPECT_EQ(0, dump_label(&self->nl, "nothing"));
	EXPECT_EQ(LISTED, list_all(&self->nl));
}

/* The flags of all messages of a dump.  @meanwhile: ops come, after its first part. */
static int dump_flags(struct nl *nl, struct abi_ctx *meanwhile)
{
	struct nlmsghdr *nlh;
	int len, flags = 0;
	char buf[256];

	nlh = request(nl, buf, nl->family, AOP_CMD_GET, NLM_F_DUMP);
	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		len = mnl_socket_recvfrom(nl->sock, nl->buf, sizeof(nl->buf));
		if (len < 0)
			return -errno;
		for (nlh = (void *)nl->buf; mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len)) {
			flags |= nlh->nlmsg_flags;
			if (nlh->nlmsg_type == NLMSG_DONE)
				return flags;
		}
		if (meanwhile)
			create(meanwhile, 0600);
	}
}

TEST_F(limits, a_dump_tells_that_it_was_interrupted)
{
	int i;

	for (i = 0; i < 1000; i++)
		ASSERT_NE(0, create(&self->c, 0600));
	EXPECT_EQ(0, dump_flags(&self->nl, NULL) & NLM_F_DUMP_INTR);
	EXPECT_NE(0, dump_flags(&self->nl, &self->c) & NLM_F_DUMP_INTR);
}

/* ---- the number of a socket, used again ---- */

#define PORT	0x7a0f0001
#define OTHERS	24
#define BUSY	400	/* less than what is told in one section of the lock */

/* With that number, as soon as nobody has it any more. */
static int open_port(struct nl *nl, uint16_t family)
{
	memset(nl, 0, sizeof(*nl));
	nl->family = family;
	nl->sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!nl->sock)
		return -errno;
	while (mnl_socket_bind(nl->sock, 0, PORT) < 0) {
		if (errno != EADDRINUSE)
			return -errno;
		/* Let the one run that has it. */
		usleep(50);
	}
	return 0;
}

static bool run_on(int cpu)
{
	cpu_set_t set;

	/* With one processor there is nothing to choose. */
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return true;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

struct closer {
	struct nl nl;
	bool subscribed;
	_Atomic int go;
	int error;
};

/*
 * Closes a socket, with a subscription or without.  It runs only when its processor has
 * nothing else to do, so that others get the lock before it, for which it may not even
 * wait yet.
 */
static void *close_subscribed(void *arg)
{
	const struct sched_param idle = { 0 };
	struct closer *c = arg;

	c->error = c->subscribed ? subscribe_all(&c->nl) : 0;
	if (!run_on(1) || sched_setscheduler(0, SCHED_IDLE, &idle))
		c->error = -errno;
	c->go = 1;
	while (c->go == 1)
		sched_yield();
	mnl_socket_close(c->nl.sock);
	return NULL;
}

/* News are sent in order: until one who asked for this op only is told of it. */
static bool all_sent(struct nl *fence, struct abi_ctx *c)
{
	struct aop_create_entry e = { .mode = 0600, .label = (uintptr_t)"fence" };
	const struct nlattr *attr;
	const struct nlmsghdr *nlh;
	uint64_t told = 0;
	int len;

	if (abi_create(c, &e))
		return false;
	while (told != e.id) {
		len = mnl_socket_recvfrom(fence->sock, fence->buf, sizeof(fence->buf));
		if (len < 0)
			return false;
		for (nlh = (void *)fence->buf; mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len))
			mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
				if (mnl_attr_get_type(attr) == AOP_A_ID)
					told = mnl_attr_get_u64(attr);
	}
	return !abi_detach(c, e.handle, 0);
}

static int subscribe_label(struct nl *nl, const char *label)
{
	char buf[256];
	struct nlmsghdr *nlh = request(nl, buf, nl->family, AOP_CMD_SUBSCRIBE, 0);
	struct nlattr *nest = mnl_attr_nest_start(nlh, AOP_A_FILTER);

	mnl_attr_put_strz(nlh, AOP_A_FILTER_LABEL, label);
	mnl_attr_nest_end(nlh, nest);
	return talk(nl, nlh);
}

static bool told_anything(struct nl *nl)
{
	return recv(mnl_socket_get_fd(nl->sock), nl->buf, sizeof(nl->buf), MSG_DONTWAIT) > 0 ||
	       errno == ENOBUFS;
}

static void read_all(struct nl *nl)
{
	while (told_anything(nl))
		;
}

static bool wait_told(struct nl *nl)
{
	struct pollfd p = { .fd = mnl_socket_get_fd(nl->sock), .events = POLLIN };

	return poll(&p, 1, -1) == 1;
}

/*
 * K7: who gets the number of a closed socket is told nothing that its subscription asked
 * for; and the end of that one does not end his own.
 */
TEST_F(limits, K7_a_number_is_used_again)
{
	static struct nl others[OTHERS];
	static struct closer c;
	uint64_t h[BUSY];
	pthread_t t;
	struct nl nl;
	int i, round;

	for (i = 0; i < OTHERS; i++) {
		ASSERT_EQ(0, nl_open(&others[i]));
		ASSERT_EQ(0, subscribe_all(&others[i]));
	}
	ASSERT_EQ(0, subscribe_label(&self->nl, "fence"));
	for (round = 0; round < 9; round++) {
		bool again = round % 3;

		for (i = 0; i < BUSY; i++) {
			struct aop_create_entry e = { .mode = 0600 };

			ASSERT_EQ(0, abi_create(&self->c, &e));
			h[i] = e.handle;
		}
		c.go = 0;
		c.subscribed = round % 3 != 2;
		ASSERT_EQ(0, open_port(&c.nl, self->nl.family));
		ASSERT_EQ(0, pthread_create(&t, NULL, close_subscribed, &c));
		while (!c.go)
			sched_yield();
		ASSERT_TRUE(all_sent(&self->nl, &self->c));
		read_all(&others[0]);
		/* What takes long to tell to all the others, in one section of the lock. */
		ASSERT_TRUE(run_on(0));
		for (i = 0; i < BUSY; i++)
			ASSERT_EQ(0, abi_start(&self->c, h[i]));
		ASSERT_TRUE(run_on(1));
		ASSERT_TRUE(wait_told(&others[0]));
		/* In it the number becomes free; the subscription is gone only after it. */
		c.go = 2;
		ASSERT_EQ(0, open_port(&nl, self->nl.family));
		if (again) {
			ASSERT_EQ(0, subscribe_all(&nl));
		}
		for (i = 0; i < BUSY; i++)
			ASSERT_EQ(0, abi_done(&self->c, h[i], 0));
		pthread_join(t, NULL);
		EXPECT_EQ(0, c.error);
		if (again) {
			/* Told of what comes now, or it would hang here. */
			read_all(&nl);
			ASSERT_NE(0, create(&self->c, 0600));
			ASSERT_TRUE(wait_told(&nl));
		}
		ASSERT_TRUE(all_sent(&self->nl, &self->c));
		if (!again) {
			EXPECT_FALSE(told_anything(&nl));
		}
		mnl_socket_close(nl.sock);
		for (i = 0; i < BUSY; i++)
			ASSERT_EQ(0, abi_detach(&self->c, h[i], 0));
	}
	for (i = 0; i < OTHERS; i++)
		mnl_socket_close(others[i].sock);
}

TEST_HARNESS_MAIN
