// SPDX-License-Identifier: GPL-2.0
/*
 * source_live.c - ops of the system, by way of libaop's monitor
 *
 * What the kernel can leave out it is asked to: less to copy, and an unprivileged user
 * may subscribe to his own only.
 */
#include <aop/monitor.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "aopstat.h"

struct live {
	struct source source;
	struct aop_monitor *monitor;
	struct aop_filter filter;
	char glob[AOP_LABEL_SIZE];	/* filter.label, if there is one */
	bool own;			/* the ops of others may not be followed */
	uint64_t lost;
	uint64_t now;			/* of this dispatch; asking again for each op costs more */
	int said;			/* by fn: that it is enough, or an error */
};

#define to_live(s)	((struct live *)(s))

void op_of_info(struct op *op, const struct aop_info *info)
{
	memset(op, 0, sizeof(*op));
	op->id = info->st.id;
	op->seq = info->st.seq;
	op->state = info->st.state;
	op->flags = info->st.flags;
	op->reason = info->st.reason;
	op->result = info->st.result;
	op->done = info->st.done;
	op->total = info->st.total;
	op->changed = info->st.time;
	op->created = info->created;
	op->started = info->started;
	op->deadline = info->deadline;
	op->parent = info->parent;
	op->watchers = info->watchers;
	op->uid = info->uid;
	op->gid = info->gid;
	op->pid = info->pid;
	op->mode = info->mode;
	op->members = info->members;
	op->need = info->need;
	memcpy(op->label, info->label, sizeof(op->label));
	memcpy(op->command, info->comm, sizeof(op->command));
}

static void pass_on(struct live *l, const struct event *e)
{
	if (!l->said)
		l->said = l->source.fn(l->source.data, e);
}

static void listed(void *data, const struct aop_info *info)
{
	struct live *l = data;
	struct event e;

	e.type = EVENT_OP;
	e.time = l->now;
	e.lost = 0;
	op_of_info(&e.op, info);
	pass_on(l, &e);
}

static void news(void *data, enum aop_news what, const struct aop_info *info)
{
	struct live *l = data;
	struct event e;
	uint64_t lost;

	e.time = l->now;
	e.lost = 0;

	switch (what) {
	case AOP_NEWS_READY:
		e.type = EVENT_READY;
		break;
	case AOP_NEWS_LOST:
		e.type = EVENT_LOST;
		lost = aop_monitor_lost(l->monitor);
		e.lost = lost - l->lost;
		l->lost = lost;
		break;
	default:
		e.type = EVENT_OP;
		op_of_info(&e.op, info);
	}
	pass_on(l, &e);
}

static int live_dispatch(struct source *s)
{
	struct live *l = to_live(s);
	struct event ready = { .type = EVENT_READY };
	int ret;

	l->now = aop_now();
	if (s->mode == SNAPSHOT) {
		ret = aop_monitor_list(&l->filter, listed, l);
		ready.time = aop_now();
		if (ret >= 0)
			pass_on(l, &ready);
		ret = ret < 0 ? ret : 1;
	} else {
		ret = aop_monitor_dispatch(l->monitor);
		ret = ret < 0 ? ret : 0;
	}
	return l->said ?: ret;
}

static uint64_t live_now(const struct source *s)
{
	(void)s;
	return aop_now();
}

static void live_close(struct source *s)
{
	if (to_live(s)->monitor)
		aop_monitor_close(to_live(s)->monitor);
	free(s);
}

/*
 * Of a subscription only what never changes of an op may be left out: otherwise its
 * end, or that it comes of age, would not be told.
 */
static void push_down(struct live *l, const struct filter *f, enum source_mode mode)
{
	struct aop_filter *k = &l->filter;
	uint64_t n;

	*k = (struct aop_filter){ .size = sizeof(*k) };
	if (filter_only(f, KEY_UID, &n)) {
		k->flags |= AOP_FILTER_UID;
		k->uid = n;
	}
	if (filter_only(f, KEY_PID, &n) && n && n <= INT32_MAX)
		k->pid = n;
	if (filter_only(f, KEY_PARENT, &n))
		k->parent = n;
	if (filter_glob(f, l->glob, sizeof(l->glob)))
		k->label = l->glob;
	else
		l->glob[0] = '\0';
	if (mode == SNAPSHOT && filter_states(f))
		k->states = filter_states(f);
	if (l->own && !(k->flags & AOP_FILTER_UID)) {
		k->flags |= AOP_FILTER_UID;
		k->uid = geteuid();
	}
}

static int live_filter(struct source *s, const struct filter *f)
{
	struct live *l = to_live(s), old = *l;
	/* The table counts what it is told from now on as another snapshot. */
	struct event e = { .type = EVENT_LOST, .time = aop_now() };
	int ret;

	push_down(l, f, s->mode);
	if (!memcmp(&l->filter, &old.filter, sizeof(old.filter)) && !strcmp(l->glob, old.glob))
		return 0;
	ret = aop_monitor_filter(l->monitor, &l->filter);
	return ret < 0 ? ret : s->fn(s->data, &e);
}

static const struct source_ops live_ops = {
	.dispatch = live_dispatch,
	.now = live_now,
	.filter = live_filter,
	.close = live_close,
};

int live_complain(int error)
{
	switch (error) {
	case -ENODEV:
	case -ENXIO:
		complain("the module aop is not loaded");
		fprintf(stderr, "Load it: \"modprobe aop\", or \"insmod build/KERNEL/aop.ko\".\n");
		return EXIT_NO_MODULE;
	case -EPERM:
		complain("not permitted: ops of other users are for the privileged");
		return EXIT_NOT_ALLOWED;
	case -EBADMSG:
		/* source_replay.c has said where. */
		return EXIT_SYSTEM;
	case -EPIPE:
		/* Who read what we print has had enough. */
		return EXIT_OK;
	default:
		complain("%s", strerror(-error));
		return status_of(error);
	}
}

int context_complain(int error)
{
	if (error != -EACCES && error != -EPERM)
		return live_complain(error);
	complain("%s: %s", AOP_DEVICE, strerror(-error));
	return EXIT_NOT_ALLOWED;
}

int source_live_open(struct source **s, const struct settings *set, enum source_mode mode)
{
	struct aop_monitor_opts opts = { .size = sizeof(opts) };
	struct live *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return live_complain(-ENOMEM);
	l->source.ops = &live_ops;
	l->source.fd = -1;
	push_down(l, &set->filter, mode);
	opts.filter = &l->filter;
	if (mode == FOLLOW) {
		ret = aop_monitor_open(&l->monitor, &opts, news, l);
		if (ret == -EPERM && !(l->filter.flags & AOP_FILTER_UID)) {
			l->own = true;
			push_down(l, &set->filter, mode);
			ret = aop_monitor_open(&l->monitor, &opts, news, l);
			if (ret >= 0)
				complain("your own ops: those of all users are for the privileged");
		}
		if (ret < 0) {
			free(l);
			return live_complain(ret);
		}
		l->source.fd = aop_monitor_fd(l->monitor);
	}
	*s = &l->source;
	return 0;
}
