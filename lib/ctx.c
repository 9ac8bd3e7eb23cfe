// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ctx.c - contexts: the open device, its two mappings, the table of ops
 *
 * Everything that a context needs for its life is allocated here, at set-up.  The
 * table has a place for each slot and is zero memory that only costs where it is
 * used.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "opts.h"
#include "shared.h"

static int map(void **p, size_t size, int prot, int flags, int fd, uint64_t offset)
{
	*p = mmap(NULL, size, prot, flags, fd, offset);
	if (*p != MAP_FAILED)
		return 0;
	*p = NULL;
	return -errno;
}

static size_t table_size(const struct aop_ctx *ctx)
{
	return ctx->nr_slots * sizeof(*ctx->table);
}

static void unmap(struct aop_ctx *ctx)
{
	if (ctx->head_page)
		munmap(ctx->head_page, ctx->head_size);
	if (ctx->ring)
		munmap((void *)ctx->ring, ctx->area_size);
	if (ctx->table)
		munmap((void *)ctx->table, table_size(ctx));
}

static int set_up(struct aop_ctx *ctx, const struct aop_ctx_opts *o)
{
	struct aop_ioc_features features = { .size = sizeof(features) };
	struct aop_ioc_setup setup = { .size = sizeof(setup) };
	void *p;
	int ret;

	ret = kernel_call(ctx, AOP_IOC_FEATURES, &features);
	if (ret == -ENOTTY || (!ret && features.abi != AOP_ABI))
		ret = -EPROTONOSUPPORT;
	if (ret < 0)
		return ret;
	setup.slots = o->slots ? o->slots : DEFAULT_SLOTS;
	ret = kernel_call(ctx, AOP_IOC_SETUP, &setup);
	if (ret < 0)
		return ret;
	ctx->nr_slots = setup.slots;
	ctx->stride = setup.stride;
	ctx->head_size = setup.head_size;
	ctx->area_size = setup.area_size;
	ctx->budget = o->budget ? o->budget : setup.slots;

	ret = map(&p, ctx->head_size, PROT_READ | PROT_WRITE, MAP_SHARED, ctx->fd, 0);
	if (ret)
		return ret;
	ctx->head_page = p;
	ret = map(&p, ctx->area_size, PROT_READ, MAP_SHARED, ctx->fd, setup.area_offset);
	if (ret)
		return ret;
	ctx->ring = p;
	ctx->slots = (const char *)p + setup.slots_at;
	ret = map(&p, table_size(ctx), PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ret)
		return ret;
	ctx->table = p;
	/* Where the ring begins is the kernel's to say. */
	atomic_init(&ctx->head, __atomic_load_n(&ctx->ring->tail, __ATOMIC_ACQUIRE));
	return fork_add(ctx);
}

/**
 * aop_ctx_open() - open a context, through which ops are shared
 * @ctx: out: the context, or NULL
 * @opts: NULL for the defaults; @opts->size is sizeof(struct aop_ctx_opts)
 *
 * A context holds this process's handles on shared ops.  It belongs to the process:
 * a forked child must open its own, and with the process its ops end.  Allocates.
 * Any thread; not a signal handler.
 *
 * Return: 0; -ENODEV: there is no /dev/aop: the module is not loaded, and
 * aop_strerror() says how to load it; -EACCES: it may not be opened; -EPROTONOSUPPORT:
 * the module speaks another ABI; -EINVAL: bad options (more than AOP_MAX_SLOTS slots,
 * unknown flags); -E2BIG: options of a newer library; -EMFILE, -ENFILE: no descriptor is
 * left; -ENOMEM.
 */
int aop_ctx_open(struct aop_ctx **ctx, const struct aop_ctx_opts *opts)
{
	struct aop_ctx_opts o = { .size = sizeof(o) };
	struct aop_ctx *c;
	int ret;

	*ctx = NULL;
	ret = opts ? opts_copy(&o, sizeof(o), opts) : 0;
	if (ret)
		return ret;
	if (o.flags)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->home.scope = &scope_shared;
	do
		c->fd = open(AOP_DEVICE, O_RDWR | O_CLOEXEC);
	while (c->fd < 0 && errno == EINTR);
	if (c->fd < 0) {
		/* The node may be there without the module. */
		ret = errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
		goto out;
	}
	ret = set_up(c, &o);
	if (ret) {
		unmap(c);
		close(c->fd);
		goto out;
	}
	*ctx = c;
	return 0;
out:
	free(c);
	return ret;
}

/*
 * Put memory of our own where the kernel's was: an empty ring, and slots that say how
 * their ops ended, or `gone` where they have not (or cannot be read any more).
 */
int ctx_bury(struct aop_ctx *ctx, const struct aop_status *gone, bool readable)
{
	const size_t slots_at = ctx->slots - (const char *)ctx->ring;
	uint32_t i, used = atomic_load_explicit(&ctx->used, memory_order_relaxed);
	struct aop_status *to, s;
	struct aop op;
	void *p;

	/* In a forked child there is a hole, which any other mapping would be put in. */
	p = mmap(readable ? NULL : (void *)ctx->ring, ctx->area_size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | (readable ? 0 : MAP_FIXED), -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	if (mmap(ctx->head_page, ctx->head_size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -ENOMEM;
	for (i = 0; i < used; i++) {
		to = (void *)((char *)p + slots_at + (size_t)i * ctx->stride);
		*to = *gone;
		if (!readable)
			continue;
		op.st = ctx_slot(ctx, i);
		s = aop_status(&op);
		if (s.state >= AOP_DONE)
			*to = s;
		to->flags |= AOP_F_OVER;
	}
	if (readable && mremap(p, ctx->area_size, ctx->area_size, MREMAP_MAYMOVE | MREMAP_FIXED,
			       (void *)ctx->ring) == MAP_FAILED)
		return -ENOMEM;
	atomic_store_explicit(&ctx->head, 0, memory_order_relaxed);
	ctx->dead = true;
	return 0;
}

static bool any_left(const struct aop_ctx *ctx)
{
	uint32_t i, used = atomic_load_explicit(&ctx->used, memory_order_relaxed);

	for (i = 0; i < used; i++)
		if (atomic_load_explicit(&ctx->table[i], memory_order_relaxed))
			return true;
	return false;
}

/**
 * aop_ctx_close() - close a context
 * @ctx: from aop_ctx_open(); or NULL
 *
 * What this thread has corked is submitted.  Handles that are left are given up: what
 * is driven here and not final ends FAILED, -EOWNERDEAD for its watchers elsewhere.
 * The structs of ops that were not dropped are not touched, since they may be gone;
 * those that are not read as they ended, or FAILED, -ESTALE, are not called back any
 * more, and may be dropped.  For their sake the context's memory stays: drop first.
 *
 * No other thread may use the context meanwhile, nor may one of its callbacks call
 * this.  Does not block.
 */
void aop_ctx_close(struct aop_ctx *ctx)
{
	static const struct aop_status gone = {
		.state = AOP_FAILED,
		.result = -ESTALE,
	};
	int fd;

	if (!ctx)
		return;
	cork_close(ctx);
	fork_remove(ctx);
	fd = ctx->fd;
	if (any_left(ctx)) {
		ctx->fd = -1;
		if (!ctx->dead)
			ctx_bury(ctx, &gone, true);
	} else {
		unmap(ctx);
		free(ctx);
	}
	close(fd);
}

/**
 * aop_ctx_fd() - what an event loop waits for
 * @ctx: an opened context
 *
 * The descriptor is readable (EPOLLIN) while aop_ctx_dispatch() has something to do.
 * Add it to any loop, level- or edge-triggered; do not read, pass or close it.  It is
 * close-on-exec.  Any thread, signal handlers too.
 *
 * Return: the descriptor; it stays the context's.
 */
int aop_ctx_fd(struct aop_ctx *ctx)
{
	return ctx->fd;
}
