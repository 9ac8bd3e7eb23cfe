// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * port_name.c - names of ports
 *
 * In shared scope the module has them.  Those of local ports are found by all threads, under
 * names_lock, which is held across a fork; those of private ports by their own thread only,
 * which takes none.  A bound name has a watcher of the port's op, so that who finds it can
 * have another; it is given up when the port is final.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "port.h"
#include "shared.h"

struct lock names_lock;
static struct name *local_names;
static TLS struct name *private_names;

static struct name *to_name(struct aop_port_name *n)
{
	return (struct name *)n;
}

static struct name **names_of(const struct aop_ctx *where)
{
	return where == AOP_LOCAL ? &local_names : &private_names;
}

static void lock(const struct aop_ctx *where)
{
	/* If that fails a child may find it locked: so it is everywhere without handlers. */
	if (where == AOP_LOCAL)
		fork_handle();
	line_lock(&names_lock, where == AOP_LOCAL);
}

static void unlock(const struct aop_ctx *where)
{
	line_unlock(&names_lock, where == AOP_LOCAL);
}

/* Bytes of the character at s, 0: it is none. */
static unsigned int utf8_length(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int n, i;
	uint32_t c;

	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xf8 ? 0 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
	c = s[0] & (0x7f >> n);
	/* The terminating 0 is no byte of a character, so this does not pass it. */
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return n;
}

/* The rules of the module's names. */
static int check_name(const char *name)
{
	const unsigned char *s = (const unsigned char *)name;
	unsigned int n;

	if (!name || !*name)
		return -EINVAL;
	if (strnlen(name, AOP_NAME_SIZE) == AOP_NAME_SIZE)
		return -ENAMETOOLONG;
	for (; *s; s += n) {
		if (*s < ' ' || *s == 0x7f)
			return -EINVAL;
		n = utf8_length(s);
		if (!n)
			return -EILSEQ;
	}
	return 0;
}

/* With the lock held. */
static struct name *find(struct aop_ctx *where, const char *text)
{
	struct name *n = *names_of(where);

	while (n && strcmp(n->text, text))
		n = n->next;
	return n;
}

static struct port *unbind(struct name *n)
{
	struct port *p = n->port;

	n->port = NULL;
	return p;
}

static void drop(struct port *p)
{
	if (p)
		aop_drop(&p->op);
}

/* In shared scope: what the module does with a name. */
static int call_module(struct aop_ctx *ctx, struct aop_ioc_name *e, const char *text)
{
	e->size = sizeof(*e);
	e->name = (uintptr_t)text;
	return kernel_call(ctx, AOP_IOC_NAME, e);
}

static int shared_reserve(struct name *n, struct aop_ctx *ctx, unsigned int mode,
			  struct aop_holder *holder)
{
	struct aop_ioc_name e = {
		.what = AOP_NAME_RESERVE,
		.mode = mode ? mode & 0111 : 0100,
	};
	int ret;

	ret = call_module(ctx, &e, n->text);
	if (ret == -EEXIST && holder)
		*holder = (struct aop_holder){ .id = e.id, .uid = e.uid, .pid = e.pid };
	if (ret)
		return ret;
	n->where = ctx;
	n->mode = e.mode;
	return 0;
}

static int shared_bind(struct name *n, const struct port *p)
{
	struct aop_ioc_name e = {
		.what = AOP_NAME_BIND,
		.mode = n->mode,
		.handle = to_op(&p->op)->handle,
	};

	return call_module(n->where, &e, n->text);
}

static int shared_release(struct name *n)
{
	struct aop_ioc_name e = { .what = AOP_NAME_RELEASE };
	struct aop_ctx *ctx = n->where;

	n->where = NULL;
	return call_module(ctx, &e, n->text);
}

static int shared_find(struct port *p, struct aop_ctx *ctx, const char *text)
{
	struct aop_ioc_name e = { .what = AOP_NAME_FIND };
	int ret;

	ret = call_module(ctx, &e, text);
	if (ret)
		return ret;
	memset(p, 0, sizeof(*p));
	p->where = ctx;
	op_bind(to_op(&p->op), ctx, NULL, e.handle, AOP_MAY_CALL, 0);
	return 0;
}

/**
 * aop_name_reserve() - have a name for a port
 * @n: memory of the caller's, uninitialised, that stays where it is until released
 * @where: AOP_PRIVATE: for ports of this thread; AOP_LOCAL: for those of this process; or an
 *	opened context: for those of a network namespace; it is gone with the context
 * @text: valid UTF-8 without control characters, shorter than AOP_NAME_SIZE; copied
 * @mode: between processes: x bits, who may find it; 0: 0100
 * @holder: out, with -EEXIST: who has it; or NULL
 *
 * One system call in shared scope.  Does not block.  Any thread in local and shared scope;
 * not a signal handler.
 *
 * Return: 0; -EEXIST: somebody has it; -EILSEQ: is not UTF-8; -ENAMETOOLONG; -EINVAL: is
 * empty, or has control characters, or @mode is wrong, or @where is NULL; in shared scope
 * also -EDQUOT: the user has too many; -ENOMEM; -EIO.
 */
int aop_name_reserve(struct aop_port_name *n, struct aop_ctx *where, const char *text,
		     unsigned int mode, struct aop_holder *holder)
{
	struct name *mine = to_name(n), *theirs;
	int ret;

	mine->where = NULL;
	if (!where || mode & ~0777)
		return -EINVAL;
	ret = check_name(text);
	if (ret)
		return ret;
	strcpy(mine->text, text);
	mine->port = NULL;
	if (!in_process(where))
		return shared_reserve(mine, where, mode, holder);
	lock(where);
	theirs = find(where, text);
	if (theirs) {
		if (holder)
			*holder = (struct aop_holder){
				.port = (struct aop_port *)theirs->port,
				.uid = geteuid(),
				.pid = getpid(),
			};
		unlock(where);
		return -EEXIST;
	}
	mine->where = where;
	mine->next = *names_of(where);
	*names_of(where) = mine;
	unlock(where);
	return 0;
}

/**
 * aop_name_bind() - bind a reserved name to a port
 * @n: the name
 * @p: a port of the same scope that the caller drives
 *
 * When that is final, the name is bound to nothing.  One that is bound is bound anew.
 *
 * Return: 0; -EINVAL: @n is not reserved, or @p is of another scope; -EPERM: this struct
 * has not the right to drive it, or not any more; -ESHUTDOWN: it is final.
 */
int aop_name_bind(struct aop_port_name *n, struct aop_port *p)
{
	struct name *name = to_name(n);
	struct port *port = to_port(p), *old;

	if (!name->where || port->where != name->where)
		return -EINVAL;
	if (!aop_owner(&port->op))
		return -EPERM;
	if (!in_process(name->where))
		return shared_bind(name, port);
	aop_hold(&port->op);
	lock(name->where);
	old = unbind(name);
	name->port = port;
	unlock(name->where);
	drop(old);
	/* The port is the caller's to end: nobody else can have, but by a cancel. */
	if (unlikely(aop_is_final(&port->op))) {
		lock(name->where);
		old = unbind(name);
		unlock(name->where);
		drop(old);
		return -ESHUTDOWN;
	}
	return 0;
}

/**
 * aop_name_release() - give a name up
 * @n: a name; the caller's memory afterwards
 *
 * What it was bound to goes on.  Any thread in local and shared scope, one at a time for a
 * name.
 *
 * Return: 0; -EINVAL: it is not reserved; -EIO: in a forked child.
 */
int aop_name_release(struct aop_port_name *n)
{
	struct name *name = to_name(n), **at;
	struct aop_ctx *where = name->where;
	struct port *old;

	if (!where)
		return -EINVAL;
	if (!in_process(where))
		return shared_release(name);
	lock(where);
	for (at = names_of(where); *at != name; at = &(*at)->next)
		;
	*at = name->next;
	old = unbind(name);
	name->where = NULL;
	unlock(where);
	drop(old);
	return 0;
}

unsigned int names_forget(struct port *p)
{
	struct aop_ctx *where = p->where;
	unsigned int held = 0;
	struct name *n, **at;

	lock(where);
	for (at = names_of(where); (n = *at); ) {
		if (n->port == p) {
			n->port = NULL;
			held++;
		}
		if (n == to_name(&p->name)) {
			*at = n->next;
			n->where = NULL;
		} else {
			at = &n->next;
		}
	}
	unlock(where);
	return held;
}

/**
 * aop_port_find() - the port that a name is bound to
 * @p: memory of the caller's, uninitialised, that stays where it is until dropped; in process
 *	it is used only for an error
 * @where: the scope of the name
 * @name: what aop_name_reserve() was told, or aop_port_init()
 *
 * What is returned is held, as by aop_hold(): drop its op.  It may be final by then.  In
 * shared scope it may be called, and nothing else.  Any thread in local and shared scope.
 *
 * Return: the port; or @p, whose op is FAILED: -ENOENT: nobody has that name; -ENOTCONN:
 * it is reserved, and bound to nothing; -EILSEQ, -ENAMETOOLONG, -EINVAL: it is no name; in
 * shared scope also -EACCES: its mode does not allow it; -ENOSPC, -EDQUOT, -ENOMEM, -EIO.
 * Calls of it end so.
 */
struct aop_port *aop_port_find(struct aop_port *p, struct aop_ctx *where, const char *name)
{
	struct port *found = NULL;
	struct name *n;
	int ret;

	ret = where ? check_name(name) : -EINVAL;
	if (ret)
		goto none;
	if (!in_process(where)) {
		ret = shared_find(to_port(p), where, name);
		if (ret)
			goto none;
		return p;
	}
	lock(where);
	n = find(where, name);
	if (n && n->port) {
		found = n->port;
		aop_hold(&found->op);
	}
	unlock(where);
	if (found)
		return (struct aop_port *)found;
	ret = n ? -ENOTCONN : -ENOENT;
none:
	port_failed(to_port(p), ret);
	return p;
}
