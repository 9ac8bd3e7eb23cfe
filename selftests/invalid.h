/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For abi_invalid.c and abi_entries.c: each call of /dev/aop in an order that it
 * accepts, for a test to spoil, and a witness of what it must not change then.
 */
#ifndef SELFTESTS_INVALID_H
#define SELFTESTS_INVALID_H

#include <dirent.h>
#include <limits.h>
#include <stddef.h>

#include "harness.h"
#include "abi.h"

#define PAGE		4096
#define KERNEL_ADDRESS	0xffff888000000000ULL
#define NONE		-1

/* One kind of call.  Where something is not there, its offset is NONE. */
struct kind {
	unsigned int cmd;
	unsigned int size;		/* of the struct */
	unsigned int entry_size;	/* of what a batch or a wait carries, or 0 */
	int pad_at;			/* in the struct */
	uint32_t flags;			/* known ones */
	int ret_at;			/* in an entry */
	bool looks;			/* changes nothing when it works */
	bool only_in;			/* writes nothing into the struct */
};

#define BATCH_KIND(name_, cmd_)						\
static const struct kind name_##_kind __attribute__((unused)) = {		\
	.cmd = cmd_,							\
	.size = sizeof(struct aop_ioc_batch),				\
	.entry_size = sizeof(struct aop_##name_##_entry),		\
	.pad_at = offsetof(struct aop_ioc_batch, pad),			\
	.ret_at = offsetof(struct aop_##name_##_entry, ret),		\
}

BATCH_KIND(create, AOP_IOC_CREATE);
BATCH_KIND(signal, AOP_IOC_SIGNAL);
BATCH_KIND(cancel, AOP_IOC_CANCEL);
BATCH_KIND(attach, AOP_IOC_ATTACH);
BATCH_KIND(detach, AOP_IOC_DETACH);
BATCH_KIND(modify, AOP_IOC_MODIFY);

static const struct kind wait_kind __attribute__((unused)) = {
	.cmd = AOP_IOC_WAIT, .size = sizeof(struct aop_ioc_wait),
	.entry_size = sizeof(struct aop_wait_entry),
	.pad_at = offsetof(struct aop_ioc_wait, pad), .ret_at = NONE,
};

/* All that a refused call might have changed. */
struct snap {
	struct aop_status status;
	long long handles;
	int descriptors;
	int set_up;
};

struct env {
	struct abi_ctx c;
	int bare;			/* a context before SETUP */
	uint64_t handle;		/* the operation that is in danger */
	uint64_t id;
	uint64_t members[1];
	char *room;			/* three pages, the last of them not there */
	char *entries;			/* in the first half of the first page */
	struct snap before;
};

static inline int descriptors(void)
{
	struct dirent *entry;
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		return -errno;
	while ((entry = readdir(d)))
		n++;
	closedir(d);
	return n;
}

/* A bare context still has its SETUP to come: -EINVAL says so, by AOP_IOC_QUERY. */
static inline int is_set_up(int fd)
{
	struct aop_ioc_query q = { .size = sizeof(q) };

	return abi_ioctl(fd, AOP_IOC_QUERY, &q) != -EINVAL;
}

static inline struct snap look(struct env *e)
{
	struct snap s;

	memset(&s, 0, sizeof(s));
	abi_status(&e->c, e->handle, &s.status);
	s.handles = abi_handles(&e->c);
	s.descriptors = descriptors();
	s.set_up = is_set_up(e->bare);
	return s;
}

#define EXPECT_UNCHANGED(e) do {							\
	struct snap now_ = look(e);						\
										\
	EXPECT_EQ(0, memcmp(&(e)->before.status, &now_.status, sizeof(now_.status))); \
	EXPECT_EQ((e)->before.handles, now_.handles);				\
	EXPECT_EQ((e)->before.descriptors, now_.descriptors);			\
	EXPECT_EQ((e)->before.set_up, now_.set_up);				\
} while (0)

static inline void env_up(struct __test_metadata *_metadata, struct env *e)
{
	ASSERT_EQ(PAGE, sysconf(_SC_PAGESIZE));
	ASSERT_EQ(0, abi_open(&e->c, 64));
	e->bare = abi_open_file();
	ASSERT_GE(e->bare, 0);
	e->handle = abi_new(&e->c, 7, 0);
	ASSERT_NE(0, e->handle);
	e->members[0] = e->handle;
	e->id = abi_id(&e->c, e->handle);
	e->room = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(e->room != MAP_FAILED);
	ASSERT_EQ(0, munmap(e->room + 2 * PAGE, PAGE));
	e->entries = e->room;
	e->before = look(e);
	ASSERT_EQ(1, e->before.handles);
	ASSERT_EQ(0, e->before.set_up);
}

static inline void env_down(struct env *e)
{
	munmap(e->room, 2 * PAGE);
	close(e->bare);
	abi_close(&e->c);
}

/* Tests of a fixture get both as self->e and variant->kind. */
#define FIXTURE_WITH_ENV(name)						\
FIXTURE(name) {								\
	struct env e;							\
};									\
									\
FIXTURE_VARIANT(name) {							\
	const struct kind *kind;					\
};									\
									\
FIXTURE_SETUP(name)							\
{									\
	env_up(_metadata, &self->e);					\
}									\
									\
FIXTURE_TEARDOWN(name)							\
{									\
	env_down(&self->e);						\
}

#define KIND(fixture, name)	FIXTURE_VARIANT_ADD(fixture, name) { .kind = &name##_kind }

/* An entry that is in order and does something to e->handle. */
static inline void fill_entry(struct env *e, unsigned int cmd, void *to)
{
	struct aop_create_entry create = { .mode = 0600 };
	struct aop_signal_entry sig = { .handle = e->handle, .what = AOP_SIGNAL_DONE };
	struct aop_cancel_entry cancel = { .handle = e->handle };
	struct aop_attach_entry attach = { .fd = -1, .id = e->id };
	struct aop_detach_entry detach = { .handle = e->handle, .rights = AOP_MAY_DRIVE };
	struct aop_modify_entry modify = { .handle = e->handle, .data = 8 };
	struct aop_wait_entry wait = { .handle = e->handle, .mask = AOP_EV_FINAL };

	switch (cmd) {
	case AOP_IOC_CREATE:
		memcpy(to, &create, sizeof(create));
		break;
	case AOP_IOC_SIGNAL:
		memcpy(to, &sig, sizeof(sig));
		break;
	case AOP_IOC_CANCEL:
		memcpy(to, &cancel, sizeof(cancel));
		break;
	case AOP_IOC_ATTACH:
		memcpy(to, &attach, sizeof(attach));
		break;
	case AOP_IOC_DETACH:
		memcpy(to, &detach, sizeof(detach));
		break;
	case AOP_IOC_MODIFY:
		memcpy(to, &modify, sizeof(modify));
		break;
	case AOP_IOC_WAIT:
		memcpy(to, &wait, sizeof(wait));
		break;
	}
}

/* A struct that is in order; its only entry is at e->entries. */
static inline void fill(struct env *e, const struct kind *k, void *to)
{
	struct aop_ioc_features features = { .size = sizeof(features) };
	struct aop_ioc_setup setup = { .size = sizeof(setup), .slots = 16 };
	struct aop_ioc_export export = {
		.size = sizeof(export), .handle = e->handle, .rights = AOP_MAY_LOOK,
	};
	struct aop_ioc_group group = {
		.size = sizeof(group), .members = abi_u64(e->members), .nr = 1, .need = 1,
		.mode = 0600,
	};
	struct aop_ioc_query query = { .size = sizeof(query), .handle = e->handle };
	struct aop_ioc_batch batch = {
		.size = sizeof(batch), .entries = abi_u64(e->entries),
		.entry_size = k->entry_size, .nr = 1,
	};
	struct aop_ioc_wait wait = {
		.size = sizeof(wait), .entries = abi_u64(e->entries),
		.entry_size = k->entry_size, .nr = 1, .need = 1,
		.signals = abi_u64(e->entries + PAGE / 2),
		.signal_size = sizeof(struct aop_signal_entry), .nr_signals = 1,
	};

	fill_entry(e, k->cmd, e->entries);
	switch (k->cmd) {
	case AOP_IOC_FEATURES:
		memcpy(to, &features, sizeof(features));
		break;
	case AOP_IOC_SETUP:
		memcpy(to, &setup, sizeof(setup));
		break;
	case AOP_IOC_EXPORT:
		memcpy(to, &export, sizeof(export));
		break;
	case AOP_IOC_GROUP:
		memcpy(to, &group, sizeof(group));
		break;
	case AOP_IOC_QUERY:
		memcpy(to, &query, sizeof(query));
		break;
	case AOP_IOC_WAIT:
		/* Sleeps for nothing, since it ends what it waits for. */
		fill_entry(e, AOP_IOC_SIGNAL, e->entries + PAGE / 2);
		memcpy(to, &wait, sizeof(wait));
		break;
	default:
		memcpy(to, &batch, sizeof(batch));
	}
}

static inline int call(struct env *e, const struct kind *k, void *arg)
{
	return abi_ioctl(k->cmd == AOP_IOC_SETUP ? e->bare : e->c.fd, k->cmd, arg);
}

static inline int32_t entry_ret(const struct kind *k, const void *entry)
{
	int32_t ret;

	memcpy(&ret, (const char *)entry + k->ret_at, sizeof(ret));
	return ret;
}

#endif /* SELFTESTS_INVALID_H */
