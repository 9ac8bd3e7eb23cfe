// SPDX-License-Identifier: GPL-2.0
/*
 * Sources: who makes ops in the kernel, and what becomes of them when it goes.
 *
 * A source is the home of its ops, with the list of those that are still owned.  It
 * holds no module; what pins one is a cancel callback from before its work item is
 * queued until that has returned (owner.c).
 *
 * Locks: see owner.h.  sources_lock, a mutex: the list of all sources; outside of all
 * others.
 */
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/slab.h>

#include "internal.h"
#include "owner.h"
#include "signalling.h"

static LIST_HEAD(sources);
static DEFINE_MUTEX(sources_lock);

/**
 * __aop_source_create() - aop_source_create(), for a module
 * @module: of the driver
 * @cred: whose ops they are
 *
 * Context: may sleep.
 * Return: the source; ERR_PTR(-ENOMEM).
 */
struct aop_source *__aop_source_create(struct module *module, const struct cred *cred)
{
	struct aop_source *source = kzalloc(sizeof(*source), AOP_GFP);

	if (!source)
		return ERR_PTR(-ENOMEM);
	source->home = aop_home_create(cred);
	if (IS_ERR(source->home)) {
		kfree(source);
		return ERR_PTR(-ENOMEM);
	}
	source->module = module;
	refcount_set(&source->ref, 1);
	init_completion(&source->gone);
	INIT_HLIST_HEAD(&source->owners);
	mutex_lock(&sources_lock);
	list_add(&source->all, &sources);
	mutex_unlock(&sources_lock);
	return source;
}
EXPORT_SYMBOL_GPL(__aop_source_create);

/* ---- drivers that go --------------------------------------------------- */

/* Ends what the driver has not.  Returns how many that were. */
static unsigned int end_rest(struct aop_source *source, bool gone)
{
	struct aop_home *home = source->home;
	struct aop_run run AOP_UNINIT;
	struct aop_owner *owner;
	unsigned int nr = 0;
	struct aop *op;
	bool idle;
	int ret;

	for (;;) {
		aop_run_begin(&run);
		aop_run_lock(&run, home);
		source->closed = true;
		if (hlist_empty(&source->owners))
			break;
		owner = hlist_entry(source->owners.first, struct aop_owner, node);
		op = aop_get(owner->op);
		idle = !owner->busy;
		if (idle) {
			if (gone)
				owner->ops = &aop_no_owner_ops;
			aop_owner_end_locked(&run, owner, AOP_FAILED, AOP_F_SYSTEM,
					     -EOWNERDEAD, &ret);
			nr++;
		} else if (!hlist_unhashed(&owner->hook.node)) {
			/* This cancel is the last one.  It may well end the op. */
			aop_unhook_locked(op, &owner->hook);
		}
		aop_run_end(&run);
		if (idle)
			aop_owner_release(owner);
		else
			flush_work(&owner->work);
		aop_put(op);
		cond_resched();
	}
	aop_run_end(&run);
	return nr;
}

static void drain(struct aop_source *source)
{
	/* Callbacks of its ops, and who is just ending one, may need any lock of theirs. */
	aop_might_wait();
	might_sleep();
	if (source->drained)
		return;
	source->drained = true;
	aop_source_put(source);
	wait_for_completion(&source->gone);
}

/**
 * aop_source_drain() - wait until a driver has ended all ops of a source
 * @source: gives no more ops; only to be destroyed
 *
 * For the driver that has made sure that they will be ended, but not that whoever does
 * so is not just at it.  When this returns, no callback of an op of this source runs
 * or will be called.
 *
 * Context: may sleep; not in a callback of an op of the source, nor in a section
 * of aop_begin_signalling().
 */
void aop_source_drain(struct aop_source *source)
{
	spin_lock_irq(&source->home->lock);
	source->closed = true;
	spin_unlock_irq(&source->home->lock);
	drain(source);
}
EXPORT_SYMBOL_GPL(aop_source_drain);

static void destroy(struct aop_source *source, bool gone)
{
	unsigned int nr;

	/* To the driver these have ended: they are not what it has left. */
	aop_owner_flush_late();
	nr = end_rest(source, gone);
	if (nr)
		pr_warn("aop: %s has left %u operations unfinished: they fail now\n",
			module_name(source->module), nr);
	drain(source);
	aop_home_put(source->home, 1);
	kfree(source);
}

/**
 * aop_source_destroy() - a driver has no more ops for a user
 * @source: not used afterwards
 *
 * The driver has ended all of them, and nothing of it that could end one runs any
 * more: see aop_source_drain().  What it has forgotten fails with -EOWNERDEAD, by the
 * system, and one line in the log says so.  When this returns, no callback of an op of
 * this source runs or will be called.
 *
 * Context: as aop_source_drain().
 */
void aop_source_destroy(struct aop_source *source)
{
	mutex_lock(&sources_lock);
	list_del(&source->all);
	mutex_unlock(&sources_lock);
	destroy(source, false);
}
EXPORT_SYMBOL_GPL(aop_source_destroy);

/* Comes after the module's exit function, and before its memory is freed. */
static int module_changed(struct notifier_block *nb, unsigned long event, void *data)
{
	struct aop_source *source, *next;
	LIST_HEAD(left);

	if (event != MODULE_STATE_GOING)
		return NOTIFY_DONE;
	mutex_lock(&sources_lock);
	list_for_each_entry_safe(source, next, &sources, all)
		if (source->module == data)
			list_move(&source->all, &left);
	mutex_unlock(&sources_lock);
	list_for_each_entry_safe(source, next, &left, all)
		destroy(source, true);
	return NOTIFY_OK;
}

static struct notifier_block module_notifier = {
	.notifier_call = module_changed,
};

int __init aop_driver_init(void)
{
	return register_module_notifier(&module_notifier);
}

/* Drivers use symbols of this module: none is left. */
void aop_driver_exit(void)
{
	unregister_module_notifier(&module_notifier);
}
