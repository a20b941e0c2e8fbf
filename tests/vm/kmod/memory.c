// SPDX-License-Identifier: MIT
/*
 * What an allocation gives: zeroes, whatever the kernel path; the size, kind and attributes that
 * took effect; refusals of what cannot be. And contiguous memory, and a machine filled to the brim.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod.h"

static const struct {
	const char *name;
	unsigned int kind;
	uint64_t attributes;
} flavours[] = {
	{ "coherent", DMABROKER_KIND_COHERENT, 0 },
	{ "writecombine", DMABROKER_KIND_WRITECOMBINE, 0 },
	{ "coherent single pages", DMABROKER_KIND_COHERENT, DMABROKER_ATTR_ALLOC_SINGLE_PAGES },
	{ "coherent no-kernel-mapping", DMABROKER_KIND_COHERENT, DMABROKER_ATTR_NO_KERNEL_MAPPING },
	{ "contiguous coherent", DMABROKER_KIND_COHERENT, DMABROKER_ATTR_FORCE_CONTIGUOUS },
	{ "contiguous writecombine", DMABROKER_KIND_WRITECOMBINE, DMABROKER_ATTR_FORCE_CONTIGUOUS },
	{ "contiguous no-kernel-mapping", DMABROKER_KIND_COHERENT,
	  DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING },
	{ "contiguous writecombine no-kernel-mapping no-warn", DMABROKER_KIND_WRITECOMBINE,
	  DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING |
		  DMABROKER_ATTR_NO_WARN },
};

/* Without an IOMMU a narrow device leaves little memory to choose from. */
static uint64_t much(void)
{
	return machine.iommu ? 16 * MIB : 1 * MIB;
}

static size_t first_not(const uint8_t *memory, uint8_t value, size_t size_bytes)
{
	size_t i;

	for (i = 0; i < size_bytes; i++)
		if (memory[i] != value)
			return i;
	return size_bytes;
}

/* Dirty pages are what the next allocation finds; several rounds make it find the same ones. */
static void test_zero(size_t flavour, uint64_t size_bytes)
{
	bool zero = true;
	int round;

	for (round = 0; round < 4; round++) {
		uint64_t id;
		int fd = alloc_good(size_bytes, flavours[flavour].kind,
				    flavours[flavour].attributes, &id);
		uint8_t *memory = map_memory(fd, size_bytes, PROT_READ | PROT_WRITE);

		if (first_not(memory, 0, size_bytes) != size_bytes)
			zero = false;
		memset(memory, 0xd5, size_bytes);
		if (first_not(memory, 0xd5, size_bytes) != size_bytes)
			die("memory does not keep what is written");
		munmap(memory, size_bytes);
		close(fd);
		if (!buffer_goes(id))
			die("a buffer does not go");
	}
	check(zero, "%s: %llu KiB are zero, four times", flavours[flavour].name,
	      (unsigned long long)(size_bytes / KIB));
}

static void test_obtained(size_t flavour)
{
	uint64_t attributes = flavours[flavour].attributes;
	unsigned int kind = flavours[flavour].kind;
	unsigned int effective = machine.coherent ? DMABROKER_KIND_COHERENT : kind;
	bool contiguous = attributes & DMABROKER_ATTR_FORCE_CONTIGUOUS;
	struct dmabroker_alloc alloc;
	struct dmabroker_buffer buffer;
	int fd;

	alloc_prepare(&alloc, 5 * 4096 - 1, kind, attributes);
	fd = alloc_for(&alloc, 2);
	check_errno(fd, 0, "%s: 5 pages less a byte", flavours[flavour].name);
	if (fd < 0)
		return;
	check(alloc.buffer.size_bytes == 5 * 4096, "%s: rounded up", flavours[flavour].name);
	check(alloc.buffer.kind == kind && alloc.buffer.effective_kind == effective &&
		      alloc.buffer.attributes == attributes,
	      "%s: kind and attributes are told", flavours[flavour].name);
	check(!contiguous || (alloc.buffer.flags & DMABROKER_BUFFER_CONTIGUOUS),
	      "%s: contiguity is told", flavours[flavour].name);
	check(strcmp(alloc.buffer.region, contiguous ? "system" : "pages") == 0 &&
		      alloc.buffer.alignment_bytes >= 4096,
	      "%s: region and alignment are told", flavours[flavour].name);
	check(buffer_lives(alloc.buffer.id, &buffer) &&
		      memcmp(&buffer, &alloc.buffer, sizeof(buffer)) == 0,
	      "%s: the list tells the same", flavours[flavour].name);
	check(lseek(fd, 0, SEEK_END) == 5 * 4096 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR &&
		      fcntl(fd, F_GETFD) == FD_CLOEXEC,
	      "%s: the fd is a read-write, close-on-exec dma-buf of that size",
	      flavours[flavour].name);
	close(fd);
	check(buffer_goes(alloc.buffer.id), "%s: gone with its fd", flavours[flavour].name);
}

static void check_refused(int expected, const char *what, uint64_t size_bytes, unsigned int kind,
			  unsigned int direction, uint64_t attributes)
{
	struct dmabroker_alloc alloc;
	int fd;

	alloc_prepare(&alloc, size_bytes, kind, attributes);
	alloc.direction = direction;
	fd = alloc_for(&alloc, 1);
	check_errno(fd, expected, "alloc: %s", what);
	if (fd >= 0)
		close(fd);
}

static void test_refusals(void)
{
	const unsigned int coherent = DMABROKER_KIND_COHERENT;
	struct dmabroker_alloc alloc;
	uint32_t ids[17] = { 1 };
	int fd;

	check_refused(-EINVAL, "size 0", 0, coherent, 0, 0);
	check_refused(-EINVAL, "size 2^63", 1ull << 63, coherent, 0, 0);
	check_refused(-EINVAL, "size 2^64-1", UINT64_MAX, coherent, 0, 0);
	check_refused(-EINVAL, "a byte more than 1 TiB", (1ull << 40) + 1, coherent, 0, 0);
	check_refused(-ENOMEM, "1 TiB", 1ull << 40, coherent, 0, 0);
	check_refused(-EINVAL, "kind 0", 4096, 0, 0, 0);
	check_refused(-EINVAL, "kind 5", 4096, 5, 0, 0);
	check_refused(-EOPNOTSUPP, "kind imported", 4096, DMABROKER_KIND_IMPORTED, 0, 0);
	check_refused(-EINVAL, "direction 4", 4096, coherent, 4, 0);
	check_refused(-EINVAL, "an unknown attribute", 4096, coherent, 0, 1ull << 63);
	check_refused(-EINVAL, "contiguous single pages", 4096, coherent, 0,
		      DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_ALLOC_SINGLE_PAGES);
	check_refused(-EOPNOTSUPP, "skip-cpu-sync, which is for mappings", 4096, coherent, 0,
		      DMABROKER_ATTR_SKIP_CPU_SYNC);

	alloc_prepare(&alloc, 4096, coherent, 0);
	alloc.flags = 1;
	check_errno(alloc_for(&alloc, 1), -EINVAL, "alloc: an unknown flag");
	alloc.flags = 0;
	alloc.nr_devices = 17;
	alloc.devices = (uintptr_t)ids;
	check_errno(call(DMABROKER_IOC_ALLOC, &alloc), -EINVAL, "alloc: 17 devices");
	alloc.nr_devices = 2;
	ids[1] = 12345;
	check_errno(call(DMABROKER_IOC_ALLOC, &alloc), -ENODEV, "alloc: an unknown device");
	alloc.devices = 8;
	check_errno(call(DMABROKER_IOC_ALLOC, &alloc), -EFAULT, "alloc: a bad pointer");
	alloc.devices = (uintptr_t)ids;
	alloc.nr_devices = 1;
	fd = call(DMABROKER_IOC_ALLOC, &alloc);
	check_errno(fd, 0, "alloc: for system");
	close(alloc.fd);
	alloc.nr_devices = 0;
	alloc.devices = 8;
	check_errno(call(DMABROKER_IOC_ALLOC, &alloc), 0, "alloc: no device, so no pointer");
	close(alloc.fd);
}

void test_memory(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LENGTH(flavours); i++) {
		test_obtained(i);
		test_zero(i, 64 * KIB);
		test_zero(i, flavours[i].attributes & DMABROKER_ATTR_FORCE_CONTIGUOUS ? 1 * MIB
										      : much());
	}
	test_refusals();
}

void test_contiguous(void)
{
	struct dmabroker_alloc alloc;
	struct dmabroker_map map;
	int fd, mapping_fd;

	/* Without CMA the page allocator's biggest block is the end. */
	alloc_prepare(&alloc, 16 * MIB, DMABROKER_KIND_COHERENT, DMABROKER_ATTR_FORCE_CONTIGUOUS);
	fd = alloc_for(&alloc, machine.iommu ? 2 : 0);
	check_errno(fd, machine.cma ? 0 : -EOPNOTSUPP, "16 MiB force-contiguous");
	if (fd >= 0) {
		mapping_fd = map_for((map_prepare(&map, fd, &edus[1], 0), &map));
		check_errno(mapping_fd, 0, "and mapped");
		check(map.mapping.nr_segments == 1, "in one segment");
		close(mapping_fd);
		close(fd);
		check(buffer_goes(alloc.buffer.id), "and gone");
	}
	if (machine.cma) {
		alloc_prepare(&alloc, 1024 * MIB, DMABROKER_KIND_COHERENT,
			      DMABROKER_ATTR_FORCE_CONTIGUOUS);
		check_errno(alloc_for(&alloc, 2), -ENOMEM, "more contiguous memory than there is");
	}

	alloc_prepare(&alloc, 2 * MIB, DMABROKER_KIND_COHERENT, DMABROKER_ATTR_FORCE_CONTIGUOUS);
	fd = alloc_for(&alloc, 2);
	check_errno(fd, 0, "2 MiB force-contiguous");
	close(fd);

	alloc_prepare(&alloc, 16 * MIB, DMABROKER_KIND_COHERENT, 0);
	fd = alloc_for(&alloc, machine.iommu ? 2 : 0);
	check_errno(fd, 0, "16 MiB of any pages");
	map_prepare(&map, fd, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
	mapping_fd = map_for(&map);
	check_errno(mapping_fd, 0, "and mapped");
	check(machine.iommu ? map.mapping.nr_segments == 1 : map.mapping.nr_segments >= 1,
	      "in %u segments", map.mapping.nr_segments);
	close(mapping_fd);
	close(fd);
}

/* Until nothing is left, in steps that become smaller. The kernel log is judged by the harness. */
static void fill_machine(unsigned int kind, uint64_t attributes, uint64_t step)
{
	static int fds[65536];
	unsigned int count = 0, steps = 0;
	uint64_t bytes = 0, before = count_buffers();
	int fd = -1;

	while (step >= 4096 && count < ARRAY_LENGTH(fds)) {
		struct dmabroker_alloc alloc;

		alloc_prepare(&alloc, step, kind, attributes);
		fd = alloc_for(&alloc, 0);
		if (fd == -EMFILE)
			die("not enough file descriptors for this test");
		if (fd < 0) {
			if (fd != -ENOMEM)
				break;
			step /= 4;
			steps++;
			continue;
		}
		fds[count++] = fd;
		bytes += step;
	}
	check_errno(fd, -ENOMEM, "the machine is full after %llu MiB in %u buffers, %u refusals",
		    (unsigned long long)(bytes / MIB), count, steps);
	check(bytes > 32 * MIB, "most of the memory had been given out");
	while (count)
		close(fds[--count]);
	check(count_buffers() == before, "and everything came back");
}

void test_full(void)
{
	fill_machine(DMABROKER_KIND_COHERENT, 0, 64 * MIB);
	fill_machine(DMABROKER_KIND_WRITECOMBINE, DMABROKER_ATTR_NO_KERNEL_MAPPING, 64 * MIB);
	fill_machine(DMABROKER_KIND_COHERENT, DMABROKER_ATTR_FORCE_CONTIGUOUS, 2 * MIB);
}
