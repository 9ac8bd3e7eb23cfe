#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# For scripts that are tests, which source it: results as TAP, and at the end "finish".
n=0 failed=0

# STATUS NAME
result() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=$((failed + 1))
	fi
}

# NAME HAVE WANT
is() {
	[ "$2" = "$3" ]
	result $? "$1"
	[ "$2" = "$3" ] || echo "# '$2' is not '$3'"
}

finish() {
	echo "1..$n"
	[ $failed = 0 ]
}
