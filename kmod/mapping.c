// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings: a buffer as one device sees it.
 *
 * A mapping is an fd. Its last close unmaps, and when close() returns the device reaches nothing
 * any more: the device stops if this was its last mapping, what it has under way arrives, the
 * mapping goes and the IOTLB forgets it, in this order. When the device goes away first, the same
 * happens then, and the fd remains to say so.
 *
 * Segments are copied out of the scatter list once. They are what clients ask for again and again,
 * and a chained list of thousands would have to be walked each time.
 */
#include "mapping.h"

#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "buffer.h"
#include "device.h"
#include "events.h"
#include "registry.h"

static int mapping_copy_addresses(struct dmab_mapping *mapping, u64 mask)
{
	struct sg_table *sgt = &mapping->dma.sgt;
	struct scatterlist *sg;
	int i;

	mapping->segments = kvcalloc(sgt->nents, sizeof(*mapping->segments), DMAB_GFP_SIZED);
	if (!mapping->segments)
		return -ENOMEM;
	mapping->nr_segments = sgt->nents;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		mapping->segments[i].dma_address = sg_dma_address(sg);
		mapping->segments[i].length_bytes = sg_dma_len(sg);
		if (sg_dma_address(sg) + sg_dma_len(sg) - 1 > mask)
			return -ERANGE;
	}
	return 0;
}

/*
 * Most kernels unmap lazily: an address that was unmapped is free again only when a timer has gone
 * off, 10 ms later. A narrow device would be refused what it has just given back.
 */
#define ADDRESSES_RETURN_MS 25

static int mapping_map_patiently(struct dmab_mapping *mapping, u64 mask,
				 enum dma_data_direction direction, unsigned long attrs)
{
	struct dmab_device *device = mapping->device;
	unsigned long back = device->unmapped_at + msecs_to_jiffies(ADDRESSES_RETURN_MS);
	int err;

	err = dmab_dma_map(&mapping->dma, device->dev, mapping->buffer, mask, direction, attrs);
	if (err != -ENOSPC || !time_in_range(jiffies, device->unmapped_at, back))
		return err;
	msleep(jiffies_to_msecs(back - jiffies) + 1);
	return dmab_dma_map(&mapping->dma, device->dev, mapping->buffer, mask, direction, attrs);
}

/* The DMA API has one mask for a device; a narrower one lasts for the time of the call. */
static int mapping_map(struct dmab_mapping *mapping, u64 mask, enum dma_data_direction direction,
		       unsigned long attrs)
{
	struct device *dev = mapping->device->dev;
	u64 own_mask = dma_get_mask(dev);
	bool narrower = mapping->device->iommu && mask < own_mask;
	int err;

	if (narrower && dma_set_mask(dev, mask))
		return -ERANGE;
	err = mapping_map_patiently(mapping, mask, direction, attrs);
	if (narrower)
		dma_set_mask(dev, own_mask);
	if (err)
		return err;

	err = mapping_copy_addresses(mapping, mask);
	if (err)
		dmab_dma_unmap(&mapping->dma);
	return err;
}

static u64 mapping_attributes(const struct dmab_mapping *mapping)
{
	u64 attributes = 0;

	if (mapping->dma.attrs & DMA_ATTR_SKIP_CPU_SYNC)
		attributes |= DMABROKER_ATTR_SKIP_CPU_SYNC;
	if (mapping->dma.attrs & DMA_ATTR_WEAK_ORDERING)
		attributes |= DMABROKER_ATTR_WEAK_ORDERING;
	return attributes;
}

static unsigned long mapping_dma_attrs(const struct dmabroker_map *map)
{
	unsigned long attrs = 0;

	if (map->attributes & DMABROKER_ATTR_SKIP_CPU_SYNC)
		attrs |= DMA_ATTR_SKIP_CPU_SYNC;
	if (map->attributes & DMABROKER_ATTR_WEAK_ORDERING)
		attrs |= DMA_ATTR_WEAK_ORDERING;
	return attrs;
}

static int mapping_start(struct dmab_mapping *mapping, const struct dmabroker_map *map)
{
	struct dmab_device *device = mapping->device;
	unsigned int bits;
	bool entered;
	int err;

	lockdep_assert_held(&device->lock);

	if (device->gone)
		return -ENODEV;
	if (!dmab_device_is_usable(device))
		return -EOPNOTSUPP;
	bits = dmab_device_narrow_bits(device);
	if (map->mask_bits > bits)
		return -EINVAL;
	if (map->mask_bits)
		bits = map->mask_bits;

	err = dmab_account_enter(device, map->account, &entered);
	if (err)
		return err;
	err = mapping_map(mapping, DMA_BIT_MASK(bits), map->direction, mapping_dma_attrs(map));
	if (err) {
		if (entered)
			dmab_account_leave(device);
		return err;
	}

	mapping->attributes = mapping_attributes(mapping);
	dmab_device_add_mapping(device, &mapping->device_link);
	return 0;
}

/* The device's part of the end, at the close of the fd or when the device goes away. */
static void mapping_stop(struct dmab_mapping *mapping)
{
	struct dmab_device *device = mapping->device;

	lockdep_assert_held(&device->lock);

	dmab_device_quiesce(device);
	dmab_dma_unmap(&mapping->dma);
	dmab_device_remove_mapping(device, &mapping->device_link);
}

static void mapping_release(struct kref *ref)
{
	struct dmab_mapping *mapping = container_of(ref, struct dmab_mapping, ref);

	dmab_device_put(mapping->device);
	kvfree(mapping->segments);
	kfree(mapping);
}

/**
 * dmab_mapping_put() - drop a reference
 * @mapping: the mapping
 */
void dmab_mapping_put(struct dmab_mapping *mapping)
{
	kref_put(&mapping->ref, mapping_release);
}

/**
 * dmab_mapping_new() - let a device reach a buffer
 * @map:    a checked request
 * @buffer: of what; the mapping gets a reference of its own
 * @device: for whom; the caller's reference is consumed, in case of failure too
 * @ret:    the mapping, which nobody can see yet
 *
 * Return: 0 or one of the errors of DMABROKER_IOC_MAP.
 */
int dmab_mapping_new(const struct dmabroker_map *map, struct dmab_buffer *buffer,
		     struct dmab_device *device, struct dmab_mapping **ret)
{
	struct dmab_mapping *mapping;
	int err;

	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);
	if (!mapping) {
		dmab_device_put(device);
		return -ENOMEM;
	}
	kref_init(&mapping->ref);
	INIT_LIST_HEAD(&mapping->device_link);
	INIT_LIST_HEAD(&mapping->buffer_link);
	mapping->device = device;
	mapping->buffer = buffer;
	mapping->account = map->account;

	err = dmab_set_reserve(&dmab_mappings, &mapping->id);
	if (err)
		goto err_put;

	mutex_lock(&device->lock);
	err = mapping_start(mapping, map);
	mutex_unlock(&device->lock);
	if (err)
		goto err_cancel;

	dmab_buffer_get(buffer);
	*ret = mapping;
	return 0;

err_cancel:
	dmab_set_cancel(&dmab_mappings, mapping->id);
err_put:
	dmab_mapping_put(mapping);
	return err;
}

/* In order of ids, which is nearly always at the end: lists of a buffer's mappings go by id. */
static void mapping_link(struct dmab_mapping *mapping)
{
	struct list_head *place = &mapping->buffer->mappings;
	struct dmab_mapping *other;

	list_for_each_entry_reverse(other, &mapping->buffer->mappings, buffer_link) {
		if (other->id < mapping->id) {
			place = &other->buffer_link;
			break;
		}
	}
	list_add(&mapping->buffer_link, place);
	mapping->buffer->nr_mappings++;
}

/**
 * dmab_mapping_publish() - from now on it is listed
 * @mapping: a new mapping
 */
void dmab_mapping_publish(struct dmab_mapping *mapping)
{
	mutex_lock(&dmab_registry_lock);
	dmab_set_publish(&dmab_mappings, mapping->id, mapping);
	mapping_link(mapping);
	mapping->published = true;
	/* The device went away since: nobody could be told then. */
	if (mapping->ended)
		dmab_event_emit(DMABROKER_EVENT_MAPPING_ENDED, mapping->device->id, mapping->id);
	mutex_unlock(&dmab_registry_lock);
}

/**
 * dmab_mapping_close() - the last close of the fd, or the end of one that got no fd
 * @mapping: the mapping; the reference of the fd is consumed
 */
void dmab_mapping_close(struct dmab_mapping *mapping)
{
	mutex_lock(&mapping->device->lock);
	if (!mapping->ended)
		mapping_stop(mapping);
	mutex_unlock(&mapping->device->lock);

	if (mapping->published) {
		mutex_lock(&dmab_registry_lock);
		mapping->ended = true;
		list_del_init(&mapping->buffer_link);
		mapping->buffer->nr_mappings--;
		dmab_set_remove(&dmab_mappings, mapping->id);
		dmab_event_emit(DMABROKER_EVENT_MAPPING_FREED, mapping->device->id, mapping->id);
		mutex_unlock(&dmab_registry_lock);
	} else {
		dmab_set_cancel(&dmab_mappings, mapping->id);
	}

	dmab_buffer_put(mapping->buffer);
	dmab_mapping_put(mapping);
}

/**
 * dmab_mapping_end_all() - the device is going away
 * @device: the device, its lock held
 */
void dmab_mapping_end_all(struct dmab_device *device)
{
	struct dmab_mapping *mapping, *next;

	lockdep_assert_held(&device->lock);

	list_for_each_entry_safe(mapping, next, &device->mappings, device_link) {
		mapping_stop(mapping);
		mutex_lock(&dmab_registry_lock);
		mapping->ended = true;
		if (mapping->published)
			dmab_event_emit(DMABROKER_EVENT_MAPPING_ENDED, device->id, mapping->id);
		mutex_unlock(&dmab_registry_lock);
	}
}

/**
 * dmab_mapping_by_id() - find a live mapping
 * @id: its id
 *
 * Return: a reference that keeps the struct but not the mapping alive, or NULL.
 */
struct dmab_mapping *dmab_mapping_by_id(u64 id)
{
	struct dmab_mapping *mapping;

	mutex_lock(&dmab_registry_lock);
	mapping = dmab_set_find(&dmab_mappings, id);
	if (mapping)
		kref_get(&mapping->ref);
	mutex_unlock(&dmab_registry_lock);
	return mapping;
}

/**
 * dmab_mapping_has_ended() - is nothing mapped any more
 * @mapping: the mapping
 *
 * Return: true if so.
 */
bool dmab_mapping_has_ended(struct dmab_mapping *mapping)
{
	bool ended;

	mutex_lock(&dmab_registry_lock);
	ended = mapping->ended;
	mutex_unlock(&dmab_registry_lock);
	return ended;
}

/**
 * dmab_mapping_describe() - what lists show
 * @mapping: the mapping
 * @ret:     where to
 */
void dmab_mapping_describe(const struct dmab_mapping *mapping, struct dmabroker_mapping *ret)
{
	lockdep_assert_held(&dmab_registry_lock);

	memset(ret, 0, sizeof(*ret));
	ret->id = mapping->id;
	ret->buffer_id = mapping->buffer->id;
	ret->device_id = mapping->device->id;
	ret->direction = mapping->dma.direction;
	ret->attributes = mapping->attributes;
	ret->size_bytes = mapping->buffer->memory.size_bytes;
	if (mapping->attributes & DMABROKER_ATTR_SKIP_CPU_SYNC)
		ret->flags |= DMABROKER_MAP_SKIPPED_CPU_SYNC;
	if (mapping->ended)
		ret->flags |= DMABROKER_MAP_DEVICE_GONE;
	else
		ret->nr_segments = mapping->nr_segments;
	ret->account = mapping->account;
}

/**
 * dmab_mapping_copy_segments() - tell user space what the device sees
 * @mapping:   the mapping
 * @entries:   user pointer to an array of struct dmabroker_mapping_segment
 * @first:     number of the first one wanted
 * @capacity:  how many fit
 * @ret_count: how many were written
 * @ret_total: how many there are
 *
 * Return: 0, -EINVAL, -EFAULT, -ENODEV.
 */
int dmab_mapping_copy_segments(struct dmab_mapping *mapping, u64 entries, u32 first, u32 capacity,
			       u32 *ret_count, u32 *ret_total)
{
	u32 count = 0;

	if (capacity < 1 || capacity > 65536)
		return -EINVAL;
	if (dmab_mapping_has_ended(mapping))
		return -ENODEV;

	if (first < mapping->nr_segments)
		count = min(capacity, mapping->nr_segments - first);
	if (count && copy_to_user(u64_to_user_ptr(entries), mapping->segments + first,
				  count * sizeof(*mapping->segments)))
		return -EFAULT;

	*ret_count = count;
	*ret_total = mapping->nr_segments;
	return 0;
}
