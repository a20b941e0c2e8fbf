/* SPDX-License-Identifier: MIT */
/*
 * The lists that the bus shows. Root sees everything; anybody else sees all devices, and of buffers
 * and clients those charged to the asker's uid. DMA addresses are never shown here: an address is
 * for who may use the device, and the bus cannot tell that from a uid alone.
 *
 * A page has a bounded number of entries, so that no call keeps the clients waiting. Its cursor is
 * the position of its last entry, 0 when there is no more.
 */
#include <errno.h>
#include <string.h>

#include "daemon/bus_internal.h"

#define PAGE_ENTRIES 64

#define ROOT 0

struct seq_page {
	struct buffer *buffers[PAGE_ENTRIES];
	unsigned int nr;
	bool more;
};

/* Names come from peers: what is not printable ASCII would make the message invalid. */
static const char *text_clean(const char *text, char *ret, size_t ret_bytes)
{
	size_t i;

	for (i = 0; i + 1 < ret_bytes && text[i]; i++)
		ret[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	ret[i] = '\0';
	return ret;
}

static int append_text(sd_bus_message *reply, const char *key, const char *text)
{
	char clean[WIRE_UNIT_SIZE];

	return sd_bus_message_append(reply, "{sv}", key, "s",
				     text_clean(text, clean, sizeof(clean)));
}

static int append_number(sd_bus_message *reply, const char *key, uint64_t number)
{
	return sd_bus_message_append(reply, "{sv}", key, "t", number);
}

static int append_small(sd_bus_message *reply, const char *key, uint32_t number)
{
	return sd_bus_message_append(reply, "{sv}", key, "u", number);
}

static int append_flag(sd_bus_message *reply, const char *key, bool flag)
{
	return sd_bus_message_append(reply, "{sv}", key, "b", (int)flag);
}

/* sd-bus refuses everything after a failure only if it is told; the first failure counts. */
#define APPEND(r, call)               \
	do {                          \
		if ((r) >= 0)         \
			(r) = (call); \
	} while (0)

static int append_device(sd_bus_message *reply, const struct wire_device *device)
{
	int r;

	r = sd_bus_message_open_container(reply, 'a', "{sv}");
	APPEND(r, append_text(reply, "name", device->name));
	APPEND(r, append_text(reply, "bus", device->bus));
	APPEND(r, append_flag(reply, "coherent", device->flags & WIRE_DEVICE_COHERENT));
	APPEND(r, append_flag(reply, "iommu", device->flags & WIRE_DEVICE_IOMMU));
	APPEND(r, append_small(reply, "streaming_mask_bits", device->streaming_mask_bits));
	APPEND(r, append_small(reply, "coherent_mask_bits", device->coherent_mask_bits));
	APPEND(r, append_number(reply, "max_segment_bytes", device->max_segment_bytes));
	APPEND(r, append_flag(reply, "usable", device->flags & WIRE_DEVICE_USABLE));
	APPEND(r, append_text(reply, "reason", device->reason));
	APPEND(r, sd_bus_message_close_container(reply));
	return r;
}

int list_devices(struct bus *bus, sd_bus_message *reply)
{
	struct device *device;
	int r;

	broker_settle(bus->broker);
	r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	TAILQ_FOREACH(device, &bus->broker->ledger->device_list, ledger_link)
	APPEND(r, append_device(reply, &device->info));
	APPEND(r, sd_bus_message_close_container(reply));
	return r;
}

static int append_attributes(sd_bus_message *reply, uint64_t attributes)
{
	uint64_t left, bit;
	int r;

	r = sd_bus_message_open_container(reply, 'e', "sv");
	APPEND(r, sd_bus_message_append(reply, "s", "attributes"));
	APPEND(r, sd_bus_message_open_container(reply, 'v', "as"));
	APPEND(r, sd_bus_message_open_container(reply, 'a', "s"));
	for (left = attributes; left; left &= left - 1) {
		bit = left & -left;
		APPEND(r, sd_bus_message_append(reply, "s", wire_attribute_name(bit) ?: "unknown"));
	}
	APPEND(r, sd_bus_message_close_container(reply));
	APPEND(r, sd_bus_message_close_container(reply));
	APPEND(r, sd_bus_message_close_container(reply));
	return r;
}

static int append_mapping(sd_bus_message *reply, const struct mapping *mapping)
{
	bool skips = mapping->info.flags & WIRE_MAPPING_SKIP_CPU_SYNC;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "{sv}");
	APPEND(r, append_text(reply, "device", mapping->device ? mapping->device->info.name : ""));
	APPEND(r, append_text(reply, "direction",
			      wire_direction_name(mapping->info.direction) ?: "unknown"));
	APPEND(r, append_flag(reply, "skip_cpu_sync", skips));
	APPEND(r, sd_bus_message_close_container(reply));
	return r;
}

static int append_mappings(sd_bus_message *reply, struct buffer *buffer)
{
	unsigned int nr = 0;
	struct mapping *mapping;
	int r;

	r = sd_bus_message_open_container(reply, 'e', "sv");
	APPEND(r, sd_bus_message_append(reply, "s", "mappings"));
	APPEND(r, sd_bus_message_open_container(reply, 'v', "aa{sv}"));
	APPEND(r, sd_bus_message_open_container(reply, 'a', "a{sv}"));
	LIST_FOREACH(mapping, &buffer->mappings, buffer_link)
	{
		if (nr++ >= PAGE_ENTRIES)
			break;
		APPEND(r, append_mapping(reply, mapping));
	}
	APPEND(r, sd_bus_message_close_container(reply));
	APPEND(r, sd_bus_message_close_container(reply));
	APPEND(r, sd_bus_message_close_container(reply));
	return r;
}

static const char *owned_by_name(struct backend *backend, uint64_t id)
{
	enum wire_owned_by owned_by;

	if (backend->ops->owned_by(backend, id, &owned_by) < 0)
		return "unknown";
	switch (owned_by) {
	case WIRE_OWNED_BY_BOTH:
		return "both";
	case WIRE_OWNED_BY_CPU:
		return "cpu";
	case WIRE_OWNED_BY_DEVICE:
		return "device";
	}
	return "unknown";
}

static int append_buffer(struct backend *backend, sd_bus_message *reply, struct buffer *buffer)
{
	struct backend_buffer lives;
	int r;

	r = backend->ops->buffer_get(backend, buffer->id, &lives);
	if (r == -ENOENT)
		return 0; /* went away between settling and here */
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(reply, 'a', "{sv}");
	APPEND(r, append_number(reply, "id", buffer->id));
	APPEND(r, append_text(reply, "name", buffer->name));
	APPEND(r, append_text(reply, "kind", wire_kind_name(lives.kind) ?: "unknown"));
	APPEND(r, append_text(reply, "effective_kind",
			      wire_kind_name(lives.effective_kind) ?: "unknown"));
	APPEND(r, append_attributes(reply, lives.attributes));
	APPEND(r, append_number(reply, "size_bytes", buffer->size_bytes));
	APPEND(r, append_flag(reply, "contiguous", lives.contiguous));
	APPEND(r, append_text(reply, "region", lives.region));
	APPEND(r, append_text(reply, "direction",
			      wire_direction_name(buffer->direction) ?: "unknown"));
	APPEND(r, append_small(reply, "owner_uid", buffer->uid));
	APPEND(r, append_text(reply, "owner_unit", buffer->charge.account->unit));
	APPEND(r, append_small(reply, "owner_pid", buffer->pid));
	APPEND(r, append_text(reply, "owned_by", owned_by_name(backend, buffer->id)));
	APPEND(r, append_number(reply, "syncs_done", lives.syncs_done));
	APPEND(r, append_number(reply, "syncs_saved", lives.syncs_saved));
	APPEND(r, append_mappings(reply, buffer));
	APPEND(r, sd_bus_message_close_container(reply));
	return r;
}

/* Keep the page the lowest of all that were added, by seq. Returns whether it was of use. */
static bool seq_page_add(struct seq_page *page, struct buffer *buffer)
{
	unsigned int at;

	if (page->nr == PAGE_ENTRIES) {
		page->more = true;
		if (buffer->seq > page->buffers[page->nr - 1]->seq)
			return false;
		page->nr--;
	}
	for (at = page->nr; at > 0 && page->buffers[at - 1]->seq > buffer->seq; at--)
		page->buffers[at] = page->buffers[at - 1];
	page->buffers[at] = buffer;
	page->nr++;
	return true;
}

/* A user may have several accounts, one for each unit. */
static void seq_page_of_account(struct seq_page *page, struct account *account, uint64_t cursor)
{
	struct buffer *buffer = buffer_after(account->ledger, account, cursor);

	while (buffer && seq_page_add(page, buffer))
		buffer = TAILQ_NEXT(buffer, account_link);
}

static void seq_page_fill(struct seq_page *page, struct ledger *ledger, uint32_t uid,
			  uint64_t cursor)
{
	struct account *account, *next;
	struct buffer *buffer;

	if (uid == ROOT) {
		buffer = buffer_after(ledger, NULL, cursor);
		while (buffer && seq_page_add(page, buffer))
			buffer = TAILQ_NEXT(buffer, ledger_link);
		if (page->more)
			buffer_mark(page->buffers[page->nr - 1], false);
		return;
	}
	HASH_ITER(hh, ledger->accounts, account, next)
		if (account->uid == uid)
			seq_page_of_account(page, account, cursor);
}

int list_buffers(struct bus *bus, uint32_t uid, uint64_t cursor, sd_bus_message *reply)
{
	struct broker *broker = bus->broker;
	struct seq_page page = { 0 };
	unsigned int i;
	int r;

	broker_settle(broker);
	seq_page_fill(&page, broker->ledger, uid, cursor);
	r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	for (i = 0; i < page.nr; i++)
		APPEND(r, append_buffer(broker->backend, reply, page.buffers[i]));
	APPEND(r, sd_bus_message_close_container(reply));
	APPEND(r,
	       sd_bus_message_append(reply, "t", page.more ? page.buffers[page.nr - 1]->seq : 0));
	return r;
}

static int append_client(sd_bus_message *reply, const struct client *client, uint64_t now_mono_ms)
{
	int r;

	r = sd_bus_message_open_container(reply, 'a', "{sv}");
	APPEND(r, append_number(reply, "id", client->id));
	APPEND(r, append_text(reply, "name", client->name));
	APPEND(r, append_small(reply, "uid", client->uid));
	APPEND(r, append_small(reply, "pid", client->pid));
	APPEND(r, append_text(reply, "unit", client->account->unit));
	APPEND(r, append_number(reply, "nr_buffers", HASH_COUNT(client->holds)));
	APPEND(r, append_number(reply, "nr_requests", client->nr_requests));
	APPEND(r, append_number(reply, "connected_ms", now_mono_ms - client->connected_mono_ms));
	APPEND(r, sd_bus_message_close_container(reply));
	return r;
}

int list_clients(struct bus *bus, uint32_t uid, uint64_t cursor, sd_bus_message *reply)
{
	struct ledger *ledger = bus->broker->ledger;
	uint64_t now_mono_ms = broker_now_mono_ms();
	uint64_t next_cursor = 0, last_id = 0;
	struct client *client;
	unsigned int nr = 0;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	TAILQ_FOREACH(client, &ledger->client_list, ledger_link)
	{
		if (client->id <= cursor || (uid != ROOT && client->account->uid != uid))
			continue;
		if (nr++ == PAGE_ENTRIES) {
			next_cursor = last_id;
			break;
		}
		last_id = client->id;
		APPEND(r, append_client(reply, client, now_mono_ms));
	}
	APPEND(r, sd_bus_message_close_container(reply));
	APPEND(r, sd_bus_message_append(reply, "t", next_cursor));
	return r;
}
