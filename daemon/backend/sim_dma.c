// SPDX-License-Identifier: MIT
/*
 * The DMA engine that every simulated device has: it copies bytes from one device address to
 * another, through the device's own mappings and nothing else.
 *
 * Both ends of a transfer are looked up before a byte moves. A transfer reads or writes inside one
 * segment; to go on in the next one is another transfer, as it is with hardware, even where the
 * next one happens to follow without a gap. What is not mapped, not in that direction, beyond the
 * device's mask or past the end of its segment is a fault with the words for it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/backend/sim.h"
#include "proto/cleanup.h"

#define TRANSFER_MAX_BYTES (1ull << 20)

/* One end of a transfer. */
struct span {
	uint64_t address;
	uint64_t length_bytes;
	bool write; /* the device writes there */
	struct sim_buffer *buffer; /* found */
	uint64_t offset_bytes;
};

static uint64_t span_last(const struct span *span)
{
	return span->address + (span->length_bytes - 1);
}

__attribute__((format(printf, 4, 5))) static int fault(struct backend_failure *failure,
						       const struct sim_device *device,
						       const struct span *span, const char *format,
						       ...)
{
	char what[192];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return backend_fail(failure, WIRE_REASON_DMA_FAULT, 0, span->address, false,
			    "%s %s 0x%" PRIx64 " to 0x%" PRIx64 ": %s", device->info.name,
			    span->write ? "writes" : "reads", span->address, span_last(span), what);
}

static bool permits(const struct sim_mapping *mapping, bool write)
{
	return mapping->direction == WIRE_DIR_BIDIRECTIONAL ||
	       mapping->direction == (write ? WIRE_DIR_FROM_DEVICE : WIRE_DIR_TO_DEVICE);
}

/* Nothing is mapped at the address: say what is mapped closest below it. */
static int fault_unmapped(struct sim *sim, struct backend_failure *failure,
			  const struct sim_device *device, const struct span *span)
{
	struct sim_range *range = sim_space_below(&device->iova, span->address);
	struct sim_mapping *mapping;

	if (!device->nr_mappings)
		return fault(failure, device, span, "nothing at all is mapped for it");
	if (!range)
		return fault(failure, device, span,
			     "nothing is mapped there; take the addresses from the mapping's "
			     "segments");
	mapping = sim_container(range, struct sim_mapping, iova);
	return fault(failure, device, span,
		     "nothing is mapped there; closest below, mapping %" PRIu64
		     " (%s) has 0x%" PRIx64 " to 0x%" PRIx64,
		     mapping->id, wire_direction_name(mapping->direction), range->start,
		     range->start + mapping->buffer->size_bytes - 1);
}

/* Without an IOMMU: some mapping of the buffer for this device, best one that permits it. */
static struct sim_mapping *mapping_of(struct sim_buffer *buffer, const struct sim_device *device,
				      bool write)
{
	struct sim_mapping *mapping, *found = NULL;

	LIST_FOREACH(mapping, &buffer->mappings, of_buffer)
	{
		if (mapping->device != device)
			continue;
		if (permits(mapping, write))
			return mapping;
		found = mapping;
	}
	return found;
}

/* The mapping at the span's start and how far into the buffer that is. NULL: none. */
static struct sim_mapping *mapping_at(struct sim *sim, struct sim_device *device,
				      const struct span *span, uint64_t *ret_offset)
{
	struct sim_mapping *mapping;
	struct sim_buffer *buffer;
	struct sim_range *range;
	uint64_t offset;

	if (!(device->info.flags & WIRE_DEVICE_IOMMU)) {
		buffer = sim_phys_at(sim, span->address, ret_offset);
		return buffer ? mapping_of(buffer, device, span->write) : NULL;
	}
	range = sim_space_at(&device->iova, span->address);
	if (!range)
		return NULL;
	mapping = sim_container(range, struct sim_mapping, iova);
	offset = span->address - range->start;
	if (offset >= mapping->buffer->size_bytes)
		return NULL; /* the guard page */
	*ret_offset = offset;
	return mapping;
}

/* The segment that contains @offset bytes of the mapping, and where it starts. */
static void segment_at(struct sim *sim, const struct sim_mapping *mapping, uint64_t offset,
		       uint64_t *ret_index, uint64_t *ret_end)
{
	struct wire_segment segment;

	/* All segments but the last have the length of the first. */
	sim_mapping_segment(sim, mapping, 0, &segment);
	*ret_index = offset / segment.length_bytes;
	*ret_end = (*ret_index + 1) * segment.length_bytes;
	if (*ret_end > mapping->buffer->size_bytes)
		*ret_end = mapping->buffer->size_bytes;
}

static int span_find(struct sim *sim, struct sim_device *device, struct span *span,
		     struct backend_failure *failure)
{
	unsigned int bits = device->info.streaming_mask_bits;
	uint64_t last = bits < 64 ? (1ull << bits) - 1 : UINT64_MAX;
	uint64_t offset, index, end;
	struct sim_mapping *mapping;

	if (span->address > last || span->length_bytes - 1 > last - span->address)
		return fault(failure, device, span, "that is beyond its %u address bits", bits);
	mapping = mapping_at(sim, device, span, &offset);
	if (!mapping)
		return fault_unmapped(sim, failure, device, span);
	if (!permits(mapping, span->write))
		return fault(failure, device, span,
			     "mapping %" PRIu64 " is %s, so the device may not %s there; map it in "
			     "that direction",
			     mapping->id, wire_direction_name(mapping->direction),
			     span->write ? "write" : "read");
	segment_at(sim, mapping, offset, &index, &end);
	if (span->length_bytes > end - offset)
		return fault(failure, device, span,
			     "segment %" PRIu64 " of mapping %" PRIu64 " (%s) ends after %" PRIu64
			     " bytes; one transfer for each segment",
			     index, mapping->id, wire_direction_name(mapping->direction),
			     end - offset);
	span->buffer = mapping->buffer;
	span->offset_bytes = offset;
	return 0;
}

/*
 * The device's view of a buffer. Coherent memory is the memfd itself. Not by mmap: whoever holds
 * the buffer may punch holes into it, and a hole that the machine cannot fill again must be an
 * error here, not a SIGBUS.
 */
static int span_move(const struct span *span, uint8_t *bytes)
{
	uint64_t done = 0;

	while (done < span->length_bytes) {
		off_t at = (off_t)(span->offset_bytes + done);
		size_t left = span->length_bytes - done;
		ssize_t n = span->write ? pwrite(span->buffer->fd, bytes + done, left, at)
					: pread(span->buffer->fd, bytes + done, left, at);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EIO;
		if (n > 0)
			done += (uint64_t)n;
	}
	return 0;
}

static int copy(struct sim *sim, struct sim_device *device, const struct wire_sim_dma *dma,
		struct backend_failure *failure)
{
	struct span from = { .address = dma->source, .length_bytes = dma->length_bytes };
	struct span to = {
		.address = dma->destination,
		.length_bytes = dma->length_bytes,
		.write = true,
	};
	_cleanup_buf_ uint8_t *bytes = NULL;
	int r;

	r = span_find(sim, device, &from, failure);
	if (r < 0)
		return r;
	r = span_find(sim, device, &to, failure);
	if (r < 0)
		return r;
	bytes = malloc(dma->length_bytes);
	if (!bytes)
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, dma->length_bytes, true,
				    "the broker itself is out of memory");
	r = span_move(&from, bytes);
	if (r == 0)
		r = span_move(&to, bytes);
	if (r == -ENOMEM || r == -ENOSPC)
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, dma->length_bytes, true,
				    "a hole was punched into the buffer and the machine has no "
				    "memory left to fill it");
	if (r < 0)
		return backend_fail(failure, WIRE_REASON_BACKEND_FAILED, 0, 0, false,
				    "the memory of a buffer cannot be accessed: %s", strerror(-r));
	return 0;
}

int sim_dma(struct backend *backend, const struct wire_sim_dma *dma,
	    struct backend_failure *failure)
{
	struct sim *sim = sim_of(backend);
	struct sim_device *device = sim_device_get(sim, dma->device_id);

	if (!device)
		return backend_fail(failure, WIRE_REASON_UNKNOWN_DEVICE, 0, dma->device_id, false,
				    "there is no device with id %u; see the list of devices",
				    dma->device_id);
	if (device->info.flags & WIRE_DEVICE_SYSTEM)
		return backend_fail(failure, WIRE_REASON_DEVICE_SYSTEM, 0, dma->device_id, false,
				    "'%s' is no device and has no DMA engine; name a real one",
				    device->info.name);
	if (dma->command != WIRE_SIM_DMA_COPY)
		return backend_fail(failure, WIRE_REASON_BAD_ARGUMENT, WIRE_SIM_DMA_COPY,
				    dma->command, false,
				    "a simulated device knows command %d, copy, and not %u",
				    WIRE_SIM_DMA_COPY, dma->command);
	if (dma->length_bytes == 0 || dma->length_bytes > TRANSFER_MAX_BYTES)
		return backend_fail(failure, WIRE_REASON_SIZE, TRANSFER_MAX_BYTES,
				    dma->length_bytes, false,
				    "one transfer moves 1 to %llu bytes, not %" PRIu64,
				    TRANSFER_MAX_BYTES, dma->length_bytes);
	return copy(sim, device, dma, failure);
}
