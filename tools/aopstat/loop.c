// SPDX-License-Identifier: GPL-2.0
/*
 * loop.c - waits for the source, the clock, keys and signals
 *
 * Signals are blocked and read from a descriptor, so that nothing runs inside of them:
 * the terminal is restored, and a recording closed, by ordinary code.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "aopstat.h"

enum { ON_SOURCE, ON_TICK, ON_SIGNAL, ON_INPUT, ON_OUTPUT, NR_ON };

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static int on_signal(struct loop *l, int fd)
{
	struct signalfd_siginfo info;
	int ret = 0;

	while (!ret && read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (l->signal)
			ret = l->signal(l, info.ssi_signo);
		else
			ret = 1;
		if (ret > 0)
			l->sig = info.ssi_signo;
	}
	return ret;
}

static int on_tick(struct loop *l, int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? l->tick(l) : 0;
}

static int on_source(struct loop *l)
{
	int ret = source_dispatch(l->source);

	if (ret > 0)
		l->ended = true;
	return ret < 0 ? ret : 0;
}

static int wait_for(struct loop *l, struct pollfd *p)
{
	int ret = 0;

	while (!ret) {
		p[ON_SOURCE].fd = l->ended ? -1 : source_fd(l->source);
		if (poll(p, NR_ON, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[ON_SIGNAL].revents)
			ret = on_signal(l, p[ON_SIGNAL].fd);
		if (!ret && p[ON_INPUT].revents)
			ret = l->key(l);
		if (!ret && p[ON_SOURCE].revents && p[ON_SOURCE].fd >= 0)
			ret = on_source(l);
		if (!ret && p[ON_TICK].revents)
			ret = on_tick(l, p[ON_TICK].fd);
		/* Nobody reads what we write: as if SIGPIPE had come. */
		if (!ret && p[ON_OUTPUT].revents & (POLLERR | POLLHUP))
			ret = 1;
		/* With a terminal its user decides when he has seen enough. */
		if (!ret && l->ended && l->input < 0)
			ret = 1;
	}
	return ret;
}

int loop_run(struct loop *l)
{
	struct itimerspec every = {
		.it_interval = { l->interval / NSEC_PER_SEC, l->interval % NSEC_PER_SEC },
		.it_value = { l->interval / NSEC_PER_SEC, l->interval % NSEC_PER_SEC },
	};
	struct pollfd p[NR_ON] = {
		[ON_SOURCE] = { -1, POLLIN, 0 },
		[ON_TICK] = { -1, POLLIN, 0 },
		[ON_SIGNAL] = { -1, POLLIN, 0 },
		[ON_INPUT] = { l->input, POLLIN, 0 },
		[ON_OUTPUT] = { STDOUT_FILENO, 0, 0 },
	};
	sigset_t set;
	int ret = 0;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaddset(&set, ends[i]);
	if (l->signal) {
		sigaddset(&set, SIGWINCH);
		sigaddset(&set, SIGTSTP);
		sigaddset(&set, SIGCONT);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	p[ON_SIGNAL].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p[ON_SIGNAL].fd < 0)
		ret = -errno;
	if (!ret && l->interval) {
		p[ON_TICK].fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (p[ON_TICK].fd < 0 || timerfd_settime(p[ON_TICK].fd, 0, &every, NULL))
			ret = -errno;
	}
	if (!ret)
		ret = wait_for(l, p);
	if (p[ON_TICK].fd >= 0)
		close(p[ON_TICK].fd);
	if (p[ON_SIGNAL].fd >= 0)
		close(p[ON_SIGNAL].fd);
	return ret < 0 ? ret : 0;
}

int loop_exit(const struct loop *l, int ret)
{
	sigset_t set;

	if (ret < 0)
		ret = live_complain(ret);
	if (!l->sig)
		return ret;
	fflush(stdout);
	signal(l->sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, l->sig);
	raise(l->sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return 128 + l->sig;
}
