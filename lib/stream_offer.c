// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream_offer.c - how the two sides of a stream between processes begin
 *
 * Here, both in one process; or one is offered over a unix socket: the memory and the two
 * doorbells go there as descriptors.  Nobody knows a side before it has begun, so there are
 * no locks.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "fds.h"
#include "opts.h"
#include "stream_shared.h"

#define MAGIC	0x53504f41u			/* AOPS */
#define VERSION	1u
#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

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

static int check_opts(struct aop_stream_opts *copy, const struct aop_stream_opts *o)
{
	int ret = opts_copy(copy, sizeof(*copy), o);

	if (ret)
		return ret;
	/* The rest is aop_stream_init()'s to say. */
	return !copy->place || copy->place > SLOT_LEN / 2 || !copy->places ||
	       copy->places > 1u << 24 || !size_fits(copy->place, copy->places) ? -EINVAL : 0;
}

/* A doorbell that this process owns; also if it fails it can be let go of, and dropped. */
static int begin_bell(struct aop *bell, struct aop_ctx *where)
{
	int ret = aop_init(bell, where);

	return ret ? ret : aop_start(aop_owner(bell));
}

/* bell: the other side's doorbell. */
static int begin_side(struct shared_stream *ss, struct aop *bell)
{
	if (ss->s.more && ss->side == SENDS)
		atomic_fetch_or_explicit(&my(ss)->word, SHM_MORE, memory_order_relaxed);
	return aop_watch(bell, &ss->watch, shared_heard, ss, AOP_INLINE);
}

/* Before it has begun; its doorbells may have failed. */
static void undo_side(struct shared_stream *ss)
{
	aop_unwatch(&ss->watch);
	aop_let_go(aop_owner(&ss->mine));
	aop_drop(&ss->mine);
	if (ss->watched) {
		aop_let_go(aop_owner(&ss->theirs));
		aop_drop(&ss->theirs);
	}
	shared_close(ss);
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
	int fd, ret, err;

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
	if (ret) {
		shared_close(a);
		return ret;
	}
	b->fd = -1;			/* it is a's to close */
	b->s.more = NULL;
	a->here = b;
	b->here = a;
	ret = begin_bell(&a->mine, where);
	err = begin_bell(&b->mine, where);
	if (!ret)
		ret = err;
	if (!ret)
		ret = begin_side(a, &b->mine);
	if (!ret)
		ret = begin_side(b, &a->mine);
	if (!ret)
		return 0;
	undo_side(a);
	undo_side(b);
	return ret;
}

/* ---- to another process --------------------------------------------------------------- */

/* What goes over the socket, with the memory, the offerer's doorbell, the other's. */
struct offer {
	uint32_t magic, side;			/* of who accepts */
};

enum { FD_MEMORY, FD_THEIRS, FD_MINE, NR_FDS };	/* as who accepts sees them */

_Static_assert(NR_FDS <= FDS_MAX, "fds.h");

static void close_fds(const int *fds)
{
	int i;

	for (i = 0; i < NR_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
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
	int fds[NR_FDS] = { -1, -1, -1 }, ret, err;
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
	ss->watched = true;
	ret = begin_bell(&ss->mine, ctx);
	err = begin_bell(&ss->theirs, ctx);
	if (!ret)
		ret = err;
	if (!ret)
		ret = begin_side(ss, &ss->theirs);
	if (!ret) {
		fds[FD_THEIRS] = aop_export(&ss->mine, AOP_MAY_LOOK);
		ret = fds[FD_THEIRS] < 0 ? fds[FD_THEIRS] : 0;
	}
	if (!ret) {
		fds[FD_MINE] = aop_export(&ss->theirs, AOP_MAY_LOOK | AOP_MAY_DRIVE);
		ret = fds[FD_MINE] < 0 ? fds[FD_MINE] : 0;
	}
	if (!ret)
		ret = fds_send(sock, &offer, sizeof(offer), fds, NR_FDS, false);
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
 * Return: AOP_SENDS, AOP_RECEIVES: what this side does; -EBADMSG: what came is no stream;
 * -EACCES, -EPERM: it may only be read; -EPIPE: the other end is closed; -EMFILE: no three
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
	ret = fds_receive(sock, &offer, sizeof(offer), fds, NR_FDS);
	if (ret >= 0)
		ret = ret == NR_FDS && offer.magic == MAGIC && offer.side <= RECEIVES ?
		      0 : -EBADMSG;
	if (!ret)
		ret = check_memory(fds[FD_MEMORY], &opts);
	if (!ret)
		ret = open_side(ss, fds[FD_MEMORY], offer.side, &opts);
	if (ret) {
		close_fds(fds);
		return ret;
	}
	ss->watched = true;
	aop_attach(&ss->mine, ctx, fds[FD_MINE]);
	ret = aop_attach(&ss->theirs, ctx, fds[FD_THEIRS]);
	if (!ret && !aop_owner(&ss->mine))
		ret = aop_is_final(&ss->mine) ? (int)aop_result(&ss->mine) : -EBADMSG;
	if (!ret)
		ret = begin_side(ss, &ss->theirs);
	fds[FD_MEMORY] = -1;		/* the side's */
	close_fds(fds);
	if (ret) {
		undo_side(ss);
		return ret < 0 ? ret : -EBADMSG;
	}
	return offer.side;
}
