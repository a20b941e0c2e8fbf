/* SPDX-License-Identifier: MIT */
/*
 * The socket: connecting, reading, losing it.
 *
 * connect() on a Unix socket never is "in progress": it succeeds, fails, or (with a full backlog,
 * as while systemd starts the broker) says try again, and nothing tells when. So it is tried again
 * at growing pauses, by whoever waits or dispatches.
 *
 * When a broker dies, the first thing read may be ECONNRESET with granted replies queued behind
 * it. So a reset is remembered and reading goes on to the end of the stream; only that loses the
 * link. For the same reason a failing send does only when nothing is left to read. Getting the link
 * back after a broker's restart, with the buffers that are held, will have its place here:
 * LINK_LOST to LINK_CONNECTING.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client-lib/src/call.h"
#include "client-lib/src/request.h"

#define TRY_PAUSE_FIRST_US 2000
#define TRY_PAUSE_MAX_US   100000

/* Packets read in one go, so that a broker that floods cannot keep the lock for ever. */
#define PACKETS_AT_ONCE 64

struct connect_request {
	struct dmabroker_request request;
	struct wire_hello hello;
};

static void link_drain(struct dmabroker *broker)
{
	struct packet packet;

	while (packet_recv(&packet, broker->sock, MSG_DONTWAIT) > 0)
		packet_fini(&packet);
}

void link_lost(struct dmabroker *broker, int error, const char *text)
{
	if (broker->link == LINK_LOST)
		return;
	broker->link = LINK_LOST;
	link_watch(broker);
	/* Nothing comes after this; what is queued is read, so that no fds stay in flight. */
	if (shutdown(broker->sock, SHUT_RDWR) == 0)
		link_drain(broker);
	if (broker->hello_done) {
		broker_log(broker, "The connection to the broker has ended: %s", fail_text(error));
		event_disconnected(broker, error);
	}
	calls_fail(broker, error, text);
	loop_kick(broker);
	loop_wake(broker);
}

static void link_try(struct dmabroker *broker)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char text[256];
	int r;

	if (broker->next_try_mono_us > now_mono_us())
		return;
	memcpy(address.sun_path, broker->socket_path, strlen(broker->socket_path) + 1);
	if (connect(broker->sock, (struct sockaddr *)&address, sizeof(address)) == 0) {
		broker->link = LINK_UP;
		link_watch(broker);
		return;
	}
	r = -errno;
	if (r == -EAGAIN || r == -EINTR) {
		broker->try_pause_us = broker->try_pause_us * 2 < TRY_PAUSE_MAX_US
					       ? broker->try_pause_us * 2
					       : TRY_PAUSE_MAX_US;
		broker->next_try_mono_us = now_mono_us() + broker->try_pause_us;
		return;
	}
	if (r == -ENOENT || r == -ECONNREFUSED)
		snprintf(text, sizeof(text), "No broker listens at %s; start it%s.",
			 broker->socket_path,
			 strcmp(broker->socket_path, WIRE_SOCKET_PATH) == 0
				 ? " (systemctl start dmabroker.socket), or set DMABROKER_SOCKET"
				 : " there, or name another socket");
	else
		snprintf(text, sizeof(text), "Cannot connect to the broker at %s: %s",
			 broker->socket_path, fail_text(r));
	link_lost(broker, r, text);
}

/* 0: go on; 1: nothing more now; -errno: the end. */
static int link_read_one(struct dmabroker *broker, unsigned int *nr_resets)
{
	struct packet packet;
	int r;

	r = packet_recv(&packet, broker->sock, MSG_DONTWAIT);
	if (r == -EAGAIN || r == -ENOMEM || r == -ENOBUFS)
		return 1;
	if (r == -ECONNRESET && (*nr_resets)++ < 8)
		return 0;
	if (r <= 0)
		return r < 0 ? r : -ECONNRESET;
	r = call_reply(broker, &packet);
	if (r < 0)
		broker_log(broker, "The broker sent %zu bytes and %u fds that make no sense.",
			   packet.size_bytes, packet.nr_fds);
	packet_fini(&packet);
	return r;
}

void link_io(struct dmabroker *broker, const struct dmabroker_request *until)
{
	unsigned int nr_resets = 0;
	int r = 0;

	if (broker->link == LINK_CONNECTING)
		link_try(broker);
	if (broker->link != LINK_UP)
		return;
	for (unsigned int i = 0; i < PACKETS_AT_ONCE && r == 0 && broker->link == LINK_UP; i++) {
		if (until && until->ended)
			break;
		r = link_read_one(broker, &nr_resets);
	}
	if (r < 0) {
		link_lost(broker, r, NULL);
		return;
	}
	if (broker->link != LINK_UP || TAILQ_EMPTY(&broker->outbox))
		return;
	switch (calls_flush(broker)) {
	case 0:
		link_watch(broker);
		break;
	case -EAGAIN:
		break;
	default:
		/* It takes nothing more. All it said has been read, or will be in the next round. */
		if (r == 1)
			link_lost(broker, -ECONNRESET, NULL);
		break;
	}
}

static int connect_send(struct dmabroker_request *request)
{
	struct connect_request *connecting = (struct connect_request *)request;

	return request_call(request, WIRE_OP_HELLO, &connecting->hello, sizeof(connecting->hello),
			    -1);
}

static int connect_reply(struct dmabroker_request *request, uint16_t op, struct packet *packet)
{
	struct dmabroker *broker = request->broker;
	struct wire_hello_reply *hello = &broker->hello;

	wire_body_copy(hello, sizeof(*hello), packet->bytes, packet->size_bytes);
	if (hello->version != WIRE_VERSION ||
	    !wire_text_ok(hello->backend, sizeof(hello->backend)) ||
	    !wire_text_ok(hello->daemon_version, sizeof(hello->daemon_version)))
		return -EPROTO;
	broker->info = (struct dmabroker_info){ .protocol_version = hello->version,
						.buffers_max = hello->fds_max,
						.client_id = hello->client_id,
						.page_bytes = hello->page_size,
						.backend = hello->backend,
						.broker_version = hello->daemon_version };
	broker->hello_done = true;
	return 0;
}

static const struct request_ops connect_ops = { .send = connect_send, .reply = connect_reply };

static int set_name(struct wire_hello *hello, const char *name)
{
	const size_t room = sizeof(hello->name) - 1;

	if (name) {
		if (strlen(name) > room || !wire_text_ok(name, strlen(name) + 1))
			return fail_with(-EINVAL, DMABROKER_REASON_BAD_ARGUMENT, room, strlen(name),
					 "The client's name is to be up to 31 printable ASCII "
					 "characters.");
		memcpy(hello->name, name, strlen(name));
		return 0;
	}
	snprintf(hello->name, sizeof(hello->name), "%.*s", (int)room,
		 program_invocation_short_name);
	for (char *c = hello->name; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	return 0;
}

static int set_path(struct dmabroker *broker, const char *path)
{
	const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (!path)
		path = secure_getenv("DMABROKER_SOCKET");
	if (!path || !path[0])
		path = WIRE_SOCKET_PATH;
	if (strlen(path) > room)
		return fail_with(-ENAMETOOLONG, DMABROKER_REASON_BAD_ARGUMENT, room, strlen(path),
				 "The path of the broker's socket is longer than a socket's path "
				 "can be.");
	broker->socket_path = strdup(path);
	return broker->socket_path ? 0 : fail(-ENOMEM, NULL);
}

static void cleanup_broker(struct dmabroker **broker)
{
	dmabroker_unref(*broker);
}

static int connect_new(const struct dmabroker_connect_params *user_params,
		       const struct dmabroker_async *async, struct dmabroker **ret_broker,
		       struct dmabroker_request **ret_request)
{
	_cleanup_(cleanup_broker) struct dmabroker *broker = NULL;
	_cleanup_request_ struct dmabroker_request *request = NULL;
	struct dmabroker_connect_params params = { 0 };
	struct connect_request *connecting;
	int r;

	if (user_params) {
		r = params_copy(&params, sizeof(params), sizeof(params), user_params);
		if (r < 0)
			return r;
	}
	if (params.flags)
		return fail_with(-EINVAL, DMABROKER_REASON_RESERVED_NOT_ZERO, 0, params.flags,
				 "No flags of dmabroker_connect() are defined.");
	r = broker_new(&broker);
	if (r < 0)
		return fail(r, NULL);
	broker->timeout_us = timeout_us_from_ms(params.timeout_ms);
	broker->try_pause_us = TRY_PAUSE_FIRST_US;
	r = set_path(broker, params.socket_path);
	if (r < 0)
		return r;
	r = request_new(broker, &connect_ops, sizeof(*connecting), async, &request);
	if (r < 0)
		return r;
	request->hello = true;
	connecting = (struct connect_request *)request;
	connecting->hello.version_min = WIRE_VERSION;
	connecting->hello.version_max = WIRE_VERSION;
	r = set_name(&connecting->hello, params.client_name);
	if (r < 0)
		return r;
	*ret_broker = TAKE_PTR(broker);
	*ret_request = TAKE_PTR(request);
	return 0;
}

int dmabroker_connect(const struct dmabroker_connect_params *params, struct dmabroker **ret_broker)
{
	_cleanup_(cleanup_broker) struct dmabroker *broker = NULL;
	_cleanup_request_ struct dmabroker_request *request = NULL;
	int r;

	r = connect_new(params, NULL, &broker, &request);
	if (r < 0)
		return r;
	r = request_run(request);
	if (r < 0)
		return r;
	*ret_broker = TAKE_PTR(broker);
	return 0;
}

int dmabroker_connect_start(const struct dmabroker_connect_params *params,
			    const struct dmabroker_async *async, struct dmabroker **ret_broker,
			    struct dmabroker_request **ret_request)
{
	_cleanup_(cleanup_broker) struct dmabroker *broker = NULL;
	struct dmabroker_request *request;
	int r;

	r = connect_new(params, async, &broker, &request);
	if (r < 0)
		return r;
	r = request_start(request, ret_request);
	if (r < 0)
		return r;
	*ret_broker = TAKE_PTR(broker);
	return 0;
}
