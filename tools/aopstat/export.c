// SPDX-License-Identifier: GPL-2.0
/*
 * export.c - numbers for Prometheus, in its text format
 *
 * Once: what there is.  With a delay: again and again, into a file that is replaced at
 * once (for node_exporter's textfile collector), and with what only somebody who stays
 * can count: how many have ended, and how long they took.  No ids: each would be a time
 * series of its own.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "label.h"

struct export {
	const struct settings *set;
	struct table table;
	struct labels labels;
	struct loop loop;
	bool counts;			/* it stays */
};

/* Bounds of the buckets, in nanoseconds. */
static const uint64_t bounds[] = {
	100000, 1000000, 10000000, 100000000, 1000000000,
	UINT64_C(10000000000), UINT64_C(100000000000), UINT64_C(1000000000000),
};

/* \, " and the end of line are escaped; other bytes have to be UTF-8. */
static void print_label(FILE *f, const char *name)
{
	char text[4 * AOP_LABEL_SIZE];
	const char *s;

	fputs("label=\"", f);
	for (s = utf8_text(text, sizeof(text), name); *s; s++) {
		if (*s == '\\' || *s == '"')
			fprintf(f, "\\%c", *s);
		else if (*s == '\n')
			fputs("\\n", f);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_states(FILE *f, const char *name, const struct label *l, const uint64_t *of)
{
	unsigned int i;

	for (i = 0; i < AOP_NR_STATES; i++) {
		if (!of[i])
			continue;
		fprintf(f, "%s{", name);
		print_label(f, l->name);
		fprintf(f, ",state=\"%s\"} %llu\n", aop_state_name(i), (unsigned long long)of[i]);
	}
}

static void print_times(FILE *f, const struct label *l)
{
	const struct histogram *h = l->times;
	uint64_t all = histogram_count(h) + histogram_outliers(h);
	size_t i;

	for (i = 0; i <= sizeof(bounds) / sizeof(bounds[0]); i++) {
		fputs("aop_duration_seconds_bucket{", f);
		print_label(f, l->name);
		if (i < sizeof(bounds) / sizeof(bounds[0]))
			fprintf(f, ",le=\"%g\"} %llu\n", bounds[i] / 1e9,
				(unsigned long long)histogram_below(h, bounds[i]));
		else
			fprintf(f, ",le=\"+Inf\"} %llu\n", (unsigned long long)all);
	}
	fputs("aop_duration_seconds_sum{", f);
	print_label(f, l->name);
	fprintf(f, "} %.9g\naop_duration_seconds_count{", histogram_sum(h) / 1e9);
	print_label(f, l->name);
	fprintf(f, "} %llu\n", (unsigned long long)all);
}

static int sum_up(struct export *x, uint64_t now)
{
	struct label *l;
	uint64_t age;
	struct op *op;
	size_t i;

	for (i = 0; i < x->labels.n; i++) {
		memset(x->labels.label[i].now, 0, sizeof(x->labels.label[i].now));
		x->labels.label[i].oldest = 0;
	}
	for (i = 0; i < x->table.size; i++) {
		for (op = x->table.hash[i]; op; op = op->next) {
			if (!filter_match(&x->set->filter, op, now))
				continue;
			l = labels_get(&x->labels, op->label);
			if (!l)
				return -ENOMEM;
			l->now[op->state]++;
			age = op_age(op, now);
			if (!op_is_final(op) && age > l->oldest)
				l->oldest = age;
		}
	}
	return 0;
}

static void print(FILE *f, const struct export *x)
{
	const struct labels *l = &x->labels;
	size_t i;

	head(f, "aop_ops", "gauge", "Operations that there are.");
	for (i = 0; i < l->n; i++)
		print_states(f, "aop_ops", &l->label[i], l->label[i].now);
	head(f, "aop_oldest_seconds", "gauge", "Age of the oldest operation that has not ended.");
	for (i = 0; i < l->n; i++) {
		if (!l->label[i].oldest)
			continue;
		fputs("aop_oldest_seconds{", f);
		print_label(f, l->label[i].name);
		fprintf(f, "} %.9g\n", l->label[i].oldest / 1e9);
	}
	if (!x->counts)
		return;
	head(f, "aop_ended_total", "counter", "Operations that have ended.");
	for (i = 0; i < l->n; i++)
		print_states(f, "aop_ended_total", &l->label[i], l->label[i].ended);
	head(f, "aop_duration_seconds", "histogram", "From creation to end.");
	for (i = 0; i < l->n; i++)
		if (l->label[i].times)
			print_times(f, &l->label[i]);
	head(f, "aop_events_lost_total", "counter", "Changes that were not seen.");
	fprintf(f, "aop_events_lost_total %llu\n", (unsigned long long)x->table.lost);
}

/* A reader sees the old file or the new one. */
static int write_file(const struct export *x, const char *name)
{
	char temporary[4096];
	FILE *f;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", name) >= sizeof(temporary))
		return -ENAMETOOLONG;
	f = fopen(temporary, "we");
	if (!f)
		return -errno;
	print(f, x);
	if (ferror(f) | fclose(f) || rename(temporary, name)) {
		int ret = -(errno ?: EIO);

		unlink(temporary);
		return ret;
	}
	return 0;
}

static int print_all(struct export *x, uint64_t now)
{
	int ret = sum_up(x, now);

	if (ret)
		return ret;
	if (x->set->output && strcmp(x->set->output, "-"))
		return write_file(x, x->set->output);
	print(stdout, x);
	fflush(stdout);
	return 0;
}

static int count(void *data, const struct event *e)
{
	struct export *x = data;
	int ret = 0;

	if (e->type == EVENT_OP && x->table.ready && table_is_end(&x->table, &e->op) &&
	    filter_match(&x->set->filter, &e->op, e->time))
		ret = labels_add(&x->labels, &e->op, false, x->set->max);
	return ret ?: table_event(&x->table, e);
}

static int tick(struct loop *l)
{
	struct export *x = l->data;
	uint64_t now = source_now(l->source);

	/* What its watchers still hold is not told any more. */
	table_expire(&x->table, now, 60 * NSEC_PER_SEC, 60 * NSEC_PER_SEC);
	return x->table.ready ? print_all(x, now) : 0;
}

int cmd_export(struct settings *s, int argc, char **argv)
{
	struct export x = { .set = s, .loop = { .input = -1, .tick = tick } };
	enum source_mode mode = s->delay ? FOLLOW : SNAPSHOT;
	int ret;

	(void)argc;
	(void)argv;
	x.counts = s->delay || s->from;
	x.loop.interval = s->delay;
	x.loop.data = &x;
	if (table_init(&x.table))
		return live_complain(-ENOMEM);
	ret = source_open(&x.loop.source, s, mode, count, &x);
	if (!ret) {
		ret = mode == FOLLOW ? loop_run(&x.loop) : source_run(x.loop.source);
		/* Once, or how it stood in the end. */
		if (!ret)
			ret = print_all(&x, source_now(x.loop.source));
		source_close(x.loop.source);
	}
	labels_free(&x.labels);
	table_free(&x.table);
	return loop_exit(&x.loop, ret);
}
