// SPDX-License-Identifier: GPL-2.0
/*
 * What the fuzzer can call around a context: sources of imports, other processes, netlink,
 * drivers, and the knobs of the module.
 */
#include <linux/aop_netlink.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../driver_call.h"
#include "../file.h"
#include "../sw_sync.h"
#include "values.h"

/* ---- sources ---------------------------------------------------------------- */

long do_source(struct self *s, const uint16_t *a)
{
	int *fd = &s->w->event[a[0] % 6 < 2 ? next(&s->w->events) % FDS :
			       a[1] % among(s->w->events, FDS)];
	struct sw_sync_create c = { .value = a[2] % 4, .name = "fuzz" };
	uint64_t one = value(a[2]);
	uint32_t inc = 1;

	switch (a[0] % 6) {
	case 0:
		take_close(fd, eventfd(a[2] & 1, EFD_CLOEXEC | EFD_NONBLOCK));
		return 0;
	case 1:
		if (s->w->sync >= 0 && !ioctl(s->w->sync, SW_SYNC_CREATE, &c))
			take_close(fd, c.fence);
		return 0;
	case 2:
		return ioctl(s->w->sync, SW_SYNC_INC, &inc);
	case 3:
		take_close(fd, -1);
		return 0;
	case 4:
		return read(*fd, &one, sizeof(one));
	default:
		return write(*fd, &one, sizeof(one));
	}
}

/* ---- other processes ------------------------------------------------------ */

/* One that owns, watches and waits, and is killed, or ends. */
long do_child(struct self *s, const uint16_t *a)
{
	struct abi_ctx c;
	uint64_t h;
	pid_t pid = fork();
	int i;

	if (pid < 0)
		return -errno;
	if (!pid) {
		/* A context of the parent, which is none of ours. */
		abi_query_id(ctx(s, a[0]), id(s, a[1]), &(struct aop_ioc_query) { });
		if (abi_open(&c, 64))
			_exit(1);
		for (i = 0; i < a[2] % 4; i++)
			abi_new(&c, i, AOP_EV_ALL);
		if (!abi_attach_fd(&c, opfd(s, a[1]), 0, 1, AOP_EV_ALL, &h) && a[3] & 1)
			abi_start(&c, h);
		if (!abi_attach_id(&c, id(s, a[1]), 0, 1, AOP_EV_ALL, &h) && a[3] & 2)
			abi_wait_one(&c, h, AOP_EV_FINAL, 0);
		_exit(0);
	}
	if (a[4] & 1)
		usleep(a[4] % 4096);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

/* ---- netlink --------------------------------------------------------------- */

struct message {
	struct nlmsghdr h;
	struct genlmsghdr g;
	char attrs[1024];
};

static void *attr(struct message *m, uint16_t type, const void *data, size_t size)
{
	struct nlattr *a = (void *)((char *)m + NLMSG_ALIGN(m->h.nlmsg_len));

	if ((char *)a + NLA_ALIGN(size) + NLA_HDRLEN > (char *)(m + 1))
		return a;
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + size;
	if (size)
		memcpy(a + 1, data, size);
	m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len) + NLA_ALIGN(a->nla_len);
	return a;
}

static long drain(int fd)
{
	char buf[8192];
	long ret, sum = 0;

	while ((ret = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		sum += ret;
	return sum;
}

static void filter(struct self *s, struct message *m, const uint16_t *a)
{
	struct nlattr *nest = attr(m, AOP_A_FILTER | NLA_F_NESTED, NULL, 0);
	uint32_t word = value(a[4]), bits = a[3];
	uint64_t number = a[4] & 1 ? id(s, a[4]) : (uint64_t)value(a[4]);
	static const char label[] = "fuzz";

	if (bits & 1)
		attr(m, AOP_A_FILTER_STATES, &word, 4);
	if (bits & 2)
		attr(m, AOP_A_FILTER_UID, &(uint32_t) { a[4] & 2 ? word : 0 }, 4);
	if (bits & 4)
		attr(m, AOP_A_FILTER_PID, &(uint32_t) { a[4] & 4 ? word : (uint32_t)getpid() }, 4);
	if (bits & 8)
		attr(m, AOP_A_FILTER_LABEL, label, a[4] % 6);
	if (bits & 16)
		attr(m, AOP_A_FILTER_PARENT, &number, 8);
	if (bits & 32)
		attr(m, AOP_A_FILTER_MIN_AGE, &number, 8);
	if (bits & 64)
		attr(m, AOP_A_FILTER_MAX_AGE, &number, 8);
	if (bits % 31 == 30)
		attr(m, bits >> 5 & 15, &number, bits >> 9 & 7);
	nest->nla_len = (char *)m + m->h.nlmsg_len - (char *)nest;
}

long do_netlink(struct self *s, const uint16_t *a)
{
	int *fd = &s->w->netlink[a[5] & 1];
	struct message m = {
		.h = {
			.nlmsg_type = s->w->family,
			.nlmsg_flags = NLM_F_REQUEST | (a[0] & 16 ? NLM_F_ACK : 0),
			.nlmsg_len = NLMSG_LENGTH(sizeof(struct genlmsghdr)),
		},
		.g = { .cmd = a[0] % 8 ? a[0] % 4 + 1 : a[0] >> 8, .version = 1 },
	};
	int32_t reason = -(a[2] % 5000);

	if (a[0] % 64 == 63) {
		take_close(fd, socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
		return 0;
	}
	if (m.g.cmd == AOP_CMD_GET && a[0] & 32)
		m.h.nlmsg_flags |= NLM_F_DUMP;
	if (a[1] % 8 && !(m.h.nlmsg_flags & NLM_F_DUMP) && m.g.cmd != AOP_CMD_SUBSCRIBE)
		attr(&m, AOP_A_ID, &(uint64_t) { id(s, a[1]) }, 8);
	if (a[2] & 1 && m.g.cmd == AOP_CMD_CANCEL)
		attr(&m, AOP_A_REASON, &reason, 4);
	if (m.g.cmd == AOP_CMD_SUBSCRIBE && a[2] & 2)
		attr(&m, AOP_A_INTERVAL, &(int64_t) { value(a[2]) }, 8);
	if (a[2] & 4 && (m.g.cmd == AOP_CMD_SUBSCRIBE || m.h.nlmsg_flags & NLM_F_DUMP))
		filter(s, &m, a);
	if (a[2] % 64 == 63)
		attr(&m, a[3] % 40, a, a[3] >> 8 & 15);
	if (a[1] % 128 == 127)
		m.h.nlmsg_len -= a[1] >> 7 & 3;
	send(*fd, &m, m.h.nlmsg_len, MSG_DONTWAIT);
	return a[5] & 2 ? 0 : drain(*fd);
}

/* ---- a driver --------------------------------------------------------------- */

long do_driver(struct self *s, const uint16_t *a)
{
	struct world *w = s->w;
	uint8_t *owned = &w->owned[a[1] % 8], *watched = &w->watched[a[1] % 8];
	struct selftest_call c = {
		.index = a[1] % 8, .fd = opfd(s, a[2]), .context = a[3] % 3, .value = value(a[4]),
		.total = a[5], .aop_fd = ctx(s, a[2])->fd, .mask = AOP_EV_ALL,
	};
	static const uint8_t ends[] = {
		SELFTEST_DONE, SELFTEST_FAIL, SELFTEST_CANCELLED, SELFTEST_LET_GO,
	};
	long ret = -EAGAIN;

	/* These two need no owner, and may sleep. */
	if (a[0] % 16 == 14 || a[0] % 16 == 15) {
		c.what = a[0] % 16 == 14 ? SELFTEST_WAIT : SELFTEST_CANCEL;
		c.value = a[0] % 16 == 14 ? (int64_t)abi_now() + a[4] * 10 : -(a[4] % 4000) - 1;
		return call(w->dev, &c);
	}
	pthread_mutex_lock(&w->driver);
	switch (a[0] % 16) {
	case 0 ... 3:
		if (*owned)
			break;
		c.what = SELFTEST_CREATE;
		c.flags = a[3] & (SELFTEST_RUNNING | SELFTEST_DETACHED);
		c.value = a[4] & 1 ? 0 : abi_now() + a[4] * 100;
		ret = call(w->dev, &c);
		if (ret < 0)
			break;
		*owned = 1;
		take_close(&w->opfd[next(&w->opfds) % FDS], ret);
		break;
	case 4 ... 7:
		if (!*owned)
			break;
		c.what = a[0] & 16 ? SELFTEST_START : a[0] & 32 ? SELFTEST_ASKED :
			 SELFTEST_PROGRESS;
		ret = call(w->dev, &c);
		break;
	case 8 ... 9:
		if (!*owned)
			break;
		*owned = 0;
		c.what = ends[a[0] >> 4 & 3];
		if (c.what == SELFTEST_FAIL || c.what == SELFTEST_CANCELLED)
			c.value = -(a[4] % 4000) - 1;
		ret = call(w->dev, &c);
		break;
	case 10:
		if (!*owned)
			break;
		c.what = SELFTEST_HANDLE;
		ret = call(w->dev, &c);
		if (!ret)
			keep(s, a[2], c.total, 0);
		break;
	case 11:
		if (*watched)
			break;
		c.what = SELFTEST_WATCH;
		if (a[2] & 1) {
			c.fd = -1;
			c.value = handle(s, a[2], a[4]);
		}
		c.mask = mask(a[3]);
		ret = call(w->dev, &c);
		*watched = !ret;
		break;
	case 12:
		if (!*watched)
			break;
		*watched = 0;
		c.what = SELFTEST_UNWATCH;
		ret = call(w->dev, &c);
		break;
	case 13:
		c.what = SELFTEST_DESTROY;
		ret = call(w->dev, &c);
		memset(w->owned, 0, sizeof(w->owned));
	}
	pthread_mutex_unlock(&w->driver);
	return ret;
}

/* ---- knobs -------------------------------------------------------------------- */

long do_knob(struct self *s, const uint16_t *a)
{
	static const struct {
		const char *name;
		uint32_t values[4];
	} knob[] = {
		{ "seq_start", { 0, 0xfffffff0, 0x7ffffffe, 2 } },
		{ "ring_start", { 0, 0xfffffff8, 0x7fffffff, 64 } },
		{ "spare_ops", { 0, 1, 64, 8 } },
		{ "max_handles", { 1 << 20, 1 << 20, 40, 1000 } },
	};
	char line[64];

	(void)s;
	if (a[0] % 4 == 0)
		return write_file("/sys/kernel/debug/aop/counters", a[1] & 1 ? "1" : "0");
	if (a[0] % 4 == 1) {
		FILE *f = fopen("/sys/kernel/debug/aop/counters", "re");

		while (f && fgets(line, sizeof(line), f))
			;
		return f ? fclose(f) : -errno;
	}
	return abi_param_set(knob[a[1] % LEN(knob)].name, knob[a[1] % LEN(knob)].values[a[2] % 4]);
}
