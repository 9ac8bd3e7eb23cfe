/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A driver of stress.c: a thread with tables of what it owns and what it sees, and
 * everything that it may do with them, picked at random.
 */
#ifndef SELFTESTS_STRESS_DRIVER_H
#define SELFTESTS_STRESS_DRIVER_H

#include <pthread.h>

#include "pass.h"
#include "stress_judge.h"

/* ---- a process ----------------------------------------------------------------- */

struct process {
	uint32_t nr;
	uint32_t me;			/* as in truth.owner */
	struct abi_ctx c;
	uint32_t watched;		/* handles of the watcher that are not final yet */
	uint32_t drivers;		/* that still run */
	int bell;			/* wakes the watcher for the last time */
};

struct held {
	uint64_t handle;
	uint32_t serial;
	bool running;			/* accepted by us or before */
	uint8_t nr_members;		/* of a group: */
	uint32_t members[8];
};

struct driver {
	struct process *p;
	uint32_t nr;
	uint64_t rng;
	uint32_t nr_own, nr_see;
	struct held own[OWN], see[SEE];
	pthread_t thread;
};

static void doing(struct driver *d, const char *what)
{
	sh->doing[d->p->nr][d->nr] = what;
}

static void forget(struct held *table, uint32_t *nr, uint32_t i)
{
	table[i] = table[--*nr];
}

/* What any call may answer when others use up what there is. */
static bool is_limit(int ret)
{
	return ret == -ENOSPC || ret == -EMFILE;
}

static void drop(struct driver *d, uint64_t handle)
{
	int ret = abi_detach(&d->p->c, handle, 0);

	if (ret)
		complain("detach: %d", ret);
}

/* A handle for the watcher, by a descriptor or else by id. */
static void watch(struct driver *d, uint32_t serial, int fd, uint64_t id)
{
	uint64_t handle;
	int ret;

	if (LOAD(&d->p->watched) >= MAX_WATCHED)
		return;
	__atomic_fetch_add(&d->p->watched, 1, __ATOMIC_ACQ_REL);
	ret = fd < 0 ? abi_attach_id(&d->p->c, id, AOP_MAY_LOOK, WATCHED | serial, AOP_EV_FINAL,
				     &handle) :
		       abi_attach_fd(&d->p->c, fd, AOP_MAY_LOOK, WATCHED | serial, AOP_EV_FINAL,
				     &handle);
	if (!ret)
		return;
	__atomic_fetch_sub(&d->p->watched, 1, __ATOMIC_ACQ_REL);
	if (!is_limit(ret) && !(fd < 0 && ret == -ENOENT))
		complain("attach by %s: %d", fd < 0 ? "id" : "fd", ret);
}

/* ---- what a driver may do -------------------------------------------------------- */

static void do_create(struct driver *d)
{
	uint32_t serial = __atomic_fetch_add(&sh->serials, 1, __ATOMIC_ACQ_REL);
	struct truth *t = &sh->ops[serial];
	struct aop_create_entry e = { .mode = 0600 };
	char label[32];
	int ret;

	if (serial >= MAX_OPS) {
		STORE(&sh->serials, MAX_OPS);
		return;
	}
	if (d->nr_own == OWN)
		return;
	snprintf(label, sizeof(label), "op %u", serial);
	e.label = abi_u64(label);
	e.state = chance(&d->rng, 40) ? AOP_RUNNING : AOP_PENDING;
	e.flags = chance(&d->rng, 10) ? AOP_CREATE_DETACHED : 0;
	e.mask = pick(&d->rng, AOP_EV_ALL + 1);
	if (chance(&d->rng, 15)) {
		e.deadline = abi_now() + pick(&d->rng, 20000000);
		t->deadline = e.deadline;
		t->reasons = MAY_EXPIRE;
	}
	STORE(&t->owner, d->p->me);
	ret = abi_create(&d->p->c, &e);
	if (ret) {
		if (!is_limit(ret))
			complain("create: %d", ret);
		return;
	}
	STORE(&t->id, e.id);
	STORE(&sh->recent[serial % RECENT], serial + 1);
	d->own[d->nr_own++] = (struct held) {
		.handle = e.handle, .serial = serial, .running = e.state == AOP_RUNNING,
	};
	if (chance(&d->rng, 60))
		watch(d, serial, -1, e.id);
}

static void do_start(struct driver *d)
{
	struct held *h;
	int ret;

	if (!d->nr_own)
		return;
	h = &d->own[pick(&d->rng, d->nr_own)];
	ret = abi_start(&d->p->c, h->handle);
	if (h->running ? ret != -EINVAL && ret != -EALREADY : ret && ret != -EALREADY)
		complain("start: %d", ret);
	if (!ret)
		h->running = true;
	if (ret == -EALREADY) {
		/* It has let go; what is left is a watcher. */
		STORE(&sh->ops[h->serial].answer, TOO_LATE);
		drop(d, h->handle);
		forget(d->own, &d->nr_own, h - d->own);
	}
}

static void do_progress(struct driver *d)
{
	struct held *h;
	int ret;

	if (!d->nr_own)
		return;
	h = &d->own[pick(&d->rng, d->nr_own)];
	ret = abi_progress(&d->p->c, h->handle, pick(&d->rng, 1000), 1000);
	if (ret && ret != -EALREADY)
		complain("progress: %d", ret);
}

/* Write down what will be said of @h, and fill in how. */
static void say(struct driver *d, const struct held *h, struct aop_signal_entry *e)
{
	struct truth *t = &sh->ops[h->serial];
	uint32_t state = AOP_DONE + pick(&d->rng, 3);

	*e = (struct aop_signal_entry) { .handle = h->handle, .ret = -EPROTO };
	switch (state) {
	case AOP_DONE:
		e->what = AOP_SIGNAL_DONE;
		e->value = (int64_t)next(&d->rng);
		break;
	case AOP_FAILED:
		/* Also with what the system would say. */
		e->what = AOP_SIGNAL_FAIL;
		e->value = chance(&d->rng, 20) ? -EOWNERDEAD :
						 -1 - (int64_t)pick(&d->rng, 4000);
		break;
	default:
		e->what = AOP_SIGNAL_CANCELLED;
		e->value = -100000 - (int64_t)h->serial;
	}
	t->said_result = e->value;
	STORE(&t->said_state, state);
}

/* And what came of it; lets go of the handle. */
static void said(struct driver *d, struct held *h, const struct aop_signal_entry *e)
{
	if (e->ret && e->ret != -EALREADY)
		complain("end of op %u: %d", h->serial, e->ret);
	STORE(&sh->ops[h->serial].answer, e->ret ? TOO_LATE : FIRST);
	if (!(e->what & AOP_SIGNAL_DETACH))
		drop(d, h->handle);
	forget(d->own, &d->nr_own, h - d->own);
}

static void do_end(struct driver *d)
{
	struct aop_signal_entry e;
	struct held *h;
	int ret;

	if (!d->nr_own)
		return;
	h = &d->own[pick(&d->rng, d->nr_own)];
	say(d, h, &e);
	if (chance(&d->rng, 50))
		e.what |= AOP_SIGNAL_DETACH;
	ret = abi_batch(d->p->c.fd, AOP_IOC_SIGNAL, &e, sizeof(e), 1);
	if (ret != 1)
		complain("signal: %d", ret);
	said(d, h, &e);
}

static void do_let_go(struct driver *d)
{
	struct held *h;
	int ret;

	if (!d->nr_own)
		return;
	h = &d->own[pick(&d->rng, d->nr_own)];
	__atomic_fetch_or(&sh->ops[h->serial].reasons, MAY_DIE, __ATOMIC_ACQ_REL);
	ret = chance(&d->rng, 50) ? abi_signal(&d->p->c, h->handle, AOP_SIGNAL_LET_GO, 0) :
				    abi_detach(&d->p->c, h->handle, AOP_MAY_DRIVE);
	if (ret)
		complain("let go: %d", ret);
	drop(d, h->handle);
	forget(d->own, &d->nr_own, h - d->own);
}

static void do_send(struct driver *d, bool drive)
{
	struct held *h;
	int fd;

	if (!d->nr_own)
		return;
	h = &d->own[pick(&d->rng, d->nr_own)];
	if (drive) {
		/* In this order: it is nobody's before it has left. */
		__atomic_fetch_or(&sh->ops[h->serial].reasons, MAY_DIE, __ATOMIC_ACQ_REL);
		STORE(&sh->ops[h->serial].owner, 0);
	}
	fd = abi_export(&d->p->c, h->handle,
			drive ? AOP_MAY_ALL : AOP_MAY_LOOK | AOP_MAY_CANCEL);
	if (fd < 0) {
		complain("export: %d", fd);
	} else {
		/* A full mailbox loses it, which is one more way to die. */
		send_fd(mail[1], fd, h->serial | (uint64_t)drive << 32);
		close(fd);
	}
	if (drive) {
		drop(d, h->handle);
		forget(d->own, &d->nr_own, h - d->own);
	}
}

static void take_over(struct driver *d, uint32_t serial, int fd)
{
	struct truth *t = &sh->ops[serial];
	uint64_t handle;
	int ret;

	/* Nobody else takes it: the message was for one. */
	ret = abi_attach_fd(&d->p->c, fd, AOP_MAY_ALL, 0, 0, &handle);
	if (ret) {
		if (!is_limit(ret))
			complain("take: %d", ret);
		return;
	}
	STORE(&t->owner, d->p->me);
	__atomic_fetch_and(&t->reasons, ~MAY_DIE, __ATOMIC_ACQ_REL);
	d->own[d->nr_own++] = (struct held) {
		.handle = handle, .serial = serial,
		.running = abi_state(&d->p->c, handle) == AOP_RUNNING,
	};
}

static void do_receive(struct driver *d)
{
	uint32_t serial;
	uint64_t value;
	int fd = recv_fd(mail[0], &value, MSG_DONTWAIT);

	if (fd < 0)
		return;
	serial = (uint32_t)value;
	if (!(value >> 32))
		watch(d, serial, fd, 0);
	else if (d->nr_own < OWN)
		take_over(d, serial, fd);
	close(fd);
}

static void do_attach(struct driver *d)
{
	uint32_t serial = LOAD(&sh->recent[pick(&d->rng, RECENT)]);
	uint64_t id, handle;
	int ret;

	if (!serial--)
		return;
	id = LOAD(&sh->ops[serial].id);
	if (chance(&d->rng, 50) || d->nr_see == SEE) {
		watch(d, serial, -1, id);
		return;
	}
	ret = abi_attach_id(&d->p->c, id, 0, 0, pick(&d->rng, AOP_EV_ALL + 1), &handle);
	if (!ret)
		d->see[d->nr_see++] = (struct held) { .handle = handle, .serial = serial };
	else if (!is_limit(ret) && ret != -ENOENT)
		complain("attach: %d", ret);
}

static void may_cancel(const struct held *h)
{
	int i;

	if (h->serial != NO_OP)
		__atomic_fetch_or(&sh->ops[h->serial].reasons, MAY_CANCEL, __ATOMIC_ACQ_REL);
	for (i = 0; i < h->nr_members; i++)
		__atomic_fetch_or(&sh->ops[h->members[i]].reasons, MAY_CANCEL, __ATOMIC_ACQ_REL);
}

static void do_cancel(struct driver *d)
{
	struct held *h;
	int ret;

	if (d->nr_see && (chance(&d->rng, 70) || !d->nr_own))
		h = &d->see[pick(&d->rng, d->nr_see)];
	else if (d->nr_own)
		h = &d->own[pick(&d->rng, d->nr_own)];
	else
		return;
	may_cancel(h);
	ret = abi_cancel(&d->p->c, h->handle, REASON);
	if (ret < 0)
		complain("cancel: %d", ret);
}

static void do_detach(struct driver *d)
{
	struct aop_status st;
	uint32_t i;

	if (!d->nr_see)
		return;
	i = pick(&d->rng, d->nr_see);
	if (abi_status(&d->p->c, d->see[i].handle, &st))
		complain("a handle of ours is stale");
	else if (st.state >= AOP_DONE)
		judge(d->see[i].serial, &st);
	drop(d, d->see[i].handle);
	forget(d->see, &d->nr_see, i);
}

static void do_modify(struct driver *d)
{
	int ret;

	if (!d->nr_own)
		return;
	ret = abi_modify(&d->p->c, d->own[pick(&d->rng, d->nr_own)].handle, 0,
			 pick(&d->rng, AOP_EV_ALL + 1));
	if (ret)
		complain("modify: %d", ret);
}

static void do_query(struct driver *d)
{
	struct aop_ioc_query q;
	struct held *h;
	char label[32];
	int ret;

	if (!d->nr_see)
		return;
	h = &d->see[pick(&d->rng, d->nr_see)];
	ret = abi_query(&d->p->c, h->handle, &q);
	snprintf(label, sizeof(label), "op %u", h->serial);
	if (ret || (h->serial != NO_OP && strcmp(label, q.label)))
		complain("query: %d, %s", ret, q.label);
}

/* A group over some of what it sees; it joins them. */
static void do_group(struct driver *d)
{
	struct held g = { .serial = NO_OP };
	uint64_t members[4];
	uint32_t n, i, k, flags = pick(&d->rng, AOP_GROUP_ALL_FLAGS + 1);
	struct held *h;
	int ret;

	if (!d->nr_see || d->nr_see == SEE)
		return;
	n = 1 + pick(&d->rng, 4);
	for (i = 0; i < n; i++) {
		h = &d->see[pick(&d->rng, d->nr_see)];
		members[i] = h->handle;
		/* Whom it may cancel; too many at the bottom: not this time. */
		if (g.nr_members + h->nr_members + 1 > 8)
			return;
		if (h->serial != NO_OP)
			g.members[g.nr_members++] = h->serial;
		for (k = 0; k < h->nr_members; k++)
			g.members[g.nr_members++] = h->members[k];
	}
	if (flags & AOP_GROUP_CANCEL_REST)
		may_cancel(&g);
	ret = abi_group(&d->p->c, members, n, 1 + pick(&d->rng, n), flags,
			pick(&d->rng, AOP_EV_ALL + 1), &g.handle);
	if (!ret)
		d->see[d->nr_see++] = g;
	else if (!is_limit(ret) && ret != -ELOOP)
		complain("group: %d", ret);
}

/* Signals, if any, and a wait for some of what it holds, that ends soon. */
static void do_wait(struct driver *d, bool signals)
{
	struct aop_signal_entry s[4];
	struct aop_wait_entry e[6];
	struct aop_ioc_wait w = {
		.size = sizeof(w), .entries = abi_u64(e), .entry_size = sizeof(*e),
		.signals = abi_u64(s), .signal_size = sizeof(*s),
	};
	struct held *h, *ends = NULL;
	uint32_t i, count;
	int ret;

	for (; w.nr < 6; w.nr++) {
		if (d->nr_see && chance(&d->rng, 60))
			h = &d->see[pick(&d->rng, d->nr_see)];
		else if (d->nr_own)
			h = &d->own[pick(&d->rng, d->nr_own)];
		else
			break;
		e[w.nr] = (struct aop_wait_entry) {
			.handle = h->handle,
			.mask = 1 + pick(&d->rng, AOP_EV_ALL),
			.seq = abi_slot(&d->p->c, abi_index(h->handle))->seq & ~1u,
		};
	}
	if (!w.nr)
		return;
	w.need = 1 + pick(&d->rng, w.nr);
	w.deadline = chance(&d->rng, 30) ? 0 : abi_now() + pick(&d->rng, 2000000);
	if (signals && d->nr_own) {
		for (; w.nr_signals < 3; w.nr_signals++)
			s[w.nr_signals] = (struct aop_signal_entry) {
				.handle = d->own[pick(&d->rng, d->nr_own)].handle,
				.what = AOP_SIGNAL_PROGRESS,
				.value = 1,
				.ret = -EPROTO,
			};
		/* The last one ends one; not detached, it may be waited for. */
		ends = &d->own[pick(&d->rng, d->nr_own)];
		say(d, ends, &s[w.nr_signals++]);
	}
	ret = abi_ioctl(d->p->c.fd, AOP_IOC_WAIT, &w);
	if (ret && ret != -ETIME && !is_limit(ret))
		complain("wait: %d", ret);
	for (i = 0, count = 0; i < w.nr && !is_limit(ret); i++) {
		count += !!e[i].events;
		if (e[i].events & ~e[i].mask)
			complain("wait: events %#x of %#x", e[i].events, e[i].mask);
	}
	if (!is_limit(ret) && (count != w.count || (!ret && count < w.need)))
		complain("wait: %d, %u of %u, counted %u", ret, w.count, w.need, count);
	if (!w.nr_signals)
		return;
	if (w.signalled != w.nr_signals)
		complain("signalled %u of %u", w.signalled, w.nr_signals);
	for (i = 0; i + 1 < w.nr_signals; i++)
		if (s[i].ret && s[i].ret != -EALREADY)
			complain("progress: %d", s[i].ret);
	said(d, ends, &s[w.nr_signals - 1]);
}

static void step(struct driver *d)
{
	uint32_t n = pick(&d->rng, 100);

	if (n < 22) {
		doing(d, "create");
		do_create(d);
	} else if (n < 30) {
		doing(d, "start");
		do_start(d);
	} else if (n < 36) {
		doing(d, "progress");
		do_progress(d);
	} else if (n < 46) {
		doing(d, "end");
		do_end(d);
	} else if (n < 47) {
		doing(d, "let go");
		do_let_go(d);
	} else if (n < 53) {
		doing(d, "send");
		do_send(d, n < 50);
	} else if (n < 61) {
		doing(d, "receive");
		do_receive(d);
	} else if (n < 72) {
		doing(d, "attach");
		do_attach(d);
	} else if (n < 78) {
		doing(d, "cancel");
		do_cancel(d);
	} else if (n < 84) {
		doing(d, "detach");
		do_detach(d);
	} else if (n < 86) {
		doing(d, "modify");
		do_modify(d);
	} else if (n < 88) {
		doing(d, "query");
		do_query(d);
	} else if (n < 91) {
		doing(d, "group");
		do_group(d);
	} else if (n < 96) {
		doing(d, "signal and wait");
		do_wait(d, true);
	} else {
		doing(d, "wait");
		do_wait(d, false);
	}
}

/* One step less to take. */
static bool more(void)
{
	uint32_t left = LOAD(&sh->steps);

	while (left) {
		if (__atomic_compare_exchange_n(&sh->steps, &left, left - 1, true,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			if (left % 256 == 0)
				(void)!write(token[1], "", 1);
			return true;
		}
	}
	return false;
}

static void *driver_run(void *arg)
{
	struct driver *d = arg;
	uint64_t one = 1;
	uint32_t i;
	int ret;

	while (more())
		step(d);
	/* Whoever had the last token to send may have been killed before. */
	(void)!write(token[1], "", 1);
	/* First all that is ours ends; only then may it wait for the others. */
	doing(d, "end all");
	while (d->nr_own)
		do_end(d);
	doing(d, "wait for ever");
	for (i = 0; i < d->nr_see; i++) {
		ret = abi_wait_one(&d->p->c, d->see[i].handle, AOP_EV_FINAL, 0);
		if (ret != AOP_EV_FINAL && !is_limit(ret))
			complain("last wait: %d", ret);
	}
	while (d->nr_see)
		do_detach(d);
	doing(d, "over");
	if (!__atomic_sub_fetch(&d->p->drivers, 1, __ATOMIC_ACQ_REL))
		(void)!write(d->p->bell, &one, sizeof(one));
	return NULL;
}

#endif /* SELFTESTS_STRESS_DRIVER_H */
