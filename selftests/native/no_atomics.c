// SPDX-License-Identifier: GPL-2.0
/*
 * O3: ops of one thread use no atomics, no locks, no system calls.
 *
 * A child lives through some ops, and its parent looks at each instruction that it
 * executes meanwhile: none may lock the bus, by prefix or as an exchange with memory,
 * and none may enter the kernel.  The same with local ops finds some, so it can see
 * them.
 */
#include <stddef.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "any.h"

struct found {
	long instructions, locked, syscalls;
};

static volatile int sink;

/* Where the parent begins and stops looking: the child's addresses are its own, too. */
__attribute__((noinline, noclone))
static void life_begins(void)
{
	sink--;
}

__attribute__((noinline, noclone))
static void life_is_over(void)
{
	sink++;
}

static void called(struct aop_watch *w, const struct aop_status *st)
{
	(void)w;
	sink += st->done;
}

static void life(struct aop_ctx *where)
{
	struct aop_watch w;
	struct aop op;
	int i;

	life_begins();
	for (i = 0; i < 3; i++) {
		sink += aop_init(&op, where);
		sink += aop_watch(&op, &w, called, NULL, AOP_INLINE);
		sink += aop_start(aop_owner(&op));
		sink += aop_progress(aop_owner(&op), 1, 2);
		sink += aop_asked(aop_owner(&op));
		sink += aop_status(&op).done;
		if (i == 1) {
			sink += aop_cancel(&op, 0);
			sink += aop_cancelled(aop_owner(&op), 0);
		} else {
			sink += aop_done(aop_owner(&op), 7);
		}
		sink += aop_wait(&op, AOP_FOREVER);
		sink += aop_result(&op);
		sink += aop_drop(&op);
	}
	life_is_over();
}

/* Prefixes, then the opcode; an xchg whose operand is memory locks without a prefix. */
static void look_at(const uint8_t *code, struct found *f)
{
	bool locked = false;
	int i = 0;

	while (code[i] == 0xf0 || code[i] == 0xf2 || code[i] == 0xf3 || code[i] == 0x66 ||
	       code[i] == 0x2e || code[i] == 0x3e || code[i] == 0x64 || code[i] == 0x65)
		locked |= code[i++] == 0xf0;
	if ((code[i] & 0xf0) == 0x40)
		i++;
	if ((code[i] == 0x86 || code[i] == 0x87) && code[i + 1] < 0xc0)
		locked = true;
	f->locked += locked;
	f->syscalls += code[i] == 0x0f && (code[i + 1] == 0x05 || code[i + 1] == 0x34);
	f->instructions++;
}

static void watch_child(struct __test_metadata *_metadata, struct aop_ctx *where, struct found *f)
{
	struct user_regs_struct regs;
	union {
		long word[2];
		uint8_t byte[16];
	} code;
	pid_t child;
	int status;

	/* What is set up once, and what the linker binds late. */
	life(where);
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		life(where);
		_exit(0);
	}
	memset(f, 0, sizeof(*f));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	/* Out of raise(), whose system calls are not ours to count. */
	for (;;) {
		ASSERT_EQ(0, ptrace(PTRACE_SINGLESTEP, child, NULL, NULL));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_TRUE(WIFSTOPPED(status));
		ASSERT_EQ(0, ptrace(PTRACE_GETREGS, child, NULL, &regs));
		if (regs.rip == (uintptr_t)life_is_over)
			break;
		if (!f->instructions && regs.rip != (uintptr_t)life_begins)
			continue;
		code.word[0] = ptrace(PTRACE_PEEKTEXT, child, regs.rip, NULL);
		code.word[1] = ptrace(PTRACE_PEEKTEXT, child, regs.rip + 8, NULL);
		look_at(code.byte, f);
	}
	ASSERT_EQ(0, ptrace(PTRACE_CONT, child, NULL, NULL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

FIXTURE(steps) {
	int unused;
};

FIXTURE_SETUP(steps)
{
	const char *variant_name = getenv("AOP_NATIVE");

	self->unused = 0;
#ifndef __x86_64__
	SKIP(return, "reads instructions of x86-64");
#endif
	/* The tools add instructions of their own. */
	if (variant_name && strcmp(variant_name, "plain"))
		SKIP(return, "looks at the code as users have it");
}

FIXTURE_TEARDOWN(steps)
{
	(void)self;
}

TEST_F(steps, O3_private_ops_lock_nothing_and_call_nobody)
{
	struct found f;

	watch_child(_metadata, AOP_PRIVATE, &f);
	TH_LOG("%ld instructions", f.instructions);
	EXPECT_LT(200, f.instructions);
	EXPECT_EQ(0, f.locked);
	EXPECT_EQ(0, f.syscalls);
}

TEST_F(steps, local_ops_lock)
{
	struct found f;

	watch_child(_metadata, AOP_LOCAL, &f);
	TH_LOG("%ld instructions, %ld of them locked", f.instructions, f.locked);
	EXPECT_LT(0, f.locked);
	EXPECT_EQ(0, f.syscalls);
}

TEST_HARNESS_MAIN
