// SPDX-License-Identifier: MIT
/* The wire format spoken by hand: packets as proto/ sends them, and no opinion of what is right. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "e2e.h"
#include "raw.h"

#define PATIENCE_MS 20000

static int send_with_fd(struct raw *raw, uint16_t op, const void *body, size_t size, int fd)
{
	struct wire_header header = { .size = (uint32_t)(sizeof(header) + size),
				      .op = op,
				      .serial = ++raw->serial };

	return packet_send(raw->sock, &header, sizeof(header), body, size, &fd, fd >= 0 ? 1 : 0);
}

int raw_send(struct raw *raw, uint16_t op, const void *body, size_t size)
{
	return send_with_fd(raw, op, body, size, -1);
}

static const void *call_with_fd(struct raw *raw, uint16_t op, const void *body, size_t size, int fd,
				uint32_t *ret_reason)
{
	const struct wire_header *header = (const struct wire_header *)raw->reply.bytes;
	struct pollfd pollfd = { .fd = raw->sock, .events = POLLIN };
	int r = send_with_fd(raw, op, body, size, fd);

	if (r < 0)
		die("sending a packet: %s", strerror(-r));
	do {
		packet_fini(&raw->reply);
		if (poll(&pollfd, 1, PATIENCE_MS) != 1)
			die("no answer to op %u", op);
		r = packet_recv(&raw->reply, raw->sock, 0);
		if (r != 1 || raw->reply.size_bytes < sizeof(*header))
			die("receiving the answer to op %u: %s", op,
			    r < 0 ? strerror(-r) : "the broker closed the connection");
	} while (header->flags & WIRE_FLAG_EVENT);
	if (header->serial != raw->serial || header->op != op)
		die("the answer to op %u is one to op %u", op, header->op);
	*ret_reason = 0;
	if (!(header->flags & WIRE_FLAG_REFUSAL))
		return header + 1;
	*ret_reason = ((const struct wire_refusal *)(header + 1))->reason;
	return NULL;
}

const void *raw_call(struct raw *raw, uint16_t op, const void *body, size_t size,
		     uint32_t *ret_reason)
{
	return call_with_fd(raw, op, body, size, -1, ret_reason);
}

const void *raw_call_fd(struct raw *raw, uint16_t op, int fd, uint32_t *ret_reason)
{
	return call_with_fd(raw, op, NULL, 0, fd, ret_reason);
}

void raw_connect(struct raw *raw)
{
	const struct wire_hello hello = { .version_min = WIRE_VERSION,
					  .version_max = WIRE_VERSION,
					  .name = "e2e-raw" };
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = WIRE_SOCKET_PATH };
	uint32_t reason;

	raw->serial = 0;
	raw->reply.nr_fds = 0;
	raw->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (raw->sock < 0 || connect(raw->sock, (struct sockaddr *)&address, sizeof(address)))
		die("connecting to " WIRE_SOCKET_PATH ": %s", strerror(errno));
	if (!raw_call(raw, WIRE_OP_HELLO, &hello, sizeof(hello), &reason))
		die("HELLO was refused for reason %u", reason);
}

void raw_close(struct raw *raw)
{
	packet_fini(&raw->reply);
	close(raw->sock);
}
