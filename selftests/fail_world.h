/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests that let every allocation and copy fail once have in common.  Each call
 * is repeated with its first one failing, its second one, and so on, until it succeeds
 * with none left to fail.  After each failure there is nothing that was not there
 * before, and the next try finds everything usable.  What leaks without a trace is
 * for kmemleak, at the end of the run.
 *
 * Only kernels with fault injection can do this (`make check-debug`); elsewhere all
 * is skipped.
 */
#ifndef SELFTESTS_FAIL_WORLD_H
#define SELFTESTS_FAIL_WORLD_H

#include <sys/eventfd.h>

#include "behave.h"
#include "fail_nth.h"

#define MANY		70		/* more handles than a page of slots has */
#define LATE		(w->now + 3600 * ABI_SEC_NS)

struct world {
	struct abi_ctx c;		/* where calls are made; 256 slots */
	struct abi_ctx d;		/* somebody else's */
	uint64_t op;			/* in c, RUNNING */
	uint64_t other;			/* in d */
	uint64_t other_id;
	int other_fd;			/* exported */
	uint64_t members[8];		/* in c */
	int event;
	int nth;
	uint64_t now;			/* to read a clock may be a system call, whose copy fails */
	/* What a call has made, for undo: */
	uint64_t made[MANY];
	void *map;
	int fd;
};

FIXTURE(fail) {
	struct world w;
};

FIXTURE_SETUP(fail)
{
	struct world *w = &self->w;
	unsigned int i;

	memset(w, 0, sizeof(*w));
	w->c.fd = -1;
	w->d.fd = -1;
	if (inject_setup())
		SKIP(return, "this kernel has no fault injection");
	w->nth = inject_open();
	ASSERT_GE(w->nth, 0);
	ASSERT_EQ(0, abi_open(&w->c, 256));
	ASSERT_EQ(0, abi_open(&w->d, 64));
	w->op = new_running(&w->c, AOP_EV_ALL);
	w->other = new_running(&w->d, AOP_EV_ALL);
	ASSERT_NE(0, w->op);
	ASSERT_NE(0, w->other);
	w->other_id = abi_id(&w->d, w->other);
	w->other_fd = abi_export(&w->d, w->other, AOP_MAY_LOOK | AOP_MAY_CANCEL);
	ASSERT_GE(w->other_fd, 0);
	for (i = 0; i < 8; i++) {
		w->members[i] = new_running(&w->c, 0);
		ASSERT_NE(0, w->members[i]);
	}
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_GE(w->event, 0);
}

FIXTURE_TEARDOWN(fail)
{
	struct world *w = &self->w;

	if (w->c.fd < 0)
		return;
	close(w->other_fd);
	close(w->event);
	close(w->nth);
	abi_close(&w->c);
	abi_close(&w->d);
}

/* ---- the sweep ----------------------------------------------------------- */

/* How many ops there are. */
static inline long ops(void)
{
	char line[64];
	long n = -1;
	FILE *f = fopen("/sys/kernel/debug/aop/counters", "re");

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "ops %ld", &n) == 1)
			break;
	fclose(f);
	return n;
}

/* Work items free some of them, and others end imports: look until it is so. */
static inline long until_ops(long want)
{
	uint64_t late = abi_now() + 60 * ABI_SEC_NS;
	long n;

	while ((n = ops()) != want && abi_now() < late)
		sched_yield();
	return n;
}

/* Returns >= 0 or -errno. */
typedef long step(struct world *w);

/* What may be said of memory that is not there. */
static inline bool is_excuse(long ret)
{
	return ret == -ENOMEM || ret == -EFAULT || ret == -ENFILE || ret == -ENOBUFS ||
	       ret == -EAGAIN;
}

/*
 * @undo takes away what a call that succeeded has made.  Returns how many faults it took
 * until the call succeeded without one, or -1.
 */
static inline int sweep(struct __test_metadata *_metadata, struct world *w, step *call, step *undo)
{
	long before = ops(), handles = abi_handles(&w->c), ret;
	unsigned int n;
	bool failed;

	for (n = 1; n < 5000; n++) {
		w->now = abi_now();
		inject_nth(w->nth, n);
		ret = call(w);
		failed = inject_end(w->nth);
		/* One that was made all the same is used, and taken away. */
		if (ret >= 0 && undo)
			EXPECT_EQ(0, undo(w));
		EXPECT_EQ(before, until_ops(before)) {
			TH_LOG("fault %u, returned %ld", n, ret);
			return -1;
		}
		EXPECT_EQ(handles, abi_handles(&w->c)) {
			TH_LOG("fault %u, returned %ld", n, ret);
			return -1;
		}
		if (!failed) {
			EXPECT_LE(0, ret);
			return n - 1;
		}
		EXPECT_TRUE(ret >= 0 || is_excuse(ret)) {
			TH_LOG("fault %u, returned %ld", n, ret);
			return -1;
		}
	}
	return -1;
}

/* At least @least faults there were to inject: else nothing would have been tried. */
#define SWEEP(least, call, undo)						\
do {										\
	int faults_ = sweep(_metadata, &self->w, call, undo);			\
										\
	EXPECT_GE(faults_, least);						\
	TH_LOG(#call ": %d faults", faults_);					\
} while (0)

static inline long detach(struct world *w, uint64_t handle)
{
	return abi_detach(&w->c, handle, 0);
}

static inline long undo_made(struct world *w)
{
	return detach(w, w->made[0]);
}

static inline long undo_fd(struct world *w)
{
	return close(w->fd) ? -errno : 0;
}

static inline long undo_map(struct world *w)
{
	return munmap(w->map, w->c.area_size) ? -errno : 0;
}

/* So that a page of slots is to be added first. */
static inline long fill_page(struct world *w)
{
	long handles = abi_handles(&w->c);
	struct aop_create_entry e[64];

	if (handles < 0 || handles > 64)
		return -EPROTO;
	memset(e, 0, sizeof(e));
	return abi_batch(w->c.fd, AOP_IOC_CREATE, e, sizeof(e[0]), 64 - handles);
}

#endif /* SELFTESTS_FAIL_WORLD_H */
