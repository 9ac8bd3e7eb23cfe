// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A key-value server in a process of its own, that is killed in mid-traffic, again and again,
 * and its supervisor, which starts the next one.  Needs /dev/aop.
 *
 * The port is the supervisor's, with its name; the server has only the right to serve it.  So
 * clients keep it while servers come and go: what is queued waits for the next server, what
 * the dead one had in hand ends with -EOWNERDEAD, and is called again.  Nobody hangs.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <aop.h>

enum { KEYS = 16, CLIENTS = 4, ROUNDS = 500, LIFE = 300, BATCH = 8 };
enum kind { GET, SET };

struct ask { enum kind what; int key, value; };

#define NAME	"example.kv"

/* ---- the server --------------------------------------------------------------- */

/* value: survives a life; it might be a file.  Returns when the port has ended. */
static int server(int fd, int *value)
{
	struct aop_request r[BATCH];
	const struct ask *ask;
	struct aop_port port;
	struct aop_ctx *ctx;
	int i, n, left = LIFE;

	if (aop_ctx_open(&ctx, NULL) < 0 || aop_port_attach(&port, ctx, fd) < 0)
		return 1;
	while ((n = aop_serve(&port, r, BATCH, AOP_FOREVER)) > 0) {
		aop_cork(ctx);			/* one system call for all answers */
		for (i = 0; i < n; i++) {
			if (!left--)
				raise(SIGKILL);		/* with calls in hand */
			ask = r[i].msg;
			if (r[i].len != sizeof(*ask) || ask->key < 0 || ask->key >= KEYS) {
				aop_reply(&r[i], -EINVAL, NULL, 0);
				continue;
			}
			if (ask->what == SET)
				value[ask->key] = ask->value;
			aop_reply(&r[i], value[ask->key], NULL, 0);
		}
		aop_uncork(ctx);
	}
	aop_drop(&port.op);
	aop_ctx_close(ctx);
	return n != 0;
}

/* ---- a client ------------------------------------------------------------------- */

/* A server that died may have done it or not; so what is asked for can be repeated. */
static int64_t request(struct aop_port *port, enum kind what, int key, int value, int *lost)
{
	struct ask ask = { what, key, value };
	struct aop_call call;
	int64_t ret;

	for (;;) {
		ret = aop_join(aop_call(port, &call, &ask, sizeof(ask), NULL, 0));
		aop_drop(&call.op);
		if (ret != -EOWNERDEAD)
			return ret;
		++*lost;
	}
}

/* Each has keys of its own, so that it knows what it will find. */
static int client(int nr, int *lost)
{
	struct aop_port port;
	struct aop_ctx *ctx;
	int i, key;

	if (aop_ctx_open(&ctx, NULL) < 0)
		return 1;
	aop_port_find(&port, ctx, NAME);	/* if not, each call says why */
	for (i = 0; i < ROUNDS; i++) {
		key = nr + CLIENTS * (i % (KEYS / CLIENTS));
		if (request(&port, SET, key, i, lost) != i ||
		    request(&port, GET, key, 0, lost) != i)
			return 1;
	}
	aop_drop(&port.op);
	aop_ctx_close(ctx);
	return 0;
}

/* ---- the supervisor --------------------------------------------------------------- */

struct keeper {
	struct aop_task task;
	struct aop_io io;
	struct aop_port *port;
	int pidfd, serve, lives;	/* serve: a descriptor, for the server */
	int *value;
};

static int64_t keep(struct aop_task *t)
{
	struct keeper *k = aop_container(t, struct keeper, task);
	int64_t status;
	pid_t pid;

	AOP_BEGIN(t);
	for (;;) {
		pid = fork();
		if (!pid)
			_exit(server(k->serve, k->value));
		k->pidfd = syscall(SYS_pidfd_open, pid, 0);
		k->lives++;
		AOP_AWAIT(status, aop_child(t->loop, &k->io, k->pidfd));
		close(k->pidfd);
		if (status < 0 || WIFEXITED(status))
			break;
	}
	/* It has not been killed.  If the port has not ended: this one cannot be helped. */
	aop_fail(aop_owner(&k->port->op), -EIO);
	return status;
	AOP_END(0);
}

int main(void)
{
	static struct keeper k;
	struct aop_port port;
	struct aop_io io;
	struct aop_loop *loop;
	struct aop_ctx *ctx;
	struct aop *keeper;
	int i, ret, pidfd[CLIENTS], *shared, *lost, wrong = 0;
	pid_t pid;

	ret = aop_ctx_open(&ctx, NULL);
	if (!ret)
		ret = aop_port_init(&port, ctx, AOP_PORT_OPTS(.name = NAME, .backlog = 64,
							      .state = AOP_RUNNING));
	if (ret < 0 || aop_loop_open(&loop, NULL) < 0) {
		fprintf(stderr, "restart: %s\n", aop_strerror(ret));
		return 1;
	}
	shared = mmap(NULL, (KEYS + CLIENTS) * sizeof(int), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	lost = shared + KEYS;
	for (i = 0; i < CLIENTS; i++) {
		pid = fork();
		if (!pid)
			_exit(client(i, &lost[i]));
		pidfd[i] = syscall(SYS_pidfd_open, pid, 0);
	}
	k.value = shared;
	k.port = &port;
	k.serve = aop_export(&port.op, AOP_MAY_SERVE);
	keeper = aop_spawn(loop, &k.task, keep, NULL, 0);
	for (i = 0; i < CLIENTS; i++) {
		wrong |= aop_loop_get(loop, aop_child(loop, &io, pidfd[i])) != 0;
		close(pidfd[i]);
	}
	/* All that they called has been answered: the server's aop_serve() returns 0. */
	aop_done(aop_owner(&port.op), 0);
	wrong |= aop_loop_get(loop, keeper) != 0;
	for (i = 1; i < CLIENTS; i++)
		lost[0] += lost[i];
	printf("%d calls, %d servers, %d calls ended with one and were made again\n",
	       2 * CLIENTS * ROUNDS + lost[0], k.lives, lost[0]);
	close(k.serve);
	aop_drop(&port.op);
	aop_loop_close(loop);
	aop_ctx_close(ctx);
	/* Each that was killed had a call in hand, and not more than it may take at once. */
	return wrong || k.lives <= 2 * CLIENTS * ROUNDS / LIFE || lost[0] < k.lives - 1 ||
	       lost[0] > (k.lives - 1) * BATCH;
}
