// SPDX-License-Identifier: MIT
/*
 * The kmod backend: buffers, mappings and devices of the kernel module, through /dev/dmabroker.
 *
 * This is the only file of the broker that knows the module's ABI. It keeps no list of anything:
 * what is alive, the module is asked, and what ended, its event stream tells. So there is nothing
 * here that could disagree with the kernel, and nothing to restore after a restart. Buffers and
 * mappings are fds from the start; none is kept here.
 *
 * An ioctl's errno becomes a refusal in kmod_explain.c. What the two ends call by the same number
 * is asserted to be the same number below; flags that differ are translated.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/dmabroker.h>

#include "daemon/backend/backend.h"
#include "daemon/backend/failure.h"
#include "daemon/backend/kmod_explain.h"
#include "proto/cleanup.h"

#define NODE	     "/dev/dmabroker"
#define EVENTS_BATCH 128
#define EVENT_READS  1024 /* in one dispatch: more than the module keeps */

#define SAME(wire, uapi) \
	_Static_assert((uint64_t)(wire) == (uint64_t)(uapi), #wire " and " #uapi " differ")

SAME(WIRE_KIND_COHERENT, DMABROKER_KIND_COHERENT);
SAME(WIRE_KIND_WRITECOMBINE, DMABROKER_KIND_WRITECOMBINE);
SAME(WIRE_KIND_NONCOHERENT, DMABROKER_KIND_NONCOHERENT);
SAME(WIRE_KIND_IMPORTED, DMABROKER_KIND_IMPORTED);
SAME(WIRE_DIR_BIDIRECTIONAL, DMABROKER_DIR_BIDIRECTIONAL);
SAME(WIRE_DIR_TO_DEVICE, DMABROKER_DIR_TO_DEVICE);
SAME(WIRE_DIR_FROM_DEVICE, DMABROKER_DIR_FROM_DEVICE);
SAME(WIRE_DIR_NONE, DMABROKER_DIR_NONE);
#define X(name, bit, text) SAME(WIRE_ATTR_##name, DMABROKER_ATTR_##name);
WIRE_ATTRIBUTES(X)
#undef X
SAME(WIRE_SYNC_FOR_CPU, DMABROKER_SYNC_FOR_CPU);
SAME(WIRE_SYNC_FOR_DEVICE, DMABROKER_SYNC_FOR_DEVICE);
SAME(WIRE_DEVICES_MAX, DMABROKER_MAX_DEVICES);
SAME(WIRE_DEVICE_NAME_SIZE, DMABROKER_DEVICE_NAME_SIZE);
SAME(WIRE_SENTENCE_SIZE, DMABROKER_REASON_SIZE);
SAME(BACKEND_COOKIE_SIZE, DMABROKER_COOKIE_SIZE);
SAME(WIRE_REGION_SIZE, sizeof(((struct dmabroker_buffer *)0)->region));
SAME(sizeof(struct wire_segment), sizeof(struct dmabroker_mapping_segment));
SAME(offsetof(struct wire_segment, dma_address),
     offsetof(struct dmabroker_mapping_segment, dma_address));
SAME(offsetof(struct wire_segment, length_bytes),
     offsetof(struct dmabroker_mapping_segment, length_bytes));

struct kmod {
	struct backend backend;
	int fd;
	uint64_t page_bytes;
};

static int node_fd(struct backend *backend)
{
	return ((struct kmod *)backend)->fd;
}

static int node_ioctl(int fd, unsigned long request, void *argument)
{
	int r;

	do
		r = ioctl(fd, request, argument);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

__attribute__((format(printf, 2, 3))) static void say(char *reason, const char *format, ...)
{
	va_list args;

	if (!reason)
		return;
	va_start(args, format);
	vsnprintf(reason, 256, format, args);
	va_end(args);
}

static void say_open_failed(int error, char *reason)
{
	if (error == ENOENT || error == ENXIO || error == ENODEV)
		say(reason, "no " NODE ": load the module with 'modprobe dmabroker'");
	else if (error == EACCES || error == EPERM)
		say(reason,
		    NODE " is there and uid %u may not open it: the udev rule gives it to user "
			 "dmabroker, and the service unit must allow the device",
		    (unsigned int)geteuid());
	else
		say(reason, NODE " cannot be opened: %s", strerror(error));
}

/* Open the node and see whether it speaks our version. @reason is NULL or 256 bytes. */
static int node_open(int *ret_fd, uint64_t *ret_page_bytes, char *reason)
{
	struct dmabroker_info info = { .size = sizeof(info) };
	_cleanup_fd_ int fd = open(NODE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0) {
		r = -errno;
		say_open_failed(-r, reason);
		return r;
	}
	r = node_ioctl(fd, DMABROKER_IOC_INFO, &info);
	if (r < 0) {
		say(reason, NODE " is not what it should be: %s", strerror(-r));
		return r;
	}
	if (info.abi_version != DMABROKER_ABI_VERSION) {
		say(reason,
		    "the loaded module has ABI version %u and this broker needs %d: update one of "
		    "them and reload the module",
		    info.abi_version, DMABROKER_ABI_VERSION);
		return -EPROTONOSUPPORT;
	}
	*ret_fd = TAKE_FD(fd);
	*ret_page_bytes = info.page_size;
	return 0;
}

static int kmod_probe(char ret_reason[static 256])
{
	uint64_t page_bytes;
	int fd = -1, r;

	r = node_open(&fd, &page_bytes, ret_reason);
	if (r == 0)
		fd_close(fd);
	return r;
}

static int kmod_open(struct backend **ret, const struct backend_config *config,
		     const struct backend_sink *sink, void *userdata)
{
	_cleanup_buf_ struct kmod *kmod = calloc(1, sizeof(*kmod));
	int r;

	if (!kmod)
		return -ENOMEM;
	kmod->backend = (struct backend){
		.ops = &backend_kmod_ops,
		.sink = sink,
		.userdata = userdata,
	};
	r = node_open(&kmod->fd, &kmod->page_bytes, config ? config->ret_error : NULL);
	if (r < 0)
		return r;
	*ret = &TAKE_PTR(kmod)->backend;
	return 0;
}

static void kmod_close(struct backend *backend)
{
	fd_close(node_fd(backend));
	free(backend);
}

static void event_tell(struct backend *backend, const struct dmabroker_event *event)
{
	const struct backend_sink *sink = backend->sink;
	void *userdata = backend->userdata;

	if (event->type == DMABROKER_EVENT_BUFFER_FREED && sink->buffer_freed)
		sink->buffer_freed(userdata, event->id);
	else if (event->type == DMABROKER_EVENT_MAPPING_FREED && sink->mapping_freed)
		sink->mapping_freed(userdata, event->id);
	else if (event->type == DMABROKER_EVENT_MAPPING_ENDED && sink->mapping_ended)
		sink->mapping_ended(userdata, event->id);
	else if (event->type == DMABROKER_EVENT_DEVICE_REMOVED && sink->device_removed)
		sink->device_removed(userdata, event->device_id);
	else if ((event->type == DMABROKER_EVENT_DEVICE_ADDED ||
		  event->type == DMABROKER_EVENT_DEVICE_CHANGED) &&
		 sink->device_changed)
		sink->device_changed(userdata, event->device_id);
}

static int kmod_dispatch(struct backend *backend)
{
	struct dmabroker_event events[EVENTS_BATCH];
	unsigned int round;
	size_t i, count;
	ssize_t n;

	for (round = 0; round < EVENT_READS; round++) {
		n = read(node_fd(backend), events, sizeof(events));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EOVERFLOW) {
			if (backend->sink && backend->sink->resync)
				backend->sink->resync(backend->userdata);
			continue;
		}
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		count = (size_t)n / sizeof(events[0]);
		for (i = 0; backend->sink && i < count; i++)
			event_tell(backend, &events[i]);
		if (count < EVENTS_BATCH)
			return 0;
	}
	return 0;
}

/* The entry with the lowest id above @after_id, of everything or of one buffer. */
static int list_next(struct backend *backend, unsigned long request, uint64_t of_id,
		     uint64_t after_id, void *entry, size_t entry_bytes)
{
	struct dmabroker_list list = {
		.size = sizeof(list),
		.cursor = after_id,
		.entries = (uintptr_t)entry,
		.entry_size = (uint32_t)entry_bytes,
		.capacity = 1,
		.of_id = of_id,
	};
	int r = node_ioctl(node_fd(backend), request, &list);

	if (r < 0)
		return r;
	return list.count ? 0 : -ENOENT;
}

static void device_translate(const struct dmabroker_device *device, struct backend_device *ret)
{
	*ret = (struct backend_device){
		.id = device->id,
		.streaming_mask_bits = device->streaming_mask_bits,
		.coherent_mask_bits = device->coherent_mask_bits,
		.max_segment_bytes = device->max_segment_bytes,
	};
	if (device->flags & DMABROKER_DEVICE_COHERENT)
		ret->flags |= WIRE_DEVICE_COHERENT;
	if (device->flags & DMABROKER_DEVICE_IOMMU)
		ret->flags |= WIRE_DEVICE_IOMMU;
	if (device->flags & DMABROKER_DEVICE_USABLE)
		ret->flags |= WIRE_DEVICE_USABLE;
	if (device->flags & DMABROKER_DEVICE_SYSTEM)
		ret->flags |= WIRE_DEVICE_SYSTEM;
	if (device->flags & DMABROKER_DEVICE_SHARED)
		ret->flags |= WIRE_DEVICE_SHARED;
	snprintf(ret->bus, sizeof(ret->bus), "%.*s", (int)sizeof(ret->bus) - 1, device->bus);
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)sizeof(ret->name) - 1, device->name);
	snprintf(ret->reason, sizeof(ret->reason), "%.*s", (int)sizeof(ret->reason) - 1,
		 device->reason);
}

static int kmod_device_next(struct backend *backend, uint32_t after_id, struct backend_device *ret)
{
	struct dmabroker_device device;
	int r;

	r = list_next(backend, DMABROKER_IOC_DEVICE_LIST, 0, after_id, &device, sizeof(device));
	if (r < 0)
		return r;
	device_translate(&device, ret);
	return 0;
}

static int kmod_device_get(struct backend *backend, uint32_t id, struct backend_device *ret)
{
	struct backend_device device;
	int r;

	if (!id)
		return -ENODEV;
	r = kmod_device_next(backend, id - 1, &device);
	if (r == -ENOENT || (r == 0 && device.id != id))
		return -ENODEV;
	if (r == 0)
		*ret = device;
	return r;
}

static void buffer_translate(const struct dmabroker_buffer *buffer, struct backend_buffer *ret)
{
	*ret = (struct backend_buffer){
		.id = buffer->id,
		.size_bytes = buffer->size_bytes,
		.attributes = buffer->attributes,
		.alignment_bytes = buffer->alignment_bytes,
		.syncs_done = buffer->syncs_done,
		.syncs_saved = buffer->syncs_saved,
		.nr_mappings = buffer->nr_mappings,
		.kind = buffer->kind,
		.effective_kind = buffer->effective_kind,
		.contiguous = buffer->flags & DMABROKER_BUFFER_CONTIGUOUS,
	};
	snprintf(ret->region, sizeof(ret->region), "%.*s", (int)sizeof(ret->region) - 1,
		 buffer->region);
	memcpy(ret->cookie, buffer->cookie, sizeof(ret->cookie));
}

/* What a failed request's devices have to do with it. @unusable is room for one. */
static void devices_examine(struct backend *backend, const struct backend_alloc *alloc,
			    struct backend_device *unusable, struct kmod_devices *ret)
{
	unsigned int i;

	*ret = (struct kmod_devices){ .direct_mask_bits = 64 };
	for (i = 0; i < alloc->nr_devices; i++) {
		struct backend_device device;

		if (kmod_device_get(backend, alloc->devices[i], &device) < 0) {
			ret->unknown_id = alloc->devices[i];
			continue;
		}
		if (device.flags & WIRE_DEVICE_SYSTEM)
			continue;
		if (!(device.flags & WIRE_DEVICE_USABLE)) {
			*unusable = device;
			ret->unusable = unusable;
		}
		if (device.flags & WIRE_DEVICE_IOMMU)
			continue;
		if (backend_device_bits(&device) < ret->direct_mask_bits)
			ret->direct_mask_bits = backend_device_bits(&device);
	}
}

static int kmod_buffer_alloc(struct backend *backend, const struct backend_alloc *alloc,
			     struct backend_buffer *ret, int *ret_fd,
			     struct backend_failure *failure)
{
	struct kmod *kmod = (struct kmod *)backend;
	struct dmabroker_alloc request = {
		.size = sizeof(request),
		.kind = alloc->kind,
		.direction = alloc->direction,
		.attributes = alloc->attributes,
		.devices = (uintptr_t)alloc->devices,
		.nr_devices = alloc->nr_devices,
	};
	uint64_t size_bytes;
	int r;

	r = backend_check_alloc(alloc, kmod->page_bytes, &size_bytes, failure);
	if (r < 0)
		return r;
	request.size_bytes = size_bytes;
	memcpy(request.cookie, alloc->cookie, sizeof(request.cookie));
	r = node_ioctl(kmod->fd, DMABROKER_IOC_ALLOC, &request);
	if (r < 0) {
		struct backend_device unusable;
		struct kmod_devices devices;
		struct kmod_machine machine;

		devices_examine(backend, alloc, &unusable, &devices);
		kmod_machine_read(&machine);
		return kmod_explain_alloc(r, alloc, &devices, &machine, failure);
	}
	buffer_translate(&request.buffer, ret);
	*ret_fd = request.fd;
	return 0;
}

static int kmod_buffer_open(struct backend *backend, uint64_t id, bool read_only, int *ret_fd,
			    struct backend_failure *failure)
{
	struct dmabroker_buffer_open request = {
		.size = sizeof(request),
		.flags = read_only ? DMABROKER_OPEN_READ_ONLY : 0,
		.id = id,
	};
	int r = node_ioctl(node_fd(backend), DMABROKER_IOC_BUFFER_OPEN, &request);

	if (r < 0)
		return kmod_explain_buffer(r, id, failure);
	*ret_fd = request.fd;
	return 0;
}

static int kmod_buffer_query(struct backend *backend, int fd, uint64_t *ret_id, bool *ret_read_only)
{
	struct dmabroker_buffer_query request = { .size = sizeof(request), .fd = fd };
	int r;

	if (fd < 0)
		return -EBADF;
	r = node_ioctl(node_fd(backend), DMABROKER_IOC_BUFFER_QUERY, &request);
	if (r < 0)
		return r;
	*ret_id = request.buffer.id;
	*ret_read_only = request.flags & DMABROKER_OPEN_READ_ONLY;
	return 0;
}

static int kmod_buffer_get(struct backend *backend, uint64_t id, struct backend_buffer *ret)
{
	struct dmabroker_buffer_query request = { .size = sizeof(request), .fd = -1, .id = id };
	int r = node_ioctl(node_fd(backend), DMABROKER_IOC_BUFFER_QUERY, &request);

	if (r < 0)
		return r;
	buffer_translate(&request.buffer, ret);
	return 0;
}

static int kmod_buffer_next(struct backend *backend, uint64_t after_id, struct backend_buffer *ret)
{
	struct dmabroker_buffer buffer;
	int r;

	r = list_next(backend, DMABROKER_IOC_BUFFER_LIST, 0, after_id, &buffer, sizeof(buffer));
	if (r < 0)
		return r;
	buffer_translate(&buffer, ret);
	return 0;
}

static int kmod_buffer_set_cookie(struct backend *backend, uint64_t id,
				  const uint8_t cookie[static BACKEND_COOKIE_SIZE])
{
	struct dmabroker_buffer_set_cookie request = { .size = sizeof(request), .id = id };

	memcpy(request.cookie, cookie, sizeof(request.cookie));
	return node_ioctl(node_fd(backend), DMABROKER_IOC_BUFFER_SET_COOKIE, &request);
}

static void mapping_translate(const struct dmabroker_mapping *mapping, struct backend_mapping *ret)
{
	*ret = (struct backend_mapping){
		.id = mapping->id,
		.buffer_id = mapping->buffer_id,
		.device_id = mapping->device_id,
		.direction = mapping->direction,
		.attributes = mapping->attributes,
		.size_bytes = mapping->size_bytes,
		.flags = WIRE_MAPPING_SYNC_BY_FD,
		.nr_segments = mapping->nr_segments,
		.account = mapping->account,
	};
	if (mapping->flags & DMABROKER_MAP_SKIPPED_CPU_SYNC)
		ret->flags |= WIRE_MAPPING_SKIP_CPU_SYNC;
	if (mapping->flags & DMABROKER_MAP_BOUNCES)
		ret->flags |= WIRE_MAPPING_BOUNCES;
	if (mapping->flags & DMABROKER_MAP_DEVICE_GONE)
		ret->flags |= WIRE_MAPPING_DEVICE_GONE;
}

static int kmod_map(struct backend *backend, const struct backend_map *map,
		    struct backend_mapping *ret, int *ret_fd, struct backend_failure *failure)
{
	struct dmabroker_map request = {
		.size = sizeof(request),
		.buffer_fd = -1,
		.device_id = map->device_id,
		.buffer_id = map->buffer_id,
		.direction = map->direction,
		.mask_bits = map->mask_bits,
		.attributes = map->attributes,
		.account = map->account,
		.map_flags = map->read_only ? DMABROKER_MAP_READ_ONLY : 0,
	};
	struct backend_device device;
	int r;

	if (kmod_device_get(backend, map->device_id, &device) < 0)
		return backend_fail(failure, WIRE_REASON_UNKNOWN_DEVICE, 0, map->device_id, false,
				    "there is no device with id %u; see the list of devices",
				    map->device_id);
	/* What the buffer was allocated for, only the module knows. */
	r = backend_check_map(map, WIRE_DIR_BIDIRECTIONAL, &device, failure);
	if (r < 0)
		return r;
	r = node_ioctl(node_fd(backend), DMABROKER_IOC_MAP, &request);
	if (r < 0)
		return kmod_explain_map(r, map, &device, failure);
	mapping_translate(&request.mapping, ret);
	*ret_fd = request.fd;
	return 0;
}

static int kmod_mapping_next(struct backend *backend, uint64_t buffer_id, uint64_t after_id,
			     struct backend_mapping *ret)
{
	struct dmabroker_mapping mapping;
	int r;

	r = list_next(backend, DMABROKER_IOC_MAPPING_LIST, buffer_id, after_id, &mapping,
		      sizeof(mapping));
	if (r < 0)
		return r;
	mapping_translate(&mapping, ret);
	return 0;
}

static int kmod_mapping_get(struct backend *backend, uint64_t id, struct backend_mapping *ret)
{
	struct backend_mapping mapping;
	int r;

	if (!id)
		return -ENOENT;
	r = kmod_mapping_next(backend, 0, id - 1, &mapping);
	if (r == 0 && mapping.id != id)
		return -ENOENT;
	if (r == 0)
		*ret = mapping;
	return r;
}

static int kmod_segments(struct backend *backend, uint64_t mapping_id, uint64_t first,
			 struct wire_segment *ret, unsigned int capacity, unsigned int *ret_count,
			 uint64_t *ret_total)
{
	struct dmabroker_segments request = {
		.size = sizeof(request),
		.mapping_id = mapping_id,
		.entries = (uintptr_t)ret,
		.first = first < UINT32_MAX ? (uint32_t)first : UINT32_MAX,
		.capacity = capacity < 65536 ? capacity : 65536,
	};
	int r = node_ioctl(node_fd(backend), DMABROKER_IOC_MAPPING_SEGMENTS, &request);

	if (r < 0)
		return r;
	*ret_count = request.count;
	*ret_total = request.total;
	return 0;
}

static int kmod_sync(struct backend *backend, const struct wire_sync *sync,
		     struct backend_failure *failure)
{
	return backend_fail(failure, WIRE_REASON_BACKEND_CANNOT, 0, sync->mapping_id, false,
			    "the fd of mapping %llu does its syncs, without the broker: use its "
			    "ioctl",
			    (unsigned long long)sync->mapping_id);
}

/* All kinds that the module has so far are the same for both sides at all times. */
static int kmod_owned_by(struct backend *backend, uint64_t buffer_id, enum wire_owned_by *ret)
{
	struct backend_buffer buffer;
	int r = kmod_buffer_get(backend, buffer_id, &buffer);

	if (r < 0)
		return r;
	*ret = WIRE_OWNED_BY_BOTH;
	return 0;
}

const struct backend_ops backend_kmod_ops = {
	.name = "kmod",
	.probe = kmod_probe,
	.open = kmod_open,
	.close = kmod_close,
	.get_fd = node_fd,
	.dispatch = kmod_dispatch,
	.device_next = kmod_device_next,
	.device_get = kmod_device_get,
	.buffer_alloc = kmod_buffer_alloc,
	.buffer_open = kmod_buffer_open,
	.buffer_query = kmod_buffer_query,
	.buffer_get = kmod_buffer_get,
	.buffer_next = kmod_buffer_next,
	.buffer_set_cookie = kmod_buffer_set_cookie,
	.map = kmod_map,
	.mapping_get = kmod_mapping_get,
	.mapping_next = kmod_mapping_next,
	.segments = kmod_segments,
	.sync = kmod_sync,
	.owned_by = kmod_owned_by,
	.sim_dma = NULL,
};
