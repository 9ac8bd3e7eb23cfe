// SPDX-License-Identifier: GPL-2.0
/*
 * filter.c - the filter language
 *
 *	filter:	term...				all of them must hold
 *	term:	key test value[,value...]	any of the values
 *	      | word				the label contains it, or matches it as a glob
 *	key:	state | id | parent | uid | pid | age | label
 *	test:	= | != | < | > | <= | >=	(state and label: = and != only)
 *
 * A word is in any case of letters.  Depends on struct op and parse_duration() alone.
 */
#include <errno.h>
#include <fnmatch.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aopstat.h"

#define STATES_ALL	((1u << AOP_NR_STATES) - 1)
#define STATES_OPEN	(1u << AOP_PENDING | 1u << AOP_RUNNING)

static const char *const keys[] = {
	[KEY_STATE] = "state",
	[KEY_ID] = "id",
	[KEY_PARENT] = "parent",
	[KEY_UID] = "uid",
	[KEY_PID] = "pid",
	[KEY_AGE] = "age",
	[KEY_LABEL] = "label",
};

static const struct {
	const char *name;
	uint32_t states;
} states[] = {
	{ "pending", 1u << AOP_PENDING },
	{ "running", 1u << AOP_RUNNING },
	{ "done", 1u << AOP_DONE },
	{ "failed", 1u << AOP_FAILED },
	{ "cancelled", 1u << AOP_CANCELLED },
	{ "open", STATES_OPEN },
	{ "final", STATES_ALL & ~STATES_OPEN },
};

static int parse_u64(const char *text, uint64_t *n)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*n = strtoull(text, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

static int parse_uid(const char *text, uint64_t *uid)
{
	const struct passwd *pw;

	if (!parse_u64(text, uid))
		return *uid >= UINT32_MAX ? -EINVAL : 0;
	pw = getpwnam(text);
	if (!pw)
		return -EINVAL;
	*uid = pw->pw_uid;
	return 0;
}

static int parse_state(struct filter_term *t, const char *text)
{
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(states[i].name, text))
			continue;
		t->states |= states[i].states;
		return 0;
	}
	return -EINVAL;
}

static int parse_value(struct filter *f, struct filter_term *t, const char *text)
{
	if (t->key != KEY_LABEL && !*text)
		return -EINVAL;
	switch (t->key) {
	case KEY_STATE:
		return parse_state(t, text);
	case KEY_UID:
		return parse_uid(text, &t->values[t->n]);
	case KEY_AGE:
		return parse_duration(text, &t->values[t->n]);
	case KEY_LABEL:
		t->values[t->n] = text - f->text;
		return 0;
	default:
		return parse_u64(text, &t->values[t->n]);
	}
}

/* Where the test begins, or NULL: a word.  Cuts the key off there. */
static char *find_test(char *text, enum filter_test *test)
{
	char *at = strpbrk(text, "!=<>");
	bool equal;
	char c;

	if (!at || (*at == '!' && at[1] != '='))
		return NULL;
	c = *at;
	equal = c != '=' && at[1] == '=';
	*at = '\0';
	switch (c) {
	case '!':
		*test = TEST_IS_NOT;
		break;
	case '<':
		*test = equal ? TEST_AT_MOST : TEST_LESS;
		break;
	case '>':
		*test = equal ? TEST_AT_LEAST : TEST_MORE;
		break;
	default:
		*test = TEST_IS;
	}
	return at + 1 + equal;
}

static int parse_term(struct filter *f, char *text, char *why, size_t size)
{
	struct filter_term *t = &f->terms[f->n];
	char *value = find_test(text, &t->test), *next;
	unsigned int k;

	if (!value) {
		t->key = KEY_WORD;
		t->test = TEST_IS;
		t->values[0] = text - f->text;
		t->n = 1;
		return 0;
	}
	for (k = 0; k < sizeof(keys) / sizeof(keys[0]) && strcmp(keys[k], text); k++)
		;
	if (k == sizeof(keys) / sizeof(keys[0])) {
		snprintf(why, size, "there is no '%s': state, id, parent, uid, pid, age, label",
			 text);
		return -EINVAL;
	}
	t->key = k;
	if ((t->key == KEY_STATE || t->key == KEY_LABEL) && t->test > TEST_IS_NOT) {
		snprintf(why, size, "%s can only be compared with = and !=", text);
		return -EINVAL;
	}
	for (; value; value = next) {
		next = strchr(value, ',');
		if (next)
			*next++ = '\0';
		if (t->n == FILTER_VALUES || (t->n && t->test > TEST_IS_NOT)) {
			snprintf(why, size, "%s: too many values", text);
			return -EINVAL;
		}
		if (parse_value(f, t, value)) {
			snprintf(why, size, "%s cannot be '%s'", text, value);
			return -EINVAL;
		}
		t->n++;
	}
	return 0;
}

int filter_add(struct filter *f, const char *text, char *why, size_t size)
{
	char *to = f->text + f->used, *term, *save;

	if (strlen(text) >= sizeof(f->text) - f->used) {
		snprintf(why, size, "the filter is too long");
		return -EINVAL;
	}
	strcpy(to, text);
	f->used += strlen(text) + 1;
	for (term = strtok_r(to, " \t\n", &save); term;
	     term = strtok_r(NULL, " \t\n", &save)) {
		if (f->n == FILTER_TERMS) {
			snprintf(why, size, "the filter has too many terms");
			return -EINVAL;
		}
		if (parse_term(f, term, why, size))
			return -EINVAL;
		f->n++;
	}
	return 0;
}

int filter_parse(struct filter *f, const char *text, char *why, size_t size)
{
	memset(f, 0, sizeof(*f));
	return filter_add(f, text, why, size);
}

static bool compare(enum filter_test test, uint64_t have, uint64_t want)
{
	switch (test) {
	case TEST_LESS:
		return have < want;
	case TEST_MORE:
		return have > want;
	case TEST_AT_MOST:
		return have <= want;
	case TEST_AT_LEAST:
		return have >= want;
	default:
		return have == want;
	}
}

static bool match_number(const struct filter_term *t, uint64_t have)
{
	unsigned int i;

	for (i = 0; i < t->n; i++)
		if (compare(t->test, have, t->values[i]))
			return true;
	return false;
}

static bool match_label(const struct filter *f, const struct filter_term *t, const char *label)
{
	unsigned int i;

	for (i = 0; i < t->n; i++)
		if (!fnmatch(f->text + t->values[i], label, 0))
			return true;
	return false;
}

static bool match_word(const char *word, const char *label)
{
	if (!strpbrk(word, "*?["))
		return strcasestr(label, word);
	return !fnmatch(word, label, FNM_CASEFOLD);
}

static bool match_term(const struct filter *f, const struct filter_term *t, const struct op *op,
		       uint64_t now)
{
	bool is;

	switch (t->key) {
	case KEY_STATE:
		is = t->states >> op->state & 1;
		break;
	case KEY_ID:
		is = match_number(t, op->id);
		break;
	case KEY_PARENT:
		is = match_number(t, op->parent);
		break;
	case KEY_UID:
		is = match_number(t, op->uid);
		break;
	case KEY_PID:
		is = match_number(t, op->pid);
		break;
	case KEY_AGE:
		is = match_number(t, op_age(op, now));
		break;
	case KEY_LABEL:
		is = match_label(f, t, op->label);
		break;
	default:
		is = match_word(f->text + t->values[0], op->label);
	}
	return is != (t->test == TEST_IS_NOT);
}

bool filter_match(const struct filter *f, const struct op *op, uint64_t now)
{
	unsigned int i;

	for (i = 0; i < f->n; i++)
		if (!match_term(f, &f->terms[i], op, now))
			return false;
	return true;
}

uint32_t filter_states(const struct filter *f)
{
	uint32_t can = STATES_ALL;
	unsigned int i;

	for (i = 0; i < f->n; i++)
		if (f->terms[i].key == KEY_STATE)
			can &= f->terms[i].test == TEST_IS ? f->terms[i].states :
							     ~f->terms[i].states;
	return can;
}

bool filter_only(const struct filter *f, enum filter_key key, uint64_t *value)
{
	unsigned int i;

	for (i = 0; i < f->n; i++) {
		const struct filter_term *t = &f->terms[i];

		if (t->key != key || t->test != TEST_IS || t->n != 1)
			continue;
		*value = t->values[0];
		return true;
	}
	return false;
}

/*
 * A pattern for the kernel, which matches bytes: it may let more through, but nothing less.
 * Classes, escapes, and the letters of a word in any case are the same in plain ASCII only.
 */
static bool kernel_glob(const char *text, bool word, char *glob, size_t size)
{
	const char *whole = word && !strpbrk(text, "*?[") ? "*" : "";
	size_t len = strlen(whole);

	strcpy(glob, whole);
	for (; *text; text++) {
		unsigned char c = *text, other = c ^ ('a' ^ 'A');
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (len + 6 > size || strchr("[]\\", c) || (word && (c < ' ' || c > '~')))
			return false;
		if (word && letter)
			len += sprintf(glob + len, "[%c%c]", c, other);
		else
			/* One character may be several bytes. */
			len += sprintf(glob + len, "%c", c == '?' ? '*' : c);
	}
	strcpy(glob + len, whole);
	return true;
}

bool filter_glob(const struct filter *f, char *glob, size_t size)
{
	uint64_t at;
	unsigned int i;

	if (filter_only(f, KEY_LABEL, &at) && kernel_glob(f->text + at, false, glob, size))
		return true;
	for (i = 0; i < f->n; i++)
		if (f->terms[i].key == KEY_WORD &&
		    kernel_glob(f->text + f->terms[i].values[0], true, glob, size))
			return true;
	return false;
}
