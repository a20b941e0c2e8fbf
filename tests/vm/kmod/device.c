// SPDX-License-Identifier: MIT
/* Devices that come and go, and masks that cannot work. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod.h"

static uint32_t next_event(uint64_t *ret_id)
{
	struct dmabroker_event event;

	if (read(broker_fd, &event, sizeof(event)) != sizeof(event))
		return 0;
	*ret_id = event.id;
	return event.type;
}

static void drain_events(void)
{
	uint64_t id;

	while (next_event(&id))
		;
}

static void test_unbind(void)
{
	struct dmabroker_mapping_segment segment;
	struct dmabroker_mapping_segments segments = { .entries = (uintptr_t)&segment,
						       .capacity = 1 };
	struct dmabroker_mapping_sync sync = { .flags = DMABROKER_SYNC_FOR_CPU };
	struct dmabroker_mapping listed;
	struct dmabroker_list list = { .entries = (uintptr_t)&listed,
				       .entry_size = sizeof(listed),
				       .capacity = 1 };
	struct dmabroker_segments by_id = { .entries = (uintptr_t)&segment, .capacity = 1 };
	struct dmabroker_map maps[2];
	struct dmabroker_buffer buffer;
	uint32_t old_id = edus[0].id;
	uint64_t id, event_id;
	int fd = alloc_good(64 * KIB, DMABROKER_KIND_COHERENT, 0, &id);
	uint8_t *memory = map_memory(fd, 64 * KIB, PROT_READ | PROT_WRITE);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		map_prepare(&maps[i], fd, &edus[i], DMABROKER_DIR_BIDIRECTIONAL);
		if (map_for(&maps[i]) < 0)
			die("mapping");
	}
	drain_events();
	edu_unbind(&edus[0]);
	check(!edu_bus_master(&edus[0]), "unbind: bus mastering is off");
	check(next_event(&event_id) == DMABROKER_EVENT_MAPPING_ENDED &&
		      event_id == maps[0].mapping.id,
	      "unbind: the mapping's end is an event");
	check(next_event(&event_id) == DMABROKER_EVENT_DEVICE_REMOVED,
	      "unbind: the device's end is the next one");
	segments.total = 99;
	check_errno(call_fd(maps[0].fd, DMABROKER_MAPPING_IOC_SEGMENTS, &segments), -ENODEV,
		    "unbind: the fd has no segments any more");
	check(segments.total == 0, "unbind: and says 0");
	check_errno(call_fd(maps[0].fd, DMABROKER_MAPPING_IOC_SYNC, &sync), -ENODEV,
		    "unbind: and does not sync");
	by_id.mapping_id = maps[0].mapping.id;
	check_errno(call(DMABROKER_IOC_MAPPING_SEGMENTS, &by_id), -ENODEV,
		    "unbind: nor are there any by id");
	list.of_id = id;
	check(call(DMABROKER_IOC_MAPPING_LIST, &list) == 0 && list.count == 1 &&
		      listed.id == maps[0].mapping.id &&
		      (listed.flags & DMABROKER_MAP_DEVICE_GONE) && listed.nr_segments == 0,
	      "unbind: the list says that the device is gone");
	check_errno(map_for(&maps[0]), -ENODEV, "unbind: no new mapping for it");

	/* The other device is not concerned. */
	memory[5] = 5;
	edu_copy(&edus[1], maps[1].fd, 0, 4096, 4096);
	check(memory[4096 + 5] == 5, "unbind: the buffer and the other device work on");

	edu_bind(&edus[0]);
	check(edus[0].id > old_id, "bind: it comes back with another id");
	check_errno(call_fd(maps[0].fd, DMABROKER_MAPPING_IOC_SEGMENTS, &segments), -ENODEV,
		    "bind: the old mapping does not come back");
	drain_events();
	close(maps[0].fd);
	check(next_event(&event_id) == DMABROKER_EVENT_MAPPING_FREED &&
		      event_id == maps[0].mapping.id,
	      "the old mapping's close is an event");
	check(buffer_lives(id, &buffer) && buffer.nr_mappings == 1, "the buffer has the other one");
	close(maps[1].fd);
	munmap(memory, 64 * KIB);
	close(fd);
	check(buffer_goes(id), "gone");
}

/* A transfer that is under way when its device is unbound. */
static void test_unbind_in_transfer(void)
{
	int fd = alloc_good(4096, DMABROKER_KIND_COHERENT, 0, NULL);
	uint8_t *memory = map_memory(fd, 4096, PROT_READ | PROT_WRITE);
	int mapping_fd = map_good(fd, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);

	memset(memory, 0x66, 4096);
	edu_start(&edus[0], edu_address(mapping_fd, 0), 4000, false);
	edu_wait(&edus[0]);
	memset(memory, 0, 4096);
	edu_start(&edus[0], edu_address(mapping_fd, 0), 4000, true);
	edu_unbind(&edus[0]);
	sleep_ms(300);
	check(memory[0] == 0 && memory[3999] == 0, "unbind: stops a transfer under way");
	edu_bind(&edus[0]);
	close(mapping_fd);
	munmap(memory, 4096);
	close(fd);
}

static void test_mask(void)
{
	/* Behind an IOMMU a few bits are too few; without one, fewer than memory has. */
	struct dmabroker_device device;
	struct dmabroker_alloc alloc;
	struct dmabroker_map map;
	uint64_t event_id;
	int fd = alloc_good(4096, DMABROKER_KIND_COHERENT, 0, NULL);

	drain_events();
	check_errno(edu_attribute_write(&edus[0], "streaming_mask_bits", "4"), 0,
		    "a mask of 4 bits");
	check(next_event(&event_id) == DMABROKER_EVENT_DEVICE_CHANGED, "is an event");
	edu_device(&edus[0], &device);
	check(!(device.flags & DMABROKER_DEVICE_USABLE) && device.reason[0] &&
		      device.streaming_mask_bits == 4,
	      "leaves the device out: %s", device.reason);
	map_prepare(&map, fd, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);
	check_errno(map_for(&map), -EOPNOTSUPP, "nothing is mapped for it");
	alloc_prepare(&alloc, 4096, DMABROKER_KIND_COHERENT, 0);
	check_errno(alloc_for(&alloc, 1), -EOPNOTSUPP, "nothing is allocated for it");
	check_errno(edu_attribute_write(&edus[0], "streaming_mask_bits", "0"), -EINVAL, "0 bits");
	check_errno(edu_attribute_write(&edus[0], "streaming_mask_bits", "65"), -EINVAL, "65 bits");
	check_errno(edu_attribute_write(&edus[0], "streaming_mask_bits", "many"), -EINVAL,
		    "no number of bits");
	edu_unbind(&edus[0]);
	edu_bind(&edus[0]);
	edu_device(&edus[0], &device);
	check(device.flags & DMABROKER_DEVICE_USABLE, "a good mask brings it back");
	close(fd);
}

void test_device(void)
{
	test_unbind();
	test_unbind_in_transfer();
	test_mask();
}
