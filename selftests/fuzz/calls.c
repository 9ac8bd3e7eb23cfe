// SPDX-License-Identifier: GPL-2.0
/*
 * The list of what the fuzzer can call, and the world that a program runs in.
 */
#include <linux/netlink.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "../driver_call.h"
#include "../sw_sync.h"
#include "values.h"

const struct kind kinds[] = {
	{ "open", do_open, 4 },
	{ "close", do_close, 2 },
	{ "setup", do_setup, 2 },
	{ "features", do_features, 1 },
	{ "mmap", do_mmap, 2 },
	{ "poll", do_poll, 4 },
	{ "reap", do_reap, 4 },
	{ "fdinfo", do_fdinfo, 1 },
	{ "raw", do_raw, 2 },
	{ "create", do_create, 16 },
	{ "signal", do_signal, 12 },
	{ "cancel", do_cancel, 5 },
	{ "detach", do_detach, 5 },
	{ "modify", do_modify, 3 },
	{ "attach", do_attach, 8 },
	{ "export", do_export, 6 },
	{ "opfd", do_opfd, 3 },
	{ "group", do_group, 8 },
	{ "query", do_query, 3 },
	{ "wait", do_wait, 8 },
	{ "import", do_import, 6 },
	{ "eventfd", do_eventfd, 4 },
	{ "source", do_source, 6 },
	{ "child", do_child, 1 },
	{ "netlink", do_netlink, 8 },
	{ "driver", do_driver, 10 },
	{ "knob", do_knob, 1 },
	{ "port", do_port, 6 },
	{ "call", do_call, 12 },
	{ "serve", do_serve, 10 },
	{ "message", do_message, 3 },
	{ "delegate", do_delegate, 4 },
	{ "name", do_name, 4 },
};

const unsigned int nr_kinds = LEN(kinds);

/* ---- the world ----------------------------------------------------------------- */

/* What nobody can do without is there from the start. */
void world_begin(struct world *w)
{
	uint16_t family = w->family;
	unsigned int i;

	memset(w, 0, sizeof(*w));
	w->family = family;
	pthread_mutex_init(&w->driver, NULL);
	for (i = 0; i < FDS; i++) {
		w->opfd[i] = -1;
		w->event[i] = i ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	for (i = 0; i < 2; i++)
		w->netlink[i] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	for (i = 0; i < CTXS; i++) {
		w->ctx[i].fd = -1;
		if (i < 2)
			abi_open(&w->ctx[i], 64 << i);
		else
			w->ctx[i].fd = abi_open_file();
	}
	w->events = 1;
	w->file = memfd_create("fuzz", MFD_CLOEXEC);
	w->sync = open(SW_SYNC, O_RDWR | O_CLOEXEC);
	w->dev = open(AOP_SELFTEST_DEVICE, O_RDWR | O_CLOEXEC);
}

void world_end(struct world *w)
{
	unsigned int i;

	for (i = 0; i < CTXS; i++)
		abi_close(&w->ctx[i]);
	for (i = 0; i < w->nr_stale; i++)
		abi_unmap(&w->stale[i]);
	for (i = 0; i < FDS; i++) {
		take_close(&w->opfd[i], -1);
		take_close(&w->event[i], -1);
	}
	for (i = 0; i < 2; i++)
		take_close(&w->netlink[i], -1);
	take_close(&w->sync, -1);
	take_close(&w->dev, -1);
	take_close(&w->file, -1);
	abi_param_set("max_handles", 1 << 20);
}
