#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Completion of aopstat with the ids of a running system, in bash, zsh and fish. What else it completes is tested in native/.
# shellcheck disable=SC2016 # what is in quotes is for other shells
set -u
aopstat=$(readlink -f "${AOPSTAT:-build/tools/aopstat}")
completions=$(readlink -f tools/aopstat/completions)
for c in zsh fish; do
	command -v $c >/dev/null || { echo "1..0 # SKIP there is no $c"; exit 4; }
done
# shellcheck source=selftests/shell/tmux.sh
. "${BASH_SOURCE%/*}/shell/tmux.sh"
export HOME=$work PATH="${aopstat%/*}:$PATH"

await() {
	timeout 60 "$aopstat" watch --json -f "label=$1" | grep -m 1 -- "$2" | sed 's/.*"id":\([0-9]*\),.*/\1/'
}

"$aopstat" run -l one -- sleep 1000 & first=$!
a=$(await one running)
"$aopstat" run -l two -- sleep 1000 & second=$!
b=$(await two running)
is "bash" "$(bash -c 'source "$1/aopstat.bash"
	COMP_WORDS=(aopstat cancel "") COMP_CWORD=2
	_aopstat
	printf "%s " "${COMPREPLY[@]}"' bash "$completions")" "$a $b "
is "fish, and what they are" "$(timeout 60 fish -N -c "source $completions/aopstat.fish; complete -C 'aopstat cancel '" </dev/null |
	sort -n | tr -s '\t ' ' ' | sed 's/ $//' | tr '\n' ';')" "$a running one;$b running two;"
terminal "zsh -f -i"
# Not the functions of a thousand programs: they take minutes in an emulated guest.
keys "fpath=($completions \${(M)fpath:#*/Completion(|/Base|/Zsh)}); autoload -U compinit; compinit -u -D; PS1='> '; clear" Enter
shows "zsh: the prompt" '^> *$'
keys 'aopstat cancel ' Tab Tab
shows "zsh, and what they are" "^$a +-- running +one" "^$b +-- running +two"
# The first one has ended by then.
"$aopstat" cancel "$a" >/dev/null
wait $first
keys C-u 'aopstat cancel ' Tab
shows "zsh: the one that is open" "^> aopstat cancel $b"
"$aopstat" cancel "$b" >/dev/null
wait $second
finish
