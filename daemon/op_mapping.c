/* SPDX-License-Identifier: MIT */
/*
 * Mappings: make one, list them, their segments, and syncs where the fd does not do them.
 *
 * A DMA address is only for those who may use the device: segments are shown to the account that
 * made the mapping, and to root. Somebody else's mapping is refused like one that does not exist.
 */
#include <errno.h>
#include <string.h>

#include "proto/cleanup.h"
#include "daemon/op_list.h"

static bool check_map(struct request *request, const struct wire_map *body, const struct hold *hold,
		      const struct device *device)
{
	if (body->attributes & ~(uint64_t)WIRE_ATTRIBUTES_OF_MAPPINGS) {
		request_refuse(request, WIRE_REASON_UNKNOWN_ATTRIBUTE, WIRE_ATTRIBUTES_OF_MAPPINGS,
			       body->attributes, false,
			       "attribute bits %#llx mean nothing for a mapping; leave them out",
			       (unsigned long long)(body->attributes &
						    ~(uint64_t)WIRE_ATTRIBUTES_OF_MAPPINGS));
		return false;
	}
	if (body->direction > WIRE_DIR_NONE) {
		request_refuse(request, WIRE_REASON_UNKNOWN_DIRECTION, WIRE_DIR_NONE,
			       body->direction, false, "there is no direction %u", body->direction);
		return false;
	}
	if (body->direction == WIRE_DIR_NONE) {
		request_refuse(request, WIRE_REASON_DIRECTION_NONE, 0, body->direction, false,
			       "a mapping needs a direction: to-device, from-device or "
			       "bidirectional");
		return false;
	}
	if (body->mask_bits > 64) {
		request_refuse(request, WIRE_REASON_BAD_ARGUMENT, 64, body->mask_bits, false,
			       "a DMA address has at most 64 bits");
		return false;
	}
	if (!hold) {
		request_refuse_unknown_buffer(request, body->buffer_id);
		return false;
	}
	if (!device) {
		request_refuse(request, WIRE_REASON_UNKNOWN_DEVICE, 0, body->device_id, false,
			       "there is no device %u; list the devices", body->device_id);
		return false;
	}
	if (device->info.flags & WIRE_DEVICE_SYSTEM) {
		request_refuse(request, WIRE_REASON_DEVICE_SYSTEM, 0, body->device_id, false,
			       "\"system\" stands for no particular device and has no addresses; "
			       "name a real one");
		return false;
	}
	if (!request_may_use_device(request, device))
		return false;
	if (hold->read_only && body->direction != WIRE_DIR_TO_DEVICE) {
		request_refuse(
			request, WIRE_REASON_READ_ONLY, 0, body->buffer_id, false,
			"buffer %llu is held read-only: a device may read it (to-device) and "
			"not write it",
			(unsigned long long)body->buffer_id);
		return false;
	}
	return true;
}

static enum handled map(struct request *request, const struct wire_map *body,
			const struct hold *hold, struct charge *charge)
{
	const struct backend_map params = {
		.buffer_id = body->buffer_id,
		.device_id = body->device_id,
		.direction = body->direction,
		.attributes = body->attributes,
		.mask_bits = body->mask_bits,
		.read_only = hold->read_only,
		.account = request->client->account->number,
	};
	struct backend *backend = request->broker->backend;
	struct backend_failure failure = { 0 };
	struct backend_mapping got;
	struct wire_map_reply reply;
	struct mapping *mapping;
	_cleanup_fd_ int fd = -1;
	int r;

	r = backend->ops->map(backend, &params, &got, &fd, &failure);
	if (r == 0) {
		reply.mapping = (struct wire_mapping){
			.id = got.id,
			.buffer_id = got.buffer_id,
			.attributes = got.attributes,
			.size_bytes = got.size_bytes,
			.device_id = got.device_id,
			.direction = got.direction,
			.flags = got.flags,
			.nr_segments = got.nr_segments,
		};
		r = mapping_new(request->broker->ledger, charge, request->client, &reply.mapping,
				&mapping);
	}
	if (r < 0) {
		request_refuse_failure(request, &failure, r);
		return HANDLED;
	}
	/* If it cannot be sent, closing the fd unmaps, and the report of that ends the mapping. */
	r = request_reply_fds(request, &reply, sizeof(reply), NULL, 0, &fd, 1);
	return r == -ETOOMANYREFS ? HANDLED_LATER : HANDLED;
}

enum handled op_MAP(struct request *request)
{
	const struct amounts want = { .of[QUOTA_MAPPINGS] = 1 };
	struct charge charge = { 0 };
	struct shortfall shortfall;
	const struct device *device;
	const struct hold *hold;
	enum handled handled;
	struct wire_map body;

	request_body(request, &body);
	if (body.reserved) {
		request_refuse(request, WIRE_REASON_RESERVED_NOT_ZERO, 0, body.reserved, false,
			       "MAP: a reserved field is set; send zero");
		return HANDLED;
	}
	hold = hold_find(request->client, body.buffer_id);
	device = device_find(request->broker->ledger, body.device_id);
	if (!check_map(request, &body, hold, device))
		return HANDLED;
	if (broker_charge(request->broker, request->client, &want, &charge, &shortfall) < 0) {
		request_refuse_shortfall(request, &shortfall);
		return HANDLED;
	}
	/* The backend may have reported meanwhile that the buffer is gone. */
	hold = hold_find(request->client, body.buffer_id);
	if (hold) {
		handled = map(request, &body, hold, &charge);
	} else {
		request_refuse_unknown_buffer(request, body.buffer_id);
		handled = HANDLED;
	}
	charge_release(&charge);
	return handled;
}

static struct mapping *own_mapping(struct request *request, uint64_t id)
{
	struct mapping *mapping = mapping_find(request->broker->ledger, id);

	if (mapping && (mapping->charge.account == request->client->account ||
			request->connection->grant.admin))
		return mapping;
	request_refuse(request, WIRE_REASON_UNKNOWN_MAPPING, 0, id, false,
		       "your account has no mapping %llu", (unsigned long long)id);
	return NULL;
}

/* Those of one buffer are few and newest first; the cursor is the last one that was shown. */
static void list_of_buffer(struct request *request, struct page *page, const struct buffer *buffer,
			   uint64_t cursor)
{
	const struct mapping *mapping;
	uint64_t last = 0;

	LIST_FOREACH(mapping, &buffer->mappings, buffer_link)
	{
		struct wire_mapping *entry;

		if ((cursor && mapping->seq >= cursor) ||
		    (mapping->charge.account != request->client->account &&
		     !request->connection->grant.admin))
			continue;
		entry = page_add(page);
		if (!entry) {
			page_send(page, last, 0);
			return;
		}
		*entry = mapping->info;
		last = mapping->seq;
	}
	page_send(page, 0, 0);
}

static void list_of_account(struct request *request, struct page *page, struct account *account,
			    uint64_t cursor)
{
	struct ledger *ledger = request->broker->ledger;
	struct mapping *mapping, *last = NULL;

	for (mapping = mapping_after(ledger, account, cursor); mapping;
	     mapping = mapping_after(ledger, account, mapping->seq)) {
		struct wire_mapping *entry = page_add(page);

		if (!entry) {
			page_send(page, last->seq, 0);
			return;
		}
		*entry = mapping->info;
		last = mapping;
		mapping_mark(mapping, account);
	}
	page_send(page, 0, 0);
}

enum handled op_MAPPING_LIST(struct request *request)
{
	struct buffer *buffer;
	struct wire_list list;
	struct page page;

	if (!page_begin(&page, request, sizeof(struct wire_mapping), true, &list))
		return HANDLED;
	broker_settle(request->broker);
	if (!list.of_id) {
		list_of_account(request, &page,
				list.flags & WIRE_LIST_ALL ? NULL : request->client->account,
				list.cursor);
		return HANDLED;
	}
	buffer = buffer_find(request->broker->ledger, list.of_id);
	if (buffer && buffer_visible(buffer, request->client))
		list_of_buffer(request, &page, buffer, list.cursor);
	else
		request_refuse_unknown_buffer(request, list.of_id);
	return HANDLED;
}

enum handled op_MAPPING_SEGMENTS(struct request *request)
{
	struct backend *backend = request->broker->backend;
	struct wire_segments body;
	struct page page;
	uint64_t total, next;
	int r;

	request_body(request, &body);
	if (!own_mapping(request, body.mapping_id))
		return HANDLED;
	page_init(&page, request, sizeof(struct wire_segment));
	r = backend->ops->segments(backend, body.mapping_id, body.first,
				   (struct wire_segment *)request->broker->reply, page.capacity,
				   &page.count, &total);
	if (r == -ENOENT || r == -ENODEV) {
		request_refuse(request, WIRE_REASON_DEVICE_GONE, 0, body.mapping_id, false,
			       "mapping %llu ended, with its device or its last fd",
			       (unsigned long long)body.mapping_id);
		return HANDLED;
	}
	if (r < 0) {
		request_refuse_failure(request, &(struct backend_failure){ 0 }, r);
		return HANDLED;
	}
	next = body.first + page.count;
	page_send(&page, page.count && next < total ? next : 0, total);
	return HANDLED;
}

enum handled op_MAPPING_SYNC(struct request *request)
{
	struct backend *backend = request->broker->backend;
	struct backend_failure failure = { 0 };
	struct wire_sync body;
	int r;

	request_body(request, &body);
	if (body.reserved ||
	    (body.flags != WIRE_SYNC_FOR_CPU && body.flags != WIRE_SYNC_FOR_DEVICE)) {
		request_refuse(request, WIRE_REASON_BAD_ARGUMENT, 0, body.flags, false,
			       "a sync is either for the CPU or for the device");
		return HANDLED;
	}
	if (!own_mapping(request, body.mapping_id))
		return HANDLED;
	r = backend->ops->sync(backend, &body, &failure);
	if (r < 0)
		request_refuse_failure(request, &failure, r);
	else
		request_reply(request, NULL, 0, NULL, 0);
	return HANDLED;
}
