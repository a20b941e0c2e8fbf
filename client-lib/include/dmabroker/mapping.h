/* SPDX-License-Identifier: MIT */
/*
 * Mappings: a buffer as one device sees it. A mapping is a list of segments, each a DMA address
 * to write into the device's registers and a length. It lasts until dmabroker_unmap(), or until
 * the device goes away.
 *
 * For coherent and write-combine buffers nothing else is needed. For cached (noncoherent) ones
 * ownership of the contents moves between CPU and device: sync_for_device before the device
 * starts, sync_for_cpu after it has finished and before the CPU reads.
 */
#ifndef DMABROKER_MAPPING_H
#define DMABROKER_MAPPING_H

#include "types.h"
#include "request.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct dmabroker_map_params - how a device is to see a buffer
 * @struct_size: DMABROKER_MAP_PARAMS_INIT sets it
 * @device:      its name, such as "pci:0000:00:03.0"
 * @attributes:  DMABROKER_ATTR_SKIP_CPU_SYNC, DMABROKER_ATTR_WEAK_ORDERING
 * @direction:   enum dmabroker_direction; the default is bidirectional, which a buffer held
 *               read-only refuses
 * @mask_bits:   narrower than the device's own mask, for a part of it that drives fewer address
 *               bits; 0: its own
 */
struct dmabroker_map_params {
	size_t struct_size;
	const char *device;
	uint64_t attributes;
	uint32_t direction;
	uint32_t mask_bits;
};

#define DMABROKER_MAP_PARAMS_INIT DMABROKER_PARAMS_INIT(dmabroker_map_params)

/**
 * dmabroker_map() - let a device reach a buffer
 * @buffer:      a buffer
 * @params:      which device, and how
 * @ret_mapping: the mapping, segments included
 *
 * Ownership: the caller's; end it with dmabroker_unmap(). It does not keep @buffer: free that
 *            when you like, the memory stays until the mapping ends.
 * Blocking:  until the broker has answered.
 * Threads:   any.
 *
 * Return: 0, -EINVAL (a value in @params; the refusal says which), -E2BIG (unknown fields are
 *         set), -ENODEV (no such device, or not usable), -EACCES (policy does not give this
 *         device, or it would write what is held read-only), -EPERM (another account used the
 *         device last), -EXDEV (a kind that cannot serve this device), -ERANGE (memory beyond
 *         the mask), -ENOSPC (no room in the device's address space, or too many segments),
 *         -EDQUOT (a quota), -EBUSY (device busy), -EMFILE, -ETIMEDOUT, -ECONNRESET, -ENOTCONN,
 *         -EPROTO, -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_map(struct dmabroker_buffer *buffer,
				const struct dmabroker_map_params *params,
				struct dmabroker_mapping **ret_mapping);

/**
 * dmabroker_map_start() - dmabroker_map() without waiting
 * @buffer:      a buffer; may be freed before the request has ended, which may then fail
 * @params:      which device, and how; copied
 * @async:       NULL: the timeout as deadline and no callback
 * @ret_request: take with dmabroker_request_take_mapping(). May be NULL
 *
 * Ownership: the caller owns one reference of the request.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, -EINVAL, -E2BIG, -ENODEV (a name no device can have), -ENOTCONN, -ENOMEM,
 *         -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_map_start(struct dmabroker_buffer *buffer,
				      const struct dmabroker_map_params *params,
				      const struct dmabroker_async *async,
				      struct dmabroker_request **ret_request);

/**
 * dmabroker_unmap() - end a mapping
 * @mapping: a mapping, or NULL
 *
 * On real hardware the device reaches nothing of it any more when this returns; stop the device
 * first all the same, or it faults.
 *
 * Ownership: consumes it; its segments and its info are gone.
 * Blocking:  for the IOMMU; no message to the broker.
 * Threads:   any, when no other call on it is under way.
 *
 * Return: NULL.
 * Since: 0.1
 * Source: the last close(2) of the mapping's fd
 */
DMABROKER_API struct dmabroker_mapping *dmabroker_unmap(struct dmabroker_mapping *mapping);

#define DMABROKER_MAPPING_SKIP_CPU_SYNC (1u << 0) /* another mapping's sync serves it */
#define DMABROKER_MAPPING_BOUNCES	(1u << 1) /* through a copy the device can reach */
#define DMABROKER_MAPPING_SYNC_BY_FD	(1u << 2) /* syncs need no message to the broker */
#define DMABROKER_MAPPING_DEVICE_GONE	(1u << 3)

/**
 * struct dmabroker_mapping_info - a mapping
 * @id:          in listings and events; grants nothing
 * @buffer_id:   of what
 * @attributes:  that took effect
 * @size_bytes:  of the buffer
 * @device_id:   for whom: see struct dmabroker_device_info
 * @direction:   enum dmabroker_direction
 * @flags:       DMABROKER_MAPPING_*
 * @nr_segments: how many pieces the device sees
 */
struct dmabroker_mapping_info {
	uint64_t id;
	uint64_t buffer_id;
	uint64_t attributes;
	uint64_t size_bytes;
	uint32_t device_id;
	uint32_t direction;
	uint32_t flags;
	uint32_t nr_segments;
};

/**
 * dmabroker_mapping_get_info() - what this mapping is
 * @mapping: a mapping
 *
 * As it was when it was made; DMABROKER_EVENT_MAPPING_ENDED tells when its device is gone.
 *
 * Ownership: the mapping's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: never NULL.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_mapping_info *
dmabroker_mapping_get_info(const struct dmabroker_mapping *mapping);

/**
 * dmabroker_mapping_get_fd() - the file descriptor that is the mapping
 * @mapping: a mapping
 *
 * Another process that receives it keeps the mapping alive and may sync it.
 *
 * Ownership: the mapping's; dup() it to keep it longer.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: the fd.
 * Since: 0.1
 */
DMABROKER_API int dmabroker_mapping_get_fd(const struct dmabroker_mapping *mapping);

/**
 * struct dmabroker_segment - one piece of a buffer as a device sees it
 * @dma_address:  what to write into the device's registers
 * @length_bytes: how far it goes
 *
 * This struct never grows.
 */
struct dmabroker_segment {
	uint64_t dma_address;
	uint64_t length_bytes;
};

/**
 * dmabroker_mapping_get_segments() - where the device finds the buffer
 * @mapping:   a mapping
 * @ret_count: how many
 *
 * In the buffer's order; together as long as the buffer. They do not change while the mapping
 * lives.
 *
 * Ownership: the mapping's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: the first of *@ret_count.
 * Since: 0.1
 * Source: DMABROKER_MAPPING_IOC_SEGMENTS
 */
DMABROKER_API const struct dmabroker_segment *
dmabroker_mapping_get_segments(const struct dmabroker_mapping *mapping, size_t *ret_count);

/**
 * dmabroker_sync_for_cpu() - make what the device wrote visible to the CPU
 * @mapping:      a mapping whose direction includes from-device
 * @offset_bytes: start of the range within the buffer
 * @size_bytes:   length; 0 means to the end
 *
 * Call after the device has finished and before the CPU reads. Does nothing for memory that is
 * coherent for the device.
 *
 * Ownership: the range is the CPU's.
 * Blocking:  for cache maintenance; on backends whose mappings lack DMABROKER_MAPPING_SYNC_BY_FD
 *            until the broker has answered.
 * Threads:   any.
 *
 * Return: 0, -EINVAL (range past the end, nothing done), -ENODEV (device gone), and without
 *         SYNC_BY_FD also -ENOENT, -ETIMEDOUT, -ECONNRESET, -ENOTCONN, -EPROTO, -ENOMEM,
 *         -ECHILD (after fork).
 * Since: 0.1
 * Source: DMABROKER_MAPPING_IOC_SYNC
 */
DMABROKER_API int dmabroker_sync_for_cpu(struct dmabroker_mapping *mapping, uint64_t offset_bytes,
					 uint64_t size_bytes);

/**
 * dmabroker_sync_for_device() - make what the CPU wrote visible to the device
 * @mapping:      a mapping
 * @offset_bytes: start of the range within the buffer
 * @size_bytes:   length; 0 means to the end
 *
 * Call after the CPU has written and before the device starts. Does nothing for memory that is
 * coherent for the device.
 *
 * Ownership: the range is the device's.
 * Blocking:  as dmabroker_sync_for_cpu().
 * Threads:   any.
 *
 * Return: as dmabroker_sync_for_cpu().
 * Since: 0.1
 * Source: DMABROKER_MAPPING_IOC_SYNC
 */
DMABROKER_API int dmabroker_sync_for_device(struct dmabroker_mapping *mapping,
					    uint64_t offset_bytes, uint64_t size_bytes);

#define DMABROKER_SYNC_CPU    (1u << 0)
#define DMABROKER_SYNC_DEVICE (1u << 1)

/**
 * dmabroker_sync_start() - either sync without waiting for the broker
 * @mapping:      a mapping
 * @for_whom:     exactly one of DMABROKER_SYNC_CPU, DMABROKER_SYNC_DEVICE
 * @offset_bytes: start of the range within the buffer
 * @size_bytes:   length; 0 means to the end
 * @async:        NULL: the timeout as deadline and no callback
 * @ret_request:  nothing to take. May be NULL
 *
 * Where the mapping's fd does the sync it is done when this returns, and the request has ended.
 *
 * Ownership: the caller owns one reference of the request.
 * Blocking:  for cache maintenance only.
 * Threads:   any.
 *
 * Return: 0, -EINVAL (@for_whom, @async), -E2BIG, -ENOTCONN, -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_sync_start(struct dmabroker_mapping *mapping, uint32_t for_whom,
				       uint64_t offset_bytes, uint64_t size_bytes,
				       const struct dmabroker_async *async,
				       struct dmabroker_request **ret_request);

#ifdef __cplusplus
}
#endif

#endif /* DMABROKER_MAPPING_H */
