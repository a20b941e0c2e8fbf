/* SPDX-License-Identifier: MIT */
/*
 * Dispatch as data: a table from op number to handler, made from the op table of the wire. What
 * every op has in common is decided here, once: framing, HELLO first, administrators only, fds in
 * flight. So a handler can neither forget nor repeat a check.
 *
 * Exactly one answer goes to every request that has a serial, unless it asked for none. A request
 * that asks for fds and for no reply wants nothing that it could notice; nothing is done for it.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/dispatch.h"

static const op_handler handlers[] = {
#define X(NAME, number, req, min, fds, rep, rfds, who) [number] = op_##NAME,
	WIRE_OPS(X)
#undef X
};

void request_reply(struct request *request, const void *body, size_t body_bytes, const void *more,
		   size_t more_bytes)
{
	uint64_t scratch[WIRE_MESSAGE_MAX / sizeof(uint64_t)];
	struct wire_header header = {
		.size = (uint32_t)(sizeof(header) + body_bytes + more_bytes),
		.op = request->header.op,
		.flags = WIRE_FLAG_REPLY,
		.serial = request->header.serial,
	};

	if (request->header.flags & WIRE_FLAG_NO_REPLY)
		return;
	assert(header.size <= WIRE_MESSAGE_MAX);
	if (!more_bytes) {
		connection_send(request->connection, &header, sizeof(header), body, body_bytes);
		return;
	}
	memcpy(scratch, &header, sizeof(header));
	memcpy((char *)scratch + sizeof(header), body, body_bytes);
	connection_send(request->connection, scratch, sizeof(header) + body_bytes, more,
			more_bytes);
}

int request_reply_fds(struct request *request, const void *body, size_t body_bytes,
		      const void *more, size_t more_bytes, const int *fds, unsigned int nr_fds)
{
	struct {
		struct wire_header header;
		uint8_t body[sizeof(struct wire_buffer)]; /* the longest */
	} message;

	assert(body_bytes <= sizeof(message.body));
	message.header = (struct wire_header){
		.size = (uint32_t)(sizeof(message.header) + body_bytes + more_bytes),
		.op = request->header.op,
		.flags = WIRE_FLAG_REPLY,
		.serial = request->header.serial,
	};
	memcpy(message.body, body, body_bytes);
	return connection_send_fds(request->connection, &message,
				   sizeof(message.header) + body_bytes, more, more_bytes, fds,
				   nr_fds);
}

static void refuse(struct request *request, int error, enum wire_reason reason, uint64_t limit,
		   uint64_t value, bool retry, const char *text)
{
	struct broker *broker = request->broker;
	struct connection *connection = request->connection;
	struct refusal_note *note =
		&broker->refusals[broker->next_refusal++ % BROKER_REFUSALS_KEPT];
	const char *op = request->info ? request->info->name : "unknown op";
	struct log_peer peer = connection_peer(connection);
	struct wire_refusal refusal = {
		.error = (uint32_t)error,
		.reason = reason,
		.limit = limit,
		.value = value,
		.retry = retry,
	};
	struct wire_header header = {
		.size = sizeof(header) + sizeof(refusal),
		.op = request->header.op,
		.flags = WIRE_FLAG_REPLY | WIRE_FLAG_REFUSAL,
		.serial = request->header.serial,
	};

	snprintf(refusal.text, sizeof(refusal.text), "%s", text);
	refusal.text_bytes = (uint32_t)strlen(refusal.text);

	broker->nr_refusals++;
	*note = (struct refusal_note){ .uid = connection->credentials.uid,
				       .reason = reason,
				       .when_mono_ms = broker_now_mono_ms() };
	snprintf(note->op, sizeof(note->op), "%s", op);
	snprintf(note->text, sizeof(note->text), "%s", text);

	peer.op = op;
	peer.serial = request->header.serial;
	log_peer(LOG_DEBUG, &peer, "refused (%s): %s", wire_reason_name(reason), text);

	if (!(request->header.flags & WIRE_FLAG_NO_REPLY))
		connection_send(connection, &header, sizeof(header), &refusal, sizeof(refusal));
}

void request_refuse(struct request *request, enum wire_reason reason, uint64_t limit,
		    uint64_t value, bool retry, const char *format, ...)
{
	char text[sizeof(((struct wire_refusal *)NULL)->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	refuse(request, wire_reason_errno(reason), reason, limit, value, retry, text);
}

void request_refuse_failure(struct request *request, const struct backend_failure *failure,
			    int error)
{
	/* Without a reason the backend met something that it has no words for. */
	if (failure->reason != WIRE_REASON_NONE)
		refuse(request, wire_reason_errno(failure->reason), failure->reason, failure->limit,
		       failure->value, failure->retry, failure->text);
	else
		request_refuse(request, WIRE_REASON_BACKEND_FAILED, 0, (uint64_t)-error, true,
			       "the %s backend failed: %s; the broker's log may say more",
			       request->broker->backend->ops->name, strerror(-error));
}

void request_refuse_shortfall(struct request *request, const struct shortfall *shortfall)
{
	static const struct {
		enum wire_reason reason;
		const char *text; /* with %llu for the value and the limit, in this order */
	} texts[] = {
		{ WIRE_REASON_QUOTA_BYTES,
		  "this would bring your account to %llu bytes of %llu; release buffers (and "
		  "unmap and close them), or ask the administrator for a higher limit" },
		{ WIRE_REASON_QUOTA_CONTIGUOUS_BYTES,
		  "this would bring your account to %llu contiguous bytes of %llu; do without "
		  "force-contiguous, release buffers, or ask for a higher limit" },
		{ WIRE_REASON_QUOTA_BUFFERS,
		  "this would bring your account to %llu buffers of %llu; release some (and "
		  "unmap and close them), or ask the administrator for a higher limit" },
		{ WIRE_REASON_QUOTA_MAPPINGS,
		  "this would bring your account to %llu mappings of %llu; close mapping fds, or "
		  "ask the administrator for a higher limit" },
		{ WIRE_REASON_QUOTA_CLIENTS,
		  "this would be connection %llu of %llu; close one, or ask the administrator for "
		  "a higher limit" },
		{ WIRE_REASON_QUOTA_TOKENS,
		  "this would bring your account to %llu tokens of %llu; release shared buffers "
		  "that nobody will open any more" },
		{ WIRE_REASON_MACHINE_TOTAL,
		  "this would bring the machine to %llu bytes of %llu for all users together; try "
		  "again when somebody has released memory" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[400];

		if (texts[i].reason != shortfall->reason)
			continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof(text), texts[i].text, (unsigned long long)shortfall->value,
			 (unsigned long long)shortfall->limit);
#pragma GCC diagnostic pop
		refuse(request, wire_reason_errno(shortfall->reason), shortfall->reason,
		       shortfall->limit, shortfall->value, true, text);
		return;
	}
	assert(!"a shortfall without a sentence");
}

static void refuse_check(struct request *request, const struct wire_check *check)
{
	const char *name = check->op ? check->op->name : "";

	switch (check->reason) {
	case WIRE_REASON_UNKNOWN_OP:
		request_refuse(request, check->reason, check->limit, check->value, false,
			       "there is no op %u here; this broker speaks version %u",
			       request->header.op, WIRE_VERSION);
		break;
	case WIRE_REASON_UNKNOWN_TAIL:
		request_refuse(request, check->reason, check->limit, check->value, false,
			       "%s has %llu bytes here and %llu came, the rest of them not zero; "
			       "leave out what a newer version added",
			       name, (unsigned long long)check->limit,
			       (unsigned long long)check->value);
		break;
	case WIRE_REASON_WRONG_FD_COUNT:
		request_refuse(request, check->reason, check->limit, check->value, false,
			       "%s takes %llu fds and %llu came; they were closed", name,
			       (unsigned long long)check->limit, (unsigned long long)check->value);
		break;
	default:
		request_refuse(request, check->reason, check->limit, check->value, false,
			       "%s: reserved bits are set; send zero", name);
		break;
	}
}

/* A peer that was not let in hears why, whatever it asked, and that was all. */
static void turn_away(struct request *request)
{
	struct connection *connection = request->connection;

	if (connection->credentials.evasive)
		request_refuse(request, WIRE_REASON_ACCOUNT_NOT_ALLOWED, 0,
			       connection->credentials.uid, true,
			       "the process that connected had ended when it was looked at, or its "
			       "cgroup cannot be named; connect from a process that stays");
	else if (connection->why_not.reason == WIRE_REASON_ACCOUNT_NOT_ALLOWED)
		request_refuse(request, WIRE_REASON_ACCOUNT_NOT_ALLOWED, 0,
			       connection->credentials.uid, false,
			       "uid %u is outside of the range of users that have an account, and "
			       "belongs to no unit that the kernel vouches for; run as an ordinary "
			       "user or in a service of its own",
			       connection->credentials.uid);
	else
		request_refuse_shortfall(request, &connection->why_not);
	connection_drop(connection, NULL);
}

static enum handled handle(struct request *request)
{
	struct connection *connection = request->connection;
	bool hello = request->info->op == WIRE_OP_HELLO;

	if (!connection->said_hello && !hello) {
		request_refuse(request, WIRE_REASON_HELLO_FIRST, 0, request->info->op, false,
			       "a connection starts with HELLO");
		return HANDLED;
	}
	if (request->info->admin && !connection->grant.admin) {
		request_refuse(request, WIRE_REASON_NOT_ADMINISTRATOR, 0,
			       connection->credentials.uid, false, "%s is for root",
			       request->info->name);
		return HANDLED;
	}
	if (request->info->reply_fds != 0) {
		if (request->header.flags & WIRE_FLAG_NO_REPLY)
			return HANDLED;
		if (connection_fds_unread(connection))
			return HANDLED_LATER;
	}
	return handlers[request->info->op](request);
}

bool dispatch_packet(struct connection *connection, struct packet *packet)
{
	struct wire_check check = wire_check_request(packet->bytes, packet->size_bytes,
						     packet->nr_fds, packet->truncated);
	struct request request = {
		.broker = connection->broker,
		.connection = connection,
		.client = connection->client,
		.packet = packet,
		.bytes = packet->bytes,
		.size_bytes = packet->size_bytes,
		.info = check.op,
	};

	if (check.verdict == WIRE_DROP) {
		connection_drop(connection, packet->size_bytes == 0 ? "an empty packet"
					    : packet->truncated ? "a packet or its fds too large"
								: "a packet that breaks framing");
		return false;
	}
	memcpy(&request.header, packet->bytes, sizeof(request.header));
	request.broker->nr_requests++;
	if (!connection->client) {
		turn_away(&request);
		return false;
	}
	connection->client->nr_requests++;
	if (check.verdict == WIRE_REFUSE)
		refuse_check(&request, &check);
	else if (handle(&request) == HANDLED_LATER)
		connection_postpone(connection, packet->bytes, packet->size_bytes);
	return request.header.flags & WIRE_FLAG_NO_REPLY;
}

int dispatch_pending(struct connection *connection, const void *bytes, size_t size_bytes,
		     bool last_try)
{
	struct request request = {
		.broker = connection->broker,
		.connection = connection,
		.client = connection->client,
		.bytes = bytes,
		.size_bytes = size_bytes,
	};

	memcpy(&request.header, bytes, sizeof(request.header));
	request.info = wire_op_info(request.header.op);
	if (handle(&request) == HANDLED)
		return 0;
	if (!last_try)
		return -EAGAIN;
	request_refuse(&request, WIRE_REASON_QUOTA_FDS, connection->broker->fds_max, 0, true,
		       "too many fds of the broker are on their way to clients that do not read; "
		       "try again");
	return 0;
}
