#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# aopstat's live table and the module: cancelling from the keyboard, those that have ended, groups as a tree, what the
# terminal is left as when the table ends; each exit status (69 is seen natively, where there is no module).
# shellcheck disable=SC2016,SC2001 # what is in quotes is for other shells; sed does lines
set -u
aopstat=$(readlink -f "${AOPSTAT:-build/tools/aopstat}")
# shellcheck source=selftests/shell/tmux.sh
. "${BASH_SOURCE%/*}/shell/tmux.sh"
export aopstat work PATH="$PATH:${aopstat%/*}"

await() {
	timeout 60 "$aopstat" watch --json -f "label=$1" | grep -m 1 -- "$2" | sed 's/.*"id":\([0-9]*\),.*/\1/'
}

nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --)

# ---- the live table

"$aopstat" run -l victim -- sh -c 'trap "exit 3" TERM; while :; do sleep 0.1; done' & victim=$!
id=$(await victim running)
terminal "env PS1='> ' bash --norc -i"
keys "modes=\$(stty -g); clear; $aopstat" Enter
shows "the table, of the system" '^aopstat  1 ops: 1 running' " $id  running +victim"
keys Enter
shows "details, with watchers and times" "^op +$id" '^watchers +1' '^pending ' '^running ' '^owner .* user root'
keys Escape
keys c
shows "a question first" "Ask the owner of op $id \(victim\) to stop\? \[y/N\]"
keys n
shows "No" '^q quit'
is "nothing was asked" "$("$aopstat" list --json -f "id=$id" | grep -c '"cancel_requested":false')" 1
keys c
shows "the question again" 'to stop\? \[y/N\]'
keys y
shows "it was asked, and ends; it stays on the screen" "op $id has been asked to stop" " $id  cancelled +victim" \
	'ended: 0 done, 0 failed, 1 cancelled; 0 events lost'
wait $victim
is "its owner was" $? 4

# What a filter that is kept does not let through is not told by the kernel: its end is not counted.
"$aopstat" run -l keeper -- sleep 1000 & keeper=$!
id=$(await keeper running)
shows "another one" " $id  running +keeper"
keys / KEEP Enter
shows "a filter, kept" '^filter: KEEP$' '^aopstat  1 ops' " $id  running +keeper"
"$aopstat" run -l passer-by -- true
"$aopstat" cancel "$id" >/dev/null
wait $keeper
shows "the end of what it lets through is counted, no other" " $id  cancelled +keeper" \
	'ended: 0 done, 0 failed, 2 cancelled; 0 events lost'
"$aopstat" run -l waits -- sleep 1000 & waits=$!
id=$(await waits running)
keys / C-u wait
shows "what is typed is compared with all that there are" '^filter: wait_' " $id  running +waits"
keys C-u Enter
"$aopstat" run -l last -- true
shows "without a filter all are told again" '^sorted by' '  done +last' " $id  running +waits" \
	'ended: 1 done, 0 failed, 2 cancelled; 0 events lost'
"$aopstat" cancel "$id" >/dev/null
wait $waits
shows "and their ends" 'ended: 1 done, 0 failed, 3 cancelled'

keys q
shows "the shell" '^>'
keys 'clear; [ "$modes" = "$(stty -g)" ] && echo same "modes"' Enter
shows "q: the terminal is as it was" '^same modes'
keys "clear; $aopstat" Enter
shows "again" '^q quit'
pid=$(tm display-message -p '#{pane_pid}')
kill -TERM "$(pgrep -P "$pid" -n aopstat)"
shows "SIGTERM: the shell" 'Terminated|^>'
keys 'clear; [ "$modes" = "$(stty -g)" ] && echo same "modes"' Enter
shows "SIGTERM: the terminal is as it was" '^same modes'
tm kill-server

# ---- each exit status

"$aopstat" run -l zero -- true
is "0: ok" $? 0
mkfifo "$work/go"
"$aopstat" run -l fails -- sh -c 'read x < $work/go; exit 1' & run=$!
id=$(await fails running)
"$aopstat" wait "$id" > "$work/waited" & waiter=$!
timeout 60 sh -c 'until "$aopstat" show --json '"$id"' | grep -q "\"watchers\":2"; do sleep 0.05; done'
echo > "$work/go"
wait $waiter
is "1: an op failed" "$?" 1
wait $run
"$aopstat" list --no-such-option 2>/dev/null
is "2: usage" $? 2
"$aopstat" wait 99999999 2>/dev/null
is "3: not found" $? 3
"$aopstat" run -l long -- sleep 1000 & run=$!
id=$(await long running)
"$aopstat" wait "$id" -t 10ms 2>/dev/null
is "124: timeout" $? 124
chmod 0 /dev/aop
"${nobody[@]}" "$aopstat" run -- true 2> "$work/why"
is "5: not permitted, and why" "$? $(cat "$work/why")" "5 aopstat: /dev/aop: Permission denied"
"${nobody[@]}" "$aopstat" wait "$id" 2>/dev/null
is "5: wait" $? 5
chmod 666 /dev/aop
# What a shell without job control puts into the background ignores SIGINT.
env --default-signal=INT "$aopstat" wait "$id" > /dev/null 2>&1 & waiter=$!
timeout 60 sh -c 'until "$aopstat" show --json '"$id"' | grep -q "\"watchers\":2"; do sleep 0.05; done'
kill -INT $waiter
wait $waiter
is "130: interrupted (wait)" $? 130
"$aopstat" cancel "$id" -m EBUSY > /dev/null
is "0: a cancel that was asked for" $? 0
wait $run
is "4: cancelled" $? 4

finish
