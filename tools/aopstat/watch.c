// SPDX-License-Identifier: GPL-2.0
/*
 * watch.c - a line for each change
 */
#include <errno.h>
#include <string.h>

#include "aopstat.h"

struct watch {
	const struct settings *set;
	struct columns columns;
	uint64_t first;			/* time of the first event */
	uint64_t printed;
};

static void print_header(const struct watch *w)
{
	unsigned int i;

	cell_print(stdout, "TIME", 10, true, false);
	for (i = 0; i < w->columns.n; i++) {
		const struct column *c = w->columns.column[i];

		cell_print(stdout, c->header, c->width, c->right, i == w->columns.n - 1);
	}
	putchar('\n');
}

static void print_time(const struct watch *w, uint64_t time)
{
	printf("%10.3f  ", (time - w->first) / 1e9);
}

static void print_change(const struct watch *w, const struct op *op, uint64_t now)
{
	char text[COLUMN_TEXT];
	unsigned int i;

	print_time(w, now);
	for (i = 0; i < w->columns.n; i++) {
		const struct column *c = w->columns.column[i];
		bool state = column_is_state(c);

		c->text(text, sizeof(text), op, now);
		fputs(state ? colour_of(op) : "", stdout);
		cell_print(stdout, text, c->width, c->right, i == w->columns.n - 1);
		fputs(state ? colour_end() : "", stdout);
	}
	putchar('\n');
}

static int changed(void *data, const struct event *e)
{
	struct watch *w = data;

	if (!w->first)
		w->first = e->time;
	if (e->type == EVENT_OP && !filter_match(&w->set->filter, &e->op, e->time))
		return 0;
	if (w->set->json) {
		json_print_event(stdout, e);
	} else if (e->type == EVENT_OP) {
		print_change(w, &e->op, e->time);
	} else if (e->type == EVENT_LOST) {
		print_time(w, e->time);
		printf("%llu events were lost\n", (unsigned long long)e->lost);
	}
	if (fflush(stdout))
		return -errno;
	w->printed += e->type == EVENT_OP;
	return w->set->count && w->printed >= w->set->count;
}

int cmd_watch(struct settings *s, int argc, char **argv)
{
	struct loop l = { .input = -1 };
	struct watch w = { .set = s };
	int ret;

	(void)argc;
	(void)argv;
	if (columns_parse(&w.columns, s->columns ?:
			  "id,state,progress,result,reason,user,pid,command,label", false))
		return EXIT_USAGE;
	ret = source_open(&l.source, s, FOLLOW, changed, &w);
	if (ret)
		return ret;
	if (!s->no_header && !s->json)
		print_header(&w);
	ret = fflush(stdout) ? -errno : loop_run(&l);
	source_close(l.source);
	return loop_exit(&l, ret);
}
