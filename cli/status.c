/* SPDX-License-Identifier: MIT */
/*
 * "status" and "doctor": how the broker is, and why things are for the asker as they are. The
 * broker knows the answers; what is added here is what only this side can see, such as a library
 * of another version.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/broker.h"
#include "cli/json.h"
#include "cli/status.h"
#include "cli/text.h"

static void print_json(const struct dmabroker_status *status)
{
	struct json_object *object = json_new_object(), *account = json_new_object();

	json_add_text(object, "backend", status->backend);
	json_add_text(object, "broker_version", status->broker_version);
	json_add_number(object, "uptime_ms", status->uptime_ms);
	json_add_number(object, "clients", status->nr_clients);
	json_add_number(object, "buffers", status->nr_buffers);
	json_add_number(object, "mappings", status->nr_mappings);
	json_add_number(object, "devices", status->nr_devices);
	json_add_number(object, "charged_bytes", status->charged_bytes);
	json_add_number(object, "machine_limit_bytes", status->machine_limit_bytes);
	json_add_number(object, "requests", status->nr_requests);
	json_add_number(object, "refusals", status->nr_refusals);
	json_add_number(object, "dropped_peers", status->nr_dropped_peers);
	json_add_number(object, "lost_log_messages", status->nr_lost_logs);
	json_add_number(account, "uid", status->uid);
	json_add_text(account, "unit", status->unit);
	json_add_number(account, "charged_bytes", status->own_bytes);
	json_add_limit(account, "limit_bytes", status->own_bytes_limit);
	json_add_number(account, "buffers", status->own_buffers);
	json_add_limit(account, "buffers_limit", status->own_buffers_limit);
	json_add_number(account, "mappings", status->own_mappings);
	json_add_limit(account, "mappings_limit", status->own_mappings_limit);
	json_add(object, "account", account);
	json_print(object);
}

static void print_use(const char *what, uint64_t use, uint64_t limit)
{
	if (limit == UINT64_MAX)
		printf("           %" PRIu64 " %s, no limit\n", use, what);
	else
		printf("           %" PRIu64 " of %" PRIu64 " %s\n", use, limit, what);
}

static void print_text(const struct dmabroker_status *status)
{
	char size[TEXT_SIZE_BYTES], limit[TEXT_SIZE_BYTES];
	uint64_t seconds = status->uptime_ms / 1000;

	printf("broker     %s on the %s backend, up %" PRIu64 ":%02u:%02u\n",
	       status->broker_version, status->backend, seconds / 3600,
	       (unsigned int)(seconds / 60 % 60), (unsigned int)(seconds % 60));
	printf("holding    %" PRIu64 " buffers, %" PRIu64 " mappings, for %" PRIu64
	       " clients; %" PRIu64 " devices\n",
	       status->nr_buffers, status->nr_mappings, status->nr_clients, status->nr_devices);
	printf("memory     %s of %s for the whole machine\n",
	       text_size(status->charged_bytes, size),
	       text_size(status->machine_limit_bytes, limit));
	printf("answered   %" PRIu64 " requests, %" PRIu64 " of them refused; %" PRIu64
	       " connections dropped, %" PRIu64 " log messages lost\n",
	       status->nr_requests, status->nr_refusals, status->nr_dropped_peers,
	       status->nr_lost_logs);
	printf("you        uid %" PRIu32 "%s%s\n", status->uid, status->unit[0] ? ", " : "",
	       status->unit);
	if (status->own_bytes_limit == UINT64_MAX)
		printf("           %s, no limit of your own\n", text_size(status->own_bytes, size));
	else
		printf("           %s of %s\n", text_size(status->own_bytes, size),
		       text_size(status->own_bytes_limit, limit));
	print_use("buffers", status->own_buffers, status->own_buffers_limit);
	print_use("mappings", status->own_mappings, status->own_mappings_limit);
}

int status_run(struct cli *cli, struct options *options)
{
	_cleanup_broker_ struct dmabroker *broker = NULL;
	_cleanup_list_ struct dmabroker_list *list = NULL;
	int status;

	if (options_only_words(options, 0) < 0)
		return options->status;
	status = broker_connect(cli, &broker);
	if (status == STATUS_DONE)
		status = broker_query(cli, broker, DMABROKER_QUERY_STATUS, 0, &list);
	if (status != STATUS_DONE)
		return status;
	if (cli->json)
		print_json(dmabroker_list_status(list, 0));
	else
		print_text(dmabroker_list_status(list, 0));
	return STATUS_DONE;
}

struct report {
	struct json_object *lines; /* NULL: print */
};

static void say(struct report *report, uint32_t level, const char *text)
{
	static const char *const names[] = { "fine", "note", "obstacle" };
	static const char *const marks[] = { "  ", "* ", "! " };
	char line[600];

	if (level > DMABROKER_DOCTOR_OBSTACLE)
		level = DMABROKER_DOCTOR_NOTE;
	if (report->lines) {
		struct json_object *object = json_new_object();

		json_add_text(object, "level", names[level]);
		json_add_text(object, "text", text);
		json_append(report->lines, object);
		return;
	}
	snprintf(line, sizeof(line), "%s", text);
	text_make_printable(line);
	printf("%s%s\n", marks[level], line);
}

int doctor_run(struct cli *cli, struct options *options)
{
	_cleanup_broker_ struct dmabroker *broker = NULL;
	_cleanup_list_ struct dmabroker_list *list = NULL;
	const struct dmabroker_doctor_line *line;
	const struct dmabroker_info *info;
	struct report report = {};
	char text[200];
	int status;

	if (options_only_words(options, 0) < 0)
		return options->status;
	status = broker_connect(cli, &broker);
	if (status == STATUS_DONE)
		status = broker_query(cli, broker, DMABROKER_QUERY_DOCTOR, 0, &list);
	if (status != STATUS_DONE)
		return status;
	if (cli->json)
		report.lines = json_new_array();
	info = dmabroker_get_info(broker);
	if (strcmp(info->broker_version, dmabroker_get_version()) != 0) {
		snprintf(
			text, sizeof(text),
			"The broker is version %.31s, the library here %.31s. They understand each "
			"other; what only the newer one has is missing.",
			info->broker_version, dmabroker_get_version());
		say(&report, DMABROKER_DOCTOR_NOTE, text);
	}
	for (size_t i = 0; (line = dmabroker_list_doctor(list, i)); i++)
		say(&report, line->level, line->text);
	if (cli->json) {
		struct json_object *object = json_new_object();

		json_add_text(object, "backend", info->backend);
		json_add(object, "lines", report.lines);
		json_print(object);
	}
	return STATUS_DONE;
}
