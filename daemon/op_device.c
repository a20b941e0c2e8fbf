/* SPDX-License-Identifier: MIT */
/*
 * Devices: list, find by name, and the one place that says why a device is not for this client.
 * The simulated DMA engine is here too, because using it is using a device.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/op_list.h"

static const char *policy_sentence(enum wire_reason reason)
{
	switch (reason) {
	case WIRE_REASON_DEVICE_NOT_ALLOWED:
		return "no section of the configuration gives it to this user, group or unit";
	case WIRE_REASON_DEVICE_UNPROTECTED:
		return "no IOMMU confines it; the administrator can accept the risk "
		       "(allow-unprotected-devices)";
	default:
		return "this account may not use devices";
	}
}

bool request_may_use_device(struct request *request, const struct device *device)
{
	const struct wire_device *info = &device->info;
	enum wire_reason reason = policy_device(&request->connection->grant, info);

	if (reason == WIRE_REASON_DEVICE_NOT_ALLOWED) {
		request_refuse(
			request, reason, 0, info->id, false,
			"device %s is not given to you; the administrator can add \"devices = "
			"%s\" to a [user], [group] or [unit] section of dmabroker.conf",
			info->name, info->name);
		return false;
	}
	if (reason == WIRE_REASON_DEVICE_UNPROTECTED) {
		request_refuse(
			request, reason, 0, info->id, false,
			"device %s can reach all memory of this machine, because %s; turn the "
			"IOMMU on, or let the administrator accept that with "
			"\"allow-unprotected-devices = yes\" in [policy]",
			info->name,
			info->flags & WIRE_DEVICE_SHARED
				? "its IOMMU group holds a device that is not the broker's"
				: "no IOMMU translates its accesses");
		return false;
	}
	if (reason != WIRE_REASON_NONE) {
		request_refuse(request, reason, 0, info->id, false, "device %s: %s", info->name,
			       policy_sentence(reason));
		return false;
	}
	if (!(info->flags & WIRE_DEVICE_USABLE)) {
		request_refuse(request, WIRE_REASON_DEVICE_UNUSABLE, 0, info->id, true,
			       "device %s cannot be used: %s", info->name,
			       info->reason[0] ? info->reason : "the backend does not say why");
		return false;
	}
	return true;
}

static void describe(struct request *request, const struct device *device, struct wire_device *ret)
{
	enum wire_reason reason = policy_device(&request->connection->grant, &device->info);
	const struct mapping *mapping;

	*ret = device->info;
	LIST_FOREACH(mapping, &device->mappings, device_link)
	ret->nr_mappings++;
	if (reason == WIRE_REASON_NONE)
		ret->flags |= WIRE_DEVICE_ALLOWED;
	else if (!ret->reason[0])
		snprintf(ret->reason, sizeof(ret->reason), "%s", policy_sentence(reason));
}

enum handled op_DEVICE_LIST(struct request *request)
{
	struct device *device;
	struct wire_list list;
	struct page page;
	uint32_t last = 0;

	if (!page_begin(&page, request, sizeof(struct wire_device), false, &list))
		return HANDLED;
	broker_settle(request->broker);
	TAILQ_FOREACH(device, &request->broker->ledger->device_list, ledger_link)
	{
		struct wire_device *entry;

		if (device->info.id <= list.cursor)
			continue;
		entry = page_add(&page);
		if (!entry) {
			page_send(&page, last, request->broker->ledger->nr_devices);
			return HANDLED;
		}
		describe(request, device, entry);
		last = device->info.id;
	}
	page_send(&page, 0, request->broker->ledger->nr_devices);
	return HANDLED;
}

enum handled op_DEVICE_FIND(struct request *request)
{
	struct wire_device_find body;
	struct wire_device reply;
	struct device *device;

	request_body(request, &body);
	if (!wire_text_ok(body.name, sizeof(body.name))) {
		request_refuse(request, WIRE_REASON_BAD_ARGUMENT, sizeof(body.name) - 1, 0, false,
			       "a device's name is at most %zu printable ASCII characters",
			       sizeof(body.name) - 1);
		return HANDLED;
	}
	broker_settle(request->broker);
	device = device_find_name(request->broker->ledger, body.name);
	if (!device) {
		request_refuse(request, WIRE_REASON_UNKNOWN_DEVICE, 0, 0, true,
			       "there is no device \"%s\"; list the devices, or bind it to the "
			       "helper's driver (dmabrokerctl device bind)",
			       body.name);
		return HANDLED;
	}
	describe(request, device, &reply);
	request_reply(request, &reply, sizeof(reply), NULL, 0);
	return HANDLED;
}

/*
 * The simulated engine takes DMA addresses, like a real one that a client programs through its
 * registers. So it serves the account whose mappings the device has, and nobody else.
 */
static bool of_other_account(struct request *request, const struct device *device)
{
	const struct mapping *mapping;

	LIST_FOREACH(mapping, &device->mappings, device_link)
	if (mapping->charge.account != request->client->account)
		return !request->connection->grant.admin;
	return false;
}

enum handled op_SIM_DMA(struct request *request)
{
	struct backend *backend = request->broker->backend;
	struct backend_failure failure = { 0 };
	struct wire_sim_dma body;
	const struct device *device;
	int r;

	request_body(request, &body);
	if (!backend->ops->sim_dma) {
		request_refuse(request, WIRE_REASON_BACKEND_CANNOT, 0, 0, false,
			       "devices of the %s backend are real: program the device itself",
			       backend->ops->name);
		return HANDLED;
	}
	if (body.reserved) {
		request_refuse(request, WIRE_REASON_RESERVED_NOT_ZERO, 0, body.reserved, false,
			       "SIM_DMA: a reserved field is set; send zero");
		return HANDLED;
	}
	device = device_find(request->broker->ledger, body.device_id);
	if (!device) {
		request_refuse(request, WIRE_REASON_UNKNOWN_DEVICE, 0, body.device_id, false,
			       "there is no device %u; list the devices", body.device_id);
		return HANDLED;
	}
	if (!request_may_use_device(request, device))
		return HANDLED;
	if (of_other_account(request, device)) {
		request_refuse(request, WIRE_REASON_DEVICE_OF_OTHER_ACCOUNT, 0, body.device_id,
			       true,
			       "device %s is mapped to by another account; wait until it is free",
			       device->info.name);
		return HANDLED;
	}
	r = backend->ops->sim_dma(backend, &body, &failure);
	if (r < 0)
		request_refuse_failure(request, &failure, r);
	else
		request_reply(request, NULL, 0, NULL, 0);
	return HANDLED;
}
