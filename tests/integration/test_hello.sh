#!/bin/sh
# SPDX-License-Identifier: MIT
# The example of README.md does what it says, with a broker and without.
#
# Usage: test_hello.sh DMABROKERD HELLO SOURCE README
set -u
dmabrokerd=$1 hello=$2 source=$3 readme=$4
work=$(mktemp -d) || exit 1
pid=
trap '[ -z "$pid" ] || kill "$pid"; wait; rm -rf "$work"' EXIT

fail() {
	echo "test_hello: $*" >&2
	cat "$work"/* >&2 2>/dev/null
	exit 1
}

DMABROKER_SOCKET=$work/none "$hello" >"$work/out" 2>"$work/err" && fail "it succeeds without a broker"
[ -s "$work/out" ] && fail "it says hello without a broker"
grep -q "No broker listens at $work/none; start it" "$work/err" || fail "it does not say what to do"

printf '[user %s]\n' "$(id -u)" >"$work/conf"
"$dmabrokerd" --backend sim --bus none --config "$work/conf" --socket "$work/socket" \
	>"$work/log" 2>&1 &
pid=$!
i=0
while [ ! -S "$work/socket" ]; do
	i=$((i + 1))
	[ $i -lt 200 ] || fail "the broker does not start"
	sleep 0.1
done
DMABROKER_SOCKET=$work/socket "$hello" >"$work/out" 2>"$work/err" || fail "it fails"
[ "$(cat "$work/out")" = 'Hello, device!' ] || fail "it does not say hello"

# What README.md shows is this program, and nothing else.
sed -n '/^```c$/,/^```$/p' "$readme" | sed '/^```/d' >"$work/shown"
tail -n +2 "$source" >"$work/compiled"
cmp -s "$work/shown" "$work/compiled" || fail "README.md shows another program than examples/hello.c"
