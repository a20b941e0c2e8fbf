# SPDX-License-Identifier: MIT
"""The cache folder: everything that is fetched or built once and used by many runs.

An entry is a folder CACHE/KIND/KEY whose key is a hash of what it was made from. It is built
under a temporary name and renamed when complete, so whoever sees it may use it without a lock,
and an interrupted build leaves nothing that looks finished. Builders of the same entry wait for
each other on a lock file. Entries that no run used for a month are removed when a new one comes.
Deleting the cache, whole or in part, is always safe between runs.
"""
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path


class HarnessError(Exception):
	"""The machine could not do its job: reported with exit status 125, never a COMMAND's."""


def root():
	named = os.environ.get("DMABROKER_CACHE")
	if named:
		return Path(named).absolute()
	base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
	return Path(base).absolute() / "dmabroker"


def say(text):
	print(f"tests/vm/run: {text}", file=sys.stderr, flush=True)


def hash_of(*parts):
	"""A short key from strings, bytes and the contents of files (given as Path)."""
	digest = hashlib.sha256()
	for part in parts:
		data = part.read_bytes() if isinstance(part, Path) else part
		if isinstance(data, str):
			data = data.encode()
		digest.update(len(data).to_bytes(8, "little"))
		digest.update(data)
	return digest.hexdigest()[:16]


@contextlib.contextmanager
def locked(name):
	"""Hold the lock called name; says so when it has to wait for another run."""
	folder = root() / "locks"
	folder.mkdir(parents=True, exist_ok=True)
	with open(folder / name, "w", encoding="ascii") as handle:
		try:
			fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
		except BlockingIOError:
			say(f"waiting for another run ({name})")
			fcntl.flock(handle, fcntl.LOCK_EX)
		yield


def build_once(kind, key, what, builder):
	"""The folder CACHE/kind/key, made by builder(folder) if it does not exist yet."""
	final = root() / kind / key
	if final.is_dir():
		os.utime(final)
		return final
	with locked(f"{kind}-{key}"):
		if final.is_dir():
			return final
		say(f"preparing {what} (once; kept in {final})")
		final.parent.mkdir(parents=True, exist_ok=True)
		for stale in final.parent.glob(f".tmp-{key}-*"):
			shutil.rmtree(stale, ignore_errors=True)
		work = final.parent / f".tmp-{key}-{os.getpid()}"
		work.mkdir()
		try:
			builder(work)
			work.rename(final)
		except BaseException:
			shutil.rmtree(work, ignore_errors=True)
			raise
		remove_old(final.parent, 30)
	return final


def remove_old(folder, days):
	"""Remove the folders in folder that nobody used for so many days."""
	for path in folder.iterdir():
		with contextlib.suppress(FileNotFoundError):
			if time.time() - path.stat().st_mtime > days * 86400:
				shutil.rmtree(path, ignore_errors=True)


def write_whole(path, data):
	"""Replace a file at once: readers see the old or the new content, never half of it."""
	path.parent.mkdir(parents=True, exist_ok=True)
	work = path.with_name(f".{path.name}.{os.getpid()}")
	if isinstance(data, str):
		data = data.encode()
	work.write_bytes(data)
	work.rename(path)


def command(argv, what, **options):
	"""Run a build step quietly; when it fails, its output becomes the reason."""
	try:
		done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL,
				      stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
				      check=False, **options)
	except FileNotFoundError as error:
		raise HarnessError(f"{what}: {error.filename} is not installed;"
				   " tools/deps build vm installs what is needed") from error
	text = done.stdout.decode(errors="replace")
	if done.returncode != 0:
		tail = "\n".join(text.splitlines()[-60:])
		raise HarnessError(f"{what} failed (exit status {done.returncode}):\n{tail}\n"
				   f"the command was: {' '.join(str(word) for word in argv)}")
	return text
