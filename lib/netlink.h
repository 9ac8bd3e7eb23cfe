/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * netlink.h - what the files that speak netlink share
 */
#ifndef AOP_NETLINK_H
#define AOP_NETLINK_H

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "aop/monitor.h"

/* What the kernel puts into one part of a dump, at the most. */
#define NL_RECEIVE	32768
#define NL_REQUEST	512

/* A socket, and the number of our family; one thread's. */
struct nl {
	struct mnl_socket *sock;
	uint32_t portid;
	uint32_t seq;
	uint16_t family;
};

/* A filter that outlives the caller's. */
struct filter {
	struct aop_filter f;
	char label[AOP_LABEL_SIZE];
};

int  nl_open(struct nl *nl);
void nl_close(struct nl *nl);
/* A request in buf, of NL_REQUEST bytes; its seq is nl->seq. */
struct nlmsghdr *nl_request(struct nl *nl, void *buf, uint16_t type, uint8_t cmd,
			    uint16_t flags);
int  nl_send(struct nl *nl, const struct nlmsghdr *nlh);
/* Send, and call fn for each answer, until the end of the dump or the one there is. */
typedef int nl_fn(const struct nlmsghdr *nlh, void *data);
int  nl_talk(struct nl *nl, const struct nlmsghdr *nlh, nl_fn *fn, void *data);
/* Of what was received, is there a whole message? */
bool nl_ok(const struct nlmsghdr *nlh, int len);
/* Of 2, 4 or 8 bytes; else 0. */
uint64_t nl_number(const struct nlattr *attr);
/* Of an NLMSG_ERROR or NLMSG_DONE. */
int  nl_errno(const struct nlmsghdr *nlh);

int  filter_copy(struct filter *to, const struct aop_filter *from);
void filter_put(struct nlmsghdr *nlh, const struct filter *filter);
/* event: of a changed message, else 0; has no id: only tells of a gap. */
void info_parse(const struct nlmsghdr *nlh, struct aop_info *info, uint64_t *event);

#endif /* AOP_NETLINK_H */
