# SPDX-License-Identifier: MIT
"""The project itself, built for the guest: userland with meson, the module with kbuild.

Both are built outside the source tree, in a folder of the cache that belongs to this source tree
alone, and only if something they are made from changed since the last time. The results are cpio
archives next to the build.
"""
import hashlib
import os
import shutil
from pathlib import Path

from . import cache, cpio, debian, sysroot

SOURCE = Path(__file__).resolve().parents[3]

SCRIPTS = [Path(__file__), Path(cpio.__file__), Path(sysroot.__file__)]

# Not part of the userland build, so changes there do not start it.
NOT_USERLAND = {".git", "docs", "packaging", ".ci", "build"}

# In tests/vm: not built, but used by the harness as they are.
NOT_BUILT = {"harness", "guest", "lanes", "run", "selftest", "README.md", "dmabroker.conf"}

CPU = {"amd64": ("x86_64", "x86_64"), "arm64": ("aarch64", "cortex-a57")}


def _fingerprint(paths):
	"""Names, sizes and times of files: cheap, and what make would look at."""
	digest = hashlib.sha256()
	for top in sorted(paths):
		for folder, names, files in os.walk(top):
			names[:] = sorted(name for name in names
					  if name not in ("__pycache__", ".git"))
			for name in sorted(files):
				path = os.path.join(folder, name)
				info = os.lstat(path)
				digest.update(f"{path} {info.st_size} {info.st_mtime_ns}\n"
					      .encode())
		if os.path.isfile(top):
			info = os.lstat(top)
			digest.update(f"{top} {info.st_size} {info.st_mtime_ns}\n".encode())
	return digest.hexdigest()


class Build:
	"""One architecture's builds of this source tree."""

	def __init__(self, arch, root, base_libraries):
		self.arch = arch
		self.root = root
		self.base_libraries = base_libraries
		where = hashlib.sha256(os.fsencode(SOURCE)).hexdigest()[:8]
		self.name = f"{SOURCE.name}-{where}-{arch}"
		self.folder = cache.root() / "build" / self.name

	def _up_to_date(self, stamp, fingerprint, outputs):
		return (all(path.exists() for path in outputs) and stamp.exists()
			and stamp.read_text() == fingerprint)

	def userland(self, prefix):
		"""The archive with everything that `meson install` installs.

		There are two: for the initramfs itself, and below prefix for a root that is
		mounted later.
		"""
		tops = [path for path in SOURCE.iterdir()
			if path.name not in NOT_USERLAND | {"kmod", "tests"}]
		tops += [SOURCE / "kmod/include"]
		tops += [path for path in (SOURCE / "tests").iterdir() if path.name != "vm"]
		tops += [path for path in (SOURCE / "tests/vm").iterdir()
			 if path.name not in NOT_BUILT]
		outputs = {name: self.folder / f"userland{name}.cpio" for name in ("", "overlay")}
		stamp = self.folder / "userland.stamp"
		fingerprint = cache.hash_of(_fingerprint(tops), str(self.root.folder), *SCRIPTS)
		if self._up_to_date(stamp, fingerprint, outputs.values()):
			return outputs[prefix]
		with cache.locked(f"build-{self.name}"):
			if not self._up_to_date(stamp, fingerprint, outputs.values()):
				self._meson(outputs)
				cache.write_whole(stamp, fingerprint)
		return outputs[prefix]

	def _meson(self, outputs):
		build = self.folder / "meson"
		setup = cache.hash_of(str(self.root.folder), str(SOURCE), *SCRIPTS)
		mark = self.folder / "meson.setup"
		cache.say(f"building the project for {self.arch}")
		if not self._up_to_date(mark, setup, [build / "build.ninja"]):
			shutil.rmtree(build, ignore_errors=True)
			cache.command(["meson", "setup", "--cross-file", self._cross_file(),
				       "--prefix=/usr", "--libdir=lib", "--libexecdir=libexec",
				       "--sysconfdir=/etc", "--localstatedir=/var",
				       "--buildtype=debugoptimized", *self._options(), build,
				       SOURCE],
				      f"meson setup for {self.arch}")
			cache.write_whole(mark, setup)
		cache.command(["ninja", "-C", build], f"building the project for {self.arch}")
		dest = self.folder / "dest"
		shutil.rmtree(dest, ignore_errors=True)
		dest.mkdir()
		cache.command(["meson", "install", "--no-rebuild", "--strip", "-C", build,
			       "--destdir", dest], f"installing the project for {self.arch}")
		self._pack(dest, outputs)

	@staticmethod
	def _options():
		"""Tests' programs are wanted in the guest; units go to the same place in each."""
		return ["-Dtests=enabled", "-Dinstall_tests=true", "-Dman=disabled",
			"-Dsystemdsystemunitdir=/usr/lib/systemd/system"]

	def _cross_file(self):
		triple, prefix = debian.MULTIARCH[self.arch], debian.CROSS[self.arch]
		family, cpu = CPU[self.arch]
		top = self.root.folder
		programs = {"c": "gcc", "cpp": "g++", "ar": "ar", "strip": "strip"}
		lines = ["[binaries]"]
		lines += [f"{key} = '{prefix}{tool}'" for key, tool in programs.items()
			  if shutil.which(prefix + tool)]
		lines += ["pkgconfig = 'pkg-config'", "[properties]", "needs_exe_wrapper = true",
			  f"sys_root = '{top}'",
			  f"pkg_config_libdir = ['{top}/usr/lib/{triple}/pkgconfig', "
			  f"'{top}/usr/share/pkgconfig', '{top}/usr/lib/pkgconfig']",
			  "[built-in options]"]
		for language in ("c", "cpp"):
			lines += [f"{language}_args = ['--sysroot={top}']",
				  f"{language}_link_args = ['--sysroot={top}']"]
		lines += ["[host_machine]", "system = 'linux'", f"cpu_family = '{family}'",
			  f"cpu = '{cpu}'", "endian = 'little'"]
		path = self.folder / "cross.ini"
		cache.write_whole(path, "\n".join(lines) + "\n")
		return path

	def _pack(self, dest, outputs):
		for name in ("usr/include", "usr/share/man"):
			shutil.rmtree(dest / name, ignore_errors=True)
		files = [path for path in dest.rglob("*") if path.is_file()]
		own = {path.name for path in dest.rglob("*.so*")}
		libraries = sysroot.closure(self.root, files, have=self.base_libraries,
					    provided=own)
		for prefix, output in outputs.items():
			work = output.with_suffix(".new")
			with open(work, "wb") as handle:
				archive = cpio.Archive(handle, prefix)
				for path in sorted(dest.iterdir()):
					archive.tree(path, path.name)
				for name, path in sorted(libraries.items()):
					triple = debian.MULTIARCH[self.arch]
					archive.file(f"usr/lib/{triple}/{name}",
						     path.read_bytes(), 0o755)
				archive.close()
			work.rename(output)

	def module(self, kernel):
		"""The archive with dmabroker.ko and new modules.* indexes."""
		output = self.folder / f"module-{kernel.release}.cpio"
		stamp = output.with_suffix(".stamp")
		fingerprint = cache.hash_of(_fingerprint([SOURCE / "kmod"]), str(kernel.folder),
					    *SCRIPTS)
		if self._up_to_date(stamp, fingerprint, [output]):
			return output
		with cache.locked(f"build-{self.name}"):
			if not self._up_to_date(stamp, fingerprint, [output]):
				self._kbuild(kernel, output)
				cache.write_whole(stamp, fingerprint)
		return output

	def _kbuild(self, kernel, output):
		cache.say(f"building dmabroker.ko for {kernel.release}")
		work = self.folder / f"kmod-{kernel.release}"
		_mirror(SOURCE / "kmod", work)
		cache.command(["make", "-C", work, f"KDIR={kernel.headers}",
			       f"ARCH={'x86' if self.arch == 'amd64' else self.arch}",
			       f"CROSS_COMPILE={debian.CROSS[self.arch]}"],
			      f"building dmabroker.ko for {kernel.release}")
		tree = self.folder / f"modules-{kernel.release}"
		shutil.rmtree(tree, ignore_errors=True)
		small = kernel.modules_dir / "lib/modules" / kernel.release
		target = tree / "lib/modules" / kernel.release
		shutil.copytree(small, target, copy_function=os.link)
		(target / "updates").mkdir()
		cache.command([f"{debian.CROSS[self.arch]}strip", "-g", "-o",
			       target / "updates/dmabroker.ko", work / "dmabroker.ko"], "strip")
		for index in target.glob("modules.*"):
			if index.name not in ("modules.builtin", "modules.order",
					      "modules.builtin.modinfo"):
				index.unlink()
		cache.command(["depmod", "-b", tree, kernel.release], "depmod")
		new = output.with_suffix(".new")
		with open(new, "wb") as handle:
			archive = cpio.Archive(handle)
			for path in [*sorted(target.glob("modules.*")),
				     target / "updates/dmabroker.ko"]:
				archive.file(f"usr/lib/modules/{kernel.release}/"
					     f"{path.relative_to(target)}", path.read_bytes())
			archive.close()
		new.rename(output)
		shutil.rmtree(tree)


def _mirror(source, target):
	"""Make target hold source's files, touching only what differs, so make sees the truth."""
	wanted = set()
	for path in source.rglob("*"):
		if path.is_file():
			name = path.relative_to(source)
			wanted.add(name)
			copy = target / name
			if not copy.exists() or copy.read_bytes() != path.read_bytes():
				copy.parent.mkdir(parents=True, exist_ok=True)
				shutil.copyfile(path, copy)
	for path in target.rglob("*.[ch]"):
		if path.relative_to(target) not in wanted and not path.name.endswith(".mod.c"):
			path.unlink()
