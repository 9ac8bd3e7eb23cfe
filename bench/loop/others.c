// SPDX-License-Identifier: GPL-2.0
/*
 * The rows that libevent and GLib can do as libuv does: waking between threads, and
 * timers.
 */
#include <event2/event.h>
#include <event2/thread.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>

#include "bench.h"
#include "others.h"

#define PINGS	2000		/* as in async.c */

/* ---- libevent: ping-pong between the main loop and n others ---------------------- */

struct ev_pair {
	struct event_base *base, *main;
	struct event *to_main, *to_worker;
	pthread_t thread;
	int seen, sent, *left;
};

static void ev_worker_called(evutil_socket_t fd, short what, void *arg)
{
	struct ev_pair *p = arg;

	(void)fd;
	(void)what;
	event_active(p->to_main, EV_READ, 1);
	if (++p->sent >= PINGS)
		event_base_loopbreak(p->base);
}

static void ev_main_called(evutil_socket_t fd, short what, void *arg)
{
	struct ev_pair *p = arg;

	(void)fd;
	(void)what;
	if (++p->seen < PINGS)
		event_active(p->to_worker, EV_READ, 1);
	else if (!--*p->left)
		event_base_loopbreak(p->main);
}

static void *ev_worker(void *arg)
{
	struct ev_pair *p = arg;

	event_base_loop(p->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

double run_libevent_async(int n)
{
	struct ev_pair *p = calloc(n, sizeof(*p));
	struct event_base *main;
	int i, left = n;
	int64_t t;

	must(p && !evthread_use_pthreads(), "evthread_use_pthreads");
	main = event_base_new();
	for (i = 0; i < n; i++) {
		p[i].base = event_base_new();
		p[i].main = main;
		p[i].left = &left;
		p[i].to_main = event_new(main, -1, EV_PERSIST, ev_main_called, &p[i]);
		p[i].to_worker = event_new(p[i].base, -1, EV_PERSIST, ev_worker_called, &p[i]);
		must(!pthread_create(&p[i].thread, NULL, ev_worker, &p[i]), "pthread_create");
	}
	t = clock_ns(CLOCK_MONOTONIC);
	for (i = 0; i < n; i++)
		event_active(p[i].to_worker, EV_READ, 1);
	event_base_loop(main, EVLOOP_NO_EXIT_ON_EMPTY);
	t = clock_ns(CLOCK_MONOTONIC) - t;
	for (i = 0; i < n; i++) {
		pthread_join(p[i].thread, NULL);
		event_free(p[i].to_main);
		event_free(p[i].to_worker);
		event_base_free(p[i].base);
	}
	event_base_free(main);
	free(p);
	return (double)t / n / PINGS;
}

/* ---- libevent: a million timers --------------------------------------------------- */

static uint64_t expired;

static void ev_expired(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	expired++;
}

double run_libevent_timers(int n)
{
	struct event_base *base = event_base_new();
	size_t size = event_get_struct_event_size();
	char *timers = malloc(n * size);
	struct timeval after = { 0 };
	int64_t t;
	int i;

	must(!!timers, "malloc");
	expired = 0;
	for (i = 0; i < n; i++)
		evtimer_assign((struct event *)(timers + i * size), base, ev_expired, NULL);
	t = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (i = 0; i < n; i++) {
		if (i % 1000 == 0)
			after = (struct timeval) {
				(i / 1000 + 1) / 1000, (i / 1000 + 1) % 1000 * 1000,
			};
		evtimer_add((struct event *)(timers + i * size), &after);
	}
	event_base_dispatch(base);
	t = clock_ns(CLOCK_THREAD_CPUTIME_ID) - t;
	must(expired == (uint64_t)n, "timers");
	event_base_free(base);
	free(timers);
	return (double)t / n;
}

/* ---- GLib -------------------------------------------------------------------------- */

struct g_pair;

/* A source that another thread makes ready, the cheapest way that GLib has. */
struct g_ping {
	GSource source;
	struct g_pair *pair;
};

struct g_pair {
	GMainContext *context, *main;
	GMainLoop *loop, *main_loop;
	struct g_ping *to_main, *to_worker;
	GThread *thread;
	int seen, sent, *left;
};

static void g_send(struct g_ping *p)
{
	g_source_set_ready_time(&p->source, 0);
}

static gboolean g_worker_called(GSource *s, GSourceFunc fn, gpointer data)
{
	struct g_pair *p = ((struct g_ping *)s)->pair;

	(void)fn;
	(void)data;
	g_source_set_ready_time(s, -1);
	g_send(p->to_main);
	if (++p->sent >= PINGS)
		g_main_loop_quit(p->loop);
	return G_SOURCE_CONTINUE;
}

static gboolean g_main_called(GSource *s, GSourceFunc fn, gpointer data)
{
	struct g_pair *p = ((struct g_ping *)s)->pair;

	(void)fn;
	(void)data;
	g_source_set_ready_time(s, -1);
	if (++p->seen < PINGS)
		g_send(p->to_worker);
	else if (!--*p->left)
		g_main_loop_quit(p->main_loop);
	return G_SOURCE_CONTINUE;
}

static struct g_ping *g_ping_new(GSourceFuncs *funcs, GMainContext *context, struct g_pair *pair)
{
	struct g_ping *p = (struct g_ping *)g_source_new(funcs, sizeof(*p));

	p->pair = pair;
	g_source_attach(&p->source, context);
	return p;
}

static void g_ping_free(struct g_ping *p)
{
	g_source_destroy(&p->source);
	g_source_unref(&p->source);
}

static gpointer g_worker(gpointer arg)
{
	struct g_pair *p = arg;

	g_main_loop_run(p->loop);
	return NULL;
}

double run_glib_async(int n)
{
	static GSourceFuncs main_funcs = { .dispatch = g_main_called };
	static GSourceFuncs worker_funcs = { .dispatch = g_worker_called };
	struct g_pair *p = calloc(n, sizeof(*p));
	GMainContext *main = g_main_context_new();
	GMainLoop *loop = g_main_loop_new(main, FALSE);
	int i, left = n;
	int64_t t;

	must(!!p, "calloc");
	for (i = 0; i < n; i++) {
		p[i].context = g_main_context_new();
		p[i].loop = g_main_loop_new(p[i].context, FALSE);
		p[i].main = main;
		p[i].main_loop = loop;
		p[i].left = &left;
		p[i].to_main = g_ping_new(&main_funcs, main, &p[i]);
		p[i].to_worker = g_ping_new(&worker_funcs, p[i].context, &p[i]);
		p[i].thread = g_thread_new("worker", g_worker, &p[i]);
	}
	t = clock_ns(CLOCK_MONOTONIC);
	for (i = 0; i < n; i++)
		g_send(p[i].to_worker);
	g_main_loop_run(loop);
	t = clock_ns(CLOCK_MONOTONIC) - t;
	for (i = 0; i < n; i++) {
		g_thread_join(p[i].thread);
		g_ping_free(p[i].to_main);
		g_ping_free(p[i].to_worker);
		g_main_loop_unref(p[i].loop);
		g_main_context_unref(p[i].context);
	}
	g_main_loop_unref(loop);
	g_main_context_unref(main);
	free(p);
	return (double)t / n / PINGS;
}
