/* SPDX-License-Identifier: MIT */
/* "devices", "clients" and "accounts": a query, and a table or JSON of it. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/broker.h"
#include "cli/list.h"
#include "cli/text.h"

#define UID_OF_UNIT UINT32_MAX /* the account of all users of a unit together */

const struct option_line list_options[] = {
	{ "all", NULL, 'a',
	  "of all accounts, or say that this is not allowed (for root the default)" },
	{},
};

int list_parse(struct options *options, bool *ret_all)
{
	const char *value;
	bool all = false;
	int id;

	while ((id = options_next(options, &value)) > 0)
		all = true;
	if (id < 0 || options_want_words(options, 0) < 0)
		return -1;
	*ret_all = all;
	return 0;
}

void list_print(const char *name, struct json_object *array)
{
	struct json_object *object = json_new_object();

	json_add(object, name, array);
	json_print(object);
}

void list_cell_uid(struct table *table, uint32_t uid)
{
	if (uid == UID_OF_UNIT)
		table_cell(table, "-");
	else
		table_cell(table, "%" PRIu32, uid);
}

static void json_add_uid(struct json_object *object, const char *name, uint32_t uid)
{
	if (uid == UID_OF_UNIT)
		json_add(object, name, NULL);
	else
		json_add_number(object, name, uid);
}

static const char *yes_no(bool value)
{
	return value ? "yes" : "no";
}

static struct json_object *device_json(const struct dmabroker_device_info *device)
{
	struct json_object *object = json_new_object();

	json_add_text(object, "name", device->name);
	json_add_text(object, "bus", device->bus);
	json_add_bool(object, "coherent", device->flags & DMABROKER_DEVICE_COHERENT);
	json_add_bool(object, "iommu", device->flags & DMABROKER_DEVICE_IOMMU);
	json_add_number(object, "streaming_mask_bits", device->streaming_mask_bits);
	json_add_number(object, "coherent_mask_bits", device->coherent_mask_bits);
	json_add_number(object, "max_segment_bytes", device->max_segment_bytes);
	json_add_bool(object, "usable", device->flags & DMABROKER_DEVICE_USABLE);
	json_add_text(object, "reason", device->reason);
	return object;
}

/* What a reader can do with it, best known obstacle first. */
static const char *device_remark(const struct dmabroker_device_info *device)
{
	if (!(device->flags & DMABROKER_DEVICE_USABLE))
		return device->reason;
	if (device->flags & DMABROKER_DEVICE_SYSTEM)
		return "no particular device";
	if (!(device->flags & DMABROKER_DEVICE_ALLOWED))
		return "not allowed to you";
	if (device->flags & DMABROKER_DEVICE_SHARED)
		return "shares its IOMMU group with devices that are not the broker's";
	return "";
}

int devices_run(struct cli *cli, struct options *options)
{
	static const char *const headers[] = { "NAME",	    "COHERENT",	      "IOMMU",
					       ">MASK",	    ">COHERENT-MASK", "USABLE",
					       ">MAPPINGS", "REMARK",	      NULL };
	_cleanup_broker_ struct dmabroker *broker = NULL;
	_cleanup_list_ struct dmabroker_list *list = NULL;
	struct table *table;
	int status;

	if (options_only_words(options, 0) < 0)
		return options->status;
	status = broker_connect(cli, &broker);
	if (status == STATUS_DONE)
		status = broker_query(cli, broker, DMABROKER_QUERY_DEVICES, 0, &list);
	if (status != STATUS_DONE)
		return status;
	if (cli->json) {
		struct json_object *array = json_new_array();

		for (size_t i = 0; i < dmabroker_list_count(list); i++)
			json_append(array, device_json(dmabroker_list_device(list, i)));
		list_print("devices", array);
		return STATUS_DONE;
	}
	table = table_new(headers);
	for (size_t i = 0; i < dmabroker_list_count(list); i++) {
		const struct dmabroker_device_info *device = dmabroker_list_device(list, i);

		table_cell(table, "%s", device->name);
		table_cell(table, "%s", yes_no(device->flags & DMABROKER_DEVICE_COHERENT));
		table_cell(table, "%s", yes_no(device->flags & DMABROKER_DEVICE_IOMMU));
		table_cell(table, "%" PRIu32, device->streaming_mask_bits);
		table_cell(table, "%" PRIu32, device->coherent_mask_bits);
		table_cell(table, "%s", yes_no(device->flags & DMABROKER_DEVICE_USABLE));
		table_cell(table, "%" PRIu64, device->nr_mappings);
		table_cell(table, "%s", device_remark(device));
	}
	table_print(table, "no devices");
	return STATUS_DONE;
}

static struct json_object *client_json(const struct dmabroker_client_info *client)
{
	struct json_object *object = json_new_object();

	json_add_number(object, "id", client->id);
	json_add_text(object, "name", client->name);
	json_add_number(object, "uid", client->uid);
	json_add_number(object, "pid", client->pid);
	json_add_text(object, "unit", client->unit);
	json_add_number(object, "buffers", client->nr_buffers);
	json_add_number(object, "requests", client->nr_requests);
	json_add_number(object, "connected_ms", client->connected_ms);
	return object;
}

int clients_run(struct cli *cli, struct options *options)
{
	static const char *const headers[] = { ">ID",	    ">UID",	">PID", "UNIT", ">BUFFERS",
					       ">REQUESTS", ">SECONDS", "NAME", NULL };
	_cleanup_broker_ struct dmabroker *broker = NULL;
	_cleanup_list_ struct dmabroker_list *list = NULL;
	struct table *table;
	int status;
	bool all;

	if (list_parse(options, &all) < 0)
		return options->status;
	status = broker_connect(cli, &broker);
	if (status == STATUS_DONE)
		status = broker_query_all(cli, broker, DMABROKER_QUERY_CLIENTS, all, &list);
	if (status != STATUS_DONE)
		return status;
	if (cli->json) {
		struct json_object *array = json_new_array();

		for (size_t i = 0; i < dmabroker_list_count(list); i++)
			json_append(array, client_json(dmabroker_list_client(list, i)));
		list_print("clients", array);
		return STATUS_DONE;
	}
	table = table_new(headers);
	for (size_t i = 0; i < dmabroker_list_count(list); i++) {
		const struct dmabroker_client_info *client = dmabroker_list_client(list, i);

		table_cell(table, "%" PRIu64, client->id);
		table_cell(table, "%" PRIu32, client->uid);
		table_cell(table, "%" PRIu32, client->pid);
		table_cell(table, "%s", client->unit);
		table_cell(table, "%" PRIu64, client->nr_buffers);
		table_cell(table, "%" PRIu64, client->nr_requests);
		table_cell(table, "%" PRIu64, client->connected_ms / 1000);
		table_cell(table, "%s", client->name);
	}
	table_print(table, "no clients");
	return STATUS_DONE;
}

static struct json_object *account_json(const struct dmabroker_account_info *account)
{
	struct json_object *object = json_new_object();

	json_add_uid(object, "uid", account->uid);
	json_add_text(object, "unit", account->unit);
	json_add_number(object, "clients", account->nr_clients);
	json_add_number(object, "charged_bytes", account->bytes);
	json_add_limit(object, "limit_bytes", account->bytes_limit);
	json_add_number(object, "buffers", account->buffers);
	json_add_limit(object, "buffers_limit", account->buffers_limit);
	json_add_number(object, "mappings", account->mappings);
	json_add_limit(object, "mappings_limit", account->mappings_limit);
	return object;
}

static void cell_of(struct table *table, uint64_t number, uint64_t limit)
{
	if (limit == UINT64_MAX)
		table_cell(table, "%" PRIu64, number);
	else
		table_cell(table, "%" PRIu64 " of %" PRIu64, number, limit);
}

int accounts_run(struct cli *cli, struct options *options)
{
	static const char *const headers[] = { ">UID",	 "UNIT",     ">CLIENTS",  ">CHARGED",
					       ">LIMIT", ">BUFFERS", ">MAPPINGS", NULL };
	_cleanup_broker_ struct dmabroker *broker = NULL;
	_cleanup_list_ struct dmabroker_list *list = NULL;
	char size[TEXT_SIZE_BYTES];
	struct table *table;
	int status;
	bool all;

	if (list_parse(options, &all) < 0)
		return options->status;
	status = broker_connect(cli, &broker);
	if (status == STATUS_DONE)
		status = broker_query_all(cli, broker, DMABROKER_QUERY_ACCOUNTS, all, &list);
	if (status != STATUS_DONE)
		return status;
	if (cli->json) {
		struct json_object *array = json_new_array();

		for (size_t i = 0; i < dmabroker_list_count(list); i++)
			json_append(array, account_json(dmabroker_list_account(list, i)));
		list_print("accounts", array);
		return STATUS_DONE;
	}
	table = table_new(headers);
	for (size_t i = 0; i < dmabroker_list_count(list); i++) {
		const struct dmabroker_account_info *account = dmabroker_list_account(list, i);

		list_cell_uid(table, account->uid);
		table_cell(table, "%s", account->unit);
		table_cell(table, "%" PRIu32, account->nr_clients);
		table_cell(table, "%s", text_size(account->bytes, size));
		table_cell(table, "%s",
			   account->bytes_limit == UINT64_MAX
				   ? ""
				   : text_size(account->bytes_limit, size));
		cell_of(table, account->buffers, account->buffers_limit);
		cell_of(table, account->mappings, account->mappings_limit);
	}
	table_print(table, "no accounts");
	return STATUS_DONE;
}
