// SPDX-License-Identifier: GPL-2.0
/*
 * server.c - compresses files, and owns the ops that tell how far it has got
 *
 * One op for each file, all created and passed to the client before work begins; the
 * server watches none of them.  Each is driven by the one thread that took its job, so
 * the number of the next job is all that the threads share.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "demo.h"

#define LEVEL	12

struct pool {
	const struct round *round;
	struct aop_owner **owners;
	atomic_size_t next;
};

struct worker {
	ZSTD_CCtx *zstd;
	size_t out_size;
	char *in, *out;
};

/*
 * Before the next block: waits for input that is slow to come, or never comes.  The
 * answer is 0, or the reason to stop.
 */
static int await_input(const struct job *job, struct aop_owner *o, uint64_t done, int64_t began)
{
	if (job->stall && done >= job->stall)
		aop_wait_asked(o, AOP_FOREVER);
	else if (job->rate)
		aop_wait_asked(o, aop_until(began + (int64_t)(done * 1000000000 / job->rate)));
	return aop_asked(o);
}

static int write_all(int fd, const char *buf, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, buf, len);
		if (n < 0)
			return -errno;
		buf += n;
		len -= n;
	}
	return 0;
}

/* Feeds one block; the size of what came out. */
static int64_t compress_block(struct worker *w, int out_fd, size_t len, ZSTD_EndDirective mode)
{
	ZSTD_inBuffer in = { w->in, len, 0 };
	int64_t written = 0;
	size_t left;
	int ret;

	do {
		ZSTD_outBuffer out = { w->out, w->out_size, 0 };

		left = ZSTD_compressStream2(w->zstd, &out, &in, mode);
		if (ZSTD_isError(left))
			return -EIO;
		ret = write_all(out_fd, w->out, out.pos);
		if (ret < 0)
			return ret;
		written += out.pos;
	} while (mode == ZSTD_e_end ? left != 0 : in.pos < in.size);
	return written;
}

/* The compressed size, or why there is none. */
static int64_t compress(struct worker *w, const struct job *job, struct aop_owner *o,
			int in, int out)
{
	uint64_t size = job->file->size, done = 0;
	int64_t began = aop_now(), total = 0, n;
	int ret;

	ZSTD_CCtx_reset(w->zstd, ZSTD_reset_session_only);
	ZSTD_CCtx_setPledgedSrcSize(w->zstd, size);
	while (done < size) {
		ret = await_input(job, o, done, began);
		if (ret < 0)
			return ret;
		n = read(in, w->in, BLOCK);
		if (n <= 0)
			return n ? -errno : -EIO;	/* shorter than it was */
		done += n;
		n = compress_block(w, out, n, done < size ? ZSTD_e_continue : ZSTD_e_end);
		if (n < 0)
			return n;
		total += n;
		/* -EALREADY: it was ended over our head, by its deadline. */
		ret = aop_progress(o, done, size);
		if (ret < 0)
			return ret;
	}
	return total;
}

static int64_t run_job(struct worker *w, const struct job *job, struct aop_owner *o)
{
	int64_t ret;
	int in, out;

	in = open(job->file->path, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return -errno;
	out = open(job->out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0) {
		ret = -errno;
		close(in);
		return ret;
	}
	ret = compress(w, job, o, in, out);
	if (close(out) && ret >= 0)
		ret = -errno;
	close(in);
	return ret;
}

static void drive(struct worker *w, const struct job *job, struct aop_owner *o)
{
	int64_t ret;

	if (aop_start(o) < 0)
		return;			/* it has ended before it began */
	ret = run_job(w, job, o);
	if (ret >= 0)
		aop_done(o, ret);
	else if (aop_asked(o))
		aop_cancelled(o, 0);
	else
		aop_fail(o, ret);
}

static void *work(void *arg)
{
	struct pool *pool = arg;
	struct worker w = {
		.zstd = ZSTD_createCCtx(),
		.out_size = ZSTD_CStreamOutSize(),
		.in = malloc(BLOCK),
		.out = malloc(ZSTD_CStreamOutSize()),
	};
	size_t i;

	if (w.zstd && w.in && w.out) {
		ZSTD_CCtx_setParameter(w.zstd, ZSTD_c_compressionLevel, LEVEL);
		while ((i = atomic_fetch_add(&pool->next, 1)) < pool->round->n)
			drive(&w, &pool->round->jobs[i], pool->owners[i]);
	}
	free(w.out);
	free(w.in);
	ZSTD_freeCCtx(w.zstd);
	return NULL;
}

/* Creates the ops, and makes the client their only watcher. */
static int offer(struct aop_ctx *ctx, struct pool *pool, struct aop *ops, int sock)
{
	const struct round *r = pool->round;
	size_t i;
	int ret;

	aop_cork(ctx);
	for (i = 0; i < r->n; i++) {
		char label[AOP_LABEL_SIZE];

		snprintf(label, sizeof(label), "%s", r->jobs[i].file->name);
		aop_init_with(&ops[i], ctx, AOP_OPTS(.label = label,
						     .deadline = r->jobs[i].deadline));
	}
	ret = aop_uncork(ctx);
	if (ret < 0)
		return ret;
	for (i = 0; i < r->n; i++) {
		pool->owners[i] = aop_owner(&ops[i]);
		ret = aop_pass(&ops[i], sock, AOP_MAY_LOOK | AOP_MAY_CANCEL);
		if (ret < 0)
			return ret;
	}
	aop_cork(ctx);
	for (i = 0; i < r->n; i++)
		aop_drop(&ops[i]);
	return aop_uncork(ctx);
}

int server(const struct round *r, int sock)
{
	struct pool pool = { .round = r };
	struct aop *ops = calloc(r->n, sizeof(*ops));
	pthread_t *threads = calloc(r->threads, sizeof(*threads));
	struct aop_ctx *ctx = NULL;
	unsigned int i, started;
	int ret = -ENOMEM;

	pool.owners = calloc(r->n, sizeof(struct aop_owner *));
	if (!ops || !threads || !pool.owners)
		goto out;
	ret = aop_ctx_open(&ctx, NULL);
	if (ret < 0)
		goto out;
	ret = offer(ctx, &pool, ops, sock);
	if (ret < 0)
		goto close;
	for (started = 0; started < r->threads; started++) {
		ret = -pthread_create(&threads[started], NULL, work, &pool);
		if (ret < 0)
			break;
	}
	for (i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
close:
	aop_ctx_close(ctx);
out:
	free(pool.owners);
	free(threads);
	free(ops);
	return ret;
}
