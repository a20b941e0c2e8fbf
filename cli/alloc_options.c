/* SPDX-License-Identifier: MIT */
/*
 * The options of "alloc" and "open". What can be seen to be wrong without the broker is wrong
 * usage; what depends on policy, devices or memory is the broker's to say.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/alloc.h"
#include "cli/text.h"

enum {
	ID_SIZE = 's',
	ID_KIND = 'k',
	ID_ATTR = 'a',
	ID_DEVICE = 'd',
	ID_DIRECTION = 'D',
	ID_COUNT = 'c',
	ID_NAME = 'n',
	ID_SHARE = 't',
	ID_SHARE_READ_ONLY = 'r',
	ID_HOLD = 'H',
	ID_QUIET = 'q',
};

#define NAME_MAX_CHARACTERS 31 /* as the library documents */

#define USE_OPTIONS                                                                   \
	{ "device", "DEVICE", ID_DEVICE, "map it to this device; may be repeated" },  \
		{ "direction", "DIRECTION", ID_DIRECTION,                             \
		  "bidirectional, to-device, from-device or none" },                  \
		{ "hold", NULL, ID_HOLD, "keep it until SIGINT, SIGTERM or SIGHUP" }, \
	{                                                                             \
		"quiet", NULL, ID_QUIET, "do not print what was obtained"             \
	}

const struct option_line alloc_options[] = {
	{ "size", "SIZE", ID_SIZE, "of each buffer: 8M, 64K, 4096; powers of 1024" },
	{ "kind", "KIND", ID_KIND, "coherent (the default), writecombine or noncoherent" },
	{ "attr", "NAME", ID_ATTR, "an attribute; may be repeated" },
	{ "count", "N", ID_COUNT, "how many buffers, all or none" },
	{ "name", "TEXT", ID_NAME, "what listings call it" },
	{ "share", NULL, ID_SHARE, "print a token that opens it" },
	{ "share-read-only", NULL, ID_SHARE_READ_ONLY, "print a token that opens it for reading" },
	USE_OPTIONS,
	{},
};

const struct option_line open_options[] = {
	USE_OPTIONS,
	{},
};

/* What the library calls things, in order of their numbers, for a message. */
static char *list_names(const char *(*name)(uint64_t), char ret[static 256])
{
	size_t length = 0;
	const char *text;

	ret[0] = '\0';
	for (unsigned int i = 0; i < 64; i++) {
		text = name(1ull << i);
		if (text && length < 256)
			length += (size_t)snprintf(ret + length, 256 - length, "%s%s",
						   length ? ", " : "", text);
	}
	return ret;
}

static int parse_size(const struct cli *cli, const char *value, uint64_t *ret)
{
	int r = text_parse_size(value, ret);

	if (r == -ERANGE)
		return wrong_usage(cli, "--size %s: no memory is that large", value);
	if (r < 0)
		return wrong_usage(cli, "--size %s: not a size such as 8M, 64K or 4096", value);
	if (*ret == 0)
		return wrong_usage(cli, "--size %s: a buffer has at least one byte", value);
	return STATUS_DONE;
}

static int parse_name(const struct cli *cli, const char *value, const char **ret)
{
	if (strlen(value) > NAME_MAX_CHARACTERS)
		return wrong_usage(cli, "--name: longer than %d characters", NAME_MAX_CHARACTERS);
	for (const char *c = value; *c; c++)
		if (*c < ' ' || *c > '~')
			return wrong_usage(cli, "--name: only printable ASCII characters");
	*ret = value;
	return STATUS_DONE;
}

static int take(const struct cli *cli, int id, const char *value, struct alloc_options *ret)
{
	char names[256];
	uint64_t number;

	switch (id) {
	case ID_SIZE:
		return parse_size(cli, value, &ret->size_bytes);
	case ID_KIND:
		if (dmabroker_kind_parse(value, &ret->kind) < 0 ||
		    ret->kind == DMABROKER_KIND_IMPORTED)
			return wrong_usage(
				cli, "--kind %s: say coherent, writecombine or noncoherent", value);
		break;
	case ID_ATTR:
		if (dmabroker_attribute_parse(value, &number) < 0)
			return wrong_usage(cli, "--attr %s: say one of %s", value,
					   list_names(dmabroker_attribute_name, names));
		ret->attributes |= number;
		break;
	case ID_DEVICE:
		if (!value[0])
			return wrong_usage(cli, "--device: the name is empty");
		if (ret->nr_devices == ALLOC_DEVICES_MAX)
			return wrong_usage(cli, "--device: no more than %d devices",
					   ALLOC_DEVICES_MAX);
		ret->devices[ret->nr_devices++] = value;
		break;
	case ID_DIRECTION:
		if (dmabroker_direction_parse(value, &ret->direction) < 0)
			return wrong_usage(
				cli,
				"--direction %s: say bidirectional, to-device, from-device "
				"or none",
				value);
		break;
	case ID_COUNT:
		if (text_parse_number(value, 1, DMABROKER_BUFFERS_MAX, &number) < 0)
			return wrong_usage(cli, "--count %s: must be a number from 1 to %d", value,
					   DMABROKER_BUFFERS_MAX);
		ret->count = (unsigned int)number;
		break;
	case ID_NAME:
		return parse_name(cli, value, &ret->name);
	case ID_SHARE_READ_ONLY:
		ret->share_read_only = true;
		ret->share = true;
		break;
	case ID_SHARE:
		ret->share = true;
		break;
	case ID_HOLD:
		ret->hold = true;
		break;
	case ID_QUIET:
		ret->quiet = true;
		break;
	}
	return STATUS_DONE;
}

static int check_together(const struct cli *cli, const struct options *options,
			  const struct alloc_options *alloc)
{
	if (options->rest && !options->rest[0])
		return wrong_usage(cli, "which command? Nothing follows --");
	if (alloc->hold && options->rest)
		return wrong_usage(cli, "either --hold or a command, which holds it by itself");
	if (alloc->share && !alloc->hold && !options->rest)
		return wrong_usage(cli, "a token is good while this command holds the buffer; add "
					"--hold or a command");
	if (alloc->share && alloc->quiet)
		return wrong_usage(cli, "--quiet would keep the token of --share to itself");
	return STATUS_DONE;
}

int alloc_options_parse(struct options *options, struct alloc_options *ret)
{
	struct alloc_options alloc = { .count = 1, .kind = DMABROKER_KIND_COHERENT };
	const char *value;
	int id;

	while ((id = options_next(options, &value)) > 0) {
		options->status = take(options->cli, id, value, &alloc);
		if (options->status != STATUS_DONE)
			return -1;
	}
	if (id < 0)
		return -1;
	options->status = check_together(options->cli, options, &alloc);
	if (options->status != STATUS_DONE)
		return -1;
	alloc.command = options->rest;
	*ret = alloc;
	return 0;
}
