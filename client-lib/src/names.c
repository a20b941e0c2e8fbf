/* SPDX-License-Identifier: MIT */
/*
 * Devices by name. The wire speaks of devices by id, people and programs by name; a request that
 * names devices first asks for the ids it does not know. Ids are never used again, so a name once
 * resolved stays right until the device goes: any device event empties the cache, and a request
 * that was refused for an id from the cache asks afresh once (request_reply()).
 *
 * Asking for all at once would save time only for a first request with many devices.
 */
#include <stdio.h>
#include <string.h>

#include "client-lib/src/request.h"

static bool cache_find(const struct device_cache *cache, const char *name, uint32_t *ret_id)
{
	for (unsigned int i = 0; i < cache->nr; i++) {
		if (strcmp(cache->entries[i].name, name) == 0) {
			*ret_id = cache->entries[i].id;
			return true;
		}
	}
	return false;
}

static void cache_add(struct device_cache *cache, const char *name, uint32_t id)
{
	unsigned int at;

	if (cache->nr < DEVICE_CACHE_SIZE) {
		at = cache->nr++;
	} else {
		at = cache->next;
		cache->next = (cache->next + 1) % DEVICE_CACHE_SIZE;
	}
	snprintf(cache->entries[at].name, sizeof(cache->entries[at].name), "%s", name);
	cache->entries[at].id = id;
}

void device_cache_clear(struct device_cache *cache)
{
	cache->nr = 0;
	cache->next = 0;
}

int request_set_devices(struct dmabroker_request *request, const char *const *names,
			unsigned int nr)
{
	struct device_names *devices;

	if (nr == 0)
		return 0;
	if (nr > WIRE_DEVICES_MAX)
		return fail_with(-EINVAL, DMABROKER_REASON_COUNT, WIRE_DEVICES_MAX, nr,
				 "A request can name at most 16 devices.");
	devices = calloc(1, sizeof(*devices) + nr * sizeof(devices->names[0]));
	if (!devices)
		return fail(-ENOMEM, NULL);
	for (unsigned int i = 0; i < nr; i++) {
		if (!names || !names[i] || !names[i][0]) {
			free(devices);
			return fail_with(-EINVAL, DMABROKER_REASON_BAD_ARGUMENT, 0, i,
					 "A device has no name; dmabrokerctl devices lists them.");
		}
		if (strlen(names[i]) >= sizeof(devices->names[i])) {
			free(devices);
			return fail_with(-ENODEV, DMABROKER_REASON_UNKNOWN_DEVICE,
					 sizeof(devices->names[i]) - 1, strlen(names[i]),
					 "No device has so long a name; dmabrokerctl devices lists "
					 "them.");
		}
		snprintf(devices->names[i], sizeof(devices->names[i]), "%s", names[i]);
	}
	devices->nr = nr;
	request->devices = devices;
	return 0;
}

int devices_resolve(struct dmabroker_request *request)
{
	struct device_names *devices = request->devices;
	struct wire_device_find find = { 0 };
	int r;

	while (devices->nr_known < devices->nr &&
	       cache_find(&request->broker->devices, devices->names[devices->nr_known],
			  &devices->ids[devices->nr_known])) {
		devices->nr_known++;
		devices->from_cache = true;
	}
	if (devices->nr_known == devices->nr)
		return 0;
	snprintf(find.name, sizeof(find.name), "%s", devices->names[devices->nr_known]);
	r = request_call(request, WIRE_OP_DEVICE_FIND, &find, sizeof(find), -1);
	return r < 0 ? r : REQUEST_GOES_ON;
}

int devices_reply(struct dmabroker_request *request, const struct packet *packet)
{
	struct device_names *devices = request->devices;
	struct wire_device device;

	wire_body_copy(&device, sizeof(device), packet->bytes, packet->size_bytes);
	cache_add(&request->broker->devices, devices->names[devices->nr_known], device.id);
	devices->ids[devices->nr_known++] = device.id;
	return 0;
}
