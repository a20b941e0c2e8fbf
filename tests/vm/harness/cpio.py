# SPDX-License-Identifier: MIT
"""Writes initramfs archives (cpio "newc"), so that no file needs to have its owner on this machine.

The kernel unpacks several archives laid one after another, each starting at a multiple of four
bytes: that is how a run puts cached layers and its own few files together without repacking.
"""
import os
import stat
from pathlib import Path


MERGED = {"bin", "sbin", "lib", "lib64"}


class Archive:
	"""One archive, written to a binary file object; parents of every entry are made.

	Everything is placed below prefix. /bin, /lib and /sbin are links into /usr in every guest,
	so what is meant for them goes there: a folder entry would replace the link.
	"""

	def __init__(self, handle, prefix=""):
		self.handle = handle
		self.prefix = prefix
		self.inode = 0
		self.folders = set()

	def _entry(self, name, mode, data=b"", uid=0, gid=0, device=(0, 0)):
		self.inode += 1
		raw = name.encode() + b"\0"
		fields = (self.inode, mode, uid, gid, 1, 0, len(data), 0, 0, *device, len(raw), 0)
		head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
		self.handle.write(head + b"\0" * (-len(head) % 4))
		self.handle.write(data)
		self.handle.write(b"\0" * (-len(data) % 4))

	def _place(self, name, is_folder=False):
		"""The full name of an entry, whose parents exist from here on."""
		name = os.path.normpath("/" + name).strip("/")
		first, slash, _ = name.partition("/")
		if first in MERGED and (slash or is_folder):
			name = f"usr/{name}"
		if self.prefix:
			name = f"{self.prefix}/{name}".rstrip("/")
		self._folders(name.rpartition("/")[0])
		return name

	def _folders(self, name, mode=0o755, uid=0, gid=0):
		if not name or name in self.folders:
			return
		self._folders(name.rpartition("/")[0])
		self.folders.add(name)
		self._entry(name, stat.S_IFDIR | mode, uid=uid, gid=gid)

	def folder(self, name, mode=0o755, uid=0, gid=0):
		self._folders(self._place(name, is_folder=True), mode, uid, gid)

	def file(self, name, data, mode=0o644):
		name = self._place(name)
		if isinstance(data, str):
			data = data.encode()
		self._entry(name, stat.S_IFREG | mode, data)

	def link(self, name, target):
		name = self._place(name)
		self._entry(name, stat.S_IFLNK | 0o777, os.fspath(target).encode())

	def node(self, name, mode, major, minor):
		name = self._place(name)
		self._entry(name, mode, device=(major, minor))

	def tree(self, source, name):
		"""Copy a file, link or folder of this machine under a name, owned by root."""
		source = Path(source)
		info = source.lstat()
		if stat.S_ISLNK(info.st_mode):
			self.link(name, os.readlink(source))
		elif stat.S_ISDIR(info.st_mode):
			self.folder(name, stat.S_IMODE(info.st_mode) | 0o700)
			for child in sorted(source.iterdir()):
				self.tree(child, f"{name}/{child.name}")
		elif stat.S_ISREG(info.st_mode):
			self.file(name, source.read_bytes(), stat.S_IMODE(info.st_mode))

	def close(self):
		self._entry("TRAILER!!!", 0)
