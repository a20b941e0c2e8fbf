# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Functions for the guest's scripts; sourced.

note() {
	echo "dmabroker-vm: $*" >/dev/console
}

# The machine is not what COMMAND was promised: tell the host, which ends the run.
fail() {
	note "FAILED: $*"
	/harness/relay --fail "$*"
	sleep 60
	exit 1
}

mount_outs() {
	[ -s /harness/outs ] || return 0
	modprobe -a 9p 9pnet_virtio
	while read -r tag path; do
		mkdir -p "$path"
		mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 "$tag" "$path" ||
			fail "cannot mount the --out folder at $path"
	done </harness/outs
}

# A part of the project that the harness was allowed to leave out is not missed.
have_part() {
	[ -e "$1" ] && return 0
	[ -e /harness/lenient ] || fail "the project did not bring $1"
	note "$1 is not part of this guest"
	return 1
}

fail_part() {
	[ -e /harness/lenient ] || fail "$*"
	note "$*"
	return 1
}

load_module() {
	have_part "/lib/modules/$(uname -r)/updates/dmabroker.ko" || return 1
	modprobe dmabroker || fail_part "modprobe dmabroker failed; the console says why" || return 1
	[ -c /dev/dmabroker ] || fail_part "dmabroker.ko is loaded but there is no /dev/dmabroker"
}

# Give the listed devices to the helper's stub driver, with the masks that their hardware has.
bind_devices() {
	have_part /usr/bin/dmabrokerctl || return 0
	while read -r device bits; do
		dmabrokerctl device bind "$device" --mask "$bits" >/dev/console 2>&1 ||
			fail_part "dmabrokerctl device bind $device --mask $bits failed"
	done </harness/devices
}
