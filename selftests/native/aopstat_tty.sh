#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The live table of aopstat in a terminal: keys are sent, and what the screen shows is looked at. A recording stands for
# the system; the clock stops at its end, so what is to be seen does not depend on time.
# shellcheck disable=SC2016 # what is typed is for the shell inside
set -u
cd "$(dirname "$0")/aopstat" || exit 1
top=$(readlink -f ../../..)
program=${AOPSTAT:-$top/build/tools/aopstat}
# shellcheck source=selftests/shell/tmux.sh
. "$top/selftests/shell/tmux.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS-}:log_path=$work/asan

# Begins it; the screen before is empty but for the command.
begin() {
	keys -R
	tm clear-history
	keys "clear; modes=\$(stty -g); $1" Enter
}

# How it ended, and that the terminal is as it was.
ended() {
	shows "$1: the prompt" '^>$'
	keys 'echo "[$?]"' Enter
	shows "$1: status $2" "^\[$2\]"
	keys '[ "$modes" = "$(stty -g)" ] && echo same "modes"' Enter
	shows "$1: the terminal is as it was" '^same modes'
	[ "$(tm display-message -p '#{alternate_on} #{cursor_flag}')" = "0 1" ]
	result $? "$1: the usual screen, with a cursor"
}

pid_of() {
	local shell

	shell=$(tm display-message -p '#{pane_pid}')
	# The newest child is what runs now.
	ps -o pid= --ppid "$shell" --sort=-start_time | tail -n 1 | tr -d ' '
}

terminal "env PS1='> ' bash --norc -i"
table="$program replay session.jsonl --speed 0"

begin "$table"
shows "the table" '^aopstat  4 ops: 0 running, 1 pending; ended: 1 done, 1 failed, 1 cancelled; 7 events lost' \
	'ID  STATE\+ +LABEL +PROGRESS +RATE +LEFT +AGE +DEADLINE  WATCH  OWNER +USER' \
	' 5  pending +job-c .* 1\.1s .* 504 compress +root' ' 2  done +job-b +██████████ 100%' \
	' 1  failed +job-a +EOWNERDEAD' ' 4  cancelled  evil\\x1b\[31m\\x09 ' 'END OF THE RECORDING'
keys /
keys job-
shows "a filter, while it is typed" '^filter: job-_' '^aopstat  3 ops' ' 5  pending'
hides "what does not match is gone" ECANCELED
keys x
shows "nothing matches" '^aopstat  0 ops'
keys BSpace BSpace BSpace BSpace BSpace 'state=fail'
shows "an unfinished filter changes nothing" 'filter: state=fail_ .*state cannot be'
keys 'ed'
shows "a filter on the state" '^filter: state=failed_' '^aopstat  1 ops' ' 1  failed'
keys Escape
shows "Esc goes back" '^sorted by state' '^aopstat  4 ops'
keys / 'job' Enter
shows "Enter keeps it" '^filter: job$' '^q quit'
keys / C-u Enter
shows "an empty one shows all" '^aopstat  4 ops'

keys '<'
shows "sorted by another column" '^sorted by id' 'ID\+'
[ "$(screen | grep -oE '^ +[0-9]+  (p|f|c|d)' | tr -d ' a-z' | tr '\n' ' ')" = "1 2 4 5 " ]
result $? "in its order"
keys r
shows "backwards" '^sorted by -id' 'ID-'
[ "$(screen | grep -oE '^ +[0-9]+  (p|f|c|d)' | tr -d ' a-z' | tr '\n' ' ')" = "5 4 2 1 " ]
result $? "in this order"
keys '>' '>'
shows "by the label" '^sorted by label'

keys '<' '<' Home Down Down Enter
shows "details of the third" '^op +4' '^state +cancelled, ECANCELED' '^pending +100ms' '^running +1\.5s' \
	'^parent +2' '^Esc back'
keys Escape
shows "back to the table" '^q quit'
keys Up Enter
shows "details with a tree" '^op +2' '└─ 4 cancelled ECANCELED'
keys Escape
keys c
shows "a recording cannot be cancelled" 'this is a recording|has ended'
keys '?'
shows "help" 'freeze; nothing is lost meanwhile' '^Esc back'
keys Escape
keys Space
shows "frozen" 'FROZEN'
keys Space
hides "not any more" FROZEN

tm resize-window -x 70 -y 10
shows "a narrow window has less columns" 'ID\+ +STATE +LABEL +PROGRESS +AGE *$'
tm resize-window -x 30 -y 5
shows "a tiny one" '^aopstat  4 ops: 0 running, 1'
tm resize-window -x 130 -y 24
shows "a wide one has all" 'DEADLINE  WATCH  OWNER'

keys C-z
shows "Ctrl-Z: the shell" 'Stopped'
keys 'clear; [ "$modes" = "$(stty -g)" ] && echo same "modes"' Enter
shows "Ctrl-Z: the terminal is as it was" '^same modes'
keys 'fg' Enter
shows "fg: the table" '^aopstat  4 ops' '^q quit'
keys q
ended "q" 0

begin "$table -f state=final"
shows "with a filter of the command line" '^aopstat  3 ops'
keys / 'job'
shows "what is typed holds beside it" '^filter: job_' '^aopstat  2 ops'
keys Enter q
ended "q, with filters" 0

begin "$table"
shows "again" '^q quit'
keys C-c
ended "Ctrl-C" 130
for s in TERM HUP QUIT; do
	begin "$table"
	shows "again" '^q quit'
	kill -$s "$(pid_of)"
	ended "SIG$s" $((128 + $(kill -l $s)))
done

begin "$table -n 1"
ended "one frame" 0

begin "$table"
shows "coloured" 'END OF'
tm capture-pane -pe | grep -qE $'\033\\[31m(\033\\[49m)?failed'
result $? "failed is red"
keys q
ended "q" 0
begin "NO_COLOR=1 $table"
shows "NO_COLOR" 'END OF'
! tm capture-pane -pe | grep -q $'\033\\[3[0-7]m'
result $? "no colours"
keys q
ended "q" 0
begin "$table --color=always"
shows "--color" '^q quit'
keys q
ended "q" 0
begin "LC_ALL=C $table"
shows "ASCII" '########## 100%'
keys q
ended "q" 0
begin "TERM=dumb $table"
shows "no table on this terminal" 'cannot show a table'
ended "no table" 71
begin "$program replay missing.jsonl"
shows "a missing recording" 'No such file'
ended "no recording" 71
# As when netlink fails: the table is on the screen by then.
(head -n 8 session.jsonl; echo '{"event":"op"') > "$work/broken"
begin "$program replay $work/broken --speed 2"
shows "a source that fails: why" '^aopstat: .*:9: this is no event'
ended "a source that fails" 71
begin "$program replay session.jsonl --speed 0 | head -n 1"
shows "in a pipe: lines" '^ +TIME +ID'
ended "a pipe" 0

# When the terminal goes, so does aopstat. A terminal that hangs up sends SIGCONT, too; that undoes the SIGSTOP by which
# LeakSanitizer stops the process, and it waits for ever.
begin "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 $table"
shows "the last one" '^q quit'
pid=$(pid_of)
tm kill-server
timeout 20 tail -f /dev/null --pid="$pid"
result $? "it ends with its terminal"
cat "$work"/asan.* 2>/dev/null && result 1 "AddressSanitizer"
finish
