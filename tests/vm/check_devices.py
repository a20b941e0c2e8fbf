#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads `dmabrokerctl devices --json` and prints a check for each thing that must be in it.

check_devices.py TITLE IOMMU UNUSABLE: IOMMU is "true" or "false", what the two edu devices must say;
UNUSABLE is the one that must not be usable, or empty.
"""
import json
import sys

FIELDS = {"name", "bus", "coherent", "iommu", "streaming_mask_bits", "coherent_mask_bits",
	  "max_segment_bytes", "usable", "reason"}
WANTED = {"pci:0000:00:03.0": 28, "pci:0000:00:04.0": 32}


def main():
	title, iommu, unusable = sys.argv[1], sys.argv[2] == "true", sys.argv[3]
	counts = {True: 0, False: 0}

	def check(good, name, seen):
		counts[bool(good)] += 1
		print(f"ok {title}: {name}" if good else f"not ok {title}: {name} ({seen})")

	text = sys.stdin.read()
	try:
		devices = {entry["name"]: entry for entry in json.loads(text)["devices"]}
	except (ValueError, KeyError, TypeError) as error:
		devices = {}
		check(False, "dmabrokerctl devices --json is a list of devices",
		      f"{error!r}: {text[:200]!r}")
	check(set(devices) == set(WANTED) | {"system"}, "two PCI devices and system, no other",
	      sorted(devices))
	for name, bits in WANTED.items():
		device = devices.get(name, {})
		masks = (device.get("streaming_mask_bits"), device.get("coherent_mask_bits"))
		check(device.get("bus") == "pci", f"{name} is on the PCI bus", device.get("bus"))
		check(masks == (bits, bits), f"{name} drives {bits} address bits", masks)
		check(device.get("iommu") is iommu, f"{name}: iommu is {str(iommu).lower()}",
		      device.get("iommu"))
		check(device.get("coherent") is True, f"{name} is coherent", device.get("coherent"))
		check(device.get("max_segment_bytes", 0) >= 1 << 20, f"{name} takes long segments",
		      device.get("max_segment_bytes"))
		usable = (device.get("usable"), device.get("reason"))
		if name == unusable:
			check(usable[0] is False and len(usable[1] or "") > 10,
			      f"{name} is not usable, and it says why", usable)
		else:
			check(usable == (True, ""), f"{name} is usable", usable)
	missing = {name: sorted(FIELDS - set(device)) for name, device in devices.items()
		   if FIELDS - set(device)}
	check(devices and not missing, "every entry has every field", missing)
	print(f"{counts[True]} passed, {counts[False]} failed")
	return 1 if counts[False] else 0


if __name__ == "__main__":
	sys.exit(main())
