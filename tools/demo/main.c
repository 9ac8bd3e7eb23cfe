// SPDX-License-Identifier: GPL-2.0
/*
 * demo - two processes share operations through /dev/aop, on real files
 *
 * A server compresses files, each of which is an op; a client watches them.  In the
 * first round one op is cancelled half-way, since its input stalls; one misses its
 * deadline, since its input is too slow for it; all others end well.  In the second
 * round the client kills the server in the middle of its work, and all ops that are open
 * end at once.  Every output is decompressed and compared with the original.
 *
 * The exit status is 0 only if every op ended as it had to and all outputs are good.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo.h"

#define SLOW_SECONDS	6		/* what the slow input takes */
#define DEADLINE	AOP_SEC(3)	/* what it has got */

struct options {
	size_t files;
	unsigned int threads;
	const char *dir;
};

static void usage(FILE *f)
{
	fprintf(f,
		"Usage: demo [OPTION]...\n"
		"Two processes share operations through " AOP_DEVICE ".\n"
		"\n"
		"  -n, --files N       how many files to compress, %d to %d (28)\n"
		"  -t, --threads N     threads of the server, %d to %d (4)\n"
		"  -d, --seed-dir DIR  where to look for files (/usr)\n"
		"  -h, --help          this text\n"
		"\n"
		"NO_COLOR and TERM=dumb are respected.\n",
		MIN_FILES, MAX_FILES, STALLED_JOBS, MAX_THREADS);
}

static unsigned long parse_number(const char *option, const char *text, unsigned long min,
				  unsigned long max)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || n < min || n > max) {
		fprintf(stderr, "demo: %s: '%s' is not a number from %lu to %lu\n", option, text,
			min, max);
		exit(2);
	}
	return n;
}

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "files", required_argument, NULL, 'n' },
		{ "threads", required_argument, NULL, 't' },
		{ "seed-dir", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "n:t:d:h", longs, NULL)) != -1) {
		switch (opt) {
		case 'n':
			o->files = parse_number("--files", optarg, MIN_FILES, MAX_FILES);
			break;
		case 't':
			o->threads = parse_number("--threads", optarg, STALLED_JOBS, MAX_THREADS);
			break;
		case 'd':
			o->dir = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "demo: unexpected '%s'\n", argv[optind]);
		exit(2);
	}
}

/* ---- the two rounds -------------------------------------------------------------- */

static void swap(struct file *a, struct file *b)
{
	struct file t = *a;

	*a = *b;
	*b = t;
}

/* The largest two to the front: there is much to see of them. */
static void largest_first(struct file *files, size_t n)
{
	size_t i, k;

	for (k = 0; k < 2; k++)
		for (i = k + 1; i < n; i++)
			if (files[i].size > files[k].size)
				swap(&files[k], &files[i]);
}

static int plan(struct round *r, int number, const struct options *o, const struct file *files,
		size_t n, const char *dir)
{
	/* So that some are done when the server dies, and some have not begun. */
	size_t later = n / 6, i;

	memset(r, 0, sizeof(*r));
	r->number = number;
	r->kill = number == 2;
	r->threads = o->threads;
	r->jobs = calloc(n, sizeof(*r->jobs));
	if (!r->jobs)
		return -ENOMEM;
	for (; r->n < n; r->n++) {
		struct job *job = &r->jobs[r->n];

		i = r->n;
		if (r->kill)
			i = i < later ? i + 2 : i < later + 2 ? i - later : i;
		job->file = &files[i];
		job->expect = LOOK_DONE;
		if (asprintf(&job->out, "%s/%d-%zu.zst", dir, number, r->n) < 0) {
			job->out = NULL;
			return -ENOMEM;
		}
		r->bytes += job->file->size;
		if (r->kill && i < STALLED_JOBS) {
			job->stall = job->file->size * (i + 1) / (STALLED_JOBS + 1);
			job->expect = LOOK_DIED;
		} else if (!r->kill && i == 0) {
			job->rate = job->file->size / SLOW_SECONDS;
			job->deadline = DEADLINE;
			job->expect = LOOK_LATE;
		} else if (!r->kill && i == 1) {
			job->stall = job->file->size / 2;
			job->expect = LOOK_CANCELLED;
		}
	}
	return 0;
}

static void forget(struct round *r)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		unlink(r->jobs[i].out);
		free(r->jobs[i].out);
	}
	free(r->jobs);
}

static int play(const struct round *r, struct view *v, struct tally *t)
{
	sigset_t own;
	int sv[2], ret;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		ret = -errno;
		close(sv[0]);
		close(sv[1]);
		return ret;
	}
	if (!pid) {
		/* What the keyboard sends is for the client to decide. */
		sigemptyset(&own);
		sigaddset(&own, SIGINT);
		sigprocmask(SIG_SETMASK, &own, NULL);
		close(sv[0]);
		_exit(server(r, sv[1]) < 0);
	}
	close(sv[1]);
	ret = view_round(v, r, pid);
	if (ret < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	} else {
		ret = client(r, sv[0], pid, v, t);
	}
	close(sv[0]);
	return ret;
}

static void sum_up(const struct tally *t, const struct view *v)
{
	char in[SIZE_TEXT], out[SIZE_TEXT], same[SIZE_TEXT];

	printf("%zu done: %s -> %s, %u%%; decompressed and compared: %s\n", t->ended[LOOK_DONE],
	       size_text(in, t->in), size_text(out, t->out), percent(t->out, t->in),
	       size_text(same, t->compared));
	printf("%zu cancelled half-way; %zu missed its deadline\n", t->ended[LOOK_CANCELLED],
	       t->ended[LOOK_LATE]);
	printf("%zu lost their owner, %zu in mid-work: ", t->ended[LOOK_DIED], t->cut);
	printf("EOWNERDEAD within %.1f ms, in %llu wake-up%s\n", t->death / 1e6,
	       (unsigned long long)t->last_wakeups, t->last_wakeups == 1 ? "" : "s");
	if (t->events)
		printf("%llu events, %.2f system calls each; %llu frames from mapped slots: none\n",
		       (unsigned long long)t->events, (double)t->wakeups / t->events,
		       (unsigned long long)t->frames);
	if (v->complaints)
		printf("%u WRONG\n", v->complaints);
}

static int run(const struct options *o, struct file *files, size_t n, const char *dir)
{
	struct tally tally = { 0 };
	struct round r;
	struct view v;
	int number, ret = 0;

	view_open(&v);
	for (number = 1; number <= 2 && ret >= 0 && ret < 128; number++) {
		ret = plan(&r, number, o, files, n, dir);
		if (ret >= 0)
			ret = play(&r, &v, &tally);
		forget(&r);
	}
	view_close(&v);
	if (ret < 0)
		fprintf(stderr, "demo: %s\n", strerror(-ret));
	if (ret < 0 || ret >= 128)
		return ret < 0 ? 1 : ret;
	sum_up(&tally, &v);
	return v.complaints != 0;
}

int main(int argc, char **argv)
{
	struct options o = { .files = 28, .threads = 4, .dir = "/usr" };
	const char *tmp = getenv("TMPDIR") ?: "/tmp";
	struct file files[MAX_FILES];
	struct utsname uts;
	sigset_t signals;
	char *dir;
	int n, ret;

	parse(&o, argc, argv);
	if (access(AOP_DEVICE, R_OK | W_OK)) {
		if (errno == ENOENT)
			fprintf(stderr, "demo: no " AOP_DEVICE ": modprobe aop\n");
		else
			perror("demo: " AOP_DEVICE);
		return 1;
	}
	n = files_find(files, o.files, o.dir);
	if (n < MIN_FILES) {
		fprintf(stderr, "demo: %s: %s\n", o.dir, n < 0 ? strerror(-n) :
			"too few files that are neither tiny nor huge");
		if (n > 0)
			files_free(files, n);
		return 1;
	}
	largest_first(files, n);

	/* The client reads them from a descriptor; a reader that goes away stops nothing. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGWINCH);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	if (asprintf(&dir, "%s/aop-demo.XXXXXX", tmp) < 0 || !mkdtemp(dir)) {
		fprintf(stderr, "demo: %s: %s\n", tmp, strerror(errno));
		return 1;
	}
	uname(&uts);
	printf("aop on Linux %s: %d files below %s, %u threads\n\n", uts.release, n, o.dir,
	       o.threads);
	fflush(stdout);
	ret = run(&o, files, n, dir);
	if (rmdir(dir))
		fprintf(stderr, "demo: %s: %s\n", dir, strerror(errno));
	free(dir);
	files_free(files, n);
	if (fflush(stdout) || ferror(stdout))
		ret = ret ?: 1;
	return ret;
}
