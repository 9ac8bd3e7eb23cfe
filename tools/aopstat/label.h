/* SPDX-License-Identifier: GPL-2.0 */
/*
 * label.h - ops summed up by label, for hist and export
 */
#ifndef AOPSTAT_LABEL_H
#define AOPSTAT_LABEL_H

#include "aopstat.h"

/*
 * Labels may have numbers in them, without end: those beyond the first MAX_LABELS are
 * summed up in one, whose name is OTHER_LABELS.
 */
#define MAX_LABELS	1000
#define OTHER_LABELS	"(others)"

struct label {
	char name[AOP_LABEL_SIZE];
	struct histogram *times;	/* of those that have ended; NULL: none */
	uint64_t now[AOP_NR_STATES];	/* how many there are */
	uint64_t ended[AOP_NR_STATES];	/* how many were seen to end */
	uint64_t oldest;		/* age of an open one */
};

struct labels {
	size_t n, size;
	struct label *label;		/* in order of their names */
};

struct label *labels_get(struct labels *l, const char *name);	/* NULL: no memory */
/* One that has ended.  0 or -ENOMEM. */
int  labels_add(struct labels *l, const struct op *op, bool since_start, uint64_t max);
void labels_free(struct labels *l);

#endif /* AOPSTAT_LABEL_H */
