/* SPDX-License-Identifier: MIT */
/*
 * A simulated address space: ranges are taken below a mask and given back, and whatever lies at
 * an address can be found. Used for the DMA addresses of each device behind the simulated IOMMU
 * and for the simulated physical memory.
 */
#ifndef DMABROKER_SIM_SPACE_H
#define DMABROKER_SIM_SPACE_H

#include <stdint.h>

/* Embedded in what lies there. Fields below @size_bytes are the tree's. */
struct sim_range {
	uint64_t start;
	uint64_t size_bytes;
	uint64_t largest_bytes; /* of this subtree */
	struct sim_range *left;
	struct sim_range *right;
	uint32_t priority;
};

struct sim_space {
	struct sim_range *used; /* embedded in others */
	struct sim_range *gaps; /* own */
	struct sim_range *spare; /* own, linked by @left: one for each range that is taken */
	uint64_t granule_bytes;
	uint64_t first;
	uint64_t cursor[65]; /* for each mask: where to look first */
	uint32_t random;
};

/**
 * sim_space_init() - an empty space
 * @space:         filled; release with sim_space_fini()
 * @first:         lowest address handed out, a multiple of @granule_bytes
 * @bits:          addresses are below 2^@bits
 * @granule_bytes: everything is a multiple of it
 *
 * Return: 0, -ENOMEM.
 */
int sim_space_init(struct sim_space *space, uint64_t first, unsigned int bits,
		   uint64_t granule_bytes);

/* What is still taken is forgotten; its owner frees it. A zeroed struct is fine. */
void sim_space_fini(struct sim_space *space);

/**
 * sim_space_take() - take a range
 * @space:       from here
 * @size_bytes:  length, a multiple of the granule, not 0
 * @align_bytes: of its start, a power of two and at least the granule
 * @mask_bits:   every address of it is below 2^@mask_bits
 * @range:       filled and linked until sim_space_give()
 *
 * Searches onwards from where the last range with this mask ended and starts over at the end of
 * the space, so that an address that was given back is not soon seen again.
 *
 * Return: 0, -ENOSPC, -ENOMEM.
 */
int sim_space_take(struct sim_space *space, uint64_t size_bytes, uint64_t align_bytes,
		   unsigned int mask_bits, struct sim_range *range);

void sim_space_give(struct sim_space *space, struct sim_range *range);

/* The taken range that contains @address, or NULL. */
struct sim_range *sim_space_at(const struct sim_space *space, uint64_t address);

/* The taken range that starts closest below or at @address, or NULL. */
struct sim_range *sim_space_below(const struct sim_space *space, uint64_t address);

#endif /* DMABROKER_SIM_SPACE_H */
