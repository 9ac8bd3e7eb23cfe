// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * signal.c - signals as ops
 *
 * A loop has one signalfd, made when it first waits for a signal, whose mask is what is
 * waited for at the time: a signal that nobody waits for stays pending.  All that is
 * waited for was blocked in the loop's thread, and stays so until the loop is closed, so
 * that none is lost between two waits.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "loop.h"

struct signals {
	struct source source;
	struct aop_loop *loop;
	struct io *waiting;		/* by io->wait */
	sigset_t mask;			/* what the signalfd takes */
	sigset_t blocked;		/* by us */
};

/* The signalfd shall take what is waited for. */
static int update(struct signals *s)
{
	struct io *io;

	sigemptyset(&s->mask);
	for (io = s->waiting; io; io = io->wait)
		sigaddset(&s->mask, io->flags);
	return signalfd(s->source.fd, &s->mask, 0) < 0 ? -errno : 0;
}

/* All who wait for signo have got it. */
static void deliver(struct signals *s, int signo)
{
	struct io **p, *io, *got = NULL, **last = &got;

	for (p = &s->waiting; (io = *p);) {
		if (io->flags == signo) {
			*p = io->wait;
			io->wait = NULL;
			*last = io;
			last = &io->wait;
		} else {
			p = &io->wait;
		}
	}
	update(s);
	/* From here on callbacks run; what one of them cancels is not in a list any more. */
	while ((io = got)) {
		got = io->wait;
		io->state = 0;
		io_end(io, signo);
	}
}

static void signals_ready(struct source *source)
{
	struct signals *s = container_of(source, struct signals, source);
	struct signalfd_siginfo info;

	while (read(s->source.fd, &info, sizeof(info)) == sizeof(info))
		deliver(s, info.ssi_signo);
}

static struct signals *set_up(struct aop_loop *l, int *err)
{
	struct signals *s = l->signals;

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s) {
		*err = -ENOMEM;
		return NULL;
	}
	sigemptyset(&s->mask);
	sigemptyset(&s->blocked);
	s->loop = l;
	s->source.ready = signals_ready;
	s->source.fd = signalfd(-1, &s->mask, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->source.fd < 0) {
		*err = -errno;
		free(s);
		return NULL;
	}
	*err = loop_add_source(l, &s->source);
	if (*err < 0) {
		close(s->source.fd);
		free(s);
		return NULL;
	}
	l->signals = s;
	return s;
}

void signal_cancel(struct aop_loop *l, struct io *io)
{
	struct io **p = &l->signals->waiting;

	while (*p && *p != io)
		p = &(*p)->wait;
	if (!*p)
		return;			/* delivered: it ends just now */
	*p = io->wait;
	update(l->signals);
	io_end(io, -ECANCELED);
}

void signals_close(struct aop_loop *l)
{
	struct signals *s = l->signals;

	if (!s)
		return;
	loop_remove_source(l, &s->source);
	close(s->source.fd);
	pthread_sigmask(SIG_UNBLOCK, &s->blocked, NULL);
	free(s);
	l->signals = NULL;
}

/**
 * aop_sigwait() - begin an op that ends when a signal comes
 * @l: a loop
 * @io: memory of the caller's until the op is over
 * @signo: a signal; not SIGKILL, SIGSTOP, or one of a fault
 *
 * The result is @signo.  The signal is blocked in the loop's thread until the loop is
 * closed; in a program of several threads the others must have it blocked, or one of them
 * gets it instead.  One signal ends all ops of one loop that wait for it.  The first call
 * on a loop allocates.  Otherwise like aop_ready().
 *
 * Return: &@io->op; FAILED -EINVAL: no such signal; -EMFILE, -ENFILE, -ENOMEM.
 */
struct aop *aop_sigwait(struct aop_loop *l, struct aop_io *io, int signo)
{
	sigset_t set, old;
	struct signals *s;
	struct io *i, **p;
	int err = -EINVAL;

	sigemptyset(&set);
	if (!l || sigaddset(&set, signo) || signo == SIGKILL || signo == SIGSTOP) {
		op_ended(to_op(&io->op), -EINVAL);
		return &io->op;
	}
	s = set_up(l, &err);
	if (!s) {
		op_ended(to_op(&io->op), err);
		return &io->op;
	}
	i = io_init(l, io, IO_SIGNAL, s->source.fd);
	if (!i)
		return &io->op;
	i->flags = signo;
	pthread_sigmask(SIG_BLOCK, &set, &old);
	if (!sigismember(&old, signo))
		sigaddset(&s->blocked, signo);
	for (p = &s->waiting; *p; p = &(*p)->wait)
		;
	*p = i;
	err = update(s);
	if (err < 0) {
		*p = NULL;
		io_end(i, err);
	}
	if (unlikely(l->poke))
		loop_poke(l);
	return &io->op;
}
