/* SPDX-License-Identifier: MIT */
/*
 * The broker: the one object that everything in the daemon hangs from. main.c makes it, the
 * listener and the bus feed it, and nothing in it is global.
 */
#ifndef DMABROKER_BROKER_H
#define DMABROKER_BROKER_H

#include <event2/event.h>

#include "proto/packet.h"
#include "daemon/backend/backend.h"
#include "daemon/config.h"
#include "daemon/core/ledger.h"

struct closer;
struct listener;
struct pool;

/* Event priorities: what ends things, before requests, before what can wait. */
enum {
	PRIORITY_CONTROL,
	PRIORITY_REQUESTS,
	PRIORITY_IDLE,
	NR_PRIORITIES,
};

/* Refusals are kept for "why was I refused". */
#define BROKER_REFUSALS_KEPT 64

struct refusal_note {
	uint32_t uid;
	uint32_t reason;
	uint64_t when_mono_ms;
	char op[20];
	char text[232];
};

struct broker {
	struct event_base *base;
	const struct config *config;
	struct backend *backend;
	char backend_why[512];
	struct ledger *ledger;
	struct pool *pool;
	struct listener *listener;
	struct closer *closer;

	struct event *backend_event; /* something ended; not pending while settle_event is */
	struct event *settle_event; /* time to look what */
	struct event *reap_event;
	struct event *hello_event;
	TAILQ_HEAD(, connection) connections; /* that live */
	TAILQ_HEAD(, connection) silent; /* of these, who have not said HELLO; oldest first */
	TAILQ_HEAD(, connection) dropped; /* to be freed by the reaper */
	unsigned int nr_connections; /* sockets, dropped ones included */
	unsigned int nr_turned_away; /* of these, who only get to hear why not */
	unsigned int clients_max;
	unsigned int fds_max; /* in one reply */

	uint64_t started_mono_ms;
	uint64_t nr_requests;
	uint64_t nr_refusals;
	uint64_t nr_dropped_peers;
	struct refusal_note refusals[BROKER_REFUSALS_KEPT];
	unsigned int next_refusal;

	/* Scratch of the request at hand: one at a time, so one is enough. */
	struct packet packet;
	uint64_t reply[WIRE_MESSAGE_MAX / sizeof(uint64_t)];
};

/*
 * broker_new() - open the backend, learn what lives, be ready for connections
 * @config:    borrowed
 * @nr_files:  how many fds the process may have
 * @ret_error: a sentence for the administrator, filled on failure
 */
int broker_new(struct event_base *base, const struct config *config, uint64_t nr_files,
	       struct broker **ret, char ret_error[static 768]);
struct broker *broker_free(struct broker *broker);

static inline void cleanup_broker(struct broker **broker)
{
	broker_free(*broker);
}

uint64_t broker_now_mono_ms(void);

/* Let the ledger hear of everything that ended until now. Cheap when nothing did. */
void broker_settle(struct broker *broker);

/*
 * broker_charge() - charge_take() that tries again before it says no
 *
 * Memory that came back a moment ago is noticed, and ready buffers are given up when they are
 * what fills the machine.
 */
int broker_charge(struct broker *broker, struct client *client, const struct amounts *want,
		  struct charge *charge, struct shortfall *ret_shortfall);

#endif /* DMABROKER_BROKER_H */
