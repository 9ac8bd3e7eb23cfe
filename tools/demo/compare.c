// SPDX-License-Identifier: GPL-2.0
/*
 * compare.c - decompresses every output and compares it with the original
 *
 * An op inside one process: a thread drives it, the client's loop watches it as it
 * watches those of the server.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "demo.h"

struct compare {
	struct aop op;
	struct aop_owner *owner;
	pthread_t thread;
	bool started;			/* the thread */
	const struct round *round;
	const struct aop_status *st;
	uint64_t done, total;
	size_t job;			/* in work, and in the end the culprit */
	ZSTD_DCtx *zstd;
	char packed[BLOCK], unpacked[BLOCK], original[BLOCK];
};

/* Reads exactly len bytes of the original: a short file differs. */
static int same(struct compare *c, int fd, size_t len)
{
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		n = read(fd, c->original + have, len - have);
		if (n <= 0)
			return n ? -errno : -EBADMSG;
		have += n;
	}
	return memcmp(c->original, c->unpacked, len) ? -EBADMSG : 0;
}

static int compare_block(struct compare *c, int original, size_t packed, size_t *left)
{
	ZSTD_inBuffer in = { c->packed, packed, 0 };
	ZSTD_outBuffer out;
	int ret;

	do {
		out = (ZSTD_outBuffer){ c->unpacked, BLOCK, 0 };
		*left = ZSTD_decompressStream(c->zstd, &out, &in);
		if (ZSTD_isError(*left))
			return -EBADMSG;
		ret = same(c, original, out.pos);
		if (ret < 0)
			return ret;
		c->done += out.pos;
		/* A full buffer: there may be more, unless the frame has ended. */
	} while (in.pos < in.size || (*left && out.pos == out.size));
	ret = aop_progress(c->owner, c->done, c->total);
	return ret < 0 ? ret : aop_asked(c->owner);
}

static int compare_file(struct compare *c, int packed, int original)
{
	const struct job *job = &c->round->jobs[c->job];
	uint64_t end = c->done + job->file->size;
	struct stat st;
	size_t left = 1;
	ssize_t n;
	int ret;

	/* The op's result is the size of the output. */
	if (fstat(packed, &st))
		return -errno;
	if (st.st_size != c->st[c->job].result)
		return -EBADMSG;
	ZSTD_DCtx_reset(c->zstd, ZSTD_reset_session_only);
	while ((n = read(packed, c->packed, BLOCK)) > 0) {
		ret = compare_block(c, original, n, &left);
		if (ret < 0)
			return ret;
	}
	if (n < 0)
		return -errno;
	/* A whole frame, and the whole original. */
	return left || c->done != end ? -EBADMSG : 0;
}

static int compare_job(struct compare *c)
{
	const struct job *job = &c->round->jobs[c->job];
	int packed, original, ret;

	packed = open(job->out, O_RDONLY | O_CLOEXEC);
	if (packed < 0)
		return -errno;
	original = open(job->file->path, O_RDONLY | O_CLOEXEC);
	if (original < 0) {
		ret = -errno;
	} else {
		ret = compare_file(c, packed, original);
		close(original);
	}
	close(packed);
	return ret;
}

static void *compare_all(void *arg)
{
	struct compare *c = arg;
	int ret;

	ret = aop_start(c->owner);
	if (ret < 0)
		return NULL;
	for (c->job = 0; c->job < c->round->n; c->job++) {
		if (c->st[c->job].state != AOP_DONE)
			continue;
		ret = compare_job(c);
		if (ret < 0)
			break;
	}
	aop_end(c->owner, ret < 0 ? ret : (int64_t)c->done);
	return NULL;
}

struct aop *compare_begin(struct compare **cp, struct aop_ctx *ctx, const struct round *r,
			  const struct aop_status *st)
{
	struct compare *c = calloc(1, sizeof(*c));
	size_t i;
	int ret;

	*cp = c;
	if (!c)
		return NULL;
	c->round = r;
	c->st = st;
	for (i = 0; i < r->n; i++)
		c->total += st[i].state == AOP_DONE ? r->jobs[i].file->size : 0;
	ret = aop_init_with(&c->op, ctx, AOP_OPTS(.label = "compare"));
	if (ret < 0)
		return &c->op;
	c->owner = aop_owner(&c->op);
	c->zstd = ZSTD_createDCtx();
	ret = c->zstd ? -pthread_create(&c->thread, NULL, compare_all, c) : -ENOMEM;
	if (ret < 0)
		aop_fail(c->owner, ret);
	else
		c->started = true;
	return &c->op;
}

size_t compare_culprit(const struct compare *c)
{
	return c->job;
}

void compare_free(struct compare *c)
{
	if (!c)
		return;
	aop_cancel(&c->op, 0);
	if (c->started)
		pthread_join(c->thread, NULL);
	aop_drop(&c->op);
	ZSTD_freeDCtx(c->zstd);
	free(c);
}
