// SPDX-License-Identifier: MIT
/*
 * The helper's lists, read by root from /dev/dmabroker: what there really is, whatever the daemon
 * believes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/dmabroker.h>

#include "e2e.h"

#define ENTRIES 512

/* Calls @each for every entry of a list. */
static void walk(unsigned long request, uint64_t of_id, size_t entry_size,
		 void (*each)(const void *entry, void *userdata), void *userdata)
{
	struct dmabroker_list list = { .size = sizeof(list),
				       .entry_size = (uint32_t)entry_size,
				       .capacity = ENTRIES,
				       .of_id = of_id };
	char *entries = calloc(ENTRIES, entry_size);
	int fd = open("/dev/dmabroker", O_RDWR | O_CLOEXEC);

	if (!entries || fd < 0)
		die("/dev/dmabroker: %s", strerror(errno));
	list.entries = (uintptr_t)entries;
	do {
		if (ioctl(fd, request, &list))
			die("a list of the helper: %s", strerror(errno));
		for (uint32_t i = 0; i < list.count; i++)
			each(entries + i * entry_size, userdata);
	} while (list.cursor);
	close(fd);
	free(entries);
}

struct search {
	uint64_t id;
	unsigned int count;
};

static void find_buffer(const void *entry, void *userdata)
{
	const struct dmabroker_buffer *buffer = entry;
	struct search *search = userdata;

	if (search->id == 0 || buffer->id == search->id)
		search->count++;
}

/* One that ended with its device is a file only. */
static void find_mapping(const void *entry, void *userdata)
{
	const struct dmabroker_mapping *mapping = entry;
	struct search *search = userdata;

	if (!(mapping->flags & DMABROKER_MAP_DEVICE_GONE))
		search->count++;
}

bool helper_has_buffer(uint64_t id)
{
	struct search search = { .id = id };

	walk(DMABROKER_IOC_BUFFER_LIST, 0, sizeof(struct dmabroker_buffer), find_buffer, &search);
	return search.count == 1;
}

unsigned int helper_count_buffers(void)
{
	struct search search = {};

	walk(DMABROKER_IOC_BUFFER_LIST, 0, sizeof(struct dmabroker_buffer), find_buffer, &search);
	return search.count;
}

unsigned int helper_count_mappings(uint64_t buffer_id)
{
	struct search search = {};

	walk(DMABROKER_IOC_MAPPING_LIST, buffer_id, sizeof(struct dmabroker_mapping), find_mapping,
	     &search);
	return search.count;
}

unsigned int helper_count_all_mappings(void)
{
	return helper_count_mappings(0);
}
