// SPDX-License-Identifier: GPL-2.0
/*
 * A buffer: memory that user space and devices share.
 *
 * The module keeps none alive. References are held by its dma-bufs (there is one for each time that
 * it was opened, so that each can carry rights of its own) and by mapping fds. When the last one
 * goes, the last fd, mmap, importer and mapping is gone: the memory goes back, and only then does
 * the buffer leave the list, in one step with the event that says so. Whoever charges for memory
 * can therefore trust both.
 */
#include "buffer.h"

#include <linux/dma-mapping.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "events.h"
#include "registry.h"

static u64 live_bytes; /* under dmab_registry_lock */

/**
 * dmab_buffer_new() - a buffer that nobody can see yet
 * @alloc:      a checked request
 * @coherent:   for devices that snoop the CPU caches
 * @phys_limit: the last physical address that all its devices reach
 * @ret:        the buffer, with one reference
 *
 * Return: 0, -ENOMEM, -EOPNOTSUPP.
 */
int dmab_buffer_new(const struct dmabroker_alloc *alloc, bool coherent, u64 phys_limit,
		    struct dmab_buffer **ret)
{
	struct dmab_buffer *buffer;
	int err;

	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;

	buffer->memory.ops = alloc->attributes & DMABROKER_ATTR_FORCE_CONTIGUOUS
				     ? &dmab_contiguous_ops
				     : &dmab_pages_ops;
	buffer->memory.size_bytes = PAGE_ALIGN(alloc->size_bytes);
	buffer->memory.kind = alloc->kind;
	buffer->memory.attributes = alloc->attributes;
	buffer->memory.coherent = coherent;
	err = dmab_memory_init(&buffer->memory, phys_limit);
	if (err)
		goto err_free;

	err = dmab_set_reserve(&dmab_buffers, &buffer->id);
	if (err)
		goto err_memory;

	kref_init(&buffer->ref);
	mutex_init(&buffer->lock);
	dma_resv_init(&buffer->resv);
	INIT_LIST_HEAD(&buffer->mappings);
	buffer->direction = alloc->direction;
	buffer->synced = buffer->memory.ops->synced;
	buffer->syncs_done = buffer->synced;
	memcpy(buffer->cookie, alloc->cookie, sizeof(buffer->cookie));
	*ret = buffer;
	return 0;

err_memory:
	dmab_memory_fini(&buffer->memory);
err_free:
	kfree(buffer);
	return err;
}

/**
 * dmab_buffer_publish() - from now on it is listed
 * @buffer: a new buffer
 */
void dmab_buffer_publish(struct dmab_buffer *buffer)
{
	mutex_lock(&dmab_registry_lock);
	dmab_set_publish(&dmab_buffers, buffer->id, buffer);
	live_bytes += buffer->memory.size_bytes;
	buffer->published = true;
	mutex_unlock(&dmab_registry_lock);
}

static void buffer_release(struct kref *ref)
{
	struct dmab_buffer *buffer = container_of(ref, struct dmab_buffer, ref);

	dmab_memory_fini(&buffer->memory);

	if (buffer->published) {
		mutex_lock(&dmab_registry_lock);
		live_bytes -= buffer->memory.size_bytes;
		dmab_set_remove(&dmab_buffers, buffer->id);
		dmab_event_emit(DMABROKER_EVENT_BUFFER_FREED, 0, buffer->id);
		mutex_unlock(&dmab_registry_lock);
	} else {
		dmab_set_cancel(&dmab_buffers, buffer->id);
	}

	dma_resv_fini(&buffer->resv);
	kfree(buffer);
}

/**
 * dmab_buffer_get() - another reference
 * @buffer: of which the caller has one
 *
 * Return: @buffer.
 */
struct dmab_buffer *dmab_buffer_get(struct dmab_buffer *buffer)
{
	kref_get(&buffer->ref);
	return buffer;
}

/**
 * dmab_buffer_put() - drop a reference
 * @buffer: a buffer; the last reference frees the memory
 */
void dmab_buffer_put(struct dmab_buffer *buffer)
{
	kref_put(&buffer->ref, buffer_release);
}

/**
 * dmab_buffer_by_id() - find a live buffer
 * @id: its id
 *
 * Return: a reference to it, or NULL if there is none or it is on its way out.
 */
struct dmab_buffer *dmab_buffer_by_id(u64 id)
{
	struct dmab_buffer *buffer;

	mutex_lock(&dmab_registry_lock);
	buffer = dmab_set_find(&dmab_buffers, id);
	if (buffer && !kref_get_unless_zero(&buffer->ref))
		buffer = NULL;
	mutex_unlock(&dmab_registry_lock);
	return buffer;
}

/**
 * dmab_buffer_describe() - what lists show
 * @buffer: the buffer; it may be on its way out
 * @ret:    where to
 */
void dmab_buffer_describe(const struct dmab_buffer *buffer, struct dmabroker_buffer *ret)
{
	const struct dmab_memory *memory = &buffer->memory;

	lockdep_assert_held(&dmab_registry_lock);

	memset(ret, 0, sizeof(*ret));
	ret->id = buffer->id;
	ret->size_bytes = memory->size_bytes;
	ret->attributes = memory->attributes;
	ret->kind = memory->kind;
	ret->effective_kind = dmab_memory_effective_kind(memory);
	if (memory->contiguous)
		ret->flags |= DMABROKER_BUFFER_CONTIGUOUS;
	ret->nr_mappings = buffer->nr_mappings;
	ret->alignment_bytes = memory->alignment_bytes;
	ret->syncs_done = buffer->syncs_done;
	ret->syncs_saved = buffer->syncs_saved;
	strscpy(ret->region, memory->ops->region, sizeof(ret->region));
	memcpy(ret->cookie, buffer->cookie, sizeof(ret->cookie));
}

/**
 * dmab_buffer_count_sync() - a mapping was made
 * @buffer:  of this buffer
 * @skipped: without a CPU sync, because an earlier mapping had done it
 */
void dmab_buffer_count_sync(struct dmab_buffer *buffer, bool skipped)
{
	mutex_lock(&dmab_registry_lock);
	if (skipped)
		buffer->syncs_saved++;
	else
		buffer->syncs_done++;
	mutex_unlock(&dmab_registry_lock);
}

/**
 * dmab_buffer_check_direction() - may a device use the buffer like that
 * @buffer:    the buffer
 * @read_only: asked through something that carries no right to write
 * @direction: what is wanted
 *
 * Return: 0, -EINVAL for no direction at all, -EACCES for one that is wider than allowed.
 */
int dmab_buffer_check_direction(const struct dmab_buffer *buffer, bool read_only,
				enum dma_data_direction direction)
{
	if (direction != DMA_BIDIRECTIONAL && direction != DMA_TO_DEVICE &&
	    direction != DMA_FROM_DEVICE)
		return -EINVAL;
	if (read_only && direction != DMA_TO_DEVICE)
		return -EACCES;
	if (buffer->direction != DMA_BIDIRECTIONAL && buffer->direction != direction)
		return -EACCES;
	return 0;
}

/**
 * dmab_buffer_live_bytes() - of all live buffers
 *
 * Return: the sum.
 */
u64 dmab_buffer_live_bytes(void)
{
	lockdep_assert_held(&dmab_registry_lock);
	return live_bytes;
}
