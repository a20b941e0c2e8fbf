/* SPDX-License-Identifier: MIT */
/*
 * One peer on one socket: reading requests, sending replies, and every way in which a peer can
 * refuse to do its part.
 *
 * The kernel counts fds in unread messages against the sender's uid, for all receivers together,
 * and fails every send once there are too many. A peer that never reads could so take fds away
 * from everybody, and closing our end would not help: the message stays in the peer's queue. So a
 * connection has at most one reply with fds unread. The next request that needs one is kept, and
 * nothing more is read from this peer, until SIOCOUTQ says that it has read. The number of
 * connections times the fds in a reply stays below the limit (see broker.c), and a dropped peer
 * counts until its queue is empty: its socket waits here, shut down, for that.
 *
 * To learn that a peer has read costs nothing while nobody waits: the edge-triggered write event
 * exists only while the connection is blocked. Each read of the peer raises it. The kernel raises
 * it a moment before its count drops to zero, so a timer looks again.
 *
 * Other messages may queue up, a little. Handlers never free a connection: connection_drop() ends
 * it and the reaper frees it when nobody is in it any more.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/cleanup.h"
#include "daemon/closer.h"
#include "daemon/connection.h"
#include "daemon/dispatch.h"

#define OUTGOING_BYTES_MAX (64 * 1024)

/* Requests without a reply that one peer gets served before the others' turn. */
#define REQUESTS_IN_A_ROW 16

#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 1000

/* How long ETOOMANYREFS may last before the request is refused. */
#define TOO_MANY_FDS_MS 3000

static void on_readable(evutil_socket_t fd, short what, void *userdata);
static void on_writable(evutil_socket_t fd, short what, void *userdata);

static void wait_writable(struct connection *connection)
{
	struct timeval timeout = { .tv_sec = connection->backoff_ms / 1000,
				   .tv_usec = connection->backoff_ms % 1000 * 1000 };

	event_add(&connection->write_event, &timeout);
	connection->backoff_ms *= 2;
	if (connection->backoff_ms > BACKOFF_MAX_MS)
		connection->backoff_ms = BACKOFF_MAX_MS;
}

static void block(struct connection *connection)
{
	if (connection->blocked || connection->dropped)
		return;
	connection->blocked = true;
	connection->backoff_ms = BACKOFF_MIN_MS;
	/* Edge and level triggered events do not mix on one fd. */
	event_del(&connection->read_event);
	wait_writable(connection);
}

static void unblock(struct connection *connection)
{
	connection->blocked = false;
	event_del(&connection->write_event);
	if (!connection->closing)
		event_add(&connection->read_event, NULL);
}

static int grant_client(struct connection *connection)
{
	struct broker *broker = connection->broker;
	struct client_params params = {
		.limits = connection->grant.limits,
		.uid = connection->credentials.uid,
		.pid = (uint32_t)connection->credentials.pid,
		.connected_mono_ms = connection->accepted_mono_ms,
		.userdata = connection,
	};
	int r;

	if (!connection->grant.allowed) {
		connection->why_not.reason = WIRE_REASON_ACCOUNT_NOT_ALLOWED;
		connection->why_not.value = connection->credentials.uid;
		return 0;
	}
	if (broker->nr_connections > broker->clients_max) {
		connection->why_not = (struct shortfall){ .reason = WIRE_REASON_QUOTA_CLIENTS,
							  .limit = broker->clients_max,
							  .value = broker->nr_connections };
		return 0;
	}
	r = account_get(broker->ledger, connection->grant.account_uid,
			connection->grant.account_unit, &params.account);
	if (r < 0)
		return r;
	r = client_new(broker->ledger, &params, &connection->why_not, &connection->client);
	account_unref(params.account);
	return r == -EDQUOT ? 0 : r;
}

int connection_new(struct broker *broker, int sock, struct connection **ret)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int r;

	if (!connection) {
		fd_close(sock);
		return -ENOMEM;
	}
	connection->broker = broker;
	connection->sock = sock;
	connection->accepted_mono_ms = broker_now_mono_ms();
	TAILQ_INIT(&connection->outgoing);
	event_assign(&connection->read_event, broker->base, sock, EV_READ | EV_PERSIST, on_readable,
		     connection);
	event_assign(&connection->write_event, broker->base, sock, EV_WRITE | EV_ET | EV_PERSIST,
		     on_writable, connection);
	event_priority_set(&connection->read_event, PRIORITY_REQUESTS);
	event_priority_set(&connection->write_event, PRIORITY_REQUESTS);
	TAILQ_INSERT_TAIL(&broker->connections, connection, link);
	broker->nr_connections++;

	r = credentials_read(sock, &connection->credentials);
	if (r == 0) {
		policy_grant(broker->config, &connection->credentials, &connection->grant);
		r = grant_client(connection);
	}
	if (r == 0 && event_add(&connection->read_event, NULL) < 0)
		r = -ENOMEM;
	if (r < 0) {
		connection_drop(connection, NULL);
		return r;
	}
	connection->turned_away = !connection->client;
	broker->nr_turned_away += connection->turned_away;
	connection->silent = true;
	TAILQ_INSERT_TAIL(&broker->silent, connection, silent_link);
	*ret = connection;
	return 0;
}

static void clear_outgoing(struct connection *connection)
{
	struct outgoing *outgoing;

	while ((outgoing = TAILQ_FIRST(&connection->outgoing))) {
		TAILQ_REMOVE(&connection->outgoing, outgoing, link);
		free(outgoing);
	}
	connection->outgoing_bytes = 0;
}

struct connection *connection_free(struct connection *connection)
{
	struct broker *broker;

	if (!connection)
		return NULL;
	broker = connection->broker;
	if (!connection->dropped)
		connection_drop(connection, NULL);
	TAILQ_REMOVE(&broker->dropped, connection, link);
	broker->nr_connections--;
	event_del(&connection->write_event);
	client_free(connection->client);
	credentials_fini(&connection->credentials);
	if (connection->sock >= 0) {
		shutdown(connection->sock, SHUT_RDWR);
		closer_now(&broker->packet, connection->sock);
	}
	free(connection);
	return NULL;
}

void connection_drop(struct connection *connection, const char *fault)
{
	struct broker *broker = connection->broker;
	struct log_peer peer = connection_peer(connection);

	if (connection->dropped)
		return;
	if (fault) {
		broker->nr_dropped_peers++;
		log_peer(LOG_NOTICE, &peer, "dropped: %s", fault);
	}
	connection->dropped = true;
	event_del(&connection->read_event);
	event_del(&connection->write_event);
	if (connection->silent)
		TAILQ_REMOVE(&broker->silent, connection, silent_link);
	connection->silent = false;
	if (connection->client)
		client_clear(connection->client);
	if (connection->turned_away)
		broker->nr_turned_away--;
	free(TAKE_PTR(connection->pending));
	clear_outgoing(connection);
	TAILQ_REMOVE(&broker->connections, connection, link);
	TAILQ_INSERT_TAIL(&broker->dropped, connection, link);
	event_active(broker->reap_event, EV_TIMEOUT, 0);
}

static void on_closed(void *userdata)
{
	struct connection *connection = userdata;

	connection->closing = false;
	if (connection->dropped)
		event_active(connection->broker->reap_event, EV_TIMEOUT, 0);
	else if (!connection->blocked)
		event_add(&connection->read_event, NULL);
}

/* Close the fds that nobody took from a packet. Nothing more is read until they are. */
static void close_fds(struct connection *connection, struct packet *packet)
{
	if (closer_run(connection->broker->closer, packet, -1, on_closed, connection) < 0)
		return;
	connection->closing = true;
	event_del(&connection->read_event);
}

/* The end, unless there are fds in what the peer has sent last: then they are closed first. */
static void end(struct connection *connection)
{
	struct broker *broker = connection->broker;
	struct packet *packet = &broker->packet;

	if (connection->closing)
		return;
	if (connection->sock >= 0) {
		/* Nothing comes after this. */
		shutdown(connection->sock, SHUT_RDWR);
		while (packet_recv(packet, connection->sock, MSG_DONTWAIT) > 0) {
			if (!closer_needed(packet))
				continue;
			event_del(&connection->write_event);
			connection->closing = closer_run(broker->closer, packet,
							 TAKE_FD(connection->sock), on_closed,
							 connection) == 0;
			break;
		}
	}
	if (!connection->closing)
		connection_free(connection);
}

static void on_lingering(evutil_socket_t fd, short what, void *userdata)
{
	struct connection *connection = userdata;

	if (connection_fds_unread(connection))
		wait_writable(connection);
	else
		end(connection);
}

void connection_reap_all(struct broker *broker)
{
	struct connection *connection, *next;

	for (connection = TAILQ_FIRST(&broker->dropped); connection; connection = next) {
		next = TAILQ_NEXT(connection, link);
		if (!connection_fds_unread(connection)) {
			end(connection);
			continue;
		}
		if (event_pending(&connection->write_event, EV_WRITE, NULL))
			continue;
		/* The peer sees the end of the stream behind what it has not read yet. */
		shutdown(connection->sock, SHUT_RDWR);
		event_assign(&connection->write_event, broker->base, connection->sock,
			     EV_WRITE | EV_ET | EV_PERSIST, on_lingering, connection);
		event_priority_set(&connection->write_event, PRIORITY_IDLE);
		connection->backoff_ms = BACKOFF_MIN_MS;
		wait_writable(connection);
	}
}

bool connection_fds_unread(struct connection *connection)
{
	/* An error cannot be waited out, and says nothing of unread fds: none are assumed. */
	if (connection->fds_unread)
		connection->fds_unread = packet_outstanding(connection->sock) > 0;
	return connection->fds_unread;
}

static void queue(struct connection *connection, const void *message, size_t message_bytes,
		  const void *more, size_t more_bytes)
{
	size_t bytes = message_bytes + more_bytes;
	struct outgoing *outgoing;

	if (connection->outgoing_bytes + bytes > OUTGOING_BYTES_MAX) {
		connection_drop(connection, "it does not read what it is sent");
		return;
	}
	outgoing = malloc(sizeof(*outgoing) + bytes);
	if (!outgoing) {
		connection_drop(connection, "out of memory for what it has not read");
		return;
	}
	outgoing->size_bytes = bytes;
	memcpy(outgoing->bytes, message, message_bytes);
	if (more_bytes)
		memcpy(outgoing->bytes + message_bytes, more, more_bytes);
	TAILQ_INSERT_TAIL(&connection->outgoing, outgoing, link);
	connection->outgoing_bytes += bytes;
	block(connection);
}

static bool worth_waiting(int error)
{
	return error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM;
}

void connection_send(struct connection *connection, const void *message, size_t message_bytes,
		     const void *more, size_t more_bytes)
{
	int r = -EAGAIN;

	if (connection->dropped)
		return;
	if (TAILQ_EMPTY(&connection->outgoing))
		r = packet_send(connection->sock, message, message_bytes, more, more_bytes, NULL,
				0);
	if (worth_waiting(r))
		queue(connection, message, message_bytes, more, more_bytes);
	else if (r < 0)
		connection_drop(connection, NULL);
}

int connection_send_fds(struct connection *connection, const void *message, size_t message_bytes,
			const void *more, size_t more_bytes, const int *fds, unsigned int nr_fds)
{
	int r;

	if (connection->dropped)
		return -EPIPE;
	assert(!connection->fds_unread && nr_fds <= connection->broker->fds_max);
	r = packet_send(connection->sock, message, message_bytes, more, more_bytes, fds, nr_fds);
	if (r == 0) {
		connection->fds_unread = nr_fds > 0;
		return 0;
	}
	if (worth_waiting(r) || r == -ETOOMANYREFS)
		return -ETOOMANYREFS;
	connection_drop(connection, NULL);
	return -EPIPE;
}

void connection_postpone(struct connection *connection, const void *packet, size_t packet_bytes)
{
	struct pending *pending = connection->pending;

	if (connection->dropped)
		return;
	if (!pending) {
		pending = malloc(sizeof(*pending) + packet_bytes);
		if (!pending) {
			connection_drop(connection, "out of memory for a request that must wait");
			return;
		}
		pending->since_mono_ms = broker_now_mono_ms();
		pending->nr_tries = 0;
		pending->size_bytes = packet_bytes;
		memcpy(pending->bytes, packet, packet_bytes);
		connection->pending = pending;
	}
	block(connection);
}

static bool flush(struct connection *connection)
{
	struct outgoing *outgoing;

	while ((outgoing = TAILQ_FIRST(&connection->outgoing))) {
		int r = packet_send(connection->sock, outgoing->bytes, outgoing->size_bytes, NULL,
				    0, NULL, 0);

		if (worth_waiting(r))
			return false;
		if (r < 0) {
			connection_drop(connection, NULL);
			return false;
		}
		TAILQ_REMOVE(&connection->outgoing, outgoing, link);
		connection->outgoing_bytes -= outgoing->size_bytes;
		free(outgoing);
	}
	return true;
}

/* The kept request again. It ends answered, kept on, or refused because it took too long. */
static void retry_pending(struct connection *connection)
{
	struct pending *pending = connection->pending;
	bool last_try;

	if (connection_fds_unread(connection))
		return;
	/* Waiting for the peer may take for ever; waiting for other peers' fds may not. */
	last_try = pending->nr_tries > 0 &&
		   broker_now_mono_ms() - pending->since_mono_ms >= TOO_MANY_FDS_MS;
	if (pending->nr_tries++ == 0)
		pending->since_mono_ms = broker_now_mono_ms();
	if (dispatch_pending(connection, pending->bytes, pending->size_bytes, last_try) == 0 &&
	    connection->pending == pending)
		free(TAKE_PTR(connection->pending));
}

static void on_writable(evutil_socket_t fd, short what, void *userdata)
{
	struct connection *connection = userdata;

	if (flush(connection) && connection->pending)
		retry_pending(connection);
	if (connection->dropped)
		return;
	if (connection->pending || !TAILQ_EMPTY(&connection->outgoing))
		wait_writable(connection);
	else
		unblock(connection);
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	struct connection *connection = userdata;
	struct packet *packet = &connection->broker->packet;

	for (unsigned int i = 0; i < REQUESTS_IN_A_ROW; i++) {
		bool more;
		int r = packet_recv(packet, connection->sock, MSG_DONTWAIT);

		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			connection_drop(connection, NULL);
			return;
		}
		/* A request without a reply is followed by another: look at once. */
		more = dispatch_packet(connection, packet);
		if (closer_needed(packet))
			close_fds(connection, packet);
		if (!more || connection->dropped || connection->blocked || connection->closing)
			return;
	}
}
