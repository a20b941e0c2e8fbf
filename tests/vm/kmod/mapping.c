// SPDX-License-Identifier: MIT
/* Mappings: two devices move the bytes of one buffer, each through addresses of its own. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod.h"

#define SIZE (64 * KIB)
#define HALF (SIZE / 2)

static void fill_pattern(uint8_t *memory, size_t size_bytes, unsigned int seed)
{
	size_t i;

	for (i = 0; i < size_bytes; i++)
		memory[i] = (uint8_t)(seed + i + (i >> 8) * 7);
}

static bool has_pattern(const uint8_t *memory, size_t size_bytes, unsigned int seed)
{
	size_t i;

	for (i = 0; i < size_bytes; i++)
		if (memory[i] != (uint8_t)(seed + i + (i >> 8) * 7))
			return false;
	return true;
}

static void check_segments(const struct dmabroker_map *map, const struct edu *edu)
{
	struct dmabroker_mapping_segment by_fd[32], by_id[32];
	struct dmabroker_mapping_segments first = { .entries = (uintptr_t)by_fd, .capacity = 32 };
	struct dmabroker_segments second = { .mapping_id = map->mapping.id,
					     .entries = (uintptr_t)by_id,
					     .capacity = 32 };
	uint64_t last = UINT64_MAX >> (64 - edu->bits), total = 0;
	bool low = true;
	uint32_t i;

	if (call_fd(map->fd, DMABROKER_MAPPING_IOC_SEGMENTS, &first) ||
	    call(DMABROKER_IOC_MAPPING_SEGMENTS, &second))
		die("asking for segments");
	for (i = 0; i < first.count; i++) {
		low &= by_fd[i].dma_address + by_fd[i].length_bytes - 1 <= last;
		total += by_fd[i].length_bytes;
	}
	check(first.count == map->mapping.nr_segments && first.total == first.count &&
		      total == SIZE,
	      "%s: the segments make up the buffer", edu->address);
	check(second.count == first.count && second.total == first.total &&
		      memcmp(by_fd, by_id, first.count * sizeof(by_fd[0])) == 0,
	      "%s: the node and the fd tell the same ones", edu->address);
	check(low, "%s: they lie below 2^%u", edu->address, edu->bits);
	check(!machine.iommu || first.count == 1, "%s: behind the IOMMU there is one",
	      edu->address);
	first.first = first.total;
	check(call_fd(map->fd, DMABROKER_MAPPING_IOC_SEGMENTS, &first) == 0 && first.count == 0,
	      "%s: behind the last one there is none", edu->address);
}

/* Each device copies the first half to the second, then back to another place. */
static void test_copies(unsigned int kind, uint64_t attributes)
{
	bool contiguous = attributes & DMABROKER_ATTR_FORCE_CONTIGUOUS;
	struct dmabroker_buffer buffer;
	struct dmabroker_map maps[2];
	uint64_t id;
	int fd = alloc_good(SIZE, kind, attributes, &id);
	uint8_t *memory = map_memory(fd, SIZE, PROT_READ | PROT_WRITE);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		map_prepare(&maps[i], fd, &edus[i], DMABROKER_DIR_BIDIRECTIONAL);
		check_errno(map_for(&maps[i]), 0, "%s: mapped", edus[i].address);
		check(edu_bus_master(&edus[i]), "%s: bus mastering is on", edus[i].address);
		check_segments(&maps[i], &edus[i]);
	}
	/* Contiguous memory has been synced by its allocation. */
	check(!(maps[0].mapping.flags & DMABROKER_MAP_SKIPPED_CPU_SYNC) == !contiguous &&
		      (maps[1].mapping.flags & DMABROKER_MAP_SKIPPED_CPU_SYNC) &&
		      maps[1].mapping.attributes == DMABROKER_ATTR_SKIP_CPU_SYNC,
	      "the second mapping skipped the CPU sync, the first did%s", contiguous ? "" : " not");
	check(buffer_lives(id, &buffer) && buffer.syncs_done == 1 &&
		      buffer.syncs_saved == (contiguous ? 2 : 1) && buffer.nr_mappings == 2,
	      "the buffer tells two mappings, one sync done, the others saved");

	for (i = 0; i < 2; i++) {
		uint8_t seed = (uint8_t)(31 + 50 * i);

		memset(memory, 0, SIZE);
		fill_pattern(memory, HALF, seed);
		edu_copy(&edus[i], maps[i].fd, 0, HALF, HALF);
		check(has_pattern(memory + HALF, HALF, seed), "%s: copied to another offset",
		      edus[i].address);
		memset(memory, 0, HALF);
		edu_copy(&edus[i], maps[i].fd, HALF, 4096, HALF - 4096);
		check(has_pattern(memory + 4096, HALF - 4096, seed), "%s: and back",
		      edus[i].address);
	}

	close(maps[0].fd);
	check(!edu_bus_master(&edus[0]) && edu_bus_master(&edus[1]),
	      "bus mastering goes off with the device's last mapping");
	close(maps[1].fd);
	check(!edu_bus_master(&edus[1]), "of the other one too");
	munmap(memory, SIZE);
	close(fd);
	check(buffer_goes(id), "gone");
}

/* A mapping to the device, and one from it: the IOMMU holds the direction. */
static void test_direction(void)
{
	int fd = alloc_good(8192, DMABROKER_KIND_COHERENT, 0, NULL);
	uint8_t *memory = map_memory(fd, 8192, PROT_READ | PROT_WRITE);
	int mapping_fd = map_good(fd, &edus[0], DMABROKER_DIR_TO_DEVICE);
	int other;

	fill_pattern(memory, 4000, 3);
	edu_start(&edus[0], edu_address(mapping_fd, 0), 4000, false);
	edu_wait(&edus[0]);
	edu_start(&edus[0], edu_address(mapping_fd, 4096), 4000, true);
	edu_wait(&edus[0]);
	check(memory[4096] == 0 && memcmp(memory + 4096, memory + 4097, 3999) == 0,
	      "a to-device mapping stops a device's write");
	other = map_good(fd, &edus[0], DMABROKER_DIR_FROM_DEVICE);
	edu_start(&edus[0], edu_address(other, 4096), 4000, true);
	edu_wait(&edus[0]);
	check(has_pattern(memory + 4096, 4000, 3),
	      "it had read, and a from-device mapping lets it write");
	close(other);
	close(mapping_fd);
	munmap(memory, 8192);
	close(fd);
}

/* Narrower than the device, for one mapping. */
static void test_narrow(void)
{
	int fd = alloc_good(64 * KIB, DMABROKER_KIND_COHERENT, 0, NULL);
	struct dmabroker_map map;
	int mapping_fd;

	map_prepare(&map, fd, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
	map.mask_bits = 24;
	mapping_fd = map_for(&map);
	check_errno(mapping_fd, 0, "a mapping of 24 bits");
	if (mapping_fd < 0)
		return;
	check(edu_address(mapping_fd, 64 * KIB - 1) < 1 << 24, "lies below 2^24");
	close(mapping_fd);
	map.mask_bits = 33;
	check_errno(map_for(&map), -EINVAL, "a mapping wider than the device");
	map.mask_bits = 13;
	check_errno(map_for(&map), -ENOSPC, "a mapping of 13 bits, which has no room");
	close(fd);
}

/* 28 bits are 256 MiB, and soon used up. */
static void test_space(void)
{
	int buffer_fds[32], fds[32], mapping_fd = 0;
	unsigned int count = 0;

	while (count < ARRAY_LENGTH(fds)) {
		struct dmabroker_map map;

		buffer_fds[count] = alloc_good(16 * MIB, DMABROKER_KIND_COHERENT, 0, NULL);
		map_prepare(&map, buffer_fds[count], &edus[0], DMABROKER_DIR_BIDIRECTIONAL);
		mapping_fd = map_for(&map);
		if (mapping_fd < 0)
			break;
		fds[count++] = mapping_fd;
	}
	check_errno(mapping_fd, -ENOSPC, "the narrow device's addresses are used up by %u mappings",
		    count);
	check(count >= 8 && count < 16, "and not before");
	close(buffer_fds[count]);
	while (count) {
		close(fds[--count]);
		if (count)
			close(buffer_fds[count]);
	}
	close(map_good(buffer_fds[0], &edus[0], DMABROKER_DIR_BIDIRECTIONAL));
	check(true, "there is room again at once");
	close(buffer_fds[0]);
}

static void test_lists(void)
{
	struct dmabroker_mapping entries[2];
	struct dmabroker_list list = { .entries = (uintptr_t)entries,
				       .entry_size = sizeof(entries[0]),
				       .capacity = 2 };
	uint64_t ids[2], seen = 0, last = 0;
	int fds[2], maps[2][5];
	bool ascending = true, right = true;
	unsigned int i, j;

	for (i = 0; i < 2; i++)
		fds[i] = alloc_good(4096, DMABROKER_KIND_COHERENT, 0, &ids[i]);
	for (j = 0; j < 5; j++)
		for (i = 0; i < 2; i++)
			maps[i][j] = map_good(fds[i], &edus[1], DMABROKER_DIR_TO_DEVICE);

	list.of_id = ids[1];
	do {
		if (call(DMABROKER_IOC_MAPPING_LIST, &list))
			die("DMABROKER_IOC_MAPPING_LIST");
		for (i = 0; i < list.count; i++) {
			ascending &= entries[i].id > last;
			last = entries[i].id;
			right &= entries[i].buffer_id == ids[1] &&
				 entries[i].device_id == edus[1].id &&
				 entries[i].direction == DMABROKER_DIR_TO_DEVICE &&
				 entries[i].account == ACCOUNT && entries[i].size_bytes == 4096;
			seen++;
		}
	} while (list.cursor);
	check(seen == 5 && ascending && right, "a buffer's mappings, in pages of two");

	list.of_id = 0;
	seen = 0;
	do {
		if (call(DMABROKER_IOC_MAPPING_LIST, &list))
			die("DMABROKER_IOC_MAPPING_LIST");
		seen += list.count;
	} while (list.cursor);
	check(seen == 10, "all mappings, in pages of two");

	for (i = 0; i < 2; i++) {
		for (j = 0; j < 5; j++)
			close(maps[i][j]);
		close(fds[i]);
	}
}

void test_mapping(void)
{
	test_copies(DMABROKER_KIND_COHERENT, 0);
	test_copies(DMABROKER_KIND_WRITECOMBINE,
		    DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING);
	if (machine.iommu) {
		test_direction();
		test_narrow();
		test_space();
	}
	test_lists();
}
