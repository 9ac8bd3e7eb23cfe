/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream_shared.h - one side of a stream between processes, and the memory of both
 *
 *	stream_offer	how a side begins
 *	stream_shared	what it does, and how it ends
 */
#ifndef AOP_STREAM_SHARED_H
#define AOP_STREAM_SHARED_H

#include "stream.h"

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
_Static_assert(_Alignof(struct shared_stream) <= _Alignof(struct aop_shared_stream), "aligned");

static inline struct shared_stream *to_shared(struct aop_shared_stream *ss)
{
	return (struct shared_stream *)ss;
}

static inline struct shm_side *my(const struct shared_stream *ss)
{
	return &ss->shm->side[ss->side];
}

static inline struct shm_side *other(const struct shared_stream *ss)
{
	return &ss->shm->side[!ss->side];
}
/* What the doorbell of the other side calls; data: the struct shared_stream. */
void shared_heard(struct aop_watch *w, const struct aop_status *st);
/* Its memory and descriptor; nobody is with it any more. */
void shared_close(struct shared_stream *ss);

#endif /* AOP_STREAM_SHARED_H */
