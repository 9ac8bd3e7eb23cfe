// SPDX-License-Identifier: GPL-2.0
/*
 * label.c - ops summed up by label
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "label.h"

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

struct label *labels_get(struct labels *l, const char *name)
{
	struct label key = { .times = NULL }, *new;
	size_t i;

	snprintf(key.name, sizeof(key.name), "%s", name);
	/* Kept in order, so that finding is quick; new ones are rare. */
	new = l->n ? bsearch(&key, l->label, l->n, sizeof(key), compare) : NULL;
	if (new)
		return new;
	if (l->n >= MAX_LABELS && strcmp(name, OTHER_LABELS))
		return labels_get(l, OTHER_LABELS);
	if (l->n == l->size) {
		new = realloc(l->label, (l->size + 64) * sizeof(*new));
		if (!new)
			return NULL;
		l->label = new;
		l->size += 64;
	}
	for (i = l->n; i && compare(&l->label[i - 1], &key) > 0; i--)
		;
	memmove(&l->label[i + 1], &l->label[i], (l->n - i) * sizeof(key));
	l->label[i] = key;
	l->n++;
	return &l->label[i];
}

int labels_add(struct labels *l, const struct op *op, bool since_start, uint64_t max)
{
	struct label *label = labels_get(l, op->label);
	uint64_t from = since_start ? op->started : op->created;

	if (!label)
		return -ENOMEM;
	label->ended[op->state]++;
	/* It never began. */
	if (!from)
		return 0;
	if (!label->times)
		label->times = histogram_new(max);
	if (!label->times)
		return -ENOMEM;
	histogram_add(label->times, op->changed > from ? op->changed - from : 0);
	return 0;
}

void labels_free(struct labels *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->label[i].times);
	free(l->label);
	memset(l, 0, sizeof(*l));
}
