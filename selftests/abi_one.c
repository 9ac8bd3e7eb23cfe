// SPDX-License-Identifier: GPL-2.0
/*
 * The calls for one entry: what they make of the entry's memory and of the number
 * they are called by.  What they do otherwise all tests show that use abi_one().
 */
#include <sys/wait.h>

#include "invalid.h"

static unsigned int one_of(unsigned int cmd)
{
	switch (cmd) {
	case AOP_IOC_CREATE:
		return AOP_IOC_CREATE_ONE;
	case AOP_IOC_SIGNAL:
		return AOP_IOC_SIGNAL_ONE;
	case AOP_IOC_CANCEL:
		return AOP_IOC_CANCEL_ONE;
	case AOP_IOC_ATTACH:
		return AOP_IOC_ATTACH_ONE;
	case AOP_IOC_DETACH:
		return AOP_IOC_DETACH_ONE;
	default:
		return AOP_IOC_MODIFY_ONE;
	}
}

static bool answers_in_entry(unsigned int cmd)
{
	return cmd == AOP_IOC_CREATE || cmd == AOP_IOC_ATTACH;
}

static int expected(unsigned int cmd)
{
	return cmd == AOP_IOC_CANCEL ? AOP_STOPPED : 0;
}

FIXTURE_WITH_ENV(one)
KIND(one, create);
KIND(one, signal);
KIND(one, cancel);
KIND(one, attach);
KIND(one, detach);
KIND(one, modify);

TEST_F(one, number_with_another_size)
{
	unsigned int cmd = one_of(variant->kind->cmd), size = variant->kind->entry_size;
	struct env *e = &self->e;
	unsigned int other;

	ASSERT_EQ(size, _IOC_SIZE(cmd));
	fill_entry(e, variant->kind->cmd, e->entries);
	for (other = 0; other < 2 * size; other++) {
		unsigned int wrong = _IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), other);

		if (other == size)
			continue;
		EXPECT_EQ(-ENOTTY, abi_ioctl(e->c.fd, wrong, e->entries)) TH_LOG("%u", other);
		EXPECT_EQ(-ENOTTY, abi_ioctl(e->bare, wrong, e->entries)) TH_LOG("%u", other);
	}
	EXPECT_UNCHANGED(e);
}

TEST_F(one, before_setup)
{
	struct env *e = &self->e;

	fill_entry(e, variant->kind->cmd, e->entries);
	EXPECT_EQ(-EINVAL, abi_ioctl(e->bare, one_of(variant->kind->cmd), e->entries));
	EXPECT_UNCHANGED(e);
}

TEST_F(one, bad_pointer)
{
	unsigned int cmd = one_of(variant->kind->cmd), size = variant->kind->entry_size, n;
	struct env *e = &self->e;
	char *end = e->room + 2 * PAGE;

	EXPECT_EQ(-EFAULT, abi_ioctl(e->c.fd, cmd, NULL));
	EXPECT_EQ(-EFAULT, abi_ioctl(e->c.fd, cmd, (void *)(uintptr_t)KERNEL_ADDRESS));
	EXPECT_EQ(-EFAULT, abi_ioctl(e->c.fd, cmd, (void *)-(uintptr_t)size));
	for (n = 0; n < size; n += 8) {
		char entry[128];

		fill_entry(e, variant->kind->cmd, entry);
		memcpy(end - n, entry, n);
		EXPECT_EQ(-EFAULT, abi_ioctl(e->c.fd, cmd, end - n)) TH_LOG("%u bytes", n);
	}
	EXPECT_UNCHANGED(e);
}

/* Only what has an answer to write needs memory that can be written. */
TEST_F(one, read_only_memory)
{
	unsigned int cmd = variant->kind->cmd;
	struct env *e = &self->e;

	fill_entry(e, cmd, e->entries);
	ASSERT_EQ(0, mprotect(e->room, 2 * PAGE, PROT_READ));
	if (answers_in_entry(cmd)) {
		EXPECT_EQ(-EFAULT, abi_ioctl(e->c.fd, one_of(cmd), e->entries));
		EXPECT_UNCHANGED(e);
	} else {
		EXPECT_EQ(expected(cmd), abi_ioctl(e->c.fd, one_of(cmd), e->entries));
	}
	ASSERT_EQ(0, mprotect(e->room, 2 * PAGE, PROT_READ | PROT_WRITE));
}

/* An entry at the very end of what is mapped is all that is touched. */
TEST_F(one, ends_with_the_memory)
{
	unsigned int cmd = variant->kind->cmd;
	struct env *e = &self->e;
	char *at = e->room + 2 * PAGE - variant->kind->entry_size;

	fill_entry(e, cmd, at);
	EXPECT_EQ(expected(cmd), abi_ioctl(e->c.fd, one_of(cmd), at));
}

TEST_F(one, ret_is_neither_read_nor_written)
{
	unsigned int cmd = variant->kind->cmd;
	const int32_t untouched = 0x12345678;
	struct env *e = &self->e;

	fill_entry(e, cmd, e->entries);
	memcpy(e->entries + variant->kind->ret_at, &untouched, sizeof(untouched));
	EXPECT_EQ(expected(cmd), abi_ioctl(e->c.fd, one_of(cmd), e->entries));
	EXPECT_EQ(untouched, entry_ret(variant->kind, e->entries));
}

/* The same entry means the same in a batch, and is answered alike. */
TEST_F(one, same_as_a_batch)
{
	unsigned int cmd = variant->kind->cmd, size = variant->kind->entry_size;
	struct env *e = &self->e;
	struct aop_status one, batch;
	char a[128] = { 0 }, b[128] = { 0 };
	uint64_t first = e->handle;

	fill_entry(e, cmd, a);
	EXPECT_EQ(expected(cmd), abi_ioctl(e->c.fd, one_of(cmd), a));
	abi_status(&e->c, first, &one);
	e->handle = abi_new(&e->c, 7, 0);
	e->id = abi_id(&e->c, e->handle);
	fill_entry(e, cmd, b);
	EXPECT_EQ(1, abi_batch(e->c.fd, cmd, b, size, 1));
	EXPECT_EQ(expected(cmd), entry_ret(variant->kind, b));
	abi_status(&e->c, e->handle, &batch);
	EXPECT_EQ(one.word, batch.word);
	EXPECT_EQ(one.seq, batch.seq);
	EXPECT_EQ(one.data, batch.data);
	EXPECT_EQ(one.reason, batch.reason);
	EXPECT_EQ(one.result, batch.result);
	if (answers_in_entry(cmd)) {
		/* Both begin with handle and id. */
		uint64_t *x = (uint64_t *)a, *y = (uint64_t *)b;

		EXPECT_NE(x[0], y[0]);
		EXPECT_NE(x[1], y[1]);
		EXPECT_EQ(x[1], abi_id(&e->c, x[0]));
		EXPECT_EQ(y[1], abi_id(&e->c, y[0]));
	}
	if (cmd == AOP_IOC_ATTACH)
		EXPECT_EQ(((struct aop_attach_entry *)b)->rights,
			  ((struct aop_attach_entry *)a)->rights);
}

TEST_F(one, handle_that_is_none)
{
	unsigned int cmd = variant->kind->cmd;
	struct env *e = &self->e;
	uint64_t handle = e->handle;

	if (answers_in_entry(cmd))
		SKIP(return, "names no handle");
	e->handle = 0;
	fill_entry(e, cmd, e->entries);
	EXPECT_EQ(-EBADF, abi_ioctl(e->c.fd, one_of(cmd), e->entries));
	e->handle = handle + (1ULL << 32);
	fill_entry(e, cmd, e->entries);
	EXPECT_EQ(-ESTALE, abi_ioctl(e->c.fd, one_of(cmd), e->entries));
	e->handle = handle + (1U << 20);
	fill_entry(e, cmd, e->entries);
	EXPECT_EQ(-EBADF, abi_ioctl(e->c.fd, one_of(cmd), e->entries));
	e->handle = handle;
	EXPECT_UNCHANGED(e);
}

TEST_F(one, another_process)
{
	unsigned int cmd = variant->kind->cmd;
	struct env *e = &self->e;
	int status;
	pid_t pid;

	fill_entry(e, cmd, e->entries);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(abi_ioctl(e->c.fd, one_of(cmd), e->entries) == -EIO ? 0 : 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_UNCHANGED(e);
}

TEST_HARNESS_MAIN
