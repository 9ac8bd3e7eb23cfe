// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation, and every copy from or to user memory, fails once: each call is
 * repeated with its first one failing, its second one, and so on, until it succeeds
 * with none left to fail.  After each failure there is nothing that was not there
 * before, and the next try finds everything usable.  What leaks without a trace is
 * for kmemleak, at the end of the run.
 *
 * The same for memory that ends in the midst of what a call reads or writes.
 *
 * Only kernels with fault injection can do this (`make check-debug`); elsewhere all
 * is skipped.
 */
#include <libmnl/libmnl.h>
#include <linux/aop_netlink.h>
#include <linux/genetlink.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "driver.h"
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
	int dev;			/* of the driver of the tests, or -1 */
	struct mnl_socket *sock;
	uint16_t family;
	/* What a call has made, for undo: */
	uint64_t made[MANY];
	void *map;
	int fd;
};

FIXTURE(fail) {
	struct world w;
};

static int nl_open(struct world *w);

FIXTURE_SETUP(fail)
{
	struct world *w = &self->w;
	unsigned int i;

	memset(w, 0, sizeof(*w));
	w->c.fd = -1;
	w->d.fd = -1;
	if (inject_setup())
		SKIP(return, "this kernel has no fault injection");
	w->dev = -1;
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
	ASSERT_EQ(0, nl_open(w));
}

FIXTURE_TEARDOWN(fail)
{
	struct world *w = &self->w;

	if (w->c.fd < 0)
		return;
	if (w->dev >= 0) {
		int ret;

		close(w->dev);
		/* Work items that call the driver for the last time hold it. */
		while ((ret = driver_unload("test/aop_selftest")) == -EWOULDBLOCK)
			sched_yield();
		EXPECT_EQ(0, ret);
	}
	if (w->sock)
		mnl_socket_close(w->sock);
	close(w->other_fd);
	close(w->event);
	close(w->nth);
	abi_close(&w->c);
	abi_close(&w->d);
}

/* ---- the sweep ----------------------------------------------------------- */

/* How many ops there are. */
static long ops(void)
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
static long until_ops(long want)
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
static bool is_excuse(long ret)
{
	return ret == -ENOMEM || ret == -EFAULT || ret == -ENFILE || ret == -ENOBUFS ||
	       ret == -EAGAIN;
}

/*
 * @undo takes away what a call that succeeded has made.  Returns how many faults it took
 * until the call succeeded without one, or -1.
 */
static int sweep(struct __test_metadata *_metadata, struct world *w, step *call, step *undo)
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

static long detach(struct world *w, uint64_t handle)
{
	return abi_detach(&w->c, handle, 0);
}

static long undo_made(struct world *w)
{
	return detach(w, w->made[0]);
}

static long undo_fd(struct world *w)
{
	return close(w->fd) ? -errno : 0;
}

static long undo_map(struct world *w)
{
	return munmap(w->map, w->c.area_size) ? -errno : 0;
}

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

/* So that a page of slots is to be added first. */
static long fill_page(struct world *w)
{
	long handles = abi_handles(&w->c);
	struct aop_create_entry e[64];

	if (handles < 0 || handles > 64)
		return -EPROTO;
	memset(e, 0, sizeof(e));
	return abi_batch(w->c.fd, AOP_IOC_CREATE, e, sizeof(e[0]), 64 - handles);
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

/* ---- netlink ------------------------------------------------------------- */

/* What the kernel has to say is in the socket when the call that sends has returned. */
static long answers(struct world *w, uint32_t seq)
{
	static char buf[16384];
	const struct nlmsghdr *nlh;
	const struct nlattr *attr;
	int len, err;

	for (;;) {
		len = recv(mnl_socket_get_fd(w->sock), buf, sizeof(buf), MSG_DONTWAIT);
		if (len < 0)
			return -errno;
		for (nlh = (void *)buf; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
			if (nlh->nlmsg_seq != seq)
				continue;
			if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
				memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
				return err < 0 ? err : 0;
			}
			if (nlh->nlmsg_type == GENL_ID_CTRL)
				mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
					if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
						w->family = mnl_attr_get_u16(attr);
		}
	}
}

static struct nlmsghdr *request(char *buf, uint16_t type, uint8_t cmd, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;
	static uint32_t seq;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	nlh->nlmsg_seq = ++seq;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;
	return nlh;
}

static long talk(struct world *w, const struct nlmsghdr *nlh)
{
	if (mnl_socket_sendto(w->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return answers(w, nlh->nlmsg_seq);
}

static int nl_open(struct world *w)
{
	char buf[256];
	struct nlmsghdr *nlh;

	w->sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!w->sock || mnl_socket_bind(w->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	nlh = request(buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, AOP_FAMILY_NAME);
	return talk(w, nlh);
}

/* What is left of a dump or an answer that was cut short. */
static void drain(struct world *w)
{
	char buf[16384];

	while (recv(mnl_socket_get_fd(w->sock), buf, sizeof(buf), MSG_DONTWAIT) >= 0 ||
	       errno == ENOBUFS)
		;
}

static long call_get(struct world *w)
{
	char buf[256];
	struct nlmsghdr *nlh = request(buf, w->family, AOP_CMD_GET, 0);

	mnl_attr_put_u64(nlh, AOP_A_ID, w->other_id);
	return talk(w, nlh);
}

static long call_dump(struct world *w)
{
	char buf[256];
	struct nlmsghdr *nlh = request(buf, w->family, AOP_CMD_GET, NLM_F_DUMP);
	struct nlattr *nest = mnl_attr_nest_start(nlh, AOP_A_FILTER);
	long ret;

	mnl_attr_put_u32(nlh, AOP_A_FILTER_UID, 0);
	mnl_attr_put_strz(nlh, AOP_A_FILTER_LABEL, "none");
	mnl_attr_nest_end(nlh, nest);
	ret = talk(w, nlh);
	drain(w);
	return ret;
}

static long call_nl_cancel(struct world *w)
{
	char buf[256];
	struct nlmsghdr *nlh = request(buf, w->family, AOP_CMD_CANCEL, 0);

	mnl_attr_put_u64(nlh, AOP_A_ID, w->other_id);
	return talk(w, nlh);
}

static long talk_short(struct world *w, uint8_t cmd)
{
	char buf[256];

	return talk(w, request(buf, w->family, cmd, 0));
}

TEST_F(fail, netlink)
{
	struct world *w = &self->w;

	SWEEP(3, call_get, NULL);
	drain(w);
	SWEEP(4, call_dump, NULL);
	drain(w);
	SWEEP(2, call_nl_cancel, NULL);
	drain(w);
}

/* Who was told that it failed has no subscription; of an answer that got lost nothing is known. */
TEST_F(fail, subscribe)
{
	struct world *w = &self->w;
	unsigned int n;
	bool failed;
	long ret, undone;

	for (n = 1; n < 500; n++) {
		w->now = abi_now();
		inject_nth(w->nth, n);
		ret = talk_short(w, AOP_CMD_SUBSCRIBE);
		failed = inject_end(w->nth);
		drain(w);
		undone = talk_short(w, AOP_CMD_UNSUBSCRIBE);
		drain(w);
		if (!failed)
			break;
		EXPECT_TRUE(ret >= 0 || is_excuse(ret));
		if (ret == -ENOMEM)
			EXPECT_EQ(-ENOENT, undone) {
				TH_LOG("fault %u", n);
				break;
			}
	}
	EXPECT_EQ(0, ret);
	EXPECT_EQ(0, undone);
	EXPECT_LT(3, n);
	TH_LOG("%u faults", n - 1);
}

/* ---- drivers ------------------------------------------------------------- */

static long call_driver_open(struct world *w)
{
	w->fd = open(AOP_SELFTEST_DEVICE, O_RDWR | O_CLOEXEC);
	return w->fd < 0 ? -errno : 0;
}

static long call_driver_op(struct world *w)
{
	struct selftest_call c = { .what = SELFTEST_CREATE, .value = LATE };

	w->fd = call(w->dev, &c);
	return w->fd;
}

static long undo_driver_op(struct world *w)
{
	close(w->fd);
	drive(w->dev, 0, SELFTEST_LET_GO, 0);
	return 0;
}

static long call_driver_handle(struct world *w)
{
	struct selftest_call c = {
		.what = SELFTEST_HANDLE, .index = 1, .aop_fd = w->c.fd, .mask = AOP_EV_ALL,
	};
	long ret = call(w->dev, &c);

	w->made[0] = c.total;
	return ret;
}

static long call_driver_watch(struct world *w)
{
	struct selftest_call c = {
		.what = SELFTEST_WATCH, .index = 2, .fd = w->other_fd, .mask = AOP_EV_FINAL,
	};

	return call(w->dev, &c);
}

static long undo_driver_watch(struct world *w)
{
	struct selftest_call c = { .what = SELFTEST_UNWATCH, .index = 2 };

	return call(w->dev, &c);
}

static long call_driver_wait(struct world *w)
{
	struct selftest_call c = {
		.what = SELFTEST_WAIT, .fd = w->other_fd, .mask = AOP_EV_FINAL,
		.value = w->now + 1000,
	};
	long ret = call(w->dev, &c);

	return ret == -ETIME ? 0 : ret;
}

static long call_driver_destroy(struct world *w)
{
	struct selftest_call c = { .what = SELFTEST_DESTROY };

	return call(w->dev, &c);
}

TEST_F(fail, driver)
{
	struct world *w = &self->w;
	int fd;

	ASSERT_EQ(0, driver_load("test/aop_selftest", ""));
	w->dev = driver_open(AOP_SELFTEST_DEVICE);
	ASSERT_GE(w->dev, 0);
	SWEEP(3, call_driver_open, undo_fd);
	SWEEP(2, call_driver_destroy, NULL);
	SWEEP(4, call_driver_op, undo_driver_op);
	fd = driver_op(w->dev, 1, SELFTEST_RUNNING);
	ASSERT_GE(fd, 0);
	ASSERT_GE(fill_page(w), 0);
	SWEEP(2, call_driver_handle, undo_made);
	SWEEP(1, call_driver_watch, undo_driver_watch);
	SWEEP(1, call_driver_wait, NULL);
	EXPECT_EQ(2, watchers_of(&w->d, w->other));
	close(fd);
	drive(w->dev, 1, SELFTEST_LET_GO, 0);
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
