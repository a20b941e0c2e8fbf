/* SPDX-License-Identifier: MIT */
/* Buffers with their mappings, as they are shown, wherever they came from. */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <dmabroker/dmabroker.h>

#include "cli/json.h"

/**
 * struct mapping_view - one mapping
 * @device:        name; NULL where the device is gone; owned
 * @direction:     enum dmabroker_direction
 * @skip_cpu_sync: another mapping's sync serves it
 * @nr_segments:   how many pieces the device sees
 * @segments:      owned
 * @nr_known:      how many of them are known: all, or none where they are another account's
 */
struct mapping_view {
	char *device;
	uint32_t direction;
	bool skip_cpu_sync;
	uint32_t nr_segments;
	struct dmabroker_segment *segments;
	size_t nr_known;
};

/**
 * struct buffer_view - one buffer
 * @info:        borrowed
 * @token:       NULL, or what opens it; borrowed
 * @mappings:    owned
 * @nr_mappings: how many
 */
struct buffer_view {
	const struct dmabroker_buffer_info *info;
	const char *token;
	struct mapping_view *mappings;
	size_t nr_mappings;
};

/* Adds a mapping; @device and @segments are copied. */
void buffer_view_add(struct buffer_view *view, const char *device,
		     const struct dmabroker_mapping_info *info,
		     const struct dmabroker_segment *segments, size_t nr_known);
void buffer_view_fini(struct buffer_view *view);

struct json_object *buffer_view_json(const struct buffer_view *view);
void buffer_view_print(const struct buffer_view *view);

#endif /* CLI_VIEW_H */
