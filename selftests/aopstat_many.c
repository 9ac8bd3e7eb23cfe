// SPDX-License-Identifier: GPL-2.0
/*
 * aopstat with very many operations: it shows all, or those that it was asked for.  How
 * long that takes is told, but decides nothing.
 */
#include <pty.h>
#include <signal.h>

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

/* ---- the live table ------------------------------------------------------------ */

#define CTRL_L	"\f"

/* Sends keys, the last of which draws all anew, and reads until the last line has been drawn. */
static int frame(int terminal, const char *keys, char *buf, size_t size)
{
	size_t len = strlen(keys), have = 0;
	ssize_t n;

	if (write(terminal, keys, len) != (ssize_t)len)
		return -errno;
	do {
		if (have == size - 1)
			have = 0;
		n = read(terminal, buf + have, size - 1 - have);
		if (n <= 0)
			return -EPIPE;
		have += n;
		buf[have] = '\0';
	} while (!strstr(buf, "help"));
	return 0;
}

/* How long a key takes is told; that it is answered is tested. */
TEST_F_TIMEOUT(many, live, 120)
{
	struct winsize size = { .ws_row = 24, .ws_col = 130 };
	static char buf[1 << 16];
	int terminal, frames = 0;
	int64_t begun;
	pid_t pid;

	pid = forkpty(&terminal, NULL, NULL, &size);
	ASSERT_GE(pid, 0);
	if (!pid) {
		setenv("TERM", "xterm", 1);
		setenv("LC_ALL", "C.UTF-8", 1);
		execl("build/tools/aopstat", "aopstat", NULL);
		_exit(127);
	}
	begun = aop_now();
	do {
		ASSERT_EQ(0, frame(terminal, CTRL_L, buf, sizeof(buf)));
		frames++;
	} while (!strstr(buf, "100000 ops"));
	printf("# the live table has %d ops after %.2f s, %d times drawn meanwhile\n", MANY,
	       (aop_now() - begun) / 1e9, frames);
	begun = aop_now();
	ASSERT_EQ(0, frame(terminal, "G" CTRL_L, buf, sizeof(buf)));
	printf("# to the last row: %.3f s\n", (aop_now() - begun) / 1e9);
	begun = aop_now();
	ASSERT_EQ(0, frame(terminal, "/job-7777\r" CTRL_L, buf, sizeof(buf)));
	printf("# a filter: %.3f s\n", (aop_now() - begun) / 1e9);
	EXPECT_NE(NULL, strstr(buf, "aopstat  11 ops"));
	EXPECT_EQ(0, kill(pid, SIGTERM));
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	close(terminal);
}

TEST_HARNESS_MAIN
