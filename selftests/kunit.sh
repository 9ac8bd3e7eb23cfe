#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The results of the module's own KUnit tests (kmod/test/*_test.c), which ran when it was loaded. Debian's kernels have no
# KUnit; those of `make check-debug` do.
cd /sys/kernel/debug/kunit 2>/dev/null || exit 4
n=0 failed=0
for suite in aop_op aop_ring aop_group aop_deadline; do
	# One level down are the cases; at the end, without an indent, is their sum.
	while IFS= read -r line; do
		n=$((n + 1))
		echo "${line%%ok *}ok $n - $suite.${line##* }"
	done < <(sed -nE 's/^ {4}((not )?ok [0-9]+ (- )?[a-z_]+)/\1/p' "$suite/results" 2>&1)
	if ! grep -q '^ok ' "$suite/results"; then
		n=$((n + 1)) failed=1
		echo "not ok $n - $suite"
		sed 's/^/# /' "$suite/results"
	fi
done
echo "1..$n"
exit $failed
