/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * dmabroker.ko: what the holder of a mapping fd can do with it, without asking the daemon.
 *
 * Separate from dmabroker.h because clients hold these fds while only the daemon holds
 * /dev/dmabroker: libdmabroker includes this header and not the other. A mapping fd shows the
 * DMA addresses of its segments and moves ownership between CPU and device; it grants nothing
 * else. Its last close unmaps; when close() returns, the device reaches nothing any more.
 *
 * Rules for sizes, reserved fields and errnos are those of dmabroker.h.
 */
#ifndef _UAPI_LINUX_DMABROKER_MAPPING_H
#define _UAPI_LINUX_DMABROKER_MAPPING_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define DMABROKER_MAPPING_IOC_MAGIC 0xDB

#define DMABROKER_SYNC_FOR_CPU	  (1u << 0)
#define DMABROKER_SYNC_FOR_DEVICE (1u << 1)

/**
 * struct dmabroker_mapping_sync - DMABROKER_MAPPING_IOC_SYNC: hand a range over
 * @size:         sizeof of this struct as the caller knows it
 * @flags:        exactly one of DMABROKER_SYNC_FOR_CPU, DMABROKER_SYNC_FOR_DEVICE
 * @offset_bytes: start, relative to the mapping
 * @size_bytes:   length; 0 means to the end; past the end is -EINVAL
 *
 * Does nothing for memory that is coherent for the device. -ENODEV when the device is gone.
 */
struct dmabroker_mapping_sync {
	__u32 size;
	__u32 flags;
	__u64 offset_bytes;
	__u64 size_bytes;
};

/**
 * struct dmabroker_mapping_segment - one piece of the buffer as the device sees it
 * @dma_address:  what to write into the device's registers
 * @length_bytes: how far it goes
 */
struct dmabroker_mapping_segment {
	__u64 dma_address;
	__u64 length_bytes;
};

/**
 * struct dmabroker_mapping_segments - DMABROKER_MAPPING_IOC_SEGMENTS: a page of the segments
 * @size:     sizeof of this struct as the caller knows it
 * @flags:    0
 * @entries:  user pointer to an array of struct dmabroker_mapping_segment
 * @first:    number of the first one wanted
 * @capacity: how many fit (1 to 65536)
 * @count:    out: how many were written
 * @total:    out: how many there are; 0 with -ENODEV when the device is gone
 */
struct dmabroker_mapping_segments {
	__u32 size;
	__u32 flags;
	__u64 entries;
	__u32 first;
	__u32 capacity;
	__u32 count;
	__u32 total;
};

#define DMABROKER_MAPPING_IOC_SEGMENTS \
	_IOWR(DMABROKER_MAPPING_IOC_MAGIC, 0x40, struct dmabroker_mapping_segments)
#define DMABROKER_MAPPING_IOC_SYNC \
	_IOWR(DMABROKER_MAPPING_IOC_MAGIC, 0x41, struct dmabroker_mapping_sync)

#endif /* _UAPI_LINUX_DMABROKER_MAPPING_H */
