// SPDX-License-Identifier: GPL-2.0
/*
 * list.c - what there is now
 */
#include <errno.h>
#include <string.h>

#include "aopstat.h"

int cmd_list(struct settings *s, int argc, char **argv)
{
	struct columns columns, sort;
	struct op **rows = NULL;
	struct table t;
	uint64_t now;
	long i, n;
	int ret;

	(void)argc;
	(void)argv;
	if (columns_parse(&columns, s->columns ?:
			  "id,state,progress,result,age,watchers,user,pid,command,label", false) ||
	    columns_parse(&sort, s->sort ?: "id", true))
		return EXIT_USAGE;
	ret = source_table(&t, s, &now);
	if (ret)
		return ret;
	n = table_rows(&t, &s->filter, &sort, now, 0, s->count ?: SIZE_MAX, &rows);
	if (n < 0) {
		complain("%s", strerror(-n));
		table_free(&t);
		return EXIT_SYSTEM;
	}
	if (s->count && (uint64_t)n > s->count)
		n = s->count;
	if (s->json)
		for (i = 0; i < n; i++)
			json_print_op(stdout, rows[i], now);
	else
		ret = table_print(stdout, rows, n, &columns, now, !s->no_header);
	if (ret)
		ret = live_complain(ret);
	if (t.lost)
		complain("%llu events were lost", (unsigned long long)t.lost);
	free(rows);
	table_free(&t);
	return ret;
}
