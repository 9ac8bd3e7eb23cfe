// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/aop/counters: what the ops of this system have done.
 *
 * The counters are probes of the tracepoints, and hang there only while somebody
 * has asked for it: "echo 1 > counters" counts from 0, "echo 0 > counters" stops.
 * So they cost nothing that the tracepoints do not cost anyway, and a counter and a
 * trace cannot tell different stories.
 *
 * Locks: counting_lock protects which probes are registered.  The counters are per
 * CPU, written by the probes with interrupts on or off, summed without a lock.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/seq_file.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "trace.h"

enum counter {
	CREATED,		/* in any state */
	BORN_FINAL,		/* of those: final from the start */
	STARTED,
	PROGRESSED,
	DONE,
	FAILED,
	CANCELLED,
	CANCEL_REQUESTS,	/* whatever they were answered */
	OTHER_CHANGES,		/* asked, abandoned, over */
	WAITS_BEGUN,
	WAITS_ENDED,
	RELEASED,
	UNDECIDED,		/* of those: groups that nobody watched any more */
	NR_COUNTERS,
};

static const char * const names[NR_COUNTERS] = {
	[CREATED] = "created",
	[BORN_FINAL] = "born_final",
	[STARTED] = "started",
	[PROGRESSED] = "progressed",
	[DONE] = "done",
	[FAILED] = "failed",
	[CANCELLED] = "cancelled",
	[CANCEL_REQUESTS] = "cancel_requests",
	[OTHER_CHANGES] = "other_changes",
	[WAITS_BEGUN] = "waits_begun",
	[WAITS_ENDED] = "waits_ended",
	[RELEASED] = "released",
	[UNDECIDED] = "undecided",
};

struct counters {
	u64 nr[NR_COUNTERS];
};

static DEFINE_PER_CPU(struct counters, counters);
static DEFINE_MUTEX(counting_lock);	/* see above */
static bool counting;
static struct dentry *dir;

static void count(enum counter c)
{
	this_cpu_inc(counters.nr[c]);
}

/* ---- probes ------------------------------------------------------------ */

static void on_create(void *data, const struct aop *op)
{
	count(CREATED);
	if (AOP_FINAL(aop_word_state(op->word)))
		count(BORN_FINAL);
}

static void on_change(void *data, const struct aop *op, u32 word, u32 seq)
{
	u32 from = aop_word_state(op->word), to = aop_word_state(word);

	if (from != to)
		count(to == AOP_RUNNING ? STARTED : DONE + (to - AOP_DONE));
	else
		count(word == op->word ? PROGRESSED : OTHER_CHANGES);
}

static void on_cancel(void *data, const struct aop *op, s32 reason)
{
	count(CANCEL_REQUESTS);
}

static void on_wait_begin(void *data, u64 id, u32 nr, u32 need, u64 deadline)
{
	count(WAITS_BEGUN);
}

static void on_wait_end(void *data, u64 id, u32 nr, int ret)
{
	count(WAITS_ENDED);
}

static void on_release(void *data, const struct aop *op)
{
	count(RELEASED);
	/* What has an owner has ended before.  By now it does not show that it was a group. */
	if (!op->owned && !AOP_FINAL(aop_word_state(op->word)))
		count(UNDECIDED);
}

/* In this order an end may be counted whose beginning was before, never the reverse. */
static int register_all(void)
{
	int ret = register_trace_aop_release(on_release, NULL);

	if (ret)
		return ret;
	ret = register_trace_aop_wait_end(on_wait_end, NULL);
	if (ret)
		goto release;
	ret = register_trace_aop_wait_begin(on_wait_begin, NULL);
	if (ret)
		goto wait_end;
	ret = register_trace_aop_cancel(on_cancel, NULL);
	if (ret)
		goto wait_begin;
	ret = register_trace_aop_change(on_change, NULL);
	if (ret)
		goto cancel;
	ret = register_trace_aop_create(on_create, NULL);
	if (!ret)
		return 0;
	unregister_trace_aop_change(on_change, NULL);
cancel:
	unregister_trace_aop_cancel(on_cancel, NULL);
wait_begin:
	unregister_trace_aop_wait_begin(on_wait_begin, NULL);
wait_end:
	unregister_trace_aop_wait_end(on_wait_end, NULL);
release:
	unregister_trace_aop_release(on_release, NULL);
	return ret;
}

static void stop(void)
{
	if (counting) {
		unregister_trace_aop_create(on_create, NULL);
		unregister_trace_aop_change(on_change, NULL);
		unregister_trace_aop_cancel(on_cancel, NULL);
		unregister_trace_aop_wait_begin(on_wait_begin, NULL);
		unregister_trace_aop_wait_end(on_wait_end, NULL);
		unregister_trace_aop_release(on_release, NULL);
	}
	counting = false;
	/* No probe runs any more: neither over a reset, nor over code that is gone. */
	tracepoint_synchronize_unregister();
}

static int start(void)
{
	int cpu, ret;

	stop();
	for_each_possible_cpu(cpu)
		memset(per_cpu_ptr(&counters, cpu), 0, sizeof(struct counters));
	ret = register_all();
	counting = !ret;
	return ret;
}

/* ---- the file ---------------------------------------------------------- */

static int counters_show(struct seq_file *m, void *unused)
{
	int c, cpu;

	seq_printf(m, "counting %d\n", READ_ONCE(counting));
	seq_printf(m, "ops %u\n", aop_op_count());
	for (c = 0; c < NR_COUNTERS; c++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu(counters, cpu).nr[c]);
		seq_printf(m, "%s %llu\n", names[c], sum);
	}
	return 0;
}

static int counters_open(struct inode *inode, struct file *file)
{
	return single_open(file, counters_show, NULL);
}

static ssize_t counters_write(struct file *file, const char __user *buf, size_t size, loff_t *pos)
{
	bool on;
	int ret = kstrtobool_from_user(buf, size, &on);

	if (ret)
		return ret;
	mutex_lock(&counting_lock);
	if (on)
		ret = start();
	else
		stop();
	mutex_unlock(&counting_lock);
	return ret ?: size;
}

static const struct file_operations counters_fops = {
	.owner = THIS_MODULE,
	.open = counters_open,
	.read = seq_read,
	.write = counters_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/* Nothing depends on it: where it cannot be made the module works all the same. */
void __init aop_debugfs_init(void)
{
	dir = debugfs_create_dir("aop", NULL);
	debugfs_create_file("counters", 0600, dir, NULL, &counters_fops);
}

void aop_debugfs_exit(void)
{
	/* Waits for calls that are going on in the file. */
	debugfs_remove(dir);
	stop();
}
