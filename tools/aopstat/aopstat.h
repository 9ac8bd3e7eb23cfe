/* SPDX-License-Identifier: GPL-2.0 */
/*
 * aopstat.h - what the files of aopstat share
 *
 *	main		options, help, the table of sub-commands
 *	list, ...	a sub-command each
 *	screen		draws the live table
 *	run_loop	what every command that goes on waits in: a source, a clock, signals
 *	source		where ops come from: the system, or a recording
 *	table		the ops that have been seen, by id; sorts them
 *	column		what can be shown of an op, and sorted by
 *	histogram	of durations
 *	filter		which ops
 *	json		ops as JSON, and back
 *	text		numbers, times, names and errors as people read them
 *
 * Arrows point down only.  One thread.  All times are nanoseconds of CLOCK_MONOTONIC, of
 * the machine or of the recording.
 */
#ifndef AOPSTAT_H
#define AOPSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <aop.h>

#include "filter.h"
#include "op.h"

#define MAX_PARTS	1024		/* shown below one op */
#define NSEC_PER_SEC	UINT64_C(1000000000)

/* Exit statuses; the manual page explains them. */
enum status {
	EXIT_OK		 = 0,
	EXIT_OP_FAILED	 = 1,
	EXIT_USAGE	 = 2,
	EXIT_NOT_FOUND	 = 3,
	EXIT_CANCELLED	 = 4,
	EXIT_NOT_ALLOWED = 5,
	EXIT_NO_MODULE	 = 69,		/* EX_UNAVAILABLE */
	EXIT_SYSTEM	 = 71,		/* EX_OSERR */
	EXIT_IO		 = 74,		/* EX_IOERR */
	EXIT_TIMEOUT	 = 124,		/* as timeout(1) */
	EXIT_INTERRUPTED = 130,
};

/* ---- main.c ------------------------------------------------------------------ */

enum when { AUTO, ALWAYS, NEVER };

struct settings {
	struct filter filter;
	const char *columns;		/* NULL: the command's own */
	const char *sort;
	uint64_t count;			/* stop after; 0: never */
	uint64_t delay;			/* 0: the command's own */
	bool json, no_header, ascii;
	enum when colour;
	const char *from;		/* a recording; NULL: the system */
	double speed;			/* of a recording; 0: at once */
	bool any;
	int64_t timeout;		/* as aop_wait() takes it */
	int reason;
	const char *label;
	int progress_fd;
	int64_t deadline;
	uint64_t grace;			/* between SIGTERM and SIGKILL */
	bool print_id;
	const char *output;
	uint64_t max;			/* what hist can hold */
	bool since_start;
	uint64_t rows;
};

int  cmd_live(struct settings *s, int argc, char **argv);
int  cmd_list(struct settings *s, int argc, char **argv);
int  cmd_show(struct settings *s, int argc, char **argv);
int  cmd_watch(struct settings *s, int argc, char **argv);
int  cmd_wait(struct settings *s, int argc, char **argv);
int  cmd_cancel(struct settings *s, int argc, char **argv);
int  cmd_top(struct settings *s, int argc, char **argv);
int  cmd_hist(struct settings *s, int argc, char **argv);
int  cmd_export(struct settings *s, int argc, char **argv);
int  cmd_record(struct settings *s, int argc, char **argv);
int  cmd_replay(struct settings *s, int argc, char **argv);
int  cmd_run(struct settings *s, int argc, char **argv);

/* ---- text.c -------------------------------------------------------------------- */

#define SIZE_TEXT	24

const char *duration_text(char *buf, uint64_t ns);	/* "1.5s", "3m07s"; at most 7 */
int  parse_duration(const char *text, uint64_t *ns);	/* 0 or -EINVAL */
int  parse_number(const char *text, uint64_t *n);	/* 0 or -EINVAL */
void number_text(char *buf, uint64_t n);
const char *rate_text(char *buf, double per_second);
const char *error_name(int64_t error);			/* "EPIPE", or the number */
int  parse_error(const char *text, int *error);		/* name or number; negative */
/* What a terminal must not see of a string is escaped.  Returns buf. */
const char *clean(char *buf, size_t size, const char *s);
size_t columns_of(const char *s);			/* that a clean string takes */
/* Cuts a clean string to so many columns, in place; returns how many it has. */
size_t cut(char *s, size_t columns);
bool text_is_utf8(void);
const char *user_name(uint32_t uid);

extern bool colours;			/* of standard output */
void colours_init(enum when when);
const char *colour_of(const struct op *op);		/* "" without colours */
const char *colour_end(void);

__attribute__((format(printf, 1, 2)))
void complain(const char *fmt, ...);
/* While a table covers the terminal, it would be lost: the last is said afterwards. */
void complaints_hold(bool on);
int  status_of(int error);		/* complains nothing; -errno to enum status */
int  close_output(FILE *f, const char *name);		/* 0 or enum status */

/* ---- json.c ---------------------------------------------------------------------- */

struct json_object;

/* What is written so far: names are ours, texts those of ops and errors, so it fits. */
struct json_line {
	char *at;
	char text[32768];
};

const char *utf8_text(char *buf, size_t size, const char *s);
void json_begin(struct json_line *l);
void json_u64(struct json_line *l, const char *name, uint64_t n);
void json_s64(struct json_line *l, const char *name, int64_t n);
void json_string(struct json_line *l, const char *name, const char *text);
void json_op(struct json_line *l, const struct op *op, uint64_t now);
void json_numbers(struct json_line *l, const char *name, const uint64_t *n, size_t count);
void json_end(struct json_line *l, FILE *f);
int  json_to_op(struct json_object *o, struct op *op);	/* 0 or -EINVAL */
void json_print_op(FILE *f, const struct op *op, uint64_t now);
struct event;
void json_print_event(FILE *f, const struct event *e);

/* ---- histogram.c ------------------------------------------------------------------ */

struct histogram;

struct histogram *histogram_new(uint64_t max);		/* NULL: no memory */
void histogram_add(struct histogram *h, uint64_t value);
uint64_t histogram_at(const struct histogram *h, double percent);
uint64_t histogram_count(const struct histogram *h);	/* without the outliers */
uint64_t histogram_below(const struct histogram *h, uint64_t value);
uint64_t histogram_outliers(const struct histogram *h);
uint64_t histogram_max(const struct histogram *h);	/* with the outliers */
double histogram_sum(const struct histogram *h);	/* with the outliers */

/* ---- column.c -------------------------------------------------------------------- */

struct column {
	const char *name;
	const char *header;
	unsigned int width;		/* usual */
	bool right;			/* aligned */
	void (*text)(char *buf, size_t size, const struct op *op, uint64_t now);
	uint64_t (*number)(const struct op *op, uint64_t now);	/* NULL: sorted by text */
};

#define MAX_COLUMNS	32
#define COLUMN_TEXT	320		/* what text() needs at the most */
#define NO_NUMBER	UINT64_MAX	/* sorted last */

struct columns {
	unsigned int n;
	const struct column *column[MAX_COLUMNS];
	bool reverse[MAX_COLUMNS];	/* as a sort order */
};

/* 0, or -EINVAL after complaining. */
int  columns_parse(struct columns *c, const char *text, bool sort);
int  columns_compare(const struct columns *c, const struct op *a, const struct op *b,
		     uint64_t now);
/* Of two that differ, the lesser comes first; the same: columns_compare() decides. */
uint64_t columns_key(const struct columns *c, const struct op *op, uint64_t now);
const struct column *column_at(unsigned int i);		/* NULL at the end */
bool column_is_state(const struct column *c);
/* A bar of so many columns, into size bytes. */
void bar_text(char *buf, size_t size, const struct op *op, unsigned int width);
void bar_ascii(bool ascii);

/* ---- table.c ---------------------------------------------------------------------- */

struct table {
	struct op **hash;
	size_t size, n;
	struct chunk *chunks;
	struct op *spare;
	uint64_t lost;			/* events */
	uint64_t round;			/* which snapshot */
	bool ready;			/* the first is complete */
	uint64_t since;			/* unseen ones that ended before are no news */
	uint64_t ended[AOP_NR_STATES];	/* seen to end, after the snapshot */
};

int  table_init(struct table *t);
void table_free(struct table *t);
struct op *table_find(const struct table *t, uint64_t id);
/* Has it ended since it was told last? */
bool table_is_end(const struct table *t, const struct op *op);
/* Takes the newest of an op; returns the table's own one, or NULL: no memory. */
struct op *table_put(struct table *t, const struct op *op);
/* Final ones that ended long ago; those that failed are kept as long at least. */
void table_expire(struct table *t, uint64_t now, uint64_t done, uint64_t failed);
/*
 * Those that match, at *rows (to be freed).  Only count of them beginning with from are
 * in order; what is before and behind is so as a whole.  Returns how many, or -ENOMEM.
 */
long table_rows(struct table *t, const struct filter *f, const struct columns *sort,
		uint64_t now, size_t from, size_t count, struct op ***rows);
void cell_print(FILE *f, const char *text, unsigned int width, bool right, bool last);
/* 0 or -ENOMEM. */
int  table_print(FILE *f, struct op *const *rows, size_t n, const struct columns *c,
		 uint64_t now, bool header);

/* ---- source.c --------------------------------------------------------------------- */

enum event_type {
	EVENT_OP,			/* newest status of an op */
	EVENT_READY,			/* all that there were have been told */
	EVENT_LOST,			/* so many events; a new snapshot and READY follow */
};

struct event {
	enum event_type type;
	uint64_t time;
	uint64_t lost;
	struct op op;
};

struct source;
/* 0; 1: enough; -errno. */
typedef int event_fn(void *data, const struct event *e);

enum source_mode {
	SNAPSHOT,			/* what there is; a recording to its end */
	FOLLOW,				/* and then the changes */
};

/* Complains when it cannot: returns enum status. */
int  source_open(struct source **s, const struct settings *set, enum source_mode mode,
		 event_fn *fn, void *data);
void source_close(struct source *s);
int  source_fd(const struct source *s);		/* readable: dispatch */
/* 0; 1: there will be no more, or it was enough; -errno. */
int  source_dispatch(struct source *s);
int  source_run(struct source *s);		/* to the end of a SNAPSHOT; enum status */
uint64_t source_now(const struct source *s);
/* Others need not be told any more, and those that match from now on are.  0 or -errno. */
int  source_filter(struct source *s, const struct filter *f);
/* Into the table, what there is.  enum status, after complaining. */
int  source_table(struct table *t, const struct settings *set, uint64_t *now);
int  table_event(struct table *t, const struct event *e);

/* What a kind of source is made of. */
struct source_ops {
	int (*dispatch)(struct source *s);
	uint64_t (*now)(const struct source *s);
	int (*filter)(struct source *s, const struct filter *f);	/* NULL: tells all */
	void (*close)(struct source *s);
};

struct source {
	const struct source_ops *ops;
	enum source_mode mode;
	event_fn *fn;
	void *data;
	int fd;
};

/* -errno of the monitor's, in words; enum status. */
int  live_complain(int error);
int  context_complain(int error);	/* of aop_ctx_open() */
struct aop_info;
void op_of_info(struct op *op, const struct aop_info *info);
int  source_live_open(struct source **s, const struct settings *set, enum source_mode mode);
int  source_replay_open(struct source **s, const struct settings *set, enum source_mode mode);

/* ---- details.c -------------------------------------------------------------------- */

/* Where to find other ops: those of a table, or of the system. */
struct lookup {
	const struct table *table;	/* NULL: the system's */
	bool system;			/* ask it for the members of groups */
};

/* 0, -ENOENT or another errno. */
int  lookup_op(const struct lookup *l, uint64_t id, struct op *op);
/* Ids of its members, and of those it is the parent of: how many, to be freed. */
long lookup_parts(const struct lookup *l, const struct op *op, uint64_t **ids);
void details_print(FILE *f, const struct lookup *l, const struct op *op, uint64_t now,
		   bool ascii);

/* ---- loop.c ----------------------------------------------------------------------- */

struct loop {
	struct source *source;
	uint64_t interval;		/* between ticks; 0: none */
	int input;			/* a terminal, or -1 */
	void *data;
	int (*tick)(struct loop *l);	/* these: < 0 is -errno, > 0 ends the loop */
	int (*key)(struct loop *l);
	int (*signal)(struct loop *l, int sig);	/* NULL: ends it */
	int sig;			/* that ended it, or 0 */
	bool ended;			/* the source has */
};

/* 0 or -errno.  Blocks the signals that it waits for. */
int  loop_run(struct loop *l);
/*
 * Ends the process as the signal would have, if there was one; otherwise returns enum
 * status.  ret: what has gone wrong, -errno to complain about, or enum status.
 */
int  loop_exit(const struct loop *l, int ret);

#endif /* AOPSTAT_H */
