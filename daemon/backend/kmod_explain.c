// SPDX-License-Identifier: MIT
/*
 * Why the kernel module refused, in words.
 *
 * The module's errnos each mean one thing, and a client needs more than that: which device, which
 * number stood in the way, and what to do. Most of all for contiguous memory, where the answer
 * depends on how the kernel was built and booted: without CMA nothing above the page allocator's
 * biggest block exists, ever; with CMA it is a question of size, or of waiting.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/backend/failure.h"
#include "daemon/backend/kmod_explain.h"
#include "proto/cleanup.h"

/* A number of bytes for people: "16 MiB", "4097 bytes". */
static const char *bytes_text(uint64_t bytes, char ret_buf[static 32])
{
	if (bytes && bytes % (1 << 20) == 0)
		snprintf(ret_buf, 32, "%" PRIu64 " MiB", bytes >> 20);
	else if (bytes && bytes % (1 << 10) == 0)
		snprintf(ret_buf, 32, "%" PRIu64 " KiB", bytes >> 10);
	else
		snprintf(ret_buf, 32, "%" PRIu64 " bytes", bytes);
	return ret_buf;
}

/* "Key:   123 kB" at the start of a line. */
static bool meminfo_bytes(const char *text, const char *key, uint64_t *ret)
{
	size_t length = strlen(key);
	uint64_t kib;

	while (text) {
		if (strncmp(text, key, length) == 0 && text[length] == ':' &&
		    sscanf(text + length + 1, "%" SCNu64, &kib) == 1) {
			*ret = kib * 1024;
			return true;
		}
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return false;
}

/* A line of buddyinfo has one number for each order of block that there is. */
static unsigned int buddyinfo_orders(const char *text)
{
	const char *at = strstr(text, "zone");
	unsigned int orders = 0;
	unsigned long count;
	int length;

	if (!at || sscanf(at, "zone %*s%n", &length) < 0)
		return 0;
	at += length;
	while (*at && *at != '\n' && sscanf(at, "%lu%n", &count, &length) == 1) {
		orders++;
		at += length;
		at += strspn(at, " ");
	}
	return orders;
}

void kmod_machine_parse(const char *meminfo, const char *buddyinfo, uint64_t page_bytes,
			struct kmod_machine *ret)
{
	unsigned int orders = buddyinfo_orders(buddyinfo);

	*ret = (struct kmod_machine){ 0 };
	meminfo_bytes(meminfo, "MemAvailable", &ret->available_bytes);
	ret->has_cma = meminfo_bytes(meminfo, "CmaTotal", &ret->cma_bytes) && ret->cma_bytes;
	meminfo_bytes(meminfo, "CmaFree", &ret->cma_free_bytes);
	if (orders && orders < 32)
		ret->biggest_block_bytes = page_bytes << (orders - 1);
}

static void file_read(const char *path, char *buf, size_t bytes)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, bytes - 1);

	buf[n > 0 ? n : 0] = '\0';
}

void kmod_machine_read(struct kmod_machine *ret)
{
	char meminfo[4096], buddyinfo[4096];

	file_read("/proc/meminfo", meminfo, sizeof(meminfo));
	file_read("/proc/buddyinfo", buddyinfo, sizeof(buddyinfo));
	kmod_machine_parse(meminfo, buddyinfo, (uint64_t)sysconf(_SC_PAGESIZE), ret);
}

static int fail_module(int error, const char *doing, struct backend_failure *failure)
{
	return backend_fail(failure, WIRE_REASON_BACKEND_FAILED, 0, (uint64_t)-error, false,
			    "the kernel module could not %s: %s; the kernel log may say more",
			    doing, strerror(-error));
}

static int fail_malformed(const char *what, struct backend_failure *failure)
{
	return backend_fail(failure, WIRE_REASON_BAD_ARGUMENT, 0, 0, false,
			    "the kernel module does not accept this %s; its version may be older "
			    "than the broker's",
			    what);
}

static int explain_contiguous(const struct backend_alloc *alloc, const struct kmod_machine *machine,
			      struct backend_failure *failure)
{
	char size[32], block[32], cma[32];

	bytes_text(alloc->size_bytes, size);
	bytes_text(machine->biggest_block_bytes, block);
	bytes_text(machine->cma_bytes, cma);
	if (!machine->has_cma && alloc->size_bytes > machine->biggest_block_bytes)
		return backend_fail(
			failure, WIRE_REASON_NO_CONTIGUOUS_MEMORY, machine->biggest_block_bytes,
			alloc->size_bytes, false,
			"no contiguous %s here: this machine has no CMA, and without it "
			"the biggest block is %s; drop force-contiguous (behind an "
			"IOMMU a device sees one segment all the same) or boot a kernel "
			"that has CMA with cma=",
			size, block);
	if (machine->has_cma && alloc->size_bytes > machine->cma_bytes &&
	    alloc->size_bytes > machine->biggest_block_bytes)
		return backend_fail(failure, WIRE_REASON_NO_CONTIGUOUS_MEMORY, machine->cma_bytes,
				    alloc->size_bytes, false,
				    "no contiguous %s here: the CMA area has %s in all; drop "
				    "force-contiguous or boot with a bigger cma=",
				    size, cma);
	return backend_fail(failure, WIRE_REASON_NO_CONTIGUOUS_MEMORY,
			    machine->has_cma ? machine->cma_free_bytes
					     : machine->biggest_block_bytes,
			    alloc->size_bytes, true,
			    "no contiguous %s is free now (%s); try again later, ask for less, or "
			    "drop force-contiguous",
			    size,
			    machine->has_cma ? "the CMA area is full or in pieces"
					     : "memory is full or in pieces");
}

static int explain_no_memory(const struct backend_alloc *alloc, const struct kmod_devices *devices,
			     const struct kmod_machine *machine, struct backend_failure *failure)
{
	char size[32], below[64] = "";

	if (alloc->attributes & WIRE_ATTR_FORCE_CONTIGUOUS)
		return explain_contiguous(alloc, machine, failure);
	if (devices->direct_mask_bits < 64)
		snprintf(below, sizeof(below), " below %u address bits, without an IOMMU,",
			 devices->direct_mask_bits);
	return backend_fail(failure, WIRE_REASON_NO_MEMORY, machine->available_bytes,
			    alloc->size_bytes, true,
			    "the machine has no %s%s to spare now; ask for less or free something",
			    bytes_text(alloc->size_bytes, size), below);
}

static int explain_cannot(const struct backend_alloc *alloc, const struct kmod_devices *devices,
			  const struct kmod_machine *machine, struct backend_failure *failure)
{
	if (alloc->kind != WIRE_KIND_COHERENT && alloc->kind != WIRE_KIND_WRITECOMBINE)
		return backend_fail(failure, WIRE_REASON_BACKEND_CANNOT, 0, alloc->kind, false,
				    "the kernel module has no %s memory yet; use coherent or "
				    "writecombine, with devices of one coherence",
				    wire_kind_name(alloc->kind));
	if (devices->unusable)
		return backend_fail(failure, WIRE_REASON_DEVICE_UNUSABLE, 0, devices->unusable->id,
				    false, "%s cannot be used: %s", devices->unusable->name,
				    devices->unusable->reason);
	if ((alloc->attributes & WIRE_ATTR_FORCE_CONTIGUOUS) &&
	    alloc->size_bytes > machine->biggest_block_bytes)
		return explain_contiguous(alloc, machine, failure);
	return backend_fail(failure, WIRE_REASON_BACKEND_CANNOT, 0, 0, false,
			    "this machine cannot give such memory: its kernel has no %s memory for "
			    "devices that do not snoop the CPU caches",
			    wire_kind_name(alloc->kind));
}

int kmod_explain_alloc(int error, const struct backend_alloc *alloc,
		       const struct kmod_devices *devices, const struct kmod_machine *machine,
		       struct backend_failure *failure)
{
	switch (-error) {
	case EINVAL:
		return fail_malformed("allocation", failure);
	case ENODEV:
		if (devices->unknown_id)
			return backend_fail(failure, WIRE_REASON_UNKNOWN_DEVICE, 0,
					    devices->unknown_id, false,
					    "there is no device with id %u; see the list of "
					    "devices",
					    devices->unknown_id);
		return backend_fail(failure, WIRE_REASON_DEVICE_GONE, 0, 0, false,
				    "a device of the request went away; see the list of devices");
	case EXDEV:
		return backend_fail(failure, WIRE_REASON_MIXED_COHERENCE, 0, alloc->kind, false,
				    "%s memory serves devices that snoop the CPU caches or devices "
				    "that do not, and both were named; use kind noncoherent, which "
				    "is synced",
				    wire_kind_name(alloc->kind));
	case EOPNOTSUPP:
		return explain_cannot(alloc, devices, machine, failure);
	case ENOMEM:
		return explain_no_memory(alloc, devices, machine, failure);
	case EMFILE:
	case ENFILE:
		return backend_fail_files(failure, "another buffer");
	default:
		return fail_module(error, "allocate", failure);
	}
}

/* The errnos that say something about the device. */
static int explain_map_device(int error, const struct backend_map *map,
			      const struct backend_device *device, struct backend_failure *failure)
{
	unsigned int bits = map->mask_bits ? map->mask_bits : backend_device_bits(device);

	switch (-error) {
	case ENODEV:
		return backend_fail(failure, WIRE_REASON_DEVICE_GONE, 0, map->device_id, false,
				    "%s went away", device->name);
	case EPERM:
		return backend_fail(failure, WIRE_REASON_DEVICE_OF_OTHER_ACCOUNT, 0, map->device_id,
				    false,
				    "%s last belonged to another account and cannot be reset; an "
				    "administrator who knows it to be idle writes 0 to its "
				    "dmabroker/account in sysfs",
				    device->name);
	case EBUSY:
		return backend_fail(
			failure, WIRE_REASON_DEVICE_BUSY, 0, map->device_id, true,
			"%s is in use by another account, or cannot be reset right now; "
			"try again when it is free",
			device->name);
	case EXDEV:
		return backend_fail(failure, WIRE_REASON_MIXED_COHERENCE, 0, map->device_id, false,
				    "buffer %" PRIu64 " is not for devices that %s the CPU caches, "
				    "and %s is one; name the device when allocating, or use kind "
				    "noncoherent, which is synced",
				    map->buffer_id,
				    device->flags & WIRE_DEVICE_COHERENT ? "snoop" : "do not snoop",
				    device->name);
	case ERANGE:
		return backend_fail(failure, WIRE_REASON_BEYOND_MASK, bits, 0, false,
				    "buffer %" PRIu64
				    " lies beyond the %u address bits of %s; name "
				    "the device when allocating",
				    map->buffer_id, bits, device->name);
	case ENOSPC:
		return backend_fail(
			failure, WIRE_REASON_DEVICE_ADDRESS_SPACE, bits, 0, true,
			"%s has no room left in its %u address bits; unmap something or "
			"map a smaller buffer",
			device->name, bits);
	default:
		return backend_fail(failure, WIRE_REASON_BACKEND_CANNOT, 0, map->device_id, false,
				    "the kernel can map buffer %" PRIu64 " for %s only through "
				    "bounce buffers, or not at all; coherent memory never bounces: "
				    "boot without swiotlb=force, or with the IOMMU on",
				    map->buffer_id, device->name);
	}
}

int kmod_explain_map(int error, const struct backend_map *map, const struct backend_device *device,
		     struct backend_failure *failure)
{
	switch (-error) {
	case EINVAL:
		return fail_malformed("mapping", failure);
	case ENOENT:
		return kmod_explain_buffer(error, map->buffer_id, failure);
	case EACCES:
		return backend_fail(failure, WIRE_REASON_READ_ONLY, 0, map->direction, false,
				    "buffer %" PRIu64 " was allocated for less than direction %s; "
				    "map it narrower or allocate it for more",
				    map->buffer_id, wire_direction_name(map->direction));
	case ENODEV:
	case EPERM:
	case EBUSY:
	case EXDEV:
	case ERANGE:
	case ENOSPC:
	case EOPNOTSUPP:
		return explain_map_device(error, map, device, failure);
	case ENOMEM:
		return backend_fail(
			failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
			"the machine has no memory for another mapping; free something");
	case EMFILE:
	case ENFILE:
		return backend_fail_files(failure, "another mapping");
	default:
		return fail_module(error, "map", failure);
	}
}

int kmod_explain_buffer(int error, uint64_t id, struct backend_failure *failure)
{
	switch (-error) {
	case ENOENT:
		return backend_fail(failure, WIRE_REASON_UNKNOWN_BUFFER, 0, id, false,
				    "there is no buffer %" PRIu64 " (any more)", id);
	case ENOMEM:
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
				    "the machine has no memory for another fd of buffer %" PRIu64,
				    id);
	case EMFILE:
	case ENFILE:
		return backend_fail_files(failure, "another fd of a buffer");
	default:
		return fail_module(error, "open a buffer again", failure);
	}
}
