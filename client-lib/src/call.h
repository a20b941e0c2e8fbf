/* SPDX-License-Identifier: MIT */
/*
 * A call: one message to the broker and the reply to it. Calls outlive the requests they serve: a
 * reply that nobody waits for any more must still be read, and what it grants given back.
 */
#ifndef DMABROKER_CALL_H
#define DMABROKER_CALL_H

#include "client-lib/src/broker.h"

struct call {
	TAILQ_ENTRY(call) broker_link;
	struct dmabroker_request *request; /* NULL: nobody waits */
	uint32_t serial;
	uint16_t op;
	bool no_reply;
	bool sent;
	int fd; /* -1: none */
	size_t bytes;
	_Alignas(8) uint8_t message[];
};

/* @fd is taken, also on failure. Needs no lock. */
int call_new(uint16_t op, const void *body, size_t body_bytes, int fd, struct call **ret);
struct call *call_free(struct call *call);

/* All that follows: locked. */

/* Send, or queue until there is room. Takes the call. */
void call_post(struct dmabroker *broker, struct call *call);
/* The request wants no reply any more. */
void call_abandon(struct dmabroker *broker, struct call *call);
/* Send what is queued. Returns 0, -EAGAIN (there is more), or the socket's -errno. */
int calls_flush(struct dmabroker *broker);
/* Fail all requests that have a call, and forget the calls. */
void calls_fail(struct dmabroker *broker, int error, const char *text);
void calls_clear(struct dmabroker *broker);
/* Hand a packet to whom it is for; -EPROTO when it makes no sense. */
int call_reply(struct dmabroker *broker, struct packet *packet);

#endif /* DMABROKER_CALL_H */
