// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation, and every copy from or to user memory, fails once: the calls of a
 * context.  fail_world.h says how; fail_port.c, fail_driver.c and fail_netlink.c have the
 * other calls.
 *
 * The same for memory that ends in the midst of what a call reads or writes.
 */
#include <sys/epoll.h>

#include "fail_world.h"

/* ---- contexts ------------------------------------------------------------ */

static long call_open(struct world *w)
{
	w->fd = abi_open_file();
	return w->fd;
}

TEST_F(fail, open)
{
	SWEEP(3, call_open, undo_fd);
}

static long call_setup(struct world *w)
{
	struct aop_ioc_setup s = { .size = sizeof(s), .slots = 4096 };

	return abi_ioctl(w->fd, AOP_IOC_SETUP, &s);
}

/* Once it is set up it is so for ever: each that is has the next one take its place. */
static long undo_setup(struct world *w)
{
	struct aop_ioc_setup s = { .size = sizeof(s), .slots = 64 };

	if (abi_ioctl(w->fd, AOP_IOC_SETUP, &s) != -EBUSY)
		return -EPROTO;
	close(w->fd);
	w->fd = abi_open_file();
	return w->fd < 0 ? w->fd : 0;
}

/* After a set-up that failed, the next one may be of the same file. */
TEST_F(fail, set_up)
{
	self->w.fd = abi_open_file();
	ASSERT_GE(self->w.fd, 0);
	SWEEP(5, call_setup, undo_setup);
	close(self->w.fd);
}

static long call_mmap(struct world *w)
{
	w->map = mmap(NULL, w->c.area_size, PROT_READ, MAP_SHARED, w->c.fd, w->c.area_offset);
	return w->map == MAP_FAILED ? -errno : 0;
}

TEST_F(fail, mmap)
{
	SWEEP(1, call_mmap, undo_map);
}

/* Pages of the mapping come in when they are looked at: that cannot fail, only be tried again. */
static long call_fault(struct world *w)
{
	volatile char *slots;

	if (call_mmap(w))
		return -errno;
	slots = (char *)w->map + w->c.slots_at;
	return *slots & 0;
}

TEST_F(fail, fault)
{
	SWEEP(1, call_fault, undo_map);
}

static long call_open_all(struct world *w)
{
	struct abi_ctx c;
	int ret = abi_open(&c, 64);

	(void)w;
	if (!ret)
		abi_close(&c);
	return ret;
}

TEST_F(fail, open_all)
{
	SWEEP(8, call_open_all, NULL);
}

/* ---- operations ---------------------------------------------------------- */

static long create(struct world *w, struct aop_create_entry *e)
{
	int ret = abi_create(&w->c, e);

	w->made[0] = ret ? 0 : e->handle;
	return ret;
}

static long call_create(struct world *w)
{
	struct aop_create_entry e = { .mode = 0600, .mask = AOP_EV_ALL };

	return create(w, &e);
}

static long call_create_extra(struct world *w)
{
	struct aop_create_entry e = {
		.mode = 0600, .label = abi_u64("of little use"), .deadline = LATE,
		.parent = w->other_id,
	};

	return create(w, &e);
}

TEST_F(fail, create)
{
	SWEEP(1, call_create, undo_made);
	SWEEP(3, call_create_extra, undo_made);
}

/* Each entry has its own answer; those that were made are all there, and no others. */
static long call_create_many(struct world *w)
{
	struct aop_create_entry e[MANY];
	int ret, i;

	memset(w->made, 0, sizeof(w->made));
	memset(e, 0, sizeof(e));
	for (i = 0; i < MANY; i++) {
		e[i].mode = 0600;
		e[i].label = i % 3 ? 0 : abi_u64("label");
		e[i].deadline = i % 5 ? 0 : LATE;
	}
	ret = abi_batch(w->c.fd, AOP_IOC_CREATE, e, sizeof(e[0]), MANY);
	for (i = 0; i < ret; i++)
		if (!e[i].ret)
			w->made[i] = e[i].handle;
		else if (!is_excuse(e[i].ret))
			return e[i].ret;
	return 0;
}

static long undo_many(struct world *w)
{
	long ret = 0;
	int i;

	for (i = 0; i < MANY && !ret; i++)
		if (w->made[i])
			ret = detach(w, w->made[i]);
	return ret;
}

TEST_F(fail, create_many)
{
	SWEEP(50, call_create_many, undo_many);
}

static long call_group(struct world *w)
{
	struct aop_ioc_group g = {
		.size = sizeof(g), .members = abi_u64(w->members), .nr = 8, .need = 2, .mode = 0600,
		.label = abi_u64("group"), .deadline = LATE,
	};
	long ret = abi_ioctl(w->c.fd, AOP_IOC_GROUP, &g);

	w->made[0] = ret ? 0 : g.handle;
	return ret;
}

/* As large as it may be: of a page or more. */
static long call_large_group(struct world *w)
{
	uint64_t members[100];
	int i;

	for (i = 0; i < 100; i++)
		members[i] = w->members[i % 8];
	return abi_group(&w->c, members, 100, 100, AOP_GROUP_CANCEL_REST, 0, w->made);
}

TEST_F(fail, group)
{
	SWEEP(5, call_group, undo_made);
	SWEEP(5, call_large_group, undo_made);
	/* Nothing hangs on a member any more, of all those that failed. */
	EXPECT_EQ(1, watchers_of(&self->w.c, self->w.members[0]));
}

static long call_attach_id(struct world *w)
{
	return abi_attach_id(&w->c, w->other_id, 0, 1, AOP_EV_ALL, w->made);
}

static long call_attach_fd(struct world *w)
{
	return abi_attach_fd(&w->c, w->other_fd, 0, 1, AOP_EV_ALL, w->made);
}

TEST_F(fail, attach)
{
	ASSERT_GE(fill_page(&self->w), 0);
	SWEEP(2, call_attach_id, undo_made);
	SWEEP(0, call_attach_fd, undo_made);
	EXPECT_EQ(2, watchers_of(&self->w.d, self->w.other));
}

static long call_export(struct world *w)
{
	w->fd = abi_export(&w->c, w->op, AOP_MAY_LOOK | AOP_MAY_DRIVE);
	return w->fd;
}

/* The right to drive comes back from where it went to, or else it never left. */
static long undo_export(struct world *w)
{
	uint64_t h;
	long ret = abi_attach_fd(&w->c, w->fd, AOP_MAY_DRIVE, 0, 0, &h);

	close(w->fd);
	if (!ret)
		ret = abi_signal(&w->c, h, AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH, 0);
	if (!ret)
		ret = detach(w, w->op);
	w->op = new_running(&w->c, 0);
	return w->op ? ret : -EPROTO;
}

TEST_F(fail, export)
{
	SWEEP(3, call_export, undo_export);
}

/* Signals, and everything else that allocates nothing: only its copies can fail. */
static long call_drive(struct world *w)
{
	int ret = abi_progress(&w->c, w->op, 1, 2);

	if (!ret)
		ret = abi_modify(&w->c, w->op, 1, AOP_EV_ALL);
	if (!ret)
		ret = abi_cancel(&w->c, w->op, -EINTR) == AOP_ASKED ? 0 : -EPROTO;
	return ret;
}

static long call_small(struct world *w)
{
	struct aop_ioc_features f = { .size = sizeof(f) };
	struct aop_ioc_query q;
	int ret = abi_query(&w->c, w->op, &q);

	return ret ? ret : abi_ioctl(w->c.fd, AOP_IOC_FEATURES, &f);
}

TEST_F(fail, small)
{
	SWEEP(0, call_drive, NULL);
	SWEEP(2, call_small, NULL);
}

/* Entries of sizes that are not known here go another way. */
static long call_odd(struct world *w)
{
	struct {
		struct aop_create_entry e;
		uint64_t more;
	} e[2] = { { .e.mode = 0600 }, { .e.mode = 0600 } };
	struct aop_ioc_batch b = {
		.size = sizeof(b), .entries = abi_u64(e), .entry_size = sizeof(e[0]), .nr = 2,
	};
	int ret = abi_ioctl(w->c.fd, AOP_IOC_CREATE, &b);

	/* Those before the one whose copy failed are made, and the answer says how many. */
	w->made[0] = b.done < 1 || e[0].e.ret ? 0 : e[0].e.handle;
	w->made[1] = b.done < 2 || e[1].e.ret ? 0 : e[1].e.handle;
	return ret == -EFAULT && b.done ? 0 : ret;
}

static long undo_odd(struct world *w)
{
	long ret = w->made[0] ? detach(w, w->made[0]) : 0;

	return ret ? ret : w->made[1] ? detach(w, w->made[1]) : 0;
}

static long call_odd_wait(struct world *w)
{
	struct {
		struct aop_signal_entry e;
		uint64_t more;
	} s = { .e = { .handle = w->op, .what = AOP_SIGNAL_PROGRESS } };
	struct {
		struct aop_wait_entry e;
		uint64_t more;
	} e = { .e = { .handle = w->op, .mask = AOP_EV_CHANGE, .seq = 1 } };
	struct {
		struct aop_ioc_wait w;
		uint64_t more;
	} wait = { .w = {
		.size = sizeof(wait), .entries = abi_u64(&e), .entry_size = sizeof(e), .nr = 1,
		.need = 1,
		.signals = abi_u64(&s), .signal_size = sizeof(s), .nr_signals = 1,
	} };

	return abi_ioctl(w->c.fd, AOP_IOC_WAIT, &wait);
}

TEST_F(fail, odd)
{
	SWEEP(2, call_odd, undo_odd);
	SWEEP(3, call_odd_wait, NULL);
}

/* ---- waiting ------------------------------------------------------------- */

static long call_wait(struct world *w)
{
	struct aop_wait_entry e[8];
	int i, ret;

	memset(e, 0, sizeof(e));
	for (i = 0; i < 8; i++)
		e[i] = (struct aop_wait_entry) { .handle = w->members[i], .mask = AOP_EV_FINAL };
	ret = abi_wait(&w->c, e, 8, 1, w->now + 1000000);
	return ret == -ETIME ? 0 : ret;
}

static long call_poll(struct world *w)
{
	struct pollfd p[2] = {
		{ .fd = w->c.fd, .events = POLLIN }, { .fd = w->other_fd, .events = POLLIN },
	};
	int ret = poll(p, 2, 1);

	return ret < 0 ? -errno : ret;
}

static long call_epoll(struct world *w)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC), ret = 0;

	if (ep < 0)
		return -errno;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, w->c.fd, &e) ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, w->other_fd, &e) || epoll_wait(ep, &e, 1, 0) < 0)
		ret = -errno;
	close(ep);
	return ret;
}

static long call_read(struct world *w)
{
	struct aop_status st;
	ssize_t n = read(w->fd, &st, sizeof(st));

	return n < 0 ? -errno : n == sizeof(st) ? 0 : -EPROTO;
}

static long call_fdinfo(struct world *w)
{
	long long n = abi_fdinfo(w->other_fd, "watchers");

	(void)w;
	return n < 0 ? -ENOMEM : 0;
}

TEST_F(fail, wait)
{
	struct world *w = &self->w;
	uint64_t h;

	SWEEP(1, call_wait, NULL);
	EXPECT_EQ(1, watchers_of(&w->c, w->members[0]));
	SWEEP(1, call_poll, NULL);
	SWEEP(3, call_epoll, NULL);
	SWEEP(1, call_fdinfo, NULL);
	h = born(&w->c, AOP_DONE);
	w->fd = abi_export(&w->c, h, AOP_MAY_LOOK);
	ASSERT_GE(w->fd, 0);
	SWEEP(1, call_read, NULL);
	close(w->fd);
}

/* ---- imports and exports ------------------------------------------------- */

static long import(struct world *w, int fd)
{
	struct aop_ioc_import i = {
		.size = sizeof(i), .fd = fd, .mode = 0600, .label = abi_u64("from elsewhere"),
		.deadline = LATE,
	};
	long ret = abi_ioctl(w->c.fd, AOP_IOC_IMPORT, &i);

	w->made[0] = ret ? 0 : i.handle;
	return ret;
}

static long call_import(struct world *w)
{
	return import(w, w->event);
}

static long call_import_fence(struct world *w)
{
	return import(w, w->fd);
}

/* From drivers/dma-buf/sw_sync.c. */
struct sw_sync_create {
	uint32_t value;
	char name[32];
	int32_t fence;
};

#define SW_SYNC_CREATE	_IOWR('W', 0, struct sw_sync_create)

TEST_F(fail, import)
{
	struct sw_sync_create s = { .value = 1, .name = "aop" };
	int sync;

	SWEEP(6, call_import, undo_made);
	sync = open("/sys/kernel/debug/sync/sw_sync", O_RDWR | O_CLOEXEC);
	if (sync < 0)
		SKIP(return, "no sw_sync here");
	ASSERT_EQ(0, ioctl(sync, SW_SYNC_CREATE, &s));
	self->w.fd = s.fence;
	SWEEP(6, call_import_fence, undo_made);
	close(s.fence);
	close(sync);
}

static long eventfd_call(struct world *w, uint32_t mask)
{
	struct aop_ioc_eventfd e = {
		.size = sizeof(e), .handle = w->op, .fd = w->event, .mask = mask,
	};

	return abi_ioctl(w->c.fd, AOP_IOC_EVENTFD, &e);
}

static long call_eventfd(struct world *w)
{
	return eventfd_call(w, AOP_EV_FINAL);
}

static long undo_eventfd(struct world *w)
{
	return eventfd_call(w, 0);
}

TEST_F(fail, eventfd)
{
	SWEEP(2, call_eventfd, undo_eventfd);
	/* None of those that failed is there. */
	EXPECT_EQ(-ENOENT, undo_eventfd(&self->w));
}

/* ---- pointers ------------------------------------------------------------- */

/* A page, and behind it nothing. */
static char *page_with_end(void)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED || mprotect(p + 4096, 4096, PROT_NONE) ? NULL : p;
}

/*
 * Every call with its struct cut off after each u32, and where it answers, in memory that
 * cannot be written: -EFAULT, and nothing has happened.
 */
TEST_F(fail, pointers)
{
	struct world *w = &self->w;
	struct aop_ioc_features features = { .size = sizeof(features) };
	struct aop_ioc_setup setup = { .size = sizeof(setup), .slots = 64 };
	struct aop_create_entry create = { .mode = 0600 };
	struct aop_signal_entry signal = { .handle = w->op, .what = AOP_SIGNAL_DONE };
	struct aop_cancel_entry cancel = { .handle = w->op };
	struct aop_attach_entry attach = { .fd = -1, .id = w->other_id };
	struct aop_detach_entry detached = { .handle = w->op };
	struct aop_modify_entry modify = { .handle = w->op };
	struct aop_ioc_export export = {
		.size = sizeof(export), .handle = w->op, .rights = AOP_MAY_LOOK,
	};
	struct aop_ioc_group group = {
		.size = sizeof(group), .members = abi_u64(w->members), .nr = 8, .need = 1,
	};
	struct aop_ioc_query query = { .size = sizeof(query), .handle = w->op };
	struct aop_ioc_import imported = { .size = sizeof(imported), .fd = w->event };
	struct aop_ioc_eventfd event = {
		.size = sizeof(event), .handle = w->op, .fd = w->event, .mask = AOP_EV_FINAL,
	};
	struct aop_ioc_wait wait = { .size = sizeof(wait) };
	struct aop_ioc_port port = { .size = sizeof(port), .backlog = 4 };
	struct aop_ioc_call calls = {
		.size = sizeof(calls), .entry_size = sizeof(struct aop_call_entry),
	};
	struct aop_ioc_serve serve = { .size = sizeof(serve) };
	struct aop_ioc_batch messages = {
		.size = sizeof(messages), .entry_size = sizeof(struct aop_message_entry),
	};
	struct aop_ioc_name name = { .size = sizeof(name), .what = AOP_NAME_FIND };
	struct aop_ioc_batch batch = { .size = sizeof(batch), .entry_size = sizeof(create) };
	const struct {
		unsigned long cmd;
		const void *arg;
		size_t size;
		bool answers;
	} all[] = {
		{ AOP_IOC_FEATURES, &features, sizeof(features), true },
		{ AOP_IOC_SETUP, &setup, sizeof(setup), false },
		{ AOP_IOC_CREATE_ONE, &create, sizeof(create), true },
		{ AOP_IOC_CREATE, &batch, sizeof(batch), true },
		{ AOP_IOC_SIGNAL_ONE, &signal, sizeof(signal), false },
		{ AOP_IOC_CANCEL_ONE, &cancel, sizeof(cancel), false },
		{ AOP_IOC_ATTACH_ONE, &attach, sizeof(attach), true },
		{ AOP_IOC_DETACH_ONE, &detached, sizeof(detached), false },
		{ AOP_IOC_MODIFY_ONE, &modify, sizeof(modify), false },
		{ AOP_IOC_EXPORT, &export, sizeof(export), false },
		{ AOP_IOC_GROUP, &group, sizeof(group), true },
		{ AOP_IOC_QUERY, &query, sizeof(query), true },
		{ AOP_IOC_IMPORT, &imported, sizeof(imported), true },
		{ AOP_IOC_EVENTFD, &event, sizeof(event), false },
		{ AOP_IOC_WAIT, &wait, sizeof(wait), true },
		{ AOP_IOC_PORT, &port, sizeof(port), true },
		{ AOP_IOC_CALL, &calls, sizeof(calls), true },
		{ AOP_IOC_SERVE, &serve, sizeof(serve), true },
		{ AOP_IOC_DELEGATE, &messages, sizeof(messages), true },
		{ AOP_IOC_MESSAGE, &messages, sizeof(messages), true },
		{ AOP_IOC_NAME, &name, sizeof(name), false },
	};
	char *page = page_with_end();
	long before = ops(), handles = abi_handles(&w->c);
	struct aop_status st = status_of(&w->c, w->op);
	size_t i, k;

	ASSERT_NE(NULL, page);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (k = 0; k < all[i].size; k += 4) {
			memcpy(page + 4096 - k, all[i].arg, k);
			EXPECT_EQ(-EFAULT, abi_ioctl(w->c.fd, all[i].cmd, page + 4096 - k)) {
				TH_LOG("call %zu cut off after %zu", i, k);
				break;
			}
		}
		if (!all[i].answers)
			continue;
		memcpy(page, all[i].arg, all[i].size);
		mprotect(page, 4096, PROT_READ);
		EXPECT_EQ(-EFAULT, abi_ioctl(w->c.fd, all[i].cmd, page))
			TH_LOG("call %zu, where its answer cannot be written", i);
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
	}
	EXPECT_EQ(before, until_ops(before));
	EXPECT_EQ(handles, abi_handles(&w->c));
	EXPECT_EQ(st.seq, seq_of(&w->c, w->op));
	EXPECT_EQ(1, watchers_of(&w->c, w->op));
	munmap(page, 8192);
}

/* ---- counting ------------------------------------------------------------- */

static long call_count(struct world *w)
{
	(void)w;
	return write_file("/sys/kernel/debug/aop/counters", "1");
}

static long undo_count(struct world *w)
{
	(void)w;
	return write_file("/sys/kernel/debug/aop/counters", "0");
}

TEST_F(fail, counters)
{
	SWEEP(3, call_count, undo_count);
}

TEST_HARNESS_MAIN
