// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that must be contiguous: dma_alloc_attrs() on one of the module's own devices, which takes
 * it from CMA where there is any and else from the page allocator.
 *
 * dma_alloc_attrs() promises zeroed memory and does not keep it with DMA_ATTR_NO_KERNEL_MAPPING,
 * where it has no address to write zeroes to. The module zeroes again in every case; what leaves it
 * has been zeroed by it.
 */
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "compat/compat.h"
#include "memory.h"
#include "system.h"

static unsigned long contiguous_dma_attrs(const struct dmab_memory *memory)
{
	unsigned long attrs = DMA_ATTR_FORCE_CONTIGUOUS | DMA_ATTR_NO_WARN;

	if (memory->kind == DMABROKER_KIND_WRITECOMBINE)
		attrs |= DMA_ATTR_WRITE_COMBINE;
	if (memory->attributes & DMABROKER_ATTR_NO_KERNEL_MAPPING)
		attrs |= DMA_ATTR_NO_KERNEL_MAPPING;
	return attrs;
}

static int contiguous_zero(struct dmab_memory *memory)
{
	struct sg_table sgt;
	unsigned long i;
	int err;

	if (memory->vaddr) {
		memset(memory->vaddr, 0, memory->size_bytes);
		return 0;
	}

	for (i = 0; i < memory->nr_pages; i++) {
		clear_highpage(memory->pages[i]);
		cond_resched();
	}
	if (memory->coherent)
		return 0;

	err = dmab_memory_sg_init(memory, UINT_MAX, &sgt);
	if (err)
		return err;
	err = dmab_system_clean(&sgt);
	sg_free_table(&sgt);
	return err;
}

static int contiguous_alloc(struct dmab_memory *memory, u64 phys_limit)
{
	struct page *first;
	unsigned long i;
	void *cookie;

	/* Only CMA has blocks beyond those of the page allocator: not "try later" but "never". */
	if (!IS_ENABLED(CONFIG_DMA_CMA) && memory->size_bytes > PAGE_SIZE << MAX_PAGE_ORDER)
		return -EOPNOTSUPP;

	memory->dma_attrs = contiguous_dma_attrs(memory);
	cookie = dmab_system_alloc(memory->coherent, memory->size_bytes, phys_limit,
				   memory->dma_attrs, &memory->dma_address, &first);
	if (IS_ERR(cookie))
		return PTR_ERR(cookie);
	if (!cookie)
		return -ENOMEM;

	memory->dma_cookie = cookie;
	/* With DMA_ATTR_NO_KERNEL_MAPPING the cookie is not an address. */
	if (!(memory->attributes & DMABROKER_ATTR_NO_KERNEL_MAPPING))
		memory->vaddr = cookie;
	for (i = 0; i < memory->nr_pages; i++)
		memory->pages[i] = nth_page(first, i);
	return contiguous_zero(memory);
}

static void contiguous_free(struct dmab_memory *memory)
{
	if (memory->dma_cookie)
		dmab_system_free(memory->coherent, memory->size_bytes, memory->dma_cookie,
				 memory->dma_address, memory->dma_attrs);
	memory->dma_cookie = NULL;
}

const struct dmab_memory_ops dmab_contiguous_ops = {
	.region = "system",
	.synced = true,
	.alloc = contiguous_alloc,
	.free = contiguous_free,
};
