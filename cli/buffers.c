/* SPDX-License-Identifier: MIT */
/*
 * "buffers" and "buffer show": live buffers, with their mappings and what the devices see.
 *
 * The broker answers these one after the other while clients come and go. A buffer or mapping that
 * is gone by the time its parts are asked for is shown without them, or not at all: the answer is
 * no snapshot and does not pretend to be one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/broker.h"
#include "cli/buffers.h"
#include "cli/list.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/view.h"

/* The names of devices, which mappings refer to by id. */
struct device_names {
	struct dmabroker_list *list;
};

static const char *device_name(const struct device_names *names, uint32_t id)
{
	const struct dmabroker_device_info *device;

	for (size_t i = 0; (device = dmabroker_list_device(names->list, i)); i++)
		if (device->id == id)
			return device->name;
	return NULL;
}

/* What is gone, or not for this account to see, is no failure: then there is no list. */
static int query_part(const struct cli *cli, struct dmabroker *broker, uint32_t type, uint64_t id,
		      struct dmabroker_list **ret)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	int r;

	params.type = type;
	params.id = id;
	r = dmabroker_query(broker, &params, ret);
	return r == 0 || r == -ENOENT ? STATUS_DONE : broker_failed(cli, r);
}

static int add_mapping(const struct cli *cli, struct dmabroker *broker,
		       const struct device_names *names,
		       const struct dmabroker_mapping_info *mapping, struct buffer_view *view)
{
	_cleanup_list_ struct dmabroker_list *list = NULL;
	_cleanup_buf_ struct dmabroker_segment *segments = NULL;
	size_t nr_segments;
	int status;

	status = query_part(cli, broker, DMABROKER_QUERY_SEGMENTS, mapping->id, &list);
	if (status != STATUS_DONE)
		return status;
	nr_segments = list ? dmabroker_list_count(list) : 0;
	segments = calloc(nr_segments + 1, sizeof(*segments));
	if (!segments)
		out_of_memory();
	for (size_t i = 0; i < nr_segments; i++)
		segments[i] = *dmabroker_list_segment(list, i);
	buffer_view_add(view, device_name(names, mapping->device_id), mapping, segments,
			nr_segments);
	return STATUS_DONE;
}

static int compare_ids(const void *a, const void *b)
{
	const struct dmabroker_mapping_info *const *left = a, *const *right = b;

	return ((*left)->id > (*right)->id) - ((*left)->id < (*right)->id);
}

/* All mappings of a buffer in the order in which they were made, which is not the broker's. */
static int add_mappings(const struct cli *cli, struct dmabroker *broker,
			const struct device_names *names, struct buffer_view *view)
{
	_cleanup_list_ struct dmabroker_list *list = NULL;
	_cleanup_buf_ const struct dmabroker_mapping_info **mappings = NULL;
	size_t nr_mappings;
	int status;

	status = query_part(cli, broker, DMABROKER_QUERY_MAPPINGS, view->info->id, &list);
	nr_mappings = list ? dmabroker_list_count(list) : 0;
	mappings = calloc(nr_mappings + 1, sizeof(*mappings));
	if (!mappings)
		out_of_memory();
	for (size_t i = 0; i < nr_mappings; i++)
		mappings[i] = dmabroker_list_mapping(list, i);
	qsort(mappings, nr_mappings, sizeof(*mappings), compare_ids);
	for (size_t i = 0; i < nr_mappings && status == STATUS_DONE; i++)
		status = add_mapping(cli, broker, names, mappings[i], view);
	return status;
}

/* Shows one buffer, or adds it to @array. */
static int show_buffer(const struct cli *cli, struct dmabroker *broker,
		       const struct device_names *names, const struct dmabroker_buffer_info *info,
		       struct json_object *array)
{
	_cleanup_(buffer_view_fini) struct buffer_view view = { .info = info };
	int status = STATUS_DONE;

	if (info->nr_mappings)
		status = add_mappings(cli, broker, names, &view);
	if (status != STATUS_DONE)
		return status;
	if (array)
		json_append(array, buffer_view_json(&view));
	else
		buffer_view_print(&view);
	return STATUS_DONE;
}

static int show_buffers(const struct cli *cli, struct dmabroker *broker,
			const struct dmabroker_list *buffers)
{
	_cleanup_list_ struct dmabroker_list *devices = NULL;
	struct json_object *array = cli->json ? json_new_array() : NULL;
	struct device_names names;
	int status;

	status = broker_query(cli, broker, DMABROKER_QUERY_DEVICES, 0, &devices);
	names.list = devices;
	for (size_t i = 0; status == STATUS_DONE && i < dmabroker_list_count(buffers); i++)
		status = show_buffer(cli, broker, &names, dmabroker_list_buffer(buffers, i), array);
	if (cli->json && status == STATUS_DONE)
		list_print("buffers", array);
	else
		json_object_put(array);
	return status;
}

static void print_table(const struct dmabroker_list *list)
{
	static const char *const headers[] = { ">ID",  ">SIZE", "KIND", "REGION", ">MAPPINGS",
					       ">UID", ">PID",	"UNIT", "NAME",	  NULL };
	struct table *table = table_new(headers);
	char size[TEXT_SIZE_BYTES];

	for (size_t i = 0; i < dmabroker_list_count(list); i++) {
		const struct dmabroker_buffer_info *info = dmabroker_list_buffer(list, i);
		const char *kind = dmabroker_kind_name(info->effective_kind);

		table_cell(table, "%" PRIu64, info->id);
		table_cell(table, "%s", text_size(info->size_bytes, size));
		table_cell(table, "%s", kind ? kind : "unknown");
		table_cell(table, "%s", info->region);
		table_cell(table, "%" PRIu32, info->nr_mappings);
		list_cell_uid(table, info->owner_uid);
		table_cell(table, "%" PRIu32, info->owner_pid);
		table_cell(table, "%s", info->owner_unit);
		table_cell(table, "%s", info->name);
	}
	table_print(table, "no buffers");
}

int buffers_run(struct cli *cli, struct options *options)
{
	_cleanup_broker_ struct dmabroker *broker = NULL;
	_cleanup_list_ struct dmabroker_list *list = NULL;
	bool all;
	int status;

	if (list_parse(options, &all) < 0)
		return options->status;
	status = broker_connect(cli, &broker);
	if (status == STATUS_DONE)
		status = broker_query_all(cli, broker, DMABROKER_QUERY_BUFFERS, all, &list);
	if (status != STATUS_DONE)
		return status;
	if (cli->json)
		return show_buffers(cli, broker, list);
	print_table(list);
	return STATUS_DONE;
}

int buffer_show_run(struct cli *cli, struct options *options)
{
	_cleanup_broker_ struct dmabroker *broker = NULL;
	_cleanup_list_ struct dmabroker_list *list = NULL;
	uint64_t id;
	int status;

	if (options_only_words(options, 1) < 0)
		return options->status;
	if (text_parse_number(options->words[0], 1, UINT64_MAX, &id) < 0)
		return wrong_usage(cli, "'%s' is no buffer's id; dmabrokerctl buffers shows them",
				   options->words[0]);
	status = broker_connect(cli, &broker);
	if (status == STATUS_DONE)
		status = broker_query(cli, broker, DMABROKER_QUERY_BUFFERS, id, &list);
	if (status == STATUS_DONE)
		status = show_buffers(cli, broker, list);
	return status;
}
