// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to be seen from outside: lists, and who is told of changes.
 *
 * The one processor is shared: a subscriber that sleeps in recv() lets the work item
 * run that tells it, so a round holds all of it.
 */
#include <libmnl/libmnl.h>
#include <linux/aop_netlink.h>
#include <linux/genetlink.h>
#include <string.h>
#include <sys/socket.h>

#include <aop/monitor.h>

#include "../../selftests/abi.h"
#include "bench.h"

#define LISTED	4096
#define RECEIVE	32768

struct nl {
	struct mnl_socket *sock;
	uint16_t family;
	uint32_t seq;
	char buf[RECEIVE];
};

static struct nlmsghdr *request(struct nl *nl, void *buf, uint16_t type, uint8_t cmd,
				uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++nl->seq;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;
	return nlh;
}

static void send_request(struct nl *nl, const struct nlmsghdr *nlh)
{
	want(mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) > 0);
}

static int receive(struct nl *nl)
{
	int len = mnl_socket_recvfrom(nl->sock, nl->buf, sizeof(nl->buf));

	want(len > 0);
	return len;
}

static void open_nl(struct nl *nl)
{
	const struct nlattr *attr;
	struct nlmsghdr *nlh;
	char buf[256];

	memset(nl, 0, sizeof(*nl));
	nl->sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	want(nl->sock && !mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID));
	nlh = request(nl, buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, AOP_FAMILY_NAME);
	send_request(nl, nlh);
	receive(nl);
	mnl_attr_for_each(attr, (const struct nlmsghdr *)nl->buf, GENL_HDRLEN)
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
			nl->family = mnl_attr_get_u16(attr);
	want(nl->family);
}

/* ---- lists ------------------------------------------------------------------ */

static void make_listed(struct abi_ctx *c)
{
	struct aop_create_entry e;
	int i;

	want(!abi_open(c, 2 * LISTED));
	for (i = 0; i < LISTED; i++) {
		char label[AOP_LABEL_SIZE];

		snprintf(label, sizeof(label), "job-%d", i);
		e = (struct aop_create_entry) { .mode = 0600, .label = (uintptr_t)label };
		want(!abi_create(c, &e));
	}
}

/* What the kernel does of it. */
void raw_list(struct bench *b)
{
	const struct nlmsghdr *nlh;
	struct abi_ctx c;
	struct nl nl;
	char buf[256];
	unsigned int i;
	int len, nr;
	bool done;

	make_listed(&c);
	open_nl(&nl);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			send_request(&nl, request(&nl, buf, nl.family, AOP_CMD_GET, NLM_F_DUMP));
			for (nr = 0, done = false; !done;) {
				len = receive(&nl);
				nlh = (void *)nl.buf;
				for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
					done |= nlh->nlmsg_type == NLMSG_DONE;
					nr += nlh->nlmsg_type == nl.family;
				}
			}
			want(nr == LISTED);
		}
	mnl_socket_close(nl.sock);
	abi_close(&c);
}

static void count_listed(void *data, const struct aop_info *info)
{
	*(unsigned int *)data += info->st.state == AOP_PENDING;
}

void lib_list(struct bench *b)
{
	unsigned int i, nr;
	struct abi_ctx c;

	make_listed(&c);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			nr = 0;
			want(aop_monitor_list(NULL, count_listed, &nr) == LISTED);
			want(nr == LISTED);
		}
	abi_close(&c);
}

/* ---- news ------------------------------------------------------------------- */

static void subscribe(struct nl *nl, bool others)
{
	struct nlmsghdr *nlh;
	struct nlattr *nest;
	char buf[256];

	open_nl(nl);
	nlh = request(nl, buf, nl->family, AOP_CMD_SUBSCRIBE, 0);
	nest = mnl_attr_nest_start(nlh, AOP_A_FILTER);
	if (others)
		mnl_attr_put_u32(nlh, AOP_A_FILTER_UID, 4242);
	mnl_attr_nest_end(nlh, nest);
	send_request(nl, nlh);
	receive(nl);
	want(((struct nlmsghdr *)nl->buf)->nlmsg_type == nl->family);
}

/* Until it is told of this op's end. */
static void read_end(struct nl *nl, uint64_t id)
{
	const struct nlmsghdr *nlh;
	const struct nlattr *attr;
	uint64_t told = 0;
	uint32_t state = 0;
	int len;

	while (told != id || state != AOP_DONE) {
		len = receive(nl);
		for (nlh = (void *)nl->buf; mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len))
			mnl_attr_for_each(attr, nlh, GENL_HDRLEN) {
				if (mnl_attr_get_type(attr) == AOP_A_ID)
					told = mnl_attr_get_u64(attr);
				else if (mnl_attr_get_type(attr) == AOP_A_STATE)
					state = mnl_attr_get_u32(attr);
			}
	}
}

enum listener { NOBODY, OTHERS, READER };

/*
 * Ops are made, end, and are let go, one after the other.  Who is told reads it when all
 * of them have: how the work item's turns fall among them is not the same twice.
 */
static void lives(struct bench *b, enum listener who)
{
	struct aop_create_entry e;
	unsigned int i, j;
	struct abi_ctx c;
	struct nl nl;

	want(!abi_open(&c, 64));
	if (who != NOBODY)
		subscribe(&nl, who == OTHERS);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			for (j = 0; j < b->per; j++) {
				e = (struct aop_create_entry) {
					.mode = 0600, .state = AOP_RUNNING,
				};
				want(!abi_create(&c, &e));
				want(!abi_done(&c, e.handle, 0));
				want(!abi_detach(&c, e.handle, 0));
			}
			if (who == READER)
				read_end(&nl, e.id);
		}
	if (who != NOBODY)
		mnl_socket_close(nl.sock);
	abi_close(&c);
}

void news_nobody(struct bench *b)
{
	lives(b, NOBODY);
}

void news_others(struct bench *b)
{
	lives(b, OTHERS);
}

void news_reader(struct bench *b)
{
	lives(b, READER);
}
