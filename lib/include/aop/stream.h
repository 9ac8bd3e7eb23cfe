/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aop/stream.h - bounded streams of messages; part of <aop.h>
 *
 * A stream is a ring of places of equal size in memory of the caller's.  A message takes
 * one place, or several beside each other.  Messages arrive in the order in which their
 * places were acquired, each at one receiver, or at every one (AOP_BROADCAST).
 *
 * One sends through a struct aop_sender and receives through a struct aop_receiver: they
 * are counted, so that each side learns when the other has gone.
 *
 * What comes to an end tells so once, and everybody: after the last message a receiver
 * gets the error that the stream was closed with, if there is one, and then 0, the end.
 */
#ifndef AOP_STREAM_H
#define AOP_STREAM_H

#include <aop.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Aligned: 64-bit atomics are in it, also where a uint64_t is aligned by four. */
struct aop_stream { uint64_t priv[56]; } __attribute__((aligned(8)));

struct aop_stream_opts {
	uint32_t size, flags;
	uint32_t place;			/* bytes of a place: of an item, if all are alike */
	uint32_t places;		/* how many: a power of two */
	/* Nothing is there, and a receiver waits: send something, or remember to. */
	void (*more)(struct aop_stream *s, void *data);
	void *data;
};

#define AOP_MANY_SENDERS	0x01	/* several threads send at the same time */
#define AOP_MANY_RECEIVERS	0x02	/* ... receive */
#define AOP_BROADCAST		0x04	/* each receiver gets each message */
#define AOP_LOSSY		0x08	/* ... and a slow one loses some, and is told */
#define AOP_ON_ALL		0x10	/* ... asking ends when all have retired it */

#define AOP_STREAM_OPTS(...)	(&(const struct aop_stream_opts){ \
					.size = sizeof(struct aop_stream_opts), __VA_ARGS__ })

/* How much memory that takes, which begins at a multiple of 16. */
#define AOP_STREAM_MEM(place, places) \
	((size_t)(places) * (16 + (((size_t)(place) + 7) & ~(size_t)7)))

int  aop_stream_init(struct aop_stream *s, struct aop_ctx *where, void *mem, size_t size,
		     const struct aop_stream_opts *o) AOP_CHECK;
uint64_t aop_stream_lost(struct aop_stream *s);	/* what found no room, so far */

/* Memory for a send or a receive that may have to wait. */
struct aop_transfer {
	struct aop op;
	struct aop_watch asked;		/* the stream's */
	uint64_t priv[11];
};

/* A message in its place. */
struct aop_message {
	void *data;
	size_t len;
	uint64_t lost;			/* lossy: so many were lost before this one */
	uint64_t priv;
};

/* --- sending ------------------------------------------------------------ */

struct aop_sender { struct aop_stream *stream; uint64_t priv[2]; };

/* What it means that the last one goes without a word; unless this is given: an error. */
#define AOP_DROP_ENDS	0x01	/* a clean end */
#define AOP_ONE_SHOT	0x02	/* this one sends one message, which is the last */

int  aop_sender_init(struct aop_sender *tx, struct aop_stream *s, unsigned int flags);
int  aop_sender_clone(struct aop_sender *tx, struct aop_sender *of);
void aop_sender_drop(struct aop_sender *tx);
int  aop_sender_end(struct aop_sender *tx);		/* nothing comes after it */
int  aop_sender_fail(struct aop_sender *tx, int error);	/* ... and that is an error */

/*
 * In place: acquire, write, send.  Once acquired, sending cannot fail, and until then
 * nobody sees it.  -EAGAIN: full; -EPIPE: ended, or nobody receives; -EMSGSIZE.
 */
int  aop_stream_acquire(struct aop_sender *tx, size_t len, struct aop_message *m) AOP_CHECK;
int  aop_stream_send(struct aop_sender *tx, struct aop_message *m);
int  aop_stream_discard(struct aop_sender *tx, struct aop_message *m);
/* By value.  Results: 1, it is in the stream. */
int  aop_stream_try_push(struct aop_sender *tx, const void *msg, size_t len) AOP_CHECK;
/* ... and so many, one after the other, cheaper.  Returns how many. */
int aop_stream_try_push_many(struct aop_sender *tx, const void *msgs, size_t len,
			     unsigned int n) AOP_CHECK;
struct aop *aop_stream_push(struct aop_sender *tx, struct aop_transfer *t, const void *msg,
			    size_t len);
/* As soon as there is a place: it is in m. */
struct aop *aop_stream_place(struct aop_sender *tx, struct aop_transfer *t, size_t len,
			     struct aop_message *m);
/* Result: what the receiver retires it with. */
struct aop *aop_stream_ask(struct aop_sender *tx, struct aop_transfer *t, const void *msg,
			   size_t len);

/* --- receiving ------------------------------------------------------------ */

struct aop_receiver { struct aop_stream *stream; uint64_t priv[6]; };

int  aop_receiver_init(struct aop_receiver *rx, struct aop_stream *s, unsigned int flags);
void aop_receiver_drop(struct aop_receiver *rx);
/* Lost without a word, the senders take op with them: it is cancelled. */
int  aop_receiver_bind(struct aop_receiver *rx, struct aop *op);

/* By value.  Results: 1, a message; 0, the end; -EAGAIN; -EMSGSIZE: it stays. */
int  aop_stream_try_pop(struct aop_receiver *rx, void *buf, size_t room);
struct aop *aop_stream_pop(struct aop_receiver *rx, struct aop_transfer *t, void *buf,
			   size_t room);
/* ... and so many, cheaper.  Returns how many. */
int  aop_stream_try_pop_many(struct aop_receiver *rx, void *buf, size_t len, unsigned int n);
/* In place, until it is retired: with a value, for who asked. */
int  aop_stream_try_receive(struct aop_receiver *rx, struct aop_message *m);
struct aop *aop_stream_receive(struct aop_receiver *rx, struct aop_transfer *t,
			       struct aop_message *m);
int  aop_stream_retire(struct aop_receiver *rx, struct aop_message *m, int64_t value);

/* --- between processes ----------------------------------------------------- */

/* One side of a stream in shared memory.  The other one is not trusted. */
struct aop_shared_stream {
	struct aop_stream stream;
	uint64_t priv[60];
};

int  aop_stream_pair(struct aop_shared_stream *tx, struct aop_shared_stream *rx,
		     struct aop_ctx *where, const struct aop_stream_opts *o) AOP_CHECK;
/* The other side goes to another process, over a unix socket.  role: of the caller. */
#define AOP_SENDS	0
#define AOP_RECEIVES	1
int  aop_stream_offer(struct aop_shared_stream *side, struct aop_ctx *ctx, int sock,
		      unsigned int role, const struct aop_stream_opts *o) AOP_CHECK;
int  aop_stream_accept(struct aop_shared_stream *side, struct aop_ctx *ctx, int sock,
		       const struct aop_stream_opts *o) AOP_CHECK;
void aop_stream_close(struct aop_shared_stream *side);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif /* AOP_STREAM_H */
