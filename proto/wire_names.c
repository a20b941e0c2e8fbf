/* SPDX-License-Identifier: MIT */
/*
 * Names in text for the wire's codes, and back. One list per code, walked in both directions, so
 * that what the command line accepts, what JSON prints and what a log says is the same word.
 * Parsing is exact: no prefixes, no other case, no numbers.
 */
#include <errno.h>
#include <string.h>

#include "proto/wire.h"

struct name {
	uint64_t code;
	const char *text;
};

static const struct name kind_names[] = {
	{ WIRE_KIND_COHERENT, "coherent" },
	{ WIRE_KIND_WRITECOMBINE, "writecombine" },
	{ WIRE_KIND_NONCOHERENT, "noncoherent" },
	{ WIRE_KIND_IMPORTED, "imported" },
};

static const struct name direction_names[] = {
	{ WIRE_DIR_BIDIRECTIONAL, "bidirectional" },
	{ WIRE_DIR_TO_DEVICE, "to-device" },
	{ WIRE_DIR_FROM_DEVICE, "from-device" },
	{ WIRE_DIR_NONE, "none" },
};

static const struct name attribute_names[] = {
#define X(NAME, bit, text) { WIRE_ATTR_##NAME, text },
	WIRE_ATTRIBUTES(X)
#undef X
};

static const struct name reason_names[] = {
#define X(NAME, number, err, text) { WIRE_REASON_##NAME, text },
	WIRE_REASONS(X)
#undef X
};

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static const char *name_of(const struct name *names, size_t nr, uint64_t code)
{
	for (size_t i = 0; i < nr; i++)
		if (names[i].code == code)
			return names[i].text;
	return NULL;
}

static int code_of(const struct name *names, size_t nr, const char *text, uint64_t *ret_code)
{
	for (size_t i = 0; i < nr; i++) {
		if (strcmp(names[i].text, text) == 0) {
			*ret_code = names[i].code;
			return 0;
		}
	}
	return -EINVAL;
}

static int code32_of(const struct name *names, size_t nr, const char *text, uint32_t *ret_code)
{
	uint64_t code;
	int r;

	r = code_of(names, nr, text, &code);
	if (r < 0)
		return r;
	*ret_code = (uint32_t)code;
	return 0;
}

const char *wire_kind_name(uint32_t kind)
{
	return name_of(kind_names, NR(kind_names), kind);
}

const char *wire_direction_name(uint32_t direction)
{
	return name_of(direction_names, NR(direction_names), direction);
}

const char *wire_attribute_name(uint64_t one_bit)
{
	return name_of(attribute_names, NR(attribute_names), one_bit);
}

const char *wire_reason_name(uint32_t reason)
{
	return name_of(reason_names, NR(reason_names), reason);
}

int wire_reason_errno(uint32_t reason)
{
	switch (reason) {
#define X(NAME, number, err, text) \
	case WIRE_REASON_##NAME:   \
		return (err);
		WIRE_REASONS(X)
#undef X
	default:
		return -EINVAL;
	}
}

int wire_kind_parse(const char *text, uint32_t *ret_kind)
{
	return code32_of(kind_names, NR(kind_names), text, ret_kind);
}

int wire_direction_parse(const char *text, uint32_t *ret_direction)
{
	return code32_of(direction_names, NR(direction_names), text, ret_direction);
}

int wire_attribute_parse(const char *text, uint64_t *ret_bit)
{
	return code_of(attribute_names, NR(attribute_names), text, ret_bit);
}
