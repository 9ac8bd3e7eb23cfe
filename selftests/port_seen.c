// SPDX-License-Identifier: GPL-2.0
/*
 * Ports and their calls as others see them: in lists, in news, and by aopstat (K6).
 */
#include <aop/monitor.h>
#include <poll.h>

#include "behave.h"
#include "port.h"

FIXTURE(seen) {
	struct abi_ctx s, c;
	uint64_t port;			/* in s, all rights */
	uint64_t call;			/* in c, the right to call */
	struct port_taken t;
};

FIXTURE_SETUP(seen)
{
	ASSERT_EQ(0, abi_open(&self->s, 64));
	ASSERT_EQ(0, abi_open(&self->c, 64));
	self->port = port_new(&self->s, 64);
	ASSERT_NE(0, self->port);
	self->call = share(&self->s, self->port, &self->c, AOP_MAY_CALL, 0);
	ASSERT_NE(0, self->call);
}

FIXTURE_TEARDOWN(seen)
{
	abi_close(&self->c);
	abi_close(&self->s);
}

struct listed {
	uint64_t port, queued, taken;	/* ids */
	int seen;
};

static void see(void *data, const struct aop_info *info)
{
	struct listed *l = data;

	if (info->st.id == l->port && !strcmp(info->label, "port") &&
	    info->st.done == 1 && info->st.total == 2)
		l->seen |= 1;
	if (info->st.id == l->queued && !strcmp(info->label, "port") &&
	    info->st.state == AOP_PENDING)
		l->seen |= 2;
	if (info->st.id == l->taken && !strcmp(info->label, "port") &&
	    info->st.state == AOP_RUNNING)
		l->seen |= 4;
}

/* By netlink too: a port with its backlog, and its calls under its name. */
TEST_F(seen, K6_in_lists)
{
	struct listed l = { .port = abi_id(&self->s, self->port) };

	l.taken = abi_id(&self->c, port_call(&self->c, self->call, NULL, 0, 0));
	l.queued = abi_id(&self->c, port_call(&self->c, self->call, NULL, 0, 0));
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	ASSERT_LE(3, aop_monitor_list(NULL, see, &l));
	EXPECT_EQ(7, l.seen);
}

/* ---- news ------------------------------------------------------------------ */

struct followed {
	struct aop_monitor *m;
	uint64_t port, call;		/* ids; the call's when it is known */
	int ready;
	struct aop_info last_port, last_call;
};

static void follow(void *data, enum aop_news news, const struct aop_info *info)
{
	struct followed *f = data;

	f->ready += news == AOP_NEWS_READY;
	if (info && info->st.id == f->port)
		f->last_port = *info;
	else if (info && !strcmp(info->label, "port"))
		f->last_call = *info;
}

/* Until the port says so, and the last call.  What never comes is a time-out. */
static int until_told(struct followed *f, uint64_t done, uint64_t total, uint32_t state)
{
	struct pollfd p = { .fd = aop_monitor_fd(f->m), .events = POLLIN };
	int ret = 0;

	while (ret >= 0 && (!f->ready || f->last_port.st.done != done ||
			    f->last_port.st.total != total || f->last_call.st.state != state)) {
		if (poll(&p, 1, -1) != 1)
			return -errno;
		ret = aop_monitor_dispatch(f->m);
	}
	return ret < 0 ? ret : 0;
}

/* Each time that its backlog is no longer empty the port is in the news; a call always. */
TEST_F(seen, K6_in_the_news)
{
	struct followed f = { .port = abi_id(&self->s, self->port) };
	uint64_t h, id;
	unsigned int i;

	ASSERT_EQ(0, aop_monitor_open(&f.m, NULL, follow, &f));
	for (i = 0; i < 3; i++) {
		h = port_call(&self->c, self->call, NULL, 0, 0);
		id = abi_id(&self->c, h);
		ASSERT_EQ(0, until_told(&f, i, i + 1, AOP_PENDING));
		EXPECT_EQ(id, f.last_call.st.id);
		ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
		ASSERT_EQ(0, until_told(&f, i, i + 1, AOP_RUNNING));
		EXPECT_EQ(id, f.last_call.st.id);
		ASSERT_EQ(0, port_answer(&self->s, self->t.e[0].handle, 40 + i, NULL, 0));
		ASSERT_EQ(0, until_told(&f, i, i + 1, AOP_DONE));
		EXPECT_EQ(id, f.last_call.st.id);
		EXPECT_EQ(40 + i, f.last_call.st.result);
		ASSERT_EQ(0, abi_detach(&self->c, h, 0));
	}
	aop_monitor_close(f.m);
}

/* ---- aopstat --------------------------------------------------------------- */

/* What it prints, a blank between the words of all lines. */
static int aopstat(char *out, size_t size, const char *arguments)
{
	char command[256];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "build/tools/aopstat %s | tr -s ' \\n' ' '", arguments);
	f = popen(command, "re");
	if (!f)
		return -errno;
	n = fread(out, 1, size - 1, f);
	out[n] = 0;
	return pclose(f) ? -ECHILD : 0;
}

/* The port with its name and backlog, and the calls under that name. */
TEST_F(seen, K6_by_aopstat)
{
	char out[512], want[512];
	uint64_t taken, queued;

	taken = abi_id(&self->c, port_call(&self->c, self->call, NULL, 0, 0));
	queued = abi_id(&self->c, port_call(&self->c, self->call, NULL, 0, 0));
	ASSERT_EQ(1, port_take(&self->s, self->port, &self->t, 1, 0));
	snprintf(want, sizeof(want),
		 "%llu running 1 2 port %llu running 0 - port %llu pending 0 - port ",
		 (unsigned long long)abi_id(&self->s, self->port), (unsigned long long)taken,
		 (unsigned long long)queued);
	ASSERT_EQ(0, aopstat(out, sizeof(out),
			     "list --no-header -s id -o id,state,done,total,label -f label=port"));
	EXPECT_STREQ(want, out[0] == ' ' ? out + 1 : out);
	snprintf(want, sizeof(want), "list --no-header -o label -f id=%llu",
		 (unsigned long long)queued);
	ASSERT_EQ(0, aopstat(out, sizeof(out), want));
	EXPECT_STREQ("port ", out);
}

TEST_HARNESS_MAIN
