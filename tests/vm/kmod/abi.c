// SPDX-License-Identifier: MIT
/* The rules that hold for every ioctl: sizes, unknown tails, reserved fields, bad pointers. */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod.h"

#define ROW(ioctl_, struct_, needed_)                                                \
	{                                                                            \
		.name = #ioctl_, .request = ioctl_, .known = sizeof(struct struct_), \
		.needed = offsetof(struct struct_, needed_) +                        \
			  sizeof(((struct struct_ *)0)->needed_),                    \
	}

static const struct {
	const char *name;
	unsigned long request;
	size_t known;
	size_t needed; /* up to the last field that the op cannot do without */
} rows[] = {
	ROW(DMABROKER_IOC_INFO, dmabroker_info, flags),
	ROW(DMABROKER_IOC_DEVICE_LIST, dmabroker_list, count),
	ROW(DMABROKER_IOC_BUFFER_LIST, dmabroker_list, count),
	ROW(DMABROKER_IOC_MAPPING_LIST, dmabroker_list, count),
	ROW(DMABROKER_IOC_ALLOC, dmabroker_alloc, fd),
	ROW(DMABROKER_IOC_BUFFER_OPEN, dmabroker_buffer_open, fd),
	ROW(DMABROKER_IOC_BUFFER_QUERY, dmabroker_buffer_query, id),
	ROW(DMABROKER_IOC_BUFFER_SET_COOKIE, dmabroker_buffer_set_cookie, cookie),
	ROW(DMABROKER_IOC_MAP, dmabroker_map, fd),
	ROW(DMABROKER_IOC_MAPPING_SEGMENTS, dmabroker_segments, total),
};

static uint64_t the_id; /* of a live buffer */
static uint64_t the_mapping;
static struct dmabroker_mapping_segment segments[4];
static uint8_t entries[4 * 1024];

/* A request that succeeds, in zeroed memory of @size bytes. */
static void fill(unsigned long request, void *memory, size_t size)
{
	struct dmabroker_list *list = memory;

	memset(memory, 0, size);
	switch (_IOC_NR(request)) {
	case _IOC_NR(DMABROKER_IOC_DEVICE_LIST):
	case _IOC_NR(DMABROKER_IOC_BUFFER_LIST):
	case _IOC_NR(DMABROKER_IOC_MAPPING_LIST):
		list->entries = (uintptr_t)entries;
		list->entry_size = 1024;
		list->capacity = 4;
		break;
	case _IOC_NR(DMABROKER_IOC_ALLOC): {
		struct dmabroker_alloc *alloc = memory;

		alloc->size_bytes = 4096;
		alloc->kind = DMABROKER_KIND_COHERENT;
		break;
	}
	case _IOC_NR(DMABROKER_IOC_BUFFER_OPEN):
		((struct dmabroker_buffer_open *)memory)->id = the_id;
		break;
	case _IOC_NR(DMABROKER_IOC_BUFFER_QUERY):
		((struct dmabroker_buffer_query *)memory)->fd = -1;
		((struct dmabroker_buffer_query *)memory)->id = the_id;
		break;
	case _IOC_NR(DMABROKER_IOC_BUFFER_SET_COOKIE):
		((struct dmabroker_buffer_set_cookie *)memory)->id = the_id;
		break;
	case _IOC_NR(DMABROKER_IOC_MAP): {
		struct dmabroker_map *map = memory;

		map->buffer_fd = -1;
		map->buffer_id = the_id;
		map->device_id = edus[1].id;
		map->account = ACCOUNT;
		break;
	}
	case _IOC_NR(DMABROKER_IOC_MAPPING_SEGMENTS): {
		struct dmabroker_segments *s = memory;

		s->mapping_id = the_mapping;
		s->entries = (uintptr_t)segments;
		s->capacity = ARRAY_LENGTH(segments);
		break;
	}
	}
}

/* The call as it is, and the fd it gave closed again. */
static int attempt(unsigned long request, void *memory, uint32_t size)
{
	int fd = -1;

	*(uint32_t *)memory = size;
	if (ioctl(broker_fd, request, memory) < 0)
		return -errno;
	if (_IOC_NR(request) == _IOC_NR(DMABROKER_IOC_ALLOC))
		fd = ((struct dmabroker_alloc *)memory)->fd;
	else if (_IOC_NR(request) == _IOC_NR(DMABROKER_IOC_BUFFER_OPEN))
		fd = ((struct dmabroker_buffer_open *)memory)->fd;
	else if (_IOC_NR(request) == _IOC_NR(DMABROKER_IOC_MAP))
		fd = ((struct dmabroker_map *)memory)->fd;
	if (fd >= 0)
		close(fd);
	return 0;
}

static void test_sizes(size_t row)
{
	unsigned long request = rows[row].request;
	const char *name = rows[row].name;
	static uint8_t memory[8192] __attribute__((aligned(16)));
	size_t known = rows[row].known, needed = rows[row].needed;
	uint8_t *pages, *end;

	fill(request, memory, sizeof(memory));
	check_errno(attempt(request, memory, 0), -EINVAL, "%s: size 0", name);
	check_errno(attempt(request, memory, (uint32_t)needed - 1), -EINVAL,
		    "%s: a byte less than it needs", name);
	fill(request, memory, sizeof(memory));
	memset(memory + needed, 0xee, 64);
	check_errno(attempt(request, memory, (uint32_t)needed), 0,
		    "%s: the least that it needs, garbage behind", name);
	check(memory[needed] == 0xee && memory[needed + 63] == 0xee,
	      "%s: nothing is written behind the caller's size", name);

	fill(request, memory, sizeof(memory));
	check_errno(attempt(request, memory, (uint32_t)known + 64), 0,
		    "%s: a bigger struct with a zero tail", name);
	fill(request, memory, sizeof(memory));
	memory[known + 63] = 1;
	check_errno(attempt(request, memory, (uint32_t)known + 64), -E2BIG,
		    "%s: a bigger struct with something in its tail", name);
	fill(request, memory, sizeof(memory));
	check_errno(attempt(request, memory, 4097), -E2BIG, "%s: more than a page", name);

	/* The size in the number does not count. */
	fill(request, memory, sizeof(memory));
	check_errno(attempt(request & ~((unsigned long)_IOC_SIZEMASK << _IOC_SIZESHIFT), memory,
			    (uint32_t)known),
		    0, "%s: another size in the ioctl's number", name);

	pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || munmap(pages + 4096, 4096))
		die("mmap");
	end = pages + 4096 - known;
	fill(request, end, known);
	check_errno(attempt(request, end, (uint32_t)known), 0, "%s: at the end of a page", name);
	fill(request, end, known);
	memmove(pages + 4096 - known + 8, end, known - 8);
	check_errno(attempt(request, pages + 4096 - known + 8, (uint32_t)known), -EFAULT,
		    "%s: across the end of memory", name);
	check_errno(ioctl(broker_fd, request, pages + 4096) < 0 ? -errno : 0, -EFAULT,
		    "%s: beyond the end of memory", name);
	munmap(pages, 4096);
}

/* A struct that cannot be written back must leave nothing behind. */
static void test_read_only_reply(size_t row)
{
	uint64_t before = count_buffers();
	uint8_t *page =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd, fd_after;

	if (page == MAP_FAILED)
		die("mmap");
	fill(rows[row].request, page, 4096);
	*(uint32_t *)page = (uint32_t)rows[row].known;
	mprotect(page, 4096, PROT_READ);
	fd = dup(broker_fd);
	close(fd);
	check_errno(ioctl(broker_fd, rows[row].request, page) < 0 ? -errno : 0, -EFAULT,
		    "%s: reply into read-only memory", rows[row].name);
	fd_after = dup(broker_fd);
	close(fd_after);
	check(fd == fd_after && count_buffers() == before, "%s: and nothing was left behind",
	      rows[row].name);
	munmap(page, 4096);
}

static void test_reserved(void)
{
	struct dmabroker_info info = { .flags = 1 };
	struct dmabroker_list list;
	struct dmabroker_buffer_open open = { .id = the_id, .flags = 2 };
	struct dmabroker_buffer_query query = { .fd = -1, .id = the_id, .reserved = 1 };
	struct dmabroker_buffer_set_cookie cookie = { .id = the_id, .flags = 1 };
	struct dmabroker_segments of_mapping = {
		.mapping_id = the_mapping, .flags = 1, .capacity = 1, .entries = (uintptr_t)segments
	};

	check_errno(call(DMABROKER_IOC_INFO, &info), -EINVAL, "info: unknown flag");
	check_errno(call(DMABROKER_IOC_BUFFER_OPEN, &open), -EINVAL, "open: unknown flag");
	open.flags = 0;
	open.reserved = 1;
	check_errno(call(DMABROKER_IOC_BUFFER_OPEN, &open), -EINVAL, "open: reserved field");
	check_errno(call(DMABROKER_IOC_BUFFER_QUERY, &query), -EINVAL, "query: reserved field");
	check_errno(call(DMABROKER_IOC_BUFFER_SET_COOKIE, &cookie), -EINVAL,
		    "cookie: unknown flag");
	check_errno(call(DMABROKER_IOC_MAPPING_SEGMENTS, &of_mapping), -EINVAL,
		    "segments: unknown flag");
	of_mapping.flags = 0;
	of_mapping.capacity = 0;
	check_errno(call(DMABROKER_IOC_MAPPING_SEGMENTS, &of_mapping), -EINVAL,
		    "segments: capacity 0");
	of_mapping.capacity = 65537;
	check_errno(call(DMABROKER_IOC_MAPPING_SEGMENTS, &of_mapping), -EINVAL,
		    "segments: capacity 65537");

	fill(DMABROKER_IOC_BUFFER_LIST, &list, sizeof(list));
	list.capacity = 0;
	check_errno(call(DMABROKER_IOC_BUFFER_LIST, &list), -EINVAL, "list: capacity 0");
	list.capacity = 4097;
	check_errno(call(DMABROKER_IOC_BUFFER_LIST, &list), -EINVAL, "list: capacity 4097");
	list.capacity = 4;
	list.entry_size = 7;
	check_errno(call(DMABROKER_IOC_BUFFER_LIST, &list), -EINVAL, "list: entries of 7 bytes");
	list.entry_size = 1024;
	list.reserved = 1;
	check_errno(call(DMABROKER_IOC_BUFFER_LIST, &list), -EINVAL, "list: reserved field");
	list.reserved = 0;
	list.of_id = the_id;
	check_errno(call(DMABROKER_IOC_BUFFER_LIST, &list), -EINVAL,
		    "list of buffers of something");
	list.of_id = 0;
	list.entries = 8;
	check_errno(call(DMABROKER_IOC_BUFFER_LIST, &list), -EFAULT, "list: bad pointer");
	list.entries = (uintptr_t)entries;
	list.cursor = UINT64_MAX;
	check_errno(call(DMABROKER_IOC_BUFFER_LIST, &list), 0, "list: the biggest cursor");
	check(list.count == 0 && list.cursor == 0, "list: there is nothing behind it");
}

static void test_query(int fd)
{
	struct dmabroker_buffer_query query = { .fd = fd, .id = 12345 };
	int other = open("/dev/null", O_RDWR | O_CLOEXEC);

	check_errno(call(DMABROKER_IOC_BUFFER_QUERY, &query), 0, "query by fd");
	check(query.buffer.id == the_id && query.flags == 0 && query.buffer.size_bytes == 4096 &&
		      memcmp(query.buffer.cookie, "a cookie", 8) == 0,
	      "query by fd tells the buffer");
	query.fd = other;
	check_errno(call(DMABROKER_IOC_BUFFER_QUERY, &query), -EBADF, "query of /dev/null");
	query.fd = broker_fd;
	check_errno(call(DMABROKER_IOC_BUFFER_QUERY, &query), -EBADF,
		    "query of the broker's own fd");
	query.fd = 999;
	check_errno(call(DMABROKER_IOC_BUFFER_QUERY, &query), -EBADF, "query of a closed fd");
	query.fd = -2;
	check_errno(call(DMABROKER_IOC_BUFFER_QUERY, &query), -EINVAL, "query of fd -2");
	query.fd = -1;
	query.id = the_id + 1000;
	check_errno(call(DMABROKER_IOC_BUFFER_QUERY, &query), -ENOENT, "query of an unknown id");
	query.id = UINT64_MAX;
	check_errno(call(DMABROKER_IOC_BUFFER_QUERY, &query), -ENOENT, "query of the biggest id");
	close(other);
}

void test_abi(void)
{
	struct dmabroker_buffer_set_cookie cookie = {};
	struct dmabroker_buffer_open open = {};
	struct dmabroker_buffer buffer;
	struct dmabroker_map map;
	int fd = alloc_good(4096, DMABROKER_KIND_COHERENT, 0, &the_id);
	int mapping_fd;
	size_t i;

	map_prepare(&map, fd, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
	mapping_fd = map_for(&map);
	if (mapping_fd < 0)
		die("mapping");
	the_mapping = map.mapping.id;

	test_query(fd);
	for (i = 0; i < ARRAY_LENGTH(rows); i++) {
		test_sizes(i);
		test_read_only_reply(i);
	}
	test_reserved();

	check_errno(ioctl(broker_fd, _IOWR(DMABROKER_IOC_MAGIC, 0x7f, struct dmabroker_info),
			  &open) < 0
			    ? -errno
			    : 0,
		    -ENOTTY, "an unknown ioctl");
	check_errno(ioctl(broker_fd, _IO(DMABROKER_IOC_MAGIC, 0), &open) < 0 ? -errno : 0, -ENOTTY,
		    "a known number without direction");
	check_errno(ioctl(mapping_fd, DMABROKER_IOC_INFO, &open) < 0 ? -errno : 0, -ENOTTY,
		    "an ioctl of the node on a mapping");

	cookie.id = the_id;
	memset(cookie.cookie, 0x5a, sizeof(cookie.cookie));
	check_errno(call(DMABROKER_IOC_BUFFER_SET_COOKIE, &cookie), 0, "another cookie");
	check(buffer_lives(the_id, &buffer) &&
		      memcmp(buffer.cookie, cookie.cookie, sizeof(cookie.cookie)) == 0,
	      "the cookie is kept, all of it");
	cookie.id = the_id + 1000;
	check_errno(call(DMABROKER_IOC_BUFFER_SET_COOKIE, &cookie), -ENOENT, "cookie of no buffer");
	open.id = the_id + 1000;
	check_errno(call(DMABROKER_IOC_BUFFER_OPEN, &open), -ENOENT, "opening no buffer");

	close(mapping_fd);
	close(fd);
	check(buffer_goes(the_id), "the buffer is gone after the last close");
}

void test_abi_devices(void)
{
	struct dmabroker_device device, devices[4];
	struct dmabroker_list list = { .entries = (uintptr_t)devices,
				       .capacity = 1,
				       .entry_size = sizeof(device) };
	unsigned int expected = DMABROKER_DEVICE_USABLE |
				(machine.iommu ? DMABROKER_DEVICE_IOMMU : 0) |
				(machine.coherent ? DMABROKER_DEVICE_COHERENT : 0);
	unsigned int i, pages = 0;

	for (i = 0; i < 2; i++) {
		edu_attribute_write(&edus[i], "account", "0");
		edu_device(&edus[i], &device);
		check(device.flags == expected, "edu %u: flags are 0x%x (0x%x)", i, expected,
		      device.flags);
		check(device.streaming_mask_bits == machine.bits[i] &&
			      device.coherent_mask_bits == machine.bits[i],
		      "edu %u: masks are %u bits", i, machine.bits[i]);
		check(device.max_segment_bytes == UINT32_MAX, "edu %u: segments of any length", i);
		check(device.account == 0 && device.nr_mappings == 0 && !edu_bus_master(&edus[i]),
		      "edu %u: belongs to nobody, and its bus mastering is off", i);
	}

	/* One at a time, and the first one is "system". */
	do {
		if (call(DMABROKER_IOC_DEVICE_LIST, &list))
			die("DMABROKER_IOC_DEVICE_LIST");
		if (pages == 0)
			check(list.count == 1 && devices[0].id == 1 &&
				      strcmp(devices[0].name, "system") == 0 &&
				      (devices[0].flags & DMABROKER_DEVICE_SYSTEM),
			      "the first device is system");
		pages += list.count;
	} while (list.cursor);
	check(pages == 3, "three devices, one page each");

	/* Shorter and longer entries. */
	memset(devices, 0xff, sizeof(devices));
	list.size = 0;
	list.capacity = 1;
	list.entry_size = 8;
	check(call(DMABROKER_IOC_DEVICE_LIST, &list) == 0 && devices[0].id == 1 &&
		      devices[0].streaming_mask_bits == UINT32_MAX,
	      "entries of 8 bytes get the first 8");
	memset(devices, 0xff, sizeof(devices));
	list.cursor = 0;
	list.entry_size = 2 * sizeof(devices[0]);
	check(call(DMABROKER_IOC_DEVICE_LIST, &list) == 0 && devices[0].id == 1 &&
		      devices[1].id == 0 && devices[1].reason[DMABROKER_REASON_SIZE - 1] == 0 &&
		      devices[2].id == UINT32_MAX,
	      "longer entries are filled up with zeroes");
}
