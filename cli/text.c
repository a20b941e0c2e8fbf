/* SPDX-License-Identifier: MIT */
/*
 * Texts and numbers between people and programs.
 *
 * Sizes are powers of 1024 whatever the unit is called, as in the broker's configuration: memory
 * comes in pages, and a megabyte of 1000000 bytes would be a size that nobody has.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

static const char units[] = "KMGT";

/* strtoull() takes signs and white space, which no number here has. */
static int parse_digits(const char *text, uint64_t *ret, const char **ret_end)
{
	unsigned long long number;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	*ret = number;
	*ret_end = end;
	return 0;
}

int text_parse_size(const char *text, uint64_t *ret_bytes)
{
	unsigned int shift = 0;
	const char *end, *unit;
	uint64_t number;
	int r;

	r = parse_digits(text, &number, &end);
	if (r < 0)
		return r;
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned int)(unit - units + 1);
		end++;
		if (*end == 'i')
			end++;
	}
	if (*end == 'B')
		end++;
	if (*end)
		return -EINVAL;
	if (number > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = number << shift;
	return 0;
}

int text_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	const char *end;
	uint64_t number;
	int r;

	r = parse_digits(text, &number, &end);
	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	if (number < min || number > max)
		return -ERANGE;
	*ret = number;
	return 0;
}

char *text_size(uint64_t bytes, char ret[static TEXT_SIZE_BYTES])
{
	uint64_t whole = bytes;
	unsigned int unit = 0;

	while (unit < sizeof(units) - 1 && whole && whole % 1024 == 0) {
		whole /= 1024;
		unit++;
	}
	if (whole >= 100000 && unit < sizeof(units) - 1) {
		/* More digits than anybody reads: one behind the point will do. */
		unit = 0;
		for (whole = bytes; whole >= 1024 * 1024 && unit < sizeof(units) - 2; unit++)
			whole /= 1024;
		snprintf(ret, TEXT_SIZE_BYTES, "%" PRIu64 ".%u %ciB", whole / 1024,
			 (unsigned int)(whole % 1024 * 10 / 1024), units[unit]);
	} else if (unit) {
		snprintf(ret, TEXT_SIZE_BYTES, "%" PRIu64 " %ciB", whole, units[unit - 1]);
	} else {
		snprintf(ret, TEXT_SIZE_BYTES, "%" PRIu64 " B", whole);
	}
	return ret;
}

void text_make_printable(char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)text[0], next = (unsigned char)text[1];

		if (c < ' ' || c == 0x7f)
			text[0] = '?';
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0) /* U+0080 to U+009F */
			text[0] = text[1] = '?';
	}
}
