/* SPDX-License-Identifier: MIT */
/*
 * Devices as the backend last described them. The daemon keeps them here so that a request names
 * a device without asking the kernel each time; the backend's events keep the copy true. There
 * are few of them, so they are a list.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/ledger.h"

struct device *device_find(struct ledger *ledger, uint32_t id)
{
	struct device *device;

	TAILQ_FOREACH(device, &ledger->device_list, ledger_link)
	if (device->info.id == id)
		return device;
	return NULL;
}

struct device *device_find_name(struct ledger *ledger, const char *name)
{
	struct device *device;

	TAILQ_FOREACH(device, &ledger->device_list, ledger_link)
	if (strcmp(device->info.name, name) == 0)
		return device;
	return NULL;
}

struct device *device_after(struct ledger *ledger, uint32_t id)
{
	struct device *device;

	TAILQ_FOREACH(device, &ledger->device_list, ledger_link)
	if (device->info.id > id)
		return device;
	return NULL;
}

int device_update(struct ledger *ledger, const struct wire_device *info, bool *ret_added)
{
	struct device *device = device_find(ledger, info->id);
	struct device *next;

	if (device) {
		device->info = *info;
		*ret_added = false;
		return 0;
	}
	device = calloc(1, sizeof(*device));
	if (!device)
		return -ENOMEM;
	device->ledger = ledger;
	device->info = *info;
	LIST_INIT(&device->mappings);
	next = device_after(ledger, info->id);
	if (next)
		TAILQ_INSERT_BEFORE(next, device, ledger_link);
	else
		TAILQ_INSERT_TAIL(&ledger->device_list, device, ledger_link);
	ledger->nr_devices++;
	*ret_added = true;
	return 0;
}

struct device *device_free(struct device *device)
{
	struct mapping *mapping;

	if (!device)
		return NULL;
	while ((mapping = LIST_FIRST(&device->mappings))) {
		LIST_REMOVE(mapping, device_link);
		mapping->device = NULL;
	}
	TAILQ_REMOVE(&device->ledger->device_list, device, ledger_link);
	device->ledger->nr_devices--;
	free(device);
	return NULL;
}
