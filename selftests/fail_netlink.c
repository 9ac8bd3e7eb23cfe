// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation, and every copy from or to user memory, fails once: netlink.
 */
#include <libmnl/libmnl.h>
#include <linux/aop_netlink.h>
#include <linux/genetlink.h>

#include "fail_world.h"

static struct mnl_socket *sock;
static uint16_t family;

/* What the kernel has to say is in the socket when the call that sends has returned. */
static long answers(uint32_t seq)
{
	static char buf[16384];
	const struct nlmsghdr *nlh;
	const struct nlattr *attr;
	int len, err;

	for (;;) {
		len = recv(mnl_socket_get_fd(sock), buf, sizeof(buf), MSG_DONTWAIT);
		if (len < 0)
			return -errno;
		for (nlh = (void *)buf; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
			if (nlh->nlmsg_seq != seq)
				continue;
			if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
				memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
				return err < 0 ? err : 0;
			}
			if (nlh->nlmsg_type == GENL_ID_CTRL)
				mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
					if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
						family = mnl_attr_get_u16(attr);
		}
	}
}

static struct nlmsghdr *request(char *buf, uint16_t type, uint8_t cmd, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;
	static uint32_t seq;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	nlh->nlmsg_seq = ++seq;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;
	return nlh;
}

static long talk(const struct nlmsghdr *nlh)
{
	if (mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return answers(nlh->nlmsg_seq);
}

static int nl_open(void)
{
	char buf[256];
	struct nlmsghdr *nlh;

	sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!sock || mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	nlh = request(buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, AOP_FAMILY_NAME);
	return talk(nlh);
}

/* What is left of a dump or an answer that was cut short. */
static void drain(void)
{
	char buf[16384];

	while (recv(mnl_socket_get_fd(sock), buf, sizeof(buf), MSG_DONTWAIT) >= 0 ||
	       errno == ENOBUFS)
		;
}

static long call_get(struct world *w)
{
	char buf[256];
	struct nlmsghdr *nlh = request(buf, family, AOP_CMD_GET, 0);

	mnl_attr_put_u64(nlh, AOP_A_ID, w->other_id);
	return talk(nlh);
}

static long call_dump(struct world *w)
{
	char buf[256];
	struct nlmsghdr *nlh = request(buf, family, AOP_CMD_GET, NLM_F_DUMP);
	struct nlattr *nest = mnl_attr_nest_start(nlh, AOP_A_FILTER);
	long ret;

	(void)w;
	mnl_attr_put_u32(nlh, AOP_A_FILTER_UID, 0);
	mnl_attr_put_strz(nlh, AOP_A_FILTER_LABEL, "none");
	mnl_attr_nest_end(nlh, nest);
	ret = talk(nlh);
	drain();
	return ret;
}

static long call_nl_cancel(struct world *w)
{
	char buf[256];
	struct nlmsghdr *nlh = request(buf, family, AOP_CMD_CANCEL, 0);

	mnl_attr_put_u64(nlh, AOP_A_ID, w->other_id);
	return talk(nlh);
}

static long talk_short(uint8_t cmd)
{
	char buf[256];

	return talk(request(buf, family, cmd, 0));
}

TEST_F(fail, netlink)
{
	ASSERT_EQ(0, nl_open());
	SWEEP(3, call_get, NULL);
	drain();
	SWEEP(4, call_dump, NULL);
	drain();
	SWEEP(2, call_nl_cancel, NULL);
	drain();
	mnl_socket_close(sock);
}

/* Who was told that it failed has no subscription; of an answer that got lost nothing is known. */
TEST_F(fail, subscribe)
{
	struct world *w = &self->w;
	unsigned int n;
	bool failed;
	long ret, undone;

	ASSERT_EQ(0, nl_open());
	for (n = 1; n < 500; n++) {
		w->now = abi_now();
		inject_nth(w->nth, n);
		ret = talk_short(AOP_CMD_SUBSCRIBE);
		failed = inject_end(w->nth);
		drain();
		undone = talk_short(AOP_CMD_UNSUBSCRIBE);
		drain();
		if (!failed)
			break;
		EXPECT_TRUE(ret >= 0 || is_excuse(ret));
		if (ret == -ENOMEM)
			EXPECT_EQ(-ENOENT, undone) {
				TH_LOG("fault %u", n);
				break;
			}
	}
	EXPECT_EQ(0, ret);
	EXPECT_EQ(0, undone);
	EXPECT_LT(3, n);
	TH_LOG("%u faults", n - 1);
	mnl_socket_close(sock);
}

TEST_HARNESS_MAIN
