// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * monitor.c - the operations of the system, seen from outside: stand-ins
 */
#include <errno.h>

#include "aop/monitor.h"

int aop_monitor_list(const struct aop_filter *f, aop_list_fn *fn, void *data)
{
	(void)f;
	(void)fn;
	(void)data;
	return -ENOSYS;
}

int aop_monitor_get(uint64_t id, struct aop_info *info)
{
	(void)id;
	(void)info;
	return -ENOSYS;
}

int aop_monitor_members(uint64_t id, uint64_t *ids, size_t n)
{
	(void)id;
	(void)ids;
	(void)n;
	return -ENOSYS;
}

int aop_monitor_cancel(uint64_t id, int reason)
{
	(void)id;
	(void)reason;
	return -ENOSYS;
}

int aop_monitor_open(struct aop_monitor **m, const struct aop_monitor_opts *opts,
		     aop_monitor_fn *fn, void *data)
{
	(void)opts;
	(void)fn;
	(void)data;
	*m = NULL;
	return -ENOSYS;
}

void aop_monitor_close(struct aop_monitor *m)
{
	(void)m;
}

int aop_monitor_fd(struct aop_monitor *m)
{
	(void)m;
	return -ENOSYS;
}

int aop_monitor_dispatch(struct aop_monitor *m)
{
	(void)m;
	return -ENOSYS;
}

int aop_monitor_filter(struct aop_monitor *m, const struct aop_filter *f)
{
	(void)m;
	(void)f;
	return -ENOSYS;
}

uint64_t aop_monitor_lost(const struct aop_monitor *m)
{
	(void)m;
	return 0;
}
