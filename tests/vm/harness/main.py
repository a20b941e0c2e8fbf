# SPDX-License-Identifier: MIT
"""tests/vm/run from beginning to end."""
import os
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from . import cache, kernel, layers, machine, options as command_line, project, rootfs, splat, \
	sysroot
from .cache import HarnessError
from .options import FAILURE


def main(argv):
	options = command_line.parse(argv)
	signal.signal(signal.SIGTERM, _interrupted)
	signal.signal(signal.SIGHUP, _interrupted)
	try:
		return _run(options)
	except HarnessError as error:
		cache.say(str(error))
		return FAILURE
	except KeyboardInterrupt:
		cache.say("interrupted")
		return 130
	except BrokenPipeError:
		# Whoever read our standard output went away; Python must not trip over it again.
		os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
		return 141
	except Exception:  # a fault of ours must not look like COMMAND's exit status 1
		traceback.print_exc()
		return FAILURE


def _interrupted(*_):
	raise KeyboardInterrupt


def _run(options):
	image = kernel.get(options.arch, options.kernel)
	root = sysroot.get(options.arch)
	base, libraries = layers.base(options.arch, root)
	relay = layers.relay(options.arch, root)
	build = project.Build(options.arch, root, libraries)
	parts = [base, image.modules,
		 build.userland(layers.prefix_of(options.init)), build.module(image)]
	disk = rootfs.get(options.arch) if options.init == "systemd" else None
	runs = cache.root() / "runs"
	runs.mkdir(parents=True, exist_ok=True)
	cache.remove_old(runs, 7)
	folder = Path(tempfile.mkdtemp(prefix="run-", dir=runs))
	keep = os.environ.get("DMABROKER_VM_KEEP") == "1"
	try:
		status = _boot(options, folder, image, relay, parts, disk)
	except HarnessError:
		_keep_evidence(folder)
		raise
	except BaseException:
		shutil.rmtree(folder, ignore_errors=True)
		raise
	if keep:
		_keep_evidence(folder)
		cache.say(f"the console is in {folder / 'console'}")
	else:
		shutil.rmtree(folder, ignore_errors=True)
	return status


def _keep_evidence(folder):
	"""Of a run's folder only what a person reads stays."""
	for path in folder.iterdir():
		if path.is_dir():
			shutil.rmtree(path)
		elif path.name not in ("console", "qemu.log", "qemu.command"):
			path.unlink()


def _deliver(source, target):
	"""Move what COMMAND wrote to where it is wanted, owned by whoever owns that place."""
	target.mkdir(exist_ok=True)
	owner = target.stat()
	for path in source.iterdir():
		there = target / path.name
		if path.name.startswith(".virtfs_metadata"):
			continue
		if path.is_dir() and not path.is_symlink():
			_deliver(path, there)
		elif path.is_symlink() or path.is_file():
			if there.is_dir() and not there.is_symlink():
				raise HarnessError(f"--out: {there} is a folder here, "
						   "COMMAND made it a file")
			shutil.move(path, there)
			if not there.is_symlink():
				there.chmod(there.stat().st_mode | 0o600)
			if os.geteuid() == 0:
				os.chown(there, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _boot(options, folder, image, relay, parts, disk):
	devices, bind = machine.place_devices(options, folder)
	outs, mounts = [], []
	for number, (_, guest_path) in enumerate(options.out):
		# Not HOSTDIR itself: every user of the guest must be able to write here, and a
		# guest that goes wild must not touch what is already there.
		stage = folder / f"out{number}"
		stage.mkdir()
		stage.chmod(0o1777)
		outs.append((stage.name, stage))
		mounts.append((stage.name, guest_path))
	modules = [machine.DISPLAY[options.arch][1]] if options.screenshot else []
	initrd = folder / "initrd"
	with open(initrd, "wb") as handle:
		for part in parts:
			with open(part, "rb") as source:
				shutil.copyfileobj(source, handle, 1 << 20)
		layers.run_layer(handle, options, relay, bind, mounts, modules)
	dtb = machine.noncoherent_dtb(options, devices, folder) if options.noncoherent else None
	with machine.Machine(options, folder) as guest:
		words = guest.command_line(image.image, initrd, devices, outs, disk, dtb)
		(folder / "qemu.command").write_text("\n".join(words) + "\n")
		guest.start(words)
		kind, text = guest.pump(options.timeout)
		if kind in ("exit", "signal"):
			guest.wait_console()
		if options.screenshot and kind in ("exit", "signal"):
			guest.screenshot(options.screenshot)
	for (_, stage), (target, _) in zip(outs, options.out):
		_deliver(stage, target)
	return _verdict(options, folder, kind, text)


def _verdict(options, folder, kind, text):
	console = (folder / "console").read_text(errors="replace")
	splats = splat.find(console)
	log = (folder / "qemu.log").read_text(errors="replace").strip().splitlines()
	last = [f"    | {line.rstrip()}" for line in console.splitlines()[-15:]]
	where = f"the console is in {folder / 'console'}"
	if kind == "gone":
		reason = "QEMU ended by itself"
		if "Kernel panic" in console:
			reason = "the kernel panicked"
		_fail(f"the guest ended before COMMAND did: {reason}", *log[:20],
		      *(splats[:20] or last), where)
	if kind == "failed":
		_fail(f"the guest failed: {text}", *(splats[:20] or last), where)
	status = int(text) if kind == "exit" else 128 + int(text)
	if splats and not options.allow_splat:
		_fail(f"COMMAND ended with status {status}, but the kernel log has:",
		      *splats[:40], where)
	return status


def _fail(*lines):
	raise HarnessError("\n".join(lines))
