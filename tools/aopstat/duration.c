// SPDX-License-Identifier: GPL-2.0
/*
 * duration.c - "1.5s", "3m07s": nanoseconds as people read and write them
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aopstat.h"

#define MINUTE	(60 * NSEC_PER_SEC)
#define HOUR	(60 * MINUTE)
#define DAY	(24 * HOUR)

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
	/* What begins another's name comes after it. */
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", NSEC_PER_SEC },
	{ "m", MINUTE },
	{ "h", HOUR },
	{ "d", DAY },
};

/* Three digits: 1.23, 12.3, 123. */
static const char *three(char *buf, double n, const char *unit)
{
	snprintf(buf, SIZE_TEXT, "%.*f%s", n < 9.995 ? 2 : n < 99.95 ? 1 : 0, n, unit);
	return buf;
}

const char *duration_text(char *buf, uint64_t ns)
{
	unsigned long long n = ns;

	if (n < 1000)
		snprintf(buf, SIZE_TEXT, "%lluns", n);
	else if (n < 999500)
		return three(buf, n / 1e3, "us");
	else if (n < 999500000)
		return three(buf, n / 1e6, "ms");
	else if (n < MINUTE)
		snprintf(buf, SIZE_TEXT, "%.1fs", n / 100000000 / 10.0);
	else if (n < HOUR)
		snprintf(buf, SIZE_TEXT, "%llum%02llus", n / MINUTE, n % MINUTE / NSEC_PER_SEC);
	else if (n < DAY)
		snprintf(buf, SIZE_TEXT, "%lluh%02llum", n / HOUR, n % HOUR / MINUTE);
	else
		snprintf(buf, SIZE_TEXT, "%llud%02lluh", n / DAY, n % DAY / HOUR);
	return buf;
}

int parse_duration(const char *text, uint64_t *ns)
{
	double n, sum = 0;
	uint64_t unit;
	char *end;
	size_t i;

	do {
		/* No sign, no "inf", no hexadecimal digits. */
		if (!strchr("0123456789.", *text) || text[strspn(text, "0123456789.")] == 'x')
			return -EINVAL;
		n = strtod(text, &end);
		if (end == text)
			return -EINVAL;
		text = end;
		unit = NSEC_PER_SEC;
		for (i = 0; *text && i < sizeof(units) / sizeof(units[0]); i++) {
			if (strncmp(text, units[i].name, strlen(units[i].name)))
				continue;
			unit = units[i].ns;
			text += strlen(units[i].name);
			break;
		}
		/* Without a unit, seconds; and then nothing may follow. */
		if (text == end && *text)
			return -EINVAL;
		sum += n * unit;
	} while (*text);
	if (sum >= INT64_MAX)
		return -EINVAL;
	*ns = sum;
	return 0;
}
