// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A key-value server, as an actor, and requests of all four kinds:
 *
 *	GET	one to one: a key, its value
 *	LIST	one to many: a limit, all pairs whose value is below
 *	LOAD	many to one: pairs, and how many there were
 *	SWAP	many to many: pairs, and for each the value that was there before
 *
 * The server fails in the middle of the traffic, more than once, and begins anew.  The call
 * that it had in hand fails with it; all others wait for its next life, and nobody hangs.
 * Streams go with calls within a process; for a server in another one see restart.c.
 */
#include <pthread.h>
#include <stdio.h>
#include <aop.h>

enum { KEYS = 64, CLIENTS = 3, ROUNDS = 300, PLACES = 16 };
enum kind { GET, LIST, LOAD, SWAP, FAIL };

struct pair { int key, value; };
struct ask { enum kind what; struct pair pair; };

/* ---- the server --------------------------------------------------------------- */

struct server {
	struct aop_actor actor;
	struct aop_transfer wait;
	struct pair pair;
	int i, n, value[KEYS];		/* that survives a life; it might be a file */
};

static int64_t server(struct aop_task *t)
{
	struct server *s = aop_container(t, struct server, actor.task);
	struct aop_request *r = &s->actor.request;
	const struct ask *ask;
	int64_t ret;
	int old;

	AOP_BEGIN(t);
	aop_actor_ready(&s->actor);
	for (;;) {
		AOP_AWAIT(ret, aop_actor_take(&s->actor));
		if (ret < 0)
			return ret;
		ask = r->msg;
		s->n = 0;
		if (ask->what == FAIL)
			return -EIO;	/* the call in hand, too, ends so */
		if (ask->what == GET)
			s->n = s->value[ask->pair.key];
		if (ask->what == LIST) {
			for (s->i = 0; s->i < KEYS; s->i++) {
				ask = r->msg;
				if (s->value[s->i] >= ask->pair.value)
					continue;
				s->pair = (struct pair){ s->i, s->value[s->i] };
				AOP_AWAIT(ret, aop_stream_push(r->replies, &s->wait, &s->pair,
							       sizeof(s->pair)));
				if (ret < 0)
					break;	/* nobody listens any more */
				s->n++;
			}
		}
		/* LOAD and SWAP: as long as pairs come. */
		while (r->requests) {
			AOP_AWAIT(ret, aop_stream_pop(r->requests, &s->wait, &s->pair,
						      sizeof(s->pair)));
			if (ret <= 0)
				break;
			old = s->value[s->pair.key];
			s->value[s->pair.key] = s->pair.value;
			s->n++;
			s->pair.value = old;
			if (!r->replies)
				continue;
			AOP_AWAIT(ret, aop_stream_push(r->replies, &s->wait, &s->pair,
						       sizeof(s->pair)));
			if (ret < 0)
				break;
		}
		/* Its streams end with it: without an error, or with that. */
		aop_reply(r, ret < 0 ? ret : s->n, NULL, 0);
	}
	AOP_END(0);
}

/* What a supervisor decides: the server begins anew, in a millisecond. */
static int64_t failed(struct aop_actor *a, int64_t error)
{
	(void)a;
	return error == -EIO ? AOP_MS(1) : -1;
}

static void *server_thread(void *loop)
{
	aop_loop_run(loop, AOP_RUN_ALL);
	return NULL;
}

/* ---- a client ----------------------------------------------------------------- */

struct client {
	struct aop_port *port;
	pthread_t thread;
	int nr, done, failed, wrong;
	struct aop_stream in, out;
	_Alignas(16) char mem[2][AOP_STREAM_MEM(sizeof(struct pair), PLACES)];
};

static void stream(struct aop_stream *s, char *mem)
{
	/* Cannot fail: all of it is given here. */
	(void)!aop_stream_init(s, AOP_LOCAL, mem, AOP_STREAM_MEM(sizeof(struct pair), PLACES),
			       AOP_STREAM_OPTS(.place = sizeof(struct pair), .places = PLACES));
}

/* One request: what is sent, what comes back.  Returns the answer, or why there is none. */
static int64_t request(struct client *c, enum kind what, struct pair pair, int count)
{
	struct ask ask = { what, pair };
	struct aop_call_opts o = { .size = sizeof(o) };
	struct aop_transfer wait;
	struct aop_receiver rx;
	struct aop_sender tx;
	struct aop_call call;
	int64_t ret = 1, answer;
	int i, n = 0;

	stream(&c->out, c->mem[0]);
	stream(&c->in, c->mem[1]);
	aop_sender_init(&tx, &c->out, 0);
	aop_receiver_init(&rx, &c->in, 0);
	if (what == LOAD || what == SWAP)
		o.requests = &c->out;
	if (what == LIST || what == SWAP)
		o.replies = &c->in;
	aop_call_with(c->port, &call, &ask, sizeof(ask), NULL, 0, &o);
	for (i = 0; o.requests && i < count && ret == 1; i++) {
		ret = aop_join(aop_stream_push(&tx, &wait, &pair, sizeof(pair)));
		if (ret == 1 && o.replies) {
			struct pair old;

			ret = aop_join(aop_stream_pop(&rx, &wait, &old, sizeof(old)));
			n += ret == 1;
		}
	}
	aop_sender_end(&tx);
	while (o.replies && aop_join(aop_stream_pop(&rx, &wait, &pair, sizeof(pair))) == 1)
		n++;
	answer = aop_join(&call.op);
	/* An answer says how many there were. */
	if (answer >= 0 && ((o.replies && answer != n) || (o.requests && answer != count)))
		c->wrong++;
	aop_sender_drop(&tx);
	aop_receiver_drop(&rx);
	return answer;
}

static void *client(void *arg)
{
	struct client *c = arg;
	struct pair mine;
	int64_t ret;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		/* Each client has keys of its own, so that it knows what it will find. */
		mine.key = c->nr + CLIENTS * (i % 8);
		mine.value = i;
		ret = request(c, LOAD, mine, 1 + i % 20);
		if (ret >= 0)
			ret = request(c, GET, mine, 0);
		if (ret >= 0 && ret != i)
			c->wrong++;
		if (ret >= 0)
			ret = request(c, i % 2 ? LIST : SWAP, mine, 3);
		if (c->nr == 0 && i % 50 == 25)
			request(c, FAIL, mine, 0);
		c->done += ret >= 0;
		c->failed += ret < 0;
	}
	aop_drop(&c->port->op);
	return NULL;
}

int main(void)
{
	static struct client c[CLIENTS];
	static struct server s;
	struct aop_loop *loop;
	pthread_t thread;
	struct aop *op;
	int i, done = 0, lost = 0, wrong = 0;

	if (aop_loop_open(&loop, NULL) < 0)
		return 1;
	op = aop_actor_spawn(loop, &s.actor, server, AOP_ACTOR_OPTS(.failed = failed));
	for (i = 0; i < CLIENTS; i++) {
		c[i] = (struct client){ .port = &s.actor.port, .nr = i };
		aop_hold(op);
		if (pthread_create(&c[i].thread, NULL, client, &c[i]))
			return 1;
	}
	aop_drop(op);			/* it goes when the last client has */
	if (pthread_create(&thread, NULL, server_thread, loop))
		return 1;
	for (i = 0; i < CLIENTS; i++) {
		pthread_join(c[i].thread, NULL);
		done += c[i].done;
		lost += c[i].failed;
		wrong += c[i].wrong;
	}
	pthread_join(thread, NULL);
	aop_loop_close(loop);
	printf("%d rounds, %d of them failed, %llu restarts, %d wrong\n", done + lost, lost,
	       (unsigned long long)s.actor.restarts, wrong);
	return wrong || lost || done != CLIENTS * ROUNDS || s.actor.restarts != ROUNDS / 50;
}
