# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the lanes that boot machines share; sourced. A lane prints "ok NAME" or "not ok NAME (what
# was seen)" for each check and a closing line. A machine that ends in any way but well is a failed
# check of its own, and so is a test in it that did not come to its closing line.
set -u -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
guest_tests=/usr/libexec/dmabroker/tests
passed=0 failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# report ok|'not ok' NAME [SEEN]
report() {
	if [ "$1" = ok ]; then
		passed=$((passed + 1))
		echo "ok $2"
	else
		failed=$((failed + 1))
		echo "not ok $2${3:+ ($3)}"
	fi
}

# check NAME SEEN CONDITION... : CONDITION is a command.
check() {
	local name=$1 seen=$2
	shift 2
	if "$@"; then report ok "$name"; else report 'not ok' "$name" "$seen"; fi
}

# vm ARGS... : a machine, with the command's output in $work/out; $status is set. What it says on
# standard error is the lane's.
vm() {
	tests/vm/run --timeout 900 "$@" >"$work/out" </dev/null
	status=$?
}

# in_vm TITLE RUN-OPTION... -- COMMAND... : a machine whose command prints checks and a closing line.
in_vm() {
	local title=$1 p='' f=''
	shift
	vm "$@"
	read -r p f < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$work/out" | tail -n 1)
	grep -vE '^[0-9]+ passed, [0-9]+ failed$' "$work/out" |
		sed -e "s/^ok /ok $title: /" -e "s/^not ok /not ok $title: /"
	passed=$((passed + $(grep -c '^ok ' "$work/out")))
	failed=$((failed + $(grep -c '^not ok ' "$work/out")))
	if [ -z "$p" ]; then
		report 'not ok' "$title: the test comes to its end" "no closing line, status $status"
	elif [ "$p" -ne "$(grep -c '^ok ' "$work/out")" ] ||
		[ "$f" -ne "$(grep -c '^not ok ' "$work/out")" ]; then
		report 'not ok' "$title: the test counts right" "it counted $p and $f"
	elif [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
		report 'not ok' "$title: the machine ends well" "status $status"
	fi
}

# e2e TITLE RUN-OPTION... -- E2E-ARGUMENT... : topics of tests/vm/e2e/.
e2e() {
	local title=$1 options=()
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	in_vm "$title" "${options[@]}" -- $guest_tests/e2e "${@:2}"
}

# kmod TITLE RUN-OPTION... -- KMOD-ARGUMENT... : topics of tests/vm/kmod/. The broker is stopped: the
# helper must be unloadable, and what it lists must be the test's alone.
kmod() {
	local title=$1 options=()
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	in_vm "$title" "${options[@]}" -- sh -c \
		'kill $(pidof dmabrokerd); ulimit -n 100000; exec "$@"' sh $guest_tests/kmod "${@:2}"
}

finish() {
	echo "$passed passed, $failed failed"
	[ $failed -eq 0 ] && [ $passed -gt 0 ]
	exit
}
