// SPDX-License-Identifier: GPL-2.0
/*
 * A driver whose user says what it does: see aop_selftest.h.  Only for the tests and
 * the benchmark; it trusts them.
 *
 * A file's owners and watches are in places, changed under its mutex; callbacks only
 * count in their place.  Calls that wait (WAIT, UNWATCH, the gate) are without it.
 */
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include <linux/aop.h>

#include "../compat.h"
#include "aop_selftest.h"

struct owned {
	struct aop_owner *owner;
	u32 flags;
	u32 why;
	atomic_t cancels;
	atomic_t releases;
};

struct watched {
	struct aop_watch watch;
	struct seen *seen;
};

struct seen {
	struct watched *watched;
	u32 flags;
	u32 word;
	u32 seq;
	u32 repeats;
	atomic_t calls;
};

struct tester {
	struct mutex lock;		/* see above */
	struct aop_source *source;
	bool forget;
	struct owned owned[SELFTEST_PLACES];
	struct seen seen[SELFTEST_PLACES];
	/* What is called in an interrupt: */
	struct hrtimer timer;
	struct selftest_call *call;
	int ret;
	struct completion called;
};

/* For SELFTEST_LOCKED: what a driver must not do. */
static DEFINE_MUTEX(wrong_lock);

/* For SELFTEST_ORDERED. */
static struct workqueue_struct *ordered;

/* Nothing may be called any more. */
static bool gone;

/*
 * The gate is of the module, and a parameter too: an open file would hold the module,
 * and so hide what else does.
 */
static DECLARE_WAIT_QUEUE_HEAD(gate);
static bool gate_open;
static atomic_t at_gate;

static void set_gate(bool open)
{
	WRITE_ONCE(gate_open, open);
	wake_up_all(&gate);
}

static int set_gate_param(const char *text, const struct kernel_param *param)
{
	bool open;
	int ret = kstrtobool(text, &open);

	if (!ret)
		set_gate(open);
	return ret;
}

static const struct kernel_param_ops gate_param_ops = {
	.set = set_gate_param,
	.get = param_get_bool,
};
module_param_cb(gate, &gate_param_ops, &gate_open, 0644);
MODULE_PARM_DESC(gate, "what waits at the gate may go on");
module_param_named(at_gate, at_gate.counter, int, 0444);
MODULE_PARM_DESC(at_gate, "how many wait there");

static void wait_at_gate(void)
{
	atomic_inc(&at_gate);
	wait_event(gate, READ_ONCE(gate_open));
	atomic_dec(&at_gate);
}

/* ---- owning ------------------------------------------------------------ */

static void owned_cancel(struct aop_owner *owner, void *priv, u32 why)
{
	struct owned *o = priv;
	u32 flags = o->flags;

	WARN_ON_ONCE(gone || !in_task() || irqs_disabled());
	WRITE_ONCE(o->why, why);
	atomic_inc(&o->cancels);
	/* A driver that forgets has freed all that meanwhile. */
	if (flags & SELFTEST_GATED)
		wait_at_gate();
	if (flags & SELFTEST_ENDS)
		aop_cancelled(owner, 0);
}

static void owned_release(void *priv)
{
	struct owned *o = priv;

	atomic_inc(&o->releases);
}

static const struct aop_owner_ops owned_ops = {
	.cancel = owned_cancel,
	.release = owned_release,
};

/* Its driver goes without it. */
static void left_release(void *priv)
{
	WARN_ON_ONCE(1);
}

static const struct aop_owner_ops left_ops = {
	.cancel = owned_cancel,
	.release = left_release,
};

static int create(struct tester *t, struct selftest_call *c)
{
	char label[] = "selftest";
	struct aop_create_opts opts = {
		.label = label,
		.parent = c->total,
		.deadline = c->value,
		.mode = 0600,
		.flags = c->flags & SELFTEST_DETACHED ? AOP_CREATE_DETACHED : 0,
		.state = c->flags & SELFTEST_RUNNING ? AOP_RUNNING : AOP_PENDING,
	};
	struct owned *o = &t->owned[c->index];
	struct aop_owner *owner;
	struct file *file;
	int fd;

	*o = (struct owned) { .flags = c->flags };
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	owner = aop_create(t->source, c->flags & SELFTEST_LEFT ? &left_ops : &owned_ops, o, &opts);
	/* It has been copied. */
	memset(label, 'x', sizeof(label));
	if (IS_ERR(owner)) {
		put_unused_fd(fd);
		return PTR_ERR(owner);
	}
	o->owner = owner;
	file = aop_file_create(aop_owner_op(owner), AOP_MAY_LOOK | AOP_MAY_CANCEL);
	if (IS_ERR(file)) {
		aop_let_go(owner);
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}

static int try_opts(struct tester *t, const struct selftest_call *c)
{
	char label[2 * AOP_LABEL_SIZE] = "";
	struct aop_create_opts opts = {
		.label = label,
		.deadline = c->value,
		.flags = c->flags,
		.mode = c->mask,
		.state = c->pad,
	};
	struct aop_owner *owner;
	struct file *file;

	memset(label, 'x', min_t(u64, c->total, sizeof(label) - 1));
	owner = aop_create(t->source, NULL, NULL, &opts);
	if (IS_ERR(owner))
		return PTR_ERR(owner);
	file = aop_file_create(aop_owner_op(owner), c->fd);
	if (!IS_ERR(file))
		fput(file);
	aop_let_go(owner);
	return PTR_ERR_OR_ZERO(file);
}

/*
 * What one call of aop costs: between two looks at the processor's counter, less what
 * there is between two looks with nothing in between.
 */
#define COST_OF(cost, what) do {						\
	cycles_t empty = get_cycles(), before = get_cycles(), after;		\
										\
	what;									\
	after = get_cycles();							\
	*(cost) = after - before - (before - empty);				\
} while (0)

static int drive(struct tester *t, struct selftest_call *c)
{
	struct aop_owner *owner = t->owned[c->index].owner;
	s64 value = c->value;
	u64 total = c->total;
	ktime_t now;
	int ret = 0;

	switch (c->what) {
	case SELFTEST_START:
		return aop_start(owner);
	case SELFTEST_PROGRESS:
		return aop_progress(owner, value, total);
	case SELFTEST_DONE:
		COST_OF(&c->total, ret = aop_done(owner, value));
		return ret;
	case SELFTEST_DONE_AT:
		now = ktime_get();
		COST_OF(&c->total, ret = aop_done_at(owner, value, now));
		return ret;
	case SELFTEST_FAIL:
		return aop_fail(owner, value);
	case SELFTEST_CANCELLED:
		return aop_cancelled(owner, value);
	case SELFTEST_LET_GO:
		aop_let_go(owner);
		return 0;
	default:
		return aop_asked(owner);
	}
}

static int drive_locked(struct tester *t, struct selftest_call *c)
{
	bool cookie = aop_begin_signalling();
	int ret;

	mutex_lock(&wrong_lock);
	ret = drive(t, c);
	mutex_unlock(&wrong_lock);
	aop_end_signalling(cookie);
	return ret;
}

static enum hrtimer_restart interrupt(struct hrtimer *timer)
{
	struct tester *t = container_of(timer, struct tester, timer);
	bool hard = t->call->context == SELFTEST_HARDIRQ;

	WARN_ON_ONCE(hard ? !in_hardirq() : !in_serving_softirq());
	t->ret = drive(t, t->call);
	complete(&t->called);
	return HRTIMER_NORESTART;
}

static int drive_in_context(struct tester *t, struct selftest_call *c)
{
	enum hrtimer_mode mode = HRTIMER_MODE_REL_SOFT;

	if (c->context == SELFTEST_PROCESS && c->flags & SELFTEST_LOCKED)
		return drive_locked(t, c);
	if (c->context == SELFTEST_PROCESS)
		return drive(t, c);
	if (c->context == SELFTEST_HARDIRQ)
		mode = HRTIMER_MODE_REL_HARD;
	t->call = c;
	reinit_completion(&t->called);
	aop_hrtimer_setup(&t->timer, interrupt, mode);
	hrtimer_start(&t->timer, 0, mode);
	wait_for_completion(&t->called);
	hrtimer_cancel(&t->timer);
	return t->ret;
}

/* ---- watching ---------------------------------------------------------- */

static void watched_changed(struct aop_watch *watch, const struct aop_status *status)
{
	struct watched *w = container_of(watch, struct watched, watch);
	struct seen *s = w->seen;

	WARN_ON_ONCE(!in_task() || irqs_disabled());
	if (atomic_read(&s->calls) && s->seq == status->seq)
		WRITE_ONCE(s->repeats, s->repeats + 1);
	WRITE_ONCE(s->word, status->word);
	WRITE_ONCE(s->seq, status->seq);
	if (s->flags & SELFTEST_ONCE) {
		if (s->flags & SELFTEST_GATED)
			wait_at_gate();
		WRITE_ONCE(s->watched, NULL);
		aop_unwatch(watch);
		kfree(w);
	}
	atomic_inc(&s->calls);
	if ((s->flags & (SELFTEST_GATED | SELFTEST_ONCE)) == SELFTEST_GATED)
		wait_at_gate();
}

static struct aop *op_of(const struct selftest_call *c, u32 rights)
{
	return c->fd >= 0 ? aop_from_fd(c->fd, rights) :
			    aop_from_handle(c->aop_fd, c->value, rights);
}

static int watch(struct tester *t, struct selftest_call *c)
{
	struct aop *op = op_of(c, AOP_MAY_LOOK);
	struct seen *s = &t->seen[c->index];
	struct watched *w;
	int ret;

	if (IS_ERR(op))
		return PTR_ERR(op);
	w = kzalloc(sizeof(*w), GFP_KERNEL);
	if (!w) {
		aop_put(op);
		return -ENOMEM;
	}
	*s = (struct seen) { .watched = w, .flags = c->flags };
	w->seen = s;
	ret = aop_watch(op, &w->watch, c->mask, watched_changed,
			c->flags & SELFTEST_ORDERED ? ordered : NULL);
	if (ret) {
		s->watched = NULL;
		kfree(w);
	}
	aop_put(op);
	return ret;
}

static void unwatch(struct seen *s)
{
	struct watched *w = s->watched;

	if (!w)
		return;
	s->watched = NULL;
	aop_unwatch(&w->watch);
	kfree(w);
}

static int wait_or_cancel(struct selftest_call *c)
{
	struct aop *op = aop_from_fd(c->fd, c->what == SELFTEST_WAIT ? AOP_MAY_LOOK :
						AOP_MAY_CANCEL);
	int ret;

	if (IS_ERR(op))
		return PTR_ERR(op);
	if (c->flags & SELFTEST_LOCKED)
		mutex_lock(&wrong_lock);
	if (c->what == SELFTEST_WAIT)
		ret = aop_wait(op, c->mask, c->value);
	else
		ret = aop_cancel(op, c->value);
	if (c->flags & SELFTEST_LOCKED)
		mutex_unlock(&wrong_lock);
	aop_put(op);
	return ret;
}

/* ---- calls ------------------------------------------------------------- */

static int signal_eventfd(struct selftest_call *c)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(c->fd);

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	COST_OF(&c->total, aop_eventfd_signal(ctx));
	eventfd_ctx_put(ctx);
	return 0;
}

static int make_handle(struct tester *t, struct selftest_call *c)
{
	u64 handle;
	int ret = aop_handle_create(c->aop_fd, aop_owner_op(t->owned[c->index].owner),
				    AOP_MAY_LOOK | AOP_MAY_CANCEL, c->mask, c->value, &handle);

	if (!ret)
		c->total = handle;
	return ret;
}

static void look(struct tester *t, struct selftest_call *c)
{
	struct owned *o = &t->owned[c->index];
	struct seen *s = &t->seen[c->index];

	if (c->what == SELFTEST_OWNER_SEEN) {
		c->value = atomic_read(&o->cancels);
		c->total = atomic_read(&o->releases);
		c->mask = READ_ONCE(o->why);
	} else {
		c->value = atomic_read(&s->calls);
		c->total = READ_ONCE(s->seq);
		c->mask = READ_ONCE(s->word);
		c->flags = READ_ONCE(s->repeats);
	}
}

static int locked_call(struct tester *t, struct selftest_call *c)
{
	switch (c->what) {
	case SELFTEST_CREATE:
		return create(t, c);
	case SELFTEST_TRY:
		return try_opts(t, c);
	case SELFTEST_HANDLE:
		return make_handle(t, c);
	case SELFTEST_OWNER_SEEN:
	case SELFTEST_WATCH_SEEN:
		look(t, c);
		return 0;
	case SELFTEST_WATCH:
		return watch(t, c);
	case SELFTEST_GATE:
		set_gate(c->value);
		return 0;
	case SELFTEST_AT_GATE:
		return atomic_read(&at_gate);
	case SELFTEST_FORGET:
		t->forget = true;
		return 0;
	case SELFTEST_EVENTFD:
		return signal_eventfd(c);
	case SELFTEST_START ... SELFTEST_ASKED:
		return drive_in_context(t, c);
	default:
		return -EINVAL;
	}
}

static int destroy_source(struct tester *t, const struct cred *cred, u32 flags)
{
	struct aop_source *source = aop_source_create(cred);

	if (IS_ERR(source))
		return PTR_ERR(source);
	swap(source, t->source);
	if (flags & SELFTEST_LOCKED)
		mutex_lock(&wrong_lock);
	aop_source_destroy(source);
	if (flags & SELFTEST_LOCKED)
		mutex_unlock(&wrong_lock);
	return 0;
}

static long selftest_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct tester *t = file->private_data;
	struct selftest_call c;
	int ret = 0;

	if (cmd != AOP_SELFTEST_IOC_CALL)
		return -ENOTTY;
	if (copy_from_user(&c, (void __user *)arg, sizeof(c)))
		return -EFAULT;
	if (c.index >= SELFTEST_PLACES)
		return -EINVAL;
	switch (c.what) {
	case SELFTEST_WAIT:
	case SELFTEST_CANCEL:
		ret = wait_or_cancel(&c);
		break;
	case SELFTEST_UNWATCH:
		unwatch(&t->seen[c.index]);
		break;
	case SELFTEST_DESTROY:
		ret = destroy_source(t, file->f_cred, c.flags);
		break;
	default:
		mutex_lock(&t->lock);
		ret = locked_call(t, &c);
		mutex_unlock(&t->lock);
	}
	/* Fault injection must not make a call that had its effect look as if it had none. */
	if (!access_ok((void __user *)arg, sizeof(c)) ||
	    raw_copy_to_user((void __user *)arg, &c, sizeof(c)))
		return -EFAULT;
	return ret;
}

static int selftest_open(struct inode *inode, struct file *file)
{
	struct tester *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->source = aop_source_create(file->f_cred);
	if (IS_ERR(t->source)) {
		int ret = PTR_ERR(t->source);

		kfree(t);
		return ret;
	}
	mutex_init(&t->lock);
	init_completion(&t->called);
	set_gate(false);
	file->private_data = t;
	return nonseekable_open(inode, file);
}

static int selftest_close(struct inode *inode, struct file *file)
{
	struct tester *t = file->private_data;
	int i;

	if (!t->forget)
		set_gate(true);
	for (i = 0; i < SELFTEST_PLACES; i++)
		unwatch(&t->seen[i]);
	/* A driver that frees its data under its ops: of these, nothing may be called. */
	if (!t->forget)
		aop_source_destroy(t->source);
	kfree(t);
	return 0;
}

static const struct file_operations selftest_fops = {
	.owner = THIS_MODULE,
	.open = selftest_open,
	.release = selftest_close,
	.unlocked_ioctl = selftest_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice selftest_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "aop_selftest",
	.fops = &selftest_fops,
	.mode = 0600,
};

static int __init selftest_init(void)
{
	int ret;

	ordered = alloc_ordered_workqueue("aop_selftest", 0);
	if (!ordered)
		return -ENOMEM;
	ret = misc_register(&selftest_device);
	if (ret)
		destroy_workqueue(ordered);
	return ret;
}

static void __exit selftest_exit(void)
{
	misc_deregister(&selftest_device);
	destroy_workqueue(ordered);
	gone = true;
}

module_init(selftest_init);
module_exit(selftest_exit);

MODULE_DESCRIPTION("Calls the in-kernel API of aop for tests");
MODULE_LICENSE("GPL");
