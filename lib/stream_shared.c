// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream_shared.c - streams between processes
 *
 * The memory is a sealed memfd that both sides map: a head, the slots, the places.  It
 * holds no index and no pointer.  Positions are private to each side, and all that is read
 * from the other side is read once and checked (claim_message()), or only compared: so
 * whatever he writes there, nothing outside is read or written, nobody loops, and the worst
 * is that the stream ends with -EPROTO, or says nonsense.  A message is there when its slot
 * says so, which is the last that its sender writes: what a killed one had begun is never
 * seen.
 *
 * Sending and receiving make no system call.  Who waits sets a bit in his word of the head,
 * has a full barrier, and looks at the ring; who has changed the ring has a full barrier, and
 * looks at that bit: one of them sees the other.  He then takes the bit away, so that he
 * rings once, with a progress of his doorbell, an op that he owns and the other one
 * watches.  That one dispatches its context, looks at the ring, and sets the bit again if
 * he still waits.  If the doorbell's owner dies, the op ends: so the other one learns it.
 *
 * Locks: as in stream.h, each side its own.  rings: how many rings are wanted: the one who
 * makes it 1 drives the doorbell, for all.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "opts.h"
#include "shared.h"
#include "stream.h"

#define MAGIC	0x53504f41u			/* AOPS */
#define VERSION	1u
#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

enum { SENDS, RECEIVES };

struct shm_side {
	_Atomic uint32_t word;			/* WORD_READERS, WORD_WRITERS; SHM_* */
	_Atomic int32_t error;			/* with SHM_ENDED */
	uint32_t pad[14];
};

#define SHM_ENDED	0x100u			/* this side has gone, or said all */
#define SHM_MORE	0x200u			/* the sender wants to know who waits */

struct shm {
	uint32_t magic, version, place, places;
	uint32_t pad[28];
	struct shm_side side[2];
};

_Static_assert(sizeof(struct shm) == 256, "the same for all");

struct shared_stream {
	struct stream s;
	struct aop mine, theirs;		/* doorbells: what I own, what I watch */
	struct aop_watch watch;
	struct shm *shm;
	size_t size;
	struct transfer **askers;		/* by slot; lock */
	_Atomic uint32_t rings;
	uint32_t asked;				/* how many are in askers; lock */
	uint32_t side;
	int fd;
	struct shared_stream *here;		/* the other side, if it is in this process */
	bool watched;
};

_Static_assert(sizeof(struct shared_stream) <= sizeof(struct aop_shared_stream), "shared_stream");
_Static_assert(offsetof(struct shared_stream, s) == 0, "shared_stream");

static struct shared_stream *to_shared(struct aop_shared_stream *ss)
{
	return (struct shared_stream *)ss;
}

static struct shm_side *my(const struct shared_stream *ss)
{
	return &ss->shm->side[ss->side];
}

static struct shm_side *other(const struct shared_stream *ss)
{
	return &ss->shm->side[!ss->side];
}

/* ---- the doorbell ------------------------------------------------------------------ */

static void ring(struct shared_stream *ss)
{
	uint32_t seen = 1;

	if (atomic_fetch_add_explicit(&ss->rings, 1, memory_order_acq_rel))
		return;			/* who rings just now does it once more */
	do {
		aop_progress((struct aop_owner *)&ss->mine, seen, 0);
	} while (!atomic_compare_exchange_strong_explicit(&ss->rings, &seen, 0,
							  memory_order_acq_rel,
							  memory_order_acquire));
}

void shared_wake(struct stream *s)
{
	uint32_t bit = s->flags & STREAM_SENDS ? WORD_READERS : WORD_WRITERS;

	/* The bit is his: he sets it again before he looks for the last time. */
	if (atomic_fetch_and_explicit(s->peer, ~bit, memory_order_acq_rel) & bit)
		ring(s->shared);
}

void shared_waits(struct stream *s)
{
	struct shared_stream *ss = s->shared;
	uint32_t bit = s->flags & STREAM_SENDS ? WORD_WRITERS : WORD_READERS;

	if (!s->readers.first && !s->writers.first && !ss->asked)
		return;
	atomic_fetch_or_explicit(&my(ss)->word, bit, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

void shared_ended(struct stream *s, int error)
{
	struct shared_stream *ss = s->shared;

	atomic_store_explicit(&my(ss)->error, error, memory_order_relaxed);
	/* Release: what was sent before.  Pairs with hear(). */
	atomic_fetch_or_explicit(&my(ss)->word, SHM_ENDED, memory_order_release);
}

void shared_ring(struct stream *s)
{
	ring(s->shared);
}

void shared_asks_more(struct stream *s)
{
	if (atomic_load_explicit(s->peer, memory_order_relaxed) & SHM_MORE)
		ring(s->shared);
}

/* What the other side says about itself; it may lie. */
static void hear(struct shared_stream *ss, bool dead, struct chain *c)
{
	uint32_t word = atomic_load_explicit(&other(ss)->word, memory_order_acquire);
	int error = atomic_load_explicit(&other(ss)->error, memory_order_relaxed);
	struct stream *s = &ss->s;
	uint32_t i, mine = word_of_stream(s);

	if (!(word & SHM_ENDED) && !dead)
		return;
	if (!(word & SHM_ENDED))
		error = -EOWNERDEAD;
	else if (error > 0 || error < -4095)
		error = -EPROTO;
	if (ss->side == SENDS) {
		word_set(s, mine | WORD_DEAF);
		shared_answers(s, c);
		for (i = 0; ss->asked && i <= s->mask; i++) {
			if (!ss->askers[i])
				continue;
			ss->askers[i]->in_ring = false;
			chain_add(c, &ss->askers[i]->w, -EPIPE);
			ss->askers[i] = NULL;
			ss->asked--;
		}
	} else if (!(mine & WORD_ENDED)) {
		s->error = error;
		word_set(s, mine | WORD_ENDED);
	}
}

void shared_hear(struct stream *s, struct chain *c)
{
	hear(s->shared, false, c);
}

/* frame->w: is this side still there?  Callbacks may close it. */
static void look(struct shared_stream *ss, bool dead, const struct frame *frame)
{
	struct chain c = CHAIN_INIT(c);
	struct stream *s = &ss->s;
	bool lost, more;

	stream_lock(s);
	hear(ss, dead, &c);
	serve(s, &c);
	lost = ss->side == RECEIVES && word_of_stream(s) & WORD_ENDED && s->error == -EOWNERDEAD;
	more = s->more && ss->side == SENDS && !(word_of_stream(s) & (WORD_ENDED | WORD_DEAF)) &&
	       atomic_load_explicit(&other(ss)->word, memory_order_acquire) & WORD_READERS;
	stream_unlock(s);
	wake_if(s, WORD_READERS | WORD_WRITERS);
	waiters_end(c.first);
	if (lost && frame->w)
		cancel_bound(s, -EOWNERDEAD, frame);
	if (more && frame->w)
		s->more((struct aop_stream *)s, s->data);
}

/* Once more, as long as somebody who found us here wants that: see part(). */
static void look_after(struct shared_stream *ss, bool dead, struct frame *frame)
{
	bool again;

	do {
		look(ss, dead, frame);
		lock_take(&stream_home.lock);
		again = frame->again;
		frame->again = false;
		if (!again)
			frame_leave(&stream_home, frame);
		lock_drop(&stream_home.lock);
		dead = true;
	} while (again);
}

/* The other side has rung, or its doorbell is gone. */
static void heard(struct aop_watch *w, const struct aop_status *st)
{
	struct shared_stream *ss = w->data;
	struct frame frame;

	lock_take(&stream_home.lock);
	frame_enter(&stream_home, &frame, (struct watch *)ss, NULL);
	lock_drop(&stream_home.lock);
	look_after(ss, st->state >= AOP_DONE, &frame);
}

/* ---- asking ------------------------------------------------------------------------- */

static void answered(struct shared_stream *ss, uint32_t i, struct chain *c)
{
	struct slot *slot = &ss->s.slots[i];
	struct transfer *t = ss->askers[i];
	uint64_t high = atomic_load_explicit(&slot->value[1], memory_order_relaxed);
	int64_t value;

	value = (int64_t)(high << 32 |
			  atomic_load_explicit(&slot->value[0], memory_order_relaxed));
	ss->askers[i] = NULL;
	ss->asked--;
	t->in_ring = false;
	chain_add(c, &t->w, value < -4095 ? -EPROTO : value);
}

void shared_answers(struct stream *s, struct chain *c)
{
	struct shared_stream *ss = s->shared;
	uint32_t i;

	for (i = 0; ss->asked && i <= s->mask; i++)
		if (ss->askers[i] && !is_sent(s, ss->askers[i]->pos))
			answered(ss, i, c);
}

void shared_ask(struct stream *s, struct transfer *t, struct chain *c)
{
	struct shared_stream *ss = s->shared;
	uint32_t i = t->pos & s->mask;

	if (ss->askers[i])
		answered(ss, i, c);
	ss->askers[i] = t;
	ss->asked++;
	/* Before the message is there: who retires it looks at this. */
	shared_waits(s);
}

void shared_forget(struct stream *s, struct transfer *t)
{
	struct shared_stream *ss = s->shared;
	uint32_t i = t->pos & s->mask;

	if (ss->askers[i] != t)
		return;
	ss->askers[i] = NULL;
	ss->asked--;
}

void shared_answer(struct stream *s, uint32_t pos, int64_t value)
{
	struct slot *slot = slot_at(s, pos);

	atomic_store_explicit(&slot->value[0], (uint32_t)value, memory_order_relaxed);
	atomic_store_explicit(&slot->value[1], (uint32_t)((uint64_t)value >> 32),
			      memory_order_relaxed);
}

/* ---- beginning ------------------------------------------------------------------------ */

static size_t size_of(uint32_t place, uint32_t places)
{
	return sizeof(struct shm) + AOP_STREAM_MEM(place, places);
}

/* Map fd, of size bytes, as side; o: place and places, from a trusted place. */
static int open_side(struct shared_stream *ss, int fd, uint32_t side,
		     const struct aop_stream_opts *o)
{
	struct stream *s = &ss->s;
	int ret;

	memset(ss, 0, sizeof(*ss));
	ss->fd = -1;
	if (o->flags & (AOP_BROADCAST | AOP_LOSSY | AOP_ON_ALL))
		return -EINVAL;
	ret = stream_make(s, AOP_LOCAL, o);
	if (ret)
		return ret;
	ss->size = size_of(o->place, o->places);
	ss->askers = calloc(side == SENDS ? o->places : 1, sizeof(*ss->askers));
	if (!ss->askers)
		return -ENOMEM;
	ss->shm = mmap(NULL, ss->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ss->shm == MAP_FAILED) {
		free(ss->askers);
		return -errno;
	}
	ss->side = side;
	ss->fd = fd;
	s->slots = (struct slot *)(ss->shm + 1);
	s->mem = (char *)(s->slots + o->places);
	s->flags |= side == SENDS ? STREAM_SENDS : STREAM_RECEIVES;
	word_set(s, word_of_stream(s) | WORD_FENCE);
	s->peer = &other(ss)->word;
	s->shared = ss;
	return 0;
}

static int make_memory(const struct aop_stream_opts *o)
{
	size_t size = size_of(o->place, o->places);
	struct slot *slots;
	struct shm *shm;
	uint32_t i;
	int fd, ret;

	fd = memfd_create("aop-stream", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, SEALS))
		goto fail;
	shm = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shm == MAP_FAILED)
		goto fail;
	shm->magic = MAGIC;
	shm->version = VERSION;
	shm->place = o->place;
	shm->places = o->places;
	slots = (struct slot *)(shm + 1);
	for (i = 0; i < o->places; i++)
		atomic_init(&slots[i].seq, 2 * i);
	munmap(shm, size);
	return fd;
fail:
	ret = -errno;
	close(fd);
	return ret;
}

static void close_side(struct shared_stream *ss)
{
	if (ss->fd >= 0)
		close(ss->fd);
	munmap(ss->shm, ss->size);
	free(ss->askers);
}

static int check_opts(struct aop_stream_opts *copy, const struct aop_stream_opts *o)
{
	int ret = opts_copy(copy, sizeof(*copy), o);

	if (ret)
		return ret;
	/* The rest is aop_stream_init()'s to say. */
	return !copy->place || copy->place > SLOT_LEN / 2 || !copy->places ||
	       copy->places > 1u << 24 || !size_fits(copy->place, copy->places) ? -EINVAL : 0;
}

/**
 * aop_stream_pair() - begin a stream in memory that can be shared
 * @tx: memory of the caller's: the senders' side
 * @rx: memory of the caller's: the receivers' side
 * @where: whose the doorbells are: an opened context, or AOP_LOCAL
 * @o: options, without AOP_BROADCAST; @o->more is the senders' side's
 *
 * Each side has its own mapping, and behaves as if the other were in another process,
 * and not to be trusted: it makes no difference what that one writes there.  The calls are
 * those of any stream, with &side->stream; the ops of sends and receives are of AOP_LOCAL.
 * A side that waits is woken by its doorbell: somebody has to dispatch the context.
 *
 * A message that was acquired, and not sent when its side ends, is not sent any more; those
 * behind it are received.  Between processes AOP_MANY_ means threads of one side.
 *
 * Some system calls; does not block.
 *
 * Return: 0; -EINVAL, -E2BIG: as aop_stream_init(); -ENOMEM, -EMFILE, -ENFILE; or why the
 * doorbells could not begin.
 */
int aop_stream_pair(struct aop_shared_stream *tx, struct aop_shared_stream *rx,
		    struct aop_ctx *where, const struct aop_stream_opts *o)
{
	struct shared_stream *a = to_shared(tx), *b = to_shared(rx);
	struct aop_stream_opts opts;
	int fd, ret;

	if (!a || !b || !o || !where || where == AOP_PRIVATE)
		return -EINVAL;
	ret = check_opts(&opts, o);
	if (ret)
		return ret;
	fd = make_memory(&opts);
	if (fd < 0)
		return fd;
	ret = open_side(a, fd, SENDS, &opts);
	if (ret) {
		close(fd);
		return ret;
	}
	ret = open_side(b, fd, RECEIVES, &opts);
	if (ret)
		goto close_a;
	b->fd = -1;			/* it is a's to close */
	b->s.more = NULL;
	a->here = b;
	b->here = a;
	ret = aop_init(&a->mine, where);
	if (!ret)
		ret = aop_init(&b->mine, where);
	if (!ret)
		ret = aop_start(aop_owner(&a->mine));
	if (!ret)
		ret = aop_start(aop_owner(&b->mine));
	if (!ret)
		ret = aop_watch(&b->mine, &a->watch, heard, a, AOP_INLINE);
	if (!ret)
		ret = aop_watch(&a->mine, &b->watch, heard, b, AOP_INLINE);
	if (!ret) {
		if (a->s.more)
			atomic_fetch_or_explicit(&my(a)->word, SHM_MORE, memory_order_relaxed);
		return 0;
	}
	aop_drop(&a->mine);
	aop_drop(&b->mine);
	close_side(b);
close_a:
	close_side(a);
	return ret;
}

/* ---- to another process --------------------------------------------------------------- */

/* What goes over the socket, with the memory, the offerer's doorbell, the other's. */
struct offer {
	uint32_t magic, side;			/* of who accepts */
};

enum { FD_MEMORY, FD_THEIRS, FD_MINE, NR_FDS };	/* as who accepts sees them */

union control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(NR_FDS * sizeof(int))];
};

static void close_fds(const int *fds)
{
	int i;

	for (i = 0; i < NR_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int send_offer(int sock, struct offer *offer, const int *fds)
{
	struct iovec iov = { .iov_base = offer, .iov_len = sizeof(*offer) };
	union control control = { 0 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ssize_t n;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(NR_FDS * sizeof(int));
	memcpy(CMSG_DATA(c), fds, NR_FDS * sizeof(int));
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == sizeof(*offer) ? 0 : -EMSGSIZE;
}

static int receive_offer(int sock, struct offer *offer, int *fds)
{
	struct iovec iov = { .iov_base = offer, .iov_len = sizeof(*offer) };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		/* No padding, in which there would be room for one more. */
		.msg_controllen = CMSG_LEN(NR_FDS * sizeof(int)),
	};
	struct cmsghdr *c;
	size_t nr = 0;
	ssize_t n;
	int ret = fds_free(sock, NR_FDS);

	if (ret)
		return ret;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), nr * sizeof(int));
	}
	if (msg.msg_flags & MSG_CTRUNC)
		return -EMFILE;
	if (!n)
		return -EPIPE;
	if (n != sizeof(*offer) || msg.msg_flags & MSG_TRUNC || nr != NR_FDS ||
	    offer->magic != MAGIC || offer->side > RECEIVES)
		return -EBADMSG;
	return 0;
}

/* Its size cannot change, and it is what its head says; which is copied here. */
static int check_memory(int fd, struct aop_stream_opts *o)
{
	struct statfs fs;
	struct stat st;
	struct shm head;
	int seals;

	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) || fstatfs(fd, &fs))
		return -EBADMSG;
	/* Not huge pages: who punches a hole and takes what came free has us killed, SIGBUS. */
	if (fs.f_type != TMPFS_MAGIC)
		return -EBADMSG;
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || head.magic != MAGIC ||
	    head.version != VERSION)
		return -EBADMSG;
	o->place = head.place;
	o->places = head.places;
	if (!o->place || o->place > SLOT_LEN / 2 || !o->places || o->places > 1u << 24 ||
	    !size_fits(o->place, o->places) || (uint64_t)st.st_size < size_of(o->place, o->places))
		return -EBADMSG;
	return 0;
}

static int begin_side(struct shared_stream *ss)
{
	ss->watched = true;
	if (ss->s.more && ss->side == SENDS)
		atomic_fetch_or_explicit(&my(ss)->word, SHM_MORE, memory_order_relaxed);
	return aop_watch(&ss->theirs, &ss->watch, heard, ss, AOP_INLINE);
}

/* Before it has begun. */
static void undo_side(struct shared_stream *ss)
{
	struct aop_owner *mine = aop_owner(&ss->mine), *theirs = aop_owner(&ss->theirs);

	aop_unwatch(&ss->watch);
	if (mine)
		aop_let_go(mine);
	if (theirs)
		aop_let_go(theirs);
	aop_drop(&ss->mine);
	aop_drop(&ss->theirs);
	close_side(ss);
}

/**
 * aop_stream_offer() - begin a stream to another process
 * @side: memory of the caller's: his side
 * @ctx: an opened context: of his doorbell
 * @sock: a connected unix socket, at whose other end is aop_stream_accept()
 * @role: what he does: AOP_SENDS, AOP_RECEIVES
 * @o: options, as of aop_stream_pair(); the flags are his side's own
 *
 * If nobody accepts it the stream ends as if the other side had died.  Some system
 * calls; may block as sendmsg() on @sock does.  Otherwise as aop_stream_pair().
 *
 * Return: 0; -EINVAL, -E2BIG: as aop_stream_init(), or @role is none; -ENOMEM, -EMFILE,
 * -ENFILE; why the doorbells could not begin; or what sendmsg() says.
 */
int aop_stream_offer(struct aop_shared_stream *side, struct aop_ctx *ctx, int sock,
		     unsigned int role, const struct aop_stream_opts *o)
{
	struct offer offer = { .magic = MAGIC, .side = role == SENDS ? RECEIVES : SENDS };
	struct shared_stream *ss = to_shared(side);
	int fds[NR_FDS] = { -1, -1, -1 }, ret;
	struct aop_stream_opts opts;

	if (!ss || !o || ctx <= AOP_LOCAL || role > RECEIVES)
		return -EINVAL;
	ret = check_opts(&opts, o);
	if (ret)
		return ret;
	fds[FD_MEMORY] = make_memory(&opts);
	if (fds[FD_MEMORY] < 0)
		return fds[FD_MEMORY];
	ret = open_side(ss, fds[FD_MEMORY], role, &opts);
	if (ret) {
		close(fds[FD_MEMORY]);
		return ret;
	}
	aop_init(&ss->mine, ctx);
	aop_init(&ss->theirs, ctx);
	ret = aop_start(aop_owner(&ss->mine));
	if (!ret)
		ret = aop_start(aop_owner(&ss->theirs));
	if (!ret)
		ret = begin_side(ss);
	if (!ret) {
		fds[FD_THEIRS] = aop_export(&ss->mine, AOP_MAY_LOOK);
		ret = fds[FD_THEIRS] < 0 ? fds[FD_THEIRS] : 0;
	}
	if (!ret) {
		fds[FD_MINE] = aop_export(&ss->theirs, AOP_MAY_LOOK | AOP_MAY_DRIVE);
		ret = fds[FD_MINE] < 0 ? fds[FD_MINE] : 0;
	}
	if (!ret)
		ret = send_offer(sock, &offer, fds);
	fds[FD_MEMORY] = -1;		/* the side's */
	close_fds(fds);
	if (ret)
		undo_side(ss);
	return ret;
}

/**
 * aop_stream_accept() - take the other side of a stream
 * @side: memory of the caller's
 * @ctx: an opened context: of his doorbell
 * @sock: the other end of what aop_stream_offer() sends to
 * @o: NULL, or options: flags, more, data; place and places are the offerer's
 *
 * Blocks as recvmsg() on @sock does.  Who offers is not trusted: what he sends is checked.
 *
 * Return: AOP_SENDS, AOP_RECEIVES: what this side does; -EBADMSG: what came is no
 * stream; -EACCES: it may only be read; -EPIPE: the other end is closed; -EMFILE: no three
 * descriptors are free, and it can be tried again, as with aop_take(); -ENOMEM; -EINVAL,
 * -E2BIG: as aop_stream_init(); or as aop_attach().
 */
int aop_stream_accept(struct aop_shared_stream *side, struct aop_ctx *ctx, int sock,
		      const struct aop_stream_opts *o)
{
	struct aop_stream_opts opts = { .size = sizeof(opts) };
	struct shared_stream *ss = to_shared(side);
	int fds[NR_FDS] = { -1, -1, -1 }, ret = 0;
	struct offer offer;

	if (!ss || ctx <= AOP_LOCAL)
		return -EINVAL;
	if (o)
		ret = opts_copy(&opts, sizeof(opts), o);
	if (ret)
		return ret;
	ret = receive_offer(sock, &offer, fds);
	if (!ret)
		ret = check_memory(fds[FD_MEMORY], &opts);
	if (!ret)
		ret = open_side(ss, fds[FD_MEMORY], offer.side, &opts);
	if (ret) {
		close_fds(fds);
		return ret;
	}
	aop_attach(&ss->mine, ctx, fds[FD_MINE]);
	ret = aop_attach(&ss->theirs, ctx, fds[FD_THEIRS]);
	if (!ret && !aop_owner(&ss->mine))
		ret = aop_is_final(&ss->mine) ? (int)aop_result(&ss->mine) : -EBADMSG;
	if (!ret)
		ret = begin_side(ss);
	fds[FD_MEMORY] = -1;		/* the side's */
	close_fds(fds);
	if (ret) {
		undo_side(ss);
		return ret < 0 ? ret : -EBADMSG;
	}
	return offer.side;
}

/*
 * The sides of one process part, and nobody is with this one afterwards.  The other one,
 * if it is to be told by us: then we have a frame with it, and it stays as long as frame->w
 * does.  Who has such a frame waits for nobody.
 */
static struct shared_stream *part(struct shared_stream *ss, struct frame *frame)
{
	struct home *h = &stream_home;
	struct shared_stream *other;
	struct frame *f;

	lock_take(&h->lock);
	if (frame_forget(h, (struct watch *)ss))
		frame_wait(h, (struct watch *)ss);
	other = ss->here;		/* there until it has parted from us */
	if (other) {
		ss->here = NULL;
		other->here = NULL;
		for (f = h->frames; f; f = f->next)
			if (f->w == (struct watch *)other && f->thread != self())
				break;
		if (f) {
			f->again = true;	/* it tells itself */
			other = NULL;
		} else {
			frame_enter(h, frame, (struct watch *)other, NULL);
		}
	}
	lock_drop(&h->lock);
	return other;
}

static void leave(struct frame *frame)
{
	lock_take(&stream_home.lock);
	frame_leave(&stream_home, frame);
	lock_drop(&stream_home.lock);
}

/**
 * aop_stream_close() - a side goes
 * @side: a side whose senders or receivers have been dropped; its memory is the caller's
 *	afterwards
 *
 * If they have not said that it ends the other side learns it as a loss.  Waits for a
 * callback of its doorbell that runs on another thread, not for the one that it is called
 * from.  Any thread; the other side's may close that at the same time.
 */
void aop_stream_close(struct aop_shared_stream *side)
{
	struct shared_stream *ss = to_shared(side);
	struct aop_owner *o = aop_owner(&ss->mine);
	struct shared_stream *other;
	struct frame frame;

	aop_unwatch(&ss->watch);
	other = part(ss, &frame);
	if (o)
		aop_let_go(o);
	if (other && frame.w)
		look_after(other, true, &frame);
	else if (other)
		leave(&frame);
	if (ss->watched)
		aop_drop(&ss->theirs);
	aop_drop(&ss->mine);
	close_side(ss);
}
