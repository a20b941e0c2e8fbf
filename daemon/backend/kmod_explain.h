/* SPDX-License-Identifier: MIT */
/*
 * Why the kernel module refused, in words. It answers with an errno, and what that means depends on
 * the request, the device and the machine. Nothing here talks to the module, so a test can ask for
 * every sentence.
 */
#ifndef DMABROKER_BACKEND_KMOD_EXPLAIN_H
#define DMABROKER_BACKEND_KMOD_EXPLAIN_H

#include "daemon/backend/backend.h"

/* What decides about contiguous memory. */
struct kmod_machine {
	bool has_cma;
	uint64_t cma_bytes;
	uint64_t cma_free_bytes;
	uint64_t biggest_block_bytes; /* of the page allocator */
	uint64_t available_bytes;
};

/* The devices of a request, as far as they matter. */
struct kmod_devices {
	uint32_t unknown_id; /* one that does not exist, 0 for none */
	const struct backend_device *unusable; /* one of those, or NULL */
	unsigned int direct_mask_bits; /* narrowest mask without an IOMMU, 64 for none */
};

/* From /proc. What cannot be read is 0. */
void kmod_machine_read(struct kmod_machine *ret);

/* The same from the files' texts. */
void kmod_machine_parse(const char *meminfo, const char *buddyinfo, uint64_t page_bytes,
			struct kmod_machine *ret);

/**
 * kmod_explain_alloc() - why an allocation failed
 * @error:   negative errno of the module
 * @alloc:   the request
 * @devices: of the request
 * @machine: as it is now
 * @failure: filled; may be NULL
 *
 * Return: the errno that goes with the reason.
 */
int kmod_explain_alloc(int error, const struct backend_alloc *alloc,
		       const struct kmod_devices *devices, const struct kmod_machine *machine,
		       struct backend_failure *failure);

/* The same for a mapping; @device as it is now. */
int kmod_explain_map(int error, const struct backend_map *map, const struct backend_device *device,
		     struct backend_failure *failure);

/* The same for everything else that names a buffer by id. */
int kmod_explain_buffer(int error, uint64_t id, struct backend_failure *failure);

#endif /* DMABROKER_BACKEND_KMOD_EXPLAIN_H */
