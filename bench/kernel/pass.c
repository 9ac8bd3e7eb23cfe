// SPDX-License-Identifier: GPL-2.0
/*
 * Counting: instructions by the time stamp counter, system calls by the kernel's
 * own tracepoint, memory by the pages that are not free.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"

void bench_die(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s does not hold (%s)\n", file, line, what, strerror(errno));
	exit(1);
}

/*
 * All system calls of this processor, the only one there is.  Open only while it
 * is needed: as long as it is, every system call takes a longer way.
 */
static int open_call_counter(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	FILE *f = fopen("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", "re");
	int fd;

	want(f && fscanf(f, "%llu", &attr.config) == 1);
	fclose(f);
	fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	want(fd >= 0);
	return fd;
}

static uint64_t calls_now(int fd)
{
	uint64_t value;

	want(read(fd, &value, sizeof(value)) == sizeof(value));
	return value;
}

/*
 * What bench/profile's plugin looks for: it begins and ends a profile.  A no-op
 * otherwise, and one that no compiler makes.
 */
#define MARK_BEGIN()	asm volatile("nopl 0x616f7001(%%rax)" : : : "memory")
#define MARK_END()	asm volatile("nopl 0x616f7002(%%rax)" : : : "memory")

/**
 * bench_stop() - the pass ends here, and not at the next bench_pass()
 * @b: in a pass
 */
__attribute__((noinline)) void bench_stop(struct bench *b)
{
	uint64_t now;

	if (b->pass == PASS_FIRST)
		MARK_END();
	now = __rdtsc();
	switch (b->pass) {
	case PASS_FIRST:
		b->count[0] = now - b->begin;
		break;
	case PASS_SECOND:
		b->count[1] = now - b->begin;
		break;
	case PASS_CALLS:
		/* The first read was over when it was counted, the second not. */
		b->calls = calls_now(b->counter) - b->calls - 1;
		close(b->counter);
		break;
	default:
		break;
	}
	b->stopped = true;
}

/* A pass begins just behind a timer tick, so that each has the same number of them. */
static void after_tick(void)
{
	struct timespec first, now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &first);
	do
		clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	while (now.tv_nsec == first.tv_nsec);
}

/**
 * bench_pass() - end the pass that was, if any, and begin the next
 * @b: zero but for n and per before the first call
 *
 * Return: true until all is counted.
 */
__attribute__((noinline)) bool bench_pass(struct bench *b)
{
	if (b->pass != PASS_NONE && !b->stopped)
		bench_stop(b);
	if (b->pass == PASS_CALLS)
		return false;
	b->pass++;
	b->stopped = false;
	after_tick();
	if (b->pass == PASS_CALLS) {
		b->counter = open_call_counter();
		b->calls = calls_now(b->counter);
	} else if (b->pass == PASS_FIRST) {
		MARK_BEGIN();
	}
	b->begin = __rdtsc();
	return true;
}

/**
 * memory_used() - bytes of all pages that are not free
 *
 * Free ones that wait on a list of a processor count as free, so the difference
 * between two calls is exact to the page, whoever took it: slab, page tables,
 * arrays.
 */
uint64_t memory_used(void)
{
	uint64_t used = 0, n;
	char line[256];
	FILE *f = fopen("/proc/zoneinfo", "re");

	want(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " pages free %lu", &n) == 1 ||
		    sscanf(line, " count: %lu", &n) == 1)
			used -= n;
		else if (sscanf(line, " managed %lu", &n) == 1)
			used += n;
	}
	fclose(f);
	return used * sysconf(_SC_PAGESIZE);
}
