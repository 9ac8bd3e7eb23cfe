// SPDX-License-Identifier: GPL-2.0
/*
 * What a driver must not do, done, and the kernel's log searched for the complaint.
 * Run one at a time by selftests/check, on kernels that have an opinion, since lockdep
 * complains only once in the life of a kernel:
 *
 *	selftests/vm/run -k 6.1-debug -m aop -- build/vm/misuse lock
 *	selftests/vm/run -k 6.1-debug -m aop -- build/vm/misuse drain
 *	selftests/vm/run -k 6.12-rt -m aop -- build/vm/misuse hardirq
 *
 * "ok" and then exit status 123 of the runner is what is wanted.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>

#include "../driver_call.h"

#define MODULE		"test/aop_selftest"
#define READ_ALL	3	/* of syslog(2) */

/* All of these words in what the kernel has said. */
static bool complained(const char *const *words)
{
	static char log[4 << 20];
	int len = klogctl(READ_ALL, log, sizeof(log) - 1);

	if (len < 0)
		return false;
	log[len] = 0;
	for (; *words; words++)
		if (!strstr(log, *words))
			return false;
	return true;
}

static int call_locked(int dev, uint32_t what, int fd, int64_t value)
{
	struct selftest_call c = {
		.what = what, .fd = fd, .mask = AOP_EV_FINAL, .value = value,
		.flags = SELFTEST_LOCKED,
	};

	return call(dev, &c);
}

/*
 * A lock that is held around a wait, for an op or for all those of a source, and is
 * needed to end an op; they never meet.
 */
static bool lock(int dev, uint32_t what)
{
	static const char *const words[] = {
		"possible circular locking dependency", "aop_signalling", "wrong_lock", NULL
	};
	int fd = driver_op(dev, 0, SELFTEST_RUNNING);

	if (fd < 0 || call_locked(dev, SELFTEST_DONE, -1, 0))
		return false;
	if (complained(words) || call_locked(dev, what, fd, 0))
		return false;
	return complained(words);
}

/*
 * On PREEMPT_RT: told once, and the op ends all the same, also when the driver goes right
 * behind that.
 */
static bool hardirq(int dev)
{
	static const char *const words[] = { "driven from a hard interrupt", NULL };
	struct aop_status st;
	int i, fd;

	for (i = 0; i < 3; i++) {
		struct selftest_call c = { .what = SELFTEST_WAIT, .mask = AOP_EV_OVER,
					   .value = INT64_MAX };

		fd = driver_op(dev, i, SELFTEST_RUNNING);
		if (fd < 0 || drive_in(dev, SELFTEST_HARDIRQ, i, SELFTEST_DONE, i))
			return false;
		c.fd = fd;
		if (call(dev, &c))
			return false;
	}
	for (i = 0; i < 20; i++) {
		fd = driver_op(dev, 0, SELFTEST_RUNNING);
		if (fd < 0 || drive_in(dev, SELFTEST_HARDIRQ, 0, SELFTEST_DONE, i) ||
		    drive(dev, 0, SELFTEST_DESTROY, 0) ||
		    read(fd, &st, sizeof(st)) != sizeof(st) || st.state != AOP_DONE)
			return false;
		close(fd);
	}
	return complained(words);
}

int main(int argc, char **argv)
{
	bool ok;
	int dev;

	if (argc != 2 || driver_load(MODULE, ""))
		return 2;
	dev = driver_open(AOP_SELFTEST_DEVICE);
	if (!strcmp(argv[1], "lock"))
		ok = lock(dev, SELFTEST_WAIT);
	else if (!strcmp(argv[1], "drain"))
		ok = lock(dev, SELFTEST_DESTROY);
	else
		ok = hardirq(dev);
	printf("%s - %s\n", ok ? "ok" : "not ok", argv[1]);
	close(dev);
	driver_unload(MODULE);
	return !ok;
}
