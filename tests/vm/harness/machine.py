# SPDX-License-Identifier: MIT
"""QEMU: its command line for what the options ask, and its life from start to the last byte.

The guest talks over three virtio ports (stdout, stderr, ctl), each one end of a socket pair of
ours; the serial console goes straight into a file. Whatever happens, QEMU does not outlive us.
"""
import ctypes
import json
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time

from . import cache
from .cache import HarnessError

FIRST_SLOT = 3		# the first --device is pci:0000:00:03.0
OWN_SLOT = 0x10		# the harness's own virtio devices start here

BINARY = {"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}
CONSOLE = {"amd64": "ttyS0", "arm64": "ttyAMA0"}

# QEMU's device and its driver. A cirrus without a PC's firmware stays dark.
DISPLAY = {"amd64": ("cirrus-vga", "cirrus"), "arm64": ("bochs-display", "bochs")}

FINISHED = b"dmabroker-vm: command finished"


def place_devices(options, folder):
	"""QEMU words for the devices asked for, and those to bind: [(device, mask bits)]"""
	words, bind, slot = [], [], FIRST_SLOT
	for number, text in enumerate(options.device):
		kind = text.split(",", 1)[0]
		fields = dict(part.partition("=")[::2] for part in text.split(",")[1:])
		if kind == "nvme" and "drive" not in fields:
			disk = folder / f"nvme{number}.img"
			with open(disk, "wb") as handle:
				handle.truncate(64 << 20)
			words += ["-drive", f"if=none,id=nvme{number},format=raw,file={disk}"]
			text += f",drive=nvme{number}"
		if kind == "nvme" and "serial" not in fields:
			text += f",serial=dmabroker{number}"
		if "bus" not in fields:
			if "addr" not in fields:
				text += f",addr=0x{slot:x}"
				fields["addr"] = f"0x{slot:x}"
				slot += 1
			place, _, function = fields["addr"].partition(".")
			address = f"pci:0000:00:{int(place, 16):02x}.{function or 0}"
			if kind == "edu":
				mask = int(fields.get("dma_mask", "0x0fffffff"), 0)
				bind.append((address, mask.bit_length()))
			elif kind == "nvme":
				bind.append((address, 64))
		words += ["-device", text]
	return words, bind


def kernel_words(options):
	words = [f"console={CONSOLE[options.arch]}", "panic=-1", "ignore_loglevel",
		 "printk.time=1", "printk.devkmsg=on", "log_buf_len=1M"]
	if options.arch == "amd64":
		words.append("intel_iommu=on" if options.iommu == "on" else "intel_iommu=off")
		# On a busy host the emulated timer is late, and the kernel takes it for broken: a panic.
		words.append("no_timer_check")
	else:
		words.append("cma=128M")
	return " ".join(words + options.cmdline)


def machine_words(options, extra=""):
	accel = os.environ.get("DMABROKER_VM_ACCEL", "tcg")
	if accel == "tcg":
		# Linux on x86 patches its own code while other processors may run it. Emulated in a
		# thread for each processor, a breakpoint can still be met after it was removed, which is
		# an Oops ("int3") at some boots of a busy host. One thread takes turns instead.
		accel += ",thread=single" if options.arch == "amd64" else ",thread=multi"
	words = ["-accel", accel, "-smp", "2",
		 "-m", str(options.memory), "-nodefaults", "-no-user-config", "-no-reboot",
		 "-display", "none"]
	if options.arch == "amd64":
		words += ["-machine", f"q35,kernel-irqchip=split,vmport=off{extra}"]
		if options.iommu == "on":
			words += ["-device", "intel-iommu,intremap=on"]
	else:
		smmu = ",iommu=smmuv3" if options.iommu == "on" else ""
		words += ["-machine", f"virt,gic-version=3{smmu}{extra}", "-cpu", "cortex-a57"]
	if accel == "kvm":
		words += ["-cpu", "host"]
	return words


class _Report:
	"""A line of guest/relay.c: `exit N OUT ERR`, `signal N OUT ERR` or `failed TEXT`."""

	def __init__(self, line):
		self.kind, _, self.text = line.partition(" ")
		self.bytes = {"stdout": 0, "stderr": 0}
		if self.kind in ("exit", "signal"):
			self.text, out, err = self.text.split()
			self.bytes = {"stdout": int(out), "stderr": int(err)}

	def complete(self, count):
		return all(count[name] >= size for name, size in self.bytes.items())


class Machine:
	"""One running guest. Use as a context manager: leaving it ends QEMU."""

	def __init__(self, options, folder):
		self.options = options
		self.folder = folder
		self.console = folder / "console"
		self.ports = {}
		self.process = None
		self.qmp = None

	def command_line(self, image, initrd, devices, outs, disk, dtb):
		if shutil.which(BINARY[self.options.arch]) is None:
			raise HarnessError(f"{BINARY[self.options.arch]} is not installed; "
					   "`tools/deps vm` installs it")
		words = [BINARY[self.options.arch], *machine_words(self.options)]
		words += ["-kernel", str(image), "-initrd", str(initrd),
			  "-append", kernel_words(self.options),
			  "-chardev", f"file,id=console,path={self.console}",
			  "-serial", "chardev:console"]
		if dtb:
			words += ["-dtb", str(dtb)]
		slot = OWN_SLOT
		words += ["-device", f"virtio-serial-pci,addr=0x{slot:x}"]
		# An emulated machine has no other source of random numbers worth the name.
		slot += 1
		words += ["-device", f"virtio-rng-pci,addr=0x{slot:x}"]
		for name in ("stdout", "stderr", "ctl"):
			ours, theirs = socket.socketpair()
			self.ports[name] = (ours, theirs)
			words += ["-chardev", f"socket,id={name},fd={theirs.fileno()}",
				  "-device", f"virtserialport,chardev={name},name={name}"]
		ours, theirs = socket.socketpair()
		self.ports["qmp"] = (ours, theirs)
		words += ["-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon",
			  "chardev=qmp,mode=control"]
		for tag, path in outs:
			slot += 1
			text = str(path).replace(",", ",,")
			# Files belong to whom the guest says; without root that is only noted down.
			model = "passthrough" if os.geteuid() == 0 else "mapped-file"
			words += ["-fsdev", f"local,id={tag},path={text},security_model={model},"
				  "multidevs=remap",
				  "-device",
				  f"virtio-9p-pci,fsdev={tag},mount_tag={tag},addr=0x{slot:x}"]
		if disk:
			slot += 1
			words += ["-drive", f"if=none,id=root,format=raw,snapshot=on,file={disk}",
				  "-device", f"virtio-blk-pci,drive=root,addr=0x{slot:x}"]
		if self.options.screenshot:
			slot += 1
			kind = DISPLAY[self.options.arch][0]
			words += ["-device", f"{kind},id=display,addr=0x{slot:x}"]
		return words + devices

	def start(self, words):
		def with_parent():
			# However we end, SIGKILL included, QEMU ends too.
			ctypes.CDLL(None).prctl(1, signal.SIGKILL)

		log = open(self.folder / "qemu.log", "wb")
		fds = [theirs.fileno() for _, theirs in self.ports.values()]
		environ = dict(os.environ, TMPDIR=str(self.folder))
		self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log,
						stderr=log, pass_fds=fds, env=environ,
						preexec_fn=with_parent, start_new_session=True)
		log.close()
		for _, theirs in self.ports.values():
			theirs.close()
		self.ports = {name: pair[0] for name, pair in self.ports.items()}

	def __enter__(self):
		return self

	def __exit__(self, *_):
		if self.process and self.process.poll() is None:
			self.process.kill()
			self.process.wait()

	def pump(self, timeout):
		"""Carry output until the end: ("exit"|"signal"|"failed"|"gone", text)

		The guest's report says how many bytes the two outputs have, because ports overtake
		each other.
		"""
		deadline = time.monotonic() + timeout
		streams = {"stdout": sys.stdout.fileno(), "stderr": sys.stderr.fileno()}
		count = dict.fromkeys(streams, 0)
		report, end = b"", None
		with selectors.DefaultSelector() as selector:
			for name in (*streams, "ctl"):
				selector.register(self.ports[name], selectors.EVENT_READ, name)
			while end is None or not end.complete(count):
				left = deadline - time.monotonic()
				if left <= 0 and end:
					return "failed", "COMMAND's output did not arrive whole"
				if left <= 0:
					return "failed", f"no end after {timeout} seconds " \
						"(--timeout)"
				if not selector.get_map():
					return "gone", ""
				for key, _ in selector.select(left):
					data = self._receive(key.fileobj)
					if not data:
						selector.unregister(key.fileobj)
					elif key.data == "ctl":
						report += data
					else:
						count[key.data] += len(data)
						_write(streams[key.data], data)
				if b"\n" in report and end is None:
					line = report.partition(b"\n")[0]
					end = _Report(line.decode(errors="replace"))
					# All was sent before the report was.
					deadline = min(deadline, time.monotonic() + 30)
		return end.kind, end.text

	@staticmethod
	def _receive(port):
		try:
			return port.recv(65536)
		except ConnectionError:
			return b""

	def wait_console(self, seconds=5):
		"""Give the kernel's log time to reach the file: the guest marked the end in it."""
		deadline = time.monotonic() + seconds
		while time.monotonic() < deadline:
			if FINISHED in self.console.read_bytes() or self.process.poll() is not None:
				return
			time.sleep(0.02)

	def execute(self, name, **arguments):
		"""One QMP command; its answer."""
		if self.qmp is None:
			self.ports["qmp"].setblocking(True)
			self.ports["qmp"].settimeout(20)
			self.qmp = self.ports["qmp"].makefile("rw")
			self.qmp.readline()
			self.execute("qmp_capabilities")
		self.qmp.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
		self.qmp.flush()
		while True:
			line = self.qmp.readline()
			if not line:
				raise HarnessError(f"QEMU ended before it answered {name}")
			answer = json.loads(line)
			if "error" in answer:
				reason = answer["error"]["desc"]
				raise HarnessError(f"QEMU refused {name}: {reason}")
			if "return" in answer:
				return answer["return"]


	def screenshot(self, target):
		"""What the display shows now, as PNG."""
		picture = self.folder / "screen.png"
		self.execute("screendump", filename=str(picture), device="display", format="png")
		target.parent.mkdir(parents=True, exist_ok=True)
		shutil.copyfile(picture, target)


def _write(stream, data):
	view = memoryview(data)
	while view:
		view = view[os.write(stream, view):]


def noncoherent_dtb(options, devices, folder):
	"""The machine's own device tree, with `dma-coherent` taken out of its PCIe node."""
	raw, text, edited = folder / "full.dtb", folder / "full.dts", folder / "noncoherent.dtb"
	cache.command([BINARY[options.arch], *machine_words(options, f",dumpdtb={raw}"), *devices],
		      "asking QEMU for the device tree")
	cache.command(["dtc", "-q", "-I", "dtb", "-O", "dts", "-o", text, raw], "dtc")
	source = text.read_text()
	changed, count = re.subn(r"(pcie@[0-9a-f]+ \{[^{}]*?)\s*dma-coherent;", r"\1", source)
	if count != 1:
		raise HarnessError("this QEMU's device tree has no dma-coherent in its PCIe node, "
				   "so --noncoherent would change nothing")
	text.write_text(changed)
	cache.command(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", edited, text], "dtc")
	return edited
