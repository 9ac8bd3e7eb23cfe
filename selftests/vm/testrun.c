// SPDX-License-Identifier: GPL-2.0
/*
 * Runs test programs one after the other in one guest, and counts.
 *
 *	testrun [-t SECONDS] SPLATS PROGRAM...
 *
 * A program prints TAP: its results are counted one by one, and it must print
 * as many as its plan says.  One that prints no TAP counts as one test, by its
 * exit status (4 is a skip, as everywhere in kselftest).  Counted as failed too:
 * to end with another status than its results deserve, to run into the time
 * limit, to leave a line in the kernel log that the file SPLATS matches.  The
 * output goes on as it comes; the last line is "# total: PASSED FAILED SKIPPED".
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hang.h"

#define KSFT_SKIP	4

struct count {
	int passed;
	int failed;
	int skipped;
	int plan;	/* -1: none seen */
};

static const char *program;
static int limit = 600;

__attribute__((format(printf, 2, 3)))
static void fail(struct count *c, const char *fmt, ...)
{
	va_list ap;

	c->failed++;
	printf("not ok - %s: ", program);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* ---- the kernel log ---- */

static regex_t splat;
static int kmsg = -1;

/* Each line of the file is an expression; any of them counts. */
static int read_splats(const char *path)
{
	static char all[16384];
	char line[512];
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (strlen(all) + strlen(line) + 4 > sizeof(all))
			return -1;
		sprintf(all + strlen(all), "%s(%s)", *all ? "|" : "", line);
	}
	fclose(f);
	return regcomp(&splat, all, REG_EXTENDED | REG_NOSUB) ? -1 : 0;
}

static void scan_log(struct count *c)
{
	char rec[8192], *text;
	int bad = 0;
	ssize_t n;

	for (;;) {
		n = read(kmsg, rec, sizeof(rec) - 1);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			break;
		rec[n] = 0;
		text = strchr(rec, ';');
		if (!text)
			continue;
		text[strcspn(text, "\n")] = 0;
		if (bad || !regexec(&splat, text, 0, NULL, 0)) {
			/* From the first complaint on, all of it. */
			if (!bad++)
				fail(c, "the kernel complained:");
			printf("# | %s\n", text + 1);
		}
	}
	fflush(stdout);
}

/* ---- one program ---- */

static void count_line(struct count *c, const char *line)
{
	const char *directive = strchr(line, '#');

	if (sscanf(line, "1..%d", &c->plan) == 1)
		return;
	if (!strncmp(line, "not ok", 6) && !isalnum(line[6]))
		c->failed++;
	else if (strncmp(line, "ok", 2) || isalnum(line[2]))
		return;
	else if (directive && (!strncasecmp(directive, "# SKIP", 6) ||
			       !strncasecmp(directive, "# XFAIL", 7)))
		c->skipped++;
	else
		c->passed++;
}

/* Passes on what there is and counts its whole lines; false at the end. */
static bool pump(struct count *c, int fd, char *line, size_t size, size_t *fill)
{
	char buf[4096];
	ssize_t n, i;

	n = read(fd, buf, sizeof(buf));
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	fwrite(buf, 1, n, stdout);
	fflush(stdout);
	for (i = 0; i < n; i++) {
		if (buf[i] == '\n') {
			line[*fill] = 0;
			count_line(c, line);
			*fill = 0;
		} else if (*fill < size - 1) {
			line[(*fill)++] = buf[i];
		}
	}
	return true;
}

/* Whoever the program left behind has become our child. */
static void kill_children(void)
{
	char path[64], text[4096], *p, *end;
	long pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	do {
		look_into(text, sizeof(text), path);
		for (p = text; (pid = strtol(p, &end, 10)) > 0; p = end)
			kill(pid, SIGKILL);
	} while (wait(NULL) > 0 || errno == EINTR);
}

static void judge(struct count *c, int status, bool late)
{
	int tests = c->passed + c->failed + c->skipped;

	if (late)
		fail(c, "did not end within %d s", limit);
	else if (WIFSIGNALED(status))
		fail(c, "killed by signal %d", WTERMSIG(status));
	else if (!tests && c->plan < 0 && WEXITSTATUS(status) == KSFT_SKIP)
		c->skipped++;
	else if (!tests && c->plan < 0 && !WEXITSTATUS(status))
		c->passed++;
	else if (WEXITSTATUS(status) && WEXITSTATUS(status) != KSFT_SKIP && !c->failed)
		fail(c, "exit status %d", WEXITSTATUS(status));
	if (c->plan >= 0 && tests != c->plan)
		fail(c, "%d results for a plan of %d", tests, c->plan);
}

static struct count run(void)
{
	struct count c = { .plan = -1 };
	long long start = now_ms();
	int io[2], pidfd, status = 0;
	struct pollfd pfd[2];
	char line[4096];
	size_t fill = 0;
	bool late = false, open = true;
	pid_t pid;

	printf("# %s\n", program);
	fflush(stdout);
	if (pipe2(io, O_CLOEXEC))
		exit(1);
	pid = fork();
	if (!pid) {
		setsid();
		dup2(io[1], 1);
		dup2(io[1], 2);
		execl(program, program, NULL);
		fprintf(stderr, "# %s: %m\n", program);
		_exit(127);
	}
	close(io[1]);
	fcntl(io[0], F_SETFL, O_NONBLOCK);
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (pid < 0 || pidfd < 0)
		exit(1);

	/* Until the program ends: what it started may hold the pipe longer. */
	pfd[0] = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = io[0], .events = POLLIN };
	for (;;) {
		long long left = start + limit * 1000LL - now_ms();

		if (left <= 0) {
			late = true;
			tell_hang(STDOUT_FILENO);
			break;
		}
		poll(pfd, 2, left);
		if (pfd[1].revents && open)
			open = pump(&c, io[0], line, sizeof(line), &fill);
		if (!open)
			pfd[1].fd = -1;
		if (pfd[0].revents)
			break;
	}
	kill(-pid, SIGKILL);
	waitpid(pid, &status, 0);
	kill_children();
	while (open && poll(pfd + 1, 1, 0) > 0)
		open = pump(&c, io[0], line, sizeof(line), &fill);
	close(io[0]);
	close(pidfd);

	judge(&c, status, late);
	scan_log(&c);
	printf("# %s: %d passed, %d failed, %d skipped, %.1f s\n", program,
	       c.passed, c.failed, c.skipped, (now_ms() - start) / 1000.0);
	fflush(stdout);
	return c;
}

int main(int argc, char **argv)
{
	struct count all = { 0 };
	int opt;

	while ((opt = getopt(argc, argv, "t:")) != -1) {
		if (opt != 't')
			return 2;
		limit = atoi(optarg);
	}
	argv += optind;
	if (argc - optind < 2) {
		fprintf(stderr, "usage: testrun [-t SECONDS] SPLATS PROGRAM...\n");
		return 2;
	}
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (read_splats(*argv++) || kmsg < 0) {
		fprintf(stderr, "testrun: cannot watch the kernel log\n");
		return 2;
	}
	lseek(kmsg, 0, SEEK_END);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (; (program = *argv); argv++) {
		struct count c = run();

		all.passed += c.passed;
		all.failed += c.failed;
		all.skipped += c.skipped;
	}
	printf("# total: %d %d %d\n", all.passed, all.failed, all.skipped);
	return all.failed ? 1 : 0;
}
