// SPDX-License-Identifier: GPL-2.0
/*
 * text.c - names, errors, strings of others and colours, as people may see them
 *
 * A label and a command are whatever their process wished: what could steer a terminal,
 * or is no text in the user's locale, is shown escaped.
 */
#include <errno.h>
#include <langinfo.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "aopstat.h"

#define MAX_ERRNO	4095

int parse_number(const char *text, uint64_t *n)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*n = strtoull(text, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

void number_text(char *buf, uint64_t n)
{
	char digits[SIZE_TEXT], *at = digits + sizeof(digits);

	*--at = '\0';
	do
		*--at = '0' + n % 10;
	while (n /= 10);
	memcpy(buf, at, digits + sizeof(digits) - at);
}

const char *rate_text(char *buf, double n)
{
	static const char units[] = " kMGTPE";
	const char *u = units;

	while (n >= 999.5 && u[1]) {
		n /= 1000;
		u++;
	}
	snprintf(buf, SIZE_TEXT, "%.*f%.*s/s", n < 9.995 && u != units ? 1 : 0, n, u != units, u);
	return buf;
}

const char *error_name(int64_t error)
{
	static char number[SIZE_TEXT];
	const char *name = NULL;

	if (error < 0 && error >= -MAX_ERRNO)
		name = strerrorname_np(-error);
	if (name)
		return name;
	snprintf(number, sizeof(number), "%lld", (long long)error);
	return number;
}

int parse_error(const char *text, int *error)
{
	const char *name;
	uint64_t n;
	int i;

	if (!parse_number(text[0] == '-' ? text + 1 : text, &n)) {
		if (!n || n > INT32_MAX)
			return -EINVAL;
		*error = -(int)n;
		return 0;
	}
	for (i = 1; i <= MAX_ERRNO; i++) {
		name = strerrorname_np(i);
		if (!name || (strcasecmp(name, text) && strcasecmp(name + 1, text)))
			continue;
		*error = -i;
		return 0;
	}
	return -EINVAL;
}

/* ---- strings of others ------------------------------------------------------------ */

bool text_is_utf8(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

/* Most strings are: then bytes are columns. */
static bool is_plain(const char *s)
{
	while (*s >= ' ' && *s < 0x7f && *s != '\\')
		s++;
	return !*s;
}

const char *clean(char *buf, size_t size, const char *s)
{
	size_t len = strlen(s), n, at = 0;
	mbstate_t state = { 0 };
	wchar_t wc;

	if (len < size && is_plain(s))
		return memcpy(buf, s, len + 1);
	while (len) {
		n = mbrtowc(&wc, s, len, &state);
		if (n - 1 < len && iswprint(wc) && wcwidth(wc) >= 0 && *s != '\\') {
			if (at + n >= size)
				break;
			memcpy(buf + at, s, n);
			at += n;
		} else {
			memset(&state, 0, sizeof(state));
			n = 1;
			if (at + 4 >= size)
				break;
			if (*s == '\\')
				at += sprintf(buf + at, "\\\\");
			else
				at += sprintf(buf + at, "\\x%02x", (unsigned char)*s);
		}
		s += n;
		len -= n;
	}
	buf[at] = '\0';
	return buf;
}

size_t cut(char *s, size_t columns)
{
	mbstate_t state = { 0 };
	size_t have = 0, n;
	wchar_t wc;
	int w;

	if (is_plain(s)) {
		have = strlen(s);
		if (have <= columns)
			return have;
		s[columns] = '\0';
		return columns;
	}
	while (*s) {
		n = mbrtowc(&wc, s, MB_CUR_MAX, &state);
		w = n + 2 < 3 ? -1 : wcwidth(wc);
		if (w < 0) {
			memset(&state, 0, sizeof(state));
			n = 1;
			w = 1;
		}
		if (have + w > columns) {
			*s = '\0';
			break;
		}
		have += w;
		s += n;
	}
	return have;
}

size_t columns_of(const char *s)
{
	size_t ascii;

	/* Most is: a column each. */
	for (ascii = 0; (signed char)s[ascii] > 0; ascii++)
		;
	/* Cutting nothing off writes nothing. */
	return s[ascii] ? ascii + cut((char *)s + ascii, SIZE_MAX) : ascii;
}

const char *user_name(uint32_t uid)
{
	static struct {
		char name[32];
		uint32_t uid;
		bool known;
	} cache[64];
	const struct passwd *pw;
	unsigned int i = uid % 64;

	if (!cache[i].known || cache[i].uid != uid) {
		pw = getpwuid(uid);
		if (pw)
			clean(cache[i].name, sizeof(cache[i].name), pw->pw_name);
		else
			snprintf(cache[i].name, sizeof(cache[i].name), "%u", uid);
		cache[i].uid = uid;
		cache[i].known = true;
	}
	return cache[i].name;
}

/* ---- colours ------------------------------------------------------------------------ */

bool colours;

void colours_init(enum when when)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

	colours = when == ALWAYS;
	if (when == AUTO)
		colours = isatty(STDOUT_FILENO) && !(none && *none) && term &&
			  strcmp(term, "dumb");
}

const char *colour_of(const struct op *op)
{
	static const char *const of[AOP_NR_STATES] = {
		[AOP_PENDING] = "\033[90m",
		[AOP_RUNNING] = "\033[36m",
		[AOP_DONE] = "\033[32m",
		[AOP_FAILED] = "\033[31m",
		[AOP_CANCELLED] = "\033[33m",
	};

	return colours ? of[op->state] : "";
}

const char *colour_end(void)
{
	return colours ? "\033[m" : "";
}

/* ---- errors --------------------------------------------------------------------------- */

static bool hold;
static char held[512];			/* the last one */

void complain(const char *fmt, ...)
{
	char text[sizeof(held)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (hold) {
		memcpy(held, text, sizeof(held));
		return;
	}
	fflush(stdout);
	fprintf(stderr, "aopstat: %s\n", text);
}

void complaints_hold(bool on)
{
	hold = on;
	if (!on && held[0])
		complain("%s", held);
	held[0] = '\0';
}

int status_of(int error)
{
	switch (error) {
	case 0:
		return EXIT_OK;
	case -ENOENT:
	case -ESRCH:
		return EXIT_NOT_FOUND;
	case -EPERM:
	case -EACCES:
		return EXIT_NOT_ALLOWED;
	case -ETIME:
		return EXIT_TIMEOUT;
	default:
		return EXIT_SYSTEM;
	}
}

int close_output(FILE *f, const char *name)
{
	bool bad = ferror(f);

	errno = 0;
	bad |= fclose(f) != 0;
	if (!bad)
		return 0;
	/* Whoever read it has had enough. */
	if (errno == EPIPE)
		return 0;
	fprintf(stderr, "aopstat: %s: %s\n", name, strerror(errno ? errno : EIO));
	return EXIT_IO;
}
