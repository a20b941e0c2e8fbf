# SPDX-License-Identifier: MIT
"""The archives that make up a guest: the base system of `--init minimal`, and each run's own files.

The base is what a program may expect of any Linux machine, and no more: busybox, a C library,
strace, setpriv, v4l2-ctl, accounts for root, dmabroker, user1 and user2. Everything that changes
from run to run (the command, devices, `--add`) is in the archive that run_layer() writes.
"""
import os
from pathlib import Path

from . import cache, cpio, debian, sysroot

GUEST = Path(__file__).resolve().parent.parent / "guest"
CONFIG = GUEST.parent / "dmabroker.conf"

# Where busybox has the same name, these win. Whatever starts other programs must not be busybox:
# its shell and its `setsid`, `env` or `timeout` run its own applets first, whatever PATH says.
TOOLS = ["usr/bin/dash", "usr/bin/env", "usr/bin/timeout", "usr/bin/nice", "usr/bin/nohup",
	 "usr/bin/setsid", "usr/bin/xargs", "usr/bin/find", "usr/bin/flock", "usr/bin/strace", "usr/bin/setpriv", "usr/bin/v4l2-ctl", "usr/bin/prlimit",
	 "usr/bin/unshare", "usr/bin/nsenter", "usr/bin/taskset"]

INTERPRETER = {"amd64": ("lib64", "ld-linux-x86-64.so.2"),
	       "arm64": ("lib", "ld-linux-aarch64.so.1")}

PASSWD = """root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
dmabroker:x:990:990:dmabroker:/nonexistent:/usr/sbin/nologin
user1:x:1001:1001::/home/user1:/bin/sh
user2:x:1002:1002::/home/user2:/bin/sh
"""
GROUP = """root:x:0:
tty:x:5:
video:x:44:
kvm:x:104:
render:x:105:
dmabroker:x:990:
user1:x:1001:
user2:x:1002:
nogroup:x:65534:
"""


def relay(arch, root):
	"""The program that runs COMMAND in the guest; static, so that any root can run it."""
	key = cache.hash_of(arch, GUEST / "relay.c")

	def build(folder):
		cache.command([f"{debian.CROSS[arch]}gcc", f"--sysroot={root.folder}", "-static",
			       "-O2", "-Wall", "-Wextra", "-s", "-o", folder / "relay",
			       GUEST / "relay.c"],
			      "compiling tests/vm/guest/relay.c")
	return cache.build_once("relay", f"{arch}-{key}", f"the guest's relay for {arch}",
				build) / "relay"


def base(arch, root):
	"""The cpio of the small guest, and the names of the libraries in it."""
	key = cache.hash_of(arch, str(root.folder), " ".join(TOOLS), Path(__file__),
			    Path(cpio.__file__))

	def build(folder):
		tools = [root.folder / name for name in TOOLS]
		libraries = sysroot.closure(root, tools)
		with open(folder / "base.cpio", "wb") as handle:
			archive = cpio.Archive(handle)
			_base_entries(archive, arch, root)
			for path, name in zip(tools, TOOLS):
				archive.tree(path, name)
			for name, path in sorted(libraries.items()):
				archive.file(f"usr/lib/{debian.MULTIARCH[arch]}/{name}",
					     path.read_bytes(), 0o755)
			archive.close()
		(folder / "libraries").write_text("\n".join(libraries) + "\n")
	folder = cache.build_once("base", f"{arch}-{key}", f"the small guest for {arch}", build)
	return folder / "base.cpio", set((folder / "libraries").read_text().split())


def _base_entries(archive, arch, root):
	for name in ("proc", "sys", "dev", "run", "root", "home", "mnt", "var/log", "etc",
		     "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
		archive.folder(name)
	archive.folder("tmp", 0o1777)
	archive.folder("home/user1", 0o755, 1001, 1001)
	archive.folder("home/user2", 0o755, 1002, 1002)
	for name in ("bin", "sbin", "lib", "lib64"):
		archive.link(name, f"usr/{name}")
	archive.link("var/run", "/run")
	# The kernel opens this before /init runs; without it /init has no standard error.
	archive.node("dev/console", 0o020600, 5, 1)
	archive.file("usr/bin/busybox", (root.folder / "usr/bin/busybox").read_bytes(), 0o755)
	archive.link("usr/bin/sh", "dash")
	folder, name = INTERPRETER[arch]
	loader = root.find_library(name) or root.folder / "usr" / folder / name
	real = f"usr/lib/{debian.MULTIARCH[arch]}/{name}"
	archive.file(real, loader.resolve().read_bytes(), 0o755)
	archive.link(f"usr/{folder}/{name}", f"/{real}")
	# The kernel calls this one when it wants a module.
	archive.link("usr/sbin/modprobe", "../bin/busybox")
	archive.file("etc/passwd", PASSWD)
	archive.file("etc/group", GROUP)
	archive.file("etc/shells", "/bin/sh\n")
	archive.file("etc/hostname", "dmabroker-vm\n")
	archive.file("etc/nsswitch.conf", "passwd: files\ngroup: files\n")


def run_layer(handle, options, relay_path, bind, outs, modules):
	"""What belongs to this run alone; in a systemd guest it lies below /overlay at first."""
	archive = cpio.Archive(handle)
	archive.file("init", (GUEST / "init").read_bytes(), 0o755)
	archive.close()
	archive = cpio.Archive(handle, prefix_of(options.init))
	for name in ("setup", "lib.sh"):
		archive.file(f"harness/{name}", (GUEST / name).read_bytes(), 0o755)
	archive.file("harness/relay", relay_path.read_bytes(), 0o755)
	archive.file("usr/libexec/dmabroker/tests/restart-broker",
		     (GUEST / "restart-broker").read_bytes(), 0o755)
	if options.init == "systemd":
		archive.file("etc/systemd/system/dmabroker-vm.service",
			     (GUEST / "dmabroker-vm.service").read_bytes())
	else:
		archive.file("usr/bin/runuser", (GUEST / "runuser").read_bytes(), 0o755)
	archive.file("etc/dmabroker/dmabroker.conf", CONFIG.read_bytes())
	archive.file("harness/init", options.init + "\n")
	archive.file("harness/command",
		     b"".join(os.fsencode(word) + b"\0" for word in options.command))
	archive.file("harness/modules", "".join(f"{name}\n" for name in modules))
	archive.file("harness/devices", "".join(f"{name} {bits}\n" for name, bits in bind))
	archive.file("harness/outs", "".join(f"{tag} {path}\n" for tag, path in outs))
	for source, path in options.add:
		archive.tree(source.resolve(), path)
	archive.close()


def prefix_of(init):
	"""Where files for the final root go in the initramfs."""
	return "overlay" if init == "systemd" else ""
