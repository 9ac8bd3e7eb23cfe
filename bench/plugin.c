// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU (7.2 or later, plugin API 1): counts which addresses execute how
 * often between the two marks of bench/kernel/pass.c.  bench/profile makes
 * functions of them.
 *
 *	-plugin profile.so,out=FILE
 *
 * FILE gets, for each section between marks, "section N", then lines of address,
 * how often it was executed, and 1 if the instruction is a locked one.
 *
 * One virtual processor: nothing is locked.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

#define EXPORT	__attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 1;

/* A translated block; made again, it is another one, and both are printed. */
struct block {
	struct block *next;
	uint64_t runs;
	size_t n;
	struct {
		uint64_t at;
		bool locked;
	} insn[];
};

static struct block *blocks;
static FILE *out;
static bool active;
static unsigned int sections;

static void block_runs(unsigned int vcpu, void *data)
{
	struct block *b = data;

	(void)vcpu;
	b->runs += active;
}

static void mark_begin(unsigned int vcpu, void *data)
{
	struct block *b;

	(void)vcpu;
	(void)data;
	for (b = blocks; b; b = b->next)
		b->runs = 0;
	active = true;
}

static void mark_end(unsigned int vcpu, void *data)
{
	struct block *b;
	size_t i;

	(void)vcpu;
	(void)data;
	active = false;
	fprintf(out, "section %u\n", sections++);
	for (b = blocks; b; b = b->next)
		for (i = 0; i < b->n && b->runs; i++)
			fprintf(out, "%016lx %lu %d\n", b->insn[i].at, b->runs,
				b->insn[i].locked);
	fflush(out);
}

/* Boot with noreplace-smp, or the kernel has no lock prefixes with one processor. */
static bool is_locked(const uint8_t *p, size_t size)
{
	size_t i;

	for (i = 0; i + 1 < size; i++) {
		if (p[i] == 0xf0)
			return true;
		/* xchg with memory needs no prefix; skip those of 16 bit and of REX. */
		if (p[i] == 0x86 || p[i] == 0x87)
			return p[i + 1] < 0xc0;
		if (p[i] != 0x66 && (p[i] & 0xf0) != 0x40)
			return false;
	}
	return false;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	static const uint8_t mark[] = { 0x0f, 0x1f, 0x80, 0, 0x70, 0x6f, 0x61 };
	size_t i, n = qemu_plugin_tb_n_insns(tb);
	struct block *b = calloc(1, sizeof(*b) + n * sizeof(b->insn[0]));

	(void)id;
	b->n = n;
	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		const uint8_t *p = qemu_plugin_insn_data(insn);
		size_t size = qemu_plugin_insn_size(insn);

		b->insn[i].at = qemu_plugin_insn_vaddr(insn);
		b->insn[i].locked = is_locked(p, size);
		if (size == sizeof(mark) && !memcmp(p, mark, 3) && !memcmp(p + 4, mark + 4, 3))
			qemu_plugin_register_vcpu_insn_exec_cb(insn,
							       p[3] == 1 ? mark_begin : mark_end,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
	b->next = blocks;
	blocks = b;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, block_runs, QEMU_PLUGIN_CB_NO_REGS, b);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
	if (!out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
