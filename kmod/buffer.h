/* SPDX-License-Identifier: GPL-2.0 */
/* Buffers; see buffer.c. */
#ifndef DMABROKER_BUFFER_H
#define DMABROKER_BUFFER_H

#include <linux/dma-direction.h>
#include <linux/dma-resv.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include <linux/dmabroker.h>

#include "memory.h"

/**
 * struct dmab_buffer - memory with an id, held by everything that can reach it
 * @ref:         one for each dma-buf and each mapping; a dma-buf lives as long as its fds, mmaps
 *               and importers
 * @id:          its id
 * @published:   whether user space has ever been told the id
 * @memory:      the memory
 * @direction:   the widest direction that a mapping may have
 * @resv:        the reservation object of all its dma-bufs
 * @lock:        one page fault at a time; @synced
 * @synced:      the CPU sync has been done, by a mapping or at allocation. Written under @lock
 * @mappings:    of struct dmab_mapping, by id. Under dmab_registry_lock, as all that follows
 * @nr_mappings: how many
 * @syncs_done:  see struct dmabroker_buffer
 * @syncs_saved: likewise
 * @cookie:      likewise
 */
struct dmab_buffer {
	struct kref ref;
	u64 id;
	bool published;
	struct dmab_memory memory;
	enum dma_data_direction direction;
	struct dma_resv resv;
	struct mutex lock; /* of page faults and @synced */
	bool synced;
	struct list_head mappings;
	u32 nr_mappings;
	u64 syncs_done;
	u64 syncs_saved;
	u8 cookie[DMABROKER_COOKIE_SIZE];
};

int dmab_buffer_new(const struct dmabroker_alloc *alloc, bool coherent, u64 phys_limit,
		    struct dmab_buffer **ret);
void dmab_buffer_publish(struct dmab_buffer *buffer);
struct dmab_buffer *dmab_buffer_get(struct dmab_buffer *buffer);
void dmab_buffer_put(struct dmab_buffer *buffer);
struct dmab_buffer *dmab_buffer_by_id(u64 id);
void dmab_buffer_describe(const struct dmab_buffer *buffer, struct dmabroker_buffer *ret);
void dmab_buffer_count_sync(struct dmab_buffer *buffer, bool skipped);
int dmab_buffer_check_direction(const struct dmab_buffer *buffer, bool read_only,
				enum dma_data_direction direction);
u64 dmab_buffer_live_bytes(void);

#endif /* DMABROKER_BUFFER_H */
