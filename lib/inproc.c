// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * inproc.c - beginning an op of this process, its deadline, and waiting for it
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "local.h"
#include "private.h"

static int set_deadline(struct op *op, const struct aop_opts *o)
{
	int64_t at;

	if (!o->deadline || o->deadline == AOP_FOREVER || o->state >= AOP_DONE)
		return 0;
	at = deadline_of(o->deadline);
	if (o->loop) {
		struct keeper *k = (struct keeper *)o->loop;

		/* arm() sets op->alarm: it may go off before it returns. */
		op->flags |= OP_ALARM;
		if (k->arm(k, op, at))
			return 0;
		op->flags &= ~OP_ALARM;
		return -ENOMEM;
	}
	op->deadline = at;
	op->flags |= OP_DEADLINE;
	return 0;
}

int inproc_init(struct op *op, struct aop_ctx *where, const struct aop_opts *o)
{
	int ret;

	inproc_begin(op, where == AOP_PRIVATE ? &scope_private : &scope_local);
	if (!o)
		return 0;
	op->release = o->release;
	op->label = o->label;
	if (o->flags & AOP_DETACHED)
		op->flags |= OP_DETACHED;
	if (o->flags & AOP_TIMED) {
		op->flags |= OP_TIMED;
		op->own.time = aop_now();
	}
	op->own.state = o->state;
	op->own.result = o->result;
	if (o->state == AOP_CANCELLED)
		op->own.reason = o->result;
	if (o->state >= AOP_DONE)
		op->own.flags = AOP_F_OVER;
	ret = set_deadline(op, o);
	return ret ? op_ended(op, ret) : 0;
}

void op_expire(struct op *op)
{
	if (is_private(op))
		private_expire(op);
	else
		local_expire(op);
}

/* When a deadline that no loop keeps is the next thing to happen to op. */
static int64_t earlier(const struct op *op, int64_t deadline)
{
	if (!(op->flags & OP_DEADLINE) || aop_is_final(to_aop(op)))
		return deadline;
	return deadline < 0 || op->deadline < deadline ? op->deadline : deadline;
}

int64_t inproc_until(struct op *const *ops, size_t n, int64_t deadline)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (inproc(ops[i]))
			deadline = earlier(ops[i], deadline);
	return deadline;
}

bool inproc_expire(struct op *const *ops, size_t n)
{
	bool any = false;
	int64_t now = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!inproc(ops[i]) || !(ops[i]->flags & OP_DEADLINE) ||
		    aop_is_final(to_aop(ops[i])))
			continue;
		if (!now)
			now = aop_now();
		if (!late(ops[i], now))
			continue;
		op_expire(ops[i]);
		any = true;
	}
	return any;
}

/* Sleep on one local op: the common case. */
static int wait_one(struct op *op, const struct goal *g, int64_t until)
{
	struct node node;
	int ret;

	if (!node_link(&node, op, g, NULL))
		return 0;
	ret = gate_wait(&node.gate, until);
	if (unlikely(ret))
		node_unlink(&node);
	return ret;
}

/* Until `until`, or until need of the ops have reached it; or why nobody can. */
static int wait_many(struct op *const *ops, size_t n, size_t need, const struct goal *g,
		     int64_t until, struct node *nodes)
{
	struct waiter w = { .fd = -1 };
	size_t i, may = 0, have = 0;
	int ret = 0;

	atomic_init(&w.gate.word, 0);
	atomic_init(&w.need, need);
	for (i = 0; i < n && have < need; i++) {
		nodes[i].op = NULL;
		if (ops[i]->scope == &scope_local && node_link(&nodes[i], ops[i], g, &w)) {
			may++;
		} else if (reached(ops[i], g)) {
			have++;
			if (atomic_fetch_sub_explicit(&w.need, 1, memory_order_acq_rel) == 1)
				gate_open(&w.gate);
		}
	}
	if (have < need) {
		if (until < 0 && have + may < need)
			ret = -EDEADLK;
		else
			ret = gate_wait(&w.gate, until);
	}
	while (i--)
		node_unlink(&nodes[i]);
	return ret;
}

int inproc_wait(struct op *const *ops, size_t n, size_t need, const struct goal *g,
		int64_t deadline)
{
	struct node on_stack[ON_STACK], *nodes = on_stack;
	int64_t until = inproc_until(ops, n, deadline);
	int ret;

	if (n == 1 && ops[0]->scope == &scope_local) {
		ret = wait_one(ops[0], g, until);
	} else {
		if (unlikely(n > ON_STACK)) {
			nodes = scratch(n * sizeof(*nodes));
			if (!nodes)
				return -ENOMEM;
		}
		ret = wait_many(ops, n, need, g, until, nodes);
	}
	if (ret == -ETIME && until != deadline) {
		/* It was an op's own deadline: the caller looks again. */
		inproc_expire(ops, n);
		ret = 0;
	}
	return ret;
}

#ifdef AOP_ASSERT
void misuse(const char *what)
{
	fprintf(stderr, "aop: %s\n", what);
	abort();
}

static const char after[] = "an op is used after it was given back";

static int gone_signal(struct op *op, uint32_t what, int64_t value, uint64_t total)
{
	(void)op;
	(void)what;
	(void)value;
	(void)total;
	misuse(after);
}

static int gone_cancel(struct op *op, int reason)
{
	(void)op;
	(void)reason;
	misuse(after);
}

static int gone_wait(struct op *const *ops, size_t n, size_t need, const struct goal *g,
		     int64_t deadline)
{
	(void)ops;
	(void)n;
	(void)need;
	(void)g;
	(void)deadline;
	misuse(after);
}

static int gone_watch(struct op *op, struct watch *w)
{
	(void)op;
	(void)w;
	misuse(after);
}

static int gone_drop(struct op *op)
{
	(void)op;
	misuse(after);
}

const struct scope scope_gone = {
	.name = "gone",
	.signal = gone_signal,
	.cancel = gone_cancel,
	.wait = gone_wait,
	.watch = gone_watch,
	.drop = gone_drop,
};
#endif
