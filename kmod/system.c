// SPDX-License-Identifier: GPL-2.0
/*
 * The devices that this module allocates memory for: one that snoops the CPU caches and, where the
 * architecture knows such a thing, one that does not.
 *
 * Memory from dma_alloc_attrs() belongs to the device it was allocated for and must be gone before
 * that device's driver lets go of it. Real devices go away while programs still hold memory, so no
 * real device ever owns any: it gets a streaming mapping of memory that one of these devices owns.
 * They are on no bus, so no driver can be bound to them and nobody can unbind one. User space sees
 * both as the one device "system", because which of them is used follows from the devices that a
 * buffer is for.
 *
 * No IOMMU translates for them: what they get is physical memory, contiguous, at the address that
 * dma_alloc_attrs() returns.
 */
#include "system.h"

#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/mutex.h>

#if defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_DEVICE) || defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU) || \
	defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU_ALL)
#define HAS_NONCOHERENT 1
#else
#define HAS_NONCOHERENT 0
#endif

/**
 * struct system_device - one allocating device
 * @dev:   the root device that the memory belongs to
 * @mask:  what @dev->dma_mask points to
 * @limits: what @dev->dma_parms points to
 * @lock:  one allocation at a time: each has its own limit, which is the device's mask
 */
struct system_device {
	struct device *dev;
	u64 mask;
	struct device_dma_parameters limits;
	struct mutex lock; /* one allocation at a time */
};

static struct system_device systems[2]; /* [coherent] */

static void device_set_coherent(struct device *dev, bool coherent)
{
#if HAS_NONCOHERENT
	dev->dma_coherent = coherent;
#endif
}

static int system_device_init(struct system_device *system, bool coherent)
{
	struct device *dev;
	int err;

	mutex_init(&system->lock);
	dev = root_device_register(coherent ? "dmabroker-coherent" : "dmabroker-noncoherent");
	if (IS_ERR(dev))
		return PTR_ERR(dev);

	device_set_coherent(dev, coherent);
	dev->dma_mask = &system->mask;
	dev->dma_parms = &system->limits;
	dma_set_max_seg_size(dev, UINT_MAX);
	err = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (err) {
		root_device_unregister(dev);
		return err;
	}

	system->dev = dev;
	return 0;
}

static void system_device_fini(struct system_device *system)
{
	if (system->dev)
		root_device_unregister(system->dev);
	system->dev = NULL;
}

/**
 * dmab_system_init() - create the allocating devices
 *
 * Return: 0 or -errno.
 */
int dmab_system_init(void)
{
	int err;

	err = system_device_init(&systems[true], true);
	if (err)
		return err;
	if (HAS_NONCOHERENT) {
		err = system_device_init(&systems[false], false);
		if (err) {
			system_device_fini(&systems[true]);
			return err;
		}
	}
	return 0;
}

/**
 * dmab_system_fini() - remove the allocating devices, when all memory is back
 */
void dmab_system_fini(void)
{
	system_device_fini(&systems[false]);
	system_device_fini(&systems[true]);
}

/**
 * dmab_system_has() - can memory of this coherence be had
 * @coherent: for devices that snoop the CPU caches
 *
 * Return: true if so.
 */
bool dmab_system_has(bool coherent)
{
	return systems[coherent].dev;
}

/**
 * dmab_system_bounces() - does every mapping without an IOMMU go through bounce buffers
 *
 * The allocating devices reach all memory, so the only reason for the kernel to limit their
 * mappings is that it was told to bounce them all (swiotlb=force).
 *
 * Return: true if so.
 */
bool dmab_system_bounces(void)
{
	return dma_max_mapping_size(systems[true].dev) != SIZE_MAX;
}

/**
 * dmab_system_required_mask() - the mask that covers all memory of this machine
 *
 * Return: the mask.
 */
u64 dmab_system_required_mask(void)
{
	return dma_get_required_mask(systems[true].dev);
}

/**
 * dmab_system_alloc() - allocate contiguous memory
 * @coherent:   for devices that snoop the CPU caches
 * @size_bytes: a multiple of the page size
 * @phys_limit: the last address that is good
 * @dma_attrs:  DMA_ATTR_*
 * @ret_dma:    its address, for dmab_system_free()
 * @ret_page:   its first page; the others follow
 *
 * Return: what dma_alloc_attrs() returned, NULL if there is no such memory, or ERR_PTR(-EOPNOTSUPP)
 * if no memory of this machine is known to lie below the limit.
 */
void *dmab_system_alloc(bool coherent, size_t size_bytes, u64 phys_limit, unsigned long dma_attrs,
			dma_addr_t *ret_dma, struct page **ret_page)
{
	struct system_device *system = &systems[coherent];
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;
	struct sg_table sgt;
	dma_addr_t dma;
	void *cookie;

	mutex_lock(&system->lock);
	if (dma_set_coherent_mask(system->dev, phys_limit)) {
		mutex_unlock(&system->lock);
		return ERR_PTR(-EOPNOTSUPP);
	}
	cookie = dma_alloc_attrs(system->dev, size_bytes, &dma, gfp, dma_attrs);
	dma_set_coherent_mask(system->dev, DMA_BIT_MASK(64));
	mutex_unlock(&system->lock);
	if (!cookie)
		return NULL;

	if (dma_get_sgtable_attrs(system->dev, &sgt, cookie, dma, size_bytes, dma_attrs)) {
		dmab_system_free(coherent, size_bytes, cookie, dma, dma_attrs);
		return NULL;
	}
	*ret_dma = dma;
	*ret_page = sg_page(sgt.sgl);
	sg_free_table(&sgt);
	return cookie;
}

/**
 * dmab_system_free() - give contiguous memory back
 * @coherent:   as given to dmab_system_alloc()
 * @size_bytes: likewise
 * @cookie:     what it returned
 * @dma:        likewise
 * @dma_attrs:  as given
 */
void dmab_system_free(bool coherent, size_t size_bytes, void *cookie, dma_addr_t dma,
		      unsigned long dma_attrs)
{
	dma_free_attrs(systems[coherent].dev, size_bytes, cookie, dma, dma_attrs);
}

/**
 * dmab_system_clean() - empty the CPU caches of what was written through the kernel's linear map
 * @sgt: the memory
 *
 * Memory for devices that do not snoop is used through uncached mappings from here on. A line that
 * zeroing left dirty in the cache would be written over the user's data when it is evicted.
 *
 * Return: 0, -ENOMEM, or -EOPNOTSUPP where the kernel would bounce instead of clean.
 */
int dmab_system_clean(struct sg_table *sgt)
{
	struct device *dev = systems[false].dev;
	int err;

	if (dmab_system_bounces())
		return -EOPNOTSUPP;
	err = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
	if (err)
		return err == -ENOMEM ? -ENOMEM : -EOPNOTSUPP;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
	return 0;
}
