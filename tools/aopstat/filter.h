/* SPDX-License-Identifier: GPL-2.0 */
/*
 * filter.h - which ops: the language of -f, and of the line that is typed into the table
 */
#ifndef AOPSTAT_FILTER_H
#define AOPSTAT_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "op.h"

#define FILTER_TERMS	16
#define FILTER_VALUES	8

enum filter_key { KEY_STATE, KEY_ID, KEY_PARENT, KEY_UID, KEY_PID, KEY_AGE, KEY_LABEL, KEY_WORD };
enum filter_test { TEST_IS, TEST_IS_NOT, TEST_LESS, TEST_MORE, TEST_AT_MOST, TEST_AT_LEAST };

struct filter_term {
	enum filter_key key;
	enum filter_test test;
	uint32_t states;		/* bits, for KEY_STATE */
	unsigned int n;
	uint64_t values[FILTER_VALUES];	/* any of them; for text, where in filter.text */
};

/* All terms must hold; none: every op. */
struct filter {
	unsigned int n;
	struct filter_term terms[FILTER_TERMS];
	char text[512];			/* what text values are in */
	size_t used;			/* of that */
};

/* 0; -EINVAL: why says what is wrong. */
int  filter_parse(struct filter *f, const char *text, char *why, size_t size);
/* The same, and what it held before must hold, too.  After an error it is of no use. */
int  filter_add(struct filter *f, const char *text, char *why, size_t size);
bool filter_match(const struct filter *f, const struct op *op, uint64_t now);
/* The bits of states that can match. */
uint32_t filter_states(const struct filter *f);
/* The one value that this key must have: true, and *value. */
bool filter_only(const struct filter *f, enum filter_key key, uint64_t *value);
/* A glob, for those who know no other patterns, that matches at least all labels that can match. */
bool filter_glob(const struct filter *f, char *glob, size_t size);

#endif /* AOPSTAT_FILTER_H */
