// SPDX-License-Identifier: GPL-2.0
/*
 * column.c - what can be shown of an op, and sorted by
 */
#include <errno.h>
#include <string.h>

#include "aopstat.h"

/* ---- progress ------------------------------------------------------------------------ */

static double percent_of(const struct op *op)
{
	if (!op->total)
		return -1;
	return op->done < op->total ? 100.0 * op->done / op->total : 100;
}

/* In a second: as measured, or since it was started. */
static double rate_of(const struct op *op, uint64_t now)
{
	uint64_t end = op_is_final(op) ? op->changed : now;

	if (op->rate > 0 && !op_is_final(op))
		return op->rate;
	if (!op->started || end <= op->started)
		return 0;
	return op->done * 1e9 / (end - op->started);
}

static uint64_t left_of(const struct op *op, uint64_t now)
{
	double rate = rate_of(op, now), ns;

	if (op->state != AOP_RUNNING || !op->total || rate <= 0)
		return NO_NUMBER;
	if (op->done >= op->total)
		return 0;
	ns = (op->total - op->done) / rate * 1e9;
	return ns < INT64_MAX ? ns : NO_NUMBER;
}

static bool plain_bars;

void bar_ascii(bool ascii)
{
	plain_bars = ascii || !text_is_utf8();
}

void bar_text(char *buf, size_t size, const struct op *op, unsigned int width)
{
	static const char *const eighths[] = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
	double percent = percent_of(op);
	unsigned int i, n;
	size_t at = 0;

	if (percent < 0)
		percent = 0;
	n = percent / 100 * width * 8 + 0.5;
	for (i = 0; i < width && at + 4 < size; i++, n -= n < 8 ? n : 8) {
		if (plain_bars)
			at += sprintf(buf + at, "%s", n >= 4 ? "#" : ".");
		else if (n >= 8)
			at += sprintf(buf + at, "█");
		else
			at += sprintf(buf + at, "%s", n ? eighths[n - 1] : "░");
	}
	buf[at] = '\0';
}

/* ---- as text ------------------------------------------------------------------------- */

/* Not printf(): a list of very many ops is mostly made of these. */
static void copy_text(char *buf, size_t size, const char *text)
{
	size_t len = strnlen(text, size - 1);

	memcpy(buf, text, len);
	buf[len] = '\0';
}

#define NUMBER_TEXT(name, value)							\
	static void name(char *buf, size_t size, const struct op *op, uint64_t now)	\
	{										\
		(void)now;								\
		(void)size;								\
		number_text(buf, value);						\
	}										\
	struct op

NUMBER_TEXT(text_id, op->id);
NUMBER_TEXT(text_done, op->done);
NUMBER_TEXT(text_uid, op->uid);
NUMBER_TEXT(text_gid, op->gid);
NUMBER_TEXT(text_watchers, op->watchers);

static void text_state(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	copy_text(buf, size, aop_state_name(op->state));
}

static void text_user(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	copy_text(buf, size, user_name(op->uid));
}

static void text_mode(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	snprintf(buf, size, "%04o", op->mode);
}

static void text_number_or_dash(char *buf, size_t size, uint64_t n)
{
	if (n)
		number_text(buf, n);
	else
		copy_text(buf, size, "-");
}

static void text_pid(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	text_number_or_dash(buf, size, op->pid);
}

static void text_parent(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	text_number_or_dash(buf, size, op->parent);
}

static void text_total(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	text_number_or_dash(buf, size, op->total);
}

static void text_members(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	if (op->members)
		snprintf(buf, size, "%u/%u", op->need, op->members);
	else
		copy_text(buf, size, "-");
}

static void text_label(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	clean(buf, size, op->label[0] ? op->label : "-");
}

static void text_command(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	clean(buf, size, op->command[0] ? op->command : "-");
}

static void text_owner(char *buf, size_t size, const struct op *op, uint64_t now)
{
	char command[80];

	text_command(command, sizeof(command), op, now);
	if (op->pid)
		snprintf(buf, size, "%d %s", op->pid, command);
	else
		snprintf(buf, size, "-");
}

static void text_progress(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	if (op->total)
		snprintf(buf, size, "%d%%", (int)percent_of(op));
	else
		text_number_or_dash(buf, size, op->done);
}

static void text_bar(char *buf, size_t size, const struct op *op, uint64_t now)
{
	char progress[SIZE_TEXT], bar[64];

	text_progress(progress, sizeof(progress), op, now);
	if (op->total) {
		bar_text(bar, sizeof(bar), op, 10);
		snprintf(buf, size, "%s %4s", bar, progress);
	} else {
		snprintf(buf, size, "%15s", progress);
	}
}

static void text_rate(char *buf, size_t size, const struct op *op, uint64_t now)
{
	char text[SIZE_TEXT];
	double rate = rate_of(op, now);

	copy_text(buf, size, rate > 0 ? rate_text(text, rate) : "-");
}

static void text_duration(char *buf, size_t size, uint64_t ns)
{
	char text[SIZE_TEXT];

	copy_text(buf, size, ns == NO_NUMBER ? "-" : duration_text(text, ns));
}

static uint64_t wait_of(const struct op *op, uint64_t now)
{
	uint64_t end = op->started ? op->started : op_is_final(op) ? op->changed : now;

	return end > op->created ? end - op->created : 0;
}

static uint64_t run_of(const struct op *op, uint64_t now)
{
	uint64_t end = op_is_final(op) ? op->changed : now;

	if (!op->started)
		return NO_NUMBER;
	return end > op->started ? end - op->started : 0;
}

static uint64_t idle_of(const struct op *op, uint64_t now)
{
	return now > op->changed ? now - op->changed : 0;
}

static uint64_t deadline_of(const struct op *op, uint64_t now)
{
	if (!op->deadline || op_is_final(op))
		return NO_NUMBER;
	return op->deadline > now ? op->deadline - now : 0;
}

#define DURATION_TEXT(name, value)							\
	static void name(char *buf, size_t size, const struct op *op, uint64_t now)	\
	{										\
		text_duration(buf, size, value(op, now));				\
	}										\
	struct op

DURATION_TEXT(text_left, left_of);
DURATION_TEXT(text_age, op_age);
DURATION_TEXT(text_wait, wait_of);
DURATION_TEXT(text_run, run_of);
DURATION_TEXT(text_idle, idle_of);
DURATION_TEXT(text_deadline, deadline_of);

static void text_result(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	if (!op_is_final(op))
		copy_text(buf, size, "-");
	else if (op->state == AOP_DONE)
		snprintf(buf, size, "%lld", (long long)op->result);
	else
		copy_text(buf, size, error_name(op->result));
}

static void text_reason(char *buf, size_t size, const struct op *op, uint64_t now)
{
	(void)now;
	if (op->flags & AOP_F_ASKED || op->state == AOP_CANCELLED)
		copy_text(buf, size, error_name(op->reason));
	else
		copy_text(buf, size, "-");
}

/* A letter for each flag. */
static void text_flags(char *buf, size_t size, const struct op *op, uint64_t now)
{
	static const char letters[] = "scalo";	/* in the order of AOP_F_* */
	char text[8] = "";
	size_t i, n = 0;

	(void)now;
	for (i = 0; i < sizeof(letters) - 1; i++)
		if (op->flags >> i & 1)
			text[n++] = letters[i];
	copy_text(buf, size, n ? text : "-");
}

/* ---- as numbers ------------------------------------------------------------------------ */

/* What is worth looking at comes first. */
static uint64_t number_state(const struct op *op, uint64_t now)
{
	static const uint8_t rank[AOP_NR_STATES] = {
		[AOP_RUNNING] = 0,
		[AOP_PENDING] = 1,
		[AOP_FAILED] = 2,
		[AOP_CANCELLED] = 3,
		[AOP_DONE] = 4,
	};

	(void)now;
	return rank[op->state];
}

/* So that negative ones come before positive ones. */
#define SIGNED(n)	((uint64_t)(n) ^ (UINT64_C(1) << 63))

static uint64_t number_id(const struct op *op, uint64_t now)
{
	(void)now;
	return op->id;
}

static uint64_t number_pid(const struct op *op, uint64_t now)
{
	(void)now;
	return op->pid;
}

static uint64_t number_uid(const struct op *op, uint64_t now)
{
	(void)now;
	return op->uid;
}

static uint64_t number_gid(const struct op *op, uint64_t now)
{
	(void)now;
	return op->gid;
}

static uint64_t number_mode(const struct op *op, uint64_t now)
{
	(void)now;
	return op->mode;
}

static uint64_t number_done(const struct op *op, uint64_t now)
{
	(void)now;
	return op->done;
}

static uint64_t number_total(const struct op *op, uint64_t now)
{
	(void)now;
	return op->total;
}

static uint64_t number_watchers(const struct op *op, uint64_t now)
{
	(void)now;
	return op->watchers;
}

static uint64_t number_parent(const struct op *op, uint64_t now)
{
	(void)now;
	return op->parent;
}

static uint64_t number_members(const struct op *op, uint64_t now)
{
	(void)now;
	return op->members;
}

static uint64_t number_flags(const struct op *op, uint64_t now)
{
	(void)now;
	return op->flags;
}

static uint64_t number_result(const struct op *op, uint64_t now)
{
	(void)now;
	return op_is_final(op) ? SIGNED(op->result) : NO_NUMBER;
}

static uint64_t number_reason(const struct op *op, uint64_t now)
{
	(void)now;
	return op->flags & AOP_F_ASKED ? SIGNED(op->reason) : NO_NUMBER;
}

static uint64_t number_progress(const struct op *op, uint64_t now)
{
	(void)now;
	return op->total ? (uint64_t)(percent_of(op) * 1e6) : NO_NUMBER;
}

static uint64_t number_rate(const struct op *op, uint64_t now)
{
	return rate_of(op, now);
}

/* ---- the table of them ------------------------------------------------------------------ */

static const struct column all[] = {
	{ "id", "ID", 8, true, text_id, number_id },
	{ "state", "STATE", 9, false, text_state, number_state },
	{ "label", "LABEL", 24, false, text_label, NULL },
	{ "owner", "OWNER", 20, false, text_owner, number_pid },
	{ "pid", "PID", 7, true, text_pid, number_pid },
	{ "command", "COMMAND", 12, false, text_command, NULL },
	{ "user", "USER", 8, false, text_user, NULL },
	{ "uid", "UID", 5, true, text_uid, number_uid },
	{ "gid", "GID", 5, true, text_gid, number_gid },
	{ "mode", "MODE", 4, true, text_mode, number_mode },
	{ "progress", "PROG", 5, true, text_progress, number_progress },
	{ "bar", "PROGRESS", 15, false, text_bar, number_progress },
	{ "done", "DONE", 8, true, text_done, number_done },
	{ "total", "TOTAL", 8, true, text_total, number_total },
	{ "rate", "RATE", 7, true, text_rate, number_rate },
	{ "left", "LEFT", 7, true, text_left, left_of },
	{ "age", "AGE", 7, true, text_age, op_age },
	{ "wait", "WAIT", 7, true, text_wait, wait_of },
	{ "run", "RUN", 7, true, text_run, run_of },
	{ "idle", "IDLE", 7, true, text_idle, idle_of },
	{ "deadline", "DEADLINE", 8, true, text_deadline, deadline_of },
	{ "watchers", "WATCH", 5, true, text_watchers, number_watchers },
	{ "parent", "PARENT", 8, true, text_parent, number_parent },
	{ "members", "MEMBERS", 7, true, text_members, number_members },
	{ "result", "RESULT", 12, true, text_result, number_result },
	{ "reason", "REASON", 10, true, text_reason, number_reason },
	{ "flags", "FLAGS", 5, false, text_flags, number_flags },
};

#define NR_COLUMNS	(sizeof(all) / sizeof(all[0]))

const struct column *column_at(unsigned int i)
{
	return i < NR_COLUMNS ? &all[i] : NULL;
}

int columns_parse(struct columns *c, const char *text, bool sort)
{
	const char *next;
	size_t len, i;
	bool reverse;

	c->n = 0;
	for (; text; text = next) {
		reverse = sort && *text == '-';
		text += reverse;
		len = strcspn(text, ",");
		next = text[len] ? text + len + 1 : NULL;
		for (i = 0; i < NR_COLUMNS; i++)
			if (strlen(all[i].name) == len && !strncmp(all[i].name, text, len))
				break;
		if (i == NR_COLUMNS || c->n == MAX_COLUMNS) {
			complain(i == NR_COLUMNS ? "there is no column '%.*s'" :
						   "too many columns, from '%.*s' on",
				 (int)len, text);
			return -EINVAL;
		}
		c->reverse[c->n] = reverse;
		c->column[c->n++] = &all[i];
	}
	return 0;
}

bool column_is_state(const struct column *c)
{
	return c->text == text_state;
}

uint64_t columns_key(const struct columns *c, const struct op *op, uint64_t now)
{
	uint64_t n;

	if (!c->n || !c->column[0]->number)
		return 0;
	n = c->column[0]->number(op, now);
	/* What there is not comes last in both directions. */
	return c->reverse[0] && n != NO_NUMBER ? NO_NUMBER - 1 - n : n;
}

int columns_compare(const struct columns *c, const struct op *a, const struct op *b,
		    uint64_t now)
{
	char at[COLUMN_TEXT], bt[COLUMN_TEXT];
	uint64_t an, bn;
	unsigned int i;
	int ret;

	for (i = 0; i < c->n; i++) {
		const struct column *col = c->column[i];

		if (col->number) {
			an = col->number(a, now);
			bn = col->number(b, now);
			ret = (an > bn) - (an < bn);
			/* What there is not comes last in both directions. */
			if (ret && (an == NO_NUMBER || bn == NO_NUMBER))
				return ret;
		} else {
			col->text(at, sizeof(at), a, now);
			col->text(bt, sizeof(bt), b, now);
			ret = strcoll(at, bt);
		}
		if (ret)
			return c->reverse[i] ? -ret : ret;
	}
	/* Always the same order. */
	return (a->id > b->id) - (a->id < b->id);
}
