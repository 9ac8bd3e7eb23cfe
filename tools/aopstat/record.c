// SPDX-License-Identifier: GPL-2.0
/*
 * record.c - what happens, to a file
 *
 * Lines as watch --json prints them, of all ops: filters are for whoever looks at them.
 * What does not change of an op is repeated in each line, so that a recording can be cut
 * anywhere, and grep finds things in it.
 */
#include <errno.h>
#include <string.h>

#include "aopstat.h"

struct record {
	const struct settings *set;
	FILE *file;
	uint64_t events, lost;
};

static int write_event(void *data, const struct event *e)
{
	struct record *r = data;

	if (e->type == EVENT_OP && !filter_match(&r->set->filter, &e->op, e->time))
		return 0;
	json_print_event(r->file, e);
	r->events += e->type == EVENT_OP;
	if (e->type == EVENT_LOST)
		r->lost += e->lost;
	if (ferror(r->file))
		return -EIO;
	return r->set->count && r->events >= r->set->count;
}

/* Somebody may be reading it already. */
static int flush(struct loop *l)
{
	struct record *r = l->data;

	return fflush(r->file) ? -errno : 0;
}

int cmd_record(struct settings *s, int argc, char **argv)
{
	struct record r = { .set = s, .file = stdout };
	struct loop l = {
		.input = -1,
		.interval = NSEC_PER_SEC / 4,
		.tick = flush,
		.data = &r,
	};
	int ret, bad = 0;

	(void)argc;
	(void)argv;
	if (s->output && strcmp(s->output, "-"))
		r.file = fopen(s->output, "we");
	if (!r.file) {
		complain("%s: %s", s->output, strerror(errno));
		return EXIT_IO;
	}
	ret = source_open(&l.source, s, FOLLOW, write_event, &r);
	if (!ret) {
		ret = loop_run(&l);
		source_close(l.source);
	}
	if (r.file != stdout) {
		bad = close_output(r.file, s->output);
		fprintf(stderr, "%llu changes recorded, %llu lost\n",
			(unsigned long long)r.events, (unsigned long long)r.lost);
	}
	return loop_exit(&l, ret ?: bad);
}
