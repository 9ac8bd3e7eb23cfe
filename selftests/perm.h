/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests of who may do what: operations of somebody else in all modes, kept by
 * another process, and what one who looks at them must be told.
 */
#ifndef SELFTESTS_PERM_H
#define SELFTESTS_PERM_H

#include <grp.h>

#include "behave.h"

/* Each combination of the six bits that mean something. */
#define MODES	64

static inline uint16_t mode_of(int i)
{
	return (i >> 4 & 3) << 7 | (i >> 2 & 3) << 4 | (i & 3) << 1;
}

/* Shared with children. */
struct shared {
	uint64_t id[MODES];
	uint64_t one;
	uint64_t told;
};

/* From now on somebody else, for good; @extra is a supplementary group, or 0. */
static inline bool become(uid_t uid, gid_t gid, gid_t extra)
{
	return !setgroups(!!extra, &extra) && !setresgid(gid, gid, gid) &&
	       !setresuid(uid, uid, uid);
}

static inline uint64_t create(struct abi_ctx *c, uint16_t mode)
{
	struct aop_create_entry e = { .mode = mode };

	return abi_create(c, &e) ? 0 : e.id;
}

/* A child that makes operations and keeps them until its end of the pipe is closed. */
struct keeper {
	pid_t pid;
	int end;
};

/* Returns when @make has succeeded in the child; with pid -1 if it has not. */
static inline struct keeper keep(bool (*make)(struct shared *s), struct shared *s)
{
	struct keeper k = { 0 };
	int hold[2], ready[2];
	char b;

	if (pipe(hold) || pipe(ready))
		_exit(1);
	k.pid = spawn();
	if (!k.pid) {
		close(hold[1]);
		close(ready[0]);
		if (!make(s) || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(hold[0], &b, 1));
	}
	close(hold[0]);
	close(ready[1]);
	k.end = hold[1];
	if (read(ready[0], &b, 1) != 1)
		k.pid = -1;
	close(ready[0]);
	return k;
}

static inline int let_go(struct keeper *k)
{
	close(k->end);
	return reap_child(k->pid);
}

static inline bool make_all_modes(struct shared *s)
{
	static struct abi_ctx c;
	int i;

	if (!become(1000, 1000, 0) || abi_open(&c, 128))
		return false;
	for (i = 0; i < MODES; i++) {
		s->id[i] = create(&c, mode_of(i));
		if (!s->id[i])
			return false;
	}
	return true;
}

/* What one who has these two bits is told. */
static inline void check_one(struct __test_metadata *_metadata, struct abi_ctx *c, uint64_t id,
			     bool look, bool cancel)
{
	long long handles = abi_handles(c);
	struct aop_ioc_query q;
	uint64_t h;
	uint32_t r;

	EXPECT_EQ(look ? 0 : -ENOENT, abi_query_id(c, id, &q));
	for (r = 0; r <= AOP_MAY_ALL; r++) {
		int want = 0;

		if (!look)
			want = -ENOENT;
		else if (r & AOP_MAY_DRIVE)
			want = -EPERM;
		else if (r & AOP_MAY_CANCEL && !cancel)
			want = -EACCES;
		EXPECT_EQ(want, abi_attach_id(c, id, r, 0, 0, &h)) TH_LOG("wanting %x", r);
		if (!h)
			continue;
		EXPECT_EQ(r ? r : AOP_MAY_LOOK | (cancel ? AOP_MAY_CANCEL : 0), rights_of(c, h));
		if (!r && !cancel) {
			EXPECT_EQ(-EPERM, abi_cancel(c, h, 0));
		}
		EXPECT_EQ(-EPERM, abi_start(c, h));
		ASSERT_EQ(0, abi_detach(c, h, 0));
	}
	EXPECT_EQ(handles, abi_handles(c));
}

#endif /* SELFTESTS_PERM_H */
