/* SPDX-License-Identifier: GPL-2.0 */
/*
 * live.h - the live table: what live.c decides and screen.c draws
 */
#ifndef AOPSTAT_LIVE_H
#define AOPSTAT_LIVE_H

#include "aopstat.h"

enum mode {
	MODE_TABLE,
	MODE_FILTER,			/* a filter is being typed */
	MODE_DETAILS,
	MODE_QUESTION,			/* cancel it? */
	MODE_HELP,
};

#define TYPED_SIZE	256
#define MESSAGE_SIZE	256

struct live {
	const struct settings *set;
	struct loop loop;
	struct table table;
	struct table still;		/* frozen: what is shown */
	uint64_t still_now;
	bool frozen;

	struct columns columns, sort;
	struct filter filter;
	char typed[TYPED_SIZE];
	char before[TYPED_SIZE];	/* what Esc goes back to */
	char wrong[MESSAGE_SIZE];	/* with what is typed; "": nothing */

	enum mode mode;
	enum mode under;		/* the question: MODE_TABLE or MODE_DETAILS */
	uint64_t selected;		/* id; 0: whichever is in this place */
	size_t place;			/* of the marked row among the rows */
	size_t top;			/* place of the first row on the screen */
	size_t page;			/* rows on the screen */
	size_t scroll;			/* lines, in details */
	uint64_t question;		/* which op to cancel */
	char message[MESSAGE_SIZE];
	uint64_t message_until;

	uint64_t frames;
	uint64_t next_frame;		/* not before */

	/* Of the last frame. */
	uint64_t marked;		/* id in the marked row, or 0 */
	size_t n;			/* ops that match */
	uint64_t now;
	uint64_t of[AOP_NR_STATES];
};

static inline struct table *live_table(struct live *l)
{
	return l->frozen ? &l->still : &l->table;
}

/* ---- screen.c ------------------------------------------------------------------ */

int  screen_open(void);			/* 0, or -ENOTTY */
void screen_close(void);
void screen_resize(void);
void screen_suspend(void);		/* stops the process; the terminal is as before */
int  screen_key(void);			/* as getch(); -1: none */
int  screen_frame(struct live *l);	/* 0 or -errno */

#endif /* AOPSTAT_LIVE_H */
