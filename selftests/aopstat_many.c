// SPDX-License-Identifier: GPL-2.0
/*
 * aopstat with very many operations: it shows all, or those that it was asked for.  How
 * long that takes is told, but decides nothing.
 */
#include "lib.h"

#define MANY	100000

FIXTURE(many) {
	struct aop_ctx *ctx;
	struct aop *ops;
};

FIXTURE_SETUP(many)
{
	const struct aop_ctx_opts opts = { .size = sizeof(opts), .slots = 1 << 17 };
	char label[AOP_LABEL_SIZE];
	int i;

	self->ops = calloc(MANY, sizeof(*self->ops));
	ASSERT_NE(NULL, self->ops);
	ASSERT_EQ(0, aop_ctx_open(&self->ctx, &opts));
	for (i = 0; i < MANY; i++) {
		if (i % 512 == 0)
			aop_cork(self->ctx);
		snprintf(label, sizeof(label), "job-%d", i);
		aop_init_with(&self->ops[i], self->ctx, AOP_OPTS(.label = label));
		if (i % 512 == 511 || i == MANY - 1)
			ASSERT_LE(0, aop_uncork(self->ctx));
	}
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(AOP_PENDING, aop_state(&self->ops[i]));
}

FIXTURE_TEARDOWN(many)
{
	aop_ctx_close(self->ctx);
	free(self->ops);
}

/* Runs it, and counts the lines that it prints. */
static int lines_of(const char *command, const char *what)
{
	int64_t begun = aop_now();
	char buf[1 << 16];
	int lines = 0;
	size_t n, i;
	FILE *f;

	f = popen(command, "r");
	if (!f)
		return -errno;
	while ((n = fread(buf, 1, sizeof(buf), f)))
		for (i = 0; i < n; i++)
			lines += buf[i] == '\n';
	if (pclose(f))
		return -ECHILD;
	printf("# %s of %d ops: %.2f s\n", what, MANY, (aop_now() - begun) / 1e9);
	return lines;
}

#define AOPSTAT	"build/tools/aopstat "

TEST_F_TIMEOUT(many, list, 120)
{
	EXPECT_EQ(MANY, lines_of(AOPSTAT "list --no-header", "list"));
	EXPECT_EQ(MANY, lines_of(AOPSTAT "list --json", "list --json"));
	EXPECT_EQ(10, lines_of(AOPSTAT "list --no-header -f label=job-7777?", "list of ten"));
	/* A frame of the table: a line about all, and the rows that it shows. */
	EXPECT_EQ(21, lines_of(AOPSTAT "top --no-header -n 1 --rows 20", "a frame"));
}

TEST_HARNESS_MAIN
