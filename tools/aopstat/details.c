// SPDX-License-Identifier: GPL-2.0
/*
 * details.c - all about one op, and the tree of what it is made of
 */
#include <aop/monitor.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aopstat.h"

#define MAX_LINES	1000		/* of a tree */

/* ---- other ops -------------------------------------------------------------------- */

int lookup_op(const struct lookup *l, uint64_t id, struct op *op)
{
	struct aop_info info = { .size = sizeof(info) };
	const struct op *found;
	int ret;

	if (l->table) {
		found = table_find(l->table, id);
		if (found)
			*op = *found;
		if (found || !l->system)
			return found ? 0 : -ENOENT;
	}
	ret = aop_monitor_get(id, &info);
	if (ret >= 0)
		op_of_info(op, &info);
	return ret < 0 ? ret : 0;
}

struct parts {
	uint64_t *ids;
	size_t n;
};

static void add_part(struct parts *p, uint64_t id)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->ids[i] == id)
			return;
	if (p->n < MAX_PARTS)
		p->ids[p->n++] = id;
}

static void add_listed(void *data, const struct aop_info *info)
{
	add_part(data, info->st.id);
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

long lookup_parts(const struct lookup *l, const struct op *op, uint64_t **ids)
{
	struct aop_filter children = { .size = sizeof(children), .parent = op->id };
	struct parts p = { .n = 0 };
	const struct op *other;
	size_t i, members;
	int n;

	p.ids = malloc(MAX_PARTS * sizeof(*p.ids));
	if (!p.ids)
		return -ENOMEM;
	if (op->members && l->system) {
		n = aop_monitor_members(op->id, p.ids, MAX_PARTS);
		if (n > 0)
			p.n = n < MAX_PARTS ? n : MAX_PARTS;
	}
	members = p.n;
	for (i = 0; l->table && i < l->table->size; i++)
		for (other = l->table->hash[i]; other; other = other->next)
			if (other->parent == op->id)
				add_part(&p, other->id);
	/* What cannot be listed is not shown. */
	if (!l->table)
		aop_monitor_list(&children, add_listed, &p);
	qsort(p.ids + members, p.n - members, sizeof(*p.ids), compare_ids);
	*ids = p.ids;
	return p.n;
}

/* ---- the tree ----------------------------------------------------------------------- */

struct tree {
	FILE *f;
	const struct lookup *lookup;
	uint64_t now;
	bool ascii;
	unsigned int lines;
	char indent[8 * AOP_MAX_DEPTH + 8];
};

static const char *branch(const struct tree *t, bool last)
{
	if (t->ascii)
		return last ? "`- " : "|- ";
	return last ? "└─ " : "├─ ";
}

static const char *trunk(const struct tree *t, bool last)
{
	if (last)
		return "   ";
	return t->ascii ? "|  " : "│  ";
}

static void print_node(const struct tree *t, const struct op *op)
{
	char label[COLUMN_TEXT], age[SIZE_TEXT];

	fprintf(t->f, "%llu %s", (unsigned long long)op->id, aop_state_name(op->state));
	if (op->state == AOP_DONE)
		fprintf(t->f, " %lld", (long long)op->result);
	else if (op_is_final(op))
		fprintf(t->f, " %s", error_name(op->result));
	else if (op->total)
		fprintf(t->f, " %d%%", (int)(100.0 * op->done / op->total));
	fprintf(t->f, "  %s  %s\n", duration_text(age, op_age(op, t->now)),
		clean(label, sizeof(label), op->label));
}

static void print_parts(struct tree *t, const struct op *op, unsigned int depth)
{
	size_t indent = strlen(t->indent);
	uint64_t *ids;
	struct op part;
	long i, n;

	n = lookup_parts(t->lookup, op, &ids);
	for (i = 0; i < n && t->lines < MAX_LINES; i++, t->lines++) {
		bool last = i == n - 1;

		fprintf(t->f, "  %s%s", t->indent, branch(t, last));
		if (lookup_op(t->lookup, ids[i], &part)) {
			fprintf(t->f, "%llu (not to be seen)\n", (unsigned long long)ids[i]);
			continue;
		}
		print_node(t, &part);
		if (depth == AOP_MAX_DEPTH)
			continue;
		strcat(t->indent, trunk(t, last));
		print_parts(t, &part, depth + 1);
		t->indent[indent] = '\0';
	}
	if (n >= 0)
		free(ids);
}

/* ---- the op itself ------------------------------------------------------------------- */

static void print_state(FILE *f, const struct op *op)
{
	fprintf(f, "%-10s%s%s%s", "state", colour_of(op), aop_state_name(op->state),
		colour_end());
	if (op->state == AOP_DONE)
		fprintf(f, ", result %lld", (long long)op->result);
	else if (op->state == AOP_FAILED)
		fprintf(f, ", %s: %s", error_name(op->result), strerror(-op->result));
	else if (op->state == AOP_CANCELLED)
		fprintf(f, ", %s", error_name(op->reason));
	if (op->flags & AOP_F_SYSTEM)
		fprintf(f, ", by the system");
	if (op->flags & AOP_F_ASKED && op->state != AOP_CANCELLED)
		fprintf(f, ", cancel requested (%s)", error_name(op->reason));
	if (op->flags & AOP_F_ORPHAN)
		fprintf(f, ", abandoned");
	if (op->flags & AOP_F_LOST)
		fprintf(f, ", out of sight");
	if (op_is_final(op) && !(op->flags & AOP_F_OVER))
		fprintf(f, ", its owner has not let go");
	fprintf(f, "\n");
}

static const struct column *column_named(const char *name)
{
	const struct column *c;
	unsigned int i;

	for (i = 0; (c = column_at(i)) && strcmp(c->name, name); i++)
		;
	return c;
}

static void print_column(FILE *f, const char *title, const char *name, const char *after,
			 const struct op *op, uint64_t now)
{
	char text[COLUMN_TEXT];

	column_named(name)->text(text, sizeof(text), op, now);
	if (strcmp(text, "-"))
		fprintf(f, "%s%s%s", title, text, after);
}

static void print_progress(FILE *f, const struct op *op, uint64_t now)
{
	char bar[3 * 20 + 8];

	if (!op->done && !op->total)
		return;
	fprintf(f, "%-10s", "progress");
	if (op->total) {
		bar_text(bar, sizeof(bar), op, 20);
		fprintf(f, "%s ", bar);
		print_column(f, "", "progress", ", ", op, now);
	}
	fprintf(f, "%llu", (unsigned long long)op->done);
	if (op->total)
		fprintf(f, " of %llu", (unsigned long long)op->total);
	print_column(f, ", ", "rate", "", op, now);
	print_column(f, ", ", "left", " left", op, now);
	fprintf(f, "\n");
}

void details_print(FILE *f, const struct lookup *l, const struct op *op, uint64_t now,
		   bool ascii)
{
	struct tree t = { .f = f, .lookup = l, .now = now, .ascii = ascii || !text_is_utf8() };
	char text[COLUMN_TEXT];

	fprintf(f, "%-10s%llu\n", "op", (unsigned long long)op->id);
	if (op->label[0])
		fprintf(f, "%-10s%s\n", "label", clean(text, sizeof(text), op->label));
	print_state(f, op);
	print_progress(f, op, now);
	column_named("owner")->text(text, sizeof(text), op, now);
	fprintf(f, "%-10s%s, user %s (%u), group %u\n", "owner", text, user_name(op->uid), op->uid,
		op->gid);
	fprintf(f, "%-10s%u\n", "watchers", op->watchers);
	fprintf(f, "%-10s%04o\n", "mode", op->mode);
	print_column(f, "pending   ", "wait", "\n", op, now);
	print_column(f, "running   ", "run", "\n", op, now);
	print_column(f, "changed   ", "idle", " ago\n", op, now);
	print_column(f, "deadline  in ", "deadline", "\n", op, now);
	if (op->parent)
		fprintf(f, "%-10s%llu\n", "parent", (unsigned long long)op->parent);
	if (op->members)
		fprintf(f, "%-10s%u of %u decide it\n", "group", op->need, op->members);
	print_parts(&t, op, 1);
}
