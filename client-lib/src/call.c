/* SPDX-License-Identifier: MIT */
/*
 * Messages out, replies in. Messages leave in the order they were posted, replies find their call
 * by serial. Nothing a broker sends is believed before wire_check_reply() has passed it.
 *
 * A reply whose request is gone (cancelled, past its deadline) may grant something: reply_discard()
 * is the one place that gives it back. Buffers need a message for that, mappings only the close of
 * their fd, which packet_fini() does.
 */
#include <assert.h>
#include <string.h>

#include "client-lib/src/call.h"
#include "client-lib/src/hold.h"
#include "client-lib/src/request.h"

int call_new(uint16_t op, const void *body, size_t body_bytes, int fd, struct call **ret)
{
	struct wire_header header = { .size = sizeof(header) + body_bytes, .op = op };
	struct call *call = calloc(1, sizeof(*call) + header.size);

	if (!call) {
		fd_close(fd);
		return -ENOMEM;
	}
	call->op = op;
	call->fd = fd;
	call->bytes = header.size;
	memcpy(call->message, &header, sizeof(header));
	if (body_bytes)
		memcpy(call->message + sizeof(header), body, body_bytes);
	*ret = call;
	return 0;
}

struct call *call_free(struct call *call)
{
	if (!call)
		return NULL;
	fd_close(call->fd);
	free(call);
	return NULL;
}

static bool op_opens(uint16_t op)
{
	return op == WIRE_OP_BUFFER_OPEN || op == WIRE_OP_BUFFER_HOLD;
}

/* The call is answered, or will never be. */
static void call_finished(struct dmabroker *broker, struct call *call)
{
	if (op_opens(call->op))
		holds_opened(broker);
	call_free(call);
}

/* 0 when sent; the call is where it belongs then, or gone. */
static int call_send(struct dmabroker *broker, struct call *call)
{
	int r = packet_send(broker->sock, call->message, call->bytes, NULL, 0, &call->fd,
			    call->fd >= 0);

	if (r < 0)
		return r;
	call->sent = true;
	call->fd = fd_close(call->fd);
	if (call->no_reply)
		call_free(call);
	else
		TAILQ_INSERT_TAIL(&broker->in_flight, call, broker_link);
	return 0;
}

/* This message alone cannot be sent; the connection is fine. */
static bool only_this_one(int error)
{
	return error == -ETOOMANYREFS || error == -EBADF || error == -EMSGSIZE;
}

static void call_refused_by_kernel(struct dmabroker *broker, struct call *call, int error)
{
	struct dmabroker_request *request = call->request;

	if (request)
		request->call = NULL;
	call_finished(broker, call);
	if (request)
		request_fail(request, error,
			     error == -ETOOMANYREFS
				     ? "Too many file descriptors of this user are under way in "
				       "sockets; try again later."
				     : NULL);
}

int calls_flush(struct dmabroker *broker)
{
	struct call *call;
	int r;

	while (broker->link == LINK_UP && (call = TAILQ_FIRST(&broker->outbox))) {
		TAILQ_REMOVE(&broker->outbox, call, broker_link);
		r = call_send(broker, call);
		if (r == 0)
			continue;
		if (only_this_one(r)) {
			call_refused_by_kernel(broker, call, r);
			continue;
		}
		TAILQ_INSERT_HEAD(&broker->outbox, call, broker_link);
		return r == -ENOBUFS || r == -ENOMEM ? -EAGAIN : r;
	}
	return 0;
}

void call_post(struct dmabroker *broker, struct call *call)
{
	struct wire_header header;

	if (broker->link == LINK_LOST) {
		/* Requests are not launched then; a release is moot. */
		assert(!call->request);
		call_free(call);
		return;
	}
	if (++broker->last_serial == 0)
		broker->last_serial = 1;
	call->serial = broker->last_serial;
	memcpy(&header, call->message, sizeof(header));
	header.serial = call->serial;
	header.flags = call->no_reply ? WIRE_FLAG_NO_REPLY : 0;
	memcpy(call->message, &header, sizeof(header));
	if (op_opens(call->op))
		broker->nr_opening++;

	TAILQ_INSERT_TAIL(&broker->outbox, call, broker_link);
	if (TAILQ_FIRST(&broker->outbox) != call)
		return; /* others wait for room already */
	/*
	 * A dead socket is not noticed here: replies may be queued on it, and reading finds its
	 * end. Whoever reads is told by the socket itself.
	 */
	if (calls_flush(broker) < 0) {
		link_watch(broker);
		loop_wake(broker);
	}
}

void call_abandon(struct dmabroker *broker, struct call *call)
{
	call->request = NULL;
	if (!call->sent) {
		TAILQ_REMOVE(&broker->outbox, call, broker_link);
		call_finished(broker, call);
	}
}

void calls_clear(struct dmabroker *broker)
{
	struct call *call;

	while ((call = TAILQ_FIRST(&broker->outbox))) {
		TAILQ_REMOVE(&broker->outbox, call, broker_link);
		call_free(call);
	}
	while ((call = TAILQ_FIRST(&broker->in_flight))) {
		TAILQ_REMOVE(&broker->in_flight, call, broker_link);
		call_free(call);
	}
	broker->nr_opening = 0;
}

void calls_fail(struct dmabroker *broker, int error, const char *text)
{
	struct call_list all = TAILQ_HEAD_INITIALIZER(all);
	struct call *call;

	/* In the order they were asked. */
	TAILQ_CONCAT(&all, &broker->in_flight, broker_link);
	TAILQ_CONCAT(&all, &broker->outbox, broker_link);
	broker->nr_opening = 0;
	holds_unpark(broker);
	while ((call = TAILQ_FIRST(&all))) {
		struct dmabroker_request *request = call->request;

		TAILQ_REMOVE(&all, call, broker_link);
		call_free(call);
		if (request) {
			request->call = NULL;
			request_fail(request, error, text);
		}
	}
}

/* Give back what a reply grants that nobody wants. The packet's fds close by themselves. */
static void reply_discard(struct dmabroker *broker, uint16_t op, const struct packet *packet)
{
	const uint8_t *body = packet->bytes + sizeof(struct wire_header);
	struct wire_alloc_reply alloc;
	struct wire_buffer buffer;
	uint64_t id;

	switch (op) {
	case WIRE_OP_ALLOC:
		memcpy(&alloc, body, sizeof(alloc));
		for (uint32_t i = 0; i < alloc.count; i++) {
			memcpy(&id, body + sizeof(alloc) + i * sizeof(id), sizeof(id));
			hold_unwanted(broker, id);
		}
		break;
	case WIRE_OP_BUFFER_OPEN:
	case WIRE_OP_BUFFER_HOLD:
		wire_body_copy(&buffer, sizeof(buffer), packet->bytes, packet->size_bytes);
		hold_unwanted(broker, buffer.id);
		break;
	}
}

/* How many fds this reply should carry, as far as its bytes tell. */
static unsigned int expected_fds(uint16_t op, const struct packet *packet)
{
	const struct wire_op_info *info = wire_op_info(op);
	struct wire_alloc_reply alloc;

	if (info->reply_fds >= 0)
		return (unsigned int)info->reply_fds;
	wire_body_copy(&alloc, sizeof(alloc), packet->bytes, packet->size_bytes);
	return alloc.count;
}

static struct call *in_flight_find(struct dmabroker *broker, uint32_t serial)
{
	struct call *call;

	/* Replies come nearly in order, so this is nearly always the first. */
	TAILQ_FOREACH(call, &broker->in_flight, broker_link)
	if (call->serial == serial)
		return call;
	return NULL;
}

int call_reply(struct dmabroker *broker, struct packet *packet)
{
	struct dmabroker_request *request;
	struct wire_header header;
	struct call *call;
	bool fds_cut = false;
	uint16_t op;

	if (packet->size_bytes < sizeof(header))
		return -EPROTO;
	memcpy(&header, packet->bytes, sizeof(header));
	if (header.flags & WIRE_FLAG_EVENT) {
		if (wire_check_reply(0, packet->bytes, packet->size_bytes, packet->nr_fds,
				     packet->truncated) != WIRE_OK)
			return -EPROTO;
		event_received(broker, packet);
		return 0;
	}

	call = in_flight_find(broker, header.serial);
	if (!call)
		return -EPROTO;
	op = call->op;
	if (wire_check_reply(op, packet->bytes, packet->size_bytes, packet->nr_fds,
			     packet->truncated) != WIRE_OK) {
		/*
		 * A process out of fds gets the bytes and not all of the fds. That is no fault of
		 * the broker: the reply is good, this end has no room for it.
		 */
		fds_cut = packet->truncated &&
			  wire_check_reply(op, packet->bytes, packet->size_bytes,
					   expected_fds(op, packet), false) == WIRE_OK;
		if (!fds_cut)
			return -EPROTO;
	}

	TAILQ_REMOVE(&broker->in_flight, call, broker_link);
	request = call->request;
	if (request)
		request->call = NULL;

	if (!(header.flags & WIRE_FLAG_REFUSAL) && (!request || fds_cut))
		reply_discard(broker, op, packet);
	else if (request)
		request_reply(request, op, packet);
	if (request && fds_cut)
		request_fail(request, -EMFILE, NULL);
	/* After the reply is looked at: it may be what a parked release waits for. */
	call_finished(broker, call);
	return 0;
}
