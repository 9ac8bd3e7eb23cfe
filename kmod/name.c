// SPDX-License-Identifier: GPL-2.0
/*
 * AOP_IOC_NAME: names of ports.
 */
#include "internal.h"
#include "ioctl.h"
#include "port.h"

/**
 * aop_ioctl_name() - AOP_IOC_NAME
 * @ctx: of the calling process
 * @arg: struct aop_ioc_name
 *
 * Return: -EOPNOTSUPP.
 */
long aop_ioctl_name(struct aop_ctx *ctx, void __user *arg)
{
	return -EOPNOTSUPP;
}
