// SPDX-License-Identifier: GPL-2.0
/*
 * dma_map_sgtable() with what the DMA API leaves to its caller.
 *
 * Before: without an IOMMU every piece is compared with the mask, because the kernel would bounce
 * what lies too high, or WARN where it cannot bounce. After: a mapping that bounces all the same
 * (swiotlb=force) is refused, since user space writes to the memory and not to the bounce buffer.
 * At the end: kernels unmap lazily by default, and a device could go on using an address from the
 * IOTLB for milliseconds after the memory has been given to somebody else. The flush ends that.
 *
 * The first mapping of a buffer does the CPU sync and later ones skip it. Memory of the coherent
 * kinds needs none as such; the one sync makes sure that nothing which happened to the pages before
 * is left in a cache on the device's own path, and makes the cost visible where there is any. For
 * memory from dma_alloc_attrs() the allocation was the sync: the DMA API forbids another one, which
 * would go through a mapping of the memory that is not the one in use.
 */
#include "dma.h"

#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>

#include "buffer.h"
#include "system.h"

static struct iommu_domain *translating_domain(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	/* device_iommu_mapped() is true with iommu=pt too, where nothing is translated. */
	return domain && (domain->type & __IOMMU_DOMAIN_PAGING) ? domain : NULL;
}

/**
 * dmab_dma_translates() - does an IOMMU stand between the device and memory
 * @dev: a device with a driver
 *
 * Return: true if it sees only what is mapped for it.
 */
bool dmab_dma_translates(struct device *dev)
{
	return translating_domain(dev);
}

static int sgt_check_mask(struct device *dev, const struct sg_table *sgt, u64 mask)
{
	u64 limit = min_not_zero(mask, dev->bus_dma_limit);
	struct scatterlist *sg;
	int i;

	for_each_sgtable_sg(sgt, sg, i) {
		dma_addr_t dma = phys_to_dma(dev, sg_phys(sg));

		if (dma == DMA_MAPPING_ERROR || dma + sg->length - 1 > limit)
			return -ERANGE;
	}
	return 0;
}

/* No flag of the DMA API tells this for every path: compare the addresses. */
static bool sgt_bounces(struct device *dev, const struct sg_table *sgt, struct iommu_domain *domain)
{
	dma_addr_t dma = sg_dma_address(sgt->sgl);

	if (domain)
		return iommu_iova_to_phys(domain, dma) != sg_phys(sgt->sgl);
	return dma != phys_to_dma(dev, sg_phys(sgt->sgl));
}

/*
 * Out of memory or out of addresses: the DMA API says -ENOMEM to both. What it allocates for a
 * mapping is small; if the machine has that much, addresses ran out.
 */
static int map_error(int err, struct iommu_domain *domain)
{
	if (err != -ENOMEM)
		return -EOPNOTSUPP;
	if (domain && si_mem_available() > (long)(SZ_8M >> PAGE_SHIFT))
		return -ENOSPC;
	return -ENOMEM;
}

static int map_locked(struct dmab_dma *dma, struct dmab_buffer *buffer, struct iommu_domain *domain)
{
	bool asked = dma->attrs & DMA_ATTR_SKIP_CPU_SYNC;
	int err;

	lockdep_assert_held(&buffer->lock);

	if (buffer->synced)
		dma->attrs |= DMA_ATTR_SKIP_CPU_SYNC;
	err = dma_map_sgtable(dma->dev, &dma->sgt, dma->direction, dma->attrs);
	if (err)
		return map_error(err, domain);
	if (sgt_bounces(dma->dev, &dma->sgt, domain)) {
		dma_unmap_sgtable(dma->dev, &dma->sgt, dma->direction, dma->attrs);
		return -EOPNOTSUPP;
	}

	if (buffer->synced || !asked)
		dmab_buffer_count_sync(buffer, buffer->synced);
	if (!asked)
		buffer->synced = true;
	return 0;
}

/**
 * dmab_dma_map() - let a device reach a buffer
 * @dma:       the mapping, filled on success
 * @dev:       the device
 * @buffer:    the buffer
 * @mask:      the highest address that the device drives
 * @direction: checked by the caller
 * @attrs:     DMA_ATTR_*; DMA_ATTR_SKIP_CPU_SYNC is added where it is safe
 *
 * Return: 0, -EXDEV if the device is not of the coherence that the memory is for, -ERANGE if the
 * memory lies beyond the mask, -ENOSPC if the device's addresses are used up, -ENOMEM, or
 * -EOPNOTSUPP if the kernel can map it only through bounce buffers or not at all.
 */
int dmab_dma_map(struct dmab_dma *dma, struct device *dev, struct dmab_buffer *buffer, u64 mask,
		 enum dma_data_direction direction, unsigned long attrs)
{
	struct iommu_domain *domain = translating_domain(dev);
	int err;

	if (dev_is_dma_coherent(dev) != buffer->memory.coherent)
		return -EXDEV;
	if (!dev->dma_mask || (!domain && dmab_system_bounces()))
		return -EOPNOTSUPP;
	/* The allocator of addresses is not prepared for this; page 0 is never used. */
	if (domain && (mask < PAGE_SIZE || buffer->memory.size_bytes - 1 > mask - PAGE_SIZE))
		return -ENOSPC;

	dma->dev = dev;
	dma->direction = direction;
	dma->attrs = attrs;
	err = dmab_memory_sg_init(&buffer->memory, dma_get_max_seg_size(dev), &dma->sgt);
	if (err)
		return err;

	if (!domain)
		err = sgt_check_mask(dev, &dma->sgt, mask);
	if (!err) {
		mutex_lock(&buffer->lock);
		err = map_locked(dma, buffer, domain);
		mutex_unlock(&buffer->lock);
	}
	if (err)
		sg_free_table(&dma->sgt);
	return err;
}

/**
 * dmab_dma_unmap() - the device reaches nothing of it when this returns
 * @dma: from dmab_dma_map()
 */
void dmab_dma_unmap(struct dmab_dma *dma)
{
	struct iommu_domain *domain = translating_domain(dma->dev);

	dma_unmap_sgtable(dma->dev, &dma->sgt, dma->direction, dma->attrs);
	if (domain)
		iommu_flush_iotlb_all(domain);
	sg_free_table(&dma->sgt);
}
