/* SPDX-License-Identifier: MIT */
/* What the bus*.c files know of each other. */
#ifndef DMABROKER_BUS_INTERNAL_H
#define DMABROKER_BUS_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <event2/event.h>
#include <systemd/sd-bus.h>

#include "daemon/broker.h"
#include "daemon/bus.h"

#define BUS_NAME      "org.dmabroker1"
#define BUS_PATH      "/org/dmabroker1"
#define BUS_INTERFACE "org.dmabroker1.Manager"

struct bus_loop;
struct query;

/*
 * One for the daemon's life. @connection and what hangs on it (@loop, @queries, @slots) come and go
 * together: connection_up() and connection_down() in bus.c.
 */
struct bus {
	struct broker *broker;
	char *address;
	sd_bus *connection;
	struct bus_loop *loop;
	sd_bus_slot *name_slot;
	LIST_HEAD(, query) queries;
	unsigned int nr_queries;
	struct event *retry;
	unsigned int retry_s;
	bool complained; /* that the bus is away; not said again until it was there */
	const char *why; /* the connection is being given up */
};

/* bus_loop.c */

/**
 * bus_loop_new() - let libevent drive an sd-bus connection
 * @base:       the event loop
 * @connection: borrowed, must outlive the loop
 * @ended:      called once, from the event loop, when the connection is over; may free the loop
 * @userdata:   for @ended
 */
int bus_loop_new(struct event_base *base, sd_bus *connection,
		 void (*ended)(void *userdata, int error), void *userdata, struct bus_loop **ret);
struct bus_loop *bus_loop_free(struct bus_loop *loop);

/* bus_query.c */

/* Appends the answer to @reply, as far as @uid may see it. 0 or -errno. */
typedef int (*query_answer)(struct bus *bus, uint32_t uid, uint64_t cursor, sd_bus_message *reply);

/* Answer @call when the bus has told who sent it; a method handler's return value. */
int query_start(struct bus *bus, sd_bus_message *call, uint64_t cursor, query_answer answer,
		sd_bus_error *ret_error);
void query_abandon_all(struct bus *bus);

/* bus_manager.c */

/* Put the object on the connection, for as long as that lives; userdata is @bus. */
int manager_add(struct bus *bus, sd_bus *connection);

/* bus_list.c: the answers, each a page of a list */

int list_devices(struct bus *bus, sd_bus_message *reply);
int list_buffers(struct bus *bus, uint32_t uid, uint64_t cursor, sd_bus_message *reply);
int list_clients(struct bus *bus, uint32_t uid, uint64_t cursor, sd_bus_message *reply);

#endif /* DMABROKER_BUS_INTERNAL_H */
