/* SPDX-License-Identifier: MIT */
/*
 * A method call whose answer depends on who asks. The messages of dbus-daemon and dbus-broker do
 * not say which user sent them; the bus does when it is asked. sd_bus_query_sender_creds() asks and
 * waits, so a bus that hangs would hang the broker: instead the question is sent like any other
 * message, and the call is kept here until the bus has answered.
 *
 * Only the uid counts. Of the sender's process no more than its pid can be learned, and a pid may
 * be somebody else's by the time it is looked at.
 *
 * A query owns its call and its slot, the bus owns the query. It ends with the bus's answer, the
 * deadline, or the connection.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/bus_internal.h"
#include "proto/cleanup.h"

#define QUERIES_MAX	 64
#define QUERY_TIMEOUT_US (5 * 1000000ull)

struct query {
	struct bus *bus;
	sd_bus_message *call;
	sd_bus_slot *slot;
	uint64_t cursor;
	query_answer answer;
	LIST_ENTRY(query) bus_link;
};

static struct query *query_free(struct query *query)
{
	LIST_REMOVE(query, bus_link);
	query->bus->nr_queries--;
	sd_bus_slot_unref(query->slot);
	sd_bus_message_unref(query->call);
	free(query);
	return NULL;
}

static int reply_to(struct query *query, uint32_t uid)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_message_new_method_return(query->call, &reply);
	if (r < 0)
		return r;
	r = query->answer(query->bus, uid, query->cursor, reply);
	if (r < 0)
		return r;
	return sd_bus_send(NULL, reply, NULL);
}

static int on_sender(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct query *query = userdata;
	uint32_t uid;
	int r;

	if (sd_bus_message_is_method_error(message, NULL)) {
		/* The sender has left the bus, or the bus is slow; nothing is shown to an unknown. */
		sd_bus_reply_method_errorf(query->call, SD_BUS_ERROR_ACCESS_DENIED,
					   "The bus does not say who sent this call: %s",
					   sd_bus_message_get_error(message)->message
						   ?: "no reason");
	} else {
		r = sd_bus_message_read(message, "u", &uid);
		if (r >= 0)
			r = reply_to(query, uid);
		if (r < 0)
			sd_bus_reply_method_errno(query->call, r, NULL);
	}
	query_free(query);
	return 0;
}

int query_start(struct bus *bus, sd_bus_message *call, uint64_t cursor, query_answer answer,
		sd_bus_error *ret_error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *question = NULL;
	const char *sender = sd_bus_message_get_sender(call);
	struct query *query;
	int r;

	if (!sender)
		return -EBADMSG;
	if (bus->nr_queries >= QUERIES_MAX)
		return sd_bus_error_setf(ret_error, SD_BUS_ERROR_LIMITS_EXCEEDED,
					 "%u calls wait for the bus already; try again",
					 bus->nr_queries);
	r = sd_bus_message_new_method_call(bus->connection, &question, "org.freedesktop.DBus",
					   "/org/freedesktop/DBus", "org.freedesktop.DBus",
					   "GetConnectionUnixUser");
	if (r < 0)
		return r;
	r = sd_bus_message_append(question, "s", sender);
	if (r < 0)
		return r;
	query = calloc(1, sizeof(*query));
	if (!query)
		return -ENOMEM;
	query->bus = bus;
	query->call = sd_bus_message_ref(call);
	query->cursor = cursor;
	query->answer = answer;
	LIST_INSERT_HEAD(&bus->queries, query, bus_link);
	bus->nr_queries++;
	r = sd_bus_call_async(bus->connection, &query->slot, question, on_sender, query,
			      QUERY_TIMEOUT_US);
	if (r < 0) {
		query_free(query);
		return r;
	}
	return 1;
}

void query_abandon_all(struct bus *bus)
{
	while (!LIST_EMPTY(&bus->queries))
		query_free(LIST_FIRST(&bus->queries));
}
