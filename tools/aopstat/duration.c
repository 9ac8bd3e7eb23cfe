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

/* n is less than 10^digits: with leading zeros. */
static char *add_digits(char *at, uint64_t n, unsigned int digits)
{
	unsigned int i;

	for (i = digits; i; i--, n /= 10)
		at[i - 1] = '0' + n % 10;
	return at + digits;
}

static char *add_number(char *at, uint64_t n)
{
	number_text(at, n);
	return at + strlen(at);
}

/* Three digits: 1.23, 12.3, 123.  Not printf(): every row of a table has some of these. */
static const char *three(char *buf, uint64_t ns, uint64_t unit, const char *name)
{
	uint64_t hundredths = (100 * ns + unit / 2) / unit;
	char *at;

	if (hundredths < 1000) {
		at = add_number(buf, hundredths / 100);
		*at++ = '.';
		at = add_digits(at, hundredths % 100, 2);
	} else if (20 * ns < 1999 * unit) {
		hundredths = (10 * ns + unit / 2) / unit;
		at = add_number(buf, hundredths / 10);
		*at++ = '.';
		at = add_digits(at, hundredths % 10, 1);
	} else {
		at = add_number(buf, (ns + unit / 2) / unit);
	}
	strcpy(at, name);
	return buf;
}

static const char *two(char *buf, uint64_t n, char big, uint64_t rest, char small)
{
	char *at = add_number(buf, n);

	*at++ = big;
	at = add_digits(at, rest, 2);
	*at++ = small;
	*at = '\0';
	return buf;
}

const char *duration_text(char *buf, uint64_t ns)
{
	char *at;

	if (ns < 1000) {
		strcpy(add_number(buf, ns), "ns");
		return buf;
	}
	if (ns < 999500)
		return three(buf, ns, 1000, "us");
	if (ns < 999500000)
		return three(buf, ns, 1000000, "ms");
	if (ns < MINUTE) {
		at = add_number(buf, ns / NSEC_PER_SEC);
		*at++ = '.';
		at = add_digits(at, ns / (NSEC_PER_SEC / 10) % 10, 1);
		strcpy(at, "s");
		return buf;
	}
	if (ns < HOUR)
		return two(buf, ns / MINUTE, 'm', ns % MINUTE / NSEC_PER_SEC, 's');
	if (ns < DAY)
		return two(buf, ns / HOUR, 'h', ns % HOUR / MINUTE, 'm');
	return two(buf, ns / DAY, 'd', ns % DAY / HOUR, 'h');
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
