// SPDX-License-Identifier: MIT
/* The library's calls as tests use them, and what root asks the broker about others. */
#include <stdio.h>
#include <string.h>

#include "client.h"

const char *last_refusal(void)
{
	static __thread char text[700];
	const struct dmabroker_refusal *refusal = dmabroker_get_refusal();
	const char *reason = dmabroker_reason_name(refusal->reason);

	snprintf(text, sizeof(text), "%s, reason %s: %s",
		 refusal->error ? strerrorname_np(refusal->error) : "no error",
		 reason ? reason : "unknown", refusal->text);
	return text;
}

bool check_done(int result, const char *name)
{
	if (result < 0)
		return check(false, name, "%s; the call returned %d", last_refusal(), result);
	return check(true, name, " ");
}

bool check_refused(int result, int error, uint32_t reason, const char *name)
{
	const struct dmabroker_refusal *refusal = dmabroker_get_refusal();

	if (result >= 0)
		return check(false, name, "it was done");
	return check(result == -error && refusal->error == error && refusal->reason == reason &&
			     strlen(refusal->text) > 10,
		     name, "instead of %s, reason %s: the call returned %s; %s",
		     strerrorname_np(error), dmabroker_reason_name(reason),
		     strerrorname_np(-result), last_refusal());
}

struct dmabroker *client_connect(void)
{
	struct dmabroker *broker;

	if (dmabroker_connect(NULL, &broker) < 0)
		die("connecting: %s", last_refusal());
	return broker;
}

int client_try_alloc(struct dmabroker *broker, uint64_t size_bytes, uint32_t kind,
		     uint64_t attributes, unsigned int nr_devices, struct dmabroker_buffer **ret)
{
	struct dmabroker_alloc_params params = DMABROKER_ALLOC_PARAMS_INIT;

	params.size_bytes = size_bytes;
	params.count = 1;
	params.kind = kind;
	params.attributes = attributes;
	params.devices = device_names;
	params.nr_devices = nr_devices;
	params.name = "e2e";
	return dmabroker_alloc(broker, &params, ret);
}

struct dmabroker_buffer *client_alloc(struct dmabroker *broker, uint64_t size_bytes, uint32_t kind,
				      uint64_t attributes, unsigned int nr_devices)
{
	struct dmabroker_buffer *buffer;

	if (client_try_alloc(broker, size_bytes, kind, attributes, nr_devices, &buffer) < 0)
		die("allocating %llu bytes: %s", (unsigned long long)size_bytes, last_refusal());
	return buffer;
}

void *client_mmap(struct dmabroker_buffer *buffer, uint32_t access)
{
	void *memory;

	if (dmabroker_mmap(buffer, access, &memory) < 0)
		die("mmap of a buffer: %s", last_refusal());
	return memory;
}

int client_try_map(struct dmabroker_buffer *buffer, unsigned int device, uint32_t direction,
		   struct dmabroker_mapping **ret)
{
	struct dmabroker_map_params params = DMABROKER_MAP_PARAMS_INIT;

	params.device = device_names[device];
	params.direction = direction;
	return dmabroker_map(buffer, &params, ret);
}

struct dmabroker_mapping *client_map(struct dmabroker_buffer *buffer, unsigned int device,
				     uint32_t direction)
{
	struct dmabroker_mapping *mapping;

	if (client_try_map(buffer, device, direction, &mapping) < 0)
		die("mapping a buffer to %s: %s", device_names[device], last_refusal());
	return mapping;
}

struct dmabroker_token client_share(struct dmabroker_buffer *buffer, uint32_t flags)
{
	struct dmabroker_token token;

	if (dmabroker_share(buffer, flags, &token) < 0)
		die("sharing a buffer: %s", last_refusal());
	return token;
}

struct dmabroker_buffer *client_open(struct dmabroker *broker, struct dmabroker_token token)
{
	struct dmabroker_buffer *buffer;

	if (dmabroker_open(broker, &token, &buffer) < 0)
		die("opening a shared buffer: %s", last_refusal());
	return buffer;
}

uint64_t buffer_id(const struct dmabroker_buffer *buffer)
{
	return dmabroker_buffer_get_info(buffer)->id;
}

/* The segment that holds an offset; what is left of the offset is the place in it. */
static const struct dmabroker_segment *segment_at(const struct dmabroker_mapping *mapping,
						  uint64_t *offset_bytes)
{
	const struct dmabroker_segment *segments;
	size_t count;

	segments = dmabroker_mapping_get_segments(mapping, &count);
	for (size_t i = 0; i < count; i++) {
		if (*offset_bytes < segments[i].length_bytes)
			return &segments[i];
		*offset_bytes -= segments[i].length_bytes;
	}
	die("the segments of a mapping end before its buffer");
}

uint64_t dma_address(const struct dmabroker_mapping *mapping, uint64_t offset_bytes)
{
	const struct dmabroker_segment *segment = segment_at(mapping, &offset_bytes);

	return segment->dma_address + offset_bytes;
}

size_t dma_room(const struct dmabroker_mapping *mapping, uint64_t offset_bytes, size_t size)
{
	const struct dmabroker_segment *segment = segment_at(mapping, &offset_bytes);

	return segment->length_bytes - offset_bytes < size ? segment->length_bytes - offset_bytes
							   : size;
}

static struct dmabroker_list *ledger_list(struct dmabroker *root, uint32_t type)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	struct dmabroker_list *list;

	params.type = type;
	params.flags = DMABROKER_QUERY_ALL;
	if (dmabroker_query(root, &params, &list) < 0)
		die("root's query of everything: %s", last_refusal());
	return list;
}

void ledger_account(struct dmabroker *root, uid_t uid, struct account *ret)
{
	struct dmabroker_list *list = ledger_list(root, DMABROKER_QUERY_ACCOUNTS);
	const struct dmabroker_account_info *info;

	*ret = (struct account){};
	for (size_t i = 0; (info = dmabroker_list_account(list, i)); i++) {
		if (info->uid != uid)
			continue;
		ret->bytes += info->bytes;
		ret->buffers += info->buffers;
		ret->mappings += info->mappings;
	}
	dmabroker_list_free(list);
}

unsigned int ledger_count_buffers(struct dmabroker *root, uid_t uid)
{
	struct dmabroker_list *list = ledger_list(root, DMABROKER_QUERY_BUFFERS);
	const struct dmabroker_buffer_info *info;
	unsigned int count = 0;

	for (size_t i = 0; (info = dmabroker_list_buffer(list, i)); i++)
		count += info->owner_uid == uid;
	dmabroker_list_free(list);
	return count;
}

bool ledger_has_buffer(struct dmabroker *root, uint64_t id, uid_t uid)
{
	struct dmabroker_list *list = ledger_list(root, DMABROKER_QUERY_BUFFERS);
	const struct dmabroker_buffer_info *info;
	bool found = false;

	for (size_t i = 0; (info = dmabroker_list_buffer(list, i)); i++)
		found |= info->id == id && info->owner_uid == uid;
	dmabroker_list_free(list);
	return found;
}
