/* SPDX-License-Identifier: MIT */
/*
 * Queries: which op a query becomes, and going on until the last page. Segments are paged by
 * number, everything else by the cursor of the reply; one that is found by name or id is a reply
 * without pages.
 */
#include <stdio.h>
#include <string.h>

#include "client-lib/src/list.h"
#include "client-lib/src/request.h"

struct query_request {
	struct dmabroker_request request;
	enum dmabroker_query_type type;
	uint32_t flags;
	uint64_t id;
	uint64_t cursor;
	char name[WIRE_DEVICE_NAME_SIZE]; /* "": none */
	struct dmabroker_list *list; /* NULL once taken */
};

static uint16_t query_op(const struct query_request *query)
{
	switch (query->type) {
	case DMABROKER_QUERY_STATUS:
		return WIRE_OP_STATUS;
	case DMABROKER_QUERY_DEVICES:
		return query->name[0] ? WIRE_OP_DEVICE_FIND : WIRE_OP_DEVICE_LIST;
	case DMABROKER_QUERY_BUFFERS:
		return query->id ? WIRE_OP_BUFFER_SHOW : WIRE_OP_BUFFER_LIST;
	case DMABROKER_QUERY_MAPPINGS:
		return WIRE_OP_MAPPING_LIST;
	case DMABROKER_QUERY_SEGMENTS:
		return WIRE_OP_MAPPING_SEGMENTS;
	case DMABROKER_QUERY_CLIENTS:
		return WIRE_OP_CLIENT_LIST;
	case DMABROKER_QUERY_ACCOUNTS:
		return WIRE_OP_ACCOUNT_LIST;
	case DMABROKER_QUERY_DOCTOR:
		return WIRE_OP_DOCTOR;
	}
	return 0;
}

static int query_send(struct dmabroker_request *request)
{
	struct query_request *query = (struct query_request *)request;
	const struct wire_list list = { .cursor = query->cursor,
					.of_id = query->id,
					.flags = query->flags };
	const struct wire_segments segments = { .mapping_id = query->id, .first = query->cursor };
	const struct wire_id id = { .id = query->id };
	struct wire_device_find find = { 0 };
	uint16_t op = query_op(query);

	switch (op) {
	case WIRE_OP_STATUS:
		return request_call(request, op, NULL, 0, -1);
	case WIRE_OP_DEVICE_FIND:
		memcpy(find.name, query->name, sizeof(find.name));
		return request_call(request, op, &find, sizeof(find), -1);
	case WIRE_OP_BUFFER_SHOW:
		return request_call(request, op, &id, sizeof(id), -1);
	case WIRE_OP_MAPPING_SEGMENTS:
		return request_call(request, op, &segments, sizeof(segments), -1);
	default:
		return request_call(request, op, &list, sizeof(list), -1);
	}
}

static int query_reply(struct dmabroker_request *request, uint16_t op, struct packet *packet)
{
	struct query_request *query = (struct query_request *)request;
	struct wire_list_reply reply;
	bool more;
	int r;

	switch (op) {
	case WIRE_OP_STATUS:
	case WIRE_OP_DEVICE_FIND:
	case WIRE_OP_BUFFER_SHOW:
		r = list_append_one(query->list, packet);
		more = false;
		break;
	case WIRE_OP_MAPPING_SEGMENTS:
		r = list_append(query->list, packet, &reply);
		query->cursor += reply.count;
		more = reply.count > 0 && query->cursor < reply.total;
		break;
	default:
		r = list_append(query->list, packet, &reply);
		query->cursor = reply.cursor;
		more = reply.cursor != 0;
		break;
	}
	if (r < 0)
		return r;
	if (!more)
		return list_finish(query->list);
	r = query_send(request);
	return r < 0 ? r : REQUEST_GOES_ON;
}

static void query_fini(struct dmabroker_request *request)
{
	struct query_request *query = (struct query_request *)request;

	dmabroker_list_free(query->list);
}

static const struct request_ops query_ops = { .send = query_send,
					      .reply = query_reply,
					      .fini = query_fini };

static int params_check(const struct dmabroker_query_params *params)
{
	if (params->type < DMABROKER_QUERY_STATUS || params->type > DMABROKER_QUERY_DOCTOR)
		return fail_with(-EINVAL, DMABROKER_REASON_BAD_ARGUMENT, DMABROKER_QUERY_DOCTOR,
				 params->type, "There is no such query.");
	if (params->name && params->type != DMABROKER_QUERY_DEVICES)
		return fail_with(-EINVAL, DMABROKER_REASON_COMBINATION, 0, 0,
				 "Only devices are found by name.");
	if (params->id && params->type != DMABROKER_QUERY_BUFFERS &&
	    params->type != DMABROKER_QUERY_MAPPINGS && params->type != DMABROKER_QUERY_SEGMENTS)
		return fail_with(-EINVAL, DMABROKER_REASON_COMBINATION, 0, params->id,
				 "An id narrows queries for buffers, mappings and segments only.");
	if (params->name && strlen(params->name) >= WIRE_DEVICE_NAME_SIZE)
		return fail_with(-ENODEV, DMABROKER_REASON_UNKNOWN_DEVICE,
				 WIRE_DEVICE_NAME_SIZE - 1, strlen(params->name),
				 "No device has so long a name; dmabrokerctl devices lists them.");
	if (params->name && !params->name[0])
		return fail_with(-ENODEV, DMABROKER_REASON_UNKNOWN_DEVICE, 0, 0,
				 "No device has an empty name; dmabrokerctl devices lists them.");
	return 0;
}

static int query_new(struct dmabroker *broker, const struct dmabroker_query_params *user_params,
		     const struct dmabroker_async *async, struct dmabroker_request **ret)
{
	_cleanup_request_ struct dmabroker_request *request = NULL;
	struct dmabroker_query_params params;
	struct query_request *query;
	int r;

	r = params_copy(&params, sizeof(params), sizeof(params), user_params);
	if (r == 0)
		r = params_check(&params);
	if (r < 0)
		return r;
	r = request_new(broker, &query_ops, sizeof(*query), async, &request);
	if (r < 0)
		return r;
	query = (struct query_request *)request;
	query->type = params.type;
	query->flags = params.flags; /* the broker refuses those it does not know */
	query->id = params.id;
	if (params.name)
		snprintf(query->name, sizeof(query->name), "%s", params.name);
	r = list_new(query->type, &query->list);
	if (r < 0)
		return fail(r, NULL);
	*ret = TAKE_PTR(request);
	return 0;
}

int dmabroker_query_start(struct dmabroker *broker, const struct dmabroker_query_params *params,
			  const struct dmabroker_async *async,
			  struct dmabroker_request **ret_request)
{
	struct dmabroker_request *request = NULL;
	int r;

	r = query_new(broker, params, async, &request);
	return r < 0 ? r : request_start(request, ret_request);
}

int dmabroker_request_take_list(struct dmabroker_request *request, struct dmabroker_list **ret_list)
{
	struct query_request *query = (struct query_request *)request;
	struct dmabroker_list *list;
	int r;

	r = request_taking(request, &query_ops);
	if (r == 0)
		r = broker_enter(request->broker);
	if (r < 0)
		return r;
	list = TAKE_PTR(query->list);
	broker_leave(request->broker);
	if (!list)
		return fail(-ENODATA, NULL);
	*ret_list = list;
	return 0;
}

int dmabroker_query(struct dmabroker *broker, const struct dmabroker_query_params *params,
		    struct dmabroker_list **ret_list)
{
	_cleanup_request_ struct dmabroker_request *request = NULL;
	int r;

	r = query_new(broker, params, NULL, &request);
	if (r == 0)
		r = request_run(request);
	return r < 0 ? r : dmabroker_request_take_list(request, ret_list);
}
