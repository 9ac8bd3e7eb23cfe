#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Completion of aopstat in bash, zsh and fish: commands, options, and ids with what they are. A recording stands for the
# system. zsh completes in a terminal only.
# shellcheck disable=SC2016,SC2001 # what is in quotes is for other shells; sed does lines
set -u
cd "$(dirname "$0")/aopstat" || exit 1
top=$(readlink -f ../../..)
program=${AOPSTAT:-$top/build/tools/aopstat}
completions=$top/tools/aopstat/completions
for c in zsh fish; do
	command -v $c >/dev/null || { echo "1..0 # SKIP there is no $c"; exit 4; }
done
# shellcheck source=selftests/shell/tmux.sh
. "$top/selftests/shell/tmux.sh"
export HOME=$work PATH=$work:$PATH

# What the completions find as aopstat lists what was recorded. Without a search for leaks: zsh sends SIGCONT to what it
# waits for, which undoes the SIGSTOP by which LeakSanitizer stops the process, and it waits for ever.
cat > "$work/aopstat" <<EOF
#!/bin/sh
export ASAN_OPTIONS=\${ASAN_OPTIONS-}:detect_leaks=0
if [ "\$1" = list ] && [ "\$2" != --help ]; then
	shift
	exec "$program" list --from "$PWD/session.jsonl" "\$@"
fi
exec "$program" "\$@"
EOF
chmod +x "$work/aopstat"

in_bash() {
	bash -c 'source "$1/aopstat.bash"
		shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_aopstat
		printf "%s\n" "${COMPREPLY[@]}"' bash "$completions" "$@" | sort -n | tr '\n' ' '
}
is "bash: a command" "$(in_bash aopstat ca)" "cancel "
is "bash: an option" "$(in_bash aopstat cancel --r)" "--reason "
is "bash: all ids" "$(in_bash aopstat show '')" "1 2 4 5 "
is "bash: ids of those that are open" "$(in_bash aopstat cancel '')" "5 "

in_fish() {
	timeout 60 fish -N -c "source $completions/aopstat.fish; complete -C '$1'" </dev/null | sort -n | tr -s '\t ' ' ' |
		sed 's/ $//'
}
is "fish: a command" "$(in_fish 'aopstat ca' | cut -d ' ' -f 1)" cancel
is "fish: an option" "$(in_fish 'aopstat cancel --r' | cut -d ' ' -f 1)" --reason
is "fish: all ids, and what they are" "$(in_fish 'aopstat show ' | cut -d ' ' -f 1-3 | head -n 2)" "1 failed job-a
2 done job-b"
is "fish: ids of those that are open" "$(in_fish 'aopstat cancel ')" "5 pending job-c"

terminal "zsh -f -i"
keys "fpath=($completions \$fpath); autoload -U compinit; compinit -u -d $work/dump; PS1='> '; clear" Enter
shows "zsh: the prompt" '^> *$'
keys 'aopstat canc' Tab
shows "zsh: a command" '^> aopstat cancel'
keys -- '--rea' Tab
shows "zsh: an option" '^> aopstat cancel --reason'
keys C-u 'aopstat cancel ' Tab
shows "zsh: the one id that is open" '^> aopstat cancel 5'
keys C-u 'aopstat show ' Tab Tab
shows "zsh: all ids, and what they are" '^1 +-- failed +job-a' '^2 +-- done +job-b' '^5 +-- pending +job-c'
keys C-u 'aopstat list --sort ' 'la' Tab
shows "zsh: a column" '^> aopstat list --sort label'

finish
