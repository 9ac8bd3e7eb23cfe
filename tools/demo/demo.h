/* SPDX-License-Identifier: GPL-2.0 */
/*
 * demo.h - what the files of the demo share
 *
 *	main		options, two rounds, the summary
 *	files		finds something to compress
 *	server		compresses: owns the ops
 *	client		watches them, waits, cancels, kills, and judges how they ended
 *	compare		decompresses every output and compares it with the original
 *	view		tells what happens: as plain lines, or on a
 *	screen		terminal, drawn in place
 *
 * Arrows point down only.  Before the server is forked the two processes agree on a
 * struct round; afterwards they share nothing but a socket and the ops passed over it.
 */
#ifndef DEMO_H
#define DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <aop.h>

#define BLOCK		(64 << 10)	/* bytes between two looks at aop_asked() */
#define MIN_FILES	8
#define MAX_FILES	256
#define MAX_THREADS	16		/* each with some 50 MB for compressing */
#define STALLED_JOBS	2		/* in the second round: RUNNING when the server dies */

/* How an op stands, as people see it. */
enum look {
	LOOK_WAITING,
	LOOK_RUNNING,
	LOOK_DONE,
	LOOK_CANCELLED,
	LOOK_LATE,			/* its deadline came first */
	LOOK_DIED,			/* its owner did */
	LOOK_FAILED,
	NR_LOOKS,
};

/* ---- files.c ---------------------------------------------------------------- */

struct file {
	char *path;
	char *name;			/* of the path, printable */
	uint64_t size;
};

/* The same ones each time; how many there were, at most n, or -errno. */
int  files_find(struct file *files, size_t n, const char *dir);
void files_free(struct file *files, size_t n);

/* ---- what is to be done ------------------------------------------------------ */

struct job {
	const struct file *file;
	char *out;			/* path of the compressed file */
	uint64_t stall;			/* no input beyond this byte, ever; 0: never mind */
	uint64_t rate;			/* bytes of input in a second; 0: no limit */
	int64_t deadline;		/* of its op; 0: none */
	enum look expect;		/* how it has to end */
};

struct round {
	int number;
	bool kill;			/* the server, once STALLED_JOBS have stalled */
	unsigned int threads;
	size_t n;
	struct job *jobs;
	uint64_t bytes;
};

/* What the client has seen, of all rounds. */
struct tally {
	size_t ended[NR_LOOKS];
	size_t cut;			/* of LOOK_DIED: those that had progress */
	uint64_t in, out;		/* bytes of LOOK_DONE */
	uint64_t compared;		/* bytes */
	uint64_t events, wakeups, frames;
	uint64_t last_wakeups;		/* in which the client heard of LOOK_DIED */
	int64_t death;			/* ns from SIGKILL to the last op's end */
};

/* ---- view.c ------------------------------------------------------------------ */

struct view {
	const struct round *round;
	int64_t began;
	struct screen *screen;		/* NULL: plain lines */
	struct {			/* of each job, when its last line was printed */
		unsigned int state, quarter;
	} *told;
	unsigned int complaints;
};

int  view_open(struct view *v);
void view_close(struct view *v);	/* leaves the terminal as it was */
int  view_round(struct view *v, const struct round *r, pid_t server);
/* A line about an op, if there is news of it. */
void view_change(struct view *v, size_t job, const struct aop_status *st);
/* All jobs as they are now; and how far comparing is, once they have ended. */
void view_frame(struct view *v, const struct aop_status *st, const struct aop_status *compare);
void view_end(struct view *v);

__attribute__((format(printf, 2, 3)))
void view_note(struct view *v, const char *fmt, ...);
/* Something went wrong: shown, and the exit status will be 1. */
__attribute__((format(printf, 2, 3)))
void view_complain(struct view *v, const char *fmt, ...);

#define SIZE_TEXT	16
const char *size_text(char *buf, uint64_t bytes);
unsigned int percent(uint64_t part, uint64_t whole);
const char *error_name(int64_t error);		/* "EOWNERDEAD" */
const char *status_text(char *buf, size_t size, const struct job *job,
			const struct aop_status *st);
enum look look_of(const struct aop_status *st);

/* ---- screen.c ---------------------------------------------------------------- */

struct screen *screen_open(void);	/* NULL: standard output is none */
void screen_close(struct screen *s);
void screen_title(struct screen *s, const char *text);
void screen_note(struct screen *s, const char *text, bool bad);
void screen_draw(struct screen *s, const struct round *r, const struct aop_status *st,
		 const struct aop_status *compare, int64_t elapsed);
/* What is drawn stays; the next frame comes below it. */
void screen_leave(struct screen *s);
void screen_resized(struct screen *s);

/* ---- compare.c --------------------------------------------------------------- */

struct compare;

/*
 * Begins an op of the caller's own process: compares what the jobs with a status of
 * DONE have written.  It ends DONE with the number of bytes; FAILED with -EBADMSG, and
 * then compare_culprit() is the job; or as the caller asks.
 */
struct aop *compare_begin(struct compare **c, struct aop_ctx *ctx, const struct round *r,
			  const struct aop_status *st);
size_t compare_culprit(const struct compare *c);
void compare_free(struct compare *c);	/* waits for its end */

/* ---- the two processes --------------------------------------------------------- */

int  server(const struct round *r, int sock);
/* 0; 1: something went wrong and was told; 128 + N: interrupted by signal N. */
int  client(const struct round *r, int sock, pid_t server, struct view *v, struct tally *t);

#endif /* DEMO_H */
