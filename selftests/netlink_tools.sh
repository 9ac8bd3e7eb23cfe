#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The netlink family by the tools that others use: genl of iproute2, and the kernel tree's ynl with docs/netlink/aop.yaml.
# shellcheck disable=SC2001 # sed does lines
set -u
aopstat=$(readlink -f "${AOPSTAT:-build/tools/aopstat}")
command -v genl >/dev/null || { echo "1..0 # SKIP there is no genl"; exit 4; }
cli=$(scripts/kernel source)/tools/net/ynl/cli.py
[ -e "$cli" ] || { echo "1..0 # SKIP there is no ynl"; exit 4; }
# shellcheck source=selftests/shell/tap.sh
. "${BASH_SOURCE%/*}/shell/tap.sh"
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1

ynl() {
	python3 "$cli" --spec docs/netlink/aop.yaml --no-schema --output-json "$@" 2>&1
}

has() {
	grep -qE "$2" <<<"$3"
	result $? "$1"
	grep -qE "$2" <<<"$3" || sed 's/^/# | /' <<<"$3"
}

has "genl: the family" 'commands supported' "$(genl ctrl get name aop)"
"$aopstat" run -l by-tools -- sleep 1000 & run=$!
id=$(timeout 60 "$aopstat" watch --json -f label=by-tools | grep -m 1 running | sed 's/.*"id":\([0-9]*\),.*/\1/')
has "ynl: get" "\"id\": $id, .*\"state\": \"running\".* \"label\": \"by-tools\"" "$(ynl --do get --json "{\"id\": $id}")"
has "ynl: a dump with a filter" "^\[\{\"id\": $id, [^{]*\}\]$" \
	"$(ynl --dump get --json '{"filter": {"label": "by-*", "uid": 0}}')"
has "ynl: an error, in words" 'no operation with this id' "$(ynl --do get --json '{"id": 999999999}')"
has "ynl: cancel" '"answer": "asked"' "$(ynl --do cancel --json "{\"id\": $id, \"reason\": -110}")"
wait $run
is "it was asked to" $? 4
finish
