/* SPDX-License-Identifier: MIT */
/*
 * The device configuration, read with inih for one device at a time.
 *
 * Debian's build of inih reports no line numbers and cuts lines of 200 characters in two, so it
 * reads through next_line(), which counts and refuses. It mentions a section only together with a
 * key in it, so headers are checked there too. A key or section that is not known is an error:
 * a mask with a typo in its name would be a device that reaches memory it should not, or none.
 *
 * The script that binds devices at boot reads the same file for the same "bind".
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/devices_conf.h"
#include "cli/pci.h"
#include "cli/text.h"

enum precision {
	BY_ID,
	BY_ADDRESS,
	NR_PRECISIONS,
};

struct values {
	bool mask_set, coherent_set, bind_set;
	struct device_conf conf;
};

struct parser {
	FILE *file;
	const char *name;
	unsigned int line;
	int error;
	char *problem;
	char address_section[64]; /* the sections that speak of the device asked for */
	char id_section[64];
	enum precision precision;
	bool ours; /* the section being read is one of them */
	struct values values[NR_PRECISIONS];
};

__attribute__((format(printf, 3, 4))) static int fail(struct parser *parser, int error,
						      const char *format, ...)
{
	char what[200];
	va_list args;

	/* The first error is the one to mend; what follows may be its consequence. */
	if (parser->error)
		return parser->error;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(parser->problem, DEVICES_CONF_PROBLEM_BYTES, "%.80s:%u: %s", parser->name,
		 parser->line, what);
	parser->error = error;
	return error;
}

static bool is_pci_id(const char *text)
{
	for (int i = 0; i < 9; i++)
		if (i == 4 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
			return false;
	return !text[9];
}

/* [device pci:ADDRESS], [device pci-id:VENDOR:MODEL]; the name may be quoted. */
static int start_section(struct parser *parser, const char *line)
{
	char section[64], address[PCI_ADDRESS_BYTES], *name;
	const char *end = strchr(line, ']');
	size_t length;

	if (!end)
		return fail(parser, -EINVAL, "a [section] without its closing bracket");
	snprintf(section, sizeof(section), "%.*s", (int)(end - line - 1), line + 1);
	if (strncmp(section, "device", 6) != 0 || !isspace((unsigned char)section[6]))
		return fail(parser, -EINVAL, "[%s]: sections here are called [device ...]",
			    section);
	name = section + 6;
	name += strspn(name, " \t\"");
	length = strcspn(name, " \t\"");
	if (name[length + strspn(name + length, " \t\"")])
		return fail(parser, -EINVAL, "[%s] names more than one device", section);
	name[length] = '\0';
	if (strncmp(name, "pci-id:", 7) == 0
		    ? !is_pci_id(name + 7)
		    : strncmp(name, "pci:", 4) != 0 || pci_parse(name, address) < 0)
		return fail(parser, -EINVAL,
			    "'%s' is no device; say pci:0000:00:03.0 or pci-id:1234:11e8", name);
	parser->ours = true;
	if (strcasecmp(name, parser->address_section) == 0)
		parser->precision = BY_ADDRESS;
	else if (strcasecmp(name, parser->id_section) == 0)
		parser->precision = BY_ID;
	else
		parser->ours = false;
	return 0;
}

/* As fgets(), for inih. */
static char *next_line(char *ret, int ret_bytes, void *userdata)
{
	struct parser *parser = userdata;
	char *text;

	if (parser->error)
		return NULL;
	if (!fgets(ret, ret_bytes, parser->file)) {
		if (ferror(parser->file))
			fail(parser, -EIO, "cannot be read on: %s", strerror(errno));
		return NULL;
	}
	parser->line++;
	if (!strchr(ret, '\n') && !feof(parser->file)) {
		fail(parser, -EINVAL, "the line is too long, or has a NUL character in it");
		return NULL;
	}
	text = ret + strspn(ret, " \t");
	if (*text == '[' && start_section(parser, text) < 0)
		return NULL;
	return ret;
}

static int parse_bits(struct parser *parser, const char *key, const char *value, unsigned int *ret)
{
	uint64_t bits;

	if (text_parse_number(value, 1, 64, &bits) < 0)
		return fail(parser, -EINVAL, "%s = %s: must be a number of bits from 1 to 64", key,
			    value);
	*ret = (unsigned int)bits;
	return 0;
}

static int take(struct parser *parser, const char *key, const char *value)
{
	struct values ignored, *values = &ignored;

	if (parser->ours)
		values = &parser->values[parser->precision];
	if (strcmp(key, "mask-bits") == 0) {
		values->mask_set = true;
		return parse_bits(parser, key, value, &values->conf.mask_bits);
	}
	if (strcmp(key, "coherent-mask-bits") == 0) {
		values->coherent_set = true;
		return parse_bits(parser, key, value, &values->conf.coherent_mask_bits);
	}
	if (strcmp(key, "bind") == 0) {
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return fail(parser, -EINVAL, "bind = %s: say yes or no", value);
		values->bind_set = true;
		values->conf.bind = strcmp(value, "yes") == 0;
		return 0;
	}
	return fail(parser, -EINVAL, "there is no key %s", key);
}

static int handle_key(void *userdata, const char *section, const char *key, const char *value)
{
	struct parser *parser = userdata;
	char text[200];
	size_t end;

	if (parser->error)
		return 0;
	if (!section[0])
		return fail(parser, -EINVAL, "%s = ... stands before the first [section]", key) ==
		       0;
	/* inih takes "; ..." off the end of a line, but not "# ...". */
	snprintf(text, sizeof(text), "%s", value);
	for (end = 0; text[end]; end++)
		if (text[end] == '#' && end && isspace((unsigned char)text[end - 1]))
			break;
	while (end && isspace((unsigned char)text[end - 1]))
		end--;
	text[end] = '\0';
	return take(parser, key, text) == 0;
}

int devices_conf_read(FILE *file, const char *name, const char *address, unsigned int vendor,
		      unsigned int model, struct device_conf *ret,
		      char problem[static DEVICES_CONF_PROBLEM_BYTES])
{
	struct parser parser = { .file = file, .name = name, .problem = problem };
	struct device_conf conf = {};
	int r;

	snprintf(parser.address_section, sizeof(parser.address_section), "pci:%s", address);
	snprintf(parser.id_section, sizeof(parser.id_section), "pci-id:%04x:%04x", vendor, model);
	r = ini_parse_stream(next_line, &parser, handle_key, &parser);
	if (parser.error)
		return parser.error;
	if (r) {
		/* Neither a section nor "key = value": inih counts lines, too. */
		snprintf(problem, DEVICES_CONF_PROBLEM_BYTES, "%.80s:%d: %s", name, r > 0 ? r : 0,
			 r > 0 ? "neither a [section] nor key = value" : "out of memory");
		return r > 0 ? -EINVAL : -ENOMEM;
	}
	for (enum precision i = BY_ID; i < NR_PRECISIONS; i++) {
		const struct values *values = &parser.values[i];

		if (values->mask_set)
			conf.mask_bits = values->conf.mask_bits;
		if (values->coherent_set)
			conf.coherent_mask_bits = values->conf.coherent_mask_bits;
		if (values->bind_set)
			conf.bind = values->conf.bind;
	}
	if (!conf.coherent_mask_bits)
		conf.coherent_mask_bits = conf.mask_bits;
	*ret = conf;
	return 0;
}
