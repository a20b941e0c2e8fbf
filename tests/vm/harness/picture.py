# SPDX-License-Identifier: MIT
"""Looks into a PNG that QEMU wrote: `picture.py FILE` succeeds if there is something on it."""
import struct
import sys
import zlib


def rows(path):
	"""The raw (filtered) rows of an 8-bit RGB PNG, with its width and height."""
	with open(path, "rb") as handle:
		data = handle.read()
	if data[:8] != b"\x89PNG\r\n\x1a\n":
		raise ValueError(f"{path} is not a PNG")
	width, height = struct.unpack(">II", data[16:24])
	packed, place = b"", 8
	while place < len(data):
		size, kind = struct.unpack(">I4s", data[place:place + 8])
		if kind == b"IDAT":
			packed += data[place + 8:place + 8 + size]
		place += size + 12
	return width, height, zlib.decompress(packed)


def main():
	width, height, raw = rows(sys.argv[1])
	step = width * 3 + 1
	lit = sum(any(raw[start + 1:start + step]) for start in range(0, height * step, step))
	print(f"{width}x{height}, {lit} rows with something on them")
	return 0 if width >= 320 and height >= 200 and lit > 0 else 1


if __name__ == "__main__":
	sys.exit(main())
