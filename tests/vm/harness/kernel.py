# SPDX-License-Identifier: MIT
"""Stock Debian kernels: the image, a small set of modules for the guest, and headers to build ours.

Packages are unpacked, never installed. Modules come compressed and in thousands; the guest gets
the listed ones and what they depend on, uncompressed, which is a fifth of the boot time otherwise.
"""
import lzma
import re
import shutil
from pathlib import Path

from . import cache, cpio, debian
from .cache import HarnessError

SCRIPTS = [Path(__file__), Path(debian.__file__), Path(cpio.__file__)]

# Meta packages: what `--kernel` says, as Debian 12 calls it.
META = {"6.12": "6.12-", "6.1": ""}

# What the guest can modprobe. A name that a kernel lacks (or has built in) is skipped.
MODULES = """
virtio_pci virtio_console virtio_blk virtio_rng virtio_mmio virtio_balloon
9p 9pnet_virtio ext4 overlay autofs4 af_packet unix ipv6 fuse loop configfs squashfs
vgem vivid cirrus-qemu cirrus bochs virtio-gpu drm_shmem_helper
nvme null_blk pci-stub vfio-pci uio uio_pci_generic udmabuf
binfmt_misc cpuid msr rng-core e1000 virtio_net crc32c_generic zram
""".split()


class Kernel:
	"""One kernel: .image, .modules (a cpio), .modules_dir, .headers, .release"""

	def __init__(self, folder):
		self.folder = folder
		self.release = (folder / "release").read_text().strip()
		self.image = folder / "vmlinuz"
		self.modules = folder / "modules.cpio"
		self.modules_dir = folder / "small"
		self.headers = folder / "headers"


def get(arch, version):
	if version == "debug":
		raise HarnessError("--kernel debug: this tree does not build a debug kernel yet; "
				   "use --kernel 6.12 or 6.1")
	if version == "6.1" and arch != "amd64":
		raise HarnessError(f"--kernel 6.1 is supported on amd64 only, not on {arch}")
	meta = META[version]
	image = debian.resolve(arch, [f"linux-image-{meta}{arch}"], r"^linux-image-\d.*\d")
	headers = debian.resolve(arch, [f"linux-headers-{meta}{arch}"],
				 r"^linux-headers-\d.*(\+deb\d+|-\d+)-")
	image = [name for name in image if not name.startswith(f"linux-image-{meta}{arch}=")]
	headers = [name for name in headers if not name.startswith(f"linux-headers-{meta}{arch}=")]
	tools_arch = debian.host_arch()
	tools = debian.resolve(tools_arch, [f"linux-headers-{meta}{tools_arch}"], r"^linux-kbuild-")
	key = cache.hash_of("\n".join(image + headers + tools), " ".join(MODULES), *SCRIPTS)

	def build(folder):
		_unpack_image(arch, image, folder)
		_unpack_headers(arch, headers, tools_arch, tools, folder)
	return Kernel(cache.build_once("kernels", f"{version}-{arch}-{key}",
				       f"Debian's {version} kernel for {arch}", build))


def _unpack_image(arch, packages, folder):
	tree = folder / "tree"
	tree.mkdir()
	debian.fetch_tree(arch, packages, tree, merged_usr=False)
	image = next((tree / "boot").glob("vmlinuz-*"))
	release = image.name.removeprefix("vmlinuz-")
	(folder / "release").write_text(release + "\n")
	shutil.move(image, folder / "vmlinuz")
	cache.command(["depmod", "-b", tree, release], "depmod")
	_pick_modules(tree / "lib/modules" / release, folder / "small/lib/modules" / release)
	cache.command(["depmod", "-b", folder / "small", release], "depmod")
	with open(folder / "modules.cpio", "wb") as handle:
		archive = cpio.Archive(handle)
		archive.tree(folder / "small/lib/modules", "usr/lib/modules")
		archive.close()
	shutil.rmtree(tree)


def _pick_modules(source, target):
	"""Copy MODULES and what modules.dep says they need, uncompressed."""
	needs, by_name = {}, {}
	for line in (source / "modules.dep").read_text().splitlines():
		path, _, rest = line.partition(":")
		needs[path] = rest.split()
		by_name[re.sub(r"\.ko.*$", "", path.rsplit("/", 1)[-1]).replace("-", "_")] = path
	todo = [by_name[name] for name in (word.replace("-", "_") for word in MODULES)
		if name in by_name]
	chosen = set()
	while todo:
		path = todo.pop()
		if path not in chosen:
			chosen.add(path)
			todo += needs[path]
	for path in chosen:
		out = target / re.sub(r"\.xz$", "", path)
		out.parent.mkdir(parents=True, exist_ok=True)
		data = (source / path).read_bytes()
		out.write_bytes(lzma.decompress(data) if path.endswith(".xz") else data)
	for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
		shutil.copy(source / name, target / name)


def _unpack_headers(arch, packages, tools_arch, tools, folder):
	"""The tree that `make KDIR=` wants, movable: Debian's has absolute names in it."""
	tree = folder / "hdr"
	tree.mkdir()
	debian.fetch_tree(arch, packages, tree, merged_usr=False)
	debian.fetch_tree(tools_arch, tools, tree, merged_usr=False)
	release = (folder / "release").read_text().strip()
	main = tree / "usr/src" / f"linux-headers-{release}"
	if not main.is_dir():
		raise HarnessError(f"the kernel is {release}, but its headers are not in "
				   f"{' '.join(packages)}; set DMABROKER_VM_UPDATE=1 and run again")
	makefile = main / "Makefile"
	makefile.write_text(makefile.read_text().replace(
		"/usr/src/", "$(dir $(lastword $(MAKEFILE_LIST)))../"))
	(folder / "headers").symlink_to(main.relative_to(folder))
