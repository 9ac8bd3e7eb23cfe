// SPDX-License-Identifier: GPL-2.0
/*
 * Streams in shared memory that cannot begin: each call that may fail does so once, and what
 * was begun is undone: no descriptor, no mapping, no doorbell is left behind.  In the place of
 * a context there are ops of this process.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "any.h"
#include "wrapped.h"

#undef aop_init
#undef aop_watch

#define BELLS	4

static int fail_at, calls, failed_with;		/* 0: none is to fail */
static struct aop *bells[BELLS];
static unsigned int nr_bells;

/* Is it this one's turn? */
static bool fails(int ret)
{
	if (!fail_at || ++calls != fail_at)
		return false;
	failed_with = ret;
	return true;
}

static bool fails_by_errno(int error)
{
	if (!fails(-error))
		return false;
	errno = error;
	return true;
}

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	return fails_by_errno(EMFILE) ? -1 : __real_memfd_create(name, flags);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	return fails_by_errno(ENOMEM) ? MAP_FAILED : __real_mmap(at, len, prot, flags, fd, off);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_by_errno(ENOMEM) ? NULL : __real_calloc(n, size);
}

int __wrap_aop_init(struct aop *op, struct aop_ctx *where)
{
	if (fail_at && nr_bells < BELLS)
		bells[nr_bells++] = op;
	/* As if it had no slot left. */
	if (fails(-EINVAL))
		where = NULL;
	return __real_aop_init(op, where > AOP_LOCAL ? AOP_LOCAL : where);
}

int __wrap_aop_start(struct aop_owner *o)
{
	/* A cancel came first. */
	if (o && fails(-EALREADY))
		aop_cancel((struct aop *)o, 0);
	return __real_aop_start(o);
}

int __wrap_aop_watch(struct aop *op, struct aop_watch *w, aop_watch_fn *fn, void *data,
		     struct aop_exec *where)
{
	return fails(-ENOMEM) ? -ENOMEM : __real_aop_watch(op, w, fn, data, where);
}

int __wrap_aop_export(struct aop *op, unsigned int rights)
{
	(void)op;
	(void)rights;
	return fails(-EMFILE) ? -EMFILE : dup(0);
}

ssize_t __wrap_sendmsg(int sock, const struct msghdr *msg, int flags)
{
	return fails_by_errno(EPIPE) ? -1 : __real_sendmsg(sock, msg, flags);
}

static int count_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	while (fgets(line, sizeof(line), f))
		n += !!strstr(line, "aop-stream");
	fclose(f);
	return n;
}

static void more(struct aop_stream *s, void *data)
{
	(void)s;
	(void)data;
}

FIXTURE(stream) {
	struct aop_shared_stream a, b;
	int sock[2];
};

FIXTURE_VARIANT(stream) { bool offer; int least; };
FIXTURE_VARIANT_ADD(stream, pair) { .offer = false, .least = 12 };
FIXTURE_VARIANT_ADD(stream, offer) { .offer = true, .least = 12 };

FIXTURE_SETUP(stream)
{
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->sock));
	fail_at = 0;
}

FIXTURE_TEARDOWN(stream)
{
	close(self->sock[0]);
	close(self->sock[1]);
}

/* S7 */
TEST_F(stream, S7_what_could_not_begin_leaves_nothing_behind)
{
	const struct aop_stream_opts o = {
		.size = sizeof(o), .place = 8, .places = 8, .more = more,
	};
	static uint64_t no_ctx[8];
	int fds = count_fds(), ret;
	unsigned int i;

	for (fail_at = 1; fail_at < 100; fail_at++) {
		calls = 0;
		failed_with = 0;
		nr_bells = 0;
		memset(&self->a, 0xee, sizeof(self->a));
		memset(&self->b, 0xee, sizeof(self->b));
		if (variant->offer)
			ret = aop_stream_offer(&self->a, (struct aop_ctx *)no_ctx, self->sock[0],
					       AOP_SENDS, &o);
		else
			ret = aop_stream_pair(&self->a, &self->b, AOP_LOCAL, &o);
		if (!failed_with)
			break;
		TH_LOG("call %d", fail_at);
		EXPECT_EQ(failed_with, ret);
		EXPECT_EQ(fds, count_fds());
		EXPECT_EQ(0, count_mappings());
		for (i = 0; i < nr_bells; i++) {
			EXPECT_TRUE(aop_is_over(bells[i]));
			EXPECT_EQ(NULL, bells[i]->watches_);
			/* Nobody holds it. */
			EXPECT_LT(bells[i]->sides_, 4);
		}
	}
	EXPECT_EQ(0, ret);
	EXPECT_GT(fail_at, variant->least);
	EXPECT_LT(0, count_mappings());
	fail_at = 0;
	aop_stream_close(&self->a);
	if (!variant->offer)
		aop_stream_close(&self->b);
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(0, count_mappings());
}

TEST_HARNESS_MAIN
