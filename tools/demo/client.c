// SPDX-License-Identifier: GPL-2.0
/*
 * client.c - watches the server's ops from an epoll loop of its own
 *
 * One thread.  The ends of the ops arrive through the context's descriptor, and
 * aop_ctx_dispatch() hands them to the callbacks below without another system call.  How
 * far they are is read from the mapped slots for each frame, without any; so nobody is
 * woken for progress, but by the ops whose input stalls: there it is waited for.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo.h"

#define FRAME_NS	100000000

enum source { FROM_OPS, FROM_TIMER, FROM_SIGNALS, FROM_SERVER, NR_SOURCES };

struct client;

struct item {
	struct aop op;
	struct aop_watch watch;
	struct client *client;
	bool stalled;
};

struct client {
	const struct round *round;
	struct view *view;
	struct tally *tally;
	struct aop_ctx *ctx;
	int epoll;
	int fds[NR_SOURCES];
	struct item *items;
	struct aop **ops;
	struct aop_status *st;		/* of the last frame, and how they ended */
	size_t taken;
	struct aop_group any, all;
	struct aop_watch any_watch, all_watch, compare_watch;
	struct compare *compare;
	struct aop *comparing;
	unsigned int stalled;
	int64_t killed;			/* when */
	bool grouped, compared;
	pid_t server;
	bool reaped;
	int signal;			/* that interrupts us */
};

static size_t index_of(const struct item *it)
{
	return it - it->client->items;
}

static const char *name_of(const struct item *it)
{
	return it->client->round->jobs[index_of(it)].file->name;
}

/* ---- what happens to the ops ---------------------------------------------------- */

static void has_stalled(struct item *it)
{
	struct client *c = it->client;
	int ret;

	it->stalled = true;
	c->stalled++;
	if (!c->round->kill) {
		view_note(c->view, "%s: no more input, cancel requested", name_of(it));
		ret = aop_cancel(&it->op, 0);
		if (ret != AOP_ASKED)
			view_complain(c->view, "%s: cancel answers %d", name_of(it), ret);
	} else if (c->stalled == STALLED_JOBS) {
		/* These ones are certain to be open, whatever the others do. */
		view_note(c->view, "SIGKILL to the server");
		c->tally->last_wakeups = c->tally->wakeups;
		c->killed = aop_now();
		kill(c->server, SIGKILL);
	}
}

static void job_ended(struct aop_watch *w, const struct aop_status *st)
{
	struct item *it = w->data;
	struct client *c = it->client;

	c->tally->events++;
	view_change(c->view, index_of(it), st);
}

static void job_changed(struct aop_watch *w, const struct aop_status *st)
{
	struct item *it = w->data;
	const struct job *job = &it->client->round->jobs[index_of(it)];

	if (st->state >= AOP_DONE) {
		job_ended(w, st);
		return;
	}
	it->client->tally->events++;
	if (st->state == AOP_RUNNING && st->done >= job->stall && !it->stalled)
		has_stalled(it);
}

static void any_ended(struct aop_watch *w, const struct aop_status *st)
{
	struct client *c = w->data;

	c->tally->events++;
	if (st->state == AOP_DONE && (uint64_t)st->result < c->round->n)
		view_note(c->view, "ANY of %zu: %s was the first to end", c->round->n,
			  name_of(&c->items[st->result]));
	else
		view_complain(c->view, "ANY ended as %s, %lld", aop_state_name(st->state),
			      (long long)st->result);
}

static void compare_ended(struct aop_watch *w, const struct aop_status *st)
{
	struct client *c = w->data;

	c->tally->events++;
	c->compared = true;
	if (st->state == AOP_DONE) {
		c->tally->compared += st->result;
		view_note(c->view, "decompressed, and equal to the originals");
	} else {
		size_t i = compare_culprit(c->compare);

		view_complain(c->view, "%s differs: %s",
			      i < c->round->n ? name_of(&c->items[i]) : "everything",
			      error_name(st->result));
	}
}

/* Did it end as it had to? */
static void judge(struct client *c, size_t i)
{
	const struct aop_status *st = &c->st[i];
	const struct job *job = &c->round->jobs[i];
	enum look look = look_of(st);
	bool partly = st->done && st->done < st->total;
	char text[80];

	c->tally->ended[look]++;
	switch (look) {
	case LOOK_DONE:
		c->tally->in += job->file->size;
		c->tally->out += st->result;
		break;
	case LOOK_DIED:
		c->tally->cut += partly;
		if (c->killed && (int64_t)st->time - c->killed > c->tally->death)
			c->tally->death = (int64_t)st->time - c->killed;
		break;
	default:
		break;
	}
	/* Who has no reason to stall may be at any point when the server is killed. */
	if (look != job->expect && !(c->killed && !job->stall && look == LOOK_DIED))
		view_complain(c->view, "%s: %s", name_of(&c->items[i]),
			      status_text(text, sizeof(text), job, st));
	else if (job->stall && !partly)
		view_complain(c->view, "%s ended, but not under way", name_of(&c->items[i]));
}

static void all_ended(struct aop_watch *w, const struct aop_status *st)
{
	struct client *c = w->data;
	size_t i;

	c->tally->events++;
	if (st->state != AOP_DONE || (uint64_t)st->result != c->round->n)
		view_complain(c->view, "ALL ended as %s, %lld", aop_state_name(st->state),
			      (long long)st->result);
	view_note(c->view, "ALL of %zu have ended", c->round->n);
	for (i = 0; i < c->round->n; i++) {
		c->st[i] = aop_status(&c->items[i].op);
		judge(c, i);
	}
	c->tally->last_wakeups = c->tally->wakeups - c->tally->last_wakeups;
	if (c->killed)
		view_note(c->view, "the last of the open ones %.1f ms after the SIGKILL",
			  c->tally->death / 1e6);
	c->comparing = compare_begin(&c->compare, c->ctx, c->round, c->st);
	if (!c->comparing) {
		view_complain(c->view, "%s", strerror(ENOMEM));
		c->compared = true;
		return;
	}
	aop_then(c->comparing, &c->compare_watch, compare_ended, c, AOP_INLINE);
}

/* ---- the loop --------------------------------------------------------------------- */

static void draw(struct client *c)
{
	struct aop_status compare;
	size_t i;

	/* What all_ended() took is final, and read by the thread that compares. */
	for (i = 0; i < c->round->n && !c->comparing; i++)
		c->st[i] = aop_status(&c->items[i].op);
	if (c->comparing)
		compare = aop_status(c->comparing);
	view_frame(c->view, c->st, c->comparing ? &compare : NULL);
	c->tally->frames++;
}

static void reap_server(struct client *c)
{
	siginfo_t info = { 0 };

	if (waitid(P_PIDFD, c->fds[FROM_SERVER], &info, WEXITED) < 0)
		return;
	c->reaped = true;
	epoll_ctl(c->epoll, EPOLL_CTL_DEL, c->fds[FROM_SERVER], NULL);
	if (c->killed ? info.si_code != CLD_KILLED || info.si_status != SIGKILL :
	    info.si_code != CLD_EXITED || info.si_status)
		view_complain(c->view, "the server %s %d",
			      info.si_code == CLD_EXITED ? "exited with" : "was killed by signal",
			      info.si_status);
}

static void take_signal(struct client *c)
{
	struct signalfd_siginfo info;

	if (read(c->fds[FROM_SIGNALS], &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGWINCH)
		c->signal = info.ssi_signo;
	else if (c->view->screen)
		screen_resized(c->view->screen);
}

static int handle(struct client *c, enum source from)
{
	uint64_t expired;
	int ret = 0;

	switch (from) {
	case FROM_OPS:
		c->tally->wakeups++;
		ret = aop_ctx_dispatch(c->ctx);
		break;
	case FROM_TIMER:
		if (read(c->fds[FROM_TIMER], &expired, sizeof(expired)) == sizeof(expired))
			draw(c);
		break;
	case FROM_SIGNALS:
		take_signal(c);
		break;
	default:
		reap_server(c);
	}
	return ret < 0 ? ret : 0;
}

static int loop(struct client *c)
{
	struct epoll_event ev[NR_SOURCES];
	int i, n, ret = 0;

	while (!(c->compared && c->reaped) && !c->signal && ret >= 0) {
		n = epoll_wait(c->epoll, ev, NR_SOURCES, -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		for (i = 0; i < n && ret >= 0; i++)
			ret = handle(c, ev[i].data.u32);
	}
	return ret;
}

/* ---- beginning and end --------------------------------------------------------------- */

static int open_sources(struct client *c)
{
	struct itimerspec every = {
		.it_interval.tv_nsec = FRAME_NS,
		.it_value.tv_nsec = FRAME_NS,
	};
	sigset_t signals;
	int i;

	/* All of them are blocked: see main(). */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGWINCH);
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	c->fds[FROM_OPS] = aop_ctx_fd(c->ctx);
	c->fds[FROM_TIMER] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	c->fds[FROM_SIGNALS] = signalfd(-1, &signals, SFD_CLOEXEC);
	c->fds[FROM_SERVER] = pidfd_open(c->server, 0);
	for (i = 0; i < NR_SOURCES; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };

		if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->fds[i], &ev))
			return -errno;
	}
	return timerfd_settime(c->fds[FROM_TIMER], 0, &every, NULL) ? -errno : 0;
}

static void close_sources(struct client *c)
{
	int i;

	for (i = FROM_TIMER; i < NR_SOURCES; i++)
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	if (c->epoll >= 0)
		close(c->epoll);
}

/* The ops come one by one, in the order of the jobs. */
static int take_jobs(struct client *c, int sock)
{
	struct item *it;
	int ret;

	while (c->taken < c->round->n) {
		it = &c->items[c->taken];
		it->client = c;
		ret = aop_take(&it->op, c->ctx, sock);
		if (ret < 0)
			return ret;
		c->ops[c->taken++] = &it->op;
		if (c->round->jobs[it - c->items].stall)
			ret = aop_watch(&it->op, &it->watch, job_changed, it, AOP_INLINE);
		else
			ret = aop_then(&it->op, &it->watch, job_ended, it, AOP_INLINE);
		if (ret < 0)
			return ret;
	}
	c->grouped = true;
	aop_any(&c->any, NULL, c->ops, c->round->n, 0);
	aop_then(&c->any.op, &c->any_watch, any_ended, c, AOP_INLINE);
	aop_all(&c->all, NULL, c->ops, c->round->n, 0);
	return aop_then(&c->all.op, &c->all_watch, all_ended, c, AOP_INLINE);
}

/* Also from any point in the middle. */
static void let_go(struct client *c)
{
	size_t i;

	if (!c->reaped) {
		kill(c->server, SIGKILL);
		waitpid(c->server, NULL, 0);
	}
	if (c->comparing && !c->compared)
		aop_unwatch(&c->compare_watch);
	compare_free(c->compare);
	if (c->grouped) {
		aop_unwatch(&c->any_watch);
		aop_unwatch(&c->all_watch);
		aop_drop(&c->any.op);
		aop_drop(&c->all.op);
	}
	aop_cork(c->ctx);
	for (i = 0; i < c->taken; i++) {
		aop_unwatch(&c->items[i].watch);
		aop_drop(&c->items[i].op);
	}
	aop_uncork(c->ctx);
}

int client(const struct round *r, int sock, pid_t server, struct view *v, struct tally *t)
{
	struct client c = {
		.round = r, .view = v, .tally = t, .server = server,
		.epoll = -1, .fds = { -1, -1, -1, -1 },
	};
	unsigned int complaints = v->complaints;
	int ret = -ENOMEM;

	c.items = calloc(r->n, sizeof(*c.items));
	c.ops = calloc(r->n, sizeof(struct aop *));
	c.st = calloc(r->n, sizeof(*c.st));
	if (c.items && c.ops && c.st)
		ret = aop_ctx_open(&c.ctx, NULL);
	if (ret >= 0) {
		ret = open_sources(&c);
		if (ret >= 0)
			ret = take_jobs(&c, sock);
		if (ret >= 0)
			ret = loop(&c);
		if (c.signal)
			view_note(v, "interrupted");
		if (ret >= 0)
			draw(&c);
		let_go(&c);
		close_sources(&c);
		aop_ctx_close(c.ctx);
	}
	if (ret < 0)
		view_complain(v, "this round: %s", strerror(-ret));
	view_end(v);
	free(c.st);
	free(c.ops);
	free(c.items);
	return c.signal ? 128 + c.signal : v->complaints != complaints;
}
