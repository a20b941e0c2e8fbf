# SPDX-License-Identifier: MIT
"""Reads a guest's console and finds what no healthy kernel prints."""
import re

# Each pattern is matched against the text of one kernel message, without its timestamp.
PATTERNS = [re.compile(text) for text in (
	r"^BUG\b",			# "BUG: KASAN", "BUG: sleeping function" and so on
	r"kernel BUG at",
	r"^WARNING: ",			# WARN_ON and lockdep's "WARNING: possible ..."
	r"^(Internal error: )?Oops\b",
	r"^Internal error:",
	r"general protection fault",
	r"^Unable to handle kernel",
	r"^Kernel panic",
	r"\bKASAN\b.*:",
	r"\bUBSAN\b.*:",
	r"\bKFENCE\b.*:",
	r"^kmemleak: \d+ new suspected",
	r"^INFO: (task|rcu|lockdep|trying to register|possible)",
	r"blocked for more than \d+ seconds",
	r"^rcu: INFO: .*(stall|starved)",
	r"^rcu: .*self-detected stall",
	r"DMA-API: ",
	r"^(Out of memory|Memory cgroup out of memory)\b",
	r"invoked oom-killer",
	r"^watchdog: BUG",
	r"page allocation failure",
	r"Bad page (state|map)",
	r"list_(add|del) corruption",
	r"refcount_t: ",
	r"scheduling while atomic",
	r"possible (circular|recursive) locking",
	r"swiotlb buffer is full",
	r"^cut here|-+\[ cut here \]-+",
)]

# Lines that match and are no fault of anybody here; each with the reason.
HARMLESS = [re.compile(text) for text in (
	# DMA-API debugging announces itself at boot on debug kernels.
	r"DMA-API: (preallocated|debugging enabled|dma_debug)",
	# KASAN and KFENCE announce themselves at boot.
	r"(kasan|KernelAddressSanitizer).*initialized",
	r"^kfence: initialized",
)]

_STAMP = re.compile(r"^(?:<\d+>)?\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])?\s?")


def find(console):
	"""The matching lines of a console's text, in order, without repetition."""
	found = []
	for line in console.splitlines():
		stamp = _STAMP.match(line)
		if not stamp:
			continue
		text = line[stamp.end():].rstrip("\r")
		if any(pattern.search(text) for pattern in HARMLESS):
			continue
		if any(pattern.search(text) for pattern in PATTERNS) and line not in found:
			found.append(line.rstrip("\r"))
	return found
