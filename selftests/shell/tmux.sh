#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# For tests of what is seen in a terminal, which source it: a tmux server of their own, in $work, which is
# removed at the end. What a screen comes to hold is waited for; one that waits in vain ends there.
# shellcheck source=selftests/shell/tap.sh
. "${BASH_SOURCE%/*}/tap.sh"
command -v tmux >/dev/null || { echo "1..0 # SKIP there is no tmux"; exit 4; }
work=$(mktemp -d) || exit 1
chmod 755 "$work"
unset TMUX NO_COLOR
export LC_ALL=C.UTF-8
trap 'tm kill-server 2>/dev/null; rm -rf "$work"' EXIT

tm() {
	tmux -S "$work/socket" "$@"
}

# COMMAND in a new terminal.
terminal() {
	tm -f /dev/null new-session -d -x 130 -y 24 "$1"
}

keys() {
	tm send-keys "$@"
}

screen() {
	tm capture-pane -p
}

# Tries for twenty seconds.
await_screen() {
	local i text

	for ((i = 0; i < 400; i++)); do
		text=$(screen)
		! "$@" || return 0
		sleep 0.05
	done
	return 1
}

has_all() {
	local p

	for p; do
		grep -qE -- "$p" <<<"$text" || return 1
	done
}

has_not() {
	! has_all "$1"
}

told() {
	result "$1" "$2"
	[ "$1" != 0 ] || return 0
	screen | sed 's/^/# | /'
	# What comes next would wait in vain.
	finish
	exit 1
}

# NAME PATTERN...: the screen comes to hold lines that match all of these ...
shows() {
	await_screen has_all "${@:2}"
	told $? "$1"
}

# NAME PATTERN: ... or none that matches this.
hides() {
	await_screen has_not "$2"
	told $? "$1"
}
