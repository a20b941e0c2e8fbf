/* SPDX-License-Identifier: GPL-2.0 */
/* A buffer as one device sees it; see mapping.c. */
#ifndef DMABROKER_MAPPING_H
#define DMABROKER_MAPPING_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/types.h>

#include <linux/dmabroker.h>

#include "dma.h"

struct dmab_buffer;
struct dmab_device;

/**
 * struct dmab_mapping - what a mapping fd stands for
 * @ref:          one for the fd; others only keep the struct, not what it stands for
 * @id:           its id
 * @published:    whether user space has ever been told the id
 * @buffer:       of what; a reference, until the fd is closed
 * @device:       for whom; a reference
 * @device_link:  in the device's list, under its lock
 * @buffer_link:  in the buffer's list, under dmab_registry_lock
 * @dma:          the DMA API's side; valid until @ended
 * @ended:        the device is gone and nothing is mapped. Written under the device's lock and
 *                dmab_registry_lock
 * @account:      who uses the device
 * @attributes:   DMABROKER_ATTR_* that took effect
 * @segments:     what the device sees, immutable
 * @nr_segments:  how many
 */
struct dmab_mapping {
	struct kref ref;
	u64 id;
	bool published;
	struct dmab_buffer *buffer;
	struct dmab_device *device;
	struct list_head device_link;
	struct list_head buffer_link;
	struct dmab_dma dma;
	bool ended;
	u64 account;
	u64 attributes;
	struct dmabroker_mapping_segment *segments;
	u32 nr_segments;
};

int dmab_mapping_new(const struct dmabroker_map *map, struct dmab_buffer *buffer,
		     struct dmab_device *device, struct dmab_mapping **ret);
void dmab_mapping_publish(struct dmab_mapping *mapping);
void dmab_mapping_close(struct dmab_mapping *mapping);
void dmab_mapping_put(struct dmab_mapping *mapping);
struct dmab_mapping *dmab_mapping_by_id(u64 id);
bool dmab_mapping_has_ended(struct dmab_mapping *mapping);
void dmab_mapping_end_all(struct dmab_device *device);
void dmab_mapping_describe(const struct dmab_mapping *mapping, struct dmabroker_mapping *ret);
int dmab_mapping_copy_segments(struct dmab_mapping *mapping, u64 entries, u32 first, u32 capacity,
			       u32 *ret_count, u32 *ret_total);

struct file *dmab_mapping_file_new(struct dmab_mapping *mapping);

#endif /* DMABROKER_MAPPING_H */
