// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that need not be contiguous: pages of our own.
 *
 * Big blocks are tried first, because fewer pieces make shorter scatter lists and bigger IOMMU
 * pages, but never by making the machine work for them: a block bigger than a page is taken only
 * if it lies there free. All blocks are split at once, so that every page has a count of its own
 * and goes back alone.
 *
 * When a device without a translating IOMMU has a mask below the machine's memory, each block is
 * compared with it. The page allocator knows only the zones: what the bigger zone gave too high is
 * asked for again in the smaller one.
 */
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "memory.h"
#include "system.h"

/* 2 MiB with 4 KiB pages: what IOMMUs and CPUs map in one entry. */
#define BLOCK_ORDER_MAX 9

static gfp_t block_gfp(unsigned int order)
{
	gfp_t gfp = GFP_USER | __GFP_ZERO | __GFP_NOWARN;

	if (order)
		return (gfp | __GFP_NORETRY) & ~__GFP_RECLAIM;
	return gfp | __GFP_RETRY_MAYFAIL;
}

static struct page *block_take(gfp_t gfp, unsigned int order, u64 phys_limit)
{
	struct page *page = alloc_pages(gfp, order);

	if (page && page_to_phys(page) + (PAGE_SIZE << order) - 1 > phys_limit) {
		__free_pages(page, order);
		return NULL;
	}
	return page;
}

static struct page *block_alloc(unsigned int order, u64 phys_limit, u64 required_mask)
{
	gfp_t gfp = block_gfp(order);
	struct page *page;

	if (phys_limit >= required_mask)
		return block_take(gfp, order, phys_limit);

	page = block_take(gfp | GFP_DMA32, order, phys_limit);
	if (!page && phys_limit < DMA_BIT_MASK(32))
		page = block_take(gfp | GFP_DMA, order, phys_limit);
	return page;
}

/* The CPU has just zeroed the pages through the linear map, which is cached. */
static int pages_clean(struct dmab_memory *memory)
{
	struct sg_table sgt;
	int err;

	err = dmab_memory_sg_init(memory, UINT_MAX, &sgt);
	if (err)
		return err;
	err = dmab_system_clean(&sgt);
	sg_free_table(&sgt);
	return err;
}

static int pages_alloc(struct dmab_memory *memory, u64 phys_limit)
{
	bool single = memory->attributes & DMABROKER_ATTR_ALLOC_SINGLE_PAGES;
	unsigned int order_max = single ? 0 : BLOCK_ORDER_MAX;
	u64 required_mask = dmab_system_required_mask();
	unsigned long done = 0;

	while (done < memory->nr_pages) {
		unsigned int order = min_t(unsigned int, order_max, ilog2(memory->nr_pages - done));
		struct page *page;
		unsigned long i;

		if (fatal_signal_pending(current))
			return -ENOMEM;
		page = block_alloc(order, phys_limit, required_mask);
		if (!page) {
			if (!order)
				return -ENOMEM;
			order_max = order - 1;
			continue;
		}
		split_page(page, order);
		for (i = 0; i < 1UL << order; i++)
			memory->pages[done++] = page + i;
		cond_resched();
	}
	return memory->coherent ? 0 : pages_clean(memory);
}

static void pages_free(struct dmab_memory *memory)
{
	unsigned long i;

	for (i = 0; i < memory->nr_pages && memory->pages[i]; i++) {
		__free_page(memory->pages[i]);
		if (i % 512 == 511)
			cond_resched();
	}
}

const struct dmab_memory_ops dmab_pages_ops = {
	.region = "pages",
	.alloc = pages_alloc,
	.free = pages_free,
};
