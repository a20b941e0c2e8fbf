/* SPDX-License-Identifier: MIT */
/*
 * Lists. Entries are kept as they came, cut or zero-extended to the struct this library knows, in
 * one array that grows while pages arrive. When all are there a second array is made of the
 * structs the user sees, which point into the first; from then on neither moves.
 */
#include <string.h>

#include "client-lib/src/list.h"

/* More than any broker holds; an answer without end stops here. */
#define LIST_MAX (1u << 24)

struct dmabroker_list {
	enum dmabroker_query_type type;
	const struct entry_ops *ops;
	size_t count;
	size_t room;
	uint8_t *wire; /* count entries of ops->wire_bytes */
	uint8_t *infos; /* count entries of ops->info_bytes */
};

struct entry_ops {
	size_t wire_bytes;
	size_t info_bytes;
	void (*fill)(void *info, void *wire);
};

void text_clean(char *text, size_t bytes)
{
	text[bytes - 1] = '\0';
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}

/* An array of the wire as a string of the user's. */
#define TEXT(array) (text_clean((array), sizeof(array)), (array))

void device_info_fill(struct dmabroker_device_info *info, struct wire_device *wire)
{
	*info = (struct dmabroker_device_info){ .id = wire->id,
						.flags = wire->flags,
						.streaming_mask_bits = wire->streaming_mask_bits,
						.coherent_mask_bits = wire->coherent_mask_bits,
						.max_segment_bytes = wire->max_segment_bytes,
						.nr_mappings = wire->nr_mappings,
						.bus = TEXT(wire->bus),
						.name = TEXT(wire->name),
						.reason = TEXT(wire->reason) };
}

/* The layout is shown where it lies. */
_Static_assert(sizeof(struct dmabroker_layout) == sizeof(struct wire_layout), "layouts agree");
_Static_assert(offsetof(struct dmabroker_layout, planes) == offsetof(struct wire_layout, planes),
	       "layouts agree");
_Static_assert(DMABROKER_PLANES_MAX == WIRE_PLANES_MAX, "layouts agree");

void buffer_info_fill(struct dmabroker_buffer_info *info, struct wire_buffer *wire)
{
	if (wire->layout.nr_planes > WIRE_PLANES_MAX)
		wire->layout.nr_planes = WIRE_PLANES_MAX;
	*info = (struct dmabroker_buffer_info){
		.id = wire->id,
		.size_bytes = wire->size_bytes,
		.attributes = wire->attributes,
		.alignment_bytes = wire->alignment_bytes,
		.syncs_done = wire->syncs_done,
		.syncs_saved = wire->syncs_saved,
		.kind = wire->kind,
		.effective_kind = wire->effective_kind,
		.flags = wire->flags,
		.direction = wire->direction,
		.nr_mappings = wire->nr_mappings,
		.owner_uid = wire->owner_uid,
		.owner_pid = wire->owner_pid,
		.owned_by = wire->owned_by,
		.name = TEXT(wire->name),
		.region = TEXT(wire->region),
		.owner_unit = TEXT(wire->owner_unit),
		.layout = wire->layout.fourcc ? (const struct dmabroker_layout *)&wire->layout
					      : NULL,
	};
}

void mapping_info_fill(struct dmabroker_mapping_info *info, const struct wire_mapping *wire)
{
	*info = (struct dmabroker_mapping_info){ .id = wire->id,
						 .buffer_id = wire->buffer_id,
						 .attributes = wire->attributes,
						 .size_bytes = wire->size_bytes,
						 .device_id = wire->device_id,
						 .direction = wire->direction,
						 .flags = wire->flags,
						 .nr_segments = wire->nr_segments };
}

static void fill_status(void *info, void *from)
{
	struct wire_status_reply *wire = from;

	*(struct dmabroker_status *)info = (struct dmabroker_status){
		.backend = TEXT(wire->backend),
		.broker_version = TEXT(wire->daemon_version),
		.uptime_ms = wire->uptime_ms,
		.nr_clients = wire->nr_clients,
		.nr_buffers = wire->nr_buffers,
		.nr_mappings = wire->nr_mappings,
		.nr_devices = wire->nr_devices,
		.charged_bytes = wire->charged_bytes,
		.machine_limit_bytes = wire->machine_limit_bytes,
		.nr_requests = wire->requests,
		.nr_refusals = wire->refusals,
		.nr_dropped_peers = wire->dropped_peers,
		.nr_lost_logs = wire->lost_log_messages,
		.uid = wire->uid,
		.pid = wire->pid,
		.unit = TEXT(wire->unit),
		.own_bytes = wire->own_bytes,
		.own_bytes_limit = wire->own_bytes_limit,
		.own_buffers = wire->own_buffers,
		.own_buffers_limit = wire->own_buffers_limit,
		.own_mappings = wire->own_mappings,
		.own_mappings_limit = wire->own_mappings_limit,
	};
}

static void fill_device(void *info, void *from)
{
	device_info_fill(info, from);
}

static void fill_buffer(void *info, void *from)
{
	buffer_info_fill(info, from);
}

static void fill_mapping(void *info, void *from)
{
	mapping_info_fill(info, from);
}

static void fill_segment(void *info, void *from)
{
	const struct wire_segment *wire = from;

	*(struct dmabroker_segment *)info =
		(struct dmabroker_segment){ .dma_address = wire->dma_address,
					    .length_bytes = wire->length_bytes };
}

static void fill_client(void *info, void *from)
{
	struct wire_client *wire = from;

	*(struct dmabroker_client_info *)info =
		(struct dmabroker_client_info){ .id = wire->id,
						.nr_buffers = wire->nr_buffers,
						.nr_requests = wire->nr_requests,
						.connected_ms = wire->connected_ms,
						.uid = wire->uid,
						.pid = wire->pid,
						.name = TEXT(wire->name),
						.unit = TEXT(wire->unit) };
}

static void fill_account(void *info, void *from)
{
	struct wire_account *wire = from;

	*(struct dmabroker_account_info *)info =
		(struct dmabroker_account_info){ .uid = wire->uid,
						 .nr_clients = wire->nr_clients,
						 .bytes = wire->bytes,
						 .bytes_limit = wire->bytes_limit,
						 .buffers = wire->buffers,
						 .buffers_limit = wire->buffers_limit,
						 .mappings = wire->mappings,
						 .mappings_limit = wire->mappings_limit,
						 .unit = TEXT(wire->unit) };
}

static void fill_doctor(void *info, void *from)
{
	struct wire_doctor_line *wire = from;

	*(struct dmabroker_doctor_line *)info =
		(struct dmabroker_doctor_line){ .level = wire->level, .text = TEXT(wire->text) };
}

#define ENTRY(wire, info, how)                                \
	{                                                     \
		sizeof(struct wire), sizeof(struct info), how \
	}

static const struct entry_ops entry_table[] = {
	[DMABROKER_QUERY_STATUS] = ENTRY(wire_status_reply, dmabroker_status, fill_status),
	[DMABROKER_QUERY_DEVICES] = ENTRY(wire_device, dmabroker_device_info, fill_device),
	[DMABROKER_QUERY_BUFFERS] = ENTRY(wire_buffer, dmabroker_buffer_info, fill_buffer),
	[DMABROKER_QUERY_MAPPINGS] = ENTRY(wire_mapping, dmabroker_mapping_info, fill_mapping),
	[DMABROKER_QUERY_SEGMENTS] = ENTRY(wire_segment, dmabroker_segment, fill_segment),
	[DMABROKER_QUERY_CLIENTS] = ENTRY(wire_client, dmabroker_client_info, fill_client),
	[DMABROKER_QUERY_ACCOUNTS] = ENTRY(wire_account, dmabroker_account_info, fill_account),
	[DMABROKER_QUERY_DOCTOR] = ENTRY(wire_doctor_line, dmabroker_doctor_line, fill_doctor),
};

int list_new(enum dmabroker_query_type type, struct dmabroker_list **ret)
{
	struct dmabroker_list *list = calloc(1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	list->type = type;
	list->ops = &entry_table[type];
	*ret = list;
	return 0;
}

/* Room for @nr more; returns where they go, zeroed. */
static uint8_t *list_grow(struct dmabroker_list *list, size_t nr)
{
	size_t bytes = list->ops->wire_bytes;
	uint8_t *at;

	if (list->count + nr > list->room) {
		size_t room = 2 * list->room > list->count + nr ? 2 * list->room : list->count + nr;
		uint8_t *wire = reallocarray(list->wire, room, bytes);

		if (!wire)
			return NULL;
		list->wire = wire;
		list->room = room;
	}
	at = list->wire + list->count * bytes;
	memset(at, 0, nr * bytes);
	list->count += nr;
	return at;
}

int list_append(struct dmabroker_list *list, const struct packet *packet,
		struct wire_list_reply *ret_reply)
{
	const uint8_t *from = packet->bytes + sizeof(struct wire_header) +
			      sizeof(struct wire_list_reply);
	struct wire_list_reply reply;
	size_t known;
	uint8_t *to;

	wire_body_copy(&reply, sizeof(reply), packet->bytes, packet->size_bytes);
	*ret_reply = reply;
	if (reply.count == 0)
		return 0;
	if (list->count + reply.count > LIST_MAX)
		return -EPROTO;
	to = list_grow(list, reply.count);
	if (!to)
		return -ENOMEM;
	known = reply.entry_bytes < list->ops->wire_bytes ? reply.entry_bytes
							  : list->ops->wire_bytes;
	for (uint32_t i = 0; i < reply.count; i++) {
		memcpy(to, from, known);
		from += reply.entry_bytes;
		to += list->ops->wire_bytes;
	}
	return 0;
}

int list_append_one(struct dmabroker_list *list, const struct packet *packet)
{
	uint8_t *to = list_grow(list, 1);

	if (!to)
		return -ENOMEM;
	wire_body_copy(to, list->ops->wire_bytes, packet->bytes, packet->size_bytes);
	return 0;
}

int list_finish(struct dmabroker_list *list)
{
	if (list->count == 0)
		return 0;
	list->infos = calloc(list->count, list->ops->info_bytes);
	if (!list->infos)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++)
		list->ops->fill(list->infos + i * list->ops->info_bytes,
				list->wire + i * list->ops->wire_bytes);
	return 0;
}

struct dmabroker_list *dmabroker_list_free(struct dmabroker_list *list)
{
	if (!list)
		return NULL;
	free(list->wire);
	free(list->infos);
	free(list);
	return NULL;
}

size_t dmabroker_list_count(const struct dmabroker_list *list)
{
	return list->count;
}

static const void *entry(const struct dmabroker_list *list, enum dmabroker_query_type type,
			 size_t index)
{
	if (list->type != type || index >= list->count)
		return NULL;
	return list->infos + index * list->ops->info_bytes;
}

#define GETTER(TYPE, name, info)                                                                  \
	const struct info *dmabroker_list_##name(const struct dmabroker_list *list, size_t index) \
	{                                                                                         \
		return entry(list, DMABROKER_QUERY_##TYPE, index);                                \
	}

GETTER(STATUS, status, dmabroker_status)
GETTER(DEVICES, device, dmabroker_device_info)
GETTER(BUFFERS, buffer, dmabroker_buffer_info)
GETTER(MAPPINGS, mapping, dmabroker_mapping_info)
GETTER(SEGMENTS, segment, dmabroker_segment)
GETTER(CLIENTS, client, dmabroker_client_info)
GETTER(ACCOUNTS, account, dmabroker_account_info)
GETTER(DOCTOR, doctor, dmabroker_doctor_line)
