/* SPDX-License-Identifier: MIT */
/*
 * The one object on the bus, /org/dmabroker1: what can be asked. Buffers and clients are entries of
 * lists, not objects of their own, because each object would cost more memory than the daemon spends
 * on the buffer itself.
 *
 * Every method is a list, paged by a cursor where a list can be long, of dictionaries: a reader
 * takes the keys it knows, so that keys can be added. Names of keys are those of `dmabrokerctl
 * --json`. systemd/org.dmabroker1.Manager.xml is made from this table, and a test compares them; so
 * is who may call what in systemd/org.dmabroker1.conf, which has to name each method.
 */
#include <string.h>

#include <config.h>
#include "daemon/bus_internal.h"
#include "proto/cleanup.h"

static int get_version(sd_bus *connection, const char *path, const char *interface,
		       const char *property, sd_bus_message *reply, void *userdata,
		       sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", DMABROKER_VERSION);
}

static int get_backend(sd_bus *connection, const char *path, const char *interface,
		       const char *property, sd_bus_message *reply, void *userdata,
		       sd_bus_error *error)
{
	struct bus *bus = userdata;

	return sd_bus_message_append(reply, "s", bus->broker->backend->ops->name);
}

static int on_list_devices(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_message_new_method_return(call, &reply);
	if (r < 0)
		return r;
	r = list_devices(userdata, reply);
	if (r < 0)
		return r;
	return sd_bus_send(NULL, reply, NULL);
}

static int on_list_buffers(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	uint64_t cursor;
	int r;

	r = sd_bus_message_read(call, "t", &cursor);
	if (r < 0)
		return r;
	return query_start(userdata, call, cursor, list_buffers, error);
}

static int on_list_clients(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	uint64_t cursor;
	int r;

	r = sd_bus_message_read(call, "t", &cursor);
	if (r < 0)
		return r;
	return query_start(userdata, call, cursor, list_clients, error);
}

/* clang-format off */
static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Backend", "s", get_backend, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_METHOD_WITH_ARGS("ListDevices",
				SD_BUS_NO_ARGS,
				SD_BUS_RESULT("aa{sv}", devices),
				on_list_devices, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListBuffers",
				SD_BUS_ARGS("t", cursor),
				SD_BUS_RESULT("aa{sv}", buffers, "t", next_cursor),
				on_list_buffers, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListClients",
				SD_BUS_ARGS("t", cursor),
				SD_BUS_RESULT("aa{sv}", clients, "t", next_cursor),
				on_list_clients, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};
/* clang-format on */

int manager_add(struct bus *bus, sd_bus *connection)
{
	return sd_bus_add_object_vtable(connection, NULL, BUS_PATH, BUS_INTERFACE, manager_vtable,
					bus);
}
