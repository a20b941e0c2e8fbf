# SPDX-License-Identifier: MIT
"""tests/vm/run from beginning to end."""
import os
import shutil
import signal
import sys
import tempfile
import traceback

from . import cache, kernel, layers, machine, options as command_line, project, rootfs, splat, \
	sysroot
from .cache import HarnessError

FAILURE = 125


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
		 build.part(build.userland, layers.prefix_of(options.init)),
		 build.part(build.module, image)]
	disk = rootfs.get(options.arch) if options.init == "systemd" else None
	runs = cache.root() / "runs"
	runs.mkdir(parents=True, exist_ok=True)
	folder = runs.__class__(tempfile.mkdtemp(prefix="run-", dir=runs))
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
		if path.name not in ("console", "qemu.log", "qemu.command"):
			path.unlink()


def _boot(options, folder, image, relay, parts, disk):
	devices, bind = machine.place_devices(options, folder)
	outs = [(f"out{number}", path) for number, (path, _) in enumerate(options.out)]
	mounts = [(f"out{number}", path) for number, (_, path) in enumerate(options.out)]
	modules = [machine.DISPLAY[options.arch][1]] if options.screenshot else []
	initrd = folder / "initrd"
	with open(initrd, "wb") as handle:
		for part in parts:
			if part:
				with open(part, "rb") as source:
					shutil.copyfileobj(source, handle, 1 << 20)
				handle.write(b"\0" * (-handle.tell() % 4))
		layers.run_layer(handle, options, relay, bind, mounts, modules,
				 project.LENIENT)
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
	return _verdict(options, folder, kind, text)


def _verdict(options, folder, kind, text):
	console = (folder / "console").read_text(errors="replace")
	splats = splat.find(console)
	where = f"the console is in {folder / 'console'}"
	if kind == "gone":
		log = (folder / "qemu.log").read_text(errors="replace").strip()
		reason = "the kernel panicked" if "Kernel panic" in console else "QEMU ended by itself"
		raise HarnessError("\n".join(filter(None, [
			f"the guest ended before COMMAND did: {reason}", log, *splats[:20], where])))
	if kind == "failed":
		raise HarnessError("\n".join([f"the guest failed: {text}", *splats[:20], where]))
	status = int(text) if kind == "exit" else 128 + int(text)
	if splats and not options.allow_splat:
		raise HarnessError("\n".join([
			f"COMMAND ended with status {status}, but the kernel log has:", *splats[:40], where]))
	return status
