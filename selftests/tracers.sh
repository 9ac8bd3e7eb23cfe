#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The tracepoints as users of perf and bpftrace meet them: events are counted, and told in words. What they tell exactly is
# trace.c's matter, by way of ftrace.
top=$(dirname "$(readlink -f "$0")")/..
run=$top/build/lib/examples/processes
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0 failed=0

result() {
	n=$((n + 1))
	echo "$1 $n - $2"
	[ "$1" = ok ] || failed=1
}

expect() {
	if [ "$2" ]; then
		result ok "$1"
	else
		result "not ok" "$1"
		sed 's/^/# /' "$tmp/out"
	fi
}

count() {
	sed -nE "s/^ *([0-9]+) +aop:aop_$1 .*/\1/p" "$tmp/out"
}

# What that program does: three operations are accepted and make 300 steps, then one ends well and two lose their owner.
echo "TAP version 13"
echo "1..3"
if ! command -v perf > /dev/null || ! perf --version > /dev/null 2>&1; then
	result ok "perf stat # SKIP no perf"
	result ok "perf script # SKIP no perf"
else
	perf stat -a -e aop:aop_create,aop:aop_change,aop:aop_release -- "$run" > /dev/null 2> "$tmp/out"
	expect "perf stat counts what happens to each operation" \
		"$([ "$(count create)" = 3 ] && [ "$(count change)" = 306 ] && [ "$(count release)" = 3 ] && echo y)"
	perf record -q -a -e aop:aop_change -o "$tmp/data" -- "$run" > /dev/null 2> "$tmp/out"
	perf script -i "$tmp/data" > "$tmp/out" 2>&1
	expect "perf script shows states and flags by name" "$(grep -E 'aop:aop_change: .*->done flags=[a-z|]*over' "$tmp/out")"
fi
if ! command -v bpftrace > /dev/null; then
	result ok "bpftrace # SKIP no bpftrace"
elif [ ! -e /sys/kernel/btf/vmlinux ]; then
	result ok "bpftrace # SKIP this kernel does not say what its types are (BTF)"
else
	bpftrace -e 'tracepoint:aop:aop_change { @[args->from, args->state] = count(); }' -c "$run" > "$tmp/out" 2>&1
	expect "bpftrace counts by the states that a change leads from and to" \
		"$([ "$(grep '^@' "$tmp/out" | sort | tr -d '\n')" = "@[0, 1]: 3@[1, 1]: 300@[1, 2]: 1@[1, 3]: 2" ] && echo y)"
fi
exit $failed
