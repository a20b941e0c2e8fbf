// SPDX-License-Identifier: MIT
/*
 * The sending half of a pipeline: a file goes through two devices to another process.
 *
 * Each buffer has three parts of the same length. The program fills the first from the file; the
 * first device copies it to the second part, through its own DMA addresses; the second device
 * copies that to the third. The consumer gets a read-only token and is told to look at the third
 * part, so every byte it sees was moved by both devices and by nobody else.
 *
 * A ring of buffers is allocated and mapped once, in one request, and used again as soon as the
 * consumer says "done".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmabroker/dmabroker.h>

#include "engine.h"

#define NR_ENGINES 2
#define NR_BUFFERS 4
#define PART_BYTES (16 * 1024)

struct slot {
	struct dmabroker_buffer *buffer;
	struct dmabroker_mapping *mappings[NR_ENGINES];
	struct dmabroker_token token;
	char *address;
	uint64_t moved_bytes;
	bool with_consumer;
};

struct pipeline {
	struct dmabroker *broker;
	struct engine *engines[NR_ENGINES];
	struct slot slots[NR_BUFFERS];
	FILE *input;
	FILE *to_consumer;
	FILE *from_consumer;
};

static int fail(const char *what, int r)
{
	const struct dmabroker_refusal *refusal = dmabroker_get_refusal();

	fprintf(stderr, "producer: %s: %s\n", what,
		refusal->error == -r && *refusal->text ? refusal->text : strerror(-r));
	return r;
}

static int prepare_slot(struct pipeline *p, struct slot *slot)
{
	unsigned int i;
	void *address;
	int r;

	for (i = 0; i < NR_ENGINES; i++) {
		struct dmabroker_map_params params = DMABROKER_MAP_PARAMS_INIT;

		params.device = engine_device(p->engines[i]);
		r = dmabroker_map(slot->buffer, &params, &slot->mappings[i]);
		if (r < 0)
			return fail(params.device, r);
	}
	r = dmabroker_mmap(slot->buffer, 0, &address);
	if (r < 0)
		return fail("cannot map a buffer into this process", r);
	slot->address = address;
	r = dmabroker_share(slot->buffer, DMABROKER_SHARE_READ_ONLY, &slot->token);
	return r < 0 ? fail("cannot make a token", r) : 0;
}

static int prepare(struct pipeline *p, char **devices)
{
	struct dmabroker_alloc_params params = DMABROKER_ALLOC_PARAMS_INIT;
	struct dmabroker_buffer *buffers[NR_BUFFERS];
	unsigned int i;
	int r;

	for (i = 0; i < NR_ENGINES; i++) {
		r = engine_open(p->broker, devices[i], &p->engines[i]);
		if (r < 0)
			return fail(devices[i], r);
	}
	params.size_bytes = 3 * PART_BYTES;
	params.count = NR_BUFFERS;
	params.devices = (const char *const *)devices;
	params.nr_devices = NR_ENGINES;
	params.name = "pipeline";
	r = dmabroker_alloc(p->broker, &params, buffers);
	if (r < 0)
		return fail("cannot allocate", r);
	for (i = 0; i < NR_BUFFERS; i++)
		p->slots[i].buffer = buffers[i];
	for (i = 0; r == 0 && i < NR_BUFFERS; i++)
		r = prepare_slot(p, &p->slots[i]);
	return r;
}

static int wait_for_consumer(struct pipeline *p, struct slot *slot)
{
	char line[16];

	if (!slot->with_consumer)
		return 0;
	if (!fgets(line, sizeof(line), p->from_consumer) || strcmp(line, "done\n") != 0)
		return fail("the consumer is gone", -EPIPE);
	slot->with_consumer = false;
	return 0;
}

/* CPU, first device, second device, consumer. Returns 1 at the end of the file. */
static int run_slot(struct pipeline *p, struct slot *slot)
{
	char text[DMABROKER_TOKEN_TEXT_SIZE];
	size_t bytes;
	unsigned int i;
	int r;

	r = wait_for_consumer(p, slot);
	if (r < 0)
		return r;
	dmabroker_begin_cpu_access(slot->buffer, DMABROKER_CPU_WRITE);
	bytes = fread(slot->address, 1, PART_BYTES, p->input);
	dmabroker_end_cpu_access(slot->buffer, DMABROKER_CPU_WRITE);
	if (!bytes)
		return ferror(p->input) ? fail("cannot read the file", -EIO) : 1;

	dmabroker_sync_for_device(slot->mappings[0], 0, 0);
	for (i = 0; i < NR_ENGINES; i++) {
		r = engine_copy(p->engines[i], slot->mappings[i], (uint64_t)i * PART_BYTES,
				(uint64_t)(i + 1) * PART_BYTES, bytes);
		if (r < 0)
			return fail(engine_device(p->engines[i]), r);
	}
	dmabroker_sync_for_cpu(slot->mappings[0], 0, 0);

	dmabroker_token_to_text(&slot->token, text);
	fprintf(p->to_consumer, "%s %d %zu\n", text, NR_ENGINES * PART_BYTES, bytes);
	if (fflush(p->to_consumer))
		return fail("the consumer is gone", -errno);
	slot->with_consumer = true;
	slot->moved_bytes += bytes;
	return 0;
}

static void print_slot(struct pipeline *p, struct slot *slot)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	const struct dmabroker_buffer_info *info;
	struct dmabroker_list *list = NULL;
	unsigned int i;

	params.type = DMABROKER_QUERY_BUFFERS;
	params.id = dmabroker_buffer_get_info(slot->buffer)->id;
	if (dmabroker_query(p->broker, &params, &list) < 0 || dmabroker_list_count(list) != 1) {
		dmabroker_list_free(list);
		fail("cannot ask about a buffer", -EIO);
		return;
	}
	info = dmabroker_list_buffer(list, 0);
	fprintf(stderr, "%6" PRIu64 "  %-12s  %7" PRIu64 "", info->id,
		dmabroker_kind_name(info->effective_kind), slot->moved_bytes);
	for (i = 0; i < NR_ENGINES; i++) {
		size_t nr_segments;
		const struct dmabroker_segment *segments =
			dmabroker_mapping_get_segments(slot->mappings[i], &nr_segments);

		fprintf(stderr, "  0x%010" PRIx64 " (%zu)", segments[0].dma_address, nr_segments);
	}
	fprintf(stderr, "  %10" PRIu64 "  %11" PRIu64 "\n", info->syncs_done, info->syncs_saved);
	dmabroker_list_free(list);
}

static void print_table(struct pipeline *p)
{
	unsigned int i;

	fprintf(stderr, "\n%6s  %-12s  %7s", "buffer", "kind", "bytes");
	for (i = 0; i < NR_ENGINES; i++)
		fprintf(stderr, "  %-16.16s", engine_device(p->engines[i]));
	fprintf(stderr, "  %10s  %11s\n", "CPU syncs", "syncs saved");
	for (i = 0; i < NR_BUFFERS; i++)
		if (p->slots[i].moved_bytes)
			print_slot(p, &p->slots[i]);
	fprintf(stderr,
		"(under each device: the DMA address it uses, and in how many segments it sees "
		"the buffer)\n");
}

static int run(struct pipeline *p, char **devices)
{
	unsigned int i;
	int r;

	r = prepare(p, devices);
	for (i = 0; r == 0; i = (i + 1) % NR_BUFFERS)
		r = run_slot(p, &p->slots[i]);
	for (i = 0; r >= 0 && i < NR_BUFFERS; i++)
		if (wait_for_consumer(p, &p->slots[i]) < 0)
			r = -EPIPE;
	if (r >= 0)
		print_table(p);
	return r;
}

static void clean_up(struct pipeline *p)
{
	unsigned int i, j;

	for (i = 0; i < NR_BUFFERS; i++) {
		struct slot *slot = &p->slots[i];

		for (j = 0; j < NR_ENGINES; j++)
			dmabroker_unmap(slot->mappings[j]);
		if (slot->address)
			dmabroker_munmap(slot->buffer, slot->address);
		dmabroker_free(slot->buffer);
	}
	for (i = 0; i < NR_ENGINES; i++)
		engine_close(p->engines[i]);
	dmabroker_unref(p->broker);
	fclose(p->input);
}

int main(int argc, char **argv)
{
	struct pipeline p = { .to_consumer = stdout, .from_consumer = stdin };
	int r;

	if (argc != 2 + NR_ENGINES || argv[1][0] == '-') {
		fprintf(stderr, "usage: producer FILE DEVICE DEVICE\n"
				"Standard output and input go to and come from consumer's input "
				"and output.\n");
		return 2;
	}
	p.input = fopen(argv[1], "rb");
	if (!p.input) {
		fail(argv[1], -errno);
		return 1;
	}
	r = dmabroker_connect(NULL, &p.broker);
	if (r < 0)
		fail("cannot connect to the broker", r);
	else
		r = run(&p, argv + 2);
	clean_up(&p);
	return r < 0;
}
