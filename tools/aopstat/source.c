// SPDX-License-Identifier: GPL-2.0
/*
 * source.c - where ops come from: the system, or a recording
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "aopstat.h"

int source_open(struct source **s, const struct settings *set, enum source_mode mode,
		event_fn *fn, void *data)
{
	int ret;

	*s = NULL;
	if (set->from)
		ret = source_replay_open(s, set, mode);
	else
		ret = source_live_open(s, set, mode);
	if (ret)
		return ret;
	(*s)->mode = mode;
	(*s)->fn = fn;
	(*s)->data = data;
	return 0;
}

void source_close(struct source *s)
{
	if (s)
		s->ops->close(s);
}

int source_fd(const struct source *s)
{
	return s->fd;
}

int source_dispatch(struct source *s)
{
	return s->ops->dispatch(s);
}

uint64_t source_now(const struct source *s)
{
	return s->ops->now(s);
}

int source_filter(struct source *s, const struct filter *f)
{
	return s->ops->filter ? s->ops->filter(s, f) : 0;
}

int source_run(struct source *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	int ret;

	while (!(ret = source_dispatch(s)))
		if (p.fd >= 0)
			poll(&p, 1, -1);
	if (ret > 0)
		return EXIT_OK;
	return live_complain(ret);
}

static int to_table(void *data, const struct event *e)
{
	return table_event(data, e);
}

int source_table(struct table *t, const struct settings *set, uint64_t *now)
{
	struct source *s;
	int ret;

	if (table_init(t)) {
		complain("%s", strerror(ENOMEM));
		return EXIT_SYSTEM;
	}
	ret = source_open(&s, set, SNAPSHOT, to_table, t);
	if (!ret) {
		ret = source_run(s);
		*now = source_now(s);
		source_close(s);
	}
	if (ret)
		table_free(t);
	return ret;
}
