#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What aopstat prints, compared with files: selftests/native/aopstat/*.golden. A line in one that begins with "$ " is a
# command; what it printed, and its exit status, follow. The commands run in that folder; recordings stand for the system.
#
#   aopstat.sh [-u]	-u: write what is printed now into the files. Then look at the difference.
set -u
cd "$(dirname "$0")/aopstat" || exit 1
top=$(readlink -f ../../..)
program=${AOPSTAT:-$top/build/tools/aopstat}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export work program completions=$top/tools/aopstat/completions
unset NO_COLOR
export LC_ALL=C.UTF-8 TERM=dumb

# Each block of a file, one file each: the command in its first line.
split() {
	awk -v dir="$1" '/^\$ / { n++ } n { f = sprintf("%s/%03d", dir, n); print > f }' "$2"
}

run() {
	printf '$ %s\n' "$1"
	bash -c "$functions"$'\n'"$1" </dev/null 2>&1
	printf '[%d]\n' $?
}

# What the commands call: the program, the program without a module (where there is one, that is not looked at), the ids
# that a filter leaves of the session's first half, bash's completion.
# shellcheck disable=SC2016 # the other shell's
functions='
aopstat() { "$program" "$@"; }
without_module() {
	if [ -e /dev/aop ]; then
		echo "aopstat: the module aop is not loaded"
		echo "Load it: \"modprobe aop\", or \"insmod build/KERNEL/aop.ko\"."
		return 69
	fi
	aopstat "$@"
}
filtered() { head -n 8 session.jsonl | aopstat list --from - --no-header -o id -f "$1"; }
complete_words() {
	source "$completions/aopstat.bash"
	COMP_WORDS=(aopstat "$@") COMP_CWORD=$#
	_aopstat
	printf "%s\n" "${COMPREPLY[@]}"
}'

n=0 failed=0
for golden in *.golden; do
	mkdir "$work/want"
	split "$work/want" "$golden"
	: > "$work/new"
	for want in "$work"/want/*; do
		command=$(head -n 1 "$want")
		command=${command#\$ }
		run "$command" > "$work/have"
		cat "$work/have" >> "$work/new"
		n=$((n + 1))
		if [ "${1-}" = -u ]; then
			continue
		elif cmp -s "$want" "$work/have"; then
			echo "ok $n - $golden: $command"
		else
			echo "not ok $n - $golden: $command"
			diff "$want" "$work/have" | sed 's/^/# /'
			failed=$((failed + 1))
		fi
	done
	[ "${1-}" != -u ] || cp "$work/new" "$golden"
	rm -r "$work/want"
done
echo "1..$n"
[ $failed = 0 ]
