// SPDX-License-Identifier: GPL-2.0
/*
 * table.c - the ops that have been seen, by id
 *
 * A pointer to an op stays good until it is removed or expires.  Sorting puts only what
 * is shown in order, so a frame costs O(ops) however many there are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aopstat.h"

#define FIRST_SIZE	1024
#define CHUNK		512			/* ops that are allocated together */
#define RATE_NS		(NSEC_PER_SEC / 4)	/* between two measurements */

static size_t slot_of(const struct table *t, uint64_t id)
{
	return (id * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (t->size - 1);
}

int table_init(struct table *t)
{
	memset(t, 0, sizeof(*t));
	t->hash = calloc(FIRST_SIZE, sizeof(*t->hash));
	if (!t->hash)
		return -ENOMEM;
	t->size = FIRST_SIZE;
	return 0;
}

/* Never moved, so that pointers stay good. */
struct chunk {
	struct chunk *next;
	struct op ops[CHUNK];
};

static struct op *new_op(struct table *t)
{
	struct op *op = t->spare;
	struct chunk *chunk;
	size_t i;

	if (!op) {
		chunk = malloc(sizeof(*chunk));
		if (!chunk)
			return NULL;
		chunk->next = t->chunks;
		t->chunks = chunk;
		for (i = 0; i < CHUNK; i++) {
			chunk->ops[i].next = op;
			op = &chunk->ops[i];
		}
	}
	t->spare = op->next;
	return op;
}

void table_free(struct table *t)
{
	struct chunk *chunk, *next;

	for (chunk = t->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(t->hash);
	memset(t, 0, sizeof(*t));
}

static void grow(struct table *t)
{
	struct table bigger = { .size = 2 * t->size };
	struct op *op, *next;
	size_t i, k;

	bigger.hash = calloc(bigger.size, sizeof(*bigger.hash));
	/* Longer chains do as well. */
	if (!bigger.hash)
		return;
	for (i = 0; i < t->size; i++) {
		for (op = t->hash[i]; op; op = next) {
			next = op->next;
			k = slot_of(&bigger, op->id);
			op->next = bigger.hash[k];
			bigger.hash[k] = op;
		}
	}
	free(t->hash);
	t->hash = bigger.hash;
	t->size = bigger.size;
}

struct op *table_find(const struct table *t, uint64_t id)
{
	struct op *op = t->hash[slot_of(t, id)];

	while (op && op->id != id)
		op = op->next;
	return op;
}

/* Smoothed, so that it can be read. */
static void measure(struct op *op, const struct op *from)
{
	uint64_t time = op->changed, since = from->rate_time;
	double rate;

	op->rate = from->rate;
	op->rate_time = since;
	op->rate_done = from->rate_done;
	if (op->state != AOP_RUNNING)
		return;
	if (!since || op->done < op->rate_done) {
		op->rate_time = time;
		op->rate_done = op->done;
		return;
	}
	if (time < since + RATE_NS)
		return;
	rate = (op->done - op->rate_done) * 1e9 / (time - since);
	op->rate = op->rate > 0 ? 0.7 * op->rate + 0.3 * rate : rate;
	op->rate_time = time;
	op->rate_done = op->done;
}

/*
 * What ended before the last snapshot, or so long ago that it has expired, was counted if
 * it was seen; it may be told again, by that snapshot or because its owner has let go.
 */
bool table_is_end(const struct table *t, const struct op *new)
{
	const struct op *op = table_find(t, new->id);

	if (!op_is_final(new))
		return false;
	return op ? !op_is_final(op) : new->changed >= t->since;
}

struct op *table_put(struct table *t, const struct op *new)
{
	struct op *op = table_find(t, new->id), old;
	bool ends = t->ready && table_is_end(t, new);
	size_t i;

	if (op) {
		old = *op;
		*op = *new;
		op->next = old.next;
		measure(op, &old);
	} else {
		op = new_op(t);
		if (!op)
			return NULL;
		if (t->n >= t->size)
			grow(t);
		old = (struct op){ .state = AOP_PENDING };
		*op = *new;
		i = slot_of(t, op->id);
		op->next = t->hash[i];
		t->hash[i] = op;
		t->n++;
		measure(op, &old);
	}
	op->round = t->round;
	t->ended[op->state] += ends;
	return op;
}

static void unlink_op(struct table *t, struct op **at)
{
	struct op *op = *at;

	*at = op->next;
	op->next = t->spare;
	t->spare = op;
	t->n--;
}

/*
 * After a loss there is a new snapshot.  What is not in it has ended, nobody knows how;
 * but what was seen to end is shown for its time.
 */
static void remove_unseen(struct table *t)
{
	struct op **at;
	size_t i;

	for (i = 0; i < t->size; i++) {
		for (at = &t->hash[i]; *at; ) {
			if ((*at)->round != t->round && !op_is_final(*at))
				unlink_op(t, at);
			else
				at = &(*at)->next;
		}
	}
}

void table_expire(struct table *t, uint64_t now, uint64_t done, uint64_t failed)
{
	uint64_t keep;
	struct op **at;
	size_t i;

	if (now > t->since + done)
		t->since = now - done;
	for (i = 0; i < t->size; i++) {
		for (at = &t->hash[i]; *at; ) {
			keep = (*at)->state == AOP_DONE ? done : failed;
			if (op_is_final(*at) && now > (*at)->changed + keep)
				unlink_op(t, at);
			else
				at = &(*at)->next;
		}
	}
}

int table_event(struct table *t, const struct event *e)
{
	switch (e->type) {
	case EVENT_OP:
		return table_put(t, &e->op) ? 0 : -ENOMEM;
	case EVENT_READY:
		remove_unseen(t);
		t->ready = true;
		return 0;
	default:
		t->lost += e->lost;
		t->round++;
		t->since = e->time;
		return 0;
	}
}

/* ---- sorting ----------------------------------------------------------------------------- */

/* What is sorted: mostly the key alone decides, and it is worked out once. */
struct row {
	uint64_t key;
	struct op *op;
};

struct order {
	const struct columns *sort;
	uint64_t now;
};

static int compare(const void *a, const void *b, void *arg)
{
	const struct row *x = a, *y = b;
	const struct order *o = arg;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return columns_compare(o->sort, x->op, y->op, o->now);
}

static void swap(struct row *a, struct row *b)
{
	struct row t = *a;

	*a = *b;
	*b = t;
}

/* By the key, a byte at a time; those in which all are the same take no pass. */
static void sort_by_key(struct row *v, struct row *other, size_t n)
{
	struct row *from = v, *to = other, *was;
	size_t starts[256], i, sum, nr;
	unsigned int shift;

	for (shift = 0; shift < 64; shift += 8) {
		memset(starts, 0, sizeof(starts));
		for (i = 0; i < n; i++)
			starts[from[i].key >> shift & 0xff]++;
		if (starts[from[0].key >> shift & 0xff] == n)
			continue;
		for (i = 0, sum = 0; i < 256; i++, sum += nr) {
			nr = starts[i];
			starts[i] = sum;
		}
		for (i = 0; i < n; i++)
			to[starts[from[i].key >> shift & 0xff]++] = from[i];
		was = from;
		from = to;
		to = was;
	}
	if (from != v)
		memcpy(v, from, n * sizeof(*v));
}

/* In order, with room for as many rows again. */
static void sort_rows(struct row *v, struct row *other, size_t n, struct order *o)
{
	size_t i, same;

	if (n)
		sort_by_key(v, other, n);
	for (i = 0; i < n; i += same) {
		for (same = 1; i + same < n && v[i + same].key == v[i].key; same++)
			;
		if (same > 1)
			qsort_r(v + i, same, sizeof(*v), compare, o);
	}
}

/* Hoare's selection: what belongs before place k gets there. */
static void partition_at(struct row *v, size_t n, size_t k, struct order *o)
{
	size_t i, store;

	while (n > 1 && k && k < n) {
		/* The middle one of three, and to the end with it. */
		if (compare(&v[n / 2], &v[0], o) < 0)
			swap(&v[n / 2], &v[0]);
		if (compare(&v[n - 1], &v[0], o) < 0)
			swap(&v[n - 1], &v[0]);
		if (compare(&v[n / 2], &v[n - 1], o) < 0)
			swap(&v[n / 2], &v[n - 1]);
		for (i = 0, store = 0; i < n - 1; i++)
			if (compare(&v[i], &v[n - 1], o) < 0)
				swap(&v[i], &v[store++]);
		swap(&v[store], &v[n - 1]);
		if (k <= store) {
			n = store;
		} else {
			v += store + 1;
			n -= store + 1;
			k -= store + 1;
		}
	}
}

long table_rows(struct table *t, const struct filter *f, const struct columns *sort,
		uint64_t now, size_t from, size_t count, struct op ***rows)
{
	struct order o = { .sort = sort, .now = now };
	struct row *v;
	struct op *op;
	size_t i, n = 0;

	v = malloc((2 * t->n + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (i = 0; i < t->size; i++) {
		for (op = t->hash[i]; op; op = op->next) {
			if (!filter_match(f, op, now))
				continue;
			v[n].key = columns_key(sort, op, now);
			v[n++].op = op;
		}
	}
	if (from > n)
		from = n;
	if (count > n - from)
		count = n - from;
	partition_at(v, n, from, &o);
	partition_at(v + from, n - from, count, &o);
	sort_rows(v + from, v + t->n, count, &o);
	/* In place: a pointer takes no more room than a row, and comes before it. */
	*rows = (struct op **)v;
	for (i = 0; i < n; i++)
		(*rows)[i] = v[i].op;
	return n;
}

/* ---- as text ------------------------------------------------------------------------------ */

/* Without blanks behind the last column. */
void cell_print(FILE *f, const char *text, unsigned int width, bool right, bool last)
{
	size_t have = columns_of(text), pad = have < width ? width - have : 0;

	if (!right)
		fputs(text, f);
	if (right || !last)
		while (pad--)
			putc_unlocked(' ', f);
	if (right)
		fputs(text, f);
	fputs(last ? "" : "  ", f);
}

/* Texts of all cells, one behind the other; how long each is, and how wide. */
struct cells {
	char *text;
	size_t len, size;
	struct extent {
		uint16_t len, wide;
	} *extent;
};

static int cells_add(struct cells *c, const struct column *col, const struct op *op, uint64_t now,
		     struct extent *e)
{
	char *text = c->text;

	if (c->size - c->len < COLUMN_TEXT) {
		text = realloc(c->text, 2 * c->size + COLUMN_TEXT);
		if (!text)
			return -ENOMEM;
		c->text = text;
		c->size = 2 * c->size + COLUMN_TEXT;
	}
	text += c->len;
	col->text(text, COLUMN_TEXT, op, now);
	e->wide = columns_of(text);
	/* A column takes a byte at least. */
	e->len = text[e->wide] ? strlen(text) : e->wide;
	c->len += e->len;
	return 0;
}

/* Making the text is most of the work: once for each cell. */
static int cells_make(struct cells *cells, struct op *const *rows, size_t n,
		      const struct columns *c, uint64_t now, unsigned int *widths)
{
	struct extent *e;
	unsigned int i;
	size_t r;

	*cells = (struct cells){ .extent = malloc((n * c->n + 1) * sizeof(*e)) };
	if (!cells->extent)
		return -ENOMEM;
	for (r = 0, e = cells->extent; r < n; r++) {
		for (i = 0; i < c->n; i++, e++) {
			if (cells_add(cells, c->column[i], rows[r], now, e))
				return -ENOMEM;
			if (e->wide > widths[i])
				widths[i] = e->wide;
		}
	}
	return 0;
}

/*
 * Lines that are to be written.  Most texts are short: copying SHORT bytes at once, of which
 * the next text overwrites some, takes less than asking how many.
 */
#define SHORT		16
#define LINE		(MAX_COLUMNS * (2 * COLUMN_TEXT + 16) + SHORT)

struct lines {
	FILE *f;
	char *at;
	char text[65536 + LINE];
};

static char *add(char *at, const char *text, size_t len)
{
	if (len <= SHORT)
		memcpy(at, text, SHORT);
	else
		memcpy(at, text, len);
	return at + len;
}

static char *pad(char *at, unsigned int n)
{
	if (n <= SHORT)
		memset(at, ' ', SHORT);
	else
		memset(at, ' ', n);
	return at + n;
}

static void lines_write(struct lines *l)
{
	fwrite_unlocked(l->text, 1, l->at - l->text, l->f);
	l->at = l->text;
}

/* Returns the text of the next row. */
static const char *print_row(struct lines *l, const struct op *op, const struct columns *c,
			     const unsigned int *widths, const char *cell, const struct extent *e)
{
	char *at = l->at;
	unsigned int i;

	for (i = 0; i < c->n; i++, e++) {
		bool last = i == c->n - 1, state = column_is_state(c->column[i]);
		unsigned int space = widths[i] - e->wide;

		if (state)
			at = stpcpy(at, colour_of(op));
		if (c->column[i]->right)
			at = pad(at, space);
		at = add(at, cell, e->len);
		cell += e->len;
		if (!last)
			at = pad(at, c->column[i]->right ? 2 : space + 2);
		if (state)
			at = stpcpy(at, colour_end());
	}
	*at++ = '\n';
	l->at = at;
	if (at > l->text + sizeof(l->text) - LINE)
		lines_write(l);
	return cell;
}

/* Columns are as wide as what is in them. */
int table_print(FILE *f, struct op *const *rows, size_t n, const struct columns *c,
		uint64_t now, bool header)
{
	unsigned int widths[MAX_COLUMNS], i;
	static struct lines lines;
	struct cells cells;
	const char *cell;
	size_t r;
	int ret;

	for (i = 0; i < c->n; i++)
		widths[i] = header ? strlen(c->column[i]->header) : 1;
	ret = cells_make(&cells, rows, n, c, now, widths);
	if (!ret && header) {
		for (i = 0; i < c->n; i++)
			cell_print(f, c->column[i]->header, widths[i], c->column[i]->right,
				   i == c->n - 1);
		fputc('\n', f);
	}
	lines.f = f;
	lines.at = lines.text;
	for (r = 0, cell = cells.text; !ret && r < n; r++)
		cell = print_row(&lines, rows[r], c, widths, cell, cells.extent + r * c->n);
	lines_write(&lines);
	free(cells.text);
	free(cells.extent);
	return ret;
}
