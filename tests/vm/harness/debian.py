# SPDX-License-Identifier: MIT
"""Debian packages of any architecture, fetched and unpacked without touching this machine's dpkg.

Each architecture has an apt state of its own in the cache: its own lists and an empty dpkg status,
with the sources, keys and proxies of this machine. So no `dpkg --add-architecture` is needed, root
is not needed, and a closure of dependencies is complete because nothing counts as installed.

What a list of names resolves to is written down once and stays, so runs do not depend on the day
or the network. DMABROKER_VM_UPDATE=1 fetches the lists again and resolves anew; what changed gets
a new key and is rebuilt.
"""
import os
import re
import shutil
import subprocess
import urllib.parse
from pathlib import Path

from . import cache
from .cache import HarnessError

UPDATE = os.environ.get("DMABROKER_VM_UPDATE") == "1"
_updated = set()

MULTIARCH = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
CROSS = {"amd64": "x86_64-linux-gnu-", "arm64": "aarch64-linux-gnu-"}


def host_arch():
	return cache.command(["dpkg", "--print-architecture"], "asking dpkg").strip()


def _apt_folder(arch):
	return cache.root() / "apt" / arch


def _apt(arch, *words, cwd=None):
	environ = dict(os.environ, APT_CONFIG=str(_apt_folder(arch) / "apt.conf"),
		       DEBIAN_FRONTEND="noninteractive", LC_ALL="C")
	return cache.command(["apt-get", "-q", *words], f"apt-get {words[0]} for {arch}",
			     env=environ, cwd=cwd)


def _update(arch):
	"""Fetch the package lists; call with the architecture's lock held."""
	folder = _apt_folder(arch)
	(folder / "state/lists/partial").mkdir(parents=True, exist_ok=True)
	(folder / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
	(folder / "status").write_text("")
	cache.write_whole(folder / "apt.conf", f"""APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Debug::NoLocking "true";
""")
	cache.say(f"fetching Debian's package lists for {arch}")
	_apt(arch, "update")
	(folder / "fetched").write_text("")
	_updated.add(arch)


def _lists_ready(arch):
	if (UPDATE and arch not in _updated) or not (_apt_folder(arch) / "fetched").exists():
		_update(arch)


def resolve(arch, names, keep=None):
	"""The packages that installing names would install, as sorted lines `name=version`.

	keep is a regular expression: only packages whose name matches it are listed.
	"""
	note = _apt_folder(arch) / "resolved" / cache.hash_of("\n".join(names), keep or "")
	if note.exists() and not (UPDATE and arch not in _updated):
		return note.read_text().split()
	with cache.locked(f"apt-{arch}"):
		_lists_ready(arch)
		text = _apt(arch, "--print-uris", "-y", "install", *names)
		found = []
		for line in text.splitlines():
			match = re.match(r"'[^']*' (\S+)_(\S+)_\S+\.deb \d+", line)
			if match and re.search(keep or "", match[1]):
				found.append(f"{match[1]}={urllib.parse.unquote(match[2])}")
		if not found:
			raise HarnessError(f"no package found for {' '.join(names)} on {arch}")
		cache.write_whole(note, "\n".join(sorted(found)) + "\n")
		return sorted(found)


def download(arch, packages, folder):
	"""Fetch packages (`name=version`) into folder and return the paths of the .deb files."""
	folder = Path(folder)
	folder.mkdir(parents=True, exist_ok=True)
	with cache.locked(f"apt-{arch}"):
		_lists_ready(arch)
		try:
			_apt(arch, "download", *packages, cwd=folder)
		except HarnessError as error:
			shutil.rmtree(_apt_folder(arch) / "resolved", ignore_errors=True)
			raise HarnessError(f"{error}\nThe mirror may have replaced a package: "
					   "set DMABROKER_VM_UPDATE=1 and run again.") from error
	return sorted(folder.glob("*.deb"))


def unpack(debs, folder, merged_usr=True):
	"""Unpack .deb files into one tree, without running anything of them.

	With merged_usr, /bin, /lib and /sbin are links into /usr as on an installed system, and
	tar is told to go through them, not to replace them.
	"""
	folder = Path(folder)
	if merged_usr:
		for name in ("bin", "sbin", "lib", "lib64"):
			(folder / "usr" / name).mkdir(parents=True, exist_ok=True)
			if not (folder / name).is_symlink():
				(folder / name).symlink_to(f"usr/{name}")
	for deb in debs:
		with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)],
				      stdout=subprocess.PIPE) as packer:
			done = subprocess.run(["tar", "-x", "--keep-directory-symlink", "-p", "-C",
					       str(folder)], stdin=packer.stdout, check=False)
		if done.returncode != 0 or packer.returncode != 0:
			raise HarnessError(f"unpacking {deb.name} failed")


def fetch_tree(arch, packages, folder, merged_usr=True):
	"""download() and unpack() in one go; the .deb files are not kept."""
	debs = folder / ".debs"
	unpack(download(arch, packages, debs), folder, merged_usr)
	shutil.rmtree(debs)
