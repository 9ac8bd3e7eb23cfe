// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * pool.c - threads for work that blocks
 *
 * A pool owns its threads and two lines that they serve in turn: jobs, bounded, each
 * an op, and work of the pool's executor, of which exec.c keeps one piece at the most
 * for each executor.
 *
 * pool->lock protects the lines, the counters and job->queued.  It nests inside
 * nothing and nothing is called with it held.  Whoever takes a job out of its line
 * (a thread, to run it; a canceller, through aop_on_asked(); aop_pool_close()) is the
 * only one to end it.  A thread waits for a canceller who is inside job_asked() before
 * it goes on, so that his use of the job is over before the op is.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "internal.h"
#include "opts.h"

#define DEFAULT_QUEUE	1024
#define MIN_THREADS	4
#define MAX_THREADS	1024

struct job {
	struct aop op;
	struct aop_watch asked;
	struct aop_pool *pool;
	aop_job_fn *fn;
	void *arg;
	struct job *next, *prev;	/* lock */
	bool queued;			/* lock */
};

_Static_assert(sizeof(struct job) <= sizeof(struct aop_job), "struct job");
_Static_assert(offsetof(struct job, asked) == offsetof(struct aop_job, asked), "struct job");

struct aop_pool {
	struct aop_exec exec;
	pthread_mutex_t lock;
	pthread_cond_t more;		/* work, or the end */
	struct job *first, *last;
	struct aop_work *work, **work_end;
	uint32_t limit;
	uint32_t idle;			/* threads that sleep */
	uint32_t nr_threads;
	bool jobs_next;			/* whose turn it is */
	bool closing;
	struct aop_pool_stats stats;
	pthread_t threads[];
};

static struct job *to_job(struct aop_job *j)
{
	return (struct job *)j;
}

/* ---- the lines; with the lock held ----------------------------------------- */

static void job_link(struct aop_pool *p, struct job *j)
{
	j->next = NULL;
	j->prev = p->last;
	if (p->last)
		p->last->next = j;
	else
		p->first = j;
	p->last = j;
	j->queued = true;
	p->stats.queued++;
}

static void job_unlink(struct aop_pool *p, struct job *j)
{
	if (j->prev)
		j->prev->next = j->next;
	else
		p->first = j->next;
	if (j->next)
		j->next->prev = j->prev;
	else
		p->last = j->prev;
	j->queued = false;
	p->stats.queued--;
}

static struct job *take_job(struct aop_pool *p)
{
	struct job *j = p->first;

	job_unlink(p, j);
	p->stats.running++;
	return j;
}

static struct aop_work *take_work(struct aop_pool *p)
{
	struct aop_work *w = p->work;

	p->work = w->next;
	if (!p->work)
		p->work_end = &p->work;
	return w;
}

static void unlock_and_wake(struct aop_pool *p)
{
	/* With the lock held: once a thread has what is new, p may be closed. */
	if (p->idle)
		pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

/* ---- threads ---------------------------------------------------------------- */

static void count(struct aop_pool *p, uint64_t *what)
{
	pthread_mutex_lock(&p->lock);
	p->stats.running--;
	++*what;
	pthread_mutex_unlock(&p->lock);
}

static void job_run(struct aop_pool *p, struct job *j)
{
	struct aop_owner *o = aop_owner(&j->op);
	int64_t result;

	aop_unwatch(&j->asked);
	if (aop_start(o) < 0) {		/* a cancel came first */
		count(p, &p->stats.stopped);
		return;
	}
	result = j->fn(o, j->arg);
	/* Before its end is seen: then it is counted. */
	count(p, &p->stats.done);
	/* It must end, and what fn returned may be no errno. */
	if (aop_end(o, result) == -EINVAL)
		aop_fail(o, -EINVAL);
}

static void *thread_main(void *arg)
{
	struct aop_pool *p = arg;
	struct aop_work *w;
	struct job *j;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		if (p->first && (p->jobs_next || !p->work)) {
			p->jobs_next = false;
			j = take_job(p);
			pthread_mutex_unlock(&p->lock);
			job_run(p, j);
			pthread_mutex_lock(&p->lock);
		} else if (p->work) {
			p->jobs_next = true;
			w = take_work(p);
			pthread_mutex_unlock(&p->lock);
			w->run(w);
			pthread_mutex_lock(&p->lock);
		} else if (!p->closing) {
			p->idle++;
			pthread_cond_wait(&p->more, &p->lock);
			p->idle--;
		} else {
			break;
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void exec_submit_pool(struct aop_exec *x, struct aop_work *w)
{
	struct aop_pool *p = container_of(x, struct aop_pool, exec);

	w->next = NULL;
	pthread_mutex_lock(&p->lock);
	*p->work_end = w;
	p->work_end = &w->next;
	unlock_and_wake(p);
}

static int start_threads(struct aop_pool *p, uint32_t n)
{
	sigset_t all, old;
	int ret = 0;

	/* Signals are for the program's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (p->nr_threads < n && !ret) {
		ret = -pthread_create(&p->threads[p->nr_threads], NULL, thread_main, p);
		if (!ret) {
			pthread_setname_np(p->threads[p->nr_threads], "aop-pool");
			p->nr_threads++;
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

static uint32_t usual_threads(void)
{
	cpu_set_t set;
	uint32_t n = 0;

	if (!sched_getaffinity(0, sizeof(set), &set))
		n = CPU_COUNT(&set);
	return n < MIN_THREADS ? MIN_THREADS : n;
}

/**
 * aop_pool_open() - make a thread pool
 * @pool: out: the pool; NULL when there is none
 * @opts: NULL, or how many threads and how long the line of jobs may get;
 *	@opts->size is sizeof(struct aop_pool_opts)
 *
 * Starts all threads, with all signals blocked.  Does not block otherwise.  Any thread;
 * not a signal handler.
 *
 * Return: 0; -EINVAL: @pool is NULL, flags are not 0, or too many threads (1024);
 * -E2BIG: options of a newer library; -ENOMEM; -EAGAIN: the system has no more threads.
 */
int aop_pool_open(struct aop_pool **pool, const struct aop_pool_opts *opts)
{
	struct aop_pool_opts o = { .size = sizeof(o) };
	struct aop_pool *p;
	int ret;

	if (!pool)
		return -EINVAL;
	*pool = NULL;
	if (opts) {
		ret = opts_copy(&o, sizeof(o), opts);
		if (ret)
			return ret;
	}
	if (o.flags || o.threads > MAX_THREADS)
		return -EINVAL;
	if (!o.threads)
		o.threads = usual_threads();
	p = calloc(1, sizeof(*p) + o.threads * sizeof(*p->threads));
	if (!p)
		return -ENOMEM;
	p->exec.submit = exec_submit_pool;
	exec_adopt(&p->exec);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->work_end = &p->work;
	p->limit = o.queue ? o.queue : DEFAULT_QUEUE;
	ret = start_threads(p, o.threads);
	if (ret) {
		aop_pool_close(p);
		return ret;
	}
	*pool = p;
	return 0;
}

/**
 * aop_pool_close() - end a thread pool
 * @p: a pool, or NULL
 *
 * Jobs that wait are let go of: they end FAILED, -EOWNERDEAD, by the system.  Blocks
 * until those that run have ended, and the executor's work is done; who is in a hurry
 * cancels them first.  Not from a thread of the pool.  Nobody may use the pool or its
 * executor any more.  In a forked child it frees the memory, and nothing ends.
 */
void aop_pool_close(struct aop_pool *p)
{
	struct job *j;
	uint32_t i;

	if (!p)
		return;
	if (exec_foreign(&p->exec)) {
		free(p);
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	while ((j = p->first)) {
		job_unlink(p, j);
		pthread_mutex_unlock(&p->lock);
		aop_unwatch(&j->asked);
		aop_let_go(aop_owner(&j->op));
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	pthread_cond_broadcast(&p->more);
	for (i = 0; i < p->nr_threads; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/**
 * aop_pool_exec() - a pool as a place to run callbacks in
 * @p: a pool
 *
 * For aop_watch() and its like.  Different watches are run side by side, the calls of
 * one never overlap.  Any thread.
 *
 * Return: the executor; it lives as long as the pool.
 */
struct aop_exec *aop_pool_exec(struct aop_pool *p)
{
	return &p->exec;
}

/**
 * aop_pool_stats() - what a pool does and has done
 * @p: a pool
 * @s: out; @s->size is sizeof(struct aop_pool_stats)
 *
 * Any thread; not a signal handler.
 *
 * Return: 0; -EINVAL: @s->size is wrong; -EIO: as aop_pool_run().
 */
int aop_pool_stats(struct aop_pool *p, struct aop_pool_stats *s)
{
	if (s->size != sizeof(*s))
		return -EINVAL;
	if (exec_foreign(&p->exec))
		return -EIO;
	pthread_mutex_lock(&p->lock);
	*s = p->stats;
	s->threads = p->nr_threads;
	pthread_mutex_unlock(&p->lock);
	s->size = sizeof(*s);
	return 0;
}

/* ---- jobs ------------------------------------------------------------------- */

/* Cancelled, or dropped: while it waits, it is taken back at once. */
static void job_asked(struct aop_watch *w, const struct aop_status *st)
{
	struct job *j = w->data;
	struct aop_pool *p = j->pool;
	bool mine;

	(void)st;
	if (exec_foreign(&p->exec))
		return;
	pthread_mutex_lock(&p->lock);
	mine = j->queued;
	if (mine) {
		job_unlink(p, j);
		p->stats.stopped++;
	}
	pthread_mutex_unlock(&p->lock);
	if (mine)
		aop_let_go(aop_owner(&j->op));
}

/**
 * aop_pool_run() - have a thread call a function
 * @p: a pool
 * @job: memory of the caller's, uninitialised, his again when the op is over
 * @fn: called once, by a thread of the pool, and may block; what it returns is given to
 *	aop_end() (-EINVAL if that is not possible)
 * @arg: for @fn
 *
 * The op is of local scope.  A cancel before a thread takes the job always succeeds:
 * @fn is not called, and the op is over at once.  Afterwards it is a request, which @fn
 * sees with aop_asked(), or sleeps for with aop_wait_asked().  Dropping the op of a job
 * that waits takes it back, too.
 *
 * Never blocks, allocates nothing.  Any thread; not a signal handler.
 *
 * Return: the op of @job, never NULL.  FAILED: -EAGAIN: the line is full; -EINVAL: @p
 * or @fn is NULL; -ESHUTDOWN: the pool is being closed; -EIO: it was opened before the
 * fork that made this process, and has no threads here.
 */
struct aop *aop_pool_run(struct aop_pool *p, struct aop_job *job, aop_job_fn *fn, void *arg)
{
	struct job *j = to_job(job);
	struct aop_owner *o;
	int ret = 0;

	if (unlikely(!p || !fn)) {
		op_ended(to_op(&j->op), -EINVAL);
		return &j->op;
	}
	if (unlikely(exec_foreign(&p->exec))) {
		op_ended(to_op(&j->op), -EIO);
		return &j->op;
	}
	if (aop_init(&j->op, AOP_LOCAL))
		return &j->op;
	j->pool = p;
	j->fn = fn;
	j->arg = arg;
	j->queued = false;
	o = aop_owner(&j->op);
	aop_on_asked(o, &j->asked, job_asked, j, AOP_INLINE);

	pthread_mutex_lock(&p->lock);
	if (unlikely(p->closing))
		ret = -ESHUTDOWN;
	else if (p->stats.queued >= p->limit)
		ret = -EAGAIN;
	if (likely(!ret)) {
		job_link(p, j);
		unlock_and_wake(p);
	} else {
		p->stats.refused++;
		pthread_mutex_unlock(&p->lock);
		aop_fail(o, ret);
	}
	return &j->op;
}
