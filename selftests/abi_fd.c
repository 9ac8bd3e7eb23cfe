// SPDX-License-Identifier: GPL-2.0
/*
 * An operation as a descriptor: what it gives, what reading and polling it means,
 * what attaching to it allows, how it travels (O1, K2, K4).
 */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "behave.h"

FIXTURE(fd) {
	struct abi_ctx c;
	uint64_t handle;
};

FIXTURE_SETUP(fd)
{
	ASSERT_EQ(0, abi_open(&self->c, 64));
	self->handle = abi_new(&self->c, 7, AOP_EV_FINAL);
	ASSERT_NE(0, self->handle);
}

FIXTURE_TEARDOWN(fd)
{
	abi_close(&self->c);
}

static int polled(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

static int rd(int fd, void *to, size_t size)
{
	ssize_t n = read(fd, to, size);

	return n < 0 ? -errno : (int)n;
}

/* Volatile, or the compiler complains of what is done with it. */
static void * volatile nowhere = (void *)16;

/* Return when thread @tid is inside system call @nr. */
static void until_in(int tid, long nr)
{
	char path[64], buf[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	for (;;) {
		f = fopen(path, "re");
		if (!f)
			return;
		if (fgets(buf, sizeof(buf), f) && buf[0] != 'r' && atol(buf) == nr) {
			fclose(f);
			return;
		}
		fclose(f);
		sched_yield();
	}
}

/* ---- rights ---------------------------------------------------------------------------- */

/* O1 K4: every set of rights, taken by every wish. */
TEST_F(fd, K4_rights_only_shrink)
{
	struct abi_ctx *c = &self->c;
	uint32_t has, wants;
	uint64_t h, w;
	int fd, ret;

	for (has = 1; has <= AOP_MAY_ALL; has++) {
		for (wants = 0; wants <= AOP_MAY_ALL; wants++) {
			h = abi_new(c, 0, 0);
			ASSERT_NE(0, h);
			fd = abi_export(c, h, has);
			ASSERT_GE(fd, 0);
			ret = abi_attach_fd(c, fd, wants, 0, 0, &w);
			EXPECT_EQ(wants & ~has ? -EPERM : 0, ret)
				TH_LOG("has %x, wants %x", has, wants);
			if (!ret) {
				uint32_t got = wants ? wants : has, more;
				uint64_t x;

				EXPECT_EQ(got, rights_of(c, w));
				/* Nothing that it has not got can be passed on from there. */
				for (more = 1; more <= AOP_MAY_ALL; more++) {
					int fd2;

					if (!(more & ~got))
						continue;
					fd2 = abi_export(c, w, more);
					EXPECT_EQ(-EPERM, fd2);
					if (fd2 >= 0)
						close(fd2);
				}
				/* What can be shared stays, the rest has left the descriptor. */
				EXPECT_EQ(has & ~(got & AOP_MAY_DRIVE), abi_fdinfo(fd, "rights"));
				EXPECT_EQ(has & ~(got & AOP_MAY_DRIVE) ? 0 : -EPERM,
					  abi_attach_fd(c, fd, 0, 0, 0, &x));
				if (x) {
					EXPECT_EQ(has & ~(got & AOP_MAY_DRIVE), rights_of(c, x));
					ASSERT_EQ(0, abi_detach(c, x, 0));
				}
				ASSERT_EQ(0, abi_detach(c, w, 0));
			}
			close(fd);
			abi_detach(c, h, 0);
		}
	}
	EXPECT_EQ(1, abi_handles(c));
}

TEST_F(fd, K4_drive_moves)
{
	struct abi_ctx *c = &self->c, o;
	uint64_t h = self->handle, w, x;
	int fd;

	ASSERT_EQ(0, abi_open(&o, 64));
	fd = abi_export(c, h, AOP_MAY_ALL);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, rights_of(c, h));
	EXPECT_EQ(-EPERM, abi_start(c, h));
	EXPECT_EQ(-EPERM, abi_export(c, h, AOP_MAY_DRIVE));
	EXPECT_EQ(0, abi_attach_fd(&o, fd, AOP_MAY_DRIVE, 0, 0, &w));
	EXPECT_EQ(-EPERM, abi_attach_fd(&o, fd, AOP_MAY_DRIVE, 0, 0, &x));
	EXPECT_EQ(-EPERM, abi_attach_fd(c, fd, AOP_MAY_ALL, 0, 0, &x));
	EXPECT_EQ(-EPERM, abi_start(c, h));
	EXPECT_EQ(0, abi_start(&o, w));
	/* The descriptor has nothing to lose any more. */
	close(fd);
	EXPECT_EQ(AOP_RUNNING, abi_state(c, h));
	/* And on, and back. */
	fd = abi_export(&o, w, AOP_MAY_DRIVE);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, abi_handles(&o));
	EXPECT_EQ(0, abi_attach_fd(c, fd, 0, 0, 0, &w));
	close(fd);
	EXPECT_EQ(0, abi_done(c, w, 11));
	EXPECT_EQ(AOP_DONE, abi_state(c, h));
	abi_close(&o);
}

/* M6: the descriptor was the owner. */
TEST_F(fd, M6_closed_with_the_right_in_it)
{
	struct abi_ctx *c = &self->c;
	int fd = abi_export(c, self->handle, AOP_MAY_DRIVE), copy;
	struct aop_status s;

	ASSERT_GE(fd, 0);
	copy = dup(fd);
	close(fd);
	EXPECT_EQ(AOP_PENDING, abi_state(c, self->handle));
	EXPECT_EQ(0, abi_queued(c));
	close(copy);
	ASSERT_EQ(0, abi_status(c, self->handle, &s));
	EXPECT_EQ(AOP_FAILED, s.state);
	EXPECT_EQ(-EOWNERDEAD, s.result);
	EXPECT_EQ(AOP_F_SYSTEM | AOP_F_OVER, s.flags);
	EXPECT_EQ(1, abi_drain(c));
}

/* A child that has a copy keeps it alive, and ends it when it ends. */
TEST_F(fd, M6_copy_in_a_child)
{
	struct abi_ctx *c = &self->c;
	int fd = abi_export(c, self->handle, AOP_MAY_DRIVE), go[2];
	pid_t child;
	char b;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, pipe(go));
	child = spawn();
	if (!child) {
		close(go[1]);
		_exit(read(go[0], &b, 1));
	}
	close(fd);
	EXPECT_EQ(AOP_PENDING, abi_state(c, self->handle));
	close(go[1]);
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(c, self->handle, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EOWNERDEAD, status_of(c, self->handle).result);
	EXPECT_EQ(0, reap_child(child));
}

TEST_F(fd, C5_descriptor_is_a_watcher)
{
	struct abi_ctx *c = &self->c;
	int fd = abi_export(c, self->handle, AOP_MAY_LOOK);
	int blind = abi_export(c, self->handle, AOP_MAY_CANCEL);

	ASSERT_GE(fd, 0);
	ASSERT_GE(blind, 0);
	EXPECT_EQ(2, watchers_of(c, self->handle));
	ASSERT_EQ(0, abi_detach(c, self->handle, AOP_MAY_LOOK));
	EXPECT_EQ(0, flags_of(c, self->handle));
	close(fd);
	EXPECT_EQ(AOP_F_ORPHAN, flags_of(c, self->handle));
	EXPECT_EQ(0, watchers_of(c, self->handle));
	close(blind);
}

/* ---- poll and read ---------------------------------------------------------------------- */

TEST_F(fd, K2_readable_only_when_final)
{
	struct abi_ctx *c = &self->c;
	int fd = abi_export(c, self->handle, AOP_MAY_LOOK);
	struct aop_status s;
	uint64_t w;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(0, polled(fd));
	ASSERT_EQ(0, abi_progress(c, self->handle, 1, 2));
	EXPECT_EQ(0, polled(fd));
	ASSERT_EQ(0, abi_start(c, self->handle));
	EXPECT_EQ(0, polled(fd));
	ASSERT_EQ(AOP_ASKED, abi_cancel(c, self->handle, 0));
	EXPECT_EQ(0, polled(fd));
	ASSERT_EQ(0, abi_attach_fd(c, fd, 0, 0, 0, &w));
	ASSERT_EQ(0, abi_detach(c, w, 0));
	EXPECT_EQ(0, polled(fd));
	EXPECT_EQ(-EAGAIN, rd(fd, &s, sizeof(s)));
	ASSERT_EQ(0, abi_done(c, self->handle, 5));
	EXPECT_EQ(POLLIN, polled(fd));
	EXPECT_EQ(sizeof(s), rd(fd, &s, sizeof(s)));
	EXPECT_EQ(POLLIN, polled(fd));
	close(fd);
}

TEST_F(fd, K2_read)
{
	struct abi_ctx *c = &self->c;
	int fd = abi_export(c, self->handle, AOP_MAY_LOOK);
	struct aop_status s[2], t;
	struct aop_ioc_query q;
	struct iovec v[3] = {
		{ (char *)&t, 20 }, { (char *)&t + 20, 4 }, { (char *)&t + 24, sizeof(t) - 24 },
	};
	unsigned int size, i;

	ASSERT_GE(fd, 0);
	/* Too short is wrong at any time, and does not wait. */
	for (size = 0; size < sizeof(t); size++) {
		EXPECT_EQ(-EINVAL, rd(fd, s, size)) TH_LOG("%u", size);
	}
	ASSERT_EQ(0, abi_progress(c, self->handle, 3, 4));
	ASSERT_EQ(0, abi_signal(c, self->handle, AOP_SIGNAL_FAIL, -EXDEV));
	for (size = 0; size < sizeof(t); size++) {
		EXPECT_EQ(-EINVAL, rd(fd, s, size)) TH_LOG("%u", size);
	}
	ASSERT_EQ(0, abi_query(c, self->handle, &q));
	q.status.gen = 0;
	q.status.data = 0;
	for (i = 0; i < 3; i++) {
		memset(s, 0xff, sizeof(s));
		EXPECT_EQ(sizeof(t), rd(fd, s, i == 2 ? sizeof(s) : sizeof(t)));
		EXPECT_EQ(0, memcmp(&q.status, &s[0], sizeof(t)));
		EXPECT_EQ(UINT64_MAX, s[1].id);
	}
	EXPECT_EQ(AOP_FAILED, s[0].state);
	EXPECT_EQ(-EXDEV, s[0].result);
	EXPECT_EQ(3, s[0].done);
	/* In parts, and to where there is no memory. */
	memset(&t, 0xff, sizeof(t));
	EXPECT_EQ(sizeof(t), readv(fd, v, 3));
	EXPECT_EQ(0, memcmp(&q.status, &t, sizeof(t)));
	EXPECT_EQ(-EFAULT, rd(fd, nowhere, sizeof(t)));
	EXPECT_EQ(sizeof(t), rd(fd, &t, sizeof(t)));
	close(fd);
}

TEST_F(fd, no_other_calls)
{
	int fd = abi_export(&self->c, self->handle, AOP_MAY_ALL);
	struct aop_status s = { 0 };

	ASSERT_GE(fd, 0);
	EXPECT_EQ(-1, write(fd, &s, sizeof(s)));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-ENOTTY, abi_ioctl(fd, AOP_IOC_FEATURES, &s));
	EXPECT_EQ(-ENOTTY, abi_ioctl(fd, AOP_IOC_SETUP, &s));
	EXPECT_TRUE(MAP_FAILED == mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
	EXPECT_EQ(AOP_PENDING, abi_state(&self->c, self->handle));
	close(fd);
}

TEST_F(fd, K7_descriptor_without_the_right_to_look)
{
	struct abi_ctx *c = &self->c;
	struct aop_status s;
	int fd = abi_export(c, self->handle, AOP_MAY_CANCEL | AOP_MAY_DRIVE);
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EPERM, rd(fd, &s, sizeof(s)));
	EXPECT_EQ(POLLERR, polled(fd));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 0));
	EXPECT_EQ(EPOLLERR, ev.events);
	EXPECT_EQ(AOP_STOPPED, abi_cancel(c, self->handle, 0));
	EXPECT_EQ(-EPERM, rd(fd, &s, sizeof(s)));
	EXPECT_EQ(POLLERR, polled(fd));
	close(ep);
	close(fd);
}

struct reader {
	int fd, ret, tid;
	struct aop_status s;
	pthread_t thread;
};

static void *reader(void *arg)
{
	struct reader *r = arg;

	__atomic_store_n(&r->tid, gettid(), __ATOMIC_RELEASE);
	r->ret = rd(r->fd, &r->s, sizeof(r->s));
	return NULL;
}

static void start_reader(struct reader *r, int fd)
{
	*r = (struct reader){ .fd = fd };
	pthread_create(&r->thread, NULL, reader, r);
	while (!__atomic_load_n(&r->tid, __ATOMIC_ACQUIRE))
		sched_yield();
	until_in(r->tid, SYS_read);
}

/* W3: a blocking read wakes at the end, all of them, and not before. */
TEST_F(fd, W3_blocking_read)
{
	struct abi_ctx *c = &self->c;
	int fd = abi_export(c, self->handle, AOP_MAY_LOOK), i;
	struct reader r[3];

	ASSERT_GE(fd, 0);
	for (i = 0; i < 3; i++)
		start_reader(&r[i], fd);
	ASSERT_EQ(0, abi_start(c, self->handle));
	ASSERT_EQ(0, abi_progress(c, self->handle, 1, 2));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(EBUSY, pthread_tryjoin_np(r[i].thread, NULL));
	}
	ASSERT_EQ(0, abi_done(c, self->handle, 77));
	for (i = 0; i < 3; i++) {
		pthread_join(r[i].thread, NULL);
		EXPECT_EQ(sizeof(r[i].s), r[i].ret);
		EXPECT_EQ(AOP_DONE, r[i].s.state);
		EXPECT_EQ(77, r[i].s.result);
	}
	close(fd);
}

static volatile sig_atomic_t handled;

static void handler(int sig)
{
	(void)sig;
	handled++;
}

TEST_F(fd, K2_read_interrupted)
{
	struct abi_ctx *c = &self->c;
	int fd = abi_export(c, self->handle, AOP_MAY_LOOK);
	struct sigaction sa = { .sa_handler = handler };
	struct reader r;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	start_reader(&r, fd);
	/* It may not sleep yet when the signal comes: then it reads after it. */
	while (pthread_tryjoin_np(r.thread, NULL)) {
		pthread_kill(r.thread, SIGUSR1);
		sched_yield();
	}
	EXPECT_EQ(-EINTR, r.ret);

	sa.sa_flags = SA_RESTART;
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	start_reader(&r, fd);
	handled = 0;
	while (handled < 100) {
		int before = handled;

		pthread_kill(r.thread, SIGUSR1);
		while (handled == before)
			sched_yield();
	}
	EXPECT_EQ(EBUSY, pthread_tryjoin_np(r.thread, NULL));
	ASSERT_EQ(0, abi_done(c, self->handle, 6));
	pthread_join(r.thread, NULL);
	EXPECT_EQ(sizeof(r.s), r.ret);
	EXPECT_EQ(6, r.s.result);
	close(fd);
}

/* The reader has the last reference: the descriptor is closed under it. */
TEST_F(fd, K2_closed_while_reading)
{
	struct abi_ctx *c = &self->c;
	int fd = abi_export(c, self->handle, AOP_MAY_LOOK);
	struct reader r;

	ASSERT_GE(fd, 0);
	start_reader(&r, fd);
	close(fd);
	ASSERT_EQ(0, abi_signal(c, self->handle, AOP_SIGNAL_DONE | AOP_SIGNAL_DETACH, 8));
	pthread_join(r.thread, NULL);
	EXPECT_EQ(sizeof(r.s), r.ret);
	EXPECT_EQ(8, r.s.result);
	EXPECT_EQ(0, abi_handles(c));
}

/* ---- attach ----------------------------------------------------------------------------- */

TEST_F(fd, attach_to_no_operation)
{
	struct abi_ctx *c = &self->c;
	int other[] = {
		c->fd, open("/dev/null", O_RDWR), open("/proc/self/maps", O_RDONLY),
		epoll_create1(0), socket(AF_UNIX, SOCK_STREAM, 0), abi_open_file(),
	};
	int none[] = { -2, -100, INT32_MIN, INT32_MAX, 1000000, open("/", O_PATH) };
	int closed = dup(c->fd), p[2];
	unsigned int i;
	uint64_t w;

	close(closed);
	EXPECT_EQ(-EBADF, abi_attach_fd(c, closed, 0, 0, 0, &w));
	ASSERT_EQ(0, pipe(p));
	EXPECT_EQ(-EINVAL, abi_attach_fd(c, p[0], 0, 0, 0, &w));
	for (i = 0; i < ARRAY_SIZE(other); i++) {
		ASSERT_GE(other[i], 0);
		EXPECT_EQ(-EINVAL, abi_attach_fd(c, other[i], 0, 0, 0, &w)) TH_LOG("%u", i);
	}
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		EXPECT_EQ(-EBADF, abi_attach_fd(c, none[i], 0, 0, 0, &w)) TH_LOG("%u", i);
	}
	EXPECT_EQ(1, abi_handles(c));
}

/* The entry tells what was got, and of what. */
TEST_F(fd, attach_answers)
{
	struct abi_ctx *c = &self->c;
	struct aop_attach_entry e = {
		.id = 0xdeadbeef, .data = 55, .mask = AOP_EV_FINAL, .handle = 99, .ret = 77,
	};

	e.fd = abi_export(c, self->handle, AOP_MAY_LOOK | AOP_MAY_CANCEL);
	ASSERT_GE(e.fd, 0);
	ASSERT_EQ(0, abi_attach(c, &e));
	EXPECT_EQ(abi_id(c, self->handle), e.id);
	EXPECT_EQ(AOP_MAY_LOOK | AOP_MAY_CANCEL, e.rights);
	EXPECT_NE(self->handle, e.handle);
	EXPECT_EQ(55, status_of(c, e.handle).data);
	EXPECT_EQ(7, status_of(c, self->handle).data);
	EXPECT_EQ(status_of(c, self->handle).seq, status_of(c, e.handle).seq);
	close(e.fd);
}

/*
 * The answer cannot be written although the entry's ret can: the descriptor still
 * has all that it had, and the operation its owner.
 */
TEST_F(fd, K4_attach_that_cannot_answer)
{
	struct abi_ctx *c = &self->c;
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = abi_export(c, self->handle, AOP_MAY_DRIVE | AOP_MAY_LOOK);
	struct aop_attach_entry *e = (struct aop_attach_entry *)(page + 4096 - 8);
	struct aop_status before = status_of(c, self->handle), after;

	ASSERT_TRUE(page != MAP_FAILED);
	ASSERT_GE(fd, 0);
	*e = (struct aop_attach_entry){ .fd = fd, .ret = 77 };
	ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, abi_batch(c->fd, AOP_IOC_ATTACH, e, sizeof(*e), 1));
	after = status_of(c, self->handle);
	EXPECT_EQ(AOP_PENDING, after.state);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_EQ(AOP_MAY_DRIVE | AOP_MAY_LOOK, abi_fdinfo(fd, "rights"));
	EXPECT_EQ(1, abi_handles(c));
	ASSERT_EQ(0, mprotect(page, 4096, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, abi_attach(c, e));
	EXPECT_EQ(0, abi_start(c, e->handle));
	munmap(page, 8192);
	close(fd);
}

/* ---- travel ------------------------------------------------------------------------------ */

/* O1 K4: an owner in another process, which may not see the operation by its id. */
TEST_F(fd, K4_to_another_process)
{
	struct abi_ctx *c = &self->c;
	uint64_t id = abi_id(c, self->handle);
	int sv[2], fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
	fd = abi_export(c, self->handle, AOP_MAY_DRIVE | AOP_MAY_LOOK);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, send_fd(sv[0], fd, 1));
	close(fd);
	/* On its way it is nobody's loss. */
	EXPECT_EQ(AOP_PENDING, abi_state(c, self->handle));
	IN_CHILD() {
		struct abi_ctx o;
		uint64_t w, v;

		ASSERT_EQ(0, setresuid(1000, 1000, 1000));
		ASSERT_EQ(0, abi_open(&o, 64));
		EXPECT_EQ(-ENOENT, abi_attach_id(&o, id, 0, 0, 0, &w));
		fd = recv_fd(sv[1], &v, 0);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
		ASSERT_EQ(0, abi_attach_fd(&o, fd, 0, 0, 0, &w));
		close(fd);
		EXPECT_EQ(AOP_MAY_DRIVE | AOP_MAY_LOOK, rights_of(&o, w));
		EXPECT_EQ(-EPERM, abi_cancel(&o, w, 0));
		EXPECT_EQ(0, abi_start(&o, w));
		EXPECT_EQ(0, abi_done(&o, w, 31));
	}
	EXPECT_EQ(AOP_DONE, abi_state(c, self->handle));
	EXPECT_EQ(31, status_of(c, self->handle).result);
}

/* Sent and never received: the socket's end is the owner's. */
TEST_F(fd, M6_lost_in_flight)
{
	struct abi_ctx *c = &self->c;
	int sv[2], fd = abi_export(c, self->handle, AOP_MAY_DRIVE);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
	ASSERT_EQ(0, send_fd(sv[0], fd, 1));
	close(fd);
	close(sv[0]);
	EXPECT_EQ(AOP_PENDING, abi_state(c, self->handle));
	close(sv[1]);
	EXPECT_EQ(AOP_EV_FINAL, abi_wait_one(c, self->handle, AOP_EV_FINAL, 0));
	EXPECT_EQ(-EOWNERDEAD, status_of(c, self->handle).result);
}

/* ---- fdinfo -------------------------------------------------------------------------------- */

static bool fdinfo_has(int fd, const char *line)
{
	char path[64], buf[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(buf, sizeof(buf), f)) {
		buf[strcspn(buf, "\n")] = 0;
		found |= !strcmp(buf, line);
	}
	if (f)
		fclose(f);
	return found;
}

TEST_F(fd, fdinfo)
{
	static const char * const states[] = {
		"state:\tpending", "state:\trunning", "state:\tdone", "state:\tfailed",
		"state:\tcancelled",
	};
	static const int64_t result[] = { 0, 0, 1, -EIO, -EINTR };
	struct abi_ctx *c = &self->c;
	unsigned int s;
	int fd, bare = abi_open_file();

	EXPECT_EQ(64, abi_fdinfo(c->fd, "slots"));
	EXPECT_EQ(1, abi_fdinfo(c->fd, "handles"));
	EXPECT_EQ(getuid(), abi_fdinfo(c->fd, "uid"));
	EXPECT_EQ(0, abi_fdinfo(bare, "slots"));
	EXPECT_EQ(0, abi_fdinfo(bare, "handles"));
	close(bare);
	for (s = 0; s < AOP_NR_STATES; s++) {
		struct aop_create_entry e = { .state = s, .result = result[s] };

		ASSERT_EQ(0, abi_create(c, &e));
		fd = abi_export(c, e.handle, AOP_MAY_LOOK | AOP_MAY_DRIVE);
		ASSERT_GE(fd, 0);
		EXPECT_TRUE(fdinfo_has(fd, states[s])) TH_LOG("%s", states[s]);
		EXPECT_EQ(e.id, abi_fdinfo(fd, "id"));
		EXPECT_TRUE(fdinfo_has(fd, "rights:\t0x5"));
		close(fd);
	}
}

TEST_HARNESS_MAIN
