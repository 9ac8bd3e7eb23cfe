// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * port_cork.c - calls of ports, and replies, that a thread has corked
 *
 * The part of a struct cork (cork.c) that only those need who call ports or serve them; so
 * it is allocated when the first call or reply is corked.  No other thread sees it.  All
 * calls go out in one system call, which waits for them as well if it is they that are
 * waited for, and brings the replies; all replies in another, which is aop_serve()'s if that
 * comes next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "port.h"
#include "shared.h"

#define ROOM		64		/* calls, and replies */
#define TEXT		8192		/* bytes of all replies */

struct port_cork {
	uint32_t calls, answers, text;
	struct call *call[ROOM];
	struct port *port[ROOM];
	uint32_t told[ROOM];		/* of room, before the call was made */
	struct aop_call_entry entry[ROOM];
	struct aop_answer_entry answer[ROOM];
	char message[TEXT];
};

/* NULL: nothing is corked, or there is no memory: then it goes out alone. */
static struct port_cork *get(struct aop_ctx *ctx, struct cork **cork)
{
	struct port_cork **pc;

	*cork = cork_of(ctx);
	if (likely(!*cork))
		return NULL;
	pc = cork_port(*cork);
	if (unlikely(!*pc))
		*pc = calloc(1, sizeof(**pc));
	return *pc;
}

bool port_cork_pending(const struct port_cork *pc)
{
	return pc->calls || pc->answers;
}

/* ---- calls ----------------------------------------------------------------------------- */

static void call_made(struct cork *cork, struct port_cork *pc, uint32_t i, int ret)
{
	struct call *c = pc->call[i];
	struct op *op = to_op(&c->w.op);
	void (*release)(struct aop *op) = op->release;

	if (likely(!ret)) {
		shared_call_made(pc->port[i], c, &pc->entry[i], release);
		return;
	}
	if (ret == -EAGAIN)
		shared_call_full(pc->port[i], pc->told[i]);
	op_ended(op, ret);
	op->release = release;
	cork_note(cork, ret);
}

/* Make them, and wait for some: 0, or why it waits no longer. */
static int submit_calls(struct cork *cork, struct port_cork *pc, uint32_t need, int64_t deadline)
{
	struct aop_ioc_call call = {
		.size = sizeof(call),
		.entries = (uintptr_t)pc->entry,
		.entry_size = sizeof(pc->entry[0]),
		.nr = pc->calls,
		.need = need,
	};
	uint32_t i, nr = pc->calls;
	int ret;

	if (need)
		call.deadline = deadline < 0 ? AOP_FOREVER_NS : (uint64_t)deadline;
	pc->calls = 0;
	do
		ret = kernel_call(cork_ctx(cork), AOP_IOC_CALL, &call);
	while (ret == -EINTR);
	for (i = 0; i < nr; i++)
		call_made(cork, pc, i, i < call.called ? pc->entry[i].ret : ret ? ret : -EIO);
	return ret;
}

bool port_cork_call(struct port *p, struct call *c, const struct aop_call_entry *e,
		    uint32_t told, void (*release)(struct aop *op))
{
	struct cork *cork;
	struct port_cork *pc = get(p->where, &cork);

	if (!pc)
		return false;
	if (unlikely(pc->calls == ROOM))
		cork_submit(cork);
	op_prepare(to_op(&c->w.op), p->where, release);
	pc->call[pc->calls] = c;
	pc->port[pc->calls] = p;
	pc->told[pc->calls] = told;
	pc->entry[pc->calls++] = *e;
	return true;
}

/* ---- replies ---------------------------------------------------------------------------- */

bool port_cork_answer(struct aop_ctx *ctx, const struct aop_answer_entry *e)
{
	struct cork *cork;
	struct port_cork *pc = get(ctx, &cork);
	struct aop_answer_entry *a;

	if (!pc)
		return false;
	if (unlikely(pc->answers == ROOM || pc->text + e->len > TEXT))
		cork_submit(cork);
	a = &pc->answer[pc->answers++];
	*a = *e;
	memcpy(pc->message + pc->text, (const void *)(uintptr_t)e->message, e->len);
	a->message = (uintptr_t)(pc->message + pc->text);
	pc->text += e->len;
	return true;
}

/* The first nr have been carried out. */
static void answers_done(struct cork *cork, struct port_cork *pc, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		cork_note(cork, pc->answer[i].ret);
	pc->answers -= nr;
	if (unlikely(pc->answers))
		memmove(pc->answer, pc->answer + nr, pc->answers * sizeof(pc->answer[0]));
	else
		pc->text = 0;
}

/* Replies leave in their order.  What the module cannot take at all is forgotten. */
static void submit_answers(struct cork *cork, struct port_cork *pc)
{
	struct aop_ioc_serve s = {
		.size = sizeof(s),
		.answers = (uintptr_t)pc->answer,
		.answer_size = sizeof(pc->answer[0]),
		.nr_answers = pc->answers,
	};
	int ret;

	if (!pc->answers)
		return;
	ret = kernel_call(cork_ctx(cork), AOP_IOC_SERVE, &s);
	if (ret)
		cork_note(cork, ret);
	answers_done(cork, pc, pc->answers);
}

struct aop_answer_entry *port_cork_answers(struct cork *cork, uint32_t *nr)
{
	struct port_cork *pc = *cork_port(cork);

	if (pc && pc->calls)
		submit_calls(cork, pc, 0, 0);
	cork_submit_rest(cork);
	*nr = pc ? pc->answers : 0;
	return *nr ? pc->answer : NULL;
}

void port_cork_answered(struct cork *cork, uint32_t nr)
{
	struct port_cork *pc = *cork_port(cork);

	answers_done(cork, pc, nr);
	/* The port could not be served; but these are no matter of it. */
	submit_answers(cork, pc);
}

void port_cork_submit(struct cork *cork, struct port_cork *pc)
{
	if (pc->calls)
		submit_calls(cork, pc, 0, 0);
	cork_submit_rest(cork);
	submit_answers(cork, pc);
}

bool port_cork_wait(struct aop_ctx *ctx, struct op *const *ops, size_t n, size_t need,
		    int64_t deadline, int *ret)
{
	struct cork *cork = cork_of(ctx);
	struct port_cork *pc = cork ? *cork_port(cork) : NULL;
	size_t i;

	if (!pc || pc->calls != n)
		return false;
	for (i = 0; i < n; i++)
		if (to_op(&pc->call[i]->w.op) != ops[i])
			return false;
	cork_submit_rest(cork);
	submit_answers(cork, pc);
	*ret = submit_calls(cork, pc, need, deadline);
	return true;
}

void port_cork_forked(struct port_cork *pc)
{
	uint32_t i;

	for (i = 0; i < pc->calls; i++)
		op_ended(to_op(&pc->call[i]->w.op), -EIO);
	pc->calls = 0;
	pc->answers = 0;
	pc->text = 0;
}
