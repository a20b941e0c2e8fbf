/* SPDX-License-Identifier: MIT */
/*
 * The life of the connection to D-Bus. The bus is a window onto the broker and nothing depends on
 * it, so whatever happens to it must not stop or delay the daemon: connecting, authenticating and
 * asking for the name are all asynchronous, and a failure of any of them leads to the same place,
 * connection_down(), which tries again later.
 *
 *	retry ── connection_up() ── Hello ── RequestName ── on_name() ── there
 *	  ▲                │           │           │            │          │
 *	  └────────────────┴───────────┴── connection_down() ───┴──────────┘
 *
 * What is asked over it is in bus_manager.c, who may see what in bus_query.c and bus_list.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus_internal.h"
#include "daemon/log.h"
#include "proto/cleanup.h"

#define RETRY_FIRST_S 1
#define RETRY_MOST_S  60

static void connection_lost(void *userdata, int error);

/* Where "system" and "session" are, as every D-Bus program finds them; NULL without memory. */
static char *address_resolve(const char *address)
{
	const char *found, *runtime;
	char *made;

	if (!strcmp(address, "system")) {
		found = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
		return strdup(found ?: "unix:path=/run/dbus/system_bus_socket");
	}
	if (strcmp(address, "session") != 0)
		return strdup(address);
	found = secure_getenv("DBUS_SESSION_BUS_ADDRESS");
	if (found)
		return strdup(found);
	runtime = secure_getenv("XDG_RUNTIME_DIR");
	return asprintf(&made, "unix:path=%s/bus", runtime ?: "/nonexistent") < 0 ? NULL : made;
}

static void retry_later(struct bus *bus)
{
	struct timeval after = { .tv_sec = bus->retry_s };

	event_add(bus->retry, &after);
	bus->retry_s = bus->retry_s * 2 > RETRY_MOST_S ? RETRY_MOST_S : bus->retry_s * 2;
}

static void connection_down(struct bus *bus)
{
	query_abandon_all(bus);
	bus->name_slot = sd_bus_slot_unref(bus->name_slot);
	bus->loop = bus_loop_free(bus->loop);
	/* Nothing is flushed: waiting for a bus that hangs is what must not happen. */
	if (bus->connection)
		sd_bus_close(bus->connection);
	bus->connection = sd_bus_unref(bus->connection);
}

static void complain(struct bus *bus, const char *what, const char *why)
{
	if (!bus->complained)
		log_line(LOG_WARNING,
			 "D-Bus %s: %s; clients are served all the same, and it is tried again",
			 what, why);
	bus->complained = true;
}

static int on_name(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct bus *bus = userdata;
	const sd_bus_error *refused = sd_bus_message_get_error(message);
	uint32_t result = 0;

	bus->name_slot = sd_bus_slot_unref(bus->name_slot);
	if (sd_bus_is_open(bus->connection) <= 0)
		return 0; /* this is how the connection's end looks from here */
	if (refused)
		complain(bus, "refuses the name " BUS_NAME, refused->message ?: refused->name);
	else if (sd_bus_message_read(message, "u", &result) < 0 || (result != 1 && result != 4))
		complain(bus, "does not give the name " BUS_NAME, "another process has it");
	if (result != 1 && result != 4) {
		/* connection_lost() follows from the event loop. */
		sd_bus_close(bus->connection);
		return 0;
	}
	bus->retry_s = RETRY_FIRST_S;
	bus->complained = false;
	log_line(LOG_INFO, "On D-Bus as %s", BUS_NAME);
	return 0;
}

static int connection_new(struct bus *bus, sd_bus **ret)
{
	_cleanup_(sd_bus_unrefp) sd_bus *connection = NULL;
	int r;

	r = sd_bus_new(&connection);
	if (r < 0)
		return r;
	r = sd_bus_set_address(connection, bus->address);
	if (r < 0)
		return r;
	r = sd_bus_set_bus_client(connection, true);
	if (r < 0)
		return r;
	/* No method takes an fd; without this a sender could fill the table that clients live in. */
	r = sd_bus_negotiate_fds(connection, false);
	if (r < 0)
		return r;
	r = manager_add(bus, connection);
	if (r < 0)
		return r;
	r = sd_bus_start(connection);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(connection);
	return 0;
}

static int connection_up(struct bus *bus)
{
	int r;

	r = connection_new(bus, &bus->connection);
	if (r < 0)
		return r;
	r = sd_bus_request_name_async(bus->connection, &bus->name_slot, BUS_NAME, 0, on_name, bus);
	if (r < 0)
		return r;
	return bus_loop_new(bus->broker->base, bus->connection, connection_lost, bus, &bus->loop);
}

static void try(struct bus *bus)
{
	int r;

	r = connection_up(bus);
	if (r < 0)
		connection_lost(bus, r);
}

static void connection_lost(void *userdata, int error)
{
	struct bus *bus = userdata;

	complain(bus, "is not there", strerror(-error));
	connection_down(bus);
	retry_later(bus);
}

static void on_retry(evutil_socket_t fd, short what, void *userdata)
{
	try(userdata);
}

/* Only the form: whether anybody listens there is another question. */
static int address_check(const char *address)
{
	_cleanup_(sd_bus_unrefp) sd_bus *connection = NULL;
	int r;

	if (!strchr(address, ':'))
		return -EINVAL;
	r = sd_bus_new(&connection);
	return r < 0 ? r : sd_bus_set_address(connection, address);
}

int bus_new(struct broker *broker, const char *address, struct bus **ret)
{
	_cleanup_(cleanup_bus) struct bus *bus = NULL;
	int r;

	if (!strcmp(address, "none")) {
		*ret = NULL;
		return 0;
	}
	bus = calloc(1, sizeof(*bus));
	if (!bus)
		return -ENOMEM;
	bus->broker = broker;
	bus->retry_s = RETRY_FIRST_S;
	LIST_INIT(&bus->queries);
	bus->address = address_resolve(address);
	bus->retry = evtimer_new(broker->base, on_retry, bus);
	if (!bus->address || !bus->retry)
		return -ENOMEM;
	r = address_check(bus->address);
	if (r < 0)
		return r;
	try(bus);
	*ret = TAKE_PTR(bus);
	return 0;
}

struct bus *bus_free(struct bus *bus)
{
	if (!bus)
		return NULL;
	connection_down(bus);
	if (bus->retry)
		event_free(bus->retry);
	free(bus->address);
	free(bus);
	return NULL;
}
