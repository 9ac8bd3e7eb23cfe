// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * work.c - the queues of a loop: work of its own thread, and what others post
 *
 * `posted` is all that other threads and signal handlers touch.  It is a stack of work,
 * or one of two marks that say that it is empty: NULL, the loop's thread will look again
 * before it sleeps; ASLEEP, it will not, so that who changes that to a list has to ring
 * the door.  There is one such change for each time that the thread goes to sleep (or
 * leaves the loop), and so one write however many post.  Going to sleep is the change
 * from NULL to ASLEEP; since all changes are of one word, no post can be missed.
 *
 * Who rings the door does so after his work can be seen, and by then it may have been
 * run, and may have closed the loop.  The loop knows how many have to ring, since it sees
 * how often ASLEEP has become a list, and close waits until as many have said that they
 * are through; nothing of the loop is touched after that.
 *
 * w->next of posted work is NULL while it is not queued.  Who finds something else there
 * leaves it at that: what he wrote before is seen by the run to come, since either his
 * look comes before the loop's change to NULL, which then has seen his writes, or he sees
 * NULL.  The two full barriers (work_claim(), work_reset()) are partners, and
 * selftests/model/post.pml tries all orders of the two sides, with and without them.
 */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "loop.h"

#define ASLEEP		((struct aop_work *)2)

/* ---- other threads ------------------------------------------------------- */

void work_ring(struct aop_loop *l)
{
	static const uint64_t one = 1;
	int saved = errno;

	while (write(l->door.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = saved;
}

/* Is w ours to queue?  If not, it will be run after this. */
static bool work_claim(struct aop_work *w)
{
	struct aop_work *idle = NULL;

#ifdef __SANITIZE_THREAD__
	if (__atomic_fetch_add((uintptr_t *)&w->next, 0, __ATOMIC_ACQ_REL))
		return false;
#else
	/* What the caller wrote, before the look; work_reset() is the partner. */
	atomic_thread_fence(memory_order_seq_cst);
	if (__atomic_load_n(&w->next, __ATOMIC_RELAXED))
		return false;
#endif
	return __atomic_compare_exchange_n(&w->next, &idle, WORK_END, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/**
 * aop_loop_post() - have a loop run some work
 * @l: a loop, which is not closed before this returns, unless by @w itself
 * @w: memory of the caller's until it is run; @w->run is set, and @w->next was NULL the
 *	first time
 *
 * What is written before the call is seen by @w->run, which is called once for any
 * number of posts that come before it begins; there it may be posted again, or freed.
 * One system call if the loop sleeps, however many others post; else none.  Does not
 * block, takes no lock.  Any thread, and signal handlers.
 *
 * Return: 0; 1: it was posted already and has not been run; -EINVAL: an argument is NULL.
 */
int aop_loop_post(struct aop_loop *l, struct aop_work *w)
{
	struct aop_work *old;

	if (!l || !w || !w->run)
		return -EINVAL;
	if (!work_claim(w))
		return 1;
	old = atomic_load_explicit(&l->posted, memory_order_relaxed);
	do
		__atomic_store_n(&w->next, !old || old == ASLEEP ? WORK_END : old,
				 __ATOMIC_RELAXED);
	while (!atomic_compare_exchange_weak_explicit(&l->posted, &old, w, memory_order_acq_rel,
						      memory_order_relaxed));
	if (old == ASLEEP) {
		work_ring(l);
		/* The last touch: pairs with the load in work_close(). */
		atomic_fetch_add_explicit(&l->rung, 1, memory_order_release);
	}
	return 0;
}

/* The loop's thread will not look at `posted` by itself; false: there is something. */
bool work_fall_asleep(struct aop_loop *l)
{
	struct aop_work *old = NULL;

	l->asleep = atomic_compare_exchange_strong_explicit(&l->posted, &old, ASLEEP,
							    memory_order_acq_rel,
							    memory_order_relaxed);
	return l->asleep;
}

void work_wake_up(struct aop_loop *l)
{
	struct aop_work *old = ASLEEP;

	if (!l->asleep)
		return;
	l->asleep = false;
	if (!atomic_compare_exchange_strong_explicit(&l->posted, &old, NULL, memory_order_acq_rel,
						     memory_order_relaxed))
		l->stats.wakes++;	/* somebody was first, and rings */
}

static void append(struct loop_fifo *f, struct aop_work *first, struct aop_work *last)
{
	if (f->first == WORK_END)
		f->first = first;
	else
		__atomic_store_n(&f->last->next, first, __ATOMIC_RELAXED);
	f->last = last;
	__atomic_store_n(&last->next, WORK_END, __ATOMIC_RELAXED);
}

/* Move what was posted to its queue, in the order in which it came. */
void work_take_posted(struct aop_loop *l)
{
	struct aop_work *w, *next, *list = WORK_END, *last;
	struct loop_fifo *f = &l->queue[LOOP_POSTED];

	if (likely(!atomic_load_explicit(&l->posted, memory_order_relaxed)))
		return;
	last = atomic_exchange_explicit(&l->posted, NULL, memory_order_acq_rel);
	for (w = last; w != WORK_END; w = next) {
		next = __atomic_load_n(&w->next, __ATOMIC_RELAXED);
		__atomic_store_n(&w->next, list, __ATOMIC_RELAXED);
		list = w;
	}
	append(f, list, last);
}

static void run_stop(struct aop_work *w)
{
	container_of(w, struct aop_loop, stop)->stopping = true;
}

/**
 * aop_loop_stop() - have aop_loop_run() return
 * @l: a loop
 *
 * After the turn that it is in, or the first one when it is not running.  What is begun
 * on the loop stays so.  Any thread, and signal handlers.
 */
void aop_loop_stop(struct aop_loop *l)
{
	aop_loop_post(l, &l->stop);
}

/* ---- the loop's thread --------------------------------------------------- */

void work_reset(struct aop_work *w)
{
	/* Before we look at what is written for us; work_claim() is the partner. */
	(void)!__atomic_exchange_n(&w->next, NULL, __ATOMIC_SEQ_CST);
}

static void run_one(struct aop_work *w)
{
	work_reset(w);
	w->run(w);
}

int work_run_posted(struct aop_loop *l)
{
	struct loop_fifo *f = &l->queue[LOOP_POSTED];
	uint32_t left = l->budget;
	struct aop_work *w;

	while ((w = f->first) != WORK_END && left) {
		f->first = __atomic_load_n(&w->next, __ATOMIC_RELAXED);
		run_one(w);
		left--;
	}
	return l->budget - left;
}

void work_forget_posted(struct aop_loop *l)
{
	l->queue[LOOP_POSTED].first = WORK_END;
	if (atomic_load_explicit(&l->posted, memory_order_relaxed))
		atomic_exchange_explicit(&l->posted, NULL, memory_order_acq_rel);
}

int work_run_queues(struct aop_loop *l)
{
	struct loop_fifo *const main = &l->queue[LOOP_MAIN], *const lazy = &l->queue[LOOP_LAZY];
	uint32_t left = l->budget;
	struct loop_fifo *f;
	struct aop_work *w;

	for (; left; left--) {
		f = main->first != WORK_END ? main : lazy;
		w = f->first;
		if (w == WORK_END)
			break;
		f->first = w->next;
		w->next = NULL;
		w->run(w);
	}
	return l->budget - left;
}

int work_run_idle(struct aop_loop *l)
{
	struct loop_fifo *f = &l->queue[LOOP_IDLE];
	struct aop_work *w = f->first;

	if (w == WORK_END)
		return 0;
	f->first = w->next;
	w->next = NULL;
	w->run(w);
	return 1;
}

void loop_submit(struct aop_loop *l, struct aop_work *w)
{
	if (loop_is_mine(l))
		loop_queue(l, w, LOOP_MAIN);
	else
		aop_loop_post(l, w);
}

static void exec_on_loop(struct aop_exec *x, struct aop_work *w)
{
	loop_submit(container_of(x, struct aop_loop, exec), w);
}

/**
 * aop_loop_exec() - an executor that runs callbacks on a loop
 * @l: a loop
 *
 * For aop_watch() and its like, with ops of any scope and changes in any thread.  Lives
 * as long as the loop.  Any thread, signal handlers too.
 *
 * Return: the executor.
 */
struct aop_exec *aop_loop_exec(struct aop_loop *l)
{
	return &l->exec;
}

/* ---- opening and closing ------------------------------------------------- */

void work_open(struct aop_loop *l)
{
	enum loop_queue q;

	for (q = 0; q < LOOP_QUEUES; q++)
		l->queue[q].first = WORK_END;
	l->exec.submit = exec_on_loop;
	exec_adopt(&l->exec);
	l->stop.run = run_stop;
	l->take_returned.run = offload_returned;
	atomic_init(&l->posted, ASLEEP);
	l->asleep = true;
}

/* Nobody posts any more: wait for who still rings the door. */
void work_close(struct aop_loop *l)
{
	while (atomic_load_explicit(&l->rung, memory_order_acquire) != l->stats.wakes)
		sched_yield();
}
