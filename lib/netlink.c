// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * netlink.c - ops by netlink: the socket, filters, what is asked once
 */
#include <stdlib.h>
#include <string.h>

#include <linux/aop_netlink.h>

#include "netlink.h"
#include "opts.h"

/* ---- the socket ------------------------------------------------------------- */

bool nl_ok(const struct nlmsghdr *nlh, int len)
{
	/* For libmnl a length is signed. */
	return mnl_nlmsg_ok(nlh, len) && nlh->nlmsg_len <= INT32_MAX;
}

uint64_t nl_number(const struct nlattr *attr)
{
	switch (mnl_attr_get_payload_len(attr)) {
	case sizeof(uint16_t):
		return mnl_attr_get_u16(attr);
	case sizeof(uint32_t):
		return mnl_attr_get_u32(attr);
	case sizeof(uint64_t):
		return mnl_attr_get_u64(attr);
	default:
		return 0;
	}
}

int nl_errno(const struct nlmsghdr *nlh)
{
	int32_t err;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(err))
		return -EPROTO;
	memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
	return err;
}

int nl_send(struct nl *nl, const struct nlmsghdr *nlh)
{
	return mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
}

/* 1: go on; 0: that was all; or the error that was answered. */
static int one_answer(const struct nlmsghdr *nlh, nl_fn *fn, void *data)
{
	int ret;

	switch (nlh->nlmsg_type) {
	case NLMSG_NOOP:
		return 1;
	case NLMSG_ERROR:
	case NLMSG_DONE:
		ret = nl_errno(nlh);
		return ret < 0 ? ret : 0;
	default:
		ret = fn(nlh, data);
		return ret < 0 ? ret : !!(nlh->nlmsg_flags & NLM_F_MULTI);
	}
}

int nl_talk(struct nl *nl, const struct nlmsghdr *request, nl_fn *fn, void *data)
{
	const uint32_t seq = request->nlmsg_seq;
	const struct nlmsghdr *nlh;
	int len, ret = nl_send(nl, request);
	char *buf;

	if (ret)
		return ret;
	buf = malloc(NL_RECEIVE);
	if (!buf)
		return -ENOMEM;
	ret = 1;
	while (ret > 0) {
		len = mnl_socket_recvfrom(nl->sock, buf, NL_RECEIVE);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0) {
			ret = -errno;
			break;
		}
		for (nlh = (void *)buf; ret > 0 && nl_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len))
			if (nlh->nlmsg_seq == seq)
				ret = one_answer(nlh, fn, data);
	}
	free(buf);
	return ret;
}

struct nlmsghdr *nl_request(struct nl *nl, void *buf, uint16_t type, uint8_t cmd, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++nl->seq;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = type == GENL_ID_CTRL ? 1 : AOP_FAMILY_VERSION;
	return nlh;
}

static int get_family(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;
	struct nl *nl = data;

	mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
			nl->family = nl_number(attr);
	return 0;
}

int nl_open(struct nl *nl)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh;
	int ret;

	memset(nl, 0, sizeof(*nl));
	nl->sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!nl->sock)
		return -errno;
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		ret = -errno;
	} else {
		nl->portid = mnl_socket_get_portid(nl->sock);
		nlh = nl_request(nl, buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
		mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, AOP_FAMILY_NAME);
		ret = nl_talk(nl, nlh, get_family, nl);
		/* Its number changes whenever the module is loaded again. */
		if (ret == -ENOENT || (!ret && !nl->family))
			ret = -ENODEV;
	}
	if (ret)
		nl_close(nl);
	return ret;
}

void nl_close(struct nl *nl)
{
	mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

/* ---- filters ---------------------------------------------------------------- */

int filter_copy(struct filter *to, const struct aop_filter *from)
{
	int ret;

	memset(to, 0, sizeof(*to));
	if (!from)
		return 0;
	ret = opts_copy(&to->f, sizeof(to->f), from);
	if (ret)
		return ret;
	if (to->f.flags & ~AOP_FILTER_UID || to->f.pad || to->f.pid < 0 || to->f.min_age < 0 ||
	    to->f.max_age < 0 || to->f.states >> AOP_NR_STATES)
		return -EINVAL;
	if (to->f.label) {
		if (strlen(to->f.label) >= sizeof(to->label))
			return -ENAMETOOLONG;
		strcpy(to->label, to->f.label);
		to->f.label = to->label;
	}
	return 0;
}

void filter_put(struct nlmsghdr *nlh, const struct filter *filter)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, AOP_A_FILTER);
	const struct aop_filter *f = &filter->f;

	if (f->states)
		mnl_attr_put_u32(nlh, AOP_A_FILTER_STATES, f->states);
	if (f->flags & AOP_FILTER_UID)
		mnl_attr_put_u32(nlh, AOP_A_FILTER_UID, f->uid);
	if (f->pid)
		mnl_attr_put_u32(nlh, AOP_A_FILTER_PID, f->pid);
	if (f->label)
		mnl_attr_put_strz(nlh, AOP_A_FILTER_LABEL, filter->label);
	if (f->parent)
		mnl_attr_put_u64(nlh, AOP_A_FILTER_PARENT, f->parent);
	if (f->min_age)
		mnl_attr_put_u64(nlh, AOP_A_FILTER_MIN_AGE, f->min_age);
	if (f->max_age)
		mnl_attr_put_u64(nlh, AOP_A_FILTER_MAX_AGE, f->max_age);
	mnl_attr_nest_end(nlh, nest);
}

/* ---- ops -------------------------------------------------------------------- */

static void copy_string(char *to, size_t size, const void *from, size_t len)
{
	len = strnlen(from, len < size ? len : size - 1);
	memcpy(to, from, len);
	to[len] = '\0';
}

/* Where a number of a message is kept. */
static const struct field {
	uint16_t offset, size;
} fields[] = {
#define FIELD(member) { offsetof(struct aop_info, member), sizeof(((struct aop_info *)0)->member) }
	[AOP_A_ID] = FIELD(st.id),
	[AOP_A_SEQ] = FIELD(st.seq),
	[AOP_A_STATE] = FIELD(st.state),
	[AOP_A_FLAGS] = FIELD(st.flags),
	[AOP_A_REASON] = FIELD(st.reason),
	[AOP_A_RESULT] = FIELD(st.result),
	[AOP_A_DONE] = FIELD(st.done),
	[AOP_A_TOTAL] = FIELD(st.total),
	[AOP_A_TIME] = FIELD(st.time),
	[AOP_A_CREATED] = FIELD(created),
	[AOP_A_STARTED] = FIELD(started),
	[AOP_A_DEADLINE] = FIELD(deadline),
	[AOP_A_PARENT] = FIELD(parent),
	[AOP_A_UID] = FIELD(uid),
	[AOP_A_GID] = FIELD(gid),
	[AOP_A_PID] = FIELD(pid),
	[AOP_A_MODE] = FIELD(mode),
	[AOP_A_WATCHERS] = FIELD(watchers),
	[AOP_A_MEMBERS] = FIELD(members),
	[AOP_A_NEED] = FIELD(need),
#undef FIELD
};

static void parse_number(const struct field *field, const void *data, size_t len, void *to)
{
	uint64_t v = 0;

	if (len != sizeof(uint64_t) && len != sizeof(uint32_t))
		return;
	/* Little or big endian: a number of its own size. */
	if (len == sizeof(uint64_t)) {
		memcpy(&v, data, sizeof(uint64_t));
	} else {
		uint32_t half;

		memcpy(&half, data, sizeof(half));
		v = half;
	}
	to = (char *)to + field->offset;
	if (field->size == sizeof(uint64_t))
		*(uint64_t *)to = v;
	else if (field->size == sizeof(uint32_t))
		*(uint32_t *)to = v;
	else if (field->size)
		*(uint8_t *)to = v;
}

/* A list of very many is mostly this: one look at each attribute's head. */
void info_parse(const struct nlmsghdr *nlh, struct aop_info *info, uint64_t *event)
{
	const struct nlattr *attr;
	const void *data;
	uint16_t type;
	size_t len;

	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	*event = 0;
	mnl_attr_for_each(attr, nlh, GENL_HDRLEN) {
		type = attr->nla_type & NLA_TYPE_MASK;
		data = (const char *)attr + MNL_ATTR_HDRLEN;
		len = attr->nla_len - MNL_ATTR_HDRLEN;
		if (type == AOP_A_LABEL)
			copy_string(info->label, sizeof(info->label), data, len);
		else if (type == AOP_A_COMM)
			copy_string(info->comm, sizeof(info->comm), data, len);
		else if (type == AOP_A_EVENT && len == sizeof(*event))
			memcpy(event, data, sizeof(*event));
		else if (type < sizeof(fields) / sizeof(fields[0]))
			parse_number(&fields[type], data, len, info);
	}
}

/* ---- what is asked once ----------------------------------------------------- */

struct list {
	aop_list_fn *fn;
	void *data;
	int nr;
};

static int list_one(const struct nlmsghdr *nlh, void *data)
{
	struct list *list = data;
	struct aop_info info;
	uint64_t event;

	info_parse(nlh, &info, &event);
	list->fn(list->data, &info);
	list->nr++;
	return 0;
}

/**
 * aop_monitor_list() - all ops that one may look at and that match a filter
 * @f: which; f->size is sizeof(struct aop_filter); NULL: all
 * @fn: called for each of them, in no order
 * @data: for fn
 *
 * Those that are there from the call's begin to its end are told once; others that come
 * or go meanwhile may be told.  Blocks while the kernel answers.  Allocates and opens a
 * socket for the time of the call.  Any thread; not a signal handler.
 *
 * Return: how many; -ENODEV: the module is not loaded; -EINVAL, -E2BIG: bad filter;
 * -ENAMETOOLONG: its label is longer than labels are; -EMFILE, -ENFILE, -ENOMEM.
 */
int aop_monitor_list(const struct aop_filter *f, aop_list_fn *fn, void *data)
{
	struct list list = { .fn = fn, .data = data };
	struct filter filter;
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh;
	struct nl nl;
	int ret;

	ret = filter_copy(&filter, f);
	if (ret)
		return ret;
	ret = nl_open(&nl);
	if (ret)
		return ret;
	nlh = nl_request(&nl, buf, nl.family, AOP_CMD_GET, NLM_F_DUMP);
	filter_put(nlh, &filter);
	ret = nl_talk(&nl, nlh, list_one, &list);
	nl_close(&nl);
	return ret ? ret : list.nr;
}

static int ask(uint64_t id, uint8_t cmd, int reason, nl_fn *fn, void *data)
{
	char buf[NL_REQUEST];
	struct nlmsghdr *nlh;
	struct nl nl;
	int ret;

	ret = nl_open(&nl);
	if (ret)
		return ret;
	nlh = nl_request(&nl, buf, nl.family, cmd, 0);
	mnl_attr_put_u64(nlh, AOP_A_ID, id);
	if (reason)
		mnl_attr_put_u32(nlh, AOP_A_REASON, reason);
	ret = nl_talk(&nl, nlh, fn, data);
	nl_close(&nl);
	return ret;
}

static int get_info(const struct nlmsghdr *nlh, void *data)
{
	struct aop_info info, *to = data;
	uint32_t size = to->size < sizeof(info) ? to->size : sizeof(info);
	uint64_t event;

	info_parse(nlh, &info, &event);
	memcpy(to, &info, size);
	to->size = size;
	return 0;
}

/**
 * aop_monitor_get() - one op by its id
 * @id: from aop_id(), a list, a monitor
 * @info: out; info->size says how much of it the caller knows
 *
 * Blocks while the kernel answers.  Any thread; not a signal handler.
 *
 * Return: 0; -ENOENT: there is no such op that one may look at; -ENODEV: the module is
 * not loaded; -EINVAL: info->size; -EMFILE, -ENFILE, -ENOMEM.
 */
int aop_monitor_get(uint64_t id, struct aop_info *info)
{
	if (info->size < 2 * sizeof(uint32_t))
		return -EINVAL;
	return ask(id, AOP_CMD_GET, 0, get_info, info);
}

struct members {
	uint64_t *ids;
	size_t max;
	size_t nr;
};

static int get_members(const struct nlmsghdr *nlh, void *data)
{
	struct members *m = data;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, GENL_HDRLEN) {
		if (mnl_attr_get_type(attr) != AOP_A_MEMBER)
			continue;
		if (m->nr < m->max)
			m->ids[m->nr] = nl_number(attr);
		m->nr++;
	}
	return 0;
}

/**
 * aop_monitor_members() - the ids of a group's members
 * @id: of the group
 * @ids: out: those of the first n members, in the order in which they were given
 * @n: room in ids
 *
 * Blocks while the kernel answers.  Any thread; not a signal handler.
 *
 * Return: how many members it has, 0 if it is no group; else as aop_monitor_get().
 */
int aop_monitor_members(uint64_t id, uint64_t *ids, size_t n)
{
	struct members m = { .ids = ids, .max = n };
	int ret = ask(id, AOP_CMD_GET, 0, get_members, &m);

	return ret ? ret : (int)m.nr;
}

static int get_answer(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;
	int *answer = data;

	mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
		if (mnl_attr_get_type(attr) == AOP_A_ANSWER)
			*answer = nl_number(attr);
	return 0;
}

/**
 * aop_monitor_cancel() - request the cancel of an op by its id
 * @id: whose
 * @reason: negative, handed to the owner; 0 stands for -ECANCELED
 *
 * Blocks while the kernel answers, not for the owner.  Idempotent: the first reason is
 * kept.  Any thread; not a signal handler.
 *
 * Return: enum aop_cancel_answer; -EINVAL: reason is positive; -ENOENT: there is no
 * such op that one may look at; -EACCES: one may look at it, but not cancel it; -ENODEV:
 * the module is not loaded; -EMFILE, -ENFILE, -ENOMEM.
 */
int aop_monitor_cancel(uint64_t id, int reason)
{
	int ret, answer = -EPROTO;

	if (reason > 0)
		return -EINVAL;
	ret = ask(id, AOP_CMD_CANCEL, reason, get_answer, &answer);
	return ret ? ret : answer;
}
