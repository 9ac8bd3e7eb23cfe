// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * queue.c - a bounded queue that parks the task, not the thread
 *
 * A ring of n places:
 *
 *	head           pub            tail
 *	 | count items  | open places  | free
 *
 * Places between pub and tail are reserved; those of them that have been committed out
 * of turn have their bit in `early` until pub gets there, so items are seen in the
 * order of their reservation.  Items that are pushed are reserved and committed at
 * once.  Readers and writers wait in a line of their own; both do only while all places
 * are open.
 *
 * queue->lock protects all of it; in private scope it is not taken.  Items are copied
 * under it.
 */
#include <errno.h>
#include <string.h>

#include "line.h"

struct queue {
	struct lock lock;
	uint16_t local;
	uint16_t ended;
	char *mem;
	size_t size;
	uint32_t n;
	uint32_t head, pub, tail;
	uint32_t count, open;
	uint64_t pub_pos;		/* how many were published: their bits' origin */
	uint64_t early[AOP_QUEUE_OPEN / 64];
	uint64_t lost;
	struct line readers, writers;
};

_Static_assert(sizeof(struct queue) <= sizeof(struct aop_queue), "struct queue");

static struct queue *to_queue(struct aop_queue *q)
{
	return (struct queue *)q;
}

static struct aop_ctx *where_of(const struct queue *q)
{
	return q->local ? AOP_LOCAL : AOP_PRIVATE;
}

static void lock(struct queue *q)
{
	line_lock(&q->lock, q->local);
}

static void unlock(struct queue *q)
{
	line_unlock(&q->lock, q->local);
}

/* ---- the ring; with the lock held ------------------------------------------------ */

static void advance(const struct queue *q, uint32_t *index)
{
	if (++*index == q->n)
		*index = 0;
}

static char *place(const struct queue *q, uint32_t index)
{
	return q->mem + index * q->size;
}

static bool full(const struct queue *q)
{
	return q->count + q->open == q->n || q->open == AOP_QUEUE_OPEN;
}

static char *reserve(struct queue *q)
{
	char *p = place(q, q->tail);

	advance(q, &q->tail);
	q->open++;
	return p;
}

static uint64_t *early_word(struct queue *q, uint64_t pos)
{
	return &q->early[pos % AOP_QUEUE_OPEN / 64];
}

/* The place `ahead` of pub is written: see what that publishes. */
static int commit(struct queue *q, uint32_t ahead)
{
	uint64_t pos = q->pub_pos + ahead;

	if (ahead >= q->open || *early_word(q, pos) >> pos % 64 & 1)
		return -EINVAL;
	*early_word(q, pos) |= UINT64_C(1) << pos % 64;
	for (pos = q->pub_pos; *early_word(q, pos) >> pos % 64 & 1; pos++) {
		*early_word(q, pos) &= ~(UINT64_C(1) << pos % 64);
		advance(q, &q->pub);
		q->open--;
		q->count++;
	}
	q->pub_pos = pos;
	return 0;
}

static void put(struct queue *q, const void *item)
{
	uint32_t ahead = q->open;

	memcpy(reserve(q), item, q->size);
	if (likely(!ahead)) {
		advance(q, &q->pub);
		q->pub_pos++;
		q->open--;
		q->count++;
	} else {
		commit(q, ahead);
	}
}

static void get(struct queue *q, void *item)
{
	memcpy(item, place(q, q->head), q->size);
	advance(q, &q->head);
	q->count--;
}

static bool at_end(const struct queue *q)
{
	return q->ended && !q->count && !q->open && !q->writers.first;
}

/* Match those who wait with what is there; nobody is called. */
static struct waiter *serve(struct queue *q)
{
	struct waiter *chain = NULL, **end = &chain, *w;
	bool more = true;

	while (more) {
		more = false;
		w = q->readers.first;
		if (w && q->count) {
			get(q, w->to);
			end = line_serve(&q->readers, w, 1, end);
			more = true;
		}
		w = q->writers.first;
		if (w && !full(q)) {
			put(q, w->from);
			end = line_serve(&q->writers, w, 1, end);
			more = true;
		}
	}
	if (unlikely(q->ended)) {
		while ((w = q->writers.first))
			end = line_serve(&q->writers, w, -EPIPE, end);
		while (at_end(q) && (w = q->readers.first))
			end = line_serve(&q->readers, w, 0, end);
	}
	return chain;
}

static int try_push(struct queue *q, const void *item)
{
	if (unlikely(q->ended))
		return -EPIPE;
	if (q->writers.first || full(q))
		return -EAGAIN;
	put(q, item);
	return 1;
}

static int try_pop(struct queue *q, void *item)
{
	if (q->readers.first || !q->count)
		return at_end(q) ? 0 : -EAGAIN;
	get(q, item);
	return 1;
}

/* Whether anybody waits whom a push, or a pop, may have helped. */
static struct waiter *serve_if(struct queue *q, const struct line *line)
{
	return unlikely(line->first) ? serve(q) : NULL;
}

/* ---- calls ------------------------------------------------------------------------ */

/**
 * aop_queue_init() - begin a queue
 * @q: memory of the caller's, uninitialised; there is nothing to destroy
 * @where: AOP_PRIVATE: for one thread's tasks; AOP_LOCAL: for any thread
 * @mem: the caller's, for @n items of @size bytes, as long as the queue is used
 * @size: bytes of an item
 * @n: how many items at the most
 *
 * Return: 0; -EINVAL: something is NULL or 0 or too large, or @where is another scope.
 */
int aop_queue_init(struct aop_queue *q, struct aop_ctx *where, void *mem, size_t size, size_t n)
{
	if (!q || !mem || !size || !n || n > INT32_MAX ||
	    (where != AOP_PRIVATE && where != AOP_LOCAL))
		return -EINVAL;
	*to_queue(q) = (struct queue){
		.local = where == AOP_LOCAL,
		.mem = mem,
		.size = size,
		.n = n,
	};
	return 0;
}

/**
 * aop_queue_try_push() - put an item into a queue, or not
 * @queue: a queue
 * @item: copied
 *
 * May end the op of a reader, and so run its inline callbacks.  Never waits.  Any
 * thread in local scope; not a signal handler.
 *
 * Return: 1; -EAGAIN: it is full, or others wait to push; counted by aop_queue_lost();
 * -EPIPE: after the end.
 */
int aop_queue_try_push(struct aop_queue *queue, const void *item)
{
	struct queue *q = to_queue(queue);
	struct waiter *chain = NULL;
	int ret;

	lock(q);
	ret = try_push(q, item);
	if (likely(ret > 0))
		chain = serve_if(q, &q->readers);
	else if (ret == -EAGAIN)
		q->lost++;
	unlock(q);
	waiters_end(chain);
	return ret;
}

/**
 * aop_queue_try_pop() - take an item out of a queue, or not
 * @queue: a queue
 * @item: out: the item
 *
 * May end the op of a writer, and so run its inline callbacks.  Never waits.  Any
 * thread in local scope; not a signal handler.
 *
 * Return: 1; 0: the end; -EAGAIN: there is nothing now, or others wait to pop.
 */
int aop_queue_try_pop(struct aop_queue *queue, void *item)
{
	struct queue *q = to_queue(queue);
	struct waiter *chain = NULL;
	int ret;

	lock(q);
	ret = try_pop(q, item);
	if (ret > 0)
		chain = serve_if(q, &q->writers);
	unlock(q);
	waiters_end(chain);
	return ret;
}

/* Cancelled, or dropped. */
static void queue_asked(struct aop_watch *watch, const struct aop_status *st)
{
	struct waiter *w = watch->data, *chain = NULL;
	struct queue *q = w->of;
	bool mine;

	(void)st;
	lock(q);
	mine = w->queued;
	if (mine) {
		line_remove(w->writes ? &q->writers : &q->readers, w);
		chain = serve(q);
	}
	unlock(q);
	if (mine)
		waiter_cancelled(w);
	waiters_end(chain);
}

union item {
	const void *from;
	void *to;
};

/* Push or pop: at once, or in line. */
static struct aop *move(struct queue *q, struct waiter *w, union item item, bool writes)
{
	struct waiter *chain;
	int ret;

	lock(q);
	ret = writes ? try_push(q, item.from) : try_pop(q, item.to);
	chain = ret > 0 ? serve_if(q, writes ? &q->readers : &q->writers) : NULL;
	unlock(q);
	waiters_end(chain);
	if (ret != -EAGAIN)
		return waiter_ended(w, where_of(q), ret);
	if (unlikely(waiter_init(w, where_of(q), q, queue_asked)))
		return &w->op;
	if (writes)
		w->from = item.from;
	else
		w->to = item.to;
	w->writes = writes;
	lock(q);
	line_add(writes ? &q->writers : &q->readers, w);
	chain = serve(q);		/* there may be room, or an item, by now */
	unlock(q);
	waiters_end(chain);
	return &w->op;
}

/**
 * aop_queue_push() - put an item into a queue as soon as there is room
 * @queue: a queue
 * @waiter: memory of the caller's, uninitialised, his again when the op is over
 * @item: copied some time before the op is over, unless it is cancelled
 *
 * Writers wait in their order.  Cancelling or dropping the op leaves the line; a result
 * of 1 always means that the item is in the queue.
 *
 * Does not block, allocates nothing.  Any thread in local scope; not a signal handler.
 *
 * Return: the op of @waiter, never NULL: DONE, 1; or FAILED, -EPIPE: after the end.
 */
struct aop *aop_queue_push(struct aop_queue *queue, struct aop_waiter *waiter, const void *item)
{
	struct waiter *w = to_waiter(waiter);

	return move(to_queue(queue), w, (union item){ .from = item }, true);
}

/**
 * aop_queue_pop() - take an item out of a queue as soon as there is one
 * @queue: a queue
 * @waiter: memory of the caller's, uninitialised, his again when the op is over
 * @item: out: the item, written before the op is over, if it ends with 1
 *
 * Readers wait in their order; one item wakes one.  Cancelling or dropping the op leaves
 * the line; a result of 1 always means that there is an item in @item.
 *
 * Does not block, allocates nothing.  Any thread in local scope; not a signal handler.
 *
 * Return: the op of @waiter, never NULL: DONE, 1, an item; DONE, 0, the end.
 */
struct aop *aop_queue_pop(struct aop_queue *queue, struct aop_waiter *waiter, void *item)
{
	struct waiter *w = to_waiter(waiter);

	return move(to_queue(queue), w, (union item){ .to = item }, false);
}

/**
 * aop_queue_reserve() - a place to write an item in
 * @queue: a queue
 *
 * Items are seen in the order of their reservation: those behind a place that is not
 * committed wait for it.  So write, and commit.  Never waits.  Any thread in local scope.
 *
 * Return: the place; NULL: the queue is full, others wait to push, or AOP_QUEUE_OPEN
 * places are reserved (counted by aop_queue_lost()); or it has ended.
 */
void *aop_queue_reserve(struct aop_queue *queue)
{
	struct queue *q = to_queue(queue);
	void *p = NULL;

	lock(q);
	if (unlikely(q->writers.first || full(q)))
		q->lost++;
	else if (likely(!q->ended))
		p = reserve(q);
	unlock(q);
	return p;
}

/**
 * aop_queue_commit() - show an item that was written in its place
 * @queue: a queue
 * @where: what aop_queue_reserve() returned; dead afterwards
 *
 * Cannot fail for a place that was reserved, also after the end.  Otherwise as
 * aop_queue_try_push().
 *
 * Return: 0; -EINVAL: @where is no such place, and nothing happened.
 */
int aop_queue_commit(struct aop_queue *queue, void *where)
{
	struct queue *q = to_queue(queue);
	size_t offset = (char *)where - q->mem;
	struct waiter *chain = NULL;
	uint32_t index;
	int ret;

	if (unlikely(!where || (char *)where < q->mem || offset % q->size ||
		     offset / q->size >= q->n))
		return -EINVAL;
	index = offset / q->size;
	lock(q);
	ret = commit(q, index >= q->pub ? index - q->pub : index + q->n - q->pub);
	if (likely(!ret))
		chain = serve_if(q, &q->readers);
	unlock(q);
	waiters_end(chain);
	return ret;
}

/**
 * aop_queue_end() - nothing will be pushed any more
 * @queue: a queue
 *
 * Readers get what is in it, and what has been reserved, and then 0.  Writers that wait
 * get -EPIPE.  Ends ops, and so runs their inline callbacks.  Never waits; harmless when
 * it has ended.  Any thread in local scope; not a signal handler.
 */
void aop_queue_end(struct aop_queue *queue)
{
	struct queue *q = to_queue(queue);
	struct waiter *chain;

	lock(q);
	q->ended = true;
	chain = serve(q);
	unlock(q);
	waiters_end(chain);
}

/**
 * aop_queue_count() - how many items are in a queue
 * @queue: a queue
 *
 * Any thread in local scope, where it may be different by the time it is looked at.
 *
 * Return: how many.
 */
size_t aop_queue_count(struct aop_queue *queue)
{
	struct queue *q = to_queue(queue);
	size_t n;

	lock(q);
	n = q->count;
	unlock(q);
	return n;
}

/**
 * aop_queue_lost() - how often it was full
 * @queue: a queue
 *
 * Any thread in local scope.
 *
 * Return: how many aop_queue_try_push() and aop_queue_reserve() there was no room for.
 */
uint64_t aop_queue_lost(struct aop_queue *queue)
{
	struct queue *q = to_queue(queue);
	uint64_t n;

	lock(q);
	n = q->lost;
	unlock(q);
	return n;
}
