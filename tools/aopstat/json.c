// SPDX-License-Identifier: GPL-2.0
/*
 * json.c - an op as one JSON object, and back
 *
 * The names are promised in aopstat(8): more may come, none goes.  Times are integer
 * nanoseconds.  What is not known, or does not apply, is left out.
 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "aopstat.h"

static void add_u64(struct json_object *o, const char *name, uint64_t n)
{
	json_object_object_add(o, name, json_object_new_uint64(n));
}

static void add_s64(struct json_object *o, const char *name, int64_t n)
{
	json_object_object_add(o, name, json_object_new_int64(n));
}

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

static void add_string(struct json_object *o, const char *name, const char *s)
{
	char buf[4 * AOP_LABEL_SIZE];

	json_object_object_add(o, name, json_object_new_string(utf8_text(buf, sizeof(buf), s)));
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

static void add_end(struct json_object *o, const struct op *op)
{
	if (op->flags & AOP_F_ASKED || op->state == AOP_CANCELLED) {
		add_s64(o, "reason", op->reason);
		add_string(o, "reason_name", error_name(op->reason));
	}
	if (!op_is_final(op))
		return;
	add_s64(o, "result", op->result);
	if (op->state == AOP_FAILED)
		add_string(o, "error", error_name(op->result));
	add_u64(o, "ended_ns", op->changed);
}

struct json_object *json_of_op(const struct op *op, uint64_t now)
{
	struct json_object *o = json_object_new_object();
	size_t i;

	if (!o)
		return NULL;
	add_u64(o, "id", op->id);
	add_u64(o, "seq", op->seq);
	add_string(o, "state", aop_state_name(op->state));
	for (i = 0; i < NR_FLAGS; i++)
		json_object_object_add(o, flags[i].name,
				       json_object_new_boolean(op->flags & flags[i].flag));
	add_string(o, "label", op->label);
	if (op->pid)
		add_s64(o, "pid", op->pid);
	if (op->command[0])
		add_string(o, "command", op->command);
	add_u64(o, "uid", op->uid);
	add_u64(o, "gid", op->gid);
	add_u64(o, "mode", op->mode);
	if (op->parent)
		add_u64(o, "parent", op->parent);
	add_u64(o, "watchers", op->watchers);
	if (op->members) {
		add_u64(o, "members", op->members);
		add_u64(o, "need", op->need);
	}
	add_u64(o, "done", op->done);
	if (op->total)
		add_u64(o, "total", op->total);
	add_u64(o, "age_ns", op_age(op, now));
	add_u64(o, "created_ns", op->created);
	if (op->started)
		add_u64(o, "started_ns", op->started);
	add_u64(o, "changed_ns", op->changed);
	if (op->deadline)
		add_u64(o, "deadline_ns", op->deadline);
	add_end(o, op);
	return o;
}

void json_print(FILE *f, struct json_object *o)
{
	const char *text;

	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	fprintf(f, "%s\n", text ? text : "{}");
	json_object_put(o);
}

void json_print_op(FILE *f, const struct op *op, uint64_t now)
{
	json_print(f, json_of_op(op, now));
}

void json_print_event(FILE *f, const struct event *e)
{
	static const char *const types[] = {
		[EVENT_OP] = "op",
		[EVENT_READY] = "ready",
		[EVENT_LOST] = "lost",
	};
	struct json_object *o;

	o = e->type == EVENT_OP ? json_of_op(&e->op, e->time) : json_object_new_object();
	add_u64(o, "time_ns", e->time);
	add_string(o, "event", types[e->type]);
	if (e->type == EVENT_LOST)
		add_u64(o, "count", e->lost);
	json_print(f, o);
}

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
