// SPDX-License-Identifier: GPL-2.0
/*
 * The calls of ports when what they get is wrong, and between programs of 32 and of
 * 64 bit (K10): this program is built for both, and each runs the other as its peer.
 */
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "harness.h"
#include "abi.h"
#include "pass.h"
#include "port.h"

#define PAGE	4096

FIXTURE(wrong) {
	struct abi_ctx c;
	int bare;
	uint64_t port;
	char *room;			/* two pages, the second not there */
};

FIXTURE_SETUP(wrong)
{
	ASSERT_EQ(0, abi_open(&self->c, 256));
	self->bare = abi_open_file();
	ASSERT_GE(self->bare, 0);
	self->port = port_new(&self->c, 64);
	ASSERT_NE(0, self->port);
	self->room = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	ASSERT_TRUE(self->room != MAP_FAILED);
	ASSERT_EQ(0, munmap(self->room + PAGE, PAGE));
}

FIXTURE_TEARDOWN(wrong)
{
	munmap(self->room, PAGE);
	close(self->bare);
	abi_close(&self->c);
}

static long long made(struct abi_ctx *c, uint64_t port)
{
	struct aop_ioc_query q;

	return abi_query(c, port, &q) ? -1 : (long long)q.status.total;
}

/* One field after the other; nothing was made, and what was there is as before. */
#define REFUSED(want, cmd, type, field, value) do {				\
	struct type x_ = good;							\
										\
	x_.field = value;							\
	EXPECT_EQ(want, abi_ioctl(self->c.fd, cmd, &x_)) TH_LOG(#field " " #value);	\
	EXPECT_EQ(handles, abi_handles(&self->c));				\
} while (0)

/*
 * Where it is told how many were answered cannot be written, but all else: nothing is
 * answered, since it would be again when the call is repeated.
 */
TEST_F(wrong, answered_cannot_be_written)
{
	uint64_t h = port_call(&self->c, self->port, NULL, 0, 0);
	char *room = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	struct aop_ioc_serve *s = (void *)(room + PAGE - offsetof(struct aop_ioc_serve, port));
	struct aop_answer_entry a = { .what = AOP_SIGNAL_DONE, .value = 3, .ret = -1 };
	static struct port_taken t;

	ASSERT_TRUE(room != MAP_FAILED);
	ASSERT_EQ(1, port_take(&self->c, self->port, &t, 1, 0));
	a.handle = t.e[0].handle;
	*s = (struct aop_ioc_serve){
		.size = sizeof(*s), .answers = abi_u64(&a), .answer_size = sizeof(a),
		.nr_answers = 1,
	};
	ASSERT_EQ(0, mprotect(room, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, abi_ioctl(self->c.fd, AOP_IOC_SERVE, s));
	EXPECT_EQ(AOP_RUNNING, abi_state(&self->c, h));
	EXPECT_EQ(-1, a.ret);
	ASSERT_EQ(0, mprotect(room, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_SERVE, s));
	EXPECT_EQ(1, s->answered);
	EXPECT_EQ(AOP_DONE, abi_state(&self->c, h));
	munmap(room, 2 * PAGE);
}

TEST_F(wrong, port)
{
	struct aop_ioc_port good = { .size = sizeof(good), .backlog = 1 };
	long long handles = abi_handles(&self->c);
	char label[AOP_LABEL_SIZE + 1];

	memset(label, 'x', sizeof(label));
	label[AOP_LABEL_SIZE] = 0;
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, size, 0);
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, size, sizeof(good) - 1);
	REFUSED(-E2BIG, AOP_IOC_PORT, aop_ioc_port, size, PAGE + 1);
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, flags, 2);
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, mask, 0x40);
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, mode, 01000);
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, backlog, 0);
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, backlog, AOP_MAX_BACKLOG + 1);
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, message, AOP_MAX_MESSAGE + 1);
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, state, AOP_DONE);
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, state, 77);
	REFUSED(-EINVAL, AOP_IOC_PORT, aop_ioc_port, pad, 1);
	REFUSED(-EFAULT, AOP_IOC_PORT, aop_ioc_port, label, 8);
	REFUSED(-ENAMETOOLONG, AOP_IOC_PORT, aop_ioc_port, label, abi_u64(label));
	memcpy(self->room + PAGE - 8, &good, 8);
	EXPECT_EQ(-EFAULT, abi_ioctl(self->c.fd, AOP_IOC_PORT, self->room + PAGE - 8));
	memcpy(self->room, &good, sizeof(good));
	ASSERT_EQ(0, mprotect(self->room, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, abi_ioctl(self->c.fd, AOP_IOC_PORT, self->room));
	ASSERT_EQ(0, mprotect(self->room, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(handles, abi_handles(&self->c));
	EXPECT_EQ(-EINVAL, abi_ioctl(self->bare, AOP_IOC_PORT, &good));
}

TEST_F(wrong, call)
{
	struct aop_call_entry e = { .port = self->port };
	struct aop_ioc_call good = {
		.size = sizeof(good), .entries = abi_u64(&e), .entry_size = sizeof(e), .nr = 1,
	};
	long long handles = abi_handles(&self->c);

	REFUSED(-EINVAL, AOP_IOC_CALL, aop_ioc_call, size, sizeof(good) - 8);
	REFUSED(-E2BIG, AOP_IOC_CALL, aop_ioc_call, size, PAGE + 1);
	REFUSED(-EINVAL, AOP_IOC_CALL, aop_ioc_call, flags, 4);
	REFUSED(-EINVAL, AOP_IOC_CALL, aop_ioc_call, pad, 1);
	REFUSED(-EINVAL, AOP_IOC_CALL, aop_ioc_call, nr, AOP_MAX_ENTRIES + 1);
	REFUSED(-EINVAL, AOP_IOC_CALL, aop_ioc_call, need, 2);
	REFUSED(-EINVAL, AOP_IOC_CALL, aop_ioc_call, called, 2);
	REFUSED(-EINVAL, AOP_IOC_CALL, aop_ioc_call, entry_size, sizeof(e) - 8);
	REFUSED(-E2BIG, AOP_IOC_CALL, aop_ioc_call, entry_size, PAGE + 8);
	REFUSED(-EFAULT, AOP_IOC_CALL, aop_ioc_call, entries, 8);
	REFUSED(-EFAULT, AOP_IOC_CALL, aop_ioc_call, entries, ~0ULL - 64);
	EXPECT_EQ(0, made(&self->c, self->port));
	EXPECT_EQ(-EINVAL, abi_ioctl(self->bare, AOP_IOC_CALL, &good));
}

static int one_call(struct abi_ctx *c, struct aop_call_entry e)
{
	int ret = port_calls(c, &e, 1, 0, 0, 0, NULL);

	return ret ?: e.ret;
}

TEST_F(wrong, call_entries)
{
	struct aop_ioc_port small = {
		.size = sizeof(small), .backlog = 4, .message = 8, .state = AOP_RUNNING,
	};
	struct aop_call_entry good = { .port = self->port }, e;
	long long handles;

#define BAD(want, field, value) do {						\
	e = good;								\
	e.field = value;							\
	EXPECT_EQ(want, one_call(&self->c, e)) TH_LOG(#field " " #value);	\
} while (0)
	ASSERT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_PORT, &small));
	handles = abi_handles(&self->c);
	BAD(-EBADF, port, 0);
	BAD(-EBADF, port, ~0ULL);
	BAD(-EINVAL, flags, 4);
	BAD(-EINVAL, mask, AOP_EV_ROOM);
	BAD(-EINVAL, fd, 1);
	BAD(-EMSGSIZE, room, AOP_MAX_MESSAGE + 1);
	BAD(-EMSGSIZE, room, ~0U);
	BAD(-EMSGSIZE, len, AOP_MAX_MESSAGE + 1);
	BAD(-EMSGSIZE, len, ~0U);
	BAD(-EFAULT, len, 8);
	good.port = small.handle;
	BAD(-EMSGSIZE, len, 9);
	EXPECT_EQ(handles, abi_handles(&self->c));
	EXPECT_EQ(0, made(&self->c, self->port));
	/* The memory of an entry ends, or cannot be written: nothing was called. */
	good = (struct aop_call_entry){ .port = self->port };
	memcpy(self->room + PAGE - sizeof(good) + 8, &good, sizeof(good) - 8);
	EXPECT_EQ(-EFAULT, port_calls(&self->c, (void *)(self->room + PAGE - sizeof(good) + 8), 1,
				      0, 0, 0, NULL));
	memcpy(self->room, &good, sizeof(good));
	ASSERT_EQ(0, mprotect(self->room, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, port_calls(&self->c, (void *)self->room, 1, 0, 0, 0, NULL));
	ASSERT_EQ(0, mprotect(self->room, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(handles, abi_handles(&self->c));
	EXPECT_EQ(0, made(&self->c, self->port));
}

/* Of entries that are to be waited for on, the handles are what user space says. */
TEST_F(wrong, call_again)
{
	uint64_t op = abi_new(&self->c, 0, 0);
	struct aop_call_entry e = { .port = self->port };
	struct aop_ioc_call call = {
		.size = sizeof(call), .entries = abi_u64(&e), .entry_size = sizeof(e), .nr = 1,
		.need = 1, .called = 1, .deadline = AOP_FOREVER_NS,
	};

	e.handle = op;
	EXPECT_EQ(-EINVAL, abi_ioctl(self->c.fd, AOP_IOC_CALL, &call));
	e.handle = self->port;
	EXPECT_EQ(-EINVAL, abi_ioctl(self->c.fd, AOP_IOC_CALL, &call));
	e.handle = ~0ULL;
	EXPECT_EQ(-EBADF, abi_ioctl(self->c.fd, AOP_IOC_CALL, &call));
	e.handle = 0;
	EXPECT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_CALL, &call));
	EXPECT_EQ(1, call.count);
	e.handle = op;
	e.ret = -EAGAIN;
	EXPECT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_CALL, &call));
	EXPECT_EQ(1, call.count);
}

TEST_F(wrong, serve)
{
	static struct port_taken t;
	struct aop_answer_entry a = { .handle = 1 };
	struct aop_ioc_serve good = {
		.size = sizeof(good), .port = self->port, .taken = abi_u64(t.e),
		.taken_size = sizeof(t.e[0]), .nr = 1, .buffer = abi_u64(t.buffer),
		.buffer_size = sizeof(t.buffer), .answers = abi_u64(&a),
		.answer_size = sizeof(a),
	};
	uint64_t h = port_call(&self->c, self->port, "12345678", 8, 0);
	long long handles = abi_handles(&self->c);

	ASSERT_NE(0, h);
	REFUSED(-EINVAL, AOP_IOC_SERVE, aop_ioc_serve, size, sizeof(good) - 8);
	REFUSED(-E2BIG, AOP_IOC_SERVE, aop_ioc_serve, size, PAGE + 1);
	REFUSED(-EINVAL, AOP_IOC_SERVE, aop_ioc_serve, flags, 1);
	REFUSED(-EINVAL, AOP_IOC_SERVE, aop_ioc_serve, nr, AOP_MAX_ENTRIES + 1);
	REFUSED(-EINVAL, AOP_IOC_SERVE, aop_ioc_serve, nr, 0);
	REFUSED(-EINVAL, AOP_IOC_SERVE, aop_ioc_serve, taken_size, sizeof(t.e[0]) - 8);
	REFUSED(-E2BIG, AOP_IOC_SERVE, aop_ioc_serve, taken_size, PAGE + 8);
	REFUSED(-EINVAL, AOP_IOC_SERVE, aop_ioc_serve, answered, 1);
	REFUSED(-EINVAL, AOP_IOC_SERVE, aop_ioc_serve, nr_answers, AOP_MAX_ENTRIES + 1);
	REFUSED(-EFAULT, AOP_IOC_SERVE, aop_ioc_serve, taken, 8);
	REFUSED(-EFAULT, AOP_IOC_SERVE, aop_ioc_serve, taken, ~0ULL - 64);
	REFUSED(-EFAULT, AOP_IOC_SERVE, aop_ioc_serve, buffer, 8);
	REFUSED(-EMSGSIZE, AOP_IOC_SERVE, aop_ioc_serve, buffer_size, 7);
	REFUSED(-EBADF, AOP_IOC_SERVE, aop_ioc_serve, port, 0);
	REFUSED(-EPERM, AOP_IOC_SERVE, aop_ioc_serve, port, h);
	t.e[0].mask = AOP_EV_ROOM;
	EXPECT_EQ(-EINVAL, abi_ioctl(self->c.fd, AOP_IOC_SERVE, &good));
	t.e[0].mask = 0;
	EXPECT_EQ(-EINVAL, abi_ioctl(self->bare, AOP_IOC_SERVE, &good));
	EXPECT_EQ(handles, abi_handles(&self->c));
	/* After all that the call is where it was, and whole. */
	ASSERT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_SERVE, &good));
	EXPECT_EQ(1, good.count);
	EXPECT_EQ(0, memcmp("12345678", port_message(&t, 0), 8));
}

/* Some of what is to be written cannot be: what was told is taken, the rest stays. */
TEST_F(wrong, serve_into_half_a_buffer)
{
	static struct port_taken t;
	struct aop_ioc_serve s = {
		.size = sizeof(s), .port = self->port, .taken_size = sizeof(t.e[0]), .nr = 4,
		.buffer = abi_u64(t.buffer), .buffer_size = sizeof(t.buffer),
		.taken = abi_u64(self->room + PAGE - 2 * sizeof(t.e[0])),
	};
	uint64_t id[4];
	int i;

	for (i = 0; i < 4; i++)
		id[i] = abi_id(&self->c, port_call(&self->c, self->port, NULL, 0, 0));
	ASSERT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_SERVE, &s));
	EXPECT_EQ(2, s.count);
	EXPECT_EQ(2, s.left);
	ASSERT_EQ(2, port_take(&self->c, self->port, &t, 4, 0));
	EXPECT_EQ(id[2], t.e[0].id);
	EXPECT_EQ(id[3], t.e[1].id);
}

TEST_F(wrong, delegate_and_message)
{
	struct aop_delegate_entry d = { .handle = self->port, .port = self->port, .pad = 1 };
	struct aop_message_entry m = { .handle = self->port };

	ASSERT_EQ(1, abi_batch(self->c.fd, AOP_IOC_DELEGATE, &d, sizeof(d), 1));
	EXPECT_EQ(-EINVAL, d.ret);
	d.pad = 0;
	ASSERT_EQ(1, abi_batch(self->c.fd, AOP_IOC_DELEGATE, &d, sizeof(d), 1));
	EXPECT_EQ(-EINVAL, d.ret);
	EXPECT_EQ(-EINVAL, abi_batch(self->c.fd, AOP_IOC_DELEGATE, &d, sizeof(d) - 8, 1));
	ASSERT_EQ(1, abi_batch(self->c.fd, AOP_IOC_MESSAGE, &m, sizeof(m), 1));
	EXPECT_EQ(-EINVAL, m.ret);
	m.flags = 4;
	ASSERT_EQ(1, abi_batch(self->c.fd, AOP_IOC_MESSAGE, &m, sizeof(m), 1));
	EXPECT_EQ(-EINVAL, m.ret);
	m.flags = AOP_MESSAGE_REQUEST | AOP_MESSAGE_DETACH;
	ASSERT_EQ(1, abi_batch(self->c.fd, AOP_IOC_MESSAGE, &m, sizeof(m), 1));
	EXPECT_EQ(-EINVAL, m.ret);
	EXPECT_EQ(-EINVAL, abi_batch(self->c.fd, AOP_IOC_MESSAGE, &m, sizeof(m) - 8, 1));
}

/* ---- the other kind of program ------------------------------------------ */

#define NAME	"abi_port"

/* Finds the port by its name, asks twice, and checks what comes back. */
static int peer(void)
{
	struct aop_ioc_name n = {
		.size = sizeof(n), .what = AOP_NAME_FIND, .name = abi_u64(NAME),
	};
	char reply[2][8] = { "", "" };
	struct aop_call_entry e[2];
	struct abi_ctx c;
	int i;

	if (abi_open(&c, 64) || abi_ioctl(c.fd, AOP_IOC_NAME, &n))
		return 1;
	for (i = 0; i < 2; i++)
		e[i] = (struct aop_call_entry){
			.port = n.handle, .message = abi_u64(i ? "two" : "one"), .len = 4,
			.reply = abi_u64(reply[i]), .room = 8, .data = ~0ULL,
		};
	if (port_calls(&c, e, 2, 2, AOP_FOREVER_NS, AOP_CALLS_REAP, NULL))
		return 2;
	for (i = 0; i < 2; i++)
		if (e[i].ret || e[i].state != AOP_DONE || e[i].result != -5 - i ||
		    e[i].reply_len != 4 || strcmp(reply[i], i ? "two" : "one"))
			return 3;
	return 0;
}

__attribute__((constructor)) static void maybe_peer(void)
{
	if (getenv("ABI_PORT_PEER"))
		_exit(peer());
}

TEST_F(wrong, K10_the_other_kind)
{
	struct aop_ioc_name n = {
		.size = sizeof(n), .what = AOP_NAME_BIND, .name = abi_u64(NAME),
		.handle = self->port, .mode = 0100,
	};
	static struct port_taken t;
	char path[512];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 8);
	int i, k, got, status;
	pid_t pid;

	ASSERT_GT(len, 3);
	path[len] = 0;
	if (sizeof(long) == 4)
		path[len - 3] = 0;
	else
		strcpy(path + len, ".32");
	if (access(path, X_OK))
		SKIP(return, "%s is not there", path);
	ASSERT_EQ(0, abi_ioctl(self->c.fd, AOP_IOC_NAME, &n));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		setenv("ABI_PORT_PEER", "1", 1);
		execl(path, path, NULL);
		_exit(9);
	}
	for (i = 0; i < 2; i += got) {
		got = port_take(&self->c, self->port, &t, 2, AOP_FOREVER_NS);
		ASSERT_GT(got, 0);
		for (k = 0; k < got; k++)
			EXPECT_EQ(0, port_answer(&self->c, t.e[k].handle, -5 - i - k,
						 port_message(&t, k), t.e[k].len));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
