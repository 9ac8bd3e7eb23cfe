/* SPDX-License-Identifier: GPL-2.0 */
/*
 * op.h - an operation as aopstat has seen it last
 */
#ifndef AOPSTAT_OP_H
#define AOPSTAT_OP_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/aop.h>

struct op {
	uint64_t id, parent;
	uint32_t seq;
	uint8_t state, flags;		/* enum aop_state, AOP_F_* */
	int32_t reason;
	int64_t result;
	uint64_t done, total;
	uint64_t created, started, changed, deadline;	/* started, deadline: 0: none */
	uint32_t watchers, uid, gid, mode, members, need;
	int32_t pid;			/* 0: not to be seen from here */
	char label[AOP_LABEL_SIZE];
	char command[16];		/* of pid, when it opened the device */

	/* table.c's */
	struct op *next;
	uint64_t round;			/* snapshot in which, or after which, it was seen */
	double rate;			/* of progress in a second; 0: not known */
	uint64_t rate_time, rate_done;
};

static inline bool op_is_final(const struct op *op)
{
	return op->state >= AOP_DONE;
}

static inline uint64_t op_age(const struct op *op, uint64_t now)
{
	uint64_t end = op_is_final(op) ? op->changed : now;

	return end > op->created ? end - op->created : 0;
}

#endif /* AOPSTAT_OP_H */
