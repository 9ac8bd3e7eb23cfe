// SPDX-License-Identifier: GPL-2.0
/*
 * The module: its parts come up in the order in which they are used, and go in the
 * opposite one.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "internal.h"

static int get_ops(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%u\n", aop_op_count());
}

static const struct kernel_param_ops ops_param = {
	.get = get_ops,
};
module_param_cb(ops, &ops_param, NULL, 0444);
MODULE_PARM_DESC(ops, "how many ops there are");

static struct miscdevice aop_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "aop",
	.fops = &aop_ctx_fops,
	.mode = 0666,
};

static int __init aop_init(void)
{
	int ret = aop_registry_init();

	if (ret)
		return ret;
	ret = aop_op_init();
	if (ret)
		goto registry;
	ret = aop_driver_init();
	if (ret)
		goto op;
	ret = aop_netlink_init();
	if (ret)
		goto driver;
	ret = misc_register(&aop_device);
	if (ret)
		goto netlink;
	aop_debugfs_init();
	aop_kunit_init();
	return 0;
netlink:
	aop_netlink_exit();
driver:
	aop_driver_exit();
op:
	aop_op_exit();
registry:
	aop_registry_exit();
	return ret;
}

/* Every open file holds the module, so no context and no fd of an op is left. */
static void __exit aop_exit(void)
{
	aop_kunit_exit();
	aop_debugfs_exit();
	misc_deregister(&aop_device);
	aop_op_settle();
	aop_netlink_exit();
	aop_driver_exit();
	aop_op_exit();
	aop_registry_exit();
}

module_init(aop_init);
module_exit(aop_exit);

MODULE_DESCRIPTION("Asynchronous operations: one owner, many watchers");
MODULE_LICENSE("GPL");
