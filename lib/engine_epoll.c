// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * engine_epoll.c - input and output by readiness
 *
 * An op's call is made at once.  If it would block, the op stands in the line of its file
 * and direction, and the file is armed for one event; then the calls of those in line are
 * made until one would block again, or AT_ONCE of them have ended in this turn: a callback
 * or a task may begin the next one each time, and there are others.  Arming is one
 * epoll_ctl() for each wait: so a descriptor that was closed, and is another file now, is
 * noticed, and nobody has to tell the loop.  What is remembered of a descriptor is only a
 * hint.
 *
 * A call that can only block, as on a disk's file that is not in memory, is made by a pool
 * (offload.c).  If it moves the file's position, it stays first in its line meanwhile,
 * and those behind it wait; the others go side by side.
 *
 * A file that cannot be armed is `stuck`: those in its lines end by work that is queued, one
 * round of them each time.
 *
 * Lines are found by the number of the descriptor in a table of two levels, which grows
 * when a number is used for the first time.
 */
#include <errno.h>
#include <linux/time_types.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loop.h"

#define PAGE_BITS	9		/* of PAGE */
#define PAGE		512
#define EVENTS		128		/* taken at once */
#define AT_ONCE		16		/* calls on one file in one turn */

struct line {
	struct io *first, *last;	/* by io->wait */
};

struct file {
	struct line in, out, ready;	/* ready: those who only want to know */
	bool known;			/* epoll may have heard of it */
	bool drained;			/* there was nothing left to read: do not try at once */
	bool busy;			/* events are handled: arm it afterwards */
	bool no_socket;			/* was none, when it was written to */
	bool stuck;			/* in epoll->stuck */
	uint8_t calls;			/* that ended, in */
	uint32_t turn;			/* ... this one */
	int32_t err;			/* why it is stuck */
	struct file *next_stuck;
};

struct epoll {
	int fd;
	bool no_pwait2;
	uint32_t nr_pages;
	struct file **pages;
	struct epoll_event *events;	/* being handled, or NULL */
	int nr_events;
	struct file *stuck;
	struct aop_work unstick;
	struct aop_loop *loop;
};

static struct epoll *of(struct aop_loop *l)
{
	return l->engine_data;
}

static struct file *file_of(struct epoll *e, int fd)
{
	uint32_t page = (uint32_t)fd >> PAGE_BITS, n;
	struct file **pages;

	if (unlikely(page >= e->nr_pages)) {
		n = e->nr_pages ? e->nr_pages : 8;
		while (n <= page)
			n *= 2;
		pages = realloc(e->pages, n * sizeof(*pages));
		if (!pages)
			return NULL;
		memset(pages + e->nr_pages, 0, (n - e->nr_pages) * sizeof(*pages));
		e->pages = pages;
		e->nr_pages = n;
	}
	if (unlikely(!e->pages[page]))
		e->pages[page] = calloc(PAGE, sizeof(struct file));
	return e->pages[page] ? e->pages[page] + ((uint32_t)fd & (PAGE - 1)) : NULL;
}

/* The one of a descriptor that is there already. */
static struct file *known_file(struct epoll *e, int fd)
{
	return &e->pages[(uint32_t)fd >> PAGE_BITS][(uint32_t)fd & (PAGE - 1)];
}

static struct line *line_of(struct file *f, const struct io *io)
{
	if (io->kind == IO_READY)
		return &f->ready;
	return io->events == POLLOUT ? &f->out : &f->in;
}

static void line_add(struct line *line, struct io *io)
{
	io->wait = NULL;
	if (line->first)
		line->last->wait = io;
	else
		line->first = io;
	line->last = io;
}

static bool line_remove(struct line *line, struct io *io)
{
	struct io **p = &line->first, *prev = NULL;

	while (*p && *p != io) {
		prev = *p;
		p = &prev->wait;
	}
	if (!*p)
		return false;
	*p = io->wait;
	if (line->last == io)
		line->last = prev;
	return true;
}

/* The first of those who wait for an event; not, if he is with the pool. */
static struct io *waits(const struct line *line)
{
	struct io *io = line->first;

	return io && likely(!offloaded(io)) ? io : NULL;
}

/* What those in line wait for; poll's and epoll's bits are the same. */
static uint32_t wanted(const struct file *f)
{
	uint32_t events = (waits(&f->in) ? POLLIN : 0) | (waits(&f->out) ? POLLOUT : 0);
	const struct io *io;

	for (io = f->ready.first; io; io = io->wait)
		events |= io->events;
	return events;
}

static bool anybody(const struct file *f)
{
	return waits(&f->in) || waits(&f->out) || f->ready.first;
}

static int arm(struct epoll *e, struct file *f, int fd)
{
	struct epoll_event ev = {
		.events = wanted(f) | EPOLLONESHOT,
		.data.u64 = (uint64_t)fd << 1 | 1,
	};

	if (f->known && !epoll_ctl(e->fd, EPOLL_CTL_MOD, fd, &ev))
		return 0;
	if (f->known && errno != ENOENT)
		return -errno;
	f->known = true;
	if (!epoll_ctl(e->fd, EPOLL_CTL_ADD, fd, &ev))
		return 0;
	if (errno == EEXIST && !epoll_ctl(e->fd, EPOLL_CTL_MOD, fd, &ev))
		return 0;
	f->known = false;
	return -errno;
}

/* io's call can only block.  If it does not move the position, it leaves its line. */
static void to_pool(struct line *line, struct io *io)
{
	int ret;

	if (io->kind == IO_FSYNC || io->off >= 0)
		line_remove(line, io);
	else if (line->first != io)
		line_add(line, io);
	ret = offload(io);
	if (unlikely(ret < 0)) {
		line_remove(line, io);
		io_end(io, ret);
	}
}

static unsigned int length(const struct line *line)
{
	const struct io *io;
	unsigned int n = 0;

	for (io = line->first; io; io = io->wait)
		n++;
	return n;
}

/* All in line end with an error, or, of a file that is always ready, with their calls. */
static void give_up(struct file *f, struct line *line)
{
	unsigned int left = length(line);	/* not those that callbacks begin */
	const int err = f->err;
	struct io *io;

	f->drained = false;
	for (; left && (io = waits(line)); left--) {
		if (err == -EPERM && (io->kind >= IO_READ && io->kind <= IO_WRITE_ALL)) {
			to_pool(line, io);
			continue;
		}
		line_remove(line, io);
		if (err != -EPERM)
			io_end(io, err);
		else if (io->kind == IO_READY)
			io_end(io, io->events & (POLLIN | POLLOUT));
		else
			io_end(io, io_attempt(io, true));
	}
}

static void arm_or_give_up(struct aop_loop *l, struct file *f, int fd)
{
	struct epoll *e = of(l);
	int ret;

	if (f->busy || f->stuck || !anybody(f))
		return;
	ret = arm(e, f, fd);
	if (likely(ret >= 0))
		return;
	f->err = ret;
	f->stuck = true;
	f->next_stuck = e->stuck;
	e->stuck = f;
	loop_queue(l, &e->unstick, LOOP_MAIN);
}

static void unstick(struct aop_work *w)
{
	struct epoll *e = container_of(w, struct epoll, unstick);
	struct file *f, *next;

	f = e->stuck;
	e->stuck = NULL;
	for (; f; f = next) {
		next = f->next_stuck;
		give_up(f, &f->ready);
		give_up(f, &f->in);
		give_up(f, &f->out);
		if (anybody(f)) {
			f->next_stuck = e->stuck;
			e->stuck = f;
		} else {
			f->stuck = false;
		}
	}
	if (e->stuck)
		loop_queue(e->loop, w, LOOP_MAIN);
}

/* May another call on f be made in this turn? */
static bool has_turn(const struct aop_loop *l, struct file *f)
{
	if (f->turn != (uint32_t)l->stats.turns) {
		f->turn = l->stats.turns;
		f->calls = 0;
	}
	return f->calls < AT_ONCE;
}

/* IO_BLOCKS, -EAGAIN, or what ends io. */
static int64_t attempt(struct file *f, struct io *io, bool ready)
{
	const bool writes = io->kind == IO_WRITE || io->kind == IO_WRITE_ALL;
	int64_t ret;

	if (writes)
		io->flags = !f->no_socket;
	ret = io_attempt(io, ready);
	if (writes)
		f->no_socket = !io->flags;
	if (ret != -EAGAIN)
		f->calls++;
	return ret;
}

/* Did this call take all there was?  Then the next one would be for nothing. */
static bool drained(const struct io *io, int64_t result)
{
	if (io->kind == IO_RECV || io->kind == IO_READ)
		return result < (int64_t)io->len;
	return io->kind == IO_ACCEPT;
}

static void epoll_begin(struct aop_loop *l, struct io *io)
{
	struct file *f = file_of(of(l), io->fd);
	struct line *line;
	int64_t ret;

	if (unlikely(!f)) {
		io_end(io, -ENOMEM);
		return;
	}
	line = line_of(f, io);
	if (unlikely(io->kind == IO_FSYNC)) {
		to_pool(line, io);
		return;
	}
	if (io->kind != IO_READY && !line->first && !(line == &f->in && f->drained) &&
	    has_turn(l, f)) {
		ret = attempt(f, io, false);
		if (unlikely(ret == IO_BLOCKS)) {
			to_pool(line, io);
			return;
		}
		/* A unix socket whose peer is busy: POLLOUT would not tell when it is not. */
		if (ret != -EAGAIN || (io->kind == IO_CONNECT && !io->state)) {
			if (line == &f->in && ret > 0)
				f->drained = drained(io, ret);
			io_end(io, ret);
			return;
		}
	}
	/* Begun by a callback for an event of before: it is not told of that one. */
	if (io->kind == IO_READY && f->busy)
		io->state = 1;
	line_add(line, io);
	/* Those before it have armed it; but not for other events. */
	if (line->first == io || io->kind == IO_READY)
		arm_or_give_up(l, f, io->fd);
}

static void epoll_cancel(struct aop_loop *l, struct io *io)
{
	struct file *f = known_file(of(l), io->fd);

	/* An event that is armed may come: it finds nobody. */
	if (!offload_cancel(io) && line_remove(line_of(f, io), io))
		io_end(io, -ECANCELED);
}

/* Make the calls of those in line. */
static int serve(struct aop_loop *l, struct file *f, struct line *line)
{
	struct io *io;
	int64_t ret;
	int n;

	for (n = 0; (io = waits(line)); n++) {
		if ((line == &f->in && f->drained) || !has_turn(l, f))
			break;
		/* The one before may have taken what there was, and a call might block. */
		ret = attempt(f, io, !n);
		if (ret == -EAGAIN)
			break;
		if (unlikely(ret == IO_BLOCKS)) {
			to_pool(line, io);
			continue;
		}
		if (line == &f->in)
			f->drained = drained(io, ret);
		line_remove(line, io);
		io_end(io, ret);
	}
	return n;
}

/* Tell those who only want to know. */
static int tell(struct line *line, uint32_t events)
{
	struct io *io = line->first, *next;
	int n = 0;

	while (io) {
		next = io->wait;
		if (!io->state && events & (io->events | POLLERR | POLLHUP)) {
			line_remove(line, io);
			io_end(io, events & (io->events | POLLERR | POLLHUP));
			/* The callback may have changed the line. */
			next = line->first;
			n++;
		}
		io = next;
	}
	return n;
}

static int file_ready(struct aop_loop *l, int fd, uint32_t events)
{
	struct file *f = known_file(of(l), fd);
	struct io *io;
	int n;

	f->busy = true;
	f->drained = false;
	n = tell(&f->ready, events);
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		n += serve(l, f, &f->in);
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		n += serve(l, f, &f->out);
	f->busy = false;
	for (io = f->ready.first; io; io = io->wait)
		io->state = 0;
	arm_or_give_up(l, f, fd);
	return n;
}

static void epoll_returned(struct aop_loop *l, struct io *io, int64_t result)
{
	int fd = io->fd;
	struct file *f = file_of(of(l), fd);

	line_remove(line_of(f, io), io);
	io_end(io, result);
	arm_or_give_up(l, f, fd);
}

static int wait_events(struct epoll *e, struct epoll_event *events, int64_t timeout)
{
	struct __kernel_timespec t;	/* what the call takes on 32 bit, too */
	int n, ms;

	if (timeout <= 0)
		return epoll_wait(e->fd, events, EVENTS, timeout < 0 ? -1 : 0);
	if (likely(!e->no_pwait2)) {
		t.tv_sec = timeout / 1000000000;
		t.tv_nsec = timeout % 1000000000;
		n = syscall(SYS_epoll_pwait2, e->fd, events, EVENTS, &t, NULL, 0);
		if (n >= 0 || errno != ENOSYS)
			return n;
		e->no_pwait2 = true;	/* before 5.11 */
	}
	/* Rather late than early. */
	ms = timeout > INT32_MAX * INT64_C(1000000) ? INT32_MAX : (timeout + 999999) / 1000000;
	return epoll_wait(e->fd, events, EVENTS, ms);
}

static int epoll_engine_wait(struct aop_loop *l, int64_t timeout)
{
	struct epoll_event events[EVENTS];
	struct epoll *e = of(l);
	struct source *s;
	int i, nr, n = 0;

	nr = wait_events(e, events, timeout);
	if (nr < 0)
		return errno == EINTR ? 0 : -errno;
	e->events = events;
	e->nr_events = nr;
	for (i = 0; i < nr; i++) {
		if (events[i].data.u64 & 1) {
			n += file_ready(l, events[i].data.u64 >> 1, events[i].events);
			continue;
		}
		s = events[i].data.ptr;
		if (s)
			s->ready(s);
	}
	e->events = NULL;
	return n;
}

static int epoll_add(struct aop_loop *l, struct source *s)
{
	struct epoll_event ev = {
		.events = EPOLLIN | (s->edge ? EPOLLET : 0),
		.data.ptr = s,
	};

	return epoll_ctl(of(l)->fd, EPOLL_CTL_ADD, s->fd, &ev) ? -errno : 0;
}

static void epoll_remove(struct aop_loop *l, struct source *s)
{
	struct epoll *e = of(l);
	int i;

	epoll_ctl(e->fd, EPOLL_CTL_DEL, s->fd, NULL);
	for (i = 0; e->events && i < e->nr_events; i++)
		if (e->events[i].data.ptr == s)
			e->events[i].data.ptr = NULL;
}

static int epoll_open(struct aop_loop *l, const struct aop_loop_opts *o)
{
	struct epoll *e = calloc(1, sizeof(*e));

	(void)o;
	if (!e)
		return -ENOMEM;
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0) {
		free(e);
		return -errno;
	}
	e->loop = l;
	e->unstick.run = unstick;
	l->engine_data = e;
	return 0;
}

static void epoll_close(struct aop_loop *l)
{
	struct epoll *e = of(l);
	uint32_t i;

	close(e->fd);
	for (i = 0; i < e->nr_pages; i++)
		free(e->pages[i]);
	free(e->pages);
	free(e);
}

static int epoll_engine_fd(struct aop_loop *l)
{
	return of(l)->fd;
}

static bool epoll_ready(struct aop_loop *l)
{
	(void)l;
	return false;
}

static void epoll_flush(struct aop_loop *l)
{
	(void)l;
}

const struct engine engine_epoll = {
	.name = "epoll",
	.open = epoll_open,
	.close = epoll_close,
	.fd = epoll_engine_fd,
	.begin = epoll_begin,
	.cancel = epoll_cancel,
	.add = epoll_add,
	.remove = epoll_remove,
	.wait = epoll_engine_wait,
	.ready = epoll_ready,
	.returned = epoll_returned,
	.flush = epoll_flush,
};
