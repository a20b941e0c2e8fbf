# SPDX-License-Identifier: MIT
"""Whole Debian root file systems for `--init systemd`, as ext4 images that runs use copy-on-write.

The machine's own architecture is made by mmdebstrap, maintainer scripts included. Another
architecture cannot run its scripts here, and running them under emulation takes minutes. But what
those scripts leave behind is text and links that are the same everywhere: accounts, enabled units,
alternatives, caches. So the foreign root is the same packages unpacked, plus whatever the native
root has that no package brought (without its libraries and dpkg's database).
"""
import os
import shutil
from pathlib import Path

from . import cache, debian

PACKAGES = """
systemd-sysv udev kmod dbus dbus-broker dbus-user-session libpam-systemd procps strace v4l-utils
libevent-2.1-7 libevent-core-2.1-7 libevent-extra-2.1-7 libevent-pthreads-2.1-7
libjson-c5 libinih1 libdrm2 libseccomp2 libncurses6 jq
""".split()

# Nothing reads documents or translations in a test machine.
LEAVE_OUT = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*",
	     "/usr/share/i18n/*", "/usr/lib/udev/hwdb.d/*"]

# Timers and consoles that would only cost time, or write over the console's log.
MASKED = """apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
e2scrub_reap.service fstrim.timer getty@.service serial-getty@.service console-getty.service
getty-static.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
systemd-hwdb-update.service systemd-pcrphase.service systemd-pcrphase-sysinit.service
systemd-pcrphase-initrd.service ldconfig.service systemd-networkd.service
systemd-firstboot.service systemd-journal-flush.service systemd-timesyncd.service
systemd-remount-fs.service systemd-machine-id-commit.service
systemd-journal-catalog-update.service""".split()

SETTLE = """set -e
chroot "$1" useradd --uid 1001 --create-home --shell /bin/bash user1
chroot "$1" useradd --uid 1002 --create-home --shell /bin/bash user2
chroot "$1" passwd -d root >/dev/null
echo dmabroker-vm >"$1/etc/hostname"
echo 6d61646564616d616272616b6572766d >"$1/etc/machine-id"
rm -f "$1/etc/resolv.conf"
mkdir -p "$1/etc/systemd/journald.conf.d" "$1/usr/lib/modules"
cd "$1/etc/systemd/journald.conf.d"
printf '[Journal]\\nStorage=volatile\\nForwardToConsole=no\\n' >vm.conf
"""

# Per-architecture or about packages: never taken over by the root of another architecture.
NATIVE_ONLY = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "etc/ld.so.cache",
	       "etc/apt", "usr/share/doc", "proc", "sys", "dev", "run", "tmp")


def get(arch):
	"""The ext4 image of an architecture's root."""
	native = debian.host_arch()
	packages = debian.resolve(native, PACKAGES)
	parts = ["\n".join(packages), " ".join(MASKED + LEAVE_OUT), SETTLE, Path(__file__)]
	key = cache.hash_of(*parts)

	def build(folder):
		_native(native, folder)
	base = cache.build_once("roots", f"{native}-{key}", f"a Debian root for {native}", build)
	if arch == native:
		return base / "root.ext4"
	names = (base / "names").read_text().split()
	wanted = debian.resolve(arch, names)
	key = cache.hash_of("\n".join(wanted), str(base), Path(__file__), Path(debian.__file__))

	def build_foreign(folder):
		_foreign(arch, wanted, base, folder)
	return cache.build_once("roots", f"{arch}-{key}", f"a Debian root for {arch}",
				build_foreign) / "root.ext4"


def _as_root():
	"""Owners must be real in the image; an ordinary user gets them from a user namespace."""
	return [] if os.geteuid() == 0 else ["unshare", "--map-auto", "--map-root-user"]


def _native(arch, folder):
	settle = folder / "settle"
	settle.write_text(f"#!/bin/sh\n{SETTLE}")
	settle.chmod(0o755)
	apt = [f"--aptopt={line}" for line in cache.command(["apt-config", "dump"], "apt-config"
			).splitlines() if line.startswith(("Acquire::http", "Acquire::https",
							   "Acquire::Check-"))]
	tarball = folder / "root.tar"
	# "auto" is root's way, or a user namespace (which needs the package uidmap).
	cache.command(["mmdebstrap", "--mode=auto", "--variant=minbase", f"--architectures={arch}",
		       f"--include={','.join(PACKAGES)}", *apt,
		       *[f"--dpkgopt=path-exclude={pattern}" for pattern in LEAVE_OUT],
		       f"--customize-hook={settle}", "bookworm", tarball, *_sources()],
		      "mmdebstrap")
	# The kernel fills /dev; making nodes is more than a user namespace may.
	_image(folder, f"tar -x --numeric-owner -p -C tree --exclude='./dev/*' -f {tarball}")
	names = cache.command(["dpkg-query", f"--admindir={folder}/dpkg", "-W", "-f",
			       "${Package}\\n"], "dpkg-query")
	(folder / "names").write_text(names)


def _sources():
	"""This machine's own sources, so that a local mirror is used where there is one."""
	found = sorted(Path("/etc/apt/sources.list.d").glob("*.sources"))
	found += sorted(Path("/etc/apt/sources.list.d").glob("*.list"))
	found += [path for path in [Path("/etc/apt/sources.list")] if path.exists()]
	return [str(path) for path in found
		if any(line.strip() and not line.startswith("#") for line in
		       path.read_text().splitlines())]


def _foreign(arch, packages, base, folder):
	debs = debian.download(arch, packages, folder / "debs")
	steps = ["mkdir -p tree/usr/bin tree/usr/sbin tree/usr/lib tree/usr/lib64",
		 "ln -s usr/bin usr/sbin usr/lib usr/lib64 tree/"]
	excludes = " ".join(f"--exclude='.{pattern}'" for pattern in LEAVE_OUT)
	steps += [f"dpkg-deb --fsys-tarfile {deb} | tar -x --keep-directory-symlink "
		  f"--numeric-owner -p -C tree {excludes}" for deb in debs]
	# What the packages brought stays; only what is missing comes from the native root.
	skip = " ".join(f"--exclude=./{name}/*" if "/" in name or name in
			("proc", "sys", "dev", "run", "tmp") else f"--exclude=./{name}"
			for name in NATIVE_ONLY)
	native = debian.MULTIARCH[debian.host_arch()]
	steps += [f"tar -x --numeric-owner -p -C tree --skip-old-files --keep-directory-symlink "
		  f"{skip} --exclude='*{native}*' -f {base / 'root.tar'}",
		  # Configuration that scripts wrote into files which packages brought, too.
		  f"tar -x --numeric-owner -p -C tree --overwrite --keep-directory-symlink "
		  f"{skip} --exclude='*{native}*' -f {base / 'root.tar'} ./etc"]
	_image(folder, "\n".join(steps))
	shutil.rmtree(folder / "debs")


def _image(folder, fill):
	"""Run the shell lines that fill ./tree, then make it an image; all with root's eyes."""
	masks = " ".join(MASKED)
	# On failure too, only this shell can remove what belongs to other users.
	script = f"""set -e
cd {folder}
trap 'rm -rf tree' EXIT
mkdir tree
{fill}
mkdir -p tree/etc/systemd/system
for unit in {masks}; do ln -sf /dev/null tree/etc/systemd/system/$unit; done
rm -rf tree/var/cache/apt/* tree/var/lib/apt/lists/*
if [ -e tree/var/lib/dpkg/status ]; then mkdir dpkg; cp tree/var/lib/dpkg/status dpkg/; fi
size=$(du -sm tree | cut -f1)
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -m 0 -d tree root.ext4 \\
	$((size * 5 / 4 + 256))M
"""
	cache.command([*_as_root(), "sh", "-c", script], f"making the image in {folder}",
		      env=dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"))
