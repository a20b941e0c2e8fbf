/* SPDX-License-Identifier: MIT */
/* One peer on one socket. */
#ifndef DMABROKER_CONNECTION_H
#define DMABROKER_CONNECTION_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "daemon/broker.h"
#include "daemon/log.h"
#include "daemon/policy.h"

/* A request that cannot be answered yet. */
struct pending {
	uint64_t since_mono_ms;
	unsigned int nr_tries;
	size_t size_bytes;
	_Alignas(8) uint8_t bytes[];
};

struct outgoing {
	TAILQ_ENTRY(outgoing) link;
	size_t size_bytes;
	_Alignas(8) uint8_t bytes[];
};

/**
 * struct connection - owned by the broker's lists
 * @client:     the ledger's side of it; NULL for a peer that is turned away
 * @why_not:    for a peer that is turned away, what it gets to hear
 * @said_hello: the version is agreed
 * @fds_unread: the last reply with fds may still lie unread in the socket
 * @blocked:    not reading until the peer has read
 * @closing:    not reading, and not to be freed, until what the peer sent is closed; see closer.h
 * @dropped:    on its way out; nothing may be sent or read any more
 */
struct connection {
	struct broker *broker;
	int sock;
	struct client *client;
	struct credentials credentials;
	struct grant grant;
	struct shortfall why_not;
	bool turned_away;
	bool said_hello;
	bool silent;
	bool fds_unread;
	bool blocked;
	bool closing;
	bool dropped;
	unsigned int backoff_ms;
	uint64_t accepted_mono_ms;
	struct pending *pending;
	size_t outgoing_bytes;
	TAILQ_HEAD(, outgoing) outgoing;
	struct event read_event;
	struct event write_event;
	TAILQ_ENTRY(connection) link;
	TAILQ_ENTRY(connection) silent_link;
};

/* Takes @sock, also on failure. A peer over its quota becomes a connection that is turned away. */
int connection_new(struct broker *broker, int sock, struct connection **ret);

/*
 * connection_drop() - end it
 * @fault: for the log, what the peer did wrong; NULL when it simply left
 *
 * What the client held ends at once. The object lives until the reaper runs, so callers up the
 * stack may still look at it; a socket with unread fds lives until the peer read or closed.
 */
void connection_drop(struct connection *connection, const char *fault);

/* Frees what connection_drop() left, and arms what has to wait. */
void connection_reap_all(struct broker *broker);

/* Waits for nothing that is under way, so it is for who is done, or for the end of the daemon. */
struct connection *connection_free(struct connection *connection);

/*
 * connection_send() - a message without fds
 *
 * What the socket does not take now is queued, and nothing more is read until it went out. A peer
 * that lets too much pile up is dropped.
 */
void connection_send(struct connection *connection, const void *message, size_t message_bytes,
		     const void *more, size_t more_bytes);

/*
 * connection_send_fds() - a message with fds, only when nothing with fds is unread
 * @fds: borrowed
 *
 * Return: 0; -ETOOMANYREFS: later perhaps; -EPIPE: never, the connection is dropped.
 */
int connection_send_fds(struct connection *connection, const void *message, size_t message_bytes,
			const void *more, size_t more_bytes, const int *fds, unsigned int nr_fds);

/* Is there a reply with fds that the peer has not read? */
bool connection_fds_unread(struct connection *connection);

/* Keep a request until the peer has read, or until fds can be sent again. */
void connection_postpone(struct connection *connection, const void *packet, size_t packet_bytes);

static inline struct log_peer connection_peer(const struct connection *connection)
{
	return (struct log_peer){ .uid = connection->credentials.uid,
				  .pid = (uint32_t)connection->credentials.pid };
}

#endif /* DMABROKER_CONNECTION_H */
