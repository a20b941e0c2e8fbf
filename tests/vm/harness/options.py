# SPDX-License-Identifier: MIT
"""The command line of tests/vm/run."""
import argparse
from pathlib import Path

EPILOG = """COMMAND runs as root in the guest; user1 (who may use the bound devices) and user2 (who
has the defaults) are there for su, runuser and setpriv. Exit status: COMMAND's; 128+N if signal N
killed it; 125 if the machine or the kernel log failed. tests/vm/README.md tells the rest."""

FAILURE = 125

DEFAULT_DEVICES = ["edu", "edu,dma_mask=0xffffffff"]


def _add(text):
	source, _, target = text.partition(":")
	path = Path(source).absolute()
	if not path.exists():
		raise argparse.ArgumentTypeError(f"{source} does not exist")
	return path, target or f"/add/{path.name}"


def _out(text):
	source, _, target = text.partition(":")
	return Path(source).absolute(), target or "/out"


class _Parser(argparse.ArgumentParser):
	def exit(self, status=0, message=None):
		"""Wrong usage is the harness's failure, and must not look like COMMAND's status."""
		super().exit(FAILURE if status else 0, message)


def _parser():
	parser = _Parser(prog="tests/vm/run", epilog=EPILOG, allow_abbrev=False,
		description="Run COMMAND in a virtual machine: a stock Debian kernel, an IOMMU, "
		"two bus-mastering devices, this project built and installed, its module loaded "
		"and its broker running.")
	add = parser.add_argument
	add("--arch", choices=["amd64", "arm64"], default="amd64", help="default: amd64")
	add("--kernel", choices=["6.12", "6.1", "debug"], default="6.12", help="default: 6.12")
	add("--init", choices=["minimal", "systemd"], default="minimal",
	    help="minimal: busybox, boots in 3 s; systemd: a whole Debian")
	add("--memory", type=int, metavar="MIB", help="guest memory; default 1024")
	add("--iommu", choices=["on", "off"], default="on", help="default: on")
	add("--noncoherent", action="store_true",
	    help="arm64: PCI devices that do not see the CPU's caches")
	add("--cmdline", action="append", default=[], metavar="WORDS",
	    help="more words for the kernel's command line")
	add("--device", action="append", default=[], metavar="QEMU-DEVICE",
	    help="a device instead of the two default ones, in QEMU's words (`edu`, `nvme`, "
	    "`edu,dma_mask=0xffffffff`); the first sits at pci:0000:00:03.0")
	add("--add", action="append", default=[], type=_add, metavar="HOSTPATH[:GUESTPATH]",
	    help="put a file or folder into the guest; default GUESTPATH /add/NAME")
	add("--out", action="append", default=[], type=_out, metavar="HOSTDIR[:GUESTPATH]",
	    help="a folder in the guest whose content is moved to HOSTDIR at the end; default "
	    "GUESTPATH /out")
	add("--screenshot", type=Path, metavar="FILE",
	    help="add a display and store its picture at COMMAND's end as PNG")
	add("--allow-splat", action="store_true",
	    help="do not fail when the kernel log has a BUG, WARNING or the like")
	add("--timeout", type=int, default=600, metavar="SECONDS",
	    help="give up after this long; default 600")
	add("command", nargs=argparse.REMAINDER, metavar="[--] COMMAND [ARG...]")
	return parser


def parse(argv):
	parser = _parser()
	options = parser.parse_args(argv)
	if options.command[:1] == ["--"]:
		del options.command[0]
	if not options.command:
		parser.error("COMMAND is missing")
	if options.noncoherent and options.arch != "arm64":
		parser.error("--noncoherent needs --arch arm64: a PC's devices are always coherent")
	if options.memory is None:
		options.memory = 1024
	options.cmdline = [word for words in options.cmdline for word in words.split()]
	options.device = options.device or list(DEFAULT_DEVICES)
	for path, _ in options.out:
		path.mkdir(parents=True, exist_ok=True)
	return options
