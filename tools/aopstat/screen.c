// SPDX-License-Identifier: GPL-2.0
/*
 * screen.c - draws the live table with ncurses
 *
 * ncurses handles no signal: loop.c takes them, and live.c calls what is needed here.
 */
#include <errno.h>
#include <ncurses.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "live.h"

#define TITLE	"aopstat  %zu ops: %llu running, %llu pending; ended: " \
	"%llu done, %llu failed, %llu cancelled; %llu events lost"
#define AROUND		4		/* lines that are no rows */
#define LEAST_LABEL	12
#define PAIR(state)	((state) + 1)

static SCREEN *screen;
static bool coloured;

int screen_open(void)
{
	static const short of[AOP_NR_STATES] = {
		[AOP_PENDING] = COLOR_BLUE,
		[AOP_RUNNING] = COLOR_CYAN,
		[AOP_DONE] = COLOR_GREEN,
		[AOP_FAILED] = COLOR_RED,
		[AOP_CANCELLED] = COLOR_YELLOW,
	};
	const char *term = getenv("TERM");
	unsigned int i;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !term || !strcmp(term, "dumb"))
		return -ENOTTY;
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return -ENOTTY;
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	coloured = colours && has_colors() && start_color() == OK;
	if (coloured) {
		use_default_colors();
		for (i = 0; i < AOP_NR_STATES; i++)
			init_pair(PAIR(i), of[i], -1);
	}
	/* What is printed into lines here has none of its own. */
	colours = false;
	complaints_hold(true);
	return 0;
}

void screen_close(void)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
	complaints_hold(false);
}

void screen_resize(void)
{
	struct winsize ws;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) && ws.ws_row && ws.ws_col)
		resizeterm(ws.ws_row, ws.ws_col);
	clearok(stdscr, TRUE);
}

void screen_suspend(void)
{
	sigset_t set;

	endwin();
	signal(SIGTSTP, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	/* Here it stops, and here it goes on. */
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	reset_prog_mode();
	screen_resize();
}

int screen_key(void)
{
	int key = getch();

	return key == ERR ? -1 : key;
}

/* ---- lines ---------------------------------------------------------------------------- */

/* The whole line, cut to the screen. */
static void put_line(int y, attr_t attr, const char *text)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s", text);
	cut(line, COLS);
	attrset(attr);
	move(y, 0);
	addstr(line);
	if (attr & A_REVERSE)
		hline(' ' | attr, COLS);
	clrtoeol();
	attrset(A_NORMAL);
}

static void put_title(struct live *l)
{
	const struct table *t = live_table(l);
	char text[512];

	snprintf(text, sizeof(text),
		 TITLE "%s%s%s", l->n, (unsigned long long)l->of[AOP_RUNNING],
		 (unsigned long long)l->of[AOP_PENDING], (unsigned long long)t->ended[AOP_DONE],
		 (unsigned long long)t->ended[AOP_FAILED],
		 (unsigned long long)t->ended[AOP_CANCELLED], (unsigned long long)t->lost,
		 l->frozen ? "  FROZEN" : "", l->loop.ended ? "  END OF THE RECORDING" : "",
		 t->ready ? "" : "  (reading)");
	put_line(0, A_BOLD, text);
}

static void put_filter(struct live *l)
{
	char text[TYPED_SIZE + MESSAGE_SIZE + 64], sort[128] = "";
	unsigned int i;

	for (i = 0; i < l->sort.n && strlen(sort) < 64; i++)
		snprintf(sort + strlen(sort), 24, "%s%s%s", i ? "," : "",
			 l->sort.reverse[i] ? "-" : "", l->sort.column[i]->name);
	if (l->mode == MODE_FILTER || *l->typed)
		snprintf(text, sizeof(text), "filter: %s%s%s%s", l->typed,
			 l->mode == MODE_FILTER ? "_" : "", *l->wrong ? "   " : "", l->wrong);
	else
		snprintf(text, sizeof(text), "sorted by %s", sort);
	put_line(1, *l->wrong ? A_BOLD : A_NORMAL, text);
}

static void put_bottom(struct live *l)
{
	static const char *const keys[] = {
		[MODE_TABLE] = "q quit  Enter details  / filter  < > sort  c cancel  ? help",
		[MODE_FILTER] = "Enter keep  Esc undo   such as: state=running uid=0 age>10s word",
		[MODE_DETAILS] = "Esc back  Up Down scroll  c cancel  q quit",
		[MODE_HELP] = "Esc back",
	};
	struct op op;
	char text[512], label[COLUMN_TEXT];
	struct lookup find = { .table = &l->table };

	if (l->mode == MODE_QUESTION) {
		if (lookup_op(&find, l->question, &op))
			op.label[0] = '\0';
		snprintf(text, sizeof(text), "Ask the owner of op %llu (%s) to stop? [y/N]",
			 (unsigned long long)l->question,
			 clean(label, sizeof(label), op.label));
		put_line(LINES - 1, A_BOLD, text);
	} else if (aop_now() < (int64_t)l->message_until) {
		put_line(LINES - 1, A_BOLD, l->message);
	} else {
		put_line(LINES - 1, A_DIM, keys[l->mode]);
	}
}

/* ---- the table --------------------------------------------------------------------------- */

/* Which columns there is room for; the label takes what is left. */
static unsigned int choose(const struct columns *from, struct columns *to)
{
	static const char *const spare[] = {
		"deadline", "watchers", "rate", "user", "left", "owner", "age", "bar",
	};
	unsigned int need = 0, i, k;
	bool label = false;

	*to = *from;
	for (i = 0; i < to->n; i++) {
		bool is_label = !strcmp(to->column[i]->name, "label");

		label |= is_label;
		need += 2 + (is_label ? LEAST_LABEL : to->column[i]->width);
	}
	for (k = 0; k < sizeof(spare) / sizeof(spare[0]) && (int)need - 2 > COLS; k++) {
		for (i = 0; i < to->n; i++) {
			if (strcmp(to->column[i]->name, spare[k]))
				continue;
			need -= 2 + to->column[i]->width;
			to->n--;
			memmove(&to->column[i], &to->column[i + 1],
				(to->n - i) * sizeof(to->column[0]));
			break;
		}
	}
	need -= 2;
	return label && (int)need < COLS ? LEAST_LABEL + COLS - need : LEAST_LABEL;
}

static void put_cell(const char *text, unsigned int width, bool right)
{
	char cell[COLUMN_TEXT];
	int x = getcurx(stdscr), room = COLS - x;
	size_t have;

	if (room <= 0)
		return;
	snprintf(cell, sizeof(cell), "%s", text);
	if (width > (unsigned int)room)
		width = room;
	have = cut(cell, width);
	printw("%*s%s%*s", right ? (int)(width - have) : 0, "", cell,
	       right ? 0 : (int)(width - have), "");
	/* The last column of the screen is no place to be behind. */
	if (x + (int)width + 2 < COLS)
		addstr("  ");
}

static void put_header(const struct live *l, const struct columns *c, unsigned int label)
{
	char text[32];
	unsigned int i;

	move(2, 0);
	attrset(A_REVERSE);
	hline(' ' | A_REVERSE, COLS);
	for (i = 0; i < c->n; i++) {
		bool sorted = l->sort.n && l->sort.column[0] == c->column[i];

		snprintf(text, sizeof(text), "%s%s", c->column[i]->header,
			 !sorted ? "" : l->sort.reverse[0] ? "-" : "+");
		put_cell(text, strcmp(c->column[i]->name, "label") ? c->column[i]->width : label,
			 c->column[i]->right);
	}
	attrset(A_NORMAL);
}

static void put_row(int y, const struct op *op, const struct columns *c, unsigned int label,
		    uint64_t now, bool selected)
{
	attr_t attr = selected ? A_REVERSE : A_NORMAL;
	char text[COLUMN_TEXT];
	unsigned int i;

	move(y, 0);
	attrset(attr);
	for (i = 0; i < c->n; i++) {
		const char *name = c->column[i]->name;
		bool tinted = !strcmp(name, "state") || !strcmp(name, "bar");

		c->column[i]->text(text, sizeof(text), op, now);
		if (tinted && coloured)
			attrset(attr | COLOR_PAIR(PAIR(op->state)));
		else if (op_is_final(op))
			attrset(attr | A_DIM);
		/* How it ended says more than how far it came. */
		if (!strcmp(name, "bar") && op_is_final(op) && op->state != AOP_DONE)
			snprintf(text, sizeof(text), "%s", error_name(op->result));
		put_cell(text, strcmp(name, "label") ? c->column[i]->width : label,
			 c->column[i]->right);
		attrset(attr);
	}
	attrset(A_NORMAL);
	clrtoeol();
}

/* Where the selected one has got to, and what of the table is to be seen. */
static void follow_selected(struct live *l, struct table *t)
{
	const struct op *at = l->selected ? table_find(t, l->selected) : NULL, *op;
	size_t i, place = 0;

	if (at && filter_match(&l->filter, at, l->now)) {
		for (i = 0; i < t->size; i++)
			for (op = t->hash[i]; op; op = op->next)
				place += op != at && filter_match(&l->filter, op, l->now) &&
					 columns_compare(&l->sort, op, at, l->now) < 0;
		l->place = place;
	} else {
		/* It is gone: whoever is in its place now. */
		l->selected = 0;
	}
	if (l->place >= l->n)
		l->place = l->n ? l->n - 1 : 0;
	if (l->place < l->top)
		l->top = l->place;
	if (l->place >= l->top + l->page)
		l->top = l->place - l->page + 1;
	if (l->top + l->page > l->n)
		l->top = l->n > l->page ? l->n - l->page : 0;
}

static void count(struct live *l, struct table *t)
{
	const struct op *op;
	size_t i;

	l->n = 0;
	memset(l->of, 0, sizeof(l->of));
	for (i = 0; i < t->size; i++) {
		for (op = t->hash[i]; op; op = op->next) {
			if (!filter_match(&l->filter, op, l->now))
				continue;
			l->n++;
			l->of[op->state]++;
		}
	}
}

static int put_table(struct live *l)
{
	struct table *t = live_table(l);
	struct columns columns;
	struct op **rows;
	unsigned int label;
	size_t i;
	long n;

	label = choose(&l->columns, &columns);
	follow_selected(l, t);
	l->marked = 0;
	put_header(l, &columns, label);
	n = table_rows(t, &l->filter, &l->sort, l->now, l->top, l->page, &rows);
	if (n < 0)
		return n;
	for (i = 0; i < l->page; i++) {
		if (l->top + i >= (size_t)n) {
			put_line(3 + i, A_NORMAL, "");
			continue;
		}
		if (l->top + i == l->place)
			l->marked = rows[l->top + i]->id;
		put_row(3 + i, rows[l->top + i], &columns, label, l->now,
			l->top + i == l->place);
	}
	free(rows);
	return 0;
}

/* ---- what covers it ------------------------------------------------------------------------ */

/* Lines of text from the second line of the screen on. */
static void put_text(struct live *l, char *text)
{
	size_t lines = 0, i;
	char *s, *next;
	int y = 2;

	for (s = text; *s; s++)
		lines += *s == '\n';
	if (l->scroll + l->page > lines)
		l->scroll = lines > l->page ? lines - l->page : 0;
	for (i = 0, s = text; y < LINES - 1; i++, s = next) {
		next = s + strcspn(s, "\n");
		if (*next)
			*next++ = '\0';
		if (i >= l->scroll || !*s)
			put_line(y++, A_NORMAL, s);
	}
}

static int put_details(struct live *l)
{
	struct lookup find = {
		.table = live_table(l), .system = !l->set->from && !l->frozen,
	};
	const struct op *op = table_find(live_table(l), l->selected);
	char *text = NULL;
	size_t size;
	FILE *f;

	f = open_memstream(&text, &size);
	if (!f)
		return -ENOMEM;
	if (op)
		details_print(f, &find, op, l->now, l->set->ascii);
	else
		fprintf(f, "op %llu is gone\n", (unsigned long long)l->selected);
	if (fclose(f))
		return -ENOMEM;
	put_text(l, text);
	free(text);
	return 0;
}

static void put_help(struct live *l)
{
	char text[] =
		"Up Down PgUp PgDn Home End   move\n"
		"Enter     details of the op: times, watchers, what it is made of\n"
		"/         filter, while you type: words of the label, state=running,failed,\n"
		"          uid=NAME, pid=N, age>10s, parent=ID, label=GLOB; != for all but\n"
		"< >       sort by the column to the left, to the right\n"
		"r         the other way round\n"
		"Space     freeze; nothing is lost meanwhile\n"
		"c         cancel: its owner is asked to stop, after you are\n"
		"Ctrl-L    draw anew\n"
		"Ctrl-Z    stop aopstat; fg goes on\n"
		"q         quit\n"
		"\n"
		"Those that have ended stay for 5 seconds, those that failed or were\n"
		"cancelled for 15. Sorted by state, running ones come first.\n";

	put_text(l, text);
}

int screen_frame(struct live *l)
{
	int ret = 0;

	l->page = LINES > AROUND ? LINES - AROUND : 1;
	count(l, live_table(l));
	put_title(l);
	put_filter(l);
	if (l->mode == MODE_HELP)
		put_help(l);
	else if (l->mode == MODE_DETAILS || l->under == MODE_DETAILS)
		ret = put_details(l);
	else
		ret = put_table(l);
	put_bottom(l);
	refresh();
	return ret;
}
