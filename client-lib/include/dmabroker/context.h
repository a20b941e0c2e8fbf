/* SPDX-License-Identifier: MIT */
/*
 * The connection, the event loop around it, and what happens unasked.
 *
 * One connection may be used from any number of threads. Callbacks run only inside
 * dmabroker_dispatch(), never two at once. A program without an event loop needs none of it:
 * blocking calls look after themselves.
 *
 * When the connection ends (DMABROKER_EVENT_DISCONNECTED), calls under way fail with -ECONNRESET
 * and later ones with -ENOTCONN. Buffers and mappings already held stay valid and usable: they
 * are file descriptors, the broker is not between the program and its memory.
 *
 * After fork() a child cannot use its parent's connection: every call on it is -ECHILD. Freeing
 * objects in the child, or exiting, changes nothing for the parent. The child may use buffers it
 * inherited (mmap, CPU access, their fd) and may connect for itself.
 */
#ifndef DMABROKER_CONTEXT_H
#define DMABROKER_CONTEXT_H

#include "types.h"
#include "request.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DMABROKER_TIMEOUT_DEFAULT_MS 30000

/**
 * struct dmabroker_connect_params - where to and as whom
 * @struct_size: DMABROKER_CONNECT_PARAMS_INIT sets it
 * @flags:       0
 * @socket_path: NULL: what $DMABROKER_SOCKET says (not heeded in set-uid programs), else
 *               /run/dmabroker/dmabroker.sock
 * @client_name: shown to administrators, up to 31 printable ASCII characters; NULL: the
 *               program's name
 * @timeout_ms:  how long blocking calls wait, and the deadline of requests that name none;
 *               0: DMABROKER_TIMEOUT_DEFAULT_MS
 */
struct dmabroker_connect_params {
	size_t struct_size;
	uint64_t flags;
	const char *socket_path;
	const char *client_name;
	uint64_t timeout_ms;
};

#define DMABROKER_CONNECT_PARAMS_INIT DMABROKER_PARAMS_INIT(dmabroker_connect_params)

/**
 * dmabroker_connect() - connect to the broker
 * @params:     NULL: all defaults
 * @ret_broker: the connection
 *
 * Ownership: the caller owns one reference; give it up with dmabroker_unref().
 * Blocking:  until the broker has answered, at most the timeout. A broker that systemd has yet to
 *            start is waited for.
 * Threads:   any.
 *
 * Return: 0, -ENOENT or -ECONNREFUSED (no broker there), -EACCES (may not open its socket),
 *         -EPROTONOSUPPORT (no version in common), -ETIMEDOUT, -ECONNRESET (it closed the
 *         connection), -EPROTO (something else listens there), -EINVAL, -E2BIG (unknown fields
 *         are set), -ENAMETOOLONG (path), -ENOMEM, -EMFILE, or the errno of its refusal
 *         (-EDQUOT: too many connections of this account; -EACCES: no account at all).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_connect(const struct dmabroker_connect_params *params,
				    struct dmabroker **ret_broker);

/**
 * dmabroker_connect_start() - dmabroker_connect() without waiting
 * @params:      NULL: all defaults
 * @async:       NULL: the timeout as deadline and no callback
 * @ret_broker:  the connection, not yet up: watch and dispatch it. Other requests may be started
 *               on it at once; they are sent when it is up
 * @ret_request: ends when the broker has answered; nothing to take. May be NULL
 *
 * Ownership: the caller owns one reference of each.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, or a failure met before anything was sent, as for dmabroker_connect().
 * Since: 0.1
 */
DMABROKER_API int dmabroker_connect_start(const struct dmabroker_connect_params *params,
					  const struct dmabroker_async *async,
					  struct dmabroker **ret_broker,
					  struct dmabroker_request **ret_request);

/**
 * dmabroker_ref() - keep a connection
 * @broker: a connection, or NULL
 *
 * Ownership: the caller owns one reference more.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: @broker.
 * Since: 0.1
 */
DMABROKER_API struct dmabroker *dmabroker_ref(struct dmabroker *broker);

/**
 * dmabroker_unref() - give up a reference
 * @broker: a connection, or NULL
 *
 * Buffers, mappings and requests hold references of their own, so the connection closes with the
 * last of them. Requests nobody holds are dropped then and their callbacks do not run.
 *
 * Ownership: consumes one reference.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL.
 * Since: 0.1
 */
DMABROKER_API struct dmabroker *dmabroker_unref(struct dmabroker *broker);

/**
 * dmabroker_set_timeout_ms() - how long later calls wait
 * @broker:     the connection
 * @timeout_ms: 0: DMABROKER_TIMEOUT_DEFAULT_MS
 *
 * Ownership: unchanged.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, or -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_set_timeout_ms(struct dmabroker *broker, uint64_t timeout_ms);

/**
 * struct dmabroker_info - what the broker said of itself when the connection came up
 * @protocol_version: that both speak
 * @buffers_max:      most buffers in one dmabroker_alloc()
 * @client_id:        this connection in listings
 * @page_bytes:       granularity of memory
 * @backend:          "kmod", "sim", ...
 * @broker_version:   such as "0.1.0"
 */
struct dmabroker_info {
	uint32_t protocol_version;
	uint32_t buffers_max;
	uint64_t client_id;
	uint64_t page_bytes;
	const char *backend;
	const char *broker_version;
};

/**
 * dmabroker_get_info() - who is at the other end
 * @broker: the connection
 *
 * Ownership: the connection's, valid as long as it.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL while the connection is not yet up.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_info *dmabroker_get_info(struct dmabroker *broker);

/**
 * dmabroker_get_fd() - what an event loop watches
 * @broker: the connection
 *
 * The fd stays the same as long as the connection lives. Watch it for dmabroker_get_events(), and
 * call dmabroker_dispatch() when it is ready or dmabroker_get_timeout_ms() has passed. Never read
 * it or change it.
 *
 * Ownership: the connection's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: the fd, -EMFILE, -ENFILE, -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 * Source: epoll(7)
 */
DMABROKER_API int dmabroker_get_fd(struct dmabroker *broker);

/**
 * dmabroker_get_events() - what to watch the fd for
 * @broker: the connection
 *
 * Ownership: unchanged.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: POLL* bits for poll(2); ask again after each dispatch. -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_get_events(struct dmabroker *broker);

/**
 * dmabroker_get_timeout_ms() - when to dispatch even if the fd stays quiet
 * @broker: the connection
 *
 * Ownership: unchanged.
 * Blocking:  never.
 * Threads:   any; a deadline that another thread adds later makes the fd ready.
 *
 * Return: for poll(2): milliseconds, 0 (now), or -1 (no deadline). Ask again after each dispatch.
 *         -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_get_timeout_ms(struct dmabroker *broker);

/**
 * dmabroker_dispatch() - read what has arrived and run callbacks
 * @broker: the connection
 *
 * Also ends requests whose deadline has passed.
 *
 * Ownership: unchanged.
 * Blocking:  never, but for what the callbacks do.
 * Threads:   any, one at a time.
 *
 * Return: 0, -EBUSY (called from a callback, or another thread dispatches), -ENOTCONN (the
 *         connection has ended and every callback has run: stop watching), -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_dispatch(struct dmabroker *broker);

/** enum dmabroker_event_type - what can happen unasked */
enum dmabroker_event_type {
	DMABROKER_EVENT_DEVICE_ADDED = 1,
	DMABROKER_EVENT_DEVICE_REMOVED = 2,
	DMABROKER_EVENT_MAPPING_ENDED = 3, /* its device is gone; the buffer lives on */
	DMABROKER_EVENT_DISCONNECTED = 4, /* the last event of a connection */
	DMABROKER_EVENT_LOST = 5, /* too many were waiting, some are gone: list again */
};

struct dmabroker_device_info;

/**
 * struct dmabroker_event - what happened
 * @type:       enum dmabroker_event_type; ignore what you do not know
 * @error:      of DISCONNECTED: why, a positive errno
 * @mapping_id: of MAPPING_ENDED: see struct dmabroker_mapping_info
 * @device:     of DEVICE_...: the device, else NULL
 */
struct dmabroker_event {
	uint32_t type;
	int error;
	uint64_t mapping_id;
	const struct dmabroker_device_info *device;
};

/**
 * typedef dmabroker_event_fn - told what happened
 * @broker:   the connection
 * @event:    borrowed for the call
 * @userdata: from dmabroker_set_event_handler()
 *
 * Runs in dmabroker_dispatch(), with no lock held.
 */
typedef void (*dmabroker_event_fn)(struct dmabroker *broker, const struct dmabroker_event *event,
				   void *userdata);

/**
 * dmabroker_set_event_handler() - want to be told
 * @broker:   the connection
 * @handler:  NULL: nobody; events are dropped while nobody wants them
 * @userdata: for @handler
 *
 * Ownership: @userdata stays the caller's, and must live until the handler is replaced and no
 *            dispatch runs.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, or -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_set_event_handler(struct dmabroker *broker, dmabroker_event_fn handler,
					      void *userdata);

/**
 * typedef dmabroker_log_fn - told what only a log is the place for
 * @text:     one line without a newline
 * @userdata: from dmabroker_set_log_handler()
 */
typedef void (*dmabroker_log_fn)(const char *text, void *userdata);

/**
 * dmabroker_set_log_handler() - want to hear of oddities
 * @broker:   the connection
 * @handler:  NULL: nobody
 * @userdata: for @handler
 *
 * Without a handler the library writes nothing anywhere. Unlike the other callbacks this one is
 * called on the thread that met the oddity, inside whatever call that was: it must not call
 * back into the library.
 *
 * Ownership: @userdata stays the caller's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, or -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_set_log_handler(struct dmabroker *broker, dmabroker_log_fn handler,
					    void *userdata);

#ifdef __cplusplus
}
#endif

#endif /* DMABROKER_CONTEXT_H */
