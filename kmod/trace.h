/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: aop:aop_create, aop_change, aop_cancel, aop_wait_begin, aop_wait_end
 * and aop_release.  ftrace, perf and bpftrace see them; so does debugfs.c, which
 * counts.
 *
 * All but the two of a wait are called under the home lock of the op, or while
 * nobody else can reach it, so the events of one op come in their order: aop_create
 * is the first and aop_release the last of them.  Off, each is a nop on its path.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM aop

#if !defined(AOP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define AOP_TRACE_H

#include <linux/tracepoint.h>

#include "compat.h"
#include "internal.h"

/* So that perf and others, who are handed numbers, know these names. */
TRACE_DEFINE_ENUM(AOP_PENDING);
TRACE_DEFINE_ENUM(AOP_RUNNING);
TRACE_DEFINE_ENUM(AOP_DONE);
TRACE_DEFINE_ENUM(AOP_FAILED);
TRACE_DEFINE_ENUM(AOP_CANCELLED);

#define aop_show_state(state)						\
	__print_symbolic(state,						\
			 { AOP_PENDING, "pending" },			\
			 { AOP_RUNNING, "running" },			\
			 { AOP_DONE, "done" },				\
			 { AOP_FAILED, "failed" },			\
			 { AOP_CANCELLED, "cancelled" })

#define aop_show_flags(flags)						\
	__print_flags(flags, "|",					\
		      { AOP_F_SYSTEM, "system" },			\
		      { AOP_F_ASKED, "asked" },				\
		      { AOP_F_ORPHAN, "orphan" },			\
		      { AOP_F_LOST, "lost" },				\
		      { AOP_F_OVER, "over" })

TRACE_EVENT(aop_create,

	TP_PROTO(const struct aop *op),

	TP_ARGS(op),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, parent)
		__field(u8, state)
		__string(label, op->extra ? op->extra->label : "")
	),

	TP_fast_assign(
		__entry->id = op->id;
		__entry->parent = op->extra ? op->extra->parent : 0;
		__entry->state = aop_word_state(op->word);
		aop_assign_str(label, op->extra ? op->extra->label : "");
	),

	TP_printk("id=%llu parent=%llu state=%s label=%s", __entry->id, __entry->parent,
		  aop_show_state(__entry->state), __get_str(label))
);

/* Before the change is published: @word and @seq are those to come. */
TRACE_EVENT(aop_change,

	TP_PROTO(const struct aop *op, u32 word, u32 seq),

	TP_ARGS(op, word, seq),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(s64, result)
		__field(u64, done)
		__field(u64, total)
		__field(u32, seq)
		__field(s32, reason)
		__field(u8, from)
		__field(u8, state)
		__field(u8, flags)
	),

	TP_fast_assign(
		__entry->id = op->id;
		__entry->result = op->result;
		__entry->done = op->done;
		__entry->total = op->total;
		__entry->seq = seq;
		__entry->reason = op->reason;
		__entry->from = aop_word_state(op->word);
		__entry->state = aop_word_state(word);
		__entry->flags = aop_word_flags(word);
	),

	TP_printk("id=%llu seq=%u %s->%s flags=%s result=%lld reason=%d progress=%llu/%llu",
		  __entry->id, __entry->seq, aop_show_state(__entry->from),
		  aop_show_state(__entry->state), aop_show_flags(__entry->flags),
		  __entry->result, __entry->reason, __entry->done, __entry->total)
);

/* The request; what becomes of it, if anything, is the change that follows. */
TRACE_EVENT(aop_cancel,

	TP_PROTO(const struct aop *op, s32 reason),

	TP_ARGS(op, reason),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(s32, reason)
		__field(u8, state)
	),

	TP_fast_assign(
		__entry->id = op->id;
		__entry->reason = reason;
		__entry->state = aop_word_state(op->word);
	),

	TP_printk("id=%llu state=%s reason=%d", __entry->id, aop_show_state(__entry->state),
		  __entry->reason)
);

/* A wait that has to sleep.  @id is of the first op, 0 without one. */
TRACE_EVENT(aop_wait_begin,

	TP_PROTO(u64 id, u32 nr, u32 need, u64 deadline),

	TP_ARGS(id, nr, need, deadline),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, deadline)
		__field(u32, nr)
		__field(u32, need)
	),

	TP_fast_assign(
		__entry->id = id;
		__entry->deadline = deadline;
		__entry->nr = nr;
		__entry->need = need;
	),

	TP_printk("id=%llu nr=%u need=%u deadline=%llu", __entry->id, __entry->nr,
		  __entry->need, __entry->deadline)
);

TRACE_EVENT(aop_wait_end,

	TP_PROTO(u64 id, u32 nr, int ret),

	TP_ARGS(id, nr, ret),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, nr)
		__field(int, ret)
	),

	TP_fast_assign(
		__entry->id = id;
		__entry->nr = nr;
		__entry->ret = ret;
	),

	TP_printk("id=%llu nr=%u ret=%d", __entry->id, __entry->nr, __entry->ret)
);

/*
 * Nobody refers to it any more, and its memory goes.  An op without an id has failed
 * before aop_create was told of it.
 */
TRACE_EVENT_CONDITION(aop_release,

	TP_PROTO(const struct aop *op),

	TP_ARGS(op),

	TP_CONDITION(op->id),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(u8, state)
	),

	TP_fast_assign(
		__entry->id = op->id;
		__entry->state = aop_word_state(op->word);
	),

	TP_printk("id=%llu state=%s", __entry->id, aop_show_state(__entry->state))
);

#endif /* AOP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
