/* SPDX-License-Identifier: MIT */
/*
 * "alloc" and "open": get buffers, map each to every device named, show them, and hold them until a
 * signal comes or a command ends.
 *
 * Everything is released by giving it back, mappings first. Should this process be killed instead,
 * its fds close and the same comes about; that is the broker's promise and not this file's work.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/alloc.h"
#include "cli/broker.h"
#include "cli/hold.h"
#include "cli/list.h"
#include "cli/view.h"

/* Of a mapping; at allocation they are for the buffer. */
#define MAP_ATTRIBUTES	 (DMABROKER_ATTR_SKIP_CPU_SYNC | DMABROKER_ATTR_WEAK_ORDERING)
#define ALLOC_ATTRIBUTES (~(uint64_t)DMABROKER_ATTR_SKIP_CPU_SYNC)

/* A buffer with its mappings, one for each device. */
struct held {
	struct dmabroker_buffer *buffer;
	struct dmabroker_mapping *mappings[ALLOC_DEVICES_MAX];
	unsigned int devices[ALLOC_DEVICES_MAX]; /* number in the options, for each mapping */
	unsigned int nr_mappings;
	char token[DMABROKER_TOKEN_TEXT_SIZE];
};

/* All that one run of the command holds. */
struct holding {
	const struct cli *cli;
	const struct alloc_options *options;
	struct dmabroker *broker;
	struct hold hold;
	struct held held[DMABROKER_BUFFERS_MAX];
	unsigned int nr_held;
};

static void release(struct holding *holding)
{
	for (unsigned int i = 0; i < holding->nr_held; i++) {
		struct held *held = &holding->held[i];

		for (unsigned int j = 0; j < held->nr_mappings; j++)
			dmabroker_unmap(held->mappings[j]);
		dmabroker_free(held->buffer);
	}
	dmabroker_unref(holding->broker);
	hold_fini(&holding->hold);
	free(holding);
}

static int obtain(struct holding *holding)
{
	const struct alloc_options *options = holding->options;
	struct dmabroker_alloc_params params = DMABROKER_ALLOC_PARAMS_INIT;
	struct dmabroker_buffer *buffers[DMABROKER_BUFFERS_MAX];
	int r;

	params.size_bytes = options->size_bytes;
	params.count = options->count;
	params.kind = options->kind;
	params.attributes = options->attributes & ALLOC_ATTRIBUTES;
	params.direction = options->direction;
	params.nr_devices = options->nr_devices;
	params.devices = options->devices;
	params.name = options->name;
	r = dmabroker_alloc(holding->broker, &params, buffers);
	if (r < 0)
		return broker_failed(holding->cli, r);
	for (unsigned int i = 0; i < options->count; i++)
		holding->held[i].buffer = buffers[i];
	holding->nr_held = options->count;
	return STATUS_DONE;
}

static int map(struct holding *holding, struct held *held)
{
	const struct alloc_options *options = holding->options;

	for (unsigned int i = 0; i < options->nr_devices; i++) {
		struct dmabroker_map_params params = DMABROKER_MAP_PARAMS_INIT;
		int r;

		/* No particular device: it has a say in the allocation and no addresses. */
		if (strcmp(options->devices[i], "system") == 0)
			continue;
		params.device = options->devices[i];
		params.direction = options->direction;
		params.attributes = options->attributes & MAP_ATTRIBUTES;
		r = dmabroker_map(held->buffer, &params, &held->mappings[held->nr_mappings]);
		if (r < 0)
			return broker_failed(holding->cli, r);
		held->devices[held->nr_mappings++] = i;
	}
	return STATUS_DONE;
}

static int share(struct holding *holding, struct held *held)
{
	struct dmabroker_token token;
	int r;

	if (!holding->options->share)
		return STATUS_DONE;
	r = dmabroker_share(held->buffer,
			    holding->options->share_read_only ? DMABROKER_SHARE_READ_ONLY : 0,
			    &token);
	if (r < 0)
		return broker_failed(holding->cli, r);
	dmabroker_token_to_text(&token, held->token);
	return STATUS_DONE;
}

/* The buffer as the broker describes it now: who is charged, and what mapping has changed. */
static int show_one(struct holding *holding, struct held *held, struct json_object *array)
{
	_cleanup_list_ struct dmabroker_list *list = NULL;
	_cleanup_(buffer_view_fini) struct buffer_view view = {};
	int status;

	status = broker_query(holding->cli, holding->broker, DMABROKER_QUERY_BUFFERS,
			      dmabroker_buffer_get_info(held->buffer)->id, &list);
	if (status != STATUS_DONE)
		return status;
	view.info = dmabroker_list_buffer(list, 0);
	view.token = held->token[0] ? held->token : NULL;
	for (unsigned int i = 0; i < held->nr_mappings; i++) {
		const struct dmabroker_segment *segments;
		size_t nr_segments;

		segments = dmabroker_mapping_get_segments(held->mappings[i], &nr_segments);
		buffer_view_add(&view, holding->options->devices[held->devices[i]],
				dmabroker_mapping_get_info(held->mappings[i]), segments,
				nr_segments);
	}
	if (array)
		json_append(array, buffer_view_json(&view));
	else
		buffer_view_print(&view);
	return STATUS_DONE;
}

static int show(struct holding *holding)
{
	struct json_object *array = NULL;
	int status = STATUS_DONE;

	if (holding->options->quiet)
		return STATUS_DONE;
	if (holding->cli->json)
		array = json_new_array();
	for (unsigned int i = 0; i < holding->nr_held && status == STATUS_DONE; i++)
		status = show_one(holding, &holding->held[i], array);
	if (array && status == STATUS_DONE)
		list_print("buffers", array);
	else
		json_object_put(array);
	/* Whoever waits for the answer gets it before the waiting begins. */
	fflush(stdout);
	return status;
}

/* From a connection with buffers to the exit status. */
static int use(struct holding *holding)
{
	const struct alloc_options *options = holding->options;
	int status = STATUS_DONE;

	for (unsigned int i = 0; i < holding->nr_held && status == STATUS_DONE; i++) {
		status = map(holding, &holding->held[i]);
		if (status == STATUS_DONE)
			status = share(holding, &holding->held[i]);
	}
	if (status == STATUS_DONE)
		status = show(holding);
	if (status != STATUS_DONE)
		return status;
	if (options->command)
		return hold_run(&holding->hold, holding->broker, options->command,
				dmabroker_buffer_get_fd(holding->held[0].buffer));
	if (options->hold)
		hold_wait(&holding->hold, holding->broker);
	return STATUS_DONE;
}

static int begin(const struct cli *cli, const struct alloc_options *options, struct holding **ret)
{
	struct holding *holding = calloc(1, sizeof(*holding));
	int r, status;

	if (!holding)
		out_of_memory();
	holding->cli = cli;
	holding->options = options;
	holding->hold.signals = -1;
	if (options->hold || options->command) {
		r = hold_init(&holding->hold);
		if (r < 0) {
			complain("cannot wait for signals: %s", strerror(-r));
			release(holding);
			return STATUS_REFUSED;
		}
	}
	status = broker_connect(cli, &holding->broker);
	if (status != STATUS_DONE) {
		release(holding);
		return status;
	}
	*ret = holding;
	return STATUS_DONE;
}

int alloc_run(struct cli *cli, struct options *options)
{
	struct alloc_options alloc;
	struct holding *holding;
	int status;

	if (alloc_options_parse(options, &alloc) < 0)
		return options->status;
	if (options->nr_words)
		return wrong_usage(cli, "'%s' is one argument too many; a command comes after --",
				   options->words[0]);
	if (!alloc.size_bytes)
		return wrong_usage(cli, "--size is missing");
	status = begin(cli, &alloc, &holding);
	if (status != STATUS_DONE)
		return status;
	status = obtain(holding);
	if (status == STATUS_DONE)
		status = use(holding);
	release(holding);
	return status;
}

int open_run(struct cli *cli, struct options *options)
{
	struct alloc_options alloc;
	struct dmabroker_token token;
	struct holding *holding;
	int r, status;

	if (alloc_options_parse(options, &alloc) < 0)
		return options->status;
	if (options->nr_words != 1)
		return wrong_usage(cli, "it needs one TOKEN, and a command comes after --");
	if (dmabroker_token_from_text(options->words[0], &token) < 0)
		return wrong_usage(cli, "'%s' is no token: 32 hexadecimal digits",
				   options->words[0]);
	status = begin(cli, &alloc, &holding);
	if (status != STATUS_DONE)
		return status;
	r = dmabroker_open(holding->broker, &token, &holding->held[0].buffer);
	if (r < 0) {
		status = broker_failed(cli, r);
	} else {
		holding->nr_held = 1;
		status = use(holding);
	}
	release(holding);
	return status;
}
