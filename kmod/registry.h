/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The sets of live buffers, mappings and devices, by id.
 *
 * Locks of the module, outermost first. A lock may be taken while those above it are held:
 *
 *	mmap_lock, a dma-buf's reservation lock    the kernel's
 *	device->lock                               one device: its mappings, masks, bus mastering
 *	buffer->lock                               one buffer: page faults, who does the CPU sync
 *	dmab_registry_lock                         ids, lists, everything a list shows
 *	the events' spinlock                       the ring of events
 *
 * mmap_lock and device->lock are never held together, and nothing touches user memory while it
 * holds any of them.
 *
 * What a list shows changes only under dmab_registry_lock, together with the event that tells of
 * the change: that is what lets lists and events share one sequence number. Such a field may be
 * read under dmab_registry_lock or under the object's own lock.
 */
#ifndef DMABROKER_REGISTRY_H
#define DMABROKER_REGISTRY_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/xarray.h>

/**
 * struct dmab_set - objects of one type by id
 * @entries: the published objects
 * @last_id: the id given out last; ids are never used again
 * @count:   how many are published
 */
struct dmab_set {
	struct xarray entries;
	u64 last_id;
	u64 count;
};

extern struct mutex dmab_registry_lock;
extern struct dmab_set dmab_buffers;
extern struct dmab_set dmab_mappings;
extern struct dmab_set dmab_devices;

int dmab_set_reserve(struct dmab_set *set, u64 *ret_id);
void dmab_set_cancel(struct dmab_set *set, u64 id);
void dmab_set_publish(struct dmab_set *set, u64 id, void *entry);
void dmab_set_remove(struct dmab_set *set, u64 id);
void *dmab_set_find(struct dmab_set *set, u64 id);

#endif /* DMABROKER_REGISTRY_H */
