// SPDX-License-Identifier: GPL-2.0
/*
 * replay.c - a recording as the live table; where there is no terminal, as lines
 */
#include <unistd.h>

#include "aopstat.h"

int cmd_replay(struct settings *s, int argc, char **argv)
{
	if (argc > 1) {
		complain("one recording at a time: '%s'", argv[1]);
		return EXIT_USAGE;
	}
	s->from = argv[0];
	if (isatty(STDOUT_FILENO))
		return cmd_live(s, 0, NULL);
	return cmd_watch(s, 0, NULL);
}
