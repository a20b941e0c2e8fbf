// SPDX-License-Identifier: MIT
/*
 * Where a buffer's pages lie in the simulated machine's memory.
 *
 * This matters to devices without an IOMMU only: a DMA address of theirs is a physical address,
 * and a page above their mask cannot be reached. So a buffer gets a place at allocation when such a
 * device was named, or when it must be contiguous, and otherwise at the first mapping that asks.
 * What was not allocated for a narrow device lies above 4 GiB, as most memory of a real machine
 * does, so that forgetting to name the device fails here, always, and not there, sometimes.
 *
 * Memory is contiguous when that was asked for and never by luck: a buffer of n pages takes the
 * place of 2n, and its pages are every second one of them, last page first. That needs no table
 * of pages, and no two pages can ever be joined to one segment.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/backend/sim.h"

#define ALIGN_MAX_BYTES (1ull << 20) /* what contiguous memory is aligned to at most */

bool sim_phys_contiguous(const struct sim *sim, const struct sim_buffer *buffer)
{
	return (buffer->attributes & WIRE_ATTR_FORCE_CONTIGUOUS) ||
	       buffer->size_bytes == sim->page_bytes;
}

static uint64_t wanted_align(const struct sim *sim, uint64_t size_bytes)
{
	uint64_t align_bytes = sim->page_bytes;

	while (align_bytes < size_bytes && align_bytes < ALIGN_MAX_BYTES)
		align_bytes *= 2;
	return align_bytes;
}

/* Give @buffer its place. Nothing happens if it has one. */
int sim_phys_place(struct sim *sim, struct sim_buffer *buffer, struct backend_failure *failure)
{
	bool contiguous = sim_phys_contiguous(sim, buffer);
	uint64_t size_bytes = contiguous ? buffer->size_bytes : buffer->size_bytes * 2;
	struct sim_phys *phys;
	int r = -ENOSPC;

	if (buffer->phys)
		return 0;
	phys = calloc(1, sizeof(*phys));
	if (!phys)
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
				    "the broker itself is out of memory");
	phys->buffer = buffer;
	if (contiguous)
		r = sim_space_take(&sim->phys, size_bytes, wanted_align(sim, size_bytes),
				   buffer->phys_mask_bits, &phys->range);
	if (r == -ENOSPC)
		r = sim_space_take(&sim->phys, size_bytes, sim->page_bytes, buffer->phys_mask_bits,
				   &phys->range);
	if (r < 0) {
		free(phys);
		if (r != -ENOSPC)
			return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
					    "the broker itself is out of memory");
		return backend_fail(failure,
				    contiguous ? WIRE_REASON_NO_CONTIGUOUS_MEMORY
					       : WIRE_REASON_NO_MEMORY,
				    0, buffer->size_bytes, true,
				    "the simulated machine has no %s%llu bytes free below %u "
				    "address bits; free some, ask for less, or use devices behind "
				    "an IOMMU",
				    contiguous ? "contiguous " : "",
				    (unsigned long long)buffer->size_bytes, buffer->phys_mask_bits);
	}
	buffer->phys = phys;
	return 0;
}

void sim_phys_free(struct sim *sim, struct sim_phys *phys)
{
	if (!phys)
		return;
	sim_space_give(&sim->phys, &phys->range);
	free(phys);
}

/* The physical address of page number @page of a buffer that has a place. */
uint64_t sim_phys_page(const struct sim *sim, const struct sim_buffer *buffer, uint64_t page)
{
	uint64_t nr_pages = buffer->size_bytes / sim->page_bytes;
	uint64_t start = buffer->phys->range.start;

	if (sim_phys_contiguous(sim, buffer))
		return start + page * sim->page_bytes;
	return start + 2 * (nr_pages - 1 - page) * sim->page_bytes;
}

/* The highest address that belongs to the buffer. */
uint64_t sim_phys_last(const struct sim *sim, const struct sim_buffer *buffer)
{
	uint64_t nr_pages = buffer->size_bytes / sim->page_bytes;
	uint64_t page = sim_phys_contiguous(sim, buffer) ? nr_pages - 1 : 0;

	return sim_phys_page(sim, buffer, page) + sim->page_bytes - 1;
}

/* Whose memory lies at @address, and how far into the buffer. NULL for nobody's. */
struct sim_buffer *sim_phys_at(const struct sim *sim, uint64_t address, uint64_t *ret_offset)
{
	struct sim_range *range = sim_space_at(&sim->phys, address);
	uint64_t delta, slot, nr_pages;
	struct sim_buffer *buffer;

	if (!range)
		return NULL;
	buffer = sim_container(range, struct sim_phys, range)->buffer;
	delta = address - range->start;
	if (sim_phys_contiguous(sim, buffer)) {
		*ret_offset = delta;
		return buffer;
	}
	slot = delta / sim->page_bytes;
	nr_pages = buffer->size_bytes / sim->page_bytes;
	if (slot % 2)
		return NULL;
	*ret_offset = (nr_pages - 1 - slot / 2) * sim->page_bytes + delta % sim->page_bytes;
	return buffer;
}
