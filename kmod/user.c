// SPDX-License-Identifier: GPL-2.0
/*
 * How many handles each user holds, over all contexts, and the limit on them.
 *
 * A counter of our own, since that of the kernel's user namespaces is not for
 * modules.  users_lock protects the table of users; counting takes no lock.
 */
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uidgid.h>

#include "internal.h"

static unsigned int max_handles = 1 << 20;
module_param(max_handles, uint, 0644);
MODULE_PARM_DESC(max_handles, "handles that one user may hold");

static DEFINE_HASHTABLE(users, 6);
static DEFINE_SPINLOCK(users_lock);

static struct aop_user *find_get(kuid_t uid)
{
	struct aop_user *user;

	hash_for_each_possible(users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid)) {
			refcount_inc(&user->ref);
			return user;
		}
	return NULL;
}

/**
 * aop_user_get() - the counters of a user
 * @uid: who
 *
 * Context: may sleep.
 * Return: a reference, or NULL without memory.
 */
struct aop_user *aop_user_get(kuid_t uid)
{
	struct aop_user *user, *new;

	new = kzalloc(sizeof(*new), AOP_GFP);
	if (!new)
		return NULL;
	refcount_set(&new->ref, 1);
	new->uid = uid;

	spin_lock_irq(&users_lock);
	user = find_get(uid);
	if (!user)
		hash_add(users, &new->node, __kuid_val(uid));
	spin_unlock_irq(&users_lock);

	if (!user)
		return new;
	kfree(new);
	return user;
}

/**
 * aop_user_again() - one more reference
 * @user: the caller has one
 *
 * Context: any.
 * Return: @user.
 */
struct aop_user *aop_user_again(struct aop_user *user)
{
	refcount_inc(&user->ref);
	return user;
}

/**
 * aop_user_put() - drop a reference
 * @user: not used afterwards
 *
 * Context: any.
 */
void aop_user_put(struct aop_user *user)
{
	unsigned long flags;

	if (!refcount_dec_and_lock_irqsave(&user->ref, &users_lock, &flags))
		return;
	__acquire(&users_lock);		/* by the line above: for sparse */
	hash_del(&user->node);
	spin_unlock_irqrestore(&users_lock, flags);
	kfree(user);
}

/**
 * aop_user_charge() - count handles
 * @user: who holds them
 * @n: how many more
 *
 * Return: how many of them the limit allows; only these were counted.
 */
unsigned int aop_user_charge(struct aop_user *user, unsigned int n)
{
	s64 over = (s64)atomic_add_return(n, &user->handles) - READ_ONCE(max_handles);

	if (likely(over <= 0))
		return n;
	over = min_t(s64, over, n);
	atomic_sub(over, &user->handles);
	return n - over;
}

/**
 * aop_user_uncharge() - undo aop_user_charge()
 * @user: who
 * @n: how many less
 */
void aop_user_uncharge(struct aop_user *user, unsigned int n)
{
	atomic_sub(n, &user->handles);
}
