#!/bin/sh
# SPDX-License-Identifier: MIT
# test_systemd.sh SOURCE-DIR BUILD-DIR - the files of systemd/, as far as they can be tried without
# booting: units are well-formed and stay locked down, and bind-configured binds what the
# configuration marks, on a folder that looks like sysfs.
# shellcheck disable=SC2016,SC2317 # functions are called by name, scripts are quoted on purpose
set -u
source=$1/systemd
build=$2/systemd
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# ok NAME COMMAND [ARG...]
ok() {
	name=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		echo "ok $name"
	else
		echo "not ok $name"
		echo "    it was: $*"
		sed 's/^/    /' "$work/out"
		failed=1
	fi
}
not() { ! "$@"; }

# Units: a root of their own, with the machine's units that they refer to.
root=$work/root
units=$root/usr/lib/systemd/system
program=$(sed -n 's/^ExecStart=//p' "$build/dmabroker.service")
mkdir -p "$units" "$root${program%/*}" "$root/bin"
for path in "$program" "${program%/*}/bind-configured" /bin/sh; do
	printf '#!/bin/sh\n' >"$root$path"
	chmod 755 "$root$path"
done
for unit in modprobe@.service sysinit.target basic.target shutdown.target sockets.target \
	dbus.socket local-fs.target paths.target timers.target slices.target tmp.mount umount.target; do
	for dir in /usr/lib/systemd/system /lib/systemd/system; do
		[ -e "$dir/$unit" ] && cp "$dir/$unit" "$units/" && break
	done
done
cp "$build/dmabroker.service" "$source/dmabroker.socket" "$units/"

exposure() {
	systemd-analyze security --offline=true --root="$root" --threshold="$1" --no-pager \
		dmabroker.service
}
silent_verify() {
	systemd-analyze verify --man=no --root="$root" dmabroker.service dmabroker.socket \
		>"$work/verify" 2>&1
	status=$?
	cat "$work/verify"
	[ "$status" -eq 0 ] && [ ! -s "$work/verify" ]
}
ok 'systemd finds nothing wrong with the units' silent_verify
ok 'the exposure of the service is at most 0.5 of 10' exposure 5
printf '\nPrivateUsers=no\nProtectSystem=no\nCapabilityBoundingSet=CAP_SYS_ADMIN\n[Nonsense\n' \
	>>"$units/dmabroker.service"
ok 'a weaker service would have failed that' not exposure 5
ok 'a broken service would have failed that' not silent_verify
for trap in '^PrivateUsers=' '^ProtectProc=' '^ProcSubset=' '^RuntimeDirectory='; do
	ok "the service has no line $trap" not grep -q "$trap" "$build/dmabroker.service"
done
for line in 'Wants=modprobe@dmabroker.service' 'StartLimitIntervalSec=0' 'Restart=on-failure' \
	'User=dmabroker' 'BindPaths=-/dev/dmabroker' 'Type=notify'; do
	ok "the service has $line" grep -qx "$line" "$build/dmabroker.service"
done
ok 'the socket is a packet socket' \
	grep -qx 'ListenSequentialPacket=/run/dmabroker/dmabroker.sock' "$source/dmabroker.socket"

mkdir -p "$root/etc"
ok 'the user can be made' systemd-sysusers --root="$root" "$source/dmabroker.sysusers"
ok 'the user is there, without a shell' \
	grep -q '^dmabroker:x:[0-9]*:[0-9]*:DMA memory broker:/:/usr/sbin/nologin$' "$root/etc/passwd"

# bind-configured: two edu devices, a disk that has a driver, and one of ours already.
sys=$work/sys
drivers=$sys/bus/pci/drivers
devices=$sys/bus/pci/devices
device() { # ADDRESS VENDOR MODEL [DRIVER]
	mkdir -p "$devices/$1"
	echo "0x$2" >"$devices/$1/vendor"
	echo "0x$3" >"$devices/$1/device"
	if [ $# -eq 4 ]; then
		mkdir -p "$drivers/$4"
		ln -s "$drivers/$4" "$devices/$1/driver"
	fi
}
device 0000:00:03.0 1234 11e8
device 0000:00:04.0 1234 11e8
device 0000:00:05.0 1b36 0010 nvme
device 0000:00:06.0 1234 11e8 dmabroker-pci
mkdir "$devices/0000:00:06.0/dmabroker"
echo 30 >"$devices/0000:00:06.0/dmabroker/streaming_mask_bits"
printf '#!/bin/sh\necho "$@" >>%s\n[ "$1" != pci:0000:00:05.0 ]\n' "$work/bound" >"$work/bind"
chmod 755 "$work/bind"

bind() {
	: >"$work/bound"
	"$source/bind-configured" --config "$work/devices.conf" --sys "$sys" --lock "$work/lock" \
		--bind "$work/bind" "$@" 2>"$work/complaint"
}
bound() { # EXPECTED: what was bound, sorted, on one line
	[ "$(sort "$work/bound" | tr '\n' ' ')" = "$1" ] || { cat "$work/bound"; return 1; }
}

cp "$source/devices.conf" "$work/devices.conf"
ok 'the shipped configuration is read' bind
ok 'the shipped configuration binds nothing' bound ''

sed -i 's/^bind = no/bind = yes/' "$work/devices.conf"
ok 'a model marked yes' bind
ok 'every device of the model is bound, but one that is and has its mask' \
	bound 'pci:0000:00:03.0 pci:0000:00:04.0 '
echo 32 >"$devices/0000:00:06.0/dmabroker/streaming_mask_bits"
ok 'a device that the stub took by itself' bind 0000:00:06.0
ok 'it is bound again, for its mask' bound 'pci:0000:00:06.0 '
echo 30 >"$devices/0000:00:06.0/dmabroker/streaming_mask_bits"
ok 'one device by name' bind 0000:00:04.0
ok 'only the one named is bound' bound 'pci:0000:00:04.0 '
ok 'a device that is gone' bind 0000:00:1f.7
ok 'nothing is bound for a device that is gone' bound ''

printf '[device pci:0000:00:03.0]\nbind = no ; not this one\n' >>"$work/devices.conf"
ok 'a device that differs from its model' bind
ok 'the device by its place wins over its model' bound 'pci:0000:00:04.0 '

printf '[other]\nbind = yes\n[device pci:0000:00:05.0]\nbind = maybe\n' >"$work/devices.conf"
ok 'a value that is neither yes nor no' bind
ok 'a bad value is named with its line' grep -q 'devices.conf:4: .*"maybe"' "$work/complaint"
ok 'a bad value binds nothing' bound ''

printf '[device pci:0000:00:05.0]\r\n\tbind=yes\r\n' >"$work/devices.conf"
ok 'a bind that fails is an error' not bind
ok 'the device whose bind failed is named' grep -q "pci:0000:00:05.0' failed" "$work/complaint"
ok 'the bind was tried' bound 'pci:0000:00:05.0 '

rm -r "$drivers/dmabroker-pci"
ok 'without the module it is no error' bind
ok 'without the module nothing is tried' bound ''
rm "$work/devices.conf"
ok 'without a configuration it is no error' bind
ok 'an unknown option is wrong usage' not bind --frobnicate
exit $failed
