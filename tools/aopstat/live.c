// SPDX-License-Identifier: GPL-2.0
/*
 * live.c - the live table: keys, events, frames
 *
 * The table takes every event; what is drawn is only what is on the screen, and no more
 * often than drawing takes a fraction of the time.  A filter that is kept goes to the
 * kernel, too, so that only what it lets through is told.  On every way out but SIGKILL the
 * terminal is restored, by returning from here.
 */
#include <aop/monitor.h>
#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "live.h"

#define KEEP_DONE	(5 * NSEC_PER_SEC)
#define KEEP_FAILED	(15 * NSEC_PER_SEC)
#define FRAME		(NSEC_PER_SEC / 5)
#define ESC		27
#define COLUMNS		"id,state,label,bar,rate,left,age,deadline,watchers,owner,user"
#define CTRL_L		12
#define CTRL_U		21

__attribute__((format(printf, 2, 3)))
static void tell(struct live *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->message, sizeof(l->message), fmt, ap);
	va_end(ap);
	l->message_until = aop_now() + 4 * NSEC_PER_SEC;
}

static int draw(struct live *l)
{
	uint64_t begun = aop_now();
	int ret;

	l->now = l->frozen ? l->still_now : source_now(l->loop.source);
	ret = screen_frame(l);
	l->frames++;
	/* A quarter of the time at the most. */
	l->next_frame = begun + 4 * (aop_now() - begun);
	return ret;
}

/* ---- events -------------------------------------------------------------------------- */

static int on_event(void *data, const struct event *e)
{
	struct live *l = data;

	return table_event(&l->table, e);
}

static int on_tick(struct loop *loop)
{
	struct live *l = loop->data;
	int ret;

	table_expire(&l->table, source_now(loop->source), KEEP_DONE, KEEP_FAILED);
	if ((uint64_t)aop_now() < l->next_frame)
		return 0;
	ret = draw(l);
	return ret ?: l->set->count && l->frames >= l->set->count;
}

static int on_signal(struct loop *loop, int sig)
{
	struct live *l = loop->data;

	switch (sig) {
	case SIGWINCH:
	case SIGCONT:
		screen_resize();
		return draw(l);
	case SIGTSTP:
		screen_suspend();
		return draw(l);
	default:
		return 1;
	}
}

/* ---- what keys do ---------------------------------------------------------------------- */

static int freeze(struct live *l)
{
	const struct op *op;
	size_t i;

	if (l->frozen) {
		table_free(&l->still);
		l->frozen = false;
		return 0;
	}
	if (table_init(&l->still))
		return -ENOMEM;
	l->still_now = source_now(l->loop.source);
	for (i = 0; i < l->table.size; i++)
		for (op = l->table.hash[i]; op; op = op->next)
			if (!table_put(&l->still, op))
				return -ENOMEM;
	l->still.ready = l->table.ready;
	l->still.lost = l->table.lost;
	memcpy(l->still.ended, l->table.ended, sizeof(l->still.ended));
	l->frozen = true;
	return 0;
}

static void sort_by_neighbour(struct live *l, int step)
{
	unsigned int i;

	for (i = 0; i < l->columns.n; i++)
		if (l->sort.n && l->columns.column[i] == l->sort.column[0])
			break;
	/* Sorted by something that is not shown: begin with the first. */
	i = i == l->columns.n ? 0 : (i + l->columns.n + step) % l->columns.n;
	l->sort.n = 1;
	l->sort.column[0] = l->columns.column[i];
	l->sort.reverse[0] = false;
}

static void reverse(struct live *l)
{
	unsigned int i;

	for (i = 0; i < l->sort.n; i++)
		l->sort.reverse[i] = !l->sort.reverse[i];
}

static void ask(struct live *l, enum mode under)
{
	const struct op *op;

	l->question = under == MODE_DETAILS ? l->selected : l->marked;
	op = table_find(live_table(l), l->question);
	if (l->set->from)
		tell(l, "this is a recording");
	else if (!op)
		tell(l, "there is nothing to cancel");
	else if (op_is_final(op))
		tell(l, "op %llu has ended", (unsigned long long)op->id);
	else {
		l->under = under;
		l->mode = MODE_QUESTION;
	}
}

static void cancel(struct live *l)
{
	static const char *const answers[] = {
		[AOP_ASKED] = "has been asked to stop",
		[AOP_STOPPED] = "is cancelled",
		[AOP_TOO_LATE] = "has ended before",
	};
	int ret = aop_monitor_cancel(l->question, l->set->reason);

	if (ret >= 0 && ret <= AOP_TOO_LATE)
		tell(l, "op %llu %s", (unsigned long long)l->question, answers[ret]);
	else if (ret == -EACCES || ret == -EPERM)
		tell(l, "you may not cancel op %llu", (unsigned long long)l->question);
	else
		tell(l, "op %llu: %s", (unsigned long long)l->question, strerror(-ret));
}

/* True: the key moves. */
static bool move_key(struct live *l, int key)
{
	size_t last = l->n ? l->n - 1 : 0, page = l->page;

	switch (key) {
	case KEY_UP:
	case 'k':
		l->place -= l->place > 0;
		break;
	case KEY_DOWN:
	case 'j':
		l->place += l->place < last;
		break;
	case KEY_PPAGE:
		l->place -= l->place < page ? l->place : page;
		break;
	case KEY_NPAGE:
		l->place += last - l->place < page ? last - l->place : page;
		break;
	case KEY_HOME:
	case 'g':
		l->place = 0;
		break;
	case KEY_END:
	case 'G':
		l->place = last;
		break;
	default:
		return false;
	}
	return true;
}

static int table_key(struct live *l, int key)
{
	int ret;

	if (move_key(l, key)) {
		/* From now on it is this op that is marked, wherever it goes. */
		l->selected = 0;
		ret = draw(l);
		l->selected = l->marked;
		return ret;
	}
	switch (key) {
	case 'q':
		return 1;
	case '\r':
	case '\n':
	case KEY_ENTER:
		l->selected = l->marked;
		l->scroll = 0;
		if (l->selected)
			l->mode = MODE_DETAILS;
		break;
	case '/':
		strcpy(l->before, l->typed);
		l->mode = MODE_FILTER;
		/* What is typed next may match others. */
		return source_filter(l->loop.source, &l->set->filter);
	case '<':
	case '>':
		sort_by_neighbour(l, key == '<' ? -1 : 1);
		break;
	case 'r':
		reverse(l);
		break;
	case ' ':
		return freeze(l);
	case 'c':
		ask(l, MODE_TABLE);
		break;
	case '?':
	case 'h':
		l->scroll = 0;
		l->mode = MODE_HELP;
		break;
	}
	return 0;
}

/* A filter that is not right yet changes nothing.  That of -f holds beside it. */
static void retype(struct live *l)
{
	struct filter *new = malloc(sizeof(*new));

	if (!new)
		return;
	l->wrong[0] = '\0';
	*new = l->set->filter;
	if (!filter_add(new, l->typed, l->wrong, sizeof(l->wrong)))
		l->filter = *new;
	free(new);
}

static int filter_key(struct live *l, int key)
{
	size_t len = strlen(l->typed);

	switch (key) {
	case '\r':
	case '\n':
	case KEY_ENTER:
		l->mode = MODE_TABLE;
		return source_filter(l->loop.source, &l->filter);
	case ESC:
		strcpy(l->typed, l->before);
		l->mode = MODE_TABLE;
		retype(l);
		return source_filter(l->loop.source, &l->filter);
	case KEY_BACKSPACE:
	case 127:
	case '\b':
		/* A whole character. */
		while (len && (l->typed[--len] & 0xc0) == 0x80)
			;
		l->typed[len] = '\0';
		break;
	case CTRL_U:
		l->typed[0] = '\0';
		break;
	default:
		if (key < ' ' || key > 255 || len + 1 >= sizeof(l->typed))
			return 0;
		l->typed[len] = key;
		l->typed[len + 1] = '\0';
	}
	retype(l);
	return 0;
}

static int text_key(struct live *l, int key)
{
	switch (key) {
	case KEY_UP:
	case 'k':
		l->scroll -= l->scroll > 0;
		break;
	case KEY_DOWN:
	case 'j':
		l->scroll++;
		break;
	case KEY_PPAGE:
		l->scroll -= l->scroll < l->page ? l->scroll : l->page;
		break;
	case KEY_NPAGE:
		l->scroll += l->page;
		break;
	case 'q':
		return 1;
	case 'c':
		if (l->mode == MODE_DETAILS)
			ask(l, MODE_DETAILS);
		break;
	case ESC:
	case '\r':
	case '\n':
	case KEY_ENTER:
	case KEY_LEFT:
		l->mode = MODE_TABLE;
		break;
	}
	return 0;
}

static int on_key(struct loop *loop)
{
	struct live *l = loop->data;
	int key, ret = 0;

	while (!ret && (key = screen_key()) != -1) {
		/* What resizeterm() leaves behind says nothing new. */
		if (key == KEY_RESIZE)
			continue;
		if (key == CTRL_L) {
			screen_resize();
			continue;
		}
		switch (l->mode) {
		case MODE_TABLE:
			ret = table_key(l, key);
			break;
		case MODE_FILTER:
			ret = filter_key(l, key);
			break;
		case MODE_QUESTION:
			l->mode = l->under;
			l->under = MODE_TABLE;
			if (key == 'y' || key == 'Y')
				cancel(l);
			break;
		default:
			ret = text_key(l, key);
		}
	}
	return ret ?: draw(l);
}

/* ---- from begin to end ------------------------------------------------------------------ */

static int show(struct live *l)
{
	int ret;

	ret = source_open(&l->loop.source, l->set, FOLLOW, on_event, l);
	if (ret)
		return ret;
	if (screen_open()) {
		complain("this terminal cannot show a table");
		ret = EXIT_SYSTEM;
	} else {
		ret = draw(l) ?: loop_run(&l->loop);
		screen_close();
		if (l->table.lost)
			complain("%llu events were lost", (unsigned long long)l->table.lost);
	}
	source_close(l->loop.source);
	return ret;
}

int cmd_live(struct settings *s, int argc, char **argv)
{
	struct live l = {
		.set = s,
		.filter = s->filter,
		.loop = { .tick = on_tick, .key = on_key, .signal = on_signal },
	};
	int ret;

	(void)argc;
	(void)argv;
	if (columns_parse(&l.columns, s->columns ?: COLUMNS, false) ||
	    columns_parse(&l.sort, s->sort ?: "state,-age", true))
		return EXIT_USAGE;
	l.loop.interval = s->delay ?: FRAME;
	l.loop.data = &l;
	if (table_init(&l.table))
		return live_complain(-ENOMEM);
	ret = show(&l);
	if (l.frozen)
		table_free(&l.still);
	table_free(&l.table);
	return loop_exit(&l.loop, ret);
}
