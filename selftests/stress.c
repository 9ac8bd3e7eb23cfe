// SPDX-License-Identifier: GPL-2.0
/*
 * Processes and threads that do everything to each other's operations at random,
 * with owners killed in the midst of it, for a bounded number of steps.
 *
 *	stress [STEPS [SEED]]
 *
 * What must hold at the end, and is looked at all the time:
 *
 * - nobody waits: every thread comes back, though it waits for ever for the end of
 *   what others drive, by the ring as well as by AOP_IOC_WAIT (W2, M6, K9);
 * - all watchers saw the same end of an operation, and it is the one that its owner
 *   set, if the owner was told that it was first; otherwise one that somebody else
 *   had a reason to cause: a cancel, a deadline, the owner's death (M3, C3);
 * - when a killed process is reaped, all that it owned has ended (K9);
 * - nothing is left: no handle, no operation, no use of the module (K1, K8).
 *
 * Threads of a process: two drivers (stress_driver.h), and the watcher, who is the
 * only one to reap the ring.  Ends are judged by stress_judge.h.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "stress_driver.h"
#include "slow.h"

#define STEPS		400000

/* Reaps the ring; back when the drivers are, and all that it watched has ended. */
static void watcher(struct process *p)
{
	struct pollfd fd[2] = {
		{ .fd = p->c.fd, .events = POLLIN },
		{ .fd = p->bell, .events = POLLIN },
	};
	uint32_t index[32], n, i;
	struct aop_status st;

	while (LOAD(&p->drivers) || LOAD(&p->watched)) {
		sh->doing[p->nr][DRIVERS] = "poll";
		/* Rung once, it would not let us sleep any more. */
		poll(fd, LOAD(&p->drivers) ? 2 : 1, -1);
		sh->doing[p->nr][DRIVERS] = "reap";
		while ((n = abi_reap(&p->c, index, 32))) {
			for (i = 0; i < n; i++) {
				abi_read_slot(abi_slot(&p->c, index[i]), &st);
				if (!(st.data & WATCHED) || st.state < AOP_DONE)
					continue;
				/* Of one that is gone meanwhile it is not told twice. */
				if (abi_detach(&p->c, (uint64_t)st.gen << 32 | index[i], 0))
					continue;
				judge((uint32_t)st.data, &st);
				__atomic_fetch_sub(&p->watched, 1, __ATOMIC_ACQ_REL);
			}
		}
	}
	sh->doing[p->nr][DRIVERS] = "over";
}

static int process_run(uint32_t nr, uint32_t life, uint64_t seed)
{
	struct process p = { .nr = nr, .me = (nr + 1) << 16 | life, .drivers = DRIVERS };
	struct driver d[DRIVERS];
	uint32_t i;

	p.bell = eventfd(0, EFD_CLOEXEC);
	if (p.bell < 0 || abi_open(&p.c, SLOTS)) {
		complain("no context: %s", strerror(errno));
		return 1;
	}
	for (i = 0; i < DRIVERS; i++) {
		memset(&d[i], 0, sizeof(d[i]));
		d[i].p = &p;
		d[i].nr = i;
		d[i].rng = seeded(seed, (nr * LIVES + life) * DRIVERS + i);
		if (pthread_create(&d[i].thread, NULL, driver_run, &d[i])) {
			complain("no thread");
			return 1;
		}
	}
	watcher(&p);
	for (i = 0; i < DRIVERS; i++)
		pthread_join(d[i].thread, NULL);
	if (abi_handles(&p.c))
		complain("process %u holds %lld handles at its end", nr, abi_handles(&p.c));
	abi_close(&p.c);
	return 0;
}

/* ---- who starts, kills and judges them -------------------------------------------- */

static struct {
	pid_t pid;
	int pidfd;
	uint32_t life;
} proc[PROCESSES];

static void say_where_they_are(int sig)
{
	int i, k;

	(void)sig;
	fprintf(stderr, "too slow; %u steps left\n", sh->steps);
	for (i = 0; i < PROCESSES; i++)
		for (k = 0; k <= DRIVERS; k++)
			fprintf(stderr, "  process %d thread %d: %s\n", i, k,
				sh->doing[i][k] ? sh->doing[i][k] : "-");
	for (i = 0; i < PROCESSES; i++)
		if (proc[i].pid)
			kill(proc[i].pid, SIGKILL);
	_exit(1);
}

static void process_start(uint32_t nr, uint64_t seed)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		signal(SIGALRM, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getppid() == parent ? process_run(nr, proc[nr].life, seed) : 1);
	}
	proc[nr].pid = pid;
	proc[nr].pidfd = syscall(SYS_pidfd_open, pid, 0);
}

static int process_reap(uint32_t nr)
{
	int status = -1;

	waitpid(proc[nr].pid, &status, 0);
	close(proc[nr].pidfd);
	proc[nr].pid = 0;
	return status;
}

/* K9: once it is reaped, all that it owned has ended. */
static void look_at_its_ops(struct abi_ctx *c, uint32_t nr)
{
	uint32_t me = (nr + 1) << 16 | proc[nr].life, max = LOAD(&sh->serials), i;
	struct aop_ioc_query q;
	uint64_t id;

	for (i = 0; i < max && i < MAX_OPS; i++) {
		id = LOAD(&sh->ops[i].id);
		if (!id || LOAD(&sh->ops[i].owner) != me || abi_query_id(c, id, &q))
			continue;
		if (q.status.state < AOP_DONE)
			complain("op %u outlives its owner", i);
		else
			judge(i, &q.status);
	}
}

static void kill_one(struct abi_ctx *c, uint64_t *rng, uint64_t seed)
{
	uint32_t nr = pick(rng, PROCESSES);

	if (proc[nr].life + 1 >= LIVES)
		return;
	STORE(&sh->dying[nr][proc[nr].life], 1);
	kill(proc[nr].pid, SIGKILL);
	process_reap(nr);
	look_at_its_ops(c, nr);
	proc[nr].life++;
	process_start(nr, seed);
}

/* Nothing more is sent; take out what nobody has received. */
static void finish(void)
{
	struct pollfd fd[PROCESSES + 1] = { { .fd = mail[0], .events = POLLIN } };
	int left = PROCESSES, i, got;
	uint64_t value;

	for (i = 0; i < PROCESSES; i++)
		fd[i + 1] = (struct pollfd) { .fd = proc[i].pidfd, .events = POLLIN };
	while (left) {
		poll(fd, PROCESSES + 1, -1);
		while ((got = recv_fd(mail[0], &value, MSG_DONTWAIT)) >= 0)
			close(got);
		for (i = 0; i < PROCESSES; i++) {
			if (fd[i + 1].fd < 0 || !fd[i + 1].revents)
				continue;
			if (process_reap(i))
				complain("process %d did not end well", i);
			fd[i + 1].fd = -1;
			left--;
		}
	}
	while ((got = recv_fd(mail[0], &value, MSG_DONTWAIT)) >= 0)
		close(got);
}

/* Objects of the module's cache in use; exact, since free ones are given back first. */
static long objects(void)
{
	char line[256];
	long n = -1;
	FILE *f;
	int fd;

	fd = open("/sys/kernel/slab/aop_op/shrink", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	(void)!write(fd, "1", 1);
	close(fd);
	f = fopen("/proc/slabinfo", "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "aop_op %ld", &n) == 1)
			break;
	fclose(f);
	return n;
}

static long users(void)
{
	FILE *f = fopen("/sys/module/aop/refcnt", "re");
	long n = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

/* Groups are freed by work items, and nobody tells when: give them some time. */
static void look_for_leaks(long objects_before, long users_before)
{
	int i;

	if (objects_before < 0)
		printf("stress: the slab's counters are not there, so not looked at\n");
	for (i = 0; i < 500; i++) {
		if (objects() == objects_before && users() == users_before)
			return;
		usleep(20000);
	}
	complain("%ld operations, there were %ld; %ld users of the module, there were %ld",
		 objects(), objects_before, users(), users_before);
}

int main(int argc, char **argv)
{
	long objects_before, users_before;
	uint32_t i, kills = 0, first = 0, late = 0, steps;
	struct abi_ctx c;
	uint64_t seed, rng;
	char byte;

	steps = argc > 1 ? strtoul(argv[1], NULL, 0) : (uint32_t)rounds(STEPS);
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : abi_now() % 1000000007;
	printf("stress: seed %llu, %u steps\n", (unsigned long long)seed, steps);
	fflush(stdout);
	rng = seeded(seed, ~0u);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED || pipe2(token, O_CLOEXEC) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, mail)) {
		perror("stress");
		return 1;
	}
	fcntl(token[1], F_SETFL, O_NONBLOCK);
	objects_before = objects();
	users_before = users();
	if (abi_open(&c, 1)) {
		perror("stress: " AOP_DEVICE);
		return 1;
	}
	STORE(&sh->steps, steps);
	signal(SIGALRM, say_where_they_are);
	alarm(400);
	for (i = 0; i < PROCESSES; i++)
		process_start(i, seed);
	while (LOAD(&sh->steps) > 256 && read(token[0], &byte, 1) == 1) {
		if (!chance(&rng, 25))
			continue;
		kill_one(&c, &rng, seed);
		kills++;
	}
	finish();
	abi_close(&c);
	look_for_leaks(objects_before, users_before);
	judge_answers(&first, &late);
	printf("stress: %u operations, %u ended by their owners, %u by others before them\n",
	       sh->serials, first, late);
	printf("stress: %u ends seen, %u processes killed\n", sh->seen, kills);
	if (!sh->seen || !first || (steps >= (uint32_t)rounds(STEPS) && (!late || !kills)))
		complain("nothing happened");
	printf("stress: %s\n", sh->wrong ? "FAILED" : "passed");
	return !!sh->wrong;
}
