// SPDX-License-Identifier: GPL-2.0
/*
 * view.c - tells what happens
 *
 * Plain lines for a pipe, a file or a dumb terminal: for changes of state, and for each
 * quarter of the way.  With a screen the frames show that, and only notes are passed on.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"

unsigned int percent(uint64_t part, uint64_t whole)
{
	return whole ? part * 100 / whole : 0;
}

const char *size_text(char *buf, uint64_t bytes)
{
	if (bytes < 1000000)
		snprintf(buf, SIZE_TEXT, "%u kB", (unsigned int)(bytes / 1000));
	else
		snprintf(buf, SIZE_TEXT, "%.1f MB", bytes / 1e6);
	return buf;
}

const char *error_name(int64_t error)
{
	return strerrorname_np(-error) ?: "an unknown reason";
}

enum look look_of(const struct aop_status *st)
{
	switch (st->state) {
	case AOP_PENDING:
		return LOOK_WAITING;
	case AOP_RUNNING:
		return LOOK_RUNNING;
	case AOP_DONE:
		return LOOK_DONE;
	case AOP_CANCELLED:
		return LOOK_CANCELLED;
	}
	if (st->flags & AOP_F_SYSTEM && st->result == -ETIMEDOUT)
		return LOOK_LATE;
	if (st->flags & AOP_F_SYSTEM && st->result == -EOWNERDEAD)
		return LOOK_DIED;
	return LOOK_FAILED;
}

int view_open(struct view *v)
{
	memset(v, 0, sizeof(*v));
	v->screen = screen_open();
	return 0;
}

void view_close(struct view *v)
{
	if (v->screen)
		screen_close(v->screen);
	v->screen = NULL;
	free(v->told);
	v->told = NULL;
}

int view_round(struct view *v, const struct round *r, pid_t server)
{
	char size[SIZE_TEXT], title[128];

	free(v->told);
	v->told = calloc(r->n, sizeof(*v->told));	/* all are AOP_PENDING */
	if (!v->told)
		return -ENOMEM;
	v->round = r;
	v->began = aop_now();
	snprintf(title, sizeof(title), "Round %d of 2: server %d compresses %zu files, %s%s",
		 r->number, server, r->n, size_text(size, r->bytes),
		 r->kill ? ", and will be killed" : "");
	if (v->screen)
		screen_title(v->screen, title);
	else
		printf("%s\n", title);
	return 0;
}

static double elapsed(const struct view *v)
{
	return (aop_now() - v->began) / 1e9;
}

const char *status_text(char *buf, size_t size, const struct job *job,
			const struct aop_status *st)
{
	char in[SIZE_TEXT], out[SIZE_TEXT];

	switch (look_of(st)) {
	case LOOK_RUNNING:
		snprintf(buf, size, "running %3u%%", percent(st->done, st->total));
		break;
	case LOOK_DONE:
		snprintf(buf, size, "done: %s -> %s, %u%%", size_text(in, job->file->size),
			 size_text(out, st->result), percent(st->result, job->file->size));
		break;
	default:
		snprintf(buf, size, "%s at %u%%: %s%s", aop_state_name(st->state),
			 percent(st->done, st->total), error_name(st->result),
			 st->flags & AOP_F_SYSTEM ? ", by the system" : "");
	}
	return buf;
}

void view_change(struct view *v, size_t i, const struct aop_status *st)
{
	unsigned int quarter = percent(st->done, st->total) / 25;
	const struct job *job = &v->round->jobs[i];
	char text[80];

	/* Of all that is done the next line will be its end. */
	if (st->state != AOP_RUNNING || quarter == 4)
		quarter = v->told[i].quarter;
	if (v->told[i].state == st->state && v->told[i].quarter == quarter)
		return;
	v->told[i].state = st->state;
	v->told[i].quarter = quarter;
	status_text(text, sizeof(text), job, st);
	if (!v->screen)
		printf("%7.2f  %-24.24s  %s\n", elapsed(v), job->file->name, text);
	else if (st->state > AOP_DONE && look_of(st) != LOOK_DIED)
		view_note(v, "%s: %s", job->file->name, text);
}

void view_frame(struct view *v, const struct aop_status *st, const struct aop_status *compare)
{
	size_t i;

	if (v->screen) {
		screen_draw(v->screen, v->round, st, compare, aop_now() - v->began);
		return;
	}
	for (i = 0; i < v->round->n; i++)
		view_change(v, i, &st[i]);
	fflush(stdout);
}

void view_end(struct view *v)
{
	if (v->screen)
		screen_leave(v->screen);
	else
		printf("\n");
}

static void tell(struct view *v, bool bad, const char *fmt, va_list ap)
{
	char text[160], line[192];

	vsnprintf(text, sizeof(text), fmt, ap);
	snprintf(line, sizeof(line), "%7.2f  %s%s", elapsed(v), bad ? "WRONG: " : "", text);
	if (v->screen)
		screen_note(v->screen, line, bad);
	else
		printf("%s\n", line);
}

void view_note(struct view *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(v, false, fmt, ap);
	va_end(ap);
}

void view_complain(struct view *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(v, true, fmt, ap);
	va_end(ap);
	v->complaints++;
}
