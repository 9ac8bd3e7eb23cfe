// SPDX-License-Identifier: GPL-2.0
/*
 * Which engine a loop has (F17): io_uring refused, forbidden, and with a kernel thread that
 * two loops share.
 */
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "loop.h"

static int refuse_io_uring(int err)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = { .len = 4, .filter = f };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) ? -errno : 0;
}

/* The harness runs each test in a process of its own. */
static void refused(struct __test_metadata *_metadata, int err)
{
	struct aop_loop_opts o = { .size = sizeof(o) };
	struct aop_timer t;
	struct aop_loop *l;

	ASSERT_EQ(0, refuse_io_uring(err));
	ASSERT_EQ(0, aop_loop_open(&l, NULL));
	EXPECT_STREQ("epoll", aop_loop_engine(l));
	EXPECT_EQ(-err, aop_loop_refused(l));
	EXPECT_EQ(0, aop_loop_get(l, aop_sleep(l, &t, 1000)));
	aop_loop_close(l);
	/* Who insists is told. */
	o.flags = AOP_URING;
	EXPECT_EQ(-err, aop_loop_open(&l, &o));
	EXPECT_EQ(NULL, l);
	o.flags = AOP_EPOLL;
	ASSERT_EQ(0, aop_loop_open(&l, &o));
	EXPECT_EQ(0, aop_loop_refused(l));
	aop_loop_close(l);
}

TEST(F17_forbidden)
{
	refused(_metadata, EPERM);
}

TEST(F17_unknown_to_the_kernel)
{
	refused(_metadata, ENOSYS);
}

/* Kernel threads that submit for us. */
static int submitters(void)
{
	char path[300], name[32];
	struct dirent *e;
	int n = 0;
	FILE *f;
	DIR *d;

	d = opendir("/proc/self/task");
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		n += fgets(name, sizeof(name), f) && !strncmp(name, "iou-sqp-", 8);
		fclose(f);
	}
	if (d)
		closedir(d);
	return n;
}

TEST(F17_sqpoll)
{
	struct aop_loop_opts o = { .size = sizeof(o), .flags = AOP_URING | AOP_SQPOLL };
	struct aop_loop *l[2];
	struct aop_timer t;
	struct aop_io io[2];
	int i, ret, sv[2];
	char buf[2];

	if (loop_under_valgrind())
		SKIP(return, "valgrind does not see what the kernel's thread does");
	ret = aop_loop_open(&l[0], &o);
	if (ret == -EPERM || ret == -ENOSYS)
		SKIP(return, "io_uring is refused");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, aop_loop_open(&l[1], &o));
	EXPECT_STREQ("io_uring, SQPOLL", aop_loop_engine(l[0]));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	for (i = 0; i < 2; i++) {
		aop_recv(l[i], &io[i], sv[i], &buf[i], 1, 0);
		ASSERT_EQ(0, aop_loop_get(l[i], aop_sleep(l[i], &t, 1000)));
	}
	for (i = 0; i < 2; i++)
		ASSERT_EQ(1, write(sv[!i], "x", 1));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(1, aop_loop_get(l[i], &io[i].op));
	/* They have the name once they have run. */
	EXPECT_EQ(1, submitters());
	aop_loop_close(l[0]);
	aop_recv(l[1], &io[1], sv[1], &buf[1], 1, 0);
	aop_cancel(&io[1].op, 0);
	EXPECT_EQ(-ECANCELED, aop_loop_get(l[1], &io[1].op));
	aop_loop_close(l[1]);
}

TEST_HARNESS_MAIN
