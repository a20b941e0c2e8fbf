// SPDX-License-Identifier: MIT
/* What all topics need: buffers, mappings, small files. */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kmod.h"

int call_fd(int fd, unsigned long request, void *argument)
{
	uint32_t *size = argument;

	if (*size == 0)
		*size = _IOC_SIZE(request);
	return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

int call(unsigned long request, void *argument)
{
	return call_fd(broker_fd, request, argument);
}

void alloc_prepare(struct dmabroker_alloc *alloc, uint64_t size_bytes, unsigned int kind,
		   uint64_t attributes)
{
	memset(alloc, 0, sizeof(*alloc));
	alloc->size = sizeof(*alloc);
	alloc->size_bytes = size_bytes;
	alloc->kind = kind;
	alloc->attributes = attributes;
	memcpy(alloc->cookie, "a cookie", 8);
}

int alloc_for(struct dmabroker_alloc *alloc, unsigned int nr_devices)
{
	uint32_t ids[2] = { edus[0].id, edus[1].id };
	int err;

	alloc->devices = (uintptr_t)ids;
	alloc->nr_devices = nr_devices;
	err = call(DMABROKER_IOC_ALLOC, alloc);
	return err ? err : alloc->fd;
}

int alloc_good(uint64_t size_bytes, unsigned int kind, uint64_t attributes, uint64_t *ret_id)
{
	struct dmabroker_alloc alloc;
	int fd;

	alloc_prepare(&alloc, size_bytes, kind, attributes);
	fd = alloc_for(&alloc, 2);
	if (fd < 0) {
		errno = -fd;
		die("allocating %llu bytes of kind %u", (unsigned long long)size_bytes, kind);
	}
	if (ret_id)
		*ret_id = alloc.buffer.id;
	return fd;
}

int open_good(uint64_t id, bool read_only)
{
	struct dmabroker_buffer_open open = { .id = id,
					      .flags = read_only ? DMABROKER_OPEN_READ_ONLY : 0 };
	int err = call(DMABROKER_IOC_BUFFER_OPEN, &open);

	if (err) {
		errno = -err;
		die("opening buffer %llu", (unsigned long long)id);
	}
	return open.fd;
}

void *map_memory(int fd, size_t size_bytes, int prot)
{
	void *memory = mmap(NULL, size_bytes, prot, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		die("mmap of %zu bytes", size_bytes);
	return memory;
}

bool buffer_lives(uint64_t id, struct dmabroker_buffer *ret)
{
	struct dmabroker_buffer_query query = { .fd = -1, .id = id };
	int err = call(DMABROKER_IOC_BUFFER_QUERY, &query);

	if (err && err != -ENOENT) {
		errno = -err;
		die("asking for buffer %llu", (unsigned long long)id);
	}
	if (!err && ret)
		*ret = query.buffer;
	return !err;
}

bool buffer_goes(uint64_t id)
{
	int i;

	for (i = 0; i < 100; i++) {
		if (!buffer_lives(id, NULL))
			return true;
		sleep_ms(10);
	}
	return false;
}

uint64_t count_buffers(void)
{
	struct dmabroker_info info = {};

	if (call(DMABROKER_IOC_INFO, &info))
		die("DMABROKER_IOC_INFO");
	return info.nr_buffers;
}

void map_prepare(struct dmabroker_map *map, int buffer_fd, const struct edu *edu,
		 unsigned int direction)
{
	memset(map, 0, sizeof(*map));
	map->size = sizeof(*map);
	map->buffer_fd = buffer_fd;
	map->device_id = edu->id;
	map->direction = direction;
	map->account = ACCOUNT;
}

int map_for(struct dmabroker_map *map)
{
	int err = call(DMABROKER_IOC_MAP, map);

	return err ? err : map->fd;
}

int map_good(int buffer_fd, const struct edu *edu, unsigned int direction)
{
	struct dmabroker_map map;
	int fd;

	map_prepare(&map, buffer_fd, edu, direction);
	fd = map_for(&map);
	if (fd < 0) {
		errno = -fd;
		die("mapping for %s", edu->address);
	}
	return fd;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

void sleep_ms(unsigned int ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

uint64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}
