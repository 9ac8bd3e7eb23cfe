// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * engine_uring.c - input and output by completion, with io_uring
 *
 * Ops become entries of the submission queue and are submitted together, in the same
 * system call that waits.  user_data is the io, whose memory stays until its completion
 * has come, also when it is cancelled; a source's is its number, since it may be gone.
 *
 * A context of shared ops is polled in multishot form: one request for as long as the
 * loop has it, and no more than one completion when its ring fills.  Its commands
 * (AOP_URING_WAIT and others, from Linux 6.8 on) are no use here.  Instructions of one
 * event, with the signal (bench/kernel/uring.c, Linux 6.12): multishot poll 2467, a poll
 * armed each time 3688, a command that waits 4196; for 64 events 12559, 13782 and 113332,
 * since a command serves one op and the ring all of them.  To signal by a command
 * saves the system call and costs more than it: 2685, and 12595 for 64.
 *
 * A file that is O_NONBLOCK answers -EAGAIN instead of waiting: then it is polled, and
 * the call is made again.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>

#include "loop.h"

#define ENTRIES		256
#define EVENTS		256		/* ended by one wait */

#define TAG_IO		0		/* the low bits of user_data */
#define TAG_SOURCE	1
#define TAG_NOBODY	2
#define TAGS		3

enum { IO_CALLED, IO_POLLED };		/* io->state */

struct uring {
	struct io_uring ring;
	struct source *sources;
	uint64_t last_number;
	struct uring *next_sqpoll;	/* sqpoll_lock */
};

/* Rings that share one kernel thread. */
static struct lock sqpoll_lock;
static struct uring *sqpoll_rings;	/* sqpoll_lock */

static struct uring *of(struct aop_loop *l)
{
	return l->engine_data;
}

static struct io_uring_sqe *get_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	while (unlikely(!sqe)) {
		io_uring_submit(&u->ring);
		if (u->ring.flags & IORING_SETUP_SQPOLL)
			io_uring_sqring_wait(&u->ring);
		sqe = io_uring_get_sqe(&u->ring);
	}
	return sqe;
}

static void set_tag(struct io_uring_sqe *sqe, uint64_t value, unsigned int tag)
{
	io_uring_sqe_set_data64(sqe, value | tag);
}

/* ---- ios ----------------------------------------------------------------- */

static void poll_io(struct uring *u, struct io *io)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	io->state = IO_POLLED;
	io_uring_prep_poll_add(sqe, io->fd, io->events);
	set_tag(sqe, (uintptr_t)io, TAG_IO);
}

static void call_io(struct uring *u, struct io *io)
{
	struct io_uring_sqe *sqe;

	if (io->kind == IO_READY || io->kind == IO_CHILD) {
		poll_io(u, io);
		return;
	}
	sqe = get_sqe(u);
	io->state = IO_CALLED;
	switch (io->kind) {
	case IO_READ:
		io_uring_prep_read(sqe, io->fd, io->buf, io->len, io->off);
		break;
	case IO_WRITE:
	case IO_WRITE_ALL:
		io_uring_prep_write(sqe, io->fd, (char *)io->buf + io->done, io->len - io->done,
				    io->off < 0 ? -1 : io->off + (int64_t)io->done);
		break;
	case IO_FSYNC:
		io_uring_prep_fsync(sqe, io->fd, 0);
		break;
	case IO_RECV:
		io_uring_prep_recv(sqe, io->fd, io->buf, io->len, io->flags);
		break;
	case IO_SEND:
		io_uring_prep_send(sqe, io->fd, io->buf, io->len, io->flags);
		break;
	case IO_RECVMSG:
		io_uring_prep_recvmsg(sqe, io->fd, io->buf, io->flags);
		break;
	case IO_SENDMSG:
		io_uring_prep_sendmsg(sqe, io->fd, io->buf, io->flags);
		break;
	case IO_ACCEPT:
		io_uring_prep_accept(sqe, io->fd, NULL, NULL, io->flags);
		break;
	default:
		io_uring_prep_connect(sqe, io->fd, io->buf, io->len);
		break;
	}
	set_tag(sqe, (uintptr_t)io, TAG_IO);
}

static void uring_begin(struct aop_loop *l, struct io *io)
{
	int64_t ret = io->kind == IO_CHILD ? child_try(io) : -EAGAIN;

	if (ret == -EAGAIN)
		call_io(of(l), io);
	else
		io_end(io, ret);
}

/* The kernel said res of a poll, which was for the call to be made again. */
static int64_t polled(struct io *io, int res, bool *again)
{
	int64_t ret;

	if (res < 0 || io->kind == IO_READY)
		return res;
	if (io->kind == IO_CHILD) {
		ret = child_try(io);
		*again = ret == -EAGAIN;
		return ret;
	}
	*again = true;
	return 0;
}

/* The file is O_NONBLOCK, and was not ready. */
static bool must_poll(struct io *io, int res)
{
	if (io->kind != IO_CONNECT)
		return res == -EAGAIN && io->events;
	/* A unix socket whose peer is busy: POLLOUT would not tell when it is not. */
	return res == -EINPROGRESS || res == -EALREADY || (res == -EAGAIN && !io->done)
	       ? ++io->done : false;
}

static void completed(struct aop_loop *l, struct io *io, int res)
{
	bool again = false;
	int64_t ret = res;

	if (io->state == IO_POLLED) {
		ret = polled(io, res, &again);
	} else if (unlikely(res == -EINTR)) {
		again = true;
	} else if (unlikely(must_poll(io, res))) {
		if (!io->reason && !l->closing) {
			poll_io(of(l), io);
			return;
		}
		ret = -ECANCELED;	/* which found nothing, as it was not polled yet */
	} else if (unlikely(res == -EISCONN && io->kind == IO_CONNECT && io->done)) {
		ret = 0;
	} else if (io->kind == IO_WRITE_ALL && res > 0) {
		io->done += res;
		again = io->done < io->len;
		ret = io->done;
	}
	if (again && (io->reason || l->closing)) {
		again = false;
		ret = -ECANCELED;
	}
	if (again)
		call_io(of(l), io);
	else
		io_end(io, ret);
}

static void uring_cancel(struct aop_loop *l, struct io *io)
{
	struct io_uring_sqe *sqe = get_sqe(of(l));

	io_uring_prep_cancel(sqe, io, 0);
	set_tag(sqe, 0, TAG_NOBODY);
	if (unlikely(l->poke))
		loop_poke(l);
}

/* ---- sources ------------------------------------------------------------- */

static void poll_source(struct uring *u, struct source *s)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	/* In multishot form it tells of each write, and not of what is left unread. */
	if (s->edge || s->drained)
		io_uring_prep_poll_multishot(sqe, s->fd, POLLIN);
	else
		io_uring_prep_poll_add(sqe, s->fd, POLLIN);
	set_tag(sqe, s->number << 2, TAG_SOURCE);
	s->on = true;
}

static struct source *find_source(struct uring *u, uint64_t number)
{
	struct source *s = u->sources;

	while (s && s->number != number)
		s = s->next;
	return s;
}

static int uring_add(struct aop_loop *l, struct source *s)
{
	struct uring *u = of(l);

	s->number = ++u->last_number;
	s->next = u->sources;
	u->sources = s;
	poll_source(u, s);
	return 0;
}

static void uring_remove(struct aop_loop *l, struct source *s)
{
	struct uring *u = of(l);
	struct source **p = &u->sources;
	struct io_uring_sqe *sqe;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	if (!s->on)
		return;
	sqe = get_sqe(u);
	io_uring_prep_poll_remove(sqe, s->number << 2 | TAG_SOURCE);
	set_tag(sqe, 0, TAG_NOBODY);
	/* Its descriptor may be closed now. */
	io_uring_submit(&u->ring);
}

static void source_ready(struct aop_loop *l, uint64_t number, bool more)
{
	struct uring *u = of(l);
	struct source *s = find_source(u, number);

	if (!s)
		return;
	s->on = more;
	s->ready(s);
	s = find_source(u, number);	/* it may have gone */
	if (s && !s->on)
		poll_source(u, s);
}

/* ---- waiting ------------------------------------------------------------- */

static bool uring_ready(struct aop_loop *l)
{
	struct io_uring *ring = &of(l)->ring;

	return io_uring_cq_ready(ring) ||
	       IO_URING_READ_ONCE(*ring->sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static void uring_flush(struct aop_loop *l)
{
	struct uring *u = of(l);

	if (io_uring_sq_ready(&u->ring))
		io_uring_submit(&u->ring);
}

/* Submit, and wait for one completion. */
static int enter(struct aop_loop *l, int64_t timeout)
{
	struct uring *u = of(l);
	struct __kernel_timespec t;
	struct io_uring_cqe *cqe;

	if (!timeout) {
		if (uring_ready(l) || !(u->ring.flags & IORING_SETUP_TASKRUN_FLAG))
			return io_uring_submit_and_get_events(&u->ring);
		return io_uring_sq_ready(&u->ring) ? io_uring_submit(&u->ring) : 0;
	}
	if (timeout < 0)
		return io_uring_submit_and_wait(&u->ring, 1);
	t.tv_sec = timeout / 1000000000;
	t.tv_nsec = timeout % 1000000000;
	return io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &t, NULL);
}

static int uring_wait(struct aop_loop *l, int64_t timeout)
{
	struct uring *u = of(l);
	struct io_uring_cqe *cqe;
	uint64_t data;
	int res, n, ret;
	bool more;

	ret = enter(l, timeout);
	if (unlikely(ret < 0 && ret != -ETIME && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY))
		return ret;
	for (n = 0; n < EVENTS && io_uring_cq_ready(&u->ring); n++) {
		if (io_uring_peek_cqe(&u->ring, &cqe))
			break;
		data = cqe->user_data;
		res = cqe->res;
		more = cqe->flags & IORING_CQE_F_MORE;
		/* Before the callback, which may submit. */
		io_uring_cqe_seen(&u->ring, cqe);
		switch (data & TAGS) {
		case TAG_IO:
			completed(l, (struct io *)(uintptr_t)data, res);
			break;
		case TAG_SOURCE:
			source_ready(l, data >> 2, more);
			break;
		}
	}
	return n;
}

/* ---- opening and closing ------------------------------------------------- */

static int open_sqpoll(struct uring *u, unsigned int entries)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 50 };
	int ret;

	lock_take(&sqpoll_lock);
	if (sqpoll_rings) {
		p.flags |= IORING_SETUP_ATTACH_WQ;
		p.wq_fd = sqpoll_rings->ring.ring_fd;
	}
	ret = io_uring_queue_init_params(entries, &u->ring, &p);
	if (!ret) {
		u->next_sqpoll = sqpoll_rings;
		sqpoll_rings = u;
	}
	lock_drop(&sqpoll_lock);
	return ret;
}

static int open_ring(struct uring *u, unsigned int entries)
{
	/*
	 * Completions are worked on when the thread enters the kernel, without an
	 * interrupt: 5.19.  Not IORING_SETUP_DEFER_TASKRUN: it would tie the ring to one
	 * thread, and its descriptor could not be waited for by others.
	 */
	struct io_uring_params p = {
		.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
			 IORING_SETUP_CQSIZE,
		.cq_entries = 4 * entries,
	};
	int ret;

	ret = io_uring_queue_init_params(entries, &u->ring, &p);
	if (ret != -EINVAL)
		return ret;
	p = (struct io_uring_params){ .flags = IORING_SETUP_CQSIZE, .cq_entries = 4 * entries };
	ret = io_uring_queue_init_params(entries, &u->ring, &p);
	if (ret)
		return ret;
	/* Waits with a time limit, and completions that are not lost: 5.11. */
	if ((p.features & (IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP)) ==
	    (IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP))
		return 0;
	io_uring_queue_exit(&u->ring);
	return -ENOSYS;
}

static int uring_open(struct aop_loop *l, const struct aop_loop_opts *o)
{
	unsigned int entries = o->entries ? o->entries : ENTRIES;
	struct uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	ret = o->flags & AOP_SQPOLL ? open_sqpoll(u, entries) : open_ring(u, entries);
	if (ret) {
		free(u);
		return ret;
	}
	l->engine_data = u;
	l->sqpoll = o->flags & AOP_SQPOLL;
	return 0;
}

static void uring_close(struct aop_loop *l)
{
	struct uring *u = of(l), **p;

	lock_take(&sqpoll_lock);
	for (p = &sqpoll_rings; *p && *p != u; p = &(*p)->next_sqpoll)
		;
	if (*p)
		*p = u->next_sqpoll;
	lock_drop(&sqpoll_lock);
	io_uring_queue_exit(&u->ring);
	free(u);
}

static int uring_fd(struct aop_loop *l)
{
	return of(l)->ring.ring_fd;
}

const struct engine engine_uring = {
	.name = "io_uring",
	.open = uring_open,
	.close = uring_close,
	.fd = uring_fd,
	.begin = uring_begin,
	.cancel = uring_cancel,
	.add = uring_add,
	.remove = uring_remove,
	.wait = uring_wait,
	.ready = uring_ready,
	.flush = uring_flush,
	.edges = true,
};
