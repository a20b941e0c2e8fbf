/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * dmabroker.ko: the ABI of /dev/dmabroker.
 *
 * The node is opened by dmabrokerd alone. What it gives out are file descriptors: a buffer is
 * a dma-buf, a mapping is an fd of its own (see dmabroker-mapping.h for what its holder can do
 * with it). Whoever dies, the kernel closes the fds and this module cleans up after them.
 *
 * Every struct starts with its own size. A caller that knows a smaller struct than the kernel
 * is served with zeroes for what it does not know; a caller that knows a bigger one is served
 * as long as what the kernel does not know is zero, else -E2BIG. Reserved fields and unknown
 * flag bits must be zero, else -EINVAL. Fields marked "out" are ignored on the way in, and all
 * others are unchanged on the way out.
 *
 * What each errno means, here and nowhere differently:
 *   -EINVAL      an argument is malformed, out of range, or contradicts another one
 *   -E2BIG       the struct is bigger than known and its unknown tail is not zero
 *   -EFAULT      a pointer does not point to memory of the caller
 *   -ENOTTY      no such ioctl
 *   -ENOENT      no live buffer or mapping has this id
 *   -ENODEV      no such device, or it went away
 *   -EBADF       the fd is not open, or is not of the kind asked for
 *   -EACCES      the fd or the buffer does not carry the right asked for (read-only)
 *   -EPERM       the device last belonged to another account and cannot be reset, or another
 *                device of its IOMMU group belongs to another account
 *   -EBUSY       something in use stands in the way
 *   -EOPNOTSUPP  well-formed, and this machine or this buffer cannot do it
 *   -EXDEV       the devices differ in coherence and the kind serves only one
 *   -ERANGE      the memory lies beyond the device's DMA mask
 *   -ENOSPC      the device's address space is used up
 *   -ENOMEM      no memory; nothing was done
 *   -EMFILE, -ENFILE  no free file descriptor
 *   -EOVERFLOW   events were lost; list again
 *   -EAGAIN      no event is waiting (non-blocking read)
 */
#ifndef _UAPI_LINUX_DMABROKER_H
#define _UAPI_LINUX_DMABROKER_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/dmabroker-mapping.h>

#define DMABROKER_ABI_VERSION 1

#define DMABROKER_IOC_MAGIC 0xDB

#define DMABROKER_DEVICE_NAME_SIZE 64
#define DMABROKER_REASON_SIZE	   96
#define DMABROKER_COOKIE_SIZE	   256
#define DMABROKER_MAX_DEVICES	   16

/* enum dmabroker_kind - what kind of memory */
enum dmabroker_kind {
	DMABROKER_KIND_COHERENT = 1,
	DMABROKER_KIND_WRITECOMBINE = 2,
	DMABROKER_KIND_NONCOHERENT = 3,
	DMABROKER_KIND_IMPORTED = 4,
};

/* enum dmabroker_direction - the values of the kernel's enum dma_data_direction */
enum dmabroker_direction {
	DMABROKER_DIR_BIDIRECTIONAL = 0,
	DMABROKER_DIR_TO_DEVICE = 1,
	DMABROKER_DIR_FROM_DEVICE = 2,
	DMABROKER_DIR_NONE = 3,
};

/* Attributes, the DMA API's DMA_ATTR_* by names of our own because those are not uapi. */
#define DMABROKER_ATTR_FORCE_CONTIGUOUS	  (1ull << 0)
#define DMABROKER_ATTR_NO_KERNEL_MAPPING  (1ull << 1)
#define DMABROKER_ATTR_WEAK_ORDERING	  (1ull << 2)
#define DMABROKER_ATTR_ALLOC_SINGLE_PAGES (1ull << 3)
#define DMABROKER_ATTR_NO_WARN		  (1ull << 4)
#define DMABROKER_ATTR_SKIP_CPU_SYNC	  (1ull << 5)

/**
 * struct dmabroker_info - DMABROKER_IOC_INFO: who answers here
 * @size:        sizeof of this struct as the caller knows it
 * @flags:       0
 * @abi_version: out: DMABROKER_ABI_VERSION of the module
 * @page_size:   out: bytes in a page
 * @event_seq:   out: sequence number of the latest event
 * @nr_buffers:  out: live buffers
 * @nr_mappings: out: live mappings
 * @live_bytes:  out: bytes in live buffers
 * @kinds:       out: bit (1 << DMABROKER_KIND_*) for each kind that can be allocated
 * @attributes:  out: DMABROKER_ATTR_* that are understood at allocation
 */
struct dmabroker_info {
	__u32 size;
	__u32 flags;
	__u32 abi_version;
	__u32 page_size;
	__u64 event_seq;
	__u64 nr_buffers;
	__u64 nr_mappings;
	__u64 live_bytes;
	__u64 kinds;
	__u64 attributes;
};

#define DMABROKER_DEVICE_COHERENT (1u << 0) /* snoops the CPU caches */
#define DMABROKER_DEVICE_IOMMU	  (1u << 1) /* behind an IOMMU domain that translates */
#define DMABROKER_DEVICE_USABLE	  (1u << 2) /* can be mapped to; if not, @reason says why */
#define DMABROKER_DEVICE_MASTER	  (1u << 3) /* bus mastering is on now */
#define DMABROKER_DEVICE_RESET	  (1u << 4) /* can be reset on its own */
#define DMABROKER_DEVICE_SYSTEM	  (1u << 5) /* no particular device: allocate for, never map to */
#define DMABROKER_DEVICE_SHARED	  (1u << 6) /* its IOMMU group holds a device that is not ours */

/**
 * struct dmabroker_device - one device, as DMABROKER_IOC_DEVICE_LIST fills it
 * @id:                   never used again while the module is loaded; 1 is "system"
 * @flags:                DMABROKER_DEVICE_*
 * @streaming_mask_bits:  address bits it drives in mappings
 * @coherent_mask_bits:   address bits it drives for coherent memory
 * @max_segment_bytes:    longest segment it takes
 * @nr_mappings:          live mappings
 * @account:              the account it belongs to since its last reset, 0 for none
 * @bus:                  "pci", "platform", "system"
 * @name:                 "pci:0000:00:03.0", "system", ...; NUL-terminated
 * @reason:               why it is not usable, a sentence; empty when it is
 */
struct dmabroker_device {
	__u32 id;
	__u32 flags;
	__u32 streaming_mask_bits;
	__u32 coherent_mask_bits;
	__u64 max_segment_bytes;
	__u64 nr_mappings;
	__u64 account;
	char bus[16];
	char name[DMABROKER_DEVICE_NAME_SIZE];
	char reason[DMABROKER_REASON_SIZE];
};

/**
 * struct dmabroker_list - a page of a list
 * @size:       sizeof of this struct as the caller knows it
 * @flags:      0
 * @cursor:     in: 0, or what the call before returned; out: where to go on, 0 at the end
 * @entries:    in: user pointer to an array of entries
 * @entry_size: in: bytes from one entry to the next, at least 8. The kernel writes
 *              min(entry_size, what it knows) of each and zeroes the rest
 * @capacity:   in: entries that fit (1 to 4096)
 * @count:      out: entries written
 * @reserved:   0
 * @event_seq:  out: every event up to this number is reflected in the page; later ones are not
 * @of_id:      in: for lists of parts of something (mappings of a buffer), its id, 0 for all;
 *              else 0
 */
struct dmabroker_list {
	__u32 size;
	__u32 flags;
	__u64 cursor;
	__u64 entries;
	__u32 entry_size;
	__u32 capacity;
	__u32 count;
	__u32 reserved;
	__u64 event_seq;
	__u64 of_id;
};

#define DMABROKER_BUFFER_CONTIGUOUS (1u << 0) /* physically contiguous */

/**
 * struct dmabroker_buffer - one live buffer
 * @id:             never used again while the module is loaded
 * @size_bytes:     what is charged: a multiple of the page size
 * @attributes:     DMABROKER_ATTR_* that took effect
 * @kind:           what was asked for
 * @effective_kind: what it is (writecombine on a coherent machine is coherent)
 * @flags:          DMABROKER_BUFFER_*
 * @nr_mappings:    live mappings made through this module
 * @alignment_bytes: of the first byte, physically
 * @syncs_done:     CPU cache syncs done, by a mapping or, for contiguous memory, at allocation
 * @syncs_saved:    mappings that needed none because it had been done already
 * @region:         where the memory comes from: "pages", "system" or a region's name
 * @cookie:         as set by DMABROKER_IOC_ALLOC or DMABROKER_IOC_BUFFER_SET_COOKIE
 */
struct dmabroker_buffer {
	__u64 id;
	__u64 size_bytes;
	__u64 attributes;
	__u32 kind;
	__u32 effective_kind;
	__u32 flags;
	__u32 nr_mappings;
	__u64 alignment_bytes;
	__u64 syncs_done;
	__u64 syncs_saved;
	char region[32];
	__u8 cookie[DMABROKER_COOKIE_SIZE];
};

/**
 * struct dmabroker_alloc - DMABROKER_IOC_ALLOC: make a buffer
 * @size:        sizeof of this struct as the caller knows it
 * @flags:       0
 * @size_bytes:  length; rounded up to pages; 0 and above 1 TiB are -EINVAL
 * @kind:        DMABROKER_KIND_*
 * @direction:   DMABROKER_DIR_* it will be used with; a later mapping may narrow, not widen it
 * @attributes:  DMABROKER_ATTR_*
 * @devices:     user pointer to @nr_devices ids (__u32) of those that will use it. They choose
 *               coherence, mask and contiguity; the memory belongs to none of them
 * @nr_devices:  0 to DMABROKER_MAX_DEVICES; 0 means "system"
 * @fd:          out: the dma-buf, close-on-exec, read-write. The caller owns it
 * @cookie:      in: opaque bytes kept with the buffer
 * @buffer:      out: what was obtained
 *
 * The memory is zero. -EXDEV when the devices differ in coherence. -EOPNOTSUPP for a kind,
 * attribute or combination that this machine cannot give. -ENOMEM when there is no such memory;
 * nobody is killed to make room.
 */
struct dmabroker_alloc {
	__u32 size;
	__u32 flags;
	__u64 size_bytes;
	__u32 kind;
	__u32 direction;
	__u64 attributes;
	__u64 devices;
	__u32 nr_devices;
	__s32 fd;
	__u8 cookie[DMABROKER_COOKIE_SIZE];
	struct dmabroker_buffer buffer;
};

#define DMABROKER_OPEN_READ_ONLY (1u << 0)

/**
 * struct dmabroker_buffer_open - DMABROKER_IOC_BUFFER_OPEN: another fd of a live buffer
 * @size:  sizeof of this struct as the caller knows it
 * @flags: DMABROKER_OPEN_READ_ONLY: a second dma-buf over the same memory that can never be
 *         written through
 * @id:    the buffer
 * @fd:    out: the dma-buf, close-on-exec. The caller owns it
 * @reserved: 0
 */
struct dmabroker_buffer_open {
	__u32 size;
	__u32 flags;
	__u64 id;
	__s32 fd;
	__u32 reserved;
};

/**
 * struct dmabroker_buffer_query - DMABROKER_IOC_BUFFER_QUERY: whose fd, or which buffer is it
 * @size:   sizeof of this struct as the caller knows it
 * @flags:  out: DMABROKER_OPEN_READ_ONLY if @fd is a read-only one
 * @fd:     in: a dma-buf of this module, or -1 to ask by @id; other dma-bufs are -EBADF
 * @reserved: 0
 * @id:     in when @fd is -1, else ignored
 * @buffer: out
 */
struct dmabroker_buffer_query {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 reserved;
	__u64 id;
	struct dmabroker_buffer buffer;
};

/**
 * struct dmabroker_buffer_set_cookie - DMABROKER_IOC_BUFFER_SET_COOKIE: who owns it from now on
 * @size:   sizeof of this struct as the caller knows it
 * @flags:  0
 * @id:     the buffer
 * @cookie: the bytes that replace the old ones
 */
struct dmabroker_buffer_set_cookie {
	__u32 size;
	__u32 flags;
	__u64 id;
	__u8 cookie[DMABROKER_COOKIE_SIZE];
};

#define DMABROKER_MAP_SKIPPED_CPU_SYNC (1u << 0) /* made with DMA_ATTR_SKIP_CPU_SYNC */
#define DMABROKER_MAP_BOUNCES	       (1u << 1) /* goes through bounce buffers */
#define DMABROKER_MAP_DEVICE_GONE      (1u << 2) /* the device went away; nothing is mapped */

/**
 * struct dmabroker_mapping - one live mapping
 * @id:           never used again while the module is loaded
 * @buffer_id:    of what
 * @device_id:    for whom
 * @direction:    DMABROKER_DIR_*
 * @attributes:   DMABROKER_ATTR_* that took effect
 * @offset_bytes: start of the range within the buffer
 * @size_bytes:   its length
 * @flags:        DMABROKER_MAP_*
 * @nr_segments:  how many pieces the device sees
 * @account:      as given at DMABROKER_IOC_MAP
 */
struct dmabroker_mapping {
	__u64 id;
	__u64 buffer_id;
	__u32 device_id;
	__u32 direction;
	__u64 attributes;
	__u64 offset_bytes;
	__u64 size_bytes;
	__u32 flags;
	__u32 nr_segments;
	__u64 account;
};

/**
 * struct dmabroker_map - DMABROKER_IOC_MAP: let a device reach a buffer
 * @size:       sizeof of this struct as the caller knows it
 * @flags:      0
 * @buffer_fd:  a dma-buf of this module, or -1 to name it by @buffer_id
 * @device_id:  the device
 * @buffer_id:  in when @buffer_fd is -1, else 0
 * @direction:  DMABROKER_DIR_*; none is -EINVAL; wider than the buffer's own is -EACCES; through
 *              a read-only fd, or with DMABROKER_MAP_READ_ONLY, anything but to-device is -EACCES
 * @mask_bits:  narrower address mask for this mapping, 0 for the device's own
 * @attributes: DMABROKER_ATTR_SKIP_CPU_SYNC, DMABROKER_ATTR_WEAK_ORDERING
 * @account:    who uses the device: not 0, the same number for the same account always. A device
 *              that last belonged to another account is reset first; -EPERM if it cannot be,
 *              -EBUSY while the other account has it mapped
 * @offset_bytes: 0
 * @size_bytes: 0: the whole buffer
 * @fd:         out: the mapping, close-on-exec. Its last close unmaps
 * @map_flags:  DMABROKER_MAP_READ_ONLY, to map by id with the rights of a read-only holder
 * @mapping:    out
 */
#define DMABROKER_MAP_READ_ONLY (1u << 0)
struct dmabroker_map {
	__u32 size;
	__u32 flags;
	__s32 buffer_fd;
	__u32 device_id;
	__u64 buffer_id;
	__u32 direction;
	__u32 mask_bits;
	__u64 attributes;
	__u64 account;
	__u64 offset_bytes;
	__u64 size_bytes;
	__s32 fd;
	__u32 map_flags;
	struct dmabroker_mapping mapping;
};

/**
 * struct dmabroker_segments - DMABROKER_IOC_MAPPING_SEGMENTS: segments of any live mapping
 * @size:       sizeof of this struct as the caller knows it
 * @flags:      0
 * @mapping_id: which mapping
 * @entries:    user pointer to an array of struct dmabroker_mapping_segment
 * @first:      number of the first one wanted
 * @capacity:   how many fit (1 to 65536)
 * @count:      out: how many were written
 * @total:      out: how many there are
 */
struct dmabroker_segments {
	__u32 size;
	__u32 flags;
	__u64 mapping_id;
	__u64 entries;
	__u32 first;
	__u32 capacity;
	__u32 count;
	__u32 total;
};

/**
 * struct dmabroker_event - what read() on /dev/dmabroker gives, whole ones only
 * @seq:  one number for the events and the lists: an event with a @seq at or below a list's
 *        event_seq is in that list already
 * @type: DMABROKER_EVENT_*
 * @device_id: of a device event or of the mapping's device, else 0
 * @id:   of the buffer or mapping, else 0
 *
 * Each open file has its own stream, which starts at the open. When a reader falls behind by
 * more than the stream keeps, the next read is -EOVERFLOW, once: list again, then read on.
 */
struct dmabroker_event {
	__u64 seq;
	__u32 type;
	__u32 device_id;
	__u64 id;
};

#define DMABROKER_EVENT_BUFFER_FREED   1 /* last fd, mmap, importer and mapping gone; memory back */
#define DMABROKER_EVENT_MAPPING_FREED  2 /* last close of a mapping fd */
#define DMABROKER_EVENT_MAPPING_ENDED  3 /* the device is gone; the fd still exists */
#define DMABROKER_EVENT_DEVICE_ADDED   4
#define DMABROKER_EVENT_DEVICE_REMOVED 5
#define DMABROKER_EVENT_DEVICE_CHANGED 6 /* mask or account */

#define DMABROKER_IOC_INFO	   _IOWR(DMABROKER_IOC_MAGIC, 0x00, struct dmabroker_info)
#define DMABROKER_IOC_DEVICE_LIST  _IOWR(DMABROKER_IOC_MAGIC, 0x01, struct dmabroker_list)
#define DMABROKER_IOC_BUFFER_LIST  _IOWR(DMABROKER_IOC_MAGIC, 0x02, struct dmabroker_list)
#define DMABROKER_IOC_MAPPING_LIST _IOWR(DMABROKER_IOC_MAGIC, 0x03, struct dmabroker_list)
#define DMABROKER_IOC_ALLOC	   _IOWR(DMABROKER_IOC_MAGIC, 0x10, struct dmabroker_alloc)
#define DMABROKER_IOC_BUFFER_OPEN  _IOWR(DMABROKER_IOC_MAGIC, 0x11, struct dmabroker_buffer_open)
#define DMABROKER_IOC_BUFFER_QUERY _IOWR(DMABROKER_IOC_MAGIC, 0x12, struct dmabroker_buffer_query)
#define DMABROKER_IOC_BUFFER_SET_COOKIE \
	_IOWR(DMABROKER_IOC_MAGIC, 0x13, struct dmabroker_buffer_set_cookie)
#define DMABROKER_IOC_MAP	       _IOWR(DMABROKER_IOC_MAGIC, 0x20, struct dmabroker_map)
#define DMABROKER_IOC_MAPPING_SEGMENTS _IOWR(DMABROKER_IOC_MAGIC, 0x21, struct dmabroker_segments)

/*
 * Ioctl numbers carry sizeof(struct); the module looks at the number without the size bits and
 * takes the size from the struct's first field, so that a bigger struct keeps its number.
 */

#endif /* _UAPI_LINUX_DMABROKER_H */
