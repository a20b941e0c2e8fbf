// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/dmabroker: what the daemon asks for.
 *
 * The handlers check what user space says, put the parts of the module together and install file
 * descriptors last. The node is 0600 and belongs to root unless a udev rule gives it to the
 * daemon's user; whoever can open it can have any amount of memory and any bound device, so nothing
 * here looks at who is asking. Policy is the daemon's.
 */
#include "chardev.h"

#include <linux/bits.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <linux/dmabroker.h>

#include "buffer.h"
#include "device.h"
#include "events.h"
#include "exporter.h"
#include "ioctl.h"
#include "list.h"
#include "mapping.h"
#include "registry.h"
#include "system.h"

#define ALLOC_BYTES_MAX BIT_ULL(40)

#define KINDS (BIT_ULL(DMABROKER_KIND_COHERENT) | BIT_ULL(DMABROKER_KIND_WRITECOMBINE))
#define ATTRS_KNOWN                                                           \
	(DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING | \
	 DMABROKER_ATTR_WEAK_ORDERING | DMABROKER_ATTR_ALLOC_SINGLE_PAGES |   \
	 DMABROKER_ATTR_NO_WARN | DMABROKER_ATTR_SKIP_CPU_SYNC)
/* Allocation never warns: DMABROKER_ATTR_NO_WARN takes effect by being there. */
#define ATTRS_ALLOC                                                           \
	(DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING | \
	 DMABROKER_ATTR_ALLOC_SINGLE_PAGES | DMABROKER_ATTR_NO_WARN)
#define ATTRS_MAP (DMABROKER_ATTR_SKIP_CPU_SYNC | DMABROKER_ATTR_WEAK_ORDERING)

static int op_info(struct dmab_request *request)
{
	struct dmabroker_info *info = request->arg;

	if (info->flags)
		return -EINVAL;

	info->abi_version = DMABROKER_ABI_VERSION;
	info->page_size = PAGE_SIZE;
	info->kinds = KINDS;
	info->attributes = ATTRS_ALLOC;

	mutex_lock(&dmab_registry_lock);
	info->event_seq = dmab_event_seq();
	info->nr_buffers = dmab_buffers.count;
	info->nr_mappings = dmab_mappings.count;
	info->live_bytes = dmab_buffer_live_bytes();
	mutex_unlock(&dmab_registry_lock);

	return dmab_request_reply(request);
}

/**
 * struct alloc_needs - what the devices of a request need
 * @decided:    a device has decided about coherence
 * @coherent:   they snoop the CPU caches
 * @phys_limit: the last address that those without an IOMMU reach
 */
struct alloc_needs {
	bool decided;
	bool coherent;
	u64 phys_limit;
};

static int needs_add_coherence(struct alloc_needs *needs, bool coherent)
{
	if (needs->decided && needs->coherent != coherent)
		return -EXDEV;
	needs->decided = true;
	needs->coherent = coherent;
	return 0;
}

static int needs_add_device(struct alloc_needs *needs, struct dmab_device *device)
{
	int err = 0;

	if (dmab_device_is_system(device))
		return 0;

	mutex_lock(&device->lock);
	if (device->gone) {
		err = -ENODEV;
	} else if (!dmab_device_is_usable(device)) {
		err = -EOPNOTSUPP;
	} else {
		err = needs_add_coherence(needs, device->coherent);
		if (!device->iommu) {
			u64 mask = DMA_BIT_MASK(dmab_device_narrow_bits(device));
			u64 limit = min_not_zero(mask, device->dev->bus_dma_limit);

			needs->phys_limit =
				min_t(u64, needs->phys_limit, dma_to_phys(device->dev, limit));
		}
	}
	mutex_unlock(&device->lock);
	return err;
}

/* Nobody in particular: what all devices that are there agree on, else cached memory. */
static void needs_default_coherence(struct alloc_needs *needs)
{
	struct alloc_needs all = {};
	struct dmab_device *device;
	unsigned long id;
	int err = 0;

	mutex_lock(&dmab_registry_lock);
	xa_for_each(&dmab_devices.entries, id, device)
		if (!dmab_device_is_system(device) && !err)
			err = needs_add_coherence(&all, device->coherent);
	mutex_unlock(&dmab_registry_lock);

	needs->coherent = err || !all.decided || all.coherent;
}

static int alloc_find_needs(const struct dmabroker_alloc *alloc, struct alloc_needs *ret)
{
	struct alloc_needs needs = { .phys_limit = U64_MAX };
	u32 ids[DMABROKER_MAX_DEVICES];
	u32 i;

	if (copy_from_user(ids, u64_to_user_ptr(alloc->devices),
			   alloc->nr_devices * sizeof(ids[0])))
		return -EFAULT;

	for (i = 0; i < alloc->nr_devices; i++) {
		struct dmab_device *device = dmab_device_by_id(ids[i]);
		int err;

		if (!device)
			return -ENODEV;
		err = needs_add_device(&needs, device);
		dmab_device_put(device);
		if (err)
			return err;
	}
	if (!needs.decided)
		needs_default_coherence(&needs);

	*ret = needs;
	return 0;
}

static int alloc_check(const struct dmabroker_alloc *alloc)
{
	if (alloc->flags || alloc->size_bytes == 0 || alloc->size_bytes > ALLOC_BYTES_MAX ||
	    alloc->nr_devices > DMABROKER_MAX_DEVICES)
		return -EINVAL;
	if (alloc->kind < DMABROKER_KIND_COHERENT || alloc->kind > DMABROKER_KIND_IMPORTED ||
	    alloc->direction > DMABROKER_DIR_NONE)
		return -EINVAL;
	if (alloc->attributes & ~ATTRS_KNOWN)
		return -EINVAL;
	if ((alloc->attributes & DMABROKER_ATTR_FORCE_CONTIGUOUS) &&
	    (alloc->attributes & DMABROKER_ATTR_ALLOC_SINGLE_PAGES))
		return -EINVAL;
	if (!(KINDS & BIT_ULL(alloc->kind)) || (alloc->attributes & ~ATTRS_ALLOC))
		return -EOPNOTSUPP;
	return 0;
}

static int op_alloc(struct dmab_request *request)
{
	struct dmabroker_alloc *alloc = request->arg;
	struct dmab_buffer *buffer;
	struct dma_buf *dmabuf;
	struct alloc_needs needs;
	int err, fd;

	err = alloc_check(alloc);
	if (err)
		return err;
	err = alloc_find_needs(alloc, &needs);
	if (err)
		return err;
	if (!dmab_system_has(needs.coherent))
		return -EOPNOTSUPP;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	err = dmab_buffer_new(alloc, needs.coherent, needs.phys_limit, &buffer);
	if (err)
		goto err_fd;
	err = dmab_exporter_export(buffer, false, &dmabuf);
	dmab_buffer_put(buffer);
	if (err)
		goto err_fd;

	alloc->fd = fd;
	mutex_lock(&dmab_registry_lock);
	dmab_buffer_describe(buffer, &alloc->buffer);
	mutex_unlock(&dmab_registry_lock);
	err = dmab_request_reply(request);
	if (err)
		goto err_dmabuf;

	dmab_buffer_publish(buffer);
	fd_install(fd, dmabuf->file);
	return 0;

err_dmabuf:
	dma_buf_put(dmabuf);
err_fd:
	put_unused_fd(fd);
	return err;
}

static int op_buffer_open(struct dmab_request *request)
{
	struct dmabroker_buffer_open *open = request->arg;
	struct dmab_buffer *buffer;
	struct dma_buf *dmabuf;
	int err, fd;

	if ((open->flags & ~DMABROKER_OPEN_READ_ONLY) || open->reserved)
		return -EINVAL;

	buffer = dmab_buffer_by_id(open->id);
	if (!buffer)
		return -ENOENT;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		err = fd;
		goto err_buffer;
	}
	err = dmab_exporter_export(buffer, open->flags & DMABROKER_OPEN_READ_ONLY, &dmabuf);
	if (err)
		goto err_fd;
	open->fd = fd;
	err = dmab_request_reply(request);
	if (err)
		goto err_dmabuf;

	fd_install(fd, dmabuf->file);
	dmab_buffer_put(buffer);
	return 0;

err_dmabuf:
	dma_buf_put(dmabuf);
err_fd:
	put_unused_fd(fd);
err_buffer:
	dmab_buffer_put(buffer);
	return err;
}

static int op_buffer_query(struct dmab_request *request)
{
	struct dmabroker_buffer_query *query = request->arg;
	struct dmab_buffer *buffer;
	bool read_only = false;
	int err;

	if (query->reserved || query->fd < -1)
		return -EINVAL;

	if (query->fd == -1) {
		buffer = dmab_buffer_by_id(query->id);
		if (!buffer)
			return -ENOENT;
	} else {
		err = dmab_exporter_by_fd(query->fd, &buffer, &read_only);
		if (err)
			return err;
	}

	query->flags = read_only ? DMABROKER_OPEN_READ_ONLY : 0;
	mutex_lock(&dmab_registry_lock);
	dmab_buffer_describe(buffer, &query->buffer);
	mutex_unlock(&dmab_registry_lock);
	dmab_buffer_put(buffer);
	return dmab_request_reply(request);
}

static int op_buffer_set_cookie(struct dmab_request *request)
{
	const struct dmabroker_buffer_set_cookie *set = request->arg;
	struct dmab_buffer *buffer;

	if (set->flags)
		return -EINVAL;
	buffer = dmab_buffer_by_id(set->id);
	if (!buffer)
		return -ENOENT;

	mutex_lock(&dmab_registry_lock);
	memcpy(buffer->cookie, set->cookie, sizeof(buffer->cookie));
	mutex_unlock(&dmab_registry_lock);

	dmab_buffer_put(buffer);
	return dmab_request_reply(request);
}

static int map_find_buffer(const struct dmabroker_map *map, struct dmab_buffer **ret,
			   bool *ret_read_only)
{
	int err;

	if (map->buffer_fd == -1) {
		*ret = dmab_buffer_by_id(map->buffer_id);
		if (!*ret)
			return -ENOENT;
		*ret_read_only = false;
	} else {
		if (map->buffer_fd < 0 || map->buffer_id)
			return -EINVAL;
		err = dmab_exporter_by_fd(map->buffer_fd, ret, ret_read_only);
		if (err)
			return err;
	}
	if (map->map_flags & DMABROKER_MAP_READ_ONLY)
		*ret_read_only = true;
	return 0;
}

static int map_check(const struct dmabroker_map *map)
{
	if (map->flags || (map->map_flags & ~DMABROKER_MAP_READ_ONLY) || map->offset_bytes ||
	    map->size_bytes || map->mask_bits > 64 || !map->account)
		return -EINVAL;
	/* Of the attributes, those of allocations are known and make no sense here. */
	if (map->attributes & ~ATTRS_MAP)
		return -EINVAL;
	return 0;
}

static int map_new(const struct dmabroker_map *map, struct dmab_mapping **ret)
{
	struct dmab_device *device;
	struct dmab_buffer *buffer;
	bool read_only;
	int err;

	err = map_find_buffer(map, &buffer, &read_only);
	if (err)
		return err;
	err = dmab_buffer_check_direction(buffer, read_only, map->direction);
	if (err)
		goto out;

	device = dmab_device_by_id(map->device_id);
	if (!device) {
		err = -ENODEV;
	} else if (dmab_device_is_system(device)) {
		dmab_device_put(device);
		err = -EOPNOTSUPP;
	} else {
		err = dmab_mapping_new(map, buffer, device, ret);
	}
out:
	dmab_buffer_put(buffer);
	return err;
}

static int op_map(struct dmab_request *request)
{
	struct dmabroker_map *map = request->arg;
	struct dmab_mapping *mapping;
	struct file *file;
	int err, fd;

	err = map_check(map);
	if (err)
		return err;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	err = map_new(map, &mapping);
	if (err)
		goto err_fd;
	file = dmab_mapping_file_new(mapping);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		dmab_mapping_close(mapping);
		goto err_fd;
	}

	map->fd = fd;
	mutex_lock(&dmab_registry_lock);
	dmab_mapping_describe(mapping, &map->mapping);
	mutex_unlock(&dmab_registry_lock);
	err = dmab_request_reply(request);
	if (err)
		goto err_file;

	dmab_mapping_publish(mapping);
	fd_install(fd, file);
	return 0;

err_file:
	fput(file);
err_fd:
	put_unused_fd(fd);
	return err;
}

static int op_mapping_segments(struct dmab_request *request)
{
	struct dmabroker_segments *segments = request->arg;
	struct dmab_mapping *mapping;
	int err;

	if (segments->flags)
		return -EINVAL;
	mapping = dmab_mapping_by_id(segments->mapping_id);
	if (!mapping)
		return -ENOENT;
	err = dmab_mapping_copy_segments(mapping, segments->entries, segments->first,
					 segments->capacity, &segments->count, &segments->total);
	dmab_mapping_put(mapping);
	return err ?: dmab_request_reply(request);
}

static const struct dmab_op chardev_ops[] = {
	DMAB_OP(DMABROKER_IOC_INFO, dmabroker_info, flags, op_info),
	DMAB_OP(DMABROKER_IOC_DEVICE_LIST, dmabroker_list, count, dmab_list_devices),
	DMAB_OP(DMABROKER_IOC_BUFFER_LIST, dmabroker_list, count, dmab_list_buffers),
	DMAB_OP(DMABROKER_IOC_MAPPING_LIST, dmabroker_list, count, dmab_list_mappings),
	DMAB_OP(DMABROKER_IOC_ALLOC, dmabroker_alloc, fd, op_alloc),
	DMAB_OP(DMABROKER_IOC_BUFFER_OPEN, dmabroker_buffer_open, fd, op_buffer_open),
	DMAB_OP(DMABROKER_IOC_BUFFER_QUERY, dmabroker_buffer_query, id, op_buffer_query),
	DMAB_OP(DMABROKER_IOC_BUFFER_SET_COOKIE, dmabroker_buffer_set_cookie, cookie,
		op_buffer_set_cookie),
	DMAB_OP(DMABROKER_IOC_MAP, dmabroker_map, fd, op_map),
	DMAB_OP(DMABROKER_IOC_MAPPING_SEGMENTS, dmabroker_segments, total, op_mapping_segments),
};

static int chardev_open(struct inode *inode, struct file *file)
{
	struct dmab_event_reader *reader = kmalloc(sizeof(*reader), GFP_KERNEL);

	if (!reader)
		return -ENOMEM;
	dmab_event_reader_init(reader);
	file->private_data = reader;
	return stream_open(inode, file);
}

static int chardev_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static ssize_t chardev_read(struct file *file, char __user *user, size_t size, loff_t *offset)
{
	return dmab_event_read(file->private_data, user, size, file->f_flags & O_NONBLOCK);
}

static __poll_t chardev_poll(struct file *file, poll_table *wait)
{
	return dmab_event_poll(file->private_data, file, wait);
}

static long chardev_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	return dmab_ioctl(chardev_ops, ARRAY_SIZE(chardev_ops), NULL, cmd, user);
}

static const struct file_operations chardev_fops = {
	.owner = THIS_MODULE,
	.open = chardev_open,
	.release = chardev_release,
	.read = chardev_read,
	.poll = chardev_poll,
	.unlocked_ioctl = chardev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice chardev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dmabroker",
	.fops = &chardev_fops,
	.mode = 0600,
};

/**
 * dmab_chardev_init() - the node appears
 *
 * Return: 0 or -errno.
 */
int dmab_chardev_init(void)
{
	return misc_register(&chardev);
}

/**
 * dmab_chardev_fini() - the node goes; it is not open, or the module could not be unloaded
 */
void dmab_chardev_fini(void)
{
	misc_deregister(&chardev);
}
