# SPDX-License-Identifier: MIT
"""A Debian tree of the guest's architecture: what the project is compiled against, and where the
programs and libraries of the small guest come from. Unpacked only; nothing in it is ever run here.
"""
import re
import subprocess
from pathlib import Path

from . import cache, debian
from .cache import HarnessError

PACKAGES = """
libc6-dev libevent-dev libsystemd-dev libjson-c-dev libinih-dev libdrm-dev libseccomp-dev
libncurses-dev uthash-dev linux-libc-dev check libsubunit-dev
busybox-static dash coreutils findutils strace util-linux v4l-utils libgcc-s1
""".split()


class Sysroot:
	def __init__(self, arch, folder):
		self.arch = arch
		self.folder = folder
		triple = debian.MULTIARCH[arch]
		self.library_folders = [folder / "usr/lib" / triple, folder / "usr/lib",
					folder / "usr/lib" / triple / "systemd"]

	def find_library(self, name):
		for folder in self.library_folders:
			if (folder / name).exists():
				return folder / name
		return None


def get(arch):
	packages = debian.resolve(arch, PACKAGES)
	key = cache.hash_of("\n".join(packages), Path(__file__), Path(debian.__file__))

	def build(folder):
		debian.fetch_tree(arch, packages, folder)
		_make_links_relative(folder)
		(folder / "packages").write_text("\n".join(packages) + "\n")
	return Sysroot(arch, cache.build_once("sysroots", f"{arch}-{key}",
					      f"a Debian tree for {arch}", build))


def _make_links_relative(folder):
	"""Absolute links would point into this machine when the tree is used as a sysroot."""
	for path in folder.rglob("*"):
		if path.is_symlink():
			target = str(path.readlink())
			if target.startswith("/"):
				depth = len(path.relative_to(folder).parts) - 1
				path.unlink()
				path.symlink_to("../" * depth + target.lstrip("/"))


def needed(paths):
	"""What the ELF files among paths name as NEEDED and as interpreter: {path: [names]}"""
	result = {}
	elf = [path for path in paths if path.is_file() and not path.is_symlink()
	       and path.open("rb").read(4) == b"\x7fELF"]
	for path in elf:
		done = subprocess.run(["readelf", "-d", str(path)], check=False,
				      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
		result[path] = re.findall(r"\(NEEDED\).*\[(.*)\]", done.stdout)
	return result


def closure(sysroot, paths, have=(), provided=()):
	"""Libraries that paths need, and their needs in turn: {name: path in the sysroot}.

	have are names already in the guest; provided are names that paths bring themselves.
	"""
	found = {}
	todo = list(paths)
	while todo:
		fresh = {}
		for path, names in needed(todo).items():
			for name in names:
				if name in found or name in have or name in provided:
					continue
				library = sysroot.find_library(name)
				if library is None:
					raise HarnessError(
						f"{path.name} needs {name}, which is not in "
						f"{sysroot.folder}; add its package to PACKAGES "
						"in tests/vm/harness/sysroot.py")
				fresh[name] = library.resolve()
		found |= fresh
		todo = list(fresh.values())
	return found
