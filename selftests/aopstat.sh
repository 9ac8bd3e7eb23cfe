#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# aopstat and the module: what it runs, waits for, cancels, follows and records (K6, K7). The screen and what is printed of a
# recording are tested in native/. "aopstat watch" in a pipe is what waits for events here: it ends when its reader has
# seen enough.
# shellcheck disable=SC2016 # what is in quotes is for other shells
set -u
aopstat=$(readlink -f "${AOPSTAT:-build/tools/aopstat}")
work=$(mktemp -d) || exit 1
chmod 755 "$work"
export LC_ALL=C.UTF-8 aopstat work
# shellcheck source=selftests/shell/tap.sh
. "${BASH_SOURCE%/*}/shell/tap.sh"

# Until an op with this label is told of like that; prints its id.
await() {
	timeout 60 "$aopstat" watch --json -f "label=$1" | grep -m 1 -- "$2" | sed 's/.*"id":\([0-9]*\),.*/\1/'
}

# ... and until it has so many watchers.
watched() {
	timeout 60 sh -c 'until "$aopstat" show --json '"$1"' | grep -q "\"watchers\":'"$2"'"; do sleep 0.05; done'
}

"$aopstat" record -w "$work/session" & recorder=$!
# Flushed by its clock.
timeout 60 tail -n +1 -F "$work/session" 2>/dev/null | grep -qm 1 '"event":"ready"'
result $? "record: all that there was has been told"

"$aopstat" run -l good -- true
is "run: the status of the command" $? 0
"$aopstat" run -l bad -- sh -c 'exit 7'
is "run: the status of the command that failed" $? 7
"$aopstat" run -l killed -- sh -c 'kill -9 $$'
is "run: killed by a signal" $? 137
"$aopstat" run -l missing -- "$work/missing" 2>/dev/null
is "run: there is no such command" $? 127
"$aopstat" run -l no-program -- "$work" 2>/dev/null
is "run: it is no program" $? 126
"$aopstat" run -l counted -p 5 -- sh -c 'echo "at 42%" >&5; printf "10/20\r17/100" >&5; echo >&5'
is "run: with progress" $? 0
is "run: its id is told" "$("$aopstat" run -l shown --print-id -- true 2>&1 | grep -cE '^[0-9]+$')" 1
"$aopstat" run -l late --deadline 200ms -k 100ms -- sh -c 'trap "" TERM; while :; do sleep 1; done'
is "run: the deadline came, and SIGKILL" $? 124

# The command says that it has been told.
"$aopstat" run -l asked -- sh -c 'trap "echo told >$work/told; exit 3" TERM; echo up >$work/up; while :; do sleep 0.1; done' & run=$!
id=$(await asked running)
timeout 60 sh -c 'until [ -e "$work/up" ]; do sleep 0.05; done'
is "show" "$("$aopstat" show "$id" | grep -cE '^(label     asked|state     running|op        '"$id"')$')" 3
"$aopstat" wait "$id" -t 50ms 2>/dev/null
is "wait: not in time" $? 124
"$aopstat" wait --all --timeout 60s "$id" > "$work/waited" & waiter=$!
watched "$id" 2
is "cancel" "$("$aopstat" cancel "$id" -m ETIMEDOUT)" "$id: asked to stop"
wait $waiter
is "wait: cancelled" "$? $(cat "$work/waited")" "4 $id: cancelled ETIMEDOUT"
wait $run
is "run: cancelled" "$? $(cat "$work/told")" "4 told"
"$aopstat" cancel 999999 2>/dev/null
is "cancel: not found" $? 3
"$aopstat" show 999999 2>/dev/null
is "show: not found" $? 3
"$aopstat" wait 999999 2>/dev/null
is "wait: not found" $? 3

# Two: one ends when it is told to, the other does not.
mkfifo "$work/go"
"$aopstat" run -l first -- sh -c 'read x < $work/go; exit 1' & first=$!
"$aopstat" run -l zwölf -- sleep 1000 & second=$!
a=$(await first running)
b=$(await zwölf running)
is "list, filtered" "$("$aopstat" list --no-header -s label -o label -f 'state=running age<10m' | tr '\n' ' ')" "first zwölf "
# The kernel, which compares bytes, must not leave out what these mean.
is "list, by patterns of characters" "$(for f in 'label=zw?lf' 'label=[^a]*lf' 'label=[[:alpha:]]*lf' 'ZW?LF' wölf; do
	"$aopstat" list --no-header -o label -f "$f"
done | tr '\n' ' ')" "zwölf zwölf zwölf zwölf zwölf "
"$aopstat" wait --any "$a" "$b" > "$work/waited" & waiter=$!
watched "$a" 2
echo > "$work/go"
wait $waiter
is "wait --any: failed" "$? $(cat "$work/waited")" "1 $a: failed EPROTO"
wait $first
# K7: another user sees nothing of it.
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
"${nobody[@]}" "$aopstat" show "$b" 2>/dev/null
is "K7: show, of another user's" $? 3
"${nobody[@]}" "$aopstat" cancel "$b" 2>/dev/null
is "K7: cancel, of another user's" $? 3
is "K7: list" "$("${nobody[@]}" "$aopstat" list --no-header)" ""
"${nobody[@]}" "$aopstat" run -l own -- sleep 1000 & own=$!
c=$(await own running)
is "K7: one's own, among all" "$("${nobody[@]}" "$aopstat" watch -n 1 --no-header -o id,label 2>/dev/null | tr -s ' ')" \
	" 0.000 $c own"
"${nobody[@]}" "$aopstat" cancel "$c" >/dev/null
result $? "K7: cancel, of one's own"
wait $own

# The one who runs it dies: so does the op, at once, and the command.
kill -KILL "$("$aopstat" list --no-header -o pid -f id="$b" | tr -d ' ')"
"$aopstat" wait "$b" >/dev/null 2>&1
[[ $? = [13] ]]
result $? "run: killed itself"
wait $second 2>/dev/null

timeout 60 "$aopstat" watch > /dev/full 2>/dev/null
is "watch: nothing can be written" $? 74
"$aopstat" run -l last -- true
timeout 60 tail -n +1 -F "$work/session" 2>/dev/null | grep -qm 1 '"done".*"label":"last"'
result $? "record: the last one"
kill -INT $recorder
wait $recorder
is "record: interrupted" $? 130
ends() {
	"$aopstat" watch --from "$work/session" --speed 0 --no-header -o "$1" -f "state=final label=$2" | tr -s ' ' |
		cut -d ' ' -f 3- | sort -u | tr '\n' ';'
}
is "K6: each end was told" "$(ends state,result,label '*' | tr ';' '\n' | sed 's/^ //; /^$/d' | sort)" "$(sort <<-EOF_ENDS
	cancelled ECANCELED own
	cancelled ETIMEDOUT asked
	done 0 counted
	done 0 good
	done 0 last
	done 0 shown
	failed EACCES no-program
	failed EINTR killed
	failed ENOENT missing
	failed EOWNERDEAD zwölf
	failed EPROTO bad
	failed EPROTO first
	failed ETIMEDOUT late
EOF_ENDS
)"
is "progress was 17 of 100" "$(ends done,total,label counted)" "17 100 counted;"
is "hist" "$("$aopstat" hist --from "$work/session" --no-header -f label=good | awk '{ print $1, $8 }')" "1 good"

rm -rf "$work"
finish
