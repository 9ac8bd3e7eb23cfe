// SPDX-License-Identifier: GPL-2.0
/*
 * screen.c - a terminal, drawn in place
 *
 * A frame is composed in memory and written at once: move up to where the last one
 * began, then line by line.  The terminal is left in its usual mode, only the cursor is
 * hidden.  Everything but the bars is ASCII, so that bytes are columns.
 */
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "demo.h"

#define NOTES		4
#define NOTE_SIZE	192
#define MIN_CELL	38		/* columns of a job: name, bar, word */
#define MAX_CELL	90
#define WORD		10
#define AROUND		(2 + 3 + NOTES + 1)	/* lines of a frame that are not jobs, cursor */

struct screen {
	unsigned int rows, columns;
	unsigned int drawn;		/* lines of the last frame */
	bool colour, utf8;
	char title[128];
	struct {
		char text[NOTE_SIZE];
		bool bad;
	} notes[NOTES];
	FILE *frame;
	char *text;			/* of the frame */
	size_t size;
};

static struct screen the_screen;

static const struct {
	const char *colour, *word;
} looks[NR_LOOKS] = {
	[LOOK_WAITING]	 = { "\033[90m", "waiting" },
	[LOOK_RUNNING]	 = { "\033[36m", "running" },
	[LOOK_DONE]	 = { "\033[32m", "done" },
	[LOOK_CANCELLED] = { "\033[33m", "cancelled" },
	[LOOK_LATE]	 = { "\033[35m", "too late" },
	[LOOK_DIED]	 = { "\033[31m", "owner died" },
	[LOOK_FAILED]	 = { "\033[1;31m", "failed" },
};

#define DIM	"\033[90m"
#define BOLD	"\033[1m"
#define BAD	"\033[1;31m"
#define PLAIN	"\033[m"

struct screen *screen_open(void)
{
	struct screen *s = &the_screen;
	const char *term = getenv("TERM"), *none = getenv("NO_COLOR");

	if (!isatty(STDOUT_FILENO) || !term || !*term || !strcmp(term, "dumb"))
		return NULL;
	setlocale(LC_CTYPE, "");
	s->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	s->colour = !none || !*none;
	s->frame = open_memstream(&s->text, &s->size);
	if (!s->frame)
		return NULL;
	screen_resized(s);
	return s;
}

static void show(const char *text, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(STDOUT_FILENO, text, len);
		if (n <= 0)
			return;
		text += n;
		len -= n;
	}
}

void screen_close(struct screen *s)
{
	screen_leave(s);
	fclose(s->frame);
	free(s->text);
}

void screen_leave(struct screen *s)
{
	static const char cursor[] = "\033[?25h\r\n";

	if (s->drawn)
		show(cursor, strlen(cursor));
	s->drawn = 0;
	memset(s->notes, 0, sizeof(s->notes));
}

void screen_resized(struct screen *s)
{
	static const char clear[] = "\033[H\033[2J";
	struct winsize ws = { 0 };

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);
	s->rows = ws.ws_row ? ws.ws_row : 24;
	s->columns = ws.ws_col ? ws.ws_col : 80;
	/* Lines may have been wrapped: where the frame began is not known any more. */
	if (s->drawn)
		show(clear, strlen(clear));
	s->drawn = 0;
}

void screen_title(struct screen *s, const char *text)
{
	snprintf(s->title, sizeof(s->title), "%s", text);
}

void screen_note(struct screen *s, const char *text, bool bad)
{
	unsigned int i;

	for (i = 0; i < NOTES && s->notes[i].text[0]; i++)
		;
	if (i == NOTES) {
		memmove(s->notes, s->notes + 1, sizeof(s->notes) - sizeof(s->notes[0]));
		i--;
	}
	snprintf(s->notes[i].text, NOTE_SIZE, "%s", text);
	s->notes[i].bad = bad;
}

static void put(struct screen *s, const char *colour, const char *text, int width)
{
	fprintf(s->frame, "%s%-*.*s%s", s->colour ? colour : "", width, width, text,
		s->colour ? PLAIN : "");
}

static void end_line(struct screen *s)
{
	fputs("\033[K\r\n", s->frame);
	s->drawn++;
}

static void line(struct screen *s, const char *colour, const char *text)
{
	put(s, colour, text, strlen(text));
	end_line(s);
}

static void bar(struct screen *s, enum look as, unsigned int width, uint64_t part,
		uint64_t whole)
{
	unsigned int halves = whole ? part * 2 * width / whole : 0, i;
	const char *full = s->utf8 ? "\u2501" : "=";
	const char *half = s->utf8 ? "\u2578" : "-";
	const char *rest = s->utf8 ? s->colour ? "\u2501" : "\u2500" : s->colour ? "-" : ".";

	if (s->colour)
		fputs(looks[as].colour, s->frame);
	for (i = 0; i < halves / 2 && i < width; i++)
		fputs(full, s->frame);
	if (halves & 1 && i < width) {
		fputs(half, s->frame);
		i++;
	}
	if (s->colour)
		fputs(DIM, s->frame);
	for (; i < width; i++)
		fputs(rest, s->frame);
	if (s->colour)
		fputs(PLAIN, s->frame);
}

static void cell(struct screen *s, const struct job *job, const struct aop_status *st,
		 unsigned int width)
{
	unsigned int name = width * 2 / 5 > 28 ? 28 : width * 2 / 5;
	const enum look as = look_of(st);
	char word[16];

	switch (as) {
	case LOOK_RUNNING:
		snprintf(word, sizeof(word), "%3u%%", percent(st->done, st->total));
		break;
	case LOOK_DONE:
		snprintf(word, sizeof(word), "done  %3u%%", percent(st->result, job->file->size));
		break;
	default:
		snprintf(word, sizeof(word), "%s", looks[as].word);
	}
	put(s, as == LOOK_WAITING ? DIM : "", job->file->name, name);
	fputc(' ', s->frame);
	bar(s, as, width - name - WORD - 2, st->done, st->total);
	fputc(' ', s->frame);
	put(s, looks[as].colour, word, WORD);
}

static bool take_one(size_t *n)
{
	return *n && (*n)--;
}

/* When there is no room for all: hide those that are done, then other ends, then the last. */
static size_t choose(size_t *chosen, const struct aop_status *st, size_t n, size_t room)
{
	size_t hide = n > room ? n - room : 0, done = 0, ended = 0, i, k = 0;

	for (i = 0; i < n; i++) {
		done += st[i].state == AOP_DONE;
		ended += st[i].state > AOP_DONE;
	}
	if (done > hide)
		done = hide;
	if (ended > hide - done)
		ended = hide - done;
	for (i = 0; i < n && k < room; i++) {
		if (st[i].state == AOP_DONE && take_one(&done))
			continue;
		if (st[i].state > AOP_DONE && take_one(&ended))
			continue;
		chosen[k++] = i;
	}
	return k;
}

/* As few columns as the height allows, for long bars. */
static void draw_jobs(struct screen *s, const struct round *r, const struct aop_status *st)
{
	unsigned int most = s->columns > MIN_CELL ? s->columns / MIN_CELL : 1;
	unsigned int high = s->rows > AROUND ? s->rows - AROUND : 1;
	unsigned int across = 1, width, row, col;
	size_t chosen[MAX_FILES], n, i;

	while (across < most && across * high < r->n)
		across++;
	n = choose(chosen, st, r->n, (size_t)across * high);
	high = (n + across - 1) / across;
	width = s->columns / across - 2;
	if (width > MAX_CELL)
		width = MAX_CELL;
	if (width < MIN_CELL - 2)
		width = MIN_CELL - 2;
	for (row = 0; row < high; row++) {
		for (col = 0; col < across; col++) {
			i = (size_t)col * high + row;
			if (i >= n)
				break;
			if (col)
				fputs("  ", s->frame);
			cell(s, &r->jobs[chosen[i]], &st[chosen[i]], width);
		}
		end_line(s);
	}
}

/* How far everything is, and what the colours mean. */
static void draw_sum(struct screen *s, const struct round *r, const struct aop_status *st,
		     const struct aop_status *compare, int64_t elapsed)
{
	char part[SIZE_TEXT], whole[SIZE_TEXT], text[64];
	uint64_t done = 0, total = r->bytes;
	unsigned int count[NR_LOOKS] = { 0 };
	size_t i;

	for (i = 0; i < r->n; i++) {
		done += st[i].done;
		count[look_of(&st[i])]++;
	}
	if (compare) {
		done = compare->done;
		total = compare->total;
	}
	put(s, BOLD, compare ? "compared" : "compressed", 13);
	fputc(' ', s->frame);
	snprintf(text, sizeof(text), " %s of %s, %.1f s", size_text(part, done),
		 size_text(whole, total), elapsed / 1e9);
	bar(s, compare ? LOOK_DONE : LOOK_RUNNING, s->columns > 90 ? 50 : 22, done, total);
	put(s, "", text, 30);
	end_line(s);

	for (i = 0; i < NR_LOOKS; i++) {
		if (i == LOOK_FAILED && !count[i])
			continue;
		snprintf(text, sizeof(text), "%s%u %s", i ? "  " : "", count[i], looks[i].word);
		put(s, count[i] ? looks[i].colour : DIM, text, strlen(text));
	}
	end_line(s);
}

void screen_draw(struct screen *s, const struct round *r, const struct aop_status *st,
		 const struct aop_status *compare, int64_t elapsed)
{
	unsigned int i;

	rewind(s->frame);
	/* No cursor, and lines that are too long are cut. */
	fputs("\033[?25l\033[?7l", s->frame);
	if (s->drawn)
		fprintf(s->frame, "\033[%uA\r", s->drawn);
	s->drawn = 0;
	line(s, BOLD, s->title);
	end_line(s);
	draw_jobs(s, r, st);
	end_line(s);
	draw_sum(s, r, st, compare, elapsed);
	for (i = 0; i < NOTES; i++)
		line(s, s->notes[i].bad ? BAD : "", s->notes[i].text);
	/* A frame before may have been higher. */
	fputs("\033[J\033[?7h", s->frame);
	fflush(s->frame);
	show(s->text, ftello(s->frame));
}
