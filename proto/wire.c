/* SPDX-License-Identifier: MIT */
/*
 * The op table and the two checks that stand between a socket and the code behind it.
 *
 * wire_check_request() is the only place that decides whether bytes from a client are a request,
 * wire_check_reply() the only one that decides whether bytes from the daemon are an answer. Both
 * are pure: no allocation, no socket, no byte read past the packet's length, no alignment asked
 * of the packet. That is what makes them fuzzable, and lets handlers trust sizes blindly.
 *
 * Requests and replies grow differently. A daemon must refuse a request whose unknown tail is not
 * zero, since doing half of what was asked is worse than doing nothing. A client ignores the
 * unknown tail of a reply: it is information the client never asked for.
 */
#include <string.h>

#include "proto/wire.h"

struct wire_op_row {
	struct wire_op_info info;
	bool exists;
};

/* GNU C: an empty struct has size 0, as wire_empty should. */
#define X(NAME, number, req, min, fds, rep, rfds, who)                                      \
	_Static_assert(sizeof(struct req) >= (min), #NAME ": request shrank");              \
	_Static_assert(sizeof(struct req) + sizeof(struct wire_header) <= WIRE_MESSAGE_MAX, \
		       #NAME ": request does not fit a message");                           \
	_Static_assert(sizeof(struct rep) + sizeof(struct wire_header) <= WIRE_MESSAGE_MAX, \
		       #NAME ": reply does not fit a message");
WIRE_OPS(X)
#undef X

_Static_assert(sizeof(struct wire_header) == 16, "the header is 16 bytes");
_Static_assert(sizeof(struct wire_header) + sizeof(struct wire_alloc_reply) +
			       WIRE_FDS_MAX * sizeof(uint64_t) <=
		       WIRE_MESSAGE_MAX,
	       "the largest ALLOC reply fits a message");

enum {
	WHO_ANY = 0,
	WHO_ADMIN = 1
};

/* Indexed by number: looking an op up costs the same whoever sent it. */
static const struct wire_op_row op_table[] = {
#define X(NAME, number, req, min, fds, rep, rfds, who)              \
	[number] = { .info = { .op = (number),                      \
			       .name = #NAME,                       \
			       .request_min = (min),                \
			       .request_known = sizeof(struct req), \
			       .request_fds = (fds),                \
			       .reply_known = sizeof(struct rep),   \
			       .reply_fds = (rfds),                 \
			       .admin = WHO_##who == WHO_ADMIN },   \
		     .exists = true },
	WIRE_OPS(X)
#undef X
};

#define NR_OPS (sizeof(op_table) / sizeof(op_table[0]))

#define FLAGS_OF_DAEMON (WIRE_FLAG_REPLY | WIRE_FLAG_REFUSAL | WIRE_FLAG_EVENT)
#define FLAGS_OF_CLIENT WIRE_FLAG_NO_REPLY

const struct wire_op_info *wire_op_info(uint16_t op)
{
	return op < NR_OPS && op_table[op].exists ? &op_table[op].info : NULL;
}

/* The part of framing that both directions share. */
static bool header_read(struct wire_header *header, const void *packet, size_t packet_bytes,
			bool truncated)
{
	if (truncated || packet_bytes < sizeof(*header) || packet_bytes > WIRE_MESSAGE_MAX)
		return false;
	memcpy(header, packet, sizeof(*header));
	return header->size == packet_bytes && header->reserved == 0;
}

static bool all_zero(const uint8_t *bytes, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (bytes[i])
			return false;
	return true;
}

static struct wire_check refuse(const struct wire_op_info *op, enum wire_reason reason,
				uint64_t limit, uint64_t value)
{
	return (struct wire_check){
		.verdict = WIRE_REFUSE, .reason = reason, .op = op, .limit = limit, .value = value
	};
}

struct wire_check wire_check_request(const void *packet, size_t packet_bytes, unsigned int nr_fds,
				     bool truncated)
{
	const struct wire_check drop = { .verdict = WIRE_DROP };
	const struct wire_op_info *op;
	struct wire_header header;
	size_t body_bytes;

	if (!header_read(&header, packet, packet_bytes, truncated))
		return drop;
	if (header.serial == 0 || (header.flags & FLAGS_OF_DAEMON))
		return drop;

	body_bytes = packet_bytes - sizeof(header);
	op = wire_op_info(header.op);
	if (!op)
		return refuse(NULL, WIRE_REASON_UNKNOWN_OP, NR_OPS - 1, header.op);
	if (body_bytes < op->request_min)
		return drop;
	if (header.flags & ~FLAGS_OF_CLIENT)
		return refuse(op, WIRE_REASON_RESERVED_NOT_ZERO, FLAGS_OF_CLIENT, header.flags);
	if (nr_fds != op->request_fds)
		return refuse(op, WIRE_REASON_WRONG_FD_COUNT, op->request_fds, nr_fds);
	if (body_bytes > op->request_known &&
	    !all_zero((const uint8_t *)packet + sizeof(header) + op->request_known,
		      body_bytes - op->request_known))
		return refuse(op, WIRE_REASON_UNKNOWN_TAIL, op->request_known, body_bytes);

	return (struct wire_check){ .verdict = WIRE_OK, .op = op };
}

static bool refusal_ok(const uint8_t *body, size_t body_bytes, unsigned int nr_fds)
{
	struct wire_refusal refusal;

	if (nr_fds != 0 || body_bytes < sizeof(refusal))
		return false;
	memcpy(&refusal, body, sizeof(refusal));
	/* An errno beyond the kernel's range would not survive as a negative return value. */
	return refusal.error > 0 && refusal.error < 4096 && refusal.retry <= 1 &&
	       refusal.text_bytes < sizeof(refusal.text) &&
	       strnlen(refusal.text, sizeof(refusal.text)) == refusal.text_bytes;
}

static bool list_ok(const uint8_t *body, size_t body_bytes)
{
	struct wire_list_reply list;
	size_t entries_bytes = body_bytes - sizeof(list);

	memcpy(&list, body, sizeof(list));
	if (list.count == 0)
		return entries_bytes == 0;
	return list.entry_bytes > 0 && entries_bytes % list.entry_bytes == 0 &&
	       entries_bytes / list.entry_bytes == list.count;
}

static bool event_ok(const struct wire_header *header, size_t body_bytes, unsigned int nr_fds)
{
	if (header->flags != WIRE_FLAG_EVENT || header->serial != 0 || nr_fds != 0)
		return false;
	switch (header->op) {
	case WIRE_EVENT_DEVICE_ADDED:
	case WIRE_EVENT_DEVICE_REMOVED:
		return body_bytes >= sizeof(struct wire_device);
	case WIRE_EVENT_MAPPING_ENDED:
		return body_bytes >= sizeof(struct wire_id);
	default:
		return true; /* from a newer daemon: the client ignores it */
	}
}

enum wire_verdict wire_check_reply(uint16_t op, const void *packet, size_t packet_bytes,
				   unsigned int nr_fds, bool truncated)
{
	const struct wire_op_info *info = wire_op_info(op);
	const uint8_t *body = (const uint8_t *)packet + sizeof(struct wire_header);
	struct wire_header header;
	size_t body_bytes;

	if (!header_read(&header, packet, packet_bytes, truncated))
		return WIRE_DROP;
	body_bytes = packet_bytes - sizeof(header);
	if (op == 0)
		return event_ok(&header, body_bytes, nr_fds) ? WIRE_OK : WIRE_DROP;

	if (!info || header.op != op || header.serial == 0)
		return WIRE_DROP;
	if (header.flags == (WIRE_FLAG_REPLY | WIRE_FLAG_REFUSAL))
		return refusal_ok(body, body_bytes, nr_fds) ? WIRE_OK : WIRE_DROP;
	if (header.flags != WIRE_FLAG_REPLY)
		return WIRE_DROP;

	/* All reply structs are as in version 1; one that grows gets its first size listed here. */
	if (body_bytes < info->reply_known)
		return WIRE_DROP;
	if (info->reply_fds >= 0 && nr_fds != (unsigned int)info->reply_fds)
		return WIRE_DROP;

	switch (op) {
	case WIRE_OP_ALLOC: {
		struct wire_alloc_reply reply;

		memcpy(&reply, body, sizeof(reply));
		if (reply.count != nr_fds || reply.count == 0 || reply.count > WIRE_FDS_MAX ||
		    body_bytes != sizeof(reply) + reply.count * sizeof(uint64_t))
			return WIRE_DROP;
		break;
	}
	case WIRE_OP_DEVICE_LIST:
	case WIRE_OP_BUFFER_LIST:
	case WIRE_OP_MAPPING_LIST:
	case WIRE_OP_MAPPING_SEGMENTS:
	case WIRE_OP_CLIENT_LIST:
	case WIRE_OP_ACCOUNT_LIST:
	case WIRE_OP_DOCTOR:
		if (!list_ok(body, body_bytes))
			return WIRE_DROP;
		break;
	}
	return WIRE_OK;
}

void wire_body_copy(void *dst, size_t dst_bytes, const void *packet, size_t packet_bytes)
{
	size_t body_bytes = packet_bytes - sizeof(struct wire_header);
	size_t copied = body_bytes < dst_bytes ? body_bytes : dst_bytes;

	if (copied)
		memcpy(dst, (const uint8_t *)packet + sizeof(struct wire_header), copied);
	if (dst_bytes > copied)
		memset((uint8_t *)dst + copied, 0, dst_bytes - copied);
}

bool wire_text_ok(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == '\0')
			return true;
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	}
	return false;
}
