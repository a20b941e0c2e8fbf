// SPDX-License-Identifier: MIT
/*
 * Copies by DMA. A mapping is a list of segments, so an offset in the buffer has first to be looked
 * up there: the device knows nothing of offsets, only of its own addresses, and a piece must not
 * run past the segment it starts in.
 */
#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "edu.h"

#define SIM_COPY_BYTES (1u << 20)

struct engine {
	struct dmabroker *broker;
	struct edu *edu; /* NULL: a device of the sim backend */
	char device[64];
};

int engine_open(struct dmabroker *broker, const char *device, struct engine **ret)
{
	struct engine *engine;
	int r = 0;

	if (strlen(device) >= sizeof(engine->device))
		return -EINVAL;
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		return -ENOMEM;
	engine->broker = broker;
	strcpy(engine->device, device);
	if (strncmp(device, "sim:", 4) != 0)
		r = edu_open(&engine->edu, device);
	if (r < 0) {
		free(engine);
		return r;
	}
	*ret = engine;
	return 0;
}

void engine_close(struct engine *engine)
{
	if (!engine)
		return;
	edu_close(engine->edu);
	free(engine);
}

const char *engine_device(const struct engine *engine)
{
	return engine->device;
}

/* The DMA address of an offset, and how many bytes follow it in the same segment. */
static int find(const struct dmabroker_mapping *mapping, uint64_t offset_bytes,
		uint64_t *ret_address, uint64_t *ret_run_bytes)
{
	const struct dmabroker_segment *segment;
	size_t nr_segments, i;

	segment = dmabroker_mapping_get_segments(mapping, &nr_segments);
	for (i = 0; i < nr_segments; i++, segment++) {
		if (offset_bytes < segment->length_bytes) {
			*ret_address = segment->dma_address + offset_bytes;
			*ret_run_bytes = segment->length_bytes - offset_bytes;
			return 0;
		}
		offset_bytes -= segment->length_bytes;
	}
	return -EINVAL;
}

static int copy_piece(struct engine *engine, uint64_t source, uint64_t destination, uint64_t bytes)
{
	struct dmabroker_sim_dma_params params = DMABROKER_SIM_DMA_PARAMS_INIT;
	int r;

	if (engine->edu) {
		r = edu_read_memory(engine->edu, source, bytes);
		return r < 0 ? r : edu_write_memory(engine->edu, destination, bytes);
	}
	params.device = engine->device;
	params.source = source;
	params.destination = destination;
	params.length_bytes = bytes;
	return dmabroker_sim_dma_copy(engine->broker, &params);
}

int engine_copy(struct engine *engine, const struct dmabroker_mapping *mapping, uint64_t from_bytes,
		uint64_t to_bytes, uint64_t length_bytes)
{
	const uint64_t piece_max_bytes = engine->edu ? EDU_TRANSFER_MAX_BYTES : SIM_COPY_BYTES;

	while (length_bytes) {
		uint64_t source, destination, run, piece = length_bytes;
		int r;

		r = find(mapping, from_bytes, &source, &run);
		if (r < 0)
			return r;
		piece = piece < run ? piece : run;
		r = find(mapping, to_bytes, &destination, &run);
		if (r < 0)
			return r;
		piece = piece < run ? piece : run;
		piece = piece < piece_max_bytes ? piece : piece_max_bytes;
		r = copy_piece(engine, source, destination, piece);
		if (r < 0)
			return r;
		from_bytes += piece;
		to_bytes += piece;
		length_bytes -= piece;
	}
	return 0;
}
