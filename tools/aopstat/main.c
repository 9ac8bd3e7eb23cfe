// SPDX-License-Identifier: GPL-2.0
/*
 * main.c - sub-commands and their options
 *
 * An option means the same wherever it is taken.  The help is made from the two tables
 * below, and the completions from the help.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <string.h>

#include "aopstat.h"

static const struct command {
	const char *name;
	const char *arguments;
	const char *options;		/* letters, of the table below */
	const char *help;
	int (*run)(struct settings *s, int argc, char **argv);
} commands[] = {
	{ "live", "", "fosdnCArS", "the live table (what aopstat does without a command)",
	  cmd_live },
	{ "list", "", "fosnjHCAr", "what there is now", cmd_list },
	{ "show", "ID...", "jCAr", "all about some ops, and what they are made of", cmd_show },
	{ "watch", "", "fonjHCArS", "a line for each change", cmd_watch },
	{ "wait", "ID...", "aet", "until ops have ended", cmd_wait },
	{ "cancel", "ID...", "m", "ask the owners of ops to stop", cmd_cancel },
	{ "top", "", "fosndRHCArS", "the table again and again, for files and pipes", cmd_top },
	{ "hist", "", "fdjHrxb", "how long ops took, by label", cmd_hist },
	{ "export", "", "fdwrx", "numbers for Prometheus", cmd_export },
	{ "record", "", "fnw", "write what happens to a file", cmd_record },
	{ "replay", "FILE", "fosdnCAS", "show a recording as the live table", cmd_replay },
	{ "run", "-- COMMAND [ARGUMENT]...", "lDkpi", "run a command as an op", cmd_run },
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

/* Upper-case letters, and those from 'a' on that say so, have no short form. */
static const struct option_help {
	int letter;
	bool is_short;
	const char *name;
	const char *argument;
	const char *help;
} options[] = {
	{ 'f', true, "filter", "FILTER", "only ops that match, see below" },
	{ 'o', true, "columns", "COLUMNS", "what to show, in this order" },
	{ 's', true, "sort", "COLUMNS", "by these; -NAME: backwards" },
	{ 'n', true, "count", "N", "stop after N rows, changes or frames" },
	{ 'd', true, "delay", "TIME", "between two frames, or of the whole" },
	{ 'R', false, "rows", "N", "at most N in a frame" },
	{ 'j', true, "json", NULL, "an object per line" },
	{ 'H', false, "no-header", NULL, "no line above the columns" },
	{ 'C', false, "color", "WHEN", "auto, always or never" },
	{ 'A', false, "ascii", NULL, "no other characters in bars and trees" },
	{ 'r', true, "from", "FILE", "out of a recording, not of the system" },
	{ 'S', false, "speed", "X", "of a recording; 0: at once" },
	{ 'a', false, "any", NULL, "until one of them has ended" },
	{ 'e', false, "all", NULL, "until all of them have (usual)" },
	{ 't', true, "timeout", "TIME", "no longer than this" },
	{ 'm', true, "reason", "ERROR", "an errno's name or number (ECANCELED)" },
	{ 'x', false, "max", "TIME", "longer ones are outliers (1h)" },
	{ 'b', false, "from-start", NULL, "since they were accepted, not created" },
	{ 'w', true, "output", "FILE", "write to FILE" },
	{ 'l', true, "label", "LABEL", "of the op (the command's name)" },
	{ 'D', false, "deadline", "TIME", "the op fails, and the command is ended, then" },
	{ 'k', true, "kill-after", "TIME", "SIGKILL so long after SIGTERM (5s)" },
	{ 'p', true, "progress-fd", "N", "its lines \"42%\" and \"17/100\" are progress" },
	{ 'i', true, "print-id", NULL, "the op's id to standard error" },
};

#define NR_OPTIONS	(sizeof(options) / sizeof(options[0]))

/* ---- help --------------------------------------------------------------------------- */

static void help_filter(void)
{
	printf("\nA filter is words, all of which must hold:\n"
	       "  state=running,pending   also done failed cancelled, open, final\n"
	       "  uid=1000 uid!=root pid=42 id>7 parent=3\n"
	       "  age>10s age<1m30s       since it was created, until it ended\n"
	       "  label=job-*             a glob; label!=...\n"
	       "  word                    the label contains it, in any case\n");
}

static void help_columns(void)
{
	unsigned int i;

	printf("\nColumns:");
	for (i = 0; column_at(i); i++)
		printf("%s%s", i % 10 ? " " : "\n  ", column_at(i)->name);
	printf("\n");
}

static void help_option(const struct option_help *o)
{
	char text[40], letter[3] = { '-', o->letter, '\0' };

	snprintf(text, sizeof(text), "%s%s --%s%s%s", o->is_short ? letter : "  ",
		 o->is_short ? "," : " ", o->name, o->argument ? "=" : "",
		 o->argument ?: "");
	printf("  %-25s %s\n", text, o->help);
}

static void help_command(const struct command *c)
{
	size_t i;

	printf("Usage: aopstat %s [OPTION]...%s%s\n%s\n\n", c->name, *c->arguments ? " " : "",
	       c->arguments, c->help);
	for (i = 0; i < NR_OPTIONS; i++)
		if (strchr(c->options, options[i].letter))
			help_option(&options[i]);
	printf("  %-25s %s\n", "-h, --help", "this text");
	if (strchr(c->options, 'f'))
		help_filter();
	if (strchr(c->options, 'o'))
		help_columns();
}

static void help(void)
{
	size_t i;

	printf("Usage: aopstat [COMMAND] [OPTION]... [ARGUMENT]...\n"
	       "The operations of the system: see them, wait for them, stop them.\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].help);
	printf("\n\"aopstat COMMAND --help\" tells a command's options; aopstat(8) tells all.\n"
	       "\nExit status: 0 ok, 1 an op failed, 2 usage, 3 not found, 4 cancelled,\n"
	       "5 not permitted, 69 module not loaded, 71 or 74 system error, 124 timeout,\n"
	       "130 interrupted.\n");
}

/* ---- options ------------------------------------------------------------------------ */

__attribute__((noreturn, format(printf, 2, 3)))
static void usage(const struct command *c, const char *fmt, ...)
{
	va_list ap;

	fputs("aopstat: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry \"aopstat%s%s --help\".\n", c ? " " : "", c ? c->name : "");
	exit(EXIT_USAGE);
}

static uint64_t number(const struct command *c, const char *name, const char *text, uint64_t max)
{
	uint64_t n;

	if (parse_number(text, &n) || n > max)
		usage(c, "--%s: '%s' is no number", name, text);
	return n;
}

static uint64_t duration(const struct command *c, const char *name, const char *text)
{
	uint64_t ns;

	if (parse_duration(text, &ns) || ns > INT64_MAX / 2)
		usage(c, "--%s: '%s' is no time, such as 1.5s, 200ms or 1m30s", name, text);
	return ns;
}

static double speed(const struct command *c, const char *text)
{
	char *end;
	double x = strtod(text, &end);

	if (end == text || *end || !(x >= 0) || x > 1e9)
		usage(c, "--speed: '%s' is no number", text);
	return x;
}

static enum when when(const struct command *c, const char *text)
{
	if (!strcmp(text, "auto"))
		return AUTO;
	if (!strcmp(text, "always"))
		return ALWAYS;
	if (!strcmp(text, "never"))
		return NEVER;
	usage(c, "--color: '%s' is not auto, always or never", text);
}

static void set_option(struct settings *s, const struct command *c, int letter,
		       const char *name, const char *arg)
{
	char why[128];

	switch (letter) {
	case 'f':
		if (filter_parse(&s->filter, arg, why, sizeof(why)))
			usage(c, "filter: %s", why);
		break;
	case 'o':
		s->columns = arg;
		break;
	case 's':
		s->sort = arg;
		break;
	case 'n':
		s->count = number(c, name, arg, UINT64_MAX);
		break;
	case 'd':
		s->delay = duration(c, name, arg);
		break;
	case 'R':
		s->rows = number(c, name, arg, SIZE_MAX);
		break;
	case 'j':
		s->json = true;
		break;
	case 'H':
		s->no_header = true;
		break;
	case 'C':
		s->colour = when(c, arg);
		break;
	case 'A':
		s->ascii = true;
		break;
	case 'r':
		s->from = arg;
		break;
	case 'S':
		s->speed = speed(c, arg);
		break;
	case 'a':
	case 'e':
		s->any = letter == 'a';
		break;
	case 't':
		s->timeout = duration(c, name, arg);
		break;
	case 'm':
		if (parse_error(arg, &s->reason))
			usage(c, "--reason: there is no error '%s'", arg);
		break;
	case 'x':
		s->max = duration(c, name, arg);
		break;
	case 'b':
		s->since_start = true;
		break;
	case 'w':
		s->output = arg;
		break;
	case 'l':
		if (strlen(arg) >= AOP_LABEL_SIZE)
			usage(c, "--label: at most %d bytes", AOP_LABEL_SIZE - 1);
		s->label = arg;
		break;
	case 'D':
		s->deadline = duration(c, name, arg);
		break;
	case 'k':
		s->grace = duration(c, name, arg);
		break;
	case 'p':
		s->progress_fd = number(c, name, arg, 1023);
		break;
	case 'i':
		s->print_id = true;
		break;
	}
}

/* Returns the index of the first argument. */
static int parse(struct settings *s, const struct command *c, int argc, char **argv)
{
	struct option longs[NR_OPTIONS + 2] = { };
	char shorts[2 * NR_OPTIONS + 8] = "+:h";
	size_t i, n = 0, at = strlen(shorts);
	int letter, which = -1;

	for (i = 0; i < NR_OPTIONS; i++) {
		const struct option_help *o = &options[i];

		if (!strchr(c->options, o->letter))
			continue;
		longs[n++] = (struct option){ o->name, !!o->argument, NULL, o->letter };
		if (!o->is_short)
			continue;
		shorts[at++] = o->letter;
		if (o->argument)
			shorts[at++] = ':';
	}
	longs[n] = (struct option){ "help", no_argument, NULL, 'h' };
	/* Only run has options of somebody else's behind its arguments. */
	if (c->run != cmd_run)
		shorts[0] = ':', memmove(shorts + 1, shorts + 2, strlen(shorts + 1));
	opterr = 0;
	while ((letter = getopt_long(argc, argv, shorts, longs, &which)) != -1) {
		const char *given = argv[optind - 1];

		switch (letter) {
		case 'h':
			help_command(c);
			exit(close_output(stdout, "standard output"));
		case '?':
			if (optopt && optopt < 256 && strncmp(given, "--", 2))
				usage(c, "there is no option -%c", optopt);
			usage(c, "there is no option %s", given);
		case ':':
			usage(c, "%s wants an argument", given);
		default:
			for (i = 0; options[i].letter != letter; i++)
				;
			set_option(s, c, letter, options[i].name, optarg);
		}
	}
	return optind;
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	struct settings s = {
		.speed = 1,
		.timeout = AOP_FOREVER,
		.progress_fd = -1,
		.grace = 5 * NSEC_PER_SEC,
		.max = 3600 * NSEC_PER_SEC,
	};
	const struct command *c = &commands[0];
	int first, ret;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C");
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
			 !strcmp(argv[1], "help"))) {
		help();
		return close_output(stdout, "standard output");
	}
	if (argc > 1 && argv[1][0] != '-') {
		c = find_command(argv[1]);
		if (!c)
			usage(NULL, "there is no command '%s'", argv[1]);
		argc--;
		argv++;
	}
	first = parse(&s, c, argc, argv);
	if (!*c->arguments && first < argc)
		usage(c, "unexpected '%s'", argv[first]);
	if (*c->arguments && first == argc)
		usage(c, "%s is missing", c->arguments);
	colours_init(s.colour);
	bar_ascii(s.ascii);
	ret = c->run(&s, argc - first, argv + first);
	return close_output(stdout, "standard output") ?: ret;
}
