/* SPDX-License-Identifier: MIT */
/*
 * The three ways to a buffer: allocate, open by token, show an fd. All end in the same place, an
 * array of buffers that the request owns until the user takes them; what is not taken, because the
 * answer failed half-way or nobody came for it, is released like any other buffer.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "client-lib/src/buffer.h"
#include "client-lib/src/request.h"

struct obtain_request {
	struct dmabroker_request request;
	struct wire_alloc alloc;
	struct wire_token token;
	int fd; /* to show, or -1 */
	uint16_t op;
	unsigned int nr_buffers; /* obtained */
	bool taken;
	struct dmabroker_buffer *buffers[];
};

static int obtain_send(struct dmabroker_request *request)
{
	struct obtain_request *obtain = (struct obtain_request *)request;
	int fd;

	switch (obtain->op) {
	case WIRE_OP_ALLOC:
		for (unsigned int i = 0; i < obtain->alloc.nr_devices; i++)
			obtain->alloc.devices[i] = request->devices->ids[i];
		return request_call(request, obtain->op, &obtain->alloc, sizeof(obtain->alloc), -1);
	case WIRE_OP_BUFFER_OPEN:
		return request_call(request, obtain->op, &obtain->token, sizeof(obtain->token), -1);
	default:
		/* One to send, the other becomes the buffer's. */
		fd = fcntl(obtain->fd, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : request_call(request, obtain->op, NULL, 0, fd);
	}
}

static int obtain_add(struct obtain_request *obtain, const struct wire_buffer *wire, int fd)
{
	int r = buffer_new(obtain->request.broker, wire, fd, &obtain->buffers[obtain->nr_buffers]);

	if (r < 0)
		return r;
	/* Only what was allocated here cannot be in anybody else's hands yet. */
	obtain->buffers[obtain->nr_buffers++]->outlives = obtain->op != WIRE_OP_ALLOC;
	return 0;
}

static int alloc_reply(struct obtain_request *obtain, struct packet *packet)
{
	const uint8_t *ids = packet->bytes + sizeof(struct wire_header) +
			     sizeof(struct wire_alloc_reply);
	const struct wire_alloc *alloc = &obtain->alloc;
	struct wire_alloc_reply reply;
	struct wire_buffer wire = { 0 };
	int r = 0;

	wire_body_copy(&reply, sizeof(reply), packet->bytes, packet->size_bytes);
	wire.size_bytes = reply.size_bytes;
	wire.attributes = reply.attributes;
	wire.alignment_bytes = reply.alignment_bytes;
	wire.kind = alloc->kind;
	wire.effective_kind = reply.effective_kind;
	wire.flags = WIRE_BUFFER_HELD | (reply.contiguous ? WIRE_BUFFER_CONTIGUOUS : 0);
	wire.direction = alloc->direction;
	wire.owner_uid = obtain->request.broker->uid;
	wire.owner_pid = (uint32_t)obtain->request.broker->pid;
	wire.owned_by = alloc->kind == WIRE_KIND_NONCOHERENT ? WIRE_OWNED_BY_CPU
							     : WIRE_OWNED_BY_BOTH;
	memcpy(wire.name, alloc->name, sizeof(wire.name));
	memcpy(wire.region, reply.region, sizeof(wire.region));
	wire.layout = alloc->layout;

	for (uint32_t i = 0; i < reply.count; i++) {
		int one;

		memcpy(&wire.id, ids + i * sizeof(wire.id), sizeof(wire.id));
		/* Past a failure too: buffer_new() gives back what it cannot make. */
		if (i < alloc->count)
			one = obtain_add(obtain, &wire, packet_take_fd(packet, i));
		else
			one = -EPROTO;
		if (one < 0)
			r = one;
	}
	if (r == 0 && reply.count != alloc->count)
		r = -EPROTO;
	return r;
}

static int obtain_reply(struct dmabroker_request *request, uint16_t op, struct packet *packet)
{
	struct obtain_request *obtain = (struct obtain_request *)request;
	struct wire_buffer wire;
	int fd;

	if (op == WIRE_OP_ALLOC)
		return alloc_reply(obtain, packet);
	wire_body_copy(&wire, sizeof(wire), packet->bytes, packet->size_bytes);
	if (op == WIRE_OP_BUFFER_OPEN)
		fd = packet_take_fd(packet, 0);
	else
		fd = TAKE_FD(obtain->fd);
	return obtain_add(obtain, &wire, fd);
}

static void obtain_fini(struct dmabroker_request *request)
{
	struct obtain_request *obtain = (struct obtain_request *)request;

	fd_close(obtain->fd);
	for (unsigned int i = 0; i < obtain->nr_buffers; i++)
		buffer_release(obtain->buffers[i]);
}

static const struct request_ops obtain_ops = { .send = obtain_send,
					       .reply = obtain_reply,
					       .fini = obtain_fini };

static int obtain_new(struct dmabroker *broker, uint16_t op, unsigned int count,
		      const struct dmabroker_async *async, struct obtain_request **ret)
{
	struct obtain_request *obtain = NULL;
	int r;

	r = request_new(broker, &obtain_ops, sizeof(*obtain) + count * sizeof(obtain->buffers[0]),
			async, &obtain);
	if (r < 0)
		return r;
	obtain->op = op;
	obtain->fd = -1;
	*ret = obtain;
	return 0;
}

int dmabroker_request_take_buffers(struct dmabroker_request *request, unsigned int capacity,
				   struct dmabroker_buffer **ret_buffers)
{
	struct obtain_request *obtain = (struct obtain_request *)request;
	unsigned int nr_buffers;
	int r;

	r = request_taking(request, &obtain_ops);
	if (r == 0)
		r = broker_enter(request->broker);
	if (r < 0)
		return r;
	nr_buffers = obtain->nr_buffers;
	if (obtain->taken) {
		r = -ENODATA;
	} else if (nr_buffers != capacity) {
		r = -EINVAL;
	} else {
		for (unsigned int i = 0; i < capacity; i++) {
			ret_buffers[i] = obtain->buffers[i];
			dmabroker_ref(request->broker);
		}
		obtain->nr_buffers = 0;
		obtain->taken = true;
	}
	broker_leave(request->broker);
	if (r == -EINVAL)
		return fail_with(r, DMABROKER_REASON_COUNT, nr_buffers, capacity,
				 "The array has not the size the request asked for.");
	return r < 0 ? fail(r, NULL) : 0;
}

static int obtain_run(struct obtain_request *obtain, unsigned int count,
		      struct dmabroker_buffer **ret_buffers)
{
	_cleanup_request_ struct dmabroker_request *request = &obtain->request;
	int r = request_run(request);

	return r < 0 ? r : dmabroker_request_take_buffers(request, count, ret_buffers);
}

_Static_assert(DMABROKER_BUFFERS_MAX == WIRE_FDS_MAX, "counts agree");
_Static_assert(DMABROKER_DEVICES_MAX == WIRE_DEVICES_MAX, "counts agree");

static int alloc_new(struct dmabroker *broker, const struct dmabroker_alloc_params *user_params,
		     const struct dmabroker_async *async, struct obtain_request **ret)
{
	_cleanup_request_ struct dmabroker_request *request = NULL;
	struct dmabroker_alloc_params params;
	struct obtain_request *obtain;
	struct wire_alloc *alloc;
	int r;

	r = params_copy(&params, sizeof(params), sizeof(params), user_params);
	if (r < 0)
		return r;
	if (params.count < 1 || params.count > DMABROKER_BUFFERS_MAX)
		return fail_with(-EINVAL, DMABROKER_REASON_COUNT, DMABROKER_BUFFERS_MAX,
				 params.count, "One call allocates 1 to 253 buffers.");
	if (params.name && strlen(params.name) >= sizeof(alloc->name))
		return fail_with(-EINVAL, DMABROKER_REASON_BAD_ARGUMENT, sizeof(alloc->name) - 1,
				 strlen(params.name),
				 "A buffer's name is to be up to 31 printable ASCII characters.");
	r = obtain_new(broker, WIRE_OP_ALLOC, params.count, async, &obtain);
	if (r < 0)
		return r;
	request = &obtain->request;
	r = request_set_devices(request, params.devices, params.nr_devices);
	if (r < 0)
		return r;
	alloc = &obtain->alloc;
	alloc->size_bytes = params.size_bytes;
	alloc->count = params.count;
	alloc->kind = params.kind ? params.kind : DMABROKER_KIND_COHERENT;
	alloc->attributes = params.attributes;
	alloc->direction = params.direction;
	alloc->nr_devices = params.nr_devices;
	if (params.name)
		memcpy(alloc->name, params.name, strlen(params.name));
	if (params.layout)
		memcpy(&alloc->layout, params.layout, sizeof(alloc->layout));
	request = NULL;
	*ret = obtain;
	return 0;
}

int dmabroker_alloc(struct dmabroker *broker, const struct dmabroker_alloc_params *params,
		    struct dmabroker_buffer **ret_buffers)
{
	struct obtain_request *obtain = NULL;
	int r;

	r = alloc_new(broker, params, NULL, &obtain);
	return r < 0 ? r : obtain_run(obtain, obtain->alloc.count, ret_buffers);
}

int dmabroker_alloc_start(struct dmabroker *broker, const struct dmabroker_alloc_params *params,
			  const struct dmabroker_async *async,
			  struct dmabroker_request **ret_request)
{
	struct obtain_request *obtain = NULL;
	int r;

	r = alloc_new(broker, params, async, &obtain);
	return r < 0 ? r : request_start(&obtain->request, ret_request);
}

static int open_new(struct dmabroker *broker, const struct dmabroker_token *token,
		    const struct dmabroker_async *async, struct obtain_request **ret)
{
	int r = obtain_new(broker, WIRE_OP_BUFFER_OPEN, 1, async, ret);

	if (r == 0)
		memcpy((*ret)->token.token, token->bytes, sizeof((*ret)->token.token));
	return r;
}

int dmabroker_open(struct dmabroker *broker, const struct dmabroker_token *token,
		   struct dmabroker_buffer **ret_buffer)
{
	struct obtain_request *obtain = NULL;
	int r;

	r = open_new(broker, token, NULL, &obtain);
	return r < 0 ? r : obtain_run(obtain, 1, ret_buffer);
}

int dmabroker_open_start(struct dmabroker *broker, const struct dmabroker_token *token,
			 const struct dmabroker_async *async,
			 struct dmabroker_request **ret_request)
{
	struct obtain_request *obtain = NULL;
	int r;

	r = open_new(broker, token, async, &obtain);
	return r < 0 ? r : request_start(&obtain->request, ret_request);
}

static int from_fd_new(struct dmabroker *broker, int fd, const struct dmabroker_async *async,
		       struct obtain_request **ret)
{
	_cleanup_request_ struct dmabroker_request *request = NULL;
	struct obtain_request *obtain = NULL;
	int r;

	r = obtain_new(broker, WIRE_OP_BUFFER_HOLD, 1, async, &obtain);
	if (r < 0)
		return r;
	request = &obtain->request;
	obtain->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (obtain->fd < 0)
		return fail(-errno, NULL);
	request = NULL;
	*ret = obtain;
	return 0;
}

int dmabroker_from_fd(struct dmabroker *broker, int fd, struct dmabroker_buffer **ret_buffer)
{
	struct obtain_request *obtain = NULL;
	int r;

	r = from_fd_new(broker, fd, NULL, &obtain);
	return r < 0 ? r : obtain_run(obtain, 1, ret_buffer);
}

int dmabroker_from_fd_start(struct dmabroker *broker, int fd, const struct dmabroker_async *async,
			    struct dmabroker_request **ret_request)
{
	struct obtain_request *obtain = NULL;
	int r;

	r = from_fd_new(broker, fd, async, &obtain);
	return r < 0 ? r : request_start(&obtain->request, ret_request);
}
