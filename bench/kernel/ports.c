// SPDX-License-Identifier: GPL-2.0
/*
 * A request of 64 bytes and its reply, between two processes that both block: ports
 * beside what else can carry messages.  This process asks, its child answers, with
 * precedence, as in pingpong.c, so that who is woken runs at once.
 */
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../selftests/abi.h"
#include "../../selftests/pass.h"
#include "../../selftests/port.h"
#include "bench.h"

#define SIZE	64

struct ask {
	int fd[2];			/* to the child, and from it */
	char *shared;
	unsigned int nr;		/* requests at a time */
	struct abi_ctx ctx;
	uint64_t port;
	struct aop_call_entry calls[BURST];
	char message[SIZE];
	char reply[BURST][SIZE];
};

/* One side of each; the child answers until it is killed. */
struct way {
	void (*ask)(struct ask *a);
	void (*answer)(struct ask *a) __attribute__((noreturn));
	void (*prepare)(struct ask *a);		/* here, when the child is there */
};

static void play(struct bench *b, const struct way *w, struct ask *a)
{
	unsigned int i;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	want(pid >= 0);
	if (!pid) {
		want(!setpriority(PRIO_PROCESS, 0, -5));
		w->answer(a);
	}
	if (w->prepare)
		w->prepare(a);
	while (bench_pass(b))
		for (i = 0; i < b->n; i++)
			w->ask(a);
	want(!kill(pid, SIGKILL));
	want(waitpid(pid, NULL, 0) == pid);
	abi_close(&a->ctx);
}

static struct ask *ask_new(unsigned int nr)
{
	static struct ask a;

	memset(&a, 0, sizeof(a));
	a.ctx.fd = -1;
	a.nr = nr;
	return &a;
}

/* ---- descriptors ------------------------------------------------------- */

static void ask_files(struct ask *a)
{
	want(write(a->fd[0], a->message, SIZE) == SIZE);
	want(read(a->fd[0], a->reply[0], SIZE) == SIZE);
}

static void __attribute__((noreturn)) answer_files(struct ask *a)
{
	for (;;) {
		want(read(a->fd[1], a->message, SIZE) == SIZE);
		want(write(a->fd[1], a->message, SIZE) == SIZE);
	}
}

void port_socket(struct bench *b)
{
	static const struct way w = { .ask = ask_files, .answer = answer_files };
	struct ask *a = ask_new(1);

	want(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, a->fd));
	play(b, &w, a);
	close(a->fd[0]);
	close(a->fd[1]);
}

/* All requests, then all replies. */
static void ask_socket_burst(struct ask *a)
{
	unsigned int i;

	for (i = 0; i < a->nr; i++)
		want(send(a->fd[0], a->message, SIZE, 0) == SIZE);
	for (i = 0; i < a->nr; i++)
		want(recv(a->fd[0], a->reply[i], SIZE, 0) == SIZE);
}

void port_socket_burst(struct bench *b)
{
	static const struct way w = { .ask = ask_socket_burst, .answer = answer_files };
	struct ask *a = ask_new(BURST);

	want(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, a->fd));
	play(b, &w, a);
	close(a->fd[0]);
	close(a->fd[1]);
}

static int pipes[2][2];

static void ask_pipe(struct ask *a)
{
	want(write(pipes[0][1], a->message, SIZE) == SIZE);
	want(read(pipes[1][0], a->reply[0], SIZE) == SIZE);
}

static void __attribute__((noreturn)) answer_pipe(struct ask *a)
{
	for (;;) {
		want(read(pipes[0][0], a->message, SIZE) == SIZE);
		want(write(pipes[1][1], a->message, SIZE) == SIZE);
	}
}

void port_pipe(struct bench *b)
{
	static const struct way w = { .ask = ask_pipe, .answer = answer_pipe };
	int i;

	want(!pipe(pipes[0]) && !pipe(pipes[1]));
	play(b, &w, ask_new(1));
	for (i = 0; i < 4; i++)
		close(pipes[i / 2][i % 2]);
}

static mqd_t queues[2];

static void ask_queue(struct ask *a)
{
	want(!mq_send(queues[0], a->message, SIZE, 0));
	want(mq_receive(queues[1], a->reply[0], SIZE, NULL) == SIZE);
}

static void __attribute__((noreturn)) answer_queue(struct ask *a)
{
	for (;;) {
		want(mq_receive(queues[0], a->message, SIZE, NULL) == SIZE);
		want(!mq_send(queues[1], a->message, SIZE, 0));
	}
}

void port_mqueue(struct bench *b)
{
	static const struct way w = { .ask = ask_queue, .answer = answer_queue };
	static const char * const name[] = { "/aop-bench-0", "/aop-bench-1" };
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = SIZE };
	int i;

	for (i = 0; i < 2; i++) {
		queues[i] = mq_open(name[i], O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
		want(queues[i] != (mqd_t)-1);
		mq_unlink(name[i]);
	}
	play(b, &w, ask_new(1));
	mq_close(queues[0]);
	mq_close(queues[1]);
}

static void ask_memory(struct ask *a)
{
	uint64_t one = 1;

	memcpy(a->shared, a->message, SIZE);
	want(write(a->fd[0], &one, sizeof(one)) == sizeof(one));
	want(read(a->fd[1], &one, sizeof(one)) == sizeof(one));
	memcpy(a->reply[0], a->shared + SIZE, SIZE);
}

static void __attribute__((noreturn)) answer_memory(struct ask *a)
{
	uint64_t one;

	for (;;) {
		want(read(a->fd[0], &one, sizeof(one)) == sizeof(one));
		memcpy(a->shared + SIZE, a->shared, SIZE);
		one = 1;
		want(write(a->fd[1], &one, sizeof(one)) == sizeof(one));
	}
}

void port_memory(struct bench *b)
{
	static const struct way w = { .ask = ask_memory, .answer = answer_memory };
	struct ask *a = ask_new(1);

	a->shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	want(a->shared != MAP_FAILED);
	a->fd[0] = eventfd(0, 0);
	a->fd[1] = eventfd(0, 0);
	play(b, &w, a);
	close(a->fd[0]);
	close(a->fd[1]);
	munmap(a->shared, 4096);
}

/* ---- ports ------------------------------------------------------------- */

static void ask_port(struct ask *a)
{
	struct aop_ioc_call c = {
		.size = sizeof(c), .flags = AOP_CALLS_REAP, .entries = abi_u64(a->calls),
		.entry_size = sizeof(a->calls[0]), .nr = a->nr, .need = a->nr,
		.deadline = AOP_FOREVER_NS,
	};

	want(!ioctl(a->ctx.fd, AOP_IOC_CALL, &c));
	want(c.count == a->nr && a->calls[0].reply_len == SIZE);
}

/* Answers all and takes the next in one call. */
static void __attribute__((noreturn)) answer_port(struct ask *a)
{
	static struct aop_answer_entry e[BURST];
	static struct port_taken t;
	int fd, i, n = 0;

	want(!abi_open(&a->ctx, 256));
	a->port = port_new(&a->ctx, 256);
	fd = abi_export(&a->ctx, a->port, AOP_MAY_CALL);
	want(fd >= 0 && !send_fd(a->fd[1], fd, 0));
	for (;;) {
		n = port_serve(&a->ctx, e, n, a->port, &t, BURST, AOP_FOREVER_NS);
		want(n > 0);
		for (i = 0; i < n; i++)
			e[i] = (struct aop_answer_entry){
				.handle = t.e[i].handle, .what = AOP_SIGNAL_DONE,
				.message = abi_u64(port_message(&t, i)), .len = t.e[i].len,
			};
	}
}

static void prepare_port(struct ask *a)
{
	uint64_t value;
	unsigned int i;
	int fd = recv_fd(a->fd[0], &value, 0);

	want(fd >= 0 && !abi_open(&a->ctx, 256));
	want(!abi_attach_fd(&a->ctx, fd, 0, 0, 0, &a->port));
	close(fd);
	for (i = 0; i < a->nr; i++)
		a->calls[i] = (struct aop_call_entry){
			.port = a->port, .message = abi_u64(a->message), .len = SIZE,
			.reply = abi_u64(a->reply[i]), .room = SIZE,
		};
}

static void play_port(struct bench *b, unsigned int nr)
{
	static const struct way w = {
		.ask = ask_port, .answer = answer_port, .prepare = prepare_port,
	};
	struct ask *a = ask_new(nr);

	want(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, a->fd));
	play(b, &w, a);
	close(a->fd[0]);
	close(a->fd[1]);
}

void port_raw(struct bench *b)
{
	play_port(b, 1);
}

void port_raw_burst(struct bench *b)
{
	play_port(b, BURST);
}
