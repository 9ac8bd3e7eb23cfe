// SPDX-License-Identifier: GPL-2.0
/*
 * Two processes that send each other a message in turn.  A round is there and
 * back; this process pings, its child pongs until a ping finds stop set.
 *
 * What a round costs depends on who runs when.  When the child is run at once as
 * it is woken, its answer is there before this process would sleep: one sleep, one
 * wake, two switches.  When it has to wait for the processor, both sleep: two of
 * each.  Left to itself the scheduler drifts from one to the other, and counts
 * mean nothing.  So the child is either given precedence, or none by SCHED_BATCH,
 * and there is a row for each.
 */
#include <liburing.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aop.h>

#include "../../selftests/abi.h"
#include "bench.h"
#include "ways.h"

/* Shared between both; each way uses what it needs. */
struct shared {
	uint32_t stop;
	uint32_t heard;
	uint32_t word[2];
	uint64_t id[2];
};

struct side {
	int in, out, ep;		/* descriptors */
	struct shared *sh;
	unsigned int me;		/* 0 pings, 1 pongs */
	struct abi_ctx ctx;
	uint64_t mine, theirs;		/* handles */
	struct aop_ctx *lib;
	struct aop my_op, their_op;
	struct aop_owner *owner;
	uint32_t seq;
	pid_t pid;			/* of the other, or 0 */
	struct aop_signal_entry signal;
	struct aop_wait_entry entry;
	struct aop_ioc_wait wait;
};

struct way {
	void (*prepare)(struct side *s);	/* in each process */
	void (*say)(struct side *s);
	void (*hear)(struct side *s);
	void (*both)(struct side *s);		/* or this instead: say, then hear */
};

static void exchange(const struct way *w, struct side *s)
{
	if (w->both) {
		w->both(s);
	} else {
		w->say(s);
		w->hear(s);
	}
}

static void pong(const struct way *w, struct side *s, bool batch)
{
	/* As long as it lags behind in virtual time, it preempts when it is woken. */
	if (!batch)
		want(!setpriority(PRIO_PROCESS, 0, -5));
	if (w->prepare)
		w->prepare(s);
	w->hear(s);
	while (!__atomic_load_n(&s->sh->stop, __ATOMIC_RELAXED))
		exchange(w, s);
	w->say(s);
	_exit(0);
}

/* Nothing comes back: it hears, and is about to sleep again, before the next is said. */
static void listen_only(const struct way *w, struct side *s)
{
	want(!setpriority(PRIO_PROCESS, 0, -5));
	if (w->prepare)
		w->prepare(s);
	__atomic_store_n(&s->sh->heard, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&s->sh->stop, __ATOMIC_RELAXED)) {
		w->hear(s);
		s->sh->heard++;
	}
	_exit(0);
}

static void tell_one(const struct way *w, struct side *s, uint32_t heard)
{
	w->say(s);
	/* It ran at once, as a rule. */
	while (__atomic_load_n(&s->sh->heard, __ATOMIC_ACQUIRE) != heard)
		sched_yield();
}

static void tell_all(struct bench *b, const struct way *w, struct side *s)
{
	uint32_t heard = 1;
	unsigned int i;

	while (__atomic_load_n(&s->sh->heard, __ATOMIC_ACQUIRE) != heard)
		sched_yield();
	while (bench_pass(b))
		for (i = 0; i < b->n; i++)
			tell_one(w, s, ++heard);
	__atomic_store_n(&s->sh->stop, 1, __ATOMIC_RELAXED);
	tell_one(w, s, ++heard);
}

/* @out[0] and @in[1] are one channel, @out[1] and @in[0] the other. */
static void run(struct bench *b, const struct way *w, const int *in, const int *out, bool one_way)
{
	struct shared *sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct side s[2] = {
		{ .in = in[0], .out = out[0], .ep = -1, .me = 0, .sh = sh, .ctx.fd = -1 },
		{ .in = in[1], .out = out[1], .ep = -1, .me = 1, .sh = sh, .ctx.fd = -1 },
	};
	unsigned int i;
	int status;
	pid_t pid;

	want(sh != MAP_FAILED);
	want(!sched_setscheduler(0, b->batch ? SCHED_BATCH : SCHED_OTHER, &(struct sched_param){}));
	fflush(stdout);
	pid = fork();
	want(pid >= 0);
	if (!pid && one_way)
		listen_only(w, &s[1]);
	if (!pid)
		pong(w, &s[1], b->batch);
	s[0].pid = pid;
	if (w->prepare)
		w->prepare(&s[0]);
	if (one_way) {
		tell_all(b, w, &s[0]);
	} else {
		while (bench_pass(b))
			for (i = 0; i < b->n; i++)
				exchange(w, &s[0]);
		__atomic_store_n(&sh->stop, 1, __ATOMIC_RELAXED);
		exchange(w, &s[0]);
	}
	want(waitpid(pid, &status, 0) == pid && !status);
	for (i = 0; i < 2; i++) {
		if (in[i] >= 0)
			close(in[i]);
		if (out[i] >= 0 && out[i] != in[0] && out[i] != in[1])
			close(out[i]);
	}
	if (s[0].ep >= 0)
		close(s[0].ep);
	abi_close(&s[0].ctx);
	if (s[0].lib)
		aop_ctx_close(s[0].lib);
	munmap(sh, sizeof(*sh));
	want(!sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){}));
}

static void play(struct bench *b, const struct way *w, const int *in, const int *out)
{
	run(b, w, in, out, false);
}

static void tell(struct bench *b, const struct way *w, const int *in, const int *out)
{
	run(b, w, in, out, true);
}

/* ---- files ------------------------------------------------------------- */

static void say_u64(struct side *s)
{
	uint64_t one = 1;

	want(write(s->out, &one, sizeof(one)) == sizeof(one));
}

static void hear_u64(struct side *s)
{
	uint64_t value;

	want(read(s->in, &value, sizeof(value)) == sizeof(value));
}

void pp_eventfd(struct bench *b)
{
	static const struct way w = { .say = say_u64, .hear = hear_u64 };
	int x = eventfd(0, EFD_CLOEXEC), y = eventfd(0, EFD_CLOEXEC);

	play(b, &w, (int[]){ y, x }, (int[]){ x, y });
}

static void prepare_epoll(struct side *s)
{
	struct epoll_event ev = { .events = EPOLLIN };

	s->ep = epoll_create1(EPOLL_CLOEXEC);
	want(!epoll_ctl(s->ep, EPOLL_CTL_ADD, s->in, &ev));
}

static void hear_u64_epoll(struct side *s)
{
	struct epoll_event ev;

	want(epoll_wait(s->ep, &ev, 1, -1) == 1);
	hear_u64(s);
}

void pp_eventfd_epoll(struct bench *b)
{
	static const struct way w = {
		.prepare = prepare_epoll, .say = say_u64, .hear = hear_u64_epoll,
	};
	int x = eventfd(0, EFD_CLOEXEC), y = eventfd(0, EFD_CLOEXEC);

	play(b, &w, (int[]){ y, x }, (int[]){ x, y });
}

void tell_eventfd(struct bench *b)
{
	static const struct way w = {
		.prepare = prepare_epoll, .say = say_u64, .hear = hear_u64_epoll,
	};
	int x = eventfd(0, EFD_CLOEXEC), y = eventfd(0, EFD_CLOEXEC);

	tell(b, &w, (int[]){ y, x }, (int[]){ x, y });
}

void tell_pipe(struct bench *b)
{
	static const struct way w = {
		.prepare = prepare_epoll, .say = say_u64, .hear = hear_u64_epoll,
	};
	int x[2], y[2];

	want(!pipe(x) && !pipe(y));
	tell(b, &w, (int[]){ y[0], x[0] }, (int[]){ x[1], y[1] });
}

void tell_socket(struct bench *b)
{
	static const struct way w = {
		.prepare = prepare_epoll, .say = say_u64, .hear = hear_u64_epoll,
	};
	int x[2];

	want(!socketpair(AF_UNIX, SOCK_STREAM, 0, x));
	tell(b, &w, x, x);
}

void pp_pipe(struct bench *b)
{
	static const struct way w = { .say = say_u64, .hear = hear_u64 };
	int x[2], y[2];

	want(!pipe(x) && !pipe(y));
	play(b, &w, (int[]){ y[0], x[0] }, (int[]){ x[1], y[1] });
}

void pp_socket(struct bench *b)
{
	static const struct way w = { .say = say_u64, .hear = hear_u64 };
	int x[2];

	want(!socketpair(AF_UNIX, SOCK_STREAM, 0, x));
	play(b, &w, x, x);
}

/* ---- message queue ----------------------------------------------------- */

static void say_mq(struct side *s)
{
	uint64_t one = 1;

	want(!mq_send(s->out, (char *)&one, sizeof(one), 0));
}

static void hear_mq(struct side *s)
{
	uint64_t value;

	want(mq_receive(s->in, (char *)&value, sizeof(value), NULL) == sizeof(value));
}

static void hear_mq_epoll(struct side *s)
{
	struct epoll_event ev;

	want(epoll_wait(s->ep, &ev, 1, -1) == 1);
	hear_mq(s);
}

void pp_mq(struct bench *b)
{
	static const struct way w = { .say = say_mq, .hear = hear_mq };
	int x[2], y[2];

	open_mq(x);
	open_mq(y);
	play(b, &w, (int[]){ y[0], x[0] }, (int[]){ x[1], y[1] });
}

void tell_mq(struct bench *b)
{
	static const struct way w = {
		.prepare = prepare_epoll, .say = say_mq, .hear = hear_mq_epoll,
	};
	int x[2], y[2];

	open_mq(x);
	open_mq(y);
	tell(b, &w, (int[]){ y[0], x[0] }, (int[]){ x[1], y[1] });
}

/* ---- signals ----------------------------------------------------------- */

static void prepare_signalfd(struct side *s)
{
	struct epoll_event ev = { .events = EPOLLIN };

	s->in = open_signalfd();
	s->ep = epoll_create1(EPOLL_CLOEXEC);
	want(!epoll_ctl(s->ep, EPOLL_CTL_ADD, s->in, &ev));
}

static void say_signal(struct side *s)
{
	want(!sigqueue(s->pid, SIGRTMIN, (union sigval){ .sival_int = 1 }));
}

static void hear_signal(struct side *s)
{
	struct signalfd_siginfo si;
	struct epoll_event ev;

	want(epoll_wait(s->ep, &ev, 1, -1) == 1);
	want(read(s->in, &si, sizeof(si)) == sizeof(si));
}

void tell_signalfd(struct bench *b)
{
	static const struct way w = {
		.prepare = prepare_signalfd, .say = say_signal, .hear = hear_signal,
	};

	tell(b, &w, (int[]){ -1, -1 }, (int[]){ -1, -1 });
}

/* ---- io_uring: a ring for each, and messages between them --------------- */

static struct io_uring rings[2];

static void say_uring(struct side *s)
{
	say_by_ring(&rings[s->me], &rings[!s->me], 1);
}

static void heard_uring(struct side *s)
{
	struct io_uring_cqe *cqe;

	want(!io_uring_peek_cqe(&rings[s->me], &cqe));
	io_uring_cqe_seen(&rings[s->me], cqe);
}

static void hear_uring(struct side *s)
{
	struct io_uring_cqe *cqe;

	want(!io_uring_wait_cqe(&rings[s->me], &cqe));
	io_uring_cqe_seen(&rings[s->me], cqe);
}

static void both_uring(struct side *s)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rings[s->me]);

	io_uring_prep_msg_ring(sqe, rings[!s->me].ring_fd, 0, 1, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	want(io_uring_submit_and_wait(&rings[s->me], 1) == 1);
	heard_uring(s);
}

static void with_rings(struct bench *b, const struct way *w, bool one_way)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		want(!io_uring_queue_init(8, &rings[i], 0));
	run(b, w, (int[]){ -1, -1 }, (int[]){ -1, -1 }, one_way);
	for (i = 0; i < 2; i++)
		io_uring_queue_exit(&rings[i]);
}

void pp_uring(struct bench *b)
{
	static const struct way w = { .say = say_uring, .hear = hear_uring, .both = both_uring };

	with_rings(b, &w, false);
}

void tell_uring(struct bench *b)
{
	static const struct way w = { .say = say_uring, .hear = hear_uring };

	with_rings(b, &w, true);
}

/* ---- futex ------------------------------------------------------------- */

static void say_futex(struct side *s)
{
	uint32_t *word = &s->sh->word[s->me];

	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	want(syscall(SYS_futex, word, FUTEX_WAKE, 1) >= 0);
}

static void hear_futex(struct side *s)
{
	uint32_t *word = &s->sh->word[!s->me];

	while (!__atomic_exchange_n(word, 0, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL);
}

void tell_futex(struct bench *b)
{
	static const struct way w = { .say = say_futex, .hear = hear_futex };

	tell(b, &w, (int[]){ -1, -1 }, (int[]){ -1, -1 });
}

void pp_futex(struct bench *b)
{
	static const struct way w = { .say = say_futex, .hear = hear_futex };

	play(b, &w, (int[]){ -1, -1 }, (int[]){ -1, -1 });
}

/* ---- aop --------------------------------------------------------------- */

/* Each process owns an op and watches the other's; the ring is for who uses it. */
static void prepare_raw_mask(struct side *s, uint32_t mask)
{
	struct aop_create_entry c = { .mode = 0600, .state = AOP_RUNNING };
	struct aop_attach_entry a = { .fd = -1, .rights = AOP_MAY_LOOK, .mask = mask };

	want(!abi_open(&s->ctx, 64));
	want(!abi_create(&s->ctx, &c));
	s->mine = c.handle;
	__atomic_store_n(&s->sh->id[s->me], c.id, __ATOMIC_RELEASE);
	while (!(a.id = __atomic_load_n(&s->sh->id[!s->me], __ATOMIC_ACQUIRE)))
		sched_yield();
	want(!abi_attach(&s->ctx, &a));
	s->theirs = a.handle;
	/* How it is before anything was said: both wait for that first. */
	s->seq = abi_slot(&s->ctx, abi_index(s->theirs))->seq;
	__atomic_store_n(&s->sh->word[s->me], 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&s->sh->word[!s->me], __ATOMIC_ACQUIRE))
		sched_yield();
}

static void prepare_raw(struct side *s)
{
	prepare_raw_mask(s, 0);
	s->signal = (struct aop_signal_entry) {
		.handle = s->mine, .what = AOP_SIGNAL_PROGRESS, .value = 1,
	};
	s->entry = (struct aop_wait_entry) { .handle = s->theirs, .mask = AOP_EV_CHANGE };
	s->wait = (struct aop_ioc_wait) {
		.size = sizeof(s->wait),
		.entries = abi_u64(&s->entry), .entry_size = sizeof(s->entry), .nr = 1, .need = 1,
		.signals = abi_u64(&s->signal), .signal_size = sizeof(s->signal), .nr_signals = 1,
		.deadline = AOP_FOREVER_NS,
	};
}

static void saw_raw(struct side *s)
{
	s->seq = __atomic_load_n(&abi_slot(&s->ctx, abi_index(s->theirs))->seq, __ATOMIC_ACQUIRE);
}

static void say_raw(struct side *s)
{
	want(!abi_progress(&s->ctx, s->mine, 1, 0));
}

static void hear_raw(struct side *s)
{
	want(abi_wait_one(&s->ctx, s->theirs, AOP_EV_CHANGE, s->seq) == AOP_EV_CHANGE);
	saw_raw(s);
}

static void both_raw(struct side *s)
{
	s->entry.seq = s->seq;
	s->wait.signalled = 0;
	want(!ioctl(s->ctx.fd, AOP_IOC_WAIT, &s->wait) && s->wait.count == 1 && !s->signal.ret);
	saw_raw(s);
}

void pp_raw_blocking(struct bench *b)
{
	static const struct way w = { .prepare = prepare_raw, .say = say_raw, .hear = hear_raw };

	play(b, &w, (int[]){ -1, -1 }, (int[]){ -1, -1 });
}

void tell_raw_wait(struct bench *b)
{
	static const struct way w = { .prepare = prepare_raw, .say = say_raw, .hear = hear_raw };

	tell(b, &w, (int[]){ -1, -1 }, (int[]){ -1, -1 });
}

void pp_raw_wait(struct bench *b)
{
	static const struct way w = {
		.prepare = prepare_raw, .say = say_raw, .hear = hear_raw, .both = both_raw,
	};

	play(b, &w, (int[]){ -1, -1 }, (int[]){ -1, -1 });
}

static void prepare_raw_epoll(struct side *s)
{
	struct epoll_event ev = { .events = EPOLLIN };

	prepare_raw_mask(s, AOP_EV_CHANGE);
	s->ep = epoll_create1(EPOLL_CLOEXEC);
	want(!epoll_ctl(s->ep, EPOLL_CTL_ADD, s->ctx.fd, &ev));
}

static void hear_raw_epoll(struct side *s)
{
	struct epoll_event ev;
	uint32_t index;

	want(epoll_wait(s->ep, &ev, 1, -1) == 1);
	want(abi_reap(&s->ctx, &index, 1) == 1);
	want(abi_word(&s->ctx, s->theirs) != AOP_PENDING);
}

void pp_raw_epoll(struct bench *b)
{
	static const struct way w = {
		.prepare = prepare_raw_epoll, .say = say_raw, .hear = hear_raw_epoll,
	};

	play(b, &w, (int[]){ -1, -1 }, (int[]){ -1, -1 });
}

void tell_raw_epoll(struct bench *b)
{
	static const struct way w = {
		.prepare = prepare_raw_epoll, .say = say_raw, .hear = hear_raw_epoll,
	};

	tell(b, &w, (int[]){ -1, -1 }, (int[]){ -1, -1 });
}

/* ---- libaop ------------------------------------------------------------ */

static void prepare_lib(struct side *s)
{
	uint64_t id;

	want(!aop_ctx_open(&s->lib, NULL));
	want(!aop_init_with(&s->my_op, s->lib, AOP_OPTS(.state = AOP_RUNNING)));
	s->owner = aop_owner(&s->my_op);
	__atomic_store_n(&s->sh->id[s->me], aop_id(&s->my_op), __ATOMIC_RELEASE);
	while (!(id = __atomic_load_n(&s->sh->id[!s->me], __ATOMIC_ACQUIRE)))
		sched_yield();
	want(!aop_attach_id(&s->their_op, s->lib, id, AOP_MAY_LOOK));
	s->seq = aop_status(&s->their_op).seq;
	__atomic_store_n(&s->sh->word[s->me], 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&s->sh->word[!s->me], __ATOMIC_ACQUIRE))
		sched_yield();
}

static void say_lib(struct side *s)
{
	want(!aop_progress(s->owner, 1, 0));
}

static void hear_lib(struct side *s)
{
	want(!aop_wait_change(&s->their_op, &s->seq, AOP_FOREVER));
}

static void both_lib(struct side *s)
{
	aop_cork(s->lib);
	say_lib(s);
	hear_lib(s);
	want(!aop_uncork(s->lib));
}

void pp_lib(struct bench *b)
{
	static const struct way w = {
		.prepare = prepare_lib, .say = say_lib, .hear = hear_lib, .both = both_lib,
	};

	play(b, &w, (int[]){ -1, -1 }, (int[]){ -1, -1 });
}
