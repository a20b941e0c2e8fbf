# SPDX-License-Identifier: MIT
"""Lines of real kernels, and whether tests/vm/run must fail on them. Exit status 1 if one differs."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import splat  # noqa: E402

BAD = """
WARNING: CPU: 1 PID: 312 at drivers/dma-buf/dma-buf.c:1540 dma_buf_vmap+0x1a0/0x210
WARNING: possible circular locking dependency detected
WARNING: possible recursive locking detected
WARNING: suspicious RCU usage
BUG: kernel NULL pointer dereference, address: 0000000000000008
BUG: unable to handle page fault for address: ffffc90000a01000
BUG: KASAN: slab-use-after-free in buffer_free+0x12/0x40 [dmabroker]
BUG: sleeping function called from invalid context at kernel/locking/mutex.c:585
BUG: Bad page state in process cat  pfn:10a2b
BUG: scheduling while atomic: cat/212/0x00000002
watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [cat:212]
kernel BUG at mm/slub.c:448!
Oops: general protection fault, probably for non-canonical address 0x6b6b: 0000 [#1] PREEMPT SMP
Oops: 0000 [#1] PREEMPT SMP NOPTI
Internal error: Oops: 0000000096000004 [#1] SMP
Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008
Kernel panic - not syncing: sysrq triggered crash
UBSAN: shift-out-of-bounds in drivers/foo.c:12:3
UBSAN: array-index-out-of-bounds in kmod/pages.c:90:4
kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
INFO: task dmabrokerd:210 blocked for more than 120 seconds.
INFO: trying to register non-static key.
rcu: INFO: rcu_preempt self-detected stall on CPU
rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
DMA-API: dmabroker-pci 0000:00:03.0: device driver has pending DMA allocations while released from device [count=1]
DMA-API: dmabroker-pci 0000:00:03.0: device driver tries to free DMA memory it has not allocated
DMA-API: dmabroker-pci 0000:00:03.0: mapping sg segment longer than device claims to support
DMA-API: exceeded 7 overlapping mappings of cacheline 0x0000000000041234
Out of memory: Killed process 221 (tail) total-vm:98304kB, anon-rss:90000kB
Memory cgroup out of memory: Killed process 300 (x) total-vm:1kB
tail invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0
dmabrokerd: page allocation failure: order:9, mode:0xcc0(GFP_KERNEL), nodemask=(null)
list_del corruption. prev->next should be ffff888, but was ffff889
refcount_t: underflow; use-after-free.
------------[ cut here ]------------
""".strip().splitlines()

GOOD = """
Linux version 6.12.117+deb12-amd64 (debian-kernel@lists.debian.org)
DMA-API: preallocated 65536 debug entries
DMA-API: debugging enabled by kernel config
kfence: initialized - using 2097152 bytes for 255 objects at 0x(____ptrval____)
KernelAddressSanitizer initialized (generic)
kmemleak: Kernel memory leak detector initialized (mem pool available: 15679)
DMAR: IOMMU enabled
software IO TLB: mapped [mem 0x000000003bfe0000-0x000000003ffe0000] (64MB)
dmabroker: loading out-of-tree module taints kernel.
dmabroker: module verification failed: signature and/or required key missing - tainting kernel
systemd[1]: Warning: the unit file changed on disk
oom_reaper: nothing to do
DMAR: [DMA Write NO_PASID] Request device [00:03.0] fault addr 0x1000 [fault reason 0x05]
""".strip().splitlines()


def main():
	wrong = 0
	for line in BAD + GOOD:
		for stamp in ("[    1.234567] ", "[   12.345678][  T212] ", "[  100.000001][    C0] "):
			if bool(splat.find(f"before\n{stamp}{line}\r\nafter\n")) != (line in BAD):
				print(f"{'missed' if line in BAD else 'false alarm'}: {stamp}{line}")
				wrong += 1
	if splat.find("WARNING: a program printed this on the console, not the kernel\n"):
		print("false alarm: a line without the kernel's timestamp")
		wrong += 1
	return 1 if wrong else 0


sys.exit(main())
