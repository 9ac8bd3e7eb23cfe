// SPDX-License-Identifier: GPL-2.0
/*
 * wait.c - until ops have ended
 *
 * A real watcher of each, not a listener: the kernel wakes it, and nothing can be missed.
 */
#include <errno.h>
#include <string.h>

#include "aopstat.h"

struct waiting {
	size_t n;
	struct aop *op;
	struct aop **ops;
	const char **names;
};

static int attach(struct waiting *w, struct aop_ctx *ctx, char **argv, int argc)
{
	uint64_t id;
	int i, ret;

	for (i = 0; i < argc; i++) {
		if (parse_number(argv[i], &id)) {
			complain("'%s' is no id", argv[i]);
			return EXIT_USAGE;
		}
		ret = aop_attach_id(&w->op[w->n], ctx, id, AOP_MAY_LOOK);
		if (ret == -ENOENT) {
			complain("there is no op %s that you may look at", argv[i]);
			return EXIT_NOT_FOUND;
		}
		if (ret < 0) {
			complain("op %s: %s", argv[i], strerror(-ret));
			return status_of(ret);
		}
		w->ops[w->n] = &w->op[w->n];
		w->names[w->n++] = argv[i];
	}
	return EXIT_OK;
}

/* Says how those that have ended did. */
static int judge(const struct waiting *w)
{
	int ret = EXIT_OK;
	size_t i;

	for (i = 0; i < w->n; i++) {
		enum aop_state state = aop_state(w->ops[i]);
		int64_t result = aop_result(w->ops[i]);

		if (!aop_is_final(w->ops[i]))
			continue;
		if (state == AOP_DONE)
			printf("%s: %s %lld\n", w->names[i], aop_state_name(state),
			       (long long)result);
		else
			printf("%s: %s %s\n", w->names[i], aop_state_name(state),
			       error_name(result));
		if (state == AOP_FAILED)
			ret = EXIT_OP_FAILED;
		else if (state == AOP_CANCELLED && !ret)
			ret = EXIT_CANCELLED;
	}
	return ret;
}

static int wait_and_judge(struct waiting *w, const struct settings *s)
{
	int ret, judged;

	if (s->any)
		ret = aop_wait_any(w->ops, w->n, s->timeout);
	else
		ret = aop_wait_all(w->ops, w->n, s->timeout);
	judged = judge(w);
	if (ret >= 0)
		return judged;
	if (ret == -ETIME)
		complain("not within the time given");
	else
		complain("%s", strerror(-ret));
	return status_of(ret);
}

int cmd_wait(struct settings *s, int argc, char **argv)
{
	struct waiting w = { .n = 0 };
	struct aop_ctx *ctx;
	size_t i;
	int ret;

	ret = aop_ctx_open(&ctx, NULL);
	if (ret < 0)
		return context_complain(ret);
	w.op = calloc(argc, sizeof(*w.op));
	w.ops = calloc(argc, sizeof(*w.ops));
	w.names = calloc(argc, sizeof(*w.names));
	if (w.op && w.ops && w.names)
		ret = attach(&w, ctx, argv, argc);
	else
		ret = live_complain(-ENOMEM);
	if (!ret)
		ret = wait_and_judge(&w, s);
	for (i = 0; i < w.n; i++)
		aop_drop(w.ops[i]);
	aop_ctx_close(ctx);
	free(w.names);
	free(w.ops);
	free(w.op);
	return ret;
}
