// SPDX-License-Identifier: GPL-2.0
/*
 * Lists of devices, buffers and mappings, a page at a time.
 *
 * A page is put together in kernel memory under dmab_registry_lock, with the sequence number of the
 * latest event, and copied out afterwards: user memory may take as long as it likes to fault in.
 * The cursor is the id of the last entry, so whatever comes and goes between two pages, nothing
 * that lives all the time is missed or told twice.
 */
#include "list.h"

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/dmabroker.h>

#include "buffer.h"
#include "device.h"
#include "events.h"
#include "ioctl.h"
#include "mapping.h"
#include "registry.h"

#define CAPACITY_MAX 4096

/**
 * struct list_page - a page being put together
 * @list:       the request
 * @entry_size: of an entry in @entries
 * @entries:    room for @capacity of them
 * @capacity:   as many as fit
 * @count:      as many as there are
 * @last_id:    id of the last one
 * @more:       one more did not fit
 */
struct list_page {
	struct dmabroker_list *list;
	size_t entry_size;
	void *entries;
	u32 capacity;
	u32 count;
	u64 last_id;
	bool more;
};

/* Returns room for one more entry, or NULL. */
static void *page_add(struct list_page *page, u64 id)
{
	if (page->count == page->capacity) {
		page->more = true;
		return NULL;
	}
	page->last_id = id;
	return page->entries + page->entry_size * page->count++;
}

static void fill_devices(struct list_page *page)
{
	struct dmab_device *device;
	unsigned long id;

	xa_for_each_start(&dmab_devices.entries, id, device, page->list->cursor + 1) {
		void *entry = page_add(page, id);

		if (!entry)
			return;
		dmab_device_describe(device, entry);
	}
}

static void fill_buffers(struct list_page *page)
{
	struct dmab_buffer *buffer;
	unsigned long id;

	xa_for_each_start(&dmab_buffers.entries, id, buffer, page->list->cursor + 1) {
		void *entry = page_add(page, id);

		if (!entry)
			return;
		dmab_buffer_describe(buffer, entry);
	}
}

static void fill_mappings_of(struct list_page *page, const struct dmab_buffer *buffer)
{
	struct dmab_mapping *mapping;

	list_for_each_entry(mapping, &buffer->mappings, buffer_link) {
		void *entry;

		if (mapping->id <= page->list->cursor)
			continue;
		entry = page_add(page, mapping->id);
		if (!entry)
			return;
		dmab_mapping_describe(mapping, entry);
	}
}

static void fill_mappings(struct list_page *page)
{
	struct dmab_mapping *mapping;
	unsigned long id;

	if (page->list->of_id) {
		struct dmab_buffer *buffer = dmab_set_find(&dmab_buffers, page->list->of_id);

		if (buffer)
			fill_mappings_of(page, buffer);
		return;
	}

	xa_for_each_start(&dmab_mappings.entries, id, mapping, page->list->cursor + 1) {
		void *entry = page_add(page, id);

		if (!entry)
			return;
		dmab_mapping_describe(mapping, entry);
	}
}

static int page_copy(const struct list_page *page)
{
	const struct dmabroker_list *list = page->list;
	size_t known = min_t(size_t, list->entry_size, page->entry_size);
	u32 i;

	for (i = 0; i < page->count; i++) {
		void __user *to = u64_to_user_ptr(list->entries) + (size_t)i * list->entry_size;

		if (copy_to_user(to, page->entries + i * page->entry_size, known) ||
		    clear_user(to + known, list->entry_size - known))
			return -EFAULT;
	}
	return 0;
}

static int list_serve(struct dmab_request *request, struct dmab_set *set, size_t entry_size,
		      void (*fill)(struct list_page *page))
{
	struct dmabroker_list *list = request->arg;
	struct list_page page = { .list = list, .entry_size = entry_size };
	int err;

	if (list->flags || list->reserved || list->entry_size < 8 || list->entry_size > PAGE_SIZE ||
	    list->capacity < 1 || list->capacity > CAPACITY_MAX)
		return -EINVAL;
	if (list->of_id && set != &dmab_mappings)
		return -EINVAL;

	/* As many as there are now; if more come meanwhile, they are on the next page. */
	page.capacity = clamp_t(u64, READ_ONCE(set->count), 1, list->capacity);
	page.entries = kvcalloc(page.capacity, entry_size, GFP_KERNEL);
	if (!page.entries)
		return -ENOMEM;

	mutex_lock(&dmab_registry_lock);
	if (list->cursor != U64_MAX)
		fill(&page);
	list->event_seq = dmab_event_seq();
	mutex_unlock(&dmab_registry_lock);

	err = page_copy(&page);
	kvfree(page.entries);
	if (err)
		return err;

	list->cursor = page.more ? page.last_id : 0;
	list->count = page.count;
	return dmab_request_reply(request);
}

/**
 * dmab_list_devices() - DMABROKER_IOC_DEVICE_LIST
 * @request: a struct dmabroker_list
 *
 * Return: 0 or -errno.
 */
int dmab_list_devices(struct dmab_request *request)
{
	return list_serve(request, &dmab_devices, sizeof(struct dmabroker_device), fill_devices);
}

/**
 * dmab_list_buffers() - DMABROKER_IOC_BUFFER_LIST
 * @request: a struct dmabroker_list
 *
 * Return: 0 or -errno.
 */
int dmab_list_buffers(struct dmab_request *request)
{
	return list_serve(request, &dmab_buffers, sizeof(struct dmabroker_buffer), fill_buffers);
}

/**
 * dmab_list_mappings() - DMABROKER_IOC_MAPPING_LIST
 * @request: a struct dmabroker_list
 *
 * Return: 0 or -errno.
 */
int dmab_list_mappings(struct dmab_request *request)
{
	return list_serve(request, &dmab_mappings, sizeof(struct dmabroker_mapping), fill_mappings);
}
