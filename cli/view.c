/* SPDX-License-Identifier: MIT */
/*
 * How a buffer looks: one JSON object or a few lines. What "alloc" obtained and what "buffers"
 * found look the same, so both are brought into the structs of view.h first.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

/* A scattered buffer has thousands, which nobody reads. */
#define SEGMENTS_SHOWN 8

static const char *const owned_by_names[] = {
	[DMABROKER_OWNED_BY_BOTH] = "both",
	[DMABROKER_OWNED_BY_CPU] = "cpu",
	[DMABROKER_OWNED_BY_DEVICE] = "device",
};

static const char *known(const char *name)
{
	return name ? name : "unknown";
}

static const char *owned_by_name(uint32_t owned_by)
{
	return owned_by < sizeof(owned_by_names) / sizeof(owned_by_names[0])
		       ? owned_by_names[owned_by]
		       : "unknown";
}

void buffer_view_add(struct buffer_view *view, const char *device,
		     const struct dmabroker_mapping_info *info,
		     const struct dmabroker_segment *segments, size_t nr_known)
{
	struct mapping_view *mapping;

	view->mappings = reallocarray(view->mappings, view->nr_mappings + 1, sizeof(*mapping));
	if (!view->mappings)
		out_of_memory();
	mapping = &view->mappings[view->nr_mappings++];
	*mapping = (struct mapping_view){
		.device = device ? strdup(device) : NULL,
		.direction = info->direction,
		.skip_cpu_sync = info->flags & DMABROKER_MAPPING_SKIP_CPU_SYNC,
		.nr_segments = info->nr_segments,
		.segments = calloc(nr_known + 1, sizeof(*segments)),
		.nr_known = nr_known,
	};
	if ((device && !mapping->device) || !mapping->segments)
		out_of_memory();
	if (nr_known)
		memcpy(mapping->segments, segments, nr_known * sizeof(*segments));
}

void buffer_view_fini(struct buffer_view *view)
{
	for (size_t i = 0; i < view->nr_mappings; i++) {
		free(view->mappings[i].device);
		free(view->mappings[i].segments);
	}
	free(view->mappings);
	*view = (struct buffer_view){};
}

static struct json_object *attributes_json(uint64_t attributes)
{
	struct json_object *array = json_new_array();

	for (unsigned int i = 0; i < 64; i++) {
		const char *name = dmabroker_attribute_name(attributes & 1ull << i);

		if (name)
			json_append(array, json_object_new_string(name));
	}
	return array;
}

static struct json_object *mapping_json(const struct mapping_view *mapping)
{
	struct json_object *object = json_new_object(), *segments = json_new_array();

	json_add_text(object, "device", mapping->device);
	json_add_text(object, "direction", known(dmabroker_direction_name(mapping->direction)));
	json_add_bool(object, "skip_cpu_sync", mapping->skip_cpu_sync);
	for (size_t i = 0; i < mapping->nr_known; i++) {
		struct json_object *segment = json_new_object();

		json_add_address(segment, "dma_address", mapping->segments[i].dma_address);
		json_add_number(segment, "length_bytes", mapping->segments[i].length_bytes);
		json_append(segments, segment);
	}
	json_add(object, "segments", segments);
	return object;
}

struct json_object *buffer_view_json(const struct buffer_view *view)
{
	const struct dmabroker_buffer_info *info = view->info;
	struct json_object *object = json_new_object(), *mappings = json_new_array();

	json_add_number(object, "id", info->id);
	json_add_text(object, "name", info->name);
	json_add_text(object, "kind", known(dmabroker_kind_name(info->kind)));
	json_add_text(object, "effective_kind", known(dmabroker_kind_name(info->effective_kind)));
	json_add(object, "attributes", attributes_json(info->attributes));
	json_add_number(object, "size_bytes", info->size_bytes);
	json_add_bool(object, "contiguous", info->flags & DMABROKER_BUFFER_CONTIGUOUS);
	json_add_text(object, "region", info->region);
	json_add_number(object, "owner_uid", info->owner_uid);
	json_add_text(object, "owner_unit", info->owner_unit);
	json_add_number(object, "owner_pid", info->owner_pid);
	json_add_text(object, "owned_by", owned_by_name(info->owned_by));
	json_add_number(object, "syncs_done", info->syncs_done);
	json_add_number(object, "syncs_saved", info->syncs_saved);
	for (size_t i = 0; i < view->nr_mappings; i++)
		json_append(mappings, mapping_json(&view->mappings[i]));
	json_add(object, "mappings", mappings);
	if (view->token)
		json_add_text(object, "token", view->token);
	return object;
}

static void print_mapping(const struct mapping_view *mapping)
{
	char size[TEXT_SIZE_BYTES];

	printf("  %s %s, %" PRIu32 " segment%s%s\n",
	       mapping->device ? mapping->device : "(device gone)",
	       known(dmabroker_direction_name(mapping->direction)), mapping->nr_segments,
	       mapping->nr_segments == 1 ? "" : "s",
	       mapping->skip_cpu_sync ? ", CPU syncs done by another mapping" : "");
	for (size_t i = 0; i < mapping->nr_known && i < SEGMENTS_SHOWN; i++)
		printf("    0x%" PRIx64 "  %s\n", mapping->segments[i].dma_address,
		       text_size(mapping->segments[i].length_bytes, size));
	if (mapping->nr_known > SEGMENTS_SHOWN)
		printf("    and %zu more; --json shows them all\n",
		       mapping->nr_known - SEGMENTS_SHOWN);
}

void buffer_view_print(const struct buffer_view *view)
{
	const struct dmabroker_buffer_info *info = view->info;
	char size[TEXT_SIZE_BYTES], name[64];

	snprintf(name, sizeof(name), "%s", info->name);
	text_make_printable(name);
	printf("buffer %" PRIu64 "%s%s%s: %s, %s", info->id, name[0] ? " \"" : "", name,
	       name[0] ? "\"" : "", text_size(info->size_bytes, size),
	       known(dmabroker_kind_name(info->kind)));
	if (info->effective_kind != info->kind)
		printf(" (in effect %s)", known(dmabroker_kind_name(info->effective_kind)));
	printf(", %scontiguous, from %s\n", info->flags & DMABROKER_BUFFER_CONTIGUOUS ? "" : "not ",
	       info->region);
	for (unsigned int i = 0; i < 64; i++) {
		const char *attribute = dmabroker_attribute_name(info->attributes & 1ull << i);

		if (attribute)
			printf("  attribute %s\n", attribute);
	}
	printf("  owner uid %" PRIu32 ", pid %" PRIu32 "%s%s\n", info->owner_uid, info->owner_pid,
	       info->owner_unit[0] ? ", " : "", info->owner_unit);
	if (info->owned_by != DMABROKER_OWNED_BY_BOTH)
		printf("  contents belong to the %s now; %" PRIu64 " syncs done, %" PRIu64
		       " saved\n",
		       owned_by_name(info->owned_by), info->syncs_done, info->syncs_saved);
	for (size_t i = 0; i < view->nr_mappings; i++)
		print_mapping(&view->mappings[i]);
	if (view->token)
		printf("  token %s\n", view->token);
}
