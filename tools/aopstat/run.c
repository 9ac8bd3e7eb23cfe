// SPDX-License-Identifier: GPL-2.0
/*
 * run.c - run a command as an op
 *
 * The command has a process group of its own, so that a cancel reaches all that it
 * starts; on a terminal, that group is in the foreground, as a shell would do it.  When
 * we die the kernel ends the op, and the command gets SIGTERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aopstat.h"

#define LINE	256

struct run {
	const struct settings *set;
	struct aop_ctx *ctx;
	struct aop op;
	struct aop_owner *owner;
	struct aop_watch asked;
	pid_t child;
	bool terminal;			/* ours to give to the child */
	bool stopping;			/* SIGTERM was sent for a cancel or a deadline */
	int signals, timer, progress;	/* descriptors */
	char line[LINE];
	size_t len;
};

/* ---- the command ------------------------------------------------------------------- */

static void give_terminal(const struct run *r, pid_t group)
{
	if (r->terminal)
		tcsetpgrp(STDIN_FILENO, group);
}

__attribute__((noreturn))
static void be_command(const struct run *r, char **argv, int report, int progress)
{
	int keep, error;
	sigset_t none;

	setpgid(0, 0);
	give_terminal(r, getpid());
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (progress >= 0) {
		/* The number may be that of the report. */
		if (report == r->set->progress_fd) {
			keep = fcntl(report, F_DUPFD_CLOEXEC, report + 1);
			report = keep < 0 ? report : keep;
		}
		if (progress == r->set->progress_fd)
			fcntl(progress, F_SETFD, 0);
		else
			dup2(progress, r->set->progress_fd);
	}
	signal(SIGTTOU, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[0], argv);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(error == ENOENT ? 127 : 126);
}

/* 0, or the errno that says why it did not begin. */
static int begin(struct run *r, char **argv)
{
	int report[2], progress[2] = { -1, -1 }, error = 0;

	if (pipe2(report, O_CLOEXEC))
		return -errno;
	if (r->set->progress_fd >= 0 && pipe2(progress, O_CLOEXEC))
		return -errno;
	r->child = fork();
	if (r->child < 0)
		return -errno;
	if (!r->child)
		be_command(r, argv, report[1], progress[1]);
	/* Both sides do it, so that it is done when either goes on. */
	setpgid(r->child, r->child);
	give_terminal(r, r->child);
	close(report[1]);
	if (progress[1] >= 0)
		close(progress[1]);
	r->progress = progress[0];
	if (r->progress >= 0)
		fcntl(r->progress, F_SETFL, O_NONBLOCK);
	while (read(report[0], &error, sizeof(error)) < 0 && errno == EINTR)
		;
	close(report[0]);
	return -error;
}

static void kill_group(const struct run *r, int sig)
{
	kill(-r->child, sig);
	/* A stopped one could not end. */
	if (sig != SIGKILL)
		kill(-r->child, SIGCONT);
}

static void stop_command(struct run *r)
{
	struct itimerspec at = {
		.it_value = { r->set->grace / NSEC_PER_SEC, r->set->grace % NSEC_PER_SEC },
	};

	if (r->stopping)
		return;
	r->stopping = true;
	if (!r->set->grace)
		at.it_value.tv_nsec = 1;
	kill_group(r, SIGTERM);
	timerfd_settime(r->timer, 0, &at, NULL);
}

/* A cancel, or the deadline. */
static void on_asked(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	stop_command(w->data);
}

/* ---- progress ------------------------------------------------------------------------ */

/* "42%", "3.5%" or "17/100", wherever in the line; the last one counts. */
static void take_line(struct run *r, const char *line)
{
	unsigned long long done = 0, total = 0, a, b;
	bool found = false;
	const char *s;
	double percent;
	int n;

	for (s = line; *s; ) {
		if (*s < '0' || *s > '9') {
			s++;
			continue;
		}
		n = 0;
		if (sscanf(s, "%llu/%llu%n", &a, &b, &n) == 2 && n && b) {
			done = a;
			total = b;
			found = true;
			s += n;
			continue;
		}
		n = 0;
		if (sscanf(s, "%lf%%%n", &percent, &n) == 1 && n && percent <= 100) {
			/* Hundredths, since some tell them. */
			done = percent * 100 + 0.5;
			total = 10000;
			found = true;
			s += n;
			continue;
		}
		s += strspn(s, "0123456789.");
	}
	if (found)
		aop_progress(r->owner, done, total);
}

/* Lines end with \n or, where they are drawn over each other, with \r. */
static void take_progress(struct run *r)
{
	char buf[4096];
	ssize_t n, i;

	while ((n = read(r->progress, buf, sizeof(buf))) > 0) {
		for (i = 0; i < n; i++) {
			if (buf[i] == '\n' || buf[i] == '\r') {
				r->line[r->len] = '\0';
				take_line(r, r->line);
				r->len = 0;
			} else if (r->len < LINE - 1) {
				r->line[r->len++] = buf[i];
			}
		}
	}
	if (n < 0 && errno == EAGAIN)
		return;
	close(r->progress);
	r->progress = -1;
}

/* ---- its end ---------------------------------------------------------------------------- */

/* The shell's Ctrl-Z: stop as our child did, and go on with it. */
static void stop_with_it(struct run *r)
{
	give_terminal(r, getpgrp());
	raise(SIGSTOP);
	if (r->terminal && tcgetpgrp(STDIN_FILENO) == getpgrp())
		give_terminal(r, r->child);
	kill(-r->child, SIGCONT);
}

/* True: it has ended, with *status. */
static bool reap(struct run *r, int *status)
{
	pid_t pid;

	while ((pid = waitpid(r->child, status, WNOHANG | WUNTRACED)) > 0) {
		if (!WIFSTOPPED(*status))
			return true;
		if (r->terminal && WSTOPSIG(*status) == SIGTSTP)
			stop_with_it(r);
	}
	return false;
}

static int end(struct run *r, int status)
{
	int ret, error = -EPROTO, exit_status;

	if (WIFEXITED(status)) {
		exit_status = WEXITSTATUS(status);
	} else {
		exit_status = 128 + WTERMSIG(status);
		error = -EINTR;
	}
	if (!exit_status)
		ret = aop_done(r->owner, 0);
	else if (r->stopping)
		ret = aop_cancelled(r->owner, 0);
	else
		ret = aop_fail(r->owner, error);
	if (ret == -EALREADY && aop_result(&r->op) == -ETIMEDOUT)
		return EXIT_TIMEOUT;
	return exit_status && r->stopping ? EXIT_CANCELLED : exit_status;
}

static void on_signal(struct run *r)
{
	struct signalfd_siginfo info;

	while (read(r->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			kill_group(r, info.ssi_signo);
}

static int follow(struct run *r)
{
	struct pollfd p[] = {
		{ r->signals, POLLIN, 0 },
		{ r->timer, POLLIN, 0 },
		{ aop_ctx_fd(r->ctx), POLLIN, 0 },
		{ r->progress, POLLIN, 0 },
	};
	uint64_t expired;
	int status;

	while (!reap(r, &status)) {
		p[3].fd = r->progress;
		if (poll(p, 4, -1) < 0)
			continue;
		if (p[0].revents)
			on_signal(r);
		if (p[1].revents && read(r->timer, &expired, sizeof(expired)) > 0)
			kill_group(r, SIGKILL);
		if (p[2].revents)
			aop_ctx_dispatch(r->ctx);
		if (p[3].revents && r->progress >= 0)
			take_progress(r);
	}
	/* What it wrote last. */
	if (r->progress >= 0)
		take_progress(r);
	return status;
}

/* ---- from begin to end -------------------------------------------------------------------- */

static int open_sources(struct run *r)
{
	static const int taken[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGTTOU, SIG_IGN);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	r->progress = -1;
	r->terminal = isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
	return r->signals < 0 || r->timer < 0 ? -errno : 0;
}

static int run(struct run *r, char **argv)
{
	int ret, status;

	ret = aop_start(r->owner);
	if (ret < 0) {
		complain("the op has ended before the command began");
		return EXIT_CANCELLED;
	}
	ret = begin(r, argv);
	if (ret) {
		complain("%s: %s", argv[0], strerror(-ret));
		aop_fail(r->owner, ret);
		if (r->child > 0)
			waitpid(r->child, NULL, 0);
		give_terminal(r, getpgrp());
		return ret == -ENOENT ? 127 : 126;
	}
	aop_on_asked(r->owner, &r->asked, on_asked, r, AOP_INLINE);
	status = follow(r);
	give_terminal(r, getpgrp());
	ret = end(r, status);
	aop_unwatch(&r->asked);
	return ret;
}

int cmd_run(struct settings *s, int argc, char **argv)
{
	struct run r = { .set = s };
	char label[AOP_LABEL_SIZE];
	const char *name;
	int ret;

	(void)argc;
	name = strrchr(argv[0], '/');
	name = s->label ?: name ? name + 1 : argv[0];
	snprintf(label, sizeof(label), "%s", name);
	ret = aop_ctx_open(&r.ctx, NULL);
	if (ret < 0)
		return context_complain(ret);
	ret = aop_init_with(&r.op, r.ctx, AOP_OPTS(.label = label, .deadline = s->deadline,
						   .flags = AOP_DETACHED));
	if (ret < 0 || open_sources(&r)) {
		complain("%s", strerror(ret < 0 ? -ret : errno));
		aop_ctx_close(r.ctx);
		return EXIT_SYSTEM;
	}
	if (s->print_id)
		fprintf(stderr, "%llu\n", (unsigned long long)aop_id(&r.op));
	r.owner = aop_owner(&r.op);
	ret = run(&r, argv);
	aop_drop(&r.op);
	aop_ctx_close(r.ctx);
	return ret;
}
