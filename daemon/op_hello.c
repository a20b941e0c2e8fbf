/* SPDX-License-Identifier: MIT */
/* HELLO, which agrees on a version, and STATUS, the broker's and the asker's own numbers. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <config.h>
#include "daemon/dispatch.h"

enum handled op_HELLO(struct request *request)
{
	struct broker *broker = request->broker;
	struct connection *connection = request->connection;
	struct wire_hello hello;
	struct wire_hello_reply reply = {
		.version = WIRE_VERSION,
		.fds_max = broker->fds_max,
		.client_id = request->client->id,
		.page_size = (uint64_t)sysconf(_SC_PAGESIZE),
		.daemon_version = DMABROKER_VERSION,
	};

	request_body(request, &hello);
	if (connection->said_hello) {
		request_refuse(request, WIRE_REASON_COMBINATION, 0, 0, false,
			       "HELLO was said already; open another connection to start anew");
		return HANDLED;
	}
	if (hello.reserved) {
		request_refuse(request, WIRE_REASON_RESERVED_NOT_ZERO, 0, hello.reserved, false,
			       "HELLO: a reserved field is set; send zero");
		return HANDLED;
	}
	if (hello.version_min > WIRE_VERSION || hello.version_max < WIRE_VERSION) {
		request_refuse(request, WIRE_REASON_VERSION, WIRE_VERSION, hello.version_max, false,
			       "this broker speaks version %u of the protocol and you %u to %u; "
			       "update the older of the two",
			       WIRE_VERSION, hello.version_min, hello.version_max);
		return HANDLED;
	}
	if (!wire_text_ok(hello.name, sizeof(hello.name))) {
		request_refuse(request, WIRE_REASON_BAD_ARGUMENT, sizeof(hello.name) - 1, 0, false,
			       "a client's name is at most %zu printable ASCII characters",
			       sizeof(hello.name) - 1);
		return HANDLED;
	}
	memcpy(request->client->name, hello.name, sizeof(hello.name));
	connection->said_hello = true;
	connection->silent = false;
	TAILQ_REMOVE(&broker->silent, connection, silent_link);
	if (TAILQ_EMPTY(&broker->silent))
		event_del(broker->hello_event);
	snprintf(reply.backend, sizeof(reply.backend), "%s", broker->backend->ops->name);
	request_reply(request, &reply, sizeof(reply), NULL, 0);
	return HANDLED;
}

enum handled op_STATUS(struct request *request)
{
	struct broker *broker = request->broker;
	const struct ledger *ledger = broker->ledger;
	const struct client *client = request->client;
	struct wire_status_reply reply = {
		.daemon_version = DMABROKER_VERSION,
		.uptime_ms = broker_now_mono_ms() - broker->started_mono_ms,
		.nr_clients = ledger->nr_clients,
		.nr_devices = ledger->nr_devices,
		.charged_bytes = ledger->bytes,
		.machine_limit_bytes = ledger->bytes_limit,
		.requests = broker->nr_requests,
		.refusals = broker->nr_refusals,
		.dropped_peers = broker->nr_dropped_peers,
		.lost_log_messages = log_nr_lost(),
		.uid = client->uid,
		.pid = client->pid,
	};

	/* So that who released something and asks sees it gone. */
	broker_settle(broker);
	reply.nr_buffers = HASH_COUNT(ledger->buffers);
	reply.nr_mappings = HASH_COUNT(ledger->mappings);
	reply.charged_bytes = ledger->bytes;
	reply.own_bytes = client->account->use.of[QUOTA_BYTES];
	reply.own_bytes_limit = client->limits.of[QUOTA_BYTES];
	reply.own_buffers = client->account->use.of[QUOTA_BUFFERS];
	reply.own_buffers_limit = client->limits.of[QUOTA_BUFFERS];
	reply.own_mappings = client->account->use.of[QUOTA_MAPPINGS];
	reply.own_mappings_limit = client->limits.of[QUOTA_MAPPINGS];
	snprintf(reply.backend, sizeof(reply.backend), "%s", broker->backend->ops->name);
	snprintf(reply.unit, sizeof(reply.unit), "%s", request->connection->credentials.unit);
	request_reply(request, &reply, sizeof(reply), NULL, 0);
	return HANDLED;
}
