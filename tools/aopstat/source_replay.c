// SPDX-License-Identifier: GPL-2.0
/*
 * source_replay.c - events out of a recording
 *
 * A recording is a JSON object per line, as record and watch --json write them: an op
 * with "time_ns", when it was told; {"event":"ready"}; {"event":"lost","count":N}.  What
 * list --json writes is one as well: an op without a time was told when it changed.
 *
 * Played at a speed, the clock begins with the first event; at once (speed 0), the clock
 * is that of the newest event.  At its end the clock stops.
 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "aopstat.h"

#define BUDGET	256

struct replay {
	struct source source;
	FILE *file;
	const char *name;
	char *line;
	size_t size;
	unsigned int number;		/* of the line */
	double speed;
	uint64_t began;			/* on our clock; 0: not yet */
	uint64_t first, last;		/* times in the recording */
	struct event next;
	bool have, ready, ended;
};

#define to_replay(s)	((struct replay *)(s))

static int parse_event(struct replay *r, struct json_object *o)
{
	struct event *e = &r->next;
	struct json_object *v;
	const char *type;

	memset(e, 0, sizeof(*e));
	if (json_object_object_get_ex(o, "time_ns", &v))
		e->time = json_object_get_uint64(v);
	type = json_object_get_string(json_object_object_get(o, "event"));
	if (!type || !strcmp(type, "op")) {
		e->type = EVENT_OP;
		if (json_to_op(o, &e->op))
			return -EINVAL;
		if (!e->time)
			e->time = e->op.changed > r->last ? e->op.changed : r->last;
	} else if (!strcmp(type, "ready")) {
		e->type = EVENT_READY;
	} else if (!strcmp(type, "lost")) {
		e->type = EVENT_LOST;
		e->lost = json_object_get_uint64(json_object_object_get(o, "count"));
	} else {
		return -EINVAL;
	}
	/* Time does not go back. */
	if (e->time < r->last)
		e->time = r->last;
	r->have = true;
	return 0;
}

/* 0: there is one; 1: no more; -errno. */
static int read_event(struct replay *r)
{
	struct json_object *o;
	ssize_t n;
	int ret;

	while (!r->have) {
		n = getline(&r->line, &r->size, r->file);
		if (n < 0)
			return ferror(r->file) ? -EIO : 1;
		r->number++;
		if (r->line[strspn(r->line, " \t\r\n")] == '\0')
			continue;
		o = json_tokener_parse(r->line);
		ret = json_object_is_type(o, json_type_object) ? parse_event(r, o) : -EINVAL;
		json_object_put(o);
		if (ret) {
			/* The last line may have been cut off. */
			if (r->line[n - 1] != '\n')
				return 1;
			complain("%s:%u: this is no event", r->name, r->number);
			return -EBADMSG;
		}
	}
	return 0;
}

static uint64_t replay_now(const struct source *s)
{
	const struct replay *r = to_replay(s);

	if (!r->began || r->speed <= 0 || r->ended)
		return r->last;
	return r->first + (aop_now() - r->began) * r->speed;
}

/* When the next event is due; at once: always. */
static void arm(struct replay *r)
{
	struct itimerspec at = { .it_value.tv_nsec = 1 };
	uint64_t when;

	if (r->have && r->speed > 0) {
		when = r->began + (r->next.time - r->first) / r->speed;
		at.it_value.tv_sec = when / NSEC_PER_SEC;
		at.it_value.tv_nsec = when % NSEC_PER_SEC;
	}
	timerfd_settime(r->source.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static int replay_dispatch(struct source *s)
{
	struct replay *r = to_replay(s);
	struct event ready = { .type = EVENT_READY };
	int i, ret;

	for (i = 0; i < BUDGET; i++) {
		ret = read_event(r);
		r->ended = ret == 1;
		if (ret == 1 && !r->ready) {
			/* One that list has written. */
			r->ready = true;
			ready.time = r->last;
			ret = s->fn(s->data, &ready);
			return ret ?: 1;
		}
		if (ret)
			return ret;
		if (!r->began) {
			r->began = aop_now();
			r->first = r->next.time;
		}
		if (r->speed > 0 && r->next.time > replay_now(s))
			break;
		r->have = false;
		r->last = r->next.time;
		r->ready |= r->next.type == EVENT_READY;
		ret = s->fn(s->data, &r->next);
		if (ret)
			return ret;
	}
	arm(r);
	return 0;
}

static void replay_close(struct source *s)
{
	struct replay *r = to_replay(s);

	if (r->file && r->file != stdin)
		fclose(r->file);
	if (s->fd >= 0)
		close(s->fd);
	free(r->line);
	free(r);
}

static const struct source_ops replay_ops = {
	.dispatch = replay_dispatch,
	.now = replay_now,
	.close = replay_close,
};

int source_replay_open(struct source **s, const struct settings *set, enum source_mode mode)
{
	struct replay *r = calloc(1, sizeof(*r));

	if (r) {
		r->source.ops = &replay_ops;
		r->name = set->from;
		r->speed = mode == FOLLOW ? set->speed : 0;
		r->file = strcmp(set->from, "-") ? fopen(set->from, "re") : stdin;
		r->source.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	}
	if (!r || !r->file || r->source.fd < 0) {
		complain("%s: %s", set->from, strerror(errno));
		if (r)
			replay_close(&r->source);
		return EXIT_SYSTEM;
	}
	arm(r);
	*s = &r->source;
	return 0;
}
