// SPDX-License-Identifier: GPL-2.0
/*
 * The fd of a mapping: what its holder, a client, can do without asking the daemon.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "buffer.h"
#include "device.h"
#include "ioctl.h"
#include "mapping.h"

static int op_segments(struct dmab_request *request)
{
	struct dmabroker_mapping_segments *segments = request->arg;
	int err;

	if (segments->flags)
		return -EINVAL;
	err = dmab_mapping_copy_segments(request->context, segments->entries, segments->first,
					 segments->capacity, &segments->count, &segments->total);
	if (err == -ENODEV) {
		segments->count = 0;
		segments->total = 0;
		return dmab_request_reply(request) ?: -ENODEV;
	}
	return err ?: dmab_request_reply(request);
}

/* All kinds there are so far are coherent for the device: what is left is to check. */
static int op_sync(struct dmab_request *request)
{
	const struct dmabroker_mapping_sync *sync = request->arg;
	struct dmab_mapping *mapping = request->context;
	u64 size_bytes = mapping->buffer->memory.size_bytes;

	if (sync->flags != DMABROKER_SYNC_FOR_CPU && sync->flags != DMABROKER_SYNC_FOR_DEVICE)
		return -EINVAL;
	if (sync->offset_bytes > size_bytes || sync->size_bytes > size_bytes - sync->offset_bytes)
		return -EINVAL;
	if (dmab_mapping_has_ended(mapping))
		return -ENODEV;

	/* Orders the CPU's accesses against the doorbell; drains write-combining buffers. */
	mb();
	return dmab_request_reply(request);
}

static const struct dmab_op mapping_ops[] = {
	DMAB_OP(DMABROKER_MAPPING_IOC_SEGMENTS, dmabroker_mapping_segments, total, op_segments),
	DMAB_OP(DMABROKER_MAPPING_IOC_SYNC, dmabroker_mapping_sync, size_bytes, op_sync),
};

static long mapping_fd_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	return dmab_ioctl(mapping_ops, ARRAY_SIZE(mapping_ops), file->private_data, cmd, user);
}

static int mapping_fd_release(struct inode *inode, struct file *file)
{
	dmab_mapping_close(file->private_data);
	return 0;
}

static void mapping_fd_show_fdinfo(struct seq_file *seq, struct file *file)
{
	const struct dmab_mapping *mapping = file->private_data;

	seq_printf(seq,
		   "dmabroker-mapping:\t%llu\ndmabroker-buffer:\t%llu\ndmabroker-device:\t%s\n",
		   mapping->id, mapping->buffer->id, mapping->device->name);
}

static const struct file_operations mapping_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = mapping_fd_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = mapping_fd_release,
	.show_fdinfo = mapping_fd_show_fdinfo,
};

/**
 * dmab_mapping_file_new() - the file of a new mapping
 * @mapping: the mapping; on success the file consumes its reference, and its release closes it
 *
 * Return: the file or ERR_PTR().
 */
struct file *dmab_mapping_file_new(struct dmab_mapping *mapping)
{
	return anon_inode_getfile("[dmabroker-mapping]", &mapping_fops, mapping,
				  O_RDWR | O_CLOEXEC);
}
