/* SPDX-License-Identifier: MIT */
/*
 * Mappings. dmabroker_map() is one operation for the user and several messages here: the device's
 * id unless it is known, MAP, and the segments, which do not fit one message. On real hardware
 * segments and syncs are asked of the mapping's fd, without the broker; otherwise of the broker.
 *
 * A mapping ends with the last close of its fd, so giving one back needs no message and a map that
 * fails half-way leaves nothing.
 */
#include <linux/dmabroker-mapping.h>
#include <string.h>
#include <sys/ioctl.h>

#include "client-lib/src/buffer.h"
#include "client-lib/src/list.h"
#include "client-lib/src/mapping.h"
#include "client-lib/src/request.h"

struct dmabroker_mapping {
	struct dmabroker *broker; /* a reference once the user has the mapping */
	int fd;
	struct dmabroker_mapping_info info;
	struct dmabroker_segment *segments;
	size_t nr_segments;
};

/* Segments in one ioctl: enough for most, little enough for the stack. */
#define SEGMENTS_AT_ONCE 256

/* As many as a mapping of any size this library could mmap might have; a broker that claims more
 * does not fill our memory. */
#define SEGMENTS_MAX (1u << 24)

struct map_request {
	struct dmabroker_request request;
	struct wire_map map;
	struct dmabroker_mapping *mapping; /* NULL before, and once taken */
};

static struct dmabroker_mapping *mapping_release(struct dmabroker_mapping *mapping)
{
	if (!mapping)
		return NULL;
	fd_close(mapping->fd);
	free(mapping->segments);
	free(mapping);
	return NULL;
}

static int segments_add(struct dmabroker_mapping *mapping, const void *from, size_t nr,
			size_t entry_bytes)
{
	size_t known = entry_bytes < sizeof(struct wire_segment) ? entry_bytes
								 : sizeof(struct wire_segment);
	struct dmabroker_segment *segments;

	if (mapping->nr_segments + nr > SEGMENTS_MAX)
		return -EPROTO;
	segments = reallocarray(mapping->segments, mapping->nr_segments + nr, sizeof(*segments));
	if (!segments)
		return -ENOMEM;
	mapping->segments = segments;
	for (size_t i = 0; i < nr; i++) {
		struct wire_segment segment = { 0 };

		memcpy(&segment, (const uint8_t *)from + i * entry_bytes, known);
		segments[mapping->nr_segments++] =
			(struct dmabroker_segment){ .dma_address = segment.dma_address,
						    .length_bytes = segment.length_bytes };
	}
	return 0;
}

_Static_assert(sizeof(struct dmabroker_mapping_segment) == sizeof(struct wire_segment) &&
		       offsetof(struct dmabroker_mapping_segment, length_bytes) ==
			       offsetof(struct wire_segment, length_bytes),
	       "the module and the wire say segments alike");

static int segments_from_fd(struct dmabroker_mapping *mapping)
{
	struct dmabroker_mapping_segment entries[SEGMENTS_AT_ONCE];
	struct dmabroker_mapping_segments page;
	int r;

	do {
		page = (struct dmabroker_mapping_segments){
			.size = sizeof(page),
			.entries = (uintptr_t)entries,
			.first = (uint32_t)mapping->nr_segments,
			.capacity = SEGMENTS_AT_ONCE,
		};
		if (ioctl(mapping->fd, DMABROKER_MAPPING_IOC_SEGMENTS, &page) < 0)
			return -errno;
		if (page.count > SEGMENTS_AT_ONCE)
			return -EPROTO;
		r = segments_add(mapping, entries, page.count, sizeof(entries[0]));
		if (r < 0)
			return r;
	} while (page.count > 0 && mapping->nr_segments < page.total);
	return mapping->nr_segments == page.total ? 0 : -EPROTO;
}

static int segments_ask(struct map_request *map)
{
	const struct wire_segments segments = { .mapping_id = map->mapping->info.id,
						.first = map->mapping->nr_segments };

	return request_call(&map->request, WIRE_OP_MAPPING_SEGMENTS, &segments, sizeof(segments),
			    -1);
}

static int segments_reply(struct map_request *map, const struct packet *packet)
{
	const uint8_t *entries = packet->bytes + sizeof(struct wire_header) +
				 sizeof(struct wire_list_reply);
	struct wire_list_reply reply;
	int r;

	wire_body_copy(&reply, sizeof(reply), packet->bytes, packet->size_bytes);
	r = segments_add(map->mapping, entries, reply.count, reply.entry_bytes);
	if (r < 0)
		return r;
	if (map->mapping->nr_segments >= reply.total)
		return map->mapping->nr_segments == reply.total ? 0 : -EPROTO;
	if (reply.count == 0)
		return -EPROTO;
	r = segments_ask(map);
	return r < 0 ? r : REQUEST_GOES_ON;
}

static int map_send(struct dmabroker_request *request)
{
	struct map_request *map = (struct map_request *)request;

	map->map.device_id = request->devices->ids[0];
	return request_call(request, WIRE_OP_MAP, &map->map, sizeof(map->map), -1);
}

static int map_reply(struct dmabroker_request *request, uint16_t op, struct packet *packet)
{
	struct map_request *map = (struct map_request *)request;
	struct dmabroker_mapping *mapping;
	struct wire_map_reply reply;
	int r;

	if (op == WIRE_OP_MAPPING_SEGMENTS)
		return segments_reply(map, packet);

	mapping = calloc(1, sizeof(*mapping));
	if (!mapping)
		return -ENOMEM;
	wire_body_copy(&reply, sizeof(reply), packet->bytes, packet->size_bytes);
	mapping->broker = request->broker;
	mapping->fd = packet_take_fd(packet, 0);
	mapping_info_fill(&mapping->info, &reply.mapping);
	map->mapping = mapping;

	if (mapping->info.flags & DMABROKER_MAPPING_SYNC_BY_FD)
		return segments_from_fd(mapping);
	r = segments_ask(map);
	return r < 0 ? r : REQUEST_GOES_ON;
}

static void map_fini(struct dmabroker_request *request)
{
	mapping_release(((struct map_request *)request)->mapping);
}

static const struct request_ops map_ops = { .send = map_send,
					    .reply = map_reply,
					    .fini = map_fini };

static int map_new(struct dmabroker_buffer *buffer, const struct dmabroker_map_params *user_params,
		   const struct dmabroker_async *async, struct dmabroker_request **ret)
{
	_cleanup_request_ struct dmabroker_request *request = NULL;
	struct dmabroker_map_params params;
	int r;

	r = params_copy(&params, sizeof(params), sizeof(params), user_params);
	if (r < 0)
		return r;
	r = request_new(buffer->broker, &map_ops, sizeof(struct map_request), async, &request);
	if (r < 0)
		return r;
	r = request_set_devices(request, &params.device, 1);
	if (r < 0)
		return r;
	((struct map_request *)request)->map = (struct wire_map){ .buffer_id = buffer->wire.id,
								  .attributes = params.attributes,
								  .direction = params.direction,
								  .mask_bits = params.mask_bits };
	buffer->outlives = true;
	*ret = TAKE_PTR(request);
	return 0;
}

int dmabroker_map_start(struct dmabroker_buffer *buffer, const struct dmabroker_map_params *params,
			const struct dmabroker_async *async, struct dmabroker_request **ret_request)
{
	struct dmabroker_request *request;
	int r;

	r = map_new(buffer, params, async, &request);
	return r < 0 ? r : request_start(request, ret_request);
}

int dmabroker_request_take_mapping(struct dmabroker_request *request,
				   struct dmabroker_mapping **ret_mapping)
{
	struct dmabroker_mapping *mapping;
	int r;

	r = request_taking(request, &map_ops);
	if (r == 0)
		r = broker_enter(request->broker);
	if (r < 0)
		return r;
	mapping = TAKE_PTR(((struct map_request *)request)->mapping);
	broker_leave(request->broker);
	if (!mapping)
		return fail(-ENODATA, NULL);
	dmabroker_ref(mapping->broker);
	*ret_mapping = mapping;
	return 0;
}

int dmabroker_map(struct dmabroker_buffer *buffer, const struct dmabroker_map_params *params,
		  struct dmabroker_mapping **ret_mapping)
{
	_cleanup_request_ struct dmabroker_request *request = NULL;
	int r;

	r = map_new(buffer, params, NULL, &request);
	if (r == 0)
		r = request_run(request);
	return r < 0 ? r : dmabroker_request_take_mapping(request, ret_mapping);
}

struct dmabroker_mapping *dmabroker_unmap(struct dmabroker_mapping *mapping)
{
	struct dmabroker *broker;

	if (!mapping)
		return NULL;
	broker = mapping->broker;
	mapping_release(mapping);
	dmabroker_unref(broker);
	return NULL;
}

const struct dmabroker_mapping_info *
dmabroker_mapping_get_info(const struct dmabroker_mapping *mapping)
{
	return &mapping->info;
}

int dmabroker_mapping_get_fd(const struct dmabroker_mapping *mapping)
{
	return mapping->fd;
}

const struct dmabroker_segment *
dmabroker_mapping_get_segments(const struct dmabroker_mapping *mapping, size_t *ret_count)
{
	*ret_count = mapping->nr_segments;
	return mapping->segments;
}

struct dmabroker *mapping_get_broker(const struct dmabroker_mapping *mapping)
{
	return mapping->broker;
}
