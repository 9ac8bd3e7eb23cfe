// SPDX-License-Identifier: GPL-2.0
/*
 * hist.c - how long ops took, by label
 */
#include <errno.h>
#include <string.h>

#include "aopstat.h"
#include "label.h"

struct hist {
	const struct settings *set;
	struct labels labels;
	struct table ended;		/* lately, and counted */
	unsigned int ticks;
};

static int count(void *data, const struct event *e)
{
	struct hist *h = data;
	const struct op *op = &e->op;

	if (e->type != EVENT_OP)
		return table_event(&h->ended, e);
	if (!table_is_end(&h->ended, op) || !filter_match(&h->set->filter, op, e->time))
		return 0;
	if (!table_put(&h->ended, op))
		return -ENOMEM;
	return labels_add(&h->labels, op, h->set->since_start, h->set->max);
}

static int tick(struct loop *l)
{
	struct hist *h = l->data;

	if (h->ended.ready)
		table_expire(&h->ended, source_now(l->source), 60 * NSEC_PER_SEC,
			     60 * NSEC_PER_SEC);
	return h->set->delay && h->ticks++;
}

static const double percents[] = { 50, 90, 99, 99.9 };

static void print_json(const struct label *l)
{
	static const char *const names[] = { "p50_ns", "p90_ns", "p99_ns", "p999_ns" };
	struct json_line line;
	size_t i;

	json_begin(&line);
	json_string(&line, "label", l->name);
	json_u64(&line, "count", histogram_count(l->times));
	json_u64(&line, "outliers", histogram_outliers(l->times));
	for (i = 0; i < 4; i++)
		json_u64(&line, names[i], histogram_at(l->times, percents[i]));
	json_u64(&line, "max_ns", histogram_max(l->times));
	json_end(&line, stdout);
}

static void print_text(const struct label *l)
{
	char name[COLUMN_TEXT], text[SIZE_TEXT];
	size_t i;

	printf("%8llu ", (unsigned long long)histogram_count(l->times));
	for (i = 0; i < 4; i++)
		printf(" %7s", duration_text(text, histogram_at(l->times, percents[i])));
	printf(" %7s %8llu  %s\n", duration_text(text, histogram_max(l->times)),
	       (unsigned long long)histogram_outliers(l->times),
	       clean(name, sizeof(name), l->name));
}

static void print(struct hist *h)
{
	size_t i;

	if (!h->set->json && !h->set->no_header)
		printf("%8s  %7s %7s %7s %7s %7s %8s  %s\n", "COUNT", "P50", "P90", "P99",
		       "P99.9", "MAX", "OUTLIERS", "LABEL");
	for (i = 0; i < h->labels.n; i++) {
		if (!h->labels.label[i].times)
			continue;
		if (h->set->json)
			print_json(&h->labels.label[i]);
		else
			print_text(&h->labels.label[i]);
	}
	if (h->ended.lost)
		complain("%llu events were lost", (unsigned long long)h->ended.lost);
}

int cmd_hist(struct settings *s, int argc, char **argv)
{
	struct hist h = { .set = s };
	struct loop l = { .input = -1, .tick = tick, .data = &h };
	struct settings at_once = *s;
	int ret;

	(void)argc;
	(void)argv;
	at_once.speed = 0;
	l.interval = s->delay ?: NSEC_PER_SEC;
	if (table_init(&h.ended))
		return live_complain(-ENOMEM);
	ret = source_open(&l.source, &at_once, FOLLOW, count, &h);
	if (!ret) {
		ret = loop_run(&l);
		source_close(l.source);
		print(&h);
	}
	labels_free(&h.labels);
	table_free(&h.ended);
	return loop_exit(&l, ret);
}
