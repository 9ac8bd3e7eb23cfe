/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls of /dev/aop as plain inline functions, for tests that look at the
 * ABI itself and must not depend on libaop.  Builds for 32 and 64 bit.
 *
 * Everything returns >= 0 or -errno.  Nothing here is thread-safe beyond
 * what the kernel gives; only one thread may reap a context's ring.
 */
#ifndef SELFTESTS_ABI_H
#define SELFTESTS_ABI_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/aop.h>

#define ABI_SEC_NS	1000000000ULL

struct abi_ctx {
	int fd;
	uint32_t slots;			/* how many */
	uint32_t stride;
	uint32_t head_size;
	uint32_t slots_at;
	uint64_t area_offset;
	uint64_t area_size;
	uint32_t *head;			/* the writable mapping */
	struct aop_ring *ring;		/* the read-only mapping */
};

static inline uint64_t abi_u64(const void *p)
{
	return (uintptr_t)p;
}

static inline int abi_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

static inline uint64_t abi_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * ABI_SEC_NS + t.tv_nsec;
}

/* ---- contexts ------------------------------------------------------------ */

/* A file without SETUP. */
static inline int abi_open_file(void)
{
	int fd = open(AOP_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* SETUP of @c->fd, nothing mapped. */
static inline int abi_setup(struct abi_ctx *c, uint32_t slots)
{
	struct aop_ioc_setup s = { .size = sizeof(s), .slots = slots };
	int ret = abi_ioctl(c->fd, AOP_IOC_SETUP, &s);

	if (ret < 0)
		return ret;
	c->slots = s.slots;
	c->stride = s.stride;
	c->head_size = s.head_size;
	c->slots_at = s.slots_at;
	c->area_offset = s.area_offset;
	c->area_size = s.area_size;
	return 0;
}

static inline int abi_map(struct abi_ctx *c)
{
	void *p;

	p = mmap(NULL, c->head_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	c->head = p;
	p = mmap(NULL, c->area_size, PROT_READ, MAP_SHARED, c->fd, c->area_offset);
	if (p == MAP_FAILED)
		return -errno;
	c->ring = p;
	return 0;
}

static inline void abi_unmap(struct abi_ctx *c)
{
	if (c->head)
		munmap(c->head, c->head_size);
	if (c->ring)
		munmap(c->ring, c->area_size);
	c->head = NULL;
	c->ring = NULL;
}

static inline void abi_close(struct abi_ctx *c)
{
	abi_unmap(c);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* Open, set up and map. */
static inline int abi_open(struct abi_ctx *c, uint32_t slots)
{
	int ret;

	memset(c, 0, sizeof(*c));
	c->fd = abi_open_file();
	if (c->fd < 0)
		return c->fd;
	ret = abi_setup(c, slots);
	if (!ret)
		ret = abi_map(c);
	if (ret)
		abi_close(c);
	return ret;
}

/* ---- batches ------------------------------------------------------------- */

/* Returns how many entries were handled, or what the call failed with. */
static inline int abi_batch(int fd, unsigned long cmd, void *entries, uint32_t entry_size,
			    uint32_t nr)
{
	struct aop_ioc_batch b = {
		.size = sizeof(b),
		.entries = abi_u64(entries),
		.entry_size = entry_size,
		.nr = nr,
	};
	int ret = abi_ioctl(fd, cmd, &b);

	return ret < 0 ? ret : (int)b.done;
}

/* The call for one entry; ret is set here, as a batch would. */
#define abi_one(c, cmd, e)	((e)->ret = abi_ioctl((c)->fd, cmd##_ONE, e))

static inline int abi_create(struct abi_ctx *c, struct aop_create_entry *e)
{
	return abi_one(c, AOP_IOC_CREATE, e);
}

/* A pending operation that queues for @mask. Returns its handle, or 0 with errno. */
static inline uint64_t abi_new(struct abi_ctx *c, uint64_t data, uint32_t mask)
{
	struct aop_create_entry e = { .data = data, .mask = mask, .mode = 0600 };
	int ret = abi_create(c, &e);

	if (ret) {
		errno = -ret;
		return 0;
	}
	return e.handle;
}

static inline int abi_signal4(struct abi_ctx *c, uint64_t handle, uint32_t what, int64_t value,
			      uint64_t total)
{
	struct aop_signal_entry e = {
		.handle = handle, .what = what, .value = value, .total = total,
	};

	return abi_one(c, AOP_IOC_SIGNAL, &e);
}

static inline int abi_signal(struct abi_ctx *c, uint64_t handle, uint32_t what, int64_t value)
{
	return abi_signal4(c, handle, what, value, 0);
}

static inline int abi_start(struct abi_ctx *c, uint64_t handle)
{
	return abi_signal(c, handle, AOP_SIGNAL_START, 0);
}

static inline int abi_progress(struct abi_ctx *c, uint64_t handle, int64_t done, uint64_t total)
{
	return abi_signal4(c, handle, AOP_SIGNAL_PROGRESS, done, total);
}

static inline int abi_done(struct abi_ctx *c, uint64_t handle, int64_t result)
{
	return abi_signal(c, handle, AOP_SIGNAL_DONE, result);
}

/* Returns enum aop_cancel_answer. */
static inline int abi_cancel(struct abi_ctx *c, uint64_t handle, int32_t reason)
{
	struct aop_cancel_entry e = { .handle = handle, .reason = reason };

	return abi_one(c, AOP_IOC_CANCEL, &e);
}

static inline int abi_detach(struct abi_ctx *c, uint64_t handle, uint32_t rights)
{
	struct aop_detach_entry e = { .handle = handle, .rights = rights };

	return abi_one(c, AOP_IOC_DETACH, &e);
}

static inline int abi_modify(struct abi_ctx *c, uint64_t handle, uint64_t data, uint32_t mask)
{
	struct aop_modify_entry e = { .handle = handle, .data = data, .mask = mask };

	return abi_one(c, AOP_IOC_MODIFY, &e);
}

static inline int abi_attach(struct abi_ctx *c, struct aop_attach_entry *e)
{
	return abi_one(c, AOP_IOC_ATTACH, e);
}

/* Attach to what @fd exports; @rights 0: all it has. */
static inline int abi_attach_fd(struct abi_ctx *c, int fd, uint32_t rights, uint64_t data,
				uint32_t mask, uint64_t *handle)
{
	struct aop_attach_entry e = { .fd = fd, .rights = rights, .data = data, .mask = mask };
	int ret = abi_attach(c, &e);

	*handle = ret ? 0 : e.handle;
	return ret;
}

static inline int abi_attach_id(struct abi_ctx *c, uint64_t id, uint32_t rights, uint64_t data,
				uint32_t mask, uint64_t *handle)
{
	struct aop_attach_entry e = {
		.fd = -1, .id = id, .rights = rights, .data = data, .mask = mask,
	};
	int ret = abi_attach(c, &e);

	*handle = ret ? 0 : e.handle;
	return ret;
}

/* Another handle on the operation behind @handle of @from, or 0. */
static inline uint64_t abi_again(struct abi_ctx *from, uint64_t handle, struct abi_ctx *to,
				 uint32_t rights, uint32_t mask)
{
	struct aop_ioc_query q = { .size = sizeof(q), .handle = handle };
	uint64_t h;

	if (abi_ioctl(from->fd, AOP_IOC_QUERY, &q))
		return 0;
	return abi_attach_id(to, q.id, rights, 0, mask, &h) ? 0 : h;
}

/* ---- the other calls ----------------------------------------------------- */

/* Returns the descriptor. */
static inline int abi_export(struct abi_ctx *c, uint64_t handle, uint32_t rights)
{
	struct aop_ioc_export e = { .size = sizeof(e), .handle = handle, .rights = rights };

	return abi_ioctl(c->fd, AOP_IOC_EXPORT, &e);
}

/* Returns how many entries had an event. */
static inline int abi_wait(struct abi_ctx *c, struct aop_wait_entry *entries, uint32_t nr,
			   uint32_t need, uint64_t deadline)
{
	struct aop_ioc_wait w = {
		.size = sizeof(w),
		.entries = abi_u64(entries),
		.entry_size = sizeof(*entries),
		.nr = nr,
		.need = need,
		.deadline = deadline,
	};
	int ret = abi_ioctl(c->fd, AOP_IOC_WAIT, &w);

	return ret < 0 ? ret : (int)w.count;
}

/* For one operation, for ever. Returns the events. */
static inline int abi_wait_one(struct abi_ctx *c, uint64_t handle, uint32_t mask, uint32_t seq)
{
	struct aop_wait_entry e = { .handle = handle, .mask = mask, .seq = seq };
	int ret = abi_wait(c, &e, 1, 1, AOP_FOREVER_NS);

	return ret < 0 ? ret : (int)e.events;
}

/* Look at one operation without sleeping. Returns those of @mask that hold, maybe 0. */
static inline int abi_look(struct abi_ctx *c, uint64_t handle, uint32_t mask, uint32_t seq)
{
	struct aop_wait_entry e = { .handle = handle, .mask = mask, .seq = seq };
	int ret = abi_wait(c, &e, 1, 0, 0);

	return ret < 0 ? ret : (int)e.events;
}

/* A group over @nr handles; the handle comes back in @handle. */
static inline int abi_group(struct abi_ctx *c, const uint64_t *members, uint32_t nr, uint32_t need,
			    uint32_t flags, uint32_t mask, uint64_t *handle)
{
	struct aop_ioc_group g = {
		.size = sizeof(g),
		.flags = flags,
		.members = abi_u64(members),
		.nr = nr,
		.need = need,
		.mask = mask,
		.mode = 0600,
	};
	int ret = abi_ioctl(c->fd, AOP_IOC_GROUP, &g);

	*handle = ret ? 0 : g.handle;
	return ret;
}

static inline int abi_query(struct abi_ctx *c, uint64_t handle, struct aop_ioc_query *q)
{
	memset(q, 0, sizeof(*q));
	q->size = sizeof(*q);
	q->handle = handle;
	return abi_ioctl(c->fd, AOP_IOC_QUERY, q);
}

static inline int abi_query_id(struct abi_ctx *c, uint64_t id, struct aop_ioc_query *q)
{
	memset(q, 0, sizeof(*q));
	q->size = sizeof(*q);
	q->id = id;
	return abi_ioctl(c->fd, AOP_IOC_QUERY, q);
}

static inline uint64_t abi_id(struct abi_ctx *c, uint64_t handle)
{
	struct aop_ioc_query q;

	return abi_query(c, handle, &q) ? 0 : q.id;
}

/* ---- what is mapped ------------------------------------------------------ */

static inline uint32_t abi_index(uint64_t handle)
{
	return AOP_HANDLE_SLOT(handle);
}

static inline uint32_t abi_gen(uint64_t handle)
{
	return AOP_HANDLE_GEN(handle);
}

static inline struct aop_status *abi_slot(struct abi_ctx *c, uint32_t index)
{
	return (struct aop_status *)((char *)c->ring + c->slots_at + (size_t)index * c->stride);
}

/*
 * Copy a slot as it was at one moment.  The loads in between are ordered by
 * the acquire of the first seq and the fence before the second one, against
 * the writer's two barriers around what it writes.
 */
static inline void abi_read_slot(const struct aop_status *slot, struct aop_status *to)
{
	uint32_t seq;

	for (;;) {
		seq = __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE);
		if (seq & 1)
			continue;
		*to = *(const volatile struct aop_status *)slot;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&slot->seq, __ATOMIC_RELAXED) == seq &&
		    __atomic_load_n(&slot->gen, __ATOMIC_RELAXED) == to->gen && to->seq == seq)
			return;
	}
}

/* The status behind @handle; -ESTALE if its slot holds another one by now. */
static inline int abi_status(struct abi_ctx *c, uint64_t handle, struct aop_status *to)
{
	abi_read_slot(abi_slot(c, abi_index(handle)), to);
	return to->gen == abi_gen(handle) ? 0 : -ESTALE;
}

static inline uint32_t abi_word(struct abi_ctx *c, uint64_t handle)
{
	return __atomic_load_n(&abi_slot(c, abi_index(handle))->word, __ATOMIC_ACQUIRE);
}

static inline unsigned int abi_state(struct abi_ctx *c, uint64_t handle)
{
	return abi_word(c, handle) & 0xff;
}

static inline uint32_t abi_tail(struct abi_ctx *c)
{
	return __atomic_load_n(&c->ring->tail, __ATOMIC_ACQUIRE);
}

/* How many indexes are waiting. */
static inline uint32_t abi_queued(struct abi_ctx *c)
{
	return abi_tail(c) - __atomic_load_n(c->head, __ATOMIC_RELAXED);
}

/* Take up to @max indexes.  Read the slots only after this has returned. */
static inline uint32_t abi_reap(struct abi_ctx *c, uint32_t *index, uint32_t max)
{
	uint32_t head = __atomic_load_n(c->head, __ATOMIC_RELAXED);
	uint32_t n = abi_tail(c) - head;
	uint32_t i;

	if (n > max)
		n = max;
	for (i = 0; i < n; i++)
		index[i] = c->ring->places[(head + i) & c->ring->mask];
	__atomic_store_n(c->head, head + n, __ATOMIC_RELEASE);
	/* Pairs with the kernel's barrier between writing a slot and reading head. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return n;
}

/* Empty the ring. Returns how many there were. */
static inline uint32_t abi_drain(struct abi_ctx *c)
{
	uint32_t index[64], n, sum = 0;

	while ((n = abi_reap(c, index, 64)))
		sum += n;
	return sum;
}

/* ---- the module ---------------------------------------------------------- */

/* Returns 0 or -errno. */
static inline int abi_param_get(const char *name, uint32_t *value)
{
	char path[128];
	unsigned int v;
	FILE *f;
	int n;

	*value = 0;
	snprintf(path, sizeof(path), "/sys/module/aop/parameters/%s", name);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	n = fscanf(f, "%u", &v);
	fclose(f);
	if (n != 1)
		return -EIO;
	*value = v;
	return 0;
}

static inline int abi_param_set(const char *name, uint32_t value)
{
	char path[128];
	FILE *f;
	int ret = 0;

	snprintf(path, sizeof(path), "/sys/module/aop/parameters/%s", name);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	if (fprintf(f, "%u", value) < 0)
		ret = -EIO;
	if (fclose(f))
		ret = -errno;
	return ret;
}

/* The number behind "@key:" in the fdinfo of @fd, or -errno. */
static inline long long abi_fdinfo(int fd, const char *key)
{
	char path[64], line[256];
	size_t len = strlen(key);
	long long value = -ENODATA;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, len) && line[len] == ':') {
			value = strtoll(line + len + 1, NULL, 0);
			break;
		}
	}
	fclose(f);
	return value;
}

/* How many handles a context holds. */
static inline long long abi_handles(struct abi_ctx *c)
{
	return abi_fdinfo(c->fd, "handles");
}

#endif /* SELFTESTS_ABI_H */
