// SPDX-License-Identifier: GPL-2.0
/*
 * top.c - the table again and again, for files and pipes
 */
#include <errno.h>
#include <string.h>

#include "aopstat.h"

#define KEEP_DONE	(5 * NSEC_PER_SEC)
#define KEEP_FAILED	(15 * NSEC_PER_SEC)

struct top {
	const struct settings *set;
	struct columns columns, sort;
	struct table table;
	struct loop loop;
	uint64_t frames;
};

static int print_frame(struct top *p)
{
	const struct table *t = &p->table;
	uint64_t now = source_now(p->loop.source), of[AOP_NR_STATES] = { 0 };
	struct op **rows;
	long i, n;

	table_expire(&p->table, now, KEEP_DONE, KEEP_FAILED);
	n = table_rows(&p->table, &p->set->filter, &p->sort, now, 0,
		       p->set->rows ?: SIZE_MAX, &rows);
	if (n < 0)
		return n;
	for (i = 0; i < n; i++)
		of[rows[i]->state]++;
	printf("%s%ld ops: %llu running, %llu pending; ", p->frames ? "\n" : "", n,
	       (unsigned long long)of[AOP_RUNNING], (unsigned long long)of[AOP_PENDING]);
	printf("ended: %llu done, %llu failed, %llu cancelled; %llu events lost\n",
	       (unsigned long long)t->ended[AOP_DONE], (unsigned long long)t->ended[AOP_FAILED],
	       (unsigned long long)t->ended[AOP_CANCELLED], (unsigned long long)t->lost);
	if (p->set->rows && (uint64_t)n > p->set->rows)
		n = p->set->rows;
	n = table_print(stdout, rows, n, &p->columns, now, !p->set->no_header);
	free(rows);
	if (n < 0)
		return n;
	if (fflush(stdout))
		return -errno;
	p->frames++;
	return p->set->count && p->frames >= p->set->count;
}

static int to_table(void *data, const struct event *e)
{
	struct top *p = data;
	bool first = e->type == EVENT_READY && !p->table.ready;
	int ret = table_event(&p->table, e);

	/* Not before everything is known. */
	return ret ?: first ? print_frame(p) : 0;
}

static int tick(struct loop *l)
{
	struct top *p = l->data;

	return p->table.ready && p->frames ? print_frame(p) : 0;
}

int cmd_top(struct settings *s, int argc, char **argv)
{
	struct top p = { .set = s, .loop = { .input = -1, .tick = tick } };
	int ret;

	(void)argc;
	(void)argv;
	if (columns_parse(&p.columns, s->columns ?:
			  "id,state,progress,rate,left,age,deadline,watchers,user,pid,command,label",
			  false) ||
	    columns_parse(&p.sort, s->sort ?: "state,-age", true))
		return EXIT_USAGE;
	if (table_init(&p.table))
		return live_complain(-ENOMEM);
	p.loop.data = &p;
	p.loop.interval = s->delay ?: 2 * NSEC_PER_SEC;
	ret = source_open(&p.loop.source, s, FOLLOW, to_table, &p);
	if (!ret) {
		ret = loop_run(&p.loop);
		/* The recording's end. */
		if (!ret && p.loop.ended && !(s->count && p.frames >= s->count))
			print_frame(&p);
		source_close(p.loop.source);
	}
	table_free(&p.table);
	return loop_exit(&p.loop, ret);
}
