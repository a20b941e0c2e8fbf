/* SPDX-License-Identifier: MIT */
/*
 * Requests: operations of the user, one or several calls each. What an operation is, is told by
 * its ops table; its own state follows struct dmabroker_request in a larger struct.
 */
#ifndef DMABROKER_REQUEST_INTERNAL_H
#define DMABROKER_REQUEST_INTERNAL_H

#include "client-lib/src/broker.h"

/* What a reply handler returns when it has sent another call. */
#define REQUEST_GOES_ON 1

/**
 * struct request_ops - one kind of operation; all but @fini are called locked
 * @send:  post the (first) call, the devices' ids being known; 0 or -errno. NULL: the request is
 *         never launched, it is completed by its maker
 * @reply: look at a reply that passed the check and is no refusal; 0: the request has ended
 *         well, REQUEST_GOES_ON, or -errno: it has failed. Fds not taken are closed after it
 * @fini:  release what the operation holds, results nobody took included. No lock; for results
 *         that hold something at the broker
 */
struct request_ops {
	int (*send)(struct dmabroker_request *request);
	int (*reply)(struct dmabroker_request *request, uint16_t op, struct packet *packet);
	void (*fini)(struct dmabroker_request *request);
};

/* Devices by name, to be turned into ids before the first call. */
struct device_names {
	unsigned int nr;
	unsigned int nr_known;
	bool from_cache; /* at least one: it may be outdated */
	uint32_t ids[WIRE_DEVICES_MAX];
	char names[][WIRE_DEVICE_NAME_SIZE];
};

struct dmabroker_request {
	struct dmabroker *broker;
	const struct request_ops *ops;
	TAILQ_ENTRY(dmabroker_request) broker_link; /* pending, done or dead */
	unsigned int user_refs; /* while there are any, one reference on the broker */
	bool ended;
	bool quiet; /* a thread waits for it: not in the pending list, no callback */
	bool queued; /* in pending or done: the library holds it */
	bool hello; /* the connection stands and falls with it */
	int result;
	struct dmabroker_refusal refusal;
	char *refusal_text; /* NULL when refusal.text is a constant */
	struct call *call; /* the one under way */
	struct device_names *devices; /* NULL: none */
	uint64_t deadline_mono_us;
	dmabroker_request_fn callback;
	void *userdata;
};

uint64_t timeout_us_from_ms(uint64_t timeout_ms);

/**
 * request_new() - make a request; the caller fills in its operation's part
 * @broker:  the connection; -ECHILD if it is not this process's
 * @ops:     the operation
 * @bytes:   of the whole struct that starts with struct dmabroker_request
 * @async:   the user's, or NULL
 * @ret:     the request, with one user reference
 */
int request_new(struct dmabroker *broker, const struct request_ops *ops, size_t bytes,
		const struct dmabroker_async *async, void *ret);

/* The devices it needs; fails with a refusal. */
int request_set_devices(struct dmabroker_request *request, const char *const *names,
			unsigned int nr);

/* Start it and give @ret_request (may be NULL) the reference. Takes the request, also on failure. */
int request_start(struct dmabroker_request *request, struct dmabroker_request **ret_request);

/* Start it and wait; afterwards it is still the caller's. The result, with its refusal set. */
int request_run(struct dmabroker_request *request);

/* Instead of request_start(), for what needed no broker: it ends with @result. Takes it. */
int request_ended_at_once(struct dmabroker_request *request, int result, const char *text,
			  struct dmabroker_request **ret_request);

/* Locked. Post a call for it. */
int request_call(struct dmabroker_request *request, uint16_t op, const void *body,
		 size_t body_bytes, int fd);
/* Locked. It has failed; @text NULL: the errno's own. Does nothing if it has ended. */
void request_fail(struct dmabroker_request *request, int error, const char *text);
/* Locked. A reply to its call has come. */
void request_reply(struct dmabroker_request *request, uint16_t op, struct packet *packet);
/* Locked. End what is past its deadline. */
void requests_expire(struct dmabroker *broker);
/* Locked. Run the callbacks of all that are done now; gives the lock up meanwhile. */
void requests_deliver(struct dmabroker *broker);
/* Free. It must be in no list. */
void request_destroy(struct dmabroker_request *request);

/* The result of a request of these ops, for the take functions: -errno with its refusal set. */
int request_taking(struct dmabroker_request *request, const struct request_ops *ops);

/* names.c. Locked. Go on with the devices: 0: all known, REQUEST_GOES_ON, or -errno. */
int devices_resolve(struct dmabroker_request *request);
int devices_reply(struct dmabroker_request *request, const struct packet *packet);

static inline void cleanup_request(struct dmabroker_request **request)
{
	dmabroker_request_unref(*request);
}

#define _cleanup_request_ _cleanup_(cleanup_request)

#endif /* DMABROKER_REQUEST_INTERNAL_H */
