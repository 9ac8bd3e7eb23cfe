// SPDX-License-Identifier: GPL-2.0
/*
 * The ways to wait for operations with io_uring: a poll of the context, each time anew or
 * in multishot form, or one command for each operation; and to signal one: by an ioctl,
 * or by a command in the system call that waits.
 *
 * The ring is set up as libaop's loop has it.
 */
#include <liburing.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include <aop/loop.h>

#include "../../selftests/abi.h"
#include "bench.h"

enum how { POLL_ONCE, POLL_MULTISHOT, COMMANDS };

struct pair {
	struct abi_ctx own, see;
	struct io_uring ring;
	struct aop_create_entry create[BURST];
	struct aop_attach_entry attach[BURST];
	struct aop_signal_entry signal[BURST];
};

static bool has_commands(int fd)
{
	struct aop_ioc_features f = { .size = sizeof(f) };

	want(!abi_ioctl(fd, AOP_IOC_FEATURES, &f));
	return f.features & AOP_FEATURE_URING;
}

static void command(struct io_uring *ring, int fd, uint32_t op, const void *arg, uint64_t data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	want(sqe);
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = op;
	sqe->user_data = data;
	memcpy((char *)sqe + offsetof(struct io_uring_sqe, addr3), arg, 16);
}

static void arm(struct pair *p, unsigned int nr, enum how how)
{
	struct io_uring_sqe *sqe;
	unsigned int i;

	switch (how) {
	case POLL_ONCE:
		sqe = io_uring_get_sqe(&p->ring);
		io_uring_prep_poll_add(sqe, p->see.fd, POLLIN);
		sqe->user_data = 0;
		break;
	case POLL_MULTISHOT:
		sqe = io_uring_get_sqe(&p->ring);
		io_uring_prep_poll_multishot(sqe, p->see.fd, POLLIN);
		sqe->user_data = 0;
		break;
	case COMMANDS:
		for (i = 0; i < nr; i++) {
			struct aop_uring_wait w = {
				.handle = p->attach[i].handle, .mask = AOP_EV_CHANGE,
				.seq = abi_slot(&p->see, abi_index(p->attach[i].handle))->seq,
			};

			command(&p->ring, p->see.fd, AOP_URING_WAIT, &w, 0);
		}
		break;
	}
}

static bool open_pair(struct pair *p, unsigned int nr, bool commands)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	};
	unsigned int i;

	memset(p, 0, sizeof(*p));
	want(!abi_open(&p->own, 256) && !abi_open(&p->see, 256));
	if (commands && !has_commands(p->own.fd)) {
		abi_close(&p->own);
		abi_close(&p->see);
		return false;
	}
	want(!io_uring_queue_init_params(256, &p->ring, &params));
	for (i = 0; i < nr; i++) {
		p->create[i] = (struct aop_create_entry) { .mode = 0600, .state = AOP_RUNNING };
		want(!abi_create(&p->own, &p->create[i]));
		p->attach[i] = (struct aop_attach_entry) {
			.id = p->create[i].id, .fd = -1, .rights = AOP_MAY_LOOK,
			.mask = AOP_EV_CHANGE,
		};
		want(!abi_attach(&p->see, &p->attach[i]));
		p->signal[i].handle = p->create[i].handle;
		p->signal[i].what = AOP_SIGNAL_PROGRESS;
	}
	return true;
}

static void close_pair(struct pair *p)
{
	io_uring_queue_exit(&p->ring);
	abi_close(&p->own);
	abi_close(&p->see);
}

/* Takes the completions that are there; returns how many of them are waits. */
static unsigned int completions(struct pair *p, bool *more)
{
	struct io_uring_cqe *cqe;
	unsigned int nr = 0;

	while (!io_uring_peek_cqe(&p->ring, &cqe)) {
		want(cqe->res > 0);
		if (!cqe->user_data) {
			*more = cqe->flags & IORING_CQE_F_MORE;
			nr++;
		}
		io_uring_cqe_seen(&p->ring, cqe);
	}
	return nr;
}

static void run(struct bench *b, unsigned int nr, enum how how, bool signal_by_command)
{
	bool more = false;
	unsigned int i, k;
	struct pair p;

	if (!open_pair(&p, nr, how == COMMANDS || signal_by_command))
		return;
	while (bench_pass(b))
		for (i = 0; i < b->n; i++) {
			unsigned int seen = 0, due = how == COMMANDS ? nr : 1;
			uint32_t index[BURST];

			if (!more)
				arm(&p, nr, how);
			for (k = 0; k < nr; k++)
				p.signal[k].value = i;
			if (signal_by_command) {
				struct aop_uring_batch batch = {
					abi_u64(p.signal), sizeof(p.signal[0]), nr,
				};

				command(&p.ring, p.own.fd, AOP_URING_SIGNAL, &batch, 1);
			} else {
				/* What is armed must be there before. */
				if (!more)
					want(io_uring_submit(&p.ring) > 0);
				if (nr == 1)
					want(!ioctl(p.own.fd, AOP_IOC_SIGNAL_ONE, p.signal));
				else
					want(abi_batch(p.own.fd, AOP_IOC_SIGNAL, p.signal,
						       sizeof(p.signal[0]), nr) == (int)nr);
			}
			while (seen < due) {
				want(io_uring_submit_and_wait(&p.ring, 1) >= 0);
				seen += completions(&p, &more);
			}
			want(abi_reap(&p.see, index, BURST) == nr);
		}
	close_pair(&p);
}

void uring_poll(struct bench *b)
{
	run(b, 1, POLL_ONCE, false);
}

void uring_multishot(struct bench *b)
{
	run(b, 1, POLL_MULTISHOT, false);
}

void uring_wait(struct bench *b)
{
	run(b, 1, COMMANDS, false);
}

void uring_signal(struct bench *b)
{
	run(b, 1, POLL_MULTISHOT, true);
}

void uring_poll_burst(struct bench *b)
{
	run(b, BURST, POLL_ONCE, false);
}

void uring_multishot_burst(struct bench *b)
{
	run(b, BURST, POLL_MULTISHOT, false);
}

void uring_wait_burst(struct bench *b)
{
	run(b, BURST, COMMANDS, false);
}

void uring_signal_burst(struct bench *b)
{
	run(b, BURST, POLL_MULTISHOT, true);
}

/* ---- libaop's loop ---------------------------------------------------------- */

static void changed(struct aop_watch *w, const struct aop_status *st)
{
	(void)st;
	++*(unsigned int *)w->data;
}

static void loop_event(struct bench *b, uint32_t engine)
{
	struct aop_loop_opts opts = { .size = sizeof(opts), .flags = engine };
	struct aop_ctx *own, *see;
	struct aop mine, theirs;
	struct aop_watch watch;
	struct aop_loop *loop;
	unsigned int i, seen = 0;

	want(!aop_ctx_open(&own, NULL) && !aop_ctx_open(&see, NULL));
	want(!aop_init_with(&mine, own, AOP_OPTS(.state = AOP_RUNNING)));
	want(!aop_attach_id(&theirs, see, aop_id(&mine), AOP_MAY_LOOK));
	want(!aop_loop_open(&loop, &opts) && !aop_loop_add(loop, see));
	want(!aop_watch(&theirs, &watch, changed, &seen, AOP_INLINE));
	while (bench_pass(b))
		for (i = 0, seen = 0; i < b->n; i++) {
			aop_progress(aop_owner(&mine), i, 0);
			while (seen <= i)
				want(aop_loop_run(loop, AOP_RUN_ONCE) >= 0);
		}
	aop_unwatch(&watch);
	aop_done(aop_owner(&mine), 0);
	aop_loop_close(loop);
	aop_drop(&theirs);
	aop_drop(&mine);
	aop_ctx_close(see);
	aop_ctx_close(own);
}

void loop_epoll(struct bench *b)
{
	loop_event(b, AOP_EPOLL);
}

void loop_uring(struct bench *b)
{
	loop_event(b, AOP_URING);
}
