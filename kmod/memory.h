/* SPDX-License-Identifier: GPL-2.0 */
/* The memory of a buffer; see memory.c. */
#ifndef DMABROKER_MEMORY_H
#define DMABROKER_MEMORY_H

#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/types.h>

#include <linux/dmabroker.h>

/* For what a client can make big: a full machine refuses instead of killing somebody. */
#define DMAB_GFP_SIZED (GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL)

struct dmab_memory;

/**
 * struct dmab_memory_ops - a way to get pages
 * @region: its name in lists
 * @synced: @alloc does the CPU sync, and the DMA API wants no mapping to do another
 * @alloc:  fill @pages of the memory; 0 or -errno
 * @free:   give them back, all or those that are not NULL after a failed @alloc
 */
struct dmab_memory_ops {
	const char *region;
	bool synced;
	int (*alloc)(struct dmab_memory *memory, u64 phys_limit);
	void (*free)(struct dmab_memory *memory);
};

extern const struct dmab_memory_ops dmab_pages_ops;
extern const struct dmab_memory_ops dmab_contiguous_ops;

/**
 * struct dmab_memory - memory with one type, zero at birth, immutable in shape
 * @ops:          where the pages come from
 * @pages:        all of them, in order
 * @nr_pages:     how many
 * @size_bytes:   the same in bytes
 * @kind:         DMABROKER_KIND_* as asked for
 * @attributes:   DMABROKER_ATTR_*
 * @coherent:     for devices that snoop the CPU caches
 * @contiguous:   one piece of physical memory
 * @alignment_bytes: of its first byte, physically
 * @vaddr:        the kernel mapping, NULL with DMABROKER_ATTR_NO_KERNEL_MAPPING
 * @dma_cookie:   what dma_alloc_attrs() returned
 * @dma_address:  likewise
 * @dma_attrs:    as given to dma_alloc_attrs()
 */
struct dmab_memory {
	const struct dmab_memory_ops *ops;
	struct page **pages;
	unsigned long nr_pages;
	size_t size_bytes;
	u32 kind;
	u64 attributes;
	bool coherent;
	bool contiguous;
	u64 alignment_bytes;
	void *vaddr;
	void *dma_cookie;
	dma_addr_t dma_address;
	unsigned long dma_attrs;
};

int dmab_memory_init(struct dmab_memory *memory, u64 phys_limit);
void dmab_memory_fini(struct dmab_memory *memory);
u32 dmab_memory_effective_kind(const struct dmab_memory *memory);
pgprot_t dmab_memory_pgprot(const struct dmab_memory *memory, pgprot_t prot);
int dmab_memory_sg_init(const struct dmab_memory *memory, unsigned int max_segment_bytes,
			struct sg_table *ret);

#endif /* DMABROKER_MEMORY_H */
