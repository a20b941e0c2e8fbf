// SPDX-License-Identifier: MIT
/*
 * How ops say why they failed, and the checks every backend shares.
 *
 * A reason decides its errno (proto/wire.h), so an op names the reason and returns what
 * backend_fail() returns: the two can never disagree. The checks here look at the request alone,
 * or at the request and what the backend says of one device; they are made before any backend
 * spends anything, and they are why a wrong word gets the same answer on a simulated machine as
 * on a real one.
 *
 * A sentence says what happened, with the numbers, and what to do. It goes to the client as it is.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/backend/failure.h"

#define ALLOC_MAX_BYTES (1ull << 40) /* as in the helper's ABI */

#define ATTRS_OF_BUFFERS                                                                           \
	(WIRE_ATTR_FORCE_CONTIGUOUS | WIRE_ATTR_NO_KERNEL_MAPPING | WIRE_ATTR_ALLOC_SINGLE_PAGES | \
	 WIRE_ATTR_NO_WARN)
_Static_assert((ATTRS_OF_BUFFERS | WIRE_ATTRIBUTES_OF_MAPPINGS) == WIRE_ATTRIBUTES_KNOWN,
	       "each attribute is for buffers or for mappings");

int backend_fail(struct backend_failure *failure, enum wire_reason reason, uint64_t limit,
		 uint64_t value, bool retry, const char *format, ...)
{
	if (failure) {
		va_list args;

		failure->reason = reason;
		failure->limit = limit;
		failure->value = value;
		failure->retry = retry;
		va_start(args, format);
		vsnprintf(failure->text, sizeof(failure->text), format, args);
		va_end(args);
	}
	return -wire_reason_errno(reason);
}

int backend_fail_files(struct backend_failure *failure, const char *what)
{
	return backend_fail(failure, WIRE_REASON_NO_FILES, 0, 0, true,
			    "the broker has no free file descriptor for %s; try again later, or an "
			    "administrator raises its LimitNOFILE=",
			    what);
}

static const char *direction_text(uint32_t direction)
{
	const char *text = wire_direction_name(direction);

	return text ? text : "?";
}

/* The first attribute of a set, by name; a number where it has none. */
static const char *attribute_text(uint64_t attributes, char ret_buf[static 32])
{
	uint64_t bit = attributes & -attributes;
	const char *name = wire_attribute_name(bit);

	if (name)
		return name;
	snprintf(ret_buf, 32, "bit 0x%llx", (unsigned long long)bit);
	return ret_buf;
}

static int check_attributes(uint64_t attributes, uint64_t meaningful, const char *instead,
			    struct backend_failure *failure)
{
	char buf[32];

	if (attributes & ~(uint64_t)WIRE_ATTRIBUTES_KNOWN)
		return backend_fail(failure, WIRE_REASON_UNKNOWN_ATTRIBUTE, WIRE_ATTRIBUTES_KNOWN,
				    attributes, false, "attribute %s does not exist",
				    attribute_text(attributes & ~(uint64_t)WIRE_ATTRIBUTES_KNOWN,
						   buf));
	if (attributes & ~meaningful)
		return backend_fail(failure, WIRE_REASON_COMBINATION, meaningful, attributes, false,
				    "attribute %s means nothing here: %s",
				    attribute_text(attributes & ~meaningful, buf), instead);
	return 0;
}

int backend_check_alloc(const struct backend_alloc *alloc, uint64_t page_size,
			uint64_t *ret_size_bytes, struct backend_failure *failure)
{
	int r;

	if (alloc->size_bytes == 0 || alloc->size_bytes > ALLOC_MAX_BYTES)
		return backend_fail(failure, WIRE_REASON_SIZE, ALLOC_MAX_BYTES, alloc->size_bytes,
				    false,
				    "a buffer has 1 to %llu bytes, %llu were asked for; ask for a "
				    "size in between",
				    (unsigned long long)ALLOC_MAX_BYTES,
				    (unsigned long long)alloc->size_bytes);
	if (alloc->kind < WIRE_KIND_COHERENT || alloc->kind > WIRE_KIND_IMPORTED)
		return backend_fail(failure, WIRE_REASON_UNKNOWN_KIND, 0, alloc->kind, false,
				    "there is no kind %u of memory; use coherent, writecombine or "
				    "noncoherent",
				    (unsigned int)alloc->kind);
	if (alloc->kind == WIRE_KIND_IMPORTED)
		return backend_fail(failure, WIRE_REASON_BACKEND_CANNOT, 0, alloc->kind, false,
				    "imported memory comes with the fd of whoever made it and "
				    "cannot be allocated; use coherent, writecombine or "
				    "noncoherent");
	if ((unsigned int)alloc->direction > WIRE_DIR_NONE)
		return backend_fail(failure, WIRE_REASON_UNKNOWN_DIRECTION, 0, alloc->direction,
				    false,
				    "there is no direction %u; use bidirectional, to-device, "
				    "from-device or none",
				    (unsigned int)alloc->direction);
	if (alloc->nr_devices > WIRE_DEVICES_MAX)
		return backend_fail(failure, WIRE_REASON_COUNT, WIRE_DEVICES_MAX, alloc->nr_devices,
				    false,
				    "a buffer can be allocated for %u devices at most, %u "
				    "were named",
				    WIRE_DEVICES_MAX, alloc->nr_devices);
	r = check_attributes(alloc->attributes, ATTRS_OF_BUFFERS,
			     "it belongs to a mapping, not to an allocation", failure);
	if (r < 0)
		return r;
	if ((alloc->attributes & WIRE_ATTR_FORCE_CONTIGUOUS) &&
	    (alloc->attributes & WIRE_ATTR_ALLOC_SINGLE_PAGES))
		return backend_fail(failure, WIRE_REASON_COMBINATION, 0, alloc->attributes, false,
				    "force-contiguous and alloc-single-pages contradict each "
				    "other; drop one of them");
	*ret_size_bytes = (alloc->size_bytes + page_size - 1) / page_size * page_size;
	return 0;
}

/* Does a mapping in @asked let the device do what @allowed does not? */
static bool direction_wider(enum wire_direction asked, enum wire_direction allowed)
{
	return allowed != WIRE_DIR_BIDIRECTIONAL && asked != allowed;
}

static int check_direction(const struct backend_map *map, enum wire_direction buffer_direction,
			   struct backend_failure *failure)
{
	if ((unsigned int)map->direction > WIRE_DIR_NONE)
		return backend_fail(failure, WIRE_REASON_UNKNOWN_DIRECTION, 0, map->direction,
				    false,
				    "there is no direction %u; use bidirectional, to-device or "
				    "from-device",
				    (unsigned int)map->direction);
	if (map->direction == WIRE_DIR_NONE)
		return backend_fail(failure, WIRE_REASON_DIRECTION_NONE, 0, map->direction, false,
				    "a mapping needs a direction, 'none' has none; use "
				    "bidirectional, to-device or from-device");
	if (map->read_only && map->direction != WIRE_DIR_TO_DEVICE)
		return backend_fail(failure, WIRE_REASON_READ_ONLY, 0, map->direction, false,
				    "buffer %llu is held read-only, so a device may only read it: "
				    "map it to-device, not %s",
				    (unsigned long long)map->buffer_id,
				    direction_text(map->direction));
	if (direction_wider(map->direction, buffer_direction))
		return backend_fail(failure, WIRE_REASON_READ_ONLY, buffer_direction,
				    map->direction, false,
				    "buffer %llu was allocated for direction %s, a mapping that is "
				    "%s would be wider; map it narrower or allocate it for both",
				    (unsigned long long)map->buffer_id,
				    direction_text(buffer_direction),
				    direction_text(map->direction));
	return 0;
}

unsigned int backend_device_bits(const struct backend_device *device)
{
	return device->coherent_mask_bits < device->streaming_mask_bits
		       ? device->coherent_mask_bits
		       : device->streaming_mask_bits;
}

int backend_check_map(const struct backend_map *map, enum wire_direction buffer_direction,
		      const struct backend_device *device, struct backend_failure *failure)
{
	unsigned int bits = backend_device_bits(device);
	int r;

	r = check_direction(map, buffer_direction, failure);
	if (r < 0)
		return r;
	r = check_attributes(map->attributes, WIRE_ATTRIBUTES_OF_MAPPINGS,
			     "it belongs to an allocation, not to a mapping", failure);
	if (r < 0)
		return r;
	if (device->flags & WIRE_DEVICE_SYSTEM)
		return backend_fail(failure, WIRE_REASON_DEVICE_SYSTEM, 0, map->device_id, false,
				    "'%s' stands for no particular device: allocate for it, and "
				    "map to a real device",
				    device->name);
	if (!(device->flags & WIRE_DEVICE_USABLE))
		return backend_fail(failure, WIRE_REASON_DEVICE_UNUSABLE, 0, map->device_id, false,
				    "%s cannot be used: %s", device->name,
				    device->reason[0] ? device->reason : "it does not say why");
	if (map->mask_bits > bits)
		return backend_fail(failure, WIRE_REASON_BAD_ARGUMENT, bits, map->mask_bits, false,
				    "%s drives %u address bits; a mapping can narrow that, not "
				    "widen it to %u",
				    device->name, bits, map->mask_bits);
	if (map->account == 0)
		return backend_fail(failure, WIRE_REASON_BAD_ARGUMENT, 0, 0, false,
				    "a mapping needs an account, and 0 is none");
	return 0;
}
