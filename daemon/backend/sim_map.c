// SPDX-License-Identifier: MIT
/*
 * Mappings: what a simulated device can reach of a buffer, and when that ends.
 *
 * Behind the simulated IOMMU a mapping gets device addresses of its own, below the mask, which
 * come back as late as the address space allows; a page that belongs to nobody lies behind each,
 * so that running over the end is a fault and never somebody else's memory. Without an IOMMU the
 * addresses are those of the buffer's pages, and a page above the mask is a refusal. Either way
 * the list of segments follows from a start and a length, so none is kept.
 *
 * The fd that a client gets is the read end of a pipe. We keep the write end and never write:
 * nothing can come back through it, whatever its holders do, and when the last of them closes it
 * the kernel tells us by an error condition on ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

#include "daemon/backend/sim.h"
#include "proto/cleanup.h"

static bool has_iommu(const struct sim_device *device)
{
	return device->info.flags & WIRE_DEVICE_IOMMU;
}

/* Longest piece that addresses without gaps are cut into. */
static uint64_t piece_bytes(const struct sim *sim, const struct sim_mapping *mapping)
{
	if (!has_iommu(mapping->device) && !sim_phys_contiguous(sim, mapping->buffer))
		return sim->page_bytes;
	return mapping->device->info.max_segment_bytes;
}

static uint64_t nr_segments(const struct sim *sim, const struct sim_mapping *mapping)
{
	uint64_t piece = piece_bytes(sim, mapping);

	return (mapping->buffer->size_bytes + piece - 1) / piece;
}

bool sim_mapping_segment(const struct sim *sim, const struct sim_mapping *mapping, uint64_t index,
			 struct wire_segment *ret)
{
	uint64_t piece = piece_bytes(sim, mapping), offset, left;

	if (index >= nr_segments(sim, mapping))
		return false;
	offset = index * piece;
	left = mapping->buffer->size_bytes - offset;
	ret->length_bytes = left < piece ? left : piece;
	if (has_iommu(mapping->device))
		ret->dma_address = mapping->iova.start + offset;
	else
		ret->dma_address = sim_phys_page(sim, mapping->buffer, offset / sim->page_bytes);
	return true;
}

static void mapping_describe(const struct sim *sim, const struct sim_mapping *mapping,
			     struct backend_mapping *ret)
{
	*ret = (struct backend_mapping){
		.id = mapping->id,
		.buffer_id = mapping->buffer->id,
		.device_id = mapping->device->info.id,
		.direction = mapping->direction,
		.attributes = mapping->attributes,
		.size_bytes = mapping->buffer->size_bytes,
		.flags = mapping->attributes & WIRE_ATTR_SKIP_CPU_SYNC ? WIRE_MAPPING_SKIP_CPU_SYNC
								       : 0,
		.nr_segments = (uint32_t)nr_segments(sim, mapping),
		.account = mapping->account,
	};
}

/* Take it out of everything that knows it. */
static void mapping_free(struct sim *sim, struct sim_mapping *mapping)
{
	if (!mapping)
		return;
	if (mapping->id) {
		sim_table_remove(&sim->mappings, mapping->id);
		LIST_REMOVE(mapping, of_buffer);
		mapping->buffer->nr_mappings--;
		mapping->device->nr_mappings--;
	}
	if (mapping->iova.size_bytes)
		sim_space_give(&mapping->device->iova, &mapping->iova);
	if (mapping->fd >= 0)
		epoll_ctl(sim->epoll_fd, EPOLL_CTL_DEL, mapping->fd, NULL);
	fd_close(mapping->fd);
	free(mapping);
}

/* Give the mapping its device addresses. */
static int mapping_place(struct sim *sim, struct sim_mapping *mapping, unsigned int mask_bits,
			 struct backend_failure *failure)
{
	struct sim_buffer *buffer = mapping->buffer;
	const char *name = mapping->device->info.name;
	uint64_t last;
	int r;

	if (has_iommu(mapping->device)) {
		r = sim_space_take(&mapping->device->iova, buffer->size_bytes + sim->page_bytes,
				   sim->page_bytes, mask_bits, &mapping->iova);
		if (r == -ENOSPC)
			return backend_fail(failure, WIRE_REASON_DEVICE_ADDRESS_SPACE, mask_bits,
					    buffer->size_bytes, true,
					    "%s has no %" PRIu64 " bytes in a row left of its %u "
					    "address bits; unmap something or map a smaller buffer",
					    name, buffer->size_bytes, mask_bits);
		if (r < 0)
			return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
					    "the broker itself is out of memory");
		return 0;
	}
	r = sim_phys_place(sim, buffer, failure);
	if (r < 0)
		return r;
	last = sim_phys_last(sim, buffer);
	if (mask_bits < 64 && last >> mask_bits)
		return backend_fail(failure, WIRE_REASON_BEYOND_MASK, mask_bits, last, false,
				    "buffer %" PRIu64 " lies up to 0x%" PRIx64 ", and %s, without "
				    "an IOMMU, drives %u address bits; name the device when "
				    "allocating",
				    buffer->id, last, name, mask_bits);
	return 0;
}

/* Make the pipe; ours reports the end to the epoll set as @id. */
static int mapping_pipe(struct sim *sim, struct sim_mapping *mapping, uint64_t id, int *ret_fd,
			struct backend_failure *failure)
{
	/* No events asked for: the error condition is always reported. */
	struct epoll_event event = { .events = 0, .data.u64 = id };
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return errno == ENOMEM ? backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
						      "the machine has no memory for a mapping's "
						      "fd; free something")
				       : backend_fail_files(failure, "another mapping");
	fcntl(fds[1], F_SETPIPE_SZ, (int)sim->page_bytes); /* saves memory, nothing flows */
	if (epoll_ctl(sim->epoll_fd, EPOLL_CTL_ADD, fds[1], &event) < 0) {
		int error = errno;

		close(fds[0]);
		close(fds[1]);
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
				    "a new mapping cannot be watched (fs.epoll.max_user_watches?): "
				    "%s",
				    strerror(error));
	}
	mapping->fd = fds[1];
	*ret_fd = fds[0];
	return 0;
}

static int check_coherence(const struct sim_buffer *buffer, const struct sim_device *device,
			   struct backend_failure *failure)
{
	bool coherent = device->info.flags & WIRE_DEVICE_COHERENT;

	if (coherent == buffer->coherent)
		return 0;
	return backend_fail(failure, WIRE_REASON_MIXED_COHERENCE, 0, device->info.id, false,
			    "buffer %" PRIu64 " is %s memory for devices that %s the CPU caches, "
			    "and %s %s; name the device when allocating, or use kind noncoherent, "
			    "which is synced",
			    buffer->id, wire_kind_name(buffer->kind),
			    buffer->coherent ? "snoop" : "do not snoop", device->info.name,
			    coherent ? "does" : "does not");
}

/* One account at a time; the next one finds the device reset, which simulated ones always can. */
static int check_account(const struct sim_device *device, uint64_t account,
			 struct backend_failure *failure)
{
	if (!device->nr_mappings || device->account == account)
		return 0;
	return backend_fail(failure, WIRE_REASON_DEVICE_BUSY, 0, device->nr_mappings, true,
			    "%s is in use by another account, which has %u mappings for it; try "
			    "again when they are gone",
			    device->info.name, device->nr_mappings);
}

static int map_check(struct sim *sim, const struct backend_map *map, struct sim_mapping *mapping,
		     struct backend_failure *failure)
{
	struct sim_buffer *buffer = sim_table_get(&sim->buffers, map->buffer_id);
	struct sim_device *device = sim_device_get(sim, map->device_id);
	int r;

	if (!buffer)
		return backend_fail(failure, WIRE_REASON_UNKNOWN_BUFFER, 0, map->buffer_id, false,
				    "there is no buffer %" PRIu64 " (any more)", map->buffer_id);
	if (!device)
		return backend_fail(failure, WIRE_REASON_UNKNOWN_DEVICE, 0, map->device_id, false,
				    "there is no device with id %u; see the list of devices",
				    map->device_id);
	r = backend_check_map(map, buffer->direction, &device->info, failure);
	if (r < 0)
		return r;
	r = check_coherence(buffer, device, failure);
	if (r < 0)
		return r;
	r = check_account(device, map->account, failure);
	if (r < 0)
		return r;
	mapping->buffer = buffer;
	mapping->device = device;
	mapping->account = map->account;
	mapping->direction = map->direction;
	mapping->attributes = map->attributes;
	return 0;
}

/* The first mapping does the CPU sync, which holds for all later ones: they skip it. */
static void mapping_sync(struct sim_mapping *mapping)
{
	struct sim_buffer *buffer = mapping->buffer;

	if (buffer->synced) {
		mapping->attributes |= WIRE_ATTR_SKIP_CPU_SYNC;
		buffer->syncs_saved++;
	} else if (!(mapping->attributes & WIRE_ATTR_SKIP_CPU_SYNC)) {
		buffer->synced = true;
		buffer->syncs_done++;
	}
}

int sim_map(struct backend *backend, const struct backend_map *map, struct backend_mapping *ret,
	    int *ret_fd, struct backend_failure *failure)
{
	struct sim *sim = sim_of(backend);
	struct sim_mapping *mapping;
	unsigned int mask_bits;
	int r;

	mapping = calloc(1, sizeof(*mapping));
	if (!mapping || sim_table_reserve(&sim->mappings) < 0) {
		free(mapping);
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
				    "the broker itself is out of memory");
	}
	mapping->fd = -1;
	r = map_check(sim, map, mapping, failure);
	if (r < 0)
		goto fail;
	mask_bits = map->mask_bits ? map->mask_bits : backend_device_bits(&mapping->device->info);
	r = mapping_place(sim, mapping, mask_bits, failure);
	if (r < 0)
		goto fail;
	r = mapping_pipe(sim, mapping, sim->last_mapping_id + 1, ret_fd, failure);
	if (r < 0)
		goto fail;

	mapping_sync(mapping);
	mapping->id = ++sim->last_mapping_id;
	sim_table_add(&sim->mappings, mapping->id, mapping);
	LIST_INSERT_HEAD(&mapping->buffer->mappings, mapping, of_buffer);
	mapping->buffer->nr_mappings++;
	mapping->device->nr_mappings++;
	mapping->device->account = map->account;
	mapping_describe(sim, mapping, ret);
	return 0;

fail:
	mapping_free(sim, mapping);
	return r;
}

void sim_map_closed(struct sim *sim, uint64_t mapping_id)
{
	struct sim_mapping *mapping = sim_table_get(&sim->mappings, mapping_id);
	struct sim_buffer *buffer;

	if (!mapping)
		return;
	buffer = mapping->buffer;
	mapping_free(sim, mapping);
	if (sim->backend.sink && sim->backend.sink->mapping_freed)
		sim->backend.sink->mapping_freed(sim->backend.userdata, mapping_id);
	sim_watch_check(sim, buffer);
}

void sim_maps_fini(struct sim *sim)
{
	struct sim_mapping *mapping;

	while ((mapping = sim_table_next(&sim->mappings, 0)))
		mapping_free(sim, mapping);
}

int sim_mapping_get(struct backend *backend, uint64_t id, struct backend_mapping *ret)
{
	struct sim *sim = sim_of(backend);
	struct sim_mapping *mapping = sim_table_get(&sim->mappings, id);

	if (!mapping)
		return -ENOENT;
	mapping_describe(sim, mapping, ret);
	return 0;
}

int sim_mapping_next(struct backend *backend, uint64_t buffer_id, uint64_t after_id,
		     struct backend_mapping *ret)
{
	struct sim *sim = sim_of(backend);
	struct sim_mapping *mapping, *best = NULL;
	struct sim_buffer *buffer;

	if (!buffer_id) {
		best = sim_table_next(&sim->mappings, after_id);
	} else {
		buffer = sim_table_get(&sim->buffers, buffer_id);
		if (!buffer)
			return -ENOENT;
		LIST_FOREACH(mapping, &buffer->mappings, of_buffer)
		{
			if (mapping->id <= after_id)
				break; /* newest first: the rest is older still */
			best = mapping;
		}
	}
	if (!best)
		return -ENOENT;
	mapping_describe(sim, best, ret);
	return 0;
}

int sim_segments(struct backend *backend, uint64_t mapping_id, uint64_t first,
		 struct wire_segment *ret, unsigned int capacity, unsigned int *ret_count,
		 uint64_t *ret_total)
{
	struct sim *sim = sim_of(backend);
	struct sim_mapping *mapping = sim_table_get(&sim->mappings, mapping_id);
	unsigned int count = 0;

	if (!mapping)
		return -ENOENT;
	while (count < capacity && sim_mapping_segment(sim, mapping, first + count, &ret[count]))
		count++;
	*ret_count = count;
	*ret_total = nr_segments(sim, mapping);
	return 0;
}

/* Coherent memory is the same for both sides at all times; what is wrong is refused all the same. */
int sim_sync(struct backend *backend, const struct wire_sync *sync, struct backend_failure *failure)
{
	struct sim *sim = sim_of(backend);
	struct sim_mapping *mapping = sim_table_get(&sim->mappings, sync->mapping_id);
	uint64_t size_bytes;

	if (!mapping)
		return backend_fail(failure, WIRE_REASON_UNKNOWN_MAPPING, 0, sync->mapping_id,
				    false, "there is no mapping %" PRIu64 " (any more)",
				    sync->mapping_id);
	if (sync->flags != WIRE_SYNC_FOR_CPU && sync->flags != WIRE_SYNC_FOR_DEVICE)
		return backend_fail(failure, WIRE_REASON_BAD_ARGUMENT, 0, sync->flags, false,
				    "a sync is for the CPU or for the device, exactly one of them");
	size_bytes = mapping->buffer->size_bytes;
	if (sync->offset_bytes > size_bytes || sync->size_bytes > size_bytes - sync->offset_bytes)
		return backend_fail(failure, WIRE_REASON_SIZE, size_bytes, sync->offset_bytes,
				    false,
				    "%" PRIu64 " bytes from %" PRIu64 " on run past the end of "
				    "mapping %" PRIu64 ", which has %" PRIu64,
				    sync->size_bytes, sync->offset_bytes, mapping->id, size_bytes);
	return 0;
}

int sim_owned_by(struct backend *backend, uint64_t buffer_id, enum wire_owned_by *ret)
{
	if (!sim_table_get(&sim_of(backend)->buffers, buffer_id))
		return -ENOENT;
	*ret = WIRE_OWNED_BY_BOTH;
	return 0;
}
