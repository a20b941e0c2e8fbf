// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of a buffer: pages, the one memory type that they have, and the kernel mapping.
 *
 * There are two ways to get pages. Where memory must be contiguous it comes from dma_alloc_attrs()
 * on one of the module's own devices (contiguous.c), which knows CMA. Where it need not be, the
 * pages are the module's own and scattered (pages.c): an IOMMU shows them to a device as one
 * segment, and without an IOMMU the device gets a list. Both end as the same array of pages, so
 * that page faults, kernel mappings and scatter lists need no second version.
 *
 * Memory for devices that do not snoop is never used through a cached mapping: user and kernel
 * mappings get the page protection that the DMA API would give to coherent memory of such a device.
 */
#include "memory.h"

#include <linux/dma-map-ops.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>

#include "system.h"

/*
 * A refusal must come before the machine is so full that the next page fault of somebody else wakes
 * the OOM killer. si_mem_available() counts free CMA pages, which only contiguous memory can use.
 */
static bool machine_is_full(const struct dmab_memory *memory)
{
	const unsigned long mib = SZ_1M >> PAGE_SHIFT;
	unsigned long needed = clamp(totalram_pages() / 32, 16 * mib, 512 * mib);
	unsigned long cma = 0;

	if (IS_ENABLED(CONFIG_CMA))
		cma = global_zone_page_state(NR_FREE_CMA_PAGES);
	if (memory->ops == &dmab_pages_ops || cma < memory->nr_pages)
		needed += memory->nr_pages;
	return si_mem_available() < (long)(needed + cma);
}

/* vmap() rather than the linear map even for contiguous own pages: their type may differ. */
static int memory_map_kernel(struct dmab_memory *memory)
{
	if (memory->vaddr || (memory->attributes & DMABROKER_ATTR_NO_KERNEL_MAPPING))
		return 0;
	memory->vaddr = vmap(memory->pages, memory->nr_pages, VM_MAP,
			     dmab_memory_pgprot(memory, PAGE_KERNEL));
	return memory->vaddr ? 0 : -ENOMEM;
}

/* What was obtained; physically, whatever a device sees. */
static void memory_measure(struct dmab_memory *memory)
{
	unsigned long first = page_to_pfn(memory->pages[0]);
	unsigned long i = 1;

	while (i < memory->nr_pages && page_to_pfn(memory->pages[i]) == first + i)
		i++;
	memory->contiguous = i == memory->nr_pages;
	memory->alignment_bytes = 1ULL << __ffs64(PFN_PHYS(first));
}

/**
 * dmab_memory_init() - get memory
 * @memory:     zero but for @ops, @size_bytes, @kind, @attributes, @coherent
 * @phys_limit: the last physical address that is good
 *
 * Return: 0, -ENOMEM, or -EOPNOTSUPP if this machine can never give such memory. After a failure
 * nothing needs to be undone.
 */
int dmab_memory_init(struct dmab_memory *memory, u64 phys_limit)
{
	int err;

	memory->nr_pages = memory->size_bytes >> PAGE_SHIFT;
	if (memory->nr_pages > totalram_pages() || machine_is_full(memory))
		return -ENOMEM;

	memory->pages = kvcalloc(memory->nr_pages, sizeof(*memory->pages), DMAB_GFP_SIZED);
	if (!memory->pages)
		return -ENOMEM;

	err = memory->ops->alloc(memory, phys_limit);
	if (!err)
		err = memory_map_kernel(memory);
	if (err) {
		dmab_memory_fini(memory);
		return err;
	}
	memory_measure(memory);
	return 0;
}

/**
 * dmab_memory_fini() - give memory back
 * @memory: from dmab_memory_init()
 */
void dmab_memory_fini(struct dmab_memory *memory)
{
	if (memory->vaddr && memory->vaddr != memory->dma_cookie)
		vunmap(memory->vaddr);
	memory->vaddr = NULL;
	memory->ops->free(memory);
	kvfree(memory->pages);
	memory->pages = NULL;
}

/**
 * dmab_memory_effective_kind() - what the memory is, whatever was asked for
 * @memory: the memory
 *
 * Where devices snoop, the DMA API ignores every wish for another page protection: write-combine
 * memory is cached and coherent there.
 *
 * Return: DMABROKER_KIND_*.
 */
u32 dmab_memory_effective_kind(const struct dmab_memory *memory)
{
	if (memory->kind == DMABROKER_KIND_WRITECOMBINE && memory->coherent)
		return DMABROKER_KIND_COHERENT;
	return memory->kind;
}

/**
 * dmab_memory_pgprot() - the page protection of every mapping of the memory
 * @memory: the memory
 * @prot:   the protection for ordinary memory
 *
 * The same rule as dma_pgprot(), which modules cannot call.
 *
 * Return: the protection.
 */
pgprot_t dmab_memory_pgprot(const struct dmab_memory *memory, pgprot_t prot)
{
	if (memory->coherent)
		return prot;
	if (IS_ENABLED(CONFIG_ARCH_HAS_DMA_WRITE_COMBINE) &&
	    memory->kind == DMABROKER_KIND_WRITECOMBINE)
		return pgprot_writecombine(prot);
	return pgprot_dmacoherent(prot);
}

/**
 * dmab_memory_sg_init() - describe the memory for dma_map_sgtable()
 * @memory:            the memory
 * @max_segment_bytes: of the device that it will be mapped for
 * @ret:               the table; sg_free_table() ends it
 *
 * Return: 0 or -ENOMEM.
 */
int dmab_memory_sg_init(const struct dmab_memory *memory, unsigned int max_segment_bytes,
			struct sg_table *ret)
{
	return sg_alloc_table_from_pages_segment(ret, memory->pages, memory->nr_pages, 0,
						 memory->size_bytes,
						 max_t(size_t, max_segment_bytes, PAGE_SIZE),
						 DMAB_GFP_SIZED);
}
