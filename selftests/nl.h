/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests of the netlink family: a socket, requests, answers with their extended ack.
 */
#ifndef SELFTESTS_NL_H
#define SELFTESTS_NL_H

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/aop_netlink.h>
#include <linux/genetlink.h>
#include <stdio.h>
#include <string.h>

#include <aop/monitor.h>

struct nl {
	struct mnl_socket *sock;
	uint16_t family;
	uint32_t seq;
	char buf[16384];
	char message[256];		/* of the extended ack */
	int nr;				/* messages about ops */
};

static inline struct nlmsghdr *request(struct nl *nl, char *buf, uint16_t type, uint8_t cmd,
				       uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	nlh->nlmsg_seq = ++nl->seq;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;
	return nlh;
}

static inline void take_message(struct nl *nl, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	unsigned int offset = sizeof(*err);
	const struct nlattr *attr;

	nl->message[0] = 0;
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		offset += mnl_nlmsg_get_payload_len(&err->msg);
	mnl_attr_for_each(attr, nlh, offset)
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
			snprintf(nl->message, sizeof(nl->message), "%s", mnl_attr_get_str(attr));
}

/* Send, and read until it is answered. */
static inline int talk(struct nl *nl, const struct nlmsghdr *req)
{
	const uint32_t seq = req->nlmsg_seq;
	const struct nlmsghdr *nlh;
	int len, err;

	nl->nr = 0;
	if (mnl_socket_sendto(nl->sock, req, req->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		len = mnl_socket_recvfrom(nl->sock, nl->buf, sizeof(nl->buf));
		if (len < 0)
			return -errno;
		for (nlh = (void *)nl->buf; mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len)) {
			if (nlh->nlmsg_seq != seq)
				continue;
			if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
				memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
				if (nlh->nlmsg_type == NLMSG_ERROR)
					take_message(nl, nlh);
				return err < 0 ? err : 0;
			}
			if (nlh->nlmsg_type == GENL_ID_CTRL) {
				const struct nlattr *attr;

				mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
					if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
						nl->family = mnl_attr_get_u16(attr);
			}
			nl->nr++;
		}
	}
}

static inline int nl_open(struct nl *nl)
{
	struct nlmsghdr *nlh;
	char buf[256];
	int one = 1;

	memset(nl, 0, sizeof(*nl));
	nl->sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &one, sizeof(one)) < 0)
		return -errno;
	nlh = request(nl, buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, AOP_FAMILY_NAME);
	return talk(nl, nlh);
}

static inline int list_all(struct nl *nl)
{
	char buf[256];
	int ret = talk(nl, request(nl, buf, nl->family, AOP_CMD_GET, NLM_F_DUMP));

	return ret ? ret : nl->nr;
}

static inline int subscribe_all(struct nl *nl)
{
	char buf[256];

	return talk(nl, request(nl, buf, nl->family, AOP_CMD_SUBSCRIBE, 0));
}

#endif /* SELFTESTS_NL_H */
