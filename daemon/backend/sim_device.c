// SPDX-License-Identifier: MIT
/*
 * Which simulated devices there are.
 *
 * One line for each, words separated by blanks:
 *
 *	N bits MASK [segment BYTES[K|M|G]] [iommu|no-iommu] [coherent|noncoherent]
 *
 * makes sim:N, which drives MASK address bits (12 to 64), takes segments of at most BYTES (default:
 * what fits 32 bits), lies behind an IOMMU (or not), and snoops the CPU's caches (or not). Where
 * nothing is said it is behind an IOMMU and coherent. Without lines there are four that together
 * show most of what can go wrong: a narrow one, an ordinary one, one that needs syncs, and one
 * without an IOMMU that sees memory in pieces.
 *
 * Id 1 is "system", the others follow in the order of the lines. Devices do not come and go.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/backend/sim.h"
#include "proto/cleanup.h"

#define LINE_BYTES	128
#define DEFAULT_SEGMENT 4294967295ull
#define MASK_BITS_MIN	12
#define NUMBER_MAX	9999
#define ERROR_BYTES	256
#define SYSTEM_ID	1

static const char *const default_devices[] = {
	"0 bits 28 iommu coherent",
	"1 bits 32 iommu coherent",
	"2 bits 64 iommu noncoherent",
	"3 bits 32 segment 64K no-iommu coherent",
};

__attribute__((format(printf, 2, 3))) static int config_fail(const struct backend_config *config,
							     const char *format, ...)
{
	va_list args;

	if (config && config->ret_error) {
		va_start(args, format);
		vsnprintf(config->ret_error, ERROR_BYTES, format, args);
		va_end(args);
	}
	return -EINVAL;
}

/* A whole word as a number in a range, with K, M or G behind it if @units. */
static bool number_parse(const char *word, bool units, uint64_t min, uint64_t max, uint64_t *ret)
{
	static const char suffixes[] = "KMG";
	unsigned int shift = 0;
	uint64_t value;
	char *end;

	if (!word || word[0] < '0' || word[0] > '9')
		return false;
	errno = 0;
	value = strtoull(word, &end, 10);
	if (errno)
		return false;
	if (units && *end) {
		const char *suffix = strchr(suffixes, *end);

		if (!suffix)
			return false;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
		end++;
	}
	if (*end || value > UINT64_MAX >> shift || value << shift < min || value << shift > max)
		return false;
	*ret = value << shift;
	return true;
}

/* One word after the number, with its argument if it has one. */
static int word_parse(const struct backend_config *config, const char *line, const char *word,
		      char **rest, uint64_t page_bytes, struct backend_device *info)
{
	const char *argument;
	uint64_t value;

	if (strcmp(word, "bits") == 0) {
		argument = strtok_r(NULL, " \t", rest);
		if (!number_parse(argument, false, MASK_BITS_MIN, 64, &value))
			return config_fail(config,
					   "simulated device '%s': 'bits' needs a number from %d "
					   "to 64, not '%s'",
					   line, MASK_BITS_MIN, argument ? argument : "");
		info->streaming_mask_bits = (uint32_t)value;
		info->coherent_mask_bits = (uint32_t)value;
	} else if (strcmp(word, "segment") == 0) {
		argument = strtok_r(NULL, " \t", rest);
		if (!number_parse(argument, true, page_bytes, 1ull << 40, &value))
			return config_fail(config,
					   "simulated device '%s': 'segment' needs %" PRIu64
					   " to 1024G bytes, not '%s'",
					   line, page_bytes, argument ? argument : "");
		info->max_segment_bytes = value;
	} else if (strcmp(word, "iommu") == 0) {
		info->flags |= WIRE_DEVICE_IOMMU;
	} else if (strcmp(word, "no-iommu") == 0) {
		info->flags &= ~WIRE_DEVICE_IOMMU;
	} else if (strcmp(word, "coherent") == 0) {
		info->flags |= WIRE_DEVICE_COHERENT;
	} else if (strcmp(word, "noncoherent") == 0) {
		info->flags &= ~WIRE_DEVICE_COHERENT;
	} else {
		return config_fail(config,
				   "simulated device '%s': unknown word '%s'; a line is 'N bits "
				   "MASK [segment BYTES] [iommu|no-iommu] [coherent|noncoherent]'",
				   line, word);
	}
	return 0;
}

static int line_parse(const struct backend_config *config, const char *line, uint64_t page_bytes,
		      struct backend_device *ret)
{
	struct backend_device info = {
		.flags = WIRE_DEVICE_USABLE | WIRE_DEVICE_IOMMU | WIRE_DEVICE_COHERENT,
		.max_segment_bytes = DEFAULT_SEGMENT,
		.bus = "sim",
	};
	char copy[LINE_BYTES], *rest, *word;
	uint64_t number;
	int r;

	if (strlen(line) >= sizeof(copy))
		return config_fail(config, "simulated device '%.32s...': the line is too long",
				   line);
	strcpy(copy, line);
	word = strtok_r(copy, " \t", &rest);
	if (!number_parse(word, false, 0, NUMBER_MAX, &number))
		return config_fail(config,
				   "simulated device '%s': a line begins with the device's number, "
				   "0 to %d",
				   line, NUMBER_MAX);
	snprintf(info.name, sizeof(info.name), "sim:%" PRIu64, number);
	while ((word = strtok_r(NULL, " \t", &rest))) {
		r = word_parse(config, line, word, &rest, page_bytes, &info);
		if (r < 0)
			return r;
	}
	if (!info.streaming_mask_bits)
		return config_fail(config,
				   "simulated device '%s': say how many address bits it drives, "
				   "'bits 32' for example",
				   line);
	info.max_segment_bytes = info.max_segment_bytes / page_bytes * page_bytes;
	*ret = info;
	return 0;
}

static void system_init(struct sim_device *device)
{
	device->info = (struct backend_device){
		.id = SYSTEM_ID,
		.flags = WIRE_DEVICE_SYSTEM | WIRE_DEVICE_COHERENT | WIRE_DEVICE_USABLE,
		.streaming_mask_bits = 64,
		.coherent_mask_bits = 64,
		.max_segment_bytes = DEFAULT_SEGMENT,
		.bus = "system",
		.name = "system",
	};
}

static int device_init(struct sim *sim, const struct backend_config *config, const char *line,
		       struct sim_device *device, uint32_t id)
{
	unsigned int bits;
	int r;

	r = line_parse(config, line, sim->page_bytes, &device->info);
	if (r < 0)
		return r;
	device->info.id = id;
	bits = device->info.streaming_mask_bits;
	return sim_space_init(&device->iova, SIM_SPACE_FIRST,
			      bits < SIM_IOVA_BITS ? bits : SIM_IOVA_BITS, sim->page_bytes);
}

static int lines_check(const struct backend_config *config, const char *const *lines,
		       unsigned int nr_lines, uint64_t page_bytes)
{
	struct backend_device info, other;
	unsigned int i, j;
	int r;

	if (nr_lines > SIM_DEVICES_MAX)
		return config_fail(config, "%u simulated devices are too many, %d can be had",
				   nr_lines, SIM_DEVICES_MAX);
	for (i = 0; i < nr_lines; i++) {
		r = line_parse(config, lines[i], page_bytes, &info);
		for (j = 0; j < i && r == 0; j++) {
			r = line_parse(config, lines[j], page_bytes, &other);
			if (r == 0 && strcmp(info.name, other.name) == 0)
				r = config_fail(config, "simulated device '%s': %s is there twice",
						lines[i], info.name);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int backend_check_sim_devices(const char *const *lines, unsigned int nr_lines,
			      char ret_error[static ERROR_BYTES])
{
	const struct backend_config config = { .ret_error = ret_error };

	return lines_check(&config, lines, nr_lines, (uint64_t)sysconf(_SC_PAGESIZE));
}

int sim_devices_init(struct sim *sim, const struct backend_config *config)
{
	const char *const *lines = default_devices;
	unsigned int nr_lines = sizeof(default_devices) / sizeof(default_devices[0]);
	unsigned int i;
	int r;

	if (config && config->nr_sim_devices) {
		lines = config->sim_devices;
		nr_lines = config->nr_sim_devices;
	}
	r = lines_check(config, lines, nr_lines, sim->page_bytes);
	if (r < 0)
		return r;
	sim->devices = calloc(nr_lines + 1, sizeof(*sim->devices));
	if (!sim->devices)
		return -ENOMEM;
	system_init(&sim->devices[0]);
	sim->nr_devices = 1;
	for (i = 0; i < nr_lines; i++) {
		r = device_init(sim, config, lines[i], &sim->devices[i + 1], SYSTEM_ID + 1 + i);
		if (r < 0)
			return r;
		sim->nr_devices++;
	}
	return 0;
}

void sim_devices_fini(struct sim *sim)
{
	unsigned int i;

	for (i = 0; i < sim->nr_devices; i++)
		sim_space_fini(&sim->devices[i].iova);
	free(sim->devices);
	sim->devices = NULL;
	sim->nr_devices = 0;
}

struct sim_device *sim_device_get(struct sim *sim, uint32_t id)
{
	if (id < SYSTEM_ID || id - SYSTEM_ID >= sim->nr_devices)
		return NULL;
	return &sim->devices[id - SYSTEM_ID];
}
