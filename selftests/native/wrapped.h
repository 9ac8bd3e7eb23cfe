/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program is linked to that wraps calls of the library's: see Makefile.
 */
#ifndef SELFTESTS_NATIVE_WRAPPED_H
#define SELFTESTS_NATIVE_WRAPPED_H

#include <sys/socket.h>
#include <sys/types.h>

#include <aop.h>

int __real_memfd_create(const char *name, unsigned int flags);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__real_calloc(size_t n, size_t size);
ssize_t __real_sendmsg(int sock, const struct msghdr *msg, int flags);
int __real_aop_init(struct aop *op, struct aop_ctx *where);
int __real_aop_start(struct aop_owner *o);
int __real_aop_watch(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
		     struct aop_exec *where);
int __real_aop_cancel(struct aop *op, int reason);
int __real_aop_done(struct aop_owner *o, int64_t result);

#endif /* SELFTESTS_NATIVE_WRAPPED_H */
