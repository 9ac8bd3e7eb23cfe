// SPDX-License-Identifier: GPL-2.0
/*
 * json.c - an op as one JSON object, and back
 *
 * The names are promised in aopstat(8): more may come, none goes.  Times are integer
 * nanoseconds.  What is not known, or does not apply, is left out.
 *
 * json-c reads it.  It is written without: the objects of a hundred thousand ops would
 * take several times as long as all the rest.
 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "aopstat.h"

/* The length of the UTF-8 sequence at s, or 0. */
static size_t utf8_length(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *s < 0x80 ? 1 : *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3 : *s >> 3 == 30 ? 4 : 0;
	uint32_t c = n > 1 ? *s & (0x7f >> n) : *s;
	size_t i;

	for (i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (n && (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)))
		return 0;
	return n;
}

/* JSON is UTF-8, a label need not be: other bytes become U+FFFD. */
const char *utf8_text(char *buf, size_t size, const char *s)
{
	size_t n, at = 0;

	while (*s && at + 4 < size) {
		n = utf8_length((const unsigned char *)s);
		if (n) {
			memcpy(buf + at, s, n);
			at += n;
			s += n;
		} else {
			memcpy(buf + at, "\xef\xbf\xbd", 3);
			at += 3;
			s++;
		}
	}
	buf[at] = '\0';
	return buf;
}

/* ---- writing ------------------------------------------------------------------------- */

void json_begin(struct json_line *l)
{
	l->text[0] = '{';
	l->at = l->text + 1;
}

static void put_name(struct json_line *l, const char *name)
{
	if (l->at > l->text + 1)
		*l->at++ = ',';
	*l->at++ = '"';
	l->at = stpcpy(l->at, name);
	*l->at++ = '"';
	*l->at++ = ':';
}

void json_u64(struct json_line *l, const char *name, uint64_t n)
{
	put_name(l, name);
	number_text(l->at, n);
	l->at += strlen(l->at);
}

void json_s64(struct json_line *l, const char *name, int64_t n)
{
	put_name(l, name);
	if (n < 0)
		*l->at++ = '-';
	number_text(l->at, n < 0 ? -(uint64_t)n : (uint64_t)n);
	l->at += strlen(l->at);
}

/* MAX_PARTS at the most. */
void json_numbers(struct json_line *l, const char *name, const uint64_t *n, size_t count)
{
	size_t i;

	put_name(l, name);
	*l->at++ = '[';
	for (i = 0; i < count; i++) {
		if (i)
			*l->at++ = ',';
		number_text(l->at, n[i]);
		l->at += strlen(l->at);
	}
	*l->at++ = ']';
}

static void put_bool(struct json_line *l, const char *name, bool value)
{
	put_name(l, name);
	l->at = stpcpy(l->at, value ? "true" : "false");
}

void json_string(struct json_line *l, const char *name, const char *text)
{
	static const char letters[32] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
	};
	char buf[4 * AOP_LABEL_SIZE];
	const char *s;

	put_name(l, name);
	*l->at++ = '"';
	for (s = utf8_text(buf, sizeof(buf), text); *s; s++) {
		unsigned char c = *s;

		if (c >= ' ' && c != '"' && c != '\\') {
			*l->at++ = c;
		} else if (c >= ' ' || letters[c]) {
			*l->at++ = '\\';
			*l->at++ = c >= ' ' ? c : letters[c];
		} else {
			l->at += sprintf(l->at, "\\u%04x", c);
		}
	}
	*l->at++ = '"';
}

void json_end(struct json_line *l, FILE *f)
{
	*l->at++ = '}';
	*l->at++ = '\n';
	fwrite_unlocked(l->text, 1, l->at - l->text, f);
}

static const struct {
	const char *name;
	uint8_t flag;
} flags[] = {
	{ "by_system", AOP_F_SYSTEM },
	{ "cancel_requested", AOP_F_ASKED },
	{ "abandoned", AOP_F_ORPHAN },
	{ "lost", AOP_F_LOST },
	{ "over", AOP_F_OVER },
};

#define NR_FLAGS	(sizeof(flags) / sizeof(flags[0]))

static void put_end(struct json_line *l, const struct op *op)
{
	if (op->flags & AOP_F_ASKED || op->state == AOP_CANCELLED) {
		json_s64(l, "reason", op->reason);
		json_string(l, "reason_name", error_name(op->reason));
	}
	if (!op_is_final(op))
		return;
	json_s64(l, "result", op->result);
	if (op->state == AOP_FAILED)
		json_string(l, "error", error_name(op->result));
	json_u64(l, "ended_ns", op->changed);
}

void json_op(struct json_line *l, const struct op *op, uint64_t now)
{
	size_t i;

	json_u64(l, "id", op->id);
	json_u64(l, "seq", op->seq);
	json_string(l, "state", aop_state_name(op->state));
	for (i = 0; i < NR_FLAGS; i++)
		put_bool(l, flags[i].name, op->flags & flags[i].flag);
	json_string(l, "label", op->label);
	if (op->pid)
		json_s64(l, "pid", op->pid);
	if (op->command[0])
		json_string(l, "command", op->command);
	json_u64(l, "uid", op->uid);
	json_u64(l, "gid", op->gid);
	json_u64(l, "mode", op->mode);
	if (op->parent)
		json_u64(l, "parent", op->parent);
	json_u64(l, "watchers", op->watchers);
	if (op->members) {
		json_u64(l, "members", op->members);
		json_u64(l, "need", op->need);
	}
	json_u64(l, "done", op->done);
	if (op->total)
		json_u64(l, "total", op->total);
	json_u64(l, "age_ns", op_age(op, now));
	json_u64(l, "created_ns", op->created);
	if (op->started)
		json_u64(l, "started_ns", op->started);
	json_u64(l, "changed_ns", op->changed);
	if (op->deadline)
		json_u64(l, "deadline_ns", op->deadline);
	put_end(l, op);
}

void json_print_op(FILE *f, const struct op *op, uint64_t now)
{
	struct json_line l;

	json_begin(&l);
	json_op(&l, op, now);
	json_end(&l, f);
}

void json_print_event(FILE *f, const struct event *e)
{
	static const char *const types[] = {
		[EVENT_OP] = "op",
		[EVENT_READY] = "ready",
		[EVENT_LOST] = "lost",
	};
	struct json_line l;

	json_begin(&l);
	if (e->type == EVENT_OP)
		json_op(&l, &e->op, e->time);
	json_u64(&l, "time_ns", e->time);
	json_string(&l, "event", types[e->type]);
	if (e->type == EVENT_LOST)
		json_u64(&l, "count", e->lost);
	json_end(&l, f);
}

/* ---- reading -------------------------------------------------------------------------- */

static uint64_t get_u64(struct json_object *o, const char *name)
{
	return json_object_get_uint64(json_object_object_get(o, name));
}

static void get_string(struct json_object *o, const char *name, char *buf, size_t size)
{
	const char *s = json_object_get_string(json_object_object_get(o, name));

	snprintf(buf, size, "%s", s ? s : "");
}

int json_to_op(struct json_object *o, struct op *op)
{
	const char *state = json_object_get_string(json_object_object_get(o, "state"));
	size_t i;

	memset(op, 0, sizeof(*op));
	op->id = get_u64(o, "id");
	if (!op->id || !state)
		return -EINVAL;
	while (op->state < AOP_NR_STATES && strcmp(aop_state_name(op->state), state))
		op->state++;
	if (op->state == AOP_NR_STATES)
		return -EINVAL;
	for (i = 0; i < NR_FLAGS; i++)
		if (json_object_get_boolean(json_object_object_get(o, flags[i].name)))
			op->flags |= flags[i].flag;
	op->seq = get_u64(o, "seq");
	op->pid = get_u64(o, "pid");
	op->uid = get_u64(o, "uid");
	op->gid = get_u64(o, "gid");
	op->mode = get_u64(o, "mode");
	op->parent = get_u64(o, "parent");
	op->watchers = get_u64(o, "watchers");
	op->members = get_u64(o, "members");
	op->need = get_u64(o, "need");
	op->done = get_u64(o, "done");
	op->total = get_u64(o, "total");
	op->created = get_u64(o, "created_ns");
	op->started = get_u64(o, "started_ns");
	op->changed = get_u64(o, "changed_ns");
	op->deadline = get_u64(o, "deadline_ns");
	op->reason = json_object_get_int64(json_object_object_get(o, "reason"));
	op->result = json_object_get_int64(json_object_object_get(o, "result"));
	get_string(o, "label", op->label, sizeof(op->label));
	get_string(o, "command", op->command, sizeof(op->command));
	return 0;
}
