// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * monitor.c - ops as they change, by netlink
 *
 * To come up to date: SUBSCRIBE, whose answer says the number of the last event, and
 * then a dump on the same socket.  An op that a CHANGED message came of since the dump
 * was asked for is not taken from the dump, which may be older.  (It is never newer
 * than a later message: the kernel sends none while it fills a part of the dump.)
 *
 * Losses show as -ENOBUFS on the socket, which may also mean a lost answer, and as gaps
 * in the numbers of events.  In both cases all is done once more, when the socket has
 * been read empty, and not more often than the caller likes.
 *
 * The caller's descriptor is an epoll of the socket and of a timer.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <linux/aop_netlink.h>

#include "netlink.h"
#include "opts.h"

#define DEFAULT_BUFFER	1048576
#define DEFAULT_BUDGET	4096
#define DEFAULT_RESYNC	AOP_MS(250)

enum stage {
	LIVE,				/* nothing is asked for */
	SUBSCRIBING,			/* the answer to SUBSCRIBE is to come */
	DUMPING,			/* the end of the dump is to come */
};

/* Ids that a CHANGED message came of; 0 is none. */
struct ids {
	uint64_t *slots;
	size_t nr, size;		/* size: a power of two, or 0 */
};

struct aop_monitor {
	struct nl nl;
	int epoll, timer;
	aop_monitor_fn *fn;
	void *data;
	struct filter filter;
	int64_t interval, resync;
	uint32_t budget;
	enum stage stage;
	uint32_t asked;			/* seq of what is to be answered */
	bool again;			/* subscribe and dump once more */
	bool snapshot;			/* something was lost, or never known */
	bool told;			/* of the loss */
	bool muted;			/* what comes is still by the old filter */
	int64_t due;			/* not sooner than this */
	uint64_t event;			/* the last one */
	uint64_t lost;
	struct ids ids;
	char buf[NL_RECEIVE];
};

/* ---- ids -------------------------------------------------------------------- */

static uint64_t *ids_find(const struct ids *ids, uint64_t id)
{
	size_t i = (id * UINT64_C(0x9e3779b97f4a7c15)) >> 32;

	for (i &= ids->size - 1; ids->slots[i] && ids->slots[i] != id;)
		i = (i + 1) & (ids->size - 1);
	return &ids->slots[i];
}

static bool ids_has(const struct ids *ids, uint64_t id)
{
	return ids->nr && *ids_find(ids, id);
}

static void ids_clear(struct ids *ids)
{
	free(ids->slots);
	*ids = (struct ids){ 0 };
}

static int ids_add(struct ids *ids, uint64_t id)
{
	struct ids old = *ids;
	uint64_t *slot;
	size_t i;

	if (2 * ids->nr >= ids->size) {
		ids->size = old.size ? 2 * old.size : 64;
		ids->slots = calloc(ids->size, sizeof(*ids->slots));
		if (!ids->slots) {
			*ids = old;
			return -ENOMEM;
		}
		for (i = 0; i < old.size; i++)
			if (old.slots[i])
				*ids_find(ids, old.slots[i]) = old.slots[i];
		free(old.slots);
	}
	slot = ids_find(ids, id);
	ids->nr += !*slot;
	*slot = id;
	return 0;
}

/* ---- asking ----------------------------------------------------------------- */

static struct nlmsghdr *subscribe_request(struct aop_monitor *m, char *buf)
{
	struct nlmsghdr *nlh = nl_request(&m->nl, buf, m->nl.family, AOP_CMD_SUBSCRIBE, 0);

	filter_put(nlh, &m->filter);
	if (m->interval)
		mnl_attr_put_u64(nlh, AOP_A_INTERVAL, m->interval);
	return nlh;
}

static int subscribe(struct aop_monitor *m)
{
	char buf[NL_REQUEST];

	m->again = false;
	m->stage = SUBSCRIBING;
	m->due = aop_now() + m->resync;
	m->asked = m->nl.seq + 1;
	return nl_send(&m->nl, subscribe_request(m, buf));
}

static int dump(struct aop_monitor *m)
{
	struct nlmsghdr *nlh;
	char buf[NL_REQUEST];

	ids_clear(&m->ids);
	m->stage = DUMPING;
	nlh = nl_request(&m->nl, buf, m->nl.family, AOP_CMD_GET, NLM_F_DUMP);
	m->asked = nlh->nlmsg_seq;
	filter_put(nlh, &m->filter);
	return nl_send(&m->nl, nlh);
}

static int set_timer(struct aop_monitor *m, int64_t at)
{
	struct itimerspec t = {
		.it_value = { .tv_sec = at / AOP_SEC(1), .tv_nsec = at % AOP_SEC(1) },
	};

	return timerfd_settime(m->timer, TFD_TIMER_ABSTIME, &t, NULL) ? -errno : 0;
}

/* ---- what comes ------------------------------------------------------------- */

static uint64_t event_of(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, GENL_HDRLEN)
		if (mnl_attr_get_type(attr) == AOP_A_EVENT)
			return nl_number(attr);
	return 0;
}

static int tell(struct aop_monitor *m, enum aop_news news, const struct aop_info *info)
{
	if (m->muted)
		return 0;
	m->fn(m->data, news, info);
	return 1;
}

static int lost(struct aop_monitor *m, uint64_t nr)
{
	int told = m->told;

	m->lost += nr;
	m->again = true;
	m->snapshot = true;
	m->told = true;
	return told ? 0 : tell(m, AOP_NEWS_LOST, NULL);
}

static int changed(struct aop_monitor *m, const struct nlmsghdr *nlh)
{
	struct aop_info info;
	uint64_t event;
	int nr = 0;

	info_parse(nlh, &info, &event);
	if (event != m->event + 1)
		nr += lost(m, event - m->event - 1);
	m->event = event;
	if (!info.st.id)
		return nr;
	if (m->stage == DUMPING && ids_add(&m->ids, info.st.id))
		nr += lost(m, 0);
	return nr + tell(m, AOP_NEWS_CHANGED, &info);
}

static int subscribed(struct aop_monitor *m, const struct nlmsghdr *nlh)
{
	uint64_t event = event_of(nlh);
	int ret, nr = 0;

	m->muted = false;
	if (event != m->event) {
		nr = lost(m, event - m->event);
		m->event = event;
		m->again = false;
	}
	if (!m->snapshot) {
		m->stage = LIVE;
		return nr;
	}
	ret = dump(m);
	return ret ? ret : nr;
}

static int listed(struct aop_monitor *m, const struct nlmsghdr *nlh)
{
	struct aop_info info;
	uint64_t event;

	info_parse(nlh, &info, &event);
	return ids_has(&m->ids, info.st.id) ? 0 : tell(m, AOP_NEWS_LISTED, &info);
}

/* The dump has ended, or could not begin. */
static int dumped(struct aop_monitor *m, int err)
{
	m->stage = LIVE;
	ids_clear(&m->ids);
	/* One that was asked for before goes on: again when it has ended. */
	if (err)
		m->again = true;
	if (m->again)
		return 0;
	m->snapshot = false;
	m->told = false;
	return tell(m, AOP_NEWS_READY, NULL);
}

static int failed(struct aop_monitor *m, const struct nlmsghdr *nlh)
{
	int err = nl_errno(nlh);

	if (m->stage == DUMPING) {
		/* The socket was full: the dump begins when it is read. */
		if (err == -ENOBUFS)
			return 0;
		if (err == -EBUSY || err == -ENOMEM)
			return dumped(m, err);
	}
	if (m->stage == SUBSCRIBING && err == -ENOMEM) {
		m->stage = LIVE;
		m->again = true;
		return 0;
	}
	return err;
}

static int received(struct aop_monitor *m, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type == m->nl.family && mnl_nlmsg_get_payload_len(nlh) < sizeof(*genl))
		return 0;
	if (nlh->nlmsg_type == m->nl.family && !nlh->nlmsg_seq)
		return genl->cmd == AOP_CMD_CHANGED ? changed(m, nlh) : 0;
	/* What was given up. */
	if (m->stage == LIVE || nlh->nlmsg_seq != m->asked)
		return 0;
	if (nlh->nlmsg_type == NLMSG_ERROR)
		return failed(m, nlh);
	if (nlh->nlmsg_type == NLMSG_DONE)
		return dumped(m, nl_errno(nlh));
	if (nlh->nlmsg_type != m->nl.family)
		return 0;
	return m->stage == DUMPING ? listed(m, nlh) : subscribed(m, nlh);
}

/* ---- dispatch --------------------------------------------------------------- */

/* The socket is empty.  1: something was asked for, so it may not be any more. */
static int at_rest(struct aop_monitor *m)
{
	int ret;

	/* An answer that is not there was lost; a dump that does not go on has failed. */
	if (m->stage != LIVE) {
		m->stage = LIVE;
		m->again = true;
	}
	if (!m->again)
		return 0;
	if (aop_now() < m->due)
		return set_timer(m, m->due);
	ret = subscribe(m);
	return ret ? ret : 1;
}

/* -EAGAIN: the socket is empty. */
static int receive(struct aop_monitor *m)
{
	const struct nlmsghdr *nlh;
	int ret, nr = 0;
	int len = recv(mnl_socket_get_fd(m->nl.sock), m->buf, sizeof(m->buf), MSG_DONTWAIT);

	if (len < 0 && errno == ENOBUFS)
		m->again = true;
	if (len < 0)
		return errno == ENOBUFS || errno == EINTR ? 0 : -errno;
	for (nlh = (void *)m->buf; nl_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		ret = received(m, nlh);
		if (ret < 0)
			return ret;
		nr += ret;
	}
	return nr;
}

/**
 * aop_monitor_dispatch() - tell what has come
 * @m: an open monitor
 *
 * Calls the monitor's function for what has come, at most for about the budget, and
 * asks for a new snapshot if some was lost.  Never blocks.  From the thread that uses
 * the monitor, not from its function; not a signal handler.
 *
 * Return: how often it has called; or a negative errno, after which the monitor is of
 * no more use: -EPERM and other answers of the kernel to another filter, -EPROTO.
 */
int aop_monitor_dispatch(struct aop_monitor *m)
{
	uint64_t expired;
	uint32_t turns;
	int ret, nr = 0;

	if (read(m->timer, &expired, sizeof(expired)) < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	/* Another filter does not wait until those by the old one have been read. */
	if (m->muted && m->stage == LIVE) {
		ret = subscribe(m);
		if (ret)
			return ret;
	}
	for (turns = 0; turns < m->budget && (uint32_t)nr < m->budget; turns++) {
		ret = receive(m);
		if (ret == -EAGAIN) {
			ret = at_rest(m);
			if (ret <= 0)
				return ret ? ret : nr;
			continue;
		}
		if (ret < 0)
			return ret;
		nr += ret;
	}
	return nr;
}

/* ---- life ------------------------------------------------------------------- */

static int first_answer(const struct nlmsghdr *nlh, void *data)
{
	struct aop_monitor *m = data;

	m->event = event_of(nlh);
	return 0;
}

static int add_fd(struct aop_monitor *m, int fd)
{
	struct epoll_event e = { .events = EPOLLIN };

	return epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static void set_buffer(struct aop_monitor *m, uint32_t size)
{
	int fd = mnl_socket_get_fd(m->nl.sock);
	int bytes = size ? size : DEFAULT_BUFFER;

	/* Beyond the system's limit for the privileged; what can be had is good enough. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

static int begin(struct aop_monitor *m, uint32_t buffer)
{
	char buf[NL_REQUEST];
	int ret;

	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	m->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (m->epoll < 0 || m->timer < 0)
		return -errno;
	ret = nl_open(&m->nl);
	if (ret)
		return ret;
	set_buffer(m, buffer);
	ret = add_fd(m, mnl_socket_get_fd(m->nl.sock));
	if (!ret)
		ret = add_fd(m, m->timer);
	/* What this passes over the snapshot shows. */
	if (!ret)
		ret = nl_talk(&m->nl, subscribe_request(m, buf), first_answer, m);
	m->snapshot = true;
	/* So much came that the answer was not reached: dispatch asks again. */
	if (ret == -ENOBUFS) {
		m->again = true;
		return set_timer(m, 1);
	}
	if (ret)
		return ret;
	m->due = aop_now() + m->resync;
	return dump(m);
}

/**
 * aop_monitor_open() - follow ops as they change
 * @m: out: the monitor, or NULL
 * @opts: NULL for the defaults; opts->size is sizeof(struct aop_monitor_opts)
 * @fn: told of what happens, by aop_monitor_dispatch() only
 * @data: for fn
 *
 * First comes a snapshot of all ops that match, with changes in between, then
 * AOP_NEWS_READY, then changes.  An op is told once for many changes, of its progress
 * not more often than opts->interval; its end always, as the last thing about it, but
 * for AOP_F_OVER, which may come later.  If the reader was too slow AOP_NEWS_LOST
 * comes, another snapshot and AOP_NEWS_READY: what was not told between these two is
 * gone, and how it ended was lost.
 *
 * A monitor is one thread's at a time, and not used in a forked child.  Allocates.
 * Blocks until the kernel has answered.  Not a signal handler.
 *
 * Return: 0; -ENODEV: the module is not loaded; -EPERM: without AOP_FILTER_UID one must
 * be privileged (CAP_SYS_ADMIN); -EDQUOT: the user has too many monitors, -EUSERS: all
 * users together have; -EINVAL, -E2BIG: bad options or filter; -ENAMETOOLONG: the
 * filter's label; -EMFILE, -ENFILE, -ENOMEM.
 */
int aop_monitor_open(struct aop_monitor **m, const struct aop_monitor_opts *opts,
		     aop_monitor_fn *fn, void *data)
{
	struct aop_monitor_opts o = { .size = sizeof(o) };
	struct aop_monitor *new;
	struct filter filter;
	int ret;

	*m = NULL;
	ret = opts ? opts_copy(&o, sizeof(o), opts) : 0;
	if (!ret && (o.flags || o.interval < 0 || o.resync < 0 || o.buffer > INT32_MAX ||
		     o.budget > INT32_MAX))
		ret = -EINVAL;
	if (!ret)
		ret = filter_copy(&filter, o.filter);
	if (ret)
		return ret;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->fn = fn;
	new->data = data;
	new->interval = o.interval;
	new->resync = o.resync ? o.resync : DEFAULT_RESYNC;
	new->budget = o.budget ? o.budget : DEFAULT_BUDGET;
	new->filter = filter;
	new->filter.f.label = filter.f.label ? new->filter.label : NULL;
	ret = begin(new, o.buffer);
	if (ret)
		aop_monitor_close(new);
	else
		*m = new;
	return ret;
}

/**
 * aop_monitor_close() - end a monitor
 * @m: from aop_monitor_open(); or NULL
 *
 * Not from the monitor's function.  Does not block.
 */
void aop_monitor_close(struct aop_monitor *m)
{
	if (!m)
		return;
	if (m->nl.sock)
		nl_close(&m->nl);
	if (m->timer >= 0)
		close(m->timer);
	if (m->epoll >= 0)
		close(m->epoll);
	ids_clear(&m->ids);
	free(m);
}

/**
 * aop_monitor_fd() - what an event loop waits for
 * @m: an open monitor
 *
 * Readable (EPOLLIN) while aop_monitor_dispatch() has something to do, also when the
 * time has come to ask for a new snapshot.  Add it to any loop, level-triggered; do not
 * read or close it.  It is close-on-exec.
 *
 * Return: the descriptor; it stays the monitor's.
 */
int aop_monitor_fd(struct aop_monitor *m)
{
	return m->epoll;
}

/**
 * aop_monitor_filter() - follow other ops
 * @m: an open monitor
 * @f: which; NULL: all
 *
 * What was told so far counts no more: what is told from now on is by the new filter,
 * and begins with a snapshot.  May be called by the monitor's function.
 *
 * Return: 0; -EINVAL, -E2BIG, -ENAMETOOLONG: bad filter, and the old one stays.  That
 * one may not follow those is answered to aop_monitor_dispatch(): -EPERM.
 */
int aop_monitor_filter(struct aop_monitor *m, const struct aop_filter *f)
{
	struct filter filter;
	int ret = filter_copy(&filter, f);

	if (ret)
		return ret;
	m->filter = filter;
	m->filter.f.label = filter.f.label ? m->filter.label : NULL;
	m->muted = true;
	m->snapshot = true;
	m->told = true;
	m->again = true;
	m->due = 0;
	/* Dumps cannot be stopped.  An answer by the old filter is not waited for. */
	if (m->stage == SUBSCRIBING)
		m->stage = LIVE;
	/* Dispatch asks. */
	return set_timer(m, 1);
}

/**
 * aop_monitor_lost() - how many news were lost
 * @m: an open monitor
 *
 * Return: their number since it was opened.
 */
uint64_t aop_monitor_lost(const struct aop_monitor *m)
{
	return m->lost;
}
