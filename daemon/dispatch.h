/* SPDX-License-Identifier: MIT */
/*
 * From a packet to the handler of its op, and back to a reply or a refusal. Handlers find their
 * request checked: the body has the size the op needs, the fds are as many as it takes.
 */
#ifndef DMABROKER_DISPATCH_H
#define DMABROKER_DISPATCH_H

#include "daemon/connection.h"

struct request {
	struct broker *broker;
	struct connection *connection;
	struct client *client; /* NULL for a peer that is turned away, which meets no handler */
	struct packet *packet; /* for its fds; NULL for a request that was kept, which has none */
	const void *bytes;
	size_t size_bytes;
	const struct wire_op_info *info; /* NULL when there is no such op */
	struct wire_header header;
};

/* What a handler returns: answered (or refused), or to be tried again later as if never seen. */
enum handled {
	HANDLED,
	HANDLED_LATER,
};

typedef enum handled (*op_handler)(struct request *request);

/* Returns whether another request is probably waiting. */
bool dispatch_packet(struct connection *connection, struct packet *packet);

/* A kept request. 0 when it is done with, -EAGAIN to keep it on. With @last_try, always 0. */
int dispatch_pending(struct connection *connection, const void *bytes, size_t size_bytes,
		     bool last_try);

/* Copy the body into the op's struct. */
#define request_body(request, ret) \
	wire_body_copy((ret), sizeof(*(ret)), (request)->bytes, (request)->size_bytes)

/* Answer. @more follows @body. */
void request_reply(struct request *request, const void *body, size_t body_bytes, const void *more,
		   size_t more_bytes);

/*
 * Answer with fds, which are borrowed. On failure the caller takes back all it did:
 * -ETOOMANYREFS: then returns HANDLED_LATER; -EPIPE: the peer is gone.
 */
int request_reply_fds(struct request *request, const void *body, size_t body_bytes,
		      const void *more, size_t more_bytes, const int *fds, unsigned int nr_fds);

/* Refuse: reason, the numbers, whether later can help, and a sentence that says what to do. */
void request_refuse(struct request *request, enum wire_reason reason, uint64_t limit,
		    uint64_t value, bool retry, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
void request_refuse_shortfall(struct request *request, const struct shortfall *shortfall);
void request_refuse_failure(struct request *request, const struct backend_failure *failure,
			    int error);

/* In the same words for a buffer that does not exist and for one that is none of its business. */
void request_refuse_unknown_buffer(struct request *request, uint64_t id);

/* May the client use the device, by policy and by the device's state? Else it was refused. */
bool request_may_use_device(struct request *request, const struct device *device);

/* The handlers, in op_*.c. */
#define X(NAME, number, req, min, fds, rep, rfds, who) \
	enum handled op_##NAME(struct request *request);
WIRE_OPS(X)
#undef X

#endif /* DMABROKER_DISPATCH_H */
