// SPDX-License-Identifier: MIT
/* Mappings that are refused, and what a mapping's fd refuses. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kmod.h"

static int buffer_fd;
static uint64_t buffer_id;

static struct dmabroker_map good(void)
{
	struct dmabroker_map map;

	map_prepare(&map, buffer_fd, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
	return map;
}

static void refused(struct dmabroker_map map, int expected, const char *what)
{
	int fd = map_for(&map);

	check_errno(fd, expected, "map: %s", what);
	if (fd >= 0)
		close(fd);
}

#define REFUSED(expected_, what_, ...)             \
	do {                                       \
		struct dmabroker_map map = good(); \
		__VA_ARGS__;                       \
		refused(map, expected_, what_);    \
	} while (0)

static void test_refusals(void)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	REFUSED(0, "by fd", );
	REFUSED(0, "by id", map.buffer_fd = -1; map.buffer_id = buffer_id);
	REFUSED(-EINVAL, "an unknown flag", map.flags = 1);
	REFUSED(-EINVAL, "an unknown map flag", map.map_flags = 2);
	REFUSED(-EINVAL, "both an fd and an id", map.buffer_id = buffer_id);
	REFUSED(-EINVAL, "fd -2", map.buffer_fd = -2);
	REFUSED(-EBADF, "a closed fd", map.buffer_fd = 999);
	REFUSED(-EBADF, "/dev/null", map.buffer_fd = null_fd);
	REFUSED(-ENOENT, "an unknown buffer", map.buffer_fd = -1; map.buffer_id = buffer_id + 1000);
	REFUSED(-ENODEV, "an unknown device", map.device_id = 12345);
	REFUSED(-EOPNOTSUPP, "for system", map.device_id = 1);
	REFUSED(-EINVAL, "direction none", map.direction = DMABROKER_DIR_NONE);
	REFUSED(-EINVAL, "direction 4", map.direction = 4);
	REFUSED(-EINVAL, "mask of 65 bits", map.mask_bits = 65);
	REFUSED(-EINVAL, "account 0", map.account = 0);
	REFUSED(-EINVAL, "an offset", map.offset_bytes = 4096);
	REFUSED(-EINVAL, "a size", map.size_bytes = 4096);
	REFUSED(-EINVAL, "an attribute of allocations", map.attributes = DMABROKER_ATTR_NO_WARN);
	REFUSED(-EINVAL, "an unknown attribute", map.attributes = 1ull << 40);
	REFUSED(0, "skip-cpu-sync", map.attributes = DMABROKER_ATTR_SKIP_CPU_SYNC);
	REFUSED(0, "weak-ordering", map.attributes = DMABROKER_ATTR_WEAK_ORDERING);
	REFUSED(-EACCES, "bidirectional for a read-only holder",
		map.map_flags = DMABROKER_MAP_READ_ONLY);
	REFUSED(-EACCES, "from-device for a read-only holder",
		map.map_flags = DMABROKER_MAP_READ_ONLY;
		map.direction = DMABROKER_DIR_FROM_DEVICE);
	REFUSED(0, "to-device for a read-only holder", map.map_flags = DMABROKER_MAP_READ_ONLY;
		map.direction = DMABROKER_DIR_TO_DEVICE);
	close(null_fd);
}

static void test_read_only_fd(void)
{
	int ro = open_good(buffer_id, true);

	REFUSED(-EACCES, "bidirectional through a read-only fd", map.buffer_fd = ro);
	REFUSED(-EACCES, "from-device through a read-only fd", map.buffer_fd = ro;
		map.direction = DMABROKER_DIR_FROM_DEVICE);
	REFUSED(0, "to-device through a read-only fd", map.buffer_fd = ro;
		map.direction = DMABROKER_DIR_TO_DEVICE);
	close(ro);
}

/* A mapping may narrow the buffer's direction, not widen it. */
static void test_direction_of_buffer(void)
{
	unsigned int buffer, direction;

	for (buffer = 0; buffer <= DMABROKER_DIR_NONE; buffer++) {
		struct dmabroker_alloc alloc;
		int fd;

		alloc_prepare(&alloc, 4096, DMABROKER_KIND_COHERENT, 0);
		alloc.direction = buffer;
		fd = alloc_for(&alloc, 2);
		check_errno(fd, 0, "a buffer of direction %u", buffer);
		for (direction = 0; direction < DMABROKER_DIR_NONE; direction++) {
			struct dmabroker_map map;
			bool fits = buffer == direction || buffer == DMABROKER_DIR_BIDIRECTIONAL;

			map_prepare(&map, fd, &edus[1], direction);
			check_errno(map_for(&map), fits ? 0 : -EACCES, "mapped in direction %u",
				    direction);
			if (fits)
				close(map.fd);
		}
		close(fd);
	}
}

static void test_fd(void)
{
	struct dmabroker_mapping_segment segment;
	struct dmabroker_mapping_segments segments = { .entries = (uintptr_t)&segment,
						       .capacity = 1 };
	struct dmabroker_mapping_sync sync = { .flags = DMABROKER_SYNC_FOR_CPU };
	struct dmabroker_map map = good();
	int fd = map_for(&map);
	char text[512] = "", path[64];
	int info;

	check(fcntl(fd, F_GETFD) == FD_CLOEXEC, "mapping: close-on-exec");
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SEGMENTS, &segments), 0, "mapping: segments");
	segments.capacity = 0;
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SEGMENTS, &segments), -EINVAL,
		    "mapping: segments, capacity 0");
	segments.capacity = 65537;
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SEGMENTS, &segments), -EINVAL,
		    "mapping: segments, capacity 65537");
	segments.capacity = 1;
	segments.flags = 1;
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SEGMENTS, &segments), -EINVAL,
		    "mapping: segments, unknown flag");
	segments.flags = 0;
	segments.entries = 8;
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SEGMENTS, &segments), -EFAULT,
		    "mapping: segments, bad pointer");

	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SYNC, &sync), 0, "mapping: sync for the CPU");
	sync.flags = DMABROKER_SYNC_FOR_DEVICE;
	sync.offset_bytes = 4096;
	sync.size_bytes = 4096;
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SYNC, &sync), 0,
		    "mapping: sync of the second page for the device");
	sync.size_bytes = 4097;
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SYNC, &sync), -EINVAL,
		    "mapping: sync past the end");
	sync.offset_bytes = UINT64_MAX;
	sync.size_bytes = 2;
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SYNC, &sync), -EINVAL,
		    "mapping: sync around the end of numbers");
	sync.offset_bytes = 0;
	sync.size_bytes = 0;
	sync.flags = 3;
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SYNC, &sync), -EINVAL,
		    "mapping: sync in both directions");
	sync.flags = 0;
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SYNC, &sync), -EINVAL,
		    "mapping: sync in no direction");
	sync.flags = 1;
	sync.size = 4;
	check_errno(call_fd(fd, DMABROKER_MAPPING_IOC_SYNC, &sync), -EINVAL,
		    "mapping: sync of a struct too small");

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	check(info >= 0 && read(info, text, sizeof(text) - 1) > 0 && strstr(text, edus[1].address),
	      "mapping: fdinfo names the device");
	close(info);
	close(fd);
}

/* -EPERM and -EBUSY between accounts: edu has no reset. */
static void test_accounts(void)
{
	struct dmabroker_device device;
	int fd;

	edu_device(&edus[1], &device);
	check(device.account == ACCOUNT, "the device belongs to the account that used it");
	REFUSED(-EPERM, "another account, and edu cannot be reset", map.account = ACCOUNT + 1);
	fd = map_good(buffer_fd, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
	REFUSED(-EBUSY, "another account while it is mapped", map.account = ACCOUNT + 1);
	check_errno(edu_attribute_write(&edus[1], "account", "0"), -EBUSY,
		    "the device is not released while it is mapped");
	check_errno(edu_attribute_write(&edus[1], "streaming_mask_bits", "30"), -EBUSY,
		    "its mask cannot be set while it is mapped");
	check_errno(edu_attribute_write(&edus[1], "coherent_mask_bits", "30"), -EBUSY,
		    "nor can the other one");
	close(fd);
	check_errno(edu_attribute_write(&edus[1], "account", "7"), -EINVAL,
		    "it can be given to nobody by name");
	check_errno(edu_attribute_write(&edus[1], "account", "0"), 0, "it can be released");
	REFUSED(0, "another account after that", map.account = ACCOUNT + 1);
	REFUSED(-EPERM, "and now the first one is the other", );
	edu_attribute_write(&edus[1], "account", "0");
}

void test_mapping_errors(void)
{
	buffer_fd = alloc_good(8192, DMABROKER_KIND_COHERENT, 0, &buffer_id);
	test_refusals();
	test_read_only_fd();
	test_direction_of_buffer();
	test_fd();
	test_accounts();
	close(buffer_fd);
	check(buffer_goes(buffer_id), "gone");
}
