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

load_module() {
	modprobe dmabroker || fail "modprobe dmabroker failed; the console says why"
	[ -c /dev/dmabroker ] || fail "dmabroker.ko is loaded but there is no /dev/dmabroker"
}

is_bound() {
	driver=$(readlink "/sys/bus/pci/devices/${1#pci:}/driver")
	[ "${driver##*/}" = dmabroker-pci ]
}

# Give the listed devices to the helper's stub driver, with the masks that their hardware has. One
# that is bound but of no use (28 bits where all memory lies higher) is what was asked for.
bind_devices() {
	mkdir -p /etc/dmabroker
	while read -r device bits; do
		# Said by place: the shipped entry for the model says what its default is.
		printf '[device %s]\nmask-bits = %s\n' "$device" "$bits" \
			>>/etc/dmabroker/devices.conf
		dmabrokerctl device bind "$device" --mask "$bits" >/dev/console 2>&1 ||
			is_bound "$device" ||
			fail "dmabrokerctl device bind $device --mask $bits failed"
	done </harness/devices
}
