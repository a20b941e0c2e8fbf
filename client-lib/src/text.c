/* SPDX-License-Identifier: MIT */
/*
 * Codes in text, and the proof that the public header and the wire mean the same by every number.
 * The wire's names are the names; what is here only makes them public.
 */
#include "client-lib/src/fail.h"
#include "config.h"
#include "dmabroker/dmabroker.h"
#include "proto/wire.h"

#define X(NAME, number, text) \
	_Static_assert((int)DMABROKER_ATTR_##NAME == (int)WIRE_ATTR_##NAME, "ATTR_" #NAME);
WIRE_ATTRIBUTES(X)
#undef X

#define X(NAME, number, err, text) \
	_Static_assert((int)DMABROKER_REASON_##NAME == (int)WIRE_REASON_##NAME, "REASON_" #NAME);
WIRE_REASONS(X)
#undef X

#define SAME(name) _Static_assert((int)DMABROKER_##name == (int)WIRE_##name, #name)
SAME(KIND_COHERENT);
SAME(KIND_WRITECOMBINE);
SAME(KIND_NONCOHERENT);
SAME(KIND_IMPORTED);
SAME(DIR_BIDIRECTIONAL);
SAME(DIR_TO_DEVICE);
SAME(DIR_FROM_DEVICE);
SAME(DIR_NONE);
SAME(DEVICE_COHERENT);
SAME(DEVICE_IOMMU);
SAME(DEVICE_USABLE);
SAME(DEVICE_ALLOWED);
SAME(DEVICE_SYSTEM);
SAME(DEVICE_SHARED);
SAME(BUFFER_CONTIGUOUS);
SAME(BUFFER_READ_ONLY);
SAME(BUFFER_HELD);
SAME(OWNED_BY_BOTH);
SAME(OWNED_BY_CPU);
SAME(OWNED_BY_DEVICE);
SAME(MAPPING_SKIP_CPU_SYNC);
SAME(MAPPING_BOUNCES);
SAME(MAPPING_SYNC_BY_FD);
SAME(MAPPING_DEVICE_GONE);
SAME(SHARE_READ_ONLY);
_Static_assert(DMABROKER_QUERY_ALL == WIRE_LIST_ALL, "QUERY_ALL");

const char *dmabroker_get_version(void)
{
	return DMABROKER_VERSION;
}

const char *dmabroker_kind_name(uint32_t kind)
{
	return wire_kind_name(kind);
}

const char *dmabroker_direction_name(uint32_t direction)
{
	return wire_direction_name(direction);
}

const char *dmabroker_attribute_name(uint64_t one_bit)
{
	return wire_attribute_name(one_bit);
}

const char *dmabroker_reason_name(uint32_t reason)
{
	return wire_reason_name(reason);
}

static int parsed(int r, const char *text)
{
	return r < 0 ? fail_with(r, DMABROKER_REASON_BAD_ARGUMENT, 0, 0, text) : 0;
}

int dmabroker_kind_parse(const char *text, uint32_t *ret_kind)
{
	return parsed(wire_kind_parse(text, ret_kind),
		      "The kinds are coherent, writecombine, noncoherent and imported.");
}

int dmabroker_direction_parse(const char *text, uint32_t *ret_direction)
{
	return parsed(wire_direction_parse(text, ret_direction),
		      "The directions are bidirectional, to-device, from-device and none.");
}

int dmabroker_attribute_parse(const char *text, uint64_t *ret_bit)
{
	return parsed(wire_attribute_parse(text, ret_bit),
		      "The attributes are force-contiguous, no-kernel-mapping, weak-ordering, "
		      "alloc-single-pages, no-warn and skip-cpu-sync.");
}
