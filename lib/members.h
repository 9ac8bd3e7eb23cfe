/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * members.h - groups that this process decides
 */
#ifndef AOP_MEMBERS_H
#define AOP_MEMBERS_H

#include "internal.h"

/* A group of where, AOP_PRIVATE or AOP_LOCAL; flags: AOP_GROUP_*. */
void members_group(struct aop_group *g, struct aop_member *m, struct op *const *ops, size_t n,
		   size_t need, uint32_t flags, struct aop_ctx *where);

#endif /* AOP_MEMBERS_H */
