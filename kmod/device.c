// SPDX-License-Identifier: GPL-2.0
/*
 * Devices: what a stub driver is bound to, and the entry "system" for no particular one.
 *
 * How many address bits a device drives is something only its own driver knows, and that driver is
 * not there. Every device starts with the kernel's own assumption of 32 bits, also when an earlier
 * driver has left another mask behind, and the administrator sets the real figure. A figure that
 * cannot work makes the device unusable, with the reason where lists show it.
 *
 * When the stub lets go, the mappings end before the stub's remove() returns; the struct lives on
 * for as long as mapping fds refer to it, to answer that it is gone.
 */
#include "device.h"

#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "dma.h"
#include "events.h"
#include "mapping.h"
#include "registry.h"

#define DEFAULT_MASK_BITS 32

/* Fewer pages of address space than this are no use to anybody. */
#define IOMMU_PAGES_MIN 16

static struct dmab_device *system_device;

static void device_changed(struct dmab_device *device, u32 type)
{
	lockdep_assert_held(&dmab_registry_lock);
	dmab_event_emit(type, device->id, 0);
}

/* Behind an IOMMU the kernel accepts every mask, even one that no address fits. */
static bool iommu_can_serve(struct device *dev, u64 mask)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	u64 first = max_t(u64, domain->geometry.aperture_start, PAGE_SIZE);

	return mask >= first && mask - first >= IOMMU_PAGES_MIN * PAGE_SIZE - 1;
}

/* Sets the masks of the struct device, or says why they cannot work. */
static void device_try_masks(struct dmab_device *device, unsigned int streaming_bits,
			     unsigned int coherent_bits, char *reason)
{
	unsigned int narrow = min(streaming_bits, coherent_bits);

	reason[0] = '\0';
	if (device->iommu) {
		if (!iommu_can_serve(device->dev, DMA_BIT_MASK(narrow))) {
			scnprintf(reason, DMABROKER_REASON_SIZE,
				  "a %u-bit mask leaves no room for mappings behind the IOMMU",
				  narrow);
			return;
		}
	}
	if (dma_set_mask(device->dev, DMA_BIT_MASK(streaming_bits)) ||
	    dma_set_coherent_mask(device->dev, DMA_BIT_MASK(coherent_bits)))
		scnprintf(reason, DMABROKER_REASON_SIZE,
			  "no memory lies below its %u-bit mask and no IOMMU translates for it",
			  narrow);
}

/**
 * dmab_device_set_masks() - how many address bits the device drives
 * @device:         the device
 * @streaming_bits: in mappings; 0 leaves it as it is
 * @coherent_bits:  for coherent memory; 0 leaves it as it is
 *
 * A mask that cannot work is remembered all the same, because it is what the device has: it becomes
 * unusable and the kernel log says why.
 *
 * Return: 0, -EBUSY while a mapping lives, -ENODEV.
 */
int dmab_device_set_masks(struct dmab_device *device, unsigned int streaming_bits,
			  unsigned int coherent_bits)
{
	char reason[DMABROKER_REASON_SIZE];
	int err = 0;

	mutex_lock(&device->lock);
	if (device->gone) {
		err = -ENODEV;
		goto out;
	}
	if (device->nr_mappings) {
		err = -EBUSY;
		goto out;
	}

	streaming_bits = streaming_bits ?: device->streaming_bits;
	coherent_bits = coherent_bits ?: device->coherent_bits;
	device_try_masks(device, streaming_bits, coherent_bits, reason);
	if (reason[0])
		dev_warn(device->dev, "left out: %s\n", reason);

	mutex_lock(&dmab_registry_lock);
	device->streaming_bits = streaming_bits;
	device->coherent_bits = coherent_bits;
	strscpy(device->reason, reason, sizeof(device->reason));
	device_changed(device, DMABROKER_EVENT_DEVICE_CHANGED);
	mutex_unlock(&dmab_registry_lock);
out:
	mutex_unlock(&device->lock);
	return err;
}

static struct dmab_device *device_new(void)
{
	struct dmab_device *device = kzalloc(sizeof(*device), GFP_KERNEL);

	if (!device)
		return NULL;
	kref_init(&device->ref);
	mutex_init(&device->lock);
	INIT_LIST_HEAD(&device->mappings);
	if (dmab_set_reserve(&dmab_devices, &device->id)) {
		kfree(device);
		return NULL;
	}
	return device;
}

static void device_publish(struct dmab_device *device)
{
	mutex_lock(&dmab_registry_lock);
	dmab_set_publish(&dmab_devices, device->id, device);
	device_changed(device, DMABROKER_EVENT_DEVICE_ADDED);
	mutex_unlock(&dmab_registry_lock);
}

static void device_withdraw(struct dmab_device *device)
{
	mutex_lock(&dmab_registry_lock);
	dmab_set_remove(&dmab_devices, device->id);
	device_changed(device, DMABROKER_EVENT_DEVICE_REMOVED);
	mutex_unlock(&dmab_registry_lock);
}

/**
 * dmab_device_init_system() - the entry "system", before any other device: its id is 1
 *
 * Return: 0 or -ENOMEM.
 */
int dmab_device_init_system(void)
{
	system_device = device_new();
	if (!system_device)
		return -ENOMEM;

	strscpy(system_device->name, "system", sizeof(system_device->name));
	system_device->coherent = true;
	system_device->streaming_bits = 64;
	system_device->coherent_bits = 64;
	device_publish(system_device);
	return 0;
}

/**
 * dmab_device_fini_system() - at the end of the module
 */
void dmab_device_fini_system(void)
{
	device_withdraw(system_device);
	dmab_device_put(system_device);
}

/**
 * dmab_device_register() - a stub driver has got a device
 * @dev: the device, enabled, bus mastering off
 * @ops: of its bus
 * @ret: the device; dmab_device_unregister() ends it
 *
 * Return: 0 or -ENOMEM.
 */
int dmab_device_register(struct device *dev, const struct dmab_device_ops *ops,
			 struct dmab_device **ret)
{
	struct dmab_device *device = device_new();

	if (!device)
		return -ENOMEM;

	device->ops = ops;
	device->dev = dev;
	scnprintf(device->name, sizeof(device->name), "%s:%s", ops->bus, dev_name(dev));
	device->group = iommu_group_get(dev);
	device->coherent = dev_is_dma_coherent(dev);
	device->iommu = dmab_dma_translates(dev);
	device->streaming_bits = DEFAULT_MASK_BITS;
	device->coherent_bits = DEFAULT_MASK_BITS;
	device_try_masks(device, DEFAULT_MASK_BITS, DEFAULT_MASK_BITS, device->reason);
	if (device->reason[0])
		dev_warn(dev, "left out: %s\n", device->reason);

	/* The defaults of 64 KiB and 4 GiB would cut mappings into pieces. */
	dma_set_max_seg_size(dev, UINT_MAX);
	dma_set_seg_boundary(dev, ULONG_MAX);

	device_publish(device);
	*ret = device;
	return 0;
}

/**
 * dmab_device_unregister() - the stub driver lets go
 * @device: the device; it reaches no buffer any more when this returns
 */
void dmab_device_unregister(struct dmab_device *device)
{
	mutex_lock(&device->lock);
	dmab_mapping_end_all(device);
	device->gone = true;
	mutex_unlock(&device->lock);

	device_withdraw(device);
	iommu_group_put(device->group);
	dmab_device_put(device);
}

static void device_release(struct kref *ref)
{
	kfree(container_of(ref, struct dmab_device, ref));
}

/**
 * dmab_device_put() - drop a reference
 * @device: the device
 */
void dmab_device_put(struct dmab_device *device)
{
	kref_put(&device->ref, device_release);
}

/**
 * dmab_device_by_id() - find a device
 * @id: its id
 *
 * Return: a reference to it or NULL.
 */
struct dmab_device *dmab_device_by_id(u32 id)
{
	struct dmab_device *device;

	mutex_lock(&dmab_registry_lock);
	device = dmab_set_find(&dmab_devices, id);
	if (device)
		kref_get(&device->ref);
	mutex_unlock(&dmab_registry_lock);
	return device;
}

/**
 * dmab_device_is_system() - is it the entry for no particular device
 * @device: the device
 *
 * Return: true if so.
 */
bool dmab_device_is_system(const struct dmab_device *device)
{
	return !device->dev;
}

/**
 * dmab_device_is_usable() - can buffers be mapped for it
 * @device: the device, with its lock or dmab_registry_lock held
 *
 * Return: true if so.
 */
bool dmab_device_is_usable(const struct dmab_device *device)
{
	return !device->reason[0];
}

/**
 * dmab_device_narrow_bits() - address bits that every kind of memory can rely on
 * @device: the device, with its lock or dmab_registry_lock held
 *
 * Memory of the coherent kinds obeys both masks, since it is coherent memory that is reached
 * through a mapping.
 *
 * Return: the number of bits.
 */
unsigned int dmab_device_narrow_bits(const struct dmab_device *device)
{
	return min(device->streaming_bits, device->coherent_bits);
}

/**
 * dmab_device_add_mapping() - a mapping has been made: the device may start transactions
 * @device: the device
 * @link:   of the mapping
 */
void dmab_device_add_mapping(struct dmab_device *device, struct list_head *link)
{
	lockdep_assert_held(&device->lock);

	list_add_tail(link, &device->mappings);
	if (!device->master)
		device->ops->master_on(device->dev);

	mutex_lock(&dmab_registry_lock);
	device->nr_mappings++;
	device->master = true;
	mutex_unlock(&dmab_registry_lock);
}

/**
 * dmab_device_quiesce() - the device stops before its last mapping goes
 * @device: the device
 *
 * Does nothing while another mapping needs it running; then the IOMMU alone ends access.
 */
void dmab_device_quiesce(struct dmab_device *device)
{
	lockdep_assert_held(&device->lock);

	if (device->nr_mappings > 1 || !device->master)
		return;
	device->ops->master_off(device->dev);

	mutex_lock(&dmab_registry_lock);
	device->master = false;
	mutex_unlock(&dmab_registry_lock);
}

/**
 * dmab_device_remove_mapping() - a mapping has been unmapped
 * @device: the device
 * @link:   of the mapping
 */
void dmab_device_remove_mapping(struct dmab_device *device, struct list_head *link)
{
	lockdep_assert_held(&device->lock);

	list_del_init(link);
	device->unmapped_at = jiffies;
	mutex_lock(&dmab_registry_lock);
	device->nr_mappings--;
	mutex_unlock(&dmab_registry_lock);
}

static int member_is_foreign(struct device *dev, void *data)
{
	const struct dmab_device_ops *ops = data;

	return !ops->is_ours(dev);
}

/* Devices of one group are not kept apart by the IOMMU: the other one reaches the same memory. */
static bool group_is_shared(const struct dmab_device *device)
{
	if (!device->group)
		return false;
	return iommu_group_for_each_dev(device->group, (void *)device->ops, member_is_foreign);
}

/**
 * dmab_device_describe() - what lists show
 * @device: a published device
 * @ret:    where to
 */
void dmab_device_describe(const struct dmab_device *device, struct dmabroker_device *ret)
{
	lockdep_assert_held(&dmab_registry_lock);

	memset(ret, 0, sizeof(*ret));
	ret->id = device->id;
	ret->streaming_mask_bits = device->streaming_bits;
	ret->coherent_mask_bits = device->coherent_bits;
	ret->nr_mappings = device->nr_mappings;
	ret->account = device->account;
	strscpy(ret->name, device->name, sizeof(ret->name));
	strscpy(ret->reason, device->reason, sizeof(ret->reason));
	if (device->coherent)
		ret->flags |= DMABROKER_DEVICE_COHERENT;
	if (dmab_device_is_usable(device))
		ret->flags |= DMABROKER_DEVICE_USABLE;
	if (dmab_device_is_system(device)) {
		ret->flags |= DMABROKER_DEVICE_SYSTEM;
		ret->max_segment_bytes = UINT_MAX;
		strscpy(ret->bus, "system", sizeof(ret->bus));
		return;
	}

	ret->max_segment_bytes = dma_get_max_seg_size(device->dev);
	strscpy(ret->bus, device->ops->bus, sizeof(ret->bus));
	if (device->iommu)
		ret->flags |= DMABROKER_DEVICE_IOMMU;
	if (device->master)
		ret->flags |= DMABROKER_DEVICE_MASTER;
	if (device->ops->can_reset(device->dev))
		ret->flags |= DMABROKER_DEVICE_RESET;
	if (group_is_shared(device))
		ret->flags |= DMABROKER_DEVICE_SHARED;
}
