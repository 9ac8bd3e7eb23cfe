// SPDX-License-Identifier: GPL-2.0
/*
 * A fuzzer of /dev/aop: programs of calls that make some sense, run by two threads at
 * once, while a third one scribbles on the consumers' heads and on the memory that calls
 * are made with.  Where the kernel has KCOV a program that reaches something new is kept,
 * and changed further.
 *
 *	fuzz [-s SEED] [-n COUNT] [-c CORPUS] [-o] [-r PROGRAM]
 *
 * Without -n a bounded number of programs is run; the corpus is that beside this file,
 * when the current folder is the source's top.  -o prints those that were kept, in
 * the form of a corpus; -r runs one of that form, COUNT times.  A seed fixes everything
 * but what the race of the threads decides.  When the kernel complains, when a call does
 * not come back, or when operations are left over, the last program is printed.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "../driver_call.h"
#include "../slow.h"
#include "fuzz.h"

#define COUNT		3000
#define MAX_CORPUS	4096
#define TICK_MS		20		/* how long a call may sleep */
#define LIMIT_S		120		/* how long a program may take */

static struct world world;
static struct prog corpus[MAX_CORPUS];
static unsigned int nr_corpus;
static struct prog current;
static unsigned long calls, answered[64], refused[64];

/* ---- numbers ---------------------------------------------------------------- */

static uint64_t rng;

static uint32_t draw(uint32_t n)
{
	uint64_t z = rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (z >> 32) % n;
}

/* ---- programs as text --------------------------------------------------------- */

static void print(FILE *to, const struct prog *p)
{
	unsigned int i, k;

	for (i = 0; i < p->nr; i++) {
		fprintf(to, "%s%s/%u", i ? " " : "", kinds[p->call[i].kind].name,
			p->call[i].thread);
		for (k = 0; k < ARGS; k++)
			fprintf(to, "%c%x", k ? ',' : ':', p->call[i].arg[k]);
	}
	fprintf(to, "\n");
	fflush(to);
}

#define SPACE	"\n "

static bool parse(struct prog *p, char *text)
{
	unsigned int k, v[ARGS], thread;
	char name[32], *word, *rest;

	p->nr = 0;
	for (word = strtok_r(text, SPACE, &rest); word; word = strtok_r(NULL, SPACE, &rest)) {
		struct call *c = &p->call[p->nr];

		if (*word == '#' || p->nr == MAX_CALLS)
			break;
		if (sscanf(word, "%31[a-z]/%u:%x,%x,%x,%x,%x,%x", name, &thread,
			   &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]) != 8)
			return false;
		c->kind = 0;
		while (c->kind < nr_kinds && strcmp(kinds[c->kind].name, name))
			c->kind++;
		if (c->kind == nr_kinds)
			return false;
		c->thread = thread % THREADS;
		for (k = 0; k < ARGS; k++)
			c->arg[k] = v[k];
		p->nr++;
	}
	return p->nr;
}

static int read_corpus(const char *path)
{
	char line[4096];
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	while (nr_corpus < MAX_CORPUS / 2 && fgets(line, sizeof(line), f))
		nr_corpus += parse(&corpus[nr_corpus], line);
	fclose(f);
	return 0;
}

/* ---- programs by chance ------------------------------------------------------- */

static uint16_t number(void)
{
	return draw(4) ? draw(256) : draw(65536);
}

static void random_call(struct call *c)
{
	unsigned int sum = 0, i, at;

	for (i = 0; i < nr_kinds; i++)
		sum += kinds[i].weight;
	at = draw(sum);
	for (c->kind = 0; at >= kinds[c->kind].weight; c->kind++)
		at -= kinds[c->kind].weight;
	c->thread = draw(THREADS);
	for (i = 0; i < ARGS; i++)
		c->arg[i] = number();
}

static void insert(struct prog *p)
{
	unsigned int at = draw(p->nr + 1);

	if (p->nr == MAX_CALLS)
		return;
	memmove(&p->call[at + 1], &p->call[at], (p->nr - at) * sizeof(p->call[0]));
	random_call(&p->call[at]);
	p->nr++;
}

static void change(struct prog *p)
{
	struct call *c = &p->call[draw(p->nr)];
	unsigned int at = draw(p->nr), i;
	const struct prog *other;

	switch (draw(8)) {
	case 0:
		memmove(&p->call[at], &p->call[at + 1], (p->nr - at - 1) * sizeof(*c));
		p->nr -= p->nr > 1;
		break;
	case 1:
		c->thread ^= 1;
		break;
	case 2:
		/* The end of another one behind the beginning of this one. */
		other = &corpus[draw(nr_corpus)];
		for (i = at; i < other->nr; i++)
			p->call[i] = other->call[i];
		p->nr = i > at ? i : p->nr;
		break;
	case 3:
	case 4:
		insert(p);
		break;
	case 5:
		c->arg[draw(ARGS)] ^= 1 << draw(16);
		break;
	default:
		c->arg[draw(ARGS)] = number();
	}
}

static void make(struct prog *p)
{
	unsigned int n;

	if (nr_corpus && draw(10) < 7) {
		*p = corpus[draw(nr_corpus)];
		for (n = draw(5) + 1; n; n--)
			change(p);
		return;
	}
	p->nr = draw(MAX_CALLS) + 1;
	for (n = 0; n < p->nr; n++)
		random_call(&p->call[n]);
}

/* ---- coverage: KCOV, of each thread on its own --------------------------------- */

#define KCOV_INIT_TRACE	_IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define COVER		(64 << 10)
#define TEXT		(4 << 20)

static unsigned long text_start;
static uint8_t seen_pc[TEXT];
static uint8_t seen_pair[1 << 18];
static unsigned int nr_pcs;
static bool have_kcov;

static unsigned long *kcov_open(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	unsigned long *cover;

	if (fd < 0 || ioctl(fd, KCOV_INIT_TRACE, COVER))
		return NULL;
	cover = mmap(NULL, COVER * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cover == MAP_FAILED || ioctl(fd, KCOV_ENABLE, 0))
		return NULL;
	return cover;
}

/* What a call has reached; whether something of it is new. */
static bool look(const unsigned long *cover)
{
	unsigned long i, n = __atomic_load_n(&cover[0], __ATOMIC_RELAXED), last = 0;
	bool new = false;

	for (i = 0; i < n; i++) {
		unsigned long at = cover[i + 1] - text_start, pair;

		if (at >= TEXT)
			continue;
		if (!seen_pc[at]) {
			seen_pc[at] = 1;
			__atomic_fetch_add(&nr_pcs, 1, __ATOMIC_RELAXED);
			new = true;
		}
		pair = (at ^ last << 7) % sizeof(seen_pair);
		new |= !seen_pair[pair];
		seen_pair[pair] = 1;
		last = at;
	}
	return new;
}

static void find_text(void)
{
	FILE *f = fopen("/sys/module/aop/sections/.text", "re");

	if (!f)
		return;
	if (fscanf(f, "%lx", &text_start) != 1)
		text_start = 0;
	fclose(f);
}

/* ---- threads -------------------------------------------------------------------- */

static struct runner {
	pthread_t thread;
	struct self self;
	unsigned long *cover;
	sem_t go;
	unsigned int new_at;		/* 1 + the last call that reached something new */
	const char *doing;
} runner[THREADS];

static sem_t ready;
static char *arenas;
static __thread sigjmp_buf *escape;

/* Memory that the scribbler has made read-only is none for us either. */
static long run_call(struct runner *r, const struct call *c)
{
	sigjmp_buf here;
	long ret = -EFAULT;

	if (!sigsetjmp(here, 1)) {
		escape = &here;
		ret = kinds[c->kind].run(&r->self, c->arg);
	}
	escape = NULL;
	return ret;
}

static void tick(int sig)
{
	(void)sig;
}

/* What sleeps is interrupted; what was in the midst of something tries again. */
static void start_ticks(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec t = {
		.it_value.tv_nsec = TICK_MS * 1000000, .it_interval.tv_nsec = TICK_MS * 1000000,
	};
	timer_t timer;

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
	ev.sigev_notify_thread_id = gettid();
	if (timer_create(CLOCK_MONOTONIC, &ev, &timer) || timer_settime(timer, 0, &t, NULL))
		exit(1);
}

static void *runner_run(void *arg)
{
	struct runner *r = arg;
	unsigned int i;

	r->cover = kcov_open();
	have_kcov |= !!r->cover;
	start_ticks();
	sem_post(&ready);
	for (;;) {
		while (sem_wait(&r->go))
			;
		r->new_at = 0;
		for (i = 0; i < current.nr; i++) {
			const struct call *c = &current.call[i];
			long ret;

			if (c->thread != r->self.nr)
				continue;
			r->doing = kinds[c->kind].name;
			if (r->cover)
				__atomic_store_n(&r->cover[0], 0, __ATOMIC_RELAXED);
			ret = run_call(r, c);
			__atomic_fetch_add(ret < 0 ? &refused[c->kind] : &answered[c->kind], 1,
					   __ATOMIC_RELAXED);
			__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
			if (r->cover && look(r->cover))
				r->new_at = i + 1;
		}
		r->doing = NULL;
		sem_post(&ready);
	}
	return NULL;
}

/* ---- who scribbles -------------------------------------------------------------- */

/* Held where mappings go away: what came instead is not to be scribbled on. */
static pthread_mutex_t scribbling = PTHREAD_MUTEX_INITIALIZER;

static void fault(int sig)
{
	if (escape)
		siglongjmp(*escape, sig);
	signal(sig, SIG_DFL);
}

static void *scribbler_run(void *arg)
{
	static uint64_t x;
	sigjmp_buf here;

	x = (uintptr_t)arg;

	for (;;) {
		const struct abi_ctx *c;
		volatile char *at;
		uint32_t *head;

		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		usleep(200 + (x >> 50) % 1000);
		pthread_mutex_lock(&scribbling);
		escape = &here;
		if (!sigsetjmp(here, 1)) {
			c = &world.ctx[(x >> 40) % CTXS];
			head = __atomic_load_n(&c->head, __ATOMIC_RELAXED);
			if (head && x >> 60 == 0)
				*(volatile uint32_t *)head = x >> 20;
			else if (head)
				__atomic_fetch_add(head, 1, __ATOMIC_RELAXED);
			at = arenas + (x >> 33) % (THREADS * 2 * ARENA);
			*at ^= 1 << (x >> 61);
		}
		escape = NULL;
		if (x >> 57 == 1)
			mprotect(arenas, 4096, x >> 32 & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
		pthread_mutex_unlock(&scribbling);
	}
	return NULL;
}

/* ---- judging --------------------------------------------------------------------- */

static int kmsg = -1;

static bool complained(void)
{
	static const char * const bad[] = {
		"BUG:", "WARNING:", "KASAN:", "UBSAN:", "ODEBUG:", "refcount_t:", "Oops", "INFO: ",
		"list_add corruption", "list_del corruption",
	};
	char rec[8192];
	bool found = false;
	unsigned int i;
	ssize_t n;

	while ((n = read(kmsg, rec, sizeof(rec) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		rec[n > 0 ? n : 0] = 0;
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			if (strstr(rec, bad[i])) {
				printf("fuzz: %s", strchr(rec, ';') ?: rec);
				found = true;
			}
	}
	return found;
}

static void give_up(const char *why)
{
	unsigned int i;

	printf("fuzz: %s; run it again by fuzz -r '...':\n", why);
	print(stdout, &current);
	for (i = 0; i < THREADS; i++)
		if (runner[i].doing)
			printf("fuzz: thread %u is in %s\n", i, runner[i].doing);
	printf("fuzz: FAILED\n");
	fflush(stdout);
	_exit(1);
}

static long ops_left(void)
{
	char line[64];
	long n = -1;
	FILE *f = fopen("/sys/kernel/debug/aop/counters", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "ops %ld", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

static void run_one(void)
{
	struct timespec limit;
	unsigned int i;

	world_begin(&world);
	for (i = 0; i < THREADS; i++)
		sem_post(&runner[i].go);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += LIMIT_S;
	for (i = 0; i < THREADS; i++)
		while (sem_timedwait(&ready, &limit))
			if (errno == ETIMEDOUT)
				give_up("a call does not come back");
	pthread_mutex_lock(&scribbling);
	world_end(&world);
	mprotect(arenas, 4096, PROT_READ | PROT_WRITE);
	pthread_mutex_unlock(&scribbling);
	if (complained())
		give_up("the kernel complained");
}

static void keep(void)
{
	unsigned int i, last = 0;

	for (i = 0; i < THREADS; i++)
		last = runner[i].new_at > last ? runner[i].new_at : last;
	if (!last)
		return;
	corpus[nr_corpus < MAX_CORPUS ? nr_corpus++ : draw(MAX_CORPUS)] = current;
	if (nr_corpus)
		corpus[nr_corpus - 1].nr = last;
}

/* ---- set-up ------------------------------------------------------------------------ */

/* The family's number, read out of the attributes by hand: the first u16 of type 1. */
static uint16_t family_number(void)
{
	struct {
		struct nlmsghdr h;
		struct genlmsghdr g;
		struct nlattr a;
		char name[4];
	} req = {
		{ sizeof(req), GENL_ID_CTRL, NLM_F_REQUEST, 1, 0 }, { CTRL_CMD_GETFAMILY, 1, 0 },
		{ NLA_HDRLEN + 4, CTRL_ATTR_FAMILY_NAME }, "aop",
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	char buf[4096], *at = buf + NLMSG_LENGTH(sizeof(struct genlmsghdr));
	uint16_t family = 0;
	ssize_t n;

	if (send(fd, &req, sizeof(req), 0) > 0) {
		n = recv(fd, buf, sizeof(buf), 0);
		while (at + NLA_HDRLEN < buf + n) {
			struct nlattr *a = (void *)at;

			if (a->nla_type == CTRL_ATTR_FAMILY_ID)
				memcpy(&family, a + 1, 2);
			if (!a->nla_len)
				break;
			at += NLA_ALIGN(a->nla_len);
		}
	}
	close(fd);
	return family;
}

static void start(void)
{
	struct sigaction sa = { .sa_handler = tick };
	pthread_t scribbler;
	unsigned int i;

	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_handler = fault;
	sa.sa_flags = SA_NODEFER;
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(kmsg, 0, SEEK_END);
	find_text();
	driver_load("test/aop_selftest", "");
	close(driver_open(AOP_SELFTEST_DEVICE));
	world.family = family_number();
	/* An arena, and as much behind it that is not there, for each. */
	arenas = mmap(NULL, THREADS * 2 * ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sem_init(&ready, 0, 0);
	for (i = 0; i < THREADS; i++) {
		struct runner *r = &runner[i];

		r->self = (struct self) { .w = &world, .arena = arenas + i * 2 * ARENA, .nr = i };
		mprotect(r->self.arena, ARENA, PROT_READ | PROT_WRITE);
		sem_init(&r->go, 0, 0);
		if (pthread_create(&r->thread, NULL, runner_run, r))
			exit(1);
		while (sem_wait(&ready))
			;
	}
	pthread_create(&scribbler, NULL, scribbler_run, (void *)(uintptr_t)(rng | 1));
}

static void stop(unsigned long before)
{
	uint64_t late = abi_now() + 60 * ABI_SEC_NS;
	long left;

	while ((left = ops_left()) > (long)before && abi_now() < late)
		usleep(10000);
	if (left > (long)before)
		give_up("operations are left over");
	while (driver_unload("test/aop_selftest") == -EWOULDBLOCK)
		usleep(10000);
	abi_param_set("seq_start", 0);
	abi_param_set("ring_start", 0);
	if (complained())
		give_up("the kernel complained");
}

int main(int argc, char **argv)
{
	unsigned long count = slow_kernel() ? COUNT / 10 : COUNT, i, kept;
	uint64_t seed = 1;
	const char *known = "selftests/fuzz/corpus";
	char *again = NULL;
	bool print_kept = false;
	long before;
	int opt;

	while ((opt = getopt(argc, argv, "s:n:c:r:o")) != -1) {
		switch (opt) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			count = strtoul(optarg, NULL, 0);
			break;
		case 'c':
			known = optarg;
			break;
		case 'r':
			again = optarg;
			break;
		case 'o':
			print_kept = true;
			break;
		default:
			return 2;
		}
	}
	if (!again && read_corpus(known))
		printf("fuzz: there is no %s\n", known);
	rng = seed;
	before = ops_left();
	if (again && !parse(&current, again))
		return 2;
	start();
	kept = nr_corpus;
	printf("fuzz: seed %llu, %lu programs, corpus of %lu, %s\n", (unsigned long long)seed,
	       count, kept, have_kcov && text_start ? "guided by KCOV" : "without KCOV");
	fflush(stdout);
	/* First what is known, once. */
	for (i = 0; i < kept && !again; i++) {
		current = corpus[i];
		run_one();
	}
	for (i = 0; i < count; i++) {
		rng = seed * 0x9e3779b97f4a7c15ULL + i * 0xd1342543de82ef95ULL;
		if (!again)
			make(&current);
		run_one();
		keep();
	}
	stop(before);
	for (i = 0; i < nr_kinds; i++)
		printf("fuzz: %-10s %6lu answered, %6lu refused\n", kinds[i].name, answered[i],
		       refused[i]);
	for (i = kept; print_kept && i < nr_corpus; i++)
		print(stdout, &corpus[i]);
	printf("fuzz: %lu calls, %u places of the module reached, %lu programs kept\n", calls,
	       nr_pcs, nr_corpus - kept);
	printf("fuzz: passed\n");
	return 0;
}
