// SPDX-License-Identifier: GPL-2.0
/*
 * cancel.c - ask the owners of ops to stop
 *
 * By id, without becoming a watcher: an op that nobody watches stays so.
 */
#include <aop/monitor.h>
#include <errno.h>

#include "aopstat.h"

static const char *const answers[] = {
	[AOP_ASKED] = "asked to stop",
	[AOP_STOPPED] = "cancelled",
	[AOP_TOO_LATE] = "has ended already",
};

static int cancel(const char *arg, int reason)
{
	uint64_t id;
	int ret;

	if (parse_number(arg, &id)) {
		complain("'%s' is no id", arg);
		return EXIT_USAGE;
	}
	ret = aop_monitor_cancel(id, reason);
	switch (ret) {
	case AOP_ASKED:
	case AOP_STOPPED:
	case AOP_TOO_LATE:
		printf("%s: %s\n", arg, answers[ret]);
		return EXIT_OK;
	case -ENOENT:
		complain("there is no op %s that you may look at", arg);
		return EXIT_NOT_FOUND;
	case -EACCES:
	case -EPERM:
		complain("you may not cancel op %s", arg);
		return EXIT_NOT_ALLOWED;
	default:
		return live_complain(ret);
	}
}

int cmd_cancel(struct settings *s, int argc, char **argv)
{
	int i, ret, all = EXIT_OK;

	for (i = 0; i < argc; i++) {
		ret = cancel(argv[i], s->reason);
		all = all ?: ret;
	}
	return all;
}
