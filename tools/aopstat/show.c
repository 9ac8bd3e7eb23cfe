// SPDX-License-Identifier: GPL-2.0
/*
 * show.c - all about some ops, and what they are made of
 */
#include <aop/monitor.h>
#include <errno.h>
#include <string.h>

#include "aopstat.h"

static void show_json(const struct lookup *l, const struct op *op, uint64_t now)
{
	struct json_line line;
	uint64_t *ids;
	long n;

	json_begin(&line);
	json_op(&line, op, now);
	n = lookup_parts(l, op, &ids);
	json_numbers(&line, "parts", ids, n < 0 ? 0 : n);
	json_end(&line, stdout);
	if (n >= 0)
		free(ids);
}

static int show(const struct settings *s, const struct lookup *l, const char *arg, uint64_t now)
{
	struct op op;
	uint64_t id;
	int ret;

	if (parse_number(arg, &id)) {
		complain("'%s' is no id", arg);
		return EXIT_USAGE;
	}
	ret = lookup_op(l, id, &op);
	if (ret == -ENOENT) {
		complain("there is no op %s that you may look at", arg);
		return EXIT_NOT_FOUND;
	}
	if (ret)
		return live_complain(ret);
	if (s->json)
		show_json(l, &op, now);
	else
		details_print(stdout, l, &op, now, s->ascii);
	return EXIT_OK;
}

int cmd_show(struct settings *s, int argc, char **argv)
{
	struct lookup l = { .system = !s->from };
	uint64_t now = aop_now();
	struct table t;
	int i, ret, all = EXIT_OK;

	if (s->from) {
		ret = source_table(&t, s, &now);
		if (ret)
			return ret;
		l.table = &t;
	}
	for (i = 0; i < argc; i++) {
		if (i && !s->json)
			putchar('\n');
		ret = show(s, &l, argv[i], now);
		all = all ?: ret;
	}
	if (s->from)
		table_free(&t);
	return all;
}
